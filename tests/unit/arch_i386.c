/* X2, R1-R3, T1, I1, N3 on i386: the register table against the kernel's block, what stepping knows of instructions, system
 * calls, and debug registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/arch.h"

/* The contract's order, and the words of the kernel's user_regs_struct32 (arch/x86/include/asm/user32.h), which no header
 * for programs has. */
static const struct {
    const char *name;
    size_t word;
} expected[] = {
    {"eax", 6}, {"ebx", 0},  {"ecx", 1},  {"edx", 2},     {"esi", 3},       {"edi", 4},
    {"ebp", 5}, {"esp", 15}, {"eip", 12}, {"eflags", 14}, {"cs", 13},       {"ss", 16},
    {"ds", 7},  {"es", 8},   {"fs", 9},   {"gs", 10},     {"orig_eax", 11},
};
#define COUNT ((int)(sizeof expected / sizeof *expected))
enum { EAX = 0, EDX = 3, EIP = 8, EFLAGS = 9, ORIG_EAX = 16 };

static uint32_t *words(struct arch_registers *registers)
{
    return (uint32_t *)(void *)registers->bytes;
}

static struct arch_registers numbered(void)
{
    struct arch_registers registers = {.arch = &arch_i386, .size = 68};
    for (uint32_t i = 0; i < COUNT; i++)
        words(&registers)[i] = 0xa5000000u + i;
    return registers;
}

static void X2_R3_names_and_words(void **state)
{
    (void)state;
    assert_int_equal(arch_i386.register_count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        struct arch_registers registers = numbered(), before = registers;
        assert_string_equal(arch_i386.registers[i].name, expected[i].name);
        assert_int_equal(arch_i386.get(&registers, i), 0xa5000000u + expected[i].word); /* not extended by its sign */
        arch_i386.set(&registers, i, UINT64_C(0x1fffffff0) - (uint64_t)i);
        words(&before)[expected[i].word] = 0xfffffff0u - (uint32_t)i;
        assert_memory_equal(&registers, &before, sizeof before); /* nothing beside it has changed */
    }
    struct arch_registers registers = numbered();
    assert_int_equal(arch_pc(&registers), 0xa5000000u + 12);
    assert_int_equal(arch_sp(&registers), 0xa5000000u + 15);
}

static uint64_t orig_eax_after_pc(uint32_t eax, uint32_t orig_eax, uint64_t pc)
{
    struct arch_registers registers = numbered();
    words(&registers)[6] = eax;
    words(&registers)[11] = orig_eax;
    words(&registers)[12] = 0x1000;
    arch_i386.set(&registers, EIP, pc);
    return arch_i386.get(&registers, ORIG_EAX);
}

static void X2_R1_set_pc_calls_off_a_restart(void **state)
{
    (void)state;
    for (int32_t eax = -516; eax <= -512; eax++) {
        assert_int_equal(orig_eax_after_pc((uint32_t)eax, 0, 0x2000), UINT32_MAX);
        assert_int_equal(orig_eax_after_pc((uint32_t)eax, 35, 0x1000), 35);
    }
    assert_int_equal(orig_eax_after_pc((uint32_t)-517, 35, 0x2000), 35);
    assert_int_equal(orig_eax_after_pc((uint32_t)-4, 35, 0x2000), 35);
}

