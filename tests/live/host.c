/* M2, M10: the host notices nothing. A program with children of its own, a SIGCHLD handler, threads, and a
 * waitpid(-1) loop in one of them, uses rein on several processes: it gets the SIGCHLDs and the statuses of its
 * own children, exactly those, and ECHILD when it has none; its signal actions and masks stay as they are; it can
 * fork, setuid, close all descriptors that it does not know. Programs: spin, sleepers, fork_loop, vfork_loop. */
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>

#include "apart.h"

#define SIGNALS 64
#define STRANGER 54321 /* a user that has no processes */

/* ---- What must not change ---- */

struct kernel_action { /* struct sigaction as the kernel has it */
    uint64_t handler;
    unsigned long flags;
    uint64_t restorer;
    uint64_t mask;
};

struct surroundings {
    struct kernel_action actions[SIGNALS + 1];
    int group, session;
    unsigned umask;
    char directory[4096];
};

static void note_surroundings(struct surroundings *now_are)
{
    memset(now_are, 0, sizeof *now_are);
    for (int number = 1; number <= SIGNALS; number++)
        apart_check(syscall(SYS_rt_sigaction, number, NULL, &now_are->actions[number], 8) == 0);
    now_are->group = getpgrp();
    now_are->session = getsid(0);
    now_are->umask = (unsigned)umask(022);
    umask((mode_t)now_are->umask);
    apart_check(getcwd(now_are->directory, sizeof now_are->directory) != NULL);
}

static void check_surroundings(const struct surroundings *before)
{
    struct surroundings after;
    note_surroundings(&after);
    for (int number = 1; number <= SIGNALS; number++) {
        if (memcmp(&before->actions[number], &after.actions[number], sizeof after.actions[number]) != 0)
            apart_fail(__FILE__, __LINE__, "a signal action has changed", rein_signal_name(number));
    }
    apart_check(memcmp(before, &after, sizeof after) == 0);
}

static void check_threads(int expected)
{
    for (double limit = now() + LIMIT_S; count_threads() > expected && now() < limit;)
        sleep_ms(1); /* one that has been joined may be seen for a moment more */
    int ids[64];
    size_t count = proc_threads(getpid(), ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; count != (size_t)expected && i < count; i++) {
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%d/comm", ids[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (read(fd, name, sizeof name - 1) > 0)
            dprintf(2, "thread %d: %s", ids[i], name);
        close(fd);
    }
    apart_check(count == (size_t)expected);
}

static uint64_t mask_of(int thread)
{
    char path[64], line[256];
    uint64_t mask = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
    FILE *status = fopen(path, "re");
    apart_check(status != NULL);
    while (fgets(line, sizeof line, status) && sscanf(line, "SigBlk: %" SCNx64, &mask) != 1) {
    }
    fclose(status);
    return mask;
}

/* The C library blocks signals for the length of a fork, so it may have to be looked at again. */
static void check_mask(int thread, uint64_t expected)
{
    for (double limit = now() + LIMIT_S; mask_of(thread) != expected && now() < limit;)
        sched_yield();
    apart_check(mask_of(thread) == expected);
}

/* ---- The host's own family ---- */

static struct {
    atomic_int child;               /* the one that lives now */
    atomic_uint signals;            /* SIGCHLDs for it */
    atomic_int foreign;             /* a SIGCHLD for another */
    atomic_uint statuses, children; /* taken by wait, made */
    atomic_bool stop;
    atomic_bool no_more; /* children; after stop, perhaps one more is born */
    sem_t born, reaped;
    int parent_thread, waiting_thread;
} family;

static void on_child(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    if (info->si_pid == atomic_load(&family.child))
        atomic_fetch_add(&family.signals, 1);
    else
        atomic_store(&family.foreign, info->si_pid);
}

