/* What breakpoints' commands print (dprintf), on standard output, which is the program's as well. */
#ifndef REIN_GDBREMOTE_PRINTING_H
#define REIN_GDBREMOTE_PRINTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0, or -1 and errno. */
int printing_begin(void);
void printing_close(void);
/* In a callback: it does not wait for a reader. */
void printing_add(char *text, size_t length);
/* Readable when there is something to be kept; -1: not begun. */
int printing_wake_fd(void);
/* Is something kept, to be written when standard output takes it? */
bool printing_is_kept(void);
/* Writes what can be written without waiting. How many bytes have been lost: not 0 only when all that was kept is written. */
uint64_t printing_flush(void);
/* The same for as long as the reader takes some, now and then. */
uint64_t printing_drain(void);

#endif
