/* Breakpoints: the table, putting them in and taking them out, and the way past one. */
#ifndef REIN_ENGINE_BREAKPOINT_H
#define REIN_ENGINE_BREAKPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "engine/condition.h"
#include "engine/displace.h"
#include "engine/error.h"
#include "engine/list.h"
#include "engine/table.h"
#include "os/backend.h"

struct rein_breakpoint {
    _Atomic unsigned references;
    uint64_t pc;
    _Atomic uint64_t hits;
    rein_breakpoint_callback callback;
    void *arg;
    struct condition condition;
    bool in;                /* in memory now */
    bool ever_in;           /* original is known */
    uint64_t added;         /* the clock then */
    unsigned image;         /* the count of execs of the process when it was added */
    rein_breakpoint *older; /* counted: as a ghost, the one at the same place in an earlier image */
    unsigned char original[ARCH_TRAP_MAX];
    /* For emulate.c: the instruction, of what architecture, and how it is executed in place of a thread. */
    const struct arch *arch; /* NULL: it has not been looked at */
    struct arch_plan plan;
    _Atomic int plan_kind; /* enum arch_plan_kind */
    bool step_over;        /* REIN_MONITOR_STEP_OVER */
    unsigned char code[ARCH_INSTRUCTION_MAX], code_size;
    bool code_is_fixed; /* the program cannot change it as long as .changes is .code_seen */
    uint64_t code_seen;
    unsigned char branch_checks; /* enum arch_branch_checks; as long as the code is known */
    /* For displace.c: a copy of the instruction. */
    struct room *room;       /* NULL: there is none */
    struct room *usual_room; /* where it had one, or may have, when .changes was .usual_seen */
    uint64_t usual_seen;
    unsigned cell;
    unsigned char copied;                          /* its size */
    _Atomic int cannot_move;                       /* enum no_move */
    bool no_gap, wants_room;                       /* nothing can be mapped near it; it is to be tried */
    uint64_t cell_seen;                            /* .changes, when it was there */
    _Atomic uint64_t emulated, displaced, stepped; /* how often it was passed so */
};

struct breakpoints {
    struct table table;   /* by address */
    struct list rooms;    /* see displace.c */
    unsigned mapped;      /* rooms that rein has mapped: see map_room.c */
    unsigned room_calls;  /* calls under way for these: one at most */
    enum no_move refusal; /* why there are to be no more; 0: there may be */
    bool unmapped;        /* or that has been tried */
    struct table ghosts;  /* removed ones: a thread may still have its trap pending, or a child be born with a copy */
    bool all_in;
    uint64_t changes; /* counts occasions on which code may have changed that the program itself cannot change */
    uint64_t clock;   /* counts additions: tells whether one came after a thread had stopped */
};

void breakpoints_init(struct breakpoints *breakpoints);
void breakpoints_free(struct breakpoints *breakpoints);

/* NULL: none. */
rein_breakpoint *breakpoint_find(rein_process *process, uint64_t pc);
/* The breakpoint whose trap instruction ends at pc; sets *address. Ghosts count if memory no longer holds a trap there,
 * for else it is the program's own. NULL: the trap is the program's. */
rein_breakpoint *breakpoint_of_trap(rein_thread *thread, uint64_t pc, uint64_t *address);

int breakpoints_put_in(rein_process *process, struct error *error);
/* 0, or -errno: of some the memory cannot be reached now, and they are still in. */
int breakpoints_take_out(rein_process *process);
/* All become ghosts: at an exec, or at the end. */
void breakpoints_forget(rein_process *process);
/* Nobody can have a trap pending or be about to be born with one. */
void breakpoints_drop_ghosts(rein_process *process);
#define IMAGE_UNKNOWN (~0u)
/* Out of the memory of a new process, that of id, a copy of the process's image of that number, or of any. */
void breakpoints_clean_copy(rein_process *process, int id, unsigned image);

/* Where memory still holds ours, of size bytes (ARCH_DISPLACED_MAX at most), the original is put back. true: ours is not there
 * any more. */
bool breakpoints_put_back(const rein_process *process, struct os_memory *memory, int id, uint64_t address,
                          const unsigned char *ours, const unsigned char *original, size_t size);

/* The new process, a clean copy of the other's memory, gets breakpoints at the same places. */
void breakpoints_inherit(rein_process *process, const rein_process *parent);

/* Replaces the traps in bytes just read by the original bytes. */
void breakpoints_hide(rein_process *process, uint64_t address, unsigned char *buffer, size_t size);
/* Puts the traps that are in memory into bytes about to be written. */
void breakpoints_show(rein_process *process, uint64_t address, unsigned char *buffer, size_t size);
/* These bytes have been written: they are the originals now. */
void breakpoints_note_write(rein_process *process, uint64_t address, const unsigned char *data, size_t size);

/* emulate.c: takes note of the instruction. */
void emulate_prepare(rein_breakpoint *breakpoint, const struct arch *arch, const unsigned char *code, size_t size);
/* Executes the instruction of the breakpoint at which the thread stands, stopped and to run, in its place. false: nothing has
 * changed; it has to be stepped over it. */
bool emulate_at_breakpoint(rein_thread *thread, rein_breakpoint *breakpoint);
/* What is known of the instruction is true of what is in memory now. */
bool emulate_bring_up_to_date(rein_thread *thread, rein_breakpoint *breakpoint, const struct arch *arch);

/* The seam: gets the ready threads that stand at breakpoints past them, and lets the others run. Called whenever something
 * has changed, until nothing more can be done. */
void breakpoint_pass_advance(rein_process *process);
/* A thread that was stepping past one has stopped, or is gone; arrived: it has executed the instruction. */
void breakpoint_pass_stopped(rein_thread *thread, bool arrived);
/* The thread has room for breakpoints that it comes back to. false: it has none, and the monitor has failed. */
bool breakpoint_have_shown(rein_thread *thread);
/* The thread runs on without being stepped past the breakpoint that it was shown, if any: with a signal it may come
 * back to it, by the handler's return; else what was shown is of no meaning any more. */
void breakpoint_forget_shown(rein_thread *thread, int signal);
/* The thread stands at the breakpoint there, and is to be passed, not to hit it. */
void breakpoint_note_shown(rein_thread *thread, uint64_t pc, uint64_t sp);
/* The thread, with that stack pointer, is about to execute the instruction there: a hit. Is it to be told? The cause gets the
 * trouble with the condition. */
bool breakpoint_count(rein_thread *thread, rein_breakpoint *breakpoint, uint64_t sp, struct rein_cause *cause);
/* Is this trap one that the thread has been shown, come to again? It is to be passed then. */
bool breakpoint_was_shown(rein_thread *thread, uint64_t pc, uint64_t sp);
/* Steps a thread over its instruction for the caller; no breakpoint is in memory at its pc. */
void breakpoint_step(rein_thread *thread);
/* How to resume a thread so that it executes the instruction at its pc and no more: a system call up to its entry; a sequence
 * that must not be interrupted to its end. */
enum os_resume breakpoint_step_how(rein_thread *thread, const struct arch_registers *registers);
/* The thread is to run, but no further than a step, or the end of a system call: how it is to be resumed. */
enum os_resume breakpoint_step_on(rein_thread *thread);
/* A single-step has ended, executed: by executing the instruction. Undoes what shows of it in the program's registers and
 * memory (the processor's trap flag). */
void breakpoint_step_done(rein_thread *thread, struct arch_registers *registers, bool executed);

#endif
