/* Types from DWARF are made as they are asked for: a structure that points to itself has no end else. */
#include "types.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "symbols_internal.h"

static struct type *make(const struct types *types, enum type_kind kind, uint64_t size)
{
    struct type *type = arena_alloc(types->arena, 1, sizeof *type);
    type->kind = kind;
    type->size = size;
    return type;
}

/* ---- C's own ---- */

enum { WORD = 0 }; /* as wide as a pointer */
static const struct {
    const char *name;
    enum type_kind kind;
    uint64_t size;
    bool is_signed;
} basics[] = {
    {"void", TYPE_VOID, 1, false},
    {"bool", TYPE_BOOL, 1, false},
    {"char", TYPE_INTEGER, 1, true},
    {"signed char", TYPE_INTEGER, 1, true},
    {"unsigned char", TYPE_INTEGER, 1, false},
    {"short", TYPE_INTEGER, 2, true},
    {"unsigned short", TYPE_INTEGER, 2, false},
    {"int", TYPE_INTEGER, 4, true},
    {"unsigned int", TYPE_INTEGER, 4, false},
    {"long", TYPE_INTEGER, WORD, true},
    {"unsigned long", TYPE_INTEGER, WORD, false},
    {"long long", TYPE_INTEGER, 8, true},
    {"unsigned long long", TYPE_INTEGER, 8, false},
    {"float", TYPE_FLOAT, 4, true},
    {"double", TYPE_FLOAT, 8, true},
    {"long double", TYPE_FLOAT, 16, true},
    {"u8", TYPE_INTEGER, 1, false},
    {"u16", TYPE_INTEGER, 2, false},
    {"u32", TYPE_INTEGER, 4, false},
    {"u64", TYPE_INTEGER, 8, false},
    {"i8", TYPE_INTEGER, 1, true},
    {"i16", TYPE_INTEGER, 2, true},
    {"i32", TYPE_INTEGER, 4, true},
    {"i64", TYPE_INTEGER, 8, true},
    {"s8", TYPE_INTEGER, 1, true},
    {"s16", TYPE_INTEGER, 2, true},
    {"s32", TYPE_INTEGER, 4, true},
    {"s64", TYPE_INTEGER, 8, true},
    {"uint8_t", TYPE_INTEGER, 1, false},
    {"uint16_t", TYPE_INTEGER, 2, false},
    {"uint32_t", TYPE_INTEGER, 4, false},
    {"uint64_t", TYPE_INTEGER, 8, false},
    {"int8_t", TYPE_INTEGER, 1, true},
    {"int16_t", TYPE_INTEGER, 2, true},
    {"int32_t", TYPE_INTEGER, 4, true},
    {"int64_t", TYPE_INTEGER, 8, true},
    {"size_t", TYPE_INTEGER, WORD, false},
    {"ssize_t", TYPE_INTEGER, WORD, true},
    {"ptrdiff_t", TYPE_INTEGER, WORD, true},
    {"intptr_t", TYPE_INTEGER, WORD, true},
    {"uintptr_t", TYPE_INTEGER, WORD, false},
};

const struct type *type_basic(const struct types *types, const char *name)
{
    for (size_t i = 0; i < sizeof basics / sizeof *basics; i++) {
        if (strcmp(basics[i].name, name) != 0)
            continue;
        struct type *type = make(types, basics[i].kind, basics[i].size == WORD ? types->word : basics[i].size);
        type->name = basics[i].name;
        type->is_char = strstr(name, "char") != NULL;
        type->is_signed = basics[i].is_signed && !(types->char_is_unsigned && strcmp(name, "char") == 0);
        if (strcmp(name, "long double") == 0 && types->word == 4)
            type->size = 12;
        return type;
    }
    return NULL;
}

const struct type *type_integer(const struct types *types, uint64_t size, bool is_signed)
{
    struct type *type = make(types, TYPE_INTEGER, size);
    type->is_signed = is_signed;
    return type;
}

const struct type *type_pointer(const struct types *types, const struct type *target)
{
    struct type *type = make(types, TYPE_POINTER, types->word);
    type->target = target;
    return type;
}

const struct type *type_array(const struct types *types, const struct type *element, uint64_t count,
                              bool is_count_known)
{
    struct type *type = make(types, TYPE_ARRAY, 0);
    uint64_t size;
    type->target = type_complete(types, element);
    type->count = count;
    type->is_count_known = is_count_known;
    if (is_count_known && !__builtin_mul_overflow(count, type->target->size, &size))
        type->size = size;
    return type;
}

