/* What is told to the client: that a thread has stopped, and why; that a process has ended.
 *
 * ALL-STOP: the first thing that happens stops everything, by the policy of its process, and here for the others. Several threads
 * may have something to tell by then: each is a stop in the queue. One is told, and the others stay for the client's next resume,
 * which then resumes nobody (hits.c): to the client the process has run on and stopped at once.
 *
 * NON-STOP: each thread stops by itself. The first stop of the queue is told by a notification, `%Stop`; the client takes the
 * others, one by one, with vStopped, until the answer is OK. What stops meanwhile joins the queue.
 *
 * What the command line has attached to is stopped at one thread, to a client that comes in non-stop mode, as gdbserver has it: the
 * others run from `?` on. gdb 13 dies of an assertion when it finds two at the begin. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "server.h"

enum { STOP_LIMIT_MS = 5000 };

/* ---- The queue ---- */

void stop_free(struct stop *stop)
{
    if (!stop)
        return;
    rein_cause_clear(&stop->cause);
    rein_thread_unref(stop->thread);
    free(stop);
}

/* Takes what is in the cause. NULL: there is no memory, and it has been given back. */
static struct stop *make(rein_thread *thread, struct rein_cause *cause, int signal)
{
    struct stop *stop = malloc(sizeof *stop);
    if (!stop) {
        rein_cause_clear(cause);
        return NULL;
    }
    *stop = (struct stop){.pid = rein_process_id(rein_thread_process(thread)),
                          .tid = rein_thread_id(thread),
                          .thread = rein_thread_ref(thread),
                          .cause = *cause,
                          .signal = signal};
    return stop;
}

void stops_append(struct server *server, struct stop *stop)
{
    struct stop **last = &server->stops;
    while (*last)
        last = &(*last)->next;
    *last = stop;
}

static void add(struct server *server, rein_thread *thread, struct rein_cause *cause, int signal)
{
    struct stop *stop = make(thread, cause, signal);
    if (stop)
        stops_append(server, stop);
}

void stops_add(struct server *server, rein_thread *thread, const struct rein_cause *cause, int signal)
{
    struct rein_cause copy = *cause;
    copy.new_thread = NULL;
    copy.new_process = NULL;
    copy.watchpoint = NULL;
    add(server, thread, &copy, signal);
}

void stops_forget(struct server *server, int pid, int tid)
{
    for (struct stop **at = &server->stops; *at;) {
        struct stop *stop = *at;
        bool is_told = server->non_stop && server->notified && stop == server->stops;
        if (stop->pid == pid && (!tid || stop->tid == tid) && !is_told) {
            *at = stop->next;
            stop_free(stop);
        } else {
            at = &stop->next;
        }
    }
    if (server->has_last && server->last.pid == pid && (!tid || server->last.tid == tid)) {
        rein_thread_unref(server->last.thread);
        server->has_last = false;
    }
}

static void remove_stop(struct server *server, const struct stop *stop)
{
    struct stop **at = &server->stops;
    while (*at != stop)
        at = &(*at)->next;
    *at = stop->next;
}

void stops_drop(struct server *server, struct stop *stop)
{
    remove_stop(server, stop);
    stop_free(stop);
}

void stops_forget_client(struct server *server)
{
    server->notified = false; /* nobody takes it away any more: it is told again, if its process is still there */
    for (struct stop *stop = server->stops, *next; stop; stop = next) {
        next = stop->next;
        if (!inferior_find(server, stop->pid)) {
            stops_forget(server, stop->pid, 0);
            next = server->stops;
        }
    }
}

/* ---- Telling one ---- */

