/* M1 M8 M10: what callers read and take themselves while the monitor sleeps (src/engine/rest.c): that nobody is woken for it, that it
 * shows what the monitor would have told, and that no death of either side, however it falls, holds up the other. With a
 * hand inside. REIN_ROUNDS is how often a process is stopped and continued (50 when unset). Programs: spin. */
#include <poll.h>
#include <sched.h>

#include "apart.h"
#include "engine/process.h"

#define CODE 16 /* bytes */

static uint32_t rest_word(const rein_monitor *of)
{
    return atomic_load(&of->rest.word);
}

static void await_rest(const rein_monitor *of, uint32_t word)
{
    for (double limit = now() + LIMIT_S; rest_word(of) != word;) {
        if (now() > limit)
            fail_msg("the monitor's rest is %#x, not %#x", rest_word(of), word);
        sched_yield();
    }
}

/* Stops the monitor process where it sleeps, so that it can answer nothing. */
static void freeze(void)
{
    int id = rein_monitor_id(monitor);
    for (double limit = now() + LIMIT_S;;) {
        await_rest(monitor, 0);
        assert_int_equal(kill(id, SIGSTOP), 0);
        await_state(id, 0, 'T');
        if (rest_word(monitor) == 0)
            return;
        assert_int_equal(kill(id, SIGCONT), 0); /* it had something to do just then */
        assert_true(now() < limit);
    }
}

static void thaw(void)
{
    assert_int_equal(kill(rein_monitor_id(monitor), SIGCONT), 0);
}

/* The calling thread may read it as the monitor does. */
static bool may_read(const struct fixture *fixture, rein_word address)
{
    char byte;
    return monitor->os->read_own(fixture->pid, address, &byte, 1) == 0;
}

/* Should it be woken after all, the test waits in vain, and is ended with a word. */
static void M1_questions_while_the_monitor_is_frozen(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process), *found = NULL, **all;
    size_t count;
    rein_word hot = address_of(fixture, "hot"), cold = address_of(fixture, "cold");
    unsigned char before[CODE], code[CODE], raw[CODE];
    assert_int_equal(raw_read(fixture->pid, cold, before, sizeof before), sizeof before);

    /* Running, with a breakpoint in its memory. */
    add_breakpoint(process, cold);
    assert_ok(rein_process_continue(process));
    assert_int_equal(raw_read(fixture->pid, cold, raw, sizeof raw), sizeof raw);
    assert_memory_not_equal(raw, before, sizeof raw);
    freeze();
    assert_state(thread, REIN_STATE_RUNNING);
    assert_ok(rein_process_thread(process, rein_thread_id(thread), &found));
    assert_ptr_equal(found, thread);
    rein_thread_unref(found);
    assert_error(rein_process_thread(process, 1, &found), REIN_NO_THREAD);
    assert_ok(rein_process_threads(process, &all, &count));
    assert_int_equal(count, 2);
    assert_true(all[0] == thread || all[1] == thread);
    rein_thread_list_free(all, count);
    struct rein_cause cause;
    struct rein_exit how;
    enum rein_policy policy;
    assert_error(rein_thread_cause(thread, &cause), REIN_BAD_STATE);
    assert_error(rein_process_exit(process, &how), REIN_BAD_STATE);
    assert_ok(rein_process_policy(process, REIN_CAUSE_SIGNAL, &policy));
    assert_int_equal(policy, REIN_STOP_ALL);
    if (may_read(fixture, cold)) {
        size_t done = 0;
        assert_ok(rein_process_read(process, cold, code, sizeof code, &done));
        assert_int_equal(done, sizeof code);
        assert_memory_equal(code, before, sizeof code);
    }
    thaw();

    /* Stopped at one, with registers that it was asked for before. */
    assert_ok(rein_process_stop(process, LIMIT_MS));
    add_breakpoint(process, hot);
    rein_thread *hitter = run_to(process, REIN_CAUSE_BREAKPOINT);
    rein_word pc = pc_of(hitter);
    freeze();
    assert_state(hitter, REIN_STATE_STOPPED_BREAKPOINT);
    assert_ok(rein_thread_cause(hitter, &cause));
    assert_int_equal(cause.kind, REIN_CAUSE_BREAKPOINT);
    rein_cause_clear(&cause);
    assert_word(pc_of(hitter), pc);
    if (may_read(fixture, cold)) {
        assert_ok(rein_thread_read(hitter, cold, code, sizeof code, NULL));
        assert_memory_equal(code, before, sizeof code);
    }
    thaw();

    /* What is not readable is for the monitor to say. */
    assert_error_says(rein_process_read(process, 0, code, sizeof code, NULL), REIN_BAD_ADDRESS, "0x0");
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* An event that waits is taken, and all is known to stand. */
static void M1_what_is_ready_while_the_monitor_is_frozen(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    struct rein_event event;
    add_breakpoint(process, address_of(fixture, "hot"));
    for (int i = 0; i < 2; i++) {
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        freeze();
        assert_ok(rein_process_stop(process, LIMIT_MS));
        if (i)
            assert_ok(rein_monitor_next_event(monitor, 0, &event));
        else
            assert_ok(rein_process_next_event(process, 0, &event));
        assert_int_equal(event.cause.kind, REIN_CAUSE_BREAKPOINT);
        assert_state(event.thread, REIN_STATE_STOPPED_BREAKPOINT);
        rein_event_clear(&event);
        thaw();
        /* That there is none any more is for the monitor to say. */
        assert_error(rein_process_next_event(process, 0, &event), REIN_TIMEOUT);
        assert_error(rein_monitor_next_event(monitor, 0, &event), REIN_TIMEOUT);
    }
    /* A wait that was cancelled before it began. */
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_wait(process, LIMIT_MS));
    assert_ok(rein_process_cancel_wait(process));
    assert_error(rein_process_next_event(process, 0, &event), REIN_CANCELLED);
    assert_ok(rein_process_next_event(process, 0, &event));
    rein_event_clear(&event);
    assert_ok(rein_process_cancel_wait(process));
    assert_error(rein_process_stop(process, LIMIT_MS), REIN_CANCELLED);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

