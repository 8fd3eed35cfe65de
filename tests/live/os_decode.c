/* What a wait status means, and what waits behind a stop: contract rows M6 (the trap is told by siginfo), M7
 * (group-stops, interrupts) and C3 (exits are told before they happen), on the functions of src/os/linux/ptrace.c
 * and restart.c. No fixture: each tracee is a fork of this test. */
#include "os_support.h"

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/user.h>

struct shared {
    volatile int ready, go, handled, answer, thread;
    volatile uint64_t address;
    volatile long result, error;
};
static struct shared *shared;

static int setup(void **state)
{
    (void)state;
    shared = shared_memory(sizeof *shared);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(shared, sizeof *shared);
    return 0;
}

/* Starts body in a child that is traced and runs on when it says that it is ready. */
static int start_traced(bool (*body)(void *arg), void *arg)
{
    int pid = start_child(body, arg);

    wait_until(shared->ready);
    assert_int_equal(linux_seize(pid), 0);
    shared->go = 1;
    return pid;
}

static void get_ready(void)
{
    shared->ready = 1;
    while (!shared->go)
        sleep_ms(1);
}

static uint64_t pc_of(int id)
{
    struct arch_registers registers;

    assert_int_equal(linux_get_registers(id, &registers), 0);
    return arch_pc(&registers);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    shared->handled++;
    shared->answer = number;
    shared->address = (uintptr_t)info->si_value.sival_ptr;
}

static void handle(int number)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    sigaction(number, &action, NULL);
}

/* ---- Signals ---- */

#define A_VALUE (UINTPTR_MAX / 15) /* 0x11... */

static bool sends_itself_signals(void *arg)
{
    union sigval value = {.sival_ptr = (void *)A_VALUE};
    int pid = getpid();

    (void)arg;
    for (int number = 1; number < NSIG; number++)
        if (number != SIGKILL && number != SIGSTOP && number != 32 && number != 33)
            handle(number);
    get_ready();
    kill(pid, SIGUSR1);
    syscall(SYS_tgkill, pid, syscall(SYS_gettid), SIGUSR2);
    sigqueue(pid, SIGRTMIN + 5, value);
    kill(pid, SIGTRAP);
    sigqueue(pid, SIGTRAP, value);
    siginfo_t forged = {.si_signo = SIGTRAP, .si_code = SI_KERNEL};
    syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGTRAP, &forged); /* itself may */
    return true;
}

static void signals_with_their_siginfo(void **state)
{
    (void)state;
    int pid = start_traced(sends_itself_signals, NULL);
    struct os_event event = expect_event(pid, OS_EVENT_SIGNAL);

    assert_int_equal(event.signal.number, SIGUSR1);
    assert_int_equal(event.signal.code, SI_USER);
    assert_int_equal(event.signal.sender_pid, pid);
    assert_int_equal(event.signal.sender_uid, getuid());
    assert_int_equal(event.signal.address, 0);
    resume(pid, OS_RESUME_RUN, SIGUSR1);

    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(shared->answer, SIGUSR1);
    assert_int_equal(event.signal.number, SIGUSR2);
    assert_int_equal(event.signal.code, SI_TKILL);
    assert_int_equal(event.signal.sender_pid, pid);
    resume(pid, OS_RESUME_RUN, 0); /* swallowed */

    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(shared->handled, 1);
    assert_int_equal(event.signal.number, SIGRTMIN + 5);
    assert_int_equal(event.signal.code, SI_QUEUE);
    assert_int_equal(event.signal.sender_pid, pid);
    assert_true(event.signal.value == (int64_t)A_VALUE);
    assert_int_equal(((const siginfo_t *)(const void *)event.signal.raw)->si_signo, SIGRTMIN + 5);
    /* another, with the siginfo changed to it */
    event.signal.number = SIGUSR2;
    ((siginfo_t *)(void *)event.signal.raw)->si_value.sival_ptr = (void *)(uintptr_t)77;
    assert_int_equal(linux_set_signal(pid, &event.signal), 0);
    resume(pid, OS_RESUME_RUN, SIGUSR2);

    event = expect_event(pid, OS_EVENT_SIGNAL); /* a SIGTRAP that somebody sent is no trap */
    assert_int_equal(shared->answer, SIGUSR2);
    assert_int_equal(shared->address, 77);
    assert_int_equal(event.signal.number, SIGTRAP);
    assert_int_equal(event.signal.code, SI_USER);
    resume(pid, OS_RESUME_RUN, SIGTRAP);
    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(event.signal.number, SIGTRAP);
    assert_int_equal(event.signal.code, SI_QUEUE);
    assert_true(event.signal.value == (int64_t)A_VALUE);
    resume(pid, OS_RESUME_RUN, SIGTRAP);
    event = expect_event(pid, OS_EVENT_TRAP); /* but it may pretend to itself */
    assert_int_equal(event.signal.code, SI_KERNEL);
    resume(pid, OS_RESUME_RUN, 0);

    event = expect_event(pid, OS_EVENT_EXITING);
    assert_false(event.exit.signaled);
    resume(pid, OS_RESUME_RUN, 0);
    assert_int_equal(end_of(pid), 0);
    assert_int_equal(shared->handled, 4);
}

