/* What is known of a system call by its name: how many arguments it takes, which of them are strings, and what it is
 * about. */
#ifndef REIN_CLI_SIGNATURES_H
#define REIN_CLI_SIGNATURES_H

#include <stddef.h>

enum call_class {
    CALL_FILE = 1 << 0, /* takes a path */
    CALL_PROCESS = 1 << 1,
    CALL_NETWORK = 1 << 2,
    CALL_MEMORY = 1 << 3,
    CALL_SIGNAL = 1 << 4,
};

struct signature {
    const char *name;
    unsigned char arg_count;
    unsigned char strings; /* bit N: argument N is a string that ends with 0 */
    unsigned char classes; /* CALL_... */
};

/* NULL if there is none; name may be NULL. */
const struct signature *signature_of(const char *name);
/* All, by name. */
extern const struct signature signatures[];
extern const size_t signature_count;

#endif
