/* R6: where x87, vector, mask, tile and other registers are in a block of the kernel's, on blocks made up here: every
 * register is read and written in every state of its components, and nothing else of the block changes. The whole tag
 * word is compared with what the processor itself says. */
#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/xstate.h"

/* All registers that this build has. */
#if defined(__i386__)
#define TESTED arch_i386
#define FXSAVE "fxsave"
#else
#define TESTED arch_amd64
#define FXSAVE "fxsave64"
#endif

enum { SIZE = 11008, WIDEST = 1024, BV = 512, XCR0 = 464 };

/* The components, as Intel's processors have them. */
static const struct {
    unsigned bit, offset, size;
} components[] = {{0, 0, 160},     {1, 160, 256}, {2, 576, 256},  {5, 1088, 64},   {6, 1152, 512},
                  {7, 1664, 1024}, {9, 2688, 8},  {17, 2752, 64}, {18, 2816, 8192}};
#define COMPONENTS (sizeof components / sizeof *components)
#define ALL 0x602e7u

static unsigned char memory[2][SIZE];

static struct arch_block make_block(unsigned which, uint64_t in_use)
{
    struct arch_block block = {.bytes = memory[which], .size = SIZE};
    static uint64_t seed = 1;
    for (size_t i = 0; i < SIZE; i++)
        block.bytes[i] = (unsigned char)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
    memcpy(block.bytes + BV, &in_use, sizeof in_use);
    for (size_t i = 0; i < COMPONENTS; i++)
        block.parts[components[i].bit] = (struct arch_part){components[i].offset, components[i].size};
    return block;
}

static uint64_t in_use(const struct arch_block *block)
{
    uint64_t mask;
    memcpy(&mask, block->bytes + BV, sizeof mask);
    return mask;
}

/* ---- Where registers are, said a second time ---- */

struct place {
    unsigned bit, offset, size;
};

/* Up to three; NULL when the name is none of the extended state's. */
static unsigned places_of(const char *name, struct place *places)
{
    static const struct {
        const char *name;
        struct place place;
    } single[] = {{"fctrl", {0, 0, 2}},  {"fstat", {0, 2, 2}},   {"ftag", {0, 4, 1}},        {"fop", {0, 6, 2}},
                  {"fioff", {0, 8, 4}},  {"fiseg", {0, 12, 2}},  {"fooff", {0, 16, 4}},      {"foseg", {0, 20, 2}},
                  {"mxcsr", {1, 24, 4}}, {"pkru", {9, 2688, 4}}, {"tilecfg", {17, 2752, 64}}};
    unsigned n;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        if (!strcmp(name, single[i].name)) {
            places[0] = single[i].place;
            return 1;
        }
    }
    if (sscanf(name, "st%u", &n) == 1) {
        places[0] = (struct place){0, 32 + 16 * n, 10};
        return 1;
    }
    if (sscanf(name, "k%u", &n) == 1) {
        places[0] = (struct place){5, 1088 + 8 * n, 8};
        return 1;
    }
    if (sscanf(name, "tmm%u", &n) == 1) {
        places[0] = (struct place){18, 2816 + 1024 * n, 1024};
        return 1;
    }
    char kind;
    if (sscanf(name, "%cmm%u", &kind, &n) != 2)
        return 0;
    unsigned size = kind == 'x' ? 16 : kind == 'y' ? 32 : 64;
    if (n >= 16) {
        places[0] = (struct place){7, 1664 + 64 * (n - 16), size};
        return 1;
    }
    places[0] = (struct place){1, 160 + 16 * n, 16};
    places[1] = (struct place){2, 576 + 16 * n, 16};
    places[2] = (struct place){6, 1152 + 32 * n, 32};
    return size == 16 ? 1 : size == 32 ? 2 : 3;
}

static const struct arch_register *table(int index)
{
    return &TESTED.registers[index];
}

static int seek(const char *name)
{
    for (int i = 0; i < TESTED.register_total; i++) {
        if (!strcmp(table(i)->name, name))
            return i;
    }
    return -1;
}

static int find(const char *name)
{
    int index = seek(name);
    if (index < 0)
        fail_msg("no register %s", name);
    return index;
}

#define for_each_extended(index)                                                                                       \
    for (int index = 0; index < TESTED.register_total; index++)                                                        \
        if (table(index)->set == ARCH_SET_X86_XSTATE)

