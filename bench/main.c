/* bench [--quick|--once] [--json] [--one-cpu|--all-cpus] [--row=TEXT] [PART...]: what rein and its peers cost, as ratios to the least that a
 * tracer can do. See doc/performance.md. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { ROUNDS_MAX = 100, LIMIT_S = 60 };

static bool quick, once, json; /* once: each work one time, small, to see that it works */
static cpu_set_t all_cpus;
static const char *placement;
static const char *row = "";

_Noreturn void check_failed(const char *what, const char *file, int line)
{
    fflush(stdout);
    fprintf(stderr, "bench: %s:%d: %s: failed (errno %d); rein says: %s\n", file, line, what, errno,
            rein_error_message());
    exit(1);
}

unsigned threads_max(void)
{
    return once ? 100 : quick ? 1000 : 10000;
}

bool bench_once(void)
{
    return once;
}

bool row_chosen(const char *what)
{
    return strstr(what, row);
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

static void print_line(const char *what, const char *who, const char *why)
{
    if (json)
        printf("{\"cpus\": \"%s\", \"what\": \"%s\", \"who\": \"%s\", \"skipped\": \"%s\"}\n", placement, what, who, why);
    else
        printf("%-56s %11s  %-12s %s\n", what, "-", who, why);
    fflush(stdout);
}

void skip(const char *what, const char *who, const char *why)
{
    print_line(what, who, why);
}

int compare(const char *what, const char *who, int rounds, measure floor, measure other, void *arg)
{
    double floors[ROUNDS_MAX], others[ROUNDS_MAX];
    rounds = once ? 1 : !quick ? rounds : rounds < 9 ? 3 : rounds / 3;
    check(rounds <= ROUNDS_MAX);
    bool ended = once || (floor(arg) >= 0 && other(arg) >= 0); /* to warm up */
    for (int i = 0; ended && i < rounds; i++) {
        /* Who goes first changes, so that neither always finds the caches as the other left them. */
        if (i % 2)
            others[i] = other(arg);
        floors[i] = floor(arg);
        if (i % 2 == 0)
            others[i] = other(arg);
        ended = floors[i] >= 0 && others[i] >= 0;
    }
    if (!ended) {
        print_line(what, who, "has not ended in time");
        return 0;
    }
    print_comparison(what, who, rounds, floors, others);
    return rounds;
}

void print_comparison(const char *what, const char *who, int rounds, double *floors, double *others)
{
    double ratios[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++)
        ratios[i] = others[i] / floors[i];
    double ratio = median(ratios, rounds); /* sorts */
    double floor_us = median(floors, rounds), us = median(others, rounds);
    if (json)
        printf("{\"cpus\": \"%s\", \"what\": \"%s\", \"who\": \"%s\", \"floor_us\": %.3f, \"us\": %.3f, \"ratio\": %.3f, "
               "\"least\": %.3f, \"most\": %.3f, \"rounds\": %d}\n",
               placement, what, who, floor_us, us, ratio, ratios[0], ratios[rounds - 1], rounds);
    else
        printf("%-56s %11.2f  %-12s %11.2f %8.2f  (%.2f..%.2f)\n", what, floor_us, who, us, ratio, ratios[0],
               ratios[rounds - 1]);
    fflush(stdout);
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

double run_program(char *const argv[])
{
    double begin = now_us();
    pid_t pid = start_program(argv);
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    check(end.fd >= 0);
    bool ended = poll(&end, 1, LIMIT_S * 1000) == 1;
    close(end.fd);
    if (!ended)
        kill(pid, SIGKILL);
    wait_for_end(pid);
    return ended ? now_us() - begin : -1;
}

/* ---- The traced program ---- */

struct target *target_start(unsigned idle)
{
    return target_start_with(idle, 0);
}

static struct target *start_target(char *const argv[])
{
    struct target *target = calloc(1, sizeof *target);
    int fd = memfd_create("bench", MFD_CLOEXEC);
    check(target && fd >= 0 && ftruncate(fd, sizeof *target->page) == 0);
    target->page = mmap(NULL, sizeof *target->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(target->page != MAP_FAILED);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd, TARGET_FD);
    check(posix_spawnp(&target->pid, argv[0], &actions, NULL, argv, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fd);
    /* It is ready, or could not make its threads. */
    struct timespec moment = {0, 100000000};
    while (!atomic_load(&target->page->ready)) {
        syscall(SYS_futex, &target->page->ready, FUTEX_WAIT, 0, &moment, NULL, 0);
        if (waitpid(target->pid, NULL, WNOHANG) == target->pid) {
            fprintf(stderr, "bench: %s has not come to work: if it was to make many threads, see ulimit -u and "
                            "kernel.pid_max\n", argv[0]);
            exit(1);
        }
    }
    return target;
}

struct target *target_start_with(unsigned idle, unsigned hitters)
{
    char idle_text[16], hitters_text[16];
    snprintf(idle_text, sizeof idle_text, "%u", idle);
    snprintf(hitters_text, sizeof hitters_text, "%u", hitters);
    char *const argv[] = {(char *)(uintptr_t)beside("target"), idle_text, hitters_text, NULL};
    return start_target(argv);
}

struct target *target_start_under(const char *const command[])
{
    enum { WORDS = 16 };
    char *argv[WORDS + 3] = {NULL};
    size_t count = 0;
    while (command[count]) {
        check(count < WORDS);
        argv[count] = (char *)(uintptr_t)command[count]; /* posix_spawn's parameter is not const, but it changes nothing */
        count++;
    }
    argv[count++] = (char *)(uintptr_t)beside("target");
    argv[count++] = (char *)"0";
    return start_target(argv);
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
    uint32_t works = atomic_load(&target->page->asked);
    struct timespec second = {1, 0};
    for (double limit = now_us() + LIMIT_S * 1e6; atomic_load(&target->page->done) != works;) {
        if (now_us() > limit)
            return -1;
        syscall(SYS_futex, &target->page->done, FUTEX_WAIT, works - 1, &second, NULL, 0);
    }
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
    {"hits", bench_hits}, {"many", bench_many},     {"events", bench_events},     {"cycles", bench_cycles},
    {"crowds", bench_crowds}, {"requests", bench_requests}, {"memory", bench_memory},
    {"starts", bench_starts}, {"peers", bench_peers},       {"calls", bench_calls},
    {"syscalls", bench_syscalls}, {"steps", bench_steps},     {"forks", bench_forks},
    {"servers", bench_servers},
};

static int usage(void)
{
    fprintf(stderr, "usage: bench [--quick|--once] [--json] [--one-cpu|--all-cpus] [--row=TEXT, of servers] [PART...]; "
                    "the parts:");
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++)
        fprintf(stderr, " %s", parts[part].name);
    fprintf(stderr, "\n");
    return 2;
}

/* All that is started from here on is placed so, too. */
static void place(bool on_one_cpu)
{
    cpu_set_t set = all_cpus;
    if (on_one_cpu) {
        check(sched_setaffinity(0, sizeof all_cpus, &all_cpus) == 0);
        CPU_ZERO(&set);
        CPU_SET((size_t)sched_getcpu(), &set);
    }
    check(sched_setaffinity(0, sizeof set, &set) == 0);
    placement = on_one_cpu ? "one" : "all";
}

/* The line of /proc/cpuinfo that names the processor. */
static const char *processor(void)
{
    static char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        char *name = strstr(line, ": ");
        if (strncmp(line, "model name", 10) == 0 && name) {
            line[strcspn(line, "\n")] = 0;
            fclose(file);
            return name + 2;
        }
    }
    if (file)
        fclose(file);
    return "unknown processor";
}

static void describe_machine(void)
{
    struct utsname kernel;
    check(uname(&kernel) == 0);
    printf(json ? "{\"rein\": \"%s\", \"processor\": \"%s\", \"cpus\": %d, \"kernel\": \"%s %s\"}\n"
                : "rein %s; %s, %d CPUs; %s %s\n",
           rein_version(), processor(), CPU_COUNT(&all_cpus), kernel.sysname, kernel.release);
}

static void run_parts(char **names, int count)
{
    if (!json) {
        printf("\n%s\n", strcmp(placement, "one") == 0 ? "ON ONE CPU" : "AS SCHEDULED, ON ALL CPUS");
        printf("%-56s %11s  %-12s %11s %8s  %s\n", "what", "floor us", "who", "us", "ratio", "(min..max)");
    }
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        bool chosen = count == 0;
        for (int i = 0; i < count; i++)
            chosen |= strcmp(names[i], parts[part].name) == 0;
        if (chosen)
            parts[part].run();
    }
}

int main(int argc, char **argv)
{
    int first = 1;
    bool one = true, all = true;
    check(sched_getaffinity(0, sizeof all_cpus, &all_cpus) == 0);
    for (; argc > first && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--quick") == 0)
            quick = true;
        else if (strcmp(argv[first], "--once") == 0)
            once = true;
        else if (strcmp(argv[first], "--json") == 0)
            json = true;
        else if (strcmp(argv[first], "--one-cpu") == 0)
            all = false;
        else if (strcmp(argv[first], "--all-cpus") == 0)
            one = false;
        else if (strncmp(argv[first], "--row=", 6) == 0)
            row = argv[first] + 6;
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
    describe_machine();
    for (int on_one = 0; on_one < 2; on_one++) {
        if (on_one ? !one : !all)
            continue;
        place(on_one);
        run_parts(argv + first, argc - first);
    }
    return 0;
}
