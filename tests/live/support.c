#include "support.h"

#include <dirent.h>
#include <elf.h>
#include <limits.h>
#include <linux/limits.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define FIXTURES_MAX 1024
#define LATER_MAX 8192
#define ARGUMENTS_MAX 16
#define TEST_LIMIT_S 45

rein_monitor *monitor;

static struct fixture *fixtures[FIXTURES_MAX];
static int fixture_count;
static struct {
    void (*give_back)(void *);
    void *what;
} later[LATER_MAX];
static int later_count;
static int descriptors_before, threads_before;

/* ---- setup and teardown ---- */

const char *live_name(const char *file)
{
    static char name[64];
    const char *slash = strrchr(file, '/');
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : file);
    return name;
}

void live_choose(void)
{
    if (getenv("REIN_TEST"))
        cmocka_set_test_filter(getenv("REIN_TEST"));
}

enum rein_monitor_kind monitor_kind(void)
{
    const char *kind = getenv("REIN_MONITOR");
    if (kind && strcmp(kind, "thread") == 0)
        return REIN_MONITOR_THREAD;
    if (kind && strcmp(kind, "lent") == 0)
        return REIN_MONITOR_LENT;
    return REIN_MONITOR_PROCESS;
}

void skip_if_lent(void)
{
    if (monitor_kind() == REIN_MONITOR_LENT)
        skip();
}

void skip_under_thread_sanitizer(void)
{
    if (THREAD_SANITIZED) {
        print_message("ThreadSanitizer takes the threads of a forked child for its parent's\n");
        skip();
    }
}

/* Is pid (still) one of our programs, and not another process that has got its number since? */
static bool is_fixture(int pid)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/%d/exe", pid);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return false;
    path[size] = 0;
    const char *folder = fixture_path("");
    char real[PATH_MAX];
    return realpath(folder, real) && strncmp(path, real, strlen(real)) == 0;
}

static void kill_fixtures(void)
{
    for (int i = 0; i < fixture_count; i++) {
        struct fixture *fixture = fixtures[i];
        if (fixture->is_child) {
            if (!fixture->reaped)
                kill(-fixture->pid, SIGKILL);
        } else if (is_fixture(fixture->pid)) {
            kill(fixture->pid, SIGKILL);
        }
    }
}

static void too_long(int number)
{
    static const char text[] = "the test hangs\n";
    (void)number;
    if (write(2, text, sizeof text - 1) < 0)
        _exit(2);
    kill_fixtures();
    _exit(1);
}

static void print_log(enum rein_log_level level, const char *line, void *arg)
{
    (void)arg;
    dprintf(2, "%.6f %d %s\n", now(), (int)level, line);
}

void send_to(int pid, int id, int number, int value)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = number;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = value;
    assert_int_equal(syscall(SYS_rt_tgsigqueueinfo, pid, id, number, &info), 0);
}

void set_log(struct rein_monitor_options *options)
{
    const char *level = getenv("REIN_LOG");
    options->log_level = level ? (enum rein_log_level)atoi(level) : REIN_LOG_NONE;
    options->log = level ? print_log : NULL;
    options->flags = getenv("REIN_STEP_OVER") ? REIN_MONITOR_STEP_OVER : 0;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* ThreadSanitizer starts a thread of its own with the program's first: before threads are counted. */
static void start_checkers_thread(void)
{
    pthread_t thread;
    if (THREAD_SANITIZED && pthread_create(&thread, NULL, do_nothing, NULL) == 0)
        pthread_join(thread, NULL);
}

int live_slow(void)
{
    const char *text = getenv("REIN_SLOW");
    int factor = text ? atoi(text) : 1;
    return factor > 0 ? factor : 1;
}

int live_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, too_long);
    alarm((getenv("WRAPPER") ? 10u : 1u) * TEST_LIMIT_S * (unsigned)live_slow()); /* script/test: under valgrind, say */
    fixture_path(""); /* before the first count of descriptors */
    start_checkers_thread();
    threads_before = count_threads();
    descriptors_before = count_descriptors();
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    options.kind = monitor_kind();
    options.interrupt_signal = SIGRTMIN + 9; /* of no other use here; the monitor process does not need it */
    set_log(&options);
    if (rein_monitor_create(&options, &monitor) != 0) {
        print_error("rein_monitor_create: %s\n", rein_error_message());
        return 1;
    }
    return 0;
}

static int complain(const char *what, int before, int after)
{
    print_error("%s: %d before the test, %d after it\n", what, before, after);
    return 1;
}

static int count_children(void)
{
    siginfo_t info;
    info.si_pid = 0;
    return waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == 0;
}

