/* From a frame to its caller's, over and over. How that goes is told by call frame information (CFI): .eh_frame, which nearly
 * all code has, as it is for exceptions, or .debug_frame. libdw finds the entry for an address, by the table that the
 * linker has sorted, and what it says is evaluated here rather than by libdw's own unwinder, for two reasons. That one goes by
 * frame pointers in silence where there is no CFI, and does not say where it has begun to guess; and it wants a
 * description of its own of each process and of all its files, while the files here are open already, once for all processes.
 *
 * Where there is no CFI - code that was made at run time, assembly - the caller is guessed, by the chain of frame pointers,
 * or, if the thread is at a function's first instruction or has jumped to where no code is, by the return address on top of the
 * stack. What is found so must be where code is. All that comes behind a guess is called guessed.
 *
 * A stack may be damaged: each step must lead up the stack (but out of a signal's handler, which may have a stack of its own),
 * and there are no more frames than were asked for. */
#include "unwind.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "symbols_internal.h"

bool unwind_registers_from(struct unwind_registers *registers, const rein_registers *snapshot)
{
    static const struct {
        const char *arch, *fp;
        unsigned word;
    } archs[] = {{"amd64", "rbp", 8}, {"i386", "ebp", 4}, {"arm64", "x29", 8}};
    size_t kind = 0, kinds = sizeof archs / sizeof archs[0];
    *registers =
        (struct unwind_registers){.arch = rein_registers_architecture(snapshot), .fp = -1, .sp = -1, .link = -1};
    while (kind < kinds && strcmp(archs[kind].arch, registers->arch) != 0)
        kind++;
    if (kind == kinds || rein_registers_pc(snapshot, &registers->pc) != 0)
        return false;
    registers->word = archs[kind].word;
    int count = rein_registers_count(snapshot), fp = rein_registers_index(snapshot, archs[kind].fp),
        sp = rein_registers_sp_index(snapshot), link = rein_registers_link_index(snapshot);
    for (int i = 0; i < count; i++) {
        struct rein_register_info info = REIN_REGISTER_INFO_INIT;
        rein_word value;
        if (rein_registers_info(snapshot, i, &info) != 0 || info.dwarf < 0 || info.dwarf >= UNWIND_REGISTERS ||
            rein_registers_get(snapshot, i, &value) != 0)
            continue;
        registers->values[info.dwarf] = value;
        registers->known[info.dwarf] = true;
        if (i == fp)
            registers->fp = info.dwarf;
        if (i == sp)
            registers->sp = info.dwarf;
        if (i == link)
            registers->link = info.dwarf;
    }
    return registers->fp >= 0 && registers->sp >= 0;
}

struct unwinding {
    struct modules *modules;
    const struct unwind_memory *memory;
    struct stack *stack;
    struct unwind_registers now; /* of the last frame */
};

static uint64_t to_word(const struct unwind_registers *registers, uint64_t value)
{
    return registers->word == 4 ? (uint32_t)value : value;
}

static int64_t to_signed(const struct unwind_registers *registers, uint64_t value)
{
    return registers->word == 4 ? (int32_t)value : (int64_t)value;
}

/* The first reason counts. */
static bool lose(struct unwinding *unwinding, const char *why, uint64_t where)
{
    struct stack *stack = unwinding->stack;
    if (stack->why == NULL) {
        stack->why = why;
        stack->where = where;
    }
    return false;
}

static bool read_bytes(struct unwinding *unwinding, uint64_t address, size_t size, uint64_t *value)
{
    uint64_t word = 0;
    if (size > sizeof word || !unwinding->memory->read(unwinding->memory->arg, address, &word, size))
        return lose(unwinding, "the memory cannot be read", address);
    *value = word; /* what is here for x86 and arm64 is little-endian */
    return true;
}

static bool read_word(struct unwinding *unwinding, uint64_t address, uint64_t *value)
{
    return read_bytes(unwinding, address, unwinding->now.word, value);
}

static bool get(struct unwinding *unwinding, uint64_t number, uint64_t *value)
{
    if (number >= UNWIND_REGISTERS || !unwinding->now.known[number])
        return lose(unwinding, "a register that is needed was not saved", unwinding->now.pc);
    *value = unwinding->now.values[number];
    return true;
}

