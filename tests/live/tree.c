/* Process trees (C1): children that are followed, and what comes of them.
 *
 * Programs: tree (every way of making a process, nested), family (one child, step by step), fork_loop and vfork_loop (many,
 * from several threads). */
#include "support.h"

/* ---- A tree that is followed to its end ---- */

enum { MEMBERS_MAX = 2048 };

struct member {
    rein_process *process; /* counted */
    rein_breakpoint *breakpoint;
    bool exited;
    struct rein_exit exit;
    int execs;
};

struct tree {
    struct member members[MEMBERS_MAX];
    size_t count;
    atomic_ulong hits; /* as the callback counts */
};

static void free_tree(void *memory)
{
    struct tree *tree = memory;
    for (size_t i = 0; i < tree->count; i++) {
        rein_breakpoint_unref(tree->members[i].breakpoint);
        rein_process_unref(tree->members[i].process);
    }
    free(tree);
}

static struct member *member_of(struct tree *tree, const rein_process *process)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (tree->members[i].process == process)
            return &tree->members[i];
    }
    fail_msg("process %d is not in the tree", rein_process_id(process));
    return NULL;
}

static void add_member(struct tree *tree, rein_process *process)
{
    assert_true(tree->count < MEMBERS_MAX);
    tree->members[tree->count++].process = rein_process_ref(process);
}

static struct tree *make_tree(rein_process *root)
{
    struct tree *tree = calloc(1, sizeof *tree);
    assert_non_null(tree);
    add_member(tree, root);
    return tree;
}

static enum rein_verdict count_hit(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct tree *tree = arg;
    (void)thread, (void)breakpoint;
    atomic_fetch_add(&tree->hits, 1);
    return REIN_VERDICT_GO_ON;
}

static rein_breakpoint *count_in_tree(struct tree *tree, rein_process *process, rein_word pc)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = count_hit;
    options.arg = tree;
    assert_ok(rein_process_add_breakpoint(process, pc, &options, &breakpoint));
    return breakpoint;
}

/* The breakpoints that a new process begins with are its parent's. */
static enum rein_verdict keep_breakpoint(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct tree *tree = arg;
    rein_breakpoint **list;
    size_t count;
    (void)thread;
    if ((cause->kind != REIN_CAUSE_FORK && cause->kind != REIN_CAUSE_VFORK) || !cause->new_process)
        return REIN_VERDICT_POLICY;
    add_member(tree, cause->new_process);
    if (rein_process_breakpoints(cause->new_process, &list, &count) == 0 && count == 1)
        tree->members[tree->count - 1].breakpoint = rein_breakpoint_ref(list[0]);
    rein_breakpoint_list_free(list, count);
    return REIN_VERDICT_POLICY;
}

static void report_tree(rein_process *process)
{
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_FORK, REIN_REPORT));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_VFORK, REIN_REPORT));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_REPORT));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_PROCESS_EXIT, REIN_REPORT));
}

/* Takes all events until no process is left. */
static void follow_to_end(struct tree *tree)
{
    struct rein_event event;
    int result;
    while ((result = rein_monitor_next_event(monitor, LIMIT_MS, &event)) == 0) {
        struct member *member = member_of(tree, rein_thread_process(event.thread));
        assert_false(member->exited);
        if (event.cause.kind == REIN_CAUSE_PROCESS_EXIT) {
            member->exited = true;
            member->exit = event.cause.exit;
        }
        member->execs += event.cause.kind == REIN_CAUSE_EXEC;
        rein_event_clear(&event);
    }
    assert_error(result, REIN_NO_PROCESS);
}

/* C1, tree: every process of a tree is followed, of whatever kind, and told of once; what it executes and how it ends is
 * known; and each call of hot is a hit of its process. */
