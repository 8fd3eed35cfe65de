/* The servers of gdb's protocol, rein's and gdb's own, behind the same gdb, each with a gdb and a program of its own for the whole
 * time; and in the same way rein's and lldb's own, behind lldb. What the client does is timed inside of its session (servers.py,
 * servers_lldb.py); how long hits take, by the program that is hit. The floor is gdbserver, or lldb-server: a ratio below 1 says
 * that rein is ahead, and it has the client's own share of the time on both sides. So a second line has the processor time that the
 * servers, and rein's monitor, took for the same works, which a busy machine changes little. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define LLDB_PYTHON "/usr/bin/python3" /* the one that lldb's module is for */

enum { LIMIT_MS = 120000, WORKS = 16, CHILDREN = 16, FULL = 10000 /* threads_max() of neither --quick nor --once */ };

struct session {
    struct target *target;
    const char *name; /* the server's program */
    pid_t server, client; /* the server: 0: the client starts one for each work */
    int client_end;
    char got[0x1000]; /* of the client's output: what is behind the last answer */
    size_t used;
    char why[100]; /* it does not work; empty: it does */
};

/* ---- A contest ---- */

enum { BY_COMMAND = 1 /* the client attaches */, NON_STOP = 2, LARGE = 4, LLDB = 8 /* is the client */ };

struct contest {
    const char *what;
    unsigned idle, hitters;
    void (*prepare)(struct session *session);
    double (*work)(struct session *session);
    uint32_t count, few; /* how much, and with --once; 0: nothing then */
    int rounds;
    unsigned flags;
};

static const struct contest *contest;
static uint32_t count; /* how often the work is done in a round */

/* ---- The client's session ---- */

/* A port that nobody listens at. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
          getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void start_client(struct session *session)
{
    char *const gdb[] = {(char *)"gdb", (char *)"-nx", (char *)"-q", NULL};
    char *const lldb[] = {(char *)LLDB_PYTHON, (char *)BENCH_SOURCE "/servers_lldb.py", NULL};
    char *const *argv = contest->flags & LLDB ? lldb : gdb;
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    check(posix_spawnp(&session->client, argv[0], &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    session->client_end = ends[0];
}

/* The next answer: microseconds; -1: there is none in time, or it is that it cannot be done: session->why. */
static double read_answer(struct session *session)
{
    static const char begin[] = "\n@@ ";
    double limit = now_us() + LIMIT_MS * 1e3;
    for (;;) {
        char *answer = memmem(session->got, session->used, begin, sizeof begin - 1);
        char *text = answer ? answer + sizeof begin - 1 : NULL;
        char *end = text ? memchr(text, '\n', session->used - (size_t)(text - session->got)) : NULL;
        if (end) {
            *end = '\0';
            double us = strtod(text, NULL);
            if (strncmp(text, "no ", 3) == 0) {
                snprintf(session->why, sizeof session->why, "%s", text + 3);
                us = -1;
            }
            session->used = 0; /* nothing but a prompt is behind it */
            return us;
        }
        if (session->used == sizeof session->got) { /* messages: an answer's beginning may be at the end */
            session->used = sizeof begin;
            memmove(session->got, session->got + sizeof session->got - sizeof begin, sizeof begin);
        }
        struct pollfd wait = {.fd = session->client_end, .events = POLLIN};
        int left = (int)((limit - now_us()) / 1e3);
        ssize_t length = left > 0 && poll(&wait, 1, left) > 0
                             ? read(session->client_end, session->got + session->used, sizeof session->got - session->used)
                             : -1;
        if (length <= 0) {
            snprintf(session->why, sizeof session->why, "%s", length == 0 ? "the client has ended" : "has not ended in time");
            return -1;
        }
        session->used += (size_t)length;
    }
}

