/* i386: its table of registers, int3, and what the engine has to know of it that amd64 has not. The kernel's words are of
 * 32 bits, and so are its negative numbers: the result of a call that has failed is to be extended.
 *
 * A system call is made by int $0x80 here. Programs make theirs by the vDSO, with the processor's faster sysenter (or
 * syscall, on AMD's), after which the kernel goes on behind the int $0x80 that follows there: so an interrupted one is
 * made again by that, two bytes back as after any other. */
#include "arch/x86.h"

#include <string.h>

/* ---- The table of registers ---- */

#define WORD_SIZE 4
/* The first of those that come in rows. */
enum { DWARF_ST0 = 11, DWARF_XMM0 = 21, DWARF_K0 = 93 };

static const struct arch_register registers[] = {
    /* As amd64's. */
    {WORD(eax, 4, INTEGER, GENERAL, 0, 24)},
    {WORD(ebx, 4, INTEGER, GENERAL, 3, 0)},
    {WORD(ecx, 4, INTEGER, GENERAL, 1, 4)},
    {WORD(edx, 4, INTEGER, GENERAL, 2, 8)},
    {WORD(esi, 4, INTEGER, GENERAL, 6, 12)},
    {WORD(edi, 4, INTEGER, GENERAL, 7, 16)},
    {WORD(ebp, 4, DATA_POINTER, GENERAL, 5, 20)},
    {WORD(esp, 4, DATA_POINTER, GENERAL, 4, 60)},
    {WORD(eip, 4, CODE_POINTER, GENERAL, 8, 48)},
    {WORD(eflags, 4, FLAGS, GENERAL, 9, 56), BITS(x86_eflags_bits)},
    {WORD(cs, 4, INTEGER, SEGMENT, 41, 52)},
    {WORD(ss, 4, INTEGER, SEGMENT, 42, 64)},
    {WORD(ds, 4, INTEGER, SEGMENT, 43, 28)},
    {WORD(es, 4, INTEGER, SEGMENT, 40, 32)},
    {WORD(fs, 4, INTEGER, SEGMENT, 44, 36)},
    {WORD(gs, 4, INTEGER, SEGMENT, 45, 40)},
    {WORD(orig_eax, 4, INTEGER, SYSTEM, -1, 44)},
    EIGHT(ST),
    CONTROLS(37, 38),
    MXCSR(39),
    EIGHT(LOW_XMM),
    EIGHT(YMM),
    EIGHT(ZMM),
    EIGHT(MASK),
    {REGISTER("pkru", 4, INTEGER, SYSTEM, -1), XSTATE(PKRU, 0)},
};

/* Those that are spoken of here: indices. */
enum {
    I386_eax = 0,
    I386_ebx = 1,
    I386_ecx = 2,
    I386_edx = 3,
    I386_esi = 4,
    I386_edi = 5,
    I386_ebp = 6,
    I386_esp = 7,
    I386_eip = 8,
    I386_eflags = 9,
    I386_orig_eax = 16,
    I386_WORDS = 17, /* how many come first */
};

enum { LAST_ERROR = 4095 }; /* the kernel's MAX_ERRNO */

/* ---- The general registers ---- */

static uint64_t get(const struct arch_registers *block, int index)
{
    return ((const uint32_t *)(const void *)block->bytes)[registers[index].kind];
}

static void put(struct arch_registers *block, int index, uint64_t value)
{
    ((uint32_t *)(void *)block->bytes)[registers[index].kind] = (uint32_t)value;
}

static int32_t get_signed(const struct arch_registers *block, int index)
{
    return (int32_t)get(block, index);
}

/* As amd64's, of whom more is said there. */
static bool call_restarts(const struct arch_registers *block)
{
    int32_t result = get_signed(block, I386_eax);
    return get_signed(block, I386_orig_eax) >= 0 && result <= -512 && result >= -516;
}

