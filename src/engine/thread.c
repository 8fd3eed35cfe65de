/* One thread: its books (visible state, what the kernel does with it, and the process's counters that follow from both), and
 * what the caller asks of it alone.
 *
 * A thread has two states. The visible one goes by the table in state.c. The kernel's says whether it is in a
 * ptrace-stop. They differ while the engine holds a thread for a moment: it is Running to everybody, and stopped in the
 * kernel. A thread that is to run and is stopped in the kernel is on its process's ready list. */
#include "engine/insist.h"
#include "engine/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Books ---- */

enum { LOOK_AFTER_MS = 10, LOOK_APART_US = 20 };

static bool may_run_code(const rein_thread *thread)
{
    return thread->kernel == KERNEL_RUNS && !thread->in_vfork && !thread->stuck && !thread_extra(thread)->remote_call;
}

static bool is_unsettled(const rein_thread *thread)
{
    return !thread_is_hidden(thread) && rein_state_is_running(thread->state) &&
           !(thread->state == REIN_STATE_STOPPING && (thread->in_vfork || thread->stuck));
}

/* Around every change of what the questions above depend on: take it off the counters, change it, put it back. Those that have
 * to do with memory are of the process whose it is, the others of the one that callers see. */
static void account(rein_thread *thread, int sign)
{
    rein_process *process = thread->process, *owner = thread_owner(thread);
    bool runs = may_run_code(thread);
    process->code_runners += (unsigned)(sign * runs);
    process->monitor->running += (size_t)(sign * (thread->kernel == KERNEL_RUNS));
    process->turns += (unsigned)(sign * (runs & thread->takes_turn));
    process->fresh += (size_t)(sign * (runs & thread->fresh));
    process->outdated += (size_t)(sign * (runs & thread->outdated));
    owner->unsettled += (unsigned)(sign * is_unsettled(thread));
    owner->zombies += (size_t)(sign * (!thread_is_hidden(thread) && rein_state_is_zombie(thread->state)));
    process->listeners += (unsigned)(sign * (thread->kernel == KERNEL_LISTENS));
    process->born += (size_t)(sign * (thread->kernel == KERNEL_BORN));
    process->unhandled += (size_t)(sign * (thread->unhandled & (thread->kernel != KERNEL_GONE)));
}

/* What is no longer wanted while the thread lives. After the host's death the heap is left alone, whose lock may be held for ever. */
static void give_back(const rein_thread *thread, void *memory)
{
    if (!thread->process->monitor->host_died)
        free(memory);
}

static void note_change(const rein_thread *thread)
{
    monitor_note_change(thread->process);
    if (thread_owner(thread) != thread->process)
        monitor_note_change(thread_owner(thread));
}

static void free_held(rein_thread *thread)
{
    while (thread_extra(thread)->held) {
        struct held_signal *held = thread->extra->held;
        thread->extra->held = held->next;
        give_back(thread, held);
    }
}

static void free_extra(rein_thread *thread)
{
    struct thread_extra *extra = thread->extra;
    if (!extra)
        return;
    free_held(thread);
    remote_call_free(thread);
    function_calls_free(thread);
    watch_free(thread);
    rein_cause_clear(extra->cause);
    free(extra->cause);
    free(extra->call);
    free(extra->shown);
    process_unref(extra->followed);
    free(extra);
}

/* For what it is, or may have to do before anybody asks. (Its own block is not from thread_allocate, either.) */
static bool has_first_room(rein_thread *thread)
{
    const rein_process *process = thread->process;
    bool is_watched = !thread->guest && !process->monitor->host_died && !list_empty(&process->watchpoints.list);
    if (!thread->guest && !is_watched)
        return true;
    thread->extra = calloc(1, sizeof *thread->extra);
    return thread->extra && (!is_watched || !watch_make_room(thread));
}

rein_thread *thread_create(rein_process *process, int id, enum kernel_state kernel, bool guest)
{
    rein_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return NULL;
    thread->process = process;
    atomic_init(&thread->owner, process);
    thread->guest = guest;
    if (!has_first_room(thread) || table_set(&process->monitor->threads, (uint64_t)id, thread)) {
        free_extra(thread);
        free(thread);
        return NULL;
    }
    atomic_init(&thread->references, 1); /* the tables' */
    atomic_init(&thread->id, id);
    process_ref(process);
    thread->kernel = kernel;
    if (guest)
        thread->extra->image = process->image;
    thread->group_stops = process->group_stops - (process->in_group_stop != 0);
    thread->state = process->stop_wanted && !guest ? REIN_STATE_STOPPING : REIN_STATE_RUNNING;
    list_init(&thread->expected);
    list_init(&thread->ready);
    list_init(&thread->link);
    list_append(&process->threads, &thread->link);
    process->thread_count += !guest;
    process->guests += guest;
    account(thread, +1);
    return thread;
}

rein_thread *rein_thread_ref(rein_thread *thread)
{
    if (thread)
        atomic_fetch_add_explicit(&thread->references, 1, memory_order_relaxed);
    return thread;
}

void rein_thread_unref(rein_thread *thread)
{
    if (!thread || atomic_fetch_sub_explicit(&thread->references, 1, memory_order_acq_rel) != 1)
        return;
    if (thread->process->monitor->host_died) /* it ends soon, and all with it */
        return;
    free_extra(thread);
    free(thread->registers);
    process_unref(thread->process);
    free(thread);
}

void *thread_allocate(const rein_thread *thread, size_t size)
{
    return thread->process->monitor->host_died ? NULL : calloc(1, size);
}

const struct thread_extra thread_has_no_extra;

int thread_make_room(rein_thread *thread)
{
    if (!thread->extra)
        thread->extra = thread_allocate(thread, sizeof *thread->extra);
    return thread->extra ? 0 : -ENOMEM;
}

