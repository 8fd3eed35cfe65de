/* Breakpoints and watchpoints of the client: Z and z packets.
 *
 * gdb inserts them anew at each resume and takes them out at each stop, unless it is told otherwise; so each comes again and
 * again, and one that is there already is no error. Conditions are gdb's agent expressions (agent.c),
 * which are evaluated on the monitor, one stop a hit. A breakpoint with commands (dprintf)
 * runs them and is not told.
 *
 *   Z0  a breakpoint in memory
 *   Z1  by a debug register, with conditions and commands as well; where these never fire, one in memory, which tells the same
 *   Z2  writes, Z4 accesses; where debug registers never fire, Z2 by single-steps (REIN_WATCH_SOFTWARE)
 *   Z3  reads alone: no processor here has them; the client takes Z4
 *   T   a tracepoint's place, while a trace runs (tracepoints.c): what is collected there comes before all else
 *
 * gdb takes its breakpoints out at each stop and puts the same ones in at the next resume. While nothing runs one in memory that goes
 * is only marked (is_leaving), and stays to the library if it comes again; the others go before anybody runs. So a `next` whose
 * breakpoints are the last one's has nothing to do for them.
 *
 * Z0, Z1 and T at the same place are several points with one breakpoint in memory, where Z1 has no debug register: one of them has it, its
 * owner, and speaks for the others. What is read on the monitor at a hit is changed there, so a running thread finds the former
 * conditions or the new ones, and the breakpoint all the time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "server.h"

enum { CODES_MAX = 64, FLAGS = REIN_BREAKPOINT_WHILE_RUNNING };

struct point {
    struct point *next;
    char type; /* '0' to '4', 'T' */
    rein_word address;
    size_t size;
    bool is_leaving;         /* the client has taken it out */
    struct tracing *tracing; /* 'T' */
    char *text;              /* of its conditions and commands, in the packet */
    rein_breakpoint *breakpoint;
    rein_watchpoint *watchpoint;
    /* Read on the monitor, and changed there. */
    struct point *other; /* the next one at the same place, without a breakpoint of its own */
    bool by_library;     /* what comes here at a hit is to be told */
    rein_bytecode *conditions[CODES_MAX], *commands[CODES_MAX];
    size_t condition_count, command_count;
};

static void forget_codes(rein_bytecode **codes, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        rein_bytecode_unref(codes[i]);
    *count = 0;
}

/* "X3,220027X3,..." up to ';' or the end. */
static bool parse_codes(const struct target *target, const char **text, rein_bytecode **codes, size_t *count)
{
    while (**text == 'X' || **text == ',') {
        if (**text == ',' && *++*text != 'X')
            return false;
        if (*count == CODES_MAX || !agent_parse(target, text, false, &codes[*count]))
            return false;
        ++*count;
    }
    return true;
}

/* ---- On the monitor ---- */

/* A condition that cannot be evaluated is true: somebody should look at it. */
static bool is_true(rein_thread *thread, const struct point *point, uint64_t hits)
{
    if (!point->condition_count)
        return true;
    for (size_t i = 0; i < point->condition_count; i++) {
        struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
        evaluation.hits = hits;
        if (rein_thread_evaluate(thread, point->conditions[i], &evaluation) != 0 || !evaluation.has_value ||
            evaluation.value)
            return true;
    }
    return false;
}

/* Runs its commands, if its condition is true. True: the hit is to be told. */
static bool is_hit(rein_thread *thread, const struct point *point, uint64_t hits)
{
    if (point->type == 'T' || !is_true(thread, point, hits))
        return false;
    for (size_t i = 0; i < point->command_count; i++) {
        struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
        evaluation.print = agent_print;
        evaluation.arg = thread;
        rein_thread_evaluate(thread, point->commands[i], &evaluation);
    }
    return !point->command_count;
}

static enum rein_verdict on_hit(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    const struct point *point = arg;
    uint64_t hits = rein_breakpoint_hits(breakpoint);
    const struct point *traced = point;
    while (traced && traced->type != 'T')
        traced = traced->other;
    bool steps = traced && trace_hit(traced->tracing, thread, point->address);
    bool told = point->by_library || is_hit(thread, point, hits);
    for (point = point->other; point; point = point->other)
        told |= is_hit(thread, point, hits);
    if (steps && !told)
        return REIN_VERDICT_STOP_THREAD; /* it goes on by steps */
    if (steps)
        trace_stand(traced->tracing, thread);
    return told ? REIN_VERDICT_POLICY : REIN_VERDICT_GO_ON;
}

