/* i386's numbers of system calls. What takes a time has a second one, for times of 64 bits. */
#include "os/linux/numbers.h"

#if defined(__x86_64__) || defined(__i386__)

#include <asm/unistd_32.h>

#ifndef __NR_epoll_pwait2
#define __NR_epoll_pwait2 441 /* Linux 5.11 */
#endif

enum linux_call linux_call_of_i386(uint64_t number)
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
    case __NR_fork:
    case __NR_vfork:
        return LINUX_CALL_CLONE;
    case __NR_sigreturn:
    case __NR_rt_sigreturn:
    case __NR_restart_syscall:
        return LINUX_CALL_RETURN;
    case __NR_nanosleep:
    case __NR_clock_nanosleep:
    case __NR_clock_nanosleep_time64:
    case __NR_poll:
        return LINUX_CALL_SLEEP;
    case __NR_futex:
    case __NR_futex_time64:
        return LINUX_CALL_FUTEX;
    case __NR_sigsuspend:
    case __NR_rt_sigsuspend:
    case __NR_ppoll:
    case __NR_ppoll_time64:
    case __NR_pselect6:
    case __NR_pselect6_time64:
        return LINUX_CALL_MASKED;
    case __NR_epoll_wait:
    case __NR_epoll_pwait:
        return LINUX_CALL_LIMIT_MS;
    case __NR_rt_sigtimedwait:
    case __NR_rt_sigtimedwait_time64:
        return LINUX_CALL_LIMIT_2;
    case __NR_epoll_pwait2:
    case __NR_semtimedop_time64:
        return LINUX_CALL_LIMIT_3;
    case __NR_io_getevents:
        return LINUX_CALL_LIMIT_4;
    case __NR_io_uring_enter:
        return LINUX_CALL_URING;
    case __NR_ipc:
        return LINUX_CALL_IPC;
    default:
        return LINUX_CALL_OTHER;
    }
}

const uint64_t linux_numbers_i386[OS_CALL_COUNT] = {
    [OS_CALL_MMAP] = __NR_mmap2,      [OS_CALL_MUNMAP] = __NR_munmap, [OS_CALL_MPROTECT] = __NR_mprotect,
    [OS_CALL_OPEN_AT] = __NR_openat,  [OS_CALL_CLOSE] = __NR_close,   [OS_CALL_MAP_ROOM] = __NR_mmap2,
    [OS_CALL_NAME_ROOM] = __NR_prctl,
};

#endif
