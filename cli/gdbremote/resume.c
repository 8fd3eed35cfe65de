/* Letting threads run: who runs, and with which signal.
 *
 * A resume comes with actions for threads (actions.c), and may be answered without running anybody (hits.c).
 *
 * STEPS BEGIN, AND THE OTHERS RUN ON, by one call of the monitor: otherwise a step's end, which stops all, could come before their
 * start. The loop hears of its end by an event, be it one step or a range.
 *
 * A SIGNAL with which a thread is to go on is exchanged for the one that has stopped it; who was stopped by something else is
 * sent it by tgkill, and the callback lets it through once (filter.c). It ends a step, though, before that has done anything: the
 * step is begun once more from there, with the signal, and ends in the handler. Such a step begins before the others run: with
 * these the breakpoints come into memory, and the instruction under one would be executed in front of the signal.
 *
 * WHO IS TO STOP, in non-stop mode, is asked to, and told of when it has. */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "resume.h"
#include "server.h"

/* How long an answer to vCont;t waits, at most, so that what can stop at once is told at once. */
enum { STOP_LIMIT_MS = 200 };

struct resume *resume_of(struct server *server)
{
    if (server->resume)
        return server->resume;
    struct resume *resume = calloc(1, sizeof *resume);
    if (resume) {
        marks_init(&resume->marks);
        resume->server = server;
    }
    server->resume = resume;
    return resume;
}

void resume_forget(struct server *server, int pid, int tid)
{
    struct resume *resume = server->resume;
    if (resume)
        marks_forget(&resume->marks, pid, tid);
}

void resume_forget_client(struct server *server)
{
    struct resume *resume = server->resume;
    if (!resume)
        return;
    resume->passed = 0;
    marks_forget_all_but(&resume->marks, STEPPING);
}

void resume_end(struct server *server)
{
    struct resume *resume = server->resume;
    if (!resume)
        return;
    resume->partly = resume->one_ended = false;
}

void resume_free(struct server *server)
{
    struct resume *resume = server->resume;
    if (!resume)
        return;
    resume_end(server);
    marks_free(&resume->marks);
    free(resume);
    server->resume = NULL;
}

/* ---- Signals ---- */

/* To one that was not stopped by a signal; it gets it when it runs. 0: none. details: see struct mark. */
static void send_signal(struct resume *resume, rein_thread *thread, int number, const struct rein_signal *details)
{
    int pid = rein_process_id(rein_thread_process(thread)), tid = rein_thread_id(thread);
    if (number && marks_add(&resume->marks, SENT, thread, number, details) &&
        syscall(SYS_tgkill, (long)pid, (long)tid, (long)number) != 0)
        marks_take(&resume->marks, SENT, tid, &number, NULL);
}

static void give_signal(struct server *server, rein_thread *thread, int number)
{
    struct resume *resume = resume_of(server);
    enum rein_state state;
    int tid = rein_thread_id(thread), kept = 0;
    if (!resume || rein_thread_state(thread, &state) != 0 || !rein_state_is_stopped(state))
        return;
    if (marks_take(&resume->marks, LATER, tid, &kept, NULL) && !number) {
        number = kept;
    } else if (kept && rein_thread_set_signal(thread, kept) == 0) {
        send_signal(resume, thread, number, NULL); /* two */
        number = 0;
        state = REIN_STATE_STOPPED;
    }
    marks_take(&resume->marks, STEPPING, tid, NULL, NULL); /* of a step that was stopped before its end */
    /* What gdb has written back after a call: the program's handler gets these details, as if nothing had come in between. */
    struct rein_signal details = {.number = 0};
    bool has_details = number && server->written_siginfo.tid == tid && server->written_siginfo.signal.number == number;
    if (has_details)
        details = server->written_siginfo.signal;
    if (state == REIN_STATE_STOPPED_SIGNAL && rein_thread_set_signal(thread, has_details ? 0 : number) == 0 &&
        !has_details)
        return;
    send_signal(resume, thread, number, &details);
}

