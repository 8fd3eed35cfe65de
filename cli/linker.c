/* Finds the run-time linker's function for debuggers. glibc and musl both call _dl_debug_state when they are about to
 * change the list of libraries and again when they have; glibc's second call comes before the new libraries' constructors
 * run, and so does musl's. The linker is the file at AT_BASE; a program without one is static, or the linker itself, run
 * as a command. A linker without that symbol has left the function's address in struct r_debug (link.h), which the
 * program's DT_DEBUG points to once the linker has got that far. */
#include "linker.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>

#include "cli.h"

struct search {
    const char *name;
    unsigned char type;
    uint64_t address; /* 0: not found */
};

static void take(const struct symbol *symbol, void *arg)
{
    struct search *search = arg;
    if (symbol->type == search->type)
        search->address = symbol->address;
}

static uint64_t find(struct symbols *symbols, const char *name, unsigned char type)
{
    struct search search = {name, type, 0};
    symbols_find(symbols, name, SYMBOLS_OWN, take, &search);
    if (search.address == 0)
        symbols_find(symbols, name, SYMBOLS_DEBUG, take, &search);
    return search.address;
}

bool linker_read_word(rein_process *process, uint64_t address, bool is_64_bit, uint64_t *value)
{
    uint32_t small;
    if (is_64_bit)
        return rein_process_read(process, address, value, sizeof *value, NULL) == 0;
    if (rein_process_read(process, address, &small, sizeof small, NULL) != 0)
        return false;
    *value = small;
    return true;
}

/* struct r_debug has an int, then the list, the function, and an enumeration: each at a multiple of the word. */
enum { R_DEBUG_FUNCTION = 2, R_DEBUG_STATE = 3 };

static void find_by_dt_debug(struct modules *modules, rein_process *process, struct linker *linker)
{
    struct module *program = modules_program(modules);
    struct symbols *symbols = program == NULL ? NULL : module_symbols(modules, program);
    if (symbols == NULL || symbols_dynamic(symbols) == 0)
        return;
    bool wide = symbols_is_64_bit(symbols);
    uint64_t word = wide ? 8 : 4, tag, debug = 0, notify;
    uint64_t entry = symbols_dynamic(symbols) + module_bias(program);
    for (; linker_read_word(process, entry, wide, &tag) && tag != DT_NULL; entry += 2 * word)
        if (tag == DT_DEBUG && !linker_read_word(process, entry + word, wide, &debug))
            return;
    if (debug == 0 || !linker_read_word(process, debug + R_DEBUG_FUNCTION * word, wide, &notify) || notify == 0)
        return;
    linker->notify = notify;
    linker->state = debug + R_DEBUG_STATE * word;
}

void linker_find(struct modules *modules, rein_process *process, struct linker *linker)
{
    *linker = (struct linker){0};
    struct module *program = modules_program(modules);
    struct module *module = modules->interpreter != 0 ? modules_at(modules, modules->interpreter) : program;
    struct symbols *symbols = module == NULL ? NULL : module_symbols(modules, module);
    linker->loads_at_start = modules->interpreter != 0;
    if (symbols != NULL) {
        uint64_t notify = find(symbols, "_dl_debug_state", STT_FUNC);
        uint64_t debug = find(symbols, "_r_debug", STT_OBJECT);
        uint64_t word = symbols_is_64_bit(symbols) ? 8 : 4;
        if (notify != 0)
            linker->notify = notify + module_bias(module);
        if (debug != 0)
            linker->state = debug + module_bias(module) + R_DEBUG_STATE * word;
        /* The linker run as a command is a library by its dynamic section, and exports what a static program
         * that was linked with libdl only has inside. */
        if (modules->interpreter == 0 && symbols_soname(symbols) != NULL)
            linker->loads_at_start = true;
    }
    if (linker->notify == 0 && process != NULL)
        find_by_dt_debug(modules, process, linker);
}

bool linker_is_consistent(const struct linker *linker, rein_process *process)
{
    uint64_t state;
    return linker->state == 0 || !linker_read_word(process, linker->state, false, &state) || state == RT_CONSISTENT;
}
