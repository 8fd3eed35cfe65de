/* Breakpoints print in callbacks, which must not wait for a reader: all processes would. What cannot be written at once is kept,
 * up to a limit, and the server's loop writes it when there is room. What does not fit is lost, a text as a whole, and how much that
 * was is known when the reader has caught up.
 *
 * The state is the process's, as the stream is. */
#include "printing.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KEPT_MAX = 1 << 16, DRAIN_MS = 1000 };

static char kept[KEPT_MAX];
static size_t used;
static uint64_t lost;
static int wake_fd = -1;

int printing_begin(void)
{
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return wake_fd < 0 ? -1 : 0;
}

void printing_close(void)
{
    if (wake_fd >= 0)
        close(wake_fd);
    wake_fd = -1;
}

/* -1 and errno, EAGAIN if it would have to wait. */
static ssize_t write_some(char *text, size_t length)
{
    struct stat about;
    struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
    struct iovec part = {text, length < PIPE_BUF ? length : PIPE_BUF};
    if (fstat(STDOUT_FILENO, &about) != 0 || S_ISREG(about.st_mode)) /* a file takes it, though perhaps not at once */
        return write(STDOUT_FILENO, text, length);
    ssize_t written = pwritev2(STDOUT_FILENO, &part, 1, -1, RWF_NOWAIT);
    if (written >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS))
        return written;
    /* A terminal, or an older kernel, where the program may be quicker to fill the room that poll has seen. */
    errno = EAGAIN;
    return poll(&ready, 1, 0) > 0 ? write(STDOUT_FILENO, text, part.iov_len) : -1;
}

/* How much of it is done with: written, or never to be read by anybody. */
static size_t write_what_fits(char *text, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t written = write_some(text + done, length - done);
        if (written < 0 && errno == EAGAIN)
            break;
        if (written < 0 && errno == EINTR)
            continue;
        done = written > 0 ? done + (size_t)written : length;
    }
    return done;
}

void printing_add(char *text, size_t length)
{
    uint64_t one = 1;
    size_t done = used ? 0 : write_what_fits(text, length);
    size_t rest = length - done;
    if (rest > KEPT_MAX - used) {
        lost += rest;
    } else if (rest) {
        memcpy(kept + used, text + done, rest);
        used += rest;
        if (write(wake_fd, &one, sizeof one) < 0)
            errno = 0; /* it can be read already */
    }
}

int printing_wake_fd(void)
{
    return wake_fd;
}

bool printing_is_kept(void)
{
    return used > 0;
}

uint64_t printing_flush(void)
{
    uint64_t any, were_lost = 0;
    if (read(wake_fd, &any, sizeof any) < 0)
        errno = 0; /* nothing has come */
    size_t done = write_what_fits(kept, used);
    used -= done;
    memmove(kept, kept + done, used);
    if (!used) {
        were_lost = lost;
        lost = 0;
    }
    return were_lost;
}

uint64_t printing_drain(void)
{
    struct pollfd ready = {.fd = STDOUT_FILENO, .events = POLLOUT};
    while (printing_is_kept() && poll(&ready, 1, DRAIN_MS) > 0) {
        uint64_t were_lost = printing_flush();
        if (were_lost)
            return were_lost;
    }
    return printing_flush();
}
