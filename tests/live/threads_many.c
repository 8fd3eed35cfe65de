/* P1, P4, P5, P7, P8, M4: many threads. Attach, stop, continue and detach cost linear time with 3,000 of them; an event
 * costs the same however many are traced; attaching succeeds, and holds everybody, while threads are made all the time.
 * REIN_ROUNDS is how often that is tried (100 when unset). Programs: sleepers, many_threads, spin. */
#include "apart.h"

#define FEW 750
#define MANY 3000 /* linear: 4 times as much, quadratic: 16 times */
#define RATIO_LIMIT 9.0
#define MEASURES 5

struct times {
    double attach, stop, go_on, detach;
};

/* How long the monitor has run on a processor, in seconds: whatever else the machine does. */
static double worked(void)
{
    char path[64], text[128] = "";
    snprintf(path, sizeof path, "/proc/%d/schedstat", rein_monitor_id(monitor));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return now(); /* a kernel without CONFIG_SCHED_INFO */
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    return strtod(text, NULL) / 1e9;
}

static void keep_least(double *least, double begin)
{
    double took = worked() - begin;
    if (*least == 0 || took < *least)
        *least = took;
}

/* Every thread is held by the monitor, and stopped. */
static void assert_all_held(int pid)
{
    static int ids[8192];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        char state = proc_state(pid, ids[i]);
        /* A newborn may be on its way to its first stop, before it runs any code. */
        for (double limit = now() + 5; state != 't' && state != 'Z' && state != 'X' && state && now() < limit;) {
            sleep_ms(1);
            state = proc_state(pid, ids[i]);
        }
        if (state != 't' && state != 'Z' && state != 'X' && state)
            fail_msg("thread %d of %d is in state %c", ids[i], pid, state);
        if (state == 't')
            assert_int_equal(proc_tracer(pid, ids[i]), rein_monitor_id(monitor));
    }
}

/* Nobody is held any more after a detach. Who was on the way out may be seen for a moment; a lent monitor lets such a one go
 * in a later call. */
static void await_let_go(rein_process *process)
{
    for (double limit = now() + 5; monitor_kind() == REIN_MONITOR_LENT && now() < limit; sleep_ms(1)) {
        assert_error(rein_process_wait(process, 0), REIN_DETACHED);
        if (is_free(rein_process_id(process)))
            return;
    }
    await_free(rein_process_id(process), 5000);
}

static struct times measure(int count)
{
    char text[16];
    struct times least = {0, 0, 0, 0};
    snprintf(text, sizeof text, "%d", count);
    struct fixture *fixture = start_ready("sleepers", text, NULL);
    for (int i = 0; i < MEASURES; i++) {
        rein_process *process = NULL;
        double begin = worked();
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        keep_least(&least.attach, begin);
        assert_int_equal(thread_count(process), (size_t)count + 1);
        if (i == 0)
            assert_all_held(fixture->pid);
        begin = worked();
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, 0), REIN_TIMEOUT);
        keep_least(&least.go_on, begin);
        begin = worked();
        assert_ok(rein_process_stop(process, LIMIT_MS));
        keep_least(&least.stop, begin);
        if (i == 0)
            assert_all_held(fixture->pid);
        begin = worked();
        assert_ok(rein_process_detach(process, 0));
        keep_least(&least.detach, begin);
        if (i == 0)
            await_let_go(process);
        rein_process_unref(process);
    }
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
    return least;
}

static void compare(const char *what, double few, double many)
{
    print_message("%s: %d threads %.1f ms, %d threads %.1f ms\n", what, FEW, few * 1e3, MANY, many * 1e3);
    /* On a plain or lent thread the kernel looks through all of them again and again, see src/os/linux/wait.c. */
    if (monitor_kind() == REIN_MONITOR_PROCESS && many > few * RATIO_LIMIT && many > 0.02)
        fail_msg("%s is not linear in the number of threads", what);
}

static void P8_P4_P5_P7_linear_in_the_number_of_threads(void **state)
{
    (void)state;
    alarm(100);
    struct times few = measure(FEW), many = measure(MANY);
    compare("attach", few.attach, many.attach);
    compare("continue", few.go_on, many.go_on);
    compare("stop", few.stop, many.stop);
    compare("detach", few.detach, many.detach);
}

/* The monitor's work for a hit, in seconds, in one process, while another, with many threads that sleep, is traced by the
 * same monitor. */
static double work_for_a_hit(rein_process *process, rein_breakpoint *breakpoint)
{
    double least = 1;
    for (int i = 0; i < 5; i++) {
        uint64_t hits = rein_breakpoint_hits(breakpoint);
        double begin = worked();
        for (double limit = now() + LIMIT_MS / 1000.0; rein_breakpoint_hits(breakpoint) < hits + 200;) {
            assert_true(now() < limit);
            rein_process_wait(process, 20);
        }
        double work = (worked() - begin) / (double)(rein_breakpoint_hits(breakpoint) - hits);
        least = work < least ? work : least;
    }
    return least;
}

