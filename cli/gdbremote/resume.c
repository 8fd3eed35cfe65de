/* Letting threads run: vCont and its elders, and which of their signals and system calls are of interest.
 *
 * A resume names threads, and for each whether it is continued, stepped, stepped within a range or stopped; the first action that
 * names a thread counts. Threads that have a stop in the queue stay where they are: in all-stop mode the first of these is the
 * answer, and nobody runs (stops.c).
 *
 * WHO STEPS BEGINS FIRST, and only then the others are continued, on the monitor, if the step is not done yet: otherwise its end,
 * which stops all, could come before their start. The loop hears of its end by an event, be it one step or a range.
 *
 * A SIGNAL with which a thread is to go on is exchanged for the one that has stopped it; who was stopped by something else is
 * sent it by tgkill, and the callback lets it through once. It ends a step, though, before that has done anything: the step is
 * begun once more from there, with the signal, and ends in the handler.
 *
 * AN ACCESS that a watchpoint has seen has been made when it is told. gdb takes arm64's watchpoints for such that stop in front of
 * it: it takes them out, steps the thread once, and then looks at the values. That step is answered without one, for it has been
 * made; else gdb would show the next instruction, and miss what that one does.
 *
 * Signals that are not to be told are told all the same when they end a step, or when a breakpoint may be what has caused them: one
 * that the client has put where nothing can be executed, to which a called function returns. */
#include <errno.h>
#include <linux/audit.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../cli.h"
#include "server.h"

/* How long an answer to vCont;t waits, at most, so that what can stop at once is told at once. */
enum { STOP_LIMIT_MS = 200 };

struct action {
    char kind;  /* c s r t */
    int signal; /* the host's; 0: none */
    rein_word low, high;
    int pid, tid; /* -1: all */
};

/* What is remembered of a thread. */
enum mark_kind {
    SENT,  /* a signal of ours is on its way to it */
    LATER, /* one that it was given for a step has stopped it, while all was being stopped: it gets that when it runs */
    STEPPING, /* it steps; no number */
    ASKED,    /* non-stop: the client wants it stopped, and has not been told yet that it is */
    AGAIN,    /* its step has been ended by a signal of ours, and is to be begun once more */
    MADE,     /* the client has been told of a watched access, and will step the thread to have it made */
};
struct mark {
    enum mark_kind kind;
    int pid, tid, number;
    struct rein_signal details; /* of one that is SENT, by the client; number 0: none. MADE: its address is the pc */
};

struct resume {
    struct server *server;
    _Atomic uint64_t passed; /* signals that are not told, a bit each: bit 0 is signal 1 */
    /* On the monitor as well, which is why there is a lock; whoever has it calls nobody. */
    pthread_mutex_t lock;
    struct mark *marks; /* the oldest first */
    size_t mark_count, mark_room;
    bool partly;    /* not everything was resumed */
    bool one_ended; /* and a thread has ended since */
};

static struct resume *resume_of(struct server *server)
{
    if (server->resume)
        return server->resume;
    struct resume *resume = calloc(1, sizeof *resume);
    if (resume) {
        pthread_mutex_init(&resume->lock, NULL);
        resume->server = server;
    }
    server->resume = resume;
    return resume;
}

/* ---- Marks ---- */

static void remove_mark(struct resume *resume, size_t at)
{
    resume->mark_count--;
    memmove(resume->marks + at, resume->marks + at + 1, (resume->mark_count - at) * sizeof *resume->marks);
}

static const struct rein_signal no_details = {.number = 0};

/* *number 0: of any number, which it then is. details may be NULL. */
static bool take_mark_with(struct resume *resume, enum mark_kind kind, int tid, int *number,
                           struct rein_signal *details)
{
    bool found = false;
    pthread_mutex_lock(&resume->lock);
    for (size_t i = 0; i < resume->mark_count && !found; i++) {
        const struct mark *mark = &resume->marks[i];
        if (mark->kind != kind || mark->tid != tid || (*number && mark->number != *number))
            continue;
        found = true;
        *number = mark->number;
        if (details)
            *details = mark->details;
        remove_mark(resume, i);
    }
    pthread_mutex_unlock(&resume->lock);
    return found;
}

