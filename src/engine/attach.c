/* Taking hold of processes and letting them go: attach, spawn, detach, kill. Births are in birth.c.
 *
 * ATTACH seizes every thread that it finds in the process and looks again, until a look finds nobody new and all have
 * stopped; who is born meanwhile is traced from birth, for its parent is. If a thread is refused, the ones that were
 * seized are let go, and the caller gets the reason. With thousands of threads each call for each of them counts: so they
 * are listed once, a second look counts them, and their children, of which one may share the memory, are looked for when
 * there is a breakpoint to do harm.
 *
 * LETTING GO: everybody is stopped once more, each brought to where it can be left (event.c), the breakpoints are
 * taken out, and each is let go with the signal it was to get. Who cannot be stopped (in the kernel) runs no code of
 * the program before it stops; it lingers in the tables and is let go then. A leader that is a zombie can only be
 * waited for. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/insist.h"
#include "engine/lend.h"
#include "engine/process.h"

enum { LET_GO_TRIES = 100 }; /* to take out the breakpoints, and to bring a thread to where it can be left */

/* ---- Letting go ---- */

int attach_release(rein_monitor *monitor, int id, int signal, enum os_resume else_how)
{
    int result;
    INSIST_ON_END_OF_STOP(result, monitor->os->detach(id, signal));
    if (!result)
        return 0;
    monitor->os->resume(id, else_how, signal);
    if (result != -ESRCH)
        monitor_fail(monitor, REIN_SYSTEM, result, "Thread %d cannot be let go", id);
    return result;
}

void attach_detach_thread(rein_thread *thread)
{
    rein_process *process = thread->process;
    function_calls_end_here(thread);
    thread_check(thread, thread_give_registers(thread), "cannot have its registers set");
    thread_restore_mask(thread);
    if (thread->leaving)
        breakpoints_clean_copy(process, thread->id, thread_extra(thread)->image);
    if (birth_is_followed_guest(thread)) {
        birth_leave_guest(thread);
        event_stop_plain(thread);
        return;
    }
    watch_disarm(thread);
    int signal = thread_take_signal(thread);
    enum os_resume else_how = thread->stop == OS_EVENT_GROUP_STOP ? OS_RESUME_LISTEN : OS_RESUME_RUN;
    if (attach_release(process->monitor, thread->id, signal, else_how) != -ESRCH) {
        thread_end(thread, TRANSITION_DETACH);
        return;
    }
    /* It has been killed, and is ours until its end is told: else nobody might wait for it, and its parent wait for ever. */
    if (!rein_state_is_terminal(thread->state))
        thread_change(thread, TRANSITION_DETACH);
    thread_set_kernel(thread, KERNEL_RUNS);
    thread_expect(thread);
}

void attach_guest_leaves(rein_thread *guest)
{
    if (!guest->guest || guest->leaving)
        return;
    guest->leaving = true;
    if (guest->kernel == KERNEL_STOPPED)
        attach_detach_thread(guest);
    else
        thread_interrupt(guest);
}

void attach_let_go(rein_process *process, int signal)
{
    if (process->condition != PROCESS_HELD)
        return;
    process->condition = PROCESS_LETTING_GO;
    process->detach_signal = signal;
    if (process->filtered) /* it would go on with calls that fail */
        process->os->kill(process->id, SIGKILL);
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        remote_call_abort(thread);
        function_calls_abandon(thread);
        syscall_finish(thread);
        thread_interrupt(thread);
    }
    monitor_note_change(process);
}

void attach_give_up(rein_process *process)
{
    process->let_go_error = breakpoints_take_out(process);
    displace_clean(process);
    if (process->detach_signal)
        process->signal_error = process->os->kill(process->id, process->detach_signal);
    process_ref(process);
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->kernel == KERNEL_STOPPED)
            attach_detach_thread(thread);
        else if (birth_is_followed_guest(thread))
            birth_leave_guest(thread);
        else if (!rein_state_is_terminal(thread->state))
            thread_change(thread, TRANSITION_DETACH); /* it lingers */
    }
    process_end(process, PROCESS_DETACHED);
    process_unref(process);
}

