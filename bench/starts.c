/* What it costs to run a program that does nothing, from start to end. The floor: vfork, exec and wait. */
#include "bench.h"

#include <unistd.h>

static rein_monitor *monitor;

static double run(char *const argv[])
{
    double begin = now_us();
    wait_for_end(start_program(argv));
    return now_us() - begin;
}

static double plain_start(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"/bin/true", NULL};
    return run(argv);
}

static double command_start(void *arg)
{
    char *const argv[] = {arg, (char *)"trace", (char *)"/bin/true", NULL};
    return run(argv);
}

static double strace_start(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"strace", (char *)"-f",         (char *)"-o",        (char *)"/dev/null",
                          (char *)"-e",     (char *)"trace=none", (char *)"/bin/true", NULL};
    return run(argv);
}

static double gdb_start(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"gdb",       (char *)"-nx", (char *)"-batch", (char *)"-ex", (char *)"run",
                          (char *)"/bin/true", NULL};
    return run(argv);
}

static double library_start(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"/bin/true", NULL};
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    options.flags = REIN_SPAWN_NULL_STDIO;
    rein_process *process;
    double begin = now_us();
    check(rein_spawn(monitor, argv[0], argv, NULL, NULL, NULL, 0, &options, &process) == 0);
    check(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE) == 0);
    check(rein_process_continue(process) == 0);
    struct rein_event event;
    check(rein_process_next_event(process, -1, &event) == REIN_EXITED);
    double end = now_us();
    rein_process_unref(process);
    return end - begin;
}

void bench_starts(void)
{
    check(rein_monitor_create(NULL, &monitor) == 0);
    compare("run /bin/true / vfork, exec, wait", "librein", 21, plain_start, library_start, NULL);
    check(rein_monitor_close(monitor) == 0);
    char *command = (char *)(uintptr_t)beside("../rein");
    if (access(command, X_OK) == 0)
        compare("  the same", "rein trace", 21, plain_start, command_start, command);
    else
        skip("  the same", "rein trace", "was not built");
    if (is_installed("strace"))
        compare("  the same", "strace -f", 21, plain_start, strace_start, NULL);
    else
        skip("  the same", "strace -f", "is not installed");
    if (is_installed("gdb"))
        compare("  the same", "gdb -batch", 5, plain_start, gdb_start, NULL);
    else
        skip("  the same", "gdb -batch", "is not installed");
}
