/* Names. C's scopes: the blocks around the place, from the inside out, the unit, then everything else that is mapped. */
#include "variables.h"

#include <dwarf.h>
#include <elf.h>
#include <string.h>

#include "cli.h"
#include "symbols_internal.h"

/* ---- The place ---- */

static bool covers(Dwarf_Die *die, uint64_t pc)
{
    return dwarf_haspc(die, pc) > 0;
}

/* Goes in from die as far as there are scopes around the pc. */
static bool find_scopes(struct scene *scene, Dwarf_Die *die)
{
    Dwarf_Die child;
    for (int result = dwarf_child(die, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        int tag = dwarf_tag(&child);
        if (tag == DW_TAG_namespace || tag == DW_TAG_structure_type || tag == DW_TAG_class_type) {
            if (scene->scope_count == 0 && find_scopes(scene, &child))
                return true;
        } else if ((tag == DW_TAG_subprogram || tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
                   covers(&child, scene->pc)) {
            Dwarf_Die *more = arena_alloc(scene->types.arena, scene->scope_count + 1, sizeof *more);
            if (scene->scope_count > 0)
                memcpy(more, scene->scopes, scene->scope_count * sizeof *more);
            scene->scopes = more;
            scene->scopes[scene->scope_count++] = child;
            find_scopes(scene, &child);
            return true;
        }
    }
    return false;
}

/* Where a function's parameters are in their slots: where a line table says so, else where its second line begins. */
static bool is_in_prologue(struct scene *scene)
{
    Dwarf_Addr entry, address;
    Dwarf_Lines *lines;
    size_t count;
    if (scene->scope_count == 0 || dwarf_entrypc(&scene->scopes[0], &entry) != 0 || scene->pc < entry)
        return false;
    uint64_t second = UINT64_MAX, marked = UINT64_MAX;
    if (dwarf_getsrclines(&scene->unit, &lines, &count) != 0)
        return scene->pc == entry;
    for (size_t i = 0; i < count; i++) {
        Dwarf_Line *line = dwarf_onesrcline(lines, i);
        bool end = false;
        if (dwarf_lineaddr(line, &address) != 0 || address <= entry || !covers(&scene->scopes[0], address))
            continue;
        if (address < second)
            second = address;
        if (dwarf_lineprologueend(line, &end) == 0 && end && address < marked)
            marked = address;
    }
    return scene->pc < (marked != UINT64_MAX ? marked : second != UINT64_MAX ? second : entry + 1);
}

void scene_open(struct scene *scene)
{
    if (scene->module == NULL)
        return;
    scene->symbols = module_symbols(scene->modules, scene->module);
    if (scene->symbols == NULL)
        return;
    scene->own = scene->address - module_bias(scene->module);
    if (!symbols_load_dwarf(scene->symbols) ||
        !symbols_unit_at(scene->symbols, scene->own, &scene->unit, &scene->whole))
        return;
    scene->has_dwarf = true;
    scene->pc = symbols_to_dwarf(scene->symbols, scene->own);
    find_scopes(scene, &scene->whole);
    for (size_t i = scene->scope_count; i-- > 0 && scene->types.inside == NULL;)
        if (dwarf_tag(&scene->scopes[i]) != DW_TAG_lexical_block)
            scene->types.inside = type_inside(scene->types.arena, &scene->scopes[i]);
    scene->is_in_prologue = is_in_prologue(scene);
}

/* ---- Names in DIEs ---- */

struct search {
    const struct scene *scene;
    struct module *module;
    struct symbols *symbols;
    const char *name;
    struct variable *variable;
    bool external_only;
    Dwarf_Die *unit;
    bool is_declared; /* and, as it seems, defined nowhere: it was optimized out */
    enum type_imports imports;
    unsigned depth; /* how many namespaces that were imported it is in */
};

static bool flag(Dwarf_Die *die, unsigned name)
{
    Dwarf_Attribute attribute;
    bool is_set;
    return dwarf_attr_integrate(die, name, &attribute) != NULL && dwarf_formflag(&attribute, &is_set) == 0 && is_set;
}

static bool matches(Dwarf_Die *die, const char *name, size_t length)
{
    const char *own = dwarf_diename(die);
    return own != NULL && strncmp(own, name, length) == 0 && own[length] == '\0';
}

static uint64_t to_process(const struct search *search, uint64_t dwarf_address)
{
    return symbols_from_dwarf(search->symbols, dwarf_address) + module_bias(search->module);
}

static void take_first(const struct symbol *symbol, void *arg)
{
    struct symbol *first = arg;
    if (first->name == NULL)
        *first = *symbol;
}

/* The process's address of a symbol in one module. */
static bool find_symbol(const struct scene *scene, struct module *module, const char *name, enum symbols_depth depth,
                        uint64_t *address, unsigned char *type)
{
    struct symbol symbol = {.name = NULL};
    struct symbols *symbols = module->is_gone ? NULL : module_symbols(scene->modules, module);
    if (symbols == NULL)
        return false;
    symbols_find(symbols, name, depth, take_first, &symbol);
    if (symbol.name == NULL)
        return false;
    *address = symbol.address + module_bias(module);
    *type = symbol.type;
    return true;
}

/* The first of: the program, the scene's module, the others. */
static bool find_symbol_anywhere(const struct scene *scene, const char *name, struct module **module, uint64_t *address,
                                 unsigned char *type)
{
    struct module *program = modules_program(scene->modules);
    struct module *first[] = {program, scene->module};
    for (size_t i = 0; i < 2; i++)
        if ((*module = first[i]) != NULL && find_symbol(scene, first[i], name, SYMBOLS_DEBUG, address, type))
            return true;
    for (size_t i = 0; i < scene->modules->count; i++)
        if (find_symbol(scene, *module = scene->modules->items[i], name, SYMBOLS_OWN, address, type))
            return true;
    return false;
}

static bool take_data(struct search *search, Dwarf_Die *die);

/* Of a variable that is declared in a class or namespace: it refers to the declaration. */
static bool find_definition(struct search *search, Dwarf_Die *scope, Dwarf_Off declaration)
{
    Dwarf_Die child, specified;
    Dwarf_Attribute attribute;
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) == DW_TAG_namespace && find_definition(search, &child, declaration))
            return true;
        if (dwarf_tag(&child) == DW_TAG_variable && dwarf_attr(&child, DW_AT_specification, &attribute) != NULL &&
            dwarf_formref_die(&attribute, &specified) != NULL && dwarf_dieoffset(&specified) == declaration &&
            (dwarf_hasattr(&child, DW_AT_location) || dwarf_hasattr(&child, DW_AT_const_value)))
            return take_data(search, &child);
    }
    return false;
}

