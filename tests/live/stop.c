/* P4 P5 P6: stopping, continuing and waiting for a process; events, their descriptor, cancelling. Programs: spin,
 * uninterruptible, sleepers, signals_seen, blocking_syscall, step_targets, eintr_epoll. */
#include "support.h"

static void assert_all(rein_process *process, bool stopped)
{
    rein_thread **threads = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++) {
        enum rein_state state = state_of(threads[i]);
        if (stopped ? !rein_state_is_stopped(state) : !rein_state_is_running(state))
            fail_msg("thread %d is %s", rein_thread_id(threads[i]), rein_state_name(state));
    }
    rein_thread_list_free(threads, count);
}

/* P4: all are stopped when it returns; nothing moves. */
static void P4_all_are_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "6", NULL);
    rein_process *process = attach_running(fixture);
    int ids[16];
    for (int round = 0; round < 100; round++) {
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_all(process, true);
        size_t count = proc_threads(fixture->pid, ids, 16);
        assert_int_equal(count, 7);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(proc_state(fixture->pid, ids[i]), 't');
        assert_ok(rein_process_wait(process, 0));
        assert_ok(rein_process_stop(process, 0)); /* they are */
        assert_no_event(process);                 /* a stop by request is none */
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
        assert_all(process, false);
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    rein_word counter = address_of(fixture, "hot2_count");
    uint64_t before, after;
    assert_ok(rein_process_read(process, counter, &before, 8, NULL));
    sleep_ms(30);
    assert_ok(rein_process_read(process, counter, &after, 8, NULL));
    assert_int_equal(before, after);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P4: a vfork parent cannot stop before its child has left: it is named, and holds up nothing; when it comes out
 * it runs no program code before it is continued. */
static void P4_a_vfork_parent(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("uninterruptible", "3", NULL);
    int parent_id = said_id(fixture, "parent");
    char words[16];
    snprintf(words, sizeof words, "%d", parent_id);
    rein_process *process = attach_running(fixture);
    assert_error_says(rein_process_stop(process, LIMIT_MS), REIN_CANNOT_STOP, words);
    assert_says(rein_error_message(), "vfork");
    rein_thread *parent = thread_of(process, parent_id);
    assert_state(parent, REIN_STATE_STOPPING);
    rein_thread **threads = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        if (rein_thread_id(threads[i]) != parent_id)
            assert_true(rein_state_is_stopped(state_of(threads[i])));
    }
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_wait(process, LIMIT_MS)); /* all but such */

    tell(fixture);
    assert_ok(rein_thread_wait(parent, LIMIT_MS)); /* it is stopped as soon as it comes out */
    assert_true(rein_state_is_stopped(state_of(parent)));
    await_state(fixture->pid, parent_id, 't');
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_all(process, true);
    sleep_ms(20);
    assert_null(has_said(fixture, "ok"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends(fixture, 0);
}

/* P4, P5: the process can be continued while such a thread is still held by the kernel. */
static void P4_P5_continue_with_a_vfork_parent(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("uninterruptible", "3", NULL);
    rein_process *process = attach_running(fixture);
    set_policy(process, REIN_IGNORE);
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    for (int i = 0; i < 20; i++) {
        assert_error(rein_process_stop(process, LIMIT_MS), REIN_CANNOT_STOP);
        assert_ok(rein_process_continue(process));
        uint64_t hits = rein_breakpoint_hits(breakpoint);
        for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < hits + 3;) {
            assert_true(now() < limit);
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        }
    }
    tell(fixture);
    assert_ends(fixture, 0);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
}

