/* rein - take hold of running Linux processes. SPDX-License-Identifier: BSD-3-Clause
 *
 * This header is the manual. It is grouped by task: errors, the monitor, taking hold of a process and letting
 * it go, causes and events, policy and callbacks, running and stopping, threads, registers (two sections), memory,
 * calls made in a tracee, bytecode, breakpoints, watchpoints. The terms are those of ptrace(2) and gdb: a *tracee* is a
 * thread that is traced; it is *stopped* when the kernel holds it in a ptrace-stop; *all-stop* means that one thread's stop
 * stops the whole process.
 *
 * THE MODEL. A rein_monitor makes all ptrace calls. A rein_process is a process that the monitor holds; it has
 * rein_threads and rein_breakpoints. Any thread of the host program may call any function at any time: the call is
 * run on the monitor, atomically with respect to every change of state. A call made in a callback, which already
 * runs on the monitor, is run at once. A call that only asks what the monitor knows, while that sleeps, is answered without
 * it, and keeps it from going on for less than a microsecond; a host thread that is stopped just then (job control, a debugger
 * of the host) keeps it until it is continued or the host is dead.
 *
 * RESULTS. Every function that can fail returns int: 0, or a negative enum rein_error. What went wrong, with the
 * thread, its state and the errno that matter, is then in rein_error_message(), for the calling thread, until its
 * next call into rein. Nothing here prints, exits, aborts, installs a signal handler, or waits for a child of the
 * host that is not a tracee.
 *
 * HANDLES are counted. A function that hands one out gives the caller a reference, to be given back with the
 * matching _unref. Every handle stays valid as long as a reference is held, whatever happens to the process: a
 * thread that is gone still answers who it was and how it ended. NULL is always refused with
 * REIN_INVALID_ARGUMENT (the _unref functions ignore it).
 *
 * TIME LIMITS are in milliseconds: -1 waits for ever, 0 does not wait. A call whose limit has passed returns
 * REIN_TIMEOUT and leaves the thing that it waited for under way.
 *
 * STRUCTS of options begin with their size, so that they can grow: initialise them with the macro that is given
 * with each, or pass NULL for the defaults.
 */
#ifndef REIN_REIN_H
#define REIN_REIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REIN_API __attribute__((visibility("default")))

#define REIN_VERSION_MAJOR 0
#define REIN_VERSION_MINOR 1
#define REIN_VERSION_PATCH 0

/* The version of the library that is running, "0.1.0". */
REIN_API const char *rein_version(void);

/* An address in a tracee or the value of one of its registers: 64 bits on every platform, also for 32-bit
 * tracees (whose values are zero-extended). */
typedef uint64_t rein_word;

typedef struct rein_monitor rein_monitor;
typedef struct rein_process rein_process;
typedef struct rein_thread rein_thread;
typedef struct rein_breakpoint rein_breakpoint;
typedef struct rein_watchpoint rein_watchpoint;
typedef struct rein_registers rein_registers;
typedef struct rein_bytecode rein_bytecode;

/* ---- Errors ---------------------------------------------------------------------------------------------------
 * One table makes the enumeration, the names and the general texts, so that they cannot drift apart:
 * X(name, value, text). */
#define REIN_ERRORS(X)                                                                                                 \
    X(INVALID_ARGUMENT, -1, "an argument is missing or not valid")                                                     \
    X(NO_MEMORY, -2, "out of memory")                                                                                  \
    X(SYSTEM, -3, "a system call failed")                                                                              \
    X(NOT_SUPPORTED, -4, "not supported on this platform")                                                             \
    X(NO_PROCESS, -5, "no such process")                                                                               \
    X(NO_THREAD, -6, "no such thread")                                                                                 \
    X(NOT_PERMITTED, -7, "not permitted")                                                                              \
    X(ALREADY_TRACED, -8, "the process has a tracer already")                                                          \
    X(KERNEL_THREAD, -9, "kernel threads cannot be traced")                                                            \
    X(SELF, -10, "a process cannot trace itself")                                                                      \
    X(EXEC_FAILED, -11, "the program could not be started")                                                            \
    X(BAD_STATE, -12, "not possible in the present state")                                                             \
    X(EXITED, -13, "the process has exited")                                                                           \
    X(DETACHED, -14, "the process has been let go")                                                                    \
    X(TIMEOUT, -15, "the time limit has passed")                                                                       \
    X(CANCELLED, -16, "the wait was cancelled")                                                                        \
    X(CANNOT_STOP, -17, "a thread cannot be stopped now")                                                              \
    X(BREAKPOINT_EXISTS, -18, "breakpoint already exists")                                                             \
    X(NO_BREAKPOINT, -19, "no breakpoint")                                                                             \
    X(BAD_ADDRESS, -20, "the memory is not accessible")                                                                \
    X(OUT_OF_RANGE, -21, "index out of range")                                                                         \
    X(NO_REGISTER, -22, "no such register")                                                                            \
    X(NO_LINK_REGISTER, -23, "no link register")                                                                       \
    X(UNEXPECTED_STOP, -24, "unexpected initial stop")                                                                 \
    X(ON_MONITOR, -25, "this call waits and cannot be made on the monitor")                                            \
    X(WRONG_THREAD, -26, "the monitor was lent by another thread")                                                     \
    X(CLOSED, -27, "the monitor cannot be reached any more")                                                           \
    X(MONITOR_FAILED, -28, "the monitor has failed")                                                                   \
    X(NO_SLOT, -40, "too few debug registers")                                                                         \
    X(NO_WATCHPOINT, -41, "no such watchpoint")                                                                        \
    X(NEVER_FIRES, -42, "accepted by the kernel, but never fires on this machine")                                     \
    X(CALL_STOPPED, -43, "the thread has stopped in the function that it calls")                                       \
    X(NOT_EVALUATED, -44, "the bytecode could not be evaluated")

enum rein_error {
    REIN_OK = 0,
#define REIN_ERROR_ENUMERATOR(name, value, text) REIN_##name = (value),
    REIN_ERRORS(REIN_ERROR_ENUMERATOR)
#undef REIN_ERROR_ENUMERATOR
};

/* The calling thread's last failure in words: what, on which thread, in which state, and what to do about it.
 * "" when it has not failed yet. Valid until the calling thread's next call into rein. Never NULL. */
REIN_API const char *rein_error_message(void);
/* "REIN_BAD_STATE" for REIN_BAD_STATE; "REIN_UNKNOWN" for a number that is no error. */
REIN_API const char *rein_error_name(int error);
/* The general text of an error, from the table above. */
REIN_API const char *rein_error_text(int error);

/* ---- The log --------------------------------------------------------------------------------------------------
 * Silent unless asked for. Lines come without a newline, on the monitor; a line is built only if its level is
 * on. They come in the middle of things, so the callback must not call into rein (REIN_ON_MONITOR). */
enum rein_log_level {
    REIN_LOG_NONE = 0,
    REIN_LOG_WARNING, /* something unexpected that rein could deal with */
    REIN_LOG_INFO,    /* processes taken and let go */
    REIN_LOG_STATE,   /* every change of a thread's state */
    REIN_LOG_TRACE,   /* every event with its pc */
    REIN_LOG_MEMORY,  /* every read and write of memory and registers */
};
typedef void (*rein_log_callback)(enum rein_log_level level, const char *line, void *arg);

/* ---- The monitor ----------------------------------------------------------------------------------------------
 * The kernel takes ptrace calls for a thread only from the one that attached to it; the monitor is that one. One
 * monitor serves any number of processes; several monitors know nothing of each other.
 *
 * REIN_MONITOR_PROCESS, the default: a process of its own ("rein-monitor" in ps) that shares the host's memory and
 *   descriptors. The host gets no SIGCHLD for a tracee, no child to wait for, and its wait calls see only its own
 *   children (with __WALL or __WCLONE they see the monitor, too, which is then not theirs to wait for). Callbacks run
 *   with the host's memory, locks and descriptors, but as another process: getpid() differs there, signal handlers,
 *   the signal mask and resource limits are the monitor's own, and they must not fork, exec or exit. Before its first
 *   attach it makes a process group of its own, so that a signal to the host's group does not end it; if it starts
 *   programs, too, a child of its, "rein-anchor", stays in the host's group, where it sleeps: it keeps the kernel from
 *   taking the end of such a program for the loss of the terminal. WHEN THE HOST DIES, killed by SIGKILL included, the
 *   monitor takes all breakpoints out and lets every process go, unharmed and running, then ends. That cannot hold
 *   when the monitor is killed too (the whole control group, or by the out-of-memory killer), nor when the host has
 *   changed its user ids since the monitor was made (the kernel then does not tell it; make the monitor afterwards),
 *   nor with the two kinds below.
 *   WHEN THE MONITOR IS KILLED and the host is not, calls return REIN_MONITOR_FAILED, and the host takes out the
 *   breakpoints that it can. What the monitor had in its hands is lost to the host as with a thread that is killed: a
 *   descriptor or two of files in /proc that it was reading, some memory, and, if it was in malloc or free, the lock of
 *   that heap: a thread that then frees what came from there waits for ever.
 *   UNDER YAMA (kernel.yama.ptrace_scope 1, without CAP_SYS_PTRACE) a process may trace its descendants only, and a
 *   process that the host has started is none of the monitor's: REIN_NOT_PERMITTED. Use REIN_MONITOR_THREAD or
 *   REIN_MONITOR_LENT for those, or let them call prctl(PR_SET_PTRACER, the host's process id), before their exec,
 *   say. What rein_spawn starts is the monitor's own.
 * REIN_MONITOR_THREAD: an ordinary thread of the host, for what cannot take the first (valgrind). It looks for
 *   events by polling, at most 2 ms apart; the host gets SIGCHLD for its tracees. When the host dies the kernel
 *   lets the tracees go as they are, with the breakpoints in them.
 * REIN_MONITOR_LENT: the caller lends its own thread; there is no hand-over at all. Events are handled only while
 *   that thread is in a call into rein; calls from other threads return REIN_WRONG_THREAD, but for
 *   rein_process_cancel_wait. While it waits it takes SIGCHLD off the thread's queue; one that was for another child
 *   of the host is queued again. Death of the host: as above.
 *
 * A monitor must not be used in a child that the host forks (REIN_CLOSED there). */
enum rein_monitor_kind { REIN_MONITOR_PROCESS = 0, REIN_MONITOR_THREAD = 1, REIN_MONITOR_LENT = 2 };

struct rein_monitor_options {
    size_t size;
    enum rein_monitor_kind kind;
    enum rein_log_level log_level;
    rein_log_callback log;
    void *log_arg;
    /* For THREAD and LENT: a signal, of no other use to the host, by which that thread may be interrupted; 0: none. rein
     * handles it from then on and unblocks it there. It is needed for one thing: to attach to a process with several
     * threads of which one is just calling exec. The kernel lets a tracer wait then for an exec that waits for the
     * tracer, for ever (as gdb and strace do). The monitor process has signals of its own, and needs none. */
    int interrupt_signal;
    unsigned flags; /* REIN_MONITOR_STEP_OVER */
};
#define REIN_MONITOR_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(struct rein_monitor_options), REIN_MONITOR_PROCESS, REIN_LOG_NONE, NULL, NULL, 0, 0                     \
    }
enum {
    REIN_MONITOR_STEP_OVER =
        1 << 0, /* every instruction under a breakpoint is executed by the thread, in a single-step, and
                                        none by rein in its place (see "Breakpoints"): slow, and to find out whether a
                                        difference that is seen comes from that */
};

