/* T1 T2 T3 P4 P6: many steps for one request, and all ways in which they end. Programs: step_targets, rep_movs, faults,
 * signals_seen, sleepers, spin, signals_storm, step_exit. */

#include <linux/audit.h>

#include "machine.h"
#include "support.h"

#define STEPS 13
/* The order in which step_targets runs its labels: 5 and 6 are called from 4. */
static const char *const labels[STEPS] = {"step_0", "step_1", "step_2", "step_3",  "step_4",  "step_5", "step_6",
                                          "step_7", "step_8", "step_9", "step_10", "step_11", "step_12"};

static rein_thread *at_label(struct fixture *fixture, const char *label)
{
    rein_word pc = address_of(fixture, label);
    add_breakpoint(fixture->process, pc);
    rein_thread *thread = run_to(fixture->process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), pc);
    assert_ok(rein_process_remove_breakpoint(fixture->process, pc, 0));
    return thread;
}

static void run_out(struct fixture *fixture)
{
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

static uint64_t steps(rein_thread *thread, const struct rein_step_options *options)
{
    uint64_t done = 12345;
    assert_ok(rein_thread_step_many(thread, options, LIMIT_MS, &done));
    return done;
}

static uint64_t count_steps(rein_thread *thread, uint64_t count)
{
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.count = count;
    return steps(thread, &options);
}

static void T1_so_many(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "4", NULL);
    rein_thread *thread = at_label(fixture, "step_0");
    assert_int_equal(count_steps(thread, 1), 1);
    assert_word(pc_of(thread), address_of(fixture, labels[1]));
    assert_int_equal(count_steps(thread, 11), 11); /* with a system call among them */
    assert_word(pc_of(thread), address_of(fixture, labels[12]));
    assert_state(thread, REIN_STATE_STOPPED_STEP);
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    run_out(fixture);
}

/* As gdb steps a line: at least one step, and out of the range by a call and by a return. */
static void T1_out_of_a_range(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "4", NULL);
    rein_thread *thread = at_label(fixture, "step_0");
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.low = address_of(fixture, "step_0");
    options.high = address_of(fixture, "step_5");
    assert_int_equal(steps(thread, &options), 5); /* into the function */
    assert_word(pc_of(thread), address_of(fixture, "step_5"));
    options.low = address_of(fixture, "step_5");
    options.high = options.low + 64;
    assert_int_equal(steps(thread, &options), 2); /* and back */
    assert_word(pc_of(thread), address_of(fixture, "step_7"));
    assert_int_equal(steps(thread, &options), 1); /* not in the range to begin with */
    assert_word(pc_of(thread), address_of(fixture, "step_8"));
    options.low = options.high = address_of(fixture, "step_9"); /* none is in it */
    assert_int_equal(steps(thread, &options), 1);
    options.low = address_of(fixture, "step_9");
    options.high = address_of(fixture, "step_nowhere");
    options.count = 2;
    assert_int_equal(steps(thread, &options), 2); /* whichever comes first */
    assert_word(pc_of(thread), address_of(fixture, "step_11"));
    run_out(fixture);
}

struct predicate {
    rein_word pc;
    unsigned asked, registers;
    int waiting; /* what a call that waits has answered */
    bool (*also)(rein_thread *thread);
};

static bool is_there(rein_thread *thread, void *arg)
{
    struct predicate *predicate = arg;
    rein_registers *registers;
    rein_word pc = 0;
    enum rein_state state = REIN_STATE_RUNNING;
    predicate->asked++;
    if (rein_thread_registers(thread, &registers) == 0) {
        predicate->registers++;
        rein_registers_pc(registers, &pc);
        rein_registers_free(registers);
    }
    if (rein_thread_state(thread, &state) || state != REIN_STATE_STOPPED_STEP)
        predicate->registers = 0;
    predicate->waiting = rein_thread_step(thread, 0, -1);
    return (predicate->also && predicate->also(thread)) || pc == predicate->pc;
}

