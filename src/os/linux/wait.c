/* Waiting: all waits go through here.
 *
 * A thread that stops or dies becomes waitable, and its tracer is sent SIGCHLD. Collecting it is one wait4;
 * the question is of whom to ask. wait4(-1) looks through all tracees until it finds one (500 us with 10,000
 * of them); wait4(id) finds one by its number (the same 0.3 us with any number). The SIGCHLD says in si_pid
 * who it was. So, for the monitor process, which has SIGCHLD to itself:
 *
 *   A hint is the si_pid of a SIGCHLD that was taken. Who is hinted at is asked for by id: an event costs the
 *   same with 10,000 tracees as with one.
 *
 *   SIGCHLD is no queue: while one is pending, others are dropped (signal(7)), so an event may have no hint
 *   of its own. Then, by the dropping, another SIGCHLD was pending when the event became waitable, and is
 *   taken after that. So: each SIGCHLD that is taken makes the waiter `dirty`; being dirty ends only where a
 *   look at all begins, and begins again where a look ends before the kernel says that there is nothing. An
 *   event without a hint was waitable before the waiter became dirty, hence before the look, which finds it.
 *   A SIGCHLD that comes during the look stays pending and makes it dirty again. (That an event is waitable
 *   before its SIGCHLD is sent: ptrace_stop and exit_notify of the kernel set the state first, and notify
 *   after.)
 *
 *   A birth is told by the parent's event, whose SIGCHLD as a rule is still pending when the child stops, and
 *   so has the child's dropped. The event names the child, which is as good as a hint: it is asked for once.
 *   If it has not stopped by then, its SIGCHLD is still to come.
 *
 *   When to look at all: when dirty and no hint came for 200 us; and when events come without a pause, after
 *   every 32, so that a thread in a breakpoint storm cannot hide another for ever. Both grow with what a look
 *   has cost, so that with many tracees looking stays a small part of the work; the first also while looks
 *   find nothing (up to 32 times the cost: 16 ms with 10,000 tracees; 20 ms at most). A hint that tells
 *   nothing, because its event was taken by id while it was pending, may have kept another from being sent
 *   (the end of a child, and its parent's SIGCHLD): then a look that is cheap is made at once. Where no tracee runs it
 *   is, too, which spares the timer; where there is only one, no other can have had its SIGCHLD dropped but its own end, and
 *   there is time. If the last look has
 *   found several events, for less than it takes to wait for a hint, it is made at once: with few tracees
 *   that are all busy, that is three times as fast. A look that loses its processor in the middle has cost
 *   much by the clock, and others' hints may come too often for it to be quiet: so, whatever a look costs, when
 *   dirty for 20 ms, and four times its cost. Besides, once a second, for what the kernel does not tell
 *   by SIGCHLD: the end of a process that was cloned with another exit signal.
 *
 *   wait4(-1) goes through the tracees from the last one taken to the first, and answers with the first that
 *   has an event. When that is always one of a few busy ones, those behind are never reached: so after eight
 *   a look goes on by asking of each tracee by id, in portions, whether it has one, and leaves the waiter
 *   dirty. What is noted then is who, not what: an event is handed out when it is taken, so that none can be
 *   out of date, or in the way of waiter_next_of.
 *
 * As a thread of the host (REIN_MONITOR_THREAD) SIGCHLD is not ours to touch: the monitor looks, at most 2 ms
 * apart. On a lent thread (REIN_MONITOR_LENT) SIGCHLD is borrowed: it is blocked for the length of a sleep,
 * and what was for another child of the host is queued again. In both the host has children of its own, of
 * which none may be reaped: __WNOTHREAD keeps to the calling thread's own children and tracees; of these a
 * thread of its own has no other than ours, and a lent thread asks the engine before it takes anything.
 *
 * Polling descriptors besides (waiter_poll): the signals that end a sleep make one more descriptor readable (signalfd(2)), and
 * are taken as ever. A host that closes what it does not know closes that too, and its number may mean another file then:
 * where it says that there is a signal and there is none, it is looked at whether it is still ours. Until then a sleep
 * ends after a second at the latest.
 *
 * Waking: a flag first, then a signal (or futex) only if the monitor sleeps. Both sides write their flag
 * before they read the other's, all sequentially consistent, so at least one sees the other (Dekker). Who
 * wakes takes the sleeping flag away with him: one signal serves all who ask at once.
 *
 * All of it is safe to be entered again from the emergency's signal handler: see monitor_process.c. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/linux/linux.h"
#include "os/linux/raw.h"

enum {
    QUIET_US = 200, /* without a hint: look at all */
    CHEAP_US = 20,  /* an event found by a look */
    QUIET_MAX_US = 20000,
    ALONE_US = 5000,        /* one tracee: its own end alone can have no hint */
    PATIENCE_MAX = 32,      /* times the cost of a look */
    LATE_US = 20000,        /* dirty: look at all, */
    LATE_COSTS = 4,         /* that many times the cost of a look later */
    EVENTS_A_LOOK = 32,     /* without a pause: look at all */
    STEPS_A_LOOK = 8,       /* events taken by wait4(-1), before asking for each */
    ASKED_A_TURN = 512,     /* by id, before new hints are seen to */
    LISTED_MAX = 64,        /* of these, who have an event */
    IDLE_LOOK_US = 1000000, /* when nothing happens */
    /* Calls of waiter_next in a row that may answer "none" from memory, before one asks the kernel: an engine
     * that does not come to sleep must not miss everything. A lent thread may never sleep (time limit 0). */
    DRY_PROCESS = 16,
    DRY_OTHERS = 2,
    PAUSE_FIRST_US = 50, /* between looks, where they are the only way */
    PAUSE_LAST_US = 2000,
    LENT_PAUSE_US = 5000,  /* a SIGCHLD may go to another thread of the host, or be ignored by it */
    LENT_FOREIGN_MAX = 16, /* a sleep ends after so many SIGCHLDs for others */
};

