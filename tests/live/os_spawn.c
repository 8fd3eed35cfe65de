/* Starting a program (contract row P9) by src/os/linux/spawn.c: what it starts with, each step's failure, and that neither
 * the host nor its memory notices. Fixture: spawned, which says what it was started with. */
#include "os_support.h"

#include <dirent.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/user.h>

#define NOBODY 65534

/* ---- Starting it ---- */

static char output_name[64]; /* what it says goes here */
static char output[1 << 16];
static char program[4096]; /* spawned */
static struct rein_spawn_options options;
static struct os_spawn what;
static struct os_spawned spawned;
static enum os_spawn_step step;

static char second_argument[] = "two words";
static char *arguments[] = {program, output_name, second_argument, NULL};

static int setup(void **state)
{
    (void)state;
    const struct rein_spawn_options defaults = REIN_SPAWN_OPTIONS_INIT;

    options = defaults;
    memset(&what, 0, sizeof what);
    what.path = program;
    what.argv = arguments;
    what.options = &options;
    what.process_group = getpgrp();
    sigemptyset(&what.mask);
    sigemptyset(&what.ignored);
    snprintf(output_name, sizeof output_name, "/tmp/rein-os-spawn-XXXXXX");
    int fd = mkstemp(output_name);
    assert_true(fd >= 0);
    fchmod(fd, 0666);
    close(fd);
    output[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(output_name);
    return 0;
}

/* Runs it to its end. Its status, after an EXEC; else -1, and nothing was executed. */
static int run(void)
{
    bool executed = false;

    int result = linux_spawn(&what, &spawned, &step);
    if (result != 0)
        return result;
    for (;;) {
        struct os_event event = next_event(spawned.pid);

        if (event.kind == OS_EVENT_EXITED) {
            if (!executed)
                return -1;
            assert_false(event.exit.signaled);
            return event.exit.status;
        }
        if (event.kind == OS_EVENT_EXEC) {
            enum os_spawn_step none = OS_SPAWN_STEP_EXEC;

            assert_false(executed);
            executed = true;
            assert_int_equal(linux_spawn_error(&spawned, &none), 0);
            assert_int_equal(none, OS_SPAWN_STEP_NONE);
            linux_spawn_close(&spawned);
            assert_null(spawned.area);
            linux_spawn_close(&spawned);
        }
        linux_resume(spawned.pid, OS_RESUME_RUN, event.kind == OS_EVENT_SIGNAL ? event.signal.number : 0);
    }
}

/* Runs it and reads what it says. */
static void run_report(void)
{
    int status = run();

    if (status != 42)
        fail_msg("status %d, step %s: %s", status, os_spawn_step_text(step), strerror(status < 0 ? -status : 0));
    FILE *file = fopen(output_name, "r");
    assert_non_null(file);
    output[fread(output, 1, sizeof output - 1, file)] = '\0';
    fclose(file);
}

static bool has_line(const char *line)
{
    char text[5000];

    snprintf(text, sizeof text, "\n%s\n", line);
    return strstr(output, text) != NULL;
}

#define assert_line(...)                                                                                               \
    do {                                                                                                               \
        char expected_line[4200];                                                                                      \
        snprintf(expected_line, sizeof expected_line, __VA_ARGS__);                                                    \
        if (!has_line(expected_line))                                                                                  \
            fail_msg("no line \"%s\" in:\n%s", expected_line, output);                                                 \
    } while (0)

/* Runs it, which must fail. */
static void run_fails(enum os_spawn_step at, int error)
{
    enum os_spawn_step failed = OS_SPAWN_STEP_NONE;

    assert_int_equal(run(), -1);
    int told = linux_spawn_error(&spawned, &failed);
    if (failed != at || told != error)
        fail_msg("%s: %s, instead of %s: %s", os_spawn_step_text(failed), strerror(told), os_spawn_step_text(at),
                 strerror(error));
    linux_spawn_close(&spawned);
}

/* ---- What it starts with ---- */

static void by_default(void **state)
{
    (void)state;
    char directory[4096];

    setenv("REIN_TEST", "a value", 1);
    run_report();
    assert_line("arg %s", output_name);
    assert_line("arg two words");
    assert_line("env REIN_TEST=a value");
    assert_line("ids %d %d %d", getpid(), getpgrp(), getsid(0));
    assert_line("cwd %s", getcwd(directory, sizeof directory));
    assert_line("uid %d %d gid %d %d groups%s", getuid(), geteuid(), getgid(), getegid(),
                strstr(output, "groups") + strlen("groups") == strchr(strstr(output, "groups"), '\n') ? "" : " 0");
    assert_line("personality 0");
    assert_line("SigBlk:\t0000000000000000");
    assert_line("SigIgn:\t0000000000000000");
    assert_line("SigCgt:\t0000000000000000");
    assert_line("death signal 0");
    unsetenv("REIN_TEST");
}

static void environment_and_directory(void **state)
{
    static char one[] = "ONE=1", path[] = "PATH=/nowhere";
    char *const environment[] = {one, path, NULL}, *const empty[] = {NULL};

    (void)state;
    what.envv = environment;
    what.dir = "/tmp";
    run_report();
    assert_line("env ONE=1");
    assert_line("env PATH=/nowhere");
    assert_line("cwd /tmp");
    assert_null(strstr(output, "env PWD"));
    what.envv = empty;
    run_report();
    assert_null(strstr(output, "\nenv "));
}

static void signals(void **state)
{
    (void)state;
    sigaddset(&what.mask, SIGUSR1);
    sigaddset(&what.mask, SIGRTMAX);
    sigaddset(&what.ignored, SIGINT);
    sigaddset(&what.ignored, SIGRTMIN + 1);
    run_report();
    assert_line("SigBlk:\t%016llx", 1ULL << (SIGUSR1 - 1) | 1ULL << (SIGRTMAX - 1));
    assert_line("SigIgn:\t%016llx", 1ULL << (SIGINT - 1) | 1ULL << SIGRTMIN);
    assert_line("SigCgt:\t0000000000000000");

    /* what the monitor itself ignores or blocks does not matter */
    sigset_t all, before, blocked, now;
    sigfillset(&all);
    sigemptyset(&what.mask);
    sigemptyset(&what.ignored);
    signal(SIGUSR2, SIG_IGN);
    sigprocmask(SIG_SETMASK, &all, &before);
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    run_report();
    sigprocmask(SIG_SETMASK, &before, &now);
    assert_memory_equal(&now, &blocked, sizeof(uint64_t)); /* and is as it was */
    signal(SIGUSR2, SIG_DFL);
    assert_line("SigBlk:\t0000000000000000");
    assert_line("SigIgn:\t0000000000000000");
}

static void groups_and_sessions(void **state)
{
    char text[80];

    (void)state;
    options.process_group = 0;
    run_report();
    assert_line("ids %d %d %d", getpid(), spawned.pid, getsid(0));
    options.flags = REIN_SPAWN_NEW_SESSION;
    run_report();
    assert_line("ids %d %d %d", getpid(), spawned.pid, spawned.pid);
    options.process_group = -1;
    run_report();
    assert_line("ids %d %d %d", getpid(), spawned.pid, spawned.pid);
    /* another one's */
    options.flags = 0;
    int leader = start_child(pauses, NULL);
    assert_int_equal(setpgid(leader, leader), 0);
    options.process_group = leader;
    run_report();
    snprintf(text, sizeof text, "ids %d %d %d", getpid(), leader, getsid(0));
    assert_line("%s", text);
    /* the host's, though the monitor has left it */
    options.process_group = -1;
    what.process_group = leader;
    run_report();
    assert_line("%s", text);
    kill_child(leader);
    /* and if that is gone: not the monitor's */
    run_report();
    assert_line("ids %d %d %d", getpid(), spawned.pid, getsid(0));
}

static uint64_t stack_of_report(void)
{
    run_report();
    return strtoull(strstr(output, "\nstack ") + strlen("\nstack "), NULL, 16);
}

static void without_random_addresses(void **state)
{
    (void)state;
    options.flags = REIN_SPAWN_NO_ASLR;
    uint64_t first = stack_of_report();
    assert_line("personality %x", (unsigned)ADDR_NO_RANDOMIZE);
    assert_int_equal(stack_of_report(), first);
    assert_int_equal(personality(0xffffffff), 0);
}

static void other_user(void **state)
{
    const unsigned groups[] = {12, 345, 6789};

    (void)state;
    if (getuid() != 0)
        skip();
    options.flags = REIN_SPAWN_CREDENTIALS;
    options.uid = NOBODY;
    options.gid = NOBODY - 1;
    options.groups = groups;
    options.group_count = 3;
    /* through a descriptor, for a build directory may be closed to nobody */
    static char by_descriptor[64];
    int file = open(program, O_RDONLY);
    snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d", file);
    what.path = by_descriptor;
    run_report();
    assert_line("uid %d %d gid %d %d groups 12 345 6789", NOBODY, NOBODY, NOBODY - 1, NOBODY - 1);
    assert_int_equal(prctl(PR_GET_DUMPABLE), 1); /* the host stays as it is */
    options.group_count = 0;
    options.groups = NULL;
    run_report();
    assert_line("uid %d %d gid %d %d groups", NOBODY, NOBODY, NOBODY - 1, NOBODY - 1);
    close(file);
}

static void found_in_path(void **state)
{
    static char name[64], text[400];
    char *slash = strrchr(program, '/');
    const char *before = getenv("PATH");

    (void)state;
    snprintf(name, sizeof name, "%s", slash + 1);
    snprintf(text, sizeof text, "/nowhere:/etc/passwd:/etc:%.*s", (int)(slash - program), program);
    setenv("PATH", text, 1);
    what.path = name;
    what.dir = "/";
    options.flags = REIN_SPAWN_SEARCH_PATH;
    run_report();
    what.path = "passwd"; /* there, but not to be run: so says the error, though others come behind */
    run_fails(OS_SPAWN_STEP_EXEC, EACCES);
    what.path = "no-such-program";
    run_fails(OS_SPAWN_STEP_EXEC, ENOENT);
    setenv("PATH", "", 1); /* the working directory */
    snprintf(text, sizeof text, "%.*s", (int)(slash - program), program);
    what.path = name;
    what.dir = text;
    run_report();
    unsetenv("PATH");
    what.path = "true";
    assert_int_equal(run(), 0);
    setenv("PATH", before != NULL ? before : "", 1);
    options.flags = 0; /* not asked for */
    what.path = name;
    what.dir = "/";
    run_fails(OS_SPAWN_STEP_EXEC, ENOENT);
}

/* ---- Descriptors ---- */

/* Files by letter: descriptor i of the program is to be the file i of the picture, - none. */
static int open_letter(char letter)
{
    char name[80];

    snprintf(name, sizeof name, "%s.%c", output_name, letter);
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 40);
    close(fd);
    return high;
}

