/* P5 P7: rooms for copies of instructions that rein has a thread of the program map, where there is none near the code:
 * a compiler's at run time, far from all files; more breakpoints than the file has room for; files that have none.
 * Programs: compiled, moved. */
#include "support.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#include "engine/process.h"

/* The backend, but no file has room. */
static struct os_backend roomless;
static atomic_int maps;          /* how often a room was looked for */
static atomic_int gap_error;     /* what that ends with, if not 0 */
static atomic_bool fails_to_map; /* the call cannot be made */
static int (*at_gap)(int id);    /* is called then, if not NULL */

static int find_no_room(int id, uint64_t address, uint64_t *start, uint64_t *size)
{
    (void)id, (void)address, (void)start, (void)size;
    return 0;
}

static int find_gap(int id, uint64_t address, bool above, uint64_t *start, uint64_t *size)
{
    atomic_fetch_add(&maps, 1);
    if (at_gap)
        at_gap(id);
    int error = atomic_load(&gap_error);
    return error ? -error : os_backend.find_gap(id, address, above, start, size);
}

static struct arch_call naming; /* the last one */

static int known_call(const struct arch *arch, enum os_call which, const uint64_t arguments[6], struct arch_call *call)
{
    int result = atomic_load(&fails_to_map) ? -EINVAL : os_backend.known_call(arch, which, arguments, call);
    if (!result && which == OS_CALL_NAME_ROOM)
        naming = *call;
    return result;
}

static void reset(void)
{
    roomless = os_backend;
    roomless.find_room = find_no_room;
    roomless.find_gap = find_gap;
    roomless.known_call = known_call;
    atomic_store(&maps, 0);
    atomic_store(&gap_error, 0);
    atomic_store(&fails_to_map, false);
    at_gap = NULL;
}

static rein_monitor *create(void)
{
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *own = NULL;
    options.kind = monitor_kind();
    set_log(&options);
    assert_ok(monitor_create_with(&roomless, &options, false, &own));
    return own;
}

struct traced {
    struct fixture *fixture;
    rein_monitor *own;
    rein_process *process;
    rein_breakpoint *store, *load;
    unsigned rooms_before;
};

/* Does the kernel give such memory names (CONFIG_ANON_VMA_NAME)? */
static bool has_names(void)
{
    enum { SET_VMA = 0x53564d41, SIZE = 4096 };
    void *page = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    bool has = prctl(SET_VMA, 0, page, SIZE, "test") == 0;
    munmap(page, SIZE);
    return has;
}

/* How many mappings there are such as rooms are: a page of no file, to be executed and not written; and named, if the
 * kernel can. None of those of a room's name is anything else. */
static unsigned count_rooms(int pid)
{
    char path[64], line[512];
    unsigned count = 0;
    const char *wanted = has_names() ? "[anon:rein]" : "";
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        unsigned long long start, end, inode;
        char access[8] = "", name[128] = "";
        assert_true(sscanf(line, "%llx-%llx %7s %*s %*s %llu %127s", &start, &end, access, &inode, name) >= 4);
        bool room = !strcmp(access, "r-xp") && !inode && end - start == (unsigned long long)sysconf(_SC_PAGESIZE) &&
                    !strcmp(name, wanted);
        assert_true(room || strcmp(name, "[anon:rein]") != 0);
        count += room;
    }
    fclose(file);
    return count;
}

static void count_hits(struct traced *traced)
{
    traced->store = count_at(traced->process, said_address(traced->fixture, "store"));
    traced->load = count_at(traced->process, said_address(traced->fixture, "load"));
}

/* Attached to the program, with both breakpoints; roomless, or as it is. */
static struct traced begin(bool without, const char *times, const char *threads, const char *steps, const char *how)
{
    struct traced traced = {.fixture = start_ready("compiled", times, threads, steps, how, NULL)};
    if (getenv("REIN_STEP_OVER"))
        skip();
    traced.rooms_before = count_rooms(traced.fixture->pid);
    if (without) {
        traced.own = create();
        assert_ok(rein_attach(traced.own, traced.fixture->pid, NULL, &traced.process));
    } else {
        traced.process = attach(traced.fixture);
    }
    count_hits(&traced);
    set_policy(traced.process, REIN_IGNORE);
    return traced;
}

static void end(struct traced *traced)
{
    if (!traced->own)
        return;
    rein_process_unref(traced->process);
    assert_ok(rein_monitor_close(traced->own));
}