/* The name of its symbol. */
static const char *linkage_name(const struct search *search, Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    const char *symbol = NULL;
    if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) != NULL ||
        dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute) != NULL)
        symbol = dwarf_formstring(&attribute);
    if (symbol == NULL)
        symbol = dwarf_diename(die);
    return symbol == NULL ? search->name : symbol;
}

/* A variable that is only declared here: its type is known, and its symbol has the address. */
static bool take_declared(struct search *search, Dwarf_Die *die)
{
    struct variable *variable = search->variable;
    unsigned char type;
    const char *symbol = linkage_name(search, die);
    search->is_declared = true;
    if (find_definition(search, search->unit, dwarf_dieoffset(die)))
        return true;
    if (!find_symbol_anywhere(search->scene, symbol, &variable->module, &variable->value, &type))
        return false;
    variable->kind = VARIABLE_ADDRESS;
    variable->symbols = search->symbols;
    variable->type = type_of_die(&search->scene->types, search->symbols, die);
    return true;
}

static bool take_function(struct search *search, Dwarf_Die *die)
{
    struct variable *variable = search->variable;
    Dwarf_Addr address;
    unsigned char type;
    variable->module = search->module;
    if (dwarf_entrypc(die, &address) == 0)
        variable->value = to_process(search, address);
    else if (!flag(die, DW_AT_declaration) || !find_symbol_anywhere(search->scene, linkage_name(search, die),
                                                                    &variable->module, &variable->value, &type))
        return false;
    variable->kind = VARIABLE_FUNCTION;
    variable->die = *die;
    variable->symbols = search->symbols;
    variable->type = type_from_die(&search->scene->types, search->symbols, die);
    return true;
}

/* A library's variable, of which the program has a copy (by a copy relocation) or one of its own: the run-time linker has everybody
 * mean that one. It looks the name up in what each exports, the program first. */