static void T1_until(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "4", NULL);
    rein_thread *thread = at_label(fixture, "step_0");
    struct predicate predicate = {.pc = address_of(fixture, "step_10")};
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.until = is_there;
    options.arg = &predicate;
    assert_int_equal(steps(thread, &options), 10);
    assert_word(pc_of(thread), predicate.pc);
    assert_int_equal(predicate.asked, 10);
    assert_int_equal(predicate.registers, 10);
    assert_int_equal(predicate.waiting, REIN_ON_MONITOR);
    assert_state(thread, REIN_STATE_STOPPED_STEP);
    run_out(fixture);
}

static bool go_on_from_here(rein_thread *thread)
{
    rein_process_set_policy(rein_thread_process(thread), REIN_CAUSE_COUNT, REIN_IGNORE);
    return rein_thread_continue(thread) != 0;
}

static bool let_go(rein_thread *thread)
{
    return rein_process_detach(rein_thread_process(thread), 0) != 0;
}

static bool stop_all(rein_thread *thread)
{
    return rein_process_stop(rein_thread_process(thread), -1) != 0;
}

/* What the predicate does is done. */
static void T1_P4_P7_until_and_more(void **state)
{
    (void)state;
    bool (*const all[])(rein_thread *) = {go_on_from_here, let_go, stop_all};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *fixture = start_waiting("step_targets", "4", NULL);
        rein_process *process = attach(fixture);
        rein_word pc = address_of(fixture, "step_0");
        add_breakpoint(process, pc);
        tell(fixture);
        rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
        assert_ok(rein_process_remove_breakpoint(process, pc, 0));
        struct predicate predicate = {.also = all[i]};
        struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
        options.until = is_there;
        options.arg = &predicate;
        options.count = 5;
        int result = rein_thread_step_many(thread, &options, LIMIT_MS, NULL);
        if (all[i] == let_go) {
            assert_int_equal(result, REIN_DETACHED);
        } else if (all[i] == stop_all) { /* all were stopped, but for this one, which is now */
            assert_int_equal(result, 0);
            assert_ok(rein_process_wait(process, LIMIT_MS));
            assert_ok(rein_process_detach(process, 0));
        } else {
            assert_int_equal(predicate.asked, 1);
            rein_process_wait(process, LIMIT_MS); /* to its end */
        }
        assert_ends(fixture, 0);
    }
}

/* A breakpoint that is stepped onto is a hit, and ends it, unless that goes on. */
static void T1_P2_onto_breakpoints(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "4", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = at_label(fixture, "step_0");
    rein_breakpoint *from = add_breakpoint(process, address_of(fixture, "step_0"));
    rein_breakpoint *counts = count_at(process, address_of(fixture, "step_2"));
    rein_breakpoint *called = count_at(process, address_of(fixture, "step_9"));
    rein_breakpoint *stops = add_breakpoint(process, address_of(fixture, "step_10"));
    assert_int_equal(count_steps(thread, 100), 10);
    assert_word(pc_of(thread), address_of(fixture, "step_10"));
    assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
    assert_int_equal(rein_breakpoint_hits(from), 0);
    assert_int_equal(rein_breakpoint_hits(counts), 1);
    assert_int_equal(rein_breakpoint_hits(called), 1);
    assert_int_equal(rein_breakpoint_hits(stops), 1);
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.low = address_of(fixture, "step_10");
    options.high = address_of(fixture, "step_nowhere");
    assert_int_equal(steps(thread, &options), 2); /* from it, over it */
    assert_word(pc_of(thread), address_of(fixture, "step_12"));
    assert_int_equal(rein_breakpoint_hits(stops), 1);
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    assert_int_equal(rein_breakpoint_hits(from), 3);
    assert_int_equal(rein_breakpoint_hits(counts), 4);
    assert_int_equal(rein_breakpoint_hits(stops), 4);
}

