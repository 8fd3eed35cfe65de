/* The few things that demonstrations have to know of the processor. */
#ifndef REIN_NOTES_MACHINE_H
#define REIN_NOTES_MACHINE_H

#include <elf.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "demo.h"

#if defined(__x86_64__)
#define BREAK "int3" /* the instruction */
#define BREAK_BYTES                                                                                                    \
    {                                                                                                                  \
        0xcc                                                                                                           \
    }
#define PC rip /* in struct user_regs_struct */
#elif defined(__i386__)
#define BREAK "int3"
#define BREAK_BYTES                                                                                                    \
    {                                                                                                                  \
        0xcc                                                                                                           \
    }
#define PC eip
#elif defined(__aarch64__)
#define BREAK "brk #0"
#define BREAK_BYTES                                                                                                    \
    {                                                                                                                  \
        0x00, 0x00, 0x20, 0xd4                                                                                         \
    }
#define PC pc
#else
#error "notes/machine.h: what is this processor's breakpoint instruction?"
#endif

/* Executes a breakpoint instruction. */
static inline void execute_break(void)
{
    __asm__ volatile(BREAK);
}

static inline struct user_regs_struct registers_of(struct demo *d, pid_t id)
{
    struct user_regs_struct registers;
    struct iovec block = {&registers, sizeof registers};
    TRY(trace(PTRACE_GETREGSET, id, NT_PRSTATUS, &block));
    return registers;
}

static inline void set_registers(struct demo *d, pid_t id, struct user_regs_struct registers)
{
    struct iovec block = {&registers, sizeof registers};
    TRY(trace(PTRACE_SETREGSET, id, NT_PRSTATUS, &block));
}

#endif
