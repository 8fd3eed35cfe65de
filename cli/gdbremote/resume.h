/* What the files of resuming share.
 *
 *   actions.c   the packets by which a client lets threads run, and which of their actions is meant for whom
 *   hits.c      resumes that are answered without running anybody
 *   resume.c    who runs, and with which signal
 *   filter.c    which signals, system calls and new threads the client wants to hear of
 *   marks.c     what is remembered of threads meanwhile */
#ifndef REIN_GDBREMOTE_RESUME_H
#define REIN_GDBREMOTE_RESUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

#include "marks.h"

struct inferior;
struct reply;
struct server;

/* What is kept from one resume to the next. */
struct resume {
    struct server *server;
    struct marks marks;
    uint64_t passed; /* signals that are not told, a bit each: bit 0 is signal 1 */
    bool partly;     /* not everything was resumed */
    bool one_ended;  /* and a thread has ended since */
};
/* It is made when it is asked for first. NULL: there is no memory. */
struct resume *resume_of(struct server *server);

/* ---- Actions: actions.c ---- */

/* The first that names a thread counts for it. */
struct action {
    char kind;  /* c s r t */
    int signal; /* the host's; 0: none */
    rein_word low, high;
    int pid, tid; /* -1: all */
};
/* Which of them is meant for that thread; NULL: none. */
const struct action *action_for(const struct action *actions, size_t count, const struct inferior *inferior, int tid);

/* ---- Running: resume.c ---- */

/* Lets those run that the actions name, unless there is something to be told first. */
void resume_run(struct server *server, const struct action *actions, size_t count, struct reply *reply);
/* Non-stop: has a thread stopped of which we have not heard yet? It must not run on. Also on the monitor. */
bool resume_has_news(struct server *server);

/* ---- Hits: hits.c ---- */

/* Looks for what the threads that are to run have hit where they stand: it joins the queue of stops. True, in all-stop mode only:
 * that, or what was in the queue before, is the answer, and nobody is to run. Stops of who is not resumed are held back. */
bool hits_find(struct server *server, const struct action *actions, size_t count);

#endif
