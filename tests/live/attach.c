/* P8 M11 M10: taking hold of a running process. Programs: sleepers, many_threads, leader_exits_first, spin,
 * group_stop, eintr_epoll, uninterruptible, signals_seen. */
#include "support.h"

#include <grp.h>
#include <sys/prctl.h>

static void let_go_and_end(struct fixture *fixture, rein_process *process)
{
    assert_ok(rein_process_detach(process, 0));
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P8: all threads are stopped, however many. */
static void P8_all_threads_are_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("sleepers", "500", NULL);
    rein_process *process = attach(fixture);
    rein_thread **threads = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_int_equal(count, 501);
    for (size_t i = 0; i < count; i++) {
        assert_state(threads[i], REIN_STATE_STOPPED);
        assert_int_equal(proc_state(fixture->pid, rein_thread_id(threads[i])), 't');
    }
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_wait(process, 0));
    assert_no_event(process); /* attaching is none */
    let_go_and_end(fixture, process);
}

/* A thread that was in the kernel when its process was let go may be traced a moment longer: until then, REIN_BAD_STATE. */
static rein_process *attach_again(int pid)
{
    rein_process *process = NULL;
    int result;
    for (double limit = now() + LIMIT_S;
         (result = rein_attach(monitor, pid, NULL, &process)) == REIN_BAD_STATE && now() < limit;)
        assert_says(rein_error_message(), "let go");
    assert_ok(result);
    return process;
}

static void await_end(int pid, int id)
{
    char at;
    for (double limit = now() + LIMIT_S; (at = proc_state(pid, id)) && at != 'Z' && at != 'X'; sleep_ms(1)) {
        if (now() > limit)
            fail_msg("thread %d does not end: state %c", id, at);
    }
}

/* P8: while threads are made and end all the time: each time all that there are are stopped, and none is left
 * behind. */
static void P8_under_constant_creation(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("many_threads", "0", "8", NULL);
    for (int round = 0; round < 60; round++) {
        rein_thread **threads = NULL;
        size_t count;
        int ids[256];
        rein_process *process = attach_again(fixture->pid);
        size_t alive = proc_threads(fixture->pid, ids, 256);
        assert_true(alive <= 256);
        assert_ok(rein_process_threads(process, &threads, &count));
        for (size_t i = 0; i < alive; i++) {
            bool listed = false;
            for (size_t k = 0; k < count; k++)
                listed = listed || rein_thread_id(threads[k]) == ids[i];
            int tracer = proc_tracer(fixture->pid, ids[i]);
            char at = proc_state(fixture->pid, ids[i]);
            if (at == 't' ? !listed : (listed || !tracer) && at != 'Z' && at != 'X' && at != 0)
                fail_msg("round %d: thread %d is %s, in state %c, traced by %d", round, ids[i],
                         listed ? "in the list" : "not in the list", at, tracer);
            if (!listed) /* past its last stop, and on its way out */
                await_end(fixture->pid, ids[i]);
        }
        for (size_t i = 0; i < count; i++) {
            enum rein_state is = state_of(threads[i]);
            /* On a busy machine one may sleep uninterruptibly when attach comes: it stops before it runs any code. */
            for (double limit = now() + LIMIT_S; is == REIN_STATE_STOPPING && now() < limit; sleep_ms(1))
                is = state_of(threads[i]);
            if (!rein_state_is_stopped(is))
                fail_msg("round %d: thread %d is %s", round, rein_thread_id(threads[i]), rein_state_name(is));
        }
        rein_thread_list_free(threads, count);
        if (round % 3 == 0) {
            set_policy(process, REIN_IGNORE);
            assert_ok(rein_process_continue(process));
            assert_error(rein_process_wait(process, 5), REIN_TIMEOUT);
        }
        if (round % 6 == 0)
            assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
        sleep_ms(round % 3);
    }
    sleep_ms(20);
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P8: with a breakpoint that each new thread must come to: none slips by, from the moment of the attach on. */
static void P8_no_thread_slips_by(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("many_threads", "0", "4", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    uint64_t before, after;
    /* The program's own count, through its pointer. */
    rein_word counter = word_at(process, address_of(fixture, "fixture_hot"));
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    rein_thread **threads = NULL;
    size_t count, inside = 0;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++) { /* those that have begun the call, and have not counted it yet */
        rein_word pc = pc_of(threads[i]), hot = address_of(fixture, "hot");
        inside += pc >= hot && pc < hot + 0x20;
    }
    rein_thread_list_free(threads, count);
    before = word_at(process, counter);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, 300), REIN_TIMEOUT);
    tell(fixture);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    assert_ends(fixture, 0);
    after = said_count(fixture, "hot");
    assert_in_range(rein_breakpoint_hits(breakpoint), after - before - inside, after - before);
    assert_true(after - before > 10);
}

