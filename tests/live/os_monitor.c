/* The monitor process and thread (src/os/linux/monitor_process.c): that it is what it should be, that the
 * host does not notice it and is not hindered by it, and that it notices the host's death, whatever that is.
 * Contract rows M1, M2, M8, M10. No fixture: where a host has to die it is a fork of this test. What a
 * monitor that has outlived its host has to say, it writes into memory that it shares with the test, which is
 * its parent then (PR_SET_CHILD_SUBREAPER). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/linux/linux.h"
#include "sanitized.h"

#define NOBODY 65534

/* What a host, its monitor and the test tell each other, across the host's death. */
static struct shared {
    atomic_int monitor; /* its process id, when it is up */
    atomic_int ready;   /* the host has come to where it is to die */
    atomic_int stop;    /* for loop(): end */
    atomic_int turns;   /* of loop() */
    atomic_int dead;    /* loop() has seen that the host is */
    atomic_int emergency;
    atomic_int handled, handled_by; /* signal handlers of the host: how often, in which process */
    atomic_int exits;               /* atexit functions run */
    atomic_int passed;              /* what the host checked itself was right */
    atomic_int tracee;
    _Atomic int64_t noticed_at;
    _Atomic(struct os_waiter *) waiter;
} * shared;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_us(long us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

/* Waits until the number is at least `least`, 10 seconds at most. */
static bool await(atomic_int *number, int least)
{
    for (int i = 0; i < 100000 && atomic_load(number) < least; i++)
        sleep_us(100);
    return atomic_load(number) >= least;
}

/* waitpid with a limit: 0 when nothing came of it in 10 seconds. */
static int await_child(int id, int *status, int options)
{
    int result = 0;
    for (int i = 0; i < 10000 && !(result = waitpid(id, status, options | WNOHANG)); i++)
        sleep_us(1000);
    return result;
}

/* A field of /proc/ID/status: "State:", "SigBlk:". */
static void status_field(int id, const char *name, char value[64])
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", id);
    value[0] = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (!strncmp(line, name, strlen(name)))
            sscanf(line + strlen(name), "%63s", value);
    }
    if (file)
        fclose(file);
}

static bool field_becomes(int id, const char *name, const char *wanted)
{
    char value[64];
    for (int i = 0; i < 5000; i++) {
        status_field(id, name, value);
        if (!strcmp(value, wanted))
            return true;
        sleep_us(1000);
    }
    return false;
}

/* ---- A monitor and a host ---- */

/* What the engine's loop is, without the engine. */
static struct os_waiter *loop(void)
{
    struct os_waiter *waiter;
    if (linux_waiter_create(REIN_MONITOR_PROCESS, NULL, NULL, NULL, &waiter))
        return NULL;
    atomic_store(&shared->waiter, waiter);
    atomic_store(&shared->monitor, linux_self_process());
    struct os_event event;
    while (!linux_host_is_dead() && !atomic_load(&shared->stop)) {
        while (linux_waiter_next(waiter, &event) == 1) {
        }
        linux_waiter_sleep(waiter, -1, OS_CALM_NOT);
        atomic_fetch_add(&shared->turns, 1);
    }
    if (linux_host_is_dead()) {
        atomic_store(&shared->noticed_at, now_us());
        atomic_store(&shared->dead, 1);
    }
    return waiter;
}

struct job { /* the argument of body and ended */
    void (*run)(struct job *job);
    atomic_int ended, killed, ended_in;
    struct os_waiter *waiter; /* may be woken until body has been joined, so is freed after */
    void *_Atomic forget;     /* a handle, to be given back in ended */
};

static void body(void *arg)
{
    struct job *job = arg;
    job->run(job);
}

static void note_end(void *arg, bool killed)
{
    struct job *job = arg;
    atomic_store(&job->killed, killed);
    atomic_store(&job->ended_in, linux_self_process());
    if (atomic_load(&job->forget))
        linux_monitor_forget(atomic_load(&job->forget));
    atomic_fetch_add(&job->ended, 1);
}

static void run_loop(struct job *job)
{
    job->waiter = loop();
}

static void shared_reset(void)
{
    memset((void *)shared, 0, sizeof *shared);
}