void attach_let_go_advance(rein_process *process)
{
    bool tries = process->let_go_tries < LET_GO_TRIES;
    if (tries && process->unhandled) {
        LIST_FOR_EACH(item, &process->threads)
        event_handle_again(LIST_ENTRY(item, rein_thread, link));
    }
    if (tries && process->unhandled) {
        process->let_go_tries++;
        process_retry(process);
        return;
    }
    function_calls_advance(process);
    if (process->code_runners || (tries && process->pass_steppers) || process->listeners ||
        process->born) /* the first stop is near */
        return;
    LIST_FOR_EACH(item, &process->threads)
    {
        const rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        const struct thread_extra *extra = thread_extra(thread);
        if ((extra->remote_call || extra->calls) && !thread->stuck) /* it is about to come back */
            return;
    }
    if (breakpoints_take_out(process) && process->let_go_tries++ < LET_GO_TRIES)
        process_retry(process);
    else if (!map_room_unmap_all(process)) /* else it comes back here when that is done */
        attach_give_up(process);
}

static bool gone_ready(struct request *request)
{
    rein_process *process = request->process;
    if (process->condition == PROCESS_HELD || process->condition == PROCESS_LETTING_GO)
        return false;
    int result = 0;
    if (process->condition == PROCESS_EXITED && request->flags)
        result = process_check(process, &request->error);
    else if (process->condition == PROCESS_DETACHED && process->let_go_error)
        result = error_set_system(&request->error, REIN_SYSTEM, process->let_go_error,
                                  "process %d has been let go with breakpoints in its memory, which cannot be written",
                                  process->id);
    else if (process->condition == PROCESS_DETACHED && process->signal_error)
        result = error_set_system(&request->error, process->signal_error == -EPERM ? REIN_NOT_PERMITTED : REIN_SYSTEM,
                                  process->signal_error, "process %d has been let go, but could not be sent signal %s",
                                  process->id, rein_signal_name(process->detach_signal));
    request_finish(request, result);
    return true;
}

static void run_detach(struct request *request)
{
    int result = process_check(request->process, &request->error);
    if (!result && request->process->filtered)
        result = error_set(&request->error, REIN_BAD_STATE,
                           "process %d has a seccomp filter, which would have its calls fail without a tracer: hold it "
                           "to its end, or kill it",
                           request->process->id);
    if (result) {
        request_finish(request, result);
        return;
    }
    attach_let_go(request->process, request->number);
    request->flags = 1;
    request_wait(request);
}

int rein_process_detach(rein_process *process, int signal)
{
    if (!process || signal < 0 || signal > 64)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_detach: process is NULL, or %d is no signal", signal);
    struct request request = {
        .run = run_detach, .ready = gone_ready, .process = process, .number = signal, .begin_only_on_monitor = true};
    return monitor_submit(process->monitor, &request, -1);
}

static void run_kill(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (!result) {
        int error = process->os->kill(process->id, SIGKILL);
        if (error)
            result = error_set_system(&request->error, error == -EPERM ? REIN_NOT_PERMITTED : REIN_SYSTEM, error,
                                      "process %d cannot be killed", process->id);
        else
            process->killing = true;
        /* SIGKILL ends every stop but the last (PTRACE_EVENT_EXIT). */
        LIST_FOR_EACH(item, &process_of_memory(process)->threads)
        {
            rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
            if (!result && thread_owner(thread) == process && thread->state == REIN_STATE_STOPPED_EXITING)
                thread_change(thread, TRANSITION_CONTINUE);
        }
    }
    if (result)
        request_finish(request, result);
    else
        request_wait(request);
}

