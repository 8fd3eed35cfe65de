/* System calls made in a tracee: which can be made at all, and what needs no call of the tracee's.
 *
 * Restart blocks. Who is interrupted in a sleep with a time limit goes on by restart_syscall(2), with what the kernel has
 * written down for that: how long is left. There is one such note for each thread, and these calls write it: nanosleep and
 * clock_nanosleep as they begin, poll and futex when they are interrupted (all users of set_restart_fn() and of
 * current->restart_block in Linux 6.18). Made in between they would have the program sleep for ever, or get an EINTR. Any
 * other call leaves the note alone. */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>

#include "os/linux/raw.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

enum { SECCOMP_STRICT = 1 };

const uint64_t linux_call_numbers[OS_CALL_COUNT] = {
    [OS_CALL_MMAP] = SYS_mmap,      [OS_CALL_MUNMAP] = SYS_munmap, [OS_CALL_MPROTECT] = SYS_mprotect,
    [OS_CALL_OPEN_AT] = SYS_openat, [OS_CALL_CLOSE] = SYS_close,
};

/* Why the thread could not be as before after the call; NULL: it can. */
static const char *why_never(uint64_t number)
{
    switch (number) {
    case SYS_exit:
    case SYS_exit_group:
        return "it would end the thread";
    case SYS_execve:
    case SYS_execveat:
        return "it would put another program in its place";
    case SYS_clone:
    case SYS_clone3:
#ifdef SYS_fork
    case SYS_fork:
    case SYS_vfork:
#endif
        return "what it makes would run on in the middle of nowhere";
    case SYS_rt_sigreturn:
    case SYS_restart_syscall:
        return "it belongs to a signal handler's frame, or to a call that was interrupted";
    default:
        return NULL;
    }
}

static bool uses_restart_block(const struct arch_call *call)
{
    switch (call->number) {
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
#ifdef SYS_poll
    case SYS_poll:
#endif
        return true;
    case SYS_futex: {
        unsigned command = (unsigned)call->arguments[1] & (unsigned)FUTEX_CMD_MASK;
        return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
    }
    default:
        return false;
    }
}

int linux_check_call(int pid, int id, const struct arch_registers *registers, const struct arch_call *call,
                     bool filtered, char *text, size_t size)
{
    const char *never = why_never(call->number);
    int seccomp = linux_seccomp_mode(pid, id);

    if (never != NULL) {
        snprintf(text, size, "%s", never);
        return REIN_INVALID_ARGUMENT;
    }
    if (registers->size < sizeof(struct user_regs_struct)) {
        snprintf(text, size, "it runs 32-bit code");
        return REIN_NOT_SUPPORTED;
    }
    if (seccomp == SECCOMP_STRICT) {
        snprintf(text, size, "it is in seccomp's strict mode, and the kernel would kill it");
        return REIN_NOT_PERMITTED;
    }
    if (seccomp > SECCOMP_STRICT && !filtered) {
        snprintf(text, size,
                 "it has a seccomp filter, which may kill it for the call; REIN_SYSCALL_FILTERED says to make it all "
                 "the same");
        return REIN_NOT_PERMITTED;
    }
    if (linux_call_has_restart_block(id, registers) && uses_restart_block(call)) {
        snprintf(text, size,
                 "it sleeps with a time limit, and what the kernel has noted of that would be lost; make this call in "
                 "another thread");
        return REIN_BAD_STATE;
    }
    return 0;
}

/* Linux 5.6. The kernel looks whether we might attach, or are attached, so it must be the monitor that asks: Yama makes an
 * exception for the tracer. A leader that has ended has no descriptors any more, though its threads have: pidfd of a
 * thread, Linux 6.9. */
int linux_take_descriptor(int pid, int id, int descriptor)
{
    long process = raw(SYS_pidfd_open, id, PIDFD_THREAD);
    if (process == -EINVAL)
        process = raw(SYS_pidfd_open, pid, 0);
    if (process < 0)
        return (int)process;
    long taken = raw(SYS_pidfd_getfd, process, descriptor, 0);
    raw(SYS_close, process);
    return (int)taken;
}
