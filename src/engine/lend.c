/* Who asks is the monitor: a thread that is lent (REIN_MONITOR_LENT), and the function of rein_monitor_run.
 *
 * A call from there is not handed over: it begins at once, and if it has to wait, the monitor's turns are made in the call
 * until it is answered. Callbacks are run in these turns, and what they ask is asked by a callback as ever.
 *
 * rein_monitor_run leaves its request to the monitor's loop, which calls the function between two turns, and answers when it
 * has returned. With the monitor process the function so runs beside the host, with all that this gives: SIGCHLD is the
 * monitor's own, and when the host dies its processes are let go, by the call that notices it: what that waits for is on the
 * function's stack, and processes and threads have pointers to it. Then the function is left where it is: its host's memory is that
 * of a dead process, with locks that nobody opens any more. If it is in no call the emergency comes a second later
 * (monitor_process.c). */
#include "engine/lend.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FDS_AT_HAND = 32,
    BUSY_TURNS = 16, /* in a row without a sleep, after which descriptors are looked at */
};

/* On the stack of the thread that has called rein_monitor_run. */
struct run {
    struct request request;
    int (*function)(void *arg);
    void *arg;
    sigset_t mask;    /* that thread's */
    sigset_t ignored; /* by the host, and not by the monitor, which has another use for it */
    int process_group;
    jmp_buf host_died;
};

bool lend_is_to_function(const rein_monitor *monitor)
{
    return monitor_is_current(monitor) && monitor->lends;
}

/* Around each call: in it, the function is not what runs. */
struct lending {
    rein_monitor *outer; /* the lender may be in a callback of another monitor */
    bool lends;
};

static struct lending begin(rein_monitor *monitor)
{
    struct lending lending = {monitor_make_current(monitor), monitor->lends};
    monitor->lends = false;
    return lending;
}

static void end(rein_monitor *monitor, struct lending lending)
{
    if (atomic_load(&monitor->condition) == MONITOR_FAILED)
        monitor_let_all_go(monitor);
    monitor->lends = lending.lends;
    monitor_make_current(lending.outer);
}

/* Does not come back if it is: before the stack goes, on which requests may be, nobody is left who could look at them. */
static void look_at_host(rein_monitor *monitor)
{
    if (!monitor->run || monitor->kind != REIN_MONITOR_PROCESS || !monitor->os->host_is_dead())
        return;
    monitor_end_for_dead_host(monitor);
    longjmp(monitor->run->host_died, 1);
}

static void turn(rein_monitor *monitor, int64_t deadline)
{
    int64_t left = deadline < 0 ? -1 : (deadline - monitor_now()) / 1000;
    look_at_host(monitor);
    monitor_turn(monitor, deadline >= 0 && left < 0 ? 0 : left);
}

/* begins: the request is new; else it has given up, and ends soon. */
static int lend_to(rein_monitor *monitor, struct request *request, int64_t deadline, bool begins)
{
    struct lending lending = begin(monitor);
    int result = 0;
    look_at_host(monitor); /* not in turns alone: there are calls that need none */
    if (begins && request->ready && atomic_load(&monitor->condition) == MONITOR_OPEN)
        monitor_turn(monitor, 0); /* who only ever asks without waiting must see events too */
    if (begins && !request_is_done(request))
        request_start(request);
    monitor_settle(monitor); /* what has become possible by it is done before the caller goes on */
    while (!result && !request_is_done(request)) {
        if (deadline >= 0 && monitor_now() >= deadline)
            result = REIN_TIMEOUT;
        else
            turn(monitor, deadline);
        if (monitor->closing && !request_is_done(request))
            monitor_let_all_go(monitor); /* by which it is answered: the loop does it when the function has returned */
    }
    end(monitor, lending);
    return result;
}

int lend_submit(rein_monitor *monitor, struct request *request, int timeout_ms)
{
    int64_t deadline = timeout_ms > 0 ? monitor_now() + (int64_t)timeout_ms * 1000000 : -1;
    request->by_lender = true;
    if (lend_to(monitor, request, deadline, true) == REIN_TIMEOUT) {
        struct request withdraw;
        request_withdraw(request, &withdraw, timeout_ms);
        withdraw.by_lender = true;
        lend_to(monitor, &withdraw, -1, true);
        lend_to(monitor, request, -1, false);
    }
    return request->result ? error_publish(&request->error) : 0;
}

/* ---- rein_monitor_run ---- */

void lend_find_ignored(sigset_t *ignored)
{
    sigemptyset(ignored);
    for (int signal = 1; signal <= SIGRTMAX; signal++) {
        struct sigaction action;
        if (!sigaction(signal, NULL, &action) && action.sa_handler == SIG_IGN)
            sigaddset(ignored, signal);
    }
}

void lend_run(rein_monitor *monitor)
{
    struct run *run = monitor->run;
    sigset_t own;
    lend_find_ignored(&own);
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        if (sigismember(&own, signal) == 1)
            sigdelset(&run->ignored, signal);
    if (setjmp(run->host_died) != 0) { /* and the run stays, for nobody to ask again */
        monitor->polls = NULL;
        return;
    }
    monitor->lends = true;
    run->request.result = run->function(run->arg);
    monitor->lends = false;
    monitor->run = NULL;
    if (run->request.result)
        error_set(&run->request.error, run->request.result, "%s", rein_error_message());
    request_finish(&run->request, run->request.result);
}