int rein_process_kill(rein_process *process)
{
    if (!process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_kill: process is NULL");
    struct request request = {.run = run_kill, .ready = gone_ready, .process = process, .begin_only_on_monitor = true};
    return monitor_submit(process->monitor, &request, -1);
}

/* ---- Attach ---- */

struct attach {
    struct request request;
    const struct rein_attach_options *options;
    rein_process *process; /* the monitor's until it is the caller's; counted while the request is under way */
    bool failed;           /* error is set: everything is being let go */
    int found;             /* new threads, by the scan under way */
    bool ever_found;
    unsigned doubts; /* threads of which the kernel said that they are not there, though they were listed */
    bool adopts;     /* see attach_adopt */
    bool busy;       /* the scan under way has met somebody who cannot be seized now */
};

enum { SEIZE_TRIES = 4, SCAN_ENDS = 1, DOUBTS_MAX = 1000, LAST_LOOKS = 10, SHARER_TRIES = 10 };

static bool want_stopped(const struct attach *attach)
{
    return !(attach->options->flags & REIN_ATTACH_RUNNING);
}

/* Why seizing failed, unless that is no failure: 0. */
static int explain_refusal(struct attach *attach, int id, int error, int tracer)
{
    rein_process *process = attach->process;
    const struct os_backend *os = process->os;
    enum os_thread_status status;
    if (!os->thread_status(process->id, id, &status) && (status == OS_THREAD_GONE || status == OS_THREAD_ZOMBIE))
        return 0; /* it has ended, or is a leader that has ended before the others */
    if (error == -ESRCH &&
        attach->doubts < DOUBTS_MAX) { /* it was ending, or its id is another's by an exec: look again */
        attach->doubts++;
        attach->found++;
        return 0;
    }
    if (tracer == process->monitor->id) { /* born meanwhile, and ours: its first stop is awaited like the others' */
        if (!birth_add_thread(process, id, false))
            return error_set(&attach->request.error, REIN_NO_MEMORY, "no memory for thread %d", id);
        attach->found++;
        return 0;
    }
    char why[200] = "";
    int code = os->explain_seize(process->id, id, error, why, sizeof why);
    if (tracer &&
        code == REIN_NOT_PERMITTED) { /* the tracer has let it go since, and no reason is to be seen any more */
        code = REIN_ALREADY_TRACED;
        snprintf(why, sizeof why, "process %d was tracing it just now; try again", tracer);
    }
    return error_set(&attach->request.error, code, "process %d cannot be attached to: %s", process->id, why);
}

/* A leader that we trace, or have let go dying, ends without a word when a thread that we do not trace yet calls exec
 * and takes its id: that one is there then. */
static bool is_successor(const rein_thread *thread)
{
    const struct os_backend *os = thread->process->os;
    enum os_thread_status status;
    int tracer;
    return thread->id == thread->process->id && (thread->kernel == KERNEL_DYING || thread->lost_since) &&
           !os->thread_status(thread->id, thread->id, &status) && status != OS_THREAD_GONE &&
           status != OS_THREAD_ZOMBIE && !os->tracer_of(thread->id, &tracer) && !tracer;
}

static void want(struct attach *attach, rein_thread *thread)
{
    attach->found++;
    /* It may be making a thread or a process just now, of which we are not told: it stops, and goes on, after that. */
    thread_set_fresh(thread);
    if (want_stopped(attach) && thread->state == REIN_STATE_RUNNING)
        thread_change(thread, TRANSITION_ASK_STOP);
    thread_interrupt(thread);
}

/* One that was let go while it was in the kernel, and is so still: the kernel traces it for us. */
static int take_back(struct attach *attach, rein_thread *former)
{
    rein_process *process = attach->process;
    bool interrupted = former->interrupted, in_vfork = former->in_vfork, stuck = former->stuck;
    int id = former->id;
    thread_end(former, TRANSITION_DETACH);
    rein_thread *thread = thread_create(process, id, KERNEL_RUNS, false);
    if (!thread) {
        monitor_fail(process->monitor, REIN_NO_MEMORY, 0, "no memory for thread %d", id);
        return REIN_MONITOR_FAILED;
    }
    thread->interrupted = interrupted;
    thread_set_cannot_stop(thread, in_vfork, stuck);
    if (interrupted && !stuck)
        thread_expect(thread);
    want(attach, thread);
    return 0;
}

/* While its seizing waited, it has become another program, and has the process's id. */
static void take_leaders_id(rein_thread *thread)
{
    rein_process *process = thread->process;
    rein_thread *leader = table_find(&process->monitor->threads, (uint64_t)process->id);
    if (leader == thread)
        return;
    if (leader)
        thread_end(leader, TRANSITION_EXIT);
    thread_rename(thread, process->id);
}

static int seize_one(int id, void *arg)
{
    struct attach *attach = arg;
    rein_process *process = attach->process;
    rein_thread *thread = table_find(&process->monitor->threads, (uint64_t)id);
    if (thread && is_successor(thread)) {
        thread_end(thread, TRANSITION_EXIT);
        thread = NULL;
    }
    if (thread && thread->process != process && rein_state_is_terminal(thread->state) &&
        thread->kernel == KERNEL_RUNS && !thread->guest)
        return take_back(attach, thread);
    if (thread && thread->process == process)
        return 0;
    if (thread) {
        enum os_thread_status status;
        bool dying = thread->kernel == KERNEL_DYING || process->os->thread_status(process->id, id, &status) ||
                     status == OS_THREAD_ZOMBIE || status == OS_THREAD_GONE;
        if (dying)
            return 0;
        return error_set(&attach->request.error, REIN_BAD_STATE,
                         "process %d cannot be attached to: thread %d is still being let go", process->id, id);
    }
    int traced_by;
    if (attach->adopts && (process->os->tracer_of(id, &traced_by) || traced_by))
        return 0; /* traced from its birth, which is to be told */
    thread = thread_create(process, id, KERNEL_RUNS, false);
    if (!thread)
        return error_set(&attach->request.error, REIN_NO_MEMORY, "no memory for thread %d", id);
    /* Another tracer may have had it a moment ago: then there is nothing to be seen of the reason, and no reason any more. */
    int error = -EPERM, tracer = 0;
    for (int tries = 0; error == -EPERM && !tracer && tries < SEIZE_TRIES; tries++) {
        error = process->os->seize(id);
        if (error == -EPERM && process->os->tracer_of(id, &tracer))
            break;
    }
    if (error) {
        LOG(&process->monitor->log, REIN_LOG_TRACE, "Thread %d: cannot be seized (%d), traced by %d", id, error,
            tracer);
        thread_end(thread, TRANSITION_DETACH);
        attach->busy = error == -EINTR;
        return attach->busy ? SCAN_ENDS : explain_refusal(attach, id, error, tracer);
    }
    LOG(&process->monitor->log, REIN_LOG_INFO, "Thread %d: attached", id);
    want(attach, thread);
    if (thread->interrupt_refused && !process->os->is_thread_of(id, process->id)) {
        take_leaders_id(thread);
        thread_interrupt_call(thread);
    }
    return 0;
}

/* A child by vfork that was made before we came, or let go by us, and still shares the memory: it would die of our
 * breakpoints. One that refuses (it has just become a set-user-id program, say) no longer shares anything. */
static int seize_guest(int id, void *arg)
{
    struct attach *attach = arg;
    rein_process *process = attach->process;
    const struct os_backend *os = process->os;
    rein_thread *relative = process_living_thread(process);
    const struct birth *birth = birth_find(process->monitor, id);
    bool is_to_come = birth && birth->what != BIRTH_HANDLED; /* and will be a guest then */
    if (table_find(&process->monitor->threads, (uint64_t)id) || is_to_come || !relative ||
        !os->same_memory(id, relative->id))
        return 0;
    rein_thread *guest = thread_create(process, id, KERNEL_RUNS, true);
    if (!guest)
        return error_set(&attach->request.error, REIN_NO_MEMORY, "no memory for process %d", id);
    int error = os->seize(id);
    LOG(&process->monitor->log, REIN_LOG_TRACE, "Process %d: its child %d shares the memory (%d)", process->id, id,
        error);
    if (error)
        thread_end(guest, TRANSITION_DETACH);
    attach->busy |= error == -EINTR; /* it is about to leave the memory by an exec, but has not yet */
    return 0;
}

/* And their children. */
static int seize_guests(struct attach *attach)
{
    rein_process *process = attach->process;
    attach->busy = false;
    int result = process->os->for_each_child_of(process->id, seize_guest, attach);
    for (struct list *item = process->threads.next; !result && item != &process->threads; item = item->next) {
        const rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->guest)
            result = process->os->for_each_child_of(thread->id, seize_guest, attach);
        if (result == -ESRCH)
            result = 0;
    }
    return result == -ESRCH ? 0 : !result && attach->busy ? -EAGAIN : result;
}

