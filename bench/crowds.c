/* What it costs to take, stop, continue and let go a process with very many threads. One program, in turns. */
#include "bench.h"

#include <stdio.h>

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
        snprintf(what, sizeof what, "continue, stop %u thread%s", sizes[i], sizes[i] > 1 ? "s" : "");
        compare(what, "rein", rounds, plain_stop, rein_stop, target);
        target_end(target);
    }
    check(rein_monitor_close(monitor) == 0);
}
