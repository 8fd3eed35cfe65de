/* M3 M12 P8: events that the kernel makes seldom, given to the engine by hand: an exec whose thread is held while the others'
 * ends are told, one that is lost because its thread was killed in that moment, and one that is told long after its thread
 * has got the leader's id (on a busy machine, or with much memory to be given back); a fork that takes so long that its
 * process is let go, and taken again, meanwhile; and SIGCONT at the worst moment. Programs: sleepers, exec_thread,
 * fork_loop, checked_work, signals_seen, spin. */
#include "support.h"

#include "engine/process.h"

struct hand {
    rein_process *process;
    struct os_event event;
};

static int give(void *arg)
{
    struct hand *hand = arg;
    event_handle(hand->process->monitor, &hand->event);
    process_advance(hand->process);
    return 0;
}

static void give_event(rein_process *process, struct os_event event)
{
    struct hand hand = {process, event};
    assert_ok(rein_monitor_call(monitor, give, &hand));
}

/* A process with two threads, that run; the id of the one that is not the leader. */
static int start_two(struct fixture **fixture)
{
    int ids[2];
    *fixture = start_ready("sleepers", "1", NULL);
    attach(*fixture);
    assert_int_equal(proc_threads((*fixture)->pid, ids, 2), 2);
    assert_ok(rein_process_continue((*fixture)->process));
    return ids[0] == (*fixture)->pid ? ids[1] : ids[0];
}

/* A monitor of the test's own, whose kernel is that backend. */
static rein_monitor *create_with(const struct os_backend *os)
{
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *own = NULL;
    options.kind = monitor_kind();
    set_log(&options);
    assert_ok(monitor_create_with(os, &options, false, &own));
    return own;
}

/* Attaches on such a monitor. */
static rein_process *attach_with(const struct os_backend *os, struct fixture *fixture, rein_monitor **own)
{
    rein_process *process = NULL;
    *own = create_with(os);
    assert_ok(rein_attach(*own, fixture->pid, NULL, &process));
    return process;
}

static void kill_it(struct fixture *fixture)
{
    assert_int_equal(kill(fixture->pid, SIGKILL), 0);
    for (double limit = now() + LIMIT_S; rein_process_wait(fixture->process, 100) != REIN_EXITED;) {
        assert_true(now() < limit);
        rein_process_continue(fixture->process);
    }
    int status = 0;
    wait_for(fixture, 0, &status);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_int_equal(atomic_load(&monitor->condition), MONITOR_OPEN); /* what it was given is no reason to fail */
}

/* M12, M3: the leader goes without a last stop of its own, and that stops all by the default policy: the exec is shown
 * all the same. */
static void M12_M3_end_of_the_leader_stops_all(void **state)
{
    (void)state;
    struct fixture *fixture;
    int other = start_two(&fixture);
    rein_process *process = fixture->process;
    rein_thread *leader = thread_of(process, fixture->pid), *thread = thread_of(process, other);
    give_event(process, (struct os_event){.kind = OS_EVENT_EXEC, .id = fixture->pid, .former_id = other});
    assert_state(leader, REIN_STATE_EXITED);
    assert_state(thread, REIN_STATE_STOPPED_EXEC);
    assert_int_equal(rein_thread_id(thread), fixture->pid);
    kill_it(fixture);
}

/* M12: a thread calls exec, takes the leader's id, and is killed before the exec is told: what comes is a second last
 * stop of the leader. */
static void M12_exec_that_is_lost(void **state)
{
    (void)state;
    struct fixture *fixture;
    int other = start_two(&fixture);
    rein_process *process = fixture->process;
    rein_thread *leader = thread_of(process, fixture->pid), *thread = thread_of(process, other);
    set_policy(process, REIN_REPORT);
    const struct os_event last = {.kind = OS_EVENT_EXITING, .id = fixture->pid, .exit = {true, -1, SIGKILL, false}};
    give_event(process, last);
    assert_state(leader, REIN_STATE_EXITING);
    give_event(process, last);
    assert_state(leader, REIN_STATE_EXITED);
    assert_state(thread, REIN_STATE_EXITING);
    assert_int_equal(rein_thread_id(thread), fixture->pid);
    kill_it(fixture);
}

/* Nobody made it, as far as is known: the event's thread is the leader, who is dying. */
static void M12_exec_of_nobody(void **state)
{
    (void)state;
    struct fixture *fixture;
    int other = start_two(&fixture);
    rein_process *process = fixture->process;
    set_policy(process, REIN_REPORT);
    give_event(process, (struct os_event){.kind = OS_EVENT_EXITED, .id = other});
    const struct rein_exit killed = {true, -1, SIGKILL, false};
    give_event(process, (struct os_event){.kind = OS_EVENT_EXITING, .id = fixture->pid, .exit = killed});
    give_event(process, (struct os_event){.kind = OS_EVENT_EXEC, .id = fixture->pid, .former_id = other});
    rein_thread *thread = thread_of(process, fixture->pid);
    assert_state(thread, REIN_STATE_RUNNING);
    kill_it(fixture);
}