static void *wait_for_children(void *arg)
{
    (void)arg;
    family.waiting_thread = (int)syscall(SYS_gettid);
    for (;;) {
        while (sem_wait(&family.born) < 0) {
        }
        if (atomic_load(&family.no_more))
            return NULL;
        for (int status = 0x7f; !WIFEXITED(status);) {
            int id = waitpid(-1, &status, WUNTRACED | WCONTINUED);
            apart_check(id == atomic_load(&family.child));
            apart_check(WIFSTOPPED(status) ? WSTOPSIG(status) == SIGSTOP
                                           : WIFCONTINUED(status) || WEXITSTATUS(status) == 7);
            atomic_fetch_add(&family.statuses, 1);
            if (WIFSTOPPED(status) || WIFCONTINUED(status))
                status = 0x7f; /* not the end */
        }
        /* Now there is no child, whatever rein does, and the wait says so at once. */
        siginfo_t info;
        apart_check(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
        apart_check(waitpid(-1, NULL, WNOHANG | WUNTRACED | WCONTINUED) == -1 && errno == ECHILD);
        apart_check(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == -1 &&
                    errno == ECHILD);
        sem_post(&family.reaped);
    }
}

static void await_signals(unsigned count)
{
    for (double limit = now() + LIMIT_S;
         atomic_load(&family.signals) < count || atomic_load(&family.statuses) < count;) {
        apart_check(now() < limit);
        sched_yield();
    }
    apart_check(atomic_load(&family.signals) == count);
    apart_check(atomic_load(&family.statuses) == count);
}

/* One child after the other. Each stops, is continued, and exits: three signals, and three statuses, of which none
 * can swallow another, because each step waits for those of the one before. */
static void *have_children(void *arg)
{
    (void)arg;
    family.parent_thread = (int)syscall(SYS_gettid);
    while (!atomic_load(&family.stop)) {
        int go[2];
        apart_check(pipe2(go, O_CLOEXEC) == 0);
        unsigned signals = atomic_load(&family.signals);
        int child = fork();
        apart_check(child >= 0);
        if (child == 0) {
            char byte;
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* it would stay behind, stopped, if the host fails */
            close(go[1]);                     /* else it would wait for itself, if the host ends too soon */
            /* The heap is in order, whatever the monitor was doing when we forked; but for the sanitizer's, which takes
             * no care of forks. */
            void *memory = ADDRESS_SANITIZED ? &family : malloc(1000);
            /* Not before the parent knows who we are: then its handler does. */
            if (read(go[0], &byte, 1) != 1 || !memory)
                _exit(8);
            if (!ADDRESS_SANITIZED)
                free(memory);
            kill(getpid(), SIGSTOP);
            _exit(read(go[0], &byte, 1) == 1 ? 7 : 8);
        }
        atomic_store(&family.child, child);
        atomic_fetch_add(&family.children, 1);
        sem_post(&family.born);
        apart_check(write(go[1], "1", 1) == 1);
        await_signals(signals + 1);
        apart_check(kill(child, SIGCONT) == 0);
        await_signals(signals + 2);
        apart_check(write(go[1], "2", 1) == 1);
        await_signals(signals + 3);
        while (sem_wait(&family.reaped) < 0) {
        }
        close(go[0]);
        close(go[1]);
    }
    atomic_store(&family.no_more, true);
    sem_post(&family.born);
    return NULL;
}

/* ---- What the host does with rein ---- */

struct victims {
    struct fixture *spin, *sleepers;
};

static enum rein_verdict count_event(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)thread, (void)cause;
    ++*(unsigned *)arg;
    return REIN_VERDICT_GO_ON;
}

static rein_process *take(rein_monitor *on, struct fixture *fixture)
{
    rein_process *process = NULL;
    apart_ok(rein_attach(on, fixture->pid, NULL, &process));
    return process;
}

static rein_breakpoint *count_hot(rein_process *process, rein_word pc)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL;
    options.callback = go_on;
    apart_ok(rein_process_add_breakpoint(process, pc, &options, &breakpoint));
    return breakpoint;
}

/* Stops it, looks at it, steps a thread, lets it run. */
static void disturb(rein_process *process)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    int result = rein_process_stop(process, 10000);
    apart_check(result == 0 || result == REIN_CANNOT_STOP);
    apart_ok(rein_process_threads(process, &threads, &count));
    apart_check(count > 0);
    for (size_t i = 0; i < count; i++) {
        rein_registers *registers = NULL;
        if (rein_thread_registers(threads[i], &registers) == 0) {
            rein_word pc;
            char code[8];
            apart_ok(rein_registers_pc(registers, &pc));
            rein_process_read(process, pc, code, sizeof code, NULL);
            rein_registers_free(registers);
        }
    }
    rein_thread_step(threads[0], 0, 20);
    rein_thread_list_free(threads, count);
    apart_ok(rein_process_continue(process));
    struct rein_event event;
    while (rein_process_next_event(process, 0, &event) == 0)
        rein_event_clear(&event);
}

