/* What it costs to run a program that does nothing, from start to end; and a large one with a breakpoint in it, by name, for which
 * its symbols have to be read. The floor: vfork, exec and wait. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rein_monitor *monitor;

static double plain_start(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"/bin/true", NULL};
    return run_program(argv);
}

static double command_start(void *arg)
{
    char *const argv[] = {arg, (char *)"trace", (char *)"/bin/true", NULL};
    return run_program(argv);
}

static double strace_start(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"strace",     (char *)"-o",        (char *)"/dev/null", (char *)"-e",
                          (char *)"trace=none", (char *)"/bin/true", NULL};
    return run_program(argv);
}

static double gdb_start(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"gdb",       (char *)"-nx", (char *)"-batch", (char *)"-ex", (char *)"run",
                          (char *)"/bin/true", NULL};
    return run_program(argv);
}

static double plain_large_start(void *arg)
{
    char *const argv[] = {arg, NULL};
    return run_program(argv);
}

static double command_break(void *arg)
{
    char *command = (char *)(uintptr_t)beside("../rein");
    char *const argv[] = {command, (char *)"trace", (char *)"-b", (char *)"wanted_function", arg, NULL};
    return run_program(argv);
}

static double gdb_break(void *arg)
{
    char *const argv[] = {(char *)"gdb", (char *)"-nx", (char *)"-batch", (char *)"-ex", (char *)"break wanted_function",
                          (char *)"-ex", (char *)"run", arg,              NULL};
    return run_program(argv);
}

/* gdb ends at the hit, rein tells it and follows the program to its end. */
static void starts_with_breakpoint(bool has_command)
{
    char *large = strdup(beside("large"));
    check(large != NULL);
    if (access(large, X_OK) != 0) {
        skip("a breakpoint by name in a large C++ program", "rein trace", "needs a C++ compiler, and script/bench");
    } else {
        if (has_command)
            compare("run a large C++ program with a breakpoint by name", "rein trace", 15, plain_large_start,
                    command_break, large);
        if (is_installed("gdb"))
            compare("  the same", "gdb -batch", 5, plain_large_start, gdb_break, large);
    }
    free(large);
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
        compare("  the same", "strace", 21, plain_start, strace_start, NULL);
    else
        skip("  the same", "strace", "is not installed");
    if (is_installed("gdb"))
        compare("  the same", "gdb -batch", 5, plain_start, gdb_start, NULL);
    else
        skip("  the same", "gdb -batch", "is not installed");
    starts_with_breakpoint(access(beside("../rein"), X_OK) == 0);
}
