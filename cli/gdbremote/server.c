/* The server's loop: a client is awaited, its packets are answered one after the other, and what happens to the processes meanwhile
 * is told. Nothing here waits for a process: while one runs the loop polls the link and the processes' event descriptors.
 *
 * In gdb's all-stop mode the client asks for a resume and waits for its answer, which is the next stop; in non-stop mode it
 * is answered at once, and stops are told by notifications (stops.c). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../cli.h"
#include "printing.h"
#include "server.h"
#include "signals.h"

void server_say(struct server *server, const char *format, ...)
{
    if (server->quiet)
        return;
    /* In one write: programs write to the same file. */
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text - 1, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if ((size_t)length > sizeof text - 2)
        length = sizeof text - 2;
    text[length] = '\n';
    text[length + 1] = '\0';
    fputs(text, stderr);
}

void server_ok(struct reply *reply)
{
    reply_clear(reply);
    reply_text(reply, "OK");
}

/* lldb has a form of its own for what went wrong. */
static void reply_problem(const struct server *server, struct reply *reply, const char *text)
{
    if (!server->features.error_strings) {
        reply_error(reply, server->features.error_messages, "%s", text);
        return;
    }
    reply_clear(reply);
    reply_text(reply, "E01;");
    reply_hex_text(reply, text);
}

void server_fail(struct server *server, struct reply *reply)
{
    reply_problem(server, reply, rein_error_message());
}

void server_error(struct server *server, struct reply *reply, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reply_problem(server, reply, text);
}

void server_console(struct server *server, const char *text, size_t length)
{
    struct reply reply = {0};
    reply_text(&reply, "O");
    reply_hex(&reply, text, length);
    if (!reply.failed)
        packets_send(&server->packets, reply.text, reply.used);
    reply_free(&reply);
}

/* ---- What the two can do ---- */

static void run_supported(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct features *features = &server->features;
    const struct {
        const char *name;
        bool *is_on;
    } known[] = {
        {"multiprocess", &features->multiprocess}, {"swbreak", &features->swbreak},
        {"hwbreak", &features->hwbreak},           {"fork-events", &features->fork_events},
        {"vfork-events", &features->vfork_events}, {"exec-events", &features->exec_events},
        {"no-resumed", &features->no_resumed},     {"error-message", &features->error_messages},
    };
    features->xml |= strstr(arguments, "xmlRegisters=") != NULL;
    char *rest = NULL;
    for (char *word = strtok_r(arguments, ":;", &rest); word; word = strtok_r(NULL, ":;", &rest))
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            size_t size = strlen(known[i].name);
            if (strncmp(word, known[i].name, size) == 0 && strcmp(word + size, "+") == 0)
                *known[i].is_on = true;
        }
    /* lldb names what it has, but takes exec and forks as it always did. */
    server_set_policies(server);
    reply_format(
        reply,
        "PacketSize=%x;native-signals+;QThreadSuffixSupported+;QListThreadsInStopReply+;QStartNoAckMode+;"
        "QNonStop+;QPassSignals+;QProgramSignals+;QCatchSyscalls+;QThreadEvents+;"
        "QStartupWithShell+;QEnvironmentHexEncoded+;QEnvironmentReset+;QEnvironmentUnset+;QSetWorkingDir+;"
        "QDisableRandomization+;multiprocess+;swbreak+;hwbreak+;fork-events+;vfork-events+;exec-events+;"
        "vContSupported+;no-resumed+;ConditionalBreakpoints+;BreakpointCommands+;error-message+;"
        "qXfer:features:read+;qXfer:auxv:read+;qXfer:threads:read+;qXfer:exec-file:read+;"
        "qXfer:libraries-svr4:read+;augmented-libraries-svr4-read+;qXfer:siginfo:read+;qXfer:siginfo:write+;"
        "qXfer:osdata:read+;qXfer:traceframe-info:read+;ConditionalTracepoints+;TraceStateVariables+;"
        "TracepointSource+;DisconnectedTracing+;InstallInTrace+;EnableDisableTracepoints+;QTBuffer:size+;tracenz+",
        PACKET_MAX);
}

static void run_no_ack(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    server->packets.no_ack = true;
    server_ok(reply);
}

static void run_extended(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    server->extended = true;
    server_ok(reply);
}

static void run_non_stop(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (strcmp(arguments, "0") != 0 && strcmp(arguments, "1") != 0) {
        server_error(server, reply, "QNonStop takes 0 or 1");
        return;
    }
    server->non_stop = *arguments == '1';
    server_set_policies(server);
    server_ok(reply);
}

