/* lldb's dialect (lldb.h has its files): who the client is, and what it asks of the host and the process.
 *
 * An lldb client is known by the first packet that gdb has not. From then on threads' ids are without their process's, signals have
 * Linux's numbers, and stop replies say more (lldb_stops.c). */
#include "lldb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "server.h"

/* ---- What is kept for the client ---- */

struct lldb *lldb_of(struct server *server)
{
    if (!server->saved)
        server->saved = calloc(1, sizeof(struct lldb));
    return server->saved;
}

void lldb_free(struct server *server)
{
    struct lldb *lldb = server->saved;
    if (!lldb)
        return;
    lldb_free_states(&lldb->states);
    lldb_free_allocations(&lldb->allocations);
    free(lldb);
    server->saved = NULL;
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

void lldb_add_text(struct reply *reply, const char *key, const char *value)
{
    reply_format(reply, "%s:", key);
    reply_hex_text(reply, value);
    reply_text(reply, ";");
}

static const char *triple_of(const char *architecture)
{
    return strcmp(architecture, "amd64") == 0  ? "x86_64-pc-linux-gnu"
           : strcmp(architecture, "i386") == 0 ? "i386-pc-linux-gnu"
                                               : "aarch64-unknown-linux-gnu";
}

size_t lldb_word_size(const struct inferior *inferior)
{
    return strcmp(rein_process_architecture(inferior->process), "i386") == 0 ? 4 : 8;
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
    lldb_add_text(reply, "triple", triple_of(host_architecture()));
    /* On arm64, too: the library gets the thread past the instruction that has hit. */
    reply_format(reply, "ptrsize:%zu;watchpoint_exceptions_received:after;endian:little;os_version:%.*s;",
                 sizeof(void *), (int)strspn(name.release, "0123456789."), name.release);
    lldb_add_text(reply, "os_build", name.release);
    lldb_add_text(reply, "os_kernel", name.version);
    lldb_add_text(reply, "hostname", name.nodename);
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
    lldb_add_text(reply, "triple", triple_of(rein_process_architecture(inferior->process)));
    reply_format(reply, "ostype:linux;endian:little;ptrsize:%zu;", lldb_word_size(inferior));
}

static void run_watchpoints(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length;
    reply_text(reply, "num:4;"); /* of all amd64 and i386, and most arm64 processors */
}

const struct handler lldb_handlers[] = {
    {"QThreadSuffixSupported", run_suffix},
    {"QListThreadsInStopReply", run_list_threads},
    {"QEnableErrorStrings", run_error_strings},
    {"qHostInfo", run_host},
    {"qProcessInfo", run_process},
    {"qWatchpointSupportInfo:", run_watchpoints},
    {NULL, NULL},
};
