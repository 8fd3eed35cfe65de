/* Process trees (C1): children that are followed, and what comes of them.
 *
 * Programs: tree (every way of making a process, nested), family (one child, step by step), fork_loop and vfork_loop (many,
 * from several threads), clone_vm (in shared memory, at the same time). */
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
    atomic_size_t count; /* the callback adds while others look: one that counts is whole */
    atomic_ulong hits;   /* as the callback counts */
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
    tree->members[tree->count].process = rein_process_ref(process);
    tree->count++;
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

/* The breakpoints that a copy begins with are its parent's; of a vfork child's memory they are the parent's themselves. */
static enum rein_verdict keep_breakpoint(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct tree *tree = arg;
    rein_breakpoint **list;
    size_t count;
    (void)thread;
    if ((cause->kind != REIN_CAUSE_FORK && cause->kind != REIN_CAUSE_VFORK) || !cause->new_process)
        return REIN_VERDICT_POLICY;
    add_member(tree, cause->new_process);
    if (rein_process_breakpoints(cause->new_process, &list, &count) == 0 && count == 1 &&
        cause->kind == REIN_CAUSE_FORK)
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
    atomic_int *child = arg;
    (void)thread;
    if (cause->new_process) {
        int id = rein_process_id(cause->new_process);
        atomic_store(child, rein_process_detach(cause->new_process, 0) == 0 ? id : -1);
    }
    return REIN_VERDICT_POLICY;
}

/* C1, family: a callback can let the new process go. It carries no breakpoint. */
static void C1_follow_a_callback_lets_go(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "fork", NULL);
    rein_process *root = fixture->process;
    atomic_int child = 0;
    set_policy(root, REIN_IGNORE);
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
    assert_ok(rein_process_set_callback(root, let_child_go, &child));
    add_breakpoint(root, address_of(fixture, "hot"));
    assert_ok(rein_process_continue(root));
    expect_said(fixture, "id inner");
    assert_free(atomic_load(&child));
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
    rein_thread *thread = first_thread(child);
    assert_ok(rein_process_continue(root));
    run_to_stop(child); /* past its parent's breakpoint, to its exec */
    assert_ptr_equal(first_thread(child), thread);
    assert_int_equal(cause_of(thread), REIN_CAUSE_EXEC);
    assert_int_equal(rein_thread_id(thread), rein_process_id(child));
    rein_word first = pc_of(thread);
    rein_breakpoint *own = add_breakpoint(child, first); /* in its own memory; it stands there, and goes past */
    for (int i = 0; i < 3; i++)
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_int_not_equal(pc_of(thread), first);
    assert_int_equal(rein_breakpoint_hits(own), 0);
    assert_ok(rein_process_read(root, pc, byte, sizeof byte, NULL));
    assert_memory_equal(byte, before, sizeof byte);
    assert_ok(rein_process_continue(child));
    close(fixture->in);
    fixture->in = -1;
    assert_error(rein_process_wait(child, LIMIT_MS), REIN_EXITED);
    run_to_end(root);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

/* How often the program, and its vfork child, have called hot, told by the memory that nobody has a copy of. */
static rein_word hot_calls(struct fixture *fixture)
{
    rein_word shared = 0, calls = 0;
    size_t word = word_size(fixture->process);
    assert_int_equal(raw_read(fixture->pid, address_of(fixture, "fixture_shared"), &shared, word), word);
    assert_int_equal(raw_read(fixture->pid, shared, &calls, word), word);
    return calls;
}

/* C1, family: a vfork child that is held has a thread like any other: its registers and memory are there, it is stepped, its
 * hits are its own, also of a breakpoint that was set through it, which is its parent's; and it is the same thread behind its exec
 * and to its end. */
