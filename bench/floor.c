/* The floor: what has to be done in any case, with nothing around it. It knows that there is one event at a time, that
 * no thread comes or goes, and of which thread an event is. */
#include "bench.h"

#include <dirent.h>
#include <elf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static int wait_stop(pid_t id, pid_t *who)
{
    int status;
    pid_t found = waitpid(id, &status, __WALL);
    check(found > 0 && WIFSTOPPED(status));
    if (who)
        *who = found;
    return status;
}

static struct user_regs_struct get_registers(pid_t id)
{
    struct user_regs_struct registers;
    struct iovec block = {&registers, sizeof registers};
    check(ptrace(PTRACE_GETREGSET, id, NT_PRSTATUS, &block) == 0);
    return registers;
}

/* SIGTRAP is ours; another signal is the program's. */
static void go_on(pid_t id, int status)
{
    int number = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
    check(ptrace(PTRACE_CONT, id, NULL, number) == 0);
}

struct crowd floor_attach(pid_t pid, bool stopped)
{
    struct crowd crowd = {NULL, 0};
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *directory = opendir(path);
    check(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        if ((crowd.count & (crowd.count - 1)) == 0) /* full, when a power of two */
            crowd.ids = realloc(crowd.ids, (crowd.count ? 2 * crowd.count : 1) * sizeof *crowd.ids);
        check(crowd.ids);
        pid_t id = (pid_t)atoi(entry->d_name);
        crowd.ids[crowd.count++] = id;
        check(ptrace(PTRACE_SEIZE, id, NULL, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT) == 0);
    }
    closedir(directory);
    if (stopped)
        floor_interrupt(&crowd);
    return crowd;
}

void floor_interrupt(const struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        check(ptrace(PTRACE_INTERRUPT, crowd->ids[i], NULL, NULL) == 0);
    for (size_t i = 0; i < crowd->count; i++)
        wait_stop(crowd->ids[i], NULL);
}

void floor_continue(const struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        check(ptrace(PTRACE_CONT, crowd->ids[i], NULL, NULL) == 0);
}

void floor_detach(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        check(ptrace(PTRACE_DETACH, crowd->ids[i], NULL, NULL) == 0);
    free(crowd->ids);
}

void floor_read_pcs(const struct crowd *crowd, uint64_t *pcs)
{
    for (size_t i = 0; i < crowd->count; i++)
        pcs[i] = get_registers(crowd->ids[i]).rip;
}

void floor_serve(pid_t id, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int status = wait_stop(id, NULL);
        get_registers(id);
        go_on(id, status);
    }
}

void floor_serve_any(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        pid_t id;
        int status = wait_stop(-1, &id);
        get_registers(id);
        go_on(id, status);
    }
}

static long with_trap(long word)
{
    return (word & ~0xffL) | 0xcc;
}

static void poke(pid_t id, uint64_t address, long word)
{
    check(ptrace(PTRACE_POKETEXT, id, (void *)(uintptr_t)address, word) == 0);
}

long floor_put_breakpoint(pid_t id, uint64_t address)
{
    long original = ptrace(PTRACE_PEEKTEXT, id, (void *)(uintptr_t)address, NULL);
    poke(id, address, with_trap(original));
    return original;
}

void floor_serve_breakpoint(pid_t id, uint64_t address, long original, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        wait_stop(id, NULL);
        struct user_regs_struct registers = get_registers(id);
        struct iovec block = {&registers, sizeof registers};
        registers.rip = address;
        check(ptrace(PTRACE_SETREGSET, id, NT_PRSTATUS, &block) == 0);
        poke(id, address, original);
        check(ptrace(PTRACE_SINGLESTEP, id, NULL, NULL) == 0);
        wait_stop(id, NULL);
        poke(id, address, with_trap(original));
        check(ptrace(PTRACE_CONT, id, NULL, NULL) == 0);
    }
}

void floor_step(struct target *target)
{
    const struct target_page *page = target->page;
    while (atomic_load(&page->done) != atomic_load(&page->asked)) {
        check(ptrace(PTRACE_SINGLESTEP, page->worker, NULL, NULL) == 0);
        wait_stop(page->worker, NULL);
    }
}

void floor_steps(pid_t id, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        check(ptrace(PTRACE_SINGLESTEP, id, NULL, NULL) == 0);
        wait_stop(id, NULL);
    }
}

void floor_follow(pid_t id)
{
    check(ptrace(PTRACE_SEIZE, id, NULL, PTRACE_O_TRACEFORK) == 0);
}

/* The parent's stop at the fork and for SIGCHLD, the child's first stop and its end. */
void floor_serve_forks(pid_t id, uint32_t count)
{
    for (uint32_t signals = 0, ends = 0; signals < count || ends < count;) {
        int status;
        pid_t found = waitpid(-1, &status, __WALL);
        check(found > 0);
        if (!WIFSTOPPED(status)) {
            ends++;
            continue;
        }
        bool signal = found == id && WSTOPSIG(status) == SIGCHLD;
        signals += signal;
        check(ptrace(PTRACE_CONT, found, NULL, signal ? SIGCHLD : 0) == 0);
    }
}

void floor_serve_stopping_all(const struct crowd *crowd, pid_t id, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        wait_stop(id, NULL);
        get_registers(id);
        for (size_t other = 0; other < crowd->count; other++)
            check(crowd->ids[other] == id || ptrace(PTRACE_INTERRUPT, crowd->ids[other], NULL, NULL) == 0);
        for (size_t other = 0; other < crowd->count; other++)
            if (crowd->ids[other] != id)
                wait_stop(crowd->ids[other], NULL);
        floor_continue(crowd);
    }
}
