/* lldb's dialect: what lldb 14 asks its own server on Linux for, beside gdb's packets. LLVM's docs/lldb-gdb-remote.txt has the
 * packets; where lldb-server does otherwise, lldb-server is followed.
 *
 * An lldb client is known by the first packet that gdb has not. From then on threads' ids are without their process's, signals have
 * Linux's numbers, and stop replies say more, so that most stops need no further packet: all general registers, every
 * thread's pc and reason to have stopped, and the memory at the top of the stack. */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "server.h"
#include "signals.h"
#include "xfer.h"

enum {
    CALL_LIMIT_MS = 10000,  /* for a system call that is made in the program */
    NAME_WAIT_MS = 2,       /* between two looks for a process of that name */
    STACK_SIZE = 512,       /* what of the stack is in a stop reply */
    FRAMES_MAX = 8,         /* and so many frames' saved fp and return address */
    STATES_MAX = 64,        /* registers that are saved for the client; of more the oldest are dropped */
    ALLOCATIONS_MAX = 4096, /* pieces of memory that it has at once */
    DESCRIPTION_MAX = 80,   /* of why a thread has stopped */
    DYNAMIC_MAX = 1024,     /* entries of a program's dynamic section */
};

/* ---- What is kept for the client ---- */

struct state { /* a thread's registers: all that it has, one behind the other */
    struct state *next;
    unsigned id;
    int pid, tid;
    size_t size;
    unsigned char bytes[];
};
struct allocation {
    struct allocation *next;
    int pid;
    rein_word address;
    size_t size;
};
struct lldb {
    struct state *states; /* the newest first */
    unsigned last_id;
    struct allocation *allocations;
};

static struct lldb *lldb_of(struct server *server)
{
    if (!server->saved)
        server->saved = calloc(1, sizeof(struct lldb));
    return server->saved;
}

static void free_states(struct state **from)
{
    while (*from) {
        struct state *state = *from;
        *from = state->next;
        free(state);
    }
}

void lldb_free(struct server *server)
{
    struct lldb *lldb = server->saved;
    if (!lldb)
        return;
    free_states(&lldb->states);
    while (lldb->allocations) {
        struct allocation *allocation = lldb->allocations;
        lldb->allocations = allocation->next;
        free(allocation);
    }
    free(lldb);
    server->saved = NULL;
}

/* ---- Helpers ---- */

/* Has a packet answered by another one's handler. */
static void pass_on(struct server *server, const char *name, char *arguments, struct reply *reply)
{
    for (const struct handler *each = launch_handlers; each->name; each++)
        if (strcmp(each->name, name) == 0)
            each->run(server, arguments, strlen(arguments), reply);
}

static void run_agreed(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length;
    server_ok(reply);
}

static const char *triple_of(const char *architecture)
{
    return strcmp(architecture, "amd64") == 0  ? "x86_64-pc-linux-gnu"
           : strcmp(architecture, "i386") == 0 ? "i386-pc-linux-gnu"
                                               : "aarch64-unknown-linux-gnu";
}

static size_t word_size(const struct inferior *inferior)
{
    return strcmp(rein_process_architecture(inferior->process), "i386") == 0 ? 4 : 8;
}

/* JSON goes as binary data, for it has braces in it. */
static void reply_json(struct reply *reply, json_t *json, bool in_hex)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text)
        reply->failed = true;
    else if (in_hex)
        reply_hex_text(reply, text);
    else
        reply_binary(reply, text, strlen(text));
    free(text);
    json_decref(json);
}

/* ---- Who it is ---- */

static void note_lldb(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    server->features.lldb = true;
    server_ok(reply);
}

static void run_suffix(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    server->features.thread_suffix = true;
    note_lldb(server, arguments, length, reply);
}

static void run_list_threads(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    server->features.list_threads = true;
    note_lldb(server, arguments, length, reply);
}

static void run_error_strings(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    server->features.error_strings = true;
    note_lldb(server, arguments, length, reply);
}

/* ---- Host and process ---- */

static void add_text(struct reply *reply, const char *key, const char *value)
{
    reply_format(reply, "%s:", key);
    reply_hex_text(reply, value);
    reply_text(reply, ";");
}

static const char *host_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__i386__)
    return "i386";
#else
    return "arm64";
#endif
}

