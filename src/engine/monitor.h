/* The monitor as the rest of the engine sees it: the requests that callers make of it, and its tables. */
#ifndef REIN_ENGINE_MONITOR_H
#define REIN_ENGINE_MONITOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/error.h"
#include "engine/list.h"
#include "engine/log.h"
#include "engine/rest.h"
#include "engine/table.h"
#include "engine/thread.h"
#include "os/backend.h"
#include "rein/rein.h"

enum request_progress { REQUEST_ASKED, REQUEST_WANTS_HELP, REQUEST_DONE };

/* One call made of the monitor. It lives on the caller's stack until it is finished. */
struct request {
    struct request *next; /* in the inbox */
    struct list pending;  /* in the monitor, from a host thread's asking to the answer */
    struct list waiting;  /* in its process, while it waits */

    /* Runs on the monitor. It finishes the request, or leaves it to wait with request_wait. */
    void (*run)(struct request *request);
    /* For one that waits: called after each change of its process; answers true when it has finished the request. */
    bool (*ready)(struct request *request);
    /* When its time limit has passed, or it was cancelled (then that is its error), instead of ending it with that; finishes
     * it now or later. May be NULL. */
    void (*give_up)(struct request *request);
    /* When the monitor fails, its error being in the request already: for one that holds something. It finishes later, when
     * its process has been let go. NULL: it is finished at once. */
    void (*fail)(struct request *request);

    rein_monitor *monitor;
    rein_process *process;
    rein_thread *thread;
    bool begin_only_on_monitor; /* made on the monitor it has done its work by beginning; else that is an error */
    bool no_wait;               /* time limit 0 */
    bool on_monitor;            /* made in a callback or call (rein_monitor_call): it cannot wait */
    bool by_lender;             /* who asks is the monitor, and may wait: that goes on in the call */
    bool reads;   /* run only reads what the engine knows: it may be called while the monitor rests, see rest.c */
    bool takes;   /* likewise, but it may change a little, too: it is then called with nobody beside it */
    bool at_rest; /* it is called so now; if it needs more than that, it returns without having finished */
    bool cancellable;
    void *garbage; /* of one that takes: memory that its caller frees when the monitor may go on */

    /* Arguments and results, as the call needs them. */
    uint64_t address;
    void *buffer;
    const void *data;
    size_t size;
    size_t done_size;
    int number;
    unsigned flags;
    const void *options;
    void *out;

    struct share *share; /* what its caller may help with, see share.c */

    struct error error;
    int result;
    _Atomic uint32_t done; /* a futex: enum request_progress */
};

enum monitor_condition {
    MONITOR_OPEN,
    MONITOR_OVER,   /* closed, or its last process is gone: nothing is traced any more */
    MONITOR_FAILED, /* see failure */
};

/* A child process (not a thread) of a traced thread, which the kernel traces from its birth. Its first stop and its
 * parent's event come in any order. */
enum birth_kind {
    BIRTH_EXPECTED, /* the parent has told */
    BIRTH_HANDLED,  /* the child came first, and its parent is known */
    BIRTH_STRAY,    /* the child came first, and nobody knows whose it is: it waits */
};

struct birth {
    struct list link;       /* in the monitor */
    struct list of_process; /* in the process */
    struct birth *same;     /* the next with the same id */
    rein_monitor *monitor;
    int id;
    enum birth_kind what;
    rein_process *process; /* counted; NULL for STRAY */
    rein_thread *parent;   /* counted; for EXPECTED: who is shown the birth then */
    unsigned image;        /* of the process when it was born */
    int64_t at;            /* ns, when it was noted */
};

struct rein_monitor {
    _Atomic unsigned references;
    enum rein_monitor_kind kind;
    bool own; /* made for one process: ends with it */
    const struct os_backend *os;
    struct os_waiter *waiter;
    void *handle; /* of monitor_start */
    int host;     /* process id */
    int id;       /* as a tracer */
    pthread_t lender;
    int interrupt_signal;
    bool steps_over; /* REIN_MONITOR_STEP_OVER */
    struct log log;

