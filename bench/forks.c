/* What it costs to follow a storm of forks: a program makes FORKS children, one after the other, each of which ends at once. The
 * floor does no more than let each stop go on. */
#include "bench.h"

#include <stdio.h>
#include <unistd.h>

enum { FORKS = 1000 };

struct forking {
    struct target *free, *plain, *other; /* untraced; the floor's; rein's */
};

static double free_forks(void *arg)
{
    const struct forking *forking = arg;
    return target_do(forking->free, WORK_FORKS, FORKS);
}

static double plain_forks(void *arg)
{
    const struct forking *forking = arg;
    target_ask(forking->plain, WORK_FORKS, FORKS);
    floor_serve_forks(forking->plain->page->worker, FORKS);
    return target_done(forking->plain);
}

static double rein_forks(void *arg)
{
    const struct forking *forking = arg;
    return target_do(forking->other, WORK_FORKS, FORKS);
}

static char forks[16];

static double command_forks(void *arg)
{
    (void)arg;
    char rein[4096];
    snprintf(rein, sizeof rein, "%s", beside("../rein"));
    char *const argv[] = {rein,
                          (char *)"trace",
                          (char *)"-o",
                          (char *)"/dev/null",
                          (char *)"-e",
                          (char *)"none",
                          (char *)"-f",
                          (char *)(uintptr_t)beside("target"),
                          (char *)"forks",
                          forks,
                          NULL};
    return run_program(argv) / FORKS;
}

static double strace_forks(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"strace",     (char *)"-f", (char *)"-o", (char *)"/dev/null",
                          (char *)"-e",         (char *)"trace=none", (char *)(uintptr_t)beside("target"),
                          (char *)"forks",      forks,        NULL};
    return run_program(argv) / FORKS;
}

void bench_forks(void)
{
    struct forking forking = {.free = target_start(0), .plain = target_start(0), .other = target_start(0)};
    rein_monitor *monitor;
    rein_process *process;
    floor_follow(forking.plain->page->worker);
    check(rein_monitor_create(NULL, &monitor) == 0);
    check(rein_attach(monitor, forking.other->pid, NULL, &process) == 0);
    check(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE) == 0);
    check(rein_process_set_follow(process, REIN_FOLLOW_BOTH, 0) == 0);
    check(rein_process_continue(process) == 0);
    compare("fork, followed, its child's end / untraced", "rein", 9, free_forks, rein_forks, &forking);
    compare("  the same / by hand", "rein", 9, plain_forks, rein_forks, &forking);
    rein_process_unref(process);
    check(rein_monitor_close(monitor) == 0);
    target_end(forking.free);
    target_end(forking.plain);
    target_end(forking.other);
    snprintf(forks, sizeof forks, "%d", FORKS);
    if (access(beside("../rein"), X_OK) != 0)
        skip("  a program with 1,000 of them / strace -f", "rein trace", "was not built");
    else if (!is_installed("strace"))
        skip("  a program with 1,000 of them / strace -f", "rein trace", "strace is not installed");
    else
        compare("  a program with 1,000 of them / strace -f", "rein trace", 9, strace_forks, command_forks, NULL);
}
