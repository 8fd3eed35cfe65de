/* What an operating system must offer: one struct of functions, the data they speak in, nothing else. The engine calls
 * it on the monitor only, unless said otherwise. A simulated kernel (os/sim) implements the same, for tests.
 *
 * Results are 0 or a count, or a negative errno. -ESRCH always means: the thread is dead, dying or not stopped any more
 * (SIGKILL ends a ptrace-stop at any moment); whoever gets it goes on and waits for the event that tells.
 *
 * Nothing above this line sees a wait status, a ptrace constant or a /proc path. */
#ifndef REIN_OS_BACKEND_H
#define REIN_OS_BACKEND_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "rein/rein.h"

/* ---- Events: what the kernel tells about a thread ---- */
enum os_event_kind {
    OS_EVENT_NONE = 0,
    /* Stops. The thread is held until it is resumed. */
    OS_EVENT_SIGNAL,      /* is about to get .signal; the only stop where it can be exchanged */
    OS_EVENT_TRAP,        /* executed a breakpoint instruction, ours or its own; .signal as above */
    OS_EVENT_STEPPED,     /* a single-step is done; .signal as above */
    OS_EVENT_WATCHED,     /* a debug register has fired, and no step is done with it; .signal as above */
    OS_EVENT_INTERRUPTED, /* our interrupt, a new tracee's first stop, or the end of a group-stop */
    OS_EVENT_GROUP_STOP,  /* stopped by job control; .signal.number is the stop signal */
    OS_EVENT_CLONE,       /* .child: made a thread (or a process with an odd exit signal) */
    OS_EVENT_FORK,        /* .child */
    OS_EVENT_VFORK,       /* .child; the thread cannot leave the kernel until the child has left the memory */
    OS_EVENT_VFORK_DONE,  /* .child */
    OS_EVENT_EXEC,        /* .former_id: the id that the thread had; its id is now the process's */
    OS_EVENT_EXITING,     /* .exit: about to die; the last stop */
    OS_EVENT_SECCOMP,     /* at a call that the filter stops at, as at its entry; .foreign_filter */
    OS_EVENT_SYSCALL,     /* entry or exit of a system call, after OS_RESUME_TO_SYSCALL; get_syscall tells which */
    /* Not stops. */
    OS_EVENT_EXITED, /* .exit: gone; its id may be used again from now on */
    OS_EVENT_LOST,   /* the kernel knows of no such tracee (any more) */
};

struct os_event {
    enum os_event_kind kind;
    int id; /* the thread */
    int child;
    int former_id;
    bool watched;        /* STEPPED, WATCHED: debug registers may have fired, see take_watch_hits */
    bool foreign_filter; /* SECCOMP by a filter of the program's own, which knows of no tracer */
    bool no_delivery; /* STEPPED into a signal's handler: at this stop no signal can be put in the place of the trap */
    struct rein_exit exit;
    struct rein_signal signal; /* for SIGNAL, TRAP, STEPPED: whole; for GROUP_STOP: number only */
};

enum os_resume {
    OS_RESUME_RUN,        /* run; signal is delivered if the stop was SIGNAL, TRAP or STEPPED */
    OS_RESUME_STEP,       /* run one instruction */
    OS_RESUME_TO_SYSCALL, /* run until the next entry or exit of a system call (a stop before it is a stop) */
    OS_RESUME_LISTEN,     /* stay in the group-stop, but tell when it ends; only from GROUP_STOP */
};

enum os_thread_status { /* what the system shows of a thread without tracing it */
                        OS_THREAD_GONE,
                        OS_THREAD_ZOMBIE,
                        OS_THREAD_RUNS,
                        OS_THREAD_SLEEPS, /* interruptibly */
                        OS_THREAD_UNINTERRUPTIBLE, /* in the kernel; cannot run program code before it takes a pending interrupt */
                        OS_THREAD_STOPPED, /* by job control or a tracer */
};

/* What a new program starts with; made by the host thread that asks for it. */
struct os_spawn {
    const char *path;
    char *const *argv;
    char *const *envv;
    const char *dir;
    const int *fds;
    size_t fd_count;
    const struct rein_spawn_options *options;
    sigset_t mask;     /* of the thread that asks */
    sigset_t ignored;  /* by the host */
    int process_group; /* of the host */
    bool copy_memory; /* the child must not share the caller's memory until its exec: slower, but valgrind can follow */
};
enum os_spawn_step { /* where it failed; the texts are os_spawn_step_text's */
                     OS_SPAWN_STEP_NONE,
                     OS_SPAWN_STEP_FORK,
                     OS_SPAWN_STEP_SEIZE,
                     OS_SPAWN_STEP_GROUP,
                     OS_SPAWN_STEP_SESSION,
                     OS_SPAWN_STEP_DESCRIPTORS,
                     OS_SPAWN_STEP_FILTER,
                     OS_SPAWN_STEP_CREDENTIALS,
                     OS_SPAWN_STEP_CHDIR,
                     OS_SPAWN_STEP_ASLR,
                     OS_SPAWN_STEP_EXEC,
};
enum os_syscall_stage { OS_SYSCALL_ENTRY, OS_SYSCALL_EXIT };

