/* Getting past a breakpoint by a copy of its instruction somewhere else: see displace.c. */
#ifndef REIN_ENGINE_DISPLACE_H
#define REIN_ENGINE_DISPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/backend.h"
#include "rein/rein.h"

struct room; /* memory of the program's with such copies */

/* The thread stands at the breakpoint, stopped and to run on: can it be sent to a copy? Makes that, if there is none. */
bool displace_is_possible(rein_thread *thread, rein_breakpoint *breakpoint);
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

#endif