static void unlink_letter(char letter)
{
    char name[80];

    snprintf(name, sizeof name, "%s.%c", output_name, letter);
    unlink(name);
}

static const char *expected_descriptors(const char *picture)
{
    static char text[3000];
    size_t length = (size_t)snprintf(text, sizeof text, "fds");

    for (int i = 0; picture[i] != '\0'; i++)
        if (i == 1) /* stdout was opened anew by the report */
            length += (size_t)snprintf(text + length, sizeof text - length, " 1=%s", output_name);
        else if (picture[i] != '-')
            length += (size_t)snprintf(text + length, sizeof text - length, " %d=%s.%c", i, output_name, picture[i]);
    return text;
}

/* The host has these files open at descriptors base, base + 1, ...; what it passes, numbers from there on. */
static void pass(int base, const int *order, size_t count, const char *picture)
{
    int held[8];
    int fds[40];

    for (int i = 0; i < 8; i++) {
        int fd = open_letter((char)('a' + i));
        assert_int_equal(dup3(fd, base + i, O_CLOEXEC), base + i);
        held[i] = base + i;
        close(fd);
    }
    for (size_t i = 0; i < count; i++)
        fds[i] = order[i] < 0 ? -1 : held[order[i]];
    what.fds = fds;
    what.fd_count = count;
    run_report();
    if (strncmp(output, expected_descriptors(picture), strlen(expected_descriptors(picture))) != 0 ||
        output[strlen(expected_descriptors(picture))] != '\n')
        fail_msg("%s: expected %s, got\n%s", picture, expected_descriptors(picture), output);
    for (int i = 0; i < 8; i++) {
        close(base + i);
        unlink_letter((char)('a' + i));
    }
}

