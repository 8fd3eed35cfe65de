/* X1: a build for a platform without a backend: every way in is a clear not-supported error; what needs no system
 * works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rein/rein.h"

static void assert_not_supported(int result)
{
    assert_int_equal(result, REIN_NOT_SUPPORTED);
    assert_non_null(strstr(rein_error_message(), "not supported"));
}

/* X1 */
static void X1_every_way_in(void **state)
{
    (void)state;
    char *const arguments[] = {(char *)"true", NULL};
    rein_monitor *monitor = NULL;
    rein_process *process = NULL;
    for (int kind = REIN_MONITOR_PROCESS; kind <= REIN_MONITOR_LENT; kind++) {
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        options.kind = (enum rein_monitor_kind)kind;
        int result = rein_monitor_create(&options, &monitor);
        if (result == 0) { /* a lent monitor needs nothing of the system; then it is the rest that is refused */
            assert_int_equal(kind, REIN_MONITOR_LENT);
            assert_not_supported(rein_attach(monitor, getppid(), NULL, &process));
            assert_not_supported(rein_spawn(monitor, "/bin/true", arguments, NULL, NULL, NULL, 0, NULL, &process));
            assert_int_equal(rein_monitor_close(monitor), 0);
            monitor = NULL;
        } else {
            assert_not_supported(result);
            assert_null(monitor);
        }
    }
    assert_not_supported(rein_monitor_create(NULL, &monitor));
    assert_not_supported(rein_attach(NULL, getppid(), NULL, &process));
    assert_not_supported(rein_spawn(NULL, "/bin/true", arguments, NULL, NULL, NULL, 0, NULL, &process));
    assert_null(monitor);
    assert_null(process);
}

/* X1, E1: bad input is found first, as anywhere. */
static void X1_E1_bad_input(void **state)
{
    (void)state;
    assert_int_equal(rein_monitor_create(NULL, NULL), REIN_INVALID_ARGUMENT);
    assert_int_equal(rein_attach(NULL, 1, NULL, NULL), REIN_INVALID_ARGUMENT);
    assert_int_equal(rein_monitor_close(NULL), 0);
    assert_string_equal(rein_error_name(REIN_NOT_SUPPORTED), "REIN_NOT_SUPPORTED");
    assert_non_null(rein_version());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(X1_every_way_in), cmocka_unit_test(X1_E1_bad_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
