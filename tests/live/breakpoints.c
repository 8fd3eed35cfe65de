/* P2 P3 M5 M6 P5 M4: breakpoints. Programs: step_targets, spin, memory_map, rep_movs, popf_pushf. */
#include "support.h"

static rein_breakpoint *find(rein_process *process, rein_word pc)
{
    rein_breakpoint **list = NULL, *found = NULL;
    size_t count;
    assert_ok(rein_process_breakpoints(process, &list, &count));
    for (size_t i = 0; i < count; i++) {
        if (rein_breakpoint_pc(list[i]) == pc) {
            assert_null(found);
            found = list[i];
        }
    }
    rein_breakpoint_list_free(list, count);
    return found;
}

/* P2, E1 */
static void P2_add(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_process *process = fixture->process;
    rein_word pc = address_of(fixture, "step_0");
    char words[64];
    rein_breakpoint *breakpoint = NULL, *second = NULL;
    assert_ok(rein_process_add_breakpoint(process, pc, NULL, &breakpoint));
    assert_non_null(breakpoint);
    later_unref_breakpoint(breakpoint);
    assert_word(rein_breakpoint_pc(breakpoint), pc);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 0);
    assert_true(find(process, pc) != NULL);

    snprintf(words, sizeof words, "breakpoint already exists at PC 0x%" PRIx64, pc);
    assert_error_says(rein_process_add_breakpoint(process, pc, NULL, &second), REIN_BREAKPOINT_EXISTS, words);
    assert_null(second);
    assert_ok(rein_process_add_breakpoint(process, pc + TRAP_SIZE, NULL, NULL)); /* no handle wanted */
    assert_true(find(process, pc + TRAP_SIZE) != NULL);
}

/* P2: where there is no memory. Nothing is left of the attempt. */
static void P2_bad_address(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_process *process = fixture->process;
    const rein_word bad[] = {0, 8, 0x800000000000, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rein_breakpoint *none = NULL;
        assert_error_says(rein_process_add_breakpoint(process, bad[i], NULL, &none), REIN_BAD_ADDRESS, "0x");
        assert_null(none);
        assert_null(find(process, bad[i]));
    }
    assert_ok(rein_process_continue(process));
}

/* P2, P3: only while the process is stopped, unless asked for. */
static void P2_P3_while_it_runs(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_process *process = attach(fixture);
    rein_word pc = address_of(fixture, "hot");
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_add_breakpoint(process, pc, NULL, NULL), REIN_BAD_STATE);
    assert_error(rein_process_add_breakpoint(process, pc, &options, NULL), REIN_BAD_STATE);
    assert_null(find(process, pc));
    rein_breakpoint *breakpoint = count_at(process, pc);
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < 100;)
        assert_true(now() < limit && rein_process_wait(process, 1) == REIN_TIMEOUT);
    assert_error(rein_process_remove_breakpoint(process, pc, 0), REIN_BAD_STATE);
    assert_error(rein_process_remove_breakpoint(process, pc + 1, REIN_BREAKPOINT_WHILE_RUNNING), REIN_NO_BREAKPOINT);
    assert_ok(rein_process_remove_breakpoint(process, pc, REIN_BREAKPOINT_WHILE_RUNNING));
    uint64_t hits = rein_breakpoint_hits(breakpoint);
    sleep_ms(20);
    assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
    assert_int_equal(rein_breakpoint_hits(breakpoint), hits);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P3, E1 */
static void P3_remove(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    rein_word pc = address_of(fixture, "step_0");
    char words[64];
    snprintf(words, sizeof words, "no breakpoint at PC 0x%" PRIx64, pc);
    assert_error_says(rein_process_remove_breakpoint(process, pc, 0), REIN_NO_BREAKPOINT, words);
    rein_breakpoint *breakpoint = add_breakpoint(process, pc);
    run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_process_remove_breakpoint(process, pc, 0)); /* a thread sits on it */
    assert_error_says(rein_process_remove_breakpoint(process, pc, 0), REIN_NO_BREAKPOINT, words);
    assert_null(find(process, pc));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1); /* it still answers */
    assert_word(rein_breakpoint_pc(breakpoint), pc);
}

