/* Bytecode of gdb's agent expressions: checked when it is made, executed at a hit.
 *
 * It may come from a network, so nothing in it is trusted, and the check is what makes the execution safe and simple.
 * After it
 *   - every instruction is one that there is, with all its operands, and jumps go to instructions only;
 *   - no way through the code leaves it other than by `end`;
 *   - at each instruction the stack has one and the same depth, by whatever way it is come to. So the depth is known when the
 *     code is made, and the execution need not look at it.
 * What is left to the execution are the values: divisors, addresses, numbers of registers and variables, and that a
 * loop ends, for which the number of steps is limited.
 *
 * What C leaves undefined is defined here: integers wrap, the smallest number divided by -1 is itself, and a shift by 64
 * or more shifts everything out. */
#include "engine/bytecode.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/error.h"

struct rein_bytecode {
    _Atomic unsigned references;
    bool has_value; /* at each of its ends */
    unsigned char code[];
};

enum opcode {
    OP_FLOAT = 0x01,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV_SIGNED,
    OP_DIV_UNSIGNED,
    OP_REM_SIGNED,
    OP_REM_UNSIGNED,
    OP_LSH,
    OP_RSH_SIGNED,
    OP_RSH_UNSIGNED,
    OP_TRACE,
    OP_TRACE_QUICK,
    OP_LOG_NOT,
    OP_BIT_AND,
    OP_BIT_OR,
    OP_BIT_XOR,
    OP_BIT_NOT,
    OP_EQUAL,
    OP_LESS_SIGNED,
    OP_LESS_UNSIGNED,
    OP_EXT,
    OP_REF8,
    OP_REF16,
    OP_REF32,
    OP_REF64,
    OP_REF_FLOAT,
    OP_REF_DOUBLE,
    OP_REF_LONG_DOUBLE,
    OP_L_TO_D,
    OP_D_TO_L,
    OP_IF_GOTO = 0x20,
    OP_GOTO,
    OP_CONST8,
    OP_CONST16,
    OP_CONST32,
    OP_CONST64,
    OP_REG,
    OP_END,
    OP_DUP,
    OP_POP,
    OP_ZERO_EXT,
    OP_SWAP,
    OP_GETV,
    OP_SETV,
    OP_TRACEV,
    OP_TRACENZ,
    OP_TRACE16,
    OP_PICK = 0x32,
    OP_ROT,
    OP_PRINTF,
};

/* operand: its bytes; printf has a string behind them. needs: how many values must be on the stack, and change: how many
 * more there are afterwards; pick and printf add to these by their operands. */
struct operation {
    const char *name;
    unsigned char operand, needs;
    signed char change;
    bool is_float;
};
static const struct operation operations[] = {
    [OP_FLOAT] = {.name = "float", .is_float = true},
    [OP_ADD] = {"add", 0, 2, -1, false},
    [OP_SUB] = {"sub", 0, 2, -1, false},
    [OP_MUL] = {"mul", 0, 2, -1, false},
    [OP_DIV_SIGNED] = {"div_signed", 0, 2, -1, false},
    [OP_DIV_UNSIGNED] = {"div_unsigned", 0, 2, -1, false},
    [OP_REM_SIGNED] = {"rem_signed", 0, 2, -1, false},
    [OP_REM_UNSIGNED] = {"rem_unsigned", 0, 2, -1, false},
    [OP_LSH] = {"lsh", 0, 2, -1, false},
    [OP_RSH_SIGNED] = {"rsh_signed", 0, 2, -1, false},
    [OP_RSH_UNSIGNED] = {"rsh_unsigned", 0, 2, -1, false},
    [OP_TRACE] = {"trace", 0, 2, -2, false},
    [OP_TRACE_QUICK] = {"trace_quick", 1, 1, 0, false},
    [OP_LOG_NOT] = {"log_not", 0, 1, 0, false},
    [OP_BIT_AND] = {"bit_and", 0, 2, -1, false},
    [OP_BIT_OR] = {"bit_or", 0, 2, -1, false},
    [OP_BIT_XOR] = {"bit_xor", 0, 2, -1, false},
    [OP_BIT_NOT] = {"bit_not", 0, 1, 0, false},
    [OP_EQUAL] = {"equal", 0, 2, -1, false},
    [OP_LESS_SIGNED] = {"less_signed", 0, 2, -1, false},
    [OP_LESS_UNSIGNED] = {"less_unsigned", 0, 2, -1, false},
    [OP_EXT] = {"ext", 1, 1, 0, false},
    [OP_REF8] = {"ref8", 0, 1, 0, false},
    [OP_REF16] = {"ref16", 0, 1, 0, false},
    [OP_REF32] = {"ref32", 0, 1, 0, false},
    [OP_REF64] = {"ref64", 0, 1, 0, false},
    [OP_REF_FLOAT] = {.name = "ref_float", .is_float = true},
    [OP_REF_DOUBLE] = {.name = "ref_double", .is_float = true},
    [OP_REF_LONG_DOUBLE] = {.name = "ref_long_double", .is_float = true},
    [OP_L_TO_D] = {.name = "l_to_d", .is_float = true},
    [OP_D_TO_L] = {.name = "d_to_l", .is_float = true},
    [OP_IF_GOTO] = {"if_goto", 2, 1, -1, false},
    [OP_GOTO] = {"goto", 2, 0, 0, false},
    [OP_CONST8] = {"const8", 1, 0, 1, false},
    [OP_CONST16] = {"const16", 2, 0, 1, false},
    [OP_CONST32] = {"const32", 4, 0, 1, false},
    [OP_CONST64] = {"const64", 8, 0, 1, false},
    [OP_REG] = {"reg", 2, 0, 1, false},
    [OP_END] = {"end", 0, 0, 0, false},
    [OP_DUP] = {"dup", 0, 1, 1, false},
    [OP_POP] = {"pop", 0, 1, -1, false},
    [OP_ZERO_EXT] = {"zero_ext", 1, 1, 0, false},
    [OP_SWAP] = {"swap", 0, 2, 0, false},
    [OP_GETV] = {"getv", 2, 0, 1, false},
    [OP_SETV] = {"setv", 2, 1, 0, false},
    [OP_TRACEV] = {"tracev", 2, 0, 0, false},
    [OP_TRACENZ] = {"tracenz", 0, 2, -2, false},
    [OP_TRACE16] = {"trace16", 2, 1, 0, false},
    [OP_PICK] = {"pick", 1, 1, 1, false},
    [OP_ROT] = {"rot", 0, 3, 0, false},
    [OP_PRINTF] = {"printf", 3, 2, -2, false},
};

