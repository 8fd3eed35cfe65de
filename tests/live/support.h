/* What tests on real processes share: starting traced programs (tests/fixtures) and reading what they say, waits
 * that have a limit, looking into /proc without rein's help, and checks of rein's answers.
 *
 * Each test runs between live_setup and live_teardown: it gets a monitor of the kind that REIN_MONITOR (process,
 * thread, lent) says, and a clean slate: afterwards nothing that it started is left, and no thread, descriptor or
 * child more than before (M10). A test that takes too long ends the program with a word. REIN_LOG=LEVEL shows the
 * monitor's log on stderr, REIN_TEST=NAME runs that test (or those of a pattern, "P4*") only.
 *
 * The functions whose names say assert_ fail the test; they may be used on the test's own thread only. */
#ifndef REIN_TESTS_SUPPORT_H
#define REIN_TESTS_SUPPORT_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../fixtures/tools.h"
#include "machine.h"
#include "rein/rein.h"
#include "sanitized.h"

#define LIMIT_MS (20000 * live_slow()) /* for what should happen at once */
#define LIMIT_S (LIMIT_MS / 1000.0)
#define BRIEF_MS 50 /* for what should not happen at all */

extern rein_monitor *monitor; /* the test's own */

int live_slow(void); /* REIN_SLOW: how many times slower than a processor the machine is */
int live_setup(void **state);
int live_teardown(void **state);
#define live_test(function) cmocka_unit_test_setup_teardown(function, live_setup, live_teardown)
#define live_main(tests) (live_choose(), cmocka_run_group_tests_name(live_name(__FILE__), tests, NULL, NULL))
void live_choose(void);
const char *live_name(const char *file);

enum rein_monitor_kind monitor_kind(void);
/* The log that REIN_LOG asks for, for a test's own monitor. */
void set_log(struct rein_monitor_options *options);
/* Leaves out a test that calls rein from several threads, which a lent monitor refuses. */
void skip_if_lent(void);
/* Leaves out a test that makes threads in a child of one with threads: ThreadSanitizer mistakes them for the parent's. */
void skip_under_thread_sanitizer(void);

