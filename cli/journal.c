/* A queue with one writer and one reader: a list of chunks. The writer fills the last chunk and publishes each record by
 * raising .used; the reader gives a chunk back when it has taken all of it and there is a next one. */
#include "journal.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool journal_open(struct journal *journal)
{
    *journal = (struct journal){.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    journal->head = journal->tail = calloc(1, sizeof *journal->head);
    return journal->wake_fd >= 0 && journal->head != NULL;
}

void journal_close(struct journal *journal)
{
    while (journal->head != NULL) {
        struct journal_chunk *next = atomic_load(&journal->head->next);
        free(journal->head);
        journal->head = next;
    }
    if (journal->wake_fd >= 0)
        close(journal->wake_fd);
    journal->wake_fd = -1;
}

bool journal_append(struct journal *journal, const struct record *record, bool urgent)
{
    struct journal_chunk *chunk = journal->tail;
    unsigned used = atomic_load_explicit(&chunk->used, memory_order_relaxed);
    if (used == JOURNAL_CHUNK) {
        struct journal_chunk *next = calloc(1, sizeof *next);
        if (next == NULL) {
            atomic_fetch_add(&journal->lost, 1);
            return false;
        }
        atomic_store_explicit(&chunk->next, next, memory_order_release);
        journal->tail = chunk = next;
        used = 0;
    }
    chunk->records[used] = *record;
    atomic_store_explicit(&chunk->used, used + 1, memory_order_release);
    atomic_fetch_add(&journal->waiting, 1);
    if (urgent || (atomic_load(&journal->sleeping) && atomic_exchange(&journal->sleeping, false))) {
        const uint64_t one = 1;
        while (write(journal->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
            ;
    }
    return true;
}

const struct record *journal_take(struct journal *journal)
{
    if (journal->taken == JOURNAL_CHUNK) {
        struct journal_chunk *next = atomic_load_explicit(&journal->head->next, memory_order_acquire);
        if (next == NULL)
            return NULL;
        free(journal->head);
        journal->head = next;
        journal->taken = 0;
    }
    if (journal->taken == atomic_load_explicit(&journal->head->used, memory_order_acquire))
        return NULL;
    atomic_fetch_sub(&journal->waiting, 1);
    return &journal->head->records[journal->taken++];
}

bool journal_sleep(struct journal *journal)
{
    atomic_store(&journal->sleeping, true);
    if (atomic_load(&journal->waiting) == 0)
        return true;
    atomic_store(&journal->sleeping, false);
    return false;
}

void journal_awake(struct journal *journal)
{
    uint64_t count;
    atomic_store(&journal->sleeping, false);
    while (read(journal->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}
