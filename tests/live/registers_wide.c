/* R6: the x87's, vector, mask, tile and other registers of real threads, read and written; what is written is compared by the
 * program with what its own instructions then find. Programs: all_registers, step_targets. */
#include "support.h"

#include <cpuid.h>

#include "../fixtures/all_registers.h"

enum { WIDEST = 1024, TOTAL_MAX = 256 };
#if defined(__i386__)
#define AREA_POINTER "esi" /* of the program, at the label */
#define KEPT "edi"
#else
#define AREA_POINTER "r12"
#define KEPT "r12"
#endif

static rein_registers *registers_of(rein_thread *thread)
{
    rein_registers *registers = NULL;
    assert_ok(rein_thread_registers(thread, &registers));
    later_free_registers(registers);
    return registers;
}

static struct rein_register_info info_of(rein_registers *registers, int index)
{
    struct rein_register_info info = REIN_REGISTER_INFO_INIT;
    assert_ok(rein_registers_info(registers, index, &info));
    return info;
}

static bool is_present(rein_registers *registers, int index)
{
    bool present = false;
    assert_ok(rein_registers_present(registers, index, &present));
    return present;
}

/* What the first thread of a program, or a thread that is alone in it, has at the label. */
static struct fixture *at_label(const char *how, rein_thread **thread)
{
    struct fixture *fixture = spawn("all_registers", "0", how, NULL);
    add_breakpoint(fixture->process, address_of(fixture, "registers_loaded"));
    *thread = run_to(fixture->process, REIN_CAUSE_BREAKPOINT);
    return fixture;
}

static unsigned features_of(struct fixture *fixture)
{
    return (unsigned)said_count(fixture, "features");
}

/* Present, and, if it is a tile, not kept from the program by the system. */
static bool is_usable(struct fixture *fixture, rein_registers *registers, int index)
{
    bool is_tile = info_of(registers, index).group == REIN_GROUP_TILE;
    return is_present(registers, index) && (!is_tile || features_of(fixture) & HAS_AMX);
}

static void run_on(struct fixture *fixture)
{
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_remove_breakpoint(fixture->process, address_of(fixture, "registers_loaded"), 0));
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* ---- The program's areas ---- */

static rein_word area_address(struct fixture *fixture, const char *name, int index)
{
    return address_of(fixture, name) + (rein_word)index * sizeof(struct register_area);
}

static void get_area(struct fixture *fixture, const char *name, int index, struct register_area *area)
{
    assert_ok(rein_process_read(fixture->process, area_address(fixture, name, index), area, sizeof *area, NULL));
}

static void put_area(struct fixture *fixture, const char *name, int index, const struct register_area *area)
{
    assert_ok(rein_process_write(fixture->process, area_address(fixture, name, index), area, sizeof *area, NULL));
}

/* Where an area has a register; NULL: not in one piece, or not at all. */
static unsigned char *place_in(struct register_area *area, const char *name)
{
    static const struct {
        const char *name;
        unsigned offset;
    } single[] = {{"fctrl", 0},  {"fstat", 2},  {"fop", 6},    {"fioff", 8},
                  {"fiseg", 12}, {"fooff", 16}, {"foseg", 20}, {"mxcsr", 24}};
    unsigned n;
    char kind;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        if (!strcmp(name, single[i].name))
            return area->legacy + single[i].offset;
    }
    if (!strcmp(name, "pkru"))
        return (unsigned char *)&area->pkru;
    if (!strcmp(name, "tilecfg"))
        return area->tile_config;
    if (sscanf(name, "st%u", &n) == 1)
        return area->legacy + 32 + 16 * (size_t)n;
    if (sscanf(name, "k%u", &n) == 1)
        return (unsigned char *)&area->masks[n];
    if (sscanf(name, "tmm%u", &n) == 1)
        return area->tiles[n];
    if (sscanf(name, "%cmm%u", &kind, &n) == 2)
        return area->vectors[n];
    return NULL;
}

