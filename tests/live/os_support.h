/* What the tests of the backend's functions share: they call src/os/linux directly, on real processes, without the
 * engine. */
#ifndef REIN_TESTS_OS_SUPPORT_H
#define REIN_TESTS_OS_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../fixtures/tools.h"
#include "os/linux/linux.h"
#include "sanitized.h"

#define LIMIT_MS 20000 /* for what should happen at once */

/* ThreadSanitizer keeps a thread of its own in every process, also in a tracee that is a fork of the test, puts off signal
 * handlers, and makes fork of vfork: a test that counts such things has nothing to say there. In valgrind none of
 * these tests has: their tracees would be valgrind itself. Meson calls 77 skipped. */
#define skip_under_thread_sanitizer() (THREAD_SANITIZED ? exit(77) : (void)0)

#define skip_under_valgrind()                                                                                          \
    do {                                                                                                               \
        const char *preloaded = getenv("LD_PRELOAD");                                                                  \
        if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL)                                               \
            exit(77);                                                                                                  \
    } while (0)

#define UNUSED_FUNCTION __attribute__((unused))

UNUSED_FUNCTION static void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Memory that a child and the test both see. */
UNUSED_FUNCTION static void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

/* Waits for a flag that a child sets. */
#define wait_until(condition)                                                                                          \
    do {                                                                                                               \
        int left_ms = LIMIT_MS;                                                                                        \
        while (!(condition) && left_ms-- > 0)                                                                          \
            sleep_ms(1);                                                                                               \
        if (!(condition))                                                                                              \
            fail_msg("%s did not come true", #condition);                                                              \
    } while (0)

/* Runs body in a child, which ends when it returns: with status 0, for true. */
UNUSED_FUNCTION static int start_child(bool (*body)(void *arg), void *arg)
{
    fflush(NULL);
    int pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        const int caught[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS}; /* by cmocka */
        for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
            signal(caught[i], SIG_DFL);
        /* Whatever happens to the test; and an assertion that fails here must not go on with the test. */
        alarm(60);
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        _exit(body(arg) ? 0 : 1);
    }
    return pid;
}

/* Waits for its end, past the stops of a tracee on the way: its exit status, or minus the signal. */
UNUSED_FUNCTION static int end_of(int pid)
{
    int status = 0;

    for (;;) {
        int result = 0;
        while ((result = waitpid(pid, &status, __WALL)) < 0 && errno == EINTR)
            ;
        assert_int_equal(result, pid);
        if (!WIFSTOPPED(status))
            break;
        linux_resume(pid, OS_RESUME_RUN, 0);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

UNUSED_FUNCTION static void kill_child(int pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(end_of(pid), -SIGKILL);
}

/* The next event of a tracee, which must come. */
UNUSED_FUNCTION static struct os_event next_event(int id)
{
    struct os_event event = {.kind = OS_EVENT_NONE};

    for (int left_ms = LIMIT_MS * 10; left_ms > 0; left_ms--) {
        int status = 0;
        int found = waitpid(id, &status, __WALL | WNOHANG);

        if (found < 0)
            fail_msg("waitpid(%d): %s", id, strerror(errno));
        if (found == id && linux_decode(id, status, &event) == 1)
            return event;
        if (found == 0)
            nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    fail_msg("no event of %d", id);
    return event;
}

#define expect_event(id, expected) expect_event_(id, expected, __FILE__, __LINE__)
UNUSED_FUNCTION static struct os_event expect_event_(int id, enum os_event_kind kind, const char *file, int line)
{
    struct os_event event = next_event(id);

    if (event.kind != kind || event.id != id) {
        print_error("event %d of %d (signal %d, code %d), expected kind %d of %d\n", (int)event.kind, event.id,
                    event.signal.number, event.signal.code, (int)kind, id);
        _fail(file, line);
    }
    return event;
}

UNUSED_FUNCTION static void resume(int id, enum os_resume how, int signal)
{
    assert_int_equal(linux_resume(id, how, signal), 0);
}

/* Seizes and stops a child that waits in a system call. */
UNUSED_FUNCTION static void seize_and_stop(int id)
{
    assert_int_equal(linux_seize(id), 0);
    assert_int_equal(linux_interrupt(id), 0);
    expect_event(id, OS_EVENT_INTERRUPTED);
}

UNUSED_FUNCTION static bool pauses(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return true;
}

#endif
