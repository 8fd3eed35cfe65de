/* `rein trace`: its options, and the main thread's part: starting or attaching, taking what the callbacks in tracer.c have
 * noted and having it written, signals to rein, and the end. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rein/seccomp.h>

#include "cli.h"
#include "expression.h"
#include "stack.h"
#include "tracer.h"

static const char help[] =
    "usage: rein trace [OPTION...] [--] COMMAND [ARG...]\n"
    "       rein trace [OPTION...] -p PID\n"
    "\n"
    "Follows a program and says what happens, one line an event, on standard error.\n"
    "\n"
    "  -b, --break LOCATION  tell when it comes to LOCATION; may be repeated. LOCATION is\n"
    "                          SYMBOL[+OFFSET]       a function's first instruction, in every file that has it\n"
    "                          FILE:SYMBOL[+OFFSET]  in that program or library: libc.so.6:read\n"
    "                          SOURCE:LINE           where the line's first statement begins\n"
    "                          0xADDRESS             in the process\n"
    "                          FILE:0xADDRESS        the file's own address, as objdump shows it\n"
    "                          'LOCATION if EXPR'    only if it is not 0: 'hot if rdi == 42 && p->next->len > 3'\n"
    "      --stack[=N]       with each hit the call stack, at most N frames (64)\n"
    "      --ignore N        the first N hits are not told\n"
    "      --limit N         N hits are told, then the breakpoint is taken out\n"
    "      --print EXPR,...  with each hit of the -b in front of it: values of variables, registers, expressions\n"
    "                          these four are for the -b that they stand behind\n"
    "  -w, --watch EXPR[:SIZE]\n"
    "                        tell who writes to a variable, and what; may be repeated. EXPR is SYMBOL[+OFFSET],\n"
    "                          FILE:SYMBOL[+OFFSET], 0xADDRESS or FILE:0xADDRESS; SIZE is in bytes\n"
    "      --software-watch  watch without the processor's debug registers, by single-steps: very slow, and\n"
    "                          it sees only changes; SIZE is up to 4096\n"
    "  -c, --count           no line for a hit, a table at the end\n"
    "  -t, --threads         with hits by thread in the summary\n"
    "  -f, --follow          trace what the program makes, too: children, and theirs\n"
    "  -ff                   likewise, each process to a file of its own: FILE.PID, with -o FILE\n"
    "  -e, --events LIST     only these events: breakpoint,watchpoint,signal,thread,exec,fork,exit,\n"
    "                          group-stop, all or none\n"
    "  -e syscall=LIST       and these system calls: names, numbers, all, %file, %process, %network, %memory,\n"
    "                          %signal\n"
    "      --seccomp         with -f, -e syscall=: let a filter in the kernel choose the calls, at no cost to others\n"
    "  -j, --json            one JSON object a line\n"
    "  -o, --output FILE     write to FILE\n"
    "  -p, --pid PID         follow a process that runs; ^C lets it go\n"
    "      --no-aslr         start COMMAND with the same addresses in every run\n"
    "  -h, --help            this text\n"
    "\n"
    "Ends with COMMAND's exit status, or by the signal that ended it. See rein-trace(1).\n";

enum {
    OPTION_NO_ASLR = 256,
    OPTION_SECCOMP,
    OPTION_SOFTWARE_WATCH,
    OPTION_STACK,
    OPTION_IGNORE,
    OPTION_LIMIT,
    OPTION_PRINT
};

static const char calls_prefix[] = "syscall=";

static const struct option long_options[] = {
    {"break", required_argument, NULL, 'b'},
    {"count", no_argument, NULL, 'c'},
    {"watch", required_argument, NULL, 'w'},
    {"threads", no_argument, NULL, 't'},
    {"follow", no_argument, NULL, 'f'},
    {"events", required_argument, NULL, 'e'},
    {"json", no_argument, NULL, 'j'},
    {"output", required_argument, NULL, 'o'},
    {"pid", required_argument, NULL, 'p'},
    {"no-aslr", no_argument, NULL, OPTION_NO_ASLR},
    {"seccomp", no_argument, NULL, OPTION_SECCOMP},
    {"software-watch", no_argument, NULL, OPTION_SOFTWARE_WATCH},
    {"stack", optional_argument, NULL, OPTION_STACK},
    {"ignore", required_argument, NULL, OPTION_IGNORE},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"print", required_argument, NULL, OPTION_PRINT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct options {
    int pid;
    char **command;
    const char *output;
    bool no_aslr, seccomp;
    int follow;         /* how often it was given */
    unsigned asked_for; /* events, by -e */
};

