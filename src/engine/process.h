/* A process as the engine sees it, and what the engine's files offer one another; its threads are in thread.h. All of it belongs
 * to the monitor; what other threads may read is atomic. */
#ifndef REIN_ENGINE_PROCESS_H
#define REIN_ENGINE_PROCESS_H

#include "engine/breakpoint.h"
#include "engine/monitor.h"
#include "engine/thread.h"
#include "engine/watch.h"

/* ---- Processes ---- */

enum process_condition {
    PROCESS_HELD,
    PROCESS_LETTING_GO,
    PROCESS_DETACHED,
    PROCESS_EXITED,
};

enum pass { /* the state of getting threads past breakpoints, see breakpoint.c */
            PASS_NONE,
            PASS_HOLDING,  /* the other threads are being stopped */
            PASS_STEPPING, /* the threads step */
};

/* See syscall.c. */
struct traced_calls { /* is not changed; a process and those that it has made share it */
    _Atomic unsigned references;
    unsigned flags; /* REIN_SYSCALL_... */
    bool all;
    size_t count;
    uint64_t keys[]; /* those that are, in order */
};

struct queued_event {
    struct list link;
    struct list order;     /* in the monitor */
    rein_process *process; /* whose it is; kept by the thread */
    struct rein_event event;
    bool stops_all;
    bool unheard; /* it came while its thread was stopped, and the caller has not asked since */
};

/* What its event_fd shows. */
enum announcement {
    ANNOUNCED_NOTHING,
    ANNOUNCED_DUE, /* not yet: before anything is answered, or else happens, and at the latest when the monitor rests */
    ANNOUNCED_NOW, /* on the way */
    ANNOUNCED,
};

struct rein_process {
    _Atomic unsigned references; /* all */
    _Atomic unsigned handles;    /* of these, the callers' */
    atomic_bool over, dropped;   /* the monitor has done with it; its events are dropped */
    atomic_bool events_are_kept; /* over, and they wait to be taken from the monitor */
    rein_monitor *monitor;       /* counted */
    const struct os_backend *os;
    _Atomic(const struct arch *) arch; /* its program's; registers have their own, see arch.h */
    int id;
    struct list link;          /* in the monitor */
    struct list changed;       /* in the monitor */
    struct list recent;        /* in the monitor */
    rein_process *recent_same; /* the next of these with the same id */
    uint64_t runs;             /* how often its threads were let run */
    bool recent_unlisted;      /* it is not in the table of them */
    struct list retrying;      /* in the monitor: who waits for it is to be asked again, though nothing changes */
    struct list births;        /* of its children, struct birth */
    struct list waiting;       /* requests */
    atomic_bool cancelled;

    enum process_condition condition;
    struct rein_exit exit;
    bool exit_known;
    int parent, depth; /* see rein_process_parent_id */
    enum rein_follow follow;
    unsigned follow_flags;
    bool unborn;            /* followed, and its parent's event is still to be shown */
    rein_thread *as_guest;  /* it is a guest: this is its thread, among those of another process */
    rein_thread *last;      /* counted: it has ended unborn, with this thread */
    bool was_killed;        /* a thread of this image: it may have made a child, and not told */
    bool killing;           /* by rein_process_kill: nothing is told any more */
    bool being_taken;       /* attach is not complete: threads that come and go are not told */
    bool starting;          /* spawned, not yet exec'd */
    bool foreign;           /* it executes a program that this library was not built for */
    bool filtered;          /* has a seccomp filter that needs a tracer: it cannot be let go */
    bool fully_stopped;     /* nobody can run code, and breakpoints are out */
    unsigned in_group_stop; /* how many of its threads are */
    unsigned group_stops;   /* that have been told */
    bool stop_wanted;       /* all-stop: no thread is to run */
    bool unscanned;         /* it may have threads that have not been found: see attach_adopt */
    bool in_foreign_memory; /* it was a guest of a process that was let go, and has not called exec: see birth.c */
    bool has_sharers;       /* a process that shares its memory may not be traced: see attach_take_sharers */
    bool unsearched;        /* ... for nobody has looked for one since the attach */
    int detach_signal;
    int let_go_tries;
    int signal_error; /* -errno: of sending detach_signal */
    int let_go_error; /* -errno: why breakpoints are left in its memory */

