/* Packets about registers: g, G, p and P. One snapshot is kept, of the thread that was looked at last, for a client mostly asks
 * for several registers of one thread in a row. A write goes through to the thread, and into the snapshot.
 *
 * What the client knows as a register may be a part of rein's (ymm0h: half of ymm0): a write of a part leaves the rest as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

/* ---- The snapshot ---- */

rein_registers *server_registers(struct server *server, rein_thread *thread)
{
    if (server->registers && server->viewed == thread)
        return server->registers;
    server_forget_view(server);
    if (rein_thread_registers(thread, &server->registers) != 0)
        server->registers = NULL;
    else
        server->viewed = rein_thread_ref(thread);
    return server->registers;
}

void server_forget_view(struct server *server)
{
    rein_registers_free(server->registers);
    rein_thread_unref(server->viewed);
    server->registers = NULL;
    server->viewed = NULL;
}

/* ---- One register ---- */

static bool is_named(rein_registers *registers, int index, const char *name)
{
    const char *its_name = index < 0 ? NULL : rein_registers_name(registers, index);
    return its_name && strcmp(its_name, name) == 0;
}

int register_index(rein_registers *registers, const struct register_place *place)
{
    if (is_named(registers, place->index, place->source))
        return place->index;
    int index = rein_registers_index(registers, place->source);
    if (index >= 0)
        return index;
    /* rax and eax, orig_rax and orig_eax; r8 becomes e8, which there is not. */
    char name[32];
    snprintf(name, sizeof name, "%s", place->source);
    char *letter = strncmp(name, "orig_", 5) == 0 ? name + 5 : name;
    *letter = *letter == 'r' ? 'e' : 'r';
    return rein_registers_index(registers, name);
}

/* The whole of rein's register; behind one that is shorter than its place there are zeros. */
static int read_whole(rein_registers *registers, const struct register_place *place, int *index,
                      unsigned char bytes[REGISTER_MAX], size_t *length)
{
    memset(bytes, 0, REGISTER_MAX);
    *index = register_index(registers, place);
    if (*index < 0)
        return *index;
    return rein_registers_read(registers, *index, bytes, REGISTER_MAX, length);
}

int register_read(rein_registers *registers, const struct register_place *place, void *bytes)
{
    unsigned char whole[REGISTER_MAX];
    size_t length;
    int index, result = read_whole(registers, place, &index, whole, &length);
    if (result == 0)
        memcpy(bytes, whole + place->offset, place->size);
    return result;
}

int register_write(rein_registers *registers, const struct register_place *place, const void *bytes)
{
    unsigned char whole[REGISTER_MAX];
    size_t length;
    int index, result = read_whole(registers, place, &index, whole, &length);
    /* What is there already is not written: there are registers that cannot be, which a client puts back with all others. */
    if (result != 0 || memcmp(whole + place->offset, bytes, place->size) == 0)
        return result;
    memcpy(whole + place->offset, bytes, place->size);
    return rein_registers_write(registers, index, whole, length);
}

void reply_register(struct reply *reply, rein_registers *registers, const struct register_place *place)
{
    unsigned char bytes[REGISTER_MAX];
    if (register_read(registers, place, bytes) == 0)
        reply_hex(reply, bytes, place->size);
    else
        for (size_t i = 0; i < place->size; i++)
            reply_text(reply, "xx");
}

void reply_expedited(struct server *server, struct reply *reply, struct inferior *inferior, rein_thread *thread)
{
    if (server->non_stop && inferior->was_attached && !inferior->is_described)
        return;
    const struct target *target = inferior_target(server, inferior);
    rein_registers *registers = target ? server_registers(server, thread) : NULL;
    if (!registers)
        return;
    bool all = server->called_tid == rein_thread_id(thread) && !server->features.lldb;
    if (all)
        server->called_tid = 0;
    for (size_t i = 0; all ? i < target->count : target->expedited[i] >= 0; i++) {
        size_t number = all ? i : (size_t)target->expedited[i];
        const struct register_place *place = &target->places[number];
        unsigned char bytes[REGISTER_MAX];
        if ((place->optional && !server->features.xml) || register_read(registers, place, bytes) != 0)
            continue;
        reply_format(reply, "%02zx:", number);
        reply_hex(reply, bytes, place->size);
        reply_text(reply, ";");
    }
}

/* ---- Packets ---- */

struct inferior *server_suffixed(struct server *server, char *arguments, rein_thread **thread)
{
    char *suffix = server->features.thread_suffix ? strstr(arguments, ";thread:") : NULL;
    *thread = NULL;
    if (!suffix)
        return server_general(server, thread);
    const char *text = suffix + strlen(";thread:");
    int pid, tid;
    bool is_one = parse_thread(server, &text, &pid, &tid) && (*text == ';' || *text == '\0');
    *suffix = '\0';
    return is_one ? server_resolve(server, pid, tid < 0 ? 0 : tid, thread) : NULL;
}

