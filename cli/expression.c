/* In two steps, as a compiler does it: first each operator's operands get types, by C's rules, and a tree is made in which
 * every load and conversion stands; then that tree is written down. A value on the evaluation's stack is always as wide
 * as a word of 64 bits, extended by the sign if its type has one: so most conversions cost nothing.
 *
 * A place is what has an address, or would have one if it were not in registers: what & and . apply to, and what a value
 * is loaded from. */
#include "expression.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rein/rein.h>

#include "cli.h"
#include "near.h"

enum term_kind {
    TERM_PLACE,
    TERM_CONSTANT, /* .value */
    TERM_CODE,     /* .code makes it */
    TERM_UNARY,    /* .op: '-' '!' '~' */
    TERM_BINARY,
    TERM_CONDITIONAL,
    TERM_CONVERT, /* .a, to .type */
    TERM_LOAD,    /* from the address .a */
    TERM_BITS,    /* .bit_size bits of .a, from .bit_offset on */
    TERM_STRING,  /* a literal: it can only be compared */
    TERM_COMPARE, /* the characters at .a with a literal */
};

struct term {
    enum term_kind kind;
    const struct type *type;
    size_t at;
    int op;
    const struct term *a, *b, *c;
    uint64_t value;
    const struct bytecode *code;
    /* A place: in memory, at .a, or in pieces; a field of bits in it, if .bit_size is not 0. */
    const struct location_of *location;
    uint64_t offset; /* in the pieces */
    unsigned bit_offset, bit_size;
    const char *name; /* of the variable that it is, or is in */
    /* A literal; .limit: so many characters are compared at most. */
    const char *bytes;
    size_t size;
    uint64_t limit;
    bool is_array; /* and so no null pointer */
};

struct checker {
    const struct scene *scene;
    const struct types *types;
    struct arena *arena;
    struct expression_error *error;
};

