/* N3, C1, M10: watchpoints. Each kind and size, exact counts whatever the threads do, and nobody left with a debug
 * register on: removed, let go, killed hosts, exec, fork. Program: watched, whose own counts are the measure.
 *
 * Some machines accept debug registers and never fire (the header says more). There the tests that need a hit are skipped;
 * script/watch-in-vm runs them on an emulated machine where they do. */
#include "apart.h"
#include "watched.h"

#define TARGET_SIZE 8
#define WIDEST (unsigned)word_size(process) /* that one debug register watches */

static int fires = -1;

/* The library's own trial. Also that it says so. */
static void skip_unless_it_fires(void)
{
    if (fires < 0) {
        struct fixture *fixture = spawn("watched", "step", NULL);
        rein_word target = address_of(fixture, "target");
        int result = rein_process_add_watchpoint(fixture->process, target, 8, REIN_WATCH_WRITE, NULL, NULL);
        assert_true(result == 0 || result == REIN_NEVER_FIRES);
        if (result)
            assert_says(rein_error_message(), "never fires on this machine");
        fires = result == 0;
        assert_ok(rein_process_kill(fixture->process));
    }
    if (!fires) {
        print_message(
            "debug registers are accepted by the kernel, but never fire on this machine: see script/watch-in-vm\n");
        skip();
    }
}

/* qemu 7.2 (script/watch-in-vm) tells one register only where several fire for the same access, and never comes out of
 * a single-step of an instruction whose access one fires for. */
static bool is_emulated(void)
{
    return getenv("REIN_EMULATED") != NULL;
}

static void skip_if_emulated(void)
{
    if (is_emulated()) {
        print_message("the emulator does not do this as processors do\n");
        skip();
    }
}

/* ---- Watching ---- */

static rein_watchpoint *watch_with(rein_process *process, rein_word address, size_t size, enum rein_watch_kind kind,
                                   const struct rein_watchpoint_options *options)
{
    rein_watchpoint *watchpoint = NULL;
    assert_ok(rein_process_add_watchpoint(process, address, size, kind, options, &watchpoint));
    assert_non_null(watchpoint);
    later_unref_watchpoint(watchpoint);
    return watchpoint;
}

static rein_watchpoint *watch(rein_process *process, rein_word address, size_t size, enum rein_watch_kind kind)
{
    return watch_with(process, address, size, kind, NULL);
}

/* What a callback has been told. */
struct told {
    atomic_ulong hits;
    struct {
        rein_word pc, old_value, value;
        bool known;
        int id;
    } last[32];
};

static enum rein_verdict note(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct told *told = arg;
    unsigned long hit = told ? atomic_fetch_add(&told->hits, 1) : 0;
    if (told) {
        size_t at = hit % (sizeof told->last / sizeof *told->last);
        told->last[at].pc = cause->pc;
        told->last[at].old_value = cause->old_value;
        told->last[at].value = cause->value;
        told->last[at].known = cause->value_known;
        told->last[at].id = rein_thread_id(thread);
    }
    return REIN_VERDICT_GO_ON;
}

/* Only counts. */
static rein_watchpoint *count_in(rein_process *process, rein_word address, size_t size, enum rein_watch_kind kind,
                                 struct told *told, unsigned flags, rein_thread *thread)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = flags;
    options.thread = thread;
    options.callback = note;
    options.arg = told;
    return watch_with(process, address, size, kind, &options);
}

static rein_watchpoint *count_writes(rein_process *process, struct fixture *fixture)
{
    return count_in(process, address_of(fixture, "target"), TARGET_SIZE, REIN_WATCH_WRITE, NULL,
                    REIN_WATCH_WHILE_RUNNING, NULL);
}

/* In a call into rein, for a lent monitor's sake. */
static void await_hits(rein_process *process, const rein_watchpoint *watchpoint, uint64_t hits)
{
    for (double limit = now() + LIMIT_S; rein_watchpoint_hits(watchpoint) < hits;)
        assert_true(now() < limit && rein_process_wait(process, 1) == REIN_TIMEOUT);
}

/* Like assert_ends_traced: nothing but what is watched is to stop it. */
static void run_all(struct fixture *fixture)
{
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* ---- What can be wrong; on every machine ---- */

static void N3_E1_arguments(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "step", NULL), *other = spawn("watched", "step", NULL);
    rein_process *process = fixture->process;
    rein_word target = address_of(fixture, "target");
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_watchpoint *none = (rein_watchpoint *)&none;
    assert_error(rein_process_add_watchpoint(NULL, target, 8, REIN_WATCH_WRITE, NULL, &none), REIN_INVALID_ARGUMENT);
    assert_null(none);
    assert_error(rein_process_add_watchpoint(process, target, 0, REIN_WATCH_WRITE, NULL, &none), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_add_watchpoint(process, target, 8, (enum rein_watch_kind)3, NULL, &none),
                 REIN_INVALID_ARGUMENT);
    assert_error_says(rein_process_add_watchpoint(process, target, 2, REIN_WATCH_EXECUTE, NULL, &none),
                      REIN_INVALID_ARGUMENT, "it must be 1");
    options.size--;
    assert_error(rein_process_add_watchpoint(process, target, 8, REIN_WATCH_WRITE, &options, &none),
                 REIN_INVALID_ARGUMENT);
    options.size++;
    options.flags = 1u << 31;
    assert_error(rein_process_add_watchpoint(process, target, 8, REIN_WATCH_WRITE, &options, &none),
                 REIN_INVALID_ARGUMENT);
    options.flags = REIN_WATCH_CHANGES;
    assert_error(rein_process_add_watchpoint(process, target, 9, REIN_WATCH_WRITE, &options, &none),
                 REIN_INVALID_ARGUMENT);
    options.flags = 0;
    options.thread = first_thread(other->process);
    assert_error(rein_process_add_watchpoint(process, target, 8, REIN_WATCH_WRITE, &options, &none),
                 REIN_INVALID_ARGUMENT);
    assert_error(rein_process_remove_watchpoint(process, NULL, 0), REIN_INVALID_ARGUMENT);

    rein_watchpoint **list = (rein_watchpoint **)&list;
    size_t count = 99;
    assert_ok(rein_process_watchpoints(process, &list, &count));
    assert_null(list);
    assert_int_equal(count, 0);
    assert_string_equal(rein_watch_kind_name(REIN_WATCH_READ_WRITE), "read or write");
    assert_null(rein_watch_kind_name((enum rein_watch_kind)3));
}

