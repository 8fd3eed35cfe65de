/* T1 T2, M6: one instruction at a time. Programs: step_targets, rep_movs, popf_pushf, blocking_syscall, own_int3,
 * own_step, faults, signals_seen, sleepers, child_ends. */
#include "support.h"

#define STEPS 13
/* The order in which step_targets runs its labels: 5 and 6 are called from 4. */
static const char *const labels[STEPS] = {"step_0", "step_1", "step_2", "step_3",  "step_4",  "step_5", "step_6",
                                          "step_7", "step_8", "step_9", "step_10", "step_11", "step_12"};

/* A thread of the program that has come to the label. */
static rein_thread *at_label(struct fixture *fixture, const char *label)
{
    add_breakpoint(fixture->process, address_of(fixture, label));
    rein_thread *thread = run_to(fixture->process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), address_of(fixture, label));
    return thread;
}

static void remove_at(struct fixture *fixture, const char *label)
{
    assert_ok(rein_process_remove_breakpoint(fixture->process, address_of(fixture, label), 0));
}

static void step(rein_thread *thread)
{
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
}

static void step_to(rein_thread *thread, rein_word pc)
{
    step(thread);
    assert_word(pc_of(thread), pc);
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_state(thread, REIN_STATE_STOPPED_STEP);
}

/* The rest of the program runs as it should. */
static void run_out(struct fixture *fixture)
{
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

static int parent_of(int pid)
{
    char path[64], line[256];
    int parent = -1;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) && sscanf(line, "PPid: %d", &parent) != 1) {
    }
    fclose(status);
    return parent;
}

/* T1 */
static void T1_one_instruction_each(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "2", NULL);
    rein_thread *thread = at_label(fixture, "step_0");
    int parent = parent_of(fixture->pid);
    for (int i = 1; i < STEPS; i++) {
        step_to(thread, address_of(fixture, labels[i]));
        if (i == 2)
            assert_word(register_of(thread, RESULT_REGISTER), 0x1234);
        if (i == 10) /* behind the syscall */
            assert_word(register_of(thread, RESULT_REGISTER), (rein_word)parent);
    }
    remove_at(fixture, "step_0");
    run_out(fixture);
}

/* T1: the kernel tells the end of the exec as a step, which it is not: the first step of a program executes its first instruction, also
 * from a breakpoint there, and as one of many. */
static void T1_first_instruction(void **state)
{
    (void)state;
    rein_word gone[3]; /* with two steps */
    for (int variant = 0; variant < 3; variant++) {
        struct fixture *fixture = spawn("step_targets", "2", NULL);
        rein_thread *thread = thread_of(fixture->process, fixture->pid);
        rein_word first = pc_of(thread);
        if (variant == 1)
            add_breakpoint(fixture->process, first);
        if (variant == 2) {
            struct rein_step_options many = REIN_STEP_OPTIONS_INIT;
            many.count = 2;
            assert_ok(rein_thread_step_many(thread, &many, LIMIT_MS, NULL));
        } else {
            step(thread);
            rein_word size = pc_of(thread) - first;
            assert_true(size > 0 && size <= 15);
            step(thread);
        }
        gone[variant] = pc_of(thread) - first;
        if (variant == 1)
            assert_ok(rein_process_remove_breakpoint(fixture->process, first, 0));
        run_out(fixture);
    }
    assert_word(gone[1], gone[0]);
    assert_word(gone[2], gone[0]);
}

/* T1: from breakpoint to breakpoint; each that is stepped onto is a hit, and is shown as one. */
static void T1_onto_breakpoints(void **state)
{
    (void)state;
    rein_breakpoint *breakpoints[STEPS];
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    for (int i = 0; i < STEPS; i++)
        breakpoints[i] = add_breakpoint(process, address_of(fixture, labels[i]));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < STEPS; i++) {
            struct rein_cause cause;
            assert_word(pc_of(thread), address_of(fixture, labels[i]));
            assert_ok(rein_thread_cause(thread, &cause));
            assert_int_equal(cause.kind, REIN_CAUSE_BREAKPOINT);
            assert_word(cause.pc, address_of(fixture, labels[i]));
            rein_cause_clear(&cause);
            assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
            assert_int_equal(rein_breakpoint_hits(breakpoints[i]), round);
            if (i < STEPS - 1)
                step(thread);
        }
        if (round == 1)
            run_to(process, REIN_CAUSE_BREAKPOINT);
    }
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(rein_breakpoint_hits(breakpoints[i]), 3);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok step_targets"));
}