static bool is_programs(const struct search *search, Dwarf_Die *die, uint64_t *address)
{
    const struct scene *scene = search->scene;
    struct module *program = modules_program(scene->modules);
    struct symbols *symbols =
        program == NULL || program == search->module ? NULL : module_symbols(scene->modules, program);
    bool is_final;
    const char *name = linkage_name(search, die);
    if (symbols == NULL || !flag(die, DW_AT_external) ||
        !symbols_find_exported(search->symbols, name, address, &is_final) ||
        (is_final && search->module == scene->module) || !symbols_find_exported(symbols, name, address, &is_final))
        return false;
    *address += module_bias(program);
    return true;
}

static bool take_data(struct search *search, Dwarf_Die *die)
{
    struct variable *variable = search->variable;
    Dwarf_Attribute attribute;
    bool has_location = dwarf_attr_integrate(die, DW_AT_location, &attribute) != NULL ||
                        dwarf_attr_integrate(die, DW_AT_const_value, &attribute) != NULL;
    if (!has_location && flag(die, DW_AT_declaration))
        return take_declared(search, die);
    variable->kind = is_programs(search, die, &variable->value) ? VARIABLE_ADDRESS : VARIABLE_DATA;
    variable->die = *die;
    variable->module = search->module;
    variable->symbols = search->symbols;
    variable->type = type_of_die(&search->scene->types, search->symbols, die);
    return true;
}

static bool find_enumerator(struct search *search, Dwarf_Die *enumeration, const char *name, size_t length)
{
    Dwarf_Die child;
    for (int result = dwarf_child(enumeration, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) != DW_TAG_enumerator || !matches(&child, name, length))
            continue;
        search->variable->kind = VARIABLE_CONSTANT;
        search->variable->type = type_from_die(&search->scene->types, search->symbols, enumeration);
        return type_enumerator_value(&child, &search->variable->value);
    }
    return false;
}

/* Does it define what another scope declares? Then its name is of that scope. */
static bool is_of_other_scope(Dwarf_Die *scope, Dwarf_Die *die)
{
    Dwarf_Die child, declaration;
    Dwarf_Attribute attribute;
    if (dwarf_attr(die, DW_AT_specification, &attribute) == NULL || dwarf_formref_die(&attribute, &declaration) == NULL)
        return false;
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child))
        if (child.addr == declaration.addr)
            return false;
    return true;
}

static bool find_in(struct search *search, Dwarf_Die *scope, const char *name);

/* Namespaces whose names need not be said: nameless and inline ones. */
static bool find_in_transparent(struct search *search, Dwarf_Die *scope, const char *name)
{
    Dwarf_Die child;
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child))
        if (dwarf_tag(&child) == DW_TAG_namespace &&
            (dwarf_diename(&child) == NULL || flag(&child, DW_AT_export_symbols)) && find_in(search, &child, name))
            return true;
    return false;
}

/* using namespace a: what is in it is seen as if it stood here, behind what does. */
static bool find_in_imported(struct search *search, Dwarf_Die *scope, const char *name)
{
    enum { DEEPEST = 4 }; /* namespaces may import each other */
    Dwarf_Die child, namespace;
    if (search->depth == DEEPEST || !type_sees_imports(scope, search->imports))
        return false;
    search->depth++;
    bool found = false;
    for (int result = dwarf_child(scope, &child); result == 0 && !found; result = dwarf_siblingof(&child, &child))
        found = dwarf_tag(&child) == DW_TAG_imported_module && type_imported(&child, &namespace) &&
                find_in(search, &namespace, name);
    search->depth--;
    return found;
}

/* using a::b, or namespace b = a. */
static bool take_imported(struct search *search, Dwarf_Die *die, const char *name, size_t length)
{
    Dwarf_Die imported;
    const char *rest = name[length] == '\0' ? NULL : name + length + 2;
    if (!type_imported(die, &imported) || !(matches(die, name, length) || matches(&imported, name, length)))
        return false;
    switch (dwarf_tag(&imported)) {
    case DW_TAG_variable:
    case DW_TAG_member:
        return rest == NULL && take_data(search, &imported);
    case DW_TAG_subprogram:
        return rest == NULL && take_function(search, &imported);
    case DW_TAG_enumeration_type:
        return rest != NULL && find_enumerator(search, &imported, rest, strlen(rest));
    case DW_TAG_namespace:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        return rest != NULL && find_in(search, &imported, rest);
    default:
        return false;
    }
}

