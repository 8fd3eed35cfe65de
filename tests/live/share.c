/* T4 M1 M8 M10: large reads, of which the calling thread does a part (src/engine/share.c): exact to the byte, without
 * breakpoints, whatever the caller may read himself, and whether or not he comes back. With a hand inside. Programs: spin. */
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>

#include "apart.h"
#include "engine/monitor.h"
#include "engine/share.h"

#define PAGE ((size_t)4096)
#define BLOCK (SHARE_LEAST * 2 + PAGE * 3)

/* ---- A backend in which the caller fares otherwise ---- */

static enum { HELPS, MAY_NOT, STAYS_AWAY } caller_does;
static _Thread_local bool is_caller;
static bool wants_help;
static atomic_bool asks;   /* the caller is in a read of his, of which he has his part */
static atomic_uint helped; /* how often, in this read */
static sem_t is_away, comes_back;

static int read_as_caller(int id, uint64_t address, void *buffer, size_t size)
{
    if (is_caller && size > PAGE) {
        atomic_fetch_add(&helped, 1);
        if (caller_does == MAY_NOT)
            return -EPERM;
        if (caller_does == STAYS_AWAY) {
            sem_post(&is_away);
            while (sem_wait(&comes_back) != 0)
                ;
        }
    }
    return os_backend.read_own(id, address, buffer, size);
}

/* The monitor, at its first piece: waits until the caller has had one, for else it may be through before he is awake. */
static int64_t read_as_monitor(struct os_memory *memory, int id, uint64_t address, void *buffer, size_t size)
{
    if (wants_help && atomic_load(&asks) && size > PAGE && size < SHARE_LEAST) {
        for (double limit = now() + LIMIT_S; atomic_load(&helped) == 0 && now() < limit;)
            sched_yield();
    }
    return os_backend.read(memory, id, address, buffer, size);
}

/* A monitor with that backend, of the kind that is tested, holding the program: stopped. */
static rein_monitor *attach_with(struct fixture *fixture, rein_process **process)
{
    static struct os_backend backend;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *own = NULL;
    backend = os_backend;
    backend.read_own = read_as_caller;
    backend.read = read_as_monitor;
    options.kind = monitor_kind();
    wants_help = monitor_kind() != REIN_MONITOR_LENT;
    caller_does = HELPS;
    is_caller = true;
    sem_init(&is_away, 0, 0);
    sem_init(&comes_back, 0, 0);
    assert_ok(monitor_create_with(&backend, &options, false, &own));
    assert_ok(rein_attach(own, fixture->pid, NULL, process));
    return own;
}

/* ---- A block of memory in a program ---- */

static unsigned char expected[BLOCK], seen[BLOCK];

static int64_t call(rein_process *process, int number, rein_word first, rein_word second, rein_word third)
{
    const rein_word map[6] = {first, second, third, MAP_PRIVATE | MAP_ANONYMOUS, (rein_word)-1, 0};
    rein_thread **threads;
    size_t count;
    int64_t result = -1;
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_ok(rein_thread_syscall(threads[0], number_in(process, number), map, NULL, &result));
    rein_thread_list_free(threads, count);
    return result;
}

static rein_word make_block(rein_process *process)
{
    int64_t address = call(process, SYS_mmap, 0, BLOCK, PROT_READ | PROT_WRITE);
    assert_true(address > 0);
    for (size_t i = 0; i < BLOCK; i++)
        expected[i] = (unsigned char)(i * 7 + i / 251 + 1);
    assert_ok(rein_process_write(process, (rein_word)address, expected, BLOCK, NULL));
    return (rein_word)address;
}

static void assert_read(rein_process *process, rein_word block, size_t from, size_t end)
{
    size_t done = 0;
    memset(seen + from, 0, sizeof seen - from);
    atomic_store(&helped, 0);
    atomic_store(&asks, true);
    int result = rein_process_read(process, block + from, seen + from, BLOCK - from, &done);
    atomic_store(&asks, false);
    assert_int_equal(done, end - from);
    assert_int_equal(atomic_load(&helped) > 0, wants_help);
    assert_int_equal(result, end == BLOCK ? 0 : REIN_BAD_ADDRESS);
    bool same = memcmp(seen + from, expected + from, end - from) == 0;
    for (size_t i = from; !same && i < end; i++) {
        if (seen[i] != expected[i])
            fail_msg("byte %zu of %zu is %#x, not %#x", i, end, seen[i], expected[i]);
    }
}

