/* W1, R1-R4, N3 on amd64: the register table against the kernel's own struct, what stepping knows of instructions, and debug
 * registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/user.h>

#include <cmocka.h>

#include "arch/arch.h"

/* The contract's order, written out a second time, with the kernel's offsets. */
#define FIELD(field)                                                                                                   \
    {                                                                                                                  \
        .name = #field, .offset = offsetof(struct user_regs_struct, field)                                             \
    }
static const struct {
    const char *name;
    size_t offset;
} expected[] = {
    FIELD(rax), FIELD(rbx), FIELD(rcx), FIELD(rdx),      FIELD(rsi),     FIELD(rdi),     FIELD(rbp),
    FIELD(rsp), FIELD(r8),  FIELD(r9),  FIELD(r10),      FIELD(r11),     FIELD(r12),     FIELD(r13),
    FIELD(r14), FIELD(r15), FIELD(rip), FIELD(eflags),   FIELD(cs),      FIELD(ss),      FIELD(ds),
    FIELD(es),  FIELD(fs),  FIELD(gs),  FIELD(orig_rax), FIELD(fs_base), FIELD(gs_base),
};
#define COUNT ((int)(sizeof expected / sizeof *expected))
enum { RAX = 0, RSP = 7, RIP = 16, EFLAGS = 17, ORIG_RAX = 24 };

/* Every word of the block says its own offset. */
static struct arch_registers numbered(void)
{
    struct arch_registers registers = {.size = sizeof(struct user_regs_struct)};
    for (size_t i = 0; i < registers.size / 8; i++)
        registers.bytes[i] = 0xa5a5a5a500000000u + i * 8;
    return registers;
}

static void R3_names_and_order(void **state)
{
    (void)state;
    assert_string_equal(arch_amd64.name, "amd64");
    assert_int_equal(arch_amd64.register_count, COUNT);
    assert_int_equal(sizeof(struct user_regs_struct), 8 * COUNT); /* every word of the block has a name */
    for (int i = 0; i < COUNT; i++)
        assert_string_equal(arch_amd64.registers[i].name, expected[i].name);
}

/* W1: all 64 bits of a word come and go. */
static void R3_W1_get_reads_the_kernels_field(void **state)
{
    (void)state;
    struct arch_registers registers = numbered();
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(arch_amd64.get(&registers, i), 0xa5a5a5a500000000u + expected[i].offset);
}

static void R3_W1_set_changes_one_word(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        struct arch_registers registers = numbered(), before = registers;
        arch_amd64.set(&registers, i, UINT64_MAX - (uint64_t)i);
        assert_int_equal(arch_amd64.get(&registers, i), UINT64_MAX - (uint64_t)i);
        before.bytes[expected[i].offset / 8] = UINT64_MAX - (uint64_t)i;
        assert_memory_equal(&registers, &before, sizeof before);
    }
}

static void R1_R2_R4_indices(void **state)
{
    (void)state;
    assert_string_equal(arch_amd64.registers[arch_amd64.pc_index].name, "rip");
    assert_string_equal(arch_amd64.registers[arch_amd64.sp_index].name, "rsp");
    assert_int_equal(arch_amd64.link_index, -1);
    assert_true(arch_amd64.register_count <= ARCH_REGISTERS_MAX / 8);
}

static uint64_t orig_rax_after_pc(int64_t rax, int64_t orig_rax, uint64_t pc)
{
    struct arch_registers registers = numbered();
    arch_amd64.set(&registers, RAX, (uint64_t)rax);
    arch_amd64.set(&registers, ORIG_RAX, (uint64_t)orig_rax);
    arch_amd64.set(&registers, RIP, 0x1000);
    arch_amd64.set(&registers, RAX, (uint64_t)rax); /* whatever the set of rip did */
    arch_amd64.set(&registers, ORIG_RAX, (uint64_t)orig_rax);
    arch_amd64.set(&registers, RIP, pc);
    assert_int_equal(arch_amd64.get(&registers, RIP), pc);
    assert_int_equal(arch_amd64.get(&registers, RAX), rax);
    return arch_amd64.get(&registers, ORIG_RAX);
}

/* R1: only a call that is about to be made again is called off, and only when the pc moves. */
static void R1_set_pc_calls_off_a_restart(void **state)
{
    (void)state;
    for (int64_t rax = -516; rax <= -512; rax++) {
        assert_int_equal(orig_rax_after_pc(rax, 0, 0x2000), UINT64_MAX);
        assert_int_equal(orig_rax_after_pc(rax, 35, 0x2000), UINT64_MAX);
        assert_int_equal(orig_rax_after_pc(rax, 35, 0x1000), 35);
        assert_int_equal(orig_rax_after_pc(rax, -1, 0x2000), UINT64_MAX);
    }
    assert_int_equal(orig_rax_after_pc(-517, 35, 0x2000), 35);
    assert_int_equal(orig_rax_after_pc(-511, 35, 0x2000), 35);
    assert_int_equal(orig_rax_after_pc(-4, 35, 0x2000), 35);
    assert_int_equal(orig_rax_after_pc(0, 35, 0x2000), 35);
}