static void *fail(const struct checker *checker, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void *fail(const struct checker *checker, size_t at, const char *format, ...)
{
    va_list arguments;
    if (checker->error->text != NULL)
        return NULL;
    va_start(arguments, format);
    if (vasprintf(&checker->error->text, format, arguments) < 0)
        checker->error->text = cli_copy("out of memory");
    va_end(arguments);
    checker->error->at = at;
    return NULL;
}

static struct term *make(const struct checker *checker, enum term_kind kind, size_t at, const struct type *type)
{
    struct term *term = arena_alloc(checker->arena, 1, sizeof *term);
    term->kind = kind;
    term->at = at;
    term->type = type;
    return term;
}

static const struct term *constant(const struct checker *checker, size_t at, const struct type *type, uint64_t value)
{
    struct term *term = make(checker, TERM_CONSTANT, at, type);
    term->value = value;
    return term;
}

static const struct type *basic(const struct checker *checker, const char *name)
{
    return type_basic(checker->types, name);
}

/* ---- Conversions ---- */

static uint64_t narrow(uint64_t value, uint64_t size, bool is_signed)
{
    if (size >= 8)
        return value;
    unsigned shift = (unsigned)(64 - 8 * size);
    return is_signed ? (uint64_t)((int64_t)(value << shift) >> shift) : value << shift >> shift;
}

static bool needs_narrowing(const struct type *from, const struct type *to)
{
    return to->size < 8 && (from->size > to->size || (from->is_signed && !to->is_signed) ||
                            (from->size == to->size && from->is_signed != to->is_signed));
}

static const struct term *convert(const struct checker *checker, const struct term *term, const struct type *type)
{
    if (term->kind == TERM_CONSTANT)
        return constant(checker, term->at, type,
                        type->kind == TYPE_BOOL ? term->value != 0 : narrow(term->value, type->size, type->is_signed));
    struct term *converted = make(checker, TERM_CONVERT, term->at, type);
    converted->a = term;
    return converted;
}

/* C's promotion: what is smaller than int becomes int. */
static const struct term *promote(const struct checker *checker, const struct term *term)
{
    const struct type *type = term->type;
    bool is_small = type->size < 4 || (term->kind == TERM_BITS && term->bit_size < 32);
    if (!type_is_integer(type))
        return term;
    if (is_small)
        return convert(checker, term, basic(checker, "int"));
    return type->kind == TYPE_INTEGER
               ? term
               : convert(checker, term, type_integer(checker->types, type->size, type->is_signed));
}

/* C's usual arithmetic conversions, of integers. */
static const struct type *common_type(const struct checker *checker, const struct type *a, const struct type *b)
{
    uint64_t size = a->size > b->size ? a->size : b->size;
    bool is_signed = !((!a->is_signed && a->size == size) || (!b->is_signed && b->size == size));
    return type_integer(checker->types, size, is_signed);
}

/* ---- From places to values ---- */

static const struct term *load(const struct checker *checker, const struct term *place);

static const struct term *add_offset(const struct checker *checker, const struct term *address, uint64_t offset)
{
    if (offset == 0)
        return address;
    struct term *sum = make(checker, TERM_BINARY, address->at, address->type);
    sum->op = '+';
    sum->a = address;
    sum->b = constant(checker, address->at, address->type, offset);
    return sum;
}

static const struct type *any_pointer(const struct checker *checker)
{
    return type_pointer(checker->types, basic(checker, "void"));
}

static struct term *place_at(const struct checker *checker, const struct term *address, const struct type *type,
                             const char *name)
{
    struct term *place = make(checker, TERM_PLACE, address->at, type);
    place->a = address;
    place->name = name;
    return place;
}

static const struct term *code_term(const struct checker *checker, size_t at, const struct type *type,
                                    const struct bytecode *code)
{
    struct term *term = make(checker, TERM_CODE, at, type);
    term->code = code;
    return term;
}

/* The piece that has all of so many bytes from offset on. */
static const struct piece *find_piece(const struct location_of *location, uint64_t offset, uint64_t size,
                                      uint64_t *start)
{
    *start = 0;
    for (size_t i = 0; i < location->count; i++) {
        const struct piece *piece = &location->pieces[i];
        if (piece->size == 0 || (offset >= *start && offset + size <= *start + piece->size))
            return piece;
        *start += piece->size;
    }
    return NULL;
}

static const struct term *in_bytes(const struct checker *checker, const struct term *place, const struct piece *piece,
                                   uint64_t from, uint64_t size)
{
    uint64_t value = 0;
    memcpy(&value, piece->bytes + from, (size_t)size);
    return constant(checker, place->at, place->type, narrow(value, size, place->type->is_signed));
}

/* A value that is in pieces: of registers, mostly. */
static const struct term *load_pieces(const struct checker *checker, const struct term *place, uint64_t size)
{
    uint64_t start;
    const struct piece *piece = find_piece(place->location, place->offset, size, &start);
    const struct machine *machine = checker->scene->machine;
    if (piece == NULL)
        return fail(checker, place->at, "%s is in several places here, and cannot be had as one value", place->name);
    uint64_t from = place->offset - start, whole = 8;
    const struct type *word = type_integer(checker->types, 8, false);
    struct bytecode *code = arena_alloc(checker->arena, 1, sizeof *code);
    code->arena = checker->arena;
    switch (piece->kind) {
    case PIECE_LOST:
        return fail(checker, place->at, "%s: it was optimized out here", place->name);
    case PIECE_MEMORY: {
        const struct term *address = code_term(checker, place->at, any_pointer(checker), &piece->code);
        return load(checker, place_at(checker, add_offset(checker, address, from), place->type, place->name));
    }
    case PIECE_BYTES:
        return from + size > piece->size ? fail(checker, place->at, "%s: it was optimized out here", place->name)
                                         : in_bytes(checker, place, piece, from, size);
    case PIECE_REGISTER:
        whole = machine->registers[piece->reg].bytes;
        if (whole > 8)
            return fail(checker, place->at, "%s is in %s, which is wider than 64 bits", place->name,
                        machine->registers[piece->reg].name);
        bytecode_op16(code, OP_REG, (unsigned)piece->reg);
        break;
    case PIECE_VALUE:
        bytecode_append(code, &piece->code);
        break;
    }
    if (from + size > whole)
        return fail(checker, place->at, "%s is in several places here, and cannot be had as one value", place->name);
    if (from > 0) {
        bytecode_constant(code, 8 * from);
        bytecode_op(code, OP_RSH_UNSIGNED);
    }
    return convert(checker, code_term(checker, place->at, word, code), place->type);
}

static struct term *binary(const struct checker *checker, size_t at, int op, const struct type *type,
                           const struct term *a, const struct term *b)
{
    struct term *term = make(checker, TERM_BINARY, at, type);
    term->op = op;
    term->a = a;
    term->b = b;
    return term;
}

/* The bits of a field, by just the bytes that they are in: there may be no memory behind them. */
static const struct term *load_bits(const struct checker *checker, const struct term *place)
{
    const struct type *wide = type_integer(checker->types, 8, false);
    const struct term *word = NULL;
    unsigned bytes = (place->bit_offset + place->bit_size + 7) / 8;
    if (bytes > 8)
        return fail(checker, place->at, "%s is a field of bits that is spread over more than 8 bytes", place->name);
    for (unsigned done = 0, size = 8; done < bytes; done += size) {
        while (size > bytes - done)
            size /= 2;
        struct term part = *place;
        part.bit_size = 0;
        part.type = type_integer(checker->types, size, false);
        part.offset = place->offset + done;
        if (place->location == NULL)
            part.a = add_offset(checker, place->a, done);
        const struct term *loaded = load(checker, &part);
        if (loaded == NULL)
            return NULL;
        loaded = convert(checker, loaded, wide);
        if (done > 0)
            loaded =
                binary(checker, place->at, OPERATOR_LEFT, wide, loaded, constant(checker, place->at, wide, 8 * done));
        word = word == NULL ? loaded : binary(checker, place->at, '|', wide, word, loaded);
    }
    struct term *bits = make(checker, TERM_BITS, place->at, place->type);
    bits->a = word;
    bits->bit_offset = place->bit_offset;
    bits->bit_size = place->bit_size;
    return bits;
}

static const struct term *load(const struct checker *checker, const struct term *place)
{
    if (place->bit_size > 0)
        return load_bits(checker, place);
    uint64_t size = place->type->size;
    if (size != 1 && size != 2 && size != 4 && size != 8)
        return fail(checker, place->at, "%s has %" PRIu64 " bytes: expressions are about integers of up to 8",
                    type_text(checker->types, place->type), size);
    if (place->location != NULL)
        return load_pieces(checker, place, size);
    struct term *loaded = make(checker, TERM_LOAD, place->at, place->type);
    loaded->a = place->a;
    return loaded;
}

/* The address of a place. */
static const struct term *address_of(const struct checker *checker, const struct term *place, const struct type *type)
{
    if (place->bit_size > 0)
        return fail(checker, place->at, "%s is a field of bits, and has no address", place->name);
    const struct term *address = place->a;
    if (place->location != NULL) {
        uint64_t start;
        const struct piece *piece = find_piece(place->location, place->offset, place->type->size, &start);
        if (piece == NULL || piece->kind != PIECE_MEMORY)
            return fail(checker, place->at, "%s is not in memory here, and has no address", place->name);
        address = add_offset(checker, code_term(checker, place->at, any_pointer(checker), &piece->code),
                             place->offset - start);
    }
    return convert(checker, address, type);
}

/* An integer or a pointer: loaded from its place; arrays and functions are their addresses, as in C. */
static const struct term *value_of(const struct checker *checker, const struct term *term)
{
    const char *name = term->name == NULL ? "this" : term->name;
    switch (term->type->kind) {
    case TYPE_BOOL:
    case TYPE_INTEGER:
    case TYPE_ENUM:
    case TYPE_POINTER:
        return term->kind == TERM_PLACE ? load(checker, term) : term;
    case TYPE_ARRAY:
        if (term->kind == TERM_STRING)
            return fail(checker, term->at,
                        "a string can only be compared, by == or != with characters or a char pointer");
        return address_of(checker, term, type_pointer(checker->types, type_target(checker->types, term->type)));
    case TYPE_FUNCTION:
        return address_of(checker, term, type_pointer(checker->types, term->type));
    case TYPE_FLOAT:
        return fail(checker, term->at, "%s is floating-point: expressions are about integers, it can only be printed",
                    name);
    case TYPE_STRUCT:
        return fail(checker, term->at, "%s is a %s as a whole: name a member", name,
                    type_text(checker->types, term->type));
    case TYPE_UNTYPED:
        return fail(checker, term->at,
                    "the type of %s is not known, only its address: say what it is, as in (int)%s, or &%s", name, name,
                    name);
    case TYPE_VOID:
        return fail(checker, term->at, "there is no value of type void: cast the pointer, as in *(u32 *)p");
    default:
        return fail(checker, term->at, "%s is no integer of up to 64 bits", name);
    }
}

/* ---- Names ---- */

static const struct term *from_reference(const struct checker *checker, const struct term *place)
{
    if (place == NULL || place->type->kind != TYPE_REFERENCE)
        return place;
    struct term pointer = *place;
    const struct type *target = type_complete(checker->types, type_target(checker->types, place->type));
    pointer.type = type_pointer(checker->types, target);
    const struct term *address = load(checker, &pointer);
    return address == NULL ? NULL : place_at(checker, address, target, place->name);
}

static const struct term *from_variable(const struct checker *checker, size_t at, const struct variable *variable)
{
    struct term *place = make(checker, TERM_PLACE, at, type_complete(checker->types, variable->type));
    place->name = variable->name;
    if (variable->kind == VARIABLE_CONSTANT)
        return constant(checker, at, variable->type, variable->value);
    if (variable->kind == VARIABLE_FUNCTION) {
        place->a = constant(checker, at, any_pointer(checker), variable->value);
        return place;
    }
    struct location_of *location = arena_alloc(checker->arena, 1, sizeof *location);
    const char *wrong = variable_locate(checker->scene, variable, location);
    if (wrong != NULL)
        return fail(checker, at, "%s: %s", variable->name, wrong);
    if (location->count == 1 && location->pieces[0].kind == PIECE_MEMORY)
        place->a = code_term(checker, at, any_pointer(checker), &location->pieces[0].code);
    else
        place->location = location;
    return from_reference(checker, place);
}

static const struct term *from_register(const struct checker *checker, size_t at, int index)
{
    const struct machine_register *machine = &checker->scene->machine->registers[index];
    struct bytecode *code = arena_alloc(checker->arena, 1, sizeof *code);
    code->arena = checker->arena;
    bytecode_op16(code, OP_REG, (unsigned)index);
    if (machine->bytes <= 8)
        return code_term(checker, at, type_integer(checker->types, machine->bytes, false), code);
    struct type *wide = arena_alloc(checker->arena, 1, sizeof *wide);
    struct location_of *location = arena_alloc(checker->arena, 1, sizeof *location);
    *wide = (struct type){.kind = TYPE_OTHER, .size = machine->bytes, .name = machine->name};
    location->count = 1;
    location->pieces = arena_alloc(checker->arena, 1, sizeof *location->pieces);
    location->pieces[0] = (struct piece){.kind = PIECE_REGISTER, .reg = index};
    struct term *place = make(checker, TERM_PLACE, at, wide);
    place->name = machine->name;
    place->location = location;
    return place;
}

/* Unsigned, as whole registers are. */
static const struct term *from_part(const struct checker *checker, size_t at, const struct machine_part *part)
{
    struct bytecode *code = arena_alloc(checker->arena, 1, sizeof *code);
    code->arena = checker->arena;
    bytecode_op16(code, OP_REG, (unsigned)part->reg);
    if (part->shift > 0) {
        bytecode_constant(code, part->shift);
        bytecode_op(code, OP_RSH_UNSIGNED);
    }
    bytecode_narrow(code, part->bytes, false);
    return code_term(checker, at, type_integer(checker->types, part->bytes, false), code);
}

/* tid, pid, hits: what the engine knows. */
static const struct term *from_engine(const struct checker *checker, size_t at, const char *name)
{
    static const struct {
        const char *name;
        unsigned number;
        const char *type;
    } variables[] = {{"tid", 1, "int"}, {"pid", 2, "int"}, {"hits", 3, "u64"}};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        if (strcmp(variables[i].name, name) != 0)
            continue;
        struct bytecode *code = arena_alloc(checker->arena, 1, sizeof *code);
        code->arena = checker->arena;
        bytecode_op16(code, OP_GETV, variables[i].number);
        return code_term(checker, at, basic(checker, variables[i].type), code);
    }
    return NULL;
}