    struct list threads;   /* dying ones last */
    size_t thread_count;   /* that are its own to callers */
    size_t zombies;        /* of these */
    size_t guests;         /* in its memory */
    size_t fresh;          /* threads that are, and can come to a stop */
    size_t born;           /* threads in KERNEL_BORN */
    size_t unhandled;      /* threads that are */
    size_t outdated;       /* threads that are, and run */
    unsigned code_runners; /* threads that may run program code */
    unsigned turns;        /* of these, such that take_turn */
    unsigned listeners;    /* threads in PTRACE_LISTEN, which cannot be let go as they are */
    unsigned unsettled;    /* threads that count as running to the caller, but for those that cannot be stopped now */
    struct list ready;
    struct list arrivals; /* threads that are to be: what can be done for them at once is still to be done */

    struct watchpoints watchpoints;
    struct breakpoints breakpoints;
    enum pass pass;
    unsigned pass_steppers;
    unsigned image;  /* counts execs */
    int64_t exec_at; /* ns, the last one */
    int64_t over_at; /* ns */
    struct os_memory memory;
    uint64_t call_pc;         /* where an instruction that makes a system call was found; 0: not looked for yet */
    bool has_abandoned_calls; /* there may be such */

    struct traced_calls *traced_calls; /* counted; NULL: none are */
    enum rein_policy policy[REIN_CAUSE_COUNT];
    rein_event_callback callback;
    void *callback_arg;
    struct list events; /* struct queued_event */
    bool has_unheard;   /* there may be such events */
    uint64_t sequence;
    int event_fd;           /* -1: not asked for */
    _Atomic int announced;  /* enum announcement: what who waits at it has been told */
    struct list announcing; /* in the monitor, while ANNOUNCED_DUE */
};

/* process.c */
rein_process *process_ref(rein_process *process);
void process_unref(rein_process *process);
/* It is over: from here on its events may be dropped by the caller who gives up the last handle. */
void process_note_over(rein_process *process);
/* All who waited have their answer: the monitor gives it up. */
void process_leave_monitor(rein_process *process);
rein_process *process_create(rein_monitor *monitor, int id); /* 0: it is not known yet */
int process_set_id(rein_process *process, int id);           /* 0 or -ENOMEM */
/* The process of that id that the monitor holds; NULL: none. */
rein_process *process_find(rein_monitor *monitor, int id);
/* An address as a caller gives it, without what the processor does not look at (arm64's tags). */
static inline uint64_t process_address(const rein_process *process, uint64_t address)
{
    const struct arch *arch = process->arch;
    return arch->clean_address ? arch->clean_address(address) : address;
}
/* Whose memory it uses: its own, or, as a guest, another's. */
rein_process *process_of_memory(rein_process *process);
/* Is the thread, one in that memory, the process's to callers? */
static inline bool process_shows(const rein_process *process, const rein_thread *thread)
{
    return thread_owner(thread) == process && !thread_is_hidden(thread);
}
/* 0 when the process can be worked with, else REIN_EXITED, ... in error. */
int process_check(rein_process *process, struct error *error);
bool process_is_stopped(const rein_process *process);
/* A thread that runs, for messages; NULL: none. */
rein_thread *process_running_thread(rein_process *process);
/* One that has not stopped since it was seized; NULL: none. */
rein_thread *process_fresh_thread(rein_process *process);
/* Names the threads that could not be stopped: REIN_CANNOT_STOP, or 0 when there are none. */
int process_explain_stuck(rein_process *process, struct error *error);
void process_stop(rein_process *process);
/* Does what has become possible: threads that are to run run, breakpoints are passed. Called after every event and request,
 * never inside a callback. */
void process_advance(rein_process *process);
/* Has its waiting requests asked again in a moment. */
void process_retry(rein_process *process);
/* late: the thread was stopped, or exiting, already: SIGKILL alone does that, at any moment, so also between the
 * caller's last look and his continue, which must not forget what he had no chance to see. */
void process_tell(rein_process *process, rein_thread *thread, const struct rein_cause *cause, bool stops_all,
                  bool late);
void process_forget_stop_events(rein_process *process);
/* The monitor is over: its order of events is no more, only each process's. */
void process_forget_order(rein_monitor *monitor);
/* A call that waited for a stop is answered: what has been told up to now can be seen. */
void process_note_heard(rein_process *process);
/* On the monitor: those who wait at its descriptor hear of what is due. */
void process_announce(rein_process *process);
/* At rest: they have. */
bool process_is_announced(rein_process *process);
/* The last thread is gone, or all are let go. */
void process_end(rein_process *process, enum process_condition condition);
/* A thread whose memory and /proc entry can be used; NULL: none is left. */
rein_thread *process_living_thread(rein_process *process);

