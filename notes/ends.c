/* Notes: the end of threads, of processes, and of the tracer. */
#include <pthread.h>

#include "machine.h"
#include "note.h"

static void exits_with_3(struct demo *d)
{
    block(d);
    _exit(3);
}

NOTE(56, "At PTRACE_EVENT_EXIT the thread is still there",
     "With PTRACE_O_TRACEEXIT a thread stops on its way out, while its registers and memory can be read. The "
     "message is its end as wait will tell it. When it has been continued, it ends as it would without the "
     "option.")
{
    pid_t pid = start(d, exits_with_3);
    seize(d, pid, PTRACE_O_TRACEEXIT);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXIT));
    EXPECT(is_exit((int)message_of(d, pid), 3));
    EXPECT(registers_of(d, pid).PC != 0);
    go_on(d, pid, 0);
    EXPECT(is_exit(wait_for(d, pid), 3));
}

static void thread_passes_gate(struct demo *d)
{
    thread(d, block);
    sleeps(d);
}

NOTE(57, "A thread's end is told to its tracer at once, joined or not",
     "To the tracer each thread ends like a process, with a status of its own, as soon as it ends. That no "
     "other thread of its program has joined it makes no difference; that is the C library's affair.")
{
    pid_t pid = start(d, thread_passes_gate), other = id_of(d, 0);
    seize(d, other, 0);
    open_gate(d);
    EXPECT(is_exit(wait_for(d, other), 0));
    EXPECT(state_of(pid) != 'Z'); /* the process lives on */
}

static void leader_exits_with_3(struct demo *d)
{
    thread(d, sleeps);
    exits_with_3(d);
}

NOTE(58, "When the process exits, each of its threads ends with that status",
     "exit(3) and a return from main end all threads. Each of them stops for PTRACE_EVENT_EXIT, if it was "
     "asked for, and then ends, and all are said to have exited with the process's status.")
{
    pid_t pid = start(d, leader_exits_with_3), other = id_of(d, 0);
    seize(d, pid, PTRACE_O_TRACEEXIT);
    seize(d, other, PTRACE_O_TRACEEXIT);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXIT));
    EXPECT(is_event(wait_for(d, other), PTRACE_EVENT_EXIT));
    go_on(d, pid, 0);
    go_on(d, other, 0);
    EXPECT(is_exit(wait_for(d, other), 3));
    EXPECT(is_exit(wait_for(d, pid), 3));
}

NOTE(59, "The first thread's end is told last, after the tracer has waited for all others",
     "The end of the first thread is the end of the process, so the kernel keeps it back while there are other "
     "threads; and a traced thread is there until its tracer has waited for it. A tracer that waits for the "
     "first thread before it waits for the others waits for ever.")
{
    pid_t pid = start(d, leader_exits_with_3), other = id_of(d, 0);
    seize(d, pid, 0);
    seize(d, other, 0);
    open_gate(d);
    await_state(pid, 'Z');
    await_state(other, 'Z');
    EXPECT(!has_status(pid));
    EXPECT(is_exit(wait_for(d, other), 3));
    EXPECT(is_exit(wait_for(d, pid), 3));
}

static void leader_ends_later(struct demo *d)
{
    thread(d, counts);
    block(d);
    syscall(SYS_exit, 5); /* of this thread alone */
}

NOTE(60, "A first thread that ends before the others cannot be waited for, stopped or let go",
     "It stops for PTRACE_EVENT_EXIT like any other thread. Then it is a zombie until the process ends, lest "
     "its parent should think that the process has ended, and only then is its end told, with the status of "
     "the process and not its own. Until then every request fails with ESRCH, PTRACE_DETACH too, and a signal "
     "for it gets nowhere: whoever stops all threads must not wait for this one.")
{
    pid_t pid = start(d, leader_ends_later);
    seize(d, pid, PTRACE_O_TRACEEXIT);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXIT));
    go_on(d, pid, 0);
    await_state(pid, 'Z');
    await_progress(d); /* of the other thread */
    EXPECT(!has_status(pid));
    EXPECT(trace(PTRACE_DETACH, pid, 0, 0) == -1 && errno == ESRCH);
    EXPECT(syscall(SYS_tgkill, pid, pid, SIGSTOP) == 0);
    await_progress(d);
    EXPECT(!has_status(pid));
    TRY(kill(pid, SIGKILL));
    EXPECT(is_killed(wait_for(d, pid), SIGKILL));
}

static void thread_ends(struct demo *d)
{
    thread(d, block);
    sleeps(d);
}

