/* What the files of the server share: one server, one client, and the processes that it holds for it. All of it runs
 * in the monitor's process (serve.c), by one thread. "On the monitor" is said of what runs in the middle of a call of the library's, in a
 * callback or in rein_monitor_call: it must not wait. */
#ifndef REIN_GDBREMOTE_SERVER_H
#define REIN_GDBREMOTE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

#include "link.h"
#include "packet.h"

struct handle;
struct point;
struct pollfd;
struct resume;
struct target;
struct tracing;

/* A process that the client knows, or is about to be told of. */
struct inferior {
    struct inferior *next;
    rein_process *process;
    int id, event_fd;
    bool was_attached; /* not started here */
    bool is_described; /* the client has read which registers it has; until then gdb, in non-stop mode, takes in none */
    bool is_copy;      /* to the client: made by a fork, not a vfork */
    bool is_new;       /* attached to before there was a client, which has been told nothing of it */
    int parent; /* whose fork has not been told yet: till then the client must not see this child, nor run it; 0: none */
    int told_as;      /* the id by which the client knows it: its own, or that of the process of which it is a part */
    bool is_over;     /* a part that has ended, or that is the client's no more */
    struct stop *end; /* its process has ended, and parts of it live on: what is told when they have ended, too */
    const struct target *target; /* which registers it has, by architecture; NULL: not asked for yet */
    bool is_scaled;              /* with vectors whose length is the thread's, if there are such; target.c */
    struct point *points;
    struct handle *handles; /* of its threads, in their order; xfer.c */
    size_t handle_count;
    uint32_t *syscalls; /* that are caught; syscall_count 0 and catches_syscalls: all */
    size_t syscall_count;
    bool catches_syscalls;
};

/* Something to be told to the client. */
struct stop {
    struct stop *next;
    int pid, tid;
    rein_thread *thread; /* counted */
    struct rein_cause cause;
    int signal;     /* gdb's number */
    bool held;      /* all-stop: its thread has not been resumed since, and it is not told until it is */
    bool is_passed; /* a watchpoint's: the client has stepped over the access already, for another one */
};

/* What the client has asked for, by qSupported and Q packets. */
struct features {
    bool multiprocess, swbreak, hwbreak, fork_events, vfork_events, exec_events, no_resumed, thread_events,
        error_messages;
    bool lldb, list_threads, thread_suffix, error_strings;
    bool xml; /* it can read, or has read, which registers there are; else it takes those that all processors have */
};

enum on_disconnect { DISCONNECT_DEFAULT, DISCONNECT_DETACH, DISCONNECT_KILL, DISCONNECT_KEEP };

struct server {
    struct link link;
    struct packets packets;
    rein_monitor *monitor;
    int pid, process_group; /* its own: the loop runs in the monitor's process, see serve.c */
    struct inferior *inferiors;
    struct features features;

    /* How it was started. */
    bool is_gdbserver; /* by that name: it says what gdb's scripts wait for */
    bool extended, once, multi, quiet, debug, debug_engine;
    enum on_disconnect on_disconnect;

    /* How programs are started; launch.c. */
    bool with_shell, no_aslr;
    char *wrapper; /* to put in front, quoted for the shell; or NULL */
    char **environment;
    char *directory;
    char *streams[3]; /* files for standard input, output and error; NULL: the server's own */
    char **program;   /* and its arguments, as they were last started; NULL: none */

    bool non_stop;
    bool running;       /* all-stop: the client waits for a stop */
    bool reply_later;   /* set by a handler: nothing is sent now */
    bool hang_up, quit; /* after the answer */

    /* Which thread packets are about: H. */
    int general_pid, general_tid; /* 0: any */
    int resume_pid, resume_tid;   /* Hc: -1 all, 0 any */

    /* What is to be told. All-stop: the first when the client waits for one. Non-stop: the first is being told, until
     * vStopped takes it away. */
    struct stop *stops;
    bool notified;
    bool input_ready, events_ready; /* as the last wait has seen it: there may be something to be read, or heard */
    bool asks;        /* a thread that was asked to stop cannot yet, which has no event: the loop looks now and then */
    struct stop last; /* all-stop: what was told last, for `?` */
    bool has_last;

    /* Of the thread that was looked at last, until something runs; registers.c. */
    rein_thread *viewed;
    rein_registers *registers;
    /* The thread whose stack pointer the client has written, with P: it calls a function, and when that has returned gdb writes all
     * registers whose values it does not know to be right. So the stop reply brings them all, once. 0: none. */
    int called_tid;

