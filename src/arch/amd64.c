/* amd64: its table of registers, int3, and what stepping has to know of an instruction, which Zydis decodes. */
#include "arch/arch.h"
#include "arch/xstate.h"

#include <string.h>

#include <Zydis/Zydis.h>

#define EFLAGS_TRAP 0x100u     /* TF: trap after each instruction */
#define EFLAGS_RESUME 0x10000u /* RF: no debug register fires for the next instruction */
#define INT_SYSCALL 0x80u      /* the old way into the kernel, open to 64-bit programs too */

/* ---- The table of registers ---- */

static const struct rein_register_flag eflags_bits[] = {
    {"CF", 0, 0},   {"PF", 2, 2},   {"AF", 4, 4},    {"ZF", 6, 6},     {"SF", 7, 7},   {"TF", 8, 8},
    {"IF", 9, 9},   {"DF", 10, 10}, {"OF", 11, 11},  {"IOPL", 12, 13}, {"NT", 14, 14}, {"RF", 16, 16},
    {"VM", 17, 17}, {"AC", 18, 18}, {"VIF", 19, 19}, {"VIP", 20, 20},  {"ID", 21, 21},
};
static const struct rein_register_flag mxcsr_bits[] = {
    {"IE", 0, 0},   {"DE", 1, 1},   {"ZE", 2, 2},   {"OE", 3, 3},   {"UE", 4, 4},
    {"PE", 5, 5},   {"DAZ", 6, 6},  {"IM", 7, 7},   {"DM", 8, 8},   {"ZM", 9, 9},
    {"OM", 10, 10}, {"UM", 11, 11}, {"PM", 12, 12}, {"RC", 13, 14}, {"FZ", 15, 15},
};
#define BITS(table) .flags = (table), .flag_count = sizeof(table) / sizeof *(table)

/* What any register has: name, width (gdb's), type, group, number in DWARF (the psABI's; ymm and zmm have none of their
 * own: there, xmm's means the widest of the three). */
#define REGISTER(its_name, its_bytes, its_type, its_group, its_dwarf)                                                  \
    .name = (its_name), .bytes = (its_bytes), .type = REIN_TYPE_##its_type, .group = REIN_GROUP_##its_group,           \
    .dwarf = (its_dwarf)

/* Whatever its width, it has a word in the kernel's block. The offsets there are those of struct user_regs_struct, spelt
 * out because arch/ includes nothing of an operating system; tests/unit/arch_amd64.c compares them with <sys/user.h>. */
