/* qXfer: objects that a client reads in pieces, "object:read:annex:offset,length"; the answer is a piece behind 'm', or the last
 * one behind 'l'. Documents that change from one moment to the next (the list of threads) are made at offset 0 and kept, so
 * that their pieces fit each other.
 *
 * Here are the pieces, and the small objects. xfer_libraries.c makes the list of libraries, xfer_siginfo.c a signal's details, and
 * osdata.c the tables of the machine. */
#include "xfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cli.h"
#include "image.h"
#include "server.h"

enum { PATH_LIMIT = 0x1000 };

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

struct inferior *xfer_inferior(struct server *server, struct reply *reply)
{
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior)
        server_error(server, reply, "there is no process");
    return inferior;
}

bool xfer_no_annex(struct server *server, const char *annex, struct reply *reply)
{
    if (*annex)
        server_error(server, reply, "there is no annex '%s'", annex);
    return !*annex;
}

static bool make_features(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    struct inferior *inferior = xfer_inferior(server, reply);
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

static bool make_auxv(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    struct inferior *inferior = xfer_inferior(server, reply);
    size_t size = 0;
    if (!inferior || !xfer_no_annex(server, annex, reply))
        return false;
    char *bytes = image_auxv(inferior, &size);
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
    if (!xfer_no_annex(server, annex, reply))
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
    bool made = xfer_no_annex(server, annex, reply) && trace_make_info(server, object);
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
    {"libraries-svr4", xfer_make_libraries, true},
    {"siginfo", xfer_make_siginfo, false},
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
        else if (kinds[i].make == xfer_make_siginfo && parse_prefix(&at, "write:"))
            xfer_write_siginfo(server, rest + strlen("write:"), length - (size_t)(at - arguments), reply);
        return;
    }
}

const struct handler xfer_handlers[] = {
    {"qXfer:", transfer},
    {NULL, NULL},
};
