/* The host dies, in the middle of a storm of breakpoints with 8 threads, and its tracees live on unharmed: nobody stopped or
 * traced, text as in the file, all their own checks passed. By kill -9 (of a library user and of `rein trace -p`), by exit,
 * by a crash, by exec; while everybody runs, is stopped, is stepped; with locks held that nobody will open any more.
 * M8: the monitor itself is killed; later calls say so, waiting ones wake with it, the breakpoints are taken out
 * by the host. REIN_ROUNDS is how often a host is killed (20 when unset). Programs: spin, sleepers. */
#include <sched.h>
#include <sys/resource.h>

#include "apart.h"

#define THREADS "8"

static int rounds(void)
{
    const char *text = getenv("REIN_ROUNDS");
    int count = text ? atoi(text) : 20;
    return count > 0 ? count : 20;
}

static unsigned random_state = 1;

static unsigned any(unsigned below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

/* ---- Hosts ---- */

enum occupation {
    COUNTING, /* callbacks answer: go on */
    STOPPING, /* each hit stops all, and all are continued */
    LOCKING,  /* callbacks and other threads allocate and print: somebody holds a lock at any moment */
    STEPPING, /* a thread is stopped, stepped, continued, all the time */
    CHANGING, /* breakpoints come and go */
    HOLDING,  /* all are stopped */
    SEPARATE, /* with a monitor of its own for the process */
    WATCHING, /* by a software watchpoint, so that all are stepped */
    ASKING,   /* other threads look at the monitor's state all the time */
    OCCUPATIONS
};

static const char *const occupation_names[OCCUPATIONS] = {"counting", "stopping", "locking",  "stepping", "changing",
                                                          "holding",  "separate", "watching", "asking"};

struct host {
    struct fixture *fixture;
    rein_word hot, hot2;
    enum occupation occupation;
    void (*end)(void); /* NULL: it goes on until it is killed */
    int report;        /* where it says its monitor's id, when the storm is on */
};

static rein_process *storm_process;
static atomic_ulong storm_hits;

static enum rein_verdict on_hit(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    const struct host *host = arg;
    (void)thread, (void)breakpoint;
    atomic_fetch_add(&storm_hits, 1);
    if (host->occupation == LOCKING) {
        free(malloc(100 + atomic_load(&storm_hits) % 5000));
        fprintf(stdout, "%lu", atomic_load(&storm_hits));
    }
    return host->occupation == STOPPING ? REIN_VERDICT_POLICY : REIN_VERDICT_GO_ON;
}

static void *allocate(void *arg)
{
    (void)arg;
    for (unsigned i = 0;; i++) {
        free(malloc(i % 5000));
        fprintf(stdout, "%u", i);
    }
    return NULL;
}

static void *ask(void *arg)
{
    const struct host *host = arg;
    rein_thread **threads = NULL;
    size_t count = 0;
    enum rein_state seen;
    unsigned char code[16];
    apart_ok(rein_process_threads(storm_process, &threads, &count));
    for (;;) {
        apart_ok(rein_thread_state(threads[0], &seen));
        apart_ok(rein_process_read(storm_process, host->hot, code, sizeof code, NULL));
    }
    return NULL;
}

static void add_storm(struct host *host, rein_word pc)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = on_hit;
    options.arg = host;
    apart_ok(rein_process_add_breakpoint(storm_process, pc, &options, NULL));
}

static void add_software_watch(const struct host *host)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = REIN_WATCH_SOFTWARE;
    apart_ok(rein_process_add_watchpoint(storm_process, host->hot, 8, REIN_WATCH_WRITE, &options, NULL));
}

/* One piece of its occupation. */
static void work(struct host *host)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    switch (host->occupation) {
    case STOPPING:
        apart_ok(rein_process_wait(storm_process, 10000));
        apart_ok(rein_process_continue(storm_process));
        break;
    case STEPPING:
        apart_ok(rein_process_threads(storm_process, &threads, &count));
        rein_thread_stop(threads[0], 5000);
        rein_thread_step(threads[0], 0, 100);
        rein_thread_continue(threads[0]);
        rein_thread_list_free(threads, count);
        break;
    case CHANGING:
        apart_ok(rein_process_remove_breakpoint(storm_process, host->hot2, REIN_BREAKPOINT_WHILE_RUNNING));
        add_storm(host, host->hot2);
        break;
    default:
        sleep_ms(1);
    }
}