static void C1_vfork_child_is_seen(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        bool executes = round % 2, parent_runs = round / 2;
        struct fixture *fixture = spawn("family", executes ? "vfork" : "vfork_exit", NULL);
        rein_process *root = fixture->process;
        rein_word pc = address_of(fixture, "hot");
        unsigned char before[2], byte[2];
        size_t count;
        rein_breakpoint **list, *breakpoint;
        assert_ok(rein_process_read(root, pc, before, sizeof before, NULL));
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
        rein_thread *parent = first_thread(root), *thread = first_thread(child);
        assert_ptr_equal(rein_thread_process(thread), child);
        assert_int_equal(rein_thread_id(thread), rein_process_id(child));
        assert_int_equal(thread_count(child), 1);
        assert_int_equal(thread_count(root), 1);
        int memory = 0;
        assert_ok(rein_process_memory_id(child, &memory));
        assert_int_equal(memory, rein_process_id(root));
        assert_error(rein_process_thread(root, rein_thread_id(thread), &(rein_thread *){NULL}), REIN_NO_THREAD);
        assert_state(thread, REIN_STATE_STOPPED);
        assert_state(parent, REIN_STATE_STOPPED_FORK);
        char name[16];
        assert_ok(rein_thread_name(thread, name));
        assert_string_equal(name, "family");
        assert_word(pc_of(thread), pc_of(parent));
        if (parent_runs) {
            assert_ok(rein_thread_continue(parent));
            assert_state(parent, REIN_STATE_RUNNING);
            struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
            assert_error(rein_process_add_breakpoint(child, pc, NULL, NULL), REIN_BAD_STATE);
            options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
            assert_ok(rein_process_add_breakpoint(child, pc, &options, &breakpoint));
        } else {
            assert_ok(rein_process_add_breakpoint(child, pc, NULL, &breakpoint));
        }
        assert_error(
            rein_process_add_watchpoint(child, address_of(fixture, "fixture_shared"), 4, REIN_WATCH_WRITE, NULL, NULL),
            REIN_BAD_STATE);
        assert_ok(rein_process_breakpoints(root, &list, &count));
        assert_int_equal(count, 1);
        assert_ptr_equal(list[0], breakpoint);
        rein_breakpoint_list_free(list, count);
        for (int i = 0; i < 3; i++)
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        assert_state(thread, REIN_STATE_STOPPED_STEP);
        assert_int_equal(hot_calls(fixture), 0);
        assert_ok(rein_process_set_policy(child, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
        run_to_stop(child);
        assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
        assert_word(pc_of(thread), pc);
        struct rein_event *event = expect_event(child, REIN_CAUSE_BREAKPOINT);
        assert_ptr_equal(event->thread, thread);
        assert_no_event(root);
        assert_ok(rein_process_read(child, pc, byte, sizeof byte, NULL));
        assert_memory_equal(byte, before, sizeof byte);
        rein_word shared = address_of(fixture, "fixture_shared"), kept = 0, seen = 0, other = 42;
        size_t word = word_size(child);
        assert_ok(rein_thread_read(thread, shared, &kept, word, NULL));
        assert_ok(rein_thread_write(thread, shared, &other, word, NULL));
        assert_ok(rein_process_read(root, shared, &seen, word, NULL));
        assert_word(seen, other);
        assert_ok(rein_process_write(child, shared, &kept, word, NULL));
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        assert_true(pc_of(thread) != pc);
        assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
        assert_ok(rein_process_continue(child));
        if (executes) {
            assert_ok(rein_process_wait(child, LIMIT_MS));
            assert_state(thread, REIN_STATE_STOPPED_EXEC);
            assert_ptr_equal(first_thread(child), thread);
            assert_ok(rein_process_memory_id(child, &memory));
            assert_int_equal(memory, rein_process_id(child));
            assert_ok(rein_process_breakpoints(child, &list, &count));
            assert_int_equal(count, 0);
            rein_breakpoint_list_free(list, count);
            close(fixture->in);
            fixture->in = -1;
        }
        run_to_end(child);
        assert_state(thread, REIN_STATE_EXITED);
        run_to_end(root);
        assert_int_equal(rein_breakpoint_hits(breakpoint), 2);
        rein_breakpoint_unref(breakpoint);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok family"));
    }
}

/* C1, family: what a vfork child makes in the same memory is followed, too, has the same breakpoints, and ends by itself. */
static void C1_vfork_child_of_a_vfork_child(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct fixture *fixture = spawn("family", "vfork_nested", NULL);
        rein_process *root = fixture->process;
        int memory = 0;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
        rein_breakpoint *breakpoint = add_breakpoint(root, address_of(fixture, "hot"));
        rein_process *child = run_to_child(root, REIN_CAUSE_VFORK), *grandchild = run_to_child(child, REIN_CAUSE_VFORK);
        assert_int_equal(rein_process_parent_id(grandchild), rein_process_id(child));
        assert_int_equal(rein_process_depth(grandchild), 2);
        assert_ok(rein_process_memory_id(grandchild, &memory));
        assert_int_equal(memory, rein_process_id(root));
        rein_thread *thread = first_thread(grandchild);
        assert_state(thread, REIN_STATE_STOPPED);
        assert_int_equal(rein_breakpoint_hits(breakpoint), 1); /* the child's */
        assert_ok(rein_process_set_policy(grandchild, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
        run_to_stop(grandchild);
        assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
        assert_ok(rein_process_set_policy(grandchild, REIN_CAUSE_BREAKPOINT, REIN_IGNORE));
        if (round == 1)
            assert_ok(rein_process_detach(child, 0)); /* it waits in the kernel */
        else if (round == 2)
            assert_ok(rein_process_detach(grandchild, 0));
        else if (round == 3)
            assert_ok(rein_process_detach(root, 0));
        if (round != 2)
            run_to_end(grandchild);
        if (round != 1)
            run_to_end(child);
        if (round != 3)
            run_to_end(root);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok family"));
        assert_int_equal(rein_breakpoint_hits(breakpoint), round == 3 ? 2 : 3);
    }
}

/* C1, clone_vm: a process in its parent's memory that runs is stopped, wherever it is; a breakpoint that is taken out through it
 * is gone from its parent. */
static void C1_shared_memory_child_is_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("clone_vm", "1", "100000000", NULL);
    rein_process *root = fixture->process;
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
    rein_process *child = run_to_child(root, REIN_CAUSE_FORK);
    rein_thread *thread = first_thread(child);
    rein_breakpoint *breakpoint = add_breakpoint(root, address_of(fixture, "hot"));
    assert_ok(rein_process_set_policy(child, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    for (int i = 0; i < 20; i++) {
        if (i == 10)
            assert_ok(rein_process_remove_breakpoint(child, address_of(fixture, "hot"), 0));
        assert_ok(rein_process_continue(child));
        if (i < 10) {
            assert_ok(rein_process_wait(child, LIMIT_MS));
            assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
        } else {
            assert_ok(rein_process_stop(child, LIMIT_MS));
            assert_state(thread, REIN_STATE_STOPPED);
        }
        if (i >= 10)
            for (int steps = 0; steps < 10; steps++)
                assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    }
    assert_int_equal(rein_breakpoint_hits(breakpoint), 10);
    assert_ok(rein_process_kill(child));
    assert_ok(rein_process_kill(root));
}

/* C1, clone_vm: both run in the same memory, and each hit is told of whose it is. */
static void C1_shared_memory_hits_are_told_apart(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct fixture *fixture = spawn("clone_vm", "8", "30", NULL);
        rein_process *root = fixture->process;
        enum rein_policy policy = round == 0 ? REIN_REPORT : round == 1 ? REIN_STOP_THREAD : REIN_STOP_ALL;
        struct rein_event event;
        rein_word hits = 0, of_children = 0;
        int result;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        rein_breakpoint *breakpoint = add_breakpoint(root, address_of(fixture, "hot"));
        report_tree(root);
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_BREAKPOINT, policy));
        assert_ok(rein_process_continue(root));
        while ((result = rein_monitor_next_event(monitor, LIMIT_MS, &event)) == 0) {
            rein_process *process = rein_thread_process(event.thread);
            if (event.cause.kind == REIN_CAUSE_BREAKPOINT) {
                assert_int_equal(rein_thread_id(event.thread), rein_process_id(process));
                hits++;
                of_children += process != root;
                if (policy == REIN_STOP_THREAD)
                    assert_ok(rein_thread_continue(event.thread));
                else if (policy == REIN_STOP_ALL)
                    assert_ok(rein_process_continue(process));
            }
            rein_event_clear(&event);
        }
        assert_error(result, REIN_NO_PROCESS);
        read_to_end(fixture);
        assert_int_equal(hits, said_count(fixture, "hot"));
        assert_int_equal(of_children, said_count(fixture, "child_hot"));
        assert_int_equal(rein_breakpoint_hits(breakpoint), hits);
        assert_non_null(has_said(fixture, "ok clone_vm"));
    }
}

