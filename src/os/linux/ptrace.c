/* ptrace(2): one wrapper a request, and what a wait status means. The only file that includes its header: what
 * leaves here is a number, 0, a negative errno or a struct os_event.
 *
 * -ESRCH from any request but seize and interrupt says that the thread is not in a ptrace-stop (any more): SIGKILL ends
 * a stop at any moment. Everything here is async-signal-safe, as the engine's emergency exit needs it. */
#include "os/linux/linux.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything that a tracee can tell of its own accord. TRACESYSGOOD marks a system call's stop, which is a bare
 * SIGTRAP without it. Not EXITKILL: tracees are to outlive us. */
#define OPTIONS                                                                                                        \
    (PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXEC |   \
     PTRACE_O_TRACEEXIT | PTRACE_O_TRACESYSGOOD)
#define SYSTEM_CALL_STOP (SIGTRAP | 0x80)

/* A step that delivers a signal ends at the handler's first instruction with ptrace_notify(SIGTRAP)
 * (signal_setup_done() in the kernel's kernel/signal.c), which puts the stop's number where other signals have their code. */
#define CODE_NOTIFIED SIGTRAP

#ifndef NT_X86_SHSTK /* Linux 6.6; the headers of older C libraries lack it */
#define NT_X86_SHSTK 0x204
#endif
#define FXSAVE_SIZE 512
#define I386_BLOCK_SIZE 68 /* of general registers; amd64's has 216 */

/* How a step over a system call shows: see kind_of_signal. */
#if defined(__x86_64__) || defined(__i386__)
#define BRKPT_IS_STEP true
#define NOBODYS_IS_STEP false
#else
#define BRKPT_IS_STEP false
#define NOBODYS_IS_STEP true
#endif

_Static_assert(sizeof(siginfo_t) == sizeof((struct rein_signal){.number = 0}.raw), "raw holds a siginfo_t");

/* ptrace takes numbers as pointers. */
static void *in_pointer(uint64_t value)
{
    return (void *)(uintptr_t)value; /* NOLINT(performance-no-int-to-ptr) */
}

/* ---- Requests ---- */

int linux_seize(int id)
{
    return linux_seize_call(PTRACE_SEIZE, id, OPTIONS);
}

int linux_seize_filtered(int id)
{
    return linux_seize_call(PTRACE_SEIZE, id, OPTIONS | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL);
}

int linux_interrupt(int id)
{
    return ptrace(PTRACE_INTERRUPT, id, NULL, NULL) == 0 ? 0 : -errno;
}

/* arm64: a step over a system call leaves the processor's step state as if the next step were done, too, and that ends at once with
 * nothing executed (Linux 6.1). Writing the registers, whatever they are, makes the kernel set it right
 * (user_regs_reset_single_step()). */
static void begin_step(int id)
{
#if defined(__aarch64__)
    struct user_regs_struct registers;

    if (linux_get_note(id, NT_PRSTATUS, &registers, sizeof registers) == sizeof registers)
        linux_set_note(id, NT_PRSTATUS, &registers, sizeof registers);
#else
    (void)id;
#endif
}

int linux_resume(int id, enum os_resume how, int signal)
{
    long result = -1;

    /* Not a table: glibc's prototype has an enumeration of its own, musl's an int. */
    switch (how) {
    case OS_RESUME_RUN:
        result = ptrace(PTRACE_CONT, id, NULL, in_pointer((unsigned)signal));
        break;
    case OS_RESUME_STEP:
        begin_step(id);
        result = ptrace(PTRACE_SINGLESTEP, id, NULL, in_pointer((unsigned)signal));
        break;
    case OS_RESUME_TO_SYSCALL:
        result = ptrace(PTRACE_SYSCALL, id, NULL, in_pointer((unsigned)signal));
        break;
    case OS_RESUME_LISTEN: /* Linux 3.4, only for who was seized */
        result = ptrace(PTRACE_LISTEN, id, NULL, NULL);
        break;
    default:
        return -EINVAL;
    }
    if (result == 0)
        return 0;
    /* EIO: it is in another stop than one that can be listened in. It was in such a one: it has been killed since, and is in
     * its last stop. */
    return how == OS_RESUME_LISTEN && errno == EIO ? -ESRCH : -errno;
}