static void run_host(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct utsname name;
    server->features.lldb = true;
    if (uname(&name) != 0) {
        server_error(server, reply, "uname: %s", strerror(errno));
        return;
    }
    add_text(reply, "triple", triple_of(host_architecture()));
    /* On arm64, too: the library gets the thread past the instruction that has hit. */
    reply_format(reply, "ptrsize:%zu;watchpoint_exceptions_received:after;endian:little;os_version:%.*s;",
                 sizeof(void *), (int)strspn(name.release, "0123456789."), name.release);
    add_text(reply, "os_build", name.release);
    add_text(reply, "os_kernel", name.version);
    add_text(reply, "hostname", name.nodename);
}

/* The numbers behind a name in /proc/PID/status. */
static bool read_status(int pid, const char *name, unsigned values[2])
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    size_t length = strlen(name);
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            found = sscanf(line + length + 1, "%u %u", &values[0], &values[1]) >= 1;
    if (file)
        fclose(file);
    return found;
}

static void run_process(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior)
        inferior = server_resolve(server, 0, 0, NULL);
    if (!inferior) {
        server_error(server, reply, "there is no process");
        return;
    }
    unsigned parent[2] = {0}, user[2] = {0}, group[2] = {0};
    read_status(inferior->id, "PPid", parent);
    read_status(inferior->id, "Uid", user);
    read_status(inferior->id, "Gid", group);
    reply_format(reply, "pid:%x;parent-pid:%x;real-uid:%x;real-gid:%x;effective-uid:%x;effective-gid:%x;",
                 (unsigned)inferior->id, parent[0], user[0], group[0], user[1], group[1]);
    add_text(reply, "triple", triple_of(rein_process_architecture(inferior->process)));
    reply_format(reply, "ostype:linux;endian:little;ptrsize:%zu;", word_size(inferior));
}

/* ---- Registers ---- */

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
            free_states(&state->next);
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

/* ---- Threads, and why they have stopped ---- */

struct report { /* of a thread */
    int tid;
    char name[16];
    rein_word pc, sp, fp;
    bool has_registers;
    const char *reason; /* NULL: others have stopped it */
    char description[DESCRIPTION_MAX];
    int signal; /* the host's */
};

static const char *reason_of(enum rein_cause_kind kind)
{
    switch (kind) {
    case REIN_CAUSE_BREAKPOINT:
        return "breakpoint";
    case REIN_CAUSE_WATCHPOINT:
        return "watchpoint";
    case REIN_CAUSE_SIGNAL:
    case REIN_CAUSE_GROUP_STOP:
        return "signal";
    case REIN_CAUSE_STEP:
        return "trace";
    case REIN_CAUSE_EXEC:
        return "exec";
    case REIN_CAUSE_FORK:
        return "fork";
    case REIN_CAUSE_VFORK:
        return "vfork";
    case REIN_CAUSE_VFORK_DONE:
        return "vforkdone";
    case REIN_CAUSE_SYSCALL_ENTRY:
    case REIN_CAUSE_SYSCALL_EXIT:
        return "trap";
    case REIN_CAUSE_STOPPED:
    case REIN_CAUSE_THREAD_CREATE:
    case REIN_CAUSE_THREAD_EXIT:
    case REIN_CAUSE_PROCESS_EXIT:
    case REIN_CAUSE_COUNT:
        break;
    }
    return NULL;
}

