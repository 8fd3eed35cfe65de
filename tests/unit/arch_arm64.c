/* W1, R1-R4, R6 on arm64: the register table against the kernel's own struct, what stepping knows of instructions, system calls and
 * debug registers, as bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/user.h>

#include <cmocka.h>

#include "arch/arch.h"

enum { SP = 31, PC = 32, PSTATE = 33, NUMBER = 34, COUNT = 35 };

static int index_of(const char *name)
{
    for (int i = 0; i < arch_arm64.register_total; i++) {
        if (!strcmp(arch_arm64.registers[i].name, name))
            return i;
    }
    fail_msg("there is no register %s", name);
    return -1;
}

static void R3_names_and_order(void **state)
{
    (void)state;
    char name[8];
    assert_string_equal(arch_arm64.name, "arm64");
    assert_int_equal(arch_arm64.register_count, COUNT);
    assert_int_equal(sizeof(struct user_regs_struct), 8 * (COUNT - 1));
    for (int i = 0; i < 31; i++) {
        snprintf(name, sizeof name, "x%d", i);
        assert_string_equal(arch_arm64.registers[i].name, name);
        assert_int_equal(arch_arm64.registers[i].dwarf, i);
    }
    assert_int_equal(offsetof(struct user_regs_struct, sp), 8 * SP);
    assert_int_equal(offsetof(struct user_regs_struct, pc), 8 * PC);
    assert_int_equal(offsetof(struct user_regs_struct, pstate), 8 * PSTATE);
    assert_string_equal(arch_arm64.registers[30].alias, "lr");
}

static void R1_R2_R4_indices(void **state)
{
    (void)state;
    assert_int_equal(arch_arm64.pc_index, PC);
    assert_int_equal(arch_arm64.sp_index, SP);
    assert_int_equal(arch_arm64.link_index, 30);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(arch_arm64.registers[i].set, ARCH_SET_GENERAL);
    for (int i = COUNT; i < arch_arm64.register_total; i++)
        assert_int_not_equal(arch_arm64.registers[i].set, ARCH_SET_GENERAL);
}

static void R3_W1_set_changes_one_word(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        struct arch_registers registers = {.size = 8 * COUNT}, before;
        registers.bytes[NUMBER] = UINT64_MAX;
        before = registers;
        arch_arm64.set(&registers, i, 0xa5a5a5a500000000u + (unsigned)i);
        before.bytes[i] = 0xa5a5a5a500000000u + (unsigned)i;
        assert_memory_equal(&registers, &before, sizeof before);
        assert_int_equal(arch_arm64.get(&registers, i), 0xa5a5a5a500000000u + (unsigned)i);
    }
}

/* A thread at the end of a call that is to be made again, sent elsewhere, is in no call any more. */
static void R5_pc_set_in_a_call_that_restarts(void **state)
{
    (void)state;
    struct arch_registers registers = {.size = 8 * COUNT};
    registers.bytes[NUMBER] = 63;
    registers.bytes[0] = (uint64_t)-512;
    arch_arm64.set(&registers, PC, 0x1000);
    assert_int_equal(arch_arm64.get(&registers, NUMBER), UINT64_MAX);
    registers.bytes[NUMBER] = 63;
    registers.bytes[0] = 1;
    arch_arm64.set(&registers, PC, 0x2000);
    assert_int_equal(arch_arm64.get(&registers, NUMBER), 63);
}

static enum arch_instruction classify(uint32_t word)
{
    size_t length = 0;
    enum arch_instruction kind = arch_arm64.classify((const unsigned char *)&word, sizeof word, &length);
    assert_int_equal(length, 4);
    return kind;
}

