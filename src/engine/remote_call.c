/* System calls made in a tracee: a stopped thread executes one for the caller, and is afterwards as it was.
 *
 * The thread is sent to an instruction that makes system calls, wherever its memory has one; no memory is changed, so that
 * the other threads may run. It stops at the entry of the call and at its end (OS_RESUME_TO_SYSCALL), and so executes
 * that one instruction and nothing behind it. To the caller it is stopped all the time: what happens here is between
 * the engine and the kernel, an event at a time, and nobody waits for it but the request.
 *
 *     in a call that told an event, or at the entry of one ──▶ LEAVES ─┐
 *     where it may be in a call unseen ──▶ SETTLES ─────────────────┤
 *     anywhere else ────────────────────────────────────────────────▶ ENTERS ──▶ MAKES ──▶ RETURNS ──▶ as before
 *                                          interrupted, made again:     ▲──────────┘   └─▶ REENTERS ─┘
 *
 * Coming back is the half that is easily got wrong. At the end of a call the kernel does not look if an interrupted
 * call is to be made again, so a thread whose registers are put back there, and that runs on, finds one of the kernel's
 * own -ERESTART numbers as the result of its read or sleep. So it is brought to a stop of the kind in which it was:
 *   - an event's: it is interrupted before it runs on, and traps on its way out, where the kernel looks.
 *   - a signal's, where the signal can be exchanged: another signal is sent to it, the carrier, and in that one's stop
 * exchanged for the first, siginfo and all. The first is nowhere in between, so that nothing can merge with it or
 * overtake it.
 *   - a signal's in sigsuspend, ppoll or pselect, which change the signal mask for their time, in a way that no
 *     tracer can restore: the call is made once more, and the carrier interrupts that.
 *   - at the entry of a call: it enters the call once more.
 *
 *   - where the kernel has set an interrupted thread back to its call's instruction already, and knows alone that it is in that
 *     call (arm64): it runs on to the entry of that, for there it shows if it goes on by restart_syscall(2), and does not make it;
 *     and after our call it enters one more, with its own registers, which is not made: at the end of that it is
 *     made one that ends its own, interrupted.
 *
 * Meanwhile all signals are blocked that can be: they stay pending, as they were sent. SIGSTOP cannot be blocked; a fault's
 * signal must not be, for a fault that comes then kills. These are kept back (SIGSTOP), or blocked as soon as they show.
 *
 * A thread may be in a restartable sequence (rseq(2)): the kernel clears the word that says so when it sees it
 * elsewhere. It is put back, lest the sequence goes on as if nobody had come in between. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/insist.h"
#include "engine/remote_call.h"

enum { FIRST_REAL_TIME = 32 }; /* the kernel's: of these each is queued */

/* A call that somebody waits for. */
struct asked_call {
    struct request request;
    bool known; /* it is .which, and .call has what rein's own functions say of it: numbers are the program's */
    enum os_call which;
    struct arch_call call;
    const struct rein_syscall_options *options;
    int64_t result;
};

/* ---- The instruction ---- */

/* Nobody puts a trap there while it is executed, then; one that is added just now shows as a trap, and another is
 * looked for. */
static bool has_breakpoint(rein_process *process, uint64_t pc)
{
    for (size_t i = 0; i < process->arch->syscall_size; i++) {
        if (breakpoint_find(process, pc + i))
            return true;
    }
    return false;
}

struct search {
    rein_process *process;
    int id;
};

/* Whatever the bytes are part of: they are what the processor makes of them. */
static int search_code(uint64_t start, uint64_t end, void *arg)
{
    const struct search *search = arg;
    rein_process *process = search->process;
    const struct arch *arch = process->arch;
    unsigned char code[8192];
    size_t wanted = arch->syscall_size;
    while (end - start >= wanted) {
        size_t size = end - start < sizeof code ? (size_t)(end - start) : sizeof code;
        int64_t done = process->os->read(&process->memory, search->id, start, code, size);
        if (done > 0)
            displace_hide(process, start, code, (size_t)done);
        for (size_t i = 0; done >= 0 && i + wanted <= (size_t)done; i++) {
            if (!memcmp(code + i, arch->syscall, wanted) && !has_breakpoint(process, start + i)) {
                process->call_pc = start + i;
                return 1;
            }
        }
        if (done < (int64_t)size)
            break;
        start += size - (wanted - 1);
    }
    return 0;
}

/* 0: there is none. */
static uint64_t find_instruction(rein_thread *thread)
{
    rein_process *process = thread->process;
    const struct arch *arch = process->arch;
    struct search search = {process, thread->id};
    unsigned char code[ARCH_SYSCALL_MAX];
    int64_t size = (int64_t)arch->syscall_size;
    if (process->call_pc && !has_breakpoint(process, process->call_pc) &&
        process->os->read(&process->memory, thread->id, process->call_pc, code, arch->syscall_size) == size &&
        !memcmp(code, arch->syscall, arch->syscall_size))
        return process->call_pc;
    process->call_pc = 0;
    process->os->for_each_code(thread->id, search_code, &search);
    return process->call_pc;
}

/* ---- Back as before ---- */

static void answer(rein_thread *thread, struct remote_call *call)
{
    struct request *request = call->request;
    struct asked_call *asked = LIST_ENTRY(request, struct asked_call, request);
    int result = 0;
    call->request = NULL;
    if (call->made)
        asked->result = call->result;
    else if (request->error.code)
        result = request->error.code;
    else if (!(result = process_check(thread_owner(thread), &request->error)))
        result = error_set(&request->error, REIN_NO_THREAD, "Thread %d has ended, and with it the call that it made",
                           thread->id);
    request_finish(request, result);
}

