/* N3: software watchpoints (REIN_WATCH_SOFTWARE), on every machine. Exact counts whatever the threads do, and programs
 * that do not notice that they are stepped. Programs: watched and stepped, whose own counts are the measure; popf_pushf and
 * others that check themselves.
 *
 * A program is run to its main first, for what is stepped is slow. */
#include "watched.h"

#define TARGET_SIZE 8

struct told {
    atomic_ulong hits, of_others; /* than that thread */
    int expected;
    rein_word pc, old_value, value;
    int id;
};

static enum rein_verdict note(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct told *told = arg;
    if (told) {
        atomic_fetch_add(&told->hits, 1);
        told->pc = cause->pc;
        told->old_value = cause->old_value;
        told->value = cause->value;
        told->id = rein_thread_id(thread);
        atomic_fetch_add(&told->of_others, told->id != told->expected);
    }
    return REIN_VERDICT_GO_ON;
}

static rein_watchpoint *watch_with(rein_process *process, rein_word address, size_t size, unsigned flags,
                                   rein_watchpoint_callback callback, struct told *told)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_watchpoint *watchpoint = NULL;
    options.flags = REIN_WATCH_SOFTWARE | flags;
    options.callback = callback;
    options.arg = told;
    assert_ok(rein_process_add_watchpoint(process, address, size, REIN_WATCH_WRITE, &options, &watchpoint));
    later_unref_watchpoint(watchpoint);
    return watchpoint;
}

static rein_watchpoint *count_in(struct fixture *fixture, const char *symbol, size_t size, struct told *told)
{
    return watch_with(fixture->process, address_of(fixture, symbol), size, REIN_WATCH_WHILE_RUNNING, note, told);
}

/* Only breakpoints stop it from here on, and there is one at that function, which it is at. */
static void run_to_function(struct fixture *fixture, const char *symbol)
{
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(fixture->process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    rein_word pc = address_of(fixture, symbol);
    add_breakpoint(fixture->process, pc);
    run_to(fixture->process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_process_remove_breakpoint(fixture->process, pc, 0));
}

/* On a busy machine each of many thousand steps waits for a processor: so it has more time than others. */
static void run_all(struct fixture *fixture)
{
    enum { MORE = 8 };
    int result = REIN_TIMEOUT;
    alarm(MORE * (unsigned)LIMIT_MS / 1000 + 60);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    for (int i = 0; i < MORE && result == REIN_TIMEOUT; i++)
        result = rein_process_wait(fixture->process, LIMIT_MS);
    assert_error(result, REIN_EXITED);
    assert_ends_traced(fixture, 0);
}

static void await_hits(rein_process *process, const rein_watchpoint *watchpoint, uint64_t hits)
{
    for (double limit = now() + LIMIT_MS / 1000.0; rein_watchpoint_hits(watchpoint) < hits;)
        assert_true(now() < limit && rein_process_wait(process, 1) == REIN_TIMEOUT);
}

static void await_threads(rein_process *process, size_t count)
{
    for (double limit = now() + LIMIT_MS / 1000.0; thread_count(process) < count; sleep_ms(1))
        assert_true(now() < limit);
}

static void N3_software_E1_arguments(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "step", NULL);
    rein_process *process = fixture->process;
    rein_word area = address_of(fixture, "area");
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = REIN_WATCH_SOFTWARE;
    assert_error_says(rein_process_add_watchpoint(process, area, 8, REIN_WATCH_READ_WRITE, &options, NULL),
                      REIN_INVALID_ARGUMENT, "sees that a value has changed, and nothing else");
    assert_error_says(rein_process_add_watchpoint(process, area, 1, REIN_WATCH_EXECUTE, &options, NULL),
                      REIN_INVALID_ARGUMENT, "REIN_WATCH_WRITE");
    assert_error_says(rein_process_add_watchpoint(process, area, 4097, REIN_WATCH_WRITE, &options, NULL),
                      REIN_INVALID_ARGUMENT, "at most 4096 bytes");
    assert_error_says(rein_process_add_watchpoint(process, 16, 4, REIN_WATCH_WRITE, &options, NULL), REIN_BAD_ADDRESS,
                      "has no memory there");
    for (unsigned i = 0; i < 16; i++)
        watch_with(process, area + i, 33, 0, NULL, NULL);
    assert_error_says(rein_process_add_watchpoint(process, area, 8, REIN_WATCH_WRITE, &options, NULL), REIN_NO_SLOT,
                      "16 software watchpoints");
}