/* How many bytes an area has of it: the x87's control registers are narrower there. */
static size_t width_in(const struct rein_register_info *info)
{
    bool narrow = info->group == REIN_GROUP_FLOAT && info->bytes == 4 && strcmp(info->name, "fioff") != 0 &&
                  strcmp(info->name, "fooff") != 0;
    return narrow ? 2 : info->bytes;
}

/* Does the processor have its own way with that register? AMD's, and emulated ones, forget the x87's pointers. */
static bool is_forgotten(const char *name, unsigned features)
{
    return !(features & KEEPS_POINTERS) && (!strncmp(name, "fi", 2) || !strncmp(name, "fo", 2));
}

/* Compares every register that an area has with that. How many there were. */
static int assert_like_area(rein_registers *registers, struct register_area *area, unsigned features)
{
    int compared = 0;
    for (int i = rein_registers_count(registers); i < rein_registers_total(registers); i++) {
        struct rein_register_info info = info_of(registers, i);
        const unsigned char *expected = place_in(area, info.name);
        unsigned char value[WIDEST], zeros[4] = {0};
        size_t length = 0, width = width_in(&info);
        if (!expected || is_forgotten(info.name, features) || !is_present(registers, i))
            continue;
        assert_ok(rein_registers_read(registers, i, value, sizeof value, &length));
        assert_int_equal(length, info.bytes);
        if (memcmp(value, expected, width) != 0 || memcmp(value + width, zeros, info.bytes - width) != 0)
            fail_msg("%s is not what the program has loaded", info.name);
        compared++;
    }
    return compared;
}

/* ---- All values of a thread ---- */

struct values {
    int total;
    bool present[TOTAL_MAX];
    unsigned char bytes[TOTAL_MAX][WIDEST];
};

static struct values *all_values(rein_registers *registers)
{
    struct values *values = calloc(1, sizeof *values);
    later_free(values);
    values->total = rein_registers_total(registers);
    assert_true(values->total <= TOTAL_MAX);
    for (int i = 0; i < values->total; i++) {
        values->present[i] = is_present(registers, i);
        if (values->present[i])
            assert_ok(rein_registers_read(registers, i, values->bytes[i], WIDEST, NULL));
    }
    return values;
}

/* xmm3, ymm3 and zmm3 are one. ftag says what is in st0-st7. */
static bool shares(const char *left, const char *right)
{
    if (!strcmp(left, right))
        return true;
    if (!strcmp(right, "ftag"))
        return !strncmp(left, "st", 2) || !strcmp(left, "fstat");
    return !strncmp(left + 1, "mm", 2) && !strncmp(right + 1, "mm", 2) && *left != 't' && *right != 't' &&
           !strcmp(left + 3, right + 3);
}

static void assert_others_unchanged(rein_thread *thread, const struct values *before, const char *but)
{
    rein_registers *registers = registers_of(thread);
    struct values *after = all_values(registers);
    for (int i = 0; i < after->total; i++) {
        const char *name = rein_registers_name(registers, i);
        assert_int_equal(after->present[i], before->present[i]);
        if (memcmp(after->bytes[i], before->bytes[i], WIDEST) != 0 && !(but && shares(but, name)))
            fail_msg("a write of %s has changed %s", but ? but : "nothing", name);
    }
}

/* Another allowed value. false: it has no other that is of use. */
static bool change(const struct rein_register_info *info, unsigned char *value)
{
    const char *name = info->name;
    if (!strcmp(name, "fctrl"))
        value[1] ^= 0x0c; /* rounding */
    else if (!strcmp(name, "fstat"))
        value[1] ^= 0x47; /* C0-C3 */
    else if (!strcmp(name, "mxcsr"))
        value[1] ^= 0x60;
    else if (!strcmp(name, "pkru"))
        value[2] ^= 0xff;
    else if (!strcmp(name, "fop"))
        value[0] ^= 0xff;
    else if (!strcmp(name, "fiseg") || !strcmp(name, "foseg"))
        value[0] ^= 0x7f;
    else if (info->type == REIN_TYPE_FLOAT)
        for (int i = 0; i < 7; i++)
            value[i] = (unsigned char)~value[i];
    else if (info->group == REIN_GROUP_VECTOR || info->group == REIN_GROUP_MASK || info->type == REIN_TYPE_MATRIX ||
             !strcmp(name, "fioff") || !strcmp(name, "fooff"))
        for (size_t i = 0; i < info->bytes; i++)
            value[i] = (unsigned char)~value[i];
    else
        return false;
    return true;
}