static void free_call(struct remote_call *call)
{
    if (call)
        free(call->vectors);
    free(call);
}

static void end_call(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    thread_set_call(thread, NULL);
    if (call->request)
        answer(thread, call);
    if (call->over)
        call->over(thread, call);
    if (call->function)
        function_call_end(thread, call->function);
    else if (!thread->process->monitor->host_died)
        free_call(call);
    monitor_note_change(thread->process);
}

void remote_call_free(rein_thread *thread)
{
    struct remote_call *call = thread_extra(thread)->remote_call;
    if (call && call->function)
        function_call_free(call->function);
    else
        free_call(call);
}

void remote_call_lost(rein_thread *thread)
{
    struct remote_call *call = thread_extra(thread)->remote_call;
    if (!call)
        return;
    call->made = thread->mask_changed = false;
    end_call(thread);
}

static void restore_vectors(rein_thread *thread)
{
    const struct remote_call *call = thread->extra->remote_call;
    const struct arch_block *block = call->vectors;
    int result = 0;
    if (block)
        INSIST(result, thread->process->os->set_register_set(thread->id, call->registers.arch->call_set, block->bytes,
                                                             block->size));
    thread_check(thread, result, "cannot have its vector registers back after a call");
}

/* The thread is as before, at this stop. */
static void arrive(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct remote_call *call = thread->extra->remote_call;
    if (call->function)
        function_call_restore(thread);
    int64_t done = 0;
    if (call->sequence)
        INSIST(done, process->os->write(&process->memory, thread->id, call->sequence_at, &call->sequence,
                                        sizeof call->sequence));
    restore_vectors(thread);
    thread->out_of_group_stop = call->out_of_group_stop;
    if (call->back != BACK_TO_EVENT) {
        thread->stop = call->stop;
        thread->no_delivery = call->no_delivery;
    } else if (thread->stop == OS_EVENT_GROUP_STOP && call->stop != OS_EVENT_GROUP_STOP) {
        /* One began meanwhile, or it has been stepped out of it: it enters when it runs on, and that is told. */
        thread->stop = OS_EVENT_INTERRUPTED;
        thread->out_of_group_stop = true;
    } else if (thread->stop == OS_EVENT_INTERRUPTED && !call->out_of_group_stop) {
        thread_leave_group_stop(thread);
    }
    if (call->back == BACK_TO_SIGNAL)
        thread_drop_if_void(thread);
    thread_restore_mask(thread);
    if (!call->finishes)
        thread->run_count = call->run_count;
    LOG(&process->monitor->log, REIN_LOG_TRACE, "Thread %d: is back from its call", thread->id);
    end_call(thread);
    if (thread->leaving || rein_state_is_terminal(thread->state))
        attach_detach_thread(thread);
    else
        event_stop_plain(thread);
}

void remote_call_end_here(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    const struct os_backend *os = thread->process->os;
    if (call->function)
        function_call_restore(thread);
    if (call->back == BACK_TO_ENTRY || os->call_is_made_again(&call->registers, NULL) == 1)
        call->registers.arch->remake_call(&call->registers);
    thread_set_registers(thread, &call->registers);
    restore_vectors(thread);
    if (call->back == BACK_TO_SIGNAL && thread->deliver && !thread_hold_signal(thread, &call->signal))
        thread->deliver = 0;
    end_call(thread);
}

void remote_call_give_in(rein_thread *thread, int result, const char *what)
{
    thread_check(thread, result, what);
    if (result != -ESRCH)
        remote_call_end_here(thread);
}

bool remote_call_set_registers(rein_thread *thread, const struct arch_registers *registers)
{
    int result = thread_set_registers(thread, registers);
    if (result)
        remote_call_give_in(thread, result, "cannot have its registers set for a call");
    return !result;
}

static bool get_registers(rein_thread *thread, struct arch_registers *registers)
{
    int result = thread_get_registers(thread, registers);
    if (result)
        remote_call_give_in(thread, result, "does not give its registers in a call");
    return !result;
}

static void run(rein_thread *thread, enum phase phase, enum os_resume how, int signal)
{
    int deliver = thread->deliver; /* at its own stop; this signal is another */
    thread->extra->remote_call->phase = phase;
    int result = thread_resume(thread, how, signal);
    thread->deliver = deliver;
    if (result && result != -ESRCH)
        remote_call_give_in(thread, result, "cannot go on with its call");
    else
        thread_expect(thread);
}

/* All are blocked but those. */
static void let_in(rein_thread *thread, uint64_t signals)
{
    int result;
    INSIST(result, thread->process->os->set_signal_mask(thread->id, ~signals));
    thread_check(thread, result, "cannot have its signals blocked for a call");
}

/* Runs it to where it traps, before it executes anything. */
static void run_to_trap(rein_thread *thread, enum phase phase, enum os_resume how)
{
    int result = thread_interrupt_call(thread);
    if (result)
        remote_call_give_in(thread, result, "cannot be interrupted");
    else
        run(thread, phase, how, 0);
}

static void send_carrier(rein_thread *thread)
{
    run(thread, PHASE_RETURNS, OS_RESUME_RUN, thread->extra->remote_call->carrier);
}

