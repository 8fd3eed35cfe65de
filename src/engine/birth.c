/* Births: what tracees make.
 *
 * The kernel traces whatever a tracee makes from its birth, held before its first instruction, and tells twice: the child's
 * first stop and the parent's event, in any order.
 *   - a thread joins its process. It does not run before its parent's event was seen.
 *   - a process of its own, a copy of the memory (fork): it is cleaned of the copies of breakpoints, and let go, or
 *     followed.
 *   - a process that shares the memory (vfork, CLONE_VM): while it does, it would die of our breakpoints. It stays as a
 *     guest, see below.
 *
 * FOLLOWING. A child that is followed is a process of the monitor from its first stop. It is *unborn* until its
 * parent's event has been shown, with the child's handle in it, so that a callback can see to it before it runs. Of one
 * whose parent was killed before it could tell nobody would ever hear: it is let go.
 *
 * GUESTS. What has to do with memory is the same for a guest and for the threads of the process whose memory it is in: so its
 * thread is one of theirs. Breakpoints are taken out for all of them, a hit is counted once, and a guest is held while others
 * pass a breakpoint.
 *   - One that nobody has followed is *hidden*: its hits are counted and shown as the process's, nothing else. It does not
 *     stop with the process, for a vfork parent can stop only when its child has left. If a hit stops it, it goes on with
 *     who has made it (.made_by), for callers have no other way to it. While there is no breakpoint it is let go from the
 *     first, for it may be meant to be traced by its parent (gdb starts programs so); with the first breakpoint it becomes
 *     a guest after all.
 *   - One that is followed is its own process's to callers (`owner`): its state, events, policy and stops are that
 *     process's, whose one thread it is (`as_guest`): what threads it makes are hidden. It makes no calls for callers.
 *     When it has memory of its own, by an exec, or is gone, or its parent's process is let go, the thread moves over
 *     (birth_leave_guest), and is the same to callers. If it is let go before, it is a hidden one from then on, till a stop
 *     of its in which there is no breakpoint. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/process.h"

enum { RECENT_MS = 1000 };

struct birth *birth_find(rein_monitor *monitor, int id)
{
    return table_find(&monitor->births_by_id, (uint64_t)id);
}

static bool has_no_breakpoints(const rein_process *process)
{
    return !process->breakpoints.table.count && !process->breakpoints.ghosts.count;
}

/* ---- Following ---- */

static rein_process *find_unborn(rein_monitor *monitor, int id)
{
    rein_process *process = process_find(monitor, id);
    return process && process->unborn ? process : NULL;
}

static bool follows(const rein_process *process)
{
    return process->condition == PROCESS_HELD && process->follow != REIN_FOLLOW_PARENT && !process->killing &&
           !process->starting;
}

static rein_process *create_unborn(rein_process *parent, int id)
{
    rein_process *child = process_create(parent->monitor, id);
    if (!child) {
        monitor_fail(parent->monitor, REIN_NO_MEMORY, 0, "no memory for process %d, which is to be followed", id);
        return NULL;
    }
    child->being_taken = child->unborn = true;
    child->filtered = parent->filtered;
    child->arch = parent->arch;
    return child;
}

static void end_wait(rein_process *child)
{
    LIST_FOR_EACH(item, &process_of_memory(child)->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (process_shows(child, thread))
            thread->awaits_birth = false;
    }
}

static void give_up_unborn(rein_process *child)
{
    if (!child)
        return;
    child->unborn = false;
    end_wait(child);
    attach_let_go(child, 0);
}

static void hold_child(rein_process *parent, int id, enum os_event_kind kind)
{
    rein_process *child = create_unborn(parent, id);
    rein_thread *thread = child ? thread_create(child, id, KERNEL_BORN, false) : NULL;
    if (!child)
        return;
    if (!thread) {
        monitor_fail(parent->monitor, REIN_NO_MEMORY, 0, "no memory for process %d, which is to be followed", id);
        return;
    }
    struct os_event first = {.kind = kind, .id = id};
    thread->awaits_birth = true;
    event_handle(parent->monitor, &first);
}

