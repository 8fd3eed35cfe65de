/* Bytecode: what a condition is, checked once and then executed at each hit. It knows nothing of threads: what it looks at
 * comes by the functions of its machine. */
#ifndef REIN_ENGINE_BYTECODE_H
#define REIN_ENGINE_BYTECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rein/rein.h"

enum {
    BYTECODE_STACK_MAX = 256, /* values; gdb's own agent has 100 */
    BYTECODE_SIZE_MAX = 65536,
    BYTECODE_STEPS_MAX = 100000, /* some tenths of a millisecond, beside what the machine does */
};

/* What the code works on. Those that return text: NULL, or what is the matter. */
struct bytecode_machine {
    const char *(*get_register)(void *arg, unsigned number, uint64_t *value);
    const char *(*variable)(void *arg, enum rein_variable_use use, unsigned number, uint64_t *value);
    const char *(*read)(void *arg, uint64_t address, void *buffer, size_t size);
    uint64_t address_mask; /* the bits that an address has */
    void *arg;
    /* May be NULL. */
    void (*trace)(void *arg, uint64_t address, uint64_t size);
    void (*print)(void *arg, const char *format, const uint64_t *values, size_t count);
    void *output_arg;
};

extern const char bytecode_no_memory[], bytecode_too_many_steps[]; /* troubles; the first has an address */

/* Does it have a value on every way to its end? */
bool bytecode_has_value(const rein_bytecode *bytecode);
/* Executes it. The result goes to the evaluation: value, or trouble. */
void bytecode_run(const rein_bytecode *bytecode, const struct bytecode_machine *machine,
                  struct rein_evaluation *evaluation);

/* What is the matter, in words: as snprintf. */
int bytecode_trouble_text(const char *trouble, uint64_t address, char *text, size_t size);

#endif