/* The value by the second table; ftag and fop are special, and left to their own tests. */
static void expected_value(const struct arch_block *block, const char *name, unsigned char *value)
{
    struct place places[3];
    unsigned count = places_of(name, places), done = 0;
    assert_true(count > 0);
    memset(value, 0, WIDEST);
    for (unsigned i = 0; i < count; done += places[i++].size) {
        if (in_use(block) >> places[i].bit & 1)
            memcpy(value + done, block->bytes + places[i].offset, places[i].size);
    }
    if (!strcmp(name, "fctrl") && !(in_use(block) & 1))
        memcpy(value, "\x7f\x03", 2);
    if (!strcmp(name, "mxcsr"))
        memcpy(value, in_use(block) & 6 ? (const void *)(block->bytes + 24) : (const void *)"\x80\x1f\0", 4);
    if (!strcmp(name, "fop"))
        value[1] &= 7;
}

static void assert_reads(const struct arch_block *block, int index)
{
    unsigned char value[WIDEST], expected[WIDEST];
    const char *name = table(index)->name;
    if (!strcmp(name, "ftag"))
        return;
    memset(value, 0xee, sizeof value);
    expected_value(block, name, expected);
    assert_int_equal(TESTED.width(block, index), table(index)->bytes);
    TESTED.read(block, index, value);
    if (memcmp(value, expected, table(index)->bytes) != 0)
        fail_msg("%s with components %#llx in use", name, (unsigned long long)in_use(block));
    for (size_t i = table(index)->bytes; i < sizeof value; i++)
        assert_int_equal(value[i], 0xee);
}

/* ---- The table ---- */

static void R6_table(void **state)
{
    (void)state;
    int words = TESTED.register_count, total = TESTED.register_total;
#if defined(__i386__)
    static const char *const order[] = {"st0", "fctrl", "fop", "mxcsr", "xmm0", "ymm0", "zmm0", "k0", "pkru"};
    assert_int_equal(total, 17 + 8 + 8 + 1 + 3 * 8 + 8 + 1);
#else
    static const char *const order[] = {"st0",  "fctrl", "fop",  "mxcsr",   "xmm0", "ymm0",
                                        "zmm0", "k0",    "pkru", "tilecfg", "tmm0", "ssp"};
    assert_int_equal(total, 27 + 8 + 8 + 1 + 3 * 32 + 8 + 1 + 1 + 8 + 1);
#endif
    for (size_t i = 1; i < sizeof order / sizeof *order; i++)
        assert_true(find(order[i - 1]) < find(order[i]));
    for (int i = 0; i < total; i++) {
        const struct arch_register *one = table(i);
        assert_int_equal(one->set == ARCH_SET_GENERAL, i < words);
        assert_true(one->bytes > 0 && one->bytes <= WIDEST);
        assert_true(i >= words || one->bytes <= 8);
        assert_true(one->type < REIN_TYPE_COUNT && one->group < REIN_GROUP_COUNT);
        assert_int_equal(one->lanes != 0, one->type == REIN_TYPE_VECTOR || one->type == REIN_TYPE_MATRIX);
        assert_int_equal(one->row != 0, one->type == REIN_TYPE_MATRIX);
        assert_int_equal(one->flag_count != 0, one->type == REIN_TYPE_FLAGS);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(one->name, table(j)->name);
            assert_true(one->dwarf == -1 || one->dwarf != table(j)->dwarf);
        }
        uint64_t seen = 0;
        for (int j = 0; j < one->flag_count; j++) {
            const struct rein_register_flag *flag = &one->flags[j];
            assert_true(flag->low <= flag->high && flag->high < 8u * one->bytes);
            for (unsigned bit = flag->low; bit <= flag->high; bit++) {
                assert_false(seen >> bit & 1);
                seen |= UINT64_C(1) << bit;
            }
        }
    }
}