/* `monitor COMMAND`, in hex: its output goes to the client's console, and then comes whether it was understood. */
static void run_command(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    char *command = parse_hex_text(arguments, length);
    if (!command) {
        server_error(server, reply, "the command is not in hex");
        return;
    }
    struct reply output = {0};
    bool known = monitor_command(server, command, &output);
    free(command);
    if (output.used)
        server_console(server, output.text, output.used);
    reply_free(&output);
    reply_text(reply, known ? "OK" : "E01");
}

static void run_nothing(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length, (void)reply;
}

static void run_agreed(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length;
    server_ok(reply);
}

const struct handler server_handlers[] = {
    {"qSupported", run_supported},    {"qSupported:", run_supported},
    {"QStartNoAckMode", run_no_ack},  {"!", run_extended},
    {"QNonStop:", run_non_stop},      {"qRcmd,", run_command},
    {"qSymbol:", run_agreed}, /* none is wanted: tls.c looks in the files itself */
    {"vMustReplyEmpty", run_nothing}, {NULL, NULL},
};

/* ---- Packets ---- */

static const struct handler *const tables[] = {
    server_handlers,      thread_handlers,     register_handlers, memory_handlers,        point_handlers,
    action_handlers,      filter_handlers,     launch_handlers,   end_handlers,           xfer_handlers,
    file_handlers,        tls_handlers,        lldb_handlers,     lldb_register_handlers, lldb_stop_handlers,
    lldb_memory_handlers, lldb_start_handlers, trace_handlers,    run_handlers,           frame_handlers,
};

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* How long the name is, if the packet has it; 0: it has not. */
static size_t match(const char *name, const char *data)
{
    size_t length = strlen(name);
    bool open = name[length - 1] == '*';
    length -= open;
    if (strncmp(name, data, length) != 0)
        return 0;
    return open || length == 1 || !is_alphanumeric(name[length - 1]) || data[length] == '\0' ? length : 0;
}

static const struct handler *find_handler(const char *data, size_t *name_length)
{
    const struct handler *found = NULL;
    *name_length = 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (const struct handler *each = tables[i]; each->name; each++) {
            size_t length = each->name[0] == data[0] ? match(each->name, data) : 0;
            /* Packets of one letter take anything, but not what begins with that letter and has a name of its own. */
            if (length > *name_length && (length > 1 || !strchr("qQvj_", data[0]))) {
                found = each;
                *name_length = length;
            }
        }
    return found;
}

static void handle(struct server *server, char *data, size_t length)
{
    struct reply reply = {0};
    size_t name_length;
    const struct handler *handler = find_handler(data, &name_length);
    server->packets_seen++;
    server->reply_later = false;
    if (handler)
        handler->run(server, data + name_length, length - name_length, &reply);
    if (reply.failed)
        reply_problem(server, &reply, "out of memory");
    server->packets.shortens = !server->features.lldb;
    if (!server->reply_later && !packets_given_up(&server->packets))
        packets_send(&server->packets, reply.text ? reply.text : "", reply.used);
    reply_free(&reply);
}

/* ---- A client ---- */

static void say_lost(struct server *server, uint64_t lost)
{
    if (lost)
        server_say(server, "%llu bytes that breakpoints printed are lost: standard output was not read",
                   (unsigned long long)lost);
}

int server_poll(struct server *server, struct pollfd *fds, size_t count, int timeout_ms)
{
    int ready = 0;
    int result = rein_monitor_poll(server->monitor, fds, count, timeout_ms, &ready);
    if (result == 0)
        return ready;
    errno = EINVAL;
    if (result == REIN_SYSTEM || result == REIN_NO_MEMORY)
        return -1;
    if (!server->quit)
        server_say(server, "%s", rein_error_message());
    server->quit = true;
    errno = EIO;
    return -1;
}

static int poll_with_events(void *arg, struct pollfd *fds, size_t count, int timeout_ms)
{
    return server_poll(arg, fds, count, timeout_ms);
}

