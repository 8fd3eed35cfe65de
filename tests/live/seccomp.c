/* C1: system calls chosen by a filter in the kernel. Programs: syscalls, stepped. */
#include "support.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "rein/seccomp.h"

struct counts {
    atomic_int entries, exits, others, not_paired;
    atomic_int skips; /* getppid is not made, and gives 42 */
    int in[4096];     /* by id, modulo: who is in a call */
};

static const struct rein_syscall_id getppid_id = {AUDIT_MACHINE, SYS_getppid};

static enum rein_verdict count_calls(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct counts *counts = arg;
    int *in = &counts->in[rein_thread_id(thread) % 4096];
    if (cause->kind == REIN_CAUSE_SYSCALL_ENTRY) {
        atomic_fetch_add(cause->syscall.number == SYS_getppid ? &counts->entries : &counts->others, 1);
        atomic_fetch_add(&counts->not_paired, (*in)++ != 0);
        if (counts->skips)
            rein_thread_skip_syscall(thread, 42);
    } else if (cause->kind == REIN_CAUSE_SYSCALL_EXIT) {
        atomic_fetch_add(cause->syscall.number == SYS_getppid ? &counts->exits : &counts->others, 1);
        atomic_fetch_add(&counts->not_paired, --(*in) != 0);
    }
    return REIN_VERDICT_GO_ON;
}

static struct fixture *spawn_program_filtered(rein_monitor *on, const struct rein_syscall_id *ids, size_t count,
                                              char *const argv[])
{
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    void *filter;
    assert_int_equal(rein_seccomp_filter(ids, count, &filter, &options.filter_count), 0);
    options.filter = filter;
    struct fixture *fixture = spawn_with(on, &options, argv[0], argv);
    rein_seccomp_filter_free(filter);
    set_policy(fixture->process, REIN_IGNORE);
    return fixture;
}

static struct fixture *spawn_filtered_on(rein_monitor *on, const struct rein_syscall_id *ids, size_t count,
                                         const char *how, const char *second, const char *third)
{
    char *const argv[] = {(char *)"syscalls", (char *)how, (char *)second, (char *)third, NULL};
    return spawn_program_filtered(on, ids, count, argv);
}

static struct fixture *spawn_filtered(const char *how, const char *second, const char *third, struct counts *counts)
{
    struct fixture *fixture = spawn_filtered_on(monitor, &getppid_id, 1, how, second, third);
    assert_ok(rein_process_set_callback(fixture->process, count_calls, counts));
    assert_ok(rein_process_trace_syscalls(fixture->process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, NULL, 0));
    return fixture;
}

static void end_well(struct fixture *fixture)
{
    assert_ends_traced(fixture, 0);
    assert_error(rein_process_wait(fixture->process, LIMIT_MS), REIN_EXITED);
}

/* All are asked for; the filter stops at one. Each has its exit. */
static void C1_only_what_the_filter_stops(void **state)
{
    (void)state;
    static struct counts counts;
    struct fixture *fixture = spawn_filtered("threads", "4", "100", &counts);
    assert_ok(rein_process_continue(fixture->process));
    end_well(fixture);
    assert_int_equal(counts.entries, 404); /* each thread's, and the C library's for it */
    assert_int_equal(counts.exits, 404);
    assert_int_equal(counts.others, 0);
    assert_int_equal(counts.not_paired, 0);
}

/* Entries alone; and what the filter stops, but nobody has asked for, is as if it were let pass. */
static void C1_less_than_the_filter_stops(void **state)
{
    (void)state;
    static struct counts counts;
    const struct rein_syscall_id ids[] = {getppid_id, {AUDIT_MACHINE, SYS_write}, {AUDIT_ARCH_I386, 63}};
    struct fixture *fixture = spawn_filtered_on(monitor, ids, 3, "threads", "2", "50");
    assert_ok(rein_process_set_callback(fixture->process, count_calls, &counts));
    assert_ok(rein_process_trace_syscalls(fixture->process, REIN_SYSCALL_ENTRIES, &getppid_id, 1));
    assert_ok(rein_process_continue(fixture->process));
    end_well(fixture);
    assert_int_equal(counts.entries, 102);
    assert_int_equal(counts.exits + counts.others, 0);
}

