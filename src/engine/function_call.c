/* Functions called in a tracee: a stopped thread calls one for the caller, and is afterwards as it was.
 *
 * The way to the function and back is remote_call.c's: the thread leaves the stop that it is in, and is brought to one of its
 * kind. In between it runs code of the program, and is a thread like any other: its events are handled and shown by
 * event.c, and nothing here is asked about them but whether a fault is the function's return.
 *
 *     rein_thread_call ──▶ leaves its stop ──▶ runs (.calls) ──▶ returns, or is to leave ──▶ on its way back ──▶ as before
 *                          (.remote_call)        │    ▲                                        (.remote_call)
 *                                                └────┘ events; other functions, which return to where they were called
 *
 * THE RETURN ADDRESS is one that no program can have memory at (arch->return_address), so the thread returns into a fault,
 * and is known by its pc and stack pointer (i386's functions may take their arguments off the stack, so that one is in a
 * range, which no other function's is in). Nothing is written to code, so other threads can execute what they like, and two
 * can return at once; no address of the program's has to be found that is sure not to be executed again (gdb takes the
 * entry point); no debug register is needed. What it costs: a SIGSEGV that is forced on a thread which blocks or ignores it
 * resets its action, so it is let in for the time of the call.
 *
 * WHAT IS KEPT, and put back: all registers; the signal mask; the signal that it was about to get, and those held back for
 * it; the books of the stop: state, cause, the system call that it is at, the breakpoints that it was shown. What
 * function_call_enter takes out function_call_restore puts back.
 *
 * Functions can be called in functions, each at a stop in the one before. They end from the inside, but for a longjmp: when one
 * returns, those inside it are over. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/insist.h"
#include "engine/remote_call.h"

struct function_call {
    const struct arch *arch; /* of the code that the thread runs */
    struct remote_call way;
    struct function_call *outer; /* in which it was called */
    struct arch_function what;
    bool others_run;
    bool entered;
    bool returned;
    bool abandoned;
    bool has_rest;                        /* it was interrupted in a sleep, of which the kernel knows the rest */
    bool lost_rest;                       /* no more: the function has slept itself */
    struct rein_call_argument *arguments; /* what's */
    struct arch_block *vectors;           /* as they were */
    struct arch_block *scratch;           /* of the same size: for the arguments, and the result */

    /* The books as they were. */
    enum rein_state state;
    struct rein_cause cause;
    uint64_t mask;
    int deliver;
    bool signal_chosen, deliver_is_void;
    struct held_signal *held;
    bool skip, skip_restarts, look_for_added;
    uint64_t skip_pc, skip_sp, stop_clock;
    struct shown shown[SHOWN_MAX];
    unsigned char shown_count;
    bool in_call, stops_at_calls;
    struct seen_call call;
    bool stop_wanted; /* the process was stopped as a whole */

    struct error error; /* if it has not returned */
    struct rein_call_result result;
};

/* What waits for one to end. */
struct asked_function {
    struct request request;
    struct function_call *function; /* NULL: it has ended */
    const struct rein_call *what;
    bool abandons;
    bool returned;
    struct rein_call_result result;
};

/* ---- Making one ---- */

void function_call_free(struct function_call *function)
{
    if (!function)
        return;
    while (function->held) {
        struct held_signal *held = function->held;
        function->held = held->next;
        free(held);
    }
    rein_cause_clear(&function->cause);
    free(function->vectors);
    free(function->scratch);
    free(function->way.vectors);
    free(function->what.memory);
    free(function->arguments);
    free(function);
}

void function_calls_free(rein_thread *thread)
{
    struct thread_extra *extra = thread->extra;
    while (extra && extra->calls) {
        struct function_call *function = extra->calls;
        extra->calls = function->outer;
        function_call_free(function);
    }
    if (extra)
        function_call_free(extra->ended);
}

static struct arch_block *copy_block(const struct arch_block *block)
{
    struct arch_block *copy = malloc(sizeof *copy + block->size);
    if (copy) {
        *copy = *block;
        copy->bytes = (unsigned char *)(copy + 1);
        memcpy(copy->bytes, block->bytes, block->size);
    }
    return copy;
}