    _Atomic(struct request *) inbox; /* newest first */
    _Atomic int condition;           /* enum monitor_condition */
    pthread_mutex_t pending_lock;    /* taken by threads of the host only, never by the monitor */
    struct list pending;             /* requests: who must be told if the monitor is killed */
    pthread_mutex_t after;           /* who runs requests when the monitor no longer does */
    struct error failure;
    atomic_bool cancelled;    /* a process's cancelled flag has been set */
    _Atomic uint32_t started; /* a futex */
    struct rest rest;

    /* The monitor's own from here on. */
    struct run *run;       /* of rein_monitor_run */
    bool lends;            /* it is in its function, and in no call from there */
    struct polling *polls; /* in rein_monitor_poll */
    bool answered;         /* somebody who is the monitor, in this turn */
    bool closing;
    bool abandoned; /* own, and its process will never come */
    bool host_died;
    struct table threads; /* by id: every thread that the kernel traces for us */
    struct list processes;
    struct table processes_by_id;
    struct list events;     /* of all processes, struct queued_event, in the order in which they happened */
    struct list waiting;    /* requests that wait for these */
    bool in_call;           /* of rein_monitor_call, and not in a callback */
    bool watched;           /* such a request has been made: events wait for the next */
    size_t running;         /* threads that may be told of, as they are not stopped */
    struct list expected;   /* threads whose next stop is near: asked for by id */
    struct list announcing; /* processes of which those who wait at a descriptor are to hear */
    struct list changed;    /* processes whose waiting requests are to be looked at */
    struct list births;     /* the oldest first */
    struct table births_by_id;
    struct list
        recent; /* processes that ended a moment ago, the oldest first: a child of theirs may still come to light */
    struct table recent_by_id;
    size_t recent_unlisted; /* how many of them are not in that */
    struct list retrying;
    int64_t retry_at;              /* ns: a process is to be looked at again then, see process_retry; 0: none */
    int64_t stuck_check_at;        /* ns; 0: none */
    int watch_fires;               /* what os->try_watch has found: 1, 0, or negative: not known yet */
    unsigned watch_slots[2];       /* with 1 */
    struct seen_call nobodys_call; /* see thread_call */
    int64_t expected_pause;        /* us, how long to sleep between looks at the awaited ones */
    size_t duty_at;                /* see has_duties */
    bool all_too_early;            /* at the last look none of them was asked: hints will tell */
};

/* Is the calling thread the monitor (in a callback, or the lender inside a call)? */
bool monitor_is_current(const rein_monitor *monitor);

/* Returns who was it; NULL: nobody is. */
rein_monitor *monitor_make_current(rein_monitor *monitor);

bool request_is_done(struct request *request);
/* Makes the request and waits until it is finished: its result, published. */
int monitor_submit(rein_monitor *monitor, struct request *request, int timeout_ms);

/* On the monitor. */
/* One turn; limit_us: how long it may sleep when there is nothing to do (-1: until there is). */
void monitor_turn(rein_monitor *monitor, int64_t limit_us);
void monitor_settle(rein_monitor *monitor);
void monitor_let_all_go(rein_monitor *monitor);
/* Lets all go, and is over. */
void monitor_end_for_dead_host(rein_monitor *monitor);
void request_start(struct request *request);
/* A request that has that one end whose time limit has passed. */
void request_withdraw(struct request *request, struct request *withdraw, int timeout_ms);
void request_finish(struct request *request, int result);
/* Has its caller, who waits, call share_help. */
void request_call_for_help(struct request *request);
/* Leaves it to wait for its process, unless it is ready at once, must not wait, or is made in a callback. */
void request_wait(struct request *request);
/* The process has changed: look at its waiting requests before the monitor sleeps. */
void monitor_note_change(rein_process *process);
/* The engine or the kernel is not as it must be: everybody is let go, every later call returns this. */
void monitor_fail(rein_monitor *monitor, int code, int system, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

rein_monitor *monitor_ref(rein_monitor *monitor);
void monitor_unref(rein_monitor *monitor);
/* For rein_attach and rein_spawn with monitor == NULL. */
int monitor_create_own(rein_monitor **monitor);
/* With a backend of the caller's choice: tests. */
int monitor_create_with(const struct os_backend *os, const struct rein_monitor_options *options, bool own,
                        rein_monitor **result);
/* The process for which an own monitor was made could not be taken. */
void monitor_abandon_own(rein_monitor *monitor);

int64_t monitor_now(void); /* ns, monotonic */

#endif
