/* Memory that is given back all at once: for trees. */
#ifndef REIN_CLI_ARENA_H
#define REIN_CLI_ARENA_H

#include <stddef.h>

struct arena {
    struct arena_piece *newest;
};

/* All zero. Ends the program when there is no memory, as cli_alloc. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *arena);

#endif
