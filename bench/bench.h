/* What the parts of the bench share: comparing two ways to do a thing, the traced program, and the floor: the least
 * that a tracer can do, in plain ptrace calls. */
#ifndef REIN_BENCH_H
#define REIN_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <rein/rein.h>

#include "target.h"

/* ---- main.c: measuring ---- */

double now_us(void);
/* How many a program may have: fewer with --quick. */
unsigned threads_max(void);
/* Each work one time, small, to see that it works: --once. */
bool bench_once(void);
/* --row=TEXT: whether the name of a row has it. */
bool row_chosen(const char *what);
/* Ends the bench with a word when something fails that should not. */
#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))
_Noreturn void check_failed(const char *what, const char *file, int line);

/* Does it once and returns how long that took, in microseconds; less than 0: it has not ended in time. */
typedef double (*measure)(void *arg);
/* Takes turns with the two, for `rounds` rounds (a third of that with --quick), and prints a line: what was done, the
 * floor's median, whose way the other one is, its median, and the ratio: median and extremes of the ratios in one
 * round. Returns how many rounds; 0: it has not ended in time, and the line says so; a program that is traced may be stuck for ever. */
int compare(const char *what, const char *who, int rounds, measure floor, measure other, void *arg);
/* Prints such a line of what was measured otherwise. Sorts the times. */
void print_comparison(const char *what, const char *who, int rounds, double *floors, double *others);
/* A line in place of one, for what cannot be measured here. */
void skip(const char *what, const char *who, const char *why);
/* The path of a program that was built beside the bench; a static string. */
const char *beside(const char *name);
bool is_installed(const char *program);
/* Starts a program with its output thrown away; argv[0] is looked for in PATH. Ends the bench when it cannot. */
pid_t start_program(char *const argv[]);
void wait_for_end(pid_t pid);
/* Starts a program as start_program and waits for its end: microseconds; less than 0: it had to be killed after a minute. */
double run_program(char *const argv[]);

/* ---- target.c's other side ---- */

struct target {
    pid_t pid;
    struct target_page *page;
};
/* With so many idle threads, beside the one that works; and so many hitters. */
struct target *target_start(unsigned idle);
struct target *target_start_with(unsigned idle, unsigned hitters);
/* Under a tracer: its command, up to the program. target_end ends both. */
struct target *target_start_under(const char *const command[]);
void target_end(struct target *target);
/* Has it begin to do something `count` times; does not wait. */
void target_ask(struct target *target, enum target_work work, uint32_t count);
/* Waits until it has done that: microseconds for each; less than 0: it has not done it for a minute. */
double target_done(struct target *target);
/* Both: for who traces it from another thread. */
double target_do(struct target *target, enum target_work work, uint32_t count);

/* ---- floor.c: the least ---- */

struct crowd {
    pid_t *ids;
    size_t count;
};
/* Takes all threads of a process; stopped says how to leave them. */
struct crowd floor_attach(pid_t pid, bool stopped);
void floor_detach(struct crowd *crowd); /* all must be stopped */
/* Reads the registers of all, which must be stopped, into pcs. */
void floor_read_pcs(const struct crowd *crowd, uint64_t *pcs);
void floor_interrupt(const struct crowd *crowd);
void floor_continue(const struct crowd *crowd);
/* Serves `count` stops of one thread: wait, read the registers, go on. A signal of the program's own is delivered. */
void floor_serve(pid_t id, uint32_t count);
/* The same with wait4(-1), as most tracers do. */
void floor_serve_any(uint32_t count);
/* Puts a breakpoint into the memory of a stopped thread: what was there before. */
long floor_put_breakpoint(pid_t id, uint64_t address);
/* Serves `count` hits of it the classic way: the breakpoint out, a step, in again. Only with one thread. */
void floor_serve_breakpoint(pid_t id, uint64_t address, long original, uint32_t count);
/* Has a stopped thread make steps until it has done what it was asked for: it is stopped again. */
void floor_step(struct target *target);
/* Has a stopped thread make so many steps. */
void floor_steps(pid_t id, uint32_t count);
/* Takes a thread, and what it forks; and serves `count` forks and their children to their ends. */
void floor_follow(pid_t id);
void floor_serve_forks(pid_t id, uint32_t count);
/* Serves `count` stops that each stop all the others too. */
void floor_serve_stopping_all(const struct crowd *crowd, pid_t id, uint32_t count);

/* ---- The parts ---- */

void bench_hits(void);
void bench_many(void);
void bench_events(void);
void bench_cycles(void);
void bench_crowds(void);
void bench_requests(void);
void bench_memory(void);
void bench_starts(void);
void bench_peers(void);
void bench_calls(void);
void bench_syscalls(void);
void bench_steps(void);
void bench_forks(void);
void bench_servers(void);

#endif
