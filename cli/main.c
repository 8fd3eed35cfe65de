/* The command `rein`: finds out which subcommand is meant, and what all of them need. */
#include "cli.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rein/rein.h>

static const char help[] =
    "usage: rein trace [OPTION...] [--] COMMAND [ARG...]\n"
    "       rein trace [OPTION...] -p PID\n"
    "       rein threads [--json] [--stack] PID\n"
    "       rein stack PID\n"
    "       rein regs [OPTION...] PID [NAME...]\n"
    "       rein serve [OPTION...] [--] PROGRAM [ARG...] | -p PID\n"
    "       rein notes [--check] [N...]\n"
    "       rein --help | --version\n"
    "\n"
    "Takes hold of Linux processes and says what they do.\n"
    "\n"
    "  trace    follow a program, or a process that runs: breakpoint hits, threads, signals, exec, exit\n"
    "  threads  list the threads of a process, and where each of them is\n"
    "  stack    the same, with the call stack of each\n"
    "  regs     show the registers of a thread\n"
    "  serve    let gdb, lldb or an editor debug a program, by the gdb remote protocol\n"
    "  notes    what is known of ptrace and threads; --check: does it hold on this kernel?\n"
    "\n"
    "`rein trace --help`, for instance, lists the options of trace; see also rein(1).\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"trace", cli_trace}, {"threads", cli_threads}, {"stack", cli_stack},
    {"regs", cli_regs},   {"notes", cli_notes},     {"serve", cli_serve},
};

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
    if (argc > 0 && strcmp(cli_basename(argv[0]), "rein-gdbserver") == 0)
        return cli_gdbserver(argc, argv);
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
