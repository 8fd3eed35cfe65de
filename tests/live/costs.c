/* P4 P5 P7 P8 M4: what rein's own work is, counted and not timed, for a machine has other things to do. The library is
 * compiled once more for this program, so that each basic block that it executes counts (-fsanitize-coverage=trace-pc, of
 * gcc and clang). What the kernel does is not in it: script/bench measures that too. Programs: sleepers, spin. */
#include "support.h"

/* Few and many threads: what is linear takes 4 times as much, what is quadratic 16 times. */
#define FEW 750
#define MANY 3000
#define RATIO_LIMIT 6
#define MEASURES 5 /* the least counts: who looks again because others were slow works more */
#define HITS 200

static _Atomic uint64_t work; /* the monitor's, which shares the memory, and the host's */

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
    atomic_fetch_add_explicit(&work, 1, memory_order_relaxed);
}

struct costs {
    uint64_t attach, stop, go_on, detach;
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
    struct costs least = {0, 0, 0, 0};
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
}

/* The work for a hit in one process. */
static uint64_t work_for_a_hit(rein_process *process, rein_breakpoint *breakpoint)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < MEASURES; i++) {
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
    uint64_t alone = work_for_a_hit(process, breakpoint);
    rein_process *crowd = attach_running(sleepers);
    uint64_t with_running = work_for_a_hit(process, breakpoint);
    assert_ok(rein_process_stop(crowd, LIMIT_MS));
    uint64_t with_stopped = work_for_a_hit(process, breakpoint);
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
        live_test(M4_an_event_costs_the_same_with_many_threads),
    };
    return live_main(tests);
}
