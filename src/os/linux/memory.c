/* Reading and writing a process's memory, exact to the byte. Three ways, each for what the one before cannot do:
 *
 *  1. process_vm_readv(2) and process_vm_writev(2), Linux 3.2: no descriptor, no copy in between, but they respect the
 *     protection of pages, so they write no text and see no PROT_NONE, and a seccomp filter may forbid them.
 *  2. /proc/ID/mem: goes past the protection of private pages (FOLL_FORCE). Opened when first needed, and kept.
 *     Linux 6.12 can forbid going past the protection (CONFIG_PROC_MEM_NO_FORCE), to tracers too.
 *  3. PTRACE_PEEKDATA and POKEDATA, a word at a time: always go past the protection, need no descriptor, but a
 *     stopped thread. So they are what is left when there are no descriptors any more.
 *
 * Everything here is async-signal-safe, as the engine's emergency exit needs it. */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH 64 /* pages, or ranges, of one call, at most IOV_MAX */
#define WHOLE                                                                                                          \
    (UINT64_C(16) << 20) /* bytes of one call, while all is accessible: one that a signal is to end, does soon */
#define SMALL_WRITE 256  /* bytes: this much goes to /proc/ID/mem at once if that is open, for it is mostly text */
/* Where what is executed does not follow what is written, it always does: there the kernel sees to that (flush_ptrace_access() in
 * arch/arm64/mm/flush.c), and in process_vm_writev(2) not. */
#if defined(__x86_64__) || defined(__i386__)
#define TEXT_FOLLOWS true
#else
#define TEXT_FOLLOWS false
#endif
_Static_assert(BATCH <= IOV_MAX, "a batch is one call");

/* One transfer on its way: what is left of it. */
struct transfer {
    struct os_memory *memory;
    int id;
    bool writes;
    uint64_t address;
    unsigned char *bytes; /* only read from when it writes */
    size_t size;
    bool looked; /* some way could say that nothing more is accessible at address; else why not: */
    int error;   /* the first way's, or ESRCH, which tells most: the thread is dead, or not stopped for the last way */
};

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static void advance(struct transfer *transfer, size_t count)
{
    transfer->address += count;
    transfer->bytes += count;
    transfer->size -= count;
}

/* Keeps why a way goes no further. */
static void note(struct transfer *transfer, int error)
{
    if (error == EFAULT || error == EIO)
        transfer->looked = true;
    else if (transfer->error == 0 || error == ESRCH)
        transfer->error = error;
}

/* ---- process_vm_readv, process_vm_writev ---- */

/* Cuts what is next at page ends. */
static unsigned long cut(const struct transfer *transfer, struct iovec *remote, size_t *size)
{
    uint64_t page = page_size(), address = transfer->address;
    size_t left = transfer->size;
    unsigned long count = 0;

    for (; count < BATCH && left > 0; count++) {
        size_t part = (size_t)(page - address % page);

        if (part > left)
            part = left;
        remote[count] = (struct iovec){(void *)(uintptr_t)address, part}; /* NOLINT(performance-no-int-to-ptr) */
        address += part;
        left -= part;
    }
    *size = transfer->size - left;
    return count;
}

/* As much as goes this way. What process_vm_readv promises of a partial transfer is whole elements, so where memory
 * ends is seen when the remote side is cut at page ends. That costs as much as the rest; so it is tried without at
 * first, which, where memory does not end, is all. */
static size_t move_directly(struct transfer *transfer)
{
    size_t total = 0;
    bool whole = true;

    while (transfer->size > 0) {
        struct iovec local = {transfer->bytes, 0}, remote[BATCH];
        unsigned long count = 1;

        if (whole) {
            local.iov_len = transfer->size < WHOLE ? transfer->size : (size_t)WHOLE;
            remote[0] = (struct iovec){(void *)(uintptr_t)transfer->address,
                                       local.iov_len}; /* NOLINT(performance-no-int-to-ptr) */
        } else {
            count = cut(transfer, remote, &local.iov_len);
        }
        ssize_t moved = transfer->writes ? process_vm_writev(transfer->id, &local, 1, remote, count, 0)
                                         : process_vm_readv(transfer->id, &local, 1, remote, count, 0);
        if (moved > 0) {
            advance(transfer, (size_t)moved);
            total += (size_t)moved;
        }
        if (moved == (ssize_t)local.iov_len)
            continue;
        if (!whole || (moved < 0 && errno != EFAULT)) {
            note(transfer, moved < 0 ? errno : EFAULT);
            break;
        }
        whole = false;
    }
    return total;
}

