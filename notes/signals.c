/* Notes: signals. */
#include "machine.h"
#include "note.h"

NOTE(1, "A signal stops the thread that takes it, and no other",
     "A signal for a traced thread is shown to the tracer before it is delivered: that one thread stops, and "
     "its tracer's wait tells the number. All other threads of the process run on, traced or not.")
{
    pid_t pid = start(d, crew);
    seize(d, pid, 0);
    seize(d, id_of(d, 0), 0);
    TRY(syscall(SYS_tgkill, pid, pid, SIGUSR1));
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1));
    await_progress(d); /* of the other thread */
    EXPECT(!has_status(id_of(d, 0)));
}

static void leader_blocks(struct demo *d)
{
    thread(d, sleeps);
    block_signal(SIGUSR1);
    d->flag[0] = 1;
    sleeps(d);
}

NOTE(2, "kill(2) is for a process, tgkill(2) for a thread",
     "A signal sent with kill(2) is taken by any thread of the process that does not block it, and it is that "
     "thread which stops. To stop or signal one certain thread takes tgkill(2): if that one blocks the signal, "
     "it stays pending there, and nobody else takes it.")
{
    pid_t pid = start(d, leader_blocks);
    await(d, 0);
    seize(d, pid, 0);
    seize(d, id_of(d, 0), 0);
    TRY(syscall(SYS_tgkill, pid, pid, SIGUSR1));
    EXPECT(has_signal(pid, "SigPnd", SIGUSR1));
    TRY(kill(pid, SIGUSR1));
    EXPECT(is_signal(wait_for(d, id_of(d, 0)), SIGUSR1));
    EXPECT(!has_status(pid));
}

NOTE(3, "SIGSTOP stops one thread first, and all of them when it is delivered",
     "Like any signal, SIGSTOP is shown to the tracer of the thread that takes it, and only this thread stops; "
     "here tracing differs from the untraced life, in which the whole process would stop. If the tracer "
     "delivers the signal, the process stops after all: every thread of it, the untraced ones too. If the "
     "tracer drops the signal, nothing more happens, which is how tracers stopped single threads before "
     "PTRACE_INTERRUPT.\n\n"
     "The notes of 2009 said that an untraced thread of such a process would stop at once. It does not, before "
     "the signal is delivered.")
{
    pid_t pid = start(d, crew);
    id_of(d, 0); /* is not traced */
    seize(d, pid, 0);
    TRY(syscall(SYS_tgkill, pid, pid, SIGSTOP));
    EXPECT(is_signal(wait_for(d, pid), SIGSTOP));
    await_progress(d);
    go_on(d, pid, SIGSTOP);
    EXPECT(is_group_stop(wait_for(d, pid), SIGSTOP));
    await_state(id_of(d, 0), 'T');
}

NOTE(4, "SIGKILL is never shown as a signal",
     "SIGKILL ends the whole process, out of any ptrace-stop, and no tracer can drop it. With "
     "PTRACE_O_TRACEEXIT each thread still stops on its way out, and the event's message names the signal; "
     "then wait says for each thread that it was killed. Such a last stop is not promised: a thread that is "
     "killed once more on the way may go without.")
{
    pid_t pid = start(d, crew), other = id_of(d, 0);
    seize(d, pid, PTRACE_O_TRACEEXIT);
    seize(d, other, PTRACE_O_TRACEEXIT);
    stop(d, pid);
    TRY(kill(pid, SIGKILL));
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXIT));
    EXPECT(message_of(d, pid) == SIGKILL);
    EXPECT(is_event(wait_for(d, other), PTRACE_EVENT_EXIT));
    go_on(d, pid, 0);
    go_on(d, other, 0);
    EXPECT(is_killed(wait_for(d, other), SIGKILL));
    EXPECT(is_killed(wait_for(d, pid), SIGKILL));
}

NOTE(5, "Any ptrace call can fail with ESRCH, for SIGKILL asks nobody",
     "A thread that is known to be stopped can be killed before the next call. So every request must reckon "
     "with ESRCH, and it means no more than this: the thread is not in a ptrace-stop (any more). The thread is "
     "still a tracee, and its end is still to be waited for.")
{
    pid_t pid = start(d, sleeps);
    siginfo_t info;
    seize(d, pid, 0);
    stop(d, pid);
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
    TRY(kill(pid, SIGKILL));
    await_status(pid);
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == -1 && errno == ESRCH);
    EXPECT(is_killed(wait_for(d, pid), SIGKILL));
}

static struct demo *handler_demo;

static void note_number(int number)
{
    handler_demo->flag[number == SIGUSR2 ? 2 : 1]++;
}

static void raises_twice(struct demo *d)
{
    handler_demo = d;
    handle(SIGUSR1, note_number);
    handle(SIGUSR2, note_number);
    block(d);
    raise(SIGUSR1);
    raise(SIGUSR1);
}

NOTE(6, "The tracer decides what is delivered",
     "When a thread is stopped for a signal, the number that the tracer resumes it with is delivered: the same "
     "one, another one, or, with 0, none. PTRACE_GETSIGINFO and PTRACE_SETSIGINFO read and change what comes "
     "with it. In other kinds of stops the number is ignored, but for those of note 81.")
{
    pid_t pid = start(d, raises_twice);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1));
    go_on(d, pid, SIGUSR2);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1));
    go_on(d, pid, 0);
    EXPECT(is_exit(wait_for(d, pid), 0));
    EXPECT(d->flag[1] == 0 && d->flag[2] == 1);
}

