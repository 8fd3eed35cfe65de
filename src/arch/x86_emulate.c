/* Executing x86's simple instructions on a stopped thread's registers, in place of the thread: the way past a breakpoint that
 * costs no stop, and touches no other thread.
 *
 * What is done here is done exactly, or not at all: prepare says which instructions are, emulate looks at the registers'
 * values and can still leave it to the thread. Left to it is
 *
 *   - what reads or writes memory, but for the implicit words of the stack (push, pop, call, ret, leave), which are nobody
 *     else's concern and are there. The processor reads an aligned word in one go, and the kernel, for us, perhaps byte by
 *     byte, while another thread changes it; and the monitor would wait where a page has to come from somewhere;
 *   - what could fault: an address that is not canonical, or across the end of a page, or not to be accessed by the thread;
 *     any access with the flag AC set;
 *   - code and stack segments other than the system's flat ones, the program's own trap flag, and a thread that the kernel
 *     still takes to be in a system call;
 *   - instructions whose flags the manuals leave undefined, as far as they differ between processors.
 *
 * (A stack under a protection key that denies its thread access is read and written here all the same.)
 *
 * Zydis decodes, once for a breakpoint; the plan is what is left to do at each hit. */
#include <string.h>

#include "arch/x86_decode.h"

enum operation {
    MOVE, /* from its from_width, extended by zeros */
    MOVE_SIGNED,
    ADDRESS, /* lea */
    ADD,
    ADD_CARRY,
    SUBTRACT,
    SUBTRACT_BORROW,
    AND,
    OR,
    XOR,
    COMPARE,
    TEST,
    INCREMENT,
    DECREMENT,
    NEGATE,
    INVERT,
    EXCHANGE,
    SWAP_BYTES,
    SPREAD_SIGN, /* cwd, cdq, cqo */
    SET_IF,
    MOVE_IF,
    NOTHING,
    PUSH,
    POP,
    LEAVE,
    CALL,
    RETURN,
    JUMP,
    JUMP_IF,
};

enum operand_kind { NO_OPERAND, LOW_PART, HIGH_BYTE, CONSTANT };

struct operand {
    uint8_t kind, number; /* the processor's number of the register */
};

enum { NO_REGISTER = 0xff, PC_REGISTER = 0xfe };

struct plan {
    uint8_t operation, condition;
    uint8_t length, width, from_width; /* bytes */
    uint8_t base, index, scale;        /* of an address; registers, NO_REGISTER or PC_REGISTER */
    struct operand to, from;
    int64_t
        constant; /* of an operand; or how far a jump goes from the end of the instruction; or what a return drops more */
    int64_t displacement;
};
_Static_assert(sizeof(struct plan) <= sizeof(struct arch_plan), "a plan has room");

/* ---- Making the plan ---- */