/* T1: stepped over in one thread, while others stand at the same breakpoint, which stay there and keep it. */
static void T1_others_at_the_same_breakpoint(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("step_targets", "0", "4", NULL);
    rein_process *process = attach(fixture);
    rein_word pc = address_of(fixture, "step_0");
    rein_breakpoint *breakpoint = add_breakpoint(process, pc);
    set_policy(process, REIN_STOP_THREAD);
    assert_ok(rein_process_continue(process));
    rein_thread *threads[4];
    for (int i = 0; i < 4; i++) {
        threads[i] = expect_event(process, REIN_CAUSE_BREAKPOINT)->thread;
        assert_word(pc_of(threads[i]), pc);
    }
    assert_int_equal(rein_breakpoint_hits(breakpoint), 4);
    for (int i = 0; i < 4; i++) {
        step(threads[i]);
        assert_word(pc_of(threads[i]), address_of(fixture, "step_1"));
        for (int other = i + 1; other < 4; other++) {
            assert_word(pc_of(threads[other]), pc);
            assert_state(threads[other], REIN_STATE_STOPPED_BREAKPOINT);
        }
    }
    assert_int_equal(rein_breakpoint_hits(breakpoint), 4);
    for (int i = 0; i < 4; i++) { /* and it is still there, for each */
        assert_ok(rein_thread_continue(threads[i]));
        assert_ok(rein_thread_wait(threads[i], LIMIT_MS));
        assert_word(pc_of(threads[i]), pc);
    }
    assert_int_equal(rein_breakpoint_hits(breakpoint), 8);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* T1: other threads stay as they are, to the last register. */
static void T1_other_threads_stay(void **state)
{
    (void)state;
    rein_word before[16][64], after[64];
    struct fixture *fixture = start_ready("spin", "5", NULL);
    rein_process *process = attach(fixture);
    rein_thread **threads = NULL, *stepped = NULL;
    rein_registers *registers = NULL;
    size_t count, words = 0;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++) {
        assert_ok(rein_thread_registers(threads[i], &registers));
        words = (size_t)rein_registers_count(registers);
        assert_ok(rein_registers_get_all(registers, before[i], words));
        rein_registers_free(registers);
        if (rein_thread_id(threads[i]) != fixture->pid)
            stepped = threads[i];
    }
    for (int i = 0; i < 200; i++)
        step(stepped);
    for (size_t i = 0; i < count; i++) {
        assert_ok(rein_thread_registers(threads[i], &registers));
        assert_ok(rein_registers_get_all(registers, after, words));
        rein_registers_free(registers);
        if (threads[i] == stepped)
            continue;
        assert_memory_equal(before[i], after, words * sizeof *after);
        assert_true(rein_state_is_stopped(state_of(threads[i])));
        assert_int_equal(proc_state(fixture->pid, rein_thread_id(threads[i])), 't');
    }
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0); /* it has counted every instruction */
}