static void be_host(void *arg)
{
    struct host *host = arg;
    rein_monitor *mine = NULL;
    if (host->occupation != SEPARATE)
        apart_ok(rein_monitor_create(NULL, &mine));
    apart_ok(rein_attach(mine, host->fixture->pid, NULL, &storm_process));
    add_storm(host, host->hot);
    add_storm(host, host->hot2);
    if (host->occupation == WATCHING)
        add_software_watch(host);
    if (host->occupation == LOCKING)
        apart_check(freopen("/dev/null", "w", stdout) != NULL);
    for (int i = 0; i < 2 && (host->occupation == LOCKING || host->occupation == ASKING); i++) {
        pthread_t thread;
        apart_check(pthread_create(&thread, NULL, host->occupation == ASKING ? ask : allocate, host) == 0);
    }
    apart_ok(rein_process_continue(storm_process));
    for (double limit = now() + LIMIT_S; atomic_load(&storm_hits) < 50;) {
        apart_check(now() < limit);
        work(host);
    }
    if (host->occupation == HOLDING)
        apart_ok(rein_process_stop(storm_process, 10000));
    int id = mine ? rein_monitor_id(mine) : proc_tracer(host->fixture->pid, 0);
    apart_check(write(host->report, &id, sizeof id) == sizeof id);
    if (host->end) {
        work(host);
        host->end();
        return;
    }
    for (;;)
        work(host);
}

/* The same, on the monitor: by its own calls the function waits for the process, or does not wait at all. */
enum on_monitor { WAITING_FOR_PROCESS, WAITING_FOR_THREAD, WAITING_FOR_EVENT, POLLING, READING, ON_MONITOR };

struct run_host {
    struct host *host;
    rein_monitor *mine;
    enum on_monitor what;
};

static int run_host(void *arg)
{
    const struct run_host *run = arg;
    rein_thread **threads = NULL;
    size_t count = 0;
    int id = rein_monitor_id(run->mine), fd, ready;
    unsigned char code[16];
    apart_ok(rein_attach(run->mine, run->host->fixture->pid, NULL, &storm_process));
    add_storm(run->host, run->host->hot);
    add_storm(run->host, run->host->hot2);
    apart_ok(rein_process_event_fd(storm_process, &fd));
    apart_ok(rein_process_threads(storm_process, &threads, &count));
    apart_ok(rein_process_continue(storm_process));
    rein_process_wait(storm_process, 20);
    apart_check(write(run->host->report, &id, sizeof id) == sizeof id);
    for (;;) {
        struct rein_event event = {0};
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        switch (run->what) {
        case WAITING_FOR_PROCESS:
            rein_process_wait(storm_process, -1);
            break;
        case WAITING_FOR_THREAD:
            rein_thread_wait(threads[0], -1);
            break;
        case WAITING_FOR_EVENT:
            rein_monitor_next_event(run->mine, -1, &event);
            break;
        case POLLING:
            rein_monitor_poll(run->mine, &wait, 1, -1, &ready);
            break;
        default:
            rein_process_read(storm_process, run->host->hot, code, sizeof code, NULL);
        }
    }
}

static void be_host_on_monitor(void *arg)
{
    struct run_host *run = arg;
    apart_ok(rein_monitor_create(NULL, &run->mine));
    rein_monitor_run(run->mine, run_host, run);
}

/* Starts the host and waits until the storm is on. */
static int start_host(struct host *host, int *monitor_id)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    host->report = ends[1];
    host->hot = address_of(host->fixture, "hot");
    host->hot2 = address_of(host->fixture, "hot2");
    int pid = apart(be_host, host);
    close(ends[1]);
    bool told = read(ends[0], monitor_id, sizeof *monitor_id) == sizeof *monitor_id;
    close(ends[0]);
    if (!told)
        fail_msg("the host (%s) ended before the storm: %#x", occupation_names[host->occupation],
                 (unsigned)apart_end(pid, LIMIT_MS));
    return pid;
}