/* ---- Reading ---- */

/* Where components are is asked of the processor by whoever traces; and valgrind shows a program less than there is. */
static unsigned seen_by_us(unsigned has)
{
    static const struct {
        unsigned feature, component;
    } needs[] = {{HAS_AVX, 2}, {HAS_AVX512, 5}, {HAS_PKU, 9}, {HAS_AMX, 18}};
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        unsigned size = 0, offset, flags, unused;
        __cpuid_count(0xd, needs[i].component, size, offset, flags, unused);
        if (size == 0)
            has &= ~needs[i].feature;
    }
    return has;
}

/* R6 */
static void R6_every_register_is_read(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = at_label(NULL, &thread);
    rein_registers *registers = registers_of(thread);
    struct register_area area;
    unsigned has = seen_by_us(features_of(fixture));
    get_area(fixture, "in", 0, &area);
    int more = VECTORS_512 - VECTORS;
    int expected = 8 + (has & KEEPS_POINTERS ? 7 : 2) + 1 + VECTORS + (has & HAS_AVX ? VECTORS : 0) +
                   (has & HAS_AVX512 ? more + more + VECTORS_512 + 8 : 0) + (has & HAS_PKU ? 1 : 0);
    int compared = assert_like_area(registers, &area, has);
    if (has & HAS_AMX)
        assert_int_equal(compared, expected + 1 + 8);
    else
        assert_true(compared >= expected); /* a machine can have tiles and keep them from the program */
    run_on(fixture);
}

/* R6, R3: what is known of a register, whether it is there or not. */
static void R6_R3_what_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t bytes;
        enum rein_register_type type;
        enum rein_register_group group;
        int dwarf;
    } some[] = {
#if defined(__i386__)
        {"eax", 4, REIN_TYPE_INTEGER, REIN_GROUP_GENERAL, 0},
        {"eip", 4, REIN_TYPE_CODE_POINTER, REIN_GROUP_GENERAL, 8},
        {"eflags", 4, REIN_TYPE_FLAGS, REIN_GROUP_GENERAL, 9},
        {"cs", 4, REIN_TYPE_INTEGER, REIN_GROUP_SEGMENT, 41},
        {"st7", 10, REIN_TYPE_FLOAT, REIN_GROUP_FLOAT, 18},
        {"mxcsr", 4, REIN_TYPE_FLAGS, REIN_GROUP_VECTOR, 39},
        {"xmm7", 16, REIN_TYPE_VECTOR, REIN_GROUP_VECTOR, 28},
        {"ymm7", 32, REIN_TYPE_VECTOR, REIN_GROUP_VECTOR, -1},
        {"zmm0", 64, REIN_TYPE_VECTOR, REIN_GROUP_VECTOR, -1},
        {"k7", 8, REIN_TYPE_INTEGER, REIN_GROUP_MASK, 100},
        {"pkru", 4, REIN_TYPE_INTEGER, REIN_GROUP_SYSTEM, -1},
#else
        {"rax", 8, REIN_TYPE_INTEGER, REIN_GROUP_GENERAL, 0},
        {"rip", 8, REIN_TYPE_CODE_POINTER, REIN_GROUP_GENERAL, 16},
        {"eflags", 4, REIN_TYPE_FLAGS, REIN_GROUP_GENERAL, 49},
        {"cs", 4, REIN_TYPE_INTEGER, REIN_GROUP_SEGMENT, 51},
        {"fs_base", 8, REIN_TYPE_DATA_POINTER, REIN_GROUP_SEGMENT, 58},
        {"st7", 10, REIN_TYPE_FLOAT, REIN_GROUP_FLOAT, 40},
        {"mxcsr", 4, REIN_TYPE_FLAGS, REIN_GROUP_VECTOR, 64},
        {"xmm15", 16, REIN_TYPE_VECTOR, REIN_GROUP_VECTOR, 32},
        {"ymm31", 32, REIN_TYPE_VECTOR, REIN_GROUP_VECTOR, -1},
        {"zmm0", 64, REIN_TYPE_VECTOR, REIN_GROUP_VECTOR, -1},
        {"k7", 8, REIN_TYPE_INTEGER, REIN_GROUP_MASK, 125},
        {"pkru", 4, REIN_TYPE_INTEGER, REIN_GROUP_SYSTEM, -1},
        {"tilecfg", 64, REIN_TYPE_STRUCT, REIN_GROUP_TILE, -1},
        {"tmm7", 1024, REIN_TYPE_MATRIX, REIN_GROUP_TILE, -1},
        {"ssp", 8, REIN_TYPE_DATA_POINTER, REIN_GROUP_SYSTEM, -1},
#endif
    };
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_registers *registers = registers_of(first_thread(fixture->process));
    int total = rein_registers_total(registers);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        int index = rein_registers_index(registers, some[i].name);
        assert_true(index >= 0 && index < total);
        assert_string_equal(rein_registers_name(registers, index), some[i].name);
        struct rein_register_info info = info_of(registers, index);
        assert_string_equal(info.name, some[i].name);
        assert_int_equal(info.bytes, some[i].bytes);
        assert_int_equal(info.type, some[i].type);
        assert_int_equal(info.group, some[i].group);
        assert_int_equal(info.dwarf, some[i].dwarf);
    }
    struct rein_register_info info = info_of(registers, rein_registers_index(registers, "zmm7"));
    assert_true(info.lanes & REIN_LANES_FLOAT64 && info.lanes & REIN_LANES_INT8);
