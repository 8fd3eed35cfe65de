/* System calls by what they are: each architecture has numbers of its own, and a machine may run programs of several. Only
 * those that something depends on have a name here. */
#ifndef REIN_OS_LINUX_NUMBERS_H
#define REIN_OS_LINUX_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/backend.h"

enum linux_call {
    LINUX_CALL_OTHER,
    LINUX_CALL_EXIT,     /* exit, exit_group */
    LINUX_CALL_EXEC,     /* execve, execveat */
    LINUX_CALL_CLONE,    /* clone, clone3, fork, vfork */
    LINUX_CALL_RETURN,   /* sigreturn, rt_sigreturn, restart_syscall */
    LINUX_CALL_SLEEP,    /* nanosleep, clock_nanosleep, poll */
    LINUX_CALL_FUTEX,    /* operation is argument 1 */
    LINUX_CALL_MASKED,   /* sigsuspend, ppoll, pselect: with another signal mask for their time */
    LINUX_CALL_SEMOP,    /* without a limit */
    LINUX_CALL_LIMIT_MS, /* epoll_wait, epoll_pwait: argument 3, negative for none */
    LINUX_CALL_LIMIT_2,  /* rt_sigtimedwait: a pointer in argument 2, NULL for none; as in the two below */
    LINUX_CALL_LIMIT_3,  /* epoll_pwait2, semtimedop */
    LINUX_CALL_LIMIT_4,  /* io_getevents */
    LINUX_CALL_URING,    /* io_uring_enter */
    LINUX_CALL_IPC,      /* i386's for many: argument 0 says for which */
};

#if defined(__x86_64__)
enum linux_call linux_call_of_amd64(uint64_t number);
extern const uint64_t linux_numbers_amd64[OS_CALL_COUNT];
#endif
#if defined(__aarch64__)
enum linux_call linux_call_of_arm64(uint64_t number);
extern const uint64_t linux_numbers_arm64[OS_CALL_COUNT];
#endif
#if defined(__x86_64__) || defined(__i386__)
enum linux_call linux_call_of_i386(uint64_t number);
extern const uint64_t linux_numbers_i386[OS_CALL_COUNT];
#endif

/* What is that, to a program of that architecture? */
static inline enum linux_call linux_call_of(const struct arch *arch, uint64_t number)
{
#if defined(__x86_64__)
    return arch == &arch_i386 ? linux_call_of_i386(number) : linux_call_of_amd64(number);
#elif defined(__aarch64__)
    (void)arch;
    return linux_call_of_arm64(number);
#else
    (void)arch;
    return linux_call_of_i386(number);
#endif
}

/* i386's mmap that takes its arguments in registers counts the offset in pages. */
static inline bool linux_offset_is_in_pages(const struct arch *arch)
{
#if defined(__x86_64__) || defined(__i386__)
    return arch == &arch_i386;
#else
    (void)arch;
    return false;
#endif
}

static inline uint64_t linux_number_of(const struct arch *arch, enum os_call which)
{
#if defined(__x86_64__)
    return arch == &arch_i386 ? linux_numbers_i386[which] : linux_numbers_amd64[which];
#elif defined(__aarch64__)
    (void)arch;
    return linux_numbers_arm64[which];
#else
    (void)arch;
    return linux_numbers_i386[which];
#endif
}

#endif
