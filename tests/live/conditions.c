/* P5 C1 E1: conditions of breakpoints, hits that are ignored, and bytecode evaluated for a thread. Programs: spin,
 * step_targets, fork_loop, vfork_loop. */
#include "support.h"

enum {
    ADD = 0x02,
    MUL = 0x04,
    DIV = 0x06,
    REM = 0x08,
    LOG_NOT = 0x0e,
    BIT_AND = 0x0f,
    EQUAL = 0x13,
    REF8 = 0x17,
    REF32 = 0x19,
    REF64 = 0x1a,
    GOTO = 0x21,
    CONST8 = 0x22,
    CONST64 = 0x25,
    REG = 0x26,
    END = 0x27,
    GETV = 0x2c,
    TRACE_QUICK = 0x0d,
    TRACEV = 0x2e,
    SETV = 0x2d,
    PRINTF = 0x34,
};
#define TID GETV, 0, REIN_VARIABLE_THREAD_ID
#define PID GETV, 0, REIN_VARIABLE_PROCESS_ID
#define HITS GETV, 0, REIN_VARIABLE_HITS
#define REGISTER(n) REG, 0, (unsigned char)(n)
#define WORD(n)                                                                                                        \
    CONST64, (unsigned char)((rein_word)(n) >> 56), (unsigned char)((rein_word)(n) >> 48),                             \
        (unsigned char)((rein_word)(n) >> 40), (unsigned char)((rein_word)(n) >> 32),                                  \
        (unsigned char)((rein_word)(n) >> 24), (unsigned char)((rein_word)(n) >> 16),                                  \
        (unsigned char)((rein_word)(n) >> 8), (unsigned char)(rein_word)(n)
/* Every Nth hit. */
#define EVERY(n) HITS, CONST8, (n), REM, LOG_NOT, END
#define bytecode(...) make((const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}))

static rein_bytecode *make(const unsigned char *code, size_t size)
{
    rein_bytecode *made = NULL;
    assert_ok(rein_bytecode_create(code, size, &made));
    assert_non_null(made);
    return made;
}

/* Gives the condition back. */
static rein_breakpoint *add(rein_process *process, rein_word pc, rein_bytecode *condition, uint64_t ignore,
                            rein_breakpoint_callback callback, void *arg)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = callback;
    options.arg = arg;
    options.condition = condition;
    options.ignore = ignore;
    assert_ok(rein_process_add_breakpoint(process, pc, &options, &breakpoint));
    rein_bytecode_unref(condition);
    later_unref_breakpoint(breakpoint);
    return breakpoint;
}

static struct rein_breakpoint_info info_of(const rein_breakpoint *breakpoint)
{
    struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
    assert_ok(rein_breakpoint_info(breakpoint, &info));
    return info;
}

#define assert_counts(breakpoint, ...)                                                                                 \
    check_counts(info_of(breakpoint), (struct rein_breakpoint_info){__VA_ARGS__}, __LINE__)
static void check_counts(struct rein_breakpoint_info info, struct rein_breakpoint_info expected, int line)
{
    if (info.hits != expected.hits || info.matched != expected.matched || info.ignored != expected.ignored ||
        info.errors != expected.errors)
        fail_msg("line %d: hits %" PRIu64 ", matched %" PRIu64 ", ignored %" PRIu64 ", errors %" PRIu64, line,
                 info.hits, info.matched, info.ignored, info.errors);
}

static void set(rein_breakpoint *breakpoint, rein_bytecode *condition)
{
    assert_ok(rein_breakpoint_set_condition(breakpoint, condition));
    rein_bytecode_unref(condition);
}

static enum rein_verdict count_call(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    (void)thread, (void)breakpoint;
    atomic_fetch_add((atomic_ulong *)arg, 1);
    return REIN_VERDICT_GO_ON;
}

/* ---- True and false ---- */