static void go(const struct traced *traced)
{
    assert_ok(rein_process_continue(traced->process));
    tell(traced->fixture);
}

static void await_end(const struct traced *traced)
{
    assert_error(rein_process_wait(traced->process, LIMIT_MS), REIN_EXITED);
    read_to_end(traced->fixture);
    assert_non_null(has_said(traced->fixture, "ok compiled"));
}

static struct rein_breakpoint_info info_of(const rein_breakpoint *breakpoint)
{
    struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
    assert_ok(rein_breakpoint_info(breakpoint, &info));
    return info;
}

static void await_hits(const struct traced *traced, const rein_breakpoint *breakpoint, uint64_t hits)
{
    for (double limit = now() + LIMIT_S; rein_breakpoint_hits(breakpoint) < hits;)
        assert_true(now() < limit && rein_process_wait(traced->process, 1) == REIN_TIMEOUT);
}

/* Hit so often, and by copies, but for those who came while the room was made, or whom a signal has sent back. */
static void assert_moved(const rein_breakpoint *breakpoint, uint64_t hits)
{
    struct rein_breakpoint_info info = info_of(breakpoint);
    assert_int_equal(info.hits, hits);
    assert_int_equal(info.displaced + info.stepped, hits);
    assert_true(info.displaced > hits / 2);
    assert_int_equal(info.way, REIN_BREAKPOINT_DISPLACED);
}

static void assert_stepped(const rein_breakpoint *breakpoint, uint64_t hits, const char *why)
{
    struct rein_breakpoint_info info = info_of(breakpoint);
    assert_int_equal(info.hits, hits);
    assert_int_equal(info.stepped, hits);
    assert_int_equal(info.way, REIN_BREAKPOINT_STEPPED);
    assert_says(info.why, why);
}

/* P5: of code that is far from everything; with 8 threads at once. One page is mapped, and stays when all is stopped. */
static void P5_far_code(void **state)
{
    (void)state;
    enum { TIMES = 2000, ALL = TIMES * 9 }; /* so many that it cannot be over before it is looked at */
    reset();
    struct traced traced = begin(false, "2000", "8", "1", "far");
    bool is_far = word_size(traced.process) == 8;
    go(&traced);
    await_hits(&traced, traced.store, TIMES + 1); /* the main thread has worked */
    assert_ok(rein_process_stop(traced.process, LIMIT_MS));
    assert_int_equal(count_rooms(traced.fixture->pid), traced.rooms_before + is_far);
    assert_ok(rein_process_continue(traced.process));
    await_end(&traced);
    assert_moved(traced.store, ALL);
    assert_moved(traced.load, ALL);
    end(&traced);
}

/* P5: the same, where no file has room. Both breakpoints share the page. The kernel is asked to name it, whether it can or not. */
static void P5_no_file_has_room(void **state)
{
    (void)state;
    enum { TIMES = 100, ALL = TIMES * 5 };
    reset();
    struct traced traced = begin(true, "100", "4", "1", "far");
    go(&traced);
    await_hits(&traced, traced.load, TIMES + 1);
    assert_ok(rein_process_stop(traced.process, LIMIT_MS));
    assert_int_equal(count_rooms(traced.fixture->pid), traced.rooms_before + 1);
    char name[8] = "";
    rein_word at = naming.arguments[4], start = naming.arguments[2];
    assert_word(naming.arguments[0], 0x53564d41); /* PR_SET_VMA, PR_SET_VMA_ANON_NAME */
    assert_word(naming.arguments[1], 0);
    assert_word(naming.arguments[3], (rein_word)sysconf(_SC_PAGESIZE));
    assert_true(at > start && at < start + naming.arguments[3]);
    assert_ok(rein_process_read(traced.process, at, name, sizeof "rein", NULL));
    assert_string_equal(name, "rein");
    assert_ok(rein_process_continue(traced.process));
    await_end(&traced);
    assert_moved(traced.store, ALL);
    assert_moved(traced.load, ALL);
    end(&traced);
}

/* P5, M7: instructions of an executable, whose operands go by the pc, and which get signals and faults. */
static void P5_M7_moved_without_room(void **state)
{
    (void)state;
    enum { TIMES = 200, THREADS = 3 };
    if (getenv("REIN_STEP_OVER"))
        skip();
    reset();
    struct fixture *fixture = start_waiting("moved", "200", "3", "2000", NULL);
    rein_monitor *own = create();
    rein_process *process;
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    rein_breakpoint *first = count_at(process, address_of(fixture, "moved_1")),
                    *fault = count_at(process, address_of(fixture, "moved_fault"));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok moved"));
    assert_true(info_of(first).displaced > 0);
    assert_int_equal(info_of(first).way, REIN_BREAKPOINT_DISPLACED);
    assert_int_equal(rein_breakpoint_hits(fault), TIMES * THREADS / 8);
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
}

