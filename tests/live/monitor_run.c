/* M1 M8 M10: a function that runs on the monitor as its own work (rein_monitor_run), and its wait for descriptors
 * (rein_monitor_poll), with each kind of monitor. What is not to be true of a kind is skipped there. In the function,
 * which runs in another process perhaps, nothing of cmocka may be used: `want` says what is wrong and returns. Programs:
 * spin, sleepers, show_start. */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "apart.h"

#define SOON_S (2.0 * live_slow() * (ADDRESS_SANITIZED || THREAD_SANITIZED ? 4 : 1)) /* far below LIMIT_S */
#define WANT_FAILED (-1000)                                                          /* no rein_error */

/* ---- In the function ---- */

static char wrong[512];

static int note_wrong(int line, const char *what, int result)
{
    if (!wrong[0])
        snprintf(wrong, sizeof wrong, "line %d: %s (%s; errno %d; rein: \"%s\")", line, what, rein_error_name(result),
                 errno, rein_error_message());
    return WANT_FAILED;
}

#define want(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return note_wrong(__LINE__, #condition, 0);                                                                \
    } while (0)
#define want_result(call, expected)                                                                                    \
    do {                                                                                                               \
        int result_ = (call);                                                                                          \
        if (result_ != (expected))                                                                                     \
            return note_wrong(__LINE__, #call, result_);                                                               \
    } while (0)
#define want_ok(call) want_result(call, 0)

/* ---- What the function and the test share ---- */

struct work {
    rein_monitor *monitor;
    struct fixture *fixture;
    rein_process *process;
    rein_thread *thread;
    rein_breakpoint *breakpoint;
    rein_word hot;
    int ends[2];         /* a pipe, empty at first */
    atomic_bool polling; /* the function is about to wait */
    atomic_int rounds;
    double said_at, heard_at;
};

static void work_begin(struct work *work)
{
    *work = (struct work){.monitor = monitor};
    assert_int_equal(pipe2(work->ends, O_CLOEXEC), 0);
}

static void work_end(struct work *work)
{
    close(work->ends[0]);
    close(work->ends[1]);
}

static void hold(struct work *work, const char *threads)
{
    work->fixture = start_ready("spin", threads, NULL);
    work->process = attach(work->fixture);
    work->thread = first_thread(work->process);
    work->hot = address_of(work->fixture, "hot");
}

static void let_go(struct work *work)
{
    assert_ok(rein_process_detach(work->process, 0));
    assert_free(work->fixture->pid);
    tell(work->fixture);
    assert_ends(work->fixture, 0);
}

static void run(int (*function)(void *arg), void *arg)
{
    wrong[0] = 0;
    int result = rein_monitor_run(monitor, function, arg);
    if (wrong[0])
        fail_msg("%s", wrong);
    assert_ok(result);
}

/* Is the thread asleep that is the monitor? */
static bool is_asleep(int id)
{
    return proc_state(monitor_kind() == REIN_MONITOR_PROCESS ? id : getpid(), id) == 'S';
}

/* For a thread of the host: until the function waits, as far as can be seen. What follows is right at any moment; so it
 * comes at the one that is meant. */
static void await_polling(struct work *work, int id)
{
    for (double limit = now() + LIMIT_S; now() < limit && !(atomic_load(&work->polling) && is_asleep(id));)
        sleep_ms(1);
}

static void say(struct work *work)
{
    work->said_at = now();
    if (write(work->ends[1], "", 1) != 1)
        note_wrong(__LINE__, "write", 0);
}

/* Waits for the pipe. */
static int poll_pipe(struct work *work)
{
    struct pollfd fd = {.fd = work->ends[0], .events = POLLIN};
    int ready = -1;
    atomic_store(&work->polling, true);
    want_ok(rein_monitor_poll(work->monitor, &fd, 1, LIMIT_MS, &ready));
    work->heard_at = now();
    want(ready == 1);
    want(fd.revents == POLLIN);
    return 0;
}

/* ---- The function ---- */

struct answer {
    int result, process_id, thread_id;
    char message[256];
};

static int return_77(void *arg)
{
    struct answer *answer = arg;
    answer->process_id = getpid();
    answer->thread_id = (int)syscall(SYS_gettid);
    return 77;
}

static int attach_to_nobody(void *arg)
{
    struct answer *answer = arg;
    rein_process *none = NULL;
    int result = rein_attach(monitor, 0x7ffffff, NULL, &none);
    snprintf(answer->message, sizeof answer->message, "%s", rein_error_message());
    return result;
}

static int run_again(void *arg)
{
    return rein_monitor_run(monitor, return_77, arg);
}

static void M1_what_the_function_returns(void **state)
{
    (void)state;
    struct answer answer = {0};
    assert_int_equal(rein_monitor_run(monitor, return_77, &answer), 77);
    assert_int_equal(answer.thread_id, rein_monitor_id(monitor));
    assert_int_equal(answer.process_id != getpid(), monitor_kind() == REIN_MONITOR_PROCESS);
    if (monitor_kind() == REIN_MONITOR_PROCESS)
        assert_int_equal(answer.process_id, rein_monitor_id(monitor));
    assert_int_equal(rein_monitor_run(monitor, run_again, &answer), 77); /* at once, being there already */
    for (int i = 0; i < 3; i++) {
        assert_error_says(rein_monitor_run(monitor, attach_to_nobody, &answer), REIN_NO_PROCESS, answer.message);
        assert_true(answer.message[0]);
    }
    assert_error(rein_monitor_run(NULL, return_77, &answer), REIN_INVALID_ARGUMENT);
    assert_error(rein_monitor_run(monitor, NULL, &answer), REIN_INVALID_ARGUMENT);
}

static int stop_and_step(struct work *work)
{
    struct rein_event event;
    rein_word pc = 0;
    rein_registers *registers = NULL;
    want_ok(rein_process_continue(work->process));
    want_ok(rein_process_stop(work->process, LIMIT_MS));
    want_result(rein_process_next_event(work->process, 0, &event), REIN_TIMEOUT);
    want_ok(rein_process_add_breakpoint(work->process, work->hot, NULL, NULL));
    want_ok(rein_process_continue(work->process));
    want_ok(rein_process_next_event(work->process, LIMIT_MS, &event));
    want(event.cause.kind == REIN_CAUSE_BREAKPOINT);
    want_ok(rein_thread_registers(event.thread, &registers));
    want_ok(rein_registers_pc(registers, &pc));
    rein_registers_free(registers);
    want(pc == work->hot);
    want_ok(rein_thread_step(event.thread, 0, LIMIT_MS));
    rein_event_clear(&event);
    want_ok(rein_process_remove_breakpoint(work->process, work->hot, 0));
    want_ok(rein_process_continue(work->process));
    /* Its time limit passes: the request is taken back. */
    want_result(rein_process_wait(work->process, 20), REIN_TIMEOUT);
    want_ok(rein_process_stop(work->process, LIMIT_MS));
    return 0;
}

static int make_and_kill(struct work *work)
{
    char *argv[] = {(char *)(uintptr_t) "spin", (char *)(uintptr_t) "2", NULL};
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    rein_process *made = NULL;
    struct rein_exit how;
    options.flags = REIN_SPAWN_NULL_STDIO;
    want_ok(rein_spawn(work->monitor, fixture_path("spin"), argv, NULL, NULL, NULL, 0, &options, &made));
    want_ok(rein_process_continue(made));
    want_ok(rein_process_kill(made));
    want_result(rein_process_wait(made, LIMIT_MS), REIN_EXITED);
    want_ok(rein_process_exit(made, &how));
    want(how.signaled);
    rein_process_unref(made);
    return 0;
}

static int call_what_waits(void *arg)
{
    struct work *work = arg;
    want_ok(rein_attach(work->monitor, work->fixture->pid, NULL, &work->process));
    int result = stop_and_step(work);
    if (!result)
        result = make_and_kill(work);
    if (!result)
        want_ok(rein_process_detach(work->process, 0));
    return result;
}

static void M1_calls_that_wait(void **state)
{
    (void)state;
    struct work work;
    work_begin(&work);
    work.fixture = start_ready("spin", "2", NULL);
    work.hot = address_of(work.fixture, "hot");
    for (int i = 0; i < 5; i++) {
        run(call_what_waits, &work);
        rein_process_unref(work.process);
        assert_free(work.fixture->pid);
    }
    tell(work.fixture);
    assert_ends(work.fixture, 0);
    work_end(&work);
}

/* ---- Its poll ---- */

#define MANY 40 /* more than rein has room for at hand */

struct descriptors {
    struct pollfd fds[MANY];
    size_t count;
};

/* It answers as poll(2) does. */
static int compare_polls(struct descriptors *all, int timeout_ms)
{
    struct pollfd expected[MANY], seen[MANY];
    int ready = -1;
    memcpy(expected, all->fds, sizeof expected);
    memcpy(seen, all->fds, sizeof seen);
    int expected_ready = poll(expected, all->count, 0);
    want_ok(rein_monitor_poll(monitor, seen, all->count, timeout_ms, &ready));
    want(ready == expected_ready);
    for (size_t i = 0; i < all->count; i++) {
        want(seen[i].fd == expected[i].fd);
        want(seen[i].events == expected[i].events);
        want(seen[i].revents == expected[i].revents);
    }
    return 0;
}

static int poll_pipes(void *arg)
{
    struct work *work = arg;
    struct descriptors all = {.count = 0};
    int ready = -1;
    want_ok(rein_monitor_poll(monitor, NULL, 0, 0, &ready));
    want(ready == 0);
    ready = -1;
    double begin = now();
    want_ok(rein_monitor_poll(monitor, NULL, 0, 30, &ready));
    want(ready == 0 && now() - begin >= 0.03);
    for (size_t i = 0; i < MANY; i++)
        all.fds[i] = (struct pollfd){.fd = work->ends[0], .events = POLLIN, .revents = POLLERR};
    for (all.count = 1; all.count <= MANY; all.count += all.count < 30 ? 29 : 1) { /* none is ready */
        want_ok(compare_polls(&all, 0));
        begin = now();
        want_ok(compare_polls(&all, 5));
        want(now() - begin >= 0.005);
    }
    for (all.count = 1; all.count <= MANY; all.count += all.count < 30 ? 29 : 1) { /* the last is */
        all.fds[all.count - 1] = (struct pollfd){.fd = work->ends[1], .events = POLLOUT};
        want_ok(compare_polls(&all, 0));
        want_ok(compare_polls(&all, LIMIT_MS));
        want_ok(compare_polls(&all, -1));
        all.fds[all.count - 1].fd = -1; /* which poll leaves out */
    }
    return 0;
}

static void M1_polls_as_poll_does(void **state)
{
    (void)state;
    struct work work;
    work_begin(&work);
    run(poll_pipes, &work);
    hold(&work, "1"); /* and with somebody to be seen to */
    assert_ok(rein_process_continue(work.process));
    run(poll_pipes, &work);
    let_go(&work);
    work_end(&work);
}

static int poll_closed(void *arg)
{
    struct descriptors *all = arg;
    want_ok(compare_polls(all, 0));
    want_ok(compare_polls(all, -1)); /* it does not wait */
    return 0;
}

static void M1_a_closed_descriptor(void **state)
{
    (void)state;
    struct work work;
    work_begin(&work);
    struct descriptors all = {.count = 2};
    int closed = 900;
    assert_int_equal(fcntl(closed, F_GETFD), -1);
    all.fds[0] = (struct pollfd){.fd = work.ends[0], .events = POLLIN};
    all.fds[1] = (struct pollfd){.fd = closed, .events = POLLIN};
    struct pollfd alone = {.fd = closed};
    assert_int_equal(poll(&alone, 1, 0), 1);
    assert_int_equal(alone.revents, POLLNVAL);
    run(poll_closed, &all);
    work_end(&work);
}

static void *say_when_it_polls(void *arg)
{
    struct work *work = arg;
    await_polling(work, work->rounds);
    say(work);
    return NULL;
}

static int poll_the_pipe(void *arg)
{
    return poll_pipe(arg);
}

static void hear_at_once(struct work *work)
{
    pthread_t helper;
    char byte;
    work->polling = false;
    atomic_store(&work->rounds, rein_monitor_id(monitor));
    assert_int_equal(pthread_create(&helper, NULL, say_when_it_polls, work), 0);
    run(poll_the_pipe, work);
    assert_int_equal(pthread_join(helper, NULL), 0);
    assert_true(work->heard_at - work->said_at < SOON_S);
    assert_int_equal(read(work->ends[0], &byte, 1), 1);
}

/* With nobody held, with one that is stopped, and with one that runs. */
static void M1_a_descriptor_ends_the_poll(void **state)
{
    (void)state;
    struct work work;
    work_begin(&work);
    hear_at_once(&work);
    hold(&work, "2");
    hear_at_once(&work);
    assert_ok(rein_process_continue(work.process));
    for (int i = 0; i < 10; i++)
        hear_at_once(&work);
    let_go(&work);
    work_end(&work);
}

static int poll_events(void *arg)
{
    struct work *work = arg;
    int event_fd = -1;
    struct rein_event event;
    want_ok(rein_process_event_fd(work->process, &event_fd));
    for (int i = 0; i < 50; i++) {
        struct pollfd fds[] = {{.fd = work->ends[0], .events = POLLIN}, {.fd = event_fd, .events = POLLIN}};
        int ready = -1;
        want_ok(rein_process_continue(work->process));
        double begin = now();
        want_ok(rein_monitor_poll(work->monitor, fds, 2, LIMIT_MS, &ready));
        want(now() - begin < SOON_S);
        want(ready == 1 && !fds[0].revents && fds[1].revents == POLLIN);
        want_ok(rein_process_next_event(work->process, 0, &event));
        want(event.cause.kind == REIN_CAUSE_BREAKPOINT);
        rein_event_clear(&event);
        want_result(rein_process_next_event(work->process, 0, &event), REIN_TIMEOUT);
    }
    return 0;
}

static void M1_an_event_ends_the_poll(void **state)
{
    (void)state;
    struct work work;
    work_begin(&work);
    hold(&work, "1");
    add_breakpoint(work.process, work.hot);
    run(poll_events, &work);
    let_go(&work);
    work_end(&work);
}

/* ---- Who may not ---- */

static int refused_in_a_call(void *arg)
{
    struct answer answer;
    int ready = 0;
    (void)arg;
    if (rein_monitor_poll(monitor, NULL, 0, 0, &ready) != REIN_ON_MONITOR || !*rein_error_message())
        return 1;
    return rein_monitor_run(monitor, return_77, &answer) == REIN_ON_MONITOR && *rein_error_message() ? 0 : 2;
}

static void *refused_elsewhere(void *arg)
{
    struct answer answer;
    int ready = 0, *result = arg;
    *result = rein_monitor_poll(monitor, NULL, 0, 0, &ready);
    if (*result == REIN_WRONG_THREAD && monitor_kind() == REIN_MONITOR_LENT)
        *result = rein_monitor_run(monitor, return_77, &answer);
    return NULL;
}

static int refused_arguments(void *arg)
{
    int ready = 0;
    (void)arg;
    want_result(rein_monitor_poll(monitor, NULL, 1, 0, &ready), REIN_INVALID_ARGUMENT);
    want_result(rein_monitor_poll(monitor, NULL, 0, 0, NULL), REIN_INVALID_ARGUMENT);
    want_result(rein_monitor_poll(NULL, NULL, 0, 0, &ready), REIN_INVALID_ARGUMENT);
    want_ok(rein_monitor_call(monitor, refused_in_a_call, NULL)); /* what is atomic cannot wait */
    if (monitor_kind() != REIN_MONITOR_LENT)
        want_result(rein_monitor_close(monitor), REIN_ON_MONITOR);
    return 0;
}

static void M1_who_may_not_poll(void **state)
{
    (void)state;
    int ready = 0, result = 0;
    pthread_t other;
    run(refused_arguments, NULL);
    assert_ok(rein_monitor_call(monitor, refused_in_a_call, NULL));
    assert_int_equal(pthread_create(&other, NULL, refused_elsewhere, &result), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_int_equal(result, REIN_WRONG_THREAD);
    if (monitor_kind() == REIN_MONITOR_LENT) /* who needs no rein_monitor_run */
        assert_ok(rein_monitor_poll(monitor, NULL, 0, 0, &ready));
    else
        assert_error_says(rein_monitor_poll(monitor, NULL, 0, 0, &ready), REIN_WRONG_THREAD, "rein_monitor_run");
}

/* ---- Callbacks ---- */

static enum rein_verdict try_to_wait(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct work *work = arg;
    struct answer answer;
    int ready;
    (void)breakpoint;
    if (rein_process_wait(rein_thread_process(thread), -1) != REIN_ON_MONITOR)
        note_wrong(__LINE__, "rein_process_wait in a callback", 0);
    if (rein_monitor_poll(work->monitor, NULL, 0, 0, &ready) != REIN_ON_MONITOR)
        note_wrong(__LINE__, "rein_monitor_poll in a callback", 0);
    if (rein_monitor_run(work->monitor, return_77, &answer) != REIN_ON_MONITOR)
        note_wrong(__LINE__, "rein_monitor_run in a callback", 0);
    if (atomic_fetch_add(&work->rounds, 1) == 20)
        say(work);
    return REIN_VERDICT_GO_ON;
}

static void add_callback(struct work *work, rein_breakpoint_callback callback)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.callback = callback;
    options.arg = work;
    assert_ok(rein_process_add_breakpoint(work->process, work->hot, &options, &work->breakpoint));
    later_unref_breakpoint(work->breakpoint);
}

static void M1_callbacks_while_it_polls(void **state)
{
    (void)state;
    struct work work;
    work_begin(&work);
    hold(&work, "2");
    add_callback(&work, try_to_wait);
    assert_ok(rein_process_continue(work.process));
    run(poll_the_pipe, &work);
    let_go(&work);
    work_end(&work);
}

/* ---- Storms ---- */

static void *say_in_the_storm(void *arg)
{
    struct work *work = arg;
    for (double limit = now() + LIMIT_S; now() < limit && rein_breakpoint_hits(work->breakpoint) < 500;)
        sleep_ms(1);
    say(work);
    return NULL;
}

/* Hits come as fast as they are handled, with many threads so that there is no pause between them; the descriptor is
 * noticed all the same. */
static void poll_in_a_storm(const char *threads, rein_bytecode *condition)
{
    struct work work;
    pthread_t helper;
    work_begin(&work);
    hold(&work, threads);
    add_callback(&work, go_on);
    assert_ok(rein_breakpoint_set_condition(work.breakpoint, condition));
    assert_int_equal(pthread_create(&helper, NULL, say_in_the_storm, &work), 0);
    assert_ok(rein_process_continue(work.process));
    run(poll_the_pipe, &work);
    assert_int_equal(pthread_join(helper, NULL), 0);
    assert_true(rein_breakpoint_hits(work.breakpoint) >= 500);
    assert_true(work.heard_at - work.said_at < SOON_S / 4);
    let_go(&work);
    work_end(&work);
}

static void M1_a_descriptor_in_a_storm(void **state)
{
    (void)state;
    static const unsigned char never[] = {0x22, 0, 0x27}; /* const8 0, end */
    rein_bytecode *condition = NULL;
    assert_ok(rein_bytecode_create(never, sizeof never, &condition));
    poll_in_a_storm("1", NULL);
    poll_in_a_storm("1", condition);
    poll_in_a_storm("60", NULL);
    poll_in_a_storm("60", condition);
    rein_bytecode_unref(condition);
}

/* ---- Many events ---- */

#define THREADS 200 /* beside its leader */
#define ROUNDS 5
#define ASKED_FOR (SIGRTMIN + 3) /* of no use to the program; it queues */

struct crowd {
    struct work work;
    int ids[THREADS + 8], counts[THREADS + 8];
    size_t alive;
    int failed;
};

static enum rein_verdict drop_signal(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)arg;
    if (cause->kind == REIN_CAUSE_SIGNAL)
        rein_thread_set_signal(thread, 0);
    return REIN_VERDICT_POLICY;
}

