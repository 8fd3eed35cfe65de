/* Tracepoints: places at which something is collected while the program runs on, to be looked at later (gdb's manual, "Tracepoints",
 * and "Tracepoint Packets"). The client defines them by QTDP, one packet for the place and one or more for its actions, starts a trace
 * run with QTStart, and looks at frames with QTFrame (trace_frames.c). What it defined can be asked for again by a client that comes
 * later: qTfP, qTfV.
 *
 * Fast tracepoints (by a jump to an agent in the program) and static ones (markers of UST) are refused when a trace is started, in
 * gdbserver's words, for there is no agent.
 *
 * A run is of one process, the one that was chosen at QTStart, with all of its threads; children that it makes are not traced. It ends
 * by QTStop, by itself (trace_collect.c), and with the process's exec, exit or release. After each of these there is nothing of it in
 * the program. */
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "server.h"

enum {
    POINTS_MAX = 4096,
    ACTIONS_MAX = 1024, /* of one tracepoint */
    VARIABLES_MAX = 4096,
    RANGES_MAX = 4096,
    DEFINITIONS_MAX = 32 << 20, /* bytes of text */
    NUMBER_MAX = 0x7fff,        /* of a tracepoint: frames have two bytes for it */
    NOTE_MAX = 0x8000,
};

const char trace_bad_packet[] = "the packet is not understood";
const char trace_no_agent[] =
    "In-process agent library not loaded in process.  Fast and static tracepoints unavailable.";
static const char builtin_name[] = "74726163655f74696d657374616d70"; /* trace_timestamp */

/* ---- The trace ---- */

uint64_t trace_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct tracing *trace_of(struct server *server)
{
    if (server->tracing)
        return server->tracing;
    static const unsigned char process_id[] = {0x2c, 0, REIN_VARIABLE_PROCESS_ID, 0x27}; /* getv, end */
    struct tracing *tracing = calloc(1, sizeof *tracing);
    if (!tracing)
        return NULL;
    tracing->server = server;
    tracing->buffer.size = TRACE_BUFFER_DEFAULT;
    tracing->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rein_bytecode_create(process_id, sizeof process_id, &tracing->process_id);
    tracing->variables = calloc(1, sizeof *tracing->variables);
    char *name = strdup(builtin_name);
    if (tracing->variables && name)
        tracing->variables[tracing->variable_count++] = (struct trace_variable){1, true, name, 0, 0};
    else
        free(name);
    server->tracing = tracing;
    return tracing;
}

struct call {
    void (*run)(struct trace_request *request);
    struct trace_request *request;
};

static int run_call(void *arg)
{
    struct call *call = arg;
    call->run(call->request);
    return 0;
}

bool trace_call(struct tracing *tracing, void (*run)(struct trace_request *request), struct trace_request *request)
{
    request->tracing = tracing;
    return rein_monitor_call(tracing->server->monitor, run_call, &(struct call){run, request}) == 0;
}

/* A packet that is answered on the monitor. */
void trace_answer(struct server *server, char *arguments, struct reply *reply,
                  void (*run)(struct trace_request *request))
{
    struct tracing *tracing = trace_of(server);
    struct trace_request request = {.arguments = arguments, .reply = reply};
    if (!tracing)
        server_error(server, reply, "out of memory");
    else if (!trace_call(tracing, run, &request))
        server_fail(server, reply);
}

void trace_fail(const struct trace_request *request, const char *text)
{
    server_error(request->tracing->server, request->reply, "%s", text);
}

struct tracepoint *trace_find(struct tracing *tracing, int number, rein_word address, bool any_address)
{
    for (size_t i = 0; i < tracing->point_count; i++) {
        struct tracepoint *point = tracing->points[i];
        if (point->number == number && (any_address || point->address == address))
            return point;
    }
    return NULL;
}

struct trace_variable *trace_variable(struct tracing *tracing, int number)
{
    for (size_t i = 0; i < tracing->variable_count; i++)
        if (tracing->variables[i].number == number)
            return &tracing->variables[i];
    return NULL;
}

int64_t trace_variable_value(const struct trace_variable *variable)
{
    return variable->is_builtin ? (int64_t)trace_now() : variable->value;
}

void trace_finish(struct tracing *tracing, enum trace_end end, int number, const char *trouble)
{
    const uint64_t one = 1;
    if (!tracing->running)
        return;
    tracing->running = false;
    tracing->end = end;
    tracing->end_number = number;
    tracing->trouble = trouble;
    tracing->stop_time = trace_now();
    if (tracing->wake_fd >= 0 && write(tracing->wake_fd, &one, sizeof one) < 0)
        tracing->stop_time += 0; /* it is readable already */
}

