/* `rein trace` at work: the state that its callbacks, on the monitor, and its main thread share. */
#ifndef REIN_CLI_TRACER_H
#define REIN_CLI_TRACER_H

#include <stdbool.h>

#include <rein/rein.h>

#include "jobs.h"
#include "journal.h"
#include "linker.h"
#include "modules.h"
#include "output.h"
#include "sites.h"

#define ALL_EVENTS (~0u)

struct tracer {
    /* Set before the process is held. */
    bool count;     /* no line for a hit */
    unsigned shown; /* bits by rein_cause_kind */
    rein_monitor *monitor;
    rein_process *process;
    struct journal journal;
    struct jobs jobs;

    /* The main thread's. */
    struct modules modules;
    struct sites sites;
    struct output output;
    bool starting; /* the program's libraries are still to be loaded */
    bool failed;
    bool told_to_end;
    int die_by;
    time_t last_scan;

    /* Changed on the monitor only. */
    struct linker linker;
    struct site *linker_site; /* the user has a breakpoint where the linker's is */
    rein_breakpoint *linker_breakpoint;
    _Atomic unsigned program_number; /* how many programs it has executed */
};

void tracer_init(struct tracer *tracer);
/* Makes the callbacks answer all events; the process is stopped. */
void tracer_hold(struct tracer *tracer);

/* Resolves the locations before the process is held; false if one can never be: it was told. */
bool tracer_prepare(struct tracer *tracer);
/* The process has a program that has not run yet (at_exec) or is attached to: resolves the locations and sets the
 * breakpoints. False as above. */
bool tracer_begin_program(struct tracer *tracer, bool at_exec);
/* What a record asks for: writes it, or does it, and lets a thread that was held for it go on. */
void tracer_take(struct tracer *tracer, const struct record *record);

#endif
