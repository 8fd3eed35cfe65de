/* P1, P4, P5, P7, P8: many threads. All of 3,000 are held and let go (what that costs: costs.c); attaching succeeds, and
 * holds everybody, while threads are made all the time. REIN_ROUNDS is how often that is tried (100 when unset).
 * Programs: sleepers, many_threads. */
#include "apart.h"

/* Every thread is held by the monitor, and stopped. */
static void assert_all_held(int pid)
{
    static int ids[8192];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        char state = proc_state(pid, ids[i]);
        /* A newborn may be on its way to its first stop, before it runs any code. */
        for (double limit = now() + LIMIT_S; state != 't' && state != 'Z' && state != 'X' && state && now() < limit;) {
            sleep_ms(1);
            state = proc_state(pid, ids[i]);
        }
        if (state != 't' && state != 'Z' && state != 'X' && state)
            fail_msg("thread %d of %d is in state %c", ids[i], pid, state);
        if (state == 't')
            assert_int_equal(proc_tracer(pid, ids[i]), rein_monitor_id(monitor));
    }
}

/* Nobody is held any more after a detach. Who was on the way out may be seen for a moment; a lent monitor lets such a one go
 * in a later call. */
static void await_let_go(rein_process *process)
{
    for (double limit = now() + LIMIT_S; monitor_kind() == REIN_MONITOR_LENT && now() < limit; sleep_ms(1)) {
        assert_error(rein_process_wait(process, 0), REIN_DETACHED);
        if (is_free(rein_process_id(process)))
            return;
    }
    await_free(rein_process_id(process), LIMIT_MS);
}

static void P8_P4_P5_P7_three_thousand_threads(void **state)
{
    (void)state;
    alarm(100);
    struct fixture *fixture = start_ready("sleepers", "3000", NULL);
    rein_process *process = NULL;
    assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
    assert_int_equal(thread_count(process), 3001);
    assert_all_held(fixture->pid);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_all_held(fixture->pid);
    assert_ok(rein_process_detach(process, 0));
    await_let_go(process);
    rein_process_unref(process);
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- While threads are made ---- */

static int rounds(void)
{
    const char *text = getenv("REIN_ROUNDS");
    int count = text ? atoi(text) : 100;
    return count > 0 ? count : 100;
}

static void check_listed(rein_process *process)
{
    static int ids[8192];
    size_t there = proc_threads(rein_process_id(process), ids, sizeof ids / sizeof *ids), alive = 0;
    for (size_t i = 0; i < there; i++) {
        rein_thread *thread = NULL;
        if (proc_state(rein_process_id(process), ids[i]) != 't')
            continue;
        alive++;
        int result = rein_process_thread(process, ids[i], &thread);
        /* It may be on its way out, a zombie to rein already; nobody else may be unknown. */
        if (result != 0)
            assert_error(result, REIN_NO_THREAD);
        rein_thread_unref(thread);
    }
    assert_true(thread_count(process) <= alive);
}

static void P8_P1_attach_while_threads_are_made(void **state)
{
    (void)state;
    alarm((unsigned)(60 + rounds()));
    struct fixture *fixture = start_ready("many_threads", "0", "4", NULL);
    for (int i = 0; i < rounds(); i++) {
        rein_process *process = NULL;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_all_held(fixture->pid);
        check_listed(process);
        if (i % 3 == 1) { /* on, and stopped again */
            set_policy(process, REIN_IGNORE);
            assert_ok(rein_process_continue(process));
            assert_error(rein_process_wait(process, 2), REIN_TIMEOUT);
            assert_ok(rein_process_stop(process, LIMIT_MS));
            assert_all_held(fixture->pid);
        }
        assert_ok(rein_process_detach(process, 0));
        await_let_go(process);
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

static void P8_attach_running_while_threads_are_made(void **state)
{
    (void)state;
    alarm((unsigned)(60 + rounds()));
    struct fixture *fixture = start_ready("many_threads", "0", "4", NULL);
    for (int i = 0; i < rounds(); i++) {
        struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
        rein_process *process = NULL;
        options.flags = REIN_ATTACH_RUNNING;
        assert_ok(rein_attach(monitor, fixture->pid, &options, &process));
        set_policy(process, REIN_IGNORE);
        if (i % 2) {
            assert_ok(rein_process_stop(process, LIMIT_MS));
            assert_all_held(fixture->pid);
        }
        assert_ok(rein_process_detach(process, 0));
        await_let_go(process);
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Breakpoints that go in with each attach and out with each detach; the program counts its calls, and comes to its end. */
static void P7_P8_with_a_breakpoint_each_time(void **state)
{
    (void)state;
    alarm((unsigned)(60 + rounds()));
    struct fixture *fixture = start_ready("many_threads", "0", "4", NULL);
    rein_word hot = address_of(fixture, "hot");
    unsigned char before, after;
    assert_int_equal(raw_read(fixture->pid, hot, &before, 1), 1);
    for (int i = 0; i < rounds(); i++) {
        rein_process *process = NULL;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_add_breakpoint(process, hot, NULL, NULL));
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, 1 + i % 4), REIN_TIMEOUT);
        assert_ok(rein_process_detach(process, 0));
        assert_int_equal(raw_read(fixture->pid, hot, &after, 1), 1);
        assert_int_equal(before, after);
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        live_test(P8_P4_P5_P7_three_thousand_threads),
        live_test(P8_P1_attach_while_threads_are_made),
        live_test(P8_attach_running_while_threads_are_made),
        live_test(P7_P8_with_a_breakpoint_each_time),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return live_main(tests);
}
