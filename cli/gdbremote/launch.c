/* How processes come to the server: programs that are started, by a shell as users are used to, and attaching. How they go is in
 * launch_end.c.
 *
 * By the shell: "exec PROGRAM ARGUMENTS" is what it executes, each word quoted, as gdbserver 13 has it; the process is shown to the
 * client after the last exec: the shell's own is the first, a wrapper's is one more. The program has a process group of its own,
 * and the terminal, if there is one, while it runs. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server.h"
#include "signals.h"

extern char **environ;

enum { STARTUP_LIMIT_MS = 60000, LOOK_UP_MS = 200, WORDS_MAX = 1024, STRINGS_MAX = 4096 };

/* ---- Lists of strings ---- */

static void free_list(char **list)
{
    for (char **each = list; each && *each; each++)
        free(*each);
    free(list);
}

static char **copy_list(char *const *list)
{
    size_t count = 0;
    while (list[count])
        count++;
    char **copy = calloc(count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++)
        if (!(copy[i] = strdup(list[i]))) {
            free_list(copy);
            return NULL;
        }
    return copy;
}

/* ---- The environment ---- */

static bool has_environment(struct server *server)
{
    if (!server->environment)
        server->environment = copy_list(environ);
    return server->environment != NULL;
}

static void unset(char **environment, const char *name)
{
    size_t length = strlen(name);
    for (char **at = environment; *at;) {
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=') {
            free(*at);
            for (char **to = at; (*to = to[1]); to++)
                continue;
        } else {
            at++;
        }
    }
}

/* Takes "NAME=value". */
static bool set(struct server *server, char *setting)
{
    char *end = strchr(setting, '=');
    if (!end || end == setting || !has_environment(server))
        return false;
    *end = '\0';
    unset(server->environment, setting);
    *end = '=';
    size_t count = 0;
    while (server->environment[count])
        count++;
    char **grown = count < STRINGS_MAX ? realloc(server->environment, (count + 2) * sizeof *grown) : NULL;
    if (!grown)
        return false;
    grown[count] = setting;
    grown[count + 1] = NULL;
    server->environment = grown;
    return true;
}

static void run_set(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    char *setting = parse_hex_text(arguments, length);
    if (setting && set(server, setting)) {
        server_ok(reply);
        return;
    }
    free(setting);
    server_error(server, reply, "NAME=value is wanted, in hex");
}

static void run_unset(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    char *name = parse_hex_text(arguments, length);
    if (name && *name && has_environment(server)) {
        unset(server->environment, name);
        server_ok(reply);
    } else {
        server_error(server, reply, "a name is wanted, in hex");
    }
    free(name);
}

static void run_reset(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    free_list(server->environment);
    server->environment = NULL;
    server_ok(reply);
}

/* ~ and ~user at its begin, as the client's user means them: here, and not there. */
static bool expand_home(char **directory)
{
    size_t length = strcspn(*directory, "/");
    char *name = **directory == '~' ? strndup(*directory, length) : NULL;
    glob_t found = {0};
    char *path = NULL;
    bool good = **directory != '~';
    if (name && glob(name, GLOB_TILDE_CHECK | GLOB_ONLYDIR, NULL, &found) == 0 && found.gl_pathc == 1)
        good = asprintf(&path, "%s%s", found.gl_pathv[0], *directory + length) >= 0;
    globfree(&found);
    free(name);
    if (good && path) {
        free(*directory);
        *directory = path;
    }
    return good;
}

static void run_directory(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    char *directory = length ? parse_hex_text(arguments, length) : NULL;
    if (length && !directory) {
        server_error(server, reply, "the directory is not in hex");
        return;
    }
    if (directory && !expand_home(&directory)) {
        server_error(server, reply, "there is no such home directory: %s", directory);
        free(directory);
        return;
    }
    free(server->directory);
    server->directory = directory;
    server_ok(reply);
}

