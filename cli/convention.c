/* Where a function's parameters are when it has been called and has executed nothing yet: by the conventions of the platform, for
 * compilers that do not optimize describe only where they will be stored. */
#include <dwarf.h>
#include <string.h>

#include "cli.h"
#include "symbols_internal.h"
#include "variables.h"

static const char not_stored[] = "it is not stored yet where the function begins: take a line in it";

enum class { CLASS_NONE, CLASS_INTEGER, CLASS_FLOAT, CLASS_MEMORY, CLASS_UNKNOWN };

/* How amd64's System V ABI passes a type: by its eightbytes. */
struct passing {
    enum class classes[2];
    bool by_address; /* a C++ object that must not be copied as bytes */
};

static void put_class(struct passing *passing, uint64_t offset, enum class class)
{
    enum class *at = &passing->classes[offset / 8 % 2];
    if (*at < class && !(*at == CLASS_INTEGER && class == CLASS_FLOAT))
        *at = class;
    else if (*at == CLASS_FLOAT && class == CLASS_INTEGER)
        *at = class;
}

struct classify_request {
    const struct types *types;
    struct passing *passing;
    uint64_t offset;
    unsigned depth;
};

static void classify(struct classify_request *request, const struct type *type);

static bool is_vector(const struct type *type)
{
    return type->kind == TYPE_ARRAY && type->has_die && dwarf_hasattr((Dwarf_Die *)&type->die, DW_AT_GNU_vector);
}

static bool classify_member(const struct member *member, void *arg)
{
    struct classify_request *request = arg;
    if (member->is_static)
        return true;
    struct classify_request inner = {request->types, request->passing, request->offset + member->offset,
                                     request->depth + 1};
    if (member->bit_size > 0)
        put_class(request->passing, inner.offset + member->bit_offset / 8, CLASS_INTEGER);
    else
        classify(&inner, member->type);
    return true;
}

static void classify(struct classify_request *request, const struct type *type)
{
    struct passing *passing = request->passing;
    uint64_t offset = request->offset;
    bool is_scalar = type_is_scalar(type) || type->kind == TYPE_REFERENCE || type->kind == TYPE_FLOAT;
    if (is_scalar && type->size > 0 && offset % type->size != 0) { /* what is packed is passed in memory as a whole */
        put_class(passing, 0, CLASS_MEMORY);
        return;
    }
    switch (type->kind) {
    case TYPE_BOOL:
    case TYPE_INTEGER:
    case TYPE_ENUM:
    case TYPE_POINTER:
    case TYPE_REFERENCE:
        put_class(passing, offset, CLASS_INTEGER);
        if (type->size > 8)
            put_class(passing, offset + 8, CLASS_INTEGER);
        break;
    case TYPE_FLOAT:
        put_class(passing, offset,
                  type->size <= 8                                                ? CLASS_FLOAT
                  : type->name != NULL && strcmp(type->name, "long double") == 0 ? CLASS_MEMORY
                                                                                 : CLASS_UNKNOWN);
        break;
    case TYPE_ARRAY:
        if (is_vector(type)) {
            put_class(passing, offset, CLASS_UNKNOWN);
            break;
        }
        for (uint64_t i = 0; i < type->count && offset + i * type->target->size < 16 && type->target->size > 0; i++) {
            struct classify_request element = {request->types, passing, offset + i * type->target->size,
                                               request->depth + 1};
            classify(&element, type->target);
        }
        break;
    case TYPE_STRUCT:
        if (dwarf_hasattr((Dwarf_Die *)&type->die,
                          DW_AT_declaration)) /* its definition is in no file that is at hand */
            put_class(passing, offset, CLASS_UNKNOWN);
        else if (type->size > 16 || request->depth > 16)
            put_class(passing, offset, CLASS_MEMORY);
        else
            type_each_member(request->types, type, classify_member, request);
        break;
    default:
        put_class(passing, offset, CLASS_UNKNOWN);
        break;
    }
}

struct wide_request {
    const struct types *types;
    unsigned depth;
    bool is_wide;
};

static bool may_be_wide(const struct types *types, const struct type *type, unsigned depth);

static bool is_wide_member(const struct member *member, void *arg)
{
    struct wide_request *request = arg;
    if (!member->is_static && may_be_wide(request->types, member->type, request->depth))
        request->is_wide = true;
    return !request->is_wide;
}

