/* A large read, by two: the monitor, and the caller, who waits for it anyway.
 *
 * process_vm_readv(2) takes twice as long as memcpy(3) for a block that no cache holds: it pins every page, and copies without
 * the stores that go past the caches. No size of its calls and no kind of page changes that (doc/performance.md), a second
 * processor does. So the block is cut in pieces, and each of the two takes the next until there is none.
 *
 * The caller reads as far as the kernel lets him, who may be another user by now and does not trace anybody. At a piece that
 * he cannot read whole he ends, and the monitor reads that one again, by all its ways. As pieces are taken in their
 * order, memory ends at the lowest end that either has found.
 *
 * The monitor alone hides breakpoints, when the caller has come back; until then it does nothing else, so they stay as they
 * were. He may not come: his process was stopped, or has died. After a while the monitor goes on without him, and as
 * his piece may still be written to, what was read is of no use: a caller who does come back asks again. */
#include "engine/share.h"

enum {
    PIECES = 64, /* at least, as far as a piece is no smaller than: */
    PIECE_MIN = 64 << 10,
    PIECE_MAX = 4 << 20, /* which the kernel does at once */
    PATIENCE_MS = 20,
};

/* .caller */
enum { NOT_COME, READS, HAS_READ, TOO_LATE };

/* The next piece; false: there is none. */
static bool take(struct share *share, size_t *at, size_t *size)
{
    *at = atomic_fetch_add(&share->next, share->piece);
    if (*at >= share->size)
        return false;
    *size = share->size - *at < share->piece ? share->size - *at : share->piece;
    return true;
}

static void take_no_more(struct share *share)
{
    atomic_store(&share->next, share->size);
}

void share_help(struct request *request)
{
    struct share *share = request->share;
    uint32_t not_come = NOT_COME, reads = READS;
    size_t at, size;
    if (!atomic_compare_exchange_strong(&share->caller, &not_come, READS))
        return;
    while (take(share, &at, &size)) {
        if (share->os->read_own(share->id, share->address + at, share->buffer + at, size)) {
            share->left = at;
            break;
        }
    }
    if (atomic_compare_exchange_strong(&share->caller, &reads, HAS_READ))
        share->os->word_wake(&share->caller);
}

/* false: he has not come back. */
static bool await_caller(struct share *share)
{
    uint32_t caller = NOT_COME;
    if (atomic_compare_exchange_strong(&share->caller, &caller, TOO_LATE))
        return true;
    int64_t end = monitor_now() + (int64_t)PATIENCE_MS * 1000000;
    for (int64_t left; caller == READS && (left = end - monitor_now()) > 0; caller = atomic_load(&share->caller))
        share->os->word_wait(&share->caller, READS, left);
    return caller == HAS_READ || !atomic_compare_exchange_strong(&share->caller, &caller, TOO_LATE);
}

int64_t share_read(struct request *request, struct os_memory *memory, int id)
{
    const struct os_backend *os = request->monitor->os;
    struct share *share = request->share;
    size_t piece = request->size / PIECES, at, size, end = request->size;
    piece = piece < PIECE_MIN ? PIECE_MIN : piece > PIECE_MAX ? PIECE_MAX : piece;
    *share =
        (struct share){os, id, request->address, request->buffer, request->size, piece, 0, NOT_COME, SIZE_MAX, false};
    request_call_for_help(request);
    int64_t done = 0;
    while (take(share, &at, &size)) {
        done = os->read(memory, id, share->address + at, share->buffer + at, size);
        if (done < (int64_t)size) {
            end = done > 0 ? at + (size_t)done : at;
            break;
        }
    }
    take_no_more(share);
    share->again = !await_caller(share);
    if (share->again)
        return 0;
    if (share->left < end) {
        size = end - share->left < piece ? end - share->left : piece;
        done = os->read(memory, id, share->address + share->left, share->buffer + share->left, size);
        if (done < (int64_t)size)
            end = done > 0 ? share->left + (size_t)done : share->left;
    }
    return end ? (int64_t)end : done;
}