int live_teardown(void **state)
{
    int result = 0;
    (void)state;
    for (int i = later_count; i-- > 0;)
        later[i].give_back(later[i].what);
    later_count = 0;
    if (rein_monitor_close(monitor) != 0) {
        print_error("rein_monitor_close: %s\n", rein_error_message());
        result = 1;
    }
    monitor = NULL;
    kill_fixtures();
    for (int i = 0; i < fixture_count; i++) {
        struct fixture *fixture = fixtures[i];
        /* Of a monitor in this process, what it starts is a child of this process; it may have been reaped by it. */
        if (fixture->keeper)
            waitpid(fixture->keeper, NULL, 0), close(fixture->statuses);
        else if (fixture->is_child ? !fixture->reaped : monitor_kind() != REIN_MONITOR_PROCESS)
            waitpid(fixture->pid, NULL, 0);
        rein_process_unref(fixture->process);
        if (fixture->in >= 0)
            close(fixture->in);
        if (fixture->out >= 0)
            close(fixture->out);
        free(fixture->said);
        free(fixture);
    }
    fixture_count = 0;
    /* A thread that has been joined may be seen for a moment more. */
    for (double limit = now() + LIMIT_S; count_threads() > threads_before && now() < limit;)
        sleep_ms(1);
    if (count_threads() != threads_before)
        result = complain("threads", threads_before, count_threads());
    if (count_descriptors() != descriptors_before)
        result = complain("descriptors", descriptors_before, count_descriptors());
    if (count_children() != 0) {
        result = complain("children", 0, count_children());
        while (waitpid(-1, NULL, WNOHANG) > 0) { /* so that the next test does not complain, too */
        }
    }
    alarm(0);
    return result;
}

static void at_end(void (*give_back)(void *), void *what)
{
    assert_true(later_count < LATER_MAX);
    later[later_count].give_back = give_back;
    later[later_count++].what = what;
}

static void unref_thread(void *thread)
{
    rein_thread_unref(thread);
}

static void unref_breakpoint(void *breakpoint)
{
    rein_breakpoint_unref(breakpoint);
}

static void unref_process(void *process)
{
    rein_process_unref(process);
}

static void free_registers(void *registers)
{
    rein_registers_free(registers);
}

static void free_event(void *event)
{
    rein_event_clear(event);
    free(event);
}

void later_free(void *memory)
{
    at_end(free, memory);
}

void later_unref_thread(rein_thread *thread)
{
    at_end(unref_thread, thread);
}

void later_unref_breakpoint(rein_breakpoint *breakpoint)
{
    at_end(unref_breakpoint, breakpoint);
}

static void unref_watchpoint(void *watchpoint)
{
    rein_watchpoint_unref(watchpoint);
}

void later_unref_watchpoint(rein_watchpoint *watchpoint)
{
    at_end(unref_watchpoint, watchpoint);
}

void later_unref_process(rein_process *process)
{
    at_end(unref_process, process);
}

void later_free_registers(rein_registers *registers)
{
    at_end(free_registers, registers);
}

/* ---- rein's answers ---- */

void support_assert_result(int result, int expected, const char *call, const char *file, int line)
{
    if (result == expected)
        return;
    print_error("%s: %s (%s) instead of %s\n", call, rein_error_name(result), rein_error_message(),
                rein_error_name(expected));
    _fail(file, line);
}

void support_assert_fails(int result, const char *call, const char *file, int line)
{
    if (result < 0 && *rein_error_message())
        return;
    print_error("%s: %s (%s), but should fail with a message\n", call, rein_error_name(result), rein_error_message());
    _fail(file, line);
}

void support_assert_says(const char *text, const char *words, const char *file, int line)
{
    if (text && strstr(text, words))
        return;
    print_error("\"%s\" does not say \"%s\"\n", text ? text : "(null)", words);
    _fail(file, line);
}

void support_assert_state(rein_thread *thread, enum rein_state expected, const char *file, int line)
{
    enum rein_state state = REIN_STATE_COUNT;
    support_assert_result(rein_thread_state(thread, &state), 0, "rein_thread_state", file, line);
    if (state == expected)
        return;
    print_error("thread %d is %s, not %s\n", rein_thread_id(thread), rein_state_name(state), rein_state_name(expected));
    _fail(file, line);
}

void support_assert_word(rein_word value, rein_word expected, const char *text, const char *file, int line)
{
    if (value == expected)
        return;
    print_error("%s is %#" PRIx64 ", not %#" PRIx64 "\n", text, value, expected);
    _fail(file, line);
}

/* ---- programs ---- */

const char *fixture_path(const char *name)
{
    static char path[PATH_MAX];
    const char *folder = getenv("REIN_FIXTURES");
    if (folder) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
    } else {
        char self[PATH_MAX / 2];
        ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
        self[size > 0 ? size : 0] = 0;
        char *slash = strrchr(self, '/');
        if (slash)
            *slash = 0;
        snprintf(path, sizeof path, "%s/../fixtures/%s", self, name);
    }
    return path;
}

/* Some programs are made of x86's instructions, and of no use elsewhere. */
static void skip_if_not_built(const char *name)
{
    if (access(fixture_path(name), X_OK) == 0)
        return;
    print_message("%s is not built for this architecture\n", name);
    skip();
}