static atomic_bool cancelled;

struct looking {
    rein_process *process;
    atomic_bool late;
    atomic_uint calls;
};

/* Whoever has an answer finds the descriptor as it says: readable when there is an event, and not when the last is taken. */
static bool is_readable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static void M1_the_descriptor_is_as_the_answer(void **state)
{
    (void)state;
    const char *rounds = getenv("REIN_ROUNDS");
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    int fd = -1;
    assert_ok(rein_process_event_fd(process, &fd));
    assert_false(is_readable(fd));
    add_breakpoint(process, address_of(fixture, "hot"));
    rein_thread *hitter = run_to(process, REIN_CAUSE_BREAKPOINT);
    expect_event(process, REIN_CAUSE_BREAKPOINT);
    assert_false(is_readable(fd));
    for (int i = 0; i < (rounds ? atoi(rounds) : 300); i++) {
        struct rein_event event;
        enum rein_state seen = REIN_STATE_RUNNING;
        assert_ok(rein_process_continue(process));
        for (double limit = now() + LIMIT_S; i % 4 == 0 && !rein_state_is_stopped(seen);) {
            assert_ok(rein_thread_state(hitter, &seen)); /* its own questions find out */
            assert_true(now() < limit);
            if (monitor_kind() == REIN_MONITOR_LENT)
                rein_process_wait(process, 1);
        }
        if (i % 4 == 1)
            assert_ok(rein_process_wait(process, LIMIT_MS));
        if (i % 4 == 2)
            assert_ok(rein_thread_wait(hitter, LIMIT_MS));
        if (i % 4 == 3 && monitor_kind() != REIN_MONITOR_LENT)
            assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, LIMIT_MS), 1);
        else if (i % 4 != 1)
            assert_ok(rein_process_wait(process, LIMIT_MS)); /* the other may still be on its way */
        assert_true(is_readable(fd));
        assert_ok(rein_process_next_event(process, 0, &event));
        rein_event_clear(&event);
        assert_false(is_readable(fd));
    }
    /* The monitor rests, but has not written yet: then it is asked. */
    enum rein_state seen;
    if (monitor_kind() == REIN_MONITOR_PROCESS) {
        int announced = atomic_exchange(&process->announced, ANNOUNCED_NOW);
        await_rest(monitor, 0);
        uint64_t before = monitor->rest.count;
        assert_ok(rein_thread_state(hitter, &seen));
        await_rest(monitor, 0);
        assert_true(monitor->rest.count > before);
        atomic_store(&process->announced, announced);
    }
    assert_ok(rein_process_detach(process, 0));
    assert_true(is_readable(fd)); /* there is nothing to come any more */
    tell(fixture);
    assert_ends(fixture, 0);
}

