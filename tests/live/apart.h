/* For tests about the host: a part of the test that runs in a process of its own, forked from the test program,
 * and looking at what such a host leaves behind. In there nothing of cmocka may be used; apart_check says what is
 * wrong and ends the process. */
#ifndef REIN_TESTS_APART_H
#define REIN_TESTS_APART_H

#include <link.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "support.h"

/* ---- In the process apart ---- */

#define apart_check(condition)                                                                                         \
    ((condition) ? (void)0 : apart_fail(__FILE__, __LINE__, #condition, rein_error_message()))
#define apart_ok(call) apart_check_result((call), 0, #call, __FILE__, __LINE__)
#define apart_error(call, error) apart_check_result((call), (error), #call, __FILE__, __LINE__)

__attribute__((noreturn)) static inline void apart_fail(const char *file, int line, const char *what,
                                                        const char *message)
{
    dprintf(2, "%s:%d: in process %d: %s (errno %d; rein: \"%s\")\n", file, line, (int)getpid(), what, errno, message);
    _exit(99);
}

static inline void apart_check_result(int result, int expected, const char *call, const char *file, int line)
{
    if (result == expected)
        return;
    char text[256];
    snprintf(text, sizeof text, "%s: %s instead of %s", call, rein_error_name(result), rein_error_name(expected));
    apart_fail(file, line, text, rein_error_message());
}

/* ---- In the test ---- */

/* Starts function(arg) in a process of its own; when it returns, that exits with status 0, by exit(3). */
static inline int apart(void (*function)(void *arg), void *arg)
{
    fflush(NULL);
    int parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(98);
    signal(SIGALRM, SIG_DFL);
    alarm(0);
    function(arg);
    exit(0);
}

/* Waits for its end: its wait status. */
static inline int apart_end(int pid, int limit_ms)
{
    int status = -1;
    for (double limit = now() + limit_ms / 1000.0;;) {
        int id = waitpid(pid, &status, WNOHANG);
        if (id == pid)
            return status;
        if (id < 0)
            fail_msg("waitpid: %s", strerror(errno));
        if (now() > limit) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            fail_msg("process %d has not ended in %d ms", pid, limit_ms);
        }
        sleep_ms(1);
    }
}

/* The same; it must have ended by itself and well. */
static inline void apart_ends_well(int pid, int limit_ms)
{
    int status = apart_end(pid, limit_ms);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("process %d ended with %s %d", pid, WIFEXITED(status) ? "status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* ---- What a host leaves behind ---- */

/* The text of a program of ours in a process, against the file: the address of the first byte that differs, or 0. */
static inline rein_word harmed_text(const struct fixture *fixture)
{
    int fd = open(fixture_path(fixture->name), O_RDONLY | O_CLOEXEC);
    struct stat file;
    assert_true(fd >= 0 && fstat(fd, &file) == 0);
    const unsigned char *bytes = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    const ElfW(Ehdr) *header = (const void *)bytes;
    const ElfW(Phdr) *segments = (const void *)(bytes + header->e_phoff);
    rein_word base = address_of(fixture, "main") - symbol_value(fixture->name, "main"), harmed = 0;
    for (int i = 0; i < header->e_phnum && !harmed; i++) {
        if (segments[i].p_type != PT_LOAD || !(segments[i].p_flags & PF_X))
            continue;
        size_t size = segments[i].p_filesz;
        unsigned char *memory = malloc(size);
        assert_non_null(memory);
        assert_int_equal(raw_read(fixture->pid, base + segments[i].p_vaddr, memory, size), size);
        for (size_t at = 0; at < size && !harmed; at++) {
            if (memory[at] != bytes[segments[i].p_offset + at])
                harmed = base + segments[i].p_vaddr + at;
        }
        free(memory);
    }
    munmap((void *)(uintptr_t)bytes, (size_t)file.st_size);
    return harmed;
}

/* How often the program has called hot, by its own count. */
static inline uint64_t hot_calls(const struct fixture *fixture)
{
    uint64_t shared = 0, count = 0;
    unsigned char identity[EI_NIDENT] = "";
    int file = open(fixture_path(fixture->name), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(file, identity, sizeof identity), sizeof identity);
    close(file);
    size_t word = identity[EI_CLASS] == ELFCLASS32 ? 4 : 8;
    assert_int_equal(raw_read(fixture->pid, address_of(fixture, "fixture_shared"), &shared, word), word);
    assert_int_equal(raw_read(fixture->pid, shared, &count, word), word);
    return count;
}

/* Does nobody trace any thread of the process, and is none in a stop? */
static inline bool is_free(int pid)
{
    int ids[4096];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        char state = proc_state(pid, ids[i]);
        if (state == 't' || state == 'T' || proc_tracer(pid, ids[i]) > 0)
            return false;
    }
    return true;
}

/* Waits for that. */
static inline void await_free(int pid, int limit_ms)
{
    for (double limit = now() + limit_ms / 1000.0;;) {
        if (is_free(pid))
            return;
        if (now() > limit)
            assert_free(pid); /* fails, and says why */
        sleep_ms(1);
    }
}

/* It runs, untraced, with its text as in the file. When `goes_on`, it is one that calls hot all the time, and
 * does. */
static inline void assert_unharmed(const struct fixture *fixture, bool goes_on)
{
    assert_free(fixture->pid);
    rein_word harmed = harmed_text(fixture);
    if (harmed)
        fail_msg("%s (%d): the text at %#" PRIx64 " is not as in the file", fixture->name, fixture->pid, harmed);
    uint64_t before = hot_calls(fixture);
    for (double limit = now() + LIMIT_MS / 1000.0; goes_on && hot_calls(fixture) == before;) {
        if (now() > limit)
            fail_msg("%s (%d) does not go on", fixture->name, fixture->pid);
        sleep_ms(1);
    }
}

#endif