/* All memory that it needs to its end: when the host is dead there is none to be had. */
static struct function_call *make(rein_thread *thread, const struct arch *arch, const struct rein_call *call,
                                  struct error *error)
{
    struct function_call *function = thread_make_room(thread) ? NULL : calloc(1, sizeof *function);
    if (function) {
        function->arch = arch;
        function->way.function = function;
        function->what.memory = calloc(call->count + 2, sizeof(uint64_t));
        function->arguments = calloc(call->count + 1, sizeof *function->arguments);
        function->vectors = registers_fetch(thread, arch, arch->function_set, error);
        function->scratch = function->vectors ? copy_block(function->vectors) : NULL;
    }
    if (function && function->what.memory && function->arguments && function->scratch) {
        if (call->count)
            memcpy(function->arguments, call->arguments, call->count * sizeof *call->arguments);
        function->what.pc = call->pc;
        function->what.stack = call->stack;
        function->what.arguments = function->arguments;
        function->what.count = call->count;
        function->others_run = call->flags & REIN_CALL_OTHERS_RUN;
        return function;
    }
    if (!error->code)
        error_set(error, REIN_NO_MEMORY, "no memory for a call of thread %d", thread->id);
    function_call_free(function);
    return NULL;
}

/* ---- There ---- */

static void note_books(rein_thread *thread, struct function_call *function)
{
    const struct thread_extra *extra = thread->extra;
    function->state = thread->state;
    function->mask = extra->mask;
    function->deliver = thread->deliver;
    function->signal_chosen = thread->signal_chosen;
    function->deliver_is_void = thread->deliver_is_void;
    function->skip = thread->skip;
    function->skip_restarts = extra->skip_restarts;
    function->look_for_added = thread->look_for_added;
    function->skip_pc = extra->skip_pc;
    function->skip_sp = extra->skip_sp;
    function->stop_clock = thread->stop_clock;
    if (extra->shown_count)
        memcpy(function->shown, extra->shown, extra->shown_count * sizeof *extra->shown);
    function->shown_count = extra->shown_count;
    function->in_call = thread->in_call;
    function->stops_at_calls = thread->stops_at_calls;
    if (extra->call)
        function->call = *extra->call;
    function->stop_wanted = thread->process->stop_wanted;
}

/* The thread begins with clean ones. Here and on the way back nothing has two owners at any moment: the monitor may be killed,
 * and others free what it has left. */
static void take_books(rein_thread *thread, struct function_call *function)
{
    struct thread_extra *extra = thread->extra;
    struct held_signal *held = extra->held;
    thread_copy_cause(thread, &function->cause);
    extra->held = NULL;
    function->held = held;
    thread->deliver = 0;
    thread->signal_chosen = thread->deliver_is_void = false;
    thread->skip = extra->skip_restarts = thread->look_for_added = false;
    extra->shown_count = 0;
    thread->in_call = thread->mask_changed = false;
    if (extra->call)
        extra->call->changed = false;
}

static int set_vectors(rein_thread *thread, const struct arch *arch, const struct arch_block *block)
{
    int result;
    INSIST(result, thread->process->os->set_register_set(thread->id, arch->function_set, block->bytes, block->size));
    return result;
}

/* Signals that the call has held back so far are let in, and the fault that is its return. */
static int let_signals_in(rein_thread *thread, const struct function_call *function)
{
    return thread->process->os->set_signal_mask(thread->id, function->mask & ~SIGNAL_BIT(SIGSEGV));
}

static void continue_others(rein_thread *thread)
{
    rein_process *process = thread->process;
    process_forget_stop_events(process);
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *other = LIST_ENTRY(item, rein_thread, link);
        if (other != thread && (rein_state_is_stopped(other->state) || other->state == REIN_STATE_STOPPING))
            thread_continue(other);
    }
}