#if !defined(__i386__)
    assert_int_equal(info_of(registers, rein_registers_index(registers, "tmm0")).row, 64);
#endif
    info = info_of(registers, rein_registers_index(registers, "mxcsr"));
    assert_string_equal(info.flags[info.flag_count - 1].name, "FZ");
    assert_int_equal(info.flags[info.flag_count - 1].low, 15);
    static const int bad[] = {-1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        int index = i < sizeof bad / sizeof *bad ? bad[i] : total;
        unsigned char bytes[WIDEST];
        bool present;
        assert_error(rein_registers_info(registers, index, &info), REIN_OUT_OF_RANGE);
        assert_error(rein_registers_present(registers, index, &present), REIN_OUT_OF_RANGE);
        assert_error(rein_registers_read(registers, index, bytes, sizeof bytes, NULL), REIN_OUT_OF_RANGE);
        assert_error(rein_registers_write(registers, index, bytes, sizeof bytes), REIN_OUT_OF_RANGE);
    }
}

/* R6, W1: the general registers, too. */
static void R6_W1_general_registers(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_thread *thread = first_thread(fixture->process);
    rein_registers *registers = registers_of(thread);
    rein_word word, value = (uintptr_t)0xfedcba9876543210u;
    size_t length = 0;
    for (int i = 0; i < rein_registers_count(registers); i++) {
        rein_word read = 0;
        assert_true(is_present(registers, i));
        assert_ok(rein_registers_get(registers, i, &word));
        assert_ok(rein_registers_read(registers, i, &read, sizeof read, &length));
        assert_int_equal(length, info_of(registers, i).bytes);
        assert_word(read, word); /* those of 4 bytes have no more to them */
    }
    int kept = rein_registers_index(registers, KEPT), eflags = rein_registers_index(registers, "eflags");
    assert_ok(rein_registers_write(registers, kept, &value, info_of(registers, kept).bytes));
    assert_word(register_of(thread, KEPT), value);
    uint32_t flags = (uint32_t)register_of(thread, "eflags") ^ 1;
    assert_ok(rein_registers_write(registers, eflags, &flags, sizeof flags));
    assert_word(register_of(thread, "eflags"), flags);
}

/* ---- Writing ---- */

