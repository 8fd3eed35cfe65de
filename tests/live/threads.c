/* P1 T3: the threads of a process, their ids, names, states and causes, and handles that outlive them. Programs:
 * sleepers, leader_exits_first, thread_names, many_threads, spin. */
#include "support.h"

/* P1 */
static void P1_all_threads(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("sleepers", "20", NULL);
    rein_process *process = attach(fixture);
    int ids[64];
    rein_thread **threads = NULL;
    size_t count = 0;
    assert_int_equal(rein_process_id(process), fixture->pid);
    assert_int_equal(proc_threads(fixture->pid, ids, 64), 21);
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_int_equal(count, 21);
    for (size_t i = 0; i < count; i++) {
        size_t found = 0;
        rein_thread *same = NULL;
        for (size_t k = 0; k < count; k++)
            found += rein_thread_id(threads[k]) == ids[i];
        assert_int_equal(found, 1);
        assert_true(rein_thread_process(threads[i]) == process);
        assert_state(threads[i], REIN_STATE_STOPPED);
        assert_int_equal(cause_of(threads[i]), REIN_CAUSE_STOPPED);
        assert_int_equal(proc_tracer(fixture->pid, ids[i]), rein_monitor_id(monitor));
        assert_ok(rein_process_thread(process, ids[i], &same));
        assert_int_equal(rein_thread_id(same), ids[i]);
        rein_thread_unref(same);
    }
    rein_thread_list_free(threads, count);

    const int others[] = {1, 0, -1, getpid(), 0x7fffffff};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        rein_thread *none = NULL;
        int result = rein_process_thread(process, others[i], &none);
        assert_true(result == REIN_NO_THREAD || (others[i] <= 0 && result == REIN_INVALID_ARGUMENT));
        assert_null(none);
    }
}

/* P1 */
static void P1_no_zombies(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("leader_exits_first", "3", NULL);
    rein_process *process = attach(fixture);
    rein_thread **threads = NULL;
    size_t count = 0;
    assert_int_equal(proc_state(fixture->pid, 0), 'Z');
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(rein_thread_id(threads[i]), fixture->pid);
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 7);
}

/* P1: the list follows what the process does. */
static void P1_the_list_follows(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("sleepers", "5", NULL);
    rein_process *process = fixture->process;
    assert_int_equal(thread_count(process), 1);
    for (size_t created = 1; created <= 5; created++) {
        run_to(process, REIN_CAUSE_THREAD_CREATE);
        assert_int_equal(thread_count(process), created + 1);
        assert_int_equal(proc_threads(fixture->pid, NULL, 0), created + 1);
    }
    tell(fixture);
    for (size_t last = 6;;) { /* then they end, one or more at a time */
        int result = rein_process_continue(process);
        if (result == 0)
            result = rein_process_wait(process, LIMIT_MS);
        if (result == REIN_EXITED)
            break;
        assert_ok(result);
        size_t count = thread_count(process);
        assert_in_range(count, 1, last);
        assert_true(proc_threads(fixture->pid, NULL, 0) >= count);
        last = count;
    }
    rein_thread **threads = (rein_thread **)&threads;
    size_t count = 99;
    if (rein_process_threads(process, &threads, &count) == 0) {
        assert_int_equal(count, 0);
        assert_null(threads);
        rein_thread_list_free(threads, count);
    } else {
        assert_says(rein_error_message(), "exited");
    }
}

/* P1 */
static void P1_names(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", "a b", ") Z 1",      "exactly15bytes!",
                                        "",      "((",  "two\nlines", "\xff\x01\x7f"};
    struct fixture *fixture = start_ready("thread_names", NULL);
    rein_process *process = attach(fixture);
    char name[16], key[16];
    assert_ok(rein_thread_name(thread_of(process, fixture->pid), name));
    assert_string_equal(name, "leader");
    assert_int_equal(thread_count(process), 1 + sizeof names / sizeof *names);
    for (int running = 0; running < 2; running++) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            snprintf(key, sizeof key, "thread%zu", i);
            rein_thread *thread = thread_of(process, said_id(fixture, key));
            memset(name, 'x', sizeof name);
            assert_ok(rein_thread_name(thread, name));
            assert_string_equal(name, names[i]);
        }
        if (!running)
            assert_ok(rein_process_continue(process));
    }
    rein_thread *gone = thread_of(process, fixture->pid);
    assert_ok(rein_process_kill(process));
    assert_error(rein_thread_name(gone, name), REIN_NO_THREAD);
}

