/* X3 P5 M6 M7 M12 C3: every program behaves under rein, with breakpoints, as it does without, and every hit is
 * counted: its own checks, its status, and its own counts say so. Each is run in every way in which a caller may
 * go on at events. Program: all of tests/fixtures that end by themselves. */
#include "support.h"

#define SYMBOLS 5

enum {
    OWN_TRAPS = 1 << 0,  /* has SIGTRAPs of its own */
    AT_LEAST = 1 << 1,   /* is ended while it counts: the hits may be more than it says */
    EXECUTES = 1 << 2,   /* executes itself: the breakpoints are put in anew, and count on */
    NEEDS_WORD = 1 << 3, /* waits to be told in its midst */
    NOT_SHOWN = 1 << 4,  /* other processes hit its breakpoints */
};

static const struct program {
    const char *name;
    const char *arguments[3];
    int status;
    unsigned flags;
    const char *symbols[SYMBOLS]; /* to break at; each is counted by the program itself */
} programs[] = {
    {"spin", {"4", "100"}, 0, 0, {"hot", "hot2"}},
    {"sleepers", {"8"}, 0, NEEDS_WORD, {"hot"}},
    {"own_int3", {"4", "20"}, 0, OWN_TRAPS, {"hot"}},
    {"own_step", {"10"}, 0, OWN_TRAPS, {"hot", "stepped_insn"}},
    {"rt_signals", {"1000", "2"}, 0, 0, {"hot"}},
    {"exec_thread", {"4", "3"}, 0, EXECUTES, {"hot"}},
    {"exec_leader", {"4", "2"}, 0, EXECUTES, {"hot"}},
    {"vfork_loop", {"3", "24"}, 0, NOT_SHOWN, {"hot"}},
    {"posix_spawn_loop", {"2", "9"}, 0, 0, {"hot"}},
    {"fork_loop", {"2", "15"}, 0, 0, {"hot"}},
    {"clone_vm", {"8", "20"}, 0, NOT_SHOWN, {"hot"}},
    {"many_threads", {"60", "4"}, 0, 0, {"hot"}},
    {"leader_exits_first", {"3", "40"}, 7, 0, {"hot"}},
    {"timer_10khz", {"150"}, 0, 0, {"hot"}},
    {"gc_signals", {"6", "8"}, 0, 0, {"hot"}},
    {"self_tracer", {"6"}, 0, 0, {"hot"}},
    {"mutexes", {"4", "40"}, 0, 0, {"hot"}},
    {"group_stop", {"4", "3"}, 0, NEEDS_WORD, {"hot"}},
    {"blocking_syscall", {"3", "20"}, 0, 0, {"hot", "blocking_syscall_insn"}},
    {"rep_movs", {"20", "2"}, 0, 0, {"hot", "rep_movs_insn", "rep_scas_insn"}},
    {"popf_pushf",
     {"20", "2"},
     0,
     0,
     {"pushf_insn", "popf_insn", "mov_ss_insn", "pushf_after_mov_ss_insn", "pushfw_insn"}},
    {"faults", {"20", "2"}, 0, 0, {"hot", "segv_insn", "fpe_insn", "ill_insn"}},
    {"signals_storm", {"4", "40"}, 0, 0, {"hot"}},
    {"exit_orders", {"30"}, 3, AT_LEAST, {"hot"}},
    {"uninterruptible", {"1"}, 0, NEEDS_WORD | AT_LEAST, {"hot"}},
    {"eintr_epoll", {"10"}, 0, NEEDS_WORD, {"hot"}},
    {"step_targets", {"10", "2"}, 0, 0, {"hot"}},
    {"sigtrap_blocked", {"10"}, 0, 0, {"hot"}},
    {"thread_names", {NULL}, 0, NEEDS_WORD, {NULL}},
    {"memory_map", {NULL}, 0, NEEDS_WORD, {"hot"}},
};
#define PROGRAM_COUNT (sizeof programs / sizeof *programs)

/* ---- counting ---- */

struct run {
    const struct program *program;
    struct fixture *fixture;
    rein_process *process;
    rein_breakpoint_callback callback;
    rein_breakpoint *breakpoints[64];
    int symbol_of[64];
    atomic_int count;
    atomic_int wrong;
    char message[200];
};

/* Puts breakpoints in where the program is now. May be called on the monitor. */
static int put_in(struct run *run)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = run->callback;
    for (int i = 0; i < SYMBOLS && run->program->symbols[i]; i++) {
        rein_word pc = address_in(run->program->name, rein_process_id(run->process), run->program->symbols[i]);
        int result = rein_process_add_breakpoint(run->process, pc, &options, &run->breakpoints[run->count]);
        if (result != 0)
            return result;
        run->symbol_of[run->count++] = i;
    }
    return 0;
}