/* From the end of the call. */
static void come_back(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    const struct arch *arch = call->registers.arch;
    struct arch_registers back = call->registers;
    if (call->back == BACK_TO_ENTRY || call->repeats) {
        struct arch_registers registers = call->registers;
        struct arch_call own;
        arch->get_call(&call->registers, &own);
        arch->set_call(&registers, call->pc, &own);
        if (remote_call_set_registers(thread, &registers))
            run(thread, PHASE_REENTERS, OS_RESUME_TO_SYSCALL, 0);
        return;
    }
    if (call->interrupted && !call->rejoins) {
        call->rejoins = true;
        arch->set(&back, arch->pc_index, call->pc);
        if (remote_call_set_registers(thread, &back))
            run(thread, PHASE_ENTERS, OS_RESUME_TO_SYSCALL, 0);
        return;
    }
    if (call->interrupted)
        arch->interrupt_call(&back, call->by_restart);
    if (!remote_call_set_registers(thread, &back))
        return;
    if (call->back == BACK_TO_SIGNAL) {
        let_in(thread, SIGNAL_BIT(call->carrier));
        send_carrier(thread);
    } else {
        run_to_trap(thread, PHASE_RETURNS, OS_RESUME_RUN);
    }
}

static void put_signal_back(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    int result;
    INSIST(result, thread->process->os->set_signal(thread->id, &call->signal));
    if (result)
        remote_call_give_in(thread, result, "cannot have its signal back");
    else
        arrive(thread);
}

/* From the stop of a signal that the instruction has caused, so that no call can be made: its memory has changed, or a
 * filter of the program's own (PR_SET_SYSCALL_USER_DISPATCH) wants none from there. That signal is dropped. */
static void come_back_from_fault(rein_thread *thread, int signal)
{
    struct remote_call *call = thread->extra->remote_call;
    if (call->request && !call->request->error.code)
        error_set(&call->request->error, REIN_BAD_STATE,
                  "Thread %d cannot make a call now: it got signal %s for the instruction at 0x%llx", thread->id,
                  rein_signal_name(signal), (unsigned long long)call->pc);
    if (call->back == BACK_TO_ENTRY) { /* it is just before that instead */
        call->registers.arch->remake_call(&call->registers);
        call->back = BACK_TO_EVENT;
    }
    if (!remote_call_set_registers(thread, &call->registers))
        return;
    if (call->back == BACK_TO_SIGNAL)
        put_signal_back(thread);
    else
        run_to_trap(thread, PHASE_RETURNS, OS_RESUME_RUN);
}

/* ---- There ---- */

static void enter(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    struct arch_registers registers = call->registers;
    registers.arch->set_call(&registers, call->pc, &call->call);
    if (remote_call_set_registers(thread, &registers))
        run(thread, PHASE_ENTERS, OS_RESUME_TO_SYSCALL, 0);
}

/* A function changes the veiled register, and has an argument there: on to where it shows, and can be set. true: it goes there. */
static bool goes_to_unveil(rein_thread *thread)
{
    const struct remote_call *call = thread->extra->remote_call;
    if (call->registers.arch->veiled_index < 0 || thread->stop != OS_EVENT_SYSCALL)
        return false;
    run_to_trap(thread, PHASE_SETTLES, OS_RESUME_RUN);
    return true;
}

/* At the end of the call that it was in, or was just entering and did not make. */
static void leave(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    if (call->finishes && !call->left) {
        const struct arch *arch = call->registers.arch;
        uint64_t veiled = arch->veiled_index < 0 ? 0 : arch->get(&call->registers, arch->veiled_index);
        if (!get_registers(thread, &call->registers))
            return;
        if (arch->veiled_index >= 0)
            arch->set(&call->registers, arch->veiled_index, veiled);
    }
    call->left = true;
    if (call->function && call->aborted)
        come_back(thread);
    else if (call->function && goes_to_unveil(thread))
        return;
    else if (call->function)
        function_call_enter(thread);
    else
        enter(thread);
}

/* It has entered the call in which it was, or which it was about to make: now it shows if that goes on by restart_syscall(2). It is
 * not made. */
static void settle_at_entry(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    struct arch_registers registers;
    if (!get_registers(thread, &registers))
        return;
    call->by_restart = registers.arch->goes_on_by_restart(&registers);
    registers.arch->drop_call(&registers);
    if (remote_call_set_registers(thread, &registers))
        run(thread, PHASE_LEAVES, OS_RESUME_TO_SYSCALL, 0);
}

static void settle(rein_thread *thread, const struct os_event *event)
{
    struct remote_call *call = thread->extra->remote_call;
    bool is_event = event->kind == OS_EVENT_INTERRUPTED || event->kind == OS_EVENT_GROUP_STOP;
    struct arch_registers registers;
    if (event->kind == OS_EVENT_SIGNAL && event->signal.number == SIGSTOP)
        thread_hold_signal(thread, &event->signal);
    if (!call->left && event->kind == OS_EVENT_SYSCALL) {
        settle_at_entry(thread);
    } else if (!call->left &&
               event->kind == OS_EVENT_TRAP) { /* a breakpoint is there: it is made again from its start */
        leave(thread);
    } else if (!call->left) {
        run(thread, PHASE_SETTLES, OS_RESUME_TO_SYSCALL, 0);
    } else if (!is_event) {
        run_to_trap(thread, PHASE_SETTLES, OS_RESUME_RUN);
    } else if (get_registers(thread, &registers)) {
        const struct arch *arch = registers.arch;
        arch->set(&call->registers, arch->veiled_index, arch->get(&registers, arch->veiled_index));
        leave(thread);
    }
}