/* What was wrong, in lldb's words, with the address where that says something; not of a signal that a process has sent. */
static void explain_fault(const struct rein_signal *signal, struct report *report)
{
    static const struct fault {
        int number, code;
        bool has_address;
        const char *text;
    } faults[] = {
        {SIGSEGV, SEGV_MAPERR, true, "invalid address"},
        {SIGSEGV, SEGV_ACCERR, true, "address access protected"},
        {SIGSEGV, SI_KERNEL, true, "invalid address"}, /* not canonical: the processor does not say where */
        {SIGBUS, BUS_ADRALN, false, "illegal alignment"},
        {SIGBUS, BUS_ADRERR, false, "illegal address"},
        {SIGBUS, BUS_OBJERR, false, "hardware error"},
        {SIGFPE, FPE_INTDIV, false, "integer divide by zero"},
        {SIGFPE, FPE_INTOVF, false, "integer overflow"},
        {SIGFPE, FPE_FLTDIV, false, "floating point divide by zero"},
        {SIGFPE, FPE_FLTOVF, false, "floating point overflow"},
        {SIGFPE, FPE_FLTUND, false, "floating point underflow"},
        {SIGFPE, FPE_FLTRES, false, "inexact floating point result"},
        {SIGFPE, FPE_FLTINV, false, "invalid floating point operation"},
        {SIGFPE, FPE_FLTSUB, false, "invalid floating point subscript range"},
        {SIGILL, ILL_ILLOPC, false, "illegal instruction"},
        {SIGILL, ILL_ILLOPN, false, "illegal instruction operand"},
        {SIGILL, ILL_ILLADR, false, "illegal addressing mode"},
        {SIGILL, ILL_ILLTRP, false, "illegal trap"},
        {SIGILL, ILL_PRVOPC, false, "privileged instruction"},
        {SIGILL, ILL_PRVREG, false, "privileged register"},
        {SIGILL, ILL_COPROC, false, "coprocessor error"},
        {SIGILL, ILL_BADSTK, false, "internal stack error"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault *fault = &faults[i];
        if (fault->number != signal->number || fault->code != signal->code)
            continue;
        int used = snprintf(report->description, sizeof report->description, "signal %s: %s",
                            rein_signal_name(signal->number), fault->text);
        if (fault->has_address)
            snprintf(report->description + used, sizeof report->description - (size_t)used,
                     " (fault address: 0x%" PRIx64 ")", signal->address);
    }
}

static void explain(const struct inferior *inferior, const struct rein_cause *cause, struct report *report)
{
    char type;
    rein_word address;
    report->description[0] = '\0';
    report->reason = reason_of(cause->kind);
    report->signal = !report->reason ? 0 : strcmp(report->reason, "signal") == 0 ? cause->signal.number : SIGTRAP;
    if (cause->kind == REIN_CAUSE_SIGNAL)
        explain_fault(&cause->signal, report);
    if (cause->kind != REIN_CAUSE_WATCHPOINT)
        return;
    if (points_of_watchpoint(inferior, cause->watchpoint, &type, &address) && type != '1')
        /* Its address, which debug register it is in (which we do not know), and what was accessed (likewise). */
        snprintf(report->description, sizeof report->description, "%" PRIu64 " 0 %" PRIu64, address, UINT64_MAX);
    else
        report->reason = "breakpoint";
}

struct gathering {
    const struct inferior *inferior;
    const struct target *target;
    struct report *reports;
    size_t count;
};

static void look_at(rein_thread *thread, const struct gathering *gathering, struct report *report)
{
    struct rein_cause cause;
    rein_registers *registers;
    *report = (struct report){.tid = rein_thread_id(thread)};
    if (rein_thread_name(thread, report->name) != 0)
        report->name[0] = '\0';
    for (char *c = report->name; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    if (rein_thread_cause(thread, &cause) == 0) {
        explain(gathering->inferior, &cause, report);
        rein_cause_clear(&cause);
    }
    if (rein_thread_registers(thread, &registers) != 0)
        return;
    const struct target *target = gathering->target;
    report->has_registers =
        rein_registers_pc(registers, &report->pc) == 0 && rein_registers_sp(registers, &report->sp) == 0;
    if (target)
        rein_registers_get(registers, register_index(registers, &target->places[target->fp]), &report->fp);
    rein_registers_free(registers);
}

/* On the monitor, for one round trip instead of some for each thread. */
static int gather_there(void *arg)
{
    struct gathering *gathering = arg;
    rein_thread **threads;
    size_t count;
    int result = rein_process_threads(gathering->inferior->process, &threads, &count);
    if (result != 0)
        return result;
    gathering->reports = calloc(count ? count : 1, sizeof *gathering->reports);
    for (size_t i = 0; gathering->reports && i < count; i++)
        look_at(threads[i], gathering, &gathering->reports[gathering->count++]);
    rein_thread_list_free(threads, count);
    return 0;
}

/* Of all threads of the process; to be freed. */
static struct gathering gather(struct server *server, struct inferior *inferior)
{
    struct gathering gathering = {.inferior = inferior, .target = inferior_target(server, inferior)};
    rein_monitor_call(server->monitor, gather_there, &gathering);
    return gathering;
}

static void add_word(json_t *object, const struct gathering *gathering, int number, rein_word value)
{
    char key[16];
    struct reply hex = {0};
    snprintf(key, sizeof key, "%d", number);
    reply_hex(&hex, &value, gathering->target->places[number].size); /* the lowest byte first */
    json_object_set_new(object, key, json_string(hex.text ? hex.text : ""));
    reply_free(&hex);
}

static json_t *report_in_json(const struct server *server, const struct gathering *gathering,
                              const struct report *report, bool with_registers)
{
    json_t *object = json_pack("{s:i, s:s}", "tid", report->tid, "name", report->name);
    int signal = server->features.lldb ? report->signal : signal_to_gdb(report->signal);
    if (report->reason)
        json_object_set_new(object, "reason", json_string(report->reason));
    if (report->signal)
        json_object_set_new(object, "signal", json_integer(signal));
    if (*report->description)
        json_object_set_new(object, "description", json_string(report->description));
    if (with_registers && report->has_registers && gathering->target) {
        json_t *registers = json_object();
        add_word(registers, gathering, gathering->target->pc, report->pc);
        add_word(registers, gathering, gathering->target->sp, report->sp);
        add_word(registers, gathering, gathering->target->fp, report->fp);
        json_object_set_new(object, "registers", registers);
    }
    return object;
}

static json_t *all_in_json(const struct server *server, const struct gathering *gathering, bool with_registers)
{
    json_t *array = json_array();
    for (size_t i = 0; i < gathering->count; i++)
        json_array_append_new(array, report_in_json(server, gathering, &gathering->reports[i], with_registers));
    return array;
}

static void run_threads(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior) {
        server_error(server, reply, "there is no process");
        return;
    }
    struct gathering gathering = gather(server, inferior);
    reply_json(reply, all_in_json(server, &gathering, true), false);
    free(gathering.reports);
}

/* ---- Stop replies ---- */

static void add_registers(struct server *server, struct reply *reply, struct inferior *inferior, rein_thread *thread)
{
    const struct target *target = inferior_target(server, inferior);
    rein_registers *registers = target ? server_registers(server, thread) : NULL;
    for (size_t i = 0; registers && i < target->count; i++) {
        const struct register_place *place = &target->places[i];
        bool is_there = false; /* among those that are in every stop reply */
        for (const int *number = target->expedited; *number >= 0; number++)
            is_there |= *number == (int)i;
        if (is_there || register_index(registers, place) >= rein_registers_count(registers))
            continue;
        reply_format(reply, "%02zx:", i);
        reply_register(reply, registers, place);
        reply_text(reply, ";");
    }
}

static bool add_memory(struct server *server, struct reply *reply, struct inferior *inferior, rein_word address,
                       void *bytes, size_t size)
{
    size_t done = memory_read(server, inferior, address, bytes, size);
    if (done == 0)
        return false;
    reply_format(reply, "memory:0x%" PRIx64 "=", address);
    reply_hex(reply, bytes, done);
    reply_text(reply, ";");
    return done == size;
}

/* The top of the stack, and the chain of frames, if there is one: what an unwinder looks at first. */
static void add_stack(struct server *server, struct reply *reply, struct inferior *inferior,
                      const struct report *report)
{
    unsigned char bytes[STACK_SIZE];
    size_t width = word_size(inferior);
    if (!report->has_registers)
        return;
    add_memory(server, reply, inferior, report->sp, bytes, sizeof bytes);
    rein_word end = report->sp + sizeof bytes, fp = report->fp;
    for (int i = 0; i < FRAMES_MAX && fp >= report->sp && fp % width == 0; i++) {
        rein_word next = 0;
        if (fp + 2 * width > end ? !add_memory(server, reply, inferior, fp, bytes, 2 * width)
                                 : memory_read(server, inferior, fp, bytes, 2 * width) != 2 * width)
            return;
        memcpy(&next, bytes, width);
        if (next <= fp)
            return;
        fp = next;
    }
}

static void add_name(struct reply *reply, const char *name)
{
    if (strpbrk(name, "$#+-;:*}"))
        add_text(reply, "hexname", name);
    else if (*name)
        reply_format(reply, "name:%s;", name);
}

static void add_threads(struct reply *reply, const struct gathering *gathering)
{
    for (size_t i = 0; i < gathering->count; i++)
        reply_format(reply, "%s%x", i ? "," : "threads:", (unsigned)gathering->reports[i].tid);
    reply_text(reply, gathering->count ? ";" : "");
    for (size_t i = 0; i < gathering->count; i++)
        reply_format(reply, "%s%0*" PRIx64, i ? "," : "thread-pcs:", (int)(2 * word_size(gathering->inferior)),
                     gathering->reports[i].pc);
    reply_text(reply, gathering->count ? ";" : "");
}

void lldb_stop(struct server *server, struct reply *reply, struct inferior *inferior, const struct stop *stop)
{
    struct gathering gathering = gather(server, inferior);
    struct report *report = NULL;
    for (size_t i = 0; i < gathering.count && !report; i++)
        if (gathering.reports[i].tid == stop->tid)
            report = &gathering.reports[i];
    if (report) {
        /* What is told may have become another thing to the library since: an interrupt, a stop by attach. */
        if (stop->cause.kind != REIN_CAUSE_WATCHPOINT || stop->cause.watchpoint)
            explain(inferior, &stop->cause, report);
        if (!report->reason && stop->signal) {
            report->reason = "signal";
            report->signal = signal_from_gdb(stop->signal);
        }
        add_name(reply, report->name);
    }
    if (server->features.list_threads) {
        add_threads(reply, &gathering);
        if (gathering.count > 1) {
            reply_text(reply, "jstopinfo:");
            reply_json(reply, all_in_json(server, &gathering, false), true);
            reply_text(reply, ";");
        }
    }
    add_registers(server, reply, inferior, stop->thread);
    if (report) {
        add_stack(server, reply, inferior, report);
        if (report->reason)
            reply_format(reply, "reason:%s;", report->reason);
        if (*report->description)
            add_text(reply, "description", report->description);
    }
    free(gathering.reports);
}

/* A stop reply for any thread. */
static void run_stop_info(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    int pid, tid;
    struct stop stop = {0};
    if (!parse_thread(server, &text, &pid, &tid) || *text || tid <= 0 ||
        !server_resolve(server, pid, tid, &stop.thread)) {
        server_error(server, reply, "there is no such thread");
        return;
    }
    stop.pid = rein_process_id(rein_thread_process(stop.thread));
    stop.tid = tid;
    if (rein_thread_cause(stop.thread, &stop.cause) != 0) {
        server_fail(server, reply);
        rein_thread_unref(stop.thread);
        return;
    }
    if (stop.cause.kind == REIN_CAUSE_SIGNAL || stop.cause.kind == REIN_CAUSE_GROUP_STOP)
        stop.signal = signal_to_gdb(stop.cause.signal.number);
    else if (stop.cause.kind != REIN_CAUSE_STOPPED)
        stop.signal = signal_to_gdb(SIGTRAP);
    else if (server->has_last && server->last.tid == tid)
        stop.signal = server->last.signal;
    stop_write(server, reply, &stop);
    rein_cause_clear(&stop.cause);
    rein_thread_unref(stop.thread);
}

/* ---- Memory ---- */

struct region {
    rein_word begin, end;
    char permissions[8];
    unsigned long long offset;
    const char *name; /* in the line */
};

static bool parse_region(char *line, struct region *region)
{
    int name = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %llx %*s %*s %n", &region->begin, &region->end, region->permissions,
               &region->offset, &name) < 4)
        return false;
    line[strcspn(line, "\n")] = '\0';
    region->name = name ? line + name : "";
    return true;
}

