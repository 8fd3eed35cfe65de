/* P5 E1: the bytecode of conditions: what each instruction does, what the check refuses, and that what it lets through, random
 * bytes above all, stays within its stack, its code and its number of steps (run it under AddressSanitizer and UBSan). No
 * program: registers, variables and memory are the test's own. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/bytecode.h"

enum {
    ADD = 0x02,
    SUB,
    MUL,
    DIV_SIGNED,
    DIV_UNSIGNED,
    REM_SIGNED,
    REM_UNSIGNED,
    LSH,
    RSH_SIGNED,
    RSH_UNSIGNED,
    TRACE,
    TRACE_QUICK,
    LOG_NOT,
    BIT_AND,
    BIT_OR,
    BIT_XOR,
    BIT_NOT,
    EQUAL,
    LESS_SIGNED,
    LESS_UNSIGNED,
    EXT,
    REF8,
    REF16,
    REF32,
    REF64,
    IF_GOTO = 0x20,
    GOTO,
    CONST8,
    CONST16,
    CONST32,
    CONST64,
    REG,
    END,
    DUP,
    POP,
    ZERO_EXT,
    SWAP,
    GETV,
    SETV,
    TRACEV,
    TRACENZ,
    TRACE16,
    PICK = 0x32,
    ROT,
    PRINTF,
};

/* ---- What the code works on ---- */

enum { MEMORY_AT = 0x1000, MEMORY_SIZE = 64 };
#define LOWEST (UINT64_C(1) << 63)
#define MINUS(n) ((uint64_t) - (int64_t)(n))

struct machine {
    unsigned char memory[MEMORY_SIZE];
    uint64_t set, traced_variable, traced_address, traced_size;
    char format[64];
    uint64_t values[UINT8_MAX];
    size_t value_count;
    unsigned reads, traces, prints;
};

static const char *get_register(void *arg, unsigned number, uint64_t *value)
{
    (void)arg;
    *value = number * UINT64_C(0x100000001);
    return number < 1000 ? NULL : "no register";
}

static const char *use_variable(void *arg, enum rein_variable_use use, unsigned number, uint64_t *value)
{
    struct machine *machine = arg;
    if (number >= 1000)
        return "no variable";
    if (use == REIN_VARIABLE_GET)
        *value = number + 7;
    else if (use == REIN_VARIABLE_SET)
        machine->set = *value;
    else
        machine->traced_variable = number;
    return NULL;
}

static const char *read_memory(void *arg, uint64_t address, void *buffer, size_t size)
{
    struct machine *machine = arg;
    machine->reads++;
    if (address < MEMORY_AT || address - MEMORY_AT > MEMORY_SIZE - size)
        return bytecode_no_memory;
    memcpy(buffer, machine->memory + (address - MEMORY_AT), size);
    return NULL;
}

static void note_trace(void *arg, uint64_t address, uint64_t size)
{
    struct machine *machine = arg;
    machine->traces++;
    machine->traced_address = address;
    machine->traced_size = size;
}

static void note_print(void *arg, const char *format, const uint64_t *values, size_t count)
{
    struct machine *machine = arg;
    machine->prints++;
    snprintf(machine->format, sizeof machine->format, "%s", format);
    memcpy(machine->values, values, count * sizeof *values);
    machine->value_count = count;
}

static void run_in(const rein_bytecode *bytecode, struct machine *machine, uint64_t mask,
                   struct rein_evaluation *evaluation)
{
    const struct bytecode_machine functions = {.get_register = get_register,
                                               .variable = use_variable,
                                               .read = read_memory,
                                               .address_mask = mask,
                                               .arg = machine,
                                               .trace = note_trace,
                                               .print = note_print,
                                               .output_arg = machine};
    bytecode_run(bytecode, &functions, evaluation);
}

static struct machine machine; /* of the last run */

static struct rein_evaluation run_with_mask(const unsigned char *code, size_t size, uint64_t mask)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    rein_bytecode *bytecode;
    memset(&machine, 0, sizeof machine);
    for (unsigned i = 0; i < MEMORY_SIZE; i++)
        machine.memory[i] = (unsigned char)(0x80 + i);
    memcpy(machine.memory + 32, "a string", 9);
    if (rein_bytecode_create(code, size, &bytecode))
        fail_msg("%s", rein_error_message());
    run_in(bytecode, &machine, mask, &evaluation);
    rein_bytecode_unref(bytecode);
    return evaluation;
}