static void raises_blocked(struct demo *d)
{
    block(d);
    block_signal(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR2);
}

NOTE(7, "A blocked signal stops nobody",
     "The tracer sees a signal when it is about to be delivered, not when it is sent. While the thread blocks "
     "it, it is pending, in /proc/PID/status, and the tracer hears nothing of it.")
{
    pid_t pid = start(d, raises_blocked);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR2));
    EXPECT(has_signal(pid, "SigPnd", SIGUSR1));
}

static void ignores(struct demo *d)
{
    handle(SIGUSR1, SIG_IGN);
    block(d);
    raise(SIGUSR1);
}

NOTE(8, "An ignored signal stops a traced thread all the same",
     "Untraced, a signal that the program ignores is dropped when it is sent, and disturbs nothing. Of a "
     "traced thread it is queued and shown, and it interrupts a system call on its way; so tracing can make "
     "calls fail with EINTR in a program that ignores SIGCHLD or SIGWINCH.")
{
    pid_t pid = start(d, ignores);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1));
    go_on(d, pid, SIGUSR1);
    EXPECT(is_exit(wait_for(d, pid), 0));
}

NOTE(9, "SIGCONT takes pending stop signals away, and a stop signal a pending SIGCONT",
     "They do so when they are sent, not when they are delivered, whether they are blocked or not. A tracer "
     "that holds a stop signal back to deliver it later therefore holds something that the kernel might have "
     "taken away.")
{
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    stop(d, pid);
    TRY(kill(pid, SIGTSTP));
    EXPECT(has_signal(pid, "ShdPnd", SIGTSTP));
    TRY(kill(pid, SIGCONT));
    EXPECT(!has_signal(pid, "ShdPnd", SIGTSTP) && has_signal(pid, "ShdPnd", SIGCONT));
    TRY(kill(pid, SIGTTIN));
    EXPECT(has_signal(pid, "ShdPnd", SIGTTIN) && !has_signal(pid, "ShdPnd", SIGCONT));
}

static void raises_stop(struct demo *d)
{
    block(d);
    raise(SIGSTOP);
    sleeps(d);
}

NOTE(10, "A stop signal is void if SIGCONT comes before it is delivered",
     "That also goes for one that the tracer was shown already: the thread is stopped for SIGSTOP, somebody "
     "sends SIGCONT, the tracer delivers the SIGSTOP, and nothing stops. A seized thread tells of the SIGCONT "
     "twice: with an event stop, as at every SIGCONT that may end a group-stop, and as the signal that it is.")
{
    pid_t pid = start(d, raises_stop);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGSTOP));
    TRY(kill(pid, SIGCONT));
    go_on(d, pid, SIGSTOP);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP)); /* no group-stop */
    go_on(d, pid, 0);
    EXPECT(is_signal(wait_for(d, pid), SIGCONT));
}

static void traps_blocked(struct demo *d)
{
    handle(SIGTRAP, note_number);
    block_signal(SIGTRAP);
    d->flag[0] = 1;
    block(d);
    execute_break();
}

NOTE(11, "A breakpoint where SIGTRAP is blocked costs the program its handler",
     "The trap of a breakpoint instruction is forced on the thread. If the program blocks or ignores SIGTRAP, "
     "the kernel unblocks it and sets its action back to the default, before the tracer hears of it. A tracer "
     "that drops the signal leaves a program that is changed: its handler for SIGTRAP, if it had one, is gone.")
{
    pid_t pid = start(d, traps_blocked);
    await(d, 0);
    seize(d, pid, 0);
    stop(d, pid);
    EXPECT(has_signal(pid, "SigCgt", SIGTRAP) && has_signal(pid, "SigBlk", SIGTRAP));
    go_on(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGTRAP));
    EXPECT(!has_signal(pid, "SigCgt", SIGTRAP) && !has_signal(pid, "SigBlk", SIGTRAP));
}

static void queues(struct demo *d)
{
    block_signal(SIGRTMIN);
    for (int i = 0; i < 3; i++)
        sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 40 + i});
    d->flag[0] = 1;
    sleeps(d);
}

NOTE(12, "PTRACE_PEEKSIGINFO reads the queue of signals and takes none",
     "Since Linux 3.10 a tracer can look at what waits for a stopped thread, or for its process, with all that "
     "came along. The kernel counts from the front of the queue for each entry, so looking through a long "
     "queue takes long.")
{
    siginfo_t queue[8];
    struct __ptrace_peeksiginfo_args which = {.flags = PTRACE_PEEKSIGINFO_SHARED, .nr = 8};
    pid_t pid = start(d, queues);
    await(d, 0);
    seize(d, pid, 0);
    stop(d, pid);
    for (int round = 0; round < 2; round++) {
        EXPECT(trace(PTRACE_PEEKSIGINFO, pid, &which, queue) == 3);
        EXPECT(queue[0].si_signo == SIGRTMIN && queue[0].si_int == 40 && queue[2].si_int == 42);
    }
}
