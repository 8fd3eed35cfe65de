/* M1 M2 M8 M10 M13: the monitor, and what its host notices of it. Programs: spin, sleepers, many_threads,
 * step_targets. */
#include "support.h"

#include <semaphore.h>
#include <sys/resource.h>

static rein_monitor *make(void)
{
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *made = NULL;
    options.kind = monitor_kind();
    assert_ok(rein_monitor_create(&options, &made));
    assert_non_null(made);
    return made;
}

/* ---- M1 ---- */

struct on_monitor {
    rein_process *process;
    rein_thread *thread;
    int process_id, thread_id, calls, wrong;
    rein_word sum;
};

static int look(void *arg)
{
    struct on_monitor *seen = arg;
    rein_registers *registers = NULL;
    seen->process_id = getpid();
    seen->thread_id = (int)syscall(SYS_gettid);
    seen->calls++;
    /* Atomic: a thread that is stopped cannot run on in between. */
    for (int i = 0; i < 50; i++) {
        rein_word pc;
        if (rein_thread_registers(seen->thread, &registers) != 0 || rein_registers_pc(registers, &pc) != 0 ||
            rein_registers_set_pc(registers, pc) != 0)
            seen->wrong++;
        rein_registers_free(registers);
    }
    if (rein_process_wait(seen->process, -1) != REIN_ON_MONITOR)
        seen->wrong++;
    return 77;
}

static int look_again(void *arg)
{
    return rein_monitor_call(monitor, look, arg); /* at once, being there already */
}

/* M1 */
static void M1_call(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    struct on_monitor seen = {.process = process, .thread = first_thread(process)};
    assert_int_equal(rein_monitor_call(monitor, look, &seen), 77);
    assert_int_equal(rein_monitor_call(monitor, look_again, &seen), 77);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(seen.wrong, 0);
    assert_int_equal(proc_tracer(fixture->pid, 0),
                     monitor_kind() == REIN_MONITOR_PROCESS ? seen.process_id : seen.thread_id);
    int id = rein_monitor_id(monitor);
    assert_int_equal(proc_tracer(fixture->pid, 0), id);
    if (monitor_kind() == REIN_MONITOR_PROCESS) {
        char path[64], name[32] = "";
        assert_int_not_equal(seen.process_id, getpid());
        snprintf(path, sizeof path, "/proc/%d/comm", id);
        FILE *comm = fopen(path, "re");
        assert_non_null(comm);
        assert_non_null(fgets(name, sizeof name, comm));
        fclose(comm);
        assert_string_equal(name, "rein-monitor\n");
    } else {
        assert_int_equal(seen.process_id, getpid());
        assert_int_equal(seen.thread_id == (int)syscall(SYS_gettid), monitor_kind() == REIN_MONITOR_LENT);
    }
}

struct worker {
    rein_process *process;
    rein_thread *thread;
    rein_word pc;
    atomic_bool *done;
    unsigned seed;
    int calls;
    char wrong[256];
};

