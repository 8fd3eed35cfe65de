/* What the files of tracepoints share.
 *
 * At a hit a callback collects, while a trace runs: packets come to what is here by rein_monitor_call (trace_call), in one piece with
 * regard to events.
 *
 *   tracepoints.c    what the client defines
 *   trace_run.c      starting and ending, and what a client wants to know of it
 *   trace_collect.c  hits: conditions and actions
 *   trace_steps.c    the steps that follow (while-stepping)
 *   trace_buffer.c   the ring of frames
 *   trace_frames.c   looking at frames: which is chosen, and what is in it
 *
 * A tracepoint is in the program as a point of type 'T' (points.c), beside a breakpoint of the client's at the same place, and only
 * while a trace runs. A trace that ends by itself on the monitor wakes the server's loop, which takes them out. */
#ifndef REIN_GDBREMOTE_TRACE_H
#define REIN_GDBREMOTE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

struct inferior;
struct reply;
struct server;
struct target;

/* ---- The buffer: trace_buffer.c ---- */

enum {
    TRACE_BUFFER_DEFAULT = 5 << 20, /* bytes, as gdbserver's */
    TRACE_BUFFER_MAX = 256 << 20,
    TRACE_BLOCK_MAX = 0xffff, /* bytes of memory in one block */
};

/* Frames one behind the other in a ring, in gdbserver's form, which gdb writes to files as it is: two bytes of the tracepoint's number,
 * four of the size of what follows, and blocks. Positions count on for ever; what is there is at the position modulo the size. */
struct trace_buffer {
    unsigned char *bytes; /* NULL until something is to be collected */
    size_t size;
    bool circular;
    size_t register_bytes; /* in a block of registers */
    uint64_t start, end;   /* of the frames that are there */
    uint64_t open;         /* the frame that is being made; there is one if is_open */
    bool is_open;
    size_t frames;
    uint64_t created; /* those that had to go as well */
    /* The frame that was looked for last: the next one is mostly behind it. */
    size_t seen_number;
    uint64_t seen_at;
    bool has_seen;
};
struct trace_frame {
    int tracepoint;
    uint64_t at; /* of its first block */
    size_t size;
};
struct trace_block {
    char type; /* 'R' registers, 'M' memory, 'V' a variable */
    uint64_t address;
    int variable;
    int64_t value;
    uint64_t at; /* of the bytes */
    size_t size;
};

bool buffer_resize(struct trace_buffer *buffer, size_t size); /* and empties it */
void buffer_clear(struct trace_buffer *buffer);
size_t buffer_free_bytes(const struct trace_buffer *buffer);
/* False: there is no room, though the oldest frames have gone if the buffer is circular. */
bool buffer_begin(struct trace_buffer *buffer, int tracepoint);
bool buffer_add_registers(struct trace_buffer *buffer, const void *bytes);
bool buffer_add_memory(struct trace_buffer *buffer, uint64_t address, const void *bytes, size_t size);
bool buffer_add_variable(struct trace_buffer *buffer, int number, int64_t value);
size_t buffer_finish(struct trace_buffer *buffer); /* how many bytes of blocks it has */
/* Copies what is at a position, which must be there. */
void buffer_copy(const struct trace_buffer *buffer, uint64_t at, void *bytes, size_t size);
bool buffer_frame(struct trace_buffer *buffer, size_t number, struct trace_frame *frame);
/* The block at *at, which moves on; at first frame->at. False: there is none left. */
bool buffer_next_block(const struct trace_buffer *buffer, const struct trace_frame *frame, uint64_t *at,
                       struct trace_block *block);

/* ---- What is defined ---- */

struct trace_action {
    char type;  /* 'R', 'M', 'X'; 'L' collects nothing here */
    char *text; /* as it came */
    int base;   /* 'M': number of a register, or -1 */
    uint64_t address, size;
    rein_bytecode *code; /* 'X' */
};
struct trace_actions {
    struct trace_action *list;
    size_t count;
};
struct trace_source {
    char *type, *text; /* the text in hex */
};
struct tracepoint {
    int number;
    rein_word address;
    bool enabled;
    char kind; /* 'T'; 'F' fast and 'S' static are refused when a trace is started */
    uint64_t fast_size, steps, passes;
    char *condition_text; /* "X3,220027", or NULL */
    rein_bytecode *condition;
    struct trace_actions actions, step_actions;
    bool has_step_actions; /* those that come from now on are made at each step */
    struct trace_source *sources;
    size_t source_count;
    uint64_t hits, usage;
};
struct trace_variable {
    int number;
    bool is_builtin; /* the time: there is no other */
    char *name;      /* in hex */
    int64_t initial, value;
};
struct trace_range {
    rein_word low, high; /* inclusive */
};

