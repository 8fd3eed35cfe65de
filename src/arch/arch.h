/* What an architecture must offer: its registers by name, its breakpoint instruction, and what the engine has to know
 * of an instruction to step it exactly. One constant struct per architecture; nothing here calls the system.
 *
 * A machine may run programs of several (amd64 those of i386, too). Which one a program is of is told by its process, and
 * changes with an exec; which one a thread's registers are of is told by these: a program can switch.
 *
 * Registers travel as the kernel's own blocks (those of PTRACE_GETREGSET), so that what a set of one register does not
 * mean to change goes back bit for bit. The general ones, which each stop needs, have a fixed place to be in; the others
 * come in blocks of whatever size the kernel has. */
#ifndef REIN_ARCH_ARCH_H
#define REIN_ARCH_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rein/rein.h"

#define ARCH_REGISTERS_MAX 512 /* bytes; amd64 needs 216, arm64 272 */
#define ARCH_TRAP_MAX 4        /* bytes of the longest breakpoint instruction */
#define ARCH_INSTRUCTION_MAX 16
#define ARCH_PARTS_MAX 19     /* of a block; amd64's highest state component is 18 */
#define ARCH_SYSCALL_MAX 4    /* bytes of the instruction that makes a system call */
#define ARCH_WATCH_SLOTS 16   /* debug registers at most that are used to watch something; amd64 has 4 */
#define ARCH_WATCH_WORDS 32   /* of what the kernel takes to set them all */
#define ARCH_SEQUENCE_MAX 64  /* bytes of a sequence that is stepped as a whole */
#define ARCH_DISPLACED_MAX 20 /* bytes of a moved instruction, with its jump back */
#define ARCH_ENDS_MAX 4       /* where one may end */

struct arch;

struct arch_registers {
    const struct arch *arch; /* whose they are: that of the code that the thread is in */
    uint64_t bytes[ARCH_REGISTERS_MAX / 8];
    size_t size; /* as the kernel gave it */
};

/* The blocks that registers come in, of all architectures; an operating system has them or not. */
enum arch_set {
    ARCH_SET_GENERAL, /* struct arch_registers */
    ARCH_SET_X86_XSTATE,
    ARCH_SET_X86_SHADOW_STACK,
    ARCH_SET_ARM64_FPSIMD,
    ARCH_SET_ARM64_TLS,
    ARCH_SET_ARM64_SVE, /* of the streaming mode, when the thread is in that */
    ARCH_SET_ARM64_ZA,
    ARCH_SET_ARM64_ZT,
    ARCH_SET_ARM64_PAUTH,
    ARCH_SET_ARM64_TAGS,
    ARCH_SET_ARM64_GUARDED_STACK,
    ARCH_SET_COUNT
};

struct arch_part {
    uint32_t offset, size; /* size 0: it is not there */
};
struct arch_block { /* any set but the general one */
    unsigned char *bytes;
    size_t room;                            /* of bytes: a write may make more of them, if the set has another form */
    size_t size;                            /* as the kernel gave it; 0: this thread has no such set */
    struct arch_part parts[ARCH_PARTS_MAX]; /* by lay_out; what they are is the architecture's */
};

struct arch_register {
    const char *name;
    const char *alias; /* another name by which it is found; NULL: none */
    uint32_t bytes;
    int16_t dwarf; /* -1: none */
    uint16_t lanes, row;
    uint8_t type, group;  /* enum rein_register_type, enum rein_register_group */
    uint8_t set;          /* enum arch_set */
    uint8_t kind, number; /* where it is in its set: the architecture's own */
    uint8_t flag_count;
    bool read_only;
    const struct rein_register_flag *flags;
};

/* What stepping an instruction needs to know of it. */
enum arch_instruction {
    ARCH_INSTRUCTION_PLAIN = 0,
    ARCH_INSTRUCTION_SYSCALL,         /* enters the kernel and may block: step it to the entry of the call */
    ARCH_INSTRUCTION_REPEATED,        /* a step is one repetition: the pc stays until the last one */
    ARCH_INSTRUCTION_PUSHES_FLAGS,    /* the trap flag of a single-step shows in what it pushes */
    ARCH_INSTRUCTION_POPS_FLAGS,      /* sets the program's own trap flag, perhaps */
    ARCH_INSTRUCTION_BEGINS_SEQUENCE, /* perhaps, of one that never succeeds if it is interrupted: see sequence_ends */
    ARCH_INSTRUCTION_UNKNOWN,         /* not decodable: treat as plain */
};

/* An instruction made ready to be executed by us in place of the thread, on its registers; what is in it is the
 * architecture's own. */