static const struct term *from_register_or_engine(const struct checker *checker, size_t at, const char *name)
{
    const struct machine *machine = checker->scene->machine;
    struct machine_part part;
    int index = machine_register(machine, name);
    if (index >= 0)
        return from_register(checker, at, index);
    return machine_find_part(machine, name, &part) ? from_part(checker, at, &part) : from_engine(checker, at, name);
}

static const struct term *member_of(const struct checker *checker, const struct term *whole, size_t at,
                                    const char *name);

/* In a member function: a member of the object. NULL without an error: there is none. */
static const struct term *from_this(const struct checker *checker, size_t at, const char *name)
{
    struct variable variable;
    struct member member;
    if (!variable_find_near(checker->scene, "this", &variable) || !variable.is_local)
        return NULL;
    const struct type *class = type_complete(checker->types, type_target(checker->types, variable.type));
    if (class->kind != TYPE_STRUCT || !type_find_member(checker->types, class, name, &member))
        return NULL;
    const struct term *pointer = from_variable(checker, at, &variable);
    pointer = pointer == NULL ? NULL : value_of(checker, pointer);
    return pointer == NULL ? NULL : member_of(checker, place_at(checker, pointer, class, "this"), at, name);
}

static const struct term *from_language(const struct checker *checker, size_t at, const char *name)
{
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0)
        return constant(checker, at, basic(checker, "bool"), name[0] == 't');
    if (strcmp(name, "NULL") == 0 || strcmp(name, "nullptr") == 0)
        return constant(checker, at, any_pointer(checker), 0);
    return NULL;
}

static void consider(const char *name, void *arg)
{
    near_consider(arg, name, strlen(name));
}

static const struct term *unknown(const struct checker *checker, size_t at, const char *name)
{
    struct near near;
    char *names = NULL;
    if (near_begin(&near, name)) {
        variable_each_name(checker->scene, consider, &near);
        names = near_end(&near);
    }
    fail(checker, at, "there is no variable, register or constant \"%s\"%s%s%s", name,
         names == NULL ? "" : "; there is ", names == NULL ? "" : names,
         checker->scene->has_dwarf ? ""
                                   : "; there is no debug information here, only registers and symbols have names");
    free(names);
    checker->error->is_unknown_name = true;
    return NULL;
}

static const struct term *check_name(const struct checker *checker, const struct syntax *syntax)
{
    struct variable variable;
    bool is_near = variable_find_near(checker->scene, syntax->name, &variable);
    const struct term *term = NULL;
    if (!is_near || !variable.is_local)
        term = from_this(checker, syntax->at, syntax->name);
    if (term == NULL && checker->error->text == NULL && is_near)
        return from_variable(checker, syntax->at, &variable);
    if (term == NULL && checker->error->text == NULL)
        term = from_register_or_engine(checker, syntax->at, syntax->name);
    if (term == NULL && checker->error->text == NULL)
        term = from_language(checker, syntax->at, syntax->name);
    if (term != NULL || checker->error->text != NULL)
        return term;
    if (variable_find_far(checker->scene, syntax->name, &variable))
        return from_variable(checker, syntax->at, &variable);
    if (variable.ambiguous != NULL)
        return fail(checker, syntax->at, "%s could be any of: %s", syntax->name, variable.ambiguous);
    if (variable.is_only_declared)
        return fail(checker, syntax->at, "%s: it is declared, but has no place in the program: it was optimized out",
                    syntax->name);
    return unknown(checker, syntax->at, syntax->name);
}

static const struct term *check_register(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *term = from_register_or_engine(checker, syntax->at, syntax->name);
    if (term != NULL)
        return term;
    return fail(checker, syntax->at, "%s has no register \"%s\"", checker->scene->machine->architecture, syntax->name);
}

