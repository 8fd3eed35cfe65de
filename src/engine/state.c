/* The whole life of a thread in one table (row M3 of the contract): state x transition -> next state and action.
 *
 *   Running, SingleStepping, Stopping     run: can be waited for, not inspected
 *   Stopped...                            hold still: can be inspected and continued
 *   Exiting                               zombie: only its end can be waited for
 *   Exited, Detached                      terminal
 *
 * Read a line as: in this state, this may happen and leads there. What has no entry cannot happen; thread_change turns it
 * into an error of the monitor (release) or an assertion (test builds). SIGKILL may come at any moment, so every
 * state that is not terminal has EXITING (the last stop, seen while a thread already held still) and EXIT. */
#include "engine/state.h"

#define TO(state, action)                                                                                              \
    {                                                                                                                  \
        REIN_STATE_##state, ACTION_##action                                                                            \
    }

/* Every way to stop, from a state that runs. */
#define STOPS                                                                                                          \
    [TRANSITION_STOP] = TO(STOPPED, HALT), [TRANSITION_BREAKPOINT] = TO(STOPPED_BREAKPOINT, HALT),                     \
    [TRANSITION_WATCHPOINT] = TO(STOPPED_WATCHPOINT, HALT), [TRANSITION_SIGNAL] = TO(STOPPED_SIGNAL, HALT),            \
    [TRANSITION_THREAD_CREATE] = TO(STOPPED_THREAD_CREATE, HALT), [TRANSITION_EXITING] = TO(STOPPED_EXITING, HALT),    \
    [TRANSITION_EXEC] = TO(STOPPED_EXEC, HALT), [TRANSITION_FORK] = TO(STOPPED_FORK, HALT),                            \
    [TRANSITION_GROUP_STOP] = TO(STOPPED_GROUP, HALT), [TRANSITION_SYSCALL] = TO(STOPPED_SYSCALL, HALT)

/* What every state but the terminal ones allows. */
#define ENDS [TRANSITION_EXIT] = TO(EXITED, END), [TRANSITION_DETACH] = TO(DETACHED, END)

/* What every stopped state but StoppedExiting allows. STOP: the cause is forgotten. */
#define GOES_ON                                                                                                        \
    [TRANSITION_CONTINUE] = TO(RUNNING, RUN), [TRANSITION_STEP] = TO(SINGLE_STEPPING, RUN),                            \
    [TRANSITION_STOP] = TO(STOPPED, NONE), [TRANSITION_EXITING] = TO(STOPPED_EXITING, NONE), ENDS

/* An entry that is left out is {0, 0}, which no legal entry is: Running is entered with ACTION_RUN only. */
static const struct state_entry table[REIN_STATE_COUNT][TRANSITION_COUNT] = {
    [REIN_STATE_RUNNING] = {[TRANSITION_ASK_STOP] = TO(STOPPING, NONE),
                            [TRANSITION_STEP_DONE] = TO(STOPPED_STEP, HALT),
                            STOPS,
                            ENDS}, /* see function_call.c */
    [REIN_STATE_SINGLE_STEPPING] =
        {[TRANSITION_ASK_STOP] = TO(STOPPING, NONE), [TRANSITION_STEP_DONE] = TO(STOPPED_STEP, HALT), STOPS, ENDS},
    [REIN_STATE_STOPPING] =
        {[TRANSITION_CONTINUE] = TO(RUNNING, RUN), [TRANSITION_STEP_DONE] = TO(STOPPED_STEP, HALT), STOPS, ENDS},
    [REIN_STATE_STOPPED] = {GOES_ON},
    [REIN_STATE_STOPPED_BREAKPOINT] = {GOES_ON},
    [REIN_STATE_STOPPED_WATCHPOINT] = {GOES_ON},
    [REIN_STATE_STOPPED_SIGNAL] = {GOES_ON, [TRANSITION_WATCHPOINT] = TO(STOPPED_WATCHPOINT, NONE)}, /* see show_all */
    [REIN_STATE_STOPPED_THREAD_CREATE] = {GOES_ON},
    [REIN_STATE_STOPPED_EXITING] = {[TRANSITION_CONTINUE] = TO(EXITING, RUN), ENDS},
    [REIN_STATE_STOPPED_EXEC] = {GOES_ON},
    [REIN_STATE_STOPPED_FORK] = {GOES_ON},
    [REIN_STATE_STOPPED_GROUP] = {GOES_ON},
    [REIN_STATE_STOPPED_STEP] = {GOES_ON},
    [REIN_STATE_STOPPED_SYSCALL] = {GOES_ON, [TRANSITION_WATCHPOINT] = TO(STOPPED_WATCHPOINT, NONE)}, /* the same */
    [REIN_STATE_EXITING] = {ENDS},
    [REIN_STATE_EXITED] = {{0}},
    [REIN_STATE_DETACHED] = {{0}},
};

