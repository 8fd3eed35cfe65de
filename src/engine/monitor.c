/* The monitor: the loop that all of rein turns in. Requests come in from any thread, events from the kernel; both run here,
 * one after the other, so that nothing else needs a lock.
 *
 * A turn: run the requests; take the events; let every process that has changed do what has become possible
 * (process_advance) and answer the requests that waited for it; sleep if there was nothing.
 *
 * How a request gets here: the caller pushes it on a stack of its own making (an atomic pointer: a host thread that is
 * killed in the middle can hold up nobody) and wakes the monitor, then sleeps on a futex in the request. The monitor
 * takes the whole stack at once and turns it round. What only reads, or takes what is ready, the caller does himself while
 * the monitor sleeps, see rest.c. When the monitor is over, callers run the requests themselves, one at a time: what can still be asked
 * (how did it end? which events are left?) is in memory.
 *
 * How events are found: by the kernel's hints, one by one (os->waiter_next), and where a stop is known to be near - a
 * thread was interrupted, steps, or is being born - by asking for that thread by id. Asking for "any" is quadratic in
 * the number of threads, asking for each is linear (doc/, design).
 *
 * When the host dies, the loop ends by letting everyone go; it takes no lock and no memory for that. */
#include "engine/monitor.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/lend.h"
#include "engine/process.h"
#include "engine/remote_call.h"
#include "engine/share.h"

enum {
    EVENTS_A_TURN = 64,
    AWAITED_A_TURN = 1024,
    PAUSE_FIRST_US = 100,
    PAUSE_LAST_US = 5000,
    STEP_US = 50,
    RETRY_PAUSE_US = 1000,
    BIRTHS_PAUSE_US = 100000,
    STUCK_FIRST_MS = 10,
    STUCK_LAST_MS = 500,
    FRESH_STUCK_MS = 300,
    MAKING_CHILD_MS = 3000,
    STUCK_LOOKS = 64, /* at once */
    SWEEP_TURNS = 3,
    LOST_AFTER_MS = 200,
    LET_GO_LIMIT_MS = 3000, /* for those that cannot be stopped, when the monitor ends */
    LAST_LOOK_MS = 50,
};

/* The monitor that runs on this thread, if it is one. The monitor process uses the storage of the host thread that sleeps
 * for it, so this tells a callback from the host's other threads. */
static _Thread_local rein_monitor *current;

int64_t monitor_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool monitor_is_current(const rein_monitor *monitor)
{
    return current == monitor && monitor;
}

rein_monitor *monitor_make_current(rein_monitor *monitor)
{
    rein_monitor *before = current;
    current = monitor;
    return before;
}

/* ---- Requests ---- */

static void wait_for_word(rein_monitor *monitor, _Atomic uint32_t *word, uint32_t value, int64_t deadline)
{
    int64_t left = deadline < 0 ? -1 : deadline - monitor_now();
    if (deadline < 0 || left > 0)
        monitor->os->word_wait(word, value, left);
}

bool request_is_done(struct request *request)
{
    return atomic_load_explicit(&request->done, memory_order_acquire) == REQUEST_DONE;
}

/* On the monitor: what is ready is told to those who wait at descriptors, before anything is answered. */
static void announce(rein_monitor *monitor)
{
    while (!list_empty(&monitor->announcing))
        process_announce(LIST_ENTRY(monitor->announcing.next, rein_process, announcing));
}

void request_finish(struct request *request, int result)
{
    const struct os_backend *os = request->monitor->os;
    bool answers = !request->on_monitor && !request->at_rest;
    if (answers && monitor_is_current(request->monitor))
        announce(request->monitor);
    bool by_lender = request->by_lender;
    if (by_lender) /* else it may be a thread of the host that has asked while the monitor rests */
        request->monitor->answered = true;
    list_remove(&request->waiting);
    request->result = result;
    atomic_store_explicit(&request->done, REQUEST_DONE, memory_order_release);
    if (answers && !by_lender)         /* somebody sleeps until it is done */
        os->word_wake(&request->done); /* the request may be gone by now */
}

void request_call_for_help(struct request *request)
{
    atomic_store_explicit(&request->done, REQUEST_WANTS_HELP, memory_order_release);
    request->monitor->os->word_wake(&request->done);
}

static void request_cancel(struct request *request)
{
    error_set(&request->error, REIN_CANCELLED, "the wait for process %d was cancelled", request->process->id);
    if (request->give_up)
        request->give_up(request);
    else
        request_finish(request, REIN_CANCELLED);
}

void request_wait(struct request *request)
{
    rein_process *process = request->process;
    if (atomic_load(&request->monitor->condition) == MONITOR_FAILED) { /* by what the request began */
        request->error = request->monitor->failure;
        request_finish(request, REIN_MONITOR_FAILED);
        return;
    }
    if (request->cancellable && atomic_exchange(&process->cancelled, false)) {
        request_cancel(request);
        return;
    }
    list_append(process ? &process->waiting : &request->monitor->waiting, &request->waiting);
    if (request->on_monitor && !request->begin_only_on_monitor && !request->no_wait) {
        request_finish(request, error_set(&request->error, REIN_ON_MONITOR,
                                          "a call that waits cannot be made in a callback: the monitor, "
                                          "which it would wait for, is busy with the callback"));
        return;
    }
    if (request->ready(request))
        return;
    if (request->no_wait)
        request_finish(request, process ? error_set(&request->error, REIN_TIMEOUT, "process %d: not yet", process->id)
                                        : error_set(&request->error, REIN_TIMEOUT, "no event yet"));
    else if (request->on_monitor)
        request_finish(request, 0); /* it has begun */
}