static void trap_is_int3(void **state)
{
    (void)state;
    assert_int_equal(arch_amd64.trap_size, 1);
    assert_int_equal(arch_amd64.trap[0], 0xcc);
    assert_int_equal(arch_amd64.trap_pc_offset, 1);
}

static const struct {
    const char *text;
    const char *code;
    size_t size, length;
    enum arch_instruction kind;
} instructions[] = {
#define CODE(bytes) bytes, sizeof(bytes) - 1
    {"syscall", CODE("\x0f\x05"), 2, ARCH_INSTRUCTION_SYSCALL},
    {"sysenter", CODE("\x0f\x34"), 2, ARCH_INSTRUCTION_SYSCALL},
    {"int 0x80", CODE("\xcd\x80"), 2, ARCH_INSTRUCTION_SYSCALL},
    {"int 0x81", CODE("\xcd\x81"), 2, ARCH_INSTRUCTION_PLAIN},
    {"int3", CODE("\xcc"), 1, ARCH_INSTRUCTION_PLAIN},
    {"sysret", CODE("\x0f\x07"), 2, ARCH_INSTRUCTION_PLAIN},
    {"rex.w syscall", CODE("\x48\x0f\x05"), 3, ARCH_INSTRUCTION_SYSCALL},
    {"movsb", CODE("\xa4"), 1, ARCH_INSTRUCTION_PLAIN},
    {"rep movsb", CODE("\xf3\xa4"), 2, ARCH_INSTRUCTION_REPEATED},
    {"rep movsq", CODE("\xf3\x48\xa5"), 3, ARCH_INSTRUCTION_REPEATED},
    {"rep stosb", CODE("\xf3\xaa"), 2, ARCH_INSTRUCTION_REPEATED},
    {"rep lodsb", CODE("\xf3\xac"), 2, ARCH_INSTRUCTION_REPEATED},
    {"repe cmpsb", CODE("\xf3\xa6"), 2, ARCH_INSTRUCTION_REPEATED},
    {"repne cmpsb", CODE("\xf2\xa6"), 2, ARCH_INSTRUCTION_REPEATED},
    {"repe scasb", CODE("\xf3\xae"), 2, ARCH_INSTRUCTION_REPEATED},
    {"repne scasb", CODE("\xf2\xae"), 2, ARCH_INSTRUCTION_REPEATED},
    {"rep insb", CODE("\xf3\x6c"), 2, ARCH_INSTRUCTION_REPEATED},
    {"rep outsb", CODE("\xf3\x6e"), 2, ARCH_INSTRUCTION_REPEATED},
    {"rep movsb with 32-bit addresses", CODE("\x67\xf3\xa4"), 3, ARCH_INSTRUCTION_REPEATED},
    {"rep ret", CODE("\xf3\xc3"), 2, ARCH_INSTRUCTION_PLAIN},
    {"pause", CODE("\xf3\x90"), 2, ARCH_INSTRUCTION_PLAIN},
    {"endbr64", CODE("\xf3\x0f\x1e\xfa"), 4, ARCH_INSTRUCTION_PLAIN},
    {"movss xmm0, xmm1", CODE("\xf3\x0f\x10\xc1"), 4, ARCH_INSTRUCTION_PLAIN},
    {"pushfq", CODE("\x9c"), 1, ARCH_INSTRUCTION_PUSHES_FLAGS},
    {"pushfw", CODE("\x66\x9c"), 2, ARCH_INSTRUCTION_PUSHES_FLAGS},
    {"popfq", CODE("\x9d"), 1, ARCH_INSTRUCTION_POPS_FLAGS},
    {"popfw", CODE("\x66\x9d"), 2, ARCH_INSTRUCTION_POPS_FLAGS},
    {"iretq", CODE("\x48\xcf"), 2, ARCH_INSTRUCTION_POPS_FLAGS},
    {"mov ss, ax; popfq", CODE("\x8e\xd0\x9d"), 2, ARCH_INSTRUCTION_POPS_FLAGS},
    {"push rbp", CODE("\x55"), 1, ARCH_INSTRUCTION_PLAIN},
    {"mov ss, ax; nop", CODE("\x8e\xd0\x90"), 2, ARCH_INSTRUCTION_PLAIN},
    {"mov ss, ax; pushfq", CODE("\x8e\xd0\x9c"), 2, ARCH_INSTRUCTION_PUSHES_FLAGS},
    {"mov ss, [rax]; pushfq", CODE("\x8e\x10\x9c"), 2, ARCH_INSTRUCTION_PUSHES_FLAGS},
    {"mov ss, ax; syscall", CODE("\x8e\xd0\x0f\x05"), 2, ARCH_INSTRUCTION_SYSCALL},
    {"mov ss, ax; mov ss, ax; pushfq", CODE("\x8e\xd0\x8e\xd0\x9c"), 2, ARCH_INSTRUCTION_PLAIN},
    {"mov ss, ax, and no more bytes", CODE("\x8e\xd0"), 2, ARCH_INSTRUCTION_PLAIN},
    {"mov ds, ax; pushfq", CODE("\x8e\xd8\x9c"), 2, ARCH_INSTRUCTION_PLAIN},
    {"the longest: 15 bytes", CODE("\x66\x66\x66\x66\x2e\x67\xf0\x48\x81\x04\x80\x01\x02\x03\x04"), 15,
     ARCH_INSTRUCTION_PLAIN},
    {"no instruction", CODE("\x06"), 0, ARCH_INSTRUCTION_UNKNOWN},
    {"half of syscall", CODE("\x0f"), 0, ARCH_INSTRUCTION_UNKNOWN},
    {"nothing", CODE(""), 0, ARCH_INSTRUCTION_UNKNOWN},
#undef CODE
};

