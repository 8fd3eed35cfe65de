/* System calls that touch nothing but the kernel: for wait.c, seize.c and monitor_process.c, where the C library's wrappers
 * are wrong for one of three reasons.
 *
 * - The monitor process and the host thread that sleeps for it share one errno (it lives in the thread's storage), so the
 *   sleeping one must not write to it. And a wake, which may be made in a signal handler, leaves it as it was.
 * - glibc refuses what the monitor must do: block signals 32 and 33, which it keeps for itself.
 * - The sanitizers replace sigaction, clone and others by functions that keep books on one process with threads; two
 *   processes on one memory are not in these books.
 *
 * Results are the kernel's: a value, or a negative errno. */
#ifndef REIN_OS_LINUX_RAW_H
#define REIN_OS_LINUX_RAW_H

#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>

/* What the kernel takes as a set of signals: 64 bits on every architecture but mips. Signal N is bit N - 1. */
typedef uint64_t raw_signals;
#define RAW_SIGNAL(number) ((raw_signals)1 << ((number)-1))

/* What futex and rt_sigtimedwait take: two words, also where time_t has become wider than a word. */
struct raw_time {
    long seconds, nanoseconds;
};

static inline struct raw_time raw_time_us(int64_t us)
{
    return (struct raw_time){(long)(us / 1000000), (long)(us % 1000000 * 1000)};
}

/* The signal that wakes a sleeping monitor. SIGCONT, because it is the one for which kill(2) asks for no
 * permission within a session: requests still arrive when the host has changed its user ids since it made the
 * monitor. The monitor blocks it, and it has no other effect on a process that is not stopped. (A stop signal
 * to the monitor, by ^Z, drops it when it is pending just then: the request is found within a second.) */
#define LINUX_WAKE_SIGNAL SIGCONT

#define RAW_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__) && !defined(__ILP32__)

RAW_INLINE long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__i386__)

/* A sixth argument would be in ebp, which is the compiler's: to lend it is to lose the backtrace of a thread that sleeps
 * here. So RAW_SYSCALL_ takes none but 0 for it, whatever is there. */
RAW_INLINE long raw_syscall(long number, long a, long b, long c, long d, long e)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory", "cc");
    return result;
}

#elif defined(__aarch64__)

RAW_INLINE long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}

#else

/* Good enough to begin a port with: it restores errno instead of leaving it alone, which is a race with the
 * monitor while its host thread is woken by a signal. */
#include <errno.h>
#include <unistd.h>
RAW_INLINE long raw_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    int kept = errno;
    long result = syscall(number, a, b, c, d, e, f);
    if (result == -1)
        result = -errno;
    errno = kept;
    return result;
}

#endif

#if defined(__i386__)
#define RAW_SYSCALL_(number, a, b, c, d, e, f, ...)                                                                    \
    raw_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e) + 0 * (long)sizeof(char[(f) ? -1 : 1]))
#else
#define RAW_SYSCALL_(number, a, b, c, d, e, f, ...)                                                                    \
    raw_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#endif
/* raw(SYS_wait4, id, &status, options, 0): arguments that are left out are 0. */
#define raw(...) RAW_SYSCALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* Marks what a child runs that may share our memory, thread-local storage included. It calls no function of the C
 * library, and none that a compiler's sanitizer has added to: they keep a state for each thread there. (no_sanitize
 * alone leaves some of clang's thread sanitizer in.) */
#if defined(__clang__) && __has_attribute(disable_sanitizer_instrumentation)
#define IN_CHILD                                                                                                       \
    __attribute__((noinline, no_instrument_function, disable_sanitizer_instrumentation,                                \
                   no_sanitize("address", "undefined")))
#else
#define IN_CHILD __attribute__((noinline, no_instrument_function, no_sanitize("address", "thread", "undefined")))
#endif

#endif