/* All threads are stopped at each change; each has its old and new value, and who made it. */
static void N3_software_C1_stop_and_values(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "loop", "1", "5", NULL);
    rein_process *process = fixture->process;
    rein_word target = address_of(fixture, "target"), bump = address_of(fixture, "bump");
    run_to_function(fixture, "main");
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_WATCHPOINT, REIN_STOP_ALL));
    rein_watchpoint *watchpoint = watch_with(process, target, TARGET_SIZE, 0, NULL, NULL);
    uint64_t before = 0;
    for (uint64_t i = 0; i < 5; i++) {
        struct rein_cause cause;
        rein_thread *thread = run_to(process, REIN_CAUSE_WATCHPOINT);
        assert_state(thread, REIN_STATE_STOPPED_WATCHPOINT);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_true(cause.watchpoint == watchpoint && cause.value_known);
        assert_word(cause.old_value, before);
        assert_word(cause.value, before + 1);
        assert_word(cause.pc, pc_of(thread));
        assert_true(cause.pc > bump && cause.pc < bump + 20);
        rein_cause_clear(&cause);
        assert_int_equal(rein_watchpoint_hits(watchpoint), i + 1);
        before++;
        if (i == 2) { /* rein's own writes are no hits; the old value knows of them */
            before = 100;
            assert_ok(rein_process_write(process, target, &before, sizeof before, NULL));
        }
    }
    before = 5;
    assert_ok(rein_process_write(process, target, &before, sizeof before, NULL));
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 5);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 5);
}

/* Also with a breakpoint at the instruction that writes: each is a hit of both, once. */
static void N3_software_many_threads_exact(void **state)
{
    (void)state;
    for (int with_breakpoint = 0; with_breakpoint < 2; with_breakpoint++) {
        struct fixture *fixture = spawn("watched", "loop", "4", "20", NULL);
        run_to_function(fixture, "main");
        rein_breakpoint *breakpoint = with_breakpoint ? count_at(fixture->process, address_of(fixture, "bump")) : NULL;
        rein_watchpoint *watchpoint = count_in(fixture, "target", TARGET_SIZE, NULL);
        run_all(fixture);
        assert_int_equal(said_count(fixture, "target"), 80);
        assert_int_equal(rein_watchpoint_hits(watchpoint), 80);
        if (breakpoint)
            assert_int_equal(rein_breakpoint_hits(breakpoint), 80);
    }
}

/* They are stepped from birth, each is the one that has written. */
static void N3_software_newborn_threads(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "newborn", "5", "3", NULL);
    struct told told = {.hits = 0};
    run_to_function(fixture, "main");
    rein_watchpoint *watchpoint = count_in(fixture, "target", TARGET_SIZE, &told);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 15);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 15);
    assert_true(told.id != fixture->pid);
}

/* The kernel's write is the call's, also when the call's exit is told, too. */
static void N3_software_kernel_writes(void **state)
{
    (void)state;
    for (int traced = 0; traced < 2; traced++) {
        struct fixture *fixture = spawn("watched", "kernel", NULL);
        rein_process *process = fixture->process;
        run_to_function(fixture, "main");
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_WATCHPOINT, REIN_STOP_ALL));
        if (traced)
            assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, NULL, 0));
        if (traced) /* the stop is the change's */
            assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_EXIT, REIN_REPORT));
        rein_watchpoint *watchpoint = watch_with(process, address_of(fixture, "target"), TARGET_SIZE, 0, NULL, NULL);
        struct rein_cause cause;
        rein_thread *thread = run_to(process, REIN_CAUSE_WATCHPOINT);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_word(cause.old_value, 0);
        assert_word(cause.value, 77);
        assert_state(thread, REIN_STATE_STOPPED_WATCHPOINT);
        rein_cause_clear(&cause);
        thread = run_to(process, REIN_CAUSE_WATCHPOINT);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_word(cause.value, 78);
        rein_cause_clear(&cause);
        run_all(fixture);
        assert_int_equal(rein_watchpoint_hits(watchpoint), 2);
    }
}