/* ---- Expressions ---- */

struct expression {
    struct unwinding *unwinding;
    uint64_t cfa;
    uint64_t stack[32];
    size_t depth;
    bool is_value; /* the result is the value itself, not where it is */
};

static bool push(struct expression *expression, uint64_t value)
{
    if (expression->depth == sizeof expression->stack / sizeof expression->stack[0])
        return false;
    expression->stack[expression->depth++] = to_word(&expression->unwinding->now, value);
    return true;
}

static bool is_unary(unsigned atom)
{
    return atom == DW_OP_neg || atom == DW_OP_not || atom == DW_OP_abs;
}

static bool unary(struct expression *expression, unsigned atom)
{
    if (expression->depth < 1)
        return false;
    uint64_t value = expression->stack[--expression->depth];
    if (atom == DW_OP_not)
        return push(expression, ~value);
    if (atom == DW_OP_abs && to_signed(&expression->unwinding->now, value) >= 0)
        return push(expression, value);
    return push(expression, 0 - value);
}

/* False also for an operation that is none of these. */
static bool binary(struct expression *expression, unsigned atom)
{
    const struct unwind_registers *now = &expression->unwinding->now;
    if (expression->depth < 2)
        return false;
    uint64_t right = expression->stack[--expression->depth], left = expression->stack[--expression->depth];
    int64_t signed_left = to_signed(now, left), signed_right = to_signed(now, right);
    unsigned bits = 8 * now->word;
    switch (atom) {
    case DW_OP_plus:
        return push(expression, left + right);
    case DW_OP_minus:
        return push(expression, left - right);
    case DW_OP_mul:
        return push(expression, left * right);
    case DW_OP_and:
        return push(expression, left & right);
    case DW_OP_or:
        return push(expression, left | right);
    case DW_OP_xor:
        return push(expression, left ^ right);
    case DW_OP_shl:
        return push(expression, right < bits ? left << right : 0);
    case DW_OP_shr:
        return push(expression, right < bits ? left >> right : 0);
    case DW_OP_shra:
        return push(expression, (uint64_t)(signed_left >> (right < bits ? right : bits - 1)));
    case DW_OP_eq:
        return push(expression, left == right);
    case DW_OP_ne:
        return push(expression, left != right);
    case DW_OP_lt:
        return push(expression, signed_left < signed_right);
    case DW_OP_le:
        return push(expression, signed_left <= signed_right);
    case DW_OP_gt:
        return push(expression, signed_left > signed_right);
    case DW_OP_ge:
        return push(expression, signed_left >= signed_right);
    default:
        return false;
    }
}

/* Those that move what is on the stack; false also if it is none. */
static bool shuffle(struct expression *expression, const Dwarf_Op *op)
{
    uint64_t *top = expression->stack + expression->depth, value;
    size_t needed = op->atom == DW_OP_pick                             ? (size_t)op->number + 1
                    : op->atom == DW_OP_over || op->atom == DW_OP_swap ? 2
                    : op->atom == DW_OP_rot                            ? 3
                                                                       : 1;
    if (expression->depth < needed)
        return false;
    switch (op->atom) {
    case DW_OP_dup:
        return push(expression, top[-1]);
    case DW_OP_over:
        return push(expression, top[-2]);
    case DW_OP_pick:
        return push(expression, top[-1 - (ptrdiff_t)op->number]);
    case DW_OP_drop:
        expression->depth--;
        return true;
    case DW_OP_swap:
        value = top[-1];
        top[-1] = top[-2];
        top[-2] = value;
        return true;
    case DW_OP_rot:
        value = top[-1];
        top[-1] = top[-2];
        top[-2] = top[-3];
        top[-3] = value;
        return true;
    default:
        return false;
    }
}

static bool dereference(struct expression *expression, size_t size)
{
    uint64_t value;
    return expression->depth > 0 &&
           read_bytes(expression->unwinding, expression->stack[--expression->depth], size, &value) &&
           push(expression, value);
}

/* Where the operation at that offset is; count: there is none. */
static size_t find_operation(const Dwarf_Op *ops, size_t count, uint64_t offset)
{
    size_t at = 0;
    while (at < count && ops[at].offset != offset)
        at++;
    return at;
}