/* P5: exact, for each hit: by the count, by the program's memory and registers. */
static void P5_true_and_false(void **state)
{
    (void)state;
    enum { CALLS = 1000 };
    struct fixture *fixture = spawn("spin", "1", "1000", NULL);
    rein_process *process = fixture->process;
    rein_registers *registers;
    atomic_ulong calls = 0;
    set_policy(process, REIN_IGNORE);
    rein_word hot = address_of(fixture, "hot"), hot2 = address_of(fixture, "hot2");
    assert_ok(rein_thread_registers(first_thread(process), &registers));
    int pc = rein_registers_pc_index(registers);
    rein_registers_free(registers);
    rein_breakpoint *every = add(process, hot, bytecode(EVERY(10)), 0, count_call, &calls);
    rein_breakpoint *here = add(process, hot2, bytecode(REGISTER(pc), WORD(hot2), EQUAL, END), 0, go_on, NULL);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_counts(every, .hits = CALLS, .matched = CALLS / 10);
    assert_int_equal(calls, CALLS / 10);
    assert_counts(here, .hits = CALLS / 2, .matched = CALLS / 2);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok spin"));
}

/* P5: false always: nothing is told, though the policy stops for everything. */
static void P5_C1_false_is_not_told(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "50", NULL);
    rein_process *process = fixture->process;
    atomic_ulong calls = 0;
    rein_breakpoint *breakpoints[13];
    char name[16];
    for (int i = 0; i < 13; i++) { /* every way past a breakpoint */
        snprintf(name, sizeof name, "step_%d", i);
        breakpoints[i] = add(process, address_of(fixture, name), bytecode(CONST8, 0, END), 0, count_call, &calls);
    }
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_EXIT, REIN_IGNORE));
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_error(rein_process_next_event(process, 0, &(struct rein_event){0}), REIN_EXITED);
    assert_int_equal(calls, 0);
    for (int i = 0; i < 13; i++)
        assert_counts(breakpoints[i], .hits = 50);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
}

struct told {
    atomic_ulong calls, odd_threads, wrong;
};

static enum rein_verdict count_odd(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct told *told = arg;
    (void)breakpoint;
    atomic_fetch_add(&told->calls, 1);
    if (rein_thread_id(thread) % 2 == 0)
        atomic_fetch_add(&told->wrong, 1);
    return REIN_VERDICT_GO_ON;
}

static enum rein_verdict see_threads(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct told *told = arg;
    (void)thread;
    if (cause->kind == REIN_CAUSE_THREAD_CREATE && rein_thread_id(cause->new_thread) % 2)
        atomic_fetch_add(&told->odd_threads, 1);
    return REIN_VERDICT_POLICY;
}

/* P5: the counts are exact among eight threads that hit two breakpoints at once, and stop as a whole in the middle now and then. */
static void P5_P4_eight_threads_at_once(void **state)
{
    (void)state;
    enum { THREADS = 8, CALLS = 250 };
    struct told told = {0};
    struct fixture *fixture = spawn("spin", "8", "250", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_callback(process, see_threads, &told));
    rein_breakpoint *hot =
        add(process, address_of(fixture, "hot"), bytecode(TID, CONST8, 1, BIT_AND, END), 0, count_odd, &told);
    atomic_ulong calls = 0;
    rein_breakpoint *hot2 = add(process, address_of(fixture, "hot2"), bytecode(EVERY(8)), 5, count_call, &calls);
    int result;
    do {
        assert_ok(rein_process_continue(process));
        result = rein_process_wait(process, 20);
        if (result == REIN_TIMEOUT)
            result = rein_process_stop(process, LIMIT_MS);
        if (!result) {
            struct rein_breakpoint_info info = info_of(hot2);
            assert_int_equal(info.matched, info.hits / 8);
        }
    } while (!result);
    assert_true(result == REIN_EXITED);
    assert_counts(hot, .hits = THREADS * CALLS, .matched = told.odd_threads * CALLS);
    assert_int_equal(told.calls, told.odd_threads * CALLS);
    assert_int_equal(told.wrong, 0);
    assert_counts(hot2, .hits = THREADS * CALLS / 2, .matched = THREADS * CALLS / 16, .ignored = 5);
    assert_int_equal(calls, THREADS * CALLS / 16 - 5);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok spin"));
}

/* How often the threads that sleep have been woken. */
static uint64_t switches_of(const int *ids, size_t count, int pid)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        char path[64], line[256];
        snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, ids[i]);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
            const char *number = strstr(line, "_switches:");
            if (number)
                sum += strtoull(number + strlen("_switches:"), NULL, 10);
        }
        fclose(file);
    }
    return sum;
}