/* For a packet, an event, a signal to the server, or room for what breakpoints have printed. */
static void wait_for_something(struct server *server)
{
    enum { INPUT, END, PRINTED, ROOM, TRACE, OWN, NO_MEMORY_MS = 100, LOOK_MS = 20 };
    size_t count = OWN;
    server->input_ready = server->events_ready = true;
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        count++;
    if (count > server->wait_room) {
        struct pollfd *grown = realloc(server->waits, 2 * count * sizeof *grown);
        if (!grown) { /* the events are looked for all the same */
            poll(NULL, 0, NO_MEMORY_MS);
            return;
        }
        server->waits = grown;
        server->wait_room = 2 * count;
    }
    struct pollfd *wait = server->waits;
    *wait++ = (struct pollfd){.fd = server->packets.input, .events = POLLIN};
    *wait++ = (struct pollfd){.fd = signals_end_fd(), .events = POLLIN};
    *wait++ = (struct pollfd){.fd = printing_wake_fd(), .events = POLLIN};
    *wait++ = (struct pollfd){.fd = printing_is_kept() ? STDOUT_FILENO : -1, .events = POLLOUT};
    *wait++ = (struct pollfd){.fd = trace_wake_fd(server), .events = POLLIN};
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        *wait++ = (struct pollfd){.fd = inferior->event_fd, .events = POLLIN}; /* -1 is passed over */
    wait = server->waits;
    if (server_poll(server, wait, count, server->non_stop && server->asks ? LOOK_MS : -1) < 0)
        return;
    server->input_ready = wait[INPUT].revents;
    if (wait[PRINTED].revents || wait[ROOM].revents)
        say_lost(server, printing_flush());
    server->events_ready = false;
    for (size_t i = OWN; i < count; i++)
        server->events_ready |= wait[i].revents != 0;
}

static void serve_client(struct server *server)
{
    server->input_ready = server->events_ready = true;
    while (!server->hang_up && !server->quit && !signals_ended_by()) {
        char *data;
        size_t length;
        if (server->input_ready)
            packets_read(&server->packets);
        server->input_ready = false;
        enum packet_kind kind = packets_next(&server->packets, &data, &length);
        switch (kind) {
        case PACKET_DATA:
            handle(server, data, length);
            break;
        case PACKET_INTERRUPT:
            server_interrupt(server);
            break;
        case PACKET_CLOSED:
            return;
        case PACKET_NONE:
            if (server->running || server->non_stop || server->events_ready)
                stops_collect(server);
            server->events_ready = false;
            trace_settle(server);
            if (!server->packets.broken && !packets_waiting(&server->packets))
                wait_for_something(server);
            break;
        }
        /* A client that asks and asks must not keep from being told what happens. */
        if (kind != PACKET_NONE && (server->running || server->non_stop))
            stops_collect(server);
    }
}

static void log_packet(void *arg, bool sent, const char *data, size_t length)
{
    struct server *server = arg;
    server->packets_sent += sent;
    if (!server->debug)
        return;
    fprintf(stderr, "%s ", sent ? "->" : "<-");
    for (size_t i = 0; i < length && i < 2000; i++) {
        if (data[i] >= ' ' && data[i] <= '~')
            fputc(data[i], stderr);
        else
            fprintf(stderr, "\\x%02x", (unsigned char)data[i]);
    }
    fputc('\n', stderr);
}

static void forget_client(struct server *server)
{
    server->features = (struct features){0};
    server->has_program_signals = false;
    resume_forget_client(server);
    launch_forget_client(server);
    stops_forget_client(server);
    server->non_stop = server->running = server->notified = server->hang_up = false;
    server->called_tid = server->written_siginfo.tid = 0;
    server->general_pid = server->general_tid = server->resume_pid = server->resume_tid = 0;
    server_set_policies(server);
    files_free(server);
    lldb_free(server);
    xfer_free(server);
    tls_free(server);
    memory_forget(server);
    trace_forget_frame(server);
    packets_free(&server->packets);
    link_hang_up(&server->link);
}

/* What a client has put into the programs, and the next one knows nothing of. */
static void forget_points(struct server *server)
{
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        inferior->is_described = false;
        points_remove_client(server, inferior);
        rein_process_trace_syscalls(inferior->process, 0, NULL, 0);
    }
}

/* Stopped, for the next client. */
static void keep_all(struct server *server, bool ran)
{
    if (ran) /* else the next client is told what this one has been told last */
        server_interrupt(server);
    launch_end_unheard(server);
    forget_points(server);
}

/* It runs on, with nobody to be told of anything. */
static void run_unattended(struct server *server)
{
    if (server->has_last) /* it runs on from there */
        rein_thread_unref(server->last.thread);
    server->has_last = false;
    server->unattended = true;
    server_set_policies(server);
    forget_points(server);
}

