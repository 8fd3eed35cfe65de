/* The monitor's rest, in which callers read the engine's state themselves, and take what is ready for them. */
#ifndef REIN_ENGINE_REST_H
#define REIN_ENGINE_REST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rein/rein.h"

struct request;

#define REST_CLOSED (UINT32_C(1) << 31)
#define REST_ALONE (UINT32_C(1) << 30) /* who is in it lets nobody else in */

struct rest {
    _Atomic uint32_t word; /* a futex: how many are in it just now, REST_CLOSED and REST_ALONE */
    uint64_t count;        /* how often it has begun */
};

void rest_init(struct rest *rest);

/* On the monitor, around its sleep. */
void rest_begin(rein_monitor *monitor);
/* Waits for those who read. */
void rest_end(rein_monitor *monitor);
/* By who takes over from a monitor that was killed: it rests no more. */
void rest_end_for_killed(rein_monitor *monitor);

/* On any thread, but not of a forked child: true if the monitor is open and at rest, and stays so until rest_leave. Then the
 * engine's state may be read. No lock in between, no memory taken or given back, no system call that could wait, nobody
 * called, and no cancellation of the thread. */
bool rest_enter(rein_monitor *monitor);
void rest_leave(rein_monitor *monitor);
/* Likewise, but nobody else reads meanwhile: the state may be changed, where that is done with a few words, of which each leaves
 * it whole, and nothing is to follow on the monitor. Short system calls that wait for nobody are allowed. */
bool rest_enter_alone(rein_monitor *monitor);
void rest_leave_alone(rein_monitor *monitor);

/* Has a request that reads or takes run by its caller. false: the monitor works, or the request needs it. */
bool rest_answer(struct request *request);

#endif
