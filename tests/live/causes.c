/* C1 C2 C3: the causes, their texts, and policies. Programs: many_threads, fork_loop, vfork_loop, exec_leader,
 * deaths, spin, signals_seen, step_targets, vfork_traceme, uninterruptible. */
#include "support.h"

static void assert_text(const struct rein_cause *cause, const char *expected)
{
    char text[128], small[5];
    int size = rein_cause_text(cause, text, sizeof text);
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
    assert_int_equal(rein_cause_text(cause, small, sizeof small), size);
    assert_int_equal(strlen(small), size < 4 ? (size_t)size : 4);
    assert_memory_equal(small, expected, strlen(small));
}

/* C1: the new thread exists, is stopped, and has not run yet. */
static void C1_C2_thread_create(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("many_threads", "3", "1", NULL);
    rein_process *process = fixture->process;
    struct rein_cause cause;
    rein_thread *maker = run_to(process, REIN_CAUSE_THREAD_CREATE);
    assert_int_equal(rein_thread_id(maker), fixture->pid);
    assert_state(maker, REIN_STATE_STOPPED_THREAD_CREATE);
    assert_ok(rein_thread_cause(maker, &cause));
    assert_text(&cause, "thread create");
    assert_non_null(cause.new_thread);
    assert_int_not_equal(rein_thread_id(cause.new_thread), fixture->pid);
    assert_true(rein_thread_process(cause.new_thread) == process);
    assert_true(rein_state_is_stopped(state_of(cause.new_thread)));
    /* It is behind its clone call, which gave it 0. */
    assert_word(register_of(cause.new_thread, RESULT_REGISTER), 0);
    assert_int_equal(proc_state(fixture->pid, rein_thread_id(cause.new_thread)), 't');
    assert_word(word_at(process, word_at(process, address_of(fixture, "fixture_hot"))), 0);
    rein_cause_clear(&cause);
    rein_cause_clear(&cause); /* once more does nothing */
    assert_null(cause.new_thread);
    rein_cause_clear(NULL);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* C3: registers and memory can still be read. */
static void C3_thread_exit(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("many_threads", "2", "1", NULL);
    rein_process *process = fixture->process;
    struct rein_cause cause;
    rein_thread *thread = run_to(process, REIN_CAUSE_THREAD_EXIT);
    assert_int_not_equal(rein_thread_id(thread), fixture->pid);
    assert_state(thread, REIN_STATE_STOPPED_EXITING);
    assert_ok(rein_thread_cause(thread, &cause));
    assert_text(&cause, "thread exited with status 0");
    assert_false(cause.exit.signaled);
    assert_int_equal(cause.exit.signal, 0);
    rein_cause_clear(&cause);
    rein_word word;
    assert_word(register_of(thread, CALL_REGISTER), SYS_exit);
    assert_ok(rein_thread_read(thread, register_of(thread, STACK_POINTER), &word, sizeof word, NULL));
    assert_ok(rein_thread_write(thread, register_of(thread, STACK_POINTER), &word, sizeof word, NULL));
    set_register_of(thread, KEPT_REGISTER, 1);
    assert_error(rein_thread_step(thread, 0, LIMIT_MS), REIN_BAD_STATE);
    char name[16];
    assert_ok(rein_thread_name(thread, name));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* C1, C2, C3: with status, and from a signal; the process's end says the same. */
static void C2_C3_how_it_ends(void **state)
{
    (void)state;
    static const struct {
        const char *how;
        const char *text;
        int status, signal;
    } ways[] = {
        {"0", "thread exited with status 0", 0, 0},
        {"42", "thread exited with status 42", 42, 0},
        {"255", "thread exited with status 255", 255, 0},
        {"1015", "thread exited from signal SIGTERM", -1, SIGTERM},
        {"1006", "thread exited from signal SIGABRT", -1, SIGABRT},
        {"1009", "thread exited from signal SIGKILL", -1, SIGKILL},
        {"1044", "thread exited from signal SIGRTMIN+10", -1, 44},
        {"2000", "thread exited from signal SIGSEGV", -1, SIGSEGV},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct fixture *fixture = spawn("deaths", ways[i].how, NULL);
        rein_process *process = fixture->process;
        int exits = 0, result;
        struct rein_event event;
        set_policy(process, REIN_REPORT);
        assert_ok(rein_process_continue(process));
        tell(fixture);
        while ((result = rein_process_next_event(process, LIMIT_MS, &event)) == 0) {
            if (event.cause.kind == REIN_CAUSE_THREAD_EXIT) {
                assert_text(&event.cause, ways[i].text);
                exits++;
            }
            rein_event_clear(&event);
        }
        assert_error(result, REIN_EXITED);
        assert_int_equal(exits, 3);
        struct rein_exit how;
        assert_ok(rein_process_exit(process, &how));
        assert_int_equal(how.signaled, ways[i].signal != 0);
        assert_int_equal(how.signal, ways[i].signal);
        assert_int_equal(how.status, ways[i].status);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok deaths"));
    }
}

/* C1: fork, vfork and vfork done. */
static void C1_C2_fork_and_vfork(void **state)
{
    (void)state;
    static const char *const programs[] = {"fork_loop", "vfork_loop"};
    for (int i = 0; i < 2; i++) {
        struct fixture *fixture = spawn(programs[i], "1", "10", NULL);
        rein_process *process = fixture->process;
        struct rein_event event;
        int count[REIN_CAUSE_COUNT] = {0}, child = 0, result;
        set_policy(process, REIN_IGNORE);
        for (int kind = REIN_CAUSE_FORK; kind <= REIN_CAUSE_VFORK_DONE; kind++)
            assert_ok(rein_process_set_policy(process, (enum rein_cause_kind)kind, REIN_REPORT));
        assert_ok(rein_process_continue(process));
        while ((result = rein_process_next_event(process, LIMIT_MS, &event)) == 0) {
            count[event.cause.kind]++;
            assert_true(event.cause.child > 1 && event.cause.child != fixture->pid);
            assert_text(&event.cause, rein_cause_name(event.cause.kind));
            if (event.cause.kind == REIN_CAUSE_VFORK_DONE)
                assert_int_equal(event.cause.child, child);
            else
                assert_int_not_equal(event.cause.child, child);
            child = event.cause.child;
            rein_event_clear(&event);
        }
        assert_error(result, REIN_EXITED);
        assert_int_equal(count[REIN_CAUSE_FORK], i == 0 ? 10 : 0);
        assert_int_equal(count[REIN_CAUSE_VFORK], i == 0 ? 0 : 10);
        assert_int_equal(count[REIN_CAUSE_VFORK_DONE], i == 0 ? 0 : 10);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok "));
    }
}

/* C1: stopped at a fork, the child is free and carries no breakpoint; stopped at a vfork, it shares the memory. */
static void C1_stopped_at_a_fork(void **state)
{
    (void)state;
    static const char *const programs[] = {"fork_loop", "vfork_loop"};
    for (int i = 0; i < 2; i++) {
        struct fixture *fixture = spawn(programs[i], "1", "3", NULL);
        rein_process *process = fixture->process;
        enum rein_cause_kind kind = i == 0 ? REIN_CAUSE_FORK : REIN_CAUSE_VFORK;
        rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(process, kind, REIN_STOP_ALL));
        for (int times = 0; times < 3; times++) {
            struct rein_cause cause;
            unsigned char byte, original;
            rein_thread *thread = run_to(process, kind);
            assert_state(thread, REIN_STATE_STOPPED_FORK);
            assert_ok(rein_thread_cause(thread, &cause));
            if (i == 0) {
                assert_ok(rein_process_read(process, address_of(fixture, "hot"), &original, 1, NULL));
                if (proc_state(cause.child, 0) && proc_state(cause.child, 0) != 'Z') {
                    for (double limit = now() + LIMIT_S; proc_tracer(cause.child, 0) > 0;) {
                        assert_true(now() < limit); /* it is let go, whatever its parent waits for */
                        assert_ok(rein_process_wait(process, 0));
                    }
                    if (raw_read(cause.child, address_of(fixture, "hot"), &byte, 1) == 1)
                        assert_int_equal(byte, original);
                }
            }
            rein_cause_clear(&cause);
        }
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        assert_ends_traced(fixture, 0);
        assert_int_equal(rein_breakpoint_hits(breakpoint), said_count(fixture, "hot"));
    }
}

/* C1: a step's, with every policy: the thread that was stepped stops in any case. */
static void C1_C2_step(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "2", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "step_0"));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    for (int policy = REIN_IGNORE; policy <= REIN_STOP_ALL; policy++) {
        struct rein_cause cause;
        struct rein_event event;
        while (rein_process_next_event(process, 0, &event) == 0)
            rein_event_clear(&event);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_STEP, (enum rein_policy)policy));
        static const char *const labels[] = {"step_1", "step_2", "step_3", "step_4"};
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        assert_word(pc_of(thread), address_of(fixture, labels[policy - REIN_IGNORE]));
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.kind, REIN_CAUSE_STEP);
        assert_text(&cause, "step");
        rein_cause_clear(&cause);
        assert_state(thread, REIN_STATE_STOPPED_STEP);
        if (policy == REIN_IGNORE)
            assert_no_event(process);
        else
            expect_event(process, REIN_CAUSE_STEP);
    }
}