    struct {
        int tid; /* 0: none */
        struct rein_signal signal;
    } written_siginfo; /* by the client, where the kernel would not have it: until something runs; xfer_siginfo.c, resume.c */

    bool no_tls; /* monitor set libthread-db-search-path */

    struct pollfd *waits; /* what the loop polls: one for each process, and those of wait_for_something */
    size_t wait_room;
    void *cache;             /* of memory.c, one allocation */
    void *xfer;              /* of xfer.c */
    void *tls;               /* of tls.c */
    void *files;             /* of files.c */
    void *saved;             /* of lldb.c */
    struct resume *resume;   /* resume.h */
    struct tracing *tracing; /* of tracepoints.c; NULL: no packet has been about it */
    bool unattended;         /* there is no client, and the program runs on, being traced */
    uint64_t packets_seen, packets_sent;
    bool gave_terminal;
    bool has_program_signals;
    uint64_t program_signals; /* a bit each: bit 0 is signal 1 */
};

/* ---- Packets ---- */

/* A handler has everything behind the name, 0-terminated. What it leaves in reply is the answer; nothing: not supported.
 * name: a single letter, or a name that ends in a character other than a letter or digit, is followed by anything ('*' at the end
 * is dropped); others stand alone. */
struct handler {
    const char *name;
    void (*run)(struct server *server, char *arguments, size_t length, struct reply *reply);
};
/* Of each file; the end has no name. */
extern const struct handler server_handlers[], memory_handlers[], register_handlers[], action_handlers[],
    filter_handlers[], point_handlers[], launch_handlers[], end_handlers[], thread_handlers[], xfer_handlers[],
    file_handlers[], tls_handlers[], lldb_handlers[], lldb_register_handlers[], lldb_stop_handlers[],
    lldb_memory_handlers[], lldb_start_handlers[], trace_handlers[], run_handlers[], frame_handlers[];

/* The client lets the program go, but what it traces goes on: the program runs, with nobody to be told of anything. False: nothing is
 * traced so, or there will be no other client. */
