/* Do debug registers fire on this machine? Some hypervisors take what is written to them, give it back when it is read,
 * and never fire; nothing but a try tells.
 *
 * A child writes to a word that is watched, and ends. If it is stopped by that, they fire. It shares our memory, as a program
 * does that is to be started (spawn.c), and calls nothing but the kernel. Its exit signal is 0: no wait of the host's
 * sees it, and no SIGCHLD comes of its end. Should the monitor die meanwhile, it ends by itself. */
#include "os/linux/linux.h"
#include "os/linux/raw.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum { AREA_SIZE = 16 * 1024, LIMIT_S = 5, PAUSE_US = 100 };

/* At the start of the area; the rest is the child's stack. */
struct trial {
    uint32_t gate; /* 1: it is watched */
    volatile uint32_t word;
    bool ended; /* and waited for: its id may be another's */
};

IN_CHILD static void write_and_end(void *arg)
{
    struct trial *trial = arg;
    struct raw_time limit = {2 * LIMIT_S, 0};

    while (!__atomic_load_n(&trial->gate, __ATOMIC_ACQUIRE) &&
           raw(SYS_futex, &trial->gate, FUTEX_WAIT, 0, &limit, NULL, 0) != -ETIMEDOUT)
        ;
    trial->word = 1;
    for (;;)
        raw(SYS_exit_group, 0);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Waits for the child's next event: 0, or -ETIMEDOUT. */
static int next_event(int id, struct trial *trial, int64_t deadline, struct os_event *event)
{
    struct raw_time pause = {0, PAUSE_US * 1000L};
    int status;

    for (;;) {
        long result = raw(SYS_wait4, id, &status, WNOHANG | __WALL, NULL);
        if (result == id && linux_decode(id, status, event) == 1) {
            trial->ended = event->kind == OS_EVENT_EXITED;
            return 0;
        }
        if (result < 0 && result != -EINTR)
            return (int)result;
        if (now_us() > deadline)
            return -ETIMEDOUT;
        if (result == 0)
            raw(SYS_nanosleep, &pause, NULL);
    }
}

static int watch(int id, struct trial *trial, int64_t deadline, unsigned slots[2])
{
    const struct arch_watch watched = {(uintptr_t)&trial->word, sizeof trial->word, ARCH_WATCH_WRITE};
    uint64_t words[ARCH_WATCH_WORDS];
    struct os_event event;
    int result = linux_seize(id);

    if (result == 0)
        result = linux_interrupt(id);
    if (result == 0)
        result = next_event(id, trial, deadline, &event);
    if (result != 0)
        return result;
    result = linux_count_watches(id, slots);
    if (result != 0)
        return result;
    if (slots[os_backend.arch->watch_pool[ARCH_WATCH_WRITE]] == 0)
        return 0;
    os_backend.arch->encode_watches(&watched, 1, words);
    result = linux_set_watches(id, words);
    if (result != 0)
        return result;
    __atomic_store_n(&trial->gate, 1, __ATOMIC_RELEASE); /* a futex call that was interrupted looks again */
    raw(SYS_futex, &trial->gate, FUTEX_WAKE, 1, NULL, NULL, 0);
    for (;;) {
        result = linux_resume(id, OS_RESUME_RUN, 0);
        if (result == 0)
            result = next_event(id, trial, deadline, &event);
        if (result != 0)
            return result;
        if (event.kind == OS_EVENT_WATCHED)
            return 1;
        if (event.kind == OS_EVENT_EXITING || event.kind == OS_EVENT_EXITED)
            return 0;
    }
}

/* It may be anywhere, and makes a last stop (PTRACE_EVENT_EXIT) even when it is killed. */
static void end_child(int id, const struct trial *trial)
{
    int status;

    if (trial->ended)
        return;
    raw(SYS_kill, id, SIGKILL);
    for (;;) {
        long result = raw(SYS_wait4, id, &status, __WALL, NULL);
        if (result == id && WIFSTOPPED(status))
            linux_resume(id, OS_RESUME_RUN, 0);
        else if (result != -EINTR)
            return;
    }
}

int linux_try_watch(bool copy_memory, unsigned slots[2])
{
    int64_t deadline = now_us() + (int64_t)LIMIT_S * 1000000;
    unsigned long flags = CLONE_UNTRACED | (copy_memory ? 0 : CLONE_VM);
    raw_signals all = ~(raw_signals)0, before;
    char *area = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (area == MAP_FAILED)
        return -errno;
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all); /* none of the host's handlers is to run there */
    long id = linux_clone_to(write_and_end, area, flags, area + AREA_SIZE);
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    if (id < 0) {
        munmap(area, AREA_SIZE);
        return (int)id;
    }
    struct trial *trial = (struct trial *)(void *)area;
    int result = watch((int)id, trial, deadline, slots);
    end_child((int)id, trial);
    munmap(area, AREA_SIZE);
    return result;
}