/* Makes a monitor. The caller owns it and ends it with rein_monitor_close.
 * REIN_SYSTEM (no thread or process could be made), REIN_NO_MEMORY, REIN_NOT_SUPPORTED. */
REIN_API int rein_monitor_create(const struct rein_monitor_options *options, rein_monitor **monitor);

/* Lets every process go (as rein_process_detach with signal 0), ends the monitor and gives the caller's reference
 * back: the pointer is invalid afterwards. Handles of its processes and threads stay valid and answer as after a detach;
 * calls that wait in other threads return REIN_DETACHED. A thread in uninterruptible sleep that cannot be let go keeps the
 * call waiting for three seconds at most. REIN_ON_MONITOR in a callback. NULL is ignored. */
REIN_API int rein_monitor_close(rein_monitor *monitor);

/* Changes level or receiver of the log while it runs. log == NULL turns it off. */
REIN_API int rein_monitor_set_log(rein_monitor *monitor, enum rein_log_level level, rein_log_callback log, void *arg);

/* Runs function(arg) on the monitor: what it does with rein is one atomic step with respect to every event. Returns
 * what the function returns (which should be 0 or a rein_error). Calls that wait return REIN_ON_MONITOR there. Steps may begin in
 * it (rein_thread_step with a limit of 0, which returns REIN_TIMEOUT; REIN_STEP_BEGIN), so that one thread steps and others run
 * from the same moment; not so in a call that is made in a callback. */
REIN_API int rein_monitor_call(rein_monitor *monitor, int (*function)(void *arg), void *arg);

/* Runs function(arg) on the monitor, as its own work: every call may be made there, those that wait too, and none has to be
 * handed over to another thread or process. For a program that does little else than to ask rein and to answer others, as a
 * server does: its loop is the function, and waits in rein_monitor_poll. Returns what the function returns (which should be 0 or
 * a rein_error), when it does.
 *
 * With REIN_MONITOR_PROCESS, where that pays, the function runs in the monitor's process and not in the host's, whose calling
 * thread sleeps meanwhile: what is said of callbacks there holds for it. What the host is asked by signals its handlers
 * hear, in the host. When the host dies the function does not return: processes are let go as always. Programs that it starts
 * (rein_spawn) get the calling thread's signal mask, and are in the host's process group; what is ignored is what the host
 * ignored when the monitor was made, and what the function has changed since; of the signals that the monitor has a use for
 * (SIGCHLD, SIGPWR, SIGALRM, SIGPROF) those that the host ignores now.
 * On a lent thread it is a mere call of the function.
 *
 * Events are handled only while the function is in a call into rein that waits, or in rein_monitor_poll. Calls of other
 * threads are answered then, too. Callbacks may not wait, as ever.
 *
 * REIN_BAD_STATE: another function runs. REIN_ON_MONITOR: in a callback. REIN_MONITOR_FAILED: the monitor was killed, with
 * what the function was doing; or it had failed before. REIN_CLOSED. */
REIN_API int rein_monitor_run(rein_monitor *monitor, int (*function)(void *arg), void *arg);

/* As poll(2), for who is the monitor: in the function of rein_monitor_run, and on the thread that is lent. What happens to
 * processes is seen to meanwhile, so their descriptors (rein_process_event_fd) are to be among fds. timeout_ms: < 0: without
 * end; 0: events are handled that are there. *ready: how many of fds have .revents; 0 when the time has passed.
 * Waiting takes no more processor time than poll(2), but for REIN_MONITOR_THREAD, and for a lent thread that does not have SIGCHLD
 * blocked, or ignores it, or is not the host's only thread: these look for events by themselves every 2 and 5 ms.
 * rein keeps a descriptor of its own open for that, as long as the monitor lives (signalfd(2)).
 *
 * REIN_WRONG_THREAD: the calling thread is not the monitor. REIN_ON_MONITOR: in a callback. REIN_MONITOR_FAILED. REIN_CLOSED:
 * somebody closes the monitor: the function is to return. REIN_NO_MEMORY. REIN_SYSTEM: poll(2) cannot do it, as it says. */
struct pollfd; /* of <poll.h> */
REIN_API int rein_monitor_poll(rein_monitor *monitor, struct pollfd *fds, size_t count, int timeout_ms, int *ready);

/* The id (of the process, or of the thread) under which the kernel knows the monitor as a tracer (TracerPid in
 * /proc/PID/status). */
REIN_API int rein_monitor_id(rein_monitor *monitor);

/* ---- Taking hold of a process ---------------------------------------------------------------------------------
 * monitor may be NULL: the process then gets a monitor of its own, which ends with it. */
enum {
    REIN_ATTACH_RUNNING = 1 << 0, /* its threads run on: each is stopped for a moment only, by itself */
    REIN_ATTACH_STRICT = 1 << 1,  /* if a thread cannot be stopped now (vfork parent, uninterruptible sleep) or the
                                     limit passes, let everything go and fail with REIN_CANNOT_STOP or REIN_TIMEOUT;
                                     without this flag such a thread is held as soon as it comes out of the kernel.
                                     Whoever cannot be stopped is given a third of a second first, and three seconds
                                     while it is making a thread or a process, which would not be traced */
};
struct rein_attach_options {
    size_t size;
    unsigned flags;
    int timeout_ms; /* for all threads to stop; -1: none */
};
#define REIN_ATTACH_OPTIONS_INIT                                                                                       \
    {                                                                                                                  \
        sizeof(struct rein_attach_options), 0, -1                                                                      \
    }

/* Attaches to all threads of process pid and stops them. Done with PTRACE_SEIZE (Linux 3.4): no signal is sent; what
 * was stopped by job control is shown as it is and still stopped when it is let go. Threads that appear and vanish
 * meanwhile are followed; so is an exec by one of them. Its system calls are restarted, as after any stop, except the
 * few that signal(7) lists as not restarted after a stop signal; of these, the ones that were waiting without a limit
 * are restarted by rein.
 * Errors: REIN_NO_PROCESS, REIN_NOT_PERMITTED (the message says why: user, capability, Yama, dumpable, container),
 * REIN_ALREADY_TRACED (by whom), REIN_KERNEL_THREAD, REIN_SELF, REIN_TIMEOUT and REIN_CANNOT_STOP (see above;
 * REIN_TIMEOUT also without the flag, when not one thread could be taken: in the middle of an exec that lasts),
 * REIN_BAD_STATE (it is held by this monitor already), REIN_EXITED (a zombie, or it ended meanwhile), REIN_NOT_SUPPORTED
 * (its program is for another architecture; see rein_process_architecture).
 * After a failure everything is as before. On success the caller holds a reference to *process. */
REIN_API int rein_attach(rein_monitor *monitor, int pid, const struct rein_attach_options *options,
                         rein_process **process);

enum {
    REIN_SPAWN_NO_ASLR = 1 << 0,     /* addresses are the same in every run (personality(2), ADDR_NO_RANDOMIZE) */
    REIN_SPAWN_SEARCH_PATH = 1 << 1, /* path without a slash is looked for in the host's PATH */
    REIN_SPAWN_NULL_STDIO = 1 << 2,  /* descriptors 0, 1 and 2 are /dev/null; not together with fds */
    REIN_SPAWN_CREDENTIALS = 1 << 3, /* run with the uid, gid and groups given below */
    REIN_SPAWN_NEW_SESSION = 1 << 4, /* setsid(2): without a controlling terminal */
};
struct rein_spawn_options {
    size_t size;
    unsigned flags;
    int process_group; /* -1: the host's (default), 0: a new one, else that one, as setpgid(2) */
    unsigned uid, gid; /* with REIN_SPAWN_CREDENTIALS */
    const unsigned *groups;
    size_t group_count;
    int timeout_ms;      /* for the exec to happen; -1: none */
    const void *filter;  /* a seccomp program (struct sock_filter[]), see REIN_FILTER_DATA; NULL: none */
    size_t filter_count; /* of its instructions */
};
#define REIN_SPAWN_OPTIONS_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(struct rein_spawn_options), 0, -1, 0, 0, NULL, 0, -1, NULL, 0                                           \
    }

/* Starts the program at path and stops it after the exec, before its first instruction. argv and envv end with NULL;
 * envv == NULL: the host's environment. dir: its working directory, NULL: the host's. fds: fds[i] becomes its
 * descriptor i for i < fd_count, -1: closed; all others are closed. fds == NULL: it inherits as by fork and exec.
 * Signals that the host ignores stay ignored; the signal mask is the caller's. Its parent is the monitor.
 * Errors: REIN_EXEC_FAILED (the message says which step - exec, chdir, a descriptor, credentials - and the errno, which
 * is in errno too), REIN_SYSTEM (no process could be made), REIN_UNEXPECTED_STOP, REIN_TIMEOUT (it is killed),
 * REIN_NOT_SUPPORTED (a program for another architecture: it has not run). */
REIN_API int rein_spawn(rein_monitor *monitor, const char *path, char *const argv[], char *const envv[],
                        const char *dir, const int *fds, size_t fd_count, const struct rein_spawn_options *options,
                        rein_process **process);

REIN_API rein_process *rein_process_ref(rein_process *process);
/* Gives a reference back. It does not let the process go: the monitor holds it until it is detached or gone. */
REIN_API void rein_process_unref(rein_process *process);

/* The process id. */
REIN_API int rein_process_id(const rein_process *process);
/* The architecture of the program that it executes: "amd64", or "i386" for a 32-bit program on amd64. By its numbers system
 * calls are made in it (rein_thread_syscall). An exec may change it, which it has when that is told. A static string; any
 * time; NULL for NULL.
 * A library that is built for amd64 traces both. One that is built for i386 traces 32-bit programs only, on any kernel that
 * runs them: a 64-bit program can neither be attached to nor spawned, and a process that executes one is let go as soon as
 * its exec has been told (REIN_DETACHED, with a message that says why). */
REIN_API const char *rein_process_architecture(const rein_process *process);

/* Lets the process go: every thread is stopped for a moment, the breakpoints are taken out, and all run on as if they had
 * never been traced. A signal that a stopped thread was about to get is delivered; what was in a group-stop is
 * still in it. signal != 0 is sent to the process on the way. Afterwards calls answer REIN_DETACHED. A thread that
 * cannot be stopped now (see rein_process_stop) is let go as soon as it comes out of the kernel; until then
 * it stays traced, without any breakpoint. In a callback it only begins; it is done when the callback has
 * returned. REIN_NOT_PERMITTED, REIN_SYSTEM: it has been let go, but the signal could not be sent, or (REIN_SYSTEM)
 * breakpoints are left in it, for its memory could not be written. */
REIN_API int rein_process_detach(rein_process *process, int signal);

/* Kills the process with SIGKILL and returns when it is gone; nothing of that is reported. In a callback it
 * returns at once. REIN_NOT_PERMITTED, REIN_SYSTEM: it could not be killed, and is held as before. */
REIN_API int rein_process_kill(rein_process *process);

/* How a process or thread ended. status is -1 when signaled, as signal is 0 when not. */
struct rein_exit {
    bool signaled;
    int status;
    int signal;
    bool core_dumped;
};
/* How the process ended; REIN_BAD_STATE when it has not. It is gone when its last thread is. */
REIN_API int rein_process_exit(rein_process *process, struct rein_exit *how);