/* C1: what is set is what is, for each kind and all at once; the defaults are the seed's. */
static void C1_policies(void **state)
{
    (void)state;
    static const enum rein_policy defaults[REIN_CAUSE_COUNT] = {
        [REIN_CAUSE_BREAKPOINT] = REIN_STOP_ALL,    [REIN_CAUSE_SIGNAL] = REIN_STOP_ALL,
        [REIN_CAUSE_THREAD_CREATE] = REIN_STOP_ALL, [REIN_CAUSE_THREAD_EXIT] = REIN_STOP_ALL,
        [REIN_CAUSE_EXEC] = REIN_STOP_ALL,          [REIN_CAUSE_FORK] = REIN_IGNORE,
        [REIN_CAUSE_VFORK] = REIN_IGNORE,           [REIN_CAUSE_VFORK_DONE] = REIN_IGNORE,
        [REIN_CAUSE_GROUP_STOP] = REIN_REPORT,      [REIN_CAUSE_STEP] = REIN_STOP_THREAD,
        [REIN_CAUSE_WATCHPOINT] = REIN_STOP_ALL,    [REIN_CAUSE_SYSCALL_ENTRY] = REIN_STOP_ALL,
        [REIN_CAUSE_SYSCALL_EXIT] = REIN_STOP_ALL,
    };
    struct fixture *fixture = spawn("spin", "1", NULL);
    rein_process *process = fixture->process;
    enum rein_policy policy;
    for (int kind = REIN_CAUSE_STOPPED + 1; kind < REIN_CAUSE_COUNT; kind++) {
        assert_ok(rein_process_policy(process, (enum rein_cause_kind)kind, &policy));
        assert_int_equal(policy, defaults[kind]);
        for (int to = REIN_IGNORE; to <= REIN_STOP_ALL; to++) {
            assert_ok(rein_process_set_policy(process, (enum rein_cause_kind)kind, (enum rein_policy)to));
            assert_ok(rein_process_policy(process, (enum rein_cause_kind)kind, &policy));
            assert_int_equal(policy, to);
        }
    }
    for (int to = REIN_IGNORE; to <= REIN_STOP_ALL; to++) {
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, (enum rein_policy)to));
        for (int kind = REIN_CAUSE_STOPPED + 1; kind < REIN_CAUSE_COUNT; kind++) {
            assert_ok(rein_process_policy(process, (enum rein_cause_kind)kind, &policy));
            assert_int_equal(policy, to);
        }
    }
    assert_error(rein_process_set_policy(process, REIN_CAUSE_STOPPED, REIN_IGNORE), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_set_policy(process, (enum rein_cause_kind)99, REIN_IGNORE), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_set_policy(process, (enum rein_cause_kind) - 1, REIN_IGNORE), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_set_policy(process, REIN_CAUSE_EXEC, (enum rein_policy)4), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_set_policy(process, REIN_CAUSE_EXEC, (enum rein_policy) - 1), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_policy(process, REIN_CAUSE_COUNT, &policy), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_policy(process, REIN_CAUSE_STOPPED, &policy), REIN_INVALID_ARGUMENT);
}