struct os_spawned { /* a child between os spawn and exec; plain data, close with spawn_close */
    int pid;
    int error_fd; /* not used */
    void *area;   /* the child's stack and all that it needs until its exec */
    size_t area_size;
};

/* Called for each id by the scans; stops when it answers other than 0, and the scan returns that. */
typedef int (*os_id_callback)(int id, void *arg);

/* The memory of a process: what is kept open for it. Plain data, owned by the engine's process. */
struct os_memory {
    int fd;                 /* -1: not open */
    uint64_t device, inode; /* what fd was opened on: the host may have closed it and given its number away */
};

/* Called for each piece of memory by a scan; stops when it answers other than 0, and the scan returns that. */
typedef int (*os_memory_callback)(uint64_t start, uint64_t end, void *arg);

enum os_call { /* system calls that the engine has a thread make itself */
               OS_CALL_MMAP,
               OS_CALL_MUNMAP,
               OS_CALL_MPROTECT,
               OS_CALL_OPEN_AT, /* directory, path, flags, mode */
               OS_CALL_CLOSE,
               OS_CALL_MAP_ROOM, /* start, size, where there must be nothing: memory that can be executed, and not written */
               OS_CALL_NAME_ROOM, /* start, size, a name's address: for who looks at the maps */
               OS_CALL_COUNT
};

struct os_waiter; /* what the monitor waits with: the backend's own */

/* How much may be told of that comes without a SIGCHLD of its own: see wait.c. */
enum os_calm {
    OS_CALM_NOT,
    OS_CALM_ALONE, /* there is one tracee */
    OS_CALM_STILL, /* none runs */
};

struct os_backend {
    const char *name;
    const struct arch *arch; /* that of this library: a program's, and a thread's, may be another */

    /* -- waiting: see src/os/linux/wait.c -- */
    /* Made on the monitor; ended when it is over and nobody wakes it any more. kind says how the monitor came to be, for it
     * decides which waits are safe. is_tracee says whether a child that changed is the engine's and not the host's own
     * (LENT needs it), for_each_tracee walks the engine's tracees, callback as for the scans (LENT needs it; PROCESS uses
     * it, if not NULL, so that busy threads hide none). Both are called on the monitor, in waiter_next and waiter_sleep,
     * and must know a thread before it can have an event that counts. */
    int (*waiter_create)(enum rein_monitor_kind kind, bool (*is_tracee)(int id, void *arg),
                         int (*for_each_tracee)(os_id_callback callback, void *callback_arg, void *arg), void *arg,
                         struct os_waiter **waiter);
    void (*waiter_destroy)(struct os_waiter *waiter);
    /* Takes one event of any tracee without waiting: 1 and *event, 0 when there is none now. It may miss events until
     * waiter_sleep is called; never for ever. */
    int (*waiter_next)(struct os_waiter *waiter, struct os_event *event);
    /* Takes an event of that tracee without waiting: 1, 0, or -ECHILD when it is no tracee. */
    int (*waiter_next_of)(struct os_waiter *waiter, int id, struct os_event *event);
    /* The signal of a SIGNAL stop of that tracee that waits to be taken; 0: there is no event, or another. */
    int (*waiting_signal)(int id);
    /* Sleeps until an event may wait, a wake came, the host has died, or timeout_us (-1: none) has passed; it may also
     * end sooner. A wake that came since the last sleep ends it at once. So the loop is: requests; waiter_next until 0;
     * host_is_dead; waiter_sleep. */
    void (*waiter_sleep)(struct os_waiter *waiter, int64_t timeout_us, enum os_calm calm);
    /* The same, and it ends as poll(2) does: returns how many of fds are ready, or a negative errno, not -EINTR. There is room for
     * one more behind them. */
    int (*waiter_poll)(struct os_waiter *waiter, struct pollfd *fds, size_t count, int64_t timeout_us,
                       enum os_calm calm);
    /* Any thread, any time, async-signal-safe: ends a sleep, or the next one. 0, or, if a signal was needed, -EPERM (the
     * host's user and session have changed; a sleep ends by itself within a second), -ESRCH (the monitor is dead). */
    int (*waiter_wake)(struct os_waiter *waiter);