static void *send_to_all(void *arg)
{
    struct crowd *crowd = arg;
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = ASKED_FOR;
    info.si_code = SI_QUEUE;
    await_polling(&crowd->work, crowd->work.rounds);
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < crowd->alive; i++)
            if (syscall(SYS_rt_tgsigqueueinfo, crowd->work.fixture->pid, crowd->ids[i], ASKED_FOR, &info) != 0)
                crowd->failed++;
    return NULL;
}

static int take_all(struct crowd *crowd, size_t *taken)
{
    struct rein_event event;
    int result;
    while (!(result = rein_process_next_event(crowd->work.process, 0, &event))) {
        int id = rein_thread_id(event.thread);
        want(event.cause.kind == REIN_CAUSE_SIGNAL);
        for (size_t i = 0; i < crowd->alive; i++)
            crowd->counts[i] += crowd->ids[i] == id;
        rein_event_clear(&event);
        ++*taken;
    }
    want_result(result, REIN_TIMEOUT);
    return 0;
}

static int poll_a_crowd(void *arg)
{
    struct crowd *crowd = arg;
    size_t taken = 0;
    struct pollfd fd = {.events = POLLIN};
    want_ok(rein_process_event_fd(crowd->work.process, &fd.fd));
    atomic_store(&crowd->work.polling, true);
    while (taken < crowd->alive * ROUNDS) {
        int ready = 0;
        want_ok(rein_monitor_poll(monitor, &fd, 1, LIMIT_MS, &ready));
        want(ready == 1);
        want_ok(take_all(crowd, &taken));
    }
    want(taken == crowd->alive * ROUNDS);
    return 0;
}