void function_call_enter(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct function_call *function = thread->extra->remote_call->function;
    struct arch_registers registers = function->way.registers;
    memcpy(function->scratch->bytes, function->vectors->bytes, function->vectors->size);
    function->arch->set_function(&registers, function->scratch, &function->what);
    if (!remote_call_set_registers(thread, &registers))
        return;
    int result = set_vectors(thread, function->arch, function->scratch);
    if (!result)
        result = let_signals_in(thread, function);
    if (result) {
        set_vectors(thread, function->arch, function->vectors);
        remote_call_give_in(thread, result, "cannot have its registers or signal mask set for a call");
        return;
    }
    LOG(&process->monitor->log, REIN_LOG_TRACE, "Thread %d: calls 0x%llx", thread->id,
        (unsigned long long)function->what.pc);
    thread_set_call(thread, NULL);
    function->outer = thread->extra->calls;
    function->entered = true;
    thread->extra->calls = function;
    take_books(thread, function);
    process->stop_wanted = false;
    if (function->others_run)
        continue_others(thread);
    if (rein_state_is_stopped(thread->state))
        thread_change(thread, TRANSITION_CONTINUE);
    else
        event_stop_plain(thread);
}

/* ---- Back ---- */

static void append_held(rein_thread *thread, struct held_signal *held)
{
    struct held_signal **last = &thread->extra->held;
    while (*last)
        last = &(*last)->next;
    *last = held;
}

/* A fault is the function's, and so is its abort. Others were sent to the thread wherever it is. */
static bool is_functions_own(const rein_thread *thread, const struct rein_signal *signal)
{
    const rein_process *process = thread->process;
    if (signal->code > 0 && (process->os->fault_signals & SIGNAL_BIT(signal->number)))
        return true;
    return signal->number == SIGABRT && signal->code == SI_TKILL && signal->sender_pid == process->id;
}

static void keep_signal(rein_thread *thread, const struct rein_signal *signal)
{
    if (thread->process->monitor->host_died || thread_hold_signal(thread, signal))
        thread->process->os->queue_signal(thread->process->id, thread->id, signal);
}

/* It stands in a function that it is to leave, about to get a signal. */
static void keep_present_signal(rein_thread *thread)
{
    struct rein_signal signal;
    int number = thread->deliver;
    bool by_default = thread->state == REIN_STATE_STOPPED_SIGNAL && !thread->signal_chosen;
    thread->deliver = 0;
    if (!number || thread->deliver_is_void || !thread_is_at_signal(thread) ||
        (by_default && (number == SIGSTOP || number == SIGTRAP)))
        return;
    if (thread->process->os->get_signal(thread->id, &signal) || signal.number != number)
        signal = (struct rein_signal){.number = number};
    if (thread->signal_chosen || !is_functions_own(thread, &signal))
        keep_signal(thread, &signal);
}

/* The one that it stands in is over, and was called where another still stood. */
static void drop_innermost(rein_thread *thread)
{
    struct function_call *function = thread->extra->calls;
    thread->extra->calls = function->outer;
    append_held(thread, function->held);
    function->held = NULL;
    bool keeps = function->deliver && !function->deliver_is_void && function->way.back == BACK_TO_SIGNAL;
    if (keeps && (function->signal_chosen || !is_functions_own(thread, &function->way.signal)))
        keep_signal(thread, &function->way.signal);
    function_call_end(thread, function);
}

/* From the outermost that it is to leave, or that has returned: it is the innermost by now. */
static void go_back(rein_thread *thread)
{
    struct function_call *function = thread->extra->calls;
    const struct os_backend *os = thread->process->os;
    thread->extra->calls = function->outer;
    thread->extra->mask = function->mask;
    int result;
    INSIST(result, os->set_signal_mask(thread->id, ~os->fault_signals));
    thread_check(thread, result, "cannot have its signals blocked for a call");
    thread->mask_changed = true; /* whatever it is now: the program's is to be put back */
    thread_check(thread, set_vectors(thread, function->arch, function->vectors), "cannot have its registers back");
    bool sleeps = !function->way.interrupted || function->way.by_restart;
    if (function->lost_rest && sleeps) { /* as when a handler runs, which may do the same */
        function->arch->end_call(&function->way.registers, -EINTR);
        function->way.interrupted = false;
    }
    thread_set_call(thread, &function->way);
    if (rein_state_is_stopped(thread->state))
        thread_change(thread, TRANSITION_CONTINUE);
    list_remove(&thread->ready);
    remote_call_go_back(thread);
}