/* P5, M4: who goes on from a false condition touches nobody: a hundred threads that sleep are not woken once. */
static void P5_M4_a_hundred_others_sleep_on(void **state)
{
    (void)state;
    enum { IDLERS = 100 };
    int ids[IDLERS + 8], idle[IDLERS + 8];
    size_t count = 0;
    struct fixture *fixture = start_ready("spin", "1", "0", "100", NULL);
    rein_process *process = attach(fixture);
    atomic_ulong calls = 0;
    rein_breakpoint *breakpoint =
        add(process, address_of(fixture, "hot"), bytecode(CONST8, 0, END), 0, count_call, &calls);
    assert_ok(rein_process_continue(process));
    while (rein_breakpoint_hits(breakpoint) < 10)
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
    size_t all = proc_threads(fixture->pid, ids, IDLERS + 8);
    assert_int_equal(all, IDLERS + 2);
    for (double limit = now() + LIMIT_S; count < IDLERS + 1; count = 0) { /* all but the one that spins */
        assert_true(now() < limit);
        for (size_t i = 0; i < all; i++) {
            if (proc_state(fixture->pid, ids[i]) == 'S')
                idle[count++] = ids[i];
        }
        if (count >= IDLERS + 1)
            break;
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
    }
    uint64_t hits = rein_breakpoint_hits(breakpoint), before = switches_of(idle, IDLERS + 1, fixture->pid);
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < hits + 500;) {
        assert_true(now() < limit);
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
    }
    assert_int_equal(switches_of(idle, IDLERS + 1, fixture->pid), before);
    assert_int_equal(calls, 0);
    assert_no_event(process);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Trouble ---- */

/* P5, C1, C2, E1: a condition that cannot be evaluated is an event, which says so; the breakpoint's own callback is for hits that
 * are wanted. */
static void P5_C1_trouble_stops_and_tells(void **state)
{
    (void)state;
    const struct {
        rein_bytecode *condition;
        const char *trouble, *words;
        rein_word address;
    } cases[] = {
        {bytecode(CONST8, 0x10, REF64, END), "memory cannot be read", "memory at 0x10 cannot be read", 0x10},
        {bytecode(CONST8, 1, CONST8, 0, DIV, END), "division by zero", "division by zero", 0},
        {bytecode(GOTO, 0, 0), "it takes too many steps", "it takes too many steps", 0},
        {bytecode(REG, 0x7f, 0xff, END), "there is no register with that number", "there is no register", 0},
        {bytecode(GETV, 0x7f, 0xff, END), "there is no variable with that number", "there is no variable", 0},
        {bytecode(CONST8, 1, SETV, 0, 1, END), "that variable cannot be set", "cannot be set", 0},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    struct fixture *fixture = spawn("step_targets", "20", NULL);
    rein_process *process = fixture->process;
    rein_word pc = address_of(fixture, "step_1");
    atomic_ulong calls = 0;
    rein_breakpoint *breakpoint = add(process, pc, bytecode(CONST8, 0, END), 0, count_call, &calls);
    for (unsigned i = 0; i < CASES; i++) {
        set(breakpoint, cases[i].condition);
        assert_ok(rein_process_continue(process));
        struct rein_event *event = expect_event(process, REIN_CAUSE_BREAKPOINT);
        char text[200], expected[200];
        assert_string_equal(event->cause.trouble, cases[i].trouble);
        assert_word(event->cause.trouble_address, cases[i].address);
        assert_word(event->cause.pc, pc);
        rein_cause_text(&event->cause, text, sizeof text);
        snprintf(expected, sizeof expected, "breakpoint at 0x%" PRIx64 ": its condition could not be evaluated: ", pc);
        assert_says(text, expected);
        assert_says(text, cases[i].words);
        assert_state(event->thread, REIN_STATE_STOPPED_BREAKPOINT);
        assert_word(pc_of(event->thread), pc);
        assert_counts(breakpoint, .hits = i + 1, .errors = i + 1);
    }
    assert_int_equal(calls, 0);
    set(breakpoint, bytecode(CONST8, 1, END));
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    assert_counts(breakpoint, .hits = 20, .matched = 20 - CASES, .errors = CASES);
    assert_int_equal(calls, 20 - CASES);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
}

static enum rein_verdict answer_trouble(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    atomic_ulong *troubles = arg;
    (void)thread;
    if (cause->kind == REIN_CAUSE_BREAKPOINT && cause->trouble)
        return atomic_fetch_add(troubles, 1) % 2 ? REIN_VERDICT_GO_ON : REIN_VERDICT_POLICY;
    return REIN_VERDICT_POLICY;
}

/* P5, C1: what becomes of trouble is the process's affair: its callback's, its policy's. */
static void P5_C1_policy_for_trouble(void **state)
{
    (void)state;
    enum { TIMES = 40 };
    struct fixture *fixture = spawn("step_targets", "40", NULL);
    rein_process *process = fixture->process;
    atomic_ulong troubles = 0;
    unsigned told = 0;
    rein_breakpoint *breakpoint =
        add(process, address_of(fixture, "step_1"), bytecode(CONST8, 1, CONST8, 0, DIV, END), 0, NULL, NULL);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_REPORT));
    assert_ok(rein_process_set_callback(process, answer_trouble, &troubles));
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    for (struct rein_event event; rein_process_next_event(process, 0, &event) == 0; told++) {
        assert_int_equal(event.cause.kind, REIN_CAUSE_BREAKPOINT);
        assert_string_equal(event.cause.trouble, "division by zero");
        rein_event_clear(&event);
    }
    assert_counts(breakpoint, .hits = TIMES, .errors = TIMES);
    assert_int_equal(troubles, TIMES);
    assert_int_equal(told, TIMES / 2);
}