static void M1_no_event_is_lost_while_it_polls(void **state)
{
    (void)state;
    static struct crowd crowd;
    pthread_t helper;
    memset(&crowd, 0, sizeof crowd);
    work_begin(&crowd.work);
    struct work *work = &crowd.work;
    work->fixture = start_ready("sleepers", "200", NULL);
    work->process = attach(work->fixture);
    crowd.alive = proc_threads(work->fixture->pid, crowd.ids, THREADS + 8);
    assert_true(crowd.alive >= THREADS && crowd.alive <= THREADS + 8);
    assert_ok(rein_process_set_policy(work->process, REIN_CAUSE_SIGNAL, REIN_REPORT));
    assert_ok(rein_process_set_callback(work->process, drop_signal, NULL));
    assert_ok(rein_process_continue(work->process));
    work->rounds = rein_monitor_id(monitor);
    assert_int_equal(pthread_create(&helper, NULL, send_to_all, &crowd), 0);
    run(poll_a_crowd, &crowd);
    assert_int_equal(pthread_join(helper, NULL), 0);
    assert_int_equal(crowd.failed, 0);
    for (size_t i = 0; i < crowd.alive; i++)
        assert_int_equal(crowd.counts[i], ROUNDS);
    let_go(work);
    work_end(work);
}

