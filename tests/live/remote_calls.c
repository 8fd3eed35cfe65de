/* I1 I2 I3: system calls that a stopped thread makes for the caller, in every kind of stop and of blocking call, while
 * signals come, limits pass, threads are killed, and the host lets go or dies; the programs find nothing of it. REIN_ROUNDS
 * makes it more calls (a thousand for each; 2,000 when unset). Programs: long_calls, signals_seen, signals_storm, rt_signals,
 * timer_10khz, spin, blocking_syscall, step_targets, exec_leader, fork_loop, vfork_loop, restartable. */
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "apart.h"
#include "look.h"

static int how_many(void)
{
    const char *text = getenv("REIN_ROUNDS");
    int rounds = text ? atoi(text) : 2;
    return (rounds > 0 ? rounds : 2) * 1000;
}

/* ---- Calls ---- */

static const rein_word nothing[6] = {0};

static int64_t call_with(rein_thread *thread, int number, const rein_word arguments[6])
{
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    int64_t result = 77;
    options.timeout_ms = LIMIT_MS;
    number = number_in(rein_thread_process(thread), number);
    assert_ok(rein_thread_syscall(thread, number, arguments, &options, &result));
    return result;
}

static int64_t call(rein_thread *thread, int number)
{
    return call_with(thread, number, nothing);
}

static int try_call(rein_thread *thread, int number, const rein_word arguments[6], int limit_ms, int64_t *result)
{
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    options.timeout_ms = limit_ms;
    number = number_in(rein_thread_process(thread), number);
    return rein_thread_syscall(thread, number, arguments, &options, result);
}

/* ---- Threads that sit in calls ---- */

/* Attaches, and has it run on with nothing shown. */
static rein_process *follow(struct fixture *fixture)
{
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    return process;
}

static void end_long_calls(struct fixture *fixture)
{
    assert_ok(rein_process_detach(fixture->process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* I1: each is stopped by itself, wherever it is, makes a call, and goes on. */
static void I1_threads_in_every_call(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    follow(fixture);
    rein_thread *threads[KINDS];
    int pid = fixture->pid, times = how_many();
    alarm((unsigned)(100 + times / 100));
    for (int i = 0; i < KINDS; i++)
        threads[i] = thread_in(fixture, kinds[i]);
    for (int i = 0; i < times; i++) {
        rein_thread *thread = threads[i % KINDS];
        assert_ok(rein_thread_stop(thread, LIMIT_MS));
        struct look before = look_at(thread, false);
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
        check_as_before(thread, &before, !changes_mask(kinds[i % KINDS]), __LINE__);
        if (i % 3 == 0)
            assert_int_equal(call(thread, SYS_getpid), pid);
        if (i % 7 == 0)
            assert_int_equal(call(thread, 100000), -ENOSYS);
        assert_ok(rein_thread_continue(thread));
    }
    end_long_calls(fixture);
}

/* I1: the whole process is stopped, for longer than its sleeps last. */
static void I1_all_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < KINDS; i++) {
            rein_thread *thread = thread_in(fixture, kinds[i]);
            struct look before = look_at(thread, false);
            for (int times = 0; times < 3; times++)
                assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
            check_as_before(thread, &before, !changes_mask(kinds[i]), __LINE__);
        }
        assert_ok(rein_process_wait(process, 0)); /* nothing has moved */
        assert_ok(rein_process_continue(process));
        sleep_ms(5 * round);
        assert_ok(rein_process_stop(process, LIMIT_MS));
    }
    end_long_calls(fixture);
}

/* I2: calls that block, and are interrupted when their time is over. */
static void I2_limits_pass(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    int64_t result = 77;
    set_policy(process, REIN_IGNORE);
    int ends[2];
    rein_thread *main_thread = thread_in(fixture, "main");
    rein_word room;
    assert_ok(rein_thread_mmap(main_thread, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL,
                               &room));
    assert_int_equal(call_with(main_thread, SYS_pipe2, (rein_word[6]){room, 0}), 0);
    assert_ok(rein_process_read(process, room, ends, sizeof ends, NULL));
    for (int i = 0; i < KINDS; i++) {
        rein_thread *thread = thread_in(fixture, kinds[i]);
        struct look before = look_at(thread, false);
        const rein_word from_pipe[6] = {(rein_word)ends[0], room, 1};
        assert_error_says(try_call(thread, SYS_read, from_pipe, 20, &result), REIN_TIMEOUT, "interrupted after 20 ms");
        assert_int_equal(result, 0);
        check_as_before(thread, &before, !changes_mask(kinds[i]), __LINE__);
        assert_error(try_call(thread, SYS_pause, nothing, 1, &result), REIN_TIMEOUT);
        assert_error(try_call(thread, SYS_pause, nothing, 0, &result), REIN_TIMEOUT);
        check_as_before(thread, &before, !changes_mask(kinds[i]), __LINE__);
    }
    /* Of a call that has done a part of its work that part is the result. */
    int64_t full = 0;
    const rein_word fill[6] = {(rein_word)ends[1], room, 4096};
    for (int i = 0; i < 3; i++)
        full += call_with(main_thread, SYS_write, fill);
    assert_int_equal(full, 3 * 4096);
    assert_int_equal(call_with(main_thread, SYS_close, (rein_word[6]){(rein_word)ends[0]}), 0);
    assert_int_equal(call_with(main_thread, SYS_close, (rein_word[6]){(rein_word)ends[1]}), 0);
    assert_ok(rein_thread_munmap(main_thread, room, 4096, NULL));
    assert_ok(rein_process_continue(process));
    end_long_calls(fixture);
}