/* A forked child is not watched; what a vfork child writes is one change, seen when its parent is back. */
static void N3_software_fork_and_vfork(void **state)
{
    (void)state;
    for (int with_breakpoint = 0; with_breakpoint < 2; with_breakpoint++) {
        struct fixture *fixture = spawn("watched", "fork", NULL);
        struct told told = {.hits = 0};
        run_to_function(fixture, "main");
        if (with_breakpoint)
            count_at(fixture->process, address_of(fixture, "bump"));
        rein_watchpoint *watchpoint = count_in(fixture, "target", TARGET_SIZE, &told);
        run_all(fixture);
        assert_int_equal(said_count(fixture, "target"), 12);
        assert_int_equal(rein_watchpoint_hits(watchpoint), 6);
        assert_int_equal(told.id, fixture->pid);
    }
}

static void N3_software_M12_exec(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "exec", NULL);
    rein_process *process = fixture->process;
    run_to_function(fixture, "main");
    rein_watchpoint *before = count_in(fixture, "target", TARGET_SIZE, NULL), **list = NULL;
    size_t count = 9;
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
    run_to(process, REIN_CAUSE_EXEC);
    assert_int_equal(rein_watchpoint_hits(before), 2);
    assert_ok(rein_process_watchpoints(process, &list, &count));
    assert_int_equal(count, 0);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 3);
    assert_int_equal(rein_watchpoint_hits(before), 2);
}

static void N3_software_T1_step(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "step", NULL);
    rein_process *process = fixture->process;
    run_to_function(fixture, "step_once");
    rein_thread *thread = first_thread(process);
    rein_watchpoint *watchpoint = watch_with(process, address_of(fixture, "target"), TARGET_SIZE, 0, NULL, NULL);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_WATCHPOINT, REIN_STOP_ALL));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_WATCHPOINT);
    assert_word(pc_of(thread), address_of(fixture, "step_after"));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 1);
}

/* Each repetition is a change, and all of them are in the larger one; its values are too long to be told. */
static void N3_software_repeated_string(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "rep", NULL);
    struct told one = {.hits = 0};
    run_to_function(fixture, "main");
    rein_watchpoint *all = count_in(fixture, "area", 64, NULL);
    rein_watchpoint *last = watch_with(fixture->process, address_of(fixture, "area") + 63, 1, 0, note, &one);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(all), 64);
    assert_int_equal(rein_watchpoint_hits(last), 1);
    assert_word(one.value, 7);
}

/* P7: stopped, stepping or blocked in calls, they go on as they were. */
static void N3_software_removed_and_detached_in_a_storm(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("watched", "loop", "3", NULL);
    for (int round = 0; round < 6; round++) {
        rein_process *process = attach_running(fixture);
        set_policy(process, REIN_IGNORE);
        rein_word target = address_of(fixture, "target");
        rein_watchpoint *watchpoint = watch_with(process, target, TARGET_SIZE, REIN_WATCH_WHILE_RUNNING, note, NULL);
        await_hits(process, watchpoint, 5);
        if (round % 3 == 1)
            assert_ok(rein_process_stop(process, LIMIT_MS));
        if (round % 3 == 2) {
            assert_ok(rein_process_remove_watchpoint(process, watchpoint, REIN_WATCH_WHILE_RUNNING));
            uint64_t hits = rein_watchpoint_hits(watchpoint), before = target_of(fixture);
            for (double limit = now() + LIMIT_MS / 1000.0; target_of(fixture) < before + 100;)
                assert_true(now() < limit && rein_process_wait(process, 1) == REIN_TIMEOUT);
            assert_int_equal(rein_watchpoint_hits(watchpoint), hits);
        }
        assert_ok(rein_process_detach(process, 0));
        assert_goes_on(fixture);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Programs that check themselves: their flags, traps, signals and handlers are as ever. What is watched is their code. */
static void check_program(const char *name, const char *argument)
{
    struct fixture *fixture = spawn(name, argument, NULL);
    run_to_function(fixture, "main");
    rein_watchpoint *watchpoint = count_in(fixture, "main", 16, NULL);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 0);
}

static void N3_software_M6_unnoticed(void **state)
{
    (void)state;
    check_program("popf_pushf", "20");
    check_program("own_step", NULL);
    check_program("own_int3", "3");
}

/* Code that has to be done in a moment, as a clock's reading in the vDSO, gets through: the threads take turns of some steps. */
static void N3_software_turns(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("stepped", "moment", NULL);
    run_to_function(fixture, "main");
    rein_watchpoint *watchpoint = count_in(fixture, "target", word_size(fixture->process), NULL);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 5);
}