static FILE *open_maps(const struct inferior *inferior)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", inferior->id);
    return fopen(path, "re");
}

static void reply_region(struct reply *reply, const struct region *region)
{
    reply_format(reply, "start:%" PRIx64 ";size:%" PRIx64 ";", region->begin, region->end - region->begin);
    if (!*region->permissions)
        return;
    reply_text(reply, "permissions:");
    for (const char *c = region->permissions; *c && *c != 'p' && *c != 's'; c++)
        if (*c != '-')
            reply_bytes(reply, c, 1);
    reply_text(reply, ";flags:;");
    if (*region->name)
        add_text(reply, "name", region->name);
}

/* What is mapped there, or the hole that the address is in, which has no permissions. */
static void run_region(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (*arguments == '\0') { /* is there such a packet? */
        server_ok(reply);
        return;
    }
    const char *text = arguments;
    rein_word address;
    struct inferior *inferior = server_general(server, NULL);
    FILE *maps = inferior ? open_maps(inferior) : NULL;
    if (*text++ != ':' || !parse_hex_to(&text, '\0', &address) || !maps) {
        server_error(server, reply, maps ? "an address is wanted" : "there is no process with memory");
        if (maps)
            fclose(maps);
        return;
    }
    struct region region, hole = {.begin = 0, .end = UINT64_MAX};
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (!found && getline(&line, &size, maps) > 0 && parse_region(line, &region)) {
        found = address >= region.begin && address < region.end;
        if (found)
            reply_region(reply, &region);
        else if (region.begin > address) {
            hole.end = region.begin;
            break;
        }
        hole.begin = region.end;
    }
    if (!found)
        reply_region(reply, &hole);
    free(line);
    fclose(maps);
}