static struct fixture *new_fixture(const char *name, int ends[2])
{
    skip_if_not_built(name);
    struct fixture *fixture = calloc(1, sizeof *fixture);
    int in[2], out[2];
    assert_non_null(fixture);
    assert_true(fixture_count < FIXTURES_MAX);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    snprintf(fixture->name, sizeof fixture->name, "%s", name);
    fixture->in = in[1];
    fixture->out = out[0];
    fixture->said = calloc(1, 1);
    ends[0] = in[0];
    ends[1] = out[1];
    return fixture;
}

/* -1 when it failed. */
static int fork_program(const char *path, char *const argv[], const int ends[2], bool waits)
{
    int parent = getpid();
    int child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(126);
        setpgid(0, 0);
        signal(SIGPIPE, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        dup2(ends[0], 0);
        dup2(ends[1], 1);
        if (waits)
            setenv("FIXTURE_WAIT", "1", 1);
        execv(path, argv);
        _exit(127);
    }
    if (child > 0)
        setpgid(child, child); /* both do it, so that it is done for both */
    return child;
}

/* The parent in between: tells the program's id, and every status. */
static void keep(const char *path, char *const argv[], const int ends[2], bool waits, int report)
{
    int status = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int child = fork_program(path, argv, ends, waits);
    for (int fd = 3; fd < 1000; fd++) {
        if (fd != report)
            close(fd);
    }
    if (write(report, &child, sizeof child) != sizeof child)
        _exit(1);
    while (waitpid(child, &status, WUNTRACED | WCONTINUED) == child) {
        if (write(report, &status, sizeof status) != sizeof status || WIFEXITED(status) || WIFSIGNALED(status))
            break;
    }
    _exit(0);
}

static struct fixture *start_v(const char *name, bool waits, va_list arguments)
{
    char *argv[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t)name};
    for (int i = 1; i < ARGUMENTS_MAX && (argv[i] = va_arg(arguments, char *)); i++) {
    }
    int ends[2];
    struct fixture *fixture = new_fixture(name, ends);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", fixture_path(name));
    fixture->is_child = true;
    if (monitor_kind() == REIN_MONITOR_PROCESS) {
        fixture->pid = fork_program(path, argv, ends, waits);
        assert_true(fixture->pid > 0);
    } else {
        int report[2];
        assert_int_equal(pipe2(report, O_CLOEXEC), 0);
        fixture->keeper = fork();
        assert_true(fixture->keeper >= 0);
        if (fixture->keeper == 0)
            keep(path, argv, ends, waits, report[1]);
        close(report[1]);
        fixture->statuses = report[0];
        assert_int_equal(read(fixture->statuses, &fixture->pid, sizeof fixture->pid), sizeof fixture->pid);
    }
    close(ends[0]);
    close(ends[1]);
    fixtures[fixture_count++] = fixture;
    return fixture;
}

struct fixture *start(const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    struct fixture *fixture = start_v(name, false, arguments);
    va_end(arguments);
    return fixture;
}

struct fixture *start_waiting(const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    struct fixture *fixture = start_v(name, true, arguments);
    va_end(arguments);
    expect_said(fixture, "ready");
    return fixture;
}

struct fixture *start_ready(const char *name, ...)
{
    va_list arguments;
    va_start(arguments, name);
    struct fixture *fixture = start_v(name, false, arguments);
    va_end(arguments);
    expect_said(fixture, "ready");
    return fixture;
}

struct fixture *spawn_with(rein_monitor *on, const struct rein_spawn_options *options, const char *name,
                           char *const argv[])
{
    int ends[2];
    struct fixture *fixture = new_fixture(name, ends);
    int fds[3] = {ends[0], ends[1], 2};
    int result = rein_spawn(on, fixture_path(name), argv, NULL, NULL, fds, 3, options, &fixture->process);
    close(ends[0]);
    close(ends[1]);
    if (result != 0) {
        print_error("rein_spawn of %s: %s\n", name, rein_error_message());
        fail();
    }
    fixture->pid = rein_process_id(fixture->process);
    fixtures[fixture_count++] = fixture;
    return fixture;
}

struct fixture *spawn(const char *name, ...)
{
    char *argv[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t)name};
    va_list arguments;
    va_start(arguments, name);
    for (int i = 1; i < ARGUMENTS_MAX && (argv[i] = va_arg(arguments, char *)); i++) {
    }
    va_end(arguments);
    return spawn_with(monitor, NULL, name, argv);
}

rein_process *attach(struct fixture *fixture)
{
    rein_process *process = NULL;
    assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
    assert_non_null(process);
    if (fixture->process)
        later_unref_process(process);
    else
        fixture->process = process;
    return process;
}

rein_process *attach_running(struct fixture *fixture)
{
    struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
    rein_process *process = NULL;
    options.flags = REIN_ATTACH_RUNNING;
    assert_ok(rein_attach(monitor, fixture->pid, &options, &process));
    assert_non_null(process);
    if (fixture->process)
        later_unref_process(process);
    else
        fixture->process = process;
    return process;
}

