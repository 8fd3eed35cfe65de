/* The command lines of the server: `rein serve`, and gdbserver's under the name rein-gdbserver. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cli.h"
#include "../jobs.h"
#include "printing.h"
#include "server.h"
#include "signals.h"

static const char help[] =
    "usage: rein serve [OPTION...] [--] PROGRAM [ARG...]\n"
    "       rein serve [OPTION...] -p PID\n"
    "       rein serve [OPTION...] --multi\n"
    "\n"
    "Speaks the gdb remote protocol: gdb, lldb and editors debug the program through it. It listens on the loopback\n"
    "interface, and says on which port.\n"
    "\n"
    "  -l, --listen ADDRESS      host:port, port, [v6]:port, unix:/PATH, or - for standard input and output;\n"
    "                            without it, a port of the loopback interface that is free\n"
    "  -p, --pid PID             attach to that process\n"
    "  -m, --multi               start without a process: the client starts or attaches to one\n"
    "  -1, --once                end with the first client\n"
    "      --gone WHAT           when the client is gone without a word: detach the processes, kill them, or keep "
    "them\n"
    "                            stopped for the next client; without it, what was started is killed, and what was\n"
    "                            attached to is let go\n"
    "      --shell               start programs by the shell (SHELL, else /bin/sh), as gdbserver does\n"
    "      --aslr                leave addresses random\n"
    "      --wrapper COMMAND     start the program by COMMAND PROGRAM ARG..., which must execute it\n"
    "  -d, --debug               show all packets on standard error; given twice, what is done about them as well\n"
    "  -q, --quiet               say nothing\n"
    "  -h, --help                this text\n"
    "\n"
    "See rein-serve(1).\n";

static void write_log(enum rein_log_level level, const char *line, void *arg)
{
    (void)level, (void)arg;
    fprintf(stderr, "rein: %s\n", line);
}

/* All that a server does, on the monitor (rein_monitor_run): neither a stop nor a resume is handed over to another process
 * then. It is a process of its own still, so that when this one is killed the programs are let go unharmed. Signals to
 * this one are told by a descriptor. */
struct session {
    struct server *server;
    int pid; /* to attach to; 0: none */
    char **program;
    int status;
};

static int run_session(void *arg)
{
    struct session *session = arg;
    struct server *server = session->server;
    char why[500];
    session->status = STATUS_FAILED;
    if (session->pid && launch_attach(server, session->pid, why, sizeof why) != 0) {
        cli_error("serve: %s", why);
    } else if (!session->pid && session->program && *session->program &&
               launch_program(server, session->program, why, sizeof why) != 0) {
        if (server->is_gdbserver) /* whose words scripts wait for */
            server_say(server, "%s\nExiting", why);
        else
            cli_error("serve: %s", why);
    } else {
        session->status = server_run(server);
    }
    launch_end_all(server, true, false); /* if it has not come to that */
    resume_end(server);
    return 0;
}

