/* Notes: registers, memory, steps. */
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "machine.h"
#include "note.h"

#define TRAP_FLAG 0x100 /* in eflags */

NOTE(66, "PTRACE_GETREGSET says how large a set of registers is",
     "It takes a buffer of any size and gives back how much it has filled. So one call serves all processors, "
     "and tells a 32-bit program from a 64-bit one, by the size of NT_PRSTATUS. Newer processors have no "
     "PTRACE_GETREGS at all.")
{
    unsigned char buffer[4096];
    struct iovec block = {buffer, sizeof buffer}, half = {buffer, 16};
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    stop(d, pid);
    TRY(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &block));
    EXPECT(block.iov_len == sizeof(struct user_regs_struct));
    TRY(trace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &half));
    EXPECT(half.iov_len == 16);
}

#if defined(__x86_64__)
/* CPUID, leaf 13: of what the system has switched on. */
static size_t size_of_all_sets(struct demo *d)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid_count(13, 0, &eax, &ebx, &ecx, &edx))
        cannot(d, "this processor has no XSAVE");
    return ebx;
}
#endif

NOTE(67, "The vector registers are as large as the kernel says, and must be set whole",
     "NT_X86_XSTATE is as large as the processor's XSAVE area with all that the system has switched on: 832 "
     "bytes with AVX, 2,696 with AVX-512 and its like, 11,008 with AMX, whether the program uses the tiles or "
     "not. PTRACE_SETREGSET takes nothing less: EFAULT. So a tracer that reads into a buffer of a fixed size "
     "that was enough once reads a part, without an error, and can write none.")
{
#if defined(__x86_64__)
    static unsigned char buffer[1 << 16];
    struct iovec block = {buffer, sizeof buffer};
    pid_t pid = start(d, sleeps);
    size_t size = size_of_all_sets(d);
    seize(d, pid, 0);
    stop(d, pid);
    TRY(trace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &block));
    EXPECT(block.iov_len == size);
    TRY(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &block));
    block.iov_len = size - 64;
    EXPECT(trace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &block) == -1 && errno == EFAULT);
#else
    cannot(d, "only on amd64");
#endif
}

static void maps_for_reading(struct demo *d)
{
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(page != MAP_FAILED);
    memcpy((void *)&d->flag[2], &page, sizeof page);
    d->flag[0] = 1;
    sleeps(d);
}

NOTE(68, "PTRACE_POKEDATA writes where the program may not, process_vm_writev does not",
     "Requests, and /proc/PID/mem, go past the protection of pages, as breakpoints in program text need it: "
     "the page is copied for this process alone. process_vm_readv and process_vm_writev, since Linux 3.2, are "
     "faster for large pieces, need no stop, and keep to what the program itself may do.")
{
    long word = 0x1234, seen = 0;
    char *page;
    pid_t pid = start(d, maps_for_reading);
    await(d, 0);
    memcpy(&page, (void *)&d->flag[2], sizeof page);
    struct iovec here = {&word, sizeof word}, there = {page, sizeof word};
    seize(d, pid, 0);
    EXPECT(syscall(SYS_process_vm_writev, pid, &here, 1L, &there, 1L, 0L) == -1 && errno == EFAULT);
    stop(d, pid);
    EXPECT(trace(PTRACE_POKEDATA, pid, page, word) == 0);
    here.iov_base = &seen;
    EXPECT(syscall(SYS_process_vm_readv, pid, &here, 1L, &there, 1L, 0L) == sizeof seen && seen == word);
}

static void raises_when_told(struct demo *d)
{
    block(d);
    raise(SIGUSR1);
    d->flag[0] = 1;
    sleeps(d);
}

NOTE(69, "PTRACE_SETSIGMASK holds signals back for as long as the tracer likes",
     "Since Linux 3.11 a tracer can read and set which signals a stopped thread blocks. With all blocked, a "
     "thread can be stepped, or made to execute something, without a handler running in between. What comes "
     "meanwhile stays pending.")
{
    uint64_t all = ~UINT64_C(0), before;
    pid_t pid = start(d, raises_when_told);
    seize(d, pid, 0);
    stop(d, pid);
    TRY(trace(PTRACE_GETSIGMASK, pid, sizeof before, &before));
    TRY(trace(PTRACE_SETSIGMASK, pid, sizeof all, &all));
    open_gate(d);
    go_on(d, pid, 0);
    await(d, 0); /* past raise(3), without a stop */
    stop(d, pid);
    TRY(trace(PTRACE_SETSIGMASK, pid, sizeof before, &before));
    go_on(d, pid, 0);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1));
}

static void polls_with_mask(struct demo *d)
{
    sigset_t all;
    sigfillset(&all);
    d->flag[0] = 1;
    ppoll(NULL, 0, NULL, &all);
}

NOTE(70, "In a call with a mask of its own, it is the mask to come back to that is read and set",
     "A thread in sigsuspend, ppoll, pselect or epoll_pwait has another mask for the time of the call. Since "
     "Linux 5.1 PTRACE_GETSIGMASK and PTRACE_SETSIGMASK mean the one that holds after it; SigBlk in "
     "/proc/PID/status is the one that holds now.")
{
    uint64_t mask;
    since_linux(d, 5, 1);
    pid_t pid = start(d, polls_with_mask);
    await(d, 0);
    await_state(pid, 'S');
    EXPECT(has_signal(pid, "SigBlk", SIGUSR1));
    seize(d, pid, 0);
    stop(d, pid);
    TRY(trace(PTRACE_GETSIGMASK, pid, sizeof mask, &mask));
    EXPECT((mask >> (SIGUSR1 - 1) & 1) == 0);
}