/* The client gives signals to threads that do not run yet. */
static void keep_signals(struct server *server, const struct action *actions, size_t count)
{
    struct resume *resume = resume_of(server);
    for (size_t i = 0; resume && i < count; i++) {
        rein_thread *thread = NULL;
        if (!actions[i].signal || actions[i].tid <= 0)
            continue;
        /* Who was stopped by one keeps it until he runs. */
        server_resolve(server, actions[i].pid, actions[i].tid, &thread);
        if (thread && rein_thread_set_signal(thread, actions[i].signal) != 0)
            send_signal(resume, thread, actions[i].signal, NULL);
        rein_thread_unref(thread);
    }
}

/* ---- Steps ---- */

/* The thread, or all of them if it is NULL. Breakpoints whose memory the program has given back (dlclose) are the client's to
 * take out when it gets to know; until then they keep nobody from running. */
static int let_run(struct inferior *inferior, rein_thread *thread)
{
    int result = thread ? rein_thread_continue(thread) : rein_process_continue(inferior->process);
    if (result == REIN_BAD_ADDRESS && points_leave_gone(inferior))
        result = thread ? rein_thread_continue(thread) : rein_process_continue(inferior->process);
    return result;
}

static void begin_step(struct server *server, struct inferior *inferior, rein_thread *thread,
                       const struct action *action)
{
    struct resume *resume = resume_of(server);
    if (resume)
        marks_add(&resume->marks, STEPPING, thread, 0, NULL);
    struct rein_step_options steps = REIN_STEP_OPTIONS_INIT;
    steps.flags = REIN_STEP_BEGIN | (action->signal ? REIN_STEP_DELIVER : 0u);
    steps.low = action->low;
    steps.high = action->high;
    int result = action->kind == 'r' ? rein_thread_step_many(thread, &steps, -1, NULL)
                                     : rein_thread_step(thread, action->signal ? REIN_STEP_DELIVER : 0, 0);
    if (result != 0 && result != REIN_TIMEOUT)
        let_run(inferior, thread); /* it is exiting, and can do nothing else */
}

bool resume_is_stepping(struct server *server, int tid)
{
    return server->resume && marks_has(&server->resume->marks, STEPPING, tid);
}

bool resume_step_again(struct server *server, rein_thread *thread, bool halting)
{
    struct resume *resume = server->resume;
    int number = 0, tid = rein_thread_id(thread);
    if (!resume || !marks_take(&resume->marks, AGAIN, tid, &number, NULL))
        return false;
    if (halting) {
        marks_add(&resume->marks, LATER, thread, number, NULL);
        return true;
    }
    rein_thread_set_signal(thread, number);
    marks_add(&resume->marks, STEPPING, thread, 0, NULL);
    int result = rein_thread_step(thread, REIN_STEP_DELIVER, 0);
    return result == 0 || result == REIN_TIMEOUT;
}

bool resume_take_step(struct server *server, rein_thread *thread)
{
    struct resume *resume = server->resume;
    return resume && marks_take(&resume->marks, STEPPING, rein_thread_id(thread), NULL, NULL);
}

/* ---- Stopping ---- */

bool resume_was_asked(struct server *server, int tid)
{
    return server->resume && marks_take(&server->resume->marks, ASKED, tid, NULL, NULL);
}

bool resume_collect_asked(struct server *server)
{
    struct resume *resume = server->resume;
    if (!resume || !marks_has(&resume->marks, ASKED, 0))
        return false;
    bool any = false;
    for (struct walk walk = walk_all(server); walk_next(&walk);) {
        struct rein_cause cause;
        int tid = rein_thread_id(walk.thread);
        if (!marks_has(&resume->marks, ASKED, tid))
            continue;
        if (!rein_state_is_stopped(walk.state) || rein_thread_cause(walk.thread, &cause) != 0) {
            any = true;
            continue;
        }
        if (cause.kind == REIN_CAUSE_STOPPED &&
            resume_was_asked(server, tid)) /* other causes are told by their events */
            stops_add(server, walk.thread, &cause, 0);
        rein_cause_clear(&cause);
    }
    return any;
}