/* R6: each register by itself, with nothing else changed; then all of them by the program's own instructions. */
static void R6_each_write_changes_that_register_only(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = at_label(NULL, &thread);
    rein_registers *registers = registers_of(thread);
    struct register_area area;
    int written = 0;
    get_area(fixture, "want", 0, &area);
    for (int i = rein_registers_count(registers); i < rein_registers_total(registers); i++) {
        struct rein_register_info info = info_of(registers, i);
        unsigned char value[WIDEST], again[WIDEST];
        unsigned char *place = place_in(&area, info.name);
        if (!place || !is_usable(fixture, registers, i))
            continue;
        struct values *before = all_values(registers_of(thread));
        memcpy(value, before->bytes[i], sizeof value);
        if (!change(&info, value))
            continue;
        assert_ok(rein_registers_write(registers, i, value, info.bytes));
        memcpy(place, value, width_in(&info));
        assert_ok(rein_registers_read(registers, i, again, sizeof again, NULL)); /* this snapshot has it */
        assert_memory_equal(again, value, info.bytes);
        assert_ok(rein_registers_read(registers_of(thread), i, again, sizeof again, NULL));
        assert_memory_equal(again, value, info.bytes);
        assert_others_unchanged(thread, before, info.name);
        written++;
    }
    assert_true(written >= 8 + 7 + 1 + VECTORS);
    for (int i = 0; i < VECTORS; i++)
        memcpy(area.legacy + 160 + 16 * i, area.vectors[i], 16);
    put_area(fixture, "want", 0, &area);
    run_on(fixture);
}

/* R6: the tags, which no area has in this form. */
static void R6_ftag_is_written(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = at_label(NULL, &thread);
    rein_registers *registers = registers_of(thread);
    int ftag = rein_registers_index(registers, "ftag");
    struct register_area area;
    uint32_t tags, empty_at_5;
    assert_ok(rein_registers_read(registers, ftag, &tags, sizeof tags, NULL));
    assert_int_equal(tags, 0); /* eight common numbers */
    struct values *before = all_values(registers);
    empty_at_5 = tags | 3u << 10;
    assert_ok(rein_registers_write(registers, ftag, &empty_at_5, sizeof tags));
    assert_others_unchanged(thread, before, "ftag");
    get_area(fixture, "want", 0, &area);
    area.legacy[4] = (unsigned char)~(1u << 5);
    put_area(fixture, "want", 0, &area);
    run_on(fixture);
}

/* R6: in the initial state all have their initial values; a write takes those out of it that it means, and no other. */
static void R6_write_in_the_initial_state(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = at_label("empty", &thread);
    rein_registers *registers = registers_of(thread);
    static const char *const written[] = {"zmm5", "ymm21", "ymm3", "k3", "xmm9", "st2", "tilecfg", "tmm1", "mxcsr"};
    struct register_area area, values;
    get_area(fixture, "want", 0, &area);
    assert_like_area(registers, &area, features_of(fixture));
    area_fill(&values, 3);
    for (size_t i = 0; i < sizeof written / sizeof *written; i++) {
        int index = rein_registers_index(registers, written[i]);
        if (index < 0 || !is_usable(fixture, registers, index)) /* i386 has fewer */
            continue;
        struct rein_register_info info = info_of(registers, index);
        struct values *before = all_values(registers_of(thread));
        assert_ok(rein_registers_write(registers, index, place_in(&values, written[i]), info.bytes));
        memcpy(place_in(&area, written[i]), place_in(&values, written[i]), info.bytes);
        assert_others_unchanged(thread, before, written[i]);
    }
    assert_like_area(registers_of(thread), &area, features_of(fixture));
    put_area(fixture, "want", 0, &area);
    run_on(fixture);
}