static bool waits_for_signals(void *arg)
{
    (void)arg;
    handle(SIGUSR1);
    handle(SIGRTMIN);
    handle(SIGSEGV);
    get_ready();
    while (shared->handled < 3)
        sleep_ms(1);
    return true;
}

static void queued_again_with_their_siginfo(void **state)
{
    (void)state;
    int pid = start_traced(waits_for_signals, NULL);
    struct rein_signal signal = {.number = SIGRTMIN, .code = SI_QUEUE};
    siginfo_t info = {.si_code = SI_QUEUE};

    info.si_pid = 4711;
    info.si_uid = 4712;
    info.si_value.sival_ptr = (void *)(uintptr_t)4713;
    memcpy(signal.raw, &info, sizeof info);
    assert_int_equal(linux_queue_signal(pid, pid, &signal), 0);
    struct os_event event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(event.signal.number, SIGRTMIN);
    assert_int_equal(event.signal.code, SI_QUEUE);
    assert_int_equal(event.signal.sender_pid, 4711);
    assert_int_equal(event.signal.sender_uid, 4712);
    assert_int_equal(event.signal.value, 4713);
    resume(pid, OS_RESUME_RUN, SIGRTMIN);

    /* what only the kernel may say loses its code, and no more */
    signal.number = SIGUSR1;
    signal.code = SI_USER;
    assert_int_equal(linux_queue_signal(pid, pid, &signal), 0);
    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(event.signal.number, SIGUSR1);
    assert_int_equal(event.signal.code, SI_QUEUE);
    assert_int_equal(event.signal.sender_pid, 4711);
    resume(pid, OS_RESUME_RUN, SIGUSR1);
    memset(&info, 0, sizeof info);
    info.si_addr = (void *)(uintptr_t)0xabcdef;
    memcpy(signal.raw, &info, sizeof info);
    signal.number = SIGSEGV;
    signal.code = SEGV_MAPERR;
    assert_int_equal(linux_queue_signal(pid, pid, &signal), 0);
    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(event.signal.number, SIGSEGV);
    assert_ptr_equal(((const siginfo_t *)(const void *)event.signal.raw)->si_addr, 0xabcdef);
    resume(pid, OS_RESUME_RUN, SIGSEGV);
    expect_event(pid, OS_EVENT_EXITING);
    resume(pid, OS_RESUME_RUN, 0);
    assert_int_equal(end_of(pid), 0);
    assert_int_equal(linux_queue_signal(pid, pid, &signal), -ESRCH);
}

static bool gets_signals_from_the_kernel(void *arg)
{
    struct itimerspec soon = {.it_value = {0, 1000000}};
    struct sigevent tell = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value = {.sival_int = 99}};
    timer_t timer;

    (void)arg;
    handle(SIGCHLD);
    handle(SIGRTMIN);
    get_ready();
    if (fork() == 0)
        _exit(3);
    while (shared->handled < 1)
        sleep_ms(1);
    timer_create(CLOCK_MONOTONIC, &tell, &timer);
    timer_settime(timer, 0, &soon, NULL);
    while (shared->handled < 2)
        sleep_ms(1);
    *(volatile int *)(uintptr_t)0x1230 = 1;
    return true;
}

static void signals_of_the_kernel(void **state)
{
    (void)state;
    int pid = start_traced(gets_signals_from_the_kernel, NULL);
    struct os_event event = expect_event(pid, OS_EVENT_FORK);
    int forked = event.child;

    assert_true(forked > 0);
    expect_event(forked, OS_EVENT_INTERRUPTED);
    assert_int_equal(linux_detach(forked, 0), 0);
    resume(pid, OS_RESUME_RUN, 0);

    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(event.signal.number, SIGCHLD);
    assert_int_equal(event.signal.code, CLD_EXITED);
    assert_int_equal(event.signal.sender_pid, forked);
    resume(pid, OS_RESUME_RUN, SIGCHLD);
    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(event.signal.number, SIGRTMIN);
    assert_int_equal(event.signal.code, SI_TIMER);
    assert_int_equal((int)event.signal.value, 99);
    assert_int_equal(event.signal.sender_pid, 0);
    resume(pid, OS_RESUME_RUN, SIGRTMIN);
    event = expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(event.signal.number, SIGSEGV);
    assert_int_equal(event.signal.code, SEGV_MAPERR);
    assert_int_equal(event.signal.address, 0x1230);
    assert_int_equal(event.signal.sender_pid, 0);
    resume(pid, OS_RESUME_RUN, SIGSEGV);
    event = expect_event(pid, OS_EVENT_EXITING);
    assert_true(event.exit.signaled);
    assert_int_equal(event.exit.signal, SIGSEGV);
    assert_int_equal(event.exit.status, -1);
    resume(pid, OS_RESUME_RUN, 0);
    event = expect_event(pid, OS_EVENT_EXITED);
    assert_true(event.exit.signaled);
    assert_int_equal(event.exit.signal, SIGSEGV);
}

