/* Notes: ids, namespaces, permissions. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "note.h"

static void makes_namespace(struct demo *d)
{
    unsigned long flags = CLONE_NEWPID | SIGCHLD;
    if (geteuid() != 0)
        flags |= CLONE_NEWUSER;
    block(d);
    pid_t child = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
    if (child == -1)
        cannot(d, "no pid namespace can be made here: %s", strerror(errno));
    if (child == 0) {
        d->flag[0] = getpid();
        sleeps(d);
    }
    sleeps(d);
}

/* The first process of a new pid namespace. */
static pid_t trace_into_namespace(struct demo *d)
{
    pid_t pid = start(d, makes_namespace);
    seize(d, pid, PTRACE_O_TRACEFORK);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_FORK));
    pid_t child = (pid_t)message_of(d, pid);
    EXPECT(is_event(wait_for(d, child), PTRACE_EVENT_STOP));
    go_on(d, child, 0);
    await(d, 0);
    return child;
}

NOTE(82, "Ids are those of the tracer's pid namespace",
     "What wait and an event's message tell of a process in another namespace is its id as the tracer may use "
     "it. The program itself knows another one: NSpid in /proc/PID/status has both. An id that the program has "
     "kept in its memory, or has printed, says nothing outside.")
{
    char path[32], line[256];
    int outer = 0, inner = 0;
    pid_t child = trace_into_namespace(d);
    EXPECT(d->flag[0] == 1 && child != 1); /* what getpid(2) said inside, and what it is here */
    snprintf(path, sizeof path, "/proc/%d/status", child);
    FILE *status = fopen(path, "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "NSpid: %d %d", &outer, &inner) > 0)
            break;
    EXPECT(outer == child && inner == 1);
}

NOTE(83, "A signal from outside the namespace has no sender",
     "si_pid is 0 then, to the program and to its tracer alike. And the first process of a namespace, which "
     "ignores all signals that it has no handler for, is stopped for them all the same when it is traced.")
{
    siginfo_t info;
    pid_t child = trace_into_namespace(d);
    TRY(kill(child, SIGUSR1));
    EXPECT(is_signal(wait_for(d, child), SIGUSR1));
    TRY(trace(PTRACE_GETSIGINFO, child, 0, &info));
    EXPECT(info.si_code == SI_USER && info.si_pid == 0);
    go_on(d, child, SIGUSR1);
    stop(d, child); /* it lives */
}

static int yama_scope(void)
{
    int scope = -1;
    FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
    if (file != NULL && fscanf(file, "%d", &scope) != 1)
        scope = -1;
    if (file != NULL)
        fclose(file);
    return scope;
}

/* Becomes nobody, without privileges, but to be traced by his like. */
static void become_nobody(struct demo *d)
{
    if (geteuid() == 0) {
        TRY(syscall(SYS_setresgid, 65534, 65534, 65534));
        TRY(syscall(SYS_setresuid, 65534, 65534, 65534));
    }
    prctl(PR_SET_DUMPABLE, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void allows_later(struct demo *d)
{
    become_nobody(d);
    d->flag[0] = 1;
    await(d, 1);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    d->flag[2] = 1;
    sleeps(d);
}

static void tries_to_seize(struct demo *d)
{
    become_nobody(d);
    d->flag[4] = trace(PTRACE_SEIZE, d->flag[3], 0, 0) == 0 ? 0 : errno;
    d->flag[5] = 1;
}

static int seize_as_sibling(struct demo *d)
{
    d->flag[5] = 0;
    wait_for(d, start(d, tries_to_seize));
    EXPECT(d->flag[5] == 1);
    return d->flag[4];
}

NOTE(84, "Yama lets one trace one's descendants, and whoever allows it",
     "A process may be traced by its own user, if it is dumpable. With the Yama module there is "
     "/proc/sys/kernel/yama/ptrace_scope in addition. 0: no more than that. 1: only the process's ancestors, "
     "unless it has named somebody with prctl(PR_SET_PTRACER). 2: only with CAP_SYS_PTRACE. 3: nobody, until "
     "the next start. Who has CAP_SYS_PTRACE is asked none of this below 3. A refusal is EPERM, like most "
     "others.")
{
    int scope = yama_scope();
    if (scope < 0)
        cannot(d, "this kernel runs without Yama");
    pid_t pid = start(d, allows_later);
    d->flag[3] = pid;
    await(d, 0);
    EXPECT(seize_as_sibling(d) == (scope == 0 ? 0 : EPERM));
    d->flag[1] = 1; /* it allows everybody */
    await(d, 2);
    EXPECT(seize_as_sibling(d) == (scope <= 1 ? 0 : EPERM));
}

/* As clone3(2) has it, up to what is needed. */
struct wish {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size;
};

static pid_t fork_with_id(pid_t id)
{
    struct wish wish = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&id, .set_tid_size = 1};
    pid_t child = (pid_t)syscall(SYS_clone3, &wish, sizeof wish);
    if (child == 0)
        _exit(0);
    return child;
}

NOTE(85, "An id is taken until its owner has been waited for, and free at once after that",
     "A zombie keeps its id. As soon as the last wait has been answered the next process may get it, or the "
     "next thread: there is one set of numbers for both. So an id is good for a tracee, which is there until "
     "its tracer has waited; of anybody else it is a number that may mean somebody else by now. A pidfd, since "
     "Linux 5.3, does not change its owner.")
{
    since_linux(d, 5, 5); /* for a child with a chosen id */
    pid_t pid = start(d, block);
    int owner = (int)TRY(syscall(SYS_pidfd_open, pid, 0));
    seize(d, pid, 0);
    open_gate(d);
    await_status(pid);
    pid_t next = fork_with_id(pid);
    if (next == -1 && errno == EPERM)
        cannot(d, "to choose a child's id takes CAP_CHECKPOINT_RESTORE");
    EXPECT(next == -1 && errno == EEXIST);
    EXPECT(is_exit(wait_for(d, pid), 0));
    EXPECT(fork_with_id(pid) == pid);
    EXPECT(syscall(SYS_pidfd_send_signal, owner, SIGKILL, NULL, 0) == -1 && errno == ESRCH);
    EXPECT(is_exit(wait_for(d, pid), 0)); /* the new one was not meant */
}

NOTE(86, "A pidfd can be waited for, and tells of the end, not of stops",
     "waitid(2) takes a pidfd of a tracee like an id, since Linux 5.4. The descriptor itself becomes readable "
     "when the process has ended, before anybody has waited for it; a stop does not make it so. To hear of "
     "stops there is only wait, and SIGCHLD.")
{
    siginfo_t info;
    since_linux(d, 5, 4);
    pid_t pid = start(d, block);
    int owner = (int)TRY(syscall(SYS_pidfd_open, pid, 0));
    struct pollfd ready = {.fd = owner, .events = POLLIN};
    seize(d, pid, 0);
    interrupt(d, pid);
    EXPECT(waitid(P_PIDFD, (id_t)owner, &info, WSTOPPED | WNOWAIT) == 0 && info.si_pid == pid);
    EXPECT(poll(&ready, 1, 0) == 0);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP));
    go_on(d, pid, 0);
    open_gate(d);
    EXPECT(poll(&ready, 1, -1) == 1);
    EXPECT(is_exit(wait_for(d, pid), 0));
}
