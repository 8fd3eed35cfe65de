/* C1 C2 E1 M3 M14: names and texts of errors, causes, states and signals. Needs no process, and no backend. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rein/rein.h"

static void version(void **state)
{
    (void)state;
    char expected[32];
    snprintf(expected, sizeof expected, "%d.%d.%d", REIN_VERSION_MAJOR, REIN_VERSION_MINOR, REIN_VERSION_PATCH);
    assert_string_equal(rein_version(), expected);
}

/* E1 */
static void E1_errors(void **state)
{
    (void)state;
#define CHECK(name, value, text)                                                                                       \
    assert_int_equal(REIN_##name, value);                                                                              \
    assert_string_equal(rein_error_name(REIN_##name), "REIN_" #name);                                                  \
    assert_string_equal(rein_error_text(REIN_##name), text);
    REIN_ERRORS(CHECK)
#undef CHECK
    assert_string_equal(rein_error_name(1), "REIN_UNKNOWN");
    assert_string_equal(rein_error_name(-1000), "REIN_UNKNOWN");
    assert_non_null(rein_error_text(1));
    assert_non_null(rein_error_text(-1000));
    assert_non_null(rein_error_name(0));
    assert_non_null(rein_error_text(0));
    assert_string_equal(rein_error_message(), ""); /* it has not failed yet */
}

/* C1 */
static void C1_names(void **state)
{
    (void)state;
    static const char *const names[REIN_CAUSE_COUNT] = {
        [REIN_CAUSE_STOPPED] = "stopped",
        [REIN_CAUSE_BREAKPOINT] = "breakpoint",
        [REIN_CAUSE_WATCHPOINT] = "watchpoint",
        [REIN_CAUSE_SIGNAL] = "signal",
        [REIN_CAUSE_THREAD_CREATE] = "thread create",
        [REIN_CAUSE_THREAD_EXIT] = "thread exit",
        [REIN_CAUSE_EXEC] = "exec",
        [REIN_CAUSE_FORK] = "fork",
        [REIN_CAUSE_VFORK] = "vfork",
        [REIN_CAUSE_VFORK_DONE] = "vfork done",
        [REIN_CAUSE_GROUP_STOP] = "group-stop",
        [REIN_CAUSE_STEP] = "step",
        [REIN_CAUSE_PROCESS_EXIT] = "process exit",
        [REIN_CAUSE_SYSCALL_ENTRY] = "system call entry",
        [REIN_CAUSE_SYSCALL_EXIT] = "system call exit",
    };
    for (int kind = 0; kind < REIN_CAUSE_COUNT; kind++)
        assert_string_equal(rein_cause_name((enum rein_cause_kind)kind), names[kind]);
    assert_null(rein_cause_name(REIN_CAUSE_COUNT));
    assert_null(rein_cause_name((enum rein_cause_kind) - 1));
}

static void assert_text(const struct rein_cause *cause, const char *expected)
{
    char text[128];
    int length = (int)strlen(expected);
    assert_int_equal(rein_cause_text(cause, text, sizeof text), length);
    assert_string_equal(text, expected);
    /* As snprintf does: cut, terminated, and the whole length told. */
    for (size_t size = 1; size < 12; size++) {
        memset(text, 'x', sizeof text);
        assert_int_equal(rein_cause_text(cause, text, size), length);
        size_t kept = size - 1 < (size_t)length ? size - 1 : (size_t)length;
        assert_int_equal(strlen(text), kept);
        assert_memory_equal(text, expected, kept);
        assert_int_equal(text[size], 'x');
    }
    text[0] = 'x';
    assert_int_equal(rein_cause_text(cause, text, 0), length);
    assert_int_equal(text[0], 'x');
    assert_int_equal(rein_cause_text(cause, NULL, 0), length);
}

/* C2 */
static void C2_texts(void **state)
{
    (void)state;
    struct rein_cause cause = {.kind = REIN_CAUSE_STOPPED};
    assert_text(&cause, "stopped");
    cause = (struct rein_cause){.kind = REIN_CAUSE_BREAKPOINT, .pc = 0x401136};
    assert_text(&cause, "breakpoint at 0x401136");
    cause.pc = UINT64_MAX;
    assert_text(&cause, "breakpoint at 0xffffffffffffffff");
    cause = (struct rein_cause){.kind = REIN_CAUSE_SIGNAL, .signal.number = SIGINT};
    assert_text(&cause, "SIGINT");
    cause.signal.number = 37;
    assert_text(&cause, "SIGRTMIN+3");
    cause = (struct rein_cause){.kind = REIN_CAUSE_THREAD_CREATE};
    assert_text(&cause, "thread create");
    cause = (struct rein_cause){.kind = REIN_CAUSE_THREAD_EXIT, .exit.status = 0};
    assert_text(&cause, "thread exited with status 0");
    cause.exit.status = 255;
    assert_text(&cause, "thread exited with status 255");
    cause.exit = (struct rein_exit){.signaled = true, .status = -1, .signal = SIGKILL};
    assert_text(&cause, "thread exited from signal SIGKILL");
    cause.kind = REIN_CAUSE_PROCESS_EXIT;
    assert_text(&cause, "process exited from signal SIGKILL");
    cause.exit = (struct rein_exit){.status = 3};
    assert_text(&cause, "process exited with status 3");
    static const struct {
        enum rein_cause_kind kind;
        const char *text;
    } plain[] = {{REIN_CAUSE_EXEC, "exec"},
                 {REIN_CAUSE_FORK, "fork"},
                 {REIN_CAUSE_VFORK, "vfork"},
                 {REIN_CAUSE_VFORK_DONE, "vfork done"},
                 {REIN_CAUSE_WATCHPOINT, "watchpoint"}, /* which, only rein can say */
                 {REIN_CAUSE_STEP, "step"}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        cause = (struct rein_cause){.kind = plain[i].kind};
        assert_text(&cause, plain[i].text);
    }
    cause = (struct rein_cause){.kind = REIN_CAUSE_SYSCALL_ENTRY, .syscall.number = 257};
    assert_text(&cause, "system call 257");
    cause = (struct rein_cause){.kind = REIN_CAUSE_SYSCALL_EXIT, .syscall = {.number = 257, .result = 3}};
    assert_text(&cause, "system call 257 returned 3");
    cause.syscall = (struct rein_syscall){.number = -1, .result = -38, .error = 38};
    assert_text(&cause, "system call -1 failed with error 38");
    cause = (struct rein_cause){.kind = REIN_CAUSE_GROUP_STOP, .signal.number = SIGTSTP};
    assert_text(&cause, "group-stop by SIGTSTP");
}

/* M14 */
static void M14_signal_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1", "SEGV",
        "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN", "TTOU",
        "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", NULL,   "PWR",  "SYS",
    };
    char expected[32];
    for (int number = 1; number <= 31; number++) {
        if (names[number - 1]) {
            snprintf(expected, sizeof expected, "SIG%s", names[number - 1]);
            assert_string_equal(rein_signal_name(number), expected);
        }
    }
    assert_true(strcmp(rein_signal_name(SIGIO), "SIGIO") == 0 || strcmp(rein_signal_name(SIGIO), "SIGPOLL") == 0);
    assert_string_equal(rein_signal_name(34), "SIGRTMIN");
    for (int number = 35; number < 64; number++) {
        char below[32];
        snprintf(expected, sizeof expected, "SIGRTMIN+%d", number - 34);
        snprintf(below, sizeof below, "SIGRTMAX-%d", 64 - number);
        const char *name = rein_signal_name(number);
        assert_true(strcmp(name, expected) == 0 || (number > 49 && strcmp(name, below) == 0));
    }
    assert_true(strcmp(rein_signal_name(64), "SIGRTMAX") == 0 || strcmp(rein_signal_name(64), "SIGRTMIN+30") == 0);
    /* 32 and 33 are the C library's own; they are signals nonetheless. */
    assert_string_not_equal(rein_signal_name(32), "<invalid>");
    assert_string_not_equal(rein_signal_name(33), "<invalid>");
    assert_string_not_equal(rein_signal_name(32), rein_signal_name(33));
    static const int bad[] = {0, -1, 65, 1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_string_equal(rein_signal_name(bad[i]), "<invalid>");
    for (int number = 1; number <= 64; number++)
        assert_ptr_equal(rein_signal_name(number), rein_signal_name(number)); /* static */
}

/* M3: every state has its name, and is exactly one of running, stopped, zombie and terminal. */
static void M3_states(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        char is;
    } states[REIN_STATE_COUNT] = {
        [REIN_STATE_RUNNING] = {"Running", 'r'},
        [REIN_STATE_SINGLE_STEPPING] = {"SingleStepping", 'r'},
        [REIN_STATE_STOPPING] = {"Stopping", 'r'},
        [REIN_STATE_STOPPED] = {"Stopped", 's'},
        [REIN_STATE_STOPPED_BREAKPOINT] = {"StoppedBreakpoint", 's'},
        [REIN_STATE_STOPPED_WATCHPOINT] = {"StoppedWatchpoint", 's'},
        [REIN_STATE_STOPPED_SIGNAL] = {"StoppedSignal", 's'},
        [REIN_STATE_STOPPED_THREAD_CREATE] = {"StoppedThreadCreate", 's'},
        [REIN_STATE_STOPPED_EXITING] = {"StoppedExiting", 's'},
        [REIN_STATE_STOPPED_EXEC] = {"StoppedExec", 's'},
        [REIN_STATE_STOPPED_FORK] = {"StoppedFork", 's'},
        [REIN_STATE_STOPPED_GROUP] = {"StoppedGroup", 's'},
        [REIN_STATE_STOPPED_STEP] = {"StoppedStep", 's'},
        [REIN_STATE_STOPPED_SYSCALL] = {"StoppedSyscall", 's'},
        [REIN_STATE_EXITING] = {"Exiting", 'z'},
        [REIN_STATE_EXITED] = {"Exited", 't'},
        [REIN_STATE_DETACHED] = {"Detached", 't'},
    };
    for (int i = 0; i < REIN_STATE_COUNT; i++) {
        enum rein_state one = (enum rein_state)i;
        assert_string_equal(rein_state_name(one), states[i].name);
        assert_int_equal(rein_state_is_running(one), states[i].is == 'r');
        assert_int_equal(rein_state_is_stopped(one), states[i].is == 's');
        assert_int_equal(rein_state_is_zombie(one), states[i].is == 'z');
        assert_int_equal(rein_state_is_terminal(one), states[i].is == 't');
    }
    static const int bad[] = {-1, REIN_STATE_COUNT, 1000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum rein_state none = (enum rein_state)bad[i];
        assert_string_equal(rein_state_name(none), "<invalid>");
        assert_false(rein_state_is_running(none) || rein_state_is_stopped(none) || rein_state_is_zombie(none) ||
                     rein_state_is_terminal(none));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version),  cmocka_unit_test(E1_errors),        cmocka_unit_test(C1_names),
        cmocka_unit_test(C2_texts), cmocka_unit_test(M14_signal_names), cmocka_unit_test(M3_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