static void set_flag(struct server *server, const char *arguments, bool *flag, struct reply *reply)
{
    if (strcmp(arguments, "0") != 0 && strcmp(arguments, "1") != 0) {
        server_error(server, reply, "0 or 1 is wanted");
        return;
    }
    *flag = *arguments == '1';
    server_ok(reply);
}

static void run_with_shell(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    set_flag(server, arguments, &server->with_shell, reply);
}

static void run_no_aslr(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    set_flag(server, arguments, &server->no_aslr, reply);
}

/* ---- Starting ---- */

/* As gdbserver does: what the user's shell has taken apart is not taken apart once more. */
void launch_add_quoted(struct reply *command, const char *word)
{
    reply_text(command, " '");
    for (; *word; word++)
        if (*word == '\'')
            reply_text(command, "'\\''");
        else
            reply_bytes(command, word, 1);
    reply_text(command, "'");
}

/* Runs it up to its last exec. 0, or an error of the library's, or 1: it has ended before. */
static int finish_start(rein_process *process, int execs, struct rein_exit *how)
{
    rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE);
    rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL);
    struct rein_event event;
    int result = 0;
    while (execs-- > 0 && result == 0) {
        result = rein_process_continue(process);
        if (result == 0)
            result = REIN_TIMEOUT;
        for (int i = 0; result == REIN_TIMEOUT && i < STARTUP_LIMIT_MS / LOOK_UP_MS && !signals_ended_by(); i++)
            result = rein_process_wait(process, LOOK_UP_MS);
    }
    if (result == REIN_EXITED)
        return rein_process_exit(process, how) == 0 ? 1 : REIN_EXITED;
    while (result == 0 && rein_process_next_event(process, 0, &event) == 0)
        rein_event_clear(&event);
    return result;
}

/* The files that the client wants for standard input, output and error. */
static bool open_streams(struct server *server, int fds[3], char *why, size_t size)
{
    for (int i = 0; i < 3; i++) {
        fds[i] = i;
        if (!server->streams[i])
            continue;
        fds[i] = open(server->streams[i], O_NOCTTY | O_CLOEXEC | (i == 0 ? O_RDONLY : O_WRONLY | O_CREAT), 0640);
        if (fds[i] < 0) {
            snprintf(why, size, "cannot open %s: %s", server->streams[i], strerror(errno));
            return false;
        }
    }
    return true;
}

static void close_streams(const int fds[3])
{
    for (int i = 0; i < 3; i++)
        if (fds[i] > 2)
            close(fds[i]);
}

static int spawn(struct server *server, char *const *program, rein_process **process, char *why, size_t size)
{
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    options.flags = REIN_SPAWN_SEARCH_PATH | (server->no_aslr ? REIN_SPAWN_NO_ASLR : 0u);
    options.process_group = 0;
    struct reply command = {0};
    const char *shell = getenv("SHELL");
    char *by_shell[4] = {(char *)(uintptr_t)(shell && *shell ? shell : "/bin/sh"), (char *)(uintptr_t) "-c", NULL,
                         NULL};
    char *const *arguments = program;
    int execs = 0, result;
    if (server->with_shell || server->wrapper) {
        reply_text(&command, "exec");
        if (server->wrapper)
            reply_format(&command, " %s", server->wrapper);
        launch_add_quoted(&command, program[0]);
        for (size_t i = 1; program[i]; i++) {
            launch_add_quoted(&command, program[i]);
        }
        if (command.failed) {
            snprintf(why, size, "out of memory");
            return -1;
        }
        by_shell[2] = command.text;
        arguments = by_shell;
        execs = server->wrapper ? 2 : 1;
    }
    int fds[3] = {0, 1, 2};
    if (!open_streams(server, fds, why, size)) {
        close_streams(fds);
        reply_free(&command);
        return -1;
    }
    bool wanted = server->streams[0] || server->streams[1] || server->streams[2];
    signals_before_spawn();
    result = rein_spawn(server->monitor, arguments[0], arguments, server->environment, server->directory,
                        wanted ? fds : NULL, wanted ? 3 : 0, &options, process);
    if (result == REIN_NOT_SUPPORTED && arguments == by_shell && !server->wrapper) {
        /* The machine's shell is of 64 bits, and this rein is not. All it is told is quoted, so the program does without. */
        execs = 0;
        result = rein_spawn(server->monitor, program[0], program, server->environment, server->directory,
                            wanted ? fds : NULL, wanted ? 3 : 0, &options, process);
    }
    signals_after_spawn();
    close_streams(fds);
    reply_free(&command);
    if (result != 0) {
        snprintf(why, size, "%s", rein_error_message());
        return -1;
    }
    struct rein_exit how = {0};
    result = finish_start(*process, execs, &how);
    if (result == 0)
        return 0;
    if (result != 1)
        snprintf(why, size, "%s", rein_error_message());
    else if (how.signaled)
        snprintf(why, size, "During startup program terminated with signal %s.", rein_signal_name(how.signal));
    else
        snprintf(why, size, "During startup program exited with code %d.", how.status);
    rein_process_kill(*process);
    rein_process_unref(*process);
    *process = NULL;
    return -1;
}