/* ---- Operators ---- */

static const struct term *check(const struct checker *checker, const struct syntax *syntax);

static const struct term *check_value(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *term = check(checker, syntax);
    return term == NULL ? NULL : value_of(checker, term);
}

static const struct type *find_type(const struct checker *checker, const struct type_name *name)
{
    const struct scene *scene = checker->scene;
    struct module *program = modules_program(scene->modules);
    const char *ambiguous = NULL;
    const struct type *type = name->tag == NULL ? type_basic(checker->types, name->name) : NULL;
    if (type == NULL && scene->symbols != NULL)
        type = type_find(checker->types, scene->symbols, scene->own, name, &ambiguous);
    if (type == NULL && ambiguous == NULL && program != NULL && program != scene->module) {
        struct symbols *symbols = module_symbols(scene->modules, program);
        type = symbols == NULL ? NULL : type_find(checker->types, symbols, 0, name, &ambiguous);
    }
    if (type == NULL && ambiguous != NULL)
        return fail(checker, name->at, "%s could be any of: %s", name->name, ambiguous);
    if (type == NULL)
        return fail(
            checker, name->at, "there is no type \"%s%s%s\"%s", name->tag == NULL ? "" : name->tag,
            name->tag == NULL ? "" : " ", name->name,
            scene->has_dwarf ? "" : ": there is no debug information here; u8 to u64 and s8 to s64 are always there");
    for (const struct type_part *part = name->parts; part != NULL; part = part->next)
        type = part->kind == PART_POINTER    ? type_pointer(checker->types, type)
               : part->kind == PART_FUNCTION ? type_function(checker->types, type)
                                             : type_array(checker->types, type, part->count, part->is_count_known);
    return type;
}

static bool is_type_here(const char *name, void *arg)
{
    const struct checker *checker = arg;
    struct variable variable;
    struct type_name wanted = {.name = name};
    struct expression_error error = {0};
    struct checker quiet = *checker;
    quiet.error = &error;
    struct machine_part part;
    const struct machine *machine = checker->scene->machine;
    if (variable_find_near(checker->scene, name, &variable) || machine_register(machine, name) >= 0 ||
        machine_find_part(machine, name, &part))
        return false;
    bool is_type = find_type(&quiet, &wanted) != NULL;
    free(error.text);
    return is_type;
}

/* A number's type: the first that holds it, as C has it. */
static const struct term *check_number(const struct checker *checker, const struct syntax *syntax)
{
    static const char *const names[] = {"int",           "unsigned int", "long",
                                        "unsigned long", "long long",    "unsigned long long"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct type *type = basic(checker, names[i]);
        bool is_last = i == sizeof names / sizeof *names - 1;
        if (((syntax->is_unsigned && type->is_signed) || i < 2 * syntax->longs ||
             (syntax->is_decimal && !syntax->is_unsigned && !type->is_signed)) &&
            !is_last)
            continue;
        unsigned bits = (unsigned)type->size * 8 - type->is_signed;
        if (bits >= 64 || syntax->number >> bits == 0)
            return constant(checker, syntax->at, type,
                            syntax->is_character ? narrow(syntax->number, 1, !checker->types->char_is_unsigned)
                                                 : syntax->number);
    }
    return NULL;
}

static const struct term *check_string(const struct checker *checker, const struct syntax *syntax)
{
    struct type *type = arena_alloc(checker->arena, 1, sizeof *type);
    *type = (struct type){.kind = TYPE_ARRAY,
                          .size = syntax->size + 1,
                          .count = syntax->size + 1,
                          .is_count_known = true,
                          .target = basic(checker, "char")};
    struct term *term = make(checker, TERM_STRING, syntax->at, type);
    term->bytes = syntax->bytes;
    term->size = syntax->size;
    return term;
}

static const struct term *dereference(const struct checker *checker, size_t at, const struct term *pointer)
{
    if (pointer->type->kind != TYPE_POINTER)
        return fail(checker, at, "this is no pointer but %s: cast it, as in *(u32 *)p",
                    type_text(checker->types, pointer->type));
    const struct type *target = type_complete(checker->types, type_target(checker->types, pointer->type));
    struct term *place = place_at(checker, pointer, target, NULL);
    place->at = at;
    return from_reference(checker, place);
}

static const struct term *check_unary(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *a = check(checker, syntax->a);
    if (a == NULL)
        return NULL;
    if (syntax->op == '&') {
        if (a->kind != TERM_PLACE)
            return fail(checker, syntax->at, "this has no address");
        return address_of(
            checker, a, type_pointer(checker->types, a->type->kind == TYPE_UNTYPED ? basic(checker, "void") : a->type));
    }
    a = value_of(checker, a);
    if (a == NULL)
        return NULL;
    if (syntax->op == '*')
        return dereference(checker, syntax->at, a);
    if (syntax->op != '!' && a->type->kind == TYPE_POINTER)
        return fail(checker, syntax->at, "%c is not for a pointer", syntax->op);
    if (syntax->op != '!')
        a = promote(checker, a);
    if (syntax->op == '+')
        return a;
    if (a->kind == TERM_CONSTANT && syntax->op != '!')
        return constant(checker, syntax->at, a->type,
                        narrow(syntax->op == '-' ? -a->value : ~a->value, a->type->size, a->type->is_signed));
    struct term *term = make(checker, TERM_UNARY, syntax->at, syntax->op == '!' ? basic(checker, "int") : a->type);
    term->op = syntax->op;
    term->a = a;
    return term;
}

/* A pointer and an integer, in units of what it points to. */
static const struct term *add_to_pointer(const struct checker *checker, size_t at, int op, const struct term *pointer,
                                         const struct term *number)
{
    const struct type *target = type_complete(checker->types, type_target(checker->types, pointer->type));
    if (target->size == 0)
        return fail(checker, at, "the size of %s is not known", type_text(checker->types, target));
    const struct type *wide = type_integer(checker->types, 8, true);
    const struct term *scaled = convert(checker, promote(checker, number), wide);
    if (target->size != 1)
        scaled = scaled->kind == TERM_CONSTANT
                     ? constant(checker, at, wide, scaled->value * target->size)
                     : binary(checker, at, '*', wide, scaled, constant(checker, at, wide, target->size));
    return binary(checker, at, op, type_pointer(checker->types, target), pointer, scaled);
}

static const struct term *subtract_pointers(const struct checker *checker, size_t at, const struct term *a,
                                            const struct term *b)
{
    const struct type *target = type_complete(checker->types, type_target(checker->types, a->type));
    const struct type *type = type_integer(checker->types, checker->types->word, true);
    if (target->size == 0)
        return fail(checker, at, "the size of %s is not known", type_text(checker->types, target));
    const struct term *difference = binary(checker, at, '-', type, a, b);
    return binary(checker, at, '/', type, difference, constant(checker, at, type, target->size));
}