/* Has a function of servers.py, or of servers_lldb.py, done: "name, argument, ...". */
static double __attribute__((format(printf, 2, 3))) does(struct session *session, const char *format, ...)
{
    char work[PATH_MAX + 100], line[PATH_MAX + 200];
    if (session->why[0])
        return -1;
    va_list arguments;
    va_start(arguments, format);
    check(vsnprintf(work, sizeof work, format, arguments) < (int)sizeof work);
    va_end(arguments);
    int length = snprintf(line, sizeof line, "%srun(debugger.%s)\n", contest->flags & LLDB ? "" : "python ", work);
    if (send(session->client_end, line, (size_t)length, MSG_NOSIGNAL) != length)
        snprintf(session->why, sizeof session->why, "the client has ended");
    return read_answer(session);
}

/* ---- Two sessions ---- */

/* The children of all of a process's threads: how many. */
static size_t list_children(pid_t pid, pid_t children[CHILDREN])
{
    char pattern[64];
    glob_t found;
    size_t listed = 0;
    snprintf(pattern, sizeof pattern, "/proc/%d/task/*/children", pid);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        FILE *file = fopen(found.gl_pathv[i], "re");
        while (file && listed < CHILDREN && fscanf(file, "%d", &children[listed]) == 1)
            listed++;
        if (file)
            fclose(file);
    }
    globfree(&found);
    return listed;
}

/* The contest's form of the server: attached to the program, or waiting for a client that attaches. */
static pid_t start_server(const struct session *session, int port)
{
    char address[32], pid[16];
    snprintf(address, sizeof address, "localhost:%d", port);
    snprintf(pid, sizeof pid, "%d", session->target->pid);
    char *name = (char *)(uintptr_t)session->name;
    char *const attached[] = {name, (char *)"--once", (char *)"--attach", address, pid, NULL};
    char *const waiting[] = {name, (char *)"--once", (char *)"--multi", address, NULL};
    char *const lldbs_attached[] = {name, (char *)"gdbserver", (char *)"--attach", pid, address, NULL};
    bool waits = contest->flags & BY_COMMAND, is_lldbs = strcmp(name, "lldb-server") == 0;
    return start_program(is_lldbs ? lldbs_attached : waits ? waiting : attached);
}

/* lldb that attaches starts a server, with a new connection, each time: one is good for one process. */
static bool client_starts_server(void)
{
    return (contest->flags & LLDB) && (contest->flags & BY_COMMAND);
}

static struct session start_session(const char *server)
{
    bool by_command = contest->flags & BY_COMMAND, non_stop = contest->flags & NON_STOP, lldb = contest->flags & LLDB;
    struct session session = {.name = server, .target = target_start_with(contest->idle, contest->hitters)};
    char program[PATH_MAX], line[PATH_MAX + 32];
    int port = free_port();
    if (contest->flags & LARGE)
        target_do(session.target, WORK_LARGE, 1);
    snprintf(program, sizeof program, "%s", beside("target"));
    if (!client_starts_server())
        session.server = start_server(&session, port);
    start_client(&session);
    int length = lldb ? 0 : snprintf(line, sizeof line, "source %s\n", BENCH_SOURCE "/servers.py");
    check(send(session.client_end, line, (size_t)length, MSG_NOSIGNAL) == length);
    does(&session, "open, %d, '%s'", port, program);
    if (!client_starts_server())
        does(&session, "connect, %s, %s", by_command ? "True" : "False", non_stop ? "True" : "False");
    if (contest->prepare)
        contest->prepare(&session);
    return session;
}

static void end_session(struct session *session)
{
    pid_t children[CHILDREN];
    /* A server that the client has started: lldb-server, of lldb 14, does not notice that its client is gone, and spins. */
    for (size_t left = list_children(session->client, children); left > 0; left--)
        kill(children[left - 1], SIGKILL);
    kill(session->client, SIGKILL);
    wait_for_end(session->client);
    if (session->server > 0) {
        kill(session->server, SIGKILL);
        wait_for_end(session->server);
    }
    target_end(session->target);
    close(session->client_end);
}

