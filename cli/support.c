/* What all subcommands need: messages, memory, small files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

void cli_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    flockfile(stderr);
    fputs("rein: ", stderr);
    vfprintf(stderr, format, arguments);
    putc('\n', stderr);
    fflush(stderr);
    funlockfile(stderr);
    va_end(arguments);
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "rein: %s: ", command);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry `rein %s --help`.\n", command);
    fflush(stderr);
    va_end(arguments);
    return STATUS_USAGE;
}

static _Noreturn void no_memory(void)
{
    cli_error("out of memory");
    exit(STATUS_FAILED);
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