static void finish(struct fixture *fixture, rein_monitor *own, rein_process *process)
{
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Exact ---- */

static void T4_large_reads_end_where_memory_ends(void **state)
{
    (void)state;
    static const size_t holes[] = {512, 400, 257, 256, 100,
                                   16,  15,  3,   1,   0}; /* pages; each in front of the one before */
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = NULL;
    rein_monitor *own = attach_with(fixture, &process);
    rein_word block = make_block(process);
    assert_read(process, block, 0, BLOCK);
    assert_read(process, block, 77, BLOCK);
    /* Not for the caller to read, but for the monitor. */
    assert_int_equal(call(process, SYS_mprotect, block + 100 * PAGE, PAGE, PROT_NONE), 0);
    assert_read(process, block, 0, BLOCK);
    assert_int_equal(call(process, SYS_mprotect, block + 100 * PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
    for (size_t i = 0; i < sizeof holes / sizeof *holes; i++) {
        size_t end = holes[i] * PAGE;
        assert_int_equal(call(process, SYS_munmap, block + end, PAGE, 0), 0);
        for (int times = 0; times < 8; times++) /* by both, who find it in any order */
            assert_read(process, block, 0, end);
        if (end > 77)
            assert_read(process, block, 77, end);
    }
    assert_int_equal(call(process, SYS_munmap, block, BLOCK, 0), 0);
    finish(fixture, own, process);
}

static void T4_large_reads_show_no_breakpoints(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = NULL;
    rein_monitor *own = attach_with(fixture, &process);
    rein_word block = make_block(process);
    for (size_t at = 5; at < BLOCK; at += 15 * PAGE + 32)
        assert_ok(rein_process_add_breakpoint(process, block + at, NULL, NULL));
    assert_ok(rein_process_continue(process));
    assert_int_equal(raw_read(fixture->pid, block, seen, PAGE), PAGE);
    assert_memory_not_equal(seen, expected, PAGE); /* they are in */
    for (int times = 0; times < 10; times++)
        assert_read(process, block, 0, BLOCK);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_int_equal(call(process, SYS_munmap, block, BLOCK, 0), 0);
    finish(fixture, own, process);
}

static void T4_large_reads_of_what_the_caller_may_not_read(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = NULL;
    rein_monitor *own = attach_with(fixture, &process);
    rein_word block = make_block(process);
    caller_does = MAY_NOT;
    for (int times = 0; times < 10; times++)
        assert_read(process, block, 0, BLOCK);
    assert_int_equal(call(process, SYS_munmap, block + 300 * PAGE, PAGE, 0), 0);
    for (int times = 0; times < 10; times++)
        assert_read(process, block, 0, 300 * PAGE);
    finish(fixture, own, process);
}

/* ---- Who does not come back ---- */

struct reading {
    rein_process *process;
    rein_word block;
    pthread_t thread;
    int result;
    size_t done;
};

static void *read_as_one_who_stays_away(void *arg)
{
    struct reading *reading = arg;
    is_caller = true;
    atomic_store(&helped, 0);
    memset(seen, 0, sizeof seen);
    atomic_store(&asks, true);
    reading->result = rein_process_read(reading->process, reading->block, seen, BLOCK, &reading->done);
    return NULL;
}

static void begin_reading(struct reading *reading)
{
    caller_does = STAYS_AWAY;
    assert_int_equal(pthread_create(&reading->thread, NULL, read_as_one_who_stays_away, reading), 0);
    while (sem_wait(&is_away) != 0)
        ;
}

static void end_reading(struct reading *reading)
{
    caller_does = HELPS;
    sem_post(&comes_back);
    assert_int_equal(pthread_join(reading->thread, NULL), 0);
}

/* The monitor goes on without him, and he has what he wanted all the same. */
static void M1_a_caller_who_comes_late(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    struct reading reading = {.process = NULL};
    rein_monitor *own = attach_with(fixture, &reading.process);
    reading.block = make_block(reading.process);
    rein_breakpoint *breakpoint = NULL;
    begin_reading(&reading);
    assert_ok(rein_process_add_breakpoint(reading.process, reading.block + 9, NULL, &breakpoint));
    assert_ok(rein_process_continue(reading.process));
    end_reading(&reading);
    assert_int_equal(reading.result, 0);
    assert_int_equal(reading.done, BLOCK);
    assert_memory_equal(seen, expected, BLOCK);
    rein_breakpoint_unref(breakpoint);
    finish(fixture, own, reading.process);
}

static void M8_the_monitor_is_killed_while_the_caller_reads(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    struct reading reading = {.process = NULL};
    rein_monitor *own = attach_with(fixture, &reading.process);
    reading.block = make_block(reading.process);
    begin_reading(&reading);
    assert_int_equal(kill(rein_monitor_id(own), SIGKILL), 0);
    await_free(fixture->pid, LIMIT_MS);
    end_reading(&reading);
    assert_true(reading.result == REIN_MONITOR_FAILED || reading.result == 0); /* it may have been answered before */
    finish(fixture, own, reading.process);
}

static void *kill_host_when_away(void *arg)
{
    (void)arg;
    while (sem_wait(&is_away) != 0)
        ;
    kill(getpid(), SIGKILL);
    return NULL;
}

static void be_killed_while_away(void *arg)
{
    struct reading reading = {.process = NULL};
    pthread_t killer;
    attach_with(arg, &reading.process);
    reading.block = make_block(reading.process);
    apart_ok(rein_process_continue(reading.process));
    caller_does = STAYS_AWAY;
    apart_check(pthread_create(&killer, NULL, kill_host_when_away, NULL) == 0);
    read_as_one_who_stays_away(&reading);
}

static void M10_the_host_is_killed_while_it_reads(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "1", NULL);
    int status = apart_end(apart(be_killed_while_away, fixture), LIMIT_MS);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    await_free(fixture->pid, LIMIT_MS);
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(T4_large_reads_end_where_memory_ends),
        live_test(T4_large_reads_show_no_breakpoints),
        live_test(T4_large_reads_of_what_the_caller_may_not_read),
        live_test(M1_a_caller_who_comes_late),
        live_test(M8_the_monitor_is_killed_while_the_caller_reads),
        live_test(M10_the_host_is_killed_while_it_reads),
    };
    return live_main(tests);
}