    /* -- tracing one thread -- */
    /* With all options; the thread runs on. -EINTR: not now, for its process is about to run another program; as long as
     * that is so, who has been seized must be seen to, for the kernel waits for their ends. */
    int (*seize)(int id);
    int (*interrupt)(int id); /* it will make one stop; -ESRCH if it is dying */
    /* At a SYSCALL stop the signal is sent to the thread by the kernel itself, ahead of all others if it is one of
     * fault_signals. */
    int (*resume)(int id, enum os_resume how, int signal);
    int (*detach)(int id, int signal); /* must be stopped */
    /* With whose they are; -ENOTSUP: an architecture's that this library was not built for. */
    int (*get_registers)(int id, struct arch_registers *registers);
    int (*set_registers)(int id, const struct arch_registers *registers);
    /* The same, but may leave out what is in `before`, which is what get_registers gave in this stop, if nothing has
     * been set since; NULL, or of another size: that is not known. */
    int (*change_registers)(int id, const struct arch_registers *registers, const struct arch_registers *before);
    /* Any other set. How many bytes the kernel has given, 0 when it has none for this thread; as many as were asked
     * for: there may be more. Only what get has given whole can be set, and only whole. */
    int (*get_register_set)(int id, enum arch_set set, void *bytes, size_t size);
    int (*set_register_set)(int id, enum arch_set set, const void *bytes, size_t size);
    int (*set_signal)(int id, const struct rein_signal *signal); /* exchanges the siginfo of a SIGNAL stop */
    /* Queues a signal to a thread with its siginfo as far as the kernel allows (what it made itself loses its code). */
    int (*queue_signal)(int pid, int id, const struct rein_signal *signal);
    /* Those that wait for the thread or its process, bit N - 1 for signal N. */
    int (*pending_signals)(int id, uint64_t *mask);
    /* Those that the program has handlers for. */
    int (*caught_signals)(int id, uint64_t *mask);
    int (*get_signal_mask)(int id, uint64_t *mask);
    int (*set_signal_mask)(int id, uint64_t mask);
    uint64_t fault_signals; /* mask of the signals that an instruction can cause: never block these for a step */
    /* 1 if a trap made by the kernel for this stopped thread (int3 executed, step done) waits behind its stop. */
    int (*trap_is_pending)(int id);
    int (*fault_is_pending)(int id); /* the same of all fault_signals */
    /* If the stop has interrupted a call that the kernel would end with EINTR though no signal handler runs, and that was
     * waiting without limit, changes registers so that the kernel makes it again when the thread goes on, unless a
     * handler runs first: 1, else 0. Right at an INTERRUPTED stop, and at a SIGNAL stop whose signal is then dropped or is
     * ignored by the program (which, untraced, would not have interrupted the call). */
    int (*restart_interrupted_call)(int id, struct arch_registers *registers);
    /* 1 if the thread is stopped in a system call that the kernel will make again when it goes on, unless a handler
     * that does not want that runs first; *pc, if not NULL, is the instruction that makes it, and is executed again: what
     * is at *pc, a breakpoint say, was executed once already. */
    int (*call_is_made_again)(const struct arch_registers *registers, uint64_t *pc);