int linux_detach(int id, int signal)
{
    return ptrace(PTRACE_DETACH, id, NULL, in_pointer((unsigned)signal)) == 0 ? 0 : -errno;
}

int linux_get_note(int id, unsigned note, void *bytes, size_t size)
{
    struct iovec block = {bytes, size};

    return ptrace(PTRACE_GETREGSET, id, in_pointer(note), &block) == 0 ? (int)block.iov_len : -errno;
}

int linux_set_note(int id, unsigned note, const void *bytes, size_t size)
{
    struct iovec block = {(void *)bytes, size};

    return ptrace(PTRACE_SETREGSET, id, in_pointer(note), &block) == 0 ? 0 : -errno;
}

#if defined(__x86_64__) || defined(__i386__)
/* The kernel shows a thread's registers as those of the code that it is in, whatever its program is, and whoever asks. NULL:
 * ours are not enough for it, being a 32-bit library's: addresses, siginfo and debug registers would be cut. */
static const struct arch *arch_of_block(size_t size)
{
#if defined(__x86_64__)
    return size == I386_BLOCK_SIZE ? &arch_i386 : &arch_amd64;
#elif defined(__i386__)
    return size == I386_BLOCK_SIZE ? &arch_i386 : NULL;
#else
    (void)size;
    return os_backend.arch;
#endif
}

int linux_get_registers(int id, struct arch_registers *registers)
{
    struct iovec block = {registers->bytes, sizeof registers->bytes};

#if defined(__x86_64__) && defined(__LP64__)
    /* Quicker by a fifth. It gives 64-bit registers whatever the code, so this is good for 64-bit code only, which the kernel,
     * too, knows by its cs (user_64bit_mode()). */
    enum { CS_64 = 0x33 };
    if (ptrace(PTRACE_GETREGS, id, NULL, registers->bytes) != 0)
        return -errno;
    if (registers->bytes[offsetof(struct user_regs_struct, cs) / 8] == CS_64) {
        registers->size = sizeof(struct user_regs_struct);
        registers->arch = &arch_amd64;
        return 0;
    }
#endif
    if (ptrace(PTRACE_GETREGSET, id, in_pointer(NT_PRSTATUS), &block) != 0)
        return -errno;
    registers->size = block.iov_len;
    registers->arch = arch_of_block(block.iov_len);
    return registers->arch == NULL ? -ENOTSUP : 0;
}

#if defined(__x86_64__)

/* 32-bit code of a program that has come to it by a far jump has 64-bit registers still, and a base of fs that is not the
 * selector's. PTRACE_SETREGSET, which takes 32-bit code's registers only, cuts and loses these (putreg32() in the kernel's
 * arch/x86/kernel/ptrace.c). PTRACE_SETREGS takes all, whatever the code: so what does not change stays as it is. A
 * negative number is to stay one: the kernel looks for an interrupted call's result there. A selector's change is left to the
 * former, which sets the base, too. 1: done. */