/* More than the processor has, even for one; memory that is not there, or the kernel's. */
static void N3_E1_impossible(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "step", NULL);
    rein_process *process = fixture->process;
    rein_word area = address_of(fixture, "area");
    char says[100];
    snprintf(says, sizeof says, "needs 5 of the 4 debug registers that %s has, and 0 are in use",
             rein_process_architecture(process));
    assert_error_says(rein_process_add_watchpoint(process, area, 4 * WIDEST + 1, REIN_WATCH_WRITE, NULL, NULL),
                      REIN_NO_SLOT, says);
    assert_error_says(rein_process_add_watchpoint(process, area, 12 * WIDEST + 3, REIN_WATCH_WRITE, NULL, NULL),
                      REIN_NO_SLOT, WATCH_OF_THREE == 2 ? "needs 14 of" : "needs 13 of");
    assert_error_says(rein_process_add_watchpoint(process, area + 1, WATCH_TOO_LONG, REIN_WATCH_WRITE, NULL, NULL),
                      REIN_NO_SLOT, "of the 4 debug registers");
    const rein_word bad[] = {0, 8, 0x800000000000, 0xffff888000000000, 0xffffffffff600000 - 8, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_error_says(rein_process_add_watchpoint(process, bad[i], 8, REIN_WATCH_READ_WRITE, NULL, NULL),
                          REIN_BAD_ADDRESS, "has no memory there");
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_add_watchpoint(process, area, 8, REIN_WATCH_WRITE, NULL, NULL), REIN_EXITED);
}

/* Who asks for it can have one where there is no memory yet, if the program could have some there. */
static void N3_where_there_is_no_memory(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "loop", "2", "20", NULL);
    rein_process *process = fixture->process;
    rein_watchpoint *added[] = {count_in(process, 0, 4, REIN_WATCH_WRITE, NULL, REIN_WATCH_UNMAPPED, NULL),
                                count_in(process, 0, 1, REIN_WATCH_EXECUTE, NULL, REIN_WATCH_UNMAPPED, NULL)};
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = REIN_WATCH_UNMAPPED;
    if (word_size(process) == 8) /* else it is cut to an address that the kernel takes */
        assert_error(rein_process_add_watchpoint(process, UINT64_MAX - 7, 4, REIN_WATCH_WRITE, &options, NULL),
                     REIN_BAD_ADDRESS);
    rein_watchpoint *real = count_writes(process, fixture);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(real), 40);
    for (size_t i = 0; i < sizeof added / sizeof *added; i++)
        assert_int_equal(rein_watchpoint_hits(added[i]), 0);
}

static void N3_only_while_stopped_unless_asked_for(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("watched", "loop", "2", NULL);
    rein_process *process = attach_running(fixture);
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_word target = address_of(fixture, "target");
    assert_error_says(rein_process_add_watchpoint(process, target, 8, REIN_WATCH_WRITE, &options, NULL), REIN_BAD_STATE,
                      "REIN_WATCH_WHILE_RUNNING");
    assert_ok(rein_process_detach(process, 0));
    assert_error(rein_process_add_watchpoint(process, target, 8, REIN_WATCH_WRITE, &options, NULL), REIN_DETACHED);
    tell(fixture);
    assert_ends(fixture, 0);
}

static atomic_int children_heard_of;

static void on_child(int number)
{
    (void)number;
    atomic_fetch_add(&children_heard_of, 1);
}

static void look_for_children_of(const struct fixture *fixture, enum rein_monitor_kind kind)
{
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *mine = NULL;
    rein_process *process = NULL;
    options.kind = kind;
    apart_ok(rein_monitor_create(&options, &mine));
    apart_ok(rein_attach(mine, fixture->pid, NULL, &process));
    rein_word target = address_in("watched", fixture->pid, "target");
    for (int i = 0; i < 3; i++) {
        rein_watchpoint *watchpoint = NULL;
        int result = rein_process_add_watchpoint(process, target, 8, REIN_WATCH_WRITE, NULL, &watchpoint);
        apart_check(result == 0 || result == REIN_NEVER_FIRES);
        if (!result)
            apart_ok(rein_process_remove_watchpoint(process, watchpoint, 0));
        rein_watchpoint_unref(watchpoint);
    }
    if (kind == REIN_MONITOR_PROCESS) /* else the tracee is one to wait for */
        apart_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    rein_process_unref(process);
    apart_ok(rein_monitor_close(mine));
    apart_check(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD);
}

