/* Who asks is the monitor: a lent thread, and the function of rein_monitor_run. See lend.c. */
#ifndef REIN_ENGINE_LEND_H
#define REIN_ENGINE_LEND_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/monitor.h"

/* Of rein_monitor_poll. */
struct polling {
    struct pollfd *fds; /* with room for one more */
    size_t count;
    int ready;
};

/* Is the caller such a function, in no call from there? */
bool lend_is_to_function(const rein_monitor *monitor);
/* As monitor_submit, by who is the monitor and may wait. */
int lend_submit(rein_monitor *monitor, struct request *request, int timeout_ms);
/* Runs the function that has been asked for. It does not come back from that if the host has died. */
void lend_run(rein_monitor *monitor);
/* There is no monitor any more that could. */
void lend_refuse(rein_monitor *monitor);
/* The signals that the calling process ignores. */
void lend_find_ignored(sigset_t *ignored);
/* Of the host's thread, for which the function runs: what a program that it starts inherits. ignored: what the host ignores is
 * added where the monitor does not, as it has another use for the signal. False: the caller is no such function. */
bool lend_inherited(const rein_monitor *monitor, sigset_t *mask, sigset_t *ignored, int *process_group);

#endif