/* In a child, whose descriptors 3 to 20 are free to be used. */
static bool shuffles(void *arg)
{
    struct rlimit limit;

    (void)arg;
    for (int base = 20; base >= 3; base--) {
        const int straight[] = {0, 0, 1, 2, 3}, reversed[] = {7, 0, 6, 5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7};
        const int holes[] = {0, 0, -1, -1, 1, 1, 1, -1, 2}, one[] = {5, 0};
        /* as many as there are, so that sources are among the targets, in place, above and below */
        const int rotated[] = {1, 0, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0};

        pass(base, straight, 5, "aabcd");
        pass(base, reversed, 17, "hagfedcbaabcdefgh");
        pass(base, holes, 9, "aa--bbb-c");
        pass(base, one, 2, "fa");
        pass(base, rotated, 25, "bacdefghabcdefghabcdefgha");
    }
    /* more than the limit allows */
    int many[30];
    int file = open_letter('a');
    for (int i = 0; i < 30; i++)
        many[i] = file;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 20;
    setrlimit(RLIMIT_NOFILE, &limit);
    what.fds = many;
    what.fd_count = 30;
    assert_int_equal(run(), -1);
    enum os_spawn_step failed = OS_SPAWN_STEP_NONE;
    assert_int_not_equal(linux_spawn_error(&spawned, &failed), 0);
    assert_int_equal(failed, OS_SPAWN_STEP_DESCRIPTORS);
    linux_spawn_close(&spawned);
    unlink_letter('a');
    return true;
}

