/* qXfer: objects that a client reads in pieces, "object:read:annex:offset,length"; the answer is a piece behind 'm', or the last
 * one behind 'l'. Documents that change from one moment to the next (the list of threads) are made at offset 0 and kept, so
 * that their pieces fit each other. osdata.c makes the tables of the machine.
 *
 * The list of libraries is read from the program's memory, where anything may stand: each walk has a limit. */
#include "xfer.h"

#include <elf.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cli.h"
#include "server.h"

enum {
    LIBRARIES_MAX = 0x10000, /* of all namespaces */
    NAMESPACES_MAX = 0x1000, /* glibc has 16 */
    HEADERS_MAX = 0x1000,    /* of a program */
    DYNAMIC_MAX = 0x1000,    /* entries of its dynamic section */
    PATH_LIMIT = 0x1000,
};

/* Makes the object. False: it has answered with an error. */
typedef bool make_object(struct server *server, const char *annex, struct reply *object, struct reply *reply);

struct object_kind {
    const char *name;
    make_object *make;
    bool keep; /* from its first piece to its last */
};

struct kept {
    const struct object_kind *kind;
    char *annex;
    int pid, tid;
    struct reply object;
};

/* ---- Texts ---- */

/* Is it a character that XML forbids? U+FFFE and U+FFFF are three bytes. */
static bool is_forbidden(const unsigned char *at, size_t length)
{
    if (length == 1)
        return (*at < ' ' && *at != '\t' && *at != '\n') || *at == 0x7f;
    return length == 3 && at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe;
}

void reply_xml(struct reply *document, const char *text)
{
    size_t left = strlen(text);
    while (left) {
        size_t length = cli_utf8_length(text, left);
        if (!length || is_forbidden((const unsigned char *)text, length)) {
            reply_text(document, "?");
            length = 1;
        } else if (*text == '<') {
            reply_text(document, "&lt;");
        } else if (*text == '>') {
            reply_text(document, "&gt;");
        } else if (*text == '&') {
            reply_text(document, "&amp;");
        } else if (*text == '"') {
            reply_text(document, "&quot;");
        } else if (*text == '\'') {
            reply_text(document, "&apos;");
        } else {
            reply_bytes(document, text, length);
        }
        text += length;
        left -= length;
    }
}

/* /proc/PID/task/TID/stat: "id (name) state parent group ...", the 39th is the core. There may be anything in the name. */
bool task_read(int pid, int tid, struct task *task)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
    char *text = cli_read_file(path, NULL), *name = text ? strchr(text, '(') : NULL;
    char *end = name ? strrchr(name, ')') : NULL, *state = NULL;
    if (end) {
        *task = (struct task){.core = -1};
        snprintf(task->name, sizeof task->name, "%.*s", (int)(end - name - 1), name + 1);
        const char *word = strtok_r(end + 1, " ", &state);
        for (int number = 3; word; number++, word = strtok_r(NULL, " ", &state)) {
            if (number == 5)
                task->process_group = atoi(word);
            if (number == 39)
                task->core = atoi(word);
        }
    }
    free(text);
    return end != NULL;
}

/* ---- Of a process ---- */

static struct inferior *general_or_error(struct server *server, struct reply *reply)
{
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior)
        server_error(server, reply, "there is no process");
    return inferior;
}

static bool no_annex(struct server *server, const char *annex, struct reply *reply)
{
    if (*annex)
        server_error(server, reply, "there is no annex '%s'", annex);
    return !*annex;
}

static bool make_features(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    struct inferior *inferior = general_or_error(server, reply);
    if (!inferior)
        return false;
    if (strcmp(annex, "target.xml") != 0) {
        server_error(server, reply, "the description is whole, there is no '%s'", annex);
        return false;
    }
    const struct target *target = inferior_target(server, inferior);
    if (!target)
        server_fail(server, reply);
    else
        reply_text(object, target->xml);
    inferior->is_described = server->features.xml = true;
    return target != NULL;
}