/* ---- Other threads of the host ---- */

static const char *ask_a_lot(struct work *work)
{
    rein_registers *registers = NULL;
    rein_word pc;
    for (int i = 0; i < 50; i++) {
        if (rein_process_stop(work->process, LIMIT_MS) != 0)
            return "rein_process_stop";
        if (rein_thread_registers(work->thread, &registers) != 0 || rein_registers_pc(registers, &pc) != 0)
            return "rein_thread_registers";
        rein_registers_free(registers);
        int ready = 0;
        if (rein_monitor_poll(work->monitor, NULL, 0, 0, &ready) != REIN_WRONG_THREAD)
            return "rein_monitor_poll by another thread";
        if (rein_process_continue(work->process) != 0)
            return "rein_process_continue";
    }
    return NULL;
}

static void *ask_while_it_polls(void *arg)
{
    struct work *work = arg;
    struct answer answer;
    await_polling(work, work->rounds);
    const char *what = ask_a_lot(work);
    if (what)
        note_wrong(__LINE__, what, 0);
    if (rein_monitor_run(work->monitor, return_77, &answer) != REIN_BAD_STATE || !*rein_error_message())
        note_wrong(__LINE__, "a second rein_monitor_run", 0);
    say(work);
    return NULL;
}

static void M1_others_are_answered_while_it_polls(void **state)
{
    (void)state;
    skip_if_lent();
    struct work work;
    struct answer answer;
    pthread_t helper;
    work_begin(&work);
    hold(&work, "2");
    assert_ok(rein_process_continue(work.process));
    work.rounds = rein_monitor_id(monitor);
    assert_int_equal(pthread_create(&helper, NULL, ask_while_it_polls, &work), 0);
    run(poll_the_pipe, &work);
    assert_int_equal(pthread_join(helper, NULL), 0);
    if (wrong[0])
        fail_msg("%s", wrong);
    assert_int_equal(rein_monitor_run(monitor, return_77, &answer), 77); /* it has ended, and another may run */
    let_go(&work);
    work_end(&work);
}