int attach_take_sharers(rein_process *process, struct error *error)
{
    struct attach attach = {.process = process};
    if (!process->has_sharers || !process->os->for_each_child_of)
        return 0;
    int result = -EAGAIN;
    for (int tries = 0; result == -EAGAIN && tries < SHARER_TRIES; tries++)
        result = seize_guests(&attach);
    if (result > 0) {
        *error = attach.request.error;
        return result;
    }
    if (result == -EAGAIN && !attach.busy)
        return error_set_system(error, REIN_SYSTEM, result,
                                "the children of process %d cannot be listed: so many of its threads come and go; try "
                                "again",
                                process->id);
    if (result == -EAGAIN)
        return error_set(error, REIN_BAD_STATE,
                         "process %d has a child that shares its memory and is about to run another program; try again",
                         process->id);
    if (result)
        return error_set_system(error, REIN_SYSTEM, result, "the children of process %d cannot be listed", process->id);
    process->has_sharers = process->unsearched = false;
    return 0;
}

bool attach_holds_all(const rein_process *process)
{
    const rein_thread *leader = table_find(&process->monitor->threads, (uint64_t)process->id);
    size_t count = 0;
    return leader && leader->process == process && leader->kernel != KERNEL_DYING && !leader->lost_since &&
           !process->os->count_threads(process->id, &count) && count == process->thread_count;
}