static void look_for_children(void *arg)
{
    struct sigaction action = {.sa_handler = on_child};
    apart_check(sigaction(SIGCHLD, &action, NULL) == 0);
    look_for_children_of(arg, REIN_MONITOR_PROCESS);
    apart_check(atomic_load(&children_heard_of) == 0);
    look_for_children_of(arg, REIN_MONITOR_THREAD); /* these hear of every tracee's stops */
    look_for_children_of(arg, REIN_MONITOR_LENT);
}

/* M2: of the child by which rein tries the machine the host hears nothing. */
static void N3_M2_the_trial_is_unseen(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("watched", "loop", "1", NULL);
    apart_ends_well(apart(look_for_children, fixture), LIMIT_MS);
    assert_goes_on(fixture);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Hits ---- */

/* C1, C2 */
static void N3_C1_stop_and_values(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "loop", "1", "5", NULL);
    rein_process *process = fixture->process;
    rein_word target = address_of(fixture, "target"), bump = address_of(fixture, "bump");
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_WATCHPOINT, REIN_STOP_ALL));
    rein_watchpoint *watchpoint = watch(process, target, 8, REIN_WATCH_WRITE);
    assert_word(rein_watchpoint_address(watchpoint), target);
    assert_int_equal(rein_watchpoint_size(watchpoint), 8);
    assert_int_equal(rein_watchpoint_kind(watchpoint), REIN_WATCH_WRITE);
    for (uint64_t i = 0; i < 5; i++) {
        struct rein_cause cause;
        char text[128], expected[128];
        rein_thread *thread = run_to(process, REIN_CAUSE_WATCHPOINT);
        struct rein_event *event = expect_event(process, REIN_CAUSE_WATCHPOINT);
        uint64_t before = i == 3 ? 100 : i;
        uint64_t after = i == 3 ? 101 : i == 4 ? 102 : i + 1;
        before = i == 4 ? 101 : before;
        assert_state(thread, REIN_STATE_STOPPED_WATCHPOINT);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_true(cause.watchpoint == watchpoint && event->cause.watchpoint == watchpoint);
        assert_true(cause.value_known);
        assert_word(cause.old_value, before);
        assert_word(cause.value, after);
        assert_word(cause.pc, pc_of(thread));
        assert_true(cause.pc > bump && cause.pc < bump + 20);
        snprintf(expected, sizeof expected, "write watchpoint at 0x%" PRIx64 ": 0x%" PRIx64 " -> 0x%" PRIx64, target,
                 before, after);
        assert_int_equal(rein_cause_text(&cause, text, sizeof text), strlen(expected));
        assert_string_equal(text, expected);
        rein_cause_clear(&cause);
        assert_null(cause.watchpoint);
        assert_int_equal(rein_watchpoint_hits(watchpoint), i + 1);
        if (i == 2) { /* rein's own writes are no hits; the old value knows of them */
            uint64_t mine = 100;
            assert_ok(rein_process_write(process, target, &mine, sizeof mine, NULL));
        }
    }
    uint64_t mine = 5;
    assert_ok(rein_process_write(process, target, &mine, sizeof mine, NULL));
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 5);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 5);
}

static void check_size(struct fixture *fixture, unsigned size, rein_word end)
{
    rein_process *process = fixture->process;
    rein_word at = address_of(fixture, "area") + 16;
    struct told writes = {.hits = 0}, accesses = {.hits = 0}, changes = {.hits = 0};
    uint64_t initial = 0;
    assert_ok(rein_process_read(process, at, &initial, size, NULL));
    rein_watchpoint *list[] = {count_in(process, at, size, REIN_WATCH_WRITE, &writes, 0, NULL),
                               count_in(process, at, size, REIN_WATCH_READ_WRITE, &accesses, 0, NULL),
                               count_in(process, at, size, REIN_WATCH_WRITE, &changes, REIN_WATCH_CHANGES, NULL)};
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), end);
    assert_int_equal(rein_watchpoint_hits(list[0]), 3);
    assert_int_equal(rein_watchpoint_hits(list[1]), 8);
    assert_int_equal(rein_watchpoint_hits(list[2]), 2);
    assert_int_equal(atomic_load(&writes.hits), 3);
    assert_int_equal(atomic_load(&accesses.hits), 8);
    assert_int_equal(atomic_load(&changes.hits), 2);
    const uint64_t values[] = {initial, 1, 2, 2};
    for (size_t i = 0; i < 3; i++) {
        assert_true(writes.last[i].known);
        assert_word(writes.last[i].old_value, values[i]);
        assert_word(writes.last[i].value, values[i + 1]);
    }
    for (size_t i = 0; i < 3; i++)
        assert_ok(rein_process_remove_watchpoint(process, list[i], 0));
}

