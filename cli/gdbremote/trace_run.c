/* Trace runs: how they start and end, and what a client is told of them (qTStatus, qTP), of what was defined (qTfP, qTfV), and of the
 * buffer (qTBuffer, from which gdb's tsave writes a file).
 *
 * DISCONNECTED. A client may want the run to go on without it (QTDisconnected). Then the program runs, with nobody to be told of
 * anything, until a client comes again, by whom it is stopped (server.c). Else the run ends with the client. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"
#include "trace.h"

enum { NOTE_MAX = 0x8000 };

/* ---- Starting ---- */

struct begin {
    const struct target *target;
    int pid;
    int *parts;
    size_t part_count;
    rein_word *addresses;
    size_t count;
    bool good;
};

size_t trace_register_bytes(const struct target *target)
{
    size_t size = 0;
    for (size_t i = 0; i < target->count; i++)
        size += target->places[i].size;
    return size;
}

/* All that is needed at a hit is allocated before. */
static bool prepare(struct tracing *tracing, struct begin *begin)
{
    size_t registers = trace_register_bytes(begin->target);
    if (!tracing->buffer.bytes && !buffer_resize(&tracing->buffer, tracing->buffer.size))
        return false;
    if (!tracing->scratch)
        tracing->scratch = malloc(TRACE_BLOCK_MAX + 1);
    begin->addresses = calloc(tracing->point_count + 1, sizeof *begin->addresses);
    if (!tracing->scratch || !begin->addresses || registers > TRACE_BLOCK_MAX)
        return false;
    if (tracing->buffer.register_bytes != registers)
        buffer_clear(&tracing->buffer);
    tracing->buffer.register_bytes = registers;
    tracing->target = begin->target;
    tracing->pid = begin->pid;
    free(tracing->parts);
    tracing->parts = begin->parts;
    tracing->part_count = begin->part_count;
    begin->parts = NULL;
    tracing->step_count = 0;
    tracing->has_walkers = tracing->walker_count != 0;
    return true;
}

static void prepare_on_monitor(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    struct begin *begin = request->more;
    for (size_t i = 0; i < tracing->point_count; i++)
        if (tracing->points[i]->kind != 'T') {
            reply_error(request->reply, true, "%s", trace_no_agent);
            return;
        }
    if (!prepare(tracing, begin)) {
        trace_fail(request, "out of memory");
        return;
    }
    for (size_t i = 0; i < tracing->point_count; i++) {
        tracing->points[i]->hits = tracing->points[i]->usage = 0;
        begin->addresses[begin->count++] = tracing->points[i]->address;
    }
    begin->good = true;
}

static void begin_on_monitor(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    tracing->start_time = trace_now();
    tracing->stop_time = 0;
    tracing->end = TRACE_NOT_RUN;
    tracing->end_number = 0;
    tracing->running = true;
    server_ok(request->reply);
}

static void list_parts(struct server *server, struct begin *begin)
{
    struct inferior *whole = inferior_find(server, begin->pid);
    for (struct inferior *part = whole; part; part = inferior_next_part(part)) {
        int *grown = realloc(begin->parts, (begin->part_count + 1) * sizeof *grown);
        if (!grown)
            return;
        begin->parts = grown;
        grown[begin->part_count++] = part->id;
    }
}

static bool install(struct server *server, struct inferior *inferior, const struct begin *begin)
{
    for (size_t i = 0; i < begin->count; i++)
        if (points_trace(server, inferior, begin->addresses[i], server->tracing) != 0)
            return false;
    return true;
}

static void run_start(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct tracing *tracing = trace_of(server);
    struct inferior *inferior = server_general(server, NULL);
    struct begin begin = {.target = inferior ? inferior_target(server, inferior) : NULL};
    struct trace_request request = {.reply = reply, .more = &begin};
    if (!tracing || !begin.target) {
        server_error(server, reply, "there is no process to be traced");
        return;
    }
    if (tracing->running) {
        server_error(server, reply, "a trace runs already");
        return;
    }
    trace_settle(server);
    begin.pid = inferior->told_as;
    list_parts(server, &begin);
    inferior = inferior_of_memory(server, inferior);
    if (!trace_call(tracing, prepare_on_monitor, &request)) {
        server_fail(server, reply);
    } else if (begin.good && !install(server, inferior, &begin)) {
        server_fail(server, reply);
        points_untrace(server, inferior);
    } else if (begin.good) {
        trace_call(tracing, begin_on_monitor, &request);
    }
    memory_forget(server);
    free(begin.parts);
    free(begin.addresses);
}