static void P2_list_is_by_address(void **state)
{
    (void)state;
    static const unsigned offsets[] = {5, 1, 9, 3, 7, 2, 8, 4, 6, 0};
    struct fixture *fixture = spawn("spin", "1", NULL);
    rein_process *process = fixture->process;
    rein_word cold = address_of(fixture, "cold");
    rein_breakpoint **list = (rein_breakpoint **)&list;
    size_t count = 99;
    assert_ok(rein_process_breakpoints(process, &list, &count));
    assert_null(list);
    assert_int_equal(count, 0);
    rein_breakpoint_list_free(list, count);
    for (size_t i = 0; i < 10; i++)
        add_breakpoint(process, cold + TRAP_SIZE * offsets[i]);
    assert_ok(rein_process_remove_breakpoint(process, cold + TRAP_SIZE * 4, 0));
    assert_ok(rein_process_breakpoints(process, &list, &count));
    assert_int_equal(count, 9);
    for (size_t i = 0; i < count; i++)
        assert_word(rein_breakpoint_pc(list[i]), cold + TRAP_SIZE * (i + (i >= 4)));
    rein_breakpoint_list_free(list, count);
}

/* P5, M6, C1: a hit stops with the pc at the breakpoint, and continuing goes past it, as often as it is come to. */
static void P5_M6_hit_and_go_past(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "6", NULL);
    rein_process *process = fixture->process;
    static const char *const labels[] = {"step_0", "step_1", "step_2",  "step_4",
                                         "step_6", "step_9", "step_11", "step_12"};
    rein_breakpoint *breakpoints[8];
    for (int i = 0; i < 8; i++)
        breakpoints[i] = add_breakpoint(process, address_of(fixture, labels[i]));
    for (int round = 1; round <= 6; round++) {
        for (int i = 0; i < 8; i++) {
            rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
            struct rein_cause cause;
            char text[64], expected[64];
            snprintf(expected, sizeof expected, "breakpoint at 0x%" PRIx64, address_of(fixture, labels[i]));
            assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
            assert_word(pc_of(thread), address_of(fixture, labels[i]));
            assert_ok(rein_thread_cause(thread, &cause));
            rein_cause_text(&cause, text, sizeof text);
            assert_string_equal(text, expected);
            rein_cause_clear(&cause);
            assert_int_equal(rein_breakpoint_hits(breakpoints[i]), round);
        }
    }
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
}

/* P5: added where a thread stands: it has been shown it, and goes past. */
static void P5_added_where_it_stands(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "step_0"));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    rein_breakpoint *here = add_breakpoint(process, address_of(fixture, "step_1"));
    rein_breakpoint *next = add_breakpoint(process, address_of(fixture, "step_2"));
    run_to_stop(process);
    assert_word(pc_of(thread), address_of(fixture, "step_2"));
    assert_int_equal(rein_breakpoint_hits(here), 0);
    assert_int_equal(rein_breakpoint_hits(next), 1);
    /* Removed and added again, under the thread's feet: the same. */
    assert_ok(rein_process_remove_breakpoint(process, address_of(fixture, "step_2"), 0));
    rein_breakpoint *again = add_breakpoint(process, address_of(fixture, "step_2"));
    run_to_stop(process);
    assert_word(pc_of(thread), address_of(fixture, "step_0"));
    assert_int_equal(rein_breakpoint_hits(again), 0);
}

/* P5: sent to a breakpoint by its pc, a thread hits it; sent away from one, it does not go past anything. */
static void P5_R1_sent_to_a_breakpoint(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "step_0"));
    rein_breakpoint *second = add_breakpoint(process, address_of(fixture, "step_1"));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    set_pc_of(thread, address_of(fixture, "step_1")); /* over a nop */
    run_to_stop(process);
    assert_int_equal(cause_of(thread), REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), address_of(fixture, "step_1"));
    assert_int_equal(rein_breakpoint_hits(second), 1);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
}

/* P5: of several threads at the same breakpoint each hits it, once for each time that it comes there. */
static void P5_several_threads_all_stop(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("spin", "6", "150", NULL);
    rein_process *process = fixture->process;
    rein_breakpoint *hot = add_breakpoint(process, address_of(fixture, "hot"));
    rein_breakpoint *hot2 = add_breakpoint(process, address_of(fixture, "hot2"));
    uint64_t told = 0;
    for (;;) {
        assert_ok(rein_process_continue(process));
        int result = rein_process_wait(process, LIMIT_MS);
        if (result == REIN_EXITED)
            break;
        assert_ok(result);
        struct rein_event event;
        while (rein_process_next_event(process, 0, &event) == 0) {
            told += event.cause.kind == REIN_CAUSE_BREAKPOINT;
            rein_event_clear(&event);
        }
    }
    assert_int_equal(rein_breakpoint_hits(hot), 900);
    assert_int_equal(rein_breakpoint_hits(hot2), 450);
    assert_int_equal(told, 1350);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok spin"));
}

/* ---- Executed in the thread's place ---- */

static struct rein_breakpoint_info info_of(const rein_breakpoint *breakpoint)
{
    struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
    assert_ok(rein_breakpoint_info(breakpoint, &info));
    assert_non_null(info.why);
    assert_word(info.pc, rein_breakpoint_pc(breakpoint));
    assert_int_equal(info.hits, rein_breakpoint_hits(breakpoint));
    return info;
}

