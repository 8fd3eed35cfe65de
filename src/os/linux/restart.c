/* System calls that a stop has interrupted. The kernel makes nearly all of them again by itself: they return one of
 * its -ERESTART... numbers, which no program ever sees, and on the thread's way back to user mode the kernel sets the pc
 * back to the syscall instruction, or, when a handler runs first, makes EINTR of the number. A few return EINTR
 * straight away, whatever woke them (signal(7), "Interruption of system calls and library functions by stop
 * signals"), so a debugger's stop shows in the program. Measured on Linux 6.18, with PTRACE_INTERRUPT and no signal:
 *
 *   epoll_wait epoll_pwait epoll_pwait2 rt_sigtimedwait semop semtimedop io_getevents io_uring_enter
 *   and every call on a socket with SO_RCVTIMEO or SO_SNDTIMEO
 *
 * Not (any more): inotify and fanotify reads, io_pgetevents, msgrcv, msgsnd, futex, futex_waitv, poll, select, pause,
 * sigsuspend, the sleeps, flock, fcntl locks, mq_receive, accept, recvmmsg. A traced thread sees EINTR also after a
 * signal that it ignores: untraced, such a signal is not even queued (sig_ignored() in kernel/signal.c). */
#include "os/linux/linux.h"
#include "os/linux/numbers.h"

#include <errno.h>
#include <string.h>

/* The kernel's own (include/linux/errno.h); user space has no header with them. */
enum { RESTART_FIRST = 512, RESTART_NO_HANDLER = 514, RESTART_LAST = 516 };

#define SYSCALL_SECOND_BYTE 0x05 /* of syscall, 0f 05; the first one can be under a breakpoint */

/* ipc(2), which is semop, semtimedop and others */
enum { IPC_SEMOP = 1, IPC_SEMTIMEDOP = 4, IPC_LIMIT = 5, IPC_CALL = 0xffff };

/* io_uring_enter(2) */
#define URING_GET_EVENTS 1u
#define URING_EXTENDED 8u
#define URING_ABSOLUTE 32u
#define URING_REGISTERED 64u
struct uring_argument { /* struct io_uring_getevents_arg */
    uint64_t mask;
    uint32_t mask_size, min_wait;
    uint64_t limit;
};

static bool read_memory(int id, uint64_t address, void *buffer, size_t size)
{
    struct os_memory memory;

    linux_memory_init(&memory);
    int64_t count = linux_read(&memory, id, address, buffer, size);
    linux_memory_close(&memory);
    return count == (int64_t)size;
}

static bool uring_waits_for_ever(int id, const uint64_t arguments[6])
{
    struct uring_argument argument;

    if (!(arguments[3] & URING_GET_EVENTS) || arguments[3] & URING_REGISTERED)
        return false;
    if (!(arguments[3] & URING_EXTENDED) || arguments[3] & URING_ABSOLUTE)
        return true; /* a point in time is as good the second time */
    return read_memory(id, arguments[4], &argument, sizeof argument) && argument.limit == 0 && argument.min_wait == 0;
}

/* A call with a time limit is left alone: made again with the same limit it would wait too long, and for ever under
 * a debugger that stops the thread again and again. */
static bool waits_for_ever(int id, const struct arch_registers *registers)
{
    struct arch_call call;

    registers->arch->get_call(registers, &call);
    switch (linux_call_of(registers->arch, call.number)) {
    case LINUX_CALL_SEMOP:
        return true;
    case LINUX_CALL_LIMIT_MS:
        return (int32_t)call.arguments[3] < 0;
    case LINUX_CALL_LIMIT_2:
        return call.arguments[2] == 0;
    case LINUX_CALL_LIMIT_3:
        return call.arguments[3] == 0;
    case LINUX_CALL_LIMIT_4:
        return call.arguments[4] == 0;
    case LINUX_CALL_URING:
        return uring_waits_for_ever(id, call.arguments);
    case LINUX_CALL_IPC:
        call.arguments[0] &= IPC_CALL; /* a version is above it */
        return call.arguments[0] == IPC_SEMOP ||
               (call.arguments[0] == IPC_SEMTIMEDOP && call.arguments[IPC_LIMIT] == 0);
    default:
        return false;
    }
}

/* Was the call made by the numbers of the thread's architecture? A 64-bit program's int $0x80 is not. */
static bool is_own_call(int id, const struct arch_registers *registers)
{
    unsigned char second = 0;

    return registers->arch == &arch_i386 ||
           (read_memory(id, arch_pc(registers) - 1, &second, 1) && second == SYSCALL_SECOND_BYTE);
}

/* The number of the restart, RESTART_FIRST and so on, with which the call has ended that the thread is stopped in; 0: none. */
static int restart_of(const struct arch_registers *registers)
{
    struct arch_call call;
    int64_t result = registers->arch->call_result(registers);

    registers->arch->get_call(registers, &call);
    if ((int64_t)call.number < 0 || result > -RESTART_FIRST || result < -RESTART_LAST)
        return 0;
    return (int)-result;
}

/* The result becomes -ERESTARTNOHAND, and all else is left to the kernel, which looks at the registers after the stop. So
 * there is no race with a signal that comes meanwhile: if a handler runs after all, the kernel makes it EINTR again,
 * and the temporary signal mask of epoll_pwait is put back as ever. (To set the pc back ourselves would lose the
 * EINTR that a program with epoll_pwait counts on.) All of these calls have done nothing yet when they return EINTR. */
int linux_restart_interrupted_call(int id, struct arch_registers *registers)
{
    const struct arch *arch = registers->arch;

    /* The number is that of a call only until the thread is back in user mode: what is here has just happened. */
    if (arch->call_result(registers) != -EINTR || !waits_for_ever(id, registers) || !is_own_call(id, registers))
        return 0;
    arch->set_result(registers, -RESTART_NO_HANDLER);
    return 1;
}

int linux_call_is_made_again(const struct arch_registers *registers, uint64_t *pc)
{
    if (restart_of(registers) == 0)
        return 0;
    if (pc != NULL)
        *pc = arch_pc(registers) - registers->arch->syscall_size;
    return 1;
}

/* Who is interrupted in these gets -ERESTARTNOHAND; they have done nothing yet. */
bool linux_call_can_repeat(const struct arch_registers *registers)
{
    struct arch_call call;

    registers->arch->get_call(registers, &call);
    return restart_of(registers) != 0 && linux_call_of(registers->arch, call.number) == LINUX_CALL_MASKED;
}

bool linux_call_has_restart_block(int id, const struct arch_registers *registers)
{
    (void)id;
    return restart_of(registers) == RESTART_LAST;
}
