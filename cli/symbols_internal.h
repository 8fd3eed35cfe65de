/* What symbols.c, lines.c and unwind.c share, and nobody else sees. */
#ifndef REIN_CLI_SYMBOLS_INTERNAL_H
#define REIN_CLI_SYMBOLS_INTERNAL_H

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

#include "symbols.h"

struct unit { /* a piece of a compilation unit's code */
    uint64_t low, high;
    Dwarf_Off die;
};

enum { SCANS_MAX = 8 }; /* so often the file is read for one symbol; then all go into a table */

struct scanned { /* an address that was looked up, and what was found: name NULL, nothing */
    uint64_t address;
    struct symbol symbol;
};

struct symbols {
    int fd; /* -1 for an image in memory */
    Elf *elf;
    char *path;
    bool is_64_bit;
    unsigned machine;
    uint64_t start, dynamic;
    GElf_Phdr *segments; /* those that are loaded */
    size_t segment_count;

    unsigned searches; /* by name, without the table */
    struct scanned scanned[SCANS_MAX];
    size_t scanned_count;
    bool own_loaded, debug_loaded; /* in the table */
    struct symbol *table;          /* by address */
    size_t count;
    uint64_t *ends; /* ends[i]: the furthest end of table[0] to table[i] */

    Dwfl *dwfl;
    Dwfl_Module *module;
    bool module_failed;
    uint64_t dwfl_bias; /* an address of libdwfl's minus one of the file's */

    bool cfi_loaded;
    Dwarf_CFI *cfi; /* .eh_frame; NULL: there is none */

    bool dwarf_loaded;
    Dwarf *dwarf;
    uint64_t dwarf_bias; /* an address of libdwfl's minus one in the DWARF data */
    struct unit *units;  /* by address */
    size_t unit_count;
};

/* NULL if libdwfl cannot make anything of it. */
Dwfl_Module *symbols_module(struct symbols *symbols);

/* DWARF: of lines.c. False if there is none. The others are for when there is. */
bool symbols_load_dwarf(struct symbols *symbols);
/* Compilation units: the next one, from *unit NULL on; that of an address. *whole is where its functions and variables are: in a
 * file of its own (.dwo), if the DWARF is split. False: there is none. */
bool symbols_next_unit(struct symbols *symbols, Dwarf_CU **unit, Dwarf_Die *die, Dwarf_Die *whole);
bool symbols_unit_at(struct symbols *symbols, uint64_t address, Dwarf_Die *die, Dwarf_Die *whole);
/* From the file's own addresses to those in the DWARF data, and back. */
uint64_t symbols_to_dwarf(const struct symbols *symbols, uint64_t address);
uint64_t symbols_from_dwarf(const struct symbols *symbols, uint64_t address);

#endif
