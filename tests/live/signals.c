/* M7 M14 P5: signals on their way to the program. Programs: signals_seen, spin, rt_signals, own_int3. */
#include "support.h"

static int count_lines(const struct fixture *fixture, const char *beginning)
{
    int count = 0;
    for (const char *line = fixture->said; (line = strstr(line, beginning)); line++)
        count += line == fixture->said || line[-1] == '\n';
    return count;
}

static bool can_be_handled(int number)
{
    return number != SIGKILL && number != SIGSTOP && number != SIGSEGV && number != SIGBUS && number != SIGILL &&
           number != SIGFPE && number != SIGALRM && (number < 32 || number > 33);
}

/* P5, M14, C1: every signal, with its siginfo whole, stops the process, has its name, and is delivered by a continue:
 * SIGTRAP only if told so. */
static void P5_M14_every_signal(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    assert_ok(rein_process_continue(process));
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (!can_be_handled(number))
            continue;
        struct rein_cause cause;
        char line[128], text[64];
        siginfo_t info;
        union sigval value = {.sival_int = 1000 + number};
        assert_int_equal(sigqueue(fixture->pid, number, value), 0);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.kind, REIN_CAUSE_SIGNAL);
        assert_int_equal(cause.signal.number, number);
        assert_int_equal(cause.signal.code, SI_QUEUE);
        assert_int_equal(cause.signal.error, 0);
        assert_int_equal(cause.signal.sender_pid, getpid());
        assert_int_equal(cause.signal.sender_uid, getuid());
        assert_int_equal((int)cause.signal.value, 1000 + number);
        memcpy(&info, cause.signal.raw, sizeof info);
        assert_int_equal(info.si_signo, number);
        assert_int_equal(info.si_pid, getpid());
        assert_int_equal(info.si_value.sival_int, 1000 + number);
        rein_cause_text(&cause, text, sizeof text);
        assert_string_equal(text, rein_signal_name(number));
        rein_cause_clear(&cause);
        struct rein_event *event = expect_event(process, REIN_CAUSE_SIGNAL);
        assert_int_equal(event->cause.signal.number, number);
        if (number == SIGTRAP) {
            assert_ok(rein_process_continue(process)); /* is not delivered */
            assert_int_equal(sigqueue(fixture->pid, number, value), 0);
            assert_ok(rein_process_wait(process, LIMIT_MS));
            assert_ok(rein_thread_set_signal(thread, SIGTRAP));
        }
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
        snprintf(line, sizeof line, "signal %d code %d value %d pid %d thread 0", number, SI_QUEUE, 1000 + number,
                 getpid());
        if (monitor_kind() == REIN_MONITOR_LENT)
            assert_error(rein_process_wait(process, 20), REIN_TIMEOUT);
        (void)expect_said(fixture, line);
        snprintf(line, sizeof line, "signal %d ", number);
        assert_int_equal(count_lines(fixture, line), 1);
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* The program's leader stopped by a SIGUSR1 with the value 77. */
static rein_thread *stopped_by_signal(struct fixture **fixture)
{
    union sigval value = {.sival_int = 77};
    *fixture = start_ready("signals_seen", NULL);
    rein_process *process = attach(*fixture);
    assert_ok(rein_process_continue(process));
    assert_int_equal(sigqueue((*fixture)->pid, SIGUSR1, value), 0);
    assert_ok(rein_process_wait(process, LIMIT_MS));
    return first_thread(process);
}

