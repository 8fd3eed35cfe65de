/* What `rein trace` writes: a line for each event, as text or as a JSON object, and the summary. */
#ifndef REIN_CLI_OUTPUT_H
#define REIN_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <rein/rein.h>

#include "calls.h"
#include "journal.h"
#include "modules.h"
#include "sites.h"
#include "watches.h"

struct stack;

struct output {
    FILE *file; /* collects; what it lets go is written to fd */
    int fd;
    size_t portion; /* what fd takes at a time without blocking, when poll(2) says that it takes something */
    bool json;
    bool failed; /* it cannot be written to: nothing more is tried */
    bool hurry;  /* a reader that does not read is not waited for any more: until it reads, or to the end */
    bool hurry_to_end;
    /* While a slow reader is waited for, watched is called when watched_fd is readable, and now and then. */
    int watched_fd;
    void (*watched)(void *arg);
    void *watched_arg;
    bool by_thread;
    int pid, parent; /* of what is written now; parent 0: none that is traced */
    uint64_t sequence;
    struct modules *modules;
    struct timespec begin;
    /* What the summary says. */
    uint64_t threads, signals;
    uint64_t signal_counts[65];
};

/* path NULL: standard error. False if it cannot be opened: errno. */
bool output_open(struct output *output, const char *path);
/* Another, that is to be opened: written in the same way. */
void output_like(struct output *output, const struct output *other);
void output_close(struct output *output);
/* Writes out what is buffered. */
void output_flush(struct output *output);

void output_started(struct output *output, const char *program);
void output_attached(struct output *output, size_t threads);
/* Counts it, and writes it if it is to be shown. stack may be NULL. */
void output_record(struct output *output, const struct record *record, const struct stack *stack, bool shown);
void output_call(struct output *output, const struct call *call);
/* A site was found late, that is, while the program runs. */
void output_location(struct output *output, const struct site *site);
void output_warning(struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));
void output_ended(struct output *output, const struct rein_exit *how);
void output_detached(struct output *output);
void output_summary(struct output *output, const struct sites *sites, const struct watches *watches);

/* For other JSON output: writes a line, and lets the object go; sets key to text; what is not UTF-8 in it becomes '?'. */
struct json_t;
void output_json(FILE *file, struct json_t *object);
void output_set_text(struct json_t *object, const char *key, const char *text);
/* Text as a value, with any NUL that is in it; a member whose key may be anything. */
struct json_t *output_text(const char *text, size_t length);
void output_set_any(struct json_t *object, const char *key, struct json_t *value);
void output_set_place(struct json_t *object, const struct described *place);

#endif