struct watched_place {
    int pid;
    rein_word address;
    unsigned char original[2];
    unsigned asked, seen;
};

static bool look_at_place(rein_thread *thread, void *arg)
{
    struct watched_place *place = arg;
    unsigned char now[sizeof place->original];
    (void)thread;
    place->asked++;
    if (raw_read(place->pid, place->address, now, sizeof now) != sizeof now ||
        memcmp(now, place->original, sizeof now) != 0)
        place->seen++;
    return false;
}

struct stepping {
    rein_thread *thread;
    const struct rein_step_options *options;
};

/* As a debugger has all run while one thread steps. */
static int step_beside_all(void *arg)
{
    const struct stepping *stepping = arg;
    int result = rein_thread_step_many(stepping->thread, stepping->options, LIMIT_MS, NULL);
    return result ? result : rein_process_continue(rein_thread_process(stepping->thread));
}

/* Nobody else can come to a breakpoint while the only thread steps: none is put into memory, step after step, and not by continuing
 * all others, of which there are none. */
static void T1_M5_alone(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "4", NULL);
    rein_thread *thread = at_label(fixture, "step_0");
    struct watched_place place = {.pid = fixture->pid, .address = address_of(fixture, "step_nowhere")};
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    assert_int_equal(raw_read(fixture->pid, place.address, place.original, sizeof place.original),
                     sizeof place.original);
    rein_breakpoint *breakpoint = count_at(fixture->process, place.address);
    options.count = 10;
    options.until = look_at_place;
    options.arg = &place;
    assert_int_equal(steps(thread, &options), 10);
    options.flags = REIN_STEP_BEGIN;
    assert_ok(rein_monitor_call(monitor, step_beside_all, &(struct stepping){thread, &options}));
    assert_ok(rein_process_wait(fixture->process, LIMIT_MS));
    assert_int_equal(place.asked, 20);
    assert_int_equal(place.seen, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 0);
    run_out(fixture);
}

/* A thread that is made in steps has the breakpoints that nobody needed before. */
static void T1_P2_threads_that_are_made(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("many_threads", "5", "4", NULL);
    rein_thread *thread = at_label(fixture, "main");
    rein_breakpoint *breakpoint = count_at(fixture->process, address_of(fixture, "hot"));
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.count = UINT32_MAX; /* till its end */
    options.flags = REIN_STEP_BEGIN;
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_monitor_call(monitor, step_beside_all, &(struct stepping){thread, &options}));
    assert_error(rein_process_wait(fixture->process, LIMIT_MS), REIN_EXITED);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 20);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok many_threads"));
}

/* A signal ends it, and stays pending; a fault does. */
static void T1_T2_a_fault_ends_it(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("faults", "1", "1", NULL);
    rein_thread *thread = at_label(fixture, "segv_insn");
    struct rein_cause cause;
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.count = 1000;
    uint64_t done = 1;
    assert_ok(rein_thread_step_many(thread, &options, LIMIT_MS, &done));
    assert_int_equal(done, 0);
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_SIGNAL);
    assert_int_equal(cause.signal.number, SIGSEGV);
    rein_cause_clear(&cause);
    options.flags = REIN_STEP_DELIVER; /* on into the handler */
    options.count = 3;
    assert_int_equal(steps(thread, &options), 3);
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    run_out(fixture);
}