#define KIND(name) (1u << REIN_CAUSE_##name)

static const struct {
    const char *name;
    unsigned kinds;
} event_names[] = {
    {"breakpoint", KIND(BREAKPOINT)},
    {"watchpoint", KIND(WATCHPOINT)},
    {"signal", KIND(SIGNAL)},
    {"thread", KIND(THREAD_CREATE) | KIND(THREAD_EXIT)},
    {"exec", KIND(EXEC)},
    {"fork", KIND(FORK) | KIND(VFORK)},
    {"exit", KIND(PROCESS_EXIT)},
    {"group-stop", KIND(GROUP_STOP)},
    {"all", ALL_EVENTS},
    {"none", 0},
};

static bool parse_events(const char *list, unsigned *kinds, char **wrong)
{
    char *copy = cli_copy(list), *rest = copy, *name;
    *kinds = 0;
    *wrong = NULL;
    while (*wrong == NULL && (name = strsep(&rest, ",")) != NULL) {
        size_t i = 0, count = sizeof event_names / sizeof event_names[0];
        while (i < count && strcmp(event_names[i].name, name) != 0)
            i++;
        if (i == count)
            *wrong = cli_copy(name);
        else
            *kinds |= event_names[i].kinds;
    }
    free(copy);
    return *wrong == NULL;
}

enum { HELP_GIVEN = 1000 }; /* not 0, and no exit status */

/* Those that belong to the -b in front. */
static int parse_rule_option(struct tracer *tracer, int option)
{
    const char *name = option == OPTION_STACK ? "--stack" : option == OPTION_IGNORE ? "--ignore" : "--limit";
    struct rule *rule = rules_last(&tracer->rules);
    if (rule == NULL)
        return cli_usage("trace", "%s is for the -b that it stands behind, and there is none in front", name);
    if (option == OPTION_STACK && (rule->depth = stack_depth(optarg)) == 0)
        return cli_usage("trace", "--stack=%s: that is no number of frames", optarg);
    if (option == OPTION_IGNORE && !rules_parse_count(optarg, &rule->ignore))
        return cli_usage("trace", "--ignore %s: that is no number of hits", optarg);
    if (option == OPTION_LIMIT && (!rules_parse_count(optarg, &rule->limit) || rule->limit == 0))
        return cli_usage("trace", "--limit %s: that is no number of hits from 1 on", optarg);
    return 0;
}

/* What is wrong with an expression by itself; 0: nothing. */
static int check_expression(const char *option, const char *argument, const char *text, bool is_list)
{
    struct expression_error error;
    if (expression_check(text, is_list, &error))
        return 0;
    char *shown = expression_show(text, &error);
    cli_error("%s '%s': %s\n%s", option, argument, error.text, shown);
    free(error.text);
    free(shown);
    return STATUS_USAGE;
}

static int check_condition(const char *condition, const char *argument)
{
    return condition == NULL ? 0 : check_expression("-b", argument, condition, false);
}

static int add_print(struct rule *rule, const char *text)
{
    if (rule == NULL)
        return cli_usage("trace", "--print %s is for the -b in front of it, and there is none", text);
    rule->prints = cli_grow(rule->prints, rule->print_count, sizeof *rule->prints);
    rule->prints[rule->print_count++] = text;
    return check_expression("--print", text, text, true);
}

