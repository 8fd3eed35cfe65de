/* I4 I5: functions that a stopped thread calls for the caller: arguments and results of all kinds, in every kind of stop and of
 * blocking call; breakpoints, signals, other functions, limits, death and detach inside; the programs find nothing of it.
 * REIN_ROUNDS makes it more calls (a thousand for each; 5,000 when unset). Programs: long_calls, signals_seen, spin,
 * all_registers (vectors), syscalls, jumping, family. */
#include <limits.h>
#include <linux/audit.h>

#include "apart.h"
#include "look.h"

static int how_many(void)
{
    const char *text = getenv("REIN_ROUNDS");
    int rounds = text ? atoi(text) : 5;
    return (rounds > 0 ? rounds : 5) * 1000;
}

/* ---- Calls ---- */

#define WORD(value)                                                                                                    \
    {                                                                                                                  \
        .type = REIN_CALL_INTEGER,                                                                                     \
        {                                                                                                              \
            .word = (rein_word)(value)                                                                                 \
        }                                                                                                              \
    }
#define WORD64(value)                                                                                                  \
    {                                                                                                                  \
        .type = REIN_CALL_INTEGER64,                                                                                   \
        {                                                                                                              \
            .word = (rein_word)(value)                                                                                 \
        }                                                                                                              \
    }
#define DOUBLE(value)                                                                                                  \
    {                                                                                                                  \
        .type = REIN_CALL_DOUBLE,                                                                                      \
        {                                                                                                              \
            .real = (value)                                                                                            \
        }                                                                                                              \
    }
#define FLOAT(value)                                                                                                   \
    {                                                                                                                  \
        .type = REIN_CALL_FLOAT,                                                                                       \
        {                                                                                                              \
            .single = (value)                                                                                          \
        }                                                                                                              \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

static int try_call(rein_thread *thread, rein_word pc, const struct rein_call_argument *arguments, size_t count,
                    struct rein_call_result *result)
{
    struct rein_call call = REIN_CALL_INIT;
    call.pc = pc;
    call.arguments = arguments;
    call.count = count;
    return rein_thread_call(thread, &call, LIMIT_MS, result);
}

static struct rein_call_result call(rein_thread *thread, rein_word pc, const struct rein_call_argument *arguments,
                                    size_t count)
{
    struct rein_call_result result;
    assert_ok(try_call(thread, pc, arguments, count, &result));
    return result;
}

static int try_word(rein_thread *thread, rein_word pc, rein_word argument, struct rein_call_result *result)
{
    const struct rein_call_argument arguments[] = {WORD(argument)};
    return try_call(thread, pc, arguments, 1, result);
}

static bool is_narrow(const rein_thread *thread)
{
    return word_size(rein_thread_process(thread)) == 4;
}

/* A long. */
static int64_t integer_of(const rein_thread *thread, const struct rein_call_result *result)
{
    return is_narrow(thread) ? (int32_t)result->words[0] : (int64_t)result->words[0];
}

/* An int64_t. */
static int64_t integer64_of(const rein_thread *thread, const struct rein_call_result *result)
{
    return (int64_t)(is_narrow(thread) ? result->words[0] | result->words[1] << 32 : result->words[0]);
}

static long double extended_of(const struct rein_call_result *result)
{
    long double value;
    memcpy(&value, result->extended, sizeof value);
    return value;
}

static double real_of(const rein_thread *thread, const struct rein_call_result *result)
{
    return is_narrow(thread) ? (double)extended_of(result) : result->vectors[0].real;
}

static float single_of(const rein_thread *thread, const struct rein_call_result *result)
{
    return is_narrow(thread) ? (float)extended_of(result) : result->vectors[0].single;
}

static int64_t call_word(rein_thread *thread, rein_word pc, rein_word argument)
{
    struct rein_call_result result;
    assert_ok(try_word(thread, pc, argument, &result));
    return integer_of(thread, &result);
}

/* Continues the thread, in a function, and waits for the rest of it. */
static int go_on_and_wait(rein_thread *thread, struct rein_call_result *result)
{
    assert_ok(rein_thread_continue(thread));
    return rein_thread_call_wait(thread, LIMIT_MS, result);
}

/* Does it go on by restart_syscall(2), for the rest of its time? */
static bool sleeps_on(rein_thread *thread, const char *kind)
{
#if defined(__aarch64__) /* nothing tells that */
    (void)thread;
    return !strcmp(kind, "nanosleep") || !strcmp(kind, "timed_futex");
#else
    (void)kind;
    return (int32_t)register_of(thread, "rax") == -516;
#endif
}

/* ---- Programs ---- */

static void end_told(struct fixture *fixture)
{
    assert_ok(rein_process_detach(fixture->process, 0));
    tell(fixture);
    assert_ends(fixture, 0);
}

/* A program whose threads compute, stopped. */
static struct fixture *start_spin(rein_thread **thread)
{
    struct fixture *fixture = start_ready("spin", "2", NULL);
    attach(fixture);
    *thread = first_thread(fixture->process);
    return fixture;
}

/* ---- Arguments and results ---- */

static void I4_arguments_and_results(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = start_spin(&thread);
    rein_process *process = fixture->process;
    struct look before = look_at(thread, true);
    struct rein_call_result result;

    const struct rein_call_argument integers[] = {
        WORD64(INT64_C(1) << 40), WORD(-2), WORD64(3), WORD(-4), WORD64(-5), WORD64(6), WORD64(7), WORD(-8), WORD64(9)};
    result = call(thread, address_of(fixture, "called_integers"), integers, COUNT(integers));
    assert_true(integer64_of(thread, &result) == (INT64_C(1) << 40) - 4 + 9 - 16 - 25 + 36 + 49 - 64 + 81);

    rein_word text = (register_of(thread, STACK_POINTER) & ~UINT64_C(15)) - 8192;
    assert_ok(rein_process_write(process, text, "seven b", 8, NULL));
    const struct rein_call_argument mixed[] = {
        WORD(1),     DOUBLE(0.5), FLOAT(0.25F), DOUBLE(3), DOUBLE(4), DOUBLE(5), DOUBLE(6), DOUBLE(7), DOUBLE(8),
        FLOAT(9.5F), DOUBLE(10),  WORD(2),      WORD(3),   WORD(-4),  WORD(5),   WORD(6),   WORD(7),   WORD(text)};
    result = call(thread, address_of(fixture, "called_mixed"), mixed, COUNT(mixed));
    double expected = 1 + 4 + 9 - 16 + 25 + 36 + 49 + 7;
    expected += 0.5 + 0.5 + 9 + 16 + 25 + 36 + 49 + 64 + 85.5 + 100;
    assert_true(real_of(thread, &result) == expected);

    const struct rein_call_argument floats[] = {FLOAT(1.0F), FLOAT(8.0F)};
    result = call(thread, address_of(fixture, "called_float"), floats, COUNT(floats));
    assert_true(single_of(thread, &result) == 0.125F);

    const struct rein_call_argument pair[] = {WORD(text), WORD(41), DOUBLE(1.5)};
    if (is_narrow(thread)) { /* each struct is in memory */
        result = call(thread, address_of(fixture, "called_pair"), pair, 3);
        assert_word(result.words[0], text);
        assert_word(word_at(process, text), 42);
        assert_ok(rein_process_read(process, text + 4, &result.vectors[0].real, sizeof(double), NULL));
    } else {
        result = call(thread, address_of(fixture, "called_pair"), pair + 1, 2);
        assert_word(result.words[0], 42);
    }
    assert_true(result.vectors[0].real == 3.0);

#if defined(__aarch64__) /* where to put it is told in a register of its own, which is the caller's to set */
    rein_word kept = register_of(thread, "x8");
    const struct rein_call_argument in_memory[] = {WORD(100)};
    set_register_of(thread, "x8", text);
    call(thread, address_of(fixture, "called_large"), in_memory, COUNT(in_memory));
    assert_word(register_of(thread, "x8"), text);
    set_register_of(thread, "x8", kept);
#else
    const struct rein_call_argument in_memory[] = {WORD(text), WORD(100)};
    result = call(thread, address_of(fixture, "called_large"), in_memory, COUNT(in_memory));
    assert_word(result.words[0], text);
#endif
    assert_word(word_at(process, text), 100);
    assert_word(word_at(process, text + 4 * word_size(process)), 104);

    const struct rein_call_argument taken[] = {WORD(-1), WORD64(INT64_C(-5) * (INT64_C(1) << 32)), DOUBLE(100.5)};
    result = call(thread, address_of(fixture, "called_taking"), taken, COUNT(taken));
    assert_int_equal(integer_of(thread, &result), 94);

    const struct rein_call_argument one[] = {DOUBLE(10.0)};
    result = call(thread, address_of(fixture, "called_extended"), one, COUNT(one));
    assert_true(extended_of(&result) == (long double)10.0 / 3);

    assert_int_equal(call_word(thread, address_of(fixture, "called_alignment"), 0), 0);
#if !defined(__aarch64__)
    rein_word flags = register_of(thread, "eflags");
    set_register_of(thread, "eflags", flags | 0x400);
    assert_int_equal(call_word(thread, address_of(fixture, "called_flags"), 0) & 0x400, 0);
    set_register_of(thread, "eflags", flags);
#endif
    assert_as_before(thread, &before);
    end_told(fixture);
}

/* I4: as many as snprintf may be given, in a stack of the caller's choice. */
static void I4_variable_arguments(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = start_spin(&thread);
    rein_process *process = fixture->process;
    rein_word room;
    char text[256], expected[256];
    static const char format[] = "%d %s %.3f %ld %.1f %.1f %.1f %.1f %.1f %.1f %.1f %.1f %c %lx %d %lld";
    assert_ok(
        rein_thread_mmap(thread, 0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, NULL, &room));
    assert_ok(rein_process_write(process, room, format, sizeof format, NULL));
    assert_ok(rein_process_write(process, room + 256, "words", 6, NULL));
    const struct rein_call_argument arguments[] = {
        WORD(room + 512), WORD(sizeof text), WORD(room),     WORD(-5),  WORD(room + 256), DOUBLE(3.14159), WORD(-600),
        DOUBLE(1),        DOUBLE(2),         DOUBLE(3),      DOUBLE(4), DOUBLE(5),        DOUBLE(6),       DOUBLE(7),
        DOUBLE(8),        WORD('x'),         WORD(0xabcdef), WORD(15),  WORD64(INT64_MIN)};
    snprintf(expected, sizeof expected, format, -5, "words", 3.14159, -600L, 1., 2., 3., 4., 5., 6., 7., 8., 'x',
             0xabcdefL, 15, LLONG_MIN);
    struct rein_call what = REIN_CALL_INIT;
    what.pc = address_of(fixture, "called_format");
    what.arguments = arguments;
    what.count = COUNT(arguments);
    for (int i = 0; i < 2; i++) {
        struct rein_call_result result;
        struct look before = look_at(thread, true);
        assert_ok(rein_thread_call(thread, &what, LIMIT_MS, &result));
        assert_int_equal(result.words[0], strlen(expected));
        assert_ok(rein_process_read(process, room + 512, text, sizeof text, NULL));
        assert_string_equal(text, expected);
        assert_as_before(thread, &before);
        what.stack = room + 65530; /* it need not be even */
    }
    end_told(fixture);
}

/* I4: registers of every kind, loaded with something, before and behind functions that change them all; the program looks, too. */
static void I4_all_registers(void **state)
{
    (void)state;
#if defined(__aarch64__)
    struct fixture *fixture = spawn("vectors", NULL);
#else
    struct fixture *fixture = spawn("all_registers", "0", NULL);
#endif
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "registers_loaded"));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    struct look before = look_at(thread, true);
    for (int i = 0; i < 20; i++) {
        call(thread, address_of(fixture, "called_scribble"), NULL, 0);
        assert_as_before(thread, &before);
    }
    run_to_end(process);
    assert_ends_traced(fixture, 0);
}