static bool operate(struct expression *expression, const Dwarf_Op *op)
{
    uint64_t value;
    unsigned atom = op->atom;
    if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
        return push(expression, atom - DW_OP_lit0);
    if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
        return get(expression->unwinding, atom - DW_OP_breg0, &value) && push(expression, value + op->number);
    if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31) {
        expression->is_value = true;
        return get(expression->unwinding, atom - DW_OP_reg0, &value) && push(expression, value);
    }
    if (is_unary(atom))
        return unary(expression, atom);
    switch (atom) {
    case DW_OP_const1u:
    case DW_OP_const1s:
    case DW_OP_const2u:
    case DW_OP_const2s:
    case DW_OP_const4u:
    case DW_OP_const4s:
    case DW_OP_const8u:
    case DW_OP_const8s:
    case DW_OP_constu:
    case DW_OP_consts:
        return push(expression, op->number);
    case DW_OP_bregx:
        return get(expression->unwinding, op->number, &value) && push(expression, value + op->number2);
    case DW_OP_regx:
        expression->is_value = true;
        return get(expression->unwinding, op->number, &value) && push(expression, value);
    case DW_OP_call_frame_cfa:
        return push(expression, expression->cfa);
    case DW_OP_plus_uconst:
        return expression->depth > 0 && push(expression, expression->stack[--expression->depth] + op->number);
    case DW_OP_deref:
        return dereference(expression, expression->unwinding->now.word);
    case DW_OP_deref_size:
        return dereference(expression, (size_t)op->number);
    case DW_OP_nop:
        return true;
    case DW_OP_stack_value:
        expression->is_value = true;
        return true;
    case DW_OP_dup:
    case DW_OP_drop:
    case DW_OP_over:
    case DW_OP_pick:
    case DW_OP_swap:
    case DW_OP_rot:
        return shuffle(expression, op);
    default:
        return binary(expression, atom);
    }
}

static bool run(struct expression *expression, const Dwarf_Op *ops, size_t count)
{
    enum { STEPS = 1000, JUMP_SIZE = 3 };
    size_t at = 0;
    for (int steps = 0; at < count; steps++) {
        const Dwarf_Op *op = &ops[at++];
        if (steps == STEPS)
            return false;
        bool taken = op->atom == DW_OP_skip;
        if (op->atom == DW_OP_bra) {
            if (expression->depth == 0)
                return false;
            taken = expression->stack[--expression->depth] != 0;
        } else if (!taken && !operate(expression, op)) {
            return false;
        }
        if (taken)
            at = find_operation(ops, count, op->offset + JUMP_SIZE + (uint64_t)(int16_t)op->number);
    }
    return expression->depth > 0;
}

static bool evaluate(struct expression *expression, const Dwarf_Op *ops, size_t count, uint64_t *value)
{
    expression->depth = 0;
    expression->is_value = false;
    if (!run(expression, ops, count))
        return lose(expression->unwinding, "its unwind information cannot be evaluated", expression->unwinding->now.pc);
    *value = expression->stack[expression->depth - 1];
    return true;
}

/* ---- By call frame information ---- */

static Dwarf_Frame *frame_in(Dwarf_CFI *cfi, uint64_t address)
{
    Dwarf_Frame *frame;
    return cfi != NULL && dwarf_cfi_addrframe(cfi, address, &frame) == 0 ? frame : NULL;
}

/* What is known of the frames at address, the file's own; NULL: nothing. To be freed. */
static Dwarf_Frame *find_frame(struct symbols *symbols, uint64_t address)
{
    if (!symbols->cfi_loaded) {
        symbols->cfi_loaded = true;
        symbols->cfi = dwarf_getcfi_elf(symbols->elf);
    }
    Dwarf_Frame *frame = frame_in(symbols->cfi, address);
    Dwfl_Module *module = frame == NULL ? symbols_module(symbols) : NULL;
    if (module == NULL)
        return frame;
    Dwarf_Addr bias = 0;
    Dwarf_CFI *debug = dwfl_module_dwarf_cfi(module, &bias);
    return frame_in(debug, address + symbols->dwfl_bias - bias);
}