/* ---- Traps and steps ---- */

extern char own_int3[], own_int3_long[], own_syscall[], own_popf[], in_handler[];

void trap_handler(int number);
__asm__(".pushsection .text\n"
        "trap_handler:\n"
        "in_handler: nop\n"
        "ret\n"
        ".popsection\n");

#if defined(__i386__)
#define ENTER "int $0x80"
#define ENTER_CLOBBERS
#define SP "%%esp"
#else
#define ENTER "syscall"
#define ENTER_CLOBBERS "rcx", "r11",
#define SP "%%rsp"
#endif

static bool traps(void *arg)
{
    (void)arg;
    signal(SIGUSR1, trap_handler);
    get_ready();
    kill(getpid(), SIGUSR2); /* ignored: a place to begin */
    __asm__ volatile("own_int3: int3\n\t"
                     "own_int3_long: .byte 0xcd, 0x03\n\t"
                     "own_syscall: " ENTER "\n\t"
                     "nop\n\t"
                     /* its own trap flag, for one instruction */
                     "sub $128, " SP "\n\t"
                     "pushf\n\t"
                     "orl $0x100, (" SP ")\n\t"
                     "own_popf: popf\n\t"
                     "nop\n\t"
                     "pushf\n\t"
                     "andl $~0x100, (" SP ")\n\t"
                     "popf\n\t"
                     "add $128, " SP "\n\t"
                     :
                     : "a"(SYS_getppid)
                     : ENTER_CLOBBERS "memory", "cc");
    return true;
}

/* A copy of a program's place: what it is in the child, which is a fork, is what it is here. */
static uint64_t place(const char *symbol)
{
    return (uintptr_t)symbol;
}

static void traps_of_its_own(void **state)
{
    (void)state;
    int pid = start_traced(traps, NULL);
    struct os_event event = expect_event(pid, OS_EVENT_SIGNAL);

    resume(pid, OS_RESUME_RUN, 0);
    event = expect_event(pid, OS_EVENT_TRAP);
    assert_int_equal(event.signal.number, SIGTRAP);
    assert_int_equal(event.signal.code, SI_KERNEL);
    assert_int_equal(pc_of(pid), place(own_int3) + 1);
    resume(pid, OS_RESUME_RUN, 0);
    expect_event(pid, OS_EVENT_TRAP);
    assert_int_equal(pc_of(pid), place(own_int3_long) + 2);
    resume(pid, OS_RESUME_RUN, 0);
    /* its own trap flag: as a step, but nobody stepped it */
    event = expect_event(pid, OS_EVENT_STEPPED);
    assert_int_equal(event.signal.code, TRAP_TRACE);
    assert_int_equal(pc_of(pid), place(own_popf) + 2);
    assert_int_equal(event.signal.address, pc_of(pid));
    kill_child(pid);
}

/* What is changed word by word is as what is set at once, whether few have changed, many, or none. */
static void changes_registers(void **state)
{
    (void)state;
    int pid = start_traced(traps, NULL);
    struct arch_registers first, before, after, now;

    expect_event(pid, OS_EVENT_SIGNAL);
    assert_int_equal(linux_get_registers(pid, &first), 0);
    assert_ptr_equal(first.arch, os_backend.arch);
    int general[16], count = 0;
    for (int i = 0; i < first.arch->register_count && count < 16; i++)
        if (first.arch->registers[i].set == ARCH_SET_GENERAL && i != first.arch->pc_index)
            general[count++] = i;
    before = first;
    for (int round = 0; round < 100; round++) {
        after = before;
        for (int i = 0; i < round % 7; i++) /* the first six are general purpose ones everywhere */
            after.arch->set(&after, general[(round + i * 5) % (count < 6 ? count : 6)], (uint64_t)(round * 100 + i));
        if (round % 2)
            after.arch->move_pc(&after, place(own_syscall) + (uint64_t)(round % 3));
        bool known = round % 5 != 0;
        now = before;
        now.size = 0;
        assert_int_equal(linux_change_registers(pid, &after, known ? &before : round % 10 ? NULL : &now), 0);
        assert_int_equal(linux_get_registers(pid, &now), 0);
        assert_int_equal(now.size, after.size);
        assert_memory_equal(now.bytes, after.bytes, after.size);
        before = now;
    }
    assert_int_equal(linux_change_registers(pid, &first, NULL), 0);
    assert_int_equal(linux_get_registers(pid, &now), 0);
    assert_memory_equal(now.bytes, first.bytes, first.size);
    kill_child(pid);
}