/* ---- Causes: why a thread is stopped, and events --------------------------------------------------------------- */
enum rein_cause_kind {
    REIN_CAUSE_STOPPED = 0,   /* "stopped": by request, or because another thread stopped the process */
    REIN_CAUSE_BREAKPOINT,    /* "breakpoint at 0x401136": .pc; the thread's pc is the breakpoint's address. "breakpoint
                                 at 0x401136: its condition could not be evaluated: memory at 0x10 cannot be read":
                                 .trouble, .trouble_address; see "Breakpoints" */
    REIN_CAUSE_WATCHPOINT,    /* "write watchpoint at 0x404040: 0x5 -> 0x6": .watchpoint, .pc, .value_known, .old_value,
                                 .value. The pc is behind the instruction, or at it if it is to be executed */
    REIN_CAUSE_SIGNAL,        /* "SIGINT": .signal; it is delivered when the thread continues, see
                                 rein_thread_set_signal. An int3 of the program's own is a SIGTRAP with the pc behind
                                 it (siginfo tells the difference, not the address). arm64's brk leaves the pc at
                                 it: continued without its signal it is executed again, if you do not set the pc */
    REIN_CAUSE_THREAD_CREATE, /* "thread create": .new_thread exists and has not run yet */
    REIN_CAUSE_THREAD_EXIT,   /* "thread exited with status 0", "thread exited from signal SIGKILL": .exit. It comes
                                 while registers and memory can still be read (PTRACE_EVENT_EXIT), except for a
                                 thread that another's exec makes vanish */
    REIN_CAUSE_EXEC,          /* "exec": the thread runs a new program; .former_id is the id it had before. All other
                                 threads are gone, all breakpoints are forgotten; see rein_process_architecture */
    REIN_CAUSE_FORK,       /* "fork": .child is the new process; if it is followed, .new_process is its handle, else it
                                 is not held and carries no breakpoint */
    REIN_CAUSE_VFORK,      /* "vfork": .child shares this memory and runs instead of this thread; .new_process as
                                 above. If it is not followed, it is let go while there is no breakpoint, and free to
                                 be traced by its parent; with breakpoints it is kept until it has left the memory, for
                                 it would die of them */
    REIN_CAUSE_VFORK_DONE, /* "vfork done": .child has left the memory */
    REIN_CAUSE_GROUP_STOP, /* "group-stop by SIGTSTP": .signal.number; job control has stopped the process. Shown
                                 once for the whole process. Continuing leaves it in the group-stop, as it
                                 would be without tracing (PTRACE_LISTEN); SIGCONT ends it */
    REIN_CAUSE_STEP,       /* "step": a single-step is done */
    REIN_CAUSE_PROCESS_EXIT,  /* "process exited with status 0", "process exited from signal SIGKILL": .exit. The last
                                 event of a process that ends while it is held; its thread is the last one. There is
                                 nothing to stop any more: REIN_STOP_THREAD and REIN_STOP_ALL do as REIN_REPORT */
    REIN_CAUSE_SYSCALL_ENTRY, /* "system call 257": .syscall is about to be made; see "System calls" below */
    REIN_CAUSE_SYSCALL_EXIT,  /* "system call 257 returned 3", "system call 257 failed with error 2": .syscall, the
                                 result included, which the program has not seen yet */
    REIN_CAUSE_COUNT
};

/* A signal with its siginfo (sigaction(2)); raw is the kernel's siginfo_t, whole. */
struct rein_signal {
    int number;
    int code;
    int error;
    int sender_pid;
    unsigned sender_uid;
    int64_t value;     /* sigqueue(3)'s */
    rein_word address; /* of a fault */
    unsigned char raw[128] __attribute__((aligned(8)));
};

/* A system call, as its thread makes it. */
struct rein_syscall {
    uint32_t arch;   /* by whose numbers: AUDIT_ARCH_... of <linux/audit.h>. It is the call's, which need not be the
                          program's: a 64-bit program's int $0x80 is AUDIT_ARCH_I386. x32 is AUDIT_ARCH_X86_64 with
                          bit 30 set in the number */
    bool entry_seen; /* number and arguments are those of the entry. False at an exit whose entry was not seen, for
                          the call was under way already: they are then what the registers hold at the exit */
    int64_t number;
    rein_word args[6];
    int64_t result; /* at the exit */
    int error;      /* at the exit: 0, or the errno with which the call has failed (the result is then its negative).
                       512 to 516 are the kernel's ERESTART... numbers, which no program ever sees: the call was
                       interrupted, and the kernel makes it again, or turns that into EINTR (4) when a handler runs */
    rein_word pc;   /* behind the instruction that makes the call */
};

struct rein_cause {
    enum rein_cause_kind kind;
    int child;
    int former_id;
    rein_word pc;
    const char *trouble; /* of a breakpoint's condition, as in struct rein_evaluation; NULL: none */
    rein_word trouble_address;
    struct rein_exit exit;
    rein_thread *new_thread;     /* counted: see rein_cause_clear */
    rein_process *new_process;   /* likewise; NULL: it is not followed */
    rein_watchpoint *watchpoint; /* counted, as well */
    bool value_known; /* of a watchpoint of 1 to 8 bytes that is not for execution, in memory that can be read */
    rein_word old_value, value; /* what was there when rein last looked, and now; zero-extended */
    struct rein_signal signal;
    struct rein_syscall syscall;
};

/* Writes the cause in words (the texts quoted above) to text, always terminated; returns its full length, as
 * snprintf does. */
REIN_API int rein_cause_text(const struct rein_cause *cause, char *text, size_t size);
/* The kind's name: "breakpoint", "thread create"; NULL for a number that is none. */
REIN_API const char *rein_cause_name(enum rein_cause_kind kind);
/* Gives back the references in a cause that a function has filled in. NULL is ignored. */
REIN_API void rein_cause_clear(struct rein_cause *cause);
/* "SIGSEGV", "SIGRTMIN+3", ...; "<invalid>" for a number that is no signal. A static string. */
REIN_API const char *rein_signal_name(int number);

/* An event: at the time it is handed out the thread may have gone on, by the policy; its cause then remains as told
 * here. */
struct rein_event {
    rein_thread *thread; /* counted: see rein_event_clear */
    struct rein_cause cause;
    uint64_t sequence; /* counts the process's events, in the order in which they happened; gaps: ignored ones */
};
/* Takes the oldest event that the process has waiting. Reported events and those that stopped only their thread wait until
 * taken; those that stopped the whole process wait until the next rein_process_continue, and are not handed
 * out before the whole process has stopped. (Exits that came to a process that was stopped already, for it was killed, after
 * the last call that waited for it had returned, wait for another such call first.) REIN_TIMEOUT when none came in
 * time, REIN_EXITED and REIN_DETACHED after the last one, REIN_CANCELLED. */
REIN_API int rein_process_next_event(rein_process *process, int timeout_ms, struct rein_event *event);
REIN_API void rein_event_clear(struct rein_event *event);

/* A descriptor for poll, select or epoll that is readable while an event waits, and when the process is gone. It
 * belongs to the process handle: only poll it. Returned in *fd. */
REIN_API int rein_process_event_fd(rein_process *process, int *fd);

/* ---- Policy and callbacks: what an event does -------------------------------------------------------------------
 * For every kind of cause the caller chooses. REIN_CAUSE_STOPPED has no policy; REIN_CAUSE_STEP has one, but the
 * thread that was stepped stops in any case. Default, from rein's ancestor, Go's debug/proc: breakpoint (and
 * watchpoint), signal, thread create, thread exit, exec stop all; group-stop is reported; fork, vfork, vfork done, process
 * exit are ignored; a step stops its thread. Entry and exit of a system call stop all; there are none before they are asked
 * for. Non-stop debugging is the policy REIN_STOP_THREAD for all. */
enum rein_policy {
    REIN_IGNORE = 0,  /* go on, nothing is told */
    REIN_REPORT,      /* go on, an event is told */
    REIN_STOP_THREAD, /* stop the thread, an event is told */
    REIN_STOP_ALL,    /* stop the process, an event is told */
};
/* kind == REIN_CAUSE_COUNT sets all of them. For events that happen from now on. */
REIN_API int rein_process_set_policy(rein_process *process, enum rein_cause_kind kind, enum rein_policy policy);
REIN_API int rein_process_policy(rein_process *process, enum rein_cause_kind kind, enum rein_policy *policy);

/* What a callback answers. *Go on* resumes the thread without stopping any other in the caller's sight. A signal
 * that goes on is delivered, whichever it is, unless the callback has called rein_thread_set_signal. */
enum rein_verdict {
    REIN_VERDICT_POLICY = 0, /* what the policy says */
    REIN_VERDICT_GO_ON,      /* go on, no event */
    REIN_VERDICT_STOP_THREAD,
    REIN_VERDICT_STOP_ALL,
};
/* Called on the monitor for every event, also those that the policy ignores, before the policy is applied; the thread is
 * stopped in the kernel and its registers, signal and memory can be used (not of one that is gone: REIN_CAUSE_PROCESS_EXIT,
 * and REIN_CAUSE_THREAD_EXIT by another's exec). thread and cause belong to the
 * caller: take a reference to keep the thread. It must be quick: nothing else of this monitor happens
 * meanwhile. Calls that wait return REIN_ON_MONITOR. callback == NULL takes it away. */
typedef enum rein_verdict (*rein_event_callback)(rein_thread *thread, const struct rein_cause *cause, void *arg);
REIN_API int rein_process_set_callback(rein_process *process, rein_event_callback callback, void *arg);

/* ---- Process trees --------------------------------------------------------------------------------------------
 * What a process makes - by fork, vfork, posix_spawn, clone without CLONE_THREAD - is followed, or let go unharmed. One that
 * is followed is a process like any other, held by the same monitor. Policy, callback (with its argument) and way of
 * following are its parent's at first; the event REIN_CAUSE_FORK or REIN_CAUSE_VFORK of the parent's thread hands out its
 * handle before it has run any code, so that a callback can change these, or let it go (rein_process_detach). It is stopped
 * if that event stops the thread, and runs on its own else. To keep only some programs, let the others go in the callback
 * of REIN_CAUSE_EXEC, where rein_process_program names the new one.
 *
 * A VFORK CHILD runs in its parent's memory until its exec, instead of the parent, which waits in the kernel for that once it is
 * continued. The child is stopped and continued by itself, as any other, and its thread is the same before and behind the exec.
 * Until then the two have one memory, and one set of breakpoints, the parent's: what is added, removed or listed through the
 * child is that (REIN_BREAKPOINT_WHILE_RUNNING, unless both are stopped, the parent as far as it can be). It counts the hits
 * of both; a hit is told of whoever makes it, by the policy of his process. The child is not watched (REIN_BAD_STATE),
 * its system calls are not traced, no calls are made in it, and threads that it makes are not seen. If the parent is
 * let go, or killed, the child is held on. If the child is let go it is as one that was not followed, see
 * REIN_CAUSE_VFORK, and its thread is its parent's process's. The same holds for a process that was made to share the
 * memory (CLONE_VM) for as long as it does.
 * NOT FOLLOWED are the child of a parent that was killed before it could tell of it, and who was made with
 * CLONE_UNTRACED: the first is let go clean. */
enum rein_follow {
    REIN_FOLLOW_PARENT = 0, /* the new process is let go: the default */
    REIN_FOLLOW_CHILD,      /* the new process is held, and the old one let go */
    REIN_FOLLOW_BOTH,
};
enum {
    REIN_FOLLOW_BREAKPOINTS = 1 << 0, /* a copy gets breakpoints where the parent has them, with the same callbacks and
                                         conditions, as many hits still to be ignored, and counts of its own; without
                                         it, none */
};
/* For processes that are made from now on. */
REIN_API int rein_process_set_follow(rein_process *process, enum rein_follow follow, unsigned flags);