/* By any of its threads: the first one may have left, and has no memory any more. NULL: it cannot be seen. */
static char *read_auxv(struct inferior *inferior, size_t *size)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/auxv", inferior->id);
    char *bytes = cli_read_file(path, size);
    if (bytes && *size)
        return bytes;
    rein_process_threads(inferior->process, &threads, &count);
    for (size_t i = 0; i < count && !(bytes && *size); i++) {
        free(bytes);
        snprintf(path, sizeof path, "/proc/%d/task/%d/auxv", inferior->id, rein_thread_id(threads[i]));
        bytes = cli_read_file(path, size);
    }
    rein_thread_list_free(threads, count);
    return bytes;
}

static bool make_auxv(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    struct inferior *inferior = general_or_error(server, reply);
    size_t size = 0;
    if (!inferior || !no_annex(server, annex, reply))
        return false;
    char *bytes = read_auxv(inferior, &size);
    if (bytes)
        reply_bytes(object, bytes, size);
    else
        server_error(server, reply, "the auxiliary vector of process %d cannot be read", inferior->id);
    free(bytes);
    return bytes != NULL;
}

/* The annex is the process, or the general one. */
static bool make_exec_file(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    uint64_t pid;
    char path[PATH_LIMIT];
    struct inferior *inferior = server_general(server, NULL);
    if (*annex)
        inferior = parse_hex_to(&annex, '\0', &pid) && pid > 0 && pid <= INT32_MAX
                       ? server_resolve(server, (int)pid, 0, NULL)
                       : NULL;
    if (!inferior) {
        server_error(server, reply, "there is no such process");
        return false;
    }
    if (rein_process_program(inferior->process, path, sizeof path) != 0) {
        server_fail(server, reply);
        return false;
    }
    reply_text(object, path);
    return true;
}

/* ---- Threads ---- */

static void add_thread(struct server *server, struct inferior *inferior, int tid, uint64_t handle, struct reply *object)
{
    struct task task;
    reply_text(object, "<thread id=\"");
    reply_thread(server, object, inferior->told_as, tid);
    if (handle) {
        reply_text(object, "\" handle=\"");
        reply_hex(object, &handle, sizeof handle);
    }
    if (task_read(inferior->id, tid, &task)) {
        reply_format(object, "\" core=\"%d", task.core);
        if (!inferior_is_part(
                inferior)) { /* gdbserver finds none either, and its name would hide that it is no thread */
            reply_text(object, "\" name=\"");
            reply_xml(object, task.name);
        }
    }
    reply_text(object, "\"/>\n");
}

/* A thread's pthread_t, by which gdb's scripts name it. It is kept, for the list is asked for at each stop, and to look at all
 * threads' registers then would take long. */
struct handle {
    int tid;
    uint64_t value;
};

static void add_threads(struct server *server, struct inferior *inferior, rein_thread **threads, size_t count,
                        struct reply *object)
{
    struct handle *handles = calloc(count + 1, sizeof *handles);
    size_t used = 0, at = 0;
    for (size_t i = 0; i < count; i++) {
        int tid = rein_thread_id(threads[i]);
        uint64_t handle = 0;
        /* Both lists have the threads in the same order. The first thread's is another after an exec. */
        for (size_t j = at; j < inferior->handle_count && !handle && tid != inferior->id; j++)
            if (inferior->handles[j].tid == tid) {
                handle = inferior->handles[j].value;
                at = j + 1;
            }
        enum rein_state state;
        /* A part may have its maker's thread pointer. */
        if (!handle && !inferior_is_part(inferior) && rein_thread_state(threads[i], &state) == 0 &&
            rein_state_is_stopped(state))
            handle = tls_pthread(server, threads[i]);
        if (handle && handles)
            handles[used++] = (struct handle){tid, handle};
        add_thread(server, inferior, tid, handle, object);
    }
    free(inferior->handles);
    inferior->handles = handles;
    inferior->handle_count = used;
}

