/* C1: system calls, stopped at and changed. Programs: syscalls, step_targets, sleepers, eintr_epoll, blocking_syscall. */
#include "support.h"

#include <linux/audit.h>

#include "engine/monitor.h"
#include "os/linux/linux.h"

#if defined(__i386__)
#define SOME_ADDRESS 0x12345000
#define SYS_map SYS_mmap2
#else
#define SOME_ADDRESS 0x123456789000
#define SYS_map SYS_mmap
#endif
enum { SEEN_MAX = 100000 };

/* What a callback has seen, in order. */
struct seen {
    int id;
    enum rein_cause_kind kind;
    struct rein_syscall call;
};
struct recorder {
    rein_process *process;
    rein_word pc[2]; /* only calls made there; 0: of everywhere */
    atomic_bool hold_exit_group;
    atomic_size_t count;
    struct seen seen[SEEN_MAX];
};

/* Of calls at the places of the program syscalls, or of all. */
static struct recorder *make_recorder(const struct fixture *fixture, bool everywhere)
{
    struct recorder *recorder = calloc(1, sizeof *recorder);
    assert_non_null(recorder);
    later_free(recorder);
    recorder->process = fixture->process;
    if (!everywhere) {
        recorder->pc[0] = address_of(fixture, "after_syscall");
        recorder->pc[1] = address_of(fixture, "after_int80");
    }
    return recorder;
}

static bool is_call(const struct rein_cause *cause)
{
    return cause->kind == REIN_CAUSE_SYSCALL_ENTRY || cause->kind == REIN_CAUSE_SYSCALL_EXIT;
}

static enum rein_verdict record(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct recorder *recorder = arg;
    rein_word pc = cause->syscall.pc;
    size_t count = atomic_load(&recorder->count);
    bool there = pc == recorder->pc[0] || pc == recorder->pc[1]; /* rt_sigreturn goes back there */
    bool chosen = !is_call(cause) || !recorder->pc[0] || (there && cause->syscall.number != SYS_rt_sigreturn);
    if (chosen && count < SEEN_MAX) {
        recorder->seen[count] = (struct seen){rein_thread_id(thread), cause->kind, cause->syscall};
        atomic_store(&recorder->count, count + 1);
    }
    if (recorder->hold_exit_group && cause->kind == REIN_CAUSE_SYSCALL_ENTRY && cause->syscall.number == SYS_exit_group)
        return REIN_VERDICT_STOP_ALL;
    return REIN_VERDICT_GO_ON;
}

/* Whose children programs are that rein starts. */
static int parent_id(void)
{
    return monitor_kind() == REIN_MONITOR_PROCESS ? rein_monitor_id(monitor) : getpid();
}

static void trace_all(rein_process *process)
{
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, NULL, 0));
}

static void trace_one(rein_process *process, uint32_t number)
{
    struct rein_syscall_id id = {AUDIT_MACHINE, number};
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, &id, 1));
}

/* Begins a program of which all calls made at the two places are recorded. */
static struct fixture *spawn_recorded(const char *how, const char *second, const char *third,
                                      struct recorder **recorder)
{
    struct fixture *fixture = spawn("syscalls", how, second, third, NULL);
    *recorder = make_recorder(fixture, false);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_set_callback(fixture->process, record, *recorder));
    trace_all(fixture->process);
    return fixture;
}

/* The next of them that is about a call, in the order in which they came. */
static const struct seen *next_call(const struct recorder *recorder, size_t *at)
{
    while (*at < recorder->count && recorder->seen[*at].kind != REIN_CAUSE_SYSCALL_ENTRY &&
           recorder->seen[*at].kind != REIN_CAUSE_SYSCALL_EXIT)
        ++*at;
    if (*at >= recorder->count)
        fail_msg("only %zu events were seen", (size_t)recorder->count);
    return &recorder->seen[(*at)++];
}

struct logged { /* as the program has it */
    int64_t is_i386, number, args[6], result;
};

static bool by_registers; /* what a call is, is told by these alone: C1_older_kernels */

/* Each call of the log was shown twice: as it was asked for, and with what it gave. */
static void assert_log_was_seen(rein_process *process, const struct fixture *fixture, const struct recorder *recorder,
                                size_t at_least)
{
    struct logged logged[64];
    uint64_t count;
    assert_ok(rein_process_read(process, address_of(fixture, "syscalls_count"), &count, sizeof count, NULL));
    assert_true(count >= at_least && count <= 64);
    assert_ok(rein_process_read(process, address_of(fixture, "syscalls_log"), logged, sizeof logged, NULL));
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct seen *entry = next_call(recorder, &at), *exit = next_call(recorder, &at);
        bool is_narrow = logged[i].is_i386 || AUDIT_MACHINE == AUDIT_ARCH_I386;
        assert_int_equal(entry->kind, REIN_CAUSE_SYSCALL_ENTRY);
        assert_int_equal(exit->kind, REIN_CAUSE_SYSCALL_EXIT);
        assert_int_equal(entry->call.arch, is_narrow ? AUDIT_ARCH_I386 : AUDIT_MACHINE);
        assert_int_equal(exit->call.arch, entry->call.arch);
        assert_int_equal(entry->call.number, logged[i].number);
        assert_int_equal(exit->call.number, logged[i].number);
        assert_true(entry->call.entry_seen && exit->call.entry_seen);
        for (int k = by_registers && FIRST_IS_HIDDEN(logged[i].number) ? 1 : 0; k < 6; k++) {
            rein_word expected = (rein_word)logged[i].args[k];
            if (is_narrow)
                expected = (uint32_t)expected;
            assert_word(entry->call.args[k], expected);
            assert_word(exit->call.args[k], expected);
        }
        int64_t result = logged[i].result;
        assert_int_equal(is_narrow ? (int32_t)exit->call.result : exit->call.result, result);
        assert_int_equal(exit->call.error, result < 0 && result >= -4095 ? -result : 0);
        assert_word(entry->call.pc, recorder->pc[logged[i].is_i386]);
    }
    for (; at < recorder->count; at++)
        assert_true(recorder->seen[at].kind != REIN_CAUSE_SYSCALL_EXIT);
}