/* T1: a repeated string instruction, one repetition at a time, from a breakpoint on it. One execution is one hit. */
static void T1_rep_movs(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("rep_movs", "3", "1", NULL);
    rein_thread *thread = at_label(fixture, "rep_movs_insn");
    rein_process *process = fixture->process;
    rein_word pc = pc_of(thread), after = address_of(fixture, "after_rep_movs");
    rein_breakpoint **list;
    size_t count;
    assert_word(register_of(thread, "rcx"), 0); /* the first block is empty */
    step_to(thread, after);
    assert_int_equal(rein_thread_id(run_to(process, REIN_CAUSE_BREAKPOINT)), rein_thread_id(thread));
    assert_word(pc_of(thread), pc);
    assert_word(register_of(thread, "rcx"), 37);
    for (rein_word left = 36; left > 0; left--) {
        step(thread);
        assert_word(pc_of(thread), pc);
        assert_word(register_of(thread, "rcx"), left);
        assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    }
    step_to(thread, after);
    assert_word(register_of(thread, "rcx"), 0);
    assert_ok(rein_process_breakpoints(process, &list, &count));
    assert_int_equal(count, 1);
    assert_int_equal(rein_breakpoint_hits(list[0]), 2);
    rein_breakpoint_list_free(list, count);

    /* Continued in the midst of it: the rest of the repetitions is no further hit. */
    run_to(process, REIN_CAUSE_BREAKPOINT);
    for (int i = 0; i < 5; i++)
        step(thread);
    rein_breakpoint *next = add_breakpoint(process, after);
    run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), after);
    assert_int_equal(rein_breakpoint_hits(next), 1);
    assert_ok(rein_process_breakpoints(process, &list, &count));
    assert_int_equal(count, 2);
    assert_int_equal(rein_breakpoint_hits(list[0]), 3);
    rein_breakpoint_list_free(list, count);
    run_out(fixture);
}

/* T1: the trap flag of the step is not seen in what pushf pushes, with a breakpoint on it and without; nor behind
 * a mov ss, which holds back the trap by an instruction. */
static void T1_pushf(void **state)
{
    (void)state;
    static const char *const places[][2] = {{"pushf_insn", "0"}, {"mov_ss_insn", "1"}, {"pushfw_insn", "0"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        for (int keep = 0; keep < 2; keep++) {
            struct fixture *fixture = spawn("popf_pushf", "3", "1", NULL);
            rein_thread *thread = at_label(fixture, places[i][0]);
            uint16_t flags;
            if (!keep)
                remove_at(fixture, places[i][0]);
            step(thread);
            if (i == 1) {
                assert_word(pc_of(thread), address_of(fixture, "after_mov_ss"));
            }
            assert_ok(rein_thread_read(thread, register_of(thread, STACK_POINTER), &flags, sizeof flags, NULL));
            assert_int_equal(flags & 0x100, 0);
            assert_int_equal(flags & 2, 2);
            assert_word(register_of(thread, "eflags") & 0x100, 0);
            run_out(fixture);
        }
    }
}

/* T1: a step of popf makes the kernel forget that the trap flag is the debugger's (it then shows in eflags, and stays in
 * there when the thread continues): neither the caller nor the program may see it. */
static void T1_popf(void **state)
{
    (void)state;
    for (int steps = 1; steps <= 4; steps++) {
        struct fixture *fixture = spawn("popf_pushf", "3", "1", NULL);
        rein_thread *thread = at_label(fixture, "popf_insn");
        remove_at(fixture, "popf_insn");
        for (int i = 0; i < steps; i++) {
            step(thread);
            assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
            assert_word(register_of(thread, "eflags") & 0x100, 0);
        }
        run_out(fixture);
    }
}

/* T1: a popf that sets the program's own trap flag does so when it is stepped, too, over a breakpoint or not. */
static void T1_popf_of_the_programs_own_flag(void **state)
{
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        struct fixture *fixture = spawn("own_step", "5", NULL);
        rein_thread *thread = at_label(fixture, "own_popf_insn");
        if (!keep)
            remove_at(fixture, "own_popf_insn");
        assert_word(register_of(thread, "eflags") & 0x100, 0);
        step(thread);
        assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
        assert_word(pc_of(thread), address_of(fixture, "step_begins"));
        assert_word(register_of(thread, "eflags") & 0x100, 0x100);
        run_out(fixture); /* it gets every trap of its own */
    }
}

/* T1: the whole of popf_pushf, whose own checks tell, and of step_targets, instruction by instruction. */
static void T1_long_way(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("popf_pushf", "20", "1", NULL);
    rein_thread *thread = at_label(fixture, "push_and_pop");
    rein_word end = address_of(fixture, "pop_into_push");
    add_breakpoint(fixture->process, end);
    int steps = 0;
    while (pc_of(thread) != end) {
        step(thread);
        assert_true(++steps < 100000);
    }
    assert_int_equal(cause_of(thread), REIN_CAUSE_BREAKPOINT);
    for (int i = 0; i < 200; i++)
        step(thread);
    run_out(fixture);
}

