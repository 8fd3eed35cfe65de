/* The two ways past a breakpoint that need no step, against the processor. What src/arch executes in a thread's place (emulate):
 * the same instruction with the same registers and stack, once by us and once by a child in a single-step; afterwards all
 * registers, all flags and all of the stack must be the same. And what it moves (displace): once where it is, once where it was
 * moved to, with vectors and faults as well. Row P5: getting past a breakpoint is one instruction, exactly.
 *
 * REIN_ROUNDS makes the random part longer, REIN_SEED chooses it; with REIN_ALL=1 each instruction of each of the files
 * is taken, else a part of them. */
#include "os_support.h"

#include <elf.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <sys/stat.h>
#include <sys/user.h>

#if defined(__aarch64__) /* and emulated, which is slow */
enum { GENERATED = 1200, TEXT_MAX = 1200, TEXT_SOME = 300 };
enum { FLAGS_BEHIND_PC = 1, CALL_BEHIND_PC = 2, SOME_STACK = 16 };
#define FLAGS 0xf0000000u /* NZCV */
#define VECTORS ARCH_SET_ARM64_SVE
#define OWN_MACHINE EM_AARCH64
#else
enum { GENERATED = 20000, TEXT_MAX = 60000, TEXT_SOME = 3000 };
enum { FLAGS_BEHIND_PC = 1, CALL_BEHIND_PC = 8, SOME_STACK = 1 };
#define FLAGS 0x8d5u /* CF, PF, AF, ZF, SF, OF */
#define VECTORS ARCH_SET_X86_XSTATE
#define OWN_MACHINE (sizeof(void *) == 8 ? EM_X86_64 : EM_386)
#endif
enum { STACK = 4096, CODE = 4096, BEFORE = 2048 };
/* Nothing else is nearer to the stack: a register that points there, and another of 32 bits, eight times, do not reach more. */
static const size_t around_size = sizeof(void *) > 4 ? (size_t)1 << (sizeof(void *) > 4 ? 37 : 0) : (size_t)1 << 20;