/* At the entry. */
static void make(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    struct arch_registers registers;
    call->dropped = call->aborted || call->made || call->rejoins;
    if (call->dropped) {
        if (!get_registers(thread, &registers))
            return;
        registers.arch->drop_call(&registers);
        if (!remote_call_set_registers(thread, &registers))
            return;
    }
    run(thread, PHASE_MAKES, OS_RESUME_TO_SYSCALL, 0);
}

/* At the end. What has interrupted the call, if it was, was not the program: a group-stop, say. So it goes on. */
static void take_result(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    const struct os_backend *os = thread->process->os;
    struct arch_registers registers;
    if (!get_registers(thread, &registers))
        return;
    bool dropped = call->dropped, interrupted = os->call_is_made_again(&registers, NULL) == 1;
    int64_t result = registers.arch->call_result(&registers);
    if (interrupted && !call->aborted) {
        run_to_trap(thread, PHASE_ENTERS, OS_RESUME_TO_SYSCALL);
        return;
    }
    if (!dropped && !interrupted && !(call->aborted && result == -EINTR)) {
        call->made = true;
        call->result = result;
        if (call->made_one && call->made_one(thread, call) && !call->aborted) {
            call->made = false;
            enter(thread);
            return;
        }
    }
    come_back(thread);
}

/* Somebody has put a trap in the instruction's place: there are others. */
static bool try_another_instruction(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    struct arch_registers registers;
    uint64_t former = call->pc;
    if (!(call->pc = find_instruction(thread)) || call->pc == former) {
        call->pc = former;
        return false;
    }
    if (get_registers(thread, &registers)) {
        registers.arch->set(&registers, registers.arch->pc_index, call->pc);
        if (remote_call_set_registers(thread, &registers))
            run(thread, call->phase, OS_RESUME_TO_SYSCALL, 0);
    }
    return true;
}

/* On the way to an entry. */
static void take_signal(rein_thread *thread, const struct os_event *event)
{
    struct remote_call *call = thread->extra->remote_call;
    const struct os_backend *os = thread->process->os;
    int number = event->signal.number;
    uint64_t bit = SIGNAL_BIT(number), mask;
    if (number == SIGSTOP) {
        /* Without memory for it, it is lost: better than the thread. */
        thread_hold_signal(thread, &event->signal);
        run(thread, call->phase, OS_RESUME_TO_SYSCALL, 0);
        return;
    }
    if (event->signal.code > 0 && (os->fault_signals & bit)) {
        come_back_from_fault(thread, number);
        return;
    }
    if (!(os->fault_signals & bit) && call->phase == PHASE_ENTERS && !call->made) {
        /* Let in by the call's own mask, as of ppoll: it is what the call has waited for. */
        call->made = true;
        call->result = -EINTR;
    }
    if (!os->get_signal_mask(thread->id, &mask))
        let_in(thread, ~(mask | bit));
    run(thread, call->phase, OS_RESUME_TO_SYSCALL,
        number); /* a signal that is blocked when it is to be delivered waits as it was sent */
}

/* Has stopped on the way to an entry. */
static void on_the_way(rein_thread *thread, const struct os_event *event)
{
    bool is_trap = event->kind == OS_EVENT_TRAP;
    if (is_trap && try_another_instruction(thread))
        return;
    if (is_trap || event->kind == OS_EVENT_SIGNAL || event->kind == OS_EVENT_STEPPED)
        take_signal(thread, event);
    else
        run(thread, thread->extra->remote_call->phase, OS_RESUME_TO_SYSCALL, 0);
}

/* Where the kernel itself sets a thread back to its call's instruction, it does so only if that is the one that it stands behind. */
static bool stand_behind_own(rein_thread *thread)
{
    const struct remote_call *call = thread->extra->remote_call;
    const struct arch *arch = call->registers.arch;
    struct arch_registers registers;
    if (!call->interrupted)
        return true;
    if (!get_registers(thread, &registers))
        return false;
    arch->set(&registers, arch->pc_index, arch_pc(&call->registers) + arch->syscall_size);
    return remote_call_set_registers(thread, &registers);
}

/* The veiled register shows what it showed; the thread has its value already. */
static bool veil(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    const struct arch *arch = call->registers.arch;
    struct arch_registers registers;
    if (arch->veiled_index < 0)
        return true;
    if (!get_registers(thread, &registers))
        return false;
    arch->set(&call->registers, arch->veiled_index, arch->get(&registers, arch->veiled_index));
    return true;
}

static void reenter(rein_thread *thread, const struct os_event *event)
{
    struct remote_call *call = thread->extra->remote_call;
    if (event->kind != OS_EVENT_SYSCALL) {
        on_the_way(thread, event);
    } else if (call->back == BACK_TO_ENTRY) {
        if (veil(thread) && remote_call_set_registers(thread, &call->registers))
            arrive(thread);
    } else if (stand_behind_own(thread)) { /* its own mask, for the call to put aside */
        let_in(thread, ~thread->extra->mask);
        send_carrier(thread);
    }
}

/* The kernel sends the carrier itself. One of its number that somebody else has sent meanwhile, not a real-time one, is
 * merged with it. */
static bool is_carrier(const struct remote_call *call, const struct rein_signal *signal, bool *foreign)
{
    *foreign = !(signal->code > 0 || (signal->code == 0 && !signal->sender_pid));
    return signal->number == call->carrier && (!*foreign || signal->number < FIRST_REAL_TIME);
}