/* R6: each thread has its own. */
static void R6_many_threads(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    struct fixture *fixture = spawn("all_registers", "8", NULL);
    rein_process *process = fixture->process;
    bool seen[THREADS] = {false};
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    add_breakpoint(process, address_of(fixture, "registers_loaded"));
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < THREADS; i++) {
        rein_thread *thread = expect_event(process, REIN_CAUSE_BREAKPOINT)->thread;
        rein_registers *registers = registers_of(thread);
        rein_word offset = register_of(thread, AREA_POINTER) - address_of(fixture, "in");
        struct register_area area, other;
        int which = (int)(offset / sizeof area);
        assert_true(which < THREADS && !seen[which]);
        seen[which] = true;
        get_area(fixture, "in", which, &area);
        assert_like_area(registers, &area, features_of(fixture));

        area_fill(&other, (unsigned)which + 100);
        static const char *const written[] = {"st0", "xmm1", "ymm2", "zmm3", "zmm31", "k4", "tmm6", "mxcsr"};
        for (size_t j = 0; j < sizeof written / sizeof *written; j++) {
            int index = rein_registers_index(registers, written[j]);
            if (index < 0 || !is_usable(fixture, registers, index))
                continue;
            struct rein_register_info info = info_of(registers, index);
            assert_ok(rein_registers_write(registers, index, place_in(&other, written[j]), info.bytes));
            memcpy(place_in(&area, written[j]), place_in(&other, written[j]), info.bytes);
        }
        put_area(fixture, "want", which, &area);
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_remove_breakpoint(process, address_of(fixture, "registers_loaded"), 0));
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* R6, E1: what cannot be written is refused, and nothing is changed. */
static void R6_E1_refused(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = at_label(NULL, &thread);
    rein_registers *registers = registers_of(thread);
    struct values *before = all_values(registers);
    unsigned char value[WIDEST] = {0};
    uint32_t reserved = 0xffff0000u | 0x1f80;
    size_t length = 0;
    int mxcsr = rein_registers_index(registers, "mxcsr"), xmm0 = rein_registers_index(registers, "xmm0"),
        ssp = rein_registers_index(registers, "ssp");

    assert_error_says(rein_registers_write(registers, mxcsr, &reserved, sizeof reserved), REIN_SYSTEM, "mxcsr");
    assert_error_says(rein_registers_write(registers, xmm0, value, 15), REIN_INVALID_ARGUMENT, "16 bytes");
    assert_error_says(rein_registers_write(registers, xmm0, value, 17), REIN_INVALID_ARGUMENT, "16 bytes");
    assert_error_says(rein_registers_write(registers, xmm0, value, 0), REIN_INVALID_ARGUMENT, "16 bytes");
    assert_error_says(rein_registers_read(registers, xmm0, value, 15, &length), REIN_INVALID_ARGUMENT, "16 bytes");
    assert_int_equal(length, 16);
    assert_int_equal(value[0], 0);
    if (ssp >= 0 && !is_present(registers, ssp)) {
        assert_error_says(rein_registers_read(registers, ssp, value, sizeof value, NULL), REIN_NO_REGISTER, "ssp");
        assert_error_says(rein_registers_write(registers, ssp, value, 8), REIN_NO_REGISTER, "ssp");
    }
    assert_others_unchanged(thread, before, NULL);
    run_on(fixture);
}

