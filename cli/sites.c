/* Resolves locations and keeps the breakpoints where they should be. Symbols are looked for in the program with all that
 * is known of it, in libraries first by what they export or have in themselves; their separate debug files, which are
 * large, are opened only for a location that is found nowhere else. */
#include "sites.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "linker.h"
#include "site_code.h"

/* The condition in "LOCATION if CONDITION"; NULL: there is none. *length is the location's, 0 if there is only a
 * condition: nothing in C is called if. */
static const char *find_condition(const char *text, size_t *length)
{
    for (const char *at = text; (at = strstr(at, "if")) != NULL; at += 2) {
        bool alone = (at == text || isspace((unsigned char)at[-1])) &&
                     (at[2] == '\0' || at[2] == '(' || isspace((unsigned char)at[2]));
        if (!alone)
            continue;
        *length = (size_t)(at - text);
        while (*length > 0 && isspace((unsigned char)text[*length - 1]))
            --*length;
        at += 2;
        return at + strspn(at, " \t\n");
    }
    *length = strlen(text);
    return NULL;
}

bool sites_add(struct sites *sites, const char *text, struct rule *rule, char **why)
{
    struct location location;
    const char *wrong;
    size_t length;
    const char *condition = find_condition(text, &length);
    if (condition != NULL && length == 0) {
        struct expression_error error = {.at = strspn(text, " \t\n")};
        char *shown = expression_show(text, &error);
        *why = cli_format("a condition stands behind a place, and none is in front of it\n%s", shown);
        free(shown);
        return false;
    }
    char *place = cli_format("%.*s", (int)length, text);
    bool is_location = location_parse(place, &location, &wrong);
    free(place);
    if (!is_location) {
        *why = cli_copy(wrong);
        return false;
    }
    rule->condition = condition;
    sites->wanted = cli_grow(sites->wanted, sites->wanted_count, sizeof *sites->wanted);
    sites->wanted[sites->wanted_count++] = (struct wanted){.location = location, .rule = rule};
    return true;
}

static void free_site(struct site *site)
{
    for (size_t i = 0; i < site->thread_room; i++)
        rein_thread_unref(site->threads[i].thread);
    for (struct rule_link *link = atomic_load(&site->rules), *next; link != NULL; link = next) {
        next = link->next;
        free(link);
    }
    rein_breakpoint_unref(site->breakpoint);
    site_code_free(site->code);
    site_code_free(site->next_code);
    free(site->threads);
    free(site->location);
    free(site->label);
    free(site->symbol);
    free(site->source);
    free(site->failure);
    free(site);
}

void sites_free(struct sites *sites)
{
    for (size_t i = 0; i < sites->count; i++)
        free_site(sites->items[i]);
    for (size_t i = 0; i < sites->wanted_count; i++) {
        location_clear(&sites->wanted[i].location);
        free(sites->wanted[i].note);
    }
    free(sites->items);
    free(sites->wanted);
}

void sites_want_the_same(struct sites *sites, const struct sites *others, bool in_silence)
{
    sites->wanted = cli_alloc(others->wanted_count + 1, sizeof *sites->wanted);
    for (size_t i = 0; i < others->wanted_count; i++) {
        struct wanted *wanted = &sites->wanted[sites->wanted_count++];
        const char *why;
        *wanted = (struct wanted){.rule = others->wanted[i].rule, .warned = in_silence, .note_told = in_silence};
        location_parse(others->wanted[i].location.text, &wanted->location, &why);
    }
}

/* ---- Making sites ---- */

struct site *sites_at(const struct sites *sites, uint64_t address)
{
    for (size_t i = 0; i < sites->count; i++)
        if (sites->items[i]->address == address && sites->items[i]->is_set)
            return sites->items[i];
    return NULL;
}

static struct site *find_site(const struct sites *sites, const char *path, uint64_t own, uint64_t address)
{
    for (size_t i = 0; i < sites->count; i++) {
        struct site *site = sites->items[i];
        bool mapped = site->module != NULL || site->is_set;
        if (mapped && site->address == address) /* whatever it was found by */
            return site;
        /* Not if it is mapped elsewhere: this is a second copy then (dlmopen). */
        if (!mapped && site->own == own &&
            (site->path == NULL ? path == NULL : path != NULL && strcmp(site->path, path) == 0))
            return site;
    }
    return NULL;
}