static bool take_mark(struct resume *resume, enum mark_kind kind, int tid, int *number)
{
    return take_mark_with(resume, kind, tid, number, NULL);
}

static bool add_mark_with(struct resume *resume, enum mark_kind kind, rein_thread *thread, int number,
                          const struct rein_signal *details)
{
    int pid = rein_process_id(rein_thread_process(thread)), tid = rein_thread_id(thread);
    pthread_mutex_lock(&resume->lock);
    if (resume->mark_count == resume->mark_room) {
        size_t room = 2 * resume->mark_room + 16;
        struct mark *grown = realloc(resume->marks, room * sizeof *grown);
        if (grown) {
            resume->marks = grown;
            resume->mark_room = room;
        }
    }
    bool fits = resume->mark_count < resume->mark_room;
    if (fits)
        resume->marks[resume->mark_count++] = (struct mark){kind, pid, tid, number, *details};
    pthread_mutex_unlock(&resume->lock);
    return fits;
}

static bool add_mark(struct resume *resume, enum mark_kind kind, rein_thread *thread, int number)
{
    return add_mark_with(resume, kind, thread, number, &no_details);
}

static bool has_mark(struct resume *resume, enum mark_kind kind, int tid)
{
    bool found = false;
    pthread_mutex_lock(&resume->lock);
    for (size_t i = 0; i < resume->mark_count && !found; i++)
        found = resume->marks[i].kind == kind && resume->marks[i].tid == tid;
    pthread_mutex_unlock(&resume->lock);
    return found;
}

void resume_forget(struct server *server, int pid, int tid)
{
    struct resume *resume = server->resume;
    if (!resume)
        return;
    pthread_mutex_lock(&resume->lock);
    for (size_t i = resume->mark_count; i-- > 0;)
        if (resume->marks[i].pid == pid && (!tid || resume->marks[i].tid == tid))
            remove_mark(resume, i);
    pthread_mutex_unlock(&resume->lock);
}

void resume_forget_client(struct server *server)
{
    struct resume *resume = server->resume;
    if (!resume)
        return;
    atomic_store(&resume->passed, 0);
    pthread_mutex_lock(&resume->lock);
    for (size_t i = resume->mark_count; i-- > 0;)
        if (resume->marks[i].kind != STEPPING)
            remove_mark(resume, i);
    pthread_mutex_unlock(&resume->lock);
}

uint64_t resume_passed(const struct server *server)
{
    const struct resume *resume = server->resume;
    return resume ? atomic_load(&resume->passed) : 0;
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
    pthread_mutex_destroy(&resume->lock);
    free(resume->marks);
    free(resume);
    server->resume = NULL;
}

/* Which of the actions is meant for that thread; NULL: none. */
static const struct action *action_for(const struct action *actions, size_t count, const struct inferior *inferior,
                                       int tid)
{
    int pid = inferior->told_as;
    for (size_t i = 0; i < count; i++)
        if ((actions[i].pid < 0 || actions[i].pid == pid) && (actions[i].tid < 0 || actions[i].tid == tid))
            return &actions[i];
    return NULL;
}

/* ---- Watched accesses ---- */

void resume_note_access(struct server *server, const struct inferior *inferior, const struct stop *stop)
{
    struct resume *resume = resume_of(server);
    char type;
    rein_word address;
    int any = 0;
    /* lldb is told that they stop behind the access (lldb.c). */
    if (!resume || server->features.lldb || stop->is_passed || stop->cause.kind != REIN_CAUSE_WATCHPOINT ||
        strcmp(rein_process_architecture(inferior->process), "arm64") != 0 ||
        !points_of_watchpoint(inferior, stop->cause.watchpoint, &type, &address) || type < '2')
        return;
    take_mark(resume, MADE, stop->tid, &any);
    add_mark_with(resume, MADE, stop->thread, 0, &(struct rein_signal){.address = stop->cause.pc});
}

/* One that is resumed. */
static bool take_access(struct server *server, const struct action *actions, size_t count, struct mark *access)
{
    struct resume *resume = resume_of(server);
    bool found = false;
    if (!resume)
        return false;
    pthread_mutex_lock(&resume->lock);
    for (size_t i = 0; i < resume->mark_count && !found; i++) {
        *access = resume->marks[i];
        const struct inferior *inferior = access->kind == MADE ? inferior_find(server, access->pid) : NULL;
        const struct action *action = inferior ? action_for(actions, count, inferior, access->tid) : NULL;
        found = action && action->kind != 't';
        if (found)
            remove_mark(resume, i);
    }
    pthread_mutex_unlock(&resume->lock);
    return found;
}