/* P8: gdb fails there. */
static void P8_zombie_leader(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct fixture *fixture = start_ready("leader_exits_first", "3", NULL);
        assert_int_equal(proc_state(fixture->pid, 0), 'Z');
        rein_process *process = attach(fixture);
        assert_int_equal(rein_process_id(process), fixture->pid);
        assert_int_equal(thread_count(process), 3);
        unsigned char byte;
        assert_ok(rein_process_read(process, pc_of(first_thread(process)), &byte, 1, NULL));
        if (round % 2) {
            assert_ok(rein_process_detach(process, 0));
            assert_free(fixture->pid);
            tell(fixture);
        } else {
            set_policy(process, REIN_IGNORE);
            assert_ok(rein_process_continue(process));
            tell(fixture);
            assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
            struct rein_exit how;
            assert_ok(rein_process_exit(process, &how));
            assert_false(how.signaled);
            assert_int_equal(how.status, 7);
        }
        assert_ends(fixture, 7);
    }
}

/* M11: what job control has stopped is shown as it is, and is still stopped when it is let go. */
static void M11_group_stopped(void **state)
{
    (void)state;
    static const int numbers[] = {SIGSTOP, SIGTSTP, SIGTTIN};
    for (int i = 0; i < 3; i++) {
        struct fixture *fixture = start_ready("spin", "3", NULL);
        int status;
        assert_int_equal(kill(fixture->pid, numbers[i]), 0);
        wait_for(fixture, WUNTRACED, &status);
        assert_true(WIFSTOPPED(status));
        for (int round = 0; round < 3; round++) {
            rein_process *process = NULL;
            rein_thread **threads = NULL;
            size_t count;
            assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
            assert_ok(rein_process_threads(process, &threads, &count));
            assert_int_equal(count, 4);
            for (size_t k = 0; k < count; k++) {
                struct rein_cause cause;
                assert_state(threads[k], REIN_STATE_STOPPED_GROUP);
                assert_ok(rein_thread_cause(threads[k], &cause));
                assert_int_equal(cause.kind, REIN_CAUSE_GROUP_STOP);
                assert_int_equal(cause.signal.number, numbers[i]);
                rein_cause_clear(&cause);
            }
            assert_true(pc_of(threads[0]) != 0); /* it can be looked at like any other */
            rein_thread_list_free(threads, count);
            if (round == 2) { /* continuing leaves it in the group-stop */
                assert_ok(rein_process_continue(process));
                sleep_ms(20);
                rein_word counter = address_of(fixture, "hot2_count");
                uint64_t before, after;
                assert_ok(rein_process_read(process, counter, &before, 8, NULL));
                sleep_ms(20);
                assert_ok(rein_process_read(process, counter, &after, 8, NULL));
                assert_int_equal(before, after);
            }
            assert_ok(rein_process_detach(process, 0));
            rein_process_unref(process);
            await_state(fixture->pid, 0, 'T');
            assert_int_equal(proc_tracer(fixture->pid, 0), 0);
        }
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        wait_for(fixture, WCONTINUED, &status);
        assert_true(WIFCONTINUED(status));
        assert_free(fixture->pid);
        tell(fixture);
        assert_ends(fixture, 0);
    }
}

