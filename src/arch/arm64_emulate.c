/* Executing arm64's simple instructions on a stopped thread's registers, in place of the thread: the way past a breakpoint that
 * costs no stop, and touches no other thread. Those are the ones that depend on where they are, which cannot be moved
 * (arm64_displace.c), and the commonest that use general registers only.
 *
 * What is done here is done exactly, or not at all: prepare says which instructions are, emulate looks at the registers'
 * values and can still leave it to the thread. Left to it is
 *
 *   - what reads or writes memory, but for constants beside the code: the processor may check tags, and reads a word in one go;
 *     moving these is as cheap;
 *   - what the processor alone can do or knows: pointer authentication, events (sev, wfe), barriers;
 *   - what could fault: a branch to where no code can be; or after a branch through a register to memory where such branches
 *     are checked (BTI) an instruction that they may not go to;
 *   - a state of the processor of which nothing is known here, and a thread that is in a system call.
 *
 * The bits of an instruction are its plan, with what was found in the table. Names of fields are those of the architecture's
 * manual. */
#include <string.h>

#include "arch/arm64.h"

enum operation {
    NOTHING,
    LANDING, /* bti */
    ADDRESS,
    ADDRESS_OF_PAGE,
    JUMP,
    CALL,
    JUMP_IF,
    JUMP_IF_ZERO,
    JUMP_IF_NOT_ZERO,
    JUMP_IF_BIT_CLEAR,
    JUMP_IF_BIT_SET,
    JUMP_TO_REGISTER,
    CALL_REGISTER,
    RETURN,
    LOAD_32,
    LOAD_64,
    LOAD_32_SIGNED,
    MOVE_INVERTED,
    MOVE,
    MOVE_KEEPING,
    ADD_CONSTANT,
    ADD_SHIFTED,
    ADD_EXTENDED,
    LOGIC_CONSTANT,
    LOGIC_SHIFTED,
    MOVE_BITS,
    SELECT,
};

struct plan {
    uint64_t word, operation, constant;
};
_Static_assert(sizeof(struct plan) <= sizeof(struct arch_plan), "a plan has room");

static const struct {
    uint32_t mask, value;
    enum operation operation;
} known[] = {
    {0xffffffff, 0xd503201f, NOTHING}, /* nop */
    {0xffffffff, 0xd503203f, NOTHING}, /* yield */
    {0xff000000, 0xd8000000, NOTHING}, /* prfm (literal) */
    {0xffffff3f, 0xd503241f, LANDING},
    {0x9f000000, 0x10000000, ADDRESS},
    {0x9f000000, 0x90000000, ADDRESS_OF_PAGE},
    {0xfc000000, 0x14000000, JUMP},
    {0xfc000000, 0x94000000, CALL},
    {0xff000010, 0x54000000, JUMP_IF},
    {0x7f000000, 0x34000000, JUMP_IF_ZERO},
    {0x7f000000, 0x35000000, JUMP_IF_NOT_ZERO},
    {0x7f000000, 0x36000000, JUMP_IF_BIT_CLEAR},
    {0x7f000000, 0x37000000, JUMP_IF_BIT_SET},
    {0xfffffc1f, 0xd61f0000, JUMP_TO_REGISTER},
    {0xfffffc1f, 0xd63f0000, CALL_REGISTER},
    {0xfffffc1f, 0xd65f0000, RETURN},
    {0xff000000, 0x18000000, LOAD_32},
    {0xff000000, 0x58000000, LOAD_64},
    {0xff000000, 0x98000000, LOAD_32_SIGNED},
    {0x7f800000, 0x12800000, MOVE_INVERTED},
    {0x7f800000, 0x52800000, MOVE},
    {0x7f800000, 0x72800000, MOVE_KEEPING},
    {0x1f800000, 0x11000000, ADD_CONSTANT},
    {0x1f200000, 0x0b000000, ADD_SHIFTED},
    {0x1fe00000, 0x0b200000, ADD_EXTENDED},
    {0x1f800000, 0x12000000, LOGIC_CONSTANT},
    {0x1f000000, 0x0a000000, LOGIC_SHIFTED},
    {0x1f800000, 0x13000000, MOVE_BITS},
    {0x3fe00800, 0x1a800000, SELECT},
};

/* Bits low to low + count - 1. */
static unsigned field(uint64_t word, unsigned low, unsigned count)
{
    return (unsigned)(word >> low) & ((1u << count) - 1);
}