#define CODE(...) (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__})
#define run(...) run_with_mask(CODE(__VA_ARGS__), UINT64_MAX)
#define assert_value(expected, ...) check_value(run(__VA_ARGS__), (expected), #__VA_ARGS__)
#define assert_trouble(words, ...) check_trouble(run(__VA_ARGS__), (words), #__VA_ARGS__)

static void check_value(struct rein_evaluation evaluation, uint64_t expected, const char *code)
{
    if (evaluation.trouble || !evaluation.has_value || evaluation.value != expected)
        fail_msg("%s: %s, 0x%" PRIx64 " instead of 0x%" PRIx64, code, evaluation.trouble ? evaluation.trouble : "",
                 evaluation.value, expected);
}

static void check_trouble(struct rein_evaluation evaluation, const char *words, const char *code)
{
    if (!evaluation.trouble || strcmp(evaluation.trouble, words) != 0 || evaluation.has_value || evaluation.value)
        fail_msg("%s: \"%s\" instead of \"%s\"", code, evaluation.trouble ? evaluation.trouble : "", words);
}

/* ---- Instructions ---- */

#define WORD(n)                                                                                                        \
    CONST64, (unsigned char)((uint64_t)(n) >> 56), (unsigned char)((uint64_t)(n) >> 48),                               \
        (unsigned char)((uint64_t)(n) >> 40), (unsigned char)((uint64_t)(n) >> 32),                                    \
        (unsigned char)((uint64_t)(n) >> 24), (unsigned char)((uint64_t)(n) >> 16),                                    \
        (unsigned char)((uint64_t)(n) >> 8), (unsigned char)(uint64_t)(n)

static void P5_constants_are_not_signed(void **state)
{
    (void)state;
    assert_value(0xfe, CONST8, 0xfe, END);
    assert_value(0xfedc, CONST16, 0xfe, 0xdc, END);
    assert_value(0xfedcba98, CONST32, 0xfe, 0xdc, 0xba, 0x98, END);
    assert_value(UINT64_C(0xfedcba9876543210), WORD(UINT64_C(0xfedcba9876543210)), END);
}