/* The monitor has let go whom it held, and is no more. */
static void assert_left_behind_well(struct fixture *fixture, int monitor_id)
{
    await_free(fixture->pid, LIMIT_MS);
    assert_unharmed(fixture, true);
    for (double limit = now() + LIMIT_S; kill(monitor_id, 0) == 0 && proc_state(monitor_id, 0) != 'Z';) {
        if (now() > limit)
            fail_msg("the monitor %d is still there", monitor_id);
        sleep_ms(1);
    }
}

static void kill_hosts(int times)
{
    struct fixture *fixture = NULL;
    int renew = times / 20 + 1; /* how many hosts a program sees */
    alarm((unsigned)(45 + times * 3));
    random_state = (unsigned)getpid();
    for (int i = 0; i < times; i++) {
        if (i % renew == 0) {
            if (fixture) {
                tell(fixture);
                assert_ends(fixture, 0);
            }
            fixture = start_ready("spin", THREADS, NULL);
        }
        struct host host = {.fixture = fixture, .occupation = (enum occupation)(i % OCCUPATIONS)};
        int monitor_id, pid = start_host(&host, &monitor_id);
        struct timespec moment = {0, (long)any(4000) * 1000};
        nanosleep(&moment, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = apart_end(pid, LIMIT_MS);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            fail_msg("round %d: the host (%s) had ended with %#x", i, occupation_names[host.occupation],
                     (unsigned)status);
        assert_left_behind_well(fixture, monitor_id);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

static void M10_killed_library_user(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS) /* the header says that the others cannot do this */
        skip();
    kill_hosts(rounds());
}

/* Whatever its function is doing then. What that waited for is on a stack that is not there any more. */
static void M10_killed_with_a_function_on_the_monitor(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", THREADS, NULL);
    alarm(120);
    for (int i = 0; i < ON_MONITOR * 2; i++) {
        int ends[2], monitor_id;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        struct host host = {.fixture = fixture, .occupation = COUNTING, .report = ends[1]};
        host.hot = address_of(fixture, "hot");
        host.hot2 = address_of(fixture, "hot2");
        struct run_host run = {.host = &host, .what = (enum on_monitor)(i % ON_MONITOR)};
        int pid = apart(be_host_on_monitor, &run);
        close(ends[1]);
        assert_int_equal(read(ends[0], &monitor_id, sizeof monitor_id), sizeof monitor_id);
        close(ends[0]);
        sleep_ms(20);
        double begin = now();
        assert_int_equal(kill(pid, SIGKILL), 0);
        apart_end(pid, LIMIT_MS);
        assert_left_behind_well(fixture, monitor_id);
        if (now() - begin > 0.7 * live_slow())
            fail_msg("what it did (%d) has ended by the emergency only, after %.3f s", i % ON_MONITOR, now() - begin);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Other ends ---- */

static void end_exit(void)
{
    exit(0);
}

static void end_at_once(void)
{
    _exit(0);
}

static void end_crash(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer's */
    raise(SIGSEGV);
}

static void end_abort(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void end_terminated(void)
{
    signal(SIGTERM, SIG_DFL);
    kill(0, SIGTERM); /* the whole process group, as ^C does: the monitor is not in it */
    for (;;)
        pause();
}

static void end_exec(void)
{
    execl(tool("sleep"), "sleep", "0.3", (char *)NULL);
    _exit(97);
}

static void end_exec_from_thread(void);

static void *exec_it(void *arg)
{
    end_exec();
    return arg;
}

static void end_exec_from_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, exec_it, NULL);
    for (;;)
        pause();
}

static void other_ends(void (*end)(void), int signal)
{
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", THREADS, NULL);
    for (int occupation = 0; occupation < OCCUPATIONS; occupation++) {
        if (occupation == LOCKING && end == end_exit)
            continue; /* exit(3) waits for the lock of stdout, and its turn may not come for long */
        struct host host = {.fixture = fixture, .occupation = (enum occupation)occupation, .end = end};
        int monitor_id, pid = start_host(&host, &monitor_id), status = apart_end(pid, LIMIT_MS);
        if (signal ? !WIFSIGNALED(status) || WTERMSIG(status) != signal
                   : !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("the host (%s) has ended with %#x", occupation_names[occupation], (unsigned)status);
        assert_left_behind_well(fixture, monitor_id);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

static void M10_host_exits(void **state)
{
    (void)state;
    other_ends(end_exit, 0);
}

static void M10_host_exits_at_once(void **state)
{
    (void)state;
    other_ends(end_at_once, 0);
}

static void M10_host_crashes(void **state)
{
    (void)state;
    other_ends(end_crash, SIGSEGV);
}

static void M10_host_aborts(void **state)
{
    (void)state;
    other_ends(end_abort, SIGABRT);
}

static void set_group(void)
{
    setpgid(0, 0);
    end_terminated();
}

static void M10_host_terminated_with_its_group(void **state)
{
    (void)state;
    other_ends(set_group, SIGTERM);
}

/* The program that is executed is not the host any more: everybody is let go though the process lives. */
static void M10_host_executes_another_program(void **state)
{
    (void)state;
    other_ends(end_exec, 0);
}

static void M10_host_executes_from_a_thread(void **state)
{
    (void)state;
    other_ends(end_exec_from_thread, 0);
}

/* ---- rein trace -p ---- */

static int start_trace(const char *binary, const struct fixture *fixture, bool counts)
{
    char pid_text[16];
    snprintf(pid_text, sizeof pid_text, "%d", fixture->pid);
    int pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(binary, "rein", "trace", "-p", pid_text, "-b", "hot", "-b", "hot2", "-o", "/dev/null",
              counts ? "--count" : NULL, (char *)NULL);
        _exit(97);
    }
    return pid;
}

static void M10_killed_rein_trace(void **state)
{
    (void)state;
    const char *binary = getenv("REIN_BINARY");
    if (!binary || access(binary, X_OK)) {
        print_message("there is no command rein (REIN_BINARY): skipped\n");
        skip();
    }
    struct fixture *fixture = NULL;
    int times = rounds(), renew = times / 20 + 1;
    alarm((unsigned)(45 + times * 3));
    for (int i = 0; i < times; i++) {
        if (i % renew == 0) {
            if (fixture) {
                tell(fixture);
                assert_ends(fixture, 0);
            }
            fixture = start_ready("spin", THREADS, NULL);
        }
        unsigned char code = 0, before;
        rein_word hot = address_of(fixture, "hot");
        assert_int_equal(raw_read(fixture->pid, hot, &before, 1), 1);
        int pid = start_trace(binary, fixture, i % 2), tracer = 0;
        for (double limit = now() + LIMIT_S;;) {
            assert_int_equal(raw_read(fixture->pid, hot, &code, 1), 1);
            if (code != before)
                break;
            if (now() > limit || waitpid(pid, NULL, WNOHANG) != 0)
                fail_msg("rein trace has put in no breakpoint");
            sched_yield();
        }
        tracer = proc_tracer(fixture->pid, 0);
        struct timespec moment = {0, (long)any(30000) * 1000};
        nanosleep(&moment, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = apart_end(pid, LIMIT_MS);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_left_behind_well(fixture, tracer);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- M8: the monitor is killed ---- */

struct waiter {
    pthread_t pthread;
    rein_process *process;
    rein_thread *thread;
    struct fixture *fixture;
    int what, result;
    char message[300];
};

enum { WAIT_PROCESS, WAIT_THREAD, WAIT_EVENT, WAIT_WITH_LIMIT, WAITS };

static void *wait_for_it(void *arg)
{
    struct waiter *waiter = arg;
    struct rein_event event;
    switch (waiter->what) {
    case WAIT_PROCESS:
        waiter->result = rein_process_wait(waiter->process, -1);
        break;
    case WAIT_THREAD:
        waiter->result = rein_thread_wait(waiter->thread, -1);
        break;
    case WAIT_EVENT:
        waiter->result = rein_process_next_event(waiter->process, -1, &event);
        break;
    default:
        waiter->result = rein_process_wait(waiter->process, 60000);
    }
    snprintf(waiter->message, sizeof waiter->message, "%s", rein_error_message());
    return NULL;
}

static void join_soon(pthread_t thread)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LIMIT_MS / 1000;
    assert_int_equal(pthread_timedjoin_np(thread, NULL, &limit), 0);
}

/* Every call says it. */
static void assert_monitor_failed(rein_monitor *dead, rein_process *process, rein_thread *thread, rein_word pc)
{
    char bytes[16];
    size_t count;
    rein_thread **threads = NULL, *found = NULL;
    rein_breakpoint **breakpoints = NULL;
    rein_registers *registers = NULL;
    rein_process *other = NULL;
    struct rein_event event;
    struct rein_cause cause;
    enum rein_state thread_state;
    char *argv[] = {bytes, NULL};
    assert_error_says(rein_process_stop(process, -1), REIN_MONITOR_FAILED, "monitor");
    assert_error(rein_process_continue(process), REIN_MONITOR_FAILED);
    assert_error(rein_process_wait(process, -1), REIN_MONITOR_FAILED);
    assert_error(rein_process_wait(process, 0), REIN_MONITOR_FAILED);
    assert_error(rein_process_next_event(process, -1, &event), REIN_MONITOR_FAILED);
    assert_error(rein_process_detach(process, 0), REIN_MONITOR_FAILED);
    assert_error(rein_process_kill(process), REIN_MONITOR_FAILED);
    assert_error(rein_process_threads(process, &threads, &count), REIN_MONITOR_FAILED);
    assert_null(threads);
    assert_error(rein_process_thread(process, rein_process_id(process), &found), REIN_MONITOR_FAILED);
    assert_error(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE), REIN_MONITOR_FAILED);
    assert_error(rein_process_read(process, pc, bytes, sizeof bytes, NULL), REIN_MONITOR_FAILED);
    assert_error(rein_process_write(process, pc, bytes, 1, NULL), REIN_MONITOR_FAILED);
    assert_error(rein_process_add_breakpoint(process, pc, NULL, NULL), REIN_MONITOR_FAILED);
    assert_error(rein_process_remove_breakpoint(process, pc, 0), REIN_MONITOR_FAILED);
    assert_error(rein_process_breakpoints(process, &breakpoints, &count), REIN_MONITOR_FAILED);
    assert_error(rein_thread_state(thread, &thread_state), REIN_MONITOR_FAILED);
    assert_error(rein_thread_cause(thread, &cause), REIN_MONITOR_FAILED);
    assert_error(rein_thread_step(thread, 0, -1), REIN_MONITOR_FAILED);
    assert_error(rein_thread_stop(thread, -1), REIN_MONITOR_FAILED);
    assert_error(rein_thread_continue(thread), REIN_MONITOR_FAILED);
    assert_error(rein_thread_wait(thread, -1), REIN_MONITOR_FAILED);
    assert_error(rein_thread_registers(thread, &registers), REIN_MONITOR_FAILED);
    assert_int_equal(rein_process_cancel_wait(process), 0);
    if (dead) {
        snprintf(bytes, sizeof bytes, "true");
        assert_error(rein_attach(dead, rein_process_id(process), NULL, &other), REIN_MONITOR_FAILED);
        assert_error(rein_spawn(dead, tool("true"), argv, NULL, NULL, NULL, 0, NULL, &other), REIN_MONITOR_FAILED);
    }
    assert_true(rein_thread_id(thread) > 0); /* what was known is known */
}

static void M8_monitor_killed(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    for (int own = 0; own < 2; own++) {
        struct fixture *fixture = start_ready("sleepers", THREADS, NULL);
        rein_monitor *victim = NULL;
        rein_process *process = NULL;
        struct waiter waiters[WAITS] = {{0}};
        rein_thread **threads = NULL;
        size_t count = 0;
        int fd = -1;
        if (!own)
            assert_ok(rein_monitor_create(NULL, &victim));
        assert_ok(rein_attach(victim, fixture->pid, NULL, &process));
        int id = proc_tracer(fixture->pid, 0);
        assert_true(id > 0 && (own || id == rein_monitor_id(victim)));
        rein_word hot = address_of(fixture, "hot"), middle = address_of(fixture, "main");
        assert_ok(rein_process_add_breakpoint(process, hot, NULL, NULL));
        assert_ok(rein_process_add_breakpoint(process, middle, NULL, NULL));
        assert_ok(rein_process_threads(process, &threads, &count));
        assert_ok(rein_process_event_fd(process, &fd));
        assert_ok(rein_process_continue(process));
        assert_true(harmed_text(fixture) != 0); /* they are in */
        for (int i = 0; i < WAITS; i++) {
            waiters[i] = (struct waiter){.process = process, .thread = threads[1], .what = i};
            assert_int_equal(pthread_create(&waiters[i].pthread, NULL, wait_for_it, &waiters[i]), 0);
        }
        sleep_ms(30);
        assert_int_equal(kill(id, SIGKILL), 0);
        for (int i = 0; i < WAITS; i++) {
            join_soon(waiters[i].pthread);
            assert_int_equal(waiters[i].result, REIN_MONITOR_FAILED);
            assert_says(waiters[i].message, "killed");
        }
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&readable, 1, LIMIT_MS), 1);
        assert_monitor_failed(victim, process, threads[0], hot);
        assert_unharmed(fixture, false);
        rein_thread_list_free(threads, count);
        rein_process_unref(process);
        if (victim)
            assert_ok(rein_monitor_close(victim));
        tell(fixture);
        assert_ends(fixture, 0);
    }
}

/* Stopped threads are let go by the kernel when their tracer dies. */
static void M8_monitor_killed_while_all_are_stopped(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", THREADS, NULL);
    rein_monitor *victim = NULL;
    rein_process *process = NULL;
    assert_ok(rein_monitor_create(NULL, &victim));
    assert_ok(rein_attach(victim, fixture->pid, NULL, &process));
    assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), NULL, NULL));
    assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "cold"), NULL, NULL));
    assert_int_equal(kill(rein_monitor_id(victim), SIGKILL), 0);
    await_free(fixture->pid, LIMIT_MS);
    assert_unharmed(fixture, true);
    assert_error(rein_process_continue(process), REIN_MONITOR_FAILED);
    rein_process_unref(process);
    assert_ok(rein_monitor_close(victim));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- M8: in a storm ---- */

