/* P4 P5 P7 P8 M4: what rein's own work is, counted and not timed, for a machine has other things to do. The library is
 * compiled once more for this program, so that each basic block that it executes counts (-fsanitize-coverage=trace-pc, of
 * gcc and clang). What the kernel does is not in it: script/bench measures that too. Programs: sleepers, spin, fork_loop. */
#include "support.h"

/* Few and many threads: what is linear takes 4 times as much, what is quadratic 16 times. */
#define FEW 750
#define MANY 3000
#define RATIO_LIMIT 8
#define MEASURES 5 /* the least counts: who looks again because others were slow works more */
#define HITS 200

static _Atomic uint64_t work; /* the monitor's, which shares the memory, and the host's */

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    atomic_fetch_add_explicit(&work, 1, memory_order_relaxed);
}

struct costs {
    uint64_t attach, stop, go_on, trace, detach, let_go;
};

static void keep_least(uint64_t *least, uint64_t begin)
{
    uint64_t done = atomic_load(&work) - begin;
    assert_true(done > 0); /* else it counts nothing */
    if (*least == 0 || done < *least)
        *least = done;
}

static struct costs measure(int count)
{
    char text[16];
    struct costs least = {0, 0, 0, 0, 0, 0};
    static const struct rein_syscall_id none = {0, 12345}; /* that nobody makes */
    snprintf(text, sizeof text, "%d", count);
    struct fixture *fixture = start_ready("sleepers", text, NULL);
    for (int i = 0; i < MEASURES; i++) {
        rein_process *process = NULL;
        uint64_t begin = atomic_load(&work);
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        keep_least(&least.attach, begin);
        begin = atomic_load(&work);
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
        keep_least(&least.go_on, begin);
        begin = atomic_load(&work);
        assert_ok(rein_process_stop(process, LIMIT_MS));
        keep_least(&least.stop, begin);
        begin = atomic_load(&work);
        assert_ok(rein_process_detach(process, 0));
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_DETACHED);
        keep_least(&least.detach, begin);
        rein_process_unref(process);
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_ok(rein_process_continue(process));
        begin = atomic_load(&work);
        assert_ok(
            rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES, &none, 1)); /* each is stopped for a moment */
        keep_least(&least.trace, begin);
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_trace_syscalls(process, 0, NULL, 0));
        assert_ok(rein_process_continue(process));
        begin = atomic_load(&work);
        assert_ok(rein_process_detach(process, 0)); /* while they run */
        keep_least(&least.let_go, begin);
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
    return least;
}

static void compare(const char *what, uint64_t few, uint64_t many)
{
    print_message("%s: %" PRIu64 " blocks for %d threads, %" PRIu64 " for %d: %.1f times\n", what, few, FEW, many, MANY,
                  (double)many / (double)few);
    if (many > few * RATIO_LIMIT)
        fail_msg("%s is not linear in the number of threads", what);
}

static void P8_P4_P5_P7_linear_in_the_number_of_threads(void **state)
{
    (void)state;
    alarm(100);
    struct costs few = measure(FEW), many = measure(MANY);
    compare("attach", few.attach, many.attach);
    compare("continue", few.go_on, many.go_on);
    compare("stop", few.stop, many.stop);
    compare("detach", few.detach, many.detach);
    compare("trace system calls", few.trace, many.trace);
    compare("detach while running", few.let_go, many.let_go);
}

/* What it takes to hold all others while one is stepped past a breakpoint. */
static uint64_t measure_steps_over(int count)
{
    enum { CALLS = 3 };
    char text[16], calls[16];
    uint64_t least = 0;
    snprintf(text, sizeof text, "%d", count);
    snprintf(calls, sizeof calls, "%d", CALLS);
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    options.kind = monitor_kind();
    options.flags = REIN_MONITOR_STEP_OVER;
    set_log(&options);
    for (int i = 0; i < MEASURES; i++) {
        rein_monitor *own;
        rein_process *process;
        struct fixture *fixture = start_ready("sleepers", text, calls, NULL);
        assert_ok(rein_monitor_create(&options, &own));
        assert_ok(rein_attach(own, fixture->pid, NULL, &process));
        set_policy(process, REIN_IGNORE);
        rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "cold"));
        assert_ok(rein_process_continue(process));
        uint64_t begin = atomic_load(&work);
        tell(fixture);
        for (double limit = now() + LIMIT_S; !has_said(fixture, "count called");) {
            assert_true(now() < limit);
            assert_error(rein_process_wait(process, 20), REIN_TIMEOUT);
        }
        keep_least(&least, begin);
        assert_int_equal(rein_breakpoint_hits(breakpoint), CALLS);
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
        assert_ok(rein_monitor_close(own));
        tell(fixture);
        assert_ends(fixture, 0);
    }
    return least;
}

static void P5_holding_all_is_linear(void **state)
{
    (void)state;
    alarm(200);
    /* On a busy machine threads that do not stop at once are looked at again and again; and those that do not run yet at the hits
     * cost nothing. */
    enum { AGAIN = 4, ABOUT = 6 };
    uint64_t few = measure_steps_over(FEW), many = measure_steps_over(MANY);
    for (int i = 0; i < AGAIN && many > ABOUT * few; i++) {
        uint64_t more = measure_steps_over(FEW), less = measure_steps_over(MANY);
        few = more > few ? more : few;
        many = less < many ? less : many;
    }
    compare("past a breakpoint by a step", few, many);
}