struct arch_plan {
    uint64_t words[6];
};
enum arch_plan_kind {
    ARCH_PLAN_NONE,      /* it is left to the thread */
    ARCH_PLAN_REGISTERS, /* it touches nothing else */
    ARCH_PLAN_MEMORY,    /* and memory */
    ARCH_PLAN_RETURN_ADDRESS, /* which is a return address: a thread that keeps a second stack of these has to do it itself */
};
/* Does the processor check what a branch through a register goes to (arm64: BTI)? */
enum arch_branch_checks {
    ARCH_BRANCHES_UNKNOWN, /* it could not be found out */
    ARCH_BRANCHES_NEVER,   /* nowhere: it does not know such a thing */
    ARCH_BRANCHES_FREE,    /* not there */
    ARCH_BRANCHES_CHECKED
};
/* Memory as the thread itself may access it: all of the bytes, in one page, or none. */
struct arch_memory {
    bool (*read)(void *arg, uint64_t address, void *buffer, size_t size);
    bool (*write)(void *arg, uint64_t address, const void *data, size_t size);
    void *arg;
    /* Of the instruction's own address. */
    enum arch_branch_checks (*branch_checks)(void *arg, uint64_t address);
};

/* A system call: what the program asks of the kernel. */
struct arch_call {
    uint64_t number, arguments[6];
};

/* A function that a thread is to call, and where that leaves it. */
struct arch_function {
    uint64_t pc;
    const struct rein_call_argument *arguments;
    size_t count;
    uint64_t stack; /* what is below it may be overwritten */
    /* set_function's: what is to be in memory from the new stack pointer on; room for count + 2 words of 64 bits */
    void *memory;
    size_t size;
    /* set_function's: the stack pointer when it has returned, which is more if functions can take their arguments off the stack */
    uint64_t sp_behind, sp_behind_most;
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
    const struct arch_register *registers; /* the general ones first */
    int register_count;                    /* of the general ones */
    int register_total;
    int pc_index, sp_index, link_index; /* link_index is -1 where there is none */
    int veiled_index; /* at a system call's entry and exit the kernel shows another value in this one, and drops what is written
                         to it; -1: in none */

    unsigned char trap[ARCH_TRAP_MAX]; /* the breakpoint instruction */
    size_t trap_size;
    size_t trap_pc_offset; /* how far the pc is behind the breakpoint's address after it: x86 1, arm64 0 */
    uint64_t alignment;    /* an instruction's address is a multiple of it */

    /* The general ones. A value that is wider than its register is cut. */
    uint64_t (*get)(const struct arch_registers *registers, int index);
    /* Setting the pc also keeps the kernel from restarting an interrupted system call there. */
    void (*set)(struct arch_registers *registers, int index, uint64_t value);
    /* The same code is somewhere else: nothing but the pc changes. */
    void (*move_pc)(struct arch_registers *registers, uint64_t pc);

    /* The others. Finds out what is where in a block that the kernel has just filled. */
    void (*lay_out)(struct arch_block *block, enum arch_set set);
    /* The register's width; 0: there is none in this block, and it can be neither read nor written. */
    size_t (*width)(const struct arch_block *block, int index);
    void (*read)(const struct arch_block *block, int index, void *value);
    /* Changes nothing of the block that is not that register. */
    void (*write)(struct arch_block *block, int index, const void *value);

    /* code: up to ARCH_INSTRUCTION_MAX bytes from the instruction's start. length (may be NULL) gets its length. */
    enum arch_instruction (*classify)(const unsigned char *code, size_t size, size_t *length);
    /* An instruction that is ARCH_INSTRUCTION_BEGINS_SEQUENCE, and what follows it: where the sequence may end, which is to be run
     * to one of these places in one go. may_wait: it may also go round in it as long as another thread lets it wait. 0:
     * it is none, and the instruction can be stepped by itself. NULL: there are none here. */
    size_t (*sequence_ends)(uint64_t pc, const unsigned char *code, size_t size, bool may_wait,
                            uint64_t ends[ARCH_ENDS_MAX]);
    /* Both of the code in front of an address: its last instruction may be the store with which a sequence ends. Where that
     * sequence begins; 0: it is no such store, or the beginning is not in the code. And of a thread that has just
     * executed it: 1, it has stored; 0: it has failed; -1: it is no such store. Of one that is in front of it or
     * behind: where it stores. */
    uint64_t (*sequence_start)(uint64_t address, const unsigned char *code, size_t size);
    int (*sequence_stored)(const struct arch_registers *registers, const unsigned char *code, size_t size,
                           struct arch_watch *where);
    /* Makes the plan, if the instruction is one that can be executed in place of the thread. NULL: none can. */
    enum arch_plan_kind (*prepare)(const unsigned char *code, size_t size, struct arch_plan *plan);
    /* Executes the instruction at the pc, of which the plan is: afterwards all is as if the thread had. false: nothing has
     * changed, and it has to. */
    bool (*emulate)(const struct arch_plan *plan, struct arch_registers *registers, const struct arch_memory *memory);
    /* May the thread be sent to such a copy? Not in a call, nor with a trap of the program's own to come. */
    bool (*can_be_sent)(const struct arch_registers *registers);
    /* A copy of an instruction that does at `to` what the instruction does at `from`, followed by a jump to what is behind that:
     * how long it is with that; *copied: without. 0: the instruction cannot be moved (there). NULL: none can. */
    size_t (*displace)(const unsigned char *code, size_t size, uint64_t from, uint64_t to,
                       unsigned char copy[ARCH_DISPLACED_MAX], size_t *copied);
    unsigned displaced_size; /* of the longest */
    /* After a single-step of an instruction that pushes flags: the address of the pushed word, and the bit that the
     * step has put there, which is one of the lowest 16. */
    uint64_t (*pushed_flags)(const struct arch_registers *registers, uint64_t *step_bit);
    /* Does the program use the single-step flag itself? Asked before the step. */
    bool (*uses_step_flag)(const struct arch_registers *registers);
    void (*clear_step_flag)(struct arch_registers *registers);