/* One that is in a system call, or in an endless loop: the time limit leaves it stopped. */
static void T1_P4_time_limit(void **state)
{
    (void)state;
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    uint64_t done = 0;
    struct fixture *fixture = start_ready("sleepers", "4", NULL);
    await_state(fixture->pid, 0, 'S'); /* in its read */
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    assert_error(rein_thread_step_many(thread, &options, 50, &done), REIN_TIMEOUT);
    assert_int_equal(done, 0);
    assert_true(rein_state_is_stopped(state_of(thread)));
    assert_error(rein_thread_step_many(thread, &options, 0, &done), REIN_TIMEOUT);
    assert_true(rein_state_is_stopped(state_of(thread)));
    assert_ok(rein_process_cancel_wait(process));
    assert_error(rein_thread_step_many(thread, &options, LIMIT_MS, &done), REIN_CANCELLED);
    assert_true(rein_state_is_stopped(state_of(thread)));
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);

    fixture = start_ready("spin", "1", NULL);
    process = attach(fixture);
    thread = thread_of(process, fixture->pid);
    rein_thread **threads;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++)
        thread = rein_thread_id(threads[i]) != fixture->pid ? threads[i] : thread;
    do {
        assert_error(rein_thread_step_many(thread, &options, 50, &done), REIN_TIMEOUT);
        assert_true(rein_state_is_stopped(state_of(thread)));
    } while (done < 10);
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

struct helper {
    rein_thread *thread;
    pthread_t id;
    atomic_bool begun;
    uint64_t done;
    int result;
};

static bool note_begun(rein_thread *thread, void *arg)
{
    (void)thread;
    struct helper *helper = arg;
    atomic_store(&helper->begun, true);
    return false;
}

static void *step_for_ever(void *arg)
{
    struct helper *helper = arg;
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.until = note_begun;
    options.arg = helper;
    helper->result = rein_thread_step_many(helper->thread, &options, -1, &helper->done);
    return NULL;
}

/* Several threads at once, each by a host thread of its own; stopped by others, cancelled, and let go. */
static void T1_P4_P7_threads_at_once(void **state)
{
    (void)state;
    enum { COUNT = 3 };
    skip_if_lent();
    for (int way = 0; way < 4; way++) {
        struct fixture *fixture = start_ready("spin", "3", NULL);
        rein_process *process = attach(fixture);
        struct helper helpers[COUNT];
        rein_thread **threads;
        size_t count, used = 0;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_threads(process, &threads, &count));
        for (size_t i = 0; i < count && used < COUNT; i++) {
            if (rein_thread_id(threads[i]) == fixture->pid)
                continue;
            struct helper *helper = &helpers[used++];
            *helper = (struct helper){.thread = threads[i]};
            assert_int_equal(pthread_create(&helper->id, NULL, step_for_ever, helper), 0);
        }
        assert_int_equal(used, COUNT);
        double limit = now() + LIMIT_S;
        for (int i = 0; i < COUNT; i++)
            while (!atomic_load(&helpers[i].begun))
                assert_true(now() < limit);
        if (way == 0) {
            assert_ok(rein_process_stop(process, LIMIT_MS));
        } else if (way == 1) {
            for (int i = 0; i < COUNT; i++)
                assert_ok(rein_thread_stop(helpers[i].thread, LIMIT_MS));
        } else if (way == 2) {
            assert_ok(rein_process_detach(process, 0));
        } else {
            assert_ok(rein_process_cancel_wait(process));
        }
        for (int i = 0; i < COUNT; i++) {
            pthread_join(helpers[i].id, NULL);
            assert_int_equal(helpers[i].result, way < 2 ? 0 : way == 2 ? REIN_DETACHED : REIN_CANCELLED);
            if (way != 2)
                assert_true(rein_state_is_stopped(state_of(helpers[i].thread)));
        }
        rein_thread_list_free(threads, count);
        if (way != 2)
            assert_ok(rein_process_detach(process, 0));
        tell(fixture);
        assert_ends(fixture, 0); /* each instruction was executed once */
    }
}