static void skip_without_emulation(void)
{
    if (getenv("REIN_STEP_OVER"))
        skip();
}

/* P5: simple instructions are executed in the thread's place, each time, with the same results; a system call is not. */
static void P5_simple_instructions(void **state)
{
    (void)state;
    skip_without_emulation();
    enum { TIMES = 50 };
    static const char *const labels[] = {
        "step_0",
        "step_1",
        "step_4",
        "step_5",
        "step_6",
        "step_7",
        "step_8",
        "step_10",
        "step_11",
        "step_12",
#if !defined(__aarch64__) /* there it is no push and pop */
        "step_2",
        "step_3",
#endif
        "step_9"
    };
    enum { SIMPLE = sizeof labels / sizeof *labels - 1 };
    struct fixture *fixture = spawn("step_targets", "50", "3", NULL);
    rein_process *process = fixture->process;
    rein_breakpoint *breakpoints[SIMPLE + 1];
    for (int i = 0; i <= SIMPLE; i++)
        breakpoints[i] = count_at(process, address_of(fixture, labels[i]));
    for (int i = 0; i < SIMPLE; i++)
        assert_int_equal(info_of(breakpoints[i]).way, REIN_BREAKPOINT_EMULATED); /* it is known before the first hit */
    assert_int_equal(info_of(breakpoints[SIMPLE]).way, REIN_BREAKPOINT_STEPPED);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
    for (int i = 0; i <= SIMPLE; i++) {
        struct rein_breakpoint_info info = info_of(breakpoints[i]);
        assert_true(info.hits >= TIMES && info.hits % TIMES == 0);
        assert_int_equal(i < SIMPLE ? info.emulated : info.stepped, info.hits);
        assert_int_equal(i < SIMPLE ? info.stepped : info.emulated, 0);
    }
}

/* Of the signals, in microseconds. A monitor that polls is too slow to let a thread do anything between two that come
 * fast, and so is one that is emulated. */
static const char *interval(void)
{
    return monitor_kind() == REIN_MONITOR_THREAD || getenv("REIN_EMULATED") ? "50000" : "100";
}

/* P5, M7: others are executed somewhere else, among signals and faults; but nobody sees a thread there. */
static void P5_M7_moved_instructions(void **state)
{
    (void)state;
    skip_without_emulation();
    enum { MOVED = 7, THREADS = 3 };
    const bool is_slow = getenv("REIN_EMULATED") != NULL;
    const unsigned times = is_slow ? 80 : 400;
    static const char *const labels[MOVED] = {"moved_0", "moved_1", "moved_2", "moved_3",
                                              "moved_4", "moved_5", "moved_6"};
    struct fixture *fixture = spawn("moved", is_slow ? "80" : "400", "3", interval(), NULL);
    rein_process *process = fixture->process;
    rein_breakpoint *breakpoints[MOVED], *fault, *divide;
    for (int i = 0; i < MOVED; i++)
        breakpoints[i] = count_at(process, address_of(fixture, labels[i]));
    fault = count_at(process, address_of(fixture, "moved_fault"));
    divide = count_at(process, address_of(fixture, "moved_divide"));
    assert_int_equal(info_of(breakpoints[0]).way, REIN_BREAKPOINT_DISPLACED);
    assert_int_equal(info_of(divide).way, REIN_BREAKPOINT_DISPLACED);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok moved"));
    for (int i = 0; i < MOVED; i++) {
        struct rein_breakpoint_info info = info_of(breakpoints[i]);
        assert_int_equal(info.hits, times * THREADS);
        assert_int_equal(info.emulated + info.displaced + info.stepped,
                         info.hits); /* stepped: whom signals do not let go */
        assert_true(info.emulated + info.displaced > 0);
    }
    assert_int_equal(rein_breakpoint_hits(fault), times * THREADS / 8);
    assert_int_equal(rein_breakpoint_hits(divide), times * THREADS / 8);
}

/* P5, T4: who reads through rein, and who has the process when it was let go, finds nothing of the copies; and threads that are
 * stopped in them stand at the originals. */