/* How a vfork child that waits is let run. */
enum release {
    BY_PROCESS,
    BY_THREAD,
    BY_STEPS,
    BY_ITSELF, /* before its parent */
    BY_LETTING_IT_GO,
    BY_LETTING_PARENT_GO,
    BY_KILL,
    RELEASE_COUNT,
};

/* Waits so that a monitor that is lent the thread can do its part. */
static void await_zombie(rein_process *root, int id)
{
    struct rein_event event;
    double limit = now() + LIMIT_MS / 1000.0;
    while (proc_state(id, id) != 'Z' && now() < limit)
        assert_error(rein_process_next_event(root, 10, &event), REIN_TIMEOUT);
    assert_int_equal(proc_state(id, id), 'Z');
}

static void release(enum release release, rein_process *root, rein_thread *parent, rein_process *child)
{
    rein_thread *thread = first_thread(child);
    enum rein_state parents;
    assert_ok(rein_thread_state(parent, &parents));
    if (release == BY_THREAD && rein_state_is_stopped(parents))
        assert_ok(rein_thread_continue(parent));
    else if ((release == BY_PROCESS || release == BY_STEPS) && rein_state_is_stopped(parents))
        assert_ok(rein_process_continue(root));
    switch (release) {
    case BY_PROCESS:
    case BY_ITSELF:
        assert_ok(rein_process_continue(child));
        break;
    case BY_THREAD:
        assert_ok(rein_thread_continue(thread));
        break;
    case BY_STEPS:
        for (int i = 0; i < 5; i++)
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        assert_ok(rein_thread_continue(thread));
        break;
    case BY_LETTING_IT_GO:
        assert_ok(rein_process_detach(child, 0));
        break;
    case BY_LETTING_PARENT_GO:
        assert_ok(rein_process_detach(root, 0));
        break;
    case BY_KILL:
        assert_ok(rein_process_kill(child));
        break;
    default:
        fail();
    }
}