static bool make_threads(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    if (!no_annex(server, annex, reply))
        return false;
    reply_text(object, "<threads>\n");
    for (struct inferior *inferior = inferior_known(server->inferiors); inferior;
         inferior = inferior_known(inferior->next)) {
        rein_thread **threads = NULL;
        size_t count = 0;
        rein_process_threads(inferior->process, &threads, &count);
        add_threads(server, inferior, threads, count, object);
        /* A vfork child has no threads to be seen yet. A client that is not told of any takes the process for gone. */
        if (!count && !inferior_is_part(inferior) && !inferior->end)
            add_thread(server, inferior, inferior->id, 0, object);
        rein_thread_list_free(threads, count);
    }
    reply_text(object, "</threads>\n");
    return true;
}

/* ---- Libraries: the run-time linker's lists, as in gdbserver's answers ---- */

struct image image_of(struct server *server, struct inferior *inferior)
{
    const char *architecture = rein_process_architecture(inferior->process);
    return (struct image){server, inferior, strcmp(architecture, "i386") != 0 && strcmp(architecture, "arm") != 0};
}

bool image_read(const struct image *image, uint64_t address, void *bytes, size_t size)
{
    return memory_read(image->server, image->inferior, address, bytes, size) == size;
}

bool image_read_words(const struct image *image, uint64_t address, uint64_t *words, size_t count)
{
    if (image->wide)
        return image_read(image, address, words, count * sizeof *words);
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        if (!image_read(image, address + 4 * i, &word, sizeof word))
            return false;
        words[i] = word;
    }
    return true;
}

/* What the kernel told the program of itself; 0: not. */
static uint64_t auxv_value(const struct image *image, const char *auxv, size_t size, uint64_t type)
{
    size_t word = image->wide ? 8 : 4;
    for (size_t at = 0; at + 2 * word <= size; at += 2 * word) {
        uint64_t key = 0, value = 0; /* little-endian, as all platforms are */
        memcpy(&key, auxv + at, word);
        memcpy(&value, auxv + at + word, word);
        if (key == type)
            return value;
        if (key == AT_NULL)
            return 0;
    }
    return 0;
}

static bool read_segment(const struct image *image, uint64_t headers, size_t index, struct segment *segment)
{
    Elf64_Phdr large;
    Elf32_Phdr small;
    if (image->wide) {
        if (!image_read(image, headers + index * sizeof large, &large, sizeof large))
            return false;
        *segment = (struct segment){large.p_type, large.p_vaddr, large.p_memsz, large.p_align, false, 0};
        return true;
    }
    if (!image_read(image, headers + index * sizeof small, &small, sizeof small))
        return false;
    *segment = (struct segment){small.p_type, small.p_vaddr, small.p_memsz, small.p_align, false, 0};
    return true;
}

/* By the headers in memory. Where the program was loaded shows in their own address. */
bool image_segment(const struct image *image, uint32_t type, struct segment *segment)
{
    size_t size = 0;
    char *auxv = read_auxv(image->inferior, &size);
    if (!auxv)
        return false;
    uint64_t headers = auxv_value(image, auxv, size, AT_PHDR), count = auxv_value(image, auxv, size, AT_PHNUM);
    uint64_t bias = 0;
    bool found = false, has_bias = false;
    struct segment each;
    free(auxv);
    for (size_t i = 0; headers && i < count && i < HEADERS_MAX && read_segment(image, headers, i, &each); i++) {
        if (each.type == PT_PHDR) {
            bias = headers - each.address;
            has_bias = true;
        }
        if (each.type == type) {
            *segment = each;
            found = true;
        }
    }
    if (found) {
        segment->has_bias = has_bias;
        segment->bias = bias;
    }
    return found;
}