void tell(struct fixture *fixture)
{
    if (write(fixture->in, "", 1) != 1)
        assert_int_equal(errno, EPIPE); /* it has ended, and need not be told */
}

static void give_turn(void);

/* Takes what there is to read, waiting for it at most until limit. False at the end of the file. */
static bool read_some(struct fixture *fixture, double limit)
{
    if (fixture->out < 0)
        return false;
    struct pollfd out = {.fd = fixture->out, .events = POLLIN};
    int ms = (int)((limit - now()) * 1000);
    if (poll(&out, 1, ms > 0 ? ms : 0) <= 0)
        return true;
    fixture->said = realloc(fixture->said, fixture->said_size + 4097);
    assert_non_null(fixture->said);
    ssize_t size = read(fixture->out, fixture->said + fixture->said_size, 4096);
    if (size > 0)
        fixture->said_size += (size_t)size;
    fixture->said[fixture->said_size] = 0;
    if (size <= 0) {
        close(fixture->out);
        fixture->out = -1;
    }
    return size > 0;
}

static const char *find_said(struct fixture *fixture, const char *beginning)
{
    static char rest[4096];
    size_t size = strlen(beginning);
    for (const char *line = fixture->said; *line;) {
        const char *end = strchr(line, '\n');
        if (!end)
            break;
        if (strncmp(line, beginning, size) == 0) {
            snprintf(rest, sizeof rest, "%.*s", (int)(end - line - (ptrdiff_t)size), line + size);
            return rest;
        }
        line = end + 1;
    }
    return NULL;
}

const char *has_said(struct fixture *fixture, const char *beginning)
{
    for (size_t before = SIZE_MAX; before != fixture->said_size && fixture->out >= 0;) {
        before = fixture->said_size;
        read_some(fixture, 0);
    }
    return find_said(fixture, beginning);
}

/* For who reads why it hangs: where each thread of it and of its children is, and in which system call. */
static void show_threads(int pid)
{
    char list[256] = "", children[64];
    snprintf(children, sizeof children, "/proc/%d/task/%d/children", pid, pid);
    int children_fd = open(children, O_RDONLY | O_CLOEXEC);
    if (children_fd >= 0 && read(children_fd, list, sizeof list - 1) > 0) {
        for (char *at = list, *end; strtol(at, &end, 10) > 0; at = end)
            show_threads((int)strtol(at, NULL, 10));
    }
    close(children_fd);

    int ids[16];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count && i < sizeof ids / sizeof *ids; i++) {
        static const char *const files[] = {"stat", "syscall", "wchan", "status"};
        for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
            char path[64], text[2048] = "";
            snprintf(path, sizeof path, "/proc/%d/task/%d/%s", pid, ids[i], files[k]);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
                snprintf(text, sizeof text, "cannot be read: %s", strerror(errno));
            close(fd);
            print_message("%s: %s\n", path, text);
        }
    }
}

const char *expect_said(struct fixture *fixture, const char *beginning)
{
    for (double limit = now() + LIMIT_S;;) {
        const char *rest = find_said(fixture, beginning);
        if (rest)
            return rest;
        give_turn();
        if (!read_some(fixture, monitor_kind() == REIN_MONITOR_LENT ? now() + 0.001 : limit) || now() > limit) {
            show_threads(fixture->pid);
            fail_msg("%s (%d) has not said \"%s\" but:\n%s", fixture->name, fixture->pid, beginning, fixture->said);
        }
    }
}

uint64_t said_count(struct fixture *fixture, const char *name)
{
    char beginning[128];
    snprintf(beginning, sizeof beginning, "count %s ", name);
    return strtoull(expect_said(fixture, beginning), NULL, 10);
}

int said_id(struct fixture *fixture, const char *name)
{
    char beginning[128];
    snprintf(beginning, sizeof beginning, "id %s ", name);
    return atoi(expect_said(fixture, beginning));
}

rein_word said_address(struct fixture *fixture, const char *name)
{
    char beginning[128];
    snprintf(beginning, sizeof beginning, "address %s ", name);
    return strtoull(expect_said(fixture, beginning), NULL, 16);
}

void read_to_end(struct fixture *fixture)
{
    for (double limit = now() + LIMIT_S;
         read_some(fixture, monitor_kind() == REIN_MONITOR_LENT ? now() + 0.001 : limit);) {
        give_turn();
        if (now() > limit)
            fail_msg("%s (%d) does not end", fixture->name, fixture->pid);
    }
}

/* A lent monitor works only in a call. */
static void give_turn(void)
{
    for (int i = 0; monitor_kind() == REIN_MONITOR_LENT && i < fixture_count; i++) {
        if (fixtures[i]->process)
            rein_process_wait(fixtures[i]->process, 1);
    }
}

