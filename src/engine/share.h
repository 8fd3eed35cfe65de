/* A large read, of which the caller does a part: see share.c. */
#ifndef REIN_ENGINE_SHARE_H
#define REIN_ENGINE_SHARE_H

#include "engine/process.h"

#define SHARE_LEAST ((size_t)1 << 20) /* bytes: less is not worth it */

struct share {
    const struct os_backend *os;
    int id;
    uint64_t address;
    unsigned char *buffer;
    size_t size, piece;
    _Atomic size_t next;     /* where the first piece is that nobody has taken */
    _Atomic uint32_t caller; /* a futex: what the caller does, see share.c */
    size_t left;             /* a piece that the caller could not read whole; or SIZE_MAX */
    bool again;              /* he did not come back in time: all is to be read once more, by the monitor alone */
};

/* On the monitor: reads what the request wants, as os->read. */
int64_t share_read(struct request *request, struct os_memory *memory, int id);

/* On the thread that waits for the request: does a part, if there is one to do. */
void share_help(struct request *request);

#endif
