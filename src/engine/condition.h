/* Conditions of breakpoints, and how many hits are to be ignored. */
#ifndef REIN_ENGINE_CONDITION_H
#define REIN_ENGINE_CONDITION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rein/rein.h"

struct condition {
    rein_bytecode *bytecode;       /* counted; the monitor's own. NULL: there is none */
    _Atomic(rein_bytecode *) next; /* counted: what takes its place at the next hit; see condition.c */
    _Atomic uint64_t ignore;       /* so many hits are still to be ignored */
    _Atomic uint64_t matched, ignored, errors;
};

/* Can it be one? 0, or the caller's error. NULL can: none. */
int condition_check(const rein_bytecode *bytecode);
void condition_init(struct condition *condition, rein_bytecode *bytecode, uint64_t ignore);
void condition_free(struct condition *condition);
/* On the monitor: the same condition, of another breakpoint. */
void condition_inherit(struct condition *condition, struct condition *from);

/* At a hit, which has been counted: is it to be told? The cause gets the trouble if the condition could not be evaluated. */
bool condition_lets_through(rein_thread *thread, rein_breakpoint *breakpoint, struct rein_cause *cause);

#endif