/* Who writes is told, not who comes out of a call meanwhile. */
static void N3_software_beside_a_call(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("stepped", "beside", NULL);
    struct told told = {.expected = fixture->pid};
    run_to_function(fixture, "main");
    rein_watchpoint *watchpoint = count_in(fixture, "target", word_size(fixture->process), &told);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 1000);
    assert_int_equal(told.of_others, 0);
}

/* Two threads stand at a breakpoint at the instruction that writes: they get past it one after the other. */
static void N3_software_past_one_breakpoint(void **state)
{
    (void)state;
    enum { ROUNDS = 40 };
    struct fixture *fixture = spawn("watched", "loop", "2", "40", NULL);
    rein_process *process = fixture->process;
    rein_thread **threads = NULL;
    size_t count = 0;
    run_to_function(fixture, "main");
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    add_breakpoint(process, address_of(fixture, "bump"));
    assert_ok(rein_process_continue(process));
    await_threads(process, 3);
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_int_equal(count, 3);
    rein_watchpoint *watchpoint = NULL;
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 1; i < count; i++) {
            assert_ok(rein_thread_wait(threads[i], LIMIT_MS));
            assert_int_equal(cause_of(threads[i]), REIN_CAUSE_BREAKPOINT);
        }
        if (round == 0)
            watchpoint = count_in(fixture, "target", TARGET_SIZE, NULL);
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_continue(process));
    }
    rein_thread_list_free(threads, count);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 2 * ROUNDS);
}

/* A step by request from a signal that is ignored makes the call that it stands at, and waits for another thread, which must
 * not wait for it. */
static void N3_software_step_into_a_call_that_waits(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("blocking_syscall", "1", "1", NULL);
    rein_process *process = fixture->process;
    run_to_function(fixture, "main");
    rein_word hot = address_of(fixture, "hot"), insn = address_of(fixture, "blocking_syscall_insn");
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    add_breakpoint(process, hot);
    add_breakpoint(process, insn);
    assert_ok(rein_process_continue(process));
    rein_thread *leader = thread_of(process, fixture->pid), *reader = NULL;
    await_threads(process, 2);
    int ids[2];
    assert_int_equal(proc_threads(fixture->pid, ids, 2), 2);
    reader = thread_of(process, ids[ids[0] == fixture->pid]);
    assert_ok(rein_thread_wait(leader, LIMIT_MS));
    assert_ok(rein_thread_wait(reader, LIMIT_MS));
    assert_word(pc_of(reader), insn);
    assert_ok(rein_process_remove_breakpoint(process, hot, 0));
    assert_ok(rein_process_remove_breakpoint(process, insn, 0));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_THREAD));
    send_to(fixture->pid, rein_thread_id(reader), SIGWINCH, 0);
    assert_ok(rein_thread_continue(reader));
    assert_ok(rein_thread_wait(reader, LIMIT_MS));
    assert_int_equal(cause_of(reader), REIN_CAUSE_SIGNAL);
    assert_word(pc_of(reader), insn);
    rein_watchpoint *watchpoint = count_in(fixture, "main", 8, NULL);
    assert_error(rein_thread_step(reader, REIN_STEP_DELIVER, BRIEF_MS), REIN_TIMEOUT); /* nobody has written yet */
    assert_ok(rein_thread_continue(leader));
    assert_ok(rein_thread_wait(reader, LIMIT_MS));
    assert_int_equal(cause_of(reader), REIN_CAUSE_STEP);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 0);
}

/* The program handles SIGTRAP, and blocks it again and again; also when it begins to be watched in the middle of a clone. */
static void N3_software_M7_handler_of_traps(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("stepped", "handler", NULL);
    rein_process *process = fixture->process;
    run_to_function(fixture, "main");
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_CREATE, REIN_STOP_ALL));
    run_to(process, REIN_CAUSE_THREAD_CREATE);
    rein_watchpoint *watchpoint = count_in(fixture, "target", word_size(process), NULL);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 3);
}