static void describe_site(struct sites *sites, struct site *site)
{
    struct described is;
    modules_describe(sites->modules, site->address, &is);
    free(site->label);
    site->label = modules_describe_text(sites->modules, site->address);
    if (is.symbol != NULL && site->symbol == NULL) {
        site->symbol = cli_format("%.*s", (int)is.symbol->name_length, is.symbol->name);
        site->offset = is.offset;
    }
    if (is.has_line && site->source == NULL) {
        site->source = cli_copy(is.line.file);
        site->line = is.line.line;
    }
}

/* Is text one of the texts in list, which are separated by ", "? */
static bool is_listed(const char *list, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = list; (at = strstr(at, text)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == '\0' || at[length] == ','))
            return true;
    return false;
}

static void add_rule(struct site *site, struct rule *rule)
{
    struct rule_link *first = atomic_load(&site->rules), *link = first;
    while (link != NULL && link->rule != rule)
        link = link->next;
    if (link != NULL)
        return;
    link = cli_alloc(1, sizeof *link);
    *link = (struct rule_link){rule, first};
    atomic_store(&site->rules, link);
    site->is_made = false;
}

/* address is in the process; the site is known by path and own. */
static void make_site(struct sites *sites, struct wanted *wanted, struct module *module, uint64_t address,
                      const char *path, uint64_t own)
{
    struct site *site = find_site(sites, path, own, address);
    if (site == NULL) {
        site = cli_alloc(1, sizeof *site);
        *site = (struct site){
            .owner = sites->owner,
            .location = cli_copy(wanted->location.text),
            .path = path,
            .own = own,
            .address = address,
        };
        describe_site(sites, site);
        site->next = atomic_load(&sites->newest);
        atomic_store(&sites->newest, site);
        sites->items = cli_grow(sites->items, sites->count, sizeof(void *));
        sites->items[sites->count++] = site;
    } else if (!is_listed(site->location, wanted->location.text)) {
        char *both = cli_format("%s, %s", site->location, wanted->location.text);
        free(site->location);
        site->location = both;
    }
    add_rule(site, wanted->rule);
    bool appeared = site->path == NULL && site->module == NULL && module != NULL;
    site->module = module;
    site->address = address;
    if (appeared) /* an absolute address: now there is something to say about it */
        describe_site(sites, site);
    wanted->found++;
    wanted->found_ever = true;
}

static void make_site_in(struct sites *sites, struct wanted *wanted, struct module *module, uint64_t own)
{
    make_site(sites, wanted, module, own + module_bias(module), module->path, own);
}

static void set_note(struct wanted *wanted, bool is_wrong, char *note)
{
    if (wanted->note == NULL) {
        wanted->note = note;
        wanted->is_wrong = is_wrong;
    } else {
        free(note);
    }
}

/* ---- Looking in one module ---- */

struct look {
    struct sites *sites;
    struct wanted *wanted;
    struct module *module;
};

static void take_symbol(const struct symbol *symbol, void *arg)
{
    struct look *look = arg;
    const struct location *location = &look->wanted->location;
    uint64_t own = symbol->address + location->offset;
    struct symbols *symbols = module_symbols(look->sites->modules, look->module);
    const char *name = cli_basename(look->module->path);
    if (symbol->type == STT_GNU_IFUNC) {
        look->wanted->ifunc = look->module;
        look->wanted->resolver = symbol->address;
    } else if (symbols_is_code(symbols, own)) {
        make_site_in(look->sites, look->wanted, look->module, own);
    } else if (location->offset == 0) {
        set_note(look->wanted, true, cli_format("%s is data in %s, not a function", location->symbol, name));
    } else {
        set_note(look->wanted, true,
                 cli_format("%s: %s+0x%" PRIx64 " is outside the code of %s", location->text, location->symbol,
                            location->offset, name));
    }
}

