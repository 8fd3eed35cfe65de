/* What the tests of watchpoints of both kinds ask of the programs that count in target. */
#ifndef REIN_TESTS_WATCHED_H
#define REIN_TESTS_WATCHED_H

#include "support.h"

static uint64_t target_of(const struct fixture *fixture)
{
    uint64_t value = 0;
    assert_int_equal(raw_read(fixture->pid, address_of(fixture, "target"), &value, sizeof value), sizeof value);
    return value;
}

/* It runs, untraced, and writes to what was watched. */
static void assert_goes_on(struct fixture *fixture)
{
    assert_free(fixture->pid);
    uint64_t before = target_of(fixture);
    for (double limit = now() + LIMIT_S; target_of(fixture) == before; sleep_ms(1))
        assert_true(now() < limit);
}

#endif