static const struct {
    uint16_t mnemonic;
    uint8_t operation, condition;
} known[] = {
    {ZYDIS_MNEMONIC_MOV, MOVE, 0},
    {ZYDIS_MNEMONIC_MOVZX, MOVE, 0},
    {ZYDIS_MNEMONIC_MOVSX, MOVE_SIGNED, 0},
    {ZYDIS_MNEMONIC_MOVSXD, MOVE_SIGNED, 0},
    {ZYDIS_MNEMONIC_CBW, MOVE_SIGNED, 0},
    {ZYDIS_MNEMONIC_CWDE, MOVE_SIGNED, 0},
    {ZYDIS_MNEMONIC_CDQE, MOVE_SIGNED, 0},
    {ZYDIS_MNEMONIC_CWD, SPREAD_SIGN, 0},
    {ZYDIS_MNEMONIC_CDQ, SPREAD_SIGN, 0},
    {ZYDIS_MNEMONIC_CQO, SPREAD_SIGN, 0},
    {ZYDIS_MNEMONIC_LEA, ADDRESS, 0},
    {ZYDIS_MNEMONIC_ADD, ADD, 0},
    {ZYDIS_MNEMONIC_ADC, ADD_CARRY, 0},
    {ZYDIS_MNEMONIC_SUB, SUBTRACT, 0},
    {ZYDIS_MNEMONIC_SBB, SUBTRACT_BORROW, 0},
    {ZYDIS_MNEMONIC_AND, AND, 0},
    {ZYDIS_MNEMONIC_OR, OR, 0},
    {ZYDIS_MNEMONIC_XOR, XOR, 0},
    {ZYDIS_MNEMONIC_CMP, COMPARE, 0},
    {ZYDIS_MNEMONIC_TEST, TEST, 0},
    {ZYDIS_MNEMONIC_INC, INCREMENT, 0},
    {ZYDIS_MNEMONIC_DEC, DECREMENT, 0},
    {ZYDIS_MNEMONIC_NEG, NEGATE, 0},
    {ZYDIS_MNEMONIC_NOT, INVERT, 0},
    {ZYDIS_MNEMONIC_XCHG, EXCHANGE, 0},
    {ZYDIS_MNEMONIC_BSWAP, SWAP_BYTES, 0},
    {ZYDIS_MNEMONIC_NOP, NOTHING, 0},
    {ZYDIS_MNEMONIC_ENDBR32, NOTHING, 0},
    {ZYDIS_MNEMONIC_ENDBR64, NOTHING, 0},
    {ZYDIS_MNEMONIC_PUSH, PUSH, 0},
    {ZYDIS_MNEMONIC_POP, POP, 0},
    {ZYDIS_MNEMONIC_LEAVE, LEAVE, 0},
    {ZYDIS_MNEMONIC_CALL, CALL, 0},
    {ZYDIS_MNEMONIC_RET, RETURN, 0},
    {ZYDIS_MNEMONIC_JMP, JUMP, 0},
    /* The conditions by their codes; the lowest bit negates. */
    {ZYDIS_MNEMONIC_JO, JUMP_IF, 0},
    {ZYDIS_MNEMONIC_JNO, JUMP_IF, 1},
    {ZYDIS_MNEMONIC_JB, JUMP_IF, 2},
    {ZYDIS_MNEMONIC_JNB, JUMP_IF, 3},
    {ZYDIS_MNEMONIC_JZ, JUMP_IF, 4},
    {ZYDIS_MNEMONIC_JNZ, JUMP_IF, 5},
    {ZYDIS_MNEMONIC_JBE, JUMP_IF, 6},
    {ZYDIS_MNEMONIC_JNBE, JUMP_IF, 7},
    {ZYDIS_MNEMONIC_JS, JUMP_IF, 8},
    {ZYDIS_MNEMONIC_JNS, JUMP_IF, 9},
    {ZYDIS_MNEMONIC_JP, JUMP_IF, 10},
    {ZYDIS_MNEMONIC_JNP, JUMP_IF, 11},
    {ZYDIS_MNEMONIC_JL, JUMP_IF, 12},
    {ZYDIS_MNEMONIC_JNL, JUMP_IF, 13},
    {ZYDIS_MNEMONIC_JLE, JUMP_IF, 14},
    {ZYDIS_MNEMONIC_JNLE, JUMP_IF, 15},
    {ZYDIS_MNEMONIC_SETO, SET_IF, 0},
    {ZYDIS_MNEMONIC_SETNO, SET_IF, 1},
    {ZYDIS_MNEMONIC_SETB, SET_IF, 2},
    {ZYDIS_MNEMONIC_SETNB, SET_IF, 3},
    {ZYDIS_MNEMONIC_SETZ, SET_IF, 4},
    {ZYDIS_MNEMONIC_SETNZ, SET_IF, 5},
    {ZYDIS_MNEMONIC_SETBE, SET_IF, 6},
    {ZYDIS_MNEMONIC_SETNBE, SET_IF, 7},
    {ZYDIS_MNEMONIC_SETS, SET_IF, 8},
    {ZYDIS_MNEMONIC_SETNS, SET_IF, 9},
    {ZYDIS_MNEMONIC_SETP, SET_IF, 10},
    {ZYDIS_MNEMONIC_SETNP, SET_IF, 11},
    {ZYDIS_MNEMONIC_SETL, SET_IF, 12},
    {ZYDIS_MNEMONIC_SETNL, SET_IF, 13},
    {ZYDIS_MNEMONIC_SETLE, SET_IF, 14},
    {ZYDIS_MNEMONIC_SETNLE, SET_IF, 15},
    {ZYDIS_MNEMONIC_CMOVO, MOVE_IF, 0},
    {ZYDIS_MNEMONIC_CMOVNO, MOVE_IF, 1},
    {ZYDIS_MNEMONIC_CMOVB, MOVE_IF, 2},
    {ZYDIS_MNEMONIC_CMOVNB, MOVE_IF, 3},
    {ZYDIS_MNEMONIC_CMOVZ, MOVE_IF, 4},
    {ZYDIS_MNEMONIC_CMOVNZ, MOVE_IF, 5},
    {ZYDIS_MNEMONIC_CMOVBE, MOVE_IF, 6},
    {ZYDIS_MNEMONIC_CMOVNBE, MOVE_IF, 7},
    {ZYDIS_MNEMONIC_CMOVS, MOVE_IF, 8},
    {ZYDIS_MNEMONIC_CMOVNS, MOVE_IF, 9},
    {ZYDIS_MNEMONIC_CMOVP, MOVE_IF, 10},
    {ZYDIS_MNEMONIC_CMOVNP, MOVE_IF, 11},
    {ZYDIS_MNEMONIC_CMOVL, MOVE_IF, 12},
    {ZYDIS_MNEMONIC_CMOVNL, MOVE_IF, 13},
    {ZYDIS_MNEMONIC_CMOVLE, MOVE_IF, 14},
    {ZYDIS_MNEMONIC_CMOVNLE, MOVE_IF, 15},
};

