/* Notes: system calls and seccomp. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "machine.h"
#include "note.h"

static void calls(struct demo *d)
{
    block(d);
    d->flag[0] = getppid();
    sleeps(d);
}

NOTE(75, "PTRACE_GET_SYSCALL_INFO says which call it is, and whether it begins or ends",
     "PTRACE_SYSCALL stops at the entry and at the end of each system call, with a SIGTRAP that only "
     "PTRACE_O_TRACESYSGOOD marks as such, and with nothing to tell one from the other. Tracers counted, and "
     "some counted wrong. Since Linux 5.3 the kernel tells: number and arguments at the entry, the result at "
     "the end, on any processor.")
{
    struct __ptrace_syscall_info call;
    pid_t pid = start(d, calls);
    seize(d, pid, PTRACE_O_TRACESYSGOOD);
    stop(d, pid);
    open_gate(d);
    run_to_call(d, pid, SYS_getppid);
    TRY(trace(PTRACE_SYSCALL, pid, 0, 0));
    EXPECT(is_signal(wait_for(d, pid), SYSCALL_STOP));
    TRY(trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, &call));
    EXPECT(call.op == PTRACE_SYSCALL_INFO_EXIT);
    EXPECT(call.exit.rval == getpid() && !call.exit.is_error);
}

#if defined(__x86_64__)
static void reads_twice(struct demo *d)
{
    char byte;
    d->flag[0] = 1 + (int)read(d->gate[0], &byte, 1);
    errno = 0;
    syscall(SYS_read, d->gate[0], &byte, 1L);
    d->flag[1] = errno;
    sleeps(d);
}
#endif

NOTE(76, "A call that a stop has interrupted is made again by the kernel, by way of the registers",
     "At the stop the result's register holds a number that programs never see, such as -512, ERESTARTSYS, and "
     "orig_rax, on amd64, the number of the call. When the thread is resumed without a handler to run, the "
     "kernel sets the pc back onto the system call instruction. Whoever makes the thread run elsewhere has to "
     "set orig_rax to -1 meanwhile, or the pc is set back there; and if he forgets to put it back, the program "
     "sees the number: \"Unknown error 512\".")
{
#if defined(__x86_64__)
    pid_t pid = start(d, reads_twice);
    seize(d, pid, 0);
    await_state(pid, 'S');
    stop(d, pid);
    struct user_regs_struct registers = registers_of(d, pid);
    EXPECT((int64_t)registers.rax == -512 && registers.orig_rax == SYS_read);
    go_on(d, pid, 0);
    open_gate(d);
    await(d, 0);
    EXPECT(d->flag[0] == 2); /* one byte was read */
    await_state(pid, 'S');
    stop(d, pid);
    registers = registers_of(d, pid);
    registers.orig_rax = ~UINT64_C(0);
    set_registers(d, pid, registers);
    go_on(d, pid, 0);
    await(d, 1);
    EXPECT(d->flag[1] == 512);
#else
    cannot(d, "only on amd64");
#endif
}

static void waits_for_events(struct demo *d)
{
    struct epoll_event event;
    int poll = (int)TRY(epoll_create1(0));
    d->flag[0] = 1;
    d->flag[1] = epoll_wait(poll, &event, 1, -1) == -1 ? errno : -1;
    sleeps(d);
}

NOTE(77, "A few calls fail with EINTR when their thread was only stopped",
     "They do not know how to be made again: epoll_wait and its kin, sigtimedwait, semop, io_getevents, "
     "io_uring_enter, and calls on a socket that has a timeout. Programs that never reckoned with EINTR there "
     "show faults under a tracer only. signal(7) lists those of all kernels; inotify, futex and msgrcv are "
     "better than their name by now.")
{
    pid_t pid = start(d, waits_for_events);
    await(d, 0);
    await_state(pid, 'S');
    seize(d, pid, 0);
    stop(d, pid);
    go_on(d, pid, 0);
    await(d, 1);
    EXPECT(d->flag[1] == EINTR);
}