const struct type *type_function(const struct types *types, const struct type *result)
{
    struct type *type = make(types, TYPE_FUNCTION, 1);
    type->target = result;
    return type;
}

bool type_is_integer(const struct type *type)
{
    return type->kind == TYPE_INTEGER || type->kind == TYPE_BOOL || type->kind == TYPE_ENUM;
}

bool type_is_scalar(const struct type *type)
{
    return type_is_integer(type) || type->kind == TYPE_POINTER;
}

/* ---- From DWARF ---- */

static bool get_number(Dwarf_Die *die, unsigned name, uint64_t *number)
{
    Dwarf_Attribute attribute;
    Dwarf_Word word;
    if (dwarf_attr_integrate(die, name, &attribute) == NULL || dwarf_formudata(&attribute, &word) != 0)
        return false;
    *number = word;
    return true;
}

static bool has_flag(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    bool flag;
    return dwarf_attr(die, name, &attribute) != NULL && dwarf_formflag(&attribute, &flag) == 0 && flag;
}

static bool type_die(Dwarf_Die *die, Dwarf_Die *type)
{
    Dwarf_Attribute attribute;
    return dwarf_attr_integrate(die, DW_AT_type, &attribute) != NULL && dwarf_formref_die(&attribute, type) != NULL;
}

static void fill_base(struct type *type, Dwarf_Die *die)
{
    uint64_t encoding = 0;
    get_number(die, DW_AT_encoding, &encoding);
    switch (encoding) {
    case DW_ATE_boolean:
        type->kind = TYPE_BOOL;
        break;
    case DW_ATE_float:
        type->kind = TYPE_FLOAT;
        break;
    case DW_ATE_signed_char:
    case DW_ATE_signed:
        type->is_signed = true;
        type->kind = TYPE_INTEGER;
        break;
    case DW_ATE_unsigned_char:
    case DW_ATE_UTF:
    case DW_ATE_unsigned:
    case DW_ATE_address:
        type->kind = TYPE_INTEGER;
        break;
    default:
        break;
    }
    type->is_char = type->size == 1 && (encoding == DW_ATE_signed_char || encoding == DW_ATE_unsigned_char);
}

/* The dimension'th subrange of an array, and whether another follows it. */
static void fill_array(struct type *type, Dwarf_Die *die, bool *more)
{
    Dwarf_Die child;
    unsigned dimension = 0;
    *more = false;
    for (int result = dwarf_child(die, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) != DW_TAG_subrange_type)
            continue;
        if (dimension++ < type->dimension)
            continue;
        if (dimension - 1 > type->dimension) {
            *more = true;
            return;
        }
        uint64_t bound;
        if (get_number(&child, DW_AT_count, &bound)) {
            type->count = bound;
            type->is_count_known = true;
        } else if (get_number(&child, DW_AT_upper_bound, &bound)) {
            type->count = bound + 1;
            type->is_count_known = true;
        }
    }
}

/* The type of an array's elements: an array, too, if it has more dimensions. */
static const struct type *array_type(const struct types *types, struct symbols *symbols, Dwarf_Die *die,
                                     unsigned dimension)
{
    struct type *type = make(types, TYPE_ARRAY, 0);
    bool more;
    type->dimension = dimension;
    type->has_die = true;
    type->die = *die;
    type->symbols = symbols;
    fill_array(type, die, &more);
    type->target = more ? array_type(types, symbols, die, dimension + 1) : type_of_die(types, symbols, die);
    uint64_t size;
    if (type->is_count_known && !__builtin_mul_overflow(type->count, type->target->size, &size))
        type->size = size;
    return type;
}