static void P5_P7_moved_and_let_go(void **state)
{
    (void)state;
    skip_without_emulation();
    enum { PAGE = 4096 };
    const int rounds = getenv("REIN_EMULATED") ? 8 : 40;
    static unsigned char before[PAGE], seen[PAGE];
    struct fixture *fixture = start_waiting("moved", "1000000", "3", interval(), NULL);
    rein_word end = address_of(fixture, "etext");
    size_t size = PAGE - end % PAGE;
    assert_int_equal(raw_read(fixture->pid, end, before, size), (ssize_t)size);
    rein_process *process = attach(fixture);
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "moved_1"));
    count_at(process, address_of(fixture, "moved_4"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    for (int round = 0; round < rounds; round++) {
        for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < 20u * (unsigned)(round + 1);)
            assert_true(now() < limit && rein_process_wait(process, 1) == REIN_TIMEOUT);
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_read(process, end, seen, size, NULL));
        assert_memory_equal(seen, before, size);
        rein_thread **threads = NULL;
        size_t count;
        assert_ok(rein_process_threads(process, &threads, &count));
        for (size_t i = 0; i < count; i++) {
            rein_word pc = pc_of(threads[i]);
            assert_false(pc >= end && pc < end + size);
        }
        rein_thread_list_free(threads, count);
        assert_ok(rein_process_continue(process));
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_true(info_of(breakpoint).displaced > 0);
    assert_ok(rein_process_detach(process, 0));
    assert_int_equal(raw_read(fixture->pid, end, seen, size), (ssize_t)size);
    assert_memory_equal(seen, before, size);
    assert_free(fixture->pid);
    kill(fixture->pid, SIGKILL);
}

/* Of all hits some, whom signals or another's step do not let go, may be stepped. */
static void check_moved(const rein_breakpoint *breakpoint, uint64_t hits)
{
    struct rein_breakpoint_info info = info_of(breakpoint);
    assert_int_equal(info.hits, hits);
    assert_int_equal(info.displaced + info.stepped, hits);
    assert_true(info.displaced > hits / 2);
}