/* A program from its start to its end under rein. */
static void run_through(rein_monitor *on, const char *name, unsigned *events)
{
    char *argv[] = {(char *)(uintptr_t)name, (char *)(uintptr_t) "2", (char *)(uintptr_t) "10", NULL};
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    rein_process *process = NULL;
    struct rein_exit how;
    options.flags = REIN_SPAWN_NULL_STDIO;
    apart_ok(rein_spawn(on, fixture_path(name), argv, NULL, NULL, NULL, 0, &options, &process));
    apart_ok(rein_process_set_callback(process, count_event, events));
    rein_breakpoint *breakpoint = count_hot(process, address_in(name, rein_process_id(process), "hot"));
    apart_ok(rein_process_continue(process));
    apart_error(rein_process_wait(process, 20000), REIN_EXITED);
    apart_ok(rein_process_exit(process, &how));
    apart_check(!how.signaled && how.status == 0);
    apart_check(rein_breakpoint_hits(breakpoint) > 0);
    rein_breakpoint_unref(breakpoint);
    rein_process_unref(process);
}

static void use_rein(const struct victims *victims, const struct surroundings *surroundings, double seconds)
{
    unsigned events = 0;
    rein_monitor *shared = NULL;
    apart_ok(rein_monitor_create(NULL, &shared));
    check_surroundings(surroundings);
    rein_process *spin = take(shared, victims->spin), *sleepers = take(NULL, victims->sleepers);
    rein_breakpoint *hot = count_hot(spin, address_of(victims->spin, "hot"));
    apart_ok(rein_process_set_callback(sleepers, count_event, &events));
    apart_ok(rein_process_continue(spin));
    apart_ok(rein_process_continue(sleepers));
    check_surroundings(surroundings);
    for (double end = now() + seconds; now() < end;) {
        disturb(spin);
        disturb(sleepers);
        run_through(shared, "fork_loop", &events);
        run_through(NULL, "vfork_loop", &events);
        check_surroundings(surroundings);
    }
    apart_check(rein_breakpoint_hits(hot) > 0);
    rein_breakpoint_unref(hot);
    apart_ok(rein_process_detach(sleepers, 0));
    rein_process_unref(sleepers);
    apart_ok(rein_monitor_close(shared));
    rein_process_unref(spin);
}

static void be_host(void *arg)
{
    const struct victims *victims = arg;
    struct surroundings surroundings;
    pthread_t parent, waiting;
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t some;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    apart_check(sigaction(SIGCHLD, &action, NULL) == 0);
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    sigaddset(&some, SIGRTMIN + 5);
    pthread_sigmask(SIG_BLOCK, &some, NULL);

    int descriptors = count_descriptors(), threads = count_threads();
    sem_init(&family.born, 0, 0);
    sem_init(&family.reaped, 0, 0);
    apart_check(pthread_create(&waiting, NULL, wait_for_children, NULL) == 0);
    apart_check(pthread_create(&parent, NULL, have_children, NULL) == 0);
    while (atomic_load(&family.statuses) < 3) /* all is going */
        sched_yield();
    note_surroundings(&surroundings);
    uint64_t mask = mask_of(getpid());
    apart_check(mask != 0);

    unsigned before = atomic_load(&family.children);
    use_rein(victims, &surroundings, 1.5);
    unsigned during = atomic_load(&family.children) - before;

    check_surroundings(&surroundings);
    check_mask(getpid(), mask);
    check_mask(family.parent_thread, mask);
    check_mask(family.waiting_thread, mask);
    atomic_store(&family.stop, true);
    pthread_join(parent, NULL);
    pthread_join(waiting, NULL);
    apart_check(during > 0);
    apart_check(atomic_load(&family.foreign) == 0);
    apart_check(atomic_load(&family.signals) == 3 * atomic_load(&family.children));
    apart_check(atomic_load(&family.statuses) == 3 * atomic_load(&family.children));
    apart_check(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    apart_check(count_descriptors() == descriptors);
    check_threads(threads);
    sem_destroy(&family.born);
    sem_destroy(&family.reaped);
}

static void M2_children_signals_and_waits_are_its_own(void **state)
{
    (void)state;
    skip_under_thread_sanitizer();
    if (monitor_kind() != REIN_MONITOR_PROCESS) /* the header says what the host gets then */
        skip();
    struct victims victims = {start_ready("spin", "4", NULL), start_ready("sleepers", "8", NULL)};
    apart_ends_well(apart(be_host, &victims), 40000);
    assert_unharmed(victims.spin, true);
    assert_unharmed(victims.sleepers, false);
    tell(victims.spin);
    tell(victims.sleepers);
    assert_ends(victims.spin, 0);
    assert_ends(victims.sleepers, 0);
}

/* ---- A tracee that is the host's own child ---- */

/* Its stops are the monitor's affair, its end is told to the host, once. */
static void M2_own_child_as_a_tracee(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "3", NULL);
    siginfo_t info;
    rein_process *process = attach(fixture);
    count_at(process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < 30; i++) {
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_int_equal(waitpid(-1, NULL, WNOHANG | WUNTRACED | WCONTINUED), 0);
        info.si_pid = 0;
        assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT), 0);
        assert_int_equal(info.si_pid, 0);
        assert_ok(rein_process_continue(process));
    }
    set_policy(process, REIN_IGNORE);
    tell(fixture);
    assert_ends(fixture, 0);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* ---- SIGCHLD ignored, everything blocked, all descriptors closed ---- */