/* The psABI's table, as far as it goes. */
static void R6_dwarf_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int number;
    } numbers[] = {
#if defined(__i386__)
        {"eax", 0},
        {"ecx", 1},
        {"edx", 2},
        {"ebx", 3},
        {"esp", 4},
        {"ebp", 5},
        {"esi", 6},
        {"edi", 7},
        {"eip", 8},
        {"eflags", 9},
        {"st0", 11},
        {"st7", 18},
        {"xmm0", 21},
        {"xmm7", 28},
        {"fctrl", 37},
        {"fstat", 38},
        {"mxcsr", 39},
        {"es", 40},
        {"cs", 41},
        {"ss", 42},
        {"ds", 43},
        {"fs", 44},
        {"gs", 45},
        {"k0", 93},
        {"k7", 100},
        {"ymm0", -1},
        {"orig_eax", -1},
#else
        {"rax", 0},
        {"rdx", 1},
        {"rcx", 2},
        {"rbx", 3},
        {"rsi", 4},
        {"rdi", 5},
        {"rbp", 6},
        {"rsp", 7},
        {"r8", 8},
        {"r15", 15},
        {"rip", 16},
        {"xmm0", 17},
        {"xmm15", 32},
        {"st0", 33},
        {"st7", 40},
        {"eflags", 49},
        {"es", 50},
        {"cs", 51},
        {"ss", 52},
        {"ds", 53},
        {"fs", 54},
        {"gs", 55},
        {"fs_base", 58},
        {"gs_base", 59},
        {"mxcsr", 64},
        {"fctrl", 65},
        {"fstat", 66},
        {"xmm16", 67},
        {"xmm31", 82},
        {"k0", 118},
        {"k7", 125},
        {"ymm0", -1},
        {"zmm31", -1},
        {"tmm0", -1},
        {"orig_rax", -1},
#endif
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_int_equal(table(find(numbers[i].name))->dwarf, numbers[i].number);
}

/* ---- Reading ---- */

static void R6_read_with_each_set_of_components(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 1u << COMPONENTS; which++) {
        uint64_t mask = 0;
        for (unsigned i = 0; i < COMPONENTS; i++)
            mask |= (uint64_t)(which >> i & 1) << components[i].bit;
        struct arch_block block = make_block(0, mask);
        for_each_extended(i) assert_reads(&block, i);
    }
}

static void R6_initial_state(void **state)
{
    (void)state;
    struct arch_block block = make_block(0, 0);
    for_each_extended(i)
    {
        unsigned char value[WIDEST], zero[WIDEST] = {0};
        uint32_t word;
        TESTED.read(&block, i, value);
        memcpy(&word, value, sizeof word);
        if (i == find("fctrl"))
            assert_int_equal(word, 0x37f);
        else if (i == find("ftag"))
            assert_int_equal(word, 0xffff);
        else if (i == find("mxcsr"))
            assert_int_equal(word, 0x1f80);
        else
            assert_memory_equal(value, zero, table(i)->bytes);
    }
}

/* ---- Writing ---- */

static void fill(unsigned char *value, int index)
{
    for (size_t i = 0; i < table(index)->bytes; i++)
        value[i] = (unsigned char)(0x5a + index + (int)i * 7);
    if (places_of(table(index)->name, (struct place[3]){{0}}) == 1 && table(index)->group == REIN_GROUP_FLOAT &&
        table(index)->bytes == 4) { /* the x87's control registers have fewer bits than bytes */
        struct place place;
        places_of(table(index)->name, &place);
        memset(value + place.size, 0, 4 - place.size);
        if (!strcmp(table(index)->name, "fop"))
            value[1] &= 7;
    }
}

static void apply(struct arch_block *block, int index, const unsigned char *value)
{
    struct place places[3];
    unsigned count = places_of(table(index)->name, places), done = 0;
    for (unsigned i = 0; i < count; done += places[i++].size) {
        unsigned char *to = block->bytes + places[i].offset, reserved = to[1] & 0xf8;
        memcpy(to, value + done, places[i].size);
        if (!strcmp(table(index)->name, "fop"))
            to[1] |= reserved;
    }
}

static void R6_write_changes_nothing_else(void **state)
{
    (void)state;
    for_each_extended(i)
    {
        unsigned char value[WIDEST], again[WIDEST];
        struct arch_block block = make_block(0, ALL), expected = make_block(1, ALL);
        if (i == find("ftag"))
            continue;
        memcpy(expected.bytes, block.bytes, SIZE);
        fill(value, i);
        apply(&expected, i, value);
        TESTED.write(&block, i, value);
        if (memcmp(block.bytes, expected.bytes, SIZE) != 0)
            fail_msg("%s", table(i)->name);
        TESTED.read(&block, i, again);
        assert_memory_equal(again, value, table(i)->bytes);
    }
}

/* Each register's components leave the initial state, with just that in the place of the rest; the others stay in it, and
 * what lies in their places is not touched. */