/* Non-stop: the threads named are stopped, each with a stop of its own; signal 0 says that it was by request. Who cannot stop now,
 * a vfork parent or one in the kernel, is told of when it has. */
static void stop_threads(struct server *server, const struct action *actions, size_t number)
{
    struct resume *resume = resume_of(server);
    bool any = false;
    for (size_t i = 0; i < number; i++)
        any |= actions[i].kind == 't';
    if (!any || !resume)
        return;
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        rein_thread **threads;
        size_t count;
        if (rein_process_threads(inferior->process, &threads, &count) != 0)
            continue;
        for (size_t i = 0; i < count; i++) {
            const struct action *action = action_for(actions, number, inferior, rein_thread_id(threads[i]));
            enum rein_state state;
            if (action && action->kind == 't' && rein_thread_state(threads[i], &state) == 0 &&
                (rein_state_is_running(state) || trace_is_between(server, threads[i])) &&
                !marks_has(&resume->marks, ASKED, rein_thread_id(threads[i])) &&
                marks_add(&resume->marks, ASKED, threads[i], 0, NULL))
                rein_thread_stop(threads[i], 0);
        }
        int limit = STOP_LIMIT_MS;
        for (size_t i = 0; i < count; i++)
            if (marks_has(&resume->marks, ASKED, rein_thread_id(threads[i])) &&
                rein_thread_stop(threads[i], limit) != 0)
                limit = 0;
        rein_thread_list_free(threads, count);
    }
}

/* ---- Running ---- */

bool resume_has_news(struct server *server)
{
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        if (stops_waiting(inferior))
            return true;
    }
    return false;
}

/* One resume. */
struct others {
    struct server *server;
    const struct action *actions;
    size_t count;
    rein_thread *stepper; /* NULL: nobody steps */
    bool any;             /* something is said of somebody who is there */
    bool begun;           /* its step has, before this */
    bool failed;          /* a breakpoint could not be put in */
    bool later;           /* there is something to be heard first */
};

static bool is_to_step_again(const struct server *server, const rein_thread *stepper)
{
    return server->resume && marks_has(&server->resume->marks, AGAIN, rein_thread_id(stepper));
}

/* If it has begun before, in all-stop mode: everything has stopped, or is about to. */
static bool is_over(const struct others *others)
{
    enum rein_state state;
    return others->begun && !others->server->non_stop && rein_thread_state(others->stepper, &state) == 0 &&
           rein_state_is_stopped(state) && !is_to_step_again(others->server, others->stepper);
}

/* Who runs now is not to stop any more, and gets the signal that it stands at. */
static bool is_settled(const struct mark *mark, void *arg)
{
    const struct others *others = arg;
    const struct inferior *inferior = inferior_find(others->server, mark->pid);
    const struct action *action = inferior ? action_for(others->actions, others->count, inferior, mark->tid) : NULL;
    return (mark->kind == LATER || mark->kind == ASKED) && action && action->kind != 't';
}

static void drop_marks(struct others *others)
{
    struct resume *resume = resume_of(others->server);
    struct mark dropped;
    while (resume && marks_take_if(&resume->marks, is_settled, others, &dropped)) {
    }
}

