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

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/user.h>

/* The kernel's own (include/linux/errno.h); user space has no header with them. */
enum { RESTART_FIRST = 512, RESTART_NO_HANDLER = 514, RESTART_LAST = 516 };

#define SYSCALL_SIZE 2           /* syscall is 0f 05, int 0x80 is cd 80, sysenter is 0f 34 */
#define SYSCALL_SECOND_BYTE 0x05 /* the first one can be under a breakpoint */

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

static bool uring_waits_for_ever(int id, const struct user_regs_struct *registers)
{
    struct uring_argument argument;

    if (!(registers->r10 & URING_GET_EVENTS) || registers->r10 & URING_REGISTERED)
        return false;
    if (!(registers->r10 & URING_EXTENDED) || registers->r10 & URING_ABSOLUTE)
        return true; /* a point in time is as good the second time */
    return read_memory(id, registers->r8, &argument, sizeof argument) && argument.limit == 0 && argument.min_wait == 0;
}

/* A call with a time limit is left alone: made again with the same limit it would wait too long, and for ever under
 * a debugger that stops the thread again and again. */
static bool waits_for_ever(int id, const struct user_regs_struct *registers)
{
    switch (registers->orig_rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return (int32_t)registers->r10 < 0;
    case SYS_epoll_pwait2:
    case SYS_semtimedop:
        return registers->r10 == 0;
    case SYS_semop:
        return true;
    case SYS_rt_sigtimedwait:
        return registers->rdx == 0;
    case SYS_io_getevents:
        return registers->r8 == 0;
    case SYS_io_uring_enter:
        return uring_waits_for_ever(id, registers);
    default:
        return false;
    }
}

static bool is_64_bit_call(int id, const struct user_regs_struct *registers)
{
    unsigned char second = 0;

    return read_memory(id, registers->rip - 1, &second, 1) && second == SYSCALL_SECOND_BYTE;
}

/* The result becomes -ERESTARTNOHAND, and all else is left to the kernel, which looks at the registers after the stop. So
 * there is no race with a signal that comes meanwhile: if a handler runs after all, the kernel makes it EINTR again,
 * and the temporary signal mask of epoll_pwait is put back as ever. (To set the pc back ourselves would lose the
 * EINTR that a program with epoll_pwait counts on.) All of these calls have done nothing yet when they return EINTR. */
int linux_restart_interrupted_call(int id, struct arch_registers *registers)
{
    struct user_regs_struct user;

    if (registers->size != sizeof user) /* a 32-bit program */
        return 0;
    memcpy(&user, registers->bytes, sizeof user);
    /* orig_rax is the number of a call only until the thread is back in user mode: what is here has just happened. */
    if ((int64_t)user.rax != -EINTR || !waits_for_ever(id, &user) || !is_64_bit_call(id, &user))
        return 0;
    user.rax = (unsigned long long)-RESTART_NO_HANDLER;
    memcpy(registers->bytes, &user, sizeof user);
    return 1;
}

int linux_call_is_made_again(const struct arch_registers *registers, uint64_t *pc)
{
    struct user_regs_struct user;

    if (registers->size != sizeof user)
        return 0;
    memcpy(&user, registers->bytes, sizeof user);
    int64_t result = (int64_t)user.rax;
    if ((int64_t)user.orig_rax < 0 || result > -RESTART_FIRST || result < -RESTART_LAST)
        return 0;
    if (pc != NULL)
        *pc = user.rip - SYSCALL_SIZE;
    return 1;
}

/* Who is interrupted in these gets -ERESTARTNOHAND; they have done nothing yet. */
bool linux_call_can_repeat(const struct arch_registers *registers)
{
    struct user_regs_struct user;

    if (linux_call_is_made_again(registers, NULL) != 1)
        return false;
    memcpy(&user, registers->bytes, sizeof user);
    return user.orig_rax == SYS_rt_sigsuspend || user.orig_rax == SYS_ppoll || user.orig_rax == SYS_pselect6;
}

bool linux_call_has_restart_block(int id, const struct arch_registers *registers)
{
    struct user_regs_struct user;

    (void)id;
    if (linux_call_is_made_again(registers, NULL) != 1)
        return false;
    memcpy(&user, registers->bytes, sizeof user);
    return (int64_t)user.rax == -RESTART_LAST;
}
