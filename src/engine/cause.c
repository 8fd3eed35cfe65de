/* Causes in words, and the names of signals. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "engine/bytecode.h"
#include "engine/process.h"

const char *rein_cause_name(enum rein_cause_kind kind)
{
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
    return (unsigned)kind < REIN_CAUSE_COUNT ? names[kind] : NULL;
}

const char *rein_watch_kind_name(enum rein_watch_kind kind)
{
    static const char *const names[] = {
        [REIN_WATCH_EXECUTE] = "execute", [REIN_WATCH_WRITE] = "write", [REIN_WATCH_READ_WRITE] = "read or write"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

static int breakpoint_text(const struct rein_cause *cause, char *text, size_t size)
{
    char trouble[128];
    unsigned long long pc = cause->pc;
    if (!cause->trouble)
        return snprintf(text, size, "breakpoint at 0x%llx", pc);
    bytecode_trouble_text(cause->trouble, cause->trouble_address, trouble, sizeof trouble);
    return snprintf(text, size, "breakpoint at 0x%llx: its condition could not be evaluated: %s", pc, trouble);
}

static int watchpoint_text(const struct rein_cause *cause, char *text, size_t size)
{
    if (!cause->watchpoint)
        return snprintf(text, size, "watchpoint");
    const char *kind = rein_watch_kind_name(rein_watchpoint_kind(cause->watchpoint));
    unsigned long long address = rein_watchpoint_address(cause->watchpoint);
    if (!cause->value_known)
        return snprintf(text, size, "%s watchpoint at 0x%llx", kind, address);
    return snprintf(text, size, "%s watchpoint at 0x%llx: 0x%llx -> 0x%llx", kind, address,
                    (unsigned long long)cause->old_value, (unsigned long long)cause->value);
}

int rein_cause_text(const struct rein_cause *cause, char *text, size_t size)
{
    if (!cause || (!text && size))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_cause_text: cause or text is NULL");
    switch (cause->kind) {
    case REIN_CAUSE_BREAKPOINT:
        return breakpoint_text(cause, text, size);
    case REIN_CAUSE_WATCHPOINT:
        return watchpoint_text(cause, text, size);
    case REIN_CAUSE_SIGNAL:
        return snprintf(text, size, "%s", rein_signal_name(cause->signal.number));
    case REIN_CAUSE_THREAD_EXIT:
        return cause->exit.signaled
                   ? snprintf(text, size, "thread exited from signal %s", rein_signal_name(cause->exit.signal))
                   : snprintf(text, size, "thread exited with status %d", cause->exit.status);
    case REIN_CAUSE_PROCESS_EXIT:
        return cause->exit.signaled
                   ? snprintf(text, size, "process exited from signal %s", rein_signal_name(cause->exit.signal))
                   : snprintf(text, size, "process exited with status %d", cause->exit.status);
    case REIN_CAUSE_SYSCALL_ENTRY:
        return snprintf(text, size, "system call %lld", (long long)cause->syscall.number);
    case REIN_CAUSE_SYSCALL_EXIT:
        return cause->syscall.error ? snprintf(text, size, "system call %lld failed with error %d",
                                               (long long)cause->syscall.number, cause->syscall.error)
                                    : snprintf(text, size, "system call %lld returned %lld",
                                               (long long)cause->syscall.number, (long long)cause->syscall.result);
    case REIN_CAUSE_GROUP_STOP:
        return snprintf(text, size, "group-stop by %s", rein_signal_name(cause->signal.number));
    default: {
        const char *name = rein_cause_name(cause->kind);
        if (!name)
            return error_fail(REIN_INVALID_ARGUMENT, "rein_cause_text: %d is no kind of cause", (int)cause->kind);
        return snprintf(text, size, "%s", name);
    }
    }
}

void cause_hold(const struct rein_cause *cause)
{
    rein_thread_ref(cause->new_thread);
    rein_process_ref(cause->new_process);
    rein_watchpoint_ref(cause->watchpoint);
}

void rein_cause_clear(struct rein_cause *cause)
{
    if (!cause)
        return;
    rein_thread_unref(cause->new_thread);
    rein_process_unref(cause->new_process);
    cause->new_thread = NULL;
    cause->new_process = NULL;
    rein_watchpoint_unref(cause->watchpoint);
    cause->watchpoint = NULL;
}

void rein_event_clear(struct rein_event *event)
{
    if (!event)
        return;
    rein_cause_clear(&event->cause);
    rein_thread_unref(event->thread);
    event->thread = NULL;
}

/* The kernel's numbers: 32 and 33 are real-time signals to it, which the C library keeps for itself; so its SIGRTMIN is 34,
 * and names are counted from there, as kill -l does. */
const char *rein_signal_name(int number)
{
    static const char *const names[] = {
        "SIGEXIT",     "SIGHUP",      "SIGINT",      "SIGQUIT",     "SIGILL",      "SIGTRAP",     "SIGABRT",
        "SIGBUS",      "SIGFPE",      "SIGKILL",     "SIGUSR1",     "SIGSEGV",     "SIGUSR2",     "SIGPIPE",
        "SIGALRM",     "SIGTERM",     "SIGSTKFLT",   "SIGCHLD",     "SIGCONT",     "SIGSTOP",     "SIGTSTP",
        "SIGTTIN",     "SIGTTOU",     "SIGURG",      "SIGXCPU",     "SIGXFSZ",     "SIGVTALRM",   "SIGPROF",
        "SIGWINCH",    "SIGIO",       "SIGPWR",      "SIGSYS",      "SIG32",       "SIG33",       "SIGRTMIN",
        "SIGRTMIN+1",  "SIGRTMIN+2",  "SIGRTMIN+3",  "SIGRTMIN+4",  "SIGRTMIN+5",  "SIGRTMIN+6",  "SIGRTMIN+7",
        "SIGRTMIN+8",  "SIGRTMIN+9",  "SIGRTMIN+10", "SIGRTMIN+11", "SIGRTMIN+12", "SIGRTMIN+13", "SIGRTMIN+14",
        "SIGRTMIN+15", "SIGRTMAX-14", "SIGRTMAX-13", "SIGRTMAX-12", "SIGRTMAX-11", "SIGRTMAX-10", "SIGRTMAX-9",
        "SIGRTMAX-8",  "SIGRTMAX-7",  "SIGRTMAX-6",  "SIGRTMAX-5",  "SIGRTMAX-4",  "SIGRTMAX-3",  "SIGRTMAX-2",
        "SIGRTMAX-1",  "SIGRTMAX",
    };
    /* Entry 0 is the seed's name for "no signal", which is not one a thread can get. */
    return number > 0 && (size_t)number < sizeof names / sizeof *names ? names[number] : "<invalid>";
}
