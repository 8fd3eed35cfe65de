/* What the live tests say of registers and instructions, by architecture. */
#ifndef REIN_TESTS_MACHINE_H
#define REIN_TESTS_MACHINE_H

#include <sys/syscall.h>

#if defined(__aarch64__)
#define MACHINE "arm64"
#define AUDIT_MACHINE AUDIT_ARCH_AARCH64
#define STACK_POINTER "sp"
#define RESULT_REGISTER "x0"
#define FIRST_ARGUMENT "x0"
#define SECOND_ARGUMENT "x1"
#define KEPT_REGISTER "x19"       /* that a function leaves as it was */
#define SCRATCH_REGISTER "x11"    /* that it does not */
#define NUMBER_REGISTER "x8"      /* of a system call */
#define CALL_REGISTER "syscallno" /* of the one that the thread is in */
#define VECTOR_REGISTER "v3"
#define TRAP_CODE TRAP_BRKPT
#define DIVISION_BY_ZERO SIGILL /* of the program faults, which has another there: divisions give a result */
#define HOT_SIZE 0x20           /* bytes of the function hot */
#define WATCH_TOO_LONG 33       /* from an odd address on it takes one register more than there are */
#define WATCH_OF_THREE 1        /* registers that three bytes take */
/* Of a perf event's, of 4: a tracer's resuming ends the step by which the kernel gets past one. */
#define OWN_WATCH_HITS 1
#define PC_INDEX 32
/* Of its first argument, by the registers: in a call of that number the kernel has put the result there. */
#define FIRST_IS_HIDDEN(number) ((number) == -1)
#define I386_CALLS 0 /* in the log of the program syscalls */
/* What becomes of a poll with a limit that a stop interrupts: how that ends, and what is made then. */
#define POLL_INTERRUPTED 514
#define POLL_GOES_ON SYS_ppoll
#define ARGUMENTS_AND_OTHERS "x1", "x2", "x3", "x4", "x5", "x9", "x19", "x20", "x29"
/* How far a stack pointer is below a multiple of 16 at a function's first instruction. */
enum { STACK_AT_ENTRY = 16 };
enum { TRAP_BYTE = 0x00, TRAP_SIZE = 4, SYSCALL_INSTRUCTION_SIZE = 4, TRAP_PC_OFFSET = 0 };
#else /* a thread of 32-bit code has those registers, too, by these names: see register_of */
#if defined(__i386__)
#define MACHINE "i386"
#define AUDIT_MACHINE AUDIT_ARCH_I386
#define ARGUMENTS_AND_OTHERS "ebx", "ecx", "edx", "esi", "edi", "ebp"
#else
#define MACHINE "amd64"
#define AUDIT_MACHINE AUDIT_ARCH_X86_64
#define ARGUMENTS_AND_OTHERS "rdi", "rsi", "rdx", "r10", "r8", "r9", "rbx", "rcx", "rbp"
#endif
#define STACK_POINTER "rsp"
#define RESULT_REGISTER "rax"
#define FIRST_ARGUMENT "rdi"
#define SECOND_ARGUMENT "rsi"
#define KEPT_REGISTER "rbx"
#define SCRATCH_REGISTER "r11"
#define NUMBER_REGISTER "rax"
#define CALL_REGISTER "orig_rax"
#define VECTOR_REGISTER "xmm3"
#define TRAP_CODE SI_KERNEL
#define DIVISION_BY_ZERO SIGFPE
#define HOT_SIZE 0x10
#define WATCH_TOO_LONG 30
#define WATCH_OF_THREE 2
#define OWN_WATCH_HITS 4
#define PC_INDEX 16
#define FIRST_IS_HIDDEN(number) 0
#define I386_CALLS 3
#define POLL_INTERRUPTED 516
#define POLL_GOES_ON SYS_restart_syscall
enum { STACK_AT_ENTRY = sizeof(void *) }; /* where there is the return address */
enum { TRAP_BYTE = 0xcc, TRAP_SIZE = 1, SYSCALL_INSTRUCTION_SIZE = 2, TRAP_PC_OFFSET = 1 };
#endif

/* Calls that newer architectures have in another form only. */
#ifndef SYS_pause
#define SYS_pause SYS_ppoll /* with nothing to wait for */
#define SYS_poll SYS_ppoll
#define SYS_fork SYS_clone
#define SYS_vfork SYS_clone3
#endif

#endif
