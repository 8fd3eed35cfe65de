/* M9 C3: the end of a process, in all orders. Programs: exit_race, exit_orders, deaths, leader_exits_first, spin,
 * many_threads. */
#include "support.h"

static void assert_exited(rein_process *process, int status)
{
    struct rein_exit how;
    assert_ok(rein_process_exit(process, &how));
    int ended = how.signaled ? -how.signal : how.status;
    if (ended != status)
        fail_msg("ended with %d, not %d", ended, status);
    assert_int_equal(how.signaled, status < 0);
    assert_int_equal(status < 0 ? how.status : -1, -1);
}

/* M9: then every call says that it has exited; how can be asked. */
static void M9_after_the_end(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("deaths", "42", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process), *none = NULL;
    rein_registers *registers = NULL;
    rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "main"));
    struct rein_exit how;
    struct rein_event event;
    unsigned char byte;
    assert_error(rein_process_exit(process, &how), REIN_BAD_STATE);
    set_policy(process, REIN_IGNORE);
    tell(fixture);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_exited(process, 42);
    char words[8] = "42";
    assert_error(rein_process_stop(process, -1), REIN_EXITED);
    assert_error_says(rein_process_continue(process), REIN_EXITED, words);
    assert_error(rein_process_wait(process, -1), REIN_EXITED);
    assert_error(rein_process_next_event(process, -1, &event), REIN_EXITED);
    assert_error(rein_process_detach(process, 0), REIN_EXITED);
    assert_error(rein_process_kill(process), REIN_EXITED);
    assert_error(rein_process_add_breakpoint(process, 0x1000, NULL, NULL), REIN_EXITED);
    assert_error(rein_process_remove_breakpoint(process, 0x1000, 0), REIN_EXITED);
    assert_error(rein_process_read(process, 0x1000, &byte, 1, NULL), REIN_EXITED);
    assert_error(rein_process_write(process, 0x1000, &byte, 1, NULL), REIN_EXITED);
    assert_fails(rein_thread_stop(thread, -1));
    assert_fails(rein_thread_continue(thread));
    assert_fails(rein_thread_wait(thread, -1));
    assert_fails(rein_thread_step(thread, 0, -1));
    assert_fails(rein_thread_registers(thread, &registers));
    assert_fails(rein_process_thread(process, fixture->pid, &none));
    assert_null(none);
    assert_state(thread, REIN_STATE_EXITED);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    assert_int_equal(rein_process_id(process), fixture->pid);
    assert_int_equal(proc_state(fixture->pid, 0), 0); /* nobody is left to be waited for */
}

/* M9, C3: all orders of ends, each policy; every thread's end is told once, the process's last. */
static void M9_C3_exit_race(void **state)
{
    (void)state;
    static const int statuses[] = {3, 3, -SIGKILL, -SIGSEGV, 0, 0};
    for (int variant = 0; variant < 6; variant++) {
        for (int round = 0; round < 8; round++) {
            char number[8];
            snprintf(number, sizeof number, "%d", variant);
            struct fixture *fixture = spawn("exit_race", number, "8", NULL);
            rein_process *process = fixture->process;
            struct rein_event event;
            int exits = 0, result;
            if (round % 4 < 2) { /* all-stop */
                add_breakpoint(process, address_of(fixture, "hot"));
                for (;;) {
                    result = rein_process_continue(process);
                    if (result == REIN_EXITED)
                        break;
                    assert_ok(result);
                    result = rein_process_wait(process, LIMIT_MS);
                    while (rein_process_next_event(process, 0, &event) == 0) {
                        exits += event.cause.kind == REIN_CAUSE_THREAD_EXIT;
                        rein_event_clear(&event);
                    }
                    if (result == REIN_EXITED)
                        break;
                    assert_ok(result);
                }
                while (rein_process_next_event(process, 0, &event) == 0) { /* the continue came too late */
                    exits += event.cause.kind == REIN_CAUSE_THREAD_EXIT;
                    rein_event_clear(&event);
                }
            } else {
                set_policy(process, round % 4 == 2 ? REIN_REPORT : REIN_IGNORE);
                assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_EXIT, REIN_REPORT));
                count_at(process, address_of(fixture, "hot"));
                assert_ok(rein_process_continue(process));
                while ((result = rein_process_next_event(process, LIMIT_MS, &event)) == 0) {
                    exits += event.cause.kind == REIN_CAUSE_THREAD_EXIT;
                    rein_event_clear(&event);
                }
            }
            assert_error(result, REIN_EXITED);
            assert_exited(process, statuses[variant]);
            assert_int_equal(exits, 9);
            read_to_end(fixture);
            assert_non_null(has_said(fixture, "ok "));
        }
    }
}

/* M9, P6: SIGKILL ends a process that is stopped, after the caller has looked for events and before it continues: the
 * continue forgets none of the exits. (It did: of one that was told in between, see M9_C3_exit_race.) */
