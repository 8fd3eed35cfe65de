/* Call stacks for people: reading a thread's, writing it as text or JSON. */
#ifndef REIN_CLI_STACK_H
#define REIN_CLI_STACK_H

#include <stdio.h>

#include "unwind.h"

struct json_t;

/* The depth that follows "--stack=", STACK_DEPTH for NULL; 0: it is no number, or 0. */
size_t stack_depth(const char *text);

/* The stack of a stopped thread, which stays stopped meanwhile. Not on the monitor. The stack is empty if the thread is gone. */
void stack_read(struct modules *modules, rein_thread *thread, size_t depth, struct stack *stack);

/* One line a frame, and a line for what is odd. */
void stack_print(FILE *file, struct modules *modules, const struct stack *stack);
/* Sets "stack", and "stack_end" if it is not whole. */
void stack_set_json(struct json_t *object, struct modules *modules, const struct stack *stack);

#endif
