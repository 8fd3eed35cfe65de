/* What the files of lldb's dialect share. The dialect is what lldb 14 asks its own server on Linux for, beside gdb's packets. LLVM's
 * docs/lldb-gdb-remote.txt has the packets; where lldb-server does otherwise, lldb-server is followed.
 *
 *   lldb.c            who the client is, and what it asks of the host and the process
 *   lldb_registers.c  registers: what they are, saved and restored
 *   lldb_stops.c      threads, why they have stopped, and what a stop reply says more
 *   lldb_memory.c     memory: regions, where files and the list of libraries are, allocation
 *   lldb_start.c      starting, and attaching by name
 *
 * Each has a table of its own for its packets. */
#ifndef REIN_GDBREMOTE_LLDB_H
#define REIN_GDBREMOTE_LLDB_H

#include <stddef.h>

struct allocation;
struct inferior;
struct reply;
struct server;
struct state;

/* What is kept for the client. */
struct lldb {
    struct state *states; /* saved registers, the newest first; lldb_registers.c */
    unsigned last_id;
    struct allocation *allocations; /* lldb_memory.c */
};
struct lldb *lldb_of(struct server *server); /* NULL: out of memory */
/* All in the list from there on. */
void lldb_free_states(struct state **from);
void lldb_free_allocations(struct allocation **from);

size_t lldb_word_size(const struct inferior *inferior);
/* "KEY:HEX;", for text that may have anything in it. */
void lldb_add_text(struct reply *reply, const char *key, const char *value);

#endif
