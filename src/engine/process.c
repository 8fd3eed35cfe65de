/* One process: what the caller asks of it as a whole - stop, continue, wait, events, policy, memory - and how its threads
 * are brought to do it.
 *
 * Nothing here waits. A request sets what is wanted (stop_wanted, a thread on the ready list) and process_advance, called
 * after every event and request, does what has become possible. Requests that wait are asked again whenever their
 * process has changed. */
#include "engine/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RETRY_MS = 1 };

rein_process *process_create(rein_monitor *monitor, int id)
{
    rein_process *process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    atomic_init(&process->references, 1); /* the monitor's, given back in settle when it is over */
    process->monitor = monitor_ref(monitor);
    process->os = monitor->os;
    atomic_init(&process->arch, monitor->os->arch); /* till it is known */
    process->event_fd = -1;
    list_init(&process->link);
    list_init(&process->changed);
    list_init(&process->recent);
    list_init(&process->retrying);
    list_init(&process->announcing);
    list_init(&process->births);
    list_init(&process->waiting);
    list_init(&process->threads);
    list_init(&process->ready);
    list_init(&process->arrivals);
    list_init(&process->events);
    watch_init(&process->watchpoints);
    breakpoints_init(&process->breakpoints);
    process->os->memory_init(&process->memory);
    static const enum rein_policy seed[REIN_CAUSE_COUNT] = {
        [REIN_CAUSE_BREAKPOINT] = REIN_STOP_ALL,    [REIN_CAUSE_SIGNAL] = REIN_STOP_ALL,
        [REIN_CAUSE_THREAD_CREATE] = REIN_STOP_ALL, [REIN_CAUSE_THREAD_EXIT] = REIN_STOP_ALL,
        [REIN_CAUSE_EXEC] = REIN_STOP_ALL,          [REIN_CAUSE_GROUP_STOP] = REIN_REPORT,
        [REIN_CAUSE_STEP] = REIN_STOP_THREAD,       [REIN_CAUSE_WATCHPOINT] = REIN_STOP_ALL,
        [REIN_CAUSE_SYSCALL_ENTRY] = REIN_STOP_ALL, [REIN_CAUSE_SYSCALL_EXIT] = REIN_STOP_ALL,
    };
    memcpy(process->policy, seed, sizeof seed);
    list_append(&monitor->processes, &process->link);
    if (!id || !process_set_id(process, id))
        return process;
    list_remove(&process->link);
    process_unref(process);
    return NULL;
}

int process_set_id(rein_process *process, int id)
{
    process->id = id;
    return table_set(&process->monitor->processes_by_id, (uint64_t)id, process);
}

rein_process *process_find(rein_monitor *monitor, int id)
{
    return table_find(&monitor->processes_by_id, (uint64_t)id);
}

rein_process *process_of_memory(rein_process *process)
{
    return process->as_guest ? process->as_guest->process : process;
}

static void drop_event(struct queued_event *queued)
{
    list_remove(&queued->link);
    list_remove(&queued->order);
    rein_event_clear(&queued->event);
    free(queued);
}

static void process_free(rein_process *process)
{
    if (process->monitor->host_died) /* see give_back in thread.c */
        return;
    watch_forget(&process->watchpoints);
    displace_free(process);
    breakpoints_free(&process->breakpoints);
    traced_calls_unref(process->traced_calls);
    process->os->memory_close(&process->memory);
    if (process->event_fd >= 0)
        close(process->event_fd);
    monitor_unref(process->monitor);
    free(process);
}

rein_process *process_ref(rein_process *process)
{
    if (process)
        atomic_fetch_add_explicit(&process->references, 1, memory_order_relaxed);
    return process;
}

void process_unref(rein_process *process)
{
    if (process && atomic_fetch_sub_explicit(&process->references, 1, memory_order_acq_rel) == 1)
        process_free(process);
}

/* Events refer to threads, and these to the process. When it is over and the caller has given up its last handle nobody can
 * take them any more, nor poll the descriptor; of the two who may notice, one drops them. */
static void drop_what_nobody_takes(rein_process *process)
{
    if (!atomic_load(&process->over) || atomic_load(&process->handles) || atomic_load(&process->events_are_kept) ||
        atomic_exchange(&process->dropped, true))
        return;
    LIST_FOR_EACH(item, &process->events)
    drop_event(LIST_ENTRY(item, struct queued_event, link));
    if (process->event_fd >= 0)
        close(process->event_fd);
    process->event_fd = -1;
}