/* The process is gone when that is told. */
static void note_told(struct server *server, const struct stop *stop)
{
    struct inferior *inferior = inferior_find(server, stop->pid), *child;
    if (inferior)
        hits_note_access(server, inferior, stop);
    if (stop->cause.kind == REIN_CAUSE_SIGNAL) /* it is delivered if the client says so, and not by a resume of all */
        rein_thread_set_signal(stop->thread, 0);
    bool is_fork = stop->cause.kind == REIN_CAUSE_FORK || stop->cause.kind == REIN_CAUSE_VFORK;
    if (is_fork && (child = inferior_find(server, stop->cause.child)))
        child->parent = 0;
    if (stop->cause.kind == REIN_CAUSE_PROCESS_EXIT) {
        if (server->is_gdbserver && inferior) {
            if (stop->cause.exit.signaled)
                server_say(server, "\nChild terminated with signal = 0x%x (%s)", (unsigned)stop->cause.exit.signal,
                           rein_signal_name(stop->cause.exit.signal));
            else
                server_say(server, "\nChild exited with status %d", stop->cause.exit.status);
        }
        if (inferior)
            inferior_remove(server, inferior);
    } else if (!server->non_stop) {
        if (server->has_last)
            rein_thread_unref(server->last.thread);
        server->last = *stop;
        server->last.next = NULL;
        server->last.cause.new_thread = NULL;
        server->last.cause.new_process = NULL;
        server->last.cause.watchpoint = NULL;
        server->last.thread = rein_thread_ref(stop->thread);
        server->has_last = true;
        server->general_pid = inferior ? inferior->told_as : stop->pid;
        server->general_tid = stop->tid;
    }
}

static void take(struct server *server, struct stop *stop)
{
    remove_stop(server, stop);
    note_told(server, stop);
    stop_free(stop);
}

/* The stop is nothing that a client could look at: its thread has been killed since, from outside. That is told soon. */
bool stop_is_killed(const struct stop *stop)
{
    switch (stop->cause.kind) {
    case REIN_CAUSE_PROCESS_EXIT:
    case REIN_CAUSE_THREAD_EXIT:
    case REIN_CAUSE_FORK: /* there is a child to be told of */
    case REIN_CAUSE_VFORK:
        return false;
    default:
        break;
    }
    rein_registers *registers;
    int result = rein_thread_registers(stop->thread, &registers);
    if (result == 0)
        rein_registers_free(registers);
    enum rein_state state;
    return result == REIN_NO_THREAD || (result != 0 && (rein_thread_state(stop->thread, &state) != 0 ||
                                                        rein_state_is_terminal(state) || rein_state_is_zombie(state)));
}

/* NULL: none. Those of who has been killed are dropped. */
static struct stop *first_wanted(struct server *server)
{
    for (struct stop **at = &server->stops; *at;) {
        struct stop *stop = *at;
        if (!stop->held && !stop_is_killed(stop))
            return stop;
        if (stop->held) {
            at = &stop->next;
        } else {
            *at = stop->next;
            stop_free(stop);
        }
    }
    return NULL;
}

static void tell(struct server *server, struct stop *stop, struct reply *reply)
{
    stop_write(server, reply, stop);
    take(server, stop);
    server->running = false;
}

/* ---- What has happened ---- */

/* An int3 of the program's own: to a client that understands "swbreak" it is a breakpoint like others, with the pc at it, and the
 * client sees to the rest. The mark is in .trouble, which no signal has. */
static void back_up(struct server *server, rein_thread *thread, struct rein_cause *cause)
{
    enum { FROM_KERNEL = 0x80, BREAKPOINT = 1 };
    if (cause->kind != REIN_CAUSE_SIGNAL || cause->signal.number != SIGTRAP || !server->features.swbreak ||
        (cause->signal.code != FROM_KERNEL && cause->signal.code != BREAKPOINT))
        return;
    rein_registers *registers;
    rein_word pc;
    if (rein_thread_registers(thread, &registers) != 0)
        return;
    bool is_x86 = rein_registers_link_index(registers) < 0;
    if (rein_registers_pc(registers, &pc) == 0 && (!is_x86 || rein_registers_set_pc(registers, pc - 1) == 0))
        cause->trouble = "int3";
    rein_registers_free(registers);
}

static int signal_of(const struct rein_cause *cause)
{
    return cause->kind == REIN_CAUSE_SIGNAL || cause->kind == REIN_CAUSE_GROUP_STOP
               ? signal_to_gdb(cause->signal.number)
           : cause->kind == REIN_CAUSE_STOPPED ? 0
                                               : signal_to_gdb(SIGTRAP);
}

/* What has stopped for reasons of the server's alone goes on, unless everything is being stopped. */
static bool is_to_run(const struct server *server, bool halting)
{
    return server->non_stop || ((server->running || server->unattended) && !halting);
}

/* A thread has made a process that the client takes for one of its threads. Both stand, and go on if anybody runs: unless the
 * maker has come here by a step, whose end is told. */