/* The program's own filter fails some calls, and makes a signal of others; some that it does not make would kill it. */
static void N3_software_strict_filter(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("stepped", "filter", NULL);
    run_to_function(fixture, "main");
    rein_watchpoint *watchpoint = count_in(fixture, "target", word_size(fixture->process), NULL);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 6);
}

/* One thread is watched, and stepped; what the other writes before its next step is told of it. When it has ended nobody
 * is watched. */
static void N3_software_one_thread(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "loop", "2", "20", NULL);
    rein_process *process = fixture->process;
    run_to_function(fixture, "main");
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    rein_word bump = address_of(fixture, "bump");
    add_breakpoint(process, bump);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_process_remove_breakpoint(process, bump, 0));
    struct told told = {.expected = rein_thread_id(thread)};
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_watchpoint *watchpoint = NULL;
    options.flags = REIN_WATCH_SOFTWARE;
    options.thread = thread;
    options.callback = note;
    options.arg = &told;
    rein_word target = address_of(fixture, "target");
    assert_ok(rein_process_add_watchpoint(process, target, TARGET_SIZE, REIN_WATCH_WRITE, &options, &watchpoint));
    later_unref_watchpoint(watchpoint);
    uint64_t before = target_of(fixture);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 40);
    uint64_t hits = rein_watchpoint_hits(watchpoint);
    assert_true(hits >= 20 && hits <= 40 - before);
    assert_int_equal(told.of_others, 0);
}

/* M7: told once, nobody makes a step meanwhile, and counts go on. */
static void N3_software_M7_group_stop(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("watched", "loop", "3", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    uint64_t before = target_of(fixture);
    rein_watchpoint *watchpoint = count_in(fixture, "target", TARGET_SIZE, NULL);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_REPORT));
    assert_ok(rein_process_continue(process));
    for (uint64_t round = 1; round <= 4; round++) {
        await_hits(process, watchpoint, 5 * round);
        assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
        expect_event(process, REIN_CAUSE_GROUP_STOP);
        for (int i = 0; i < 4; i++) {
            int ids[4];
            assert_int_equal(proc_threads(fixture->pid, ids, 4), 4);
            await_state(fixture->pid, ids[i], 't');
        }
        uint64_t stopped = target_of(fixture);
        assert_error(rein_process_wait(process, BRIEF_MS), REIN_TIMEOUT);
        assert_int_equal(target_of(fixture), stopped);
        assert_no_event(process);
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        await_hits(process, watchpoint, rein_watchpoint_hits(watchpoint) + 2);
    }
    tell(fixture);
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_watchpoint_hits(watchpoint), said_count(fixture, "target") - before);
}

/* I5, I6: a function that is called writes as the program does; a call that is made for the caller is seen afterwards. */
static void N3_software_I5_calls(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "step", NULL);
    rein_process *process = fixture->process;
    struct told told = {.expected = fixture->pid};
    struct rein_call call = REIN_CALL_INIT;
    run_to_function(fixture, "step_once");
    rein_thread *thread = first_thread(process);
    rein_word pc = pc_of(thread), target = address_of(fixture, "target");
    rein_watchpoint *watchpoint = count_in(fixture, "target", TARGET_SIZE, &told);
    call.pc = address_of(fixture, "bump");
    for (unsigned i = 1; i <= 3; i++) {
        assert_ok(rein_thread_call(thread, &call, LIMIT_MS, NULL));
        assert_word(pc_of(thread), pc);
        assert_int_equal(rein_watchpoint_hits(watchpoint), i);
        assert_word(told.value, i);
    }
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_WATCHPOINT, REIN_STOP_ALL));
    assert_ok(rein_process_remove_watchpoint(process, watchpoint, 0));
    watchpoint = watch_with(process, target, TARGET_SIZE, 0, NULL, NULL);
    assert_error(rein_thread_call(thread, &call, LIMIT_MS, NULL), REIN_CALL_STOPPED);
    assert_state(thread, REIN_STATE_STOPPED_WATCHPOINT);
    assert_ok(rein_thread_continue(thread)); /* back from the function */
    assert_ok(rein_process_wait(process, LIMIT_MS));
    assert_word(pc_of(thread), pc);
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    const rein_word clock[6] = {CLOCK_MONOTONIC, target};
    int64_t result = -1;
    assert_ok(rein_thread_syscall(thread, SYS_clock_getres, clock, &options, &result));
    assert_int_equal(result, 0);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 1);
    assert_int_equal(told.of_others, 0);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_WATCHPOINT);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 2);
    run_all(fixture);
}