bool thread_need_room(rein_thread *thread)
{
    rein_monitor *monitor = thread->process->monitor;
    if (!thread_make_room(thread))
        return true;
    if (!monitor->host_died)
        monitor_fail(monitor, REIN_NO_MEMORY, 0, "no memory for what thread %d does", thread->id);
    return false;
}

const struct rein_cause *thread_cause(const rein_thread *thread)
{
    static const struct rein_cause stopped = {.kind = REIN_CAUSE_STOPPED};
    const struct rein_cause *cause = thread_extra(thread)->cause;
    return cause ? cause : &stopped;
}

void thread_set_cause(rein_thread *thread, const struct rein_cause *cause)
{
    rein_monitor *monitor = thread->process->monitor;
    if (!thread_need_room(thread))
        return; /* if its host has died nobody asks for it */
    struct thread_extra *extra = thread->extra;
    if (!extra->cause)
        extra->cause = thread_allocate(thread, sizeof *extra->cause);
    if (!extra->cause) {
        if (!monitor->host_died)
            monitor_fail(monitor, REIN_NO_MEMORY, 0, "no memory for why thread %d has stopped", thread->id);
        return;
    }
    cause_hold(cause); /* before it is given back: they may be one */
    struct rein_cause copy = *cause;
    rein_cause_clear(extra->cause);
    *extra->cause = copy;
}

/* But not the siginfo of what is still to be delivered. */
static void forget_cause(rein_thread *thread)
{
    struct rein_cause *cause = thread_extra(thread)->cause;
    if (!cause)
        return;
    rein_cause_clear(cause);
    if (thread->deliver) {
        *cause = (struct rein_cause){.kind = REIN_CAUSE_STOPPED, .signal = cause->signal};
    } else {
        thread->extra->cause = NULL;
        give_back(thread, cause);
    }
}

struct seen_call *thread_call(const rein_thread *thread)
{
    struct seen_call *call = thread_extra(thread)->call;
    return call ? call : &thread->process->monitor->nobodys_call;
}

void thread_have_call(rein_thread *thread)
{
    rein_monitor *monitor = thread->process->monitor;
    if (!thread_need_room(thread) || thread->extra->call)
        return;
    thread->extra->call = thread_allocate(thread, sizeof *thread->extra->call);
    if (!thread->extra->call && !monitor->host_died)
        monitor_fail(monitor, REIN_NO_MEMORY, 0, "no memory for the system call of thread %d", thread->id);
}

bool thread_change(rein_thread *thread, enum transition transition)
{
    struct state_entry entry = state_transition(thread->state, transition);
    if (entry.next == STATE_ILLEGAL) {
#ifdef REIN_ASSERT_STATES
        fprintf(stderr, "Thread %d: %s in state %s\n", thread->id, state_transition_name(transition),
                rein_state_name(thread->state));
        abort();
#endif
        monitor_fail(thread->process->monitor, REIN_BAD_STATE, 0, "Thread %d: \"%s\" cannot happen in state %s",
                     thread->id, state_transition_name(transition), rein_state_name(thread->state));
        return false;
    }
    LOG(&thread->process->monitor->log, REIN_LOG_STATE, "Thread %d: state %s -> %s", thread->id,
        rein_state_name(thread->state), rein_state_name(entry.next));
    account(thread, -1);
    thread->state = entry.next;
    account(thread, +1);
    switch (entry.action) {
    case ACTION_RUN:
        rein_cause_clear(thread_extra(thread)->cause);
        thread_make_ready(thread);
        break;
    case ACTION_HALT:
        if (!list_empty(&thread->ready)) /* else it has just stopped */
            thread_check(thread, thread_give_registers(thread), "cannot have its registers set");
        list_remove(&thread->ready);
        break;
    case ACTION_END:
    case ACTION_NONE:
        break;
    }
    if (transition == TRANSITION_STOP)
        forget_cause(thread);
    note_change(thread);
    return true;
}

/* Of who is left over, dying, the end is near. It is asked for by id, for it may not be told: when a thread that is not
 * traced (we are just attaching, or it was made so) calls exec, the leader is gone without a word. */
static void expect_last(rein_process *process)
{
    if (process->thread_count != 1 || process->zombies != 1)
        return;
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (!thread->guest && thread->kernel == KERNEL_DYING)
            thread_expect(thread);
    }
}

void thread_set_kernel(rein_thread *thread, enum kernel_state kernel)
{
    account(thread, -1);
    thread->kernel = kernel;
    if (kernel != KERNEL_RUNS)
        thread->in_vfork = thread->stuck = false;
    if (kernel != KERNEL_STOPPED)
        thread->registers_known = thread->registers_kept;
    if (kernel == KERNEL_STOPPED)
        thread->interrupted = thread->interrupt_refused = thread->doubtful = thread->fresh = thread->takes_turn = false;
    account(thread, +1);
    if (kernel == KERNEL_DYING) { /* behind those through which memory can be reached */
        list_remove(&thread->link);
        list_append(&thread->process->threads, &thread->link);
    }
    if (kernel != KERNEL_RUNS && kernel != KERNEL_BORN)
        list_remove(&thread->expected);
    expect_last(thread->process);
    note_change(thread);
}

void thread_set_fresh(rein_thread *thread)
{
    account(thread, -1);
    thread->fresh = true;
    account(thread, +1);
}

void thread_set_unhandled(rein_thread *thread, bool unhandled)
{
    thread->process->unhandled += (size_t)unhandled - (size_t)thread->unhandled; /* it is not KERNEL_GONE */
    thread->unhandled = unhandled;
}