static int set_narrow_registers(int id, const struct arch_registers *registers)
{
    enum { EAX = 6, FS = 9, GS = 10, COUNT = I386_BLOCK_SIZE / 4 };
#define WIDE(name) (offsetof(struct user_regs_struct, name) / 8)
    static const unsigned char places[COUNT] = {
        WIDE(rbx), WIDE(rcx), WIDE(rdx),      WIDE(rsi), WIDE(rdi), WIDE(rbp),    WIDE(rax), WIDE(ds), WIDE(es),
        WIDE(fs),  WIDE(gs),  WIDE(orig_rax), WIDE(rip), WIDE(cs),  WIDE(eflags), WIDE(rsp), WIDE(ss),
    };
#undef WIDE
    uint64_t wide[sizeof(struct user_regs_struct) / 8];
    uint32_t narrow[COUNT];

    if (ptrace(PTRACE_GETREGS, id, NULL, wide) != 0)
        return -errno;
    memcpy(narrow, registers->bytes, sizeof narrow);
    if (narrow[FS] != (uint32_t)wide[places[FS]] || narrow[GS] != (uint32_t)wide[places[GS]])
        return 0;
    for (size_t i = 0; i < COUNT; i++)
        if (narrow[i] != (uint32_t)wide[places[i]])
            wide[places[i]] = i == EAX ? (uint64_t)(int64_t)(int32_t)narrow[i] : narrow[i];
    return ptrace(PTRACE_SETREGS, id, NULL, wide) == 0 ? 1 : -errno;
}

#else

static int set_narrow_registers(int id, const struct arch_registers *registers)
{
    (void)id;
    (void)registers;
    return 0;
}

#endif

int linux_set_registers(int id, const struct arch_registers *registers)
{
    struct iovec block = {(void *)registers->bytes, registers->size};
    int result = registers->size == I386_BLOCK_SIZE ? set_narrow_registers(id, registers) : 0;

    if (result != 0)
        return result < 0 ? result : 0;

    return ptrace(PTRACE_SETREGSET, id, in_pointer(NT_PRSTATUS), &block) == 0 ? 0 : -errno;
}

/* To set all is dear, for the segments: as much as to change four words. The kernel does the same with each (putreg()). */
int linux_change_registers(int id, const struct arch_registers *registers, const struct arch_registers *before)
{
#if defined(__x86_64__) && defined(__LP64__)
    enum { WORDS = sizeof(struct user_regs_struct) / 8, SEVERAL = 4 };
    size_t changed[SEVERAL - 1], count = 0;

    if (before == NULL || before->size != registers->size || registers->size != sizeof(struct user_regs_struct))
        return linux_set_registers(id, registers);
    for (size_t i = 0; i < WORDS; i++) {
        if (registers->bytes[i] == before->bytes[i])
            continue;
        if (count == SEVERAL - 1)
            return linux_set_registers(id, registers);
        changed[count++] = i;
    }
    for (size_t i = 0; i < count; i++)
        if (ptrace(PTRACE_POKEUSER, id, in_pointer(8 * changed[i]), in_pointer(registers->bytes[changed[i]])) != 0)
            return -errno;
    return 0;
#else
    (void)before;
    return linux_set_registers(id, registers);
#endif
}

/* The xstate has one size on a machine, 11,008 bytes with AMX, also for who does not use that, and PTRACE_SETREGSET takes
 * just that size (EFAULT else). A kernel without XSAVE, or told not to use it, has the old block. */
static int xstate_note(size_t size)
{
    return size == FXSAVE_SIZE ? NT_FPREGSET : NT_X86_XSTATE;
}

int linux_get_register_set(int id, enum arch_set set, void *bytes, size_t size)
{
    struct iovec block = {bytes, size};
    int note = set == ARCH_SET_X86_XSTATE ? NT_X86_XSTATE : NT_X86_SHSTK;

    if (ptrace(PTRACE_GETREGSET, id, in_pointer((unsigned)note), &block) == 0)
        return (int)block.iov_len;
    if (errno != EINVAL &&
        errno != ENODEV) /* not known to this kernel; not there on this machine, or for this thread */
        return -errno;
    if (set != ARCH_SET_X86_XSTATE)
        return 0;
    block = (struct iovec){bytes, size < FXSAVE_SIZE ? size : FXSAVE_SIZE};
    return ptrace(PTRACE_GETREGSET, id, in_pointer(NT_FPREGSET), &block) == 0 ? (int)block.iov_len : -errno;
}