/* One that is asked for when there is an event already, or nothing to come any more. */
static void M1_a_late_descriptor(void **state)
{
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        struct fixture *fixture = start_ready("spin", "1", NULL);
        rein_process *process = attach(fixture);
        int fd = -1;
        add_breakpoint(process, address_of(fixture, "hot"));
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        if (gone)
            assert_ok(rein_process_detach(process, 0));
        assert_ok(rein_process_event_fd(process, &fd));
        assert_true(is_readable(fd));
        struct rein_event event;
        while (rein_process_next_event(process, 0, &event) == 0)
            rein_event_clear(&event);
        assert_int_equal(is_readable(fd), gone);
        if (!gone)
            assert_ok(rein_process_detach(process, 0));
        tell(fixture);
        assert_ends(fixture, 0);
    }
}

/* A thread of the host that is to end, and has made its cancellation wait until it takes an event, holds up nobody. */
static void *take_when_cancelled(void *arg)
{
    struct rein_event event;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    while (!atomic_load(&cancelled))
        sched_yield();
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    if (rein_process_next_event(arg, 0, &event) == 0)
        rein_event_clear(&event);
    return NULL;
}

static void M1_who_takes_is_cancelled(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    int fd;
    assert_ok(rein_process_event_fd(process, &fd));
    add_breakpoint(process, address_of(fixture, "hot"));
    for (int i = 0; i < 20; i++) {
        pthread_t taker;
        atomic_store(&cancelled, false);
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        await_rest(monitor, 0);
        assert_int_equal(pthread_create(&taker, NULL, take_when_cancelled, process), 0);
        assert_int_equal(pthread_cancel(taker), 0);
        atomic_store(&cancelled, true);
        assert_int_equal(pthread_join(taker, NULL), 0);
        assert_ok(rein_process_stop(process, LIMIT_MS));
    }
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Who waits at one process's descriptor hears of it before a callback of another's next event is called, be there ever so many. */
static enum rein_verdict look_and_go_on(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct looking *looking = arg;
    (void)thread, (void)breakpoint;
    if (atomic_load(&looking->process->announced) == ANNOUNCED_DUE)
        atomic_store(&looking->late, true);
    atomic_fetch_add(&looking->calls, 1);
    return REIN_VERDICT_GO_ON;
}

static void M1_the_descriptor_comes_before_the_next_event(void **state)
{
    (void)state;
    struct fixture *stops = start_ready("spin", "1", NULL), *storm = start_ready("spin", "4", NULL);
    rein_process *stopper = attach(stops), *stormer = attach(storm);
    struct looking looking = {.process = stopper};
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    int fd;
    assert_ok(rein_process_event_fd(stopper, &fd));
    add_breakpoint(stopper, address_of(stops, "hot"));
    options.callback = look_and_go_on;
    options.arg = &looking;
    assert_ok(rein_process_add_breakpoint(stormer, address_of(storm, "hot"), &options, NULL));
    assert_ok(rein_process_continue(stormer));
    for (int i = 0; i < 200; i++) {
        struct rein_event event;
        assert_ok(rein_process_continue(stopper));
        assert_ok(rein_process_next_event(stopper, LIMIT_MS, &event));
        rein_event_clear(&event);
    }
    assert_true(atomic_load(&looking.calls) > 0);
    assert_false(atomic_load(&looking.late));
    assert_ok(rein_process_stop(stormer, LIMIT_MS));
    assert_ok(rein_process_detach(stormer, 0));
    assert_ok(rein_process_detach(stopper, 0));
    tell(storm);
    assert_ends(storm, 0);
    tell(stops);
    assert_ends(stops, 0);
}

/* ---- In a storm ---- */

enum phase { CHANGING, RUNNING, STOPPED };

static struct {
    rein_process *process;
    rein_thread *threads[4];
    size_t count;
    rein_breakpoint *breakpoint;
    rein_word hot;
    unsigned char code[CODE]; /* as in the file */
    atomic_uint phase;        /* how many there were, times four, and which */
    atomic_ulong looks;
    atomic_bool over;
    char wrong[200];
} storm;

static void look_once(unsigned choice)
{
    rein_thread *thread = storm.threads[choice % storm.count];
    enum rein_state seen = REIN_STATE_DETACHED;
    struct rein_cause cause;
    unsigned char code[CODE];
    unsigned phase = atomic_load(&storm.phase);
    int state_result = rein_thread_state(thread, &seen), cause_result = rein_thread_cause(thread, &cause);
    if (!cause_result)
        rein_cause_clear(&cause);
    int read_result = rein_process_read(storm.process, storm.hot, code, sizeof code, NULL);
    bool same_phase = atomic_load(&storm.phase) == phase, stopped = rein_state_is_stopped(seen);
    if (state_result || read_result || memcmp(code, storm.code, sizeof code) != 0)
        snprintf(storm.wrong, sizeof storm.wrong, "state %d, read %d: %s, or a breakpoint was seen", state_result,
                 read_result, rein_error_message());
    else if (same_phase && phase % 4 == RUNNING && (seen != REIN_STATE_RUNNING || cause_result != REIN_BAD_STATE))
        snprintf(storm.wrong, sizeof storm.wrong, "running, and seen as %s, cause %d", rein_state_name(seen),
                 cause_result);
    else if (same_phase && phase % 4 == STOPPED && (!stopped || cause_result))
        snprintf(storm.wrong, sizeof storm.wrong, "stopped, and seen as %s, cause %d", rein_state_name(seen),
                 cause_result);
    atomic_fetch_add(&storm.looks, 1);
}

static void *look_all_the_time(void *arg)
{
    uint64_t hits = 0;
    for (unsigned i = *(unsigned *)arg; !atomic_load(&storm.over) && !storm.wrong[0]; i++) {
        uint64_t now_hits = rein_breakpoint_hits(storm.breakpoint);
        if (now_hits < hits)
            snprintf(storm.wrong, sizeof storm.wrong, "hits went back");
        hits = now_hits;
        look_once(i);
    }
    return NULL;
}

static void begin_phase(enum phase phase)
{
    atomic_store(&storm.phase, (atomic_load(&storm.phase) / 4 + 1) * 4 + phase);
}

static void await_looks(void)
{
    unsigned long looks = atomic_load(&storm.looks);
    for (double limit = now() + LIMIT_S; atomic_load(&storm.looks) < looks + 20 && !storm.wrong[0];) {
        assert_true(now() < limit);
        sched_yield();
    }
}

/* Two threads hit a breakpoint whose callback has them go on, which is not to be seen; the process is stopped and continued
 * meanwhile, which is to be seen at once. */
static void M1_what_is_seen_in_a_storm(void **state)
{
    (void)state;
    skip_if_lent();
    const char *text = getenv("REIN_ROUNDS");
    int rounds = text && atoi(text) > 0 ? atoi(text) : 50;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    int ids[4];
    memset(&storm, 0, sizeof storm);
    storm.hot = address_of(fixture, "hot");
    storm.process = attach(fixture);
    assert_int_equal(raw_read(fixture->pid, storm.hot, storm.code, CODE), CODE);
    storm.count = proc_threads(fixture->pid, ids, 4);
    assert_int_equal(storm.count, 3);
    for (size_t i = 0; i < storm.count; i++)
        storm.threads[i] = thread_of(storm.process, ids[i]);
    storm.breakpoint = count_at(storm.process, storm.hot);
    pthread_t lookers[2];
    unsigned firsts[2] = {0, 1};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&lookers[i], NULL, look_all_the_time, &firsts[i]), 0);
    for (int i = 0; i < rounds && !storm.wrong[0]; i++) {
        begin_phase(STOPPED);
        for (size_t k = 0; k < storm.count; k++)
            assert_true(rein_state_is_stopped(state_of(storm.threads[k])));
        await_looks();
        begin_phase(CHANGING);
        uint64_t hits = rein_breakpoint_hits(storm.breakpoint);
        assert_ok(rein_process_continue(storm.process));
        begin_phase(RUNNING);
        for (size_t k = 0; k < storm.count; k++)
            assert_state(storm.threads[k], REIN_STATE_RUNNING);
        await_looks();
        for (double limit = now() + LIMIT_S; rein_breakpoint_hits(storm.breakpoint) < hits + 5;) {
            assert_true(now() < limit);
            sched_yield();
        }
        begin_phase(CHANGING);
        assert_ok(rein_process_stop(storm.process, LIMIT_MS));
    }
    atomic_store(&storm.over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(lookers[i], NULL);
    if (storm.wrong[0])
        fail_msg("%s", storm.wrong);
    assert_ok(rein_process_detach(storm.process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Who reads keeps the monitor from going on, and no longer ---- */

static void *stop_it(void *arg)
{
    return (void *)(intptr_t)rein_process_stop(arg, LIMIT_MS);
}

static void M1_the_monitor_waits_for_readers(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach_running(fixture);
    pthread_t stopper;
    void *result;
    for (double limit = now() + LIMIT_S; !rest_enter(monitor);)
        assert_true(now() < limit);
    assert_int_equal(pthread_create(&stopper, NULL, stop_it, process), 0);
    await_rest(monitor, REST_CLOSED | 1);
    assert_false(rest_enter(monitor)); /* who comes now has to ask */
    sleep_ms(BRIEF_MS);
    assert_int_equal(pthread_tryjoin_np(stopper, NULL), EBUSY);
    rest_leave(monitor);
    assert_int_equal(pthread_join(stopper, &result), 0);
    assert_null(result);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

static void M1_who_takes_is_alone(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach_running(fixture);
    rein_thread *thread = first_thread(process);
    enum rein_state seen;
    pthread_t stopper;
    void *result;
    for (double limit = now() + LIMIT_S; !rest_enter(monitor);)
        assert_true(now() < limit);
    assert_false(rest_enter_alone(monitor));
    assert_true(rest_enter(monitor)); /* of those who read there may be more */
    rest_leave(monitor);
    rest_leave(monitor);
    for (double limit = now() + LIMIT_S; !rest_enter_alone(monitor);)
        assert_true(now() < limit);
    assert_false(rest_enter(monitor));
    assert_false(rest_enter_alone(monitor));
    assert_int_equal(pthread_create(&stopper, NULL, stop_it, process), 0);
    await_rest(monitor, REST_CLOSED | REST_ALONE);
    sleep_ms(BRIEF_MS);
    assert_int_equal(pthread_tryjoin_np(stopper, NULL), EBUSY);
    rest_leave_alone(monitor);
    assert_int_equal(pthread_join(stopper, &result), 0);
    assert_null(result);
    assert_ok(rein_thread_state(thread, &seen));
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* Several take what comes, and each event comes once. */
struct taker {
    rein_process *process;
    atomic_uint taken;
    atomic_bool over;
};

static void *take_events(void *arg)
{
    struct taker *taker = arg;
    struct rein_event event;
    while (!atomic_load(&taker->over)) {
        if (rein_process_next_event(taker->process, 0, &event) != 0)
            continue;
        atomic_fetch_add(&taker->taken, event.cause.kind == REIN_CAUSE_BREAKPOINT);
        rein_event_clear(&event);
    }
    return NULL;
}

static void M1_several_take_events(void **state)
{
    (void)state;
    skip_if_lent();
    const char *rounds = getenv("REIN_ROUNDS");
    unsigned times = rounds ? (unsigned)atoi(rounds) : 200;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    struct taker taker = {.process = attach(fixture)};
    pthread_t takers[3];
    add_breakpoint(taker.process, address_of(fixture, "hot"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&takers[i], NULL, take_events, &taker), 0);
    for (unsigned i = 1; i <= times; i++) {
        assert_ok(rein_process_continue(taker.process));
        for (double limit = now() + LIMIT_S; atomic_load(&taker.taken) < i;) {
            assert_true(now() < limit);
            sched_yield();
        }
        assert_ok(rein_process_stop(taker.process, LIMIT_MS));
    }
    atomic_store(&taker.over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(takers[i], NULL);
    assert_int_equal(atomic_load(&taker.taken), times);
    assert_ok(rein_process_detach(taker.process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

static void M8_the_monitor_is_killed_while_one_reads(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_monitor *victim = NULL;
    rein_process *process = NULL;
    pthread_t stopper;
    void *result;
    assert_ok(rein_monitor_create(NULL, &victim));
    assert_ok(rein_attach(victim, fixture->pid, NULL, &process));
    rein_thread *thread = first_thread(process);
    enum rein_state seen;
    for (double limit = now() + LIMIT_S; !rest_enter(victim);)
        assert_true(now() < limit);
    assert_int_equal(kill(rein_monitor_id(victim), SIGKILL), 0);
    await_rest(victim, REST_CLOSED | 1); /* by who has seen its end */
    assert_int_equal(pthread_create(&stopper, NULL, stop_it, process), 0);
    rest_leave(victim);
    assert_int_equal(pthread_join(stopper, &result), 0);
    assert_int_equal((int)(intptr_t)result, REIN_MONITOR_FAILED);
    assert_error(rein_thread_state(thread, &seen), REIN_MONITOR_FAILED);
    assert_false(rest_enter(victim));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(victim));
    tell(fixture);
    assert_ends(fixture, 0);
}

struct host {
    struct fixture *fixture;
    bool alone;
};

static void be_host_that_reads(void *arg)
{
    const struct host *host = arg;
    const struct fixture *fixture = host->fixture;
    rein_monitor *mine = NULL;
    rein_process *process = NULL;
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.callback = go_on;
    apart_ok(rein_monitor_create(NULL, &mine));
    apart_ok(rein_attach(mine, fixture->pid, NULL, &process));
    apart_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), &options, NULL));
    apart_ok(rein_process_continue(process));
    bool alone = host->alone;
    for (double limit = now() + LIMIT_S; !(alone ? rest_enter_alone(mine) : rest_enter(mine));)
        apart_check(now() < limit);
    uint32_t closed = REST_CLOSED | (alone ? REST_ALONE : 1); /* a hit that is to be handled */
    for (double limit = now() + LIMIT_S; rest_word(mine) != closed;)
        apart_check(now() < limit);
    kill(getpid(), SIGKILL);
}

static void M10_the_host_is_killed_while_one_reads(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    for (int alone = 0; alone < 2; alone++) {
        struct host host = {start_ready("spin", "1", NULL), alone};
        int status = apart_end(apart(be_host_that_reads, &host), LIMIT_MS);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        await_free(host.fixture->pid, LIMIT_MS);
        tell(host.fixture);
        assert_ends(host.fixture, 0);
    }
}

/* ---- Who must not ---- */

static void M1_a_forked_child_reads_nothing(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    if (monitor_kind() != REIN_MONITOR_LENT)
        await_rest(monitor, 0); /* and so it is in the child's copy, for ever */
    int child = fork(), status;
    assert_true(child >= 0);
    if (child == 0) {
        enum rein_state seen;
        char byte;
        alarm(10);
        _exit(rein_thread_state(thread, &seen) == REIN_CLOSED &&
                      rein_process_read(process, address_of(fixture, "hot"), &byte, 1, NULL) == REIN_CLOSED
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

static void *look_until_refused(void *arg)
{
    rein_thread *thread = arg;
    rein_process *process = rein_thread_process(thread);
    enum rein_state seen;
    intptr_t result = 0;
    for (double limit = now() + LIMIT_S; rest_word(process->monitor) != 0 && now() < limit;)
        sched_yield(); /* until its lender sleeps in it */
    result = rein_thread_state(thread, &seen);
    rein_process_cancel_wait(process);
    return (void *)result;
}

static void M1_a_lent_monitor_rests_for_nobody(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_LENT)
        skip();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach_running(fixture);
    pthread_t looker;
    void *result;
    assert_int_equal(pthread_create(&looker, NULL, look_until_refused, first_thread(process)), 0);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_CANCELLED);
    assert_int_equal(pthread_join(looker, &result), 0);
    assert_int_equal((int)(intptr_t)result, REIN_WRONG_THREAD);
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M1_questions_while_the_monitor_is_frozen),
        live_test(M1_what_is_ready_while_the_monitor_is_frozen),
        live_test(M1_the_descriptor_is_as_the_answer),
        live_test(M1_a_late_descriptor),
        live_test(M1_who_takes_is_cancelled),
        live_test(M1_the_descriptor_comes_before_the_next_event),
        live_test(M1_what_is_seen_in_a_storm),
        live_test(M1_who_takes_is_alone),
        live_test(M1_several_take_events),
        live_test(M1_the_monitor_waits_for_readers),
        live_test(M8_the_monitor_is_killed_while_one_reads),
        live_test(M10_the_host_is_killed_while_one_reads),
        live_test(M1_a_forked_child_reads_nothing),
        live_test(M1_a_lent_monitor_rests_for_nobody),
    };
    return live_main(tests);
}