/* The id of the process that made it, while both were held; 0: it was attached to or spawned. Any time. */
REIN_API int rein_process_parent_id(const rein_process *process);
/* How many processes above it in the tree were followed: 0 for one that was attached to or spawned. Any time. */
REIN_API int rein_process_depth(const rein_process *process);
/* The file that it executes, as /proc/PID/exe names it (seen from the monitor's root; " (deleted)" behind it if it is
 * gone); size counts the final 0, and a path that is longer is cut. REIN_NO_PROCESS, REIN_SYSTEM. */
REIN_API int rein_process_program(rein_process *process, char *path, size_t size);
/* The id of the process in whose memory it runs: its own, or, of a vfork child before its exec, another's. */
REIN_API int rein_process_memory_id(rein_process *process, int *id);
/* Its id in its own PID namespace, the innermost (a container's), which is what it gets from getpid(2). All other ids of rein
 * are the monitor's namespace's. REIN_NO_PROCESS, REIN_NOT_SUPPORTED (Linux before 4.1). */
REIN_API int rein_process_inner_id(rein_process *process, int *id);

/* Takes the oldest event that waits at any process of the monitor, in the order in which they happened; else as
 * rein_process_next_event (its rules for events that stop a process hold). The process is rein_thread_process(event->thread)
 * (but of a vfork child that was let go since, its parent's).
 * REIN_TIMEOUT, REIN_NO_PROCESS when the monitor holds no process and nothing waits. From the first call on events wait until
 * they are taken though all handles of their process have been given back. */
REIN_API int rein_monitor_next_event(rein_monitor *monitor, int timeout_ms, struct rein_event *event);

/* ---- Stopping and continuing the process ----------------------------------------------------------------------- */

/* Stops every running thread, and returns when all are stopped. A thread that cannot stop now - a vfork parent, whose
 * child must leave first, or one in uninterruptible sleep - does not hold up the call: the others are stopped,
 * and REIN_CANNOT_STOP says which and why. It runs no program code before it is continued either: it is stopped
 * as soon as it comes out of the kernel. (A process that shares the memory, such as that child, is not stopped, unless a
 * breakpoint stops it.) 0 if all were stopped already. REIN_TIMEOUT: they stop as they can.
 * In a callback it only begins. */
REIN_API int rein_process_stop(rein_process *process, int timeout_ms);

/* Continues every stopped thread. A thread at a breakpoint that was reported to the caller, or that was added
 * where the thread stood, goes past it. A signal that stopped a thread is delivered, except SIGSTOP and SIGTRAP, unless
 * rein_thread_set_signal has said otherwise. REIN_BAD_ADDRESS: a breakpoint cannot be written to
 * memory (which, is in the message); nothing has been continued then. */
REIN_API int rein_process_continue(rein_process *process);

/* Returns 0 as soon as all threads are stopped (all but such as rein_process_stop names), because one hit a
 * breakpoint, got a signal, made a thread, exits ..., by the policy, or by request. REIN_TIMEOUT, REIN_CANCELLED,
 * REIN_EXITED when the process has ended (see rein_process_exit), REIN_DETACHED. */
REIN_API int rein_process_wait(rein_process *process, int timeout_ms);

/* Makes the calls that wait for this process or its threads now, in any thread, return REIN_CANCELLED. When none waits,
 * the next one does. Async-signal-safe: may be called from a signal handler. */
REIN_API int rein_process_cancel_wait(rein_process *process);

/* ---- Threads --------------------------------------------------------------------------------------------------- */

/* A new array of counted references to all threads that are not zombies; NULL when there are none. Give it back
 * with rein_thread_list_free. */
REIN_API int rein_process_threads(rein_process *process, rein_thread ***threads, size_t *count);
REIN_API void rein_thread_list_free(rein_thread **threads, size_t count);
/* The thread with that id, counted. REIN_NO_THREAD. */
REIN_API int rein_process_thread(rein_process *process, int id, rein_thread **thread);

REIN_API rein_thread *rein_thread_ref(rein_thread *thread);
REIN_API void rein_thread_unref(rein_thread *thread);

/* Its id in the kernel; after an exec that of the process. */
REIN_API int rein_thread_id(const rein_thread *thread);
/* The process it belongs to, not counted: valid while the thread's handle is. */
REIN_API rein_process *rein_thread_process(const rein_thread *thread);
/* Its name (comm), at most 15 bytes and a 0. REIN_NO_THREAD when it is gone. */
REIN_API int rein_thread_name(rein_thread *thread, char name[16]);

/* The states. Running: Running, SingleStepping, Stopping. Stopped: all that begin with Stopped. Zombie: Exiting. Terminal:
 * Exited, Detached. */
enum rein_state {
    REIN_STATE_RUNNING = 0,
    REIN_STATE_SINGLE_STEPPING,
    REIN_STATE_STOPPING, /* asked to stop, has not yet */
    REIN_STATE_STOPPED,
    REIN_STATE_STOPPED_BREAKPOINT,
    REIN_STATE_STOPPED_WATCHPOINT,
    REIN_STATE_STOPPED_SIGNAL,
    REIN_STATE_STOPPED_THREAD_CREATE,
    REIN_STATE_STOPPED_EXITING,
    REIN_STATE_STOPPED_EXEC,
    REIN_STATE_STOPPED_FORK, /* fork, vfork or vfork done */
    REIN_STATE_STOPPED_GROUP,
    REIN_STATE_STOPPED_STEP,
    REIN_STATE_STOPPED_SYSCALL, /* at the entry or the exit of a system call */
    REIN_STATE_EXITING,
    REIN_STATE_EXITED,
    REIN_STATE_DETACHED,
    REIN_STATE_COUNT
};
REIN_API int rein_thread_state(rein_thread *thread, enum rein_state *state);
/* "StoppedBreakpoint"; "<invalid>" for a number that is none. */
REIN_API const char *rein_state_name(enum rein_state state);
REIN_API bool rein_state_is_running(enum rein_state state);
REIN_API bool rein_state_is_stopped(enum rein_state state);
REIN_API bool rein_state_is_zombie(enum rein_state state);
REIN_API bool rein_state_is_terminal(enum rein_state state);

/* Why the thread is stopped; for one that is exiting or gone, how it ended. Clear it with rein_cause_clear.
 * REIN_BAD_STATE when it runs. */
REIN_API int rein_thread_cause(rein_thread *thread, struct rein_cause *cause);

enum {
    REIN_STEP_DELIVER = 1 << 0, /* deliver the signal that stopped it first: it then stops at the handler's first
                                   instruction (or wherever the signal's default action leaves it) */
    REIN_STEP_BEGIN = 1 << 1,   /* rein_thread_step_many only: returns as soon as they have begun */
};
/* Executes one instruction of a stopped thread and returns when it has stopped again; other threads stay as they are.
 * From a breakpoint it steps over it. A repeated string instruction (rep movs) is stepped one repetition at
 * a time, as the processor does. On arm64 a load exclusive is stepped with all that follows it up to the store
 * exclusive, which would never succeed otherwise. A signal that stopped the thread stays pending, and is delivered by
 * the next continue, unless REIN_STEP_DELIVER is given. The cause is REIN_CAUSE_STEP, or what came between: a
 * breakpoint that was stepped onto (it counts as a hit, and is a step like any other if callback and policy let the thread
 * go on), a signal, an exit. A blocking system call is waited for:
 * REIN_TIMEOUT leaves it under way in state SingleStepping, and rein_thread_stop ends it. REIN_BAD_STATE when it is not
 * stopped, or is exiting. A step or stop that another caller stops and continues before it is done returns when the
 * thread stops next. */
REIN_API int rein_thread_step(rein_thread *thread, unsigned flags, int timeout_ms);

/* Many steps for one request: the monitor makes one after the other, with no call of the caller's between two. At least one is
 * made. It ends, and the cause is REIN_CAUSE_STEP, when
 *   - count steps are made (0: no limit); or
 *   - the pc is not in low <= pc < high any more (high 0: no end), as it is behind a call to a function elsewhere, or a return
 *     from this one; or
 *   - until, which is asked on the monitor after each step, answers true. The thread is StoppedStep to it, and its registers and
 *     memory can be used; it must be quick, and calls that wait return REIN_ON_MONITOR. To end the run it answers true: that it
 *     stops the thread, which is stopped already, does not. A step in which somebody asks the thread to stop ends the run unasked.
 * It also ends with whatever stops a single step: a breakpoint that is stepped onto, which is a hit, a watchpoint, a signal,
 * an exit, an exec, the entry or exit of a traced system call, a stop by request. Only a hit, or the making of a thread
 * or process, that callback and policy let go on does not end it, and a breakpoint on the way is stepped over. An event
 * REIN_CAUSE_STEP comes for the last step only. A repetition of a string instruction is a step. Instructions that
 * change registers only are executed by rein, in the thread's place, up to 64 in a row, as long as there are no
 * watchpoints: what the program, and the predicate, see is the same (see REIN_MONITOR_STEP_OVER). */
typedef bool (*rein_step_callback)(rein_thread *thread, void *arg);
struct rein_step_options {
    size_t size;
    unsigned flags; /* REIN_STEP_DELIVER: by the first step; REIN_STEP_BEGIN */
    uint64_t count;
    rein_word low, high;
    rein_step_callback until; /* may be NULL */
    void *arg;
};
#define REIN_STEP_OPTIONS_INIT                                                                                         \
    {                                                                                                                  \
        sizeof(struct rein_step_options), 0, 0, 0, 0, NULL, NULL                                                       \
    }
/* *done, if not NULL, is how many steps were made. REIN_TIMEOUT (0 is taken for 1) and REIN_CANCELLED end it with the
 * instruction that is under way: the thread is stopped, unless it is in the kernel and cannot be (rein_thread_stop), or another
 * caller continues it at that moment. Else as rein_thread_step. REIN_ON_MONITOR on the monitor, but as rein_monitor_call says.
 * With REIN_STEP_BEGIN it returns 0 when they have begun, and *done is 0: the thread is SingleStepping until an event, or
 * rein_thread_wait, tells what has ended them, and rein_thread_stop ends them sooner; there is no time limit, and
 * until, with its arg, may be called till then. The options may be gone. */
REIN_API int rein_thread_step_many(rein_thread *thread, const struct rein_step_options *options, int timeout_ms,
                                   uint64_t *done);

/* Stops, continues and waits for this thread alone. Errors as for the process. */
REIN_API int rein_thread_stop(rein_thread *thread, int timeout_ms);
REIN_API int rein_thread_continue(rein_thread *thread);
REIN_API int rein_thread_wait(rein_thread *thread, int timeout_ms);

/* The signal that the thread will get when it continues: 0 for none, the one that stopped it, or another. It must be
 * stopped by a signal (or be in a callback for one): only there can the kernel exchange it; REIN_BAD_STATE else. The
 * siginfo goes with it as long as the number is the same; another number is delivered as sent by the monitor. */
REIN_API int rein_thread_set_signal(rein_thread *thread, int number);
/* The same signal with other details: what the program's handler finds in its siginfo. It is .raw, with .number, .code and
 * .error, and for a fault .address, put in. The number must be that of the signal that has stopped the thread
 * (REIN_INVALID_ARGUMENT else); the thread's cause shows the change. REIN_BAD_STATE as above. */
REIN_API int rein_thread_set_signal_info(rein_thread *thread, const struct rein_signal *signal);

