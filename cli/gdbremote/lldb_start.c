/* lldb's dialect: starting programs, with the environment and the files for input and output that the client names, and attaching by
 * name, also to a process that is still to come. The work is done by the packets of launch.c. */
#include <dirent.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"
#include "signals.h"

enum {
    NAME_WAIT_MS = 2, /* between two looks for a process of that name */
    NAMED_MAX = 1024, /* processes of one name */
};
enum wait_kind { WAIT_NEVER, WAIT_NEW, WAIT_IF_NONE };

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

/* ---- Starting ---- */

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

/* ---- Attaching by name ---- */

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
        if (pid > 0 && pid <= INT32_MAX && !*end && pid != server->pid && pid != rein_monitor_id(server->monitor) &&
            is_called((int)pid, name))
            pids[count++] = (int)pid;
    }
    if (directory)
        closedir(directory);
    return count;
}

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
    while (!server->quit && !signals_ended_by() && !packets_waiting(&server->packets) &&
           server_poll(server, &input, 1, NAME_WAIT_MS) <= 0) {
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

const struct handler lldb_start_handlers[] = {
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
