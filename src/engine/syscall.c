/* System calls: which are traced, and changing one. What their stops become is in event.c.
 *
 * HOW A THREAD IS RESUMED. While calls are traced each thread runs "to the next entry or exit" (OS_RESUME_TO_SYSCALL), be
 * the call one that is asked for or not: the kernel knows no choice. The others are resumed at once.
 *
 * So does one that has entered a call under rein's eyes - it was stepped to the entry, past a breakpoint, say -, to that call's
 * exit, where an interrupted call hides elsewhere (arm64): else a stop would have it come to the breakpoint a second time.
 *
 * Unless the process has a seccomp filter that stops it at the calls it is to stop at: then threads run freely to
 * these, and to the exit from there.
 *
 * IN A CALL. The kernel tells at the stop whether it is an entry or an exit, so nothing depends on counting. in_call only
 * keeps what was seen at the entry for the exit, which does not tell it: from the entry's stop until the exit's, through what
 * stops the thread in between (a birth, an exec). Stops that are on the way out of the kernel end it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/process.h"

static uint64_t key_of(uint32_t arch, uint32_t number)
{
    return (uint64_t)arch << 32 | number;
}

static int by_key(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

struct traced_calls *traced_calls_ref(struct traced_calls *calls)
{
    if (calls)
        atomic_fetch_add_explicit(&calls->references, 1, memory_order_relaxed);
    return calls;
}

void traced_calls_unref(struct traced_calls *calls)
{
    if (calls && atomic_fetch_sub_explicit(&calls->references, 1, memory_order_acq_rel) == 1)
        free(calls);
}

bool syscall_is_traced(const rein_thread *thread)
{
    const struct traced_calls *calls = thread->process->traced_calls;
    const struct rein_syscall *call = &thread_call(thread)->now;
    uint64_t key = key_of(call->arch, (uint32_t)call->number);
    if (!calls || thread->guest)
        return false;
    return calls->all || (calls->count && bsearch(&key, calls->keys, calls->count, sizeof key, by_key));
}

enum os_resume syscall_resume(const rein_thread *thread, enum os_resume otherwise)
{
    const struct traced_calls *calls = thread->process->traced_calls;
    bool wanted = calls && !thread->guest;
    /* The filter stops it at the next; only for this call's exit. */
    if (wanted && thread->process->filtered)
        wanted = thread->in_call && thread_call(thread)->traced && calls->flags & REIN_SYSCALL_EXITS;
    wanted |= thread_is_at_entry(thread) && thread_call(thread)->changed;
    wanted |= thread->in_call && thread->process->arch->interrupt_call;
    return wanted || function_calls_watch(thread) ? OS_RESUME_TO_SYSCALL : otherwise;
}

/* An interrupt of ours that came too late for the entry's stop is pending to the call, which would give EINTR if it is one of
 * those that stops end; at its exit that can be seen to. (The kernel does not forget that something is pending before it
 * is on its way out of a call.) And a call that was changed gives the program its registers back at its exit. */
void syscall_finish(rein_thread *thread)
{
    const struct seen_call *seen = thread_call(thread);
    if (!thread_is_at_entry(thread) || !(thread->disturbed || seen->changed))
        return;
    thread_resume(thread, OS_RESUME_TO_SYSCALL, 0);
    thread_interrupt(thread);
}

/* ---- What callers ask ---- */

/* Runs without stopping at calls, and so has to be stopped once. One that is stepped for a software watchpoint is in front of
 * any call when its step is done. */
static bool must_be_resumed(const rein_thread *thread)
{
    return !thread->guest && !thread->process->filtered && thread->kernel == KERNEL_RUNS && !thread->in_vfork &&
           !thread->stuck && !thread->stops_at_calls && thread->stepping != STEPPING_SOFTWARE;
}

static bool trace_ready(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (!result && process->traced_calls && !process->filtered && process->outdated)
        return false;
    request_finish(request, result);
    return true;
}

static void run_trace(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (result) {
        request_finish(request, result);
        return;
    }
    traced_calls_unref(process->traced_calls);
    process->traced_calls = traced_calls_ref(request->out);
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (process->traced_calls && must_be_resumed(thread))
            thread_outdate(thread); /* to the caller it runs on */
    }
    request_wait(request);
}

int rein_process_trace_syscalls(rein_process *process, unsigned flags, const struct rein_syscall_id *calls,
                                size_t count)
{
    if (!process || (flags & ~(unsigned)(REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS)) || (!calls && count))
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_trace_syscalls: process or calls is NULL, or unknown flags 0x%x", flags);
    struct traced_calls *wanted = NULL;
    if (flags) {
        wanted = malloc(sizeof *wanted + count * sizeof *wanted->keys);
        if (!wanted)
            return error_fail(REIN_NO_MEMORY, "no memory for a list of %zu system calls", count);
        atomic_init(&wanted->references, 1);
        wanted->flags = flags;
        wanted->all = !calls;
        wanted->count = count;
        for (size_t i = 0; i < count; i++)
            wanted->keys[i] = key_of(calls[i].arch, calls[i].number);
        qsort(wanted->keys, count, sizeof *wanted->keys, by_key);
    }
    struct request request = {
        .run = run_trace, .ready = trace_ready, .process = process, .out = wanted, .begin_only_on_monitor = true};
    int result = monitor_submit(process->monitor, &request, -1);
    traced_calls_unref(wanted);
    return result;
}