static void end(struct fixture *fixture)
{
    if (rein_process_detach(fixture->process, 0) != 0)
        fail_msg("%s", rein_error_message());
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P5: deliver, swallow or replace is the caller's choice. */
static void P5_swallow_a_signal(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = stopped_by_signal(&fixture);
    assert_ok(rein_thread_set_signal(thread, 0));
    assert_ok(rein_process_continue(fixture->process));
    assert_error(rein_process_wait(fixture->process, 20), REIN_TIMEOUT);
    end(fixture);
    assert_int_equal(count_lines(fixture, "signal "), 0);
}

/* P5: the program finds the details that it was given; those of another signal, or of none, are refused. */
static void P5_other_details(void **state)
{
    (void)state;
    struct fixture *fixture;
    char line[96];
    rein_thread *thread = stopped_by_signal(&fixture);
    struct rein_cause cause;
    union sigval value = {.sival_int = 4711};
    assert_ok(rein_thread_cause(thread, &cause));
    struct rein_signal signal = cause.signal;
    rein_cause_clear(&cause);
    siginfo_t info;
    memcpy(&info, signal.raw, sizeof info);
    info.si_value = value;
    info.si_pid = 4712;
    memcpy(signal.raw, &info, sizeof info);
    struct rein_signal other = signal;
    other.number = SIGUSR2;
    assert_error(rein_thread_set_signal_info(thread, &other), REIN_INVALID_ARGUMENT);
    assert_ok(rein_thread_set_signal_info(thread, &signal));
    assert_ok(rein_thread_cause(thread, &cause));
    memcpy(&info, cause.signal.raw, sizeof info);
    assert_int_equal(info.si_value.sival_int, 4711);
    rein_cause_clear(&cause);
    assert_ok(rein_process_continue(fixture->process));
    assert_error(rein_thread_set_signal_info(thread, &signal), REIN_BAD_STATE);
    assert_error(rein_process_wait(fixture->process, 20), REIN_TIMEOUT);
    snprintf(line, sizeof line, "signal %d code %d value 4711 pid 4712 thread 0", SIGUSR1, SI_QUEUE);
    (void)expect_said(fixture, line);
    end(fixture);
}

/* P5: another number is sent by the monitor; the same keeps its siginfo, though it was changed in between. */
static void P5_replace_a_signal(void **state)
{
    (void)state;
    struct fixture *fixture;
    char line[64];
    rein_thread *thread = stopped_by_signal(&fixture);
    assert_ok(rein_thread_set_signal(thread, SIGUSR2));
    assert_ok(rein_process_continue(fixture->process));
    assert_error(rein_process_wait(fixture->process, 20), REIN_TIMEOUT);
    snprintf(line, sizeof line, "signal %d ", SIGUSR2);
    (void)expect_said(fixture, line);
    end(fixture);
    assert_int_equal(count_lines(fixture, "signal "), 1);
    if (monitor_kind() == REIN_MONITOR_PROCESS) {
        snprintf(line, sizeof line, "pid %d thread 0", rein_monitor_id(monitor));
        assert_says(fixture->said, line);
    }

    thread = stopped_by_signal(&fixture);
    assert_ok(rein_thread_set_signal(thread, SIGUSR2));
    assert_ok(rein_thread_set_signal(thread, 0));
    assert_ok(rein_thread_set_signal(thread, SIGUSR1));
    assert_ok(rein_process_continue(fixture->process));
    assert_error(rein_process_wait(fixture->process, 20), REIN_TIMEOUT);
    snprintf(line, sizeof line, "signal %d code %d value 77 pid %d thread 0", SIGUSR1, SI_QUEUE, getpid());
    (void)expect_said(fixture, line);
    end(fixture);
    assert_int_equal(count_lines(fixture, "signal "), 1);
}

/* P5, E1: only in a signal's stop can it be exchanged. */
static void P5_set_signal_elsewhere(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    assert_error(rein_thread_set_signal(thread, SIGUSR1), REIN_BAD_STATE);
    assert_error(rein_thread_set_signal(thread, -1), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_set_signal(thread, 65), REIN_INVALID_ARGUMENT);
    assert_ok(rein_process_continue(process));
    assert_error(rein_thread_set_signal(thread, SIGUSR1), REIN_BAD_STATE);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

struct exchange {
    int from, to;
    atomic_int seen;
    atomic_int wrong;
};

static enum rein_verdict exchange_signal(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct exchange *exchange = arg;
    if (cause->kind != REIN_CAUSE_SIGNAL)
        return REIN_VERDICT_POLICY;
    atomic_fetch_add(&exchange->seen, 1);
    if (cause->signal.number == exchange->from && rein_thread_set_signal(thread, exchange->to) != 0)
        atomic_fetch_add(&exchange->wrong, 1);
    return REIN_VERDICT_GO_ON;
}

/* P5, M1: in a callback, too; what goes on unchanged is delivered, SIGTRAP included. */
static void P5_M1_in_a_callback(void **state)
{
    (void)state;
    struct exchange exchange = {.from = SIGUSR1, .to = SIGHUP};
    struct fixture *fixture = start_ready("signals_seen", NULL);
    rein_process *process = attach(fixture);
    assert_ok(rein_process_set_callback(process, exchange_signal, &exchange));
    assert_ok(rein_process_continue(process));
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGTRAP, SIGUSR1, SIGINT};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(kill(fixture->pid, numbers[i]), 0);
        for (double limit = now() + LIMIT_S; exchange.seen <= i;) {
            assert_true(now() < limit);
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        }
    }
    assert_error(rein_process_wait(process, 20), REIN_TIMEOUT);
    assert_no_event(process);
    assert_int_equal(exchange.wrong, 0);
    (void)expect_said(fixture, "signal 2 ");
    end(fixture);
    assert_int_equal(count_lines(fixture, "signal 1 "), 2);
    assert_int_equal(count_lines(fixture, "signal 12 "), 1);
    assert_int_equal(count_lines(fixture, "signal 5 "), 1);
    assert_int_equal(count_lines(fixture, "signal 2 "), 1);
    assert_int_equal(count_lines(fixture, "signal 10 "), 0);
}

/* M7: rein sends no signal: a hundred stops leave no trace, and none is shown as a signal. */
static void M7_no_spurious_stop(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "3", "1", NULL);
    rein_process *process = attach(fixture);
    for (int i = 0; i < 300; i++) {
        assert_ok(rein_process_continue(process));
        if (i % 10 == 0)
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        assert_ok(rein_process_stop(process, LIMIT_MS));
        rein_thread **threads = NULL;
        size_t count;
        assert_ok(rein_process_threads(process, &threads, &count));
        for (size_t k = 0; k < count; k++)
            assert_int_equal(cause_of(threads[k]), REIN_CAUSE_STOPPED);
        rein_thread_list_free(threads, count);
        assert_no_event(process);
    }
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, BRIEF_MS), REIN_TIMEOUT);
    end(fixture);
    assert_int_equal(count_lines(fixture, "signal "), 0);
}