enum { LATE_MS = 600 };

static struct os_backend late_backend;
static struct os_event late; /* an exec, kept back */
static double late_until;
static atomic_bool is_late; /* it has come */

static int late_next(struct os_waiter *waiter, struct os_event *event)
{
    int result = os_backend.waiter_next(waiter, event);
    if (result == 1 && event->kind == OS_EVENT_EXEC && late_until <= 0) {
        late = *event;
        late_until = now() + LATE_MS / 1000.0;
        atomic_store(&is_late, true);
        return late_backend.waiter_next(waiter, event);
    }
    if (result != 1 && late.id && now() > late_until) {
        *event = late;
        late.id = 0;
        return 1;
    }
    return result;
}

static int late_next_of(struct os_waiter *waiter, int id, struct os_event *event)
{
    return id == late.id ? 0 : os_backend.waiter_next_of(waiter, id, event);
}

/* M12: the thread's own id is gone, and there is nothing to be heard of the exec yet; and it is to stop. */
static void M12_exec_is_told_late(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_waiting("exec_thread", "4", "2", NULL);
    rein_monitor *own = NULL;
    struct rein_event event = {0};
    late_backend = os_backend;
    late_backend.waiter_next = late_next;
    late_backend.waiter_next_of = late_next_of;
    rein_process *process = attach_with(&late_backend, fixture, &own);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
    assert_ok(rein_process_continue(process));
    tell(fixture);
    for (double limit = now() + LIMIT_S; !atomic_load(&is_late);) {
        assert_true(now() < limit);
        sleep_ms(1);
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
    assert_int_equal(event.cause.kind, REIN_CAUSE_EXEC);
    assert_int_equal(rein_thread_id(event.thread), fixture->pid);
    assert_int_not_equal(event.cause.former_id, fixture->pid);
    assert_state(event.thread, REIN_STATE_STOPPED_EXEC);
    rein_event_clear(&event);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    tell(fixture); /* the new program waits, too */
    assert_ends(fixture, 0);
}

enum { KEPT_MAX = 16 };

static struct os_backend slow_backend;
static struct os_event kept[KEPT_MAX]; /* of one that forks, and of its child */
static atomic_int kept_count;
static atomic_bool keeps;

static bool is_kept(int id)
{
    for (int i = 0; i < atomic_load(&kept_count); i++) {
        if (kept[i].id == id)
            return true;
    }
    return false;
}

/* Keeps the fork of one thread back, and the first stop of its child. */
static bool keep(const struct os_event *event)
{
    int pid = 0, parent = 0, count = atomic_load(&kept_count);
    bool is_child = !os_backend.process_of(event->id, &pid, &parent) && pid == event->id && event->id != parent &&
                    event->kind == OS_EVENT_INTERRUPTED && count == 1 && kept[0].child == event->id;
    if (!atomic_load(&keeps) || count == KEPT_MAX || !(is_child || (event->kind == OS_EVENT_FORK && !count)))
        return false;
    kept[count] = *event;
    atomic_store(&kept_count, count + 1);
    return true;
}

static int slow_next(struct os_waiter *waiter, struct os_event *event)
{
    int count = atomic_load(&kept_count);
    if (!atomic_load(&keeps) && count) {
        *event = kept[count - 1];
        atomic_store(&kept_count, count - 1);
        return 1;
    }
    int result = os_backend.waiter_next(waiter, event);
    return result == 1 && keep(event) ? slow_backend.waiter_next(waiter, event) : result;
}

static int slow_next_of(struct os_waiter *waiter, int id, struct os_event *event)
{
    if (is_kept(id))
        return 0;
    int result = os_backend.waiter_next_of(waiter, id, event);
    return result == 1 && keep(event) ? 0 : result;
}

static int slow_status(int pid, int id, enum os_thread_status *status)
{
    int result = os_backend.thread_status(pid, id, status);
    if (!result && is_kept(id))
        *status = OS_THREAD_UNINTERRUPTIBLE;
    return result;
}

/* C1 P7: a process is let go while a thread is in the middle of a fork, and taken again before the child is born: that
 * has copies of the breakpoints of the first time. */
static void C1_P7_fork_across_a_detach(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_waiting("fork_loop", "1", "3", NULL);
    rein_monitor *own = NULL;
    slow_backend = os_backend;
    slow_backend.waiter_next = slow_next;
    slow_backend.waiter_next_of = slow_next_of;
    slow_backend.thread_status = slow_status;
    rein_process *process = attach_with(&slow_backend, fixture, &own);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    struct rein_breakpoint_options counts = REIN_BREAKPOINT_OPTIONS_INIT;
    counts.callback = go_on;
    assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), &counts, NULL));
    atomic_store(&keeps, true);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    for (double limit = now() + LIMIT_S; atomic_load(&kept_count) < 1;) {
        assert_true(now() < limit);
        sleep_ms(1);
    }
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    assert_ok(rein_process_continue(process));
    atomic_store(&keeps, false);
    assert_ok(rein_process_stop(process, LIMIT_MS)); /* wakes the monitor */
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_ends(fixture, 0);
}

