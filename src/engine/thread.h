/* A thread as the engine sees it. All of it belongs to the monitor; what other threads may read is atomic.
 *
 * There may be tens of thousands of these, most of which only wait. So it is in two blocks: struct rein_thread, which each has,
 * and struct thread_extra for who does something, or has something done to it: is shown an event, makes a step, is sent
 * to a copy of an instruction, makes a call for the caller, is watched. (Registers are a third, see
 * thread_get_registers.) Yes or no takes a bit. Once a thread has the second block it keeps it, and nearly all that
 * hangs on it: nothing is allocated for a hit or a step but for the first. The cause goes when the thread stops without
 * one, for most that are stopped have none.
 *
 * thread_extra() reads: who has no block reads what one has that does nothing, zeros. To write, thread->extra: who
 * begins something makes room first, where there is still a way to refuse it (thread_make_room: a request fails;
 * thread_need_room: the monitor does, and what was to begin does not). What comes after that, to the thread's end,
 * needs no memory; nor does letting go. */
#ifndef REIN_ENGINE_THREAD_H
#define REIN_ENGINE_THREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/list.h"
#include "engine/state.h"
#include "os/backend.h"

/* What the kernel does with a thread; its visible state is another thing: a thread that is held for a moment, so that
 * another can pass a breakpoint, is Running to everybody but the engine. */
enum kernel_state {
    KERNEL_BORN,    /* traced from birth; its first stop is to come, before any code of the program */
    KERNEL_RUNS,    /* may run program code, unless in_vfork or stuck */
    KERNEL_STOPPED, /* in a ptrace-stop, of the kind .stop */
    KERNEL_LISTENS, /* in a group-stop (PTRACE_LISTEN) */
    KERNEL_DYING,   /* past its last stop */
    KERNEL_GONE,
};

/* Why a running thread executes only one instruction. */
enum stepping {
    STEPPING_NOT,
    STEPPING_USER,     /* asked for by the caller */
    STEPPING_PASS,     /* to get past a breakpoint, see breakpoint.c */
    STEPPING_SOFTWARE, /* to the caller it runs; for a software watchpoint's sake, see watch.c */
    STEPPING_WATCH,    /* to get past a watchpoint, see watch.c */
};

struct held_signal {
    struct held_signal *next;
    struct rein_signal signal;
};

/* A breakpoint that was shown, and before whose instruction was executed a signal's handler was run: it is come to again when
 * the handler returns. */
struct shown {
    uint64_t pc, sp;
};
enum { SHOWN_MAX = 4 }; /* handlers in handlers; the oldest is forgotten */

/* A system call that a thread was seen in. */
struct seen_call {
    struct rein_syscall now;
    struct rein_syscall own; /* one that the caller has changed, as the program has made it */
    unsigned image;          /* the process's, when it was changed */
    bool changed;
    bool traced; /* it is one of those that are */
};

struct remote_call;   /* see remote_call.c */
struct steps;         /* see steps.c */
struct function_call; /* see function_call.c */
struct room;          /* see displace.c */
struct watched;       /* see watch.h */

struct thread_extra {
    /* What it was seen at. Each may be NULL, and is allocated when it is first needed. */
    struct rein_cause *cause; /* NULL: it has stopped, and nothing else; see thread_cause */
    struct seen_call *call;   /* NULL: it was seen in none; see thread_have_call */
    struct held_signal *held; /* signals that steps have left pending, delivered by the next continue */
    struct watched *watched;  /* NULL: its debug registers have never been used */
    struct shown *shown;      /* .shown_count of them, room for SHOWN_MAX */
    unsigned char shown_count;

    /* The breakpoint at which it stands, when .skip says that it was shown. */
    bool skip_restarts; /* its instruction's system call is made again, as soon as the thread runs on */
    uint64_t skip_pc, skip_sp;

    /* The step under way. */
    struct steps *steps;        /* for the caller, of which it is one; NULL: it is the only one */
    struct shown step_from;     /* where it began */
    uint64_t step_call;         /* the instruction of the system call that it steps; 0: it steps none */
    uint64_t exec_pc;           /* it is resumed for a step from an exec, there: see left_exec; else 0 */
    uint64_t mask;              /* the program's, if .mask_changed */
    unsigned turn_steps;        /* how many more it makes before others have a turn */
    bool step_deliver : 1;      /* it is to deliver .deliver */
    bool step_pushes_flags : 1; /* what it executes */
    bool step_repeats : 1;
    bool step_pops_flags : 1;
    bool step_is_programs : 1; /* the program has the processor's single-step on itself */

    /* The copy of an instruction where it has been sent to, see displace.c. */
    struct room *room;      /* NULL: it has not; cell .cell of it */
    uint64_t home, sent_to; /* from, and to; also afterwards: a fault of its may still be to come */
    unsigned cell;
    unsigned char copied, sent_in_vain;
    uint64_t sequence_word; /* os->sequence_word, if that is known; else 0 */

    /* What it does for the caller, who sees it stopped. */
    struct remote_call *remote_call; /* that it makes; else NULL */
    struct function_call *calls;     /* functions that it is in, the innermost first */
    struct function_call *ended;     /* the last one, if nobody has asked for its result yet */

    /* Of a guest. */
    rein_process *followed; /* counted: what it was born as, see birth.c; NULL: nobody has it followed */
    unsigned image;         /* of the process when it was born */
    bool let_go;            /* by the caller; it may have to be held yet, for the sake of breakpoints */
    int made_by;            /* the id of the process's thread that made it, or made who did; 0: not known */

    unsigned watch_clock; /* the process's, when it was last looked whether the debug registers are right */
};