/* I1, I3: a sleep within a sleep would lose the first; it can be had in another thread, also interrupted and gone on with. */
static void I3_sleeping_in_sleepers(void **state)
{
    (void)state;
    static const struct timespec time = {0, 20000000};
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    rein_thread *reader = thread_in(fixture, "read");
    rein_word room;
    int64_t result;
    assert_ok(
        rein_thread_mmap(reader, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL, &room));
    const int32_t narrow_time[2] = {(int32_t)time.tv_sec, (int32_t)time.tv_nsec};
    if (word_size(process) == 8)
        assert_ok(rein_process_write(process, room, &time, sizeof time, NULL));
    else
        assert_ok(rein_process_write(process, room, narrow_time, sizeof narrow_time, NULL));
    const rein_word sleep[6] = {room}, poll_it[6] = {0, 0, 1}, wait[6] = {room, 0, 20000000, room};
    static const char *const sleepers[] = {"nanosleep", "poll", "timed_futex"};
    for (int i = 0; i < 3; i++) {
        rein_thread *thread = thread_in(fixture, sleepers[i]);
        if ((int32_t)register_of(thread, RESULT_REGISTER) != -516)
            continue; /* it was just awake */
        assert_error_says(try_call(thread, SYS_nanosleep, sleep, LIMIT_MS, &result), REIN_BAD_STATE, "time limit");
        if (SYS_poll != SYS_ppoll) /* that one keeps nothing */
            assert_error_says(try_call(thread, SYS_poll, poll_it, LIMIT_MS, &result), REIN_BAD_STATE, "another thread");
        assert_error(try_call(thread, SYS_futex, wait, LIMIT_MS, &result), REIN_BAD_STATE);
    }
    struct look before = look_at(reader, false);
    double since = now();
    assert_int_equal(call_with(reader, SYS_nanosleep, sleep), 0);
    assert_true(now() - since >= 0.02);
    assert_as_before(reader, &before);
    assert_ok(rein_thread_munmap(reader, room, 4096, NULL));
    end_long_calls(fixture);
}

/* ---- Storms ---- */

/* Threads that work are stopped, one or another, and make a call; until the program has ended or has been called often
 * enough. */
static int call_at_random(rein_process *process, int times)
{
    int made = 0;
    unsigned random = 1;
    for (int i = 0; i < times; i++) {
        rein_thread **threads = NULL;
        size_t count = 0;
        int64_t result;
        if (rein_process_threads(process, &threads, &count) || !count)
            break;
        random = random * 1664525 + 1013904223;
        rein_thread *thread = threads[(random >> 8) % count];
        int error = rein_thread_stop(thread, LIMIT_MS);
        if (!error)
            error = try_call(thread, SYS_gettid, nothing, LIMIT_MS, &result);
        if (!error) {
            made++;
            assert_int_equal(result, rein_thread_id(thread));
        } else if (error != REIN_NO_THREAD && error != REIN_EXITED && error != REIN_BAD_STATE) {
            fail_msg("%s: %s", rein_error_name(error), rein_error_message());
        }
        if (!error || rein_thread_continue(thread) != REIN_EXITED)
            rein_thread_continue(thread);
        rein_thread_list_free(threads, count);
    }
    return made;
}

static void storm(struct fixture *fixture)
{
    rein_process *process = follow(fixture);
    tell(fixture);
    assert_true(call_at_random(process, how_many()) > 0);
    if (rein_process_stop(process, LIMIT_MS) == 0)
        assert_ok(rein_process_detach(process, 0));
}

static void I1_storm_of_signals(void **state)
{
    (void)state;
    alarm((unsigned)(100 + how_many() / 100));
    for (int i = 0; i < 8; i++) { /* a longer one takes minutes on a busy machine, also by itself */
        struct fixture *fixture = start_waiting("signals_storm", "4", "60", NULL);
        storm(fixture);
        assert_ends(fixture, 0);
    }
}

static void I1_storm_of_real_time_signals(void **state)
{
    (void)state;
    alarm((unsigned)(100 + how_many() / 100));
    struct fixture *fixture = start_waiting("rt_signals", "2000", "20", NULL);
    storm(fixture);
    assert_ends(fixture, 0);
}

static void I1_storm_of_timers(void **state)
{
    (void)state;
    alarm((unsigned)(100 + how_many() / 100));
    struct fixture *fixture = start_waiting("timer_10khz", "1000", NULL);
    storm(fixture);
    assert_ends(fixture, 0);
}

