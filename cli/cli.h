/* What the files of the command share: error messages, exit statuses, small helpers. */
#ifndef REIN_CLI_H
#define REIN_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit statuses of rein's own. With a COMMAND, `rein trace` ends with the program's. */
enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_OWN_FAILURE = 125, /* with a COMMAND: rein itself has failed */
    STATUS_CANNOT_RUN = 126,  /* COMMAND was found, but cannot be run */
    STATUS_NOT_FOUND = 127,   /* COMMAND was not found */
};

int cli_trace(int argc, char **argv);
int cli_threads(int argc, char **argv);
int cli_stack(int argc, char **argv);
int cli_regs(int argc, char **argv);
int cli_notes(int argc, char **argv);
int cli_serve(int argc, char **argv);
/* With gdbserver's command line: what is called rein-gdbserver. */
int cli_gdbserver(int argc, char **argv);

/* Whatever may have been chosen by others - names of threads and symbols, paths, what a program has in memory - is
 * written by one of these: what a terminal might obey comes as \x1b, and so does a newline. They write a line, with a
 * newline at its end; if may_go_on, and in errors, lines may follow that begin with four spaces, as an expression with
 * its mark under it. */
void cli_print(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_vprint(FILE *file, bool may_go_on, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
/* "rein: ..." on standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "rein: trace: ..." and where to find help; returns STATUS_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* These end the program, with a message, when there is no memory. Not for use on the monitor. */
void *cli_alloc(size_t count, size_t size);             /* all zero */
void *cli_grow(void *items, size_t count, size_t size); /* room for at least count + 1; doubles */
char *cli_copy(const char *text);
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The whole of a small file as a string, NULL if it cannot be read. */
char *cli_read_file(const char *path, size_t *size);
/* How many bytes a character of UTF-8 has that begins at text; 0: there is none. */
size_t cli_utf8_length(const char *text, size_t left);
/* That may be written to a terminal as it is: 0 if it is a control character, too. */
size_t cli_printable_length(const char *text, size_t left);
/* The same as a string. To be freed. */
char *cli_printable(const char *text);
/* A process id: 0 if text is none. */
int cli_parse_pid(const char *text);
/* The last component of a path. */
const char *cli_basename(const char *path);

#endif