/* Runs it to its end; what it has logged of its calls was seen. */
static void run_and_compare_log(struct fixture *fixture, struct recorder *recorder)
{
    rein_process *process = fixture->process;
    recorder->hold_exit_group = true;
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_wait(process, LIMIT_MS));
    assert_log_was_seen(process, fixture, recorder, 9 + I386_CALLS);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* Of every sort of call, by both ways into the kernel: who made it, how, and what came of it. */
static void C1_every_argument_and_result(void **state)
{
    (void)state;
    struct recorder *recorder;
    struct fixture *fixture = spawn_recorded("log", NULL, NULL, &recorder);
    run_and_compare_log(fixture, recorder);
}

/* By default an entry and an exit stop the process. Only the calls that were asked for do. */
static void C1_stops_at_the_chosen_one(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("syscalls", "log", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    struct rein_cause cause;
    char text[64], expected[64];
    enum rein_policy policy;
    assert_ok(rein_process_policy(process, REIN_CAUSE_SYSCALL_ENTRY, &policy));
    assert_int_equal(policy, REIN_STOP_ALL);
    trace_one(process, SYS_getppid);

    run_to_stop(process);
    assert_state(thread, REIN_STATE_STOPPED_SYSCALL);
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_SYSCALL_ENTRY);
    rein_cause_text(&cause, text, sizeof text);
    snprintf(expected, sizeof expected, "system call %d", SYS_getppid);
    assert_string_equal(text, expected);
    assert_word(register_of(thread, CALL_REGISTER), SYS_getppid);
    assert_word(cause.syscall.pc, pc_of(thread));
    rein_cause_clear(&cause);

    run_to_stop(process);
    assert_state(thread, REIN_STATE_STOPPED_SYSCALL);
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_SYSCALL_EXIT);
    assert_int_equal(cause.syscall.result, parent_id());
    snprintf(expected, sizeof expected, "system call %d returned %d", SYS_getppid, parent_id());
    rein_cause_text(&cause, text, sizeof text);
    assert_string_equal(text, expected);
    rein_cause_clear(&cause);

    assert_ok(rein_process_trace_syscalls(process, 0, NULL, 0)); /* from the next on there are none */
    run_to_stop(process);
    assert_state(thread, REIN_STATE_STOPPED_EXITING);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* Entries alone, exits alone, by policy: reported while the program runs on. */
static void C1_one_side_reported(void **state)
{
    (void)state;
    for (unsigned flags = REIN_SYSCALL_ENTRIES; flags <= REIN_SYSCALL_EXITS; flags++) {
        struct fixture *fixture = spawn("syscalls", "threads", "1", "50", NULL);
        rein_process *process = fixture->process;
        const struct rein_syscall_id id[] = {{AUDIT_MACHINE, SYS_setsid}, {AUDIT_MACHINE, SYS_getppid}};
        struct rein_event event;
        int entries = 0, exits = 0, result;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_ENTRY, REIN_REPORT));
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_EXIT, REIN_REPORT));
        assert_ok(rein_process_trace_syscalls(process, flags, id, 2));
        assert_ok(rein_process_continue(process));
        while ((result = rein_process_next_event(process, LIMIT_MS, &event)) == 0) {
            assert_int_equal(event.cause.syscall.number, SYS_getppid);
            assert_true(event.cause.syscall.entry_seen);
            entries += event.cause.kind == REIN_CAUSE_SYSCALL_ENTRY;
            exits += event.cause.kind == REIN_CAUSE_SYSCALL_EXIT;
            rein_event_clear(&event);
        }
        assert_error(result, REIN_EXITED);
        assert_int_equal(entries, flags == REIN_SYSCALL_ENTRIES ? 51 : 0); /* one is the C library's */
        assert_int_equal(exits, flags == REIN_SYSCALL_EXITS ? 51 : 0);
        assert_ends_traced(fixture, 0);
    }
}

/* ---- Changing ---- */

struct changes {
    rein_word pc[2];
    int seen[12]; /* how often each of the log's calls was entered: they differ by number and way */
    int failures;
    int first_number;
};

