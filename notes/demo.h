/* What demonstrations share: starting something to trace, waiting for it, and saying whether a claim held.
 *
 * A demonstration is a process of its own (check.c), with a time limit: it waits as long as it must, and when what it waits
 * for never comes, it is said to hang. It may leave behind whatever it likes. */
#ifndef REIN_NOTES_DEMO_H
#define REIN_NOTES_DEMO_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notes.h"

enum { DEMO_FLAGS = 8, DEMO_THREADS = 8 };

/* In memory that the demonstration shares with all that it starts. */
struct demo {
    struct notes_outcome outcome;
    atomic_int flag[DEMO_FLAGS]; /* 0 at first; each demonstration gives them a meaning */
    atomic_long count;           /* of counts() */
    atomic_int threads;          /* how many thread() has made */
    atomic_int id[DEMO_THREADS]; /* theirs */
    int gate[2];                 /* a pipe: see block() */
};

/* ---- Verdicts: each ends the demonstration, from any process of it, unless the claim is true ---- */

#define EXPECT(claim) ((claim) ? (void)0 : demo_failed(d, __FILE__, __LINE__, #claim))
/* The result of a call that returns -1 when it fails: for want of permission or resources, the note can't be tried;
 * otherwise it is wrong. */
#define TRY(call) demo_tried(d, __FILE__, __LINE__, #call, (long)(call))
_Noreturn void cannot(struct demo *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says that it can't be tried before that version of Linux. */
void since_linux(struct demo *d, int major, int minor);

_Noreturn void demo_failed(struct demo *d, const char *file, int line, const char *claim);
long demo_tried(struct demo *d, const char *file, int line, const char *call, long result);

/* ---- Processes and threads to be traced ---- */

typedef void demo_body(struct demo *d);

/* Forks; the child runs the body, and exits with 0 behind it. */
pid_t start(struct demo *d, demo_body *body);
/* Makes a thread in the calling process, and waits until it runs. Its id is the next in d->id. */
void thread(struct demo *d, demo_body *body);
/* The id of the n-th thread that thread() has made or makes. */
pid_t id_of(struct demo *d, int n);
pid_t own_id(void);

void sleeps(struct demo *d); /* for ever */
void counts(struct demo *d); /* for ever: d->count */
/* Two threads: the first sleeps, the other, id_of(d, 0), counts. */
void crew(struct demo *d);
/* Runs this program's --version: something to exec. */
void execs(struct demo *d);
/* Sleeps in read(2) until it is let through the gate. */
void block(struct demo *d);
/* Lets one through. */
void open_gate(struct demo *d);
/* Returns when the flag is not 0. */
void await(struct demo *d, int flag);
/* A moment's pause, between two looks. */
void pause_a_moment(void);
/* Something that a handler can be for. */
void handle(int signal, void (*handler)(int));
void block_signal(int signal);

/* ---- ptrace and wait ---- */

/* The system call itself: numbers and pointers both go. */
#define trace(request, id, address, data)                                                                              \
    syscall(SYS_ptrace, (long)(request), (long)(id), (uintptr_t)(address), (uintptr_t)(data))

void seize(struct demo *d, pid_t id, int options);
void interrupt(struct demo *d, pid_t id);
void go_on(struct demo *d, pid_t id, int signal); /* PTRACE_CONT */
/* Interrupts it, and waits for the stop. */
void stop(struct demo *d, pid_t id);
int wait_for(struct demo *d, pid_t id); /* the status */
/* The message of the event that it is stopped at. */
unsigned long message_of(struct demo *d, pid_t id);
/* PTRACE_SYSCALL until it enters the system call of that number. */
void run_to_call(struct demo *d, pid_t id, long number);

/* What a wait status says. */
bool is_signal(int status, int signal); /* it is about to take a signal */
bool is_event(int status, int event);   /* PTRACE_EVENT_..., with SIGTRAP */
bool is_group_stop(int status, int signal);
bool is_exit(int status, int code);
bool is_killed(int status, int signal);
/* The same as a plain number, for which the words are in wait(2). */
enum { SYSCALL_STOP = SIGTRAP | 0x80 };

/* ---- Looking from outside ---- */

/* Has it a status that nobody has waited for? It is left there. */
bool has_status(pid_t id);
/* Waits until it has. */
void await_status(pid_t id);
/* The letter of /proc/ID/stat; 0: it is gone. */
char state_of(pid_t id);
void await_state(pid_t id, char state);
/* Waits until the thread is gone altogether. */
void await_end(pid_t process, pid_t id);
/* A field of /proc/ID/status: "TracerPid", 10; "SigPnd", 16. */
unsigned long field_of(pid_t id, const char *name, int base);
/* Is the signal in that field: SigPnd (the thread's own), ShdPnd (the process's), SigBlk, SigIgn, SigCgt? */
bool has_signal(pid_t id, const char *field, int signal);
/* Waits until d->count goes up: counts() runs. */
void await_progress(struct demo *d);

#endif
