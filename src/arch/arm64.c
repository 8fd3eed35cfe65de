/* arm64: its table of registers, brk, and what stepping has to know of an instruction. All instructions are 4 bytes at a
 * multiple of 4, and what matters here shows in a few of their bits: no decoder is needed.
 *
 * The general block is the kernel's struct user_pt_regs and one word more: the number of the system call that the thread is in,
 * -1 in none. The kernel has it apart (NT_ARM_SYSTEM_CALL), the backend puts it there; it is what orig_rax is on amd64. */
#include "arch/arm64.h"

#include <string.h>

enum {
    INSTRUCTION = ARM64_INSTRUCTION,
    RESTART_SYSCALL = 128, /* the numbers of calls that are spoken of here */
    PSELECT6 = 72,
    PPOLL = 73,
    RT_SIGSUSPEND = 133,
    MSGRCV = 188,
    MSGSND = 189,
    CLONE = 220,
    IO_PGETEVENTS = 292,
    CLONE3 = 435,
};

/* ---- The table of registers ---- */

static const struct rein_register_flag pstate_bits[] = {
    {"SP", 0, 0},   {"EL", 2, 3},    {"nRW", 4, 4},     {"F", 6, 6},      {"I", 7, 7},
    {"A", 8, 8},    {"D", 9, 9},     {"BTYPE", 10, 11}, {"SSBS", 12, 12}, {"IL", 20, 20},
    {"SS", 21, 21}, {"PAN", 22, 22}, {"UAO", 23, 23},   {"DIT", 24, 24},  {"TCO", 25, 25},
    {"V", 28, 28},  {"C", 29, 29},   {"Z", 30, 30},     {"N", 31, 31},
};
static const struct rein_register_flag fpsr_bits[] = {
    {"IOC", 0, 0}, {"DZC", 1, 1}, {"OFC", 2, 2}, {"UFC", 3, 3}, {"IXC", 4, 4}, {"IDC", 7, 7}, {"QC", 27, 27},
};
static const struct rein_register_flag fpcr_bits[] = {
    {"FIZ", 0, 0},    {"AH", 1, 1},      {"NEP", 2, 2},   {"IOE", 8, 8},   {"DZE", 9, 9},
    {"OFE", 10, 10},  {"UFE", 11, 11},   {"IXE", 12, 12}, {"EBF", 13, 13}, {"IDE", 15, 15},
    {"FZ16", 19, 19}, {"RMode", 22, 23}, {"FZ", 24, 24},  {"DN", 25, 25},  {"AHP", 26, 26},
};
#define BITS(table) .flags = (table), .flag_count = sizeof(table) / sizeof *(table)

/* What any register has: name, width, type, group, number in DWARF (AADWARF64's). */
#define REGISTER(its_name, its_bytes, its_type, its_group, its_dwarf)                                                  \
    .name = (its_name), .bytes = (its_bytes), .type = REIN_TYPE_##its_type, .group = REIN_GROUP_##its_group,           \
    .dwarf = (its_dwarf)
#define IN(its_set, its_kind, its_number)                                                                              \
    .set = ARCH_SET_ARM64_##its_set, .kind = KIND_##its_kind, .number = (its_number)
#define VECTOR_LANES                                                                                                   \
    (REIN_LANES_INT8 | REIN_LANES_INT16 | REIN_LANES_INT32 | REIN_LANES_INT64 | REIN_LANES_INT128 |                    \
     REIN_LANES_FLOAT16 | REIN_LANES_BFLOAT16 | REIN_LANES_FLOAT32 | REIN_LANES_FLOAT64)

/* The longest that there can be: vectors of 2048 bits. */
enum { VECTOR_MAX = 256, PREDICATE_MAX = VECTOR_MAX / 8, ZA_MAX = VECTOR_MAX * VECTOR_MAX, ZT_SIZE = 64 };
enum { DWARF_TPIDR = 36, DWARF_VG = 46, DWARF_FFR = 47, DWARF_P0 = 48, DWARF_V0 = 64, DWARF_Z0 = 96 };

