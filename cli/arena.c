/* A list of pieces of memory. */
#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

struct arena_piece {
    struct arena_piece *next;
    max_align_t memory[];
};

static void *add(struct arena *arena, struct arena_piece *piece)
{
    piece->next = arena->newest;
    arena->newest = piece;
    return piece->memory;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    return add(arena, cli_alloc(1, sizeof(struct arena_piece) + count * size));
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = arena_alloc(arena, (size_t)length + 1, 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

void arena_free(struct arena *arena)
{
    while (arena->newest != NULL) {
        struct arena_piece *piece = arena->newest;
        arena->newest = piece->next;
        free(piece);
    }
}
