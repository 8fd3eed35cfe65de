/* What a resume has to remember of threads until they stop, or run on. */
#ifndef REIN_GDBREMOTE_MARKS_H
#define REIN_GDBREMOTE_MARKS_H

#include <stdbool.h>
#include <stddef.h>

#include <rein/rein.h>

enum mark_kind {
    SENT,  /* a signal of ours is on its way to it */
    LATER, /* one that it was given for a step has stopped it, while all was being stopped: it gets that when it runs */
    STEPPING, /* it steps; no number */
    ASKED,    /* non-stop: the client wants it stopped, and has not been told yet that it is */
    AGAIN,    /* its step has been ended by a signal of ours, and is to be begun once more */
    MADE,     /* the client has been told of a watched access, and will step the thread to have it made */
};
struct mark {
    enum mark_kind kind;
    int pid, tid, number;       /* of the signal; 0: none */
    struct rein_signal details; /* of one that is SENT, by the client; number 0: none. MADE: its address is the pc */
};
struct marks {
    struct mark *list; /* the oldest first */
    size_t count, room;
};

void marks_init(struct marks *marks);
void marks_free(struct marks *marks);
/* details may be NULL. False: there is no memory. */
bool marks_add(struct marks *marks, enum mark_kind kind, rein_thread *thread, int number,
               const struct rein_signal *details);
/* Takes the oldest one away: false, there is none. *number 0: of any number, which it then is. number and details may be NULL. */
bool marks_take(struct marks *marks, enum mark_kind kind, int tid, int *number, struct rein_signal *details);
/* Takes the oldest one of those that are wanted. The function must not come back here. */
bool marks_take_if(struct marks *marks, bool (*is_wanted)(const struct mark *mark, void *arg), void *arg,
                   struct mark *taken);
bool marks_has(struct marks *marks, enum mark_kind kind, int tid); /* 0: of any thread */
void marks_forget(struct marks *marks, int pid, int tid);          /* 0: all of the process */
void marks_forget_all_but(struct marks *marks, enum mark_kind kind);

#endif
