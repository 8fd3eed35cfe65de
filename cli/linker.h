/* The run-time linker in a process: where it says that libraries have come or gone. */
#ifndef REIN_CLI_LINKER_H
#define REIN_CLI_LINKER_H

#include <stdbool.h>
#include <stdint.h>

#include <rein/rein.h>

#include "modules.h"

struct linker {
    /* The function that it calls before and after it changes the list of libraries; debuggers put a breakpoint
     * there. 0: there is none, no library can be loaded. */
    uint64_t notify;
    uint64_t state;      /* where the int is that says which of the two; 0: not known */
    bool loads_at_start; /* it has the libraries still to load that the program was linked with */
};

/* modules must be up to date. process may be NULL: then nothing is read from its memory, and a linker without symbols is
 * not found. */
void linker_find(struct modules *modules, rein_process *process, struct linker *linker);

/* On the monitor, at a hit of notify: is the list of libraries complete? */
bool linker_is_consistent(const struct linker *linker, rein_process *process);

/* An address-sized value in a process's memory: 4 or 8 bytes. */
bool linker_read_word(rein_process *process, uint64_t address, bool is_64_bit, uint64_t *value);

#endif