/* Might it be aligned to more than 8 bytes? */
static bool may_be_wide(const struct types *types, const struct type *type, unsigned depth)
{
    enum { DEEPEST = 16 };
    struct wide_request request = {types, depth + 1, false};
    if (type_is_scalar(type) || type->kind == TYPE_REFERENCE || type->kind == TYPE_FLOAT)
        return type->size > 8;
    if (depth > DEEPEST || is_vector(type))
        return true;
    if (type->kind == TYPE_ARRAY)
        return may_be_wide(types, type->target, depth + 1);
    if (type->kind != TYPE_STRUCT || dwarf_hasattr((Dwarf_Die *)&type->die, DW_AT_declaration) ||
        dwarf_hasattr((Dwarf_Die *)&type->die, DW_AT_alignment))
        return true;
    type_each_member(types, type, is_wide_member, &request);
    return request.is_wide;
}

/* Is what is stored for a parameter the address of the object? */
static bool is_stored_by_address(Dwarf_Die *parameter)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t count;
    return dwarf_attr_integrate(parameter, DW_AT_location, &attribute) != NULL &&
           dwarf_getlocation(&attribute, &ops, &count) == 0 && count == 2 && ops[0].atom == DW_OP_fbreg &&
           ops[1].atom == DW_OP_deref;
}

/* parameter NULL: it is what a function returns. */
static struct passing passing_of(const struct types *types, const struct type *type, Dwarf_Die *parameter)
{
    struct passing passing = {{CLASS_NONE, CLASS_NONE}, false};
    struct classify_request request = {types, &passing, 0, 0};
    Dwarf_Attribute attribute;
    Dwarf_Word convention;
    if (parameter != NULL && is_stored_by_address(parameter)) { /* gcc says it by this alone */
        passing.classes[0] = CLASS_INTEGER;
        passing.by_address = true;
        return passing;
    }
    if (type->kind == TYPE_STRUCT &&
        dwarf_attr((Dwarf_Die *)&type->die, DW_AT_calling_convention, &attribute) != NULL &&
        dwarf_formudata(&attribute, &convention) == 0 && convention == DW_CC_pass_by_reference) {
        passing.classes[0] = CLASS_INTEGER;
        passing.by_address = true;
        return passing;
    }
    classify(&request, type);
    if (passing.classes[1] == CLASS_MEMORY || passing.classes[1] == CLASS_UNKNOWN)
        passing.classes[0] = passing.classes[1];
    return passing;
}

/* What has been given out while the parameters are counted off. What a parameter that is not understood may have taken is not
 * known any more for those behind it. */
struct assignment {
    unsigned integers, floats;
    uint64_t stack; /* bytes */
    bool integers_unknown, floats_unknown, stack_unknown;
};

static const char *lose_all(struct assignment *assignment)
{
    assignment->integers_unknown = assignment->floats_unknown = assignment->stack_unknown = true;
    return not_stored;
}

/* Where a parameter is according to DWARF, from the canonical frame address on. */
struct slot {
    bool is_known, is_by_address;
    int64_t offset;
};

/* Compilers that do not optimize have as the frame's base either that address (gcc), or the frame pointer (clang), which is not
 * set yet where the function begins: it will be two words below. */
static struct slot find_slot(const struct scene *scene, Dwarf_Die *parameter, bool is_i386)
{
    struct slot slot = {0};
    Dwarf_Attribute attribute;
    Dwarf_Op *ops;
    size_t count;
    int64_t below;
    if (dwarf_attr_integrate(&scene->scopes[0], DW_AT_frame_base, &attribute) == NULL ||
        dwarf_getlocation_addr(&attribute, scene->pc, &ops, &count, 1) != 1 || count != 1)
        return slot;
    bool is_list = dwarf_whatform(&attribute) == DW_FORM_data4 || dwarf_whatform(&attribute) == DW_FORM_sec_offset;
    if (ops[0].atom == DW_OP_call_frame_cfa || is_list) /* gcc's DWARF 2 has no word for it, and computes it */
        below = 0;
    else if (ops[0].atom == (is_i386 ? DW_OP_reg5 : DW_OP_reg6))
        below = 2 * (int64_t)scene->machine->word;
    else
        return slot;
    if (dwarf_attr_integrate(parameter, DW_AT_location, &attribute) == NULL ||
        dwarf_getlocation(&attribute, &ops, &count) != 0 || count == 0 || ops[0].atom != DW_OP_fbreg ||
        !(count == 1 || (count == 2 && ops[1].atom == DW_OP_deref)))
        return slot;
    slot.is_known = true;
    slot.is_by_address = count == 2;
    slot.offset = (int64_t)ops[0].number - below;
    return slot;
}

/* Only the caller can have stored what is above the return address. */
static bool is_callers(struct slot slot)
{
    return slot.is_known && slot.offset >= 0;
}

static struct location_of *add_piece(const struct scene *scene, struct location_of *location, struct piece piece)
{
    if (location->pieces == NULL)
        location->pieces = arena_alloc(scene->types.arena, 2, sizeof piece);
    location->pieces[location->count++] = piece;
    return location;
}