/* Every kind of change, one for each call of the log. */
static enum rein_verdict change(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct changes *changes = arg;
    struct rein_syscall call = cause->syscall;
    int *failures = &changes->failures;
    if (!is_call(cause) || (call.pc != changes->pc[0] && call.pc != changes->pc[1]))
        return REIN_VERDICT_GO_ON;
    bool entry = cause->kind == REIN_CAUSE_SYSCALL_ENTRY, is_i386 = call.pc == changes->pc[1];
    if (!is_i386 && call.number == SYS_read && entry) /* fails in another way, and is not made */
        *failures += rein_thread_skip_syscall(thread, -EPERM) != 0;
    if (!is_i386 && call.number == SYS_map && entry)
        *failures += rein_thread_skip_syscall(thread, SOME_ADDRESS) != 0;
    if (!is_i386 && call.number == SYS_getppid && !entry)
        *failures += rein_thread_set_syscall_result(thread, 77) != 0;
    if (!is_i386 && call.number == SYS_lseek && entry) { /* another call */
        call.number = SYS_getpgid;
        call.args[0] = 0;
        *failures += rein_thread_set_syscall(thread, &call) != 0;
    }
    if (!is_i386 && call.number == -1 && entry) { /* made after all */
        call.number = SYS_getuid;
        *failures += rein_thread_set_syscall(thread, &call) != 0;
    }
    if (is_i386 && call.number == 20 && entry)
        *failures += rein_thread_skip_syscall(thread, 43) != 0;
    if (is_i386 && call.number == 63 && !entry)
        *failures += rein_thread_set_syscall_result(thread, -ESRCH) != 0;
    if (!is_i386 && call.number == SYS_getpgid && entry && (int32_t)call.args[0] == -5) { /* other arguments, twice */
        *failures += rein_thread_skip_syscall(thread, 5) != 0;
        call.args[0] = 0;
        *failures += rein_thread_set_syscall(thread, &call) != 0;
    }
    /* What does not fit the stage changes nothing. */
    if (entry)
        *failures += rein_thread_set_syscall_result(thread, 1) != REIN_BAD_STATE;
    else
        *failures += rein_thread_skip_syscall(thread, 1) != REIN_BAD_STATE ||
                     rein_thread_set_syscall(thread, &call) != REIN_BAD_STATE;
    return REIN_VERDICT_GO_ON;
}

static enum rein_verdict change_and_hold(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    if (cause->kind == REIN_CAUSE_SYSCALL_ENTRY && cause->syscall.number == SYS_exit_group)
        return REIN_VERDICT_STOP_ALL;
    return change(thread, cause, arg);
}

static void C1_changed_in_a_callback(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("syscalls", "log", NULL);
    rein_process *process = fixture->process;
    struct changes changes = {.pc = {address_of(fixture, "after_syscall")}};
    if (I386_CALLS)
        changes.pc[1] = address_of(fixture, "after_int80");
    struct logged logged[12];
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_callback(process, change_and_hold, &changes));
    trace_all(process);
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_wait(process, LIMIT_MS));
    assert_ok(rein_process_read(process, address_of(fixture, "syscalls_log"), logged, sizeof logged, NULL));
    assert_int_equal(changes.failures, 0);
    assert_int_equal(logged[0].result, fixture->pid);
    assert_int_equal(logged[1].result, -EPERM);
    assert_int_equal(logged[2].result, SOME_ADDRESS);
    assert_int_equal(logged[3].result, 77);
    assert_int_equal(logged[4].result, getpgid(fixture->pid));
    assert_int_equal(logged[5].result, -ENOSYS);
    assert_int_equal(logged[6].result, getuid());
    if (I386_CALLS) {
        assert_int_equal(logged[7].result, 43);
        assert_int_equal(logged[8].result, -ESRCH);
    }
    assert_int_equal(logged[7 + I386_CALLS].result, getpgid(fixture->pid));
    assert_int_equal(logged[8 + I386_CALLS].result, fixture->pid);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* By hand, with the thread stopped; and what is refused. */
static void C1_changed_when_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("syscalls", "log", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    struct rein_syscall call = {.number = SYS_getpid};
    struct rein_cause cause;
    assert_error_says(rein_thread_skip_syscall(thread, 0), REIN_BAD_STATE, "not stopped at the entry");
    assert_error_says(rein_thread_set_syscall_result(thread, 0), REIN_BAD_STATE, "not stopped at the exit");
    assert_error(rein_thread_set_syscall(thread, &call), REIN_BAD_STATE);
    assert_error(rein_thread_set_syscall(thread, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_set_syscall(NULL, &call), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_skip_syscall(NULL, 0), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_set_syscall_result(NULL, 0), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_trace_syscalls(NULL, 0, NULL, 0), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_trace_syscalls(process, 4, NULL, 0), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_trace_syscalls(process, 1, NULL, 1), REIN_INVALID_ARGUMENT);
    trace_one(process, SYS_getppid);

    run_to_stop(process);
    assert_error(rein_thread_set_syscall_result(thread, 0), REIN_BAD_STATE);
    assert_ok(rein_thread_skip_syscall(thread, 1000));
    run_to_stop(process);
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_SYSCALL_EXIT);
    assert_int_equal(cause.syscall.number, SYS_getppid);
    assert_int_equal(cause.syscall.result, 1000);
    assert_error(rein_thread_skip_syscall(thread, 0), REIN_BAD_STATE);
    assert_ok(rein_thread_set_syscall_result(thread, -EIO));
    assert_ok(rein_thread_cause(thread, &cause));
    assert_int_equal(cause.syscall.error, EIO);
    assert_word(register_of(thread, RESULT_REGISTER),
                AUDIT_MACHINE == AUDIT_ARCH_I386 ? (uint32_t)-EIO : (rein_word)-EIO);

    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_thread_skip_syscall(thread, 0), REIN_EXITED);
    assert_error(rein_process_trace_syscalls(process, 0, NULL, 0), REIN_EXITED);
}