/* Only begun: the caller goes on, and hears of the end by an event; or ends it by a stop, a detach, the program's end. */
static void T1_P4_only_begun(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "4", NULL);
    rein_thread *thread = at_label(fixture, "step_0");
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.flags = REIN_STEP_BEGIN;
    options.count = 12;
    uint64_t done = 12345;
    assert_ok(rein_thread_step_many(thread, &options, 0, &done));
    assert_int_equal(done, 0);
    options = (struct rein_step_options){0}; /* it has a copy */
    assert_ok(rein_thread_wait(thread, LIMIT_MS));
    assert_word(pc_of(thread), address_of(fixture, labels[12]));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    run_out(fixture);

    for (int way = 0; way < 4; way++) {
        fixture = start_ready("spin", "1", NULL);
        rein_process *process = attach(fixture);
        rein_thread **threads;
        size_t count;
        struct helper helper = {.result = 0};
        assert_ok(rein_process_threads(process, &threads, &count));
        for (size_t i = 0; i < count; i++)
            thread = rein_thread_id(threads[i]) != fixture->pid ? threads[i] : thread;
        options = (struct rein_step_options)REIN_STEP_OPTIONS_INIT;
        options.flags = REIN_STEP_BEGIN;
        options.until = note_begun;
        options.arg = &helper;
        assert_ok(rein_thread_step_many(thread, &options, 0, NULL));
        double limit = now() + LIMIT_S;
        while (!atomic_load(&helper.begun)) {
            assert_true(now() < limit);
            assert_error(rein_thread_wait(thread, 1), REIN_TIMEOUT); /* who lends itself is needed */
        }
        assert_error(rein_thread_step_many(thread, &options, 0, NULL), REIN_BAD_STATE);
        if (way == 0)
            assert_ok(rein_process_stop(process, LIMIT_MS));
        if (way == 1)
            assert_ok(rein_thread_stop(thread, LIMIT_MS));
        if (way < 2)
            assert_true(rein_state_is_stopped(state_of(thread)));
        rein_thread_list_free(threads, count);
        if (way == 3) {
            assert_ok(rein_process_kill(process));
            continue;
        }
        assert_ok(rein_process_detach(process, 0));
        tell(fixture);
        assert_ends(fixture, 0);
    }
}

/* Which calls are traced may change while one steps, for ever. (It was waited for until no thread was in a step.) */
static void T1_P4_calls_are_traced_while_it_steps(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread **threads, *stepper = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++)
        stepper = rein_thread_id(threads[i]) != fixture->pid ? threads[i] : stepper;
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.flags = REIN_STEP_BEGIN;
    struct rein_syscall_id one = {AUDIT_MACHINE, 1};
    assert_ok(rein_thread_step_many(stepper, &options, 0, NULL));
    for (int i = 0; i < 20; i++) {
        assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES, &one, 1));
        assert_ok(rein_process_trace_syscalls(process, 0, NULL, 0));
        assert_state(stepper, REIN_STATE_SINGLE_STEPPING);
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* One steps, and the others run, from the same moment: by a call of the monitor, where steps can begin but not be waited for. */
struct begun_in_call {
    rein_process *process;
    rein_thread *stepper, *other;
    bool single;
    int waiting, result, continued, nested;
    enum rein_state before, after, others;
};

static int step_in_callback(void *arg)
{
    struct begun_in_call *begun = arg;
    begun->nested = rein_thread_step(begun->stepper, 0, 0);
    return 0;
}

static bool after_one(rein_thread *thread, void *arg)
{
    (void)thread;
    rein_monitor_call(monitor, step_in_callback, arg);
    return true;
}

static int begin_in_call(void *arg)
{
    struct begun_in_call *begun = arg;
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.flags = REIN_STEP_BEGIN;
    options.until = after_one;
    options.arg = begun;
    begun->waiting = rein_thread_step(begun->stepper, 0, -1);
    rein_thread_state(begun->stepper, &begun->before);
    begun->result = begun->single ? rein_thread_step(begun->stepper, 0, 0)
                                  : rein_thread_step_many(begun->stepper, &options, 0, NULL);
    rein_thread_state(begun->stepper, &begun->after);
    begun->continued = rein_process_continue(begun->process);
    rein_thread_state(begun->other, &begun->others);
    return 0;
}