/* In one scope; name is "a::b::c". */
static bool find_in(struct search *search, Dwarf_Die *scope, const char *name)
{
    Dwarf_Die child;
    bool sees_imports = type_sees_imports(scope, search->imports);
    const char *colons = strstr(name, "::");
    size_t length = colons == NULL ? strlen(name) : (size_t)(colons - name);
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        int tag = dwarf_tag(&child);
        bool found = false;
        switch (tag) {
        case DW_TAG_variable:
        case DW_TAG_formal_parameter:
            found = colons == NULL && matches(&child, name, length) && !is_of_other_scope(scope, &child) &&
                    (!search->external_only || flag(&child, DW_AT_external)) && take_data(search, &child);
            break;
        case DW_TAG_subprogram:
            found = colons == NULL && matches(&child, name, length) && take_function(search, &child);
            break;
        case DW_TAG_member: /* of a class, static, in DWARF 4 */
            found = colons == NULL && matches(&child, name, length) && flag(&child, DW_AT_external) &&
                    take_data(search, &child);
            break;
        case DW_TAG_enumeration_type:
            if (colons != NULL && matches(&child, name, length))
                found = find_enumerator(search, &child, colons + 2, strlen(colons + 2));
            else if (colons == NULL && !flag(&child, DW_AT_enum_class))
                found = find_enumerator(search, &child, name, length);
            break;
        case DW_TAG_structure_type:
        case DW_TAG_class_type:
        case DW_TAG_union_type:
            found = colons != NULL && matches(&child, name, length) && find_in(search, &child, colons + 2);
            break;
        case DW_TAG_namespace:
            found = colons != NULL && matches(&child, name, length) && find_in(search, &child, colons + 2);
            break;
        case DW_TAG_imported_declaration:
            found = sees_imports && take_imported(search, &child, name, length);
            break;
        default:
            break;
        }
        if (found)
            return true;
    }
    return find_in_transparent(search, scope, name) || find_in_imported(search, scope, name);
}

/* In each namespace by itself. */
static void find_elsewhere(struct search *search, Dwarf_Die *scope, const char *inside, const char **names,
                           unsigned *count)
{
    struct arena *arena = search->scene->types.arena;
    struct variable first = *search->variable;
    Dwarf_Die child;
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        if (dwarf_tag(&child) != DW_TAG_namespace)
            continue;
        const char *own = dwarf_diename(&child), *in = own == NULL ? inside : type_qualify(arena, inside, own);
        if (*count > 0)
            first = *search->variable;
        bool had = *count > 0;
        if (own != NULL && find_in(search, &child, search->name))
            type_add_name(arena, names, count, type_qualify(arena, in, search->name));
        if (had)
            *search->variable = first;
        find_elsewhere(search, &child, in, names, count);
    }
}

bool variable_find_near(const struct scene *scene, const char *name, struct variable *variable)
{
    Dwarf_Die whole = scene->whole;
    struct search search = {.scene = scene,
                            .module = scene->module,
                            .symbols = scene->symbols,
                            .name = name,
                            .variable = variable,
                            .unit = &whole,
                            .imports = IMPORTS_SEEN};
    if (!scene->has_dwarf)
        return false;
    *variable = (struct variable){.name = name};
    bool is_global = strncmp(name, "::", 2) == 0;
    for (size_t i = is_global ? 0 : scene->scope_count; i-- > 0;) {
        Dwarf_Die scope = scene->scopes[i];
        if (!find_in(&search, &scope, name))
            continue;
        variable->scope = i;
        variable->is_parameter =
            variable->kind == VARIABLE_DATA && dwarf_tag(&variable->die) == DW_TAG_formal_parameter;
        variable->is_local = variable->kind == VARIABLE_DATA;
        return true;
    }
    const char *inside = is_global ? "" : scene->types.inside;
    search.name = name + (is_global ? 2 : 0);
    do {
        if (find_in(&search, &whole, type_qualify(scene->types.arena, inside, search.name)))
            return true;
    } while (type_leave(scene->types.arena, &inside));
    return false;
}