/* ---- Ending ---- */

int trace_wake_fd(const struct server *server)
{
    return server->tracing ? server->tracing->wake_fd : -1;
}

void trace_settle(struct server *server)
{
    struct tracing *tracing = server->tracing;
    uint64_t any;
    if (!tracing || tracing->running || !tracing->pid)
        return;
    if (tracing->wake_fd >= 0 && read(tracing->wake_fd, &any, sizeof any) < 0)
        any = 0; /* nothing has come */
    struct inferior *inferior = trace_inferior(server);
    if (inferior)
        points_untrace(server, inferior);
    tracing->pid = 0;
}

struct finish {
    enum trace_end end;
    const char *trouble;
};

static void finish_on_monitor(struct trace_request *request)
{
    const struct finish *finish = request->more;
    trace_finish(request->tracing, finish->end, 0, finish->trouble);
    if (finish->end == TRACE_ERROR) /* its threads are gone, and their numbers come again */
        request->tracing->walker_count = request->tracing->step_count = 0;
}

static void end_run(struct server *server, enum trace_end end, const char *trouble)
{
    struct finish finish = {end, trouble};
    struct trace_request request = {.more = &finish};
    if (!server->tracing)
        return;
    if (!trace_call(server->tracing, finish_on_monitor, &request))
        server->tracing->running = false; /* there is nobody who could collect */
    trace_settle(server);
}

void trace_end_process(struct server *server, struct inferior *inferior, const char *text)
{
    if (server->tracing && server->tracing->pid == inferior->id)
        end_run(server, text ? TRACE_ERROR : TRACE_STOPPED, text);
}

bool trace_is_disconnected(const struct server *server)
{
    const struct tracing *tracing = server->tracing;
    return tracing && tracing->running && tracing->disconnected;
}

bool trace_outlives_client(struct server *server, bool is_last)
{
    bool lives = trace_is_disconnected(server) && !is_last;
    if (!lives)
        end_run(server, TRACE_DISCONNECTED, NULL);
    return lives;
}

static void add_part(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const struct inferior *part = request->more;
    int *grown = realloc(tracing->parts, (tracing->part_count + 1) * sizeof *grown);
    if (!grown)
        return;
    tracing->parts = grown;
    grown[tracing->part_count++] = part->id;
}

void trace_add_part(struct server *server, const struct inferior *part)
{
    struct inferior copy = *part;
    struct trace_request request = {.more = &copy};
    if (server->tracing && server->tracing->pid == part->told_as)
        trace_call(server->tracing, add_part, &request);
}

static void run_stop(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    end_run(server, TRACE_STOPPED, NULL);
    memory_forget(server);
    server_ok(reply);
}

static void initialize(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    trace_forget_definitions(tracing);
    buffer_clear(&tracing->buffer);
    server_ok(request->reply);
}

static void run_initialize(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (!server_general(server, NULL)) {
        server_error(server, reply, "there is no process to be traced");
        return;
    }
    trace_forget_frame(server);
    end_run(server, TRACE_STOPPED, NULL);
    trace_answer(server, arguments, reply, initialize);
}

/* ---- What becomes of it ---- */

static void reply_end(const struct tracing *tracing, struct reply *reply)
{
    switch (tracing->end) {
    case TRACE_NOT_RUN:
        reply_text(reply, "tnotrun"); /* or it runs */
        break;
    case TRACE_STOPPED:
        reply_format(reply, "tstop:%s", tracing->stop_note ? tracing->stop_note : "");
        break;
    case TRACE_FULL:
        reply_text(reply, "tfull");
        break;
    case TRACE_PASSED:
        reply_text(reply, "tpasscount");
        break;
    case TRACE_ERROR:
        reply_text(reply, "terror:");
        reply_hex_text(reply, tracing->trouble ? tracing->trouble : "");
        break;
    case TRACE_DISCONNECTED:
        reply_text(reply, "tdisconnected");
        break;
    }
    reply_format(reply, ":%x;", (unsigned)tracing->end_number);
}

