/* What the kernel tells, turned into what the caller sees.
 *
 *     event ──▶ kernel's side of the books ──▶ whose is it? (ours, the program's, a step's) ──▶ state table ──▶
 *           callbacks and policy ──▶ stopped, or on the ready list
 *
 * Every event of a thread that stops it ends in one of three functions: show (it has a cause, and the caller decides),
 * event_stop_plain (it has none: it was interrupted, or what happened is nobody's business), or it is resumed at
 * once to bring out what waits behind the stop.
 *
 * While a process is let go nothing is shown and nothing runs on: each thread is only brought into a state in which it can
 * be let go (its pc on the breakpoint, not behind it; its signal kept), see attach.c. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "engine/insist.h"
#include "engine/process.h"

/* Nothing is told of it any more. A vfork child that is followed stays its process's while its parent's is let go. */
static bool is_silent(const rein_thread *thread)
{
    return thread_owner(thread)->condition != PROCESS_HELD || (thread->leaving && thread_is_hidden(thread)) ||
           rein_state_is_terminal(thread->state);
}

/* Or the memory that it runs in is, or will be, another: its breakpoints and watchpoints are nobody's. */
static bool is_quiet(const rein_thread *thread)
{
    return is_silent(thread) || thread->process->condition != PROCESS_HELD || thread->leaving;
}

void event_stop_plain(rein_thread *thread)
{
    if (is_quiet(thread))
        return;
    if (thread->state == REIN_STATE_STOPPING)
        thread_change(thread, TRANSITION_STOP);
    else if (rein_state_is_running(thread->state) && !thread_is_kept(thread))
        thread_make_ready(thread);
}

/* ---- Callbacks and policy ---- */

enum decision { GO_ON, STOP_THREAD, STOP_ALL };

static enum decision decide(rein_thread *thread, const struct rein_cause *cause, rein_breakpoint *breakpoint,
                            bool *tell)
{
    rein_process *process = thread_owner(thread);
    *tell = false;
    /* A guest that is not followed is not the caller's, but for the breakpoints that it hits; what comes and goes while
     * the process is being taken is no news. */
    if (process->killing || process->starting || (thread_is_hidden(thread) && !breakpoint))
        return GO_ON;
    if (process->being_taken && (cause->kind == REIN_CAUSE_THREAD_CREATE || cause->kind == REIN_CAUSE_THREAD_EXIT))
        return GO_ON;

    process->sequence++;
    enum rein_verdict verdict = REIN_VERDICT_POLICY;
    if (!process->monitor->host_died) {
        if (breakpoint && breakpoint->callback && !cause->trouble)
            verdict = breakpoint->callback(thread, breakpoint, breakpoint->arg);
        else if (cause->watchpoint && cause->watchpoint->callback)
            verdict = cause->watchpoint->callback(thread, cause, cause->watchpoint->arg);
        if (verdict == REIN_VERDICT_POLICY && process->callback)
            verdict = process->callback(thread, cause, process->callback_arg);
    }
    if (verdict == REIN_VERDICT_GO_ON)
        return GO_ON;
    enum rein_policy policy = process->policy[cause->kind];
    if (verdict == REIN_VERDICT_STOP_THREAD)
        policy = REIN_STOP_THREAD;
    else if (verdict == REIN_VERDICT_STOP_ALL)
        policy = REIN_STOP_ALL;
    *tell = policy != REIN_IGNORE;
    return policy == REIN_STOP_ALL ? STOP_ALL : policy == REIN_STOP_THREAD ? STOP_THREAD : GO_ON;
}

/* The thread has stopped, for one cause or several. Each is decided on by itself, and the strongest decision holds.
 * true: it stops the thread. What is shown ends a step, whatever becomes of it; but not, if it goes on, a call, a breakpoint
 * that it steps onto, or a hit in front of its instruction; nor a run of steps what is made on the way. */
static bool show_all(rein_thread *thread, enum transition transition, const struct rein_cause *causes, unsigned count,
                     rein_breakpoint *breakpoint)
{
    rein_process *process = thread_owner(thread);
    bool hidden = thread_is_hidden(thread);
    if (is_silent(thread))
        return false;
    bool stopping = thread->state == REIN_STATE_STOPPING || (process->stop_wanted && !hidden);
    bool stepping = thread->state == REIN_STATE_SINGLE_STEPPING;
    bool late = !rein_state_is_running(thread->state), stop_was_wanted = process->stop_wanted;
    if (!thread_change(thread, transition))
        return false;
    enum rein_state shown = thread->state;
    enum decision decision = GO_ON;
    unsigned deciding = 0;
    for (unsigned i = 0; i < count; i++) {
        bool tell;
        thread_set_cause(thread, &causes[i]);
        enum decision one = decide(thread, &causes[i], breakpoint, &tell);
        if (tell)
            process_tell(process, thread, &causes[i], one == STOP_ALL, late);
        /* The callback may have let the process go, or continued the thread by itself. */
        if (process->condition != PROCESS_HELD || thread->state != shown)
            return false;
        if (one > decision) {
            decision = one;
            deciding = i;
        }
    }
    if ((transition == TRANSITION_SYSCALL || transition == TRANSITION_SIGNAL) &&
        causes[deciding].kind == REIN_CAUSE_WATCHPOINT)
        thread_change(thread, TRANSITION_WATCHPOINT); /* it has written, too, and that is what stops the thread */
    thread_set_cause(thread, &causes[deciding]);
    if (decision == STOP_ALL)
        process_stop(process);
    if (decision != GO_ON)
        return true;
    bool in_front = transition == TRANSITION_WATCHPOINT && causes[0].watchpoint->kind == REIN_WATCH_EXECUTE;
    bool in_a_step = transition == TRANSITION_SYSCALL || transition == TRANSITION_BREAKPOINT || in_front;
    in_a_step |= thread_extra(thread)->steps != NULL && /* among many also: */
                 (transition == TRANSITION_THREAD_CREATE || transition == TRANSITION_FORK);
    if (in_a_step && stepping && process->stop_wanted == stop_was_wanted)
        thread_change(thread, TRANSITION_STEP);
    else if (transition == TRANSITION_EXITING || hidden || !(stopping || process->stop_wanted || stepping))
        thread_change(thread, TRANSITION_CONTINUE);
    else if (!stepping)
        thread_change(thread, TRANSITION_STOP); /* it was to stop anyway; its signal is delivered when it continues */
    return false;
}