static void come_to_signal(rein_thread *thread, const struct rein_signal *signal)
{
    struct remote_call *call = thread->extra->remote_call;
    bool foreign, arrived = is_carrier(call, signal, &foreign);
    /* What else comes is kept back: it is for the next continue, and the mask must stay as the call has set it. */
    if (!arrived || foreign)
        thread_hold_signal(thread, signal);
    if (arrived && call->repeats)
        thread->mask_changed = false; /* the call has put its own mask aside again, and in force the other */
    if (!arrived)
        run(thread, PHASE_RETURNS, OS_RESUME_RUN, 0);
    else if (remote_call_set_registers(thread, &call->registers))
        put_signal_back(thread);
}

static void come_to_stop(rein_thread *thread, const struct os_event *event)
{
    const struct remote_call *call = thread->extra->remote_call;
    bool is_event = event->kind == OS_EVENT_INTERRUPTED || event->kind == OS_EVENT_GROUP_STOP;
    if (call->back == BACK_TO_EVENT && is_event)
        arrive(thread);
    else if (call->back == BACK_TO_EVENT)
        run_to_trap(thread, PHASE_RETURNS, OS_RESUME_RUN);
    else if (event->kind == OS_EVENT_SIGNAL)
        come_to_signal(thread, &event->signal);
    else
        run(thread, PHASE_RETURNS, OS_RESUME_RUN, 0);
}

bool remote_call_event(rein_thread *thread, const struct os_event *event)
{
    struct remote_call *call = thread->extra->remote_call;
    if (event->kind == OS_EVENT_EXITING) {
        remote_call_lost(thread);
        return false;
    }
    thread->lost_since = 0;
    thread->next_is_void = false;
    thread->stop = event->kind;
    rein_thread_ref(thread);
    thread_set_kernel(thread, KERNEL_STOPPED);
    bool at_call = event->kind == OS_EVENT_SYSCALL;
    switch (call->phase) {
    case PHASE_SETTLES:
        settle(thread, event);
        break;
    case PHASE_LEAVES:
        if (at_call)
            leave(thread);
        else
            on_the_way(thread, event);
        break;
    case PHASE_ENTERS:
        if (at_call)
            make(thread);
        else
            on_the_way(thread, event);
        break;
    case PHASE_MAKES:
        if (at_call)
            take_result(thread);
        else
            run(thread, PHASE_MAKES, OS_RESUME_TO_SYSCALL, 0);
        break;
    case PHASE_REENTERS:
        reenter(thread, event);
        break;
    case PHASE_RETURNS:
        come_to_stop(thread, event);
        break;
    }
    rein_thread_unref(thread);
    return true;
}

/* In a call that goes on behind the stop. */
static bool is_in_call(const rein_thread *thread)
{
    return thread_is_at_entry(thread) || thread->stop == OS_EVENT_SECCOMP || thread->stop == OS_EVENT_CLONE ||
           thread->stop == OS_EVENT_FORK || thread->stop == OS_EVENT_VFORK || thread->stop == OS_EVENT_VFORK_DONE;
}

/* Only at a signal's stop can a signal be put in its place, and only from the end of a call can one be sent to make such a
 * stop; so elsewhere it enters a call first, which is not made. */
void remote_call_go_back(rein_thread *thread)
{
    struct remote_call *call = thread->extra->remote_call;
    struct arch_registers registers;
    bool signal_is_all = call->back == BACK_TO_SIGNAL && !call->repeats && !call->interrupted;
    call->aborted = true;
    if (is_in_call(thread)) {
        bool at_entry = thread->stop == OS_EVENT_SYSCALL || thread->stop == OS_EVENT_SECCOMP;
        if (at_entry && !get_registers(thread, &registers))
            return;
        if (at_entry)
            registers.arch->drop_call(&registers);
        if (!at_entry || remote_call_set_registers(thread, &registers))
            run(thread, PHASE_LEAVES, OS_RESUME_TO_SYSCALL, 0);
    } else if (!signal_is_all || thread->stop == OS_EVENT_SYSCALL) {
        come_back(thread);
    } else if (!thread_is_at_signal(thread)) {
        enter(thread);
    } else if (remote_call_set_registers(thread, &call->registers)) {
        put_signal_back(thread);
    }
}

void remote_call_abort(rein_thread *thread)
{
    struct remote_call *call = thread_extra(thread)->remote_call;
    if (!call)
        return;
    bool first = !call->aborted;
    call->aborted = true;
    if (thread->kernel == KERNEL_STOPPED) /* it is dying, or something has gone wrong */
        remote_call_end_here(thread);
    else if (call->phase == PHASE_MAKES && first) /* else it is on its way to a stop, and the call is not made */
        thread_interrupt_call(thread);
}

/* ---- Beginning ---- */

int remote_call_check_state(struct request *request)
{
    rein_thread *thread = request->thread;
    struct error *error = &request->error;
    static const char what[] = "cannot make a call";
    int result = thread_check_request(request, error);
    if (!result && request->on_monitor)
        result =
            error_set(error, REIN_ON_MONITOR, "a thread cannot make a call in a callback, which would have to wait");
    if (!result && (!rein_state_is_stopped(thread->state) || thread->state == REIN_STATE_STOPPED_EXITING))
        result = thread_bad_state(thread, error, what,
                                  thread->state == REIN_STATE_STOPPED_EXITING ? "it is exiting" : "stop it first");
    if (!result)
        result = thread_check_call(thread, error, what);
    if (!result && thread->guest) /* whose exec or end would come in the middle, of no thread of this process */
        result = thread_bad_state(
            thread, error, what,
            "it is a vfork child in its parent's memory: another thread can, or it can behind its exec");
    if (!result && thread->kernel != KERNEL_STOPPED)
        result = thread_bad_state(thread, error, what, "it is about to end");
    if (!result && thread->stop == OS_EVENT_VFORK)
        result = thread_bad_state(thread, error, what, "it waits for its vfork child");
    bool at_exit = thread->stop == OS_EVENT_SYSCALL && !thread->in_call;
    if (!result && (at_exit || thread->stop == OS_EVENT_SECCOMP))
        result = thread_bad_state(thread, error, what,
                                  at_exit ? "it is at the exit of a system call, whose result would be lost"
                                          : "it is at a filter's stop: at the entry behind that, or elsewhere, it can");
    if (!result && thread_is_kept(thread))
        result = thread_bad_state(thread, error, what, "what has happened to it is not clear yet");
    return result;
}

