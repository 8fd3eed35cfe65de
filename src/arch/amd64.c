/* amd64: its registers in the kernel's NT_PRSTATUS block, int3, and what stepping has to know of an instruction, which
 * Zydis decodes. */
#include "arch/arch.h"

#include <Zydis/Zydis.h>

#define EFLAGS_TRAP 0x100u /* TF: trap after each instruction */
#define INT_SYSCALL 0x80u  /* the old way into the kernel, open to 64-bit programs too */

/* The contract's order (R3): the seed's 24, then three that it lacked. X(name, offset in the block): the offsets are
 * those of struct user_regs_struct, spelt out because arch/ includes nothing of an operating system;
 * tests/unit/arch_amd64.c compares them with <sys/user.h>. */
#define REGISTERS(X)                                                                                                   \
    X(rax, 80)                                                                                                         \
    X(rbx, 40)                                                                                                         \
    X(rcx, 88)                                                                                                         \
    X(rdx, 96)                                                                                                         \
    X(rsi, 104)                                                                                                        \
    X(rdi, 112)                                                                                                        \
    X(rbp, 32)                                                                                                         \
    X(rsp, 152)                                                                                                        \
    X(r8, 72)                                                                                                          \
    X(r9, 64)                                                                                                          \
    X(r10, 56)                                                                                                         \
    X(r11, 48)                                                                                                         \
    X(r12, 24)                                                                                                         \
    X(r13, 16)                                                                                                         \
    X(r14, 8)                                                                                                          \
    X(r15, 0)                                                                                                          \
    X(rip, 128)                                                                                                        \
    X(eflags, 144)                                                                                                     \
    X(cs, 136)                                                                                                         \
    X(ss, 160)                                                                                                         \
    X(ds, 184)                                                                                                         \
    X(es, 192)                                                                                                         \
    X(fs, 200)                                                                                                         \
    X(gs, 208)                                                                                                         \
    X(orig_rax, 120)                                                                                                   \
    X(fs_base, 168)                                                                                                    \
    X(gs_base, 176)

enum amd64_register {
#define ENUMERATOR(name, offset) AMD64_##name,
    REGISTERS(ENUMERATOR)
#undef ENUMERATOR
        AMD64_REGISTER_COUNT
};

static const char *const names[] = {
#define NAME(name, offset) #name,
    REGISTERS(NAME)
#undef NAME
};

static const unsigned char offsets[] = {
#define OFFSET(name, offset) (offset),
    REGISTERS(OFFSET)
#undef OFFSET
};

static uint64_t get(const struct arch_registers *registers, int index)
{
    return registers->bytes[offsets[index] / 8];
}

static void put(struct arch_registers *registers, int index, uint64_t value)
{
    registers->bytes[offsets[index] / 8] = value;
}

/* Is the thread in a system call that was interrupted, with the kernel about to make it again? rax then holds
 * -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND or -ERESTART_RESTARTBLOCK (-512 to -516), numbers that no program ever
 * sees, and orig_rax the number of the call. */
static bool call_restarts(const struct arch_registers *registers)
{
    int64_t result = (int64_t)get(registers, AMD64_rax);
    return (int64_t)get(registers, AMD64_orig_rax) >= 0 && result <= -512 && result >= -516;
}

static void set(struct arch_registers *registers, int index, uint64_t value)
{
    /* To make the call again, the kernel sets the pc back over the two bytes of the syscall instruction when the thread
     * continues. It would do so with a new pc too, and the thread would run on in front of where it was sent.
     * orig_rax == -1 says that there is no call (gdb does the same). */
    if (index == AMD64_rip && value != get(registers, index) && call_restarts(registers))
        put(registers, AMD64_orig_rax, UINT64_MAX);
    put(registers, index, value);
}

static bool decode(const unsigned char *code, size_t size, ZydisDecodedInstruction *instruction)
{
    ZydisDecoder decoder;
    return ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) &&
           ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code, size, instruction));
}

static enum arch_instruction classify_decoded(const ZydisDecodedInstruction *instruction)
{
    switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSENTER:
        return ARCH_INSTRUCTION_SYSCALL;
    case ZYDIS_MNEMONIC_INT:
        return instruction->raw.imm[0].value.u == INT_SYSCALL ? ARCH_INSTRUCTION_SYSCALL : ARCH_INSTRUCTION_PLAIN;
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        return ARCH_INSTRUCTION_PUSHES_FLAGS;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        return ARCH_INSTRUCTION_POPS_FLAGS;
    default:
        /* Zydis sets these only where the prefix makes the instruction repeat ("rep ret" does not). */
        if (instruction->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
            return ARCH_INSTRUCTION_REPEATED;
        return ARCH_INSTRUCTION_PLAIN;
    }
}

