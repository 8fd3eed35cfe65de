/* Asking the kernel again. Where a program would come to harm without a call - its registers put back after one that rein had it
 * make, its trap seen before it is let go - a failure is no answer yet: descriptors or memory that are short now may not be a
 * moment later. What only costs the caller an error, or the engine a slower way, is asked once.
 *
 * A call that fails has done nothing, and may be made again. Only what ends a stop is not made again after -ESRCH: the thread is
 * dying then, and may be in its last stop by now, which would end before anybody has seen it. */
#ifndef REIN_ENGINE_INSIST_H
#define REIN_ENGINE_INSIST_H

#include <errno.h>
#include <stdbool.h>

enum { INSIST_TRIES = 3 };

/* The result is negative after a failure. */
#define INSIST_UNLESS(answered, result, call)                                                                          \
    do {                                                                                                               \
        int insist_tries = 0;                                                                                          \
        do {                                                                                                           \
            (result) = (call);                                                                                         \
        } while ((result) < 0 && !(answered) && ++insist_tries < INSIST_TRIES);                                        \
    } while (0)

#define INSIST(result, call) INSIST_UNLESS(false, result, call)
#define INSIST_ON_END_OF_STOP(result, call) INSIST_UNLESS((result) == -ESRCH, result, call)

#endif