static bool is_wide(uint64_t word)
{
    return word >> 31 & 1;
}

static uint64_t ones(unsigned count)
{
    return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

static uint64_t rotate(uint64_t value, unsigned by, unsigned size)
{
    value &= ones(size);
    return by ? (value >> by | value << (size - by)) & ones(size) : value;
}

/* A constant for logic: imms + 1 ones in an element of a power of two of bits, turned by immr, again and again. false:
 * the bits mean no constant. (DecodeBitMasks of the manual.) */
static bool take_bit_mask(uint32_t word, uint64_t *mask)
{
    unsigned length = field(word, 22, 1) << 6 | (~field(word, 10, 6) & 0x3f), size = 64;
    while (size > length && size > 1)
        size /= 2;
    unsigned imms = field(word, 10, 6) & (size - 1), immr = field(word, 16, 6) & (size - 1);
    if (size < 2 || imms == size - 1 || (size == 64 && !is_wide(word)))
        return false;
    *mask = rotate(ones(imms + 1), immr, size);
    for (; size < 64; size *= 2)
        *mask |= *mask << size;
    return true;
}

/* Fields can have values that mean nothing. */
static bool is_defined(uint32_t word, struct plan *plan)
{
    bool wide = is_wide(word);
    switch (plan->operation) {
    case MOVE_INVERTED:
    case MOVE:
    case MOVE_KEEPING:
        return wide || field(word, 22, 1) == 0;
    case ADD_SHIFTED:
        return field(word, 22, 2) != 3 && (wide || field(word, 15, 1) == 0);
    case LOGIC_SHIFTED:
        return wide || field(word, 15, 1) == 0;
    case ADD_EXTENDED:
        return field(word, 10, 3) <= 4;
    case LOGIC_CONSTANT:
        return take_bit_mask(word, &plan->constant);
    case MOVE_BITS:
        return field(word, 29, 2) != 3 && field(word, 22, 1) == wide &&
               (wide || (field(word, 21, 1) == 0 && field(word, 15, 1) == 0));
    default:
        return true;
    }
}

enum arch_plan_kind arm64_prepare(const unsigned char *code, size_t size, struct arch_plan *result)
{
    uint32_t word = size >= ARM64_INSTRUCTION ? arm64_word(code) : 0;
    struct plan plan = {.word = word};
    size_t i = 0, count = sizeof known / sizeof *known;
    while (i < count && (word & known[i].mask) != known[i].value)
        i++;
    if (i == count)
        return ARCH_PLAN_NONE;
    plan.operation = known[i].operation;
    if (!is_defined(word, &plan))
        return ARCH_PLAN_NONE;
    memcpy(result, &plan, sizeof plan);
    switch (known[i].operation) {
    case CALL:
    case CALL_REGISTER:
    case RETURN:
        return ARCH_PLAN_RETURN_ADDRESS;
    case LOAD_32:
    case LOAD_64:
    case LOAD_32_SIGNED:
        return ARCH_PLAN_MEMORY;
    default:
        return ARCH_PLAN_REGISTERS;
    }
}

/* ---- Doing it ---- */

enum { NO_REGISTER = 31, CARRY_BIT = 29 };
#define OVERFLOW (UINT64_C(1) << 28)
#define CARRY (UINT64_C(1) << CARRY_BIT)
#define ZERO (UINT64_C(1) << 30)
#define NEGATIVE (UINT64_C(1) << 31)
#define RESULT_FLAGS (OVERFLOW | CARRY | ZERO | NEGATIVE)
#define NARROW 0x10u      /* code of 32 bits */
#define ILLEGAL 0x100000u /* the next instruction faults */
#define ADDRESS_BITS 48   /* programs have no memory further on, or have asked for it */

struct machine {
    uint64_t word, constant;
    struct arch_registers *registers;
    const struct arch_memory *memory;
    uint64_t pc, flags;
    bool failed; /* the thread has to do it */
};

static uint64_t mask_of(const struct machine *machine)
{
    return is_wide(machine->word) ? UINT64_MAX : UINT32_MAX;
}

static uint64_t get(const struct machine *machine, unsigned number)
{
    return number == NO_REGISTER ? 0 : machine->registers->bytes[number];
}

static void put(struct machine *machine, unsigned number, uint64_t value)
{
    if (number != NO_REGISTER)
        machine->registers->bytes[number] = value;
}

/* Where number 31 is the stack pointer: its index in the table is that, too. */
static uint64_t get_or_sp(const struct machine *machine, unsigned number)
{
    return machine->registers->bytes[number];
}

static void put_or_sp(struct machine *machine, unsigned number, uint64_t value)
{
    machine->registers->bytes[number] = value;
}

static unsigned to_of(const struct machine *machine)
{
    return field(machine->word, 0, 5);
}

static unsigned first_of(const struct machine *machine)
{
    return field(machine->word, 5, 5);
}

static unsigned second_of(const struct machine *machine)
{
    return field(machine->word, 16, 5);
}

static uint64_t sign_of(const struct machine *machine)
{
    return is_wide(machine->word) ? UINT64_C(1) << 63 : UINT64_C(1) << 31;
}

static void set_flags(struct machine *machine, uint64_t result, bool carry, bool overflow)
{
    machine->flags &= ~RESULT_FLAGS;
    machine->flags |= result & sign_of(machine) ? NEGATIVE : 0;
    machine->flags |= result & mask_of(machine) ? 0 : ZERO;
    machine->flags |= carry ? CARRY : 0;
    machine->flags |= overflow ? OVERFLOW : 0;
}

/* Bit 30: subtract; bit 29: with flags, and then number 31 as the target is none. */
static void add(struct machine *machine, uint64_t a, uint64_t b, bool target_may_be_sp)
{
    bool subtracts = field(machine->word, 30, 1), with_flags = field(machine->word, 29, 1);
    uint64_t mask = mask_of(machine), sign = sign_of(machine);
    a &= mask;
    b = (subtracts ? ~b : b) & mask;
    uint64_t partial = a + b, sum = partial + subtracts;
    bool carry = is_wide(machine->word) ? partial < a || sum < partial : sum > mask;
    sum &= mask;
    if (with_flags)
        set_flags(machine, sum, carry, (a ^ sum) & (b ^ sum) & sign);
    if (target_may_be_sp && !with_flags)
        put_or_sp(machine, to_of(machine), sum);
    else
        put(machine, to_of(machine), sum);
}

/* lsl, lsr, asr, ror */
static uint64_t shift(const struct machine *machine, uint64_t value, unsigned how, unsigned by)
{
    unsigned size = is_wide(machine->word) ? 64 : 32;
    value &= mask_of(machine);
    switch (how) {
    case 0:
        return value << by & mask_of(machine);
    case 1:
        return value >> by;
    case 2:
        return (uint64_t)(arm64_extend(value, size) >> by) & mask_of(machine);
    default:
        return rotate(value, by, size);
    }
}

/* uxtb, uxth, uxtw, uxtx, and the signed ones; then to the left. */
static uint64_t extend(const struct machine *machine, uint64_t value)
{
    unsigned option = field(machine->word, 13, 3), bits = 8u << (option & 3);
    value = option & 4 ? (uint64_t)arm64_extend(value, bits) : value & ones(bits);
    return value << field(machine->word, 10, 3);
}

static void combine(struct machine *machine, uint64_t a, uint64_t b, bool target_may_be_sp)
{
    unsigned how = field(machine->word, 29, 2);
    uint64_t result = (how == 0 || how == 3 ? a & b : how == 1 ? a | b : a ^ b) & mask_of(machine);
    if (how == 3)
        set_flags(machine, result, false, false);
    if (target_may_be_sp && how != 3)
        put_or_sp(machine, to_of(machine), result);
    else
        put(machine, to_of(machine), result);
}

/* sbfm, bfm, ubfm: bits immr to imms are moved to the bottom; or if imms is less, bits 0 to imms up to -immr. */
static void move_bits(struct machine *machine)
{
    unsigned size = is_wide(machine->word) ? 64 : 32, how = field(machine->word, 29, 2);
    unsigned immr = field(machine->word, 16, 6), imms = field(machine->word, 10, 6);
    bool down = imms >= immr;
    unsigned count = down ? imms - immr + 1 : imms + 1, at = down ? 0 : size - immr;
    uint64_t bits = get(machine, first_of(machine)) >> (down ? immr : 0) & ones(count);
    uint64_t place = ones(count) << at, result = bits << at;
    if (how == 0)
        result = (uint64_t)arm64_extend(bits, count) << at;
    else if (how == 1)
        result |= get(machine, to_of(machine)) & ~place;
    put(machine, to_of(machine), result & mask_of(machine));
}

static bool holds(const struct machine *machine, unsigned condition)
{
    uint64_t flags = machine->flags;
    bool result, carry = flags & CARRY, zero = flags & ZERO, less = !(flags & NEGATIVE) != !(flags & OVERFLOW);
    switch (condition / 2) {
    case 0:
        result = zero;
        break;
    case 1:
        result = carry;
        break;
    case 2:
        result = flags & NEGATIVE;
        break;
    case 3:
        result = flags & OVERFLOW;
        break;
    case 4:
        result = carry && !zero;
        break;
    case 5:
        result = !less;
        break;
    case 6:
        result = !less && !zero;
        break;
    default:
        return true; /* both of them */
    }
    return result != (condition & 1);
}

/* csel, csinc, csinv, csneg */
static void choose(struct machine *machine)
{
    uint64_t value = get(machine, first_of(machine));
    if (!holds(machine, field(machine->word, 12, 4))) {
        value = get(machine, second_of(machine));
        if (field(machine->word, 30, 1))
            value = ~value;
        if (field(machine->word, 10, 1))
            value++;
    }
    put(machine, to_of(machine), value & mask_of(machine));
}

static uint64_t distance(const struct machine *machine, unsigned low, unsigned bits)
{
    return (uint64_t)arm64_extend(machine->word >> low & ones(bits), bits) * ARM64_INSTRUCTION;
}

static uint64_t load(struct machine *machine, unsigned size)
{
    enum { PAGE = 4096 };
    uint64_t address = machine->pc + distance(machine, 5, 19), value = 0;
    machine->failed |=
        address % PAGE + size > PAGE || !machine->memory->read(machine->memory->arg, address, &value, size);
    return value;
}

static void move_constant(struct machine *machine, enum operation operation)
{
    unsigned at = 16 * field(machine->word, 21, 2);
    uint64_t constant = (uint64_t)field(machine->word, 5, 16) << at;
    if (operation == MOVE_KEEPING)
        constant |= get(machine, to_of(machine)) & ~(UINT64_C(0xffff) << at);
    else if (operation == MOVE_INVERTED)
        constant = ~constant;
    put(machine, to_of(machine), constant & mask_of(machine));
}

static bool tests_zero(const struct machine *machine)
{
    return (get(machine, to_of(machine)) & mask_of(machine)) == 0;
}

static bool tests_bit(const struct machine *machine)
{
    return get(machine, to_of(machine)) >> (field(machine->word, 31, 1) << 5 | field(machine->word, 19, 5)) & 1;
}

static enum arch_branch_checks checks(const struct machine *machine)
{
    return machine->memory->branch_checks(machine->memory->arg, machine->pc);
}

/* How a branch through a register is remembered (BTYPE): 2 for calls; 1 for jumps that may go to where calls go, too. */
static uint64_t branch_kind(struct machine *machine, enum operation operation)
{
    enum { IP0 = 16, IP1 = 17, FREE = 1, CALLED = 2, JUMPED = 3 };
    unsigned through = first_of(machine);
    enum arch_branch_checks checked = checks(machine);
    machine->failed |= checked == ARCH_BRANCHES_UNKNOWN;
    if (checked == ARCH_BRANCHES_NEVER)
        return 0;
    if (operation == CALL_REGISTER)
        return CALLED;
    return through == IP0 || through == IP1 || checked == ARCH_BRANCHES_FREE ? FREE : JUMPED;
}

/* The result is where it goes on. */
static uint64_t execute(struct machine *machine, enum operation operation, uint64_t *branched)
{
    uint64_t pc = machine->pc, behind = pc + ARM64_INSTRUCTION, word = machine->word, to;
    bool jumps;
    switch (operation) {
    case NOTHING:
    case LANDING:
        break;
    case ADDRESS:
        put(machine, to_of(machine), pc + (uint64_t)arm64_extend(field(word, 5, 19) << 2 | field(word, 29, 2), 21));
        break;
    case ADDRESS_OF_PAGE:
        put(machine, to_of(machine),
            (pc & ~UINT64_C(0xfff)) + ((uint64_t)arm64_extend(field(word, 5, 19) << 2 | field(word, 29, 2), 21) << 12));
        break;
    case CALL:
        put(machine, ARM64_x30, behind);
        /* fall through */
    case JUMP:
        return pc + distance(machine, 0, 26);
    case JUMP_IF:
        return holds(machine, field(word, 0, 4)) ? pc + distance(machine, 5, 19) : behind;
    case JUMP_IF_ZERO:
    case JUMP_IF_NOT_ZERO:
        jumps = tests_zero(machine) == (operation == JUMP_IF_ZERO);
        return jumps ? pc + distance(machine, 5, 19) : behind;
    case JUMP_IF_BIT_CLEAR:
    case JUMP_IF_BIT_SET:
        jumps = tests_bit(machine) == (operation == JUMP_IF_BIT_SET);
        return jumps ? pc + distance(machine, 5, 14) : behind;
    case RETURN:
        return get(machine, first_of(machine));
    case JUMP_TO_REGISTER:
    case CALL_REGISTER:
        to = get(machine, first_of(machine));
        *branched = branch_kind(machine, operation);
        if (operation == CALL_REGISTER)
            put(machine, ARM64_x30, behind);
        return to;
    case LOAD_32:
        put(machine, to_of(machine), load(machine, sizeof(uint32_t)));
        break;
    case LOAD_64:
        put(machine, to_of(machine), load(machine, sizeof(uint64_t)));
        break;
    case LOAD_32_SIGNED:
        put(machine, to_of(machine), (uint64_t)arm64_extend(load(machine, sizeof(uint32_t)), 32));
        break;
    case MOVE_INVERTED:
    case MOVE:
    case MOVE_KEEPING:
        move_constant(machine, operation);
        break;
    case ADD_CONSTANT:
        add(machine, get_or_sp(machine, first_of(machine)), (uint64_t)field(word, 10, 12) << 12 * field(word, 22, 1),
            true);
        break;
    case ADD_SHIFTED:
        add(machine, get(machine, first_of(machine)),
            shift(machine, get(machine, second_of(machine)), field(word, 22, 2), field(word, 10, 6)), false);
        break;
    case ADD_EXTENDED:
        add(machine, get_or_sp(machine, first_of(machine)), extend(machine, get(machine, second_of(machine))), true);
        break;
    case LOGIC_CONSTANT:
        combine(machine, get(machine, first_of(machine)), machine->constant, true);
        break;
    case LOGIC_SHIFTED:
        to = shift(machine, get(machine, second_of(machine)), field(word, 22, 2), field(word, 10, 6));
        combine(machine, get(machine, first_of(machine)), field(word, 21, 1) ? ~to : to, false);
        break;
    case MOVE_BITS:
        move_bits(machine);
        break;
    case SELECT:
        choose(machine);
        break;
    }
    return behind;
}

/* May such a branch go to it, where that is checked? Bit 6 of bti: for calls, bit 7: for jumps; a jump of kind 1 may go to both. */
static bool may_land(const struct machine *machine, enum operation operation, uint64_t kind)
{
    unsigned lands = operation == LANDING ? field(machine->word, 6, 2) : 0;
    return kind == 1 ? lands != 0 : kind == 2 ? lands & 1 : (lands & 2) != 0;
}

bool arm64_is_ordinary(const struct arch_registers *registers)
{
    uint64_t state = registers->bytes[ARM64_pstate];
    return registers->size == ARM64_WORDS * sizeof *registers->bytes &&
           (int64_t)registers->bytes[ARM64_syscallno] < 0 && !(state >> 32) && !(state & (NARROW | ILLEGAL));
}

bool arm64_emulate(const struct arch_plan *opaque, struct arch_registers *registers, const struct arch_memory *memory)
{
    struct plan plan;
    memcpy(&plan, opaque, sizeof plan);
    struct arch_registers after = *registers;
    uint64_t state = registers->bytes[ARM64_pstate], came = (state & ARM64_BRANCHED) >> ARM64_BRANCHED_SHIFT;
    enum operation operation = (enum operation)plan.operation;
    struct machine machine = {.word = plan.word,
                              .constant = plan.constant,
                              .registers = &after,
                              .memory = memory,
                              .pc = registers->bytes[ARM64_pc],
                              .flags = state & ~(uint64_t)ARM64_BRANCHED};
    uint64_t branched = 0;
    if (!arm64_is_ordinary(registers) ||
        (came && !may_land(&machine, operation, came) && checks(&machine) != ARCH_BRANCHES_FREE))
        return false;
    uint64_t pc = execute(&machine, operation, &branched);
    if (machine.failed || pc >> ADDRESS_BITS || pc % ARM64_INSTRUCTION)
        return false;
    after.bytes[ARM64_pc] = pc;
    after.bytes[ARM64_pstate] = machine.flags | branched << ARM64_BRANCHED_SHIFT;
    *registers = after;
    return true;
}
