/* Resumes that are answered without running anybody.
 *
 * THE QUEUE. Threads that have a stop in the queue stay where they are: in all-stop mode the first of these is the answer.
 *
 * A BREAKPOINT of the client's where a resumed thread stands is hit, by the protocol: the client takes it out when it wants the
 * thread to go past. To the library the thread has been shown it, if it stood there when it came. So such a hit is told
 * without running the thread.
 *
 * AN ACCESS that a watchpoint has seen has been made when it is told. gdb takes arm64's watchpoints for such that stop in front of
 * it: it takes them out, steps the thread once, and then looks at the values. That step is answered without one, for it has been
 * made; else gdb would show the next instruction, and miss what that one does. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cli.h"
#include "resume.h"
#include "server.h"

struct hits {
    struct server *server;
    const struct action *actions;
    size_t count;
    bool later; /* there is something to be heard first */
};

/* ---- Watched accesses ---- */

void hits_note_access(struct server *server, const struct inferior *inferior, const struct stop *stop)
{
    struct resume *resume = resume_of(server);
    char type;
    rein_word address;
    /* lldb is told that they stop behind the access (lldb.c). */
    if (!resume || server->features.lldb || stop->is_passed || stop->cause.kind != REIN_CAUSE_WATCHPOINT ||
        strcmp(rein_process_architecture(inferior->process), "arm64") != 0 ||
        !points_of_watchpoint(inferior, stop->cause.watchpoint, &type, &address) || type < '2')
        return;
    marks_take(&resume->marks, MADE, stop->tid, NULL, NULL);
    marks_add(&resume->marks, MADE, stop->thread, 0, &(struct rein_signal){.address = stop->cause.pc});
}

/* One that is resumed. */
static bool is_resumed_access(const struct mark *mark, void *arg)
{
    const struct hits *hits = arg;
    const struct inferior *inferior = mark->kind == MADE ? inferior_find(hits->server, mark->pid) : NULL;
    const struct action *action = inferior ? action_for(hits->actions, hits->count, inferior, mark->tid) : NULL;
    return action && action->kind != 't';
}

static bool is_at(struct server *server, rein_thread *thread, rein_word pc)
{
    rein_registers *registers = server_registers(server, thread);
    rein_word now;
    return registers && rein_registers_pc(registers, &now) == 0 && now == pc;
}

/* gdb has taken all watchpoints out for such a step; who has not, wants a step. If more than one has seen the access the next of
 * them is the answer, and is not to be stepped over again. */
static void pass_accesses(struct hits *hits)
{
    struct server *server = hits->server;
    struct resume *resume = resume_of(server);
    struct mark access;
    while (resume && marks_take_if(&resume->marks, is_resumed_access, hits, &access)) {
        struct inferior *inferior = inferior_find(server, access.pid);
        const struct action *action = action_for(hits->actions, hits->count, inferior, access.tid);
        rein_thread *thread;
        if ((action->kind != 's' && action->kind != 'r') || action->signal || points_watch(inferior) ||
            rein_process_thread(inferior->process, access.tid, &thread) != 0)
            continue;
        struct stop *next = server->stops;
        while (next && next->tid != access.tid)
            next = next->next;
        if (next)
            next->is_passed = true;
        else if (is_at(server, thread, access.details.address))
            stops_add(server, thread, &(struct rein_cause){.kind = REIN_CAUSE_STOPPED}, signal_to_gdb(SIGTRAP));
        rein_thread_unref(thread);
    }
}

/* ---- Breakpoints ---- */

/* The program ignores it, or has no handler and it does nothing by default. */
static bool is_ignored(const struct inferior *inferior, int signal)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", inferior->id);
    char *status = cli_read_file(path, NULL);
    uint64_t ignored = signals_in(status, "\nSigIgn:"), caught = signals_in(status, "\nSigCgt:");
    if (status && (signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH))
        ignored |= ~caught;
    free(status);
    return ignored >> (signal - 1) & 1;
}

static void find_hit(struct hits *hits, struct inferior *inferior, rein_thread *thread)
{
    int tid = rein_thread_id(thread);
    const struct action *action = action_for(hits->actions, hits->count, inferior, tid);
    rein_registers *registers;
    struct rein_cause cause = {.kind = REIN_CAUSE_BREAKPOINT};
    if (!action || action->kind == 't' || stops_has(hits->server, inferior->id, tid) ||
        rein_thread_registers(thread, &registers) != 0)
        return;
    const struct inferior *memory = inferior_of_memory(hits->server, inferior);
    bool hit = rein_registers_pc(registers, &cause.pc) == 0 && points_stop(memory, thread, cause.pc);
    rein_registers_free(registers);
    /* With a signal it begins in the signal's handler, if there is one. */
    if (hit && (!action->signal || is_ignored(inferior, action->signal)))
        stops_add(hits->server, thread, &cause, signal_to_gdb(SIGTRAP));
}

static int find_hits(void *arg)
{
    struct hits *hits = arg;
    hits->later = hits->server->non_stop && resume_has_news(hits->server);
    if (hits->later)
        return 0;
    for (struct inferior *inferior = hits->server->inferiors; inferior; inferior = inferior->next)
        for (struct walk walk = walk_one(inferior_of_memory(hits->server, inferior)->points ? inferior : NULL);
             walk_next(&walk);)
            if (rein_state_is_stopped(walk.state))
                find_hit(hits, inferior, walk.thread);
    return 0;
}

/* ---- The queue ---- */

/* Which stops are left from before, and are told now that their threads are resumed? Not the end of a step: what is asked for now
 * counts from where the thread stands, and to one that is to be continued the end would be a SIGTRAP out of nowhere. */
static bool choose_stops(const struct hits *hits)
{
    struct server *server = hits->server;
    bool any = false;
    for (struct stop *stop = server->stops, *next; stop; stop = next) {
        next = stop->next;
        const struct inferior *inferior = inferior_find(server, stop->pid);
        stop->held = inferior && !action_for(hits->actions, hits->count, inferior, stop->tid) &&
                     stop->cause.kind != REIN_CAUSE_PROCESS_EXIT;
        if (!stop->held && (stop->cause.kind == REIN_CAUSE_STEP || (!any && stop_is_killed(stop))))
            stops_drop(server, stop);
        else
            any |= !stop->held;
    }
    return any;
}

bool hits_find(struct server *server, const struct action *actions, size_t count)
{
    struct hits hits = {server, actions, count, false};
    pass_accesses(&hits);
    do {
        if (hits.later)
            stops_drain(server);
        hits.later = false; /* should the monitor be dead by now */
        if (server->non_stop)
            rein_monitor_call(server->monitor, find_hits, &hits);
        else if (!choose_stops(&hits)) /* nothing runs, so nothing happens in between */
            find_hits(&hits);
    } while (hits.later);
    return !server->non_stop && choose_stops(&hits);
}