static void C1_follow_a_tree(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("tree", "2", "6", "3", NULL);
    rein_process *root = fixture->process;
    struct tree *tree = make_tree(root);
    report_tree(root);
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
    assert_ok(rein_process_set_callback(root, keep_breakpoint, tree));
    tree->members[0].breakpoint = count_in_tree(tree, root, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(root));
    follow_to_end(tree);

    rein_word hits = 0;
    rein_word execs = 0, calls = said_count(fixture, "hot") + said_count(fixture, "child_hot");
    for (size_t i = 0; i < tree->count; i++) {
        struct member *member = &tree->members[i];
        assert_true(member->exited);
        assert_false(member->exit.signaled);
        assert_in_range(member->exit.status, 0, 4);
        if (member->breakpoint)
            hits += rein_breakpoint_hits(member->breakpoint);
        execs += (rein_word)member->execs;
    }
    assert_int_equal(tree->count, said_count(fixture, "processes") + 1);
    assert_int_equal(execs, said_count(fixture, "programs"));
    assert_int_equal(hits, calls);
    assert_int_equal(atomic_load(&tree->hits), calls);
    assert_non_null(has_said(fixture, "ok tree"));
    free_tree(tree);
}

/* C1, tree: without breakpoints of its own a copy has none in its memory, followed or not. */
static void C1_follow_without_breakpoints(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("tree", "1", "6", "3", NULL);
    rein_process *root = fixture->process;
    struct tree *tree = make_tree(root);
    report_tree(root);
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
    assert_ok(rein_process_set_callback(root, keep_breakpoint, tree));
    rein_breakpoint *breakpoint = count_in_tree(tree, root, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(root));
    follow_to_end(tree);
    assert_int_equal(tree->count, said_count(fixture, "processes") + 1);
    assert_int_equal(rein_breakpoint_hits(breakpoint), said_count(fixture, "hot"));
    rein_breakpoint_unref(breakpoint);
    free_tree(tree);
}

/* C1, fork_loop, vfork_loop: several threads make processes at the same time, each followed. */
static void C1_follow_many(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        struct fixture *fixture = round % 2 ? spawn("vfork_loop", "3", "40", NULL)
                                            : spawn("fork_loop", "3", "40", round % 4 < 2 ? "0" : "1", NULL);
        rein_process *root = fixture->process;
        struct tree *tree = make_tree(root);
        report_tree(root);
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, round % 4 < 2 ? REIN_FOLLOW_BREAKPOINTS : 0));
        assert_ok(rein_process_set_callback(root, keep_breakpoint, tree));
        rein_breakpoint *breakpoint = count_in_tree(tree, root, address_of(fixture, "hot"));
        assert_ok(rein_process_continue(root));
        follow_to_end(tree);
        assert_int_equal(tree->count, 1 + 3 * 40);
        assert_int_equal(rein_breakpoint_hits(breakpoint), said_count(fixture, "hot"));
        bool counted = round % 2 == 0 && round % 4 < 2; /* vfork children's calls are in hot */
        assert_int_equal(atomic_load(&tree->hits),
                         said_count(fixture, "hot") + (counted ? said_count(fixture, "child_hot") : 0));
        rein_breakpoint_unref(breakpoint);
        free_tree(tree);
    }
}

/* ---- One child ---- */

/* Runs the program until its child is there, held as the root is: stopped. */
static rein_process *run_to_child(rein_process *root, enum rein_cause_kind kind)
{
    set_policy(root, REIN_IGNORE);
    assert_ok(rein_process_set_policy(root, kind, REIN_STOP_ALL));
    assert_ok(rein_process_set_policy(root, REIN_CAUSE_EXEC, REIN_STOP_ALL));
    assert_ok(rein_process_continue(root));
    assert_ok(rein_process_wait(root, LIMIT_MS));
    struct rein_event *event = expect_event(root, kind);
    assert_non_null(event->cause.new_process);
    later_unref_process(rein_process_ref(event->cause.new_process));
    return event->cause.new_process;
}