/* mov to ss (8e /2): the processor holds back the trap of a single-step until the instruction after it is done. */
static bool delays_trap(const ZydisDecodedInstruction *instruction)
{
    return instruction->mnemonic == ZYDIS_MNEMONIC_MOV && instruction->opcode == 0x8e &&
           instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && instruction->raw.modrm.reg == 2;
}

static enum arch_instruction classify(const unsigned char *code, size_t size, size_t *length)
{
    ZydisDecodedInstruction instruction;
    if (!decode(code, size, &instruction)) {
        if (length)
            *length = 0;
        return ARCH_INSTRUCTION_UNKNOWN;
    }
    if (length)
        *length = instruction.length;
    if (!delays_trap(&instruction))
        return classify_decoded(&instruction);

    /* A step of it executes two, so what counts is the second. A second mov to ss holds nothing back. */
    ZydisDecodedInstruction second;
    if (!decode(code + instruction.length, size - instruction.length, &second))
        return ARCH_INSTRUCTION_PLAIN;
    return classify_decoded(&second);
}

/* Whatever the width of what was pushed, the flag is bit 8 of its lowest 16. */
static uint64_t pushed_flags(const struct arch_registers *registers, uint64_t *step_bit)
{
    *step_bit = EFLAGS_TRAP;
    return get(registers, AMD64_rsp);
}

/* The kernel does not show the flag that it sets itself for a single-step: what is seen here is the program's own. */
static bool uses_step_flag(const struct arch_registers *registers)
{
    return get(registers, AMD64_eflags) & EFLAGS_TRAP;
}

static void clear_step_flag(struct arch_registers *registers)
{
    put(registers, AMD64_eflags, get(registers, AMD64_eflags) & ~(uint64_t)EFLAGS_TRAP);
}

/* orig_rax is the number of the call that the thread is in, and -1 in none; what the kernel takes the number from at the
 * instruction is rax. */
static const int argument_registers[] = {AMD64_rdi, AMD64_rsi, AMD64_rdx, AMD64_r10, AMD64_r8, AMD64_r9};

static void set_call(struct arch_registers *registers, uint64_t pc, const struct arch_call *call)
{
    put(registers, AMD64_orig_rax, UINT64_MAX);
    put(registers, AMD64_rip, pc);
    put(registers, AMD64_rax, call->number);
    for (size_t i = 0; i < sizeof argument_registers / sizeof *argument_registers; i++)
        put(registers, argument_registers[i], call->arguments[i]);
    clear_step_flag(registers);
}

static void get_call(const struct arch_registers *registers, struct arch_call *call)
{
    call->number = get(registers, AMD64_orig_rax);
    for (size_t i = 0; i < sizeof argument_registers / sizeof *argument_registers; i++)
        call->arguments[i] = get(registers, argument_registers[i]);
}

static void drop_call(struct arch_registers *registers)
{
    put(registers, AMD64_orig_rax, UINT64_MAX);
}

/* What the kernel does, too. */
static void remake_call(struct arch_registers *registers)
{
    bool rest = (int64_t)get(registers, AMD64_rax) == -516; /* ERESTART_RESTARTBLOCK */
    put(registers, AMD64_rax, rest ? 219 /* restart_syscall */ : get(registers, AMD64_orig_rax));
    put(registers, AMD64_rip, get(registers, AMD64_rip) - 2);
    drop_call(registers);
}

static int64_t call_result(const struct arch_registers *registers)
{
    return (int64_t)get(registers, AMD64_rax);
}

const struct arch arch_amd64 = {
    .name = "amd64",
    .register_count = AMD64_REGISTER_COUNT,
    .pc_index = AMD64_rip,
    .sp_index = AMD64_rsp,
    .link_index = -1,
    .register_names = names,
    .trap = {0xcc}, /* int3 */
    .trap_size = 1,
    .trap_pc_offset = 1,
    .get = get,
    .set = set,
    .classify = classify,
    .pushed_flags = pushed_flags,
    .uses_step_flag = uses_step_flag,
    .clear_step_flag = clear_step_flag,
    .syscall = {0x0f, 0x05},
    .syscall_size = 2,
    .set_call = set_call,
    .get_call = get_call,
    .drop_call = drop_call,
    .remake_call = remake_call,
    .call_result = call_result,
};