/* P4: who cannot stop is found out however much else happens on the monitor. */
static void P4_a_vfork_parent_beside_a_storm(void **state)
{
    (void)state;
    struct fixture *busy = start_ready("spin", "3", NULL);
    rein_process *storm = attach(busy);
    set_policy(storm, REIN_IGNORE);
    count_at(storm, address_of(busy, "hot"));
    assert_ok(rein_process_continue(storm));
    struct fixture *fixture = start_ready("uninterruptible", "1", NULL);
    for (int i = 0; i < 5; i++) {
        rein_process *process = NULL;
        struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
        options.timeout_ms = LIMIT_MS;
        assert_ok(rein_attach(monitor, fixture->pid, &options, &process));
        assert_error(rein_process_stop(process, LIMIT_MS), REIN_CANNOT_STOP); /* and not REIN_TIMEOUT */
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
    assert_ok(rein_process_detach(storm, 0));
    tell(busy);
    assert_ends(busy, 0);
}

/* P4: a limit that has passed leaves the stop under way. */
static void P4_time_limit(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "8", NULL);
    rein_process *process = attach_running(fixture);
    for (int i = 0; i < 50; i++) {
        int result = rein_process_stop(process, 0);
        assert_true(result == 0 || result == REIN_TIMEOUT);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_all(process, true);
        assert_ok(rein_process_continue(process));
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P6 */
static void P6_wait(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_process *process = attach(fixture);
    assert_ok(rein_process_wait(process, 0)); /* it is stopped */
    assert_ok(rein_process_wait(process, -1));
    assert_ok(rein_process_continue(process));
    double begin = now();
    assert_error(rein_process_wait(process, 100), REIN_TIMEOUT);
    assert_true(now() - begin >= 0.095);
    /* Then it ends, which every wait tells, and for good. */
    set_policy(process, REIN_IGNORE);
    tell(fixture);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_error(rein_process_wait(process, 0), REIN_EXITED);
    assert_ends(fixture, 0);
}

/* P6: causes that stop the process end the wait, each time. */
static void P6_wait_for_what_happens(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("many_threads", "3", "1", NULL);
    rein_process *process = fixture->process;
    rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "hot"));
    int created = 0, exited = 0, hits = 0;
    for (;;) {
        assert_ok(rein_process_continue(process));
        int result = rein_process_wait(process, LIMIT_MS);
        if (result == REIN_EXITED)
            break;
        assert_ok(result);
        assert_all(process, true);
        struct rein_event event;
        int events = 0;
        while (rein_process_next_event(process, 0, &event) == 0) {
            created += event.cause.kind == REIN_CAUSE_THREAD_CREATE;
            exited += event.cause.kind == REIN_CAUSE_THREAD_EXIT;
            hits += event.cause.kind == REIN_CAUSE_BREAKPOINT;
            rein_event_clear(&event);
            events++;
        }
        assert_true(events > 0);
    }
    assert_int_equal(created, 4);
    assert_int_equal(hits, 3);
    assert_int_equal(exited, 5); /* the leader, the maker, and three */
    assert_int_equal(rein_breakpoint_hits(breakpoint), 3);
    assert_error(rein_process_wait(process, -1), REIN_EXITED);
}

struct canceller {
    rein_process *process;
    int delay_ms;
};

static void *cancel_later(void *arg)
{
    struct canceller *canceller = arg;
    sleep_ms(canceller->delay_ms);
    return (void *)(intptr_t)rein_process_cancel_wait(canceller->process);
}