/* T1, M6: an int3 of the program's own is a SIGTRAP with the pc behind it, when stepped, too; under a breakpoint
 * it is a breakpoint first. */
static void T1_M6_own_int3(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("own_int3", "1", "4", NULL);
    rein_process *process = fixture->process;
    rein_breakpoint *breakpoint = NULL;
    struct rein_cause cause;
    rein_thread *thread = at_label(fixture, "trap_here");
    for (int round = 0; round < 2; round++) {
        if (round == 1)
            remove_at(fixture, "trap_here");
        step(thread);
        assert_word(pc_of(thread), address_of(fixture, "after_trap") - (TRAP_PC_OFFSET ? 0 : TRAP_SIZE));
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.kind, REIN_CAUSE_SIGNAL);
        assert_int_equal(cause.signal.number, SIGTRAP);
        assert_int_equal(cause.signal.code, TRAP_CODE);
        rein_cause_clear(&cause);
        assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
        assert_ok(rein_thread_set_signal(thread, SIGTRAP));
        if (round == 0)
            run_to(process, REIN_CAUSE_BREAKPOINT);
    }
    /* The same by continuing: first the breakpoint, then the trap. */
    assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "trap_here"), NULL, &breakpoint));
    run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), address_of(fixture, "trap_here"));
    run_to_stop(process);
    assert_int_equal(cause_of(thread), REIN_CAUSE_SIGNAL);
    assert_word(pc_of(thread), address_of(fixture, "after_trap") - (TRAP_PC_OFFSET ? 0 : TRAP_SIZE));
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    rein_breakpoint_unref(breakpoint);
    assert_ok(rein_thread_set_signal(thread, SIGTRAP));
    run_out(fixture);
}

/* T1: a fault comes in place of the step; the pc stays. */
static void T1_fault(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        int number;
    } faults[] = {{"segv_insn", SIGSEGV}, {"fpe_insn", DIVISION_BY_ZERO}, {"ill_insn", SIGILL}};
    struct fixture *fixture = spawn("faults", "4", "1", NULL);
    rein_thread *thread = NULL;
    struct rein_cause cause;
    for (int i = 0; i < 3; i++) {
        thread = at_label(fixture, faults[i].label);
        step(thread);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.kind, REIN_CAUSE_SIGNAL);
        assert_int_equal(cause.signal.number, faults[i].number);
        if (faults[i].number == SIGSEGV)
            assert_word(cause.signal.address, 0x10);
        else
            assert_word(cause.signal.address, address_of(fixture, faults[i].label));
        rein_cause_clear(&cause);
        assert_word(pc_of(thread), address_of(fixture, faults[i].label));
    }
    run_out(fixture);
}

/* T1, P5: a step of a system call that blocks has a time limit, which leaves it under way; a stop ends it, and it
 * is made again by the next continue. */