/* Of Z1, by a debug register. */
static enum rein_verdict on_execute(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    return is_hit(thread, arg, rein_watchpoint_hits(cause->watchpoint)) ? REIN_VERDICT_POLICY : REIN_VERDICT_GO_ON;
}

/* ---- Adding and removing ---- */

static struct point *find(const struct inferior *inferior, char type, rein_word address, size_t size)
{
    struct point *point = inferior->points;
    while (point && (point->type != type || point->address != address || (type > '1' && point->size != size)))
        point = point->next;
    return point;
}

static void free_point(struct point *point)
{
    forget_codes(point->conditions, &point->condition_count);
    forget_codes(point->commands, &point->command_count);
    rein_breakpoint_unref(point->breakpoint);
    rein_watchpoint_unref(point->watchpoint);
    free(point->text);
    free(point);
}

void points_forget(struct inferior *inferior)
{
    while (inferior->points) {
        struct point *point = inferior->points;
        inferior->points = point->next;
        free_point(point);
    }
}

/* One condition and nothing else is the library's own business, and the quickest. */
static bool is_simple(const struct point *point)
{
    return point->type != 'T' && !point->other && !point->command_count && point->condition_count <= 1;
}

static int add_breakpoint(struct inferior *inferior, struct point *point)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = FLAGS;
    options.callback = on_hit;
    options.arg = point;
    point->by_library = is_simple(point);
    options.condition = point->by_library && point->condition_count ? point->conditions[0] : NULL;
    int result = rein_process_add_breakpoint(inferior->process, point->address, &options, &point->breakpoint);
    if (result == REIN_INVALID_ARGUMENT && options.condition) {
        options.condition = NULL; /* it can end without a value, which is true */
        point->by_library = false;
        result = rein_process_add_breakpoint(inferior->process, point->address, &options, &point->breakpoint);
    }
    return result;
}

static int add_watchpoint(struct inferior *inferior, struct point *point)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    options.flags = REIN_WATCH_WHILE_RUNNING | REIN_WATCH_UNMAPPED;
    options.callback = point->type == '1' ? on_execute : NULL; /* only code has conditions */
    options.arg = point;
    enum rein_watch_kind kind = point->type == '1'   ? REIN_WATCH_EXECUTE
                                : point->type == '2' ? REIN_WATCH_WRITE
                                                     : REIN_WATCH_READ_WRITE;
    int result = rein_process_add_watchpoint(inferior->process, point->address, point->type == '1' ? 1 : point->size,
                                             kind, &options, &point->watchpoint);
    if (result != REIN_NEVER_FIRES && result != REIN_NOT_SUPPORTED)
        return result;
    if (point->type == '1')
        return add_breakpoint(inferior, point);
    if (point->type != '2')
        return result;
    options.flags |= REIN_WATCH_SOFTWARE;
    return rein_process_add_watchpoint(inferior->process, point->address, point->size, kind, &options,
                                       &point->watchpoint);
}

static int add_point(struct inferior *inferior, struct point *point)
{
    bool in_memory = point->type == '0' || point->type == 'T';
    return in_memory ? add_breakpoint(inferior, point) : add_watchpoint(inferior, point);
}

static int take_out(struct inferior *inferior, struct point *point)
{
    int result = 0;
    if (point->breakpoint)
        result = rein_process_remove_breakpoint(inferior->process, point->address, FLAGS);
    else if (point->watchpoint)
        result = rein_process_remove_watchpoint(inferior->process, point->watchpoint, REIN_WATCH_WHILE_RUNNING);
    return result == REIN_NO_BREAKPOINT || result == REIN_NO_WATCHPOINT ? 0 : result;
}

/* ---- Several at one place ---- */

/* What is done on the monitor. */
struct change {
    struct server *server;
    struct inferior *inferior;
    rein_word address;
    struct point *one, *two;
};

static bool in_memory_at(const struct point *point, rein_word address)
{
    return (point->type <= '1' || point->type == 'T') && point->address == address && !point->watchpoint;
}

static struct point *twin_of(const struct inferior *inferior, const struct point *point)
{
    struct point *twin = inferior->points;
    while (twin && (twin == point || !in_memory_at(twin, point->address)))
        twin = twin->next;
    return twin;
}