/* struct r_debug, which the linker has told the program in DT_DEBUG. False: there is no such place. 0: it is not there yet. */
static bool find_debug(const struct image *image, uint64_t *debug)
{
    struct segment dynamic;
    if (!image_segment(image, PT_DYNAMIC, &dynamic) || !dynamic.has_bias)
        return false;
    size_t size = image->wide ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
    uint64_t at = dynamic.address + dynamic.bias, entry[2];
    if (!image->wide)
        at = (uint32_t)at;
    for (size_t i = 0; i < dynamic.size / size && i < DYNAMIC_MAX; i++) {
        if (!image_read_words(image, at + i * size, entry, 2) || entry[0] == DT_NULL)
            return false;
        if (entry[0] == DT_DEBUG) {
            *debug = entry[1];
            return true;
        }
    }
    return false;
}

/* Words of struct link_map, and of struct r_debug, in which the version is an int. */
enum { L_ADDR, L_NAME, L_LD, L_NEXT, L_PREV, L_WORDS };
enum { R_VERSION, R_MAP, R_NEXT = 5 };

static void read_name(const struct image *image, uint64_t address, char name[PATH_LIMIT])
{
    size_t used = 0;
    while (used < PATH_LIMIT - 1) {
        size_t piece = PATH_LIMIT - 1 - used < 128 ? PATH_LIMIT - 1 - used : 128;
        size_t got = memory_read(image->server, image->inferior, address + used, name + used, piece);
        if (memchr(name + used, '\0', got))
            return;
        used += got;
        if (got < piece)
            break;
    }
    name[used] = '\0';
}

/* A list from map on, of which the one before it is known. What does not lead back there is no list any more. */
static void add_libraries(const struct image *image, uint64_t map, uint64_t previous, uint64_t space, size_t *limit,
                          struct reply *object)
{
    uint64_t words[L_WORDS];
    while (map && *limit && image_read_words(image, map, words, L_WORDS) && words[L_PREV] == previous) {
        char name[PATH_LIMIT];
        read_name(image, words[L_NAME], name);
        if (*name) {
            reply_text(object, "<library name=\"");
            reply_xml(object, name);
            reply_format(object,
                         "\" lm=\"0x%" PRIx64 "\" l_addr=\"0x%" PRIx64 "\" l_ld=\"0x%" PRIx64 "\" lmid=\"0x%" PRIx64
                         "\"/>",
                         map, words[L_ADDR], words[L_LD], space);
        }
        previous = map;
        map = words[L_NEXT];
        --*limit;
    }
}

/* All namespaces (dlmopen's). The first entry of the first is the program itself. */
static void add_namespaces(const struct image *image, uint64_t debug, struct reply *object)
{
    uint64_t map, previous = 0, words[L_WORDS];
    uint64_t word = image->wide ? 8 : 4;
    size_t limit = LIBRARIES_MAX;
    int32_t version;
    bool first = true;
    for (int i = 0; debug && i < NAMESPACES_MAX; i++) {
        if (!image_read(image, debug, &version, sizeof version) || version < 1 ||
            !image_read_words(image, debug + R_MAP * word, &map, 1))
            break;
        previous = 0;
        if (first && map) {
            reply_format(object, " main-lm=\"0x%" PRIx64 "\">", map);
            first = false;
            previous = map;
            map = image_read_words(image, map, words, L_WORDS) ? words[L_NEXT] : 0;
        } else if (first) {
            break;
        }
        add_libraries(image, map, previous, debug, &limit, object);
        if (version < 2 || !image_read_words(image, debug + R_NEXT * word, &debug, 1))
            break;
    }
    if (first)
        reply_text(object, ">");
}