/* M7: signals that race with stops are each shown once and delivered once. */
static void M7_none_lost_none_doubled(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", NULL);
    rein_process *process = attach(fixture);
    enum { COUNT = 400 };
    int sender = fork(), shown = 0;
    assert_true(sender >= 0);
    if (sender == 0) {
        for (int i = 0; i < COUNT; i++) {
            union sigval value = {.sival_int = i};
            if (sigqueue(fixture->pid, SIGRTMIN + 1, value) != 0)
                _exit(1);
            if (i % 7 == 0)
                usleep(500);
        }
        _exit(0);
    }
    for (double limit = now() + LIMIT_S; shown < COUNT && now() < limit;) {
        int result = rein_process_continue(process);
        assert_true(result == 0);
        if (rein_process_wait(process, shown % 3) == REIN_TIMEOUT)
            assert_ok(rein_process_stop(process, LIMIT_MS));
        struct rein_event event;
        while (rein_process_next_event(process, 0, &event) == 0) {
            assert_int_equal(event.cause.kind, REIN_CAUSE_SIGNAL);
            assert_int_equal(event.cause.signal.number, SIGRTMIN + 1);
            assert_int_equal((int)event.cause.signal.value, shown);
            shown++;
            rein_event_clear(&event);
        }
    }
    assert_int_equal(shown, COUNT);
    int status;
    assert_int_equal(waitpid(sender, &status, 0), sender);
    assert_int_equal(status, 0);
    end(fixture);
    const char *line = fixture->said;
    int value = 0, expected = 0;
    while ((line = strstr(line, "value "))) {
        assert_int_equal(sscanf(line, "value %d", &value), 1);
        assert_int_equal(value, expected++);
        line++;
    }
    assert_int_equal(expected, COUNT);
}

/* M6: the program's own int3 is a SIGTRAP whose pc is where the processor has left it; rein's is none. The siginfo decides. */
static void M6_own_int3(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("own_int3", "1", "3", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "after_trap")); /* a breakpoint right behind */
    for (int i = 0; i < 3; i++) {
        rein_thread *thread = run_to(process, REIN_CAUSE_SIGNAL);
        struct rein_cause cause;
        assert_word(pc_of(thread), address_of(fixture, "after_trap") - TRAP_SIZE + TRAP_PC_OFFSET);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.signal.number, SIGTRAP);
        assert_int_equal(cause.signal.code, TRAP_CODE);
        rein_cause_clear(&cause);
        assert_ok(rein_thread_set_signal(thread, SIGTRAP));
        thread = run_to(process, REIN_CAUSE_BREAKPOINT); /* after the handler has returned */
        assert_word(pc_of(thread), address_of(fixture, "after_trap"));
    }
    run_to_end(process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok own_int3"));
}

/* M6: a SIGTRAP sent by kill, at a breakpoint's address even, is not taken for a hit. */
static void M6_SIGTRAP_by_kill(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "1", "1", NULL);
    rein_process *process = attach(fixture);
    int id = said_id(fixture, "thread1");
    rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "hot"));
    run_to_stop(process);
    rein_thread *thread = thread_of(process, id);
    assert_word(pc_of(thread), address_of(fixture, "hot"));
    for (int i = 0; i < 20; i++) {
        uint64_t hits = rein_breakpoint_hits(breakpoint);
        assert_int_equal(syscall(SYS_tgkill, fixture->pid, id, SIGTRAP), 0);
        run_to_stop(process);
        bool signal_first = cause_of(thread) == REIN_CAUSE_SIGNAL;
        if (signal_first) {
            assert_int_equal(rein_breakpoint_hits(breakpoint), hits);
            assert_ok(rein_thread_set_signal(thread, SIGTRAP));
            run_to_stop(process);
        }
        assert_int_equal(cause_of(thread), REIN_CAUSE_BREAKPOINT);
        assert_word(pc_of(thread), address_of(fixture, "hot"));
        assert_int_equal(rein_breakpoint_hits(breakpoint), hits + 1);
        if (!signal_first) {
            run_to_stop(process);
            assert_int_equal(cause_of(thread), REIN_CAUSE_SIGNAL);
            assert_ok(rein_thread_set_signal(thread, SIGTRAP));
        }
    }
    end(fixture);
    assert_int_equal(count_lines(fixture, "signal 5 "), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P5_M14_every_signal), live_test(P5_swallow_a_signal),       live_test(P5_replace_a_signal),
        live_test(P5_other_details),    live_test(P5_set_signal_elsewhere),   live_test(P5_M1_in_a_callback),
        live_test(M7_no_spurious_stop), live_test(M7_none_lost_none_doubled), live_test(M6_own_int3),
        live_test(M6_SIGTRAP_by_kill),
    };
    return live_main(tests);
}