/* What a guest makes belongs to the same thread of the process. */
static void note_maker(const rein_thread *parent, rein_thread *child)
{
    if (child && child->guest)
        child->extra->made_by = parent->guest ? thread_extra(parent)->made_by : parent->id;
}

rein_process *birth_inherit(rein_thread *parent, int id)
{
    const rein_process *process = thread_owner(parent), *memory = parent->process;
    rein_process *child = find_unborn(process->monitor, id);
    note_maker(parent, table_find(&process->monitor->threads, (uint64_t)id));
    if (!child)
        return NULL;
    /* Nobody would hear of it, or want to: what is to be followed may have changed since it was born. */
    if (!follows(process) || memory->condition != PROCESS_HELD || parent->leaving || thread_is_hidden(parent)) {
        give_up_unborn(child);
        return NULL;
    }
    memcpy(child->policy, process->policy, sizeof child->policy);
    child->callback = process->callback;
    child->callback_arg = process->callback_arg;
    child->traced_calls = traced_calls_ref(process->traced_calls);
    child->follow = process->follow;
    child->follow_flags = process->follow_flags;
    child->parent = process->id;
    child->depth = process->depth + 1;
    LIST_FOR_EACH(item, &child->threads) /* it comes back to the same places as its parent, from handlers */
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        const struct thread_extra *extra = thread_extra(parent);
        if (!extra->shown_count || !breakpoint_have_shown(thread))
            continue;
        memcpy(thread->extra->shown, extra->shown, extra->shown_count * sizeof *extra->shown);
        thread->extra->shown_count = extra->shown_count;
    }
    if (!child->as_guest)
        displace_inherit(child, memory);
    if ((process->follow_flags & REIN_FOLLOW_BREAKPOINTS) && !child->as_guest)
        breakpoints_inherit(child, memory);
    LOG(&process->monitor->log, REIN_LOG_INFO, "Process %d: followed, a child of process %d", id, process->id);
    return child;
}

void birth_release(rein_process *child, bool stop)
{
    child->unborn = child->being_taken = false;
    end_wait(child);
    if (child->condition != PROCESS_HELD)
        return;
    if (stop)
        process_stop(child);
    LIST_FOR_EACH(item, &process_of_memory(child)->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (!process_shows(child, thread))
            continue;
        if (thread->kernel == KERNEL_STOPPED)
            event_stop_plain(thread);
        if (!stop && rein_state_is_stopped(thread->state)) /* born into a group-stop */
            thread_continue(thread);
    }
    monitor_note_change(child);
}

/* ---- Guests ---- */

void birth_continue_guests(const rein_thread *parent)
{
    if (parent->guest || !parent->process->guests)
        return;
    LIST_FOR_EACH(item, &parent->process->threads)
    {
        rein_thread *guest = LIST_ENTRY(item, rein_thread, link);
        if (!thread_is_hidden(guest) || !rein_state_is_stopped(guest->state))
            continue;
        int maker = guest->extra->made_by;
        if (maker == parent->id || (!maker && (parent->in_vfork || parent->stuck)))
            thread_continue(guest);
    }
}

bool birth_is_followed_guest(const rein_thread *thread)
{
    return thread->guest && !thread_is_hidden(thread) && thread_owner(thread)->condition == PROCESS_HELD;
}

void birth_leave_guest(rein_thread *guest)
{
    rein_process *child = thread_owner(guest), *host = guest->process;
    struct thread_extra *extra = guest->extra;
    LOG(&host->monitor->log, REIN_LOG_INFO, "Process %d: is no guest of process %d any more", child->id, host->id);
    thread_restore_mask(guest);
    if (guest->stepping == STEPPING_PASS) /* which is the memory's */
        breakpoint_pass_stopped(guest, true);
    displace_leave(guest);
    extra->sent_to = 0;
    extra->shown_count = 0;
    guest->skip = guest->leaving = false;
    /* What it compares with is the other process's up to now. */
    child->runs = host->runs;
    child->breakpoints.clock = host->breakpoints.clock;
    child->as_guest = NULL;
    child->in_foreign_memory = true; /* till its exec, if that is not why it leaves */
    thread_join_owner(guest);
}

