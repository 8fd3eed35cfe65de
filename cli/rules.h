/* What is to be done at hits of a -b: the options that stand behind it. A rule belongs to what the user has written: it counts
 * together the hits of all places that its location stands for, in all processes. */
#ifndef REIN_CLI_RULES_H
#define REIN_CLI_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rule {
    uint64_t ignore; /* so many hits go by in silence first */
    uint64_t limit;  /* behind these, so many are told, and then no more; 0: all */
    size_t depth;    /* how much of the call stack is told; 0: nothing */
    /* Expressions, of the command line. */
    const char *condition; /* NULL: none */
    const char **prints;   /* the arguments of --print */
    size_t print_count;

    /* The monitor's. */
    uint64_t ignored, told;
};

/* The rules of one place: several, if several locations stand for it. The monitor walks it while the main thread adds. */
struct rule_link {
    struct rule *rule;
    struct rule_link *next;
};

struct rules {
    struct rule **items;
    size_t count;
    size_t done; /* the monitor's: how many have reached their limit */
};

/* A new one, which lives as long as the rules. */
struct rule *rules_add(struct rules *rules);
/* The one that was added last; NULL: none was. */
struct rule *rules_last(const struct rules *rules);
void rules_free(struct rules *rules);
/* A number behind an option. */
bool rules_parse_count(const char *text, uint64_t *count);

bool rule_is_done(const struct rule *rule);
/* On the monitor: a hit. Is it to be told? *depth is how much of the stack, if that is more. */
bool rule_hit(struct rule *rule, size_t *depth);

#endif
