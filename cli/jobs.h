/* Signals to rein itself, and job control: what makes `rein trace COMMAND` behave as COMMAND alone would, seen from the
 * shell and from the terminal. */
#ifndef REIN_CLI_JOBS_H
#define REIN_CLI_JOBS_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <rein/rein.h>

enum { JOBS_FORWARDS = 8, JOBS_ARRIVALS = 16 };

struct jobs {
    bool has_program; /* COMMAND, else -p */
    pid_t self, program, monitor;
    int signal_fd;
    sigset_t former; /* the mask that rein was started with, which COMMAND gets */
    sigset_t taken;  /* signals that come by signal_fd */
    struct {
        int number, sender;
        int64_t since; /* when it was sent, at the earliest */
        int64_t deadline;
    } forwards[JOBS_FORWARDS];
    int forward_count;
    int64_t heard; /* when signal_fd was last empty */

    /* Written on the monitor. */
    struct {
        _Atomic int number, sender;
        _Atomic int64_t time;
        atomic_bool claimed;   /* a copy of rein's was found to be the same */
    } arrivals[JOBS_ARRIVALS]; /* what the program has got lately, of the signals that may be passed on */
    unsigned next_arrival;
    _Atomic unsigned conts;
    atomic_bool self_stopped;
};

/* Takes over the signals. False: errno. */
bool jobs_begin(struct jobs *jobs, bool has_program);
/* COMMAND must be started with the former mask: call this around. */
void jobs_before_spawn(struct jobs *jobs);
void jobs_after_spawn(struct jobs *jobs, pid_t program);

/* Is it one of those by which people end programs? The program must get them at once, come what may. */
bool jobs_ends(int number);
/* On the monitor: the program is about to get a signal. */
void jobs_program_got(struct jobs *jobs, int number, int sender);

/* On the monitor: job control has stopped it. Returns how many SIGCONT it has got up to now. */
unsigned jobs_program_stopped(struct jobs *jobs);

/* Takes what signal_fd has. True if it was a signal by which people end programs: with -p rein is to end, else the program
 * may. */
bool jobs_read(struct jobs *jobs);
/* Passes on what has waited long enough; returns after how many ms to come again, -1: need not. */
int jobs_forward_due(struct jobs *jobs, rein_monitor *monitor);

/* The program was stopped by job control when so many SIGCONT had been seen: stops rein too, so that the shell takes
 * notice, and returns when both go on. */
void jobs_stop_with_program(struct jobs *jobs, rein_monitor *monitor, int number, unsigned conts);

/* Ends rein by a signal that has ended the program, without writing a core file. Returns if that does not work. */
void jobs_die_by(int number);

#endif
