/* amd64: its table of registers, int3, and what the engine has to know of it that i386 has not. */
#include "arch/x86.h"

#include <string.h>

/* ---- The table of registers ---- */

#define WORD_SIZE 8
/* The first of those that come in rows. */
enum { DWARF_XMM0 = 17, DWARF_ST0 = 33, DWARF_XMM16 = 67, DWARF_K0 = 118 };

#define HIGH_XMM(n) XMM(n, DWARF_XMM16 - 16)
#define TILE_LANES (REIN_LANES_INT8 | REIN_LANES_INT32 | REIN_LANES_FLOAT16 | REIN_LANES_BFLOAT16 | REIN_LANES_FLOAT32)
#define TILE(n)                                                                                                        \
    {                                                                                                                  \
        REGISTER("tmm" #n, 1024, MATRIX, TILE, -1), XSTATE(TILE, n), .lanes = TILE_LANES, .row = 64                    \
    }
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
    {WORD(eflags, 4, FLAGS, GENERAL, 49, 144), BITS(x86_eflags_bits)},
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
    CONTROLS(65, 66),
    MXCSR(64),
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
    AMD64_rcx = 2,
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

static void move_pc(struct arch_registers *block, uint64_t pc)
{
    put(block, AMD64_rip, pc);
}

/* ---- The others ---- */

static size_t width(const struct arch_block *block, int index)
{
    return x86_width(block, &registers[index]);
}

static void read(const struct arch_block *block, int index, void *value)
{
    x86_read(block, &registers[index], value);
}

static void write(struct arch_block *block, int index, const void *value)
{
    x86_write(block, &registers[index], value);
}

/* ---- Instructions ---- */

static enum arch_instruction classify(const unsigned char *code, size_t size, size_t *length)
{
    return x86_classify(X86_MODE_64, code, size, length);
}

static enum arch_plan_kind prepare(const unsigned char *code, size_t size, struct arch_plan *plan)
{
    return x86_prepare(X86_MODE_64, code, size, plan);
}

static size_t displace(const unsigned char *code, size_t size, uint64_t from, uint64_t to,
                       unsigned char copy[ARCH_DISPLACED_MAX], size_t *copied)
{
    return x86_displace(X86_MODE_64, code, size, from, to, copy, copied);
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

static void end_call(struct arch_registers *block, int64_t result)
{
    put(block, AMD64_rax, (uint64_t)result);
    drop_call(block);
}

static int64_t call_result(const struct arch_registers *block)
{
    return (int64_t)get(block, AMD64_rax);
}

static void set_result(struct arch_registers *block, int64_t result)
{
    put(block, AMD64_rax, (uint64_t)result);
}

/* ---- Functions: the System V psABI, 3.2.2 and 3.2.3 ---- */

/* The last page of the address space is the kernel's, which has nothing there either (its error numbers, as pointers, point
 * there). It must be canonical: else the fault would come at the ret, with the pc still in the function. */
#define RETURN_ADDRESS UINT64_C(0xfffffffffffff0f0)
enum { RED_ZONE = 128, VECTOR_ARGUMENTS = 8, VECTOR_BYTES = 16, GENERAL_BYTES = 27 * 8 };

static bool set_function(struct arch_registers *block, struct arch_block *vectors, struct arch_function *function)
{
    static const int integers[] = {AMD64_rdi, AMD64_rsi, AMD64_rdx, AMD64_rcx, AMD64_r8, AMD64_r9};
    enum { INTEGER_ARGUMENTS = sizeof integers / sizeof *integers };
    unsigned integer = 0, vector = 0;
    uint64_t *memory = function->memory;
    size_t words = 1; /* the first is the return address */
    if (block->size != GENERAL_BYTES || !xstate_has(vectors, XSTATE_XMM, 0))
        return false;
    for (size_t i = 0; i < function->count; i++) {
        const struct rein_call_argument *argument = &function->arguments[i];
        unsigned char value[VECTOR_BYTES] = "";
        uint64_t word = argument->type == REIN_CALL_FLOAT ? 0 : argument->word;
        if (argument->type == REIN_CALL_FLOAT)
            memcpy(&word, &argument->single, sizeof argument->single);
        memcpy(value, &word, sizeof word);
        bool is_integer = argument->type == REIN_CALL_INTEGER || argument->type == REIN_CALL_INTEGER64;
        if (is_integer && integer < INTEGER_ARGUMENTS)
            put(block, integers[integer++], word);
        else if (!is_integer && vector < VECTOR_ARGUMENTS)
            xstate_write(vectors, XSTATE_XMM, vector++, value);
        else
            memory[words++] = word;
    }
    x86_begin_x87(vectors);
    uint64_t arguments_at = (function->stack - 8 * (words - 1)) & ~UINT64_C(15);
    memory[0] = RETURN_ADDRESS;
    function->size = words * sizeof *memory;
    function->sp_behind = function->sp_behind_most = arguments_at;
    put(block, AMD64_rsp, arguments_at - 8);
    put(block, AMD64_rip, function->pc);
    put(block, AMD64_rax, vector); /* how many it must save, if it takes a variable number of arguments */
    put(block, AMD64_orig_rax, UINT64_MAX);
    put(block, AMD64_eflags, get(block, AMD64_eflags) & ~(uint64_t)EFLAGS_NOT_AT_CALLS);
    return true;
}

static void function_result(const struct arch_registers *block, const struct arch_block *vectors,
                            struct rein_call_result *result)
{
    result->words[0] = get(block, AMD64_rax);
    result->words[1] = get(block, AMD64_rdx);
    for (unsigned i = 0; i < 2; i++)
        xstate_read(vectors, XSTATE_XMM, i, result->vectors[i].bytes);
    xstate_read(vectors, XSTATE_ST, 0, result->extended);
}

/* ---- Debug registers ---- */

static size_t split_watch(uint64_t address, uint64_t size, enum arch_watch_kind kind, struct arch_watch *pieces,
                          size_t room)
{
    return x86_split_watch(address, size, kind, 8, pieces, room);
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
    .veiled_index = -1,
    .trap = {0xcc}, /* int3 */
    .trap_size = 1,
    .trap_pc_offset = 1,
    .alignment = 1,
    .get = get,
    .set = set,
    .move_pc = move_pc,
    .lay_out = x86_lay_out,
    .width = width,
    .read = read,
    .write = write,
    .classify = classify,
    .prepare = prepare,
    .emulate = x86_emulate,
    .can_be_sent = x86_is_ordinary,
    .displace = displace,
    .displaced_size = ARCH_DISPLACED_MAX,
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
    .end_call = end_call,
    .set_function = set_function,
    .function_result = function_result,
    .function_set = ARCH_SET_X86_XSTATE,
    .return_address = RETURN_ADDRESS,
    .red_zone = RED_ZONE,
    .return_stack_set = ARCH_SET_X86_SHADOW_STACK,
    .set_result = set_result,
    .watch_slots = {X86_WATCH_SLOTS, 0},
    .watch_pool = {0, 0, 0},
    .split_watch = split_watch,
    .encode_watches = x86_encode_watches,
    .pass_watch = pass_watch,
};
