/* Notes: waiting. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "note.h"

NOTE(13, "A traced thread needs no __WALL, since Linux 4.7",
     "Threads that a tracee makes are children of a kind that an ordinary wait passes over, so tracers had to "
     "give __WALL, or __WCLONE, even to wait for a thread by its id, or were told ECHILD. Since Linux 4.7 a "
     "wait takes every tracee as if __WALL were given. To give it does no harm, and is still right on older "
     "kernels.")
{
    int status;
    since_linux(d, 4, 7);
    start(d, crew);
    seize(d, id_of(d, 0), 0);
    interrupt(d, id_of(d, 0));
    EXPECT(waitpid(id_of(d, 0), &status, 0) == id_of(d, 0));
    EXPECT(is_event(status, PTRACE_EVENT_STOP));
}

NOTE(14, "__WCLONE chooses among untraced children only, since Linux 4.7",
     "__WCLONE asks for children that were made with another signal than SIGCHLD for their end, and for no "
     "others. To tracees, it once did the same: it left out the first thread of a process. Now they are found "
     "with it as without.")
{
    const int clones = (int)__WCLONE;
    int status;
    since_linux(d, 4, 7);
    pid_t odd = (pid_t)TRY(syscall(SYS_clone, 0, NULL, NULL, NULL, NULL)); /* a child that ends without a signal */
    if (odd == 0)
        _exit(4);
    EXPECT(waitpid(odd, &status, 0) == -1 && errno == ECHILD);
    EXPECT(waitpid(odd, &status, clones) == odd && is_exit(status, 4));

    pid_t pid = start(d, sleeps);
    EXPECT(waitpid(pid, &status, clones | WNOHANG) == -1 && errno == ECHILD);
    seize(d, pid, 0);
    interrupt(d, pid);
    EXPECT(waitpid(pid, &status, clones) == pid);
}

/* Runs the function on another thread of the tracer. */
static void elsewhere(void *(*function)(void *), struct demo *d)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, function, d);
    TRY(errno == 0 ? 0 : -1);
    pthread_join(thread, NULL);
}

static void *other_thread_calls(void *arg)
{
    struct demo *d = arg;
    siginfo_t info;
    pid_t pid = d->flag[0];
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP)); /* waiting is allowed */
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == -1 && errno == ESRCH);
    return NULL;
}

NOTE(15, "Only the thread that attached may make ptrace calls, any thread of it may wait",
     "The kernel compares the calling thread, not its process, with the tracer: from another thread, each "
     "request fails with ESRCH, as if it came from a stranger. Waiting is for the whole process. So a tracer "
     "with several threads needs one that makes all calls.")
{
    siginfo_t info;
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    interrupt(d, pid);
    d->flag[0] = pid;
    elsewhere(other_thread_calls, d);
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
}

static void *other_thread_waits(void *arg)
{
    struct demo *d = arg;
    int status;
    EXPECT(waitpid(d->flag[0], &status, __WALL | __WNOTHREAD) == -1 && errno == ECHILD);
    EXPECT(waitpid(d->flag[0], &status, __WALL) == d->flag[0]);
    return NULL;
}

NOTE(16, "__WNOTHREAD waits for the calling thread's tracees alone",
     "A tracer inside a larger program, on a thread of its own, asks with __WNOTHREAD, and never takes the end "
     "of a child that another thread of the program has made and wants to wait for. Unlike most of waiting, "
     "tracees and children both belong to the thread that attached to them or made them.")
{
    int status;
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    interrupt(d, pid);
    d->flag[0] = pid;
    elsewhere(other_thread_waits, d);
    interrupt(d, pid);
    go_on(d, pid, 0);
    EXPECT(waitpid(pid, &status, __WALL | __WNOTHREAD) == pid);
}

NOTE(17, "A stop is told once; the thread stays stopped",
     "A wait that tells of a stop uses it up: the next one finds nothing until the thread has run and stopped "
     "again. With WNOWAIT, waitid(2) tells and leaves it there. The status is that of the stop; whoever asks "
     "twice may be told another one the second time, for the thread may have been killed in between.")
{
    int status;
    siginfo_t info;
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    interrupt(d, pid);
    for (int round = 0; round < 2; round++)
        EXPECT(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT | __WALL) == 0 && info.si_pid == pid);
    EXPECT(waitpid(pid, &status, __WALL) == pid);
    EXPECT(waitpid(pid, &status, __WALL | WNOHANG) == 0);
    EXPECT(state_of(pid) == 't');
}

enum { MANY = 1000 };

static void *sleep_in_thread(void *arg)
{
    sleeps(arg);
    return NULL;
}

static void makes_many(struct demo *d)
{
    block(d);
    for (int i = 0; i < MANY; i++) {
        pthread_t made;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 1 << 16);
        errno = pthread_create(&made, &small, sleep_in_thread, d);
        TRY(errno == 0 ? 0 : -1);
    }
    sleeps(d);
}

/* The processor time of a thousand looks that find nothing, in nanoseconds. */
static int64_t cost_of_looks(pid_t id)
{
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    for (int i = 0; i < 1000; i++)
        waitpid(id, NULL, __WALL | WNOHANG);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec - before.tv_nsec;
}