/* Where in its block a register is: at a fixed place, or at one that depends on the length of vectors. */
enum kind {
    KIND_V,
    KIND_FPSR,
    KIND_FPCR,
    KIND_VG, /* from here on: of the blocks that begin with a struct vector_header */
    KIND_Z,
    KIND_P,
    KIND_FFR,
    KIND_ZA,
    KIND_WORD, /* .number words from the start */
    KIND_ZT,
};

#define X(n)                                                                                                           \
    {                                                                                                                  \
        REGISTER("x" #n, 8, INTEGER, GENERAL, n), .set = ARCH_SET_GENERAL                                              \
    }
#define V(n)                                                                                                           \
    {                                                                                                                  \
        REGISTER("v" #n, 16, VECTOR, VECTOR, DWARF_V0 + (n)), IN(FPSIMD, V, n), .lanes = VECTOR_LANES                  \
    }
#define Z(n)                                                                                                           \
    {                                                                                                                  \
        REGISTER("z" #n, VECTOR_MAX, VECTOR, VECTOR, DWARF_Z0 + (n)), IN(SVE, Z, n), .lanes = VECTOR_LANES             \
    }
#define P(n)                                                                                                           \
    {                                                                                                                  \
        REGISTER("p" #n, PREDICATE_MAX, VECTOR, MASK, DWARF_P0 + (n)), IN(SVE, P, n), .lanes = REIN_LANES_INT8         \
    }
#define SIXTEEN(R) R(0), R(1), R(2), R(3), R(4), R(5), R(6), R(7), R(8), R(9), R(10), R(11), R(12), R(13), R(14), R(15)
#define THIRTY_TWO(R)                                                                                                  \
    SIXTEEN(R), R(16), R(17), R(18), R(19), R(20), R(21), R(22), R(23), R(24), R(25), R(26), R(27), R(28), R(29),      \
        R(30), R(31)

static const struct arch_register registers[] = {
    /* struct user_pt_regs, in its order: index and place in the block are the same. */
    SIXTEEN(X),
    X(16),
    X(17),
    X(18),
    X(19),
    X(20),
    X(21),
    X(22),
    X(23),
    X(24),
    X(25),
    X(26),
    X(27),
    X(28),
    {REGISTER("x29", 8, DATA_POINTER, GENERAL, 29), .alias = "fp"},
    {REGISTER("x30", 8, CODE_POINTER, GENERAL, 30), .alias = "lr"},
    {REGISTER("sp", 8, DATA_POINTER, GENERAL, 31)},
    {REGISTER("pc", 8, CODE_POINTER, GENERAL, 32)},
    {REGISTER("pstate", 8, FLAGS, GENERAL, -1), BITS(pstate_bits)},
    {REGISTER("syscallno", 8, INTEGER, SYSTEM, -1)},
    THIRTY_TWO(V),
    {REGISTER("fpsr", 4, FLAGS, FLOAT, -1), IN(FPSIMD, FPSR, 0), BITS(fpsr_bits)},
    {REGISTER("fpcr", 4, FLAGS, FLOAT, -1), IN(FPSIMD, FPCR, 0), BITS(fpcr_bits)},
    {REGISTER("tpidr", 8, DATA_POINTER, SYSTEM, DWARF_TPIDR), IN(TLS, WORD, 0)},
    {REGISTER("tpidr2", 8, DATA_POINTER, SYSTEM, -1), IN(TLS, WORD, 1)},
    {REGISTER("vg", 8, INTEGER, VECTOR, DWARF_VG), IN(SVE, VG, 0), .read_only = true},
    THIRTY_TWO(Z),
    SIXTEEN(P),
    {REGISTER("ffr", PREDICATE_MAX, VECTOR, MASK, DWARF_FFR), IN(SVE, FFR, 0), .lanes = REIN_LANES_INT8},
    {REGISTER("za", ZA_MAX, STRUCT, TILE, -1), IN(ZA, ZA, 0)},
    {REGISTER("zt0", ZT_SIZE, VECTOR, TILE, -1), IN(ZT, ZT, 0), .lanes = VECTOR_LANES},
    {REGISTER("pauth_dmask", 8, INTEGER, SYSTEM, -1), IN(PAUTH, WORD, 0), .read_only = true},
    {REGISTER("pauth_cmask", 8, INTEGER, SYSTEM, -1), IN(PAUTH, WORD, 1), .read_only = true},
    {REGISTER("tag_ctl", 8, INTEGER, SYSTEM, -1), IN(TAGS, WORD, 0)},
};

/* ---- The general registers ---- */

static uint64_t get(const struct arch_registers *block, int index)
{
    return block->bytes[index];
}

static void put(struct arch_registers *block, int index, uint64_t value)
{
    block->bytes[index] = value;
}

static bool is_in_call(const struct arch_registers *block)
{
    return (int64_t)get(block, ARM64_syscallno) >= 0;
}

/* At the end of a call: will the kernel set the pc back, as the thread goes on, to make it again? x0 then holds -ERESTARTSYS,
 * -ERESTARTNOINTR, -ERESTARTNOHAND or -ERESTART_RESTARTBLOCK (-512 to -516), numbers that no program ever sees. */
static bool call_restarts(const struct arch_registers *block)
{
    int64_t result = (int64_t)get(block, ARM64_x0);
    return is_in_call(block) && result <= -512 && result >= -516;
}

/* It is to go on elsewhere than where its last instruction has led it. If that was a branch through a register, the processor
 * would want to find a place there that such branches may go to (BTI). */
static void move(struct arch_registers *block, uint64_t pc)
{
    put(block, ARM64_pc, pc);
    put(block, ARM64_pstate, get(block, ARM64_pstate) & ~(uint64_t)ARM64_BRANCHED);
}

/* A copy of the code is checked (BTI) as the code is. */
static void move_pc(struct arch_registers *block, uint64_t pc)
{
    put(block, ARM64_pc, pc);
}

static void set(struct arch_registers *block, int index, uint64_t value)
{
    if (index != ARM64_pc) {
        put(block, index, value);
    } else if (value != get(block, index)) {
        if (call_restarts(block))
            put(block, ARM64_syscallno, UINT64_MAX); /* else it would be set back from where it is sent */
        move(block, value);
    }
}

/* ---- The others ---- */

/* What the blocks of SVE and SME begin with: the kernel's struct user_sve_header. */
struct vector_header {
    uint32_t size, max_size;
    uint16_t vector, max_vector; /* bytes of a vector */
    uint16_t flags, reserved;
};
#define HAS_VECTORS 1u /* SVE_PT_REGS_SVE: else what follows is the block of FPSIMD, for more is not in use */
/* struct user_fpsimd_state */
enum { FPSIMD_FPSR = 512, FPSIMD_FPCR = 516, FPSIMD_SIZE = 528, LOW_VECTOR = 16 };

static struct vector_header header_of(const struct arch_block *block)
{
    struct vector_header header = {0};
    if (block->size >= sizeof header)
        memcpy(&header, block->bytes, sizeof header);
    return header;
}

/* Where all is follows from the header. Of vectors in use the kernel gives as many bytes as the longest would take
 * (Linux 6.1): what is behind the size in the header is nothing. */
static void lay_out(struct arch_block *block, enum arch_set set)
{
    struct vector_header header = header_of(block);
    if ((set == ARCH_SET_ARM64_SVE || set == ARCH_SET_ARM64_ZA) && header.size < block->size)
        block->size = header.size;
}

static size_t fpsr_offset(size_t vector)
{
    size_t end = sizeof(struct vector_header) + 32 * vector + 17 * (vector / 8);
    return (end + LOW_VECTOR - 1) / LOW_VECTOR * LOW_VECTOR;
}

/* Where the register is in the block, and how long. false: it is not there. */
static bool find(const struct arch_block *block, const struct arch_register *what, size_t *offset, size_t *size)
{
    struct vector_header header = header_of(block);
    size_t vector = header.vector, base = sizeof header;
    *size = what->bytes;
    switch ((enum kind)what->kind) {
    case KIND_V:
        *offset = (size_t)what->number * LOW_VECTOR;
        break;
    case KIND_FPSR:
        *offset = FPSIMD_FPSR;
        break;
    case KIND_FPCR:
        *offset = FPSIMD_FPCR;
        break;
    case KIND_WORD:
        *offset = what->number * sizeof(uint64_t);
        break;
    case KIND_ZT:
        *offset = 0;
        break;
    case KIND_VG: /* is no part of it, but follows */
        *offset = 0;
        return vector != 0;
    case KIND_Z:
        *offset = base + what->number * vector;
        *size = vector;
        break;
    case KIND_P:
        *offset = base + 32 * vector + what->number * (vector / 8);
        *size = vector / 8;
        break;
    case KIND_FFR:
        *offset = base + 32 * vector + 16 * (vector / 8);
        *size = vector / 8;
        break;
    case KIND_ZA: /* rows as long as a vector, and as many; nothing when the program has it switched off */
        *offset = base;
        *size = vector * vector;
        break;
    }
    if (*size == 0)
        return false;
    if (what->set == ARCH_SET_ARM64_SVE)
        return true; /* what is not in use reads as zero */
    return *offset + *size <= block->size;
}

static size_t width(const struct arch_block *block, int index)
{
    size_t offset, size;
    return find(block, &registers[index], &offset, &size) ? size : 0;
}

static void read(const struct arch_block *block, int index, void *value)
{
    const struct arch_register *what = &registers[index];
    struct vector_header header = header_of(block);
    size_t offset, size;
    if (!find(block, what, &offset, &size))
        return;
    if (what->kind == KIND_VG) {
        uint64_t granules = header.vector / sizeof(uint64_t);
        memcpy(value, &granules, sizeof granules);
    } else if (what->set == ARCH_SET_ARM64_SVE && !(header.flags & HAS_VECTORS)) {
        memset(value, 0, size);
        if (what->kind == KIND_Z && block->size >= sizeof header + FPSIMD_SIZE)
            memcpy(value, block->bytes + sizeof header + (size_t)what->number * LOW_VECTOR, LOW_VECTOR);
    } else {
        memcpy(value, block->bytes + offset, size);
    }
}

/* From the form without vectors to that with them, every register as it was: the block grows, for which there is room. */
static bool take_into_use(struct arch_block *block)
{
    struct vector_header header = header_of(block);
    unsigned char narrow[FPSIMD_SIZE];
    size_t vector = header.vector, fpsr = fpsr_offset(vector), size = fpsr + LOW_VECTOR;
    if (block->size < sizeof header + sizeof narrow || size > block->room)
        return false;
    memcpy(narrow, block->bytes + sizeof header, sizeof narrow);
    memset(block->bytes, 0, size);
    header.flags |= HAS_VECTORS;
    header.size = (uint32_t)size;
    memcpy(block->bytes, &header, sizeof header);
    for (size_t i = 0; i < 32; i++)
        memcpy(block->bytes + sizeof header + i * vector, narrow + i * LOW_VECTOR, LOW_VECTOR);
    memcpy(block->bytes + fpsr, narrow + FPSIMD_FPSR, 2 * sizeof(uint32_t));
    block->size = size;
    return true;
}

static void write(struct arch_block *block, int index, const void *value)
{
    const struct arch_register *what = &registers[index];
    size_t offset, size;
    if (what->read_only || !find(block, what, &offset, &size))
        return;
    if (what->set == ARCH_SET_ARM64_SVE && !(header_of(block).flags & HAS_VECTORS) && !take_into_use(block))
        return;
    memcpy(block->bytes + offset, value, size);
}

/* ---- Instructions ---- */

static bool is_load(uint32_t word)
{
    return (word & 0x00400000u) != 0;
}

static enum arch_instruction classify(const unsigned char *code, size_t size, size_t *length)
{
    if (length)
        *length = size >= INSTRUCTION ? INSTRUCTION : 0;
    if (size < INSTRUCTION)
        return ARCH_INSTRUCTION_UNKNOWN;
    uint32_t word = arm64_word(code);
    if ((word & 0xffe0001fu) == 0xd4000001u) /* svc, whatever its number: Linux does not look at it */
        return ARCH_INSTRUCTION_SYSCALL;
    if (arm64_is_exclusive(word) && is_load(word))
        return ARCH_INSTRUCTION_BEGINS_SEQUENCE;
    return ARCH_INSTRUCTION_PLAIN;
}

/* How far it goes, if it is a branch that knows where to: b.cond, cbz, tbz, b. */
static bool is_branch(uint32_t word, int64_t *distance)
{
    if ((word & 0xff000000u) == 0x54000000u || (word & 0x7e000000u) == 0x34000000u)
        *distance = arm64_extend(word >> 5 & 0x7ffff, 19) * INSTRUCTION;
    else if ((word & 0x7e000000u) == 0x36000000u)
        *distance = arm64_extend(word >> 5 & 0x3fff, 14) * INSTRUCTION;
    else if ((word & 0xfc000000u) == 0x14000000u)
        *distance = arm64_extend(word & 0x3ffffff, 26) * INSTRUCTION;
    else
        return false;
    return true;
}

/* What leaves the straight way otherwise: a call, a jump through a register, an exception. Such a sequence is none. */
static bool goes_elsewhere(uint32_t word)
{
    return (word & 0xfc000000u) == 0x94000000u || (word & 0xfe000000u) == 0xd6000000u ||
           (word & 0xff000000u) == 0xd4000000u;
}

/* From load to store exclusive; what the store's result is looked at with, and the way back for another try, come behind it.
 * Branches out of it end it, too. */
static size_t sequence_ends(uint64_t pc, const unsigned char *code, size_t size, bool may_wait,
                            uint64_t ends[ARCH_ENDS_MAX])
{
    uint64_t targets[ARCH_SEQUENCE_MAX / INSTRUCTION];
    size_t target_count = 0, count = 0, store = 0;
    for (size_t at = INSTRUCTION; at + INSTRUCTION <= size && !store; at += INSTRUCTION) {
        uint32_t word = arm64_word(code + at);
        int64_t distance;
        if (arm64_is_exclusive(word) && !is_load(word))
            store = at;
        else if (is_branch(word, &distance))
            targets[target_count++] = pc + at + (uint64_t)distance;
        else if (goes_elsewhere(word))
            return 0;
    }
    if (!store)
        return 0;
    ends[count++] = pc + store + INSTRUCTION;
    for (size_t i = 0; i < target_count; i++) {
        if (targets[i] == pc && !may_wait) /* for another thread, and nothing would stop it there */
            return 0;
        bool known = targets[i] >= pc && targets[i] <= pc + store;
        for (size_t j = 0; j < count; j++)
            known |= targets[i] == ends[j];
        if (known)
            continue;
        if (count == ARCH_ENDS_MAX)
            return 0;
        ends[count++] = targets[i];
    }
    return count;
}

/* Bits 56 to 63 of an address are the program's to use (top byte ignore); bit 55 says which half of memory it is in. */
static uint64_t clean_address(uint64_t address)
{
    return (uint64_t)arm64_extend(address, 56);
}

static bool is_exclusive_store(const unsigned char *code, size_t size)
{
    if (size < INSTRUCTION)
        return false;
    uint32_t word = arm64_word(code + size - INSTRUCTION);
    return arm64_is_exclusive(word) && !is_load(word);
}

static uint64_t sequence_start(uint64_t address, const unsigned char *code, size_t size)
{
    if (!is_exclusive_store(code, size))
        return 0;
    for (size_t back = 2 * INSTRUCTION; back <= size; back += INSTRUCTION) {
        uint32_t word = arm64_word(code + size - back);
        if (arm64_is_exclusive(word))
            return is_load(word) ? address - back : 0;
    }
    return 0;
}

/* Its status register says so: 0 if it was done. Who gives none (wzr) does not want to know, and it cannot be known. */
static int sequence_stored(const struct arch_registers *block, const unsigned char *code, size_t size,
                           struct arch_watch *where)
{
    enum { NO_REGISTER = 31 };
    if (!is_exclusive_store(code, size))
        return -1;
    uint32_t word = arm64_word(code + size - INSTRUCTION);
    int status = (int)(word >> 16 & 31), base = (int)(word >> 5 & 31);
    unsigned is_pair = word >> 21 & 1;
    where->address = clean_address(get(block, base == NO_REGISTER ? ARM64_sp : base));
    where->size = 1u << (word >> 30) << is_pair;
    where->kind = ARCH_WATCH_WRITE;
    return status != NO_REGISTER && (uint32_t)get(block, status) == 0;
}

/* The processor's single-step is in no register that a program sees. */
static uint64_t pushed_flags(const struct arch_registers *block, uint64_t *step_bit)
{
    *step_bit = 0;
    return get(block, ARM64_sp);
}

static bool uses_step_flag(const struct arch_registers *block)
{
    (void)block;
    return false;
}

static void clear_step_flag(struct arch_registers *block)
{
    (void)block;
}

/* ---- System calls ----
 *
 * svc, number in x8, arguments in x0 to x5, result in x0. The kernel keeps the first argument, for making the call again, as it
 * is when a call is entered, and shows it to nobody. And by the time that an interrupted thread is seen in a stop, it has set
 * pc and x0 back already, and remembers why in a place that nobody sees: a thread that stands at an svc may have come to it, or be
 * in that call. So who has made a call for us enters one more, with its own first argument, which is not made; and at the end of
 * that it becomes one that ends its own, interrupted: the kernel does with it as it did before. */

enum { ARGUMENTS = 6 };

static void set_call(struct arch_registers *block, uint64_t pc, const struct arch_call *call)
{
    put(block, ARM64_syscallno, UINT64_MAX);
    move(block, pc);
    put(block, ARM64_x8, call->number);
    for (int i = 0; i < ARGUMENTS; i++)
        put(block, ARM64_x0 + i, call->arguments[i]);
}

static void get_call(const struct arch_registers *block, struct arch_call *call)
{
    call->number = get(block, is_in_call(block) ? ARM64_syscallno : ARM64_x8);
    for (int i = 0; i < ARGUMENTS; i++)
        call->arguments[i] = get(block, ARM64_x0 + i);
}

static void drop_call(struct arch_registers *block)
{
    put(block, ARM64_syscallno, UINT64_MAX);
}

/* At the entry x0 is still the argument. */
static void remake_call(struct arch_registers *block)
{
    if (!is_in_call(block))
        return;
    put(block, ARM64_x8, get(block, ARM64_syscallno));
    put(block, ARM64_pc, get(block, ARM64_pc) - INSTRUCTION);
    drop_call(block);
}

static int64_t call_result(const struct arch_registers *block)
{
    return (int64_t)get(block, ARM64_x0);
}

static void set_result(struct arch_registers *block, int64_t result)
{
    put(block, ARM64_x0, (uint64_t)result);
}

static bool goes_on_by_restart(const struct arch_registers *block)
{
    return get(block, ARM64_x8) == RESTART_SYSCALL;
}

/* What an interrupted call returns decides what becomes of it if a handler runs: the first is always made again, the second never,
 * the last if the handler's SA_RESTART says so. */
static void interrupt_call(struct arch_registers *block, bool by_restart)
{
    enum { RESTART_SYS = -512, RESTART_ALWAYS = -513, RESTART_NO_HANDLER = -514, RESTART_BLOCK = -516 };
    int64_t result = RESTART_SYS;
    switch (get(block, ARM64_x8)) {
    case CLONE:
    case CLONE3:
        result = RESTART_ALWAYS;
        break;
    case RT_SIGSUSPEND:
    case PPOLL:
    case PSELECT6:
    case MSGSND:
    case MSGRCV:
    case IO_PGETEVENTS:
        result = RESTART_NO_HANDLER;
        break;
    default:
        break;
    }
    put(block, ARM64_x0, (uint64_t)(by_restart ? RESTART_BLOCK : result));
    put(block, ARM64_pc, get(block, ARM64_pc) + INSTRUCTION);
    put(block, ARM64_syscallno, get(block, ARM64_x8) & INT32_MAX);
}

/* Of the vectors' bytes, a call keeps the first 16. Of who has more in use, too. */
static bool call_changes(const struct arch_block *block)
{
    return (header_of(block).flags & HAS_VECTORS) != 0;
}

/* It stands at the instruction. */
static void end_call(struct arch_registers *block, int64_t result)
{
    set_result(block, result);
    move(block, get(block, ARM64_pc) + INSTRUCTION);
    drop_call(block);
}

/* ---- Functions: AAPCS64 as Linux uses it, 6.4 to 6.9 ---- */

/* In the kernel's half, in its last page, where it has nothing either. It is what a pointer that is signed (PAC) is
 * after it has been found right. */
#define RETURN_ADDRESS UINT64_C(0xfffffffffffff0f0)
enum { REGISTER_ARGUMENTS = 8 };

static bool set_function(struct arch_registers *block, struct arch_block *vectors, struct arch_function *function)
{
    unsigned integer = 0, vector = 0;
    uint64_t *memory = function->memory;
    size_t words = 0;
    if (block->size != ARM64_WORDS * sizeof *block->bytes || vectors->size < FPSIMD_SIZE)
        return false;
    for (size_t i = 0; i < function->count; i++) {
        const struct rein_call_argument *argument = &function->arguments[i];
        uint64_t value[2] = {argument->type == REIN_CALL_FLOAT ? 0 : argument->word, 0};
        if (argument->type == REIN_CALL_FLOAT)
            memcpy(value, &argument->single, sizeof argument->single);
        bool is_integer = argument->type == REIN_CALL_INTEGER || argument->type == REIN_CALL_INTEGER64;
        if (is_integer && integer < REGISTER_ARGUMENTS)
            put(block, ARM64_x0 + (int)integer++, value[0]);
        else if (!is_integer && vector < REGISTER_ARGUMENTS)
            memcpy(vectors->bytes + LOW_VECTOR * vector++, value, LOW_VECTOR);
        else
            memory[words++] = value[0];
    }
    while (words < 2) /* so that it is seen if there is memory */
        memory[words++] = 0;
    function->size = words * sizeof *memory;
    function->sp_behind = function->sp_behind_most = (function->stack - function->size) & ~UINT64_C(15);
    put(block, ARM64_sp, function->sp_behind);
    put(block, ARM64_x30, RETURN_ADDRESS);
    move(block, function->pc);
    drop_call(block);
    return true;
}

static void function_result(const struct arch_registers *block, const struct arch_block *vectors,
                            struct rein_call_result *result)
{
    for (int i = 0; i < 2; i++) {
        result->words[i] = get(block, ARM64_x0 + i);
        memcpy(result->vectors[i].bytes, vectors->bytes + (size_t)(LOW_VECTOR * i), LOW_VECTOR);
    }
    memcpy(result->extended, vectors->bytes, LOW_VECTOR);
}

/* ---- Debug registers ----
 *
 * One watches one to eight bytes in a row of an aligned word; another kind is for instructions. Processors have 2 to 16 of each
 * kind; what there are is the kernel's to say. */

enum { WATCH_SLOTS = ARCH_WATCH_SLOTS / 2, WATCH_WORD = 8 };

static size_t split_watch(uint64_t address, uint64_t size, enum arch_watch_kind kind, struct arch_watch *pieces,
                          size_t room)
{
    size_t count = 0;
    if (kind == ARCH_WATCH_EXECUTE) {
        if (size != 1 || address % INSTRUCTION != 0)
            return 0;
        if (room > 0)
            pieces[0] = (struct arch_watch){address, INSTRUCTION, kind};
        return 1;
    }
    while (size) {
        unsigned piece = WATCH_WORD - (unsigned)(address % WATCH_WORD);
        if (piece > size)
            piece = (unsigned)size;
        if (count < room)
            pieces[count] = (struct arch_watch){address, piece, kind};
        count++;
        address += piece;
        size -= piece;
        if (count > ARCH_WATCH_SLOTS) { /* more than there can be: how many more is of no interest */
            count += size / WATCH_WORD;
            break;
        }
    }
    return count;
}

/* For each an address and a control word: bit 0 switches it on, 1 and 2 are for user mode, 3 and 4 the kind, from 5 on one for each
 * byte of the word. */
static void encode_watches(const struct arch_watch *watches, size_t count, uint64_t words[ARCH_WATCH_WORDS])
{
    static const uint64_t kinds[ARCH_WATCH_KINDS] = {
        [ARCH_WATCH_EXECUTE] = 0, [ARCH_WATCH_WRITE] = 2, [ARCH_WATCH_READ_WRITE] = 3};
    enum { ON = 1, USER = 2 };
    for (size_t i = 0; i < ARCH_WATCH_WORDS; i++)
        words[i] = 0;
    for (size_t i = 0; i < count && i < ARCH_WATCH_SLOTS; i++) {
        uint64_t bytes = ((UINT64_C(1) << watches[i].size) - 1) << watches[i].address % WATCH_WORD;
        if (watches[i].kind == ARCH_WATCH_EXECUTE)
            bytes = 0xf;
        words[2 * i] = watches[i].kind == ARCH_WATCH_EXECUTE ? watches[i].address
                                                             : watches[i].address - watches[i].address % WATCH_WORD;
        words[2 * i + 1] = bytes << 5 | kinds[watches[i].kind] << 3 | USER << 1 | ON;
    }
}

const struct arch arch_arm64 = {
    .name = "arm64",
    .registers = registers,
    .register_count = ARM64_WORDS,
    .register_total = sizeof registers / sizeof *registers,
    .pc_index = ARM64_pc,
    .sp_index = ARM64_sp,
    .link_index = ARM64_x30,
    .veiled_index = ARM64_x7,
    .trap = {0x00, 0x00, 0x20, 0xd4}, /* brk #0 */
    .trap_size = INSTRUCTION,
    .trap_pc_offset = 0,
    .alignment = INSTRUCTION,
    .get = get,
    .set = set,
    .move_pc = move_pc,
    .lay_out = lay_out,
    .width = width,
    .read = read,
    .write = write,
    .classify = classify,
    .sequence_ends = sequence_ends,
    .sequence_start = sequence_start,
    .sequence_stored = sequence_stored,
    .prepare = arm64_prepare,
    .emulate = arm64_emulate,
    .can_be_sent = arm64_is_ordinary,
    .displace = arm64_displace,
    .displaced_size = 2 * INSTRUCTION,
    .pushed_flags = pushed_flags,
    .uses_step_flag = uses_step_flag,
    .clear_step_flag = clear_step_flag,
    .clean_address = clean_address,
    .syscall = {0x01, 0x00, 0x00, 0xd4}, /* svc #0 */
    .syscall_size = INSTRUCTION,
    .set_call = set_call,
    .get_call = get_call,
    .drop_call = drop_call,
    .remake_call = remake_call,
    .call_result = call_result,
    .set_result = set_result,
    .goes_on_by_restart = goes_on_by_restart,
    .end_call = end_call,
    .call_set = ARCH_SET_ARM64_SVE,
    .call_changes = call_changes,
    .interrupt_call = interrupt_call,
    .set_function = set_function,
    .function_result = function_result,
    .function_set = ARCH_SET_ARM64_FPSIMD,
    .return_address = RETURN_ADDRESS,
    .return_stack_set = ARCH_SET_ARM64_GUARDED_STACK,
    .watch_slots = {WATCH_SLOTS, WATCH_SLOTS},
    .watch_pool = {0, 1, 1},
    .split_watch = split_watch,
    .encode_watches = encode_watches,
    .watch_fires_before = true,
};