/* P5: so are those of a compiler that works at run time, in memory of no file. */
static void P5_moved_code_of_no_file(void **state)
{
    (void)state;
    skip_without_emulation();
    enum { TIMES = 100, THREADS = 3 };
    struct fixture *fixture = start_ready("compiled", "100", "3", NULL);
    rein_process *process = attach(fixture);
    rein_breakpoint *store = count_at(process, said_address(fixture, "store")),
                    *load = count_at(process, said_address(fixture, "load"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_ends_traced(fixture, 0);
    check_moved(store, TIMES * THREADS);
    check_moved(load, TIMES * THREADS);
}

/* P5: more breakpoints than there is room for: copies make place for others. */
static void P5_moved_in_turn(void **state)
{
    (void)state;
    skip_without_emulation();
    enum { TIMES = 3, THREADS = 2, STEPS = 300 };
    static rein_breakpoint *breakpoints[STEPS];
    struct fixture *fixture = start_ready("compiled", "3", "2", "300", NULL);
    rein_process *process = attach(fixture);
    rein_word steps = said_address(fixture, "steps");
    unsigned size = (unsigned)(said_address(fixture, "steps_end") - steps) / STEPS;
    for (unsigned i = 0; i < STEPS; i++)
        breakpoints[i] = count_at(process, steps + i * size);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_ends_traced(fixture, 0);
    for (unsigned i = 0; i < STEPS; i++)
        check_moved(breakpoints[i], TIMES * THREADS);
}

#if defined(__x86_64__) || defined(__i386__)
/* P5: what is executed is what is in memory, though the program changes it all the time behind the trap. */
static void P5_code_that_the_program_changes(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("rewritten", "500", NULL);
    rein_process *process = attach(fixture);
    rein_breakpoint *breakpoint = count_at(process, said_address(fixture, "code"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_ends_traced(fixture, 0);
    struct rein_breakpoint_info info = info_of(breakpoint);
    assert_int_equal(info.hits, 500);
    assert_int_equal(info.emulated + info.stepped, 500);
}

enum { CONSTANT_AT = 1 }; /* of step_1, mov $0x1234, %eax */

struct rewriting {
    uint32_t constant, seen;
    int result;
};

static enum rein_verdict write_constant(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct rewriting *rewriting = arg;
    rewriting->constant++;
    rewriting->result |= rein_process_write(rein_thread_process(thread), rein_breakpoint_pc(breakpoint) + CONSTANT_AT,
                                            &rewriting->constant, sizeof rewriting->constant, NULL);
    return REIN_VERDICT_GO_ON;
}

static enum rein_verdict see_constant(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct rewriting *rewriting = arg;
    rein_registers *registers = NULL;
    rein_word value = 0;
    (void)breakpoint;
    rewriting->result |= rein_thread_registers(thread, &registers);
    rewriting->result |= rein_registers_get(registers, 0, &value); /* rax */
    rewriting->seen += value == rewriting->constant;
    rewriting->result |= rein_registers_set(registers, 0, 0x1234); /* as the program wants it */
    rein_registers_free(registers);
    return REIN_VERDICT_GO_ON;
}

/* P5, T5, R1: so is what the caller writes there, in the callback of the hit itself; and the registers are those that it sets. */
static void P5_T5_code_that_the_caller_changes(void **state)
{
    (void)state;
    enum { FIRST = 0x5000, TIMES = 100 };
    struct fixture *fixture = spawn("step_targets", "100", "1", NULL);
    struct rewriting rewriting = {.constant = FIRST};
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.arg = &rewriting;
    options.callback = write_constant;
    assert_ok(rein_process_add_breakpoint(fixture->process, address_of(fixture, "step_1"), &options, NULL));
    options.callback = see_constant;
    assert_ok(rein_process_add_breakpoint(fixture->process, address_of(fixture, "step_2"), &options, NULL));
    set_policy(fixture->process, REIN_IGNORE);
    run_to_end(fixture->process);
    read_to_end(fixture);
    assert_int_equal(rewriting.result, 0);
    assert_non_null(has_said(fixture, "ok step_targets"));
    assert_true(rewriting.constant >= FIRST + TIMES);
    assert_int_equal(rewriting.seen, rewriting.constant - FIRST);
}
#endif

/* P5: who wants it has every instruction executed by the thread itself. */
static void P5_step_over_all(void **state)
{
    (void)state;
    struct fixture *fixture = start_waiting("spin", "2", "100", NULL);
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *own;
    rein_process *process;
    options.kind = monitor_kind();
    options.flags = REIN_MONITOR_STEP_OVER;
    assert_ok(rein_monitor_create(&options, &own));
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    struct rein_breakpoint_info info = info_of(breakpoint);
    assert_int_equal(info.way, REIN_BREAKPOINT_STEPPED);
    assert_int_equal(info.emulated, 0);
    assert_true(info.stepped > 0 && info.hits > 0);
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_ends(fixture, 0);
    options.flags = 1u << 31;
    assert_error(rein_monitor_create(&options, &own), REIN_INVALID_ARGUMENT);
}

/* P3: removed while threads sit on it, shown or with the trap not told yet, again and again: none may see a
 * SIGTRAP. */
static void P3_removed_under_traps(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "8", NULL);
    rein_process *process = attach(fixture);
    rein_word pc = address_of(fixture, "hot");
    for (int round = 0; round < 150; round++) {
        add_breakpoint(process, pc);
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_ok(rein_process_remove_breakpoint(process, pc, 0));
        rein_thread **threads = NULL;
        size_t count, signals = 0;
        assert_ok(rein_process_threads(process, &threads, &count));
        for (size_t i = 0; i < count; i++)
            signals += cause_of(threads[i]) == REIN_CAUSE_SIGNAL;
        rein_thread_list_free(threads, count);
        assert_int_equal(signals, 0);
        if (round % 2) {
            assert_ok(rein_process_continue(process));
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
            assert_ok(rein_process_stop(process, LIMIT_MS));
        }
    }
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P2, P3, M5: added and removed all the time while threads run into it. */
static void P2_P3_in_a_storm(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "4", NULL);
    rein_process *process = attach_running(fixture);
    rein_word pc = address_of(fixture, "hot");
    unsigned char original, byte;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_read(process, pc, &original, 1, NULL));
    uint64_t hits = 0;
    for (int round = 0; round < 300; round++) {
        rein_breakpoint *breakpoint = count_at(process, pc);
        if (round % 3 == 0)
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        assert_ok(rein_process_read(process, pc, &byte, 1, NULL));
        assert_int_equal(byte, original);
        assert_ok(rein_process_remove_breakpoint(process, pc, REIN_BREAKPOINT_WHILE_RUNNING));
        assert_int_equal(raw_read(fixture->pid, pc, &byte, 1), 1);
        assert_int_equal(byte, original);
        hits += rein_breakpoint_hits(breakpoint);
    }
    assert_true(hits > 0);
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P5, M5: in memory only while something runs, each time. */
static void M5_not_in_memory_when_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = attach(fixture);
    rein_word pc = address_of(fixture, "hot");
    unsigned char original, byte;
    assert_int_equal(raw_read(fixture->pid, pc, &original, 1), 1);
    add_breakpoint(process, pc);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(raw_read(fixture->pid, pc, &byte, 1), 1);
        assert_int_equal(byte, original);
        run_to_stop(process);
    }
    assert_ok(rein_process_detach(process, 0));
    assert_int_equal(raw_read(fixture->pid, pc, &byte, 1), 1);
    assert_int_equal(byte, original);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P5: a breakpoint whose memory has gone cannot be put in: nothing is continued, and the message says which. */
static void P5_E1_memory_that_has_gone(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "2", NULL);
    rein_process *process = fixture->process;
    skip_if_32_bit(process, "calls are made in it by amd64's registers");
    rein_word at_call = address_of(fixture, "step_9");
    add_breakpoint(process, at_call);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    rein_word before = pc_of(thread);
    /* mmap and munmap, made in the program */
    int64_t page = inject(thread, at_call, SYS_mmap, 0, 4096, 7, 0x22, (rein_word)-1);
    assert_true(page > 0);
    rein_breakpoint *breakpoint = add_breakpoint(process, (rein_word)page + 16);
    assert_int_equal(inject(thread, at_call, SYS_munmap, (rein_word)page, 4096, 0, 0, 0), 0);
    assert_word(pc_of(thread), before);
    char words[32];
    snprintf(words, sizeof words, "0x%" PRIx64, (rein_word)page + 16);
    assert_error_says(rein_process_continue(process), REIN_BAD_ADDRESS, words);
    assert_true(rein_state_is_stopped(state_of(thread)));
    assert_int_equal(proc_state(fixture->pid, 0), 't');
    assert_ok(rein_process_remove_breakpoint(process, (rein_word)page + 16, 0));
    assert_int_equal(rein_breakpoint_hits(breakpoint), 0);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
}

/* ---- callbacks ---- */

struct seen {
    rein_process *process;
    rein_word pc;
    rein_word other_pc;
    atomic_int breakpoint_calls, process_calls, wrong;
    enum rein_verdict verdict;
    char first_wrong[200];
};

static void wrong(struct seen *seen, const char *what)
{
    if (atomic_fetch_add(&seen->wrong, 1) == 0)
        snprintf(seen->first_wrong, sizeof seen->first_wrong, "%s: %s", what, rein_error_message());
}
#define expect(seen, condition) ((condition) ? (void)0 : wrong((seen), #condition))

static void assert_nothing_wrong(struct seen *seen)
{
    if (seen->wrong)
        fail_msg("in a callback: %s", seen->first_wrong);
}

static enum rein_verdict look_around(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct seen *seen = arg;
    rein_registers *registers = NULL;
    rein_word pc = 0;
    unsigned char byte = 0, raw = 0;
    enum rein_state state = REIN_STATE_COUNT;
    atomic_fetch_add(&seen->breakpoint_calls, 1);
    expect(seen, rein_breakpoint_pc(breakpoint) == seen->pc);
    expect(seen, rein_thread_process(thread) == seen->process);
    expect(seen, rein_thread_registers(thread, &registers) == 0);
    expect(seen, rein_registers_pc(registers, &pc) == 0 && pc == seen->pc);
    rein_word kept = 0, other = 0x1234;
    int index = register_index(registers, KEPT_REGISTER);
    expect(seen, rein_registers_get(registers, index, &kept) == 0);
    expect(seen, rein_registers_set(registers, index, other) == 0);
    expect(seen, rein_registers_set(registers, index, kept) == 0);
    rein_registers_free(registers);
    expect(seen, rein_thread_read(thread, seen->pc, &byte, 1, NULL) == 0 && byte != 0xcc);
    expect(seen, rein_process_read(seen->process, seen->pc, &raw, 1, NULL) == 0 && raw == byte);
    expect(seen, rein_thread_state(thread, &state) == 0 && rein_state_is_stopped(state));
    expect(seen, rein_breakpoint_hits(breakpoint) >= (uint64_t)seen->breakpoint_calls);
    /* What waits is refused. */
    struct rein_event event;
    expect(seen, rein_process_wait(seen->process, -1) == REIN_ON_MONITOR);
    expect(seen, rein_thread_wait(thread, -1) == REIN_ON_MONITOR);
    expect(seen, rein_thread_step(thread, 0, -1) == REIN_ON_MONITOR);
    expect(seen, rein_process_next_event(seen->process, -1, &event) == REIN_ON_MONITOR);
    expect(seen, rein_monitor_close(monitor) == REIN_ON_MONITOR);
    return seen->verdict;
}

static enum rein_verdict count_process_calls(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct seen *seen = arg;
    (void)thread;
    if (cause->kind == REIN_CAUSE_BREAKPOINT) {
        atomic_fetch_add(&seen->process_calls, 1);
        expect(seen, cause->pc == seen->pc);
    }
    return REIN_VERDICT_POLICY;
}

static rein_breakpoint *add_with_callback(rein_process *process, rein_word pc, rein_breakpoint_callback callback,
                                          void *arg)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = callback;
    options.arg = arg;
    assert_ok(rein_process_add_breakpoint(process, pc, &options, &breakpoint));
    later_unref_breakpoint(breakpoint);
    return breakpoint;
}