/* ---- rein's answers ---- */
#define assert_ok(call) support_assert_result((call), 0, #call, __FILE__, __LINE__)
#define assert_error(call, error) support_assert_result((call), (error), #call, __FILE__, __LINE__)
/* Also that the message has these words. */
#define assert_error_says(call, error, words)                                                                          \
    (support_assert_result((call), (error), #call, __FILE__, __LINE__),                                                \
     support_assert_says(rein_error_message(), (words), __FILE__, __LINE__))
/* Any error, with a message: where the header leaves open which. */
#define assert_fails(call) support_assert_fails((call), #call, __FILE__, __LINE__)
#define assert_says(text, words) support_assert_says((text), (words), __FILE__, __LINE__)
#define assert_state(thread, state) support_assert_state((thread), (state), __FILE__, __LINE__)
#define assert_word(value, expected) support_assert_word((value), (expected), #value, __FILE__, __LINE__)
void support_assert_result(int result, int expected, const char *call, const char *file, int line);
void support_assert_fails(int result, const char *call, const char *file, int line);
void support_assert_says(const char *text, const char *words, const char *file, int line);
void support_assert_state(rein_thread *thread, enum rein_state state, const char *file, int line);
void support_assert_word(rein_word value, rein_word expected, const char *text, const char *file, int line);

/* ---- programs ---- */
struct fixture {
    char name[64];
    int pid;
    bool is_child;         /* of the test; else rein has started it */
    rein_process *process; /* given back at the end of the test */
    int in, out;           /* ends of its stdin and stdout; -1: closed */
    char *said;            /* all that it has said so far, terminated */
    size_t said_size;
    bool reaped;
    int status;   /* as of waitpid, when reaped */
    int keeper;   /* its parent, a child of the test: see start; 0: none */
    int statuses; /* what the keeper tells */
};

/* Starts a program in a process group of its own, by fork and exec. Arguments end with NULL. A monitor in the test's own
 * process would take the statuses of the test's children: for such a one the program gets a parent in between. */
struct fixture *start(const char *name, ...);
/* The same, with FIXTURE_WAIT: it has said "ready" and begins when told. */
struct fixture *start_waiting(const char *name, ...);
/* The same as start, and waits for "ready". */
struct fixture *start_ready(const char *name, ...);
/* Starts it under rein on the test's monitor: stopped after its exec. */
struct fixture *spawn(const char *name, ...);
struct fixture *spawn_with(rein_monitor *on, const struct rein_spawn_options *options, const char *name,
                           char *const argv[]);
/* Attaches to it on the test's monitor: stopped. */
rein_process *attach(struct fixture *fixture);
rein_process *attach_running(struct fixture *fixture);

/* Where the built programs are; a static string. */
const char *fixture_path(const char *name);
/* A byte for it to read: tells it to go on. */
void tell(struct fixture *fixture);
/* Waits until it has said a line that begins so, and returns what follows (up to the line's end) as a static
 * string. */
const char *expect_said(struct fixture *fixture, const char *beginning);
/* What it has said up to now. NULL when there is no such line (yet). */
const char *has_said(struct fixture *fixture, const char *beginning);
/* Like expect_said for "count NAME ", "id NAME ", "address NAME ". */
uint64_t said_count(struct fixture *fixture, const char *name);
int said_id(struct fixture *fixture, const char *name);
rein_word said_address(struct fixture *fixture, const char *name);
/* As waitpid for a child of the test, but not for ever: WNOHANG, WUNTRACED, WCONTINUED. status may be NULL. */
int wait_for(struct fixture *fixture, int options, int *status);
/* Waits for the end of a child of the test, and checks how: a status, or -SIGNAL; and that it said "ok". */
void assert_ends(struct fixture *fixture, int status);
/* Waits for the end of one that rein holds, the same. */
void assert_ends_traced(struct fixture *fixture, int status);
/* Waits until it has closed its output. */
void read_to_end(struct fixture *fixture);

/* The address of a symbol in a program of ours: as linked, and in that process. */
rein_word symbol_value(const char *name, const char *symbol);
rein_word address_in(const char *name, int pid, const char *symbol);
rein_word address_of(const struct fixture *fixture, const char *symbol);

/* ---- running under rein ---- */
/* The only thread, or the first; a counted reference that the end of the test gives back. */
rein_thread *first_thread(rein_process *process);
rein_thread *thread_of(rein_process *process, int id);
size_t thread_count(rein_process *process);
rein_word pc_of(rein_thread *thread);
/* Registers by amd64's names; of a 32-bit program those that are half of them. */
int register_index(const rein_registers *registers, const char *name);
rein_word register_of(rein_thread *thread, const char *name);
/* A word of a stopped program's memory, as wide as its words are. */
rein_word word_at(rein_process *process, rein_word address);
/* Bytes in a word of its program's. */
size_t word_size(const rein_process *process);
/* Ends the test as skipped, with the reason, if it is a 32-bit program. */
void skip_if_32_bit(const rein_process *process, const char *reason);
/* The number in its program of the system call that has that one here. */
int number_in(const rein_process *process, long number);
/* At the first instruction of a function: its first argument. */
rein_word first_argument_of(rein_thread *thread);
void set_register_of(rein_thread *thread, const char *name, rein_word value);
void set_pc_of(rein_thread *thread, rein_word pc);
enum rein_cause_kind cause_of(rein_thread *thread);
enum rein_state state_of(rein_thread *thread);
rein_breakpoint *add_breakpoint(rein_process *process, rein_word pc);
/* All kinds of cause. */
void set_policy(rein_process *process, enum rein_policy policy);
/* Continues and waits until all are stopped. */
void run_to_stop(rein_process *process);
/* Continues until a thread is stopped for that kind of cause; the others in between are passed over. A reference that
 * the end of the test gives back. */
rein_thread *run_to(rein_process *process, enum rein_cause_kind kind);
/* The next event, which must be of that kind; cleared at the end of the test. */
struct rein_event *expect_event(rein_process *process, enum rein_cause_kind kind);
void assert_no_event(rein_process *process);
/* Continues, as often as it stops, until the process has ended. SIGTRAP is delivered, too. */
void run_to_end(rein_process *process);
/* Makes a stopped thread, which it leaves as it was, run a system call at the syscall instruction at pc. */
int64_t inject(rein_thread *thread, rein_word pc, int number, rein_word first, rein_word second, rein_word third,
               rein_word fourth, rein_word fifth);
/* What a breakpoint's callback answers to be counted only; arg is not used. */
enum rein_verdict go_on(rein_thread *thread, rein_breakpoint *breakpoint, void *arg);
/* A breakpoint that only counts. A reference that the end of the test gives back. */
rein_breakpoint *count_at(rein_process *process, rein_word pc);

/* ---- looking without rein ---- */
double now(void);
void sleep_ms(int ms);
/* R, S, D, T, t, Z; 0 when there is no such thread. id 0: the process's leader. */
char proc_state(int pid, int id);
int proc_tracer(int pid, int id);
/* Sends a signal with a value to one thread. */
void send_to(int pid, int id, int number, int value);
/* The ids of its threads, at most size of them; how many there are. */
size_t proc_threads(int pid, int *ids, size_t size);
/* Waits for it. */
void await_state(int pid, int id, char state);

/* Waits until a thread of this program has said its id there, which is 0 before, and sleeps in what it did then. */
void await_asleep(atomic_int *id);
/* No thread of the process is traced or in a stop. */
#define assert_free(pid) support_assert_free((pid), __FILE__, __LINE__)
void support_assert_free(int pid, const char *file, int line);
/* The memory of a process as anyone sees it, through /proc/PID/mem. How much could be read. */
size_t raw_read(int pid, rein_word address, void *buffer, size_t size);
int count_descriptors(void);
int count_threads(void);

/* Gives back at the end of the test. */
void later_free(void *memory);
void later_unref_thread(rein_thread *thread);
void later_unref_breakpoint(rein_breakpoint *breakpoint);
void later_unref_watchpoint(rein_watchpoint *watchpoint);
void later_unref_process(rein_process *process);
void later_free_registers(rein_registers *registers);

#endif