static void T1_P4_begun_in_a_call(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    struct begun_in_call begun = {.process = attach(fixture)};
    rein_thread **threads;
    size_t count;
    assert_ok(rein_process_threads(begun.process, &threads, &count));
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        *(rein_thread_id(threads[i]) != fixture->pid ? &begun.stepper : &begun.other) = threads[i];
    for (int i = 0; i < 20; i++) {
        begun.single = i % 2;
        assert_ok(rein_monitor_call(monitor, begin_in_call, &begun));
        assert_int_equal(begun.waiting, REIN_ON_MONITOR);
        assert_true(rein_state_is_stopped(begun.before));
        assert_int_equal(begun.result, begun.single ? REIN_TIMEOUT : 0);
        assert_int_equal(begun.after, REIN_STATE_SINGLE_STEPPING);
        assert_ok(begun.continued);
        assert_int_equal(begun.others, REIN_STATE_RUNNING);
        assert_ptr_equal(expect_event(begun.process, REIN_CAUSE_STEP)->thread, begun.stepper);
        assert_state(begun.other, REIN_STATE_RUNNING); /* the policy of steps */
        assert_ok(rein_process_stop(begun.process, LIMIT_MS));
        if (!begun.single)
            assert_int_equal(begun.nested, REIN_ON_MONITOR);
    }
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(begun.process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Past breakpoints in memory, while all others run: a thread's function, again and again. */
static void T1_P2_past_breakpoints_among_others(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(process));
    rein_thread **threads, *stepped = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++)
        stepped = rein_thread_id(threads[i]) != fixture->pid ? threads[i] : stepped;
    assert_ok(rein_thread_stop(stepped, LIMIT_MS));
    struct predicate predicate = {.pc = address_of(fixture, "hot")};
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.until = is_there;
    options.arg = &predicate;
    for (int i = 0; i < 3; i++) {
        assert_ok(rein_thread_step_many(stepped, &options, LIMIT_MS, NULL));
        assert_word(pc_of(stepped), predicate.pc);
    }
    assert_true(rein_breakpoint_hits(breakpoint) >= 3);
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_detach(process, 0));
    uint64_t hits = rein_breakpoint_hits(breakpoint);
    tell(fixture);
    assert_ends(fixture, 0);
    assert_true(said_count(fixture, "hot") >= hits);
}

/* Through a storm of signals, each of which ends it, and is delivered by the next steps: none is lost, none doubled. */
static void T1_T2_in_a_storm_of_signals(void **state)
{
    (void)state;
    const int runs = monitor_kind() == REIN_MONITOR_PROCESS ? 200 : 50; /* the others look for events by polling */
    struct fixture *fixture = start_waiting("signals_storm", "3", "2000", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.flags = REIN_STEP_DELIVER;
    options.count = 20;
    for (int i = 0; i < runs; i++) {
        rein_thread **threads;
        size_t count;
        if (rein_process_threads(process, &threads, &count))
            break;
        if (!count) /* they are exiting */
            break;
        rein_thread *thread = threads[(size_t)i % count];
        uint64_t done = 0;
        if (rein_thread_stop(thread, LIMIT_MS) == 0 && rein_state_is_stopped(state_of(thread))) {
            int result = rein_thread_step_many(thread, &options, 20, &done);
            if (result && result != REIN_TIMEOUT)
                assert_true(result == REIN_BAD_STATE || result == REIN_NO_THREAD || result == REIN_EXITED);
            assert_true(done <= options.count);
            rein_thread_continue(thread);
        }
        rein_thread_list_free(threads, count);
    }
    rein_process_continue(process);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_ends(fixture, 0);
}

/* To the end of the program. */
static void T1_C3_into_the_end(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "1", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = at_label(fixture, "step_0");
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    assert_ok(rein_thread_step_many(thread, &options, 3 * LIMIT_MS, NULL));
    assert_state(thread, REIN_STATE_STOPPED_EXITING);
    assert_error(rein_thread_step_many(thread, &options, LIMIT_MS, NULL), REIN_BAD_STATE);
    run_to_end(process);
    assert_error(rein_thread_step_many(thread, &options, LIMIT_MS, NULL), REIN_EXITED);
}

/* The entry and exit of a system call that is traced end it; one that goes on does not. */
static void T1_traced_calls(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "4", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = at_label(fixture, "step_0");
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, NULL, 0));
    assert_int_equal(count_steps(thread, 100), 9);
    assert_state(thread, REIN_STATE_STOPPED_SYSCALL);
    assert_int_equal(cause_of(thread), REIN_CAUSE_SYSCALL_ENTRY);
    assert_int_equal(count_steps(thread, 100), 0);
    assert_int_equal(cause_of(thread), REIN_CAUSE_SYSCALL_EXIT);
    assert_int_equal(count_steps(thread, 1), 1);
    set_policy(process, REIN_IGNORE);
    rein_word pc = address_of(fixture, "step_12");
    struct predicate predicate = {.pc = pc};
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    options.until = is_there;
    options.arg = &predicate;
    for (int i = 0; i < 3; i++) { /* with others' calls in between, and its own in the last two rounds */
        assert_ok(rein_thread_step_many(thread, &options, LIMIT_MS, NULL));
        assert_word(pc_of(thread), pc);
        assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    }
    run_out(fixture);
}