void request_start(struct request *request)
{
    rein_monitor *monitor = request->monitor;
    if (atomic_load(&monitor->condition) == MONITOR_FAILED) {
        request->error = monitor->failure;
        request_finish(request, monitor->failure.code);
        return;
    }
    request->run(request);
}

void monitor_note_change(rein_process *process)
{
    if (!list_empty(&process->link) && list_empty(&process->changed))
        list_append(&process->monitor->changed, &process->changed);
}

/* Every process that has changed does what has become possible, and answers those who waited for it. */
void monitor_settle(rein_monitor *monitor)
{
    while (!list_empty(&monitor->changed)) {
        rein_process *process = LIST_ENTRY(monitor->changed.next, rein_process, changed);
        list_remove(&process->changed);
        if (!atomic_load(&process->over)) /* else what it has open may be closed by the caller's last unref */
            process_advance(process);
        bool over = process->condition == PROCESS_EXITED || process->condition == PROCESS_DETACHED;
        if (over)
            process_note_over(process); /* before the caller hears of it, and gives up its handle */
        LIST_FOR_EACH(item, &process->waiting)
        {
            struct request *request = LIST_ENTRY(item, struct request, waiting);
            request->ready(request);
        }
        if (over && list_empty(&process->changed) && !list_empty(&process->link))
            process_leave_monitor(process);
    }
    LIST_FOR_EACH(item, &monitor->waiting)
    {
        struct request *request = LIST_ENTRY(item, struct request, waiting);
        request->ready(request);
    }
}