static bool show(rein_thread *thread, enum transition transition, const struct rein_cause *cause,
                 rein_breakpoint *breakpoint)
{
    return show_all(thread, transition, cause, 1, breakpoint);
}

/* ---- The end of a process ---- */

/* What is told of it: to whoever follows a tree this is where a process leaves it. */
static void tell_process_exit(rein_thread *last)
{
    rein_process *process = last->process;
    const struct rein_cause cause = {.kind = REIN_CAUSE_PROCESS_EXIT, .exit = process->exit};
    bool tell;
    decide(last, &cause, NULL, &tell);
    if (tell)
        process_tell(process, last, &cause, false, false);
}

/* Its last thread has ended. lost: the kernel has not told of that. */
static void end_of_process(rein_thread *last, bool lost)
{
    rein_process *process = last->process;
    enum os_thread_status status;
    bool lives = lost && !process->os->thread_status(process->id, process->id, &status) && status != OS_THREAD_GONE &&
                 status != OS_THREAD_ZOMBIE; /* without us: a thread that was not traced has called exec */
    bool is_held = process->condition == PROCESS_HELD;
    LIST_FOR_EACH(item, &process->threads)
    attach_guest_leaves(LIST_ENTRY(item, rein_thread, link));
    if (!is_held && process->condition != PROCESS_LETTING_GO)
        return;
    rein_thread_ref(last);
    process_end(process, lives ? PROCESS_DETACHED : PROCESS_EXITED);
    if (is_held && !lives)
        tell_process_exit(last);
    rein_thread_unref(last);
}

/* ---- Stops ---- */

/* Several may be hit by one instruction, and a callback may remove any. */
static void show_hits(rein_thread *thread, enum transition transition, struct watch_hits *hits)
{
    for (unsigned i = 0; i < hits->count; i++)
        rein_watchpoint_ref(hits->causes[i].watchpoint);
    show_all(thread, transition, hits->causes, hits->count, NULL);
    for (unsigned i = 0; i < hits->count; i++)
        rein_cause_clear(&hits->causes[i]);
}

static void handle_signal(rein_thread *thread, const struct os_event *event)
{
    struct arch_registers registers;
    struct watch_hits hits;
    bool ended = false; /* a sequence that was run as a whole; the end's trap comes later than the signal */
    hits.any = false;
    hits.count = 1;
    hits.causes[0] = (struct rein_cause){.kind = REIN_CAUSE_SIGNAL, .signal = event->signal};
    if (thread->stepping != STEPPING_NOT && !thread_get_registers(thread, &registers)) {
        ended = watch_is_at_end(thread, arch_pc(&registers));
        if (ended)
            watch_take_made(thread, &registers, &hits);
        breakpoint_step_done(thread, &registers, ended);
    }
    if (thread->stepping == STEPPING_SOFTWARE)
        thread->stepping = STEPPING_NOT;
    if (thread_extra(thread)->calls && function_call_returns(thread, event))
        return;
    thread->deliver = event->signal.number;
    thread->signal_chosen = false;
    thread_drop_contradicted(thread, event->signal.number);
    /* A fault (its code is the kernel's; as is SIGCHLD's, which is none) is what the instruction did: it was executed,
     * and is hit again when it is tried again. Anything else came before it. */
    bool executed = ended || (event->signal.code > 0 &&
                              (thread->process->os->fault_signals >> (event->signal.number - 1) & 1) != 0);
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, executed);
    else if ((thread->stepping == STEPPING_USER || thread->stepping == STEPPING_NOT) && executed)
        thread->skip = false; /* NOT: the pass was over when the fault was brought out (bring_out_trap) */
    thread->stepping = STEPPING_NOT;
    show_hits(thread, TRANSITION_SIGNAL, &hits);
}

/* false: it is not to be told, for the sake of the condition, and nothing has been done but to count it. */
static bool handle_hit(rein_thread *thread, rein_breakpoint *breakpoint, uint64_t sp)
{
    struct rein_cause cause = {.kind = REIN_CAUSE_BREAKPOINT, .pc = breakpoint->pc};
    if (!breakpoint_count(thread, breakpoint, sp, &cause))
        return false;
    rein_breakpoint_ref(breakpoint); /* a callback may remove it */
    show(thread, TRANSITION_BREAKPOINT, &cause, breakpoint);
    rein_breakpoint_unref(breakpoint);
    return true;
}

/* It runs code that this library was not built for, and is let go; one that was just being started is not to run at all. */
static void refuse_foreign(rein_process *process)
{
    process->foreign = true;
    LOG(&process->monitor->log, REIN_LOG_WARNING,
        "Process %d runs code for another architecture than %s, and cannot be traced any more", process->id,
        process->os->arch->name);
    if (!process->starting) {
        attach_let_go(process, 0);
        return;
    }
    process->killing = true;
    process->os->kill(process->id, SIGKILL);
}

/* The registers, or what the stop is about, could not be read or set: the thread stays where it is, until more is heard
 * of it or the process is let go. */
static void leave_unhandled(rein_thread *thread, int result)
{
    thread_set_unhandled(thread, true);
    if (result == -ENOTSUP)
        refuse_foreign(thread->process);
    else
        thread_check(thread, result, "does not give its registers");
}

/* A trap instruction was executed: a breakpoint's, or the program's own (M6). */
static void handle_trap(rein_thread *thread, const struct os_event *event)
{
    rein_process *process = thread->process;
    struct arch_registers registers;
    int result = thread_get_registers(thread, &registers);
    if (result) {
        leave_unhandled(thread, result); /* killed; its end will be told */
        return;
    }
    uint64_t address;
    rein_breakpoint *breakpoint = breakpoint_of_trap(thread, arch_pc(&registers), &address);
    if (!breakpoint) {
        handle_signal(thread, event);
        return;
    }
    registers.arch->set(&registers, registers.arch->pc_index, address);
    watch_pass(thread, address, &registers); /* in front of the trap it has been hit */
    thread_keep_registers(thread, &registers);
    if (thread->stepping != STEPPING_NOT)
        breakpoint_step_done(thread, &registers, false);
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, true);
    thread->stepping = STEPPING_NOT;

    uint64_t sp = arch_sp(&registers);
    bool removed = breakpoint_find(process, address) != breakpoint;
    bool shown = breakpoint_was_shown(thread, address, sp);
    if (removed || shown || is_quiet(thread) || !thread_need_room(thread) || !handle_hit(thread, breakpoint, sp))
        event_stop_plain(thread);
}