static struct work *cancelled;

static void cancel_by_signal(int number)
{
    (void)number;
    rein_process_cancel_wait(cancelled->process);
}

struct canceller {
    struct work *work;
    pthread_t host;
    bool by_signal;
};

static void *cancel_when_it_waits(void *arg)
{
    struct canceller *canceller = arg;
    await_polling(canceller->work, canceller->work->rounds);
    canceller->work->said_at = now();
    if (canceller->by_signal)
        pthread_kill(canceller->host, SIGUSR1);
    else
        rein_process_cancel_wait(canceller->work->process);
    return NULL;
}

static int wait_until_cancelled(void *arg)
{
    struct work *work = arg;
    struct rein_event event;
    atomic_store(&work->polling, true);
    want_result(rein_process_next_event(work->process, LIMIT_MS, &event), REIN_CANCELLED);
    work->heard_at = now();
    return 0;
}

/* By another thread, and by the handler of a signal that the host's own thread gets. */
static void M1_cancelled_in_the_function(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = cancel_by_signal, .sa_flags = SA_RESTART}, before;
    struct work work;
    work_begin(&work);
    hold(&work, "1");
    cancelled = &work;
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    assert_ok(rein_process_continue(work.process));
    double soonest = LIMIT_S; /* of several: the machine may be busy */
    for (int i = 0; i < 10; i++) {
        /* ThreadSanitizer keeps a handler from running until the thread comes out of rein's sleep. */
        struct canceller canceller = {&work, pthread_self(), i % 2 && !THREAD_SANITIZED};
        pthread_t helper;
        work.polling = false;
        work.rounds = rein_monitor_id(monitor);
        assert_int_equal(pthread_create(&helper, NULL, cancel_when_it_waits, &canceller), 0);
        run(wait_until_cancelled, &work);
        assert_int_equal(pthread_join(helper, NULL), 0);
        if (work.heard_at - work.said_at < soonest)
            soonest = work.heard_at - work.said_at;
    }
    assert_true(soonest < SOON_S / 4);
    assert_int_equal(sigaction(SIGUSR1, &before, NULL), 0);
    let_go(&work);
    work_end(&work);
}

/* ---- Its monitor is closed ---- */

static rein_monitor *make(void)
{
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *made = NULL;
    options.kind = monitor_kind();
    set_log(&options);
    assert_ok(rein_monitor_create(&options, &made));
    return made;
}

static void *close_while_it_runs(void *arg)
{
    struct work *work = arg;
    await_polling(work, work->rounds);
    return (void *)(intptr_t)rein_monitor_close(work->monitor);
}

static int poll_until_closed(void *arg)
{
    struct work *work = arg;
    struct pollfd fd = {.fd = work->ends[0], .events = POLLIN};
    int ready = -1;
    atomic_store(&work->polling, true);
    want_result(rein_monitor_poll(work->monitor, &fd, 1, LIMIT_MS, &ready), REIN_CLOSED);
    want(ready == 0);
    want_result(rein_monitor_poll(work->monitor, &fd, 1, LIMIT_MS, &ready), REIN_CLOSED); /* nor later */
    return 77;
}

/* What it waits for is told as to any thread of the host. */
static int wait_until_closed(void *arg)
{
    struct work *work = arg;
    struct rein_event event;
    int ready = -1;
    atomic_store(&work->polling, true);
    int result = rein_process_next_event(work->process, LIMIT_MS, &event);
    want(result == REIN_DETACHED || result == REIN_CLOSED);
    want_result(rein_monitor_poll(work->monitor, NULL, 0, LIMIT_MS, &ready), REIN_CLOSED);
    return 77;
}

static int wait_for_any_until_closed(void *arg)
{
    struct work *work = arg;
    struct rein_event event;
    rein_process *again = NULL;
    atomic_store(&work->polling, true);
    want_result(rein_monitor_next_event(work->monitor, -1, &event), REIN_NO_PROCESS);
    /* What it takes hold of all the same is let go. */
    int result = rein_attach(work->monitor, work->fixture->pid, NULL, &again);
    want(result == 0 || (result < 0 && *rein_error_message()));
    rein_process_unref(again);
    return 77;
}

static void close_while(int (*function)(void *arg))
{
    struct work work;
    pthread_t helper;
    void *closed;
    work_begin(&work);
    work.monitor = make();
    work.fixture = start_ready("spin", "2", NULL);
    work.rounds = rein_monitor_id(work.monitor);
    assert_ok(rein_attach(work.monitor, work.fixture->pid, NULL, &work.process));
    later_unref_process(work.process);
    add_breakpoint(work.process, address_of(work.fixture, "cold")); /* in memory, but nobody comes there */
    assert_ok(rein_process_continue(work.process));
    wrong[0] = 0;
    assert_int_equal(pthread_create(&helper, NULL, close_while_it_runs, &work), 0);
    double begin = now();
    int result = rein_monitor_run(work.monitor, function, &work);
    assert_int_equal(pthread_join(helper, &closed), 0);
    if (wrong[0])
        fail_msg("%s", wrong);
    assert_int_equal(result, 77);
    assert_true(now() - begin < LIMIT_S / 2);
    assert_int_equal((int)(intptr_t)closed, 0);
    assert_unharmed(work.fixture, true);
    tell(work.fixture);
    assert_ends(work.fixture, 0);
    work_end(&work);
}