/* From here on a thread of the host may drop its events, unless they wait for the monitor's own order. */
static void keep_events(rein_process *process)
{
    if (process->monitor->watched && atomic_load(&process->monitor->condition) == MONITOR_OPEN) {
        atomic_store(&process->events_are_kept, true);
        return;
    }
    LIST_FOR_EACH(item, &process->events)
    list_remove(&LIST_ENTRY(item, struct queued_event, link)->order);
}

void process_note_over(rein_process *process)
{
    if (atomic_load(&process->over))
        return;
    keep_events(process);
    atomic_store(&process->over, true);
}

void process_leave_monitor(rein_process *process)
{
    list_remove(&process->link);
    list_remove(&process->retrying);
    list_remove(&process->announcing);
    if (process_find(process->monitor, process->id) == process)
        table_remove(&process->monitor->processes_by_id, (uint64_t)process->id);
    process_note_over(process);
    drop_what_nobody_takes(process);
    if (process->breakpoints.table.count + process->breakpoints.ghosts.count)
        births_note_recent(process);
    else
        process_unref(process);
}

rein_process *rein_process_ref(rein_process *process)
{
    if (process)
        atomic_fetch_add(&process->handles, 1);
    return process_ref(process);
}

void rein_process_unref(rein_process *process)
{
    if (process && atomic_fetch_sub(&process->handles, 1) == 1)
        drop_what_nobody_takes(process);
    process_unref(process);
}

const char *rein_process_architecture(const rein_process *process)
{
    return process ? process->arch->name : NULL;
}

int rein_process_id(const rein_process *process)
{
    return process ? process->id : error_fail(REIN_INVALID_ARGUMENT, "rein_process_id: process is NULL");
}

int process_check(rein_process *process, struct error *error)
{
    switch (process->condition) {
    case PROCESS_HELD:
        return 0;
    case PROCESS_EXITED:
        if (!process->exit_known)
            return error_set(error, REIN_EXITED, "process %d has exited", process->id);
        if (process->exit.signaled)
            return error_set(error, REIN_EXITED, "process %d was ended by signal %s", process->id,
                             rein_signal_name(process->exit.signal));
        return error_set(error, REIN_EXITED, "process %d has exited with status %d", process->id, process->exit.status);
    default:
        return error_set(error, REIN_DETACHED, "process %d has been let go%s%s%s", process->id,
                         process->foreign ? ": it runs code for another architecture, which a library built for " : "",
                         process->foreign ? process->os->arch->name : "",
                         process->foreign ? " cannot trace; use one built for that" : "");
    }
}

bool process_is_stopped(const rein_process *process)
{
    /* Of a process in which everybody is exiting nothing is left to stop: its end is near. */
    return process->unsettled == 0 && process->thread_count > process->zombies;
}

rein_thread *process_running_thread(rein_process *process)
{
    if (!process || !process->unsettled) /* those that are counted there are these, and some that are stuck */
        return NULL;
    LIST_FOR_EACH(item, &process_of_memory(process)->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (rein_state_is_running(thread->state) && process_shows(process, thread) && !thread->stuck &&
            !(thread->in_vfork && thread->state == REIN_STATE_STOPPING))
            return thread;
    }
    return NULL;
}

rein_thread *process_fresh_thread(rein_process *process)
{
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->fresh && !thread->stuck && thread->kernel == KERNEL_RUNS)
            return thread;
    }
    return NULL;
}

rein_thread *process_living_thread(rein_process *process)
{
    rein_thread *guest = NULL; /* may have left the memory by an exec that is not told yet */
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->kernel == KERNEL_DYING || thread->kernel == KERNEL_GONE || thread->leaving)
            continue;
        if (!thread->guest)
            return thread;
        if (!guest)
            guest = thread;
    }
    bool lives = process->as_guest && process->as_guest->kernel != KERNEL_DYING;
    return lives ? process->as_guest : guest;
}