/* ---- Registers -------------------------------------------------------------------------------------------------
 * A snapshot of a stopped thread's registers. Reading it never fails for lack of the thread. A set writes through to
 * the thread, which must still be in the same stop: after it has run on a set is REIN_BAD_STATE and changes nothing,
 * neither there nor in the snapshot. Registers have an index, in this order on amd64: rax rbx rcx rdx rsi rdi rbp rsp
 * r8 r9 r10 r11 r12 r13 r14 r15 rip eflags cs ss ds es fs gs orig_rax fs_base gs_base; on i386: eax ebx ecx edx esi
 * edi ebp esp eip eflags cs ss ds es fs gs orig_eax. Others, wider ones among them, follow: see the next section. */
REIN_API int rein_thread_registers(rein_thread *thread, rein_registers **registers);
REIN_API void rein_registers_free(rein_registers *registers);

/* Whose registers these are: rein_process_architecture's, unless the program has switched, by a far jump, to code of
 * another kind (as 64-bit programs can that run 32-bit ones, wine, say). Then they are that code's: it can be stepped and has
 * breakpoints as ever, but no calls can be made in it. A static string; NULL for NULL. */
REIN_API const char *rein_registers_architecture(const rein_registers *registers);
/* Of those that fit a word: 27 on amd64, 17 on i386. */
REIN_API int rein_registers_count(const rein_registers *registers);
/* A static string, or NULL when the index is out of range. */
REIN_API const char *rein_registers_name(const rein_registers *registers, int index);
/* REIN_NO_REGISTER when there is none of that name. */
REIN_API int rein_registers_index(const rein_registers *registers, const char *name);
/* The index of program counter, stack pointer and link register (REIN_NO_LINK_REGISTER on amd64 and i386). */
REIN_API int rein_registers_pc_index(const rein_registers *registers);
REIN_API int rein_registers_sp_index(const rein_registers *registers);
REIN_API int rein_registers_link_index(const rein_registers *registers);

REIN_API int rein_registers_get(const rein_registers *registers, int index, rein_word *value);
/* REIN_OUT_OF_RANGE; REIN_INVALID_ARGUMENT when the value is wider than the register; REIN_SYSTEM when the kernel refuses
 * the value (a segment register's, say). Setting the pc of a thread that is stopped in a system call keeps the kernel from
 * restarting the call at the new place. */
REIN_API int rein_registers_set(rein_registers *registers, int index, rein_word value);
/* All at once: count must be rein_registers_count. */
REIN_API int rein_registers_get_all(const rein_registers *registers, rein_word *values, size_t count);
REIN_API int rein_registers_set_all(rein_registers *registers, const rein_word *values, size_t count);

REIN_API int rein_registers_pc(const rein_registers *registers, rein_word *value);
REIN_API int rein_registers_set_pc(rein_registers *registers, rein_word value);
REIN_API int rein_registers_sp(const rein_registers *registers, rein_word *value);
REIN_API int rein_registers_set_sp(rein_registers *registers, rein_word value);
REIN_API int rein_registers_link(const rein_registers *registers, rein_word *value);
REIN_API int rein_registers_set_link(rein_registers *registers, rein_word value);

/* ---- Registers of any size -------------------------------------------------------------------------------------
 * Behind the registers above, which are in every snapshot and fit a word, come all the others that the architecture
 * can have, on amd64: st0-st7 and the x87's fctrl fstat ftag fiseg fioff foseg fooff fop, mxcsr, xmm0-xmm31,
 * ymm0-ymm31, zmm0-zmm31, k0-k7, pkru, tilecfg, tmm0-tmm7, ssp (the shadow stack's pointer); on i386 the same but for
 * the tiles, ssp, and all numbers from 8 on. Which of them there are is
 * up to the processor, the kernel and the thread: rein_registers_present tells. xmm0, ymm0 and zmm0 are one register
 * in three widths: a write of xmm0 leaves what is above it. A register that the program has not used yet has its
 * initial value. The names and widths are gdb's: the x87's control registers have 4 bytes, of which they fill less, and
 * ftag is the whole word, two bits a register.
 *
 * These registers are fetched when one of their set is first asked for, which must be in the stop that the snapshot is of:
 * REIN_BAD_STATE when the thread has run since. From then on they are part of the snapshot, and can be read for ever. A
 * snapshot is for one thread of the host at a time. */

/* How a register's bytes are meant; on all architectures the first byte is the lowest. */
enum rein_register_type {
    REIN_TYPE_INTEGER = 0, /* unsigned */
    REIN_TYPE_CODE_POINTER,
    REIN_TYPE_DATA_POINTER,
    REIN_TYPE_FLAGS,  /* bits that have names: .flags */
    REIN_TYPE_FLOAT,  /* 10 bytes: the x87's extended format */
    REIN_TYPE_VECTOR, /* lanes of any of the kinds in .lanes */
    REIN_TYPE_MATRIX, /* rows of .row bytes, each like a vector */
    REIN_TYPE_STRUCT, /* bytes with a layout of their own, as the processor's manual says */
    REIN_TYPE_COUNT
};
enum rein_register_group {
    REIN_GROUP_GENERAL = 0,
    REIN_GROUP_SEGMENT,
    REIN_GROUP_SYSTEM,
    REIN_GROUP_FLOAT,
    REIN_GROUP_VECTOR,
    REIN_GROUP_MASK,
    REIN_GROUP_TILE,
    REIN_GROUP_COUNT
};
enum { /* kinds of lanes */
       REIN_LANES_INT8 = 1 << 0,
       REIN_LANES_INT16 = 1 << 1,
       REIN_LANES_INT32 = 1 << 2,
       REIN_LANES_INT64 = 1 << 3,
       REIN_LANES_INT128 = 1 << 4,
       REIN_LANES_FLOAT16 = 1 << 5,  /* IEEE 754 */
       REIN_LANES_BFLOAT16 = 1 << 6, /* the upper half of a float32 */
       REIN_LANES_FLOAT32 = 1 << 7,
       REIN_LANES_FLOAT64 = 1 << 8,
};
struct rein_register_flag { /* bits low to high; the lowest bit is 0 */
    const char *name;
    unsigned low, high;
};
struct rein_register_info {
    size_t size;
    const char *name; /* all pointers are to static data */
    size_t bytes;     /* its width; the greatest, where that is up to the thread */
    enum rein_register_type type;
    enum rein_register_group group;
    unsigned lanes;
    size_t row;
    int dwarf; /* its number in DWARF; -1: none */
    const struct rein_register_flag *flags;
    size_t flag_count;
};
#define REIN_REGISTER_INFO_INIT                                                                                        \
    {                                                                                                                  \
        sizeof(struct rein_register_info), NULL, 0, REIN_TYPE_INTEGER, REIN_GROUP_GENERAL, 0, 0, -1, NULL, 0           \
    }

/* How many there are with these: index, name and the functions below take any number below it. */
REIN_API int rein_registers_total(const rein_registers *registers);
/* What kind of register that is, whether it is present or not. REIN_OUT_OF_RANGE. */
REIN_API int rein_registers_info(const rein_registers *registers, int index, struct rein_register_info *info);
/* Has the thread such a register? REIN_OUT_OF_RANGE, REIN_BAD_STATE as said above, REIN_SYSTEM, REIN_NO_MEMORY. */
REIN_API int rein_registers_present(rein_registers *registers, int index, bool *present);
/* Reads a register of any kind to buffer, which has size bytes; its width is in *length, if not NULL, also when the buffer is
 * too small for it (REIN_INVALID_ARGUMENT). REIN_NO_REGISTER when it is not present; else as above. */
REIN_API int rein_registers_read(rein_registers *registers, int index, void *buffer, size_t size, size_t *length);
/* Writes a register of any kind through to the thread, as rein_registers_set does; no other register changes. size must
 * be its width. What the processor has no bits for is dropped. REIN_SYSTEM when the kernel refuses the value, or has
 * not kept it: a reserved bit of mxcsr is set; a thread that has not used AMX yet has no tiles to write; Linux 5.14 to
 * 6.1 do not take pkru. Else as rein_registers_read, with nothing changed. */
REIN_API int rein_registers_write(rein_registers *registers, int index, const void *data, size_t size);

/* "integer", "code pointer", "vector"; "general", "mask": NULL for a number that is none. */
REIN_API const char *rein_register_type_name(enum rein_register_type type);
REIN_API const char *rein_register_group_name(enum rein_register_group group);

/* ---- Memory ----------------------------------------------------------------------------------------------------
 * Breakpoints are never visible: reading shows the original bytes, writing changes the original under a breakpoint.
 * Text and other read-only memory can be written; the file it is mapped from is not changed (the kernel copies the
 * page). Both work up to the byte before memory that is not accessible: *done, if not NULL, is the count, and the
 * result then is REIN_BAD_ADDRESS; what the buffer has behind it is undefined. The kind for a process works whether it
 * runs or not; the one for a thread requires it stopped, as in the seed. */
REIN_API int rein_process_read(rein_process *process, rein_word address, void *buffer, size_t size, size_t *done);
REIN_API int rein_process_write(rein_process *process, rein_word address, const void *data, size_t size, size_t *done);
REIN_API int rein_thread_read(rein_thread *thread, rein_word address, void *buffer, size_t size, size_t *done);
REIN_API int rein_thread_write(rein_thread *thread, rein_word address, const void *data, size_t size, size_t *done);

/* Reads from many places, at one moment of the monitor's and, where all can be read, in one system call for 64 of them. Each range
 * has its own done and result, as of rein_process_read; the function's result is that of the first that failed. The others
 * are read all the same. On arm64 an address is without its tag afterwards. */
struct rein_range {
    rein_word address;
    void *buffer; /* the caller's, of size bytes */
    size_t size;
    size_t done;
    int result;
};
REIN_API int rein_process_read_ranges(rein_process *process, struct rein_range *ranges, size_t count);

/* ---- Calls made in a tracee -------------------------------------------------------------------------------------
 * A stopped thread is made to execute a system call, with its own descriptors, memory and credentials. Afterwards it is as
 * before, whatever comes of the call: registers, signal mask, pending signals, the signal that it was about to get, its
 * state and cause; a system call in which it is stopped is made again, or goes on sleeping for the rest of its time. It
 * runs no code of the program, and the other threads stay as they are, stopped or running. Signals that come to it
 * meanwhile wait; those of the call's own making (SIGPIPE, say), too.
 *
 * It can be made in every state that is stopped, except StoppedExiting, and by a vfork parent whose child has not left yet,
 * or by that child at a breakpoint: REIN_BAD_STATE. A thread that is stopped in fork, clone or execve (StoppedFork,
 * StoppedThreadCreate, StoppedExec, and as rein_spawn leaves it) finishes that first: rax, which was not the result
 * yet, is. Until the call is done, calls that need the thread stopped return REIN_BAD_STATE, and a continue of the
 * process has it run on afterwards. A detach, the end of the monitor, and the host's death interrupt it.
 *
 * What cannot be made: exit, exit_group, execve, execveat, clone, clone3, fork, vfork, rt_sigreturn, restart_syscall
 * (REIN_INVALID_ARGUMENT); any, in a thread that runs 32-bit code in a 64-bit program, or in a process without the
 * instruction for it, which is looked for in the vdso first (REIN_NOT_SUPPORTED); nanosleep, clock_nanosleep, poll and
 * waiting by futex in a thread that sleeps with a time limit itself, since the kernel keeps the rest of one such time
 * for each thread (REIN_BAD_STATE); any, in a thread that is about to get a signal in epoll_pwait or another of its
 * kind but ppoll, pselect and sigsuspend (REIN_BAD_STATE); a thread at the exit of a traced call, or at a filter's stop
 * (REIN_BAD_STATE; at the entry it can). What a call changes in the thread's registers (arch_prctl) and signal mask
 * (rt_sigprocmask) is undone. */