/* ---- /proc/ID/mem ---- */

static int open_file(struct os_memory *memory, int id)
{
    static const char start[] = "/proc/", end[] = "/mem"; /* stdio is not async-signal-safe */
    char path[32], digits[12];
    size_t length = 0, count = 0;
    struct stat file;

    memcpy(path, start, sizeof start - 1);
    length = sizeof start - 1;
    for (unsigned rest = (unsigned)id; count == 0 || rest != 0; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    while (count > 0)
        path[length++] = digits[--count];
    memcpy(path + length, end, sizeof end);

    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno != EMFILE && errno != ENFILE) /* there are kernels where it can be read, not written */
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &file) != 0) {
        close(fd);
        return -1;
    }
    *memory = (struct os_memory){.fd = fd, .device = (uint64_t)file.st_dev, .inode = (uint64_t)file.st_ino};
    return 0;
}

/* The monitor shares its descriptors with the host. A host that closes all that it does not know (closefrom(3)) closes
 * ours as well, and the number may then mean a file of the host's. */
static bool is_still_ours(const struct os_memory *memory)
{
    struct stat file;

    return memory->fd >= 0 && fstat(memory->fd, &file) == 0 && (uint64_t)file.st_dev == memory->device &&
           (uint64_t)file.st_ino == memory->inode;
}

/* As much as goes this way, up to limit bytes. */
static size_t move_by_file(struct transfer *transfer, size_t limit)
{
    struct os_memory *memory = transfer->memory;
    size_t total = 0;
    bool is_new = false;

    if (limit > transfer->size)
        limit = transfer->size;
    if (transfer->address > (uint64_t)INT64_MAX) { /* the vsyscall page: no offset of pread(2) */
        note(transfer, EIO);
        return 0;
    }
    if (!is_still_ours(memory))
        memory->fd = -1;
    while (total < limit) {
        if (memory->fd < 0) {
            is_new = true;
            if (open_file(memory, transfer->id) != 0) {
                note(transfer, errno == ENOENT ? ESRCH : errno);
                break;
            }
        }
        ssize_t moved = transfer->writes ? pwrite(memory->fd, transfer->bytes, limit - total, (off_t)transfer->address)
                                         : pread(memory->fd, transfer->bytes, limit - total, (off_t)transfer->address);
        if (moved > 0) {
            advance(transfer, (size_t)moved);
            total += (size_t)moved;
            continue;
        }
        note(transfer, moved < 0 ? errno : ESRCH);
        /* 0: the memory that was opened is gone, by an exec or the end of the process. */
        if (moved < 0 || is_new)
            break;
        linux_memory_close(memory);
    }
    return total;
}

/* ---- PTRACE_PEEKDATA, PTRACE_POKEDATA ---- */

/* Up to the end of the word that address is in: an aligned word is in one page. To write a part of a word is to write
 * the word: what another thread writes to the rest of it between peek and poke is lost. Neither text nor a
 * stopped process has that problem. */
static size_t move_by_word(struct transfer *transfer)
{
    uint64_t start = transfer->address - transfer->address % sizeof(long);
    size_t skip = (size_t)(transfer->address - start);
    size_t part = sizeof(long) - skip;
    long word = 0;
    int result = 0;

    if (part > transfer->size)
        part = transfer->size;
    if (!transfer->writes || part < sizeof word)
        result = linux_peek(transfer->id, start, &word);
    if (result == 0 && transfer->writes) {
        memcpy((unsigned char *)&word + skip, transfer->bytes, part);
        result = linux_poke(transfer->id, start, word);
    } else if (result == 0) {
        memcpy(transfer->bytes, (unsigned char *)&word + skip, part);
    }
    if (result != 0) {
        note(transfer, -result);
        return 0;
    }
    advance(transfer, part);
    return part;
}

/* ---- All of them ---- */

