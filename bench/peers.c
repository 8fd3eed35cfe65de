/* The same breakpoint hits under other debuggers: with a condition that is never true, each evaluated as near to the program as
 * the debugger can, and otherwise the way that its users get the most of it. Each has a program of its own for the whole time. The
 * floor is one stop of an int3 of the program's own. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct peer {
    struct target *plain, *other;
    uint32_t count;
};

/* In scripts, @ is the process's id, and ^ the function's address. */
struct way {
    const char *what, *who, *needs; /* a program beside its own */
    const char *const *command;     /* "PID" and "FILE", that of the script, stand for themselves */
    const char *script;

};

static const char *const gdb[] = {"gdb", "-nx", "-batch", "-p", "PID", "-x", "FILE", NULL};
static const char *const gdb_remote[] = {"gdb", "-nx", "-batch", "-x", "FILE", NULL};
static const char *const lldb[] = {"lldb", "--no-lldbinit", "--batch", "-p", "PID", "-s", "FILE", NULL};

#define BEGIN "set pagination off\nset confirm off\n"
#define SERVER BEGIN "target remote | exec gdbserver --once --attach - @ 2>/dev/null\n"
static const struct way ways[] = {
    {"false condition", "gdb", "gdb", gdb, BEGIN "break *^ if $rsp == 0\ncontinue\n"},
    {"false condition", "gdbserver", "gdbserver", gdb_remote,
     SERVER "set breakpoint condition-evaluation target\nbreak *^ if $rsp == 0\ncontinue\n"},
    {"false condition", "lldb", "lldb", lldb,
     "breakpoint set --address ^ --condition '$rsp == 0'\nprocess continue\n"},
    {"count", "gdb", "gdb", gdb, BEGIN "break *^\nignore 1 1000000000\ncontinue\n"},
    {"silent, continue", "gdb", "gdb", gdb,
     BEGIN "break *^\ncommands\nsilent\ncontinue\nend\ncontinue\n"},
};

static double plain_traps(void *arg)
{
    struct peer *peer = arg;
    target_ask(peer->plain, WORK_TRAPS, 10 * peer->count);
    floor_serve(peer->plain->page->worker, 10 * peer->count);
    return target_done(peer->plain);
}

static double other_hits(void *arg)
{
    struct peer *peer = arg;
    return target_do(peer->other, WORK_HITS, peer->count);
}

/* It is ready when hits take long, and not for once only, as when this machine has something else to do. */
static bool is_ready(struct target *target)
{
    int slow = 0;
    for (int tries = 0; slow >= 0 && slow < 5 && tries < 1000; tries++) {
        double us = target_do(target, WORK_HITS, 10);
        slow = us < 0 ? -1 : us < 5 ? 0 : slow + 1;
        usleep(slow ? 1000 : 20000);
    }
    return slow == 5;
}

static void write_script(const char *path, const char *script, const struct target *target)
{
    FILE *file = fopen(path, "we");
    check(file);
    for (const char *at = script; *at; at++) {
        if (*at == '@')
            fprintf(file, "%d", target->pid);
        else if (*at == '^')
            fprintf(file, "0x%lx", (unsigned long)target->page->hot);
        else
            fputc(*at, file);
    }
    check(fclose(file) == 0);
}

static pid_t start_debugger(const struct way *way, const char *script, const struct target *target)
{
    enum { WORDS = 10 };
    char *argv[WORDS] = {NULL}, pid[16];
    snprintf(pid, sizeof pid, "%d", target->pid);
    for (size_t i = 0; way->command[i]; i++) {
        const char *word = way->command[i];
        word = strcmp(word, "PID") == 0 ? pid : strcmp(word, "FILE") == 0 ? script : word;
        argv[i] = (char *)(uintptr_t)word; /* posix_spawn's parameter is not const, but it changes nothing */
    }
    return start_program(argv);
}

static void measure_hits(const struct way *way, unsigned idle)
{
    char what[80], path[] = "/tmp/bench-XXXXXX";
    if (idle)
        snprintf(what, sizeof what, "hit, %s, %u idle threads / own int3", way->what, idle);
    else
        snprintf(what, sizeof what, "hit, %s, 1 thread / own int3", way->what);
    if (!is_installed(way->needs) || !is_installed(way->command[0])) {
        skip(what, way->who, "is not installed");
        return;
    }
    struct peer peer = {.plain = target_start(idle), .other = target_start(idle), .count = idle ? 20 : 100};
    int fd = mkstemp(path);
    check(fd >= 0);
    close(fd);
    write_script(path, way->script, peer.other);
    struct crowd crowd = floor_attach(peer.plain->pid, false);
    pid_t debugger = start_debugger(way, path, peer.other);
    if (is_ready(peer.other))
        compare(what, way->who, 5, plain_traps, other_hits, &peer);
    else
        skip(what, way->who, "has not come to a breakpoint in time");
    target_end(peer.other); /* and so the debugger's server */
    kill(debugger, SIGKILL);
    wait_for_end(debugger);
    floor_interrupt(&crowd);
    floor_detach(&crowd);
    target_end(peer.plain);
    unlink(path);
}

void bench_peers(void)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        measure_hits(&ways[i], 0);
        measure_hits(&ways[i], 100);
    }
}