/* Where a file is in memory: its first byte. */
static void run_load_address(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    struct inferior *inferior = server_general(server, NULL);
    FILE *maps = inferior ? open_maps(inferior) : NULL;
    char *path = parse_hex_text(arguments, length), *line = NULL;
    size_t size = 0;
    struct region region;
    while (maps && path && *path && !reply->used && getline(&line, &size, maps) > 0 && parse_region(line, &region))
        if (region.offset == 0 && strcmp(region.name, path) == 0)
            reply_format(reply, "%" PRIx64, region.begin);
    if (!reply->used)
        server_error(server, reply, "the file is not in memory");
    free(line);
    free(path);
    if (maps)
        fclose(maps);
}

/* Where the run-time linker leaves the address of its list of libraries. (Without an answer lldb takes libraries-svr4's main-lm
 * for this, wrongly.) */
static void run_libraries(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    struct image image = inferior ? image_of(server, inferior) : (struct image){0};
    struct segment dynamic;
    if (inferior && image_segment(&image, PT_DYNAMIC, &dynamic) && dynamic.has_bias) {
        size_t width = word_size(inferior);
        for (size_t i = 0; i < DYNAMIC_MAX && 2 * width * (i + 1) <= dynamic.size; i++) {
            uint64_t at = dynamic.address + dynamic.bias + 2 * width * i, tag;
            if (!image_read_words(&image, at, &tag, 1) || tag == DT_NULL)
                break;
            if (tag == DT_DEBUG) {
                reply_format(reply, "%" PRIx64, at + width);
                return;
            }
        }
    }
    server_error(server, reply, "the program has no list of libraries");
}

