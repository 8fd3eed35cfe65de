/* Making the monitor, its death, and its host's death.
 *
 * THE MONITOR PROCESS (REIN_MONITOR_PROCESS) is a process that shares the host's memory, descriptors and
 * working directory, and nothing else. A pthread is started, the keeper; it clones the monitor onto the lower
 * part of its own stack and sleeps until the monitor is over. The monitor runs with the keeper's thread-local
 * storage, so that malloc, errno, stdio, locks and the host's callbacks work in it as in any thread; the
 * keeper meanwhile touches no storage at all: its sleep is system calls made in assembly, in a function that
 * no sanitizer instruments.
 *
 * It is made by clone with CLONE_VM | CLONE_FS | CLONE_FILES, and
 *   exit signal 0       no SIGCHLD for the host, and its waits do not see it, but for those that ask for
 *                       __WALL or __WCLONE;
 *   no CLONE_THREAD     so that it has tracees, waits, and signals to itself, and outlives the host for a
 *                       moment;
 *   no CLONE_SIGHAND    so that what it does about signals is its own;
 *   no CLONE_SETTLS     so that it keeps the keeper's storage;
 *   CLONE_UNTRACED      a debugger of the host that follows forks must not stop it;
 *   CLONE_CHILD_CLEARTID  the kernel clears `alive` and wakes its futex when the monitor leaves the memory,
 *                       whatever ended it;
 *   no CLONE_VFORK      though that is how such children are usually made. A thread in vfork waits killably,
 *                       not interruptibly: the host cannot be stopped by ^Z (the group-stop waits for that
 *                       thread for ever), cannot be attached to (gdb, and LeakSanitizer, hang), and cannot
 *                       call setuid, which in glibc asks each thread by a signal to do the same (nptl(7)) and
 *                       waits for all answers. A keeper in a futex takes part in all three.
 *                       tests/live/os_monitor.c shows each.
 * If the host has a scratch area for restartable sequences (rseq) on the keeper, the keeper gives it back
 * before the clone: the kernel does not take it over into the child, and a program that trusts the CPU number
 * left in it (tcmalloc does) would take the other's per-CPU cache. Afterwards it says "not registered", which
 * every user of rseq understands.
 *
 * SIGNALS. The monitor blocks all, 32 and 33 too (else a signal to its process group, as ^C makes, would run
 * the host's handlers in it, or end it), waits for three of them (wait.c: SIGCHLD, the wake signal, a
 * timer's), and handles three:
 *   SIGPWR   the host is dead (PR_SET_PDEATHSIG): the kernel sends it when the keeper, its parent, ends,
 *            hence when the host exits, is killed, or executes another program. Taken from the host or the
 *            kernel only.
 *   SIGALRM  a second after that; see below.
 *   SIGPROF  a timer's, while threads are seized: see seize.c.
 * A system call in the monitor can so return EINTR, once for each, where SA_RESTART does not help. The
 * actions are set by system calls made in assembly: the sanitizers' sigaction would note them in tables that
 * the host shares. PDEATHSIG needs the right to signal, which a host that has changed its user ids since
 * lacks; and it may be set after the death. So it is not relied upon alone: the monitor also looks for
 * itself, once a second.
 *
 * THE HOST'S DEATH leaves the memory to the monitor as it was, with locks that nobody will open any more:
 * malloc's, stdio's. The loop learns of the death by host_is_dead(), and ends by itself, if it takes no such
 * lock. If it waits for one, or is in a callback that does, there comes SIGALRM a second later; its handler
 * runs the emergency function that the engine has given, on top of whatever the monitor was doing, and ends
 * the process.
 *
 * THE PROCESS GROUP. The monitor of one who attaches leaves the host's group, in which a signal may go round that kills
 * (kill -9 %1 in a shell) or stops all. Then it is, as the parent of a program that it starts into the host's
 * group, what links that group to the session (setpgid(2), "orphaned process group"): where nothing else does,
 * as under setsid, in CI, in a service, the program's end makes the group an orphan, and if anybody in it is stopped
 * by job control, the kernel sends it SIGHUP (kill_orphaned_pgrp() in kernel/exit.c), which ends the host. So a
 * monitor that is out of the group and starts programs has a second link to it, the anchor: a child in that group,
 * which sleeps until the monitor is over. When a program ends the anchor remains. At its own end the monitor goes
 * back into the group first; then it links nothing any more, and who loses a parent, or is ended, as the anchor,
 * makes no orphan of the group. What was considered besides:
 *   a session of the monitor's own  links nothing either; but a program that it starts could not join the host's
 *                       group then, and a group of the program's own, a shell's say, would be an orphan, in which ^Z
 *                       does nothing and reading from the terminal in the background fails (row M7);
 *   staying in the group  breakpoints are left behind by kill -9 %1 (row M10);
 *   another parent for the programs  the host's own wait calls would see them (row M2), or, if that parent is a
 *                       process made for it, Yama wants the tracer to be an ancestor.
 * As long as the anchor is there, the host's group is not an orphan, as it is not while such a program is. The
 * monitor of a host that only starts programs stays in the group, needs no anchor, and changes nothing.
 *
 * WHAT THIS CANNOT DO. Linux before 5.16 kills whoever shares the memory of a process that dumps core, at
 * once (later ones dump one process): there the monitor dies with a host that crashes. The out-of-memory
 * killer does so always. Host code that runs on the monitor finds the keeper's number in the C library's
 * thread: of all that glibc does with that, only priority-inheriting mutexes go wrong, whose owner the kernel
 * looks up. A host that executes a set-user-id program itself while it has a monitor shares its working
 * directory with it, and so gets no privileges (execve(2)). A program that a host with a monitor executes
 * gets one SIGCHLD when the monitor ends, and has it as a zombie child until it ends itself; its waits do not
 * see it, but with __WALL. A monitor that is out of the host's group and is killed takes the anchor with it, which can
 * end in the SIGHUP that it is there to avoid.
 *
 * THE MONITOR THREAD (REIN_MONITOR_THREAD) is a pthread with all signals blocked. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "os/linux/linux.h"
#include "os/linux/raw.h"

#define SEIZE_SIGNAL SIGPROF
#define DEATH_SIGNAL SIGPWR /* nobody sends that to a process group, or to anyone but init */