/* The system call fails with that errno in this process and in all that it makes from now on. */
static bool take_away(long call, unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog rules = {sizeof filter / sizeof *filter, filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &rules) == 0;
}

/* Before Linux 5.9. */
static bool closes_without_close_range(void *arg)
{
    (void)arg;
    for (int fd = 100; fd < 400; fd += 3)
        dup2(2, fd);
    return take_away(SYS_close_range, ENOSYS) && shuffles(NULL);
}

static void descriptors_on_an_old_kernel(void **state)
{
    (void)state;
    assert_int_equal(end_of(start_child(closes_without_close_range, NULL)), 0);
}

static void descriptors_in_any_order(void **state)
{
    (void)state;
    assert_int_equal(end_of(start_child(shuffles, NULL)), 0);
}

static void descriptors_that_are_not_open(void **state)
{
    const int fds[] = {0, 1, 2, 777};

    (void)state;
    what.fds = fds;
    what.fd_count = 4;
    run_fails(OS_SPAWN_STEP_DESCRIPTORS, EBADF);
}

static void no_descriptors_and_none_at_all(void **state)
{
    int none = 0;

    (void)state;
    int left_open = open("/dev/null", O_RDONLY); /* it inherits this one by default */
    int not_left = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char text[40];
    snprintf(text, sizeof text, " %d=/dev/null", left_open);
    run_report();
    assert_non_null(strstr(output, text));
    snprintf(text, sizeof text, " %d=/dev/null", not_left);
    assert_null(strstr(output, text));
    what.fds = &none;
    what.fd_count = 0;
    run_report();
    char *first = strchr(output, '='); /* what it has opened itself */
    assert_non_null(first);
    assert_true(strncmp(first, "=/tmp/rein-os-spawn", 19) == 0);
    assert_true(strchr(first, '\n') < strchr(first + 1, '='));
    close(left_open);
    close(not_left);
}

static bool with_null(void *arg)
{
    int count = *(int *)arg;

    options.flags = REIN_SPAWN_NULL_STDIO;
    for (int fd = 0; fd < count; fd++)
        close(fd);
    if (run() != 42)
        return false;
    FILE *file = fopen(output_name, "r");
    output[fread(output, 1, sizeof output - 1, file)] = '\0';
    return strncmp(output, "fds 0=/dev/null 1=/tmp/", 23) == 0 && strstr(output, " 2=/dev/null") != NULL;
}

static void null_stdio(void **state)
{
    (void)state;
    for (int closed = 0; closed < 4; closed++) /* in the host */
        assert_int_equal(end_of(start_child(with_null, &closed)), 0);
}

/* ---- Failures ---- */

static void each_step_fails(void **state)
{
    (void)state;
    what.path = "/no/such/program";
    run_fails(OS_SPAWN_STEP_EXEC, ENOENT);
    what.path = "/etc/passwd";
    run_fails(OS_SPAWN_STEP_EXEC, EACCES);
    what.path = "/";
    run_fails(OS_SPAWN_STEP_EXEC, EACCES);
    what.path = program;
    what.dir = "/no/such/directory";
    run_fails(OS_SPAWN_STEP_CHDIR, ENOENT);
    what.dir = NULL;
    options.process_group = 0x7ffffff0;
    run_fails(OS_SPAWN_STEP_GROUP, EPERM);
    options.process_group = 1;
    options.flags = REIN_SPAWN_NEW_SESSION;
    run_fails(OS_SPAWN_STEP_GROUP, EPERM);
    options.flags = REIN_SPAWN_CREDENTIALS;
    options.process_group = -1;
    options.uid = NOBODY;
    if (getuid() != 0) {
        run_fails(OS_SPAWN_STEP_CREDENTIALS, EPERM);
    } else {
        static unsigned groups[65537]; /* NGROUPS_MAX is one less */
        options.groups = groups;
        options.group_count = sizeof groups / sizeof *groups;
        run_fails(OS_SPAWN_STEP_CREDENTIALS, EINVAL);
    }
    for (enum os_spawn_step at = OS_SPAWN_STEP_NONE; at <= OS_SPAWN_STEP_EXEC; at++)
        assert_true(strlen(os_spawn_step_text(at)) > 3);
}