static void take_part(struct server *server, struct inferior *inferior, struct rein_event *event, bool halting)
{
    rein_thread *first = NULL;
    struct inferior *part = inferior_add(server, rein_process_ref(event->cause.new_process), inferior->was_attached);
    bool runs = is_to_run(server, halting);
    if (part) {
        part->told_as = inferior->told_as;
        part->is_described = inferior->is_described;
        inferior_set_policy(server, part);
        points_copy(server, inferior_of_memory(server, inferior), part);
        trace_add_part(server, part);
        rein_process_thread(part->process, part->id, &first);
    }
    if (first && server->features.thread_events)
        stops_add(server, first, &(struct rein_cause){.kind = REIN_CAUSE_THREAD_CREATE}, signal_to_gdb(SIGTRAP));
    else if (part && runs)
        rein_process_continue(part->process);
    rein_thread_unref(first);
    if (runs && resume_take_step(server, event->thread))
        stops_add(server, event->thread, &(struct rein_cause){.kind = REIN_CAUSE_STEP}, signal_to_gdb(SIGTRAP));
    else if (runs && !trace_walk_on(server, event->thread))
        rein_thread_continue(event->thread);
}

/* Told if the client has asked for that. A part's inferior may be gone by then, its process's is not. */
static void take_thread_exit(struct server *server, struct inferior *inferior, rein_thread *thread,
                             struct rein_cause *cause)
{
    resume_note_exit(server, inferior->id, rein_thread_id(thread));
    bool told =
        server->features.thread_events && (rein_thread_id(thread) != inferior->id || inferior_is_part(inferior));
    struct stop *stop = told ? make(thread, cause, 0) : NULL;
    if (!stop)
        return;
    stop->pid = inferior->told_as;
    stops_append(server, stop);
}

/* To the client its thread ends here. */
static void let_part_go(struct server *server, struct inferior *part, rein_thread *thread)
{
    struct rein_cause cause = {.kind = REIN_CAUSE_THREAD_EXIT};
    rein_process_detach(part->process, 0);
    stops_forget(server, part->id, 0);
    part->is_over = true;
    take_thread_exit(server, part, thread, &cause);
}

/* One instruction has hit several watchpoints, an event each, of which the client is to get one: the thread's cause. */
static bool is_other_hit(const struct rein_event *event)
{
    struct rein_cause first;
    if (rein_thread_cause(event->thread, &first) != 0)
        return false;
    bool other = first.kind == REIN_CAUSE_WATCHPOINT && first.watchpoint != event->cause.watchpoint;
    rein_cause_clear(&first);
    return other;
}

/* It has stopped to make steps for tracepoints, or has made them. */
static void take_walker(struct server *server, rein_thread *thread, bool runs)
{
    if (server->non_stop && resume_was_asked(server, rein_thread_id(thread)))
        stops_add(server, thread, &(struct rein_cause){.kind = REIN_CAUSE_STOPPED}, 0);
    else if (runs && !trace_walk_on(server, thread))
        rein_thread_continue(thread);
}

