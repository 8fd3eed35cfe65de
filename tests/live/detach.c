/* P7 M10: letting go. Programs: spin, step_targets, signals_seen, group_stop, uninterruptible, sleepers,
 * eintr_epoll, rt_signals, fork_loop. */
#include <sys/prctl.h>

#include "support.h"

static void assert_ends_unharmed(struct fixture *fixture)
{
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* How many lines of what it has said begin so. */
static int count_said(const struct fixture *fixture, const char *beginning)
{
    int count = 0;
    for (const char *line = fixture->said; (line = strstr(line, beginning)); line++)
        count += line == fixture->said || line[-1] == '\n';
    return count;
}

/* P7: from running and from stopped; afterwards calls say so. */
static void P7_detach(void **state)
{
    (void)state;
    for (int running = 0; running < 2; running++) {
        struct fixture *fixture = start_ready("spin", "4", NULL);
        rein_process *process = attach(fixture);
        rein_thread *thread = first_thread(process);
        struct rein_event event;
        rein_registers *registers = NULL;
        unsigned char byte;
        int fd;
        add_breakpoint(process, address_of(fixture, "cold"));
        assert_ok(rein_process_event_fd(process, &fd));
        if (running)
            assert_ok(rein_process_continue(process));
        assert_ok(rein_process_detach(process, 0));
        assert_free(fixture->pid);
        assert_state(thread, REIN_STATE_DETACHED);
        assert_error(rein_process_stop(process, LIMIT_MS), REIN_DETACHED);
        assert_error(rein_process_continue(process), REIN_DETACHED);
        assert_error(rein_process_wait(process, -1), REIN_DETACHED);
        assert_error(rein_process_next_event(process, -1, &event), REIN_DETACHED);
        assert_error(rein_process_detach(process, 0), REIN_DETACHED);
        assert_error(rein_process_kill(process), REIN_DETACHED);
        assert_error(rein_process_add_breakpoint(process, 0x1000, NULL, NULL), REIN_DETACHED);
        assert_error(rein_process_remove_breakpoint(process, 0x1000, 0), REIN_DETACHED);
        assert_error(rein_process_read(process, 0x1000, &byte, 1, NULL), REIN_DETACHED);
        assert_error(rein_thread_stop(thread, -1), REIN_DETACHED);
        assert_error(rein_thread_continue(thread), REIN_DETACHED);
        assert_error(rein_thread_wait(thread, -1), REIN_DETACHED);
        assert_error(rein_thread_registers(thread, &registers), REIN_DETACHED);
        assert_int_equal(rein_process_id(process), fixture->pid);
        assert_ends_unharmed(fixture);
    }
}

/* P7, M5: the breakpoints are gone, and a thread that was at one goes on as if it had never been there. */
static void P7_from_a_breakpoint(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "6", NULL);
    rein_word pc = address_of(fixture, "hot");
    unsigned char original, byte;
    assert_int_equal(raw_read(fixture->pid, pc, &original, 1), 1);
    for (int round = 0; round < 60; round++) {
        rein_process *process = NULL;
        rein_breakpoint *breakpoint = NULL;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_ok(rein_process_add_breakpoint(process, pc, NULL, &breakpoint));
        run_to_stop(process);
        if (round % 3 == 1) { /* stopped by something else meanwhile */
            assert_ok(rein_process_continue(process));
            assert_ok(rein_process_stop(process, LIMIT_MS));
        }
        assert_ok(rein_process_detach(process, 0));
        assert_int_equal(raw_read(fixture->pid, pc, &byte, 1), 1);
        assert_int_equal(byte, original);
        uint64_t hits = rein_breakpoint_hits(breakpoint);
        assert_true(hits > 0);
        rein_breakpoint_unref(breakpoint);
        rein_process_unref(process);
    }
    assert_ends_unharmed(fixture);
}

/* P7: in the midst of a storm of hits, none shown to anybody: traps are pending here and there. */
static void P7_in_a_storm_of_hits(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "8", NULL);
    rein_word pc = address_of(fixture, "hot"), pc2 = address_of(fixture, "hot2");
    for (int round = 0; round < 100; round++) {
        rein_process *process = NULL;
        struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
        struct rein_breakpoint_options going_on = REIN_BREAKPOINT_OPTIONS_INIT;
        options.flags = round % 2 ? REIN_ATTACH_RUNNING : 0;
        going_on.flags = REIN_BREAKPOINT_WHILE_RUNNING;
        going_on.callback = go_on;
        assert_ok(rein_attach(monitor, fixture->pid, &options, &process));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_add_breakpoint(process, pc, &going_on, NULL));
        assert_ok(rein_process_add_breakpoint(process, pc2, &going_on, NULL));
        if (round % 2 == 0)
            assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, round % 4), REIN_TIMEOUT);
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
    }
    assert_ends_unharmed(fixture);
}