/* Everything that may be asked of a process at any time; only errors that fit are allowed. */
static void *work(void *arg)
{
    struct worker *worker = arg;
    unsigned random = worker->seed;
    while (!atomic_load(worker->done) && !worker->wrong[0]) {
        int result, choice;
        rein_registers *registers = NULL;
        rein_thread **threads = NULL;
        rein_breakpoint **breakpoints = NULL;
        struct rein_cause cause;
        enum rein_state state;
        unsigned char bytes[64];
        size_t count = 0;
        char name[16];
        random = random * 1103515245 + 12345;
        choice = (int)(random >> 16) % 11;
        switch (choice) {
        case 0:
            result = rein_process_stop(worker->process, LIMIT_MS);
            break;
        case 1:
            result = rein_process_continue(worker->process);
            break;
        case 2:
            result = rein_thread_step(worker->thread, 0, LIMIT_MS);
            break;
        case 3:
            result = rein_thread_registers(worker->thread, &registers);
            if (result == 0) {
                rein_word pc;
                result = rein_registers_pc(registers, &pc);
            }
            rein_registers_free(registers);
            break;
        case 4:
            result = rein_process_read(worker->process, worker->pc, bytes, sizeof bytes, NULL);
            for (size_t i = 0; i < sizeof bytes; i++) {
                if (result == 0 && bytes[i] == 0xcc && i == 0)
                    snprintf(worker->wrong, sizeof worker->wrong, "a breakpoint was seen");
            }
            break;
        case 5:
            result = rein_process_threads(worker->process, &threads, &count);
            if (result == 0 && count != 4)
                snprintf(worker->wrong, sizeof worker->wrong, "%zu threads", count);
            rein_thread_list_free(threads, count);
            break;
        case 6:
            result = rein_process_breakpoints(worker->process, &breakpoints, &count);
            rein_breakpoint_list_free(breakpoints, count);
            break;
        case 7:
            result = rein_process_add_breakpoint(
                worker->process, worker->pc,
                &(struct rein_breakpoint_options){.size = sizeof(struct rein_breakpoint_options),
                                                  .flags = REIN_BREAKPOINT_WHILE_RUNNING,
                                                  .callback = go_on},
                NULL);
            break;
        case 8:
            result = rein_process_remove_breakpoint(worker->process, worker->pc, REIN_BREAKPOINT_WHILE_RUNNING);
            break;
        case 9:
            result = rein_thread_cause(worker->thread, &cause);
            if (result == 0)
                rein_cause_clear(&cause);
            break;
        default:
            result = rein_thread_state(worker->thread, &state);
            if (result == 0)
                result = rein_thread_name(worker->thread, name);
        }
        if (result != 0 && result != REIN_BAD_STATE && result != REIN_BREAKPOINT_EXISTS && result != REIN_NO_BREAKPOINT)
            snprintf(worker->wrong, sizeof worker->wrong, "choice %d: %s: %s", choice, rein_error_name(result),
                     rein_error_message());
        worker->calls++;
    }
    return NULL;
}