static void steps(void **state)
{
    (void)state;
    int pid = start_traced(traps, NULL);
    struct os_event event = expect_event(pid, OS_EVENT_SIGNAL);
    struct arch_registers registers;

    resume(pid, OS_RESUME_RUN, 0);
    expect_event(pid, OS_EVENT_TRAP);
    /* a step onto an int3 is a step, one over it is a trap */
    resume(pid, OS_RESUME_STEP, 0);
    event = expect_event(pid, OS_EVENT_TRAP);
    assert_int_equal(event.signal.code, SI_KERNEL);
    assert_int_equal(pc_of(pid), place(own_syscall));
    /* over a system call */
    resume(pid, OS_RESUME_STEP, 0);
    event = expect_event(pid, OS_EVENT_STEPPED);
    assert_int_equal(event.signal.code, TRAP_BRKPT);
    assert_int_equal(pc_of(pid), place(own_syscall) + 2);
    resume(pid, OS_RESUME_STEP, 0);
    event = expect_event(pid, OS_EVENT_STEPPED);
    assert_int_equal(event.signal.code, TRAP_TRACE);
    assert_int_equal(pc_of(pid), place(own_syscall) + 3);

    /* to the entry of a system call only */
    assert_int_equal(linux_get_registers(pid, &registers), 0);
    registers.arch->set(&registers, registers.arch->pc_index, place(own_syscall));
    registers.arch->set(&registers, 0, SYS_getppid); /* rax, eax */
    assert_int_equal(linux_set_registers(pid, &registers), 0);
    resume(pid, OS_RESUME_TO_SYSCALL, 0);
    event = expect_event(pid, OS_EVENT_SYSCALL);
    assert_int_equal(pc_of(pid), place(own_syscall) + 2);
    resume(pid, OS_RESUME_STEP, 0);
    expect_event(pid, OS_EVENT_STEPPED);

    /* a step that delivers a signal ends in the handler, and is no place to put another */
    kill(pid, SIGUSR1);
    resume(pid, OS_RESUME_STEP, 0);
    event = expect_event(pid, OS_EVENT_SIGNAL);
    uint64_t here = pc_of(pid);
    resume(pid, OS_RESUME_STEP, SIGUSR1);
    event = expect_event(pid, OS_EVENT_STEPPED);
    assert_int_equal(event.signal.code, SIGTRAP);
    assert_int_equal(pc_of(pid), place(in_handler));
    resume(pid, OS_RESUME_STEP, SIGTERM);
    expect_event(pid, OS_EVENT_STEPPED);
    assert_int_equal(pc_of(pid), place(in_handler) + 1);
    /* and back: sigreturn is a system call that comes back elsewhere */
    for (int i = 0; pc_of(pid) != here && i < 10; i++) {
        resume(pid, OS_RESUME_STEP, 0);
        event = expect_event(pid, OS_EVENT_STEPPED);
    }
    assert_int_equal(pc_of(pid), here);
    assert_int_equal(event.signal.code, TRAP_BRKPT);
    kill_child(pid);
}

/* ---- Interrupts and group-stops ---- */

/* The terminal's stop signals stop nobody in an orphaned process group, as a test's may be. */
static bool pauses_in_a_group(void *arg)
{
    setpgid(0, 0);
    shared->ready = 1;
    return pauses(arg);
}

static void interrupts_and_group_stops(void **state)
{
    (void)state;
    int pid = start_child(pauses_in_a_group, NULL);
    struct os_event event;

    wait_until(shared->ready);
    assert_int_equal(linux_seize(pid), 0);
    assert_int_equal(linux_interrupt(pid), 0);
    expect_event(pid, OS_EVENT_INTERRUPTED);
    resume(pid, OS_RESUME_RUN, 0);

    const int stops[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        kill(pid, stops[i]);
        event = expect_event(pid, OS_EVENT_SIGNAL);
        assert_int_equal(event.signal.number, stops[i]);
        resume(pid, OS_RESUME_RUN, stops[i]);
        event = expect_event(pid, OS_EVENT_GROUP_STOP);
        assert_int_equal(event.signal.number, stops[i]);
        resume(pid, OS_RESUME_LISTEN, 0);
        assert_int_equal(linux_interrupt(pid), 0); /* it can be had for a moment, still in it */
        event = expect_event(pid, OS_EVENT_GROUP_STOP);
        resume(pid, OS_RESUME_LISTEN, 0);
        kill(pid, SIGCONT);
        expect_event(pid, OS_EVENT_INTERRUPTED);
        resume(pid, OS_RESUME_RUN, 0);
        event = expect_event(pid, OS_EVENT_SIGNAL);
        assert_int_equal(event.signal.number, SIGCONT);
        resume(pid, OS_RESUME_RUN, SIGCONT);
    }
    kill_child(pid);

    /* one that was stopped before */
    pid = start_child(pauses, NULL);
    int status = 0;
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_int_equal(linux_seize(pid), 0);
    event = expect_event(pid, OS_EVENT_GROUP_STOP);
    assert_int_equal(event.signal.number, SIGSTOP);
    assert_int_equal(linux_detach(pid, 0), 0);
    enum os_thread_status now = OS_THREAD_GONE;
    /* it runs for a moment, in the kernel, and stops again */
    wait_until(linux_thread_status(pid, pid, &now) == 0 && now == OS_THREAD_STOPPED);
    kill_child(pid);
}

/* ---- New threads and processes, and the end ---- */

static void *thread_waits(void *arg)
{
    (void)arg;
    shared->thread = (int)syscall(SYS_gettid);
    while (shared->answer == 0)
        sleep_ms(1);
    return NULL;
}

