/* From locations to breakpoints: the addresses that the user's locations stand for in what is mapped now, and the
 * breakpoints there. A location can have several sites (a name in two libraries, a line in two inlined copies), or none
 * yet. Everything here is the main thread's, but for the per-thread counts, which the monitor fills. */
#ifndef REIN_CLI_SITES_H
#define REIN_CLI_SITES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

#include "location.h"
#include "machine.h"
#include "modules.h"
#include "rules.h"

struct thread_count {
    rein_thread *thread; /* counted */
    uint64_t hits;
    char name[16]; /* "": it was not asked yet */
};

struct site_counts {
    uint64_t hits;       /* with a true condition, if there is one */
    uint64_t executions; /* all */
    uint64_t errors;     /* the condition could not be evaluated */
};

/* A place in a file (or at an absolute address) that has, or had, a breakpoint. It stays when its library goes or the
 * process executes another program, and is used again when the file comes back: its hits add up. */
struct site {
    void *owner;      /* for the breakpoint's callback */
    char *location;   /* the texts of the locations it stands for, "read, __read" */
    const char *path; /* of the file; NULL: an absolute address was asked for */
    uint64_t own;     /* the file's own address, or the absolute one */
    char *label;      /* "work_take (work.c:57)" */
    char *symbol;     /* may be NULL */
    uint64_t offset;  /* from the symbol */
    char *source;     /* may be NULL */
    int line;
    bool told;                       /* that it was found was reported */
    struct site *next;               /* see sites->newest */
    struct rule_link *_Atomic rules; /* of the locations */
    bool is_over;                    /* the monitor's: all of them are done, and there is no breakpoint any more */

    struct module *module; /* NULL: not mapped now, or an address outside of all files */
    uint64_t address;      /* in the process; the last one, if it is not mapped now */
    bool is_set;
    bool is_stale;               /* what it was set in is not mapped any more */
    rein_breakpoint *breakpoint; /* counted; NULL: never set, or the linker's serves it */
    struct site_counts earlier;  /* of breakpoints before this one */
    char *failure;               /* why it could not be set */

    /* Its condition and what is to be printed, for the address that they were made for. */
    bool is_made, is_impossible; /* .failure says why */
    uint64_t made_for;
    struct site_code *code;      /* the monitor's */
    struct site_code *next_code; /* made, and not given to the monitor yet */
    /* Where the linker's breakpoint serves it, which has no condition and stays: counted by us. */
    struct {
        _Atomic uint64_t hits, executions, errors;
    } by_linker;

    struct thread_count *threads; /* a hash table by thread; size is a power of two, or 0 */
    size_t thread_count, thread_room;
};

struct wanted {
    struct location location;
    struct rule *rule;
    size_t found; /* how many sites, in the present program */
    bool found_ever;
    bool warned;
    char *note;    /* what is odd about it; NULL: nothing */
    bool is_wrong; /* the note says why it cannot be set */
    bool note_told;
    struct module
        *ifunc; /* where it is an indirect function that is still to be resolved, by the resolver at .resolver */
    uint64_t resolver;
};

struct sites {
    struct wanted *wanted;
    size_t wanted_count;
    struct site **items;
    size_t count;
    struct site *_Atomic newest; /* the same as a list, which the monitor may walk while the main thread adds */
    struct modules *modules;
    bool complete; /* all that the program starts with is mapped: what is missing now is worth a word */
    void *owner;
};

/* Adds a location, "LOCATION" or "LOCATION if CONDITION", with what is to be done there; false if text is none: *why, to
 * be freed. text must stay where it is. */
bool sites_add(struct sites *sites, const char *text, struct rule *rule, char **why);
void sites_free(struct sites *sites);
/* Wants what the other wants. in_silence: what is missing is not worth a word. */
void sites_want_the_same(struct sites *sites, const struct sites *others, bool in_silence);
/* The process has ended: its hits are the other's, which has the same locations. sites is empty afterwards. */
void sites_give_hits(struct sites *sites, struct sites *to);

/* Looks for all locations in what the last scan of the modules has found new, and marks the sites whose module is gone.
 * Nothing is set: sites_set does that. process is to read memory with; NULL before it is held. */
void sites_resolve(struct sites *sites, rein_process *process);
/* The process has executed another program: no breakpoint is set any more. */
void sites_forget_program(struct sites *sites);

/* On the monitor, or with the process stopped: puts breakpoints where they are missing, removes those whose module is
 * gone. callback gets the site as its argument. other, if not 0, is an address that has a breakpoint already. */
void sites_set(struct sites *sites, rein_process *process, rein_breakpoint_callback callback, uint64_t other);
/* Before that, on the main thread: makes what is to be evaluated at sites that have none, or one for another address. machine is
 * the process's; NULL: not known yet. may_wait: libraries are still to be loaded, which may have names that are not known. */
void sites_make_code(struct sites *sites, const struct machine *machine, bool may_wait);
struct site *sites_at(const struct sites *sites, uint64_t address);

/* On the monitor: no rule of the site has anything to tell any more. */
bool site_is_done(const struct site *site);
/* On the monitor: takes the breakpoints out that have nothing to tell any more. */
void sites_take_out_done(struct sites *sites, rein_process *process);

struct site_counts site_counts(const struct site *site);
uint64_t site_hits(const struct site *site);
/* "x > 3"; of several locations "x > 3, y > 4". NULL: there is none. To be freed. */
char *site_condition(const struct site *site);
/* On the monitor: counts a hit of this thread. */
void site_count_thread(struct site *site, rein_thread *thread);
/* On the monitor: notes the name of a thread that is about to be gone. */
void sites_note_name(struct sites *sites, rein_thread *thread, const char name[16]);

/* Is the location a function of the program that the compiler has inlined everywhere? */
bool sites_is_inlined(struct sites *sites, const struct location *location);
/* Names that are like the one in the location, in what is mapped: "work_take, work_make"; NULL: none. To be freed. */
char *sites_near_misses(struct sites *sites, const struct location *location);

#endif
