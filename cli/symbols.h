/* What one ELF file says of addresses: symbols and source lines. All addresses here are the file's own, as objdump and
 * nm show them; modules.h knows where in a process the file is. Nothing is read before it is asked for. */
#ifndef REIN_CLI_SYMBOLS_H
#define REIN_CLI_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

struct symbol {
    const char *name; /* name_length bytes without the version: not "memcpy@@GLIBC_2.14" */
    unsigned name_length;
    unsigned char type;    /* STT_... */
    unsigned char binding; /* STB_... */
    uint64_t address;
    uint64_t size;
};

struct source_line {
    const char *file; /* as the compiler was told, made absolute; lives as long as the symbols */
    int line;
    int column; /* 0: not known */
};

/* Opens a file; fd is taken in any case. path is what to call it, and where to look for its separate debug file. NULL
 * if it is no ELF file that can be loaded. */
struct symbols *symbols_open(int fd, const char *path);
/* The same for an image in this process's memory (the vdso), which must stay there. */
struct symbols *symbols_open_image(const void *image, size_t size);
void symbols_close(struct symbols *symbols);

/* The lowest address that it is loaded at, rounded down to a page: where its first byte is mapped. */
uint64_t symbols_start(const struct symbols *symbols);
/* Is there code at address, by the program headers? */
bool symbols_is_code(const struct symbols *symbols, uint64_t address);
/* The address of its dynamic section, 0 if there is none. */
uint64_t symbols_dynamic(const struct symbols *symbols);
bool symbols_is_64_bit(const struct symbols *symbols);
/* The name that a library gives itself, "libc.so.6"; NULL if it is none. */
const char *symbols_soname(struct symbols *symbols);

/* How much is looked at for symbols: the file alone, or its separate debug file too if it is stripped. */
enum symbols_depth { SYMBOLS_OWN, SYMBOLS_DEBUG };

/* Calls back for every symbol of that name, defined here; an address is told once. */
void symbols_find(struct symbols *symbols, const char *name, enum symbols_depth depth,
                  void (*found)(const struct symbol *symbol, void *arg), void *arg);
/* The data that it exports by that name. *is_final: its own code means it by that name, whatever others export. */
bool symbols_find_exported(struct symbols *symbols, const char *name, uint64_t *address, bool *is_final);
/* Calls back for every function and IFUNC, in no particular order. The callback may not ask these symbols for more. */
void symbols_each(struct symbols *symbols, enum symbols_depth depth,
                  void (*found)(const struct symbol *symbol, void *arg), void *arg);
/* The function that an address is in, looked for in everything there is; NULL if no symbol covers it. */
const struct symbol *symbols_at(struct symbols *symbols, uint64_t address);

/* Has the file source lines in itself, not in a separate debug file? */
bool symbols_has_lines(struct symbols *symbols);
/* The source line of the instruction at address. */
bool symbols_line(struct symbols *symbols, uint64_t address, struct source_line *line);

enum symbols_line_result {
    SYMBOLS_LINE_FOUND,
    SYMBOLS_NO_LINE, /* the source file is known, but there is no code for that line or one behind it: *line is the last
                        one that has */
    SYMBOLS_NO_FILE, /* no such source file */
};
/* Where statements begin that belong to a line of a source file, one address for each function and each inlined copy
 * that has some. If the line has no code, the next one that has: *line is changed then. addresses is to be freed. file
 * matches a source file whose path ends with it, by whole components. Looked for in the units whose main file that is, or,
 * if everywhere, in all of them (it may be a header), which takes long in a large file. */
enum symbols_line_result symbols_find_line(struct symbols *symbols, const char *file, bool everywhere, int *line,
                                           uint64_t **addresses, size_t *count);
/* Is there a function of that name in the source that has become part of others? */
bool symbols_is_inlined(struct symbols *symbols, const char *name);
/* Calls back for the main file of every compilation unit. */
void symbols_each_source(struct symbols *symbols, void (*found)(const char *file, void *arg), void *arg);

/* Where the dynamic linker puts the address that the IFUNC with its resolver at address came out as: calls back with the
 * slots that this file's relocations have for it. */
void symbols_ifunc_slots(struct symbols *symbols, uint64_t resolver, void (*found)(uint64_t slot, void *arg),
                         void *arg);
/* What the file has at address, a word of 4 or 8 bytes, before anything was relocated; 0 if it is not in the file. */
uint64_t symbols_initial_word(const struct symbols *symbols, uint64_t address);

#endif