static void M9_P6_killed_before_the_continue(void **state)
{
    (void)state;
    skip_if_lent(); /* there nothing is told but in a call */
    for (int round = 0; round < 20; round++) {
        struct fixture *fixture = start_ready("spin", "4", NULL);
        rein_process *process = attach(fixture);
        struct rein_event event;
        int fd = -1, exits = 0, result;
        assert_no_event(process);
        assert_ok(rein_process_event_fd(process, &fd));
        assert_int_equal(kill(fixture->pid, SIGKILL), 0);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, LIMIT_MS), 1);
        do {
            result = rein_process_continue(process);
            if (result == 0)
                result = rein_process_wait(process, LIMIT_MS);
            while (rein_process_next_event(process, 0, &event) == 0) {
                assert_int_equal(event.cause.kind, REIN_CAUSE_THREAD_EXIT);
                exits++;
                rein_event_clear(&event);
            }
        } while (result == 0);
        assert_error(result, REIN_EXITED);
        assert_exited(process, -SIGKILL);
        assert_int_equal(exits, 5);
    }
}

/* M9: exit_group in the midst of thread creation. */
static void M9_exit_orders(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        struct fixture *fixture = spawn("exit_orders", "30", NULL);
        rein_process *process = fixture->process;
        set_policy(process, round % 3 == 0 ? REIN_STOP_ALL : round % 3 == 1 ? REIN_REPORT : REIN_IGNORE);
        rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
        run_to_end(process);
        assert_exited(process, 3);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok "));
        if (rein_breakpoint_hits(breakpoint) < said_count(fixture, "hot"))
            fail_msg("round %d: hit %" PRIu64 " times, counted %" PRIu64, round, rein_breakpoint_hits(breakpoint),
                     said_count(fixture, "hot"));
    }
}

/* M9: SIGKILL from outside at any moment: running, stopped, being stopped, stepped, written to. */
static void M9_killed_at_any_moment(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct fixture *fixture = start_ready("spin", "5", NULL);
        rein_process *process = attach(fixture);
        rein_word pc = address_of(fixture, "hot"), cold = address_of(fixture, "cold");
        rein_thread *thread = thread_of(process, fixture->pid);
        unsigned char byte;
        struct rein_exit how;
        int killer = fork();
        assert_true(killer >= 0);
        if (killer == 0) {
            usleep((unsigned)(round % 12) * 200);
            kill(fixture->pid, SIGKILL);
            _exit(0);
        }
        if (round % 2)
            assert_true(rein_process_add_breakpoint(process, pc, NULL, NULL) <= 0);
        int result = 0;
        bool killed = false;
        for (double limit = now() + LIMIT_S; result != REIN_EXITED && now() < limit;) {
            switch (round % 5) {
            case 0:
                result = rein_process_continue(process);
                if (result == 0)
                    result = rein_process_stop(process, LIMIT_MS);
                break;
            case 1:
                result = rein_process_continue(process);
                if (result == 0)
                    result = rein_process_wait(process, 5);
                break;
            case 2:
                result = rein_thread_step(thread, 0, 5);
                if (result == REIN_TIMEOUT)
                    result = rein_thread_stop(thread, LIMIT_MS);
                break;
            case 3:
                result = rein_process_read(process, cold, &byte, 1, NULL);
                if (result == 0)
                    result = rein_process_write(process, cold, &byte, 1, NULL);
                break;
            default:
                result = rein_process_wait(process, 0); /* it is stopped, until it is killed */
            }
            /* Its threads may be stopped once more, at their end. */
            killed = killed || waitpid(killer, NULL, WNOHANG) == killer;
            if (killed && rein_process_exit(process, &how) != 0)
                (void)rein_process_continue(process);
            if (killed)
                (void)rein_process_wait(process, 1); /* a lent monitor works in a call that waits */
            result = rein_process_exit(process, &how) == 0 ? REIN_EXITED : 0; /* the thread may be gone before that */
        }
        if (result != REIN_EXITED)
            fail_msg("round %d: %s: %s", round, rein_error_name(result), rein_error_message());
        assert_exited(process, -SIGKILL);
        if (!killed)
            assert_int_equal(waitpid(killer, NULL, 0), killer);
        int status;
        wait_for(fixture, 0, &status);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}

/* M9: the leader's exit comes last although it left first. */
static void M9_leader_first(void **state)
{
    (void)state;
    for (int policy = REIN_IGNORE; policy <= REIN_STOP_ALL; policy++) {
        if (policy == REIN_STOP_THREAD)
            continue;
        struct fixture *fixture = spawn("leader_exits_first", "3", "50", NULL);
        rein_process *process = fixture->process;
        rein_thread *leader = thread_of(process, fixture->pid);
        rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
        set_policy(process, (enum rein_policy)policy);
        run_to_end(process);
        assert_exited(process, 7);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok "));
        assert_int_equal(rein_breakpoint_hits(breakpoint), 150);
        struct rein_cause cause;
        assert_ok(rein_thread_cause(leader, &cause));
        assert_int_equal(cause.kind, REIN_CAUSE_THREAD_EXIT);
        assert_int_equal(cause.exit.status, 0); /* its own */
        rein_cause_clear(&cause);
    }
}