/* As a shell does with its foreground job. */

void launch_give_terminal(int group)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    if (!isatty(0) || sigaction(SIGTTOU, &ignore, &before) != 0)
        return;
    tcsetpgrp(0, group);
    sigaction(SIGTTOU, &before, NULL);
}

/* gdbserver's rule: a name alone is that of a file here, if there is one, and else it is looked for in PATH. */
static bool prefer_here(char **name)
{
    struct stat about;
    char *here, *path = NULL;
    if (strchr(*name, '/') || stat(*name, &about) != 0 || !S_ISREG(about.st_mode))
        return true;
    here = getcwd(NULL, 0);
    bool made = here && asprintf(&path, "%s/%s", here, *name) >= 0;
    free(here);
    if (made) {
        free(*name);
        *name = path;
    }
    return made;
}

int launch_program(struct server *server, char *const *program, char *why, size_t size)
{
    rein_process *process;
    if (!program || !program[0]) {
        snprintf(why, size, "there is no program to be run");
        return -1;
    }
    char **words = copy_list(program); /* which may be those that are kept */
    if (!words || (server->is_gdbserver && !prefer_here(&words[0]))) {
        snprintf(why, size, "out of memory");
        free_list(words);
        return -1;
    }
    if (spawn(server, words, &process, why, size) != 0) {
        free_list(words);
        return -1;
    }
    free_list(server->program);
    server->program = words;
    struct inferior *inferior = inferior_add(server, process, false);
    if (!inferior) {
        snprintf(why, size, "out of memory");
        return -1;
    }
    if (server->gave_terminal || tcgetpgrp(0) == server->process_group) { /* not from the shell's background */
        launch_give_terminal(inferior->id);
        server->gave_terminal = true;
    }
    server->general_pid = server->general_tid = inferior->id;
    if (server->is_gdbserver)
        server_say(server, "Process %s created; pid = %d", words[0], inferior->id);
    else
        server_say(server, "Process %d: %s", inferior->id, words[0]);
    return 0;
}

int launch_attach(struct server *server, int pid, char *why, size_t size)
{
    rein_process *process;
    if (inferior_find(server, pid)) {
        snprintf(why, size, "Process %d is held already", pid);
        return -1;
    }
    if (rein_attach(server->monitor, pid, NULL, &process) != 0) {
        snprintf(why, size, "Cannot attach to process %d: %s", pid, rein_error_message());
        return -1;
    }
    struct inferior *inferior = inferior_add(server, process, true);
    if (!inferior) {
        snprintf(why, size, "out of memory");
        return -1;
    }
    inferior->is_new = !server->packets.in; /* by the command line */
    server->general_pid = server->general_tid = pid;
    server_say(server, "Attached; pid = %d", pid);
    if (!server->features.lldb) /* it takes every process for stopped by SIGSTOP */
        pending_bring_out(server, inferior);
    return 0;
}