/* ---- Wherever a thread is ---- */

/* I4: threads in every call, stopped by themselves, whose own results stay as they are. */
static void I4_threads_in_every_call(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    rein_thread *threads[KINDS];
    int times = how_many();
    rein_word integers = address_of(fixture, "called_integers"), scribble = address_of(fixture, "called_scribble");
    alarm((unsigned)(100 + times / 50));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    for (int i = 0; i < KINDS; i++)
        threads[i] = thread_in(fixture, kinds[i]);
    for (int i = 0; i < times; i++) {
        const struct rein_call_argument arguments[] = {WORD64(i), WORD(1),   WORD64(1), WORD(1),  WORD64(1),
                                                       WORD64(1), WORD64(1), WORD(1),   WORD64(i)};
        rein_thread *thread = threads[i % KINDS];
        assert_ok(rein_thread_stop(thread, LIMIT_MS));
        struct look before = look_at(thread, i < 5 * KINDS);
        assert_word(call(thread, integers, arguments, COUNT(arguments)).words[0], (rein_word)(35 + 10 * i));
        check_as_before(thread, &before, !changes_mask(kinds[i % KINDS]), __LINE__);
        if (i % 3 == 0) {
            call(thread, scribble, NULL, 0);
            check_as_before(thread, &before, !changes_mask(kinds[i % KINDS]), __LINE__);
        }
        assert_ok(rein_thread_continue(thread));
    }
    end_told(fixture);
}

/* I4: the whole process is stopped, for longer than its sleeps last; two threads are in functions at once. */
static void I4_all_stopped(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    rein_word hot = address_of(fixture, "called_hot");
    set_policy(process, REIN_IGNORE);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < KINDS; i++) {
            rein_thread *thread = thread_in(fixture, kinds[i]);
            struct look before = look_at(thread, true);
            for (int times = 0; times < 3; times++)
                assert_int_equal(call_word(thread, hot, (rein_word)times), 3 * times);
            check_as_before(thread, &before, !changes_mask(kinds[i]), __LINE__);
            assert_ok(rein_process_wait(process, 0)); /* nobody else has moved */
        }
        assert_ok(rein_process_continue(process));
        sleep_ms(5 * round);
        assert_ok(rein_process_stop(process, LIMIT_MS));
    }
    end_told(fixture);
}