static void T1_blocking_call(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("sleepers", "4", NULL);
    await_state(fixture->pid, 0, 'S'); /* in its read */
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    /* Its continue makes the call that it is stopped in again; so does a step. */
    assert_error(rein_thread_step(thread, 0, 100), REIN_TIMEOUT);
    assert_state(thread, REIN_STATE_SINGLE_STEPPING);
    assert_error(rein_thread_step(thread, 0, 100), REIN_BAD_STATE);
    struct rein_cause cause;
    assert_error(rein_thread_cause(thread, &cause), REIN_BAD_STATE);
    assert_ok(rein_thread_stop(thread, LIMIT_MS));
    assert_true(rein_state_is_stopped(state_of(thread)));
    assert_error(rein_thread_step(thread, 0, 0), REIN_TIMEOUT);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* T1: the same from a breakpoint on the system call; when it is done at last, so is the step. */
static void T1_blocking_call_is_done_later(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("blocking_syscall", "1", "3", NULL);
    rein_process *process = fixture->process;
    rein_thread *reader = at_label(fixture, "blocking_syscall_insn");
    rein_thread *leader = thread_of(process, fixture->pid);
    if (rein_thread_step(reader, 0, 100) == REIN_TIMEOUT) { /* else it was written to already */
        assert_state(reader, REIN_STATE_SINGLE_STEPPING);
        assert_ok(rein_thread_continue(leader));
        assert_ok(rein_thread_wait(reader, LIMIT_MS));
    }
    assert_int_equal(cause_of(reader), REIN_CAUSE_STEP);
    assert_word(pc_of(reader), address_of(fixture, "after_blocking_syscall"));
    assert_word(register_of(reader, RESULT_REGISTER), 1);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    rein_breakpoint **list;
    size_t count;
    if (rein_process_breakpoints(process, &list, &count) == 0)
        rein_breakpoint_list_free(list, count);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok blocking_syscall"));
}

/* T1: a step that ends the thread or the process stops at its end. */
static void T1_into_the_end(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = at_label(fixture, "step_9");
    struct rein_cause cause;
    set_register_of(thread, NUMBER_REGISTER, (rein_word)number_in(process, SYS_exit_group));
    set_register_of(thread, word_size(process) == 8 ? FIRST_ARGUMENT : "rbx", 41);
    step(thread);
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_THREAD_EXIT);
    assert_false(cause.exit.signaled);
    assert_int_equal(cause.exit.status, 41);
    rein_cause_clear(&cause);
    assert_state(thread, REIN_STATE_STOPPED_EXITING);
    assert_error(rein_thread_step(thread, 0, LIMIT_MS), REIN_BAD_STATE);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    struct rein_exit how;
    assert_ok(rein_process_exit(process, &how));
    assert_int_equal(how.status, 41);
}

/* T1, E1 */
static void T1_when_not_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    char words[64];
    snprintf(words, sizeof words, "%d", fixture->pid);
    assert_ok(rein_process_continue(process));
    assert_error_says(rein_thread_step(thread, 0, LIMIT_MS), REIN_BAD_STATE, words);
    assert_says(rein_error_message(), "Running");
    assert_ok(rein_process_detach(process, 0));
    assert_error(rein_thread_step(thread, 0, LIMIT_MS), REIN_DETACHED);
    assert_error(rein_thread_step(thread, 1u << 30, LIMIT_MS), REIN_INVALID_ARGUMENT);
}

/* A thread of signals_seen that is awake in hot or its loop, stopped, with SIGUSR1 about to be delivered. */
static rein_thread *with_signal(struct fixture **fixture)
{
    *fixture = start_ready("signals_seen", "1", "1", NULL);
    int id = said_id(*fixture, "thread1");
    rein_process *process = attach(*fixture);
    rein_thread *thread = thread_of(process, id);
    assert_int_equal(syscall(SYS_tgkill, (*fixture)->pid, id, SIGUSR1), 0);
    run_to_stop(process);
    struct rein_cause cause;
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_SIGNAL);
    assert_int_equal(cause.signal.number, SIGUSR1);
    rein_cause_clear(&cause);
    return thread;
}

/* Lets it go, and it has seen that many SIGUSR1. */
static void expect_seen(struct fixture *fixture, int count)
{
    assert_ok(rein_process_detach(fixture->process, 0));
    sleep_ms(20);
    tell(fixture);
    assert_ends(fixture, 0);
    const char *line = fixture->said;
    int seen = 0;
    while ((line = strstr(line, "signal 10 ")))
        seen++, line++;
    assert_int_equal(seen, count);
}

/* T2: the signal stays pending over any number of steps, and is delivered by the next continue. */
static void T2_the_signal_stays_pending(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = with_signal(&fixture);
    for (int i = 0; i < 20; i++) {
        step(thread);
        assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    }
    assert_null(has_said(fixture, "signal 10 "));
    rein_breakpoint *handler = add_breakpoint(fixture->process, address_of(fixture, "handler"));
    run_to_stop(fixture->process);
    assert_int_equal(cause_of(thread), REIN_CAUSE_BREAKPOINT);
    assert_word(first_argument_of(thread), SIGUSR1);
    assert_int_equal(rein_breakpoint_hits(handler), 1);
    expect_seen(fixture, 1);
}

/* T2: the same when it is detached, not continued. */
static void T2_P7_the_signal_survives_a_detach(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = with_signal(&fixture);
    for (int i = 0; i < 3; i++)
        step(thread);
    expect_seen(fixture, 1);
}