static void put_on_stack(const struct scene *scene, const struct bytecode *cfa, uint64_t offset,
                         struct location_of *location)
{
    struct piece piece = {.kind = PIECE_MEMORY, .code = {.arena = scene->types.arena}};
    bytecode_append(&piece.code, cfa);
    bytecode_constant(&piece.code, offset);
    bytecode_op(&piece.code, OP_ADD);
    bytecode_narrow(&piece.code, scene->machine->word, false);
    add_piece(scene, location, piece);
}

enum { INTEGERS = 6, FLOATS = 8, XMM0 = 17 };

static const char *put_in_register(const struct scene *scene, unsigned dwarf, uint64_t size, bool by_address,
                                   struct location_of *location)
{
    struct piece piece = {.kind = PIECE_REGISTER, .size = size};
    piece.reg = machine_register_by_dwarf(scene->machine, dwarf);
    if (piece.reg < 0)
        return not_stored;
    if (by_address) {
        piece = (struct piece){.kind = PIECE_MEMORY, .code = {.arena = scene->types.arena}, .reg = piece.reg};
        bytecode_op16(&piece.code, OP_REG, (unsigned)piece.reg);
    }
    add_piece(scene, location, piece);
    return NULL;
}

static const char *take_callers(const struct scene *scene, const struct type *type, struct slot slot,
                                const struct bytecode *cfa, struct assignment *assignment, struct location_of *location)
{
    uint64_t word = scene->machine->word, size = slot.is_by_address ? word : type->size;
    put_on_stack(scene, cfa, (uint64_t)slot.offset, location);
    if (slot.is_by_address)
        bytecode_load(&location->pieces[0].code, word);
    assignment->stack = (uint64_t)slot.offset + (size + word - 1) / word * word;
    assignment->stack_unknown = false;
    return NULL;
}

static const char *assign_amd64(const struct scene *scene, const struct type *type, Dwarf_Die *parameter,
                                const struct bytecode *cfa, struct assignment *assignment, struct location_of *location)
{
    struct slot slot = find_slot(scene, parameter, false);
    if (is_callers(slot))
        return take_callers(scene, type, slot, cfa, assignment, location);
    static const unsigned integers[INTEGERS] = {5, 4, 1, 2, 8, 9}; /* rdi rsi rdx rcx r8 r9, as DWARF counts */
    struct passing passing = passing_of(&scene->types, type, parameter);
    unsigned of_integers = 0, of_floats = 0;
    for (int i = 0; i < 2; i++) {
        of_integers += passing.classes[i] == CLASS_INTEGER;
        of_floats += passing.classes[i] == CLASS_FLOAT;
    }
    if (passing.classes[0] == CLASS_UNKNOWN) {
        bool takes_integers = !is_vector(type) && type->kind != TYPE_FLOAT;
        assignment->integers_unknown |= takes_integers;
        assignment->floats_unknown = assignment->stack_unknown = true;
        return not_stored;
    }
    /* A structure in memory would be in the caller's slot. */
    if (passing.classes[0] == CLASS_MEMORY && type->kind == TYPE_STRUCT && slot.is_known)
        return lose_all(assignment);
    if (passing.classes[0] == CLASS_MEMORY && type->kind == TYPE_STRUCT && may_be_wide(&scene->types, type, 0))
        return lose_all(assignment);
    if ((of_integers > 0 && assignment->integers_unknown) || (of_floats > 0 && assignment->floats_unknown)) {
        assignment->integers_unknown |= of_integers > 0;
        assignment->floats_unknown |= of_floats > 0;
        assignment->stack_unknown = true;
        return not_stored;
    }
    if (passing.classes[0] == CLASS_MEMORY || assignment->integers + of_integers > INTEGERS ||
        assignment->floats + of_floats > FLOATS) {
        uint64_t alignment = type->kind == TYPE_FLOAT && type->size == 16 ? 16 : 8;
        if (assignment->stack_unknown)
            return not_stored;
        /* How compilers align 16 bytes on the stack differs, but for long double. */
        if (type->kind != TYPE_FLOAT && may_be_wide(&scene->types, type, 0)) {
            assignment->stack_unknown = true;
            return not_stored;
        }
        assignment->stack = (assignment->stack + alignment - 1) / alignment * alignment;
        put_on_stack(scene, cfa, assignment->stack, location);
        assignment->stack += (type->size + 7) / 8 * 8;
        return NULL;
    }
    const char *wrong = NULL;
    bool is_whole = passing.classes[1] == CLASS_NONE;
    for (int i = 0; i < 2 && wrong == NULL && passing.classes[i] != CLASS_NONE; i++)
        wrong = put_in_register(
            scene, passing.classes[i] == CLASS_INTEGER ? integers[assignment->integers++] : XMM0 + assignment->floats++,
            is_whole ? 0 : 8, passing.by_address, location);
    return wrong;
}