/* "SIZE,rwx": memory in the program. */
static void run_allocate(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    uint64_t size;
    struct lldb *lldb = lldb_of(server);
    size_t count = 0;
    for (struct allocation *each = lldb ? lldb->allocations : NULL; each; each = each->next)
        count++;
    bool is_good =
        parse_hex_to(&text, ',', &size) && size > 0 && size <= SIZE_MAX / 2 && text[strspn(text, "rwx")] == '\0';
    rein_thread *thread = NULL;
    struct inferior *inferior = server_general(server, &thread);
    struct allocation *allocation = lldb && count < ALLOCATIONS_MAX ? malloc(sizeof *allocation) : NULL;
    if (!is_good || !inferior || !allocation) {
        server_error(server, reply, "%s",
                     !is_good    ? "a size and permissions are wanted"
                     : !inferior ? "there is no thread"
                                 : "there is too much memory already");
        goto failed;
    }
    int protection = (strchr(text, 'r') ? PROT_READ : 0) | (strchr(text, 'w') ? PROT_WRITE : 0) |
                     (strchr(text, 'x') ? PROT_EXEC : 0);
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    options.timeout_ms = CALL_LIMIT_MS;
    *allocation = (struct allocation){.next = lldb->allocations, .pid = inferior->id, .size = (size_t)size};
    if (rein_thread_mmap(thread, 0, (size_t)size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &options,
                         &allocation->address) != 0) {
        server_fail(server, reply);
        goto failed;
    }
    server_forget_view(server);
    memory_forget(server);
    lldb->allocations = allocation;
    reply_format(reply, "%016" PRIx64, allocation->address);
    allocation = NULL;
failed:
    free(allocation);
    rein_thread_unref(thread);
}