/* The thread has stopped at that stage of a call? */
static int check(struct request *request, enum os_syscall_stage stage)
{
    rein_thread *thread = request->thread;
    int result = process_check(thread_owner(thread), &request->error);
    bool at_exit = thread->kernel == KERNEL_STOPPED && thread->stop == OS_EVENT_SYSCALL && !thread->in_call;
    bool right = rein_state_is_stopped(thread->state) &&
                 (stage == OS_SYSCALL_ENTRY ? thread_is_at_entry(thread) : at_exit && !thread->unhandled);
    if (!result && !right)
        result = thread_bad_state(thread, &request->error,
                                  stage == OS_SYSCALL_ENTRY ? "cannot change a system call"
                                                            : "cannot change a system call's result",
                                  stage == OS_SYSCALL_ENTRY ? "it is not stopped at the entry of one"
                                                            : "it is not stopped at the exit of one");
    return result;
}

/* What the cause shows is what was made of the call. */
static int show_change(struct request *request, int error, const struct rein_syscall *call)
{
    rein_thread *thread = request->thread;
    thread_forget_registers(thread);
    if (error)
        return error_set_system(&request->error, REIN_SYSTEM, error, "Thread %d: its system call cannot be changed",
                                thread->id);
    thread_call(thread)->now = *call;
    enum rein_cause_kind kind = thread_cause(thread)->kind;
    if (kind == REIN_CAUSE_SYSCALL_ENTRY || kind == REIN_CAUSE_SYSCALL_EXIT)
        thread->extra->cause->syscall = *call;
    return 0;
}

static int change_entry(struct request *request, const struct rein_syscall *made, const struct rein_syscall *shown)
{
    rein_thread *thread = request->thread;
    struct seen_call *seen = thread_call(thread);
    int error = thread->process->os->set_syscall(thread->id, made);
    if (!error && !seen->changed) {
        seen->changed = true;
        seen->image = thread->process->image;
        seen->own = seen->now;
    }
    return show_change(request, error, shown);
}

/* A program counts on its registers being as they were, but for the result's; and if the call is made again, it is the
 * program's own. One that goes on elsewhere (rt_sigreturn), or in another program, has set them all. */
void syscall_give_back(rein_thread *thread, uint64_t pc)
{
    struct seen_call *seen = thread_call(thread);
    if (seen->changed && seen->image == thread->process->image && pc == seen->own.pc)
        thread_check(thread, thread->process->os->set_own_syscall(thread->id, &seen->own),
                     "cannot have its registers back");
    thread_forget_registers(thread);
    seen->changed = false;
}

static void run_set(struct request *request)
{
    const struct rein_syscall *wanted = request->options;
    int result = check(request, OS_SYSCALL_ENTRY);
    if (!result) {
        struct rein_syscall call = thread_call(request->thread)->now;
        call.number = wanted->number;
        memcpy(call.args, wanted->args, sizeof call.args);
        call.result = -ENOSYS; /* of number -1, as the kernel has it */
        result = change_entry(request, &call, &call);
    }
    request_finish(request, result);
}

static void run_skip(struct request *request)
{
    int result = check(request, OS_SYSCALL_ENTRY);
    if (!result) {
        struct rein_syscall call = thread_call(request->thread)->now;
        call.number = -1;
        call.result = *(const int64_t *)request->options;
        result = change_entry(request, &call, &thread_call(request->thread)->now);
    }
    request_finish(request, result);
}

static void run_set_result(struct request *request)
{
    enum { LAST_ERROR = 4095 }; /* the kernel tells a failure by the result */
    rein_thread *thread = request->thread;
    int result = check(request, OS_SYSCALL_EXIT);
    if (!result) {
        struct rein_syscall call = thread_call(thread)->now;
        call.result = *(const int64_t *)request->options;
        call.error = call.result < 0 && call.result >= -LAST_ERROR ? (int)-call.result : 0;
        result = show_change(request, thread->process->os->set_syscall_result(thread->id, &call), &call);
    }
    request_finish(request, result);
}

static int submit(rein_thread *thread, void (*run)(struct request *request), const void *options, const char *function)
{
    if (!thread || !options)
        return error_fail(REIN_INVALID_ARGUMENT, "%s: an argument is NULL", function);
    struct request request = {.run = run, .process = thread_owner(thread), .thread = thread, .options = options};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

int rein_thread_set_syscall(rein_thread *thread, const struct rein_syscall *call)
{
    return submit(thread, run_set, call, __func__);
}

int rein_thread_skip_syscall(rein_thread *thread, int64_t result)
{
    return submit(thread, run_skip, &result, __func__);
}

int rein_thread_set_syscall_result(rein_thread *thread, int64_t result)
{
    return submit(thread, run_set_result, &result, __func__);
}
