/* Watchpoints: the process's list, what of it is in each thread's debug registers, and what has fired. */
#ifndef REIN_ENGINE_WATCH_H
#define REIN_ENGINE_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "engine/error.h"
#include "engine/list.h"
#include "os/backend.h"

struct rein_watchpoint {
    _Atomic unsigned references;
    struct list link;            /* in the process; in no list: it was removed */
    const rein_process *process; /* whose list that is; for comparing only */
    const rein_thread *thread;   /* the only one that is watched; NULL: all; not counted, see watch_thread_ends */
    bool thread_is_gone;
    uint64_t address, size;
    enum rein_watch_kind kind;
    bool changes_only;
    bool software; /* by steps and looking, see watch.c */
    rein_watchpoint_callback callback;
    void *arg;
    _Atomic uint64_t hits;
    unsigned added; /* the process's clock then */
    int refused;    /* -errno, by which the kernel has refused it to a thread: whoever adds it hears of that */
    bool value_known;
    uint64_t value; /* as it was when last looked at; of a software one: bytes */
    struct arch_watch pieces[ARCH_WATCH_SLOTS];
    unsigned piece_count;
    unsigned char bytes[]; /* .size of them, of a software one only */
};

/* In a process. */
struct watchpoints {
    struct list list;  /* oldest first */
    unsigned clock;    /* counts changes of the list */
    unsigned software; /* how many in it are */
};

/* In a thread: what is in its debug registers. A watchpoint that was removed stays here until they are written again, so
 * that a trap of its that is still to be seen is known for what it is. */
struct watched {
    unsigned count;
    rein_watchpoint *slots[ARCH_WATCH_SLOTS]; /* counted */
    struct arch_watch pieces[ARCH_WATCH_SLOTS];
    /* Bit N for the Nth: those that are off, so that the instruction at off_pc, where they have fired, can be executed; and of
     * these, those that are hit when it has been. */
    uint32_t off, to_come;
    uint64_t off_pc;
    /* Those that have fired in front of the store with which a sequence ends, and so made it fail; and where that
     * begins: the thread is to stop there, and to run it once more with these off. 0: none. */
    uint32_t again;
    uint64_t again_pc;
    uint64_t ends[ARCH_ENDS_MAX]; /* where a sequence that is stepped as a whole ends: watched for, too */
    unsigned end_count;
    bool ends_are_new; /* for the next resume */
    bool stale;        /* the registers say something else */
    bool on;           /* some may be on */
};

void watch_init(struct watchpoints *watchpoints);
/* The thread will need room for what is in its debug registers: it has it from now on. 0 or -ENOMEM. */
int watch_make_room(rein_thread *thread);
/* All are removed: at an exec, or with the process. */
void watch_forget(struct watchpoints *watchpoints);

/* The thread, stopped, is about to run on: its debug registers are made right. */
void watch_arm(rein_thread *thread);
/* Before that: how it is to be resumed, for it may have to get past what has fired first, in a step of its own
 * (STEPPING_WATCH). */
enum os_resume watch_resume(rein_thread *thread, enum os_resume how, int signal);
/* The next resume is to run to one of these places, as if it were a step. false: they cannot be watched for. */
bool watch_set_ends(rein_thread *thread, const uint64_t *ends, size_t count);
/* ... is about to be let go: they are cleared. Takes no memory and gives none back. */
void watch_disarm(rein_thread *thread);
/* The kernel has cleared them. */
void watch_release(rein_thread *thread);
/* The thread is gone. */
void watch_free(rein_thread *thread);
/* Nobody is to be watched on its behalf any more. */
void watch_thread_ends(rein_process *process, const rein_thread *thread);
/* May a trap of a debug register be pending? */
static inline bool watch_is_armed(const struct watched *watched)
{
    return watched && (watched->count != 0 || watched->end_count != 0);
}
/* Is the instruction at pc one that an execute watchpoint stops the thread at? It is to be executed without that, for
 * the stop that the thread is in comes after the hit: changes its registers. false: it is not. */
bool watch_pass(rein_thread *thread, uint64_t pc, struct arch_registers *registers);

enum { WATCH_SOFTWARE_MAX = 16, WATCH_SOFTWARE_SIZE_MAX = 4096 };

/* What has fired at the stop that a thread is in. */
struct watch_hits {
    bool any;       /* something that we had set; with count 0 it was removed meanwhile, or has changed nothing */
    bool to_come;   /* an access that is not made yet, or a sequence: the thread is to execute it, in a step */
    bool ended;     /* a sequence that was stepped as a whole */
    bool accessed;  /* by an access, which has been made, not by an execution to come */
    unsigned count; /* of the causes */
    /* Refer to watchpoints without counting. There is room for one more, of what else is told with them. */
    struct rein_cause causes[1 + ARCH_WATCH_SLOTS + WATCH_SOFTWARE_MAX];
};
/* 0, or -errno; the registers that have fired are told once. Counts the hits. */
int watch_take_hits(rein_thread *thread, const struct arch_registers *registers, struct watch_hits *hits);
/* The instruction, or the sequence, has been executed: what had fired in front of it. Adds to the hits. */
void watch_take_made(rein_thread *thread, const struct arch_registers *registers, struct watch_hits *hits);
/* The thread was to run to the end of a sequence, and is there, though something else has stopped it. */
bool watch_is_at_end(const rein_thread *thread, uint64_t pc);
/* Is the thread to be stepped instead of running, and what is watched looked at after each step? */
bool watch_steps(const rein_thread *thread);
/* Is it watched by debug registers, or may be, as soon as it runs on? */
bool watch_is_near(const rein_thread *thread);
/* It has made one, or a system call, and is at pc: adds what it has changed to the hits, and counts that. */
void watch_compare(rein_thread *thread, uint64_t pc, struct watch_hits *hits);
/* The caller has written that to memory. */
void watch_note_write(rein_process *process, uint64_t address, const unsigned char *data, size_t size);

#endif