/* Only the call sees other arguments: the program's registers are its own again behind it, upper halves included. */
static void C1_registers_are_given_back(void **state)
{
    (void)state;
    static const char *const names[] = {ARGUMENTS_AND_OTHERS};
    enum { COUNT = sizeof names / sizeof *names };
    const struct rein_syscall_id ids[] = {{AUDIT_MACHINE, SYS_getpgid}, {AUDIT_ARCH_I386, 20}};
    struct fixture *fixture = spawn("syscalls", "log", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, ids, 2));
    for (int is_i386 = I386_CALLS != 0; is_i386 >= 0; is_i386--) {
        struct rein_cause cause;
        rein_word before[COUNT];
        run_to_stop(process);
        if (is_i386 && AUDIT_MACHINE != AUDIT_ARCH_I386)
            set_register_of(thread, "rbp", 0x1234567800000006);
        for (int i = 0; i < COUNT; i++)
            before[i] = register_of(thread, names[i]);
        assert_ok(rein_thread_cause(thread, &cause));
        cause.syscall.number = is_i386 ? 132 : SYS_getpgid; /* getpgid */
        for (rein_word i = 0; i < 6; i++)
            cause.syscall.args[i] = i;
        assert_ok(rein_thread_set_syscall(thread, &cause.syscall));
        assert_word(
            register_of(thread, is_i386 || AUDIT_MACHINE == AUDIT_ARCH_I386 ? "rcx" : SECOND_ARGUMENT) & UINT32_MAX, 1);
        run_to_stop(process);
        assert_int_equal(cause_of(thread), REIN_CAUSE_SYSCALL_EXIT);
        assert_word(register_of(thread, RESULT_REGISTER), (rein_word)getpgid(fixture->pid));
        for (int i = 0; i < COUNT; i++)
            assert_word(register_of(thread, names[i]), before[i]);
    }
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* ---- Interrupted ---- */

static const struct seen *await_any(const struct recorder *recorder, size_t *at)
{
    for (double limit = now() + LIMIT_S; *at >= recorder->count; sleep_ms(1)) {
        if (now() > limit)
            fail_msg("event %zu is still to come", *at);
        rein_process_wait(recorder->process, 0); /* a lender must be lent */
    }
    return &recorder->seen[(*at)++];
}

static const struct seen *await_seen(const struct recorder *recorder, size_t *at, enum rein_cause_kind kind)
{
    const struct seen *seen = await_any(recorder, at);
    assert_int_equal(seen->kind, kind);
    return seen;
}

static const struct seen *await_call(const struct recorder *recorder, size_t *at, enum rein_cause_kind kind,
                                     int64_t number, int error)
{
    const struct seen *seen = await_seen(recorder, at, kind);
    assert_int_equal(seen->call.number, number);
    assert_int_equal(seen->call.error, error);
    return seen;
}

/* A handler's signal ends a read, or has it made again; a stop in the middle has a call with a limit made again by another
 * call, restart_syscall. */
static void C1_interrupted(void **state)
{
    (void)state;
    enum { ERESTARTSYS_ = 512 };
    struct recorder *recorder;
    struct fixture *fixture = spawn_recorded("interrupted", NULL, NULL, &recorder);
    rein_process *process = fixture->process;
    size_t at = 0;
    assert_ok(rein_process_continue(process));

    await_call(recorder, &at, REIN_CAUSE_SYSCALL_ENTRY, SYS_read, 0);
    await_state(fixture->pid, 0, 'S');
    assert_int_equal(kill(fixture->pid, SIGUSR1), 0);
    await_call(recorder, &at, REIN_CAUSE_SYSCALL_EXIT, SYS_read, ERESTARTSYS_);
    await_seen(recorder, &at, REIN_CAUSE_SIGNAL);

    await_call(recorder, &at, REIN_CAUSE_SYSCALL_ENTRY, SYS_read, 0);
    await_state(fixture->pid, 0, 'S');
    assert_int_equal(kill(fixture->pid, SIGUSR2), 0);
    await_call(recorder, &at, REIN_CAUSE_SYSCALL_EXIT, SYS_read, ERESTARTSYS_);
    await_seen(recorder, &at, REIN_CAUSE_SIGNAL);
    await_call(recorder, &at, REIN_CAUSE_SYSCALL_ENTRY, SYS_read, 0);
    await_state(fixture->pid, 0, 'S');
    tell(fixture);
    assert_int_equal(await_call(recorder, &at, REIN_CAUSE_SYSCALL_EXIT, SYS_read, 0)->call.result, 1);

    await_call(recorder, &at, REIN_CAUSE_SYSCALL_ENTRY, SYS_poll, 0);
    for (int i = 0; i < 3; i++) {
        await_state(fixture->pid, 0, 'S');
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_continue(process));
        await_call(recorder, &at, REIN_CAUSE_SYSCALL_EXIT, i == 0 ? SYS_poll : POLL_GOES_ON, POLL_INTERRUPTED);
        await_call(recorder, &at, REIN_CAUSE_SYSCALL_ENTRY, POLL_GOES_ON, 0);
    }
    await_state(fixture->pid, 0, 'S');
    tell(fixture);
    assert_int_equal(await_call(recorder, &at, REIN_CAUSE_SYSCALL_EXIT, POLL_GOES_ON, 0)->call.result, 1);
    assert_ends_traced(fixture, 0);
}