/* M1: any thread may call at any time. */
static void M1_calls_from_many_threads(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = attach(fixture);
    atomic_bool done = false;
    int spinner = 0, all[8];
    size_t alive = proc_threads(fixture->pid, all, 8);
    for (size_t i = 0; i < alive && i < 8; i++)
        spinner = all[i] != fixture->pid ? all[i] : spinner; /* a step of the leader would block, and with it a stop */
    struct worker workers[8];
    pthread_t ids[8];
    set_policy(process, REIN_IGNORE);
    for (int i = 0; i < 8; i++) {
        workers[i] = (struct worker){.process = process,
                                     .thread = thread_of(process, spinner),
                                     .done = &done,
                                     .pc = address_of(fixture, "hot"),
                                     .seed = (unsigned)i * 7919 + 1};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
    }
    sleep_ms(2000);
    atomic_store(&done, true);
    for (int i = 0; i < 8; i++) {
        /* A step or stop that another has continued before it was answered waits for the next stop, and the others may have
         * made their last. */
        while (pthread_tryjoin_np(ids[i], NULL) == EBUSY) {
            int result = rein_process_stop(process, 20); /* that may be continued, too */
            assert_true(result == 0 || result == REIN_TIMEOUT);
        }
        if (workers[i].wrong[0])
            fail_msg("%s", workers[i].wrong);
        assert_true(workers[i].calls > 20);
    }
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

static void *call_lent(void *arg)
{
    rein_process *process = arg;
    int results[3];
    results[0] = rein_process_stop(process, -1);
    results[1] = *rein_error_message() ? 0 : 1;
    results[2] = rein_process_cancel_wait(process);
    return (void *)(intptr_t)(results[0] == REIN_WRONG_THREAD && results[1] == 0 && results[2] == 0);
}

/* A lent monitor serves the thread that lent it only. */
static void M1_wrong_thread(void **state)
{
    (void)state;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *lent = NULL;
    rein_process *process = NULL;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    options.kind = REIN_MONITOR_LENT;
    assert_ok(rein_monitor_create(&options, &lent));
    int threads = count_threads();
    assert_ok(rein_attach(lent, fixture->pid, NULL, &process));
    later_unref_process(process);
    assert_int_equal(count_threads(), threads); /* there is nobody else */
    assert_int_equal(proc_tracer(fixture->pid, 0), (int)syscall(SYS_gettid));
    pthread_t id;
    void *good = NULL;
    assert_int_equal(pthread_create(&id, NULL, call_lent, process), 0);
    pthread_join(id, &good);
    assert_non_null(good);
    assert_error(rein_process_wait(process, 0), REIN_CANCELLED);
    assert_ok(rein_process_wait(process, 0));
    assert_ok(rein_monitor_close(lent));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* A monitor must not be used in a child that the host forks. */
static void M1_in_a_forked_child(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    int child = fork(), status;
    assert_true(child >= 0);
    if (child == 0) {
        rein_process *other = NULL;
        alarm(10);
        if (rein_process_stop(process, 1000) != REIN_CLOSED ||
            rein_attach(monitor, fixture->pid, NULL, &other) != REIN_CLOSED)
            _exit(1);
        _exit(*rein_error_message() ? 0 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(proc_tracer(fixture->pid, 0), rein_monitor_id(monitor)); /* nothing has happened to it */
    assert_ok(rein_process_continue(process));
    assert_ok(rein_process_detach(process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* One monitor, many processes. */
static void M1_many_processes(void **state)
{
    (void)state;
    struct fixture *fixtures[20];
    rein_breakpoint *breakpoints[20];
    for (int i = 0; i < 20; i++) {
        fixtures[i] = spawn("spin", "2", "30", NULL);
        breakpoints[i] = count_at(fixtures[i]->process, address_of(fixtures[i], "hot"));
        set_policy(fixtures[i]->process, REIN_IGNORE);
    }
    for (int i = 0; i < 20; i++)
        assert_ok(rein_process_continue(fixtures[i]->process));
    for (int i = 0; i < 20; i++) {
        assert_ends_traced(fixtures[i], 0);
        assert_int_equal(rein_breakpoint_hits(breakpoints[i]), 60);
    }
}

/* ---- M2 ---- */

static atomic_int child_signals, foreign_signals;
static int own_children[64];
static atomic_int own_count;

static void on_SIGCHLD(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    atomic_fetch_add(&child_signals, 1);
    for (int i = 0; i < own_count; i++) {
        if (own_children[i] == info->si_pid)
            return;
    }
    atomic_fetch_add(&foreign_signals, 1);
}

/* M2: a host with children of its own, a SIGCHLD handler and waitpid(-1): it sees its own, all of them, and no
 * others. */
static void M2_the_hosts_children(void **state)
{
    (void)state;
    struct sigaction action = {.sa_sigaction = on_SIGCHLD, .sa_flags = SA_SIGINFO | SA_RESTART}, before;
    struct fixture *fixture = spawn("many_threads", "60", "2", NULL);
    rein_process *process = fixture->process;
    int go[2], mine = 0;
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    own_count = 0;
    child_signals = foreign_signals = 0;
    sigaction(SIGCHLD, &action, &before);
    for (int i = 0; i < 8; i++) {
        int child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            char byte;
            _exit(read(go[0], &byte, 1) == 1 ? 10 + i : 1);
        }
        own_children[own_count++] = child;
    }
    add_breakpoint(process, address_of(fixture, "hot"));
    for (;;) { /* all-stop at everything */
        int status, id;
        assert_ok(rein_process_continue(process));
        int result = rein_process_wait(process, LIMIT_MS);
        if (mine < 8 && write(go[1], "", 1) == 1) {
            for (double limit = now() + LIMIT_S;;) {
                id = monitor_kind() == REIN_MONITOR_PROCESS ? waitpid(-1, &status, WNOHANG)
                                                            : waitpid(-getpgrp(), &status, WNOHANG);
                if (id != 0)
                    break;
                assert_true(now() < limit);
                sleep_ms(1);
            }
            bool known = false;
            for (int i = 0; i < own_count; i++)
                known = known || (own_children[i] == id && WIFEXITED(status) && WEXITSTATUS(status) == 10 + i);
            if (monitor_kind() == REIN_MONITOR_PROCESS || known)
                assert_true(known);
            mine += known;
        }
        if (result == REIN_EXITED)
            break;
        assert_ok(result);
    }
    sigaction(SIGCHLD, &before, NULL);
    close(go[0]);
    close(go[1]);
    assert_int_equal(mine, 8);
    if (monitor_kind() == REIN_MONITOR_PROCESS) {
        assert_int_equal(foreign_signals, 0);
        assert_in_range(child_signals, 1, 8);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing else to wait for */
        assert_int_equal(errno, ECHILD);
    }
}

/* M2: no thread for a thread, and no descriptor. */
static void M2_M10_no_thread_per_thread(void **state)
{
    (void)state;
    int threads = count_threads();
    struct fixture *fixture = start_ready("sleepers", "300", NULL);
    int descriptors = count_descriptors();
    rein_process *process = attach(fixture);
    assert_int_equal(count_threads(), threads);
    assert_true(count_descriptors() <= descriptors + 4);
    assert_ok(rein_process_continue(process));
    assert_int_equal(count_threads(), threads);
    assert_true(count_descriptors() <= descriptors + 4);
}

/* ---- M8 ---- */

struct waiting {
    rein_process *process;
    int result;
    char message[200];
};

static void *wait_for_process(void *arg)
{
    struct waiting *waiting = arg;
    waiting->result = rein_process_wait(waiting->process, LIMIT_MS);
    snprintf(waiting->message, sizeof waiting->message, "%s", rein_error_message());
    return NULL;
}

/* M8: the monitor is killed: who waits is told, every later call says so, nothing hangs, and it can be closed. */
static void M8_the_monitor_is_killed(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    rein_monitor *own = make();
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_process *process = NULL, *other = NULL;
    struct waiting waiting = {0};
    pthread_t id;
    rein_registers *registers = NULL;
    unsigned char byte;
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    later_unref_process(process);
    rein_thread *thread = first_thread(process);
    assert_ok(rein_process_continue(process));
    waiting.process = process;
    assert_int_equal(pthread_create(&id, NULL, wait_for_process, &waiting), 0);
    sleep_ms(30);
    assert_int_equal(kill(rein_monitor_id(own), SIGKILL), 0);
    pthread_join(id, NULL);
    assert_int_equal(waiting.result, REIN_MONITOR_FAILED);
    assert_true(waiting.message[0]);
    assert_error(rein_process_stop(process, -1), REIN_MONITOR_FAILED);
    assert_error(rein_process_continue(process), REIN_MONITOR_FAILED);
    assert_error(rein_process_wait(process, -1), REIN_MONITOR_FAILED);
    assert_error(rein_process_detach(process, 0), REIN_MONITOR_FAILED);
    assert_error(rein_process_read(process, 0x1000, &byte, 1, NULL), REIN_MONITOR_FAILED);
    assert_error(rein_thread_stop(thread, -1), REIN_MONITOR_FAILED);
    assert_error(rein_thread_registers(thread, &registers), REIN_MONITOR_FAILED);
    assert_error(rein_attach(own, fixture->pid, NULL, &other), REIN_MONITOR_FAILED);
    assert_int_equal(rein_thread_id(thread), rein_thread_id(thread));
    int result = rein_monitor_close(own);
    assert_true(result == 0 || result == REIN_MONITOR_FAILED);
    assert_free(fixture->pid); /* it had no breakpoint in it */
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- M10 ---- */

/* M10: attached, made to work and let go a hundred times: nothing more is open than before. */
static void M10_nothing_is_leaked(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "3", NULL);
    rein_process *process = NULL, *none = NULL;
    int descriptors = 0, threads = 0;
    for (int round = 0; round < 120; round++) {
        if (round == 20) { /* what is opened once for good is */
            descriptors = count_descriptors();
            threads = count_threads();
        }
        int fd;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_ok(rein_process_event_fd(process, &fd));
        assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), NULL, NULL));
        run_to_stop(process);
        assert_error(rein_attach(monitor, fixture->pid, NULL, &none), REIN_BAD_STATE);
        assert_error(rein_attach(monitor, 0x7ffffff, NULL, &none), REIN_NO_PROCESS);
        assert_error(
            rein_spawn(monitor, "/nonexistent", (char *const[]){(char *)"x", NULL}, NULL, NULL, NULL, 0, NULL, &none),
            REIN_EXEC_FAILED);
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
    }
    assert_int_equal(count_descriptors(), descriptors);
    assert_int_equal(count_threads(), threads);
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M10: monitors made and closed, with and without a process. */
static void M10_monitors_come_and_go(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    int descriptors = count_descriptors(), threads = count_threads();
    for (int round = 0; round < 50; round++) {
        rein_monitor *own = make();
        rein_process *process = NULL;
        if (round % 2) {
            assert_ok(rein_attach(own, fixture->pid, NULL, &process));
            if (round % 4 == 1)
                assert_ok(rein_process_continue(process));
        }
        assert_ok(rein_monitor_close(own));
        rein_process_unref(process);
        assert_free(fixture->pid);
    }
    for (double limit = now() + LIMIT_S; count_threads() > threads && now() < limit;)
        sleep_ms(1);
    assert_int_equal(count_descriptors(), descriptors);
    assert_int_equal(count_threads(), threads);
    assert_ok(rein_monitor_close(NULL));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* M10: closed while what it holds is being killed: nobody stays behind, neither traced nor stopped. */
static void M10_killed_and_closed(void **state)
{
    (void)state;
    char *const arguments[] = {(char *)"spin", (char *)"3", NULL};
    for (int round = 0; round < 30; round++) {
        rein_monitor *own = make();
        struct fixture *spawned = spawn_with(own, NULL, "spin", arguments), *started = start_ready("spin", "3", NULL);
        rein_process *process = NULL;
        assert_ok(rein_attach(own, started->pid, NULL, &process));
        if (round % 3 == 1)
            assert_ok(rein_process_continue(process));
        else if (round % 3 == 2)
            run_to_stop(spawned->process);
        assert_int_equal(kill(started->pid, SIGKILL), 0);
        assert_int_equal(kill(spawned->pid, SIGKILL), 0);
        usleep((unsigned)round % 5 * 20);
        assert_ok(rein_monitor_close(own));
        rein_process_unref(process);
        wait_for(started, 0, NULL);
        for (double limit = now() + LIMIT_S; proc_state(spawned->pid, 0) != 0 && proc_state(spawned->pid, 0) != 'Z';)
            assert_true(now() < limit);
    }
}

/* M10, E1: out of descriptors at every point: an error that says so, or success; never a process that is left
 * traced. */
static void M10_E1_out_of_descriptors(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_word pc = address_of(fixture, "hot");
    struct rlimit before, low;
    int failures = 0, successes = 0, wrong = 0;
    char message[256] = "";
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int highest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(highest);
    for (int more = 0; more < 16; more++) {
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        rein_monitor *own = NULL;
        rein_process *process = NULL, *spawned = NULL;
        options.kind = monitor_kind();
        low = before;
        low.rlim_cur = (rlim_t)(highest + more);
        setrlimit(RLIMIT_NOFILE, &low);
        int result = rein_monitor_create(&options, &own);
        if (result == 0) {
            result = rein_attach(own, fixture->pid, NULL, &process);
            if (result == 0) {
                int fd;
                result = rein_process_event_fd(process, &fd);
                int added = rein_process_add_breakpoint(process, pc, NULL, NULL);
                int continued = rein_process_continue(process);
                if (added == 0 && continued == 0 && rein_process_wait(process, LIMIT_MS) != 0)
                    wrong++;
                int detached = rein_process_detach(process, 0);
                if (detached != 0)
                    wrong++;
                result = result ? result : added ? added : continued;
            }
            int spawn_result = rein_spawn(own, tool("true"), (char *const[]){(char *)"true", NULL}, NULL, NULL, NULL, 0,
                                          NULL, &spawned);
            if (spawn_result == 0)
                spawn_result = rein_process_kill(spawned);
            result = result ? result : spawn_result;
        }
        if (result < 0 && !message[0])
            snprintf(message, sizeof message, "%s", rein_error_message());
        failures += result < 0;
        successes += result == 0;
        wrong += result > 0;
        if (own && rein_monitor_close(own) != 0)
            wrong++;
        rein_process_unref(process);
        rein_process_unref(spawned);
        setrlimit(RLIMIT_NOFILE, &before);
        assert_free(fixture->pid);
    }
    assert_int_equal(wrong, 0);
    assert_true(failures > 0);
    assert_true(successes > 0);
    assert_true(message[0]);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- M13 ---- */

struct log_lines {
    atomic_int lines[REIN_LOG_MEMORY + 1];
    atomic_int wrong, with_address;
};

static void take_line(enum rein_log_level level, const char *line, void *arg)
{
    struct log_lines *log = arg;
    if (level <= REIN_LOG_NONE || level > REIN_LOG_MEMORY || !line || !*line || strchr(line, '\n')) {
        atomic_fetch_add(&log->wrong, 1);
        return;
    }
    atomic_fetch_add(&log->lines[level], 1);
    if (level == REIN_LOG_TRACE && strstr(line, "0x"))
        atomic_fetch_add(&log->with_address, 1);
}

/* M13: silent unless asked for; each level adds its lines; it can be changed while it runs. */
static void M13_log(void **state)
{
    (void)state;
    static struct log_lines logs[REIN_LOG_MEMORY + 1];
    memset(logs, 0, sizeof logs);
    for (int level = REIN_LOG_NONE; level <= REIN_LOG_MEMORY; level++) {
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        rein_monitor *own = NULL;
        options.kind = monitor_kind();
        options.log_level = (enum rein_log_level)level;
        options.log = take_line;
        options.log_arg = &logs[level];
        assert_ok(rein_monitor_create(&options, &own));
        char *const arguments[] = {(char *)"step_targets", (char *)"2", NULL};
        struct fixture *fixture = spawn_with(own, NULL, "step_targets", arguments);
        rein_process *process = fixture->process;
        rein_word word;
        rein_thread *thread = first_thread(process);
        add_breakpoint(process, address_of(fixture, "step_0"));
        run_to(process, REIN_CAUSE_BREAKPOINT);
        assert_ok(rein_thread_read(thread, register_of(thread, STACK_POINTER), &word, sizeof word, NULL));
        set_register_of(thread, KEPT_REGISTER, register_of(thread, KEPT_REGISTER));

        int now_on = logs[level].lines[REIN_LOG_STATE];
        assert_ok(rein_monitor_set_log(own, REIN_LOG_STATE, NULL, NULL)); /* off */
        run_to(process, REIN_CAUSE_BREAKPOINT);
        assert_int_equal(logs[level].lines[REIN_LOG_STATE], now_on);
        assert_ok(rein_monitor_set_log(own, (enum rein_log_level)level, take_line, &logs[level])); /* on again */
        assert_ok(rein_process_detach(process, 0));
        assert_ok(rein_monitor_close(own));
        assert_int_equal(logs[level].wrong, 0);
        for (int of = REIN_LOG_WARNING; of <= REIN_LOG_MEMORY; of++) {
            if (of > level)
                assert_int_equal(logs[level].lines[of], 0);
            else if (of > REIN_LOG_WARNING) /* there need be no warning */
                assert_true(logs[level].lines[of] > 0);
        }
        if (level >= REIN_LOG_STATE)
            assert_true(logs[level].lines[REIN_LOG_STATE] > now_on);
    }
    assert_true(logs[REIN_LOG_TRACE].with_address > 0); /* every event with its pc */
    assert_error(rein_monitor_set_log(monitor, (enum rein_log_level)99, take_line, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_monitor_set_log(monitor, (enum rein_log_level) - 1, take_line, NULL), REIN_INVALID_ARGUMENT);
}

/* ---- the host's death ---- */

/* A host: attaches, has hits counted in a storm of 8 threads, says so, and waits for its death. */
static void be_a_host(int pid, rein_word pc, int ready)
{
    rein_monitor *own = NULL;
    rein_process *process = NULL;
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL;
    options.callback = go_on;
    alarm(30);
    if (rein_monitor_create(NULL, &own) != 0 || rein_attach(own, pid, NULL, &process) != 0 ||
        rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE) != 0 ||
        rein_process_add_breakpoint(process, pc, &options, &breakpoint) != 0 || rein_process_continue(process) != 0)
        _exit(1);
    while (rein_breakpoint_hits(breakpoint) < 20)
        usleep(100);
    if (write(ready, "", 1) != 1)
        _exit(2);
    for (;;)
        pause();
}

/* When the host dies by SIGKILL its tracees live on: nobody stopped, traced, or with a breakpoint in it. */
static void M5_P7_the_host_is_killed(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS)
        skip();
    struct fixture *fixture = start_ready("spin", "8", NULL);
    rein_word pc = address_of(fixture, "hot");
    unsigned char original, byte;
    assert_int_equal(raw_read(fixture->pid, pc, &original, 1), 1);
    for (int round = 0; round < 20; round++) {
        int ready[2];
        char said = 1;
        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        int host = fork();
        assert_true(host >= 0);
        if (host == 0)
            be_a_host(fixture->pid, pc, ready[1]);
        close(ready[1]);
        assert_int_equal(read(ready[0], &said, 1), 1);
        close(ready[0]);
        usleep((unsigned)round * 50);
        assert_int_equal(kill(host, SIGKILL), 0);
        assert_int_equal(waitpid(host, NULL, 0), host);
        for (double limit = now() + LIMIT_S; proc_tracer(fixture->pid, 0) != 0;) {
            assert_true(now() < limit);
            sleep_ms(1);
        }
        int ids[16];
        size_t count = proc_threads(fixture->pid, ids, 16);
        assert_int_equal(count, 9);
        for (size_t i = 0; i < count; i++) {
            for (double limit = now() + LIMIT_S; proc_tracer(fixture->pid, ids[i]) != 0;)
                assert_true(now() < limit);
        }
        assert_free(fixture->pid);
        assert_int_equal(raw_read(fixture->pid, pc, &byte, 1), 1);
        assert_int_equal(byte, original);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- rein_monitor_poll ---- */

static void *let_sigchld_in(void *arg)
{
    sem_t *end = arg;
    while (sem_wait(end) < 0) {
    }
    return NULL;
}

/* A lent thread that has SIGCHLD blocked, and another of the host's that has not: that one gets it. */
static void M1_poll_where_another_thread_takes_sigchld(void **state)
{
    (void)state;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *lent = NULL;
    sem_t end;
    pthread_t other;
    sigset_t child, before;
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"sleep 0.3; kill -USR1 $$"}, NULL};
    rein_process *process = NULL;
    int fd, ready = 0;
    options.kind = REIN_MONITOR_LENT;
    sem_init(&end, 0, 0);
    assert_int_equal(pthread_create(&other, NULL, let_sigchld_in, &end), 0);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &child, &before);
    assert_ok(rein_monitor_create(&options, &lent));
    assert_ok(rein_spawn(lent, tool("sh"), argv, NULL, NULL, NULL, 0, NULL, &process));
    assert_ok(rein_process_event_fd(process, &fd));
    assert_ok(rein_process_continue(process));
    double begin = now();
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_ok(rein_monitor_poll(lent, &wait, 1, 5000 * live_slow(), &ready));
    assert_int_equal(ready, 1);
    if (now() - begin > 0.3 + 0.4 * live_slow())
        fail_msg("its signal was heard of after %.3f s", now() - begin);
    assert_ok(rein_process_kill(process));
    rein_process_unref(process);
    assert_ok(rein_monitor_close(lent));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sem_post(&end);
    pthread_join(other, NULL);
    sem_destroy(&end);
}

/* M8 kills a monitor in the midst of its work, and what it was about to hand over is lost with it, now and then
 * (doc/status.md). Only for LeakSanitizer, and only for this program. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:monitor_body\n";
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M1_call),
        live_test(M1_calls_from_many_threads),
        live_test(M1_wrong_thread),
        live_test(M1_in_a_forked_child),
        live_test(M1_many_processes),
        live_test(M1_poll_where_another_thread_takes_sigchld),
        live_test(M2_the_hosts_children),
        live_test(M2_M10_no_thread_per_thread),

        live_test(M8_the_monitor_is_killed),
        live_test(M10_nothing_is_leaked),
        live_test(M10_monitors_come_and_go),
        live_test(M10_killed_and_closed),
        live_test(M10_E1_out_of_descriptors),
        live_test(M13_log),
        live_test(M5_P7_the_host_is_killed),
    };
    return live_main(tests);
}
