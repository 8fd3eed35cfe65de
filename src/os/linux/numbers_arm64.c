/* arm64's numbers of system calls. */
#include "os/linux/numbers.h"

#include <asm/unistd.h>

#ifndef __NR_epoll_pwait2
#define __NR_epoll_pwait2 441 /* Linux 5.11 */
#endif

enum linux_call linux_call_of_arm64(uint64_t number)
{
    switch (number) {
    case __NR_exit:
    case __NR_exit_group:
        return LINUX_CALL_EXIT;
    case __NR_execve:
    case __NR_execveat:
        return LINUX_CALL_EXEC;
    case __NR_clone:
    case __NR_clone3:
        return LINUX_CALL_CLONE;
    case __NR_rt_sigreturn:
    case __NR_restart_syscall:
        return LINUX_CALL_RETURN;
    case __NR_nanosleep:
    case __NR_clock_nanosleep:
        return LINUX_CALL_SLEEP;
    case __NR_futex:
        return LINUX_CALL_FUTEX;
    case __NR_rt_sigsuspend:
    case __NR_ppoll:
    case __NR_pselect6:
        return LINUX_CALL_MASKED;
    case __NR_semop:
        return LINUX_CALL_SEMOP;
    case __NR_epoll_pwait:
        return LINUX_CALL_LIMIT_MS;
    case __NR_rt_sigtimedwait:
        return LINUX_CALL_LIMIT_2;
    case __NR_epoll_pwait2:
    case __NR_semtimedop:
        return LINUX_CALL_LIMIT_3;
    case __NR_io_getevents:
        return LINUX_CALL_LIMIT_4;
    case __NR_io_uring_enter:
        return LINUX_CALL_URING;
    default:
        return LINUX_CALL_OTHER;
    }
}

const uint64_t linux_numbers_arm64[OS_CALL_COUNT] = {
    [OS_CALL_MMAP] = __NR_mmap,       [OS_CALL_MUNMAP] = __NR_munmap, [OS_CALL_MPROTECT] = __NR_mprotect,
    [OS_CALL_OPEN_AT] = __NR_openat,  [OS_CALL_CLOSE] = __NR_close,   [OS_CALL_MAP_ROOM] = __NR_mmap,
    [OS_CALL_NAME_ROOM] = __NR_prctl,
};