static void *around;
static unsigned char *code, *stack, *copy; /* the child's, shared; copy is ours */
static int child;
#if defined(__aarch64__)
static unsigned char *checked_code;
#endif
static const struct arch *arch;
static uint64_t came_by_branch; /* flags that a branch to the instruction would have left, if any at all */
static struct arch_registers ordinary;
static enum arch_branch_checks checks; /* of the memory of code */
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
    around = mmap(NULL, around_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(around != MAP_FAILED);
    stack = (unsigned char *)around + around_size / 2;
    assert_ptr_equal(mmap(stack, STACK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0), stack);
    copy = malloc(STACK);
    assert_non_null(copy);
    assert_int_equal(mprotect(code, CODE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
#if defined(__aarch64__)
    enum { PROT_CHECKED = 0x10 }; /* PROT_BTI */
    checked_code = shared_memory(CODE);
    if (mprotect(checked_code, CODE, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_CHECKED))
        checked_code = NULL;
#endif
    child = start_child(pauses_long, NULL);
    seize_and_stop(child);
    assert_int_equal(linux_get_registers(child, &ordinary), 0);
    arch = ordinary.arch;
    checks = linux_branch_checks(child, (uint64_t)(uintptr_t)code);
    for (size_t i = 0; i < CODE; i++)
        code[i] = (unsigned char)next_random();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kill_child(child);
    munmap(code, CODE);
    munmap(around, around_size);
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
    uint64_t in_code = address - (uint64_t)(uintptr_t)code;
    (void)arg;
    if (in_code < CODE && in_code + size <= CODE) {
        memcpy(buffer, code + in_code, size);
        return true;
    }
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

static enum arch_branch_checks checks_code(void *arg, uint64_t address)
{
    (void)arg;
    assert_true(address >= (uint64_t)(uintptr_t)code && address < (uint64_t)(uintptr_t)code + CODE);
    return checks;
}

static const struct arch_memory memory = {read_copy, write_copy, NULL, checks_code};

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
    *registers = ordinary;
    for (int i = 0; i < arch->pc_index; i++)
        arch->set(registers, i, random_value());
    arch->set(registers, arch->sp_index, (uint64_t)(uintptr_t)stack + BEFORE + next_random() % 64 * SOME_STACK);
    arch->set(registers, arch->pc_index + CALL_BEHIND_PC, UINT64_MAX); /* in no call */
    arch->set(registers, arch->pc_index, pc);
    uint64_t old = arch->get(registers, arch->pc_index + FLAGS_BEHIND_PC);
    uint64_t flags = FLAGS | (checks >= ARCH_BRANCHES_FREE ? came_by_branch : 0);
    arch->set(registers, arch->pc_index + FLAGS_BEHIND_PC, (old & ~flags) | (next_random() & flags));
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
enum { ORIGINAL_AT = 64, COPY_AT = 2048, BLOCK = 16384 };

static void write_code(size_t at, const unsigned char *bytes, size_t size)
{
    memcpy(code + at, bytes, size);
    __builtin___clear_cache((char *)code + at, (char *)code + at + size);
}

static enum outcome compare(const unsigned char *bytes, size_t size, size_t length)
{
    struct arch_plan plan;
    struct arch_registers before, ours, theirs;
    if (arch->prepare(bytes, size, &plan) == ARCH_PLAN_NONE)
        return NOT_OURS;
    write_code(ORIGINAL_AT, bytes, size);
    randomise(&before, (uint64_t)(uintptr_t)code + ORIGINAL_AT);
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
    result->vector_size = linux_get_register_set(child, VECTORS, result->vectors, sizeof result->vectors);
    memcpy(result->stack, stack, STACK);
    memcpy(result->code, code, CODE);
}

static void begin_with(const struct arch_registers *registers, uint64_t pc, const struct result *first)
{
    struct arch_registers start = *registers;
    arch->move_pc(&start, pc);
    memcpy(stack, first->stack, STACK);
    memcpy(code, first->code, CODE);
    assert_int_equal(linux_set_registers(child, &start), 0);
    if (first->vector_size > 0)
        assert_int_equal(linux_set_register_set(child, VECTORS, first->vectors, (size_t)first->vector_size), 0);
}

#if defined(__aarch64__)
/* Time and random numbers differ each time; and what mode its vectors are in is not begun with anew. */
static bool cannot_be_repeated(const unsigned char *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return (word & 0xfffff000u) == 0xd53be000u || (word & 0xffffff00u) == 0xd53b2400u ||
           (word & 0xfffff0ffu) == 0xd503407fu;
}
#else
/* Random numbers differ each time; the C library's data at fs is changed; a selector that means none is sometimes read
 * back as 0, sometimes as it was written. And there are virtual machines in which a thread never gets past a locked
 * access over the end of a cache line when it is stepped. */
static bool cannot_be_repeated(const unsigned char *bytes)
{
    bool locked = false, in_data = false, random, selects;
    while (*bytes == 0x66 || *bytes == 0x67 || *bytes == 0xf0 || *bytes == 0xf2 || *bytes == 0xf3 || *bytes == 0x2e ||
           *bytes == 0x36 || *bytes == 0x3e || *bytes == 0x26 || *bytes == 0x64 || *bytes == 0x65 ||
           (arch->registers[arch->pc_index].bytes == 8 && (*bytes & 0xf0) == 0x40)) {
        locked |= *bytes == 0xf0;
        in_data |= *bytes++ == 0x64;
    }
    random = bytes[0] == 0x0f && bytes[1] == 0xc7 && bytes[2] >= 0xf0;
    selects = bytes[0] == 0x8e || (bytes[0] == 0x0f && memchr("\xa1\xa9\xb2\xb4\xb5", bytes[1], 5));
    return locked || in_data || random || selects || ((*bytes & 0xfe) == 0x86 && bytes[1] < 0xc0);
}

#endif

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
    write_code(ORIGINAL_AT, bytes, size);
    write_code(COPY_AT, copied, total);
    randomise(&before.registers, from);
    take_rest(&before);
    begin_with(&before.registers, from, &before);
    step_once(&in_place);
    take_rest(&in_place);

    begin_with(&before.registers, to, &before);
    step_once(&moved);
    take_rest(&moved);
    uint64_t pc = arch_pc(&moved.registers), home = pc - to + from;
    bool done = pc != to;
    if (pc == to + instruction_size) {
        step_once(&moved); /* the jump */
        if (arch_pc(&moved.registers) != home) {
            show(bytes, length, &before.registers, &in_place.registers, &moved.registers);
            fail_msg("behind the jump back it is not where it should be");
        }
    } else if (!done) {
        arch->move_pc(&moved.registers, home);
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

#if defined(__aarch64__)
/* Bits at random, but so that it is often one of ours. */
static size_t generate(unsigned char *bytes)
{
    static const struct {
        uint32_t mask, value;
    } forms[] = {
        {0xfffff01f, 0xd503201f}, /* hints */
        {0x1f000000, 0x10000000}, /* adr, adrp */
        {0x7c000000, 0x14000000}, /* b, bl */
        {0xff000010, 0x54000000}, /* b.cond */
        {0x7c000000, 0x34000000}, /* cbz, tbz, ... */
        {0xfffffc1f, 0xd61f0000}, /* br */
        {0xfffffc1f, 0xd63f0000}, /* blr */
        {0xfffffc1f, 0xd65f0000}, /* ret */
        {0x3b000000, 0x18000000}, /* ldr (literal) */
        {0x1f800000, 0x12800000}, /* movz, ... */
        {0x1f800000, 0x11000000}, /* add, sub with a constant */
        {0x1f000000, 0x0b000000}, /* with a register */
        {0x1f800000, 0x12000000}, /* and, ... with a constant */
        {0x1f000000, 0x0a000000}, /* with a register */
        {0x1f800000, 0x13000000}, /* ubfm, ... */
        {0x1fe00000, 0x1a800000}, /* csel, ... */
    };
    uint64_t random = next_random();
    size_t form = (random >> 32) % (sizeof forms / sizeof *forms);
    uint32_t word = ((uint32_t)random & ~forms[form].mask) | forms[form].value;
    if (forms[form].value == 0x18000000)
        word &= ~0x00ffe000u; /* of the memory with the code */
    memcpy(bytes, &word, sizeof word);
    return sizeof word;
}
#else
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
#endif

static unsigned rounds(void)
{
    const char *given = getenv("REIN_ROUNDS");
    return given ? (unsigned)atoi(given) : 1;
}

static void compare_random(unsigned wanted)
{
    unsigned done = 0, left = 0;
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

static void P5_random_instructions(void **state)
{
    (void)state;
    compare_random(GENERATED * rounds());
}

/* What compilers make: the instructions of a file's text, each once, by its bytes. Of a large file some, spread over all of it. */
struct walk {
    enum outcome (*compare)(const unsigned char *bytes, size_t size, size_t length);
    unsigned done, wanted;
    size_t skip; /* bytes, between two that are taken */
};

enum { SEEN = 1 << 22 };

static void compare_text(struct walk *walk, const unsigned char *at, size_t left)
{
    static unsigned char seen[SEEN];
    size_t length = 0, to_skip = 0;
    memset(seen, 0, sizeof seen);
    for (; left > ARCH_INSTRUCTION_MAX && walk->done < walk->wanted; at += length, left -= length) {
        arch->classify(at, ARCH_INSTRUCTION_MAX, &length);
        uint32_t hash = 2166136261u;
        if (!length)
            length = (size_t)arch->alignment;
        to_skip -= to_skip < length ? to_skip : length;
        if (to_skip)
            continue;
        for (size_t byte = 0; byte < length; byte++)
            hash = (hash ^ at[byte]) * 16777619u;
        if (seen[hash % SEEN]++)
            continue;
        to_skip = walk->skip;
        walk->done += walk->compare(at, ARCH_INSTRUCTION_MAX, length) == THE_SAME;
    }
}

/* false: it is no file of this machine's programs. */
static bool compare_file(struct walk *walk, const char *path)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0) {
        close(file);
        return false;
    }
    size_t size = (size_t)status.st_size;
    const unsigned char *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    const ElfW(Ehdr) *header = (const void *)bytes;
    close(file);
    assert_true(bytes != MAP_FAILED);
    bool fits = size > sizeof *header && !memcmp(bytes, ELFMAG, SELFMAG) && header->e_machine == OWN_MACHINE;
    for (size_t i = 0; fits && i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        memcpy(&segment, bytes + header->e_phoff + i * sizeof segment, sizeof segment);
        if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) || segment.p_offset + segment.p_filesz > size)
            continue;
        walk->skip = getenv("REIN_ALL") ? 0 : segment.p_filesz / walk->wanted / 2;
        compare_text(walk, bytes + segment.p_offset, segment.p_filesz);
    }
    munmap((void *)(uintptr_t)bytes, size);
    return fits;
}

static int take_libc(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    if (info->dlpi_name && strstr(info->dlpi_name, "/libc.so"))
        *(const char **)arg = info->dlpi_name;
    return 0;
}

/* The first such file that there is. */
static void compare_installed(enum outcome (*compare_one)(const unsigned char *, size_t, size_t), const char *pattern)
{
    struct walk walk = {compare_one, 0, getenv("REIN_ALL") ? UINT_MAX : TEXT_SOME, 0};
    glob_t found;
    bool any = false;
    if (!glob(pattern, 0, NULL, &found)) {
        for (size_t i = 0; i < found.gl_pathc && !any; i++)
            any = compare_file(&walk, found.gl_pathv[i]);
        globfree(&found);
    }
    if (!any) {
        print_message("there is no %s of this machine's kind here\n", pattern);
        skip();
    }
    print_message("%s: %u instructions\n", pattern, walk.done);
    assert_true(walk.done >= TEXT_SOME / 8);
}

static void compare_libc(enum outcome (*compare_one)(const unsigned char *, size_t, size_t))
{
    struct walk walk = {compare_one, 0, getenv("REIN_ALL") ? UINT_MAX : TEXT_MAX, 0};
    const char *path = NULL;
    dl_iterate_phdr(take_libc, &path);
    assert_non_null(path);
    assert_true(compare_file(&walk, path));
    if (walk.done < TEXT_MAX / 12)
        fail_msg("only %u instructions of %s were compared", walk.done, path);
}

static void P5_instructions_of_the_c_library(void **state)
{
    (void)state;
    compare_libc(compare);
}

static void P5_moved_instructions_of_the_c_library(void **state)
{
    (void)state;
    skip_where_memory_is_dense();
    compare_libc(compare_moved);
}

/* More of what compilers make, C++ above all; and what people write. */
#define OTHERS(X)                                                                                                      \
    X(libstdcxx, "/usr/lib/*/libstdc++.so.6")                                                                          \
    X(libcrypto, "/usr/lib/*/libcrypto.so.3")                                                                          \
    X(python, "/usr/bin/python3")                                                                                      \
    X(gdb, "/usr/bin/gdb")
#define DEFINE_TESTS(name, pattern)                                                                                    \
    static void P5_instructions_of_##name(void **state)                                                                \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        compare_installed(compare, pattern);                                                                           \
    }                                                                                                                  \
    static void P5_moved_instructions_of_##name(void **state)                                                          \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        skip_where_memory_is_dense();                                                                                  \
        compare_installed(compare_moved, pattern);                                                                     \
    }