    /* Without the bits that the processor does not look at; NULL: it looks at all. */
    uint64_t (*clean_address)(uint64_t address);

    unsigned char syscall[ARCH_SYSCALL_MAX]; /* the instruction that makes a system call */
    size_t syscall_size;
    /* The thread goes on with making that call by the instruction at pc, whatever call it may be in now. */
    void (*set_call)(struct arch_registers *registers, uint64_t pc, const struct arch_call *call);
    /* Of a thread that is at the entry of a call, or was interrupted in it. */
    void (*get_call)(const struct arch_registers *registers, struct arch_call *call);
    /* At the entry of a call: the kernel is not to make it. */
    void (*drop_call)(struct arch_registers *registers);
    /* Interrupted in a call, or at the entry of one: the thread goes back to the instruction, and makes it again by
     * itself. */
    void (*remake_call)(struct arch_registers *registers);
    int64_t (*call_result)(const struct arch_registers *registers); /* at the end of a call */
    void (*set_result)(struct arch_registers *registers, int64_t result);
    /* Interrupted in a call: it is not made again, and has that result. */
    void (*end_call)(struct arch_registers *registers, int64_t result);
    /* Both are NULL, but where the kernel has set an interrupted thread back to the instruction of its call by the time that it
     * stops, and then knows alone if it is in that call. A thread that may be, and has passed the point where the kernel sees to
     * it: does it go on by restart_syscall(2)? And one that stands at the instruction, made one that ends that call,
     * interrupted: the kernel will set it back. */
    bool (*goes_on_by_restart)(const struct arch_registers *registers);
    void (*interrupt_call)(struct arch_registers *registers, bool by_restart);

    /* Registers that a system call does not leave as they are, though the program may count on them where it is made to
     * make one: in the set call_set, if the thread's block says so. GENERAL: there are none. */
    enum arch_set call_set;
    bool (*call_changes)(const struct arch_block *block);

    /* Functions, called by the platform's convention. The thread goes on with the function's first instruction; vectors is its
     * block of floating-point registers. Only REIN_CALL_INTEGER64 has more bits than the registers. false: these are not such as
     * programs of this architecture have. */
    bool (*set_function)(struct arch_registers *registers, struct arch_block *vectors, struct arch_function *function);
    void (*function_result)(const struct arch_registers *registers, const struct arch_block *vectors,
                            struct rein_call_result *result);
    enum arch_set function_set; /* which block vectors is */
    /* What it returns to: no program can have memory there, and the fault leaves the pc there. */
    uint64_t return_address;
    enum arch_set
        return_stack_set; /* who has this one, with a first word that is not 0, keeps return addresses in a second
                                       place; GENERAL: nobody does */
    size_t red_zone;      /* bytes below the stack pointer that are in use, too */

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
    /* The instruction at the pc is executed though an execute watchpoint is there: it has been hit. NULL: the processor knows no
     * such thing, and the register must be off. */
    void (*pass_watch)(struct arch_registers *registers);
    bool watch_fires_before; /* an access: the register must be off for it to be made */
};

static inline uint64_t arch_pc(const struct arch_registers *registers)
{
    return registers->arch->get(registers, registers->arch->pc_index);
}

static inline uint64_t arch_sp(const struct arch_registers *registers)
{
    return registers->arch->get(registers, registers->arch->sp_index);
}

extern const struct arch arch_amd64, arch_arm64, arch_i386;

#endif