/* A step is done, perhaps one of a run of them; that of a system call is not if the call is to be made again. */
static void note_step(rein_thread *thread, const struct arch_registers *registers)
{
    const struct thread_extra *extra = thread_extra(thread);
    if (!extra->steps || thread->state == REIN_STATE_RUNNING || is_silent(thread))
        return;
    bool again = extra->step_call && (arch_pc(registers) == extra->step_call ||
                                      thread->process->os->call_is_made_again(registers, NULL) == 1);
    extra->steps->done += !again;
}

/* It has made a step, and is at pc. true: the next is made as well, by whoever. */
static bool goes_on_stepping(rein_thread *thread, uint64_t pc, uint64_t sp, bool executed)
{
    rein_breakpoint *breakpoint = executed ? breakpoint_find(thread->process, pc) : NULL;
    if (executed)
        thread->skip = false;
    /* Stepped onto one: that is a hit, and it will be passed; unless a handler has returned to it (rt_sigreturn). */
    if (breakpoint && !is_quiet(thread) && !breakpoint_was_shown(thread, pc, sp) &&
        handle_hit(thread, breakpoint, sp) &&
        thread->state != REIN_STATE_SINGLE_STEPPING) /* else it goes on, see show_all */
        return true;
    return steps_go_on(thread, pc);
}

/* executed: the instruction is done, and the thread is at the next. */
static void end_step(rein_thread *thread, const struct os_event *event, const struct arch_registers *registers,
                     bool executed)
{
    struct arch_registers now = *registers;
    struct rein_cause cause = {.kind = REIN_CAUSE_STEP, .signal = event->signal};
    for (unsigned made = 0; goes_on_stepping(thread, arch_pc(&now), arch_sp(&now), executed); made++) {
        if (!steps_emulate(thread, made) || thread_get_registers(thread, &now))
            return;
        executed = true;
        cause.signal = (struct rein_signal){.number = 0};
    }
    show(thread, TRANSITION_STEP_DONE, &cause, NULL);
}

/* The step, if it was one, has executed the instruction. */
static void finish_step(rein_thread *thread, const struct os_event *event, struct arch_registers *registers,
                        struct watch_hits *hits)
{
    enum stepping stepping = thread->stepping;
    uint64_t pc = arch_pc(registers);
    bool repeats = thread_extra(thread)->step_repeats && thread->skip && pc == thread_extra(thread)->skip_pc;
    breakpoint_step_done(thread, registers, !event->no_delivery);
    if (watch_steps(thread) && !is_quiet(thread))
        watch_compare(thread, pc, hits);
    if (stepping == STEPPING_PASS) {
        if (repeats && !hits->count && thread->state == REIN_STATE_RUNNING && !is_quiet(thread)) {
            thread->takes_turn = watch_steps(thread);
            thread_resume(thread, OS_RESUME_STEP, 0); /* a repeated string instruction: one step is one repetition */
            thread_expect(thread);
            return;
        }
        breakpoint_pass_stopped(thread, !repeats);
    }
    thread->stepping = STEPPING_NOT;
    thread_restore_mask(thread);
    if (thread_extra(thread)
            ->step_is_programs) { /* the program steps itself: one trap for both, and it is to get its own */
        if (stepping != STEPPING_USER && thread->state != REIN_STATE_SINGLE_STEPPING && !hits->count) {
            handle_signal(thread, event);
            return;
        }
        thread->deliver = event->signal.number;
        hits->causes[0].signal = event->signal;
    }
    note_step(thread, registers);
    if (hits->count && !is_quiet(thread)) {
        if (!repeats)
            thread->skip = false;
        show_hits(thread, TRANSITION_WATCHPOINT, hits);
        return;
    }
    if (thread->state != REIN_STATE_SINGLE_STEPPING &&
        !(stepping == STEPPING_USER && thread->state == REIN_STATE_STOPPING)) {
        event_stop_plain(thread);
        return;
    }
    end_step(thread, event, registers, !repeats);
}

/* An instruction that a watchpoint kept the thread in front of is done. */
static void finish_access(rein_thread *thread, struct watch_hits *hits)
{
    thread->stepping = STEPPING_NOT;
    if (hits->count && !is_quiet(thread))
        show_hits(thread, TRANSITION_WATCHPOINT, hits);
    else
        event_stop_plain(thread);
}

/* The registers, and which watchpoints have been hit. false: they could not be had. */
static bool look_at_trap(rein_thread *thread, struct arch_registers *registers, struct watch_hits *hits)
{
    hits->any = hits->accessed = hits->to_come = hits->ended = false;
    hits->count = 0;
    int result = thread_get_registers(thread, registers);
    if (!result && thread->watched_stop && watch_is_armed(thread_extra(thread)->watched))
        result = watch_take_hits(thread, registers, hits);
    if (result)
        leave_unhandled(thread, result); /* killed; its end will be told */
    return !result;
}

/* The step of a system call is told as done when a stop has interrupted that and it will be made again, too, where the thread is
 * back at the instruction by then (arm64). */
static bool is_interrupted_step(const rein_thread *thread, const struct arch_registers *registers)
{
    uint64_t call = thread_extra(thread)->step_call;
    return thread->stepping == STEPPING_USER && registers->arch->interrupt_call && call && arch_pc(registers) == call;
}

static void finish(rein_thread *thread, const struct os_event *event, struct arch_registers *registers,
                   struct watch_hits *hits)
{
    watch_take_made(thread, registers, hits);
    if (thread->stepping == STEPPING_WATCH || (is_interrupted_step(thread, registers) && !hits->count))
        finish_access(thread, hits);
    else
        finish_step(thread, event, registers, hits);
}