/* Two of the same program, in the same memory: in one rein makes what steps it can itself, in the other the processor
 * makes all. From the program's first instruction on, through the dynamic linker, both are at the same place after so
 * many steps. */
static void T1_as_the_processor_does(void **state)
{
    (void)state;
    enum { ROUNDS = 400 };
    static char name[] = "step_targets", times[] = "1";
    char *const argv[] = {name, times, NULL};
    struct rein_spawn_options spawned = REIN_SPAWN_OPTIONS_INIT;
    spawned.flags = REIN_SPAWN_NO_ASLR;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    options.kind = monitor_kind();
    options.flags = REIN_MONITOR_STEP_OVER;
    set_log(&options);
    rein_monitor *own;
    assert_ok(rein_monitor_create(&options, &own));
    struct fixture *fixture = spawn_with(monitor, &spawned, name, argv), *other = spawn_with(own, &spawned, name, argv);
    rein_thread *thread = first_thread(fixture->process), *plain = first_thread(other->process);
    if (pc_of(thread) != pc_of(plain) || register_of(thread, STACK_POINTER) != register_of(plain, STACK_POINTER)) {
        print_message("skipped: addresses differ from run to run here\n");
        assert_ok(rein_process_kill(other->process));
        rein_process_unref(other->process);
        other->process = NULL;
        assert_ok(rein_monitor_close(own));
        skip();
    }
    for (uint64_t i = 0; i < ROUNDS; i++) {
        uint64_t count = 1 + i * 37 % 101;
        assert_int_equal(count_steps(thread, count), count);
        assert_int_equal(count_steps(plain, count), count);
        assert_word(pc_of(thread), pc_of(plain));
        assert_word(register_of(thread, STACK_POINTER), register_of(plain, STACK_POINTER));
    }
    run_out(fixture);
    run_out(other);
    rein_process_unref(other->process);
    other->process = NULL;
    assert_ok(rein_monitor_close(own));
}

#if defined(__x86_64__) || defined(__i386__)
/* The code under way changes in the middle, by the thread's own doing: what it does is what the processor would do. */
static void T1_code_that_changes(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        struct fixture *fixture = spawn("rewrites_itself", NULL);
        rein_thread *thread = at_label(fixture, "changed_constant");
        struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
        options.low = address_of(fixture, "changed_constant");
        options.high = address_of(fixture, "changed_end");
        if (way)
            options.count = 1;
        do
            steps(thread, &options);
        while (pc_of(thread) >= options.low && pc_of(thread) < options.high);
        run_out(fixture);
    }
}
#endif

enum { ROUNDS_CONTINUED = 60, ROUND_MS = 5 };

struct continuer {
    rein_process *process;
    atomic_int round, over; /* it has begun; it has ended for this thread */
};