bool server_leave_running(struct server *server, struct inferior *inferior)
{
    bool is_last = server->once || server->link.listener < 0 || server->extended;
    if (is_last || inferior->next || inferior != server->inferiors || !trace_is_disconnected(server))
        return false;
    server_say(server, "Disconnected tracing in effect, leaving %s attached to the process",
               server->is_gdbserver ? "gdbserver" : "rein");
    server->hang_up = true;
    stops_forget(server, inferior->id, 0);
    server_forget_view(server);
    memory_forget(server);
    run_unattended(server);
    rein_process_continue(inferior->process);
    return true;
}

/* Watches what runs while a client is awaited: a trace may end by itself, and threads make steps for one. */
static void watch_unattended(struct server *server)
{
    struct epoll_event event = {.events = EPOLLIN};
    if (server->link.wake_fd >= 0)
        close(server->link.wake_fd);
    server->link.wake_fd = server->unattended ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (server->link.wake_fd < 0)
        return;
    epoll_ctl(server->link.wake_fd, EPOLL_CTL_ADD, trace_wake_fd(server), &event);
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        epoll_ctl(server->link.wake_fd, EPOLL_CTL_ADD, inferior->event_fd, &event); /* not -1 */
}

/* The program stops for a client that comes to what runs on without one. */
static void attend(struct server *server)
{
    if (!server->unattended)
        return;
    server->unattended = false;
    watch_unattended(server);
    server_set_policies(server);
    trace_settle(server);
    stops_halt(server);
}

static void look_after_unattended(void *arg)
{
    struct server *server = arg;
    trace_settle(server);
    stops_drain(server);
    watch_unattended(server);
}

/* The client is gone: what becomes of what it was looking at. is_last: there will be no other. ran: something may run. */
static void clean_up(struct server *server, bool is_last, bool ran)
{
    enum on_disconnect what = server->on_disconnect;
    /* gdbserver keeps the processes, stopped, for the next client. */
    if (trace_outlives_client(server, is_last)) {
        launch_end_unheard(server);
        if (ran)
            run_unattended(server);
        else
            keep_all(server, false);
        return;
    }
    bool keeps = what == DISCONNECT_KEEP || (what == DISCONNECT_DEFAULT && server->is_gdbserver);
    if (keeps && !is_last)
        keep_all(server, ran);
    else
        launch_end_all(server, what != DISCONNECT_DETACH, what == DISCONNECT_KILL);
}

int server_run(struct server *server)
{
    char text[400];
    int status = STATUS_OK;
    server->link.wake_fd = -1;
    server->link.poll = poll_with_events;
    server->link.poll_arg = server;
    if (server->link.port)
        server_say(server, "Listening on port %d", server->link.port);
    else if (server->link.path)
        server_say(server, "Listening on %s", server->link.path);
    if (server->link.everywhere && !server->is_gdbserver)
        server_say(server, "WARNING: whoever can reach this port can run any program as this user");

    while (true) {
        server->link.wake = look_after_unattended;
        server->link.wake_arg = server;
        watch_unattended(server);
        if (!link_accept(&server->link, text, sizeof text)) {
            if (*text)
                cli_error("serve: %s", text);
            status = *text ? STATUS_FAILED : STATUS_OK;
            break;
        }
        server_say(server, "Remote debugging %s", text);
        if (!packets_create(&server->packets, server->link.input, server->link.output)) {
            cli_error("serve: out of memory");
            status = STATUS_FAILED;
            break;
        }
        bool with_shell = server->with_shell, no_aslr = server->no_aslr;
        server->packets.end_fd = server->link.end_fd;
        server->packets.poll = poll_with_events;
        server->packets.poll_arg = server;
        server->packets.log = log_packet;
        server->packets.log_arg = server;
        attend(server);
        serve_client(server);
        bool said_so = server->hang_up; /* by D, k */
        bool ran = server->running || server->non_stop;
        forget_client(server);
        say_lost(server, printing_drain());
        server->with_shell = with_shell;
        server->no_aslr = no_aslr;
        bool is_last = server->quit || server->once || server->link.listener < 0 || signals_ended_by();
        if (!said_so || server->quit)
            clean_up(server, is_last, ran);
        if (is_last || (!server->inferiors && !server->extended && !server->multi))
            break;
        server_say(server, "Remote side has terminated connection.  rein will wait for another.");
    }
    clean_up(server, true, false);
    server->unattended = false;
    watch_unattended(server);
    free(server->waits);
    return status;
}