static void P5_arithmetic(void **state)
{
    (void)state;
    static const struct {
        unsigned char opcode;
        uint64_t a, b, result;
    } cases[] = {
        {ADD, 3, 4, 7},
        {ADD, UINT64_MAX, 2, 1},
        {SUB, 3, 4, UINT64_MAX},
        {MUL, 7, 6, 42},
        {MUL, LOWEST, 2, 0},
        {MUL, MINUS(3), 5, MINUS(15)},
        {DIV_SIGNED, MINUS(7), 2, MINUS(3)},
        {DIV_SIGNED, 7, MINUS(2), MINUS(3)},
        {DIV_SIGNED, MINUS(7), MINUS(2), 3},
        {DIV_SIGNED, LOWEST, UINT64_MAX, LOWEST},
        {DIV_SIGNED, LOWEST, 1, LOWEST},
        {DIV_SIGNED, 5, LOWEST, 0},
        {DIV_UNSIGNED, MINUS(7), 2, MINUS(7) / 2},
        {REM_SIGNED, MINUS(7), 2, MINUS(1)},
        {REM_SIGNED, 7, MINUS(2), 1},
        {REM_SIGNED, LOWEST, UINT64_MAX, 0},
        {REM_SIGNED, LOWEST, 10, MINUS(8)},
        {REM_UNSIGNED, MINUS(7), 10, MINUS(7) % 10},
        {LSH, 1, 63, LOWEST},
        {LSH, 1, 64, 0},
        {LSH, 1, UINT64_MAX, 0},
        {LSH, 5, 0, 5},
        {RSH_SIGNED, LOWEST, 63, UINT64_MAX},
        {RSH_SIGNED, LOWEST, 64, UINT64_MAX},
        {RSH_SIGNED, LOWEST, 0, LOWEST},
        {RSH_SIGNED, LOWEST - 1, 62, 1},
        {RSH_SIGNED, 8, 64, 0},
        {RSH_UNSIGNED, LOWEST, 63, 1},
        {RSH_UNSIGNED, LOWEST, 64, 0},
        {BIT_AND, 0xc, 0xa, 0x8},
        {BIT_OR, 0xc, 0xa, 0xe},
        {BIT_XOR, 0xc, 0xa, 0x6},
        {EQUAL, 5, 5, 1},
        {EQUAL, 5, 6, 0},
        {LESS_SIGNED, MINUS(1), 0, 1},
        {LESS_SIGNED, 0, MINUS(1), 0},
        {LESS_SIGNED, 4, 4, 0},
        {LESS_SIGNED, LOWEST, LOWEST - 1, 1},
        {LESS_UNSIGNED, MINUS(1), 0, 0},
        {LESS_UNSIGNED, 3, 4, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t a = cases[i].a, b = cases[i].b;
        struct rein_evaluation got = run(WORD(a), WORD(b), cases[i].opcode, END);
        if (got.trouble || got.value != cases[i].result)
            fail_msg("case %zu: 0x%" PRIx64 " instead of 0x%" PRIx64, i, got.value, cases[i].result);
    }
    assert_value(1, CONST8, 0, LOG_NOT, END);
    assert_value(0, CONST8, 9, LOG_NOT, END);
    assert_value(~UINT64_C(5), CONST8, 5, BIT_NOT, END);
    for (unsigned char opcode = DIV_SIGNED; opcode <= REM_UNSIGNED; opcode++)
        assert_trouble("division by zero", CONST8, 5, CONST8, 0, opcode, END);
}

static void P5_extending(void **state)
{
    (void)state;
    assert_value(UINT64_C(0xffffffffffffff80), WORD(0x1280), EXT, 8, END);
    assert_value(0x7f, WORD(0x127f), EXT, 8, END);
    assert_value(UINT64_MAX, CONST8, 1, EXT, 1, END);
    assert_value(0, CONST8, 2, EXT, 1, END);
    assert_value(LOWEST, WORD(LOWEST), EXT, 64, END);
    assert_value(0x80, WORD(0x1280), ZERO_EXT, 8, END);
    assert_value(1, WORD(UINT64_MAX), ZERO_EXT, 1, END);
    assert_value(UINT64_MAX, WORD(UINT64_MAX), ZERO_EXT, 64, END);
}

static void P5_stack(void **state)
{
    (void)state;
    assert_value(10, CONST8, 5, DUP, ADD, END);
    assert_value(1, CONST8, 1, CONST8, 2, POP, END);
    assert_value(1, CONST8, 2, CONST8, 3, SWAP, SUB, END);
    assert_value(2, CONST8, 2, CONST8, 3, PICK, 1, END);
    assert_value(3, CONST8, 2, CONST8, 3, PICK, 0, END);
    /* a b c: c a b */
    assert_value(2, CONST8, 1, CONST8, 2, CONST8, 3, ROT, END);
    assert_value(1, CONST8, 1, CONST8, 2, CONST8, 3, ROT, POP, END);
    assert_value(3, CONST8, 1, CONST8, 2, CONST8, 3, ROT, POP, POP, END);
    struct rein_evaluation nothing = run(END);
    assert_null(nothing.trouble);
    assert_false(nothing.has_value);
    nothing = run(CONST8, 3, POP, END);
    assert_false(nothing.has_value);
}

static void P5_jumps(void **state)
{
    (void)state;
    assert_value(7, GOTO, 0, 5, CONST8, 1, CONST8, 7, END);
    for (unsigned char taken = 0; taken < 2; taken++) /* taken ? 8 : 7 */
        assert_value(7u + taken, CONST8, taken, IF_GOTO, 0, 10, CONST8, 7, GOTO, 0, 12, CONST8, 8, END);
    struct rein_evaluation any = run(WORD(LOWEST), IF_GOTO, 0, 15, CONST8, 1, END, CONST8, 2, END); /* of all bits */
    assert_int_equal(any.value, 2);
}

static void P5_loops_have_a_limit(void **state)
{
    (void)state;
    /* n = 200; do n = n - 1; while (n); n + 9 */
    assert_value(9, CONST8, 200, CONST8, 1, SUB, DUP, IF_GOTO, 0, 2, CONST8, 9, ADD, END);
    assert_trouble("it takes too many steps", GOTO, 0, 0);
    assert_trouble("it takes too many steps", CONST8, 1, IF_GOTO, 0, 0, GOTO, 0, 0);
}

static void P5_memory(void **state)
{
    (void)state;
    assert_value(0x81, CONST16, 0x10, 0x01, REF8, END);
    assert_value(0x8281, CONST16, 0x10, 0x01, REF16, END);
    assert_value(0x84838281, CONST16, 0x10, 0x01, REF32, END);
    assert_value(UINT64_C(0x8887868584838281), CONST16, 0x10, 0x01, REF64, END);
    assert_trouble("memory cannot be read", CONST16, 0x10, 0x3e, REF32, END);
    struct rein_evaluation bad = run(CONST8, 0x10, REF64, END);
    char text[64];
    assert_int_equal(bad.trouble_address, 0x10);
    bytecode_trouble_text(bad.trouble, bad.trouble_address, text, sizeof text);
    assert_string_equal(text, "memory at 0x10 cannot be read");
    bytecode_trouble_text("division by zero", 0, text, sizeof text);
    assert_string_equal(text, "division by zero");
}

/* X2: of an address only the program's bits count, of a value all. */
static void P5_X2_addresses_of_32_bits(void **state)
{
    (void)state;
    const uint64_t above = UINT64_C(0x1234500001001), below = MINUS(0x10);
    struct rein_evaluation got = run_with_mask(CODE(WORD(above), DUP, REF8, SWAP, POP, END), UINT32_MAX);
    assert_null(got.trouble);
    assert_int_equal(got.value, 0x81);
    got = run_with_mask(CODE(WORD(above), END), UINT32_MAX);
    assert_int_equal(got.value, above);
    got = run_with_mask(CODE(WORD(below), REF8, END), UINT32_MAX);
    assert_int_equal(got.trouble_address, 0xfffffff0);
    got = run_with_mask(CODE(WORD(above), CONST8, 4, TRACE, END), UINT32_MAX);
    assert_int_equal(machine.traced_address, 0x1001);
    assert_false(got.has_value);
}

static void P5_registers_and_variables(void **state)
{
    (void)state;
    assert_value(UINT64_C(0x10200000102), REG, 1, 2, END);
    assert_trouble("no register", REG, 0xff, 0xff, END);
    assert_value(0x109, GETV, 1, 2, END);
    assert_trouble("no variable", GETV, 0xff, 0xff, END);
    assert_value(5, CONST8, 5, SETV, 0, 3, END); /* it stays on the stack */
    assert_int_equal(machine.set, 5);
    assert_trouble("no variable", CONST8, 5, SETV, 0xff, 0xff, END);
    assert_value(5, CONST8, 5, TRACEV, 0, 9, END);
    assert_int_equal(machine.traced_variable, 9);
}

static void P5_recording(void **state)
{
    (void)state;
    assert_value(5, CONST8, 5, CONST16, 0x20, 0, CONST8, 9, TRACE, END); /* which it need not be possible to read */
    assert_int_equal(machine.traced_address, 0x2000);
    assert_int_equal(machine.traced_size, 9);
    assert_int_equal(machine.reads, 0);
    assert_value(0x1000, CONST16, 0x10, 0, TRACE_QUICK, 200, END);
    assert_int_equal(machine.traced_size, 200);
    assert_value(0x1000, CONST16, 0x10, 0, TRACE16, 2, 3, END);
    assert_int_equal(machine.traced_size, 0x203);
    assert_value(5, CONST8, 5, CONST16, 0x10, 0x20, CONST8, 99, TRACENZ, END);
    assert_int_equal(machine.traced_address, 0x1020);
    assert_int_equal(machine.traced_size, 9); /* with its 0 */
    assert_value(5, CONST8, 5, CONST16, 0x10, 0x20, CONST8, 3, TRACENZ, END);
    assert_int_equal(machine.traced_size, 3);
    struct rein_evaluation bad = run(CONST16, 0x10, 0x3e, CONST8, 99, TRACENZ, END);
    assert_string_equal(bad.trouble, "memory cannot be read");
    assert_int_equal(bad.trouble_address, 0x1040);
    assert_int_equal(machine.traces, 0);
}

static void P5_printf(void **state)
{
    (void)state;
    assert_value(4, CONST8, 4, CONST8, 2, CONST8, 1, CONST8, 0, CONST8, 0, PRINTF, 2, 0, 6, '%', 'd', ' ', '%', 'd', 0,
                 END);
    assert_int_equal(machine.prints, 1);
    assert_string_equal(machine.format, "%d %d");
    assert_int_equal(machine.value_count, 2);
    assert_int_equal(machine.values[0], 1); /* the first is on top */
    assert_int_equal(machine.values[1], 2);
    struct rein_evaluation none = run(CONST8, 0, CONST8, 0, PRINTF, 0, 0, 1, 0, END);
    assert_false(none.has_value);
    assert_string_equal(machine.format, "");
    /* Without anyone to take it. */
    const struct bytecode_machine deaf = {.read = read_memory, .arg = &machine, .address_mask = UINT64_MAX};
    rein_bytecode *bytecode;
    assert_int_equal(
        rein_bytecode_create(CODE(CONST8, 0, CONST8, 0, PRINTF, 0, 0, 1, 0, CONST8, 1, TRACE_QUICK, 4, END), &bytecode),
        0);
    bytecode_run(bytecode, &deaf, &none);
    assert_int_equal(none.value, 1);
    rein_bytecode_unref(bytecode);
}

/* ---- The check ---- */

static void check_refused(const unsigned char *code, size_t size, const char *words)
{
    rein_bytecode *bytecode = (rein_bytecode *)&machine;
    assert_int_equal(rein_bytecode_create(code, size, &bytecode), REIN_INVALID_ARGUMENT);
    assert_null(bytecode);
    if (!strstr(rein_error_message(), words))
        fail_msg("\"%s\" does not say \"%s\"", rein_error_message(), words);
}
#define assert_refused(words, ...) check_refused(CODE(__VA_ARGS__), (words))

static void E1_what_is_no_code(void **state)
{
    (void)state;
    static const unsigned char floats[] = {0x01, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f}, none[] = {0x00, 0x31, 0x35, 0x7f, 0xff};
    unsigned char large[BYTECODE_SIZE_MAX + 1];
    rein_bytecode *bytecode;
    assert_int_equal(rein_bytecode_create(NULL, 1, &bytecode), REIN_INVALID_ARGUMENT);
    assert_int_equal(rein_bytecode_create(large, 1, NULL), REIN_INVALID_ARGUMENT);
    memset(large, GOTO, sizeof large);
    check_refused(large, 0, "has 0 bytes");
    check_refused(large, sizeof large, "has 65537 bytes: it must have 1 to 65536");
    for (size_t i = 0; i < sizeof floats; i++)
        assert_refused("byte 2 of the bytecode:", CONST8, 1, floats[i], END);
    assert_refused("ref_double: floating point is not supported", CONST8, 1, 0x1c, END);
    for (size_t i = 0; i < sizeof none; i++)
        assert_refused("is no instruction", CONST8, 1, none[i], END);
    assert_refused("byte 1 of the bytecode: 0x31 is no instruction", END, 0x31); /* though nobody comes there */
    for (unsigned char cut = 1; cut <= 8; cut++) {
        unsigned char code[] = {CONST64, 0, 0, 0, 0, 0, 0, 0, 0};
        check_refused(code, cut, "byte 0 of the bytecode: const64 is cut off");
    }
    assert_refused("printf is cut off", CONST8, 0, DUP, PRINTF, 0, 0, 2, 0);
    assert_refused("printf is cut off", CONST8, 0, DUP, PRINTF, 0, 0);
    assert_refused("does not end with a 0", CONST8, 0, DUP, PRINTF, 0, 0, 2, 'a', 'b', END);
    assert_refused("does not end with a 0", CONST8, 0, DUP, PRINTF, 0, 0, 0, END);
    assert_refused("ext is of 0 bits", CONST8, 0, EXT, 0, END);
    assert_refused("zero_ext is of 65 bits", CONST8, 0, ZERO_EXT, 65, END);
}

static void E1_ways_out_of_the_code(void **state)
{
    (void)state;
    assert_refused("byte 0 of the bytecode: from here the code goes on at byte 2, and has only 2", CONST8, 1);
    assert_refused("goes on at byte 4, and has only 4", GOTO, 0, 4, END);
    assert_refused("goes on at byte 65535", CONST8, 1, IF_GOTO, 0xff, 0xff, END);
    assert_refused("byte 2 of the bytecode: a jump to byte 1, which is in the middle", CONST8, END, GOTO, 0, 1);
    assert_refused("a jump to byte 8, which is in the middle", CONST8, 0, DUP, PRINTF, 0, 0, 2, END, 0, GOTO, 0, 8);
    assert_refused("goes on at byte 7, and has only 7", CONST8, 1, IF_GOTO, 0, 0, CONST8, 1);
}

static void E1_stack_that_is_not_there(void **state)
{
    (void)state;
    static const unsigned char twos[] = {ADD, SUB, MUL, TRACE, LSH, EQUAL, LESS_SIGNED, SWAP, TRACENZ, BIT_XOR};
    static const unsigned char ones[] = {DUP, POP, LOG_NOT, BIT_NOT, REF8, REF64};
    for (size_t i = 0; i < sizeof twos; i++)
        assert_refused("byte 2 of the bytecode:", CONST8, 1, twos[i], END);
    for (size_t i = 0; i < sizeof ones; i++)
        assert_refused("needs 1 values on the stack, where 0 are", ones[i], END);
    assert_refused("add needs 2 values on the stack, where 1 are", CONST8, 1, ADD, END);
    assert_refused("if_goto needs 1", IF_GOTO, 0, 3, END);
    assert_refused("ext needs 1", EXT, 8, END);
    assert_refused("setv needs 1", SETV, 0, 1, END);
    assert_refused("trace_quick needs 1", TRACE_QUICK, 1, END);
    assert_refused("trace16 needs 1", TRACE16, 0, 1, END);
    assert_refused("rot needs 3 values on the stack, where 2 are", CONST8, 1, DUP, ROT, END);
    assert_refused("pick needs 3 values on the stack, where 2 are", CONST8, 1, DUP, PICK, 2, END);
    assert_refused("printf needs 3 values on the stack, where 2 are", CONST8, 1, DUP, PRINTF, 1, 0, 1, 0, END);
    assert_refused("byte 0 is come to with 1 values on the stack, on another way with 0", CONST8, 1, GOTO, 0, 0);
    assert_refused("on another way with", CONST8, 1, DUP, IF_GOTO, 0, 8, CONST8, 2, END);
    /* What nobody comes to is not looked at. */
    assert_value(1, CONST8, 1, END, ADD, ADD);
}

static void E1_stack_that_is_full(void **state)
{
    (void)state;
    unsigned char code[BYTECODE_STACK_MAX + 3] = {CONST8, 1};
    memset(code + 2, DUP, sizeof code - 2);
    code[BYTECODE_STACK_MAX + 1] = END;
    struct rein_evaluation full = run_with_mask(code, BYTECODE_STACK_MAX + 2, UINT64_MAX);
    assert_null(full.trouble);
    assert_int_equal(full.value, 1);
    code[BYTECODE_STACK_MAX + 1] = DUP;
    code[BYTECODE_STACK_MAX + 2] = END;
    check_refused(code, sizeof code, "dup puts more than 256 values on the stack");
}

/* One that is the condition of a breakpoint must have a value wherever it ends. */
static void E1_value_at_each_end(void **state)
{
    (void)state;
    static const struct {
        unsigned char code[12];
        size_t size;
        bool has_value;
    } cases[] = {
        {{END}, 1, false},
        {{CONST8, 1, END}, 3, true},
        {{CONST8, 1, POP, END}, 4, false},
        {{CONST8, 1, END, END}, 4, true},
        {{CONST8, 1, IF_GOTO, 0, 8, CONST8, 1, END, END}, 9, false},
        {{GOTO, 0, 0}, 3, true}, /* it never ends, and that is trouble */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rein_bytecode *bytecode;
        assert_int_equal(rein_bytecode_create(cases[i].code, cases[i].size, &bytecode), 0);
        assert_int_equal(bytecode_has_value(bytecode), cases[i].has_value);
        rein_bytecode_unref(rein_bytecode_ref(bytecode));
        rein_bytecode_unref(bytecode);
    }
    rein_bytecode_unref(NULL);
    assert_null(rein_bytecode_ref(NULL));
}

/* The largest: 65,535 times "dup, pop" is long, and every instruction of it is checked. */
static void E1_largest(void **state)
{
    (void)state;
    unsigned char *code = malloc(BYTECODE_SIZE_MAX);
    assert_non_null(code);
    for (size_t i = 2; i < BYTECODE_SIZE_MAX; i++)
        code[i] = i % 2 ? POP : DUP;
    code[0] = CONST8;
    code[1] = 4;
    code[BYTECODE_SIZE_MAX - 2] = END;
    struct rein_evaluation got = run_with_mask(code, BYTECODE_SIZE_MAX, UINT64_MAX);
    free(code);
    assert_null(got.trouble);
    assert_int_equal(got.value, 4);
}

/* ---- Anything ---- */

static uint64_t seed;

static uint64_t next_random(void) /* xorshift64* */
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717);
}