static int run(struct server *server, const char *address, int pid, char **program)
{
    char why[500];
    struct session session = {.server = server, .pid = pid, .program = program, .status = STATUS_FAILED};
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    if (link_open(&server->link, address, server->is_gdbserver, why, sizeof why) != 0) {
        if (server->is_gdbserver && strstr(why, strerror(EADDRINUSE))) /* scripts wait for it, and try the next port */
            fprintf(stderr, "Can't bind address: %s.\nExiting\n", strerror(EADDRINUSE));
        else
            cli_error("serve: %s", why);
        link_close(&server->link);
        return STATUS_FAILED;
    }
    if (server->is_gdbserver && server->link.is_stdio)
        server_say(server, "stdin/stdout redirected");
    if (server->debug_engine) {
        options.log = write_log;
        options.log_level = REIN_LOG_TRACE;
    }
    server->pid = getpid();
    server->process_group = getpgrp();
    int begun = signals_begin() == 0 ? printing_begin() : -1;
    server->link.end_fd = signals_end_fd();
    int result = REIN_SYSTEM;
    if (begun != 0)
        cli_error("serve: %s", strerror(errno));
    else if ((result = rein_monitor_create(&options, &server->monitor)) != 0 ||
             (result = rein_monitor_run(server->monitor, run_session, &session)) != 0)
        cli_error("serve: %s", rein_error_message());
    rein_monitor_close(server->monitor);
    if (result == REIN_MONITOR_FAILED) { /* it was killed in the middle of something: what it had stays as it is */
        if (server->gave_terminal)
            launch_give_terminal(server->process_group);
        link_close(&server->link);
        return STATUS_FAILED;
    }
    trace_free(server);
    resume_free(server); /* which the monitor's callbacks had */
    printing_close();
    launch_free(server);
    memory_free(server);
    link_close(&server->link);
    if (signals_ended_by())
        jobs_die_by(signals_ended_by());
    return session.status;
}

int cli_serve(int argc, char **argv)
{
    enum { GONE = 256, SHELL, ASLR, WRAPPER };
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'}, {"pid", required_argument, NULL, 'p'},
        {"multi", no_argument, NULL, 'm'},        {"once", no_argument, NULL, '1'},
        {"gone", required_argument, NULL, GONE},  {"shell", no_argument, NULL, SHELL},
        {"aslr", no_argument, NULL, ASLR},        {"wrapper", required_argument, NULL, WRAPPER},
        {"debug", no_argument, NULL, 'd'},        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct server server = {.no_aslr = true, .link = {.listener = -1, .input = -1, .output = -1}};
    const char *address = "127.0.0.1:0";
    int pid = 0;
    for (int option; (option = getopt_long(argc, argv, "+l:p:m1dqh", options, NULL)) != -1;) {
        switch (option) {
        case 'l':
            address = optarg;
            break;
        case 'p':
            pid = cli_parse_pid(optarg);
            if (!pid)
                return cli_usage("serve", "'%s' is no process id", optarg);
            break;
        case 'm':
            server.multi = server.extended = true;
            break;
        case '1':
            server.once = true;
            break;
        case GONE:
            if (strcmp(optarg, "detach") == 0)
                server.on_disconnect = DISCONNECT_DETACH;
            else if (strcmp(optarg, "kill") == 0)
                server.on_disconnect = DISCONNECT_KILL;
            else if (strcmp(optarg, "keep") == 0)
                server.on_disconnect = DISCONNECT_KEEP;
            else
                return cli_usage("serve", "--gone takes detach, kill or keep");
            break;
        case SHELL:
            server.with_shell = true;
            break;
        case ASLR:
            server.no_aslr = false;
            break;
        case WRAPPER:
            server.wrapper = cli_copy(optarg);
            break;
        case 'd':
            server.debug_engine = server.debug;
            server.debug = true;
            break;
        case 'q':
            server.quiet = true;
            break;
        case 'h':
            fputs(help, stdout);
            return fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
        default:
            return cli_usage("serve", "an option is not understood");
        }
    }
    if (!pid && optind == argc && !server.multi)
        return cli_usage("serve", "which program or process? Give one, or --multi");
    if (pid && optind < argc)
        return cli_usage("serve", "give a PID or a PROGRAM, not both");
    return run(&server, address, pid, argv + optind);
}

/* ---- gdbserver's ---- */