static bool is_at(struct server *server, rein_thread *thread, rein_word pc)
{
    rein_registers *registers = server_registers(server, thread);
    rein_word now;
    return registers && rein_registers_pc(registers, &now) == 0 && now == pc;
}

/* gdb has taken all watchpoints out for such a step; who has not, wants a step. If more than one has seen the access the next of
 * them is the answer, and is not to be stepped over again. */
static void pass_accesses(struct server *server, const struct action *actions, size_t count)
{
    struct mark access;
    while (take_access(server, actions, count, &access)) {
        struct inferior *inferior = inferior_find(server, access.pid);
        const struct action *action = action_for(actions, count, inferior, access.tid);
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

/* ---- Signals ---- */

/* A breakpoint in memory that cannot be executed, such as the one on the stack to which gdb lets a called function return,
 * shows as a fault at its address, and the client takes it for a hit: it has to hear of it though the signal is one of those to
 * be passed. Faults of data are passed, and cost a program that lives off them nothing. */
static bool may_be_breakpoint(rein_thread *thread, const struct rein_signal *signal)
{
    if ((signal->number != SIGSEGV && signal->number != SIGBUS && signal->number != SIGILL) || signal->code <= 0)
        return false;
    rein_registers *registers = NULL;
    rein_word pc = 0;
    bool known = rein_thread_registers(thread, &registers) == 0 && rein_registers_pc(registers, &pc) == 0;
    rein_registers_free(registers);
    return !known || signal->address == pc;
}

static enum rein_verdict judge(struct resume *resume, rein_thread *thread, const struct rein_cause *cause)
{
    int number = cause->signal.number, tid = rein_thread_id(thread), any = 0;
    /* What is only met on the way does not end a step. */
    bool ends = cause->kind != REIN_CAUSE_THREAD_CREATE && cause->kind != REIN_CAUSE_FORK &&
                cause->kind != REIN_CAUSE_VFORK && cause->kind != REIN_CAUSE_VFORK_DONE;
    bool steps = ends && take_mark(resume, STEPPING, tid, &any);
    if (cause_is_clone(cause)) /* it and its maker go on as soon as the child is known */
        return REIN_VERDICT_STOP_THREAD;
    if (cause->kind != REIN_CAUSE_SIGNAL || number < 1 || number > 64)
        return REIN_VERDICT_POLICY;
    struct rein_signal details;
    if (take_mark_with(resume, SENT, tid, &number, &details)) {
        if (details.number)
            rein_thread_set_signal_info(thread, &details);
        return steps && add_mark(resume, AGAIN, thread, number) ? REIN_VERDICT_STOP_THREAD : REIN_VERDICT_GO_ON;
    }
    bool passed = atomic_load(&resume->passed) >> (number - 1) & 1;
    return passed && !steps && !may_be_breakpoint(thread, &cause->signal) ? REIN_VERDICT_GO_ON : REIN_VERDICT_POLICY;
}

/* On the monitor. */
static enum rein_verdict on_event(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct resume *resume = arg;
    struct tracing *tracing = resume->server->tracing;
    enum rein_verdict verdict = judge(resume, thread, cause);
    return tracing ? trace_event(tracing, thread, cause, verdict) : verdict;
}

bool resume_is_stepping(struct server *server, int tid)
{
    return server->resume && has_mark(server->resume, STEPPING, tid);
}

bool resume_step_again(struct server *server, rein_thread *thread, bool halting)
{
    struct resume *resume = server->resume;
    int number = 0, tid = rein_thread_id(thread);
    if (!resume || !take_mark(resume, AGAIN, tid, &number))
        return false;
    if (halting) {
        add_mark(resume, LATER, thread, number);
        return true;
    }
    rein_thread_set_signal(thread, number);
    add_mark(resume, STEPPING, thread, 0);
    int result = rein_thread_step(thread, REIN_STEP_DELIVER, 0);
    return result == 0 || result == REIN_TIMEOUT;
}

bool resume_take_step(struct server *server, rein_thread *thread)
{
    struct resume *resume = server->resume;
    int any = 0;
    return resume && take_mark(resume, STEPPING, rein_thread_id(thread), &any);
}

void resume_watch(struct server *server, struct inferior *inferior)
{
    struct resume *resume = resume_of(server);
    if (resume)
        rein_process_set_callback(inferior->process, on_event, resume);
}

/* To one that was not stopped by a signal; it gets it when it runs. 0: none. details: see struct mark. */
static void send_signal(struct resume *resume, rein_thread *thread, int number, const struct rein_signal *details)
{
    int pid = rein_process_id(rein_thread_process(thread)), tid = rein_thread_id(thread);
    if (number && add_mark_with(resume, SENT, thread, number, details) &&
        syscall(SYS_tgkill, (long)pid, (long)tid, (long)number) != 0)
        take_mark(resume, SENT, tid, &number);
}

static void give_signal(struct server *server, rein_thread *thread, int number)
{
    struct resume *resume = resume_of(server);
    enum rein_state state;
    int tid = rein_thread_id(thread), kept = 0;
    if (!resume || rein_thread_state(thread, &state) != 0 || !rein_state_is_stopped(state))
        return;
    if (take_mark(resume, LATER, tid, &kept) && !number) {
        number = kept;
    } else if (kept && rein_thread_set_signal(thread, kept) == 0) {
        send_signal(resume, thread, number, &no_details); /* two */
        number = 0;
        state = REIN_STATE_STOPPED;
    }
    kept = 0;
    take_mark(resume, STEPPING, tid, &kept); /* of a step that was stopped before its end */
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

static bool parse_signals(struct server *server, const char *arguments, uint64_t *signals)
{
    uint64_t number;
    *signals = 0;
    for (const char *text = arguments; *text;) {
        if (!parse_hex(&text, &number) || (*text && *text++ != ';'))
            return false;
        int host = number <= 1000 ? server->features.lldb ? (int)number : signal_from_gdb((int)number) : 0;
        if (host >= 1 && host <= 64)
            *signals |= UINT64_C(1) << (host - 1);
    }
    return true;
}

static void run_program_signals(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    server->has_program_signals = parse_signals(server, arguments, &server->program_signals);
    if (server->has_program_signals)
        server_ok(reply);
    else
        server_error(server, reply, "QProgramSignals takes numbers of signals");
}

static void run_pass(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct resume *resume = resume_of(server);
    uint64_t passed;
    if (!parse_signals(server, arguments, &passed)) {
        server_error(server, reply, "QPassSignals takes numbers of signals");
        return;
    }
    if (resume)
        atomic_store(&resume->passed, passed);
    server_ok(reply);
}

/* ---- System calls ---- */

static uint32_t numbers_of(const rein_process *process)
{
    const char *name = rein_process_architecture(process);
    return strcmp(name, "i386") == 0    ? AUDIT_ARCH_I386
           : strcmp(name, "arm64") == 0 ? AUDIT_ARCH_AARCH64
                                        : AUDIT_ARCH_X86_64;
}

static void run_catch(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    enum { CALLS_MAX = 4096 };
    (void)length;
    struct inferior *inferior = server_general(server, NULL);
    struct rein_syscall_id *calls = calloc(CALLS_MAX, sizeof *calls);
    size_t count = 0;
    const char *text = arguments;
    bool on = *text == '1', good = inferior && calls && (*text == '0' || *text == '1') && *++text != ':';
    while (good && *text) {
        uint64_t number = 0;
        good = *text++ == ';' && parse_hex(&text, &number) && number <= UINT32_MAX && count < CALLS_MAX;
        if (good)
            calls[count++] = (struct rein_syscall_id){numbers_of(inferior->process), (uint32_t)number};
    }
    if (!good)
        server_error(server, reply, "QCatchSyscalls takes 0 or 1 and numbers of system calls");
    else if (rein_process_trace_syscalls(inferior->process, on ? REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS : 0,
                                         count ? calls : NULL, count) != 0)
        server_fail(server, reply);
    else
        server_ok(reply);
    free(calls);
}

static void run_thread_events(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (strcmp(arguments, "0") != 0 && strcmp(arguments, "1") != 0) {
        server_error(server, reply, "QThreadEvents takes 0 or 1");
        return;
    }
    server->features.thread_events = *arguments == '1';
    server_set_policies(server);
    server_ok(reply);
}

/* ---- Running ---- */

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
    give_signal(server, thread, action->signal);
    if (resume)
        add_mark(resume, STEPPING, thread, 0);
    struct rein_step_options steps = REIN_STEP_OPTIONS_INIT;
    steps.flags = REIN_STEP_BEGIN | (action->signal ? REIN_STEP_DELIVER : 0u);
    steps.low = action->low;
    steps.high = action->high;
    int result = action->kind == 'r' ? rein_thread_step_many(thread, &steps, -1, NULL)
                                     : rein_thread_step(thread, action->signal ? REIN_STEP_DELIVER : 0, 0);
    if (result != 0 && result != REIN_TIMEOUT)
        let_run(inferior, thread); /* it is exiting, and can do nothing else */
}

/* Non-stop: has a thread stopped of which we have not heard yet? It must not run on. */
static bool has_news(struct server *server)
{
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        if (stops_waiting(inferior))
            return true;
    }
    return false;
}

/* Continues those whom nothing else is said of. On the monitor, so that nothing happens in between. */
struct others {
    struct server *server;
    const struct action *actions;
    size_t count;
    rein_thread *stepper; /* if it has stopped already, everything has, or is about to; NULL: nobody steps */
    bool failed, later;
};

static bool is_over(struct server *server, rein_thread *stepper)
{
    enum rein_state state;
    return rein_thread_state(stepper, &state) == 0 && rein_state_is_stopped(state) &&
           !has_mark(resume_of(server), AGAIN, rein_thread_id(stepper));
}

static int continue_others(void *arg)
{
    struct others *others = arg;
    struct server *server = others->server;
    if (!server->non_stop && others->stepper && is_over(server, others->stepper))
        return 0;
    /* Whose step a signal of ours has ended stands, and is not to be run on with the others. */
    bool again = others->stepper && has_mark(resume_of(server), AGAIN, rein_thread_id(others->stepper));
    others->later = server->non_stop && has_news(server);
    if (others->later)
        return 0;
    for (struct inferior *inferior = inferior_known(server->inferiors); inferior;
         inferior = inferior_known(inferior->next)) {
        const struct action *all = action_for(others->actions, others->count, inferior, -2);
        bool simple =
            !again && (others->count == 1 || (others->count == 2 && others->actions[0].tid > 0 && !server->non_stop));
        if (all && all->kind == 'c' && simple && !stops_has(server, inferior->id, 0)) {
            others->failed |= let_run(inferior, NULL) == REIN_BAD_ADDRESS; /* who steps runs already */
            continue;
        }
        for (struct walk walk = walk_one(inferior); walk_next(&walk);) {
            int tid = rein_thread_id(walk.thread);
            const struct action *action = action_for(others->actions, others->count, inferior, tid);
            if (action && action->kind == 'c' &&
                (rein_state_is_stopped(walk.state) || walk.state == REIN_STATE_STOPPING) && /* a vfork parent */
                !stops_has(server, inferior->id, tid))
                others->failed |= let_run(inferior, walk.thread) == REIN_BAD_ADDRESS;
        }
    }
    return 0;
}

bool resume_was_asked(struct server *server, int tid)
{
    int any = 0;
    return server->resume && take_mark(server->resume, ASKED, tid, &any);
}

bool resume_collect_asked(struct server *server)
{
    bool any = false;
    struct resume *resume = server->resume;
    if (!resume)
        return false;
    pthread_mutex_lock(&resume->lock);
    for (size_t i = 0; i < resume->mark_count; i++)
        any |= resume->marks[i].kind == ASKED;
    pthread_mutex_unlock(&resume->lock);
    if (!any)
        return false;
    any = false;
    for (struct walk walk = walk_all(server); walk_next(&walk);) {
        struct rein_cause cause;
        int tid = rein_thread_id(walk.thread);
        if (!has_mark(resume, ASKED, tid))
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
                rein_state_is_running(state) && !has_mark(resume, ASKED, rein_thread_id(threads[i])) &&
                add_mark(resume, ASKED, threads[i], 0))
                rein_thread_stop(threads[i], 0);
        }
        int limit = STOP_LIMIT_MS;
        for (size_t i = 0; i < count; i++)
            if (has_mark(resume, ASKED, rein_thread_id(threads[i])) && rein_thread_stop(threads[i], limit) != 0)
                limit = 0;
        rein_thread_list_free(threads, count);
    }
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
            send_signal(resume, thread, actions[i].signal, &no_details);
        rein_thread_unref(thread);
    }
}

