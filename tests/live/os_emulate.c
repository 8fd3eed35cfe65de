/* The two ways past a breakpoint that need no step, against the processor. What src/arch executes in a thread's place (emulate):
 * the same instruction with the same registers and stack, once by us and once by a child in a single-step; afterwards all
 * registers, all flags and all of the stack must be the same. And what it moves (displace): once where it is, once where it was
 * moved to, with vectors and faults as well. Row P5: getting past a breakpoint is one instruction, exactly.
 *
 * REIN_ROUNDS makes the random part longer; REIN_SEED chooses it. */
#include "os_support.h"

#include <link.h>
#include <sys/user.h>

enum { AROUND = 1 << 20, STACK = 4096, CODE = 4096, BEFORE = 2048, GENERATED = 20000, TEXT_MAX = 60000 };

static void *around;
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
    around = mmap(NULL, AROUND, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); /* nothing else is near the stack */
    assert_true(around != MAP_FAILED);
    stack = (unsigned char *)around + AROUND / 2;
    assert_int_equal(mprotect(stack, STACK, PROT_READ | PROT_WRITE), 0);
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
    munmap(around, AROUND);
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

/* ---- Moved ---- */

/* An instruction that changes memory elsewhere cannot be executed twice with the same result. There is none at the addresses that
 * come up, but for the sanitizer's own, and in a 32-bit program, where much of what there is has memory. */
#define skip_where_memory_is_dense()                                                                                   \
    do {                                                                                                               \
        if (ADDRESS_SANITIZED || sizeof(void *) < 8) {                                                                 \
            print_message("there is memory at addresses that are to have none\n");                                     \
            skip();                                                                                                    \
        }                                                                                                              \
    } while (0)

enum { ORIGINAL_AT = 64, COPY_AT = 2048, BLOCK = 16384 };

struct result {
    struct arch_registers registers;
    struct os_event event;
    unsigned char vectors[BLOCK];
    int vector_size;
    unsigned char stack[STACK], code[CODE];
};

static void step_once(struct result *result)
{
    int status;
    resume(child, OS_RESUME_STEP, 0);
    assert_int_equal(waitpid(child, &status, __WALL), child);
    assert_int_equal(linux_decode(child, status, &result->event), 1);
    assert_int_equal(linux_get_registers(child, &result->registers), 0);
}

static void take_rest(struct result *result)
{
    result->vector_size = linux_get_register_set(child, ARCH_SET_X86_XSTATE, result->vectors, sizeof result->vectors);
    memcpy(result->stack, stack, STACK);
    memcpy(result->code, code, CODE);
}

static void begin_with(const struct arch_registers *registers, uint64_t pc, const struct result *first)
{
    struct arch_registers start = *registers;
    arch->set(&start, arch->pc_index, pc);
    memcpy(stack, first->stack, STACK);
    memcpy(code, first->code, CODE);
    assert_int_equal(linux_set_registers(child, &start), 0);
    if (first->vector_size > 0)
        assert_int_equal(linux_set_register_set(child, ARCH_SET_X86_XSTATE, first->vectors, (size_t)first->vector_size),
                         0);
}

/* Random numbers differ each time. And there are virtual machines in which a thread never gets past a locked access over the end
 * of a cache line when it is stepped. */
static bool cannot_be_repeated(const unsigned char *bytes)
{
    bool locked = false, random;
    while (*bytes == 0x66 || *bytes == 0x67 || *bytes == 0xf0 || *bytes == 0xf2 || *bytes == 0xf3 || *bytes == 0x2e ||
           *bytes == 0x36 || *bytes == 0x3e || *bytes == 0x26 || *bytes == 0x64 || *bytes == 0x65 ||
           (arch->registers[arch->pc_index].bytes == 8 && (*bytes & 0xf0) == 0x40))
        locked |= *bytes++ == 0xf0;
    random = bytes[0] == 0x0f && bytes[1] == 0xc7 && bytes[2] >= 0xf0;
    return locked || random || ((*bytes & 0xfe) == 0x86 && bytes[1] < 0xc0);
}

static enum outcome compare_moved(const unsigned char *bytes, size_t size, size_t length)
{
    static struct result before, in_place, moved;
    unsigned char copied[ARCH_DISPLACED_MAX];
    uint64_t from = (uint64_t)(uintptr_t)code + ORIGINAL_AT, to = (uint64_t)(uintptr_t)code + COPY_AT;
    size_t instruction_size = 0, total = arch->displace(bytes, size, from, to, copied, &instruction_size);
    if (!total || cannot_be_repeated(bytes))
        return NOT_OURS;
    assert_int_equal(instruction_size, length);
    assert_true(total <= sizeof copied);
    memcpy(code + ORIGINAL_AT, bytes, size);
    memcpy(code + COPY_AT, copied, total);
    randomise(&before.registers, from);
    take_rest(&before);
    begin_with(&before.registers, from, &before);
    step_once(&in_place);
    take_rest(&in_place);

