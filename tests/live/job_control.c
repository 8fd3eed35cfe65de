/* M7 M11: job control works under tracing as it does without. Programs: spin, group_stop, signals_seen. */
#include "support.h"

static uint64_t counter_of(struct fixture *fixture)
{
    unsigned long value = 0;
    assert_int_equal(raw_read(fixture->pid, address_of(fixture, "hot2_count"), &value, sizeof value), sizeof value);
    return value;
}

/* Lets the monitor work for a while. */
static void let_run(rein_process *process, int ms)
{
    int result = rein_process_wait(process, ms);
    if (result != REIN_TIMEOUT && result != 0)
        fail_msg("%s", rein_error_message());
}

/* M7: stopped by kill and continued by kill, again and again, under a monitor that goes on at every event. */
static void M7_stop_and_continue_by_kill(void **state)
{
    (void)state;
    static const int numbers[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_REPORT));
    assert_ok(rein_process_continue(process));
    for (int round = 0; round < 20; round++) {
        int number = numbers[round % 4], status;
        char text[64], expected[64];
        assert_int_equal(kill(fixture->pid, number), 0);
        wait_for(fixture, WUNTRACED, &status);
        assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == number);
        struct rein_event *event = expect_event(process, REIN_CAUSE_GROUP_STOP);
        assert_int_equal(event->cause.signal.number, number);
        rein_cause_text(&event->cause, text, sizeof text);
        snprintf(expected, sizeof expected, "group-stop by %s", rein_signal_name(number));
        assert_string_equal(text, expected);
        let_run(process, 5);
        uint64_t before = counter_of(fixture);
        let_run(process, 10);
        assert_int_equal(counter_of(fixture), before);
        assert_no_event(process); /* once for the whole process */
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        wait_for(fixture, WCONTINUED, &status);
        assert_true(WIFCONTINUED(status));
        for (double limit = now() + LIMIT_S; counter_of(fixture) == before;) {
            assert_true(now() < limit);
            let_run(process, 1);
        }
        assert_no_event(process);
    }
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M7: by the default policy a SIGSTOP from others is shown as what it is. A continue does not deliver it, unless
 * told to. */