/* One look at the process's threads. false: failed, error is set. */
static bool scan(struct attach *attach)
{
    rein_process *process = attach->process;
    attach->found = 0;
    attach->busy = false;
    if (!attach->ever_found && !process->os->program_arch(process->id)) {
        error_set(&attach->request.error, REIN_NOT_SUPPORTED,
                  "process %d cannot be attached to: its program is for another architecture than %s, for which this "
                  "library was built; use one built for that",
                  process->id, process->os->arch->name);
        return false;
    }
    int result = attach_holds_all(process) ? 0 : process->os->for_each_thread(process->id, seize_one, attach);
    LOG(&process->monitor->log, REIN_LOG_TRACE, "Process %d: %d new threads (%d); %zu of %zu have not stopped yet",
        process->id, attach->found, result, process->fresh, process->thread_count);
    if (result == -EAGAIN) { /* some may be missing */
        attach->busy = true;
        result = 0;
    }
    if (attach->busy) {
        process_retry(process);
        list_remove(&process->changed); /* that it was tried is no change */
        return true;
    }
    if (result == -ESRCH || result == -ENOENT)
        result = process->thread_count ? 0
                 : attach->ever_found
                     ? error_set(&attach->request.error, REIN_EXITED, "process %d has exited meanwhile", process->id)
                     : error_set(&attach->request.error, REIN_NO_PROCESS, "there is no process %d", process->id);
    else if (result < 0 && !attach->request.error.code)
        error_set_system(&attach->request.error, REIN_SYSTEM, result, "the threads of process %d cannot be listed",
                         process->id);
    if (!result && !process->thread_count) {
        result = error_set(&attach->request.error, REIN_EXITED,
                           "process %d is a zombie: it has exited and waits for its parent", process->id);
    }
    attach->ever_found |= process->thread_count != 0;
    return result == 0;
}

void attach_adopt(rein_process *process)
{
    static const struct rein_attach_options stopped = REIN_ATTACH_OPTIONS_INIT;
    struct attach attach = {.process = process, .options = &stopped, .adopts = true};
    int result = attach_holds_all(process) ? 0 : process->os->for_each_thread(process->id, seize_one, &attach);
    /* Who is new may have made others that the look has missed. */
    process->unscanned = attach.found || attach.busy || result == -EAGAIN;
}

static void fail_attach(struct attach *attach)
{
    attach->failed = true;
    attach_let_go(attach->process, 0);
}

static bool finish_attach(struct attach *attach, int result)
{
    rein_process *process = attach->process;
    process->being_taken = false;
    if (!result) {
        const struct arch *arch = process->os->program_arch(process->id); /* from here on each exec is told */
        if (arch)
            process->arch = arch;
        process->has_sharers = process->unsearched = true; /* what its threads make is told from here on */
        *(rein_process **)attach->request.out = rein_process_ref(process);
    }
    request_finish(&attach->request, result);
    process_unref(process);
    return true;
}

static bool is_taken(const struct attach *attach)
{
    return want_stopped(attach) ? process_is_stopped(attach->process) : !attach->process->fresh;
}

static bool attach_ready(struct request *request)
{
    struct attach *attach = LIST_ENTRY(request, struct attach, request);
    rein_process *process = attach->process;
    if (process->condition == PROCESS_LETTING_GO || (process->condition == PROCESS_HELD && attach->failed))
        return false;
    if (process->condition != PROCESS_HELD) {
        if (!attach->failed)
            process_check(process, &request->error);
        return finish_attach(attach, request->error.code);
    }
    if (process->thread_count && !is_taken(attach) && !attach->busy)
        return false;
    if (!scan(attach) ||
        ((attach->options->flags & REIN_ATTACH_STRICT) && process_explain_stuck(process, &request->error))) {
        fail_attach(attach);
        return false;
    }
    if (attach->found && !attach->busy)
        monitor_note_change(process); /* look once more */
    if (attach->found || attach->busy || !is_taken(attach))
        return false;
    return finish_attach(attach, 0);
}