/* The calls that give EINTR for a stop alone do not when they are traced, either. */
static void C1_stops_unnoticed(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("eintr_epoll", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    trace_all(process);
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < 50; i++) {
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_continue(process));
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Group-stops come and go between a call's stops. */
static void C1_group_stop(void **state)
{
    (void)state;
    struct recorder *recorder;
    struct fixture *fixture = spawn_recorded("read", "1", NULL, &recorder);
    rein_process *process = fixture->process;
    size_t at = 0;
    assert_ok(rein_process_continue(process));
    await_seen(recorder, &at, REIN_CAUSE_THREAD_CREATE);
    int id = await_call(recorder, &at, REIN_CAUSE_SYSCALL_ENTRY, SYS_read, 0)->id;
    expect_said(fixture, "ready");
    for (int i = 0; i < 5; i++) {
        await_state(fixture->pid, id, 'S');
        await_state(fixture->pid, 0, 'S');
        assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
        /* Whoever gets the signal is interrupted by it, and so is the other by the stop. */
        size_t signals = 0, exits = 0, stops = 0;
        while (!signals || !exits || !stops) {
            const struct seen *seen = await_any(recorder, &at);
            signals += seen->kind == REIN_CAUSE_SIGNAL;
            exits += seen->kind == REIN_CAUSE_SYSCALL_EXIT && seen->call.error == 512;
            stops += seen->kind == REIN_CAUSE_GROUP_STOP;
        }
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        bool again = false;
        while (!again) {
            const struct seen *seen = await_any(recorder, &at);
            again = seen->kind == REIN_CAUSE_SYSCALL_ENTRY && seen->call.number == SYS_read;
        }
    }
    tell(fixture);
    assert_ends_traced(fixture, 0);
}

/* ---- Calls that make, change and end ---- */

/* A child is not traced; a thread is from its first own call; the parent's call returns after the child is told. */
static void C1_births(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("syscalls", "births", NULL);
    rein_process *process = fixture->process;
    struct recorder *recorder = make_recorder(fixture, true);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_callback(process, record, recorder));
    trace_all(process);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    int asked = 0, births = 0, ended = 0;
    struct seen last[2] = {{.id = 0}}; /* of the leader, and of the thread: each entry has its exit */
    for (size_t i = 0; i < recorder->count; i++) {
        const struct seen *seen = &recorder->seen[i];
        struct seen *before = &last[seen->id != fixture->pid];
        switch (seen->kind) {
        case REIN_CAUSE_SYSCALL_ENTRY:
            if (before->kind == REIN_CAUSE_SYSCALL_ENTRY)
                fail_msg("call %d is entered in call %d", (int)seen->call.number, (int)before->call.number);
            asked += seen->call.number == SYS_getppid;
            break;
        case REIN_CAUSE_SYSCALL_EXIT:
            if (!before->id && seen->call.number == SYS_execve) { /* rein_spawn's */
                assert_false(seen->call.entry_seen);
                break;
            }
            assert_int_equal(before->kind, REIN_CAUSE_SYSCALL_ENTRY);
            assert_int_equal(before->call.number, seen->call.number);
            assert_memory_equal(before->call.args, seen->call.args, sizeof seen->call.args);
            assert_true(seen->call.entry_seen);
            break;
        case REIN_CAUSE_FORK:
        case REIN_CAUSE_VFORK:
        case REIN_CAUSE_THREAD_CREATE:
            births++;
            assert_int_equal(before->kind, REIN_CAUSE_SYSCALL_ENTRY);
            continue;
        case REIN_CAUSE_SIGNAL: /* SIGCHLD */
        case REIN_CAUSE_PROCESS_EXIT:
            continue;
        case REIN_CAUSE_VFORK_DONE:
            assert_int_equal(before->kind, REIN_CAUSE_SYSCALL_ENTRY);
            continue;
        case REIN_CAUSE_THREAD_EXIT:
            ended++;
            assert_int_equal(before->kind, REIN_CAUSE_SYSCALL_ENTRY);
            assert_true(before->call.number == SYS_exit || before->call.number == SYS_exit_group);
            continue;
        default:
            fail_msg("%s came", rein_cause_name(seen->kind));
        }
        *before = *seen;
    }
    assert_int_equal(asked, 2); /* the thread's, by both ways */
    assert_int_equal(births, 3);
    assert_int_equal(ended, 2);
}

static const struct seen *next_of(const struct recorder *recorder, size_t *at, int id, int or_id)
{
    while (*at < recorder->count && recorder->seen[*at].id != id && recorder->seen[*at].id != or_id)
        ++*at;
    assert_true(*at < recorder->count);
    return &recorder->seen[(*at)++];
}