/* As waitpid with WNOHANG, of what its keeper has told. */
static int next_status(struct fixture *fixture, int options, int *status)
{
    struct pollfd in = {.fd = fixture->statuses, .events = POLLIN};
    while (poll(&in, 1, 0) == 1) {
        if (read(fixture->statuses, status, sizeof *status) != sizeof *status)
            return -1;
        if ((WIFSTOPPED(*status) && !(options & WUNTRACED)) || (WIFCONTINUED(*status) && !(options & WCONTINUED)))
            continue;
        return fixture->pid;
    }
    return 0;
}

int wait_for(struct fixture *fixture, int options, int *status)
{
    assert_true(fixture->is_child && !fixture->reaped);
    for (double limit = now() + LIMIT_S;;) {
        int got = 0;
        int id = fixture->keeper ? next_status(fixture, options, &got) : waitpid(fixture->pid, &got, options | WNOHANG);
        if (id < 0)
            fail_msg("waitpid for %s (%d): %s", fixture->name, fixture->pid, strerror(errno));
        if (id == fixture->pid && (WIFEXITED(got) || WIFSIGNALED(got))) {
            fixture->reaped = true;
            fixture->status = got;
        }
        if (id == fixture->pid && status)
            *status = got;
        if (id == fixture->pid || (options & WNOHANG))
            return id;
        if (now() > limit)
            fail_msg("waitpid for %s (%d) tells nothing", fixture->name, fixture->pid);
        give_turn();
        read_some(fixture, now() + 0.001);
    }
}

void assert_ends(struct fixture *fixture, int status)
{
    for (double limit = now() + LIMIT_S; !fixture->reaped && wait_for(fixture, WNOHANG, NULL) == 0;) {
        if (now() > limit)
            fail_msg("%s (%d) does not end; it has said:\n%s", fixture->name, fixture->pid, fixture->said);
        give_turn();
        read_some(fixture, now() + 0.001);
    }
    read_to_end(fixture);
    int ended = WIFSIGNALED(fixture->status) ? -WTERMSIG(fixture->status) : WEXITSTATUS(fixture->status);
    if (ended != status)
        fail_msg("%s ended with %d, not %d; it had said:\n%s", fixture->name, ended, status, fixture->said);
    if (!find_said(fixture, "ok "))
        fail_msg("%s did not say ok but:\n%s", fixture->name, fixture->said);
}

void assert_ends_traced(struct fixture *fixture, int status)
{
    for (double limit = now() + LIMIT_S;;) {
        int result = rein_process_wait(fixture->process, LIMIT_MS);
        if (result == REIN_EXITED)
            break;
        assert_ok(result);
        assert_true(now() < limit);
        assert_ok(rein_process_continue(fixture->process));
    }
    struct rein_exit how;
    assert_ok(rein_process_exit(fixture->process, &how));
    read_to_end(fixture);
    int ended = how.signaled ? -how.signal : how.status;
    if (ended != status)
        fail_msg("%s ended with %d, not %d; it had said:\n%s", fixture->name, ended, status, fixture->said);
    if (!find_said(fixture, "ok "))
        fail_msg("%s did not say ok but:\n%s", fixture->name, fixture->said);
}

/* ---- symbols ---- */

struct image {
    unsigned char *bytes;
    size_t size;
};

