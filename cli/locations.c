/* Where a variable is: DWARF's location expressions become bytecode, which has nearly the same operations. What has none, or
 * would need the caller's frames, is refused in words. */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "symbols_internal.h"
#include "variables.h"

static const char optimized_out[] = "it was optimized out here";
static const char no_value_yet[] = "it has no value yet where the function begins: take a line in it";
static const char too_complicated[] = "where it is, is too complicated to tell";

struct compiler {
    const struct scene *scene;
    const struct variable *variable;
    Dwarf_Attribute *attribute; /* that the expression is of; NULL: of the unwind information */
    bool is_frame_base;
    struct bytecode code;
    enum piece_kind kind; /* of what the code has made so far */
    int reg;
    const uint8_t *bytes;
    uint64_t byte_count;
    struct location_of *location;
};

/* ---- The frame ---- */

static const char *compile(struct compiler *compiler, const Dwarf_Op *ops, size_t count);

/* The canonical frame address: the stack pointer before the call. */
static const char *compile_cfa(struct compiler *compiler)
{
    const struct scene *scene = compiler->scene;
    uint64_t address = scene->own + scene->symbols->dwfl_bias;
    const char *wrong = "the frame of the function is not described";
    for (int kind = 0; kind < 2; kind++) {
        Dwarf_Addr bias = 0;
        Dwarf_CFI *cfi = kind == 0 ? dwfl_module_dwarf_cfi(scene->symbols->module, &bias)
                                   : dwfl_module_eh_cfi(scene->symbols->module, &bias);
        Dwarf_Frame *frame;
        Dwarf_Op *ops;
        size_t count;
        if (cfi == NULL || dwarf_cfi_addrframe(cfi, address - bias, &frame) != 0)
            continue;
        if (dwarf_frame_cfa(frame, &ops, &count) == 0 && count > 0) {
            struct compiler inner = {.scene = scene, .code = {.arena = scene->types.arena}, .kind = PIECE_MEMORY};
            wrong = compile(&inner, ops, count);
            if (wrong == NULL && inner.kind == PIECE_REGISTER)
                bytecode_op16(&inner.code, OP_REG, (unsigned)inner.reg);
            if (wrong == NULL)
                bytecode_append(&compiler->code, &inner.code);
        }
        free(frame);
        if (wrong == NULL)
            return NULL;
    }
    return wrong;
}

static const char *compile_frame_base(struct compiler *compiler)
{
    const struct scene *scene = compiler->scene;
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t count;
    if (compiler->is_frame_base || compiler->attribute == NULL || scene->scope_count == 0 ||
        dwarf_attr_integrate(&scene->scopes[0], DW_AT_frame_base, &attribute) == NULL ||
        dwarf_getlocation_addr(&attribute, scene->pc, &ops, &count, 1) != 1)
        return "the frame of the function is not described";
    struct compiler inner = {.scene = scene,
                             .attribute = &attribute,
                             .is_frame_base = true,
                             .code = {.arena = scene->types.arena},
                             .kind = PIECE_MEMORY};
    const char *wrong = compile(&inner, ops, count);
    if (wrong != NULL)
        return wrong;
    if (inner.kind == PIECE_REGISTER)
        bytecode_op16(&inner.code, OP_REG, (unsigned)inner.reg);
    bytecode_append(&compiler->code, &inner.code);
    return NULL;
}

/* ---- Operations ---- */

static void add_constant(struct compiler *compiler, uint64_t value)
{
    if (value == 0)
        return;
    if (value > INT64_MAX) { /* a small negative number is a small positive one to subtract */
        bytecode_constant(&compiler->code, -value);
        bytecode_op(&compiler->code, OP_SUB);
    } else {
        bytecode_constant(&compiler->code, value);
        bytecode_op(&compiler->code, OP_ADD);
    }
    bytecode_narrow(&compiler->code, compiler->scene->machine->word, false);
}

static const char *compile_register(struct compiler *compiler, uint64_t number, bool with_offset, uint64_t offset)
{
    int index = machine_register_by_dwarf(compiler->scene->machine, number);
    if (index < 0)
        return "it is in a register that is not known";
    if (!with_offset) {
        compiler->kind = PIECE_REGISTER;
        compiler->reg = index;
        return NULL;
    }
    bytecode_op16(&compiler->code, OP_REG, (unsigned)index);
    add_constant(compiler, offset);
    return NULL;
}