/* A vfork child has left its maker's memory, by its exec or its end: its maker comes out of the kernel now, to a stop, and is
 * waited for from here on. Of several that were made by it, or by one of them, it is not known whom it waits for. */
static void release_maker(rein_thread *guest)
{
    rein_thread *maker = NULL;
    int id = thread_extra(guest)->made_by;
    LIST_FOR_EACH(item, &guest->process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->id == id)
            maker = thread;
        else if (thread != guest && thread->guest && thread_extra(thread)->made_by == id)
            return;
    }
    if (!maker || !maker->in_vfork)
        return;
    thread_set_cannot_stop(maker, false, maker->stuck);
    thread_expect(maker);
}

void birth_guest_has_left(rein_thread *guest)
{
    release_maker(guest);
    birth_leave_guest(guest);
}

void birth_end_guest(rein_process *child)
{
    rein_thread *guest = child->as_guest;
    if (!guest)
        return;
    rein_process *host = guest->process;
    child->as_guest = NULL;
    thread_set_owner(guest, host);
    guest->extra->let_go = true;
    if (host->condition != PROCESS_HELD || rein_state_is_terminal(guest->state))
        return; /* it goes with that */
    if (birth_let_guest_go(guest))
        return;
    if (has_no_breakpoints(host))
        thread_interrupt(guest);
    if (rein_state_is_stopped(guest->state))
        thread_continue(guest);
    else if (guest->state == REIN_STATE_STOPPING)
        thread_change(guest, TRANSITION_CONTINUE);
    else
        event_stop_plain(guest);
}

bool birth_let_guest_go(rein_thread *guest)
{
    rein_process *host = guest->process;
    if (!thread_is_hidden(guest) || !guest->extra->let_go || guest->kernel != KERNEL_STOPPED || thread_is_kept(guest) ||
        host->condition != PROCESS_HELD || !has_no_breakpoints(host))
        return false;
    host->has_sharers = true; /* as in receive_child */
    attach_detach_thread(guest);
    return true;
}

/* ---- The books of who is being born ---- */

static void remove_birth(struct birth *birth)
{
    struct table *table = &birth->monitor->births_by_id;
    struct birth *first = table_find(table, (uint64_t)birth->id);
    list_remove(&birth->link);
    list_remove(&birth->of_process);
    if (first == birth && !birth->same)
        table_remove(table, (uint64_t)birth->id);
    else if (first == birth)
        table_set(table, (uint64_t)birth->id, birth->same); /* in its place */
    for (; first && first != birth; first = first->same) {
        if (first->same == birth)
            first->same = birth->same;
    }
    process_unref(birth->process);
    rein_thread_unref(birth->parent);
    free(birth);
}

static void forget_birth(struct birth *birth)
{
    rein_monitor *monitor = birth->monitor;
    rein_thread *parent = rein_thread_ref(birth->parent);
    int id = birth->id;
    remove_birth(birth);
    if (parent && parent->awaits_birth && parent->kernel == KERNEL_STOPPED)
        event_show_birth(parent, id);
    else
        give_up_unborn(find_unborn(monitor, id));
    rein_thread_unref(parent);
}