/* M1: the callback may look at the thread; what waits is refused there; the process's is asked only after POLICY. */
static void M1_callback(void **state)
{
    (void)state;
    static const enum rein_verdict verdicts[] = {REIN_VERDICT_GO_ON, REIN_VERDICT_POLICY};
    for (int i = 0; i < 2; i++) {
        struct seen seen = {.verdict = verdicts[i]};
        struct fixture *fixture = spawn("spin", "3", "40", NULL);
        rein_process *process = fixture->process;
        seen.process = process;
        seen.pc = address_of(fixture, "hot2");
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_callback(process, count_process_calls, &seen));
        rein_breakpoint *breakpoint = add_with_callback(process, seen.pc, look_around, &seen);
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
        assert_nothing_wrong(&seen);
        assert_int_equal(rein_breakpoint_hits(breakpoint), 60);
        assert_int_equal(seen.breakpoint_calls, 60);
        assert_int_equal(seen.process_calls, i == 0 ? 0 : 60);
    }
}

/* A callback that goes on touches no other thread: one that is stopped stays so, the others run, and nothing is
 * told. */
static void P5_M4_going_on_touches_nobody(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "4", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_STOP_THREAD);
    rein_thread *held = thread_of(process, fixture->pid);
    rein_thread **threads = NULL, *spinner = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count && !spinner; i++) {
        if (rein_thread_id(threads[i]) != fixture->pid)
            spinner = rein_thread_ref(threads[i]);
    }
    later_unref_thread(spinner);
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    for (size_t i = 0; i < count; i++) {
        if (rein_thread_id(threads[i]) != fixture->pid && rein_thread_id(threads[i]) != rein_thread_id(spinner))
            assert_ok(rein_thread_continue(threads[i]));
    }
    rein_word pc = pc_of(spinner), leader_pc = pc_of(held);
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < 500;) {
        assert_true(now() < limit);
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        for (size_t i = 0; i < count; i++) {
            bool stays =
                rein_thread_id(threads[i]) == fixture->pid || rein_thread_id(threads[i]) == rein_thread_id(spinner);
            assert_state(threads[i], stays ? REIN_STATE_STOPPED : REIN_STATE_RUNNING);
        }
    }
    assert_word(pc_of(spinner), pc);
    assert_word(pc_of(held), leader_pc);
    assert_no_event(process);
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* The verdicts that stop, whatever the policy is. */
static void C1_verdicts_that_stop(void **state)
{
    (void)state;
    for (int all = 0; all < 2; all++) {
        struct seen seen = {.verdict = all ? REIN_VERDICT_STOP_ALL : REIN_VERDICT_STOP_THREAD};
        struct fixture *fixture = start_ready("spin", "2", NULL);
        rein_process *process = attach(fixture);
        seen.process = process;
        seen.pc = address_of(fixture, "hot2");
        set_policy(process, REIN_IGNORE);
        add_with_callback(process, seen.pc, look_around, &seen);
        assert_ok(rein_process_continue(process));
        struct rein_event *event = expect_event(process, REIN_CAUSE_BREAKPOINT);
        assert_word(event->cause.pc, seen.pc);
        assert_state(event->thread, REIN_STATE_STOPPED_BREAKPOINT);
        if (all) {
            assert_ok(rein_process_wait(process, 0));
        } else {
            struct rein_event *other =
                expect_event(process, REIN_CAUSE_BREAKPOINT); /* the other spinner runs on to its own */
            assert_int_not_equal(rein_thread_id(other->thread), rein_thread_id(event->thread));
            assert_error(rein_process_wait(process, BRIEF_MS), REIN_TIMEOUT); /* the leader runs */
        }
        assert_ok(rein_process_detach(process, 0));
        assert_nothing_wrong(&seen);
        tell(fixture);
        assert_ends(fixture, 0);
    }
}