static int parse_option(struct tracer *tracer, struct options *options, int option)
{
    const char *why;
    char *wrong;
    switch (option) {
    case 'b':
        if (!sites_add(&tracer->sites, optarg, rules_add(&tracer->rules), &wrong)) {
            int status = cli_usage("trace", "-b '%s': %s", optarg, wrong);
            free(wrong);
            return status;
        }
        return check_condition(rules_last(&tracer->rules)->condition, optarg);
    case OPTION_PRINT:
        return add_print(rules_last(&tracer->rules), optarg);
    case 'w':
        if (!watches_add(&tracer->watches, optarg, &why))
            return cli_usage("trace", "-w %s: %s", optarg, why);
        break;
    case 'c':
        tracer->count = true;
        break;
    case 't':
        tracer->output.by_thread = true;
        break;
    case 'e':
        if (strncmp(optarg, calls_prefix, strlen(calls_prefix)) == 0) {
            if (calls_parse(&tracer->calls, optarg + strlen(calls_prefix), &wrong))
                break;
            int status = cli_usage("trace", "-e: there is no system call '%s'", wrong);
            free(wrong);
            return status;
        }
        if (!parse_events(optarg, &tracer->shown, &wrong)) {
            int status = cli_usage("trace", "-e: there is no event '%s'", wrong);
            free(wrong);
            return status;
        }
        options->asked_for = tracer->shown;
        break;
    case OPTION_STACK:
    case OPTION_IGNORE:
    case OPTION_LIMIT:
        return parse_rule_option(tracer, option);
    case 'f':
        tracer->follows = true;
        options->follow++;
        break;
    case 'j':
        tracer->output.json = true;
        break;
    case 'o':
        options->output = optarg;
        break;
    case 'p':
        options->pid = cli_parse_pid(optarg);
        if (options->pid == 0)
            return cli_usage("trace", "-p %s: that is no process id", optarg);
        break;
    case OPTION_NO_ASLR:
        options->no_aslr = true;
        break;
    case OPTION_SECCOMP:
        options->seccomp = true;
        break;
    case OPTION_SOFTWARE_WATCH:
        tracer->watches.software = true;
        break;
    case 'h':
        fputs(help, stdout);
        return fflush(stdout) == 0 ? HELP_GIVEN : STATUS_FAILED;
    default:
        fputs("Try `rein trace --help`.\n", stderr);
        return STATUS_USAGE;
    }
    return 0;
}

static int parse_options(struct tracer *tracer, struct options *options, int argc, char **argv)
{
    int option, status;
    static char name[] = "rein"; /* getopt's messages begin with it */
    argv[0] = name;
    while ((option = getopt_long(argc, argv, "+b:ctfe:jo:p:hw:", long_options, NULL)) != -1)
        if ((status = parse_option(tracer, options, option)) != 0)
            return status;
    const char *text, *why;
    if (!watches_check(&tracer->watches, &text, &why))
        return cli_usage("trace", "-w %s: %s", text, why);
    tracer->ends_at_limits = options->pid != 0 && tracer->watches.count == 0 && !tracer->calls.wanted &&
                             (options->asked_for & ~KIND(BREAKPOINT)) == 0;
    if (tracer->watches.software && tracer->watches.count == 0)
        return cli_usage("trace", "--software-watch is for what -w watches");
    options->command = optind < argc ? argv + optind : NULL;
    if (options->pid == 0 && options->command == NULL)
        return cli_usage("trace", "what is to be traced? Give a COMMAND, or -p PID");
    if (options->pid != 0 && options->command != NULL)
        return cli_usage("trace", "-p PID and a COMMAND (%s) cannot both be traced", options->command[0]);
    if (options->follow > 1 && options->output == NULL)
        return cli_usage("trace", "-ff writes files, and needs their name: -o FILE");
    if (options->follow > 1)
        tracer->files_named = options->output;
    if (options->pid != 0 && options->no_aslr)
        return cli_usage("trace", "--no-aslr is for a COMMAND: process %d has its addresses", options->pid);
    if (options->seccomp && (options->pid != 0 || options->follow == 0))
        return cli_usage("trace", "--seccomp is for a COMMAND and all that it makes, to the end: it needs -f");
    if (options->seccomp && (tracer->calls.count == 0 || tracer->calls.all))
        return cli_usage("trace", "--seccomp is for some system calls: -e syscall=LIST");
    return 0;
}

/* ---- The beginning ---- */

static bool make_monitor(struct tracer *tracer)
{
    if (rein_monitor_create(NULL, &tracer->monitor) == 0)
        return true;
    cli_error("%s", rein_error_message());
    return false;
}

/* To be freed. */
static void *make_filter(struct tracer *tracer, struct rein_spawn_options *spawn)
{
    void *filter = NULL;
    if (rein_seccomp_filter(tracer->calls.ids, tracer->calls.count, &filter, &spawn->filter_count) != 0)
        cli_error("--seccomp: no filter can be made for these calls; all calls are stopped at");
    spawn->filter = filter;
    return filter;
}