static void note_birth(rein_monitor *monitor, int id, enum birth_kind what, rein_process *process, rein_thread *parent)
{
    struct birth *birth = calloc(1, sizeof *birth), *older = birth_find(monitor, id);
    if (birth) { /* whole, before it is in any list: the monitor may be killed at any time, and the host goes through them then */
        list_init(&birth->link);
        list_init(&birth->of_process);
        birth->monitor = monitor;
        birth->id = id;
        birth->what = what;
        birth->image = process ? process->image : 0;
        birth->at = monitor_now();
    }
    if (!birth || (!older && table_set(&monitor->births_by_id, (uint64_t)id, birth))) {
        free(birth);
        /* The monitor ends now, perhaps before the child's first stop. */
        if (what == BIRTH_EXPECTED && !monitor->os->same_memory(id, parent->id))
            breakpoints_clean_copy(process, id, process->image);
        monitor_fail(monitor, REIN_NO_MEMORY, 0, "no memory for the birth of process %d", id);
        return;
    }
    birth->process = process_ref(process);
    birth->parent = rein_thread_ref(parent);
    list_append(&monitor->births, &birth->link);
    if (process)
        list_append(&process->births, &birth->of_process);
    while (older && older->same)
        older = older->same;
    if (older)
        older->same = birth;
}

void births_forget(rein_monitor *monitor)
{
    LIST_FOR_EACH(item, &monitor->births)
    forget_birth(LIST_ENTRY(item, struct birth, link));
}

void births_forget_handled(rein_process *process)
{
    LIST_FOR_EACH(item, &process->births)
    {
        struct birth *birth = LIST_ENTRY(item, struct birth, of_process);
        if (birth->what == BIRTH_HANDLED) /* the parent was killed before it could tell */
            forget_birth(birth);
    }
}

/* ---- Children ---- */

rein_thread *birth_add_thread(rein_process *process, int id, bool guest)
{
    rein_thread *thread = thread_create(process, id, KERNEL_BORN, guest);
    if (!thread)
        monitor_fail(process->monitor, REIN_NO_MEMORY, 0, "no memory for thread %d", id);
    else
        thread_expect(thread);
    return thread;
}

static void receive_guest(rein_process *process, rein_process *maker, int id, enum os_event_kind kind)
{
    rein_thread *guest = birth_add_thread(process, id, true);
    rein_process *child = guest && follows(maker) ? create_unborn(maker, id) : NULL;
    if (!guest)
        return;
    if (child) {
        child->as_guest = guest;
        guest->extra->followed = process_ref(child);
        guest->awaits_birth = true;
        thread_set_owner(guest, child);
    }
    struct os_event first = {.kind = kind, .id = id};
    event_handle(process->monitor, &first);
}

/* Out of a new process's memory, what those have put in who ended a moment ago. id, if not 0: only who had that id. It may have
 * been let go, and taken again, while the child was in the making. */
static void clean_of_recent(rein_monitor *monitor, int child, int id)
{
    rein_process *same = id ? table_find(&monitor->recent_by_id, (uint64_t)id) : NULL;
    for (; same; same = same->recent_same)
        breakpoints_clean_copy(same, child, IMAGE_UNKNOWN);
    LIST_FOR_EACH(item, &monitor->recent)
    {
        rein_process *former = LIST_ENTRY(item, rein_process, recent);
        if (id && !monitor->recent_unlisted)
            break;
        if (!id || (former->id == id && former->recent_unlisted))
            breakpoints_clean_copy(former, child, IMAGE_UNKNOWN);
    }
}

/* A process born of one of ours is in its first stop. It has the process's memory, or a copy; maker is another if that is a guest
 * there. */
static void receive_child(rein_process *process, rein_process *maker, int id, unsigned image, enum os_event_kind kind)
{
    rein_monitor *monitor = process->monitor;
    rein_thread *relative = process_living_thread(process);
    bool held = process->condition == PROCESS_HELD || process->condition == PROCESS_LETTING_GO;
    bool possible = image == process->image || image == IMAGE_UNKNOWN;
    bool shares = held && relative && possible && monitor->os->same_memory(id, relative->id);
    if (shares && has_no_breakpoints(process) && !follows(maker)) {
        LOG(&monitor->log, REIN_LOG_TRACE, "Process %d: its child %d shares the memory, and may", process->id, id);
        process->has_sharers = true;
        attach_release(monitor, id, 0, OS_RESUME_RUN);
        return;
    }
    if (shares) {
        receive_guest(process, maker, id, kind);
        return;
    }
    breakpoints_clean_copy(process, id, image);
    clean_of_recent(monitor, id, process->id);
    if (follows(maker)) {
        hold_child(maker, id, kind);
        return;
    }
    LOG(&monitor->log, REIN_LOG_TRACE, "Process %d: its child %d is let go", process->id, id);
    attach_release(monitor, id, 0, OS_RESUME_RUN);
}

