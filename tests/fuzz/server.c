/* Fuzzes the server with a process. The input is what a client writes; its first byte says how the server was started (enum start).
 * Each input has a new server, a new monitor and a new process, tests/fuzz/t.S, so that it does the same when it is tried again;
 * for that, the process has always the same id, too.
 *
 * The client is a thread. Where the input has a '+', with which real clients take an answer, it waits for one, but not long:
 * the program may run. Everything else it writes at once. '\4', which means nothing in the protocol, hangs up and connects again.
 *
 * After each input a new client has to get answers, if the server is still there. Then it is ended, and nothing may be
 * left: no process that is traced or stopped, none with a breakpoint in its memory, no open file, no thread.
 *
 * It does what the input says, to any process and any file that it can reach: it needs the sandbox. The monitor is a process
 * (as a thread it would poll for events, and all would take ten times as long): what the sanitizers find there ends that, and then
 * the input has failed. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../cli/gdbremote/server.h"
#include "fuzz.h"

enum start {
    START_GDBSERVER = 1 << 0, /* by that name */
    START_MULTI = 1 << 1,     /* it goes on without a process */
    START_NOTHING = 1 << 2,   /* without a process */
    START_ATTACH = 1 << 3,    /* to one, instead of starting it */
    START_STREAM = 1 << 4,    /* on a pair of sockets, as with standard input and output: there is one client */
    START_ONCE = 1 << 5,
    START_GONE = 3 << 6, /* enum on_disconnect */
};

enum {
    PROGRAM_ID = 1000,  /* the process's; of what it makes, those that follow */
    HELPER_ID = 2000,   /* of the harness's own threads */
    ANSWER_MS = 50,     /* waits for an answer, */
    SLOW_MAX = 5,       /* no more than so often in vain */
    GONE_MS = 10000,    /* still traced: it was not let go */
    LAST_MS = 60000,    /* no answer at the end: the server hangs */
    PROCESSES_MAX = 64, /* that were there before */
};

static const char program[] = "/t", socket_path[] = "/tmp/s";

/* ---- Processes ---- */

static int strangers[PROCESSES_MAX]; /* that are not ours: the sandbox's, and the fuzzer's */
static size_t stranger_count;

static bool is_stranger(int pid)
{
    for (size_t i = 0; i < stranger_count; i++)
        if (strangers[i] == pid)
            return true;
    return pid == getpid();
}

/* The next one that is made has this id, if it is free. */
static void choose_next_id(int id)
{
    char text[16];
    int length = snprintf(text, sizeof text, "%d", id - 1);
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)length) != length)
        fuzz_fail("ids cannot be chosen: %s", strerror(errno));
    close(fd);
}

static void for_each_process(void (*function)(int pid, void *arg), void *arg)
{
    DIR *directory = opendir("/proc");
    if (!directory)
        fuzz_fail("/proc: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(directory));)
        if (isdigit((unsigned char)entry->d_name[0]) && !is_stranger(atoi(entry->d_name)))
            function(atoi(entry->d_name), arg);
    closedir(directory);
}

static void note_stranger(int pid, void *arg)
{
    (void)arg;
    if (stranger_count == PROCESSES_MAX)
        fuzz_fail("more than %d processes in the sandbox", PROCESSES_MAX);
    strangers[stranger_count++] = pid;
}

static bool is_program(int pid)
{
    char path[64], exe[64] = "";
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return readlink(path, exe, sizeof exe - 1) > 0 && strcmp(exe, program) == 0;
}

static size_t read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    return length < 0 ? 0 : (size_t)length;
}

enum { CODE_AT = 0x401000, CODE_SIZE = 0x400 };
static char code[CODE_SIZE]; /* of the program, as it was */

struct expected {
    bool may_stop, may_differ; /* the client has sent SIGSTOP; has written memory */
};

