/* N3: software watchpoints (REIN_WATCH_SOFTWARE), on every machine. Exact counts whatever the threads do, and programs
 * that do not notice that they are stepped. Programs: watched, whose own counts are the measure; popf_pushf and others
 * that check themselves.
 *
 * A program is run to its main first, for what is stepped is slow. */
#include "support.h"

#define TARGET_SIZE 8

struct told {
    atomic_ulong hits;
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

static void run_all(struct fixture *fixture)
{
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

static void await_hits(rein_process *process, const rein_watchpoint *watchpoint, uint64_t hits)
{
    for (double limit = now() + LIMIT_MS / 1000.0; rein_watchpoint_hits(watchpoint) < hits;)
        assert_true(now() < limit && rein_process_wait(process, 1) == REIN_TIMEOUT);
}

static uint64_t target_of(const struct fixture *fixture)
{
    uint64_t value = 0;
    assert_int_equal(raw_read(fixture->pid, address_of(fixture, "target"), &value, sizeof value), sizeof value);
    return value;
}

static void assert_goes_on(struct fixture *fixture)
{
    assert_free(fixture->pid);
    uint64_t before = target_of(fixture);
    for (double limit = now() + LIMIT_MS / 1000.0; target_of(fixture) == before; sleep_ms(1))
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
        assert_true(cause.pc > bump && cause.pc < bump + 16);
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
        rein_watchpoint *watchpoint = watch_with(process, address_of(fixture, "target"), TARGET_SIZE, 0, NULL, NULL);
        struct rein_cause cause;
        rein_thread *thread = run_to(process, REIN_CAUSE_WATCHPOINT);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_word(cause.old_value, 0);
        assert_word(cause.value, 77);
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
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(N3_software_E1_arguments),       live_test(N3_software_C1_stop_and_values),
        live_test(N3_software_many_threads_exact), live_test(N3_software_newborn_threads),
        live_test(N3_software_kernel_writes),      live_test(N3_software_fork_and_vfork),
        live_test(N3_software_M12_exec),           live_test(N3_software_T1_step),
        live_test(N3_software_repeated_string),    live_test(N3_software_removed_and_detached_in_a_storm),
        live_test(N3_software_M6_unnoticed),       live_test(N3_software_repeated_and_breakpoint),
        live_test(N3_software_X2_32_bit),
    };
    return live_main(tests);
}
