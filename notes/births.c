/* Notes: new threads and processes. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>

#include "machine.h"
#include "note.h"

static void forks(struct demo *d)
{
    block(d);
    start(d, sleeps);
    sleeps(d);
}

NOTE(42, "A new thread or process is traced from its birth, and held before its first instruction",
     "With PTRACE_O_TRACECLONE, PTRACE_O_TRACEFORK or PTRACE_O_TRACEVFORK the kernel traces what a tracee "
     "makes, and tells twice: its maker stops for an event, whose message is the new id, and the new one makes "
     "a first stop of its own. That is PTRACE_EVENT_STOP if its maker was seized, and SIGSTOP, which must not "
     "be delivered, if not.")
{
    for (int seized = 0; seized < 2; seized++) {
        pid_t pid = start(d, forks);
        if (seized) {
            seize(d, pid, PTRACE_O_TRACEFORK);
        } else {
            TRY(trace(PTRACE_ATTACH, pid, 0, 0));
            EXPECT(is_signal(wait_for(d, pid), SIGSTOP));
            TRY(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK));
            go_on(d, pid, 0);
        }
        open_gate(d);
        EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_FORK));
        pid_t child = (pid_t)message_of(d, pid);
        int status = wait_for(d, child);
        EXPECT(seized ? is_event(status, PTRACE_EVENT_STOP) : is_signal(status, SIGSTOP));
    }
}

static void forks_again(struct demo *d)
{
    start(d, sleeps);
    sleeps(d);
}

static void forks_twice(struct demo *d)
{
    block(d);
    start(d, forks_again);
    sleeps(d);
}

NOTE(43, "It inherits its maker's options", "So a whole tree is followed without a call for each of its members.")
{
    pid_t pid = start(d, forks_twice);
    seize(d, pid, PTRACE_O_TRACEFORK);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_FORK));
    pid_t child = (pid_t)message_of(d, pid);
    EXPECT(is_event(wait_for(d, child), PTRACE_EVENT_STOP));
    go_on(d, child, 0);
    EXPECT(is_event(wait_for(d, child), PTRACE_EVENT_FORK));
}

enum { BIRTHS = 1000 };

static void forks_for_ever(struct demo *d)
{
    signal(SIGCHLD, SIG_IGN); /* no zombies, though no signal stops either */
    block(d);
    for (;;)
        if (TRY(fork()) == 0)
            _exit(0);
}

static void has_forking_child(struct demo *d)
{
    d->flag[0] = start(d, forks_for_ever);
    sleeps(d);
}

/* Who is told of first by waitpid(-1), the one or the other? The other stop is taken as well. */
static pid_t told_first(struct demo *d, pid_t pid)
{
    int status;
    pid_t first = (pid_t)TRY(waitpid(-1, &status, __WALL));
    if (first != pid)
        wait_for(d, pid); /* before that it may not have stopped yet, and has no message */
    pid_t child = (pid_t)message_of(d, pid);
    if (first == pid)
        wait_for(d, child);
    go_on(d, child, 0);
    wait_for(d, child); /* its end */
    return first;
}

NOTE(44, "Its first stop and its maker's event come in either order",
     "Both are under way at the same time, and waitpid(-1) may find either first. A tracer that is told of a "
     "thread it has never heard of has to keep it until its maker's event names it. Should the maker be killed "
     "before it could tell, the first stop is all that there will ever be.")
{
    int births = 0;
    start(d, has_forking_child);
    await(d, 0);
    pid_t pid = d->flag[0]; /* not our child: those are looked at before other tracees */
    seize(d, pid, PTRACE_O_TRACEFORK);
    open_gate(d);
    while (told_first(d, pid) != pid) { /* mostly it is at once */
        EXPECT(++births < BIRTHS);
        go_on(d, pid, 0);
    }
    go_on(d, pid, 0);
    await_status(pid);
    await_status((pid_t)message_of(d, pid)); /* both are there */
    EXPECT(told_first(d, pid) != pid);
}

static void makes_untraced(struct demo *d)
{
    block(d);
    pid_t child = (pid_t)TRY(syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, NULL, NULL, NULL, NULL));
    if (child == 0)
        sleeps(d);
    d->flag[0] = child;
    raise(SIGUSR1);
}

NOTE(45, "With CLONE_UNTRACED a program can make what no tracer is told of",
     "Neither its birth is told nor is it traced, whatever the options say. Also what an untraced thread or "
     "process makes is untraced; only a new look at /proc finds it.")
{
    pid_t pid = start(d, makes_untraced);
    seize(d, pid, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1)); /* no event before it */
    EXPECT(field_of(d->flag[0], "TracerPid", 10) == 0);
}

static void makes_all_kinds(struct demo *d)
{
    block(d);
    TRY(fork());
    if (syscall(SYS_clone, 0, NULL, NULL, NULL, NULL) != -1) /* no signal at its end */
        syscall(SYS_clone, CLONE_VFORK, NULL, NULL, NULL, NULL);
    sleeps(d);
}