static bool is_enum_signed(const struct types *types, struct symbols *symbols, Dwarf_Die *die)
{
    Dwarf_Die base, child;
    if (type_die(die, &base))
        return type_from_die(types, symbols, &base)->is_signed;
    for (int result = dwarf_child(die, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        Dwarf_Attribute attribute;
        if (dwarf_attr(&child, DW_AT_const_value, &attribute) != NULL &&
            dwarf_whatform(&attribute) == DW_FORM_sdata) { /* as compilers write those that have negative ones */
            Dwarf_Sword value;
            if (dwarf_formsdata(&attribute, &value) == 0 && value < 0)
                return true;
        }
    }
    return false;
}

const struct type *type_from_die(const struct types *types, struct symbols *symbols, Dwarf_Die *die)
{
    Dwarf_Die peeled;
    if (dwarf_peel_type(die, &peeled) != 0)
        return make(types, TYPE_VOID, 1);
    if (dwarf_tag(&peeled) == DW_TAG_array_type)
        return array_type(types, symbols, &peeled, 0);
    struct type *type = make(types, TYPE_OTHER, 0);
    get_number(&peeled, DW_AT_byte_size, &type->size);
    type->name = dwarf_diename(&peeled);
    type->has_die = true;
    type->die = peeled;
    type->symbols = symbols;
    switch (dwarf_tag(&peeled)) {
    case DW_TAG_base_type:
        fill_base(type, &peeled);
        break;
    case DW_TAG_enumeration_type:
        type->kind = TYPE_ENUM;
        type->is_signed = is_enum_signed(types, symbols, &peeled);
        break;
    case DW_TAG_pointer_type:
        type->kind = TYPE_POINTER;
        type->size = types->word;
        break;
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
        type->kind = TYPE_REFERENCE;
        type->size = types->word;
        break;
    case DW_TAG_union_type:
        type->is_union = true;
        type->kind = TYPE_STRUCT;
        break;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
        type->kind = TYPE_STRUCT;
        break;
    case DW_TAG_subroutine_type:
    case DW_TAG_subprogram:
        type->kind = TYPE_FUNCTION;
        type->size = 1;
        break;
    case DW_TAG_unspecified_type: /* nullptr_t */
        type->kind = type->size == types->word ? TYPE_POINTER : TYPE_VOID;
        break;
    default:
        break;
    }
    return type;
}

const struct type *type_of_die(const struct types *types, struct symbols *symbols, Dwarf_Die *die)
{
    Dwarf_Die type;
    return type_die(die, &type) ? type_from_die(types, symbols, &type) : type_basic(types, "void");
}

const struct type *type_target(const struct types *types, const struct type *type)
{
    if (type->target != NULL || !type->has_die)
        return type->target != NULL ? type->target : type_basic(types, "void");
    return type_of_die(types, type->symbols, (Dwarf_Die *)&type->die);
}

const char *type_text(const struct types *types, const struct type *type)
{
    const char *what;
    switch (type->kind) {
    case TYPE_POINTER:
    case TYPE_REFERENCE:
        if (type->kind == TYPE_POINTER && type->name != NULL) /* nullptr_t */
            return type->name;
        what = type_text(types, type_target(types, type));
        return arena_format(types->arena, "%s%s%s", what, what[strlen(what) - 1] == '*' ? "" : " ",
                            type->kind == TYPE_POINTER ? "*" : "&");
    case TYPE_ARRAY:
        what = type_text(types, type_target(types, type));
        return type->is_count_known ? arena_format(types->arena, "%s[%llu]", what, (unsigned long long)type->count)
                                    : arena_format(types->arena, "%s[]", what);
    case TYPE_STRUCT:
        what = type->is_union ? "union" : dwarf_tag((Dwarf_Die *)&type->die) == DW_TAG_class_type ? "class" : "struct";
        return type->name == NULL ? what : arena_format(types->arena, "%s %s", what, type->name);
    case TYPE_ENUM:
        return type->name == NULL ? "enum" : arena_format(types->arena, "enum %s", type->name);
    case TYPE_FUNCTION:
        return "function";
    case TYPE_UNTYPED:
        return "data of unknown type";
    case TYPE_VOID:
        return "void";
    default:
        return type->name != NULL
                   ? type->name
                   : arena_format(types->arena, "%sint%d", type->is_signed ? "" : "u", (int)type->size * 8);
    }
}

/* ---- Names ---- */

static bool is_tag(int tag, const char *wanted)
{
    switch (tag) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
        return wanted == NULL || strcmp(wanted, "struct") == 0 || strcmp(wanted, "class") == 0;
    case DW_TAG_union_type:
        return wanted == NULL || strcmp(wanted, "union") == 0;
    case DW_TAG_enumeration_type:
        return wanted == NULL || strcmp(wanted, "enum") == 0;
    case DW_TAG_typedef:
    case DW_TAG_base_type:
        return wanted == NULL;
    default:
        return false;
    }
}

static bool has_name(Dwarf_Die *die, const char *name, size_t length)
{
    const char *own = dwarf_diename(die);
    return own != NULL && strncmp(own, name, length) == 0 && own[length] == '\0';
}