/* A call that is not made; a breakpoint on its instruction, which is passed to the call's entry, and one behind it. */
static void C1_filter_with_skips_and_breakpoints(void **state)
{
    (void)state;
    static struct counts counts;
    struct fixture *fixture = spawn_filtered("threads", "2", "50", &counts);
    rein_breakpoint *on = count_at(fixture->process, address_of(fixture, "syscall_insn"));
    rein_breakpoint *behind = count_at(fixture->process, address_of(fixture, "after_syscall"));
    counts.skips = 1; /* getppid(2) and the call give the same then */
    assert_ok(rein_process_continue(fixture->process));
    end_well(fixture);
    assert_int_equal(rein_breakpoint_hits(on), 100);
    assert_int_equal(rein_breakpoint_hits(behind), 100);
    assert_int_equal(counts.entries, 102);
    assert_int_equal(counts.exits, 102);
    assert_int_equal(counts.not_paired, 0);
}

/* Steps through a call that the filter stops end at its entry, and behind it. */
static void C1_filter_and_steps(void **state)
{
    (void)state;
    struct fixture *fixture = spawn_filtered_on(monitor, &getppid_id, 1, "threads", "1", "3");
    rein_process *process = fixture->process;
    rein_word insn = address_of(fixture, "syscall_insn");
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, NULL, 0));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    add_breakpoint(process, insn);
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_wait(process, LIMIT_MS));
    rein_thread *thread = expect_event(process, REIN_CAUSE_BREAKPOINT)->thread;
    assert_word(pc_of(thread), insn);
    assert_ok(rein_process_remove_breakpoint(process, insn, 0));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_ENTRY, REIN_STOP_ALL));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_EXIT, REIN_STOP_ALL));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_SYSCALL_ENTRY);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_SYSCALL_EXIT);
    assert_word(pc_of(thread), insn + SYSCALL_INSTRUCTION_SIZE);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(cause_of(thread), REIN_CAUSE_STEP);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    end_well(fixture);
}

/* What it makes is followed, and finds its calls working, by whatever way it was made. */
static void C1_filter_and_children(void **state)
{
    (void)state;
    static struct counts counts;
    struct fixture *fixture = spawn_filtered("births", NULL, NULL, &counts);
    rein_process *process = fixture->process;
    assert_error_says(rein_process_set_follow(process, REIN_FOLLOW_PARENT, 0), REIN_BAD_STATE, "filter");
    assert_ok(rein_process_set_follow(process, REIN_FOLLOW_BOTH, 0));
    assert_ok(rein_process_continue(process));
    end_well(fixture);
    assert_true(counts.entries >=
                4); /* the fork's child asks twice, the thread too; a vfork's child is its parent's guest */
    assert_int_equal(counts.others, 0);
    assert_int_equal(counts.not_paired, 0);
}

/* The program's own filters do what they do untraced. */
static void C1_filters_of_its_own(void **state)
{
    (void)state;
    static struct counts counts;
    const struct rein_syscall_id ids[] = {getppid_id, {AUDIT_MACHINE, SYS_getpgid}, {AUDIT_MACHINE, SYS_getsid}};
    for (size_t count = 1; count <= 3; count++) {
        struct fixture *fixture = spawn_filtered_on(monitor, ids, count, "own-filter", NULL, NULL);
        assert_ok(rein_process_set_callback(fixture->process, count_calls, &counts));
        assert_ok(rein_process_trace_syscalls(fixture->process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, ids, count));
        assert_ok(rein_process_continue(fixture->process));
        end_well(fixture);
        assert_int_equal(counts.not_paired, 0);
    }
    assert_int_equal(counts.entries, 0);
}

/* It cannot live without its tracer: it is not let go, and dies with the monitor. */
static void C1_filter_binds(void **state)
{
    (void)state;
    for (int killed = 0; killed < 2; killed++) {
        rein_monitor *own;
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        options.kind = monitor_kind();
        if (killed && options.kind != REIN_MONITOR_PROCESS)
            continue; /* it would take the test along */
        assert_ok(rein_monitor_create(&options, &own));
        struct fixture *fixture = spawn_filtered_on(own, &getppid_id, 1, "loop", "3", NULL);
        rein_process *process = fixture->process;
        assert_ok(rein_process_continue(process));
        expect_said(fixture, "ready");
        assert_error_says(rein_process_detach(process, 0), REIN_BAD_STATE, "filter");
        assert_true(proc_tracer(fixture->pid, 0) > 0);
        if (killed)
            assert_int_equal(kill(rein_monitor_id(own), SIGKILL), 0);
        else
            assert_ok(rein_monitor_close(own));
        read_to_end(fixture);
        assert_null(has_said(fixture, "FAILED"));
        assert_null(has_said(fixture, "ok"));
        if (killed)
            rein_monitor_close(own);
        rein_process_unref(process);
        fixture->process = NULL;
    }
}