enum {
    STACK_MIN = 1 << 20,
    KEEPER_STACK = 128 << 10, /* left to the keeper: for the handler of setuid's signal */
    ANCHOR_STACK = 4096,
    EMERGENCY_AFTER_S = 1,
};

/* On what both processes run at once, nothing but the program itself may touch memory: no sanitizer, no
 * profiler. */
#if defined(__clang__) && __has_attribute(disable_sanitizer_instrumentation)
#define ON_ITS_OWN                                                                                                     \
    __attribute__((noinline, disable_sanitizer_instrumentation, no_instrument_function, no_sanitize("address")))
#else
#define ON_ITS_OWN __attribute__((noinline, no_instrument_function, no_sanitize("address", "thread", "undefined")))
#endif

/* LeakSanitizer, if the host has it: looks for pointers above the keeper's stack pointer, and the monitor's
 * stack is below. A host that ends with a monitor open would be told that what only the monitor holds is
 * lost. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
extern void __lsan_register_root_region(const void *begin, size_t size) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *begin, size_t size) __attribute__((weak));
/* NOLINTEND(bugprone-reserved-identifier) */

struct keeper {
    enum rein_monitor_kind kind;
    void (*body)(void *arg);
    void (*ended)(void *arg, bool killed);
    void *arg;

    pthread_t pthread;
    int host, thread; /* process and thread id of the keeper */
    char *top;        /* of the monitor's stack: a part of the keeper's */
    size_t stack_size;
    int error;          /* of the clone */
    sem_t started;      /* or failed to */
    atomic_int holders; /* the keeper itself, and whoever has the handle */

    int monitor; /* its process id */
    int group;   /* that it has left */
    bool spawns; /* it is, or has been, the parent of programs in the host's group */
    int anchor;  /* its process id; 0: none */
    char *anchor_stack;
    _Atomic uint32_t alive;   /* a futex, cleared by the kernel */
    atomic_bool returned;     /* body did */
    atomic_bool host_is_dead; /* set once, by the monitor or its signal handler */
    time_t host_seen_at;
    _Atomic(void (*)(void *arg)) emergency;
    void *emergency_arg;
};