/* E1: what cannot be a condition. */
static void E1_no_conditions(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    rein_word pc = address_of(fixture, "step_1");
    rein_bytecode *none = bytecode(END);
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL;
    options.condition = none;
    assert_error_says(rein_process_add_breakpoint(process, pc, &options, &breakpoint), REIN_INVALID_ARGUMENT,
                      "can end without a value");
    assert_null(breakpoint);
    breakpoint = add_breakpoint(process, pc);
    assert_error_says(rein_breakpoint_set_condition(breakpoint, none), REIN_INVALID_ARGUMENT,
                      "can end without a value");
    assert_error(rein_breakpoint_set_condition(NULL, none), REIN_INVALID_ARGUMENT);
    assert_error(rein_breakpoint_set_ignore(NULL, 1), REIN_INVALID_ARGUMENT);
    rein_bytecode_unref(none);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    assert_counts(breakpoint, .hits = 3, .matched = 3);
    set(breakpoint, bytecode(CONST8, 0, END)); /* also of one that is gone */
}

/* ---- Ignored hits ---- */

static void P5_ignored_hits(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "60", NULL);
    rein_process *process = fixture->process;
    atomic_ulong calls = 0;
    rein_breakpoint *plain = add(process, address_of(fixture, "step_1"), NULL, 50, count_call, &calls);
    rein_breakpoint *stops = add(process, address_of(fixture, "step_2"), bytecode(EVERY(2)), 9, NULL, NULL);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), address_of(fixture, "step_2"));
    assert_counts(stops, .hits = 20, .matched = 10, .ignored = 9);
    assert_counts(plain, .hits = 20, .matched = 20, .ignored = 20);
    assert_int_equal(calls, 0);
    assert_ok(rein_breakpoint_set_ignore(stops, 5)); /* from now on */
    assert_ok(rein_breakpoint_set_ignore(plain, 0));
    run_to_stop(process);
    assert_counts(stops, .hits = 32, .matched = 16, .ignored = 14);
    assert_counts(plain, .hits = 32, .matched = 32, .ignored = 20);
    assert_int_equal(calls, 12);
    assert_ok(rein_breakpoint_set_ignore(stops, UINT64_MAX));
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    assert_counts(stops, .hits = 60, .matched = 30, .ignored = 28);
}

/* ---- Changed while hits storm ---- */

struct changer {
    rein_breakpoint *breakpoint;
    rein_bytecode *conditions[3];
    atomic_bool done;
    atomic_ulong changes;
};

static void *change(void *arg)
{
    struct changer *changer = arg;
    for (unsigned i = 0; !atomic_load(&changer->done); i++) {
        if (rein_breakpoint_set_condition(changer->breakpoint, changer->conditions[i % 3]) != 0 ||
            rein_breakpoint_set_ignore(changer->breakpoint, i % 5) != 0)
            abort();
        atomic_fetch_add(&changer->changes, 1);
    }
    return NULL;
}