/* Each sees what the other's registers, or steps, make of the same instruction. */
static void N3_software_and_hardware(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "loop", "3", "20", NULL);
    rein_process *process = fixture->process;
    rein_watchpoint *hardware = NULL;
    run_to_function(fixture, "main");
    rein_word target = address_of(fixture, "target");
    int result = rein_process_add_watchpoint(process, target, TARGET_SIZE, REIN_WATCH_WRITE, NULL, &hardware);
    if (result == REIN_NEVER_FIRES) {
        print_message("debug registers never fire on this machine: see script/watch-in-vm\n");
        skip();
    }
    assert_ok(result);
    later_unref_watchpoint(hardware);
    rein_watchpoint *software = count_in(fixture, "target", TARGET_SIZE, NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 60);
    assert_int_equal(rein_watchpoint_hits(software), 60);
    assert_int_equal(rein_watchpoint_hits(hardware), 60);
}

static void N3_software_crowd(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "loop", "40", "3", NULL);
    run_to_function(fixture, "main");
    rein_watchpoint *watchpoint = count_in(fixture, "target", TARGET_SIZE, NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 120);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 120);
}

struct program {
    const char *name, *arguments[2];
};

/* Stepped from where they wait to begin, with a breakpoint that they count, too. */
static void check_programs(const struct program *programs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fixture *fixture =
            start_waiting(programs[i].name, programs[i].arguments[0], programs[i].arguments[1], NULL);
        attach(fixture);
        rein_watchpoint *watchpoint = count_in(fixture, "main", 8, NULL);
        rein_breakpoint *breakpoint = count_at(fixture->process, address_of(fixture, "hot"));
        for (int words = 0; words < 4; words++) /* for each time that it waits */
            tell(fixture);
        run_all(fixture);
        assert_int_equal(rein_watchpoint_hits(watchpoint), 0);
        assert_int_equal(rein_breakpoint_hits(breakpoint), said_count(fixture, "hot"));
    }
}

static void N3_software_M7_signals(void **state)
{
    (void)state;
    static const struct program programs[] = {{"rt_signals", {"10", "2"}}, {"sigtrap_blocked", {"3", NULL}}};
    check_programs(programs, sizeof programs / sizeof *programs);
}

static void N3_software_M7_faults_and_restarts(void **state)
{
    (void)state;
    static const struct program programs[] = {{"faults", {"1", "2"}}, {"eintr_epoll", {"2", NULL}}};
    check_programs(programs, sizeof programs / sizeof *programs);
}

static void N3_software_M7_storm(void **state)
{
    (void)state;
    static const struct program programs[] = {{"signals_storm", {"2", "3"}}, {"mutexes", {"2", "3"}}};
    check_programs(programs, sizeof programs / sizeof *programs);
}

static void N3_software_M12_children(void **state)
{
    (void)state;
    static const struct program programs[] = {{"vfork_loop", {"1", "2"}}, {"fork_loop", {"1", "2"}}};
    check_programs(programs, sizeof programs / sizeof *programs);
}

static void N3_software_M12_spawned(void **state)
{
    (void)state;
    static const struct program programs[] = {{"posix_spawn_loop", {"1", "2"}}};
    check_programs(programs, sizeof programs / sizeof *programs);
}

/* X2: 32-bit programs; and repeated instructions with a breakpoint at them, in several threads. */
static void check_copies(const char *name)
{
    struct fixture *fixture = spawn(name, "2", "2", NULL);
    run_to_function(fixture, "main");
    rein_breakpoint *breakpoint = count_at(fixture->process, address_of(fixture, "rep_movs_insn"));
    rein_watchpoint *watchpoint = count_in(fixture, "copied", word_size(fixture->process), NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "rep_movs_insn"), 4);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 4);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 4);
}