static void T1_classify(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof instructions / sizeof *instructions; i++) {
        size_t length = 99;
        const unsigned char *code = (const unsigned char *)instructions[i].code;
        enum arch_instruction kind = arch_amd64.classify(code, instructions[i].size, &length);
        if (kind != instructions[i].kind || length != instructions[i].length)
            fail_msg("%s: kind %d, length %zu", instructions[i].text, kind, length);
        assert_int_equal(arch_amd64.classify(code, instructions[i].size, NULL), kind);
    }
}

static void T1_step_flag(void **state)
{
    (void)state;
    struct arch_registers registers = numbered();
    uint64_t bit = 0;
    arch_amd64.set(&registers, RSP, 0x7fffdeadbee0);
    assert_int_equal(arch_amd64.pushed_flags(&registers, &bit), 0x7fffdeadbee0);
    assert_int_equal(bit, 0x100);

    arch_amd64.set(&registers, EFLAGS, 0x246);
    assert_false(arch_amd64.uses_step_flag(&registers));
    arch_amd64.set(&registers, EFLAGS, 0x346);
    assert_true(arch_amd64.uses_step_flag(&registers));
    arch_amd64.clear_step_flag(&registers);
    assert_int_equal(arch_amd64.get(&registers, EFLAGS), 0x246);
}

/* I1: into a call, and back to one. */
static void I1_calls(void **state)
{
    (void)state;
    enum { RSI = 4, RDI = 5, R8 = 8, R9 = 9, R10 = 10, RDX = 3 };
    static const int arguments[] = {RDI, RSI, RDX, R10, R8, R9};
    const struct arch_call call = {.number = 39, .arguments = {1, 2, 3, 4, 5, 6}};
    struct arch_registers before = numbered(), registers = before;
    struct arch_call found;
    arch_amd64.set(&registers, EFLAGS, 0x346);
    arch_amd64.set_call(&registers, 0x401000, &call);
    assert_int_equal(arch_amd64.get(&registers, RIP), 0x401000);
    assert_int_equal(arch_amd64.get(&registers, RAX), 39);
    assert_int_equal(arch_amd64.get(&registers, ORIG_RAX), UINT64_MAX);
    assert_int_equal(arch_amd64.get(&registers, EFLAGS), 0x246);
    assert_int_equal(arch_amd64.get(&registers, RSP), arch_amd64.get(&before, RSP));
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(arch_amd64.get(&registers, arguments[i]), i + 1);

    arch_amd64.set(&registers, ORIG_RAX, 39);
    arch_amd64.set(&registers, RAX, (uint64_t)-514);
    arch_amd64.get_call(&registers, &found);
    assert_memory_equal(&found, &call, sizeof call);
    assert_int_equal(arch_amd64.call_result(&registers), -514);
    before = registers;
    arch_amd64.drop_call(&registers);
    assert_int_equal(arch_amd64.get(&registers, ORIG_RAX), UINT64_MAX);

    registers = before;
    arch_amd64.remake_call(&registers);
    assert_int_equal(arch_amd64.get(&registers, RIP), 0x400ffe);
    assert_int_equal(arch_amd64.get(&registers, RAX), 39);
    assert_int_equal(arch_amd64.get(&registers, ORIG_RAX), UINT64_MAX);
    arch_amd64.set(&before, RAX, (uint64_t)-516);
    arch_amd64.remake_call(&before);
    assert_int_equal(arch_amd64.get(&before, RAX), 219); /* restart_syscall */

    size_t length;
    assert_int_equal(arch_amd64.classify(arch_amd64.syscall, arch_amd64.syscall_size, &length),
                     ARCH_INSTRUCTION_SYSCALL);
    assert_int_equal(length, arch_amd64.syscall_size);
}