static const char gdbserver_help[] = "Usage:\trein-gdbserver [OPTIONS] COMM PROG [ARGS ...]\n"
                                     "\trein-gdbserver [OPTIONS] --attach COMM PID\n"
                                     "\trein-gdbserver [OPTIONS] --multi COMM\n"
                                     "\n"
                                     "COMM is a tty device, HOST:PORT, :PORT, unix:PATH, or '-' or 'stdio'.\n"
                                     "PORT is the port to listen on for the client; 0 chooses one.\n"
                                     "Without HOST it is reached by all of the machine's addresses.\n"
                                     "\n"
                                     "  --attach              Attach to running process PID.\n"
                                     "  --multi               Start without a process; go on when all are gone.\n"
                                     "  --once                Exit after the first connection has closed.\n"
                                     "  --wrapper WRAPPER --  Run WRAPPER to start programs.\n"
                                     "  --disable-randomization, --no-disable-randomization\n"
                                     "  --startup-with-shell, --no-startup-with-shell\n"
                                     "  --debug[=OPTIONS], --remote-debug, --debug-format=OPTIONS, --debug-file=FILE\n"
                                     "  --version, --help\n"
                                     "\n"
                                     "The same program as `rein serve`, see rein-serve(1).\n";

/* --wrapper W ... --: its words, for the shell. */
static char *take_wrapper(char **argv, int *at)
{
    struct reply words = {0};
    for (++*at; argv[*at] && strcmp(argv[*at], "--") != 0; ++*at)
        launch_add_quoted(&words, argv[*at]);
    char *wrapper = argv[*at] && words.used ? cli_copy(words.text) : NULL;
    reply_free(&words);
    return wrapper;
}

int cli_gdbserver(int argc, char **argv)
{
    struct server server = {
        .no_aslr = true, .with_shell = true, .is_gdbserver = true, .link = {.listener = -1, .input = -1, .output = -1}};
    bool attach = false;
    int at = 1;
    for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
        const char *option = argv[at];
        if (strcmp(option, "--attach") == 0) {
            attach = true;
        } else if (strcmp(option, "--multi") == 0) {
            server.multi = true;
        } else if (strcmp(option, "--once") == 0) {
            server.once = true;
        } else if (strcmp(option, "--wrapper") == 0) {
            free(server.wrapper);
            server.wrapper = take_wrapper(argv, &at);
            if (!server.wrapper) {
                fputs(gdbserver_help, stderr);
                return STATUS_FAILED;
            }
        } else if (strcmp(option, "--debug") == 0 || strncmp(option, "--debug=", 8) == 0 ||
                   strcmp(option, "--remote-debug") == 0) {
            server.debug = true;
            server.debug_engine |= strcmp(option, "--debug=all") == 0;
        } else if (strcmp(option, "--disable-randomization") == 0) {
            server.no_aslr = true;
        } else if (strcmp(option, "--no-disable-randomization") == 0) {
            server.no_aslr = false;
        } else if (strcmp(option, "--startup-with-shell") == 0) {
            server.with_shell = true;
        } else if (strcmp(option, "--no-startup-with-shell") == 0) {
            server.with_shell = false;
        } else if (strncmp(option, "--debug-format", 14) == 0 || strncmp(option, "--debug-file", 12) == 0 ||
                   strncmp(option, "--disable-packet", 16) == 0) {
            continue;
        } else if (strcmp(option, "--version") == 0) {
            printf("rein-gdbserver (rein) %s\n", rein_version());
            return STATUS_OK;
        } else if (strcmp(option, "--help") == 0) {
            fputs(gdbserver_help, stdout);
            return STATUS_OK;
        } else {
            fprintf(stderr, "Unknown argument: %s\n", option);
            return STATUS_FAILED;
        }
    }
    const char *address = at < argc ? argv[at++] : NULL;
    /* Its old place, where gdb's scripts have it still. */
    if (address && at < argc && strcmp(argv[at], "--attach") == 0) {
        attach = true;
        at++;
    }
    int pid = attach && at < argc ? cli_parse_pid(argv[at]) : 0;
    if (!address || (attach && (!pid || at + 1 != argc)) || (!attach && !server.multi && at == argc)) {
        fputs(gdbserver_help, stderr);
        return STATUS_FAILED;
    }
    return run(&server, address, pid, attach ? NULL : argv + at);
}