struct state_entry state_transition(enum rein_state state, enum transition transition)
{
    static const struct state_entry illegal = {STATE_ILLEGAL, ACTION_NONE};
    if ((unsigned)state >= REIN_STATE_COUNT || (unsigned)transition >= TRANSITION_COUNT)
        return illegal;
    struct state_entry entry = table[state][transition];
    return entry.next == REIN_STATE_RUNNING && entry.action == ACTION_NONE ? illegal : entry;
}

const char *state_transition_name(enum transition transition)
{
    static const char *const names[TRANSITION_COUNT] = {
        [TRANSITION_CONTINUE] = "continue",
        [TRANSITION_STEP] = "step",
        [TRANSITION_ASK_STOP] = "ask to stop",
        [TRANSITION_STOP] = "stop",
        [TRANSITION_BREAKPOINT] = "breakpoint",
        [TRANSITION_WATCHPOINT] = "watchpoint",
        [TRANSITION_SIGNAL] = "signal",
        [TRANSITION_THREAD_CREATE] = "thread create",
        [TRANSITION_EXITING] = "exiting",
        [TRANSITION_EXEC] = "exec",
        [TRANSITION_FORK] = "fork",
        [TRANSITION_GROUP_STOP] = "group-stop",
        [TRANSITION_STEP_DONE] = "step done",
        [TRANSITION_SYSCALL] = "system call",
        [TRANSITION_EXIT] = "exit",
        [TRANSITION_DETACH] = "detach",
    };
    return (unsigned)transition < TRANSITION_COUNT ? names[transition] : "<invalid>";
}

const char *rein_state_name(enum rein_state state)
{
    static const char *const names[REIN_STATE_COUNT] = {
        [REIN_STATE_RUNNING] = "Running",
        [REIN_STATE_SINGLE_STEPPING] = "SingleStepping",
        [REIN_STATE_STOPPING] = "Stopping",
        [REIN_STATE_STOPPED] = "Stopped",
        [REIN_STATE_STOPPED_BREAKPOINT] = "StoppedBreakpoint",
        [REIN_STATE_STOPPED_WATCHPOINT] = "StoppedWatchpoint",
        [REIN_STATE_STOPPED_SIGNAL] = "StoppedSignal",
        [REIN_STATE_STOPPED_THREAD_CREATE] = "StoppedThreadCreate",
        [REIN_STATE_STOPPED_EXITING] = "StoppedExiting",
        [REIN_STATE_STOPPED_EXEC] = "StoppedExec",
        [REIN_STATE_STOPPED_FORK] = "StoppedFork",
        [REIN_STATE_STOPPED_GROUP] = "StoppedGroup",
        [REIN_STATE_STOPPED_STEP] = "StoppedStep",
        [REIN_STATE_STOPPED_SYSCALL] = "StoppedSyscall",
        [REIN_STATE_EXITING] = "Exiting",
        [REIN_STATE_EXITED] = "Exited",
        [REIN_STATE_DETACHED] = "Detached",
    };
    return (unsigned)state < REIN_STATE_COUNT ? names[state] : "<invalid>";
}

bool rein_state_is_running(enum rein_state state)
{
    return state == REIN_STATE_RUNNING || state == REIN_STATE_SINGLE_STEPPING || state == REIN_STATE_STOPPING;
}

bool rein_state_is_stopped(enum rein_state state)
{
    return state >= REIN_STATE_STOPPED && state <= REIN_STATE_STOPPED_SYSCALL;
}

bool rein_state_is_zombie(enum rein_state state)
{
    return state == REIN_STATE_EXITING;
}

bool rein_state_is_terminal(enum rein_state state)
{
    return state == REIN_STATE_EXITED || state == REIN_STATE_DETACHED;
}