static void M1_closed_while_it_polls(void **state)
{
    (void)state;
    skip_if_lent(); /* whom only its own thread can close */
    close_while(poll_until_closed);
}

static void M1_closed_while_it_waits(void **state)
{
    (void)state;
    skip_if_lent();
    close_while(wait_until_closed);
    close_while(wait_for_any_until_closed);
}

/* ---- What it starts ---- */

static int start_in_the_function(void *arg)
{
    struct work *work = arg;
    char *argv[] = {(char *)(uintptr_t) "show_start", NULL};
    int fds[] = {-1, work->ends[1], 2};
    rein_process *made = NULL;
    want_ok(rein_spawn(work->monitor, fixture_path("show_start"), argv, NULL, NULL, fds, 3, NULL, &made));
    want_ok(rein_process_set_policy(made, REIN_CAUSE_COUNT, REIN_IGNORE));
    want_ok(rein_process_continue(made));
    want_result(rein_process_wait(made, LIMIT_MS), REIN_EXITED);
    rein_process_unref(made);
    return 0;
}

/* How many lines begin so; *last: the number in the last one. */
static int lines_that_begin(const char *text, const char *beginning, int *last)
{
    int count = 0;
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, beginning, strlen(beginning)) == 0) {
            *last = atoi(line + strlen(beginning));
            count++;
        }
    }
    return count;
}

static void M1_what_it_starts_inherits_from_the_caller(void **state)
{
    (void)state;
    struct work work;
    static char text[65536];
    sigset_t some, before;
    int value = 0;
    work_begin(&work);
    hold(&work, "1"); /* a monitor that attaches leaves the host's process group */
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &some, &before);
    run(start_in_the_function, &work);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (monitor_kind() == REIN_MONITOR_PROCESS)
        assert_int_not_equal(getpgid(rein_monitor_id(monitor)), getpgrp());
    close(work.ends[1]);
    size_t size = 0;
    for (ssize_t got; (got = read(work.ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    text[size] = 0;
    assert_says(text, "\nok show_start\n");
    assert_int_equal(lines_that_begin(text, "id blocked ", &value), 1);
    assert_int_equal(value, SIGUSR2);
    assert_int_equal(lines_that_begin(text, "id group ", &value), 1);
    assert_int_equal(value, getpgrp());
    let_go(&work);
    close(work.ends[0]);
}

/* ---- The host's death ---- */

enum occupation { POLLING, WAITING, STOPPING, COMPUTING, OCCUPATIONS };

static const char *const occupation_names[] = {"polling", "waiting", "stopping", "computing"};

struct host {
    struct fixture *fixture;
    rein_word hot;
    enum occupation occupation;
    int report; /* where it says its monitor's id, when hits come */
    rein_monitor *monitor;
    rein_process *process;
    rein_breakpoint *breakpoint;
};

__attribute__((noreturn)) static void keep_at_it(struct host *host)
{
    volatile unsigned long steps = 0;
    struct rein_event event;
    int ready = 0;
    for (;;) {
        switch (host->occupation) {
        case POLLING:
            apart_ok(rein_monitor_poll(host->monitor, NULL, 0, -1, &ready));
            break;
        case WAITING:
            apart_ok(rein_process_next_event(host->process, -1, &event)); /* of which there are none */
            break;
        case STOPPING:
            apart_ok(rein_process_stop(host->process, LIMIT_MS));
            apart_ok(rein_process_continue(host->process));
            break;
        default:
            steps = steps + 1;
        }
    }
}

static int be_the_hosts_work(void *arg)
{
    struct host *host = arg;
    int ready = 0, id = getpid();
    apart_ok(rein_process_continue(host->process));
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(host->breakpoint) < 50;) {
        apart_check(now() < limit);
        apart_ok(rein_monitor_poll(host->monitor, NULL, 0, 1, &ready));
    }
    apart_check(write(host->report, &id, sizeof id) == sizeof id);
    keep_at_it(host);
}

static void be_host(void *arg)
{
    struct host *host = arg;
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.callback = go_on;
    apart_ok(rein_monitor_create(NULL, &host->monitor));
    apart_ok(rein_attach(host->monitor, host->fixture->pid, NULL, &host->process));
    apart_ok(rein_process_add_breakpoint(host->process, host->hot, &options, &host->breakpoint));
    apart_ok(rein_monitor_run(host->monitor, be_the_hosts_work, host));
    apart_check(false /* the function has returned */);
}

static void await_end(int monitor_id)
{
    for (double limit = now() + LIMIT_S; kill(monitor_id, 0) == 0 && proc_state(monitor_id, 0) != 'Z';) {
        if (now() > limit)
            fail_msg("the monitor %d is still there", monitor_id);
        sleep_ms(1);
    }
}

static void kill_a_host(struct fixture *fixture, enum occupation occupation, unsigned moment_us)
{
    struct host host = {.fixture = fixture, .hot = address_of(fixture, "hot"), .occupation = occupation};
    int ends[2], id = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    host.report = ends[1];
    int pid = apart(be_host, &host);
    close(ends[1]);
    ssize_t told = read(ends[0], &id, sizeof id);
    close(ends[0]);
    if (told != sizeof id)
        fail_msg("the host (%s) ended with %#x", occupation_names[occupation], (unsigned)apart_end(pid, LIMIT_MS));
    usleep(moment_us); /* so that it is not always in the same place */
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status = apart_end(pid, LIMIT_MS);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the host (%s) had ended with %#x", occupation_names[occupation], (unsigned)status);
    await_free(fixture->pid, LIMIT_MS);
    assert_unharmed(fixture, true);
    await_end(id);
}

static void kill_hosts(enum occupation occupation, unsigned times)
{
    if (monitor_kind() != REIN_MONITOR_PROCESS) /* the header says that the others cannot do this */
        skip();
    struct fixture *fixture = start_ready("spin", "4", NULL);
    for (unsigned i = 0; i < times; i++)
        kill_a_host(fixture, occupation, i * 70);
    tell(fixture);
    assert_ends(fixture, 0);
}

static void M10_the_host_is_killed_while_it_polls(void **state)
{
    (void)state;
    kill_hosts(POLLING, 10);
}

static void M10_the_host_is_killed_while_it_waits(void **state)
{
    (void)state;
    kill_hosts(WAITING, 10);
}

static void M10_the_host_is_killed_while_it_stops(void **state)
{
    (void)state;
    kill_hosts(STOPPING, 10);
}

/* It takes the monitor a second to notice. */
static void M10_the_host_is_killed_while_it_computes(void **state)
{
    (void)state;
    kill_hosts(COMPUTING, 3);
}

/* ---- The monitor's death ---- */

static void *kill_the_monitor(void *arg)
{
    struct work *work = arg;
    await_polling(work, work->rounds);
    kill(work->rounds, SIGKILL);
    return NULL;
}

static int poll_until_killed(void *arg)
{
    poll_pipe(arg);
    return 77;
}

static void M8_the_monitor_is_killed_while_it_polls(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct work work;
    struct answer answer;
    pthread_t helper;
    work_begin(&work);
    work.monitor = make();
    work.fixture = start_ready("spin", "2", NULL);
    work.rounds = rein_monitor_id(work.monitor);
    assert_ok(rein_attach(work.monitor, work.fixture->pid, NULL, &work.process));
    later_unref_process(work.process);
    assert_ok(rein_process_continue(work.process));
    assert_int_equal(pthread_create(&helper, NULL, kill_the_monitor, &work), 0);
    double begin = now();
    assert_error_says(rein_monitor_run(work.monitor, poll_until_killed, &work), REIN_MONITOR_FAILED, "monitor");
    assert_true(now() - begin < LIMIT_S / 2);
    assert_int_equal(pthread_join(helper, NULL), 0);
    assert_error(rein_monitor_run(work.monitor, return_77, &answer), REIN_MONITOR_FAILED);
    int result = rein_monitor_close(work.monitor);
    assert_true(result == 0 || result == REIN_MONITOR_FAILED);
    assert_free(work.fixture->pid);
    tell(work.fixture);
    assert_ends(work.fixture, 0);
    work_end(&work);
}

/* ---- What waiting costs ---- */

struct cost {
    double processor_s, lasted_s;
    long switches;
};

static double thread_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* In the function: of a wait for what does not come. */
static int measure_poll(struct work *work, struct cost *cost)
{
    struct pollfd fd = {.fd = work->ends[0], .events = POLLIN};
    struct rusage before, after;
    int ready = -1;
    getrusage(RUSAGE_THREAD, &before);
    double begin = now(), used = thread_time();
    want_ok(rein_monitor_poll(work->monitor, &fd, 1, 300, &ready));
    cost->processor_s = thread_time() - used;
    cost->lasted_s = now() - begin;
    getrusage(RUSAGE_THREAD, &after);
    cost->switches = after.ru_nvcsw - before.ru_nvcsw;
    want(ready == 0);
    return 0;
}

static void assert_cheap(const struct cost *cost)
{
    assert_true(cost->lasted_s >= 0.3);
    if (cost->processor_s > cost->lasted_s / 10)
        fail_msg("a poll of %.3f s takes %.3f s of the processor", cost->lasted_s, cost->processor_s);
    if (monitor_kind() != REIN_MONITOR_THREAD && cost->switches > 20) /* as poll(2), that is: hardly ever */
        fail_msg("a poll of %.3f s sleeps %ld times", cost->lasted_s, cost->switches);
}

/* What a lent thread has blocked waits for it there, so that it can sleep for long. */
static void block_SIGCHLD(sigset_t *before)
{
    sigset_t set;
    sigemptyset(&set);
    if (monitor_kind() == REIN_MONITOR_LENT)
        sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, before);
}