/* The keeper whose monitor process is running on this storage: for the signal handlers, which get no
 * argument, and for what the backend offers without one. Initial-exec, so that a handler finds it without
 * asking the dynamic linker, which may take a lock. */
static _Thread_local struct keeper *current __attribute__((tls_model("initial-exec")));

static void drop(struct keeper *keeper)
{
    if (atomic_fetch_sub(&keeper->holders, 1) > 1)
        return;
    sem_destroy(&keeper->started);
    free(keeper->anchor_stack);
    free(keeper);
}

/* ---- In the monitor process: the host's death ---- */

ON_ITS_OWN static void host_has_died(struct keeper *keeper)
{
    struct {
        struct raw_time interval, value;
    } after = {{0, 0}, {EMERGENCY_AFTER_S, 0}};
    atomic_store(&keeper->host_is_dead, true);
    raw(SYS_setitimer, ITIMER_REAL, &after, NULL);
    /* The loop may be just about to sleep: this is pending until it does, and ends the sleep. */
    raw(SYS_tgkill, raw(SYS_getpid), raw(SYS_gettid), LINUX_WAKE_SIGNAL);
}

ON_ITS_OWN static void on_death(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    struct keeper *keeper = current;
    /* The kernel sends it in the name of the host, or in nobody's when it has no memory for the details. When
     * the parent has changed there is no doubt. When it has not, another thread of the host goes on: it
     * executes a program. */
    bool ours = info->si_code == SI_USER && (info->si_pid == keeper->host || info->si_pid == 0);
    if (ours || raw(SYS_getppid) != keeper->host)
        host_has_died(keeper);
}

/* Goes back into the host's group, so that nobody's end makes an orphan of that, and ends the anchor. */
ON_ITS_OWN static void return_to_group(struct keeper *keeper)
{
    if (keeper->group)
        raw(SYS_setpgid, 0, keeper->group);
    /* If somebody has killed it, and a wait of the monitor's has taken it, its number is another's perhaps. */
    if (keeper->anchor && raw(SYS_wait4, keeper->anchor, NULL, __WALL | WNOHANG, NULL) == 0) {
        raw(SYS_kill, keeper->anchor, SIGKILL);
        while (raw(SYS_wait4, keeper->anchor, NULL, __WALL, NULL) == -EINTR) {
        }
    }
    keeper->anchor = 0;
}

ON_ITS_OWN static void on_alarm(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    struct keeper *keeper = current;
    if (!atomic_load(&keeper->host_is_dead))
        return; /* from somewhere else */
    void (*emergency)(void *arg) = atomic_load(&keeper->emergency);
    if (emergency)
        emergency(keeper->emergency_arg);
    return_to_group(keeper);
    raw(SYS_exit_group, 1);
}

/* ---- In the monitor process: its life ---- */

struct raw_action {
    void (*handler)(int number, siginfo_t *info, void *context);
    unsigned long flags;
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__arm__)
    void (*restorer)(void);
#endif
    raw_signals mask;
};

/* Where a handler returns to, where the kernel has none of its own to offer: i386's is in the vDSO, which can be switched
 * off. */
#if defined(__x86_64__)
#define RESTORES
__attribute__((naked)) static void restore(void)
{
    __asm__("movq %0, %%rax\n\tsyscall" : : "i"(SYS_rt_sigreturn));
}
#elif defined(__i386__)
#define RESTORES
__attribute__((naked)) static void restore(void)
{
    __asm__("movl %0, %%eax\n\tint $0x80" : : "i"(SYS_rt_sigreturn));
}
#endif

ON_ITS_OWN void linux_set_action(int number, void (*handler)(int, siginfo_t *, void *))
{
    struct raw_action action = {.handler = handler, .mask = ~(raw_signals)0};
    if (handler)
        action.flags = SA_SIGINFO | SA_RESTART;
#ifdef RESTORES
    action.flags |= 0x04000000; /* SA_RESTORER, which the C library keeps to itself */
    action.restorer = restore;
#endif
    raw(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask);
}