static bool take_operation(ZydisMnemonic mnemonic, struct plan *plan)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].mnemonic != mnemonic)
            continue;
        plan->operation = known[i].operation;
        plan->condition = known[i].condition;
        return true;
    }
    return false;
}

/* Of a general register, whole or a part of it; no other has such a class. */
static bool take_register(ZydisRegister which, struct operand *operand)
{
    switch (ZydisRegisterGetClass(which)) {
    case ZYDIS_REGCLASS_GPR8:
        if (which >= ZYDIS_REGISTER_AH && which <= ZYDIS_REGISTER_BH) {
            *operand = (struct operand){HIGH_BYTE, (uint8_t)(which - ZYDIS_REGISTER_AH)};
            return true;
        }
        if (which >= ZYDIS_REGISTER_SPL) { /* they come behind the four high ones */
            *operand = (struct operand){LOW_PART, (uint8_t)(which - ZYDIS_REGISTER_SPL + 4)};
            return true;
        }
        *operand = (struct operand){LOW_PART, (uint8_t)(which - ZYDIS_REGISTER_AL)};
        return true;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64:
        *operand = (struct operand){LOW_PART, (uint8_t)ZydisRegisterGetId(which)};
        return true;
    default:
        return false;
    }
}

static bool take_address_register(ZydisRegister which, uint8_t *number)
{
    struct operand operand;
    if (which == ZYDIS_REGISTER_NONE) {
        *number = NO_REGISTER;
        return true;
    }
    if (which == ZYDIS_REGISTER_RIP) {
        *number = PC_REGISTER;
        return true;
    }
    if (!take_register(which, &operand))
        return false;
    *number = operand.number;
    return true;
}

static bool take_address(const ZydisDecodedOperand *memory, struct plan *plan)
{
    plan->scale = memory->mem.scale;
    plan->displacement = memory->mem.disp.has_displacement ? memory->mem.disp.value : 0;
    return take_address_register(memory->mem.base, &plan->base) &&
           take_address_register(memory->mem.index, &plan->index);
}

static bool take_operand(const ZydisDecodedOperand *from, struct plan *plan, struct operand *operand)
{
    switch (from->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return take_register(from->reg.value, operand);
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        *operand = (struct operand){CONSTANT, 0};
        plan->constant = from->imm.value.s;
        return true;
    default:
        return false;
    }
}