/* The process to which a thread group belongs, ours or a guest's. */
static rein_process *process_of_group(rein_monitor *monitor, int group, bool *guest)
{
    rein_thread *leader = table_find(&monitor->threads, (uint64_t)group);
    *guest = leader && leader->guest;
    return leader ? leader->process : process_find(monitor, group);
}

/* As os->process_of; when that cannot look, as without descriptors, then for a thread of ours only. */
static int find_group(rein_monitor *monitor, int id, int *group, int *parent)
{
    int result = monitor->os->process_of(id, group, parent);
    if (!result)
        return 0;
    LIST_FOR_EACH(item, &monitor->processes)
    {
        const rein_process *process = LIST_ENTRY(item, rein_process, link);
        if (monitor->os->is_thread_of(id, process->id)) {
            *group = process->id;
            return 0;
        }
    }
    return result;
}

/* Has the parent made a thread? A signal that is none asks that of a process that is known, in one call and without a file. The
 * kind of the event does not tell: it goes by the signal that the child is to send at its end. */
static bool is_born_thread(const rein_thread *parent, const struct os_event *event, bool *guest)
{
    rein_process *process = parent->process;
    int group, grandparent;
    if (!parent->guest) {
        if (process->os->is_thread_of(event->child, process->id))
            return event->child != process->id;
        if (event->kind != OS_EVENT_CLONE)
            return false;
    }
    if (find_group(process->monitor, event->child, &group, &grandparent))
        return event->kind == OS_EVENT_CLONE;
    return process_of_group(process->monitor, group, guest) == process && group != event->child;
}

enum birth_of birth_told(rein_thread *parent, const struct os_event *event, rein_thread **new_thread)
{
    rein_process *process = parent->process;
    rein_monitor *monitor = process->monitor;
    *new_thread = NULL;
    struct birth *birth = birth_find(monitor, event->child);
    if (birth) { /* the child came first */
        bool stray = birth->what == BIRTH_STRAY;
        remove_birth(birth);
        if (stray)
            receive_child(process, thread_owner(parent), event->child, process->image, OS_EVENT_INTERRUPTED);
        return BIRTH_OF_PROCESS;
    }
    rein_thread *child = table_find(&monitor->threads, (uint64_t)event->child);
    if (child) {
        child->awaits_birth = false;
        if (child->kernel == KERNEL_STOPPED)
            event_stop_plain(child);
    } else {
        bool guest = false;
        if (!is_born_thread(parent, event, &guest)) {
            note_birth(monitor, event->child, BIRTH_EXPECTED, process, parent);
            return BIRTH_AWAITED;
        }
        child = birth_add_thread(process, event->child, guest || parent->guest);
    }
    note_maker(parent, child);
    if (child && !child->guest)
        *new_thread = child;
    return BIRTH_OF_THREAD;
}

/* A child of nobody knows whom: a copy of the memory of any process that there is, or was a moment ago. */
static void free_stray(rein_monitor *monitor, int id)
{
    clean_of_recent(monitor, id, 0);
    LIST_FOR_EACH(item, &monitor->processes)
    breakpoints_clean_copy(LIST_ENTRY(item, rein_process, link), id, IMAGE_UNKNOWN);
    attach_release(monitor, id, 0, OS_RESUME_RUN);
}

/* Its first stop is not to come any more: it was let go before its parent could tell, which has been let go, too, and
 * taken again. */
static bool is_free(rein_monitor *monitor, int id)
{
    int tracer = 0;
    int result = monitor->os->tracer_of(id, &tracer);
    return result == -ESRCH || (!result && tracer != monitor->id);
}