static enum rein_verdict remove_itself(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct seen *seen = arg;
    (void)thread;
    atomic_fetch_add(&seen->breakpoint_calls, 1);
    expect(seen, rein_process_remove_breakpoint(seen->process, rein_breakpoint_pc(breakpoint),
                                                REIN_BREAKPOINT_WHILE_RUNNING) == 0);
    if (seen->other_pc) {
        struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
        options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
        options.callback = go_on;
        expect(seen, rein_process_add_breakpoint(seen->process, seen->other_pc, &options, NULL) == 0);
    }
    return seen->verdict;
}

/* P3, M1: a breakpoint that removes itself when it is hit, and adds another, while other threads run into it. */
static void P3_M1_removes_itself(void **state)
{
    (void)state;
    for (int variant = 0; variant < 2; variant++) {
        struct seen seen = {.verdict = variant ? REIN_VERDICT_POLICY : REIN_VERDICT_GO_ON};
        struct fixture *fixture = start_ready("spin", "6", NULL);
        rein_process *process = attach(fixture);
        seen.process = process;
        seen.other_pc = address_of(fixture, "hot2");
        set_policy(process, REIN_IGNORE);
        add_with_callback(process, address_of(fixture, "hot"), remove_itself, &seen);
        assert_ok(rein_process_continue(process));
        for (double limit = now() + LIMIT_S;
             !find(process, seen.other_pc) || rein_breakpoint_hits(find(process, seen.other_pc)) < 20;) {
            assert_true(now() < limit);
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        }
        assert_null(find(process, address_of(fixture, "hot")));
        assert_nothing_wrong(&seen);
        assert_int_equal(seen.breakpoint_calls, 1);
        assert_ok(rein_process_detach(process, 0));
        tell(fixture);
        assert_ends(fixture, 0);
    }
}