static struct os_backend continuing_backend;
static atomic_int to_continue; /* a process */

static int pending_and_continue(int id, uint64_t *mask)
{
    int result = os_backend.pending_signals(id, mask), pid = atomic_exchange(&to_continue, 0);
    if (pid)
        kill(pid, SIGCONT);
    return result;
}

/* Steps, with the signal pending: it stops with that. */
static void step_into_signal(rein_thread *thread, int number)
{
    assert_int_equal(syscall(SYS_tgkill, rein_process_id(rein_thread_process(thread)), rein_thread_id(thread), number),
                     0);
    enum rein_state state = REIN_STATE_STOPPED_STEP;
    for (int steps = 0; state == REIN_STATE_STOPPED_STEP && steps < 1000;
         steps++) { /* it may be blocked for a moment */
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        assert_ok(rein_thread_state(thread, &state));
    }
    assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
}

/* M7 T2: two signals that steps have left pending, the second a stop; SIGCONT comes in the moment when they are
 * delivered, and makes that void. */
static void M7_T2_continued_while_a_held_stop_is_delivered(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("checked_work", "1", NULL);
    rein_monitor *own = NULL;
    continuing_backend = os_backend;
    continuing_backend.pending_signals = pending_and_continue;
    rein_process *process = attach_with(&continuing_backend, fixture, &own);
    int ids[2];
    assert_int_equal(proc_threads(fixture->pid, ids, 2), 2);
    rein_thread *thread = thread_of(process, ids[0] == fixture->pid ? ids[1] : ids[0]); /* which does not block */
    step_into_signal(thread, SIGUSR1);
    step_into_signal(thread, SIGTSTP);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    atomic_store(&to_continue, fixture->pid);
    assert_ok(rein_process_continue(process));
    for (double limit = now() + LIMIT_S; atomic_load(&to_continue);)
        assert_true(now() < limit);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_free(fixture->pid);
    tell(fixture);
}

static atomic_int step_waits; /* -1: the next step is to; else the thread whose step does */

static int resume_or_wait(int id, enum os_resume how, int signal)
{
    int next = -1;
    if (how == OS_RESUME_STEP && atomic_compare_exchange_strong(&step_waits, &next, id))
        return 0;
    return os_backend.resume(id, how, signal);
}

static int interrupt_first(int id)
{
    int waits = id, result = os_backend.interrupt(id);
    if (atomic_compare_exchange_strong(&step_waits, &waits, 0))
        os_backend.resume(id, OS_RESUME_STEP, 0);
    return result;
}

/* M7 T2: the same, and the thread is not in a stop where signals can be exchanged, but in the middle of a step. */
static void M7_T2_continued_while_a_held_stop_is_sent(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("checked_work", "1", NULL);
    rein_monitor *own = NULL;
    continuing_backend = os_backend;
    continuing_backend.pending_signals = pending_and_continue;
    continuing_backend.resume = resume_or_wait;
    continuing_backend.interrupt = interrupt_first;
    rein_process *process = attach_with(&continuing_backend, fixture, &own);
    int ids[2];
    assert_int_equal(proc_threads(fixture->pid, ids, 2), 2);
    rein_thread *thread = thread_of(process, ids[0] == fixture->pid ? ids[1] : ids[0]); /* which does not block */
    step_into_signal(thread, SIGTSTP);
    atomic_store(&step_waits, -1);
    assert_error(rein_thread_step(thread, 0, 1), REIN_TIMEOUT);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_int_equal(atomic_load(&step_waits), 0);
    assert_int_equal(thread->stop, OS_EVENT_INTERRUPTED);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    atomic_store(&to_continue, fixture->pid);
    assert_ok(rein_process_continue(process));
    for (double limit = now() + LIMIT_S; atomic_load(&to_continue);)
        assert_true(now() < limit);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_free(fixture->pid);
    tell(fixture);
}

static struct os_backend noting_backend;
static atomic_bool resumed_to_stop;

static int note_and_resume(int id, enum os_resume how, int signal)
{
    if (signal == SIGTSTP)
        atomic_store(&resumed_to_stop, true);
    return os_backend.resume(id, how, signal);
}