int linux_set_register_set(int id, enum arch_set set, const void *bytes, size_t size)
{
    struct iovec block = {(void *)bytes, size};
    int note = set == ARCH_SET_X86_XSTATE ? xstate_note(size) : NT_X86_SHSTK;

    return ptrace(PTRACE_SETREGSET, id, in_pointer((unsigned)note), &block) == 0 ? 0 : -errno;
}

#endif

int linux_set_signal(int id, const struct rein_signal *signal)
{
    siginfo_t info;

    memcpy(&info, signal->raw, sizeof info);
    info.si_signo = signal->number;
    info.si_errno = signal->error;
    info.si_code = signal->code;
    bool fault =
        signal->number == SIGSEGV || signal->number == SIGBUS || signal->number == SIGFPE || signal->number == SIGILL;
    if (fault && signal->code > 0)
        info.si_addr = (void *)(uintptr_t)signal->address; /* NOLINT(performance-no-int-to-ptr) */
    return ptrace(PTRACE_SETSIGINFO, id, NULL, &info) == 0 ? 0 : -errno;
}

static void decode_signal(const siginfo_t *info, struct rein_signal *signal);

int linux_get_signal(int id, struct rein_signal *signal)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GETSIGINFO, id, NULL, &info) != 0)
        return -errno;
    decode_signal(&info, signal);
    return 0;
}

/* Linux 3.11. Of a thread in epoll_pwait(2) and its like the kernel gives, and sets, the mask that it goes back to,
 * not the one that holds during the call. */
int linux_get_signal_mask(int id, uint64_t *mask)
{
    *mask = 0; /* valgrind does not know that the kernel fills it */
    return ptrace(PTRACE_GETSIGMASK, id, in_pointer(sizeof *mask), mask) == 0 ? 0 : -errno;
}

int linux_set_signal_mask(int id, uint64_t mask)
{
    return ptrace(PTRACE_SETSIGMASK, id, in_pointer(sizeof mask), &mask) == 0 ? 0 : -errno;
}

/* Linux 5.13, not in glibc 2.36; before it nobody can tell. */
#define GET_RSEQ_CONFIGURATION 0x420f
struct rseq_configuration { /* struct ptrace_rseq_configuration */
    uint64_t address;
    uint32_t size, signature, flags, none;
};
#define RSEQ_SEQUENCE 8 /* offset of rseq_cs in struct rseq (linux/rseq.h) */

uint64_t linux_sequence_word(int id)
{
    struct rseq_configuration found = {.address = 0};
    long size = syscall(SYS_ptrace, GET_RSEQ_CONFIGURATION, id, sizeof found, &found);

    return size == (long)sizeof found && found.address ? found.address + RSEQ_SEQUENCE : 0;
}

bool linux_tells_sequences(int id)
{
    struct rseq_configuration found;

    return syscall(SYS_ptrace, GET_RSEQ_CONFIGURATION, id, sizeof found, &found) == (long)sizeof found;
}

int linux_peek(int id, uint64_t address, long *word)
{
    errno = 0; /* the word is the result, and may be -1 */
    *word = ptrace(PTRACE_PEEKDATA, id, in_pointer(address), NULL);
    return -errno;
}

int linux_poke(int id, uint64_t address, long word)
{
    return ptrace(PTRACE_POKEDATA, id, in_pointer(address), in_pointer((uint64_t)word)) == 0 ? 0 : -errno;
}

int linux_ptrace_is_refused(void)
{
    /* There is no process 0 for us: whoever lets the request through finds that out (ESRCH). */
    return ptrace(PTRACE_CONT, 0, NULL, NULL) == 0 || errno == ESRCH ? 0 : errno;
}

/* ---- Debug registers ---- */

#if defined(__x86_64__) || defined(__i386__)

enum { WATCH_SLOTS = 4, STATUS_REGISTER = 6, CONTROL_REGISTER = 7 };