/* I4: as it was started, at an exec, at breakpoints, behind steps. */
static void I4_at_start_and_at_breakpoints(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("spin", "1", "50", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    struct look before = look_at(thread, true);
    assert_int_equal(call_word(thread, address_of(fixture, "called_alignment"), 0), 0);
    before.words[0] = 0; /* the result of its execve */
    memcpy(before.wide, before.words, word_size(process));
    assert_as_before(thread, &before);
    rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "hot"));
    for (int i = 0; i < 50; i++) {
        thread = run_to(process, REIN_CAUSE_BREAKPOINT);
        before = look_at(thread, true);
        assert_int_equal(call_word(thread, address_of(fixture, "called_alignment"), 0), 0);
        assert_as_before(thread, &before);
        if (i % 2) {
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
            before = look_at(thread, true);
            assert_state(thread, REIN_STATE_STOPPED_STEP);
            assert_int_equal(call_word(thread, address_of(fixture, "called_alignment"), 0), 0);
            assert_as_before(thread, &before);
        }
    }
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 50);
}

/* I4: stopped by a signal, which then is delivered with its siginfo; also behind a step that holds it back, and in its
 * handler. */
static void at_signals(const char *awake)
{
    struct fixture *fixture = start_ready("signals_seen", "1", awake, NULL);
    rein_process *process = attach(fixture);
    rein_word function = address_of(fixture, "called_scribble");
    rein_thread *thread = thread_of(process, said_id(fixture, "thread1"));
    assert_ok(rein_process_continue(process));
    for (int number = 1; number <= SIGRTMAX; number++) {
        if (number == SIGKILL || number == SIGSTOP || number == SIGSEGV || number == SIGBUS || number == SIGILL ||
            number == SIGFPE || number == SIGALRM || number == SIGTRAP || number == 32 || number == 33)
            continue;
        char line[128];
        send_to(fixture->pid, rein_thread_id(thread), number, 1000 + number);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
        struct look before = look_at(thread, true);
        call(thread, function, NULL, 0);
        call(thread, function, NULL, 0);
        assert_as_before(thread, &before);
        if (number % 5 == 0) {
            assert_ok(rein_thread_set_signal(thread, 0));
            call(thread, function, NULL, 0);
            assert_ok(rein_thread_set_signal(thread, number));
        }
        if (number % 3 == 0) /* it is held back */
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        else if (number % 3 == 1) /* into the handler */
            assert_ok(rein_thread_step(thread, REIN_STEP_DELIVER, LIMIT_MS));
        before = look_at(thread, true);
        call(thread, function, NULL, 0);
        assert_as_before(thread, &before);
        assert_ok(rein_process_continue(process));
        snprintf(line, sizeof line, "signal %d code %d value %d pid %d thread 1", number, SI_QUEUE, 1000 + number,
                 getpid());
        expect_said(fixture, line);
    }
    end_told(fixture);
}

static void I4_at_signals_asleep(void **state)
{
    (void)state;
    at_signals("0");
}

static void I4_at_signals_awake(void **state)
{
    (void)state;
    at_signals("1");
}

/* I4: the same in calls that have changed the mask, where the handler must run inside; half of the calls are abandoned at a
 * breakpoint, a quarter at a stop by request. */
static void I4_at_signals_in_sigsuspend(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    rein_word function = address_of(fixture, "called_hot"), wait = address_of(fixture, "called_wait");
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_THREAD));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    add_breakpoint(process, address_of(fixture, "called_float"));
    assert_ok(rein_process_continue(process));
    int seen[2] = {0, 0};
    for (double limit = now() + LIMIT_S; seen[0] < 20 || seen[1] < 20;) {
        struct rein_event event;
        assert_true(now() < limit);
        assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
        rein_thread *thread = event.thread;
        if (event.cause.kind == REIN_CAUSE_SIGNAL) {
            int *times = &seen[event.cause.signal.number == SIGUSR2];
            struct look before = look_at(thread, true);
            if (*times % 4 == 0) {
                assert_int_equal(call_word(thread, function, 2), 6);
            } else if (*times % 4 < 3) {
                assert_error(try_word(thread, address_of(fixture, "called_float"), 0, NULL), REIN_CALL_STOPPED);
                assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
            } else {
                struct rein_call what = REIN_CALL_INIT;
                what.pc = wait;
                assert_error(rein_thread_call(thread, &what, 1, NULL), REIN_TIMEOUT);
                assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
            }
            assert_as_before(thread, &before);
            (*times)++;
            assert_ok(rein_thread_continue(thread));
        } else {
            assert_int_equal(event.cause.kind, REIN_CAUSE_BREAKPOINT); /* it is back from there */
        }
        rein_event_clear(&event);
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    end_told(fixture);
}

/* ---- In the function ---- */

/* I5: breakpoints in the function, and functions called at these, to a depth; then all return. */
static void I5_breakpoints_and_nested_calls(void **state)
{
    (void)state;
    enum { DEPTH = 20 };
    rein_thread *thread;
    struct fixture *fixture = start_spin(&thread);
    rein_process *process = fixture->process;
    struct look before[DEPTH + 1];
    struct rein_call_result result;
    rein_breakpoint *breakpoint = add_breakpoint(process, address_of(fixture, "called_float"));
    rein_word through = address_of(fixture, "called_through");
    const struct rein_call_argument arguments[] = {WORD(address_of(fixture, "called_float")), WORD(5)};
    for (int i = 0; i < DEPTH; i++) {
        before[i] = look_at(thread, true);
        assert_error_says(try_call(thread, through, arguments, 2, NULL), REIN_CALL_STOPPED, "breakpoint at");
        assert_state(thread, REIN_STATE_STOPPED_BREAKPOINT);
        assert_word(pc_of(thread), address_of(fixture, "called_float"));
        assert_int_equal(call_word(thread, address_of(fixture, "called_hot"), 4), 12);
    }
    for (int i = DEPTH; i-- > 0;) {
        if (i % 2)
            assert_ok(go_on_and_wait(thread, &result));
        else
            assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
        assert_as_before(thread, &before[i]);
    }
    assert_int_equal(rein_breakpoint_hits(breakpoint), DEPTH);
    assert_error(rein_thread_call_wait(thread, LIMIT_MS, &result), REIN_BAD_STATE);
    assert_error(rein_thread_call_abandon(thread, LIMIT_MS), REIN_BAD_STATE);
    end_told(fixture);
}

/* I5: stepped through to its end, and out of it. */
static void I5_steps(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = start_spin(&thread);
    rein_process *process = fixture->process;
    struct look before = look_at(thread, true);
    struct rein_call_result result;
    rein_word start = pc_of(thread), room = register_of(thread, STACK_POINTER) - 4096;
    const struct rein_call_argument arguments[] = {WORD(room), WORD(41), DOUBLE(1.5)};
    bool narrow = is_narrow(thread); /* the struct is in memory, and the function takes its address off the stack */
    rein_word pair = address_of(fixture, "called_pair");
    add_breakpoint(process, pair);
    assert_error(try_call(thread, pair, narrow ? arguments : arguments + 1, narrow ? 3 : 2, NULL), REIN_CALL_STOPPED);
    int steps = 0;
    for (rein_word pc = pc_of(thread); pc != start; pc = pc_of(thread)) {
        assert_true(steps++ < 1000);
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    }
    assert_ok(rein_thread_call_wait(thread, 0, &result));
    assert_word(result.words[0], narrow ? room : 42);
    if (narrow)
        assert_word(word_at(process, room), 42);
    else
        assert_true(result.vectors[0].real == 3.0);
    assert_as_before(thread, &before);
    end_told(fixture);
}