static bool covers_all(const struct server *server, const struct action *actions, size_t count)
{
    for (const struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        if (!action_for(actions, count, inferior, -2))
            return false;
    return true;
}

typedef void (*meant_call)(struct others *others, struct inferior *inferior, rein_thread *thread,
                           const struct action *action);

/* For the thread, if it is there, and this is what is said of it. */
static void call_if_meant(struct others *others, int pid, int tid, const struct action *action, meant_call call)
{
    struct server *server = others->server;
    rein_thread *thread = NULL;
    struct inferior *inferior = server_resolve(server, pid, tid, &thread);
    bool held = inferior && server->non_stop && stops_has(server, inferior->id, tid);
    if (inferior && !held && action_for(others->actions, others->count, inferior, tid) == action) {
        others->any = true;
        if (action->kind != 't')
            call(others, inferior, thread, action);
    }
    rein_thread_unref(thread);
}

/* Those of whom something in particular is said; and the one that was told of last, if nothing is, but of its process: it steps as
 * only one can, or goes on without its signal. */
static void for_each_meant(struct others *others, meant_call call)
{
    struct server *server = others->server;
    for (size_t i = 0; i < others->count; i++)
        if (others->actions[i].tid > 0)
            call_if_meant(others, others->actions[i].pid, others->actions[i].tid, &others->actions[i], call);
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        const struct action *all = action_for(others->actions, others->count, inferior, -2);
        others->any |= all != NULL;
        if (all && server->has_last && server->last.pid == inferior->id)
            call_if_meant(others, server->last.pid, server->last.tid, all, call);
    }
}

static void give_its_signal(struct others *others, struct inferior *inferior, rein_thread *thread,
                            const struct action *action)
{
    (void)inferior;
    give_signal(others->server, thread, action->signal);
}

static void step_it(struct others *others, struct inferior *inferior, rein_thread *thread, const struct action *action)
{
    if (action->kind != 's' && action->kind != 'r')
        return;
    begin_step(others->server, inferior, thread, action);
    if (!others->stepper)
        others->stepper = rein_thread_ref(thread);
}

static bool steps_with_signal(const struct action *actions, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= (actions[i].kind == 's' || actions[i].kind == 'r') && actions[i].signal;
    return any;
}

/* Those that have steps to make for tracepoints make these first. */
static void begin_walks(struct others *others)
{
    struct server *server = others->server;
    for (struct walk walk = walk_all(server); walk_next(&walk);) {
        int tid = rein_thread_id(walk.thread);
        const struct action *action = action_for(others->actions, others->count, walk.inferior, tid);
        if (action && action->kind == 'c' && rein_state_is_stopped(walk.state) &&
            !stops_has(server, walk.inferior->id, tid) && !trace_is_between(server, walk.thread))
            trace_walk_on(server, walk.thread);
    }
}

/* Those of whom nothing else is said. */
static void continue_others(struct others *others, bool walkers)
{
    struct server *server = others->server;
    /* Whose step a signal of ours has ended stands, and is not to be run on with the others. */
    bool again = others->begun && others->stepper && is_to_step_again(server, others->stepper);
    for (struct inferior *inferior = inferior_known(server->inferiors); inferior;
         inferior = inferior_known(inferior->next)) {
        const struct action *all = action_for(others->actions, others->count, inferior, -2);
        bool simple = !walkers && !again &&
                      (others->count == 1 || (others->count == 2 && others->actions[0].tid > 0 && !server->non_stop));
        if (all && all->kind == 'c' && simple && !stops_has(server, inferior->id, 0)) {
            others->failed |= let_run(inferior, NULL) == REIN_BAD_ADDRESS; /* who steps runs already */
            continue;
        }
        for (struct walk walk = walk_one(inferior); walk_next(&walk);) {
            int tid = rein_thread_id(walk.thread);
            const struct action *action = action_for(others->actions, others->count, inferior, tid);
            if (action && action->kind == 'c' &&
                (rein_state_is_stopped(walk.state) || walk.state == REIN_STATE_STOPPING) && /* a vfork parent */
                !stops_has(server, inferior->id, tid) && !trace_is_between(server, walk.thread))
                others->failed |= let_run(inferior, walk.thread) == REIN_BAD_ADDRESS;
        }
    }
}