/* P5, M1: from any thread, at any time: every hit goes by one of them, and is counted once. */
static void P5_M1_replaced_in_a_storm(void **state)
{
    (void)state;
    enum { CHANGERS = 2, HITS_WANTED = 2000 };
    struct fixture *fixture = start_ready("spin", "4", NULL);
    rein_process *process = attach(fixture);
    struct changer changer = {.conditions = {bytecode(CONST8, 0, END), bytecode(EVERY(3)), NULL}};
    pthread_t threads[CHANGERS];
    atomic_ulong calls = 0;
    set_policy(process, REIN_IGNORE);
    changer.breakpoint = add(process, address_of(fixture, "hot"), NULL, 0, count_call, &calls);
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < CHANGERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, change, &changer), 0);
    for (double limit = now() + LIMIT_S;
         rein_breakpoint_hits(changer.breakpoint) < HITS_WANTED || atomic_load(&changer.changes) < 1000;) {
        assert_true(now() < limit);
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
    }
    atomic_store(&changer.done, true);
    for (int i = 0; i < CHANGERS; i++)
        pthread_join(threads[i], NULL);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    struct rein_breakpoint_info info = info_of(changer.breakpoint);
    assert_int_equal(calls, info.matched - info.ignored);
    assert_int_equal(info.errors, 0);
    assert_true(info.matched <= info.hits);
    /* What was set last is what holds. */
    set(changer.breakpoint, bytecode(CONST8, 0, END));
    set(changer.breakpoint, bytecode(CONST8, 1, CONST8, 0, DIV, END));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    run_to_stop(process);
    assert_true(info_of(changer.breakpoint).errors > 0);
    rein_bytecode_unref(changer.conditions[0]);
    rein_bytecode_unref(changer.conditions[1]);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Steps ---- */

/* T1, P5: a step onto a breakpoint whose condition is false is a step; onto one with trouble, or a true one, it is a hit. */
static void T1_P5_steps_onto_it(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "step_0"));
    atomic_ulong calls = 0;
    rein_breakpoint *next =
        add(process, address_of(fixture, "step_1"), bytecode(CONST8, 0, END), 0, count_call, &calls);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_state(thread, REIN_STATE_STOPPED_STEP);
    assert_word(pc_of(thread), address_of(fixture, "step_1"));
    assert_counts(next, .hits = 1);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS)); /* which is not another hit */
    assert_word(pc_of(thread), address_of(fixture, "step_2"));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_counts(next, .hits = 1);

    set(next, bytecode(CONST8, 0x10, REF8, END));
    run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    struct rein_cause cause;
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_BREAKPOINT);
    assert_non_null(cause.trouble);
    rein_cause_clear(&cause);
    assert_counts(next, .hits = 2, .errors = 1);

    /* A step from where it has come by itself, or was sent, executes the instruction: a hit that nobody is told of. */
    set(next, bytecode(EVERY(3)));
    run_to(process, REIN_CAUSE_BREAKPOINT);
    set_pc_of(thread, address_of(fixture, "step_1"));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_word(pc_of(thread), address_of(fixture, "step_2"));
    assert_counts(next, .hits = 3, .matched = 1, .errors = 1);
    assert_int_equal(calls, 0);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
    assert_int_equal(info_of(next).hits, 3);
}

static enum rein_verdict let_go_on(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    atomic_ulong *calls = arg;
    (void)thread, (void)breakpoint;
    atomic_fetch_add(calls, 1);
    return REIN_VERDICT_GO_ON;
}

/* T1, P5, M1: so is one onto a breakpoint whose callback lets the thread go on, and its end is told: else whoever has begun it
 * and waits for an event would wait for ever. */