/* M9: while the leader is a zombie and others run, the process has not exited; its zombie is no thread. */
static void M9_zombie_leader_state(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("leader_exits_first", "2", NULL);
    rein_process *process = fixture->process;
    rein_thread *leader = thread_of(process, fixture->pid);
    struct rein_exit how;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    for (double limit = now() + LIMIT_S; proc_state(fixture->pid, 0) != 'Z';) {
        assert_true(now() < limit);
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
    }
    assert_error(rein_process_wait(process, 10), REIN_TIMEOUT);
    assert_error(rein_process_exit(process, &how), REIN_BAD_STATE);
    assert_int_equal(thread_count(process), 2);
    enum rein_state leader_state = state_of(leader);
    assert_true(rein_state_is_zombie(leader_state) || leader_state == REIN_STATE_EXITED);
    assert_ok(rein_process_stop(process, LIMIT_MS)); /* it holds up nothing */
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_exited(process, 7);
}

/* Kill: from each state; nothing of it is reported. */
static void M9_kill(void **state)
{
    (void)state;
    for (int how = 0; how < 5; how++) {
        struct fixture *fixture = start_ready(how == 4 ? "sleepers" : "spin", "4", NULL);
        if (how == 4)
            await_state(fixture->pid, 0, 'S');
        rein_process *process = attach(fixture);
        struct rein_event event;
        int status;
        switch (how) {
        case 0:
            break;
        case 1:
            assert_ok(rein_process_continue(process));
            break;
        case 2:
            add_breakpoint(process, address_of(fixture, "hot"));
            set_policy(process, REIN_STOP_THREAD);
            assert_ok(rein_process_continue(process));
            expect_event(process, REIN_CAUSE_BREAKPOINT);
            while (rein_process_next_event(process, 20, &event) == 0)
                rein_event_clear(&event);
            break;
        case 3:
            set_policy(process, REIN_IGNORE);
            assert_ok(rein_process_continue(process));
            kill(fixture->pid, SIGSTOP);
            assert_error(rein_process_wait(process, 20), REIN_TIMEOUT);
            break;
        default:
            assert_error(rein_thread_step(first_thread(process), 0, 20), REIN_TIMEOUT);
        }
        assert_ok(rein_process_kill(process));
        assert_error(rein_process_next_event(process, 0, &event), REIN_EXITED);
        assert_exited(process, -SIGKILL);
        wait_for(fixture, 0, &status);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
}

struct killing {
    rein_process *process;
    atomic_int result;
};

static enum rein_verdict kill_it(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct killing *killing = arg;
    (void)thread, (void)breakpoint;
    atomic_store(&killing->result, rein_process_kill(killing->process));
    return REIN_VERDICT_POLICY;
}

/* Kill in a callback returns at once. */
static void M9_M1_kill_in_a_callback(void **state)
{
    (void)state;
    for (int policy = REIN_IGNORE; policy <= REIN_STOP_ALL; policy++) {
        struct fixture *fixture = start_ready("spin", "4", NULL);
        rein_process *process = attach(fixture);
        struct killing killing = {process, 1};
        struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
        options.callback = kill_it;
        options.arg = &killing;
        set_policy(process, (enum rein_policy)policy);
        assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), &options, NULL));
        assert_ok(rein_process_continue(process));
        int result;
        for (double limit = now() + LIMIT_S; (result = rein_process_wait(process, LIMIT_MS)) == 0 && now() < limit;)
            rein_process_continue(process);
        assert_error(result, REIN_EXITED);
        assert_true(killing.result == 0 || killing.result == REIN_EXITED);
        assert_exited(process, -SIGKILL);
    }
}

/* M9: stops racing with the end. */
static void M9_stop_racing_with_the_end(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct fixture *fixture = spawn("exit_race", round % 2 ? "0" : "4", "6", NULL);
        rein_process *process = fixture->process;
        int result = 0;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        assert_true(rein_process_wait(process, round % 4) != 0);
        for (double limit = now() + LIMIT_S; now() < limit;) {
            result = rein_process_stop(process, LIMIT_MS);
            if (result == REIN_EXITED)
                break;
            if (result != REIN_CANNOT_STOP)
                assert_ok(result);
            result = rein_process_continue(process);
            if (result == REIN_EXITED)
                break;
            assert_ok(result);
        }
        assert_error(result, REIN_EXITED);
        assert_exited(process, round % 2 ? 3 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M9_after_the_end),
        live_test(M9_C3_exit_race),
        live_test(M9_P6_killed_before_the_continue),
        live_test(M9_exit_orders),
        live_test(M9_killed_at_any_moment),
        live_test(M9_leader_first),
        live_test(M9_zombie_leader_state),
        live_test(M9_kill),
        live_test(M9_M1_kill_in_a_callback),
        live_test(M9_stop_racing_with_the_end),
    };
    return live_main(tests);
}