/* cause.c */
/* A copy was made of the cause: counts its references. */
void cause_hold(const struct rein_cause *cause);

/* thread.c */
rein_thread *thread_create(rein_process *process, int id, enum kernel_state kernel, bool guest);
/* Applies the state table. false: illegal, the monitor has failed. */
bool thread_change(rein_thread *thread, enum transition transition);
void thread_set_kernel(rein_thread *thread, enum kernel_state kernel);
void thread_set_fresh(rein_thread *thread);
void thread_set_unhandled(rein_thread *thread, bool unhandled);
void thread_set_cannot_stop(rein_thread *thread, bool in_vfork, bool stuck);
/* Asks the kernel for a stop, if the thread runs. */
void thread_interrupt(rein_thread *thread);
/* It runs, and is to be resumed anew, for other system calls are traced now. */
void thread_outdate(rein_thread *thread);
/* Expects its next stop soon: it is asked for by id. */
void thread_expect(rein_thread *thread);
/* It is to run: at once, or when nothing keeps it. */
void thread_make_ready(rein_thread *thread);
/* Lets it run now. */
void thread_run(rein_thread *thread);
/* The general registers of a stopped thread. The kernel is asked once for them, and told once: what is kept goes to it when the
 * thread is resumed or let go, or its event has been seen to. */
int thread_get_registers(rein_thread *thread, struct arch_registers *registers);
int thread_set_registers(rein_thread *thread, const struct arch_registers *registers);
void thread_keep_registers(rein_thread *thread, const struct arch_registers *registers);
int thread_give_registers(rein_thread *thread);    /* what is kept, to the kernel: 0 or -errno */
void thread_forget_registers(rein_thread *thread); /* the kernel's may have changed */
/* Resumes it in the kernel and keeps the books. */
int thread_resume(rein_thread *thread, enum os_resume how, int signal);
/* It runs, or has an instruction executed in its place: .run_count is another, of which there has been none in its process. */
void thread_note_run(rein_thread *thread);
/* The result of a call to the kernel for a stopped thread. -ESRCH is the thread's end, which is awaited; anything else
 * cannot be for a tracee of ours, and the monitor has failed. What could not be done goes on the message. */
void thread_check(rein_thread *thread, int result, const char *what);
void thread_continue(rein_thread *thread);
int thread_bad_state(const rein_thread *thread, struct error *error, const char *what, const char *advice);
/* It has ended without a last stop, and only its end is still to be told. */
void thread_note_zombie(rein_thread *thread);
void thread_leave_group_stop(rein_thread *thread);
/* It has another id now. */
void thread_rename(rein_thread *thread, int id);
/* A guest is another's to callers from now on: what it becomes, or, if nobody has it followed any more, its memory's. */
void thread_set_owner(rein_thread *thread, rein_process *owner);
/* A guest is none any more: it is a thread of its owner's. */
void thread_join_owner(rein_thread *thread);
/* It is gone, or let go: it leaves all tables. */
void thread_end(rein_thread *thread, enum transition transition);
void thread_restore_mask(rein_thread *thread);
/* What is seldom wanted of a thread is out of line, and allocated when it first is: all zero. When the host has died no memory
 * can be had (see host_has_died in monitor.c). */
void *thread_allocate(const rein_thread *thread, size_t size);
/* Never NULL. */
const struct rein_cause *thread_cause(const rein_thread *thread);
/* Takes a copy, counting references. Without memory for it the monitor fails. */
void thread_set_cause(rein_thread *thread, const struct rein_cause *cause);
/* thread_call is its own from now on, unless there is no memory for it: then the monitor has failed, and nothing is shown. */
void thread_have_call(rein_thread *thread);
/* Copies, counting references. */
void thread_copy_cause(const rein_thread *thread, struct rein_cause *cause);

/* The signal to resume or let go a thread with: the one that is to be delivered, or the oldest that a step has left
 * pending. */
int thread_take_signal(rein_thread *thread);
/* Is one of those that steps have left pending a stop signal? */
bool thread_holds_stop(const rein_thread *thread);
/* The thread has stopped with a signal: those held back that it makes void are dropped, in all threads. */
void thread_drop_contradicted(rein_thread *thread, int signal);
/* Of a list of signals held back, those that the set makes void. */
void thread_drop_held(const rein_thread *thread, struct held_signal **list, uint64_t arrived);