/* The annex: "start=ADDR;prev=ADDR;lmid=ADDR" asks for the rest of one list; nothing: all. */
static bool make_libraries(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    struct inferior *inferior = general_or_error(server, reply);
    uint64_t start = 0, previous = 0, space = 0, debug = 0;
    if (!inferior)
        return false;
    while (*annex) {
        uint64_t ignored, *value = parse_prefix(&annex, "start=")  ? &start
                                   : parse_prefix(&annex, "prev=") ? &previous
                                   : parse_prefix(&annex, "lmid=") ? &space
                                                                   : NULL;
        if (!value) {
            annex += strcspn(annex, "=;");
            value = &ignored;
            parse_prefix(&annex, "=");
        }
        if (!parse_hex(&annex, value) || (*annex && *annex != ';')) {
            server_error(server, reply, "not an address in the annex");
            return false;
        }
        annex += *annex == ';';
    }
    struct image image = image_of(server, inferior);
    if (!start && !find_debug(&image, &debug)) {
        server_error(server, reply, "the program has no run-time linker that can be asked");
        return false;
    }
    reply_text(object, "<library-list-svr4 version=\"1.0\"");
    size_t limit = LIBRARIES_MAX;
    if (start) {
        reply_text(object, ">");
        add_libraries(&image, start, previous, space, &limit, object);
    } else {
        add_namespaces(&image, debug, object);
    }
    reply_text(object, "</library-list-svr4>");
    return true;
}

/* ---- A signal's details ---- */

enum { INFO = 128 };

/* A stop that no signal has made has the one that the kernel stops a tracee with. */
static void make_up(const struct rein_cause *cause, unsigned char raw[INFO])
{
    int32_t words[3] = {SIGTRAP, 0, 0};
    switch (cause->kind) {
    case REIN_CAUSE_BREAKPOINT:
        words[2] = SI_KERNEL;
        break;
    case REIN_CAUSE_STEP:
        words[2] = TRAP_TRACE;
        break;
    case REIN_CAUSE_WATCHPOINT:
        words[2] = TRAP_HWBKPT;
        break;
    case REIN_CAUSE_STOPPED:
        words[0] = SIGSTOP;
        break;
    default:
        break;
    }
    memset(raw, 0, INFO);
    memcpy(raw, words, sizeof words);
}

/* What a 32-bit program would find: behind three ints the same members, but addresses and times have 4 bytes, and nothing is
 * aligned to 8. So: which bytes of a 64-bit siginfo are where in a 32-bit one, the head, and what the kind of signal has behind it. */
struct part {
    unsigned char narrow, wide, size;
};

static const struct part *parts_of(const unsigned char raw[INFO])
{
    static const struct part sent[] = {{0, 0, 12},
                                       {12, 16, 8},
                                       {20, 24, 4},
                                       {0}}, /* two ints and a value; a timer's, too */
        child[] = {{0, 0, 12}, {12, 16, 12}, {24, 32, 4}, {28, 40, 4}, {0}},
                             /* the address, how much of it counts, bounds or the key */
        fault[] = {{0, 0, 12}, {12, 16, 4}, {16, 24, 2}, {20, 32, 4}, {24, 40, 4}, {0}},
                             io[] = {{0, 0, 12}, {12, 16, 4}, {16, 24, 4}, {0}},
                             call[] = {{0, 0, 12}, {12, 16, 4}, {16, 24, 8}, {0}};
    int32_t words[3];
    memcpy(words, raw, sizeof words);
    int number = words[0], code = words[2];
    return code < 0 || code == SI_USER                                                                          ? sent
           : number == SIGCHLD                                                                                  ? child
           : number == SIGILL || number == SIGFPE || number == SIGSEGV || number == SIGBUS || number == SIGTRAP ? fault
           : number == SIGIO                                                                                    ? io
           : number == SIGSYS                                                                                   ? call
                                                                                                                : sent;
}

static void make_narrow(unsigned char raw[INFO])
{
    unsigned char to[INFO] = {0};
    for (const struct part *part = parts_of(raw); part->size; part++)
        memcpy(to + part->narrow, raw + part->wide, part->size);
    memcpy(raw, to, INFO);
}

