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

/* What has been given out while the parameters are counted off. */
struct assignment {
    unsigned integers, floats;
    uint64_t stack; /* bytes */
};

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

static const char *assign_amd64(const struct scene *scene, const struct type *type, Dwarf_Die *parameter,
                                const struct bytecode *cfa, struct assignment *assignment, struct location_of *location)
{
    static const unsigned integers[INTEGERS] = {5, 4, 1, 2, 8, 9}; /* rdi rsi rdx rcx r8 r9, as DWARF counts */
    struct passing passing = passing_of(&scene->types, type, parameter);
    unsigned of_integers = 0, of_floats = 0;
    for (int i = 0; i < 2; i++) {
        of_integers += passing.classes[i] == CLASS_INTEGER;
        of_floats += passing.classes[i] == CLASS_FLOAT;
    }
    if (passing.classes[0] == CLASS_UNKNOWN)
        return not_stored;
    if (passing.classes[0] == CLASS_MEMORY || assignment->integers + of_integers > INTEGERS ||
        assignment->floats + of_floats > FLOATS) {
        uint64_t alignment = type->kind == TYPE_FLOAT && type->size == 16 ? 16 : 8;
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
    bool by_address = type->kind == TYPE_STRUCT && passing_of(&scene->types, type, parameter).by_address;
    put_on_stack(scene, cfa, assignment->stack, location);
    if (by_address)
        bytecode_load(&location->pieces[0].code, 4);
    assignment->stack += by_address ? 4 : (type->size + 3) / 4 * 4;
    return NULL;
}

/* A function that returns a large structure is called with an address for it, first of all. */
static bool has_hidden_argument(const struct scene *scene, bool is_i386)
{
    const struct type *type = type_of_die(&scene->types, scene->symbols, &scene->scopes[0]);
    if (type->kind != TYPE_STRUCT)
        return false;
    struct passing passing = passing_of(&scene->types, type, NULL);
    return is_i386 || passing.by_address || passing.classes[0] == CLASS_MEMORY;
}

const char *convention_locate(const struct scene *scene, const struct variable *variable, const struct bytecode *cfa,
                              struct location_of *location)
{
    bool is_i386 = strcmp(scene->machine->architecture, "i386") == 0;
    struct assignment assignment = {0};
    Dwarf_Die child;
    if (!is_i386 && strcmp(scene->machine->architecture, "amd64") != 0)
        return not_stored;
    if (has_hidden_argument(scene, is_i386)) {
        assignment.integers = 1;
        assignment.stack = is_i386 ? 4 : 0;
    }
    for (int result = dwarf_child(&scene->scopes[0], &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) != DW_TAG_formal_parameter)
            continue;
        const struct type *type = type_complete(&scene->types, type_of_die(&scene->types, scene->symbols, &child));
        *location = (struct location_of){0};
        const char *wrong = (is_i386 ? assign_i386 : assign_amd64)(scene, type, &child, cfa, &assignment, location);
        if (wrong != NULL)
            return wrong;
        if (child.addr == variable->die.addr)
            return location->count > 0 ? NULL : not_stored;
    }
    return not_stored;
}