static void I1_computing(void **state)
{
    (void)state;
    alarm((unsigned)(100 + how_many() / 100));
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = follow(fixture);
    rein_breakpoint *hot = NULL;
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = go_on;
    assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot2"), &options, &hot));
    later_unref_breakpoint(hot);
    assert_true(call_at_random(process, how_many() / 20) > 0); /* the others are stopped for each hit */
    assert_ok(rein_process_remove_breakpoint(process, address_of(fixture, "hot2"), REIN_BREAKPOINT_WHILE_RUNNING));
    assert_true(call_at_random(process, how_many() / 2) > 0);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Every kind of stop ---- */

/* In a call that told an event rax is not the result yet; the call is finished first. (x0 is an argument still.) */
static void assert_finished(rein_thread *thread, struct look *before, rein_word result)
{
#if !defined(__aarch64__)
    rein_word pending = (rein_word)-ENOSYS;
    assert_word(before->words[RESULT_INDEX], word_size(rein_thread_process(thread)) == 8 ? pending : (uint32_t)pending);
#endif
    before->words[RESULT_INDEX] = result;
#if defined(__aarch64__)
    before->words[34] = (rein_word)-1; /* syscallno: it is in no call any more */
#endif
    assert_as_before(thread, before);
}

/* I1: as it was started: in execve, which has not returned yet. */
static void I1_at_start(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_thread *thread = first_thread(fixture->process);
    struct look before = look_at(thread, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call(thread, SYS_getpid), fixture->pid);
    assert_finished(thread, &before, 0);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* I1: and at an exec that is an event. */
static void I1_at_exec(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("exec_leader", NULL);
    rein_thread *thread = run_to(fixture->process, REIN_CAUSE_EXEC);
    struct look before = look_at(thread, false);
    assert_int_equal(call(thread, SYS_getpid), fixture->pid);
    assert_finished(thread, &before, 0);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* I1: at a breakpoint, which is hit once for each execution all the same. */
static void I1_at_breakpoints(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("spin", "1", "50", NULL);
    rein_breakpoint *breakpoint = add_breakpoint(fixture->process, address_of(fixture, "hot"));
    for (int i = 0; i < 50; i++) {
        rein_thread *thread = run_to(fixture->process, REIN_CAUSE_BREAKPOINT);
        struct look before = look_at(thread, false);
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
        assert_as_before(thread, &before);
        if (i % 2) {
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
            before = look_at(thread, false);
            assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
            assert_as_before(thread, &before);
        }
    }
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 50);
}

/* I1: stopped by a signal, whatever it is, which then is delivered with its siginfo; at once, or after another was chosen, or
 * after a step that holds it back, or by a step into its handler. Asleep or computing. */
static void at_signals(const char *awake)
{
    struct fixture *fixture = start_ready("signals_seen", "1", awake, NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = thread_of(process, said_id(fixture, "thread1"));
    assert_ok(rein_process_continue(process));
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (number == SIGKILL || number == SIGSTOP || number == SIGSEGV || number == SIGBUS || number == SIGILL ||
            number == SIGFPE || number == SIGALRM || number == SIGTRAP || number == 32 || number == 33)
            continue;
        char line[128];
        send_to(fixture->pid, rein_thread_id(thread), number, 1000 + number);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
        struct look before = look_at(thread, false);
        assert_int_equal(call(thread, SYS_getpid), fixture->pid);
        assert_int_equal(call(thread, SYS_getpid), fixture->pid);
        assert_as_before(thread, &before);
        if (number % 5 == 0) {
            assert_ok(rein_thread_set_signal(thread, 0));
            assert_int_equal(call(thread, SYS_getpid), fixture->pid);
            assert_ok(rein_thread_set_signal(thread, number));
        }
        if (number % 3 == 0) /* it is held back */
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        else if (number % 3 == 1) /* into the handler */
            assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
        before = look_at(thread, false);
        assert_int_equal(call(thread, SYS_getpid), fixture->pid);
        assert_as_before(thread, &before);
        assert_ok(rein_process_continue(process));
        snprintf(line, sizeof line, "signal %d code %d value %d pid %d thread 1", number, SI_QUEUE, 1000 + number,
                 getpid());
        expect_said(fixture, line);
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

static void I1_at_signals_asleep(void **state)
{
    (void)state;
    at_signals("0");
}

static void I1_at_signals_awake(void **state)
{
    (void)state;
    at_signals("1");
}

/* I1: the same in calls that have changed the mask, where the handler must run inside. */
static void I1_at_signals_in_sigsuspend(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_THREAD));
    assert_ok(rein_process_continue(process));
    int seen[2] = {0, 0};
    for (double limit = now() + LIMIT_S; seen[0] < 20 || seen[1] < 20;) {
        struct rein_event event;
        assert_true(now() < limit);
        assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
        if (event.cause.kind == REIN_CAUSE_SIGNAL) {
            rein_thread *thread = event.thread;
            struct look before = look_at(thread, false);
            assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
            assert_as_before(thread, &before);
            seen[event.cause.signal.number == SIGUSR2]++;
        }
        assert_ok(rein_thread_continue(event.thread));
        rein_event_clear(&event);
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    end_long_calls(fixture);
}

/* I1: real-time signals in a row, each stopping the thread: none lost, none overtaken. */
static void I1_at_signals_in_a_row(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("rt_signals", "200", "3", NULL);
    rein_process *process = fixture->process;
    int stops = 0;
    while (rein_process_continue(process) == 0 && rein_process_wait(process, LIMIT_MS) == 0) {
        rein_thread *thread = first_thread(process);
        if (state_of(thread) != REIN_STATE_STOPPED_SIGNAL)
            continue;
        stops++;
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
    }
    assert_true(stops >= 400);
    assert_ends_traced(fixture, 0);
}

/* I1: in clone: the call is finished first. The new thread, which has not run yet, can be called, too. */
static void I1_at_thread_creation(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("spin", "2", "20", NULL);
    rein_process *process = fixture->process;
    for (int i = 0; i < 2; i++) {
        rein_thread *thread = run_to(process, REIN_CAUSE_THREAD_CREATE);
        struct rein_cause cause;
        assert_ok(rein_thread_cause(thread, &cause));
        struct look before = look_at(thread, false);
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
        assert_finished(thread, &before, (rein_word)rein_thread_id(cause.new_thread));
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
        assert_as_before(thread, &before);
        before = look_at(cause.new_thread, false);
        assert_int_equal(call(cause.new_thread, SYS_gettid), rein_thread_id(cause.new_thread));
        assert_as_before(cause.new_thread, &before);
        rein_cause_clear(&cause);
    }
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* I1: at fork, and at the end of vfork; I3: not while a vfork parent waits. */
static void I1_I3_at_fork_and_vfork(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("fork_loop", "1", "5", NULL);
    int64_t result;
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(fixture->process, REIN_CAUSE_FORK, REIN_STOP_ALL));
    for (int i = 0; i < 5; i++) {
        rein_thread *thread = run_to(fixture->process, REIN_CAUSE_FORK);
        struct rein_cause cause;
        assert_ok(rein_thread_cause(thread, &cause));
        struct look before = look_at(thread, false);
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
        assert_finished(thread, &before, (rein_word)cause.child);
        rein_cause_clear(&cause);
    }
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);

    fixture = spawn("vfork_loop", "1", "3", NULL);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(fixture->process, REIN_CAUSE_VFORK, REIN_STOP_ALL));
    assert_ok(rein_process_set_policy(fixture->process, REIN_CAUSE_VFORK_DONE, REIN_STOP_ALL));
    for (int i = 0; i < 3; i++) {
        rein_thread *thread = run_to(fixture->process, REIN_CAUSE_VFORK);
        struct look before = look_at(thread, false);
        assert_error_says(try_call(thread, SYS_gettid, nothing, LIMIT_MS, &result), REIN_BAD_STATE, "vfork child");
        assert_as_before(thread, &before);
        thread = run_to(fixture->process, REIN_CAUSE_VFORK_DONE);
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
    }
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* I1: a process that job control has stopped is, afterwards, and SIGCONT ends that; also one that comes in the middle. */
static void I1_in_a_group_stop(void **state)
{
    (void)state;
    skip_if_lent(); /* it would have to be in a call for the group-stop to be left */
    struct fixture *fixture = start_ready("long_calls", "stops", NULL);
    rein_process *process = follow(fixture);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_STOP_ALL));
    for (int round = 0; round < 4; round++) {
        assert_int_equal(kill(fixture->pid, round % 2 ? SIGSTOP : SIGTSTP), 0);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        for (int i = 0; i < KINDS; i++) {
            rein_thread *thread = thread_in(fixture, kinds[i]);
            struct look before = look_at(thread, false);
            assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
            check_as_before(thread, &before, !changes_mask(kinds[i]), __LINE__);
        }
        bool early = round < 2;
        if (early) /* then it is over when they are continued */
            assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        if (early)
            assert_int_equal(call(thread_in(fixture, "read"), SYS_getpid), fixture->pid);
        assert_ok(rein_process_continue(process));
        if (!early) {
            assert_int_equal(proc_state(fixture->pid, said_id(fixture, "nanosleep")), 't'); /* listening */
            assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        }
        await_state(fixture->pid, said_id(fixture, "read"), 'S');
    }
    end_long_calls(fixture);
}