static void X2_T1_classify(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        size_t size, length;
        enum arch_instruction kind;
    } instructions[] = {
#define CODE(bytes) bytes, sizeof(bytes) - 1
        {CODE("\xcd\x80"), 2, ARCH_INSTRUCTION_SYSCALL},           /* int 0x80 */
        {CODE("\x0f\x34"), 2, ARCH_INSTRUCTION_SYSCALL},           /* sysenter */
        {CODE("\x0f\x05"), 2, ARCH_INSTRUCTION_SYSCALL},           /* syscall */
        {CODE("\x9c"), 1, ARCH_INSTRUCTION_PUSHES_FLAGS},          /* pushfd */
        {CODE("\x9d"), 1, ARCH_INSTRUCTION_POPS_FLAGS},            /* popfd */
        {CODE("\xcf"), 1, ARCH_INSTRUCTION_POPS_FLAGS},            /* iretd */
        {CODE("\xf3\xa5"), 2, ARCH_INSTRUCTION_REPEATED},          /* rep movsd */
        {CODE("\x40"), 1, ARCH_INSTRUCTION_PLAIN},                 /* inc eax: a prefix on amd64 */
        {CODE("\x06"), 1, ARCH_INSTRUCTION_PLAIN},                 /* push es: nothing on amd64 */
        {CODE("\xa1\x01\x02\x03\x04"), 5, ARCH_INSTRUCTION_PLAIN}, /* mov eax, [0x4030201] */
        {CODE("\x17\x9c"), 1, ARCH_INSTRUCTION_PUSHES_FLAGS},      /* pop ss; pushfd: one step */
        {CODE("\x8e\xd0\xcd\x80"), 2, ARCH_INSTRUCTION_SYSCALL},   /* mov ss, ax; int 0x80 */
        {CODE("\x58\x9c"), 1, ARCH_INSTRUCTION_PLAIN},             /* pop eax; pushfd: two */
        {CODE("\x0f"), 0, ARCH_INSTRUCTION_UNKNOWN},
#undef CODE
    };
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        size_t length = 99;
        const unsigned char *code = (const unsigned char *)instructions[i].code;
        enum arch_instruction kind = arch_i386.classify(code, instructions[i].size, &length);
        if (kind != instructions[i].kind || length != instructions[i].length)
            fail_msg("number %zu: kind %d, length %zu", i, kind, length);
    }
}

/* I1: into a call, and back to one; results by their sign. */
static void X2_I1_calls(void **state)
{
    (void)state;
    static const size_t arguments[] = {0, 1, 2, 3, 4, 5}; /* ebx ecx edx esi edi ebp */
    const struct arch_call call = {.number = 20, .arguments = {1, 2, 3, 4, 5, UINT64_MAX}};
    struct arch_registers registers = numbered();
    struct arch_call found;
    arch_i386.set(&registers, EFLAGS, 0x346);
    arch_i386.set_call(&registers, 0x8048000, &call);
    assert_int_equal(arch_pc(&registers), 0x8048000);
    assert_int_equal(arch_i386.get(&registers, EAX), 20);
    assert_int_equal(arch_i386.get(&registers, ORIG_EAX), UINT32_MAX);
    assert_int_equal(arch_i386.get(&registers, EFLAGS), 0x246);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(words(&registers)[arguments[i]], (uint32_t)call.arguments[i]);

    arch_i386.get_call(&registers, &found);
    assert_int_equal(found.number, UINT64_MAX); /* none */
    arch_i386.set(&registers, ORIG_EAX, 20);
    arch_i386.get_call(&registers, &found);
    assert_int_equal(found.number, 20);
    assert_int_equal(found.arguments[5], UINT32_MAX);

    static const struct {
        uint32_t eax;
        int64_t result;
    } results[] = {{0, 0},
                   {(uint32_t)-1, -1},
                   {(uint32_t)-514, -514},
                   {(uint32_t)-4095, -4095},
                   {0xfffff000, 0xfffff000},
                   {0xf7000000, 0xf7000000},
                   {0x80000000, 0x80000000}};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        arch_i386.set(&registers, EAX, results[i].eax);
        assert_int_equal(arch_i386.call_result(&registers), results[i].result);
    }
    arch_i386.set_result(&registers, -514);
    assert_int_equal(arch_i386.get(&registers, EAX), (uint32_t)-514);
    arch_i386.remake_call(&registers);
    assert_int_equal(arch_pc(&registers), 0x8047ffe);
    assert_int_equal(arch_i386.get(&registers, EAX), 20);
    arch_i386.set(&registers, ORIG_EAX, 162);
    arch_i386.set(&registers, EAX, (uint32_t)-516);
    arch_i386.remake_call(&registers);
    assert_int_equal(arch_i386.get(&registers, EAX), 0); /* restart_syscall */

    size_t length;
    assert_int_equal(arch_i386.classify(arch_i386.syscall, arch_i386.syscall_size, &length), ARCH_INSTRUCTION_SYSCALL);
    assert_int_equal(length, arch_i386.syscall_size);
}

/* I4: arguments as they are pushed, the registers at the function's first instruction, its results, and where the stack pointer may
 * be behind it. */