static enum transition transition_to(enum rein_state state)
{
    for (int transition = 0; transition < TRANSITION_COUNT; transition++) {
        if (state_transition(REIN_STATE_STOPPING, (enum transition)transition).next == state)
            return (enum transition)transition;
    }
    return TRANSITION_STOP;
}

/* Handlers that it was in the middle of: of breakpoints that were removed since nothing is remembered. */
static void restore_shown(rein_thread *thread, const struct function_call *function)
{
    struct thread_extra *extra = thread->extra;
    extra->shown_count = 0;
    for (unsigned i = 0; i < function->shown_count; i++) {
        const rein_breakpoint *breakpoint = breakpoint_find(thread->process, function->shown[i].pc);
        if (breakpoint && breakpoint->added <= function->stop_clock)
            extra->shown[extra->shown_count++] = function->shown[i];
    }
    thread->skip = function->skip;
    extra->skip_restarts = function->skip_restarts;
    thread->look_for_added = function->look_for_added;
    extra->skip_pc = function->skip_pc;
    extra->skip_sp = function->skip_sp;
    thread->stop_clock = function->stop_clock;
}

void function_call_restore(rein_thread *thread)
{
    struct thread_extra *extra = thread->extra;
    struct function_call *function = extra->remote_call->function;
    if (!function->entered)
        return;
    function->entered = false;
    restore_shown(thread, function);
    struct held_signal *since = extra->held, *before = function->held;
    function->held = extra->held = NULL;
    append_held(thread, before);
    append_held(thread, since);
    thread->deliver = function->deliver;
    thread->signal_chosen = function->signal_chosen;
    thread->deliver_is_void = function->deliver_is_void;
    thread->in_call = function->in_call;
    thread->stops_at_calls = function->stops_at_calls;
    if (extra->call) /* else it was in none before, either */
        *extra->call = function->call;
    if (rein_state_is_terminal(thread->state))
        return;
    if (!thread_change(thread, transition_to(function->state)))
        return;
    thread_set_cause(thread, &function->cause);
    rein_cause_clear(&function->cause);
    if (function->stop_wanted)
        process_stop(thread->process);
}

static bool has_returned(const struct function_call *function, const struct arch_registers *registers)
{
    uint64_t sp = arch_sp(registers);
    return registers->arch == function->arch && arch_pc(registers) == function->arch->return_address &&
           sp >= function->what.sp_behind && sp <= function->what.sp_behind_most;
}

bool function_call_returns(rein_thread *thread, const struct os_event *event)
{
    const struct os_backend *os = thread->process->os;
    struct arch_registers registers;
    struct function_call *function = thread_extra(thread)->calls;
    if (event->signal.code <= 0 || !(os->fault_signals & SIGNAL_BIT(event->signal.number)) ||
        thread_get_registers(thread, &registers))
        return false;
    while (function && !has_returned(function, &registers))
        function = function->outer;
    if (!function)
        return false;
    while (thread_extra(thread)->calls != function)
        drop_innermost(thread);
    const struct arch *arch = function->arch;
    struct arch_block *block = function->scratch;
    int size = os->get_register_set(thread->id, arch->function_set, block->bytes, block->size);
    if (size == (int)block->size) {
        arch->lay_out(block, arch->function_set);
        arch->function_result(&registers, block, &function->result);
        function->returned = true;
    } else {
        error_set_system(&function->error, REIN_SYSTEM, size < 0 ? size : 0,
                         "Thread %d: the result of its call cannot be read", thread->id);
    }
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: has returned from 0x%llx", thread->id,
        (unsigned long long)function->what.pc);
    thread->stepping = STEPPING_NOT;
    go_back(thread);
    return true;
}

/* ---- Leaving without a result ---- */

void function_calls_abandon(rein_thread *thread)
{
    for (struct function_call *function = thread_extra(thread)->calls; function; function = function->outer)
        function->abandoned = thread->process->has_abandoned_calls = true;
}

static struct function_call *outermost_abandoned(const rein_thread *thread)
{
    struct function_call *found = NULL;
    for (struct function_call *function = thread_extra(thread)->calls; function; function = function->outer) {
        if (function->abandoned)
            found = function;
    }
    return found;
}