/* P5: more breakpoints than one page has room for have more pages; each keeps its own copy. */
static void P5_room_for_many(void **state)
{
    (void)state;
    enum { TIMES = 20, STEPS = 1200 }; /* so many that it does not end before somebody has looked */
    static rein_breakpoint *breakpoints[STEPS];
    reset();
    struct traced traced = begin(true, "20", "1", "1200", "far");
    rein_word steps = said_address(traced.fixture, "steps");
    unsigned size = (unsigned)(said_address(traced.fixture, "steps_end") - steps) / STEPS;
    for (unsigned i = 0; i < STEPS; i++) {
        if (steps + i * size != rein_breakpoint_pc(traced.store))
            breakpoints[i] = count_at(traced.process, steps + i * size);
    }
    go(&traced);
    await_hits(&traced, traced.load, TIMES + 1);
    assert_ok(rein_process_stop(traced.process, LIMIT_MS));
    unsigned rooms = count_rooms(traced.fixture->pid) - traced.rooms_before;
    assert_in_range(rooms, 2, 16);
    assert_ok(rein_process_continue(traced.process));
    await_end(&traced);
    for (unsigned i = 0; i < STEPS; i++)
        assert_moved(breakpoints[i], TIMES * 2);
    end(&traced);
}

/* P5, P7: when it is let go the page is gone, whether it ran, was stopped, or stood at the breakpoint; and it goes on unharmed. */
static void P5_P7_unmapped_when_let_go(void **state)
{
    (void)state;
    enum { RUNNING, STOPPED, AT_BREAKPOINT, WAYS };
    for (int way = 0; way < WAYS; way++) {
        reset();
        struct traced traced = begin(true, "4000", "3", "1", "stays");
        go(&traced);
        await_hits(&traced, traced.load, 50);
        assert_ok(rein_process_stop(traced.process, LIMIT_MS));
        assert_int_equal(count_rooms(traced.fixture->pid), traced.rooms_before + 1);
        if (way == AT_BREAKPOINT) {
            rein_word pc = rein_breakpoint_pc(traced.load);
            assert_ok(rein_process_remove_breakpoint(traced.process, pc, 0));
            add_breakpoint(traced.process, pc);
            set_policy(traced.process, REIN_STOP_ALL);
            run_to_stop(traced.process);
        } else if (way == RUNNING) {
            assert_ok(rein_process_continue(traced.process));
        }
        assert_ok(rein_process_detach(traced.process, 0));
        assert_int_equal(count_rooms(traced.fixture->pid), traced.rooms_before);
        end(&traced);
        tell(traced.fixture);
        assert_ends(traced.fixture, 0);
    }
}

/* The program is given back in the middle of the call for its room. */
static void P5_P7_let_go_while_it_maps(void **state)
{
    (void)state;
    enum { ROUNDS = 10 };
    for (int round = 0; round < ROUNDS; round++) {
        reset();
        struct traced traced = begin(true, "300", "3", "1", "stays");
        go(&traced);
        for (double limit = now() + LIMIT_S; !atomic_load(&maps);)
            assert_true(now() < limit &&
                        (monitor_kind() != REIN_MONITOR_LENT || rein_process_wait(traced.process, 1) == REIN_TIMEOUT));
        assert_ok(rein_process_detach(traced.process, 0));
        assert_int_equal(count_rooms(traced.fixture->pid), traced.rooms_before);
        end(&traced);
        tell(traced.fixture);
        assert_ends(traced.fixture, 0);
    }
}