/* A thread is held with SIGTSTP, then SIGCONT comes, and waits, for nobody runs. Is the thread resumed with SIGTSTP? */
static bool is_resumed_to_stop(const char *name)
{
    struct fixture *fixture = start_ready(name, "1", NULL);
    rein_monitor *own = NULL;
    noting_backend = os_backend;
    noting_backend.resume = note_and_resume;
    atomic_store(&resumed_to_stop, false);
    rein_process *process = attach_with(&noting_backend, fixture, &own);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL));
    assert_ok(rein_process_continue(process));
    assert_int_equal(kill(fixture->pid, SIGTSTP), 0);
    assert_ok(rein_process_wait(process, LIMIT_MS));
    assert_int_equal(expect_event(process, REIN_CAUSE_SIGNAL)->cause.signal.number, SIGTSTP);
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
    return atomic_load(&resumed_to_stop);
}

/* M7: a stop signal that SIGCONT has made void is not what a thread is resumed with (an exec that kills it in that moment
 * would bring it back), unless the program has a handler for it. */
static void M7_void_stop_signal_is_not_delivered(void **state)
{
    (void)state;
    skip_if_lent();
    assert_false(is_resumed_to_stop("sleepers"));
    assert_true(is_resumed_to_stop("signals_seen"));
}

struct cleaning {
    rein_process *process;
    int id;
    unsigned image;
};

static int clean_copy(void *arg)
{
    const struct cleaning *cleaning = arg;
    breakpoints_clean_copy(cleaning->process, cleaning->id, cleaning->image);
    return 0;
}

static struct fixture *spawn_executor(void)
{
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    options.flags = REIN_SPAWN_NO_ASLR; /* the same address in each image */
    char name[] = "exec_leader", generations[] = "3", threads[] = "1";
    char *argv[] = {name, generations, threads, NULL};
    return spawn_with(monitor, &options, "exec_leader", argv);
}

/* C1 M12: a child is born when its parent has called exec twice, and has had breakpoints at the same place each time. */
static void C1_M12_copy_of_the_image_before_the_last(void **state)
{
    (void)state;
    struct fixture *fixture = spawn_executor(), *copy = spawn_executor();
    rein_word hot = address_of(fixture, "hot");
    assert_word(address_of(copy, "hot"), hot);
    struct cleaning cleaning = {fixture->process, copy->pid, fixture->process->image};
    for (int i = 0; i < 2; i++) {
        add_breakpoint(fixture->process, hot);
        set_policy(fixture->process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(fixture->process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
        run_to_stop(fixture->process);
    }
    assert_true(fixture->process->image == cleaning.image + 2);
    char path[32];
    unsigned char original, byte = 0;
    snprintf(path, sizeof path, "/proc/%d/mem", copy->pid);
    int memory = open(path, O_RDWR | O_CLOEXEC);
    assert_true(memory >= 0);
    assert_int_equal(pread(memory, &original, 1, (off_t)hot), 1);
    assert_int_equal(pwrite(memory, os_backend.arch->trap, os_backend.arch->trap_size, (off_t)hot),
                     os_backend.arch->trap_size);
    assert_ok(rein_monitor_call(monitor, clean_copy, &cleaning));
    assert_int_equal(pread(memory, &byte, 1, (off_t)hot), 1);
    assert_int_equal(byte, original);
    close(memory);
    for (int i = 0; i < 2; i++) {
        rein_process *process = i ? copy->process : fixture->process;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        assert_ends_traced(i ? copy : fixture, 0);
    }
}

static struct os_backend hiding_backend;
static atomic_bool hides;

static int hide_threads(int pid, os_id_callback callback, void *arg)
{
    if (!atomic_load(&hides))
        return os_backend.for_each_thread(pid, callback, arg);
    int result = callback(pid, arg); /* the leader only */
    return result ? result : -EAGAIN;
}

/* P8: an attach whose limit has passed before it has found all threads: no breakpoint goes in before they are, and a stop
 * finds them. */
static void P8_limit_before_all_are_found(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "3", NULL);
    struct rein_attach_options limited = REIN_ATTACH_OPTIONS_INIT;
    rein_monitor *own = NULL;
    rein_process *process = NULL;
    hiding_backend = os_backend;
    hiding_backend.for_each_thread = hide_threads;
    limited.timeout_ms = 20;
    atomic_store(&hides, true);
    own = create_with(&hiding_backend);
    assert_ok(rein_attach(own, fixture->pid, &limited, &process));
    assert_int_equal(thread_count(process), 1);
    rein_thread *leader = NULL;
    assert_ok(rein_process_thread(process, fixture->pid, &leader));
    for (double limit = now() + LIMIT_S; !rein_state_is_stopped(state_of(leader)); sleep_ms(1))
        assert_true(now() < limit); /* it may come later than the limit */
    rein_thread_unref(leader);
    rein_word hot = address_of(fixture, "hot");
    assert_error_says(rein_process_add_breakpoint(process, hot, NULL, NULL), REIN_BAD_STATE, "stop it first");
    assert_error(rein_process_stop(process, 20), REIN_TIMEOUT);
    atomic_store(&hides, false);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_int_equal(thread_count(process), 4);
    rein_breakpoint *breakpoint = count_at(process, hot);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < 100; sleep_ms(1))
        assert_true(now() < limit);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    tell(fixture);
    assert_ends(fixture, 0);
}

