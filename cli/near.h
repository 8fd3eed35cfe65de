/* Names that are like one that is not there. */
#ifndef REIN_CLI_NEAR_H
#define REIN_CLI_NEAR_H

#include <stdbool.h>
#include <stddef.h>

enum { NEAR_BEST = 5, NEAR_LONGEST = 80 };

struct near {
    const char *wanted;
    size_t length;
    unsigned limit; /* worse than this is not like it at all */
    struct {
        char *name;
        unsigned distance;
    } best[NEAR_BEST];
    size_t count;
};

/* False: the name is too long to look for others. */
bool near_begin(struct near *near, const char *wanted);
void near_consider(struct near *near, const char *name, size_t length);
/* "work_take, work_make"; NULL: there is none. To be freed. */
char *near_end(struct near *near);

#endif