/* C1: what each policy does, for breakpoints: nothing told; told; only that thread; all. */
static void C1_what_policies_do(void **state)
{
    (void)state;
    for (int policy = REIN_IGNORE; policy <= REIN_STOP_ALL; policy++) {
        struct fixture *fixture = start_ready("spin", "2", NULL);
        rein_process *process = attach(fixture);
        rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "hot"));
        set_policy(process, (enum rein_policy)policy);
        assert_ok(rein_process_continue(process));
        if (policy == REIN_IGNORE) {
            assert_error(rein_process_wait(process, 50), REIN_TIMEOUT);
            assert_no_event(process);
            assert_true(rein_breakpoint_hits(breakpoint) > 2);
        } else if (policy == REIN_REPORT) {
            for (int i = 0; i < 10; i++)
                assert_word(expect_event(process, REIN_CAUSE_BREAKPOINT)->cause.pc, address_of(fixture, "hot"));
            assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
        } else if (policy == REIN_STOP_THREAD) {
            struct rein_event *one = expect_event(process, REIN_CAUSE_BREAKPOINT);
            struct rein_event *other = expect_event(process, REIN_CAUSE_BREAKPOINT);
            assert_int_not_equal(rein_thread_id(one->thread), rein_thread_id(other->thread));
            assert_error(rein_process_wait(process, 20), REIN_TIMEOUT);
            assert_no_event(process);
            assert_int_equal(rein_breakpoint_hits(breakpoint), 2);
            assert_state(one->thread, REIN_STATE_STOPPED_BREAKPOINT);
            assert_state(thread_of(process, fixture->pid), REIN_STATE_RUNNING);
            assert_ok(rein_thread_continue(one->thread));
            struct rein_event *again = expect_event(process, REIN_CAUSE_BREAKPOINT);
            assert_int_equal(rein_thread_id(again->thread), rein_thread_id(one->thread));
            assert_state(other->thread, REIN_STATE_STOPPED_BREAKPOINT);
        } else {
            struct rein_event *event = expect_event(process, REIN_CAUSE_BREAKPOINT);
            assert_ok(rein_process_wait(process, 0)); /* not told before all have stopped */
            assert_state(event->thread, REIN_STATE_STOPPED_BREAKPOINT);
            assert_state(thread_of(process, fixture->pid), REIN_STATE_STOPPED);
            assert_int_equal(cause_of(thread_of(process, fixture->pid)), REIN_CAUSE_STOPPED);
        }
        assert_ok(rein_process_detach(process, 0));
        assert_free(fixture->pid);
        tell(fixture);
        assert_ends(fixture, 0);
    }
}