static bool makes_all_kinds(void *arg)
{
    pthread_t thread;
    static char text[] = "true", *arguments[] = {text, NULL};

    (void)arg;
    get_ready();
    pthread_create(&thread, NULL, thread_waits, NULL);
    shared->answer = 1;
    pthread_join(thread, NULL);
    int forked = fork();
    if (forked == 0)
        _exit(0);
    shared->result = forked;
    waitpid(forked, NULL, 0);
    forked = vfork(); /* NOLINT: what is tested */
    if (forked == 0)
        _exit(0);
    waitpid(forked, NULL, 0);
    execv(tool("true"), arguments);
    return false;
}

/* Resumes everybody until each has ended, and counts. */
static void all_kinds(void **state)
{
    int counts[OS_EVENT_LOST + 1] = {0};
    int status = 0, id = 0, vforked = 0, forked = 0, cloned = 0;

    (void)state;
    int pid = start_traced(makes_all_kinds, NULL);
    while ((id = waitpid(-1, &status, __WALL)) > 0) {
        struct os_event event;

        if (linux_decode(id, status, &event) == 0)
            continue;
        counts[event.kind]++;
        switch (event.kind) {
        case OS_EVENT_CLONE:
            cloned = event.child;
            assert_int_equal(id, pid);
            assert_true(linux_is_thread_of(cloned, pid));
            break;
        case OS_EVENT_FORK:
            forked = event.child;
            assert_false(linux_is_thread_of(forked, pid));
            assert_false(linux_same_memory(forked, pid));
            break;
        case OS_EVENT_VFORK:
            vforked = event.child;
            assert_true(linux_same_memory(vforked, pid));
            break;
        case OS_EVENT_VFORK_DONE:
            assert_int_equal(event.child, vforked);
            break;
        case OS_EVENT_EXEC:
            assert_int_equal(event.former_id, pid);
            break;
        case OS_EVENT_EXITED:
            assert_false(event.exit.signaled);
            assert_int_equal(event.exit.status, 0);
            break;
        default:
            break;
        }
        if (event.kind != OS_EVENT_EXITED)
            resume(id, OS_RESUME_RUN, event.kind == OS_EVENT_SIGNAL ? event.signal.number : 0);
    }
    assert_true(cloned > 0);
    assert_int_equal(shared->thread, cloned);
    assert_int_equal(shared->result, forked);
    assert_int_equal(counts[OS_EVENT_CLONE], 1);
    assert_int_equal(counts[OS_EVENT_FORK], 1);
    assert_int_equal(counts[OS_EVENT_VFORK], 1);
    assert_int_equal(counts[OS_EVENT_VFORK_DONE], 1);
    assert_int_equal(counts[OS_EVENT_EXEC], 1);
    assert_int_equal(counts[OS_EVENT_EXITING], 4);
    assert_int_equal(counts[OS_EVENT_EXITED], 4);
    assert_int_equal(counts[OS_EVENT_INTERRUPTED], 3); /* the new ones' first stops */
}

static void *thread_executes(void *arg)
{
    static char text[] = "true", *arguments[] = {text, NULL};

    (void)arg;
    shared->thread = (int)syscall(SYS_gettid);
    execv(tool("true"), arguments);
    return NULL;
}

static bool executes_from_a_thread(void *arg)
{
    pthread_t thread;

    get_ready();
    pthread_create(&thread, NULL, thread_executes, NULL);
    return pauses(arg);
}

static void exec_from_a_thread(void **state)
{
    int status = 0, id = 0, former = 0;

    (void)state;
    int pid = start_traced(executes_from_a_thread, NULL);
    while ((id = waitpid(-1, &status, __WALL)) > 0) {
        struct os_event event;

        if (linux_decode(id, status, &event) == 0)
            continue;
        if (event.kind == OS_EVENT_EXEC) {
            assert_int_equal(id, pid);
            former = event.former_id;
        }
        if (event.kind != OS_EVENT_EXITED)
            linux_resume(id, OS_RESUME_RUN, event.kind == OS_EVENT_SIGNAL ? event.signal.number : 0);
    }
    assert_int_equal(former, shared->thread);
    assert_int_not_equal(former, pid);
}

static bool exits_42(void *arg)
{
    (void)arg;
    get_ready();
    _exit(42);
}

static void ends(void **state)
{
    (void)state;
    int pid = start_traced(exits_42, NULL);
    struct os_event event = expect_event(pid, OS_EVENT_EXITING);

    assert_false(event.exit.signaled);
    assert_int_equal(event.exit.status, 42);
    assert_true(pc_of(pid) != 0); /* C3: it can still be looked at */
    resume(pid, OS_RESUME_RUN, 0);
    event = expect_event(pid, OS_EVENT_EXITED);
    assert_false(event.exit.signaled);
    assert_int_equal(event.exit.status, 42);
    assert_int_equal(event.exit.signal, 0);

    pid = start_child(pauses, NULL);
    seize_and_stop(pid);
    kill(pid, SIGKILL);
    event = next_event(pid);
    if (event.kind == OS_EVENT_EXITING) {
        assert_true(event.exit.signaled);
        assert_int_equal(event.exit.signal, SIGKILL);
        linux_resume(pid, OS_RESUME_RUN, 0);
        event = next_event(pid);
    }
    assert_int_equal(event.kind, OS_EVENT_EXITED);
    assert_true(event.exit.signaled);
    assert_int_equal(event.exit.signal, SIGKILL);
    assert_int_equal(event.exit.status, -1);
}

