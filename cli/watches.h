/* What -w asks for: variables, and the watchpoints that tell who writes to them. Each stands for one place: the program's
 * own variable of that name, or the first library's that has it, which is also what the run-time linker takes. */
#ifndef REIN_CLI_WATCHES_H
#define REIN_CLI_WATCHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

#include "location.h"
#include "modules.h"

struct watch {
    void *owner; /* for the watchpoint's callback */
    char *text;  /* as it was given */
    struct location location;
    size_t asked_size; /* 0: the symbol's own */

    struct module *module; /* NULL: not mapped now, or an absolute address */
    bool found;            /* in the present program; address and size are known */
    bool found_ever;
    bool is_wrong;  /* there is such a symbol, but it cannot be watched: the failure says why */
    bool is_silent; /* what is missing is not worth a word */
    bool told;      /* that it was found, or why not, was reported */
    uint64_t address;
    size_t size;
    char *failure; /* why it can be none, or could not be set */

    bool is_set;
    rein_watchpoint *watchpoint; /* counted; NULL: never set */
    uint64_t earlier;            /* hits of watchpoints before this one */
};

struct watches {
    struct watch **items;
    size_t count;
    bool software; /* without debug registers */
    struct modules *modules;
    void *owner;
};

/* Adds EXPR[:SIZE]; false if text is none: *why. */
bool watches_add(struct watches *watches, const char *text, const char **why);
/* All are known, and .software is: false if one cannot be so. */
bool watches_check(const struct watches *watches, const char **text, const char **why);
void watches_free(struct watches *watches);
/* Wants what the other wants. in_silence: what is missing is not worth a word. */
void watches_want_the_same(struct watches *watches, const struct watches *others, bool in_silence);
/* The process has ended: its hits are the other's, which wants the same. watches is empty afterwards. */
void watches_give_hits(struct watches *watches, struct watches *to);
/* Looks for those that are not found, in what the last scan of the modules has seen. */
void watches_resolve(struct watches *watches);
/* The process has executed another program. */
void watches_forget_program(struct watches *watches);
/* On the monitor: sets those that are found and not set, removes those whose module is gone. callback gets the watch. */
void watches_set(struct watches *watches, rein_process *process, rein_watchpoint_callback callback);
uint64_t watch_hits(const struct watch *watch);

#endif
