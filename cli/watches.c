/* Resolves variables and keeps the watchpoints on them. */
#include "watches.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum {
    SIZE_MAX_ASKED = 32, /* what four debug registers can watch */
    SIZE_MAX_SOFTWARE = 4096,
};
static const char bad_size[] = "the size must be from 1 to 32 bytes, or to 4096 with --software-watch";

/* The colon in front of a size: the last one, if nothing but digits follow. */
static const char *find_size(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0')
        return NULL;
    for (const char *p = colon + 1; *p != '\0'; p++)
        if (!isdigit((unsigned char)*p))
            return NULL;
    return colon;
}

bool watches_add(struct watches *watches, const char *text, const char **why)
{
    const char *colon = find_size(text);
    size_t size = 0;
    if (colon != NULL) {
        errno = 0;
        size = strtoul(colon + 1, NULL, 10);
        *why = bad_size;
        if (errno != 0 || size == 0 || size > SIZE_MAX_SOFTWARE)
            return false;
    }
    struct watch *watch = cli_alloc(1, sizeof *watch);
    char *place = cli_copy(text);
    if (colon != NULL)
        place[colon - text] = '\0';
    bool valid = location_parse(place, &watch->location, why);
    free(place);
    if (valid && watch->location.kind == LOCATION_LINE) {
        *why = "a source line is no variable: name a SYMBOL, or an address";
        location_clear(&watch->location);
        valid = false;
    }
    if (!valid) {
        free(watch);
        return false;
    }
    watch->owner = watches->owner;
    watch->text = cli_copy(text);
    watch->asked_size = size;
    watches->items = cli_grow(watches->items, watches->count, sizeof(void *));
    watches->items[watches->count++] = watch;
    return true;
}

bool watches_check(const struct watches *watches, const char **text, const char **why)
{
    for (size_t i = 0; i < watches->count; i++) {
        *text = watches->items[i]->text;
        *why = bad_size;
        if (!watches->software && watches->items[i]->asked_size > SIZE_MAX_ASKED)
            return false;
    }
    return true;
}

void watches_free(struct watches *watches)
{
    for (size_t i = 0; i < watches->count; i++) {
        struct watch *watch = watches->items[i];
        rein_watchpoint_unref(watch->watchpoint);
        location_clear(&watch->location);
        free(watch->failure);
        free(watch->text);
        free(watch);
    }
    free(watches->items);
}

void watches_want_the_same(struct watches *watches, const struct watches *others, bool in_silence)
{
    watches->software = others->software;
    for (size_t i = 0; i < others->count; i++) {
        const char *why;
        watches_add(watches, others->items[i]->text, &why);
        watches->items[i]->is_silent = in_silence;
    }
}

void watches_give_hits(struct watches *watches, struct watches *to)
{
    for (size_t i = 0; i < watches->count && i < to->count; i++) {
        const struct watch *watch = watches->items[i];
        struct watch *sum = to->items[i];
        sum->earlier += watch_hits(watch);
        if (!watch->found_ever)
            continue;
        sum->found_ever = true;
        sum->address = watch->address;
        sum->size = watch->size;
    }
    watches_free(watches);
    *watches = (struct watches){0};
}

/* ---- Finding ---- */

static void fail_watch(struct watch *watch, char *why)
{
    free(watch->failure);
    watch->failure = why;
    watch->told = false;
}

static void is_wrong(struct watch *watch, char *why)
{
    fail_watch(watch, why);
    watch->is_wrong = true;
}

static void found(struct watch *watch, struct module *module, uint64_t address, size_t size)
{
    free(watch->failure);
    watch->failure = NULL;
    watch->is_wrong = false;
    watch->module = module;
    watch->address = address;
    watch->size = size;
    watch->found = watch->found_ever = true;
}

struct look {
    struct watch *watch;
    struct module *module;
    bool software;
};