/* Every kind and size, neighbours left alone; over two registers an access is one hit; one instruction hits two. */
static void N3_kinds_and_sizes(void **state)
{
    (void)state;
    skip_unless_it_fires();
    skip_if_emulated();
    struct fixture *fixture = spawn("watched", "kinds", NULL);
    rein_process *process = fixture->process;
    rein_word begin = address_of(fixture, "begin_kind"), end = address_of(fixture, "end_kind");
    rein_word area = address_of(fixture, "area");
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    add_breakpoint(process, begin);
    add_breakpoint(process, end);
    for (unsigned size = 1; size <= 8; size *= 2) {
        assert_word(pc_of(run_to(process, REIN_CAUSE_BREAKPOINT)), begin);
        if (size <= WIDEST)
            check_size(fixture, size, end);
        else
            assert_word(pc_of(run_to(process, REIN_CAUSE_BREAKPOINT)), end);
    }
    assert_word(pc_of(run_to(process, REIN_CAUSE_BREAKPOINT)), begin);
    struct told split = {.hits = 0}, from = {.hits = 0}, to = {.hits = 0};
    count_in(process, area + 6, 4, REIN_WATCH_WRITE, &split, 0, NULL);
    count_in(process, area, 1, REIN_WATCH_READ_WRITE, &from, 0, NULL);
    count_in(process, area + 32, 1, REIN_WATCH_WRITE, &to, 0, NULL);
    assert_word(pc_of(run_to(process, REIN_CAUSE_BREAKPOINT)), end);
    assert_int_equal(atomic_load(&split.hits), 1);
    assert_word(split.last[0].value, 0x01020304);
    assert_int_equal(atomic_load(&from.hits), 1);
    assert_int_equal(atomic_load(&to.hits), 1);
    assert_word(from.last[0].pc, to.last[0].pc);
    run_all(fixture);
}

/* One instruction, two watchpoints: an event each, and the thread's cause is the one that stops it. */
static void N3_two_at_once(void **state)
{
    (void)state;
    skip_unless_it_fires();
    skip_if_emulated();
    struct fixture *fixture = spawn("watched", "kinds", NULL);
    rein_process *process = fixture->process;
    rein_word area = address_of(fixture, "area");
    struct told from = {.hits = 0};
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_WATCHPOINT, REIN_STOP_THREAD));
    count_in(process, area, 1, REIN_WATCH_READ_WRITE, &from, 0, NULL);
    rein_watchpoint *second = watch(process, area + 32, 1, REIN_WATCH_WRITE);
    rein_watchpoint *third = watch(process, area + 32, 1, REIN_WATCH_READ_WRITE);
    assert_ok(rein_process_continue(process));
    struct rein_event *one = expect_event(process, REIN_CAUSE_WATCHPOINT);
    struct rein_event *two = expect_event(process, REIN_CAUSE_WATCHPOINT);
    struct rein_cause cause;
    assert_true(one->cause.watchpoint == second && two->cause.watchpoint == third);
    assert_true(one->thread == two->thread);
    assert_int_equal(two->sequence, one->sequence + 1);
    assert_ok(rein_thread_cause(one->thread, &cause));
    assert_true(cause.watchpoint == second);
    rein_cause_clear(&cause);
    assert_int_equal(rein_watchpoint_hits(second), 1);
    assert_int_equal(rein_watchpoint_hits(third), 1);
    assert_int_equal(atomic_load(&from.hits), 1); /* its callback let the thread go on; the others did not */
    run_all(fixture);
}

static void N3_many_threads_exact(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "loop", "8", "300", NULL);
    rein_watchpoint *watchpoint = count_writes(fixture->process, fixture);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 2400);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 2400);
}

/* Each hit stops all, and all are continued. */
static void N3_many_threads_all_stopped(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "loop", "4", "40", NULL);
    rein_process *process = fixture->process;
    rein_watchpoint *watchpoint = watch(process, address_of(fixture, "target"), TARGET_SIZE, REIN_WATCH_WRITE);
    uint64_t told = 0;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_WATCHPOINT, REIN_STOP_ALL));
    assert_ok(rein_process_continue(process));
    for (;;) {
        struct rein_event event;
        int result = rein_process_wait(process, LIMIT_MS);
        if (result == REIN_EXITED)
            break;
        assert_ok(result);
        while (rein_process_next_event(process, 0, &event) == 0) {
            told += event.cause.kind == REIN_CAUSE_WATCHPOINT;
            rein_event_clear(&event);
        }
        assert_ok(rein_process_continue(process));
    }
    assert_ends_traced(fixture, 0);
    assert_int_equal(said_count(fixture, "target"), 160);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 160);
    assert_int_equal(told, 160);
}

static void N3_one_thread_alone(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = start_ready("watched", "loop", "3", NULL);
    rein_process *process = attach(fixture);
    rein_word target = address_of(fixture, "target"), area = address_of(fixture, "area");
    rein_thread **threads = NULL;
    size_t count = 0;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_int_equal(count, 4);
    struct told told[4] = {{.hits = 0}};
    rein_watchpoint *watchpoints[4];
    int ids[4];
    for (size_t i = 0; i < count; i++) { /* each has all registers to itself */
        ids[i] = rein_thread_id(threads[i]);
        watchpoints[i] = count_in(process, target, WIDEST, REIN_WATCH_WRITE, &told[i], 0, threads[i]);
        count_in(process, area, WIDEST, REIN_WATCH_READ_WRITE, NULL, 0, threads[i]);
        count_in(process, area, 4, REIN_WATCH_WRITE, NULL, 0, threads[i]);
    }
    count_in(process, area, 1, REIN_WATCH_WRITE, NULL, 0, NULL);
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    assert_error_says(rein_process_add_watchpoint(process, target, 1, REIN_WATCH_WRITE, NULL, NULL), REIN_NO_SLOT,
                      "and 4 are in use");
    options.thread = threads[0];
    assert_error(rein_process_add_watchpoint(process, target, 1, REIN_WATCH_WRITE, &options, NULL), REIN_NO_SLOT);
    assert_ok(rein_process_continue(process));
    size_t busy = 0;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == fixture->pid)
            continue; /* main waits to be told */
        busy++;
        await_hits(process, watchpoints[i], 20);
        for (size_t hit = 0; hit < 20; hit++)
            assert_int_equal(told[i].last[hit].id, ids[i]);
    }
    assert_int_equal(busy, 3);
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(process, 0));
    assert_goes_on(fixture);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Newborn threads are watched from their first instruction on. */