struct inferior *trace_inferior(struct server *server)
{
    struct inferior *inferior =
        server->tracing && server->tracing->pid ? inferior_find(server, server->tracing->pid) : NULL;
    return inferior ? inferior_of_memory(server, inferior) : NULL;
}

/* ---- Freeing ---- */

static void free_actions(struct trace_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        free(actions->list[i].text);
        rein_bytecode_unref(actions->list[i].code);
    }
    free(actions->list);
}

static void free_point(struct tracepoint *point)
{
    free_actions(&point->actions);
    free_actions(&point->step_actions);
    for (size_t i = 0; i < point->source_count; i++) {
        free(point->sources[i].type);
        free(point->sources[i].text);
    }
    free(point->sources);
    free(point->condition_text);
    rein_bytecode_unref(point->condition);
    free(point);
}

void trace_forget_definitions(struct tracing *tracing)
{
    for (size_t i = 0; i < tracing->point_count; i++)
        free_point(tracing->points[i]);
    size_t kept = 0;
    for (size_t i = 0; i < tracing->variable_count; i++) {
        if (tracing->variables[i].is_builtin)
            tracing->variables[kept++] = tracing->variables[i];
        else
            free(tracing->variables[i].name);
    }
    tracing->variable_count = kept;
    free(tracing->points);
    free(tracing->constant);
    tracing->points = NULL;
    tracing->constant = NULL;
    tracing->point_count = tracing->constant_count = tracing->definition_bytes = 0;
}

void trace_free(struct server *server)
{
    struct tracing *tracing = server->tracing;
    if (!tracing)
        return;
    server->tracing = NULL;
    trace_forget_definitions(tracing);
    for (size_t i = 0; i < tracing->variable_count; i++)
        free(tracing->variables[i].name);
    free(tracing->variables);
    free(tracing->buffer.bytes);
    free(tracing->user);
    free(tracing->notes);
    free(tracing->stop_note);
    free(tracing->parts);
    free(tracing->scratch);
    free(tracing->steps);
    free(tracing->walkers);
    rein_bytecode_unref(tracing->process_id);
    if (tracing->wake_fd >= 0)
        close(tracing->wake_fd);
    free(tracing);
}

/* ---- Definitions ---- */

/* A copy of size characters, counted. NULL: it would be too much. */
static char *keep_text(struct tracing *tracing, const char *text, size_t size)
{
    if (size > DEFINITIONS_MAX - tracing->definition_bytes)
        return NULL;
    tracing->definition_bytes += size;
    return strndup(text, size);
}

static bool parse_number(const char **text, char end, int *number)
{
    uint64_t value;
    if (!parse_hex_to(text, end, &value) || value == 0 || value > NUMBER_MAX)
        return false;
    *number = (int)value;
    return true;
}

static const struct target *target_of(struct server *server)
{
    struct inferior *inferior = server_general(server, NULL);
    return inferior ? inferior_target(server, inferior) : NULL;
}

/* What may follow the three numbers: ":F5", ":S", ":X3,220027". */
static bool parse_options(struct tracing *tracing, const struct target *target, struct tracepoint *point,
                          const char **text)
{
    while (**text == ':') {
        ++*text;
        const char *begin = *text;
        if (*begin == 'F') {
            point->kind = *(*text)++;
            if (!parse_hex(text, &point->fast_size))
                return false;
        } else if (*begin == 'S') {
            point->kind = *(*text)++;
        } else if (*begin == 'X' && !point->condition) {
            if (!target || !agent_parse(target, text, true, &point->condition))
                return false;
            point->condition_text = keep_text(tracing, begin, (size_t)(*text - begin));
            if (!point->condition_text)
                return false;
        } else if (*begin != '-' && *begin != '\0') {
            return false;
        }
    }
    return true;
}

/* What a handler found out in the loop, and what it is to know afterwards. */
struct definition {
    const struct target *target;
    int number; /* of one that is complete, and is to be put into the program as a trace runs */
    rein_word address;
    char kind;
    bool is_complete;
};

