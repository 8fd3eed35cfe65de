/* The same breakpoint hits under gdb, which has a program of its own for the whole time. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct peer {
    struct target *plain, *gdbs;
    uint32_t count;
};

static double plain_traps(void *arg)
{
    struct peer *peer = arg;
    target_ask(peer->plain, WORK_TRAPS, 10 * peer->count);
    floor_serve(peer->plain->page->worker, 10 * peer->count);
    return target_done(peer->plain);
}

static double gdb_hits(void *arg)
{
    struct peer *peer = arg;
    return target_do(peer->gdbs, WORK_HITS, peer->count);
}

static void hits_under_gdb(const char *what, unsigned threads, const char *commands)
{
    struct peer peer = {.plain = target_start(threads), .gdbs = target_start(threads), .count = threads ? 20 : 100};
    char path[] = "/tmp/bench-XXXXXX", pid[16];
    int fd = mkstemp(path);
    check(fd >= 0);
    snprintf(pid, sizeof pid, "%d", peer.gdbs->pid);
    check(dprintf(fd, "set pagination off\nset confirm off\nbreak *0x%lx\n%s", (unsigned long)peer.gdbs->page->hot,
                  commands) > 0);
    close(fd);

    struct crowd crowd = floor_attach(peer.plain->pid, false);
    char *const argv[] = {(char *)"gdb", (char *)"-nx", (char *)"-batch", (char *)"-p", pid, (char *)"-x", path, NULL};
    pid_t gdb = start_program(argv);
    /* It is ready when hits take long, and not for once only, as when this machine has something else to do. */
    for (int tries = 0, slow = 0; slow < 5; tries++) {
        check(tries < 1000);
        slow = target_do(peer.gdbs, WORK_HITS, 10) < 5 ? 0 : slow + 1;
        usleep(slow ? 1000 : 20000);
    }
    compare(what, "gdb", 5, plain_traps, gdb_hits, &peer);
    kill(gdb, SIGKILL);
    wait_for_end(gdb);
    target_end(peer.gdbs);
    floor_interrupt(&crowd);
    floor_detach(&crowd);
    target_end(peer.plain);
    unlink(path);
}

void bench_peers(void)
{
    static const char commands[] = "commands\nsilent\ncontinue\nend\ncontinue\n";
    static const char count[] = "ignore 1 1000000000\ncontinue\n";
    if (!is_installed("gdb")) {
        skip("breakpoint hits", "gdb", "is not installed");
        return;
    }
    hits_under_gdb("breakpoint hit, 1 thread, count only", 0, count);
    hits_under_gdb("breakpoint hit, 1 thread, silent continue", 0, commands);
    hits_under_gdb("breakpoint hit, 100 idle threads, count only", 100, count);
    hits_under_gdb("breakpoint hit, 100 idle threads, silent cont.", 100, commands);
}