/* P7: a signal that a stopped thread was about to get is delivered, to each of several threads its own. */
static void P7_pending_signals_are_delivered(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "4", "1", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_STOP_THREAD);
    for (int i = 1; i <= 4; i++) {
        char key[16];
        snprintf(key, sizeof key, "thread%d", i);
        assert_int_equal(syscall(SYS_tgkill, fixture->pid, said_id(fixture, key), SIGUSR1), 0);
    }
    assert_int_equal(kill(fixture->pid, SIGHUP), 0);
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < 5; i++)
        expect_event(process, REIN_CAUSE_SIGNAL);
    assert_ok(rein_process_detach(process, 0));
    for (int i = 1; i <= 4; i++) {
        char line[64];
        snprintf(line, sizeof line, "signal %d code %d value 0 pid %d thread %d", SIGUSR1, SI_TKILL, getpid(), i);
        (void)expect_said(fixture, line);
    }
    (void)expect_said(fixture, "signal 1 ");
    assert_ends_unharmed(fixture);
    assert_int_equal(count_said(fixture, "signal 10 "), 4);
    assert_int_equal(count_said(fixture, "signal 1 "), 1);
}

/* P7: a signal for the process, given on the way. */
static void P7_with_a_signal(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "1", NULL);
    rein_process *process = attach(fixture);
    assert_error(rein_process_detach(process, -1), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_detach(process, 65), REIN_INVALID_ARGUMENT);
    assert_int_equal(proc_tracer(fixture->pid, 0), rein_monitor_id(monitor));
    assert_ok(rein_process_detach(process, SIGUSR2));
    (void)expect_said(fixture, "signal 12 ");
    assert_ends_unharmed(fixture);
    assert_int_equal(count_said(fixture, "signal 12 "), 1);

    struct fixture *stopped = start_ready("spin", "2", NULL);
    assert_ok(rein_process_detach(attach(stopped), SIGSTOP));
    await_state(stopped->pid, 0, 'T');
    assert_int_equal(proc_tracer(stopped->pid, 0), 0);
    kill(stopped->pid, SIGCONT);
    tell(stopped);
    assert_ends(stopped, 0);

    struct fixture *killed = start_ready("spin", "2", NULL);
    assert_ok(rein_process_detach(attach(killed), SIGKILL));
    int status;
    wait_for(killed, 0, &status);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* P7: from a step that blocks, and from calls that the kernel does not restart: they go on as if nothing had been. */
static void P7_from_blocking_calls(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("sleepers", "4", NULL);
    await_state(fixture->pid, 0, 'S'); /* in its read */
    rein_process *process = attach(fixture);
    assert_error(rein_thread_step(first_thread(process), 0, 20), REIN_TIMEOUT);
    assert_ok(rein_process_detach(process, 0));
    assert_ends_unharmed(fixture);

    fixture = start_ready("eintr_epoll", "10", NULL);
    for (int i = 0; i < 30; i++) {
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
        if (i % 3 == 0)
            sleep_ms(3);
    }
    assert_ends_unharmed(fixture);
}

/* P7: a thread that cannot be stopped now is let go when it comes out; nobody waits for that, and no breakpoint is
 * left. */
static void P7_a_vfork_parent(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("uninterruptible", "3", NULL);
    int parent = said_id(fixture, "parent"), ids[16];
    rein_word pc = address_of(fixture, "hot");
    unsigned char original, byte;
    assert_int_equal(raw_read(fixture->pid, pc, &original, 1), 1);
    rein_process *process = attach_running(fixture);
    set_policy(process, REIN_IGNORE);
    count_at(process, pc);
    assert_error(rein_process_wait(process, 20), REIN_TIMEOUT);
    assert_ok(rein_process_detach(process, 0));
    size_t count = proc_threads(fixture->pid, ids, 16);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != parent)
            assert_int_equal(proc_tracer(fixture->pid, ids[i]), 0);
    }
    assert_int_equal(raw_read(fixture->pid, pc, &byte, 1), 1);
    assert_int_equal(byte, original);
    assert_error(rein_process_wait(process, -1), REIN_DETACHED);
    tell(fixture);
    for (double limit = now() + LIMIT_S;
         monitor_kind() == REIN_MONITOR_LENT && now() < limit && proc_tracer(fixture->pid, 0) > 0;)
        rein_process_wait(process, 1);
    if (monitor_kind() != REIN_MONITOR_LENT) /* which does nothing but in a call */
        assert_ends(fixture, 0);
}

/* P7 M10: a vfork parent that was to step, and the end of its monitor before it could: it does not step then, with
 * nobody there to take the trap from it. */
static void P7_M10_a_vfork_parent_that_steps(void **state)
{
    (void)state;
    skip_if_lent(); /* its end is not the tracer's */
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    struct fixture *fixture = start_waiting("uninterruptible", "1", NULL);
    rein_monitor *own = NULL;
    rein_process *process = NULL;
    struct rein_event event = {0};
    options.kind = monitor_kind();
    assert_ok(rein_monitor_create(&options, &own));
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_VFORK, REIN_STOP_ALL));
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
    assert_int_equal(event.cause.kind, REIN_CAUSE_VFORK);
    assert_error(rein_thread_step(event.thread, 0, 20), REIN_TIMEOUT);
    rein_event_clear(&event);
    assert_ok(rein_monitor_close(own));
    rein_process_unref(process);
    tell(fixture);
    assert_ends(fixture, 0);
}