/* A debug register has fired. A thread that makes a step is in front of its instruction then, which is watched; one that the
 * instruction's accesses have fired for has a step's trap (on real processors). */
static void handle_watched(rein_thread *thread, const struct os_event *event)
{
    struct arch_registers registers;
    struct watch_hits hits;
    if (!look_at_trap(thread, &registers, &hits))
        return;
    if (!hits.any) { /* the program has a use of its own for them, by way of the kernel */
        handle_signal(thread, event);
        return;
    }
    if (thread->stepping != STEPPING_NOT && (hits.accessed || hits.ended)) {
        finish(thread, event, &registers, &hits);
        return;
    }
    if (thread->stepping != STEPPING_NOT && hits.to_come && !is_quiet(thread)) { /* now with that one off */
        thread->takes_turn = watch_steps(thread);
        thread_resume(thread, breakpoint_step_how(thread, &registers), 0);
        thread_expect(thread);
        return;
    }
    if (thread->stepping != STEPPING_NOT)
        breakpoint_step_done(thread, &registers, false);
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, false);
    thread->stepping = STEPPING_NOT;
    thread_restore_mask(thread);
    if (hits.count && !is_quiet(thread))
        show_hits(thread, TRANSITION_WATCHPOINT, &hits);
    else
        event_stop_plain(thread);
}

/* The kernel tells the end of the exec's system call as a step (user_single_step_report), though the new program has executed
 * nothing: its first instruction is still to be stepped. */
static bool left_exec(rein_thread *thread, const struct arch_registers *registers, const struct watch_hits *hits)
{
    uint64_t pc = thread_extra(thread)->exec_pc;
    if (!pc || pc != arch_pc(registers) || hits->any)
        return false;
    thread->takes_turn = watch_steps(thread);
    thread_resume(thread, OS_RESUME_STEP, 0);
    thread_expect(thread);
    return true;
}

static void handle_stepped(rein_thread *thread, const struct os_event *event)
{
    struct arch_registers registers;
    struct watch_hits hits;
    hits.count = 0;
    bool watched = thread->watched_stop && watch_is_armed(thread_extra(thread)->watched);
    if ((thread->stepping != STEPPING_NOT || watched) && !look_at_trap(thread, &registers, &hits))
        return;
    if (thread->stepping != STEPPING_NOT && left_exec(thread, &registers, &hits))
        return;
    if (thread->stepping != STEPPING_NOT) {
        finish(thread, event, &registers, &hits);
    } else if (!hits.count || is_quiet(thread)) { /* the program uses the processor's single-step itself */
        handle_signal(thread, event);
    } else { /* one trap for both; the program gets its own when it goes on */
        thread->deliver = event->signal.number;
        hits.causes[0].signal = event->signal;
        show_hits(thread, TRANSITION_WATCHPOINT, &hits);
    }
}

/* A signal of those that faults have is pending, as if the kernel had made it. For a real fault the kernel unblocks its signal; one
 * that the program has queued to itself, and blocks, does not come, and the thread would run away that is resumed for it. */
static bool is_blocked(const rein_thread *thread)
{
    const struct os_backend *os = thread->process->os;
    uint64_t pending, blocked;
    return !os->pending_signals(thread->id, &pending) && !os->get_signal_mask(thread->id, &blocked) &&
           !(pending & os->fault_signals & ~blocked);
}

/* An event stop may come in front of a trap that the thread has executed already: its SIGTRAP waits, and the pc is behind the
 * trap instruction (measured; a thread let go here dies of it). Then it is resumed for just that: it makes the
 * next stop before it executes anything. So it is with any other fault, if the thread was asked to stop: the caller may send it
 * elsewhere - a debugger that has it call a function -, and the fault of another place would come there. true: it was. */
static bool bring_out_trap(rein_thread *thread, const struct arch_registers *registers)
{
    rein_process *process = thread->process;
    const struct thread_extra *extra = thread_extra(thread);
    uint64_t address = arch_pc(registers) - process->arch->trap_pc_offset;
    bool possible = thread->stepping != STEPPING_NOT || watch_is_armed(extra->watched) ||
                    breakpoint_find(process, address) || table_find(&process->breakpoints.ghosts, address);
    bool any_fault = extra->calls || thread->state == REIN_STATE_STOPPING;
    if (!possible && !any_fault)
        return false;
    /* A function's fault, its return above all, must not come when the thread is elsewhere, either. */
    int (*is_pending)(int id) = any_fault ? process->os->fault_is_pending : process->os->trap_is_pending;
    int pending = watch_is_at_end(thread, arch_pc(registers)); /* it comes in front of what is executed next */
    if (!pending) {
        INSIST(pending, is_pending(thread->id));
        if (pending == 1 && is_blocked(thread))
            return false;
    }
    if (pending != 1)
        return false;
    thread->trap_waits = true;
    thread->takes_turn =
        thread->stepping != STEPPING_NOT && watch_steps(thread); /* what it has written is not seen yet */
    thread_set_unhandled(thread, thread_resume(thread, OS_RESUME_RUN, 0) != 0);
    thread_expect(thread);
    return true;
}

/* A system call that we have interrupted is made again: its instruction, and a breakpoint or watchpoint there, is come to a
 * second time. It was hit once. */
static void note_restart(rein_thread *thread, struct arch_registers *registers)
{
    rein_process *process = thread->process;
    uint64_t pc;
    if (process->os->call_is_made_again(registers, &pc) != 1)
        return;
    if (watch_pass(thread, pc, registers))
        thread_set_registers(thread, registers);
    if (!breakpoint_find(process, pc) || !thread_need_room(thread))
        return;
    breakpoint_note_shown(thread, pc, arch_sp(registers));
    thread->extra->skip_restarts = true;
}

/* A group-stop is told once, by the first of its threads to stop. They come to it, and leave it, each at its time: one may be
 * in the next already while we hear of another's leaving the last, and of one's entering it when all others have left. So
 * each counts those that it has been in; who is ahead of what was told brings news. (One that was not in some, stopped
 * for us then, falls behind, and catches up in thread_resume.) */