static int setup(void **state)
{
    (void)state;
    shared_reset();
    return 0;
}

/* script/test-sanitizers valgrind: a process that shares memory is beyond valgrind. */
static bool thread_only(void)
{
    const char *only = getenv("REIN_MONITOR");
    return only && !strcmp(only, "thread");
}

static struct job *start(enum rein_monitor_kind kind, void (*run)(struct job *job), void **handle)
{
    static struct job job;
    memset((void *)&job, 0, sizeof job);
    job.run = run;
    void *ignored;
    int error = linux_monitor_start(kind, body, note_end, &job, handle ? handle : &ignored);
    if (error) {
        fprintf(stderr, "monitor_start: %s\n", strerror(-error));
        return NULL;
    }
    return &job;
}

static void stop_loop(void *handle)
{
    assert_true(await(&shared->monitor, 1));
    atomic_store(&shared->stop, 1);
    assert_int_equal(linux_waiter_wake(atomic_load(&shared->waiter)), 0);
    linux_monitor_join(handle);
    linux_waiter_destroy(atomic_load(&shared->waiter));
}

/* A host with a monitor that does `run`; then it does `host` and waits to be killed. Its id. */
static int fork_host(void (*run)(struct job *job), void (*host)(void))
{
    shared_reset();
    int pid = fork();
    assert_true(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* of the test */
    if (!start(REIN_MONITOR_PROCESS, run, NULL) || !await(&shared->monitor, 1))
        _exit(99);
    host();
    for (;;)
        pause();
}

static void host_waits(void)
{
    atomic_store(&shared->ready, 1);
}

static void kill_host(int host)
{
    int status;
    kill(host, SIGKILL);
    assert_int_equal(waitpid(host, &status, 0), host);
}

/* The monitor of a dead host has ended, by itself. */
static int monitor_status(void)
{
    int status = 0, monitor = atomic_load(&shared->monitor);
    assert_int_equal(await_child(monitor, &status, __WALL), monitor);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* ---- What it is ---- */

static struct looked {
    int process, thread, parent, group, error;
    void *errno_at;
    char name[64], mask[64];
    bool allocated, cpu_known, told_dead;
} looked;

static void run_look(struct job *job)
{
    (void)job;
    looked.process = linux_self_process();
    looked.thread = linux_self_thread();
    looked.parent = getppid();
    linux_monitor_leave_group();
    looked.group = getpgid(0);
    looked.errno_at = &errno;
    prctl(PR_GET_NAME, looked.name);
    status_field(looked.process, "SigBlk:", looked.mask);
    char *memory = malloc(100000);
    looked.allocated = memory != NULL;
    free(memory);
    errno = 4321;
    sleep_us(1000);
    looked.error = errno;
    looked.told_dead = linux_host_is_dead();
    /* What the C library says of the CPU is where this process runs, not where the keeper slept. */
    looked.cpu_known = true;
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET((size_t)cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        looked.cpu_known &= sched_getcpu() == cpu;
    }
}

static void test_process_is_one(void **state)
{
    (void)state;
    void *handle;
    struct job *job = start(REIN_MONITOR_PROCESS, run_look, &handle);
    assert_non_null(job);
    linux_monitor_join(handle);
    assert_int_equal(job->ended, 1);
    assert_int_equal(job->killed, 0);
    assert_int_equal(job->ended_in, getpid());
    assert_int_not_equal(looked.process, getpid());
    assert_int_equal(looked.process, looked.thread);
    assert_int_equal(looked.parent, getpid());
    assert_int_equal(looked.group, looked.process);
    assert_ptr_not_equal(looked.errno_at, &errno);
    assert_string_equal(looked.name, "rein-monitor");
    /* All but SIGALRM (14), SIGPROF (27) and SIGPWR (30); SIGKILL and SIGSTOP cannot be. 32 and 33 are. */
    assert_string_equal(looked.mask, "ffffffffdbfbdeff");
    assert_true(looked.allocated && looked.cpu_known);
    assert_int_equal(looked.error, 4321);
    assert_false(looked.told_dead);
}

static void test_thread_is_one(void **state)
{
    (void)state;
    void *handle;
    int group = getpgid(0);
    struct job *job = start(REIN_MONITOR_THREAD, run_look, &handle);
    assert_non_null(job);
    linux_monitor_join(handle);
    assert_int_equal(job->ended, 1);
    assert_int_equal(job->killed, 0);
    assert_int_equal(looked.process, getpid());
    assert_int_not_equal(looked.thread, getpid());
    assert_int_equal(looked.group, group);
    assert_int_equal(getpgid(0), group);
    assert_string_equal(looked.name, "rein-monitor");
    assert_true(looked.allocated && looked.cpu_known);
    assert_false(looked.told_dead);
}

static void on_signal(int number)
{
    (void)number;
    atomic_store(&shared->handled_by, getpid());
    atomic_fetch_add(&shared->handled, 1);
}

static void handle_signal(int number)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void test_host_has_no_child(void **state)
{
    (void)state;
    void *handle;
    handle_signal(SIGCHLD);
    for (int i = 0; i < 200; i++) {
        shared_reset();
        assert_non_null(start(REIN_MONITOR_PROCESS, run_loop, &handle));
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
        stop_loop(handle);
        assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
        assert_int_equal(errno, ECHILD);
        assert_int_equal(shared->handled, 0);
    }
    signal(SIGCHLD, SIG_DFL);
}

static void test_nothing_is_left(void **state)
{
    (void)state;
    DIR *directory = opendir("/proc/self/task");
    int before = 0, after = 0;
    while (readdir(directory))
        before++;
    for (int i = 0; i < 50; i++) {
        void *handle;
        assert_non_null(start(i % 2 && !thread_only() ? REIN_MONITOR_PROCESS : REIN_MONITOR_THREAD, run_look, &handle));
        linux_monitor_join(handle);
    }
    for (int i = 0; i < 1000; i++) {
        rewinddir(directory);
        after = 0;
        while (readdir(directory))
            after++;
        if (after == before)
            break;
        sleep_us(1000); /* joined is not yet gone */
    }
    closedir(directory);
    assert_int_equal(before, after);
}

static void test_several_at_once(void **state)
{
    (void)state;
    enum { COUNT = 8 };
    struct job jobs[COUNT];
    void *handles[COUNT];
    memset((void *)jobs, 0, sizeof jobs);
    for (int i = 0; i < COUNT; i++) {
        jobs[i].run = run_loop;
        assert_int_equal(linux_monitor_start(REIN_MONITOR_PROCESS, body, note_end, &jobs[i], &handles[i]), 0);
    }
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < COUNT; i++) { /* without a wake: at the latest after their idle look */
        linux_monitor_join(handles[i]);
        assert_int_equal(jobs[i].ended, 1);
        linux_waiter_destroy(jobs[i].waiter);
    }
}

static void run_nothing(struct job *job)
{
    while (!atomic_load(&job->forget))
        sleep_us(100);
}

static void test_forget(void **state)
{
    (void)state;
    for (int kind = thread_only() ? REIN_MONITOR_THREAD : REIN_MONITOR_PROCESS; kind <= REIN_MONITOR_THREAD; kind++) {
        void *handle;
        struct job *job = start((enum rein_monitor_kind)kind, run_nothing, &handle);
        assert_non_null(job);
        atomic_store(&job->forget, handle); /* given back in ended, on the thread that join would wait for */
        assert_true(await(&job->ended, 1));
        sleep_us(20000);
    }
}

static void test_killed(void **state)
{
    (void)state;
    void *handle;
    struct job *job = start(REIN_MONITOR_PROCESS, run_loop, &handle);
    assert_non_null(job);
    assert_true(await(&shared->monitor, 1));
    assert_int_equal(linux_waiter_wake(shared->waiter), 0);
    assert_true(await(&shared->turns, 1));
    sleep_us(50000); /* it sleeps: only then does a wake have anybody to miss */
    assert_int_equal(kill(shared->monitor, SIGKILL), 0);
    linux_monitor_join(handle);
    assert_int_equal(job->ended, 1);
    assert_int_equal(job->killed, 1);
    assert_int_equal(linux_waiter_wake(shared->waiter), -ESRCH);
    linux_waiter_destroy(shared->waiter);
}

static void test_start_fails(void **state)
{
    (void)state;
    if (geteuid())
        skip();
    shared_reset();
    int status, pid = fork();
    if (!pid) { /* two processes: this and the keeper */
        struct rlimit limit = {2, 2};
        struct job job = {.run = run_loop};
        void *handle;
        if (setuid(NOBODY) || setrlimit(RLIMIT_NPROC, &limit))
            _exit(1);
        int error = linux_monitor_start(REIN_MONITOR_PROCESS, body, note_end, &job, &handle);
        _exit(error == -EAGAIN && !job.ended ? 0 : 2);
    }
    assert_int_equal(await_child(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- What it does not mind, and what does not mind it ---- */

static void host_in_group(void)
{
    handle_signal(SIGINT);
    handle_signal(SIGUSR1);
    atomic_store(&shared->ready, 1);
}

/* Signals to the host's group, which is the monitor's too before its first attach, run no handler in it nor
 * end it. */
static void test_signals_to_the_group(void **state)
{
    (void)state;
    static const int numbers[] = {SIGINT, SIGUSR1};
    int before = getpgid(0);
    setpgid(0, 0); /* a session leader has one already */
    assert_int_equal(getpgid(0), getpid());
    signal(SIGINT, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    int host = fork_host(run_loop, host_in_group);
    assert_true(await(&shared->ready, 1));
    for (int i = 0; i < 2; i++) {
        kill(0, numbers[i]);
        assert_true(await(&shared->handled, i + 1));
        assert_int_equal(shared->handled_by, host);
    }
    sleep_us(20000);
    assert_int_equal(shared->handled, 2);
    assert_int_equal(kill(shared->monitor, 0), 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    kill_host(host);
    assert_int_equal(monitor_status(), 0);
    setpgid(0, before);
}

/* Its own signals, when they come from someone else, are not the host's death. */
static void test_signals_from_others(void **state)
{
    (void)state;
    static const int numbers[] = {SIGPWR, SIGALRM, SIGTERM, SIGCONT, SIGCHLD, SIGHUP, 32, 33, 34};
    int host = fork_host(run_loop, host_waits);
    assert_true(await(&shared->ready, 1));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(kill(shared->monitor, numbers[i]), 0);
        sleep_us(2000);
    }
    sleep_us(50000);
    assert_int_equal(shared->dead, 0);
    assert_int_equal(kill(shared->monitor, 0), 0);
    kill_host(host);
    assert_int_equal(monitor_status(), 0);
}

/* A keeper in vfork's sleep could not be stopped: the host would never be. */
static void test_host_can_be_stopped(void **state)
{
    (void)state;
    int status = 0, host = fork_host(run_loop, host_waits);
    assert_true(await(&shared->ready, 1));
    setpgid(host, host);
    for (int i = 0; i < 2; i++) {
        kill(i ? -host : host, i ? SIGTSTP : SIGSTOP);
        assert_int_equal(await_child(host, &status, WUNTRACED), host);
        assert_true(WIFSTOPPED(status));
        assert_true(field_becomes(host, "State:", "T"));
        kill(host, SIGCONT);
        assert_int_equal(await_child(host, &status, WCONTINUED), host);
        assert_true(WIFCONTINUED(status));
        assert_true(field_becomes(host, "State:", "S"));
    }
    assert_int_equal(shared->dead, 0);
    kill_host(host);
    assert_int_equal(monitor_status(), 0);
}

/* Nor could it be attached to: as gdb -p and LeakSanitizer do with all threads. */
static void test_host_can_be_attached(void **state)
{
    (void)state;
    int host = fork_host(run_loop, host_waits), count = 0, status;
    assert_true(await(&shared->ready, 1));
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", host);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        int id = atoi(entry->d_name);
        if (id <= 0)
            continue;
        count++;
        assert_int_equal(ptrace(PTRACE_ATTACH, id, NULL, NULL), 0);
        assert_int_equal(await_child(id, &status, __WALL), id);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(ptrace(PTRACE_DETACH, id, NULL, NULL), 0);
    }
    closedir(directory);
    assert_true(count >= 2);
    assert_int_equal(shared->dead, 0);
    kill_host(host);
    assert_int_equal(monitor_status(), 0);
}

static bool wakes_soon(void)
{
    int64_t begin = now_us();
    for (int i = 0; i < 20; i++) {
        int turns = atomic_load(&shared->turns);
        if (linux_waiter_wake(atomic_load(&shared->waiter)) || !await(&shared->turns, turns + 1))
            return false;
    }
    return now_us() - begin < 10000000; /* by itself it wakes once a second */
}

static void host_sets_user(void)
{
    /* glibc has every thread do it, the keeper too, and waits for that. */
    int user = geteuid() ? (int)getuid() : NOBODY;
    bool passed = !setuid((uid_t)user) && (int)getuid() == user;
    atomic_store(&shared->passed, passed && wakes_soon());
    atomic_store(&shared->ready, 1);
}

/* In another session too, no signal reaches the monitor. */
static void host_sets_user_and_session(void)
{
    bool passed = setsid() > 0 && !setuid(NOBODY);
    passed &= linux_waiter_wake(atomic_load(&shared->waiter)) == -EPERM;
    passed &= linux_waiter_wake(atomic_load(&shared->waiter)) == -EPERM;
    atomic_store(&shared->passed, passed);
    atomic_store(&shared->ready, 1);
}

/* The host's setuid ends, and afterwards requests still arrive, and its death is still noticed, though the
 * kernel does not tell (a second later). */
static void test_host_can_change_user(void **state)
{
    (void)state;
    for (int i = 0; i < (geteuid() ? 1 : 2); i++) {
        int host = fork_host(run_loop, i ? host_sets_user_and_session : host_sets_user);
        assert_true(await(&shared->ready, 1));
        assert_int_equal(shared->passed, 1);
        kill_host(host);
        assert_true(await(&shared->dead, 1));
        assert_int_equal(monitor_status(), 0);
    }
}

static void host_forks(void)
{
    handle_signal(SIGCHLD);
    int status = 1, pid = fork();
    if (!pid)
        _exit(waitpid(-1, NULL, 0) == -1 && errno == ECHILD ? 0 : 1);
    bool passed = waitpid(-1, &status, 0) == pid && status == 0;
    pid = vfork();
    if (!pid)
        _exit(0);
    passed &= waitpid(-1, &status, 0) == pid && status == 0;
    passed &= waitpid(-1, &status, 0) == -1 && errno == ECHILD;
    sleep_us(10000);
    passed &= atomic_load(&shared->handled) == 2 && wakes_soon() && !atomic_load(&shared->dead);
    atomic_store(&shared->passed, passed);
    atomic_store(&shared->ready, 1);
}

static void test_host_can_fork(void **state)
{
    (void)state;
    int host = fork_host(run_loop, host_forks);
    assert_true(await(&shared->ready, 1));
    assert_int_equal(shared->passed, 1);
    assert_int_equal(kill(shared->monitor, 0), 0);
    kill_host(host);
    assert_int_equal(monitor_status(), 0);
}

/* Starts a program in a group, as spawn does, which stops itself, or ends. */
static int start_in_group(int group, bool stops)
{
    long id = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (!id) {
        setpgid(0, group);
        if (stops)
            syscall(SYS_kill, (int)syscall(SYS_getpid), SIGSTOP);
        syscall(SYS_exit_group, 0);
    }
    waitpid((int)id, NULL, WUNTRACED);
    return (int)id;
}

static void run_leave_and_see_an_end(struct job *job)
{
    (void)job;
    int group = getpgid(0);
    linux_monitor_leave_group();
    linux_monitor_will_spawn();
    start_in_group(group, false);
    start_in_group(group, false);
}

static void run_leave_and_start(struct job *job)
{
    (void)job;
    int group = getpgid(0);
    linux_monitor_leave_group();
    linux_monitor_will_spawn();
    atomic_store(&shared->tracee, start_in_group(group, true));
    start_in_group(group, false);
}

static void run_start_and_leave(struct job *job)
{
    (void)job;
    int group = getpgid(0);
    linux_monitor_will_spawn();
    atomic_store(&shared->tracee, start_in_group(group, true));
    linux_monitor_leave_group();
    start_in_group(group, false);
}

/* Without zombies. */
static int members_of(int group)
{
    int count = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        char value[64];
        int id = atoi(entry->d_name);
        if (id <= 0 || getpgid(id) != group)
            continue;
        status_field(id, "State:", value);
        count += value[0] && value[0] != 'Z' && value[0] != 'X';
    }
    if (processes)
        closedir(processes);
    return count;
}

/* A host that is a session's leader, as in CI, gets no SIGHUP though one in its group is stopped, a child of its own or a
 * program that the monitor has started: not when other such programs end, nor when the monitor ends and leaves a
 * stopped one behind. Nothing else is left in the group: M2. */
static void test_no_hangup(void **state)
{
    (void)state;
    void (*const orders[])(struct job *) = {run_leave_and_see_an_end, run_leave_and_start, run_start_and_leave};
    for (int i = 0; i < 3; i++) {
        shared_reset();
        int status, host = fork();
        if (!host) {
            void *handle;
            setsid();
            handle_signal(SIGHUP);
            if (i == 0)
                atomic_store(&shared->tracee, start_in_group(getpid(), true));
            if (!start(REIN_MONITOR_PROCESS, orders[i], &handle))
                _exit(99);
            linux_monitor_join(handle);
            sleep_us(50000);
            _exit(atomic_load(&shared->handled) ? 1 : members_of(getpid()) != 2 ? 2 : 0);
        }
        assert_int_equal(await_child(host, &status, 0), host);
        int child = atomic_load(&shared->tracee);
        kill(child, SIGKILL);
        assert_int_equal(await_child(child, NULL, __WALL), child);
        assert_int_equal(status, 0);
    }
}

static void run_anchored(struct job *job)
{
    int group = getpgid(0);
    linux_monitor_leave_group();
    linux_monitor_will_spawn();
    start_in_group(group, false);
    run_loop(job);
}

static bool members_become(int group, int count)
{
    for (int64_t limit = now_us() + 10000000; members_of(group) != count;) {
        if (now_us() > limit)
            return false;
        sleep_us(1000);
    }
    return true;
}

/* The anchor goes with a monitor that is killed, and with one whose host is. */
static void test_no_anchor_is_left(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        shared_reset();
        int host = fork();
        assert_true(host >= 0);
        if (!host) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            setsid();
            if (!start(REIN_MONITOR_PROCESS, run_anchored, NULL))
                _exit(99);
            for (;;)
                pause();
        }
        assert_true(await(&shared->monitor, 1));
        assert_true(members_become(host, 2));
        kill(i == 0 ? atomic_load(&shared->monitor) : host, SIGKILL);
        assert_true(members_become(host, i == 0 ? 1 : 0));
        kill_host(host);
        while (waitpid(-1, NULL, __WALL | WNOHANG) > 0) { /* what has been left to the test */
        }
    }
}

/* ---- The host's death ---- */

static int fork_tracee(void)
{
    int pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* Yama: the monitor is no ancestor of it */
        for (;;)
            pause();
    }
    return pid;
}

