/* PTRACE_SEIZE, made so that it can be given up.
 *
 * The kernel takes signal->cred_guard_mutex for it, which a thread that calls exec holds until all other threads of its
 * process are gone (prepare_bprm_creds() in fs/exec.c). Of these, one that we trace is not gone before we have let it past
 * its last stop and waited for it. So a tracer that attaches to one thread while another calls exec waits for a mutex whose
 * owner waits for the tracer: gdb 13 and strace 6 hang there for good. The wait is interruptible, but by a signal that
 * is handled, after which the kernel makes the call again (ERESTARTNOINTR). Hence the handler of a timer looks where it has
 * come in: if that is the system call instruction below, it sets the pc behind it, and the result to EINTR. The timer
 * comes again and again, so that it does not matter if it came a moment before the instruction.
 *
 * A monitor process has signals of its own. A monitor in a thread of the host needs one that the host gives it
 * (interrupt_signal in rein_monitor_options); without it the call is made as ever, and can hang as ever.
 * tests/live/attach.c provokes it (P8_M12_exec_in_the_middle). */
#include "os/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include "os/linux/raw.h"

#if defined(__x86_64__) && !defined(__ILP32__)

extern const char rein_seize_call[], rein_seize_after[];
long rein_seize(long request, long id, long address, long data);
__asm__(".pushsection .text\n"
        ".hidden rein_seize, rein_seize_call, rein_seize_after\n"
        ".globl rein_seize, rein_seize_call, rein_seize_after\n"
        ".type rein_seize, @function\n"
        "rein_seize:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    movq %rcx, %r10\n"
        "    movl $101, %eax\n" /* SYS_ptrace */
        "rein_seize_call:\n"
        "    syscall\n"
        "rein_seize_after:\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size rein_seize, . - rein_seize\n"
        ".popsection\n");
_Static_assert(SYS_ptrace == 101, "the number above");

#define CONTEXT_PC gregs[REG_RIP]
#define CONTEXT_RESULT gregs[REG_RAX]

#elif defined(__i386__)

extern const char rein_seize_call[], rein_seize_after[];
long rein_seize(long request, long id, long address, long data);
__asm__(".pushsection .text\n"
        ".hidden rein_seize, rein_seize_call, rein_seize_after\n"
        ".globl rein_seize, rein_seize_call, rein_seize_after\n"
        ".type rein_seize, @function\n"
        "rein_seize:\n"
        ".cfi_startproc\n"
        "    endbr32\n"
        "    pushl %ebx\n"
        ".cfi_adjust_cfa_offset 4\n"
        ".cfi_rel_offset ebx, 0\n"
        "    pushl %esi\n"
        ".cfi_adjust_cfa_offset 4\n"
        ".cfi_rel_offset esi, 0\n"
        "    movl 12(%esp), %ebx\n"
        "    movl 16(%esp), %ecx\n"
        "    movl 20(%esp), %edx\n"
        "    movl 24(%esp), %esi\n"
        "    movl $26, %eax\n" /* SYS_ptrace */
        "rein_seize_call:\n"
        "    int $0x80\n"
        "rein_seize_after:\n"
        "    popl %esi\n"
        ".cfi_adjust_cfa_offset -4\n"
        ".cfi_restore esi\n"
        "    popl %ebx\n"
        ".cfi_adjust_cfa_offset -4\n"
        ".cfi_restore ebx\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size rein_seize, . - rein_seize\n"
        ".popsection\n");
_Static_assert(SYS_ptrace == 26, "the number above");

#define CONTEXT_PC gregs[REG_EIP]
#define CONTEXT_RESULT gregs[REG_EAX]

#elif defined(__aarch64__)

extern const char rein_seize_call[], rein_seize_after[];
long rein_seize(long request, long id, long address, long data);
__asm__(".pushsection .text\n"
        ".hidden rein_seize, rein_seize_call, rein_seize_after\n"
        ".globl rein_seize, rein_seize_call, rein_seize_after\n"
        ".type rein_seize, %function\n"
        "rein_seize:\n"
        ".cfi_startproc\n"
        "    hint #34\n"     /* bti c */
        "    mov x8, #117\n" /* SYS_ptrace */
        "rein_seize_call:\n"
        "    svc #0\n"
        "rein_seize_after:\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size rein_seize, . - rein_seize\n"
        ".popsection\n");
_Static_assert(SYS_ptrace == 117, "the number above");

#define CONTEXT_PC pc
#define CONTEXT_RESULT regs[0]

#else

static long rein_seize(long request, long id, long address, long data)
{
    return raw(SYS_ptrace, request, id, address, data);
}

#endif

/* In the handler: if the call is under way, it ends with EINTR. */
static void give_up(void *context)
{
#ifdef CONTEXT_PC
    ucontext_t *user = context;
    if ((uintptr_t)user->uc_mcontext.CONTEXT_PC != (uintptr_t)rein_seize_call)
        return;
    user->uc_mcontext.CONTEXT_PC = (__typeof__(user->uc_mcontext.CONTEXT_PC))(uintptr_t)rein_seize_after;
    user->uc_mcontext.CONTEXT_RESULT = (__typeof__(user->uc_mcontext.CONTEXT_RESULT))-EINTR;
#else
    (void)context;
#endif
}

/* ---- The timer ---- */

enum { LIMIT_MS = 10 };

static _Thread_local struct {
    enum rein_monitor_kind kind;
    int signal; /* 0: none */
    int timer;  /* of the kernel's */
    bool has_timer, runs;
} interrupter __attribute__((tls_model("initial-exec")));

static void on_timer(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    give_up(context);
}

void linux_seize_with(enum rein_monitor_kind kind, int signal)
{
    interrupter.kind = kind;
    if (!signal || interrupter.signal == signal)
        return;
    raw_signals set = RAW_SIGNAL(signal);
    linux_set_action(signal, on_timer);
    raw(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, NULL, sizeof set);
    interrupter.signal = signal;
    interrupter.has_timer = interrupter.runs = false;
}

static void set_timer(long ms)
{
    struct {
        struct raw_time interval, value;
    } every = {{0, ms * 1000000}, {0, ms * 1000000}};
    if (interrupter.has_timer)
        raw(SYS_timer_settime, interrupter.timer, 0, &every, NULL);
    interrupter.runs = ms != 0;
}

static void begin(void)
{
    if (!interrupter.signal || interrupter.runs)
        return;
    if (!interrupter.has_timer) {
        struct sigevent notice;
        memset(&notice, 0, sizeof notice);
        notice.sigev_notify = SIGEV_THREAD_ID;
        notice._sigev_un._tid = (int)raw(SYS_gettid);
        notice.sigev_signo = interrupter.signal;
        interrupter.has_timer = !raw(SYS_timer_create, CLOCK_MONOTONIC, &notice, &interrupter.timer);
    }
    set_timer(LIMIT_MS);
}

void linux_seize_end(void)
{
    if (interrupter.runs)
        set_timer(0);
}

/* A monitor process leaves the timer on until it sleeps, for where one thread is seized there are more. To a host's thread
 * it must not come outside. */
int linux_seize_call(int request, int id, unsigned long options)
{
    begin();
    int result = (int)rein_seize(request, id, 0, (long)options);
    if (interrupter.kind != REIN_MONITOR_PROCESS)
        linux_seize_end();
    return result;
}
