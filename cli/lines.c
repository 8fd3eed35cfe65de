/* Source lines, from DWARF: which line an address belongs to, and where the code of a line begins. A table of what
 * each compilation unit covers is made on the first question; .debug_aranges, which clang does not write, is not
 * needed. The line table of a unit is decoded when an address or a file of that unit is asked for. */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "symbols_internal.h"

static int by_low(const void *a, const void *b)
{
    const struct unit *left = a, *right = b;
    return left->low < right->low ? -1 : left->low > right->low;
}

static void add_unit(struct symbols *symbols, Dwarf_Die *die)
{
    Dwarf_Addr base, low, high;
    ptrdiff_t offset = 0;
    while ((offset = dwarf_ranges(die, offset, &base, &low, &high)) > 0) {
        if (low >= high || low == 0) /* 0: a function that the linker has thrown away */
            continue;
        symbols->units = cli_grow(symbols->units, symbols->unit_count, sizeof *symbols->units);
        symbols->units[symbols->unit_count++] = (struct unit){low, high, dwarf_dieoffset(die)};
    }
}

bool symbols_next_unit(struct symbols *symbols, Dwarf_CU **unit, Dwarf_Die *die, Dwarf_Die *whole)
{
    uint8_t kind;
    while (dwarf_get_units(symbols->dwarf, *unit, unit, NULL, &kind, die, whole) == 0) {
        if (kind != DW_UT_compile && kind != DW_UT_skeleton)
            continue;
        if (kind == DW_UT_compile || whole->addr == NULL)
            *whole = *die;
        return true;
    }
    return false;
}

bool symbols_load_dwarf(struct symbols *symbols)
{
    if (symbols->dwarf_loaded)
        return symbols->dwarf != NULL;
    symbols->dwarf_loaded = true;
    Dwfl_Module *module = symbols_module(symbols);
    Dwarf_Addr bias = 0;
    symbols->dwarf = module == NULL ? NULL : dwfl_module_getdwarf(module, &bias);
    if (symbols->dwarf == NULL)
        return false;
    symbols->dwarf_bias = bias;
    Dwarf_CU *unit = NULL;
    Dwarf_Die die, whole;
    while (symbols_next_unit(symbols, &unit, &die, &whole))
        add_unit(symbols, &die);
    if (symbols->unit_count > 0)
        qsort(symbols->units, symbols->unit_count, sizeof *symbols->units, by_low);
    return true;
}

bool symbols_has_lines(struct symbols *symbols)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    size_t names;
    if (elf_getshdrstrndx(symbols->elf, &names) != 0)
        return false;
    while ((section = elf_nextscn(symbols->elf, section)) != NULL) {
        const char *name =
            gelf_getshdr(section, &header) == NULL ? NULL : elf_strptr(symbols->elf, names, header.sh_name);
        if (name != NULL && (strcmp(name, ".debug_line") == 0 || strcmp(name, ".zdebug_line") == 0))
            return true;
    }
    return false;
}

uint64_t symbols_to_dwarf(const struct symbols *symbols, uint64_t address)
{
    return address + symbols->dwfl_bias - symbols->dwarf_bias;
}

uint64_t symbols_from_dwarf(const struct symbols *symbols, uint64_t address)
{
    return address + symbols->dwarf_bias - symbols->dwfl_bias;
}

static bool find_unit(struct symbols *symbols, uint64_t address, Dwarf_Die *die)
{
    size_t low = 0, high = symbols->unit_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->units[middle].low <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address < symbols->units[low - 1].high &&
           dwarf_offdie(symbols->dwarf, symbols->units[low - 1].die, die) != NULL;
}

bool symbols_unit_at(struct symbols *symbols, uint64_t address, Dwarf_Die *die, Dwarf_Die *whole)
{
    uint8_t kind;
    if (!find_unit(symbols, symbols_to_dwarf(symbols, address), die))
        return false;
    if (dwarf_cu_info(die->cu, NULL, &kind, NULL, whole, NULL, NULL, NULL) != 0 || kind == DW_UT_compile ||
        whole->addr == NULL)
        *whole = *die;
    return true;
}