NOTE(46, "The event says how it was made, not what was made",
     "PTRACE_EVENT_VFORK: with CLONE_VFORK. PTRACE_EVENT_FORK: with SIGCHLD for its end. PTRACE_EVENT_CLONE: "
     "everything else, and that need not be a thread. If it is one is told by the Tgid in /proc/ID/status.")
{
    static const int events[] = {PTRACE_EVENT_FORK, PTRACE_EVENT_CLONE, PTRACE_EVENT_VFORK};
    pid_t pid = start(d, makes_all_kinds);
    seize(d, pid, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK);
    open_gate(d);
    for (int i = 0; i < 3; i++) {
        EXPECT(is_event(wait_for(d, pid), events[i]));
        pid_t child = (pid_t)message_of(d, pid);
        EXPECT(field_of(child, "Tgid", 10) == (unsigned long)child); /* a process of its own */
        go_on(d, pid, 0);
    }
}

static void __attribute__((noinline)) trapped_function(void)
{
    __asm__ volatile("");
}

static void calls_it(struct demo *d)
{
    (void)d;
    trapped_function();
}

static void forks_who_calls_it(struct demo *d)
{
    int status;
    block(d);
    pid_t child = start(d, calls_it);
    TRY(waitpid(child, &status, 0));
    d->flag[0] = status;
    sleeps(d);
}

NOTE(47, "The child of a fork inherits the breakpoints",
     "It has a copy of the memory, with the breakpoint instructions that are in it. If it is not traced, the "
     "first one that it comes to kills it. So who sets breakpoints has to follow forks, if only to take the "
     "breakpoints out.")
{
    static const unsigned char instruction[] = BREAK_BYTES;
    char path[32];
    pid_t pid = start(d, forks_who_calls_it);
    seize(d, pid, 0); /* without PTRACE_O_TRACEFORK */
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = (int)TRY(open(path, O_RDWR | O_CLOEXEC));
    TRY(pwrite(memory, instruction, sizeof instruction, (off_t)(uintptr_t)trapped_function));
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGCHLD));
    go_on(d, pid, 0);
    await(d, 0);
    EXPECT(is_killed(d->flag[0], SIGTRAP));
}

/* A vfork child that stays for a while. Not vfork(3): its child may do nearly nothing. */
static void makes_vfork_child(struct demo *d)
{
    block(d);
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        await(d, 0);
        for (int i = 0; i < 500; i++)
            pause_a_moment();
        d->flag[1] = 1;
        _exit(0);
    }
    sleeps(d);
}

NOTE(48, "A vfork parent cannot be stopped until its child has let go of it",
     "It sleeps in the kernel, in state D, until the child has called exec or ended. An interrupt or a signal "
     "waits so long; only SIGKILL gets through. A tracer that stops all threads of a process and waits for "
     "each may wait for as long as the child likes; but such a thread executes no code of the program either, "
     "and will stop before it does.")
{
    pid_t pid = start(d, makes_vfork_child);
    seize(d, pid, 0);
    open_gate(d);
    await_state(pid, 'D');
    interrupt(d, pid);
    d->flag[0] = 1; /* the child may go on, and takes its time */
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP));
    EXPECT(d->flag[1] == 1); /* only now */
}

static void vforks(struct demo *d)
{
    block(d);
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        _exit(0);
    sleeps(d);
}

NOTE(49, "PTRACE_EVENT_VFORK_DONE says that the parent has its memory to itself again",
     "With PTRACE_O_TRACEVFORKDONE the parent stops when its vfork child has called exec or ended, before it "
     "comes back to the program. Parent and child share their memory until then: a breakpoint that is taken "
     "out of one is out of the other.")
{
    pid_t pid = start(d, vforks);
    seize(d, pid, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_VFORK));
    pid_t child = (pid_t)message_of(d, pid);
    EXPECT(is_event(wait_for(d, child), PTRACE_EVENT_STOP));
    go_on(d, pid, 0);
    go_on(d, child, 0);
    EXPECT(is_exit(wait_for(d, child), 0));
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_VFORK_DONE));
    EXPECT(message_of(d, pid) == (unsigned long)child);
}

static void raises_signal(struct demo *d)
{
    (void)d;
    syscall(SYS_tgkill, getpid(), own_id(), SIGUSR1);
}

static void thread_raises_signal(struct demo *d)
{
    block(d);
    thread(d, raises_signal);
    sleeps(d);
}

NOTE(50, "What an untraced thread does to its process, the tracer sees without its cause",
     "Signals of a thread that is not traced are delivered without a word. If one of them ends the process, "
     "the tracer is told that its own threads were killed by it, though none of them was shown the signal.")
{
    pid_t pid = start(d, thread_raises_signal);
    seize(d, pid, 0); /* without PTRACE_O_TRACECLONE */
    open_gate(d);
    EXPECT(is_killed(wait_for(d, pid), SIGUSR1));
}