/* An address of the file, as it is in the process. */
static const char *compile_address(struct compiler *compiler, uint64_t address)
{
    const struct variable *variable = compiler->variable;
    struct symbols *symbols = variable == NULL ? compiler->scene->symbols : variable->symbols;
    struct module *module = variable == NULL ? compiler->scene->module : variable->module;
    bytecode_constant(&compiler->code, symbols_from_dwarf(symbols, address) + module_bias(module));
    return NULL;
}

static const char *compile_indexed(struct compiler *compiler, const Dwarf_Op *op)
{
    Dwarf_Attribute value;
    Dwarf_Addr address;
    if (compiler->attribute == NULL || dwarf_getlocation_attr(compiler->attribute, op, &value) != 0 ||
        dwarf_formaddr(&value, &address) != 0)
        return too_complicated;
    return compile_address(compiler, address);
}

static void compile_binary(struct compiler *compiler, int op, bool is_signed, bool swapped, bool inverted)
{
    size_t word = compiler->scene->machine->word;
    for (int i = 0; is_signed && word < 8 && i < 2; i++) {
        bytecode_narrow(&compiler->code, word, true);
        bytecode_op(&compiler->code, OP_SWAP);
    }
    if (swapped)
        bytecode_op(&compiler->code, OP_SWAP);
    bytecode_op(&compiler->code, op);
    if (inverted)
        bytecode_op(&compiler->code, OP_LOG_NOT);
    bytecode_narrow(&compiler->code, word, false);
}

static const struct {
    uint8_t dwarf, op;
    bool is_signed, swapped, inverted;
} binaries[] = {
    {DW_OP_and, OP_BIT_AND, false, false, false},    {DW_OP_or, OP_BIT_OR, false, false, false},
    {DW_OP_xor, OP_BIT_XOR, false, false, false},    {DW_OP_plus, OP_ADD, false, false, false},
    {DW_OP_minus, OP_SUB, false, false, false},      {DW_OP_mul, OP_MUL, false, false, false},
    {DW_OP_div, OP_DIV_SIGNED, true, false, false},  {DW_OP_mod, OP_REM_UNSIGNED, false, false, false},
    {DW_OP_shl, OP_LSH, false, false, false},        {DW_OP_shr, OP_RSH_UNSIGNED, false, false, false},
    {DW_OP_shra, OP_RSH_SIGNED, true, false, false}, {DW_OP_eq, OP_EQUAL, false, false, false},
    {DW_OP_ne, OP_EQUAL, false, false, true},        {DW_OP_lt, OP_LESS_SIGNED, true, false, false},
    {DW_OP_gt, OP_LESS_SIGNED, true, true, false},   {DW_OP_le, OP_LESS_SIGNED, true, true, true},
    {DW_OP_ge, OP_LESS_SIGNED, true, false, true},
};