static bool is_comparison(int op)
{
    return op == OPERATOR_EQUAL || op == OPERATOR_UNEQUAL || op == '<' || op == '>' || op == OPERATOR_LESS_EQUAL ||
           op == OPERATOR_GREATER_EQUAL;
}

static const struct term *compare_string(const struct checker *checker, const struct syntax *syntax,
                                         const struct term *other, const struct term *string)
{
    if (syntax->op != OPERATOR_EQUAL && syntax->op != OPERATOR_UNEQUAL)
        return fail(checker, syntax->at, "a string can only be compared by == and !=");
    if (other->kind == TERM_STRING || (other->type->kind != TYPE_ARRAY && other->type->kind != TYPE_POINTER) ||
        !type_target(checker->types, other->type)->is_char)
        return fail(checker, other->at,
                    "a string is compared with characters or a char pointer: cast it, as in (char *)%s",
                    other->name == NULL ? "p" : other->name);
    struct term *term = make(checker, TERM_COMPARE, syntax->at, basic(checker, "int"));
    bool is_array = other->type->kind == TYPE_ARRAY;
    term->op = syntax->op;
    term->limit = is_array && other->type->is_count_known ? other->type->count : UINT64_MAX;
    term->bytes = string->bytes;
    term->size = string->size;
    term->is_array = is_array;
    term->a = value_of(checker, other);
    return term->a == NULL ? NULL : term;
}

static const struct term *check_binary(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *a = check(checker, syntax->a), *b = a == NULL ? NULL : check(checker, syntax->b);
    int op = syntax->op;
    size_t at = syntax->at;
    if (b == NULL)
        return NULL;
    if (b->kind == TERM_STRING)
        return compare_string(checker, syntax, a, b);
    if (a->kind == TERM_STRING)
        return compare_string(checker, syntax, b, a);
    if ((a = value_of(checker, a)) == NULL || (b = value_of(checker, b)) == NULL)
        return NULL;
    const struct type *result = basic(checker, "int");
    bool a_points = a->type->kind == TYPE_POINTER, b_points = b->type->kind == TYPE_POINTER;
    if (op == OPERATOR_AND || op == OPERATOR_OR)
        return binary(checker, at, op, result, a, b);
    if (is_comparison(op) && (a_points || b_points)) {
        const struct type *type = type_integer(checker->types, checker->types->word, false);
        return binary(checker, at, op, result, convert(checker, a, type), convert(checker, b, type));
    }
    if (op == '-' && a_points && b_points)
        return subtract_pointers(checker, at, a, b);
    if ((op == '+' || op == '-') && a_points && !b_points)
        return add_to_pointer(checker, at, op, a, b);
    if (op == '+' && b_points && !a_points)
        return add_to_pointer(checker, at, op, b, a);
    if (a_points || b_points)
        return fail(checker, at, "this operator is not for a pointer");
    a = promote(checker, a);
    b = promote(checker, b);
    if (op == OPERATOR_LEFT || op == OPERATOR_RIGHT)
        return binary(checker, at, op, a->type, a, b);
    const struct type *type = common_type(checker, a->type, b->type);
    return binary(checker, at, op, is_comparison(op) ? result : type, convert(checker, a, type),
                  convert(checker, b, type));
}

static const struct term *check_conditional(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *a = check_value(checker, syntax->a);
    const struct term *b = a == NULL ? NULL : check_value(checker, syntax->b);
    const struct term *c = b == NULL ? NULL : check_value(checker, syntax->c);
    if (c == NULL)
        return NULL;
    const struct type *type;
    if (b->type->kind == TYPE_POINTER || c->type->kind == TYPE_POINTER) {
        type = b->type->kind == TYPE_POINTER ? b->type : c->type;
    } else {
        b = promote(checker, b);
        c = promote(checker, c);
        type = common_type(checker, b->type, c->type);
    }
    struct term *term = make(checker, TERM_CONDITIONAL, syntax->at, type);
    term->a = a;
    term->b = convert(checker, b, type);
    term->c = convert(checker, c, type);
    return term;
}

/* ---- Members, elements, casts ---- */

static const struct term *static_member(const struct checker *checker, const struct type *class, size_t at,
                                        const char *name)
{
    struct variable variable;
    const char *inside = type_inside(checker->arena, (Dwarf_Die *)&class->die);
    if (class->name != NULL)
        inside = type_qualify(checker->arena, inside, class->name);
    const char *full = type_qualify(checker->arena, inside, name);
    if (!variable_find_far(checker->scene, full, &variable))
        return fail(checker, at, "%s is a static member, and its definition cannot be found", name);
    return from_variable(checker, at, &variable);
}

struct member_names {
    const struct checker *checker;
    struct near near;
};

static bool consider_member(const struct member *member, void *arg)
{
    struct member_names *names = arg;
    if (member->name != NULL)
        near_consider(&names->near, member->name, strlen(member->name));
    else if (member->type->kind == TYPE_STRUCT)
        type_each_member(names->checker->types, member->type, consider_member, names);
    return true;
}

static const struct term *unknown_member(const struct checker *checker, const struct type *class, size_t at,
                                         const char *name)
{
    struct member_names names = {.checker = checker};
    char *near = NULL;
    if (near_begin(&names.near, name)) {
        type_each_member(checker->types, class, consider_member, &names);
        near = near_end(&names.near);
    }
    fail(checker, at, "%s has no member \"%s\"%s%s", type_text(checker->types, class), name,
         near == NULL ? "" : "; there is ", near == NULL ? "" : near);
    free(near);
    return NULL;
}

static const struct term *member_of(const struct checker *checker, const struct term *whole, size_t at,
                                    const char *name)
{
    struct member member;
    const struct type *class = whole->type;
    if (class->kind == TYPE_POINTER)
        return fail(checker, at, "this is a pointer: its members are behind ->");
    if (class->kind != TYPE_STRUCT || whole->kind != TERM_PLACE)
        return fail(checker, at, "only a structure has members, and this is %s", type_text(checker->types, class));
    if (!type_find_member(checker->types, class, name, &member)) {
        if (class->size == 0)
            return fail(checker, at, "the members of %s are not known: it is only declared in the debug information",
                        type_text(checker->types, class));
        return unknown_member(checker, class, at, name);
    }
    if (member.is_static)
        return static_member(checker, class, at, name);
    if (member.is_virtual_base)
        return fail(checker, at, "%s is in a virtual base class, which has no fixed place", name);
    struct term *place = make(checker, TERM_PLACE, at, member.type);
    place->name = name;
    place->location = whole->location;
    place->offset = whole->offset + member.offset;
    place->a = whole->location == NULL ? add_offset(checker, whole->a, member.offset) : NULL;
    place->bit_offset = member.bit_offset;
    place->bit_size = member.bit_size;
    return from_reference(checker, place);
}