void thread_set_cannot_stop(rein_thread *thread, bool in_vfork, bool stuck)
{
    account(thread, -1);
    thread->in_vfork = in_vfork;
    thread->stuck = stuck;
    account(thread, +1);
}

/* Is it the next of a crowd, of which one stops after the other? */
static bool follows(const rein_thread *thread, const rein_thread *last)
{
    return thread->expected_at - last->expected_at < (int64_t)LOOK_APART_US * 1000;
}

void thread_expect(rein_thread *thread)
{
    rein_monitor *monitor = thread->process->monitor;
    if (!list_empty(&thread->expected))
        return;
    thread->expected_at = monitor_now();
    thread->look_at = thread->expected_at + (int64_t)LOOK_AFTER_MS * 1000000;
    if (!list_empty(&monitor->expected)) {
        const rein_thread *last = LIST_ENTRY(monitor->expected.previous, rein_thread, expected);
        if (follows(thread, last) && thread->look_at < last->look_at + (int64_t)LOOK_APART_US * 1000)
            thread->look_at = last->look_at + (int64_t)LOOK_APART_US * 1000;
    }
    if (!monitor->stuck_check_at || thread->look_at < monitor->stuck_check_at)
        monitor->stuck_check_at = thread->look_at;
    list_append(&monitor->expected, &thread->expected);
}

void thread_check(rein_thread *thread, int result, const char *what)
{
    if (!result)
        return;
    if (result != -ESRCH) {
        monitor_fail(thread->process->monitor, REIN_SYSTEM, result, "Thread %d %s", thread->id, what);
        return;
    }
    thread->doubtful = true;
    thread_expect(thread);
}

static void note_interrupted(rein_thread *thread)
{
    thread->interrupted = true;
    thread_expect(thread);
}

void thread_interrupt(rein_thread *thread)
{
    if (thread_extra(thread)->remote_call)
        return; /* it comes back by itself; who cannot wait for that aborts the call */
    if (thread->interrupted || (thread->kernel != KERNEL_RUNS && thread->kernel != KERNEL_LISTENS))
        return;
    if (thread->stepping == STEPPING_PASS)
        return; /* it stops by itself after one instruction */
    if (thread->in_vfork)
        return; /* it makes a stop when its child has left, before it runs any code (PTRACE_O_TRACEVFORKDONE) */
    thread_interrupt_call(thread);
}

void thread_outdate(rein_thread *thread)
{
    account(thread, -1);
    thread->outdated = true;
    account(thread, +1);
    thread_interrupt(thread);
}

int thread_interrupt_call(rein_thread *thread)
{
    int result;
    INSIST(result, thread->process->os->interrupt(thread->id));
    if (result && result != -ESRCH) /* -ESRCH: it is dying, and that is awaited just the same */
        thread_check(thread, result, "cannot be interrupted");
    note_interrupted(thread);
    thread->interrupt_refused = result != 0;
    return result;
}

void thread_set_call(rein_thread *thread, struct remote_call *call)
{
    account(thread, -1);
    thread->extra->remote_call = call;
    account(thread, +1);
}

void thread_note_zombie(rein_thread *thread)
{
    remote_call_lost(thread);
    function_calls_lost(thread);
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, true);
    thread->stepping = STEPPING_NOT;
    thread_set_kernel(thread, KERNEL_DYING);
    if (!rein_state_is_terminal(thread->state) && thread_change(thread, TRANSITION_EXITING))
        thread_change(thread, TRANSITION_CONTINUE);
}

void thread_forget_registers(rein_thread *thread)
{
    thread->registers_known = thread->registers_kept = false;
}

/* Without it they are the kernel's alone. */
static bool has_room_for_registers(rein_thread *thread)
{
    if (!thread->registers)
        thread->registers = thread_allocate(thread, sizeof *thread->registers);
    return thread->registers != NULL;
}

int thread_get_registers(rein_thread *thread, struct arch_registers *registers)
{
    if (thread->registers_known) {
        *registers = *thread->registers;
        return 0;
    }
    int result;
    INSIST(result, thread->process->os->get_registers(thread->id, registers));
    if (!result && has_room_for_registers(thread)) {
        *thread->registers = *registers;
        thread->registers_known = true;
    }
    return result;
}

/* What it is told, the kernel does not always keep as it is: bits that a program may not set, for one. */
int thread_set_registers(rein_thread *thread, const struct arch_registers *registers)
{
    thread_forget_registers(thread);
    int result;
    INSIST(result, thread->process->os->set_registers(thread->id, registers));
    return result;
}

/* What the kernel has while rein's are newer; the room for it is made for who has his changed. NULL: there is none. */
static struct arch_registers *kernels_registers(rein_thread *thread)
{
    if (!thread->registers_two) {
        struct arch_registers *two = thread_allocate(thread, 2 * sizeof *two);
        if (!two)
            return NULL;
        two[0] = *thread->registers;
        free(thread->registers);
        thread->registers = two;
        thread->registers_two = true;
    }
    return thread->registers + 1;
}

void thread_keep_registers(rein_thread *thread, const struct arch_registers *registers)
{
    if (!has_room_for_registers(thread)) {
        thread_check(thread, thread_set_registers(thread, registers), "cannot have its registers set");
        return;
    }
    struct arch_registers *kernels = kernels_registers(thread);
    if (kernels && !thread->registers_kept)
        *kernels = thread->registers_known ? *thread->registers : (struct arch_registers){.size = 0};
    *thread->registers = *registers;
    thread->registers_known = thread->registers_kept = true;
}

int thread_give_registers(rein_thread *thread)
{
    if (!thread->registers_kept)
        return 0;
    struct arch_registers *kernels = thread->registers_two ? thread->registers + 1 : NULL;
    int result = thread->process->os->change_registers(thread->id, thread->registers, kernels);
    if (result && kernels)
        kernels->size = 0; /* some may have been set */
    if (result)
        INSIST(result, thread->process->os->change_registers(thread->id, thread->registers, NULL));
    thread->registers_kept = result != 0;
    return result;
}