/* I5: signals in the function: of its own making and from outside, delivered or not; an abort and a fault go with it. */
static void I5_signals(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "1", "0", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = thread_of(process, said_id(fixture, "thread1"));
    rein_word signal = address_of(fixture, "called_signal");
    struct rein_call_result result;
    struct look before = look_at(thread, true);
    assert_error_says(try_word(thread, signal, SIGUSR1, &result), REIN_CALL_STOPPED, "SIGUSR1");
    assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
    assert_ok(go_on_and_wait(thread, &result)); /* by way of the handler */
    assert_int_equal(result.words[0], 7);
    assert_as_before(thread, &before);
    expect_said(fixture, "signal 10 code -6");

    assert_error(try_word(thread, signal, SIGUSR2, &result), REIN_CALL_STOPPED);
    assert_ok(rein_thread_call_abandon(thread, LIMIT_MS)); /* it was sent */
    assert_as_before(thread, &before);
    assert_error_says(try_word(thread, signal, SIGABRT, &result), REIN_CALL_STOPPED, "SIGABRT");
    assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
    assert_error_says(try_word(thread, address_of(fixture, "called_fault"), 8, &result), REIN_CALL_STOPPED, "SIGSEGV");
    assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
    assert_error_says(try_word(thread, 0x10, 8, &result), REIN_CALL_STOPPED, "SIGSEGV"); /* there is no such function */
    assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
    assert_as_before(thread, &before);
    assert_null(has_said(fixture, "signal 12"));

    set_policy(process, REIN_IGNORE);
    assert_int_equal(call_word(thread, signal, SIGHUP), 7);
    assert_as_before(thread, &before);
    expect_said(fixture, "signal 1 code -6");
    assert_ok(rein_process_continue(process));
    expect_said(fixture, "signal 12 code"); /* as rein's, like any that is held back: the kernel allows no other */
    assert_null(has_said(fixture, "signal 6 "));
    end_told(fixture);
}

/* I5: limits, stops and abandoning, in functions that compute and that sit in the kernel, from threads that do. */
static void I5_limits_stops_and_abandoning(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    static const char *const functions[] = {"called_wait", "called_read", "called_sleep"};
    set_policy(process, REIN_IGNORE);
    for (int round = 0; round < 3 * KINDS; round++) {
        rein_thread *thread = thread_in(fixture, kinds[round % KINDS]);
        int which = round / KINDS;
        if (which == 2 && sleeps_on(thread, kinds[round % KINDS]))
            continue; /* see I5_sleeping_in_sleepers */
        const struct rein_call_argument arguments[] = {WORD(100000)};
        struct rein_call what = REIN_CALL_INIT;
        struct look before = look_at(thread, true);
        int mask = !changes_mask(kinds[round % KINDS]);
        what.pc = address_of(fixture, functions[which]);
        what.arguments = arguments;
        what.count = 1;
        assert_error(rein_thread_call(thread, &what, round % 3 ? 5 : 0, NULL), REIN_TIMEOUT);
        assert_error(rein_thread_call_wait(thread, 1, NULL), REIN_TIMEOUT);
        assert_state(thread, REIN_STATE_RUNNING);
        if (round % 2) {
            assert_ok(rein_thread_stop(thread, LIMIT_MS));
            assert_error(rein_thread_call_wait(thread, LIMIT_MS, NULL), REIN_CALL_STOPPED);
            assert_ok(rein_thread_continue(thread));
            assert_error(rein_thread_call_wait(thread, 1, NULL), REIN_TIMEOUT);
        }
        assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
        check_as_before(thread, &before, mask, __LINE__);
        assert_ok(rein_process_wait(process, 0));
    }
    assert_ok(rein_process_continue(process));
    end_told(fixture);
}

/* I5: a function that sleeps within a sleep ends that as a signal's handler would; one that does not leaves it alone. */
static void I5_sleeping_in_sleepers(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("jumping", "sleep", NULL);
    await_state(fixture->pid, 0, 'S');
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    set_policy(process, REIN_IGNORE);
    for (int i = 0; i < 3; i++) { /* interrupted once more, it is in restart_syscall */
        assert_true(sleeps_on(thread, "nanosleep"));
        assert_int_equal(call_word(thread, address_of(fixture, "called_hot"), 3), 9);
        assert_true(sleeps_on(thread, "nanosleep"));
        assert_ok(rein_process_continue(process));
        await_state(fixture->pid, 0, 'S');
        assert_ok(rein_process_stop(process, LIMIT_MS));
    }
    assert_int_equal(call_word(thread, address_of(fixture, "called_sleep"), 5), 8);
    assert_int_equal((int32_t)register_of(thread, RESULT_REGISTER), -EINTR);
    assert_ok(rein_process_continue(process));
    expect_said(fixture, "count interrupted 1");
    assert_ends_traced(fixture, 0);
}

/* I5: stopped, and abandoned, at any moment, around the return above all: its fault may be under way just then. */
static void I5_stops_around_the_return(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("long_calls", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = thread_in(fixture, "read");
    const struct rein_call_argument arguments[] = {WORD(1)};
    struct rein_call what = REIN_CALL_INIT;
    struct look before = look_at(thread, true);
    int returned = 0, times = how_many() / 2;
    set_policy(process, REIN_IGNORE);
    what.pc = address_of(fixture, "called_hot");
    what.arguments = arguments;
    what.count = 1;
    for (int i = 0; i < times; i++) {
        struct rein_call_result result;
        int error = rein_thread_call(thread, &what, 0, &result);
        for (int wait = 0; error == REIN_TIMEOUT && wait < i % 8; wait++)
            error = rein_thread_call_wait(thread, 0, &result);
        if (error == REIN_TIMEOUT && i % 3 == 0) {
            assert_ok(rein_thread_stop(thread, LIMIT_MS));
            error = rein_thread_call_wait(thread, LIMIT_MS, &result);
        }
        if (error) {
            assert_true(error == REIN_TIMEOUT || error == REIN_CALL_STOPPED);
            error = rein_thread_call_abandon(thread, LIMIT_MS);
            assert_true(!error || error == REIN_BAD_STATE); /* it is back already */
        } else {
            returned++;
            assert_int_equal(result.words[0], 3);
        }
        check_as_before(thread, &before, true, __LINE__);
    }
    print_message("%d of %d have returned\n", returned, times);
    assert_ok(rein_process_continue(process));
    end_told(fixture);
}

/* ---- Job control ---- */

/* I4: in a process that is stopped by job control functions run, and it is stopped afterwards. */
static void I4_in_a_group_stop(void **state)
{
    (void)state;
    skip_if_lent(); /* it would have to be in a call for the group-stop to be left */
    struct fixture *fixture = start_ready("long_calls", "stops", NULL);
    rein_process *process = attach(fixture);
    struct rein_call_result result;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_STOP_ALL));
    add_breakpoint(process, address_of(fixture, "called_float"));
    assert_ok(rein_process_continue(process));
    for (int round = 0; round < 4; round++) {
        assert_int_equal(kill(fixture->pid, round % 2 ? SIGSTOP : SIGTSTP), 0);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        for (int i = 0; i < KINDS; i++) {
            rein_thread *thread = thread_in(fixture, kinds[i]);
            struct look before = look_at(thread, true);
            assert_int_equal(call_word(thread, address_of(fixture, "called_hot"), 2), 6);
            assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
            assert_error(try_word(thread, address_of(fixture, "called_float"), 0, NULL), REIN_CALL_STOPPED);
            if (i % 2)
                assert_ok(go_on_and_wait(thread, &result));
            else
                assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
            check_as_before(thread, &before, !changes_mask(kinds[i]), __LINE__);
        }
        if (round < 2) /* then it is over when they are continued */
            assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        assert_ok(rein_process_continue(process));
        if (round >= 2) {
            await_state(fixture->pid, said_id(fixture, "nanosleep"), 't'); /* listening */
            assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        }
        await_state(fixture->pid, said_id(fixture, "read"), 'S');
        assert_ok(rein_process_stop(process, LIMIT_MS)); /* SIGCONT is to be seen before the next stop signal comes */
        assert_ok(rein_process_continue(process));
    }
    end_told(fixture);
}