static struct {
    rein_process *process;
    rein_monitor *monitor;
    rein_thread *thread;
    struct fixture *fixture;
    rein_word hot, hot2;
    unsigned moment_us;
} stormy;

static void *call_all_the_time(void *arg)
{
    int *what = arg, result = 0;
    enum rein_state state;
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = go_on;
    while (result != REIN_MONITOR_FAILED && result != REIN_EXITED) {
        if (*what == 0)
            result = rein_process_stop(stormy.process, 10000);
        else if (*what == 1)
            result = rein_process_continue(stormy.process);
        else if (*what == 2)
            result = rein_thread_state(stormy.thread, &state);
        else if (rein_process_add_breakpoint(stormy.process, stormy.hot2, &options, NULL) != REIN_MONITOR_FAILED)
            result = rein_process_remove_breakpoint(stormy.process, stormy.hot2, REIN_BREAKPOINT_WHILE_RUNNING);
        else
            result = REIN_MONITOR_FAILED;
    }
    *what = result;
    return NULL;
}

/* The descriptors of files in /proc/PID that this process has. */
static int count_descriptors_of(int pid)
{
    char beginning[32], name[32], path[256];
    int count = 0;
    snprintf(beginning, sizeof beginning, "/proc/%d/", pid);
    for (int fd = 3; fd < 1000; fd++) {
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(name, path, sizeof path - 1);
        path[size > 0 ? size : 0] = 0;
        count += strncmp(path, beginning, strlen(beginning)) == 0;
    }
    return count;
}