/* Runs what callers have asked for, in the order in which they asked. */
static bool run_inbox(rein_monitor *monitor)
{
    struct request *newest = atomic_exchange(&monitor->inbox, NULL), *oldest = NULL;
    while (newest) {
        struct request *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    if (!oldest)
        return false;
    if (monitor_is_current(monitor))
        announce(monitor);
    while (oldest) {
        struct request *request = oldest;
        oldest = request->next; /* it is the caller's again once it is finished */
        request_start(request);
        /* After a failure nothing has changed: it was refused. What there is belongs to the monitor, which may still be
         * letting go, or is broken, if it was killed. */
        if (atomic_load(&monitor->condition) != MONITOR_FAILED)
            monitor_settle(monitor);
    }
    return true;
}

/* After the monitor is over or has failed: the calling thread runs what is in the inbox. */
static void run_inbox_afterwards(rein_monitor *monitor)
{
    pthread_mutex_lock(&monitor->after);
    run_inbox(monitor);
    pthread_mutex_unlock(&monitor->after);
}

/* The caller's time limit has passed: its request ends, unless it just has. */
static void run_withdraw(struct request *withdraw)
{
    struct request *request = withdraw->out;
    if (request_is_done(request)) {
        ;
    } else if (request->give_up) {
        request->give_up(request);
    } else {
        rein_thread *running = request->thread ? request->thread : process_running_thread(request->process);
        if (running)
            error_set(&request->error, REIN_TIMEOUT,
                      "process %d: the time limit of %d ms has passed; thread %d is in state %s", request->process->id,
                      withdraw->number, running->id, rein_state_name(running->state));
        else if (request->process)
            error_set(&request->error, REIN_TIMEOUT, "process %d: the time limit of %d ms has passed",
                      request->process->id, withdraw->number);
        else
            error_set(&request->error, REIN_TIMEOUT, "no event has come in %d ms", withdraw->number);
        request_finish(request, REIN_TIMEOUT);
    }
    request_finish(withdraw, 0);
}

void request_withdraw(struct request *request, struct request *withdraw, int timeout_ms)
{
    *withdraw =
        (struct request){.run = run_withdraw, .monitor = request->monitor, .out = request, .number = timeout_ms};
    list_init(&withdraw->waiting);
}

static void push(rein_monitor *monitor, struct request *request)
{
    struct request *head = atomic_load(&monitor->inbox);
    do {
        request->next = head;
    } while (!atomic_compare_exchange_weak(&monitor->inbox, &head, request));
}

/* Takes the request back out of the inbox, if the monitor has not taken it yet. */
static bool pull_back(rein_monitor *monitor, struct request *request)
{
    bool found = false;
    for (struct request *next, *each = atomic_exchange(&monitor->inbox, NULL); each; each = next) {
        next = each->next;
        if (each == request)
            found = true;
        else
            push(monitor, each);
    }
    return found;
}

/* Both ways of having a request done: 0, or REIN_TIMEOUT when the deadline has passed and it is still under way. */
static void note_pending(rein_monitor *monitor, struct request *request, bool pending)
{
    pthread_mutex_lock(&monitor->pending_lock);
    if (pending)
        list_append(&monitor->pending, &request->pending);
    else
        list_remove(&request->pending);
    pthread_mutex_unlock(&monitor->pending_lock);
}

static int submit_from_host(rein_monitor *monitor, struct request *request, int64_t deadline)
{
    push(monitor, request);
    if (atomic_load(&monitor->condition) != MONITOR_OPEN) {
        run_inbox_afterwards(monitor);
    } else if (monitor->os->waiter_wake(monitor->waiter) == -EPERM && pull_back(monitor, request)) {
        request_finish(request,
                       error_set(&request->error, REIN_NOT_PERMITTED,
                                 "the host has changed its user ids and may not signal its monitor %d any more: make "
                                 "the monitor afterwards",
                                 monitor->id));
    }
    for (uint32_t seen; (seen = atomic_load_explicit(&request->done, memory_order_acquire)) != REQUEST_DONE;) {
        if (deadline >= 0 && monitor_now() >= deadline)
            return REIN_TIMEOUT;
        if (seen == REQUEST_WANTS_HELP)
            share_help(request);
        wait_for_word(monitor, &request->done, seen, deadline);
    }
    return 0;
}

int monitor_submit(rein_monitor *monitor, struct request *request, int timeout_ms)
{
    request->monitor = monitor;
    request->no_wait = timeout_ms == 0;
    list_init(&request->waiting);
    atomic_init(&request->done, REQUEST_ASKED);
    if (lend_is_to_function(monitor))
        return lend_submit(monitor, request, timeout_ms);
    if (monitor_is_current(monitor)) {
        if (monitor->log.busy)
            return error_fail(REIN_ON_MONITOR, "a log callback cannot call into rein: it runs in the middle of things");
        request->on_monitor = true;
        request_start(request);
        return request->result ? error_publish(&request->error) : 0;
    }
    if (getpid() != monitor->host)
        return error_fail(
            REIN_CLOSED,
            "this is a forked child of process %d, where the monitor is; a monitor cannot be used in a child",
            monitor->host);
    if (monitor->kind == REIN_MONITOR_LENT) {
        if (!pthread_equal(pthread_self(), monitor->lender))
            return error_fail(
                REIN_WRONG_THREAD,
                "the monitor runs on the thread that has lent itself, and this is another: make the call there");
        return lend_submit(monitor, request, timeout_ms);
    }
    if (rest_answer(request))
        return request->result ? error_publish(&request->error) : 0;
    note_pending(monitor, request, true);
    int64_t deadline = timeout_ms > 0 ? monitor_now() + (int64_t)timeout_ms * 1000000 : -1;
    if (submit_from_host(monitor, request, deadline) == REIN_TIMEOUT) {
        struct request withdraw;
        request_withdraw(request, &withdraw, timeout_ms);
        note_pending(monitor, &withdraw, true);
        submit_from_host(monitor, &withdraw, -1);
        note_pending(monitor, &withdraw, false);
        while (!request_is_done(request))
            wait_for_word(monitor, &request->done, REQUEST_ASKED, -1);
    }
    note_pending(monitor, request, false);
    return request->result ? error_publish(&request->error) : 0;
}

/* ---- The loop ---- */

static void take_event(rein_monitor *monitor, const struct os_event *event)
{
    announce(monitor);
    event_handle(monitor, event);
    monitor_settle(monitor);
}

/* The kernel knows no such tracee any more. By an exec a thread takes the leader's id, and that is told when the new
 * program is in place, which can take long. Else it was taken from us, by a wait of the host's perhaps. */
static bool is_lost(rein_monitor *monitor, rein_thread *thread)
{
    int pid = thread->process->id, tracer;
    enum os_thread_status status;
    if (!thread->lost_since)
        thread->lost_since = monitor_now();
    if (monitor_now() - thread->lost_since < (int64_t)LOST_AFTER_MS * 1000000)
        return false;
    const rein_thread *leader = table_find(&monitor->threads, (uint64_t)pid);
    if (thread->guest || leader == thread || (leader && leader->kernel != KERNEL_DYING))
        return true;
    bool leader_lives = !monitor->os->thread_status(pid, pid, &status) && status != OS_THREAD_GONE &&
                        status != OS_THREAD_ZOMBIE && !monitor->os->tracer_of(pid, &tracer) && tracer == monitor->id;
    return !leader_lives;
}

/* The stop behind a step takes the kernel a moment, and comes with a hint: asking sooner is in vain; so it is time
 * after time if the step is a system call that waits. */
static bool is_too_early(const rein_monitor *monitor, const rein_thread *thread, int64_t now)
{
    if (monitor->kind != REIN_MONITOR_PROCESS || thread->stepping != STEPPING_USER || thread->interrupted)
        return false;
    int64_t waited = now - thread->expected_at;
    return waited < (int64_t)STEP_US * 1000 || (waited > (int64_t)STUCK_FIRST_MS * 1000000 && now < thread->look_at);
}

/* Asks for the stops that are near, each by its id. */
static bool look_at_expected(rein_monitor *monitor)
{
    bool found = false, asked = list_empty(&monitor->expected);
    int64_t now = list_empty(&monitor->expected) ? 0 : monitor_now();
    struct list later;
    list_init(&later);
    for (int left = AWAITED_A_TURN; left && !list_empty(&monitor->expected); left--) {
        rein_thread *thread = LIST_ENTRY(monitor->expected.next, rein_thread, expected);
        list_remove(&thread->expected);
        list_append(&later, &thread->expected);
        if (is_too_early(monitor, thread, now))
            continue;
        asked = true;
        struct os_event event = {.kind = OS_EVENT_NONE};
        int result = monitor->os->waiter_next_of(monitor->waiter, thread->id, &event);
        if (result == -ECHILD) {
            if (!is_lost(monitor, thread))
                continue;
            event = (struct os_event){.kind = OS_EVENT_LOST, .id = thread->id};
        }
        if (result == 1 || event.kind == OS_EVENT_LOST) {
            found = true;
            list_remove(&thread->expected);
            take_event(monitor, &event);
        }
    }
    while (!list_empty(&later)) {
        struct list *item = later.next;
        list_remove(item);
        list_append(&monitor->expected, item);
    }
    monitor->all_too_early = !asked;
    return found;
}

/* The kernel has denied that the thread is stopped, as it does of one that was killed. If it is, and there is nothing to be
 * heard of it, that was a lie. */
static void look_at_doubtful(rein_monitor *monitor, rein_thread *thread)
{
    enum os_thread_status status;
    struct os_event event;
    if (monitor->os->thread_status(thread_owner(thread)->id, thread->id, &status) || status != OS_THREAD_STOPPED)
        return;
    if (monitor->os->waiter_next_of(monitor->waiter, thread->id, &event) == 1) {
        list_remove(&thread->expected);
        event_handle(monitor, &event);
        return;
    }
    if (thread->kernel == KERNEL_RUNS || thread->kernel == KERNEL_DYING) {
        /* A stop that is not done with is seen to once more, and a step's trap is still to come behind it: the program would
         * die of that if nobody knew of the step. */
        if (!thread->unhandled) {
            if (thread->stepping == STEPPING_PASS)
                breakpoint_pass_stopped(thread, false);
            thread->stepping = STEPPING_NOT;
        }
        thread_set_kernel(thread, KERNEL_STOPPED);
        if (thread_extra(thread)->remote_call)
            remote_call_end_here(thread);
    }
    monitor_fail(monitor, REIN_SYSTEM, 0, "Thread %d is stopped, and the kernel denies it", thread->id);
}

/* Of a thread that was interrupted, or steps, and does not stop: can it at all? */
static void look_at_awaited(rein_monitor *monitor, rein_thread *thread)
{
    enum os_thread_status status;
    int pid = thread_owner(thread)->id;
    if (thread->interrupt_refused && thread->kernel == KERNEL_RUNS)
        thread->interrupt_refused = monitor->os->interrupt(thread->id) != 0;
    if (thread->kernel != KERNEL_RUNS || monitor->os->thread_status(pid, thread->id, &status))
        return;
    /* One that has just been seized may be making a thread or a process, of which we shall not be told. That does not
     * take long, but on a busy machine. */
    int64_t patience = !thread->fresh                                  ? 0
                       : monitor->os->is_making_child(pid, thread->id) ? MAKING_CHILD_MS
                                                                       : FRESH_STUCK_MS;
    patience *= 1000000;
    if (status == OS_THREAD_UNINTERRUPTIBLE && thread->interrupted && monitor_now() - thread->expected_at >= patience) {
        /* It runs no program code before it takes the interrupt: nobody waits for it any longer. */
        LOG(&monitor->log, REIN_LOG_INFO, "Thread %d: cannot be stopped now", thread->id);
        list_remove(&thread->expected);
        thread_set_cannot_stop(thread, thread->in_vfork, true);
        monitor_note_change(thread_owner(thread));
    } else if (status == OS_THREAD_ZOMBIE && thread->id == pid) {
        /* A leader that SIGKILL has ended without a last stop. The kernel tells its end when all others are gone, and these
         * may be held. */
        thread_note_zombie(thread);
    }
}

/* Each of those that wait is looked at when it has waited for a while, and again after twice that; how many others stop
 * meanwhile has no part in it. */
static void check_stuck(rein_monitor *monitor)
{
    if (list_empty(&monitor->expected)) {
        monitor->stuck_check_at = 0;
        return;
    }
    int64_t now = monitor_now(), next = INT64_MAX, soon = now + (int64_t)STUCK_FIRST_MS * 1000000;
    if (now < monitor->stuck_check_at)
        return;
    unsigned left = STUCK_LOOKS;
    LIST_FOR_EACH(item, &monitor->expected)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, expected);
        bool due = now >= thread->look_at;
        if (due) {
            int64_t waited = now - thread->expected_at, last = (int64_t)STUCK_LAST_MS * 1000000;
            thread->look_at = now + (waited < last ? waited : last);
        }
        if (thread->look_at < next)
            next = thread->look_at;
        if (due && thread->doubtful) {
            look_at_doubtful(monitor, thread);
            next = soon;
            break; /* an event can have changed the list */
        }
        if (due)
            look_at_awaited(monitor, thread);
        if (due && !--left) {
            next = soon;
            break;
        }
    }
    monitor->stuck_check_at = next > soon ? next : soon;
    monitor_settle(monitor);
}