static void give_up_attach(struct request *request)
{
    struct attach *attach = LIST_ENTRY(request, struct attach, request);
    rein_process *process = attach->process;
    if (attach->failed || process->condition != PROCESS_HELD)
        return; /* it is ending anyway */
    bool strict = attach->options->flags & REIN_ATTACH_STRICT;
    /* There may have been no second look yet, for that waits for all to have stopped. */
    for (int looks = 0; !strict && looks < LAST_LOOKS && (!looks || attach->found); looks++) {
        if (!scan(attach)) {
            fail_attach(attach);
            return;
        }
    }
    if (!strict && process->thread_count) {
        process->unscanned = attach->found || attach->busy;
        finish_attach(attach, 0);
        return;
    }
    rein_thread *running = process_running_thread(process);
    if (!process->thread_count)
        error_set(&request->error, REIN_TIMEOUT,
                  "process %d cannot be attached to: it is about to run another program, and none of its threads could "
                  "be taken in %d ms; try again",
                  process->id, attach->options->timeout_ms);
    else
        error_set(&request->error, REIN_TIMEOUT, "process %d cannot be attached to: thread %d has not stopped in %d ms",
                  process->id, running ? running->id : process->id, attach->options->timeout_ms);
    fail_attach(attach);
}

static void monitor_fails_attach(struct request *request)
{
    LIST_ENTRY(request, struct attach, request)->failed = true;
}

static int start_attach(struct attach *attach)
{
    struct request *request = &attach->request;
    rein_monitor *monitor = request->monitor;
    const struct os_backend *os = monitor->os;
    int pid = request->number;
    if (request->on_monitor)
        return error_set(&request->error, REIN_ON_MONITOR,
                         "a process cannot be attached to in a callback, which would have to wait");
    if (atomic_load(&monitor->condition) != MONITOR_OPEN)
        return error_set(&request->error, REIN_CLOSED, "the monitor is over");
    if (pid == monitor->host || pid == os->self_process())
        return error_set(&request->error, REIN_SELF, "process %d is the one that asks, and cannot trace itself", pid);
    if (process_find(monitor, pid))
        return error_set(&request->error, REIN_BAD_STATE, "process %d is held already", pid);
    if (!os->is_thread_of(pid, pid)) {
        int group, parent, error = os->process_of(pid, &group, &parent);
        if (error == -ESRCH)
            return error_set(&request->error, REIN_NO_PROCESS, "there is no process %d", pid);
        if (error)
            return error_set_system(&request->error, REIN_SYSTEM, error, "process %d cannot be looked at", pid);
        if (group != pid)
            return error_set(&request->error, REIN_INVALID_ARGUMENT, "%d is a thread of process %d: attach to that",
                             pid, group);
    }
    if (os->monitor_leave_group)
        os->monitor_leave_group();
    attach->process = process_create(monitor, pid);
    if (!attach->process)
        return error_set(&request->error, REIN_NO_MEMORY, "no memory for process %d", pid);
    return 0;
}

static void run_attach(struct request *request)
{
    struct attach *attach = LIST_ENTRY(request, struct attach, request);
    int result = start_attach(attach);
    if (result) {
        request_finish(request, result);
        return;
    }
    rein_process *process = request->process = process_ref(attach->process);
    process->being_taken = true;
    process->stop_wanted = want_stopped(attach);
    if (!scan(attach))
        fail_attach(attach);
    if (!attach->busy)
        monitor_note_change(process);
    request->no_wait = false;
    list_append(&process->waiting, &request->waiting);
}

static int use_monitor(rein_monitor **monitor, bool *own)
{
    *own = !*monitor;
    return *own ? monitor_create_own(monitor) : 0;
}

/* The handle, and the process it leads to, hold an own monitor from here on. */
static int finish_own(rein_monitor *monitor, bool own, int result)
{
    if (own) {
        if (result)
            monitor_abandon_own(monitor);
        monitor_unref(monitor);
    }
    return result;
}

int rein_attach(rein_monitor *monitor, int pid, const struct rein_attach_options *options, rein_process **process)
{
    static const struct rein_attach_options defaults = REIN_ATTACH_OPTIONS_INIT;
    if (!process || pid <= 0)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_attach: process is NULL, or %d is no process id", pid);
    *process = NULL;
    if (options &&
        (options->size != sizeof *options || (options->flags & ~(unsigned)(REIN_ATTACH_RUNNING | REIN_ATTACH_STRICT))))
        return error_fail(
            REIN_INVALID_ARGUMENT,
            "rein_attach: options are not initialised with REIN_ATTACH_OPTIONS_INIT, or have unknown flags");
    bool own;
    int result = use_monitor(&monitor, &own);
    if (result)
        return result;
    struct attach attach = {
        .request = {.run = run_attach,
                    .ready = attach_ready,
                    .give_up = give_up_attach,
                    .fail = monitor_fails_attach,
                    .number = pid,
                    .out = process},
        .options = options ? options : &defaults,
    };
    int limit = attach.options->timeout_ms;
    result = monitor_submit(monitor, &attach.request, limit ? limit : 1);
    return finish_own(monitor, own, result);
}

