/* The program that the bench traces: target THREADS HITTERS. It has that many idle threads, that many hitters, and one that
 * does what the page (target.h) tells it, over and over. "target forks COUNT" makes so many children, one after the
 * other, and ends. That one is not the leader, if there are others: a tracer that is the parent too finds the leader
 * sooner than other threads. It ends with the bench. */
#define _GNU_SOURCE
#include "target.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct target_page *page;
static _Atomic uint32_t never;

/* A function as compilers begin and end them. */
void hot(void);
__asm__("hot:\n\t"
        "push %rbp\n\t"
        "mov %rsp, %rbp\n\t"
        "pop %rbp\n\t"
        "ret\n");

_Static_assert(TARGET_FUNCTIONS == 1000 && TARGET_DISTANCE == 16, "as below");
void functions(void);
__asm__(".balign 16\n\t"
        "functions:\n\t"
        ".rept 1000\n\t"
        "push %rbp\n\t"
        "mov %rsp, %rbp\n\t"
        "pop %rbp\n\t"
        "ret\n\t"
        ".balign 16\n\t"
        ".endr\n");

static void nothing(int number)
{
    (void)number;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t while_it_is)
{
    while (atomic_load(word) == while_it_is)
        syscall(SYS_futex, word, FUTEX_WAIT, while_it_is, NULL, NULL, 0);
}

static void *idle(void *arg)
{
    (void)arg;
    atomic_fetch_add(&page->threads, 1);
    futex_wait(&never, 0);
    return NULL;
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Hitters wait for their next round, and tell that they have done it. */
static uint32_t hitters;
static _Atomic uint32_t crowd_round, crowd_left;

static void *hit(void *arg)
{
    (void)arg;
    for (uint32_t round = 0;; round++) {
        futex_wait(&crowd_round, round);
        for (uint32_t i = 0; i < page->count; i++)
            hot();
        if (atomic_fetch_sub(&crowd_left, 1) == 1)
            syscall(SYS_futex, &crowd_left, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void hit_at_once(void)
{
    atomic_store(&crowd_left, hitters);
    atomic_fetch_add(&crowd_round, 1);
    syscall(SYS_futex, &crowd_round, FUTEX_WAKE, hitters, NULL, NULL, 0);
    for (uint32_t left; (left = atomic_load(&crowd_left)) != 0;)
        futex_wait(&crowd_left, left);
}

/* Lines for a debugger that steps by them: some of TARGET_STEPS instructions without a call, and some with one. */
#define LONG_LINE __asm__ volatile(".rept %c0\n\tnop\n\t.endr" : : "i"(TARGET_STEPS))
__attribute__((noinline)) static void called(void)
{
    __asm__ volatile("");
}

void straight(uint32_t times);
__attribute__((noinline)) void straight(uint32_t times)
{
    for (volatile uint32_t i = 0; i < times; i++) {
        LONG_LINE;
        LONG_LINE;
    }
}

void calling(uint32_t times);
__attribute__((noinline)) void calling(uint32_t times)
{
    for (volatile uint32_t i = 0; i < times; i++) {
        called();
        called();
    }
}

static void make_child(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    while (child > 0 && waitpid(child, NULL, 0) < 0) {
    }
}

static void work_once(uint32_t which)
{
    switch (page->work) {
    case WORK_CROWD: /* see work() */
        break;
    case WORK_FUNCTIONS:
        ((void (*)(void))(page->functions + which % TARGET_FUNCTIONS * TARGET_DISTANCE))();
        break;
    case WORK_HITS:
        hot();
        break;
    case WORK_TRAPS:
        __asm__ volatile("int3");
        break;
    case WORK_CALLS:
        syscall(SYS_getppid);
        break;
    case WORK_SIGNALS:
        raise(SIGUSR1);
        break;
    case WORK_FORKS:
        make_child();
        break;
    case WORK_LARGE:
        if (!page->large) {
            char *large = malloc(TARGET_LARGE);
            if (!large)
                abort();
            memset(large, 3, TARGET_LARGE);
            page->large = (uintptr_t)large;
        }
        break;
    case WORK_STRAIGHT:
        straight(UINT32_MAX);
        break;
    case WORK_CALLING:
        calling(UINT32_MAX);
        break;
    case WORK_STEPS: { /* each needs the one before it: one a cycle */
        unsigned long number = 0;
        __asm__ volatile(".rept %c1\n\tlea 1(%0), %0\n\t.endr" : "+r"(number) : "i"(TARGET_STEPS));
        break;
    }
    }
}

_Noreturn static void *work(void *arg)
{
    page->worker = (int32_t)syscall(SYS_gettid);
    while (atomic_load(&page->threads) < *(uint32_t *)arg)
        usleep(1000);
    atomic_store(&page->ready, 1);
    syscall(SYS_futex, &page->ready, FUTEX_WAKE, 1, NULL, NULL, 0);
    for (uint32_t works = 0;; works++) {
        futex_wait(&page->asked, works);
        double begin = now_us();
        uint32_t times = page->count;
        if (page->work == WORK_CROWD) {
            hit_at_once();
            times *= hitters;
        }
        for (uint32_t i = 0; i < page->count; i++)
            work_once(i);
        page->us = (now_us() - begin) / times;
        atomic_store(&page->done, works + 1);
        syscall(SYS_futex, &page->done, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
}

static int start(const pthread_attr_t *attributes, void *(*function)(void *), void *arg)
{
    pthread_t id;
    return pthread_create(&id, attributes, function, arg);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "forks") == 0) {
        for (int i = atoi(argv[2]); i > 0; i--)
            make_child();
        return 0;
    }
    uint32_t idlers = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    hitters = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, TARGET_FD, 0);
    char *block = malloc(TARGET_BLOCK);
    if (page == MAP_FAILED || !block)
        return 1;
    memset(block, 1, TARGET_BLOCK);
    page->block = (uintptr_t)block;
    page->hot = (uintptr_t)hot;
    page->functions = (uintptr_t)functions;
    signal(SIGUSR1, nothing);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    for (uint32_t made = 0; made < hitters; made++) {
        if (start(&attributes, hit, NULL))
            return 1;
    }
    if (!idlers)
        work(&idlers);

    int error = start(&attributes, work, &idlers);
    for (uint32_t made = 1; !error && made < idlers; made++)
        error = start(&attributes, idle, NULL);
    if (error)
        return 1;
    idle(NULL);
    return 0;
}