enum step { STEP_DONE, STEP_OUTERMOST, STEP_LOST, STEP_NO_INFORMATION };

static bool restore(struct expression *expression, Dwarf_Frame *frame, int number, struct unwind_registers *caller)
{
    Dwarf_Op memory[3], *ops;
    size_t count;
    uint64_t value;
    if (dwarf_frame_register(frame, number, memory, &ops, &count) != 0 || (count == 0 && ops != NULL))
        return true; /* its value is gone, as those of all registers are that calls do not keep */
    const struct unwind_registers *now = &expression->unwinding->now;
    if (count == 0) {
        caller->values[number] = now->values[number];
        caller->known[number] = now->known[number];
        return true;
    }
    if (!evaluate(expression, ops, count, &value) ||
        (!expression->is_value && !read_word(expression->unwinding, value, &value)))
        return false;
    caller->values[number] = value;
    caller->known[number] = true;
    return true;
}

/* arm64: return addresses may be signed, in the bits that no address of a program has. */
static uint64_t without_signature(const struct unwind_registers *registers, uint64_t address)
{
    return strcmp(registers->arch, "arm64") == 0 ? address & 0xffffffffffff : address;
}

static enum step step_by(struct unwinding *unwinding, Dwarf_Frame *frame, bool *signal)
{
    struct unwind_registers *now = &unwinding->now, caller = *now;
    struct expression expression = {.unwinding = unwinding};
    Dwarf_Op *ops;
    size_t count;
    int column = dwarf_frame_info(frame, NULL, NULL, signal);
    uint64_t old = now->values[now->sp];
    if (column < 0 || column >= UNWIND_REGISTERS || dwarf_frame_cfa(frame, &ops, &count) != 0 || count == 0) {
        lose(unwinding, "its unwind information cannot be evaluated", now->pc);
        return STEP_LOST;
    }
    if (!evaluate(&expression, ops, count, &expression.cfa))
        return STEP_LOST;
    memset(caller.known, 0, sizeof caller.known);
    for (int i = 0; i < UNWIND_REGISTERS; i++)
        if (!restore(&expression, frame, i, &caller))
            return STEP_LOST;
    if (!caller.known[column])
        return STEP_OUTERMOST;
    if (!caller.known[caller.sp])
        caller.values[caller.sp] = expression.cfa;
    caller.known[caller.sp] = true;
    caller.pc = without_signature(now, caller.values[column]);
    /* Code that is said to have changed the stack itself may have come from anywhere, as a handler may. */
    bool same_stack = !*signal && caller.values[caller.sp] == expression.cfa;
    if (same_stack && (expression.cfa < old || (expression.cfa == old && caller.pc == now->pc))) {
        lose(unwinding, "the stack is damaged: it does not lead up", now->pc);
        return STEP_LOST;
    }
    unwinding->now = caller;
    return caller.pc == 0 ? STEP_OUTERMOST : STEP_DONE;
}

static enum step step_by_information(struct unwinding *unwinding, struct frame *frame, bool *signal)
{
    uint64_t pc = frame->exact ? frame->pc : frame->pc - 1; /* a call may be a function's last instruction */
    struct module *module = modules_at(unwinding->modules, pc);
    struct symbols *symbols = module == NULL ? NULL : module_symbols(unwinding->modules, module);
    Dwarf_Frame *found = symbols == NULL ? NULL : find_frame(symbols, pc - module_bias(module));
    if (found == NULL)
        return STEP_NO_INFORMATION;
    enum step step = step_by(unwinding, found, signal);
    frame->exact |= *signal; /* the return address from a handler is not behind a call */
    free(found);
    return step;
}

/* ---- By guess ---- */

static bool is_code(struct unwinding *unwinding, uint64_t address)
{
    return modules_is_executable(unwinding->modules, address);
}

/* Where its first instruction has not been executed yet, the caller's frame is still there: its return address is where
 * the call has put it. */