/* Stopped in the kernel, and not in the middle of what others wait for. */
static bool can_leave(const rein_thread *thread)
{
    bool held = thread->process->condition == PROCESS_HELD;
    return thread->kernel == KERNEL_STOPPED && !thread_extra(thread)->remote_call && !thread->unhandled &&
           thread->stop != OS_EVENT_EXITING && !(held && thread->awaits_birth);
}

void function_calls_advance(rein_process *process)
{
    if (!process->has_abandoned_calls)
        return;
    process->has_abandoned_calls = false;
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = rein_thread_ref(LIST_ENTRY(item, rein_thread, link));
        const struct function_call *function = outermost_abandoned(thread);
        if (function && can_leave(thread)) {
            keep_present_signal(thread);
            while (thread_extra(thread)->calls != function)
                drop_innermost(thread);
            go_back(thread);
        }
        process->has_abandoned_calls |= outermost_abandoned(thread) != NULL;
        rein_thread_unref(thread);
    }
}

void function_calls_end_here(rein_thread *thread)
{
    struct thread_extra *extra = thread->extra;
    if (!extra || !extra->calls || extra->remote_call || thread->kernel != KERNEL_STOPPED)
        return;
    keep_present_signal(thread);
    while (extra->calls->outer)
        drop_innermost(thread);
    struct function_call *function = extra->calls;
    extra->calls = NULL;
    extra->mask = function->mask;
    thread->mask_changed = true;
    thread_check(thread, set_vectors(thread, function->arch, function->vectors), "cannot have its registers back");
    thread_set_call(thread, &function->way);
    remote_call_end_here(thread);
}

void function_calls_lost(rein_thread *thread)
{
    while (thread_extra(thread)->calls) {
        struct function_call *function = thread_extra(thread)->calls;
        if (thread->stop == OS_EVENT_EXEC && thread->kernel == KERNEL_STOPPED)
            error_set(&function->error, REIN_CANCELLED,
                      "Thread %d: the function that it was in is gone: the process executes another program",
                      thread->id);
        drop_innermost(thread);
    }
}

/* A thread that sleeps with a time limit goes on by restart_syscall(2), for the rest that the kernel has noted, once for
 * each thread. A function that sleeps in between would have it sleep for ever, or not at all. */
bool function_calls_watch(const rein_thread *thread)
{
    for (const struct function_call *function = thread_extra(thread)->calls; function; function = function->outer) {
        if (function->has_rest && !function->lost_rest)
            return true;
    }
    return false;
}

void function_calls_note(rein_thread *thread, const struct arch_call *call)
{
    struct function_call *innermost = thread_extra(thread)->calls;
    bool takes = function_calls_watch(thread) && thread->process->os->call_takes_rest(innermost->arch, call);
    for (struct function_call *function = innermost; takes && function; function = function->outer)
        function->lost_rest = function->has_rest;
}

static void contradict(const rein_thread *thread, struct function_call *function, uint64_t arrived,
                       uint64_t void_signals)
{
    thread_drop_held(thread, &function->held, arrived);
    if (function->deliver && void_signals & SIGNAL_BIT(function->deliver))
        function->deliver_is_void = true;
}

void function_calls_contradict(rein_thread *thread, uint64_t arrived, uint64_t void_signals)
{
    const struct thread_extra *extra = thread_extra(thread);
    if (extra->remote_call && extra->remote_call->function) /* on its way there, or back */
        contradict(thread, extra->remote_call->function, arrived, void_signals);
    for (struct function_call *function = extra->calls; function; function = function->outer)
        contradict(thread, function, arrived, void_signals);
}

/* ---- The end ---- */

static bool function_ready(struct request *request);

static void explain_end(rein_thread *thread, struct function_call *function)
{
    struct error *error = &function->error;
    if (function->returned || error->code || process_check(thread_owner(thread), error))
        return;
    if (thread->kernel == KERNEL_DYING || thread->kernel == KERNEL_GONE || thread->stop == OS_EVENT_EXITING)
        error_set(error, REIN_NO_THREAD, "Thread %d has ended, and with it the call that it made", thread->id);
    else if (function->abandoned)
        error_set(error, REIN_CANCELLED, "Thread %d: the call was abandoned", thread->id);
    else
        error_set(error, REIN_CANCELLED,
                  "Thread %d has left the function without returning from it: one around it has returned, or was "
                  "abandoned",
                  thread->id);
}