/* The child has ended as it does by itself, and the parent, if it is held, comes to its end. */
static void end_family(struct fixture *fixture, enum release release, rein_process *child)
{
    rein_process *root = fixture->process;
    if (release != BY_LETTING_IT_GO) {
        struct rein_exit how;
        run_to_end(child);
        assert_ok(rein_process_exit(child, &how));
        assert_int_equal(how.signaled ? -how.signal : how.status, release == BY_KILL ? -SIGKILL : 5);
    }
    if (release == BY_LETTING_PARENT_GO) {
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok family"));
        return;
    }
    run_to_end(root);
    read_to_end(fixture);
    assert_true((has_said(fixture, "ok family") != NULL) ==
                (release != BY_KILL)); /* it looks how its child has ended */
}

struct leaving {
    rein_process *root, *child;
    bool executes;
};

/* On the monitor, so that nothing comes in between that takes time. */
static int stop_behind_child(void *arg)
{
    const struct leaving *leaving = arg;
    int result = rein_process_continue(leaving->child);
    if (!result)
        result = rein_process_wait(leaving->child, LIMIT_MS);
    if (result != (leaving->executes ? 0 : REIN_EXITED))
        return result ? result : REIN_BAD_STATE;
    return rein_process_stop(leaving->root, LIMIT_MS);
}

/* C1, family: a vfork child's end, or its exec, is told when its parent is about to come out of the kernel: that is waited
 * for by who stops the parent then, and finds it stopped. */
static void C1_vfork_child_has_left(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct leaving leaving = {.executes = round % 2};
        struct fixture *fixture = spawn("family", leaving.executes ? "vfork" : "vfork_exit", NULL);
        leaving.root = fixture->process;
        assert_ok(rein_process_set_follow(leaving.root, REIN_FOLLOW_BOTH, 0));
        leaving.child = run_to_child(leaving.root, REIN_CAUSE_VFORK);
        rein_thread *parent = first_thread(leaving.root);
        assert_ok(rein_process_continue(leaving.root));
        int result = rein_monitor_run(monitor, stop_behind_child, &leaving);
        if (result != REIN_EXITED) { /* which it may have, by then */
            assert_ok(result);
            assert_int_not_equal(pc_of(parent), 0);
        }
        if (leaving.executes)
            assert_ok(rein_process_continue(leaving.child));
        close(fixture->in);
        fixture->in = -1;
        if (result == 0)
            run_to_end(leaving.root);
    }
}

/* C1, family: the event that stops the parent stops the vfork child, too, before it has run any code, until it is continued or
 * let go by itself; with breakpoints, which it hits then though its parent may be stopped, and without. */
static void C1_vfork_child_is_held(void **state)
{
    (void)state;
    for (int round = 0; round < 2 * RELEASE_COUNT; round++) {
        enum release by = (enum release)(round % RELEASE_COUNT);
        bool breaks = round < RELEASE_COUNT;
        struct fixture *fixture = spawn("family", "vfork_exit", NULL);
        rein_process *root = fixture->process;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        rein_breakpoint *breakpoint = breaks ? count_at(root, address_of(fixture, "hot")) : NULL;
        rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
        rein_thread *parent = first_thread(root);
        int id = rein_process_id(child);
        assert_state(parent, REIN_STATE_STOPPED_FORK);
        assert_ok(rein_process_stop(child, LIMIT_MS));
        assert_ok(rein_process_wait(child, 0));
        for (int i = 0; i < 20; i++) { /* it would have run by now */
            assert_int_equal(proc_state(id, id), 't');
            assert_int_equal(hot_calls(fixture), 0);
            assert_ok(rein_process_stop(root, LIMIT_MS));
        }
        rein_thread *thread = first_thread(child);
        release(by, root, parent, child);
        if (by == BY_ITSELF || by == BY_LETTING_IT_GO) { /* instead of its parent, which does not see to it yet */
            await_zombie(root, id);
            assert_int_equal(hot_calls(fixture), 1);
            assert_int_equal(breaks ? rein_breakpoint_hits(breakpoint) : 1, 1);
            assert_state(parent, REIN_STATE_STOPPED_FORK);
        } else if (by == BY_LETTING_PARENT_GO) { /* it has its own breakpoints now, and is held on */
            assert_ok(rein_process_wait(child, LIMIT_MS));
            assert_ptr_equal(first_thread(child), thread);
            assert_state(thread, REIN_STATE_STOPPED);
            assert_int_equal(hot_calls(fixture), 0);
        }
        end_family(fixture, by, child);
        if (breaks && by != BY_LETTING_PARENT_GO && by != BY_KILL)
            assert_int_equal(rein_breakpoint_hits(breakpoint), 2);
    }
}