static const struct term *check_member(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *whole = check(checker, syntax->a);
    return whole == NULL ? NULL : member_of(checker, whole, syntax->name_at, syntax->name);
}

static const struct term *check_arrow(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *pointer = check(checker, syntax->a);
    if (pointer != NULL && pointer->type->kind == TYPE_STRUCT)
        return fail(checker, syntax->at, "this is no pointer: its members are behind a .");
    pointer = pointer == NULL ? NULL : value_of(checker, pointer);
    const struct term *whole = pointer == NULL ? NULL : dereference(checker, syntax->at, pointer);
    return whole == NULL ? NULL : member_of(checker, whole, syntax->name_at, syntax->name);
}

static const struct term *check_index(const struct checker *checker, const struct syntax *syntax)
{
    const struct term *array = check(checker, syntax->a);
    const struct term *a, *b = array == NULL ? NULL : check_value(checker, syntax->b);
    if (b == NULL)
        return NULL;
    if (array->kind == TERM_PLACE && array->location != NULL && array->type->kind == TYPE_ARRAY &&
        b->kind == TERM_CONSTANT) { /* in registers */
        struct term *place = make(checker, TERM_PLACE, syntax->at, type_target(checker->types, array->type));
        place->name = array->name;
        place->location = array->location;
        place->offset = array->offset + b->value * place->type->size;
        return place;
    }
    if ((a = value_of(checker, array)) == NULL)
        return NULL;
    if (b->type->kind == TYPE_POINTER) {
        const struct term *other = a;
        a = b;
        b = other;
    }
    if (a->type->kind != TYPE_POINTER || b->type->kind == TYPE_POINTER)
        return fail(checker, syntax->at, "[] is for an array or a pointer and an integer");
    const struct term *sum = add_to_pointer(checker, syntax->at, '+', a, b);
    return sum == NULL ? NULL : dereference(checker, syntax->at, sum);
}

static const struct term *check_cast(const struct checker *checker, const struct syntax *syntax)
{
    const struct type *type = find_type(checker, syntax->type);
    const struct term *a = type == NULL ? NULL : check(checker, syntax->a);
    if (a == NULL)
        return NULL;
    if (!type_is_scalar(type) || (type->size != 1 && type->size != 2 && type->size != 4 && type->size != 8))
        return fail(checker, syntax->type->at,
                    "a cast is to an integer of up to 64 bits or to a pointer, and not to %s",
                    type_text(checker->types, type));
    if (a->type->kind == TYPE_UNTYPED) {
        struct term typed = *a;
        typed.type = type;
        return load(checker, &typed);
    }
    a = value_of(checker, a);
    return a == NULL ? NULL : convert(checker, a, type);
}

static const struct term *check_sizeof(const struct checker *checker, const struct syntax *syntax)
{
    const struct type *type;
    if (syntax->kind == SYNTAX_SIZEOF_TYPE) {
        type = find_type(checker, syntax->type);
    } else {
        const struct term *a = check(checker, syntax->a);
        if (a != NULL && a->bit_size > 0)
            return fail(checker, syntax->at, "a field of bits has no size in bytes");
        type = a == NULL ? NULL : a->type;
    }
    if (type == NULL)
        return NULL;
    type = type_complete(checker->types, type);
    if (type->size == 0)
        return fail(checker, syntax->at, "the size of %s is not known", type_text(checker->types, type));
    return constant(checker, syntax->at, basic(checker, "size_t"), type->size);
}

static const struct term *check(const struct checker *checker, const struct syntax *syntax)
{
    switch (syntax->kind) {
    case SYNTAX_NUMBER:
        return check_number(checker, syntax);
    case SYNTAX_STRING:
        return check_string(checker, syntax);
    case SYNTAX_NAME:
        return check_name(checker, syntax);
    case SYNTAX_REGISTER:
        return check_register(checker, syntax);
    case SYNTAX_UNARY:
        return check_unary(checker, syntax);
    case SYNTAX_BINARY:
        return check_binary(checker, syntax);
    case SYNTAX_CONDITIONAL:
        return check_conditional(checker, syntax);
    case SYNTAX_INDEX:
        return check_index(checker, syntax);
    case SYNTAX_MEMBER:
        return check_member(checker, syntax);
    case SYNTAX_ARROW:
        return check_arrow(checker, syntax);
    case SYNTAX_CAST:
        return check_cast(checker, syntax);
    case SYNTAX_SIZEOF:
    case SYNTAX_SIZEOF_TYPE:
        return check_sizeof(checker, syntax);
    }
    return NULL;
}

/* ---- Writing it down ---- */

static void write_term(struct bytecode *code, const struct term *term);

/* a && b: b is not evaluated if a tells. */
static void write_logical(struct bytecode *code, const struct term *term)
{
    bool is_or = term->op == OPERATOR_OR;
    write_term(code, term->a);
    if (!is_or)
        bytecode_op(code, OP_LOG_NOT);
    size_t short_cut = bytecode_jump(code, OP_IF_GOTO);
    write_term(code, term->b);
    bytecode_op(code, OP_LOG_NOT);
    bytecode_op(code, OP_LOG_NOT);
    size_t end = bytecode_jump(code, OP_GOTO);
    bytecode_land(code, short_cut);
    bytecode_constant(code, is_or);
    bytecode_land(code, end);
}

static void write_operation(struct bytecode *code, const struct term *term)
{
    bool is_signed = term->a->type->is_signed;
    int less = is_signed ? OP_LESS_SIGNED : OP_LESS_UNSIGNED;
    switch (term->op) {
    case '+':
        bytecode_op(code, OP_ADD);
        break;
    case '-':
        bytecode_op(code, OP_SUB);
        break;
    case '*':
        bytecode_op(code, OP_MUL);
        break;
    case '/':
        bytecode_op(code, term->type->is_signed ? OP_DIV_SIGNED : OP_DIV_UNSIGNED);
        break;
    case '%':
        bytecode_op(code, term->type->is_signed ? OP_REM_SIGNED : OP_REM_UNSIGNED);
        break;
    case '&':
        bytecode_op(code, OP_BIT_AND);
        break;
    case '|':
        bytecode_op(code, OP_BIT_OR);
        break;
    case '^':
        bytecode_op(code, OP_BIT_XOR);
        break;
    case OPERATOR_LEFT:
        bytecode_op(code, OP_LSH);
        break;
    case OPERATOR_RIGHT:
        bytecode_op(code, is_signed ? OP_RSH_SIGNED : OP_RSH_UNSIGNED);
        break;
    case '<':
        bytecode_op(code, less);
        return;
    case '>':
        bytecode_op(code, OP_SWAP);
        bytecode_op(code, less);
        return;
    case OPERATOR_LESS_EQUAL:
        bytecode_op(code, OP_SWAP);
        bytecode_op(code, less);
        bytecode_op(code, OP_LOG_NOT);
        return;
    case OPERATOR_GREATER_EQUAL:
        bytecode_op(code, less);
        bytecode_op(code, OP_LOG_NOT);
        return;
    case OPERATOR_UNEQUAL:
        bytecode_op(code, OP_EQUAL);
        bytecode_op(code, OP_LOG_NOT);
        return;
    default:
        bytecode_op(code, OP_EQUAL);
        return;
    }
    bytecode_narrow(code, term->type->size, term->type->is_signed);
}