/* Holds a process, and lets it go when the host is dead. */
static void run_tracer(struct job *job)
{
    int tracee = atomic_load(&shared->tracee);
    if (linux_seize(tracee))
        return;
    job->waiter = loop();
    struct os_event event;
    if (!linux_interrupt(tracee)) {
        while (!linux_waiter_next_of(atomic_load(&shared->waiter), tracee, &event))
            sleep_us(100);
        linux_detach(tracee, 0);
    }
}

static int fork_tracing_host(void (*host)(void))
{
    shared_reset();
    int tracee = fork_tracee(), pid = fork();
    assert_true(tracee > 0 && pid >= 0);
    atomic_store(&shared->tracee, tracee);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!atomic_load(&shared->tracee))
        sleep_us(100);
    if (!start(REIN_MONITOR_PROCESS, run_tracer, NULL) || !await(&shared->monitor, 1))
        _exit(99);
    host();
    for (;;)
        pause();
}

static void check_let_go(void)
{
    int tracee = atomic_load(&shared->tracee), status;
    assert_true(await(&shared->dead, 1));
    assert_true(field_becomes(tracee, "TracerPid:", "0"));
    assert_true(field_becomes(tracee, "State:", "S"));
    assert_int_equal(waitpid(tracee, &status, WNOHANG), 0);
    kill(tracee, SIGKILL);
    assert_int_equal(waitpid(tracee, &status, 0), tracee);
}