/* The parent is another, or the keeper is no longer there (the parent is the same, but executes another
 * program). */
ON_ITS_OWN static bool host_has_left(const struct keeper *keeper)
{
    return raw(SYS_getppid) != keeper->host || raw(SYS_tgkill, keeper->host, keeper->thread, 0) == -ESRCH;
}

ON_ITS_OWN static void monitor_main(void *arg)
{
    struct keeper *keeper = arg;
    raw_signals mask = ~(raw_signals)0;
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
    raw(SYS_prctl, PR_SET_NAME, "rein-monitor");
    current = keeper;
    /* Inherited from the host are its handlers, which never run here, and what it ignores; ignoring SIGCHLD,
     * or asking not to be told of stops (SA_NOCLDSTOP), would take the hints away. */
    linux_set_action(SIGCHLD, NULL);
    linux_set_action(DEATH_SIGNAL, on_death);
    linux_set_action(SIGALRM, on_alarm);
    mask &= ~(RAW_SIGNAL(DEATH_SIGNAL) | RAW_SIGNAL(SIGALRM));
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
    linux_seize_with(REIN_MONITOR_PROCESS, SEIZE_SIGNAL);
    raw(SYS_prctl, PR_SET_PDEATHSIG, DEATH_SIGNAL);
    if (host_has_left(keeper)) /* before that */
        host_has_died(keeper);
    sem_post(&keeper->started);

    keeper->body(keeper->arg);

    atomic_store(&keeper->returned, true);
    return_to_group(keeper);
    /* Neither exit, which would run what the host has left with atexit, nor _exit, which a sanitizer may have
     * replaced. */
    raw(SYS_exit_group, 0);
}

/* clone, with function(arg) called in the child on the stack below `top`. Not the C library's:
 * ThreadSanitizer replaces that by one that expects the child to have a copy of the memory. */
ON_ITS_OWN static long clone_onto(void *top, unsigned long flags, int *parent_id, _Atomic uint32_t *child_id,
                                  void (*function)(void *arg), void *arg)
{
#ifdef __GCC_HAVE_DWARF2_CFI_ASM
#define BACKTRACE_ENDS(pc) ".cfi_remember_state\n\t.cfi_undefined " pc "\n\t"
#define BACKTRACE_GOES_ON ".cfi_restore_state\n"
#else
#define BACKTRACE_ENDS(pc)
#define BACKTRACE_GOES_ON
#endif
#if defined(__x86_64__) && !defined(__ILP32__)
    long result;
    register void *r10 __asm__("r10") = child_id;
    register long r8 __asm__("r8") = 0;
    register void (*r9)(void *) __asm__("r9") = function;
    register void *r12 __asm__("r12") = arg;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t" BACKTRACE_ENDS("rip") "xorl %%ebp, %%ebp\n\t"
                                                        "movq %%r12, %%rdi\n\t"
                                                        "callq *%%r9\n\t"
                                                        "hlt\n\t" BACKTRACE_GOES_ON "1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"(flags), "S"(top), "d"(parent_id), "r"(r10), "r"(r8), "r"(r9), "r"(r12)
                     : "rcx", "r11", "memory", "cc");
    return result;
#elif defined(__i386__)
    /* There is no register left for what is to be called: it is on the new stack, in front of the argument. */
    uintptr_t *stack = (uintptr_t *)top - 4;
    stack[0] = (uintptr_t)arg;
    *--stack = (uintptr_t)function;
    long result;
    __asm__ volatile("int $0x80\n\t"
                     "testl %%eax, %%eax\n\t"
                     "jnz 1f\n\t" BACKTRACE_ENDS("eip") "xorl %%ebp, %%ebp\n\t"
                                                        "popl %%eax\n\t"
                                                        "calll *%%eax\n\t"
                                                        "hlt\n\t" BACKTRACE_GOES_ON "1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "b"(flags), "c"(stack), "d"(parent_id), "S"(0L), "D"(child_id)
                     : "memory", "cc");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = SYS_clone;
    register long x0 __asm__("x0") = (long)flags;
    register void *x1 __asm__("x1") = top;
    register void *x2 __asm__("x2") = parent_id;
    register long x3 __asm__("x3") = 0;
    register void *x4 __asm__("x4") = child_id;
    register void (*x9)(void *) __asm__("x9") = function;
    register void *x10 __asm__("x10") = arg;
    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t" BACKTRACE_ENDS("x30") "mov x29, xzr\n\t"
                                                             "mov x0, x10\n\t"
                                                             "blr x9\n\t"
                                                             "brk 1\n\t" BACKTRACE_GOES_ON "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x9), "r"(x10)
                     : "memory", "cc");
    return x0;