    /* -- calls made in a tracee: see src/engine/remote_call.c -- */
    /* May the thread, stopped with these registers, be made to make that call? 0; or a rein_error, and why not in words.
     * filtered: also if a seccomp filter may have something against it. */
    int (*check_call)(int pid, int id, const struct arch_registers *registers, const struct arch_call *call,
                      bool filtered, char *text, size_t size);
    /* A call by the numbers of that architecture, and with its arguments as it is made there. -EINVAL: it cannot be made. */
    int (*known_call)(const struct arch *arch, enum os_call which, const uint64_t arguments[6], struct arch_call *call);
    /* Interrupted in a sleep with a time limit, of which the kernel has written down how much is left? And would making
     * that call write over it? */
    bool (*call_has_rest)(int id, const struct arch_registers *registers);
    bool (*call_takes_rest)(const struct arch *arch, const struct arch_call *call);
    /* The siginfo of a SIGNAL, TRAP or STEPPED stop. */
    int (*get_signal)(int id, struct rein_signal *signal);
    /* The signals that are blocked just now: others than get_signal_mask's in a call that changes them for its time. */
    int (*blocked_signals)(int pid, int id, uint64_t *mask);
    /* Interrupted in a call that changes the signal mask for its time: can that be made once more, and interrupted again,
     * without doing anything? */
    bool (*call_can_repeat)(const struct arch_registers *registers);
    /* Where in memory the thread keeps the word that names the restartable sequence (rseq(2)) it is in, 0 in none. The
     * kernel clears that word when it sees the thread anywhere else. 0: it has no such word. */
    uint64_t (*sequence_word)(int id);
    bool (*tells_sequences)(int id); /* does the kernel tell that? */
    /* All executable memory, where the instruction of a system call is likely first. Any thread. */
    int (*for_each_code)(int id, os_memory_callback callback, void *arg);
    /* A descriptor of the host's for what that one of the thread's is open on. */
    int (*take_descriptor)(int pid, int id, int descriptor);
    /* -- debug registers -- */
    /* Sets all of a stopped thread's, in arch's form (encode_watches); all zero: none is on. The kernel takes them away at
     * an exec and gives none to a child or a new thread; it leaves them on at detach. -ENOSPC: others have them (perf);
     * -EINVAL: an address that cannot be watched. After a failure none is on. */
    int (*set_watches)(int id, const uint64_t words[ARCH_WATCH_WORDS]);
    /* At a stop whose event has .watched: which have fired, bit N for the Nth of those that were set; told once. 0: the trap is
     * none of theirs. */
    int (*take_watch_hits)(int id, const struct arch_watch *watches, size_t count, uint32_t *slots);
    /* Do they fire on this machine? Tries it on a child of its own, of which nobody hears, and waits for that no longer than
     * seconds: 1, 0, or -errno when it could not be found out. copy_memory as in os_spawn. slots: how many there are, of each of
     * arch's pools; it may be less than arch knows of. */
    int (*try_watch)(bool copy_memory, unsigned slots[2]);
    /* Of a thread in a SYSCALL or SECCOMP stop. in_call: the entry of the call was seen before; then number and
     * arguments are not filled in for the exit, which needs them no more, and a kernel that does not tell the stage is
     * understood. */
    int (*get_syscall)(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call);
    /* At an entry: number and arguments; number -1: the call is not made, and gives .result. */
    int (*set_syscall)(int id, const struct rein_syscall *call);
    /* At an exit. */
    int (*set_syscall_result)(int id, const struct rein_syscall *call);
    /* At the exit of one that was set: number and arguments as the program had them, so that it finds its registers as
     * they were, and makes its own call again if it is to be made again. */
    int (*set_own_syscall)(int id, const struct rein_syscall *call);

    /* -- looking at threads and processes; any thread may call these -- */
    /* May call back more than once for a thread. -ESRCH: no such process; -EAGAIN: so many have come and gone meanwhile that
     * some may be missing, though they were there all the time. */
    int (*for_each_thread)(int pid, os_id_callback callback, void *arg);
    int (*count_threads)(int pid, size_t *count); /* those that for_each_thread has, in one question */
    int (*for_each_child_of)(int pid, os_id_callback callback, void *arg); /* the same; may be NULL */
    int (*thread_status)(int pid, int id, enum os_thread_status *status);
    /* Of a thread that sleeps uninterruptibly: is it in a call that makes a thread or a process, and has not made it yet? */
    bool (*is_making_child)(int pid, int id);
    int (*thread_name)(int pid, int id, char name[16]);
    int (*process_of)(int id, int *pid, int *parent);      /* thread group and parent of any thread */
    int (*program_path)(int pid, char *path, size_t size); /* cut to size; -ESRCH */
    /* Of what it executes; the library's own if that is not to be seen, NULL if it is one that it was not built for. */
    const struct arch *(*program_arch)(int pid);
    int (*inner_id)(int pid, int *id);         /* in its own PID namespace; -ENOTSUP: the kernel does not tell */
    bool (*is_thread_of)(int id, int pid);     /* the same question for a known pid, without a descriptor */
    int (*tracer_of)(int id, int *tracer);     /* 0: none */
    bool (*same_memory)(int id, int other_id); /* do they share an address space? */
    /* Why could id not be seized? Turns the errno into a rein_error and words, with what to do about it. */
    int (*explain_seize)(int pid, int id, int error, char *text, size_t size);
    /* In words, why a thread that did not stop did not: "is in uninterruptible sleep in nfs_wait". */
    void (*explain_stuck)(int pid, int id, char *text, size_t size);