/* ---- Steps ---- */

static siginfo_t info_of(struct demo *d, pid_t id)
{
    siginfo_t info;
    TRY(trace(PTRACE_GETSIGINFO, id, 0, &info));
    return info;
}

static siginfo_t step(struct demo *d, pid_t id, int signal)
{
    TRY(trace(PTRACE_SINGLESTEP, id, 0, signal));
    EXPECT(is_signal(wait_for(d, id), SIGTRAP));
    return info_of(d, id);
}

/* Starts it, and waits for its breakpoint instruction. */
__attribute__((unused)) static pid_t start_and_trap(struct demo *d, demo_body *body)
{
    pid_t pid = start(d, body);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGTRAP));
    return pid;
}

#if defined(__x86_64__)
static void traps_and_calls(struct demo *d)
{
    long result = SYS_getppid;
    block(d);
    __asm__ volatile("int3\n"
                     "nop\n"
                     "syscall\n"
                     : "+a"(result)
                     :
                     : "rcx", "r11", "memory");
    kill(getpid(), SIGTRAP);
}
#endif

NOTE(71, "Only siginfo tells a breakpoint from a step, and both from somebody's SIGTRAP",
     "On x86 the code is SI_KERNEL for int3, with the pc behind it; TRAP_TRACE for a step; TRAP_BRKPT for a "
     "step over a system call. Of a SIGTRAP that was sent the code is 0 or less, which no sender can make "
     "positive. But the program's own trap flag gives TRAP_TRACE as well: only who knows that he has stepped "
     "can tell.")
{
#if defined(__x86_64__)
    pid_t pid = start_and_trap(d, traps_and_calls);
    EXPECT(info_of(d, pid).si_code == SI_KERNEL);
    EXPECT(step(d, pid, 0).si_code == TRAP_TRACE);
    EXPECT(step(d, pid, 0).si_code == TRAP_BRKPT);
    go_on(d, pid, 0);
    EXPECT(is_signal(wait_for(d, pid), SIGTRAP));
    EXPECT(info_of(d, pid).si_code == SI_USER);
#else
    cannot(d, "only on amd64");
#endif
}

#if defined(__x86_64__)
static void pushes_flags(struct demo *d)
{
    block(d);
    __asm__ volatile("lea -128(%%rsp), %%rsp\n" /* clear of what the compiler keeps below the stack */
                     "int3\n"
                     "pushfq\n"
                     "popfq\n"
                     "nop\n"
                     "lea 128(%%rsp), %%rsp\n"
                     :
                     :
                     : "cc", "memory");
    sleeps(d);
}
#endif

NOTE(72, "A step over pushf shows the program the trap flag, and popf keeps it",
     "On x86 the processor steps by the trap flag in eflags, which the kernel hides from PTRACE_GETREGSET, but "
     "cannot hide from pushf: what it stores has the flag in it. When such a value is popped in a step, the "
     "kernel takes the flag for the program's own: it shows in the registers, and the thread goes on trapping "
     "when it is continued. A tracer that steps has to take the flag out of what pushf has stored.")
{
#if defined(__x86_64__)
    long stored = 0;
    pid_t pid = start_and_trap(d, pushes_flags);
    step(d, pid, 0); /* pushf */
    struct user_regs_struct registers = registers_of(d, pid);
    EXPECT((registers.eflags & TRAP_FLAG) == 0);
    TRY(trace(PTRACE_PEEKDATA, pid, registers.rsp, &stored));
    EXPECT((stored & TRAP_FLAG) != 0);
    step(d, pid, 0); /* popf */
    EXPECT((registers_of(d, pid).eflags & TRAP_FLAG) != 0);
    go_on(d, pid, 0);
    EXPECT(is_signal(wait_for(d, pid), SIGTRAP)); /* nobody has stepped */
#else
    cannot(d, "only on amd64");
#endif
}

#if defined(__x86_64__)
static void loads_stack_segment(struct demo *d)
{
    block(d);
    __asm__ volatile("mov %%ss, %%eax\n"
                     "int3\n"
                     "mov %%eax, %%ss\n" /* 2 bytes */
                     "nop\n"             /* 1 */
                     "nop\n"
                     :
                     :
                     : "rax");
    sleeps(d);
}
#endif

NOTE(73, "A step of mov to ss executes two instructions",
     "The processor lets nothing come between an instruction that loads ss and the next one, so that a stack "
     "can be switched in peace; a single step's trap comes after both. What is at the second is not seen by "
     "one who steps.")
{
#if defined(__x86_64__)
    pid_t pid = start_and_trap(d, loads_stack_segment);
    uint64_t before = registers_of(d, pid).rip;
    step(d, pid, 0);
    EXPECT(registers_of(d, pid).rip == before + 3);
#else
    cannot(d, "only on amd64");
#endif
}

static void nothing(int signal)
{
    (void)signal;
}

static void handles_and_raises(struct demo *d)
{
    handle(SIGUSR1, nothing);
    block(d);
    raise(SIGUSR1);
}

NOTE(74, "A step that delivers a signal ends at the handler's first instruction",
     "Nothing of the handler has been executed then. The stop is no signal's: its code in siginfo is SIGTRAP, "
     "the number itself. When the program returns from the handler it comes to where the signal met it, no "
     "further.")
{
    pid_t pid = start(d, handles_and_raises);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_signal(wait_for(d, pid), SIGUSR1));
    EXPECT(step(d, pid, SIGUSR1).si_code == SIGTRAP);
    EXPECT((uintptr_t)registers_of(d, pid).PC == (uintptr_t)nothing);
}
