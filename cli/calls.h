/* System calls as `rein trace -e syscall=` shows them: which are wanted, their names and values, and those that threads
 * are in. Names and numbers are libseccomp's. */
#ifndef REIN_CLI_CALLS_H
#define REIN_CLI_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <rein/rein.h>

enum { CALL_ARGS = 6, CALL_STRING_MAX = 255 };

/* What string arguments pointed to, at the entry. */
struct call_strings {
    struct {
        bool known, cut; /* it could be read; it is longer */
        char text[CALL_STRING_MAX + 1];
    } of[CALL_ARGS];
};

struct call {
    int tid;
    struct timespec time; /* of its entry */
    bool returned;        /* .syscall has a result */
    struct rein_syscall syscall;
    struct call_strings *strings; /* NULL: none */
};

struct calls {
    bool wanted, all;
    struct rein_syscall_id *ids;
    size_t count;
    /* The calls that have been entered. */
    struct call *pending;
    size_t pending_count;
};

/* Adds those of a list: NAME, NUMBER, %CLASS, all, with commas between. False: *wrong, to be freed, is none of these. */
bool calls_parse(struct calls *calls, const char *list, char **wrong);
void calls_free(struct calls *calls);
/* Has the process stop at them. A rein_error. */
int calls_trace(const struct calls *calls, rein_process *process);

/* On the monitor, at an entry: NULL when there are none, or no memory. */
struct call_strings *calls_read_strings(rein_thread *thread, const struct rein_syscall *syscall);

/* On the main thread. An entry is kept, with its strings, for calls_leave. */
void calls_enter(struct calls *calls, const struct call *call);
/* The thread's call, which is over, or never will be (syscall NULL): the caller frees .strings. False: it is in none. */
bool calls_leave(struct calls *calls, int tid, const struct rein_syscall *syscall, struct call *call);
/* By an exec the thread has another id. */
void calls_rename(struct calls *calls, int former_tid, int tid);

/* To be freed; NULL if the number has none. */
char *calls_name(const struct rein_syscall *syscall);
const char *calls_arch_name(const struct rein_syscall *syscall);
/* How many of its arguments are to be shown. */
size_t calls_arg_count(const struct rein_syscall *syscall, const char *name);
/* As the program means it: a negative int, too, that came in a wider register. */
int64_t calls_value(rein_word value);
/* "ENOENT", "ERESTARTSYS"; NULL: no name is known. */
const char *calls_error_name(int error);
/* openat(-100, "/etc/passwd", 524288, 0) = 3. To be freed. */
char *calls_text(const struct call *call);

#endif