static void N3_newborn_threads(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "newborn", "30", "3", NULL);
    rein_watchpoint *watchpoint = count_writes(fixture->process, fixture);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 90);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 90);
}

/* The kernel's accesses are no hits. */
static void N3_kernel_writes_do_not_fire(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "kernel", NULL);
    struct told told = {.hits = 0};
    rein_watchpoint *watchpoint =
        count_in(fixture->process, address_of(fixture, "target"), TARGET_SIZE, REIN_WATCH_WRITE, &told, 0, NULL);
    run_all(fixture);
    /* The program reads target, too, but nobody has asked for that. */
    assert_int_equal(rein_watchpoint_hits(watchpoint), 1);
    assert_word(told.last[0].old_value, 0); /* as it was when rein last looked */
    assert_word(told.last[0].value, 78);
}

/* A forked child has no debug registers; a vfork child shares the memory, and is not watched either, whether it is held
 * for the sake of breakpoints or not. */
static void N3_fork_and_vfork(void **state)
{
    (void)state;
    skip_unless_it_fires();
    for (int with_breakpoint = 0; with_breakpoint < 2 - is_emulated(); with_breakpoint++) {
        struct fixture *fixture = spawn("watched", "fork", NULL);
        if (with_breakpoint)
            count_at(fixture->process, address_of(fixture, "bump"));
        rein_watchpoint *watchpoint = count_writes(fixture->process, fixture);
        run_all(fixture);
        assert_int_equal(said_count(fixture, "target"), 12);
        assert_int_equal(rein_watchpoint_hits(watchpoint), 5);
    }
}

/* M12: an exec forgets all; new ones can be added at once. */
static void N3_M12_exec(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "exec", NULL);
    rein_process *process = fixture->process;
    rein_watchpoint *before = count_writes(process, fixture), **list = NULL;
    size_t count = 0;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
    run_to(process, REIN_CAUSE_EXEC);
    assert_int_equal(rein_watchpoint_hits(before), 2);
    assert_ok(rein_process_watchpoints(process, &list, &count));
    assert_int_equal(count, 0);
    assert_error(rein_process_remove_watchpoint(process, before, 0), REIN_NO_WATCHPOINT);
    rein_watchpoint *after = count_writes(process, fixture);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 3);
    assert_int_equal(rein_watchpoint_hits(after), 3);
    assert_int_equal(rein_watchpoint_hits(before), 2);
}

/* T1: a step that is hit has the hit as its cause, and is done. */
static void N3_T1_step(void **state)
{
    (void)state;
    skip_unless_it_fires();
    skip_if_emulated();
    struct fixture *fixture = spawn("watched", "step", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    add_breakpoint(process, address_of(fixture, "step_once"));
    rein_watchpoint *watchpoint = count_writes(process, fixture);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_word(pc_of(thread), address_of(fixture, "step_write"));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_WATCHPOINT);
    assert_state(thread, REIN_STATE_STOPPED_WATCHPOINT);
    assert_word(pc_of(thread), address_of(fixture, "step_after"));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    run_all(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 1);
}

/* T1, M1: a step from an execute watchpoint whose callback lets the thread go on is a step, be it one of many; stopped there it has
 * made none. */
static void N3_T1_M1_step_from_an_execute_watchpoint(void **state)
{
    (void)state;
    skip_unless_it_fires();
    for (int variant = 0; variant < 3; variant++) {
        struct fixture *fixture = spawn("watched", "step", NULL);
        rein_process *process = fixture->process;
        rein_word at = address_of(fixture, "step_write");
        add_breakpoint(process, address_of(fixture, "step_once"));
        rein_watchpoint *execute = variant == 2 ? watch(process, at, 1, REIN_WATCH_EXECUTE)
                                                : count_in(process, at, 1, REIN_WATCH_EXECUTE, NULL, 0, NULL);
        rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
        expect_event(process, REIN_CAUSE_BREAKPOINT);
        while (pc_of(thread) != at) {
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
            expect_event(process, REIN_CAUSE_STEP);
        }
        assert_int_equal(rein_watchpoint_hits(execute), 0);
        struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
        options.flags = REIN_STEP_BEGIN;
        options.count = 1;
        int result = variant ? rein_thread_step_many(thread, &options, LIMIT_MS, NULL) : rein_thread_step(thread, 0, 0);
        assert_true(result == 0 || result == REIN_TIMEOUT);
        enum rein_cause_kind kind = variant == 2 ? REIN_CAUSE_WATCHPOINT : REIN_CAUSE_STEP;
        assert_ptr_equal(expect_event(process, kind)->thread, thread);
        assert_word(pc_of(thread), variant == 2 ? at : address_of(fixture, "step_after"));
        assert_int_equal(rein_watchpoint_hits(execute), 1);
        set_policy(process, REIN_IGNORE);
        run_all(fixture);
        assert_int_equal(rein_watchpoint_hits(execute), 1);
    }
}

/* Stepped over one instruction with everything on it: watched for execution, a breakpoint, a write that is watched. Each is
 * a hit once, in whatever order. */