struct log_of_causes {
    atomic_int count[REIN_CAUSE_COUNT];
    atomic_int wrong;
};

static enum rein_verdict note(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct log_of_causes *causes = arg;
    rein_registers *registers = NULL;
    atomic_fetch_add(&causes->count[cause->kind], 1);
    if (cause->kind == REIN_CAUSE_THREAD_CREATE && (!cause->new_thread || rein_thread_id(cause->new_thread) <= 1))
        atomic_fetch_add(&causes->wrong, 1);
    /* It is stopped in the kernel, whatever the policy is; a thread that vanished in another's exec is not, nor the last. */
    bool is_there = cause->kind != REIN_CAUSE_THREAD_EXIT && cause->kind != REIN_CAUSE_PROCESS_EXIT;
    if (is_there && rein_thread_registers(thread, &registers) != 0)
        atomic_fetch_add(&causes->wrong, 1);
    rein_registers_free(registers);
    return REIN_VERDICT_POLICY;
}

/* C1: the callback is called for every event, also those that the policy ignores. */
static void C1_callback_sees_everything(void **state)
{
    (void)state;
    struct log_of_causes causes = {{0}, 0};
    struct fixture *fixture = spawn("vfork_loop", "2", "16", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_callback(process, note, &causes));
    add_breakpoint(process, address_of(fixture, "main"));
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(causes.wrong, 0);
    assert_int_equal(causes.count[REIN_CAUSE_BREAKPOINT], 1);
    assert_int_equal(causes.count[REIN_CAUSE_THREAD_CREATE], 2);
    assert_int_equal(causes.count[REIN_CAUSE_THREAD_EXIT], 3);
    assert_int_equal(causes.count[REIN_CAUSE_PROCESS_EXIT], 1);
    assert_int_equal(causes.count[REIN_CAUSE_VFORK], 32);
    assert_int_equal(causes.count[REIN_CAUSE_VFORK_DONE], 32);
    assert_in_range(causes.count[REIN_CAUSE_SIGNAL], 1, 32); /* SIGCHLD, of which two may merge */
    assert_int_equal(causes.count[REIN_CAUSE_FORK] + causes.count[REIN_CAUSE_EXEC] + causes.count[REIN_CAUSE_STOPPED],
                     0);
}

