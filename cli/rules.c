/* Counts hits for --ignore and --limit. Hits are counted where they are handled, on the monitor, one after the other: so the
 * numbers are exact however many threads come at once. The library's own ignore count (rein_breakpoint_options) would not
 * do: it is one breakpoint's, and a location may have several, in several processes. What is counted here are hits for which
 * the breakpoint's callback is called, so those with a true condition, if there is one. */
#include "rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "cli.h"

struct rule *rules_add(struct rules *rules)
{
    rules->items = cli_grow(rules->items, rules->count, sizeof(void *));
    return rules->items[rules->count++] = cli_alloc(1, sizeof(struct rule));
}

struct rule *rules_last(const struct rules *rules)
{
    return rules->count == 0 ? NULL : rules->items[rules->count - 1];
}

void rules_free(struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        free(rules->items[i]->prints);
        free(rules->items[i]);
    }
    free(rules->items);
    *rules = (struct rules){0};
}

bool rules_parse_count(const char *text, uint64_t *count)
{
    char *end;
    errno = 0;
    *count = strtoull(text, &end, 10);
    return isdigit((unsigned char)*text) && errno == 0 && *end == '\0';
}

bool rule_is_done(const struct rule *rule)
{
    return rule->limit != 0 && rule->told == rule->limit;
}

bool rule_hit(struct rule *rule, size_t *depth)
{
    if (rule_is_done(rule))
        return false;
    if (rule->ignored < rule->ignore) {
        rule->ignored++;
        return false;
    }
    rule->told++;
    if (rule->depth > *depth)
        *depth = rule->depth;
    return true;
}