/* T2: delivered on demand: then the thread is at the handler's first instruction. */
static void T2_deliver(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = with_signal(&fixture);
    assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
    assert_word(pc_of(thread), address_of(fixture, "handler"));
    assert_word(first_argument_of(thread), SIGUSR1);
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    step(thread);
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    expect_seen(fixture, 1);
}

/* T2, P5: onto a breakpoint at the handler's first instruction. */
static void T2_deliver_onto_a_breakpoint(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = with_signal(&fixture);
    rein_breakpoint *breakpoint = add_breakpoint(fixture->process, address_of(fixture, "handler"));
    assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), address_of(fixture, "handler"));
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    expect_seen(fixture, 1);
}

/* T2: without a signal there is nothing to deliver; a signal taken away is not delivered. */
static void T2_deliver_nothing(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = with_signal(&fixture);
    assert_ok(rein_thread_set_signal(thread, 0));
    assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_true(pc_of(thread) != address_of(fixture, "handler"));
    assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
    expect_seen(fixture, 0);
}

/* T1, T2: a signal that comes during a step stops it; it is neither lost nor delivered twice. */
static void T1_T2_signal_in_a_step(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "1", "1", NULL);
    int id = said_id(fixture, "thread1"), sent = 0;
    rein_process *process = attach(fixture);
    rein_thread *thread = thread_of(process, id);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(syscall(SYS_tgkill, fixture->pid, id, SIGUSR1), 0);
        sent++;
        step(thread);
        assert_int_equal(cause_of(thread), REIN_CAUSE_SIGNAL);
        assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
        assert_word(pc_of(thread), address_of(fixture, "handler"));
        assert_ok(rein_thread_continue(thread));
        /* It blocks all signals while it handles one. */
        for (double limit = now() + LIMIT_S; now() < limit;) {
            assert_ok(rein_thread_stop(thread, LIMIT_MS));
            rein_word pc = pc_of(thread), low = address_of(fixture, "hot");
            if (pc >= low && pc < low + HOT_SIZE) /* which the handler does not call */
                break;
            assert_ok(rein_thread_continue(thread));
        }
    }
    expect_seen(fixture, sent);
}

/* T1: a program that single-steps itself gets its own traps, with a breakpoint in the midst of it and while it is
 * stepped. */
static void T1_own_step_flag(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("own_step", "5", NULL);
    rein_process *process = fixture->process;
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "stepped_insn"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 5);
}

/* The thread of signals_seen that calls hot, at a breakpoint there that was hit once, with a signal pending that has
 * stopped it before the instruction was executed. */
static rein_thread *with_signal_at_hot(struct fixture **fixture, rein_breakpoint **breakpoint)
{
    *fixture = start_ready("signals_seen", "1", "1", NULL);
    int id = said_id(*fixture, "thread1");
    rein_process *process = attach(*fixture);
    *breakpoint = add_breakpoint(process, address_of(*fixture, "hot"));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_int_equal(rein_thread_id(thread), id);
    assert_int_equal(rein_breakpoint_hits(*breakpoint), 1);
    assert_int_equal(syscall(SYS_tgkill, (*fixture)->pid, id, SIGUSR1), 0);
    step(thread);
    assert_int_equal(cause_of(thread), REIN_CAUSE_SIGNAL);
    assert_word(pc_of(thread), address_of(*fixture, "hot"));
    return thread;
}

/* T1, T2: a handler that runs before the instruction under a breakpoint returns to it; whoever steps back there is at a
 * breakpoint that was hit already. */
static void T1_T2_back_from_a_handler(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_breakpoint *breakpoint;
    rein_thread *thread = with_signal_at_hot(&fixture, &breakpoint);
    rein_word hot = pc_of(thread);
    assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
    assert_word(pc_of(thread), address_of(fixture, "handler"));
    for (int i = 0; i < 100000 && pc_of(thread) != hot; i++)
        step(thread);
    assert_word(pc_of(thread), hot);
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    step(thread);
    assert_true(pc_of(thread) != hot);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    expect_seen(fixture, 1);
}