OTHERS(DEFINE_TESTS)
#define UNIT_TESTS(name, pattern)                                                                                      \
    cmocka_unit_test(P5_instructions_of_##name), cmocka_unit_test(P5_moved_instructions_of_##name),

static size_t generate_any(unsigned char *bytes)
{
#if defined(__aarch64__)
    uint32_t word = (uint32_t)next_random();
    memcpy(bytes, &word, sizeof word);
    return sizeof word;
#else
    return generate(bytes);
#endif
}

static void compare_others_moved(unsigned wanted)
{
    unsigned done = 0;
    for (unsigned tries = 0; done < wanted; tries++) {
        unsigned char bytes[ARCH_INSTRUCTION_MAX];
        size_t size = generate_any(bytes), length = 0;
        arch->classify(bytes, size, &length);
        done += compare_moved(bytes, size, length) == THE_SAME;
        if (tries > 1000 * wanted)
            fail_msg("%u instructions of %u", done, wanted);
    }
}

/* Any that there are. */
static void P5_moved_random_instructions(void **state)
{
    (void)state;
    skip_where_memory_is_dense();
    compare_others_moved(GENERATED / 4 * rounds());
}

#if defined(__aarch64__)
/* P5: behind a branch through a register, to memory where such branches are not checked, and where they are. */
static void P5_checked_branches(void **state)
{
    (void)state;
    if (checks < ARCH_BRANCHES_FREE) {
        print_message("this processor checks no branches\n");
        skip();
    }
    unsigned char *free_code = code;
    assert_int_equal(checks, ARCH_BRANCHES_FREE);
    came_by_branch = 0xc00;
    compare_random(GENERATED / 2);
    compare_others_moved(GENERATED / 8);
    code = checked_code;
    checks = linux_branch_checks(child, (uint64_t)(uintptr_t)code);
    assert_int_equal(checks, ARCH_BRANCHES_CHECKED);
    compare_random(GENERATED / 2);
    compare_others_moved(GENERATED / 8);
    came_by_branch = 0;
    code = free_code;
    checks = ARCH_BRANCHES_FREE;
}

/* What must be left to the thread. */
static void P5_left_to_the_thread(void **state)
{
    static const uint32_t nop = 0xd503201f, branch = 0xd61f0000 /* br x0 */,
                          load = 0x58800000 /* ldr x0, 1 MiB before */;
    struct arch_plan plan;
    struct arch_registers before, registers;
    (void)state;

    /* A system call that is to be made again first; what is not known of the processor's state. */
    assert_int_equal(arch->prepare((const void *)&nop, sizeof nop, &plan), ARCH_PLAN_REGISTERS);
    randomise(&before, (uint64_t)(uintptr_t)code);
    registers = before;
    assert_true(arch->emulate(&plan, &registers, &memory));
    registers = before;
    arch->set(&registers, arch->pc_index + CALL_BEHIND_PC, 0);
    assert_false(arch->emulate(&plan, &registers, &memory));
    registers = before;
    arch->set(&registers, arch->pc_index + FLAGS_BEHIND_PC,
              arch->get(&before, arch->pc_index + FLAGS_BEHIND_PC) | UINT64_C(1) << 35);
    assert_false(arch->emulate(&plan, &registers, &memory));

    /* To where no code can be. */
    assert_int_equal(arch->prepare((const void *)&branch, sizeof branch, &plan), ARCH_PLAN_REGISTERS);
    static const uint64_t nowhere[] = {UINT64_C(1) << 48, 0x1002, UINT64_MAX - 3};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        registers = before;
        arch->set(&registers, 0, nowhere[i]);
        assert_false(arch->emulate(&plan, &registers, &memory));
    }

    /* Memory that cannot be read. */
    assert_int_equal(arch->prepare((const void *)&load, sizeof load, &plan), ARCH_PLAN_MEMORY);
    registers = before;
    assert_false(arch->emulate(&plan, &registers, &memory));
}
#else
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

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P5_random_instructions),
        cmocka_unit_test(P5_instructions_of_the_c_library),
        cmocka_unit_test(P5_moved_random_instructions),
        cmocka_unit_test(P5_moved_instructions_of_the_c_library),
        OTHERS(UNIT_TESTS) cmocka_unit_test(P5_left_to_the_thread),
#if defined(__aarch64__)
        cmocka_unit_test(P5_checked_branches),
#else
        cmocka_unit_test(P5_resume_flag_ends),
#endif
    };
    cmocka_set_test_filter(getenv("REIN_TEST"));
    return cmocka_run_group_tests_name("os_emulate", tests, setup, teardown);
}