static int start_command(struct tracer *tracer, const struct options *options)
{
    struct rein_spawn_options spawn = REIN_SPAWN_OPTIONS_INIT;
    spawn.flags = REIN_SPAWN_SEARCH_PATH | (options->no_aslr ? REIN_SPAWN_NO_ASLR : 0u);
    if (!make_monitor(tracer))
        return STATUS_OWN_FAILURE;
    void *filter = options->seccomp ? make_filter(tracer, &spawn) : NULL;
    jobs_before_spawn(&tracer->jobs);
    errno = 0;
    int result = rein_spawn(tracer->monitor, options->command[0], options->command, NULL, NULL, NULL, 0, &spawn,
                            &tracer->first->process);
    int error = errno;
    rein_seccomp_filter_free(filter);
    jobs_after_spawn(&tracer->jobs, result == 0 ? rein_process_id(tracer->first->process) : 0);
    if (result != 0) {
        cli_error("%s", rein_error_message());
        if (result != REIN_EXEC_FAILED)
            return STATUS_OWN_FAILURE;
        return error == ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
    }
    tracer_hold(tracer);
    struct tracee *tracee = tracer->first;
    if (!tracer_begin_program(tracee, true)) {
        rein_process_kill(tracee->process);
        return STATUS_FAILED;
    }
    const struct module *program = modules_program(&tracee->modules);
    output_started(tracee->output, program == NULL ? options->command[0] : program->path);
    return 0;
}

static int attach(struct tracer *tracer, int pid)
{
    struct tracee *tracee = tracer->first;
    rein_thread **threads;
    size_t count = 0;
    /* What takes long, opening files, is done before the process is stopped; and a location that cannot be is told
     * before anything is touched. */
    tracee->modules.pid = pid;
    if (tracer_wants_places(tracer) && modules_scan(&tracee->modules) && !tracer_prepare(tracee))
        return STATUS_FAILED;
    if (!make_monitor(tracer))
        return STATUS_FAILED;
    if (rein_attach(tracer->monitor, pid, NULL, &tracee->process) != 0) {
        cli_error("%s", rein_error_message());
        return STATUS_FAILED;
    }
    tracer_hold(tracer);
    if (rein_process_threads(tracee->process, &threads, &count) == 0)
        rein_thread_list_free(threads, count);
    if (!tracer_begin_program(tracee, false))
        return STATUS_FAILED;
    output_attached(tracee->output, count);
    return 0;
}

/* ---- The loop ---- */

/* Takes what the library tells: only that threads were held, which the journal knows too, and the end of all. */
static bool all_have_ended(struct tracer *tracer)
{
    struct rein_event event;
    int result;
    while ((result = rein_monitor_next_event(tracer->monitor, 0, &event)) == 0)
        rein_event_clear(&event);
    if (result == REIN_TIMEOUT)
        return false;
    if (result != REIN_NO_PROCESS) {
        tracer->failed = true;
        output_warning(&tracer->output, "%s", rein_error_message());
    }
    return true;
}

/* Not all at once: a storm of events must not keep rein from hearing signals. Returns how many there were. */
enum { RECORDS_AT_ONCE = 1024 };
static int take_records(struct tracer *tracer)
{
    const struct record *record;
    int count = 0;
    while (count < RECORDS_AT_ONCE && (record = journal_take(&tracer->journal)) != NULL) {
        tracer_take(tracer, record);
        count++;
    }
    return count;
}

static void hear_signals(void *arg)
{
    struct tracer *tracer = arg;
    if (jobs_read(&tracer->jobs)) {
        tracer->output.hurry = true; /* the program may be held, and must come to its signal */
        tracer->told_to_end = tracer->output.hurry_to_end = !tracer->jobs.has_program;
    }
    jobs_forward_due(&tracer->jobs, tracer->monitor);
}

/* Waits for something to do. After records, others are likely to follow: so the monitor need not wake us for each, we
 * look again soon. False if there are records already. */
static bool wait_for_more(struct tracer *tracer, struct pollfd *polls, nfds_t count, int records)
{
    enum { SOON_MS = 2 };
    int limit = jobs_forward_due(&tracer->jobs, tracer->monitor);
    if (records > 0)
        return poll(polls, count, records < RECORDS_AT_ONCE ? SOON_MS : 0) >= 0;
    if (!journal_sleep(&tracer->journal))
        return false;
    return poll(polls, count, limit) >= 0;
}