static void set(struct arch_registers *block, int index, uint64_t value)
{
    if (index == I386_eip && (uint32_t)value != get(block, index)) {
        if (call_restarts(block))
            put(block, I386_orig_eax, UINT32_MAX);
        put(block, I386_eflags, get(block, I386_eflags) & ~(uint64_t)EFLAGS_RESUME);
    }
    put(block, index, value);
}

static void move_pc(struct arch_registers *block, uint64_t pc)
{
    put(block, I386_eip, pc);
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
    return x86_classify(X86_MODE_32, code, size, length);
}

static enum arch_plan_kind prepare(const unsigned char *code, size_t size, struct arch_plan *plan)
{
    return x86_prepare(X86_MODE_32, code, size, plan);
}

static size_t displace(const unsigned char *code, size_t size, uint64_t from, uint64_t to,
                       unsigned char copy[ARCH_DISPLACED_MAX], size_t *copied)
{
    return x86_displace(X86_MODE_32, code, size, from, to, copy, copied);
}

static uint64_t pushed_flags(const struct arch_registers *block, uint64_t *step_bit)
{
    *step_bit = EFLAGS_TRAP;
    return get(block, I386_esp);
}

static bool uses_step_flag(const struct arch_registers *block)
{
    return get(block, I386_eflags) & EFLAGS_TRAP;
}

static void clear_step_flag(struct arch_registers *block)
{
    put(block, I386_eflags, get(block, I386_eflags) & ~(uint64_t)EFLAGS_TRAP);
}

/* ---- System calls ---- */

static const int argument_registers[] = {I386_ebx, I386_ecx, I386_edx, I386_esi, I386_edi, I386_ebp};

static void set_call(struct arch_registers *block, uint64_t pc, const struct arch_call *call)
{
    put(block, I386_orig_eax, UINT32_MAX);
    put(block, I386_eip, pc);
    put(block, I386_eax, call->number);
    for (size_t i = 0; i < sizeof argument_registers / sizeof *argument_registers; i++)
        put(block, argument_registers[i], call->arguments[i]);
    clear_step_flag(block);
}

static void get_call(const struct arch_registers *block, struct arch_call *call)
{
    call->number = (uint64_t)(int64_t)get_signed(block, I386_orig_eax); /* -1: none */
    for (size_t i = 0; i < sizeof argument_registers / sizeof *argument_registers; i++)
        call->arguments[i] = get(block, argument_registers[i]);
}

static void drop_call(struct arch_registers *block)
{
    put(block, I386_orig_eax, UINT32_MAX);
}

/* What the kernel does, too. */
static void remake_call(struct arch_registers *block)
{
    bool rest = get_signed(block, I386_eax) == -516; /* ERESTART_RESTARTBLOCK */
    put(block, I386_eax, rest ? 0 /* restart_syscall */ : get(block, I386_orig_eax));
    put(block, I386_eip, get(block, I386_eip) - 2);
    drop_call(block);
}

/* An address in the upper half is no failure. */
static int64_t call_result(const struct arch_registers *block)
{
    int32_t result = get_signed(block, I386_eax);
    return result < 0 && result >= -LAST_ERROR ? result : (int64_t)(uint32_t)result;
}

static void set_result(struct arch_registers *block, int64_t result)
{
    put(block, I386_eax, (uint64_t)result);
}

static void end_call(struct arch_registers *block, int64_t result)
{
    set_result(block, result);
    drop_call(block);
}

/* ---- Functions: the System V psABI for Intel386, 2.2 ----
 *
 * All arguments are on the stack, the first one lowest, each in as many words as it takes; the results are in eax and edx, or,
 * floating-point numbers, in st0, vectors in xmm0. A struct is returned in memory, of which the address is the first
 * argument, in front of the others; the function takes that one off the stack when it returns, and functions of Windows'
 * kind (stdcall) take off all. So where the stack pointer is then depends on the function; it is in no
 * function's reach that is called before or behind it. */

