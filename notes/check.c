/* Runs a demonstration where it can do no harm.
 *
 *   the command -- fork --> keeper -- fork --> demonstration -- fork --> what it traces
 *
 * The keeper takes in whatever loses its parent (PR_SET_CHILD_SUBREAPER), so that it can end it all, when the
 * demonstration is over or its time is. Everyone dies with his parent, should the command itself be killed. */
#include "demo.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static _Noreturn void demonstrate(const struct note *note, struct demo *d)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    note->demonstrate(d);
    if (d->outcome.verdict == NOTES_HANGS) /* a tracee may know better */
        d->outcome.verdict = NOTES_HOLDS;
    _exit(0);
}

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Waits until one of the children has something to say; looks anew now and then, for SIGCHLDs merge. */
static void await_child(void)
{
    sigset_t set;
    struct timespec moment = {.tv_nsec = 20000000};
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigtimedwait(&set, NULL, &moment);
}

static void kill_children(void)
{
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        pid_t id = (pid_t)strtol(entry->d_name, NULL, 10);
        if (id > 0 && field_of(id, "PPid", 10) == (unsigned long)getpid())
            kill(id, SIGKILL);
    }
    if (directory != NULL)
        closedir(directory);
}

/* What is killed leaves its children to us: so until there is nobody. Should somebody not die, that is not waited for. */
static void end_all(pid_t group)
{
    int64_t limit = now_ms() + 10000;
    pid_t ended;

    if (group > 0)
        kill(-group, SIGKILL); /* nearly all */
    while ((ended = waitpid(-1, NULL, WNOHANG | __WALL)) >= 0 && now_ms() < limit) {
        if (ended > 0)
            continue;
        await_child();
        kill_children();
    }
}

static void plain_signals(void)
{
    sigset_t set;
    for (int signal = 1; signal < NSIG; signal++)
        handle(signal, SIG_DFL); /* two can't be, and need not */
    sigfillset(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Standard output is the command's, and only its. */
static void be_quiet(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
}

static void keep(const struct note *note, struct demo *d, int limit_seconds)
{
    int64_t limit = now_ms() + (int64_t)limit_seconds * 1000;
    int status = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    plain_signals();
    be_quiet();
    if (pipe2(d->gate, O_CLOEXEC) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        demonstrate(note, d);
    block_signal(SIGCHLD);
    while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0 && now_ms() < limit)
        await_child();
    if (d->outcome.verdict == NOTES_HANGS && WIFSIGNALED(status)) {
        d->outcome.verdict = NOTES_FAILS;
        snprintf(d->outcome.why, sizeof d->outcome.why, "the demonstration was ended by signal %d", WTERMSIG(status));
    }
    end_all(pid);
}

void notes_check(const struct note *note, int limit_seconds, struct notes_outcome *outcome)
{
    struct demo *d = mmap(NULL, sizeof *d, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *outcome = (struct notes_outcome){.verdict = NOTES_UNTRIED, .why = "no memory, or no process, to try it with"};
    if (d == MAP_FAILED)
        return;
    d->outcome = (struct notes_outcome){.verdict = NOTES_HANGS};
    pid_t keeper = fork();
    if (keeper == 0) {
        keep(note, d, limit_seconds);
        _exit(0);
    }
    if (keeper > 0) {
        while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
            continue;
        *outcome = d->outcome;
        if (outcome->verdict == NOTES_HANGS)
            snprintf(outcome->why, sizeof outcome->why, "it was not over within %d seconds", limit_seconds);
    }
    munmap(d, sizeof *d);
}
