/* while-stepping: after the hit of a tracepoint its thread makes a number of steps, and something is collected after each.
 *
 * The hit stops the thread, alone, and the server's loop has it make steps (rein_thread_step_many); the monitor collects after each of
 * them, until all are made, and the thread stops once more, for the loop to let it run. To the client it is running all the time.
 * Such a thread is a WALKER. It may be about the steps of several tracepoints, for those that it comes to on its way are hits as
 * ever.
 *
 * Whatever else stops it, for the client, or for a signal, ends the run; the rest of the steps is made when it is resumed. A thread
 * that the client steps makes no steps of ours. */
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "trace.h"

static struct trace_walker *find(struct tracing *tracing, int tid)
{
    for (size_t i = 0; i < tracing->walker_count; i++)
        if (tracing->walkers[i].tid == tid)
            return &tracing->walkers[i];
    return NULL;
}

static void remove_walker(struct tracing *tracing, int tid)
{
    struct trace_walker *walker = find(tracing, tid);
    if (walker)
        *walker = tracing->walkers[--tracing->walker_count];
    for (size_t i = tracing->step_count; i-- > 0;)
        if (tracing->steps[i].tid == tid)
            tracing->steps[i] = tracing->steps[--tracing->step_count];
}

/* ---- On the monitor ---- */

bool trace_add_walker(struct tracing *tracing, int tid)
{
    struct trace_walker *walker = find(tracing, tid), *grown;
    if (!walker) {
        grown = realloc(tracing->walkers, (tracing->walker_count + 1) * sizeof *grown);
        if (!grown)
            return false;
        tracing->walkers = grown;
        walker = &grown[tracing->walker_count++];
    }
    *walker = (struct trace_walker){.tid = tid, .stage = WALKER_WAITS};
    return true;
}

void trace_stand(struct tracing *tracing, rein_thread *thread)
{
    struct trace_walker *walker = find(tracing, rein_thread_id(thread));
    if (walker)
        walker->stage = WALKER_STANDS;
}

/* It has made one. What it had to do for tracepoints that it has made all steps for is done. */
void trace_take_step(struct tracing *tracing, rein_thread *thread)
{
    struct trace_walker *walker = find(tracing, rein_thread_id(thread));
    if (!walker || walker->stage != WALKER_WALKS || walker->is_counted)
        return;
    walker->is_counted = true;
    for (size_t i = 0; i < tracing->step_count;) {
        struct trace_steps *steps = &tracing->steps[i];
        struct tracepoint *point =
            steps->tid == walker->tid ? trace_find(tracing, steps->number, steps->address, false) : NULL;
        bool is_last = steps->tid == walker->tid && (!point || --steps->left == 0);
        if (is_last) /* order does not matter but within a thread */
            memmove(steps, steps + 1, (--tracing->step_count - i) * sizeof *steps);
        if (point)
            trace_collect_step(tracing, thread, point, is_last);
        if (!tracing->running)
            tracing->step_count = 0;
        i += !is_last;
    }
}

static bool has_steps(const struct tracing *tracing, int tid)
{
    for (size_t i = 0; i < tracing->step_count; i++)
        if (tracing->steps[i].tid == tid)
            return true;
    return false;
}

/* Has it made enough of them? */
static bool until(rein_thread *thread, void *arg)
{
    struct tracing *tracing = arg;
    int tid = rein_thread_id(thread);
    trace_take_step(tracing, thread);
    struct trace_walker *walker = find(tracing, tid);
    if (walker)
        walker->is_counted = false;
    if (walker && has_steps(tracing, tid))
        return false;
    if (walker)
        walker->stage = WALKER_IS_DONE;
    return true;
}