static void reply_status(struct trace_request *request)
{
    const struct tracing *tracing = request->tracing;
    const struct trace_buffer *buffer = &tracing->buffer;
    struct reply *reply = request->reply;
    reply_format(reply, "T%d;", tracing->running);
    reply_end(tracing, reply);
    reply_format(reply, "tframes:%zx;tcreated:%llx;tfree:%zx;tsize:%zx;circular:%d;disconn:%d;", buffer->frames,
                 (unsigned long long)buffer->created, buffer_free_bytes(buffer), buffer->size, buffer->circular,
                 tracing->disconnected);
    reply_format(reply, "starttime:%llx;stoptime:%llx;username:", (unsigned long long)tracing->start_time,
                 (unsigned long long)tracing->stop_time);
    reply_text(reply, tracing->user ? tracing->user : "");
    reply_text(reply, ";notes:");
    reply_text(reply, tracing->notes ? tracing->notes : "");
    reply_text(reply, ":");
}

static void run_status(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_settle(server);
    trace_answer(server, arguments, reply, reply_status);
}

/* "NUMBER:ADDRESS" */
static void reply_point_status(struct trace_request *request)
{
    const char *text = request->arguments;
    uint64_t number, address;
    const struct tracepoint *point = NULL;
    if (parse_hex_to(&text, ':', &number) && parse_hex_to(&text, '\0', &address) && number <= INT32_MAX)
        point = trace_find(request->tracing, (int)number, address, false);
    if (!point)
        trace_fail(request, "there is no such tracepoint");
    else
        reply_format(request->reply, "V%llx:%llx", (unsigned long long)point->hits, (unsigned long long)point->usage);
}

static void run_point_status(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, reply_point_status);
}

/* ---- Settings ---- */

static void set_switch(struct trace_request *request)
{
    bool *is_on = request->more;
    const char *text = request->arguments;
    uint64_t value;
    if (!parse_hex_to(&text, '\0', &value)) {
        trace_fail(request, trace_bad_packet);
        return;
    }
    *is_on = value != 0;
    server_ok(request->reply);
}

static void run_switch(struct server *server, char *arguments, struct reply *reply, bool circular)
{
    struct tracing *tracing = trace_of(server);
    struct trace_request request = {.arguments = arguments, .reply = reply};
    if (tracing)
        request.more = circular ? &tracing->buffer.circular : &tracing->disconnected;
    if (!tracing || !trace_call(tracing, set_switch, &request))
        server_error(server, reply, "nothing can be traced");
}

static void run_disconnected(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    run_switch(server, arguments, reply, false);
}

static void run_circular(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    run_switch(server, arguments, reply, true);
}

/* "SIZE", or "-1" for what it is by itself. */
static void set_size(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const char *text = request->arguments;
    uint64_t size = TRACE_BUFFER_DEFAULT;
    if (tracing->running)
        trace_fail(request, "the buffer is in use");
    else if (strcmp(text, "-1") != 0 && !parse_hex_to(&text, '\0', &size))
        trace_fail(request, trace_bad_packet);
    else if (!buffer_resize(&tracing->buffer, size > TRACE_BUFFER_MAX ? SIZE_MAX : (size_t)size))
        trace_fail(request, "there is not so much memory for a buffer");
    else
        server_ok(request->reply);
}

static void run_size(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, set_size);
}

static bool take_note(const char **text, const char *name, char **note)
{
    if (!parse_prefix(text, name))
        return false;
    size_t size = strspn(*text, "0123456789abcdefABCDEF");
    char *copy = size <= NOTE_MAX && size % 2 == 0 ? strndup(*text, size) : NULL;
    if (!copy)
        return false;
    free(*note);
    *note = copy;
    *text += size;
    return true;
}

/* "user:HEX;notes:HEX;tstop:HEX;", each or not. */
static void set_notes(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const char *text = request->arguments;
    bool good = true;
    while (good && *text)
        good = (take_note(&text, "user:", &tracing->user) || take_note(&text, "notes:", &tracing->notes) ||
                take_note(&text, "tstop:", &tracing->stop_note)) &&
               (*text == '\0' || *text++ == ';');
    if (good)
        server_ok(request->reply);
    else
        trace_fail(request, trace_bad_packet);
}