static struct os_backend executing_backend;
static atomic_bool executes;

static int seize_later(int id)
{
    return atomic_load(&executes) ? -EINTR : os_backend.seize(id);
}

/* P8, C1: a child that shares the memory cannot be taken, for it is in an exec, which may fail: no breakpoint goes in until it can. */
static void P8_C1_sharer_in_an_exec(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("uninterruptible", "0", NULL);
    rein_process *process = NULL;
    executing_backend = os_backend;
    executing_backend.seize = seize_later;
    rein_monitor *own = create_with(&executing_backend);
    atomic_store(&executes, false);
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    rein_word hot = address_of(fixture, "hot");
    atomic_store(&executes, true);
    assert_error_says(rein_process_add_breakpoint(process, hot, NULL, NULL), REIN_BAD_STATE, "about to run another");
    atomic_store(&executes, false);
    rein_breakpoint *breakpoint = count_at(process, hot);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_ends(fixture, 0);
}

static atomic_bool comes_and_goes;
static atomic_int lists_made;

static int list_children(int pid, os_id_callback callback, void *arg)
{
    atomic_fetch_add(&lists_made, 1);
    return atomic_load(&comes_and_goes) ? -EAGAIN : os_backend.for_each_child_of(pid, callback, arg);
}

/* P8, C1: nobody can say who shares the memory, for threads come and go. That is told as it is; who steps looks once, and steps. */
static void P8_C1_sharers_not_to_be_listed(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("uninterruptible", "0", NULL);
    struct rein_step_options steps = REIN_STEP_OPTIONS_INIT;
    rein_process *process = NULL;
    rein_thread **threads = NULL;
    size_t count = 0;
    steps.count = 1;
    executing_backend = os_backend;
    executing_backend.for_each_child_of = list_children;
    rein_monitor *own = create_with(&executing_backend);
    atomic_store(&comes_and_goes, true);
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    rein_word hot = address_of(fixture, "hot");
    assert_error_says(rein_process_add_breakpoint(process, hot, NULL, NULL), REIN_SYSTEM, "come and go");
    atomic_store(&lists_made, 0);
    assert_ok(rein_process_threads(process, &threads, &count));
    int made = 0;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++)
            rein_thread_step_many(threads[i], &steps, 1, NULL); /* they wait in calls: it begins, that is all */
        if (round == 0)
            made = atomic_load(&lists_made);
    }
    assert_true(made > 0);
    assert_int_equal(atomic_load(&lists_made), made);
    rein_thread_list_free(threads, count);
    atomic_store(&comes_and_goes, false);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P8 M12: an exec that lasts: of the process nobody can be taken. That is an error, and harms nothing. */
static void P8_M12_limit_in_an_exec(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("sleepers", "2", NULL);
    struct rein_attach_options limited = REIN_ATTACH_OPTIONS_INIT;
    rein_monitor *own = NULL;
    rein_process *process = NULL;
    executing_backend = os_backend;
    executing_backend.seize = seize_later;
    own = create_with(&executing_backend);
    atomic_store(&executes, true);
    for (int strict = 0; strict < 2; strict++) {
        limited.timeout_ms = 20;
        limited.flags = strict ? REIN_ATTACH_STRICT : 0;
        assert_error_says(rein_attach(own, fixture->pid, &limited, &process), REIN_TIMEOUT, "another program");
        assert_null(process);
    }
    atomic_store(&executes, false);
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    assert_int_equal(thread_count(process), 3);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

static struct os_backend tardy_backend;
static atomic_int tardy;        /* a thread whose group-stop is told late; 0: none */
static struct os_event delayed; /* that */
static atomic_bool is_delayed;

static bool delay(const struct os_event *event)
{
    if (event->kind != OS_EVENT_GROUP_STOP || event->id != atomic_load(&tardy))
        return false;
    delayed = *event;
    atomic_store(&is_delayed, true);
    return true;
}

static int tardy_next(struct os_waiter *waiter, struct os_event *event)
{
    if (!atomic_load(&tardy) && atomic_exchange(&is_delayed, false)) {
        *event = delayed;
        return 1;
    }
    int result = os_backend.waiter_next(waiter, event);
    return result == 1 && delay(event) ? tardy_backend.waiter_next(waiter, event) : result;
}

static int tardy_next_of(struct os_waiter *waiter, int id, struct os_event *event)
{
    if (atomic_load(&is_delayed) && delayed.id == id)
        return 0;
    int result = os_backend.waiter_next_of(waiter, id, event);
    return result == 1 && delay(event) ? 0 : result;
}

/* M7: a thread's group-stop is heard of when all others have left it: it is no second one. */
static void M7_group_stop_that_is_told_late(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_monitor *own = NULL;
    int ids[3];
    tardy_backend = os_backend;
    tardy_backend.waiter_next = tardy_next;
    tardy_backend.waiter_next_of = tardy_next_of;
    rein_process *process = attach_with(&tardy_backend, fixture, &own);
    assert_int_equal(proc_threads(fixture->pid, ids, 3), 3);
    int other = ids[0] == fixture->pid ? ids[1] : ids[0];
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_REPORT));
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < 5; i++) {
        atomic_store(&tardy, other);
        assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
        expect_event(process, REIN_CAUSE_GROUP_STOP);
        for (double limit = now() + LIMIT_S; !atomic_load(&is_delayed); sleep_ms(1))
            assert_true(now() < limit);
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        await_state(fixture->pid, fixture->pid, 'S');
        for (int k = 0; k < 3; k++) {
            if (ids[k] != fixture->pid && ids[k] != other)
                await_state(fixture->pid, ids[k], 'R');
        }
        atomic_store(&tardy, 0);
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT); /* wakes the monitor */
        await_state(fixture->pid, other, 'R');
        assert_no_event(process);
    }
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    tell(fixture);
    assert_ends(fixture, 0);
}