/* Mostly instructions, with small numbers: else hardly any code would pass. */
static size_t make_random(unsigned char *code, size_t room)
{
    static const unsigned char sizes[] = {
        [EXT] = 1,     [TRACE_QUICK] = 1, [IF_GOTO] = 2, [GOTO] = 2,    [CONST8] = 1,
        [CONST16] = 2, [CONST32] = 4,     [CONST64] = 8, [REG] = 2,     [ZERO_EXT] = 1,
        [GETV] = 2,    [SETV] = 2,        [TRACEV] = 2,  [TRACE16] = 2, [PICK] = 1};
    size_t size = 1 + (size_t)(next_random() % (room - 1)), at = 0, head = (size_t)(next_random() % 8);
    bool wild = next_random() % 4 == 0;
    while (at < size) {
        unsigned char opcode = (unsigned char)(next_random() % (PRINTF + 1));
        if (at < 2 * head)
            opcode = CONST8;
        if (next_random() % 12 == 0)
            opcode = END;
        code[at++] = opcode;
        for (unsigned i = 0; i < (opcode < sizeof sizes ? sizes[opcode] : 0) && at < size; i++)
            code[at++] =
                (unsigned char)(i == 0 && sizes[opcode] == 2 && !wild ? 0 : next_random() % (wild ? 256 : size));
    }
    code[size - 1] = END;
    return size;
}