#else
    int result = clone((int (*)(void *))(void *)function, top, (int)flags, arg, parent_id, NULL, child_id);
    return result < 0 ? -errno : result;
#endif
}

/* ---- The anchor ---- */

/* All its life, on a stack of its own, with all signals blocked. It touches nothing. */
ON_ITS_OWN static void anchor_main(void *arg)
{
    const struct keeper *keeper = arg;
    raw(SYS_prctl, PR_SET_NAME, "rein-anchor");
    raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    while (raw(SYS_getppid) == keeper->monitor) /* else it was dead before that */
        raw(SYS_ppoll, NULL, 0, NULL, NULL);
    raw(SYS_exit_group, 0);
}

/* Without it nothing is worse than a SIGHUP that may come: a failure is no one's business. */
static void make_anchor(struct keeper *keeper)
{
    if (keeper->anchor || !keeper->group || !keeper->spawns)
        return;
    if (!keeper->anchor_stack)
        keeper->anchor_stack = malloc(ANCHOR_STACK);
    if (!keeper->anchor_stack)
        return;
    char *top = keeper->anchor_stack + ANCHOR_STACK;
    raw_signals all = ~(raw_signals)0, before = 0;
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    long id = clone_onto(top - (uintptr_t)top % 64, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, NULL, NULL,
                         anchor_main, keeper);
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    if (id <= 0)
        return;
    keeper->anchor = (int)id;
    raw(SYS_setpgid, id, keeper->group); /* fails when the host has gone to another session: no program follows it */
}

/* ---- In the host: the keeper ---- */

/* Makes the monitor process and sleeps until it is over: its id, or a negative errno. From the clone on, this
 * thread's storage belongs to the other process. */
ON_ITS_OWN static long keep(struct keeper *keeper)
{
    const unsigned long flags =
        CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    atomic_store(&keeper->alive, 1);
    long id = clone_onto(keeper->top, flags, &keeper->monitor, &keeper->alive, monitor_main, keeper);
    if (id < 0)
        return id;
    /* Not FUTEX_PRIVATE: the kernel wakes it as a shared one. A signal that glibc handles on this thread
     * (setuid's) ends the wait, as does a debugger, perhaps. */
    while (atomic_load(&keeper->alive))
        raw(SYS_futex, &keeper->alive, FUTEX_WAIT, 1, NULL);
    /* Only this thread's own child. ECHILD: somebody in the host has waited for it, with __WALL. */
    while (raw(SYS_wait4, id, NULL, __WALL | __WNOTHREAD, NULL) == -EINTR) {
    }
    return id;
}

/* Gives the scratch area of restartable sequences back to the kernel (see above): glibc registers 32 bytes,
 * later ones what the kernel asks for. */
static void leave_rseq(void)
{
#if __has_include(<sys/rseq.h>) && __has_builtin(__builtin_thread_pointer)
    const long unregister = 1; /* RSEQ_FLAG_UNREGISTER */
    char *area = (char *)__builtin_thread_pointer() + __rseq_offset;
    if (__rseq_size && raw(SYS_rseq, area, 32, unregister, RSEQ_SIG) == -EINVAL)
        raw(SYS_rseq, area, __rseq_size, unregister, RSEQ_SIG);
#endif
}