static void take_cancels(rein_monitor *monitor)
{
    if (!atomic_exchange(&monitor->cancelled, false))
        return;
    LIST_FOR_EACH(item, &monitor->processes)
    {
        rein_process *process = LIST_ENTRY(item, rein_process, link);
        bool any = false;
        LIST_FOR_EACH(each, &process->waiting)
        any |= LIST_ENTRY(each, struct request, waiting)->cancellable;
        if (!any || !atomic_exchange(&process->cancelled, false))
            continue;
        LIST_FOR_EACH(each, &process->waiting)
        {
            struct request *request = LIST_ENTRY(each, struct request, waiting);
            if (request->cancellable)
                request_cancel(request);
        }
    }
}

static void take_retries(rein_monitor *monitor)
{
    if (!monitor->retry_at || monitor_now() < monitor->retry_at)
        return;
    monitor->retry_at = 0;
    LIST_FOR_EACH(item, &monitor->retrying)
    {
        list_remove(item);
        monitor_note_change(LIST_ENTRY(item, rein_process, retrying));
    }
}

static enum os_calm find_calm(const rein_monitor *monitor)
{
    if (!monitor->running)
        return OS_CALM_STILL;
    return monitor->threads.count == 1 && list_empty(&monitor->births) ? OS_CALM_ALONE : OS_CALM_NOT;
}