/* An instruction with its operand; of printf: the count of its values in the highest of three bytes, and the length of
 * the string behind them in the others. */
struct instruction {
    enum opcode opcode;
    const struct operation *operation; /* NULL: there is none with that number */
    uint64_t operand;
    size_t next;
};

static struct instruction decode(const unsigned char *code, size_t at)
{
    struct instruction it = {.opcode = (enum opcode)code[at], .next = at + 1};
    if (code[at] < sizeof operations / sizeof *operations && operations[code[at]].name)
        it.operation = &operations[code[at]];
    for (unsigned i = 0; it.operation && i < it.operation->operand; i++)
        it.operand = it.operand << 8 | code[it.next++];
    if (it.opcode == OP_PRINTF)
        it.next += it.operand & 0xffff;
    return it;
}

/* ---- The check ---- */

struct check {
    const unsigned char *code;
    size_t size, at;
    int16_t *depths;      /* of the stack in front of the instruction there */
    uint16_t *unfinished; /* instructions of which the depth is known, and what follows them is not */
    size_t unfinished_count;
    bool has_value;
};
enum { DEPTH_INSIDE = -2, DEPTH_UNKNOWN = -1 }; /* no instruction begins there; none has been come to */

#define AT "byte %zu of the bytecode: "

static int check_operand(const struct check *check, const struct instruction *it)
{
    const char *name = it->operation->name;
    if ((it->opcode == OP_EXT || it->opcode == OP_ZERO_EXT) && (it->operand < 1 || it->operand > 64))
        return error_fail(REIN_INVALID_ARGUMENT, AT "%s is of %u bits: 1 to 64 can be extended", check->at, name,
                          (unsigned)it->operand);
    if (it->opcode == OP_PRINTF && (!(it->operand & 0xffff) || check->code[it->next - 1]))
        return error_fail(REIN_INVALID_ARGUMENT, AT "the string of printf does not end with a 0", check->at);
    return 0;
}

/* Every byte belongs to an instruction that there is. */
static int check_instructions(struct check *check)
{
    for (size_t i = 0; i < check->size; i++)
        check->depths[i] = DEPTH_INSIDE;
    for (check->at = 0; check->at < check->size;) {
        unsigned char opcode = check->code[check->at];
        bool known = opcode < sizeof operations / sizeof *operations && operations[opcode].name;
        if (!known)
            return error_fail(REIN_INVALID_ARGUMENT, AT "0x%02x is no instruction", check->at, opcode);
        const struct operation *operation = &operations[opcode];
        if (operation->is_float)
            return error_fail(REIN_INVALID_ARGUMENT, AT "%s: floating point is not supported", check->at,
                              operation->name);
        size_t left = check->size - check->at - 1;
        struct instruction it = {.next = SIZE_MAX};
        if (left >= operation->operand)
            it = decode(check->code, check->at);
        if (it.next > check->size)
            return error_fail(REIN_INVALID_ARGUMENT, AT "%s is cut off at the end of the code", check->at,
                              operation->name);
        int result = check_operand(check, &it);
        if (result)
            return result;
        check->depths[check->at] = DEPTH_UNKNOWN;
        check->at = it.next;
    }
    return 0;
}