static bool covers_all(const struct server *server, const struct action *actions, size_t count)
{
    for (const struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        if (!action_for(actions, count, inferior, -2))
            return false;
    return true;
}

/* A breakpoint of the client's where a resumed thread stands is hit, by the protocol: the client takes it out when it wants the
 * thread to go past. To the library the thread has been shown it, if it stood there when it came. So such a hit is told
 * without running the thread. */
struct hits {
    struct server *server;
    const struct action *actions;
    size_t count;
    bool later;
};

static uint64_t signals_in(const char *status, const char *name)
{
    const char *line = status ? strstr(status, name) : NULL;
    return line ? strtoull(line + strlen(name), NULL, 16) : 0;
}

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
    hits->later = hits->server->non_stop && has_news(hits->server);
    if (hits->later)
        return 0;
    for (struct inferior *inferior = hits->server->inferiors; inferior; inferior = inferior->next)
        for (struct walk walk = walk_one(inferior_of_memory(hits->server, inferior)->points ? inferior : NULL);
             walk_next(&walk);)
            if (rein_state_is_stopped(walk.state))
                find_hit(hits, inferior, walk.thread);
    return 0;
}

/* Which stops are left from before, and are told now that their threads are resumed? Not the end of a step: what is asked for now
 * counts from where the thread stands, and to one that is to be continued the end would be a SIGTRAP out of nowhere. */