static void T1_instructions(void **state)
{
    (void)state;
    assert_int_equal(classify(0xd4000001), ARCH_INSTRUCTION_SYSCALL);         /* svc #0 */
    assert_int_equal(classify(0xd4000021), ARCH_INSTRUCTION_SYSCALL);         /* svc #1 */
    assert_int_equal(classify(0xd4200000), ARCH_INSTRUCTION_PLAIN);           /* brk #0 */
    assert_int_equal(classify(0xd4000002), ARCH_INSTRUCTION_PLAIN);           /* hvc #0 */
    assert_int_equal(classify(0x885f7c20), ARCH_INSTRUCTION_BEGINS_SEQUENCE); /* ldxr w0, [x1] */
    assert_int_equal(classify(0xc85ffc20), ARCH_INSTRUCTION_BEGINS_SEQUENCE); /* ldaxr x0, [x1] */
    assert_int_equal(classify(0x085f7c20), ARCH_INSTRUCTION_BEGINS_SEQUENCE); /* ldxrb w0, [x1] */
    assert_int_equal(classify(0xc87f0440), ARCH_INSTRUCTION_BEGINS_SEQUENCE); /* ldxp x0, x1, [x2] */
    assert_int_equal(classify(0x88027c20), ARCH_INSTRUCTION_PLAIN);           /* stxr w2, w0, [x1] */
    assert_int_equal(classify(0xc8dffc20), ARCH_INSTRUCTION_PLAIN);           /* ldar x0, [x1] */
    assert_int_equal(classify(0xc8e0fc41), ARCH_INSTRUCTION_PLAIN);           /* casal x0, x1, [x2] */
    assert_int_equal(classify(0x48607c82), ARCH_INSTRUCTION_PLAIN);           /* caspa x0, x1, x2, x3, [x4] */
    assert_int_equal(classify(0xd503201f), ARCH_INSTRUCTION_PLAIN);           /* nop */
    assert_int_equal(arch_arm64.classify((const unsigned char *)"\x01", 2, NULL), ARCH_INSTRUCTION_UNKNOWN);
}

static size_t ends_of(const uint32_t *words, size_t count, uint64_t ends[ARCH_ENDS_MAX])
{
    return arch_arm64.sequence_ends(0x1000, (const unsigned char *)words, count * sizeof *words, false, ends);
}

static void T1_exclusive_sequences(void **state)
{
    (void)state;
    uint64_t ends[ARCH_ENDS_MAX];
    /* compare and swap, as compilers make it: ldaxr, cmp, b.ne behind it all, stlxr, cbnz back */
    static const uint32_t swap[] = {0xc85ffc02, 0xeb01005f, 0x54000061, 0xc803fc04, 0x35ffff83, 0xd65f03c0};
    assert_int_equal(ends_of(swap, 6, ends), 2);
    assert_int_equal(ends[0], 0x1010); /* behind stlxr */
    assert_int_equal(ends[1], 0x1014); /* where b.ne goes */
    /* an addition: nothing leaves it */
    static const uint32_t add[] = {0x885f7c20, 0x11000400, 0x88027c20, 0x35ffffa2};
    assert_int_equal(ends_of(add, 4, ends), 1);
    assert_int_equal(ends[0], 0x100c);
    /* a branch inside it is no end */
    static const uint32_t inside[] = {0x885f7c20, 0x34000040, 0x11000400, 0x88027c20, 0x35ffff82};
    assert_int_equal(ends_of(inside, 5, ends), 1);
    /* a lock that is waited for: the way back would be without a stop */
    static const uint32_t spin[] = {0x885ffc20, 0x35ffffe0, 0x88027c23, 0x35ffffa2};
    assert_int_equal(ends_of(spin, 4, ends), 0);
    assert_int_equal(arch_arm64.sequence_ends(0x1000, (const unsigned char *)spin, sizeof spin, true, ends), 1);
    assert_int_equal(ends[0], 0x100c);
    /* no store, and a call in between */
    static const uint32_t lonely[] = {0x885f7c20, 0xd503201f, 0xd65f03c0},
                          call[] = {0x885f7c20, 0x94000010, 0x88027c20};
    assert_int_equal(ends_of(lonely, 3, ends), 0);
    assert_int_equal(ends_of(call, 3, ends), 0);
}

