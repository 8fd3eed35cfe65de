/* P9: starting a program. Programs: show_start, spin. */
#include "support.h"

#include <grp.h>
#include <sys/stat.h>

static char *const arguments[] = {(char *)"show_start", (char *)"one", (char *)"two words", (char *)"", NULL};

/* Runs it to its end and checks that it was content. */
static void run(struct fixture *fixture)
{
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

static struct fixture *run_with(const struct rein_spawn_options *options)
{
    struct fixture *fixture = spawn_with(monitor, options, "show_start", arguments);
    run(fixture);
    return fixture;
}

static int count_said(const struct fixture *fixture, const char *beginning)
{
    int count = 0;
    for (const char *line = fixture->said; (line = strstr(line, beginning)); line++)
        count += line == fixture->said || line[-1] == '\n';
    return count;
}

/* All that comes out of a pipe; closes it. */
static const char *read_all(int fd)
{
    static char text[65536];
    size_t size = 0;
    for (ssize_t more; (more = read(fd, text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)more;
    text[size] = 0;
    close(fd);
    return text;
}

/* P9: stopped after the exec, before its first instruction: nothing of it has run, not even the dynamic linker. */
static void P9_stopped_at_the_start(void **state)
{
    (void)state;
    struct fixture *fixture = spawn_with(monitor, NULL, "show_start", arguments);
    rein_process *process = fixture->process;
    assert_int_equal(thread_count(process), 1);
    rein_thread *thread = first_thread(process);
    assert_int_equal(rein_thread_id(thread), fixture->pid);
    assert_true(rein_state_is_stopped(state_of(thread)));
    assert_ok(rein_process_wait(process, 0));
    char link[64], path[4096], name[16], real[4096];
    snprintf(link, sizeof link, "/proc/%d/exe", fixture->pid);
    ssize_t size = readlink(link, path, sizeof path - 1);
    assert_true(size > 0);
    path[size] = 0;
    assert_non_null(realpath(fixture_path("show_start"), real));
    assert_string_equal(path, real);
    assert_ok(rein_thread_name(thread, name));
    assert_string_equal(name, "show_start");
    /* At the start of a program the stack pointer points at argc, and the other registers are 0. */
    assert_word(word_at(process, register_of(thread, STACK_POINTER)), 4);
    assert_word(register_of(thread, KEPT_REGISTER), 0);
    assert_word(register_of(thread, SECOND_ARGUMENT), 0);
    sleep_ms(20);
    assert_null(has_said(fixture, "argument"));
    assert_int_equal(proc_state(fixture->pid, 0), 't');
    run(fixture);
}

/* P9 */
static void P9_arguments_environment_directory(void **state)
{
    (void)state;
    static char *const environment[] = {(char *)"ONE=1", (char *)"EMPTY=", NULL};
    int out[2];
    char path[4096];
    rein_process *process = NULL;
    assert_non_null(realpath(fixture_path("show_start"), path));
    for (int given = 0; given < 2; given++) {
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        int fds[3] = {-1, out[1], 2};
        assert_ok(rein_spawn(monitor, path, arguments, given ? environment : NULL, given ? "/proc/self" : NULL, fds, 3,
                             NULL, &process));
        close(out[1]);
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
        const char *text = read_all(out[0]);
        assert_says(text, "argument 0 show_start\nargument 1 one\nargument 2 two words\nargument 3 \nvariable");
        if (given) {
            char directory[64];
            snprintf(directory, sizeof directory, "directory /proc/%d\n", rein_process_id(process));
            assert_says(text, "argument 3 \nvariable ONE=1\nvariable EMPTY=\ndirectory");
            assert_says(text, directory);
        } else {
            char line[4200], here[4096];
            snprintf(line, sizeof line, "variable PATH=%s\n", getenv("PATH"));
            assert_says(text, line);
            assert_non_null(getcwd(here, sizeof here));
            snprintf(line, sizeof line, "directory %s\n", here);
            assert_says(text, line);
        }
        rein_process_unref(process);
    }
}

/* P9: descriptors: exactly those given; without a list, as by fork and exec. */
static void P9_descriptors(void **state)
{
    (void)state;
    int kept = open("/dev/null", O_RDONLY), closing = open("/dev/null", O_RDONLY | O_CLOEXEC), out[2];
    assert_true(kept > 2 && closing > 2);
    struct fixture *fixture = run_with(NULL); /* 0, 1 and 2 are given */
    assert_int_equal(count_said(fixture, "descriptor "), 3);

    /* More than there are, in another order, with a gap, and one twice. */
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    assert_int_equal(fstat(file, &status), 0);
    int fds[8] = {file, out[1], 2, file, -1, out[1], -1, kept};
    rein_process *process = NULL;
    assert_ok(rein_spawn(monitor, fixture_path("show_start"), arguments, NULL, NULL, fds, 8, NULL, &process));
    later_unref_process(process);
    close(out[1]);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    char line[64];
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    const char *text = read_all(out[0]);
    snprintf(line, sizeof line, "descriptor 0 %lu\n", (unsigned long)status.st_ino);
    assert_says(text, line);
    snprintf(line, sizeof line, "descriptor 3 %lu\n", (unsigned long)status.st_ino);
    assert_says(text, line);
    assert_says(text, "descriptor 5 ");
    assert_says(text, "descriptor 7 ");
    assert_null(strstr(text, "descriptor 4 "));
    assert_null(strstr(text, "descriptor 6 "));
    assert_null(strstr(text, "descriptor 8 "));
    assert_null(strstr(text, "descriptor 9 "));
    close(file);

    /* Inherited. */
    int saved = fcntl(1, F_DUPFD_CLOEXEC, 10), pipe_ends[2];
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    fflush(stdout);
    dup2(pipe_ends[1], 1);
    int result = rein_spawn(monitor, fixture_path("show_start"), arguments, NULL, NULL, NULL, 0, NULL, &process);
    dup2(saved, 1);
    close(saved);
    close(pipe_ends[1]);
    assert_ok(result);
    later_unref_process(process);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    text = read_all(pipe_ends[0]);
    snprintf(line, sizeof line, "\ndescriptor %d ", kept);
    assert_says(text, line);
    snprintf(line, sizeof line, "\ndescriptor %d ", closing);
    assert_null(strstr(text, line));
    close(kept);
    close(closing);
}

/* P9, E1: what fails before or at the exec, with the step and the errno; nothing is left of the attempt. */
static void P9_E1_failures(void **state)
{
    (void)state;
    char path[4096];
    assert_non_null(realpath(fixture_path("show_start"), path));
    char unreadable[] = "/tmp/rein-test-XXXXXX";
    int file = mkstemp(unreadable);
    assert_true(file >= 0);
    assert_int_equal(write(file, "nothing", 7), 7);
    close(file);
    int bad_fds[3] = {0, 1, 987};
    const struct {
        const char *path, *dir;
        const int *fds;
        int error;
        const char *says;
    } cases[] = {
        {"/nonexistent/program", NULL, NULL, ENOENT, "/nonexistent/program"},
        {unreadable, NULL, NULL, EACCES, "exec"},
        {"/tmp", NULL, NULL, EACCES, "exec"},
        {path, "/nonexistent/directory", NULL, ENOENT, "/nonexistent/directory"},
        {path, path, NULL, ENOTDIR, "directory"},
        {path, NULL, bad_fds, EBADF, "descriptor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rein_process *process = NULL;
        char number[128];
        errno = 0;
        int result = rein_spawn(monitor, cases[i].path, arguments, NULL, cases[i].dir, cases[i].fds,
                                cases[i].fds ? 3 : 0, NULL, &process);
        int error = errno;
        assert_error_says(result, REIN_EXEC_FAILED, cases[i].says);
        assert_int_equal(error, cases[i].error);
        snprintf(number, sizeof number, "%s", strerror(cases[i].error));
        assert_says(rein_error_message(), number);
        assert_null(process);
    }
    /* A file with the right to be executed, but no program. */
    rein_process *process = NULL;
    assert_int_equal(chmod(unreadable, 0700), 0);
    assert_error(rein_spawn(monitor, unreadable, arguments, NULL, NULL, NULL, 0, NULL, &process), REIN_EXEC_FAILED);
    assert_int_equal(errno, ENOEXEC);
    unlink(unreadable);
}

/* P9: without ASLR the addresses are the same each time; else the personality is the host's. */
static void P9_no_aslr(void **state)
{
    (void)state;
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    options.flags = REIN_SPAWN_NO_ASLR;
    rein_word first = 0;
    for (int i = 0; i < 3; i++) {
        struct fixture *fixture = run_with(&options);
        assert_int_equal(said_id(fixture, "random_addresses"), 0);
        if (i == 0)
            first = said_address(fixture, "hot");
        assert_word(said_address(fixture, "hot"), first);
    }
    struct fixture *fixture = run_with(NULL);
    FILE *own = fopen("/proc/self/personality", "re");
    unsigned personality = 0;
    if (own && fscanf(own, "%x", &personality) == 1)
        assert_int_equal(said_id(fixture, "random_addresses"), !(personality & 0x0040000));
    if (own)
        fclose(own);
}

/* P9 */
static void P9_search_path(void **state)
{
    (void)state;
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    char *const true_arguments[] = {(char *)"true", NULL};
    rein_process *process = NULL;
    assert_error(rein_spawn(monitor, "true", true_arguments, NULL, "/", NULL, 0, NULL, &process), REIN_EXEC_FAILED);
    options.flags = REIN_SPAWN_SEARCH_PATH | REIN_SPAWN_NULL_STDIO;
    assert_error(
        rein_spawn(monitor, "no-such-program-anywhere", true_arguments, NULL, NULL, NULL, 0, &options, &process),
        REIN_EXEC_FAILED);
    assert_int_equal(errno, ENOENT);
    assert_null(process);
    char before[4096], path[2 * sizeof before];
    snprintf(before, sizeof before, "%s", getenv("PATH") ? getenv("PATH") : "/bin:/usr/bin");
    snprintf(path, sizeof path, "%s:%s", tools(), before);
    setenv("PATH", path, 1);
    assert_ok(rein_spawn(monitor, "true", true_arguments, NULL, NULL, NULL, 0, &options, &process));
    setenv("PATH", before, 1);
    later_unref_process(process);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    struct rein_exit how;
    assert_ok(rein_process_exit(process, &how));
    assert_true(!how.signaled && how.status == 0 && how.signal == 0);
}

/* P9 */
static void P9_null_stdio(void **state)
{
    (void)state;
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    char *const test_arguments[] = {(char *)"sh", (char *)"-c",
                                    (char *)"test /proc/$$/fd/0 -ef /dev/null && test /proc/$$/fd/1 -ef /dev/null && "
                                            "test /proc/$$/fd/2 -ef /dev/null",
                                    NULL};
    rein_process *process = NULL;
    options.flags = REIN_SPAWN_NULL_STDIO;
    int fds[1] = {0};
    assert_error(rein_spawn(monitor, tool("sh"), test_arguments, NULL, NULL, fds, 1, &options, &process),
                 REIN_INVALID_ARGUMENT);
    assert_ok(rein_spawn(monitor, tool("sh"), test_arguments, NULL, NULL, NULL, 0, &options, &process));
    later_unref_process(process);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    struct rein_exit how;
    assert_ok(rein_process_exit(process, &how));
    assert_int_equal(how.status, 0);
}

/* P9 */
static void P9_credentials(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    static const unsigned groups[] = {1234, 4321};
    /* Where a user without rights gets to the program. */
    char path[] = "/tmp/rein-spawn-XXXXXX", command[8400];
    assert_non_null(mkdtemp(path));
    assert_int_equal(chmod(path, 0755), 0);
    snprintf(command, sizeof command, "cp '%s' '%s/show_start'", fixture_path("show_start"), path);
    assert_int_equal(system(command), 0);
    char program[64], *const own_arguments[] = {(char *)"show_start", NULL};
    snprintf(program, sizeof program, "%s/show_start", path);
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    int fds[3] = {-1, out[1], 2};
    options.flags = REIN_SPAWN_CREDENTIALS;
    options.uid = 65534;
    options.gid = 65533;
    options.groups = groups;
    options.group_count = 2;
    rein_process *process = NULL;
    int result = rein_spawn(monitor, program, own_arguments, NULL, "/", fds, 3, &options, &process);
    close(out[1]);
    assert_ok(result);
    later_unref_process(process);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    const char *text = read_all(out[0]);
    unlink(program);
    rmdir(path);
    assert_says(text, "id user 65534\nid effective_user 65534\nid gid 65533\nid effective_gid 65533\n");
    assert_says(text, "id also_group 1234\nid also_group 4321\n");
    assert_says(text, "ok show_start");
}

/* P9: process group and session. */
static void P9_group_and_session(void **state)
{
    (void)state;
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    struct fixture *fixture = run_with(&options); /* -1: the host's */
    assert_int_equal(said_id(fixture, "group"), getpgrp());
    assert_int_equal(said_id(fixture, "session"), getsid(0));
    options.process_group = 0;
    fixture = run_with(&options);
    assert_int_equal(said_id(fixture, "group"), fixture->pid);
    assert_int_equal(said_id(fixture, "session"), getsid(0));
    struct fixture *other = start_ready("spin", "1", NULL); /* a group of its own */
    options.process_group = other->pid;
    fixture = run_with(&options);
    assert_int_equal(said_id(fixture, "group"), other->pid);
    options.process_group = -1;
    options.flags = REIN_SPAWN_NEW_SESSION;
    fixture = run_with(&options);
    assert_int_equal(said_id(fixture, "group"), fixture->pid);
    assert_int_equal(said_id(fixture, "session"), fixture->pid);
}

/* P9: blocked signals are those of the calling thread; ignored ones stay ignored, handled ones are at their
 * default. */
static void P9_signals(void **state)
{
    (void)state;
    sigset_t mask, before;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGRTMIN + 3);
    signal(SIGHUP, SIG_IGN);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &mask, &before), 0);
    struct fixture *fixture = run_with(NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGHUP, SIG_DFL);
    assert_int_equal(count_said(fixture, "id blocked "), 2);
    char line[32];
    snprintf(line, sizeof line, "id blocked %d\n", SIGUSR2);
    assert_says(fixture->said, line);
    snprintf(line, sizeof line, "id blocked %d\n", SIGRTMIN + 3);
    assert_says(fixture->said, line);
    snprintf(line, sizeof line, "id ignored %d\n", SIGHUP);
    assert_says(fixture->said, line);
    snprintf(line, sizeof line, "id ignored %d\n", SIGPIPE); /* the tests ignore it */
    assert_says(fixture->said, line);
    assert_null(strstr(fixture->said, "id ignored 14\n")); /* SIGALRM has a handler here */
    fixture = run_with(NULL);
    assert_int_equal(count_said(fixture, "id blocked "), 0);
}

/* P9, M10: many, one after the other and at once. */
static void P9_M10_many(void **state)
{
    (void)state;
    char *const true_arguments[] = {(char *)"true", NULL};
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    rein_process *processes[30];
    options.flags = REIN_SPAWN_NULL_STDIO;
    int descriptors = count_descriptors();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 30; i++)
            assert_ok(rein_spawn(monitor, tool("true"), true_arguments, NULL, NULL, NULL, 0, &options, &processes[i]));
        for (int i = 0; i < 30; i++) {
            set_policy(processes[i], REIN_IGNORE);
            assert_ok(rein_process_continue(processes[i]));
        }
        for (int i = 0; i < 30; i++) {
            assert_error(rein_process_wait(processes[i], LIMIT_MS), REIN_EXITED);
            rein_process_unref(processes[i]);
        }
    }
    assert_true(count_descriptors() <= descriptors + 2); /* what the monitor may have opened for good */
}

/* P9: a program that is killed before it has run. */
static void P9_killed_at_the_start(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("spin", "1", NULL);
    struct rein_exit how;
    assert_error(rein_process_exit(fixture->process, &how), REIN_BAD_STATE);
    assert_ok(rein_process_kill(fixture->process));
    assert_int_equal(proc_state(fixture->pid, 0), 0);
    assert_ok(rein_process_exit(fixture->process, &how));
    assert_true(how.signaled && how.signal == SIGKILL && how.status == -1);
    assert_error(rein_process_kill(fixture->process), REIN_EXITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P9_stopped_at_the_start),
        live_test(P9_arguments_environment_directory),
        live_test(P9_descriptors),
        live_test(P9_E1_failures),
        live_test(P9_no_aslr),
        live_test(P9_search_path),
        live_test(P9_null_stdio),
        live_test(P9_credentials),
        live_test(P9_group_and_session),
        live_test(P9_signals),
        live_test(P9_M10_many),
        live_test(P9_killed_at_the_start),
    };
    return live_main(tests);
}