static bool choose_stops(struct server *server, const struct action *actions, size_t count)
{
    bool any = false;
    for (struct stop *stop = server->stops, *next; stop; stop = next) {
        next = stop->next;
        const struct inferior *inferior = inferior_find(server, stop->pid);
        stop->held =
            inferior && !action_for(actions, count, inferior, stop->tid) && stop->cause.kind != REIN_CAUSE_PROCESS_EXIT;
        if (!stop->held && (stop->cause.kind == REIN_CAUSE_STEP || (!any && stop_is_killed(stop))))
            stops_drop(server, stop);
        else
            any |= !stop->held;
    }
    return any;
}

/* Who runs now is not to stop any more, and gets the signal that it stands at. */
static void drop_marks(struct server *server, const struct action *actions, size_t count)
{
    struct resume *resume = resume_of(server);
    if (!resume)
        return;
    pthread_mutex_lock(&resume->lock);
    for (size_t i = resume->mark_count; i-- > 0;) {
        const struct mark *mark = &resume->marks[i];
        const struct inferior *inferior = inferior_find(server, mark->pid);
        const struct action *action = inferior ? action_for(actions, count, inferior, mark->tid) : NULL;
        if ((mark->kind == LATER || mark->kind == ASKED) && action && action->kind != 't')
            remove_mark(resume, i);
    }
    pthread_mutex_unlock(&resume->lock);
}