/* The server has let it go, or it has ended: soon, if it was just being born. */
static void check_process(int pid, void *arg)
{
    const struct expected *expected = arg;
    char path[64], status[2048], bytes[CODE_SIZE];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    for (int waited = 0;; waited++) {
        read_file(path, status, sizeof status);
        const char *tracer = strstr(status, "TracerPid:"), *state = strstr(status, "State:");
        char letter = state ? state[7] : 'X';
        if (letter == 'Z' || letter == 'X')
            return;
        bool is_traced = tracer && atoi(tracer + 10) != 0;
        if (!is_traced && letter != 't' && (letter != 'T' || expected->may_stop))
            break;
        if (waited == GONE_MS)
            fuzz_fail("process %d is still %s:\n%s", pid, is_traced ? "traced" : "stopped", status);
        usleep(1000);
    }
    if (expected->may_differ || !is_program(pid))
        return;
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, CODE_AT);
    if (fd >= 0)
        close(fd);
    if (got == sizeof bytes && memcmp(bytes, code, sizeof code) != 0)
        fuzz_fail("process %d has a breakpoint left in its memory", pid);
}

static void kill_process(int pid, void *arg)
{
    *(bool *)arg = true;
    kill(pid, SIGKILL);
}

/* What a fuzzer has left that AFL has started anew. */
static void kill_program(int pid, void *arg)
{
    if (is_program(pid))
        kill_process(pid, arg);
}

/* All that are left; their ids are free then. This process adopts those whose parents are gone. */
static void end_processes(void)
{
    for (bool found = true; found;) {
        found = false;
        for_each_process(kill_process, &found);
        while (waitpid(-1, NULL, __WALL | WNOHANG) > 0)
            continue;
        if (found)
            usleep(200);
    }
}

/* ---- The client ---- */

static struct {
    sem_t begin, end;
    const uint8_t *data;
    size_t size;
    int fd; /* its connection */
    bool listens;
    pthread_mutex_t lock; /* of what follows */
    int listener;         /* the server's, our copy; -1: it has ended */
} client = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Takes what comes. True: an answer has come (or nothing is to be waited for any more). */
static bool take(int limit, unsigned *answers)
{
    static char buffer[1 << 16];
    struct pollfd ready = {.fd = client.fd, .events = POLLIN};
    if (client.fd < 0)
        return true;
    if (poll(&ready, 1, limit) <= 0)
        return false;
    ssize_t length = read(client.fd, buffer, sizeof buffer);
    if (length <= 0) {
        close(client.fd);
        client.fd = -1;
        return true;
    }
    for (ssize_t i = 0; i < length; i++)
        *answers += buffer[i] == '$'; /* never inside one */
    return true;
}

static void say(const uint8_t *data, size_t size, unsigned *answers)
{
    while (size && client.fd >= 0) {
        ssize_t written = send(client.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        } else if (written < 0 && errno == EAGAIN) {
            take(10, answers); /* it waits for us to read */
        } else {
            close(client.fd);
            client.fd = -1;
        }
    }
}

static void connect_again(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, socket_path, sizeof socket_path);
    if (client.fd >= 0)
        close(client.fd);
    client.fd = -1;
    if (!client.listens)
        return;
    client.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(client.fd, (struct sockaddr *)&address, sizeof address) == 0)
        return;
    close(client.fd);
    client.fd = -1;
    /* The server has ended, or its client has removed the socket, and nobody can ever come: it is told. */
    pthread_mutex_lock(&client.lock);
    if (client.listener >= 0)
        shutdown(client.listener, SHUT_RDWR);
    pthread_mutex_unlock(&client.lock);
}

/* The server has ended: who waits to be accepted has his connection reset. */
static void server_is_over(void)
{
    pthread_mutex_lock(&client.lock);
    if (client.listener >= 0)
        close(client.listener);
    client.listener = -1;
    pthread_mutex_unlock(&client.lock);
}

