/* A program's memory, in words of its own size, and what the program tells of itself there. */
#ifndef REIN_GDBREMOTE_IMAGE_H
#define REIN_GDBREMOTE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inferior;
struct server;

struct image {
    struct server *server;
    struct inferior *inferior;
    bool wide; /* 8 bytes a word */
};
struct image image_of(struct server *server, struct inferior *inferior);
bool image_read(const struct image *image, uint64_t address, void *bytes, size_t size);
bool image_read_words(const struct image *image, uint64_t address, uint64_t *words, size_t count);

/* The auxiliary vector, to be freed; by any of the threads: the first one may have left, and has no memory any more. NULL: it cannot
 * be seen. */
char *image_auxv(struct inferior *inferior, size_t *size);

/* One of the program's own headers. */
struct segment {
    uint32_t type;
    uint64_t address, size, alignment; /* as the file says */
    bool has_bias;                     /* is it known where it is in memory? */
    uint64_t bias;                     /* to be added to the address */
};
bool image_segment(const struct image *image, uint32_t type, struct segment *segment);

#endif