/* Whoever waits for it has the result; else it is kept for who asks next. */
void function_call_end(rein_thread *thread, struct function_call *function)
{
    rein_process *process = thread->process;
    bool taken = false;
    explain_end(thread, function);
    if (process->monitor->host_died)
        return;
    LIST_FOR_EACH(item, &process->waiting)
    {
        struct request *request = LIST_ENTRY(item, struct request, waiting);
        struct asked_function *asked = LIST_ENTRY(request, struct asked_function, request);
        if (request->ready != function_ready || asked->function != function)
            continue;
        asked->function = NULL;
        asked->returned = function->returned;
        asked->result = function->result;
        request->error = function->error;
        taken = true;
    }
    struct function_call *unused = function;
    if (!taken) {
        unused = thread->extra->ended;
        thread->extra->ended = function;
    }
    function_call_free(unused);
    monitor_note_change(process);
}

static bool stopped_as_wanted(const rein_process *process)
{
    return process->condition != PROCESS_HELD || !process->stop_wanted || process_is_stopped(process);
}

static bool function_ready(struct request *request)
{
    struct asked_function *asked = LIST_ENTRY(request, struct asked_function, request);
    rein_thread *thread = request->thread;
    rein_process *process = thread->process;
    struct error *error = &request->error;
    char why[200];
    if (!asked->function) {
        if ((asked->returned || asked->abandons) && !stopped_as_wanted(process))
            return false;
        if (asked->abandons && error->code == REIN_CANCELLED)
            error->code = 0; /* as was asked for */
        process_note_heard(process);
        request_finish(request, error->code);
        return true;
    }
    const struct thread_extra *extra = thread_extra(thread);
    if (asked->abandons || asked->function->abandoned || asked->function != extra->calls || extra->remote_call ||
        !rein_state_is_stopped(thread->state) || !stopped_as_wanted(process))
        return false;
    rein_cause_text(thread_cause(thread), why, sizeof why);
    process_note_heard(process);
    request_finish(request, error_set(error, REIN_CALL_STOPPED,
                                      "Thread %d has stopped in the function that it calls (%s): continue it and "
                                      "wait for the rest, or abandon the call",
                                      thread->id, why));
    return true;
}

/* ---- What callers ask ---- */

/* What is wider than the program's words would be cut. */
static int check_widths(rein_thread *thread, const struct function_call *function, struct error *error)
{
    const struct arch *arch = function->arch;
    const struct arch_function *what = &function->what;
    uint64_t most = UINT64_MAX >> (64 - 8 * arch->registers[arch->sp_index].bytes);
    if (what->pc > most)
        return error_set(error, REIN_INVALID_ARGUMENT,
                         "Thread %d cannot call a function at 0x%llx: addresses of %s have fewer bits", thread->id,
                         (unsigned long long)what->pc, arch->name);
    if (what->stack > most)
        return error_set(error, REIN_BAD_ADDRESS,
                         "Thread %d cannot call a function: it has no memory for the stack at 0x%llx", thread->id,
                         (unsigned long long)what->stack);
    for (size_t i = 0; i < what->count; i++) {
        uint64_t word = what->arguments[i].word, negative = ~(most >> 1);
        if (what->arguments[i].type == REIN_CALL_INTEGER && word > most && word < negative)
            return error_set(error, REIN_INVALID_ARGUMENT,
                             "Thread %d cannot call a function: argument %zu, 0x%llx, has more bits than a word of %s; "
                             "an integer of 64 bits is REIN_CALL_INTEGER64",
                             thread->id, i, (unsigned long long)word, arch->name);
    }
    return 0;
}