/* P6: cancelled by another thread, in each of the calls that wait; that may be done with a lent monitor, too. */
static void P6_cancel(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    assert_ok(rein_process_continue(process));
    for (int call = 0; call < 3; call++) {
        struct canceller canceller = {process, 50};
        pthread_t id;
        void *result;
        struct rein_event event;
        assert_int_equal(pthread_create(&id, NULL, cancel_later, &canceller), 0);
        switch (call) {
        case 0:
            assert_error(rein_process_wait(process, LIMIT_MS), REIN_CANCELLED);
            break;
        case 1:
            assert_error(rein_thread_wait(thread, LIMIT_MS), REIN_CANCELLED);
            break;
        default:
            assert_error(rein_process_next_event(process, LIMIT_MS, &event), REIN_CANCELLED);
        }
        pthread_join(id, &result);
        assert_null(result);
        assert_error(rein_process_wait(process, 10), REIN_TIMEOUT); /* it was for that one */
    }
    /* When none waits, the next one is cancelled, and only that. */
    assert_ok(rein_process_cancel_wait(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_CANCELLED);
    assert_error(rein_process_wait(process, 10), REIN_TIMEOUT);
    /* It has not touched the process. */
    assert_state(thread, REIN_STATE_RUNNING);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

static rein_process *signal_process;
static volatile sig_atomic_t signal_result = 1;

static void cancel_in_handler(int number)
{
    (void)number;
    signal_result = rein_process_cancel_wait(signal_process);
}

/* P6: from a signal handler, on the thread that waits. */
static void P6_cancel_in_a_signal_handler(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    signal_process = attach(fixture);
    assert_ok(rein_process_continue(signal_process));
    struct sigaction action = {.sa_handler = cancel_in_handler, .sa_flags = SA_RESTART}, before;
    sigaction(SIGUSR1, &action, &before);
    for (int i = 0; i < 10; i++) {
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        struct itimerspec soon = {{0, 0}, {0, 20000000}};
        assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
        assert_int_equal(timer_settime(timer, 0, &soon, NULL), 0);
        assert_error(rein_process_wait(signal_process, LIMIT_MS), REIN_CANCELLED);
        assert_int_equal(signal_result, 0);
        timer_delete(timer);
    }
    sigaction(SIGUSR1, &before, NULL);
    assert_ok(rein_process_detach(signal_process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

struct waiter {
    rein_process *process;
    atomic_int id;
    int result;
};

static void *wait_for_stop(void *arg)
{
    struct waiter *waiter = arg;
    atomic_store(&waiter->id, gettid());
    waiter->result = rein_process_wait(waiter->process, LIMIT_MS);
    return NULL;
}

/* P6, M1: several threads wait for the same; all are told. */
static void P6_M1_several_waiters(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_process *process = attach(fixture);
    for (int how = 0; how < 3; how++) {
        struct waiter waiters[6];
        pthread_t ids[6];
        assert_ok(rein_process_continue(process));
        for (int i = 0; i < 6; i++) {
            waiters[i] = (struct waiter){.process = process};
            assert_int_equal(pthread_create(&ids[i], NULL, wait_for_stop, &waiters[i]), 0);
        }
        for (int i = 0; i < 6; i++)
            await_asleep(&waiters[i].id);
        if (how == 0)
            assert_ok(rein_process_stop(process, LIMIT_MS));
        else if (how == 1)
            assert_ok(rein_process_cancel_wait(process));
        else
            assert_ok(rein_process_detach(process, 0));
        for (int i = 0; i < 6; i++) {
            pthread_join(ids[i], NULL);
            assert_int_equal(waiters[i].result, how == 0 ? 0 : how == 1 ? REIN_CANCELLED : REIN_DETACHED);
        }
        if (how == 1)
            assert_ok(rein_process_stop(process, LIMIT_MS));
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

static bool readable(int fd, int ms)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    int result = poll(&in, 1, ms);
    assert_true(result >= 0);
    return result == 1 && (in.revents & (POLLIN | POLLHUP));
}

/* Until the descriptor is readable. A lent monitor takes events only in a call. */
static bool becomes_readable(rein_process *process, int fd)
{
    for (double limit = now() + LIMIT_S; now() < limit;) {
        if (monitor_kind() == REIN_MONITOR_LENT)
            rein_process_wait(process, 1);
        if (readable(fd, monitor_kind() == REIN_MONITOR_LENT ? 0 : 100))
            return true;
    }
    return false;
}

/* P6: the descriptor is readable exactly while an event waits, and when the process is gone. */
static void P6_event_descriptor(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    int fd = -1, again = -1;
    struct rein_event event;
    while (rein_process_next_event(process, 0, &event) == 0)
        rein_event_clear(&event);
    assert_ok(rein_process_event_fd(process, &fd));
    assert_true(fd >= 0);
    assert_ok(rein_process_event_fd(process, &again));
    assert_int_equal(again, fd);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_false(readable(fd, 0));
    add_breakpoint(process, address_of(fixture, "step_0"));
    for (int i = 0; i < 3; i++) {
        assert_ok(rein_process_continue(process));
        assert_true(becomes_readable(process, fd));
        assert_true(readable(fd, 0)); /* until it is taken */
        struct rein_event *hit = expect_event(process, REIN_CAUSE_BREAKPOINT);
        assert_word(hit->cause.pc, address_of(fixture, "step_0"));
        assert_false(readable(fd, 0));
        assert_no_event(process);
    }
    /* Those that stopped the process wait until the next continue, and no longer. */
    assert_ok(rein_process_remove_breakpoint(process, address_of(fixture, "step_0"), 0));
    add_breakpoint(process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(process));
    assert_true(becomes_readable(process, fd));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_true(becomes_readable(process, fd)); /* the end */
    assert_error(rein_process_next_event(process, 0, &event), REIN_EXITED);
    assert_true(readable(fd, 0));
}

/* P6: a thread that waits for events is woken by each. */
static void P6_next_event_waits(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("many_threads", "30", "2", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_REPORT);
    assert_ok(rein_process_continue(process));
    int created = 0, exited = 0, result;
    uint64_t last = 0;
    struct rein_event event;
    while ((result = rein_process_next_event(process, LIMIT_MS, &event)) == 0) {
        assert_true(last == 0 || event.sequence == last + 1);
        last = event.sequence;
        created += event.cause.kind == REIN_CAUSE_THREAD_CREATE;
        exited += event.cause.kind == REIN_CAUSE_THREAD_EXIT;
        rein_event_clear(&event);
    }
    assert_int_equal(result, REIN_EXITED);
    assert_int_equal(created, 62);
    assert_int_equal(exited, 63);
    assert_error(rein_process_next_event(process, -1, &event), REIN_EXITED);
}

/* P5: a breakpoint on a system call that blocks holds nobody. */
static void P5_breakpoint_on_a_blocking_call(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("blocking_syscall", "6", "40", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    rein_breakpoint *call = count_at(process, address_of(fixture, "blocking_syscall_insn"));
    rein_breakpoint *after = count_at(process, address_of(fixture, "after_blocking_syscall"));
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0); /* who is held does not write for the others to read */
    assert_int_equal(rein_breakpoint_hits(call), 240);
    assert_int_equal(rein_breakpoint_hits(after), 240);
    assert_int_equal(said_count(fixture, "blocking_syscall_insn"), 240);
}

/* P5: the same with all-stop: every other continue finds threads in the call. */
static void P5_blocking_call_all_stop(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("blocking_syscall", "3", "10", NULL);
    rein_process *process = fixture->process;
    rein_breakpoint *call = add_breakpoint(process, address_of(fixture, "blocking_syscall_insn"));
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok blocking_syscall"));
    assert_int_equal(rein_breakpoint_hits(call), 30);
}

/* P4, P5: calls that the kernel does not restart after a stop see nothing of one, or of a hundred. */
static void P4_P5_no_EINTR(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("eintr_epoll", "20", NULL);
    rein_process *process = attach(fixture);
    for (int i = 0; i < 100; i++) {
        assert_ok(rein_process_continue(process));
        if (i % 4 == 0)
            sleep_ms(2);
        assert_ok(rein_process_stop(process, LIMIT_MS));
    }
    assert_ok(rein_process_detach(process, 0));
    sleep_ms(20);
    assert_null(has_said(fixture, "FAILED"));
    tell(fixture);
    assert_ends(fixture, 0);
}

struct caller {
    rein_process *process;
    atomic_bool *done;
    int seed, calls, unexpected;
    char message[200];
};

enum { CALLS_MIN = 20 }; /* of each, also on a busy machine */

static void *stop_or_continue(void *arg)
{
    struct caller *caller = arg;
    unsigned random = (unsigned)caller->seed;
    while (!atomic_load(caller->done) || caller->calls < CALLS_MIN) {
        random = random * 1103515245 + 12345;
        int result, choice = (int)(random >> 16) % 4;
        if (choice == 0)
            result = rein_process_stop(caller->process, 100);
        else if (choice == 1)
            result = rein_process_continue(caller->process);
        else if (choice == 2)
            result = rein_process_wait(caller->process, 1);
        else
            result = rein_process_stop(caller->process, 0);
        /* Another one may have continued it in between. */
        if (result != 0 && result != REIN_TIMEOUT && result != REIN_BAD_STATE && caller->unexpected == 0) {
            caller->unexpected = result;
            snprintf(caller->message, sizeof caller->message, "%s", rein_error_message());
        }
        caller->calls++;
    }
    return NULL;
}

/* P4, P5, M1: from several threads at once; whatever the order, each call is one step, and none hangs. */
static void P4_P5_M1_from_several_threads(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = attach(fixture);
    atomic_bool done = false;
    struct caller callers[6];
    pthread_t ids[6];
    for (int i = 0; i < 6; i++) {
        callers[i] = (struct caller){.process = process, .done = &done, .seed = i + 1};
        assert_int_equal(pthread_create(&ids[i], NULL, stop_or_continue, &callers[i]), 0);
    }
    sleep_ms(1000);
    atomic_store(&done, true);
    for (int i = 0; i < 6; i++)
        pthread_join(ids[i], NULL);
    for (int i = 0; i < 6; i++) {
        if (callers[i].unexpected)
            fail_msg("%s: %s", rein_error_name(callers[i].unexpected), callers[i].message);
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_all(process, true);
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P4_all_are_stopped),
        live_test(P4_a_vfork_parent),
        live_test(P4_P5_continue_with_a_vfork_parent),
        live_test(P4_a_vfork_parent_beside_a_storm),
        live_test(P4_time_limit),
        live_test(P6_wait),
        live_test(P6_wait_for_what_happens),
        live_test(P6_cancel),
        live_test(P6_cancel_in_a_signal_handler),
        live_test(P6_M1_several_waiters),
        live_test(P6_event_descriptor),
        live_test(P6_next_event_waits),
        live_test(P5_breakpoint_on_a_blocking_call),
        live_test(P5_blocking_call_all_stop),
        live_test(P4_P5_no_EINTR),
        live_test(P4_P5_M1_from_several_threads),
    };
    return live_main(tests);
}