static void T1_P5_M1_step_onto_one_that_goes_on(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "step_0"));
    atomic_ulong calls = 0;
    rein_breakpoint *next = add(process, address_of(fixture, "step_1"), NULL, 0, let_go_on, &calls);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    expect_event(process, REIN_CAUSE_BREAKPOINT);
    int result = rein_thread_step(thread, 0, 0);
    assert_true(result == 0 || result == REIN_TIMEOUT);
    assert_ptr_equal(expect_event(process, REIN_CAUSE_STEP)->thread, thread);
    assert_state(thread, REIN_STATE_STOPPED_STEP);
    assert_word(pc_of(thread), address_of(fixture, "step_1"));
    assert_counts(next, .hits = 1, .matched = 1);
    assert_int_equal(calls, 1);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS)); /* which is not another hit */
    assert_word(pc_of(thread), address_of(fixture, "step_2"));
    assert_counts(next, .hits = 1, .matched = 1);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
    assert_int_equal(calls, 3);
}

/* ---- Children ---- */

/* P5, C1: hits of vfork children, which share the memory, go by the same condition, with ids of their own. */
static void P5_C1_vfork_children(void **state)
{
    (void)state;
    enum { THREADS = 2, TIMES = 24, ALL = 2 * THREADS * TIMES };
    for (int follow = 0; follow < 2; follow++) {
        struct fixture *fixture = spawn("vfork_loop", "2", "24", NULL);
        rein_process *process = fixture->process;
        atomic_ulong calls = 0;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_follow(process, follow ? REIN_FOLLOW_BOTH : REIN_FOLLOW_PARENT,
                                          follow ? REIN_FOLLOW_BREAKPOINTS : 0));
        rein_bytecode *in_parent = bytecode(PID, WORD(fixture->pid), EQUAL, END);
        rein_breakpoint *breakpoint = add(process, address_of(fixture, "hot"), in_parent, 3, count_call, &calls);
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
        assert_counts(breakpoint, .hits = ALL, .matched = ALL / 2, .ignored = 3);
        assert_int_equal(calls, ALL / 2 - 3);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok vfork_loop"));
    }
}

enum { CHILDREN = 24, CHILD_CALLS = 3 };
struct family {
    atomic_ulong calls, hits, matched, ignored, children, wrong;
};

static enum rein_verdict count_child_hit(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct family *family = arg;
    rein_process *process = rein_thread_process(thread);
    (void)breakpoint;
    if (rein_process_depth(process) > 0)
        atomic_fetch_add(&family->calls, 1);
    return REIN_VERDICT_GO_ON;
}

/* A child's counts, while it is still there. */
static enum rein_verdict sum_up(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct family *family = arg;
    rein_process *process = rein_thread_process(thread);
    rein_breakpoint **list = NULL;
    size_t count = 0;
    if (cause->kind != REIN_CAUSE_THREAD_EXIT || rein_process_depth(process) == 0)
        return REIN_VERDICT_POLICY;
    struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
    if (rein_process_breakpoints(process, &list, &count) != 0 || count != 1 ||
        rein_breakpoint_info(list[0], &info) != 0)
        atomic_fetch_add(&family->wrong, 1);
    rein_breakpoint_list_free(list, count);
    atomic_fetch_add(&family->children, 1);
    atomic_fetch_add(&family->hits, info.hits);
    atomic_fetch_add(&family->matched, info.matched);
    atomic_fetch_add(&family->ignored, info.ignored);
    return REIN_VERDICT_POLICY;
}