static void write_conditional(struct bytecode *code, const struct term *term)
{
    write_term(code, term->a);
    size_t yes = bytecode_jump(code, OP_IF_GOTO);
    write_term(code, term->c);
    size_t end = bytecode_jump(code, OP_GOTO);
    bytecode_land(code, yes);
    write_term(code, term->b);
    bytecode_land(code, end);
}

/* Character by character, for there may be no memory behind the string's end. */
static void write_comparison(struct bytecode *code, const struct term *term)
{
    size_t *unequal = arena_alloc(code->arena, term->size + 2, sizeof *unequal), count = 0;
    write_term(code, term->a);
    if (!term->is_array) { /* a null pointer points to no string */
        bytecode_op(code, OP_DUP);
        bytecode_op(code, OP_LOG_NOT);
        unequal[count++] = bytecode_jump(code, OP_IF_GOTO);
    }
    for (size_t i = 0; i <= term->size && i < term->limit; i++) {
        bytecode_op(code, OP_DUP);
        if (i > 0) {
            bytecode_constant(code, i);
            bytecode_op(code, OP_ADD);
        }
        bytecode_op(code, OP_REF8);
        if (term->bytes[i] != '\0') {
            bytecode_constant(code, (unsigned char)term->bytes[i]);
            bytecode_op(code, OP_EQUAL);
            bytecode_op(code, OP_LOG_NOT);
        }
        unequal[count++] = bytecode_jump(code, OP_IF_GOTO);
    }
    bool is_equal = term->op == OPERATOR_EQUAL;
    bytecode_op(code, OP_POP);
    bytecode_constant(code, term->size <= term->limit ? is_equal : !is_equal);
    size_t end = bytecode_jump(code, OP_GOTO);
    while (count > 0)
        bytecode_land(code, unequal[--count]);
    bytecode_op(code, OP_POP);
    bytecode_constant(code, !is_equal);
    bytecode_land(code, end);
}

static void write_unary(struct bytecode *code, const struct term *term)
{
    if (term->op == '-')
        bytecode_constant(code, 0);
    write_term(code, term->a);
    bytecode_op(code, term->op == '-' ? OP_SUB : term->op == '~' ? OP_BIT_NOT : OP_LOG_NOT);
    if (term->op != '!')
        bytecode_narrow(code, term->type->size, term->type->is_signed);
}

static void write_term(struct bytecode *code, const struct term *term)
{
    /* What is refused afterwards is not written on: a field of bits writes its address once for each of its parts, which doubles
     * what is nested in it each time. */
    if (code->size > UINT16_MAX)
        return;
    switch (term->kind) {
    case TERM_CONSTANT:
        if (term->type->is_signed && (int64_t)term->value < 0 && (int64_t)term->value >= INT32_MIN) {
            int64_t value = (int64_t)term->value;
            unsigned size = value >= INT8_MIN ? 1 : value >= INT16_MIN ? 2 : 4;
            bytecode_constant(code, narrow(term->value, size, false));
            bytecode_narrow(code, size, true);
        } else {
            bytecode_constant(code, term->value);
        }
        break;
    case TERM_CODE:
        bytecode_append(code, term->code);
        break;
    case TERM_UNARY:
        write_unary(code, term);
        break;
    case TERM_BINARY:
        if (term->op == OPERATOR_AND || term->op == OPERATOR_OR) {
            write_logical(code, term);
            break;
        }
        write_term(code, term->a);
        write_term(code, term->b);
        write_operation(code, term);
        break;
    case TERM_CONDITIONAL:
        write_conditional(code, term);
        break;
    case TERM_CONVERT:
        write_term(code, term->a);
        if (term->type->kind == TYPE_BOOL) {
            bytecode_op(code, OP_LOG_NOT);
            bytecode_op(code, OP_LOG_NOT);
        } else if (needs_narrowing(term->a->type, term->type)) {
            bytecode_narrow(code, term->type->size, term->type->is_signed);
        }
        break;
    case TERM_LOAD:
        write_term(code, term->a);
        bytecode_load(code, term->type->size);
        if (term->type->is_signed)
            bytecode_narrow(code, term->type->size, true);
        break;
    case TERM_BITS:
        write_term(code, term->a);
        if (term->bit_offset > 0) {
            bytecode_constant(code, term->bit_offset);
            bytecode_op(code, OP_RSH_UNSIGNED);
        }
        bytecode_op8(code, term->type->is_signed ? OP_EXT : OP_ZERO_EXT, term->bit_size);
        break;
    case TERM_COMPARE:
        write_comparison(code, term);
        break;
    case TERM_PLACE: /* these have become others */
    case TERM_STRING:
        break;
    }
}

/* False: it is too long for its jumps. */
static bool write_code(const struct checker *checker, const struct term *term, struct bytecode *code)
{
    *code = (struct bytecode){.arena = checker->arena};
    write_term(code, term);
    bytecode_op(code, OP_END);
    return code->size <= UINT16_MAX || fail(checker, term->at, "the expression is too long");
}

/* ---- Conditions ---- */

static struct checker begin(const struct scene *scene, struct expression_error *error)
{
    return (struct checker){.scene = scene, .types = &scene->types, .arena = scene->types.arena, .error = error};
}

bool expression_check(const char *text, bool is_list, struct expression_error *error)
{
    struct arena arena = {NULL};
    const char *at = text;
    bool valid = syntax_parse(text, &at, is_list, NULL, NULL, &arena, error) != NULL;
    while (valid && *at == ',') {
        at++;
        valid = syntax_parse(text, &at, is_list, NULL, NULL, &arena, error) != NULL;
    }
    arena_free(&arena);
    return valid;
}

bool expression_condition(const struct scene *scene, const char *text, struct bytecode *code,
                          struct expression_error *error)
{
    struct checker checker = begin(scene, error);
    const char *at = text;
    const struct syntax *syntax = syntax_parse(text, &at, false, is_type_here, &checker, scene->types.arena, error);
    const struct term *term = syntax == NULL ? NULL : check_value(&checker, syntax);
    return term != NULL && write_code(&checker, term, code);
}