static void N3_software_repeated_and_breakpoint(void **state)
{
    (void)state;
    check_copies("rep_movs");
}

static void N3_software_X2_32_bit(void **state)
{
    (void)state;
    if (access(fixture_path("i386/rep_movs"), X_OK) != 0) {
        print_message("no 32-bit programs: there was no i686-linux-gnu-gcc\n");
        skip();
    }
    check_copies("i386/rep_movs");
    check_program("i386/popf_pushf", "5");
    static const char *const modes[] = {"moment", "handler", "beside", "filter"};
    static const unsigned hits[] = {5, 3, 1000, 6};
    for (int i = 0; i < 4; i++) {
        struct fixture *fixture = spawn("i386/stepped", modes[i], NULL);
        run_to_function(fixture, "main");
        rein_watchpoint *watchpoint = count_in(fixture, "target", word_size(fixture->process), NULL);
        run_all(fixture);
        assert_int_equal(rein_watchpoint_hits(watchpoint), hits[i]);
    }
}

struct writer {
    rein_process *process;
    rein_word where;
    atomic_bool done;
    unsigned long writes;
};

static void *write_all_the_time(void *arg)
{
    struct writer *writer = arg;
    for (; !atomic_load(&writer->done); writer->writes++)
        rein_process_write(writer->process, writer->where, "", 1, NULL);
    return NULL;
}

/* N3, T5: the caller writes elsewhere, at any moment; what the program has written just then is a hit all the same. */
static void N3_T5_writes_of_the_callers(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = spawn("stepped", "beside", NULL);
    run_to_function(fixture, "main");
    rein_watchpoint *watchpoint = count_in(fixture, "target", word_size(fixture->process), NULL);
    struct writer writer = {.process = fixture->process, .where = address_of(fixture, "written_by_tracer")};
    pthread_t id;
    assert_int_equal(pthread_create(&id, NULL, write_all_the_time, &writer), 0);
    run_all(fixture);
    atomic_store(&writer.done, true);
    pthread_join(id, NULL);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 1000);
    assert_true(writer.writes > 100);
}

/* N3, C1: system calls begin to be traced, and cease to be, while a thread that makes none is stepped. */
static void N3_C1_calls_traced_meanwhile(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = REIN_WATCH_SOFTWARE;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_add_watchpoint(process, address_of(fixture, "cold"), 1, REIN_WATCH_WRITE, &options, NULL));
    assert_ok(rein_process_continue(process));
    for (int round = 0; round < 20; round++)
        assert_ok(rein_process_trace_syscalls(process, round % 2 ? 0 : REIN_SYSCALL_ENTRIES, NULL, 0));
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(N3_C1_calls_traced_meanwhile),
        live_test(N3_T5_writes_of_the_callers),
        live_test(N3_software_E1_arguments),
        live_test(N3_software_C1_stop_and_values),
        live_test(N3_software_many_threads_exact),
        live_test(N3_software_newborn_threads),
        live_test(N3_software_kernel_writes),
        live_test(N3_software_fork_and_vfork),
        live_test(N3_software_M12_exec),
        live_test(N3_software_T1_step),
        live_test(N3_software_repeated_string),
        live_test(N3_software_removed_and_detached_in_a_storm),
        live_test(N3_software_M6_unnoticed),
        live_test(N3_software_repeated_and_breakpoint),
        live_test(N3_software_turns),
        live_test(N3_software_beside_a_call),
        live_test(N3_software_past_one_breakpoint),
        live_test(N3_software_step_into_a_call_that_waits),
        live_test(N3_software_M7_handler_of_traps),
        live_test(N3_software_strict_filter),
        live_test(N3_software_one_thread),
        live_test(N3_software_M7_group_stop),
        live_test(N3_software_I5_calls),
        live_test(N3_software_and_hardware),
        live_test(N3_software_crowd),
        live_test(N3_software_M7_signals),
        live_test(N3_software_M7_faults_and_restarts),
        live_test(N3_software_M7_storm),
        live_test(N3_software_M12_children),
        live_test(N3_software_M12_spawned),
        live_test(N3_software_X2_32_bit),
    };
    return live_main(tests);
}