/* C1, family: the event that stops the parent stops the child, before it has run; each goes on by itself. */
static void C1_follow_stops_both(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "fork", NULL);
    rein_process *root = fixture->process;
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
    rein_breakpoint *breakpoint = add_breakpoint(root, address_of(fixture, "hot"));
    rein_process *child = run_to_child(root, REIN_CAUSE_FORK);
    assert_int_equal(rein_process_parent_id(child), rein_process_id(root));
    assert_int_equal(rein_process_depth(child), 1);
    assert_int_equal(rein_process_depth(root), 0);
    rein_thread *thread = first_thread(child);
    assert_int_equal(rein_thread_id(thread), rein_process_id(child));
    assert_state(thread, REIN_STATE_STOPPED);
    assert_true(pc_of(thread) != 0);
    assert_int_equal(thread_count(child), 1);
    char path[256];
    assert_ok(rein_process_program(child, path, sizeof path));
    assert_string_equal(path, fixture_path("family"));
    int inner = 0;
    assert_ok(rein_process_inner_id(child, &inner));
    assert_int_equal(inner, rein_process_id(child));

    assert_ok(rein_process_set_policy(child, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    run_to_stop(child);
    assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
    assert_word(pc_of(thread), address_of(fixture, "hot"));
    assert_int_equal(rein_breakpoint_hits(breakpoint), 0); /* the child has its own */
    assert_ok(rein_process_continue(child));
    expect_said(fixture, "id inner");
    tell(fixture);
    assert_error(rein_process_wait(child, LIMIT_MS), REIN_EXITED);
    struct rein_exit how;
    assert_ok(rein_process_exit(child, &how));
    assert_int_equal(how.status, 5);

    assert_ok(rein_process_set_policy(root, REIN_CAUSE_BREAKPOINT, REIN_IGNORE));
    run_to_end(root);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

/* C1, family: following the child lets the parent go. */
static void C1_follow_the_child(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "fork", NULL);
    rein_process *root = fixture->process;
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_CHILD, 0));
    set_policy(root, REIN_IGNORE);
    assert_ok(rein_process_set_policy(root, REIN_CAUSE_FORK, REIN_STOP_ALL));
    assert_ok(rein_process_continue(root));
    assert_error(rein_process_wait(root, LIMIT_MS), REIN_DETACHED);
    struct rein_event *event = expect_event(root, REIN_CAUSE_FORK);
    rein_process *child = rein_process_ref(event->cause.new_process);
    assert_non_null(child);
    later_unref_process(child);
    assert_free(rein_process_id(root));
    assert_ok(rein_process_wait(child, LIMIT_MS));
    assert_ok(rein_process_continue(child));
    expect_said(fixture, "id inner");
    tell(fixture);
    run_to_end(child);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

static enum rein_verdict let_child_go(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    int *child = arg;
    (void)thread;
    if (cause->new_process) {
        *child = rein_process_id(cause->new_process);
        if (rein_process_detach(cause->new_process, 0) != 0)
            *child = -1;
    }
    return REIN_VERDICT_POLICY;
}

/* C1, family: a callback can let the new process go. It carries no breakpoint. */
static void C1_follow_a_callback_lets_go(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "fork", NULL);
    rein_process *root = fixture->process;
    int child = 0;
    set_policy(root, REIN_IGNORE);
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
    assert_ok(rein_process_set_callback(root, let_child_go, &child));
    add_breakpoint(root, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(root));
    expect_said(fixture, "id inner");
    assert_free(child);
    tell(fixture);
    run_to_end(root);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

/* C1, P7, family: the parent is let go, and the child is held on; and the other way round. */
static void C1_P7_follow_and_let_one_go(void **state)
{
    (void)state;
    for (int parent_goes = 0; parent_goes < 2; parent_goes++) {
        struct fixture *fixture = spawn("family", "fork", NULL);
        rein_process *root = fixture->process;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        add_breakpoint(root, address_of(fixture, "hot"));
        rein_process *child = run_to_child(root, REIN_CAUSE_FORK);
        rein_process *goes = parent_goes ? root : child, *stays = parent_goes ? child : root;
        assert_ok(rein_process_detach(goes, 0));
        assert_free(rein_process_id(goes));
        assert_ok(rein_process_continue(stays));
        expect_said(fixture, "id inner");
        tell(fixture);
        run_to_end(stays);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok family"));
    }
}