/* Who has the breakpoint there speaks for whoever else is there now, and has the library evaluate what it can. */
static int settle_on_monitor(void *arg)
{
    const struct change *change = arg;
    struct point *owner = change->inferior->points;
    while (owner && !(owner->breakpoint && in_memory_at(owner, change->address)))
        owner = owner->next;
    if (!owner)
        return 0;
    struct point **last = &owner->other;
    for (struct point *point = change->inferior->points; point; point = point->next)
        if (point != owner && in_memory_at(point, change->address)) {
            *last = point;
            last = &point->other;
        }
    *last = NULL;
    rein_bytecode *condition = is_simple(owner) && owner->condition_count ? owner->conditions[0] : NULL;
    owner->by_library = is_simple(owner) && rein_breakpoint_set_condition(owner->breakpoint, condition) == 0;
    return owner->by_library ? 0 : rein_breakpoint_set_condition(owner->breakpoint, NULL);
}

static void settle(struct server *server, struct inferior *inferior, rein_word address)
{
    rein_monitor_call(server->monitor, settle_on_monitor, &(struct change){.inferior = inferior, .address = address});
}

/* Exchanges what the client has said of two points at one place, which keep what they are to the library. */
static int exchange_on_monitor(void *arg)
{
    const struct change *change = arg;
    struct point *one = change->one, *two = change->two, copy = *one;
    *one = *two;
    one->next = copy.next;
    one->breakpoint = copy.breakpoint;
    one->watchpoint = copy.watchpoint;
    one->other = copy.other;
    one->by_library = false;
    copy.next = two->next;
    copy.breakpoint = two->breakpoint;
    copy.watchpoint = two->watchpoint;
    copy.other = two->other;
    *two = copy;
    return settle_on_monitor(arg);
}

static void exchange(struct server *server, struct inferior *inferior, struct point *one, struct point *two)
{
    struct change change = {server, inferior, one->address, one, two};
    rein_monitor_call(server->monitor, exchange_on_monitor, &change);
}

/* Frees it, once nobody on the monitor has it any more. */
static void drop(struct server *server, struct inferior *inferior, struct point *point)
{
    struct point **at = &inferior->points;
    while (*at != point)
        at = &(*at)->next;
    *at = point->next;
    if (twin_of(inferior, point))
        settle(server, inferior, point->address);
    free_point(point);
}

/* Takes the point. */
static int insert(struct server *server, struct inferior *inferior, struct point *point)
{
    int result = add_point(inferior, point);
    if (result != 0 && result != REIN_BREAKPOINT_EXISTS) {
        free_point(point);
        return result;
    }
    point->next = inferior->points;
    inferior->points = point;
    if (twin_of(inferior, point))
        settle(server, inferior, point->address);
    return 0;
}

static bool is_gone(const struct inferior *inferior, const struct point *point)
{
    unsigned char byte;
    return in_memory_at(point, point->address) &&
           rein_process_read(inferior->process, point->address, &byte, 1, NULL) != 0;
}

/* Others at its place stay as they are: one of them has its breakpoint from now on. *vanished: the memory is gone. */
static int remove_point(struct server *server, struct inferior *inferior, struct point *point, bool *vanished)
{
    struct point *twin = point->breakpoint ? twin_of(inferior, point) : NULL;
    if (twin) {
        exchange(server, inferior, point, twin);
        point = twin;
    }
    int result = take_out(inferior, point);
    if (result != 0)
        return result;
    *vanished = is_gone(inferior, point);
    drop(server, inferior, point);
    return 0;
}

/* What cannot be taken out is forgotten all the same: an exit does it. */
static void remove_or_forget(struct server *server, struct inferior *inferior, struct point *point)
{
    bool vanished;
    if (remove_point(server, inferior, point, &vanished) != 0)
        drop(server, inferior, point);
}

/* ---- Those that leave ---- */

/* The next one; at the address, unless NULL. */
static struct point *next_leaving(const struct inferior *inferior, const rein_word *address)
{
    struct point *point = inferior->points;
    while (point && !(point->is_leaving && (!address || point->address == *address)))
        point = point->next;
    return point;
}

static void remove_leaving_at(struct server *server, struct inferior *inferior, const rein_word *address)
{
    for (struct point *point; (point = next_leaving(inferior, address));) {
        point->is_leaving = false;
        remove_or_forget(server, inferior, point);
    }
}

void points_remove_leaving(struct server *server)
{
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        remove_leaving_at(server, inferior, NULL);
}

static bool can_leave_later(const struct server *server, const struct inferior *inferior, const struct point *point)
{
    return !server->non_stop && !server->running && point->type == '0' && point->breakpoint &&
           !twin_of(inferior, point) && !is_gone(inferior, point);
}

/* ---- All of a kind ---- */

/* All that are tracepoints' places, or all others. */
static void remove_kind(struct server *server, struct inferior *inferior, bool traced)
{
    bool any = true;
    while (any) {
        struct point *point = inferior->points;
        while (point && (point->type == 'T') != traced)
            point = point->next;
        any = point != NULL;
        if (point)
            remove_or_forget(server, inferior, point);
    }
}

