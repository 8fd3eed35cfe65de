/* Notes: stopping, by interrupt and by group-stop. */
#include "machine.h"
#include "note.h"

NOTE(23, "PTRACE_SEIZE stops nobody and sends nothing; PTRACE_ATTACH sends SIGSTOP",
     "The SIGSTOP of PTRACE_ATTACH is a real one: the tracer has to tell it from those of others, and it wakes "
     "a thread out of its system call. With PTRACE_SEIZE, since Linux 3.4, the thread is traced and runs on as "
     "if nothing were. All that is new since then works only on threads that were seized.")
{
    pid_t one = start(d, counts), other = start(d, sleeps);
    seize(d, one, 0);
    await_progress(d);
    EXPECT(!has_status(one));
    EXPECT(field_of(one, "TracerPid", 10) == (unsigned long)getpid());
    TRY(trace(PTRACE_ATTACH, other, 0, 0));
    EXPECT(is_signal(wait_for(d, other), SIGSTOP));
}

NOTE(24, "PTRACE_INTERRUPT stops without a signal, and the program does not notice",
     "The stop is told as PTRACE_EVENT_STOP with SIGTRAP. A system call that sleeps is left for it and gone on "
     "with afterwards by the kernel, so the program sees no EINTR; note 77 names the exceptions.")
{
    pid_t pid = start(d, block);
    seize(d, pid, 0);
    await_state(pid, 'S');
    for (int round = 0; round < 10; round++) {
        interrupt(d, pid);
        EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP));
        go_on(d, pid, 0);
    }
    open_gate(d);
    EXPECT(is_exit(wait_for(d, pid), 0)); /* block() expects no EINTR */
}

NOTE(25, "PTRACE_INTERRUPT and PTRACE_LISTEN fail with EIO on a thread that was not seized",
     "There is no way from one kind of attaching to the other but to detach and attach again.")
{
    pid_t pid = start(d, sleeps);
    TRY(trace(PTRACE_ATTACH, pid, 0, 0));
    wait_for(d, pid);
    EXPECT(trace(PTRACE_INTERRUPT, pid, 0, 0) == -1 && errno == EIO);
    EXPECT(trace(PTRACE_LISTEN, pid, 0, 0) == -1 && errno == EIO);
    EXPECT(trace(PTRACE_SEIZE, pid, 0, 0) == -1 && errno == EPERM);
}

NOTE(26, "An interrupt for a thread that is stopped is kept for later",
     "When the thread is resumed it stops again at once. So a tracer that interrupts a thread which stops for "
     "another reason at that moment has to reckon with a second stop that nobody needs.")
{
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    stop(d, pid);
    interrupt(d, pid);
    go_on(d, pid, 0);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP));
    go_on(d, pid, 0);
    await_state(pid, 'S');
    EXPECT(!has_status(pid));
}

static void calls_and_raises(struct demo *d)
{
    block(d);
    syscall(SYS_getppid);
    raise(SIGUSR1);
}

NOTE(27, "A stop for another reason takes the interrupt along",
     "If the thread comes to another ptrace-stop before it has taken the interrupt, the interrupt is done "
     "with. So a tracer that has interrupted a thread may not wait for PTRACE_EVENT_STOP; any stop may be the "
     "answer. With the note before: one stop for an interrupt, or two.")
{
    pid_t pid = start(d, calls_and_raises);
    seize(d, pid, PTRACE_O_TRACESYSGOOD);
    stop(d, pid);
    open_gate(d);
    run_to_call(d, pid, SYS_getppid);
    interrupt(d, pid);
    TRY(trace(PTRACE_SYSCALL, pid, 0, 0));
    EXPECT(is_signal(wait_for(d, pid), SYSCALL_STOP)); /* the call's end */
    go_on(d, pid, 0);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1)); /* no PTRACE_EVENT_STOP before it */
}

NOTE(28, "An interrupt stops a thread in front of a trap that is on its way",
     "PTRACE_EVENT_STOP comes before any signal, also before the SIGTRAP of an instruction that has been executed. So "
     "in such a stop there may be a trap to come, which a tracer must not lose, nor take for a new one. "
     "PTRACE_PEEKSIGINFO shows it. Here it is that of a step: the step of a system call that sleeps is over when the "
     "interrupt wakes it.")
{
    siginfo_t pending;
    struct __ptrace_peeksiginfo_args which = {.nr = 1};
    pid_t pid = start(d, block);
    seize(d, pid, PTRACE_O_TRACESYSGOOD);
    stop(d, pid);
    run_to_call(d, pid, SYS_read);
    TRY(trace(PTRACE_SINGLESTEP, pid, 0, 0));
    await_state(pid, 'S');
    stop(d, pid);
    EXPECT(trace(PTRACE_PEEKSIGINFO, pid, &which, &pending) == 1);
    EXPECT(pending.si_signo == SIGTRAP && pending.si_code > 0);
    go_on(d, pid, 0);
    EXPECT(is_signal(wait_for(d, pid), SIGTRAP));
}

static void traps_for_ever(struct demo *d)
{
    block(d);
    for (;;)
        execute_break();
}

enum { TRIES = 100000 };

