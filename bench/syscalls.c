/* What tracing system calls costs a program for the calls that nobody has asked for, with a filter in the kernel and without one,
 * and for one that is asked for. The floor: the same call in the same program, untraced; timed by the program. */
#include "bench.h"

#include <linux/audit.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rein/seccomp.h>

enum { FREE_CALLS = 100000, STOPPED_CALLS = 2000 };

struct pair {
    struct target *plain, traced;
    rein_process *process;
    uint32_t count;
};

static double plain_calls(void *arg)
{
    struct pair *pair = arg;
    return target_do(pair->plain, WORK_CALLS, pair->count);
}

static double traced_calls(void *arg)
{
    struct pair *pair = arg;
    return target_do(&pair->traced, WORK_CALLS, pair->count);
}

/* As target_start, by rein, with a filter if there are calls for one. */
static void start_traced(struct pair *pair, rein_monitor *monitor, const struct rein_syscall_id *filtered, size_t count)
{
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    char *const argv[] = {(char *)"target", (char *)"0", NULL};
    void *filter = NULL;
    int fd = memfd_create("bench", MFD_CLOEXEC), fds[TARGET_FD + 1] = {0, 1, 2, fd};
    check(fd >= 0 && ftruncate(fd, sizeof *pair->traced.page) == 0);
    pair->traced.page = mmap(NULL, sizeof *pair->traced.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(pair->traced.page != MAP_FAILED);
    if (count)
        check(rein_seccomp_filter(filtered, count, &filter, &options.filter_count) == 0);
    options.filter = filter;
    check(rein_spawn(monitor, beside("target"), argv, NULL, NULL, fds, TARGET_FD + 1, &options, &pair->process) == 0);
    rein_seccomp_filter_free(filter);
    close(fd);
    check(rein_process_set_policy(pair->process, REIN_CAUSE_COUNT, REIN_IGNORE) == 0);
    check(rein_process_continue(pair->process) == 0);
    while (!atomic_load(&pair->traced.page->ready))
        usleep(1000);
}

static void end_traced(struct pair *pair)
{
    check(rein_process_kill(pair->process) == 0);
    rein_process_unref(pair->process);
    munmap(pair->traced.page, sizeof *pair->traced.page);
}

void bench_syscalls(void)
{
    static const struct rein_syscall_id files[] = {
        {AUDIT_ARCH_X86_64, SYS_openat}, {AUDIT_ARCH_X86_64, SYS_open},     {AUDIT_ARCH_X86_64, SYS_stat},
        {AUDIT_ARCH_X86_64, SYS_execve}, {AUDIT_ARCH_X86_64, SYS_unlinkat}, {AUDIT_ARCH_X86_64, SYS_renameat2},
        {AUDIT_ARCH_I386, 295},          {AUDIT_ARCH_I386, 5},              {AUDIT_ARCH_I386, 11}};
    static const struct rein_syscall_id asked = {AUDIT_ARCH_X86_64, SYS_getppid};
    enum { FILES = sizeof files / sizeof *files };
    const unsigned both = REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS;
    struct pair pair = {.plain = target_start(0), .count = FREE_CALLS};
    rein_monitor *monitor;
    check(rein_monitor_create(NULL, &monitor) == 0);

    start_traced(&pair, monitor, files, FILES);
    check(rein_process_trace_syscalls(pair.process, both, files, FILES) == 0);
    compare("system call that is not asked for / untraced", "filter", 41, plain_calls, traced_calls, &pair);
    end_traced(&pair);

    pair.count = STOPPED_CALLS;
    start_traced(&pair, monitor, NULL, 0);
    check(rein_process_trace_syscalls(pair.process, both, files, FILES) == 0);
    compare("  the same, without a filter", "rein", 11, plain_calls, traced_calls, &pair);
    check(rein_process_trace_syscalls(pair.process, both, &asked, 1) == 0);
    compare("system call that is asked for / untraced", "rein", 11, plain_calls, traced_calls, &pair);
    end_traced(&pair);

    start_traced(&pair, monitor, &asked, 1);
    check(rein_process_trace_syscalls(pair.process, both, &asked, 1) == 0);
    compare("  the same, with a filter", "filter", 11, plain_calls, traced_calls, &pair);
    end_traced(&pair);
    check(rein_monitor_close(monitor) == 0);
    target_end(pair.plain);
}