static void be_careless_host(void *arg)
{
    struct fixture *fixture = arg;
    unsigned events = 0;
    sigset_t all;
    signal(SIGCHLD, SIG_IGN); /* its children are reaped by the kernel; the monitor must not care */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *mine = NULL;
    options.kind = monitor_kind();
    apart_ok(rein_monitor_create(&options, &mine));
    rein_process *process = take(mine, fixture);
    rein_breakpoint *hot = count_hot(process, address_of(fixture, "hot"));
    apart_ok(rein_process_continue(process));
    sleep_ms(20);
    disturb(process);
    /* As daemons do. The descriptor that rein keeps open for the memory goes with the others, and its number to
     * another file. */
    int mine_now[20];
    for (int fd = 3; fd < 1000; fd++)
        close(fd);
    for (size_t i = 0; i < sizeof mine_now / sizeof *mine_now; i++)
        apart_check((mine_now[i] = open("/dev/null", O_RDWR)) >= 0);
    disturb(process);
    disturb(process);
    signal(SIGCHLD, SIG_DFL); /* both are inherited, and the program wants its children's statuses */
    pthread_sigmask(SIG_UNBLOCK, &all, NULL);
    run_through(mine, "vfork_loop", &events);
    apart_check(rein_breakpoint_hits(hot) > 0);
    apart_ok(rein_process_remove_breakpoint(process, rein_breakpoint_pc(hot), REIN_BREAKPOINT_WHILE_RUNNING));
    apart_ok(rein_process_detach(process, 0));
    rein_breakpoint_unref(hot);
    rein_process_unref(process);
    apart_ok(rein_monitor_close(mine));
    for (size_t i = 0; i < sizeof mine_now / sizeof *mine_now; i++)
        apart_check(fcntl(mine_now[i], F_GETFD) >= 0); /* what is not rein's has not been closed by it */
}

static void M2_signals_ignored_and_blocked_descriptors_closed(void **state)
{
    (void)state;
    skip_under_thread_sanitizer();
    struct fixture *fixture = start_ready("spin", "3", NULL);
    apart_ends_well(apart(be_careless_host, fixture), 30000);
    assert_unharmed(fixture, true);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- fork ---- */

struct held {
    rein_process *process;
    rein_thread *thread;
    rein_breakpoint *breakpoint;
    struct fixture *fixture;
};

static void be_child_of_host(void *arg)
{
    const struct held *held = arg;
    char byte;
    rein_process *other = NULL;
    struct rein_event event;
    enum rein_state thread_state;
    apart_error(rein_process_stop(held->process, 1000), REIN_CLOSED);
    apart_check(strlen(rein_error_message()) > 10);
    apart_error(rein_process_continue(held->process), REIN_CLOSED);
    apart_error(rein_process_wait(held->process, 1000), REIN_CLOSED);
    apart_error(rein_process_wait(held->process, 0), REIN_CLOSED);
    apart_error(rein_process_next_event(held->process, 1000, &event), REIN_CLOSED);
    apart_error(rein_process_detach(held->process, 0), REIN_CLOSED);
    apart_error(rein_process_kill(held->process), REIN_CLOSED);
    apart_error(rein_thread_state(held->thread, &thread_state), REIN_CLOSED);
    apart_error(rein_thread_step(held->thread, 0, 1000), REIN_CLOSED);
    apart_error(rein_process_read(held->process, rein_breakpoint_pc(held->breakpoint), &byte, 1, NULL), REIN_CLOSED);
    apart_error(rein_attach(monitor, held->fixture->pid, NULL, &other), REIN_CLOSED);
    apart_error(rein_monitor_close(monitor), REIN_CLOSED);
    apart_check(rein_process_id(held->process) == held->fixture->pid); /* what needs no monitor can still be asked */
    apart_check(rein_breakpoint_hits(held->breakpoint) > 0);
    apart_check(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);

    /* A monitor of its own is another thing. */
    rein_monitor *mine = NULL;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    unsigned events = 0;
    options.kind = monitor_kind();
    apart_ok(rein_monitor_create(&options, &mine));
    apart_error(rein_attach(mine, held->fixture->pid, NULL, &other), REIN_ALREADY_TRACED);
    run_through(mine, "vfork_loop", &events);
    apart_ok(rein_monitor_close(mine));
}

static void M2_fork_in_the_host(void **state)
{
    (void)state;
    skip_under_thread_sanitizer();
    struct fixture *fixture = start_ready("spin", "3", NULL);
    struct held held = {.process = attach(fixture), .fixture = fixture};
    held.thread = first_thread(held.process);
    held.breakpoint = count_at(held.process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(held.process));
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(held.breakpoint) == 0 && now() < limit;)
        rein_process_wait(held.process, 5);
    apart_ends_well(apart(be_child_of_host, &held), 20000);
    /* What the child did, and its end, have changed nothing here. */
    uint64_t hits = rein_breakpoint_hits(held.breakpoint);
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(held.breakpoint) == hits && now() < limit;)
        rein_process_wait(held.process, 5);
    assert_true(rein_breakpoint_hits(held.breakpoint) > hits);
    assert_ok(rein_process_stop(held.process, LIMIT_MS));
    assert_ok(rein_process_detach(held.process, 0));
    assert_unharmed(fixture, true);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- setuid ---- */