static bool fails_to_seize(void *arg)
{
    struct os_spawned child;

    (void)arg;
    if (!take_away(SYS_ptrace, EPERM))
        return false;
    if (linux_spawn(&what, &child, &step) != -EPERM || step != OS_SPAWN_STEP_SEIZE || child.pid != -1)
        return false;
    return waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD; /* nothing is left */
}

static void not_allowed_to_seize(void **state)
{
    struct stat file;

    (void)state;
    assert_int_equal(end_of(start_child(fails_to_seize, NULL)), 0);
    assert_int_equal(stat(output_name, &file), 0);
    assert_int_equal(file.st_size, 0); /* it has not run */
}

static bool is_at_its_limits(void *arg)
{
    struct rlimit limit = {0, 0};

    (void)arg;
    /* without descriptors it works, with what the child needs itself */
    close(2);
    open("/dev/null", O_WRONLY);
    setrlimit(RLIMIT_NOFILE, &limit);
    if (run() != 127) /* the dynamic linker cannot open the libraries; but it is the program that says so */
        return false;
    /* no memory for the area */
    limit.rlim_cur = limit.rlim_max = 4096;
    setrlimit(RLIMIT_AS, &limit);
    if (linux_spawn(&what, &spawned, &step) != -ENOMEM || step != OS_SPAWN_STEP_FORK)
        return false;
    return true;
}

static void out_of_descriptors_and_memory(void **state)
{
    (void)state;
    assert_int_equal(end_of(start_child(is_at_its_limits, NULL)), 0);
}

static bool may_not_fork(void *arg)
{
    struct rlimit limit = {0, 0};

    (void)arg;
    if (setresuid(NOBODY, NOBODY, NOBODY) != 0 || setrlimit(RLIMIT_NPROC, &limit) != 0)
        return false;
    return linux_spawn(&what, &spawned, &step) == -EAGAIN && step == OS_SPAWN_STEP_FORK;
}

static void out_of_processes(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip();
    assert_int_equal(end_of(start_child(may_not_fork, NULL)), 0);
}

/* ---- The host ---- */

/* Of the kind that an area is: shared, of no file. */
static int mapping_count(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    char line[5000];
    int count = 0;

    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, "/dev/zero") != NULL;
    fclose(file);
    return count;
}

static int descriptor_count(void)
{
    DIR *list = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

static void nothing_is_left(void **state)
{
    (void)state;
    what.path = tool("true");
    run();
    int mappings = mapping_count(), descriptors = descriptor_count();
    for (int i = 0; i < 200; i++) {
        what.path = i % 2 == 0 ? tool("true") : "/no/such/program";
        what.copy_memory = i % 3 == 0;
        int status = run();
        assert_int_equal(status, i % 2 == 0 ? 0 : -1);
        linux_spawn_close(&spawned);
    }
    assert_int_equal(mapping_count(), mappings);
    assert_int_equal(descriptor_count(), descriptors);
    assert_true(waitpid(-1, NULL, __WALL) < 0);
}

/* All that is passed may be gone as soon as spawn is back. */
static void keeps_copies(void **state)
{
    char *const path = strdup(program), *const argument = strdup(output_name), *const variable = strdup("COPIED=1");
    char *const directory = strdup("/tmp");
    char *argv[] = {path, argument, NULL}, *envv[] = {variable, NULL};

    (void)state;
    what.path = path;
    what.argv = argv;
    what.envv = envv;
    what.dir = directory;
    assert_int_equal(linux_spawn(&what, &spawned, &step), 0);
    memset(path, 'x', strlen(path));
    memset(argument, 'x', strlen(argument));
    memset(variable, 'x', strlen(variable));
    memset(directory, 'x', strlen(directory));
    memset(argv, 0, sizeof argv);
    memset(envv, 0, sizeof envv);
    struct os_event event = next_event(spawned.pid);
    assert_int_equal(event.kind, OS_EVENT_EXEC);
    linux_spawn_close(&spawned);
    linux_resume(spawned.pid, OS_RESUME_RUN, 0);
    assert_int_equal(end_of(spawned.pid), 42);
    free(path);
    free(argument);
    free(variable);
    free(directory);
}

static volatile int handled;

static void count_signal(int number)
{
    (void)number;
    handled++;
}

/* A signal that comes between clone and exec is not for the host's handlers; it waits for the new program. */
static void signals_before_the_exec(void **state)
{
    (void)state;
    signal(SIGUSR1, count_signal);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(linux_spawn(&what, &spawned, &step), 0);
        kill(spawned.pid, SIGUSR1);
        struct os_event event = next_event(spawned.pid);
        bool executed = false, told = false;
        while (event.kind != OS_EVENT_EXITED) {
            executed |= event.kind == OS_EVENT_EXEC;
            told |= event.kind == OS_EVENT_SIGNAL;
            linux_resume(spawned.pid, OS_RESUME_RUN, event.kind == OS_EVENT_SIGNAL ? event.signal.number : 0);
            event = next_event(spawned.pid);
        }
        assert_true(told);
        assert_true(event.exit.signaled);
        assert_int_equal(event.exit.signal, SIGUSR1);
        linux_spawn_close(&spawned);
        (void)executed;
    }
    assert_int_equal(handled, 0);
    signal(SIGUSR1, SIG_DFL);
}