static bool enter_group_stop(rein_thread *thread, bool asked_for)
{
    rein_process *process = thread_owner(thread);
    if (thread_is_hidden(thread) || (thread->in_group_stop && asked_for))
        return false;                /* our interrupt shows the one it is in */
    thread_leave_group_stop(thread); /* else it is in the next, the end of the last has not been seen */
    thread->in_group_stop = true;
    process->in_group_stop++;
    bool news = ++thread->group_stops > process->group_stops;
    if (news)
        process->group_stops = thread->group_stops;
    return news;
}

static void handle_interrupted(rein_thread *thread, const struct os_event *event, bool asked_for)
{
    rein_process *process = thread->process;
    const struct thread_extra *extra = thread_extra(thread);
    struct arch_registers registers;
    bool look = process->breakpoints.table.count || process->breakpoints.ghosts.count ||
                thread->stepping != STEPPING_NOT || watch_is_armed(extra->watched) || extra->calls ||
                thread->state == REIN_STATE_STOPPING;
    int result = look || asked_for ? thread_get_registers(thread, &registers) : 0;
    if (result) {
        leave_unhandled(thread, result);
        return;
    }
    if (look || asked_for) {
        if (look && bring_out_trap(thread, &registers))
            return;
        if (event->kind == OS_EVENT_INTERRUPTED && asked_for &&
            process->os->restart_interrupted_call(thread->id, &registers) == 1)
            thread_set_registers(thread, &registers);
        note_restart(thread, &registers);
        if (thread->stepping != STEPPING_NOT)
            breakpoint_step_done(thread, &registers, false);
    }
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, false);
    thread->stepping = STEPPING_NOT;
    thread_restore_mask(thread);

    if (event->kind != OS_EVENT_GROUP_STOP) {
        event_stop_plain(thread);
        return;
    }
    struct rein_cause cause = {.kind = REIN_CAUSE_GROUP_STOP, .signal = {.number = event->signal.number}};
    bool news = enter_group_stop(thread, asked_for);
    if (is_silent(thread))
        return;
    if (thread_owner(thread)->being_taken) { /* it was so before */
        if (thread_change(thread, TRANSITION_GROUP_STOP))
            thread_set_cause(thread, &cause);
    } else if (news) {
        show(thread, TRANSITION_GROUP_STOP, &cause, NULL);
    } else {
        event_stop_plain(thread);
    }
}

/* ---- System calls ---- */

/* Where a filter chooses the calls, it does so at a stop of its own, which comes behind this one. again: this is it. */
static void handle_entry(rein_thread *thread, const struct os_event *event, const struct rein_syscall *call,
                         bool asked_for)
{
    struct seen_call *seen = thread_call(thread);
    bool again = thread->in_call, chosen = event->kind == OS_EVENT_SECCOMP || !thread->process->filtered;
    seen->now = *call;
    seen->now.entry_seen = true;
    thread->in_call = true;
    seen->changed = again && seen->changed;
    seen->traced = chosen && syscall_is_traced(thread);
    if (thread_extra(thread)->calls && !again) {
        struct arch_call made = {.number = (uint64_t)call->number};
        memcpy(made.arguments, call->args, sizeof made.arguments);
        function_calls_note(thread, &made);
    }
    thread->disturbed =
        asked_for || (again && thread->disturbed); /* it came too late for this stop: the call finds it */
    struct rein_cause cause = {.kind = REIN_CAUSE_SYSCALL_ENTRY, .syscall = seen->now};
    if (seen->traced && thread->process->traced_calls->flags & REIN_SYSCALL_ENTRIES)
        show(thread, TRANSITION_SYSCALL, &cause, NULL);
    else
        event_stop_plain(thread);
    if (thread->process->condition == PROCESS_LETTING_GO)
        syscall_finish(thread);
}

/* An interrupt of ours ends a call, and the exit is the stop that it makes: what is seen to at another stop for an
 * interrupt, is so here. true: the call is to be made again. */
static bool is_interrupted(rein_thread *thread, struct arch_registers *registers, bool by_us)
{
    enum { EINTR_SHOWN = 4, RESTART_NO_HANDLER = 514 };
    const struct os_backend *os = thread->process->os;
    struct rein_syscall *call = &thread_call(thread)->now;
    if (by_us && call->error == EINTR_SHOWN && os->restart_interrupted_call(thread->id, registers) == 1 &&
        !thread_set_registers(thread, registers)) {
        call->error = RESTART_NO_HANDLER;
        call->result = -RESTART_NO_HANDLER;
    }
    note_restart(thread, registers);
    return os->call_is_made_again(registers, NULL) == 1;
}

/* Nobody has asked for this exit: syscall_resume has, so that it is seen if the call is interrupted. Who is to stop
 * does so a moment later, out of the call, where it can make others. */
static void stop_at_exit(rein_thread *thread)
{
    const rein_process *process = thread->process;
    if (process->arch->interrupt_call && !process->traced_calls && thread->state == REIN_STATE_STOPPING &&
        !is_quiet(thread)) {
        if (!thread_interrupt_call(thread))
            thread_resume(thread, OS_RESUME_RUN, 0);
        return;
    }
    event_stop_plain(thread);
}