struct quiet {
    struct work work;
    struct cost cost;
};

static int poll_quietly(void *arg)
{
    struct quiet *quiet = arg;
    return measure_poll(&quiet->work, &quiet->cost);
}

static void assert_quiet(struct quiet *quiet)
{
    sigset_t before;
    block_SIGCHLD(&before);
    run(poll_quietly, quiet);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_cheap(&quiet->cost);
}

static void M4_a_poll_does_not_keep_busy(void **state)
{
    (void)state;
    struct quiet quiet = {0};
    struct work *work = &quiet.work;
    work_begin(work);
    assert_quiet(&quiet);
    work->fixture = start_ready("sleepers", "20", NULL);
    work->process = attach(work->fixture);
    assert_quiet(&quiet); /* stopped */
    assert_ok(rein_process_continue(work->process));
    assert_quiet(&quiet); /* asleep */
    assert_ok(rein_process_stop(work->process, LIMIT_MS));
    assert_quiet(&quiet); /* stopped again, with something behind it */
    let_go(work);
    work_end(work);
}

enum { STOPS = 100, POLL_MS = 2, LEFTOVER_MS = 5 };

struct stops {
    struct work work;
    rein_thread *thread;
    long sleeps; /* in polls between two stops, that end with their time */
    double lasted_s;
};

static int stop_and_poll(void *arg)
{
    struct stops *stops = arg;
    struct work *work = &stops->work;
    struct pollfd fd = {.fd = work->ends[0], .events = POLLIN};
    struct rusage before, after;
    double begin = now();
    for (int i = 0; i < STOPS; i++) {
        int ready = -1;
        want_ok(rein_thread_step(stops->thread, 0, LIMIT_MS));
        getrusage(RUSAGE_THREAD, &before);
        want_ok(rein_monitor_poll(work->monitor, &fd, 1, POLL_MS, &ready));
        getrusage(RUSAGE_THREAD, &after);
        stops->sleeps += after.ru_nvcsw - before.ru_nvcsw;
    }
    stops->lasted_s = now() - begin;
    return 0;
}

/* After a stop there is nobody who runs, so no timer is set for a look at all: each would end a sleep for nothing. Those that were
 * set while it ran come some milliseconds later. */