void thread_note_run(rein_thread *thread)
{
    struct steps *steps = thread_extra(thread)->steps;
    thread->run_count = ++thread->process->runs;
    if (steps)
        steps->runs++;
}

static void note_exec(rein_thread *thread, enum os_resume how)
{
    struct arch_registers registers;
    if (thread->extra)
        thread->extra->exec_pc = 0;
    if (how == OS_RESUME_STEP && thread->stop == OS_EVENT_EXEC && thread_need_room(thread) &&
        !thread_get_registers(thread, &registers))
        thread->extra->exec_pc = arch_pc(&registers);
}

int thread_resume(rein_thread *thread, enum os_resume how, int signal)
{
    list_remove(&thread->ready);
    how = watch_resume(thread, how, signal);
    if (how != OS_RESUME_LISTEN)
        watch_arm(thread);
    int result = thread_give_registers(thread);
    note_exec(thread, how);
    if (!result)
        INSIST_ON_END_OF_STOP(result, thread->process->os->resume(thread->id, how, signal));
    if (result && result != -ESRCH) { /* it is where it was */
        if (thread->stepping == STEPPING_PASS)
            breakpoint_pass_stopped(thread, false);
        thread->stepping = STEPPING_NOT;
        thread->takes_turn = false;
        thread->deliver = signal;
        thread_check(thread, result, "cannot be resumed");
        return result;
    }
    thread->registers_known = thread->registers_kept; /* these, if it does not run, and lives after all */
    thread_note_run(thread);
    const rein_process *owner = thread_owner(thread);
    if (!owner->in_group_stop) /* those that have been told are over, and it cannot be late for one */
        thread->group_stops = owner->group_stops;
    thread->outdated = false; /* it is not counted as running yet */
    thread->stops_at_calls = how == OS_RESUME_TO_SYSCALL;
    thread->in_call = thread->in_call && thread->stops_at_calls; /* else its exit is not seen */
    if (thread->stop == OS_EVENT_GROUP_STOP && how != OS_RESUME_LISTEN)
        thread->out_of_group_stop = true;
    bool dying = thread->stop == OS_EVENT_EXITING;
    thread_set_kernel(thread, how == OS_RESUME_LISTEN && !result ? KERNEL_LISTENS : dying ? KERNEL_DYING : KERNEL_RUNS);
    if (thread->stop == OS_EVENT_VFORK && !result)
        thread_set_cannot_stop(thread, true, false);
    thread_check(thread, result, "cannot be resumed"); /* it was killed; its end is near */
    if (thread->stepping == STEPPING_WATCH)
        thread_expect(thread);
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: resumed (%s) with signal %d", thread->id,
        how == OS_RESUME_RUN      ? "run"
        : how == OS_RESUME_STEP   ? "step"
        : how == OS_RESUME_LISTEN ? "listen"
                                  : "to system call",
        signal);
    return result;
}

void thread_make_ready(rein_thread *thread)
{
    /* Who clears awaits_birth calls again. */
    if (thread->kernel == KERNEL_STOPPED && !thread_is_kept(thread) && list_empty(&thread->ready))
        list_append(&thread->process->arrivals, &thread->ready);
    monitor_note_change(thread->process);
}

void thread_rename(rein_thread *thread, int id)
{
    rein_monitor *monitor = thread->process->monitor;
    if (thread->id == id)
        return;
    table_remove(&monitor->threads, (uint64_t)thread->id);
    atomic_store(&thread->id, id);
    if (table_set(&monitor->threads, (uint64_t)id, thread)) /* it cannot: there is room for the one just removed */
        monitor_fail(monitor, REIN_NO_MEMORY, 0, "no memory for thread %d after its exec", id);
}

bool thread_is_at_signal(const rein_thread *thread)
{
    return thread->stop == OS_EVENT_SIGNAL || thread->stop == OS_EVENT_TRAP || thread->stop == OS_EVENT_WATCHED ||
           (thread->stop == OS_EVENT_STEPPED && !thread->no_delivery);
}

/* What the kernel does with a pending signal when one of the other kind is generated (prepare_signal in kernel/signal.c):
 * SIGCONT takes stop signals away, and these take SIGCONT away. The set of those that do so with number, bit N - 1 for N. */
static uint64_t contradicted_by(int number)
{
    if (number <= 0)
        return 0;
    const uint64_t stops = UINT64_C(1) << (SIGSTOP - 1) | UINT64_C(1) << (SIGTSTP - 1) | UINT64_C(1) << (SIGTTIN - 1) |
                           UINT64_C(1) << (SIGTTOU - 1);
    if (number == SIGCONT)
        return stops;
    return stops & UINT64_C(1) << (number - 1) ? UINT64_C(1) << (SIGCONT - 1) : 0;
}

void thread_drop_held(const rein_thread *thread, struct held_signal **list, uint64_t arrived)
{
    for (struct held_signal **at = list; *at;) {
        struct held_signal *held = *at;
        if (arrived & contradicted_by(held->signal.number)) {
            LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: signal %d that was held back is void",
                thread->id, held->signal.number);
            *at = held->next;
            give_back(thread, held);
        } else {
            at = &held->next;
        }
    }
}

/* Of those signals, which have come to the process and were not seen yet: pending, or taken by a thread that has stopped with
 * them. */