static void talk(const uint8_t *data, size_t size)
{
    unsigned answers = 0, taken = 0, in_vain = 0;
    for (size_t at = 0; at < size; at++) {
        if (data[at] == '+') {
            bool more = true;
            while (answers == taken && more && in_vain < SLOW_MAX && client.fd >= 0)
                more = take(ANSWER_MS, &answers);
            in_vain += !more;
            taken = answers;
        }
        if (data[at] == '\4') {
            connect_again();
            answers = taken = 0;
            continue;
        }
        size_t end = at + 1;
        while (end < size && data[end] != '+' && data[end] != '\4')
            end++;
        say(data + at, end - at, &answers);
        at = end - 1;
    }
}

/* A packet that has to be answered, if the server is there. */
static void ask(const char *packet)
{
    unsigned answers = 0;
    say((const uint8_t *)packet, strlen(packet), &answers);
    for (uint64_t end = now_ms() + LAST_MS; !answers && client.fd >= 0;) {
        if (now_ms() > end)
            fuzz_fail("no answer to %s", packet);
        take(1000, &answers);
    }
}

static void *be_client(void *arg)
{
    (void)arg;
    for (;;) {
        sem_wait(&client.begin);
        if (client.listens)
            connect_again();
        talk(client.data, client.size);
        if (client.listens) {
            connect_again();
            ask("$qSupported:multiprocess+;vContSupported+#fc");
            ask("$?#3f");
            ask("$qC#b4");
            ask("$qRcmd,65786974#d7"); /* exit */
        }
        if (client.fd >= 0)
            shutdown(client.fd, SHUT_WR);
        unsigned answers = 0;
        for (uint64_t end = now_ms() + LAST_MS; client.fd >= 0;) {
            if (now_ms() > end)
                fuzz_fail("the server does not hang up");
            take(1000, &answers);
        }
        sem_post(&client.end);
    }
    return NULL;
}

/* ---- Beginning and end ---- */

/* What is given up by this process cannot be had by those that it starts. The one that is kept chooses ids. */
static void drop_capabilities(void)
{
    for (int each = 0; prctl(PR_CAPBSET_READ, each) >= 0; each++)
        if (each != CAP_CHECKPOINT_RESTORE)
            prctl(PR_CAPBSET_DROP, each);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {{0}, {0}};
    sets[1].effective = sets[1].permitted = 1u << (CAP_CHECKPOINT_RESTORE - 32);
    if (syscall(SYS_capset, &header, sets) != 0)
        fuzz_fail("capset: %s", strerror(errno));
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    static pthread_t thread;
    fuzz_need_sandbox();
    drop_capabilities();
    if (chdir("/tmp") != 0)
        fuzz_fail("/tmp: %s", strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    setrlimit(RLIMIT_NPROC, &(struct rlimit){300, 300}); /* a program that makes processes for ever */
    for (bool found = true; found; usleep(1000)) {
        found = false;
        for_each_process(kill_program, &found);
    }
    for_each_process(note_stranger, NULL);
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, code, sizeof code, 0x1000) != sizeof code)
        fuzz_fail("%s: %s", program, strerror(errno));
    close(fd);
    sem_init(&client.begin, 0, 0);
    sem_init(&client.end, 0, 0);
    if (pthread_create(&thread, NULL, be_client, NULL) != 0)
        fuzz_fail("no client");
    return 0;
}

static int count_files(const char *directory)
{
    int count = 0;
    DIR *opened = opendir(directory);
    while (opened && readdir(opened))
        count++;
    closedir(opened);
    return count;
}

static void empty_directory(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (unlinkat(dirfd(directory), entry->d_name, 0) != 0 && errno == EISDIR)
            unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    closedir(directory);
}

/* What to attach to; 0: nothing could be started. */
static int start_program(void)
{
    char *const words[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "later", NULL};
    int pid;
    return posix_spawn(&pid, program, NULL, NULL, words, environ) == 0 ? pid : 0;
}

struct session {
    struct server *server;
    unsigned start;
    int pid; /* to attach to */
};