/* M11: attached to while it is stopped, continued by SIGCONT while it is held, it runs. */
static void M11_continued_while_held(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "3", NULL);
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
    await_state(fixture->pid, 0, 'T');
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, 30), REIN_TIMEOUT);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 0);
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < 20;) {
        assert_true(now() < limit);
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
    }
    let_go_and_end(fixture, process);
}

/* M11, M7: a SIGSTOP that comes while it is attached to is neither lost nor doubled. */
static void M11_M7_stopped_meanwhile(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "4", NULL);
    for (int round = 0; round < 40; round++) {
        rein_process *process = NULL;
        assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
        if (round % 2)
            sleep_ms(1);
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
        await_state(fixture->pid, 0, 'T');
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        for (double limit = now() + LIMIT_S; proc_state(fixture->pid, 0) == 'T';)
            assert_true(now() < limit);
    }
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P8: its threads run on, and are traced. */
static void P8_running(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "4", NULL);
    rein_process *process = attach_running(fixture);
    rein_thread **threads = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_state(threads[i], REIN_STATE_RUNNING);
        assert_int_equal(proc_tracer(fixture->pid, rein_thread_id(threads[i])), rein_monitor_id(monitor));
        assert_int_not_equal(proc_state(fixture->pid, rein_thread_id(threads[i])), 't');
    }
    rein_thread_list_free(threads, count);
    assert_error(rein_process_wait(process, 10), REIN_TIMEOUT);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    let_go_and_end(fixture, process);
}

/* P8, P4: a thread that cannot be stopped: without STRICT it is held as soon as it comes out, with it everything
 * is let go. */
static void P8_P4_strict(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("uninterruptible", "2", NULL);
    struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
    rein_process *process = NULL;
    int parent = said_id(fixture, "parent"), ids[16];
    char words[16];
    snprintf(words, sizeof words, "%d", parent);
    options.flags = REIN_ATTACH_STRICT;
    options.timeout_ms = LIMIT_MS;
    assert_error_says(rein_attach(monitor, fixture->pid, &options, &process), REIN_CANNOT_STOP, words);
    assert_null(process);
    size_t count = proc_threads(fixture->pid, ids, 16);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] != parent) /* which is let go as soon as it comes out */
            assert_int_equal(proc_tracer(fixture->pid, ids[i]), 0);
    }

    if (proc_tracer(fixture->pid, parent) == 0) {
        process = attach(fixture);
        rein_thread *held = thread_of(process, parent);
        assert_state(held, REIN_STATE_STOPPING);
        tell(fixture);
        assert_ok(rein_thread_wait(held, LIMIT_MS));
        assert_true(rein_state_is_stopped(state_of(held)));
        assert_null(has_said(fixture, "ok "));
        assert_ok(rein_process_detach(process, 0));
    } else {
        tell(fixture);
        for (double limit = now() + LIMIT_S; monitor_kind() == REIN_MONITOR_LENT && now() < limit;) {
            rein_process *other = NULL; /* any call gives the monitor its turn */
            if (rein_attach(monitor, 0x7ffffff, NULL, &other) != REIN_NO_PROCESS || has_said(fixture, "ok "))
                break;
        }
    }
    assert_ends(fixture, 0);
}

/* P8, P2, C1: the time limit passes before a vfork parent has been found to be one, and before its child was looked for: no
 * breakpoint may be put in until it has, for the child would die of it. Then the child's hit counts. */
static void P8_P2_C1_limit_before_a_vfork_parent_is_known(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct fixture *fixture = start_ready("uninterruptible", "2", NULL);
        struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
        struct rein_breakpoint_options counting = REIN_BREAKPOINT_OPTIONS_INIT;
        rein_word pc = address_of(fixture, "hot");
        rein_process *process;
        counting.flags = REIN_BREAKPOINT_WHILE_RUNNING;
        counting.callback = go_on;
        options.timeout_ms = 1;
        assert_ok(rein_attach(monitor, fixture->pid, &options, &process));
        assert_error_says(rein_process_add_breakpoint(process, pc, &counting, NULL), REIN_BAD_STATE, "stop it first");
        assert_error(rein_process_stop(process, LIMIT_MS), REIN_CANNOT_STOP);
        rein_word before, after;
        assert_ok(rein_process_read(process, said_address(fixture, "count"), &before, sizeof before, NULL));
        rein_breakpoint *breakpoint = count_at(process, pc);
        assert_ok(rein_process_continue(process));
        set_policy(process, REIN_IGNORE);
        tell(fixture); /* the child calls hot, and must not die of it */
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
        after = said_count(fixture, "hot");
        /* Of the two others each may have been inside hot, and not have counted yet. */
        assert_in_range(rein_breakpoint_hits(breakpoint) + 2, after - before, after - before + 2);
        assert_ends(fixture, 0);
        rein_process_unref(process);
    }
}