static void run_notes(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, set_notes);
}

/* How long an instruction must be for a fast tracepoint; gdb asks before it defines one. 0: not known. */
static void run_shortest(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    const char *name = inferior ? rein_process_architecture(inferior->process) : "";
    reply_text(reply, strcmp(name, "amd64") == 0 ? "5" : "0");
}

/* ---- What was defined ---- */

/* A tracepoint is told in pieces: itself, each action, each step action, each piece of source. False: there are no more. */
static bool reply_piece(struct reply *reply, const struct tracepoint *point, size_t piece)
{
    unsigned number = (unsigned)point->number;
    unsigned long long address = point->address;
    const struct trace_actions *actions = &point->actions, *steps = &point->step_actions;
    if (piece == 0) {
        reply_format(reply, "T%x:%llx:%c:%llx:%llx", number, address, point->enabled ? 'E' : 'D',
                     (unsigned long long)point->steps, (unsigned long long)point->passes);
        if (point->kind == 'F')
            reply_format(reply, ":F%llx", (unsigned long long)point->fast_size);
        if (point->kind == 'S')
            reply_text(reply, ":S");
        reply_text(reply, point->condition_text ? ":" : "");
        reply_text(reply, point->condition_text ? point->condition_text : "");
        return true;
    }
    piece--;
    if (piece < actions->count + steps->count) {
        bool is_step = piece >= actions->count;
        reply_format(reply, "%c%x:%llx:", is_step ? 'S' : 'A', number, address);
        reply_text(reply, is_step ? steps->list[piece - actions->count].text : actions->list[piece].text);
        return true;
    }
    piece -= actions->count + steps->count;
    if (piece >= point->source_count)
        return false;
    const struct trace_source *source = &point->sources[piece];
    reply_format(reply, "Z%x:%llx:", number, address);
    reply_text(reply, source->type);
    reply_format(reply, ":0:%zx:", strlen(source->text) / 2);
    reply_text(reply, source->text);
    return true;
}

static void reply_next_piece(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    while (tracing->upload_point < tracing->point_count) {
        if (reply_piece(request->reply, tracing->points[tracing->upload_point], tracing->upload_piece)) {
            tracing->upload_piece++;
            return;
        }
        tracing->upload_point++;
        tracing->upload_piece = 0;
    }
    reply_text(request->reply, "l");
}

static void run_next_piece(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, reply_next_piece);
}

static void run_first_piece(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    struct tracing *tracing = trace_of(server);
    if (tracing)
        tracing->upload_point = tracing->upload_piece = 0;
    run_next_piece(server, arguments, length, reply);
}

static void reply_next_variable(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    if (tracing->upload_variable >= tracing->variable_count) {
        reply_text(request->reply, "l");
        return;
    }
    /* The newest first, as gdbserver tells them. */
    const struct trace_variable *variable = &tracing->variables[tracing->variable_count - ++tracing->upload_variable];
    reply_format(request->reply, "%x:%llx:%d:", (unsigned)variable->number, (unsigned long long)variable->initial,
                 variable->is_builtin);
    reply_text(request->reply, variable->name ? variable->name : "");
}

static void run_next_variable(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, reply_next_variable);
}

static void run_first_variable(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    struct tracing *tracing = trace_of(server);
    if (tracing)
        tracing->upload_variable = 0;
    run_next_variable(server, arguments, length, reply);
}

const struct handler run_handlers[] = {
    {"QTinit", run_initialize},
    {"QTStart", run_start},
    {"QTStop", run_stop},
    {"QTDisconnected:", run_disconnected},
    {"QTBuffer:circular:", run_circular},
    {"QTBuffer:size:", run_size},
    {"QTNotes:", run_notes},
    {"qTMinFTPILen", run_shortest},
    {"qTStatus", run_status},
    {"qTP:", run_point_status},
    {"qTfP", run_first_piece},
    {"qTsP", run_next_piece},
    {"qTfV", run_first_variable},
    {"qTsV", run_next_variable},
    {NULL, NULL},
};