static void M7_SIGSTOP_is_a_real_one(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_process *process = attach(fixture);
    int status;
    assert_ok(rein_process_continue(process));
    for (int delivered = 0; delivered < 2; delivered++) {
        assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        struct rein_event *event = expect_event(process, REIN_CAUSE_SIGNAL);
        assert_int_equal(event->cause.signal.number, SIGSTOP);
        assert_int_equal(event->cause.signal.sender_pid, getpid());
        if (delivered)
            assert_ok(rein_thread_set_signal(event->thread, SIGSTOP));
        assert_ok(rein_process_continue(process));
        if (delivered) {
            expect_event(process, REIN_CAUSE_GROUP_STOP);
            wait_for(fixture, WUNTRACED, &status);
            assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
        } else {
            uint64_t before = counter_of(fixture);
            let_run(process, 50);
            assert_true(counter_of(fixture) > before);
            assert_int_equal(wait_for(fixture, WUNTRACED | WNOHANG, &status), 0);
        }
    }
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    for (double limit = now() + LIMIT_S; now() < limit;) { /* SIGCONT is a signal, too */
        int result = rein_process_wait(process, 10);
        assert_true(result == 0 || result == REIN_TIMEOUT);
        if (result == 0)
            break;
    }
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M7, P4: stopped by rein while it is in a group-stop: it is shown as that; continued it is still in it. */
static void M7_P4_stop_in_a_group_stop(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = attach(fixture);
    int status;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
    wait_for(fixture, WUNTRACED, &status);
    for (int round = 0; round < 10; round++) {
        rein_thread **threads = NULL;
        size_t count;
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_threads(process, &threads, &count));
        assert_int_equal(count, 4);
        for (size_t i = 0; i < count; i++) {
            assert_true(rein_state_is_stopped(state_of(threads[i])));
            assert_true(pc_of(threads[i]) != 0);
        }
        rein_thread_list_free(threads, count);
        uint64_t before = counter_of(fixture);
        assert_ok(rein_process_continue(process));
        let_run(process, 5);
        assert_int_equal(counter_of(fixture), before);
    }
    /* Continued from outside while rein has it stopped: it runs when rein continues it. */
    assert_ok(rein_process_stop(process, LIMIT_MS));
    uint64_t before = counter_of(fixture);
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    sleep_ms(20);
    assert_int_equal(counter_of(fixture), before);
    assert_ok(rein_process_continue(process));
    for (double limit = now() + LIMIT_S; counter_of(fixture) == before;) {
        assert_true(now() < limit);
        let_run(process, 1);
    }
    /* And the other way round: it gets a SIGSTOP while rein has it stopped. */
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
    sleep_ms(10);
    assert_ok(rein_process_continue(process));
    wait_for(fixture, WUNTRACED, &status);
    assert_true(WIFSTOPPED(status));
    assert_ok(rein_process_detach(process, 0));
    await_state(fixture->pid, 0, 'T');
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M7: a SIGCONT has a handler: it runs once for each. */
static void M7_SIGCONT_handler(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "2", NULL);
    rein_process *process = attach(fixture);
    int status;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    for (int round = 1; round <= 10; round++) {
        assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
        wait_for(fixture, WUNTRACED, &status);
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        wait_for(fixture, WCONTINUED, &status);
        int seen = 0;
        for (double limit = now() + LIMIT_S; seen < round && now() < limit;) {
            let_run(process, 1);
            has_said(fixture, "");
            seen = 0;
            for (const char *line = fixture->said; (line = strstr(line, "signal 18 ")); line++)
                seen++;
        }
        assert_int_equal(seen, round);
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M7: the process of a parent that watches for stops, traced: what the parent sees is what it sees without. Each
 * stop is told once. */
static void M7_under_its_own_parent(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("group_stop", "12", "4", NULL);
    int child = said_id(fixture, "child"), stops = 0, result;
    rein_process *process = NULL;
    assert_ok(rein_attach(monitor, child, NULL, &process));
    later_unref_process(process);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_REPORT));
    rein_breakpoint *breakpoint = count_at(process, address_in("group_stop", child, "hot"));
    assert_ok(rein_process_continue(process));
    tell(fixture);
    struct rein_event event;
    while ((result = rein_process_next_event(process, LIMIT_MS, &event)) == 0) {
        assert_int_equal(event.cause.kind, REIN_CAUSE_GROUP_STOP);
        stops++;
        rein_event_clear(&event);
    }
    assert_error(result, REIN_EXITED);
    assert_int_equal(stops, 12);
    assert_ends(fixture, 0);
    assert_in_range(rein_breakpoint_hits(breakpoint), said_count(fixture, "child_hot") - 4,
                    said_count(fixture, "child_hot") + 4); /* those inside hot when it ends */
}

/* M7, P7: detached in the midst of a group-stop it stays there, as for its parent. */
static void M7_P7_detach_in_a_group_stop(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "4", NULL);
    for (int round = 0; round < 10; round++) {
        int status;
        rein_process *process = attach(fixture);
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        assert_int_equal(kill(fixture->pid, SIGTSTP), 0);
        wait_for(fixture, WUNTRACED, &status);
        assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
        if (round % 2)
            assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
        fixture->process = NULL;
        await_state(fixture->pid, 0, 'T');
        assert_int_equal(proc_tracer(fixture->pid, 0), 0);
        uint64_t before = counter_of(fixture);
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        wait_for(fixture, WCONTINUED, &status);
        for (double limit = now() + LIMIT_S; counter_of(fixture) == before;)
            assert_true(now() < limit);
    }
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M7: killed in a group-stop, held by rein. */
static void M7_killed_in_a_group_stop(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "4", NULL);
    rein_process *process = attach(fixture);
    int status;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
    wait_for(fixture, WUNTRACED, &status);
    assert_int_equal(kill(fixture->pid, SIGKILL), 0);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    struct rein_exit how;
    assert_ok(rein_process_exit(process, &how));
    assert_true(how.signaled && how.signal == SIGKILL);
    wait_for(fixture, 0, &status);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M7_stop_and_continue_by_kill), live_test(M7_SIGSTOP_is_a_real_one),
        live_test(M7_P4_stop_in_a_group_stop),   live_test(M7_SIGCONT_handler),
        live_test(M7_under_its_own_parent),      live_test(M7_P7_detach_in_a_group_stop),
        live_test(M7_killed_in_a_group_stop),
    };
    return live_main(tests);
}