/* Before it is resumed: it is not to get a stop signal that a waiting SIGCONT has ended before it began, unless the program has
 * a handler for that. The kernel would see to it, but not when the thread is being killed by another's exec: then it
 * puts what the thread was resumed with into the process's queue once more (ptrace_signal() in kernel/signal.c), which
 * takes the SIGCONT away, and the new program stops. A SIGCONT that another thread has taken is left to the kernel, for
 * it may be older than the stop signal. */
void thread_drop_void_stop(rein_thread *thread);

/* 0 when the request's thread can be worked with, else REIN_NO_THREAD, ... in error. */
int thread_check_request(const struct request *request, struct error *error);
/* REIN_BAD_STATE if it makes a call. */
int thread_check_call(const rein_thread *thread, struct error *error, const char *what);
void thread_set_call(rein_thread *thread, struct remote_call *call);
/* Asks the kernel for a stop, whatever it does. 0 or -errno, which is seen to. */
int thread_interrupt_call(rein_thread *thread);
/* Is it at a stop where the kernel can exchange a signal? */
bool thread_is_at_signal(const rein_thread *thread);
/* Keeps a signal, for the next continue to deliver. */
int thread_hold_signal(rein_thread *thread, const struct rein_signal *signal);
/* It is back at the stop of the signal that it is to get, after a while: a stop signal is void if SIGCONT has come since. */
void thread_drop_if_void(rein_thread *thread);

/* Begins a step, or a run of them, by the request's .flags. A failure finishes the request. */
int thread_begin_step(struct request *request, struct steps *steps);
/* If it runs it is to stop. */
void thread_ask_stop(rein_thread *thread);

/* steps.c */
/* What rein_thread_step_many wants; it lives as long as the request. */
struct steps {
    struct request request;
    const struct rein_step_options *options;
    uint64_t done;
    bool given_up;            /* it ends with what is in the request's error */
    bool begun;               /* nobody waits for it, and it is allocated: REIN_STEP_BEGIN */
    bool page_seen, is_fixed; /* of .page */
    bool code_known;          /* .code is what is in .page */
    uint64_t page;
    uint64_t runs;                    /* how often the thread was let run for it */
    uint64_t changes, runs_of_others; /* breakpoints.changes, and how often others were let run, then */
    unsigned char code[4096];
};
/* The thread has made a step, and is at pc: makes the next. false: that was the last. */
bool steps_go_on(rein_thread *thread, uint64_t pc);
/* It is to make the next, and `made` have been made here in a row: makes one more, if that can be. */
bool steps_emulate(rein_thread *thread, unsigned made);
/* The thread makes a system call: what is known of the code may not be so any more. */
void steps_forget_code(rein_thread *thread);
/* The code there, breakpoints hidden: how much of it there is. */
size_t steps_read_code(rein_thread *thread, uint64_t pc, unsigned char *code, size_t size);

/* remote_call.c */
/* The thread, which makes a call, has stopped. false: for a reason that ends the call, and that others must see to. */
bool remote_call_event(rein_thread *thread, const struct os_event *event);
/* The thread is to come back from its call, if any, as soon as it can. */
void remote_call_abort(rein_thread *thread);
/* The thread has ended. */
void remote_call_lost(rein_thread *thread);

/* function_call.c */
/* A thread that is in functions for the caller has stopped with a fault: is it that one has returned? Then it is on its way
 * back. */
bool function_call_returns(rein_thread *thread, const struct os_event *event);
/* It is to leave all of them, as soon as it can. */
void function_calls_abandon(rein_thread *thread);
/* Are its system calls to be seen to? And one that it makes, or is made to make. */
bool function_calls_watch(const rein_thread *thread);
void function_calls_note(rein_thread *thread, const struct arch_call *call);
/* Those that are to leave begin with that, where they can now. */
void function_calls_advance(rein_process *process);
/* Stopped, and to be let go from where it is: as it was before the first of them. */
void function_calls_end_here(rein_thread *thread);
/* Its program is gone, or it is. */
void function_calls_lost(rein_thread *thread);
/* A stop signal or SIGCONT has arrived, and makes void those of the other kind that wait for functions to be over. */
void function_calls_contradict(rein_thread *thread, uint64_t arrived, uint64_t void_signals);
/* What is left of a thread's that nobody could bring back: its monitor was killed, or has failed. */
void remote_call_free(rein_thread *thread);
void function_calls_free(rein_thread *thread);

/* registers.c */
/* What the stopped thread has now of that set, laid out as on that architecture, to be freed; NULL: error is set. */
struct arch_block *registers_fetch(rein_thread *thread, const struct arch *arch, enum arch_set set,
                                   struct error *error);