static void run_deallocate(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    rein_word address;
    struct lldb *lldb = server->saved;
    rein_thread *thread = NULL;
    struct inferior *inferior = server_general(server, &thread);
    struct allocation **at = lldb ? &lldb->allocations : NULL;
    bool is_good = inferior && parse_hex_to(&text, '\0', &address);
    while (is_good && at && *at && ((*at)->address != address || (*at)->pid != inferior->id))
        at = &(*at)->next;
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    options.timeout_ms = CALL_LIMIT_MS;
    if (!is_good || !at || !*at) {
        server_error(server, reply, "that is no memory of yours");
    } else if (rein_thread_munmap(thread, address, (*at)->size, &options) != 0) {
        server_fail(server, reply);
    } else {
        struct allocation *allocation = *at;
        *at = allocation->next;
        free(allocation);
        server_forget_view(server);
        memory_forget(server);
        server_ok(reply);
    }
    rein_thread_unref(thread);
}

static void run_watchpoints(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length;
    reply_text(reply, "num:4;"); /* of all amd64 and i386, and most arm64 processors */
}

/* ---- Starting and attaching ---- */

/* A program has the environment that lldb gives it, and nothing of the server's own. */
static void own_no_environment(struct server *server)
{
    if (!server->environment)
        server->environment = calloc(1, sizeof *server->environment);
}

/* "NAME=value" as it is. */
static void run_environment(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    struct reply hex = {0};
    own_no_environment(server);
    reply_hex(&hex, arguments, length);
    if (hex.text)
        pass_on(server, "QEnvironmentHexEncoded:", hex.text, reply);
    reply_free(&hex);
}

static void run_no_aslr(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    pass_on(server, "QDisableRandomization:", arguments, reply);
}

static void set_stream(struct server *server, int number, const char *arguments, size_t length, struct reply *reply)
{
    char *path = parse_hex_text(arguments, length);
    if (!path) {
        server_error(server, reply, "a path is wanted, in hex");
        return;
    }
    free(server->streams[number]);
    server->streams[number] = path;
    server_ok(reply);
}

static void run_stdin(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    set_stream(server, 0, arguments, length, reply);
}

static void run_stdout(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    set_stream(server, 1, arguments, length, reply);
}

static void run_stderr(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    set_stream(server, 2, arguments, length, reply);
}

static void run_directory(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    char *here = server->directory ? NULL : getcwd(NULL, 0);
    if (server->directory || here)
        reply_hex_text(reply, server->directory ? server->directory : here);
    else
        server_error(server, reply, "the working directory has no name");
    free(here);
}

/* "LENGTH,INDEX,HEX,LENGTH,INDEX,HEX...": the program and its arguments, in order, as vRun takes them. The client then asks by
 * qLaunchSuccess and `?`. */
static void run_launch(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct reply words = {0}, started = {0};
    char *at = arguments, *end;
    unsigned long index = 0;
    bool good = true;
    own_no_environment(server);
    for (; good && at; index++) {
        unsigned long size = strtoul(at, &end, 10);
        good = *end == ',' && strtoul(end + 1, &end, 10) == index && *end == ',';
        if (!good)
            break;
        at = end + 1;
        end = strchrnul(at, ',');
        good = (size_t)(end - at) == size;
        reply_text(&words, index ? ";" : "");
        reply_bytes(&words, at, (size_t)(end - at));
        at = *end ? end + 1 : NULL;
    }
    if (good && words.text)
        pass_on(server, "vRun;", words.text, &started);
    if (started.used && *started.text == 'T')
        server_ok(reply);
    else if (started.used)
        reply_bytes(reply, started.text, started.used);
    else
        server_error(server, reply, "A takes a program and its arguments");
    reply_free(&words);
    reply_free(&started);
}

static void run_launched(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    if (server->inferiors)
        server_ok(reply);
    else
        server_error(server, reply, "nothing was started");
}