int process_explain_stuck(rein_process *process, struct error *error)
{
    int count = 0;
    LIST_FOR_EACH(item, &process_of_memory(process)->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->state != REIN_STATE_STOPPING || !process_shows(process, thread) ||
            !(thread->stuck || thread->in_vfork))
            continue;
        if (!count++) {
            char why[160] = "is in the kernel";
            process->os->explain_stuck(process->id, thread->id, why, sizeof why);
            error_set(error, REIN_CANNOT_STOP,
                      "Thread %d cannot be stopped now: it %s; it is held as soon as it comes out", thread->id, why);
        }
    }
    if (count > 1) {
        size_t length = strlen(error->text);
        snprintf(error->text + length, sizeof error->text - length, " (and %d more)", count - 1);
    }
    return count ? REIN_CANNOT_STOP : 0;
}

/* ---- Events ---- */

/* Is there something to be taken, or nothing to come any more? */
static bool events_wait(const rein_process *process)
{
    if (process->condition == PROCESS_EXITED || process->condition == PROCESS_DETACHED)
        return true;
    return !list_empty(&process->events) && (!process->stop_wanted || process_is_stopped(process));
}

/* The descriptor is written when the monitor rests (announce in monitor.c), so that who is woken by it finds it so, and need not
 * ask; but before any answer is given, and before the next event is handled. */
static bool announce_from(rein_process *process, int from)
{
    int now = ANNOUNCED_NOW;
    uint64_t one = 1;
    if (!atomic_compare_exchange_strong(&process->announced, &from, ANNOUNCED_NOW))
        return false;
    (void)!write(process->event_fd, &one, sizeof one);
    atomic_compare_exchange_strong(&process->announced, &now, ANNOUNCED); /* unless it has been taken already */
    return true;
}

void process_announce(rein_process *process)
{
    list_remove(&process->announcing);
    announce_from(process, ANNOUNCED_DUE);
}

bool process_is_announced(rein_process *process)
{
    int seen = atomic_load(&process->announced);
    struct pollfd wait = {.fd = process->event_fd, .events = POLLIN};
    return seen == ANNOUNCED_NOTHING || seen == ANNOUNCED || (seen == ANNOUNCED_NOW && poll(&wait, 1, 0) > 0);
}

static void update_event_fd(rein_process *process)
{
    rein_monitor *monitor = process->monitor;
    bool by_monitor = monitor_is_current(monitor);
    if (process->event_fd < 0)
        return;
    if (by_monitor)
        list_remove(&process->announcing);
    if (!events_wait(process)) {
        int before = atomic_exchange(&process->announced, ANNOUNCED_NOTHING);
        uint64_t value;
        if (before == ANNOUNCED || before == ANNOUNCED_NOW)
            (void)!read(process->event_fd, &value, sizeof value);
    } else if (!by_monitor || process->condition != PROCESS_HELD || monitor->kind == REIN_MONITOR_LENT) {
        if (!announce_from(process, ANNOUNCED_DUE))
            announce_from(process, ANNOUNCED_NOTHING);
    } else if (atomic_load(&process->announced) <= ANNOUNCED_DUE) {
        atomic_store(&process->announced, ANNOUNCED_DUE);
        list_append(&monitor->announcing, &process->announcing);
    }
}

void process_tell(rein_process *process, rein_thread *thread, const struct rein_cause *cause, bool stops_all, bool late)
{
    struct queued_event *queued = malloc(sizeof *queued);
    if (!queued) {
        monitor_fail(process->monitor, REIN_NO_MEMORY, 0, "no memory for an event of thread %d", thread->id);
        return;
    }
    queued->event = (struct rein_event){rein_thread_ref(thread), *cause, process->sequence};
    queued->process = process;
    cause_hold(cause);
    queued->stops_all = stops_all;
    queued->unheard = late;
    process->has_unheard |= late;
    list_append(&process->events, &queued->link);
    list_append(&process->monitor->events, &queued->order);
    monitor_note_change(process);
}

void process_forget_stop_events(rein_process *process)
{
    LIST_FOR_EACH(item, &process->events)
    {
        struct queued_event *queued = LIST_ENTRY(item, struct queued_event, link);
        if (queued->stops_all && !queued->unheard)
            drop_event(queued);
    }
    update_event_fd(process); /* before the caller can ask it */
}

void process_note_heard(rein_process *process)
{
    if (!process->has_unheard)
        return;
    LIST_FOR_EACH(item, &process->events)
    LIST_ENTRY(item, struct queued_event, link)->unheard = false;
    process->has_unheard = false;
}

