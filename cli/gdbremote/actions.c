/* The packets by which a client lets threads run: vCont and its elders. They are read into actions, each for one thread or for all:
 * whether they are continued, stepped, stepped within a range or stopped.
 *
 * What they make of them is in resume.c. Those that ask why threads have stopped are here as well, and answered in stops.c. */
#include <signal.h>
#include <stdlib.h>

#include "resume.h"
#include "server.h"

const struct action *action_for(const struct action *actions, size_t count, const struct inferior *inferior, int tid)
{
    int pid = inferior->told_as;
    for (size_t i = 0; i < count; i++)
        if ((actions[i].pid < 0 || actions[i].pid == pid) && (actions[i].tid < 0 || actions[i].tid == tid))
            return &actions[i];
    return NULL;
}

static bool parse_signal(struct server *server, const char **text, int *signal)
{
    uint64_t number;
    if (!parse_hex(text, &number) || number > 255)
        return false;
    *signal = server->features.lldb ? (int)number : signal_from_gdb((int)number);
    return *signal >= 0 && *signal <= 64;
}

/* "c", "C05", "s", "S05", "r1000,1010", "t", each with ":THREAD" or for all. */
static bool parse_action(struct server *server, const char **text, struct action *action)
{
    char kind = *(*text)++;
    *action = (struct action){.kind = kind, .pid = -1, .tid = -1};
    if (kind == 'C' || kind == 'S') {
        action->kind = kind == 'C' ? 'c' : 's';
        if (!parse_signal(server, text, &action->signal))
            return false;
    } else if (kind == 'r') {
        if (!parse_hex_to(text, ',', &action->low) || !parse_hex(text, &action->high) || action->low > action->high)
            return false;
        if (action->low == action->high)
            action->kind = 's';
    } else if (kind != 'c' && kind != 's' && kind != 't') {
        return false;
    }
    if (**text == ':') {
        ++*text;
        if (!parse_thread(server, text, &action->pid, &action->tid))
            return false;
        if (action->tid == 0 || (action->pid == 0 && action->tid < 0)) { /* any */
            rein_thread *thread = NULL;
            struct inferior *inferior = server_resolve(server, action->pid, 0, &thread);
            if (inferior) {
                action->pid = inferior->told_as;
                action->tid = rein_thread_id(thread);
            }
            rein_thread_unref(thread);
        }
    }
    return **text == '\0' || *(*text)++ == ';';
}

static void run_vcont(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    size_t count = 0, most = 1;
    for (const char *at = arguments; *at; at++)
        most += *at == ';';
    struct action *actions = calloc(most, sizeof *actions);
    const char *text = arguments;
    bool good = actions != NULL && *text;
    while (good && *text) {
        good = count < most && parse_action(server, &text, &actions[count]);
        count++;
    }
    if (!good)
        server_error(server, reply, "vCont: '%.40s' is not understood", arguments);
    else if (!server->inferiors && !server->non_stop) /* else the client has still to hear of the last exits */
        server_error(server, reply, "there is no process");
    else
        resume_run(server, actions, count, reply);
    free(actions);
}

static void run_vcont_what(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)server, (void)arguments, (void)length;
    reply_text(reply, "vCont;c;C;s;S;t;r");
}

/* c [ADDRESS], C SIGNAL[;ADDRESS], s, S: of the thread that Hc has chosen. */
static void resume_simply(struct server *server, char kind, const char *text, struct reply *reply)
{
    struct action actions[2] = {{.kind = kind == 'c' || kind == 'C' ? 'c' : 's', .pid = -1, .tid = -1}};
    size_t count = 1;
    uint64_t address;
    rein_thread *thread = NULL;
    bool has_signal = kind == 'C' || kind == 'S';
    struct inferior *inferior = server_general(server, &thread);
    if (!inferior) {
        server_error(server, reply, "there is no process");
        return;
    }
    if (has_signal && (!parse_signal(server, &text, &actions[0].signal) || (*text && *text++ != ';'))) {
        server_error(server, reply, "the signal is not understood");
        rein_thread_unref(thread);
        return;
    }
    if (*text && parse_hex_to(&text, '\0', &address)) {
        rein_registers *registers = server_registers(server, thread);
        if (registers)
            rein_registers_set_pc(registers, address);
    }
    bool one = server->resume_tid > 0 && !server->features.lldb; /* lldb chooses one, and means all of its process */
    if (one || has_signal || kind == 's') {
        actions[0].pid = one ? server->resume_pid : inferior->told_as;
        actions[0].tid = one ? server->resume_tid : rein_thread_id(thread);
        if (!one)
            actions[count++] = (struct action){.kind = 'c', .pid = -1, .tid = -1};
    }
    rein_thread_unref(thread);
    resume_run(server, actions, count, reply);
}

static void run_c(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 'c', arguments, reply);
}

static void run_continue_signal(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 'C', arguments, reply);
}

static void run_s(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 's', arguments, reply);
}

static void run_step_signal(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    resume_simply(server, 'S', arguments, reply);
}

/* Non-stop: as if the terminal's user had pressed ^C. */
static void run_vctrlc(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior)
        inferior = server->inferiors;
    if (!inferior || kill(inferior->id, SIGINT) != 0)
        server_error(server, reply, "there is no process");
    else
        server_ok(reply);
}

static void run_why(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    stops_why(server, reply);
}

static void run_stopped(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    stops_next(server, reply);
}

const struct handler action_handlers[] = {
    {"vCont;", run_vcont},  {"vCont?", run_vcont_what},
    {"vCtrlC", run_vctrlc}, {"vStopped", run_stopped},
    {"c", run_c},           {"C", run_continue_signal},
    {"s", run_s},           {"S", run_step_signal},
    {"?", run_why},         {NULL, NULL},
};