NOTE(18, "waitpid(-1) looks through all tracees, waitpid(ID) finds one at once",
     "Without an id the kernel goes through the tracer's tracees until it finds one with something to tell: "
     "half a millisecond with 10,000 of them, for each event. A tracer of that many threads that waits so "
     "takes time that grows with their square. By id it is a look into a table, since Linux 5.13, however many "
     "there are. Who it is that has an event, SIGCHLD tells (note 19).")
{
    int status;
    since_linux(d, 5, 13);
    pid_t pid = start(d, makes_many);
    seize(d, pid, PTRACE_O_TRACECLONE);
    open_gate(d);
    for (int stops = 0; stops < 2 * MANY; stops++) /* each thread's first one, and its maker's */
        go_on(d, (pid_t)TRY(waitpid(-1, &status, __WALL)), 0);
    EXPECT(cost_of_looks(-1) > 3 * cost_of_looks(pid));
}

/* When it can be looked at, it has done all that belongs to stopping, and that includes the sending of SIGCHLD. */
static void stop_unheard(struct demo *d, pid_t pid)
{
    siginfo_t info;
    interrupt(d, pid);
    await_status(pid);
    TRY(trace(PTRACE_GETSIGINFO, pid, 0, &info));
}

NOTE(19, "SIGCHLD says in si_pid who has stopped, and a second one merges with it",
     "The tracer's process is sent SIGCHLD for each stop and each end of a tracee, with its id in si_pid. "
     "(si_code is CLD_TRAPPED, but CLD_STOPPED for PTRACE_EVENT_STOP.) But there is only one pending at a "
     "time: of those that come meanwhile nothing is left. So si_pid is a good hint where to look first, and no "
     "more.")
{
    sigset_t set;
    siginfo_t info;
    struct timespec none = {0};
    pid_t one = start(d, sleeps), other = start(d, sleeps);
    block_signal(SIGCHLD);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    seize(d, one, 0);
    seize(d, other, 0);
    stop_unheard(d, one);
    stop_unheard(d, other);
    EXPECT(sigtimedwait(&set, &info, &none) == SIGCHLD);
    EXPECT(info.si_pid == one && info.si_code == CLD_STOPPED);
    EXPECT(sigtimedwait(&set, &info, &none) == -1 && errno == EAGAIN);
    EXPECT(has_status(one) && has_status(other));
}

static atomic_int heard;

static void hear(int signal)
{
    (void)signal;
    heard++;
}

NOTE(20, "SA_NOCLDSTOP silences the stops of tracees, too",
     "With SA_NOCLDSTOP for SIGCHLD the tracer gets no signal when a tracee stops, only when it ends. The "
     "stops are there to be waited for all the same. Inside a larger program it is that program which decides "
     "about SIGCHLD, so a tracer there cannot count on hearing it.")
{
    struct sigaction action = {.sa_handler = hear, .sa_flags = SA_NOCLDSTOP};
    pid_t pid = start(d, block);
    seize(d, pid, 0);
    sigaction(SIGCHLD, &action, NULL);
    stop_unheard(d, pid);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP));
    EXPECT(heard == 0);
    go_on(d, pid, 0);
    open_gate(d);
    EXPECT(is_exit(wait_for(d, pid), 0));
    EXPECT(heard == 1);
}

static void child_of_another(struct demo *d)
{
    block(d);
    _exit(7);
}

static void parent(struct demo *d)
{
    int status;
    pid_t child = start(d, child_of_another);
    d->flag[0] = child;
    await(d, 1);
    EXPECT(waitpid(child, &status, WNOHANG) == 0);
    d->flag[2] = 1;
    EXPECT(waitpid(child, &status, 0) == child && is_exit(status, 7));
    d->flag[3] = 1;
}

NOTE(21, "The tracer hears of the end first, the parent after it",
     "The stops of a traced process are its tracer's alone; its parent sees none of them. Its end goes to the "
     "tracer as well, and to the parent only when the tracer has waited for it, or has let go. A tracer that "
     "does not wait keeps the program's shell or make waiting.")
{
    start(d, parent);
    await(d, 0);
    pid_t child = d->flag[0];
    seize(d, child, 0);
    open_gate(d);
    await_status(child);
    d->flag[1] = 1; /* the parent looks, and finds nothing */
    await(d, 2);
    EXPECT(is_exit(wait_for(d, child), 7));
    await(d, 3);
}

NOTE(22, "A tracer that ignores SIGCHLD still has to wait for its tracees",
     "Who ignores SIGCHLD has his children vanish by themselves when they end. Not those that he traces: they "
     "remain, as zombies, until he has waited for them.")
{
    int status;
    handle(SIGCHLD, SIG_IGN);
    pid_t plain = start(d, block), traced = start(d, block);
    seize(d, traced, 0);
    open_gate(d);
    open_gate(d);
    EXPECT(waitpid(plain, &status, 0) == -1 && errno == ECHILD);
    EXPECT(is_exit(wait_for(d, traced), 0));
}
