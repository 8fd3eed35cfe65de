/* What xfer.c shares with osdata.c, which makes some of its documents, and with tls.c, which looks at programs too. */
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

/* ---- A program's memory, in words of its own size ---- */

struct image {
    struct server *server;
    struct inferior *inferior;
    bool wide; /* 8 bytes a word */
};
struct image image_of(struct server *server, struct inferior *inferior);
bool image_read(const struct image *image, uint64_t address, void *bytes, size_t size);
bool image_read_words(const struct image *image, uint64_t address, uint64_t *words, size_t count);

/* One of the program's own headers. */
struct segment {
    uint32_t type;
    uint64_t address, size, alignment; /* as the file says */
    bool has_bias;                     /* is it known where it is in memory? */
    uint64_t bias;                     /* to be added to the address */
};
bool image_segment(const struct image *image, uint32_t type, struct segment *segment);

#endif