static int failed(rein_thread *thread, int result, struct error *error)
{
    return error_set_system(error, result == -ESRCH ? REIN_NO_THREAD : REIN_SYSTEM, result,
                            "Thread %d cannot make a call", thread->id);
}

static int first_of(uint64_t signals)
{
    for (int number = 1; number <= 64; number++) {
        if (signals & SIGNAL_BIT(number))
            return number;
    }
    return 0;
}

/* What brings the thread back to its signal's stop: best one that comes before all others. Not a trap, which is another
 * kind of stop, nor what does something when it is sent. */
static int find_carrier(rein_thread *thread, struct remote_call *call, struct error *error)
{
    const struct os_backend *os = thread->process->os;
    uint64_t blocked, unfit = SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP) | SIGNAL_BIT(SIGTSTP) |
                              SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU) | SIGNAL_BIT(SIGCONT);
    int result = os->blocked_signals(thread->process->id, thread->id, &blocked);
    if (result)
        return failed(thread, result, error);
    call->repeats = blocked != thread->extra->mask;
    uint64_t usable = ~unfit & (call->repeats ? ~blocked : UINT64_MAX);
    call->carrier = first_of(usable & os->fault_signals);
    if (!call->carrier)
        call->carrier = first_of(usable);
    if (!call->carrier || (call->repeats && !os->call_can_repeat(&call->registers)))
        return thread_bad_state(thread, error, "cannot make a call",
                                "it is about to get a signal in a call that has changed its signal mask for that time");
    return 0;
}

/* Where that means that it may be in a call. */
static bool stands_at_call(rein_thread *thread, const struct arch_registers *registers)
{
    rein_process *process = thread->process;
    const struct arch *arch = registers->arch;
    unsigned char code[ARCH_INSTRUCTION_MAX];
    uint64_t pc = arch_pc(registers);
    if (!arch->interrupt_call)
        return false;
    int64_t size = process->os->read(&process->memory, thread->id, pc, code, sizeof code);
    if (size <= 0)
        return false;
    breakpoints_hide(process, pc, code, (size_t)size);
    return arch->classify(code, (size_t)size, NULL) == ARCH_INSTRUCTION_SYSCALL;
}

/* 0, or error is set. */
static int look_at_vectors(rein_thread *thread, struct remote_call *call, struct error *error)
{
    const struct arch *arch = call->registers.arch;
    if (arch->call_set == ARCH_SET_GENERAL)
        return 0;
    call->vectors = registers_fetch(thread, arch, arch->call_set, error);
    if (!call->vectors)
        return error->code;
    if (!arch->call_changes(call->vectors)) {
        free(call->vectors);
        call->vectors = NULL;
    }
    return 0;
}

int remote_call_look(rein_thread *thread, struct remote_call *call, struct error *error)
{
    rein_process *process = thread->process;
    const struct os_backend *os = process->os;
    thread_restore_mask(thread);
    int result = thread_get_registers(thread, &call->registers);
    if (!result && !thread->mask_changed)
        result = os->get_signal_mask(thread->id, &thread->extra->mask);
    if (result)
        return failed(thread, result, error);
    call->stop = thread->stop;
    call->no_delivery = thread->no_delivery;
    call->out_of_group_stop = thread->out_of_group_stop;
    call->run_count = thread->run_count;
    call->finishes = thread->stop == OS_EVENT_CLONE || thread->stop == OS_EVENT_FORK ||
                     thread->stop == OS_EVENT_VFORK_DONE || thread->stop == OS_EVENT_EXEC;
    call->back = thread_is_at_entry(thread) ? BACK_TO_ENTRY : BACK_TO_EVENT;
    if (thread_is_at_signal(thread) &&
        (thread->deliver || thread_extra(thread)->held || thread->state == REIN_STATE_STOPPED_SIGNAL)) {
        call->back = BACK_TO_SIGNAL;
        result = os->get_signal(thread->id, &call->signal);
        if (result)
            return failed(thread, result, error);
        result = find_carrier(thread, call, error);
        if (result)
            return result;
    }
    call->interrupted = call->back != BACK_TO_ENTRY && !call->finishes && stands_at_call(thread, &call->registers);
    call->sequence_at = os->sequence_word(thread->id);
    if (!call->sequence_at || os->read(&process->memory, thread->id, call->sequence_at, &call->sequence,
                                       sizeof call->sequence) != sizeof call->sequence)
        call->sequence = 0;
    return look_at_vectors(thread, call, error);
}

int remote_call_check(rein_thread *thread, struct remote_call *call, bool filtered, struct error *error)
{
    rein_process *process = thread->process;
    char why[160] = "";
    if (call->registers.arch != process->arch)
        return error_set(error, REIN_NOT_SUPPORTED,
                         "Thread %d cannot make a system call: it runs code of %s in a "
                         "program of %s",
                         thread->id, call->registers.arch->name, process->arch->name);
    int result =
        process->os->check_call(process->id, thread->id, &call->registers, &call->call, filtered, why, sizeof why);
    if (result)
        return error_set(error, result, "Thread %d cannot make system call %llu: %s", thread->id,
                         (unsigned long long)call->call.number, why);
    if (!(call->pc = find_instruction(thread)))
        return error_set(error, REIN_NOT_SUPPORTED,
                         "process %d has no instruction in its memory that makes a system call", process->id);
    return 0;
}