/* Then there are no others to be continued beside the one that steps. */
static bool has_one_thread(const struct server *server)
{
    rein_thread **threads;
    size_t count;
    if (!server->inferiors || server->inferiors->next ||
        rein_process_threads(server->inferiors->process, &threads, &count) != 0)
        return false;
    rein_thread_list_free(threads, count);
    return count == 1;
}

/* Those that have steps to make for tracepoints make these first. */
static void begin_walks(struct server *server, const struct action *actions, size_t count)
{
    if (!trace_has_walkers(server))
        return;
    for (struct walk walk = walk_all(server); walk_next(&walk);) {
        int tid = rein_thread_id(walk.thread);
        const struct action *action = action_for(actions, count, walk.inferior, tid);
        if (action && action->kind == 'c' && rein_state_is_stopped(walk.state) &&
            !stops_has(server, walk.inferior->id, tid))
            trace_walk_on(server, walk.thread);
    }
}

static void resume(struct server *server, const struct action *actions, size_t count, struct reply *reply)
{
    /* A stop of which nobody has heard yet, and a child with it, would be lost. */
    if (server->running && !server->non_stop) {
        server_error(server, reply, "the program runs already: in all-stop mode wait for its stop first");
        return;
    }
    pass_accesses(server, actions, count);
    struct hits hits = {server, actions, count, false};
    do {
        if (hits.later)
            stops_drain(server);
        if (server->non_stop)
            rein_monitor_call(server->monitor, find_hits, &hits);
        else if (!choose_stops(server, actions,
                               count)) /* nothing runs: these are questions, which do not wake the monitor */
            find_hits(&hits);
    } while (hits.later);
    if (!server->non_stop && choose_stops(server, actions, count)) {
        keep_signals(server, actions, count);
        server->reply_later = server->running = !stops_tell_pending(server, reply); /* killed just now */
        return;
    }
    /* Nobody but a single step's thread runs, and none is born in one step, but by a fork or clone that stops it. */
    bool is_alone = !server->non_stop && has_one_thread(server);
    server_forget_view(server);
    memory_forget(server);
    resume_end(server);
    rein_thread *stepper = NULL;
    bool any = false, ranges = false;
    for (size_t i = 0; i < count; i++)
        ranges |= actions[i].kind == 'r';
    for (size_t i = 0; i < count; i++) {
        const struct action *action = &actions[i];
        if (action->tid <= 0)
            continue;
        rein_thread *thread = NULL;
        struct inferior *inferior = server_resolve(server, action->pid, action->tid, &thread);
        bool held = inferior && server->non_stop && stops_has(server, inferior->id, action->tid);
        if (inferior && !held && action_for(actions, count, inferior, action->tid) == action) {
            any = true;
            if (action->kind == 's' || action->kind == 'r') {
                begin_step(server, inferior, thread, action);
                if (!stepper)
                    stepper = rein_thread_ref(thread);
            } else if (action->kind == 'c') {
                give_signal(server, thread, action->signal);
            }
        }
        rein_thread_unref(thread);
    }
    /* The one that was told of, of which the client says nothing in particular: it goes on without its signal. */
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        const struct action *all = action_for(actions, count, inferior, -2);
        rein_thread *thread = NULL;
        any |= all != NULL;
        if (all && server->has_last && server->last.pid == inferior->id &&
            server_resolve(server, server->last.pid, server->last.tid, &thread) &&
            action_for(actions, count, inferior, server->last.tid) == all) {
            if (all->kind == 's' || all->kind == 'r') {
                begin_step(server, inferior, thread, all);
                if (!stepper)
                    stepper = rein_thread_ref(thread);
            } else {
                give_signal(server, thread, all->signal);
            }
        }
        rein_thread_unref(thread);
    }
    drop_marks(server, actions, count);
    begin_walks(server, actions, count);
    server->written_siginfo.tid = 0;
    struct others others = {server, actions, count, stepper, false, false};
    while (!(stepper && is_alone && !ranges)) {
        rein_monitor_call(server->monitor, continue_others, &others);
        if (!others.later)
            break;
        stops_drain(server);
    }
    rein_thread_unref(stepper);
    if (others.failed && !stepper && !server->non_stop) {
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
    if (!any && server->features.no_resumed) {
        reply_text(reply, "N");
        return;
    }
    server->running = true;
    server->reply_later = true;
}

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