/* P8, C1: children that share the memory, from before the attach, are left alone while there is no breakpoint; with the first
 * they are found, and their own children, and their hits count. */
static void P8_C1_sharers_from_before(void **state)
{
    (void)state;
    for (int nested = 0; nested < 2; nested++) {
        struct fixture *fixture = start_ready("uninterruptible", "0", nested ? "nested" : NULL, NULL);
        int child = said_id(fixture, "child");
        rein_process *process = attach(fixture);
        assert_int_equal(proc_tracer(child, 0), 0);
        rein_breakpoint *breakpoint = count_at(process, address_of(fixture, "hot"));
        assert_int_equal(proc_tracer(child, 0), rein_monitor_id(monitor));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        tell(fixture);
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
        assert_int_equal(rein_breakpoint_hits(breakpoint), 1 + nested);
        assert_ends(fixture, 0);
    }
}

/* P8: the calls it was waiting in see nothing of it. */
static void P8_no_EINTR(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("eintr_epoll", "20", NULL);
    for (int round = 0; round < 50; round++) {
        rein_process *process = NULL;
        assert_ok(rein_attach(monitor, fixture->pid, NULL, &process));
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
        if (round % 5 == 0)
            sleep_ms(2);
    }
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- what cannot be attached to ---- */

/* P8, E1 */
static void P8_no_such_process(void **state)
{
    (void)state;
    rein_process *process = NULL;
    int gone = fork();
    assert_true(gone >= 0);
    if (gone == 0)
        _exit(0);
    /* A zombie first, then nothing. */
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)gone, &info, WEXITED | WNOWAIT), 0);
    char words[16];
    snprintf(words, sizeof words, "%d", gone);
    assert_error_says(rein_attach(monitor, gone, NULL, &process), REIN_EXITED, words);
    assert_null(process);
    waitpid(gone, NULL, 0);
    assert_error_says(rein_attach(monitor, gone, NULL, &process), REIN_NO_PROCESS, words);
    assert_null(process);
    const int bad[] = {0, -1, -gone, 0x7fffffff};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int result = rein_attach(monitor, bad[i], NULL, &process);
        assert_true(result == REIN_NO_PROCESS || (bad[i] <= 0 && result == REIN_INVALID_ARGUMENT));
        assert_true(*rein_error_message());
        assert_null(process);
    }
}

/* P8, E1 */
static void P8_itself(void **state)
{
    (void)state;
    rein_process *process = NULL;
    assert_error(rein_attach(monitor, getpid(), NULL, &process), REIN_SELF);
    assert_null(process);
    int id = rein_monitor_id(monitor);
    assert_true(id > 0);
    if (monitor_kind() == REIN_MONITOR_PROCESS)
        assert_fails(rein_attach(monitor, id, NULL, &process));
    assert_null(process);
}

/* P8, E1 */
static void P8_kernel_thread(void **state)
{
    (void)state;
    rein_process *process = NULL;
    char name[64] = "";
    FILE *comm = fopen("/proc/2/comm", "re");
    if (!comm)
        skip();
    if (!fgets(name, sizeof name, comm) || strncmp(name, "kthreadd", 8) != 0) {
        fclose(comm);
        skip();
    }
    fclose(comm);
    assert_error_says(rein_attach(monitor, 2, NULL, &process), REIN_KERNEL_THREAD, "2");
    assert_null(process);
}