static void handle_exit(rein_thread *thread, const struct os_event *event, const struct rein_syscall *call,
                        bool asked_for, bool stepped)
{
    rein_process *process = thread->process;
    struct seen_call *seen = thread_call(thread);
    struct arch_registers registers;
    bool by_us = asked_for || (thread->in_call && thread->disturbed), again = false;
    syscall_give_back(thread, call->pc);
    if (thread->in_call) {
        seen->now.result = call->result;
        seen->now.error = call->error;
        seen->now.pc = call->pc;
    } else {
        seen->now = *call;
        seen->traced = syscall_is_traced(thread);
    }
    thread->in_call = false;
    bool failed = seen->now.error != 0;
    if (failed || stepped) {
        int result = thread_get_registers(thread, &registers);
        if (result) {
            leave_unhandled(thread, result);
            return;
        }
        again = failed && is_interrupted(thread, &registers, by_us);
    }
    if (stepped)
        breakpoint_step_done(thread, &registers, !again);
    struct rein_cause cause = {.kind = REIN_CAUSE_SYSCALL_EXIT, .syscall = seen->now};
    bool shown = seen->traced && process->traced_calls && process->traced_calls->flags & REIN_SYSCALL_EXITS;
    struct watch_hits hits;
    hits.count = 0;
    if (shown)
        hits.causes[hits.count++] = cause;
    if (watch_steps(thread) && !is_quiet(thread))
        watch_compare(thread, seen->now.pc, &hits);
    if (hits.count)
        show_hits(thread, shown ? TRANSITION_SYSCALL : TRANSITION_WATCHPOINT, &hits);
    else if (!stepped || again || is_silent(thread))
        stop_at_exit(thread);
    /* The instruction that was stepped ends with its call. */
    bool steps = thread->state == REIN_STATE_SINGLE_STEPPING || thread->state == REIN_STATE_STOPPING;
    if (stepped && !again && steps && !is_silent(thread)) {
        note_step(thread, &registers);
        end_step(thread, event, &registers, true);
    }
}

/* A filter of the program's own asks for a tracer. Untraced there is none, and the call fails so. */
static int refuse_call(rein_thread *thread, const struct rein_syscall *call)
{
    struct rein_syscall refused = *call;
    refused.number = -1;
    refused.result = -ENOSYS;
    thread_forget_registers(thread);
    return thread->process->os->set_syscall(thread->id, &refused);
}

static void handle_syscall(rein_thread *thread, const struct os_event *event, bool asked_for)
{
    enum os_syscall_stage stage;
    struct rein_syscall call;
    bool stepped = thread->stepping == STEPPING_USER;
    int result = thread->process->os->get_syscall(thread->id, thread->in_call, &stage, &call);
    /* A filter of the program's own has nothing to tell about a call at whose entry it was seen. */
    bool passed_over = event->kind == OS_EVENT_SECCOMP && thread->in_call && !thread->process->filtered;
    if (!result && event->foreign_filter)
        result = refuse_call(thread, &call);
    if (thread->stepping == STEPPING_PASS) /* the instruction of the call was to be passed */
        breakpoint_pass_stopped(thread, true);
    thread->stepping = STEPPING_NOT;
    thread_restore_mask(thread);
    thread_have_call(thread);
    if (result)
        leave_unhandled(thread, result);
    else if (passed_over)
        event_stop_plain(thread);
    else if (stage == OS_SYSCALL_ENTRY)
        handle_entry(thread, event, &call, asked_for);
    else
        handle_exit(thread, event, &call, asked_for, stepped);
}

void event_show_birth(rein_thread *thread, int child)
{
    struct rein_cause cause = {.kind = thread->stop == OS_EVENT_VFORK ? REIN_CAUSE_VFORK : REIN_CAUSE_FORK,
                               .child = child};
    thread->awaits_birth = false;
    rein_process *process = process_ref(thread_owner(thread)), *followed = process_ref(birth_inherit(thread, child));
    cause.new_process = followed;
    bool stops = show(thread, TRANSITION_FORK, &cause, NULL);
    if (followed) {
        birth_release(followed, stops);
        if (followed->last && followed->condition == PROCESS_HELD)
            end_of_process(followed->last, false);
        if (process->follow == REIN_FOLLOW_CHILD)
            attach_let_go(process, 0);
    }
    process_unref(followed);
    process_unref(process);
}

static void handle_birth(rein_thread *thread, const struct os_event *event)
{
    struct rein_cause cause = {.kind = REIN_CAUSE_THREAD_CREATE, .child = event->child};
    if (thread->stepping == STEPPING_SOFTWARE) /* over the call */
        thread->stepping = STEPPING_NOT;
    switch (birth_told(thread, event, &cause.new_thread)) {
    case BIRTH_OF_THREAD:
        show(thread, TRANSITION_THREAD_CREATE, &cause, NULL);
        break;
    case BIRTH_OF_PROCESS:
        event_show_birth(thread, event->child);
        break;
    case BIRTH_AWAITED: /* it is told when the child is as the caller may expect it: free, without breakpoints */
        thread->awaits_birth = true;
        break;
    }
}

static void handle_exiting(rein_thread *thread, const struct os_event *event)
{
    struct rein_cause cause = {.kind = REIN_CAUSE_THREAD_EXIT, .exit = event->exit};
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, true);
    thread->stepping = STEPPING_NOT;
    thread->mask_changed = false;
    function_calls_lost(thread);
    thread->exit_told = true;
    thread->awaits_birth = false;
    thread->process->was_killed |= event->exit.signaled && !thread->guest;
    show(thread, TRANSITION_EXITING, &cause, NULL);
}

/* ---- Ends ---- */

static void tell_exit(rein_thread *thread, const struct rein_exit *how)
{
    rein_process *process = thread_owner(thread);
    struct rein_cause cause = {.kind = REIN_CAUSE_THREAD_EXIT, .exit = *how};
    if (thread->exit_told) /* and what was told is the thread's own: a leader's end shows the process's status */
        return;
    thread_set_cause(thread, &cause);
    thread->exit_told = true;
    bool late = !rein_state_is_running(thread->state);
    if (is_quiet(thread) || !thread_change(thread, TRANSITION_EXIT))
        return;
    bool tell;
    enum decision decision = decide(thread, &cause, NULL, &tell);
    if (tell)
        process_tell(process, thread, &cause, decision == STOP_ALL, late);
    if (decision == STOP_ALL)
        process_stop(process);
}

static void handle_exited(rein_thread *thread, const struct os_event *event)
{
    if (birth_is_followed_guest(thread))
        birth_guest_has_left(thread);
    rein_process *process = process_ref(thread->process);
    bool guest = thread->guest;
    rein_thread_ref(thread);
    if (event->kind == OS_EVENT_LOST)
        LOG(&process->monitor->log, REIN_LOG_WARNING, "Thread %d: the kernel does not know it as a tracee any more",
            thread->id);
    if (!guest) {
        /* The leader's end is the process's; it is the last to be told. One that was a zombie when we came is not told at
         * all: then it is the last thread's. */
        if (event->kind == OS_EVENT_EXITED) {
            process->exit = event->exit;
            process->exit_known = true;
            process->was_killed |= event->exit.signaled;
        }
        tell_exit(thread, &event->exit);
    }
    thread_end(thread, TRANSITION_EXIT);
    if (!guest && !process->thread_count && process->unborn)
        process->last = rein_thread_ref(thread); /* it is told of when it has been born */
    else if (!guest && !process->thread_count &&
             !process->being_taken) /* else whoever takes it looks if that was all */
        end_of_process(thread, event->kind == OS_EVENT_LOST);
    rein_thread_unref(thread);
    process_unref(process);
}