static enum rein_verdict stop_all(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct seen *seen = arg;
    (void)thread, (void)breakpoint;
    atomic_fetch_add(&seen->breakpoint_calls, 1);
    expect(seen, rein_process_stop(seen->process, -1) == 0); /* only begins */
    return REIN_VERDICT_POLICY;
}

/* P4, M1: a stop of the process from within a callback. */
static void P4_M1_stop_in_a_callback(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct fixture *fixture = start_ready("spin", "4", NULL);
    rein_process *process = attach(fixture);
    seen.process = process;
    set_policy(process, REIN_IGNORE);
    add_with_callback(process, address_of(fixture, "hot"), stop_all, &seen);
    for (int i = 0; i < 20; i++) {
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        rein_thread **threads = NULL;
        size_t count;
        assert_ok(rein_process_threads(process, &threads, &count));
        assert_int_equal(count, 5);
        for (size_t k = 0; k < count; k++)
            assert_true(rein_state_is_stopped(state_of(threads[k])));
        rein_thread_list_free(threads, count);
    }
    assert_nothing_wrong(&seen);
    assert_true(seen.breakpoint_calls >= 20);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* A callback that moves the thread elsewhere, and changes registers: that is what goes on. */
static enum rein_verdict move_on(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct seen *seen = arg;
    rein_registers *registers = NULL;
    (void)breakpoint;
    atomic_fetch_add(&seen->breakpoint_calls, 1);
    expect(seen, rein_thread_registers(thread, &registers) == 0);
    expect(seen, rein_registers_set(registers, register_index(registers, RESULT_REGISTER), 0x1234) == 0);
    expect(seen, rein_registers_set_pc(registers, seen->other_pc) == 0);
    rein_registers_free(registers);
    return REIN_VERDICT_GO_ON;
}

static void R1_M1_pc_set_in_a_callback(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct fixture *fixture = spawn("step_targets", "10", NULL);
    rein_process *process = fixture->process;
    seen.process = process;
    seen.other_pc = address_of(fixture, "step_2");
    set_policy(process, REIN_IGNORE);
    rein_breakpoint *from = add_with_callback(process, address_of(fixture, "step_1"), move_on, &seen);
    rein_breakpoint *to = count_at(process, seen.other_pc); /* a breakpoint there is hit */
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_nothing_wrong(&seen);
    assert_int_equal(rein_breakpoint_hits(from), 10);
    assert_int_equal(rein_breakpoint_hits(to), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P2_add),
        live_test(P2_bad_address),
        live_test(P2_P3_while_it_runs),
        live_test(P3_remove),
        live_test(P2_list_is_by_address),
        live_test(P5_M6_hit_and_go_past),
        live_test(P5_added_where_it_stands),
        live_test(P5_R1_sent_to_a_breakpoint),
        live_test(P5_several_threads_all_stop),
        live_test(P5_simple_instructions),
#if defined(__x86_64__) || defined(__i386__)
        live_test(P5_code_that_the_program_changes),
        live_test(P5_T5_code_that_the_caller_changes),
#endif
        live_test(P5_M7_moved_instructions),
        live_test(P5_P7_moved_and_let_go),
        live_test(P5_moved_code_of_no_file),
        live_test(P5_moved_in_turn),
        live_test(P5_step_over_all),
        live_test(P3_removed_under_traps),
        live_test(P2_P3_in_a_storm),
        live_test(M5_not_in_memory_when_stopped),
        live_test(P5_E1_memory_that_has_gone),
        live_test(M1_callback),
        live_test(P5_M4_going_on_touches_nobody),
        live_test(C1_verdicts_that_stop),
        live_test(P3_M1_removes_itself),
        live_test(P4_M1_stop_in_a_callback),
        live_test(R1_M1_pc_set_in_a_callback),
    };
    return live_main(tests);
}