static void *keeper_main(void *arg)
{
    struct keeper *keeper = arg;
    keeper->thread = linux_self_thread();
    if (keeper->kind == REIN_MONITOR_PROCESS) {
        pthread_setname_np(pthread_self(), "rein-keeper");
        leave_rseq();
        char *here = __builtin_frame_address(0);
        keeper->top = here - KEEPER_STACK - (uintptr_t)here % 64;
        char *bottom = keeper->top - (keeper->stack_size - 2 * (size_t)KEEPER_STACK);
        if (__lsan_register_root_region)
            __lsan_register_root_region(bottom, (size_t)(keeper->top - bottom));
        long id = keep(keeper);
        current = NULL; /* the storage is this thread's again */
        if (__lsan_unregister_root_region)
            __lsan_unregister_root_region(bottom, (size_t)(keeper->top - bottom));
        if (id < 0)
            keeper->error = (int)id;
        sem_post(&keeper->started); /* again, unless it has failed, or was killed before it did so itself */
        if (id >= 0)
            keeper->ended(keeper->arg, !atomic_load(&keeper->returned));
    } else {
        pthread_setname_np(pthread_self(), "rein-monitor");
        sem_post(&keeper->started);
        keeper->body(keeper->arg);
        keeper->ended(keeper->arg, false);
    }
    drop(keeper);
    return NULL;
}

/* ---- What the backend offers ---- */

int linux_monitor_start(enum rein_monitor_kind kind, void (*body)(void *arg), void (*ended)(void *arg, bool killed),
                        void *arg, void **handle)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (!keeper)
        return -ENOMEM;
    keeper->kind = kind;
    keeper->body = body;
    keeper->ended = ended;
    keeper->arg = arg;
    keeper->host = linux_self_process();
    atomic_init(&keeper->holders, 2);
    sem_init(&keeper->started, 0, 0);

    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    int error = pthread_attr_init(&attributes);
    if (!error) {
        pthread_attr_getstacksize(&attributes, &keeper->stack_size);
        if (keeper->stack_size < STACK_MIN) {
            keeper->stack_size = STACK_MIN;
            pthread_attr_setstacksize(&attributes, STACK_MIN);
        }
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&keeper->pthread, &attributes, keeper_main, keeper);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
    }
    if (error) {
        atomic_init(&keeper->holders, 1);
        drop(keeper);
        return -error;
    }
    while (sem_wait(&keeper->started) < 0) {
    }
    error = keeper->error;
    if (error) {
        linux_monitor_join(keeper);
        return error;
    }
    *handle = keeper;
    return 0;
}

void linux_monitor_join(void *handle)
{
    struct keeper *keeper = handle;
    pthread_join(keeper->pthread, NULL);
    drop(keeper);
}

void linux_monitor_forget(void *handle)
{
    struct keeper *keeper = handle;
    pthread_detach(keeper->pthread);
    drop(keeper);
}

bool linux_host_is_dead(void)
{
    struct keeper *keeper = current;
    if (!keeper)
        return false;
    if (!atomic_load(&keeper->host_is_dead)) {
        /* The signal may have failed: look, once a second. The coarse clock is read without a system call. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        if (now.tv_sec != keeper->host_seen_at) {
            keeper->host_seen_at = now.tv_sec;
            if (host_has_left(keeper))
                host_has_died(keeper);
        }
    }
    return atomic_load(&keeper->host_is_dead);
}

void linux_monitor_leave_group(void)
{
    struct keeper *keeper = current;
    if (!keeper || keeper->group)
        return;
    long group = raw(SYS_getpgid, 0);
    if (group > 0 && !raw(SYS_setpgid, 0, 0))
        keeper->group = (int)group;
    make_anchor(keeper);
}

void linux_monitor_will_spawn(void)
{
    struct keeper *keeper = current;
    if (!keeper)
        return;
    keeper->spawns = true;
    make_anchor(keeper);
}

void linux_monitor_set_emergency(void (*emergency)(void *arg), void *arg)
{
    struct keeper *keeper = current;
    if (!keeper)
        return;
    atomic_store(&keeper->emergency, NULL); /* the handler must not see the one with the other's argument */
    keeper->emergency_arg = arg;
    atomic_store(&keeper->emergency, emergency);
}

int linux_self_process(void)
{
    return (int)raw(SYS_getpid);
}

int linux_self_thread(void)
{
    return (int)raw(SYS_gettid);
}