static void check_exec(const char *how)
{
    struct recorder *recorder;
    struct fixture *fixture = spawn_recorded(how, NULL, NULL, &recorder);
    recorder->pc[0] = recorder->pc[1] = 0;
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_wait(fixture->process, LIMIT_MS), REIN_EXITED);
    size_t at = 1; /* the first is the exit of rein_spawn's */
    while (at < recorder->count && recorder->seen[at].call.number != SYS_execve)
        at++;
    assert_true(at < recorder->count);
    int caller = recorder->seen[at].id;
    assert_int_equal(caller != fixture->pid, strcmp(how, "exec") != 0);
    const struct seen *seen = next_of(recorder, &at, caller, 0);
    assert_int_equal(seen->kind, REIN_CAUSE_SYSCALL_ENTRY);
    seen = next_of(recorder, &at, caller, 0);
    assert_int_equal(seen->kind, REIN_CAUSE_SYSCALL_EXIT);
    assert_int_equal(seen->call.error, ENOENT);
    const struct seen *entry = next_of(recorder, &at, caller, 0);
    assert_int_equal(entry->kind, REIN_CAUSE_SYSCALL_ENTRY);
    assert_int_equal(entry->call.number, SYS_execve);
    while ((seen = next_of(recorder, &at, caller, fixture->pid))->kind != REIN_CAUSE_EXEC)
        assert_int_not_equal(seen->id, caller); /* the leader's, to its end */
    seen = next_of(recorder, &at, fixture->pid, 0);
    assert_int_equal(seen->kind, REIN_CAUSE_SYSCALL_EXIT);
    assert_int_equal(seen->call.number, SYS_execve);
    assert_int_equal(seen->call.result, 0);
    assert_memory_equal(seen->call.args, entry->call.args, sizeof entry->call.args);
    int asked = 0;
    for (; at < recorder->count; at++)
        asked += recorder->seen[at].kind == REIN_CAUSE_SYSCALL_ENTRY && recorder->seen[at].call.number == SYS_getppid;
    assert_int_equal(asked, 1);
}

static void C1_exec(void **state)
{
    (void)state;
    check_exec("exec");
    check_exec("exec-thread");
}

/* The handler returns by a call whose result is what it puts into the register. */
static void C1_sigreturn(void **state)
{
    (void)state;
    struct recorder *recorder;
    struct fixture *fixture = spawn_recorded("sigreturn", NULL, NULL, &recorder);
    rein_word at = recorder->pc[0];
    recorder->pc[0] = recorder->pc[1] = 0;
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_wait(fixture->process, LIMIT_MS), REIN_EXITED);
    size_t i = 0;
    while (i < recorder->count && recorder->seen[i].call.number != SYS_tgkill)
        i++;
    const struct seen *seen = &recorder->seen[i];
    assert_true(recorder->count - i > 5);
    assert_word(seen[0].call.pc, at);
    assert_int_equal(seen[1].kind, REIN_CAUSE_SYSCALL_EXIT);
    assert_int_equal(seen[2].kind, REIN_CAUSE_SIGNAL);
    assert_int_equal(seen[3].kind, REIN_CAUSE_SYSCALL_ENTRY);
    assert_int_equal(seen[3].call.number, SYS_rt_sigreturn);
    assert_int_equal(seen[4].kind, REIN_CAUSE_SYSCALL_EXIT);
    assert_int_equal(seen[4].call.number, SYS_rt_sigreturn);
    assert_int_equal(seen[4].call.result, 0); /* tgkill's */
    assert_word(seen[4].call.pc, at);         /* where it goes back to */
}

/* ---- Many threads, breakpoints, steps ---- */

/* Nobody's calls are mixed up with another's, and none is missed. */
static void C1_many_threads(void **state)
{
    (void)state;
    enum { THREADS = 16, ROUNDS = 200 };
    struct recorder *recorder;
    struct fixture *fixture = spawn_recorded("threads", "16", "200", &recorder);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_wait(fixture->process, LIMIT_MS), REIN_EXITED);
    struct {
        int id, entries, exits;
    } threads[THREADS + 1] = {{0}};
    for (size_t i = 0; i < recorder->count; i++) {
        const struct seen *seen = &recorder->seen[i];
        if (seen->kind != REIN_CAUSE_SYSCALL_ENTRY && seen->kind != REIN_CAUSE_SYSCALL_EXIT)
            continue;
        size_t k = 0;
        while (k < THREADS && threads[k].id && threads[k].id != seen->id)
            k++;
        threads[k].id = seen->id;
        assert_int_equal(seen->call.number, SYS_getppid);
        if (seen->kind == REIN_CAUSE_SYSCALL_ENTRY) {
            assert_int_equal(threads[k].entries++, threads[k].exits);
        } else {
            assert_int_equal(++threads[k].exits, threads[k].entries);
            assert_int_equal(seen->call.result, parent_id());
        }
    }
    for (size_t k = 0; k < THREADS; k++)
        assert_int_equal(threads[k].exits, ROUNDS);
    assert_int_equal(threads[THREADS].id, 0);
}

/* A breakpoint on the instruction, and one behind it: as many hits as calls, each between the right events. */
static void C1_with_breakpoints(void **state)
{
    (void)state;
    struct recorder *recorder;
    struct fixture *fixture = spawn_recorded("threads", "4", "100", &recorder);
    rein_breakpoint *on = count_at(fixture->process, address_of(fixture, "syscall_insn"));
    rein_breakpoint *behind = count_at(fixture->process, address_of(fixture, "after_syscall"));
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_wait(fixture->process, LIMIT_MS), REIN_EXITED);
    size_t entries = 0, exits = 0;
    for (size_t i = 0; i < recorder->count; i++) {
        entries += recorder->seen[i].kind == REIN_CAUSE_SYSCALL_ENTRY;
        exits += recorder->seen[i].kind == REIN_CAUSE_SYSCALL_EXIT;
    }
    assert_int_equal(entries, 400);
    assert_int_equal(exits, 400);
    assert_int_equal(rein_breakpoint_hits(on), 400);
    assert_int_equal(rein_breakpoint_hits(behind), 400);
}