/* C1, family: a vfork child that has stopped at a breakpoint goes on by the same, and stops nobody else. */
static void C1_vfork_child_that_is_hit_goes_on(void **state)
{
    (void)state;
    for (int round = 0; round < 2 * RELEASE_COUNT; round++) {
        enum release by = (enum release)(round % RELEASE_COUNT);
        struct fixture *fixture = spawn("family", "vfork_exit", NULL);
        rein_process *root = fixture->process;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        rein_breakpoint *breakpoint = add_breakpoint(root, address_of(fixture, "hot"));
        rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
        rein_thread *parent = first_thread(root);
        bool all = by == BY_THREAD || round < RELEASE_COUNT;
        assert_ok(rein_process_set_policy(child, REIN_CAUSE_BREAKPOINT, all ? REIN_STOP_ALL : REIN_STOP_THREAD));
        if (by != BY_ITSELF)
            assert_ok(rein_thread_continue(parent));
        assert_ok(rein_process_continue(child));
        struct rein_event *event = expect_event(child, REIN_CAUSE_BREAKPOINT);
        rein_thread *guest = event->thread;
        assert_ptr_equal(guest, first_thread(child));
        assert_state(guest, REIN_STATE_STOPPED_BREAKPOINT);
        assert_state(parent, by == BY_ITSELF ? REIN_STATE_STOPPED_FORK : REIN_STATE_RUNNING);
        assert_int_equal(hot_calls(fixture), 0);
        set_policy(child, REIN_IGNORE);
        release(by, root, parent, child);
        if (by == BY_LETTING_PARENT_GO) {
            assert_state(guest, REIN_STATE_STOPPED_BREAKPOINT);
            assert_word(pc_of(guest), address_in("family", rein_process_id(child), "hot"));
        }
        end_family(fixture, by, child);
        bool passed = by != BY_LETTING_PARENT_GO && by != BY_KILL;
        assert_int_equal(rein_breakpoint_hits(breakpoint), passed ? 2 : 1);
    }
}

/* C1, vfork_loop: of several threads that wait for a child each, continuing one's child lets that run, and no other's. */
static void C1_vfork_children_of_several(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct fixture *fixture = spawn("vfork_loop", "3", "1", NULL);
        rein_process *root = fixture->process, *children[3];
        rein_thread *parents[3];
        struct rein_event event;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
        rein_breakpoint *breakpoint = round % 2 ? count_at(root, address_of(fixture, "hot")) : NULL;
        set_policy(root, REIN_IGNORE);
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_VFORK, REIN_STOP_THREAD));
        assert_ok(rein_process_continue(root));
        for (int i = 0; i < 3; i++) {
            assert_ok(rein_process_next_event(root, LIMIT_MS, &event));
            assert_int_equal(event.cause.kind, REIN_CAUSE_VFORK);
            children[i] = rein_process_ref(event.cause.new_process);
            parents[i] = rein_thread_ref(event.thread);
            later_unref_process(children[i]);
            later_unref_thread(parents[i]);
            rein_event_clear(&event);
        }
        for (int i = 0; i < 3; i++) {
            assert_int_equal(hot_calls(fixture), 3 + i); /* once by each parent before */
            for (int other = i; other < 3; other++)
                assert_int_equal(proc_state(rein_process_id(children[other]), rein_process_id(children[other])), 't');
            assert_ok(rein_thread_continue(parents[i]));
            run_to_end(children[i]);
        }
        run_to_end(root);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok vfork_loop"));
        if (breakpoint)
            assert_int_equal(rein_breakpoint_hits(breakpoint), 6);
    }
}

/* C1, vfork_loop: many that are stopped at their birth, and at hits, and let run in one of these ways, from several
 * threads; no hit is lost, and nobody waits. */