/* An exec of the leader's, who is dying: so another thread has made it, and we have lost sight of that. */
static rein_thread *make_unknown_caller(rein_thread *leader)
{
    static const struct rein_exit unknown = {false, 0, 0, false};
    rein_process *process = process_ref(leader->process);
    int id = leader->id;
    tell_exit(leader, &unknown);
    thread_end(leader, TRANSITION_EXIT);
    rein_thread *thread = thread_create(process, id, KERNEL_RUNS, false);
    if (!thread)
        monitor_fail(process->monitor, REIN_NO_MEMORY, 0, "no memory for thread %d after its exec", id);
    process_unref(process);
    return thread;
}

/* Of the program in whose first moment the thread is: how it runs now is how it was begun. (If that cannot be seen it has been
 * killed, and will never run.) */
static void learn_architecture(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct arch_registers registers;
    int result = thread_get_registers(thread, &registers);
    process->foreign = result == -ENOTSUP;
    if (!result)
        process->arch = registers.arch;
}

/* A new program (M12). The thread that called exec has the process's id now; all others are gone, the leader, whose id
 * was taken, without a word from the kernel. */
static void handle_exec(rein_monitor *monitor, const struct os_event *event)
{
    rein_thread *thread = table_find(&monitor->threads, (uint64_t)event->former_id);
    if (!thread)
        thread = table_find(&monitor->threads, (uint64_t)event->id);
    if (!thread) {
        birth_of_unknown(monitor, event);
        return;
    }
    rein_thread *namesake = table_find(&monitor->threads, (uint64_t)event->id);
    if (namesake != thread && rein_state_is_terminal(thread->state)) {
        /* It was let go, but could not leave the kernel until now. Its id is the process's now; if that was attached to
         * again meanwhile, it belongs to the new owner. Else whoever had the id has ended without a word. */
        if (namesake && namesake->kernel == KERNEL_BORN) {
            thread_end(thread, TRANSITION_DETACH);
            thread = namesake;
        } else if (namesake) {
            thread_end(namesake, TRANSITION_EXIT);
        }
    }
    if (thread->kernel == KERNEL_DYING && !rein_state_is_terminal(thread->state))
        thread = make_unknown_caller(thread);
    else if (birth_is_followed_guest(thread))
        birth_guest_has_left(thread);
    if (!thread)
        return;
    rein_process *process = thread->process;
    thread_forget_registers(thread);
    displace_leave(thread);
    if (thread->extra)
        thread->extra->sequence_word = thread->extra->shown_count = 0;
    thread->stop = OS_EVENT_EXEC;
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, true);
    thread->stepping = STEPPING_NOT;
    thread->mask_changed = thread->skip = thread->awaits_birth = false;
    if (thread->guest ||
        rein_state_is_terminal(thread->state)) { /* it has left the memory, and carries no breakpoint */
        thread_rename(thread, event->id);
        thread_set_kernel(thread, KERNEL_STOPPED);
        attach_detach_thread(thread);
        return;
    }
    /* To the books it runs until the others' ends are told: whoever is told may ask for a stop, and its own is to come. */
    static const struct rein_exit unknown = {false, 0, 0, false};
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *other = LIST_ENTRY(item, rein_thread, link);
        if (other == thread)
            continue;
        if (other->guest) {
            attach_guest_leaves(other);
        } else {
            const struct rein_cause *cause = thread_cause(other);
            tell_exit(other, cause->kind == REIN_CAUSE_THREAD_EXIT ? &cause->exit : &unknown);
            thread_end(other, TRANSITION_EXIT);
        }
    }
    thread_rename(thread, event->id);
    thread_set_kernel(thread, KERNEL_STOPPED);
    remote_call_lost(thread);
    function_calls_lost(thread);
    watch_release(thread); /* the kernel has cleared its registers */
    watch_forget(&process->watchpoints);
    breakpoints_forget(process);
    process->was_killed = false;
    learn_architecture(thread);
    process->image++;
    process->has_sharers = process->unsearched = process->in_foreign_memory = false;
    process->exec_at = monitor_now();
    process->pass = PASS_NONE; /* a guest may still be stepping: it is counted until it has stopped */
    process->os->memory_close(&process->memory);
    process->os->memory_init(&process->memory);
    if (process->starting && process->foreign) {
        refuse_foreign(process);
        return;
    }
    if (process->starting) {
        process->starting = false;
        if (!is_quiet(thread))
            thread_change(thread, TRANSITION_STOP);
        return;
    }
    struct rein_cause cause = {.kind = REIN_CAUSE_EXEC, .former_id = event->former_id};
    show(thread, TRANSITION_EXEC, &cause, NULL);
    if (process->foreign)
        refuse_foreign(process);
}

/* ---- */

static void log_event(rein_thread *thread, const struct os_event *event)
{
    static const char *const names[] = {
        [OS_EVENT_NONE] = "nothing",
        [OS_EVENT_SIGNAL] = "signal",
        [OS_EVENT_TRAP] = "trap",
        [OS_EVENT_STEPPED] = "stepped",
        [OS_EVENT_WATCHED] = "watched",
        [OS_EVENT_INTERRUPTED] = "interrupted",
        [OS_EVENT_GROUP_STOP] = "group-stop",
        [OS_EVENT_CLONE] = "clone",
        [OS_EVENT_FORK] = "fork",
        [OS_EVENT_VFORK] = "vfork",
        [OS_EVENT_VFORK_DONE] = "vfork done",
        [OS_EVENT_EXEC] = "exec",
        [OS_EVENT_EXITING] = "exiting",
        [OS_EVENT_SECCOMP] = "seccomp",
        [OS_EVENT_SYSCALL] = "system call",
        [OS_EVENT_EXITED] = "exited",
        [OS_EVENT_LOST] = "lost",
    };
    const struct os_backend *os = thread->process->os;
    struct arch_registers registers;
    unsigned long long pc = 0;
    if (event->kind != OS_EVENT_EXITED && !os->get_registers(event->id, &registers))
        pc = arch_pc(&registers);
    log_line(&thread->process->monitor->log, REIN_LOG_TRACE,
             "Thread %d@0x%llx: %s (signal %d, child %d, from %d: %lld)", event->id, pc, names[event->kind],
             event->signal.number, event->child, event->signal.sender_pid, (long long)event->signal.value);
}

