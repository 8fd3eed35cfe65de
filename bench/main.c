/* bench [--quick] [--one-cpu] [PART...]: what rein costs, as ratios to the least that a tracer can do. See
 * doc/benchmarks.md. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { ROUNDS_MAX = 100 };

static bool quick;

_Noreturn void check_failed(const char *what, const char *file, int line)
{
    fflush(stdout);
    fprintf(stderr, "bench: %s:%d: %s: failed (errno %d); rein says: %s\n", file, line, what, errno,
            rein_error_message());
    exit(1);
}

unsigned threads_max(void)
{
    return quick ? 1000 : 10000;
}

double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void compare(const char *what, const char *who, int rounds, measure floor, measure other, void *arg)
{
    double floors[ROUNDS_MAX], others[ROUNDS_MAX], ratios[ROUNDS_MAX];
    rounds = !quick ? rounds : rounds < 9 ? 3 : rounds / 3;
    check(rounds <= ROUNDS_MAX);
    floor(arg); /* once to warm up */
    other(arg);
    for (int i = 0; i < rounds; i++) {
        /* Who goes first changes, so that neither always finds the caches as the other left them. */
        if (i % 2)
            others[i] = other(arg);
        floors[i] = floor(arg);
        if (i % 2 == 0)
            others[i] = other(arg);
        ratios[i] = others[i] / floors[i];
    }
    double ratio = median(ratios, rounds); /* sorts */
    printf("%-48s %11.2f  %-9s %11.2f %8.2f  (%.2f..%.2f)\n", what, median(floors, rounds), who, median(others, rounds),
           ratio, ratios[0], ratios[rounds - 1]);
    fflush(stdout);
}

void skip(const char *what, const char *who, const char *why)
{
    printf("%-48s %11s  %-9s %s\n", what, "-", who, why);
}

const char *beside(const char *name)
{
    static char path[PATH_MAX];
    char self[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    check(size > 0);
    self[size] = 0;
    *strrchr(self, '/') = 0;
    check(snprintf(path, sizeof path, "%s/%s", self, name) < (int)sizeof path);
    return path;
}

bool is_installed(const char *program)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"command -v \"$0\"", (char *)program, NULL};
    int status;
    check(waitpid(start_program(argv), &status, 0) > 0);
    return status == 0;
}

pid_t start_program(char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    check(posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

void wait_for_end(pid_t pid)
{
    check(waitpid(pid, NULL, 0) == pid);
}

/* ---- The traced program ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t while_it_is)
{
    while (atomic_load(word) == while_it_is)
        syscall(SYS_futex, word, FUTEX_WAIT, while_it_is, NULL, NULL, 0);
}

struct target *target_start(unsigned idle)
{
    struct target *target = calloc(1, sizeof *target);
    int fd = memfd_create("bench", MFD_CLOEXEC);
    check(target && fd >= 0 && ftruncate(fd, sizeof *target->page) == 0);
    target->page = mmap(NULL, sizeof *target->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(target->page != MAP_FAILED);

    char number[16];
    snprintf(number, sizeof number, "%u", idle);
    char *const argv[] = {(char *)"target", number, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, TARGET_FD);
    check(posix_spawn(&target->pid, beside("target"), &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fd);
    /* It is ready, or could not make its threads. */
    struct timespec moment = {0, 100000000};
    while (!atomic_load(&target->page->ready)) {
        syscall(SYS_futex, &target->page->ready, FUTEX_WAIT, 0, &moment, NULL, 0);
        if (waitpid(target->pid, NULL, WNOHANG) == target->pid) {
            fprintf(stderr, "bench: no %u threads could be made: see ulimit -u and kernel.pid_max\n", idle);
            exit(1);
        }
    }
    return target;
}

void target_end(struct target *target)
{
    kill(target->pid, SIGKILL);
    while (waitpid(target->pid, NULL, __WALL) < 0) {
    }
    munmap(target->page, sizeof *target->page);
    free(target);
}

void target_ask(struct target *target, enum target_work work, uint32_t count)
{
    target->page->work = work;
    target->page->count = count;
    atomic_fetch_add(&target->page->asked, 1);
    syscall(SYS_futex, &target->page->asked, FUTEX_WAKE, 1, NULL, NULL, 0);
}

double target_done(struct target *target)
{
    futex_wait(&target->page->done, atomic_load(&target->page->asked) - 1);
    return target->page->us;
}

double target_do(struct target *target, enum target_work work, uint32_t count)
{
    target_ask(target, work, count);
    return target_done(target);
}

/* ---- */

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"hits", bench_hits},     {"events", bench_events},     {"cycles", bench_cycles},
    {"crowds", bench_crowds}, {"requests", bench_requests}, {"memory", bench_memory},
    {"starts", bench_starts}, {"peers", bench_peers},       {"calls", bench_calls},
    {"syscalls", bench_syscalls}, {"steps", bench_steps},
};

static int usage(void)
{
    fprintf(stderr, "usage: bench [--quick] [--one-cpu] "
                    "[hits|events|cycles|crowds|requests|memory|starts|peers|calls|syscalls|steps]...\n");
    return 2;
}

/* All that is started from here on stays there too. */
static void stay_on_this_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)sched_getcpu(), &set);
    check(sched_setaffinity(0, sizeof set, &set) == 0);
}

int main(int argc, char **argv)
{
    int first = 1;
    for (; argc > first && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--quick") == 0)
            quick = true;
        else if (strcmp(argv[first], "--one-cpu") == 0)
            stay_on_this_cpu();
        else
            return usage();
    }
    for (int i = first; i < argc; i++) {
        bool known = false;
        for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
            known |= strcmp(argv[i], parts[part].name) == 0;
        if (!known)
            return usage();
    }
    printf("%-48s %11s  %-9s %11s %8s  %s\n", "what", "floor us", "who", "us", "ratio", "(min..max)");
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        bool chosen = argc == first;
        for (int i = first; i < argc; i++)
            chosen |= strcmp(argv[i], parts[part].name) == 0;
        if (chosen)
            parts[part].run();
    }
    return 0;
}