/* The thread that a packet is about, with all that is needed for its registers. */
struct view {
    rein_thread *thread;
    rein_registers *registers;
    const struct target *target;
};

/* False: there is no such thread, or it runs; the reply says so. */
static bool look(struct server *server, char *arguments, struct reply *reply, struct view *view)
{
    struct inferior *inferior = server_suffixed(server, arguments, &view->thread);
    if (!inferior) {
        server_error(server, reply, "there is no such thread");
        return false;
    }
    /* The target first: to find one may mean to look at other threads. */
    view->target = inferior_target(server, inferior);
    view->registers = server_registers(server, view->thread);
    if (view->target && view->registers)
        return true;
    server_fail(server, reply);
    rein_thread_unref(view->thread);
    return false;
}

/* The place with the number that begins the text. */
static const struct register_place *parse_place(const struct view *view, const char **text)
{
    uint64_t number;
    return parse_hex(text, &number) && number < view->target->count ? &view->target->places[number] : NULL;
}

/* While the client looks at a trace frame registers are that one's. number NULL: all. True: that has been answered. */
static bool read_from_frame(struct server *server, const char *number, struct reply *reply)
{
    if (!trace_is_selected(server))
        return false;
    struct inferior *inferior = server_general(server, NULL);
    struct view view = {.target = inferior ? inferior_target(server, inferior) : NULL};
    const struct register_place *place = view.target && number ? parse_place(&view, &number) : NULL;
    if (!view.target || (number && (!place || *number)))
        server_error(server, reply, "there is no such register");
    else
        trace_reply_registers(server, reply, view.target, place);
    return true;
}

static bool is_in_frame(struct server *server, struct reply *reply)
{
    if (trace_is_selected(server))
        server_error(server, reply, "a trace frame cannot be changed");
    return trace_is_selected(server);
}

static void run_read_all(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (read_from_frame(server, NULL, reply))
        return;
    struct view view;
    if (!look(server, arguments, reply, &view))
        return;
    for (size_t i = 0; i < view.target->count && (server->features.xml || !view.target->places[i].optional); i++)
        reply_register(reply, view.registers, &view.target->places[i]);
    rein_thread_unref(view.thread);
}

/* As many registers as there are digits for. All are tried, though one cannot be written. */
static void run_write_all(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct view view;
    if (is_in_frame(server, reply) || !look(server, arguments, reply, &view))
        return;
    server_ok(reply);
    const char *text = arguments, *end = arguments + strlen(arguments);
    for (size_t i = 0; i < view.target->count && text < end; i++) {
        const struct register_place *place = &view.target->places[i];
        unsigned char bytes[REGISTER_MAX];
        size_t digits = 2 * place->size;
        bool is_unknown = *text == 'x'; /* one that is not present */
        if ((size_t)(end - text) < digits || (!is_unknown && parse_bytes(text, digits, bytes, sizeof bytes) < 0)) {
            server_error(server, reply, "these are not the registers' values");
            break;
        }
        text += digits;
        int result = is_unknown ? 0 : register_write(view.registers, place, bytes);
        if (result != 0 && result != REIN_NO_REGISTER)
            server_fail(server, reply);
    }
    rein_thread_unref(view.thread);
}

static void run_read(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (read_from_frame(server, arguments, reply))
        return;
    struct view view;
    if (!look(server, arguments, reply, &view))
        return;
    const char *text = arguments;
    const struct register_place *place = parse_place(&view, &text);
    if (!place || *text)
        server_error(server, reply, "there is no such register");
    else
        reply_register(reply, view.registers, place);
    rein_thread_unref(view.thread);
}

static void run_write(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct view view;
    if (is_in_frame(server, reply) || !look(server, arguments, reply, &view))
        return;
    const char *text = arguments;
    const struct register_place *place = parse_place(&view, &text);
    unsigned char bytes[REGISTER_MAX];
    if (!place || *text++ != '=')
        server_error(server, reply, "there is no such register");
    else if (parse_bytes(text, strlen(text), bytes, sizeof bytes) != (long)place->size)
        server_error(server, reply, "%s has %zu bytes", place->name, place->size);
    else if (register_write(view.registers, place, bytes) != 0)
        server_fail(server, reply);
    else {
        if (place == &view.target->places[view.target->sp])
            server->called_tid = rein_thread_id(view.thread);
        server_ok(reply);
    }
    rein_thread_unref(view.thread);
}

const struct handler register_handlers[] = {
    {"g", run_read_all}, {"G", run_write_all}, {"p", run_read}, {"P", run_write}, {NULL, NULL},
};