static int64_t move(struct transfer *transfer)
{
    size_t total = transfer->size;
    bool is_small = transfer->size <= SMALL_WRITE && transfer->memory->fd >= 0;
    bool try_file_first = transfer->writes && (is_small || !TEXT_FOLLOWS);

    while (transfer->size > 0) {
        /* To the end of the page that is refused the first way; what is behind it may be open to it again. */
        size_t page_rest = (size_t)(page_size() - transfer->address % page_size());
        size_t moved = 0;

        if (!try_file_first)
            moved = move_directly(transfer);
        if (moved == 0)
            moved = move_by_file(transfer, page_rest);
        if (moved == 0 && try_file_first)
            moved = move_directly(transfer);
        if (moved == 0)
            moved = move_by_word(transfer);
        if (moved == 0)
            break;
        try_file_first = transfer->writes && !TEXT_FOLLOWS;
    }

    if (transfer->size == total && total > 0 && !transfer->looked)
        return -transfer->error;
    return (int64_t)(total - transfer->size);
}

void linux_memory_init(struct os_memory *memory)
{
    *memory = (struct os_memory){.fd = -1};
}

void linux_memory_close(struct os_memory *memory)
{
    if (is_still_ours(memory))
        close(memory->fd);
    memory->fd = -1;
}

/* mem_rw() in the kernel's fs/proc/base.c: without users of the memory nothing is read, and that is no error; an address that
 * is not mapped is EIO. */
bool linux_memory_is_gone(const struct os_memory *memory)
{
    unsigned char byte;

    return is_still_ours(memory) && pread(memory->fd, &byte, 1, 0) == 0;
}

/* Not over the end of the address space, which is as wide as a pointer of ours: a wider program is not traced. */
static size_t clip(uint64_t address, size_t size)
{
    if (address > UINTPTR_MAX)
        return 0;
    uint64_t behind = (uint64_t)UINTPTR_MAX - address;
    return size > 0 && size - 1 > behind ? (size_t)(behind + 1) : size;
}

int64_t linux_read(struct os_memory *memory, int id, uint64_t address, void *buffer, size_t size)
{
    struct transfer transfer = {memory, id, false, address, buffer, clip(address, size), false, 0};

    return move(&transfer);
}

/* All in one call, as long as all is accessible. The kernel does one after the other, and ends where one is not: that is read
 * by itself, and then those behind it. */
void linux_read_ranges(struct os_memory *memory, int id, struct rein_range *ranges, size_t count)
{
    for (size_t first = 0; first < count;) {
        struct iovec local[BATCH], remote[BATCH];
        size_t together = 0, whole = 0, moved = 0;

        for (; together < BATCH && first + together < count; together++) {
            const struct rein_range *range = &ranges[first + together];

            if (clip(range->address, range->size) != range->size)
                break;
            local[together] = (struct iovec){range->buffer, range->size};
            remote[together] =
                (struct iovec){(void *)(uintptr_t)range->address, range->size}; /* NOLINT(performance-no-int-to-ptr) */
        }
        if (together > 1) {
            ssize_t result = process_vm_readv(id, local, together, remote, together, 0);

            moved = result > 0 ? (size_t)result : 0;
        }
        for (; whole < together && moved >= ranges[first].size; whole++, first++) {
            ranges[first].done = ranges[first].size;
            ranges[first].result = 0;
            moved -= ranges[first].size;
        }
        if (whole < together || together == 0) {
            struct rein_range *range = &ranges[first++];
            int64_t done = linux_read(memory, id, range->address, range->buffer, range->size);

            range->done = done > 0 ? (size_t)done : 0;
            range->result = done < 0 ? (int)done : 0;
        }
    }
}

int64_t linux_write(struct os_memory *memory, int id, uint64_t address, const void *data, size_t size)
{
    unsigned char *bytes = (unsigned char *)data; /* only read from */
    struct transfer transfer = {memory, id, true, address, bytes, clip(address, size), false, 0};

    return move(&transfer);
}

static int move_own(int id, uint64_t address, void *bytes, size_t size, bool writes)
{
    if (clip(address, size) != size)
        return -EFAULT;
    struct iovec local = {bytes, size};
    struct iovec remote = {(void *)(uintptr_t)address, size}; /* NOLINT(performance-no-int-to-ptr) */
    ssize_t moved =
        writes ? process_vm_writev(id, &local, 1, &remote, 1, 0) : process_vm_readv(id, &local, 1, &remote, 1, 0);

    return moved < 0 ? -errno : moved == (ssize_t)size ? 0 : -EFAULT;
}

int linux_read_own(int id, uint64_t address, void *buffer, size_t size)
{
    return move_own(id, address, buffer, size, false);
}

int linux_write_own(int id, uint64_t address, const void *data, size_t size)
{
    return move_own(id, address, (void *)(uintptr_t)data, size,
                    true); /* only read from; NOLINT(performance-no-int-to-ptr) */
}