static void C1_vfork_children_held_many_times(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        struct fixture *fixture = spawn("vfork_loop", "3", "40", NULL);
        rein_process *root = fixture->process;
        struct rein_event event;
        int result, births = 0;
        bool breaks = round % 2, stops = round >= 4;
        report_tree(root);
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_EXEC, REIN_IGNORE));
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_VFORK, REIN_STOP_THREAD));
        assert_ok(rein_process_set_policy(root, REIN_CAUSE_BREAKPOINT, stops ? REIN_STOP_THREAD : REIN_IGNORE));
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
        rein_breakpoint *breakpoint = breaks ? add_breakpoint(root, address_of(fixture, "hot")) : NULL;
        assert_ok(rein_process_continue(root));
        while ((result = rein_monitor_next_event(monitor, LIMIT_MS, &event)) == 0) {
            rein_process *child = event.cause.kind == REIN_CAUSE_VFORK ? event.cause.new_process : NULL;
            if (event.cause.kind == REIN_CAUSE_BREAKPOINT)
                rein_thread_continue(event.thread); /* whom nobody has followed has gone on with its parent, perhaps */
            if (child) {
                if (births % 3 == 0)
                    assert_ok(rein_process_continue(child));
                else if (births % 3 == 1)
                    assert_ok(rein_process_detach(child, 0));
                assert_ok(rein_thread_continue(event.thread));
                if (births % 3 == 2)
                    assert_ok(rein_process_continue(child));
                births++;
            }
            rein_event_clear(&event);
        }
        assert_error(result, REIN_NO_PROCESS);
        assert_int_equal(births, 3 * 40);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok vfork_loop"));
        if (breakpoint)
            assert_int_equal(rein_breakpoint_hits(breakpoint), said_count(fixture, "hot"));
    }
}

/* C1, M9, M10, vfork_loop: the parent is killed while its vfork child is held, at its birth or at a hit, which is held
 * on by itself; or the monitor is closed, and both go on. */
static void C1_M9_M10_vfork_child_is_held_at_the_end(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        rein_monitor *own;
        rein_process *root;
        bool closes = round % 2, breaks = round % 6 >= 2, at_hit = round % 6 >= 4;
        options.kind = monitor_kind();
        struct fixture *fixture = start_waiting("vfork_loop", "1", "3", NULL);
        assert_ok(rein_monitor_create(&options, &own));
        assert_ok(rein_attach(own, fixture->pid, NULL, &root));
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
        if (breaks)
            add_breakpoint(root, address_of(fixture, "hot"));
        tell(fixture);
        rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
        rein_thread *thread = first_thread(child);
        if (at_hit) {
            assert_ok(rein_process_set_policy(child, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
            run_to_stop(child);
            assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
            assert_ok(rein_process_set_policy(child, REIN_CAUSE_BREAKPOINT, REIN_IGNORE));
        }
        if (closes) {
            assert_ok(rein_monitor_close(own));
            assert_error(rein_process_wait(child, 0), REIN_DETACHED);
            assert_ends(fixture, 0);
        } else {
            assert_ok(rein_process_kill(root));
            assert_ok(rein_process_wait(child, LIMIT_MS));
            assert_ptr_equal(first_thread(child), thread);
            assert_state(thread, at_hit ? REIN_STATE_STOPPED_BREAKPOINT : REIN_STATE_STOPPED);
            assert_true(pc_of(thread) != 0);
            run_to_end(child);
            assert_ok(rein_monitor_close(own));
        }
        rein_process_unref(root);
    }
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

static enum rein_verdict note_child(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)thread;
    rein_process **child = arg;
    if (cause->new_process)
        *child = rein_process_ref(cause->new_process);
    return REIN_VERDICT_GO_ON;
}

/* C1, T1, family: a step over the vfork itself stops who makes it, and not the child, as the event is not to stop anybody: it would
 * wait for nobody knows what, and its parent for it. */
static void C1_T1_step_over_a_vfork(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "vfork_exit", NULL);
    rein_process *root = fixture->process, *child = NULL;
    set_policy(root, REIN_IGNORE);
    assert_ok(rein_process_set_policy(root, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
    rein_breakpoint *breakpoint = add_breakpoint(root, address_of(fixture, "main"));
    run_to_stop(root);
    assert_ok(rein_process_remove_breakpoint(root, rein_breakpoint_pc(breakpoint), 0));
    assert_ok(rein_process_set_callback(root, note_child, &child));
    enum { STEPS_MAX = 100000 };
    rein_thread *parent = first_thread(root);
    for (int i = 0; i < STEPS_MAX && !child; i++)
        assert_ok(rein_thread_step(parent, 0, LIMIT_MS));
    assert_non_null(child);
    later_unref_process(child);
    run_to_end(root);
    assert_error(rein_process_wait(child, LIMIT_MS), REIN_EXITED);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

static bool let_go_at_the_third(rein_thread *thread, void *arg)
{
    int *steps = arg;
    if (++*steps == 3)
        rein_process_detach(rein_thread_process(thread), 0);
    return false;
}

/* C1, T1, P7, family: who waits for steps of a vfork child hears of it when that is let go meanwhile. */
static void C1_P7_vfork_child_is_let_go_in_its_steps(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct fixture *fixture = spawn("family", "vfork_exit", NULL);
        rein_process *root = fixture->process;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
        rein_breakpoint *breakpoint = round ? count_at(root, address_of(fixture, "hot")) : NULL;
        rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
        int steps = 0;
        struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
        options.until = let_go_at_the_third;
        options.arg = &steps;
        assert_error(rein_thread_step_many(first_thread(child), &options, LIMIT_MS, NULL), REIN_DETACHED);
        assert_int_equal(steps, 3);
        run_to_end(root);
        read_to_end(fixture);
        assert_non_null(has_said(fixture, "ok family"));
        if (breakpoint)
            assert_int_equal(rein_breakpoint_hits(breakpoint), 2);
    }
}

/* C1, T2, P7, family: signals that steps have held back are the child's, also when that is let go. */
static void C1_T2_P7_vfork_child_keeps_its_signals(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        struct fixture *fixture = spawn("family", "vfork_exit", NULL);
        rein_process *root = fixture->process;
        assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
        if (round)
            count_at(root, address_of(fixture, "hot"));
        rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
        rein_thread *thread = first_thread(child);
        set_policy(child, REIN_IGNORE);
        assert_ok(rein_process_set_policy(child, REIN_CAUSE_SIGNAL, REIN_STOP_ALL));
        /* It is let go with the first; what is behind that has to be sent to it. */
        assert_int_equal(kill(rein_process_id(child), SIGURG), 0);
        assert_int_equal(kill(rein_process_id(child), SIGPROF), 0);
        run_to_stop(child);
        assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
        for (int i = 0; i < 2; i++)
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS)); /* it keeps them back */
        assert_ok(rein_process_detach(child, 0));
        run_to_end(root);
        read_to_end(fixture);
        assert_null(has_said(fixture, "ok family")); /* the child has died of it */
    }
}