/* SIGKILL between the wait and the question what the stop was, for every kind of stop that there is a question for. The
 * last stop of a process that exits is not ended by it: the kernel drops signals to what is dying. */
static void killed_before_it_is_understood(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        int status = 0;
        enum os_thread_status now = OS_THREAD_RUNS;

        memset(shared, 0, sizeof *shared);
        int pid = round == 0   ? start_traced(exits_42, NULL)
                  : round == 1 ? start_traced(gets_signals_from_the_kernel, NULL)
                  : round == 2 ? start_traced(sends_itself_signals, NULL)
                               : start_traced(executes_from_a_thread, NULL);
        assert_int_equal(waitpid(pid, &status, __WALL), pid);
        assert_true(WIFSTOPPED(status));
        kill(pid, SIGKILL);
        wait_until(linux_thread_status(pid, pid, &now) == 0 && now == OS_THREAD_STOPPED); /* its last stop */

        struct os_event event;
        assert_int_equal(linux_decode(pid, status, &event), round == 0);
        assert_int_equal(event.kind, round == 0 ? OS_EVENT_EXITING : OS_EVENT_NONE);
        if (round == 0)
            resume(pid, OS_RESUME_RUN, 0);

        /* what comes next is the end; of the forked child and the new thread, too */
        int id = 0, exiting = 0;
        while ((id = waitpid(-1, &status, __WALL)) > 0) {
            if (linux_decode(id, status, &event) == 0)
                continue;
            exiting += id == pid && event.kind == OS_EVENT_EXITING;
            if (event.kind != OS_EVENT_EXITED)
                linux_resume(id, OS_RESUME_RUN, 0);
            else if (id == pid)
                assert_true(event.exit.signal == SIGKILL || event.exit.status == 42);
        }
        assert_int_equal(exiting, round != 0);
    }
}

/* ---- What waits behind a stop ---- */

static bool queues_behind_a_mask(void *arg)
{
    sigset_t all;
    siginfo_t forged = {.si_signo = SIGTRAP, .si_code = TRAP_TRACE};
    int pid = getpid(), count = *(int *)arg;

    sigfillset(&all);
    sigdelset(&all, SIGALRM); /* start_child's */
    sigprocmask(SIG_SETMASK, &all, NULL);
    if (count < 0)
        kill(pid, SIGTRAP); /* somebody's */
    for (int i = 0; i < count; i++)
        syscall(SYS_tgkill, pid, pid, SIGRTMIN + i % 3);
    if (count >= 0)
        syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGTRAP, &forged); /* as the kernel would */
    shared->ready = 1;
    return pauses(NULL);
}

static void finds_the_trap_that_waits(void **state)
{
    (void)state;
    const int counts[] = {-1, 0, 1, 31, 32, 33, 64, 700};

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int count = counts[i];

        shared->ready = 0;
        int pid = start_child(queues_behind_a_mask, &count);
        wait_until(shared->ready);
        assert_int_equal(linux_seize(pid), 0);
        assert_int_equal(linux_interrupt(pid), 0);
        expect_event(pid, OS_EVENT_INTERRUPTED);
        assert_int_equal(linux_trap_is_pending(pid), count >= 0);
        kill_child(pid);
    }
    assert_int_equal(linux_trap_is_pending(getpid()), -ESRCH);
}

static bool traps_in_a_loop(void *arg)
{
    (void)arg;
    get_ready();
    for (;;)
        __asm__ volatile("int3");
    return true;
}

/* The race itself: an interrupt's stop comes in front of an int3's signal. With two threads that trap it comes some forty
 * times a second, on two processors. */
static void finds_a_real_trap_behind_an_interrupt(void **state)
{
    int pids[2];
    bool found = false;
    time_t end = time(NULL) + 15;

    (void)state;
    for (int i = 0; i < 2; i++) {
        memset(shared, 0, sizeof *shared);
        pids[i] = start_traced(traps_in_a_loop, NULL);
    }
    while (!found && time(NULL) < end) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(linux_interrupt(pids[i]), 0);
        for (int i = 0; i < 2; i++) {
            int status = 0;
            struct os_event event;

            assert_int_equal(waitpid(pids[i], &status, __WALL), pids[i]);
            assert_int_equal(linux_decode(pids[i], status, &event), 1);
            if (event.kind != OS_EVENT_INTERRUPTED) {
                assert_int_equal(event.kind, OS_EVENT_TRAP);
            } else if (linux_trap_is_pending(pids[i]) == 1) {
                found = true;
                resume(pids[i], OS_RESUME_RUN, 0);
                expect_event(pids[i], OS_EVENT_TRAP);
            }
        }
        for (int i = 0; i < 2; i++)
            resume(pids[i], OS_RESUME_RUN, 0);
    }
    for (int i = 0; i < 2; i++)
        kill_child(pids[i]);
    if (!found) /* a processor too busy, or only one */
        skip();
}