    /* -- memory. id is any living thread of the process. Counts are exact to the byte; short means that what follows
     * is not accessible, then the result is the count (0 too). Negative: nothing could be tried. -- */
    void (*memory_init)(struct os_memory *memory);
    void (*memory_close)(struct os_memory *memory);
    /* true: it is open, on memory that no process has any more, as after an exec. */
    bool (*memory_is_gone)(const struct os_memory *memory);
    int64_t (*read)(struct os_memory *memory, int id, uint64_t address, void *buffer, size_t size);
    /* Each as by read: .done; .result is 0, or the negative errno. */
    void (*read_ranges)(struct os_memory *memory, int id, struct rein_range *ranges, size_t count);
    int64_t (*write)(struct os_memory *memory, int id, uint64_t address, const void *data, size_t size);
    /* As the thread itself may: not past the protection of pages. All of it, which is in one page, or a negative errno. */
    int (*read_own)(int id, uint64_t address, void *buffer, size_t size);
    int (*write_own)(int id, uint64_t address, const void *data, size_t size);
    /* 1 if what is there belongs to a file and cannot be written as it is; 0; or a negative errno. */
    int (*is_fixed_code)(int id, uint64_t address);
    /* Are branches through registers to there checked? */
    enum arch_branch_checks (*branch_checks)(int id, uint64_t address);
    /* Memory for the code at the address, as near as there is, that can be executed, is of no use to the program if it
     * is zero, and does not go as long as a thread is in that code: 1, 0, or a negative errno. */
    int (*find_room)(int id, uint64_t address, uint64_t *start, uint64_t *size);
    /* Where such memory can be mapped, as near as possible, below the address or above: a page with no memory at it,
     * and none where the program's heap or stack will grow. Results as above. */
    int (*find_gap)(int id, uint64_t address, bool above, uint64_t *start, uint64_t *size);
    /* 1 if what was mapped there by map_room's call is there still, and nothing but it; 0; or a negative errno. */
    int (*is_mapped_room)(int id, uint64_t start, uint64_t size);

    /* -- starting and ending -- */
    /* Forks, and seizes the child, which then goes on to its exec: events tell of that (EXEC, or EXITED after a
     * failure). -errno and *step when that failed. */
    int (*spawn)(const struct os_spawn *what, struct os_spawned *child, enum os_spawn_step *step);
    /* After EXITED instead of EXEC: the step that failed and its errno (positive); 0 when it told nothing. */
    int (*spawn_error)(struct os_spawned *child, enum os_spawn_step *step);
    void (*spawn_close)(struct os_spawned *child);
    int (*kill)(int pid, int signal); /* to a process */

    /* -- making the monitor: see src/os/linux/monitor_process.c -- */
    /* Runs body(arg) as a monitor of that kind (PROCESS or THREAD) and returns at once; what comes back is waited for by
     * join. ended(arg, killed) is called in the host when the body is over: killed if it did not return. */
    int (*monitor_start)(enum rein_monitor_kind kind, void (*body)(void *arg), void (*ended)(void *arg, bool killed),
                         void *arg, void **handle);
    void (*monitor_join)(void *handle);
    /* On the monitor, which is no process of its own: it may be interrupted by that signal of the host's when seize would
     * hang. Without it seize is as patient as the kernel. */
    void (*monitor_use_signal)(enum rein_monitor_kind kind, int signal);
    /* Instead of join, from anywhere, also from `ended`: what it holds is given back when its thread ends. */
    void (*monitor_forget)(void *handle);
    /* On the monitor: has the host died? Cheap: asked after every sleep. */
    bool (*host_is_dead)(void);
    /* On the monitor, before its first attach: out of the host's process group. */
    void (*monitor_leave_group)(void);
    /* On the monitor: what to do when the host has died and body has not returned a second later, because it waits for
     * a lock that a dead thread of the host holds. emergency is run in a signal handler on the monitor, may make system
     * calls only (no malloc, no locks, no stdio), and must not return: it lets everyone go and ends with _exit's system
     * call; if it does return, the monitor is ended. NULL takes it back. PROCESS only; harmless elsewhere. */
    void (*monitor_set_emergency)(void (*emergency)(void *arg), void *arg);
    /* Sleeping on a word of the host's memory, which monitor and host threads share (futex(2)); any thread. Returns when
     * woken, when the word is no longer value, when timeout_ns (-1: none) has passed, or for no reason. */
    void (*word_wait)(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns);
    void (*word_wake)(_Atomic uint32_t *word); /* all who sleep on it; the word need not exist any more */
    int (*self_process)(void);                 /* getpid */
    int (*self_thread)(void);                  /* gettid */
};

/* The backend this library was built with. */
extern const struct os_backend os_backend;

const char *os_spawn_step_text(enum os_spawn_step step);

#endif
