/* What demonstrations share: see demo.h. */
#include "demo.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

/* ---- Verdicts ---- */

/* Whoever knows first ends them all: of a tracee's death its tracer might never hear. */
static _Noreturn void end(struct demo *d, enum notes_verdict verdict)
{
    d->outcome.verdict = verdict;
    kill(0, SIGKILL);
    _exit(1);
}

_Noreturn void cannot(struct demo *d, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(d->outcome.why, sizeof d->outcome.why, format, arguments);
    va_end(arguments);
    end(d, NOTES_UNTRIED);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

_Noreturn void demo_failed(struct demo *d, const char *file, int line, const char *claim)
{
    snprintf(d->outcome.why, sizeof d->outcome.why, "%s:%d: not so: %s", base_name(file), line, claim);
    end(d, NOTES_FAILS);
}

long demo_tried(struct demo *d, const char *file, int line, const char *call, long result)
{
    if (result != -1)
        return result;
    switch (errno) {
    case EPERM:
    case EACCES:
    case ENOSYS:
    case EAGAIN:
    case ENOMEM:
    case ENOSPC:
        cannot(d, "%s: %s", call, strerror(errno));
    default:
        snprintf(d->outcome.why, sizeof d->outcome.why, "%s:%d: %s: %s", base_name(file), line, call, strerror(errno));
        end(d, NOTES_FAILS);
    }
}

void since_linux(struct demo *d, int major, int minor)
{
    struct utsname system;
    int here_major = 0, here_minor = 0;
    if (uname(&system) == 0 && sscanf(system.release, "%d.%d", &here_major, &here_minor) == 2 &&
        (here_major > major || (here_major == major && here_minor >= minor)))
        return;
    cannot(d, "only since Linux %d.%d", major, minor);
}

/* ---- Processes and threads to be traced ---- */

pid_t own_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}

pid_t start(struct demo *d, demo_body *body)
{
    pid_t pid = (pid_t)TRY(fork());
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    body(d);
    _exit(0);
}

struct birth {
    struct demo *d;
    demo_body *body;
};

static void *run_thread(void *arg)
{
    struct birth birth = *(struct birth *)arg;
    int n = birth.d->threads;
    free(arg);
    birth.d->id[n] = own_id();
    birth.d->threads = n + 1; /* the maker waits for it, so there is one at a time */
    birth.body(birth.d);
    return NULL;
}

void thread(struct demo *d, demo_body *body)
{
    pthread_attr_t attributes;
    pthread_t made;
    struct birth *birth = malloc(sizeof *birth);
    int n = d->threads;
    if (birth == NULL || n == DEMO_THREADS)
        cannot(d, "no memory for a thread");
    *birth = (struct birth){d, body};
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    errno = pthread_create(&made, &attributes, run_thread, birth);
    TRY(errno == 0 ? 0 : -1);
    pthread_attr_destroy(&attributes);
    id_of(d, n);
}

pid_t id_of(struct demo *d, int n)
{
    while (d->threads <= n)
        pause_a_moment();
    return d->id[n];
}

void sleeps(struct demo *d)
{
    (void)d;
    for (;;)
        pause();
}

void counts(struct demo *d)
{
    for (;;)
        d->count++;
}

void crew(struct demo *d)
{
    thread(d, counts);
    sleeps(d);
}

void execs(struct demo *d)
{
    static char self[] = "/proc/self/exe", option[] = "--version";
    char *arguments[] = {self, option, NULL};
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* which a traced program cannot do */
    TRY(execv(self, arguments));
}

void block(struct demo *d)
{
    char byte;
    EXPECT(read(d->gate[0], &byte, 1) == 1); /* not EINTR */
}

void open_gate(struct demo *d)
{
    TRY(write(d->gate[1], "", 1));
}

void pause_a_moment(void)
{
    struct timespec moment = {.tv_nsec = 100000};
    nanosleep(&moment, NULL);
}

void await(struct demo *d, int flag)
{
    while (d->flag[flag] == 0)
        pause_a_moment();
}

void handle(int signal, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigaction(signal, &action, NULL);
}

void block_signal(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

/* ---- ptrace and wait ---- */

void seize(struct demo *d, pid_t id, int options)
{
    TRY(trace(PTRACE_SEIZE, id, 0, options));
}

void interrupt(struct demo *d, pid_t id)
{
    TRY(trace(PTRACE_INTERRUPT, id, 0, 0));
}

void go_on(struct demo *d, pid_t id, int signal)
{
    TRY(trace(PTRACE_CONT, id, 0, signal));
}

void stop(struct demo *d, pid_t id)
{
    interrupt(d, id);
    EXPECT(is_event(wait_for(d, id), PTRACE_EVENT_STOP));
}

int wait_for(struct demo *d, pid_t id)
{
    int status = 0;
    TRY(waitpid(id, &status, __WALL));
    return status;
}

unsigned long message_of(struct demo *d, pid_t id)
{
    unsigned long message = 0;
    TRY(trace(PTRACE_GETEVENTMSG, id, 0, &message));
    return message;
}

void run_to_call(struct demo *d, pid_t id, long number)
{
    struct __ptrace_syscall_info call;
    since_linux(d, 5, 3); /* for PTRACE_GET_SYSCALL_INFO */
    do {
        TRY(trace(PTRACE_SYSCALL, id, 0, 0));
        EXPECT(is_signal(wait_for(d, id), SYSCALL_STOP));
        TRY(trace(PTRACE_GET_SYSCALL_INFO, id, sizeof call, &call));
    } while (call.op != PTRACE_SYSCALL_INFO_ENTRY || call.entry.nr != (uint64_t)number);
}

bool is_signal(int status, int signal)
{
    return WIFSTOPPED(status) && status >> 8 == signal;
}

bool is_event(int status, int event)
{
    return WIFSTOPPED(status) && status >> 8 == (SIGTRAP | event << 8);
}

bool is_group_stop(int status, int signal)
{
    return WIFSTOPPED(status) && status >> 8 == (signal | PTRACE_EVENT_STOP << 8);
}

bool is_exit(int status, int code)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

bool is_killed(int status, int signal)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

/* ---- Looking from outside ---- */

bool has_status(pid_t id)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)id, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid != 0;
}

void await_status(pid_t id)
{
    siginfo_t info;
    waitid(P_PID, (id_t)id, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL);
}

/* The text of a small file in /proc/ID; "" if there is none. */
static void read_proc(pid_t id, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", id, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);
    text[length < 0 ? 0 : length] = '\0';
    if (fd >= 0)
        close(fd);
}

char state_of(pid_t id)
{
    char text[512];
    read_proc(id, "stat", text, sizeof text);
    const char *close = strrchr(text, ')');
    if (close == NULL)
        return '\0';
    return close[2];
}

void await_state(pid_t id, char state)
{
    while (state_of(id) != state)
        pause_a_moment();
}

void await_end(pid_t process, pid_t id)
{
    while (syscall(SYS_tgkill, process, id, 0) == 0)
        pause_a_moment();
}

unsigned long field_of(pid_t id, const char *name, int base)
{
    char text[4096];
    size_t length = strlen(name);
    read_proc(id, "status", text, sizeof text);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            return strtoul(line + length + 1, NULL, base);
    return 0;
}

bool has_signal(pid_t id, const char *field, int signal)
{
    return (field_of(id, field, 16) >> (signal - 1) & 1) != 0;
}

void await_progress(struct demo *d)
{
    long before = d->count;
    while (d->count == before)
        pause_a_moment();
}