static void *churns(void *arg)
{
    atomic_bool *stop = arg;

    while (!atomic_load(stop)) {
        void *some = malloc(1000);
        errno = 4711;
        usleep(10);
        free(some);
    }
    return NULL;
}

/* Other threads of the host, which allocate, and hold locks at any moment; and the caller's errno is its own. */
static void while_others_run(void **state)
{
    static atomic_bool stop;
    pthread_t threads[3];

    (void)state;
    what.path = "/no/such/program";
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, churns, &stop);
    for (int i = 0; i < 200; i++) {
        enum os_spawn_step failed = OS_SPAWN_STEP_NONE;

        assert_int_equal(linux_spawn(&what, &spawned, &step), 0);
        errno = 4711; /* the child shares this very variable */
        int status = 0, result = 0;
        while ((result = waitpid(spawned.pid, &status, __WALL | WNOHANG)) == 0)
            ;
        assert_int_equal(errno, 4711);
        linux_resume(spawned.pid, OS_RESUME_RUN, 0);
        end_of(spawned.pid);
        assert_int_equal(linux_spawn_error(&spawned, &failed), ENOENT);
        linux_spawn_close(&spawned);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

static void killing(void **state)
{
    (void)state;
    int pid = start_child(pauses, NULL);

    assert_int_equal(linux_kill(pid, 0), 0);
    assert_int_equal(linux_kill(pid, SIGTERM), 0);
    assert_int_equal(end_of(pid), -SIGTERM);
    assert_int_equal(linux_kill(pid, SIGTERM), -ESRCH);
    assert_int_equal(linux_kill(getpid(), 12345), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(by_default, setup, teardown),
        cmocka_unit_test_setup_teardown(environment_and_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(signals, setup, teardown),
        cmocka_unit_test_setup_teardown(groups_and_sessions, setup, teardown),
        cmocka_unit_test_setup_teardown(without_random_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(other_user, setup, teardown),
        cmocka_unit_test_setup_teardown(found_in_path, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_on_an_old_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_that_are_not_open, setup, teardown),
        cmocka_unit_test_setup_teardown(no_descriptors_and_none_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(null_stdio, setup, teardown),
        cmocka_unit_test_setup_teardown(each_step_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(not_allowed_to_seize, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_descriptors_and_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(out_of_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_before_the_exec, setup, teardown),
        cmocka_unit_test_setup_teardown(while_others_run, setup, teardown),
        cmocka_unit_test_setup_teardown(killing, setup, teardown),
    };

    const char *fixtures = getenv("REIN_FIXTURES");
    snprintf(program, sizeof program, "%s/spawned", fixtures != NULL ? fixtures : ".");
    if (access(program, X_OK) != 0) {
        fprintf(stderr, "%s is not there: REIN_FIXTURES is the directory of the traced programs\n", program);
        return 1;
    }
    skip_under_valgrind();
    return cmocka_run_group_tests_name("os_spawn", tests, NULL, NULL);
}
