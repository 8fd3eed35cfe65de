/* How processes leave the server: they are let go, or killed, by a packet, or because the client or the server goes. With one go the
 * children of its forks that nobody has heard of, which are held. How processes come is in launch.c. */
#include <signal.h>
#include <unistd.h>

#include "server.h"

/* Nothing is left, and the client can begin nothing new. */
static void leave_if_last(struct server *server)
{
    if (!server->inferiors && !server->extended) {
        server->hang_up = true;
        server->quit = !server->multi;
    }
}

/* Forks of which nobody has heard yet: their children are held, and would stay so. */
static void end_unheard(struct inferior *inferior, bool kill)
{
    struct rein_event event;
    while (rein_process_next_event(inferior->process, 0, &event) == 0) {
        if (event.cause.new_process && kill)
            rein_process_kill(event.cause.new_process);
        else if (event.cause.new_process)
            rein_process_detach(event.cause.new_process, 0);
        rein_event_clear(&event);
    }
}

/* A signal that was told is delivered if the client has said, by QProgramSignals, that it is the program's business. */
static void give_told_signals(struct server *server, struct inferior *inferior)
{
    for (struct walk walk = walk_one(inferior); walk_next(&walk);) {
        struct rein_cause cause;
        if (stops_has(server, inferior->id, rein_thread_id(walk.thread)) || rein_thread_cause(walk.thread, &cause) != 0)
            continue;
        int number = cause.kind == REIN_CAUSE_SIGNAL ? cause.signal.number : 0;
        if (number >= 1 && number <= 64 && number != SIGTRAP &&
            (!server->has_program_signals || (server->program_signals >> (number - 1) & 1)))
            rein_thread_set_signal(walk.thread, number);
        rein_cause_clear(&cause);
    }
}

static void let_go(struct server *server, struct inferior *inferior)
{
    for (struct inferior *part; (part = inferior_next_part(inferior));)
        let_go(server, part);
    give_told_signals(server, inferior);
    stops_forget(server, inferior->id, 0);
    server_forget_view(server);
    trace_end_process(server, inferior, NULL);
    rein_process_detach(inferior->process, 0);
    end_unheard(inferior, false);
    inferior_remove(server, inferior);
}

/* False: it may not be killed, and is held as before. */
static bool kill_it(struct server *server, struct inferior *inferior)
{
    while (inferior_next_part(inferior) && kill_it(server, inferior_next_part(inferior)))
        continue;
    int result = rein_process_kill(inferior->process);
    if (result == REIN_NOT_PERMITTED || result == REIN_SYSTEM)
        return false;
    stops_forget(server, inferior->id, 0);
    server_forget_view(server);
    launch_end_children(server, inferior->id, true);
    end_unheard(inferior, true);
    inferior_remove(server, inferior);
    return true;
}

/* Who cannot be killed is let go. */
static void end_it(struct server *server, struct inferior *inferior, bool kill)
{
    if (kill && kill_it(server, inferior))
        return;
    if (kill)
        server_say(server, "%s; it is let go", rein_error_message());
    let_go(server, inferior);
}

void launch_end_children(struct server *server, int parent, bool kill)
{
    for (struct inferior *child = server->inferiors, *next; child; child = next) {
        next = child->next;
        if (child->parent != parent)
            continue;
        stops_forget(server, child->id, 0);
        if (kill)
            rein_process_kill(child->process);
        else
            rein_process_detach(child->process, 0);
        inferior_remove(server, child);
    }
}

void launch_end_unheard(struct server *server)
{
    struct inferior *child = server->inferiors;
    while (child) {
        if (child->parent) {
            launch_end_children(server, child->parent, false);
            child = server->inferiors; /* any may be gone */
        } else {
            child = child->next;
        }
    }
}

static void run_detach(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    uint64_t pid = 0;
    if (*text == ';' && (++text, !parse_hex_to(&text, '\0', &pid))) {
        server_error(server, reply, "D takes a process id");
        return;
    }
    struct inferior *inferior = pid ? inferior_find(server, (int)pid) : server_general(server, NULL);
    if (!inferior) {
        server_error(server, reply, "there is no such process");
        return;
    }
    points_remove_leaving(server); /* a vfork child runs in the memory of one that stays */
    if (server_leave_running(server, inferior)) {
        server_ok(reply);
        return;
    }
    if (server->is_gdbserver)
        server_say(server, "Detaching from process %d", inferior->id);
    let_go(server, inferior);
    server_ok(reply);
    leave_if_last(server);
}

static void run_kill_process(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    uint64_t pid;
    struct inferior *inferior = parse_hex_to(&text, '\0', &pid) ? inferior_find(server, (int)pid) : NULL;
    if (!inferior) {
        server_error(server, reply, "there is no such process");
        return;
    }
    if (kill_it(server, inferior))
        server_ok(reply);
    else
        server_fail(server, reply);
}

static void run_kill(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length, (void)reply;
    if (server->is_gdbserver)
        server_say(server, "Killing all inferiors");
    while (server->inferiors)
        end_it(server, server->inferiors, true);
    if (server->features.lldb) {
        reply_text(reply, "X09");
        server->running = false;
    } else {
        server->reply_later = true; /* nobody waits for an answer */
    }
    leave_if_last(server);
}

static void run_restart(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    char why[500];
    server->reply_later = true; /* it has no answer */
    while (server->inferiors)
        end_it(server, server->inferiors, true);
    if (server->program && launch_program(server, server->program, why, sizeof why) != 0)
        server_say(server, "%s", why);
    (void)reply;
}

void launch_end_all(struct server *server, bool kill_started, bool kill_attached)
{
    while (server->inferiors)
        end_it(server, server->inferiors, server->inferiors->was_attached ? kill_attached : kill_started);
    if (server->gave_terminal)
        launch_give_terminal(server->process_group);
    server->gave_terminal = false;
}

const struct handler end_handlers[] = {
    {"vKill;", run_kill_process}, {"D", run_detach}, {"k", run_kill}, {"R", run_restart}, {NULL, NULL},
};