/* goes_on: when something else alone has stopped it, it is continued; that forgets events, so all must have been seen. */
static void run_to_signal(rein_process *process, int number, bool goes_on)
{
    bool stopped = false;
    for (double limit = now() + LIMIT_S; now() < limit;) {
        struct rein_event event;
        if (rein_process_next_event(process, 0, &event) == REIN_TIMEOUT) {
            if (goes_on && stopped)
                assert_ok(rein_process_continue(process));
            stopped = rein_process_wait(process, 1) == 0;
            continue;
        }
        bool found = event.cause.kind == REIN_CAUSE_SIGNAL && event.cause.signal.number == number;
        rein_event_clear(&event);
        if (found)
            return;
    }
    fail_msg("no signal %d", number);
}

/* M7, T2, I5: a stop signal that the thread is about to get behind the function, or that a step has held back, is void when
 * SIGCONT comes meanwhile. */
static void M7_I5_SIGCONT_in_the_function(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_word counter = address_of(fixture, "hot2_count");
    int ids[2];
    struct rein_call_result result;
    assert_int_equal(proc_threads(fixture->pid, ids, 2), 2);
    rein_thread *thread = thread_of(process, ids[0] == fixture->pid ? ids[1] : ids[0]); /* which counts */
    add_breakpoint(process, address_of(fixture, "called_float"));
    for (int round = 0; round < 8; round++) {
        set_policy(process, REIN_STOP_ALL);
        assert_ok(rein_process_stop(process, LIMIT_MS)); /* to continue it forgets what has stopped it meanwhile */
        assert_int_equal(syscall(SYS_tgkill, fixture->pid, rein_thread_id(thread), SIGTSTP), 0);
        assert_ok(rein_process_continue(process));
        run_to_signal(process, SIGTSTP, true);
        if (round % 2)
            assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
        assert_error(try_word(thread, address_of(fixture, "called_float"), 0, NULL), REIN_CALL_STOPPED);
        assert_int_equal(kill(fixture->pid, SIGCONT), 0);
        assert_ok(rein_thread_continue(thread_of(process, fixture->pid))); /* who takes it; the other stays there */
        run_to_signal(process, SIGCONT, false);
        if (round % 4 < 2) {
            assert_ok(rein_process_continue(process));
            assert_ok(rein_thread_call_wait(thread, LIMIT_MS, &result));
        } else {
            assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
        }
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_continue(process));
        rein_word before = word_at(process, counter), after = before;
        for (double limit = now() + LIMIT_S; after <= before + 10;) {
            if (now() > limit)
                fail_msg("round %d: it is stopped", round);
            assert_error(rein_process_wait(process, 1), REIN_TIMEOUT);
            after = word_at(process, counter);
        }
    }
    end_told(fixture);
}

/* ---- What functions may do ---- */

/* I5: threads and processes that the function makes; its own threads run while it waits for them, others if that is asked
 * for, and stop again. */
static void I5_threads_and_processes(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = start_spin(&thread);
    rein_process *process = fixture->process;
    set_policy(process, REIN_IGNORE);
    rein_breakpoint *hot = count_at(process, address_of(fixture, "hot"));
    struct look before = look_at(thread, true);
    uint64_t others = 0;
    for (int i = 0; i < 20; i++) {
        struct rein_call what = REIN_CALL_INIT;
        struct rein_call_result result;
        what.pc = address_of(fixture, "called_thread");
        what.flags = i % 4 == 3 ? REIN_CALL_OTHERS_RUN : 0;
        uint64_t hits = rein_breakpoint_hits(hot);
        assert_ok(rein_thread_call(thread, &what, LIMIT_MS, &result));
        assert_int_equal(result.words[0], 6);
        assert_ok(rein_process_wait(process, 0));
        if (!what.flags)
            assert_word(rein_breakpoint_hits(hot) - hits, 1);
        others += rein_breakpoint_hits(hot) - hits - 1;
        assert_int_equal(call_word(thread, address_of(fixture, "called_fork"), 0), 17);
        assert_int_equal(call_word(thread, address_of(fixture, "called_vfork"), 0), 18);
        assert_as_before(thread, &before);
        assert_int_equal(thread_count(process), 3);
    }
    (void)others;
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_CREATE, REIN_STOP_ALL));
    assert_error_says(try_word(thread, address_of(fixture, "called_thread"), 0, NULL), REIN_CALL_STOPPED,
                      "thread create");
    assert_ok(rein_thread_call_abandon(thread, LIMIT_MS)); /* out of clone */
    assert_as_before(thread, &before);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_THREAD_CREATE, REIN_IGNORE));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_VFORK, REIN_STOP_ALL));
    assert_error_says(try_word(thread, address_of(fixture, "called_vfork"), 0, NULL), REIN_CALL_STOPPED, "vfork");
    assert_ok(rein_thread_call_abandon(thread, LIMIT_MS)); /* when the child has left */
    assert_as_before(thread, &before);
    end_told(fixture);
}

/* I5, C1: processes that the function makes are followed; one that returns from it, too, dies of that, or is the caller's to
 * say what becomes of it. */