static void take_symbol(const struct symbol *symbol, void *arg)
{
    struct look *look = arg;
    struct watch *watch = look->watch;
    const struct location *location = &watch->location;
    const char *name = cli_basename(look->module->path);
    size_t size = watch->asked_size != 0 ? watch->asked_size : (size_t)symbol->size;
    bool is_plain =
        size == 1 || size == 2 || size == 4 || size == 8 || (look->software && size <= SIZE_MAX_SOFTWARE && size);
    if (watch->found || symbol->type == STT_GNU_IFUNC)
        return;
    if (watch->asked_size == 0 && (!is_plain || location->offset != 0))
        is_wrong(watch, cli_format("%s has %" PRIu64 " bytes in %s: say how many are to be watched, as in %s:8",
                                   location->symbol, symbol->size, name, watch->text));
    else
        found(watch, look->module, symbol->address + location->offset + module_bias(look->module), size);
}

static void look_in(struct watches *watches, struct watch *watch, struct module *module, bool deep)
{
    const struct location *location = &watch->location;
    struct look look = {watch, module, watches->software};
    bool program = module == modules_program(watches->modules);
    if (module->is_gone || (location->file != NULL && !location_names_file(location->file, module->path)))
        return;
    struct symbols *symbols = module_symbols(watches->modules, module);
    if (symbols == NULL)
        return;
    if (location->kind == LOCATION_SYMBOL)
        symbols_find(symbols, location->symbol, deep || program ? SYMBOLS_DEBUG : SYMBOLS_OWN, take_symbol, &look);
    else
        found(watch, module, location->address + module_bias(module), watch->asked_size);
}

static void resolve(struct watches *watches, struct watch *watch)
{
    struct module *program = modules_program(watches->modules);
    if (watch->location.kind == LOCATION_ADDRESS && watch->asked_size == 0)
        watch->asked_size = sizeof(rein_word);
    if (watch->location.kind == LOCATION_ADDRESS && watch->location.file == NULL) {
        found(watch, NULL, watch->location.address, watch->asked_size);
        return;
    }
    for (int deep = 0; deep < 2 && !watch->found; deep++) {
        if (program != NULL)
            look_in(watches, watch, program, deep);
        for (size_t i = 0; i < watches->modules->count && !watch->found; i++)
            if (watches->modules->items[i] != program)
                look_in(watches, watch, watches->modules->items[i], deep);
    }
}

void watches_resolve(struct watches *watches)
{
    for (size_t i = 0; i < watches->count; i++) {
        struct watch *watch = watches->items[i];
        if (watch->module != NULL && watch->module->is_gone) {
            watch->module = NULL;
            watch->found = false;
        }
        if (!watch->found)
            resolve(watches, watch);
    }
}

static void forget_watchpoint(struct watch *watch)
{
    watch->earlier += watch->watchpoint == NULL ? 0 : rein_watchpoint_hits(watch->watchpoint);
    rein_watchpoint_unref(watch->watchpoint);
    watch->watchpoint = NULL;
    watch->is_set = false;
}

void watches_forget_program(struct watches *watches)
{
    for (size_t i = 0; i < watches->count; i++) {
        forget_watchpoint(watches->items[i]);
        watches->items[i]->module = NULL;
        watches->items[i]->found = false;
    }
}

/* ---- Watchpoints ---- */

static void set_watch(struct watch *watch, bool software, rein_process *process, rein_watchpoint_callback callback)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = REIN_WATCH_WHILE_RUNNING | (software ? REIN_WATCH_SOFTWARE : 0u);
    options.callback = callback;
    options.arg = watch;
    int result = rein_process_add_watchpoint(process, watch->address, watch->size, REIN_WATCH_WRITE, &options,
                                             &watch->watchpoint);
    watch->is_set = result == 0;
    if (result != 0 && result != REIN_EXITED && watch->failure == NULL)
        fail_watch(watch, cli_format("%s%s", rein_error_message(),
                                     result == REIN_NEVER_FIRES ? ": say --software-watch" : ""));
}

void watches_set(struct watches *watches, rein_process *process, rein_watchpoint_callback callback)
{
    for (size_t i = 0; i < watches->count; i++) {
        struct watch *watch = watches->items[i];
        if (watch->is_set && !watch->found) {
            rein_process_remove_watchpoint(process, watch->watchpoint, REIN_WATCH_WHILE_RUNNING);
            forget_watchpoint(watch);
        }
        if (watch->found && !watch->is_set)
            set_watch(watch, watches->software, process, callback);
    }
}

uint64_t watch_hits(const struct watch *watch)
{
    return watch->earlier + (watch->watchpoint == NULL ? 0 : rein_watchpoint_hits(watch->watchpoint));
}