/* NULL, or what is wrong; pieces are not its business. */
static const char *compile_op(struct compiler *compiler, const Dwarf_Op *op)
{
    struct bytecode *code = &compiler->code;
    size_t word = compiler->scene->machine->word;
    uint64_t mask = word < 8 ? (UINT64_C(1) << 8 * word) - 1 : UINT64_MAX;
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (binaries[i].dwarf == op->atom) {
            compile_binary(compiler, binaries[i].op, binaries[i].is_signed, binaries[i].swapped, binaries[i].inverted);
            return NULL;
        }
    if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
        bytecode_constant(code, op->atom - DW_OP_lit0);
        return NULL;
    }
    if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31)
        return compile_register(compiler, op->atom - DW_OP_reg0, false, 0);
    if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
        return compile_register(compiler, op->atom - DW_OP_breg0, true, op->number);
    switch (op->atom) {
    case DW_OP_nop:
        return NULL;
    case DW_OP_addr:
        return compile_address(compiler, op->number);
    case DW_OP_addrx:
    case DW_OP_GNU_addr_index:
        return compile_indexed(compiler, op);
    case DW_OP_const1u:
    case DW_OP_const2u:
    case DW_OP_const4u:
    case DW_OP_const8u:
    case DW_OP_constu:
    case DW_OP_const1s:
    case DW_OP_const2s:
    case DW_OP_const4s:
    case DW_OP_const8s:
    case DW_OP_consts:
        bytecode_constant(code, op->number & mask);
        return NULL;
    case DW_OP_regx:
        return compile_register(compiler, op->number, false, 0);
    case DW_OP_bregx:
        return compile_register(compiler, op->number, true, op->number2);
    case DW_OP_call_frame_cfa:
        return compile_cfa(compiler);
    case DW_OP_fbreg: {
        const char *wrong = compile_frame_base(compiler);
        if (wrong == NULL)
            add_constant(compiler, op->number);
        return wrong;
    }
    case DW_OP_plus_uconst:
        add_constant(compiler, op->number);
        return NULL;
    case DW_OP_dup:
        bytecode_op(code, OP_DUP);
        return NULL;
    case DW_OP_drop:
        bytecode_op(code, OP_POP);
        return NULL;
    case DW_OP_over:
        bytecode_op8(code, OP_PICK, 1);
        return NULL;
    case DW_OP_pick:
        bytecode_op8(code, OP_PICK, (unsigned)op->number);
        return NULL;
    case DW_OP_swap:
        bytecode_op(code, OP_SWAP);
        return NULL;
    case DW_OP_rot:
        bytecode_op(code, OP_ROT);
        return NULL;
    case DW_OP_neg:
        bytecode_constant(code, 0);
        bytecode_op(code, OP_SWAP);
        bytecode_op(code, OP_SUB);
        bytecode_narrow(code, word, false);
        return NULL;
    case DW_OP_not:
        bytecode_op(code, OP_BIT_NOT);
        bytecode_narrow(code, word, false);
        return NULL;
    case DW_OP_deref:
        bytecode_load(code, word);
        return NULL;
    case DW_OP_deref_size:
        if (op->number != 1 && op->number != 2 && op->number != 4 && op->number != 8)
            return too_complicated;
        bytecode_load(code, op->number);
        return NULL;
    case DW_OP_stack_value:
        compiler->kind = PIECE_VALUE;
        return NULL;
    case DW_OP_implicit_value: {
        Dwarf_Block block;
        if (compiler->attribute == NULL || dwarf_getlocation_implicit_value(compiler->attribute, op, &block) != 0)
            return too_complicated;
        compiler->kind = PIECE_BYTES;
        compiler->bytes = block.data;
        compiler->byte_count = block.length;
        return NULL;
    }
    case DW_OP_form_tls_address:
    case DW_OP_GNU_push_tls_address:
        return "it is thread-local: where each thread has it is not known";
    case DW_OP_entry_value:
    case DW_OP_GNU_entry_value:
        return "it was optimized out here: it only follows from what the function was called with";
    case DW_OP_implicit_pointer:
    case DW_OP_GNU_implicit_pointer:
        return "it was optimized out here: it is a pointer to what is in no memory";
    default:
        return too_complicated;
    }
}

static void end_piece(struct compiler *compiler, uint64_t size, bool is_lost)
{
    struct location_of *location = compiler->location;
    struct arena *arena = compiler->scene->types.arena;
    struct piece *more = arena_alloc(arena, location->count + 1, sizeof *more);
    if (location->count > 0)
        memcpy(more, location->pieces, location->count * sizeof *more);
    location->pieces = more;
    location->pieces[location->count++] = (struct piece){.kind = is_lost ? PIECE_LOST : compiler->kind,
                                                         .size = size,
                                                         .code = compiler->code,
                                                         .reg = compiler->reg,
                                                         .bytes = compiler->bytes};
    compiler->code = (struct bytecode){.arena = arena};
    compiler->kind = PIECE_MEMORY;
}