/* P5, C1: a followed child has the condition, what is left to ignore, and counts of its own. */
static void P5_C1_followed_children(void **state)
{
    (void)state;
    struct family family = {0};
    struct fixture *fixture = spawn("fork_loop", "2", "12", "0", NULL);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_follow(process, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
    assert_ok(rein_process_set_callback(process, sum_up, &family));
    /* Not in the root: there it ignores nothing; in each child the second and the third hit match, and the one that is
     * to be ignored is the second. */
    rein_bytecode *condition =
        bytecode(PID, WORD(fixture->pid), EQUAL, LOG_NOT, HITS, CONST8, 1, EQUAL, LOG_NOT, BIT_AND, END);
    rein_breakpoint *breakpoint = add(process, address_of(fixture, "hot"), condition, 1, count_child_hit, &family);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    struct rein_event event;
    assert_error(rein_monitor_next_event(monitor, LIMIT_MS, &event), REIN_NO_PROCESS); /* all are gone */
    assert_int_equal(family.wrong, 0);
    assert_int_equal(family.children, CHILDREN);
    assert_int_equal(family.hits, CHILDREN * CHILD_CALLS);
    assert_int_equal(family.matched, CHILDREN * 2);
    assert_int_equal(family.ignored, CHILDREN);
    assert_int_equal(family.calls, CHILDREN);
    assert_int_equal(info_of(breakpoint).matched, 0);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok fork_loop"));
}

/* ---- Evaluation ---- */

struct output {
    char format[32];
    rein_word values[4], address, size, variable;
    size_t count;
};

static bool one_variable(void *arg, enum rein_variable_use use, unsigned number, rein_word *value)
{
    struct output *output = arg;
    if (use == REIN_VARIABLE_GET)
        *value = 77;
    else
        output->variable = *value;
    return number == 99 || use == REIN_VARIABLE_TRACE;
}

static void note_trace(void *arg, rein_word address, rein_word size)
{
    struct output *output = arg;
    output->address = address;
    output->size = size;
}

static void note_print(void *arg, const char *format, const rein_word *values, size_t count)
{
    struct output *output = arg;
    snprintf(output->format, sizeof output->format, "%s", format);
    memcpy(output->values, values, count * sizeof *values);
    output->count = count;
}

static rein_word value_of(rein_thread *thread, rein_bytecode *code)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    assert_ok(rein_thread_evaluate(thread, code, &evaluation));
    assert_true(evaluation.has_value);
    rein_bytecode_unref(code);
    return evaluation.value;
}

/* P5, T4, X2: for a stopped thread: its registers, its memory with breakpoints hidden, variables and outputs. */
static void P5_T4_X2_evaluated_for_a_thread(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    rein_word pc = address_of(fixture, "step_1");
    unsigned char code[4];
    rein_registers *registers;
    add_breakpoint(process, pc);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_thread_registers(thread, &registers));
    rein_word sp = register_of(thread, STACK_POINTER);
    int sp_index = rein_registers_sp_index(registers), wide = -1, narrow = -1;
    for (int i = rein_registers_count(registers); i < rein_registers_total(registers); i++) {
        struct rein_register_info info = REIN_REGISTER_INFO_INIT;
        bool present;
        assert_ok(rein_registers_info(registers, i, &info));
        assert_ok(rein_registers_present(registers, i, &present));
        if (present && wide < 0 && info.bytes > 8)
            wide = i;
        if (present && narrow < 0 && info.bytes <= 8)
            narrow = i;
    }
    assert_ok(rein_process_read(process, pc, code, sizeof code, NULL));
    assert_word(value_of(thread, bytecode(WORD(pc), REF8, END)), code[0]);
    assert_word(value_of(thread, bytecode(REGISTER(sp_index), END)), sp);
    assert_word(value_of(thread, bytecode(REGISTER(sp_index), REF32, END)), word_at(process, sp) & 0xffffffff);
    assert_word(value_of(thread, bytecode(TID, END)), (rein_word)rein_thread_id(thread));
    assert_word(value_of(thread, bytecode(HITS, END)), 0);

    /* Across blocks: as rein_process_read has it. */
    for (rein_word at = (sp & ~(rein_word)63) + 56; at < (sp & ~(rein_word)63) + 72; at++) {
        unsigned char bytes[8];
        rein_word expected = 0;
        assert_ok(rein_process_read(process, at, bytes, sizeof bytes, NULL));
        for (int i = 7; i >= 0; i--)
            expected = expected << 8 | bytes[i];
        assert_word(value_of(thread, bytecode(WORD(at), REF64, END)), expected);
    }

    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    rein_bytecode *far = bytecode(REGISTER(sp_index), WORD((rein_word)1 << 40), ADD, REF8, END);
    if (word_size(process) == 4) {
        assert_ok(rein_thread_evaluate(thread, far, &evaluation));
    } else {
        assert_error_says(rein_thread_evaluate(thread, far, &evaluation), REIN_NOT_EVALUATED, "cannot be read");
        assert_string_equal(evaluation.trouble, "memory cannot be read");
        assert_word(evaluation.trouble_address, sp + ((rein_word)1 << 40));
        assert_false(evaluation.has_value);
    }
    rein_bytecode_unref(far);
    rein_bytecode *beyond = bytecode(REGISTER(wide), END);
    assert_true(wide >= 0 && narrow >= 0 && narrow < 256 && wide < 256);
    assert_error_says(rein_thread_evaluate(thread, beyond, &evaluation), REIN_NOT_EVALUATED, "wider than a word");
    rein_bytecode_unref(beyond);
    rein_word word = 0;
    assert_ok(rein_registers_read(registers, narrow, &word, sizeof word, NULL));
    assert_word(value_of(thread, bytecode(REGISTER(narrow), END)), word);
    rein_registers_free(registers);

    struct output output = {.format = ""};
    evaluation.arg = &output;
    evaluation.hits = 12;
    evaluation.variable = one_variable;
    evaluation.trace = note_trace;
    evaluation.print = note_print;
    rein_bytecode *all = bytecode(GETV, 0, 99, SETV, 0, 99, TRACEV, 0, REIN_VARIABLE_HITS, TRACE_QUICK, 8, HITS, CONST8,
                                  0, CONST8, 0, PRINTF, 1, 0, 4, '%', 'd', '!', 0, END);
    assert_ok(rein_thread_evaluate(thread, all, &evaluation));
    assert_word(evaluation.value, 77);
    assert_word(output.address, 77);
    assert_word(output.size, 8);
    assert_word(output.variable, 12); /* the last: that of tracev */
    assert_string_equal(output.format, "%d!");
    assert_int_equal(output.count, 1);
    assert_word(output.values[0], 12);

    /* E1 */
    assert_error(rein_thread_evaluate(NULL, all, &evaluation), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_evaluate(thread, NULL, &evaluation), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_evaluate(thread, all, &(struct rein_evaluation){.size = 3}), REIN_INVALID_ARGUMENT);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    assert_fails(rein_thread_evaluate(thread, all, &evaluation));
    rein_bytecode_unref(all);
}