/* C1, M12, family: the followed child executes another program: its breakpoints are forgotten, its parent's are not. */
static void C1_M12_follow_an_exec(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "exec", NULL);
    rein_process *root = fixture->process;
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
    rein_breakpoint *breakpoint = count_at(root, address_of(fixture, "hot"));
    rein_process *child = run_to_child(root, REIN_CAUSE_FORK);
    run_to_stop(child);
    char path[256];
    size_t count;
    rein_breakpoint **list;
    assert_int_equal(cause_of(first_thread(child)), REIN_CAUSE_EXEC);
    assert_ok(rein_process_program(child, path, sizeof path));
    assert_non_null(strstr(path, "/cat"));
    assert_ok(rein_process_breakpoints(child, &list, &count));
    assert_int_equal(count, 0);
    assert_ok(rein_process_breakpoints(root, &list, &count));
    assert_int_equal(count, 1);
    rein_breakpoint_list_free(list, count);
    assert_ok(rein_process_continue(child));
    close(fixture->in);
    fixture->in = -1;
    assert_error(rein_process_wait(child, LIMIT_MS), REIN_EXITED);
    run_to_end(root);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

/* C1, family: what can be done with a process while it runs in its parent's memory, and from its exec on. */
static void C1_follow_vfork(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "vfork", NULL);
    rein_process *root = fixture->process;
    rein_word pc = address_of(fixture, "hot");
    unsigned char before[2], byte[2];
    assert_ok(rein_process_read(root, pc, before, sizeof before, NULL));
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
    add_breakpoint(root, pc);
    rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
    assert_ok(rein_process_wait(child, LIMIT_MS)); /* it runs, past its parent's breakpoint, to its exec */
    rein_thread *thread = first_thread(child);
    assert_int_equal(cause_of(thread), REIN_CAUSE_EXEC);
    assert_int_equal(rein_thread_id(thread), rein_process_id(child));
    rein_breakpoint *own = add_breakpoint(child, pc_of(thread)); /* in its own memory */
    for (int i = 0; i < 3; i++)                                  /* the first may only end the exec */
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_equal(rein_breakpoint_hits(own), 1);
    assert_ok(rein_process_read(root, pc, byte, sizeof byte, NULL));
    assert_memory_equal(byte, before, sizeof byte);
    assert_ok(rein_process_continue(child));
    assert_ok(rein_process_continue(root));
    close(fixture->in);
    fixture->in = -1;
    assert_error(rein_process_wait(child, LIMIT_MS), REIN_EXITED);
    run_to_end(root);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

struct meeting {
    rein_process *child; /* counted */
    int stop, breakpoint, read, threads;
    unsigned char byte;
};

static enum rein_verdict meet_guest(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct meeting *meeting = arg;
    rein_thread **threads;
    size_t count;
    if (!meeting->child || rein_thread_id(thread) != rein_process_id(meeting->child))
        return REIN_VERDICT_GO_ON;
    meeting->breakpoint = rein_process_add_breakpoint(meeting->child, rein_breakpoint_pc(breakpoint) + 1, NULL, NULL);
    meeting->read = rein_process_read(meeting->child, rein_breakpoint_pc(breakpoint), &meeting->byte, 1, NULL);
    meeting->threads = -1;
    if (rein_process_threads(meeting->child, &threads, &count) == 0)
        meeting->threads = (int)count;
    rein_thread_list_free(threads, count);
    return REIN_VERDICT_GO_ON;
}

static enum rein_verdict note_child(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct meeting *meeting = arg;
    (void)thread;
    if (cause->kind == REIN_CAUSE_VFORK)
        meeting->child = rein_process_ref(cause->new_process);
    return REIN_VERDICT_POLICY;
}