void births_free_strays(rein_monitor *monitor, bool all)
{
    int64_t now = monitor_now(), before = now - (int64_t)RECENT_MS * 1000000;
    LIST_FOR_EACH(item, &monitor->births)
    {
        struct birth *birth = LIST_ENTRY(item, struct birth, link);
        if (birth->at > (all ? now : before)) /* those behind it are younger, or were looked at */
            break;
        bool is_held = birth->what == BIRTH_HANDLED && find_unborn(monitor, birth->id);
        bool expected = birth->what == BIRTH_EXPECTED;
        if ((birth->what != BIRTH_STRAY && !is_held && !expected) || (expected && !is_free(monitor, birth->id))) {
            birth->at = now + 1; /* to be looked at again after a while */
            list_remove(&birth->link);
            list_append(&monitor->births, &birth->link);
            continue;
        }
        if (birth->what == BIRTH_STRAY)
            free_stray(monitor, birth->id);
        forget_birth(birth);
    }
}

void birth_of_unknown(rein_monitor *monitor, const struct os_event *event)
{
    if (event->kind == OS_EVENT_EXITED || event->kind == OS_EVENT_LOST) {
        struct birth *birth = birth_find(monitor, event->id);
        if (birth) /* killed before its first stop */
            forget_birth(birth);
        return;
    }
    struct birth *birth = birth_find(monitor, event->id);
    if (birth && birth->what == BIRTH_EXPECTED) {
        rein_process *process = process_ref(birth->process);
        receive_child(process, birth->parent ? thread_owner(birth->parent) : process, event->id, birth->image,
                      event->kind);
        forget_birth(birth);
        monitor_note_change(process);
        process_unref(process);
        return;
    }
    int group = 0, parent = 0;
    /* A child that is born into a group-stop shows that in its first stop. */
    bool first = event->kind == OS_EVENT_INTERRUPTED || event->kind == OS_EVENT_GROUP_STOP;
    int result = first ? find_group(monitor, event->id, &group, &parent) : -ESRCH;
    if (result && first) { /* its parent will tell whose it is; if it is gone, its end will be told */
        note_birth(monitor, event->id, BIRTH_STRAY, NULL, NULL);
        return;
    }
    if (result) {
        attach_release(monitor, event->id, event->kind == OS_EVENT_SIGNAL ? event->signal.number : 0, OS_RESUME_RUN);
        return;
    }
    bool guest;
    rein_process *process = process_of_group(monitor, group, &guest);
    if (process && group != event->id) {
        rein_thread *thread = birth_add_thread(process, event->id, guest);
        if (thread) {
            thread->awaits_birth = true;
            event_handle(monitor, event);
        }
        return;
    }
    process = process_of_group(monitor, parent, &guest);
    if (!process && !list_empty(&monitor->recent)) { /* its parent was killed before it could tell */
        free_stray(monitor, event->id);
        return;
    }
    note_birth(monitor, event->id, process ? BIRTH_HANDLED : BIRTH_STRAY, process, NULL);
    const rein_thread *leader = table_find(&monitor->threads, (uint64_t)parent);
    if (process) /* another thread may have called exec since */
        receive_child(process, guest ? thread_owner(leader) : process, event->id, IMAGE_UNKNOWN, event->kind);
}

/* When the host has died no memory can be had for the table. */
void births_note_recent(rein_process *process)
{
    rein_monitor *monitor = process->monitor;
    process->over_at = monitor_now();
    list_append(&monitor->recent, &process->recent);
    process->recent_same = table_find(&monitor->recent_by_id, (uint64_t)process->id);
    process->recent_unlisted =
        monitor->host_died || table_set(&monitor->recent_by_id, (uint64_t)process->id, process) != 0;
    monitor->recent_unlisted += process->recent_unlisted;
}