static struct image open_image(const char *name)
{
    struct image image;
    struct stat status;
    int fd = open(fixture_path(name), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0)
        fail_msg("%s: %s", fixture_path(name), strerror(errno));
    image.size = (size_t)status.st_size;
    image.bytes = mmap(NULL, image.size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(image.bytes, MAP_FAILED);
    close(fd);
    return image;
}

static const void *at(const struct image *image, uint64_t offset)
{
    assert_true(offset < image->size);
    return image->bytes + offset;
}

/* True and its value, if there is such a symbol. For both kinds of ELF. */
#define FIND_SYMBOL(bits)                                                                                              \
    static bool find_symbol_##bits(const struct image *image, const char *symbol, rein_word *value)                    \
    {                                                                                                                  \
        const Elf##bits##_Ehdr *header = at(image, 0);                                                                 \
        const Elf##bits##_Shdr *sections = at(image, header->e_shoff);                                                 \
        for (int i = 0; i < header->e_shnum; i++) {                                                                    \
            if (sections[i].sh_type != SHT_SYMTAB)                                                                     \
                continue;                                                                                              \
            const Elf##bits##_Sym *symbols = at(image, sections[i].sh_offset);                                         \
            const char *names = at(image, sections[sections[i].sh_link].sh_offset);                                    \
            for (size_t k = 0; k < sections[i].sh_size / sizeof *symbols; k++) {                                       \
                if (symbols[k].st_shndx != SHN_UNDEF && strcmp(names + symbols[k].st_name, symbol) == 0) {             \
                    *value = symbols[k].st_value;                                                                      \
                    return true;                                                                                       \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        return false;                                                                                                  \
    }
FIND_SYMBOL(32)
FIND_SYMBOL(64)

static bool find_symbol(const struct image *image, const char *symbol, rein_word *value)
{
    const unsigned char *ident = at(image, 0);
    assert_memory_equal(ident, ELFMAG, SELFMAG);
    return (ident[EI_CLASS] == ELFCLASS32 ? find_symbol_32 : find_symbol_64)(image, symbol, value);
}

rein_word symbol_value(const char *name, const char *symbol)
{
    struct image image = open_image(name);
    rein_word value = 0;
    bool found = find_symbol(&image, symbol, &value);
    munmap(image.bytes, image.size);
    if (!found)
        fail_msg("%s has no symbol %s", name, symbol);
    return value;
}

/* Where the file's first page is in that process; 0 for a program that is not position-independent. */
static rein_word base_of(const char *name, int pid)
{
    struct image image = open_image(name);
    const Elf64_Ehdr *header = at(&image, 0);
    bool moves = header->e_type == ET_DYN; /* at the same place in ELF of 32 bits */
    munmap(image.bytes, image.size);
    if (!moves)
        return 0;
    char path[64], line[PATH_MAX + 128], real[PATH_MAX];
    assert_non_null(realpath(fixture_path(name), real));
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        fail_msg("%s: %s", path, strerror(errno));
    rein_word base = 0;
    while (base == 0 && fgets(line, sizeof line, maps)) {
        uint64_t start, offset;
        if (strstr(line, real) && sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64, &start, &offset) == 2 && offset == 0)
            base = start;
    }
    fclose(maps);
    if (base == 0)
        fail_msg("%s does not show %s", path, real);
    return base;
}

rein_word address_in(const char *name, int pid, const char *symbol)
{
    return base_of(name, pid) + symbol_value(name, symbol);
}

rein_word address_of(const struct fixture *fixture, const char *symbol)
{
    return address_in(fixture->name, fixture->pid, symbol);
}

/* ---- running under rein ---- */

rein_thread *first_thread(rein_process *process)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_true(count > 0);
    rein_thread *thread = rein_thread_ref(threads[0]);
    rein_thread_list_free(threads, count);
    later_unref_thread(thread);
    return thread;
}

rein_thread *thread_of(rein_process *process, int id)
{
    rein_thread *thread = NULL;
    assert_ok(rein_process_thread(process, id, &thread));
    later_unref_thread(thread);
    return thread;
}

size_t thread_count(rein_process *process)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    assert_ok(rein_process_threads(process, &threads, &count));
    rein_thread_list_free(threads, count);
    return count;
}

int register_index(const rein_registers *registers, const char *name)
{
    char narrow[16];
    snprintf(narrow, sizeof narrow, "%s", name);
    bool wide = *name == 'r' || strncmp(name, "orig_r", 6) == 0;
    if (wide && strcmp(rein_registers_architecture(registers), "i386") == 0)
        *strrchr(narrow, 'r') = 'e';
    return rein_registers_index(registers, narrow);
}

size_t word_size(const rein_process *process)
{
    return strcmp(rein_process_architecture(process), "i386") == 0 ? 4 : 8;
}

rein_word word_at(rein_process *process, rein_word address)
{
    rein_word word = 0;
    assert_ok(rein_process_read(process, address, &word, word_size(process), NULL));
    return word;
}

void skip_if_32_bit(const rein_process *process, const char *reason)
{
    if (word_size(process) == 8)
        return;
    print_message("a 32-bit program: %s\n", reason);
    skip();
}

int number_in(const rein_process *process, long number)
{
    static const struct {
        long here;
        int narrow;
    } numbers[] = {
        {SYS_getpid, 20}, {SYS_gettid, 224}, {SYS_getppid, 64}, {SYS_pause, 29},       {SYS_pipe2, 331},
        {SYS_read, 3},    {SYS_write, 4},    {SYS_close, 6},    {SYS_nanosleep, 162},  {SYS_poll, 168},
        {SYS_futex, 240}, {SYS_kill, 37},    {SYS_lseek, 19},   {SYS_exit_group, 252}, {SYS_exit, 1},
        {SYS_mmap, 192},  {SYS_prctl, 172},  {100000, 100000}, /* there is none */
    };
#if defined(__i386__) /* whose own call of that name takes its arguments in memory */
    if (number == SYS_mmap)
        return SYS_mmap2;
#endif
    if (word_size(process) == sizeof(long))
        return (int)number;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].here == number)
            return numbers[i].narrow;
    fail_msg("call %ld is not in the table", number);
    return -1;
}

rein_word first_argument_of(rein_thread *thread)
{
    uint32_t word = 0;
    if (word_size(rein_thread_process(thread)) == 8)
        return register_of(thread, FIRST_ARGUMENT);
    assert_ok(rein_thread_read(thread, register_of(thread, STACK_POINTER) + 4, &word, sizeof word, NULL));
    return word;
}

rein_word register_of(rein_thread *thread, const char *name)
{
    rein_registers *registers = NULL;
    rein_word value = 0;
    assert_ok(rein_thread_registers(thread, &registers));
    int index = register_index(registers, name);
    assert_true(index >= 0);
    assert_ok(rein_registers_get(registers, index, &value));
    rein_registers_free(registers);
    return value;
}

