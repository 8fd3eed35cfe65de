/* How many system calls the monitor makes for each thing, and which: that tells more than times do on a noisy machine.
 * strace counts them. It slows the monitor down, so what depends on time (sleeping or looking again) can differ from a
 * run without. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMES = 50, KINDS_MAX = 40 };

struct kind {
    char name[40];
    unsigned count;
};

static struct target *target;
static rein_monitor *monitor;
static rein_process *process;

/* ---- strace ---- */

static int tracer_of(int pid)
{
    char path[64], line[128];
    int tracer = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    check(file);
    while (fgets(line, sizeof line, file) && sscanf(line, "TracerPid: %d", &tracer) != 1) {
    }
    check(fclose(file) == 0);
    return tracer;
}

/* "29005 ptrace(PTRACE_CONT, 29003, ...": the name, and of ptrace the request. false: it is no call. */
static bool name_of(const char *line, char *name, size_t size)
{
    char call[32], request[32];
    if (sscanf(line, "%*d %31[a-z0-9_](", call) != 1)
        return false;
    bool is_ptrace = sscanf(line, "%*d ptrace(PTRACE_%31[A-Z_]", request) == 1;
    return snprintf(name, size, "%s", is_ptrace ? request : call) < (int)size;
}

static int by_count(const void *a, const void *b)
{
    unsigned left = ((const struct kind *)a)->count, right = ((const struct kind *)b)->count;
    return left < right ? 1 : -(left > right);
}

static void print_counts(const char *what, const char *path, double times)
{
    struct kind kinds[KINDS_MAX] = {0};
    size_t count = 0;
    unsigned total = 0;
    char line[4096], name[sizeof kinds->name];
    FILE *file = fopen(path, "re");
    check(file);
    while (fgets(line, sizeof line, file)) {
        if (!name_of(line, name, sizeof name))
            continue;
        size_t i = 0;
        while (i < count && strcmp(kinds[i].name, name) != 0)
            i++;
        check(i < KINDS_MAX);
        if (i == count)
            memcpy(kinds[count++].name, name, sizeof name);
        kinds[i].count++;
        total++;
    }
    check(fclose(file) == 0);
    qsort(kinds, count, sizeof *kinds, by_count);
    printf("%-48s %5.1f:", what, total / times);
    for (size_t i = 0; i < count; i++)
        if (kinds[i].count / times >= 0.1)
            printf(" %s %.1f", kinds[i].name, kinds[i].count / times);
    printf("\n");
    fflush(stdout);
}

/* Runs function under strace; what it does, it does `times` times. */
static void count_calls(const char *what, void (*function)(void), double times)
{
    char path[] = "/tmp/bench-XXXXXX", pid[16];
    int fd = mkstemp(path);
    check(fd >= 0 && close(fd) == 0);
    snprintf(pid, sizeof pid, "%d", rein_monitor_id(monitor));
    char *const argv[] = {(char *)"strace", (char *)"-f", (char *)"-qq", (char *)"-o", path, (char *)"-p", pid, NULL};
    pid_t strace = start_program(argv);
    for (int tries = 0; !tracer_of(rein_monitor_id(monitor)); tries++) {
        check(tries < 1000);
        usleep(5000);
    }
    function();
    kill(strace, SIGINT);
    wait_for_end(strace);
    print_counts(what, path, times);
    unlink(path);
}

/* ---- What is counted ---- */

static void hit_all(void)
{
    target_do(target, WORK_HITS, TIMES);
}

static void signal_all(void)
{
    target_do(target, WORK_SIGNALS, TIMES);
}

static void cycle_all(void)
{
    target_ask(target, WORK_HITS, TIMES);
    for (int i = 0; i < TIMES; i++) {
        check(rein_process_wait(process, -1) == 0);
        check(rein_process_continue(process) == 0);
    }
    target_done(target);
}

static void attach(void)
{
    check(rein_attach(monitor, target->pid, NULL, &process) == 0);
}

static void attach_and_detach(void)
{
    attach();
    check(rein_process_detach(process, 0) == 0);
    rein_process_unref(process);
}

static void continue_and_stop(void)
{
    check(rein_process_continue(process) == 0);
    check(rein_process_stop(process, -1) == 0);
}

static void request_all(void)
{
    for (int i = 0; i < TIMES; i++)
        check(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL) == 0);
}

static void ask_all(void)
{
    rein_thread *thread;
    enum rein_state state;
    check(rein_process_thread(process, target->page->worker, &thread) == 0);
    for (int i = 0; i < TIMES; i++)
        check(rein_thread_state(thread, &state) == 0);
    rein_thread_unref(thread);
}

static enum rein_verdict go_on(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)thread;
    (void)cause;
    (void)arg;
    return REIN_VERDICT_GO_ON;
}

static void begin(unsigned idle)
{
    target = target_start(idle);
    check(rein_monitor_create(NULL, &monitor) == 0);
}

static void end(void)
{
    rein_process_unref(process);
    check(rein_monitor_close(monitor) == 0);
    target_end(target);
}

static void count_stops(unsigned idle)
{
    char what[64];
    begin(idle);
    attach();
    check(rein_process_add_breakpoint(process, target->page->hot, NULL, NULL) == 0);
    check(rein_process_continue(process) == 0);
    snprintf(what, sizeof what, "hit, stop all, wait, continue: %u thread%s", idle + 1, idle ? "s" : "");
    count_calls(what, cycle_all, TIMES);
    check(rein_process_set_callback(process, go_on, NULL) == 0);
    snprintf(what, sizeof what, "breakpoint hit, %u thread%s", idle + 1, idle ? "s" : "");
    count_calls(what, hit_all, TIMES);
    snprintf(what, sizeof what, "signal event, %u thread%s", idle + 1, idle ? "s" : "");
    count_calls(what, signal_all, TIMES);
    if (!idle) {
        count_calls("request", request_all, TIMES);
        count_calls("question", ask_all, TIMES);
    }
    end();
}

static void count_crowd(unsigned threads)
{
    begin(threads - 1);
    count_calls("attach, stop, detach one thread of 1000", attach_and_detach, threads);
    attach();
    count_calls("continue, stop one thread of 1000", continue_and_stop, threads);
    end();
}

void bench_calls(void)
{
    if (!is_installed("strace")) {
        skip("system calls of the monitor", "strace", "is not installed");
        return;
    }
    printf("\n%-48s %s\n", "system calls of the monitor for one", "total: each");
    count_stops(0);
    count_stops(10);
    count_crowd(1000);
}