static void look_for_line(struct look *look, struct symbols *symbols, bool everywhere)
{
    const struct location *location = &look->wanted->location;
    int line = location->line;
    uint64_t *addresses;
    size_t count;
    enum symbols_line_result result = symbols_find_line(symbols, location->file, everywhere, &line, &addresses, &count);
    if (result == SYMBOLS_NO_LINE)
        set_note(look->wanted, true,
                 cli_format("%s has no code from line %d on; the last with code is %d", location->file, location->line,
                            line));
    if (result == SYMBOLS_LINE_FOUND && line != location->line)
        set_note(look->wanted, false,
                 cli_format("%s has no code; the breakpoint is at line %d, the next that has", location->text, line));
    for (size_t i = 0; i < count; i++)
        make_site_in(look->sites, look->wanted, look->module, addresses[i]);
    free(addresses);
}

static void look_in(struct look *look, bool deep)
{
    const struct location *location = &look->wanted->location;
    bool program = look->module == modules_program(look->sites->modules);
    if (location->kind == LOCATION_ADDRESS && location->file == NULL)
        return;
    if (location->kind != LOCATION_LINE && location->file != NULL &&
        !location_names_file(location->file, look->module->path))
        return;
    struct symbols *symbols = module_symbols(look->sites->modules, look->module);
    if (symbols == NULL)
        return;
    if (location->kind == LOCATION_SYMBOL)
        symbols_find(symbols, location->symbol, deep || program ? SYMBOLS_DEBUG : SYMBOLS_OWN, take_symbol, look);
    else if (location->kind == LOCATION_LINE && (deep || program || symbols_has_lines(symbols)))
        look_for_line(look, symbols, deep);
    else if (location->kind == LOCATION_LINE)
        return;
    else if (symbols_is_code(symbols, location->address))
        make_site_in(look->sites, look->wanted, look->module, location->address);
    else
        set_note(look->wanted, true, cli_format("%s: there is no code at that address", location->text));
}

static void look_for_address(struct sites *sites, struct wanted *wanted)
{
    uint64_t address = wanted->location.address;
    make_site(sites, wanted, modules_at(sites->modules, address), address, NULL, address);
}

/* ---- Indirect functions ---- */

struct slot_search {
    uint64_t slots[8];
    size_t count;
};

static void take_slot(uint64_t slot, void *arg)
{
    struct slot_search *search = arg;
    if (search->count < sizeof search->slots / sizeof search->slots[0])
        search->slots[search->count++] = slot;
}

struct name_list {
    const char *prefix;
    char *text;
    size_t count;
};

static void take_implementation(const struct symbol *symbol, void *arg)
{
    struct name_list *list = arg;
    size_t length = strlen(list->prefix);
    if (symbol->type != STT_FUNC || symbol->name_length <= length + 3 || strncmp(symbol->name, "__", 2) != 0 ||
        strncmp(symbol->name + 2, list->prefix, length) != 0 || symbol->name[length + 2] != '_')
        return;
    char *name = cli_format("%.*s", (int)symbol->name_length, symbol->name);
    if (!is_listed(list->text, name) && list->count++ < 12) {
        char *text = cli_format("%s%s%s", list->text, *list->text == '\0' ? "" : ", ", name);
        free(list->text);
        list->text = text;
    }
    free(name);
}

/* The symbol of an indirect function is its resolver, which picks an implementation for this processor; the linker
 * calls it once and keeps the answer. If the answer is in memory, the breakpoint goes there. */
static void resolve_ifunc(struct sites *sites, struct wanted *wanted, rein_process *process)
{
    struct symbols *symbols = module_symbols(sites->modules, wanted->ifunc);
    uint64_t bias = module_bias(wanted->ifunc), value;
    struct slot_search search = {.count = 0};
    if (process != NULL && wanted->location.offset == 0)
        symbols_ifunc_slots(symbols, wanted->resolver, take_slot, &search);
    for (size_t i = 0; i < search.count; i++) {
        if (!linker_read_word(process, search.slots[i] + bias, symbols_is_64_bit(symbols), &value) ||
            value == symbols_initial_word(symbols, search.slots[i])) /* not filled yet */
            continue;
        struct module *module = modules_at(sites->modules, value);
        struct symbols *others = module == NULL ? NULL : module_symbols(sites->modules, module);
        if (others == NULL || !symbols_is_code(others, value - module_bias(module)) || value == wanted->resolver + bias)
            continue;
        char *where = modules_describe_text(sites->modules, value);
        set_note(
            wanted, false,
            cli_format("%s in %s is an indirect function (IFUNC); the breakpoint is at the implementation that was "
                       "picked for this processor, %s, which other functions may share",
                       wanted->location.symbol, cli_basename(wanted->ifunc->path), where));
        free(where);
        make_site_in(sites, wanted, module, value - module_bias(module));
        wanted->ifunc = NULL;
        return;
    }
}