static enum rein_verdict put_in_after_exec(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct run *run = arg;
    (void)thread;
    if (cause->kind == REIN_CAUSE_EXEC && put_in(run) != 0 && atomic_fetch_add(&run->wrong, 1) == 0)
        snprintf(run->message, sizeof run->message, "%s", rein_error_message());
    return REIN_VERDICT_POLICY;
}

static uint64_t hits_of(const struct run *run, int symbol)
{
    uint64_t hits = 0;
    for (int i = 0; i < run->count; i++) {
        if (run->symbol_of[i] == symbol)
            hits += rein_breakpoint_hits(run->breakpoints[i]);
    }
    return hits;
}

static void check(struct run *run)
{
    const struct program *program = run->program;
    if (run->wrong)
        fail_msg("%s: %s", program->name, run->message);
    if (run->fixture->is_child)
        assert_ends(run->fixture, program->status);
    assert_ends_traced(run->fixture, program->status);
    for (int i = 0; i < SYMBOLS && program->symbols[i]; i++) {
        const char *counted = program->symbols[i];
        if ((program->flags & EXECUTES) && i == 0)
            counted = "all_hot";
        uint64_t said = said_count(run->fixture, counted), hits = hits_of(run, i);
        if (program->flags & AT_LEAST ? hits < said : hits != said)
            fail_msg("%s: %s was hit %" PRIu64 " times, but counted %" PRIu64, program->name, counted, hits, said);
    }
    for (int i = 0; i < run->count; i++)
        rein_breakpoint_unref(run->breakpoints[i]);
}

/* ---- the ways ---- */

enum start { SPAWNED, ATTACHED, ATTACHED_RUNNING };

static void begin(struct run *run, const struct program *program, enum start how, rein_breakpoint_callback callback)
{
    const char *const *arguments = program->arguments;
    *run = (struct run){.program = program, .callback = callback};
    if (how == SPAWNED)
        run->fixture = spawn(program->name, arguments[0], arguments[1], arguments[2], NULL);
    else
        run->fixture = start_waiting(program->name, arguments[0], arguments[1], arguments[2], NULL);
    if (how == ATTACHED)
        attach(run->fixture);
    else if (how == ATTACHED_RUNNING)
        attach_running(run->fixture);
    run->process = run->fixture->process;
    assert_ok(rein_process_set_callback(run->process, put_in_after_exec, run));
    set_policy(run->process, REIN_IGNORE);
    assert_ok(put_in(run));
    /* Words enough for all that waits, FIXTURE_WAIT in every generation included. */
    for (int i = 0; i < 8 && how != SPAWNED; i++)
        tell(run->fixture);
    if (how == SPAWNED && (program->flags & NEEDS_WORD)) {
        tell(run->fixture);
        tell(run->fixture);
    }
}

/* Nothing is told and nobody is stopped. */
static void run_silently(const struct program *program, enum start how)
{
    struct run run;
    begin(&run, program, how, go_on);
    if (how != ATTACHED_RUNNING)
        assert_ok(rein_process_continue(run.process));
    int result = rein_process_wait(run.process, LIMIT_MS);
    if (result != REIN_EXITED)
        fail_msg("%s: %s: %s; it has said:\n%s", program->name, rein_error_name(result), rein_error_message(),
                 run.fixture->said);
    check(&run);
}

/* All is told, nobody is stopped; each breakpoint's events are as many as its hits. */
static void run_reported(const struct program *program)
{
    struct run run;
    struct rein_event event;
    uint64_t told = 0, hits = 0;
    int result;
    begin(&run, program, SPAWNED, NULL);
    set_policy(run.process, REIN_REPORT);
    assert_ok(rein_process_continue(run.process));
    while ((result = rein_process_next_event(run.process, LIMIT_MS, &event)) == 0) {
        told += event.cause.kind == REIN_CAUSE_BREAKPOINT;
        rein_event_clear(&event);
    }
    if (result != REIN_EXITED)
        fail_msg("%s: %s", program->name, rein_error_message());
    for (int i = 0; i < run.count; i++)
        hits += rein_breakpoint_hits(run.breakpoints[i]);
    if (program->flags & NOT_SHOWN ? told > hits : told != hits)
        fail_msg("%s: %" PRIu64 " hits, %" PRIu64 " told", program->name, hits, told);
    check(&run);
}