/* I1: at the entry of a call, where passing a breakpoint on its instruction ends. */
static void I1_at_the_entry_of_a_call(void **state)
{
    (void)state;
    struct fixture *fixture = start_waiting("blocking_syscall", "1", "30", NULL);
    rein_process *process = attach(fixture);
    rein_word pc = address_of(fixture, "blocking_syscall_insn");
    rein_breakpoint *breakpoint = add_breakpoint(process, pc);
    set_policy(process, REIN_STOP_THREAD);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    int result;
    struct rein_event event;
    while (!(result = rein_process_next_event(process, LIMIT_MS, &event))) {
        rein_thread *thread = event.thread;
        /* A continue and a stop right after it: it is somewhere between there and the inside of the call. */
        for (int i = 0; event.cause.kind == REIN_CAUSE_BREAKPOINT && i < 3; i++) {
            enum rein_state now = state_of(thread);
            if (!rein_state_is_stopped(now) || now == REIN_STATE_STOPPED_EXITING)
                break; /* an event of which its continue is long past */
            struct look before = look_at(thread, false);
            assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
            assert_as_before(thread, &before);
            if (rein_thread_continue(thread) || rein_thread_stop(thread, LIMIT_MS))
                break;
        }
        rein_thread_continue(thread);
        rein_event_clear(&event);
    }
    assert_int_equal(result, REIN_EXITED);
    assert_ends(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 30);
}

/* I1: in a restartable sequence (rseq(2)): it must begin anew, as after any stop, though the kernel has seen the thread
 * elsewhere. */