/* halting: everything has been stopped, and nothing is to run any more. */
static void take_event(struct server *server, struct inferior *inferior, struct rein_event *event, bool halting)
{
    struct rein_cause *cause = &event->cause;
    bool runs = is_to_run(server, halting);
    if (trace_take_event(server, event->thread, cause)) {
        take_walker(server, event->thread, runs);
        rein_event_clear(event);
        return;
    }
    switch (cause->kind) {
    case REIN_CAUSE_SIGNAL:
        if (!resume_step_again(server, event->thread, halting))
            break;
        rein_event_clear(event);
        return;
    case REIN_CAUSE_WATCHPOINT:
        if (!is_other_hit(event))
            break;
        rein_event_clear(event);
        return;
    case REIN_CAUSE_THREAD_EXIT:
        take_thread_exit(server, inferior, event->thread, cause);
        rein_event_clear(event);
        return;
    case REIN_CAUSE_PROCESS_EXIT:
        if (inferior_is_part(inferior))
            inferior->is_over = true;
        else if (inferior_next_part(inferior))
            inferior->end = make(event->thread, cause, 0);
        else
            break;
        rein_event_clear(event);
        return;
    case REIN_CAUSE_EXEC:
        if (inferior_is_part(inferior)) {
            let_part_go(server, inferior, event->thread);
            rein_event_clear(event);
            return;
        }
        for (struct inferior *part = inferior; (part = inferior_next_part(part));) {
            rein_process_detach(part->process, 0); /* the client has forgotten its threads */
            stops_forget(server, part->id, 0);
            part->is_over = true;
        }
        trace_end_process(server, inferior, "the program has executed another one");
        points_forget(inferior);
        inferior->target = NULL;
        stops_forget(server, inferior->id, 0);
        launch_end_children(server, inferior->id, false);
        break;
    case REIN_CAUSE_FORK:
    case REIN_CAUSE_VFORK:
        if (!server->features.lldb && cause_is_clone(cause)) {
            take_part(server, inferior, event, halting);
            rein_event_clear(event);
            return;
        }
        if (cause->new_process &&
            !(cause->kind == REIN_CAUSE_FORK ? server->features.fork_events : server->features.vfork_events)) {
            rein_process_detach(cause->new_process, 0); /* the client has asked for the other kind only */
            rein_event_clear(event);
            return;
        }
        if (cause->new_process) {
            struct inferior *child = inferior_add(server, rein_process_ref(cause->new_process), inferior->was_attached);
            if (child) {
                child->parent = inferior->id;
                child->is_copy = cause->kind == REIN_CAUSE_FORK;
                points_copy(server, inferior_of_memory(server, inferior), child);
            }
        }
        break;
    default:
        break;
    }
    back_up(server, event->thread, cause);
    bool was_asked = resume_was_asked(server, rein_thread_id(event->thread));
    struct rein_cause taken = *cause;
    cause->new_thread = NULL; /* they go into the queue */
    cause->new_process = NULL;
    cause->watchpoint = NULL;
    /* A step that ends because the thread was asked to stop, or just then, has stopped by request. */
    add(server, event->thread, &taken, was_asked && taken.kind == REIN_CAUSE_STEP ? 0 : signal_of(&taken));
    rein_event_clear(event);
}

bool stops_waiting(const struct inferior *inferior)
{
    struct pollfd wait = {.fd = inferior->event_fd, .events = POLLIN};
    return inferior->event_fd >= 0 && poll(&wait, 1, 0) > 0;
}

static void drain(struct server *server, struct inferior *inferior, bool halting)
{
    struct rein_event event;
    int result = 0;
    while (stops_waiting(inferior) &&
           ((result = rein_process_next_event(inferior->process, 0, &event)) == 0 || result == REIN_CANCELLED))
        if (result == 0)
            take_event(server, inferior, &event, halting);
    if (result == REIN_EXITED || result == REIN_DETACHED) {
        inferior->event_fd = -1; /* it is gone: there is nothing to be heard of it any more */
        inferior->is_over = inferior_is_part(inferior);
    }
    if (result == REIN_MONITOR_FAILED && !server->quit) {
        server_say(server, "%s", rein_error_message());
        server->quit = true;
    }
}

static void drain_all(struct server *server, bool halting)
{
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        drain(server, inferior, halting);
    inferiors_end_parts(server);
}

void stops_drain(struct server *server)
{
    drain_all(server, false);
}

void stops_halt(struct server *server)
{
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        rein_process_stop(inferior->process, STOP_LIMIT_MS);
    drain_all(server, true);
    resume_end(server);
    server_forget_view(server);
    memory_forget(server);
}

static void notify(struct server *server)
{
    struct reply reply = {0};
    reply_text(&reply, "Stop:");
    stop_write(server, &reply, server->stops);
    server->notified = true;
    if (!reply.failed)
        packets_notify(&server->packets, reply.text, reply.used);
    reply_free(&reply);
}

void stops_collect(struct server *server)
{
    if (!server->running)
        points_remove_leaving(server); /* who is heard of now may be let run on, or go */
    drain_all(server, false);
    if (server->non_stop) {
        server->asks = resume_collect_asked(server);
        if (server->stops && !server->notified)
            notify(server);
        return;
    }
    if (!server->running)
        return;
    struct reply reply = {0};
    bool nobody_left = !first_wanted(server) && resume_nobody_left(server);
    if (nobody_left || first_wanted(server))
        stops_halt(server);
    if (first_wanted(server)) { /* whoever does not run any more may just have come to a breakpoint */
        tell(server, first_wanted(server), &reply);
    } else if (nobody_left) {
        server->running = false;
        reply_text(&reply, "N");
    }
    if (reply.used)
        packets_send(&server->packets, reply.text, reply.used);
    reply_free(&reply);
}