void points_remove_client(struct server *server, struct inferior *inferior)
{
    remove_kind(server, inferior, false);
}

void points_untrace(struct server *server, struct inferior *inferior)
{
    remove_kind(server, inferior, true);
}

int points_trace(struct server *server, struct inferior *inferior, rein_word address, struct tracing *tracing)
{
    if (find(inferior, 'T', address, 1))
        return 0;
    remove_leaving_at(server, inferior, &address);
    struct point *point = calloc(1, sizeof *point);
    if (!point)
        return REIN_NO_MEMORY;
    point->type = 'T';
    point->address = address;
    point->size = 1;
    point->tracing = tracing;
    return insert(server, inferior, point);
}

static struct point *copy_point(const struct point *point)
{
    struct point *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    copy->type = point->type;
    copy->address = point->address;
    copy->size = point->size;
    copy->text = point->text ? strdup(point->text) : NULL;
    for (size_t i = 0; i < point->condition_count; i++)
        copy->conditions[copy->condition_count++] = rein_bytecode_ref(point->conditions[i]);
    for (size_t i = 0; i < point->command_count; i++)
        copy->commands[copy->command_count++] = rein_bytecode_ref(point->commands[i]);
    return copy;
}

/* A fork's child has copies of the breakpoints (REIN_FOLLOW_BREAKPOINTS), whose callbacks have the parent's points, of
 * which some may have been taken away since; they are replaced by its own. */
void points_copy(struct server *server, const struct inferior *from, struct inferior *to)
{
    rein_breakpoint **breakpoints;
    size_t count;
    if (inferior_of_memory(server, to) != to)
        return; /* it has its parent's breakpoints themselves */
    if (rein_process_breakpoints(to->process, &breakpoints, &count) != 0)
        return;
    for (size_t i = 0; i < count; i++)
        rein_process_remove_breakpoint(to->process, rein_breakpoint_pc(breakpoints[i]), FLAGS);
    rein_breakpoint_list_free(breakpoints, count);
    for (const struct point *point = from->points; point; point = point->next) {
        bool is_copied = point->type <= '1' && !point->watchpoint && !point->is_leaving;
        struct point *copy = is_copied ? copy_point(point) : NULL;
        if (copy)
            insert(server, to, copy);
    }
}

/* ---- What others ask ---- */

bool points_has(const struct inferior *inferior, char type, rein_word address)
{
    return find(inferior, type, address, 1) != NULL;
}

bool points_stop(const struct inferior *inferior, rein_thread *thread, rein_word address)
{
    for (const struct point *point = inferior->points; point; point = point->next)
        if ((point->type == '0' || point->type == '1') && point->address == address && !point->command_count &&
            !point->is_leaving &&
            is_true(thread, point, point->breakpoint ? rein_breakpoint_hits(point->breakpoint) : 0))
            return true;
    return false;
}

bool points_leave_gone(struct inferior *inferior)
{
    bool any = false;
    for (struct point *point = inferior->points; point; point = point->next) {
        if (!point->breakpoint || !is_gone(inferior, point) || take_out(inferior, point) != 0)
            continue;
        rein_breakpoint_unref(point->breakpoint);
        point->breakpoint = NULL;
        any = true;
    }
    return any;
}

bool points_watch(const struct inferior *inferior)
{
    for (const struct point *point = inferior->points; point; point = point->next)
        if (point->type >= '2')
            return true;
    return false;
}

bool points_of_watchpoint(const struct inferior *inferior, const rein_watchpoint *watchpoint, char *type,
                          rein_word *address)
{
    static const char types[] = {[REIN_WATCH_EXECUTE] = '1', [REIN_WATCH_WRITE] = '2', [REIN_WATCH_READ_WRITE] = '4'};
    if (!watchpoint)
        return false;
    *type = types[rein_watchpoint_kind(watchpoint)];
    *address = rein_watchpoint_address(watchpoint);
    for (const struct point *point = inferior->points; point; point = point->next)
        if (point->watchpoint == watchpoint)
            *type = point->type;
    return true;
}

/* ---- The packets ---- */

/* "0,ADDRESS,KIND" */
static bool parse_place(const char **text, char *type, uint64_t *address, uint64_t *size)
{
    *type = *(*text)++;
    return *type >= '0' && *type <= '4' && *(*text)++ == ',' && parse_hex_to(text, ',', address) &&
           parse_hex(text, size);
}