/* The blocked are interrupted whenever another passes a breakpoint; each call is made again, and hit once. */
static void C1_with_breakpoints_blocking(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("blocking_syscall", "4", "20", NULL);
    struct recorder *recorder = make_recorder(fixture, true);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    recorder->pc[0] = address_of(fixture, "after_blocking_syscall");
    recorder->pc[1] = recorder->pc[0];
    assert_ok(rein_process_set_callback(process, record, recorder));
    trace_one(process, SYS_read);
    rein_breakpoint *on = count_at(process, address_of(fixture, "blocking_syscall_insn"));
    rein_breakpoint *hot = count_at(process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_int_equal(rein_breakpoint_hits(on), said_count(fixture, "blocking_syscall_insn"));
    assert_int_equal(rein_breakpoint_hits(hot), said_count(fixture, "hot"));
    size_t entries = 0, done = 0, again = 0;
    for (size_t i = 0; i < recorder->count; i++) {
        const struct seen *seen = &recorder->seen[i];
        entries += seen->kind == REIN_CAUSE_SYSCALL_ENTRY;
        done += seen->kind == REIN_CAUSE_SYSCALL_EXIT && seen->call.error == 0;
        again += seen->kind == REIN_CAUSE_SYSCALL_EXIT && seen->call.error == 512;
    }
    assert_int_equal(done, 80);
    assert_int_equal(entries, done + again);
}

/* A step over a call that is traced ends at its entry, the next one at its exit; one that goes on ends behind it. */
static void C1_steps(void **state)
{
    (void)state;
    for (int goes_on = 0; goes_on < 2; goes_on++) {
        struct fixture *fixture = spawn("syscalls", "log", NULL);
        rein_process *process = fixture->process;
        rein_thread *thread = first_thread(process);
        struct recorder *recorder = make_recorder(fixture, false);
        rein_word insn = address_of(fixture, "syscall_insn"), after = address_of(fixture, "after_syscall");
        rein_breakpoint *at = add_breakpoint(process, insn), *behind = add_breakpoint(process, after);
        trace_one(process, SYS_getpid);
        run_to_stop(process); /* the first call of the log is this */
        assert_int_equal(cause_of(thread), REIN_CAUSE_BREAKPOINT);
        assert_word(pc_of(thread), insn);
        if (goes_on) {
            set_policy(process, REIN_IGNORE);
            assert_ok(rein_process_set_callback(process, record, recorder));
        }
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        if (!goes_on) {
            assert_int_equal(cause_of(thread), REIN_CAUSE_SYSCALL_ENTRY);
            assert_int_equal(rein_breakpoint_hits(behind), 0);
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
            assert_int_equal(cause_of(thread), REIN_CAUSE_SYSCALL_EXIT);
            assert_word(pc_of(thread), after);
            assert_int_equal(rein_breakpoint_hits(behind), 0);
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS)); /* the instruction behind it */
            assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
        } else {
            assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
            assert_word(pc_of(thread), after);
            size_t seen = 0;
            assert_int_equal(next_call(recorder, &seen)->kind, REIN_CAUSE_SYSCALL_ENTRY);
            assert_int_equal(next_call(recorder, &seen)->kind, REIN_CAUSE_SYSCALL_EXIT);
        }
        assert_int_equal(rein_breakpoint_hits(at), 1);
        assert_int_equal(rein_breakpoint_hits(behind), 1);
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_callback(process, NULL, NULL));
        assert_ok(rein_process_continue(process));
        assert_ends_traced(fixture, 0);
        assert_int_equal(rein_breakpoint_hits(at), rein_breakpoint_hits(behind));
    }
}

/* Steps all the way, through calls that are traced and others. */
static void C1_steps_through(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("syscalls", "log", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    struct recorder *recorder = make_recorder(fixture, false);
    rein_word insn = address_of(fixture, "syscall_insn");
    add_breakpoint(process, insn);
    run_to_stop(process);
    assert_ok(rein_process_remove_breakpoint(process, insn, 0));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_callback(process, record, recorder));
    trace_all(process);
    for (int i = 0; i < 400; i++)
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    run_and_compare_log(fixture, recorder);
}

/* ---- Attached and let go in the middle ---- */

/* Tracing begins while threads are blocked in calls: these are interrupted, and seen when they are made again. */
static void C1_begins_in_the_middle(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("syscalls", "read", "4", NULL);
    rein_process *process = attach_running(fixture);
    struct recorder *recorder = make_recorder(fixture, false);
    size_t at = 0;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_callback(process, record, recorder));
    trace_one(process, SYS_read);
    for (int i = 0; i < 4; i++)
        await_call(recorder, &at, REIN_CAUSE_SYSCALL_ENTRY, SYS_read, 0);
    tell(fixture);
    assert_int_equal(await_call(recorder, &at, REIN_CAUSE_SYSCALL_EXIT, SYS_read, 0)->call.result, 1);
    await_seen(recorder, &at, REIN_CAUSE_THREAD_EXIT);
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    for (int i = 0; i < 3; i++)
        tell(fixture);
    assert_ends(fixture, 0);
}