NOTE(61, "SIGKILL ends a thread's last stop, but not that of a process that exits",
     "A thread that ends by itself, and is stopped at PTRACE_EVENT_EXIT, is taken out of that stop when its "
     "process is killed. Once a process is on its way out as a whole, the kernel drops all signals to it, "
     "SIGKILL too: its threads remain in their last stops until the tracer resumes them, or ends.")
{
    siginfo_t info;
    pid_t pid = start(d, thread_ends), other = id_of(d, 0);
    seize(d, other, PTRACE_O_TRACEEXIT);
    open_gate(d);
    EXPECT(is_event(wait_for(d, other), PTRACE_EVENT_EXIT));
    TRY(kill(pid, SIGKILL));
    int status = wait_for(d, other);
    EXPECT(WIFEXITED(status) || WIFSIGNALED(status)); /* without having been resumed */

    pid = start(d, exits_with_3);
    seize(d, pid, PTRACE_O_TRACEEXIT);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXIT));
    TRY(kill(pid, SIGKILL));
    EXPECT(trace(PTRACE_GETSIGINFO, pid, 0, &info) == 0);
    go_on(d, pid, 0);
    EXPECT(is_exit(wait_for(d, pid), 3));
}

/* ---- The tracer's end ---- */

/* The options that d->flag[1] says. */
static void seizes_and_ends(struct demo *d)
{
    seize(d, d->flag[0], d->flag[1]);
}

static void may_be_traced(struct demo *d)
{
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* Yama: by who is not its parent, too */
    d->flag[2] = 1;
    counts(d);
}

static pid_t outlive_tracer(struct demo *d, int options)
{
    d->flag[2] = 0;
    pid_t pid = start(d, may_be_traced);
    await(d, 2);
    d->flag[0] = pid;
    d->flag[1] = options;
    EXPECT(is_exit(wait_for(d, start(d, seizes_and_ends)), 0));
    return pid;
}

NOTE(62, "When the tracer ends its tracees run on, unless it has set PTRACE_O_EXITKILL",
     "The kernel detaches them all: who was stopped goes on, who was in a group-stop remains in it. Whatever "
     "was changed in them, breakpoints above all, stays. With PTRACE_O_EXITKILL, since Linux 3.8, all of them "
     "are killed instead.")
{
    pid_t pid = outlive_tracer(d, 0);
    EXPECT(field_of(pid, "TracerPid", 10) == 0);
    await_progress(d);
    TRY(kill(pid, SIGKILL));
    EXPECT(is_killed(wait_for(d, pid), SIGKILL));
    EXPECT(is_killed(wait_for(d, outlive_tracer(d, PTRACE_O_EXITKILL)), SIGKILL));
}

static void *seizes_in_thread(void *arg)
{
    struct demo *d = arg;
    seize(d, d->flag[0], 0);
    return NULL;
}

NOTE(63, "The tracer is a thread: when that thread ends, its tracees are let go",
     "That the tracer's process lives on does not help.")
{
    pthread_t tracer;
    pid_t pid = start(d, sleeps);
    d->flag[0] = pid;
    errno = pthread_create(&tracer, NULL, seizes_in_thread, d);
    TRY(errno == 0 ? 0 : -1);
    pthread_join(tracer, NULL);
    while (field_of(pid, "TracerPid", 10) != 0) /* it may be joined a moment before it has ended */
        pause_a_moment();
    seize(d, pid, 0);
    stop(d, pid);
    EXPECT(state_of(pid) == 't'); /* by another tracer */
}

static void raises_signal_later(struct demo *d)
{
    block(d);
    raise(SIGUSR1);
}

NOTE(64, "PTRACE_DETACH takes a stopped thread",
     "Of one that runs it fails with ESRCH: it has to be stopped first, and that stop waited for. A number "
     "that is given is delivered as a signal, if the thread was stopped for one; so a signal that the tracer "
     "has taken is not lost by letting go.")
{
    pid_t pid = start(d, raises_signal_later);
    seize(d, pid, 0);
    EXPECT(trace(PTRACE_DETACH, pid, 0, 0) == -1 && errno == ESRCH);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1));
    TRY(trace(PTRACE_DETACH, pid, 0, SIGUSR1));
    EXPECT(is_killed(wait_for(d, pid), SIGUSR1));
}

static void reads_for_ever(struct demo *d)
{
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    d->flag[2] = 1;
    block(d);
    sleeps(d);
}

static void steps_and_ends(struct demo *d)
{
    pid_t pid = d->flag[0];
    seize(d, pid, PTRACE_O_TRACESYSGOOD);
    stop(d, pid);
    run_to_call(d, pid, SYS_read);
    TRY(trace(PTRACE_SINGLESTEP, pid, 0, 0));
    await_state(pid, 'S'); /* in read(2), with the step to come */
}

NOTE(65, "A step outlives the tracer",
     "PTRACE_DETACH turns single-stepping off; the tracer's end does not. A thread that was in the middle of a "
     "step then, say in a system call that sleeps, ends that step with a SIGTRAP which nobody takes, and dies "
     "of it.")
{
    pid_t pid = start(d, reads_for_ever);
    await(d, 2);
    d->flag[0] = pid;
    EXPECT(is_exit(wait_for(d, start(d, steps_and_ends)), 0));
    open_gate(d);
    EXPECT(is_killed(wait_for(d, pid), SIGTRAP));
}