static struct os_backend pending_backend;

static int pending_and_more(int id, uint64_t *mask)
{
    int result = os_backend.pending_signals(id, mask);
    *mask |= UINT64_C(1) << (SIGCONT - 1);
    return result;
}

/* M7 P2: SIGSTOP comes in front of the step past a breakpoint, and is void: the breakpoint is passed, not hit again. */
static void M7_P2_void_stop_at_a_breakpoint(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_waiting("spin", "1", "1000", NULL);
    rein_monitor *own = NULL;
    pending_backend = os_backend;
    pending_backend.pending_signals = pending_and_more;
    rein_process *process = attach_with(&pending_backend, fixture, &own);
    rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "hot"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    assert_ok(rein_process_continue(process));
    tell(fixture);
    for (int i = 0; i < 20; i++) {
        rein_thread *thread = expect_event(process, REIN_CAUSE_BREAKPOINT)->thread;
        assert_int_equal(rein_breakpoint_hits(breakpoint), i + 1);
        assert_int_equal(syscall(SYS_tgkill, fixture->pid, rein_thread_id(thread), SIGSTOP), 0);
        assert_ok(rein_thread_continue(thread));
    }
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_ends(fixture, 0);
    assert_int_equal(said_count(fixture, "hot"), 1000);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1000);
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
}

/* ---- What a crowd asks of the kernel ---- */

static struct {
    atomic_uint moves, registers, looks, lists;
} crowd;

#define COUNTED_CROWD(X)                                                                                               \
    X(moves, int, seize, (int id), (id))                                                                               \
    X(moves, int, interrupt, (int id), (id))                                                                           \
    X(moves, int, resume, (int id, enum os_resume how, int signal), (id, how, signal))                                 \
    X(moves, int, detach, (int id, int signal), (id, signal))                                                          \
    X(registers, int, get_registers, (int id, struct arch_registers *registers), (id, registers))                      \
    X(looks, int, thread_status, (int pid, int id, enum os_thread_status *status), (pid, id, status))                  \
    X(looks, int, process_of, (int id, int *pid, int *parent), (id, pid, parent))                                      \
    X(looks, int, tracer_of, (int id, int *tracer), (id, tracer))                                                      \
    X(looks, bool, is_thread_of, (int id, int pid), (id, pid))                                                         \
    X(looks, int, count_threads, (int pid, size_t *count), (pid, count))                                               \
    X(looks, const struct arch *, program_arch, (int pid), (pid))                                                      \
    X(lists, int, for_each_thread, (int pid, os_id_callback callback, void *arg), (pid, callback, arg))                \
    X(lists, int, for_each_child_of, (int pid, os_id_callback callback, void *arg), (pid, callback, arg))
#define COUNT_IN_CROWD(counter, type, name, parameters, arguments)                                                     \
    static type crowd_##name parameters                                                                                \
    {                                                                                                                  \
        atomic_fetch_add(&crowd.counter, 1);                                                                           \
        return os_backend.name arguments;                                                                              \
    }
#define USE_IN_CROWD(counter, type, name, parameters, arguments) os.name = crowd_##name;
COUNTED_CROWD(COUNT_IN_CROWD)

/* Since the last time: no more than this. */
static bool has_asked(unsigned moves, unsigned registers)
{
    enum { LOOKS = 8 };
    unsigned made = atomic_exchange(&crowd.moves, 0), got = atomic_exchange(&crowd.registers, 0);
    unsigned looks = atomic_exchange(&crowd.looks, 0), lists = atomic_exchange(&crowd.lists, 0);
    if (moves)
        print_message("%u moves, %u times registers, %u looks, %u lists\n", made, got, looks, lists);
    return made <= moves && got <= registers && looks <= LOOKS && lists <= 1;
}