/* event.c */
void event_handle(rein_monitor *monitor, const struct os_event *event);
/* The process that the thread has made is let go, or a guest. */
void event_show_birth(rein_thread *thread, int child);
/* Of a stop that could not be handled before, now that the process is let go. */
void event_handle_again(rein_thread *thread);
/* A stop for no cause of its own: the thread stops, or runs on as soon as nothing keeps it. */
void event_stop_plain(rein_thread *thread);

/* syscall.c */
struct traced_calls *traced_calls_ref(struct traced_calls *calls);
void traced_calls_unref(struct traced_calls *calls);
/* Is the thread's call one of those that are traced? */
bool syscall_is_traced(const rein_thread *thread);
/* At the exit of a call that was changed, with the pc there. */
void syscall_give_back(rein_thread *thread, uint64_t pc);
/* Before it is let go: from an entry that cannot be left as it is, on to the exit. */
void syscall_finish(rein_thread *thread);
/* How a thread is to be resumed: so that it stops at calls, or else so. */
enum os_resume syscall_resume(const rein_thread *thread, enum os_resume otherwise);

/* birth.c */
/* The parent's event of having made a thread (*new_thread; NULL when it is a guest's) or a process, whose first stop
 * may be still to come. */
enum birth_of { BIRTH_OF_THREAD, BIRTH_OF_PROCESS, BIRTH_AWAITED };
enum birth_of birth_told(rein_thread *parent, const struct os_event *event, rein_thread **new_thread);
/* The first stop of one that no table knows. */
void birth_of_unknown(rein_monitor *monitor, const struct os_event *event);
struct birth *birth_find(rein_monitor *monitor, int id);
/* A thread whose first stop is to come. NULL: the monitor has failed. */
rein_thread *birth_add_thread(rein_process *process, int id, bool guest);
/* The parent's event is about to be shown: the child with that id, if it is followed, gets from the parent what it inherits.
 * NULL: it is not followed. */
rein_process *birth_inherit(rein_thread *parent, int id);
/* The event was shown: it stops, or runs. */
void birth_release(rein_process *child, bool stop);
/* The thread is to run: so are guests of its making that nobody has followed, and that have stopped. */
void birth_continue_guests(const rein_thread *parent);
/* It is a guest, and its process is held. */
bool birth_is_followed_guest(const rein_thread *thread);
/* Such a guest has its own memory, or is gone: it is no guest any more. */
void birth_guest_has_left(rein_thread *guest);
/* Likewise, but it is in its parent's memory still, whose process is let go. */
void birth_leave_guest(rein_thread *guest);
/* It is a guest whom the caller has let go, stopped, and there is no breakpoint: it is let go in the kernel, too. */
bool birth_let_guest_go(rein_thread *guest);
/* The process is over: if it was a guest, that is let go, or runs on as one that is not followed. */
void birth_end_guest(rein_process *child);
void births_forget(rein_monitor *monitor);
void births_forget_handled(rein_process *process);
/* Lets those go whose parent has not told of them for a while; all: at once. */
void births_free_strays(rein_monitor *monitor, bool all);
/* The process is over, and may have left breakpoints in children. */
void births_note_recent(rein_process *process);
/* Gives up processes that ended a while ago; all: at once. */
void births_forget_recent(rein_monitor *monitor, bool all);

/* attach.c */
/* Are all its threads ours? There are as many; but a leader that is dying may be another thread by now. */
bool attach_holds_all(const rein_process *process);
/* Takes threads that were made with CLONE_UNTRACED, and stops them: nobody has told of these. The same for those that an
 * attach whose limit has passed has not found. There may be more while the process is `unscanned`. */
void attach_adopt(rein_process *process);
/* Before the first breakpoint: processes that share the memory become guests. */
int attach_take_sharers(rein_process *process, struct error *error);
/* The process has left the memory that the guest shared with it: the guest is cleaned and let go. */
void attach_guest_leaves(rein_thread *guest);
void attach_let_go(rein_process *process, int signal);
void attach_let_go_advance(rein_process *process);
/* The last step of that: everybody is let go who is stopped, and the others linger. */
void attach_give_up(rein_process *process);
/* Lets go whoever is stopped in the kernel. If the kernel does not (-ESRCH: it has been killed, and is gone by that),
 * it at least runs on, and is let go by the monitor's end. */
int attach_release(rein_monitor *monitor, int id, int signal, enum os_resume else_how);
/* The same for a thread of ours, or moves it over if it is a guest that is followed. */
void attach_detach_thread(rein_thread *thread);

#endif