/* What the client hears of a process that has just come: that it is stopped. */
static void tell_start(struct server *server, int pid, struct reply *reply)
{
    rein_thread *thread = NULL;
    if (!server_resolve(server, pid, 0, &thread)) {
        server_error(server, reply, "the process has gone");
        return;
    }
    struct rein_cause cause = {.kind = REIN_CAUSE_STOPPED};
    struct stop stop = {.pid = pid,
                        .tid = rein_thread_id(thread),
                        .thread = thread,
                        .cause = cause,
                        .signal = signal_to_gdb(server->features.lldb ? SIGSTOP : SIGTRAP)};
    stop_write(server, reply, &stop);
    if (!server->non_stop) {
        if (server->has_last)
            rein_thread_unref(server->last.thread);
        server->last = stop; /* with its reference */
        server->has_last = true;
    } else {
        rein_thread_unref(thread);
    }
}

/* "FILE;ARGUMENT;...", each in hex; an empty file: what was run last. */
static void run_run(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    char *words[WORDS_MAX + 1] = {NULL}, why[500];
    size_t count = 0;
    bool good = true;
    for (char *at = arguments; at && good;) {
        char *end = strchrnul(at, ';');
        good = count < WORDS_MAX && (words[count] = parse_hex_text(at, (size_t)(end - at))) != NULL;
        count += good;
        at = *end ? end + 1 : NULL;
    }
    if (!good) {
        server_error(server, reply, "vRun takes a file and arguments in hex");
    } else {
        char *former = !*words[0] && server->program ? strdup(server->program[0]) : NULL;
        if (former) { /* the same program, with these arguments */
            free(words[0]);
            words[0] = former;
        }
        if (launch_program(server, words, why, sizeof why) != 0)
            server_error(server, reply, "%s", why);
        else
            tell_start(server, server->general_pid, reply);
    }
    for (size_t i = 0; i < count; i++)
        free(words[i]);
}

/* Non-stop: each thread's stop follows by a notification. */
static void tell_all_stopped(struct server *server, int pid)
{
    for (struct walk walk = walk_one(inferior_find(server, pid)); walk_next(&walk);)
        if (!stops_has(server, pid, rein_thread_id(walk.thread)))
            stops_add(server, walk.thread, &(struct rein_cause){.kind = REIN_CAUSE_STOPPED}, 0);
}

static void run_attach(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    uint64_t pid;
    char why[500];
    if (!parse_hex_to(&text, '\0', &pid) || pid == 0 || pid > INT32_MAX)
        server_error(server, reply, "vAttach takes a process id");
    else if (launch_attach(server, (int)pid, why, sizeof why) != 0)
        server_error(server, reply, "%s", why);
    else if (server->non_stop) {
        tell_all_stopped(server, (int)pid);
        server_ok(reply);
    } else if (!stops_tell_signal(server, (int)pid, reply)) {
        tell_start(server, (int)pid, reply);
    }
}

/* ---- What is kept ---- */

void launch_forget_client(struct server *server)
{
    free_list(server->environment);
    free(server->directory);
    server->environment = NULL;
    server->directory = NULL;
    for (int i = 0; i < 3; i++) {
        free(server->streams[i]);
        server->streams[i] = NULL;
    }
}

void launch_free(struct server *server)
{
    launch_forget_client(server);
    free_list(server->program);
    free(server->wrapper);
    server->program = NULL;
    server->wrapper = NULL;
}

const struct handler launch_handlers[] = {
    {"QEnvironmentHexEncoded:", run_set},
    {"QEnvironmentUnset:", run_unset},
    {"QEnvironmentReset", run_reset},
    {"QSetWorkingDir:", run_directory},
    {"QStartupWithShell:", run_with_shell},
    {"QDisableRandomization:", run_no_aslr},
    {"vRun;", run_run},
    {"vAttach;", run_attach},
    {NULL, NULL},
};
