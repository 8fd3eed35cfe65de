/* Sleeping on a word of memory and waking who sleeps there: futex(2), private, for the monitor process shares the host's
 * memory. What a caller of rein waits with. */
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/linux/linux.h"
#include "os/linux/raw.h"

void linux_word_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns)
{
    struct raw_time timeout = {(long)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout_ns < 0 ? NULL : &timeout, NULL, 0);
}

void linux_word_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