enum rein_verdict trace_event(struct tracing *tracing, rein_thread *thread, const struct rein_cause *cause,
                              enum rein_verdict verdict)
{
    struct trace_walker *walker = tracing->walker_count ? find(tracing, rein_thread_id(thread)) : NULL;
    if (!walker)
        return verdict;
    if (cause->kind == REIN_CAUSE_STEP && walker->stage == WALKER_WALKS) { /* until() is not asked then */
        trace_take_step(tracing, thread);
        walker->stage = has_steps(tracing, walker->tid) ? WALKER_IS_HALTED : WALKER_IS_DONE;
    }
    if (cause->kind == REIN_CAUSE_STEP && (walker->stage == WALKER_IS_HALTED || walker->stage == WALKER_IS_DONE))
        return REIN_VERDICT_STOP_THREAD;
    if (cause->kind == REIN_CAUSE_THREAD_EXIT) {
        remove_walker(tracing, walker->tid);
        return verdict;
    }
    if (cause->kind == REIN_CAUSE_GROUP_STOP && walker->stage == WALKER_WALKS) {
        walker->stage = WALKER_IS_DONE; /* it is in that stop until somebody ends it, and steps no more */
        return REIN_VERDICT_STOP_THREAD;
    }
    bool is_passed = verdict == REIN_VERDICT_GO_ON || tracing->server->unattended;
    if (cause->kind == REIN_CAUSE_SIGNAL && is_passed && walker->stage == WALKER_WALKS) {
        walker->stage = WALKER_HAS_SIGNAL; /* it is delivered by the next step */
        return REIN_VERDICT_STOP_THREAD;
    }
    return verdict;
}

/* ---- In the loop ---- */

struct walk_request {
    rein_thread *thread;
    enum rein_cause_kind cause;
    bool is_ours, walks;
};

static void take_on_monitor(struct trace_request *request)
{
    struct walk_request *walk = request->more;
    struct tracing *tracing = request->tracing;
    struct trace_walker *walker = find(tracing, rein_thread_id(walk->thread));
    if (!walker)
        return;
    walk->is_ours =
        (walk->cause == REIN_CAUSE_BREAKPOINT && walker->stage == WALKER_WAITS) ||
        (walk->cause == REIN_CAUSE_SIGNAL && walker->stage == WALKER_HAS_SIGNAL) ||
        (walk->cause == REIN_CAUSE_STEP && walker->stage == WALKER_IS_HALTED) ||
        ((walk->cause == REIN_CAUSE_STEP || walk->cause == REIN_CAUSE_GROUP_STOP) && walker->stage == WALKER_IS_DONE);
    if (walker->stage == WALKER_IS_DONE)
        remove_walker(tracing, walker->tid);
    else
        walker->stage = WALKER_STANDS;
}

static void set_out(struct trace_request *request)
{
    struct walk_request *walk = request->more;
    struct tracing *tracing = request->tracing;
    int tid = rein_thread_id(walk->thread);
    struct trace_walker *walker = find(tracing, tid);
    walk->walks = walker && tracing->running && has_steps(tracing, tid);
    if (walk->walks)
        *walker = (struct trace_walker){.tid = tid, .stage = WALKER_WALKS};
    else if (walker)
        remove_walker(tracing, tid);
}

static void give_up(struct trace_request *request)
{
    const struct walk_request *walk = request->more;
    remove_walker(request->tracing, rein_thread_id(walk->thread));
}

bool trace_has_walkers(const struct server *server)
{
    return server->tracing && server->tracing->has_walkers;
}

static void look_between(struct trace_request *request)
{
    struct walk_request *walk = request->more;
    const struct trace_walker *walker = find(request->tracing, rein_thread_id(walk->thread));
    walk->walks = walker && walker->stage != WALKER_WALKS && walker->stage != WALKER_STANDS;
}

bool trace_is_between(struct server *server, rein_thread *thread)
{
    struct walk_request walk = {.thread = thread};
    struct trace_request request = {.more = &walk};
    return trace_has_walkers(server) && trace_call(server->tracing, look_between, &request) && walk.walks;
}

bool trace_take_event(struct server *server, rein_thread *thread, const struct rein_cause *cause)
{
    struct walk_request walk = {.thread = thread, .cause = cause->kind};
    struct trace_request request = {.more = &walk};
    return trace_has_walkers(server) && trace_call(server->tracing, take_on_monitor, &request) && walk.is_ours;
}

bool trace_walk_on(struct server *server, rein_thread *thread)
{
    struct tracing *tracing = server->tracing;
    struct walk_request walk = {.thread = thread};
    struct trace_request request = {.more = &walk};
    if (!trace_has_walkers(server) || !trace_call(tracing, set_out, &request) || !walk.walks)
        return false;
    struct rein_step_options steps = REIN_STEP_OPTIONS_INIT;
    steps.flags = REIN_STEP_BEGIN | REIN_STEP_DELIVER;
    steps.until = until;
    steps.arg = tracing;
    if (rein_thread_step_many(thread, &steps, -1, NULL) == 0)
        return true;
    trace_call(tracing, give_up, &request); /* it is about to exit, say */
    return false;
}