/* R6, E1: a thread that has never used AMX has tiles of zeros, and no room for others. */
static void R6_E1_tiles_that_were_never_used(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_thread *thread = first_thread(fixture->process);
    rein_registers *registers = registers_of(thread);
    int tmm0 = rein_registers_index(registers, "tmm0");
    unsigned char value[WIDEST], zeros[WIDEST] = {0};
    if (tmm0 < 0 || !is_present(registers, tmm0)) {
        print_message("this machine has no AMX, or this architecture\n");
        skip();
    }
    struct values *before = all_values(registers);
    assert_ok(rein_registers_read(registers, tmm0, value, sizeof value, NULL));
    assert_memory_equal(value, zeros, sizeof value);
    memset(value, 1, sizeof value);
    assert_error_says(rein_registers_write(registers, tmm0, value, sizeof value), REIN_SYSTEM, "not used");
    assert_others_unchanged(thread, before, NULL);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* R6, R5: what has been fetched in its stop can be read for ever; what has not, never again. */
static void R6_R5_a_snapshot_is_of_one_stop(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = at_label(NULL, &thread);
    rein_registers *fetched = registers_of(thread), *other = registers_of(thread), *never = registers_of(thread);
    int xmm3 = rein_registers_index(fetched, "xmm3"), ssp = rein_registers_index(fetched, "ssp");
    unsigned char before[16], value[16];
    bool present;
    assert_true(is_present(fetched, xmm3));
    assert_ok(rein_registers_read(fetched, xmm3, before, sizeof before, NULL));
    memset(value, 3, sizeof value);
    assert_ok(rein_registers_write(other, xmm3, value, sizeof value));
    assert_ok(rein_registers_read(fetched, xmm3, value, sizeof value, NULL));
    assert_memory_equal(value, before, sizeof value); /* a snapshot */
    assert_ok(rein_registers_write(other, xmm3, before, sizeof before));

    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_error_says(rein_registers_read(never, xmm3, value, sizeof value, NULL), REIN_BAD_STATE, "has run");
    assert_error_says(rein_registers_present(never, xmm3, &present), REIN_BAD_STATE, "has run");
    if (ssp >= 0)
        assert_error(rein_registers_present(fetched, ssp, &present), REIN_BAD_STATE); /* another set */
    assert_error_says(rein_registers_write(fetched, xmm3, value, sizeof value), REIN_BAD_STATE, "has run");
    assert_ok(rein_registers_read(fetched, xmm3, value, sizeof value, NULL));
    assert_memory_equal(value, before, sizeof value);
    run_on(fixture);
    assert_ok(rein_registers_read(fetched, xmm3, value, sizeof value, NULL));
    assert_fails(rein_registers_read(never, xmm3, value, sizeof value, NULL));
    assert_fails(rein_registers_write(fetched, xmm3, value, sizeof value));
}

/* R6: in a callback. */
static enum rein_verdict count_lanes(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    rein_registers *registers;
    unsigned char value[16];
    int *good = arg;
    (void)breakpoint;
    if (rein_thread_registers(thread, &registers) != 0)
        return REIN_VERDICT_STOP_ALL;
    int xmm7 = rein_registers_index(registers, "xmm7");
    if (rein_registers_read(registers, xmm7, value, sizeof value, NULL) == 0 &&
        rein_registers_write(registers, xmm7, value, sizeof value) == 0)
        ++*good;
    rein_registers_free(registers);
    return REIN_VERDICT_GO_ON;
}

static void R6_in_a_callback(void **state)
{
    (void)state;
    int good = 0;
    struct fixture *fixture = spawn("all_registers", "16", NULL);
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.callback = count_lanes;
    options.arg = &good;
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_add_breakpoint(fixture->process, address_of(fixture, "registers_loaded"), &options, NULL));
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(good, 16);
}

/* R6 */
static void R6_names_of_kinds(void **state)
{
    (void)state;
    for (int i = -1; i <= REIN_TYPE_COUNT; i++)
        assert_int_equal(rein_register_type_name((enum rein_register_type)i) != NULL, i >= 0 && i < REIN_TYPE_COUNT);
    for (int i = -1; i <= REIN_GROUP_COUNT; i++)
        assert_int_equal(rein_register_group_name((enum rein_register_group)i) != NULL, i >= 0 && i < REIN_GROUP_COUNT);
    assert_string_equal(rein_register_type_name(REIN_TYPE_CODE_POINTER), "code pointer");
    assert_string_equal(rein_register_group_name(REIN_GROUP_VECTOR), "vector");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(R6_every_register_is_read),
        live_test(R6_R3_what_they_are),
        live_test(R6_W1_general_registers),
        live_test(R6_each_write_changes_that_register_only),
        live_test(R6_ftag_is_written),
        live_test(R6_write_in_the_initial_state),
        live_test(R6_many_threads),
        live_test(R6_E1_refused),
        live_test(R6_E1_tiles_that_were_never_used),
        live_test(R6_R5_a_snapshot_is_of_one_stop),
        live_test(R6_in_a_callback),
        live_test(R6_names_of_kinds),
    };
    return live_main(tests);
}