/* ---- Spawn ---- */

struct spawn {
    struct request request;
    struct os_spawn what;
    struct os_spawned child;
    rein_process *process;
    bool timed_out;
    bool monitor_failed;
};

static int explain_spawn(struct spawn *spawn, int error, enum os_spawn_step step)
{
    bool no_process = step == OS_SPAWN_STEP_FORK || step == OS_SPAWN_STEP_SEIZE;
    bool chdir = step == OS_SPAWN_STEP_CHDIR;
    return error_set_system(&spawn->request.error, no_process ? REIN_SYSTEM : REIN_EXEC_FAILED, error,
                            "%s could not be started: %s%s%s failed", spawn->what.path, os_spawn_step_text(step),
                            chdir ? " to " : "", chdir ? spawn->what.dir : "");
}

static bool spawn_ready(struct request *request)
{
    struct spawn *spawn = LIST_ENTRY(request, struct spawn, request);
    rein_process *process = spawn->process;
    bool over = process->condition == PROCESS_EXITED || process->condition == PROCESS_DETACHED;
    if (process->starting && !over)
        return false;
    if ((spawn->timed_out || spawn->monitor_failed) && !over)
        return false;
    int result = 0;
    if (spawn->monitor_failed) {
        result = request->error.code;
    } else if (spawn->timed_out) {
        result = error_set(&request->error, REIN_TIMEOUT, "%s was not started in %d ms, and has been killed",
                           spawn->what.path, spawn->what.options->timeout_ms);
    } else if (over) {
        enum os_spawn_step step = OS_SPAWN_STEP_NONE;
        int error = process->os->spawn_error(&spawn->child, &step);
        if (error)
            result = explain_spawn(spawn, error, step);
        else if (process->foreign)
            result = error_set(&request->error, REIN_NOT_SUPPORTED,
                               "%s was not started: it is a program for another architecture than %s, for which this "
                               "library was built; use one built for that",
                               spawn->what.path, process->os->arch->name);
        else
            result = error_set(&request->error, REIN_UNEXPECTED_STOP, "%s: its process %d ended before the exec (%s)",
                               spawn->what.path, process->id,
                               process->exit.signaled ? rein_signal_name(process->exit.signal) : "exit");
    } else {
        *(rein_process **)request->out = rein_process_ref(process);
    }
    process->os->spawn_close(&spawn->child);
    request_finish(request, result);
    process_unref(process);
    return true;
}

static void give_up_spawn(struct request *request)
{
    struct spawn *spawn = LIST_ENTRY(request, struct spawn, request);
    spawn->timed_out = true;
    spawn->process->killing = true;
    spawn->process->os->kill(spawn->process->id, SIGKILL);
}

/* What needs memory comes first, so that no child is born that cannot be looked after. */
static int start_spawn(struct spawn *spawn, rein_process *process)
{
    struct request *request = &spawn->request;
    rein_monitor *monitor = request->monitor;
    enum os_spawn_step step = OS_SPAWN_STEP_NONE;
    if (table_reserve(&monitor->threads, 1) || table_reserve(&monitor->processes_by_id, 1))
        return error_set(&request->error, REIN_NO_MEMORY, "no memory for a process");
    spawn->what.copy_memory = monitor->kind == REIN_MONITOR_THREAD; /* valgrind knows no other way */
    int error = monitor->os->spawn(&spawn->what, &spawn->child, &step);
    if (error)
        return explain_spawn(spawn, error, step);
    process_set_id(process, spawn->child.pid); /* there is room */
    process->starting = true;
    if (spawn->what.options->filter_count) {
        process->filtered = true;
        process->follow = REIN_FOLLOW_BOTH;
    }
    if (thread_create(process, process->id, KERNEL_RUNS, false))
        return 0;
    monitor->os->kill(process->id, SIGKILL);
    monitor->os->spawn_close(&spawn->child);
    return error_set(&request->error, REIN_NO_MEMORY, "no memory for a thread");
}