static void test_host_killed_50_times(void **state)
{
    (void)state;
    /* ThreadSanitizer has locks of its own, taken by every atomic access and by a thread in the background. A
     * host that is killed often enough dies with one that the monitor wants: then the emergency ends it,
     * rightly. */
    if (THREAD_SANITIZED)
        skip();
    int64_t longest = 0, sum = 0;
    int quick = 0;
    for (int i = 0; i < 50; i++) {
        int host = fork_tracing_host(host_waits);
        assert_true(await(&shared->ready, 1));
        sleep_us(i % 7 * 300);
        int64_t killed_at = now_us();
        kill_host(host);
        check_let_go();
        assert_int_equal(monitor_status(), 0);
        int64_t took = shared->noticed_at - killed_at;
        sum += took;
        longest = took > longest ? took : longest;
        quick += took < 50000;
    }
    print_message("the monitor noticed after %lld us, at most %lld us\n", (long long)sum / 50, (long long)longest);
    assert_true(quick >= 15); /* by looking once a second it would be one in twenty */
}

static void count_exit(void)
{
    atomic_fetch_add(&shared->exits, 1);
}

/* LeakSanitizer, if there, stops all threads now; the keeper too. */
static void host_exits(void)
{
    atexit(count_exit);
    exit(0);
}