/* C1, family: a vfork child that never has its own memory is told of and ends like any other; before, it has no threads, its
 * breakpoints are its parent's, and its memory is read without them. */
static void C1_follow_vfork_that_exits(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "vfork_exit", NULL);
    rein_process *root = fixture->process;
    struct meeting meeting = {0};
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_word pc = address_of(fixture, "hot");
    unsigned char byte;
    rein_breakpoint *breakpoint;
    assert_ok(rein_process_read(root, pc, &byte, 1, NULL));
    options.callback = meet_guest;
    options.arg = &meeting;
    assert_ok(rein_process_add_breakpoint(root, pc, &options, &breakpoint));
    report_tree(root);
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
    assert_ok(rein_process_set_callback(root, note_child, &meeting));
    run_to_end(root);
    assert_non_null(meeting.child);
    assert_int_equal(meeting.breakpoint, REIN_BAD_STATE);
    assert_int_equal(meeting.read, 0);
    assert_int_equal(meeting.byte, byte);
    assert_int_equal(meeting.threads, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 2);
    struct rein_event *event = expect_event(meeting.child, REIN_CAUSE_PROCESS_EXIT);
    assert_int_equal(event->cause.exit.status, 5);
    struct rein_event none;
    assert_error(rein_process_next_event(meeting.child, 0, &none), REIN_EXITED);
    rein_breakpoint_unref(breakpoint);
    rein_process_unref(meeting.child);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

/* C1, P7, family: the parent is let go while it waits for its vfork child, which is followed on. */
static void C1_P7_follow_vfork_and_let_the_parent_go(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct fixture *fixture = spawn("family", "vfork", NULL);
        rein_process *root = fixture->process;
        assert_ok(rein_process_set_follow(root, round % 2 ? REIN_FOLLOW_CHILD : REIN_FOLLOW_BOTH, 0));
        count_at(root, address_of(fixture, "hot"));
        set_policy(root, REIN_IGNORE);
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_VFORK, REIN_REPORT));
        assert_ok(rein_process_continue(root));
        struct rein_event *event = expect_event(root, REIN_CAUSE_VFORK);
        rein_process *child = rein_process_ref(event->cause.new_process);
        assert_non_null(child);
        later_unref_process(child);
        int result = rein_process_detach(root, 0);
        assert_true(result == 0 || (result == REIN_DETACHED && round % 2));
        close(fixture->in); /* /bin/cat ends by that */
        fixture->in = -1;
        run_to_end(child);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok family"));
    }
}

/* C1, family: a process in a namespace of its own is known by the id that is seen from outside, and tells its inner one. */
static void C1_follow_into_a_namespace(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "namespace", NULL);
    rein_process *root = fixture->process;
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
    set_policy(root, REIN_IGNORE);
    assert_ok(rein_process_set_policy(root, REIN_CAUSE_FORK, REIN_STOP_ALL));
    assert_ok(rein_process_continue(root));
    int result = rein_process_wait(root, LIMIT_MS);
    if (result == REIN_EXITED) {
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "not permitted"));
        print_message("skipped: no PID namespace can be made here (clone: EPERM)\n");
        skip();
    }
    assert_ok(result);
    struct rein_event *event = expect_event(root, REIN_CAUSE_FORK);
    rein_process *child = rein_process_ref(event->cause.new_process);
    later_unref_process(child);
    int inner = 0;
    assert_ok(rein_process_inner_id(child, &inner));
    assert_int_equal(inner, 1);
    assert_int_not_equal(rein_process_id(child), 1);
    assert_ok(rein_process_continue(child));
    assert_ok(rein_process_continue(root));
    assert_int_equal(said_id(fixture, "inner"), inner);
    tell(fixture);
    run_to_end(child);
    run_to_end(root);
    assert_int_equal(said_id(fixture, "child"), rein_process_id(child));
}

/* ---- Ends ---- */