static uint64_t not_seen_yet(const rein_thread *thread, uint64_t wanted)
{
    const struct os_backend *os = thread->process->os;
    uint64_t arrived = 0;
    if (!wanted)
        return 0;
    if (os->pending_signals(thread->id, &arrived))
        arrived = 0;
    LIST_FOR_EACH(item, &thread->process->threads)
    {
        const rein_thread *other = LIST_ENTRY(item, rein_thread, link);
        bool waits = other->kernel == KERNEL_RUNS && thread_owner(other) == thread_owner(thread);
        int signal = waits ? os->waiting_signal(other->id) : 0;
        arrived |= signal > 0 && signal <= 64 ? UINT64_C(1) << (signal - 1) : 0;
    }
    return arrived & wanted;
}

/* The same of those that contradict one held back. */
static uint64_t arrived_since(const rein_thread *thread)
{
    uint64_t wanted = 0;
    for (const struct held_signal *held = thread_extra(thread)->held; held; held = held->next)
        wanted |= contradicted_by(held->signal.number);
    return not_seen_yet(thread, wanted);
}

static bool is_stop_signal(int number)
{
    return number != SIGCONT && contradicted_by(number);
}

bool thread_holds_stop(const rein_thread *thread)
{
    for (const struct held_signal *held = thread_extra(thread)->held; held; held = held->next) {
        if (is_stop_signal(held->signal.number))
            return true;
    }
    return false;
}

/* A stop signal, if there is one: to queue it takes a SIGCONT away that comes in that moment. One that a thread is
 * resumed with is void if SIGCONT has come since the thread stopped, by the kernel's own care (JOBCTL_STOP_DEQUEUED in
 * kernel/signal.c). */
static struct held_signal **first_to_deliver(struct held_signal **list)
{
    for (struct held_signal **at = list; *at; at = &(*at)->next) {
        if (is_stop_signal((*at)->signal.number))
            return at;
    }
    return list;
}

/* The id of the process that it is one of. A vfork child that was followed and is let go is in the books of another. */
static int group_of(const rein_thread *thread)
{
    return thread->guest && thread->extra->followed ? thread->extra->followed->id : thread_owner(thread)->id;
}

/* The first is what the thread is resumed with, if that can be and it gets none yet; the others are queued. */
static int take_held(rein_thread *thread, int signal)
{
    const struct os_backend *os = thread->process->os;
    struct held_signal **list = &thread->extra->held;
    thread_drop_held(thread, list, arrived_since(thread)); /* to send one would take the other, which is newer, away */
    struct held_signal **at = first_to_deliver(list), *held = *at;
    if (held && !signal && thread_is_at_signal(thread) && !os->set_signal(thread->id, &held->signal)) {
        signal = held->signal.number;
        *at = held->next;
        give_back(thread, held);
    }
    for (held = *list; held; held = held->next)
        os->queue_signal(group_of(thread), thread->id, &held->signal);
    free_held(thread);
    return signal;
}

int thread_take_signal(rein_thread *thread)
{
    int signal = thread_is_at_signal(thread) ? thread->deliver : 0;
    if (thread_extra(thread)->held)
        signal = take_held(thread, signal);
    thread->deliver = 0;
    thread->signal_chosen = false;
    return signal;
}

void thread_run(rein_thread *thread)
{
    if (thread->state == REIN_STATE_SINGLE_STEPPING) {
        breakpoint_step(thread);
    } else if (thread->stop == OS_EVENT_GROUP_STOP && !thread_extra(thread)->calls) {
        /* PTRACE_LISTEN (Linux 3.4): it stays in the group-stop, as it would untraced, and we hear when that ends. */
        if (thread_extra(thread)->held)
            thread_take_signal(thread);
        thread_resume(thread, OS_RESUME_LISTEN, 0);
    } else {
        int signal = thread_take_signal(thread);
        breakpoint_forget_shown(thread, signal);
        /* Back into the group-stop, before it executes anything; if that has ended meanwhile, it runs on. One that is
         * watched stops in front of the signal's handler: the kernel can leave the trap flag of a step in the handler's
         * frame, if the program has just turned its own off. */
        bool watched = watch_steps(thread);
        bool returns = ((thread->out_of_group_stop && !thread_extra(thread)->calls) || (watched && signal)) &&
                       !thread->process->os->interrupt(thread->id);
        enum os_resume how = !watched  ? syscall_resume(thread, OS_RESUME_RUN)
                             : returns ? OS_RESUME_RUN
                                       : breakpoint_step_on(thread);
        thread_resume(thread, how, signal);
        if (thread->takes_turn)
            thread_expect(thread);
        if (returns)
            note_interrupted(thread);
    }
}

void thread_continue(rein_thread *thread)
{
    if (thread->state == REIN_STATE_STOPPED_SIGNAL && !thread->signal_chosen &&
        (thread->deliver == SIGSTOP || thread->deliver == SIGTRAP))
        thread->deliver = 0;
    thread->look_for_added = (thread->kernel == KERNEL_STOPPED || thread_extra(thread)->remote_call) &&
                             thread->process->breakpoints.clock != thread->stop_clock;
    thread_change(thread, TRANSITION_CONTINUE);
    birth_continue_guests(thread);
}

/* What the kernel does to pending signals is done to those that steps hold back, and to those that the next step would.
 * Threads take their signals at the same time, and what is seen first need not have come first: a stop that waits to be
 * seen when SIGCONT is, came before it. */
void thread_drop_contradicted(rein_thread *thread, int signal)
{
    thread->deliver_is_void = thread->next_is_void && contradicted_by(signal);
    thread->next_is_void = false;
    if (!contradicted_by(signal))
        return;
    uint64_t arrived = UINT64_C(1) << (signal - 1);
    LIST_FOR_EACH(item, &thread->process->threads)
    {
        rein_thread *other = LIST_ENTRY(item, rein_thread, link);
        if (thread_owner(other) != thread_owner(thread))
            continue;
        if (other->extra)
            thread_drop_held(other, &other->extra->held, arrived);
        function_calls_contradict(other, arrived, contradicted_by(signal));
        if (other == thread)
            continue;
        if ((other->kernel == KERNEL_STOPPED || thread_extra(other)->remote_call) && other->deliver &&
            (arrived & contradicted_by(other->deliver)))
            other->deliver_is_void = true;
        else if (other->kernel == KERNEL_RUNS)
            other->next_is_void = (arrived & contradicted_by(other->process->os->waiting_signal(other->id))) != 0;
    }
}