static void *exit_from_thread(void *arg)
{
    (void)arg;
    _exit(0);
}

static void host_exits_from_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, exit_from_thread, NULL);
}

static void *pthread_of_host_ends(void *arg)
{
    (void)arg;
    sleep_us(50000);
    atomic_store(&shared->passed, !atomic_load(&shared->dead)); /* its first thread has ended, it has not */
    _exit(0);
}

static void host_first_thread_ends(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, pthread_of_host_ends, NULL);
    pthread_exit(NULL);
}

static void test_host_exits(void **state)
{
    (void)state;
    void (*hosts[])(void) = {host_exits, host_exits_from_thread, host_first_thread_ends};
    for (int i = 0; i < 3; i++) {
        int status, host = fork_tracing_host(hosts[i]);
        assert_int_equal(await_child(host, &status, 0), host);
        assert_int_equal(status, 0);
        check_let_go();
        assert_int_equal(monitor_status(), 0);
        assert_int_equal(shared->exits, i == 0); /* not by the monitor */
    }
    assert_int_equal(shared->passed, 1);
}

static void host_crashes(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    char directory[] = "/tmp/os_monitor.XXXXXX";
    if (!mkdtemp(directory) || chdir(directory) || rmdir(directory))
        _exit(1);
    setrlimit(RLIMIT_CORE, &limit);
    prctl(PR_SET_DUMPABLE, 1);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

/* Linux 5.16 and later; before, whoever shares the memory is killed with it. */
static void test_host_crashes(void **state)
{
    (void)state;
    int status, host = fork_tracing_host(host_crashes);
    assert_int_equal(await_child(host, &status, 0), host);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    check_let_go();
    assert_int_equal(monitor_status(), 0);
}

static void host_executes(void)
{
    execl("/proc/self/exe", "os_monitor", "--executed", NULL);
    _exit(1);
}

/* The program that the host has executed: it has no child that it could notice. */
static int executed(void)
{
    sleep_us(300000);
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1;
}

static void test_host_executes(void **state)
{
    (void)state;
    int status, host = fork_tracing_host(host_executes);
    check_let_go();
    assert_int_equal(waitpid(host, &status, WNOHANG), 0); /* the host is another program now, and there */
    assert_int_equal(await_child(host, &status, 0), host);
    assert_int_equal(status, 0);
    assert_int_equal(monitor_status(), 0);
}

/* ---- The host dies with a lock ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int pipe_ends[2];

static void emergency(void *arg)
{
    if (arg != shared)
        return;
    atomic_store(&shared->noticed_at, now_us());
    int tracee = atomic_load(&shared->tracee);
    struct os_event event;
    if (tracee && !linux_interrupt(tracee)) {
        while (!linux_waiter_next_of(atomic_load(&shared->waiter), tracee, &event))
            sched_yield();
        linux_detach(tracee, 0);
    }
    atomic_store(&shared->emergency, 1);
    atomic_store(&shared->dead, 1);
}

static void run_stuck(struct job *job)
{
    (void)job;
    struct os_waiter *waiter;
    linux_seize(atomic_load(&shared->tracee));
    linux_waiter_create(REIN_MONITOR_PROCESS, NULL, NULL, NULL, &waiter);
    atomic_store(&shared->waiter, waiter);
    linux_monitor_set_emergency(emergency, shared);
    atomic_store(&shared->monitor, linux_self_process());
    while (!atomic_load(&shared->ready))
        sleep_us(100);
    char byte;
    if (atomic_load(&shared->passed))
        (void)!read(pipe_ends[0], &byte, 1); /* nor by a system call that would be restarted */
    pthread_mutex_lock(&lock);
}

