/* The program and the libraries in a process's memory, from /proc/PID/maps. Symbols of a file are opened when they are
 * asked for, and kept: for the next time that it is loaded, or the next program that has it. */
#ifndef REIN_CLI_MODULES_H
#define REIN_CLI_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbols.h"

struct module_file; /* a file, with its symbols once they are open */

/* Files that processes have in common: each is opened once. */
struct module_files {
    struct module_file *newest;
};

struct module {
    const char *path; /* lives as long as the files */
    struct module_file *file;
    uint64_t start, end;
    bool is_new;  /* was not there at the scan before */
    bool is_gone; /* was there at the scan before, and is not any more: forgotten at the next */
    bool seen;
};

struct code_range {
    uint64_t start, end;
};

struct modules {
    int pid;
    int task; /* the thread by which its memory is looked at: a leader that has left has none */
    struct module **items;
    size_t count;
    struct module_files *files;
    struct code_range *code; /* all that is executable, of files or not, by address */
    size_t code_count;
    /* From the auxiliary vector, 0: not there. */
    uint64_t entry, interpreter;
};

/* Looks what is mapped now. False if it cannot be seen: errno says why. */
bool modules_scan(struct modules *modules);
/* Forgets what is mapped, not the files: the process has a new program. */
void modules_reset(struct modules *modules);
void modules_free(struct modules *modules);
void module_files_free(struct module_files *files);

/* What an address is in; NULL: nothing that was mapped from a file with code. */
struct module *modules_at(const struct modules *modules, uint64_t address);
/* Was there code, of a file or made at run time, when it was looked last? */
bool modules_is_executable(const struct modules *modules, uint64_t address);
/* The main program; NULL if it is not known. */
struct module *modules_program(const struct modules *modules);

/* NULL if the file cannot be read, or is no ELF file. */
struct symbols *module_symbols(struct modules *modules, struct module *module);
/* What to add to an address of the file; the symbols must have been opened. */
uint64_t module_bias(const struct module *module);

/* An address in words: "work_take+0x1f", "libc.so.6+0x8843a", "0x7f0012345678", and what it was made from. */
struct described {
    const struct symbol *symbol; /* NULL: none */
    uint64_t offset;             /* from the symbol */
    const char *path;            /* NULL: in no file */
    bool in_program;
    bool has_line;
    struct source_line line;
};
void modules_describe(struct modules *modules, uint64_t address, struct described *described);
/* The same of an address behind a call, which may be another function's already: what is told is where the call is. */
void modules_describe_caller(struct modules *modules, uint64_t address, struct described *described);
/* "work_take+0x1f (libwork.so, work.c:17)"; the file's name is left out if it is the program's. To be freed. */
char *described_text(const struct described *described, uint64_t address);
char *modules_describe_text(struct modules *modules, uint64_t address);

#endif