static void take_event(struct request *request, struct queued_event *queued)
{
    rein_process *process = queued->process;
    *(struct rein_event *)request->out = queued->event;
    list_remove(&queued->link);
    list_remove(&queued->order);
    if (request->at_rest)
        request->garbage = queued;
    else
        free(queued);
    update_event_fd(process);
    request_finish(request, 0);
}

static bool event_ready(struct request *request)
{
    rein_process *process = request->process;
    if (!list_empty(&process->events) && events_wait(process)) {
        take_event(request, LIST_ENTRY(process->events.next, struct queued_event, link));
        return true;
    }
    int result = process_check(process, &request->error);
    if (result && process->condition != PROCESS_LETTING_GO) {
        request_finish(request, result);
        return true;
    }
    return false;
}

/* At rest: that there is no event, or that the wait was cancelled, is for the monitor to say. */
static void run_event(struct request *request)
{
    rein_process *process = request->process;
    if (!request->at_rest)
        request_wait(request);
    else if (!atomic_load(&process->cancelled) && !list_empty(&process->events))
        event_ready(request);
}

int rein_process_next_event(rein_process *process, int timeout_ms, struct rein_event *event)
{
    if (!process || !event)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_next_event: process or event is NULL");
    memset(event, 0, sizeof *event);
    struct request request = {
        .run = run_event, .ready = event_ready, .takes = true, .process = process, .out = event, .cancellable = true};
    return monitor_submit(process->monitor, &request, timeout_ms);
}

/* Of each process the first in the order is its own first, so that nothing is taken before what came before it. */
static bool any_event_ready(struct request *request)
{
    rein_monitor *monitor = request->monitor;
    LIST_FOR_EACH(item, &monitor->events)
    {
        struct queued_event *queued = LIST_ENTRY(item, struct queued_event, order);
        if (!events_wait(queued->process))
            continue;
        if (request->at_rest && !process_is_announced(queued->process))
            return false;
        take_event(request, queued);
        return true;
    }
    if (list_empty(&monitor->events) && list_empty(&monitor->processes)) {
        request_finish(request, error_set(&request->error, REIN_NO_PROCESS, "the monitor holds no process any more"));
        return true;
    }
    return false;
}

static void run_next_event(struct request *request)
{
    rein_monitor *monitor = request->monitor;
    if (request->at_rest) {
        if (monitor->watched && !list_empty(&monitor->events))
            any_event_ready(request);
        return;
    }
    monitor->watched = true;
    request_wait(request);
}

int rein_monitor_next_event(rein_monitor *monitor, int timeout_ms, struct rein_event *event)
{
    if (!monitor || !event)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_next_event: monitor or event is NULL");
    memset(event, 0, sizeof *event);
    struct request request = {.run = run_next_event, .ready = any_event_ready, .takes = true, .out = event};
    return monitor_submit(monitor, &request, timeout_ms);
}

/* First all are taken out of the order, then the events are each process's own, to be dropped by whoever gives up its last
 * handle, in any thread. */
void process_forget_order(rein_monitor *monitor)
{
    struct list *head = &monitor->events, kept;
    list_init(&kept);
    while (!list_empty(head)) {
        struct list *item = head->next;
        rein_process *process = LIST_ENTRY(item, struct queued_event, order)->process;
        head->next = item->next; /* forward only: the monitor may have been killed in the middle of a change */
        item->next->previous = head;
        list_init(item);
        if (atomic_load(&process->events_are_kept) && list_empty(&process->changed))
            list_append(&kept, &process_ref(process)->changed);
    }
    while (!list_empty(&kept)) {
        rein_process *process = LIST_ENTRY(kept.next, rein_process, changed);
        list_remove(&process->changed);
        atomic_store(&process->events_are_kept, false);
        drop_what_nobody_takes(process);
        process_unref(process);
    }
}

static void run_event_fd(struct request *request)
{
    rein_process *process = request->process;
    if (process->event_fd < 0) {
        process->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (process->event_fd < 0) {
            request_finish(request, error_set_system(&request->error, REIN_SYSTEM, errno,
                                                     "no descriptor for the events of process %d", process->id));
            return;
        }
        update_event_fd(process);
        process_announce(process);
    }
    *(int *)request->out = process->event_fd;
    request_finish(request, 0);
}