static void signal_masks(void **state)
{
    (void)state;
    uint64_t mask = 0;
    int pid = start_child(pauses, NULL);

    seize_and_stop(pid);
    assert_int_equal(linux_get_signal_mask(pid, &mask), 0);
    assert_int_equal(mask, 0);
    assert_int_equal(linux_set_signal_mask(pid, UINT64_C(1) << 40 | 1), 0);
    assert_int_equal(linux_get_signal_mask(pid, &mask), 0);
    assert_int_equal(mask, UINT64_C(1) << 40 | 1);
    kill_child(pid);
}

/* ---- Calls that are not made again by the kernel ---- */

struct blocking_call {
    const char *name;
    long (*make)(bool limited);
    bool can_be_limited;
};

static long make_epoll_wait(bool limited)
{
    struct epoll_event event;

    return syscall(SYS_epoll_wait, epoll_create1(0), &event, 1, limited ? 60000 : -1);
}

static long make_epoll_pwait(bool limited)
{
    struct epoll_event event;
    sigset_t none;

    sigemptyset(&none);
    return syscall(SYS_epoll_pwait, epoll_create1(0), &event, 1, limited ? 60000 : -1, &none, sizeof(uint64_t));
}

static const struct timespec a_minute = {60, 0};
static const int64_t a_minute_64[2] = {60, 0}; /* what newer calls take, of 64 bits for every program */

static long make_epoll_pwait2(bool limited)
{
    struct epoll_event event;

    return syscall(SYS_epoll_pwait2, epoll_create1(0), &event, 1, limited ? a_minute_64 : NULL, NULL, 0);
}

static long make_sigtimedwait(bool limited)
{
    uint64_t set = UINT64_C(1) << (SIGUSR2 - 1);

    return syscall(SYS_rt_sigtimedwait, &set, NULL, limited ? &a_minute : NULL, sizeof set);
}

static long make_semop(bool limited)
{
    int set = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf take = {0, -1, 0};

    shared->answer = set;
#ifdef SYS_semop
    return limited ? syscall(SYS_semtimedop, set, &take, 1, &a_minute) : syscall(SYS_semop, set, &take, 1);
#else
    enum { SEMOP = 1, SEMTIMEDOP = 4 };

    return limited ? syscall(SYS_ipc, SEMTIMEDOP, set, 1, 0, &take, &a_minute)
                   : syscall(SYS_ipc, SEMOP, set, 1, 0, &take);
#endif
}

static long make_semtimedop(bool limited)
{
    int set = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf take = {0, -1, 0};

    shared->answer = set;
#ifdef SYS_semtimedop
    return syscall(SYS_semtimedop, set, &take, 1, limited ? &a_minute : NULL);
#else
    return syscall(SYS_semtimedop_time64, set, &take, 1, limited ? a_minute_64 : NULL);
#endif
}

/* What other processes have had the kernel gives back a while after their ends. (alarm() ends who waits in vain.) */
static bool is_short_for_now(void)
{
    bool is_short = errno == EAGAIN || errno == ENOMEM;

    sleep_ms(5);
    return is_short;
}

static int set_up_uring(struct io_uring_params *parameters)
{
    int fd;

    while ((fd = (int)syscall(SYS_io_uring_setup, 2, parameters)) < 0 && is_short_for_now())
        ;
    return fd;
}

static long make_io_getevents(bool limited)
{
    aio_context_t context = 0;
    struct io_event event;

    while (syscall(SYS_io_setup, 1, &context) != 0 && is_short_for_now())
        ;
    return syscall(SYS_io_getevents, context, 1, 1, &event, limited ? &a_minute : NULL);
}

static long make_io_uring(bool limited)
{
    struct io_uring_params parameters = {0};
    struct {
        uint64_t mask;
        uint32_t size, pad;
        uint64_t limit;
    } argument = {0, sizeof(uint64_t), 0, limited ? (uintptr_t)a_minute_64 : 0};
    int fd = set_up_uring(&parameters);

    return syscall(SYS_io_uring_enter, fd, 0, 1, 1 | 8, &argument, sizeof argument);
}

static long make_io_uring_plain(bool limited)
{
    struct io_uring_params parameters = {0};
    int fd = set_up_uring(&parameters);

    (void)limited;
    return syscall(SYS_io_uring_enter, fd, 0, 1, 1, NULL, 0);
}

static long make_pause(bool limited)
{
    (void)limited;
    return syscall(SYS_pause);
}

static const struct blocking_call calls[] = {
    {"epoll_wait", make_epoll_wait, true},
    {"epoll_pwait", make_epoll_pwait, true},
    {"epoll_pwait2", make_epoll_pwait2, true},
    {"rt_sigtimedwait", make_sigtimedwait, true},
    {"semop", make_semop, true},
    {"semtimedop", make_semtimedop, true},
    {"io_getevents", make_io_getevents, true},
    {"io_uring_enter", make_io_uring_plain, false},
    {"io_uring_enter, extended", make_io_uring, true},
    {"pause", make_pause, false}, /* the kernel makes it again by itself */
};