int remote_call_begin(rein_thread *thread, struct remote_call *call, struct error *error)
{
    const struct os_backend *os = thread->process->os;
    int result = os->set_signal_mask(thread->id, ~os->fault_signals);
    if (result)
        return failed(thread, result, error);
    thread->mask_changed = true;
    thread_set_call(thread, call);
    if (call->interrupted) {
        run(thread, PHASE_SETTLES, OS_RESUME_TO_SYSCALL, 0);
    } else if (call->finishes) {
        run(thread, PHASE_LEAVES, OS_RESUME_TO_SYSCALL, 0);
    } else if (call->back == BACK_TO_ENTRY) {
        struct arch_registers registers = call->registers;
        registers.arch->drop_call(&registers);
        if (remote_call_set_registers(thread, &registers))
            run(thread, PHASE_LEAVES, OS_RESUME_TO_SYSCALL, 0);
    } else {
        leave(thread);
    }
    return 0;
}

static int begin(rein_thread *thread, struct remote_call *call, bool filtered, struct error *error)
{
    int result = remote_call_look(thread, call, error);
    if (!result)
        result = remote_call_check(thread, call, filtered, error);
    if (result)
        return result;
    function_calls_note(thread, &call->call);
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: makes system call %llu at 0x%llx", thread->id,
        (unsigned long long)call->call.number, (unsigned long long)call->pc);
    return remote_call_begin(thread, call, error); /* it may be over, and call gone, when this returns 0 */
}

static void run_syscall(struct request *request)
{
    struct asked_call *asked = LIST_ENTRY(request, struct asked_call, request);
    rein_thread *thread = request->thread;
    rein_process *process = thread->process;
    int result = remote_call_check_state(request);
    if (!result && atomic_exchange(&process->cancelled, false))
        result = error_set(&request->error, REIN_CANCELLED, "the wait for process %d was cancelled", process->id);
    if (!result && asked->known) {
        const rein_word *arguments = asked->call.arguments;
        int error = process->os->known_call(process->arch, asked->which, arguments, &asked->call);
        if (error)
            result =
                error_set_system(&request->error, REIN_SYSTEM, error, "Thread %d cannot make that call", thread->id);
    }
    struct remote_call *call = result || thread_make_room(thread) ? NULL : calloc(1, sizeof *call);
    if (!result && !call)
        result = error_set(&request->error, REIN_NO_MEMORY, "no memory for a call of thread %d", thread->id);
    if (call) {
        call->request = request;
        call->call = asked->call;
        list_append(&process->waiting, &request->waiting);
        result = begin(thread, call, asked->options->flags & REIN_SYSCALL_FILTERED, &request->error);
    }
    if (result) {
        free_call(call);
        request_finish(request, result);
    }
}

/* When the call itself ends, answer finishes the request. This is for when it cannot. */
static bool syscall_ready(struct request *request)
{
    rein_thread *thread = request->thread;
    struct remote_call *call = thread->extra->remote_call;
    bool over = thread->process->condition == PROCESS_EXITED || thread->process->condition == PROCESS_DETACHED;
    bool stuck = call->aborted && thread->stuck;
    if (!over && !stuck)
        return false;
    if (stuck && request->error.code == REIN_TIMEOUT) {
        char why[160] = "is in the kernel";
        thread->process->os->explain_stuck(thread->process->id, thread->id, why, sizeof why);
        error_set(
            &request->error, REIN_TIMEOUT,
            "Thread %d: system call %llu cannot be interrupted now: it %s; the thread is as before when that ends",
            thread->id, (unsigned long long)call->call.number, why);
    }
    answer(thread, call);
    return true;
}

static void give_up_syscall(struct request *request)
{
    const struct asked_call *asked = LIST_ENTRY(request, struct asked_call, request);
    if (!request->error.code)
        error_set(&request->error, REIN_TIMEOUT,
                  "Thread %d: system call %llu was interrupted after %d ms, its time limit", request->thread->id,
                  (unsigned long long)asked->call.number, asked->options->timeout_ms);
    remote_call_abort(request->thread);
}

static void monitor_fails_syscall(struct request *request)
{
    (void)request; /* everybody is let go, and so comes back */
}

static const struct rein_syscall_options defaults = REIN_SYSCALL_OPTIONS_INIT;

static int submit(rein_thread *thread, struct asked_call *asked, const rein_word arguments[6],
                  const struct rein_syscall_options *options, int64_t *result)
{
    asked->request = (struct request){.run = run_syscall,
                                      .ready = syscall_ready,
                                      .give_up = give_up_syscall,
                                      .fail = monitor_fails_syscall,
                                      .process = thread_owner(thread),
                                      .thread = thread,
                                      .cancellable = true};
    asked->options = options ? options : &defaults;
    memcpy(asked->call.arguments, arguments, sizeof asked->call.arguments);
    int limit = asked->options->timeout_ms;
    int error = monitor_submit(thread_owner(thread)->monitor, &asked->request, limit ? limit : 1);
    *result = error ? 0 : asked->result;
    return error;
}

