/* What tracing system calls costs a program for the calls that nobody has asked for, with a filter in the kernel and without one,
 * and for one that is asked for: by the library and by `rein trace`. To compare with: the same call in the same program, untraced,
 * and under strace. All is timed by the program. */
#include "bench.h"

#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rein/seccomp.h>

enum { FREE_CALLS = 100000, STOPPED_CALLS = 2000 };

#define STRACE "strace", "-f", "-o", "/dev/null", "-e"
static const char *const strace_of_asked[] = {STRACE, "trace=getppid", NULL};
static const char *const strace_of_asked_filtered[] = {STRACE, "trace=getppid", "--seccomp-bpf", NULL};
static const char *const strace_of_other[] = {STRACE, "trace=openat", NULL};
static const char *const strace_of_other_filtered[] = {STRACE, "trace=openat", "--seccomp-bpf", NULL};

struct pair {
    struct target *plain, *traced;
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
    return target_do(pair->traced, WORK_CALLS, pair->count);
}

/* ---- The library ---- */

struct own {
    struct target target;
    rein_process *process;
};

/* As target_start, by rein, with a filter if there are calls for one. */
static void start_own(struct own *own, rein_monitor *monitor, const struct rein_syscall_id *filtered, size_t count)
{
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    char *const argv[] = {(char *)"target", (char *)"0", NULL};
    void *filter = NULL;
    int fd = memfd_create("bench", MFD_CLOEXEC), fds[TARGET_FD + 1] = {0, 1, 2, fd};
    check(fd >= 0 && ftruncate(fd, sizeof *own->target.page) == 0);
    own->target.page = mmap(NULL, sizeof *own->target.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(own->target.page != MAP_FAILED);
    if (count)
        check(rein_seccomp_filter(filtered, count, &filter, &options.filter_count) == 0);
    options.filter = filter;
    check(rein_spawn(monitor, beside("target"), argv, NULL, NULL, fds, TARGET_FD + 1, &options, &own->process) == 0);
    rein_seccomp_filter_free(filter);
    close(fd);
    check(rein_process_set_policy(own->process, REIN_CAUSE_COUNT, REIN_IGNORE) == 0);
    check(rein_process_continue(own->process) == 0);
    while (!atomic_load(&own->target.page->ready))
        usleep(1000);
}

static void end_own(struct own *own)
{
    check(rein_process_kill(own->process) == 0);
    rein_process_unref(own->process);
    munmap(own->target.page, sizeof *own->target.page);
}

static void measure_library(void)
{
    static const struct rein_syscall_id files[] = {
        {AUDIT_ARCH_X86_64, SYS_openat}, {AUDIT_ARCH_X86_64, SYS_open},     {AUDIT_ARCH_X86_64, SYS_stat},
        {AUDIT_ARCH_X86_64, SYS_execve}, {AUDIT_ARCH_X86_64, SYS_unlinkat}, {AUDIT_ARCH_X86_64, SYS_renameat2},
        {AUDIT_ARCH_I386, 295},          {AUDIT_ARCH_I386, 5},              {AUDIT_ARCH_I386, 11}};
    static const struct rein_syscall_id asked = {AUDIT_ARCH_X86_64, SYS_getppid};
    enum { FILES = sizeof files / sizeof *files };
    const unsigned both = REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS;
    struct own own;
    struct pair pair = {.plain = target_start(0), .traced = &own.target, .count = FREE_CALLS};
    rein_monitor *monitor;
    check(rein_monitor_create(NULL, &monitor) == 0);

    start_own(&own, monitor, files, FILES);
    check(rein_process_trace_syscalls(own.process, both, files, FILES) == 0);
    compare("system call that is not asked for / untraced", "filter", 41, plain_calls, traced_calls, &pair);
    end_own(&own);

    pair.count = STOPPED_CALLS;
    start_own(&own, monitor, NULL, 0);
    check(rein_process_trace_syscalls(own.process, both, files, FILES) == 0);
    compare("  the same, without a filter", "rein", 11, plain_calls, traced_calls, &pair);
    check(rein_process_trace_syscalls(own.process, both, &asked, 1) == 0);
    compare("system call that is asked for / untraced", "rein", 11, plain_calls, traced_calls, &pair);
    struct target *untraced = pair.plain;
    if (is_installed("strace")) {
        pair.plain = target_start_under(strace_of_asked);
        compare("  the same / strace", "rein", 11, plain_calls, traced_calls, &pair);
        target_end(pair.plain);
        pair.plain = untraced;
    }
    end_own(&own);

    start_own(&own, monitor, &asked, 1);
    check(rein_process_trace_syscalls(own.process, both, &asked, 1) == 0);
    compare("  the same, with a filter / untraced", "filter", 11, plain_calls, traced_calls, &pair);
    if (is_installed("strace")) {
        pair.plain = target_start_under(strace_of_asked_filtered);
        compare("  the same / strace --seccomp-bpf", "filter", 11, plain_calls, traced_calls, &pair);
        target_end(pair.plain);
    }
    end_own(&own);
    check(rein_monitor_close(monitor) == 0);
    target_end(untraced);
}

/* ---- The command ---- */

static void measure_command(const char *what, const char *const strace[], const char *const options[], uint32_t count)
{
    enum { WORDS = 8 };
    char rein[4096];
    const char *command[WORDS + 6] = {rein, "trace", "-f", "-o", "/dev/null"};
    snprintf(rein, sizeof rein, "%s", beside("../rein"));
    for (size_t i = 0; options[i]; i++) {
        check(i < WORDS);
        command[5 + i] = options[i];
    }
    if (access(rein, X_OK) != 0 || (strace && !is_installed("strace"))) {
        skip(what, "rein trace", access(rein, X_OK) != 0 ? "was not built" : "strace is not installed");
        return;
    }
    struct pair pair = {.plain = strace ? target_start_under(strace) : target_start(0),
                        .traced = target_start_under(command),
                        .count = count};
    compare(what, "rein trace", 11, plain_calls, traced_calls, &pair);
    target_end(pair.traced);
    target_end(pair.plain);
}

void bench_syscalls(void)
{
    static const char *const asked[] = {"-e", "syscall=getppid", NULL};
    static const char *const asked_filtered[] = {"-e", "syscall=getppid", "--seccomp", NULL};
    static const char *const other[] = {"-e", "syscall=openat", NULL};
    static const char *const other_filtered[] = {"-e", "syscall=openat", "--seccomp", NULL};
    measure_library();
    measure_command("system call that is not asked for, filter / untraced", NULL, other_filtered, FREE_CALLS);
    measure_command("  the same / strace --seccomp-bpf", strace_of_other_filtered, other_filtered, FREE_CALLS);
    measure_command("  the same, without a filter / strace", strace_of_other, other, STOPPED_CALLS);
    measure_command("system call that is asked for / strace", strace_of_asked, asked, STOPPED_CALLS);
    measure_command("  the same, with a filter / strace --seccomp-bpf", strace_of_asked_filtered, asked_filtered,
                    STOPPED_CALLS);
}
