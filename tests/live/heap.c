/* P8: how much memory of the heap a traced thread takes, counted (ld --wrap) and not timed: of one that is attached to, stopped
 * and let go, and nothing else; beside its registers, which an attach looks at to see what call it has interrupted. Program: sleepers. */
#include "support.h"

#include <malloc.h>

#include "arch/arch.h"

enum {
    THREADS = 3101,                                   /* the table of them has just grown: it is never less full */
    HEAD = sizeof(size_t),                            /* malloc's own, of each piece */
    REGISTERS = sizeof(struct arch_registers) + HEAD, /* which its alignment may add to */
    EACH_MOST = 216,                                  /* bytes: 211 where they are most */
};

void *__real_malloc(size_t size), *__real_calloc(size_t count, size_t size), *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size), *__wrap_calloc(size_t count, size_t size), *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static atomic_size_t in_use; /* the monitor process shares the memory */

static void *taken(void *memory)
{
    if (memory)
        atomic_fetch_add(&in_use, malloc_usable_size(memory) + HEAD);
    return memory;
}

static void given_back(void *memory)
{
    if (memory)
        atomic_fetch_sub(&in_use, malloc_usable_size(memory) + HEAD);
}

void *__wrap_malloc(size_t size)
{
    return taken(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return taken(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    size_t before = old ? malloc_usable_size(old) + HEAD : 0;
    void *memory = __real_realloc(old, size);
    if (memory)
        atomic_fetch_sub(&in_use, before);
    return taken(memory);
}

void __wrap_free(void *memory)
{
    given_back(memory);
    __real_free(memory);
}

static size_t each(size_t before)
{
    return (atomic_load(&in_use) - before) / THREADS;
}

static void P8_a_thread_takes_little_of_the_heap(void **state)
{
    (void)state;
    alarm(100);
    struct fixture *fixture = start_ready("sleepers", "3100", NULL);
    rein_process *process = NULL;
    size_t before = atomic_load(&in_use), ever = 0;
    for (int i = 0; i < 2; i++) {
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_int_equal(thread_count(process), THREADS);
        rein_thread **threads = NULL;
        size_t count = 0;
        assert_ok(rein_process_threads(process, &threads, &count));
        assert_int_equal(count, THREADS);
        for (size_t j = 0; j < count; j++) {
            pc_of(threads[j]);
        }
        rein_thread_list_free(threads, count);
        size_t attached = each(before);

        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_stop(process, LIMIT_MS));
        size_t stopped_again = each(before);
        assert_ok(rein_process_detach(process, 0));
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_DETACHED);
        rein_process_unref(process);
        print_message("bytes a thread: %zu, of these %zu for registers\n", attached, (size_t)REGISTERS);
        if (attached > EACH_MOST + REGISTERS)
            fail_msg("each of %d threads takes %zu bytes of the heap, more than %zu", THREADS, attached,
                     (size_t)EACH_MOST + REGISTERS);
        if (stopped_again > attached)
            fail_msg("%zu bytes a thread after another stop, %zu before", stopped_again, attached);
        ever = each(before);
        if (ever > EACH_MOST / 4) /* the tables keep their room, for the next */
            fail_msg("%zu bytes a thread are left when they have been let go", ever);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {live_test(P8_a_thread_takes_little_of_the_heap)};
    return live_main(tests);
}