void monitor_turn(rein_monitor *monitor, int64_t limit_us)
{
    monitor->answered = false;
    take_cancels(monitor);
    take_retries(monitor);
    bool busy = run_inbox(monitor);
    monitor_settle(monitor);
    struct os_event event;
    /* Only the monitor process has hints; elsewhere waiter_next walks through all tracees, and asking by id comes first. */
    bool events = monitor->kind != REIN_MONITOR_PROCESS && look_at_expected(monitor);
    for (int left = events ? 0 : EVENTS_A_TURN; left && monitor->os->waiter_next(monitor->waiter, &event) == 1;
         left--) {
        events = true;
        take_event(monitor, &event);
    }
    if (!events)
        events = look_at_expected(monitor);
    check_stuck(monitor);
    if (!list_empty(&monitor->recent))
        births_forget_recent(monitor, false);
    if (!list_empty(&monitor->births)) {
        births_free_strays(monitor, false);
        monitor_settle(monitor);
    }
    if (events) {
        monitor->expected_pause = PAUSE_FIRST_US;
    }
    if (busy || events || limit_us == 0 || monitor->answered) /* who made this turn is not to sleep then */
        return;

    int64_t sleep_us = limit_us;
    if (atomic_load(&monitor->condition) != MONITOR_OPEN && sleep_us < 0)
        sleep_us = PAUSE_LAST_US; /* it has just failed, and nobody may be left who would wake it */
    if (!list_empty(&monitor->expected)) {
        int64_t pause = monitor->all_too_early ? PAUSE_LAST_US : monitor->expected_pause;
        if (sleep_us < 0 || sleep_us > pause)
            sleep_us = pause;
        if (!monitor->all_too_early && monitor->expected_pause < PAUSE_LAST_US)
            monitor->expected_pause *= 2;
    }
    if (!list_empty(&monitor->births) && (sleep_us < 0 || sleep_us > BIRTHS_PAUSE_US))
        sleep_us = BIRTHS_PAUSE_US;
    if (monitor->retry_at && (sleep_us < 0 || sleep_us > RETRY_PAUSE_US))
        sleep_us = RETRY_PAUSE_US;
    rest_begin(monitor);
    announce(monitor);
    enum os_calm calm = find_calm(monitor);
    struct polling *polls = monitor->host_died ? NULL : monitor->polls;
    if (polls)
        polls->ready = monitor->os->waiter_poll(monitor->waiter, polls->fds, polls->count, sleep_us, calm);
    else
        monitor->os->waiter_sleep(monitor->waiter, sleep_us, calm);
    rest_end(monitor);
}

/* Is there anything left that the monitor must see to? */
static bool has_duties(rein_monitor *monitor, int64_t give_up_at)
{
    if (!list_empty(&monitor->processes))
        return true;
    LIST_FOR_EACH(item, &monitor->births)
    {
        if (LIST_ENTRY(item, struct birth, link)->what == BIRTH_EXPECTED && monitor_now() < give_up_at)
            return true;
    }
    /* Who steps, and is in the kernel just now, would be left to make its step when there is nobody to take the trap
     * from it, and die of that. (The kernel ends single-stepping in PTRACE_DETACH only, not at the tracer's end:
     * ptrace_disable().) And who sleeps uninterruptibly may be forking: the child has copies of the breakpoints, and
     * nobody to take them out. Nor does it clear debug registers then. Who makes a call for us would go on from there. */
    bool any = false;
    size_t capacity = monitor->threads.capacity;
    for (size_t i = 0; !any && i < capacity; i++) { /* from where one was found the last time */
        size_t at = (monitor->duty_at + i) & (capacity - 1);
        const rein_thread *thread = monitor->threads.slots[at].value;
        const struct thread_extra *extra = thread ? thread_extra(thread) : NULL;
        any = thread && (thread->stepping != STEPPING_NOT || thread->stuck || extra->remote_call || extra->calls ||
                         (watch_is_armed(extra->watched) && thread->kernel != KERNEL_DYING));
        if (any)
            monitor->duty_at = at;
    }
    if (any && monitor_now() < give_up_at)
        return true;
    /* When the tracer itself ends, the kernel lets go whoever could not be let go by hand: threads in the kernel, and
     * zombie leaders, whose parents are told then. A lender does not end, so it waits for what can still come. */
    if (monitor->kind == REIN_MONITOR_LENT && monitor->threads.count)
        return monitor_now() < give_up_at;
    return false;
}

/* After a failure, which may come while it lets go, the kernel may never answer. */
static bool may_wait_in_vain(rein_monitor *monitor)
{
    return monitor->host_died || atomic_load(&monitor->condition) == MONITOR_FAILED;
}

void monitor_let_all_go(rein_monitor *monitor)
{
    LIST_FOR_EACH(item, &monitor->processes)
    attach_let_go(LIST_ENTRY(item, rein_process, link), 0);
    monitor_settle(monitor);
    int64_t give_up_at = monitor_now() + (int64_t)LET_GO_LIMIT_MS * 1000000;
    while (has_duties(monitor, give_up_at) && (!may_wait_in_vain(monitor) || monitor_now() < give_up_at))
        monitor_turn(monitor, PAUSE_LAST_US);
    if (list_empty(&monitor->processes))
        return;
    /* Whatever is left: without breakpoints it runs on unharmed when the kernel lets it go. Who has executed one by now is
     * about to show it. */
    LIST_FOR_EACH(item, &monitor->processes)
    attach_give_up(LIST_ENTRY(item, rein_process, link));
    monitor_settle(monitor);
    for (int64_t end = monitor_now() + (int64_t)LAST_LOOK_MS * 1000000; monitor->threads.count && monitor_now() < end;)
        monitor_turn(monitor, PAUSE_LAST_US);
}

/* The host is dead. Its threads are gone, whatever locks they held: from here on nothing is allocated, logged or called back,
 * except that the C library's own locks may stand in the way, which is what the emergency is for. */
static void host_has_died(rein_monitor *monitor)
{
    monitor->host_died = true;
    monitor->log.level = REIN_LOG_NONE;
    atomic_store(&monitor->inbox, NULL); /* nobody waits for these */
    monitor_let_all_go(monitor);
}

/* Runs in a signal handler when the monitor has not noticed its host's death for a second: it is stuck in a lock. Then its
 * tables are as they must be, for it takes no lock while it changes them. */