/* What becomes of the tracee cannot be promised (the header says so), but the host goes on. */
static void be_host_of_killed_monitor(void *arg)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    enum { CALLERS = 4 };
    pthread_t callers[CALLERS];
    int what[CALLERS];
    (void)arg;
    options.callback = go_on;
    apart_ok(rein_monitor_create(NULL, &stormy.monitor));
    apart_ok(rein_attach(stormy.monitor, stormy.fixture->pid, NULL, &stormy.process));
    apart_ok(rein_process_thread(stormy.process, stormy.fixture->pid, &stormy.thread));
    apart_ok(rein_process_add_breakpoint(stormy.process, stormy.hot, &options, NULL));
    apart_ok(rein_process_continue(stormy.process));
    for (int i = 0; i < CALLERS; i++) {
        what[i] = i;
        apart_check(pthread_create(&callers[i], NULL, call_all_the_time, &what[i]) == 0);
    }
    struct timespec moment = {0, (long)stormy.moment_us * 1000};
    nanosleep(&moment, NULL);
    apart_check(kill(rein_monitor_id(stormy.monitor), SIGKILL) == 0);
    for (int i = 0; i < CALLERS; i++) {
        apart_check(pthread_join(callers[i], NULL) == 0);
        apart_check(what[i] == REIN_MONITOR_FAILED);
    }
    rein_thread_unref(stormy.thread);
    rein_process_unref(stormy.process);
    apart_ok(rein_monitor_close(stormy.monitor));
    /* A file that it was reading, and one more for what it has found there: the header allows that. */
    apart_check(count_descriptors_of(stormy.fixture->pid) <= 2);
}