/* Takes events of whatever there is until every process has ended. */
static void drain(void)
{
    struct rein_event event;
    int result;
    while ((result = rein_monitor_next_event(monitor, LIMIT_MS, &event)) == 0)
        rein_event_clear(&event);
    assert_error(result, REIN_NO_PROCESS);
}

/* C1, M9, fork_loop, vfork_loop: the root is killed at any moment; every process that was followed comes to its end, or
 * was let go, and nobody waits for ever. */
static void C1_M9_follow_killed(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct fixture *fixture =
            round % 2 ? spawn("vfork_loop", "3", "10000", NULL) : spawn("fork_loop", "3", "10000", "0", NULL);
        rein_process *root = fixture->process;
        struct tree *tree = make_tree(root);
        report_tree(root);
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        rein_breakpoint *breakpoint = count_in_tree(tree, root, address_of(fixture, "hot"));
        assert_ok(rein_process_continue(root));
        for (int i = 0; i < 10 + 3 * round; i++) {
            struct rein_event event;
            assert_ok(rein_monitor_next_event(monitor, LIMIT_MS, &event));
            rein_event_clear(&event);
        }
        assert_int_equal(kill(rein_process_id(root), SIGKILL), 0);
        drain();
        rein_breakpoint_unref(breakpoint);
        free_tree(tree);
    }
}

static enum rein_verdict remember(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    atomic_int *last = arg;
    (void)thread;
    if (cause->new_process)
        atomic_store(last, rein_process_id(cause->new_process));
    return REIN_VERDICT_POLICY;
}

/* C1, M10, tree, vfork_loop: the monitor is closed in the middle of a tree: all go on, unharmed, to their right end. */
static void C1_M10_follow_and_close(void **state)
{
    (void)state;
    for (int round = 0; round < 16; round++) {
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        rein_monitor *own;
        atomic_int last = 0;
        options.kind = monitor_kind();
        struct fixture *fixture =
            round % 2 ? start_waiting("vfork_loop", "3", "60", NULL) : start_waiting("tree", "1", "6", "5", NULL);
        rein_process *root;
        assert_ok(rein_monitor_create(&options, &own));
        assert_ok(rein_attach(own, fixture->pid, NULL, &root));
        set_policy(root, REIN_IGNORE);
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_FORK, REIN_REPORT));
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_VFORK, REIN_REPORT));
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        assert_ok(rein_process_set_callback(root, remember, &last));
        count_at(root, address_of(fixture, "hot"));
        assert_ok(rein_process_continue(root));
        tell(fixture);
        for (int i = 0; i < 1 + round; i++) {
            struct rein_event event;
            int result = rein_monitor_next_event(own, LIMIT_MS, &event);
            if (result == REIN_NO_PROCESS)
                break;
            assert_ok(result);
            rein_event_clear(&event);
        }
        assert_ok(rein_monitor_close(own));
        int id = atomic_load(&last);
        if (id)
            assert_int_not_equal(proc_tracer(id, id), 1 << 30); /* it may be gone; if not, see below */
        assert_ends(fixture, 0);
        rein_process_unref(root);
    }
}

struct ender {
    rein_word pc;     /* of hot, where addresses are always the same */
    const char *path; /* found once: fixture_path's string is one for all threads */
    const char *wrong;
};

static const char *end_one(const struct ender *ender)
{
    char name[] = "spin", threads[] = "4", calls[] = "150", *argv[] = {name, threads, calls, NULL};
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    rein_process *process;
    options.flags = REIN_SPAWN_NO_ASLR | REIN_SPAWN_NULL_STDIO;
    if (rein_spawn(monitor, ender->path, argv, NULL, NULL, NULL, 0, &options, &process) != 0)
        return "it cannot be started";
    const char *wrong = NULL;
    if (rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_REPORT) != 0 ||
        rein_process_add_breakpoint(process, ender->pc, NULL, NULL) != 0 || rein_process_continue(process) != 0)
        wrong = "it cannot be followed";
    else if (rein_process_wait(process, LIMIT_MS) != REIN_EXITED)
        wrong = "it does not end";
    rein_process_unref(process); /* with hundreds of events that nobody has taken */
    return wrong;
}