/* A vfork child that runs, and waits to be told; nobody stops of it but itself. */
static rein_process *run_to_waiting_child(struct fixture *fixture)
{
    rein_process *root = fixture->process;
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
    rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
    set_policy(root, REIN_IGNORE);
    set_policy(child, REIN_IGNORE);
    assert_ok(rein_process_continue(root));
    assert_ok(rein_process_continue(child));
    return child;
}

/* It ends as it does by itself. */
static void end_waiting_child(struct fixture *fixture, rein_process *child)
{
    struct rein_exit how;
    tell(fixture);
    run_to_end(child);
    assert_ok(rein_process_exit(child, &how));
    assert_false(how.signaled);
    assert_int_equal(how.status, 5);
}

/* C1, M7, family: a vfork child's group-stop is its own, and told once. */
static void C1_M7_group_stop_of_a_vfork_child(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "vfork_waits", NULL);
    rein_process *child = run_to_waiting_child(fixture);
    rein_thread *thread = first_thread(child);
    struct rein_event nothing;
    assert_ok(rein_process_set_policy(child, REIN_CAUSE_GROUP_STOP, REIN_STOP_ALL));
    for (int round = 0; round < 3; round++) {
        assert_int_equal(kill(rein_process_id(child), SIGSTOP), 0);
        assert_ok(rein_process_wait(child, LIMIT_MS));
        assert_state(thread, REIN_STATE_STOPPED_GROUP);
        struct rein_event *event = expect_event(child, REIN_CAUSE_GROUP_STOP);
        assert_int_equal(event->cause.signal.number, SIGSTOP);
        assert_ok(rein_process_continue(child));
        assert_ok(rein_process_stop(child, LIMIT_MS)); /* it is in it still, which is no news */
        assert_error(rein_process_next_event(child, 0, &nothing), REIN_TIMEOUT);
        assert_ok(rein_process_continue(child));
        assert_int_equal(kill(rein_process_id(child), SIGCONT), 0);
    }
    end_waiting_child(fixture, child);
    run_to_end(fixture->process);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

struct parent_to_let_go {
    rein_process *parent;
    int child;
    bool done;
};

/* The signal has stopped the child, of which the monitor hears when it is letting the parent go. */
static enum rein_verdict signal_child_and_let_parent_go(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)thread;
    struct parent_to_let_go *what = arg;
    if (cause->kind != REIN_CAUSE_SIGNAL)
        return REIN_VERDICT_GO_ON;
    kill(what->child, SIGUSR1);
    for (double limit = now() + LIMIT_S; proc_state(what->child, what->child) != 't' && now() < limit;)
        sleep_ms(1);
    rein_process_detach(what->parent, 0);
    what->done = true;
    return REIN_VERDICT_STOP_ALL;
}

/* C1, P7, family: a signal that comes to a vfork child just while its parent is let go is told, and delivered when the caller
 * says so. */