static void N3_step_over_all_at_once(void **state)
{
    (void)state;
    skip_unless_it_fires();
    skip_if_emulated();
    struct fixture *fixture = spawn("watched", "step", NULL);
    rein_process *process = fixture->process;
    rein_word at = address_of(fixture, "step_write");
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    add_breakpoint(process, address_of(fixture, "step_once"));
    rein_breakpoint *breakpoint = add_breakpoint(process, at);
    rein_watchpoint *write = count_writes(process, fixture);
    rein_watchpoint *execute = count_in(process, at, 1, REIN_WATCH_EXECUTE, NULL, 0, NULL);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    for (int steps = 0; pc_of(thread) != address_of(fixture, "step_after"); steps++) {
        assert_true(steps < 4);
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    }
    assert_int_equal(rein_watchpoint_hits(write), 1);
    assert_int_equal(rein_watchpoint_hits(execute), 1);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    run_all(fixture);
}

/* The same at full speed, by many threads: the pass of a breakpoint makes the write. */
static void N3_breakpoint_and_watchpoints_at_one_instruction(void **state)
{
    (void)state;
    skip_unless_it_fires();
    skip_if_emulated();
    struct fixture *fixture = spawn("watched", "loop", "4", "50", NULL);
    rein_process *process = fixture->process;
    rein_word bump = address_of(fixture, "bump");
    rein_breakpoint *breakpoint = count_at(process, bump);
    rein_watchpoint *write = count_writes(process, fixture);
    rein_watchpoint *execute = count_in(process, bump, 1, REIN_WATCH_EXECUTE, NULL, 0, NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 200);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 200);
    assert_int_equal(rein_watchpoint_hits(write), 200);
    assert_int_equal(rein_watchpoint_hits(execute), 200);
}

#if defined(__aarch64__)
/* A trap between load and store exclusive makes the store fail: each hit is told once all the same, and only of what was stored. */
static void N3_exclusive_values(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "exclusive", "1", "20", "add", NULL);
    rein_process *process = fixture->process;
    rein_word target = address_of(fixture, "target"), done = address_of(fixture, "bump_exclusive_done");
    struct told writes = {.hits = 0}, changes = {.hits = 0};
    count_in(process, target, 8, REIN_WATCH_WRITE, &writes, 0, NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 20);
    assert_int_equal(atomic_load(&writes.hits), 20);
    for (uint64_t i = 0; i < 20; i++) {
        assert_word(writes.last[i].pc, done);
        assert_true(writes.last[i].known);
        assert_word(writes.last[i].old_value, i);
        assert_word(writes.last[i].value, i + 1);
    }
    fixture = spawn("watched", "exclusive", "1", "20", "add", NULL);
    rein_watchpoint *accesses =
        count_in(fixture->process, address_of(fixture, "target"), 4, REIN_WATCH_READ_WRITE, NULL, 0, NULL);
    count_in(fixture->process, address_of(fixture, "target"), 8, REIN_WATCH_WRITE, &changes, REIN_WATCH_CHANGES, NULL);
    run_all(fixture);
    assert_int_equal(atomic_load(&changes.hits), 20);
    /* Load and store are one hit; what the program says at the end is another. */
    assert_in_range(rein_watchpoint_hits(accesses), 20, 21);
}

/* hits: how many are made by one addition. */
static void check_exclusive(const char *form, const char *threads, const char *calls, const char *watched,
                            unsigned long additions, unsigned long hits)
{
    struct fixture *fixture = spawn("watched", "exclusive", threads, calls, form, NULL);
    rein_word at = address_of(fixture, watched);
    rein_watchpoint *first = count_in(fixture->process, at, 1, REIN_WATCH_WRITE, NULL, 0, NULL);
    rein_watchpoint *second = count_in(fixture->process, at, 8, REIN_WATCH_WRITE, NULL, 0, NULL);
    rein_watchpoint *beside =
        count_in(fixture->process, address_of(fixture, "area") + 40, 8, REIN_WATCH_READ_WRITE, NULL, 0, NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), additions);
    assert_int_equal(rein_watchpoint_hits(first), hits * additions);
    assert_int_equal(rein_watchpoint_hits(second), hits * additions);
    assert_int_equal(rein_watchpoint_hits(beside), 0);
}

static void N3_exclusive_forms(void **state)
{
    (void)state;
    skip_unless_it_fires();
    check_exclusive("add", "4", "30", "target", 120, 1);
    check_exclusive("swap", "4", "30", "target", 120, 1);
    check_exclusive("lock", "3", "20", "area", 60, 2);
    check_exclusive("pair", "4", "30", "area", 120, 1);
}

/* Both words of a pair, watched together and each by itself: one store hits all. (qemu 7.2 has stored the first word when the
 * second one's register fires, so all of them must be off.) */
static void N3_exclusive_pair(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "exclusive", "2", "40", "pair", NULL);
    rein_word area = address_of(fixture, "area");
    rein_watchpoint *both = count_in(fixture->process, area, 16, REIN_WATCH_WRITE, NULL, 0, NULL);
    rein_watchpoint *first = count_in(fixture->process, area + 4, 4, REIN_WATCH_WRITE, NULL, 0, NULL);
    rein_watchpoint *second = count_in(fixture->process, area + 8, 1, REIN_WATCH_WRITE, NULL, 0, NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 80);
    assert_int_equal(rein_watchpoint_hits(both), 80);
    assert_int_equal(rein_watchpoint_hits(first), 80);
    assert_int_equal(rein_watchpoint_hits(second), 80);
}