static int set_debug_register(int id, int number, uint64_t value)
{
    size_t offset = offsetof(struct user, u_debugreg) + (size_t)number * sizeof((struct user *)NULL)->u_debugreg[0];

    return ptrace(PTRACE_POKEUSER, id, in_pointer(offset), in_pointer(value)) == 0 ? 0 : -errno;
}

int linux_count_watches(int id, unsigned slots[2])
{
    (void)id;
    slots[0] = WATCH_SLOTS;
    slots[1] = 0;
    return 0;
}

/* The control word is cleared first: the kernel checks each change by itself, and an address against the size that was
 * there before. It keeps a register as a perf event, so that a slot can be refused (ENOSPC). */
int linux_set_watches(int id, const uint64_t words[ARCH_WATCH_WORDS])
{
    uint64_t control = words[WATCH_SLOTS];
    int result = set_debug_register(id, CONTROL_REGISTER, 0);

    for (int i = 0; result == 0 && i < WATCH_SLOTS; i++)
        if (control & UINT64_C(3) << 2 * i)
            result = set_debug_register(id, i, words[i]);
    if (result == 0 && control != 0)
        result = set_debug_register(id, CONTROL_REGISTER, control);
    return result;
}

/* The kernel makes the status word afresh at each debug exception in the program (exc_debug_user()). Its own accesses to
 * watched memory leave bits there too, without a signal (exc_debug_kernel()); so only who comes with a trap asks. */
int linux_take_watch_hits(int id, const struct arch_watch *watches, size_t count, uint32_t *slots)
{
    (void)watches;
    (void)count;
    size_t offset =
        offsetof(struct user, u_debugreg) + (size_t)STATUS_REGISTER * sizeof((struct user *)NULL)->u_debugreg[0];

    errno = 0; /* the word is the result, and may be -1 */
    long status = ptrace(PTRACE_PEEKUSER, id, in_pointer(offset), NULL);
    if (errno != 0)
        return -errno;
    *slots = (uint32_t)status & ((1u << WATCH_SLOTS) - 1);
    return set_debug_register(id, STATUS_REGISTER, 0);
}

#endif

/* ---- System calls ---- */

/* Linux 5.3: the kernel itself says whether it is an entry or an exit, and by whose numbers the call is made. A thread
 * that was killed in this stop is in its last one by now, which is about no call. */
int linux_get_syscall(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call)
{
    struct __ptrace_syscall_info info;

    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GET_SYSCALL_INFO, id, in_pointer(sizeof info), &info) < 0)
        return errno == EIO ? linux_guess_syscall(id, in_call, stage, call) : -errno;
    *call = (struct rein_syscall){.arch = info.arch, .pc = info.instruction_pointer};
    switch (info.op) {
    case PTRACE_SYSCALL_INFO_SECCOMP: /* what an entry has, and more behind it */
    case PTRACE_SYSCALL_INFO_ENTRY:
        *stage = OS_SYSCALL_ENTRY;
        call->number = (int64_t)info.entry.nr;
        for (size_t i = 0; i < sizeof call->args / sizeof *call->args; i++) /* of 32 bits in wider registers */
            call->args[i] = info.arch & __AUDIT_ARCH_64BIT ? info.entry.args[i] : (uint32_t)info.entry.args[i];
        return 0;
    case PTRACE_SYSCALL_INFO_EXIT:
        *stage = OS_SYSCALL_EXIT;
        call->result = info.exit.rval;
        call->error = info.exit.is_error ? (int)-info.exit.rval : 0;
        return in_call ? 0 : linux_syscall_at_exit(id, call);
    default:
        return -ESRCH;
    }
}

/* ---- Signals that wait ---- */

/* A step over a system call, where an architecture has nothing better to say of it. A signal from outside a container looks the
 * same; but only a thread that is being stepped is asked. */