static void run_stuck_without_emergency(struct job *job)
{
    (void)job;
    atomic_store(&shared->monitor, linux_self_process());
    linux_monitor_set_emergency(emergency, shared);
    linux_monitor_set_emergency(NULL, NULL);
    while (!atomic_load(&shared->ready))
        sleep_us(100);
    pthread_mutex_lock(&lock);
}

static void host_locks(void)
{
    pthread_mutex_lock(&lock);
    atomic_store(&shared->ready, 1);
}

static void test_emergency(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        shared_reset();
        assert_int_equal(pipe(pipe_ends), 0);
        int tracee = fork_tracee(), status, host = fork();
        if (!host) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            atomic_store(&shared->tracee, tracee);
            atomic_store(&shared->passed, i);
            start(REIN_MONITOR_PROCESS, run_stuck, NULL);
            if (!await(&shared->monitor, 1))
                _exit(99);
            host_locks();
            for (;;)
                pause();
        }
        assert_true(await(&shared->ready, 1));
        sleep_us(20000);
        int64_t killed_at = now_us();
        kill_host(host);
        check_let_go();
        assert_int_equal(shared->emergency, 1);
        assert_true(shared->noticed_at - killed_at > 500000); /* it had a second to end by itself */
        assert_int_equal(monitor_status(), 1);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        (void)status;
    }
}