/* P6, P4: the same, but it is stopped then: it stands at its breakpoint, has been counted once, and goes on. */
static void P4_P5_stopped_while_it_maps(void **state)
{
    (void)state;
    enum { ROUNDS = 10, TIMES = 50, ALL = TIMES * 4 };
    for (int round = 0; round < ROUNDS; round++) {
        reset();
        struct traced traced = begin(true, "50", "3", "1", "far");
        go(&traced);
        for (double limit = now() + LIMIT_S; !atomic_load(&maps);)
            assert_true(now() < limit &&
                        (monitor_kind() != REIN_MONITOR_LENT || rein_process_wait(traced.process, 1) == REIN_TIMEOUT));
        int result = rein_process_stop(traced.process, LIMIT_MS);
        if (!result) {
            assert_int_equal(count_rooms(traced.fixture->pid) - traced.rooms_before <= 1, true);
            assert_ok(rein_process_continue(traced.process));
        } else {
            assert_int_equal(result, REIN_EXITED);
        }
        await_end(&traced);
        assert_int_equal(info_of(traced.store).hits, ALL);
        assert_int_equal(info_of(traced.load).hits, ALL);
        end(&traced);
    }
}

static int kill_it(int id)
{
    return kill(id, SIGKILL);
}

/* P5, M3: it is killed then. */
static void P5_M3_killed_while_it_maps(void **state)
{
    (void)state;
    reset();
    struct traced traced = begin(true, "100", "3", "1", "far");
    at_gap = kill_it;
    go(&traced);
    assert_error(rein_process_wait(traced.process, LIMIT_MS), REIN_EXITED);
    end(&traced);
    wait_for(traced.fixture, 0, NULL);
    assert_int_equal(WTERMSIG(traced.fixture->status), SIGKILL);
}

/* P5, C1: a child has a copy of the page. One that is followed makes use of it, or, if it is let go, has it unmapped;
 * another runs as if it were not there. */
static void P5_C1_children(void **state)
{
    (void)state;
    enum { NOT_FOLLOWED, FOLLOWED, LET_GO, CASES, TIMES = 100 };
    for (int how = 0; how < CASES; how++) {
        reset();
        struct traced traced = begin(true, "100", "2", "1", "forks");
        struct rein_event event;
        rein_breakpoint **list = NULL;
        size_t count = 0;
        if (how != NOT_FOLLOWED)
            assert_ok(rein_process_set_follow(traced.process, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS));
        assert_ok(rein_process_set_policy(traced.process, REIN_CAUSE_FORK, REIN_STOP_THREAD));
        go(&traced);
        assert_ok(rein_process_next_event(traced.process, LIMIT_MS, &event));
        assert_int_equal(event.cause.kind, REIN_CAUSE_FORK);
        int id = event.cause.child;
        rein_process *child = rein_process_ref(event.cause.new_process);
        rein_event_clear(&event);
        assert_int_equal(count_rooms(id), traced.rooms_before + 1);
        if (how == LET_GO) {
            assert_ok(rein_process_detach(child, 0));
            assert_int_equal(count_rooms(id), traced.rooms_before);
        } else if (how == FOLLOWED) {
            assert_ok(rein_process_breakpoints(child, &list, &count));
            assert_int_equal(count, 2);
            set_policy(child, REIN_IGNORE);
            assert_ok(rein_process_continue(child));
        }
        set_policy(traced.process, REIN_IGNORE);
        assert_ok(rein_process_continue(traced.process));
        tell(traced.fixture);
        if (how == FOLLOWED)
            assert_error(rein_process_wait(child, LIMIT_MS), REIN_EXITED);
        for (size_t i = 0; i < count; i++)
            assert_moved(list[i], TIMES);
        rein_breakpoint_list_free(list, count);
        rein_process_unref(child);
        await_end(&traced);
        assert_moved(traced.store, TIMES * 3);
        assert_int_equal(atomic_load(&maps), 1); /* in nobody a second time */
        end(&traced);
    }
}

/* P5, C1: another thread makes children all the time, so also while one is in the call for the room: they are clean, and run. */
static void P5_C1_forks_while_it_maps(void **state)
{
    (void)state;
    enum { ROUNDS = 20, TIMES = 20 };
    for (int round = 0; round < ROUNDS; round++) {
        reset();
        struct traced traced = begin(true, "20", "1", "1", "forking");
        go(&traced);
        await_end(&traced); /* which looks how its children have ended */
        assert_int_equal(info_of(traced.store).hits, TIMES * 2);
        assert_int_equal(info_of(traced.load).hits, TIMES * 2);
        assert_int_equal(atomic_load(&maps), 1);
        end(&traced);
    }
}