static bool is_nobodys(const siginfo_t *info)
{
    return NOBODYS_IS_STEP && info->si_code == SI_USER && info->si_pid == 0 && info->si_uid == 0;
}

static bool is_made_by_kernel(const siginfo_t *info)
{
    return info->si_signo == SIGTRAP && (info->si_code > 0 || is_nobodys(info));
}

/* A trap is forced on the thread, so it is in its own queue, not in the process's. It is dequeued before any
 * other signal (dequeue_synchronous_signal(), Linux 5.1), but can be queued behind them: all must be looked at. The
 * kernel counts its way from the head to each entry that it hands out, so thousands of them would take long; then
 * the set of pending signals is asked first. */
static int is_pending(int id, uint64_t wanted)
{
    siginfo_t queue[32] = {{0}}; /* as above */
    struct __ptrace_peeksiginfo_args which = {.off = 0, .flags = 0, .nr = (int)(sizeof queue / sizeof *queue)};

    for (;;) {
        long count = ptrace(PTRACE_PEEKSIGINFO, id, &which, queue);
        uint64_t pending = 0, shared = 0;

        if (count < 0)
            return -errno;
        for (long i = 0; i < count; i++)
            if ((queue[i].si_code > 0 || is_made_by_kernel(&queue[i])) && wanted & UINT64_C(1)
                                                                                       << (queue[i].si_signo - 1))
                return 1;
        if (count < which.nr)
            return 0;
        if (which.off == 0 && linux_pending_signals(id, &pending, &shared) == 0 && !(pending & wanted))
            return 0;
        which.off += (uint64_t)count;
    }
}

int linux_trap_is_pending(int id)
{
    return is_pending(id, UINT64_C(1) << (SIGTRAP - 1));
}

int linux_fault_is_pending(int id)
{
    return is_pending(id, os_backend.fault_signals);
}

/* ---- What a wait status means ---- */

static void decode_end(int status, struct rein_exit *how)
{
    if (WIFSIGNALED(status))
        *how = (struct rein_exit){true, -1, WTERMSIG(status), WCOREDUMP(status) != 0};
    else
        *how = (struct rein_exit){false, WEXITSTATUS(status), 0, false};
}

/* Which member of siginfo_t's union means something is told by number and code: the kernel's siginfo_layout(), and
 * sigaction(2). */
static void decode_signal(const siginfo_t *info, struct rein_signal *signal)
{
    bool sender = false, value = false, address = false;

    if (info->si_code == SI_TIMER) {
        value = true;
    } else if (info->si_code == SI_USER || info->si_code == SI_TKILL) {
        sender = true;
    } else if (info->si_code < 0 && info->si_code != SI_SIGIO) { /* SI_QUEUE, SI_MESGQ, and what programs make up */
        sender = value = true;
    } else if (info->si_code > 0 && info->si_code != SI_KERNEL) {
        switch (info->si_signo) {
        case SIGCHLD:
            sender = true;
            break;
        case SIGTRAP:
            sender = info->si_code == CODE_NOTIFIED;
            address = !sender;
            break;
        case SIGILL:
        case SIGFPE:
        case SIGSEGV:
        case SIGBUS:
        case SIGSYS: /* the address of the call */
            address = true;
            break;
        default:
            break;
        }
    }

    *signal = (struct rein_signal){.number = info->si_signo, .code = info->si_code, .error = info->si_errno};
    if (sender) {
        signal->sender_pid = info->si_pid;
        signal->sender_uid = info->si_uid;
    }
    if (value)
        signal->value = (int64_t)(intptr_t)info->si_value.sival_ptr;
    if (address)
        signal->address = (uintptr_t)info->si_addr;
    memcpy(signal->raw, info, sizeof *info);
}