static void R6_write_in_the_initial_state(void **state)
{
    (void)state;
    for_each_extended(i)
    {
        struct place places[3];
        unsigned char value[WIDEST];
        struct arch_block block = make_block(0, 0), expected = make_block(1, 0);
        uint64_t used = 0;
        if (i == find("ftag"))
            continue;
        memcpy(expected.bytes, block.bytes, SIZE);
        for (unsigned j = 0, count = places_of(table(i)->name, places); j < count; j++)
            used |= UINT64_C(1) << places[j].bit;
        for (size_t j = 0; j < COMPONENTS; j++) {
            if (used >> components[j].bit & 1)
                memset(expected.bytes + components[j].offset, 0, components[j].size);
        }
        memcpy(expected.bytes + BV, &used, sizeof used);
        memcpy(expected.bytes + 24, "\x80\x1f\0", 4);
        memcpy(expected.bytes + 28, block.bytes + 28, 4); /* mxcsr's mask is not ours to change */
        if (used & 1)
            memcpy(expected.bytes, "\x7f\x03", 2);
        fill(value, i);
        apply(&expected, i, value);
        TESTED.write(&block, i, value);
        if (memcmp(block.bytes, expected.bytes, SIZE) != 0)
            fail_msg("%s", table(i)->name);
        for_each_extended(j) assert_reads(&block, j);
    }
}

/* mxcsr counts when SSE or AVX is in use. */
static void R6_mxcsr_survives(void **state)
{
    (void)state;
    static const char *const written[] = {"st3", "xmm7", "ymm2", "zmm6", "k1", "zmm20"};
    for (unsigned before = 0; before < 8; before++) {
        for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
            struct arch_block block = make_block(0, before);
            unsigned char value[WIDEST] = {1};
            uint32_t first, second;
            if (seek(written[i]) < 0) /* zmm20, on i386 */
                continue;
            TESTED.read(&block, find("mxcsr"), &first);
            TESTED.write(&block, find(written[i]), value);
            TESTED.read(&block, find("mxcsr"), &second);
            assert_int_equal(first, second);
            assert_true((before & 6) || first == 0x1f80);
        }
    }
}

/* ---- Tags ---- */

struct environment { /* of fnstenv */
    uint32_t control, status, tags, instruction[4];
};

/* What the processor has: whole tags, and the block that the kernel would hand out. */
static void save_x87(struct arch_block *block, uint32_t *tags)
{
    static unsigned char area[512] __attribute__((aligned(16)));
    struct environment environment;
    __asm__ volatile(FXSAVE " %0\n\tfnstenv %1\n\tfninit" : "=m"(area), "=m"(environment));
    memcpy(block->bytes, area, sizeof area);
    *tags = environment.tags & 0xffff;
}

/* valgrind's x87 computes with fewer bits, and has no tags to speak of. */
static bool is_whole(void)
{
    unsigned char image[10] = {1, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f}, again[10] = {0};
    __asm__ volatile("fninit\n\tfldt %1\n\tfstpt %0" : "=m"(again) : "m"(image));
    return memcmp(image, again, sizeof image) == 0;
}

static void R6_ftag_is_the_processors(void **state)
{
    (void)state;
    if (!is_whole()) {
        print_message("this is no whole x87: valgrind?\n");
        skip();
    }
    static const struct {
        uint64_t significand;
        uint16_t exponent;
    } numbers[] = {
        {0, 0},                      /* zero */
        {0, 0x8000},                 /* -0 */
        {UINT64_C(1) << 63, 0x3fff}, /* 1 */
        {1, 0},                      /* denormal */
        {UINT64_C(1) << 63, 0},      /* pseudo-denormal */
        {UINT64_C(1) << 63, 0x7fff}, /* infinity */
        {UINT64_C(3) << 62, 0xffff}, /* not a number */
        {1, 0x3fff},                 /* unnormal: not a number any more */
    };
    for (unsigned count = 0; count <= 8; count++) {
        for (unsigned turn = 0; turn < 8; turn++) {
            struct arch_block block = {.bytes = memory[0], .size = 512};
            unsigned char image[10];
            uint32_t tags, value = 77;
            __asm__ volatile("fninit");
            for (unsigned i = 0; i < turn; i++)
                __asm__ volatile("fincstp"); /* the top is anywhere */
            for (unsigned i = 0; i < count; i++) {
                memcpy(image, &numbers[(i + turn) % 8].significand, 8);
                memcpy(image + 8, &numbers[(i + turn) % 8].exponent, 2);
                __asm__ volatile("fldt %0" : : "m"(image));
            }
            save_x87(&block, &tags);
            xstate_lay_out(&block);
            TESTED.read(&block, find("ftag"), &value);
            assert_int_equal(value, tags);

            /* Back, it is what the processor had. */
            unsigned char abridged = block.bytes[4];
            block.bytes[4] = (unsigned char)~abridged;
            TESTED.write(&block, find("ftag"), &value);
            assert_int_equal(block.bytes[4], abridged);
        }
    }
}

