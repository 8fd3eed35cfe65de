/* What xfer.c shares with those that make its documents: xfer_libraries.c, xfer_siginfo.c and osdata.c. */
#ifndef REIN_GDBREMOTE_XFER_H
#define REIN_GDBREMOTE_XFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

struct inferior;
struct server;

/* Text for XML. What cannot stand there at all, and what is no UTF-8, becomes '?': a thread's name is what the program likes it
 * to be, and one bad byte would cost the client the whole document. */
void reply_xml(struct reply *document, const char *text);

/* A thread, as /proc shows it. */
struct task {
    char name[64];
    int process_group, core;
};
bool task_read(int pid, int tid, struct task *task);

/* What there is on the machine, for gdb's `info os`. False: there is nothing of that type. osdata.c. */
bool osdata_make(const char *type, struct reply *document);

/* ---- What xfer.c has for the makers of its objects ---- */

/* The one whose object is wanted. NULL: there is none, and that has been answered. */
struct inferior *xfer_inferior(struct server *server, struct reply *reply);
/* False: there is one, of an object that has none, and that has been answered. */
bool xfer_no_annex(struct server *server, const char *annex, struct reply *reply);

/* ---- The makers: xfer_libraries.c and xfer_siginfo.c ---- */

/* False: it has answered with an error. */
bool xfer_make_libraries(struct server *server, const char *annex, struct reply *object, struct reply *reply);
bool xfer_make_siginfo(struct server *server, const char *annex, struct reply *object, struct reply *reply);
/* The packet that writes it. */
void xfer_write_siginfo(struct server *server, char *arguments, size_t length, struct reply *reply);

#endif
