/* The way from the callbacks, which run on the monitor, to the main thread: records of what happened, in order. One side
 * appends, the other takes; there is no lock, so neither can hold up the other: the main thread may be stopped by job
 * control or killed at any point, and the monitor must go on. */
#ifndef REIN_CLI_JOURNAL_H
#define REIN_CLI_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include <rein/rein.h>

struct call_strings;
struct hit_values;
struct site;
struct tracee;
struct watch;

enum record_kind {
    RECORD_CAUSE,     /* an event, of the kind in .cause */
    RECORD_LIBRARIES, /* the list of libraries has changed */
    RECORD_LIMITS,    /* all hits that were asked for have been told */
};

struct record {
    enum record_kind kind;
    enum rein_cause_kind cause;
    struct tracee *tracee;
    struct tracee *child; /* fork, vfork: the new one; NULL: not followed */
    int tid;
    rein_thread *held; /* counted; it waits until it is continued. NULL: it has gone on */
    struct timespec time;
    struct site *site;         /* breakpoint */
    struct hit_values *values; /* likewise: to be freed; NULL: none */
    bool libraries;            /* breakpoint: it is the linker's, and libraries have come */
    const char *trouble;       /* of its condition: a static string; NULL: none. .address has been looked at */
    struct watch *watch;       /* watchpoint */
    bool value_known;
    rein_word old_value, new_value;
    rein_word pc;     /* breakpoint, watchpoint, signal */
    size_t depth;     /* breakpoint: how much of the stack is to be told, of a thread that is held */
    const char *arch; /* of the new program; a static string */
    int other;        /* the new thread, the child, the former id */
    int inner;        /* the child's id in its own namespace; 0: the same */
    unsigned conts;   /* group-stop: how many SIGCONT had been seen */
    struct rein_exit exit;
    char name[16]; /* thread exit */
    char *program; /* exec: to be freed; NULL: not known */
    struct rein_syscall syscall;
    struct call_strings *strings; /* of its entry: to be freed; NULL: none */
    /* signal, group-stop */
    int number, code, sender_pid;
    unsigned sender_uid;
    int64_t value;
    rein_word address;
};

enum { JOURNAL_CHUNK = 64 };

struct journal_chunk {
    struct record records[JOURNAL_CHUNK];
    _Atomic unsigned used;
    struct journal_chunk *_Atomic next;
};

struct journal {
    struct journal_chunk *head, *tail; /* taken from, appended to */
    unsigned taken;                    /* in head */
    _Atomic unsigned waiting;          /* how many records are to be taken */
    atomic_bool sleeping;              /* the main thread wants to be woken */
    int wake_fd;
    _Atomic unsigned long lost; /* there was no memory for them */
};

bool journal_open(struct journal *journal);
void journal_close(struct journal *journal);

/* On the monitor: appends a copy, and wakes the main thread if it sleeps or the record is urgent. False if it is lost. */
bool journal_append(struct journal *journal, const struct record *record, bool urgent);

/* On the main thread. The record may be used until the next take. NULL: none now. */
const struct record *journal_take(struct journal *journal);
/* wake_fd is readable after an urgent record, and after any between journal_sleep, which answers false if there is one
 * already, and journal_awake. */
bool journal_sleep(struct journal *journal);
void journal_awake(struct journal *journal);

#endif
