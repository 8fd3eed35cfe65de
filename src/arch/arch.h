/* What an architecture must offer: its registers by name, its breakpoint instruction, and what the engine has to know
 * of an instruction to step it exactly. One constant struct per architecture; nothing here calls the system.
 *
 * Registers travel as the kernel's own block (NT_PRSTATUS of PTRACE_GETREGSET), so that what a set of one register does
 * not mean to change goes back bit for bit. */
#ifndef REIN_ARCH_ARCH_H
#define REIN_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCH_REGISTERS_MAX 512 /* bytes; amd64 needs 216, arm64 272 */
#define ARCH_TRAP_MAX 4        /* bytes of the longest breakpoint instruction */
#define ARCH_INSTRUCTION_MAX 16
#define ARCH_WATCH_SLOTS 4 /* debug registers at most that watch something; arm64 will need 32 */
#define ARCH_WATCH_WORDS 8 /* of what the kernel takes to set them all; arm64 will need more */

struct arch_registers {
    uint64_t bytes[ARCH_REGISTERS_MAX / 8];
    size_t size; /* as the kernel gave it */
};

/* What stepping an instruction needs to know of it. */
enum arch_instruction {
    ARCH_INSTRUCTION_PLAIN = 0,
    ARCH_INSTRUCTION_SYSCALL,      /* enters the kernel and may block: step it to the entry of the call */
    ARCH_INSTRUCTION_REPEATED,     /* a step is one repetition: the pc stays until the last one */
    ARCH_INSTRUCTION_PUSHES_FLAGS, /* the trap flag of a single-step shows in what it pushes */
    ARCH_INSTRUCTION_POPS_FLAGS,   /* sets the program's own trap flag, perhaps */
    ARCH_INSTRUCTION_UNKNOWN,      /* not decodable: treat as plain */
};

/* What one debug register watches. The order of the kinds is rein_watch_kind's. */
enum arch_watch_kind { ARCH_WATCH_EXECUTE, ARCH_WATCH_WRITE, ARCH_WATCH_READ_WRITE, ARCH_WATCH_KINDS };
struct arch_watch {
    uint64_t address;
    unsigned size; /* bytes; what split_watch makes of a range */
    enum arch_watch_kind kind;
};

struct arch {
    const char *name;
    int register_count;
    int pc_index, sp_index, link_index; /* link_index is -1 where there is none */
    const char *const *register_names;

    unsigned char trap[ARCH_TRAP_MAX]; /* the breakpoint instruction */
    size_t trap_size;
    size_t trap_pc_offset; /* how far the pc is behind the breakpoint's address after it: x86 1, arm64 0 */

    uint64_t (*get)(const struct arch_registers *registers, int index);
    /* Setting the pc also keeps the kernel from restarting an interrupted system call there. */
    void (*set)(struct arch_registers *registers, int index, uint64_t value);

    /* code: up to ARCH_INSTRUCTION_MAX bytes from the instruction's start. length (may be NULL) gets its length. */
    enum arch_instruction (*classify)(const unsigned char *code, size_t size, size_t *length);
    /* After a single-step of an instruction that pushes flags: the address of the pushed word, and the bit that the
     * step has put there. */
    uint64_t (*pushed_flags)(const struct arch_registers *registers, uint64_t *step_bit);
    /* Does the program use the single-step flag itself? Asked before the step. */
    bool (*uses_step_flag)(const struct arch_registers *registers);
    void (*clear_step_flag)(struct arch_registers *registers);

    /* Debug registers: how many there are in each of two pools, and which pool a kind is taken from (amd64 has one for all,
     * arm64 one for instructions and one for data). */
    unsigned watch_slots[2];
    unsigned char watch_pool[ARCH_WATCH_KINDS];
    /* Cuts a range into what single registers can watch, exactly: how many that takes; those for which there is room are
     * written. 0: the range cannot be watched so. */
    size_t (*split_watch)(uint64_t address, uint64_t size, enum arch_watch_kind kind, struct arch_watch *pieces,
                          size_t room);
    /* In the kernel's form; the Nth of the watches takes slot N of its pool. */
    void (*encode_watches)(const struct arch_watch *watches, size_t count, uint64_t words[ARCH_WATCH_WORDS]);
    /* The instruction at the pc is executed though an execute watchpoint is there: it has been hit. */
    void (*pass_watch)(struct arch_registers *registers);
};

extern const struct arch arch_amd64;

#endif
