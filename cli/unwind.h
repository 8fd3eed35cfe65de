/* The call stack of a stopped thread: from its registers and its memory, the addresses that it will return to. */
#ifndef REIN_CLI_UNWIND_H
#define REIN_CLI_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

#include "modules.h"

enum { STACK_DEPTH = 64 }; /* if no other limit is asked for */

/* How a thread's memory is read. False if not all of it can be. */
struct unwind_memory {
    bool (*read)(void *arg, uint64_t address, void *data, size_t size);
    void *arg;
    const char *doubt; /* read may set it: why what was read may be wrong */
};

/* A thread's registers by their numbers in DWARF. */
enum { UNWIND_REGISTERS = 40 };
struct unwind_registers {
    const char *arch; /* as rein_registers_architecture */
    unsigned word;    /* 4 or 8 bytes */
    int fp, sp, link; /* numbers; link -1: there is none */
    uint64_t pc;
    uint64_t values[UNWIND_REGISTERS];
    bool known[UNWIND_REGISTERS];
};
/* False for an architecture that is not known here, or if they have no pc. Also on the monitor. */
bool unwind_registers_from(struct unwind_registers *registers, const rein_registers *snapshot);

struct frame {
    uint64_t pc;
    bool exact;   /* the thread is, or was interrupted, at pc; else pc is behind a call */
    bool guessed; /* it, or one below it, was found without unwind information, or in memory that is in doubt */
};

enum stack_end {
    STACK_OUTERMOST, /* the last one has no caller */
    STACK_LIMIT,     /* there may be more: so many were asked for */
    STACK_LOST,      /* the next one cannot be found: .why, and at what address */
};

struct stack {
    struct frame *frames; /* the innermost first */
    size_t count;
    const char *guess; /* why there are guessed ones; NULL: there are none */
    enum stack_end end;
    const char *why;
    uint64_t where;
};

/* Reads at most depth frames, whatever the memory holds. Give it back with stack_clear. */
void unwind(struct modules *modules, const struct unwind_registers *registers, const struct unwind_memory *memory,
            size_t depth, struct stack *stack);
void stack_clear(struct stack *stack);

#endif