/* ---- monitor COMMAND ---- */

static void show_stats(struct server *server, struct reply *output)
{
    reply_format(output, "%llu packets received, %llu sent\n", (unsigned long long)server->packets_seen,
                 (unsigned long long)server->packets_sent);
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next) {
        rein_breakpoint **breakpoints;
        size_t count;
        reply_format(output, "process %d\n", inferior->id);
        if (rein_process_breakpoints(inferior->process, &breakpoints, &count) != 0)
            continue;
        for (size_t i = 0; i < count; i++) {
            struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
            if (rein_breakpoint_info(breakpoints[i], &info) == 0)
                reply_format(output, "  0x%llx: %llu hits, %llu with a true condition; %s\n",
                             (unsigned long long)info.pc, (unsigned long long)info.hits,
                             (unsigned long long)info.matched, info.why);
        }
        rein_breakpoint_list_free(breakpoints, count);
    }
}

/* gdbserver's switches, of which the first three are one to us. What they answer is what its users' scripts know. */
static bool set_switch(struct server *server, const char *command, struct reply *output)
{
    static const struct {
        const char *name, *what;
        bool logs;
    } switches[] = {
        {"set debug ", "Debug output", true},
        {"set remote-debug ", "Protocol debug output", true},
        {"set debug-hw-points ", "H/W point debugging output", false},
        {"set event-loop-debug ", "Event loop debug output", false},
    };
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        size_t length = strlen(switches[i].name);
        const char *value = command + length;
        if (strncmp(command, switches[i].name, length) != 0 || (strcmp(value, "0") != 0 && strcmp(value, "1") != 0))
            continue;
        if (switches[i].logs)
            server->debug = *value == '1';
        reply_format(output, "%s %s.\n", switches[i].what, *value == '1' ? "enabled" : "disabled");
        return true;
    }
    if (strcmp(command, "set debug-format all") == 0 || strcmp(command, "set debug-format none") == 0) {
        reply_format(output, "All extra debug format options %s.\n", strstr(command, "all") ? "enabled" : "disabled");
        return true;
    }
    return false;
}

/* gdbserver's way to choose its libthread_db. Here none is needed, but who has gdbserver look where there is none wants no answers
 * about thread-local variables (of a program with threads of another kind, say), and gets none. */
static void set_thread_library(struct server *server, const char *path, struct reply *output)
{
    char file[4096];
    bool found = *path == '\0';
    for (const char *at = path; *at && !found;) {
        int length = (int)(strchrnul(at, ':') - at);
        snprintf(file, sizeof file, "%.*s/libthread_db.so.1", length, at);
        found = *at == '$' || access(file, R_OK) == 0; /* "$sdir": the system's */
        at += length + (at[length] == ':');
    }
    server->no_tls = !found;
    reply_format(output, "libthread-db-search-path set to `%s'\n", path);
}

bool monitor_command(struct server *server, const char *command, struct reply *output)
{
    if (strcmp(command, "stats") == 0) {
        show_stats(server, output);
        return true;
    }
    if (strcmp(command, "exit") == 0) {
        server->quit = true;
        return true;
    }
    if (strcmp(command, "log on") == 0 || strcmp(command, "log off") == 0)
        return set_switch(server, command[5] == 'n' ? "set debug 1" : "set debug 0", output);
    if (set_switch(server, command, output))
        return true;
    static const char thread_library[] = "set libthread-db-search-path";
    size_t length = sizeof thread_library - 1;
    if (strncmp(command, thread_library, length) == 0 && (!command[length] || command[length] == ' ')) {
        set_thread_library(server, command + length + (command[length] == ' '), output);
        return true;
    }
    bool known = strcmp(command, "help") == 0;
    if (!known)
        reply_text(output, "Unknown monitor command.\n\n");
    reply_text(output, "The following monitor commands are supported:\n"
                       "  help                    this text\n"
                       "  stats                   packets, and hits of breakpoints\n"
                       "  log on|off              log packets on the server's standard error\n"
                       "  set debug 0|1           the same, as gdbserver has it; and set remote-debug 0|1\n"
                       "  set libthread-db-search-path PATH\n"
                       "                          no thread-local variables, if there is no libthread_db there\n"
                       "  exit                    ");
    /* By these words gdb's test suite knows a gdbserver, of which it expects other things here and there. */
    reply_text(output, server->is_gdbserver ? "Quit GDBserver\n" : "end the server\n");
    return known;
}