static void X2_I4_functions(void **state)
{
    (void)state;
    static unsigned char bytes[512]; /* without XSAVE: x87 and SSE alone */
    struct arch_block block = {.bytes = bytes, .room = sizeof bytes, .size = sizeof bytes};
    struct arch_registers registers = numbered(), before = registers;
    uint64_t memory[8] = {0};
    const struct rein_call_argument arguments[] = {
        {.type = REIN_CALL_INTEGER, {.word = (rein_word)-2}},
        {.type = REIN_CALL_INTEGER64, {.word = UINT64_C(0x1122334455667788)}},
        {.type = REIN_CALL_DOUBLE, {.real = 1.5}},
        {.type = REIN_CALL_FLOAT, {.single = 1.5F}},
    };
    static const uint32_t stack[] = {0xfffff0f0, 0xfffffffe, 0x55667788, 0x11223344, 0, 0x3ff80000, 0x3fc00000};
    struct arch_function function = {
        .pc = 0x8048000, .arguments = arguments, .count = 4, .stack = 0xffff1003, .memory = memory};
    bytes[4] = 0xff; /* the x87's stack is full */
    arch_i386.lay_out(&block, ARCH_SET_X86_XSTATE);
    arch_i386.set(&registers, EFLAGS, 0x50f46);
    assert_true(arch_i386.set_function(&registers, &block, &function));
    assert_int_equal(function.size, sizeof stack);
    assert_memory_equal(memory, stack, sizeof stack);
    assert_int_equal(arch_i386.return_address, stack[0]);
    assert_int_equal(arch_sp(&registers), 0xffff0fe0 - 4);
    assert_int_equal(function.sp_behind, 0xffff0fe0);
    assert_int_equal(function.sp_behind_most, 0xffff0fe0 + 24);
    assert_int_equal(arch_pc(&registers), 0x8048000);
    assert_int_equal(arch_i386.get(&registers, ORIG_EAX), UINT32_MAX);
    assert_int_equal(arch_i386.get(&registers, EFLAGS), 0xa46); /* without TF, DF, RF, AC */
    assert_int_equal(bytes[4], 0);
    for (int i = 0; i < EIP - 1; i++)
        assert_int_equal(arch_i386.get(&registers, i), arch_i386.get(&before, i));

    struct rein_call_result result;
    const long double third = 1.0L / 3;
    arch_i386.set(&registers, EAX, 0x80000001);
    memcpy(bytes + 32, &third, 10);
    memset(bytes + 160, 0x55, 32);
    arch_i386.function_result(&registers, &block, &result);
    assert_int_equal(result.words[0], 0x80000001);
    assert_int_equal(result.words[1], arch_i386.get(&registers, EDX));
    assert_memory_equal(result.extended, &third, 10);
    assert_memory_equal(result.vectors, bytes + 160, 32);

    registers.size = 64; /* not its own */
    assert_false(arch_i386.set_function(&registers, &block, &function));
}

/* I5: a sleep whose rest is lost. */
static void X2_I5_end_call(void **state)
{
    (void)state;
    struct arch_registers registers = numbered();
    uint64_t pc = arch_pc(&registers);
    arch_i386.end_call(&registers, -4);
    assert_int_equal(arch_i386.get(&registers, EAX), (uint32_t)-4);
    assert_int_equal(arch_i386.get(&registers, ORIG_EAX), UINT32_MAX);
    assert_int_equal(arch_pc(&registers), pc);
}

static void X2_N3_no_eight_bytes_at_once(void **state)
{
    (void)state;
    struct arch_watch pieces[ARCH_WATCH_SLOTS];
    assert_int_equal(arch_i386.split_watch(0x1000, 8, ARCH_WATCH_WRITE, pieces, ARCH_WATCH_SLOTS), 2);
    assert_int_equal(pieces[0].size, 4);
    assert_int_equal(pieces[1].address, 0x1004);
    assert_int_equal(arch_i386.split_watch(0x1002, 4, ARCH_WATCH_WRITE, pieces, ARCH_WATCH_SLOTS), 2);
    assert_int_equal(arch_i386.split_watch(0x1000, 16, ARCH_WATCH_WRITE, pieces, ARCH_WATCH_SLOTS), 4);
    assert_int_equal(arch_i386.split_watch(0x1000, 17, ARCH_WATCH_WRITE, pieces, ARCH_WATCH_SLOTS), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(X2_R3_names_and_words),
        cmocka_unit_test(X2_R1_set_pc_calls_off_a_restart),
        cmocka_unit_test(X2_T1_classify),
        cmocka_unit_test(X2_I1_calls),
        cmocka_unit_test(X2_I4_functions),
        cmocka_unit_test(X2_I5_end_call),
        cmocka_unit_test(X2_N3_no_eight_bytes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
