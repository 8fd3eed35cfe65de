/* M12: exec, by the leader and by another thread. Programs: exec_leader, exec_thread, posix_spawn_loop. */
#include "support.h"

/* M12: a cause of its own; breakpoints of the old image are forgotten, the memory is the new image's. */
static void M12_exec_by_the_leader(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("exec_leader", "4", "2", NULL);
    rein_process *process = fixture->process;
    rein_thread *leader = first_thread(process);
    uint64_t hits = 0;
    for (int generation = 4; generation >= 1; generation--) {
        rein_breakpoint **list = NULL;
        size_t count = 99;
        assert_ok(rein_process_breakpoints(process, &list, &count));
        assert_int_equal(count, 0);
        rein_breakpoint_list_free(list, count);
        rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
        rein_word old_pc = rein_breakpoint_pc(breakpoint);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_CREATE, REIN_IGNORE));
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_EXIT, REIN_REPORT));
        if (generation == 1)
            break;
        rein_thread *thread = run_to(process, REIN_CAUSE_EXEC);
        struct rein_cause cause;
        char text[32];
        assert_int_equal(rein_thread_id(thread), fixture->pid);
        assert_state(thread, REIN_STATE_STOPPED_EXEC);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.former_id, fixture->pid);
        rein_cause_text(&cause, text, sizeof text);
        assert_string_equal(text, "exec");
        rein_cause_clear(&cause);
        assert_state(leader, REIN_STATE_STOPPED_EXEC); /* the same handle */
        assert_int_equal(thread_count(process), 1);
        hits += rein_breakpoint_hits(breakpoint); /* it still answers */
        assert_int_equal(rein_breakpoint_hits(breakpoint), 20);
        assert_word(rein_breakpoint_pc(breakpoint), old_pc);
        assert_error(rein_process_remove_breakpoint(process, old_pc, 0), REIN_NO_BREAKPOINT);
        /* The two others have gone, and that is told, before the exec. */
        int exits = 0;
        struct rein_event event;
        while (rein_process_next_event(process, 0, &event) == 0) {
            if (event.cause.kind == REIN_CAUSE_THREAD_EXIT) {
                exits++;
                assert_int_not_equal(rein_thread_id(event.thread), fixture->pid);
            }
            rein_event_clear(&event);
        }
        assert_int_equal(exits, 2);
        unsigned char code[16], expected[16];
        rein_word hot = address_of(fixture, "hot");
        assert_ok(rein_process_read(process, hot, code, sizeof code, NULL));
        assert_int_equal(raw_read(fixture->pid, hot, expected, sizeof expected), sizeof expected);
        assert_memory_equal(code, expected, sizeof code);
    }
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok exec_leader"));
    assert_int_equal(hits + 20, said_count(fixture, "all_hot"));
}

/* M12: by a thread that is not the leader: it gets the process's id; the others, the leader too, have gone, and
 * that is told. */
static void M12_exec_by_another_thread(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("exec_thread", "4", "2", NULL);
    rein_process *process = fixture->process;
    rein_thread *old_leader = first_thread(process);
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    set_policy(process, REIN_REPORT);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_IGNORE));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_wait(process, LIMIT_MS));
    int exits = 0, creates = 0, execs = 0;
    bool leader_went = false;
    struct rein_event event;
    rein_thread *executing = NULL;
    while (rein_process_next_event(process, 0, &event) == 0) {
        if (event.cause.kind == REIN_CAUSE_THREAD_EXIT) {
            exits++;
            assert_int_equal(execs, 0); /* first they go */
            leader_went = leader_went || event.thread == old_leader;
        }
        creates += event.cause.kind == REIN_CAUSE_THREAD_CREATE;
        if (event.cause.kind == REIN_CAUSE_EXEC) {
            execs++;
            assert_int_equal(event.cause.former_id, said_id(fixture, "exec_from"));
            assert_int_not_equal(event.cause.former_id, fixture->pid);
            executing = rein_thread_ref(event.thread);
        }
        rein_event_clear(&event);
    }
    assert_int_equal(creates, 4);
    assert_int_equal(exits, 4);
    assert_int_equal(execs, 1);
    assert_non_null(executing);
    later_unref_thread(executing);
    assert_int_equal(rein_thread_id(executing), fixture->pid); /* after an exec that of the process */
    assert_state(executing, REIN_STATE_STOPPED_EXEC);
    assert_true(leader_went);
    assert_state(old_leader, REIN_STATE_EXITED);
    assert_int_equal(thread_count(process), 1);
    rein_thread *found = thread_of(process, fixture->pid);
    assert_true(found == executing);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 200);
    char name[16];
    assert_ok(rein_thread_name(executing, name));
    assert_string_equal(name, "exe"); /* it was started as /proc/self/exe */

    rein_breakpoint *second = count_at(process, address_of(fixture, "hot"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(second), 1);
    assert_int_equal(said_count(fixture, "hot_before"), 200);
}

