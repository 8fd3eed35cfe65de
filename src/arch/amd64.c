/* amd64: its registers in the kernel's NT_PRSTATUS block, int3, and what stepping has to know of an instruction, which
 * Zydis decodes. */
#include "arch/arch.h"

#include <Zydis/Zydis.h>

#define EFLAGS_TRAP 0x100u     /* TF: trap after each instruction */
#define EFLAGS_RESUME 0x10000u /* RF: no debug register fires for the next instruction */
#define INT_SYSCALL 0x80u      /* the old way into the kernel, open to 64-bit programs too */

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
    /* RF is about the instruction that the thread stood at. */
    if (index == AMD64_rip && value != get(registers, index))
        put(registers, AMD64_eflags, get(registers, AMD64_eflags) & ~(uint64_t)EFLAGS_RESUME);
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

/* ---- Debug registers: DR0 to DR3 hold addresses, DR7 says what of ---- */

enum { WATCH_SLOTS = 4, CONTROL_WORD = 4 };

/* One register watches 1, 2, 4 or 8 bytes at a multiple of that. */
static size_t split_watch(uint64_t address, uint64_t size, enum arch_watch_kind kind, struct arch_watch *pieces,
                          size_t room)
{
    size_t count = 0;
    if (kind == ARCH_WATCH_EXECUTE && size != 1)
        return 0;
    while (size) {
        unsigned piece = 8;
        while (piece > size || address % piece)
            piece /= 2;
        if (count < room)
            pieces[count] = (struct arch_watch){address, piece, kind};
        count++;
        address += piece;
        size -= piece;
        if (count > WATCH_SLOTS) { /* more than there can be: how many more is of no interest */
            count += size / 8;
            break;
        }
    }
    return count;
}

/* For slot N bit 2 N of DR7 switches it on; from bit 16 + 4 N there are two bits for the kind and two for the size. */
static void encode_watches(const struct arch_watch *watches, size_t count, uint64_t words[ARCH_WATCH_WORDS])
{
    static const uint64_t kinds[ARCH_WATCH_KINDS] = {
        [ARCH_WATCH_EXECUTE] = 0, [ARCH_WATCH_WRITE] = 1, [ARCH_WATCH_READ_WRITE] = 3};
    static const uint64_t sizes[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    for (size_t i = 0; i < ARCH_WATCH_WORDS; i++)
        words[i] = 0;
    for (size_t i = 0; i < count && i < WATCH_SLOTS; i++) {
        words[i] = watches[i].address;
        words[CONTROL_WORD] |= UINT64_C(1) << (2 * i) | (kinds[watches[i].kind] | sizes[watches[i].size] << 2)
                                                            << (16 + 4 * i);
    }
}

/* The processor stops in front of a watched instruction, but not with RF, which lasts for one instruction. The kernel sets it
 * itself after a hit (hw_breakpoint_handler()), saves it in a signal's frame, and takes it from there. */
static void pass_watch(struct arch_registers *registers)
{
    put(registers, AMD64_eflags, get(registers, AMD64_eflags) | EFLAGS_RESUME);
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
    .watch_slots = {WATCH_SLOTS, 0},
    .watch_pool = {0, 0, 0},
    .split_watch = split_watch,
    .encode_watches = encode_watches,
    .pass_watch = pass_watch,
};