/* The instruction at .at goes on there. */
static int note_way(struct check *check, size_t to, int depth)
{
    if (to >= check->size)
        return error_fail(REIN_INVALID_ARGUMENT, AT "from here the code goes on at byte %zu, and has only %zu",
                          check->at, to, check->size);
    if (check->depths[to] == DEPTH_INSIDE)
        return error_fail(REIN_INVALID_ARGUMENT, AT "a jump to byte %zu, which is in the middle of an instruction",
                          check->at, to);
    if (check->depths[to] != DEPTH_UNKNOWN && check->depths[to] != depth)
        return error_fail(REIN_INVALID_ARGUMENT,
                          AT "from here byte %zu is come to with %d values on the stack, on another way with %d",
                          check->at, to, depth, check->depths[to]);
    if (check->depths[to] == DEPTH_UNKNOWN) {
        check->depths[to] = (int16_t)depth;
        check->unfinished[check->unfinished_count++] = (uint16_t)to;
    }
    return 0;
}

static int check_one(struct check *check)
{
    struct instruction it = decode(check->code, check->at);
    int depth = check->depths[check->at], needs = it.operation->needs, change = it.operation->change;
    if (it.opcode == OP_PICK)
        needs += (int)it.operand;
    if (it.opcode == OP_PRINTF) {
        needs += (int)(it.operand >> 16);
        change -= (int)(it.operand >> 16);
    }
    if (depth < needs)
        return error_fail(REIN_INVALID_ARGUMENT, AT "%s needs %d values on the stack, where %d are", check->at,
                          it.operation->name, needs, depth);
    if (depth + change > BYTECODE_STACK_MAX)
        return error_fail(REIN_INVALID_ARGUMENT, AT "%s puts more than %d values on the stack", check->at,
                          it.operation->name, BYTECODE_STACK_MAX);
    if (it.opcode == OP_END && !depth)
        check->has_value = false;
    int result = 0;
    if (it.opcode == OP_GOTO || it.opcode == OP_IF_GOTO)
        result = note_way(check, (size_t)it.operand, depth + change);
    if (!result && it.opcode != OP_GOTO && it.opcode != OP_END)
        result = note_way(check, it.next, depth + change);
    return result;
}

/* Each instruction that can be come to, once. */
static int check_ways(struct check *check)
{
    check->at = 0;
    int result = note_way(check, 0, 0);
    while (!result && check->unfinished_count) {
        check->at = check->unfinished[--check->unfinished_count];
        result = check_one(check);
    }
    return result;
}

int rein_bytecode_create(const void *code, size_t size, rein_bytecode **bytecode)
{
    if (!bytecode || !code)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_bytecode_create: code or bytecode is NULL");
    *bytecode = NULL;
    if (!size || size > BYTECODE_SIZE_MAX)
        return error_fail(REIN_INVALID_ARGUMENT, "the bytecode has %zu bytes: it must have 1 to %d", size,
                          BYTECODE_SIZE_MAX);
    struct check check = {.code = code, .size = size, .has_value = true};
    check.depths = malloc(size * sizeof *check.depths);
    check.unfinished = malloc(size * sizeof *check.unfinished);
    rein_bytecode *made = malloc(sizeof *made + size);
    int result = 0;
    if (!check.depths || !check.unfinished || !made)
        result = error_fail(REIN_NO_MEMORY, "no memory for bytecode of %zu bytes", size);
    if (!result)
        result = check_instructions(&check);
    if (!result)
        result = check_ways(&check);
    if (!result) {
        atomic_init(&made->references, 1);
        made->has_value = check.has_value;
        memcpy(made->code, code, size);
        *bytecode = made;
    } else {
        free(made);
    }
    free(check.unfinished);
    free(check.depths);
    return result;
}

rein_bytecode *rein_bytecode_ref(rein_bytecode *bytecode)
{
    if (bytecode)
        atomic_fetch_add_explicit(&bytecode->references, 1, memory_order_relaxed);
    return bytecode;
}