/* T3, E1 */
static void T3_cause_only_when_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    struct rein_cause cause;
    char text[64], id[16];
    snprintf(id, sizeof id, "%d", rein_thread_id(thread));
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_STOPPED);
    assert_int_equal(rein_cause_text(&cause, text, sizeof text), 7);
    assert_string_equal(text, "stopped");
    rein_cause_clear(&cause);

    assert_ok(rein_process_continue(process));
    assert_error_says(rein_thread_cause(thread, &cause), REIN_BAD_STATE, id);
    assert_says(rein_error_message(), "Running");
    assert_state(thread, REIN_STATE_RUNNING);
}

/* P1, T3, M9: a handle of a thread that is gone answers who it was and how it ended. */
static void P1_T3_handles_outlive_their_threads(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("many_threads", "20", "1", NULL);
    rein_process *process = fixture->process;
    rein_thread *threads[21];
    int ids[21];
    size_t count = 0;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_CREATE, REIN_REPORT));
    assert_ok(rein_process_continue(process));
    while (count < 21) {
        struct rein_event *event = expect_event(process, REIN_CAUSE_THREAD_CREATE);
        assert_non_null(event->cause.new_thread);
        threads[count] = event->cause.new_thread; /* the event holds it until the end of the test */
        ids[count++] = rein_thread_id(event->cause.new_thread);
    }
    assert_ends_traced(fixture, 0);
    for (size_t i = 0; i < count; i++) {
        struct rein_cause cause;
        rein_registers *registers = NULL;
        char name[16], byte;
        assert_int_equal(rein_thread_id(threads[i]), ids[i]);
        assert_true(rein_thread_process(threads[i]) == process);
        assert_state(threads[i], REIN_STATE_EXITED);
        assert_ok(rein_thread_cause(threads[i], &cause));
        assert_int_equal(cause.kind, REIN_CAUSE_THREAD_EXIT);
        assert_false(cause.exit.signaled);
        assert_int_equal(cause.exit.status, 0);
        rein_cause_clear(&cause);
        assert_error(rein_thread_name(threads[i], name), REIN_NO_THREAD);
        assert_fails(rein_thread_registers(threads[i], &registers));
        assert_null(registers);
        assert_fails(rein_thread_step(threads[i], 0, 0));
        assert_fails(rein_thread_continue(threads[i]));
        assert_fails(rein_thread_stop(threads[i], 0));
        assert_fails(rein_thread_wait(threads[i], 0));
        assert_fails(rein_thread_read(threads[i], 0x1000, &byte, 1, NULL));
        assert_fails(rein_thread_set_signal(threads[i], 0));
    }
}

/* P1, P8: a thread made with CLONE_UNTRACED, which the kernel tells nobody of, is seen when the process is stopped the next
 * time; from then on it is one like any other. */
static void P1_P8_clone_untraced(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("clone_untraced", "100", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    int id = said_id(fixture, "untraced");
    assert_int_equal(proc_tracer(fixture->pid, id), 0);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_int_equal(thread_count(process), 2);
    rein_thread *thread = thread_of(process, id);
    assert_true(rein_state_is_stopped(state_of(thread)));
    assert_int_equal(proc_state(fixture->pid, id), 't');
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 100);
}

/* One thread by itself, while all others run: non-stop. */
static void P4_P5_P6_one_thread_alone(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "4", NULL);
    rein_process *process = attach(fixture);
    rein_thread **threads = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_ok(rein_process_continue(process));
    for (size_t i = 0; i < count; i++) {
        assert_error(rein_thread_wait(threads[i], 0), REIN_TIMEOUT);
        assert_ok(rein_thread_stop(threads[i], LIMIT_MS));
        assert_state(threads[i], REIN_STATE_STOPPED);
        assert_int_equal(cause_of(threads[i]), REIN_CAUSE_STOPPED);
        assert_ok(rein_thread_wait(threads[i], 0));
        assert_ok(rein_thread_stop(threads[i], 0)); /* it is */
        for (size_t k = 0; k < count; k++) {
            if (k != i)
                assert_state(threads[k], REIN_STATE_RUNNING);
        }
        assert_int_equal(proc_state(fixture->pid, rein_thread_id(threads[i])), 't');
        assert_ok(rein_thread_continue(threads[i]));
        assert_state(threads[i], REIN_STATE_RUNNING);
    }
    rein_thread_list_free(threads, count);
    assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P1_all_threads),
        live_test(P1_no_zombies),
        live_test(P1_the_list_follows),
        live_test(P1_names),
        live_test(T3_cause_only_when_stopped),
        live_test(P1_T3_handles_outlive_their_threads),
        live_test(P1_P8_clone_untraced),
        live_test(P4_P5_P6_one_thread_alone),
    };
    return live_main(tests);
}
