/* What it costs to take, look at, stop, continue and let go a process with very many threads. One program, in turns. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static rein_monitor *monitor;

static double plain_attach(void *arg)
{
    struct target *target = arg;
    double begin = now_us();
    struct crowd crowd = floor_attach(target->pid, true);
    floor_detach(&crowd);
    return now_us() - begin;
}

static double rein_attach_detach(void *arg)
{
    struct target *target = arg;
    rein_process *process;
    double begin = now_us();
    check(rein_attach(monitor, target->pid, NULL, &process) == 0);
    check(rein_process_detach(process, 0) == 0);
    double end = now_us();
    rein_process_unref(process);
    return end - begin;
}

enum { CYCLES = 3 };

static double plain_stop(void *arg)
{
    struct target *target = arg;
    struct crowd crowd = floor_attach(target->pid, true);
    double begin = now_us();
    for (int i = 0; i < CYCLES; i++) {
        floor_continue(&crowd);
        floor_interrupt(&crowd);
    }
    double end = now_us();
    floor_detach(&crowd);
    return (end - begin) / CYCLES;
}

static double rein_stop(void *arg)
{
    struct target *target = arg;
    rein_process *process;
    check(rein_attach(monitor, target->pid, NULL, &process) == 0);
    double begin = now_us();
    for (int i = 0; i < CYCLES; i++) {
        check(rein_process_continue(process) == 0);
        check(rein_process_stop(process, -1) == 0);
    }
    double end = now_us();
    check(rein_process_detach(process, 0) == 0);
    rein_process_unref(process);
    return (end - begin) / CYCLES;
}

/* ---- Where are they all? ---- */

static double plain_list(void *arg)
{
    struct target *target = arg;
    double begin = now_us();
    struct crowd crowd = floor_attach(target->pid, true);
    uint64_t *pcs = malloc(crowd.count * sizeof *pcs);
    check(pcs);
    floor_read_pcs(&crowd, pcs);
    floor_detach(&crowd);
    double end = now_us();
    free(pcs);
    return end - begin;
}

struct list {
    rein_process *process;
    rein_thread **threads;
    size_t count;
    rein_word *pcs;
};

static int read_pcs(void *arg)
{
    struct list *list = arg;
    check(rein_process_threads(list->process, &list->threads, &list->count) == 0);
    list->pcs = malloc(list->count * sizeof *list->pcs);
    check(list->pcs);
    for (size_t i = 0; i < list->count; i++) {
        rein_registers *registers;
        check(rein_thread_registers(list->threads[i], &registers) == 0);
        check(rein_registers_pc(registers, &list->pcs[i]) == 0);
        rein_registers_free(registers);
    }
    return 0;
}

static double rein_list(void *arg)
{
    struct target *target = arg;
    struct list list;
    double begin = now_us();
    check(rein_attach(monitor, target->pid, NULL, &list.process) == 0);
    check(rein_monitor_call(monitor, read_pcs, &list) == 0);
    check(rein_process_detach(list.process, 0) == 0);
    double end = now_us();
    free(list.pcs);
    rein_thread_list_free(list.threads, list.count);
    rein_process_unref(list.process);
    return end - begin;
}

static char listed_pid[16];

static double command_list(void *arg)
{
    (void)arg;
    char rein[4096];
    snprintf(rein, sizeof rein, "%s", beside("../rein"));
    char *const argv[] = {rein, (char *)"threads", listed_pid, NULL};
    return run_program(argv);
}

/* The innermost frame of each, with its symbol, as the others show. */
static double eu_stack_list(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"eu-stack", (char *)"-n", (char *)"1", (char *)"-p", listed_pid, NULL};
    return run_program(argv);
}

static double gdb_list(void *arg)
{
    (void)arg;
    char *const argv[] = {(char *)"gdb",      (char *)"-nx", (char *)"-batch",       (char *)"-p",
                          listed_pid, (char *)"-ex", (char *)"info threads", NULL};
    return run_program(argv);
}

/* A program that a peer was killed over may be left stopped: each has its own. */
static void list_by_programs(void)
{
    enum { THREADS = 5000 };
    static const struct {
        const char *name, *needs;
        measure list;
        int rounds;
    } ways[] = {{"rein", NULL, rein_list, 9},
                {"rein threads", NULL, command_list, 9},
                {"eu-stack", "eu-stack", eu_stack_list, 5},
                {"gdb", "gdb", gdb_list, 3}};
    unsigned threads = threads_max() < THREADS ? threads_max() : THREADS;
    char what[64];
    snprintf(what, sizeof what, "attach, list with pcs, detach %u threads", threads);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (ways[i].list == command_list && access(beside("../rein"), X_OK) != 0) {
            skip(what, ways[i].name, "was not built");
            continue;
        }
        if (ways[i].needs && !is_installed(ways[i].needs)) {
            skip(what, ways[i].name, "is not installed");
            continue;
        }
        struct target *target = target_start(threads - 1);
        snprintf(listed_pid, sizeof listed_pid, "%d", target->pid);
        compare(what, ways[i].name, ways[i].rounds, plain_list, ways[i].list, target);
        target_end(target);
    }
}

void bench_crowds(void)
{
    static const unsigned sizes[] = {1, 10, 100, 1000, 10000};
    check(rein_monitor_create(NULL, &monitor) == 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && sizes[i] <= threads_max(); i++) {
        struct target *target = target_start(sizes[i] - 1);
        int rounds = sizes[i] < 10000 ? 15 : 7;
        char what[64];
        snprintf(what, sizeof what, "attach, stop, detach %u thread%s", sizes[i], sizes[i] > 1 ? "s" : "");
        compare(what, "rein", rounds, plain_attach, rein_attach_detach, target);
        snprintf(what, sizeof what, "attach, list with pcs, detach %u thread%s", sizes[i], sizes[i] > 1 ? "s" : "");
        compare(what, "rein", rounds, plain_list, rein_list, target);
        snprintf(what, sizeof what, "continue, stop %u thread%s", sizes[i], sizes[i] > 1 ? "s" : "");
        compare(what, "rein", rounds, plain_stop, rein_stop, target);
        target_end(target);
    }
    list_by_programs();
    check(rein_monitor_close(monitor) == 0);
}