static uint64_t start_of(const uint32_t *words, size_t count)
{
    return arch_arm64.sequence_start(0x1000 + count * sizeof *words, (const unsigned char *)words,
                                     count * sizeof *words);
}

/* Seen from the store with which it ends. */
static void N3_exclusive_stores(void **state)
{
    (void)state;
    static const uint32_t swap[] = {0xaa0103e9, 0xc85ffc02, 0xeb01005f, 0x54000061, 0xc803fc04},
                          two[] = {0x885f7c20, 0x88027c20, 0x88027c20}, lonely[] = {0xd503201f, 0x88027c20};
    assert_int_equal(start_of(swap, 5), 0x1004);
    assert_int_equal(start_of(swap, 4), 0); /* b.ne */
    assert_int_equal(start_of(two, 2), 0x1000);
    assert_int_equal(start_of(two, 3), 0); /* the other store's */
    assert_int_equal(start_of(lonely, 2), 0);
    assert_int_equal(start_of(lonely, 0), 0);
    static const struct {
        uint32_t word;
        unsigned size;
    } stores[] = {
        {0x08027ca3, 1},  /* stxrb w2, w3, [x5] */
        {0x4802fca3, 2},  /* stlxrh w2, w3, [x5] */
        {0x88027ca3, 4},  /* stxr w2, w3, [x5] */
        {0xc8027ca3, 8},  /* stxr w2, x3, [x5] */
        {0x882210a3, 8},  /* stxp w2, w3, w4, [x5] */
        {0xc82290a3, 16}, /* stlxp w2, x3, x4, [x5] */
    };
    for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
        const unsigned char *code = (const unsigned char *)&stores[i].word;
        struct arch_registers registers = {.size = 8 * COUNT};
        struct arch_watch where = {0};
        registers.bytes[5] = 0xab00000000004560; /* with a tag */
        registers.bytes[2] = 0xffffffff00000000; /* its lower half counts */
        assert_int_equal(arch_arm64.sequence_stored(&registers, code, 4, &where), 1);
        assert_int_equal(where.address, 0x4560);
        assert_int_equal(where.size, stores[i].size);
        registers.bytes[2] = 1;
        assert_int_equal(arch_arm64.sequence_stored(&registers, code, 4, &where), 0);
    }
    static const uint32_t to_stack = 0x88027fe3, unknown = 0x881f7ca3; /* stxr w2, w3, [sp]; stxr wzr, w3, [x5] */
    struct arch_registers registers = {.size = 8 * COUNT};
    struct arch_watch where;
    registers.bytes[31] = 0x7000;
    assert_int_equal(arch_arm64.sequence_stored(&registers, (const unsigned char *)&to_stack, 4, &where), 1);
    assert_int_equal(where.address, 0x7000);
    assert_int_equal(arch_arm64.sequence_stored(&registers, (const unsigned char *)&unknown, 4, &where), 0);
    assert_int_equal(arch_arm64.sequence_stored(&registers, (const unsigned char *)&swap[1], 4, &where), -1);
    assert_int_equal(arch_arm64.sequence_stored(&registers, (const unsigned char *)&swap[1], 0, &where), -1);
}

/* A call made in a thread that stands at an svc; at the end it is as one whose call was interrupted. */
static void calls(void **state)
{
    (void)state;
    struct arch_registers registers = {.size = 8 * COUNT}, own;
    struct arch_call call = {222, {1, 2, 3, 4, 5, 6}}, seen;
    registers.bytes[0] = 77;
    registers.bytes[8] = 63;
    registers.bytes[PC] = 0x4000;
    registers.bytes[NUMBER] = UINT64_MAX;
    own = registers;
    arch_arm64.set_call(&registers, 0x5000, &call);
    assert_int_equal(registers.bytes[8], 222);
    assert_int_equal(registers.bytes[PC], 0x5000);
    assert_int_equal(registers.bytes[NUMBER], UINT64_MAX);
    registers.bytes[NUMBER] = 222; /* as the kernel has it at the entry */
    arch_arm64.get_call(&registers, &seen);
    assert_memory_equal(&seen, &call, sizeof call);
    arch_arm64.interrupt_call(&own, false);
    assert_int_equal(own.bytes[0], (uint64_t)-512);
    assert_int_equal(own.bytes[PC], 0x4004);
    assert_int_equal(own.bytes[NUMBER], 63);
}