int rein_process_event_fd(rein_process *process, int *fd)
{
    if (!process || !fd)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_event_fd: process or fd is NULL");
    struct request request = {.run = run_event_fd, .process = process, .out = fd};
    return monitor_submit(process->monitor, &request, -1);
}

/* ---- Policy ---- */

static void run_set_policy(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    for (int kind = 0; !result && kind < REIN_CAUSE_COUNT; kind++) {
        if (request->number == kind || request->number == REIN_CAUSE_COUNT)
            process->policy[kind] = (enum rein_policy)request->flags;
    }
    request_finish(request, result);
}

int rein_process_set_policy(rein_process *process, enum rein_cause_kind kind, enum rein_policy policy)
{
    if (!process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_set_policy: process is NULL");
    if (kind == REIN_CAUSE_STOPPED || (unsigned)kind > REIN_CAUSE_COUNT)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_set_policy: no policy for cause %d", (int)kind);
    if ((unsigned)policy > REIN_STOP_ALL)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_set_policy: %d is no policy", (int)policy);
    struct request request = {
        .run = run_set_policy, .process = process, .number = (int)kind, .flags = (unsigned)policy};
    return monitor_submit(process->monitor, &request, -1);
}

static void run_policy(struct request *request)
{
    *(enum rein_policy *)request->out = request->process->policy[request->number];
    request_finish(request, 0);
}

int rein_process_policy(rein_process *process, enum rein_cause_kind kind, enum rein_policy *policy)
{
    if (!process || !policy)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_policy: process or policy is NULL");
    if (kind == REIN_CAUSE_STOPPED || (unsigned)kind >= REIN_CAUSE_COUNT)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_policy: no policy for cause %d", (int)kind);
    struct request request = {.run = run_policy, .reads = true, .process = process, .number = (int)kind, .out = policy};
    return monitor_submit(process->monitor, &request, -1);
}

struct callback {
    rein_event_callback function;
    void *arg;
};

static void run_set_callback(struct request *request)
{
    const struct callback *callback = request->options;
    request->process->callback = callback->function;
    request->process->callback_arg = callback->arg;
    request_finish(request, 0);
}

int rein_process_set_callback(rein_process *process, rein_event_callback function, void *arg)
{
    if (!process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_set_callback: process is NULL");
    struct callback callback = {function, arg};
    struct request request = {.run = run_set_callback, .process = process, .options = &callback};
    return monitor_submit(process->monitor, &request, -1);
}

/* ---- Stop, continue, wait ---- */

/* So many are looked through without waking the monitor (rest.c), and listed in memory that the caller has. */
enum { FEW_THREADS = 64 };

void process_stop(rein_process *process)
{
    if (process->condition != PROCESS_HELD)
        return;
    process->stop_wanted = true;
    LIST_FOR_EACH(item, &process_of_memory(process)->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        bool runs = thread->state == REIN_STATE_RUNNING || thread->state == REIN_STATE_SINGLE_STEPPING;
        if (!runs || !process_shows(process, thread))
            continue;
        if (!thread_change(thread, TRANSITION_ASK_STOP))
            return;
        if (thread->kernel == KERNEL_STOPPED && !thread_is_kept(thread))
            thread_change(thread, TRANSITION_STOP); /* it was only held, to run on later */
        else
            thread_interrupt(thread);
    }
    monitor_note_change(process);
}

static bool stop_ready(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (!result) {
        if (!process_is_stopped(process))
            return false;
        if (process->unscanned)
            attach_adopt(process);
        if (process->unscanned) {
            process_retry(process);
            return false;
        }
        result = process_explain_stuck(process, &request->error);
    }
    process_note_heard(process);
    request_finish(request, result);
    return true;
}

/* All stand already, as was wanted, and no thread can be missing. */
static bool has_stopped(const rein_process *process)
{
    if (process->condition != PROCESS_HELD || !process->stop_wanted || !process_is_stopped(process) ||
        process->has_unheard || process->unscanned || atomic_load(&process->cancelled) ||
        process->thread_count > FEW_THREADS || process->as_guest || process->code_runners)
        return false;
    LIST_FOR_EACH(item, &process->threads)
    if (!rein_state_is_stopped(LIST_ENTRY(item, rein_thread, link)->state))
        return false;
    return attach_holds_all(process);
}

static void run_stop(struct request *request)
{
    if (request->at_rest) {
        if (has_stopped(request->process))
            request_finish(request, 0);
        return;
    }
    int result = process_check(request->process, &request->error);
    if (result) {
        request_finish(request, result);
        return;
    }
    process_stop(request->process);
    attach_adopt(request->process);
    request_wait(request);
}

int rein_process_stop(rein_process *process, int timeout_ms)
{
    if (!process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_stop: process is NULL");
    struct request request = {.run = run_stop,
                              .ready = stop_ready,
                              .takes = true,
                              .process = process,
                              .begin_only_on_monitor = true,
                              .cancellable = true};
    return monitor_submit(process->monitor, &request, timeout_ms);
}

static bool is_to_continue(const rein_process *process, const rein_thread *thread)
{
    return thread_owner(thread) == process &&
           (rein_state_is_stopped(thread->state) || thread->state == REIN_STATE_STOPPING);
}

static bool any_to_continue(rein_process *process)
{
    LIST_FOR_EACH(item, &process_of_memory(process)->threads)
    if (is_to_continue(process, LIST_ENTRY(item, rein_thread, link)))
        return true;
    return false;
}

static void run_continue(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (!result && any_to_continue(process)) /* else whoever runs steps alone: see release() in breakpoint.c */
        result = breakpoints_put_in(process_of_memory(process), &request->error);
    if (!result) {
        process->stop_wanted = false;
        process_forget_stop_events(process);
        LIST_FOR_EACH(item, &process_of_memory(process)->threads)
        {
            rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
            if (is_to_continue(process, thread))
                thread_continue(thread);
        }
        monitor_note_change(process);
    }
    request_finish(request, result);
}

int rein_process_continue(rein_process *process)
{
    if (!process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_continue: process is NULL");
    struct request request = {.run = run_continue, .process = process};
    return monitor_submit(process->monitor, &request, -1);
}

static bool wait_ready(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (!result && !process_is_stopped(process))
        return false;
    if (process->condition == PROCESS_LETTING_GO)
        return false;
    process_note_heard(process);
    request_finish(request, result);
    return true;
}

int rein_process_wait(rein_process *process, int timeout_ms)
{
    if (!process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_wait: process is NULL");
    struct request request = {.run = request_wait, .ready = wait_ready, .process = process, .cancellable = true};
    return monitor_submit(process->monitor, &request, timeout_ms);
}

int rein_process_cancel_wait(rein_process *process)
{
    if (!process)
        return REIN_INVALID_ARGUMENT; /* without a message: this may be a signal handler */
    atomic_store(&process->cancelled, true);
    atomic_store(&process->monitor->cancelled, true);
    if (atomic_load(&process->monitor->condition) == MONITOR_OPEN)
        process->monitor->os->waiter_wake(process->monitor->waiter);
    return 0;
}

void process_advance(rein_process *process)
{
    if (process->condition == PROCESS_LETTING_GO) {
        attach_let_go_advance(process);
    } else if (process->condition == PROCESS_HELD) {
        function_calls_advance(process);
        breakpoint_pass_advance(process);
        /* Guests may run on: the breakpoints stay in for them. */
        bool stopped = process_is_stopped(process) && process->pass == PASS_NONE && !process->code_runners;
        if (stopped && !process->fully_stopped) {
            breakpoints_take_out(process);
            breakpoints_drop_ghosts(process);
        }
        process->fully_stopped = stopped;
    }
    update_event_fd(process);
}

void process_retry(rein_process *process)
{
    if (list_empty(&process->retrying))
        list_append(&process->monitor->retrying, &process->retrying);
    if (!process->monitor->retry_at)
        process->monitor->retry_at = monitor_now() + (int64_t)RETRY_MS * 1000000;
}

void process_end(rein_process *process, enum process_condition condition)
{
    process->condition = condition;
    births_forget_handled(process);
    birth_end_guest(process);
    rein_thread_unref(process->last);
    process->last = NULL;
    process->os->memory_close(&process->memory);
    process->os->memory_init(&process->memory);
    LOG(&process->monitor->log, REIN_LOG_INFO, "Process %d: %s", process->id,
        condition == PROCESS_EXITED ? "has exited" : "has been let go");
    update_event_fd(process);
    monitor_note_change(process);
}

/* ---- How it ended, and who is in it ---- */

static void run_memory_id(struct request *request)
{
    int result = process_check(request->process, &request->error);
    *(int *)request->out = process_of_memory(request->process)->id;
    request_finish(request, result);
}

int rein_process_memory_id(rein_process *process, int *id)
{
    if (!process || !id)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_memory_id: process or id is NULL");
    struct request request = {.run = run_memory_id, .reads = true, .process = process, .out = id};
    return monitor_submit(process->monitor, &request, -1);
}

static void run_exit(struct request *request)
{
    rein_process *process = request->process;
    int result = 0;
    if (process->condition != PROCESS_EXITED)
        result = error_set(&request->error, REIN_BAD_STATE, "process %d has not exited", process->id);
    else
        *(struct rein_exit *)request->out = process->exit;
    request_finish(request, result);
}

int rein_process_exit(rein_process *process, struct rein_exit *how)
{
    if (!process || !how)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_exit: process or how is NULL");
    struct request request = {.run = run_exit, .reads = true, .process = process, .out = how};
    return monitor_submit(process->monitor, &request, -1);
}

static bool is_listed(const rein_thread *thread)
{
    return !rein_state_is_zombie(thread->state) && !rein_state_is_terminal(thread->state);
}

struct thread_list {
    rein_thread **threads;
    size_t count, room;
};

static void run_threads(struct request *request)
{
    rein_process *process = request->process, *owner = process_of_memory(process);
    struct thread_list *list = request->out;
    int result = process_check(process, &request->error);
    size_t most = process->thread_count > owner->thread_count ? process->thread_count : owner->thread_count;
    if (!result && most > list->room) {
        if (request->at_rest)
            return;
        rein_thread **grown = calloc(most, sizeof(rein_thread *));
        if (grown) {
            list->threads = grown;
            list->room = most;
        } else {
            result = error_set(&request->error, REIN_NO_MEMORY, "no memory for a list of %zu threads", most);
        }
    }
    if (!result) {
        LIST_FOR_EACH(item, &owner->threads)
        {
            rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
            if (process_shows(process, thread) && is_listed(thread) && list->count < list->room)
                list->threads[list->count++] = rein_thread_ref(thread);
        }
    }
    request_finish(request, result);
}

int rein_process_threads(rein_process *process, rein_thread ***threads, size_t *count)
{
    if (!process || !threads || !count)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_threads: process, threads or count is NULL");
    *threads = NULL;
    *count = 0;
    rein_thread *few[FEW_THREADS];
    struct thread_list list = {.threads = few, .room = FEW_THREADS};
    struct request request = {.run = run_threads, .reads = true, .process = process, .out = &list};
    int result = monitor_submit(process->monitor, &request, -1);
    if (!result && list.count && list.threads == few) {
        list.threads = malloc(list.count * sizeof(rein_thread *));
        if (list.threads) {
            memcpy(list.threads, few, list.count * sizeof(rein_thread *));
        } else {
            for (size_t i = 0; i < list.count; i++)
                rein_thread_unref(few[i]);
            return error_fail(REIN_NO_MEMORY, "no memory for a list of %zu threads", list.count);
        }
    } else if (list.threads != few && !list.count) {
        free(list.threads);
    }
    if (!result && list.count) {
        *threads = list.threads;
        *count = list.count;
    }
    return result;
}

void rein_thread_list_free(rein_thread **threads, size_t count)
{
    for (size_t i = 0; threads && i < count; i++)
        rein_thread_unref(threads[i]);
    free(threads);
}

static void run_thread(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (!result) {
        rein_thread *thread = table_find(&process->monitor->threads, (uint64_t)request->number);
        if (thread && process_shows(process, thread) && is_listed(thread))
            *(rein_thread **)request->out = rein_thread_ref(thread);
        else
            result =
                error_set(&request->error, REIN_NO_THREAD, "process %d has no thread %d", process->id, request->number);
    }
    request_finish(request, result);
}

int rein_process_thread(rein_process *process, int id, rein_thread **thread)
{
    if (!process || !thread)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_thread: process or thread is NULL");
    *thread = NULL;
    struct request request = {.run = run_thread, .reads = true, .process = process, .number = id, .out = thread};
    return monitor_submit(process->monitor, &request, -1);
}
