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
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/linux/numbers.h"
#include "os/linux/raw.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* Linux 4.17; to an older one the address is a wish */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0 /* Linux 5.17 */
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif

enum { SECCOMP_STRICT = 1 };

enum { OFFSET_UNIT = 4096 };

int linux_known_call(const struct arch *arch, enum os_call which, const uint64_t arguments[6], struct arch_call *call)
{
    memmove(call->arguments, arguments, sizeof call->arguments); /* they may be the same */
    call->number = linux_number_of(arch, which);
    if (which == OS_CALL_MAP_ROOM) {
        call->arguments[2] = PROT_READ | PROT_EXEC;
        call->arguments[3] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
        call->arguments[4] = (uint64_t)-1;
        call->arguments[5] = 0;
    }
    if (which == OS_CALL_NAME_ROOM) {
        const uint64_t words[6] = {PR_SET_VMA, PR_SET_VMA_ANON_NAME, call->arguments[0], call->arguments[1],
                                   call->arguments[2]};
        memcpy(call->arguments, words, sizeof words);
    }
    if (linux_offset_is_in_pages(arch) && which == OS_CALL_MMAP) {
        uint64_t offset = arguments[5];

        call->arguments[5] = offset / OFFSET_UNIT;
        if (offset % OFFSET_UNIT != 0 || offset / OFFSET_UNIT > UINT32_MAX)
            return -EINVAL;
    }
    return 0;
}

/* Why the thread could not be as before after the call; NULL: it can. */
static const char *why_never(enum linux_call call)
{
    switch (call) {
    case LINUX_CALL_EXIT:
        return "it would end the thread";
    case LINUX_CALL_EXEC:
        return "it would put another program in its place";
    case LINUX_CALL_CLONE:
        return "what it makes would run on in the middle of nowhere";
    case LINUX_CALL_RETURN:
        return "it belongs to a signal handler's frame, or to a call that was interrupted";
    default:
        return NULL;
    }
}

static bool uses_restart_block(enum linux_call which, const struct arch_call *call)
{
    unsigned command = (unsigned)call->arguments[1] & (unsigned)FUTEX_CMD_MASK;

    return which == LINUX_CALL_SLEEP ||
           (which == LINUX_CALL_FUTEX && (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET));
}

bool linux_call_uses_restart_block(const struct arch *arch, const struct arch_call *call)
{
    return uses_restart_block(linux_call_of(arch, call->number), call);
}

int linux_check_call(int pid, int id, const struct arch_registers *registers, const struct arch_call *call,
                     bool filtered, char *text, size_t size)
{
    enum linux_call which = linux_call_of(registers->arch, call->number);
    const char *never = why_never(which);
    int seccomp = linux_seccomp_mode(pid, id);

    if (never != NULL) {
        snprintf(text, size, "%s", never);
        return REIN_INVALID_ARGUMENT;
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
    if (linux_call_has_restart_block(id, registers) && uses_restart_block(which, call)) {
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