static void tags_are_no_part_of_an_address(void **state)
{
    (void)state;
    assert_int_equal(arch_arm64.clean_address(0xab00ffff12345678u), 0x0000ffff12345678u);
    assert_int_equal(arch_arm64.clean_address(0xabffffff12345678u), 0xffffffff12345678u);
    assert_int_equal(arch_arm64.clean_address(0x1000), 0x1000);
}

/* Any bytes in a row of a word are one register's; over the end of the word they take two. */
static void N3_split_and_encode(void **state)
{
    (void)state;
    struct arch_watch pieces[ARCH_WATCH_SLOTS];
    uint64_t words[ARCH_WATCH_WORDS];
    for (uint64_t offset = 0; offset < 8; offset++) {
        for (uint64_t size = 1; size <= 32; size++) {
            size_t count = arch_arm64.split_watch(0x1000 + offset, size, ARCH_WATCH_WRITE, pieces, ARCH_WATCH_SLOTS);
            uint64_t at = 0x1000 + offset;
            assert_int_equal(count, (offset + size + 7) / 8);
            for (size_t i = 0; i < count; at += pieces[i++].size)
                assert_int_equal(pieces[i].address, at);
            assert_int_equal(at, 0x1000 + offset + size);
        }
    }
    assert_int_equal(arch_arm64.split_watch(0x1002, 1, ARCH_WATCH_EXECUTE, pieces, ARCH_WATCH_SLOTS), 0);
    assert_int_equal(arch_arm64.split_watch(0x1004, 1, ARCH_WATCH_EXECUTE, pieces, ARCH_WATCH_SLOTS), 1);
    const struct arch_watch watches[] = {{0x1004, 4, ARCH_WATCH_EXECUTE}, {0x2003, 2, ARCH_WATCH_WRITE}};
    arch_arm64.encode_watches(watches, 2, words);
    assert_int_equal(words[0], 0x1004);
    assert_int_equal(words[1], 0xf << 5 | 2 << 1 | 1);
    assert_int_equal(words[2], 0x2000);
    assert_int_equal(words[3], 0x18 << 5 | 2 << 3 | 2 << 1 | 1);
    assert_int_equal(words[5], 0);
}

/* R6: SVE not in use comes in the form of FPSIMD; a write takes it into use, and changes nothing else. */
static void R6_vectors(void **state)
{
    (void)state;
    enum { VECTOR = 32, HEADER = 16 };
    static unsigned char bytes[16384];
    unsigned char value[256], other[256];
    struct arch_block block = {.bytes = bytes, .room = sizeof bytes, .size = HEADER + 528};
    const uint16_t vector = VECTOR;
    memcpy(bytes + 8, &vector, sizeof vector);
    for (int i = 0; i < 528; i++)
        bytes[HEADER + i] = (unsigned char)(i * 7 + 1);
    assert_int_equal(arch_arm64.width(&block, index_of("z5")), VECTOR);
    assert_int_equal(arch_arm64.width(&block, index_of("p5")), VECTOR / 8);
    arch_arm64.read(&block, index_of("z5"), value);
    assert_memory_equal(value, bytes + HEADER + 5 * 16, 16);
    memset(other, 0, sizeof other);
    assert_memory_equal(value + 16, other, 16);
    memset(other, 0x5a, sizeof other);
    arch_arm64.write(&block, index_of("p3"), other);
    assert_int_equal(block.size, (HEADER + 32 * VECTOR + 17 * VECTOR / 8 + 15) / 16 * 16 + 16);
    unsigned char again[256];
    arch_arm64.read(&block, index_of("z5"), again);
    assert_memory_equal(again, value, VECTOR);
    arch_arm64.read(&block, index_of("p3"), again);
    assert_memory_equal(again, other, VECTOR / 8);
    uint64_t granules = 0;
    arch_arm64.read(&block, index_of("vg"), &granules);
    assert_int_equal(granules, VECTOR / 8);
    assert_int_equal(arch_arm64.width(&(struct arch_block){.size = 0}, index_of("z0")), 0);
    assert_int_equal(arch_arm64.width(&(struct arch_block){.size = 0}, index_of("v0")), 0);
}

