/* Signals that are pending for a program when it is attached to. The library stops a thread in front of them, and they would be
 * told at the next resume only. Tracers that attach by a SIGSTOP, as gdbserver, meet most of them first; and who attaches to a program
 * that hangs wants to know that it is just getting a SIGSEGV. So a thread with a signal that it would get now goes on for
 * that: it stops again before its next instruction, and the signal is why. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cli.h"
#include "server.h"

enum { LIMIT_MS = 100, STOP_LIMIT_MS = 5000 };

struct masks { /* bit 0 is signal 1 */
    uint64_t own, shared, blocked, ignored;
    bool any; /* has the user any signal queued, anywhere? */
};

static struct masks read_masks(int pid, int tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    char *status = cli_read_file(path, NULL);
    const char *queued = status ? strstr(status, "\nSigQ:") : NULL;
    struct masks masks = {signals_in(status, "\nSigPnd:"), signals_in(status, "\nShdPnd:"),
                          signals_in(status, "\nSigBlk:"), signals_in(status, "\nSigIgn:"),
                          queued && strtol(queued + strlen("\nSigQ:"), NULL, 10) > 0};
    free(status);
    return masks;
}

/* Those that are told: not those that end or stop a process by another way, those that do nothing by default, or those that the
 * client has asked not to hear of. */
static uint64_t told_signals(const struct server *server)
{
    static const int never[] = {SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD, SIGWINCH, SIGURG};
    uint64_t told = ~filter_passed(server);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        told &= ~(UINT64_C(1) << (never[i] - 1));
    return told;
}

/* How many go on for a signal. */
static int let_get_signals(const struct server *server, struct inferior *inferior)
{
    uint64_t told = told_signals(server), taken = 0; /* one thread gets a signal of the process */
    int count = 0;
    bool any = read_masks(inferior->id, inferior->id).any;
    for (struct walk walk = walk_one(any ? inferior : NULL); walk_next(&walk);) {
        if (walk.state != REIN_STATE_STOPPED)
            continue;
        struct masks masks = read_masks(inferior->id, rein_thread_id(walk.thread));
        uint64_t gets = (masks.own | (masks.shared & ~taken)) & told & ~masks.blocked & ~masks.ignored;
        if (gets && rein_thread_continue(walk.thread) == 0) {
            taken |= masks.shared & gets;
            count++;
        }
    }
    return count;
}

static int count_stops(const struct server *server, int pid)
{
    int count = 0;
    for (const struct stop *stop = server->stops; stop; stop = stop->next)
        count += stop->pid == pid;
    return count;
}

void pending_bring_out(struct server *server, struct inferior *inferior)
{
    rein_process *process = rein_process_ref(inferior->process);
    int pid = inferior->id, expected = let_get_signals(server, inferior);
    struct pollfd wait = {.fd = inferior->event_fd, .events = POLLIN};
    while (count_stops(server, pid) < expected && server_poll(server, &wait, 1, LIMIT_MS) > 0) {
        stops_drain(server);
        inferior = inferior_find(server, pid);
        wait.fd = inferior ? inferior->event_fd : -1; /* its end is told by a stop */
    }
    if (expected) { /* who got none after all */
        rein_process_stop(process, STOP_LIMIT_MS);
        stops_drain(server);
    }
    rein_process_unref(process);
}