static void emergency(void *arg)
{
    rein_monitor *monitor = arg;
    host_has_died(monitor);
}

/* Threads that could not be let go before the monitor's end, which lets them go. */
static void forget_lingering(rein_monitor *monitor)
{
    while (monitor->threads.count) {
        rein_thread *some[64];
        size_t count = 0;
        TABLE_FOR_EACH(slot, &monitor->threads)
        {
            if (count < sizeof some / sizeof *some)
                some[count++] = slot->value;
        }
        while (count)
            thread_end(some[--count], TRANSITION_DETACH);
    }
}

static void become_over(rein_monitor *monitor)
{
    struct os_event event;
    for (int i = 0; i < SWEEP_TURNS && !monitor->host_died;
         i++) { /* children whose parents were killed before they could tell */
        while (monitor->os->waiter_next(monitor->waiter, &event) == 1)
            event_handle(monitor, &event);
        monitor->os->waiter_sleep(monitor->waiter, 0, OS_CALM_NOT);
    }
    births_free_strays(monitor, true);
    births_forget(monitor);
    births_forget_recent(monitor, true);
    if (!monitor->host_died)
        forget_lingering(monitor);
    int open = MONITOR_OPEN;
    atomic_compare_exchange_strong(&monitor->condition, &open, MONITOR_OVER);
    if (monitor->host_died)
        return;
    monitor_settle(monitor); /* who waits for events hears that there is no process any more, or takes what is left */
    process_forget_order(monitor);
    run_inbox_afterwards(monitor);
}

void monitor_end_for_dead_host(rein_monitor *monitor)
{
    host_has_died(monitor);
    become_over(monitor);
}

static bool is_tracee(int id, void *arg)
{
    rein_monitor *monitor = arg;
    int tracer;
    return table_find(&monitor->threads, (uint64_t)id) || birth_find(monitor, id) ||
           (!monitor->os->tracer_of(id, &tracer) && tracer == monitor->id); /* born, and its parent could not tell */
}

static int for_each_tracee(os_id_callback callback, void *callback_arg, void *arg)
{
    rein_monitor *monitor = arg;
    TABLE_FOR_EACH(slot, &monitor->threads)
    {
        int result = callback((int)slot->key, callback_arg);
        if (result)
            return result;
    }
    LIST_FOR_EACH(item, &monitor->births)
    {
        int result = callback(LIST_ENTRY(item, struct birth, link)->id, callback_arg);
        if (result)
            return result;
    }
    return 0;
}

/* The whole life of a monitor that is a process or a thread of its own. */
static void monitor_body(void *arg)
{
    rein_monitor *monitor = arg;
    current = monitor;
    monitor->id = monitor->os->self_thread();
    if (monitor->os->waiter_create(monitor->kind, is_tracee, for_each_tracee, monitor, &monitor->waiter)) {
        atomic_store(&monitor->condition, MONITOR_FAILED);
        error_set(&monitor->failure, REIN_NO_MEMORY, "the monitor could not be made ready to wait");
    }
    if (monitor->kind == REIN_MONITOR_THREAD && monitor->os->monitor_use_signal)
        monitor->os->monitor_use_signal(monitor->kind, monitor->interrupt_signal);
    if (monitor->os->monitor_set_emergency)
        monitor->os->monitor_set_emergency(emergency, monitor);
    atomic_store_explicit(&monitor->started, 1, memory_order_release);
    monitor->os->word_wake(&monitor->started);
    if (!monitor->waiter)
        return;

    bool had_process = false;
    while (!monitor->closing && atomic_load(&monitor->condition) == MONITOR_OPEN) {
        if (monitor->kind == REIN_MONITOR_PROCESS && monitor->os->host_is_dead())
            break;
        monitor_turn(monitor, -1);
        if (monitor->run)
            lend_run(monitor);
        had_process |= !list_empty(&monitor->processes);
        if (monitor->own && (had_process || monitor->abandoned) && list_empty(&monitor->processes) &&
            !monitor->threads.count && list_empty(&monitor->births))
            break;
    }
    if (monitor->host_died) /* and a call of the function that was run has seen to it */
        return;
    if (monitor->kind == REIN_MONITOR_PROCESS && monitor->os->host_is_dead()) {
        monitor_end_for_dead_host(monitor);
        return;
    }
    monitor_let_all_go(monitor);
    become_over(monitor);
    lend_refuse(monitor);
}

/* The monitor was killed and will not answer any more: tells all who wait for an answer. What it was doing is left as it is,
 * half done perhaps: nothing of its own is changed from here on. */
static void answer_for_killed(rein_monitor *monitor)
{
    pthread_mutex_lock(&monitor->pending_lock);
    for (struct list *each = monitor->pending.next; each != &monitor->pending; each = each->next) {
        struct request *request = LIST_ENTRY(each, struct request, pending);
        if (request_is_done(request))
            continue;
        request->error = monitor->failure;
        list_init(&request->waiting); /* not removed from a list that may be broken: nobody reads it any more */
        request_finish(request, REIN_MONITOR_FAILED);
    }
    pthread_mutex_unlock(&monitor->pending_lock);
}