static void explain_ifunc(struct sites *sites, struct wanted *wanted)
{
    struct name_list list = {wanted->location.symbol, cli_copy(""), 0};
    symbols_each(module_symbols(sites->modules, wanted->ifunc), SYMBOLS_DEBUG, take_implementation, &list);
    set_note(wanted, false,
             cli_format("%s in %s is an indirect function (IFUNC): its symbol is a resolver that picks one of several "
                        "implementations, and which one cannot be told now. %s%s%s",
                        wanted->location.symbol, cli_basename(wanted->ifunc->path),
                        list.count > 0 ? "Name one of them instead: " : "None of their symbols is in the file.",
                        list.text, list.count > 12 ? ", ..." : ""));
    free(list.text);
}

/* ---- All locations ---- */

static void look_everywhere(struct sites *sites, struct wanted *wanted, bool deep)
{
    for (size_t i = 0; i < sites->modules->count; i++) {
        struct look look = {sites, wanted, sites->modules->items[i]};
        if (look.module->is_new)
            look_in(&look, deep);
    }
}

static void resolve(struct sites *sites, struct wanted *wanted, rein_process *process)
{
    if (wanted->ifunc != NULL && wanted->ifunc->is_gone)
        wanted->ifunc = NULL;
    if (wanted->location.kind == LOCATION_ADDRESS && wanted->location.file == NULL) {
        look_for_address(sites, wanted);
        return;
    }
    look_everywhere(sites, wanted, false);
    if (wanted->found == 0 && wanted->ifunc == NULL && wanted->location.kind != LOCATION_ADDRESS)
        look_everywhere(sites, wanted, true);
    if (wanted->ifunc != NULL)
        resolve_ifunc(sites, wanted, process);
    if (wanted->ifunc != NULL && sites->complete)
        explain_ifunc(sites, wanted);
}

void sites_resolve(struct sites *sites, rein_process *process)
{
    for (size_t i = 0; i < sites->count; i++) {
        struct site *site = sites->items[i];
        if (site->module != NULL && site->module->is_gone) {
            site->module = NULL;
            site->is_stale = true;
        }
    }
    for (size_t i = 0; i < sites->wanted_count; i++)
        resolve(sites, &sites->wanted[i], process);
}

/* What it has counted is kept. */
static void forget_breakpoint(struct site *site)
{
    site->earlier = site_counts(site);
    rein_breakpoint_unref(site->breakpoint);
    site->breakpoint = NULL;
    site->by_linker.hits = site->by_linker.executions = site->by_linker.errors = 0;
}

void sites_forget_program(struct sites *sites)
{
    for (size_t i = 0; i < sites->count; i++) {
        struct site *site = sites->items[i];
        forget_breakpoint(site);
        site->module = NULL;
        site->is_set = site->is_stale = site->is_made = false;
    }
    for (size_t i = 0; i < sites->wanted_count; i++) {
        sites->wanted[i].found = 0;
        sites->wanted[i].ifunc = NULL;
    }
}

/* ---- Breakpoints ---- */

static bool wants_code(const struct site *site)
{
    for (const struct rule_link *link = atomic_load(&site->rules); link != NULL; link = link->next)
        if (link->rule->condition != NULL || link->rule->print_count > 0)
            return true;
    return false;
}

/* The rules in the order in which they have come. To be freed. */
static const struct rule **rules_of(const struct site *site, size_t *count)
{
    const struct rule_link *first = atomic_load(&site->rules);
    *count = 0;
    for (const struct rule_link *link = first; link != NULL; link = link->next)
        ++*count;
    const struct rule **rules = cli_alloc(*count, sizeof(void *));
    size_t at = *count;
    for (const struct rule_link *link = first; link != NULL; link = link->next)
        rules[--at] = link->rule;
    return rules;
}