char *expression_show(const char *text, const struct expression_error *error)
{
    char *line = cli_copy(text), *mark = cli_alloc(error->at + 2, 1), *end = mark;
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    for (size_t i = 0; i < error->at && i < strlen(text); i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80) /* the first byte of a character */
            *end++ = ' ';
    *end = '^';
    char *both = cli_format("    %s\n    %s", line, mark);
    free(line);
    free(mark);
    return both;
}

/* ---- What is to be printed ---- */

struct string_search {
    const struct checker *checker;
    struct reading *reading;
    uint64_t offset;
    unsigned depth;
};

static void find_strings(struct string_search *search, const struct type *type);

static bool find_member_strings(const struct member *member, void *arg)
{
    struct string_search inner = *(struct string_search *)arg;
    inner.offset += member->offset;
    if (!member->is_static && !member->is_virtual_base && member->bit_size == 0)
        find_strings(&inner, member->type);
    return true;
}

static void find_strings(struct string_search *search, const struct type *type)
{
    const struct types *types = search->checker->types;
    struct reading *reading = search->reading;
    if (search->offset >= reading->size || reading->string_count == READING_STRINGS || search->depth++ > 16)
        return;
    if (type->kind == TYPE_POINTER && search->offset + type->size <= reading->size && type_target(types, type)->is_char)
        reading->strings[reading->string_count++] = search->offset;
    if (type->kind == TYPE_STRUCT)
        type_each_member(types, type, find_member_strings, search);
    if (type->kind == TYPE_ARRAY && type->target->size > 0 && type->target->kind != TYPE_INTEGER)
        for (uint64_t i = 0; i < type->count && i < READING_STRINGS; i++) {
            struct string_search inner = *search;
            inner.offset += i * type->target->size;
            find_strings(&inner, type->target);
        }
}

static void add_piece(const struct checker *checker, struct reading *reading, struct reading_piece piece)
{
    struct reading_piece *more = arena_alloc(checker->arena, reading->piece_count + 1, sizeof *more);
    if (reading->piece_count > 0)
        memcpy(more, reading->pieces, reading->piece_count * sizeof *more);
    if (piece.code.size > 0)
        bytecode_op(&piece.code, OP_END);
    more[reading->piece_count++] = piece;
    reading->pieces = more;
    reading->size += piece.size;
}

/* A place that is in registers, or in several. */
static bool read_pieces(const struct checker *checker, const struct term *place, struct reading *reading)
{
    uint64_t start = 0, size = place->type->size;
    for (size_t i = 0; i < place->location->count && reading->size < size; i++) {
        const struct piece *piece = &place->location->pieces[i];
        uint64_t end = piece->size == 0 ? UINT64_MAX : start + piece->size, from = place->offset + reading->size;
        if (from >= start && from < end) {
            uint64_t skipped = from - start, left = size - reading->size;
            struct reading_piece part = {.kind = piece->kind, .reg = piece->reg, .code = {.arena = checker->arena}};
            part.size = left < end - from ? left : end - from;
            bytecode_append(&part.code, &piece->code);
            if (piece->kind == PIECE_MEMORY && skipped > 0) {
                bytecode_constant(&part.code, skipped);
                bytecode_op(&part.code, OP_ADD);
            } else if (piece->kind == PIECE_BYTES && part.size <= 8 && skipped + part.size <= piece->size) {
                uint64_t value = 0;
                memcpy(&value, piece->bytes + skipped, (size_t)part.size);
                part.kind = PIECE_VALUE;
                bytecode_constant(&part.code, value);
            } else if (piece->kind == PIECE_LOST || piece->kind == PIECE_BYTES ||
                       (skipped > 0 && piece->kind != PIECE_MEMORY) || (piece->kind == PIECE_VALUE && part.size > 8)) {
                return fail(checker, place->at, "%s: it was optimized out here, or in part", place->name);
            }
            add_piece(checker, reading, part);
        }
        start = end;
    }
    return reading->size == size || fail(checker, place->at, "%s: it was optimized out here, or in part", place->name);
}

static bool read_value(const struct checker *checker, const struct term *term, struct reading *reading)
{
    struct reading_piece piece = {.kind = PIECE_VALUE};
    if ((term = value_of(checker, term)) == NULL || !write_code(checker, term, &piece.code))
        return false;
    piece.code.size--; /* add_piece ends it */
    piece.size = term->type->size;
    reading->type = term->type;
    add_piece(checker, reading, piece);
    return true;
}

static bool make_reading(const struct checker *checker, const struct term *term, struct reading *reading)
{
    const struct type *type = reading->type = term->type;
    if (term->kind != TERM_PLACE || term->bit_size > 0 || type->kind == TYPE_FUNCTION || type->kind == TYPE_UNTYPED ||
        type->kind == TYPE_VOID)
        return read_value(checker, term, reading);
    if (type->kind == TYPE_ARRAY && !type->is_count_known) /* char name[]: the address, then */
        return read_value(checker, term, reading);
    if (type->size == 0 && type->kind != TYPE_ARRAY)
        return fail(checker, term->at, "the size of %s is not known", type_text(checker->types, type));
    if (term->location != NULL)
        return read_pieces(checker, term, reading);
    struct reading_piece piece = {.kind = PIECE_MEMORY, .size = type->size < READING_MAX ? type->size : READING_MAX};
    if (!write_code(checker, term->a, &piece.code))
        return false;
    piece.code.size--;
    add_piece(checker, reading, piece);
    return true;
}

static bool read_expression(const struct checker *checker, const char *text, const char **at, struct reading *reading)
{
    const char *begin_at = *at;
    while (*begin_at == ' ' || *begin_at == '\t')
        begin_at++;
    const struct syntax *syntax =
        syntax_parse(text, at, true, is_type_here, (void *)checker, checker->arena, checker->error);
    const struct term *term = syntax == NULL ? NULL : check(checker, syntax);
    const char *end = *at;
    while (end > begin_at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    reading->text = arena_format(checker->arena, "%.*s", (int)(end - begin_at), begin_at);
    reading->strings = arena_alloc(checker->arena, READING_STRINGS, sizeof *reading->strings);
    if (term == NULL || !make_reading(checker, term, reading))
        return false;
    struct string_search search = {.checker = checker, .reading = reading};
    find_strings(&search, reading->type);
    return true;
}

bool expression_readings(const struct scene *scene, const char *text, struct reading **readings, size_t *count,
                         struct expression_error *error)
{
    struct checker checker = begin(scene, error);
    const char *at = text;
    *error = (struct expression_error){0};
    do {
        struct reading *more = arena_alloc(checker.arena, *count + 1, sizeof *more);
        if (*count > 0)
            memcpy(more, *readings, *count * sizeof *more);
        *readings = more;
        if (at != text) /* a comma */
            at++;
        if (!read_expression(&checker, text, &at, &more[*count]))
            return false;
        ++*count;
    } while (*at == ',');
    return true;
}
