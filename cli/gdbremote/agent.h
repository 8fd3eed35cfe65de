/* gdb's agent expressions in packets. */
#ifndef REIN_GDBREMOTE_AGENT_H
#define REIN_GDBREMOTE_AGENT_H

#include <stdbool.h>
#include <stddef.h>

#include <rein/rein.h>

struct target;

/* To the library, a client's variable number 1 has this number more: its own have the low ones. */
enum { AGENT_VARIABLES = 0x8000 };

/* "X3,220027", and moves the text on. has_variables: getv, setv and tracev mean the client's. False: it is not valid. */
bool agent_parse(const struct target *target, const char **text, bool has_variables, rein_bytecode **made);
/* What rein_evaluation's print needs, arg being the thread: to standard output. On the monitor. */
void agent_print(void *arg, const char *format, const rein_word *values, size_t count);

#endif
