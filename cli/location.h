/* A place in a program as the user names it: what follows -b. */
#ifndef REIN_CLI_LOCATION_H
#define REIN_CLI_LOCATION_H

#include <stdbool.h>
#include <stdint.h>

enum location_kind {
    LOCATION_SYMBOL,  /* [FILE:]SYMBOL[+OFFSET] */
    LOCATION_LINE,    /* SOURCE:LINE */
    LOCATION_ADDRESS, /* 0xADDRESS, in the process; FILE:0xADDRESS, the file's own */
};

struct location {
    enum location_kind kind;
    char *text;   /* as it was given */
    char *file;   /* FILE or SOURCE; NULL: none was named */
    char *symbol; /* LOCATION_SYMBOL */
    uint64_t offset;
    uint64_t address;
    int line;
};

/* Takes text apart. False if it cannot be a location; *why, a static string, then says so. */
bool location_parse(const char *text, struct location *location, const char **why);
void location_clear(struct location *location);

/* Is the program or library at path meant by FILE? By its path, its name (libc.so.6), or its name up to the version
 * or the suffix (libc, libc.so). */
bool location_names_file(const char *file, const char *path);

#endif