static void make_wide(unsigned char raw[INFO])
{
    unsigned char to[INFO] = {0};
    for (const struct part *part = parts_of(raw); part->size; part++)
        memcpy(to + part->wide, raw + part->narrow, part->size);
    memcpy(raw, to, INFO);
}

/* Of the general thread, in its program's layout. False: it has been answered. */
static bool read_siginfo(struct server *server, unsigned char raw[INFO], struct reply *reply)
{
    rein_thread *thread = NULL;
    struct rein_cause cause;
    struct inferior *inferior = server_general(server, &thread);
    if (!inferior) {
        server_error(server, reply, "there is no thread");
        return false;
    }
    if (rein_thread_cause(thread, &cause) != 0) {
        server_fail(server, reply);
        rein_thread_unref(thread);
        return false;
    }
    if (server->written_siginfo.tid == rein_thread_id(thread)) {
        memcpy(raw, server->written_siginfo.signal.raw, INFO);
    } else if (cause.kind == REIN_CAUSE_SIGNAL) {
        memcpy(raw, cause.signal.raw, INFO);
    } else {
        make_up(&cause, raw);
    }
    if (sizeof(void *) == 8 && strcmp(rein_process_architecture(inferior->process), "i386") == 0)
        make_narrow(raw);
    rein_cause_clear(&cause);
    rein_thread_unref(thread);
    return true;
}

static bool make_siginfo(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    unsigned char raw[INFO];
    if (!no_annex(server, annex, reply) || !read_siginfo(server, raw, reply))
        return false;
    reply_bytes(object, raw, INFO);
    return true;
}

static int set_siginfo(struct server *server, unsigned char raw[INFO])
{
    rein_thread *thread = NULL;
    struct rein_cause cause;
    struct inferior *inferior = server_general(server, &thread);
    if (!inferior || rein_thread_cause(thread, &cause) != 0) {
        rein_thread_unref(thread);
        return REIN_NO_THREAD;
    }
    if (sizeof(void *) == 8 && strcmp(rein_process_architecture(inferior->process), "i386") == 0)
        make_wide(raw);
    struct rein_signal signal = {.number = 0};
    int32_t number;
    memcpy(&number, raw, sizeof number);
    memcpy(&signal.error, raw + 4, sizeof signal.error);
    memcpy(&signal.code, raw + 8, sizeof signal.code);
    memcpy(signal.raw, raw, INFO);
    uint64_t address;
    memcpy(&address, raw + 16, sizeof address);
    signal.address = address;
    signal.number = number;
    int result = rein_thread_set_signal_info(thread, &signal);
    server->written_siginfo.tid = 0;
    if (result == REIN_BAD_STATE || result == REIN_INVALID_ARGUMENT) {
        server->written_siginfo.tid = rein_thread_id(thread);
        server->written_siginfo.signal = signal;
        result = 0;
    }
    rein_cause_clear(&cause);
    rein_thread_unref(thread);
    return result;
}

/* "annex:offset:data". gdb writes back after a call of a function what it has read before, when the thread has been stopped by
 * another signal, or by none. Then it is kept to be read again, and for the signal of that number with
 * which the client resumes the thread. */
static void write_siginfo(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    unsigned char raw[INFO];
    const char *at = arguments;
    uint64_t offset;
    if (!parse_prefix(&at, ":") || !parse_hex_to(&at, ':', &offset)) {
        server_error(server, reply, "not an offset and data");
        return;
    }
    char *data = arguments + (at - arguments);
    length = packet_unescape(data, length - (size_t)(at - arguments));
    if (offset > INFO || length > INFO - offset) {
        server_error(server, reply, "a siginfo has %d bytes", INFO);
        return;
    }
    if (!read_siginfo(server, raw, reply))
        return;
    memcpy(raw + offset, data, length);
    int result = set_siginfo(server, raw);
    if (result != 0)
        server_fail(server, reply);
    else
        reply_format(reply, "%zx", length);
}

