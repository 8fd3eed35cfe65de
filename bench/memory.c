/* What it costs to read a program's memory, against one system call and against a copy in one's own. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

static char here[TARGET_BLOCK], own[TARGET_BLOCK];
static struct target *target;
static rein_process *process;

enum { SMALL_TIMES = 500 };

static double plain_read(void *arg)
{
    (void)arg;
    struct iovec to = {here, sizeof here}, from = {(void *)(uintptr_t)target->page->block, sizeof here};
    double begin = now_us();
    check(process_vm_readv(target->pid, &to, 1, &from, 1, 0) == (ssize_t)sizeof here);
    return now_us() - begin;
}

static double plain_copy(void *arg)
{
    (void)arg;
    double begin = now_us();
    memcpy(here, own, sizeof here);
    __asm__ volatile("" : : "r"(here) : "memory"); /* it is wanted */
    return now_us() - begin;
}

static double rein_read(void *arg)
{
    (void)arg;
    double begin = now_us();
    check(rein_process_read(process, target->page->block, here, sizeof here, NULL) == 0);
    return now_us() - begin;
}

/* 256 MiB, which is more than any cache holds. */
static unsigned char *large, *own_large;

static double plain_copy_large(void *arg)
{
    (void)arg;
    double begin = now_us();
    memcpy(large, own_large, TARGET_LARGE);
    __asm__ volatile("" : : "r"(large) : "memory");
    return now_us() - begin;
}

static double plain_read_large(void *arg)
{
    (void)arg;
    struct iovec to = {large, TARGET_LARGE}, from = {(void *)(uintptr_t)target->page->large, TARGET_LARGE};
    double begin = now_us();
    check(process_vm_readv(target->pid, &to, 1, &from, 1, 0) == (ssize_t)TARGET_LARGE);
    return now_us() - begin;
}

static double rein_read_large(void *arg)
{
    (void)arg;
    double begin = now_us();
    check(rein_process_read(process, target->page->large, large, TARGET_LARGE, NULL) == 0);
    return now_us() - begin;
}

/* ---- Many small ones ---- */

enum { RANGES = 64 };

static double read_one_by_one(void *arg)
{
    (void)arg;
    double begin = now_us();
    for (size_t i = 0; i < RANGES; i++) {
        struct iovec to = {here + 16 * i, 8}, from = {(void *)(uintptr_t)(target->page->block + 5000 * i), 8};
        check(process_vm_readv(target->pid, &to, 1, &from, 1, 0) == 8);
    }
    return now_us() - begin;
}

static double rein_read_ranges(void *arg)
{
    (void)arg;
    struct rein_range ranges[RANGES];
    double begin = now_us();
    for (size_t i = 0; i < RANGES; i++)
        ranges[i] = (struct rein_range){target->page->block + 5000 * i, here + 16 * i, 8, 0, 0};
    check(rein_process_read_ranges(process, ranges, RANGES) == 0);
    return now_us() - begin;
}

static double plain_read_word(void *arg)
{
    (void)arg;
    struct iovec to = {here, 8}, from = {(void *)(uintptr_t)target->page->block, 8};
    double begin = now_us();
    for (int i = 0; i < SMALL_TIMES; i++)
        check(process_vm_readv(target->pid, &to, 1, &from, 1, 0) == 8);
    return (now_us() - begin) / SMALL_TIMES;
}

static double rein_read_word(void *arg)
{
    (void)arg;
    double begin = now_us();
    for (int i = 0; i < SMALL_TIMES; i++)
        check(rein_process_read(process, target->page->block, here, 8, NULL) == 0);
    return (now_us() - begin) / SMALL_TIMES;
}

static int read_words(void *arg)
{
    *(double *)arg = rein_read_word(NULL);
    return 0;
}

static double rein_read_word_on_monitor(void *arg)
{
    double us;
    check(rein_monitor_call(arg, read_words, &us) == 0);
    return us;
}

void bench_memory(void)
{
    rein_monitor *monitor;
    target = target_start(0);
    memset(own, 1, sizeof own);
    target_do(target, WORK_LARGE, 1);
    check(rein_monitor_create(NULL, &monitor) == 0);
    check(rein_attach(monitor, target->pid, NULL, &process) == 0);
    compare("read 1 MiB / process_vm_readv", "rein", 41, plain_read, rein_read, NULL);
    compare("  the same / memcpy of one's own", "rein", 41, plain_copy, rein_read, NULL);
    compare("read 8 bytes / process_vm_readv", "rein", 21, plain_read_word, rein_read_word, NULL);
    compare("  the same, in a callback", "rein", 21, plain_read_word, rein_read_word_on_monitor, monitor);
    compare("read 64 ranges / process_vm_readv of each", "rein", 21, read_one_by_one, rein_read_ranges, NULL);
    large = malloc(TARGET_LARGE);
    own_large = malloc(TARGET_LARGE);
    check(large && own_large);
    memset(large, 1, TARGET_LARGE);
    memset(own_large, 2, TARGET_LARGE);
    compare("read 256 MiB / process_vm_readv", "rein", 9, plain_read_large, rein_read_large, NULL);
    compare("  the same / memcpy of one's own", "rein", 9, plain_copy_large, rein_read_large, NULL);
    free(large);
    free(own_large);
    rein_process_unref(process);
    check(rein_monitor_close(monitor) == 0);
    target_end(target);
}