void rein_bytecode_unref(rein_bytecode *bytecode)
{
    if (bytecode && atomic_fetch_sub_explicit(&bytecode->references, 1, memory_order_acq_rel) == 1)
        free(bytecode);
}

bool bytecode_has_value(const rein_bytecode *bytecode)
{
    return bytecode->has_value;
}

/* ---- The execution ---- */

const char bytecode_no_memory[] = "memory cannot be read", bytecode_too_many_steps[] = "it takes too many steps";

int bytecode_trouble_text(const char *trouble, uint64_t address, char *text, size_t size)
{
    if (!strcmp(trouble, bytecode_no_memory))
        return snprintf(text, size, "memory at 0x%llx cannot be read", (unsigned long long)address);
    return snprintf(text, size, "%s", trouble);
}

struct run {
    const struct bytecode_machine *machine;
    uint64_t *top; /* of the stack; what is below that is there by the check */
    unsigned steps;
    uint64_t bad_address;
};

static uint64_t extend_sign(uint64_t value, unsigned bits)
{
    uint64_t sign = UINT64_C(1) << (bits - 1);
    uint64_t low = value & (sign | (sign - 1));
    return (low ^ sign) - sign;
}

static uint64_t shift_right_signed(uint64_t value, uint64_t count)
{
    uint64_t filled = value >> 63 ? ~UINT64_C(0) : 0;
    return count >= 64 ? filled : count ? value >> count | filled << (64 - count) : value;
}

/* Of the magnitudes, so that nothing overflows. */
static uint64_t divide_signed(uint64_t a, uint64_t b, bool remainder)
{
    bool a_negative = a >> 63, b_negative = b >> 63;
    uint64_t over = a_negative ? -a : a, under = b_negative ? -b : b;
    bool negative = remainder ? a_negative : a_negative != b_negative;
    uint64_t result = remainder ? over % under : over / under;
    return negative ? -result : result;
}

static bool less_signed(uint64_t a, uint64_t b)
{
    const uint64_t sign = UINT64_C(1) << 63;
    return (a ^ sign) < (b ^ sign);
}

/* Two values in, one out. NULL, or what is the matter. */
static const char *combine(enum opcode opcode, uint64_t a, uint64_t b, uint64_t *result)
{
    bool divides = opcode >= OP_DIV_SIGNED && opcode <= OP_REM_UNSIGNED;
    if (divides && !b)
        return "division by zero";
    switch (opcode) {
    case OP_ADD:
        *result = a + b;
        break;
    case OP_SUB:
        *result = a - b;
        break;
    case OP_MUL:
        *result = a * b;
        break;
    case OP_DIV_SIGNED:
        *result = divide_signed(a, b, false);
        break;
    case OP_DIV_UNSIGNED:
        *result = a / b;
        break;
    case OP_REM_SIGNED:
        *result = divide_signed(a, b, true);
        break;
    case OP_REM_UNSIGNED:
        *result = a % b;
        break;
    case OP_LSH:
        *result = b < 64 ? a << b : 0;
        break;
    case OP_RSH_SIGNED:
        *result = shift_right_signed(a, b);
        break;
    case OP_RSH_UNSIGNED:
        *result = b < 64 ? a >> b : 0;
        break;
    case OP_BIT_AND:
        *result = a & b;
        break;
    case OP_BIT_OR:
        *result = a | b;
        break;
    case OP_BIT_XOR:
        *result = a ^ b;
        break;
    case OP_EQUAL:
        *result = a == b;
        break;
    case OP_LESS_SIGNED:
        *result = less_signed(a, b);
        break;
    default: /* OP_LESS_UNSIGNED */
        *result = a < b;
        break;
    }
    return NULL;
}

static const char *read_memory(struct run *run, uint64_t address, unsigned char *bytes, size_t size)
{
    const struct bytecode_machine *machine = run->machine;
    address &= machine->address_mask;
    const char *trouble = machine->read(machine->arg, address, bytes, size);
    if (trouble)
        run->bad_address = address;
    return trouble;
}

/* In the tracee's byte order: the architectures that there are have the lowest byte first. */
static const char *load(struct run *run, size_t size)
{
    unsigned char bytes[8];
    uint64_t value = 0;
    const char *trouble = read_memory(run, *run->top, bytes, size);
    for (size_t i = size; !trouble && i-- > 0;)
        value = value << 8 | bytes[i];
    *run->top = value;
    return trouble;
}

static void trace(struct run *run, uint64_t address, uint64_t size)
{
    if (run->machine->trace)
        run->machine->trace(run->machine->output_arg, address & run->machine->address_mask, size);
}