const char *type_qualify(struct arena *arena, const char *inside, const char *name)
{
    return inside == NULL || inside[0] == '\0' ? name : arena_format(arena, "%s::%s", inside, name);
}

const char *type_inside(struct arena *arena, Dwarf_Die *die)
{
    static const unsigned origins[] = {DW_AT_abstract_origin, DW_AT_specification};
    Dwarf_Die declaration = *die, *scopes = NULL;
    Dwarf_Attribute attribute;
    const char *inside = "";
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++)
        if (dwarf_attr(&declaration, origins[i], &attribute) != NULL)
            dwarf_formref_die(&attribute, &declaration);
    int count = dwarf_getscopes_die(&declaration, &scopes);
    for (int i = count - 1; i > 0; i--) { /* 0 is the DIE itself */
        int tag = dwarf_tag(&scopes[i]);
        const char *name = dwarf_diename(&scopes[i]);
        if (name != NULL && (tag == DW_TAG_namespace || tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
                             tag == DW_TAG_union_type))
            inside = type_qualify(arena, inside, name);
    }
    free(scopes);
    return inside;
}

bool type_leave(struct arena *arena, const char **inside)
{
    const char *last = NULL;
    unsigned depth = 0; /* of a template's arguments, which have colons of their own */
    if (*inside == NULL || (*inside)[0] == '\0')
        return false;
    for (const char *at = *inside; *at != '\0'; at++) {
        depth += *at == '<';
        depth -= *at == '>' && depth > 0;
        if (depth == 0 && at[0] == ':' && at[1] == ':')
            last = at;
    }
    *inside = last == NULL ? "" : arena_format(arena, "%.*s", (int)(last - *inside), *inside);
    return true;
}

void type_add_name(struct arena *arena, const char **names, unsigned *count, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = *names; at != NULL; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return;
    }
    *names = *names == NULL ? name : arena_format(arena, "%s, %s", *names, name);
    ++*count;
}

bool type_imported(Dwarf_Die *die, Dwarf_Die *imported)
{
    Dwarf_Attribute attribute;
    return dwarf_attr(die, DW_AT_import, &attribute) != NULL && dwarf_formref_die(&attribute, imported) != NULL;
}

bool type_sees_imports(Dwarf_Die *scope, enum type_imports imports)
{
    int tag = dwarf_tag(scope);
    return imports == IMPORTS_SEEN ||
           (imports == IMPORTS_INSIDE && tag != DW_TAG_compile_unit && tag != DW_TAG_partial_unit);
}

static bool is_transparent(Dwarf_Die *die)
{
    return dwarf_tag(die) == DW_TAG_namespace && (dwarf_diename(die) == NULL || has_flag(die, DW_AT_export_symbols));
}

struct search {
    const char *tag;
    bool definitions_only;
    enum type_imports imports;
    unsigned depth; /* how many namespaces that were imported it is in */
};

static bool find_in(struct search *search, Dwarf_Die *scope, const char *name, Dwarf_Die *found);

/* using namespace a */
static bool find_in_imported(struct search *search, Dwarf_Die *scope, const char *name, Dwarf_Die *found)
{
    enum { DEEPEST = 4 }; /* namespaces may import each other */
    Dwarf_Die child, namespace;
    if (search->depth == DEEPEST || !type_sees_imports(scope, search->imports))
        return false;
    search->depth++;
    bool is_found = false;
    for (int result = dwarf_child(scope, &child); result == 0 && !is_found; result = dwarf_siblingof(&child, &child))
        is_found = dwarf_tag(&child) == DW_TAG_imported_module && type_imported(&child, &namespace) &&
                   find_in(search, &namespace, name, found);
    search->depth--;
    return is_found;
}

