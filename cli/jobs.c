/* Signals and job control.
 *
 * COMMAND is in rein's process group, as it would be if the shell had started it itself. So whatever the terminal or
 * the shell sends to the group reaches both, and rein must not act on its copy: it would end, or stop, before the
 * program has. rein blocks these signals and reads them from a signalfd.
 *
 *   From the terminal (si_code SI_KERNEL): dropped; the program has its own.
 *   Sent to rein alone, by kill(1) or a supervisor: passed on to the program. Whether it was sent to rein alone or to the
 *   group can only be told by looking at what the program gets: rein waits a moment, and passes it on unless
 *   the same signal by the same sender has arrived there by then.
 *
 * When job control stops the program, the shell must see rein, its child, stop as well, by the same signal. rein stops only
 * after the program has (an editor first puts the terminal in order). This must not cross with a SIGCONT to the
 * program, or rein would sleep on while the program runs: so it is done on the monitor, where the program's events
 * come one by one, and a SIGCONT that the program gets from then on is passed to rein by the monitor. When the shell goes on
 * with the job it sends SIGCONT to the group; a program that has left it (a shell of its own) has the signal, and the
 * terminal, handed to it. */
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const int64_t MOMENT = 60000000; /* ns */
static const int64_t MARGIN = 500000000;

static const int enders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int stoppers[] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void take(struct jobs *jobs, const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sigaction action;
        /* What is ignored (nohup) stays so. SIGCONT continues rein, ignored or not, and must be known. */
        if (numbers[i] == SIGCONT || (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN))
            sigaddset(&jobs->taken, numbers[i]);
    }
}

bool jobs_ends(int number)
{
    for (size_t i = 0; i < sizeof enders / sizeof enders[0]; i++)
        if (enders[i] == number)
            return true;
    return false;
}

bool jobs_begin(struct jobs *jobs, bool has_program)
{
    jobs->has_program = has_program;
    jobs->self = getpid();
    sigemptyset(&jobs->taken);
    take(jobs, enders, sizeof enders / sizeof enders[0]);
    if (has_program)
        take(jobs, stoppers, sizeof stoppers / sizeof stoppers[0]);
    sigaddset(&jobs->taken, SIGPIPE); /* a write then fails with EPIPE */
    sigprocmask(SIG_BLOCK, &jobs->taken, &jobs->former);
    jobs->heard = now();
    jobs->signal_fd = signalfd(-1, &jobs->taken, SFD_CLOEXEC | SFD_NONBLOCK);
    return jobs->signal_fd >= 0;
}

void jobs_before_spawn(struct jobs *jobs)
{
    sigprocmask(SIG_SETMASK, &jobs->former, NULL);
}

void jobs_after_spawn(struct jobs *jobs, pid_t program)
{
    jobs->program = program;
    sigprocmask(SIG_BLOCK, &jobs->taken, NULL);
}

void jobs_program_got(struct jobs *jobs, int number, int sender)
{
    if (!jobs->has_program || number < 1 || number > 64 || sigismember(&jobs->taken, number) != 1)
        return;
    unsigned at = jobs->next_arrival++ % JOBS_ARRIVALS;
    atomic_store(&jobs->arrivals[at].number, 0);
    atomic_store(&jobs->arrivals[at].sender, sender);
    atomic_store(&jobs->arrivals[at].time, now());
    atomic_store(&jobs->arrivals[at].claimed, false);
    atomic_store(&jobs->arrivals[at].number, number);
    if (number != SIGCONT)
        return;
    atomic_fetch_add(&jobs->conts, 1);
    if (atomic_exchange(&jobs->self_stopped, false))
        kill(jobs->self, SIGCONT);
}

unsigned jobs_program_stopped(struct jobs *jobs)
{
    for (int i = 0; i < JOBS_ARRIVALS; i++) /* what has continued it before will not do so now */
        if (atomic_load(&jobs->arrivals[i].number) == SIGCONT)
            atomic_store(&jobs->arrivals[i].claimed, true);
    return atomic_load(&jobs->conts);
}

/* Has the program had a copy of this signal, since then? Each copy counts once. */
static bool has_arrived(struct jobs *jobs, int number, int sender, int64_t since)
{
    for (int i = 0; i < JOBS_ARRIVALS; i++)
        if (atomic_load(&jobs->arrivals[i].number) == number && atomic_load(&jobs->arrivals[i].sender) == sender &&
            atomic_load(&jobs->arrivals[i].time) > since && !atomic_exchange(&jobs->arrivals[i].claimed, true))
            return true;
    return false;
}