/* M12: other threads are stopped, each by itself, while one executes: they vanish all the same. */
static void M12_others_are_held(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("exec_thread", "4", "2", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_THREAD));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_EXIT, REIN_REPORT));
    add_breakpoint(process, address_of(fixture, "elsewhere")); /* where all but one come to stay */
    assert_ok(rein_process_continue(process));
    int held = 0, exits = 0;
    struct rein_event event;
    for (bool executed = false; !executed;) {
        assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
        held += event.cause.kind == REIN_CAUSE_BREAKPOINT;
        exits += event.cause.kind == REIN_CAUSE_THREAD_EXIT;
        executed = event.cause.kind == REIN_CAUSE_EXEC;
        if (executed) {
            assert_int_equal(rein_thread_id(event.thread), fixture->pid);
            assert_ok(rein_thread_continue(event.thread));
        }
        rein_event_clear(&event);
    }
    assert_true(held <= 3);
    assert_int_equal(exits, 4);
    assert_ends_traced(fixture, 0);
}

/* M12: stopped all the time while it executes again and again. */
static void M12_stops_in_between(void **state)
{
    (void)state;
    static const char *const programs[] = {"exec_leader", "exec_thread"};
    for (int i = 0; i < 2; i++) {
        struct fixture *fixture = i == 0 ? spawn("exec_leader", "10", "3", NULL) : spawn("exec_thread", "4", "8", NULL);
        rein_process *process = fixture->process;
        int stops = 0, result;
        assert_string_equal(fixture->name, programs[i]);
        set_policy(process, REIN_IGNORE);
        for (double limit = now() + LIMIT_S;; stops++) {
            assert_true(now() < limit);
            result = rein_process_continue(process);
            if (result == REIN_EXITED)
                break;
            assert_ok(result);
            result = rein_process_wait(process, stops % 3);
            if (result == REIN_EXITED)
                break;
            result = rein_process_stop(process, LIMIT_MS);
            if (result == REIN_EXITED)
                break;
            if (result != REIN_CANNOT_STOP) /* an exec waits for other threads to die */
                assert_ok(result);
            rein_thread **threads = NULL;
            size_t count;
            result = rein_process_threads(process, &threads, &count);
            if (result == REIN_EXITED)
                break;
            assert_ok(result);
            rein_thread_list_free(threads, count);
        }
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok "));
        struct rein_exit how;
        assert_ok(rein_process_exit(process, &how));
        assert_int_equal(how.status, 0);
    }
}

/* M12: detached at the exec's stop, and attached to again. */
static void M12_detach_at_the_exec(void **state)
{
    (void)state;
    struct fixture *fixture = start_waiting("exec_thread", "3", "3", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
    tell(fixture);
    tell(fixture), tell(fixture); /* each generation waits to be told */
    run_to(process, REIN_CAUSE_EXEC);
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    assert_ends(fixture, 0);
}

/* M12: programs that are executed by children do not concern it, be they there or not. */
static void M12_children_that_execute(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("posix_spawn_loop", "2", "10", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_REPORT));
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    struct rein_event event;
    assert_error(rein_process_next_event(process, 0, &event), REIN_EXITED);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 20);
}

struct adding {
    rein_process *process;
    rein_word pc;
    atomic_bool done;
};

static void *add_all_the_time(void *arg)
{
    struct adding *adding = arg;
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = go_on;
    while (!atomic_load(&adding->done))
        rein_process_add_breakpoint(adding->process, adding->pc, &options, NULL);
    return NULL;
}

/* M12: a breakpoint that is added when the kernel has executed the new program already, and rein has not heard of it yet,
 * does not stay behind in that. */
static void M12_breakpoint_before_the_exec_is_told(void **state)
{
    (void)state;
    skip_if_lent();
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    options.flags = REIN_SPAWN_NO_ASLR; /* the same address in each image */
    char name[] = "exec_leader", generations[] = "300", threads[] = "1";
    char *argv[] = {name, generations, threads, NULL};
    struct fixture *fixture = spawn_with(monitor, &options, "exec_leader", argv);
    struct adding adding = {fixture->process, address_of(fixture, "hot"), false};
    pthread_t adder;
    set_policy(fixture->process, REIN_IGNORE);
    assert_int_equal(pthread_create(&adder, NULL, add_all_the_time, &adding), 0);
    assert_ok(rein_process_continue(fixture->process));
    int result = rein_process_wait(fixture->process, 3 * LIMIT_MS);
    atomic_store(&adding.done, true);
    pthread_join(adder, NULL);
    assert_int_equal(result, REIN_EXITED);
    assert_ends_traced(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M12_exec_by_the_leader),
        live_test(M12_exec_by_another_thread),
        live_test(M12_others_are_held),
        live_test(M12_stops_in_between),
        live_test(M12_detach_at_the_exec),
        live_test(M12_children_that_execute),
        live_test(M12_breakpoint_before_the_exec_is_told),
    };
    return live_main(tests);
}