/* Gives back what the monitor held. */
static void clear_after_killed(rein_monitor *monitor)
{
    process_forget_order(monitor);
    table_free(&monitor->processes_by_id);
    table_free(&monitor->births_by_id);
    table_free(&monitor->recent_by_id);
    LIST_FOR_EACH(item, &monitor->processes)
    {
        rein_process *process = LIST_ENTRY(item, rein_process, link);
        process->condition = PROCESS_DETACHED;
        /* Not left to process_free: the monitor may have died with a reference to it, or to a thread, in its hands. */
        process->os->memory_close(&process->memory);
        process->os->memory_init(&process->memory);
        if (process->event_fd >= 0) {
            uint64_t one = 1;
            (void)!write(process->event_fd, &one, sizeof one);
        }
        process_leave_monitor(process);
    }
    births_forget(monitor);
    births_forget_recent(monitor, true);
    TABLE_FOR_EACH(slot, &monitor->threads)
    rein_thread_unref(slot->value);
    table_free(&monitor->threads);
}

/* In the host, when the monitor has ended. killed: by a signal, or out of memory. Its tracees run on, untraced by
 * the kernel's doing, with the breakpoints in them: they are taken out from here, as far as that is allowed. */
static void monitor_ended(void *arg, bool killed)
{
    rein_monitor *monitor = arg;
    if (killed) {
        error_set(&monitor->failure, REIN_MONITOR_FAILED,
                  "the monitor (process %d) was killed from outside; what it traced runs on, untraced", monitor->id);
        atomic_store(&monitor->condition, MONITOR_FAILED);
        rest_end_for_killed(monitor);
        LIST_FOR_EACH(item, &monitor->processes)
        breakpoints_take_out(LIST_ENTRY(item, rein_process, link));
        atomic_store_explicit(&monitor->started, 1, memory_order_release);
        monitor->os->word_wake(&monitor->started);
        run_inbox_afterwards(monitor);
        answer_for_killed(monitor);
        clear_after_killed(monitor);
    }
    monitor_unref(monitor);
}

void monitor_fail(rein_monitor *monitor, int code, int system, const char *format, ...)
{
    if (atomic_load(&monitor->condition) != MONITOR_OPEN)
        return;
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (system)
        error_set_system(&monitor->failure, REIN_MONITOR_FAILED, system, "the monitor has failed (%s): %s",
                         rein_error_text(code), text);
    else
        error_set(&monitor->failure, REIN_MONITOR_FAILED, "the monitor has failed (%s): %s", rein_error_text(code),
                  text);
    LOG(&monitor->log, REIN_LOG_WARNING, "%s", monitor->failure.text);
    atomic_store(&monitor->condition, MONITOR_FAILED);
    LIST_FOR_EACH(item, &monitor->processes)
    {
        rein_process *process = LIST_ENTRY(item, rein_process, link);
        LIST_FOR_EACH(each, &process->waiting)
        {
            struct request *request = LIST_ENTRY(each, struct request, waiting);
            request->error = monitor->failure;
            if (request->fail)
                request->fail(request);
            else
                request_finish(request, REIN_MONITOR_FAILED);
        }
    }
    LIST_FOR_EACH(each, &monitor->waiting)
    {
        struct request *request = LIST_ENTRY(each, struct request, waiting);
        request->error = monitor->failure;
        request_finish(request, REIN_MONITOR_FAILED);
    }
}

/* ---- Making and ending ---- */

static void monitor_free(rein_monitor *monitor)
{
    if (monitor->handle) {
        /* The last reference may be the monitor's own, given back on the thread that join would wait for. */
        if (current == monitor)
            monitor->os->monitor_forget(monitor->handle);
        else
            monitor->os->monitor_join(monitor->handle);
    }
    if (monitor->waiter)
        monitor->os->waiter_destroy(monitor->waiter);
    table_free(&monitor->threads);
    table_free(&monitor->processes_by_id);
    table_free(&monitor->births_by_id);
    table_free(&monitor->recent_by_id);
    pthread_mutex_destroy(&monitor->after);
    pthread_mutex_destroy(&monitor->pending_lock);
    free(monitor);
}

rein_monitor *monitor_ref(rein_monitor *monitor)
{
    atomic_fetch_add_explicit(&monitor->references, 1, memory_order_relaxed);
    return monitor;
}

void monitor_unref(rein_monitor *monitor)
{
    if (monitor && atomic_fetch_sub_explicit(&monitor->references, 1, memory_order_acq_rel) == 1)
        monitor_free(monitor);
}

int monitor_create_with(const struct os_backend *os, const struct rein_monitor_options *options, bool own,
                        rein_monitor **result)
{
    rein_monitor *monitor = calloc(1, sizeof *monitor);
    if (!monitor)
        return error_fail(REIN_NO_MEMORY, "no memory for a monitor");
    atomic_init(&monitor->references, 1);
    monitor->kind = options->kind;
    monitor->own = own;
    monitor->os = os;
    monitor->host = getpid();
    monitor->log = (struct log){options->log_level, options->log, options->log_arg, false};
    monitor->interrupt_signal = options->interrupt_signal;
    monitor->steps_over = (options->flags & REIN_MONITOR_STEP_OVER) != 0;
    rest_init(&monitor->rest);
    monitor->expected_pause = PAUSE_FIRST_US;
    monitor->watch_fires = -1;
    pthread_mutex_init(&monitor->after, NULL);
    pthread_mutex_init(&monitor->pending_lock, NULL);
    list_init(&monitor->pending);
    list_init(&monitor->processes);
    list_init(&monitor->events);
    list_init(&monitor->waiting);
    list_init(&monitor->expected);
    list_init(&monitor->announcing);
    list_init(&monitor->changed);
    list_init(&monitor->births);
    list_init(&monitor->recent);
    list_init(&monitor->retrying);

    int error = 0;
    if (monitor->kind == REIN_MONITOR_LENT) {
        monitor->lender = pthread_self();
        monitor->id = os->self_thread();
        if (os->monitor_use_signal)
            os->monitor_use_signal(monitor->kind, monitor->interrupt_signal);
        error = os->waiter_create(monitor->kind, is_tracee, for_each_tracee, monitor, &monitor->waiter);
    } else {
        monitor_ref(monitor); /* the monitor's own, given back by monitor_ended */
        error = os->monitor_start(monitor->kind, monitor_body, monitor_ended, monitor, &monitor->handle);
        if (error)
            monitor_unref(monitor);
        else
            while (!atomic_load_explicit(&monitor->started, memory_order_acquire))
                wait_for_word(monitor, &monitor->started, 0, -1);
    }
    if (error || atomic_load(&monitor->condition) == MONITOR_FAILED) {
        int code = REIN_MONITOR_FAILED;
        if (!error)
            error_publish(&monitor->failure);
        else if (error == -ENOSYS)
            code = error_fail(REIN_NOT_SUPPORTED, "process control is not supported on this platform (backend \"%s\")",
                              os->name);
        else {
            struct error why;
            code = error_set_system(&why, error == -ENOMEM ? REIN_NO_MEMORY : REIN_SYSTEM, error,
                                    "the monitor could not be started");
            error_publish(&why);
        }
        monitor_unref(monitor); /* NOLINT(clang-analyzer-unix.Malloc): the last of two references */
        return code;
    }
    *result = monitor;
    return 0;
}