struct blocking {
    const struct blocking_call *call;
    bool limited;
};

static bool blocks(void *arg)
{
    const struct blocking *blocking = arg;
    /* Untraced, none of these calls is made again after a handler, SA_RESTART or not. */
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

    sigaction(SIGUSR1, &action, NULL);
    shared->ready = 1;
    errno = 0;
    shared->result = blocking->call->make(blocking->limited);
    shared->error = errno;
    shared->go = 1;
    if (shared->answer > 0 && (blocking->call->make == make_semop || blocking->call->make == make_semtimedop))
        semctl(shared->answer, 0, IPC_RMID);
    return true;
}

/* It is in its call, for the first time or again. */
static void wait_until_asleep(int pid)
{
    enum os_thread_status status = OS_THREAD_RUNS;
    wait_until(shared->go || (linux_thread_status(pid, pid, &status) == 0 && status == OS_THREAD_SLEEPS));
    if (shared->go)
        fail_msg("the call came back: %ld, %s", shared->result, strerror((int)shared->error));
    sleep_ms(2); /* for one that would come back at once */
}

static int start_blocking(struct blocking *blocking)
{
    memset(shared, 0, sizeof *shared);
    int pid = start_child(blocks, blocking);
    wait_until(shared->ready);
    wait_until_asleep(pid);
    assert_int_equal(linux_seize(pid), 0);
    return pid;
}

static bool lets_it_be_made_again(int pid)
{
    struct arch_registers registers;
    uint64_t pc = 0;

    assert_int_equal(linux_get_registers(pid, &registers), 0);
    int changed = linux_restart_interrupted_call(pid, &registers);
    if (changed == 1)
        assert_int_equal(linux_set_registers(pid, &registers), 0);
    if (linux_call_is_made_again(&registers, &pc) == 1)
        assert_int_equal(pc, pc_of(pid) - 2);
    assert_int_equal(linux_restart_interrupted_call(pid, &registers), 0);
    return linux_call_is_made_again(&registers, NULL) == 1;
}

static void end_blocking(int pid)
{
    if (shared->answer > 0)
        semctl(shared->answer, 0, IPC_RMID);
    kill(pid, SIGKILL);
    end_of(pid); /* it may have got there before */
}

static void a_stop_does_not_show(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct blocking blocking = {&calls[i], false};
        int pid = start_blocking(&blocking);

        for (int times = 0; times < 3; times++) {
            assert_int_equal(linux_interrupt(pid), 0);
            expect_event(pid, OS_EVENT_INTERRUPTED);
            if (!lets_it_be_made_again(pid))
                fail_msg("%s is not made again", calls[i].name);
            resume(pid, OS_RESUME_RUN, 0);
            wait_until_asleep(pid);
        }
        /* nor does a signal that the program ignores, as SIGWINCH is by default */
        kill(pid, SIGWINCH);
        expect_event(pid, OS_EVENT_SIGNAL);
        assert_true(lets_it_be_made_again(pid));
        resume(pid, OS_RESUME_RUN, SIGWINCH);
        wait_until_asleep(pid);
        assert_false(shared->go);
        /* a handler does; even one that comes when the call has been told to be made again */
        assert_int_equal(linux_interrupt(pid), 0);
        expect_event(pid, OS_EVENT_INTERRUPTED);
        assert_true(lets_it_be_made_again(pid));
        kill(pid, SIGUSR1);
        resume(pid, OS_RESUME_RUN, 0);
        expect_event(pid, OS_EVENT_SIGNAL);
        resume(pid, OS_RESUME_RUN, SIGUSR1);
        wait_until(shared->go);
        assert_int_equal(shared->result, -1);
        if (shared->error != EINTR)
            fail_msg("%s: %s", calls[i].name, strerror((int)shared->error));
        assert_int_equal(shared->handled, 1);
        end_blocking(pid);
    }
}

static void a_limited_wait_is_left_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct blocking blocking = {&calls[i], true};

        if (!calls[i].can_be_limited)
            continue;
        int pid = start_blocking(&blocking);
        assert_int_equal(linux_interrupt(pid), 0);
        expect_event(pid, OS_EVENT_INTERRUPTED);
        if (lets_it_be_made_again(pid))
            fail_msg("%s", calls[i].name);
        end_blocking(pid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signals_with_their_siginfo, setup, teardown),
        cmocka_unit_test_setup_teardown(queued_again_with_their_siginfo, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_of_the_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(traps_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(steps, setup, teardown),
        cmocka_unit_test_setup_teardown(interrupts_and_group_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(all_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(exec_from_a_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(ends, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_before_it_is_understood, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_the_trap_that_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_a_real_trap_behind_an_interrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(signal_masks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stop_does_not_show, setup, teardown),
        cmocka_unit_test_setup_teardown(a_limited_wait_is_left_alone, setup, teardown),
    };

    skip_under_thread_sanitizer();
    skip_under_valgrind();
    return cmocka_run_group_tests_name("os_decode", tests, NULL, NULL);
}