#define TIMER_SIGNAL SIGVTALRM

enum look { LOOK_NOT, LOOK_AT_ANY, LOOK_AT_EACH };

struct os_waiter {
    enum rein_monitor_kind kind;
    int process, thread; /* who sleeps here */
    int from;            /* wait4: whose children */
    bool (*is_tracee)(int id, void *arg);
    int (*for_each_tracee)(os_id_callback callback, void *callback_arg, void *arg);
    void *arg;

    /* Shared with those who wake. */
    atomic_bool woken, sleeping;
    _Atomic uint32_t wakes; /* THREAD: a futex; counts who has taken the sleeping flag away */
    atomic_int wakers;      /* LENT: between taking the sleeping flag away and having sent the signal */

    /* The monitor's own. */
    int hint;     /* who may have an event; 0: nobody known */
    unsigned dry; /* calls of next since the kernel was last asked for hints */
    int64_t pause_us;
    bool deaf;          /* LENT: events came without SIGCHLD, which the host ignores, or gets elsewhere */
    struct pollfd *fds; /* that end this sleep as well, with room for one more; NULL: none */
    size_t fd_count;
    int ready;     /* how many of them are, or a negative errno */
    int signal_fd; /* -1: none yet */

    /* PROCESS. */
    int born; /* whom the last event has told of; 0: nobody, or he was asked for */
    bool dirty;
    int64_t dirty_since; /* ns */
    bool in_vain;        /* a hint has told nothing new since the last look */
    int timer;           /* of the kernel's */
    bool has_timer;
    int64_t timer_at;    /* ns, when it was last set to come */
    int64_t quiet_since; /* ns, the first sleep after the last hint or look; 0: none yet */
    unsigned events;     /* taken since the last look */
    enum look look;
    unsigned steps;       /* of this look, while LOOK_AT_ANY */
    unsigned found;       /* by them, without a hint */
    unsigned found_by_id; /* while LOOK_AT_EACH */
    unsigned position;    /* in for_each_tracee, of LOOK_AT_EACH */
    int list[LISTED_MAX]; /* who had an event when they were asked */
    unsigned listed;
    int64_t look_ns;      /* spent in this look so far */
    int64_t look_cost_us; /* of the last one */
    bool look_is_quiet;   /* no SIGCHLD was pending when it began */
    int patience;
    int64_t quiet_us; /* without a hint: look */
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- Asking the kernel ---- */

/* Takes an event of id (-1: of any): 1, 0 when there is none, -ECHILD when there is nobody to wait for. */
static int take(struct os_waiter *waiter, int id, struct os_event *event)
{
    int status = 0;
    long found;
    while ((found = raw(SYS_wait4, id, &status, WNOHANG | __WALL | waiter->from)) > 0) {
        if (linux_decode((int)found, status, event)) {
            waiter->events++;
            waiter->pause_us = PAUSE_FIRST_US;
            if (event->child && waiter->kind == REIN_MONITOR_PROCESS)
                waiter->born = event->child;
            return 1;
        }
        /* It was killed in this very stop: its end is another event, which may be there already. */
    }
    return (int)found;
}

/* Who of this thread's children and tracees has an event? It is left where it is. 0: none now; -ECHILD: there
 * are no children. (waitid takes __WALL and __WNOTHREAD since Linux 4.7.) */
static int peek(idtype_t type, int id)
{
    siginfo_t info;
    info.si_pid = 0;
    long result = raw(SYS_waitid, type, id, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD);
    return result < 0 ? (int)result : info.si_pid;
}

static int peek_each(int id, void *arg)
{
    (void)arg;
    return peek(P_PID, id) > 0 ? id : 0;
}

/* A tracee that has an event, where the calling thread may have other children: as peek. */
static int find(struct os_waiter *waiter)
{
    waiter->dry = 0;
    int id = peek(P_ALL, 0);
    if (waiter->kind != REIN_MONITOR_LENT || id <= 0 || waiter->is_tracee(id, waiter->arg))
        return id;
    /* A child of the host's own, which is not taken and so will always be found first: ask for each of ours. */
    return waiter->for_each_tracee(peek_each, NULL, waiter->arg);
}

/* ---- Being told (PROCESS) ---- */

static void become_dirty(struct os_waiter *waiter)
{
    if (!waiter->dirty)
        waiter->dirty_since = now_ns();
    waiter->dirty = true;
}

static int64_t late_at(const struct os_waiter *waiter)
{
    return waiter->dirty_since + (LATE_US + LATE_COSTS * waiter->look_cost_us) * 1000;
}

/* ---- Descriptors besides ---- */

static raw_signals awaited_signals(const struct os_waiter *waiter)
{
    if (waiter->kind == REIN_MONITOR_LENT)
        return RAW_SIGNAL(SIGCHLD);
    return RAW_SIGNAL(SIGCHLD) | RAW_SIGNAL(LINUX_WAKE_SIGNAL) | RAW_SIGNAL(TIMER_SIGNAL);
}

/* By what /proc shows of it: a file of another kind has no signals there. */
static bool is_signal_fd(const struct os_waiter *waiter)
{
    char text[256] = "", wanted[32];
    snprintf(text, sizeof text, "/proc/thread-self/fdinfo/%d", waiter->signal_fd);
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = 0;
    snprintf(wanted, sizeof wanted, "sigmask:\t%016llx", (unsigned long long)awaited_signals(waiter));
    return strstr(text, wanted);
}

static void doubt_signal_fd(struct os_waiter *waiter)
{
    if (waiter->signal_fd >= 0 && !is_signal_fd(waiter))
        waiter->signal_fd = -1;
}

/* Until one of them is ready or the time has passed, or, and that is the result, it is to be seen whether there is a signal.
 * Without a time limit that is so after a second, too: what is polled may not be ours any more. */
static bool poll_descriptors(struct os_waiter *waiter, int64_t timeout_us)
{
    raw_signals set = awaited_signals(waiter);
    struct pollfd *own = &waiter->fds[waiter->fd_count];
    if (waiter->signal_fd < 0)
        waiter->signal_fd = (int)raw(SYS_signalfd4, -1, &set, sizeof set, SFD_CLOEXEC | SFD_NONBLOCK);
    *own = (struct pollfd){.fd = waiter->signal_fd, .events = POLLIN};
    bool heard = waiter->signal_fd >= 0;
    struct raw_time pause = raw_time_us(timeout_us < 0 || timeout_us > PAUSE_LAST_US ? PAUSE_LAST_US : timeout_us);
    struct raw_time limit = raw_time_us(timeout_us < 0 ? IDLE_LOOK_US : timeout_us);
    long ready = raw(SYS_ppoll, waiter->fds, waiter->fd_count + 1, heard ? &limit : &pause, NULL, sizeof set);
    if (ready == -EINVAL) { /* it is one more than the host may have */
        heard = false;
        ready = raw(SYS_ppoll, waiter->fds, waiter->fd_count, &pause, NULL, sizeof set);
    }
    if (ready < 0) { /* by a signal's handler: no result is in there */
        waiter->ready = ready == -EINTR ? 0 : (int)ready;
        return true;
    }
    waiter->ready = (int)ready - (own->revents != 0);
    if (own->revents & POLLNVAL)
        waiter->signal_fd = -1;
    return own->revents & POLLIN || !heard || waiter->signal_fd < 0 || (!ready && timeout_us < 0);
}

/* Takes the next of the signals that end a sleep; 0: none came. timeout_us: -1 for none. */
static long take_signal(struct os_waiter *waiter, int64_t timeout_us, siginfo_t *info)
{
    raw_signals set = awaited_signals(waiter);
    bool polls = waiter->fds && timeout_us;
    if (polls && !poll_descriptors(waiter, timeout_us))
        return 0;
    struct raw_time timeout = raw_time_us(polls ? 0 : timeout_us);
    long number = raw(SYS_rt_sigtimedwait, &set, info, timeout_us < 0 && !polls ? NULL : &timeout, sizeof set);
    /* Or another thread of the host has taken it (LENT). */
    if (polls && (number < 0 || !(waiter->fds[waiter->fd_count].revents & POLLIN)))
        doubt_signal_fd(waiter);
    return number < 0 ? 0 : number;
}

static void receive(struct os_waiter *waiter, int64_t timeout_us)
{
    waiter->dry = 0;
    siginfo_t info = {.si_signo = 0};
    if (take_signal(waiter, timeout_us, &info) != SIGCHLD)
        return;
    waiter->hint = info.si_pid;
    become_dirty(waiter);
    waiter->quiet_since = 0;
}

/* ---- Looking at all (PROCESS) ---- */

struct asking {
    struct os_waiter *waiter;
    unsigned skip, left;
};

static int ask_each(int id, void *arg)
{
    struct asking *asking = arg;
    struct os_waiter *waiter = asking->waiter;
    if (asking->skip) {
        asking->skip--;
        return 0;
    }
    if (!asking->left-- || waiter->listed == LISTED_MAX)
        return 1;
    waiter->position++;
    if (peek(P_PID, id) > 0)
        waiter->list[waiter->listed++] = id;
    return 0;
}

static void look_begin(struct os_waiter *waiter, bool quiet)
{
    waiter->look = LOOK_AT_ANY;
    waiter->dirty = waiter->in_vain = false; /* here, and nowhere else */
    waiter->look_is_quiet = quiet;
    waiter->steps = waiter->found = waiter->found_by_id = 0;
    waiter->look_ns = 0;
}

static void look_end(struct os_waiter *waiter)
{
    waiter->look = LOOK_NOT;
    waiter->look_cost_us = waiter->look_ns / 1000;
    /* Where there was more than the hints tell there soon will be again. If to find it costs less than to
     * wait for a hint, the next look is made as soon as there is none. */
    int64_t worth_us = (waiter->found + waiter->found_by_id) * (int64_t)CHEAP_US;
    bool cheap = waiter->found > 1 && waiter->look_cost_us <= worth_us;
    /* Where there was nothing, time after time, the hints tell everything, and looking after each would make
     * an event dear again where there are many tracees and few events. */
    if (waiter->found)
        waiter->patience = 1;
    else if (waiter->patience < PATIENCE_MAX)
        waiter->patience *= 2;
    waiter->quiet_us = cheap ? 0 : QUIET_US + waiter->patience * waiter->look_cost_us;
    if (waiter->quiet_us > QUIET_MAX_US)
        waiter->quiet_us = QUIET_MAX_US;
    waiter->quiet_since = 0;
    waiter->events = 0;
}

/* One step of LOOK_AT_ANY: 1 and an event, or 0. */
static int look_at_any(struct os_waiter *waiter, struct os_event *event)
{
    if (take(waiter, -1, event) != 1) {
        waiter->look = LOOK_NOT;
        return 0;
    }
    /* With thousands of tracees one look takes longer than a busy thread needs for its next event: that has a
     * hint, which is pending now, and is no find. */
    receive(waiter, 0);
    if (waiter->hint == event->id)
        waiter->hint = 0;
    else
        waiter->found++;
    if (++waiter->steps == STEPS_A_LOOK) {
        become_dirty(waiter); /* there may be more */
        waiter->position = 0;
        /* Not where it was quiet when the look began: the first step has seen those behind the busy one too. */
        bool enough = !waiter->for_each_tracee || (waiter->look_is_quiet && !waiter->found);
        waiter->look = enough ? LOOK_NOT : LOOK_AT_EACH;
    }
    return 1;
}

/* One step of LOOK_AT_EACH: those who have an event are in the list. */
static void look_at_each(struct os_waiter *waiter)
{
    struct asking asking = {waiter, waiter->position, ASKED_A_TURN};
    if (!waiter->for_each_tracee(ask_each, &asking, waiter->arg))
        waiter->look = LOOK_NOT;
    waiter->found_by_id += waiter->listed;
}

/* Goes on with the look, to its end perhaps: 1 and an event, or 0. */
static int look_on(struct os_waiter *waiter, struct os_event *event)
{
    int64_t begin = now_ns();
    int result = 0;
    if (waiter->look == LOOK_AT_ANY)
        result = look_at_any(waiter, event);
    else
        look_at_each(waiter);
    waiter->look_ns += now_ns() - begin;
    if (waiter->look == LOOK_NOT)
        look_end(waiter);
    return result;
}

static int take_listed(struct os_waiter *waiter, struct os_event *event)
{
    while (waiter->listed)
        if (take(waiter, waiter->list[--waiter->listed], event) == 1)
            return 1;
    return 0;
}

/* ---- Sleeping (PROCESS) ---- */

/* Ends a sleep at that time, or before. Not by a time limit of rt_sigtimedwait: there is an event every few
 * microseconds perhaps, and to start and stop a timer for each costs as much as the rest of the wait (6 us in
 * a virtual machine). A timer that is left running, and comes for nothing once in a while, costs that once in
 * 200 us. Its signal is not the one that wakes, which is dropped if a stop signal comes before it is taken
 * (signal(7)): the timer finds that out. */
static bool set_timer(struct os_waiter *waiter, int64_t now, int64_t at)
{
    if (waiter->timer_at > now && waiter->timer_at <= at)
        return true;
    struct {
        struct raw_time interval, value;
    } once = {{0, 0}, {(long)(at / 1000000000), (long)(at % 1000000000)}};
    waiter->timer_at = at;
    return waiter->has_timer && !raw(SYS_timer_settime, waiter->timer, TIMER_ABSTIME, &once, NULL);
}

static void process_sleep(struct os_waiter *waiter, int64_t timeout_us, enum os_calm calm)
{
    linux_seize_end();
    if (waiter->look != LOOK_NOT) { /* it has not ended: see what came meanwhile, and go on with it */
        receive(waiter, 0);
        return;
    }
    int64_t now = now_ns();
    if (!waiter->quiet_since)
        waiter->quiet_since = now;
    bool at_once = (waiter->in_vain || calm == OS_CALM_STILL) && waiter->look_cost_us <= CHEAP_US;
    int64_t wait_us = waiter->quiet_us;
    if (!waiter->dirty)
        wait_us = IDLE_LOOK_US;
    else if (at_once)
        wait_us = 0;
    else if (calm == OS_CALM_ALONE)
        wait_us = ALONE_US;
    int64_t look_at = waiter->quiet_since + wait_us * 1000;
    bool late = waiter->dirty && now >= late_at(waiter);
    if (waiter->dirty && look_at > late_at(waiter))
        look_at = late_at(waiter);
    int64_t end = timeout_us >= 0 && now + timeout_us * 1000 < look_at ? now + timeout_us * 1000 : look_at;
    if (now >= look_at) {
        receive(waiter, 0);
        if (!waiter->hint || late)
            look_begin(waiter, !waiter->hint);
    } else if (!timeout_us) {
        receive(waiter, 0);
    } else {
        receive(waiter, set_timer(waiter, now, end) ? -1 : (end - now) / 1000 + 1);
    }
}

/* ---- The host's thread of its own (THREAD) ---- */

static void thread_sleep(struct os_waiter *waiter, uint32_t wakes, int64_t timeout_us)
{
    int id = find(waiter);
    if (id > 0) {
        waiter->hint = id;
        return;
    }
    if (id != -ECHILD) {
        if (timeout_us < 0 || timeout_us > waiter->pause_us)
            timeout_us = waiter->pause_us;
        if (waiter->pause_us < PAUSE_LAST_US)
            waiter->pause_us *= 2;
    }
    if (waiter->fds) { /* which no wake ends */
        timeout_us = timeout_us < 0 || timeout_us > PAUSE_LAST_US ? PAUSE_LAST_US : timeout_us;
        struct raw_time timeout = raw_time_us(timeout_us);
        long ready = raw(SYS_ppoll, waiter->fds, waiter->fd_count, &timeout, NULL, sizeof(raw_signals));
        waiter->ready = ready == -EINTR ? 0 : (int)ready;
        return;
    }
    struct raw_time timeout = raw_time_us(timeout_us);
    raw(SYS_futex, &waiter->wakes, FUTEX_WAIT_PRIVATE, wakes, timeout_us < 0 ? NULL : &timeout);
}

/* ---- The lent thread (LENT) ---- */

/* Gives a SIGCHLD back that was not for us. A thread that lets SIGCHLD in gets it itself, as soon as it is
 * unblocked. Where it is blocked, somebody takes it by sigwait or signalfd, on whichever thread, so it goes
 * back to the process; the kernel allows that with the siginfo as it was on the main thread only
 * (rt_sigqueueinfo(2)): elsewhere it becomes SI_QUEUE, with the same si_pid, si_uid and si_status. */
static void give_back(const struct os_waiter *waiter, siginfo_t *info, bool was_blocked)
{
    if (!was_blocked) {
        raw(SYS_rt_tgsigqueueinfo, waiter->process, waiter->thread, SIGCHLD, info);
        return;
    }
    if (!raw(SYS_rt_sigqueueinfo, waiter->process, SIGCHLD, info))
        return;
    int status = info->si_status;
    info->si_code = SI_QUEUE;
    info->si_int = status;
    raw(SYS_rt_sigqueueinfo, waiter->process, SIGCHLD, info);
}

/* Takes one SIGCHLD: a tracee's becomes a hint; the first that is for others is kept. False when none came. */
static bool lent_receive(struct os_waiter *waiter, int64_t timeout_us, siginfo_t *kept)
{
    siginfo_t info = {.si_signo = 0};
    if (take_signal(waiter, timeout_us, &info) != SIGCHLD)
        return false;
    if (info.si_code == SI_QUEUE && info.si_ptr == waiter)
        return true; /* a wake */
    if (info.si_pid > 0 && waiter->is_tracee(info.si_pid, waiter->arg)) {
        waiter->hint = info.si_pid;
        waiter->deaf = false;
    } else if (!kept->si_signo) {
        *kept = info; /* one is enough: SIGCHLD is no queue for the host either */
    }
    return true;
}

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Another thread of the host gets SIGCHLD if it does not block it. By how many directories there are. */
static bool is_only_thread(void)
{
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink == 3;
}

static void lent_sleep(struct os_waiter *waiter, int64_t timeout_us)
{
    raw_signals set = RAW_SIGNAL(SIGCHLD), before = 0;
    raw(SYS_rt_sigprocmask, SIG_BLOCK, &set, &before, sizeof set);
    bool was_blocked = before & set;
    int64_t limit_us = LENT_PAUSE_US;
    if (waiter->deaf)
        limit_us = waiter->pause_us;
    else if (waiter->fds && was_blocked && !is_ignored(SIGCHLD) && is_only_thread()) /* it waits to be taken here */
        limit_us = IDLE_LOOK_US;
    bool limited = timeout_us < 0 || timeout_us > limit_us;
    if (limited)
        timeout_us = limit_us;
    if (waiter->deaf && waiter->pause_us < PAUSE_LAST_US)
        waiter->pause_us *= 2;
    siginfo_t kept;
    kept.si_signo = 0;

    atomic_store(&waiter->sleeping, true);
    /* SIGCHLDs that came before it was blocked are gone (ignored, or in the host's handler): so look first. */
    int id = find(waiter);
    if (id > 0) {
        waiter->hint = id;
    } else {
        bool came = true;
        for (int foreign = 0; came && foreign < LENT_FOREIGN_MAX && !waiter->hint && !atomic_load(&waiter->woken);
             foreign++) {
            came = lent_receive(waiter, timeout_us, &kept);
            if (kept.si_signo && !was_blocked)
                break; /* the host's handler runs now, not later */
        }
        if (!came && limited && !waiter->ready && (id = find(waiter)) > 0) {
            waiter->hint = id;
            if (!waiter->deaf)
                doubt_signal_fd(waiter);
            waiter->deaf = true;
        }
    }

    /* A wake must not reach the host's handler: it is waited for, and taken. */
    if (!atomic_exchange(&waiter->sleeping, false)) {
        while (atomic_load(&waiter->wakers)) {
            struct raw_time moment = raw_time_us(PAUSE_FIRST_US);
            raw(SYS_nanosleep, &moment);
        }
        int hint = waiter->hint;
        for (int i = 0; i < LENT_FOREIGN_MAX && lent_receive(waiter, 0, &kept); i++)
            if (!hint)
                hint = waiter->hint;
        waiter->hint = hint;
    }
    if (kept.si_signo)
        give_back(waiter, &kept, was_blocked);
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}

/* ---- What the backend offers ---- */

int linux_waiter_create(enum rein_monitor_kind kind, bool (*is_tracee)(int id, void *arg),
                        int (*for_each_tracee)(os_id_callback callback, void *callback_arg, void *arg), void *arg,
                        struct os_waiter **waiter)
{
    if (kind == REIN_MONITOR_LENT && (!is_tracee || !for_each_tracee))
        return -EINVAL;
    struct os_waiter *made = calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->kind = kind;
    made->process = linux_self_process();
    made->thread = linux_self_thread();
    made->from = kind == REIN_MONITOR_PROCESS ? 0 : __WNOTHREAD;
    made->is_tracee = is_tracee;
    made->for_each_tracee = for_each_tracee;
    made->arg = arg;
    made->pause_us = PAUSE_FIRST_US;
    made->signal_fd = -1;
    made->patience = 1;
    made->quiet_us = QUIET_US;
    if (kind == REIN_MONITOR_PROCESS) {
        struct sigevent notice;
        memset(&notice, 0, sizeof notice);
        notice.sigev_notify = SIGEV_SIGNAL;
        notice.sigev_signo = TIMER_SIGNAL;
        made->has_timer = !raw(SYS_timer_create, CLOCK_MONOTONIC, &notice, &made->timer);
    }
    *waiter = made;
    return 0;
}

void linux_waiter_destroy(struct os_waiter *waiter)
{
    doubt_signal_fd(waiter);
    if (waiter->signal_fd >= 0)
        close(waiter->signal_fd);
    free(waiter);
}

/* Events come without a pause: is it time to look? */
static bool is_look_due(const struct os_waiter *waiter)
{
    if (waiter->look != LOOK_NOT || !waiter->dirty || waiter->events < EVENTS_A_LOOK)
        return false;
    return waiter->events >= EVENTS_A_LOOK + waiter->look_cost_us ||
           (waiter->events % EVENTS_A_LOOK == 0 && now_ns() >= late_at(waiter));
}

int linux_waiter_next(struct os_waiter *waiter, struct os_event *event)
{
    if (is_look_due(waiter))
        look_begin(waiter, false);
    int born = waiter->born;
    waiter->born = 0;
    if (born && take(waiter, born, event) == 1)
        return 1;
    if (!waiter->hint && !waiter->listed && waiter->look == LOOK_NOT) {
        if (++waiter->dry < (waiter->kind == REIN_MONITOR_PROCESS ? DRY_PROCESS : DRY_OTHERS))
            return 0;
        if (waiter->kind == REIN_MONITOR_PROCESS)
            process_sleep(waiter, 0, OS_CALM_NOT);
        else
            waiter->hint = find(waiter);
    }
    int id = waiter->hint;
    waiter->hint = 0;
    if (id > 0 && take(waiter, id, event) == 1)
        return 1;
    waiter->in_vain |= id > 0;
    if (take_listed(waiter, event))
        return 1;
    return waiter->look != LOOK_NOT && (look_on(waiter, event) || take_listed(waiter, event));
}

int linux_waiter_next_of(struct os_waiter *waiter, int id, struct os_event *event)
{
    return id > 0 ? take(waiter, id, event) : -ECHILD;
}

/* Of an event's stop the status has the event above the signal. */
int linux_waiting_signal(int id)
{
    siginfo_t info;
    info.si_pid = 0;
    long result = raw(SYS_waitid, P_PID, id, &info, WSTOPPED | WNOHANG | WNOWAIT | __WALL | __WNOTHREAD);
    return !result && info.si_pid && info.si_status < 0x80 ? info.si_status : 0;
}

static void sleep_until_something(struct os_waiter *waiter, int64_t timeout_us, enum os_calm calm)
{
    if (waiter->hint || waiter->born || waiter->listed)
        return;
    if (waiter->kind == REIN_MONITOR_LENT) {
        if (!atomic_load(&waiter->woken))
            lent_sleep(waiter, timeout_us);
    } else {
        /* A waker whose `woken` the last sleep has cleared, with his request seen, may take this flag away
         * late, though he need not: what he then does must end the sleep that has lost its flag, also when it
         * has not begun. A signal does, being pending until then; of the futex the count does, read before
         * the flag is set. */
        uint32_t wakes = atomic_load(&waiter->wakes);
        atomic_store(&waiter->sleeping, true);
        if (!atomic_load(&waiter->woken)) {
            if (waiter->kind == REIN_MONITOR_PROCESS)
                process_sleep(waiter, timeout_us, calm);
            else
                thread_sleep(waiter, wakes, timeout_us);
        }
        /* If the flag is taken and the signal still to come, it ends the next sleep, for nothing, which does
         * no harm. */
        atomic_store(&waiter->sleeping, false);
    }
    /* Whoever has set this has made his request before: the caller looks at the requests after. */
    atomic_store(&waiter->woken, false);
}

void linux_waiter_sleep(struct os_waiter *waiter, int64_t timeout_us, enum os_calm calm)
{
    waiter->fds = NULL; /* of a poll in which the emergency has come */
    sleep_until_something(waiter, timeout_us, calm);
}

int linux_waiter_poll(struct os_waiter *waiter, struct pollfd *fds, size_t count, int64_t timeout_us, enum os_calm calm)
{
    waiter->fds = fds;
    waiter->fd_count = count;
    waiter->ready = 0;
    sleep_until_something(waiter, timeout_us, calm);
    waiter->fds = NULL;
    return waiter->ready;
}

int linux_waiter_wake(struct os_waiter *waiter)
{
    atomic_store(&waiter->woken, true);
    if (waiter->kind == REIN_MONITOR_LENT)
        atomic_fetch_add(&waiter->wakers, 1);
    long result = 0;
    if (atomic_exchange(&waiter->sleeping, false)) {
        siginfo_t info;
        switch (waiter->kind) {
        case REIN_MONITOR_PROCESS:
            result = raw(SYS_tgkill, waiter->process, waiter->thread, LINUX_WAKE_SIGNAL);
            if (result < 0) /* for the next who tries, and is to be told the same */
                atomic_store(&waiter->sleeping, true);
            break;
        case REIN_MONITOR_THREAD:
            atomic_fetch_add(&waiter->wakes, 1);
            raw(SYS_futex, &waiter->wakes, FUTEX_WAKE_PRIVATE, 1);
            break;
        case REIN_MONITOR_LENT:
            /* SIGCHLD again, for it is the one that is blocked there; marked, so that it cannot be taken for
             * another. */
            memset(&info, 0, sizeof info);
            info.si_signo = SIGCHLD;
            info.si_code = SI_QUEUE;
            info.si_pid = waiter->process;
            info.si_ptr = waiter;
            raw(SYS_rt_tgsigqueueinfo, waiter->process, waiter->thread, SIGCHLD, &info);
            break;
        }
    }
    if (waiter->kind == REIN_MONITOR_LENT)
        atomic_fetch_sub(&waiter->wakers, 1);
    return (int)result;
}