void set_register_of(rein_thread *thread, const char *name, rein_word value)
{
    rein_registers *registers = NULL;
    assert_ok(rein_thread_registers(thread, &registers));
    assert_ok(rein_registers_set(registers, register_index(registers, name), value));
    rein_registers_free(registers);
}

rein_word pc_of(rein_thread *thread)
{
    rein_registers *registers = NULL;
    rein_word value = 0;
    assert_ok(rein_thread_registers(thread, &registers));
    assert_ok(rein_registers_pc(registers, &value));
    rein_registers_free(registers);
    return value;
}

void set_pc_of(rein_thread *thread, rein_word pc)
{
    rein_registers *registers = NULL;
    assert_ok(rein_thread_registers(thread, &registers));
    assert_ok(rein_registers_set_pc(registers, pc));
    rein_registers_free(registers);
}

enum rein_cause_kind cause_of(rein_thread *thread)
{
    struct rein_cause cause;
    assert_ok(rein_thread_cause(thread, &cause));
    enum rein_cause_kind kind = cause.kind;
    rein_cause_clear(&cause);
    return kind;
}

enum rein_state state_of(rein_thread *thread)
{
    enum rein_state state = REIN_STATE_COUNT;
    assert_ok(rein_thread_state(thread, &state));
    return state;
}

rein_breakpoint *add_breakpoint(rein_process *process, rein_word pc)
{
    rein_breakpoint *breakpoint = NULL;
    assert_ok(rein_process_add_breakpoint(process, pc, NULL, &breakpoint));
    later_unref_breakpoint(breakpoint);
    return breakpoint;
}

enum rein_verdict go_on(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    (void)thread, (void)breakpoint, (void)arg;
    return REIN_VERDICT_GO_ON;
}

rein_breakpoint *count_at(rein_process *process, rein_word pc)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = go_on;
    assert_ok(rein_process_add_breakpoint(process, pc, &options, &breakpoint));
    later_unref_breakpoint(breakpoint);
    return breakpoint;
}

void set_policy(rein_process *process, enum rein_policy policy)
{
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, policy));
}

void run_to_stop(rein_process *process)
{
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_wait(process, LIMIT_MS));
}

/* The thread that is stopped for that kind of cause, counted. */
static rein_thread *stopped_for(rein_process *process, enum rein_cause_kind kind)
{
    rein_thread **threads = NULL, *found = NULL;
    size_t count = 0;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count && !found; i++) {
        struct rein_cause cause;
        if (rein_thread_cause(threads[i], &cause) != 0)
            continue;
        if (cause.kind == kind)
            found = rein_thread_ref(threads[i]);
        rein_cause_clear(&cause);
    }
    rein_thread_list_free(threads, count);
    return found;
}

rein_thread *run_to(rein_process *process, enum rein_cause_kind kind)
{
    for (double limit = now() + LIMIT_S; now() < limit;) {
        run_to_stop(process);
        rein_thread *thread = stopped_for(process, kind);
        if (thread) {
            later_unref_thread(thread);
            return thread;
        }
    }
    fail_msg("no thread stopped because of %s", rein_cause_name(kind));
    return NULL;
}

struct rein_event *expect_event(rein_process *process, enum rein_cause_kind kind)
{
    struct rein_event *event = calloc(1, sizeof *event);
    assert_non_null(event);
    int result = rein_process_next_event(process, LIMIT_MS, event);
    if (result != 0) {
        free(event);
        fail_msg("no %s, but %s: %s", rein_cause_name(kind), rein_error_name(result), rein_error_message());
    }
    at_end(free_event, event);
    if (event->cause.kind != kind) {
        char text[128];
        rein_cause_text(&event->cause, text, sizeof text);
        fail_msg("event is \"%s\", not of kind \"%s\"", text, rein_cause_name(kind));
    }
    return event;
}

void assert_no_event(rein_process *process)
{
    struct rein_event event;
    int result = rein_process_next_event(process, 0, &event);
    if (result == 0) {
        char text[128];
        rein_cause_text(&event.cause, text, sizeof text);
        rein_event_clear(&event);
        fail_msg("there is an event: %s", text);
    }
    assert_error(result, REIN_TIMEOUT);
}

/* A SIGTRAP that stopped a thread is the program's own here, and goes to it. */
static void deliver_own_traps(rein_process *process)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++) {
        struct rein_cause cause;
        if (rein_thread_cause(threads[i], &cause) != 0)
            continue;
        if (cause.kind == REIN_CAUSE_SIGNAL && cause.signal.number == SIGTRAP)
            assert_ok(rein_thread_set_signal(threads[i], SIGTRAP));
        rein_cause_clear(&cause);
    }
    rein_thread_list_free(threads, count);
}

void run_to_end(rein_process *process)
{
    for (;;) {
        int result = rein_process_continue(process);
        if (result == REIN_EXITED)
            return;
        assert_ok(result);
        result = rein_process_wait(process, LIMIT_MS);
        if (result == REIN_EXITED)
            return;
        assert_ok(result);
        deliver_own_traps(process);
    }
}