static void I1_in_a_restartable_sequence(void **state)
{
    (void)state;
    struct fixture *fixture = start("restartable", NULL);
    const char *said;
    while (!(said = has_said(fixture, "ready")) && !has_said(fixture, "none"))
        sleep_ms(1);
    if (!said) {
        print_message("no restartable sequences here: skipped\n");
        assert_ends(fixture, 0);
        skip();
    }
    rein_process *process = follow(fixture);
    rein_thread *thread = first_thread(process);
    rein_word start = address_of(fixture, "sequence_start"), end = address_of(fixture, "sequence_end");
    uint64_t generation = 0;
    for (double limit = now() + LIMIT_S; generation < 20;) {
        if (now() > limit)
            fail_msg("it was in its sequence %" PRIu64 " times only", generation);
        assert_ok(rein_thread_stop(thread, LIMIT_MS));
        rein_word pc = pc_of(thread);
        if (pc > start && pc < end) {
            generation++;
            assert_int_equal(call(thread, SYS_getpid), fixture->pid);
            assert_ok(
                rein_process_write(process, address_of(fixture, "generation"), &generation, sizeof generation, NULL));
        }
        assert_ok(rein_thread_continue(thread));
        sleep_ms(1); /* for it to get there */
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Signals in the middle ---- */

struct caller {
    pthread_t pthread;
    rein_thread *thread;
    int number, limit_ms, result;
    rein_word arguments[6];
    int64_t value;
    char message[320];
};

static void *make_call(void *arg)
{
    struct caller *caller = arg;
    caller->result = try_call(caller->thread, caller->number, caller->arguments, caller->limit_ms, &caller->value);
    snprintf(caller->message, sizeof caller->message, "%s", rein_error_message());
    return NULL;
}

/* Has a thread make a call that blocks, and waits until it does. */
static void begin_call(struct caller *caller, rein_thread *thread, int number)
{
    *caller = (struct caller){.thread = thread, .number = number, .limit_ms = -1};
    assert_int_equal(pthread_create(&caller->pthread, NULL, make_call, caller), 0);
    await_state(rein_process_id(rein_thread_process(thread)), rein_thread_id(thread), 'S');
}

static void end_call(struct caller *caller, int result)
{
    pthread_join(caller->pthread, NULL);
    if (caller->result != result)
        fail_msg("the call returned %s: %s", rein_error_name(caller->result), caller->message);
}

/* I2: signals that come while it blocks are delivered afterwards, in order, with their siginfo, job control's too. */
static void I2_signals_wait(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("signals_seen", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    struct look before = look_at(thread, false);
    struct caller caller;
    set_policy(process, REIN_IGNORE);
    begin_call(&caller, thread, SYS_pause);
    for (int i = 0; i < 3; i++) {
        union sigval value = {.sival_int = i};
        assert_int_equal(sigqueue(fixture->pid, SIGRTMIN + 5, value), 0);
    }
    assert_int_equal(sigqueue(fixture->pid, SIGSYS, (union sigval){.sival_int = 7}), 0); /* not blocked: a fault's */
    assert_int_equal(kill(fixture->pid, SIGTSTP), 0);
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);       /* cannot be blocked */
    await_state(fixture->pid, rein_thread_id(thread), 'S'); /* it sleeps on in the call */
    assert_ok(rein_process_cancel_wait(process));
    end_call(&caller, REIN_CANCELLED);
    assert_as_before(thread, &before);
    assert_null(has_said(fixture, "signal"));
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < 3; i++) {
        char line[128];
        snprintf(line, sizeof line, "signal %d code %d value %d pid %d", SIGRTMIN + 5, SI_QUEUE, i, getpid());
        expect_said(fixture, line);
    }
    char line[64];
    snprintf(line, sizeof line, "signal %d code %d value 7", SIGSYS, SI_QUEUE);
    expect_said(fixture, line);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* I2: a group-stop in the middle interrupts the call for a moment; the thread is in it afterwards. */
static void I2_group_stop_in_the_middle(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("long_calls", "stops", NULL);
    rein_process *process = follow(fixture);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_REPORT));
    rein_thread *thread = thread_in(fixture, "read");
    struct caller caller;
    for (int round = 0; round < 5; round++) {
        assert_ok(rein_thread_stop(thread, LIMIT_MS));
        struct look before = look_at(thread, false);
        begin_call(&caller, thread, SYS_pause);
        assert_int_equal(kill(fixture->pid, SIGTSTP), 0);
        expect_event(process, REIN_CAUSE_GROUP_STOP); /* the others are in it */
        assert_state(thread, before.state);
        if (round % 2)
            assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        assert_ok(rein_process_cancel_wait(process));
        end_call(&caller, REIN_CANCELLED);
        assert_as_before(thread, &before);
        assert_ok(rein_thread_continue(thread));
        if (round % 2 == 0)
            assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        await_state(fixture->pid, said_id(fixture, "read"), 'S');
    }
    end_long_calls(fixture);
}

/* ---- Ends ---- */

/* I2 */
static void I2_killed_in_the_middle(void **state)
{
    (void)state;
    skip_if_lent();
    for (int round = 0; round < 3; round++) {
        struct fixture *fixture = start_ready("long_calls", NULL);
        rein_process *process = attach(fixture);
        struct caller caller;
        set_policy(process, REIN_IGNORE);
        begin_call(&caller, thread_in(fixture, "poll"), SYS_pause);
        assert_int_equal(kill(fixture->pid, SIGKILL), 0);
        pthread_join(caller.pthread, NULL);
        if (caller.result != REIN_EXITED && caller.result != REIN_NO_THREAD)
            fail_msg("%s: %s", rein_error_name(caller.result), caller.message);
        assert_error(rein_process_next_event(process, LIMIT_MS, &(struct rein_event){.sequence = 0}), REIN_EXITED);
    }
}

/* I2: or by itself. */
static void I2_kills_itself(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    int64_t result;
    set_policy(process, REIN_IGNORE);
    int error = try_call(thread_in(fixture, "poll"), SYS_kill, (rein_word[6]){(rein_word)fixture->pid, SIGKILL},
                         LIMIT_MS, &result);
    assert_true(error == REIN_EXITED || error == REIN_NO_THREAD);
    assert_error(rein_process_next_event(process, LIMIT_MS, &(struct rein_event){.sequence = 0}), REIN_EXITED);
}

/* Where the vdso makes system calls: at most size of the places. */
static size_t find_in_vdso(int pid, rein_word *places, size_t size)
{
    static unsigned char code[4 * 4096];
    char path[64], line[512];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        rein_word start, end;
        if (!strstr(line, "[vdso]") || sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2)
            continue;
        size_t length = raw_read(pid, start, code, end - start < sizeof code ? (size_t)(end - start) : sizeof code);
        for (size_t i = 0; i + 1 < length && count < size; i++) {
            if (code[i] == 0x0f && code[i + 1] == 0x05)
                places[count++] = start + i;
        }
    }
    fclose(maps);
    return count;
}

/* I1: breakpoints come and go on the very instructions by which calls are made, in memory, for other threads run. */
static void I1_breakpoints_on_the_instruction(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = follow(fixture);
    rein_thread *thread = thread_in(fixture, "read");
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_word places[16];
    size_t count = find_in_vdso(fixture->pid, places, 16);
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = go_on;
    assert_ok(rein_thread_stop(thread, LIMIT_MS));
    struct look before = look_at(thread, false);
    for (int round = 0; round < 100; round++) {
        struct caller caller = {.thread = thread, .number = SYS_gettid, .limit_ms = LIMIT_MS};
        assert_int_equal(pthread_create(&caller.pthread, NULL, make_call, &caller), 0);
        for (size_t i = 0; i < count; i++)
            assert_ok(rein_process_add_breakpoint(process, places[i], &options, NULL));
        end_call(&caller, 0);
        assert_int_equal(caller.value, rein_thread_id(thread));
        assert_int_equal(call(thread, SYS_gettid), rein_thread_id(thread));
        for (size_t i = 0; i < count; i++)
            assert_ok(rein_process_remove_breakpoint(process, places[i], REIN_BREAKPOINT_WHILE_RUNNING));
    }
    assert_as_before(thread, &before);
    end_long_calls(fixture);
}