static void C1_P7_signal_while_the_parent_is_let_go(void **state)
{
    (void)state;
    for (int delivered = 0; delivered < 2; delivered++) {
        struct fixture *fixture = spawn("family", "vfork_waits", NULL), *other = spawn("spin", "1", NULL);
        rein_process *child = run_to_waiting_child(fixture);
        rein_thread *thread = first_thread(child);
        struct parent_to_let_go what = {fixture->process, rein_process_id(child), false};
        assert_ok(rein_process_set_policy(child, REIN_CAUSE_SIGNAL, REIN_STOP_ALL));
        assert_ok(rein_process_set_callback(other->process, signal_child_and_let_parent_go, &what));
        assert_int_equal(kill(other->pid, SIGURG), 0);
        assert_ok(rein_process_continue(other->process));
        assert_ok(rein_process_wait(other->process, LIMIT_MS));
        assert_true(what.done);
        assert_ok(rein_process_wait(child, LIMIT_MS));
        assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
        struct rein_event *event = expect_event(child, REIN_CAUSE_SIGNAL);
        assert_int_equal(event->cause.signal.number, SIGUSR1);
        assert_error(rein_process_wait(fixture->process, LIMIT_MS), REIN_DETACHED);
        if (delivered) {
            struct rein_exit how;
            run_to_end(child);
            assert_ok(rein_process_exit(child, &how));
            assert_int_equal(how.signaled ? how.signal : 0, SIGUSR1);
        } else {
            assert_ok(rein_thread_set_signal(thread, 0));
            assert_ok(rein_process_continue(child));
            end_waiting_child(fixture, child);
            read_to_end(fixture);
            assert_non_null(has_said(fixture, "ok family"));
        }
        assert_ok(rein_process_kill(other->process));
    }
}

/* C1, P7, family: a vfork child that is let go while it runs is free, not just hidden: another could trace it. */
static void C1_P7_vfork_child_is_let_go_while_it_runs(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "vfork_waits", NULL);
    rein_process *root = fixture->process, *child = run_to_waiting_child(fixture);
    int id = rein_process_id(child);
    assert_ok(rein_process_detach(child, 0));
    struct rein_event event;
    for (double limit = now() + LIMIT_S; proc_tracer(id, id) != 0 && now() < limit;)
        assert_error(rein_process_next_event(root, 10, &event), REIN_TIMEOUT);
    assert_int_equal(proc_tracer(id, id), 0);
    /* With the first breakpoint it is looked after once more. */
    rein_breakpoint *breakpoint = count_at(root, address_of(fixture, "hot"));
    assert_int_not_equal(proc_tracer(id, id), 0);
    tell(fixture);
    run_to_end(root);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
}

/* C1, P7, family: a vfork child whose parent is let go runs in the memory of somebody who would die of breakpoints. It
 * can have them when it has its own. */
static void C1_P7_no_breakpoints_in_memory_that_was_let_go(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "vfork", NULL);
    rein_process *root = fixture->process;
    assert_ok(rein_process_set_follow(root, REIN_FOLLOW_BOTH, 0));
    rein_process *child = run_to_child(root, REIN_CAUSE_VFORK);
    rein_word pc = address_of(fixture, "hot");
    assert_ok(rein_process_detach(root, 0));
    rein_thread *thread = first_thread(child);
    assert_ok(rein_process_stop(child, LIMIT_MS));
    assert_error(rein_process_add_breakpoint(child, pc, NULL, NULL), REIN_BAD_STATE);
    run_to_stop(child);
    assert_state(thread, REIN_STATE_STOPPED_EXEC);
    add_breakpoint(child, pc_of(thread));
    assert_ok(rein_process_remove_breakpoint(child, pc_of(thread), 0));
    close(fixture->in);
    fixture->in = -1;
    run_to_end(child);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok family"));
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
        live_test(C1_vfork_child_is_seen),
        live_test(C1_vfork_child_of_a_vfork_child),
        live_test(C1_shared_memory_child_is_stopped),
        live_test(C1_shared_memory_hits_are_told_apart),
        live_test(C1_vfork_child_has_left),
        live_test(C1_vfork_child_is_held),
        live_test(C1_vfork_child_that_is_hit_goes_on),
        live_test(C1_vfork_children_of_several),
        live_test(C1_vfork_children_held_many_times),
        live_test(C1_M9_M10_vfork_child_is_held_at_the_end),
        live_test(C1_P7_follow_vfork_and_let_the_parent_go),
        live_test(C1_T1_step_over_a_vfork),
        live_test(C1_P7_vfork_child_is_let_go_in_its_steps),
        live_test(C1_M7_group_stop_of_a_vfork_child),
        live_test(C1_P7_signal_while_the_parent_is_let_go),
        live_test(C1_P7_vfork_child_is_let_go_while_it_runs),
        live_test(C1_T2_P7_vfork_child_keeps_its_signals),
        live_test(C1_P7_no_breakpoints_in_memory_that_was_let_go),
        live_test(C1_follow_into_a_namespace),
        live_test(C1_M9_follow_killed),
        live_test(C1_M10_follow_and_close),
        live_test(C1_M10_events_that_nobody_takes),
        live_test(C1_follow_bad_input),
    };
    return live_main(tests);
}