bool jobs_read(struct jobs *jobs)
{
    struct signalfd_siginfo info;
    bool end = false;
    while (read(jobs->signal_fd, &info, sizeof info) == sizeof info) {
        int number = (int)info.ssi_signo, sender = (int)info.ssi_pid;
        if (number == SIGPIPE)
            continue;
        end = end || jobs_ends(number);
        if (!jobs->has_program)
            continue;
        if (info.ssi_code == SI_KERNEL || sender == jobs->program || sender == jobs->monitor || sender == jobs->self ||
            jobs->forward_count == JOBS_FORWARDS)
            continue;
        jobs->forwards[jobs->forward_count].number = number;
        jobs->forwards[jobs->forward_count].sender = sender;
        jobs->forwards[jobs->forward_count].since = jobs->heard - MARGIN;
        jobs->forwards[jobs->forward_count++].deadline = now() + MOMENT;
    }
    jobs->heard = now();
    return end;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

int jobs_forward_due(struct jobs *jobs, rein_monitor *monitor)
{
    int left = 0;
    int64_t next = INT64_MAX, time = jobs->forward_count == 0 ? 0 : now();
    for (int i = 0; i < jobs->forward_count; i++) {
        int number = jobs->forwards[i].number, sender = jobs->forwards[i].sender;
        int64_t since = jobs->forwards[i].since;
        if (has_arrived(jobs, number, sender, since))
            continue;
        if (jobs->forwards[i].deadline > time) {
            next = jobs->forwards[i].deadline < next ? jobs->forwards[i].deadline : next;
            jobs->forwards[left++] = jobs->forwards[i];
            continue;
        }
        /* The machine may be so busy that the monitor has not got to the program's copy yet. */
        rein_monitor_call(monitor, nothing, NULL);
        rein_monitor_call(monitor, nothing, NULL);
        if (!has_arrived(jobs, number, sender, since))
            kill(jobs->program, number); /* if there is a copy that it blocks, this is one with that */
    }
    jobs->forward_count = left;
    return left == 0 ? -1 : (int)((next - time) / 1000000) + 1;
}

/* ---- Stopping ---- */

struct stop_request {
    struct jobs *jobs;
    int number;
    unsigned conts;
};

static int stop_on_monitor(void *arg)
{
    struct stop_request *request = arg;
    if (atomic_load(&request->jobs->conts) != request->conts)
        return 0; /* the program has been continued already */
    atomic_store(&request->jobs->self_stopped, true);
    kill(request->jobs->self, request->number);
    return 0;
}

/* The program has left rein's process group, so the shell's SIGCONT has not reached it; nor is its group the
 * terminal's foreground group now, which it was, if rein's is. */
static void continue_other_group(struct jobs *jobs)
{
    pid_t group = getpgid(jobs->program);
    if (group <= 0 || group == getpgrp())
        return;
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (terminal >= 0) {
        if (tcgetpgrp(terminal) == getpgrp())
            tcsetpgrp(terminal, group); /* SIGTTOU is blocked */
        close(terminal);
    }
    kill(-group, SIGCONT);
    jobs_read(jobs); /* rein's own SIGCONT has been passed on by that */
    jobs->forward_count = 0;
}

void jobs_stop_with_program(struct jobs *jobs, rein_monitor *monitor, int number, unsigned conts)
{
    struct stop_request request = {jobs, number, conts};
    sigset_t stopper;
    sigemptyset(&stopper);
    sigaddset(&stopper, number);
    jobs_read(jobs); /* a stop signal that came by signal_fd is done with */
    sigprocmask(SIG_UNBLOCK, &stopper, NULL);
    rein_monitor_call(monitor, stop_on_monitor, &request); /* rein is stopped in here */
    sigprocmask(SIG_BLOCK, &jobs->taken, NULL);
    atomic_store(&jobs->self_stopped, false);
    if (atomic_load(&jobs->conts) == conts)
        continue_other_group(jobs);
}

void jobs_die_by(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t set;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    prctl(PR_SET_DUMPABLE, 0); /* where cores go to a program, the limit does not keep them away */
    sigaction(number, &action, NULL);
    kill(getpid(), number);
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}
