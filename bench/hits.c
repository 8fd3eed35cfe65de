/* What one stop of one thread costs: breakpoint hits that a callback answers, other events while many threads are
 * traced, and the cycle of stop, wait and continue of who uses rein as its ancestor was used. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

/* Two programs of the same size: one for the floor, one for rein. */
struct pair {
    struct target *plain, *reined;
    struct crowd crowd; /* of the plain one */
    rein_monitor *monitor;
    rein_process *process;
    long original; /* where the plain one has a breakpoint */
    uint32_t count;
};

static struct pair pair_start(unsigned threads, uint32_t count)
{
    struct pair pair = {.plain = target_start(threads), .reined = target_start(threads), .count = count};
    check(rein_monitor_create(NULL, &pair.monitor) == 0);
    check(rein_attach(pair.monitor, pair.reined->pid, NULL, &pair.process) == 0);
    pair.crowd = floor_attach(pair.plain->pid, true);
    return pair;
}

static void pair_run(struct pair *pair)
{
    floor_continue(&pair->crowd);
    check(rein_process_continue(pair->process) == 0);
}

static void pair_end(struct pair *pair)
{
    rein_process_unref(pair->process);
    check(rein_monitor_close(pair->monitor) == 0);
    target_end(pair->reined);
    floor_interrupt(&pair->crowd);
    floor_detach(&pair->crowd);
    target_end(pair->plain);
}

static double plain_traps(void *arg)
{
    struct pair *pair = arg;
    target_ask(pair->plain, WORK_TRAPS, pair->count);
    floor_serve(pair->plain->page->worker, pair->count);
    return target_done(pair->plain);
}

static double plain_hits(void *arg)
{
    struct pair *pair = arg;
    target_ask(pair->plain, WORK_HITS, pair->count);
    floor_serve_breakpoint(pair->plain->page->worker, pair->plain->page->hot, pair->original, pair->count);
    return target_done(pair->plain);
}

static double plain_signals(void *arg)
{
    struct pair *pair = arg;
    target_ask(pair->plain, WORK_SIGNALS, pair->count);
    floor_serve(pair->plain->page->worker, pair->count);
    return target_done(pair->plain);
}

static double plain_signals_of_any(void *arg)
{
    struct pair *pair = arg;
    target_ask(pair->plain, WORK_SIGNALS, pair->count);
    floor_serve_any(pair->count);
    return target_done(pair->plain);
}

static double rein_hits(void *arg)
{
    struct pair *pair = arg;
    return target_do(pair->reined, WORK_HITS, pair->count);
}

static double rein_signals(void *arg)
{
    struct pair *pair = arg;
    return target_do(pair->reined, WORK_SIGNALS, pair->count);
}

/* ---- Handled breakpoint hits ---- */

static enum rein_verdict go_on_hit(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    (void)thread;
    (void)breakpoint;
    (void)arg;
    return REIN_VERDICT_GO_ON;
}

/* reg 0; const8 42; equal: false. And the same of what the stack pointer points to. */
static const unsigned char by_register[] = {0x26, 0, 0, 0x22, 42, 0x13, 0x27},
                           by_memory[] = {0x26, 0, 7, 0x1a, 0x22, 42, 0x13, 0x27};

static void set_condition(rein_breakpoint *breakpoint, const unsigned char *code, size_t size)
{
    rein_bytecode *condition;
    check(rein_bytecode_create(code, size, &condition) == 0);
    check(rein_breakpoint_set_condition(breakpoint, condition) == 0);
    rein_bytecode_unref(condition);
}

void bench_hits(void)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint;
    options.callback = go_on_hit;

    struct pair alone = pair_start(0, 500);
    check(rein_process_add_breakpoint(alone.process, alone.reined->page->hot, &options, &breakpoint) == 0);
    alone.original = floor_put_breakpoint(alone.plain->pid, alone.plain->page->hot);
    pair_run(&alone);
    compare("breakpoint hit, 1 thread / own int3", "rein", 21, plain_traps, rein_hits, &alone);
    compare("  the same / stepped over by hand", "rein", 21, plain_hits, rein_hits, &alone);
    set_condition(breakpoint, by_register, sizeof by_register);
    compare("false condition, 1 thread / own int3", "rein", 21, plain_traps, rein_hits, &alone);
    set_condition(breakpoint, by_memory, sizeof by_memory);
    compare("  the same, of memory", "rein", 21, plain_traps, rein_hits, &alone);
    rein_breakpoint_unref(breakpoint);
    pair_end(&alone);

    struct pair crowded = pair_start(100, 40);
    check(rein_process_add_breakpoint(crowded.process, crowded.reined->page->hot, &options, &breakpoint) == 0);
    pair_run(&crowded);
    compare("breakpoint hit, 100 idle threads / own int3", "rein", 21, plain_traps, rein_hits, &crowded);
    set_condition(breakpoint, by_register, sizeof by_register);
    compare("false condition, 100 idle threads / own int3", "rein", 21, plain_traps, rein_hits, &crowded);
    rein_breakpoint_unref(breakpoint);
    pair_end(&crowded);
}

/* ---- Events while others are traced ---- */

static enum rein_verdict go_on(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)thread;
    (void)cause;
    (void)arg;
    return REIN_VERDICT_GO_ON;
}

void bench_events(void)
{
    static const unsigned sizes[] = {0, 100, 1000, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && sizes[i] <= threads_max(); i++) {
        struct pair pair = pair_start(sizes[i], 200);
        check(rein_process_set_callback(pair.process, go_on, NULL) == 0);
        pair_run(&pair);
        char what[64];
        snprintf(what, sizeof what, "signal event, %u others traced", sizes[i]);
        compare(what, "rein", 21, plain_signals, rein_signals, &pair);
        compare("  the same", "wait4(-1)", 11, plain_signals, plain_signals_of_any, &pair);
        pair_end(&pair);
    }
}

/* ---- Stop all, wait, continue ---- */

static double plain_cycles(void *arg)
{
    struct pair *pair = arg;
    target_ask(pair->plain, WORK_TRAPS, pair->count);
    floor_serve_stopping_all(&pair->crowd, pair->plain->page->worker, pair->count);
    return target_done(pair->plain);
}

static double rein_cycles(void *arg)
{
    struct pair *pair = arg;
    target_ask(pair->reined, WORK_HITS, pair->count);
    for (uint32_t i = 0; i < pair->count; i++) {
        struct rein_event event;
        check(rein_process_wait(pair->process, -1) == 0);
        check(rein_process_next_event(pair->process, 0, &event) == 0 && event.cause.kind == REIN_CAUSE_BREAKPOINT);
        rein_event_clear(&event);
        check(rein_process_continue(pair->process) == 0);
    }
    return target_done(pair->reined);
}

void bench_cycles(void)
{
    static const unsigned sizes[] = {0, 10, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct pair pair = pair_start(sizes[i], sizes[i] < 100 ? 100 : 20);
        check(rein_process_add_breakpoint(pair.process, pair.reined->page->hot, NULL, NULL) == 0);
        pair_run(&pair);
        char what[64];
        snprintf(what, sizeof what, "hit, stop all, wait, continue: %u thread%s", sizes[i] + 1, sizes[i] ? "s" : "");
        compare(what, "rein", 21, plain_cycles, rein_cycles, &pair);
        pair_end(&pair);
    }
}