/* "NUMBER:ADDRESS:E:STEPS:PASSES" and options; '-' at the end: actions follow. */
static bool define(struct tracing *tracing, struct definition *definition, const char *text)
{
    struct tracepoint *point = calloc(1, sizeof *point);
    uint64_t address = 0;
    bool good = point && parse_number(&text, ':', &point->number) && parse_hex_to(&text, ':', &address) &&
                (*text == 'E' || *text == 'D') && text[1] == ':';
    if (good) {
        point->kind = 'T';
        point->address = address;
        point->enabled = *text == 'E';
        text += 2;
        good = parse_hex_to(&text, ':', &point->steps) && parse_hex(&text, &point->passes) &&
               parse_options(tracing, definition->target, point, &text) &&
               (*text == '\0' || (*text == '-' && text[1] == '\0')) &&
               !trace_find(tracing, point->number, address, false) && tracing->point_count < POINTS_MAX;
    }
    struct tracepoint **grown = good ? realloc(tracing->points, (tracing->point_count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        if (point)
            free_point(point);
        return false;
    }
    tracing->points = grown;
    grown[tracing->point_count++] = point;
    definition->is_complete = *text != '-';
    definition->number = point->number;
    definition->address = address;
    definition->kind = point->kind;
    return true;
}

/* "M-1,ADDRESS,SIZE": -1 comes as "-1" or as "FFFFFFFF". */
static bool parse_memory(const char **text, struct trace_action *action)
{
    uint64_t base;
    bool negative = parse_prefix(text, "-");
    if (!parse_hex_to(text, ',', &base) || !parse_hex_to(text, ',', &action->address) ||
        !parse_hex(text, &action->size))
        return false;
    action->base = negative || base > NUMBER_MAX ? -1 : (int)base;
    return true;
}

static bool parse_action(const struct target *target, const char **text, struct trace_action *action)
{
    action->type = **text;
    if (*action->text == 'X')
        return target && agent_parse(target, text, true, &action->code);
    ++*text;
    switch (action->type) {
    case 'M':
        return parse_memory(text, action);
    case 'R':
        *text += strspn(*text, "0123456789abcdefABCDEF");
        return true;
    case 'L':
        return true;
    default:
        return false;
    }
}

static bool add_action(struct tracing *tracing, const struct target *target, struct tracepoint *point,
                       const char **text)
{
    struct trace_actions *actions = point->has_step_actions ? &point->step_actions : &point->actions;
    const char *begin = *text;
    struct trace_action action = {.text = (char *)begin, .base = -1};
    if (actions->count == ACTIONS_MAX || !parse_action(target, text, &action))
        return false;
    action.text = keep_text(tracing, begin, (size_t)(*text - begin));
    struct trace_action *grown = action.text ? realloc(actions->list, (actions->count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(action.text);
        rein_bytecode_unref(action.code);
        return false;
    }
    actions->list = grown;
    grown[actions->count++] = action;
    return true;
}

/* "NUMBER:ADDRESS:ACTION..."; 'S' in front of the first that is for steps, '-' at the end: others follow. */
static bool define_actions(struct tracing *tracing, struct definition *definition, const char *text)
{
    int number;
    uint64_t address;
    if (!parse_number(&text, ':', &number) || !parse_hex_to(&text, ':', &address))
        return false;
    struct tracepoint *point = trace_find(tracing, number, address, false);
    if (!point)
        return false;
    point->has_step_actions |= parse_prefix(&text, "S");
    while (*text && *text != '-')
        if (!add_action(tracing, definition->target, point, &text))
            return false;
    definition->is_complete = *text != '-';
    definition->number = number;
    definition->address = address;
    definition->kind = point->kind;
    return *text == '\0' || text[1] == '\0';
}

static void define_on_monitor(struct trace_request *request)
{
    const char *text = request->arguments;
    bool good = parse_prefix(&text, "-") ? define_actions(request->tracing, request->more, text)
                                         : define(request->tracing, request->more, text);
    struct definition *definition = request->more;
    if (good)
        server_ok(request->reply);
    else
        trace_fail(request, trace_bad_packet);
    definition->is_complete &= good && request->tracing->running;
}

static void undefine(struct trace_request *request)
{
    const struct definition *definition = request->more;
    struct tracing *tracing = request->tracing;
    for (size_t i = 0; i < tracing->point_count; i++)
        if (tracing->points[i]->number == definition->number && tracing->points[i]->address == definition->address) {
            free_point(tracing->points[i]);
            tracing->point_count--;
            memmove(tracing->points + i, tracing->points + i + 1, (tracing->point_count - i) * sizeof(void *));
            return;
        }
}

static void run_define(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct tracing *tracing = trace_of(server);
    struct definition definition = {.target = target_of(server)};
    struct trace_request request = {.arguments = arguments, .reply = reply, .more = &definition};
    if (!tracing || !trace_call(tracing, define_on_monitor, &request)) {
        server_error(server, reply, "no tracepoint can be defined");
        return;
    }
    if (!definition.is_complete)
        return;
    struct inferior *inferior = trace_inferior(server);
    bool good = definition.kind == 'T' && inferior && points_trace(server, inferior, definition.address, tracing) == 0;
    if (good)
        return;
    if (definition.kind != 'T')
        reply_error(reply, true, "%s", trace_no_agent);
    else
        server_fail(server, reply);
    trace_call(tracing, undefine, &request);
}

/* "NUMBER:ADDRESS:TYPE:START:LENGTH:TEXT": what the user has written, for whoever asks later. */
static void add_source(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const char *text = request->arguments;
    int number;
    uint64_t address, start, size;
    struct tracepoint *point = NULL;
    if (parse_number(&text, ':', &number) && parse_hex_to(&text, ':', &address))
        point = trace_find(tracing, number, address, false);
    const char *type = text, *end = strchrnul(text, ':');
    text = *end ? end + 1 : end;
    char *plain = NULL;
    bool good = point && *end && parse_hex_to(&text, ':', &start) && parse_hex_to(&text, ':', &size) &&
                point->source_count < ACTIONS_MAX && (plain = parse_hex_text(text, strlen(text))) != NULL;
    free(plain);
    struct trace_source source = {0};
    if (good) {
        source.type = keep_text(tracing, type, (size_t)(end - type));
        source.text = keep_text(tracing, text, strlen(text));
    }
    struct trace_source *grown =
        source.type && source.text ? realloc(point->sources, (point->source_count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(source.type);
        free(source.text);
        trace_fail(request, trace_bad_packet);
        return;
    }
    point->sources = grown;
    grown[point->source_count++] = source;
    server_ok(request->reply);
}

static void run_source(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, add_source);
}

/* "NUMBER:VALUE:BUILTIN:NAME" */
static void define_variable(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const char *text = request->arguments;
    int number;
    uint64_t value, builtin;
    bool good = parse_number(&text, ':', &number) && parse_hex_to(&text, ':', &value) &&
                parse_hex_to(&text, ':', &builtin) && strspn(text, "0123456789abcdefABCDEF") == strlen(text);
    struct trace_variable *variable = good ? trace_variable(tracing, number) : NULL;
    char *name =
        good && (variable || tracing->variable_count < VARIABLES_MAX) ? keep_text(tracing, text, strlen(text)) : NULL;
    if (name && !variable) {
        struct trace_variable *grown = realloc(tracing->variables, (tracing->variable_count + 1) * sizeof *grown);
        if (grown) {
            tracing->variables = grown;
            variable = &grown[tracing->variable_count++];
            *variable = (struct trace_variable){.number = number};
        }
    }
    if (!name || !variable) {
        free(name);
        trace_fail(request, trace_bad_packet);
        return;
    }
    free(variable->name);
    variable->name = name;
    variable->initial = variable->value = (int64_t)value;
    server_ok(request->reply);
}

static void run_variable(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, define_variable);
}

/* ":LOW,HIGH:LOW,HIGH": what never changes. */
static void define_constant(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const char *text = request->arguments;
    bool good = true;
    tracing->constant_count = 0;
    while (good && *text) {
        struct trace_range range;
        good = parse_hex_to(&text, ',', &range.low) && parse_hex(&text, &range.high) &&
               tracing->constant_count < RANGES_MAX && (*text == '\0' || *text++ == ':');
        struct trace_range *grown =
            good ? realloc(tracing->constant, (tracing->constant_count + 1) * sizeof *grown) : NULL;
        good = grown != NULL;
        if (good) {
            tracing->constant = grown;
            grown[tracing->constant_count++] = range;
        }
    }
    if (good)
        server_ok(request->reply);
    else
        trace_fail(request, trace_bad_packet);
}

static void run_constant(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, define_constant);
}