/* Follows all children of a program that makes so many: the work for each of them. */
static uint64_t measure_forks(int count, unsigned flags)
{
    char text[16];
    snprintf(text, sizeof text, "%d", count);
    struct fixture *fixture = start_waiting("fork_loop", "1", text, "0", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_follow(process, REIN_FOLLOW_BOTH, flags));
    if (flags)
        count_at(process, address_of(fixture, "main"));
    assert_ok(rein_process_continue(process));
    uint64_t begin = atomic_load(&work);
    tell(fixture);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    uint64_t done = atomic_load(&work) - begin;
    assert_ends(fixture, 0);
    return done / (uint64_t)count;
}

static uint64_t least_for_a_fork(int count, unsigned flags, uint64_t enough)
{
    uint64_t least = UINT64_MAX;
    double end = now() + LIMIT_S;
    for (int i = 0; i < MEASURES || (least > enough && now() < end); i++) {
        uint64_t done = measure_forks(count, flags);
        least = done < least ? done : least;
    }
    return least;
}

/* M4, M9: a child that is made and followed costs the same whoever else is held. */
static void M4_a_fork_costs_the_same_among_many_processes(void **state)
{
    (void)state;
    enum { OTHERS = 300 };
    static struct fixture *others[OTHERS];
    alarm(200);
    uint64_t alone = least_for_a_fork(50, 0, UINT64_MAX);
    for (int i = 0; i < OTHERS; i++)
        others[i] = spawn("child_ends", NULL);
    uint64_t among = least_for_a_fork(50, 0, alone * 6 / 5);
    print_message("blocks for a fork: %" PRIu64 " alone, %" PRIu64 " among %d processes\n", alone, among, OTHERS);
    for (int i = 0; i < OTHERS; i++)
        assert_ok(rein_process_kill(others[i]->process));
    if (among > alone * 6 / 5)
        fail_msg("a fork costs more among many processes");
}

/* M4, M9: nor does it cost more when many have come and gone a moment ago, with breakpoints. */
static void M4_a_storm_of_forks_is_linear(void **state)
{
    (void)state;
    alarm(200);
    uint64_t few = least_for_a_fork(20, REIN_FOLLOW_BREAKPOINTS, UINT64_MAX);
    uint64_t many = least_for_a_fork(400, REIN_FOLLOW_BREAKPOINTS, few * 3 / 2);
    print_message("blocks for a fork: %" PRIu64 " of 20, %" PRIu64 " of 400\n", few, many);
    if (many > few * 3 / 2)
        fail_msg("a fork costs more after many others");
}

/* The work for a hit in one process. When nothing has come for a moment (os/linux/wait.c: QUIET_US) the monitor looks at
 * everybody, and where hits are slow that is often; so it is measured until it is not above enough, or the time is over. */
static uint64_t work_for_a_hit(rein_process *process, rein_breakpoint *breakpoint, uint64_t enough)
{
    uint64_t least = UINT64_MAX;
    double end = now() + LIMIT_S;
    for (int i = 0; i < MEASURES || (least > enough && now() < end); i++) {
        uint64_t hits = rein_breakpoint_hits(breakpoint), begin = atomic_load(&work);
        for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < hits + HITS;) {
            assert_true(now() < limit);
            rein_process_wait(process, 20);
        }
        uint64_t each = (atomic_load(&work) - begin) / (rein_breakpoint_hits(breakpoint) - hits);
        least = each < least ? each : least;
    }
    return least;
}

/* M4: ... while another process, with many threads that sleep, is traced by the same monitor. */
static void M4_an_event_costs_the_same_with_many_threads(void **state)
{
    (void)state;
    alarm(100);
    struct fixture *spin = start_ready("spin", "1", NULL), *sleepers = start_ready("sleepers", "3000", NULL);
    rein_process *process = attach(spin);
    set_policy(process, REIN_IGNORE);
    rein_breakpoint *breakpoint = count_at(process, address_of(spin, "hot"));
    assert_ok(rein_process_continue(process));
    uint64_t alone = work_for_a_hit(process, breakpoint, UINT64_MAX);
    rein_process *crowd = attach_running(sleepers);
    uint64_t with_running = work_for_a_hit(process, breakpoint, 2 * alone);
    assert_ok(rein_process_stop(crowd, LIMIT_MS));
    uint64_t with_stopped = work_for_a_hit(process, breakpoint, 2 * alone);
    print_message("blocks for a hit: %" PRIu64 " alone, %" PRIu64 " with 3000 threads traced, %" PRIu64
                  " with them stopped\n",
                  alone, with_running, with_stopped);
    if (with_running > 2 * alone || with_stopped > 2 * alone)
        fail_msg("an event costs more when others are traced");
    assert_ok(rein_process_detach(crowd, 0));
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_detach(process, 0));
    tell(spin);
    tell(sleepers);
    assert_ends(spin, 0);
    assert_ends(sleepers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P8_P4_P5_P7_linear_in_the_number_of_threads),
        live_test(P5_holding_all_is_linear),
        live_test(M4_an_event_costs_the_same_with_many_threads),
        live_test(M4_a_fork_costs_the_same_among_many_processes),
        live_test(M4_a_storm_of_forks_is_linear),
    };
    return live_main(tests);
}