/* P8, E1: by another monitor (the message says by whom), and by this. */
static void P8_traced_already(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    rein_process *process = attach(fixture), *second = NULL;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *other = NULL;
    char words[16];
    assert_error(rein_attach(monitor, fixture->pid, NULL, &second), REIN_BAD_STATE);
    if (monitor_kind() != REIN_MONITOR_LENT) { /* two monitors lent by one thread are one tracer */
        options.kind = monitor_kind();
        assert_ok(rein_monitor_create(&options, &other));
        snprintf(words, sizeof words, "%d", rein_monitor_id(monitor));
        assert_error_says(rein_attach(other, fixture->pid, NULL, &second), REIN_ALREADY_TRACED, words);
        assert_null(second);
        assert_ok(rein_monitor_close(other));
    }
    assert_int_equal(proc_tracer(fixture->pid, 0), rein_monitor_id(monitor));
    let_go_and_end(fixture, process);
}

/* In a child that has become nobody: attaching to a process of root's. 0 when it is as it should be. */
static int attach_as_nobody(int pid)
{
    rein_monitor *own = NULL;
    rein_process *process = NULL;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        return 77;
    options.kind = monitor_kind();
    if (rein_monitor_create(&options, &own) != 0)
        return 2;
    int result = rein_attach(own, pid, NULL, &process);
    if (result != REIN_NOT_PERMITTED || process) {
        print_error("%s: %s\n", rein_error_name(result), rein_error_message());
        return 3;
    }
    /* It says why: whose it is. */
    if (!strstr(rein_error_message(), "user") && !strstr(rein_error_message(), "uid") &&
        !strstr(rein_error_message(), "root")) {
        print_error("%s\n", rein_error_message());
        return 4;
    }
    return rein_monitor_close(own) == 0 ? 0 : 5;
}

/* P8, E1 */
static void P8_not_permitted(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        rein_process *process = NULL;
        assert_error(rein_attach(monitor, 1, NULL, &process), REIN_NOT_PERMITTED);
        return;
    }
    skip_under_thread_sanitizer();
    struct fixture *fixture = start_ready("spin", "2", NULL);
    int child = fork(), status;
    assert_true(child >= 0);
    if (child == 0)
        _exit(attach_as_nobody(fixture->pid));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* P8: killed while it is attached to; never a hang, never a crash. */
static void P8_killed_meanwhile(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct fixture *fixture = start_ready("spin", "6", NULL);
        rein_process *process = NULL;
        int killer = fork();
        assert_true(killer >= 0);
        if (killer == 0) {
            for (volatile int i = 0; i < round * 3000; i++) {
            }
            kill(fixture->pid, SIGKILL);
            _exit(0);
        }
        int result = rein_attach(monitor, fixture->pid, NULL, &process);
        if (result == 0) {
            result = rein_process_wait(process, LIMIT_MS);
            assert_true(result == 0 || result == REIN_EXITED);
            waitpid(killer, NULL, 0);
            result = rein_process_continue(process);
            assert_true(result == 0 || result == REIN_EXITED);
            for (double limit = now() + LIMIT_S; (result = rein_process_wait(process, LIMIT_MS)) == 0 && now() < limit;)
                rein_process_continue(process);
            assert_error(result, REIN_EXITED);
            struct rein_exit how;
            assert_ok(rein_process_exit(process, &how));
            assert_true(how.signaled && how.signal == SIGKILL);
            assert_int_equal(how.status, -1);
            rein_process_unref(process);
        } else {
            assert_true(result == REIN_EXITED || result == REIN_NO_PROCESS);
            assert_null(process);
            waitpid(killer, NULL, 0);
        }
        wait_for(fixture, 0, NULL);
    }
}

struct attacher {
    int pid, result;
    char message[200];
};

static void *attach_and_detach(void *arg)
{
    struct attacher *attacher = arg;
    for (int i = 0; i < 40 && attacher->result == 0; i++) {
        rein_process *process = NULL;
        attacher->result = rein_attach(monitor, attacher->pid, NULL, &process);
        if (attacher->result == 0)
            attacher->result = rein_process_continue(process);
        if (attacher->result == 0)
            attacher->result = rein_process_detach(process, 0);
        rein_process_unref(process);
    }
    snprintf(attacher->message, sizeof attacher->message, "%s", rein_error_message());
    return NULL;
}