/* I2: what the caller may do meanwhile. */
static void I2_asked_in_the_middle(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = thread_in(fixture, "read");
    rein_registers *registers = NULL, *snapshot = NULL;
    struct caller caller;
    int64_t result;
    char byte;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_thread_registers(thread, &snapshot));
    later_free_registers(snapshot);
    begin_call(&caller, thread, SYS_pause);
    assert_error_says(rein_thread_registers(thread, &registers), REIN_BAD_STATE, "is not done yet");
    assert_error(rein_registers_set(snapshot, 0, 1), REIN_BAD_STATE);
    assert_error(rein_thread_continue(thread), REIN_BAD_STATE);
    assert_error(rein_thread_step(thread, 0, LIMIT_MS), REIN_BAD_STATE);
    assert_error(try_call(thread, SYS_getpid, nothing, LIMIT_MS, &result), REIN_BAD_STATE);
    assert_ok(rein_thread_read(thread, address_of(fixture, "main"), &byte, 1, NULL));
    assert_ok(rein_process_wait(process, 0));
    assert_ok(rein_thread_stop(thread, LIMIT_MS));
    assert_int_equal(call(thread_in(fixture, "poll"), SYS_getpid), fixture->pid); /* another thread's own */
    assert_ok(rein_process_continue(process));                                    /* the others; this one afterwards */
    assert_state(thread, REIN_STATE_RUNNING);
    assert_ok(rein_process_cancel_wait(process));
    end_call(&caller, REIN_CANCELLED);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    end_long_calls(fixture);
}