static void M4_no_sleep_ends_for_a_look_behind_a_stop(void **state)
{
    (void)state;
    struct stops stops = {0};
    struct work *work = &stops.work;
    rein_thread **threads;
    size_t count;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip(); /* the others look by themselves */
    work_begin(work);
    work->fixture = start_ready("spin", "1", NULL);
    work->process = attach(work->fixture);
    assert_ok(rein_process_threads(work->process, &threads, &count));
    for (size_t i = 0; i < count; i++)
        if (rein_thread_id(threads[i]) != work->fixture->pid)
            stops.thread = threads[i];
    assert_non_null(stops.thread);
    run(stop_and_poll, &stops);
    if ((double)stops.sleeps > 1.5 * STOPS + stops.lasted_s * 1000 / LEFTOVER_MS)
        fail_msg("%d stops, and polls of %d ms between them: %ld sleeps in %.3f s", STOPS, POLL_MS, stops.sleeps,
                 stops.lasted_s);
    rein_thread_list_free(threads, count);
    let_go(work);
    work_end(work);
}

/* ---- rein's descriptor is closed by others ---- */

enum successor { NOTHING, SILENT, READABLE, SUCCESSORS };

struct theft {
    struct work work;
    enum successor successor;
    int stolen;
    int other[2]; /* a pipe whose end takes the number */
    struct cost cost;
};

static int find_signal_fd(void)
{
    char path[64], target[64];
    for (int fd = 0; fd < 1000; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = 0;
        if (strcmp(target, "anon_inode:[signalfd]") == 0)
            return fd;
    }
    return -1;
}

static int poll_after_the_theft(void *arg)
{
    struct theft *theft = arg;
    struct work *work = &theft->work;
    struct pollfd fds[2] = {{.fd = work->ends[0], .events = POLLIN}, {.events = POLLIN}};
    int ready = -1;
    struct rein_event event;
    want_ok(rein_process_event_fd(work->process, &fds[1].fd));
    want_ok(rein_monitor_poll(work->monitor, fds, 1, 5, &ready));
    theft->stolen = find_signal_fd();
    want(theft->stolen >= 0);
    if (theft->successor == NOTHING)
        want(close(theft->stolen) == 0);
    else
        want(dup3(theft->other[0], theft->stolen, O_CLOEXEC) == theft->stolen);
    for (int i = 0; i < 5; i++) {
        want_ok(rein_process_continue(work->process));
        double begin = now();
        want_ok(rein_monitor_poll(work->monitor, fds, 2, LIMIT_MS, &ready));
        want(ready == 1 && fds[1].revents == POLLIN);
        want(now() - begin < SOON_S);
        want_ok(rein_process_next_event(work->process, 0, &event));
        rein_event_clear(&event);
    }
    return measure_poll(work, &theft->cost);
}

static void steal(enum successor successor)
{
    struct theft theft = {.successor = successor, .stolen = -1};
    struct work *work = &theft.work;
    sigset_t before;
    struct stat mine, then;
    work_begin(work);
    assert_int_equal(pipe2(theft.other, O_CLOEXEC), 0);
    if (successor == READABLE)
        assert_int_equal(write(theft.other[1], "x", 1), 1);
    work->monitor = make();
    work->fixture = start_ready("spin", "1", NULL);
    assert_ok(rein_attach(work->monitor, work->fixture->pid, NULL, &work->process));
    later_unref_process(work->process);
    add_breakpoint(work->process, address_of(work->fixture, "hot"));
    block_SIGCHLD(&before);
    wrong[0] = 0;
    int result = rein_monitor_run(work->monitor, poll_after_the_theft, &theft);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (wrong[0])
        fail_msg("%s", wrong);
    assert_ok(result);
    assert_cheap(&theft.cost);
    assert_int_equal(fstat(theft.other[0], &mine), 0);
    assert_ok(rein_monitor_close(work->monitor));
    if (successor != NOTHING) {
        assert_int_equal(fstat(theft.stolen, &then), 0); /* rein has not closed it */
        assert_true(mine.st_ino == then.st_ino);
        close(theft.stolen);
    }
    close(theft.other[0]);
    close(theft.other[1]);
    assert_free(work->fixture->pid);
    tell(work->fixture);
    assert_ends(work->fixture, 0);
    work_end(work);
}

static void M2_M10_its_descriptor_is_closed_by_the_host(void **state)
{
    (void)state;
    if (monitor_kind() == REIN_MONITOR_THREAD) /* which has none */
        skip();
    steal(NOTHING);
}

static void M2_M10_its_descriptor_is_another_file(void **state)
{
    (void)state;
    if (monitor_kind() == REIN_MONITOR_THREAD)
        skip();
    steal(SILENT);
}

static void M2_M10_its_descriptor_is_another_file_with_data(void **state)
{
    (void)state;
    if (monitor_kind() == REIN_MONITOR_THREAD)
        skip();
    steal(READABLE);
}

/* As in monitor.c: of a monitor that is killed in the midst of its work. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:monitor_body\n";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M1_what_the_function_returns),
        live_test(M1_calls_that_wait),
        live_test(M1_polls_as_poll_does),
        live_test(M1_a_closed_descriptor),
        live_test(M1_a_descriptor_ends_the_poll),
        live_test(M1_an_event_ends_the_poll),
        live_test(M1_who_may_not_poll),
        live_test(M1_callbacks_while_it_polls),
        live_test(M1_a_descriptor_in_a_storm),
        live_test(M1_no_event_is_lost_while_it_polls),
        live_test(M1_others_are_answered_while_it_polls),
        live_test(M1_cancelled_in_the_function),
        live_test(M1_closed_while_it_polls),
        live_test(M1_closed_while_it_waits),
        live_test(M1_what_it_starts_inherits_from_the_caller),
        live_test(M10_the_host_is_killed_while_it_polls),
        live_test(M10_the_host_is_killed_while_it_waits),
        live_test(M10_the_host_is_killed_while_it_stops),
        live_test(M10_the_host_is_killed_while_it_computes),
        live_test(M8_the_monitor_is_killed_while_it_polls),
        live_test(M2_M10_its_descriptor_is_closed_by_the_host),
        live_test(M2_M10_its_descriptor_is_another_file),
        live_test(M2_M10_its_descriptor_is_another_file_with_data),
        live_test(M4_a_poll_does_not_keep_busy),
        live_test(M4_no_sleep_ends_for_a_look_behind_a_stop),
    };
    return live_main(tests);
}