void sites_make_code(struct sites *sites, const struct machine *machine, bool may_wait)
{
    for (size_t i = 0; i < sites->count && machine != NULL; i++) {
        struct site *site = sites->items[i];
        bool is_mapped = site->module != NULL || site->path == NULL, may_come;
        char *why;
        if (!is_mapped || !wants_code(site) || (site->is_made && site->made_for == site->address))
            continue;
        size_t count;
        const struct rule **rules = rules_of(site, &count);
        struct site_code *code = site_code_make(rules, count, site->location, sites->modules, site->module,
                                                site->address, machine, &why, &may_come);
        free(rules);
        if (code == NULL && may_come && may_wait) {
            free(why);
            continue;
        }
        site_code_free(site->next_code);
        site->next_code = code;
        site->is_made = true;
        site->made_for = site->address;
        site->is_impossible = code == NULL;
        if (code == NULL) {
            free(site->failure);
            site->failure = why;
        }
    }
}

/* On the monitor: from now on the next hit goes by the code that was made. */
static void take_code(struct site *site)
{
    if (site->next_code == NULL)
        return;
    site->next_code->older = site->code;
    site->code = site->next_code;
    site->next_code = NULL;
    if (site->is_set && site->breakpoint != NULL)
        rein_breakpoint_set_condition(site->breakpoint, site->code->condition);
}

static void set_site(struct site *site, rein_process *process, rein_breakpoint_callback callback, uint64_t other)
{
    if (wants_code(site) && (!site->is_made || site->made_for != site->address || site->is_impossible))
        return;
    if (site->address == other) { /* the linker's breakpoint serves this one too */
        site->is_set = true;
        return;
    }
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = callback;
    options.arg = site;
    options.condition = site->code == NULL ? NULL : site->code->condition;
    forget_breakpoint(site);
    int result = rein_process_add_breakpoint(process, site->address, &options, &site->breakpoint);
    site->is_set = result == 0;
    free(site->failure);
    site->failure = result == 0 || result == REIN_EXITED ? NULL : strdup(rein_error_message());
}

void sites_set(struct sites *sites, rein_process *process, rein_breakpoint_callback callback, uint64_t other)
{
    for (size_t i = 0; i < sites->count; i++) {
        struct site *site = sites->items[i];
        if (site->is_set && site->is_stale) {
            if (site->address != other)
                rein_process_remove_breakpoint(process, site->address, REIN_BREAKPOINT_WHILE_RUNNING);
            site->is_set = false;
        }
        site->is_stale = false;
        take_code(site);
        bool is_done = site_is_done(site);
        if (site->is_over && !is_done) /* another location has come to the same place */
            site->is_over = site->is_set = false;
        if (!site->is_set && !is_done && (site->module != NULL || site->path == NULL))
            set_site(site, process, callback, other);
    }
}

bool site_is_done(const struct site *site)
{
    for (struct rule_link *link = atomic_load(&site->rules); link != NULL; link = link->next)
        if (!rule_is_done(link->rule))
            return false;
    return true;
}

void sites_take_out_done(struct sites *sites, rein_process *process)
{
    for (struct site *site = atomic_load(&sites->newest); site != NULL; site = site->next) {
        if (site->is_over || site->breakpoint == NULL || !site_is_done(site))
            continue;
        site->is_over = true;
        rein_process_remove_breakpoint(process, site->address, REIN_BREAKPOINT_WHILE_RUNNING);
    }
}

struct site_counts site_counts(const struct site *site)
{
    struct site_counts counts = site->earlier;
    struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
    counts.hits += site->by_linker.hits;
    counts.executions += site->by_linker.executions;
    counts.errors += site->by_linker.errors;
    if (site->breakpoint == NULL || rein_breakpoint_info(site->breakpoint, &info) != 0)
        return counts;
    counts.hits += info.matched;
    counts.executions += info.hits;
    counts.errors += info.errors;
    return counts;
}

uint64_t site_hits(const struct site *site)
{
    return site_counts(site).hits;
}