/* The kernel itself would know, but only of the stop in which the signal was first seen. */
void thread_drop_if_void(rein_thread *thread)
{
    uint64_t ends = contradicted_by(thread->deliver);
    if (!(ends & UINT64_C(1) << (SIGCONT - 1)))
        return;
    if (not_seen_yet(thread, ends))
        thread->deliver_is_void = true;
    if (thread->deliver_is_void)
        thread->deliver = 0;
}

void thread_drop_void_stop(rein_thread *thread)
{
    const uint64_t continues = UINT64_C(1) << (SIGCONT - 1);
    const struct os_backend *os = thread->process->os;
    uint64_t pending = 0, caught = 0;
    if (!is_stop_signal(thread->deliver) || thread->signal_chosen)
        return;
    if (os->pending_signals(thread->id, &pending) || !(pending & continues))
        return;
    if (os->caught_signals(thread->id, &caught) || caught >> (thread->deliver - 1) & 1)
        return;
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: signal %d is void", thread->id, thread->deliver);
    thread->deliver = 0;
}

void thread_restore_mask(rein_thread *thread)
{
    if (!thread->mask_changed)
        return;
    int result;
    INSIST(result, thread->process->os->set_signal_mask(thread->id, thread_extra(thread)->mask));
    thread_check(thread, result, "cannot have its signal mask back");
    thread->mask_changed = result != 0; /* then it is tried again before it is let go */
}

void thread_leave_group_stop(rein_thread *thread)
{
    thread_owner(thread)->in_group_stop -= thread->in_group_stop;
    thread->in_group_stop = false;
}

void thread_set_owner(rein_thread *thread, rein_process *owner)
{
    thread_leave_group_stop(thread);
    thread->group_stops = owner->group_stops;
    account(thread, -1);
    thread_owner(thread)->thread_count -= !thread_is_hidden(thread);
    atomic_store_explicit(&thread->owner, owner, memory_order_release);
    owner->thread_count += !thread_is_hidden(thread);
    account(thread, +1);
    note_change(thread);
}

void thread_join_owner(rein_thread *thread)
{
    rein_process *host = thread->process, *process = process_ref(thread_owner(thread));
    bool was_ready = !list_empty(&thread->ready);
    list_remove(&thread->ready);
    list_remove(&thread->link);
    account(thread, -1);
    host->guests--;
    thread->process = process;
    thread->guest = false;
    account(thread, +1);
    list_append(&process->threads, &thread->link);
    if (was_ready)
        thread_make_ready(thread);
    monitor_note_change(host);
    monitor_note_change(process);
    process_unref(host);
}

void thread_end(rein_thread *thread, enum transition transition)
{
    rein_process *process = thread->process, *owner = thread_owner(thread);
    remote_call_lost(thread);
    function_calls_lost(thread);
    thread_leave_group_stop(thread);
    if (!rein_state_is_terminal(thread->state))
        thread_change(thread, transition);
    account(thread, -1);
    thread->kernel = KERNEL_GONE;
    account(thread, +1);
    if (thread->stepping == STEPPING_PASS)
        breakpoint_pass_stopped(thread, true);
    thread->stepping = STEPPING_NOT;
    displace_leave(thread);
    list_remove(&thread->expected);
    list_remove(&thread->ready);
    list_remove(&thread->link);
    owner->thread_count -= !thread_is_hidden(thread);
    process->guests -= thread->guest;
    if (owner->as_guest == thread)
        owner->as_guest = NULL;
    if (table_find(&process->monitor->threads, (uint64_t)thread->id) == thread)
        table_remove(&process->monitor->threads, (uint64_t)thread->id);
    free_held(thread);
    watch_thread_ends(process, thread);
    expect_last(process);
    note_change(thread);
    rein_thread_unref(thread);
}

int thread_bad_state(const rein_thread *thread, struct error *error, const char *what, const char *advice)
{
    return error_set(error, REIN_BAD_STATE, "Thread %d %s from state %s: %s", thread->id, what,
                     rein_state_name(thread->state), advice);
}

int thread_check_call(const rein_thread *thread, struct error *error, const char *what)
{
    return thread_extra(thread)->remote_call
               ? thread_bad_state(thread, error, what, "a call that it makes is not done yet")
               : 0;
}

/* ---- What callers ask ---- */

int rein_thread_id(const rein_thread *thread)
{
    return thread ? atomic_load(&thread->id) : error_fail(REIN_INVALID_ARGUMENT, "rein_thread_id: thread is NULL");
}

rein_process *rein_thread_process(const rein_thread *thread)
{
    if (!thread)
        error_fail(REIN_INVALID_ARGUMENT, "rein_thread_process: thread is NULL");
    return thread ? thread_owner(thread) : NULL;
}

int thread_check_request(const struct request *request, struct error *error)
{
    const rein_thread *thread = request->thread;
    rein_process *process = thread_owner(thread);
    if (rein_state_is_terminal(thread->state) && process->condition == PROCESS_HELD)
        return error_set(error, REIN_NO_THREAD, "Thread %d of process %d is gone", thread->id, process->id);
    return process_check(process, error);
}