bool symbols_line(struct symbols *symbols, uint64_t address, struct source_line *line)
{
    Dwarf_Die die;
    if (!symbols_load_dwarf(symbols))
        return false;
    address = symbols_to_dwarf(symbols, address);
    if (!find_unit(symbols, address, &die))
        return false;
    Dwarf_Line *entry = dwarf_getsrc_die(&die, address);
    const char *file = entry == NULL ? NULL : dwarf_linesrc(entry, NULL, NULL);
    if (file == NULL || dwarf_lineno(entry, &line->line) != 0 || line->line == 0)
        return false;
    line->file = file;
    if (dwarf_linecol(entry, &line->column) != 0)
        line->column = 0;
    return true;
}

/* ---- From a line to addresses ---- */

/* Copies a path without its "." and "dir/.." components. */
static char *tidy(const char *path)
{
    char *copy = cli_alloc(strlen(path) + 2, 1), *end = copy;
    const char *rest = path;
    if (*rest == '/')
        *end++ = '/';
    char *root = end;
    while (*rest != '\0') {
        size_t length = strcspn(rest, "/");
        if (length == 2 && memcmp(rest, "..", 2) == 0 && end > root &&
            !(end - root >= 3 && strcmp(end - 3, "../") == 0)) {
            end--; /* the slash behind the component that goes */
            while (end > root && end[-1] != '/')
                end--;
        } else if (length > 0 && !(length == 1 && *rest == '.')) {
            memcpy(end, rest, length);
            end += length;
            *end++ = '/';
        }
        *end = '\0';
        rest += length;
        rest += strspn(rest, "/");
    }
    if (end > root)
        end[-1] = '\0'; /* the last slash */
    return copy;
}

/* Does path, tidied, end with the components of wanted, which is tidy? */
static bool path_ends_with(const char *path, const char *wanted)
{
    const char *base = cli_basename(wanted);
    if (strcmp(cli_basename(path), base) != 0) /* almost always enough */
        return false;
    char *tidied = tidy(path);
    size_t length = strlen(tidied), wanted_length = strlen(wanted);
    bool ends = length >= wanted_length && strcmp(tidied + length - wanted_length, wanted) == 0 &&
                (length == wanted_length || wanted[0] == '/' || tidied[length - wanted_length - 1] == '/');
    free(tidied);
    return ends;
}

struct place { /* an address, and the function, or the inlined copy of one, that it is in */
    uint64_t address;
    Dwarf_Off function;
    uint64_t range; /* where the stretch of that function's code begins */
};

struct line_search {
    struct symbols *symbols;
    const char *file;
    int wanted;
    bool any_entry; /* not only those where a statement begins */
    bool file_known;
    int next; /* the first line behind wanted that has code, INT_MAX: none */
    int last; /* the last one before, 0: none */
    struct place *places;
    size_t count;
};

/* The innermost function around an address. One that is cut in two (a hot part and a cold one) counts as two. */
static void find_function(Dwarf_Die *unit, uint64_t address, struct place *place)
{
    Dwarf_Die *scopes = NULL;
    int count = dwarf_getscopes(unit, address, &scopes);
    for (int i = 0; i < count; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine)
            continue;
        place->function = dwarf_dieoffset(&scopes[i]);
        Dwarf_Addr base, low, high;
        ptrdiff_t offset = 0;
        while ((offset = dwarf_ranges(&scopes[i], offset, &base, &low, &high)) > 0)
            if (address >= low && address < high)
                place->range = low;
        break;
    }
    free(scopes);
}

static void add_place(struct line_search *search, Dwarf_Die *unit, uint64_t address)
{
    struct place place = {address, 0, 0};
    find_function(unit, address, &place);
    for (size_t i = 0; i < search->count; i++) {
        struct place *other = &search->places[i];
        if (other->address == address)
            return;
        if (other->function == place.function && other->range == place.range) {
            if (address < other->address)
                other->address = address;
            return;
        }
    }
    search->places = cli_grow(search->places, search->count, sizeof *search->places);
    search->places[search->count++] = place;
}

