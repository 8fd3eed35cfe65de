/* What all subcommands need: messages, memory, small files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static void put_printable(FILE *file, const char *text, bool may_go_on)
{
    static const char next_line[] = "\n    ";
    for (size_t left = strlen(text), length; left > 0; text += length, left -= length) {
        length = cli_printable_length(text, left);
        if (length == 0 && may_go_on && strncmp(text, next_line, strlen(next_line)) == 0)
            length = strlen(next_line);
        if (length > 0)
            fwrite(text, 1, length, file);
        else
            fprintf(file, "\\x%02x", (unsigned char)*text);
        length += length == 0;
    }
}

void cli_vprint(FILE *file, bool may_go_on, const char *format, va_list arguments)
{
    char buffer[512], *text = buffer; /* mostly enough, and there when there is no memory */
    va_list again;
    va_copy(again, arguments);
    if (vsnprintf(buffer, sizeof buffer, format, arguments) >= (int)sizeof buffer &&
        vasprintf(&text, format, again) < 0)
        text = buffer;
    va_end(again);
    put_printable(file, text, may_go_on);
    putc('\n', file);
    if (text != buffer)
        free(text);
}

void cli_print(FILE *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    cli_vprint(file, false, format, arguments);
    va_end(arguments);
}

void cli_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    flockfile(stderr);
    fputs("rein: ", stderr);
    cli_vprint(stderr, true, format, arguments);
    fflush(stderr);
    funlockfile(stderr);
    va_end(arguments);
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "rein: %s: ", command);
    cli_vprint(stderr, true, format, arguments);
    fprintf(stderr, "Try `rein %s --help`.\n", command);
    fflush(stderr);
    va_end(arguments);
    return STATUS_USAGE;
}

static _Noreturn void no_memory(void)
{
    cli_error("out of memory");
    fflush(NULL);
    _exit(STATUS_FAILED); /* perhaps on the monitor, where nobody else's end is to be run */
}

void *cli_alloc(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL)
        no_memory();
    return memory;
}

void *cli_grow(void *items, size_t count, size_t size)
{
    if (count != 0 && (count & (count - 1)) != 0) /* between two powers of two there is room */
        return items;
    items = reallocarray(items, count == 0 ? 1 : 2 * count, size);
    if (items == NULL)
        no_memory();
    return items;
}

char *cli_copy(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        no_memory();
    return copy;
}

char *cli_format(const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        no_memory();
    va_end(arguments);
    return text;
}

char *cli_read_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t used = 0, room = 4096;
    char *text = cli_alloc(room, 1);
    for (;;) {
        ssize_t got = read(fd, text + used, room - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int error = errno;
            free(text);
            close(fd);
            errno = error;
            return NULL;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used == room - 1) {
            char *more = realloc(text, room *= 2);
            if (more == NULL)
                no_memory();
            text = more;
        }
    }
    close(fd);
    text[used] = '\0';
    if (size != NULL)
        *size = used;
    return text;
}

int cli_parse_pid(const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > INT_MAX)
        return 0;
    return (int)value;
}

const char *cli_basename(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

size_t cli_utf8_length(const char *text, size_t left)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = left == 0                             ? 0
                    : bytes[0] < 0x80                     ? 1
                    : bytes[0] >= 0xc2 && bytes[0] < 0xe0 ? 2
                    : bytes[0] >= 0xe0 && bytes[0] < 0xf0 ? 3
                    : bytes[0] >= 0xf0 && bytes[0] < 0xf5 ? 4
                                                          : 0;
    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    /* Longer than need be, half of a pair of UTF-16, or behind the last. */
    if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xed && bytes[1] >= 0xa0) ||
        (bytes[0] == 0xf0 && bytes[1] < 0x90) || (bytes[0] == 0xf4 && bytes[1] >= 0x90))
        return 0;
    return length;
}

size_t cli_printable_length(const char *text, size_t left)
{
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = cli_utf8_length(text, left);
    if (length == 1 && (bytes[0] < ' ' || bytes[0] == 0x7f))
        return 0;
    return length == 2 && bytes[0] == 0xc2 && bytes[1] < 0xa0 ? 0 : length; /* U+009B is as good as ESC [ */
}

char *cli_printable(const char *text)
{
    size_t left = strlen(text);
    char *shown = cli_alloc(4 * left + 1, 1), *p = shown;
    while (left > 0) {
        size_t length = cli_printable_length(text, left);
        if (length == 0)
            p += sprintf(p, "\\x%02x", (unsigned char)*text);
        else
            p = mempcpy(p, text, length);
        length += length == 0;
        text += length;
        left -= length;
    }
    *p = '\0';
    return shown;
}
