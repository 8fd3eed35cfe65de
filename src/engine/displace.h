/* Getting past a breakpoint by a copy of its instruction somewhere else: see displace.c. */
#ifndef REIN_ENGINE_DISPLACE_H
#define REIN_ENGINE_DISPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/backend.h"
#include "rein/rein.h"

struct room; /* memory of the program's with such copies */

enum no_move { /* Why an instruction has no copy. */
               CAN_MOVE,
               NO_MOVE_AT_ALL,
               NO_ROOM,
               NO_ROOM_FILTERED, /* near it, and none can be mapped, for there is a seccomp filter */
               NO_ROOM_REFUSED,  /* the kernel has not mapped it */
};

/* The thread stands at the breakpoint, stopped and to run on: can it be sent to a copy? Makes that, if there is none. */
bool displace_is_possible(rein_thread *thread, rein_breakpoint *breakpoint);
/* It is not, for want of room: true, the thread has gone to map some, and will be ready again. */
bool displace_makes_room(rein_thread *thread, rein_breakpoint *breakpoint);
/* It is sent there, and resumed next. false: another has needed the place meanwhile. */
bool displace(rein_thread *thread, rein_breakpoint *breakpoint);
/* It has stopped; event, if not NULL, with that. If it is in a copy, it is at the original now. */
void displace_come_home(rein_thread *thread, struct os_event *event);
/* It is in none, for it ends. */
void displace_leave(rein_thread *thread);
/* The breakpoint has another instruction; it is no more. */
void displace_take_note(rein_breakpoint *breakpoint);
void displace_forget(rein_breakpoint *breakpoint);

/* Out of the memory of the process, whose threads are all stopped; or of one that is a copy of it. */
void displace_clean(rein_process *process);
void displace_clean_copy(const rein_process *process, struct os_memory *memory, int id);
/* The memory is gone. */
void displace_forget_rooms(rein_process *process);
/* Nobody has any use of them; when the monitor was killed there may be lists that are not whole. */
void displace_free(rein_process *process);
/* Bytes that have been read, or were written. */
void displace_hide(const rein_process *process, uint64_t address, unsigned char *buffer, size_t size);
void displace_show(const rein_process *process, uint64_t address, unsigned char *buffer, size_t size); /* about to be */
void displace_note_write(rein_process *process, uint64_t address, size_t size);

/* displace.c, for map_room.c: of memory that was mapped for it, as much as `size` is for copies. false: no memory. */
bool displace_have_room(rein_process *process, uint64_t start, uint64_t size, uint64_t mapped);
/* One of those that are still as they were, in which nobody is: it is to be unmapped. false: there is none (any more). */
bool displace_give_room(rein_process *process, int id, uint64_t *start, uint64_t *mapped);
/* The new process has a copy of the other's memory. */
void displace_inherit(rein_process *process, const rein_process *parent);

/* map_room.c */
/* Can the thread, at the stop of its hit, be asked? */
/* For some thread, at some time. */
bool map_room_may_be(const rein_process *process);
/* For some thread, at some time. */
bool map_room_may_be(const rein_process *process);
bool map_room_is_possible(const rein_thread *thread);
/* It goes and does it, and comes back to the ready list. false: it will not. */
bool map_room(rein_thread *thread, uint64_t start, uint64_t size);
/* All its threads have stopped, and it is let go: true, one of them is away to unmap all rooms. */
bool map_room_unmap_all(rein_process *process);

#endif