/* T1, T2: the same when another signal is there before the instruction is executed, and is held back by the step. */
static void T1_T2_another_signal_back_from_a_handler(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_breakpoint *breakpoint;
    rein_thread *thread = with_signal_at_hot(&fixture, &breakpoint);
    rein_process *process = fixture->process;
    rein_word hot = pc_of(thread);
    rein_breakpoint *handler = add_breakpoint(process, address_of(fixture, "handler"));
    assert_ok(rein_process_continue(process)); /* into the handler, which blocks all signals */
    assert_ok(rein_process_wait(process, LIMIT_MS));
    assert_int_equal(rein_breakpoint_hits(handler), 1);
    assert_int_equal(syscall(SYS_tgkill, fixture->pid, rein_thread_id(thread), SIGUSR2), 0);
    run_to_stop(process);
    assert_int_equal(cause_of(thread), REIN_CAUSE_SIGNAL); /* it has returned, and has executed nothing */
    assert_word(pc_of(thread), hot);
    step(thread);
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    expect_seen(fixture, 1);
    assert_non_null(strstr(fixture->said, "signal 12 "));
}

/* T1: SIGCHLD has a code of the kernel's, as faults have, but nothing was executed. */
static void T1_a_child_ends_before_a_step(void **state)
{
    (void)state;
    for (int deliver = 0; deliver < 3; deliver++) {
        struct fixture *fixture = spawn("child_ends", "5", NULL);
        rein_process *process = fixture->process;
        rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "hot"));
        rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
        rein_word hot = pc_of(thread);
        tell(fixture);
        await_state(said_id(fixture, "child"), 0, 'Z');
        step(thread);
        assert_int_equal(cause_of(thread), REIN_CAUSE_SIGNAL);
        assert_word(pc_of(thread), hot);
        assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
        if (deliver) { /* nobody handles it: the step goes on to the instruction, and the next call is the next hit */
            if (deliver == 2) { /* but another signal comes before that */
                assert_int_equal(kill(fixture->pid, SIGURG), 0);
                assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
                assert_int_equal(cause_of(thread), REIN_CAUSE_SIGNAL);
                assert_word(pc_of(thread), hot);
            }
            assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
            assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
            assert_true(pc_of(thread) != hot);
            assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
        }
        run_out(fixture);
        assert_int_equal(rein_breakpoint_hits(breakpoint), said_count(fixture, "hot"));
    }
}

/* The one thread that is not the leader. */
static int spinner(const struct fixture *fixture)
{
    int ids[2];
    assert_int_equal(proc_threads(fixture->pid, ids, 2), 2);
    return ids[0] == fixture->pid ? ids[1] : ids[0];
}

/* T2, M7: a stop signal that a step holds back is void when SIGCONT comes, as a pending one is. */
static void T2_M7_held_stop_and_SIGCONT(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    assert_ok(rein_process_continue(process));
    for (int round = 0; round < 10; round++) {
        uint64_t before, after;
        rein_word counter = address_of(fixture, "hot2_count");
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL));
        assert_int_equal(syscall(SYS_tgkill, fixture->pid, spinner(fixture), SIGTSTP), 0);
        rein_thread *thread = thread_of(process, spinner(fixture));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        while (cause_of(thread) != REIN_CAUSE_SIGNAL) /* the leader may stop first, for the last round's SIGCONT */
            run_to_stop(process);
        step(thread);
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_IGNORE));
        assert_ok(rein_process_read(process, counter, &before, sizeof before, NULL));
        assert_ok(rein_process_continue(process));
        for (double limit = now() + LIMIT_S; now() < limit;) {
            assert_ok(rein_process_read(process, counter, &after, sizeof after, NULL));
            if (after > before + 10)
                break;
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        }
        assert_true(after > before + 10);
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

struct toggler {
    rein_process *process;
    atomic_bool done;
    int result;
};