/* Interrupts the thread a moment after it was resumed, until the interrupt meets a trap. */
static bool interrupt_in_trap(struct demo *d, pid_t pid, siginfo_t *pending)
{
    struct __ptrace_peeksiginfo_args which = {.nr = 1};
    for (int try = 0; try < TRIES; try++) {
        go_on(d, pid, 0);
        for (volatile int moment = try % 2000; moment > 0;)
            moment--;
        interrupt(d, pid);
        if (is_event(wait_for(d, pid), PTRACE_EVENT_STOP) && trace(PTRACE_PEEKSIGINFO, pid, &which, pending) == 1)
            return true;
    }
    return false;
}

NOTE(29, "A thread can be stopped between a breakpoint and its trap",
     "The thread has executed the breakpoint instruction, and its SIGTRAP is queued. On x86 the pc is behind the "
     "instruction then, where there may be no instruction of the program's at all: a tracer that takes its breakpoint "
     "out now, and does not set the pc back, sends the program into the middle of one. It takes an interrupt in the "
     "moment in which the thread is in the kernel with its trap.")
{
    siginfo_t pending = {.si_signo = 0};
    pid_t pid = start(d, traps_for_ever);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGTRAP));
    if (!interrupt_in_trap(d, pid, &pending))
        cannot(d, "it did not come about in %d tries; it takes a second processor", TRIES);
    EXPECT(pending.si_signo == SIGTRAP && pending.si_code > 0);
    go_on(d, pid, 0);
    EXPECT(is_signal(wait_for(d, pid), SIGTRAP));
}

/* Both threads of a crew in a group-stop. */
static pid_t stopped_crew(struct demo *d)
{
    pid_t pid = start(d, crew), other = id_of(d, 0);
    seize(d, pid, 0);
    seize(d, other, 0);
    TRY(syscall(SYS_tgkill, pid, pid, SIGSTOP));
    EXPECT(is_signal(wait_for(d, pid), SIGSTOP));
    go_on(d, pid, SIGSTOP);
    EXPECT(is_group_stop(wait_for(d, pid), SIGSTOP));
    EXPECT(is_group_stop(wait_for(d, other), SIGSTOP));
    return pid;
}

NOTE(30, "PTRACE_LISTEN leaves a thread in its group-stop, and tells when that ends",
     "When a stop signal is delivered, each traced thread of the process tells of the group-stop: "
     "PTRACE_EVENT_STOP with the stop signal's number. PTRACE_LISTEN, since Linux 3.4, then leaves it stopped, "
     "as it would be untraced, without its being looked at any more. SIGCONT makes each of them stop with "
     "PTRACE_EVENT_STOP and SIGTRAP, and one of them takes the signal itself. This is how job control works on "
     "a traced program.")
{
    int status;
    pid_t pid = stopped_crew(d), other = id_of(d, 0);
    TRY(trace(PTRACE_LISTEN, pid, 0, 0));
    TRY(trace(PTRACE_LISTEN, other, 0, 0));
    EXPECT(!has_status(pid) && !has_status(other));
    TRY(kill(pid, SIGCONT));
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_STOP));
    EXPECT(is_event(wait_for(d, other), PTRACE_EVENT_STOP));
    go_on(d, pid, 0);
    go_on(d, other, 0);
    pid_t taker = (pid_t)TRY(waitpid(-1, &status, __WALL));
    EXPECT(is_signal(status, SIGCONT));
    go_on(d, taker, SIGCONT);
    await_progress(d);
}

NOTE(31, "A thread that listens is not stopped to ptrace",
     "While it listens, requests fail with ESRCH, until it stops again: because SIGCONT comes, or because the "
     "tracer asks for it with PTRACE_INTERRUPT, which shows the group-stop once more.")
{
    siginfo_t info;
    pid_t pid = stopped_crew(d);
    TRY(trace(PTRACE_LISTEN, pid, 0, 0));
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == -1 && errno == ESRCH);
    EXPECT(trace(PTRACE_CONT, pid, 0, 0) == -1 && errno == ESRCH);
    interrupt(d, pid);
    EXPECT(is_group_stop(wait_for(d, pid), SIGSTOP));
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
}

NOTE(32, "PTRACE_CONT takes one thread out of the group-stop",
     "Resumed by any other request than PTRACE_LISTEN, the thread runs, although its process counts as stopped "
     "and the other threads are. The kernel remembers: an interrupt then shows the group-stop again, not "
     "SIGTRAP, and with PTRACE_LISTEN the thread is back in it. So can a thread be stepped out of a "
     "group-stop, and put back.")
{
    pid_t pid = stopped_crew(d), other = id_of(d, 0);
    go_on(d, other, 0);
    await_progress(d);
    EXPECT(state_of(pid) == 't' && !has_status(pid));
    interrupt(d, other);
    EXPECT(is_group_stop(wait_for(d, other), SIGSTOP));
}

NOTE(33, "Without PTRACE_SEIZE a group-stop looks like a signal",
     "To the tracer of a thread that was attached to with PTRACE_ATTACH, or that asked for it with "
     "PTRACE_TRACEME, the group-stop has the same wait status as the signal that caused it. Only "
     "PTRACE_GETSIGINFO tells them apart: it fails with EINVAL in the group-stop. And there is no way to leave "
     "the thread in it, for it cannot listen.")
{
    siginfo_t info;
    pid_t pid = start(d, sleeps);
    TRY(trace(PTRACE_ATTACH, pid, 0, 0));
    EXPECT(is_signal(wait_for(d, pid), SIGSTOP));
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
    go_on(d, pid, SIGSTOP);
    EXPECT(is_signal(wait_for(d, pid), SIGSTOP));
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == -1 && errno == EINVAL);
}
