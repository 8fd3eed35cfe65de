/* What a call from another thread costs, on each kind of monitor: one that changes something, which the monitor must be woken
 * for, and a question, which the caller answers himself while it sleeps. The floor is the way there and back between two
 * threads, with a futex each. */
#include "bench.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQUESTS = 500 };

static _Atomic uint32_t asked, answered;

static void wait_for(_Atomic uint32_t *word, uint32_t value)
{
    for (uint32_t seen; (seen = atomic_load(word)) != value;)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *answer(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= REQUESTS; i++) {
        wait_for(&asked, i);
        set(&answered, i);
    }
    return NULL;
}

static double plain_requests(void *arg)
{
    (void)arg;
    pthread_t other;
    atomic_store(&asked, 0);
    atomic_store(&answered, 0);
    check(pthread_create(&other, NULL, answer, NULL) == 0);
    double begin = now_us();
    for (uint32_t i = 1; i <= REQUESTS; i++) {
        set(&asked, i);
        wait_for(&answered, i);
    }
    double end = now_us();
    pthread_join(other, NULL);
    return (end - begin) / REQUESTS;
}

static double rein_requests(void *arg)
{
    rein_process *process = rein_thread_process(arg);
    double begin = now_us();
    for (int i = 0; i < REQUESTS; i++)
        check(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL) == 0);
    return (now_us() - begin) / REQUESTS;
}

static double rein_questions(void *arg)
{
    rein_thread *thread = arg;
    enum rein_state state;
    double begin = now_us();
    for (int i = 0; i < REQUESTS; i++)
        check(rein_thread_state(thread, &state) == 0);
    return (now_us() - begin) / REQUESTS;
}

void bench_requests(void)
{
    static const struct {
        const char *what;
        enum rein_monitor_kind kind;
    } kinds[] = {
        {"request and answer, monitor process", REIN_MONITOR_PROCESS},
        {"request and answer, monitor thread", REIN_MONITOR_THREAD},
        {"request and answer, lent monitor", REIN_MONITOR_LENT},
    };
    struct target *target = target_start(0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        options.kind = kinds[i].kind;
        rein_monitor *monitor;
        rein_process *process;
        rein_thread *thread;
        check(rein_monitor_create(&options, &monitor) == 0);
        check(rein_attach(monitor, target->pid, NULL, &process) == 0);
        check(rein_process_thread(process, target->pid, &thread) == 0);
        compare(kinds[i].what, "rein", 21, plain_requests, rein_requests, thread);
        compare("  a question", "rein", 21, plain_requests, rein_questions, thread);
        rein_thread_unref(thread);
        rein_process_unref(process);
        check(rein_monitor_close(monitor) == 0);
    }
    target_end(target);
}