static void P5_E1_anything(void **state)
{
    (void)state;
    enum { ROUNDS = 400000, ROOM = 64 };
    const char *given = getenv("REIN_SEED"), *rounds = getenv("REIN_ROUNDS");
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time.tv_nsec * 2 + 1;
    print_message("REIN_SEED=%" PRIu64 "\n", seed);
    unsigned passed = 0, ended = 0, long_ones = 0;
    long count = rounds ? strtol(rounds, NULL, 0) * 1000 : ROUNDS;
    for (long i = 0; i < count; i++) {
        unsigned char code[ROOM];
        /* Of just that size, for AddressSanitizer to see what is read behind it. */
        size_t size = make_random(code, sizeof code);
        unsigned char *exact = malloc(size);
        assert_non_null(exact);
        memcpy(exact, code, size);
        rein_bytecode *bytecode;
        int result = rein_bytecode_create(exact, size, &bytecode);
        free(exact);
        if (result) {
            assert_int_equal(result, REIN_INVALID_ARGUMENT);
            assert_non_null(strstr(rein_error_message(), "byte"));
            continue;
        }
        passed++;
        struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
        if (long_ones < 2000) /* they take their time */
            run_in(bytecode, &machine, i % 2 ? UINT32_MAX : UINT64_MAX, &evaluation);
        ended += !evaluation.trouble;
        long_ones += evaluation.trouble && strstr(evaluation.trouble, "steps");
        assert_false(evaluation.has_value && evaluation.trouble);
        if (bytecode_has_value(bytecode) && long_ones < 2000)
            assert_true(evaluation.has_value || evaluation.trouble);
        rein_bytecode_unref(bytecode);
    }
    print_message("%u of %ld pass the check, %u come to their end, %u take too many steps\n", passed, count, ended,
                  long_ones);
    assert_true(passed > 100 && ended > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P5_constants_are_not_signed),
        cmocka_unit_test(P5_arithmetic),
        cmocka_unit_test(P5_extending),
        cmocka_unit_test(P5_stack),
        cmocka_unit_test(P5_jumps),
        cmocka_unit_test(P5_loops_have_a_limit),
        cmocka_unit_test(P5_memory),
        cmocka_unit_test(P5_X2_addresses_of_32_bits),
        cmocka_unit_test(P5_registers_and_variables),
        cmocka_unit_test(P5_recording),
        cmocka_unit_test(P5_printf),
        cmocka_unit_test(E1_what_is_no_code),
        cmocka_unit_test(E1_ways_out_of_the_code),
        cmocka_unit_test(E1_stack_that_is_not_there),
        cmocka_unit_test(E1_stack_that_is_full),
        cmocka_unit_test(E1_value_at_each_end),
        cmocka_unit_test(E1_largest),
        cmocka_unit_test(P5_E1_anything),
    };
    return cmocka_run_group_tests_name("bytecode", tests, NULL, NULL);
}