static void test_emergency_not_given(void **state)
{
    (void)state;
    int host = fork_host(run_stuck_without_emergency, host_locks);
    assert_true(await(&shared->ready, 1));
    sleep_us(20000);
    kill_host(host);
    assert_int_equal(monitor_status(), 1);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--executed"))
        return executed();
    if (argc > 1) /* only these: a pattern */
        cmocka_set_test_filter(argv[1]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_thread_is_one, setup),
        cmocka_unit_test_setup(test_nothing_is_left, setup),
        cmocka_unit_test_setup(test_forget, setup),
    };
    const struct CMUnitTest process_tests[] = {
        cmocka_unit_test_setup(test_process_is_one, setup),
        cmocka_unit_test_setup(test_host_has_no_child, setup),
        cmocka_unit_test_setup(test_several_at_once, setup),
        cmocka_unit_test_setup(test_killed, setup),
        cmocka_unit_test_setup(test_start_fails, setup),
        cmocka_unit_test_setup(test_signals_to_the_group, setup),
        cmocka_unit_test_setup(test_signals_from_others, setup),
        cmocka_unit_test_setup(test_host_can_be_stopped, setup),
        cmocka_unit_test_setup(test_host_can_be_attached, setup),
        cmocka_unit_test_setup(test_host_can_change_user, setup),
        cmocka_unit_test_setup(test_host_can_fork, setup),
        cmocka_unit_test_setup(test_no_hangup, setup),
        cmocka_unit_test_setup(test_no_anchor_is_left, setup),
        cmocka_unit_test_setup(test_host_killed_50_times, setup),
        cmocka_unit_test_setup(test_host_exits, setup),
        cmocka_unit_test_setup(test_host_crashes, setup),
        cmocka_unit_test_setup(test_host_executes, setup),
        cmocka_unit_test_setup(test_emergency, setup),
        cmocka_unit_test_setup(test_emergency_not_given, setup),
    };
    int failed = cmocka_run_group_tests_name("os_monitor", tests, NULL, NULL);
    if (!thread_only())
        failed += cmocka_run_group_tests_name("os_monitor_process", process_tests, NULL, NULL);
    return failed;
}