static void enable(struct trace_request *request)
{
    const char *text = request->arguments;
    int number;
    uint64_t address;
    struct tracepoint *point = NULL;
    if (parse_number(&text, ':', &number) && parse_hex_to(&text, '\0', &address))
        point = trace_find(request->tracing, number, address, false);
    if (!point) {
        trace_fail(request, "there is no such tracepoint");
        return;
    }
    point->enabled = request->more != NULL;
    server_ok(request->reply);
}

static void run_enable_or_not(struct server *server, char *arguments, struct reply *reply, bool on)
{
    struct tracing *tracing = trace_of(server);
    struct trace_request request = {.arguments = arguments, .reply = reply, .more = on ? reply : NULL};
    if (!tracing || !trace_call(tracing, enable, &request))
        server_error(server, reply, "there are no tracepoints");
}

static void run_enable(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    run_enable_or_not(server, arguments, reply, true);
}

static void run_disable(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    run_enable_or_not(server, arguments, reply, false);
}

const struct handler trace_handlers[] = {
    {"QTDP:", run_define},
    {"QTDPsrc:", run_source},
    {"QTDV:", run_variable},
    {"QTro:", run_constant},
    {"QTEnable:", run_enable},
    {"QTDisable:", run_disable},
    {NULL, NULL},
};