static void search_unit(struct line_search *search, Dwarf_Die *unit, Dwarf_Die *whole)
{
    Dwarf_Lines *lines;
    size_t count;
    if (dwarf_getsrclines(unit, &lines, &count) != 0)
        return;
    const char *last = NULL; /* libdw gives the same pointer for the same file */
    bool matches = false;
    for (size_t i = 0; i < count; i++) {
        Dwarf_Line *entry = dwarf_onesrcline(lines, i);
        const char *file = dwarf_linesrc(entry, NULL, NULL);
        if (file == NULL)
            continue;
        if (file != last) {
            last = file;
            matches = path_ends_with(file, search->file);
        }
        bool statement, end;
        int line;
        Dwarf_Addr address;
        if (!matches)
            continue;
        search->file_known = true;
        if (dwarf_linebeginstatement(entry, &statement) != 0 || dwarf_lineendsequence(entry, &end) != 0 ||
            dwarf_lineno(entry, &line) != 0 || dwarf_lineaddr(entry, &address) != 0 || end ||
            (!statement && !search->any_entry))
            continue;
        if (!symbols_is_code(search->symbols, symbols_from_dwarf(search->symbols, address)))
            continue; /* of a function that the linker has thrown away */
        if (line == search->wanted)
            add_place(search, whole, address);
        else if (line > search->wanted && line < search->next)
            search->next = line;
        else if (line < search->wanted && line > search->last)
            search->last = line;
    }
}

static void search_units(struct line_search *search, bool everywhere)
{
    Dwarf_CU *unit = NULL;
    Dwarf_Die die, whole;
    while (symbols_next_unit(search->symbols, &unit, &die, &whole)) {
        const char *name = dwarf_diename(&die);
        if (everywhere || (name != NULL && strcmp(cli_basename(name), cli_basename(search->file)) == 0))
            search_unit(search, &die, &whole);
    }
}

static int by_place(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    return left->address < right->address ? -1 : left->address > right->address;
}

enum symbols_line_result symbols_find_line(struct symbols *symbols, const char *file, bool everywhere, int *line,
                                           uint64_t **addresses, size_t *count)
{
    *addresses = NULL;
    *count = 0;
    if (!symbols_load_dwarf(symbols))
        return SYMBOLS_NO_FILE;
    char *wanted = tidy(file);
    struct line_search search = {.symbols = symbols, .file = wanted, .wanted = *line, .next = __INT_MAX__};
    search_units(&search, everywhere);
    if (search.count == 0 && search.file_known) { /* optimised so that no statement begins there? */
        search.any_entry = true;
        search_units(&search, everywhere);
    }
    if (search.count == 0 && search.next != __INT_MAX__) {
        *line = search.wanted = search.next;
        search_units(&search, everywhere);
    }
    free(wanted);
    if (search.count == 0)
        *line = search.last;
    if (search.count == 0)
        return search.file_known ? SYMBOLS_NO_LINE : SYMBOLS_NO_FILE;
    qsort(search.places, search.count, sizeof *search.places, by_place);
    *addresses = cli_alloc(search.count, sizeof **addresses);
    for (size_t i = 0; i < search.count; i++)
        (*addresses)[i] = symbols_from_dwarf(symbols, search.places[i].address);
    *count = search.count;
    free(search.places);
    return SYMBOLS_LINE_FOUND;
}

void symbols_each_source(struct symbols *symbols, void (*found)(const char *file, void *arg), void *arg)
{
    if (!symbols_load_dwarf(symbols))
        return;
    Dwarf_CU *unit = NULL;
    Dwarf_Die die, whole;
    while (symbols_next_unit(symbols, &unit, &die, &whole)) {
        const char *name = dwarf_diename(&die);
        if (name != NULL)
            found(name, arg);
    }
}

static int is_inlined(Dwarf_Die *function, void *arg)
{
    const char *name = dwarf_diename(function);
    return name != NULL && strcmp(name, arg) == 0 && dwarf_func_inline(function) != 0 ? DWARF_CB_ABORT : DWARF_CB_OK;
}

bool symbols_is_inlined(struct symbols *symbols, const char *name)
{
    if (!symbols_load_dwarf(symbols))
        return false;
    char *copy = cli_copy(name);
    bool found = false;
    Dwarf_CU *unit = NULL;
    Dwarf_Die die, whole;
    while (!found && symbols_next_unit(symbols, &unit, &die, &whole))
        found = dwarf_getfuncs(&whole, is_inlined, copy, 0) > 0;
    free(copy);
    return found;
}
