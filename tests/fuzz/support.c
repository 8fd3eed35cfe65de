#include "fuzz.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int errors = STDERR_FILENO; /* libFuzzer closes the other, in which the server may be talkative */

__attribute__((constructor)) static void keep_errors(void)
{
    int copy = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (copy >= 0)
        errors = copy;
}

void fuzz_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    dprintf(errors, "fuzz: ");
    vdprintf(errors, format, arguments);
    dprintf(errors, "\n");
    va_end(arguments);
    abort();
}

void fuzz_need_sandbox(void)
{
    if (getenv("REIN_FUZZ_SANDBOX"))
        return;
    fputs("skipped: to be run by tests/fuzz/sandbox\n", stderr);
    exit(77);
}

static int is_digit(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void fuzz_repair(uint8_t *stream, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t begin = 0; begin < size; begin++) {
        if (stream[begin] != '$')
            continue;
        uint8_t *end = memchr(stream + begin, '#', size - begin), sum = 0;
        if (!end || stream + size - end < 3)
            return;
        for (const uint8_t *at = stream + begin + 1; at < end; at++)
            sum = (uint8_t)(sum + *at);
        if (is_digit(end[1]) && is_digit(end[2])) {
            end[1] = (uint8_t)digits[sum >> 4];
            end[2] = (uint8_t)digits[sum & 15];
        }
        begin = (size_t)(end + 2 - stream);
    }
}