struct rein_thread {
    /* Who it is. */
    _Atomic unsigned references;
    _Atomic int id;
    rein_process *process;         /* counted: in whose memory it runs. For the monitor only */
    _Atomic(rein_process *) owner; /* whose it is to callers: another only for a guest that is followed, see birth.c */

    /* Where it waits. */
    struct list link;     /* in the process */
    struct list expected; /* in the monitor */
    struct list ready;    /* in the process: stopped in the kernel, but is to run */
    int64_t expected_at;  /* ns */
    int64_t look_at;      /* ns, when to look why it does not stop */
    int64_t lost_since;   /* ns: the kernel knows of no such tracee; 0: it does */

    /* Its books: changed by thread.c alone, which keeps the process's counters. */
    enum rein_state state : 8;
    enum kernel_state kernel : 8;
    bool fresh : 1;     /* seized, and not seen in a stop since */
    bool unhandled : 1; /* of its stop nothing is known to the caller yet, for its registers could not be used */
    bool in_vfork : 1;  /* in the kernel until its child has left the memory */
    bool stuck : 1;     /* in uninterruptible sleep, an interrupt waiting for it */
    bool in_group_stop : 1;
    bool stops_at_calls : 1; /* it was resumed so */
    bool outdated : 1;       /* resumed before other calls were to be traced, and not since then */
    bool takes_turn : 1; /* it is resumed for one instruction, and nobody else who is watched by software meanwhile */
    bool guest : 1;      /* a process of its own that shares the memory (vfork child), see birth.c */

    /* The stop that it is in, or was in last. */
    enum os_event_kind stop : 8;
    bool no_delivery : 1;     /* no signal can be delivered there, though it is a step's */
    bool watched_stop : 1;    /* debug registers may have fired */
    bool in_call : 1;         /* the entry of a system call was seen, and its exit will be */
    bool disturbed : 1;       /* an interrupt of ours came at that entry, and may end the call */
    bool registers_known : 1; /* .registers are its general ones */
    bool registers_kept : 1;  /* they are newer than the kernel's */
    bool look_for_added : 1;  /* a breakpoint may have been added where it stood, stopped */
    bool skip : 1;            /* the breakpoint at .skip_pc was shown, the instruction there not executed yet */
    bool exit_told : 1;       /* its exit has been shown */

    /* What it is about to do. */
    enum stepping stepping : 8;
    bool registers_two : 1; /* see .registers */
    bool leaving : 1;       /* to be let go at its next stop, whatever becomes of the process */
    bool
        awaits_birth : 1; /* it does not run on before its child's first stop was seen, or, newborn, its parent's event */
    bool out_of_group_stop : 1; /* stepped while in a group-stop: it returns to that when it runs on */
    bool interrupted : 1;       /* os->interrupt was called and no stop has come since */
    bool interrupt_refused : 1; /* the last interrupt was not made, to be tried again when it is looked at */
    bool doubtful : 1;      /* the kernel says that it is not stopped, and so dying, but not yet that it has ended */
    bool trap_waits : 1;    /* it was resumed for a trap that it has executed already to come out, and executes nothing
                              before that */
    bool mask_changed : 1;  /* .mask is to be put back */
    bool signal_chosen : 1; /* by rein_thread_set_signal */
    bool next_is_void : 1;  /* as deliver_is_void, of the signal that its next stop is about, if it is one */
    bool deliver_is_void : 1; /* one of the other kind came since, see thread_drop_contradicted: not to be held back */
    int deliver;              /* the signal it gets when it runs on */

    unsigned group_stops; /* see enter_group_stop */
    uint64_t stop_clock;  /* breakpoints.clock when it stopped */
    uint64_t run_count;   /* the stop, or run, that it is in: tells whether a snapshot of registers is still true */
    struct arch_registers *registers; /* of a stopped thread; NULL: nobody has asked for them yet. If rein has changed
                                         them, and .registers_two, behind them is what the kernel has, if .size */
    struct thread_extra *extra;       /* NULL: it has done nothing yet that needs one */
};

/* For reading; never NULL. */
extern const struct thread_extra thread_has_no_extra;
static inline const struct thread_extra *thread_extra(const rein_thread *thread)
{
    return thread->extra ? thread->extra : &thread_has_no_extra;
}

/* It has .extra from now on: 0 or -ENOMEM. */
int thread_make_room(rein_thread *thread);
/* The same, for who cannot refuse: the monitor fails. false: it has none. */
bool thread_need_room(rein_thread *thread);

/* The system call that it was seen in; never NULL. One record serves all who have none when the host is dead and no
 * memory to be had: nobody changes a call then, and what one event has written there the next does not need. */
struct seen_call *thread_call(const rein_thread *thread);

/* Stopped at the entry of a system call, which is still to be made: its pc is behind the instruction, but it does not stand
 * there. */
static inline bool thread_is_at_entry(const rein_thread *thread)
{
    bool at_call = thread->stop == OS_EVENT_SYSCALL || thread->stop == OS_EVENT_SECCOMP;
    return thread->kernel == KERNEL_STOPPED && at_call && thread->in_call;
}

/* Stopped in the kernel, and to stay so until more is heard. */
static inline bool thread_is_kept(const rein_thread *thread)
{
    return thread->awaits_birth || thread->unhandled;
}

/* Any thread may ask; it lives as long as the thread. */
static inline rein_process *thread_owner(const rein_thread *thread)
{
    return atomic_load_explicit(&thread->owner, memory_order_acquire);
}

/* A guest that nobody has followed: no thread of any process to callers, though its hits are told. */
static inline bool thread_is_hidden(const rein_thread *thread)
{
    return thread->guest && thread_owner(thread) == thread->process;
}

#endif
