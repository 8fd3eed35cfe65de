/* The state of a thread, and the one table that says how it changes (M3). */
#ifndef REIN_ENGINE_STATE_H
#define REIN_ENGINE_STATE_H

#include "rein/rein.h"

/* What can happen to a thread, as far as its state is concerned. */
enum transition {
    TRANSITION_CONTINUE,   /* is to run, by request or because its event goes on */
    TRANSITION_STEP,       /* is to run one instruction, by request */
    TRANSITION_ASK_STOP,   /* is to stop, by request or because another thread stops the process */
    TRANSITION_STOP,       /* has stopped for no cause of its own */
    TRANSITION_BREAKPOINT, /* has stopped for this cause, and so on */
    TRANSITION_WATCHPOINT,
    TRANSITION_SIGNAL,
    TRANSITION_THREAD_CREATE,
    TRANSITION_EXITING,
    TRANSITION_EXEC,
    TRANSITION_FORK,
    TRANSITION_GROUP_STOP,
    TRANSITION_STEP_DONE,
    TRANSITION_SYSCALL,
    TRANSITION_EXIT,   /* is gone */
    TRANSITION_DETACH, /* is let go */
    TRANSITION_COUNT
};

/* What a transition does besides changing the state. */
enum state_action {
    ACTION_NONE,
    ACTION_RUN,  /* it is to run on: as soon as nothing keeps it, it is resumed */
    ACTION_HALT, /* it runs no longer: perhaps the whole process is stopped now, and somebody waits for that */
    ACTION_END,  /* it leaves its process */
};

#define STATE_ILLEGAL REIN_STATE_COUNT

struct state_entry {
    enum rein_state next; /* STATE_ILLEGAL: this cannot happen in that state */
    enum state_action action;
};

struct state_entry state_transition(enum rein_state state, enum transition transition);
const char *state_transition_name(enum transition transition);

#endif