/* Does a thread of the process wait for the lock of one of the C library's heaps? glibc's begin at multiples of 64 MiB, with
 * the lock at 0x30: "202 0x7f165c000030 0x80 0x2" is a wait for it. */
static bool waits_for_heap(int pid)
{
    int ids[64];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        char path[64], text[256] = "";
        unsigned long number = 0, word = 0, operation = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", pid, ids[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
            text[0] = 0;
        if (fd >= 0)
            close(fd);
        if (sscanf(text, "%lu %lx %lx", &number, &word, &operation) == 3 && number == SYS_futex && operation == 0x80 &&
            word % (64UL << 20) == 0x30)
            return true;
    }
    return false;
}

static void M8_monitor_killed_in_a_storm(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS || ADDRESS_SANITIZED ||
        THREAD_SANITIZED) /* whose locks are not known here */
        skip();
    int times = rounds();
    alarm((unsigned)(60 + times * 5));
    random_state = (unsigned)getpid();
    for (int i = 0; i < times; i++) {
        struct fixture *fixture = start_ready("spin", "4", NULL);
        int status, pid;
        stormy.fixture = fixture;
        stormy.hot = address_of(fixture, "hot");
        stormy.hot2 = address_of(fixture, "hot2");
        stormy.moment_us = any(20000);
        pid = apart(be_host_of_killed_monitor, NULL);
        bool left_locked = false;
        double limit = now() + LIMIT_S;
        while (waitpid(pid, &status, WNOHANG) == 0) {
            if (now() > limit) {
                /* It was killed in malloc or free, once in a thousand times, and the host waits for what will not come (the
                 * header says so). */
                left_locked = waits_for_heap(pid);
                kill(pid, SIGKILL);
                waitpid(pid, &status, 0);
                if (!left_locked)
                    fail_msg("round %d: the host does not come back", i);
                break;
            }
            sleep_ms(1);
        }
        if (!left_locked && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
            fail_msg("round %d: the host ended with %#x", i, (unsigned)status);
        kill(fixture->pid, SIGKILL);
        fixture->reaped = waitpid(fixture->pid, &fixture->status, 0) == fixture->pid;
        assert_true(fixture->reaped);
    }
}

/* M8_monitor_killed: what the monitor was about to hand over is lost with it, now and then (the header says so). Only for
 * LeakSanitizer, and only for this program. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:monitor_body\n";
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        live_test(M10_killed_library_user),
        live_test(M10_killed_with_a_function_on_the_monitor),
        live_test(M10_host_exits),
        live_test(M10_host_exits_at_once),
        live_test(M10_host_crashes),
        live_test(M10_host_aborts),
        live_test(M10_host_terminated_with_its_group),
        live_test(M10_host_executes_another_program),
        live_test(M10_host_executes_from_a_thread),
        live_test(M10_killed_rein_trace),
        live_test(M8_monitor_killed),
        live_test(M8_monitor_killed_while_all_are_stopped),
        live_test(M8_monitor_killed_in_a_storm),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return live_main(tests);
}