/* ---- The packets ---- */

static bool parse_signal(struct server *server, const char **text, int *signal)
{
    uint64_t number;
    if (!parse_hex(text, &number) || number > 255)
        return false;
    *signal = server->features.lldb ? (int)number : signal_from_gdb((int)number);
    return *signal >= 0 && *signal <= 64;
}

/* "c", "C05", "s", "S05", "r1000,1010", "t", each with ":THREAD" or for all. */
static bool parse_action(struct server *server, const char **text, struct action *action)
{
    char kind = *(*text)++;
    *action = (struct action){.kind = kind, .pid = -1, .tid = -1};
    if (kind == 'C' || kind == 'S') {
        action->kind = kind == 'C' ? 'c' : 's';
        if (!parse_signal(server, text, &action->signal))
            return false;
    } else if (kind == 'r') {
        if (!parse_hex_to(text, ',', &action->low) || !parse_hex(text, &action->high) || action->low > action->high)
            return false;
        if (action->low == action->high)
            action->kind = 's';
    } else if (kind != 'c' && kind != 's' && kind != 't') {
        return false;
    }
    if (**text == ':') {
        ++*text;
        if (!parse_thread(server, text, &action->pid, &action->tid))
            return false;
        if (action->tid == 0 || (action->pid == 0 && action->tid < 0)) { /* any */
            rein_thread *thread = NULL;
            struct inferior *inferior = server_resolve(server, action->pid, 0, &thread);
            if (inferior) {
                action->pid = inferior->told_as;
                action->tid = rein_thread_id(thread);
            }
            rein_thread_unref(thread);
        }
    }
    return **text == '\0' || *(*text)++ == ';';
}