/* On the monitor. */
static int begin_steps(void *arg)
{
    struct others *others = arg;
    others->later = others->server->non_stop && resume_has_news(others->server);
    if (others->later)
        return 0;
    points_remove_leaving(others->server);
    for_each_meant(others, step_it);
    others->begun = others->stepper != NULL;
    return 0;
}

/* On the monitor, so that nothing happens in between: the end of a step, which stops all, comes when all run. */
static int run_all(void *arg)
{
    struct others *others = arg;
    struct server *server = others->server;
    others->later = server->non_stop && resume_has_news(server);
    if (others->later || is_over(others))
        return 0;
    bool walkers = trace_has_walkers(server);
    if (!others->begun) {
        points_remove_leaving(server);
        for_each_meant(others, step_it);
    }
    if (walkers)
        begin_walks(others);
    continue_others(others, walkers);
    return 0;
}

/* Again as long as there is something to be heard first. */
static void call_on_monitor(struct others *others, int (*function)(void *))
{
    do {
        if (others->later)
            stops_drain(others->server);
        others->later = false; /* should the monitor be dead by now */
        rein_monitor_call(others->server->monitor, function, others);
    } while (others->later);
}

void resume_run(struct server *server, const struct action *actions, size_t count, struct reply *reply)
{
    /* A stop of which nobody has heard yet, and a child with it, would be lost. */
    if (server->running && !server->non_stop) {
        server_error(server, reply, "the program runs already: in all-stop mode wait for its stop first");
        return;
    }
    if (hits_find(server, actions, count)) {
        keep_signals(server, actions, count);
        server->reply_later = server->running = !stops_tell_pending(server, reply); /* killed just now */
        return;
    }
    server_forget_view(server);
    memory_forget(server);
    resume_end(server);
    struct others others = {.server = server, .actions = actions, .count = count};
    for_each_meant(&others, give_its_signal);
    drop_marks(&others);
    server->written_siginfo.tid = 0;
    if (steps_with_signal(actions, count))
        call_on_monitor(&others, begin_steps);
    call_on_monitor(&others, run_all);
    bool steps = others.stepper != NULL;
    rein_thread_unref(others.stepper);
    if (others.failed && !steps && !server->non_stop) {
        stops_halt(server); /* other processes may run already */
        server_error(server, reply, "a breakpoint cannot be written to the program's memory");
        return;
    }
    stop_threads(server, actions, count);
    struct resume *state = resume_of(server);
    if (state)
        state->partly = !covers_all(server, actions, count);
    if (server->non_stop) {
        server_ok(reply);
        return;
    }
    if (!others.any && server->features.no_resumed) {
        reply_text(reply, "N");
        return;
    }
    server->running = true;
    server->reply_later = true;
}

/* ---- Nobody is left ---- */

void resume_note_exit(struct server *server, int pid, int tid)
{
    struct resume *state = server->resume;
    resume_forget(server, pid, tid);
    if (state)
        state->one_ended = true;
}

bool resume_nobody_left(struct server *server)
{
    struct resume *state = server->resume;
    if (!state || !state->partly || !state->one_ended || !server->features.no_resumed)
        return false;
    state->one_ended = false;
    bool any_runs = false, any_held = false;
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        bool holds = false;
        for (struct walk walk = walk_one(inferior); walk_next(&walk);) {
            bool held = rein_state_is_stopped(walk.state) && walk.state != REIN_STATE_STOPPED_EXITING;
            holds |= held;
            any_runs |= !held && !rein_state_is_terminal(walk.state) && !rein_state_is_zombie(walk.state);
        }
        any_held |= holds;
        /* Its last thread has ended: so will the process, and that is to be told, unless it is a part or has some. */
        any_runs |= !holds && !inferior_is_part(inferior) && !inferior->end;
    }
    return any_held && !any_runs;
}
