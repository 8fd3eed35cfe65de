/* The command `rein`: finds out which subcommand is meant, and what all of them need. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rein/rein.h>

static const char help[] =
    "usage: rein trace [OPTION...] [--] COMMAND [ARG...]\n"
    "       rein trace [OPTION...] -p PID\n"
    "       rein threads [--json] [--stack] PID\n"
    "       rein stack PID\n"
    "       rein regs [OPTION...] PID [NAME...]\n"
    "       rein notes [--check] [N...]\n"
    "       rein --help | --version\n"
    "\n"
    "Takes hold of Linux processes and says what they do.\n"
    "\n"
    "  trace    follow a program, or a process that runs: breakpoint hits, threads, signals, exec, exit\n"
    "  threads  list the threads of a process, and where each of them is\n"
    "  stack    the same, with the call stack of each\n"
    "  regs     show the registers of a thread\n"
    "  notes    what is known of ptrace and threads; --check: does it hold on this kernel?\n"
    "\n"
    "`rein trace --help`, for instance, lists the options of trace; see also rein(1).\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"trace", cli_trace}, {"threads", cli_threads}, {"stack", cli_stack}, {"regs", cli_regs}, {"notes", cli_notes},
};

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

/* What is closed of 0, 1 and 2 would be given to the first files that are opened, and then written to as if it were
 * standard error. A COMMAND must find it closed all the same. */
static void fill_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_standard_descriptors();
    if (argc < 2) {
        fputs("rein: what is to be done?\n", stderr);
        fputs(help, stderr);
        return STATUS_USAGE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(help, stdout);
        return fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("rein %s\n", rein_version());
        return fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
    }
    cli_error("there is no command '%s'; try `rein --help`", argv[1]);
    return STATUS_USAGE;
}