/* Is it the name of the process's program, or its own? */
static bool is_called(int pid, const char *name)
{
    char path[64], found[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t length = readlink(path, found, sizeof found - 1);
    if (length <= 0) /* a kernel's thread has none */
        return false;
    found[length] = '\0';
    const char *base = strrchr(found, '/');
    if (strcmp(base ? base + 1 : found, name) == 0)
        return true;
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool read = fgets(found, sizeof found, file) != NULL;
    fclose(file);
    found[read ? strcspn(found, "\n") : 0] = '\0';
    return strcmp(found, name) == 0;
}

/* The processes of that name, but for the server's own: how many; at most size of them in pids. */
static size_t find_named(struct server *server, const char *name, int *pids, size_t size)
{
    DIR *directory = opendir("/proc");
    size_t count = 0;
    for (struct dirent *entry; directory && count < size && (entry = readdir(directory));) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid > 0 && pid <= INT32_MAX && !*end && pid != getpid() && pid != rein_monitor_id(server->monitor) &&
            is_called((int)pid, name))
            pids[count++] = (int)pid;
    }
    if (directory)
        closedir(directory);
    return count;
}

enum { NAMED_MAX = 1024 };
enum wait_kind { WAIT_NEVER, WAIT_NEW, WAIT_IF_NONE };

static bool is_among(int pid, const int *pids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Waits until there is one that was not there before; 0: the client has said something, or gone. */
static int wait_for_new(struct server *server, const char *name, const int *old, size_t old_count)
{
    struct pollfd input = {.fd = server->packets.input, .events = POLLIN};
    while (!signals_ended_by() && !packets_waiting(&server->packets) && poll(&input, 1, NAME_WAIT_MS) <= 0) {
        int now[NAMED_MAX];
        size_t count = find_named(server, name, now, NAMED_MAX);
        for (size_t i = 0; i < count; i++)
            if (!is_among(now[i], old, old_count))
                return now[i];
    }
    return 0;
}

static void attach_named(struct server *server, const char *arguments, size_t length, enum wait_kind wait,
                         struct reply *reply)
{
    int pids[NAMED_MAX], pid = 0;
    char *name = parse_hex_text(arguments, length), text[16];
    size_t count = name ? find_named(server, name, pids, NAMED_MAX) : 0;
    if (!name || !*name) {
        server_error(server, reply, "a name is wanted, in hex");
    } else if (wait == WAIT_NEW || (wait == WAIT_IF_NONE && count == 0)) {
        pid = wait_for_new(server, name, pids, count);
        if (!pid)
            server_error(server, reply, "the wait for a process was interrupted");
    } else if (count == 1) {
        pid = pids[0];
    } else {
        server_error(server, reply, count ? "there are several processes called %s" : "there is no process called %s",
                     name);
    }
    free(name);
    if (!pid)
        return;
    snprintf(text, sizeof text, "%x", (unsigned)pid);
    pass_on(server, "vAttach;", text, reply);
}

static void run_attach_name(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    attach_named(server, arguments, length, WAIT_NEVER, reply);
}

static void run_attach_wait(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    attach_named(server, arguments, length, WAIT_NEW, reply);
}

static void run_attach_or_wait(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    attach_named(server, arguments, length, WAIT_IF_NONE, reply);
}

const struct handler lldb_handlers[] = {
    {"QThreadSuffixSupported", run_suffix},
    {"QListThreadsInStopReply", run_list_threads},
    {"QEnableErrorStrings", run_error_strings},
    {"qHostInfo", run_host},
    {"qProcessInfo", run_process},
    {"qRegisterInfo*", run_register},
    {"QSaveRegisterState*", run_save},
    {"QRestoreRegisterState:", run_restore},
    {"jThreadsInfo", run_threads},
    {"qThreadStopInfo*", run_stop_info},
    {"qMemoryRegionInfo*", run_region},
    {"qFileLoadAddress:", run_load_address},
    {"qShlibInfoAddr", run_libraries},
    {"_M*", run_allocate},
    {"_m*", run_deallocate},
    {"qWatchpointSupportInfo:", run_watchpoints},
    {"QEnvironment:", run_environment},
    {"QSetDisableASLR:", run_no_aslr},
    {"QSetSTDIN:", run_stdin},
    {"QSetSTDOUT:", run_stdout},
    {"QSetSTDERR:", run_stderr},
    {"qGetWorkingDir", run_directory},
    {"QSetDetachOnError:", run_agreed}, /* as the server's options say */
    {"QLaunchArch:", run_agreed},       /* the program says itself what it is for */
    {"A", run_launch},
    {"qLaunchSuccess", run_launched},
    {"qVAttachOrWaitSupported", run_agreed},
    {"vAttachName;", run_attach_name},
    {"vAttachWait;", run_attach_wait},
    {"vAttachOrWait;", run_attach_or_wait},
    {NULL, NULL},
};