static bool is_at_start(struct unwinding *unwinding, uint64_t pc)
{
    enum { ENDBR_SIZE = 4 };
    static const unsigned char endbr[][ENDBR_SIZE] = {{0xf3, 0x0f, 0x1e, 0xfa}, {0xf3, 0x0f, 0x1e, 0xfb}};
    struct described is;
    unsigned char code[ENDBR_SIZE];
    modules_describe(unwinding->modules, pc, &is);
    if (is.symbol == NULL)
        return !is_code(unwinding, pc); /* it was called where nothing is */
    return is.offset == 0 || (is.offset == ENDBR_SIZE &&
                              unwinding->memory->read(unwinding->memory->arg, pc - ENDBR_SIZE, code, sizeof code) &&
                              (memcmp(code, endbr[0], sizeof code) == 0 || memcmp(code, endbr[1], sizeof code) == 0));
}

static bool guess_by_return_address(struct unwinding *unwinding)
{
    struct unwind_registers *now = &unwinding->now;
    uint64_t sp = now->values[now->sp], pc;
    if (now->link >= 0)
        pc = without_signature(now, now->values[now->link]);
    else if (!read_word(unwinding, sp, &pc))
        return false;
    if (!is_code(unwinding, pc))
        return false;
    now->pc = pc;
    if (now->link < 0)
        now->values[now->sp] = sp + now->word;
    return true;
}

static bool guess_by_frame_pointer(struct unwinding *unwinding)
{
    struct unwind_registers *now = &unwinding->now;
    uint64_t fp = now->values[now->fp], sp = now->values[now->sp], next, pc;
    if (!now->known[now->fp] || fp < sp || fp % now->word != 0 || !read_word(unwinding, fp, &next) ||
        !read_word(unwinding, fp + now->word, &pc))
        return false;
    pc = without_signature(now, pc);
    if (!is_code(unwinding, pc))
        return false;
    memset(now->known, 0, sizeof now->known);
    now->known[now->fp] = now->known[now->sp] = true;
    now->values[now->fp] = next;
    now->values[now->sp] = fp + 2 * now->word;
    now->pc = pc;
    return true;
}

static enum step step_by_guess(struct unwinding *unwinding, bool is_first)
{
    struct stack *stack = unwinding->stack;
    uint64_t pc = unwinding->now.pc;
    if (!is_code(unwinding, pc) && !is_first) { /* what was taken for a return address is none */
        lose(unwinding, "there is no code", pc);
        return STEP_LOST;
    }
    bool found = (is_first && is_at_start(unwinding, pc) && guess_by_return_address(unwinding)) ||
                 guess_by_frame_pointer(unwinding) || (is_first && guess_by_return_address(unwinding));
    stack->why = NULL;
    if (!found) {
        lose(unwinding, "there is no unwind information for the code, and no frame pointer", pc);
        return STEP_LOST;
    }
    if (stack->guess == NULL)
        stack->guess = is_code(unwinding, pc) ? "there is no unwind information" : "there is no code";
    return STEP_DONE;
}

/* ---- All of it ---- */

static void add_frame(struct unwinding *unwinding, bool exact)
{
    struct stack *stack = unwinding->stack;
    if (stack->guess == NULL)
        stack->guess = unwinding->memory->doubt;
    stack->frames = cli_grow(stack->frames, stack->count, sizeof *stack->frames);
    stack->frames[stack->count++] =
        (struct frame){.pc = unwinding->now.pc, .exact = exact, .guessed = stack->guess != NULL};
}

void unwind(struct modules *modules, const struct unwind_registers *registers, const struct unwind_memory *memory,
            size_t depth, struct stack *stack)
{
    struct unwinding unwinding = {modules, memory, stack, *registers};
    enum step step = STEP_DONE;
    bool signal = true;
    *stack = (struct stack){.end = STACK_LIMIT};
    while (step == STEP_DONE && stack->count < depth) {
        add_frame(&unwinding, signal);
        struct frame *frame = &stack->frames[stack->count - 1];
        signal = false;
        step = step_by_information(&unwinding, frame, &signal);
        if (step == STEP_NO_INFORMATION)
            step = step_by_guess(&unwinding, stack->count == 1);
    }
    if (step == STEP_OUTERMOST)
        stack->end = STACK_OUTERMOST;
    else if (step == STEP_LOST)
        stack->end = STACK_LOST;
}

void stack_clear(struct stack *stack)
{
    free(stack->frames);
    *stack = (struct stack){0};
}