char *site_condition(const struct site *site)
{
    char *all = NULL;
    size_t count;
    const struct rule **rules = rules_of(site, &count);
    for (size_t i = 0; i < count; i++) {
        char *longer = rules[i]->condition == NULL
                           ? NULL
                           : cli_format("%s%s%s", all == NULL ? "" : all, all == NULL ? "" : ", ", rules[i]->condition);
        free(all);
        all = longer;
        if (all == NULL)
            break;
    }
    free(rules);
    return all;
}

/* ---- Counts by thread ---- */

static struct thread_count *find_thread(struct thread_count *table, size_t room, rein_thread *thread)
{
    size_t at = (size_t)(((uintptr_t)thread >> 4) * 0x9e3779b97f4a7c15u >> 20) & (room - 1);
    while (table[at].thread != NULL && table[at].thread != thread)
        at = (at + 1) & (room - 1);
    return &table[at];
}

static bool grow_threads(struct site *site)
{
    size_t room = site->thread_room == 0 ? 16 : 2 * site->thread_room;
    struct thread_count *table = calloc(room, sizeof *table);
    if (table == NULL)
        return false;
    for (size_t i = 0; i < site->thread_room; i++)
        if (site->threads[i].thread != NULL)
            *find_thread(table, room, site->threads[i].thread) = site->threads[i];
    free(site->threads);
    site->threads = table;
    site->thread_room = room;
    return true;
}

void site_count_thread(struct site *site, rein_thread *thread)
{
    if (2 * site->thread_count >= site->thread_room && !grow_threads(site) &&
        site->thread_count + 1 >= site->thread_room)
        return;
    struct thread_count *count = find_thread(site->threads, site->thread_room, thread);
    if (count->thread == NULL) {
        count->thread = rein_thread_ref(thread);
        site->thread_count++;
    }
    count->hits++;
}

/* ---- Adding up ---- */

static bool is_same_place(const struct site *a, const struct site *b)
{
    bool same_file = a->path == NULL || b->path == NULL ? a->path == b->path : strcmp(a->path, b->path) == 0;
    return same_file && a->own == b->own;
}

static void add_threads(struct site *site, struct site *to)
{
    for (size_t i = 0; i < site->thread_room; i++) {
        const struct thread_count *from = &site->threads[i];
        if (from->thread == NULL || (2 * to->thread_count >= to->thread_room && !grow_threads(to)))
            continue;
        struct thread_count *count = find_thread(to->threads, to->thread_room, from->thread);
        to->thread_count += count->thread == NULL;
        if (count->thread == NULL)
            rein_thread_ref(from->thread);
        *count = (struct thread_count){from->thread, count->hits + from->hits, ""};
        memcpy(count->name, from->name, sizeof count->name);
    }
}

void sites_give_hits(struct sites *sites, struct sites *to)
{
    sites_forget_program(sites);
    for (size_t i = 0; i < sites->count; i++) {
        struct site *site = sites->items[i];
        size_t at = 0;
        while (at < to->count && !is_same_place(site, to->items[at]))
            at++;
        if (at == to->count) {
            to->items = cli_grow(to->items, to->count, sizeof(void *));
            to->items[to->count++] = site;
            continue;
        }
        to->items[at]->earlier.hits += site->earlier.hits;
        to->items[at]->earlier.executions += site->earlier.executions;
        to->items[at]->earlier.errors += site->earlier.errors;
        add_threads(site, to->items[at]);
        free_site(site);
    }
    sites->count = 0;
    for (size_t i = 0; i < sites->wanted_count && i < to->wanted_count; i++) {
        to->wanted[i].found_ever |= sites->wanted[i].found_ever;
        to->wanted[i].is_wrong |= sites->wanted[i].is_wrong;
    }
    sites_free(sites);
    *sites = (struct sites){0};
}

void sites_note_name(struct sites *sites, rein_thread *thread, const char name[16])
{
    for (struct site *site = atomic_load(&sites->newest); site != NULL; site = site->next) {
        if (site->thread_room == 0)
            continue;
        struct thread_count *count = find_thread(site->threads, site->thread_room, thread);
        if (count->thread != NULL)
            memcpy(count->name, name, sizeof count->name);
    }
}