bool server_leave_running(struct server *server, struct inferior *inferior);
/* Serves clients one after the other, and ends as the options say, with all processes let go or killed: an exit status. */
int server_run(struct server *server);
/* "E01", or the library's last message in words. */
void server_fail(struct server *server, struct reply *reply);
void server_error(struct server *server, struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void server_ok(struct reply *reply);
/* A line on standard error, unless --quiet. */
void server_say(struct server *server, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As poll(2), and events are seen to meanwhile. -1 also when the monitor is dead: then the server is to quit. */
int server_poll(struct server *server, struct pollfd *fds, size_t count, int timeout_ms);
/* Text for the client's console, while it waits for a stop (`O`). */
void server_console(struct server *server, const char *text, size_t length);

/* ---- Processes and threads: inferiors.c ---- */

struct inferior *inferior_add(struct server *server, rein_process *process,
                              bool was_attached); /* takes the reference */
struct inferior *inferior_find(struct server *server, int pid);
/* A PART of a process is one that was made by a clone which is no fork: it shares the memory, or sends another signal than SIGCHLD
 * at its end. To the client it is a thread of the process that made it, as it is to gdbserver and to gdb itself. */
bool inferior_is_part(const struct inferior *inferior);
/* Does the event tell of such a clone? Also on the monitor. */
bool cause_is_clone(const struct rein_cause *cause);
/* The next one of which the client sees threads under the same id: parts come behind their process. */
struct inferior *inferior_next_part(const struct inferior *inferior);
/* Forgets the parts that are over, and tells of the end of who has waited for that. */
void inferiors_end_parts(struct server *server);
/* The one in whose memory it runs, whose points are the library's breakpoints there: itself, but for a vfork child or a part. */
struct inferior *inferior_of_memory(struct server *server, struct inferior *inferior);
/* The next one that the client may know of, from this one on. */
struct inferior *inferior_known(struct inferior *inferior);
/* Forgets it; the process itself has ended, or was let go. */
void inferior_remove(struct server *server, struct inferior *inferior);
/* What its events do, by what the client has asked for. After each change of that. */
void inferior_set_policy(struct server *server, struct inferior *inferior);
void server_set_policies(struct server *server);

/* "p1f.2a", "2a", "-1", "0": -1 all, 0 any. tid is set to 0 if only a process is named. False: it is none. */
bool parse_thread(struct server *server, const char **text, int *pid, int *tid);
void reply_thread(struct server *server, struct reply *reply, int pid, int tid);
/* The inferior, which may be a part, and a thread of it that is meant; NULL (*thread as well): there is none. thread is counted, and
 * may be NULL as an argument when only the process matters. */
struct inferior *server_resolve(struct server *server, int pid, int tid, rein_thread **thread);
/* The one that H has chosen. */
struct inferior *server_general(struct server *server, rein_thread **thread);

/* Goes through threads, as they are now:
 *
 *     for (struct walk walk = walk_all(server); walk_next(&walk);)
 *         ... walk.inferior, walk.thread, walk.state ...
 *
 * Who cannot be asked for a state any more is left out. It must be gone through to the end, which frees what it holds;
 * and no process may be removed meanwhile. */
struct walk {
    struct inferior *inferior;
    rein_thread *thread; /* counted until the end of its process's threads */
    enum rein_state state;
    /* The walk's own. */
    struct inferior *next;
    rein_thread **threads;
    size_t count, at;
    bool one;
};
struct walk walk_all(struct server *server);
struct walk walk_one(struct inferior *inferior); /* NULL: nobody */
bool walk_next(struct walk *walk);

/* ---- Registers: registers.c and target.c ---- */

/* The register with that number in the client's eyes. */
struct register_place {
    const char *name;
    const char *source;  /* rein's name, where that is another one */
    int index;           /* rein's, in the architecture's own registers; see register_index */
    size_t offset, size; /* of its bytes, which part */
    bool optional;       /* there are processors without it */
};
struct target {
    const char *architecture; /* rein's name */
    const struct register_place *places;
    size_t count;
    const char *xml;      /* the description, whole */
    const int *expedited; /* numbers, -1 behind them */
    int pc, sp, fp;       /* numbers */
    size_t vector;        /* bytes of the vectors whose length is up to the thread; 0: none is described */
};
enum { REGISTER_MAX = 256 }; /* bytes of the longest one that has a place: z0 of arm64, at its longest */
/* Which registers it has to the client, by the first of its threads that is stopped. NULL: there is none, or no memory. */
const struct target *inferior_target(struct server *server, struct inferior *inferior);

/* A snapshot of a stopped thread's registers, kept until something runs. NULL: there is none, and why is the library's
 * message. */
rein_registers *server_registers(struct server *server, rein_thread *thread);
void server_forget_view(struct server *server);
/* Rein's index of it in that snapshot, which is of another architecture if the thread has switched to 32-bit code, or from it:
 * rax is eax there. Negative: it has none. */
int register_index(rein_registers *registers, const struct register_place *place);
/* Reads and writes one: exactly place->size bytes. Else as rein_registers_read and _write. */
int register_read(rein_registers *registers, const struct register_place *place, void *bytes);
int register_write(rein_registers *registers, const struct register_place *place, const void *bytes);
/* Cuts lldb's ";thread:TID;" off the end, and finds the thread that is meant: the general one if there is none. Else as
 * server_general. */
struct inferior *server_suffixed(struct server *server, char *arguments, rein_thread **thread);
/* The value of one in hex, or x's if it is not present. */
void reply_register(struct reply *reply, rein_registers *registers, const struct register_place *place);
/* Those that a stop reply brings: "10:8fe5ffffff7f0000;" each. */
void reply_expedited(struct server *server, struct reply *reply, struct inferior *inferior, rein_thread *thread);

/* ---- Memory: memory.c ---- */

/* Up to size bytes: how many; they come from the cache if nothing runs. */
size_t memory_read(struct server *server, struct inferior *inferior, rein_word address, void *buffer, size_t size);
int memory_write(struct server *server, struct inferior *inferior, rein_word address, const void *data, size_t size);
void memory_forget(struct server *server);
void memory_free(struct server *server);
/* How many of the bytes take at most room when they are written as binary data. */
size_t binary_fit(const void *data, size_t length, size_t room);

/* ---- Breakpoints: points.c ---- */

void points_forget(struct inferior *inferior); /* after an exec, or at the end */
void points_copy(struct server *server, const struct inferior *from, struct inferior *to); /* of a fork's child */
void points_remove_client(struct server *server, struct inferior *inferior); /* the client's, out of memory, too */
/* Those that the client has taken out since everything stopped; before anybody runs. */
void points_remove_leaving(struct server *server);
/* Where tracepoints are: 0 if it is there already. Untrace takes all of them out. */
int points_trace(struct server *server, struct inferior *inferior, rein_word address, struct tracing *tracing);
void points_untrace(struct server *server, struct inferior *inferior);
/* Is it one of the client's that has stopped the thread there? */
bool points_has(const struct inferior *inferior, char type, rein_word address);
/* Would a stopped thread that goes on from there be stopped at once, by a breakpoint whose condition is true? */
bool points_stop(const struct inferior *inferior, rein_thread *thread, rein_word address);
/* Those whose memory is not there any more are the library's business no longer, until the client inserts them again. False: there
 * are none. */
bool points_leave_gone(struct inferior *inferior);
/* Does the client watch any data? */
bool points_watch(const struct inferior *inferior);
/* Of the watchpoint that the cause names, which the client may have taken out since: the client's type, '1' to '4', and address.
 * False: it is none. */
bool points_of_watchpoint(const struct inferior *inferior, const rein_watchpoint *watchpoint, char *type,
                          rein_word *address);

/* ---- Stops: stops.c and stop_reply.c ---- */

/* Takes what has happened; tells it, if the client waits for it. */
void stops_collect(struct server *server);
bool stops_waiting(const struct inferior *inferior); /* has it an event that has not been taken? */
void stops_halt(struct server *server);              /* stops all that runs, and takes what they tell */
void stops_drain(struct server *server);             /* takes it only */
/* A stop of that thread's own, for reasons of the server's. Takes no reference. */
void stops_add(struct server *server, rein_thread *thread, const struct rein_cause *cause, int signal);
void stops_append(struct server *server, struct stop *stop); /* takes it */
void stop_free(struct stop *stop);                           /* or NULL */
void stops_forget(struct server *server, int pid, int tid);  /* tid 0: all of the process */
void stops_drop(struct server *server, struct stop *stop);   /* that one, which is not told */
bool stop_is_killed(const struct stop *stop);
void stops_forget_client(struct server *server); /* what it was told, and of processes that are gone */
/* All-stop: is something left to be told, from before the resume that the client wants? Then that is its answer. */
bool stops_tell_pending(struct server *server, struct reply *reply);
/* The same for one process's signal. */
bool stops_tell_signal(struct server *server, int pid, struct reply *reply);
bool stops_has(const struct server *server, int pid, int tid); /* not above 0: any */
void stops_why(struct server *server, struct reply *reply);    /* `?` */
void stops_next(struct server *server, struct reply *reply);   /* vStopped */
/* Writes a T, W, X or w packet: stop_reply.c. */
void stop_write(struct server *server, struct reply *reply, const struct stop *stop);
/* Stops everything, all-stop; the first stop is told to a client that waits. */
void server_interrupt(struct server *server);

/* ---- Running: resume.c, and what resume.h names ---- */

void resume_free(struct server *server);
void resume_forget_client(struct server *server);
/* The signal that has stopped the thread is one that it was given for a step: the step is begun once more, with it. halting: it is
 * kept for the next resume instead. False: it is not, and it is to be told. */
bool resume_step_again(struct server *server, rein_thread *thread, bool halting);
/* Does it step, by the client's wish? Also on the monitor. */
bool resume_is_stepping(struct server *server, int tid);
/* Does it step, by the client's wish? Then that is over: what it does next is to be told. */
bool resume_take_step(struct server *server, rein_thread *thread);
/* Who is resumed: all, or some only, of which the last may end. */
void resume_note_exit(struct server *server, int pid, int tid);
void resume_forget(struct server *server, int pid,
                   int tid); /* the signals that it was to get; tid 0: all of the process */
bool resume_nobody_left(struct server *server);
/* Non-stop: was the thread asked to stop by vCont;t? Then it has, and this is told. */
bool resume_was_asked(struct server *server, int tid);
/* Tells of those that were asked to stop and have. True: there are others, which cannot stop yet. */
bool resume_collect_asked(struct server *server);
void resume_end(struct server *server); /* everything has stopped */
/* The client is told of a watchpoint's stop. */
void hits_note_access(struct server *server, const struct inferior *inferior, const struct stop *stop);
/* Sets the callback for a process's events, which judges those that are not to be told. */
void filter_watch(struct server *server, struct inferior *inferior);
uint64_t filter_passed(const struct server *server); /* the signals that are not told, a bit each: bit 0 is signal 1 */

/* ---- Numbers of signals: signal_numbers.c ---- */

/* gdb's number of a signal of this platform, and back: 0 unknown. */
int signal_to_gdb(int number);
int signal_from_gdb(int number);
/* Those of a line of /proc/PID/status, which is named as "\nSigIgn:", a bit each; none if there is no text. */
uint64_t signals_in(const char *status, const char *name);

/* ---- Starting and ending: launch.c and launch_end.c ---- */

/* Starts the program, or attaches: 0, or -1 and why. */
int launch_program(struct server *server, char *const *program, char *why, size_t size);
int launch_attach(struct server *server, int pid, char *why, size_t size);
/* Signals that a process has just been going to get stop it, and wait to be told: pending.c. */
void pending_bring_out(struct server *server, struct inferior *inferior);
/* Lets go, or kills, the children of a process whose fork was never told. */
void launch_end_children(struct server *server, int parent, bool kill);
/* Ends or lets go everything, as is right when the client has gone. */
void launch_end_unheard(struct server *server); /* children of forks that have not been told are let go */
void launch_end_all(struct server *server, bool kill_started, bool kill_attached);
/* What a client has set for programs to be started is not there for the next one, but which program was started last. */
void launch_forget_client(struct server *server);
void launch_free(struct server *server);
void launch_add_quoted(struct reply *command, const char *word); /* one word for the shell, with a blank before it */
/* Makes that process group the foreground one of the server's terminal, if it has one. */
void launch_give_terminal(int group);

/* ---- Tracepoints: tracepoints.c, trace_*.c ---- */

/* On the monitor: collects at a hit there. True: the thread is to stop, alone, to make steps. */
bool trace_hit(struct tracing *tracing, rein_thread *thread, rein_word address);
/* On the monitor: it stops for something else as well, which is told first. */
void trace_stand(struct tracing *tracing, rein_thread *thread);
/* On the monitor: what becomes of an event by that; verdict: without. */
enum rein_verdict trace_event(struct tracing *tracing, rein_thread *thread, const struct rein_cause *cause,
                              enum rein_verdict verdict);
/* Was that stop for the steps alone, and nothing to be told? */
bool trace_take_event(struct server *server, rein_thread *thread, const struct rein_cause *cause);
bool trace_has_walkers(const struct server *server); /* are there any? */
/* A stopped thread that is to run: has it steps to make? Then it begins. */
bool trace_walk_on(struct server *server, rein_thread *thread);
/* It stands, before such steps or behind them, and its event has not been taken: to the client it runs. */
bool trace_is_between(struct server *server, rein_thread *thread);
/* The traced process has ended, is let go, or is another one (text says which), and so does the trace; its points are out. */
void trace_end_process(struct server *server, struct inferior *inferior, const char *text);
/* A process that is a thread to the client. */
void trace_add_part(struct server *server, const struct inferior *part);
/* Readable once a trace has ended by itself; -1: none has begun. trace_settle takes its points out. */
int trace_wake_fd(const struct server *server);
void trace_settle(struct server *server);
/* The client has gone: does the trace go on without one? If not it is ended. */
bool trace_outlives_client(struct server *server, bool is_last);
bool trace_is_disconnected(const struct server *server); /* a trace runs that is to go on without */
void trace_free(struct server *server);
/* Has the client chosen a frame? Then registers and memory are that one's. */
bool trace_is_selected(const struct server *server);
void trace_forget_frame(struct server *server);
/* One register, or all if place is NULL. */
void trace_reply_registers(struct server *server, struct reply *reply, const struct target *target,
                           const struct register_place *place);
/* Up to size bytes: how many. *in_program: it is among what never changes, and is to be read there. */
size_t trace_read_memory(struct server *server, rein_word address, void *bytes, size_t size, bool *in_program);
bool trace_make_info(struct server *server, struct reply *object);

/* ---- Others ---- */

void xfer_free(struct server *server);
void tls_free(struct server *server);
/* The thread's pthread_t, where that is its thread pointer: on amd64, in all C libraries. 0: unknown. */
uint64_t tls_pthread(struct server *server, rein_thread *thread);
void files_free(struct server *server);
void lldb_free(struct server *server); /* lldb.c; the dialect's files are in lldb.h */
/* What lldb wants in a stop reply beside gdb's. */
void lldb_stop(struct server *server, struct reply *reply, struct inferior *inferior, const struct stop *stop);
/* `monitor COMMAND`: its output, as text. False: there is no such command. */
bool monitor_command(struct server *server, const char *command, struct reply *output);

#endif