static int check_places(rein_thread *thread, struct function_call *function, struct error *error)
{
    rein_process *process = thread->process;
    const struct os_backend *os = process->os;
    const struct arch *arch = function->arch;
    struct arch_registers registers = function->way.registers;
    struct arch_function *what = &function->what;
    if (!what->stack)
        what->stack = arch->get(&registers, arch->sp_index) - arch->red_zone;
    if (!arch->set_function(&registers, function->scratch, what))
        return error_set(error, REIN_NOT_SUPPORTED,
                         "Thread %d cannot call a function: it has not the registers that %s code has", thread->id,
                         arch->name);
    uint64_t sp = arch->get(&registers, arch->sp_index);
    if (os->write(&process->memory, thread->id, sp, what->memory, what->size) != (int64_t)what->size)
        return error_set(error, REIN_BAD_ADDRESS,
                         "Thread %d cannot call a function: it has no memory for the stack at 0x%llx", thread->id,
                         (unsigned long long)sp);
    return 0;
}

/* NULL: error is set. */
static const struct arch *check_registers(rein_thread *thread, struct error *error)
{
    const struct os_backend *os = thread->process->os;
    struct arch_registers registers;
    uint64_t word = 0;
    int result = thread_get_registers(thread, &registers);
    const struct arch *arch = registers.arch;
    if (result) {
        error_set_system(error, result == -ESRCH ? REIN_NO_THREAD : REIN_SYSTEM, result,
                         "Thread %d: registers cannot be read", thread->id);
        return NULL;
    }
    if (arch != thread->process->arch) { /* in whose memory there may be something at the return address */
        error_set(error, REIN_NOT_SUPPORTED, "Thread %d cannot call a function: it runs code of %s in a program of %s",
                  thread->id, arch->name, thread->process->arch->name);
        return NULL;
    }
    if (arch->return_stack_set != ARCH_SET_GENERAL &&
        os->get_register_set(thread->id, arch->return_stack_set, &word, sizeof word) > 0 && word) {
        error_set(error, REIN_NOT_SUPPORTED,
                  "Thread %d cannot call a function: it has a shadow stack, to which return addresses must be "
                  "written, too",
                  thread->id);
        return NULL;
    }
    return arch;
}

static int begin(rein_thread *thread, struct function_call *function, unsigned flags, struct error *error)
{
    struct remote_call *way = &function->way;
    if (!thread_is_at_signal(thread) && thread->process->os->fault_is_pending(thread->id) == 1)
        return thread_bad_state(thread, error, "cannot call a function",
                                "its last instruction has made a fault, which it is about to get: continue it first");
    int result = remote_call_look(thread, way, error);
    static const uint64_t nothing[6] = {0};
    if (!result &&
        thread->process->os->known_call(function->arch, OS_CALL_MUNMAP, nothing, &way->call)) /* is not made */
        result = error_set(error, REIN_NOT_SUPPORTED, "Thread %d cannot make a call", thread->id);
    if (!result && way->back != BACK_TO_EVENT)
        result = remote_call_check(thread, way, flags & REIN_CALL_FILTERED, error);
    if (!result)
        result = check_widths(thread, function, error);
    if (!result)
        result = check_places(thread, function, error);
    if (!result)
        result = breakpoints_put_in(thread->process, error);
    if (result)
        return result;
    note_books(thread, function);
    function->has_rest = thread->process->os->call_has_rest(thread->id, &way->registers);
    return remote_call_begin(thread, way, error);
}

static void run_call(struct request *request)
{
    struct asked_function *asked = LIST_ENTRY(request, struct asked_function, request);
    rein_thread *thread = request->thread;
    const struct rein_call *call = asked->what;
    struct error *error = &request->error;
    int result = remote_call_check_state(request);
    const struct arch *arch = result ? NULL : check_registers(thread, error);
    struct function_call *function = arch ? make(thread, arch, call, error) : NULL;
    if (!function) {
        request_finish(request, error->code);
        return;
    }
    struct function_call *ended = thread->extra->ended;
    thread->extra->ended = NULL;
    function_call_free(ended);
    asked->function = function;
    rein_monitor *monitor = thread->process->monitor;
    bool was_open = atomic_load(&monitor->condition) == MONITOR_OPEN;
    list_append(&thread->process->waiting, &request->waiting); /* it may be over at once */
    result = begin(thread, function, call->flags, error);
    if (was_open &&
        atomic_load(&monitor->condition) != MONITOR_OPEN) { /* who waits has been told: no request any more */
        if (result)
            function_call_free(function);
        return;
    }
    list_remove(&request->waiting);
    if (result) {
        function_call_free(function);
        request_finish(request, result);
        return;
    }
    request_wait(request);
}