struct in_callback {
    rein_process *process;
    int result;
};

static enum rein_verdict detach_it(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct in_callback *in_callback = arg;
    (void)thread, (void)breakpoint;
    in_callback->result = rein_process_detach(in_callback->process, 0);
    return REIN_VERDICT_GO_ON;
}

/* P7, M1: in a callback it begins, and is done when the callback has returned. */
static void P7_M1_in_a_callback(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "6", NULL);
    for (int round = 0; round < 30; round++) {
        rein_process *process = NULL;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        struct in_callback in_callback = {process, 1};
        struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
        options.callback = detach_it;
        options.arg = &in_callback;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), &options, NULL));
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_DETACHED);
        assert_int_equal(in_callback.result, 0);
        rein_process_unref(process);
    }
    assert_ends_unharmed(fixture);
}

/* P7, M10: closing the monitor lets everybody go; handles answer, and waits end. */
static void P7_M10_closing_the_monitor(void **state)
{
    (void)state;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *own = NULL;
    rein_process *processes[3];
    struct fixture *fixtures[3];
    options.kind = monitor_kind();
    assert_ok(rein_monitor_create(&options, &own));
    for (int i = 0; i < 3; i++) {
        fixtures[i] = start_ready("spin", "3", NULL);
        assert_ok(rein_attach(own, fixtures[i]->pid, NULL, &processes[i]));
        later_unref_process(processes[i]);
        if (i > 0) {
            set_policy(processes[i], REIN_IGNORE);
            count_at(processes[i], address_of(fixtures[i], "hot"));
            assert_ok(rein_process_continue(processes[i]));
        }
    }
    rein_thread *thread = NULL;
    assert_ok(rein_process_thread(processes[0], fixtures[0]->pid, &thread));
    later_unref_thread(thread);
    assert_ok(rein_monitor_close(own));
    for (int i = 0; i < 3; i++) {
        assert_free(fixtures[i]->pid);
        assert_error(rein_process_continue(processes[i]), REIN_DETACHED);
        assert_error(rein_process_wait(processes[i], -1), REIN_DETACHED);
        assert_int_equal(rein_process_id(processes[i]), fixtures[i]->pid);
        tell(fixtures[i]);
        assert_ends(fixtures[i], 0);
    }
    assert_error(rein_thread_continue(thread), REIN_DETACHED);
    assert_int_equal(rein_thread_id(thread), fixtures[0]->pid);
}

/* P7: giving the handle back does not let the process go. */
static void P7_unref_is_no_detach(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = NULL, *again = NULL;
    assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
    rein_process_unref(process);
    assert_int_equal(proc_tracer(fixture->pid, 0), rein_monitor_id(monitor));
    assert_error(rein_attach(monitor, fixture->pid, NULL, &again), REIN_BAD_STATE);
    assert_null(again);
}

/* P7, C1: killed in the middle of forking, and let go in the same moment: the children, of which their parent could not
 * tell any more, carry no breakpoint either. */
static void P7_C1_children_of_the_killed(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip(); /* it waits for any child, and there are others then: see start() */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the children come to the test */
    for (int round = 0; round < 60; round++) {
        struct fixture *fixture = start_waiting("fork_loop", "6", "100000", NULL);
        rein_process *process = attach(fixture);
        rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        tell(fixture);
        for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < 20u + (unsigned)round;) {
            assert_true(now() < limit);
            assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
        }
        assert_int_equal(kill(fixture->pid, SIGKILL), 0);
        int result = rein_process_detach(process, 0);
        assert_true(result == 0 || result == REIN_EXITED);
        rein_process_wait(process, 0);
        for (double limit = now() + LIMIT_S;;) {
            int status = 0, id = waitpid(-1, &status, WNOHANG);
            if (id < 0)
                break;
            if (id == fixture->pid)
                fixture->reaped = true;
            else if (id > 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 7))
                fail_msg("child %d ended with %#x", id, (unsigned)status);
            if (id == 0)
                sleep_ms(1);
            assert_true(now() < limit);
        }
        rein_process_unref(process);
        fixture->process = NULL;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P7_detach),
        live_test(P7_from_a_breakpoint),
        live_test(P7_in_a_storm_of_hits),
        live_test(P7_pending_signals_are_delivered),
        live_test(P7_with_a_signal),
        live_test(P7_from_blocking_calls),
        live_test(P7_a_vfork_parent),
        live_test(P7_M10_a_vfork_parent_that_steps),
        live_test(P7_C1_children_of_the_killed),
        live_test(P7_M1_in_a_callback),
        live_test(P7_M10_closing_the_monitor),
        live_test(P7_unref_is_no_detach),
    };
    return live_main(tests);
}
