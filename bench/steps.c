/* What a single-step costs, asked for one by one and many at once; and what an instruction costs that is single-stepped
 * for a software watchpoint's sake: rein's and gdb's. The floor does nothing but step, and does not look at what is
 * watched. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct stepped {
    struct target *free, *plain, *other; /* untraced; the floor's; rein's or gdb's */
};

static double free_steps(void *arg)
{
    struct stepped *stepped = arg;
    enum { COUNT = 100 };
    return target_do(stepped->free, WORK_STEPS, COUNT) / TARGET_STEPS;
}

static double plain_steps(void *arg)
{
    struct stepped *stepped = arg;
    target_ask(stepped->plain, WORK_STEPS, 1);
    floor_step(stepped->plain);
    return target_done(stepped->plain) / TARGET_STEPS;
}

static double other_steps(void *arg)
{
    struct stepped *stepped = arg;
    return target_do(stepped->other, WORK_STEPS, 1) / TARGET_STEPS;
}

static void compare_rein(struct stepped *stepped)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_monitor *monitor;
    rein_process *process;
    stepped->other = target_start(0);
    check(rein_monitor_create(NULL, &monitor) == 0);
    check(rein_attach(monitor, stepped->other->pid, NULL, &process) == 0);
    options.flags = REIN_WATCH_SOFTWARE;
    check(rein_process_add_watchpoint(process, stepped->other->page->block, 8, REIN_WATCH_WRITE, &options, NULL) == 0);
    check(rein_process_continue(process) == 0);
    compare("watched instruction, software / untraced", "rein", 21, free_steps, other_steps, stepped);
    compare("  the same / stepped by hand", "rein", 21, plain_steps, other_steps, stepped);
    rein_process_unref(process);
    check(rein_monitor_close(monitor) == 0);
    target_end(stepped->other);
}

static void compare_gdb(struct stepped *stepped)
{
    static const char what[] = "  the same / stepped by hand";
    char path[] = "/tmp/bench-XXXXXX", pid[16];
    if (!is_installed("gdb")) {
        skip(what, "gdb", "is not installed");
        return;
    }
    int fd = mkstemp(path);
    check(fd >= 0);
    stepped->other = target_start(0);
    snprintf(pid, sizeof pid, "%d", stepped->other->pid);
    check(dprintf(fd, "set pagination off\nset confirm off\nset can-use-hw-watchpoints 0\nwatch *(long *)0x%lx\ncontinue\n",
                  (unsigned long)stepped->other->page->block) > 0);
    close(fd);
    char *const argv[] = {(char *)"gdb", (char *)"-nx", (char *)"-batch", (char *)"-p", pid, (char *)"-x", path, NULL};
    pid_t gdb = start_program(argv);
    for (int tries = 0, slow = 0; slow < 3; tries++) { /* now it steps */
        check(tries < 1000);
        slow = other_steps(stepped) < 1 ? 0 : slow + 1;
        usleep(slow ? 1000 : 20000);
    }
    compare(what, "gdb", 5, plain_steps, other_steps, stepped);
    kill(gdb, SIGKILL);
    wait_for_end(gdb);
    target_end(stepped->other);
    unlink(path);
}

/* ---- Steps for the caller ---- */

enum { PLAIN_STEPS = 2000, FOR_EVER = 1u << 30 };

struct walked {
    struct target *plain, *other;
    rein_thread *thread, *stepped; /* rein executes what it can itself; the processor all */
};

static double walk_by_hand(void *arg)
{
    const struct walked *walked = arg;
    double begin = now_us();
    floor_steps(walked->plain->page->worker, PLAIN_STEPS);
    return (now_us() - begin) / PLAIN_STEPS;
}

static double walk(rein_thread *thread)
{
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.count = PLAIN_STEPS;
    double begin = now_us();
    check(rein_thread_step_many(thread, &options, -1, NULL) == 0);
    return (now_us() - begin) / PLAIN_STEPS;
}

static double walk_in_one(void *arg)
{
    return walk(((const struct walked *)arg)->stepped);
}

static double walk_as_ever(void *arg)
{
    return walk(((const struct walked *)arg)->thread);
}

static double walk_one_by_one(void *arg)
{
    const struct walked *walked = arg;
    double begin = now_us();
    for (int i = 0; i < PLAIN_STEPS; i++)
        check(rein_thread_step(walked->thread, 0, -1) == 0);
    return (now_us() - begin) / PLAIN_STEPS;
}

/* A program that calls a short function over and over. */
static rein_thread *take(const struct rein_monitor_options *options, struct target **target, rein_monitor **monitor)
{
    rein_process *process;
    rein_thread *thread;
    *target = target_start(0);
    target_ask(*target, WORK_HITS, FOR_EVER);
    check(rein_monitor_create(options, monitor) == 0);
    check(rein_attach(*monitor, (*target)->pid, NULL, &process) == 0);
    check(rein_process_thread(process, (*target)->page->worker, &thread) == 0);
    rein_process_unref(process);
    return thread;
}

static void compare_walks(void)
{
    struct walked walked = {.plain = target_start(0)};
    struct target *stepped;
    rein_monitor *monitor, *stepping;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    options.flags = REIN_MONITOR_STEP_OVER;
    target_ask(walked.plain, WORK_HITS, FOR_EVER);
    struct crowd crowd = floor_attach(walked.plain->pid, true);
    walked.thread = take(NULL, &walked.other, &monitor);
    walked.stepped = take(&options, &stepped, &stepping);
    compare("single step, many for a request / by hand", "rein", 21, walk_by_hand, walk_as_ever, &walked);
    compare("  the same, each by the processor", "rein", 21, walk_by_hand, walk_in_one, &walked);
    compare("  one for a request", "rein", 21, walk_by_hand, walk_one_by_one, &walked);
    rein_thread_unref(walked.thread);
    rein_thread_unref(walked.stepped);
    check(rein_monitor_close(monitor) == 0);
    check(rein_monitor_close(stepping) == 0);
    floor_detach(&crowd);
    target_end(walked.plain);
    target_end(walked.other);
    target_end(stepped);
}

void bench_steps(void)
{
    compare_walks();
    struct stepped stepped = {.free = target_start(0), .plain = target_start(0)};
    struct crowd crowd = floor_attach(stepped.plain->pid, true);
    compare_rein(&stepped);
    compare_gdb(&stepped);
    floor_detach(&crowd);
    target_end(stepped.plain);
    target_end(stepped.free);
}