/* With breakpoints where the sequence begins and where it ends, and steps from there. */
static void N3_exclusive_with_breakpoints(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "exclusive", "3", "30", "add", NULL);
    rein_process *process = fixture->process;
    rein_word bump = address_of(fixture, "bump_exclusive");
    rein_breakpoint *load = add_breakpoint(process, bump + 8), *behind;
    rein_watchpoint *watchpoint = count_writes(process, fixture);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    for (int steps = 0; rein_watchpoint_hits(watchpoint) == 0; steps++) {
        assert_true(steps < 100);
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    }
    assert_int_equal(cause_of(thread), REIN_CAUSE_WATCHPOINT);
    assert_word(pc_of(thread), bump + 20);
    assert_word(target_of(fixture), 1);
    assert_true(rein_breakpoint_hits(load) > 1); /* the attempt that failed, and another */
    assert_ok(rein_process_remove_breakpoint(process, bump + 8, 0));
    load = count_at(process, bump + 8);
    behind = count_at(process, bump + 20);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 90);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 90);
    assert_true(rein_breakpoint_hits(load) >= 89);
    assert_true(rein_breakpoint_hits(behind) >= 89);
}

/* Stopped, continued and interrupted by signals all the time. */
static void N3_exclusive_in_a_storm(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "exclusive", "3", "200", "add", NULL);
    rein_process *process = fixture->process;
    rein_watchpoint *watchpoint = count_writes(process, fixture);
    unsigned long sent = 0;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    await_hits(process, watchpoint, 1); /* its handler is there */
    for (uint64_t hits = 0; hits < 500;) {
        assert_ok(rein_process_stop(process, LIMIT_MS));
        hits = rein_watchpoint_hits(watchpoint);
        assert_word(target_of(fixture), hits);
        assert_int_equal(kill(fixture->pid, SIGUSR1), 0);
        sent++;
        assert_ok(rein_process_continue(process));
        await_hits(process, watchpoint, hits + sent % 7);
    }
    assert_true(sent > 20);
    assert_ends_traced(fixture, 0);
    assert_int_equal(said_count(fixture, "target"), 600);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 600);
}
#endif

/* Stopped in front of the instruction, at it; the code is as it was. */
static void N3_execute(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "loop", "3", "60", NULL);
    rein_process *process = fixture->process;
    rein_word bump = address_of(fixture, "bump");
    struct told told = {.hits = 0};
    rein_watchpoint *watchpoint = count_in(process, bump, 1, REIN_WATCH_EXECUTE, &told, 0, NULL);
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 180);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 180);
    for (size_t i = 0; i < sizeof told.last / sizeof *told.last; i++) {
        assert_word(told.last[i].pc, bump);
        assert_false(told.last[i].known);
    }
}

/* Each is told in a stop, once: who is resumed there goes past it, at once or after a callback has let others go on. */
static enum rein_verdict stop_at_each_fourth(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)thread;
    (void)arg;
    return rein_watchpoint_hits(cause->watchpoint) % 4 ? REIN_VERDICT_GO_ON : REIN_VERDICT_STOP_ALL;
}

static void check_execute_told(rein_watchpoint_callback callback, unsigned stops)
{
    struct fixture *fixture = spawn("watched", "loop", "1", "20", NULL);
    rein_process *process = fixture->process;
    rein_word bump = address_of(fixture, "bump");
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.callback = callback;
    rein_watchpoint *watchpoint = watch_with(process, bump, 1, REIN_WATCH_EXECUTE, &options);
    for (unsigned i = 1; i <= stops; i++) {
        rein_thread *thread = run_to(process, REIN_CAUSE_WATCHPOINT);
        assert_word(pc_of(thread), bump);
        assert_int_equal(rein_watchpoint_hits(watchpoint), i * 20 / stops);
    }
    run_all(fixture);
    assert_int_equal(said_count(fixture, "target"), 20);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 20);
}

static void N3_execute_told_in_stops(void **state)
{
    (void)state;
    skip_unless_it_fires();
    check_execute_told(NULL, 20);
    check_execute_told(stop_at_each_fourth, 5);
}

/* Of a repeated instruction the processor may tell several accesses as one: at least one hit, and the program is none the
 * wiser. With a breakpoint on it, it is stepped repetition by repetition. */
static void N3_repeated_string(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "rep", NULL);
    struct told told = {.hits = 0};
    rein_watchpoint *watchpoint =
        count_in(fixture->process, address_of(fixture, "area") + 16, 8, REIN_WATCH_WRITE, &told, 0, NULL);
    run_all(fixture);
    assert_in_range(rein_watchpoint_hits(watchpoint), 1, 16); /* it checks what it has written, but by reading */
}

/* ---- Ends ---- */

