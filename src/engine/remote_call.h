/* What sending a thread away and bringing it back has in common, whether it makes a system call (remote_call.c, which
 * explains it) or calls a function (function_call.c). */
#ifndef REIN_ENGINE_REMOTE_CALL_H
#define REIN_ENGINE_REMOTE_CALL_H

#include "engine/process.h"

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

enum phase {
    PHASE_SETTLES,  /* something of it does not show: on to where it does */
    PHASE_LEAVES,   /* the call in which it is, on to that one's end */
    PHASE_ENTERS,   /* on its way to the entry of the call */
    PHASE_MAKES,    /* from there to its end */
    PHASE_REENTERS, /* on its way to the entry of the call in which it was */
    PHASE_RETURNS,  /* on its way to a stop of the kind in which it was */
};

enum way_back { BACK_TO_EVENT, BACK_TO_SIGNAL, BACK_TO_ENTRY };

struct remote_call {
    struct function_call *function; /* what the thread is sent away for; NULL: a system call */
    struct request *request;        /* who waits for that; NULL: nobody any more */
    /* Of rein's own calls (map_room.c), or NULL. The call was made, and .result is there: true, .call is another, which
     * is made before it comes back, unless it is to come back as soon as it can. And: it is back, or gone. */
    bool (*made_one)(rein_thread *thread, struct remote_call *call);
    void (*over)(rein_thread *thread, struct remote_call *call);
    struct arch_call call;
    enum phase phase;
    bool aborted; /* to come back as soon as it can */
    bool made;    /* .result is the call's */
    bool dropped; /* at the entry: it is not made */
    int64_t result;
    uint64_t pc; /* of the instruction */

    /* The thread as it was. */
    enum way_back back;
    bool repeats;                 /* the call in which it is has another signal mask, and is to be made once more */
    bool rejoins;                 /* enters one more, which is not made */
    bool interrupted, by_restart; /* it may be in a call, interrupted, at whose instruction it stands */
    bool finishes;                /* the call in which it is goes on to its end first: so its registers change */
    bool left;                    /* it has left that */
    int carrier;
    struct arch_registers registers;
    struct rein_signal signal;
    enum os_event_kind stop;
    bool no_delivery, out_of_group_stop;
    uint64_t run_count;
    uint64_t sequence_at, sequence; /* 0: it is in no restartable sequence */
    struct arch_block *vectors;     /* what a system call does not leave as it is; NULL: nothing */
};

/* Is the request's thread where it can be sent away from? 0, or a rein_error. */
int remote_call_check_state(struct request *request);
/* Notes down how the thread is. */
int remote_call_look(rein_thread *thread, struct remote_call *call, struct error *error);
/* May it make the system call that the way back needs, or that is asked for? */
int remote_call_check(rein_thread *thread, struct remote_call *call, bool filtered, struct error *error);
/* Away from where it stands, so that function_call_leaves, or the entry of the call, is next. */
int remote_call_begin(rein_thread *thread, struct remote_call *call, struct error *error);
/* From wherever it has stopped. */
void remote_call_go_back(rein_thread *thread);
/* 0, or the thread's error is seen to. */
bool remote_call_set_registers(rein_thread *thread, const struct arch_registers *registers);
/* Where it has stopped it will stay: as before as well as that can be there. */
void remote_call_end_here(rein_thread *thread);

/* It is dying, and that will be told; or the kernel is not as it must be: the thread is as it was, and all are let go. */
void remote_call_give_in(rein_thread *thread, int result, const char *what);

/* function_call.c, for remote_call.c */
void function_call_free(struct function_call *function);
/* It has left what it was in: into the function. */
void function_call_enter(rein_thread *thread);
/* It is back: the engine's books are as before. */
void function_call_restore(rein_thread *thread);
/* It is back, or gone. */
void function_call_end(rein_thread *thread, struct function_call *function);

#endif