/* P5, C1: nobody is told of the calls, though all are traced. */
static void P5_calls_are_not_told(void **state)
{
    (void)state;
    enum { TIMES = 20 };
    reset();
    struct traced traced = begin(true, "20", "0", "1", "far");
    struct rein_event event;
    assert_ok(rein_process_trace_syscalls(traced.process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, NULL, 0));
    assert_ok(rein_process_set_policy(traced.process, REIN_CAUSE_SYSCALL_ENTRY, REIN_STOP_ALL));
    assert_ok(rein_process_set_policy(traced.process, REIN_CAUSE_SYSCALL_EXIT, REIN_REPORT));
    go(&traced);
    bool wrote = false;
    while (!rein_process_wait(traced.process, LIMIT_MS)) {
        while (!rein_process_next_event(traced.process, 0, &event)) {
            if (event.cause.kind == REIN_CAUSE_SYSCALL_ENTRY) {
                assert_int_not_equal(event.cause.syscall.number, number_in(traced.process, SYS_mmap));
                assert_int_not_equal(event.cause.syscall.number, number_in(traced.process, SYS_prctl));
                wrote |= event.cause.syscall.number == number_in(traced.process, SYS_write);
            }
            rein_event_clear(&event);
        }
        assert_ok(rein_process_continue(traced.process));
    }
    await_end(&traced);
    assert_true(wrote);
    assert_moved(traced.store, TIMES);
    assert_int_equal(atomic_load(&maps), 1);
    end(&traced);
}

/* P5, M12: the new program has none, and gets its own. */
static void P5_M12_exec(void **state)
{
    (void)state;
    enum { TIMES = 100 };
    reset();
    struct traced traced = begin(true, "100", "2", "1", "execs");
    assert_ok(rein_process_set_policy(traced.process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
    go(&traced);
    assert_ok(rein_process_wait(traced.process, LIMIT_MS));
    assert_moved(traced.store, TIMES * 3);
    assert_int_equal(count_rooms(traced.fixture->pid), traced.rooms_before);
    assert_ok(rein_process_continue(traced.process));
    for (double limit = now() + LIMIT_S; !has_said(traced.fixture, "count again");)
        assert_true(now() < limit && rein_process_wait(traced.process, 1) == REIN_TIMEOUT);
    assert_ok(rein_process_stop(traced.process, LIMIT_MS));
    rein_breakpoint *store = count_at(traced.process, said_address(traced.fixture, "store_again"));
    set_policy(traced.process, REIN_IGNORE);
    go(&traced);
    await_end(&traced);
    assert_moved(store, TIMES * 3);
    assert_int_equal(atomic_load(&maps), 2);
    end(&traced);
}

/* P5: a program that would be killed for the call is not asked to make it. */
static void P5_not_with_a_filter(void **state)
{
    (void)state;
    enum { TIMES = 50 };
    reset();
    struct traced traced = begin(true, "50", "0", "1", "filters");
    go(&traced);
    await_end(&traced);
    assert_stepped(traced.store, TIMES, "seccomp filter");
    assert_stepped(traced.load, TIMES, "seccomp filter");
    end(&traced);
}

/* P5, E1: the kernel does not give it any, or it cannot be asked: once, and the instruction is stepped over. */
static void P5_E1_not_if_it_is_refused(void **state)
{
    (void)state;
    enum { LIMITED, NO_CALL, NO_GAP, CASES, TIMES = 50 };
    static const char *const why[] = {"the kernel has refused", "the kernel has refused", "nor can any be mapped"};
    for (int i = 0; i < CASES; i++) {
        reset();
        atomic_store(&fails_to_map, i == NO_CALL);
        atomic_store(&gap_error, i == NO_GAP ? EMFILE : 0);
        struct traced traced = begin(true, "50", "0", "1", i == LIMITED ? "limited" : "far");
        go(&traced);
        await_end(&traced);
        assert_stepped(traced.store, TIMES, why[i]);
        assert_stepped(traced.load, TIMES, why[i]);
        assert_int_equal(atomic_load(&maps), i == NO_GAP ? 4 : 1); /* below and above, for each */
        end(&traced);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(P5_far_code),
        live_test(P5_no_file_has_room),
        live_test(P5_M7_moved_without_room),
        live_test(P5_room_for_many),
        live_test(P5_P7_unmapped_when_let_go),
        live_test(P5_P7_let_go_while_it_maps),
        live_test(P4_P5_stopped_while_it_maps),
        live_test(P5_M3_killed_while_it_maps),
        live_test(P5_C1_children),
        live_test(P5_C1_forks_while_it_maps),
        live_test(P5_calls_are_not_told),
        live_test(P5_M12_exec),
        live_test(P5_not_with_a_filter),
        live_test(P5_E1_not_if_it_is_refused),
    };
    return live_main(tests);
}
