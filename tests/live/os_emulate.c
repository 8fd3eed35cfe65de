/* What src/arch executes in place of a thread (struct arch, emulate), against the processor: the same instruction with the
 * same registers and stack, once by us and once by a child in a single-step; afterwards all registers, all flags and
 * all of the stack must be the same. Row P5: getting past a breakpoint is one instruction, exactly.
 *
 * REIN_ROUNDS makes the random part longer; REIN_SEED chooses it. */
#include "os_support.h"

#include <link.h>
#include <sys/user.h>

enum { STACK = 4096, CODE = 4096, BEFORE = 2048, GENERATED = 20000, TEXT_MAX = 60000 };

static unsigned char *code, *stack, *copy; /* the child's, shared; copy is ours */
static int child;
static const struct arch *arch;
static struct arch_registers ordinary;
static uint64_t seed;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static bool pauses_long(void *arg)
{
    alarm(0);
    return pauses(arg);
}

static int setup(void **state)
{
    const char *given = getenv("REIN_SEED");
    (void)state;
    skip_under_valgrind();
    seed = given ? strtoull(given, NULL, 0) : 88172645463325252u;
    code = shared_memory(CODE);
    stack = shared_memory(STACK);
    copy = malloc(STACK);
    assert_non_null(copy);
    assert_int_equal(mprotect(code, CODE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    child = start_child(pauses_long, NULL);
    seize_and_stop(child);
    assert_int_equal(linux_get_registers(child, &ordinary), 0);
    arch = ordinary.arch;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kill_child(child);
    munmap(code, CODE);
    munmap(stack, STACK);
    free(copy);
    return 0;
}

/* ---- Our stack, in place of the child's ---- */

static bool reaches(uint64_t address, size_t size)
{
    uint64_t start = (uint64_t)(uintptr_t)stack;
    return address >= start && address + size <= start + STACK;
}

static bool read_copy(void *arg, uint64_t address, void *buffer, size_t size)
{
    (void)arg;
    if (!reaches(address, size))
        return false;
    memcpy(buffer, copy + (address - (uint64_t)(uintptr_t)stack), size);
    return true;
}

static bool write_copy(void *arg, uint64_t address, const void *data, size_t size)
{
    (void)arg;
    if (!reaches(address, size))
        return false;
    memcpy(copy + (address - (uint64_t)(uintptr_t)stack), data, size);
    return true;
}

static const struct arch_memory memory = {read_copy, write_copy, NULL};

/* ---- Values ---- */

/* Often at an edge, or in the stack. */
static uint64_t random_value(void)
{
    static const uint64_t edges[] = {
        0,         1,      2,          0x7f,       0x80,       0xff,      0x7fff,
        0x8000,    0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_C(1) << 63,
        UINT64_MAX};
    uint64_t random = next_random();
    switch (random & 3) {
    case 0:
        return edges[(random >> 8) % (sizeof edges / sizeof *edges)];
    case 1:
        return (uint64_t)(uintptr_t)stack + (random >> 8) % STACK;
    default:
        return next_random() >> (random >> 8) % 64;
    }
}

/* Of the program's, in both tables the first ones, but for the stack pointer. */
static void randomise(struct arch_registers *registers, uint64_t pc)
{
    static const uint64_t flags = 0x8d5; /* CF, PF, AF, ZF, SF, OF */
    *registers = ordinary;
    for (int i = 0; i < arch->pc_index; i++)
        arch->set(registers, i, random_value());
    arch->set(registers, arch->sp_index, (uint64_t)(uintptr_t)stack + BEFORE + next_random() % 64);
    arch->set(registers, arch->pc_index + 8, UINT64_MAX); /* in no call */
    arch->set(registers, arch->pc_index, pc);
    uint64_t old = arch->get(registers, arch->pc_index + 1);
    arch->set(registers, arch->pc_index + 1, (old & ~flags) | (next_random() & flags));
    for (size_t i = 0; i < STACK; i += sizeof(uint64_t)) {
        uint64_t value = i / sizeof value % 3 ? next_random() : random_value();
        memcpy(stack + i, &value, sizeof value);
    }
    memcpy(copy, stack, STACK);
}

/* ---- Comparing ---- */

static void show(const unsigned char *bytes, size_t size, const struct arch_registers *before,
                 const struct arch_registers *ours, const struct arch_registers *theirs)
{
    print_error("instruction");
    for (size_t i = 0; i < size; i++)
        print_error(" %02x", bytes[i]);
    print_error("\n");
    for (int i = 0; i < arch->register_count; i++) {
        if (arch->get(ours, i) != arch->get(theirs, i))
            print_error("%s was 0x%llx: 0x%llx by us, 0x%llx by the processor\n", arch->registers[i].name,
                        (unsigned long long)arch->get(before, i), (unsigned long long)arch->get(ours, i),
                        (unsigned long long)arch->get(theirs, i));
    }
}

enum outcome { NOT_OURS, LEFT_TO_IT, THE_SAME };

static enum outcome compare(const unsigned char *bytes, size_t size, size_t length)
{
    struct arch_plan plan;
    struct arch_registers before, ours, theirs;
    if (arch->prepare(bytes, size, &plan) == ARCH_PLAN_NONE)
        return NOT_OURS;
    memcpy(code + 64, bytes, size);
    randomise(&before, (uint64_t)(uintptr_t)code + 64);
    ours = before;
    if (!arch->emulate(&plan, &ours, &memory)) {
        if (memcmp(&ours, &before, sizeof ours) != 0 || memcmp(copy, stack, STACK) != 0)
            fail_msg("something was changed, though the instruction was left to the thread");
        return LEFT_TO_IT;
    }
    assert_int_equal(linux_set_registers(child, &before), 0);
    resume(child, OS_RESUME_STEP, 0);
    struct os_event event = {.kind = OS_EVENT_NONE};
    int status;
    assert_int_equal(waitpid(child, &status, __WALL), child); /* not next_event(), which sleeps between its looks */
    assert_int_equal(linux_decode(child, status, &event), 1);
    assert_int_equal(linux_get_registers(child, &theirs), 0);
    if (event.kind != OS_EVENT_STEPPED || memcmp(ours.bytes, theirs.bytes, ours.size) != 0 ||
        memcmp(copy, stack, STACK) != 0) {
        show(bytes, length, &before, &ours, &theirs);
        fail_msg("kind %d of event, signal %d; the stacks are %s", (int)event.kind, event.signal.number,
                 memcmp(copy, stack, STACK) ? "not the same" : "the same");
    }
    return THE_SAME;
}

/* ---- Tests ---- */

/* Bytes at random, begun so that they are often one of ours. */
static size_t generate(unsigned char *bytes)
{
    static const unsigned char two_byte[] = {0x1e, 0x1f, 0x40, 0x80, 0x90, 0xa0, 0xa8, 0xb6, 0xbe, 0xc8};
    size_t at = 0;
    uint64_t random = next_random();
    for (size_t i = 0; i < ARCH_INSTRUCTION_MAX; i++)
        bytes[i] = (unsigned char)next_random();
    if ((random & 7) == 0)
        bytes[at++] = 0x66;
    else if ((random & 63) == 1)
        bytes[at++] = (const unsigned char[]){0xf3, 0xf2, 0x64, 0x3e, 0x67, 0xf0}[(random >> 8) % 6];
    if (random & 0x100 && arch->registers[arch->pc_index].bytes == 8)
        bytes[at++] = (unsigned char)(0x40 | (random >> 16 & 15));
    if (random & 0x200) {
        bytes[at++] = 0x0f;
        bytes[at] = (unsigned char)(two_byte[(random >> 20) % sizeof two_byte] + (random >> 24 & 15));
    }
    return ARCH_INSTRUCTION_MAX;
}

static void P5_random_instructions(void **state)
{
    const char *given = getenv("REIN_ROUNDS");
    unsigned wanted = GENERATED * (given ? (unsigned)atoi(given) : 1), done = 0, left = 0;
    (void)state;
    for (unsigned tries = 0; done < wanted; tries++) {
        unsigned char bytes[ARCH_INSTRUCTION_MAX];
        size_t size = generate(bytes), length = 0;
        arch->classify(bytes, size, &length);
        enum outcome outcome = compare(bytes, size, length);
        done += outcome == THE_SAME;
        left += outcome == LEFT_TO_IT;
        if (tries > 1000 * wanted)
            fail_msg("%u instructions of %u, %u were left to the thread", done, wanted, left);
    }
}

/* What compilers make: each instruction of the C library once, by its bytes. */
static int compare_text(struct dl_phdr_info *info, size_t size, void *arg)
{
    unsigned *done = arg;
    static unsigned char seen[1 << 16];
    (void)size;
    if (!info->dlpi_name || !strstr(info->dlpi_name, "/libc.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X))
            continue;
        const unsigned char *at = (const unsigned char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        size_t left = info->dlpi_phdr[i].p_memsz, length = 0;
        for (; left > ARCH_INSTRUCTION_MAX && *done < TEXT_MAX; at += length, left -= length) {
            arch->classify(at, ARCH_INSTRUCTION_MAX, &length);
            uint32_t hash = 2166136261u;
            if (!length)
                length = 1;
            for (size_t byte = 0; byte < length; byte++)
                hash = (hash ^ at[byte]) * 16777619u;
            hash ^= hash >> 16;
            if (seen[hash & 0xffff]++)
                continue;
            *done += compare(at, ARCH_INSTRUCTION_MAX, length) == THE_SAME;
        }
    }
    return 0;
}

static void P5_instructions_of_the_c_library(void **state)
{
    unsigned done = 0;
    (void)state;
    dl_iterate_phdr(compare_text, &done);
    if (done < 5000)
        fail_msg("only %u instructions of the C library were compared", done);
}

/* What must be left to the thread. */
static void P5_left_to_the_thread(void **state)
{
    static const unsigned char push[] = {0x50, 0x90}, nop[] = {0x90, 0x90}, ret[] = {0xc3, 0x90};
    struct arch_plan plan;
    struct arch_registers before, registers;
    (void)state;

    /* The program's own trap flag: a trap is to come behind it. */
    assert_int_equal(arch->prepare(nop, sizeof nop, &plan), ARCH_PLAN_REGISTERS);
    randomise(&before, (uint64_t)(uintptr_t)code);
    registers = before;
    assert_true(arch->emulate(&plan, &registers, &memory));
    registers = before;
    arch->set(&registers, arch->pc_index + 1, arch->get(&registers, arch->pc_index + 1) | 0x100);
    assert_false(arch->emulate(&plan, &registers, &memory));

    /* A system call that is to be made again first. */
    registers = before;
    arch->set(&registers, arch->pc_index + 8, 0);
    assert_false(arch->emulate(&plan, &registers, &memory));

    /* Memory that cannot be written; or half of it, over the end of a page. */
    assert_int_equal(arch->prepare(push, sizeof push, &plan), ARCH_PLAN_MEMORY);
    registers = before;
    assert_true(arch->emulate(&plan, &registers, &memory));
    registers = before;
    arch->set(&registers, arch->sp_index, (uint64_t)(uintptr_t)stack);
    assert_false(arch->emulate(&plan, &registers, &memory));
    registers = before;
    arch->set(&registers, arch->sp_index, (uint64_t)(uintptr_t)stack + 2);
    assert_false(arch->emulate(&plan, &registers, &memory));

    /* The alignment flag, with memory. */
    registers = before;
    arch->set(&registers, arch->pc_index + 1, arch->get(&registers, arch->pc_index + 1) | 0x40000);
    assert_false(arch->emulate(&plan, &registers, &memory));

    /* A return to where no code can be. */
    assert_int_equal(arch->prepare(ret, sizeof ret, &plan), ARCH_PLAN_RETURN_ADDRESS);
    if (arch->registers[arch->pc_index].bytes == 8) {
        uint64_t address = UINT64_C(0x800000000000);
        registers = before;
        assert_true(write_copy(NULL, arch_sp(&registers), &address, sizeof address));
        assert_false(arch->emulate(&plan, &registers, &memory));
    }
}

/* RF is about the instruction that was executed. */
static void P5_resume_flag_ends(void **state)
{
    static const unsigned char self[] = {0xeb, 0xfe};
    const uint64_t resume_flag = 0x10000;
    struct arch_plan plan;
    struct arch_registers registers;
    (void)state;
    assert_int_equal(arch->prepare(self, sizeof self, &plan), ARCH_PLAN_REGISTERS);
    randomise(&registers, (uint64_t)(uintptr_t)code);
    arch->set(&registers, arch->pc_index + 1, arch->get(&registers, arch->pc_index + 1) | resume_flag);
    assert_true(arch->emulate(&plan, &registers, &memory));
    assert_true(arch_pc(&registers) == (uint64_t)(uintptr_t)code);
    assert_false(arch->get(&registers, arch->pc_index + 1) & resume_flag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P5_random_instructions),
        cmocka_unit_test(P5_instructions_of_the_c_library),
        cmocka_unit_test(P5_left_to_the_thread),
        cmocka_unit_test(P5_resume_flag_ends),
    };
    cmocka_set_test_filter(getenv("REIN_TEST"));
    return cmocka_run_group_tests_name("os_emulate", tests, setup, teardown);
}
