/* `rein notes`: shows what is known of ptrace and threads, and checks it on the kernel that runs. The notes themselves are
 * in notes/, which knows nothing of the library. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "notes/notes.h"
#include "output.h"

static const char help[] =
    "usage: rein notes [--json] [N...]\n"
    "       rein notes --check [--json] [N...]\n"
    "\n"
    "Shows the notes on ptrace and threads as a manual page, or note N with its demonstration in C.\n"
    "\n"
    "  -c, --check  run the demonstrations here, and say which notes hold on this kernel\n"
    "  -j, --json   one JSON object a line\n"
    "      --mdoc   write the manual page as mdoc(7)\n"
    "  -h, --help   this text\n"
    "\n"
    "See rein-notes(1), and rein-notes(7) for the notes.\n";

/* A demonstration takes milliseconds. */
enum { LIMIT_SECONDS = 60, OPTION_MDOC = 256 };

struct options {
    bool check, json, mdoc;
};

/* What to do for one note: the exit status. */
typedef int (*note_function)(const struct note *note, const struct options *options, void *arg);

/* Those that are named, or all of them. The worst status. */
static int for_each(char **numbers, const struct options *options, note_function function, void *arg)
{
    int worst = STATUS_OK, status;
    for (char **number = numbers; *number != NULL; number++) {
        status = function(notes_find(cli_parse_pid(*number)), options, arg);
        worst = status > worst ? status : worst;
    }
    for (size_t i = 0; *numbers == NULL && i < notes_section_count; i++)
        for (const struct note *const *note = notes_sections[i].notes; *note != NULL; note++) {
            status = function(*note, options, arg);
            worst = status > worst ? status : worst;
        }
    return worst;
}

static json_t *json_of(const struct note *note)
{
    json_t *object = json_object();
    json_object_set_new(object, "note", json_integer(note->number));
    output_set_text(object, "title", note->title);
    return object;
}

/* ---- Checking ---- */

struct tally {
    int counts[NOTES_VERDICTS];
};

static int check(const struct note *note, const struct options *options, void *arg)
{
    struct tally *tally = arg;
    struct notes_outcome outcome;
    notes_check(note, LIMIT_SECONDS, &outcome);
    tally->counts[outcome.verdict]++;
    const char *verdict = notes_verdict_name(outcome.verdict);
    if (options->json) {
        json_t *object = json_of(note);
        output_set_text(object, "verdict", verdict);
        if (*outcome.why != '\0')
            output_set_text(object, "why", outcome.why);
        output_json(stdout, object);
    } else {
        printf("%3d  %-13s  %s\n", note->number, verdict, note->title);
        if (*outcome.why != '\0')
            printf("%20s%s\n", "", outcome.why);
    }
    fflush(stdout);
    return outcome.verdict == NOTES_HOLDS || outcome.verdict == NOTES_UNTRIED ? STATUS_OK : STATUS_FAILED;
}

static int check_all(char **numbers, const struct options *options)
{
    struct tally tally = {{0}};
    struct utsname system;
    int status = for_each(numbers, options, check, &tally);
    if (!options->json && uname(&system) == 0)
        printf("%s %s, %s: %d hold, %d do not, %d hang, %d could not be tried\n", system.sysname, system.release,
               system.machine, tally.counts[NOTES_HOLDS], tally.counts[NOTES_FAILS], tally.counts[NOTES_HANGS],
               tally.counts[NOTES_UNTRIED]);
    return status;
}

/* ---- Showing ---- */

static int show(const struct note *note, const struct options *options, void *arg)
{
    bool *first = arg;
    if (options->json) {
        json_t *object = json_of(note);
        output_set_text(object, "text", note->text);
        output_json(stdout, object);
        return STATUS_OK;
    }
    if (!*first)
        putchar('\n');
    *first = false;
    notes_write_note(note, stdout);
    return STATUS_OK;
}

/* Gives the page to a program that shows manual pages. False if there is none. */
static bool show_with(FILE *page, char *const *command)
{
    int status = 0;
    fflush(page);
    rewind(page);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(fileno(page), STDIN_FILENO) >= 0)
            execvp(command[0], command);
        _exit(STATUS_NOT_FOUND);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void show_all(void)
{
    static char man[] = "man", local[] = "-l", standard_input[] = "-", mandoc[] = "mandoc", with_pager[] = "-a";
    char *const man_db[] = {man, local, standard_input, NULL}, *const bsd[] = {mandoc, with_pager, NULL};
    FILE *page = isatty(STDOUT_FILENO) ? tmpfile() : NULL;
    bool shown = false;
    if (page != NULL) {
        notes_write_manual(page);
        shown = show_with(page, man_db) || show_with(page, bsd);
        fclose(page);
    }
    if (!shown)
        notes_write_text(stdout);
}

static int show_some(char **numbers, const struct options *options)
{
    bool first = true;
    if (*numbers != NULL || options->json)
        return for_each(numbers, options, show, &first);
    if (options->mdoc)
        notes_write_manual(stdout);
    else
        show_all();
    return STATUS_OK;
}

/* ---- The command line ---- */

static int parse(int argc, char **argv, struct options *options)
{
    static const struct option long_options[] = {
        {"check", no_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"mdoc", no_argument, NULL, OPTION_MDOC},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "cjh", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->check = true;
            break;
        case 'j':
            options->json = true;
            break;
        case OPTION_MDOC:
            options->mdoc = true;
            break;
        case 'h':
            fputs(help, stdout);
            exit(fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED);
        default:
            fputs("Try `rein notes --help`.\n", stderr);
            return STATUS_USAGE;
        }
    }
    for (int i = optind; i < argc; i++) {
        int number = cli_parse_pid(argv[i]); /* a positive number, that is */
        if (number == 0 || notes_find(number) == NULL)
            return cli_usage("notes", "%s: there is no such note", argv[i]);
    }
    if (options->mdoc && (options->check || options->json || optind < argc))
        return cli_usage("notes", "--mdoc is for the whole page");
    return STATUS_OK;
}

int cli_notes(int argc, char **argv)
{
    static char name[] = "rein"; /* getopt's messages begin with it */
    struct options options = {0};
    argv[0] = name;
    int status = parse(argc, argv, &options);
    if (status != STATUS_OK)
        return status;
    if (notes_section_count == 0) {
        cli_error("this rein was built without the Linux backend; it has no notes");
        return STATUS_FAILED;
    }
    status = options.check ? check_all(argv + optind, &options) : show_some(argv + optind, &options);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        cli_error("the output cannot be written: %s", strerror(errno));
        return STATUS_FAILED;
    }
    return status;
}