static void run_vcont(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    size_t count = 0, most = 1;
    for (const char *at = arguments; *at; at++)
        most += *at == ';';
    struct action *actions = calloc(most, sizeof *actions);
    const char *text = arguments;
    bool good = actions != NULL && *text;
    while (good && *text) {
        good = count < most && parse_action(server, &text, &actions[count]);
        count++;
    }
    if (!good)
        server_error(server, reply, "vCont: '%.40s' is not understood", arguments);
    else if (!server->inferiors && !server->non_stop) /* else the client has still to hear of the last exits */
        server_error(server, reply, "there is no process");
    else
        resume(server, actions, count, reply);
    free(actions);
}

static void run_vcont_what(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length;
    reply_text(reply, "vCont;c;C;s;S;t;r");
}

/* c [ADDRESS], C SIGNAL[;ADDRESS], s, S: of the thread that Hc has chosen. */
static void resume_simply(struct server *server, char kind, const char *text, struct reply *reply)
{
    struct action actions[2] = {{.kind = kind == 'c' || kind == 'C' ? 'c' : 's', .pid = -1, .tid = -1}};
    size_t count = 1;
    uint64_t address;
    rein_thread *thread = NULL;
    bool has_signal = kind == 'C' || kind == 'S';
    struct inferior *inferior = server_general(server, &thread);
    if (!inferior) {
        server_error(server, reply, "there is no process");
        return;
    }
    if (has_signal && (!parse_signal(server, &text, &actions[0].signal) || (*text && *text++ != ';'))) {
        server_error(server, reply, "the signal is not understood");
        rein_thread_unref(thread);
        return;
    }
    if (*text && parse_hex_to(&text, '\0', &address)) {
        rein_registers *registers = server_registers(server, thread);
        if (registers)
            rein_registers_set_pc(registers, address);
    }
    bool one = server->resume_tid > 0 && !server->features.lldb; /* lldb chooses one, and means all of its process */
    if (one || has_signal || kind == 's') {
        actions[0].pid = one ? server->resume_pid : inferior->told_as;
        actions[0].tid = one ? server->resume_tid : rein_thread_id(thread);
        if (!one)
            actions[count++] = (struct action){.kind = 'c', .pid = -1, .tid = -1};
    }
    rein_thread_unref(thread);
    resume(server, actions, count, reply);
}

static void run_c(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 'c', arguments, reply);
}

static void run_continue_signal(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 'C', arguments, reply);
}

static void run_s(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 's', arguments, reply);
}

static void run_step_signal(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 'S', arguments, reply);
}

/* Non-stop: as if the terminal's user had pressed ^C. */
static void run_vctrlc(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior)
        inferior = server->inferiors;
    if (!inferior || kill(inferior->id, SIGINT) != 0)
        server_error(server, reply, "there is no process");
    else
        server_ok(reply);
}

static void run_why(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    stops_why(server, reply);
}

static void run_stopped(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    stops_next(server, reply);
}

const struct handler resume_handlers[] = {
    {"vCont;", run_vcont},
    {"vCont?", run_vcont_what},
    {"vCtrlC", run_vctrlc},
    {"vStopped", run_stopped},
    {"c", run_c},
    {"C", run_continue_signal},
    {"s", run_s},
    {"S", run_step_signal},
    {"?", run_why},
    {"QPassSignals:", run_pass},
    {"QProgramSignals:", run_program_signals},
    {"QCatchSyscalls:", run_catch},
    {"QThreadEvents:", run_thread_events},
    {NULL, NULL},
};