/* ---- The machine ---- */

static bool make_osdata(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    (void)server, (void)reply;
    osdata_make(annex, object); /* nothing of an unknown type: gdb says that there is no data */
    return true;
}

/* What has been collected in the trace frame that is chosen. */
static bool make_frame_info(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    bool made = no_annex(server, annex, reply) && trace_make_info(server, object);
    if (!made && !reply->used)
        server_error(server, reply, "there is no trace frame");
    return made;
}

/* ---- Pieces ---- */

static const struct object_kind kinds[] = {
    {"features", make_features, true},
    {"auxv", make_auxv, false},
    {"exec-file", make_exec_file, false},
    {"threads", make_threads, true},
    {"libraries-svr4", make_libraries, true},
    {"siginfo", make_siginfo, false},
    {"osdata", make_osdata, true},
    {"traceframe-info", make_frame_info, true},
};

static void forget(struct kept *kept)
{
    reply_free(&kept->object);
    free(kept->annex);
    *kept = (struct kept){0};
}

void xfer_free(struct server *server)
{
    if (server->xfer)
        forget(server->xfer);
    free(server->xfer);
    server->xfer = NULL;
}

/* The object, as it was at its first piece. NULL: that has been answered. */
static const struct reply *find_object(struct server *server, const struct object_kind *kind, const char *annex,
                                       bool is_first, struct reply *reply)
{
    if (!server->xfer)
        server->xfer = cli_alloc(1, sizeof(struct kept));
    struct kept *kept = server->xfer;
    if (kind->keep && !is_first && kept->kind == kind && strcmp(kept->annex, annex) == 0 &&
        kept->pid == server->general_pid && kept->tid == server->general_tid)
        return &kept->object;
    forget(kept);
    bool made = kind->make(server, annex, &kept->object, reply);
    if (made && kept->object.failed) {
        server_error(server, reply, "out of memory");
        made = false;
    }
    if (!made) {
        forget(kept);
        return NULL;
    }
    kept->kind = kind;
    kept->annex = cli_copy(annex);
    kept->pid = server->general_pid;
    kept->tid = server->general_tid;
    return &kept->object;
}

/* "annex:offset,length" */
static void read_piece(struct server *server, const struct object_kind *kind, char *arguments, struct reply *reply)
{
    char *end = strchr(arguments, ':');
    const char *at = end ? end + 1 : "";
    uint64_t offset, length;
    if (!parse_hex_to(&at, ',', &offset) || !parse_hex_to(&at, '\0', &length)) {
        server_error(server, reply, "not an offset and a length");
        return;
    }
    *end = '\0';
    const struct reply *object = find_object(server, kind, arguments, offset == 0, reply);
    if (!object)
        return;
    if (offset > object->used) {
        server_error(server, reply, "the object ends at %zu", object->used);
        return;
    }
    size_t left = object->used - (size_t)offset, wanted = length < left ? (size_t)length : left;
    const char *piece = left ? object->text + offset : "";
    size_t fit = binary_fit(piece, wanted, PACKET_MAX - 1);
    reply_text(reply, fit == left ? "l" : "m");
    reply_binary(reply, piece, fit);
}

static void transfer(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *at = arguments;
        if (!parse_prefix(&at, kinds[i].name) || *at != ':')
            continue;
        at++;
        char *rest = arguments + (at - arguments);
        if (parse_prefix(&at, "read:"))
            read_piece(server, &kinds[i], rest + strlen("read:"), reply);
        else if (kinds[i].make == make_siginfo && parse_prefix(&at, "write:"))
            write_siginfo(server, rest + strlen("write:"), length - (size_t)(at - arguments), reply);
        return;
    }
}

const struct handler xfer_handlers[] = {
    {"qXfer:", transfer},
    {NULL, NULL},
};