/* In each round, around the time at which the limit passes. */
static void *continue_at_the_limit(void *arg)
{
    struct continuer *continuer = arg;
    for (int round = 1; round <= ROUNDS_CONTINUED; round++) {
        while (atomic_load(&continuer->round) < round)
            sched_yield();
        double begin = now();
        while (now() < begin + (ROUND_MS - 0.5) / 1000)
            sched_yield();
        while (now() < begin + (ROUND_MS + 1.5) / 1000)
            rein_process_continue(continuer->process);
        atomic_store(&continuer->over, round);
    }
    return NULL;
}

/* A run whose time limit has passed comes back, though somebody continues the thread before it has stopped for that. */
static void T1_P5_time_limit_and_continued(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = spawn("spin", "1", NULL);
    struct continuer continuer = {.process = fixture->process};
    pthread_t other;
    set_policy(fixture->process, REIN_IGNORE);
    rein_thread *thread = first_thread(fixture->process);
    assert_int_equal(pthread_create(&other, NULL, continue_at_the_limit, &continuer), 0);
    for (int round = 1; round <= ROUNDS_CONTINUED; round++) {
        struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
        uint64_t done;
        assert_ok(rein_thread_stop(thread, LIMIT_MS));
        atomic_store(&continuer.round, round);
        int result = rein_thread_step_many(thread, &options, ROUND_MS, &done);
        if (result != REIN_OK && result != REIN_TIMEOUT)
            assert_int_equal(result, REIN_BAD_STATE); /* it has begun late, and found the thread continued */
        while (atomic_load(&continuer.over) < round)
            sched_yield();
    }
    pthread_join(other, NULL);
    assert_ok(rein_process_kill(fixture->process));
}

static void T1_E1_bad_arguments(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "1", NULL);
    rein_thread *thread = first_thread(fixture->process);
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    uint64_t done = 3;
    assert_error(rein_thread_step_many(NULL, &options, -1, &done), REIN_INVALID_ARGUMENT);
    assert_int_equal(done, 0);
    assert_error(rein_thread_step_many(thread, NULL, -1, NULL), REIN_INVALID_ARGUMENT);
    options.low = 2;
    options.high = 1;
    assert_error_says(rein_thread_step_many(thread, &options, -1, NULL), REIN_INVALID_ARGUMENT, "0x1");
    options.low = 0;
    options.flags = 1u << 30;
    assert_error(rein_thread_step_many(thread, &options, -1, NULL), REIN_INVALID_ARGUMENT);
    options.flags = 0;
    options.size--;
    assert_error(rein_thread_step_many(thread, &options, -1, NULL), REIN_INVALID_ARGUMENT);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    options.size++;
    assert_fails(rein_thread_step_many(thread, &options, -1, NULL));
    assert_ends_traced(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(T1_so_many),
        live_test(T1_out_of_a_range),
        live_test(T1_until),
        live_test(T1_P4_P7_until_and_more),
        live_test(T1_P2_onto_breakpoints),
        live_test(T1_M5_alone),
        live_test(T1_P2_threads_that_are_made),
        live_test(T1_T2_a_fault_ends_it),
        live_test(T1_P4_time_limit),
        live_test(T1_P4_P7_threads_at_once),
        live_test(T1_P4_only_begun),
        live_test(T1_P4_begun_in_a_call),
        live_test(T1_P4_calls_are_traced_while_it_steps),
        live_test(T1_P2_past_breakpoints_among_others),
        live_test(T1_T2_in_a_storm_of_signals),
        live_test(T1_C3_into_the_end),
        live_test(T1_traced_calls),
        live_test(T1_as_the_processor_does),
#if defined(__x86_64__) || defined(__i386__)
        live_test(T1_code_that_changes),
#endif
        live_test(T1_P5_time_limit_and_continued),
        live_test(T1_E1_bad_arguments),
    };
    return live_main(tests);
}