static void *sleep_on(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void check_user(unsigned user)
{
    int ids[64];
    size_t count = proc_threads(getpid(), ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        char path[64], line[256];
        unsigned real = 0, effective = 0;
        snprintf(path, sizeof path, "/proc/self/task/%d/status", ids[i]);
        FILE *status = fopen(path, "re");
        if (!status)
            continue; /* gone */
        while (fgets(line, sizeof line, status) && sscanf(line, "Uid: %u %u", &real, &effective) != 2) {
        }
        fclose(status);
        apart_check(real == user && effective == user);
    }
}

/* setuid asks every thread of the process, rein's keeper too (nptl(7)). */
static void be_host_that_changes_user(void *arg)
{
    struct fixture *fixture = arg;
    unsigned user = getuid() == 0 ? STRANGER : getuid();
    pthread_t other;
    rein_monitor *first = NULL, *second = NULL;
    apart_check(pthread_create(&other, NULL, sleep_on, NULL) == 0);
    apart_ok(rein_monitor_create(NULL, &first));
    rein_process *process = take(first, fixture);
    rein_breakpoint *hot = count_hot(process, address_of(fixture, "hot"));
    apart_ok(rein_process_continue(process));
    sleep_ms(20);
    apart_check(setgid(user) == 0 && setuid(user) == 0);
    check_user(user);
    /* The monitor is still who it was. Asking it works, or is refused with a word, depending on whether it is
     * asleep. */
    for (int i = 0; i < 50; i++) {
        int result = rein_process_stop(process, 5000);
        if (result == REIN_NOT_PERMITTED)
            apart_check(strlen(rein_error_message()) > 10);
        else
            apart_ok(result);
        result = rein_process_continue(process);
        apart_check(result == 0 || result == REIN_NOT_PERMITTED);
    }
    apart_check(rein_breakpoint_hits(hot) > 0);
    /* One that is made now is the same user. */
    apart_ok(rein_monitor_create(NULL, &second));
    apart_ok(rein_monitor_close(second));
    check_user(user);
    /* Its exit lets the process go: the kernel may not tell the monitor, which sees it within a second. */
}

static void M2_setuid_in_the_host(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "3", NULL);
    apart_ends_well(apart(be_host_that_changes_user, fixture), 30000);
    await_free(fixture->pid, LIMIT_MS);
    assert_unharmed(fixture, true);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- The host's threads come and go ---- */

static void *attach_and_leave(void *arg)
{
    rein_process *process = NULL;
    apart_ok(rein_attach(NULL, *(int *)arg, NULL, &process));
    apart_ok(rein_process_continue(process));
    return process;
}

/* The thread that has made a monitor, and attached, is no one special: it may end. */
static void M1_the_thread_that_attached_ends(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "2", NULL);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *process = NULL;
        assert_int_equal(pthread_create(&thread, NULL, attach_and_leave, &fixture->pid), 0);
        assert_int_equal(pthread_join(thread, &process), 0);
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_int_equal(thread_count(process), 3);
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
    }
    assert_unharmed(fixture, true);
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        live_test(M2_children_signals_and_waits_are_its_own),
        live_test(M2_own_child_as_a_tracee),
        live_test(M2_signals_ignored_and_blocked_descriptors_closed),
        live_test(M2_fork_in_the_host),
        live_test(M2_setuid_in_the_host),
        live_test(M1_the_thread_that_attached_ends),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return live_main(tests);
}
