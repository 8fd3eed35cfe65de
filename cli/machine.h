/* The registers of an architecture by name, as they are needed when no thread is at hand. */
#ifndef REIN_CLI_MACHINE_H
#define REIN_CLI_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

struct machine_register {
    const char *name;
    size_t bytes;
    int dwarf; /* -1: DWARF has no number for it */
};
struct machine {
    struct machine *next;
    const char *architecture;           /* "amd64" */
    size_t word;                        /* the size of a pointer */
    struct machine_register *registers; /* by rein's index */
    size_t count;
};

/* That of a process, which a thread of it must be stopped for at the first time; NULL: none is, or there is no memory. All
 * machines are kept in a list. */
const struct machine *machine_of(struct machine **machines, rein_process *process);
void machines_free(struct machine *machines);
/* An index; -1: there is none. */
int machine_register(const struct machine *machine, const char *name);
/* A part of a register that has a name of its own: edi, ah, w0. */
struct machine_part {
    int reg;
    unsigned shift; /* in bits */
    size_t bytes;
};
bool machine_find_part(const struct machine *machine, const char *name, struct machine_part *part);
int machine_register_by_dwarf(const struct machine *machine, uint64_t number);

#endif