/* What a signal-delivery-stop is about. Only SIGTRAP says more than that there is a signal, and only when the kernel
 * made it: a code of 0 or less is somebody's kill(2) or sigqueue(3) (M6). Measured on amd64, Linux 6.18:
 *
 *   code           made by                                                       pc
 *   SI_KERNEL      int3 (also in its two-byte form, cd 03)                       behind it
 *   TRAP_TRACE     a step; the program's own trap flag; both at once: one;       behind the instruction
 *                  with or without a debug register's trap after the same
 *   TRAP_BRKPT     a step over a system call, rt_sigreturn(2) included;          behind it; after rt_sigreturn where
 *                  int1 ("icebp")                                                it goes back to
 *   CODE_NOTIFIED  a step that delivered a signal to a handler; not a signal,    the handler's first instruction
 *                  so none can be put in its place
 *   TRAP_HWBKPT    a debug register                                              behind the access; of an execution:
 *                                                                                at the instruction
 *   TRAP_PERF      perf_event_open(2) with sigtrap
 *
 * Nothing in the siginfo tells the program's own trap flag or icebp from a step; whoever resumed the thread knows if
 * it was a step. STEPPED from a thread that was not being stepped is the program's own SIGTRAP.
 *
 * Measured on arm64, Linux 6.1:
 *
 *   TRAP_BRKPT     brk                                                           at it
 *   TRAP_TRACE     a step                                                        behind the instruction
 *   SI_USER        a step over a system call: sent by process 0, user 0          behind it
 *   CODE_NOTIFIED  as above
 *   TRAP_HWBKPT    a debug register                                              at the instruction, not executed yet */
static enum os_event_kind kind_of_signal(const siginfo_t *info)
{
    if (!is_made_by_kernel(info))
        return OS_EVENT_SIGNAL;
    switch (info->si_code) {
    case SI_KERNEL:
        return OS_EVENT_TRAP;
    case SI_USER:
    case TRAP_TRACE:
    case CODE_NOTIFIED:
        return OS_EVENT_STEPPED;
    case TRAP_BRKPT:
        return BRKPT_IS_STEP ? OS_EVENT_STEPPED : OS_EVENT_TRAP;
    case TRAP_HWBKPT:
        return OS_EVENT_WATCHED;
    default:
        return OS_EVENT_SIGNAL;
    }
}

/* In an event's stop, siginfo holds the event (ptrace_do_notify() in kernel/signal.c). */
static bool is_about_event(const siginfo_t *info, int what)
{
    return info->si_signo == SIGTRAP && info->si_code == (SIGTRAP | what << 8);
}

/* Is there a status that nobody has waited for? */
static bool has_another_status(int id)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)id, &info, WEXITED | WSTOPPED | WNOWAIT | WNOHANG | __WALL) == 0 && info.si_pid != 0;
}

static int decode_delivery(int id, int number, struct os_event *event)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GETSIGINFO, id, NULL, &info) != 0) {
        if (errno == ESRCH)
            return 0;
        info.si_signo = number; /* no reason is known; a bare signal is better than none */
    }
    /* Killed, and on to its last stop; or a program has sent itself a siginfo that looks so. */
    if (is_about_event(&info, PTRACE_EVENT_EXIT) && has_another_status(id))
        return 0;
    event->kind = kind_of_signal(&info);
    event->watched = event->kind == OS_EVENT_WATCHED || (event->kind == OS_EVENT_STEPPED && info.si_code == TRAP_TRACE);
    event->no_delivery = event->kind == OS_EVENT_STEPPED && info.si_code == CODE_NOTIFIED;
    decode_signal(&info, &event->signal);
    return 1;
}

/* PTRACE_EVENT_STOP, of seized threads only: a trap (after PTRACE_INTERRUPT, at the start of a new thread, when SIGCONT has
 * ended a group-stop that we listen to), or the group-stop itself, which is told from it by the signal. */
static int decode_event_stop(int number, struct os_event *event)
{
    if (number == SIGTRAP) {
        event->kind = OS_EVENT_INTERRUPTED;
        return 1;
    }
    event->kind = OS_EVENT_GROUP_STOP;
    event->signal.number = number;
    return 1;
}