static int check_options(const char *function, const struct rein_syscall_options *options)
{
    if (!options || (options->size == sizeof *options && !(options->flags & ~(unsigned)REIN_SYSCALL_FILTERED)))
        return 0;
    return error_fail(REIN_INVALID_ARGUMENT,
                      "%s: options are not initialised with REIN_SYSCALL_OPTIONS_INIT, or have unknown flags",
                      function);
}

int rein_thread_syscall(rein_thread *thread, int number, const rein_word arguments[6],
                        const struct rein_syscall_options *options, int64_t *result)
{
    if (!thread || !arguments || !result || number < 0)
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_thread_syscall: thread, arguments or result is NULL, or %d is no system call", number);
    *result = 0;
    struct asked_call asked = {.call = {.number = (uint64_t)number}};
    int error = check_options(__func__, options);
    return error ? error : submit(thread, &asked, arguments, options, result);
}

/* ---- Calls that are often wanted ---- */

/* Makes the call; that it fails is a failure. */
static int make_known(rein_thread *thread, enum os_call which, const char *name, const rein_word arguments[6],
                      const struct rein_syscall_options *options, int64_t *result)
{
    struct asked_call asked = {.known = true, .which = which};
    int error = check_options(name, options);
    if (!error)
        error = submit(thread, &asked, arguments, options, result);
    if (!error && *result < 0) {
        struct error why;
        error_set_system(&why, REIN_SYSTEM, (int)*result, "Thread %d: %s failed", thread->id, name);
        error = error_publish(&why);
    }
    return error;
}

static int no_argument(const char *function, const char *which)
{
    return error_fail(REIN_INVALID_ARGUMENT, "%s: %s is NULL", function, which);
}

int rein_thread_mmap(rein_thread *thread, rein_word wanted, size_t size, int protection, int flags, int descriptor,
                     int64_t offset, const struct rein_syscall_options *options, rein_word *address)
{
    if (!thread || !address)
        return no_argument(__func__, "thread or address");
    const rein_word arguments[6] = {
        wanted, size, (rein_word)protection, (rein_word)flags, (rein_word)descriptor, (rein_word)offset};
    int64_t result;
    int error = make_known(thread, OS_CALL_MMAP, "mmap", arguments, options, &result);
    *address = error ? 0 : (rein_word)result;
    return error;
}

int rein_thread_munmap(rein_thread *thread, rein_word address, size_t size, const struct rein_syscall_options *options)
{
    if (!thread)
        return no_argument(__func__, "thread");
    const rein_word arguments[6] = {address, size};
    int64_t result;
    return make_known(thread, OS_CALL_MUNMAP, "munmap", arguments, options, &result);
}

int rein_thread_mprotect(rein_thread *thread, rein_word address, size_t size, int protection,
                         const struct rein_syscall_options *options)
{
    if (!thread)
        return no_argument(__func__, "thread");
    const rein_word arguments[6] = {address, size, (rein_word)protection};
    int64_t result;
    return make_known(thread, OS_CALL_MPROTECT, "mprotect", arguments, options, &result);
}

/* The path is put into memory of its own for that moment: below the stack pointer there may be anything (goroutines, signal
 * stacks). */
int rein_thread_open(rein_thread *thread, const char *path, int flags, unsigned mode,
                     const struct rein_syscall_options *options, int *descriptor)
{
    if (!thread || !path || !descriptor)
        return no_argument(__func__, "thread, path or descriptor");
    *descriptor = -1;
    size_t size = strlen(path) + 1;
    rein_word room;
    int error =
        rein_thread_mmap(thread, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, options, &room);
    if (error)
        return error;
    int64_t result = -1;
    const rein_word arguments[6] = {(rein_word)AT_FDCWD, room, (rein_word)flags, mode};
    error = rein_thread_write(thread, room, path, size, NULL);
    if (!error)
        error = make_known(thread, OS_CALL_OPEN_AT, "open", arguments, options, &result);
    struct error first = {.code = error, .system = error == REIN_SYSTEM ? errno : 0};
    snprintf(first.text, sizeof first.text, "%s", rein_error_message());
    int unmapped = rein_thread_munmap(thread, room, size, options);
    if (error)
        return error_publish(&first);
    *descriptor = (int)result;
    return unmapped;
}

int rein_thread_close(rein_thread *thread, int descriptor, const struct rein_syscall_options *options)
{
    if (!thread)
        return no_argument(__func__, "thread");
    const rein_word arguments[6] = {(rein_word)descriptor};
    int64_t result;
    return make_known(thread, OS_CALL_CLOSE, "close", arguments, options, &result);
}

/* ---- Descriptors ---- */

static void run_take_descriptor(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    const rein_thread *way = process_living_thread(process);
    if (!result && !way)
        result = error_set(&request->error, REIN_EXITED, "process %d is exiting", process->id);
    if (!result && way) {
        int taken = process->os->take_descriptor(process->id, way->id, request->number);
        if (taken >= 0)
            *(int *)request->out = taken;
        else
            result = error_set_system(&request->error, taken == -ENOSYS ? REIN_NOT_SUPPORTED : REIN_SYSTEM, taken,
                                      "descriptor %d of process %d cannot be taken", request->number, process->id);
    }
    request_finish(request, result);
}

int rein_process_take_descriptor(rein_process *process, int descriptor, int *taken)
{
    if (!process || !taken || descriptor < 0)
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_take_descriptor: process or taken is NULL, or %d is no descriptor", descriptor);
    *taken = -1;
    struct request request = {.run = run_take_descriptor, .process = process, .number = descriptor, .out = taken};
    return monitor_submit(process->monitor, &request, -1);
}