    begin_with(&before.registers, to, &before);
    step_once(&moved);
    take_rest(&moved);
    uint64_t pc = arch_pc(&moved.registers), home = pc - to + from;
    bool done = pc == to + instruction_size;
    assert_true(done || pc == to);
    if (done) {
        step_once(&moved); /* the jump */
        if (arch_pc(&moved.registers) != home) {
            show(bytes, length, &before.registers, &in_place.registers, &moved.registers);
            fail_msg("behind the jump back it is not where it should be");
        }
    } else {
        uint64_t flags = arch->get(&in_place.registers, arch->pc_index + 1); /* RF, which setting the pc clears */
        arch->set(&moved.registers, arch->pc_index, home);
        arch->set(&moved.registers, arch->pc_index + 1, flags);
    }
    bool same_fault =
        moved.event.kind == in_place.event.kind && moved.event.signal.number == in_place.event.signal.number;
    if (same_fault && !done) { /* in words of the instruction's address or of the data's */
        uint64_t address = moved.event.signal.address;
        same_fault = address == in_place.event.signal.address || address - to + from == in_place.event.signal.address;
    }
    if (!same_fault || memcmp(moved.registers.bytes, in_place.registers.bytes, moved.registers.size) != 0 ||
        memcmp(moved.stack, in_place.stack, STACK) != 0 || memcmp(moved.code, in_place.code, CODE) != 0 ||
        moved.vector_size != in_place.vector_size ||
        memcmp(moved.vectors, in_place.vectors, (size_t)(moved.vector_size > 0 ? moved.vector_size : 0)) != 0) {
        show(bytes, length, &before.registers, &in_place.registers, &moved.registers);
        fail_msg("moved: event %d, signal %d at 0x%llx; in place (\"us\"): event %d, signal %d at 0x%llx",
                 (int)moved.event.kind, moved.event.signal.number, (unsigned long long)moved.event.signal.address,
                 (int)in_place.event.kind, in_place.event.signal.number,
                 (unsigned long long)in_place.event.signal.address);
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
struct walk {
    enum outcome (*compare)(const unsigned char *bytes, size_t size, size_t length);
    unsigned done;
};

static int compare_text(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct walk *walk = arg;
    static unsigned char seen[1 << 16];
    memset(seen, 0, sizeof seen);
    (void)size;
    if (!info->dlpi_name || !strstr(info->dlpi_name, "/libc.so"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X))
            continue;
        const unsigned char *at = (const unsigned char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        size_t left = info->dlpi_phdr[i].p_memsz, length = 0;
        for (; left > ARCH_INSTRUCTION_MAX && walk->done < TEXT_MAX; at += length, left -= length) {
            arch->classify(at, ARCH_INSTRUCTION_MAX, &length);
            uint32_t hash = 2166136261u;
            if (!length)
                length = 1;
            for (size_t byte = 0; byte < length; byte++)
                hash = (hash ^ at[byte]) * 16777619u;
            hash ^= hash >> 16;
            if (seen[hash & 0xffff]++)
                continue;
            walk->done += walk->compare(at, ARCH_INSTRUCTION_MAX, length) == THE_SAME;
        }
    }
    return 0;
}

static void P5_instructions_of_the_c_library(void **state)
{
    struct walk walk = {compare, 0};
    (void)state;
    dl_iterate_phdr(compare_text, &walk);
    if (walk.done < 5000)
        fail_msg("only %u instructions of the C library were compared", walk.done);
}

static void P5_moved_instructions_of_the_c_library(void **state)
{
    struct walk walk = {compare_moved, 0};
    (void)state;
    skip_where_memory_is_dense();
    dl_iterate_phdr(compare_text, &walk);
    if (walk.done < 5000)
        fail_msg("only %u instructions of the C library were compared", walk.done);
}

/* Any that there are. */
static void P5_moved_random_instructions(void **state)
{
    const char *given = getenv("REIN_ROUNDS");
    unsigned wanted = GENERATED / 4 * (given ? (unsigned)atoi(given) : 1), done = 0;
    (void)state;
    skip_where_memory_is_dense();
    for (unsigned tries = 0; done < wanted; tries++) {
        unsigned char bytes[ARCH_INSTRUCTION_MAX];
        size_t size = generate(bytes), length = 0;
        arch->classify(bytes, size, &length);
        done += compare_moved(bytes, size, length) == THE_SAME;
        if (tries > 1000 * wanted)
            fail_msg("%u instructions of %u", done, wanted);
    }
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
        cmocka_unit_test(P5_random_instructions),       cmocka_unit_test(P5_instructions_of_the_c_library),
        cmocka_unit_test(P5_moved_random_instructions), cmocka_unit_test(P5_moved_instructions_of_the_c_library),
        cmocka_unit_test(P5_left_to_the_thread),        cmocka_unit_test(P5_resume_flag_ends),
    };
    cmocka_set_test_filter(getenv("REIN_TEST"));
    return cmocka_run_group_tests_name("os_emulate", tests, setup, teardown);
}