/* name is "a::b::c"; namespaces that need not be named are looked into, too, after what needs not. */
static bool find_in(struct search *search, Dwarf_Die *scope, const char *name, Dwarf_Die *found)
{
    bool sees_imports = type_sees_imports(scope, search->imports);
    Dwarf_Die child, target;
    const char *colons = strstr(name, "::");
    size_t length = colons == NULL ? strlen(name) : (size_t)(colons - name);
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        const char *other_name = NULL; /* that what was imported has here */
        if (dwarf_tag(&child) == DW_TAG_imported_declaration) {
            Dwarf_Die imported;
            if (!sees_imports || !type_imported(&child, &imported))
                continue;
            other_name = dwarf_diename(&child);
            target = imported;
        } else {
            target = child;
        }
        int own = dwarf_tag(&target);
        bool is_scope = own == DW_TAG_namespace || own == DW_TAG_structure_type || own == DW_TAG_class_type ||
                        own == DW_TAG_union_type;
        bool is_named = other_name == NULL ? has_name(&target, name, length) : has_name(&child, name, length);
        if (colons == NULL && is_tag(own, search->tag) && is_named &&
            !(search->definitions_only && has_flag(&target, DW_AT_declaration))) {
            *found = target;
            return true;
        }
        if (colons != NULL && is_scope && is_named && find_in(search, &target, colons + 2, found))
            return true;
    }
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child))
        if (is_transparent(&child) && find_in(search, &child, name, found))
            return true;
    return find_in_imported(search, scope, name, found);
}

static bool find_die(struct symbols *symbols, uint64_t address, const char *tag, const char *name,
                     bool definitions_only, Dwarf_Die *found)
{
    Dwarf_Die unit, whole;
    Dwarf_CU *next = NULL;
    struct search search = {.tag = tag, .definitions_only = definitions_only, .imports = IMPORTS_SEEN};
    if (!symbols_load_dwarf(symbols))
        return false;
    if (address != 0 && symbols_unit_at(symbols, address, &unit, &whole) && find_in(&search, &whole, name, found))
        return true;
    search.imports = IMPORTS_INSIDE;
    while (symbols_next_unit(symbols, &next, &unit, &whole))
        if (find_in(&search, &whole, name, found))
            return true;
    return false;
}

/* In each namespace by itself. */
static void find_elsewhere(const struct types *types, Dwarf_Die *scope, const struct type_name *name,
                           const char *inside, const char **names, unsigned *count, Dwarf_Die *found)
{
    Dwarf_Die child, other;
    struct search search = {.tag = name->tag, .definitions_only = true};
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) != DW_TAG_namespace)
            continue;
        const char *own = dwarf_diename(&child);
        const char *in = own == NULL ? inside : type_qualify(types->arena, inside, own);
        if (own != NULL && find_in(&search, &child, name->name, &other)) {
            if (*count == 0)
                *found = other;
            type_add_name(types->arena, names, count, type_qualify(types->arena, in, name->name));
        }
        find_elsewhere(types, &child, name, in, names, count, found);
    }
}

const struct type *type_find(const struct types *types, struct symbols *symbols, uint64_t address,
                             const struct type_name *name, const char **ambiguous)
{
    Dwarf_Die die, unit, whole;
    Dwarf_CU *next = NULL;
    bool is_global = strncmp(name->name, "::", 2) == 0;
    const char *inside = is_global ? "" : types->inside, *own = name->name + (is_global ? 2 : 0), *names = NULL;
    unsigned count = 0;
    do {
        const char *full = type_qualify(types->arena, inside, own);
        if (find_die(symbols, address, name->tag, full, true, &die) ||
            find_die(symbols, address, name->tag, full, false, &die))
            return type_from_die(types, symbols, &die);
    } while (type_leave(types->arena, &inside));
    while (!is_global && symbols_next_unit(symbols, &next, &unit, &whole))
        find_elsewhere(types, &whole, name, "", &names, &count, &die);
    if (count > 1)
        *ambiguous = names;
    return count == 1 ? type_from_die(types, symbols, &die) : NULL;
}

const struct type *type_complete(const struct types *types, const struct type *type)
{
    static const char *const tags[] = {"struct", "union", "enum"};
    Dwarf_Die die = type->die;
    if (!type->has_die || type->name == NULL || !has_flag(&die, DW_AT_declaration))
        return type;
    const char *tag = tags[type->kind == TYPE_ENUM ? 2 : type->is_union];
    const char *full = type_qualify(types->arena, type_inside(types->arena, &die), type->name);
    return find_die(type->symbols, 0, tag, full, true, &die) ? type_from_die(types, type->symbols, &die) : type;
}

/* ---- Members ---- */