enum {
    /* Also in a thread with a seccomp filter, which may kill the process for the call, or send it SIGSYS; without it, that is
     * REIN_NOT_PERMITTED, as strict mode always is. */
    REIN_SYSCALL_FILTERED = 1 << 0,
};
struct rein_syscall_options {
    size_t size;
    unsigned flags;
    int timeout_ms; /* then the call is interrupted; -1: none; 0 is taken for 1 */
};
#define REIN_SYSCALL_OPTIONS_INIT                                                                                      \
    {                                                                                                                  \
        sizeof(struct rein_syscall_options), 0, -1                                                                     \
    }

/* The thread makes the system call of that number, the platform's. *result is what the kernel answers, -errno for a
 * failure. REIN_TIMEOUT: the call was interrupted, and has no result (one that has done a part has: a short count); if the
 * thread sleeps uninterruptibly it is as before only when that ends, and counts as making the call until then.
 * REIN_CANCELLED and REIN_DETACHED: the same. REIN_NO_THREAD, REIN_EXITED: it was killed meanwhile. REIN_ON_MONITOR in a
 * callback. */
REIN_API int rein_thread_syscall(rein_thread *thread, int number, const rein_word arguments[6],
                                 const struct rein_syscall_options *options, int64_t *result);

/* mmap, munmap, mprotect, openat and close made so, with the host's constants. A failure of the call is REIN_SYSTEM with its
 * errno. *address is where the memory is; path may be relative to the thread's working directory. */
REIN_API int rein_thread_mmap(rein_thread *thread, rein_word wanted, size_t size, int protection, int flags,
                              int descriptor, int64_t offset, const struct rein_syscall_options *options,
                              rein_word *address);
REIN_API int rein_thread_munmap(rein_thread *thread, rein_word address, size_t size,
                                const struct rein_syscall_options *options);
REIN_API int rein_thread_mprotect(rein_thread *thread, rein_word address, size_t size, int protection,
                                  const struct rein_syscall_options *options);
REIN_API int rein_thread_open(rein_thread *thread, const char *path, int flags, unsigned mode,
                              const struct rein_syscall_options *options, int *descriptor);
REIN_API int rein_thread_close(rein_thread *thread, int descriptor, const struct rein_syscall_options *options);

/* FUNCTIONS. A stopped thread calls a function of its program, by the platform's convention, on its own stack, and is as before
 * when that returns: registers of all kinds, signal mask, the signal that it was about to get, state and cause, and the
 * system call in which it is stopped goes on. What the function does to memory, files and other threads stays.
 *
 * While it is in the function it is a thread like any other, and its events are events as ever. If one stops it there - a
 * breakpoint, a signal, a stop by request - rein_thread_call returns REIN_CALL_STOPPED, and the call is under way: the
 * thread can be looked at, stepped, be made to call another function (which returns to this stop), and continued; then
 * rein_thread_call_wait waits for the rest of it. rein_thread_call_abandon brings it back without the result, from wherever it
 * is; whatever the function has begun is then half done, as is a handler that runs on top of it, and locks that they hold
 * stay locked. A signal that has stopped the
 * thread in the function is delivered after that, if it was to be, but for a fault of the function's own and its abort.
 *
 * The thread returns to an address that no program can have memory at, and the SIGSEGV of that is taken for the return,
 * whoever else runs where. So SIGSEGV is not blocked during the call; and if the program ignores it, or the function blocks
 * it, it is reset to its default action (as SIGTRAP by a breakpoint). Unwinders see the program end there: an exception
 * that leaves the function ends in std::terminate. A function that leaves by longjmp does not return; its call is over when
 * one around it returns, or is abandoned. A process that the function makes by fork returns from it as well, and dies of
 * that SIGSEGV: it should exec or exit first, or be followed.
 *
 * A thread that sleeps with a time limit (nanosleep, poll, ...) sleeps for the rest of it; but if the function sleeps so
 * itself, the thread's own sleep ends with EINTR, as it would for a signal's handler: the kernel notes one such rest. In
 * a process that is stopped by job control the function runs, and the thread is in that stop when it is back.
 *
 * It can be made where rein_thread_syscall can. It is refused in a thread with a shadow stack, which has return addresses
 * in a second place, and in one that runs 32-bit code in a 64-bit program or the reverse (REIN_NOT_SUPPORTED). From a
 * signal's stop, and the entry of a traced call, the way back takes a system call: a seccomp filter may be against that
 * (REIN_NOT_PERMITTED, see REIN_CALL_FILTERED), and for epoll_pwait the same exception holds (REIN_BAD_STATE). A detach,
 * the end of the monitor and the death of the host abandon calls; a monitor that is killed cannot. */
enum rein_call_type { REIN_CALL_INTEGER = 0, REIN_CALL_DOUBLE, REIN_CALL_FLOAT, REIN_CALL_INTEGER64 };
/* Pointers, and integers up to their width, extended as the type demands, are REIN_CALL_INTEGER. Integers that have 64 bits
 * in 32-bit programs, too (int64_t), are REIN_CALL_INTEGER64: two words on i386, elsewhere the same. Functions with a
 * variable number of arguments take what C makes of them: double for float, int for less. A struct that is returned in
 * memory has its address as the first argument. On i386 all arguments are on the stack, so a struct can be passed as its
 * words, a long double as three; functions of another convention (regparm, fastcall) cannot be called there. */
struct rein_call_argument {
    enum rein_call_type type;
    union {
        rein_word word;
        double real;
        float single;
    };
};
enum {
    REIN_CALL_OTHERS_RUN =
        1 << 0, /* continues the other threads, as rein_process_continue: the function may wait for one.
                                      Without it they stay as they are */
    REIN_CALL_FILTERED = 1 << 1, /* as REIN_SYSCALL_FILTERED */
};
struct rein_call {
    size_t size;
    unsigned flags;
    rein_word pc; /* the function */
    const struct rein_call_argument *arguments;
    size_t count;    /* at most REIN_CALL_ARGUMENTS_MAX */
    rein_word stack; /* to call it on another: the address behind that. 0: the thread's, below what it uses there */
};
#define REIN_CALL_INIT                                                                                                 \
    {                                                                                                                  \
        sizeof(struct rein_call), 0, 0, NULL, 0, 0                                                                     \
    }
#define REIN_CALL_ARGUMENTS_MAX 1024

/* All that a function can return in; which it is, is up to its type. On amd64: rax and rdx, xmm0 and xmm1, st0. A struct of up
 * to 16 bytes comes in two of the first four, in order; a float is vectors[0].single. On i386: eax and edx, which are the
 * lower and the upper half of 64 bits; xmm0 and xmm1, for vectors only; st0, in which float and double are, too: as a long
 * double. On arm64: x0 and x1, v0 and v1 (of a struct of three or four floats the first two), v0 for a long double; where a
 * large struct is to be put is told in x8, which is the thread's own: set it before the call, and back behind it. */
struct rein_call_result {
    rein_word words[2];
    union {
        double real;
        float single;
        unsigned char bytes[16];
    } vectors[2];
    unsigned char extended[16]; /* a long double, 10 bytes of it */
};

/* Calls the function and waits until it has returned, and, if the process was stopped as a whole, is so again; the result is
 * then in *result (which may be NULL). REIN_CALL_STOPPED: see above; REIN_TIMEOUT, REIN_CANCELLED: likewise, but the
 * thread runs. REIN_BAD_ADDRESS: there is no memory where the stack should be. REIN_INVALID_ARGUMENT: also for a function
 * or a REIN_CALL_INTEGER that has more bits than the program's words. REIN_NO_THREAD, REIN_EXITED, REIN_DETACHED: the
 * thread has ended in the function, or was let go. The errors of rein_thread_syscall's state. REIN_ON_MONITOR in a callback. */
REIN_API int rein_thread_call(rein_thread *thread, const struct rein_call *call, int timeout_ms,
                              struct rein_call_result *result);
/* Waits for the innermost function that the thread is in. One that has returned while nobody waited is remembered, until the next
 * is called. Errors as above; REIN_CANCELLED: it was abandoned meanwhile; REIN_BAD_STATE: there is none. */
REIN_API int rein_thread_call_wait(rein_thread *thread, int timeout_ms, struct rein_call_result *result);
/* Brings the thread, running or stopped, back from the innermost function that it is in, and returns when it is there. In a
 * callback it only begins. REIN_TIMEOUT: it comes as soon as it can (from a vfork, or an uninterruptible sleep).
 * REIN_BAD_STATE: it is in none. REIN_NO_THREAD, REIN_EXITED. */
REIN_API int rein_thread_call_abandon(rein_thread *thread, int timeout_ms);

/* A new descriptor of the host's, close-on-exec, for what the process has open as descriptor: both share its position and
 * flags. The process is not stopped for it (pidfd_getfd, Linux 5.6: REIN_NOT_SUPPORTED before). REIN_SYSTEM: the
 * process has no such descriptor (EBADF), the host has too many. */
REIN_API int rein_process_take_descriptor(rein_process *process, int descriptor, int *taken);

/* ---- Bytecode --------------------------------------------------------------------------------------------------
 * What is to be computed of a stopped thread, on the monitor: the condition of a breakpoint above all. It is the
 * bytecode of gdb's agent expressions, which an appendix of gdb's manual defines ("The GDB Agent Expression
 * Mechanism"): a stack of 64-bit integers, operands with the highest byte first, memory in the tracee's byte order. In
 * rein:
 *   - `reg` takes rein's index of a register, as rein_registers_index gives it. Of those behind the first
 *     rein_registers_count, these can be read that have 8 bytes at most.
 *   - `getv` takes one of enum rein_variable; others are up to the callback in struct rein_evaluation.
 *   - There is no floating point. Integers wrap; a shift by 64 or more leaves nothing (or only the sign); the smallest
 *     number divided by -1 is itself.
 *   - Addresses in a 32-bit program have 32 bits: what is above is dropped.
 *   - Breakpoints are not visible in memory, as ever. Memory and registers are read once: what is looked at twice is
 *     the same (of memory, as long as no more than eight aligned blocks of 64 bytes are looked at).
 *   - `trace`, `trace_quick`, `trace16`, `tracenz`, `tracev` and `printf` call the callbacks for them, if there are
 *     any. printf's function and stream are not looked at.
 * It may be what a stranger has sent: it is checked when it is made, and no bytecode can do more than look, and take a
 * moment. */

/* Makes it from size bytes of code, which are copied. It never changes, and may be used any number of times, by any
 * number of threads and breakpoints. The caller gets a reference. REIN_INVALID_ARGUMENT: the message says what is
 * wrong, at which byte: an unknown instruction, or floating point; one that is cut off; a jump to where none begins; a
 * way behind the end without `end`; too few values on the stack, more than 256, or not always equally many at the same
 * place; or more than 65536 bytes. REIN_NO_MEMORY. */
REIN_API int rein_bytecode_create(const void *code, size_t size, rein_bytecode **bytecode);
REIN_API rein_bytecode *rein_bytecode_ref(rein_bytecode *bytecode);
REIN_API void rein_bytecode_unref(rein_bytecode *bytecode);

/* What `getv` can ask for. */
enum rein_variable {
    REIN_VARIABLE_THREAD_ID = 1,
    REIN_VARIABLE_PROCESS_ID = 2,
    REIN_VARIABLE_HITS = 3, /* of the breakpoint whose condition it is, this one included; else .hits */
};
enum rein_variable_use { REIN_VARIABLE_GET = 0, REIN_VARIABLE_SET, REIN_VARIABLE_TRACE };