/* False: there is no process to begin with. */
static bool begin(const struct session *session)
{
    char *const words[] = {(char *)(uintptr_t)program, NULL};
    char why[500];
    if (session->start & START_NOTHING)
        return true;
    if (!(session->start & START_ATTACH))
        return launch_program(session->server, words, why, sizeof why) == 0;
    return session->pid && launch_attach(session->server, session->pid, why, sizeof why) == 0; /* it may have ended */
}

/* On the monitor, as cli_serve has it. */
static int run_session(void *arg)
{
    const struct session *session = arg;
    struct server *server = session->server;
    if (begin(session)) {
        sem_post(&client.begin);
        if (server_run(server) != 0)
            fuzz_fail("the server has failed");
        link_close(&server->link); /* who is connecting is not waited for any more */
        server_is_over();
        sem_wait(&client.end);
    }
    server_is_over();
    launch_end_all(server, true, false);
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void run(unsigned start, const uint8_t *stream, size_t size)
{
    struct server server = {.quiet = true,
                            .no_aslr = true,
                            .is_gdbserver = start & START_GDBSERVER,
                            .multi = start & START_MULTI,
                            .extended = start & START_MULTI,
                            .once = start & START_ONCE,
                            .on_disconnect = (enum on_disconnect)(start >> 6),
                            .link = {.listener = -1, .input = -1, .output = -1, .end_fd = -1}};
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    server.pid = getpid();
    struct expected expected = {.may_stop = memmem(stream, size, "C1", 2) || memmem(stream, size, "S1", 2),
                                .may_differ = memchr(stream, 'M', size) || memchr(stream, 'X', size) ||
                                              memchr(stream, 'P', size) || memchr(stream, 'G', size)};
    char why[500];
    int pair[2];
    choose_next_id(HELPER_ID);
    client.data = stream;
    client.size = size;
    client.fd = client.listener = -1;
    client.listens = !(start & START_STREAM);
    if (start & START_STREAM) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
            fuzz_fail("socketpair: %s", strerror(errno));
        server.link.input = server.link.output = pair[0];
        client.fd = pair[1];
    } else {
        if (link_open(&server.link, "unix:/tmp/s", false, why, sizeof why) != 0)
            fuzz_fail("%s", why);
        client.listener = fcntl(server.link.listener, F_DUPFD_CLOEXEC, 3);
    }
    if (rein_monitor_create(&options, &server.monitor) != 0)
        fuzz_fail("no monitor: %s", rein_error_message());
    choose_next_id(PROGRAM_ID);
    struct session session = {&server, start, start & START_ATTACH && !(start & START_NOTHING) ? start_program() : 0};
    if (rein_monitor_run(server.monitor, run_session, &session) != 0)
        fuzz_fail("the server has failed, or its monitor: %s", rein_error_message());
    if (server.inferiors)
        fuzz_fail("the server holds a process at its end");
    for_each_process(check_process, &expected);
    if (rein_monitor_call(server.monitor, do_nothing, NULL) != 0)
        fuzz_fail("the monitor has ended: %s", rein_error_message());
    trace_free(&server);
    resume_free(&server);
    launch_free(&server);
    memory_free(&server);
    link_close(&server.link);
    if ((start & START_STREAM) && client.fd >= 0)
        close(client.fd);
    rein_monitor_close(server.monitor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    uint8_t *stream = malloc(size);
    if (!stream)
        return 0;
    memcpy(stream, data + 1, size - 1);
    fuzz_repair(stream, size - 1);
    int files = count_files("/proc/self/fd"), threads = count_files("/proc/self/task");
    run(data[0], stream, size - 1);
    end_processes();
    empty_directory("/tmp");
    if (count_files("/proc/self/fd") != files)
        fuzz_fail("a file is left open");
    for (int waited = 0; count_files("/proc/self/task") != threads;
         waited++) { /* one that is joined goes a moment later */
        if (waited == 10000)
            fuzz_fail("a thread is left");
        usleep(1000);
    }
    free(stream);
    return 0;
}