static void insert_in(struct server *server, struct inferior *inferior, const char *arguments, struct reply *reply)
{
    const char *text = arguments;
    char type;
    uint64_t address, size;
    if (inferior && (*arguments == '0' || *arguments == '1'))
        inferior = inferior_of_memory(server, inferior);
    /* The processor cannot watch reads alone. gdb then tries accesses itself; lldb takes them for what it wants. */
    if ((*arguments == '3' && !server->features.lldb) || *arguments < '0' || *arguments > '4')
        return; /* not supported */
    if (!inferior || !parse_place(&text, &type, &address, &size) || size > 4096) {
        server_error(server, reply, "Z: no process, or no place");
        return;
    }
    struct point *point = calloc(1, sizeof *point);
    const struct target *target = inferior_target(server, inferior);
    bool good = point != NULL;
    if (good)
        point->text = strdup(text);
    while (good && *text == ';') {
        text++;
        if (parse_prefix(&text, "cmds:")) {
            text += *text && text[1] == ',' ? 2 : 0; /* persist: gdb decides what becomes of it when it detaches */
            good = target && parse_codes(target, &text, point->commands, &point->command_count);
        } else if (*text == 'X') {
            good = target && parse_codes(target, &text, point->conditions, &point->condition_count);
        } else {
            break; /* "cond_list" of a later version */
        }
    }
    if (!good) {
        server_error(server, reply, "the condition or command is not valid: %s", rein_error_message());
        if (point)
            free_point(point);
        return;
    }
    point->type = type;
    point->address = address;
    point->size = (size_t)size;
    struct point *there = find(inferior, type, address, (size_t)size);
    bool is_same = there && strcmp(there->text ? there->text : "", point->text ? point->text : "") == 0;
    if (is_same && there->is_leaving) {
        there->is_leaving = false;
        free_point(point);
        server_ok(reply);
        return;
    }
    if (next_leaving(inferior, &point->address)) {
        remove_leaving_at(server, inferior, &point->address);
        there = find(inferior, type, address, (size_t)size);
    }
    bool is_set = there && there->type <= '1' && (there->breakpoint || there->watchpoint || twin_of(inferior, there));
    if (is_set && !is_same) {
        exchange(server, inferior, there, point); /* other conditions */
        free_point(point);
        server_ok(reply);
        return;
    }
    /* The same anew: memory that is mapped once more may have lost it. */
    if (there && take_out(inferior, there) != 0) {
        free_point(point);
        server_ok(reply);
        return;
    }
    if (there)
        drop(server, inferior, there);
    if (insert(server, inferior, point) != 0) {
        server_fail(server, reply);
        return;
    }
    memory_forget(server);
    server_ok(reply);
}

static void remove_from(struct server *server, struct inferior *inferior, const char *arguments, struct reply *reply)
{
    const char *text = arguments;
    char type;
    uint64_t address, size;
    struct inferior *memory = inferior ? inferior_of_memory(server, inferior) : NULL;
    if (inferior != memory && inferior->is_copy) {
        server_ok(reply); /* out of its copy, thinks the client, who does not know of CLONE_VM */
        return;
    }
    inferior = memory;
    if (!inferior || !parse_place(&text, &type, &address, &size)) {
        server_error(server, reply, "z: no process, or no place");
        return;
    }
    struct point *point = find(inferior, type, address, (size_t)size);
    bool vanished = false;
    if (point && can_leave_later(server, inferior, point)) {
        point->is_leaving = true;
        server_ok(reply);
        return;
    }
    if (point && remove_point(server, inferior, point, &vanished) != 0)
        server_fail(server, reply);
    else if (vanished) /* which the client's user should hear of */
        server_fail(server, reply);
    else
        server_ok(reply);
}

/* Where the packet is about, and in the memories of whatever the client takes for the same process. The answer is the first's. */
static void run_everywhere(struct server *server, const char *arguments, struct reply *reply,
                           void (*run)(struct server *, struct inferior *, const char *, struct reply *))
{
    struct inferior *general = server_general(server, NULL);
    run(server, general, arguments, reply);
    struct inferior *memory = general ? inferior_of_memory(server, general) : NULL;
    for (struct inferior *part = general ? inferior_find(server, general->told_as) : NULL; part;
         part = inferior_next_part(part)) {
        struct reply unheard = {0};
        if (part != general && part != memory && inferior_of_memory(server, part) == part)
            run(server, part, arguments, &unheard);
        reply_free(&unheard);
    }
}

static void run_insert(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    run_everywhere(server, arguments, reply, insert_in);
}

static void run_remove(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    run_everywhere(server, arguments, reply, remove_from);
}

const struct handler point_handlers[] = {
    {"Z", run_insert},
    {"z", run_remove},
    {NULL, NULL},
};