struct rein_evaluation {
    size_t size;
    /* Set these. The callbacks may be NULL; they are called on the monitor, in the middle of the evaluation. */
    uint64_t hits;
    void *arg;
    /* getv and setv of other variables, and tracev of all: gets, sets, or takes note of *value. false: there is none. */
    bool (*variable)(void *arg, enum rein_variable_use use, unsigned number, rein_word *value);
    /* Memory is to be recorded; tracenz has looked for the end of the string, and counts it. It need not be readable. */
    void (*trace)(void *arg, rein_word address, rein_word size);
    /* The format is as in C source, with the escapes as they are there; values come in the order of its conversions. */
    void (*print)(void *arg, const char *format, const rein_word *values, size_t count);
    /* The result: what is on top of the stack at the end; nothing, if that is empty. */
    bool has_value;
    rein_word value;
    /* NULL, or why there is none: "division by zero", "memory cannot be read" (at trouble_address), "there is no
     * register with that number", "a register is wider than a word", "it takes too many steps" (100,000; or 2,000
     * looks at memory and registers) ... A static
     * string. */
    const char *trouble;
    rein_word trouble_address;
};
#define REIN_EVALUATION_INIT                                                                                           \
    {                                                                                                                  \
        .size = sizeof(struct rein_evaluation)                                                                         \
    }
/* Evaluates it for a stopped thread, which may be one in a callback. REIN_NOT_EVALUATED: see .trouble. REIN_BAD_STATE. */
REIN_API int rein_thread_evaluate(rein_thread *thread, rein_bytecode *bytecode, struct rein_evaluation *evaluation);

/* ---- Breakpoints -----------------------------------------------------------------------------------------------
 * A breakpoint belongs to the process: every thread that comes to its address hits it, and so does a vfork child while it
 * shares the memory. Breakpoints are in memory only while something runs. hits counts exactly the executions
 * of the instruction there, whatever else happens. An exec forgets all of them; a forked child carries
 * none. With the first, children are looked for that share the memory since before the attach, as they would die of
 * it: REIN_BAD_STATE while one of them is in an exec, which may fail; try again. A program that blocks or ignores
 * SIGTRAP finds it unblocked, and reset to its default action, after a hit: the
 * kernel does that (force_sig). A thread made with CLONE_UNTRACED is not seen before the next time that the
 * process is stopped, and dies of a breakpoint it comes to before.
 *
 * A thread that goes on from a breakpoint has the instruction there still to execute, with the breakpoint in the way. Most
 * first instructions of functions are simple: rein executes them itself, on the thread's registers (and on its stack), and the
 * thread goes on behind them. Most others can be moved: the thread is sent to a copy, in the unused rest of a page behind the
 * program's or library's code (for code of no file: of its loader's, if that is near), and jumps back from there. Where there
 * is no such room, or no more, the first thread that wants it maps a page near the code, [anon:rein] in the maps if the kernel
 * has names there, which the program cannot write; it is unmapped when the process is let go, or stays, empty, if no thread can
 * do that then. A program with a seccomp filter is not made to. Both ways take one stop and touch no other thread. What is left
 * (system calls; where there is no room) the thread executes in a single-step, for which the breakpoint is taken out and all
 * other threads of the process are held; that takes two stops more, and two for each other thread. What the program sees is the
 * same, and who stops on the way is shown where it would be without. rein_breakpoint_info tells which it is.
 *
 * A CONDITION is bytecode that is evaluated at each hit, on the monitor. If its value is 0, the hit is counted and the
 * thread goes on: nothing is called, no event is told, no other thread is touched. The same is done with the first hits
 * with a true condition, as many as are to be ignored. A step onto a breakpoint that ends so is a step like any other.
 * If the condition cannot be evaluated (it divides by zero, the memory that it looks at cannot be read), that is an
 * event for the process's callback and policy, which is told by the cause's .trouble; the breakpoint's own callback,
 * which is for hits that are wanted, is not called. (Nor is anybody told of a step by request that begins at a breakpoint
 * which was not shown: that executes the instruction, and so is counted as a hit in each of the counts.) */
enum {
    REIN_BREAKPOINT_WHILE_RUNNING = 1 << 0, /* may be added though threads run; without it, that is REIN_BAD_STATE */
};
/* Called on the monitor at each hit (with a true condition, and not ignored), before the process's callback (which is called
 * only if this one answers REIN_VERDICT_POLICY). The pc is at the breakpoint. */
typedef enum rein_verdict (*rein_breakpoint_callback)(rein_thread *thread, rein_breakpoint *breakpoint, void *arg);
struct rein_breakpoint_options {
    size_t size;
    unsigned flags;
    rein_breakpoint_callback callback;
    void *arg;
    rein_bytecode *condition; /* NULL: none; else the breakpoint takes a reference of its own */
    uint64_t ignore;          /* so many hits with a true condition are ignored first */
};
#define REIN_BREAKPOINT_OPTIONS_INIT                                                                                   \
    {                                                                                                                  \
        sizeof(struct rein_breakpoint_options), 0, NULL, NULL, NULL, 0                                                 \
    }

/* Adds a breakpoint at pc. breakpoint may be NULL; else it is a counted handle. REIN_BREAKPOINT_EXISTS, REIN_BAD_STATE
 * (a thread runs; or one has not stopped since an attach whose time limit has passed: stop the process first, for that
 * thread may be making one that would die of the breakpoint), REIN_BAD_ADDRESS (pc is not in accessible memory),
 * REIN_INVALID_ARGUMENT (also for a condition that can end without a value). A thread that stands at pc, stopped, is
 * taken to have been shown it: it goes past when it continues. */
REIN_API int rein_process_add_breakpoint(rein_process *process, rein_word pc,
                                         const struct rein_breakpoint_options *options, rein_breakpoint **breakpoint);
/* Removes the breakpoint at pc. A thread that sits on it, or has hit it and was not reported yet, goes on as if it had
 * never been there. flags: REIN_BREAKPOINT_WHILE_RUNNING as above. REIN_NO_BREAKPOINT, REIN_BAD_STATE, REIN_SYSTEM (its
 * memory cannot be written just now: it stays). */
REIN_API int rein_process_remove_breakpoint(rein_process *process, rein_word pc, unsigned flags);
/* A new array of counted references, by address; give it back with rein_breakpoint_list_free. */
REIN_API int rein_process_breakpoints(rein_process *process, rein_breakpoint ***breakpoints, size_t *count);
REIN_API void rein_breakpoint_list_free(rein_breakpoint **breakpoints, size_t count);

REIN_API rein_breakpoint *rein_breakpoint_ref(rein_breakpoint *breakpoint);
REIN_API void rein_breakpoint_unref(rein_breakpoint *breakpoint);
REIN_API rein_word rein_breakpoint_pc(const rein_breakpoint *breakpoint);
/* How often it was hit; may be asked at any time, also after it was removed. */
REIN_API uint64_t rein_breakpoint_hits(const rein_breakpoint *breakpoint);

/* Another condition, NULL for none (the breakpoint takes a reference), and how many hits are to be ignored from now on.
 * From any thread, at any time, also while hits come: the next one goes by it. REIN_INVALID_ARGUMENT: the condition can
 * end without a value. */
REIN_API int rein_breakpoint_set_condition(rein_breakpoint *breakpoint, rein_bytecode *condition);
REIN_API int rein_breakpoint_set_ignore(rein_breakpoint *breakpoint, uint64_t count);

/* How threads get past a breakpoint. */
enum rein_breakpoint_way {
    REIN_BREAKPOINT_STEPPED,   /* the thread executes the instruction in a single-step, while all others are held */
    REIN_BREAKPOINT_EMULATED,  /* rein executes it in the thread's place */
    REIN_BREAKPOINT_DISPLACED, /* the thread executes a copy of it, in memory that is of no use to the program */
};
struct rein_breakpoint_info {
    size_t size;
    rein_word pc;
    uint64_t hits;
    enum rein_breakpoint_way way; /* the one that is taken whenever it can be; STEPPED always can */
    const char *why;              /* in words; a constant */
    /* How often threads were got past it so. Steps by the caller's request are in none. */
    uint64_t emulated, displaced, stepped;
    uint64_t matched; /* hits with a true condition; all, if there is none */
    uint64_t ignored; /* of these, those that were ignored */
    uint64_t errors;  /* hits at which the condition could not be evaluated */
};
#define REIN_BREAKPOINT_INFO_INIT                                                                                      \
    {                                                                                                                  \
        .size = sizeof(struct rein_breakpoint_info)                                                                    \
    }
/* Any time, from any thread, also after it was removed. REIN_INVALID_ARGUMENT. */
REIN_API int rein_breakpoint_info(const rein_breakpoint *breakpoint, struct rein_breakpoint_info *info);

/* ---- Watchpoints -----------------------------------------------------------------------------------------------
 * A watchpoint tells of accesses to a few bytes of memory. It is made of the processor's debug registers: nothing is
 * changed in the program, which runs at full speed until one fires. There are few: 4 on amd64 and i386, for each thread; each
 * watches 1, 2, 4 or (not on i386) 8 bytes at a multiple of its size, so a range of another size or at another address
 * takes several. On arm64 there are mostly 4, and as many again for execution; each watches 1 to 8 bytes in a row of an aligned
 * word of 8. Where a program makes an atomic operation of load and store exclusive there, the hit that is told is the store that
 * succeeds. Each costs one attempt more, for a trap between the two ends the first; that takes an execution register
 * and as many more as the operation has ends, mostly one or two, which must be free. With REIN_WATCH_READ_WRITE load
 * and store are one hit.
 *
 * A hit is an instruction that accesses at least one of the bytes, and hits counts them exactly, whatever else happens:
 *   REIN_WATCH_WRITE       that writes there, also when what it writes is what was there (see REIN_WATCH_CHANGES)
 *   REIN_WATCH_READ_WRITE  that reads or writes there (the processor has no kind for reading alone)
 *   REIN_WATCH_EXECUTE     at that address; size must be 1. Unlike a breakpoint it leaves the code as it is, and
 *                          need not be in memory that can be written
 * The first two stop behind the instruction, the third in front of it. Of a repeated string instruction (rep movs) the
 * processor may tell several accesses as one. One instruction that hits several watchpoints is a hit of each: their
 * callbacks are called one after the other, an event is told for each, the thread's cause is the first of those that
 * stop it. A step that is hit on the way has cause REIN_CAUSE_WATCHPOINT, and is done. A step onto an execute watchpoint is
 * no hit: that comes when the thread goes on, before the instruction. A step from there is hit, and has executed nothing,
 * unless callback and policy let the thread go on: then it is a step like any other.
 *
 * What does NOT fire: accesses by the kernel for the program (read(2) into the bytes), by another process to shared memory,
 * by a child that shares the memory (vfork), through rein_process_write. The old value is what was there when rein last
 * looked: when the watchpoint was added, at the last hit, and after rein_process_write; the value is what is there
 * when the hit is seen: other threads may have written since, if they were not stopped.
 *
 * All threads are watched, new ones before they run any code; a forked child is not, also when it is followed: it can be
 * given watchpoints of its own when it is told of, before it runs. An exec forgets all watchpoints. A
 * process that is let go has none left. While a thread is in the kernel and cannot be stopped (rein_process_stop) its
 * registers cannot be cleared: it is let go when it comes out, and the monitor's end waits for that for three seconds.
 * A thread that is let go with them by the kernel, because it did not come out, or since the MONITOR WAS KILLED, dies
 * of SIGTRAP at its next access; so it is, too, with REIN_MONITOR_THREAD and REIN_MONITOR_LENT when the host dies.
 *
 * A program cannot set its debug registers itself, but by perf_event_open(2): such events are the program's own, and
 * take slots away: REIN_NO_SLOT, or, when a new thread finds none left, a line in the log, and that thread is not
 * watched. (On arm64 the kernel gets past such an event's access by a step of its own, which any stop of the thread that comes
 * meanwhile takes away from it; the event is off from then on.) A SIGTRAP that neither a watchpoint nor a step has made
 * is the program's signal. As after a breakpoint's hit, a program that blocks or ignores SIGTRAP finds it unblocked and
 * reset.
 *
 * Some virtual machines take debug registers and never fire. With the first watchpoint of a monitor rein tries it, on
 * a child of the monitor's, of which the host hears nothing (some milliseconds, at most five seconds): REIN_NEVER_FIRES.
 *
 * WITHOUT DEBUG REGISTERS, by choice: with REIN_WATCH_SOFTWARE the threads that are watched are single-stepped while they
 * run, and the bytes are compared after each instruction and each system call. It works on every machine, takes no register,
 * and watches from 1 to 4096 bytes at any address; up to 16 such watchpoints in a process. It is VERY SLOW: an instruction
 * takes some ten to fifty microseconds, about twice what its single-step alone costs, so that a program that does nothing but
 * compute runs a hundred thousand times slower, or more (doc/performance.md). Of the threads that are watched only one
 * executes instructions at any time, in turns of some steps. A thread that is in a system call keeps nobody.
 *   A hit is a change of the bytes that is seen: writing what was there is none. So the kind must be REIN_WATCH_WRITE. The
 * hit is told of the thread that has made the step, or the call, behind which the change is seen, with the pc behind that.
 * Its own writes are exact, one hit each (of a repeated string instruction, each repetition), and so are those of functions
 * that rein_thread_call has it call. What others write - the kernel for a call of another thread's or of the caller's
 * (rein_thread_syscall), another process in shared memory, a vfork child, a thread that is not watched - is told of whoever
 * is watched and makes the next step; several such changes before that are one. So is what the kernel writes for a call of
 * its own, if another thread makes a step before the call is done. rein_process_write is none. Memory that is unmapped has no
 * changes, nor has it when it is mapped again. Old and new value are told up to 8 bytes. If the exit of a call is told that has
 * changed the bytes, the causes are told one after the other, the exit's first; the state is that of the one that stops it.
 *   What shows in the program: a SIGTRAP that it ignores is reset to its default action. SIGTRAP is never blocked while
 * an instruction is stepped: one that is sent to a program that blocks it comes through. A restartable sequence (rseq(2)) is
 * never done, for the kernel begins it again after every stop. What has to be done between two ticks of a clock, as reading one
 * in the vDSO, is tried again until the machine is quick enough.
 *   When the MONITOR IS KILLED, or the host of the two other kinds dies, a thread that is being stepped dies of SIGTRAP. An
 * instruction that waits for a page from another thread of the program (userfaultfd(2)) waits for ever, if that
 * thread is watched, too. */
