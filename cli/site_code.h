/* What is evaluated when a thread comes to a site: its condition, and the values that --print wants. Made on the main
 * thread for the address that the site has, evaluated on the monitor; what was read there is written on the main thread
 * again. */
#ifndef REIN_CLI_SITE_CODE_H
#define REIN_CLI_SITE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <rein/rein.h>

#include "expression.h"

struct rule;

struct site_code {
    struct site_code *older; /* that was there before: records may still have values that it has read */
    struct arena arena;
    struct scene scene;
    rein_bytecode *condition; /* NULL: none */
    /* Each rule's own condition, where there are several rules. */
    struct {
        const struct rule *rule;
        rein_bytecode *condition; /* NULL: none */
    } * of_rules;
    size_t rule_count;
    struct reading *readings;
    size_t reading_count;
    rein_bytecode **codes; /* of the readings' pieces, one after the other; NULL for registers */
    size_t code_count;
};

/* For an address in a process, with what all these options ask. NULL: it cannot be; *why, to be freed, says what is wrong where in
 * which option; *may_come: a library that comes later may have what is missing. location is to call it by. */
struct site_code *site_code_make(const struct rule *const options[], size_t count, const char *location,
                                 struct modules *modules, struct module *module, uint64_t address,
                                 const struct machine *machine, char **why, bool *may_come);
/* With all older ones. */
void site_code_free(struct site_code *code);

/* On the monitor, at a hit: is that rule's own condition true, where one of several is? */
bool site_code_is_true(const struct site_code *code, const struct rule *rule, rein_thread *thread, uint64_t hits);

/* What was read at a hit. */
struct hit_value {
    const char *trouble; /* NULL: none; a static string */
    rein_word address;   /* of memory that cannot be read */
    unsigned char *bytes;
    char
        *strings; /* READING_STRINGS of them at most, STRING_ROOM each; a first byte of 0 says that it cannot be read */
};
enum { STRING_SHOWN = 200, STRING_ROOM = 1 + STRING_SHOWN + 2 };
struct hit_values {
    const struct site_code *code;
    struct hit_value items[];
};
/* On the monitor, in a callback; hits are the breakpoint's. NULL: there are none to be read, or there is no memory. */
struct hit_values *hit_values_read(const struct site_code *code, rein_thread *thread, uint64_t hits);
void hit_values_free(struct hit_values *values);
/* a = 5, name = 0x555555556004 "abc" */
void hit_values_write(const struct hit_values *values, FILE *file);
struct json_t;
struct json_t *hit_values_json(const struct hit_values *values);

#endif