/* Until the process is gone, or rein was told to end. */
static void follow(struct tracer *tracer)
{
    unsigned ends_heard = 0;
    struct pollfd polls[] = {{.fd = tracer->journal.wake_fd, .events = POLLIN},
                             {.fd = tracer->jobs.signal_fd, .events = POLLIN},
                             {.fd = -1, .events = POLLIN}};
    rein_process_event_fd(tracer->first->process, &polls[2].fd); /* readable when it is gone */
    for (;;) {
        int records = take_records(tracer);
        output_flush(&tracer->output);
        if (tracer->told_to_end || tracer->refused ||
            (tracer->output.failed && !tracer->jobs.has_program)) /* nobody reads it any more */
            break;
        bool ready = wait_for_more(tracer, polls, 3, records);
        if (polls[0].revents != 0 || records == 0)
            journal_awake(&tracer->journal);
        if (!ready)
            continue;
        hear_signals(tracer);
        if ((polls[2].revents != 0 || ends_heard != tracer->ends) && all_have_ended(tracer))
            break;
        ends_heard = tracer->ends;
        if (polls[2].revents != 0 && tracer->first->ended) /* others go on */
            polls[2].fd = -1;
    }
}

static void finish(struct tracer *tracer, struct rein_exit *how, bool *ended)
{
    rein_process *first = tracer->first->process;
    *ended = rein_process_exit(first, how) == 0;
    for (struct tracee *tracee = tracer->tracees; tracee != NULL && !tracer->failed; tracee = tracee->next) {
        struct rein_exit end;
        int result = tracee->ended ? 0 : rein_process_detach(tracee->process, 0);
        if (result == 0 || rein_process_exit(tracee->process, &end) == 0 || result == REIN_DETACHED)
            continue;
        tracer->failed = true;
        output_warning(&tracer->output, "%s", rein_error_message());
    }
    *ended = *ended || rein_process_exit(first, how) == 0;
    while (take_records(tracer) > 0)
        ;
    tracer_finish(tracer, *ended ? how : NULL);
}

static void clean_up(struct tracer *tracer)
{
    rein_monitor_close(tracer->monitor);
    calls_free(&tracer->calls);
    tracer_free(tracer);
    journal_close(&tracer->journal);
    output_close(&tracer->output);
    if (tracer->jobs.signal_fd >= 0)
        close(tracer->jobs.signal_fd);
}

static int run(struct tracer *tracer, const struct options *options)
{
    struct rein_exit how;
    bool ended;
    if (!tracer_init(tracer) || !output_open(&tracer->output, options->follow > 1 ? NULL : options->output)) {
        cli_error("%s: %s", options->output == NULL ? "rein" : options->output, strerror(errno));
        return STATUS_FAILED;
    }
    tracer->output.watched = hear_signals;
    tracer->output.watched_arg = tracer;
    if (!journal_open(&tracer->journal) || !jobs_begin(&tracer->jobs, options->command != NULL)) {
        cli_error("%s", strerror(errno));
        return STATUS_FAILED;
    }
    tracer->output.watched_fd = tracer->jobs.signal_fd;
    clock_gettime(CLOCK_MONOTONIC, &tracer->output.begin);
    int status = options->command != NULL ? start_command(tracer, options) : attach(tracer, options->pid);
    if (status != 0)
        return status;
    if (rein_process_continue(tracer->first->process) != 0) {
        cli_error("%s", rein_error_message());
        return options->command != NULL ? STATUS_OWN_FAILURE : STATUS_FAILED;
    }
    follow(tracer);
    if (tracer->refused) {
        rein_process_kill(tracer->first->process);
        return STATUS_FAILED;
    }
    finish(tracer, &how, &ended);
    if (tracer->failed)
        return options->command != NULL ? STATUS_OWN_FAILURE : STATUS_FAILED;
    if (options->command == NULL || !ended)
        return STATUS_OK;
    if (!how.signaled)
        return how.status;
    tracer->die_by = how.signal;
    return 128 + how.signal;
}

int cli_trace(int argc, char **argv)
{
    struct tracer tracer = {
        .journal = {.wake_fd = -1}, .jobs = {.signal_fd = -1}, .output = {.watched_fd = -1}, .shown = ALL_EVENTS};
    struct options options = {0};
    int status = parse_options(&tracer, &options, argc, argv);
    if (status == 0)
        status = run(&tracer, &options);
    else if (status == HELP_GIVEN)
        status = STATUS_OK;
    int die_by = tracer.die_by;
    clean_up(&tracer);
    if (die_by != 0)
        jobs_die_by(die_by);
    return status;
}