/* P8, P4, P5, P7: to take a thread is to seize it, to interrupt it and to have its registers; to let it go is one call;
 * to continue it and to stop it are two, and the registers. No file is read for each, and they are listed once. That is
 * tried until it is so: on a busy machine the monitor looks why somebody has not stopped. */
static void P8_P4_P5_P7_calls_for_a_thread(void **state)
{
    (void)state;
    enum { THREADS = 300 };
    skip_if_lent();
    struct fixture *fixture = start_ready("sleepers", "299", NULL);
    struct os_backend os = os_backend;
    bool attaches = false, stops = false, detaches = false;
    COUNTED_CROWD(USE_IN_CROWD)
    rein_monitor *own = create_with(&os);
    for (double limit = now() + LIMIT_S; !attaches || !stops || !detaches;) {
        rein_process *process;
        assert_true(now() < limit);
        has_asked(0, 0);
        assert_ok(rein_attach(own, fixture->pid, NULL, &process));
        assert_int_equal(thread_count(process), THREADS);
        attaches |= has_asked(2 * THREADS, THREADS);
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_stop(process, LIMIT_MS));
        stops |= has_asked(2 * THREADS, THREADS);
        assert_ok(rein_process_detach(process, 0));
        detaches |= has_asked(THREADS, 1);
        rein_process_unref(process);
    }
    assert_ok(rein_monitor_close(own));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- What a handled hit asks of the kernel ---- */

#if defined(__x86_64__) || defined(__i386__) /* elsewhere every breakpoint is stepped over */
static struct {
    unsigned get_registers, set_registers, resume, read, read_own, write_own, others;
} asked; /* nothing is changed in it but by the monitor, while a program runs */

#define COUNTED(name, counter, parameters, arguments)                                                                  \
    static int count_##name parameters                                                                                 \
    {                                                                                                                  \
        asked.counter++;                                                                                               \
        return os_backend.name arguments;                                                                              \
    }
COUNTED(get_registers, get_registers, (int id, struct arch_registers *registers), (id, registers))
COUNTED(set_registers, set_registers, (int id, const struct arch_registers *registers), (id, registers))
COUNTED(resume, resume, (int id, enum os_resume how, int signal), (id, how, signal))
COUNTED(read_own, read_own, (int id, uint64_t address, void *buffer, size_t size), (id, address, buffer, size))
COUNTED(write_own, write_own, (int id, uint64_t address, const void *data, size_t size), (id, address, data, size))
COUNTED(interrupt, others, (int id), (id))
COUNTED(get_signal_mask, others, (int id, uint64_t *mask), (id, mask))
COUNTED(set_signal_mask, others, (int id, uint64_t mask), (id, mask))
COUNTED(is_fixed_code, others, (int id, uint64_t address), (id, address))
COUNTED(find_room, others, (int id, uint64_t address, uint64_t *start, uint64_t *size), (id, address, start, size))

static int64_t count_read(struct os_memory *memory, int id, uint64_t address, void *buffer, size_t size)
{
    asked.read++;
    return os_backend.read(memory, id, address, buffer, size);
}

static int64_t count_write(struct os_memory *memory, int id, uint64_t address, const void *data, size_t size)
{
    asked.others++;
    return os_backend.write(memory, id, address, data, size);
}

static unsigned char sp_index(rein_process *process)
{
    rein_registers *registers;
    rein_thread *thread;
    assert_ok(rein_process_thread(process, rein_process_id(process), &thread));
    assert_ok(rein_thread_registers(thread, &registers));
    rein_thread_unref(thread);
    unsigned char sp = (unsigned char)rein_registers_sp_index(registers);
    rein_registers_free(registers);
    return sp;
}

/* reg sp; ref64; reg sp; ref64; sub: false, after it has looked at a register twice and at the same memory twice. */
static rein_bytecode *look_at_stack(rein_process *process)
{
    rein_bytecode *made;
    unsigned char sp = sp_index(process);
    const unsigned char code[] = {0x26, 0, sp, 0x1a, 0x26, 0, sp, 0x1a, 0x03, 0x27};
    assert_ok(rein_bytecode_create(code, sizeof code, &made));
    return made;
}

/* P5: beside what the stop itself takes (its signal, the wait, its siginfo), a hit takes the registers once, sets them once, and
 * continues the thread; one more where the stack is written, or where it has to be seen that no restartable sequence is
 * under way. A condition that looks at memory takes one more for that. No other thread is touched: there are two. */