static void fill_bits(struct member *member, Dwarf_Die *die)
{
    uint64_t bits, offset, size = member->type->size;
    if (!get_number(die, DW_AT_bit_size, &bits) || bits == 0 || bits > 64)
        return;
    if (get_number(die, DW_AT_data_bit_offset, &offset)) {
        member->offset += offset / 8;
        member->bit_offset = (unsigned)offset % 8;
    } else if (get_number(die, DW_AT_bit_offset, &offset)) { /* DWARF 2 and 3: from the highest bit down */
        get_number(die, DW_AT_byte_size, &size);
        uint64_t low = size * 8 - offset - bits;
        member->offset += low / 8;
        member->bit_offset = (unsigned)low % 8;
    }
    member->bit_size = (unsigned)bits;
}

static void fill_member(const struct types *types, const struct type *type, Dwarf_Die *die, struct member *member)
{
    Dwarf_Attribute attribute;
    *member = (struct member){.name = dwarf_diename(die), .is_base = dwarf_tag(die) == DW_TAG_inheritance};
    member->type = type_complete(types, type_of_die(types, type->symbols, die));
    member->is_static =
        dwarf_tag(die) == DW_TAG_variable || has_flag(die, DW_AT_external) || has_flag(die, DW_AT_declaration);
    if (dwarf_attr(die, DW_AT_data_member_location, &attribute) != NULL) {
        Dwarf_Word offset;
        Dwarf_Op *ops;
        size_t count;
        if (dwarf_formudata(&attribute, &offset) == 0)
            member->offset = offset;
        else if (!dwarf_hasattr(die, DW_AT_virtuality) && dwarf_getlocation(&attribute, &ops, &count) == 0 &&
                 count == 1 && ops[0].atom == DW_OP_plus_uconst) /* as DWARF 2 says it */
            member->offset = ops[0].number;
        else
            member->is_virtual_base = true; /* where it is, is computed */
    }
    fill_bits(member, die);
}

void type_each_member(const struct types *types, const struct type *type,
                      bool (*found)(const struct member *member, void *arg), void *arg)
{
    Dwarf_Die child;
    if (!type->has_die)
        return;
    for (int result = dwarf_child((Dwarf_Die *)&type->die, &child); result == 0;
         result = dwarf_siblingof(&child, &child)) {
        struct member member;
        int tag = dwarf_tag(&child);
        if (tag != DW_TAG_member && tag != DW_TAG_inheritance && tag != DW_TAG_variable)
            continue;
        fill_member(types, type, &child, &member);
        if (!found(&member, arg))
            return;
    }
}

struct member_search {
    const struct types *types;
    const char *name;
    struct member *member;
    bool found;
    unsigned depth;
};

static bool find_member(const struct member *member, void *arg)
{
    enum { DEEPEST = 32 };
    struct member_search *search = arg;
    if (member->name != NULL && !member->is_base) {
        search->found = strcmp(member->name, search->name) == 0;
        if (search->found)
            *search->member = *member;
    } else if (member->type->kind == TYPE_STRUCT && search->depth < DEEPEST) {
        search->depth++;
        type_each_member(search->types, member->type, find_member, search);
        search->depth--;
        if (search->found) {
            search->member->offset += member->offset;
            search->member->is_virtual_base |= member->is_virtual_base;
        }
    }
    return !search->found;
}

bool type_find_member(const struct types *types, const struct type *type, const char *name, struct member *member)
{
    struct member_search search = {.types = types, .name = name, .member = member};
    type_each_member(types, type, find_member, &search);
    return search.found;
}

bool type_enumerator_value(Dwarf_Die *die, uint64_t *value)
{
    Dwarf_Attribute attribute;
    Dwarf_Sword number;
    Dwarf_Word word;
    if (dwarf_attr(die, DW_AT_const_value, &attribute) == NULL)
        return false;
    bool is_signed =
        dwarf_whatform(&attribute) == DW_FORM_sdata || dwarf_whatform(&attribute) == DW_FORM_implicit_const;
    if (is_signed && dwarf_formsdata(&attribute, &number) == 0)
        *value = (uint64_t)number;
    else if (dwarf_formudata(&attribute, &word) == 0)
        *value = word;
    else
        return false;
    return true;
}

const char *type_enumerator(const struct type *type, uint64_t value)
{
    Dwarf_Die child;
    uint64_t mask = type->size >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * type->size) - 1, own;
    for (int result = dwarf_child((Dwarf_Die *)&type->die, &child); result == 0;
         result = dwarf_siblingof(&child, &child))
        if (dwarf_tag(&child) == DW_TAG_enumerator && type_enumerator_value(&child, &own) &&
            ((own ^ value) & mask) == 0)
            return dwarf_diename(&child);
    return NULL;
}