static struct session sessions[2]; /* the floor's, rein's */

/* The servers' processor time for each work, for a second comparison. */
static struct {
    double us[WORKS];
    int count;
} shares[2];

static double processor_us(pid_t pid)
{
    clockid_t clock;
    struct timespec time = {0};
    if (clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* The server's, with its children's: rein's monitor, which does the tracing, is a process of its own (REIN_MONITOR_PROCESS). */
static double server_us(const struct session *session)
{
    pid_t children[CHILDREN];
    double us = processor_us(session->server);
    for (size_t left = list_children(session->server, children); left > 0; left--)
        us += processor_us(children[left - 1]);
    return us;
}

static double by(int which)
{
    double begin = server_us(&sessions[which]), us = contest->work(&sessions[which]);
    check(shares[which].count < WORKS);
    shares[which].us[shares[which].count++] = server_us(&sessions[which]) - begin;
    return us;
}

static double by_floor(void *arg)
{
    (void)arg;
    return by(0);
}

static double by_rein(void *arg)
{
    (void)arg;
    return by(1);
}

/* ---- What is done ---- */

static void put_condition(struct session *session)
{
    does(session, "condition, %llu", (unsigned long long)session->target->page->hot);
}

static double hit(struct session *session)
{
    return target_do(session->target, WORK_HITS, count);
}

static void put_silent(struct session *session)
{
    does(session, "silent, %d, %llu", session->target->pid, (unsigned long long)session->target->page->hot);
}

static double hit_at_once(struct session *session)
{
    return target_do(session->target, WORK_CROWD, count);
}

/* The program is stopped: it begins when the client has it run to the function. */
static void go_to(struct session *session, enum target_work work, const char *function)
{
    target_ask(session->target, work, 1);
    does(session, "stop_in, '%s'", function);
}

static void go_to_straight(struct session *session)
{
    go_to(session, WORK_STRAIGHT, "straight");
}

static void go_to_calling(struct session *session)
{
    go_to(session, WORK_CALLING, "calling");
}

static double step(struct session *session)
{
    return does(session, "step, %u", count) / count;
}

static double next(struct session *session)
{
    return does(session, "next, %u", count) / count;
}

static double backtrace(struct session *session)
{
    return does(session, "backtrace, %u", contest->idle);
}

static double attach(struct session *session)
{
    return does(session, "attach, %d, %u", session->target->pid, contest->idle);
}

static double attach_by_client(struct session *session)
{
    return does(session, "attach, '%s', %d, %u", session->name, session->target->pid, contest->idle);
}

static double dump(struct session *session)
{
    uint64_t large = session->target->page->large;
    return does(session, "dump, %llu, %u", (unsigned long long)(large ? large : session->target->page->block), count);
}

static const struct contest contests[] = {
    {"false condition, 1 thread", 0, 0, put_condition, hit, 100, 0, 7, 0},
    {"false condition, 100 idle threads", 100, 0, put_condition, hit, 20, 2, 7, 0},
    {"false condition, 1,000 threads", 999, 0, put_condition, hit, 10, 0, 5, 0},
    {"step, 2,000 instructions", 0, 0, go_to_straight, step, 10, 1, 7, 0},
    {"next, a line with a call", 0, 0, go_to_calling, next, 1000, 0, 5, 0},
    {"next, a line with a call, 100 idle threads", 100, 0, go_to_calling, next, 20, 0, 5, 0},
    {"backtrace of 1,000 threads", 999, 0, go_to_straight, backtrace, 1, 0, 5, 0},
    {"attach, detach 1,000 threads", 999, 0, NULL, attach, 1, 0, 3, BY_COMMAND},
    {"attach, detach 5,000 threads", 4999, 0, NULL, attach, 1, 0, 3, BY_COMMAND},
    {"dump 256 MiB", 0, 0, NULL, dump, TARGET_LARGE, 0, 1, LARGE},
    {"dump 1 MiB", 0, 0, NULL, dump, TARGET_BLOCK, 0, 7, 0},
    {"non-stop, hits, 5 of 50 threads at once", 45, 5, put_silent, hit_at_once, 20, 1, 7, BY_COMMAND | NON_STOP},
    {"step, 2,000 instructions", 0, 0, go_to_straight, step, 10, 1, 7, LLDB},
    {"next, a line with a call", 0, 0, go_to_calling, next, 200, 0, 5, LLDB},
    {"backtrace of 1,000 threads", 999, 0, go_to_straight, backtrace, 1, 0, 5, LLDB},
    {"attach, detach 1,000 threads", 999, 0, NULL, attach_by_client, 1, 0, 3, LLDB | BY_COMMAND},
    {"attach, detach 5,000 threads", 4999, 0, NULL, attach_by_client, 1, 0, 3, LLDB | BY_COMMAND},
    {"read 256 MiB", 0, 0, NULL, dump, TARGET_LARGE, 0, 3, LLDB | LARGE},
    {"read 1 MiB", 0, 0, NULL, dump, TARGET_BLOCK, 0, 7, LLDB},
};

static void run_contest(const struct contest *which)
{
    char what[80], rein[PATH_MAX];
    contest = which;
    count = bench_once() ? which->few : which->count;
    const char *peer = which->flags & LLDB ? "lldb-server" : "gdbserver";
    snprintf(what, sizeof what, "%s / %s", which->what, peer);
    if (!count || !row_chosen(what))
        return;
    snprintf(rein, sizeof rein, "%s", beside("../rein-gdbserver"));
    if (which->idle > threads_max() || ((which->flags & LARGE) && threads_max() < FULL))
        return;
    memset(shares, 0, sizeof shares);
    sessions[0] = start_session(peer);
    sessions[1] = start_session(rein);
    const char *const names[] = {peer, "rein"};
    double us[2];
    for (int i = 0; i < 2; i++)
        us[i] = sessions[i].why[0] ? -1 : which->work(&sessions[i]);
    int rounds = us[0] >= 0 && us[1] >= 0 ? compare(what, "rein", which->rounds, by_floor, by_rein, NULL) : 0;
    if (rounds && !client_starts_server()) /* what came before the rounds was to warm up */
        print_comparison("  the servers' own processor time", "rein", rounds, shares[0].us + shares[0].count - rounds,
                         shares[1].us + shares[1].count - rounds);
    for (int i = 0; i < 2; i++) {
        char text[64];
        snprintf(text, sizeof text, "the other cannot do it; alone: %.0f us", us[i]);
        if (sessions[i].why[0])
            skip(what, names[i], sessions[i].why);
        else if (us[i] >= 0 && us[1 - i] < 0)
            skip(what, names[i], text);
        else if (us[i] < 0)
            skip(what, names[i], "the program has not done it in time");
    }
    end_session(&sessions[0]);
    end_session(&sessions[1]);
}

/* Those behind this client, unless a program is missing. */
static void run_behind(const char *client, const char *server, unsigned flag)
{
    const char *const needed[] = {client, server, flag & LLDB ? LLDB_PYTHON : client};
    char what[64];
    snprintf(what, sizeof what, "the servers behind %s", client);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!is_installed(needed[i])) {
            skip(what, needed[i], "is not installed");
            return;
        }
    for (size_t i = 0; i < sizeof contests / sizeof *contests; i++)
        if ((contests[i].flags & LLDB) == flag)
            run_contest(&contests[i]);
}

void bench_servers(void)
{
    if (access(beside("../rein-gdbserver"), X_OK) != 0) {
        skip("the servers", "rein", "was not built");
        return;
    }
    run_behind("gdb", "gdbserver", 0);
    run_behind("lldb", "lldb-server", LLDB);
}