static void R6_writing_ftag(void **state)
{
    (void)state;
    struct arch_block block = make_block(0, 0);
    uint32_t tags = 0xffff ^ 3u << 6, read;
    TESTED.write(&block, find("ftag"), &tags);
    assert_int_equal(in_use(&block), 1);
    assert_int_equal(block.bytes[4], 1 << 3);
    TESTED.read(&block, find("ftag"), &read);
    assert_int_equal(read, 0xffff ^ 2u << 6); /* what is in it is a zero: the kernel's, and gdb's, 01 */
}

/* ---- What there is ---- */

static void assert_present(const struct arch_block *block, const char *names, bool present)
{
    char copy[256], *next = copy, *name;
    snprintf(copy, sizeof copy, "%s", names);
    while ((name = strsep(&next, " ")) != NULL) {
#if defined(__i386__)
        if (seek(name) < 0) /* one of amd64's */
            continue;
#endif
        int index = find(name);
        if (TESTED.width(block, index) != (present ? table(index)->bytes : 0))
            fail_msg("%s should %sbe there", name, present ? "" : "not ");
    }
}

#define LEGACY "st0 st7 fctrl fop mxcsr xmm0 xmm7 xmm15"
#define AVX "ymm0 ymm15"
#define AVX512 "k0 k7 zmm0 zmm15 xmm16 xmm31 ymm16 ymm31 zmm16 zmm31"
#define REST "pkru tilecfg tmm0 tmm7"

/* A kernel without XSAVE. */
static void R6_block_without_header(void **state)
{
    (void)state;
    struct arch_block block = make_block(0, 0);
    unsigned char value[WIDEST] = {7}, before[SIZE];
    uint32_t control;
    block.size = 512;
    xstate_lay_out(&block);
    assert_present(&block, LEGACY, true);
    assert_present(&block, AVX " " AVX512 " " REST, false);
    TESTED.read(&block, find("mxcsr"), &control);
    assert_memory_equal(&control, block.bytes + 24, 4);
    memcpy(before, block.bytes, SIZE);
    TESTED.write(&block, find("xmm3"), value);
    memcpy(before + 160 + 3 * 16, value, 16);
    assert_memory_equal(block.bytes, before, SIZE);
}

static void R6_nothing_there(void **state)
{
    (void)state;
    struct arch_block block = make_block(0, ALL);
    block.size = 0;
    xstate_lay_out(&block);
    assert_present(&block, LEGACY " " AVX " " AVX512 " " REST " ssp", false);
    block.size = 8;
    assert_present(&block, "ssp", true);
}

/* What the kernel does not save is not there, whatever the processor has; and what does not fit the block neither. */
static void R6_layout_by_cpuid(void **state)
{
    (void)state;
    unsigned unused, size, offset, most;
    __cpuid(0, most, unused, unused, unused);
    if (most < 0xd)
        skip();
    __cpuid_count(0xd, 2, size, offset, unused, unused);
    if (size != 256)
        skip(); /* no AVX */
    struct arch_block block = make_block(0, ALL);
    uint64_t saved = 3;
    memcpy(block.bytes + XCR0, &saved, sizeof saved);
    xstate_lay_out(&block);
    assert_present(&block, LEGACY, true);
    assert_present(&block, AVX " " AVX512 " " REST, false);
    saved = 7;
    memcpy(block.bytes + XCR0, &saved, sizeof saved);
    xstate_lay_out(&block);
    assert_present(&block, LEGACY " " AVX, true);
    assert_present(&block, AVX512 " " REST, false);
    assert_int_equal(block.parts[2].offset, offset);
    block.size = offset + size - 1;
    xstate_lay_out(&block);
    assert_present(&block, LEGACY, true);
    assert_present(&block, AVX, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R6_table),
        cmocka_unit_test(R6_dwarf_numbers),
        cmocka_unit_test(R6_read_with_each_set_of_components),
        cmocka_unit_test(R6_initial_state),
        cmocka_unit_test(R6_write_changes_nothing_else),
        cmocka_unit_test(R6_write_in_the_initial_state),
        cmocka_unit_test(R6_mxcsr_survives),
        cmocka_unit_test(R6_ftag_is_the_processors),
        cmocka_unit_test(R6_writing_ftag),
        cmocka_unit_test(R6_block_without_header),
        cmocka_unit_test(R6_nothing_there),
        cmocka_unit_test(R6_layout_by_cpuid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