int rein_monitor_create(const struct rein_monitor_options *options, rein_monitor **monitor)
{
    struct rein_monitor_options defaults = REIN_MONITOR_OPTIONS_INIT;
    if (!monitor)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_create: monitor is NULL");
    *monitor = NULL;
    if (options && options->size != sizeof *options)
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_monitor_create: options.size is %zu: initialise with REIN_MONITOR_OPTIONS_INIT",
                          options->size);
    if (options && (unsigned)options->kind > REIN_MONITOR_LENT)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_create: %d is no kind of monitor", (int)options->kind);
    if (options && (unsigned)options->log_level > REIN_LOG_MEMORY)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_create: %d is no level of the log",
                          (int)options->log_level);
    if (options && (options->flags & ~(unsigned)REIN_MONITOR_STEP_OVER))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_create: unknown flags 0x%x", options->flags);
    if (options && (options->interrupt_signal < 0 || options->interrupt_signal > SIGRTMAX ||
                    options->interrupt_signal == SIGKILL || options->interrupt_signal == SIGSTOP ||
                    options->interrupt_signal == SIGCHLD))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_create: signal %d cannot be the interrupt_signal",
                          options->interrupt_signal);
    return monitor_create_with(&os_backend, options ? options : &defaults, false, monitor);
}

int monitor_create_own(rein_monitor **monitor)
{
    struct rein_monitor_options defaults = REIN_MONITOR_OPTIONS_INIT;
    return monitor_create_with(&os_backend, &defaults, true, monitor);
}

static void run_close(struct request *request)
{
    request->monitor->closing = true;
    request_finish(request, 0);
}

static void run_abandon(struct request *request)
{
    request->monitor->abandoned = true;
    request_finish(request, 0);
}

void monitor_abandon_own(rein_monitor *monitor)
{
    struct request request = {.run = run_abandon};
    monitor_submit(monitor, &request, -1);
}

int rein_monitor_close(rein_monitor *monitor)
{
    if (!monitor)
        return 0;
    if (monitor_is_current(monitor))
        return error_fail(REIN_ON_MONITOR, "a monitor cannot be closed in its own callback");
    struct request request = {.run = run_close};
    int result = monitor_submit(monitor, &request, -1);
    if (result == REIN_CLOSED || result == REIN_WRONG_THREAD)
        return result;
    if (monitor->kind == REIN_MONITOR_LENT) {
        current = monitor;
        monitor_let_all_go(monitor);
        become_over(monitor);
        current = NULL;
    } else {
        monitor->os->monitor_join(monitor->handle);
        monitor->handle = NULL;
    }
    monitor_unref(monitor);
    return 0;
}

static void run_set_log(struct request *request)
{
    const struct rein_monitor_options *options = request->options;
    request->monitor->log.level = options->log ? options->log_level : REIN_LOG_NONE;
    request->monitor->log.callback = options->log;
    request->monitor->log.arg = options->log_arg;
    request_finish(request, 0);
}

int rein_monitor_set_log(rein_monitor *monitor, enum rein_log_level level, rein_log_callback log, void *arg)
{
    if (!monitor || (unsigned)level > REIN_LOG_MEMORY)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_set_log: monitor is NULL, or %d is no level",
                          (int)level);
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    options.log_level = level;
    options.log = log;
    options.log_arg = arg;
    struct request request = {.run = run_set_log, .options = &options};
    return monitor_submit(monitor, &request, -1);
}

struct call {
    int (*function)(void *arg);
    void *arg;
};

static void run_call(struct request *request)
{
    const struct call *call = request->options;
    bool outermost = !request->on_monitor;
    if (monitor_is_current(request->monitor))
        announce(request->monitor); /* it may look at descriptors */
    request->monitor->in_call |= outermost;
    int result = call->function(call->arg);
    if (outermost)
        request->monitor->in_call = false;
    /* The function's failure, if it was rein's, has left its message on this thread. */
    if (result)
        error_set(&request->error, result, "%s", rein_error_message());
    request_finish(request, result);
}

int rein_monitor_call(rein_monitor *monitor, int (*function)(void *arg), void *arg)
{
    if (!monitor || !function)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_call: monitor or function is NULL");
    struct call call = {function, arg};
    struct request request = {.run = run_call, .options = &call};
    return monitor_submit(monitor, &request, -1);
}

int rein_monitor_id(rein_monitor *monitor)
{
    if (!monitor)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_id: monitor is NULL");
    return monitor->id;
}