static void run_name(struct request *request)
{
    rein_thread *thread = request->thread;
    int result = 0;
    if (rein_state_is_terminal(thread->state) ||
        thread->process->os->thread_name(thread_owner(thread)->id, thread->id, request->out))
        result = error_set(&request->error, REIN_NO_THREAD, "Thread %d is gone", thread->id);
    request_finish(request, result);
}

int rein_thread_name(rein_thread *thread, char name[16])
{
    if (!thread || !name)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_name: thread or name is NULL");
    struct request request = {.run = run_name, .process = thread_owner(thread), .thread = thread, .out = name};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

static void run_state(struct request *request)
{
    *(enum rein_state *)request->out = request->thread->state;
    request_finish(request, 0);
}

int rein_thread_state(rein_thread *thread, enum rein_state *state)
{
    if (!thread || !state)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_state: thread or state is NULL");
    struct request request = {
        .run = run_state, .reads = true, .process = thread_owner(thread), .thread = thread, .out = state};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

void thread_copy_cause(const rein_thread *thread, struct rein_cause *cause)
{
    *cause = *thread_cause(thread);
    cause_hold(cause);
}

static void run_cause(struct request *request)
{
    rein_thread *thread = request->thread;
    int result = 0;
    if (rein_state_is_stopped(thread->state) || thread_cause(thread)->kind == REIN_CAUSE_THREAD_EXIT)
        thread_copy_cause(thread, request->out);
    else if (thread->state == REIN_STATE_DETACHED)
        result = process_check(thread_owner(thread), &request->error);
    else
        result = thread_bad_state(thread, &request->error, "cannot get stop cause", "it is not stopped");
    request_finish(request, result);
}

int rein_thread_cause(rein_thread *thread, struct rein_cause *cause)
{
    if (!thread || !cause)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_cause: thread or cause is NULL");
    memset(cause, 0, sizeof *cause);
    struct request request = {
        .run = run_cause, .reads = true, .process = thread_owner(thread), .thread = thread, .out = cause};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

/* Answers those who wait for the thread to stop, whatever it is that stopped it. */
static bool stopped_ready(struct request *request)
{
    rein_thread *thread = request->thread;
    rein_process *process = request->process; /* a vfork child that is let go is no longer the thread's */
    int result = process_check(process, &request->error);
    if (!result && rein_state_is_running(thread->state)) {
        bool cannot = thread->state == REIN_STATE_STOPPING && (thread->stuck || thread->in_vfork);
        if (!cannot || !request->begin_only_on_monitor)
            return false; /* rein_thread_stop says why; the others wait */
        char why[160] = "is in the kernel";
        process->os->explain_stuck(process->id, thread->id, why, sizeof why);
        result =
            error_set(&request->error, REIN_CANNOT_STOP,
                      "Thread %d cannot be stopped now: it %s; it is held as soon as it comes out", thread->id, why);
    } else if (!result && request->flags && rein_state_is_terminal(thread->state)) {
        result = thread_check_request(request, &request->error);
    }
    process_note_heard(process);
    request_finish(request, result);
    return true;
}

void thread_ask_stop(rein_thread *thread)
{
    if ((thread->state != REIN_STATE_RUNNING && thread->state != REIN_STATE_SINGLE_STEPPING) ||
        !thread_change(thread, TRANSITION_ASK_STOP))
        return;
    if (thread->kernel == KERNEL_STOPPED && !thread_is_kept(thread))
        thread_change(thread, TRANSITION_STOP);
    else
        thread_interrupt(thread);
}

static void run_stop(struct request *request)
{
    rein_thread *thread = request->thread;
    int result = thread_check_request(request, &request->error);
    if (!result && rein_state_is_zombie(thread->state))
        result = thread_bad_state(thread, &request->error, "cannot stop", "it is exiting");
    if (result) {
        request_finish(request, result);
        return;
    }
    thread_ask_stop(thread);
    request_wait(request);
}

int rein_thread_stop(rein_thread *thread, int timeout_ms)
{
    if (!thread)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_stop: thread is NULL");
    struct request request = {.run = run_stop,
                              .ready = stopped_ready,
                              .process = thread_owner(thread),
                              .thread = thread,
                              .begin_only_on_monitor = true,
                              .cancellable = true};
    return monitor_submit(thread_owner(thread)->monitor, &request, timeout_ms);
}

static void run_thread_continue(struct request *request)
{
    rein_thread *thread = request->thread;
    int result = thread_check_request(request, &request->error);
    if (!result && !rein_state_is_stopped(thread->state) && thread->state != REIN_STATE_STOPPING)
        result = thread_bad_state(thread, &request->error, "cannot continue", "it is not stopped");
    if (!result)
        result = thread_check_call(thread, &request->error, "cannot continue");
    if (!result)
        result = breakpoints_put_in(thread->process, &request->error);
    if (!result) {
        thread_owner(thread)->stop_wanted = false;
        thread_continue(thread);
    }
    request_finish(request, result);
}

int rein_thread_continue(rein_thread *thread)
{
    if (!thread)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_continue: thread is NULL");
    struct request request = {.run = run_thread_continue, .process = thread_owner(thread), .thread = thread};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

static void run_thread_wait(struct request *request)
{
    int result = thread_check_request(request, &request->error);
    if (result)
        request_finish(request, result);
    else
        request_wait(request);
}

int rein_thread_wait(rein_thread *thread, int timeout_ms)
{
    if (!thread)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_wait: thread is NULL");
    struct request request = {.run = run_thread_wait,
                              .ready = stopped_ready,
                              .process = thread_owner(thread),
                              .thread = thread,
                              .cancellable = true,
                              .flags = 1};
    return monitor_submit(thread_owner(thread)->monitor, &request, timeout_ms);
}

int thread_hold_signal(rein_thread *thread, const struct rein_signal *signal)
{
    struct held_signal *held = thread_make_room(thread) ? NULL : calloc(1, sizeof *held);
    if (!held)
        return -ENOMEM;
    struct held_signal **last = &thread->extra->held;
    held->signal = *signal;
    while (*last)
        last = &(*last)->next;
    *last = held;
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: signal %d is held back", thread->id,
        signal->number);
    return 0;
}

/* Keeps the signal that stopped the thread for the next continue (T2). */
static int hold_signal(rein_thread *thread, struct error *error)
{
    if (thread->state == REIN_STATE_STOPPED_SIGNAL && !thread->signal_chosen &&
        (thread->deliver == SIGSTOP || thread->deliver == SIGTRAP))
        thread->deliver = 0;
    if (thread->deliver_is_void)
        thread->deliver = 0;
    if (!thread->deliver)
        return 0;
    struct rein_signal signal = {.number = thread->deliver};
    if (thread_cause(thread)->signal.number == thread->deliver)
        signal = thread_cause(thread)->signal;
    if (thread_hold_signal(thread, &signal))
        return error_set(error, REIN_NO_MEMORY, "no memory for the pending signal of thread %d", thread->id);
    thread->deliver = 0;
    return 0;
}

int thread_begin_step(struct request *request, struct steps *steps)
{
    rein_thread *thread = request->thread;
    int result = thread_check_request(request, &request->error);
    if (!result && (!rein_state_is_stopped(thread->state) || thread->state == REIN_STATE_STOPPED_EXITING))
        result = thread_bad_state(thread, &request->error, "cannot single step",
                                  thread->state == REIN_STATE_STOPPED_EXITING ? "it is exiting" : "stop it first");
    if (!result)
        result = thread_check_call(thread, &request->error, "cannot single step");
    bool begins_only = request->no_wait || request->begin_only_on_monitor;
    if (!result && request->on_monitor && !(begins_only && thread_owner(thread)->monitor->in_call))
        result = error_set(&request->error, REIN_ON_MONITOR,
                           "a thread cannot be stepped in a callback; a step can begin in a rein_monitor_call, "
                           "with a time limit of 0, or with REIN_STEP_BEGIN");
    if (!result && thread_make_room(thread))
        result = error_set(&request->error, REIN_NO_MEMORY, "no memory for a step of thread %d", thread->id);
    if (!result && !(request->flags & REIN_STEP_DELIVER))
        result = hold_signal(thread, &request->error);
    if (result) {
        request_finish(request, result);
        return result;
    }
    thread->extra->step_deliver = (request->flags & REIN_STEP_DELIVER) != 0;
    thread->extra->steps = steps;
    request->flags = 0;
    thread_change(thread, TRANSITION_STEP);
    birth_continue_guests(thread);
    return 0;
}

static void run_step(struct request *request)
{
    if (!thread_begin_step(request, NULL))
        request_wait(request);
}

int rein_thread_step(rein_thread *thread, unsigned flags, int timeout_ms)
{
    if (!thread || (flags & ~(unsigned)REIN_STEP_DELIVER))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_step: thread is NULL, or unknown flags 0x%x", flags);
    struct request request = {.run = run_step,
                              .ready = stopped_ready,
                              .process = thread_owner(thread),
                              .thread = thread,
                              .flags = flags,
                              .cancellable = true};
    return monitor_submit(thread_owner(thread)->monitor, &request, timeout_ms);
}

static void run_set_signal(struct request *request)
{
    rein_thread *thread = request->thread;
    int result = thread_check_request(request, &request->error);
    if (!result)
        result = thread_check_call(thread, &request->error, "cannot be given another signal");
    if (!result && (thread->state != REIN_STATE_STOPPED_SIGNAL || !thread_is_at_signal(thread)))
        result = thread_bad_state(thread, &request->error, "cannot be given another signal",
                                  "only a thread that a signal has stopped can");
    if (!result) {
        thread->deliver = request->number;
        thread->deliver_is_void = false;
        thread->signal_chosen = true;
    }
    request_finish(request, result);
}

int rein_thread_set_signal(rein_thread *thread, int number)
{
    if (!thread || number < 0 || number > 64)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_set_signal: thread is NULL, or %d is no signal", number);
    struct request request = {
        .run = run_set_signal, .process = thread_owner(thread), .thread = thread, .number = number};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

/* The kernel has it from here on, and gives it to the program's handler as long as the number is not changed. */
static void run_set_signal_info(struct request *request)
{
    rein_thread *thread = request->thread;
    const struct rein_signal *signal = request->data;
    int result = thread_check_request(request, &request->error);
    if (!result)
        result = thread_check_call(thread, &request->error, "cannot be given another signal");
    if (!result && (thread->state != REIN_STATE_STOPPED_SIGNAL || !thread_is_at_signal(thread)))
        result = thread_bad_state(thread, &request->error, "has no signal to be changed",
                                  "only a thread that a signal has stopped has one");
    if (!result && thread_cause(thread)->signal.number != signal->number)
        result = error_set(&request->error, REIN_INVALID_ARGUMENT,
                           "Thread %d was stopped by signal %d, whose details are not those of signal %d", thread->id,
                           thread_cause(thread)->signal.number, signal->number);
    if (!result && (result = thread->process->os->set_signal(thread->id, signal)) != 0)
        result = error_set_system(&request->error, REIN_SYSTEM, -result, "The signal of thread %d cannot be changed",
                                  thread->id);
    if (!result)
        thread->extra->cause->signal = *signal;
    request_finish(request, result);
}

int rein_thread_set_signal_info(rein_thread *thread, const struct rein_signal *signal)
{
    if (!thread || !signal)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_set_signal_info: thread or signal is NULL");
    struct request request = {
        .run = run_set_signal_info, .process = thread_owner(thread), .thread = thread, .data = signal};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}
