/* `rein trace` at work: the state that its callbacks, on the monitor, and its main thread share. */
#ifndef REIN_CLI_TRACER_H
#define REIN_CLI_TRACER_H

#include <stdbool.h>

#include <rein/rein.h>

#include "calls.h"
#include "jobs.h"
#include "journal.h"
#include "linker.h"
#include "modules.h"
#include "output.h"
#include "sites.h"
#include "watches.h"

#define ALL_EVENTS (~0u)

/* One of the processes that are traced. It is made where its birth is heard of, on the monitor, and is the main thread's
 * from the record of that on. */
struct tracee {
    struct tracer *tracer;
    struct tracee *next;
    rein_process *process; /* counted */
    int pid, parent;       /* parent 0: it is the first */

    /* The main thread's. */
    struct modules modules;
    struct sites sites;
    struct watches watches;
    struct output *output; /* the tracer's, or its own */
    bool starting;         /* the program's libraries are still to be loaded */
    bool is_untouched;     /* and none of the first program's own code has run: a condition can still be refused */
    bool ended;            /* its end has been written */
    time_t last_scan;
    uint64_t no_code; /* where a stack has led to, and nothing was found */

    /* Changed on the monitor only. */
    struct linker linker;
    struct site *linker_site; /* the user has a breakpoint where the linker's is */
    rein_breakpoint *linker_breakpoint;
    size_t rules_done;               /* when its sites were looked through last */
    _Atomic unsigned program_number; /* how many programs it has executed */
    rein_word *troubles;             /* where conditions could not be evaluated: it is told once */
    size_t trouble_count;
};

struct tracer {
    /* Set before the process is held. */
    bool count;              /* no line for a hit */
    bool follows;            /* what the process makes is traced, too */
    const char *files_named; /* each process writes to a file of that name, with its id behind it; NULL: all to one */
    bool ends_at_limits;     /* when no rule has anything to tell any more, all is let go */
    unsigned shown;          /* bits by rein_cause_kind */
    struct rules rules;
    rein_monitor *monitor;
    struct journal journal;
    struct jobs jobs;
    struct calls calls; /* those that are wanted; those that threads are in are the main thread's */

    /* The main thread's. */
    struct tracee *first;   /* the one that was started or attached to; it is kept to the end */
    struct tracee *tracees; /* all */
    struct module_files files;
    struct machine *machines;
    struct sites sites;     /* what is wanted, and the hits of those that have ended */
    struct watches watches; /* likewise */
    struct output output;
    unsigned ends; /* how many have ended */
    bool failed;
    bool
        refused; /* what is asked for cannot be, as was only seen when the program's libraries were there: it was told */
    bool told_to_end;
    int die_by;
};

/* Makes the first tracee, which wants what is in .sites and .watches. False: no memory. */
bool tracer_init(struct tracer *tracer);
/* Does the user ask for places in programs? */
bool tracer_wants_places(const struct tracer *tracer);
void tracer_free(struct tracer *tracer);
/* Makes the callbacks answer all events; the first process is stopped. */
void tracer_hold(struct tracer *tracer);

/* Resolves the locations before the process is held; false if one can never be: it was told. */
bool tracer_prepare(struct tracee *tracee);
/* The process has a program that has not run yet (at_exec) or is attached to: resolves the locations and sets the
 * breakpoints. False as above. */
bool tracer_begin_program(struct tracee *tracee, bool at_exec);
/* What a record asks for: writes it, or does it, and lets a thread that was held for it go on. */
void tracer_take(struct tracer *tracer, const struct record *record);
/* No record will come any more: what is left is written. how: the first one's end; NULL: it was let go. */
void tracer_finish(struct tracer *tracer, const struct rein_exit *how);

#endif