static void monitor_fails_spawn(struct request *request)
{
    struct spawn *spawn = LIST_ENTRY(request, struct spawn, request);
    spawn->monitor_failed = true; /* nobody gets a handle of it */
    spawn->process->os->kill(spawn->process->id, SIGKILL);
}

static void run_spawn(struct request *request)
{
    struct spawn *spawn = LIST_ENTRY(request, struct spawn, request);
    rein_monitor *monitor = request->monitor;
    int result = 0;
    if (request->on_monitor)
        result = error_set(&request->error, REIN_ON_MONITOR,
                           "a program cannot be started in a callback, which would have to wait");
    else if (atomic_load(&monitor->condition) != MONITOR_OPEN)
        result = error_set(&request->error, REIN_CLOSED, "the monitor is over");
    rein_process *process = result ? NULL : process_create(monitor, 0);
    if (!process) {
        if (!result)
            result = error_set(&request->error, REIN_NO_MEMORY, "no memory for a process");
        request_finish(request, result);
        return;
    }
    result = start_spawn(spawn, process);
    if (result) {
        process_end(process, PROCESS_EXITED);
        request_finish(request, result);
        return;
    }
    request->process = spawn->process = process_ref(process);
    request->no_wait = false;
    list_append(&process->waiting, &request->waiting);
}

enum { FILTER_MAX = 4096 }; /* the kernel's BPF_MAXINSNS */

static int check_spawn(const char *path, char *const argv[], const int *fds, size_t fd_count,
                       const struct rein_spawn_options *options, rein_process **process)
{
    const unsigned known = REIN_SPAWN_NO_ASLR | REIN_SPAWN_SEARCH_PATH | REIN_SPAWN_NULL_STDIO |
                           REIN_SPAWN_CREDENTIALS | REIN_SPAWN_NEW_SESSION;
    if (!path || !argv || !argv[0] || !process || (!fds && fd_count))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_spawn: path, argv, argv[0], fds or process is NULL");
    if (options->size != sizeof *options || (options->flags & ~known))
        return error_fail(
            REIN_INVALID_ARGUMENT,
            "rein_spawn: options are not initialised with REIN_SPAWN_OPTIONS_INIT, or have unknown flags");
    if (fds && (options->flags & REIN_SPAWN_NULL_STDIO))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_spawn: fds and REIN_SPAWN_NULL_STDIO exclude each other");
    if (!options->filter != !options->filter_count || options->filter_count > FILTER_MAX)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_spawn: filter is NULL or empty, or longer than %d",
                          (int)FILTER_MAX);
    if (!options->groups && options->group_count)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_spawn: groups is NULL");
    for (size_t i = 0; i < fd_count; i++) {
        if (fds[i] < -1)
            return error_fail(REIN_INVALID_ARGUMENT, "rein_spawn: fds[%zu] is %d", i, fds[i]);
    }
    return 0;
}

int rein_spawn(rein_monitor *monitor, const char *path, char *const argv[], char *const envv[], const char *dir,
               const int *fds, size_t fd_count, const struct rein_spawn_options *options, rein_process **process)
{
    static const struct rein_spawn_options defaults = REIN_SPAWN_OPTIONS_INIT;
    if (!options)
        options = &defaults;
    int result = check_spawn(path, argv, fds, fd_count, options, process);
    if (result)
        return result;
    *process = NULL;
    struct spawn spawn = {
        .request = {.run = run_spawn,
                    .ready = spawn_ready,
                    .give_up = give_up_spawn,
                    .fail = monitor_fails_spawn,
                    .out = process},
        .what = {.path = path,
                 .argv = argv,
                 .envv = envv ? envv : environ,
                 .dir = dir,
                 .fds = fds,
                 .fd_count = fd_count,
                 .options = options,
                 .process_group = getpgrp()},
        .child = {.error_fd = -1},
    };
    lend_find_ignored(&spawn.what.ignored);
    if (!lend_inherited(monitor, &spawn.what.mask, &spawn.what.ignored, &spawn.what.process_group))
        pthread_sigmask(SIG_SETMASK, NULL, &spawn.what.mask);
    bool own;
    result = use_monitor(&monitor, &own);
    if (!result) {
        result = monitor_submit(monitor, &spawn.request, options->timeout_ms ? options->timeout_ms : 1);
        result = finish_own(monitor, own, result);
    }
    return result;
}
