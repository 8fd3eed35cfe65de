/* Why a name was not found: names that are like it, for "did you mean", and functions that were inlined. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "near.h"
#include "sites.h"

enum { BEST = NEAR_BEST, LONGEST = NEAR_LONGEST };

/* How many characters to insert, remove, replace or swap with the next; more than limit: anything above it. */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length, unsigned limit)
{
    unsigned rows[3][LONGEST + 1];
    for (unsigned j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3], least;
        least = row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned cost = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < cost)
                cost = above[j] + 1;
            if (row[j - 1] + 1 < cost)
                cost = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < cost)
                cost = above2[j - 2] + 1;
            row[j] = cost;
            if (cost < least)
                least = cost;
        }
        if (least > limit)
            return least;
    }
    return rows[a_length % 3][b_length];
}

static unsigned unlikeness(const struct near *near, const char *name, size_t length)
{
    if (length == near->length && strncasecmp(name, near->wanted, length) == 0)
        return 1;
    /* The name as a part of another: finish for work_finish. */
    if (near->length >= 4 && length <= 2 * near->length + 8 && memmem(name, length, near->wanted, near->length) != NULL)
        return 2;
    size_t apart = length > near->length ? length - near->length : near->length - length;
    if (length > LONGEST || apart > near->limit)
        return near->limit + 1;
    return distance(near->wanted, near->length, name, length, near->limit);
}

bool near_begin(struct near *near, const char *wanted)
{
    *near = (struct near){.wanted = wanted, .length = strlen(wanted)};
    near->limit = near->length < 6 ? 2 : (unsigned)near->length / 3;
    return near->length <= LONGEST;
}

void near_consider(struct near *near, const char *name, size_t length)
{
    unsigned far = unlikeness(near, name, length);
    if (far == 0 || far > near->limit)
        return;
    size_t at = near->count;
    for (size_t i = 0; i < near->count; i++)
        if (strlen(near->best[i].name) == length && memcmp(near->best[i].name, name, length) == 0)
            return;
    while (at > 0 && near->best[at - 1].distance > far)
        at--;
    if (at == BEST)
        return;
    if (near->count == BEST)
        free(near->best[--near->count].name);
    memmove(&near->best[at + 1], &near->best[at], (near->count - at) * sizeof near->best[0]);
    near->best[at].name = cli_format("%.*s", (int)length, name);
    near->best[at].distance = far;
    near->count++;
}

char *near_end(struct near *near)
{
    char *text = NULL;
    for (size_t i = 0; i < near->count; i++) {
        char *longer = cli_format("%s%s%s", text == NULL ? "" : text, text == NULL ? "" : ", ", near->best[i].name);
        free(text);
        free(near->best[i].name);
        text = longer;
    }
    return text;
}

static void consider_symbol(const struct symbol *symbol, void *near)
{
    near_consider(near, symbol->name, symbol->name_length);
}

static void consider_source(const char *file, void *near)
{
    const char *name = cli_basename(file);
    near_consider(near, name, strlen(name));
}

char *sites_near_misses(struct sites *sites, const struct location *location)
{
    struct near near;
    const char *wanted = location->kind == LOCATION_SYMBOL ? location->symbol
                         : location->kind == LOCATION_LINE ? cli_basename(location->file)
                                                           : NULL;
    if (wanted == NULL || !near_begin(&near, wanted))
        return NULL;
    for (size_t i = 0; i < sites->modules->count; i++) {
        struct module *module = sites->modules->items[i];
        bool program = module == modules_program(sites->modules);
        if (location->kind == LOCATION_SYMBOL && location->file != NULL &&
            !location_names_file(location->file, module->path))
            continue;
        struct symbols *symbols = module->is_gone ? NULL : module_symbols(sites->modules, module);
        if (symbols == NULL)
            continue;
        if (location->kind == LOCATION_SYMBOL)
            symbols_each(symbols, program ? SYMBOLS_DEBUG : SYMBOLS_OWN, consider_symbol, &near);
        else
            symbols_each_source(symbols, consider_source, &near);
    }
    return near_end(&near);
}

bool sites_is_inlined(struct sites *sites, const struct location *location)
{
    struct module *module = modules_program(sites->modules);
    struct symbols *symbols = module == NULL ? NULL : module_symbols(sites->modules, module);
    return symbols != NULL && location->kind == LOCATION_SYMBOL &&
           (location->file == NULL || location_names_file(location->file, module->path)) &&
           symbols_is_inlined(symbols, location->symbol);
}
