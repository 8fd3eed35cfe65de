/* Does a hit with a false condition cost more when there are many: idle threads, threads that hit at once, breakpoints? The floor
 * of each line is rein itself, with one of them. */
#include "bench.h"

#include <stdio.h>

struct held {
    struct target *target;
    rein_monitor *monitor;
    rein_process *process;
};

struct both {
    struct held one, many;
    enum target_work one_work, many_work;
    uint32_t count;
};

/* reg 0; const8 42; equal */
static const unsigned char is_false[] = {0x26, 0, 0, 0x22, 42, 0x13, 0x27};

static struct held hold(unsigned idle, unsigned hitters)
{
    struct held held = {.target = target_start_with(idle, hitters)};
    check(rein_monitor_create(NULL, &held.monitor) == 0);
    check(rein_attach(held.monitor, held.target->pid, NULL, &held.process) == 0);
    return held;
}

static void add_breakpoints(struct held *held, rein_word first, unsigned count)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    check(rein_bytecode_create(is_false, sizeof is_false, &options.condition) == 0);
    for (unsigned i = 0; i < count; i++)
        check(rein_process_add_breakpoint(held->process, first + i * TARGET_DISTANCE, &options, NULL) == 0);
    rein_bytecode_unref(options.condition);
    check(rein_process_continue(held->process) == 0);
}

static void let_go(struct held *held)
{
    rein_process_unref(held->process);
    check(rein_monitor_close(held->monitor) == 0);
    target_end(held->target);
}

static double hits_of_one(void *arg)
{
    struct both *both = arg;
    return target_do(both->one.target, both->one_work, both->count);
}

static double hits_of_many(void *arg)
{
    struct both *both = arg;
    return target_do(both->many.target, both->many_work, both->count);
}

static void among_idle_threads(unsigned idle)
{
    struct both both = {hold(0, 0), hold(idle, 0), WORK_HITS, WORK_HITS, 300};
    char what[64];
    add_breakpoints(&both.one, both.one.target->page->hot, 1);
    add_breakpoints(&both.many, both.many.target->page->hot, 1);
    snprintf(what, sizeof what, "false condition, %u idle threads / none", idle);
    compare(what, "rein", 21, hits_of_one, hits_of_many, &both);
    let_go(&both.one);
    let_go(&both.many);
}

void bench_many(void)
{
    enum { AT_ONCE = 8 };
    static const unsigned sizes[] = {100, 1000, 10000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && sizes[i] <= threads_max(); i++)
        among_idle_threads(sizes[i]);

    struct both crowd = {hold(0, 0), hold(0, AT_ONCE), WORK_HITS, WORK_CROWD, 300};
    add_breakpoints(&crowd.one, crowd.one.target->page->hot, 1);
    add_breakpoints(&crowd.many, crowd.many.target->page->hot, 1);
    compare("false condition, 8 threads at once / 1", "rein", 21, hits_of_one, hits_of_many, &crowd);
    let_go(&crowd.one);
    let_go(&crowd.many);

    struct both all = {hold(0, 0), hold(0, 0), WORK_HITS, WORK_FUNCTIONS, TARGET_FUNCTIONS};
    add_breakpoints(&all.one, all.one.target->page->hot, 1);
    add_breakpoints(&all.many, all.many.target->page->functions, TARGET_FUNCTIONS);
    compare("false condition, 1000 breakpoints / 1", "rein", 21, hits_of_one, hits_of_many, &all);
    let_go(&all.one);
    let_go(&all.many);
}