/* A string, up to its 0, and no more than the given size. */
static const char *trace_string(struct run *run, uint64_t address, uint64_t size)
{
    uint64_t length = 0;
    unsigned char byte = 1;
    while (length < size && byte) {
        if (!run->steps--)
            return bytecode_too_many_steps;
        const char *trouble = read_memory(run, address + length++, &byte, 1);
        if (trouble)
            return trouble;
    }
    trace(run, address, length);
    return NULL;
}

/* On top of the values are the C library's function and stream of gdb's, which mean nothing here. */
static void print(struct run *run, const char *format, size_t count)
{
    uint64_t values[UINT8_MAX];
    run->top -= 2;
    for (size_t i = 0; i < count; i++)
        values[i] = *run->top--;
    if (run->machine->print)
        run->machine->print(run->machine->output_arg, format, values, count);
}

/* Executes an instruction that does not jump. */
static const char *execute(struct run *run, const struct instruction *it, const unsigned char *code)
{
    const struct bytecode_machine *machine = run->machine;
    unsigned number = (unsigned)it->operand;
    uint64_t *top = run->top, third;
    switch (it->opcode) {
    case OP_TRACE:
        run->top -= 2;
        trace(run, top[-1], top[0]);
        return NULL;
    case OP_TRACE_QUICK:
    case OP_TRACE16:
        trace(run, *top, it->operand);
        return NULL;
    case OP_TRACENZ:
        run->top -= 2;
        return trace_string(run, top[-1], top[0]);
    case OP_TRACEV: {
        uint64_t value = 0;
        return machine->variable(machine->arg, REIN_VARIABLE_TRACE, number, &value);
    }
    case OP_LOG_NOT:
        *top = !*top;
        return NULL;
    case OP_BIT_NOT:
        *top = ~*top;
        return NULL;
    case OP_EXT:
        *top = extend_sign(*top, number);
        return NULL;
    case OP_ZERO_EXT:
        *top &= ~UINT64_C(0) >> (64 - number);
        return NULL;
    case OP_REF8:
        return load(run, 1);
    case OP_REF16:
        return load(run, 2);
    case OP_REF32:
        return load(run, 4);
    case OP_REF64:
        return load(run, 8);
    case OP_CONST8:
    case OP_CONST16:
    case OP_CONST32:
    case OP_CONST64:
        *++run->top = it->operand;
        return NULL;
    case OP_REG:
        return machine->get_register(machine->arg, number, ++run->top);
    case OP_GETV:
        return machine->variable(machine->arg, REIN_VARIABLE_GET, number, ++run->top);
    case OP_SETV:
        return machine->variable(machine->arg, REIN_VARIABLE_SET, number, top);
    case OP_DUP:
        *++run->top = *top;
        return NULL;
    case OP_POP:
        run->top--;
        return NULL;
    case OP_SWAP:
        third = top[0];
        top[0] = top[-1];
        top[-1] = third;
        return NULL;
    case OP_PICK:
        *++run->top = *(top - it->operand);
        return NULL;
    case OP_ROT: /* a b c: c a b */
        third = top[0];
        top[0] = top[-1];
        top[-1] = top[-2];
        top[-2] = third;
        return NULL;
    case OP_PRINTF:
        print(run, (const char *)code + it->next - (it->operand & 0xffff), (size_t)(it->operand >> 16));
        return NULL;
    default:
        run->top--;
        return combine(it->opcode, top[-1], top[0], run->top);
    }
}

void bytecode_run(const rein_bytecode *bytecode, const struct bytecode_machine *machine,
                  struct rein_evaluation *evaluation)
{
    uint64_t stack[BYTECODE_STACK_MAX + 1]; /* the first is below the bottom */
    struct run run = {.machine = machine, .top = stack, .steps = BYTECODE_STEPS_MAX};
    const char *trouble = NULL;
    size_t at = 0;
    stack[0] = 0;
    for (;;) {
        struct instruction it = decode(bytecode->code, at);
        if (it.opcode == OP_END)
            break;
        if (!run.steps--) {
            trouble = bytecode_too_many_steps;
            break;
        }
        at = it.next;
        if (it.opcode == OP_GOTO) {
            at = (size_t)it.operand;
        } else if (it.opcode == OP_IF_GOTO) {
            if (*run.top--)
                at = (size_t)it.operand;
        } else {
            trouble = execute(&run, &it, bytecode->code);
        }
        if (trouble)
            break;
    }
    evaluation->trouble = trouble;
    evaluation->trouble_address = trouble ? run.bad_address : 0;
    evaluation->has_value = !trouble && run.top > stack;
    evaluation->value = evaluation->has_value ? *run.top : 0;
}