int64_t inject(rein_thread *thread, rein_word pc, int number, rein_word first, rein_word second, rein_word third,
               rein_word fourth, rein_word fifth)
{
#if defined(__aarch64__)
    static const char *const names[] = {"x8", "x0", "x1", "x2", "x3", "x4", "x5", "pc"};
#else
    static const char *const names[] = {"rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", "rip"};
#endif
    const rein_word with[] = {(rein_word)number, first, second, third, fourth, fifth, 0, pc};
    rein_registers *before = NULL, *during = NULL, *after = NULL;
    rein_word saved[64], result = 0;
    assert_ok(rein_thread_registers(thread, &before));
    size_t count = (size_t)rein_registers_count(before);
    assert_true(count <= sizeof saved / sizeof *saved);
    assert_ok(rein_registers_get_all(before, saved, count));
    assert_ok(rein_thread_registers(thread, &during));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_ok(rein_registers_set(during, rein_registers_index(during, names[i]), with[i]));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_word(pc_of(thread), pc + SYSCALL_INSTRUCTION_SIZE);
    assert_ok(rein_thread_registers(thread, &after));
    assert_ok(rein_registers_get(after, rein_registers_index(after, RESULT_REGISTER), &result));
    assert_ok(rein_registers_set_all(after, saved, count));
    rein_registers_free(before);
    rein_registers_free(during);
    rein_registers_free(after);
    return (int64_t)result;
}

/* ---- looking without rein ---- */

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void sleep_ms(int ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

char proc_state(int pid, int id)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, id ? id : pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return 0;
    text[size] = 0;
    const char *end = strrchr(text, ')');
    return end ? end[2] : 0;
}

int proc_tracer(int pid, int id)
{
    char path[64], line[256];
    int tracer = -1;
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, id ? id : pid);
    FILE *status = fopen(path, "re");
    if (!status)
        return -1;
    while (fgets(line, sizeof line, status) && sscanf(line, "TracerPid: %d", &tracer) != 1) {
    }
    fclose(status);
    return tracer;
}

static int compare_ids(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

/* One reading of the list; *whole: it is as long as the process's number of threads was all the time. */
static size_t read_threads(DIR *tasks, int *ids, size_t size, bool *whole)
{
    struct stat before = {.st_nlink = 0}, after = {.st_nlink = 0};
    size_t count = 0;
    rewinddir(tasks);
    fstat(dirfd(tasks), &before);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.')
            continue;
        if (count < size)
            ids[count] = atoi(entry->d_name);
        count++;
    }
    *whole = fstat(dirfd(tasks), &after) != 0 || (before.st_nlink == count + 2 && after.st_nlink == count + 2);
    return count;
}

/* The kernel ends the list at a thread that goes while it is listed, so it is read again then. */
size_t proc_threads(int pid, int *ids, size_t size)
{
    char path[64];
    size_t count = 0;
    bool whole = false;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        return 0;
    for (int tries = 0; !whole && tries < 100; tries++)
        count = read_threads(tasks, ids, size, &whole);
    closedir(tasks);
    if (ids)
        qsort(ids, count < size ? count : size, sizeof *ids, compare_ids);
    return count;
}

void await_state(int pid, int id, char state)
{
    for (double limit = now() + LIMIT_S; proc_state(pid, id) != state;) {
        if (now() > limit)
            fail_msg("%d/%d is in state %c, not %c", pid, id, proc_state(pid, id), state);
        sleep_ms(1);
    }
}

void await_asleep(atomic_int *id)
{
    for (double limit = now() + LIMIT_S; atomic_load(id) == 0; sleep_ms(1))
        assert_true(now() < limit);
    await_state(getpid(), atomic_load(id), 'S');
    sleep_ms(5); /* a lock that it had to wait for was given back */
    await_state(getpid(), atomic_load(id), 'S');
}

void support_assert_free(int pid, const char *file, int line)
{
    int ids[4096];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count && i < sizeof ids / sizeof *ids; i++) {
        char state = proc_state(pid, ids[i]);
        int tracer = proc_tracer(pid, ids[i]);
        /* One that has just ended is traced until its tracer has looked at it. */
        for (double limit = now() + LIMIT_S; state == 'Z' && tracer > 0 && now() < limit; sleep_ms(1)) {
            state = proc_state(pid, ids[i]);
            tracer = proc_tracer(pid, ids[i]);
        }
        if (state != 't' && state != 'T' && tracer <= 0)
            continue;
        print_error("thread %d of %d: state %c, tracer %d\n", ids[i], pid, state, tracer);
        _fail(file, line);
    }
}

size_t raw_read(int pid, rein_word address, void *buffer, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t done = pread(fd, buffer, size, (off_t)address);
    close(fd);
    return done > 0 ? (size_t)done : 0;
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return -1;
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

int count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

int count_threads(void)
{
    return count_entries("/proc/self/task");
}