enum trace_end { TRACE_NOT_RUN, TRACE_STOPPED, TRACE_FULL, TRACE_PASSED, TRACE_ERROR, TRACE_DISCONNECTED };

/* Of a thread that makes steps for a tracepoint. */
struct trace_steps {
    int tid, number;
    rein_word address;
    uint64_t left;
};

/* Who makes steps; trace_steps.c. */
enum walker_stage {
    WALKER_WAITS, /* it has stopped for that, and is to begin */
    WALKER_WALKS,
    WALKER_HAS_SIGNAL, /* has stopped for one that nobody is to be told of */
    WALKER_IS_HALTED,  /* was asked to stop while it made a step */
    WALKER_IS_DONE,    /* has stopped, and is to run */
    WALKER_STANDS,     /* something else has stopped it, or all */
};
struct trace_walker {
    int tid;
    enum walker_stage stage;
    bool is_counted; /* the step that it is just making */
};

struct tracing {
    struct server *server;
    struct tracepoint **points;
    size_t point_count;
    struct trace_variable *variables;
    size_t variable_count;
    struct trace_range *constant; /* memory that never changes, and may be read in the program itself */
    size_t constant_count;
    size_t definition_bytes;

    struct trace_buffer buffer;
    bool running; /* written on the monitor */
    bool disconnected;
    enum trace_end end;
    int end_number; /* which tracepoint has ended it */
    const char *trouble;
    uint64_t start_time, stop_time; /* microseconds */
    char *user, *notes, *stop_note; /* in hex, or NULL */

    const struct target *target;
    rein_bytecode *process_id; /* code that gives it, of the thread at hand */
    int pid;                   /* of the process that is traced; 0: none */
    int *parts;                /* processes that are threads of it to the client */
    size_t part_count;
    unsigned char *scratch; /* room for a block */
    struct trace_steps *steps;
    size_t step_count;
    struct trace_walker *walkers;
    size_t walker_count;
    bool has_walkers; /* there has been one in this run */

    /* The loop's. */
    int wake_fd;
    size_t upload_point, upload_piece, upload_variable;
    bool is_selected;
    size_t selected;
};

/* NULL: there is no memory. */
struct tracing *trace_of(struct server *server);
/* Runs a function on the monitor. False: it is not there any more. */
struct trace_request {
    struct tracing *tracing;
    char *arguments;
    struct reply *reply;
    void *more;
};
bool trace_call(struct tracing *tracing, void (*run)(struct trace_request *request), struct trace_request *request);

/* On the monitor. */
struct tracepoint *trace_find(struct tracing *tracing, int number, rein_word address, bool any_address);
struct trace_variable *trace_variable(struct tracing *tracing, int number);
int64_t trace_variable_value(const struct trace_variable *variable);
void trace_finish(struct tracing *tracing, enum trace_end end, int number, const char *trouble);
uint64_t trace_now(void);
size_t trace_register_bytes(const struct target *target);

void trace_fail(const struct trace_request *request, const char *text);
void trace_forget_definitions(struct tracing *tracing);

/* A packet that is answered on the monitor. */
void trace_answer(struct server *server, char *arguments, struct reply *reply,
                  void (*run)(struct trace_request *request));
/* Whose memory the tracepoints are in; NULL: nobody is traced. */
struct inferior *trace_inferior(struct server *server);

/* Steps: on the monitor. */
bool trace_add_walker(struct tracing *tracing, int tid);
void trace_take_step(struct tracing *tracing, rein_thread *thread);
void trace_collect_step(struct tracing *tracing, rein_thread *thread, struct tracepoint *point, bool is_last);

extern const char trace_bad_packet[], trace_no_agent[];

#endif