static void forget_recent(rein_process *process)
{
    struct table *table = &process->monitor->recent_by_id;
    rein_process *first = table_find(table, (uint64_t)process->id);
    list_remove(&process->recent);
    process->monitor->recent_unlisted -= process->recent_unlisted;
    if (first == process && !process->recent_same)
        table_remove(table, (uint64_t)process->id);
    else if (first == process)
        table_set(table, (uint64_t)process->id, process->recent_same); /* in its place */
    for (; first && first != process; first = first->recent_same) {
        if (first->recent_same == process)
            first->recent_same = process->recent_same;
    }
    process_unref(process);
}

void births_forget_recent(rein_monitor *monitor, bool all)
{
    int64_t now = monitor_now(), before = now - (int64_t)RECENT_MS * 1000000;
    LIST_FOR_EACH(item, &monitor->recent)
    {
        rein_process *process = LIST_ENTRY(item, rein_process, recent);
        if (!all && process->over_at > before)
            break;
        if (all || list_empty(&process->threads)) {
            forget_recent(process);
            continue;
        }
        process->over_at = now; /* who lingers may be forking */
        list_remove(&process->recent);
        list_append(&monitor->recent, &process->recent);
    }
}

/* ---- What callers ask ---- */

static void run_set_follow(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    if (!result && process->filtered && request->number != REIN_FOLLOW_BOTH)
        result = error_set(&request->error, REIN_BAD_STATE,
                           "process %d has a seccomp filter, with which nobody can live untraced: what it makes must "
                           "be followed",
                           process->id);
    if (!result) {
        process->follow = (enum rein_follow)request->number;
        process->follow_flags = request->flags;
    }
    request_finish(request, result);
}

int rein_process_set_follow(rein_process *process, enum rein_follow follow, unsigned flags)
{
    if (!process || (unsigned)follow > REIN_FOLLOW_BOTH || (flags & ~(unsigned)REIN_FOLLOW_BREAKPOINTS))
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_set_follow: process is NULL, %d is no way to follow, or unknown flags 0x%x",
                          (int)follow, flags);
    struct request request = {.run = run_set_follow, .process = process, .number = (int)follow, .flags = flags};
    return monitor_submit(process->monitor, &request, -1);
}

static void run_program(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    int error = result ? 0 : process->os->program_path(process->id, request->out, request->size);
    if (error == -ESRCH)
        result = error_set(&request->error, REIN_NO_PROCESS, "process %d executes nothing any more: it is exiting",
                           process->id);
    else if (error)
        result = error_set_system(&request->error, REIN_SYSTEM, error, "the program of process %d cannot be read",
                                  process->id);
    request_finish(request, result);
}

int rein_process_program(rein_process *process, char *path, size_t size)
{
    if (!process || !path || !size)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_program: process or path is NULL, or size is 0");
    *path = '\0';
    struct request request = {.run = run_program, .process = process, .out = path, .size = size};
    return monitor_submit(process->monitor, &request, -1);
}

static void run_inner_id(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    int error = result ? 0 : process->os->inner_id(process->id, request->out);
    if (error == -ESRCH)
        result = error_set(&request->error, REIN_NO_PROCESS, "process %d is gone", process->id);
    else if (error == -ENOTSUP)
        result =
            error_set(&request->error, REIN_NOT_SUPPORTED,
                      "the kernel does not tell the id of process %d in its namespace (Linux 4.1 does)", process->id);
    else if (error)
        result = error_set_system(&request->error, REIN_SYSTEM, error, "the inner id of process %d cannot be read",
                                  process->id);
    request_finish(request, result);
}

int rein_process_inner_id(rein_process *process, int *id)
{
    if (!process || !id)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_inner_id: process or id is NULL");
    struct request request = {.run = run_inner_id, .process = process, .out = id};
    return monitor_submit(process->monitor, &request, -1);
}

int rein_process_parent_id(const rein_process *process)
{
    return process ? process->parent : error_fail(REIN_INVALID_ARGUMENT, "rein_process_parent_id: process is NULL");
}

int rein_process_depth(const rein_process *process)
{
    return process ? process->depth : error_fail(REIN_INVALID_ARGUMENT, "rein_process_depth: process is NULL");
}