static void I5_C1_children_are_followed(void **state)
{
    (void)state;
    rein_thread *thread;
    struct fixture *fixture = start_spin(&thread);
    rein_process *process = fixture->process;
    struct look before = look_at(thread, true);
    struct rein_event event;
    set_policy(process, REIN_IGNORE);
    assert_true(call_word(thread, address_of(fixture, "called_fork_both"), 0) > 0); /* let go, and dead */
    assert_as_before(thread, &before);
    assert_ok(rein_process_set_follow(process, REIN_FOLLOW_BOTH, 0));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(call_word(thread, address_of(fixture, "called_fork"), 0), 17);
        assert_int_equal(call_word(thread, address_of(fixture, "called_vfork"), 0), 18);
        assert_as_before(thread, &before);
    }
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_FORK, REIN_REPORT));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL)); /* the child's, too */
    int64_t id = call_word(thread, address_of(fixture, "called_fork_both"), 0);
    assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
    assert_int_equal(event.cause.kind, REIN_CAUSE_FORK);
    rein_process *child = event.cause.new_process;
    assert_int_equal(rein_process_id(child), id);
    assert_ok(rein_process_wait(child, LIMIT_MS));
    rein_thread *other = first_thread(child);
    assert_state(other, REIN_STATE_STOPPED_SIGNAL);
    assert_error(rein_thread_call_wait(other, LIMIT_MS, NULL), REIN_BAD_STATE); /* it is in no function */
    set_pc_of(other, address_of(fixture, "called_end"));
    assert_ok(rein_thread_set_signal(other, 0));
    assert_ok(rein_process_continue(child));
    assert_error(rein_process_wait(child, LIMIT_MS), REIN_EXITED);
    rein_event_clear(&event);
    assert_as_before(thread, &before);
    end_told(fixture);
}

/* I5: left by a jump: the call is over when one around it returns, or is abandoned. */
static void I5_left_by_a_jump(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("jumping", NULL);
    rein_process *process = fixture->process;
    struct rein_call_result result;
    add_breakpoint(process, address_of(fixture, "called_float"));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    /* A function that sets the jump, and stops at a breakpoint; there one is called that jumps back into it. */
    struct look before = look_at(thread, true);
    for (int i = 0; i < 3; i++) {
        assert_error(try_call(thread, address_of(fixture, "jump_around"), NULL, 0, NULL), REIN_CALL_STOPPED);
        if (i < 2) {
            assert_ok(try_call(thread, address_of(fixture, "called_alignment"), NULL, 0, &result));
            /* It comes out of the outer function, whose result waits. */
            assert_error_says(try_call(thread, address_of(fixture, "called_leave"), NULL, 0, &result), REIN_CANCELLED,
                              "without returning");
            assert_ok(rein_thread_call_wait(thread, LIMIT_MS, &result));
            assert_int_equal(result.words[0], 33);
        } else {
            assert_ok(rein_thread_call_abandon(thread, LIMIT_MS));
        }
        assert_as_before(thread, &before);
    }
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* ---- Ends ---- */

struct caller {
    pthread_t pthread;
    rein_thread *thread;
    rein_word pc, argument;
    int result;
    char message[320];
};

static void *make_call(void *arg)
{
    struct caller *caller = arg;
    struct rein_call what = REIN_CALL_INIT;
    const struct rein_call_argument arguments[] = {WORD(caller->argument)};
    what.pc = caller->pc;
    what.arguments = arguments;
    what.count = 1;
    caller->result = rein_thread_call(caller->thread, &what, -1, NULL);
    snprintf(caller->message, sizeof caller->message, "%s", rein_error_message());
    return NULL;
}

/* Has a thread call a function that does not return, and waits until it is inside. */
static void begin_call(struct caller *caller, struct fixture *fixture, rein_thread *thread, const char *function)
{
    rein_word inside = address_of(fixture, "called_inside");
    int value = 0;
    *caller = (struct caller){.thread = thread, .pc = address_of(fixture, function), .argument = 100000};
    assert_ok(rein_process_write(rein_thread_process(thread), inside, &value, sizeof value, NULL));
    assert_int_equal(pthread_create(&caller->pthread, NULL, make_call, caller), 0);
    for (double limit = now() + LIMIT_S; !value; sleep_ms(1)) {
        assert_true(now() < limit);
        raw_read(fixture->pid, inside, &value, sizeof value);
    }
}

static void end_call(struct caller *caller, int result)
{
    pthread_join(caller->pthread, NULL);
    if (caller->result != result)
        fail_msg("the call returned %s: %s", rein_error_name(caller->result), caller->message);
}

/* I5: killed; cancelled, and waited for again; the thread or the process ends in the function, or executes another program. */
static void I5_killed_in_the_middle(void **state)
{
    (void)state;
    skip_if_lent();
    for (int round = 0; round < 4; round++) {
        struct fixture *fixture = start_ready("long_calls", NULL);
        rein_process *process = attach(fixture);
        struct caller caller;
        set_policy(process, REIN_IGNORE);
        begin_call(&caller, fixture, thread_in(fixture, round % 2 ? "poll" : "read"),
                   round < 2 ? "called_wait" : "called_read");
        if (round) {
            assert_ok(rein_process_cancel_wait(process));
            end_call(&caller, REIN_CANCELLED);
            assert_error(rein_thread_call_wait(caller.thread, 1, NULL), REIN_TIMEOUT);
        }
        assert_int_equal(kill(fixture->pid, SIGKILL), 0);
        if (!round)
            pthread_join(caller.pthread, NULL);
        else
            caller.result = rein_thread_call_wait(caller.thread, LIMIT_MS, NULL);
        if (caller.result != REIN_EXITED && caller.result != REIN_NO_THREAD)
            fail_msg("%s: %s", rein_error_name(caller.result), caller.message);
        assert_error(rein_process_next_event(process, LIMIT_MS, &(struct rein_event){.sequence = 0}), REIN_EXITED);
    }
}

static void I5_ends_in_the_function(void **state)
{
    (void)state;
    struct rein_call_result result;
    rein_thread *thread;
    struct fixture *fixture = start_spin(&thread);
    set_policy(fixture->process, REIN_IGNORE);
    thread = thread_of(fixture->process, rein_thread_id(thread));
    assert_error(try_word(thread, address_of(fixture, "called_end"), 0, &result), REIN_NO_THREAD);
    assert_ok(rein_process_kill(fixture->process));
    for (int i = 0; i < 2; i++) { /* an exec of the leader's and of another thread's */
        fixture = start_ready("spin", "2", NULL);
        rein_process *process = attach(fixture);
        rein_thread **threads = NULL;
        size_t count = 0;
        rein_word path;
        assert_ok(rein_process_threads(process, &threads, &count));
        thread = threads[i];
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
        path = register_of(thread, STACK_POINTER) - 4096;
        assert_ok(rein_process_write(process, path, tool("true"), strlen(tool("true")) + 1, NULL));
        struct rein_call what = REIN_CALL_INIT;
        const struct rein_call_argument arguments[] = {WORD(path)};
        what.pc = address_of(fixture, "called_exec");
        what.arguments = arguments;
        what.count = 1;
        what.flags = REIN_CALL_OTHERS_RUN; /* an exec ends them first */
        what.stack = path;
        assert_error_says(rein_thread_call(thread, &what, LIMIT_MS, &result), REIN_CANCELLED, "another program");
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_int_equal(cause_of(first_thread(process)), REIN_CAUSE_EXEC);
        assert_ok(rein_process_kill(process));
        rein_thread_list_free(threads, count);
    }
}

/* I5: let go in the middle, by detach and by the end of the monitor: in functions that compute and that sit in the kernel, and
 * at a breakpoint in one that was called at a breakpoint. */
static void I5_let_go_in_the_middle(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("long_calls", NULL);
    for (int i = 0; i < 4 * KINDS; i++) {
        rein_monitor *own = NULL;
        rein_process *process = NULL;
        struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
        options.kind = monitor_kind();
        assert_ok(rein_monitor_create(&options, &own));
        assert_ok(rein_attach(own, fixture->pid, NULL, &process));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
        rein_thread *thread = NULL;
        struct caller caller;
        assert_ok(rein_process_thread(process, said_id(fixture, kinds[i % KINDS]), &thread));
        if (i % 3 == 2) {
            rein_word at = address_of(fixture, "called_float");
            assert_ok(rein_process_add_breakpoint(process, at, NULL, NULL));
            for (int depth = 0; depth < 3; depth++)
                assert_error(try_word(thread, at, 0, NULL), REIN_CALL_STOPPED);
        } else {
            begin_call(&caller, fixture, thread, i % 3 ? "called_read" : "called_wait");
        }
        if (i < 2 * KINDS)
            assert_ok(rein_process_detach(process, 0));
        else
            assert_ok(rein_monitor_close(own));
        if (i % 3 != 2)
            end_call(&caller, REIN_DETACHED);
        rein_thread_unref(thread);
        rein_process_unref(process);
        if (i < 2 * KINDS)
            assert_ok(rein_monitor_close(own));
        assert_free(fixture->pid);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

struct host {
    struct fixture *fixture;
    int id; /* of the thread that makes calls */
    rein_word function;
    int report;
};

static void be_host(void *arg)
{
    const struct host *host = arg;
    rein_monitor *mine = NULL;
    rein_process *process = NULL;
    rein_thread *thread = NULL;
    apart_ok(rein_monitor_create(NULL, &mine));
    apart_ok(rein_attach(mine, host->fixture->pid, NULL, &process));
    apart_ok(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    apart_ok(rein_process_thread(process, host->id, &thread));
    int id = rein_monitor_id(mine);
    apart_check(write(host->report, &id, sizeof id) == sizeof id);
    for (;;) {
        try_word(thread, host->function, 1, NULL);
        apart_ok(rein_thread_continue(thread));
        apart_ok(rein_thread_stop(thread, LIMIT_MS));
    }
}

/* I5, M10: the host is killed while a thread is in a function, or in the middle of a storm of calls. */
static void I5_M10_host_killed_in_the_middle(void **state)
{
    (void)state;
    if (monitor_kind() != REIN_MONITOR_PROCESS) /* the header says that the others cannot do this */
        skip();
    struct fixture *fixture = start_ready("long_calls", NULL);
    static const char *const functions[] = {"called_wait", "called_read", "called_hot"};
    unsigned random = 1;
    for (int i = 0; i < 3 * KINDS; i++) {
        int ends[2], monitor_id;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        struct host host = {fixture, said_id(fixture, kinds[i % KINDS]), address_of(fixture, functions[i / KINDS]),
                            ends[1]};
        int pid = apart(be_host, &host);
        close(ends[1]);
        assert_int_equal(read(ends[0], &monitor_id, sizeof monitor_id), sizeof monitor_id);
        close(ends[0]);
        random = random * 1664525 + 1013904223;
        struct timespec moment = {0, (long)(random >> 8) % 5000 * 1000};
        nanosleep(&moment, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = apart_end(pid, LIMIT_MS);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        await_free(fixture->pid, LIMIT_MS);
    }
    tell(fixture);
    assert_ends(fixture, 0);
}

/* ---- Beside traced calls, and what is refused ---- */

/* I4: at the entry of a traced call, which is made afterwards, as it was; at an exit it is refused. */
static void I4_beside_traced_calls(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("syscalls", "threads", "2", "200", NULL);
    rein_process *process = fixture->process;
    const struct rein_syscall_id id = {word_size(process) == 4 ? AUDIT_ARCH_I386 : AUDIT_MACHINE,
                                       (uint32_t)number_in(process, SYS_getppid)};
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, &id, 1));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_ENTRY, REIN_STOP_ALL));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_EXIT, REIN_STOP_ALL));
    int entries = 0, exits = 0;
    while (entries < 50 || exits < 50) {
        struct rein_event event;
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
        rein_thread *thread = event.thread;
        struct look before = look_at(thread, true);
        if (event.cause.kind == REIN_CAUSE_SYSCALL_ENTRY) {
            entries++;
            const struct rein_call_argument arguments[] = {DOUBLE(entries)};
            struct rein_call_result result =
                call(thread, address_of(fixture, "called_extended"), arguments, COUNT(arguments));
            assert_true(extended_of(&result) == (long double)(double)entries / 3);
        } else {
            exits++;
            assert_int_equal(event.cause.syscall.result,
                             monitor_kind() == REIN_MONITOR_PROCESS ? rein_monitor_id(monitor) : getpid());
            assert_error_says(try_word(thread, address_of(fixture, "called_hot"), 1, NULL), REIN_BAD_STATE, "exit");
        }
        assert_as_before(thread, &before);
        rein_event_clear(&event);
    }
    assert_ok(rein_process_trace_syscalls(process, 0, NULL, 0));
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* I3, I4: a vfork child is in its parent's memory and on its stack, and is the caller's only where it hits a breakpoint: no call is
 * made there, and neither of the two finds anything of it. Behind its exec, or in its parent when it has left, all is as
 * ever. */
