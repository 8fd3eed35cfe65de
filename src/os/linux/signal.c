/* Sending signals. */
#include "os/linux/linux.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int linux_kill(int pid, int signal)
{
    return kill(pid, signal) == 0 ? 0 : -errno;
}

int linux_all_pending_signals(int id, uint64_t *mask)
{
    uint64_t own = 0, shared = 0;
    int result = linux_pending_signals(id, &own, &shared);

    *mask = own | shared;
    return result;
}

/* Nobody but the kernel may send a code of 0 or more, nor SI_TKILL, to another process (do_rt_tgsigqueueinfo() in
 * kernel/signal.c). These become SI_QUEUE, and keep all the rest: sender, value, address, a child's status are where
 * they were. A signal for which there is no room (RLIMIT_SIGPENDING) comes without siginfo rather than not at all. */
int linux_queue_signal(int pid, int id, const struct rein_signal *signal)
{
    siginfo_t info;

    memcpy(&info, signal->raw, sizeof info);
    info.si_signo = signal->number;
    info.si_errno = signal->error;
    info.si_code = signal->code;
    if (info.si_code >= 0 || info.si_code == SI_TKILL)
        info.si_code = SI_QUEUE;
    if (syscall(SYS_rt_tgsigqueueinfo, pid, id, signal->number, &info) == 0) /* Linux 2.6.31 */
        return 0;
    if (errno != EAGAIN && errno != EPERM)
        return -errno;
    return syscall(SYS_tgkill, pid, id, signal->number) == 0 ? 0 : -errno;
}