/* Each time it begins, threads that run are stopped for a moment. */
static void *toggle_syscalls(void *arg)
{
    struct toggler *toggler = arg;
    const struct rein_syscall_id call = {0, SYS_getppid}; /* of no architecture: it is never made */
    for (unsigned i = 0; !atomic_load(&toggler->done) && !toggler->result; i++)
        toggler->result = rein_process_trace_syscalls(toggler->process, i % 2 ? 0 : REIN_SYSCALL_ENTRIES, &call, 1);
    return NULL;
}

/* T1, M1: steps from a breakpoint that are interrupted, for another caller's sake, before they have done anything. */
static void T1_M1_interrupted_at_a_breakpoint(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_word hot = address_of(fixture, "hot");
    rein_breakpoint *breakpoint = NULL;
    assert_ok(rein_process_add_breakpoint(process, hot, NULL, &breakpoint));
    struct toggler toggler = {.process = process};
    pthread_t id;
    assert_int_equal(pthread_create(&id, NULL, toggle_syscalls, &toggler), 0);
    for (uint64_t round = 1; round <= 300; round++) {
        run_to_stop(process);
        rein_thread *thread = thread_of(process, spinner(fixture));
        assert_int_equal(cause_of(thread), REIN_CAUSE_BREAKPOINT);
        assert_ok(rein_thread_step(thread, round % 2 ? REIN_STEP_DELIVER : 0, LIMIT_MS));
        assert_true(pc_of(thread) != hot);
        assert_int_equal(rein_breakpoint_hits(breakpoint), round);
    }
    atomic_store(&toggler.done, true);
    pthread_join(id, NULL);
    assert_ok(toggler.result);
    rein_breakpoint_unref(breakpoint);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* T1, M7: a thread that is stepped out of a group-stop goes back to it when it is continued, for the process is stopped
 * still. */
static void T1_M7_out_of_a_group_stop(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
    await_state(fixture->pid, 0, 'T');
    rein_process *process = attach(fixture);
    rein_word counter = address_of(fixture, "hot2_count");
    set_policy(process, REIN_REPORT);
    for (int round = 0; round < 10; round++) {
        rein_thread **threads = NULL;
        size_t count;
        uint64_t before, after;
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_threads(process, &threads, &count));
        for (size_t i = 0; i < count; i++) {
            if (rein_thread_id(threads[i]) != fixture->pid) /* the leader waits for a byte */
                step(threads[i]);
        }
        rein_thread_list_free(threads, count);
        assert_ok(rein_process_read(process, counter, &before, sizeof before, NULL));
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, 20), REIN_TIMEOUT);
        assert_ok(rein_process_read(process, counter, &after, sizeof after, NULL));
        assert_in_range(after, before, before + 1);
    }
    struct rein_event event;
    while (rein_process_next_event(process, 0, &event) == 0) {
        assert_int_not_equal(event.cause.kind, REIN_CAUSE_GROUP_STOP); /* it is the one that was there before */
        rein_event_clear(&event);
    }
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(T1_one_instruction_each),
        live_test(T1_first_instruction),
        live_test(T1_onto_breakpoints),
        live_test(T1_others_at_the_same_breakpoint),
        live_test(T1_other_threads_stay),
        live_test(T1_rep_movs),
        live_test(T1_pushf),
        live_test(T1_popf),
        live_test(T1_popf_of_the_programs_own_flag),
        live_test(T1_long_way),
        live_test(T1_M6_own_int3),
        live_test(T1_fault),
        live_test(T1_blocking_call),
        live_test(T1_blocking_call_is_done_later),
        live_test(T1_into_the_end),
        live_test(T1_when_not_stopped),
        live_test(T2_the_signal_stays_pending),
        live_test(T2_P7_the_signal_survives_a_detach),
        live_test(T2_deliver),
        live_test(T2_deliver_onto_a_breakpoint),
        live_test(T2_deliver_nothing),
        live_test(T1_T2_signal_in_a_step),
        live_test(T1_own_step_flag),
        live_test(T1_T2_back_from_a_handler),
        live_test(T1_T2_another_signal_back_from_a_handler),
        live_test(T1_a_child_ends_before_a_step),
        live_test(T2_M7_held_stop_and_SIGCONT),
        live_test(T1_M1_interrupted_at_a_breakpoint),
        live_test(T1_M7_out_of_a_group_stop),
    };
    return live_main(tests);
}