void lend_refuse(rein_monitor *monitor)
{
    struct run *run = monitor->host_died ? NULL : monitor->run;
    if (!run)
        return;
    bool failed = atomic_load(&monitor->condition) == MONITOR_FAILED;
    monitor->run = NULL;
    if (failed)
        run->request.error = monitor->failure;
    else
        error_set(&run->request.error, REIN_CLOSED, "the monitor is over");
    request_finish(&run->request, failed ? REIN_MONITOR_FAILED : REIN_CLOSED);
}

static void run_run(struct request *request)
{
    rein_monitor *monitor = request->monitor;
    int result = 0;
    if (request->on_monitor)
        result = error_set(&request->error, REIN_ON_MONITOR, "a function that may wait cannot be run in a callback");
    else if (monitor->run)
        result = error_set(&request->error, REIN_BAD_STATE, "the monitor runs a function already");
    else if (atomic_load(&monitor->condition) != MONITOR_OPEN)
        result = error_set(&request->error, REIN_CLOSED, "the monitor is over");
    else
        monitor->run = LIST_ENTRY(request, struct run, request);
    if (result)
        request_finish(request, result);
}

bool lend_inherited(const rein_monitor *monitor, sigset_t *mask, sigset_t *ignored, int *process_group)
{
    if (!monitor || !lend_is_to_function(monitor))
        return false;
    *mask = monitor->run->mask;
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        if (sigismember(&monitor->run->ignored, signal) == 1)
            sigaddset(ignored, signal);
    *process_group = monitor->run->process_group;
    return true;
}

static bool is_lent(const rein_monitor *monitor)
{
    return monitor->kind == REIN_MONITOR_LENT && getpid() == monitor->host &&
           pthread_equal(pthread_self(), monitor->lender);
}

int rein_monitor_run(rein_monitor *monitor, int (*function)(void *arg), void *arg)
{
    if (!monitor || !function)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_run: monitor or function is NULL");
    if (lend_is_to_function(monitor) || (is_lent(monitor) && !monitor_is_current(monitor)))
        return function(arg); /* there is nothing to be handed over */
    struct run run = {.request = {.run = run_run}, .function = function, .arg = arg, .process_group = getpgrp()};
    pthread_sigmask(SIG_SETMASK, NULL, &run.mask);
    lend_find_ignored(&run.ignored);
    return monitor_submit(monitor, &run.request, -1);
}

/* ---- rein_monitor_poll ---- */

static int check_poll(const rein_monitor *monitor, const struct pollfd *fds, size_t count, const int *ready)
{
    if (!monitor || !ready || (!fds && count))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_monitor_poll: monitor, fds or ready is NULL");
    if (lend_is_to_function(monitor))
        return 0;
    if (monitor_is_current(monitor))
        return error_fail(REIN_ON_MONITOR, "a callback cannot wait for descriptors");
    if (!is_lent(monitor))
        return error_fail(REIN_WRONG_THREAD, "rein_monitor_poll is for who is the monitor: the function of "
                                             "rein_monitor_run, and the thread that is lent");
    return 0;
}

/* Why a wait would be in vain; 0: it is not. */
static int check_open(const rein_monitor *monitor)
{
    int condition = atomic_load(&monitor->condition);
    if (condition == MONITOR_FAILED)
        return error_publish(&monitor->failure);
    return condition == MONITOR_OVER || monitor->closing ? error_fail(REIN_CLOSED, "the monitor is closed") : 0;
}

static int poll_as_monitor(rein_monitor *monitor, struct polling *polls, int64_t deadline)
{
    struct lending lending = begin(monitor);
    int result = 0;
    bool over = false;
    monitor->polls = polls;
    for (unsigned turns = 1; !polls->ready && !over && !(result = check_open(monitor)); turns++) {
        turn(monitor, deadline);
        over = deadline >= 0 && monitor_now() >= deadline;
        if (!polls->ready && (over || turns % BUSY_TURNS == 0)) {
            int ready = poll(polls->fds, polls->count, 0);
            polls->ready = ready >= 0 ? ready : errno == EINTR ? 0 : -errno;
        }
    }
    monitor->polls = NULL;
    end(monitor, lending);
    if (!result && polls->ready < 0) {
        struct error error;
        result =
            error_set_system(&error, REIN_SYSTEM, polls->ready, "%zu descriptors cannot be waited for", polls->count);
        error_publish(&error);
        polls->ready = 0;
    }
    return result;
}

int rein_monitor_poll(rein_monitor *monitor, struct pollfd *fds, size_t count, int timeout_ms, int *ready)
{
    struct pollfd at_hand[FDS_AT_HAND];
    int result = check_poll(monitor, fds, count, ready);
    if (result)
        return result;
    *ready = 0;
    struct polling polls = {.fds = count < FDS_AT_HAND ? at_hand : malloc((count + 1) * sizeof *fds), .count = count};
    if (!polls.fds)
        return error_fail(REIN_NO_MEMORY, "no memory for %zu descriptors", count);
    if (count)
        memcpy(polls.fds, fds, count * sizeof *fds);
    int64_t deadline = timeout_ms < 0 ? -1 : monitor_now() + (int64_t)timeout_ms * 1000000;
    result = poll_as_monitor(monitor, &polls, deadline);
    if (count)
        memcpy(fds, polls.fds, count * sizeof *fds);
    *ready = polls.ready;
    if (polls.fds != at_hand)
        free(polls.fds);
    return result;
}