static void *end_and_give_up(void *arg)
{
    struct ender *ender = arg;
    int rounds = getenv("REIN_EMULATED") ? 2 : 40;
    for (int round = 0; round < rounds && !ender->wrong; round++)
        ender->wrong = end_one(ender);
    return NULL;
}

/* C1, M10, spin: the last handle of a process that has just ended is given up, with its events, while others have theirs. */
static void C1_M10_events_that_nobody_takes(void **state)
{
    (void)state;
    skip_if_lent();
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    char name[] = "spin", *argv[] = {name, NULL};
    options.flags = REIN_SPAWN_NO_ASLR;
    struct fixture *fixture = spawn_with(monitor, &options, "spin", argv);
    struct ender enders[3];
    pthread_t threads[3];
    char path[256];
    snprintf(path, sizeof path, "%s", fixture_path("spin"));
    for (size_t i = 0; i < 3; i++) {
        enders[i] = (struct ender){.pc = address_of(fixture, "hot"), .path = path};
        assert_int_equal(pthread_create(&threads[i], NULL, end_and_give_up, &enders[i]), 0);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < 3; i++) {
        if (enders[i].wrong)
            fail_msg("%s", enders[i].wrong);
    }
    assert_ok(rein_process_kill(fixture->process));
}

/* C1, E1: what cannot be. */
static void C1_follow_bad_input(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "fork", NULL);
    struct rein_event event;
    char path[4];
    int id;
    assert_error(rein_process_set_follow(NULL, REIN_FOLLOW_BOTH, 0), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_set_follow(fixture->process, (enum rein_follow)3, 0), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_set_follow(fixture->process, REIN_FOLLOW_BOTH, 1u << 7), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_parent_id(NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_depth(NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_program(NULL, path, sizeof path), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_program(fixture->process, path, 0), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_inner_id(fixture->process, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_monitor_next_event(NULL, 0, &event), REIN_INVALID_ARGUMENT);
    assert_error(rein_monitor_next_event(monitor, 0, NULL), REIN_INVALID_ARGUMENT);
    assert_error(rein_monitor_next_event(monitor, 0, &event), REIN_TIMEOUT);
    assert_error(rein_monitor_next_event(monitor, BRIEF_MS, &event), REIN_TIMEOUT);
    assert_int_equal(rein_process_parent_id(fixture->process), 0);
    assert_ok(rein_process_program(fixture->process, path, sizeof path));
    assert_int_equal(strlen(path), sizeof path - 1); /* cut */
    assert_ok(rein_process_kill(fixture->process));
    assert_error(rein_process_set_follow(fixture->process, REIN_FOLLOW_BOTH, 0), REIN_EXITED);
    assert_error(rein_process_program(fixture->process, path, sizeof path), REIN_EXITED);
    assert_error(rein_process_inner_id(fixture->process, &id), REIN_EXITED);
    assert_error(rein_monitor_next_event(monitor, LIMIT_MS, &event), REIN_NO_PROCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(C1_follow_a_tree),
        live_test(C1_follow_without_breakpoints),
        live_test(C1_follow_many),
        live_test(C1_follow_stops_both),
        live_test(C1_follow_the_child),
        live_test(C1_follow_a_callback_lets_go),
        live_test(C1_P7_follow_and_let_one_go),
        live_test(C1_M12_follow_an_exec),
        live_test(C1_follow_vfork),
        live_test(C1_follow_vfork_that_exits),
        live_test(C1_P7_follow_vfork_and_let_the_parent_go),
        live_test(C1_follow_into_a_namespace),
        live_test(C1_M9_follow_killed),
        live_test(C1_M10_follow_and_close),
        live_test(C1_M10_events_that_nobody_takes),
        live_test(C1_follow_bad_input),
    };
    return live_main(tests);
}