static int submit(struct asked_function *asked, rein_thread *thread, void (*run)(struct request *request),
                  int timeout_ms, struct rein_call_result *result)
{
    asked->request = (struct request){.run = run,
                                      .ready = function_ready,
                                      .process = thread_owner(thread),
                                      .thread = thread,
                                      .begin_only_on_monitor = asked->abandons,
                                      .cancellable = true};
    int error = monitor_submit(thread_owner(thread)->monitor, &asked->request, timeout_ms);
    if (result)
        *result = error ? (struct rein_call_result){.words = {0}} : asked->result;
    return error;
}

int rein_thread_call(rein_thread *thread, const struct rein_call *call, int timeout_ms, struct rein_call_result *result)
{
    if (!thread || !call)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_call: thread or call is NULL");
    if (call->size != sizeof *call || (call->flags & ~(unsigned)(REIN_CALL_OTHERS_RUN | REIN_CALL_FILTERED)))
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_thread_call: the call is not initialised with REIN_CALL_INIT, or has unknown flags");
    if (call->count > REIN_CALL_ARGUMENTS_MAX || (call->count && !call->arguments))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_call: %zu arguments are too many, or missing",
                          call->count);
    for (size_t i = 0; i < call->count; i++) {
        if ((unsigned)call->arguments[i].type > REIN_CALL_INTEGER64)
            return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_call: argument %zu is of no known type", i);
    }
    struct asked_function asked = {.what = call};
    return submit(&asked, thread, run_call, timeout_ms, result);
}

/* The innermost, on its way or there; NULL: there is none. */
static struct function_call *present(const rein_thread *thread)
{
    const struct thread_extra *extra = thread_extra(thread);
    return extra->remote_call && extra->remote_call->function ? extra->remote_call->function : extra->calls;
}

static void run_wait(struct request *request)
{
    struct asked_function *asked = LIST_ENTRY(request, struct asked_function, request);
    rein_thread *thread = request->thread;
    struct function_call *ended = thread_extra(thread)->ended;
    asked->function = present(thread);
    if (ended) {
        thread->extra->ended = NULL;
        asked->function = NULL;
        asked->returned = ended->returned;
        asked->result = ended->result;
        request->error = ended->error;
        function_call_free(ended);
    } else if (!asked->function) {
        int result = thread_check_request(request, &request->error);
        request_finish(request, result ? result
                                       : error_set(&request->error, REIN_BAD_STATE,
                                                   "Thread %d is in no function that it was made to call", thread->id));
        return;
    }
    request_wait(request);
}

int rein_thread_call_wait(rein_thread *thread, int timeout_ms, struct rein_call_result *result)
{
    if (!thread)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_call_wait: thread is NULL");
    struct asked_function asked = {.what = NULL};
    return submit(&asked, thread, run_wait, timeout_ms, result);
}

static void run_abandon(struct request *request)
{
    struct asked_function *asked = LIST_ENTRY(request, struct asked_function, request);
    rein_thread *thread = request->thread;
    int result = thread_check_request(request, &request->error);
    asked->function = present(thread);
    if (!result && !asked->function)
        result = error_set(&request->error, REIN_BAD_STATE, "Thread %d is in no function that it was made to call",
                           thread->id);
    if (result) {
        request_finish(request, result);
        return;
    }
    asked->function->abandoned = true;
    if (asked->function == thread_extra(thread)->calls) {
        thread->process->has_abandoned_calls = true;
        thread_interrupt(thread);
    } else {
        asked->function->way.aborted = true; /* it does not get there, or is on its way back */
    }
    monitor_note_change(thread->process);
    request_wait(request);
}

int rein_thread_call_abandon(rein_thread *thread, int timeout_ms)
{
    if (!thread)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_call_abandon: thread is NULL");
    struct asked_function asked = {.abandons = true};
    return submit(&asked, thread, run_abandon, timeout_ms, NULL);
}