/* Added and removed while threads write all the time: who has made a hit that is not seen yet must not die of it. */
static void N3_removed_in_a_storm(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = start_ready("watched", "loop", "4", NULL);
    rein_process *process = attach_running(fixture);
    set_policy(process, REIN_IGNORE);
    for (int round = 0; round < 15; round++) {
        rein_watchpoint *watchpoint = count_writes(process, fixture), **list = NULL;
        size_t count = 0;
        await_hits(process, watchpoint, 10);
        assert_ok(rein_process_watchpoints(process, &list, &count));
        assert_int_equal(count, 1);
        assert_true(list[0] == watchpoint);
        rein_watchpoint_list_free(list, count);
        assert_error(rein_process_remove_watchpoint(process, watchpoint, 0), REIN_BAD_STATE);
        assert_ok(rein_process_remove_watchpoint(process, watchpoint, REIN_WATCH_WHILE_RUNNING));
        uint64_t hits = rein_watchpoint_hits(watchpoint), before = target_of(fixture);
        assert_error(rein_process_remove_watchpoint(process, watchpoint, REIN_WATCH_WHILE_RUNNING), REIN_NO_WATCHPOINT);
        for (double limit = now() + LIMIT_S; target_of(fixture) < before + 100;)
            assert_true(now() < limit && rein_process_wait(process, 1) == REIN_TIMEOUT);
        assert_int_equal(rein_watchpoint_hits(watchpoint), hits);
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P7 */
static void N3_P7_detached_in_a_storm(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = start_ready("watched", "loop", "4", NULL);
    for (int round = 0; round < 15; round++) {
        rein_process *process = attach_running(fixture);
        set_policy(process, REIN_IGNORE);
        rein_watchpoint *watchpoint = count_writes(process, fixture);
        count_in(process, address_of(fixture, "bump"), 1, REIN_WATCH_EXECUTE, NULL, REIN_WATCH_WHILE_RUNNING, NULL);
        await_hits(process, watchpoint, 5);
        if (round & 1)
            assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_detach(process, 0));
        assert_goes_on(fixture);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

struct storm {
    struct fixture *fixture;
    int report;
};

static void be_watching_host(void *arg)
{
    struct storm *storm = arg;
    rein_process *process = NULL;
    rein_watchpoint *watchpoint = NULL;
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = REIN_WATCH_WHILE_RUNNING;
    options.callback = note;
    apart_ok(rein_attach(NULL, storm->fixture->pid, NULL, &process));
    apart_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    apart_ok(rein_process_continue(process));
    rein_word target = address_in("watched", storm->fixture->pid, "target");
    apart_ok(rein_process_add_watchpoint(process, target, 8, REIN_WATCH_WRITE, &options, &watchpoint));
    while (rein_watchpoint_hits(watchpoint) < 20)
        sleep_ms(1);
    apart_check(write(storm->report, "!", 1) == 1);
    for (;;)
        pause();
}

/* M10: the host is killed; its monitor lets the program go without debug registers. */
static void N3_M10_host_killed_in_a_storm(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = start_ready("watched", "loop", "4", NULL);
    for (int round = 0; round < 8; round++) {
        int ends[2];
        char byte;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        struct storm storm = {fixture, ends[1]};
        int host = apart(be_watching_host, &storm);
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        kill(host, SIGKILL);
        assert_int_equal(WTERMSIG(apart_end(host, LIMIT_MS)), SIGKILL);
        await_free(fixture->pid, LIMIT_MS);
        assert_goes_on(fixture);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M6: a trap that is not by one of ours is the program's signal; and what it has taken cannot be had. */
static void N3_M6_the_programs_own(void **state)
{
    (void)state;
    skip_unless_it_fires();
    struct fixture *fixture = spawn("watched", "own", NULL);
    rein_process *process = fixture->process;
    rein_word bump = address_of(fixture, "bump"), area = address_of(fixture, "area");
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    rein_breakpoint *breakpoint = add_breakpoint(process, bump);
    assert_ok(rein_process_continue(process));
    int result = rein_process_wait(process, LIMIT_MS);
    if (result == REIN_EXITED) {
        print_message("no watchpoint of the program's own is to be had here (perf_event_open with sigtrap)\n");
        skip();
    }
    assert_ok(result);
    assert_ok(rein_process_remove_breakpoint(process, rein_breakpoint_pc(breakpoint), 0));
    rein_watchpoint *watchpoints[3];
    for (unsigned i = 0; i < 3; i++)
        watchpoints[i] = count_in(process, area + 8 * i, WIDEST, REIN_WATCH_WRITE, NULL, 0, NULL);
    assert_error_says(rein_process_add_watchpoint(process, area + 24, WIDEST, REIN_WATCH_WRITE, NULL, NULL),
                      REIN_NO_SLOT, "somebody else has debug registers");
    run_all(fixture);
    assert_int_equal(said_count(fixture, "own"), OWN_WATCH_HITS);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rein_watchpoint_hits(watchpoints[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(N3_E1_arguments),
        live_test(N3_E1_impossible),
        live_test(N3_where_there_is_no_memory),
        live_test(N3_only_while_stopped_unless_asked_for),
        live_test(N3_M2_the_trial_is_unseen),
        live_test(N3_C1_stop_and_values),
        live_test(N3_kinds_and_sizes),
        live_test(N3_two_at_once),
        live_test(N3_many_threads_exact),
        live_test(N3_many_threads_all_stopped),
        live_test(N3_one_thread_alone),
        live_test(N3_newborn_threads),
        live_test(N3_kernel_writes_do_not_fire),
        live_test(N3_fork_and_vfork),
        live_test(N3_M12_exec),
        live_test(N3_T1_step),
        live_test(N3_T1_M1_step_from_an_execute_watchpoint),
        live_test(N3_step_over_all_at_once),
        live_test(N3_breakpoint_and_watchpoints_at_one_instruction),
#if defined(__aarch64__)
        live_test(N3_exclusive_values),
        live_test(N3_exclusive_forms),
        live_test(N3_exclusive_pair),
        live_test(N3_exclusive_with_breakpoints),
        live_test(N3_exclusive_in_a_storm),
#endif
        live_test(N3_execute),
        live_test(N3_execute_told_in_stops),
        live_test(N3_repeated_string),
        live_test(N3_removed_in_a_storm),
        live_test(N3_P7_detached_in_a_storm),
        live_test(N3_M10_host_killed_in_a_storm),
        live_test(N3_M6_the_programs_own),
    };
    return live_main(tests);
}