/* From now on the filter answers system calls of that number. */
static void filter_call(struct demo *d, unsigned number, unsigned answer)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        cannot(d, "this kernel has no seccomp filters");
}

static void calls_what_is_traced(struct demo *d)
{
    block(d);
    filter_call(d, SYS_getppid, SECCOMP_RET_TRACE | 7);
    syscall(SYS_getppid);
    sleeps(d);
}

NOTE(78, "The entry stop of a system call comes before its seccomp filter, since Linux 4.8",
     "Before, the filter came first. Now PTRACE_SYSCALL stops first, and what the tracer has made of the call "
     "is what the filter sees; if the filter returns SECCOMP_RET_TRACE, PTRACE_EVENT_SECCOMP follows, with its "
     "data as the message. So a tracer that uses both is told of one call twice.")
{
    since_linux(d, 4, 8);
    pid_t pid = start(d, calls_what_is_traced);
    seize(d, pid, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD);
    stop(d, pid);
    open_gate(d);
    run_to_call(d, pid, SYS_getppid);
    TRY(trace(PTRACE_SYSCALL, pid, 0, 0));
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_SECCOMP));
    EXPECT(message_of(d, pid) == 7);
}

#if defined(__x86_64__)
static void calls_what_is_forbidden(struct demo *d)
{
    block(d);
    filter_call(d, SYS_getuid, SECCOMP_RET_ERRNO | 77);
    d->flag[0] = syscall(SYS_getppid) == -1 ? errno : -1;
    sleeps(d);
}
#endif

NOTE(79, "A tracer cannot lead a program past its seccomp filter, since Linux 4.8",
     "The filter judges the call that the tracer has made of it. A call that is made in a program for its "
     "tracer's purposes can therefore end as badly as one of the program's own: with an error, or with the "
     "program's death.")
{
#if defined(__x86_64__)
    since_linux(d, 4, 8);
    pid_t pid = start(d, calls_what_is_forbidden);
    seize(d, pid, PTRACE_O_TRACESYSGOOD);
    stop(d, pid);
    open_gate(d);
    run_to_call(d, pid, SYS_getppid);
    struct user_regs_struct registers = registers_of(d, pid);
    registers.orig_rax = SYS_getuid;
    set_registers(d, pid, registers);
    go_on(d, pid, 0);
    await(d, 0);
    EXPECT(d->flag[0] == 77);
#else
    cannot(d, "only on amd64");
#endif
}

static void calls_without_tracer(struct demo *d)
{
    filter_call(d, SYS_getppid, SECCOMP_RET_TRACE);
    EXPECT(syscall(SYS_getppid) == -1 && errno == ENOSYS);
    d->flag[0] = 1;
}

NOTE(80, "SECCOMP_RET_TRACE without a tracer that asked for it is ENOSYS",
     "The call fails if nobody traces the thread, or its tracer has not set PTRACE_O_TRACESECCOMP. A filter "
     "that was installed for a tracer makes the program unable to go on without it.")
{
    EXPECT(is_exit(wait_for(d, start(d, calls_without_tracer)), 0));
    EXPECT(d->flag[0] == 1);
}

NOTE(81, "A number that is given at a system call's stop becomes a new signal",
     "At an event's stop, the number that the tracer resumes the thread with is ignored. At the entry and the "
     "end of a system call it is not: the kernel sends that signal to the thread, which stops for it like for "
     "any other. So a tracer that passes on whatever number wait has told, without looking at the kind of "
     "stop, makes signals.")
{
    siginfo_t info;
    pid_t pid = start(d, calls);
    seize(d, pid, PTRACE_O_TRACESYSGOOD);
    stop(d, pid);
    go_on(d, pid, SIGUSR1); /* ignored */
    stop(d, pid);
    open_gate(d);
    run_to_call(d, pid, SYS_getppid);
    go_on(d, pid, SIGUSR2);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR2));
    TRY(trace(PTRACE_GETSIGINFO, pid, 0, &info));
    EXPECT(info.si_code == SI_KERNEL);
}