/* I2: let go in the middle, by detach and by the end of the monitor. */
static void I2_let_go_in_the_middle(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("long_calls", NULL);
    for (int i = 0; i < 2 * KINDS; i++) {
        rein_monitor *own = NULL;
        rein_process *process = NULL;
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        options.kind = monitor_kind();
        assert_ok(rein_monitor_create(&options, &own));
        assert_ok(rein_attach(own, fixture->pid, NULL, &process));
        set_policy(process, REIN_IGNORE);
        rein_thread *thread = NULL;
        struct caller caller;
        assert_ok(rein_process_thread(process, said_id(fixture, kinds[i % KINDS]), &thread));
        begin_call(&caller, thread, SYS_pause);
        if (i < KINDS)
            assert_ok(rein_process_detach(process, 0));
        else
            assert_ok(rein_monitor_close(own));
        end_call(&caller, REIN_DETACHED);
        rein_thread_unref(thread);
        rein_process_unref(process);
        if (i < KINDS)
            assert_ok(rein_monitor_close(own));
        assert_free(fixture->pid);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- The host dies ---- */

struct host {
    struct fixture *fixture;
    int id;     /* of the thread that makes calls */
    int number; /* of the call */
    int report;
};

static void be_host(void *arg)
{
    const struct host *host = arg;
    rein_monitor *mine = NULL;
    rein_process *process = NULL;
    rein_thread *thread = NULL;
    int64_t result;
    apart_ok(rein_monitor_create(NULL, &mine));
    apart_ok(rein_attach(mine, host->fixture->pid, NULL, &process));
    apart_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    apart_ok(rein_process_thread(process, host->id, &thread));
    int id = rein_monitor_id(mine);
    apart_check(write(host->report, &id, sizeof id) == sizeof id);
    for (;;) {
        rein_thread_syscall(thread, host->number, nothing, NULL, &result);
        apart_ok(rein_thread_continue(thread));
        apart_ok(rein_thread_stop(thread, LIMIT_MS));
    }
}

/* I2, M10: killed while a call blocks, or in the middle of a storm of calls. */
static void I2_M10_host_killed_in_the_middle(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS) /* the header says that the others cannot do this */
        skip();
    struct fixture *fixture = start_ready("long_calls", NULL);
    unsigned random = 1;
    for (int i = 0; i < 2 * KINDS; i++) {
        int ends[2], monitor_id;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        struct host host = {fixture, said_id(fixture, kinds[i % KINDS]), i < KINDS ? SYS_pause : SYS_getpid, ends[1]};
        int pid = apart(be_host, &host);
        close(ends[1]);
        assert_int_equal(read(ends[0], &monitor_id, sizeof monitor_id), sizeof monitor_id);
        close(ends[0]);
        random = random * 1664525 + 1013904223;
        struct timespec moment = {0, (long)(random >> 8) % 5000 * 1000};
        nanosleep(&moment, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = apart_end(pid, LIMIT_MS);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        await_free(fixture->pid, LIMIT_MS);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- What is refused ---- */

/* I3 */
static void I3_bad_input(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    int64_t result = 77;
    rein_word address = 77;
    int fd = 77;
    assert_error(rein_thread_syscall(NULL, SYS_getpid, nothing, NULL, &result), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_syscall(thread, SYS_getpid, NULL, NULL, &result), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_syscall(thread, SYS_getpid, nothing, NULL, NULL), REIN_INVALID_ARGUMENT);
    assert_error_says(rein_thread_syscall(thread, -1, nothing, NULL, &result), REIN_INVALID_ARGUMENT, "-1");
    options.flags = 0x80;
    assert_error_says(rein_thread_syscall(thread, SYS_getpid, nothing, &options, &result), REIN_INVALID_ARGUMENT,
                      "unknown flags");
    assert_error(rein_thread_close(thread, 1, &options), REIN_INVALID_ARGUMENT);
    options.flags = 0;
    options.size = 0;
    assert_error(rein_thread_syscall(thread, SYS_getpid, nothing, &options, &result), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_mmap(NULL, 0, 4096, 0, 0, -1, 0, NULL, &address), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_mmap(thread, 0, 4096, 0, 0, -1, 0, NULL, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_munmap(NULL, 0, 4096, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_mprotect(NULL, 0, 4096, 0, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_open(NULL, "/", 0, 0, NULL, &fd), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_open(thread, NULL, 0, 0, NULL, &fd), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_open(thread, "/", 0, 0, NULL, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_close(NULL, 1, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_take_descriptor(NULL, 1, &fd), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_take_descriptor(process, 1, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_take_descriptor(process, -1, &fd), REIN_INVALID_ARGUMENT);

    skip_if_32_bit(process, "the numbers here are amd64's");
    static const int never[] = {SYS_exit,   SYS_exit_group, SYS_execve, SYS_execveat,     SYS_clone,
                                SYS_clone3, SYS_fork,       SYS_vfork,  SYS_rt_sigreturn, SYS_restart_syscall};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        char number[32];
        snprintf(number, sizeof number, "system call %d:", never[i]);
        assert_error_says(rein_thread_syscall(thread, never[i], nothing, NULL, &result), REIN_INVALID_ARGUMENT, number);
    }
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_fails(rein_thread_syscall(thread, SYS_getpid, nothing, NULL, &result));
    assert_error(rein_process_take_descriptor(process, 1, &fd), REIN_EXITED);
}

static int called_in_callback;

static enum rein_verdict call_in_callback(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    int64_t result;
    (void)cause, (void)arg;
    called_in_callback = rein_thread_syscall(thread, SYS_getpid, nothing, NULL, &result);
    return REIN_VERDICT_POLICY;
}

/* I3: a thread that runs, is exiting, is gone; in a callback; a process that was let go. */
static void I3_bad_state(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    follow(fixture);
    rein_thread *thread = thread_in(fixture, "read");
    int64_t result;
    assert_error_says(try_call(thread, SYS_getpid, nothing, LIMIT_MS, &result), REIN_BAD_STATE, "stop it first");
    assert_ok(rein_thread_stop(thread, LIMIT_MS));
    end_long_calls(fixture);
    assert_error(try_call(thread, SYS_getpid, nothing, LIMIT_MS, &result), REIN_DETACHED);

    fixture = spawn("spin", "2", "10", NULL);
    assert_ok(rein_process_set_callback(fixture->process, call_in_callback, NULL));
    thread = run_to(fixture->process, REIN_CAUSE_THREAD_EXIT);
    assert_int_equal(called_in_callback, REIN_ON_MONITOR);
    struct look before = look_at(thread, false);
    assert_error_says(try_call(thread, SYS_getpid, nothing, LIMIT_MS, &result), REIN_BAD_STATE, "exiting");
    assert_as_before(thread, &before);
    assert_ok(rein_process_set_callback(fixture->process, NULL, NULL));
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* I1, I3, C1: beside the program's own calls, traced: at the entry of one another can be made, and that one is made
 * after it, as it was; at an exit none can, for the result would be lost. */
static void I1_I3_beside_traced_calls(void **state)
{
    (void)state;
    if (access(fixture_path("syscalls"), X_OK) != 0) {
        print_message("syscalls is a program of amd64 only\n");
        skip();
    }
    struct fixture *fixture = spawn("syscalls", "threads", "2", "200", NULL);
    rein_process *process = fixture->process;
    const struct rein_syscall_id id = {word_size(process) == 8 ? AUDIT_MACHINE : AUDIT_ARCH_I386,
                                       (uint32_t)number_in(process, SYS_getppid)};
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, &id, 1));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_ENTRY, REIN_STOP_ALL));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_EXIT, REIN_STOP_ALL));
    int entries = 0, exits = 0;
    while (entries < 50 || exits < 50) {
        int64_t result = 0;
        struct rein_cause cause;
        rein_thread *thread;
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        struct rein_event event;
        assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
        thread = event.thread;
        struct look before = look_at(thread, false);
        if (event.cause.kind == REIN_CAUSE_SYSCALL_ENTRY) {
            entries++;
            assert_ok(try_call(thread, SYS_gettid, nothing, LIMIT_MS, &result));
            assert_int_equal(result, rein_thread_id(thread));
        } else {
            exits++;
            assert_int_equal(event.cause.syscall.result,
                             monitor_kind() == REIN_MONITOR_PROCESS ? rein_monitor_id(monitor) : getpid());
            assert_error_says(try_call(thread, SYS_gettid, nothing, LIMIT_MS, &result), REIN_BAD_STATE, "exit");
        }
        assert_as_before(thread, &before);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.kind, event.cause.kind);
        rein_cause_clear(&cause);
        rein_event_clear(&event);
    }
    assert_ok(rein_process_trace_syscalls(process, 0, NULL, 0));
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* A child of the test that sets up seccomp and sleeps. */
static int start_confined(unsigned mode)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    int pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct { /* BPF: SECCOMP_RET_ALLOW */
            unsigned short code;
            unsigned char jt, jf;
            unsigned k;
        } allow[] = {{0x06, 0, 0, SECCOMP_RET_ALLOW}};
        struct {
            unsigned short length;
            const void *filter;
        } program = {1, allow};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (prctl(PR_SET_SECCOMP, mode, mode == SECCOMP_MODE_FILTER ? &program : NULL))
            (void)!write(ready[1], "x", 1);
        char byte;
        (void)!write(ready[1], "", 1);
        (void)!read(ready[0], &byte, 0);
        for (;;)
            (void)!read(STDIN_FILENO, &byte, 0);
    }
    char byte = 'x';
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    if (byte) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        print_message("seccomp is not to be had here: skipped\n");
        skip();
    }
    return pid;
}

/* I3: a process confined by seccomp is not killed by a call. */
static void I3_seccomp(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS) /* its waits would take the child's statuses */
        skip();
    for (unsigned mode = SECCOMP_MODE_STRICT; mode <= SECCOMP_MODE_FILTER; mode++) {
        int pid = start_confined(mode);
        bool strict = mode == SECCOMP_MODE_STRICT;
        rein_process *process = NULL;
        struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
        int64_t result = 0;
        assert_ok(rein_attach(monitor, pid, NULL, &process));
        later_unref_process(process);
        rein_thread *thread = first_thread(process);
        assert_error_says(rein_thread_syscall(thread, SYS_getpid, nothing, NULL, &result), REIN_NOT_PERMITTED,
                          strict ? "strict mode" : "REIN_SYSCALL_FILTERED");
        options.flags = REIN_SYSCALL_FILTERED;
        if (strict) {
            assert_error(rein_thread_syscall(thread, SYS_getpid, nothing, &options, &result), REIN_NOT_PERMITTED);
        } else {
            assert_ok(rein_thread_syscall(thread, SYS_getpid, nothing, &options, &result));
            assert_int_equal(result, pid);
        }
        assert_ok(rein_process_detach(process, 0));
        sleep_ms(5);
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it lives */
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
}

/* ---- Calls that are often wanted ---- */

/* I1: memory. */
static void I1_memory(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    assert_int_equal(call(thread, SYS_getpid), fixture->pid); /* it leaves execve */
    struct look before = look_at(thread, false);
    rein_word address = 0;
    char bytes[8] = "";
    assert_ok(
        rein_thread_mmap(thread, 0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL, &address));
    assert_true(address != 0 && address % 4096 == 0);
    assert_ok(rein_process_write(process, address + 4094, "hello", 6, NULL));
    assert_ok(rein_thread_mprotect(thread, address, 4096, PROT_READ, NULL));
    assert_ok(rein_process_read(process, address + 4094, bytes, 6, NULL));
    assert_string_equal(bytes, "hello");
    assert_ok(rein_thread_munmap(thread, address, 8192, NULL));
    assert_error(rein_process_read(process, address, bytes, 1, NULL), REIN_BAD_ADDRESS);
    errno = 0;
    assert_error_says(rein_thread_mprotect(thread, address, 4096, PROT_READ, NULL), REIN_SYSTEM, "mprotect failed");
    assert_int_equal(errno, ENOMEM);
    assert_error(rein_thread_munmap(thread, 1, 4096, NULL), REIN_SYSTEM);
    assert_int_equal(errno, EINVAL);
    assert_error(rein_thread_mmap(thread, 0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL, &address),
                 REIN_SYSTEM);
    assert_word(address, 0);
    assert_as_before(thread, &before);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* I1: descriptors, opened and closed there, and taken: what comes over is the same file, its position shared. */
static void I1_descriptors(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    assert_int_equal(call(thread, SYS_getpid), fixture->pid); /* it leaves execve */
    struct look before = look_at(thread, false);
    char path[64], target[64] = "", bytes[8] = "";
    int there = -1, here = -1, again = -1;
    assert_ok(rein_thread_open(thread, "/proc/self/status", O_RDONLY, 0, NULL, &there));
    assert_true(there >= 0);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", fixture->pid, there);
    assert_true(readlink(path, target, sizeof target - 1) > 0);
    snprintf(path, sizeof path, "/proc/%d/status", fixture->pid);
    assert_string_equal(target, path);
    int taken = rein_process_take_descriptor(process, there, &here);
    if (taken == REIN_NOT_SUPPORTED) {
        print_message("there is no pidfd_getfd: skipped\n");
    } else {
        assert_int_equal(taken, 0);
        assert_true(fcntl(here, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(read(here, bytes, 5), 5);
        assert_string_equal(bytes, "Name:");
        assert_int_equal(call_with(thread, SYS_lseek, (rein_word[6]){(rein_word)there, 0, SEEK_CUR}), 5);
        close(here);
        assert_error(rein_process_take_descriptor(process, 999, &again), REIN_SYSTEM);
        assert_int_equal(errno, EBADF);
        assert_int_equal(again, -1);
    }
    assert_ok(rein_thread_close(thread, there, NULL));
    assert_error(rein_thread_close(thread, there, NULL), REIN_SYSTEM);
    assert_int_equal(errno, EBADF);
    assert_error_says(rein_thread_open(thread, "/no/such/file", O_RDONLY, 0, NULL, &there), REIN_SYSTEM, "open failed");
    assert_int_equal(errno, ENOENT);
    assert_int_equal(there, -1);
    assert_as_before(thread, &before);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(I1_threads_in_every_call),
        live_test(I1_all_stopped),
        live_test(I2_limits_pass),
        live_test(I3_sleeping_in_sleepers),
        live_test(I1_storm_of_signals),
        live_test(I1_storm_of_real_time_signals),
        live_test(I1_storm_of_timers),
        live_test(I1_computing),
        live_test(I1_at_start),
        live_test(I1_at_exec),
        live_test(I1_at_breakpoints),
        live_test(I1_at_signals_asleep),
        live_test(I1_at_signals_awake),
        live_test(I1_at_signals_in_sigsuspend),
        live_test(I1_at_signals_in_a_row),
        live_test(I1_at_thread_creation),
        live_test(I1_I3_at_fork_and_vfork),
        live_test(I1_in_a_group_stop),
        live_test(I1_at_the_entry_of_a_call),
        live_test(I1_in_a_restartable_sequence),
        live_test(I2_signals_wait),
        live_test(I2_group_stop_in_the_middle),
        live_test(I2_killed_in_the_middle),
        live_test(I2_kills_itself),
        live_test(I1_breakpoints_on_the_instruction),
        live_test(I2_asked_in_the_middle),
        live_test(I2_let_go_in_the_middle),
        live_test(I2_M10_host_killed_in_the_middle),
        live_test(I3_bad_input),
        live_test(I3_bad_state),
        live_test(I1_I3_beside_traced_calls),
        live_test(I3_seccomp),
        live_test(I1_memory),
        live_test(I1_descriptors),
    };
    return live_main(tests);
}