static bool find_in_units(const struct scene *scene, struct module *module, bool external_only, const char *name,
                          struct variable *variable)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die die, whole;
    struct symbols *symbols = module_symbols(scene->modules, module);
    struct search search = {.scene = scene,
                            .module = module,
                            .symbols = symbols,
                            .name = name,
                            .variable = variable,
                            .external_only = external_only,
                            .unit = &whole,
                            .imports = IMPORTS_INSIDE};
    if (symbols == NULL || !symbols_load_dwarf(symbols))
        return false;
    while (symbols_next_unit(symbols, &unit, &die, &whole))
        if (find_in(&search, &whole, name))
            return true;
    variable->is_only_declared |= search.is_declared;
    return false;
}

static bool find_in_module(const struct scene *scene, struct module *module, const char *name,
                           struct variable *variable)
{
    bool is_global = strncmp(name, "::", 2) == 0;
    const char *inside = is_global ? "" : scene->types.inside, *own = name + (is_global ? 2 : 0), *names = NULL;
    unsigned count = 0;
    do {
        const char *full = type_qualify(scene->types.arena, inside, own);
        if (find_in_units(scene, module, true, full, variable) || find_in_units(scene, module, false, full, variable))
            return true;
    } while (type_leave(scene->types.arena, &inside));
    Dwarf_CU *unit = NULL;
    Dwarf_Die die, whole;
    struct symbols *symbols = module_symbols(scene->modules, module);
    struct search search = {
        .scene = scene, .module = module, .symbols = symbols, .name = own, .variable = variable, .unit = &whole};
    if (is_global || symbols == NULL || !symbols_load_dwarf(symbols))
        return false;
    while (symbols_next_unit(symbols, &unit, &die, &whole))
        find_elsewhere(&search, &whole, "", &names, &count);
    if (count > 1)
        variable->ambiguous = names;
    return count == 1;
}

bool variable_find_far(const struct scene *scene, const char *name, struct variable *variable)
{
    struct module *program = modules_program(scene->modules), *module;
    unsigned char type;
    *variable = (struct variable){.name = name, .is_only_declared = false};
    if (scene->module != NULL && find_in_module(scene, scene->module, name, variable))
        return true;
    if (variable->ambiguous == NULL && program != NULL && program != scene->module &&
        find_in_module(scene, program, name, variable))
        return true;
    if (variable->ambiguous != NULL || !find_symbol_anywhere(scene, name, &module, &variable->value, &type))
        return false;
    /* Its file's debug information is only opened now that it is known to have it. */
    if (module != scene->module && module != program && find_in_units(scene, module, true, name, variable))
        return true;
    *variable = (struct variable){.name = name, .value = variable->value, .module = module};
    if (variable->value == 0)
        find_symbol_anywhere(scene, name, &module, &variable->value, &type);
    struct type *made = arena_alloc(scene->types.arena, 1, sizeof *made);
    bool is_function = type == STT_FUNC || type == STT_GNU_IFUNC;
    made->kind = is_function ? TYPE_FUNCTION : TYPE_UNTYPED;
    made->size = is_function;
    variable->kind = is_function ? VARIABLE_FUNCTION : VARIABLE_ADDRESS;
    variable->type = made;
    return true;
}

/* ---- Names that are like one that is not there ---- */

static void each_name_in(Dwarf_Die *scope, void (*found)(const char *name, void *arg), void *arg)
{
    Dwarf_Die child;
    for (int result = dwarf_child(scope, &child); result == 0; result = dwarf_siblingof(&child, &child)) {
        int tag = dwarf_tag(&child);
        const char *name = dwarf_diename(&child);
        if (tag == DW_TAG_namespace || tag == DW_TAG_enumeration_type)
            each_name_in(&child, found, arg);
        else if (name != NULL && (tag == DW_TAG_variable || tag == DW_TAG_formal_parameter || tag == DW_TAG_enumerator))
            found(name, arg);
    }
}

void variable_each_name(const struct scene *scene, void (*found)(const char *name, void *arg), void *arg)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die die, whole;
    for (size_t i = 0; i < scene->machine->count; i++)
        found(scene->machine->registers[i].name, arg);
    if (!scene->has_dwarf)
        return;
    for (size_t i = scene->scope_count; i-- > 0;)
        each_name_in(&scene->scopes[i], found, arg);
    while (symbols_next_unit(scene->symbols, &unit, &die, &whole))
        each_name_in(&whole, found, arg);
}
