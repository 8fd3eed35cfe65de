/* M3: the whole state table, every state by every transition, against what the contract says of a thread's life, written
 * down here a second time as rules. No program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/state.h"

/* The four classes of the contract, each state in exactly one. */
enum class { RUNS, STOPPED, ZOMBIE, TERMINAL };
static const struct {
    enum rein_state state;
    enum class class;
    const char *name;
} states[] = {
    {REIN_STATE_RUNNING, RUNS, "Running"},
    {REIN_STATE_SINGLE_STEPPING, RUNS, "SingleStepping"},
    {REIN_STATE_STOPPING, RUNS, "Stopping"},
    {REIN_STATE_STOPPED, STOPPED, "Stopped"},
    {REIN_STATE_STOPPED_BREAKPOINT, STOPPED, "StoppedBreakpoint"},
    {REIN_STATE_STOPPED_WATCHPOINT, STOPPED, "StoppedWatchpoint"},
    {REIN_STATE_STOPPED_SIGNAL, STOPPED, "StoppedSignal"},
    {REIN_STATE_STOPPED_THREAD_CREATE, STOPPED, "StoppedThreadCreate"},
    {REIN_STATE_STOPPED_EXITING, STOPPED, "StoppedExiting"},
    {REIN_STATE_STOPPED_EXEC, STOPPED, "StoppedExec"},
    {REIN_STATE_STOPPED_FORK, STOPPED, "StoppedFork"},
    {REIN_STATE_STOPPED_GROUP, STOPPED, "StoppedGroup"},
    {REIN_STATE_STOPPED_STEP, STOPPED, "StoppedStep"},
    {REIN_STATE_STOPPED_SYSCALL, STOPPED, "StoppedSyscall"},
    {REIN_STATE_EXITING, ZOMBIE, "Exiting"},
    {REIN_STATE_EXITED, TERMINAL, "Exited"},
    {REIN_STATE_DETACHED, TERMINAL, "Detached"},
};
#define STATES (sizeof states / sizeof *states)

/* Where a running thread comes to rest by each kind of stop. */
static const struct {
    enum transition transition;
    enum rein_state state;
} stops[] = {
    {TRANSITION_STOP, REIN_STATE_STOPPED},
    {TRANSITION_BREAKPOINT, REIN_STATE_STOPPED_BREAKPOINT},
    {TRANSITION_WATCHPOINT, REIN_STATE_STOPPED_WATCHPOINT},
    {TRANSITION_SIGNAL, REIN_STATE_STOPPED_SIGNAL},
    {TRANSITION_THREAD_CREATE, REIN_STATE_STOPPED_THREAD_CREATE},
    {TRANSITION_EXITING, REIN_STATE_STOPPED_EXITING},
    {TRANSITION_EXEC, REIN_STATE_STOPPED_EXEC},
    {TRANSITION_FORK, REIN_STATE_STOPPED_FORK},
    {TRANSITION_GROUP_STOP, REIN_STATE_STOPPED_GROUP},
    {TRANSITION_STEP_DONE, REIN_STATE_STOPPED_STEP},
    {TRANSITION_SYSCALL, REIN_STATE_STOPPED_SYSCALL},
};

static enum rein_state rest_of(enum transition transition)
{
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        if (stops[i].transition == transition)
            return stops[i].state;
    }
    return STATE_ILLEGAL;
}

/* What must happen; STATE_ILLEGAL: it cannot. */
static enum rein_state expected_next(enum rein_state state, enum class class, enum transition transition)
{
    if (class == TERMINAL) /* nothing comes after the end */
        return STATE_ILLEGAL;
    if (transition == TRANSITION_EXIT) /* SIGKILL, at any moment */
        return REIN_STATE_EXITED;
    if (transition == TRANSITION_DETACH)
        return REIN_STATE_DETACHED;
    if (class == ZOMBIE) /* only its end can be waited for */
        return STATE_ILLEGAL;

    switch (transition) {
    case TRANSITION_CONTINUE:
        if (state == REIN_STATE_STOPPED_EXITING) /* the last stop: from there on it is a zombie */
            return REIN_STATE_EXITING;
        return class == STOPPED || state == REIN_STATE_STOPPING ? REIN_STATE_RUNNING : STATE_ILLEGAL;
    case TRANSITION_STEP:
        return class == STOPPED && state != REIN_STATE_STOPPED_EXITING ? REIN_STATE_SINGLE_STEPPING : STATE_ILLEGAL;
    case TRANSITION_ASK_STOP: /* once */
        return class == RUNS && state != REIN_STATE_STOPPING ? REIN_STATE_STOPPING : STATE_ILLEGAL;
    case TRANSITION_STOP:    /* of a stopped thread: its cause is forgotten */
    case TRANSITION_EXITING: /* SIGKILL, seen while it holds still */
        return state == REIN_STATE_STOPPED_EXITING ? STATE_ILLEGAL : rest_of(transition);
    case TRANSITION_WATCHPOINT: /* behind a call that has written what is watched, or with a signal: one stop for both */
        return class == RUNS || state == REIN_STATE_STOPPED_SYSCALL || state == REIN_STATE_STOPPED_SIGNAL
                   ? rest_of(transition)
                   : STATE_ILLEGAL;
    default: /* the other causes: only what runs can come by one */
        return class == RUNS ? rest_of(transition) : STATE_ILLEGAL;
    }
}

static enum class class_of(enum rein_state state) {
    for (size_t i = 0; i < STATES; i++){if (states[i].state == state) return states[i].class;}
fail_msg("%d is no state", (int)state);
return TERMINAL;
}

