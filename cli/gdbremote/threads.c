/* Packets about threads: which there are, which is meant, and what they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

static void run_select(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    char operation = *arguments;
    const char *text = arguments + 1;
    int pid, tid;
    if ((operation != 'g' && operation != 'c') || !parse_thread(server, &text, &pid, &tid) || *text) {
        server_error(server, reply, "H takes g or c, and a thread");
        return;
    }
    if (operation == 'c') {
        server->resume_pid = pid;
        server->resume_tid = tid;
        server_ok(reply);
        return;
    }
    rein_thread *thread = NULL;
    /* "Any" stays what it has been, as long as that is there: after vAttach gdb means the new process. */
    if (pid <= 0 && tid <= 0 && server->general_pid > 0 && server_general(server, &thread)) {
        rein_thread_unref(thread);
        server_ok(reply);
        return;
    }
    struct inferior *inferior = server_resolve(server, pid, tid < 0 ? 0 : tid, &thread);
    if (!inferior && (tid > 0 || pid > 0)) {
        /* A process of which no thread can be seen now (a vfork child) can be chosen for its memory. */
        inferior = tid <= 0 || tid == pid ? inferior_find(server, pid) : NULL;
        if (!inferior) {
            server_error(server, reply, "there is no such thread");
            return;
        }
        server->general_pid = pid;
        server->general_tid = 0;
        server_ok(reply);
        return;
    }
    server->general_pid = inferior ? inferior->told_as : 0;
    if (tid > 0 || !inferior)
        server->general_tid = tid > 0 ? tid : 0;
    else
        server->general_tid = rein_thread_id(thread);
    rein_thread_unref(thread);
    server_ok(reply);
}

static void run_alive(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    int pid, tid;
    rein_thread *thread = NULL;
    enum rein_state state;
    if (!parse_thread(server, &text, &pid, &tid) || *text || tid <= 0 || !server_resolve(server, pid, tid, &thread) ||
        rein_thread_state(thread, &state) != 0 || rein_state_is_terminal(state))
        server_error(server, reply, "there is no such thread");
    else
        server_ok(reply);
    rein_thread_unref(thread);
}

static void run_current(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    rein_thread *thread = NULL;
    struct inferior *inferior = server_general(server, &thread);
    if (!inferior)
        inferior = server_resolve(server, 0, 0, &thread);
    if (!inferior && server->features.lldb) { /* which takes 0 for a process, and does not start one then */
        server_error(server, reply, "there is no thread");
        return;
    }
    reply_text(reply, "QC");
    if (inferior)
        reply_thread(server, reply, inferior->told_as, rein_thread_id(thread));
    else
        reply_text(reply, "0");
    rein_thread_unref(thread);
}

static void run_list(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    for (struct inferior *inferior = inferior_known(server->inferiors); inferior;
         inferior = inferior_known(inferior->next)) {
        rein_thread **threads;
        size_t count;
        if (rein_process_threads(inferior->process, &threads, &count) != 0)
            continue;
        for (size_t i = 0; i < count && reply->used < PACKET_MAX - 64; i++) {
            reply_text(reply, reply->used ? "," : "m");
            reply_thread(server, reply, inferior->told_as, rein_thread_id(threads[i]));
        }
        rein_thread_list_free(threads, count);
    }
    /* lldb takes "l" without a process for one whose id is 1 ("process connect"), as lldb-server knows. */
    if (!reply->used)
        reply_text(reply, server->features.lldb && !inferior_known(server->inferiors) ? "OK" : "l");
}

static void run_list_end(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length;
    reply_text(reply, "l");
}

static void run_extra(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    int pid, tid;
    rein_thread *thread = NULL;
    char name[16];
    if (!parse_thread(server, &text, &pid, &tid) || !server_resolve(server, pid, tid, &thread) ||
        rein_thread_name(thread, name) != 0)
        server_error(server, reply, "there is no such thread");
    else
        reply_hex_text(reply, *name ? name : "?");
    rein_thread_unref(thread);
}

static void run_attached(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    uint64_t pid = 0;
    if (*text == ':' && (++text, !parse_hex_to(&text, '\0', &pid))) {
        server_error(server, reply, "qAttached takes a process id");
        return;
    }
    struct inferior *inferior =
        pid ? inferior_find(server, (int)pid) : server_resolve(server, server->general_pid, 0, NULL);
    if (!inferior)
        server_error(server, reply, "there is no such process");
    else
        reply_text(reply, inferior->was_attached ? "1" : "0");
}

const struct handler thread_handlers[] = {
    {"H", run_select},
    {"T", run_alive},
    {"qC", run_current},
    {"qfThreadInfo", run_list},
    {"qsThreadInfo", run_list_end},
    {"qThreadExtraInfo,", run_extra},
    {"qAttached*", run_attached},
    {NULL, NULL},
};