/* In the last page of the address space. A 64-bit kernel gives a 32-bit program nothing from 0xffffe000 on (IA32_PAGE_OFFSET), a
 * 32-bit one keeps the upper part for itself, and has nothing in that page (its error numbers, as pointers, point there). */
#define RETURN_ADDRESS 0xfffff0f0u
enum { GENERAL_BYTES = I386_WORDS * WORD_SIZE, STACK_ALIGNMENT = 16 /* gcc's, since 4.5 */ };

static bool set_function(struct arch_registers *block, struct arch_block *vectors, struct arch_function *function)
{
    uint32_t *memory = function->memory;
    size_t words = 1; /* the first is the return address */
    if (block->size != GENERAL_BYTES || !xstate_has(vectors, XSTATE_XMM, 0))
        return false;
    for (size_t i = 0; i < function->count; i++) {
        const struct rein_call_argument *argument = &function->arguments[i];
        bool is_float = argument->type == REIN_CALL_FLOAT;
        size_t size = is_float || argument->type == REIN_CALL_INTEGER ? WORD_SIZE : 2 * WORD_SIZE;
        if (is_float)
            memcpy(&memory[words], &argument->single, size);
        else
            memcpy(&memory[words], &argument->word, size); /* or its lower half */
        words += size / WORD_SIZE;
    }
    x86_begin_x87(vectors);
    size_t argument_bytes = (words - 1) * WORD_SIZE;
    uint64_t arguments_at = (function->stack - argument_bytes) & ~(uint64_t)(STACK_ALIGNMENT - 1);
    memory[0] = RETURN_ADDRESS;
    function->size = words * WORD_SIZE;
    function->sp_behind = arguments_at;
    function->sp_behind_most = arguments_at + argument_bytes;
    put(block, I386_esp, arguments_at - WORD_SIZE);
    put(block, I386_eip, function->pc);
    drop_call(block);
    put(block, I386_eflags, get(block, I386_eflags) & ~(uint64_t)EFLAGS_NOT_AT_CALLS);
    return true;
}

static void function_result(const struct arch_registers *block, const struct arch_block *vectors,
                            struct rein_call_result *result)
{
    result->words[0] = get(block, I386_eax);
    result->words[1] = get(block, I386_edx);
    for (unsigned i = 0; i < 2; i++)
        xstate_read(vectors, XSTATE_XMM, i, result->vectors[i].bytes);
    xstate_read(vectors, XSTATE_ST, 0, result->extended);
}

/* ---- Debug registers ---- */

/* 8 bytes at once are for processors with amd64 only. */
static size_t split_watch(uint64_t address, uint64_t size, enum arch_watch_kind kind, struct arch_watch *pieces,
                          size_t room)
{
    return x86_split_watch(address, size, kind, 4, pieces, room);
}

static void pass_watch(struct arch_registers *block)
{
    put(block, I386_eflags, get(block, I386_eflags) | EFLAGS_RESUME);
}

const struct arch arch_i386 = {
    .name = "i386",
    .registers = registers,
    .register_count = I386_WORDS,
    .register_total = sizeof registers / sizeof *registers,
    .pc_index = I386_eip,
    .sp_index = I386_esp,
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
    .syscall = {0xcd, 0x80}, /* int $0x80 */
    .syscall_size = 2,
    .set_call = set_call,
    .get_call = get_call,
    .drop_call = drop_call,
    .remake_call = remake_call,
    .call_result = call_result,
    .set_result = set_result,
    .end_call = end_call,
    .set_function = set_function,
    .function_result = function_result,
    .function_set = ARCH_SET_X86_XSTATE,
    .return_address = RETURN_ADDRESS,
    .watch_slots = {X86_WATCH_SLOTS, 0},
    .watch_pool = {0, 0, 0},
    .split_watch = split_watch,
    .encode_watches = x86_encode_watches,
    .pass_watch = pass_watch,
};