/* The thread that is said to have been interrupted: the one that the client looks at, if it is there. */
static rein_thread *to_blame(struct server *server)
{
    rein_thread *thread = NULL;
    if (!server_general(server, &thread))
        server_resolve(server, 0, 0, &thread);
    return thread;
}

void server_interrupt(struct server *server)
{
    if (server->non_stop || (!server->running && server->packets.input >= 0 && !server->packets.broken))
        return;
    stops_halt(server);
    if (!first_wanted(server)) {
        rein_thread *thread = to_blame(server);
        if (thread)
            stops_add(server, thread, &(struct rein_cause){.kind = REIN_CAUSE_STOPPED},
                      signal_to_gdb(server->features.lldb ? SIGSTOP : SIGINT));
        rein_thread_unref(thread);
    }
    if (!server->running)
        return;
    struct reply reply = {0};
    if (first_wanted(server))
        tell(server, first_wanted(server), &reply);
    if (reply.used)
        packets_send(&server->packets, reply.text, reply.used);
    reply_free(&reply);
}

bool stops_tell_pending(struct server *server, struct reply *reply)
{
    struct stop *stop = first_wanted(server);
    if (stop)
        tell(server, stop, reply);
    return stop != NULL;
}

bool stops_tell_signal(struct server *server, int pid, struct reply *reply)
{
    for (struct stop *stop = server->stops; stop; stop = stop->next)
        if (stop->pid == pid && !stop->held && stop->cause.kind == REIN_CAUSE_SIGNAL && !stop_is_killed(stop)) {
            tell(server, stop, reply);
            return true;
        }
    return false;
}

bool stops_has(const struct server *server, int pid, int tid)
{
    for (const struct stop *stop = server->stops; stop; stop = stop->next)
        if ((pid <= 0 || stop->pid == pid) && (tid <= 0 || stop->tid == tid))
            return true;
    return false;
}

/* ---- ? and vStopped ---- */

/* Why does the client find it stopped? As it was told last, or by its own cause; what was interrupted is as if by a signal 0. */
static void add_state(struct server *server, rein_thread *thread)
{
    struct rein_cause cause;
    if (rein_thread_cause(thread, &cause) != 0)
        return;
    stops_add(server, thread, &cause, signal_of(&cause));
    rein_cause_clear(&cause);
}

static void list_stopped(struct server *server)
{
    drain_all(server, false);
    for (struct stop **at = &server->stops; *at;) { /* all but the ends of processes, which are nowhere else */
        struct stop *stop = *at;
        if (stop->cause.kind == REIN_CAUSE_PROCESS_EXIT) {
            at = &stop->next;
        } else {
            *at = stop->next;
            stop_free(stop);
        }
    }
    const struct inferior *seen = NULL;
    for (struct walk walk = walk_all(server); walk_next(&walk);) {
        if (!rein_state_is_stopped(walk.state) || trace_is_between(server, walk.thread))
            continue;
        bool runs = walk.inferior->is_new && walk.inferior == seen && walk.state == REIN_STATE_STOPPED;
        if (!runs || rein_thread_continue(walk.thread) != 0)
            add_state(server, walk.thread);
        seen = walk.inferior;
    }
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        inferior->is_new = false;
}

void stops_why(struct server *server, struct reply *reply)
{
    if (server->non_stop) {
        list_stopped(server);
        server->notified = server->stops != NULL;
        if (server->stops)
            stop_write(server, reply, server->stops);
        else
            server_ok(reply);
        return;
    }
    if (server->stops) {
        tell(server, server->stops, reply);
    } else if (server->has_last && inferior_find(server, server->last.pid)) {
        stop_write(server, reply, &server->last);
    } else if (server->inferiors) {
        rein_thread *thread = to_blame(server);
        if (thread) {
            stops_add(server, thread, &(struct rein_cause){.kind = REIN_CAUSE_STOPPED}, signal_to_gdb(SIGTRAP));
            tell(server, server->stops, reply);
        }
        rein_thread_unref(thread);
    }
    if (!reply->used)
        reply_text(reply, "W00");
}

void stops_next(struct server *server, struct reply *reply)
{
    if (!server->notified) {
        server_ok(reply);
        return;
    }
    if (server->stops)
        take(server, server->stops);
    if (server->stops) {
        stop_write(server, reply, server->stops);
    } else {
        server->notified = false;
        server_ok(reply);
    }
}