static void I3_I4_in_a_vfork_child(void **state)
{
    (void)state;
    static const rein_word nothing[6];
    for (int round = 0; round < 6; round++) {
        bool executes = round % 2, followed = round >= 2;
        struct fixture *fixture = spawn("family", executes ? "vfork" : "vfork_exit", NULL);
        rein_process *process = fixture->process;
        rein_thread *parent = first_thread(process);
        struct rein_event event;
        int64_t result = 0;
        add_breakpoint(process, address_of(fixture, "hot"));
        if (followed)
            assert_ok(rein_process_set_follow(process, REIN_FOLLOW_BOTH, round >= 4 ? REIN_FOLLOW_BREAKPOINTS : 0));
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_VFORK, REIN_REPORT));
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_STOP_ALL));
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_next_event(process, LIMIT_MS, &event));
        assert_int_equal(event.cause.kind, REIN_CAUSE_VFORK);
        rein_process *child = followed ? rein_process_ref(event.cause.new_process) : NULL;
        int child_id = event.cause.child;
        rein_event_clear(&event);
        assert_ok(rein_process_next_event(child ? child : process, LIMIT_MS, &event));
        assert_int_equal(event.cause.kind, REIN_CAUSE_BREAKPOINT);
        assert_int_equal(rein_thread_id(event.thread), child_id);
        assert_error_says(rein_thread_syscall(event.thread, SYS_getpid, nothing, NULL, &result), REIN_BAD_STATE,
                          "vfork child");
        assert_error_says(try_word(event.thread, address_of(fixture, "hot"), 0, NULL), REIN_BAD_STATE, "vfork child");
        assert_error(try_word(parent, address_of(fixture, "hot"), 0, NULL), REIN_BAD_STATE);
        assert_state(event.thread, REIN_STATE_STOPPED_BREAKPOINT);
        assert_word(pc_of(event.thread), address_of(fixture, "hot"));
        assert_ok(rein_thread_continue(event.thread));
        rein_event_clear(&event);
        if (child && executes) {
            assert_ok(rein_process_wait(child, LIMIT_MS));
            assert_int_equal(cause_of(first_thread(child)), REIN_CAUSE_EXEC);
            assert_ok(rein_thread_syscall(first_thread(child), number_in(child, SYS_getpid), nothing, NULL, &result));
            assert_int_equal(result, child_id);
            set_policy(child, REIN_IGNORE);
            assert_ok(rein_process_continue(child));
        }
        close(fixture->in);
        fixture->in = -1;
        assert_ok(rein_thread_wait(parent, LIMIT_MS)); /* in hot, when the child has ended */
        assert_int_equal(cause_of(parent), REIN_CAUSE_BREAKPOINT);
        assert_ok(rein_thread_syscall(parent, number_in(process, SYS_getpid), nothing, NULL, &result));
        assert_int_equal(result, fixture->pid);
        set_policy(process, REIN_IGNORE);
        run_to_end(process);
        assert_ends_traced(fixture, 0);
        rein_process_unref(child);
    }
}