static size_t cut(uint64_t address, uint64_t size, struct arch_watch pieces[ARCH_WATCH_SLOTS])
{
    return arch_amd64.split_watch(address, size, ARCH_WATCH_WRITE, pieces, ARCH_WATCH_SLOTS);
}

/* N3: every range within 24 bytes: the pieces are what the processor can watch, touch, and are the range; no cut into
 * fewer pieces is. */
static void N3_ranges_are_cut_exactly(void **state)
{
    (void)state;
    for (uint64_t address = 0x1000; address < 0x1010; address++) {
        for (uint64_t size = 1; size <= 40; size++) {
            struct arch_watch pieces[ARCH_WATCH_SLOTS];
            size_t count = cut(address, size, pieces);
            uint64_t at = address;
            assert_true(count >= (size + 7) / 8);
            if (count > ARCH_WATCH_SLOTS)
                continue;
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(pieces[i].kind, ARCH_WATCH_WRITE);
                assert_int_equal(pieces[i].address, at);
                assert_true(pieces[i].size == 1 || pieces[i].size == 2 || pieces[i].size == 4 || pieces[i].size == 8);
                assert_int_equal(at % pieces[i].size, 0);
                at += pieces[i].size;
            }
            assert_int_equal(at, address + size);
        }
    }
    struct arch_watch pieces[ARCH_WATCH_SLOTS];
    assert_int_equal(cut(0x1000, 8, pieces), 1);
    assert_int_equal(cut(0x1000, 32, pieces), 4);
    assert_int_equal(cut(0x1000, 33, pieces), 5);
    assert_int_equal(cut(0x1001, 2, pieces), 2);
    assert_int_equal(cut(0x1003, 8, pieces), 4);
    assert_true(cut(0x1000, UINT64_MAX, pieces) > ARCH_WATCH_SLOTS);
    assert_int_equal(arch_amd64.split_watch(0x1001, 1, ARCH_WATCH_EXECUTE, pieces, ARCH_WATCH_SLOTS), 1);
    assert_int_equal(arch_amd64.split_watch(0x1001, 2, ARCH_WATCH_EXECUTE, pieces, ARCH_WATCH_SLOTS), 0);
}

/* N3: DR7 as the processor's manual has it. */
static void N3_debug_registers(void **state)
{
    (void)state;
    static const struct arch_watch watches[] = {{0x1001, 1, ARCH_WATCH_EXECUTE},
                                                {0x2002, 2, ARCH_WATCH_WRITE},
                                                {0x3004, 4, ARCH_WATCH_READ_WRITE},
                                                {0x4008, 8, ARCH_WATCH_WRITE}};
    uint64_t words[ARCH_WATCH_WORDS];
    arch_amd64.encode_watches(watches, 0, words);
    for (size_t i = 0; i < ARCH_WATCH_WORDS; i++)
        assert_int_equal(words[i], 0);
    arch_amd64.encode_watches(watches, 4, words);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(words[i], watches[i].address);
    assert_int_equal(words[4], 0x9f500055);
    arch_amd64.encode_watches(watches + 3, 1, words);
    assert_int_equal(words[4], 0x90001);
    assert_int_equal(arch_amd64.watch_slots[arch_amd64.watch_pool[ARCH_WATCH_WRITE]], 4);

    struct arch_registers registers = numbered();
    arch_amd64.set(&registers, EFLAGS, 0x246);
    arch_amd64.pass_watch(&registers);
    assert_int_equal(arch_amd64.get(&registers, EFLAGS), 0x10246);
    arch_amd64.set(&registers, RIP, arch_amd64.get(&registers, RIP)); /* it still stands there */
    assert_int_equal(arch_amd64.get(&registers, EFLAGS), 0x10246);
    arch_amd64.set(&registers, RIP, 0x401136);
    assert_int_equal(arch_amd64.get(&registers, EFLAGS), 0x246);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(I1_calls),
        cmocka_unit_test(R3_names_and_order),
        cmocka_unit_test(R3_W1_get_reads_the_kernels_field),
        cmocka_unit_test(R3_W1_set_changes_one_word),
        cmocka_unit_test(R1_R2_R4_indices),
        cmocka_unit_test(R1_set_pc_calls_off_a_restart),
        cmocka_unit_test(trap_is_int3),
        cmocka_unit_test(T1_classify),
        cmocka_unit_test(T1_step_flag),
        cmocka_unit_test(N3_ranges_are_cut_exactly),
        cmocka_unit_test(N3_debug_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