/* The whole process stops at everything. */
static void run_all_stop(const struct program *program)
{
    struct run run;
    begin(&run, program, SPAWNED, NULL);
    set_policy(run.process, REIN_STOP_ALL);
    run_to_end(run.process);
    check(&run);
}

/* Each thread stops by itself at everything, and is continued by itself. */
static void run_non_stop(const struct program *program)
{
    struct run run;
    struct rein_event event;
    int result;
    begin(&run, program, SPAWNED, NULL);
    set_policy(run.process, REIN_STOP_THREAD);
    assert_ok(rein_process_continue(run.process));
    while ((result = rein_process_next_event(run.process, LIMIT_MS, &event)) == 0) {
        if (event.cause.kind == REIN_CAUSE_SIGNAL && event.cause.signal.number == SIGTRAP)
            (void)rein_thread_set_signal(event.thread, SIGTRAP);
        /* It may be gone by now: by another's exec, exit or signal. */
        (void)rein_thread_continue(event.thread);
        rein_event_clear(&event);
    }
    if (result != REIN_EXITED)
        fail_msg("%s: %s; it has said:\n%s", program->name, rein_error_message(), run.fixture->said);
    check(&run);
}

/* Stopped and continued from outside all the time, in the midst of whatever happens. */
static void run_disturbed(const struct program *program)
{
    struct run run;
    begin(&run, program, SPAWNED, go_on);
    assert_ok(rein_process_continue(run.process));
    int result = 0;
    for (unsigned i = 0; result != REIN_EXITED; i++) {
        result = rein_process_wait(run.process, (int)(i * 7 % 4));
        if (result == REIN_EXITED)
            break;
        result = rein_process_stop(run.process, LIMIT_MS);
        if (result != 0 && result != REIN_CANNOT_STOP && result != REIN_EXITED)
            fail_msg("%s: stop: %s", program->name, rein_error_message());
        result = rein_process_continue(run.process);
        if (result != 0 && result != REIN_EXITED)
            fail_msg("%s: continue: %s", program->name, rein_error_message());
    }
    check(&run);
}

#define for_each_program(call)                                                                                         \
    do {                                                                                                               \
        for (size_t i_ = 0; i_ < PROGRAM_COUNT; i_++) {                                                                \
            const struct program *program = &programs[i_];                                                             \
            const char *only_ = getenv("REIN_PROGRAM"); /* one of them by name */                                      \
            double begin_ = now();                                                                                     \
            if (only_ && strcmp(only_, program->name) != 0)                                                            \
                continue;                                                                                              \
            alarm(getenv("WRAPPER") ? 300 : 30);                                                                       \
            if (getenv("REIN_VERBOSE"))                                                                                \
                print_message("%s\n", program->name);                                                                  \
            call;                                                                                                      \
            if (getenv("REIN_VERBOSE"))                                                                                \
                print_message("%s: %.3f s\n", program->name, now() - begin_);                                          \
        }                                                                                                              \
    } while (0)

/* X3, P5, M6, M12 */
static void X3_P5_callbacks_that_go_on(void **state)
{
    (void)state;
    for_each_program(run_silently(program, SPAWNED));
}

/* X3, P8 */
static void X3_P8_attached(void **state)
{
    (void)state;
    for_each_program(run_silently(program, ATTACHED));
}

/* X3, P8 */
static void X3_P8_attached_running(void **state)
{
    (void)state;
    for_each_program(run_silently(program, ATTACHED_RUNNING));
}

/* X3, C1 */
static void X3_C1_reported(void **state)
{
    (void)state;
    for_each_program(run_reported(program));
}

/* X3, P5, P6 */
static void X3_P5_P6_all_stop(void **state)
{
    (void)state;
    for_each_program(run_all_stop(program));
}

/* X3, P5 */
static void X3_P5_non_stop(void **state)
{
    (void)state;
    for_each_program(run_non_stop(program));
}

/* X3, P4, M7 */
static void X3_P4_M7_disturbed(void **state)
{
    (void)state;
    for_each_program(run_disturbed(program));
}

/* The programs themselves: untraced, they are content. */
static void untraced(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROGRAM_COUNT; i++) {
        const char *const *arguments = programs[i].arguments;
        struct fixture *fixture = start(programs[i].name, arguments[0], arguments[1], arguments[2], NULL);
        tell(fixture);
        tell(fixture);
        assert_ends(fixture, programs[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(untraced),       live_test(X3_P5_callbacks_that_go_on),
        live_test(X3_P8_attached), live_test(X3_P8_attached_running),
        live_test(X3_C1_reported), live_test(X3_P5_P6_all_stop),
        live_test(X3_P5_non_stop), live_test(X3_P4_M7_disturbed),
    };
    return live_main(tests);
}