static void P5_calls_for_a_hit(void **state)
{
    (void)state;
    enum { TIMES = 500, BESIDES = 300 }; /* moved has signals, too */
    static const struct {
        const char *program, *where;
        unsigned read, written;
        bool has_condition;
    } cases[] = {{"step_targets", "step_1", 0, 0, false},
                 {"step_targets", "step_2", 0, 1, false},
                 {"moved", "moved_0", 1, 0, false},
                 {"step_targets", "step_1", 0, 0, true},
                 {"step_targets", "step_2", 0, 1, true}};
    struct os_backend os = os_backend;
    os.get_registers = count_get_registers;
    os.set_registers = count_set_registers;
    os.resume = count_resume;
    os.read_own = count_read_own;
    os.write_own = count_write_own;
    os.interrupt = count_interrupt;
    os.get_signal_mask = count_get_signal_mask;
    os.set_signal_mask = count_set_signal_mask;
    os.is_fixed_code = count_is_fixed_code;
    os.find_room = count_find_room;
    os.read = count_read;
    os.write = count_write;
    if (getenv("REIN_STEP_OVER"))
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture *fixture = start_waiting(cases[i].program, "500", "1", "500000", NULL);
        rein_monitor *own;
        rein_process *process = attach_with(&os, fixture, &own);
        struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
        rein_breakpoint *breakpoint;
        options.callback = go_on;
        options.condition = cases[i].has_condition ? look_at_stack(process) : NULL;
        assert_ok(rein_process_add_breakpoint(process, address_of(fixture, cases[i].where), &options, &breakpoint));
        rein_bytecode_unref(options.condition);
        set_policy(process, REIN_IGNORE);
        memset(&asked, 0, sizeof asked);
        assert_ok(rein_process_continue(process));
        tell(fixture);
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
        uint64_t hits = rein_breakpoint_hits(breakpoint);
        assert_int_equal(hits, TIMES);
        assert_true(asked.get_registers < hits + BESIDES);
        assert_true(asked.set_registers < hits + BESIDES);
        assert_true(asked.read_own < hits * cases[i].read + BESIDES);
        assert_true(asked.write_own < hits * cases[i].written + BESIDES);
        assert_true(asked.read < hits * cases[i].has_condition + BESIDES);
        assert_true(asked.others < BESIDES);
        rein_breakpoint_unref(breakpoint);
        rein_process_unref(process);
        assert_ok(rein_monitor_close(own));
        assert_ends(fixture, 0);
    }
}

/* P5 E1: bytecode that looks at memory for ever, and at another place each time, asks the kernel 2,000 times, not as
 * often as it has steps: everybody waits for it. */
static void P5_E1_bytecode_that_looks_for_ever(void **state)
{
    (void)state;
    enum { QUESTIONS = 2000 };
    struct os_backend os = os_backend;
    struct fixture *fixture = start_waiting("step_targets", "1", NULL);
    rein_monitor *own;
    rein_bytecode *looks;
    rein_thread *thread;
    os.read = count_read;
    rein_process *process = attach_with(&os, fixture, &own);
    assert_ok(rein_process_thread(process, rein_process_id(process), &thread));
    /* const8 0; 2: dup; const8 15; bit_and; const8 64; mul; reg sp; add; ref8; pop; const8 1; add; goto 2 */
    const unsigned char code[] = {0x22, 0,    0x28, 0x22, 15, 0x0f, 0x22, 64, 0x04, 0x26, 0, sp_index(process),
                                  0x02, 0x17, 0x29, 0x22, 1,  0x02, 0x21, 0,  2};
    assert_ok(rein_bytecode_create(code, sizeof code, &looks));
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    memset(&asked, 0, sizeof asked);
    assert_error_says(rein_thread_evaluate(thread, looks, &evaluation), REIN_NOT_EVALUATED, "too many steps");
    assert_true(asked.read <= QUESTIONS);
    assert_true(asked.read > QUESTIONS / 2);
    rein_bytecode_unref(looks);
    rein_thread_unref(thread);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    tell(fixture);
    assert_ends(fixture, 0);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M12_M3_end_of_the_leader_stops_all),
        live_test(M12_exec_that_is_lost),
        live_test(M12_exec_of_nobody),
        live_test(M12_exec_is_told_late),
        live_test(C1_P7_fork_across_a_detach),
        live_test(M7_T2_continued_while_a_held_stop_is_delivered),
        live_test(M7_T2_continued_while_a_held_stop_is_sent),
        live_test(M7_void_stop_signal_is_not_delivered),
        live_test(M7_P2_void_stop_at_a_breakpoint),
        live_test(P8_limit_before_all_are_found),
        live_test(M7_group_stop_that_is_told_late),
        live_test(P8_M12_limit_in_an_exec),
        live_test(P8_C1_sharer_in_an_exec),
        live_test(P8_C1_sharers_not_to_be_listed),
        live_test(C1_M12_copy_of_the_image_before_the_last),
        live_test(P8_P4_P5_P7_calls_for_a_thread),
#if defined(__x86_64__) || defined(__i386__)
        live_test(P5_calls_for_a_hit),
        live_test(P5_E1_bytecode_that_looks_for_ever),
#endif
    };
    return live_main(tests);
}