/* P5: which way past a breakpoint an instruction takes: executed in the thread's place, and moved or not. */
static void P5_ways(void **state)
{
    (void)state;
    static const struct {
        uint32_t word;
        enum arch_plan_kind kind;
        bool moved;
    } cases[] = {
        {0xd503201f, ARCH_PLAN_REGISTERS, true},       /* nop */
        {0xd503203f, ARCH_PLAN_REGISTERS, true},       /* yield */
        {0xd503205f, ARCH_PLAN_NONE, true},            /* wfe */
        {0xd503209f, ARCH_PLAN_NONE, true},            /* sev */
        {0xd503245f, ARCH_PLAN_REGISTERS, true},       /* bti c */
        {0xd503233f, ARCH_PLAN_NONE, true},            /* paciasp */
        {0xd50323bf, ARCH_PLAN_NONE, true},            /* autiasp */
        {0xd50320ff, ARCH_PLAN_NONE, true},            /* xpaclri */
        {0xd50324ff, ARCH_PLAN_NONE, false},           /* pacm */
        {0xd5033bbf, ARCH_PLAN_NONE, true},            /* dmb ish */
        {0xd5033fdf, ARCH_PLAN_NONE, true},            /* isb */
        {0xd5033f5f, ARCH_PLAN_NONE, true},            /* clrex */
        {0x10000000, ARCH_PLAN_REGISTERS, false},      /* adr x0, . */
        {0x90000000, ARCH_PLAN_REGISTERS, false},      /* adrp x0, . */
        {0x14000000, ARCH_PLAN_REGISTERS, false},      /* b . */
        {0x94000000, ARCH_PLAN_RETURN_ADDRESS, false}, /* bl . */
        {0x54000001, ARCH_PLAN_REGISTERS, false},      /* b.ne . */
        {0x34000001, ARCH_PLAN_REGISTERS, false},      /* cbz w1, . */
        {0xb7080001, ARCH_PLAN_REGISTERS, false},      /* tbnz x1, #33, . */
        {0xd61f0200, ARCH_PLAN_REGISTERS, true},       /* br x16 */
        {0xd61f0020, ARCH_PLAN_REGISTERS, true},       /* br x1 */
        {0xd63f0020, ARCH_PLAN_RETURN_ADDRESS, false}, /* blr x1 */
        {0xd65f03c0, ARCH_PLAN_RETURN_ADDRESS, true},  /* ret */
        {0xd65f0bff, ARCH_PLAN_NONE, true},            /* retaa */
        {0xd71f0801, ARCH_PLAN_NONE, true},            /* braa x0, x1 */
        {0xd73f0801, ARCH_PLAN_NONE, false},           /* blraa x0, x1 */
        {0x58000000, ARCH_PLAN_MEMORY, false},         /* ldr x0, . */
        {0x98000000, ARCH_PLAN_MEMORY, false},         /* ldrsw x0, . */
        {0x9c000000, ARCH_PLAN_NONE, false},           /* ldr q0, . */
        {0xd8000000, ARCH_PLAN_REGISTERS, false},      /* prfm pldl1keep, . */
        {0xd2800020, ARCH_PLAN_REGISTERS, true},       /* mov x0, #1 */
        {0xf2a00020, ARCH_PLAN_REGISTERS, true},       /* movk x0, #1, lsl #16 */
        {0x910043ff, ARCH_PLAN_REGISTERS, true},       /* add sp, sp, #16 */
        {0xeb020c20, ARCH_PLAN_REGISTERS, true},       /* subs x0, x1, x2, lsl #3 */
        {0x8b21cbe0, ARCH_PLAN_REGISTERS, true},       /* add x0, sp, w1, sxtw #2 */
        {0x92401c20, ARCH_PLAN_REGISTERS, true},       /* and x0, x1, #0xff */
        {0xaa0103e0, ARCH_PLAN_REGISTERS, true},       /* mov x0, x1 */
        {0xd3431820, ARCH_PLAN_REGISTERS, true},       /* ubfx x0, x1, #3, #4 */
        {0x9a820020, ARCH_PLAN_REGISTERS, true},       /* csel x0, x1, x2, eq */
        {0xfa410800, ARCH_PLAN_NONE, true},            /* ccmp x0, #1, #0, eq */
        {0x9a020020, ARCH_PLAN_NONE, true},            /* adc x0, x1, x2 */
        {0x9b027c20, ARCH_PLAN_NONE, true},            /* mul x0, x1, x2 */
        {0x93c20c20, ARCH_PLAN_NONE, true},            /* extr x0, x1, x2, #3 */
        {0xa9be7bfd, ARCH_PLAN_NONE, true},            /* stp x29, x30, [sp, #-32]! */
        {0xa8c27bfd, ARCH_PLAN_NONE, true},            /* ldp x29, x30, [sp], #32 */
        {0x3d8003e0, ARCH_PLAN_NONE, true},            /* str q0, [sp] */
        {0xc8dffc20, ARCH_PLAN_NONE, true},            /* ldar x0, [x1] */
        {0xc8a07c41, ARCH_PLAN_NONE, true},            /* cas x0, x1, [x2] */
        {0xf8200041, ARCH_PLAN_NONE, true},            /* ldadd x0, x1, [x2] */
        {0xc85f7c20, ARCH_PLAN_NONE, false},           /* ldxr x0, [x1] */
        {0xc8007c41, ARCH_PLAN_NONE, false},           /* stxr w0, x1, [x2] */
        {0xc87f8440, ARCH_PLAN_NONE, false},           /* ldaxp x0, x1, [x2] */
        {0x19000440, ARCH_PLAN_NONE, false},           /* cpyfp */
        {0x1e622820, ARCH_PLAN_NONE, true},            /* fadd d0, d1, d2 */
        {0xd53bd040, ARCH_PLAN_NONE, true},            /* mrs x0, tpidr_el0 */
        {0xd51b4400, ARCH_PLAN_NONE, true},            /* msr fpcr, x0 */
        {0xd51b4200, ARCH_PLAN_NONE, true},            /* msr nzcv, x0 */
        {0xd53be040, ARCH_PLAN_NONE, true},            /* mrs x0, cntvct_el0 */
        {0xd50b7420, ARCH_PLAN_NONE, true},            /* dc zva, x0 */
        {0xd4000001, ARCH_PLAN_NONE, false},           /* svc #0 */
        {0xd4200020, ARCH_PLAN_NONE, false},           /* brk #1 */
        {0xd4400020, ARCH_PLAN_NONE, false},           /* hlt #1 */
        {0x00000000, ARCH_PLAN_NONE, false},           /* udf #0 */
        {0x0420bc20, ARCH_PLAN_NONE, false},           /* movprfx z0, z1 */
        {0x04e20020, ARCH_PLAN_NONE, true},            /* add z0.d, z1.d, z2.d */
        {0x04d02020, ARCH_PLAN_NONE, false},           /* movprfx z0.d, p0/z, z1.d */
        {0xf380001f, ARCH_PLAN_NONE, false},           /* autiasppc */
        {0xdac1a3fe, ARCH_PLAN_NONE, false},           /* paciasppc */
        {0xdac10020, ARCH_PLAN_NONE, true},            /* pacia x0, x1 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const unsigned char *code = (const unsigned char *)&cases[i].word;
        unsigned char copy[ARCH_DISPLACED_MAX];
        struct arch_plan plan;
        size_t copied = 0;
        enum arch_plan_kind kind = arch_arm64.prepare(code, sizeof cases[i].word, &plan);
        size_t size = arch_arm64.displace(code, sizeof cases[i].word, 0x5000, 0x6000, copy, &copied);
        if (kind != cases[i].kind || size != (cases[i].moved ? 8 : 0))
            fail_msg("0x%08x: kind %d, %zu bytes", (unsigned)cases[i].word, (int)kind, size);
    }
    struct arch_plan plan;
    assert_int_equal(arch_arm64.prepare((const unsigned char *)"\x1f\x20", 2, &plan), ARCH_PLAN_NONE);
}

/* P5: fields that mean nothing are left to the thread, which gets its SIGILL. */
static void P5_undefined(void **state)
{
    (void)state;
    static const uint32_t undefined[] = {
        0x52c00000, /* movz w0, #0, lsl #32 */
        0x0bc20020, /* add (shifted), ror */
        0x0b028020, /* add w0, w1, w2, lsl #32 */
        0x0b223420, /* add (extended), lsl #5 */
        0x0a028020, /* and w0, w1, w2, lsl #32 */
        0x1200fc20, /* and w0, w1, of all ones */
        0x12400020, /* and w0, w1, of 64 bits */
        0x9240fc20, /* and x0, x1, of all ones */
        0x13400020, /* sbfm w0, of 64 bits */
        0x13208020, /* sbfm w0, from bit 32 */
        0x73000020, /* bitfield 3 */
        0x54000010, /* bc.eq, of newer processors */
    };
    struct arch_plan plan;
    for (size_t i = 0; i < sizeof undefined / sizeof *undefined; i++) {
        if (arch_arm64.prepare((const unsigned char *)&undefined[i], 4, &plan) != ARCH_PLAN_NONE)
            fail_msg("0x%08x", (unsigned)undefined[i]);
    }
}

/* P5: the branch back behind a copy, up to 128 MiB, to both sides. */
static void P5_moved_so_far(void **state)
{
    (void)state;
    static const uint32_t load = 0xf9400020; /* ldr x0, [x1] */
    static const struct {
        uint64_t from, to;
        uint32_t branch; /* 0: it is too far */
    } cases[] = {
        {0x5000, 0x6000, 0x17fffc00}, {0x6000, 0x5000, 0x14000400},          {0x5000, 0x8005000, 0x16000000},
        {0x5000, 0x8005004, 0},       {0x8005000, 0x5004, 0x15ffffff},       {0x8005000, 0x5000, 0},
        {0x5000, 0x6002, 0},          {0x5000, UINT64_C(0x7f0000005000), 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char copy[ARCH_DISPLACED_MAX];
        uint32_t branch = 0;
        size_t copied = 0,
               size = arch_arm64.displace((const unsigned char *)&load, 4, cases[i].from, cases[i].to, copy, &copied);
        assert_int_equal(size, cases[i].branch ? 8 : 0);
        if (size) {
            memcpy(&branch, copy + copied, sizeof branch);
            assert_memory_equal(copy, &load, sizeof load);
        }
        assert_int_equal(branch, cases[i].branch);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R3_names_and_order),
        cmocka_unit_test(R1_R2_R4_indices),
        cmocka_unit_test(R3_W1_set_changes_one_word),
        cmocka_unit_test(R5_pc_set_in_a_call_that_restarts),
        cmocka_unit_test(T1_instructions),
        cmocka_unit_test(T1_exclusive_sequences),
        cmocka_unit_test(N3_exclusive_stores),
        cmocka_unit_test(calls),
        cmocka_unit_test(tags_are_no_part_of_an_address),
        cmocka_unit_test(N3_split_and_encode),
        cmocka_unit_test(R6_vectors),
        cmocka_unit_test(P5_ways),
        cmocka_unit_test(P5_undefined),
        cmocka_unit_test(P5_moved_so_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