/* What a change of class asks for; staying in it, nothing, but for a continue. */
static enum state_action expected_action(enum class from, enum rein_state next, enum transition transition)
{
    enum class to = class_of(next);
    if (to == TERMINAL)
        return ACTION_END;
    if (transition == TRANSITION_CONTINUE || transition == TRANSITION_STEP)
        return ACTION_RUN;
    return from == RUNS && to == STOPPED ? ACTION_HALT : ACTION_NONE;
}

static void M3_every_state_is_known(void **state)
{
    (void)state;
    assert_int_equal(STATES, REIN_STATE_COUNT);
    for (size_t i = 0; i < STATES; i++) {
        assert_int_equal(states[i].state, i);
        assert_string_equal(rein_state_name(states[i].state), states[i].name);
        assert_int_equal(rein_state_is_running(states[i].state), states[i].class == RUNS);
        assert_int_equal(rein_state_is_stopped(states[i].state), states[i].class == STOPPED);
        assert_int_equal(rein_state_is_zombie(states[i].state), states[i].class == ZOMBIE);
        assert_int_equal(rein_state_is_terminal(states[i].state), states[i].class == TERMINAL);
    }
}

static void M3_every_transition_from_every_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < STATES; i++) {
        for (int transition = 0; transition < TRANSITION_COUNT; transition++) {
            struct state_entry entry = state_transition(states[i].state, (enum transition)transition);
            enum rein_state next = expected_next(states[i].state, states[i].class, (enum transition)transition);
            const char *what = state_transition_name((enum transition)transition);
            if (entry.next != next)
                fail_msg("%s, %s: %s instead of %s", states[i].name, what, rein_state_name(entry.next),
                         rein_state_name(next));
            enum state_action action = next == STATE_ILLEGAL
                                           ? ACTION_NONE
                                           : expected_action(states[i].class, next, (enum transition)transition);
            if (entry.action != action)
                fail_msg("%s, %s: action %d instead of %d", states[i].name, what, (int)entry.action, (int)action);
        }
    }
}

/* A thread is born Running or Stopping; all else must be reachable from there, and both ends from everywhere. */
static void M3_everything_is_reachable(void **state)
{
    (void)state;
    bool reaches[STATES][STATES] = {{false}};
    for (size_t i = 0; i < STATES; i++) {
        reaches[i][i] = true;
        for (int transition = 0; transition < TRANSITION_COUNT; transition++) {
            enum rein_state next = state_transition(states[i].state, (enum transition)transition).next;
            if (next != STATE_ILLEGAL)
                reaches[i][next] = true;
        }
    }
    for (size_t by = 0; by < STATES; by++) {
        for (size_t from = 0; from < STATES; from++) {
            for (size_t to = 0; to < STATES; to++)
                reaches[from][to] |= reaches[from][by] && reaches[by][to];
        }
    }
    for (size_t i = 0; i < STATES; i++) {
        assert_true(reaches[REIN_STATE_RUNNING][i]);
        assert_true(reaches[REIN_STATE_STOPPING][i]);
        if (states[i].class != TERMINAL) {
            assert_true(reaches[i][REIN_STATE_EXITED]);
            assert_true(reaches[i][REIN_STATE_DETACHED]);
        }
        /* Who has come to the last stop never runs again. */
        if (states[i].class == RUNS || (states[i].class == STOPPED && states[i].state != REIN_STATE_STOPPED_EXITING)) {
            assert_false(reaches[REIN_STATE_STOPPED_EXITING][i]);
            assert_false(reaches[REIN_STATE_EXITING][i]);
        }
    }
}

static void M3_what_is_no_state_is_refused(void **state)
{
    (void)state;
    static const int numbers[] = {-1, INT32_MIN, INT32_MAX, REIN_STATE_COUNT, REIN_STATE_COUNT + 1, TRANSITION_COUNT};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        enum rein_state number = (enum rein_state)numbers[i];
        if ((unsigned)numbers[i] >= REIN_STATE_COUNT) {
            assert_int_equal(state_transition(number, TRANSITION_CONTINUE).next, STATE_ILLEGAL);
            assert_string_equal(rein_state_name(number), "<invalid>");
            assert_false(rein_state_is_running(number) || rein_state_is_stopped(number));
            assert_false(rein_state_is_zombie(number) || rein_state_is_terminal(number));
        }
        if ((unsigned)numbers[i] >= TRANSITION_COUNT) {
            assert_int_equal(state_transition(REIN_STATE_RUNNING, (enum transition)numbers[i]).next, STATE_ILLEGAL);
            assert_string_equal(state_transition_name((enum transition)numbers[i]), "<invalid>");
        }
    }
}

static void M3_names_tell_apart(void **state)
{
    (void)state;
    for (int i = 0; i < TRANSITION_COUNT; i++) {
        const char *name = state_transition_name((enum transition)i);
        assert_non_null(name);
        assert_true(*name && *name != '<');
        for (int k = 0; k < i; k++)
            assert_string_not_equal(name, state_transition_name((enum transition)k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(M3_every_state_is_known),    cmocka_unit_test(M3_every_transition_from_every_state),
        cmocka_unit_test(M3_everything_is_reachable), cmocka_unit_test(M3_what_is_no_state_is_refused),
        cmocka_unit_test(M3_names_tell_apart),
    };
    return cmocka_run_group_tests_name("state_table", tests, NULL, NULL);
}