/* A callback taken away is not called any more. */
static void C1_callback_taken_away(void **state)
{
    (void)state;
    struct log_of_causes causes = {{0}, 0};
    struct fixture *fixture = spawn("many_threads", "2", "1", NULL);
    rein_process *process = fixture->process;
    assert_ok(rein_process_set_callback(process, note, &causes));
    run_to(process, REIN_CAUSE_THREAD_CREATE);
    assert_int_equal(causes.count[REIN_CAUSE_THREAD_CREATE], 1);
    assert_ok(rein_process_set_callback(process, NULL, NULL));
    run_to_end(process);
    assert_int_equal(causes.count[REIN_CAUSE_THREAD_CREATE], 1);
}

/* Those that stopped the process and were not taken are not told after the next continue; reported ones are. */
static void C1_events_that_wait(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("many_threads", "2", "1", NULL);
    rein_process *process = fixture->process;
    uint64_t last;
    run_to(process, REIN_CAUSE_THREAD_CREATE);
    last = expect_event(process, REIN_CAUSE_THREAD_CREATE)->sequence;
    assert_no_event(process);
    run_to(process, REIN_CAUSE_THREAD_CREATE); /* not taken */
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_EXIT, REIN_REPORT));
    run_to(process, REIN_CAUSE_THREAD_CREATE);
    struct rein_event event;
    bool exit_told = false;
    int creates = 0;
    while (rein_process_next_event(process, 0, &event) == 0) {
        assert_true(event.sequence > last);
        last = event.sequence;
        creates += event.cause.kind == REIN_CAUSE_THREAD_CREATE;
        exit_told = exit_told || event.cause.kind == REIN_CAUSE_THREAD_EXIT;
        rein_event_clear(&event);
    }
    assert_int_equal(creates, 1);
    (void)exit_told;
    run_to_end(process);
}

/* C1: a vfork child shares the memory; while there is no breakpoint in that, the child is its parent's to trace. */
static void C1_vfork_child_is_left_to_its_parent(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("vfork_traceme", "10", NULL);
    set_policy(fixture->process, REIN_REPORT);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* C1: and when a breakpoint is added while it runs, it survives that, and its hits are counted. */
static void C1_breakpoint_added_beside_a_vfork_child(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct fixture *fixture = spawn("uninterruptible", "0", NULL);
        rein_process *process = fixture->process;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        expect_said(fixture, "ready");
        struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
        rein_breakpoint *breakpoint = NULL;
        options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
        options.callback = go_on;
        assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), &options, &breakpoint));
        later_unref_breakpoint(breakpoint);
        tell(fixture);
        assert_ends_traced(fixture, 0);
        assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(C1_C2_thread_create),
        live_test(C3_thread_exit),
        live_test(C2_C3_how_it_ends),
        live_test(C1_C2_fork_and_vfork),
        live_test(C1_stopped_at_a_fork),
        live_test(C1_vfork_child_is_left_to_its_parent),
        live_test(C1_breakpoint_added_beside_a_vfork_child),
        live_test(C1_C2_step),
        live_test(C1_policies),
        live_test(C1_what_policies_do),
        live_test(C1_callback_sees_everything),
        live_test(C1_callback_taken_away),
        live_test(C1_events_that_wait),
    };
    return live_main(tests);
}