/* Those that are written have their result in a register, or none. */
static bool take_operands(const ZydisDecodedInstruction *instruction, const ZydisDecodedOperand *operands,
                          struct plan *plan)
{
    size_t count = instruction->operand_count_visible;
    plan->width = (uint8_t)(instruction->operand_width / 8);
    switch (plan->operation) {
    case NOTHING:
    case LEAVE:
    case SPREAD_SIGN:
        return true;
    case ADDRESS:
        return take_operand(&operands[0], plan, &plan->to) && take_address(&operands[1], plan);
    case PUSH:
        return take_operand(&operands[0], plan, &plan->from);
    case POP:
        return take_operand(&operands[0], plan, &plan->to) && plan->to.kind == LOW_PART;
    case CALL:
    case JUMP:
    case JUMP_IF:
        return take_operand(&operands[0], plan, &plan->from);
    case RETURN:
        plan->constant = count ? (int64_t)operands[0].imm.value.u : 0;
        return true;
    default:
        break;
    }
    if (plan->operation == MOVE_SIGNED && count == 0) { /* in the accumulator */
        plan->to = plan->from = (struct operand){LOW_PART, 0};
        plan->from_width = plan->width / 2;
        return true;
    }
    if (count < 1 || count > 2 || !take_operand(&operands[0], plan, &plan->to))
        return false;
    plan->width = (uint8_t)(operands[0].size / 8);
    if (count == 2 && !take_operand(&operands[1], plan, &plan->from))
        return false;
    plan->from_width = plan->operation == MOVE || plan->operation == MOVE_SIGNED || plan->operation == MOVE_IF
                           ? (uint8_t)(operands[count - 1].size / 8)
                           : plan->width;
    if (plan->from.kind == CONSTANT)
        plan->from_width = 8; /* it has been extended */
    return plan->to.kind == LOW_PART || plan->to.kind == HIGH_BYTE;
}

