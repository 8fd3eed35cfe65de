/* lldb's dialect: registers. What each of them is, for a client that cannot read target.xml; and a thread's registers that are saved
 * before a function is called in it, and restored behind. */
#include <stdlib.h>
#include <string.h>

#include "lldb.h"
#include "server.h"

enum { STATES_MAX = 64 }; /* registers that are saved for the client; of more the oldest are dropped */

/* ---- What they are ---- */

/* For a client that cannot read target.xml: one register a packet, by its number; an error ends it. */
static void run_register(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    static const char *const sets[REIN_GROUP_COUNT] = {
        [REIN_GROUP_GENERAL] = "General Purpose Registers",
        [REIN_GROUP_SEGMENT] = "General Purpose Registers",
        [REIN_GROUP_SYSTEM] = "System Registers",
        [REIN_GROUP_FLOAT] = "Floating Point Registers",
        [REIN_GROUP_VECTOR] = "Vector Registers",
        [REIN_GROUP_MASK] = "Mask Registers",
        [REIN_GROUP_TILE] = "Tile Registers",
    };
    const char *text = arguments;
    uint64_t number;
    rein_thread *thread = NULL;
    struct inferior *inferior = server_general(server, &thread);
    const struct target *target = inferior ? inferior_target(server, inferior) : NULL;
    rein_registers *registers = target ? server_registers(server, thread) : NULL;
    struct rein_register_info info = REIN_REGISTER_INFO_INIT;
    rein_thread_unref(thread);
    if (!registers || !parse_hex_to(&text, '\0', &number) || number >= target->count ||
        rein_registers_info(registers, register_index(registers, &target->places[number]), &info) != 0) {
        server_error(server, reply, "there is no such register");
        return;
    }
    const struct register_place *place = &target->places[number];
    size_t offset = 0;
    for (size_t i = 0; i < number; i++)
        offset += target->places[i].size;
    bool is_number = place->size <= 8 && info.type != REIN_TYPE_FLOAT;
    reply_format(reply, "name:%s;bitsize:%zu;offset:%zu;encoding:%s;format:%s;set:%s;gcc:%d;dwarf:%d;", place->name,
                 8 * place->size, offset, is_number ? "uint" : "vector", is_number ? "hex" : "vector-uint8",
                 sets[info.group], info.dwarf, info.dwarf);
    const char *generic = (int)number == target->pc                                                ? "pc"
                          : (int)number == target->sp                                              ? "sp"
                          : (int)number == target->fp                                              ? "fp"
                          : strcmp(place->name, "eflags") == 0 || strcmp(place->name, "cpsr") == 0 ? "flags"
                          : strcmp(place->name, "x30") == 0                                        ? "ra"
                                                                                                   : NULL;
    if (generic)
        reply_format(reply, "generic:%s;", generic);
}

/* ---- Saving and restoring ---- */

struct state { /* a thread's registers: all that it has, one behind the other */
    struct state *next;
    unsigned id;
    int pid, tid;
    size_t size;
    unsigned char bytes[];
};

void lldb_free_states(struct state **from)
{
    while (*from) {
        struct state *state = *from;
        *from = state->next;
        free(state);
    }
}

/* All registers that the thread has, tiles and what else no client is told of included: a function that is called may change
 * them. Called with bytes NULL it only counts. */
static size_t pack(rein_registers *registers, unsigned char *bytes, size_t room)
{
    size_t used = 0;
    int total = rein_registers_total(registers);
    for (int i = 0; i < total; i++) {
        struct rein_register_info info = REIN_REGISTER_INFO_INIT;
        size_t length;
        bool present;
        if (rein_registers_info(registers, i, &info) != 0 || rein_registers_present(registers, i, &present) != 0 ||
            !present)
            continue;
        if (!bytes)
            used += info.bytes;
        else if (rein_registers_read(registers, i, bytes + used, room - used, &length) == 0)
            used += length;
    }
    return used;
}

static bool write_if_other(rein_registers *registers, int index, const unsigned char *bytes, size_t length,
                           unsigned char *now, size_t room)
{
    size_t width;
    return rein_registers_read(registers, index, now, room, &width) == 0 &&
           (memcmp(bytes, now, length) == 0 || rein_registers_write(registers, index, bytes, length) == 0);
}

/* Only what differs is written: there are registers that cannot be. */
static bool unpack(rein_registers *registers, const unsigned char *bytes, size_t size)
{
    unsigned char *now = malloc(size ? size : 1);
    size_t used = 0;
    bool good = now != NULL;
    int total = rein_registers_total(registers);
    for (int i = 0; i < total && now; i++) {
        size_t length;
        bool present;
        if (rein_registers_present(registers, i, &present) != 0 || !present)
            continue;
        if (rein_registers_read(registers, i, now, size, &length) != 0 || used + length > size) {
            good = false;
            break;
        }
        good &= write_if_other(registers, i, bytes + used, length, now, size);
        used += length;
    }
    free(now);
    return good;
}

static void run_save(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct lldb *lldb = lldb_of(server);
    rein_thread *thread = NULL;
    struct inferior *inferior = server_suffixed(server, arguments, &thread);
    rein_registers *registers = inferior ? server_registers(server, thread) : NULL;
    size_t size = registers ? pack(registers, NULL, 0) : 0;
    struct state *state = registers && lldb ? malloc(sizeof *state + size) : NULL;
    if (!inferior) {
        server_error(server, reply, "there is no such thread");
    } else if (!registers) {
        server_fail(server, reply);
    } else if (!state) {
        server_error(server, reply, "out of memory");
    } else {
        *state = (struct state){
            .next = lldb->states, .id = ++lldb->last_id, .pid = inferior->id, .tid = rein_thread_id(thread)};
        state->size = pack(registers, state->bytes, size);
        lldb->states = state;
        for (int i = 1; i < STATES_MAX && state; i++)
            state = state->next;
        if (state)
            lldb_free_states(&state->next);
        reply_format(reply, "%u", lldb->last_id);
    }
    rein_thread_unref(thread);
}

/* "ID;thread:TID;", the id as it was given: in decimal. */
static void run_restore(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct lldb *lldb = server->saved;
    rein_thread *thread = NULL;
    struct inferior *inferior = server_suffixed(server, arguments, &thread);
    char *end;
    unsigned long id = strtoul(arguments, &end, 10);
    struct state **at = lldb ? &lldb->states : NULL;
    while (at && *at && (*at)->id != id)
        at = &(*at)->next;
    if (!inferior || !at || !*at || *end || (*at)->pid != inferior->id || (*at)->tid != rein_thread_id(thread)) {
        server_error(server, reply, "no registers of that thread are saved by that number");
        rein_thread_unref(thread);
        return;
    }
    struct state *state = *at;
    rein_registers *registers = server_registers(server, thread);
    if (!registers || !unpack(registers, state->bytes, state->size)) {
        server_fail(server, reply);
    } else {
        *at = state->next;
        free(state);
        server_ok(reply);
    }
    rein_thread_unref(thread);
}

const struct handler lldb_register_handlers[] = {
    {"qRegisterInfo*", run_register},
    {"QSaveRegisterState*", run_save},
    {"QRestoreRegisterState:", run_restore},
    {NULL, NULL},
};