struct evaluator {
    rein_bytecode *code;
    atomic_ulong calls, wrong;
};

static enum rein_verdict evaluate_in_callback(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct evaluator *evaluator = arg;
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    evaluation.hits = rein_breakpoint_hits(breakpoint);
    atomic_fetch_add(&evaluator->calls, 1);
    if (rein_thread_evaluate(thread, evaluator->code, &evaluation) != 0 ||
        evaluation.value != (rein_word)rein_thread_id(thread) + evaluation.hits)
        atomic_fetch_add(&evaluator->wrong, 1);
    return REIN_VERDICT_GO_ON;
}

/* P5, M1: in a callback; and not for a thread that runs. */
static void P5_M1_evaluated_in_a_callback(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_process *process = attach(fixture);
    struct evaluator evaluator = {.code = bytecode(TID, HITS, ADD, END)};
    set_policy(process, REIN_IGNORE);
    add(process, address_of(fixture, "hot"), NULL, 0, evaluate_in_callback, &evaluator);
    rein_thread *thread = thread_of(process, fixture->pid);
    assert_ok(rein_process_continue(process));
    for (double limit = now() + LIMIT_S; evaluator.calls < 100;) {
        assert_true(now() < limit);
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
    }
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    assert_error_says(rein_thread_evaluate(thread, evaluator.code, &evaluation), REIN_BAD_STATE, "cannot evaluate");
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_int_equal(evaluator.wrong, 0);
    assert_ok(rein_process_detach(process, 0));
    assert_error(rein_thread_evaluate(thread, evaluator.code, &evaluation), REIN_DETACHED);
    rein_bytecode_unref(evaluator.code);
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P5_true_and_false),
        live_test(P5_C1_false_is_not_told),
        live_test(P5_P4_eight_threads_at_once),
        live_test(P5_M4_a_hundred_others_sleep_on),
        live_test(P5_C1_trouble_stops_and_tells),
        live_test(P5_C1_policy_for_trouble),
        live_test(E1_no_conditions),
        live_test(P5_ignored_hits),
        live_test(P5_M1_replaced_in_a_storm),
        live_test(T1_P5_steps_onto_it),
        live_test(T1_P5_M1_step_onto_one_that_goes_on),
        live_test(P5_C1_vfork_children),
        live_test(P5_C1_followed_children),
        live_test(P5_T4_X2_evaluated_for_a_thread),
        live_test(P5_M1_evaluated_in_a_callback),
    };
    return live_main(tests);
}