/* I4: in a thread with a seccomp filter, which the way back from a signal's stop might offend. */
static void I4_seccomp(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("signals_seen", "1", "0", NULL);
    rein_process *process = attach(fixture);
    rein_word hot = address_of(fixture, "called_hot");
    rein_thread *thread = thread_of(process, said_id(fixture, "thread1"));
    if (call_word(thread, address_of(fixture, "called_filter"), 0) != 0) {
        print_message("seccomp is not to be had here: skipped\n");
        skip();
    }
    struct look before = look_at(thread, true);
    assert_int_equal(call_word(thread, hot, 3), 9); /* no system call is made for it */
    assert_as_before(thread, &before);
    for (int i = 0; i < 10; i++) {
        const struct rein_call_argument arguments[] = {WORD(i)};
        struct rein_call what = REIN_CALL_INIT;
        struct rein_call_result result;
        char line[64];
        assert_ok(rein_process_continue(process));
        send_to(fixture->pid, rein_thread_id(thread), SIGUSR1, i);
        assert_ok(rein_process_wait(process, LIMIT_MS));
        assert_state(thread, REIN_STATE_STOPPED_SIGNAL);
        before = look_at(thread, true);
        assert_error_says(try_word(thread, hot, 3, &result), REIN_NOT_PERMITTED, "FILTERED");
        what.pc = hot;
        what.arguments = arguments;
        what.count = 1;
        what.flags = REIN_CALL_FILTERED;
        assert_ok(rein_thread_call(thread, &what, LIMIT_MS, &result));
        assert_int_equal(integer_of(thread, &result), 3 * i);
        assert_as_before(thread, &before);
        assert_ok(rein_process_continue(process));
        snprintf(line, sizeof line, "signal %d code %d value %d ", SIGUSR1, SI_QUEUE, i);
        expect_said(fixture, line);
        assert_ok(rein_process_stop(process, LIMIT_MS));
    }
    end_told(fixture);
}

static int in_callback[3];

static enum rein_verdict call_in_callback(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)cause, (void)arg;
    in_callback[0] = try_word(thread, 0x1000, 0, NULL);
    in_callback[1] = rein_thread_call_wait(thread, LIMIT_MS, NULL);
    in_callback[2] = rein_thread_call_abandon(thread, LIMIT_MS);
    return REIN_VERDICT_POLICY;
}

static void I4_bad_input_and_state(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("spin", "2", "10", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    struct rein_call what = REIN_CALL_INIT;
    struct rein_call_result result;
    struct rein_call_argument odd[] = {WORD(1)};
    what.pc = address_of(fixture, "called_hot");
    assert_error(rein_thread_call(NULL, &what, LIMIT_MS, &result), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_call(thread, NULL, LIMIT_MS, &result), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_call_wait(NULL, LIMIT_MS, &result), REIN_INVALID_ARGUMENT);
    assert_error(rein_thread_call_abandon(NULL, LIMIT_MS), REIN_INVALID_ARGUMENT);
    what.flags = 0x80;
    assert_error_says(rein_thread_call(thread, &what, LIMIT_MS, &result), REIN_INVALID_ARGUMENT, "unknown flags");
    what.flags = 0;
    what.count = 1;
    assert_error(rein_thread_call(thread, &what, LIMIT_MS, &result), REIN_INVALID_ARGUMENT);
    what.arguments = odd;
    odd[0].type = (enum rein_call_type)7;
    assert_error_says(rein_thread_call(thread, &what, LIMIT_MS, &result), REIN_INVALID_ARGUMENT, "argument 0");
    what.count = REIN_CALL_ARGUMENTS_MAX + 1;
    assert_error(rein_thread_call(thread, &what, LIMIT_MS, &result), REIN_INVALID_ARGUMENT);
    what.count = 0;
    what.stack = 0x1000;
    assert_error_says(rein_thread_call(thread, &what, LIMIT_MS, &result), REIN_BAD_ADDRESS, "stack");
    what.stack = 0;
    assert_ok(rein_process_set_callback(process, call_in_callback, NULL));
    thread = run_to(process, REIN_CAUSE_THREAD_EXIT);
    assert_int_equal(in_callback[0], REIN_ON_MONITOR);
    assert_int_equal(in_callback[1], REIN_BAD_STATE);
    assert_int_equal(in_callback[2], REIN_BAD_STATE);
    assert_error_says(rein_thread_call(thread, &what, LIMIT_MS, &result), REIN_BAD_STATE, "exiting");
    assert_ok(rein_process_set_callback(process, NULL, NULL));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_fails(rein_thread_call(thread, &what, LIMIT_MS, &result));
    assert_ends_traced(fixture, 0);
    assert_fails(rein_thread_call(thread, &what, LIMIT_MS, &result));
    assert_fails(rein_thread_call_wait(thread, LIMIT_MS, &result));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(I4_arguments_and_results),
        live_test(I4_variable_arguments),
        live_test(I4_all_registers),
        live_test(I4_threads_in_every_call),
        live_test(I4_all_stopped),
        live_test(I4_at_start_and_at_breakpoints),
        live_test(I4_at_signals_asleep),
        live_test(I4_at_signals_awake),
        live_test(I4_at_signals_in_sigsuspend),
        live_test(I5_breakpoints_and_nested_calls),
        live_test(I5_steps),
        live_test(I5_signals),
        live_test(I5_limits_stops_and_abandoning),
        live_test(I5_sleeping_in_sleepers),
        live_test(I5_stops_around_the_return),
        live_test(I4_in_a_group_stop),
        live_test(M7_I5_SIGCONT_in_the_function),
        live_test(I5_threads_and_processes),
        live_test(I5_C1_children_are_followed),
        live_test(I5_left_by_a_jump),
        live_test(I5_killed_in_the_middle),
        live_test(I5_ends_in_the_function),
        live_test(I5_let_go_in_the_middle),
        live_test(I5_M10_host_killed_in_the_middle),
        live_test(I4_beside_traced_calls),
        live_test(I3_I4_in_a_vfork_child),
        live_test(I4_seccomp),
        live_test(I4_bad_input_and_state),
    };
    return live_main(tests);
}
