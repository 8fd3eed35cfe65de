/* Moving an instruction: a copy that does at another address what the original does where it is, and a jump back behind that.
 * A thread that is sent to the copy executes the instruction by itself, and goes on, in one go.
 *
 * What an instruction does depends on where it is if it is a branch, or addresses memory by the pc; the distance of the latter is
 * corrected. Not moved are branches (most of which are executed in the thread's place, see x86_emulate.c), and what makes the
 * address seen: calls into the kernel and traps; the x87's instructions, of which the processor keeps the address for who saves
 * its state; SGX's, which come back there; transactions, which would have the jump back in them; popf, which can have a
 * trap come behind the next instruction; and moves to ss, which hold traps back for one. */
#include <string.h>

#include "arch/x86_decode.h"

enum { JUMP_SIZE = 5, JUMP_NEAR = 0xe9 };

static bool is_movable(const ZydisDecodedInstruction *instruction)
{
    if (instruction->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
        return false;
    switch (instruction->meta.category) {
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_COND_BR:
    case ZYDIS_CATEGORY_INTERRUPT:
    case ZYDIS_CATEGORY_RET:
    case ZYDIS_CATEGORY_SGX:
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_SYSTEM:
    case ZYDIS_CATEGORY_UNCOND_BR:
    case ZYDIS_CATEGORY_X87_ALU:
        return false;
    default:
        break;
    }
    switch (instruction->meta.isa_ext) {
    case ZYDIS_ISA_EXT_X87:
    case ZYDIS_ISA_EXT_RTM:
    case ZYDIS_ISA_EXT_VTX:
    case ZYDIS_ISA_EXT_SVM:
        return false;
    default:
        break;
    }
    switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_LSS:
        return false;
    default:
        return true;
    }
}

static bool writes_stack_segment(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands)
{
    for (size_t i = 0; i < instruction->operand_count; i++) {
        if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER && operands[i].reg.value == ZYDIS_REGISTER_SS &&
            operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            return true;
    }
    return false;
}

static bool fits(int64_t distance)
{
    return distance >= INT32_MIN && distance <= INT32_MAX;
}

/* false: what it addresses is too far from there. */
static bool correct(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands, int64_t moved,
                    unsigned char *copy)
{
    for (size_t i = 0; i < instruction->operand_count; i++) {
        if (operands[i].type != ZYDIS_OPERAND_TYPE_MEMORY || operands[i].mem.base == ZYDIS_REGISTER_NONE)
            continue;
        if (operands[i].mem.base == ZYDIS_REGISTER_EIP)
            return false;
        if (operands[i].mem.base != ZYDIS_REGISTER_RIP)
            continue;
        int64_t distance = operands[i].mem.disp.value - moved;
        int32_t narrow = (int32_t)distance;
        if (!fits(distance) || instruction->raw.disp.size != 32)
            return false;
        memcpy(copy + instruction->raw.disp.offset, &narrow, sizeof narrow);
        break;
    }
    return true;
}

size_t x86_displace(enum x86_mode mode, const unsigned char *code, size_t size, uint64_t from, uint64_t to,
                    unsigned char copy[ARCH_DISPLACED_MAX], size_t *copied)
{
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    bool wide = mode == X86_MODE_64;
    if (!x86_decode(mode, code, size, &instruction, operands))
        return 0;
    size_t length = instruction.length;
    int64_t moved = (int64_t)(to - from), back = -(moved + JUMP_SIZE);
    if (!wide)
        back = (int32_t)back; /* it goes round */
    if (!fits(back) || !is_movable(&instruction) || writes_stack_segment(&instruction, operands))
        return 0;
    memcpy(copy, code, length);
    if (!correct(&instruction, operands, moved, copy))
        return 0;
    int32_t narrow = (int32_t)back;
    copy[length] = JUMP_NEAR;
    memcpy(copy + length + 1, &narrow, sizeof narrow);
    *copied = length;
    return length + JUMP_SIZE;
}