/* What is no filter. */
static void C1_bad_filters(void **state)
{
    (void)state;
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    struct sock_filter nonsense[] = {{0xffff, 0, 0, 0}};
    char *const argv[] = {(char *)"syscalls", NULL};
    rein_process *process;
    void *filter;
    size_t count;
    options.filter = nonsense;
    assert_error(rein_spawn(monitor, fixture_path("syscalls"), argv, NULL, NULL, NULL, 0, &options, &process),
                 REIN_INVALID_ARGUMENT);
    options.filter_count = 5000;
    assert_error(rein_spawn(monitor, fixture_path("syscalls"), argv, NULL, NULL, NULL, 0, &options, &process),
                 REIN_INVALID_ARGUMENT);
    options.filter_count = 1;
    assert_error_says(rein_spawn(monitor, fixture_path("syscalls"), argv, NULL, NULL, NULL, 0, &options, &process),
                      REIN_EXEC_FAILED, "filter");
    const struct rein_syscall_id unknown = {AUDIT_MACHINE, 100000};
    assert_int_equal(rein_seccomp_filter(&unknown, 1, &filter, &count), REIN_NOT_SUPPORTED);
    assert_int_equal(rein_seccomp_filter(&unknown, 0, &filter, &count), REIN_INVALID_ARGUMENT);
    assert_int_equal(rein_seccomp_filter(NULL, 1, &filter, &count), REIN_INVALID_ARGUMENT);
    rein_seccomp_filter_free(NULL);
}

/* Watched by single-steps from its main on: the symbol's first bytes. */
static rein_watchpoint *watch_from_main(struct fixture *fixture, const char *symbol, size_t size)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_watchpoint *watchpoint = NULL;
    rein_process *process = fixture->process;
    rein_word pc = address_of(fixture, "main");
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    add_breakpoint(process, pc);
    run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_ok(rein_process_remove_breakpoint(process, pc, 0));
    options.flags = REIN_WATCH_SOFTWARE;
    assert_ok(rein_process_add_watchpoint(process, address_of(fixture, symbol), size, REIN_WATCH_WRITE, &options,
                                          &watchpoint));
    later_unref_watchpoint(watchpoint);
    return watchpoint;
}

/* On a busy machine each of many thousand steps waits for a processor: so it has more time than others. */
static void end_well_stepped(struct fixture *fixture)
{
    enum { MORE = 8 };
    int result = REIN_TIMEOUT;
    alarm(MORE * (unsigned)LIMIT_MS / 1000 + 60);
    for (int i = 0; i < MORE && result == REIN_TIMEOUT; i++)
        result = rein_process_wait(fixture->process, LIMIT_MS);
    assert_error(result, REIN_EXITED);
    end_well(fixture);
}

/* N3: threads that are stepped make calls as others do: all are asked for, and the filter stops at one. */
static void C1_N3_filter_and_software_watch(void **state)
{
    (void)state;
    static struct counts counts;
    struct fixture *fixture = spawn_filtered_on(monitor, &getppid_id, 1, "threads", "2", "10");
    watch_from_main(fixture, "main", 8);
    assert_ok(rein_process_set_callback(fixture->process, count_calls, &counts));
    assert_ok(rein_process_trace_syscalls(fixture->process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, NULL, 0));
    assert_ok(rein_process_continue(fixture->process));
    end_well_stepped(fixture);
    assert_int_equal(counts.entries, 22);
    assert_int_equal(counts.exits, 22);
    assert_int_equal(counts.others, 0);
    assert_int_equal(counts.not_paired, 0);
}

/* N3, M7: a program that handles SIGTRAP makes calls while it is blocked. */
static void C1_N3_filter_and_handler_of_traps(void **state)
{
    (void)state;
    char *const argv[] = {(char *)"stepped", (char *)"handler", NULL};
    struct fixture *fixture = spawn_program_filtered(monitor, &getppid_id, 1, argv);
    rein_watchpoint *watchpoint = watch_from_main(fixture, "target", 8);
    assert_ok(rein_process_continue(fixture->process));
    end_well_stepped(fixture);
    assert_int_equal(rein_watchpoint_hits(watchpoint), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(C1_only_what_the_filter_stops),
        live_test(C1_less_than_the_filter_stops),
        live_test(C1_filter_with_skips_and_breakpoints),
        live_test(C1_filter_and_steps),
        live_test(C1_N3_filter_and_software_watch),
        live_test(C1_N3_filter_and_handler_of_traps),
        live_test(C1_filter_and_children),
        live_test(C1_filters_of_its_own),
        live_test(C1_filter_binds),
        live_test(C1_bad_filters),
    };
    return live_main(tests);
}