/* Who is let go at an entry makes its call, at an exit has its result, and in the middle goes on waiting. */
static void C1_let_go_anywhere(void **state)
{
    (void)state;
    for (int exits = 0; exits < 2; exits++) {
        for (int closes = 0; closes < 2; closes++) {
            rein_monitor *own;
            rein_process *process;
            struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
            options.kind = monitor_kind();
            struct rein_syscall_id id = {AUDIT_MACHINE, SYS_getppid};
            struct fixture *fixture = start_ready("syscalls", "loop", "4", NULL);
            assert_ok(rein_monitor_create(&options, &own));
            assert_ok(rein_attach(own, fixture->pid, NULL, &process));
            for (int i = 0; i < 25; i++) { /* stopped anywhere */
                assert_ok(
                    rein_process_trace_syscalls(process, exits ? REIN_SYSCALL_EXITS : REIN_SYSCALL_ENTRIES, &id, 1));
                assert_ok(rein_process_continue(process));
                assert_ok(rein_process_wait(process, LIMIT_MS));
            }
            if (!closes)
                assert_ok(rein_process_detach(process, 0));
            assert_ok(rein_monitor_close(own));
            rein_process_unref(process);
            assert_free(fixture->pid);
            tell(fixture);
            assert_ends(fixture, 0);
        }
    }
}

/* Killed at an entry, and at an exit. */
static void C1_killed(void **state)
{
    (void)state;
    for (int exits = 0; exits < 2; exits++) {
        struct fixture *fixture = spawn("syscalls", "loop", "4", NULL);
        struct rein_syscall_id id = {AUDIT_MACHINE, SYS_getppid};
        rein_process *process = fixture->process;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_ENTRY, REIN_STOP_ALL));
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_EXIT, REIN_STOP_ALL));
        assert_ok(rein_process_trace_syscalls(process, exits ? REIN_SYSCALL_EXITS : REIN_SYSCALL_ENTRIES, &id, 1));
        for (int i = 0; i < 20; i++)
            run_to_stop(process);
        assert_ok(rein_process_kill(process));
    }
}

/* ---- Kernels before 5.3 ---- */

static atomic_size_t compared, differing;

/* What the kernel tells, against what the registers tell. */
static int get_both(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call)
{
    enum os_syscall_stage guessed_stage = OS_SYSCALL_ENTRY;
    struct rein_syscall guessed = {.arch = 0};
    int result = os_backend.get_syscall(id, in_call, stage, call);
    if (result)
        return result;
    size_t first = FIRST_IS_HIDDEN(call->number) ? 1 : 0;
    bool same = !linux_guess_syscall(id, in_call, &guessed_stage, &guessed) && guessed_stage == *stage &&
                guessed.arch == call->arch && guessed.number == call->number && guessed.pc == call->pc &&
                guessed.error == call->error && guessed.result == call->result &&
                !memcmp(guessed.args + first, call->args + first, sizeof call->args - first * sizeof *call->args);
    atomic_fetch_add(&compared, 1);
    atomic_fetch_add(&differing, !same);
    return 0;
}

static void C1_older_kernels(void **state)
{
    (void)state;
    static const char *const how[] = {"log", "births", "exec", "sigreturn", "threads"};
    static struct os_backend both;
    both = os_backend;
    both.get_syscall = get_both;
    for (int alone = 0; alone < 2; alone++) {
        by_registers = alone;
        if (alone)
            both.get_syscall = linux_guess_syscall; /* and it alone is enough to go by */
        for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
            rein_monitor *own;
            struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
            options.kind = monitor_kind();
            assert_ok(monitor_create_with(&both, &options, false, &own));
            char *const argv[] = {(char *)"syscalls", (char *)how[i], (char *)"3", (char *)"30", NULL};
            struct fixture *fixture = spawn_with(own, NULL, "syscalls", argv);
            struct recorder *recorder = make_recorder(fixture, false);
            rein_process *process = fixture->process;
            set_policy(process, REIN_IGNORE);
            assert_ok(rein_process_set_callback(process, record, recorder));
            trace_all(process);
            recorder->hold_exit_group = i == 0;
            assert_ok(rein_process_continue(process));
            if (i == 0) {
                assert_ok(rein_process_wait(process, LIMIT_MS));
                assert_log_was_seen(process, fixture, recorder, 9 + I386_CALLS);
                assert_ok(rein_process_continue(process));
            }
            assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
            read_to_end(fixture);
            assert_non_null(has_said(fixture, "ok syscalls"));
            assert_ok(rein_monitor_close(own));
        }
    }
    assert_true(compared > 300);
    assert_int_equal(differing, 0);
    by_registers = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(C1_every_argument_and_result),
        live_test(C1_stops_at_the_chosen_one),
        live_test(C1_one_side_reported),
        live_test(C1_changed_in_a_callback),
        live_test(C1_changed_when_stopped),
        live_test(C1_registers_are_given_back),
        live_test(C1_interrupted),
        live_test(C1_stops_unnoticed),
        live_test(C1_group_stop),
        live_test(C1_births),
        live_test(C1_exec),
        live_test(C1_sigreturn),
        live_test(C1_many_threads),
        live_test(C1_with_breakpoints),
        live_test(C1_with_breakpoints_blocking),
        live_test(C1_steps),
        live_test(C1_steps_through),
        live_test(C1_begins_in_the_middle),
        live_test(C1_let_go_anywhere),
        live_test(C1_killed),
        live_test(C1_older_kernels),
    };
    return live_main(tests);
}