/* A second last stop of a leader is not its own: another thread has called exec and taken its id, and was killed before that
 * could be told. When an exec gets that far all others are gone, but for the leader: who is left made it. */
static bool infer_exec(rein_monitor *monitor, const rein_thread *leader)
{
    LIST_FOR_EACH(item, &leader->process->threads)
    {
        const rein_thread *other = LIST_ENTRY(item, rein_thread, link);
        if (other == leader || other->guest || other->kernel == KERNEL_DYING)
            continue;
        const struct os_event exec = {.kind = OS_EVENT_EXEC, .id = leader->id, .former_id = other->id};
        handle_exec(monitor, &exec);
        return true;
    }
    return false;
}

void event_handle(rein_monitor *monitor, const struct os_event *event)
{
    if (event->kind == OS_EVENT_NONE)
        return;
    if (event->kind == OS_EVENT_EXEC) {
        handle_exec(monitor, event);
        return;
    }
    rein_thread *thread = table_find(&monitor->threads, (uint64_t)event->id);
    if (!thread) {
        birth_of_unknown(monitor, event);
        return;
    }
    if (monitor->log.level >= REIN_LOG_TRACE)
        log_event(thread, event);
    if (event->kind == OS_EVENT_EXITED || event->kind == OS_EVENT_LOST) {
        handle_exited(thread, event);
        return;
    }
    if (event->kind == OS_EVENT_EXITING && thread->kernel == KERNEL_DYING) {
        if (!infer_exec(monitor, thread)) {
            monitor->os->resume(event->id, OS_RESUME_RUN, 0);
            return;
        }
        thread = table_find(&monitor->threads, (uint64_t)event->id);
        if (!thread)
            return;
    }
    if (!thread->unhandled)
        thread_forget_registers(thread);
    struct os_event at_home;
    const struct thread_extra *extra = thread_extra(thread);
    if (extra->room || (extra->sent_to && event->kind == OS_EVENT_SIGNAL)) {
        at_home = *event;
        displace_come_home(thread, &at_home);
        event = &at_home;
    }
    if (extra->remote_call && remote_call_event(thread, event))
        return;
    rein_thread_ref(thread);
    bool asked_for = thread->interrupted || thread->out_of_group_stop;
    thread->lost_since = 0;
    thread->stop = event->kind;
    if (event->kind != OS_EVENT_SIGNAL)
        thread->next_is_void = false;
    thread->no_delivery = event->no_delivery;
    thread->watched_stop = event->watched;
    thread->trap_waits = false;
    thread->stop_clock = thread->process->breakpoints.clock;
    thread->look_for_added = false;
    thread_set_unhandled(thread, false);
    thread_set_kernel(thread, KERNEL_STOPPED);
    if (event->kind == OS_EVENT_GROUP_STOP || event->kind == OS_EVENT_INTERRUPTED)
        thread->out_of_group_stop = false;
    if (event->kind != OS_EVENT_GROUP_STOP && !thread->out_of_group_stop)
        thread_leave_group_stop(thread);
    switch (event->kind) {
    case OS_EVENT_SIGNAL:
        thread->in_call = false; /* out of it, as in the three below */
        handle_signal(thread, event);
        break;
    case OS_EVENT_TRAP:
        thread->in_call = false;
        handle_trap(thread, event);
        break;
    case OS_EVENT_STEPPED:
        thread->in_call = false;
        handle_stepped(thread, event);
        break;
    case OS_EVENT_WATCHED:
        thread->in_call = false;
        handle_watched(thread, event);
        break;
    case OS_EVENT_INTERRUPTED:
    case OS_EVENT_GROUP_STOP:
        thread->in_call = false;
        handle_interrupted(thread, event, asked_for);
        break;
    case OS_EVENT_CLONE:
    case OS_EVENT_FORK:
    case OS_EVENT_VFORK:
        handle_birth(thread, event);
        break;
    case OS_EVENT_VFORK_DONE: {
        struct rein_cause cause = {.kind = REIN_CAUSE_VFORK_DONE, .child = event->child};
        show(thread, TRANSITION_FORK, &cause, NULL);
        break;
    }
    case OS_EVENT_EXITING:
        handle_exiting(thread, event);
        break;
    case OS_EVENT_SECCOMP:
    case OS_EVENT_SYSCALL:
        handle_syscall(thread, event, asked_for);
        break;
    default:
        break;
    }
    if (thread->kernel == KERNEL_STOPPED) {
        if (list_empty(&thread->ready)) /* else it is about to be resumed, or executes an instruction by us first */
            thread_check(thread, thread_give_registers(thread), "cannot have its registers set");
        thread_restore_mask(thread);
        if (thread->leaving || rein_state_is_terminal(thread->state))
            attach_detach_thread(thread);
        else
            birth_let_guest_go(thread);
    }
    rein_thread_unref(thread);
}

/* Nothing is shown any more, so that of the event only its kind matters; a trap that is the program's own is a SIGTRAP. */
void event_handle_again(rein_thread *thread)
{
    struct os_event event = {.kind = thread->stop,
                             .id = thread->id,
                             .watched = thread->watched_stop,
                             .no_delivery = thread->no_delivery,
                             .signal = {.number = thread->stop == OS_EVENT_GROUP_STOP ? SIGSTOP : SIGTRAP}};
    if (thread->unhandled && thread->kernel == KERNEL_STOPPED)
        event_handle(thread->process->monitor, &event);
}