enum rein_watch_kind { REIN_WATCH_EXECUTE = 0, REIN_WATCH_WRITE, REIN_WATCH_READ_WRITE };
enum {
    REIN_WATCH_WHILE_RUNNING = 1 << 0, /* may be added though threads run; without it, that is REIN_BAD_STATE */
    REIN_WATCH_CHANGES = 1 << 1,       /* only accesses after which the value is another count as hits; 1 to 8 bytes */
    REIN_WATCH_SOFTWARE = 1 << 2, /* no debug registers, but single-steps: slow, and sees changes only; see above */
    REIN_WATCH_UNMAPPED = 1 << 3, /* may be where there is no memory, of which it sees what is done when there is */
};
/* Called on the monitor at each hit, before the process's callback (which is called only if this one answers
 * REIN_VERDICT_POLICY). */
typedef enum rein_verdict (*rein_watchpoint_callback)(rein_thread *thread, const struct rein_cause *cause, void *arg);
struct rein_watchpoint_options {
    size_t size;
    unsigned flags;
    rein_thread *thread; /* the only one that is watched; NULL: all of the process */
    rein_watchpoint_callback callback;
    void *arg;
};
#define REIN_WATCHPOINT_OPTIONS_INIT                                                                                   \
    {                                                                                                                  \
        sizeof(struct rein_watchpoint_options), 0, NULL, NULL, NULL                                                    \
    }

/* Watches size bytes at address. watchpoint may be NULL; else it is a counted handle. With REIN_WATCH_WHILE_RUNNING every
 * running thread is stopped for a moment, in the kernel only, and the call returns when all are watched (in a callback it
 * only begins). Errors: REIN_NO_SLOT (how many debug registers there are, are in use and would be needed is in the message;
 * or that others have them), REIN_NEVER_FIRES, REIN_BAD_ADDRESS (there is no memory, without
 * REIN_WATCH_UNMAPPED, or none of the program's),
 * REIN_BAD_STATE (a thread runs), REIN_NO_THREAD, REIN_INVALID_ARGUMENT (the size is 0, or not 1 for execution, or above 8
 * for REIN_WATCH_CHANGES, or above 4096 or the kind another than REIN_WATCH_WRITE for REIN_WATCH_SOFTWARE). For the last
 * REIN_NO_SLOT means that there are 16 already. */
REIN_API int rein_process_add_watchpoint(rein_process *process, rein_word address, size_t size,
                                         enum rein_watch_kind kind, const struct rein_watchpoint_options *options,
                                         rein_watchpoint **watchpoint);
/* Removes it: from now on there is no hit, also of a thread that has made one which was not seen yet. flags:
 * REIN_WATCH_WHILE_RUNNING as above. REIN_NO_WATCHPOINT (it is not one of that process, or removed already),
 * REIN_BAD_STATE. */
REIN_API int rein_process_remove_watchpoint(rein_process *process, rein_watchpoint *watchpoint, unsigned flags);
/* A new array of counted references, the oldest first; give it back with rein_watchpoint_list_free. */
REIN_API int rein_process_watchpoints(rein_process *process, rein_watchpoint ***watchpoints, size_t *count);
REIN_API void rein_watchpoint_list_free(rein_watchpoint **watchpoints, size_t count);

REIN_API rein_watchpoint *rein_watchpoint_ref(rein_watchpoint *watchpoint);
REIN_API void rein_watchpoint_unref(rein_watchpoint *watchpoint);
REIN_API rein_word rein_watchpoint_address(const rein_watchpoint *watchpoint);
REIN_API size_t rein_watchpoint_size(const rein_watchpoint *watchpoint);
REIN_API enum rein_watch_kind rein_watchpoint_kind(const rein_watchpoint *watchpoint);
/* "execute", "write", "read or write"; NULL for a number that is none. */
REIN_API const char *rein_watch_kind_name(enum rein_watch_kind kind);
/* How often it was hit; may be asked at any time, also after it was removed. */
REIN_API uint64_t rein_watchpoint_hits(const rein_watchpoint *watchpoint);

/* ---- System calls ----------------------------------------------------------------------------------------------
 * Stops at the entry of a call, before the kernel looks at it, and at its exit, before the program sees the result:
 * REIN_CAUSE_SYSCALL_ENTRY and REIN_CAUSE_SYSCALL_EXIT with .syscall. Nothing is traced before it is asked for.
 *
 * Every entry is followed by an exit of the same thread, with these exceptions: calls that do not return (exit,
 * exit_group, or when the thread is killed); a call that is under way when tracing begins has no entry (nor has the
 * execve of rein_spawn), one that is under way when it ends no exit. Events that a call brings about (clone, fork, exec) come
 * between. A new thread, and a process that is followed, begins with its first own call; a vfork child that is followed
 * with its exec. rt_sigreturn's result is what it puts into the register. Calls
 * that do not enter the kernel (the vDSO's clock_gettime) are none.
 *
 * A call that is INTERRUPTED - by a signal, or by a stop, also the short one while another thread gets past a breakpoint -
 * shows an exit with error 512 to 516, and, when the kernel makes it again, another entry: of the same call, or of
 * restart_syscall for one with a time limit. Leave such a result as it is and the call is made again exactly as
 * untraced.
 *
 * On arm64 the kernel shows a mark in x7 at these stops, 0 at an entry and 1 at an exit, and drops what is written
 * there: the program has its own value when it goes on. */
enum {
    REIN_SYSCALL_ENTRIES = 1 << 0,
    REIN_SYSCALL_EXITS = 1 << 1,
};
/* A call by its number; see struct rein_syscall for arch. */
struct rein_syscall_id {
    uint32_t arch;
    uint32_t number;
};
/* From now on stops are made at entries, exits, or both (0: none any more) of the count calls that are given; calls ==
 * NULL: of all. It is for all threads, those to come too, and replaces what was asked for before; an exec changes
 * nothing in it. What becomes of the stops is decided by callback and policy. The others' entries and exits cost their stops
 * in the kernel, too (some ten microseconds each, by machine), unless the process was started with a filter, see
 * rein_spawn_options. Threads that run are stopped for a moment, as by an attach; returns when all have been, but for
 * those that cannot be stopped now. In a callback it only begins.
 * A step over the instruction of a traced call ends at the entry, a step from there at the exit, if these stop the
 * thread. REIN_NO_MEMORY, REIN_INVALID_ARGUMENT (unknown flags). */
REIN_API int rein_process_trace_syscalls(rein_process *process, unsigned flags, const struct rein_syscall_id *calls,
                                         size_t count);

/* A FILTER in the kernel spares the calls that are not asked for their stops: a seccomp program that rein_spawn puts into the
 * new process before its exec, and that answers SECCOMP_RET_TRACE | REIN_FILTER_DATA for the calls that are to stop, and
 * SECCOMP_RET_ALLOW for all others (rein/seccomp.h makes one). rein_process_trace_syscalls chooses from those as ever;
 * what the filter lets pass makes no stop. The program's own filters count as they do without it: where one of them
 * answers with an error or a signal, that happens, and the call is not shown.
 *
 * A FILTER STAYS, in the process and in all that it makes, to the end, and without a tracer the calls that it stops fail with
 * ENOSYS. So such a process cannot be let go unharmed. Therefore: what it makes is followed (REIN_FOLLOW_BOTH), and neither
 * this can be changed, nor can it be detached (REIN_BAD_STATE); when the monitor is closed, or ends in any other way,
 * they are all killed. What cannot be followed (see enum rein_follow) is not killed, and finds ENOSYS. Without
 * CAP_SYS_ADMIN the kernel accepts a filter only with no_new_privs (prctl(2)), which is then set: set-user-id programs
 * that it executes run without privileges, as they do under an unprivileged tracer anyhow. */
#define REIN_FILTER_DATA 0x7265

/* The three below are for a thread that is stopped at a call, or in a callback for one; REIN_BAD_STATE elsewhere. Its
 * cause shows the change. The change is the call's alone: behind it the program finds its registers as they were, but for the
 * result (a child that the call makes does not), and if the call is interrupted and made again, it is the program's own. A
 * thread that is let go at an entry that was changed makes the changed call, or is interrupted in it. */
/* At an entry: another number, other arguments; the rest of *call is not looked at. */
REIN_API int rein_thread_set_syscall(rein_thread *thread, const struct rein_syscall *call);
/* At an entry: the call is not made, and gives this result: -errno for a failure, as at an exit. The exit comes as
 * ever. A seccomp filter of the program's own is shown call number -1 in its place, of which it may disapprove. */
REIN_API int rein_thread_skip_syscall(rein_thread *thread, int64_t result);
/* At an exit: the program gets this result. */
REIN_API int rein_thread_set_syscall_result(rein_thread *thread, int64_t result);

#ifdef __cplusplus
}
#endif
#endif