/* What could be done, but is not what it seems. */
static bool is_odd(const ZydisDecodedInstruction *instruction, const struct plan *plan, unsigned word)
{
    const ZyanU64 prefixes = ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                             ZYDIS_ATTRIB_HAS_REPNE | ZYDIS_ATTRIB_HAS_XACQUIRE | ZYDIS_ATTRIB_HAS_XRELEASE;
    if (instruction->attributes & prefixes || instruction->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return true;
    switch (plan->operation) {
    case NOTHING:
        return false;
    case SWAP_BYTES:
        return plan->width < 4; /* undefined */
    case CALL:
    case RETURN:
    case JUMP:
    case JUMP_IF:
        if (instruction->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
            return true;
        /* fall through */
    case PUSH:
    case POP:
    case LEAVE:
        return instruction->attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE || instruction->stack_width != 8 * word;
    default:
        return instruction->address_width != 8 * word;
    }
}

static enum arch_plan_kind kind_of(const struct plan *plan)
{
    switch (plan->operation) {
    case CALL:
    case RETURN:
        return ARCH_PLAN_RETURN_ADDRESS;
    case PUSH:
    case POP:
    case LEAVE:
        return ARCH_PLAN_MEMORY;
    default:
        return ARCH_PLAN_REGISTERS;
    }
}

enum arch_plan_kind x86_prepare(enum x86_mode mode, const unsigned char *code, size_t size, struct arch_plan *result)
{
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct plan plan = {.base = NO_REGISTER, .index = NO_REGISTER};
    bool wide = mode == X86_MODE_64;
    if (!x86_decode(mode, code, size, &instruction, operands) || !take_operation(instruction.mnemonic, &plan))
        return ARCH_PLAN_NONE;
    plan.length = instruction.length;
    if (!take_operands(&instruction, operands, &plan) || is_odd(&instruction, &plan, wide ? 8 : 4))
        return ARCH_PLAN_NONE;
    memcpy(result, &plan, sizeof plan);
    return kind_of(&plan);
}

/* ---- Doing it ---- */

enum { PAGE = 4096, SIGN_64 = 63 };
#define CARRY 0x1u
#define PARITY 0x4u
#define ADJUST 0x10u
#define ZERO 0x40u
#define SIGN 0x80u
#define OVERFLOW 0x800u
#define ALIGNMENT 0x40000u
#define RESULT_FLAGS (CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW)

/* The selectors of Linux's flat segments, on amd64 and on i386. */
enum { CODE_64 = 0x33, CODE_32 = 0x23, DATA = 0x2b, CODE_OF_I386 = 0x73, DATA_OF_I386 = 0x7b };

/* In the tables of both, behind the pc. */
enum { BEHIND_EFLAGS = 1, BEHIND_CS = 2, BEHIND_SS = 3, BEHIND_ORIG = 8 };

struct machine {
    const struct plan *plan;
    const struct arch *arch;
    struct arch_registers *registers;
    const struct arch_memory *memory;
    unsigned word; /* bytes */
    uint64_t flags;
    bool failed; /* the thread has to do it */
};

static uint64_t mask_of(unsigned width)
{
    return width >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
}

static uint64_t top_of(unsigned width)
{
    return UINT64_C(1) << (8 * width - 1);
}

static uint64_t extend(uint64_t value, unsigned width)
{
    uint64_t top = top_of(width);
    return ((value & mask_of(width)) ^ top) - top;
}

static int index_of(unsigned number)
{
    static const uint8_t indices[16] = {0, 2, 3, 1, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};
    return indices[number & 15];
}

static uint64_t get_whole(const struct machine *machine, unsigned number)
{
    return machine->arch->get(machine->registers, index_of(number));
}

static void put_whole(struct machine *machine, unsigned number, uint64_t value)
{
    machine->arch->set(machine->registers, index_of(number), value & mask_of(machine->word));
}

/* A write of 4 bytes clears those above, one of fewer leaves them. */
static void put(struct machine *machine, const struct operand *to, unsigned width, uint64_t value)
{
    uint64_t old = get_whole(machine, to->number), mask = mask_of(width);
    if (to->kind == HIGH_BYTE)
        put_whole(machine, to->number, (old & ~UINT64_C(0xff00)) | (value & 0xff) << 8);
    else if (width < 4)
        put_whole(machine, to->number, (old & ~mask) | (value & mask));
    else
        put_whole(machine, to->number, value & mask);
}

static bool is_canonical(const struct machine *machine, uint64_t address)
{
    enum { BITS = 47 };
    return machine->word < 8 || !(address >> BITS); /* the other half is the kernel's */
}

/* In one page, where the thread may access it itself. */
static bool can_access(struct machine *machine, uint64_t address, unsigned size)
{
    uint64_t segment = machine->arch->get(machine->registers, machine->arch->pc_index + BEHIND_SS);
    return is_canonical(machine, address) && address % PAGE + size <= PAGE && !(machine->flags & ALIGNMENT) &&
           (segment == DATA || (machine->word == 4 && segment == DATA_OF_I386));
}

static uint64_t load(struct machine *machine, uint64_t address, unsigned size)
{
    uint64_t value = 0;
    address &= mask_of(machine->word);
    machine->failed |=
        !can_access(machine, address, size) || !machine->memory->read(machine->memory->arg, address, &value, size);
    return value;
}

/* Below the stack pointer, in the same page: for another the stack may have to grow. Comes last, for then nothing fails any
 * more. */
static void push(struct machine *machine, uint64_t sp, uint64_t value)
{
    unsigned size = machine->word;
    uint64_t address = (sp - size) & mask_of(machine->word);
    machine->failed = machine->failed || sp % PAGE < size || !can_access(machine, address, size) ||
                      !machine->memory->write(machine->memory->arg, address, &value, size);
}

static uint64_t pc_behind(const struct machine *machine)
{
    return (arch_pc(machine->registers) + machine->plan->length) & mask_of(machine->word);
}

static uint64_t address_of(const struct machine *machine)
{
    const struct plan *plan = machine->plan;
    uint64_t address = (uint64_t)plan->displacement;
    if (plan->base == PC_REGISTER)
        address += pc_behind(machine);
    else if (plan->base != NO_REGISTER)
        address += get_whole(machine, plan->base);
    if (plan->index != NO_REGISTER)
        address += get_whole(machine, plan->index) * plan->scale;
    return address & mask_of(machine->word);
}

static uint64_t take(struct machine *machine, const struct operand *from, unsigned width)
{
    switch (from->kind) {
    case LOW_PART:
        return get_whole(machine, from->number) & mask_of(width);
    case HIGH_BYTE:
        return get_whole(machine, from->number) >> 8 & 0xff;
    default:
        return (uint64_t)machine->plan->constant & mask_of(width);
    }
}

static void set_flags(struct machine *machine, uint64_t which, uint64_t value)
{
    machine->flags = (machine->flags & ~which) | (value & which);
}

/* carries: bit by bit, what goes into the next; which: the flags that the instruction changes. */
static void set_result_flags(struct machine *machine, uint64_t which, unsigned width, uint64_t result, uint64_t carries,
                             bool overflow)
{
    uint64_t value = 0, top = top_of(width);
    result &= mask_of(width);
    value |= carries & top ? CARRY : 0;
    value |= carries & 8 ? ADJUST : 0;
    value |= __builtin_parityll(result & 0xff) ? 0 : PARITY;
    value |= result ? 0 : ZERO;
    value |= result & top ? SIGN : 0;
    value |= overflow ? OVERFLOW : 0;
    set_flags(machine, which, value);
}

static uint64_t add(struct machine *machine, uint64_t which, unsigned width, uint64_t a, uint64_t b, uint64_t carry)
{
    uint64_t sum = a + b + carry;
    set_result_flags(machine, which, width, sum, (a & b) | ((a | b) & ~sum), (a ^ sum) & (b ^ sum) & top_of(width));
    return sum;
}

static uint64_t subtract(struct machine *machine, uint64_t which, unsigned width, uint64_t a, uint64_t b,
                         uint64_t borrow)
{
    uint64_t rest = a - b - borrow;
    set_result_flags(machine, which, width, rest, (~a & b) | ((~a | b) & rest), (a ^ b) & (a ^ rest) & top_of(width));
    return rest;
}

static uint64_t combine(struct machine *machine, unsigned width, uint64_t result)
{
    set_result_flags(machine, RESULT_FLAGS, width, result, 0, false);
    return result;
}

static bool holds(const struct machine *machine, unsigned condition)
{
    uint64_t flags = machine->flags;
    bool less = !(flags & SIGN) != !(flags & OVERFLOW), result;
    switch (condition / 2) {
    case 0:
        result = flags & OVERFLOW;
        break;
    case 1:
        result = flags & CARRY;
        break;
    case 2:
        result = flags & ZERO;
        break;
    case 3:
        result = flags & (CARRY | ZERO);
        break;
    case 4:
        result = flags & SIGN;
        break;
    case 5:
        result = flags & PARITY;
        break;
    case 6:
        result = less;
        break;
    default:
        result = less || flags & ZERO;
        break;
    }
    return result != (condition & 1);
}

static uint64_t target(struct machine *machine)
{
    const struct operand *from = &machine->plan->from;
    uint64_t to = from->kind == CONSTANT ? pc_behind(machine) + (uint64_t)machine->plan->constant
                                         : get_whole(machine, from->number);
    return to & mask_of(machine->word);
}

static void move_stack(struct machine *machine, uint64_t sp)
{
    machine->arch->set(machine->registers, machine->arch->sp_index, sp & mask_of(machine->word));
}

/* Where it goes on. */
static uint64_t go_on(struct machine *machine, uint64_t pc)
{
    machine->failed |= !is_canonical(machine, pc);
    return pc;
}

/* What has to do with the stack, or changes the pc. */
static uint64_t transfer(struct machine *machine)
{
    const struct plan *plan = machine->plan;
    uint64_t sp = arch_sp(machine->registers), behind = pc_behind(machine), pc = behind, value;
    switch (plan->operation) {
    case PUSH:
        push(machine, sp, take(machine, &plan->from, machine->word));
        move_stack(machine, sp - machine->word);
        break;
    case POP:
        value = load(machine, sp, machine->word);
        move_stack(machine, sp + machine->word);
        put(machine, &plan->to, machine->word, value);
        break;
    case LEAVE:
        sp = get_whole(machine, 5); /* rbp */
        value = load(machine, sp, machine->word);
        move_stack(machine, sp + machine->word);
        put_whole(machine, 5, value);
        break;
    case CALL:
        pc = go_on(machine, target(machine));
        push(machine, sp, behind);
        move_stack(machine, sp - machine->word);
        break;
    case RETURN:
        pc = go_on(machine, load(machine, sp, machine->word));
        move_stack(machine, sp + machine->word + (uint64_t)plan->constant);
        break;
    case JUMP_IF:
        if (!holds(machine, plan->condition))
            break;
        /* fall through */
    default:
        pc = go_on(machine, target(machine));
        break;
    }
    return pc;
}

static void compute(struct machine *machine)
{
    const struct plan *plan = machine->plan;
    unsigned width = plan->width;
    uint64_t carry = machine->flags & CARRY, a = 0, b = 0, result;
    const uint64_t but_carry = RESULT_FLAGS & ~CARRY;
    if (plan->to.kind && plan->operation != MOVE && plan->operation != MOVE_SIGNED && plan->operation != ADDRESS)
        a = take(machine, &plan->to, width);
    if (plan->from.kind)
        b = take(machine, &plan->from, plan->from_width);
    switch (plan->operation) {
    case MOVE:
        result = b;
        break;
    case MOVE_SIGNED:
        result = extend(b, plan->from_width);
        break;
    case ADDRESS:
        result = address_of(machine);
        break;
    case ADD:
        result = add(machine, RESULT_FLAGS, width, a, b & mask_of(width), 0);
        break;
    case ADD_CARRY:
        result = add(machine, RESULT_FLAGS, width, a, b & mask_of(width), carry);
        break;
    case SUBTRACT:
        result = subtract(machine, RESULT_FLAGS, width, a, b & mask_of(width), 0);
        break;
    case SUBTRACT_BORROW:
        result = subtract(machine, RESULT_FLAGS, width, a, b & mask_of(width), carry);
        break;
    case COMPARE:
        subtract(machine, RESULT_FLAGS, width, a, b & mask_of(width), 0);
        return;
    case AND:
        result = combine(machine, width, a & b);
        break;
    case OR:
        result = combine(machine, width, a | b);
        break;
    case XOR:
        result = combine(machine, width, a ^ b);
        break;
    case TEST:
        combine(machine, width, a & b);
        return;
    case INCREMENT:
        result = add(machine, but_carry, width, a, 1, 0);
        break;
    case DECREMENT:
        result = subtract(machine, but_carry, width, a, 1, 0);
        break;
    case NEGATE:
        result = subtract(machine, RESULT_FLAGS, width, 0, a, 0);
        break;
    case INVERT:
        result = ~a;
        break;
    case EXCHANGE:
        put(machine, &plan->from, width, a);
        result = b;
        break;
    case SWAP_BYTES:
        result = width == 8 ? __builtin_bswap64(a) : __builtin_bswap32((uint32_t)a);
        break;
    case SPREAD_SIGN: {
        const struct operand high = {LOW_PART, 2}; /* rdx */
        put(machine, &high, width, get_whole(machine, 0) & top_of(width) ? UINT64_MAX : 0);
        return;
    }
    case SET_IF:
        result = holds(machine, plan->condition);
        break;
    case MOVE_IF:
        result = holds(machine, plan->condition) ? b : a;
        break;
    default:
        return;
    }
    put(machine, &plan->to, width, result);
}

static bool is_transfer(const struct plan *plan)
{
    return plan->operation >= PUSH;
}

/* Code of the system's flat segments, with no trap of the program's own to come, and in no system call. */
bool x86_is_ordinary(const struct arch_registers *registers)
{
    const struct arch *arch = registers->arch;
    bool wide = arch->registers[arch->pc_index].bytes == 8;
    uint64_t segment = arch->get(registers, arch->pc_index + BEHIND_CS);
    uint64_t call = arch->get(registers, arch->pc_index + BEHIND_ORIG);
    uint64_t flags = arch->get(registers, arch->pc_index + BEHIND_EFLAGS);
    bool flat = wide ? segment == CODE_64 : segment == CODE_32 || segment == CODE_OF_I386;
    return flat && !(flags & EFLAGS_TRAP) && call & top_of(wide ? 8 : 4);
}

bool x86_emulate(const struct arch_plan *opaque, struct arch_registers *registers, const struct arch_memory *memory)
{
    struct plan plan;
    memcpy(&plan, opaque, sizeof plan);
    const struct arch *arch = registers->arch;
    const int pc_index = arch->pc_index;
    const bool wide = arch->registers[pc_index].bytes == 8;
    struct arch_registers after = *registers;
    struct machine machine = {.plan = &plan,
                              .arch = arch,
                              .registers = &after,
                              .memory = memory,
                              .word = wide ? 8 : 4,
                              .flags = arch->get(registers, pc_index + BEHIND_EFLAGS)};
    if (!x86_is_ordinary(registers))
        return false;
    uint64_t pc = pc_behind(&machine);
    if (is_transfer(&plan))
        pc = transfer(&machine);
    else
        compute(&machine);
    if (machine.failed)
        return false;
    arch->set(&after, pc_index, pc);
    arch->set(&after, pc_index + BEHIND_EFLAGS, machine.flags & ~(uint64_t)EFLAGS_RESUME);
    *registers = after;
    return true;
}