#define WORD(its_name, bytes, type, group, dwarf, offset)                                                              \
    REGISTER(#its_name, bytes, type, group, dwarf), .set = ARCH_SET_GENERAL, .kind = (offset) / 8

#define XSTATE(its_kind, its_number) .set = ARCH_SET_X86_XSTATE, .kind = XSTATE_##its_kind, .number = (its_number)
#define VECTOR_LANES                                                                                                   \
    (REIN_LANES_INT8 | REIN_LANES_INT16 | REIN_LANES_INT32 | REIN_LANES_INT64 | REIN_LANES_INT128 |                    \
     REIN_LANES_FLOAT16 | REIN_LANES_BFLOAT16 | REIN_LANES_FLOAT32 | REIN_LANES_FLOAT64)
#define TILE_LANES (REIN_LANES_INT8 | REIN_LANES_INT32 | REIN_LANES_FLOAT16 | REIN_LANES_BFLOAT16 | REIN_LANES_FLOAT32)

/* The first of those that come in rows. */
enum { DWARF_XMM0 = 17, DWARF_ST0 = 33, DWARF_XMM16 = 67, DWARF_K0 = 118 };

#define ST(n)                                                                                                          \
    {                                                                                                                  \
        REGISTER("st" #n, 10, FLOAT, FLOAT, DWARF_ST0 + (n)), XSTATE(ST, n)                                            \
    }
#define CONTROL(name, kind, dwarf)                                                                                     \
    {                                                                                                                  \
        REGISTER(name, 4, INTEGER, FLOAT, dwarf), XSTATE(kind, 0)                                                      \
    }
#define XMM(n, dwarf)                                                                                                  \
    {                                                                                                                  \
        REGISTER("xmm" #n, 16, VECTOR, VECTOR, (dwarf) + (n)), XSTATE(XMM, n), .lanes = VECTOR_LANES                   \
    }
#define LOW_XMM(n) XMM(n, DWARF_XMM0)
#define HIGH_XMM(n) XMM(n, DWARF_XMM16 - 16)
#define YMM(n)                                                                                                         \
    {                                                                                                                  \
        REGISTER("ymm" #n, 32, VECTOR, VECTOR, -1), XSTATE(YMM, n), .lanes = VECTOR_LANES                              \
    }
#define ZMM(n)                                                                                                         \
    {                                                                                                                  \
        REGISTER("zmm" #n, 64, VECTOR, VECTOR, -1), XSTATE(ZMM, n), .lanes = VECTOR_LANES                              \
    }
#define MASK(n)                                                                                                        \
    {                                                                                                                  \
        REGISTER("k" #n, 8, INTEGER, MASK, DWARF_K0 + (n)), XSTATE(MASK, n)                                            \
    }
#define TILE(n)                                                                                                        \
    {                                                                                                                  \
        REGISTER("tmm" #n, 1024, MATRIX, TILE, -1), XSTATE(TILE, n), .lanes = TILE_LANES, .row = 64                    \
    }
#define EIGHT(X) X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7)
#define LOW_SIXTEEN(X) EIGHT(X), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15)
#define HIGH_SIXTEEN(X)                                                                                                \
    X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30), X(31)

static const struct arch_register registers[] = {
    /* The contract's order (R3): the seed's 24, then three that it lacked. */
    {WORD(rax, 8, INTEGER, GENERAL, 0, 80)},
    {WORD(rbx, 8, INTEGER, GENERAL, 3, 40)},
    {WORD(rcx, 8, INTEGER, GENERAL, 2, 88)},
    {WORD(rdx, 8, INTEGER, GENERAL, 1, 96)},
    {WORD(rsi, 8, INTEGER, GENERAL, 4, 104)},
    {WORD(rdi, 8, INTEGER, GENERAL, 5, 112)},
    {WORD(rbp, 8, DATA_POINTER, GENERAL, 6, 32)},
    {WORD(rsp, 8, DATA_POINTER, GENERAL, 7, 152)},
    {WORD(r8, 8, INTEGER, GENERAL, 8, 72)},
    {WORD(r9, 8, INTEGER, GENERAL, 9, 64)},
    {WORD(r10, 8, INTEGER, GENERAL, 10, 56)},
    {WORD(r11, 8, INTEGER, GENERAL, 11, 48)},
    {WORD(r12, 8, INTEGER, GENERAL, 12, 24)},
    {WORD(r13, 8, INTEGER, GENERAL, 13, 16)},
    {WORD(r14, 8, INTEGER, GENERAL, 14, 8)},
    {WORD(r15, 8, INTEGER, GENERAL, 15, 0)},
    {WORD(rip, 8, CODE_POINTER, GENERAL, 16, 128)},
    {WORD(eflags, 4, FLAGS, GENERAL, 49, 144), BITS(eflags_bits)},
    {WORD(cs, 4, INTEGER, SEGMENT, 51, 136)},
    {WORD(ss, 4, INTEGER, SEGMENT, 52, 160)},
    {WORD(ds, 4, INTEGER, SEGMENT, 53, 184)},
    {WORD(es, 4, INTEGER, SEGMENT, 50, 192)},
    {WORD(fs, 4, INTEGER, SEGMENT, 54, 200)},
    {WORD(gs, 4, INTEGER, SEGMENT, 55, 208)},
    {WORD(orig_rax, 8, INTEGER, SYSTEM, -1, 120)},
    {WORD(fs_base, 8, DATA_POINTER, SEGMENT, 58, 168)},
    {WORD(gs_base, 8, DATA_POINTER, SEGMENT, 59, 176)},
    EIGHT(ST),
    CONTROL("fctrl", FCTRL, 65),
    CONTROL("fstat", FSTAT, 66),
    CONTROL("ftag", FTAG, -1),
    CONTROL("fiseg", FISEG, -1),
    CONTROL("fioff", FIOFF, -1),
    CONTROL("foseg", FOSEG, -1),
    CONTROL("fooff", FOOFF, -1),
    CONTROL("fop", FOP, -1),
    {REGISTER("mxcsr", 4, FLAGS, VECTOR, 64), XSTATE(MXCSR, 0), BITS(mxcsr_bits)},
    LOW_SIXTEEN(LOW_XMM),
    HIGH_SIXTEEN(HIGH_XMM),
    LOW_SIXTEEN(YMM),
    HIGH_SIXTEEN(YMM),
    LOW_SIXTEEN(ZMM),
    HIGH_SIXTEEN(ZMM),
    EIGHT(MASK),
    {REGISTER("pkru", 4, INTEGER, SYSTEM, -1), XSTATE(PKRU, 0)},
    {REGISTER("tilecfg", 64, STRUCT, TILE, -1), XSTATE(TILECFG, 0)},
    EIGHT(TILE),
    {REGISTER("ssp", 8, DATA_POINTER, SYSTEM, -1), .set = ARCH_SET_X86_SHADOW_STACK},
};

/* Those that are spoken of here: indices. */
enum {
    AMD64_rax = 0,
    AMD64_rdx = 3,
    AMD64_rsi = 4,
    AMD64_rdi = 5,
    AMD64_rsp = 7,
    AMD64_r8 = 8,
    AMD64_r9 = 9,
    AMD64_r10 = 10,
    AMD64_rip = 16,
    AMD64_eflags = 17,
    AMD64_orig_rax = 24,
    AMD64_WORDS = 27, /* how many come first */
};

/* ---- The general registers ---- */

static uint64_t get(const struct arch_registers *block, int index)
{
    return block->bytes[registers[index].kind];
}

static void put(struct arch_registers *block, int index, uint64_t value)
{
    block->bytes[registers[index].kind] = value;
}

/* Is the thread in a system call that was interrupted, with the kernel about to make it again? rax then holds
 * -ERESTARTSYS, -ERESTARTNOINTR, -ERESTARTNOHAND or -ERESTART_RESTARTBLOCK (-512 to -516), numbers that no program ever
 * sees, and orig_rax the number of the call. */
static bool call_restarts(const struct arch_registers *block)
{
    int64_t result = (int64_t)get(block, AMD64_rax);
    return (int64_t)get(block, AMD64_orig_rax) >= 0 && result <= -512 && result >= -516;
}

static void set(struct arch_registers *block, int index, uint64_t value)
{
    /* To make the call again, the kernel sets the pc back over the two bytes of the syscall instruction when the thread
     * continues. It would do so with a new pc too, and the thread would run on in front of where it was sent.
     * orig_rax == -1 says that there is no call (gdb does the same). */
    if (index == AMD64_rip && value != get(block, index) && call_restarts(block))
        put(block, AMD64_orig_rax, UINT64_MAX);
    /* RF is about the instruction that the thread stood at. */
    if (index == AMD64_rip && value != get(block, index))
        put(block, AMD64_eflags, get(block, AMD64_eflags) & ~(uint64_t)EFLAGS_RESUME);
    put(block, index, value);
}

/* ---- The others ---- */

static void lay_out(struct arch_block *block, enum arch_set set)
{
    if (set == ARCH_SET_X86_XSTATE)
        xstate_lay_out(block);
}

static size_t width(const struct arch_block *block, int index)
{
    const struct arch_register *what = &registers[index];
    bool has =
        what->set == ARCH_SET_X86_XSTATE ? xstate_has(block, what->kind, what->number) : block->size >= what->bytes;
    return has ? what->bytes : 0;
}

static void read(const struct arch_block *block, int index, void *value)
{
    const struct arch_register *what = &registers[index];
    if (what->set == ARCH_SET_X86_XSTATE)
        xstate_read(block, what->kind, what->number, value);
    else
        memcpy(value, block->bytes, what->bytes);
}

static void write(struct arch_block *block, int index, const void *value)
{
    const struct arch_register *what = &registers[index];
    if (what->set == ARCH_SET_X86_XSTATE)
        xstate_write(block, what->kind, what->number, value);
    else
        memcpy(block->bytes, value, what->bytes);
}

/* ---- Instructions ---- */

static bool decode(const unsigned char *code, size_t size, ZydisDecodedInstruction *instruction)
{
    ZydisDecoder decoder;
    return ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) &&
           ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code, size, instruction));
}

static enum arch_instruction classify_decoded(const ZydisDecodedInstruction *instruction)
{
    switch (instruction->mnemonic) {
    case ZYDIS_MNEMONIC_SYSCALL:
    case ZYDIS_MNEMONIC_SYSENTER:
        return ARCH_INSTRUCTION_SYSCALL;
    case ZYDIS_MNEMONIC_INT:
        return instruction->raw.imm[0].value.u == INT_SYSCALL ? ARCH_INSTRUCTION_SYSCALL : ARCH_INSTRUCTION_PLAIN;
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        return ARCH_INSTRUCTION_PUSHES_FLAGS;
    case ZYDIS_MNEMONIC_POPF:
    case ZYDIS_MNEMONIC_POPFD:
    case ZYDIS_MNEMONIC_POPFQ:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
        return ARCH_INSTRUCTION_POPS_FLAGS;
    default:
        /* Zydis sets these only where the prefix makes the instruction repeat ("rep ret" does not). */
        if (instruction->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE))
            return ARCH_INSTRUCTION_REPEATED;
        return ARCH_INSTRUCTION_PLAIN;
    }
}

/* mov to ss (8e /2): the processor holds back the trap of a single-step until the instruction after it is done. */
static bool delays_trap(const ZydisDecodedInstruction *instruction)
{
    return instruction->mnemonic == ZYDIS_MNEMONIC_MOV && instruction->opcode == 0x8e &&
           instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && instruction->raw.modrm.reg == 2;
}

static enum arch_instruction classify(const unsigned char *code, size_t size, size_t *length)
{
    ZydisDecodedInstruction instruction;
    if (!decode(code, size, &instruction)) {
        if (length)
            *length = 0;
        return ARCH_INSTRUCTION_UNKNOWN;
    }
    if (length)
        *length = instruction.length;
    if (!delays_trap(&instruction))
        return classify_decoded(&instruction);

    /* A step of it executes two, so what counts is the second. A second mov to ss holds nothing back. */
    ZydisDecodedInstruction second;
    if (!decode(code + instruction.length, size - instruction.length, &second))
        return ARCH_INSTRUCTION_PLAIN;
    return classify_decoded(&second);
}

/* Whatever the width of what was pushed, the flag is bit 8 of its lowest 16. */
static uint64_t pushed_flags(const struct arch_registers *block, uint64_t *step_bit)
{
    *step_bit = EFLAGS_TRAP;
    return get(block, AMD64_rsp);
}

/* The kernel does not show the flag that it sets itself for a single-step: what is seen here is the program's own. */
static bool uses_step_flag(const struct arch_registers *block)
{
    return get(block, AMD64_eflags) & EFLAGS_TRAP;
}

static void clear_step_flag(struct arch_registers *block)
{
    put(block, AMD64_eflags, get(block, AMD64_eflags) & ~(uint64_t)EFLAGS_TRAP);
}

/* orig_rax is the number of the call that the thread is in, and -1 in none; what the kernel takes the number from at the
 * instruction is rax. */
static const int argument_registers[] = {AMD64_rdi, AMD64_rsi, AMD64_rdx, AMD64_r10, AMD64_r8, AMD64_r9};

static void set_call(struct arch_registers *block, uint64_t pc, const struct arch_call *call)
{
    put(block, AMD64_orig_rax, UINT64_MAX);
    put(block, AMD64_rip, pc);
    put(block, AMD64_rax, call->number);
    for (size_t i = 0; i < sizeof argument_registers / sizeof *argument_registers; i++)
        put(block, argument_registers[i], call->arguments[i]);
    clear_step_flag(block);
}

static void get_call(const struct arch_registers *block, struct arch_call *call)
{
    call->number = get(block, AMD64_orig_rax);
    for (size_t i = 0; i < sizeof argument_registers / sizeof *argument_registers; i++)
        call->arguments[i] = get(block, argument_registers[i]);
}

static void drop_call(struct arch_registers *block)
{
    put(block, AMD64_orig_rax, UINT64_MAX);
}

/* What the kernel does, too. */
static void remake_call(struct arch_registers *block)
{
    bool rest = (int64_t)get(block, AMD64_rax) == -516; /* ERESTART_RESTARTBLOCK */
    put(block, AMD64_rax, rest ? 219 /* restart_syscall */ : get(block, AMD64_orig_rax));
    put(block, AMD64_rip, get(block, AMD64_rip) - 2);
    drop_call(block);
}

static int64_t call_result(const struct arch_registers *block)
{
    return (int64_t)get(block, AMD64_rax);
}

/* ---- Debug registers: DR0 to DR3 hold addresses, DR7 says what of ---- */

enum { WATCH_SLOTS = 4, CONTROL_WORD = 4 };

/* One register watches 1, 2, 4 or 8 bytes at a multiple of that. */
static size_t split_watch(uint64_t address, uint64_t size, enum arch_watch_kind kind, struct arch_watch *pieces,
                          size_t room)
{
    size_t count = 0;
    if (kind == ARCH_WATCH_EXECUTE && size != 1)
        return 0;
    while (size) {
        unsigned piece = 8;
        while (piece > size || address % piece)
            piece /= 2;
        if (count < room)
            pieces[count] = (struct arch_watch){address, piece, kind};
        count++;
        address += piece;
        size -= piece;
        if (count > ARCH_WATCH_SLOTS) { /* more than there can be: how many more is of no interest */
            count += size / 8;
            break;
        }
    }
    return count;
}

/* For slot N bit 2 N of DR7 switches it on; from bit 16 + 4 N there are two bits for the kind and two for the size. */
static void encode_watches(const struct arch_watch *watches, size_t count, uint64_t words[ARCH_WATCH_WORDS])
{
    static const uint64_t kinds[ARCH_WATCH_KINDS] = {
        [ARCH_WATCH_EXECUTE] = 0, [ARCH_WATCH_WRITE] = 1, [ARCH_WATCH_READ_WRITE] = 3};
    static const uint64_t sizes[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    for (size_t i = 0; i < ARCH_WATCH_WORDS; i++)
        words[i] = 0;
    for (size_t i = 0; i < count && i < WATCH_SLOTS; i++) {
        words[i] = watches[i].address;
        words[CONTROL_WORD] |= UINT64_C(1) << (2 * i) | (kinds[watches[i].kind] | sizes[watches[i].size] << 2)
                                                            << (16 + 4 * i);
    }
}

/* The processor stops in front of a watched instruction, but not with RF, which lasts for one instruction. The kernel sets it
 * itself after a hit (hw_breakpoint_handler()), saves it in a signal's frame, and takes it from there. */
static void pass_watch(struct arch_registers *block)
{
    put(block, AMD64_eflags, get(block, AMD64_eflags) | EFLAGS_RESUME);
}

const struct arch arch_amd64 = {
    .name = "amd64",
    .registers = registers,
    .register_count = AMD64_WORDS,
    .register_total = sizeof registers / sizeof *registers,
    .pc_index = AMD64_rip,
    .sp_index = AMD64_rsp,
    .link_index = -1,
    .trap = {0xcc}, /* int3 */
    .trap_size = 1,
    .trap_pc_offset = 1,
    .alignment = 1,
    .get = get,
    .set = set,
    .lay_out = lay_out,
    .width = width,
    .read = read,
    .write = write,
    .classify = classify,
    .pushed_flags = pushed_flags,
    .uses_step_flag = uses_step_flag,
    .clear_step_flag = clear_step_flag,
    .syscall = {0x0f, 0x05},
    .syscall_size = 2,
    .set_call = set_call,
    .get_call = get_call,
    .drop_call = drop_call,
    .remake_call = remake_call,
    .call_result = call_result,
    .watch_slots = {WATCH_SLOTS, 0},
    .watch_pool = {0, 0, 0},
    .split_watch = split_watch,
    .encode_watches = encode_watches,
    .pass_watch = pass_watch,
};