/* P8, M1: one monitor, several host threads, a process each. */
static void P8_M1_from_several_threads(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixtures[4];
    struct attacher attachers[4] = {{0}};
    pthread_t ids[4];
    for (int i = 0; i < 4; i++) {
        fixtures[i] = start_ready("spin", "2", NULL);
        attachers[i].pid = fixtures[i]->pid;
        assert_int_equal(pthread_create(&ids[i], NULL, attach_and_detach, &attachers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        if (attachers[i].result)
            fail_msg("%s: %s", rein_error_name(attachers[i].result), attachers[i].message);
        assert_free(fixtures[i]->pid);
        tell(fixtures[i]);
        assert_ends(fixtures[i], 0);
    }
}

/* NULL: a monitor of its own, which ends with the process. */
static void P8_M10_a_monitor_of_its_own(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    int threads = count_threads(), descriptors = count_descriptors();
    rein_process *process = NULL;
    assert_ok(rein_attach(NULL, fixture->pid, NULL, &process));
    assert_int_not_equal(proc_tracer(fixture->pid, 0), rein_monitor_id(monitor));
    rein_breakpoint *breakpoint = NULL;
    assert_ok(rein_process_add_breakpoint(process, address_of(fixture, "hot"), NULL, &breakpoint));
    run_to_stop(process);
    assert_int_equal(rein_breakpoint_hits(breakpoint) > 0, 1);
    rein_breakpoint_unref(breakpoint);
    assert_ok(rein_process_detach(process, 0));
    rein_process_unref(process);
    assert_free(fixture->pid);
    tell(fixture);
    assert_ends(fixture, 0);
    for (double limit = now() + LIMIT_S; count_threads() > threads && now() < limit;)
        sleep_ms(1);
    assert_int_equal(count_threads(), threads);
    assert_int_equal(count_descriptors(), descriptors - 1); /* the fixture has closed its stdout */
}

/* P8, C1: attached to without a stop while its threads fork: a fork that had begun before makes a child of which nobody
 * tells, and which must not carry the breakpoint that is added next. The program checks its children. */
static void P8_C1_running_into_forks(void **state)
{
    (void)state;
    struct fixture *fixture = start_waiting("fork_loop", "4", "1000000", NULL);
    rein_word pc = address_of(fixture, "hot");
    tell(fixture);
    for (int round = 0; round < 150; round++) {
        struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
        rein_process *process = NULL;
        options.flags = REIN_ATTACH_RUNNING;
        options.timeout_ms = LIMIT_MS;
        assert_ok(rein_attach(monitor, fixture->pid, &options, &process));
        set_policy(process, REIN_IGNORE);
        struct rein_breakpoint_options counting = REIN_BREAKPOINT_OPTIONS_INIT;
        counting.flags = REIN_BREAKPOINT_WHILE_RUNNING;
        counting.callback = go_on;
        assert_ok(rein_process_add_breakpoint(process, pc, &counting, NULL));
        assert_ok(rein_process_continue(process)); /* a signal may have stopped it already */
        assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
        assert_ok(rein_process_detach(process, 0));
        rein_process_unref(process);
    }
    assert_int_equal(kill(fixture->pid, 0), 0);
    assert_null(has_said(fixture, "FAILED"));
    int status = 0;
    assert_int_equal(kill(fixture->pid, SIGKILL), 0);
    wait_for(fixture, 0, &status);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* It has ended; or it runs on, has found nothing wrong so far, and is ended. */
static void assert_unharmed(struct fixture *fixture)
{
    int status = 0;
    if (fixture->reaped) {
        assert_ends(fixture, 0);
        return;
    }
    assert_null(has_said(fixture, "FAILED"));
    assert_int_equal(kill(fixture->pid, SIGKILL), 0);
    wait_for(fixture, 0, &status);
    assert_true(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
}

/* So long the next two go on at most: on a busy machine, and in an emulator, their programs need minutes. */
static double limit_of_storm(void)
{
    return now() + (getenv("REIN_EMULATED") ? 3 : 8);
}

/* P8, M12: attached to in the very moment in which one of its threads calls exec. The kernel then lets a tracer that
 * seizes a thread wait for the exec, which waits for the ends of those that are seized already. */
static void P8_M12_exec_in_the_middle(void **state)
{
    (void)state;
    struct fixture *fixture = start("exec_thread", "6", "400", NULL);
    unsigned attached = 0;
    alarm(100);
    for (double limit = limit_of_storm(); now() < limit && !wait_for(fixture, WNOHANG, NULL);) {
        rein_process *process = NULL;
        int result = rein_attach(monitor, fixture->pid, NULL, &process);
        if (result == 0) {
            attached++;
            result = rein_process_detach(process, 0);
        }
        if (result != 0 && result != REIN_EXITED && result != REIN_NO_PROCESS && result != REIN_BAD_STATE)
            fail_msg("%s: %s", rein_error_name(result), rein_error_message());
        rein_process_unref(process);
    }
    if (attached < 5)
        fail_msg("attached %u times", attached);
    assert_unharmed(fixture);
}

/* P8 M12: the same, where most attaches give up in the middle of an exec: the next takes all the same everybody, also
 * who has taken the id of a leader that was let go dying. */
static void P8_M12_exec_after_giving_up(void **state)
{
    (void)state;
    struct fixture *fixture = start("exec_thread", "6", "800", NULL);
    struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
    options.flags = REIN_ATTACH_STRICT;
    unsigned attached = 0, given_up = 0;
    for (double limit = limit_of_storm(); now() < limit && !wait_for(fixture, WNOHANG, NULL);) {
        rein_process *process = NULL;
        int ids[64];
        options.timeout_ms = (int)(attached + given_up) % 12 + 1;
        int result = rein_attach(monitor, fixture->pid, &options, &process);
        if (result == 0) {
            attached++;
            size_t count = proc_threads(fixture->pid, ids, 64);
            for (size_t i = 0; i < count; i++) {
                char at = proc_state(fixture->pid, ids[i]);
                if (at != 0 && at != 'Z' && at != 'X' && proc_tracer(fixture->pid, ids[i]) == 0)
                    fail_msg("thread %d of %d is in state %c, and nobody traces it", ids[i], fixture->pid, at);
            }
            result = rein_process_detach(process, 0);
        } else if (result == REIN_TIMEOUT || result == REIN_CANNOT_STOP) {
            given_up++;
            result = 0;
        }
        if (result != 0 && result != REIN_EXITED && result != REIN_NO_PROCESS && result != REIN_BAD_STATE)
            fail_msg("%s: %s", rein_error_name(result), rein_error_message());
        rein_process_unref(process);
    }
    print_message("attached %u times, given up %u times\n", attached, given_up);
    assert_unharmed(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P8_all_threads_are_stopped),
        live_test(P8_under_constant_creation),
        live_test(P8_no_thread_slips_by),
        live_test(P8_zombie_leader),
        live_test(M11_group_stopped),
        live_test(M11_continued_while_held),
        live_test(M11_M7_stopped_meanwhile),
        live_test(P8_running),
        live_test(P8_C1_running_into_forks),
        live_test(P8_M12_exec_in_the_middle),
        live_test(P8_M12_exec_after_giving_up),
        live_test(P8_P4_strict),
        live_test(P8_P2_C1_limit_before_a_vfork_parent_is_known),
        live_test(P8_C1_sharers_from_before),
        live_test(P8_no_EINTR),
        live_test(P8_no_such_process),
        live_test(P8_itself),
        live_test(P8_kernel_thread),
        live_test(P8_traced_already),
        live_test(P8_not_permitted),
        live_test(P8_killed_meanwhile),
        live_test(P8_M1_from_several_threads),
        live_test(P8_M10_a_monitor_of_its_own),
    };
    return live_main(tests);
}
