/* What the bench and its traced program (target.c) share: a page of memory, in which the bench says what to do and the
 * program how long that took. Hits are timed by the program that is hit, so the time is the same thing for every
 * tracer. */
#ifndef REIN_BENCH_TARGET_H
#define REIN_BENCH_TARGET_H

#include <stdatomic.h>
#include <stdint.h>

#define TARGET_FD 3 /* where the program finds the page */

enum target_work {
    WORK_HITS,    /* calls hot(), on which a tracer has put a breakpoint */
    WORK_TRAPS,   /* executes an int3 of its own, which a tracer has to pass over */
    WORK_CALLS,   /* asks for its parent's id, by a system call */
    WORK_SIGNALS, /* sends itself a signal, with a handler that does nothing */
    WORK_FORKS,   /* makes a child, which ends at once, and waits for it */
    WORK_LARGE,   /* allocates TARGET_LARGE bytes, if it has not yet, and writes to them all */
    WORK_STEPS,   /* executes TARGET_STEPS instructions, about */
    WORK_CROWD,   /* all its hitters call hot() at once, each so often */
    WORK_FUNCTIONS, /* calls the next of TARGET_FUNCTIONS functions */
    WORK_STRAIGHT,  /* for a debugger that steps by lines: some of TARGET_STEPS instructions without a call, again and again */
    WORK_CALLING,   /* the same, each with a call */
};

struct target_page {
    _Atomic uint32_t threads; /* idle ones that run */
    int32_t worker;           /* the id of the one that is not */
    _Atomic uint32_t ready;   /* futex */
    uint64_t hot, block;      /* addresses: the function, and a MiB to be read */
    uint64_t functions;       /* the first of TARGET_FUNCTIONS, each TARGET_DISTANCE behind the other */
    uint64_t large;           /* 256 MiB, once WORK_LARGE is done */

    enum target_work work;
    uint32_t count;
    _Atomic uint32_t asked, done; /* futexes: how many works so far */
    double us;                    /* for each of the last work's count */
};

enum { TARGET_BLOCK = 1 << 20, TARGET_LARGE = 256 << 20, TARGET_STEPS = 2000, TARGET_FUNCTIONS = 1000, TARGET_DISTANCE = 16 };

#endif
