/* What a name means at a place in a program, and where in registers and memory it is there: from DWARF, and from symbols
 * where that is all there is. */
#ifndef REIN_CLI_VARIABLES_H
#define REIN_CLI_VARIABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytecode.h"
#include "machine.h"
#include "modules.h"
#include "types.h"

/* A place in the code of a process, and what can be seen from there. */
struct scene {
    struct modules *modules;
    struct module *module; /* NULL: in no file */
    uint64_t address;      /* in the process */
    const struct machine *machine;
    struct types types;
    /* Filled by scene_open. */
    struct symbols *symbols; /* NULL: the file has none */
    uint64_t own, pc;        /* the address in the file, and in its DWARF */
    bool has_dwarf;          /* a unit of it covers the address */
    Dwarf_Die unit, whole;   /* see symbols_unit_at */
    Dwarf_Die *scopes; /* the function, with blocks and inlined functions around the address in it; outermost first */
    size_t scope_count;
    bool is_in_prologue; /* what the function was called with has not been stored yet */
};
/* modules, module, address, machine and types are set. */
void scene_open(struct scene *scene);

enum variable_kind {
    VARIABLE_DATA,     /* a DIE with a location */
    VARIABLE_ADDRESS,  /* data at .value, of a known type */
    VARIABLE_CONSTANT, /* an enumerator: .value */
    VARIABLE_FUNCTION, /* at .value */
};
struct variable {
    enum variable_kind kind;
    const char *name;
    const struct type *type;
    Dwarf_Die die;
    struct module *module; /* that it is in */
    struct symbols *symbols;
    bool is_parameter, is_local; /* of the scene's function; .scope is the index of its scope */
    size_t scope;
    uint64_t value;
    const char *ambiguous; /* where it was not found: the names that it could mean */
    bool is_only_declared; /* where it was not found: there is a declaration */
};
/* In the scopes around, and the unit; in all else: the rest of the module, the program, the other libraries. */
bool variable_find_near(const struct scene *scene, const char *name, struct variable *variable);
bool variable_find_far(const struct scene *scene, const char *name, struct variable *variable);
/* Calls back for each name that can be seen in the module. */
void variable_each_name(const struct scene *scene, void (*found)(const char *name, void *arg), void *arg);

enum piece_kind {
    PIECE_MEMORY, /* .code makes the address */
    PIECE_REGISTER,
    PIECE_VALUE, /* .code makes it */
    PIECE_BYTES, /* a constant, of .size bytes */
    PIECE_LOST,  /* it was optimized out */
};
struct piece {
    enum piece_kind kind;
    uint64_t size; /* in bytes; 0: all that there is */
    struct bytecode code;
    int reg;
    const uint8_t *bytes;
};
struct location_of {
    struct piece *pieces;
    size_t count;
};
/* Where data is. NULL, or what is wrong, which lives as long as the arena. */
const char *variable_locate(const struct scene *scene, const struct variable *variable, struct location_of *location);

/* Of convention.c: where a parameter of the scene's function is when that has just been called. NULL, or what is wrong. */
const char *convention_locate(const struct scene *scene, const struct variable *variable, const struct bytecode *cfa,
                              struct location_of *location);

#endif