static const char *assign_i386(const struct scene *scene, const struct type *type, Dwarf_Die *parameter,
                               const struct bytecode *cfa, struct assignment *assignment, struct location_of *location)
{
    struct slot slot = find_slot(scene, parameter, true);
    if (is_callers(slot))
        return take_callers(scene, type, slot, cfa, assignment, location);
    if (assignment->stack_unknown)
        return not_stored;
    if (is_vector(type))
        return lose_all(assignment);
    bool by_address = type->kind == TYPE_STRUCT && passing_of(&scene->types, type, parameter).by_address;
    put_on_stack(scene, cfa, assignment->stack, location);
    if (by_address)
        bytecode_load(&location->pieces[0].code, 4);
    assignment->stack += by_address ? 4 : (type->size + 3) / 4 * 4;
    return NULL;
}

/* A function that returns a large structure is called with an address for it, first of all. */
static bool has_hidden_argument(const struct scene *scene, bool is_i386, bool *is_unknown)
{
    const struct type *type = type_of_die(&scene->types, scene->symbols, &scene->scopes[0]);
    if (type->kind != TYPE_STRUCT)
        return false;
    struct passing passing = passing_of(&scene->types, type, NULL);
    *is_unknown = !is_i386 && passing.classes[0] == CLASS_UNKNOWN;
    return is_i386 || passing.by_address || passing.classes[0] == CLASS_MEMORY;
}

/* Is it certain that the function is called by another convention? Then DWARF's slots show it: of amd64's, one that has room in
 * the caller's frame for what comes in registers (ms_abi); of i386's, one that has words in registers (regparm, fastcall). gcc
 * copies what is narrower or wider from the caller's frame there. */
static bool is_foreign(const struct scene *scene, bool is_i386, struct assignment assignment)
{
    Dwarf_Die child;
    Dwarf_Attribute attribute;
    Dwarf_Word convention;
    if (dwarf_attr_integrate(&scene->scopes[0], DW_AT_calling_convention, &attribute) != NULL &&
        dwarf_formudata(&attribute, &convention) == 0 && convention > DW_CC_nocall)
        return true;
    const struct bytecode none = {.arena = scene->types.arena};
    for (int result = dwarf_child(&scene->scopes[0], &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) != DW_TAG_formal_parameter)
            continue;
        const struct type *type = type_complete(&scene->types, type_of_die(&scene->types, scene->symbols, &child));
        struct slot slot = find_slot(scene, &child, is_i386);
        if (is_i386 && slot.is_known && slot.offset < 0 && type->size == 4)
            return true;
        bool is_integer = type_is_scalar(type) || type->kind == TYPE_REFERENCE;
        if (!is_i386 && is_callers(slot) && type->size <= 8 &&
            ((is_integer && !assignment.integers_unknown && assignment.integers < INTEGERS) ||
             (type->kind == TYPE_FLOAT && !assignment.floats_unknown && assignment.floats < FLOATS)))
            return true;
        struct location_of location = {0};
        if (!is_i386)
            assign_amd64(scene, type, &child, &none, &assignment, &location);
    }
    return false;
}

const char *convention_locate(const struct scene *scene, const struct variable *variable, const struct bytecode *cfa,
                              struct location_of *location)
{
    bool is_i386 = strcmp(scene->machine->architecture, "i386") == 0;
    struct assignment assignment = {0};
    Dwarf_Die child;
    if (!is_i386 && strcmp(scene->machine->architecture, "amd64") != 0)
        return not_stored;
    if (has_hidden_argument(scene, is_i386, &assignment.integers_unknown)) {
        assignment.integers = 1;
        assignment.stack = is_i386 ? 4 : 0;
    }
    if (is_foreign(scene, is_i386, assignment)) {
        /* Its room in the caller's frame is filled by the function itself, on amd64. */
        if (!is_i386)
            return not_stored;
        lose_all(&assignment);
    }
    for (int result = dwarf_child(&scene->scopes[0], &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) != DW_TAG_formal_parameter)
            continue;
        const struct type *type = type_complete(&scene->types, type_of_die(&scene->types, scene->symbols, &child));
        *location = (struct location_of){0};
        const char *wrong = (is_i386 ? assign_i386 : assign_amd64)(scene, type, &child, cfa, &assignment, location);
        if (child.addr == variable->die.addr)
            return wrong != NULL ? wrong : location->count > 0 ? NULL : not_stored;
    }
    return not_stored;
}