/* What a filter has given with its stop. Linux 5.3 tells that together with what stop it is, in one call. */
static bool is_told_at_filter(int id, unsigned long *message)
{
    struct __ptrace_syscall_info info;

    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GET_SYSCALL_INFO, id, in_pointer(sizeof info), &info) < 0 ||
        info.op != PTRACE_SYSCALL_INFO_SECCOMP)
        return false;
    *message = info.seccomp.ret_data;
    return true;
}

static int decode_ptrace_event(int id, int what, struct os_event *event)
{
    unsigned long message = 0;
    siginfo_t info;

    if (what == PTRACE_EVENT_SECCOMP && is_told_at_filter(id, &message)) {
        event->kind = OS_EVENT_SECCOMP;
        event->foreign_filter = message != REIN_FILTER_DATA;
        return 1;
    }
    if (ptrace(PTRACE_GETEVENTMSG, id, NULL, &message) != 0)
        return 0; /* ESRCH, the one way to fail here */
    /* Is that this event's message, or, the thread having been killed, that of its last stop already? */
    if (what != PTRACE_EVENT_EXIT && (ptrace(PTRACE_GETSIGINFO, id, NULL, &info) != 0 || !is_about_event(&info, what)))
        return 0;
    switch (what) {
    case PTRACE_EVENT_CLONE:
        event->kind = OS_EVENT_CLONE;
        event->child = (int)message;
        return 1;
    case PTRACE_EVENT_FORK:
        event->kind = OS_EVENT_FORK;
        event->child = (int)message;
        return 1;
    case PTRACE_EVENT_VFORK:
        event->kind = OS_EVENT_VFORK;
        event->child = (int)message;
        return 1;
    case PTRACE_EVENT_VFORK_DONE:
        event->kind = OS_EVENT_VFORK_DONE;
        event->child = (int)message;
        return 1;
    case PTRACE_EVENT_EXEC:
        event->kind = OS_EVENT_EXEC;
        event->former_id = (int)message;
        return 1;
    case PTRACE_EVENT_SECCOMP:
        event->kind = OS_EVENT_SECCOMP;
        event->foreign_filter = message != REIN_FILTER_DATA;
        return 1;
    case PTRACE_EVENT_EXIT:
        event->kind = OS_EVENT_EXITING;
        decode_end((int)message, &event->exit);
        return 1;
    default: /* of no option that we set; it is held, and goes on with a plain resume */
        event->kind = OS_EVENT_INTERRUPTED;
        return 1;
    }
}

/* A SIGKILL can end the stop between waitpid and the question what it was about. The question then fails with ESRCH; or,
 * when the thread is in its last stop by now (PTRACE_EVENT_EXIT), it is answered about that one. The stop is over, nothing
 * needs to be resumed, and nobody can look at it any more; so it is passed over, and the thread's next status
 * (EXITING if it has not been through that yet, then EXITED) is what happened. What is lost with it: the child of a
 * CLONE, FORK or VFORK, which is a tracee of ours already and shows by its own first stop, and the former id of an EXEC.
 * tests/live/os_decode.c does it. */
int linux_decode(int id, int status, struct os_event *event)
{
    *event = (struct os_event){.kind = OS_EVENT_NONE, .id = id};
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        event->kind = OS_EVENT_EXITED;
        decode_end(status, &event->exit);
        return 1;
    }
    if (!WIFSTOPPED(status)) /* continued: waited for by nobody */
        return 0;

    int what = status >> 16;
    int number = WSTOPSIG(status);

    if (what == PTRACE_EVENT_STOP)
        return decode_event_stop(number, event);
    if (what != 0)
        return decode_ptrace_event(id, what, event);
    if (number == SYSTEM_CALL_STOP) {
        event->kind = OS_EVENT_SYSCALL;
        return 1;
    }
    return decode_delivery(id, number, event);
}