static void M4_an_event_costs_the_same_with_many_threads(void **state)
{
    (void)state;
    alarm(100);
    struct fixture *spin = start_ready("spin", "1", NULL), *sleepers = start_ready("sleepers", "3000", NULL);
    rein_process *process = attach(spin);
    rein_breakpoint *breakpoint = count_at(process, address_of(spin, "hot"));
    assert_ok(rein_process_continue(process));
    double alone = work_for_a_hit(process, breakpoint);
    rein_process *crowd = attach_running(sleepers);
    double with_running = work_for_a_hit(process, breakpoint);
    assert_ok(rein_process_stop(crowd, LIMIT_MS));
    double with_stopped = work_for_a_hit(process, breakpoint);
    print_message("work for a hit: %.1f us alone, %.1f us with 3000 threads traced, %.1f us with them stopped\n",
                  alone * 1e6, with_running * 1e6, with_stopped * 1e6);
    /* On a plain or lent thread the kernel looks through all of them again and again, see src/os/linux/wait.c. */
    if (monitor_kind() == REIN_MONITOR_PROCESS && (with_running > 3 * alone || with_stopped > 3 * alone))
        fail_msg("an event costs more when others are traced");
    assert_ok(rein_process_detach(crowd, 0));
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_detach(process, 0));
    tell(spin);
    tell(sleepers);
    assert_ends(spin, 0);
    assert_ends(sleepers, 0);
}

/* ---- While threads are made ---- */

static int rounds(void)
{
    const char *text = getenv("REIN_ROUNDS");
    int count = text ? atoi(text) : 100;
    return count > 0 ? count : 100;
}

static void check_listed(rein_process *process)
{
    static int ids[8192];
    size_t there = proc_threads(rein_process_id(process), ids, sizeof ids / sizeof *ids), alive = 0;
    for (size_t i = 0; i < there; i++) {
        rein_thread *thread = NULL;
        if (proc_state(rein_process_id(process), ids[i]) != 't')
            continue;
        alive++;
        int result = rein_process_thread(process, ids[i], &thread);
        /* It may be on its way out, a zombie to rein already; nobody else may be unknown. */
        if (result != 0)
            assert_error(result, REIN_NO_THREAD);
        rein_thread_unref(thread);
    }
    assert_true(thread_count(process) <= alive);
}

static void P8_P1_attach_while_threads_are_made(void **state)
{
    (void)state;
    alarm((unsigned)(60 + rounds()));
    struct fixture *fixture = start_ready("many_threads", "0", "4", NULL);
    for (int i = 0; i < rounds(); i++) {
        rein_process *process = NULL;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_all_held(fixture->pid);
        check_listed(process);
        if (i % 3 == 1) { /* on, and stopped again */
            set_policy(process, REIN_IGNORE);
            assert_ok(rein_process_continue(process));
            assert_error(rein_process_wait(process, 2), REIN_TIMEOUT);
            assert_ok(rein_process_stop(process, LIMIT_MS));
            assert_all_held(fixture->pid);
        }
        assert_ok(rein_process_detach(process, 0));
        await_let_go(process);
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

static void P8_attach_running_while_threads_are_made(void **state)
{
    (void)state;
    alarm((unsigned)(60 + rounds()));
    struct fixture *fixture = start_ready("many_threads", "0", "4", NULL);
    for (int i = 0; i < rounds(); i++) {
        struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
        rein_process *process = NULL;
        options.flags = REIN_ATTACH_RUNNING;
        assert_ok(rein_attach(monitor, fixture->pid, &options, &process));
        set_policy(process, REIN_IGNORE);
        if (i % 2) {
            assert_ok(rein_process_stop(process, LIMIT_MS));
            assert_all_held(fixture->pid);
        }
        assert_ok(rein_process_detach(process, 0));
        await_let_go(process);
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Breakpoints that go in with each attach and out with each detach; the program counts its calls, and comes to its end. */
static void P7_P8_with_a_breakpoint_each_time(void **state)
{
    (void)state;
    alarm((unsigned)(60 + rounds()));
    struct fixture *fixture = start_ready("many_threads", "0", "4", NULL);
    rein_word hot = address_of(fixture, "hot");
    unsigned char before, after;
    assert_int_equal(raw_read(fixture->pid, hot, &before, 1), 1);
    for (int i = 0; i < rounds(); i++) {
        rein_process *process = NULL;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_add_breakpoint(process, hot, NULL, NULL));
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, 1 + i % 4), REIN_TIMEOUT);
        assert_ok(rein_process_detach(process, 0));
        assert_int_equal(raw_read(fixture->pid, hot, &after, 1), 1);
        assert_int_equal(before, after);
        rein_process_unref(process);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        live_test(P8_P4_P5_P7_linear_in_the_number_of_threads), live_test(M4_an_event_costs_the_same_with_many_threads),
        live_test(P8_P1_attach_while_threads_are_made),         live_test(P8_attach_running_while_threads_are_made),
        live_test(P7_P8_with_a_breakpoint_each_time),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return live_main(tests);
}
