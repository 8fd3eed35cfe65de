/* What amd64 and i386 have in common: see x86.h. Zydis decodes the instructions. */
#include "arch/x86.h"

#include <string.h>

#include "arch/x86_decode.h"

#define INT_SYSCALL 0x80u /* the old way into the kernel, open to 64-bit programs too */

const struct rein_register_flag x86_eflags_bits[17] = {
    {"CF", 0, 0},   {"PF", 2, 2},   {"AF", 4, 4},    {"ZF", 6, 6},     {"SF", 7, 7},   {"TF", 8, 8},
    {"IF", 9, 9},   {"DF", 10, 10}, {"OF", 11, 11},  {"IOPL", 12, 13}, {"NT", 14, 14}, {"RF", 16, 16},
    {"VM", 17, 17}, {"AC", 18, 18}, {"VIF", 19, 19}, {"VIP", 20, 20},  {"ID", 21, 21},
};
const struct rein_register_flag x86_mxcsr_bits[15] = {
    {"IE", 0, 0},   {"DE", 1, 1},   {"ZE", 2, 2},   {"OE", 3, 3},   {"UE", 4, 4},
    {"PE", 5, 5},   {"DAZ", 6, 6},  {"IM", 7, 7},   {"DM", 8, 8},   {"ZM", 9, 9},
    {"OM", 10, 10}, {"UM", 11, 11}, {"PM", 12, 12}, {"RC", 13, 14}, {"FZ", 15, 15},
};

/* ---- Registers of a block ---- */

void x86_lay_out(struct arch_block *block, enum arch_set set)
{
    if (set == ARCH_SET_X86_XSTATE)
        xstate_lay_out(block);
}

size_t x86_width(const struct arch_block *block, const struct arch_register *what)
{
    bool has =
        what->set == ARCH_SET_X86_XSTATE ? xstate_has(block, what->kind, what->number) : block->size >= what->bytes;
    return has ? what->bytes : 0;
}

void x86_read(const struct arch_block *block, const struct arch_register *what, void *value)
{
    if (what->set == ARCH_SET_X86_XSTATE)
        xstate_read(block, what->kind, what->number, value);
    else
        memcpy(value, block->bytes, what->bytes);
}

void x86_write(struct arch_block *block, const struct arch_register *what, const void *value)
{
    if (what->set == ARCH_SET_X86_XSTATE)
        xstate_write(block, what->kind, what->number, value);
    else
        memcpy(block->bytes, value, what->bytes);
}

/* ---- Instructions ---- */

bool x86_decode(enum x86_mode mode, const unsigned char *code, size_t size, ZydisDecodedInstruction *instruction,
                ZydisDecodedOperand *operands)
{
    ZydisDecoder decoder;
    bool wide = mode == X86_MODE_64;
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, wide ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                       wide ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32)))
        return false;
    return ZYAN_SUCCESS(operands ? ZydisDecoderDecodeFull(&decoder, code, size, instruction, operands)
                                 : ZydisDecoderDecodeInstruction(&decoder, NULL, code, size, instruction));
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

/* mov to ss (8e /2), and pop to it (17, not for 64-bit code): the processor holds back the trap of a single-step until the
 * instruction after it is done. */
static bool delays_trap(const ZydisDecodedInstruction *instruction)
{
    if (instruction->mnemonic == ZYDIS_MNEMONIC_POP && instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
        instruction->opcode == 0x17)
        return true;
    return instruction->mnemonic == ZYDIS_MNEMONIC_MOV && instruction->opcode == 0x8e &&
           instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && instruction->raw.modrm.reg == 2;
}

enum arch_instruction x86_classify(enum x86_mode mode, const unsigned char *code, size_t size, size_t *length)
{
    ZydisDecodedInstruction instruction;
    if (!x86_decode(mode, code, size, &instruction, NULL)) {
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
    if (!x86_decode(mode, code + instruction.length, size - instruction.length, &second, NULL))
        return ARCH_INSTRUCTION_PLAIN;
    return classify_decoded(&second);
}

/* ---- Functions ---- */

void x86_begin_x87(struct arch_block *block)
{
    uint32_t tags, empty = 0xffff;
    xstate_read(block, XSTATE_FTAG, 0, &tags);
    if (tags != empty)
        xstate_write(block, XSTATE_FTAG, 0, &empty);
}

/* ---- Debug registers: DR0 to DR3 hold addresses, DR7 says what of ---- */

enum { CONTROL_WORD = 4 };

size_t x86_split_watch(uint64_t address, uint64_t size, enum arch_watch_kind kind, unsigned widest,
                       struct arch_watch *pieces, size_t room)
{
    size_t count = 0;
    if (kind == ARCH_WATCH_EXECUTE && size != 1)
        return 0;
    while (size) {
        unsigned piece = widest;
        while (piece > size || address % piece)
            piece /= 2;
        if (count < room)
            pieces[count] = (struct arch_watch){address, piece, kind};
        count++;
        address += piece;
        size -= piece;
        if (count > X86_WATCH_SLOTS &&
            count >= room) /* more than there can be; and the address has come to a multiple of widest */
            return count + (size_t)(size / widest) + (size_t)__builtin_popcountll(size % widest);
    }
    return count;
}

/* For slot N bit 2 N of DR7 switches it on; from bit 16 + 4 N there are two bits for the kind and two for the size. */
void x86_encode_watches(const struct arch_watch *watches, size_t count, uint64_t words[ARCH_WATCH_WORDS])
{
    static const uint64_t kinds[ARCH_WATCH_KINDS] = {
        [ARCH_WATCH_EXECUTE] = 0, [ARCH_WATCH_WRITE] = 1, [ARCH_WATCH_READ_WRITE] = 3};
    static const uint64_t sizes[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    for (size_t i = 0; i < ARCH_WATCH_WORDS; i++)
        words[i] = 0;
    for (size_t i = 0; i < count && i < X86_WATCH_SLOTS; i++) {
        words[i] = watches[i].address;
        words[CONTROL_WORD] |= UINT64_C(1) << (2 * i) | (kinds[watches[i].kind] | sizes[watches[i].size] << 2)
                                                            << (16 + 4 * i);
    }
}
