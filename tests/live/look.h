/* What the tests of calls made in a tracee have in common: all of a thread that is to be as before, and the threads of
 * long_calls, which sit in every kind of call. */
#ifndef REIN_TESTS_LOOK_H
#define REIN_TESTS_LOOK_H

#include "support.h"

/* ---- All that is to be as before ---- */

enum { RESULT_INDEX = 0 }; /* on each architecture: of a system call */

struct look {
    rein_word words[64];
    size_t count;
    unsigned char *wide; /* all registers, one behind the other */
    size_t wide_size;
    uint64_t blocked, own, shared;
    enum rein_state state;
    struct rein_cause cause;
};

static uint64_t signals_of(int pid, int id, const char *label)
{
    char path[64], line[256];
    uint64_t value = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, id);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (!strncmp(line, label, strlen(label)))
            value = strtoull(line + strlen(label) + 1, NULL, 16);
    }
    fclose(file);
    return value;
}

enum { WIDE_MAX = 32768 };

static void look_wide(rein_registers *registers, struct look *look)
{
    int total = rein_registers_total(registers);
    look->wide = calloc(1, WIDE_MAX);
    assert_non_null(look->wide);
    later_free(look->wide);
    for (int i = 0; i < total; i++) {
        bool present = false;
        size_t length = 0;
        assert_ok(rein_registers_present(registers, i, &present));
        if (present)
            assert_ok(
                rein_registers_read(registers, i, look->wide + look->wide_size, WIDE_MAX - look->wide_size, &length));
        look->wide_size += length;
    }
}

static struct look look_at(rein_thread *thread, bool wide)
{
    struct look look;
    rein_registers *registers = NULL;
    int pid = rein_process_id(rein_thread_process(thread)), id = rein_thread_id(thread);
    memset(&look, 0, sizeof look);
    assert_ok(rein_thread_registers(thread, &registers));
    look.count = (size_t)rein_registers_count(registers);
    assert_true(look.count <= sizeof look.words / sizeof *look.words);
    assert_ok(rein_registers_get_all(registers, look.words, look.count));
    if (wide)
        look_wide(registers, &look);
    rein_registers_free(registers);
    look.blocked = signals_of(pid, id, "SigBlk");
    look.own = signals_of(pid, id, "SigPnd");
    look.shared = signals_of(pid, id, "ShdPnd");
    assert_ok(rein_thread_state(thread, &look.state));
    assert_ok(rein_thread_cause(thread, &look.cause));
    rein_cause_clear(&look.cause);
    return look;
}

#define assert_as_before(thread, before) check_as_before((thread), (before), true, __LINE__)

/* mask: also what is blocked; else it is a thread whose call has a mask of its own, which it goes back to when the call
 * is made again. Signals that come meanwhile are no change of rein's. */
static void check_as_before(rein_thread *thread, const struct look *before, bool mask, int line)
{
    struct look after = look_at(thread, before->wide != NULL);
    for (size_t i = 0; i < before->count; i++) {
        if (before->words[i] != after.words[i])
            fail_msg("line %d: register %zu was 0x%" PRIx64 " and is 0x%" PRIx64, line, i, before->words[i],
                     after.words[i]);
    }
    if (before->wide &&
        (before->wide_size != after.wide_size || memcmp(before->wide, after.wide, after.wide_size) != 0))
        fail_msg("line %d: wide registers have changed", line);
    if (mask && before->blocked != after.blocked)
        fail_msg("line %d: blocked were %" PRIx64 ", are %" PRIx64, line, before->blocked, after.blocked);
    if (before->own & ~after.own)
        fail_msg("line %d: pending were %" PRIx64 ", are %" PRIx64, line, before->own, after.own);
    assert_string_equal(rein_state_name(before->state), rein_state_name(after.state));
    assert_int_equal(before->cause.kind, after.cause.kind);
    assert_memory_equal(&before->cause.signal, &after.cause.signal, sizeof after.cause.signal);
    assert_true(before->cause.pc == after.cause.pc && before->cause.child == after.cause.child);
}

/* ---- The program long_calls ---- */

static const char *const kinds[] = {"read", "accept",      "futex",      "epoll", "nanosleep", "sleep_until",
                                    "poll", "timed_futex", "sigsuspend", "ppoll", "computing", "main"};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* A thread whose call has a signal mask of its own. */
static bool changes_mask(const char *kind)
{
    return !strcmp(kind, "sigsuspend") || !strcmp(kind, "ppoll");
}

static rein_thread *thread_in(struct fixture *fixture, const char *kind)
{
    return thread_of(fixture->process, said_id(fixture, kind));
}

#endif