static const char *compile(struct compiler *compiler, const Dwarf_Op *ops, size_t count)
{
    bool anything = false;
    for (size_t i = 0; i < count; i++) {
        if (ops[i].atom == DW_OP_piece && compiler->location != NULL) {
            end_piece(compiler, ops[i].number, !anything);
            anything = false;
            continue;
        }
        const char *wrong = compile_op(compiler, &ops[i]);
        if (wrong != NULL)
            return wrong;
        anything = true;
    }
    if (anything && compiler->location != NULL)
        end_piece(compiler, compiler->kind == PIECE_BYTES ? compiler->byte_count : 0, false);
    return NULL;
}

/* ---- Variables ---- */

static const char *locate_constant(const struct scene *scene, const struct variable *variable,
                                   Dwarf_Attribute *attribute, struct location_of *location)
{
    Dwarf_Block block;
    Dwarf_Sword number;
    Dwarf_Word word;
    location->pieces = arena_alloc(scene->types.arena, 1, sizeof *location->pieces);
    location->count = 1;
    struct piece *piece = &location->pieces[0];
    *piece = (struct piece){.kind = PIECE_VALUE, .code = {.arena = scene->types.arena}};
    if (dwarf_formblock(attribute, &block) == 0) {
        piece->kind = PIECE_BYTES;
        piece->bytes = block.data;
        piece->size = block.length;
    } else if (variable->type->is_signed && dwarf_formsdata(attribute, &number) == 0) {
        bytecode_constant(&piece->code, (uint64_t)number);
    } else if (dwarf_formudata(attribute, &word) == 0) {
        bytecode_constant(&piece->code, word);
    } else {
        return too_complicated;
    }
    return NULL;
}

/* Is that a slot in the function's frame, for as long as the function runs? */
static bool is_slot(Dwarf_Attribute *attribute)
{
    Dwarf_Op *ops;
    size_t count;
    bool is_list = dwarf_whatform(attribute) == DW_FORM_sec_offset || dwarf_whatform(attribute) == DW_FORM_loclistx ||
                   dwarf_whatform(attribute) == DW_FORM_data4;
    return !is_list && dwarf_getlocation(attribute, &ops, &count) == 0 && count > 0 &&
           (ops[0].atom == DW_OP_fbreg || (ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31));
}

static const char *locate_at_entry(const struct scene *scene, const struct variable *variable,
                                   struct location_of *location)
{
    struct compiler cfa = {.scene = scene, .code = {.arena = scene->types.arena}, .kind = PIECE_MEMORY};
    const char *wrong = compile_cfa(&cfa);
    return wrong != NULL ? wrong : convention_locate(scene, variable, &cfa.code, location);
}

const char *variable_locate(const struct scene *scene, const struct variable *variable, struct location_of *location)
{
    Dwarf_Attribute attribute;
    Dwarf_Die die = variable->die;
    Dwarf_Op *ops;
    size_t count;
    *location = (struct location_of){0};
    struct compiler compiler = {.scene = scene,
                                .variable = variable,
                                .attribute = &attribute,
                                .code = {.arena = scene->types.arena},
                                .kind = PIECE_MEMORY,
                                .location = location};
    if (variable->kind == VARIABLE_ADDRESS) {
        bytecode_constant(&compiler.code, variable->value);
        end_piece(&compiler, 0, false);
        return NULL;
    }
    if (dwarf_attr_integrate(&die, DW_AT_location, &attribute) == NULL) {
        if (dwarf_attr_integrate(&die, DW_AT_const_value, &attribute) == NULL)
            return optimized_out;
        return locate_constant(scene, variable, &attribute, location);
    }
    if (scene->is_in_prologue && variable->is_local && variable->scope == 0 && is_slot(&attribute)) {
        if (variable->is_parameter)
            return locate_at_entry(scene, variable, location);
        return no_value_yet;
    }
    uint64_t pc = scene->has_dwarf ? scene->pc : 0;
    int expressions = variable->is_local ? dwarf_getlocation_addr(&attribute, pc, &ops, &count, 1)
                                         : dwarf_getlocation(&attribute, &ops, &count) == 0;
    if ((expressions != 1 || count == 0) && scene->is_in_prologue && variable->is_local)
        return no_value_yet;
    if (expressions != 1 || count == 0)
        return optimized_out;
    const char *wrong = compile(&compiler, ops, count);
    return wrong != NULL ? wrong : location->count == 0 ? optimized_out : NULL;
}
