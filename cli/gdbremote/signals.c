/* Signals to the server itself.
 *
 *   SIGTERM, SIGINT, SIGHUP, SIGQUIT end it, but in order: first it sees to the processes that it holds, and to its socket's file. A
 *   handler notes the signal and makes a descriptor readable, which is polled wherever the server waits. What was ignored when
 *   it was started (nohup, a shell's background) stays so.
 *   SIGPIPE: a client that hangs up is told by write's result.
 *   SIGTTOU, SIGTTIN: the terminal is the program's while that runs, and the server must not be stopped by it.
 *
 * Handlers rather than a mask, which programs would inherit; what is ignored they inherit, too, so that is put back for as long as
 * one is started. The state is the process's, as signals are. */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STOPPERS = 2 };
static const int stoppers[STOPPERS] = {SIGTTOU, SIGTTIN};
static struct sigaction former[STOPPERS];
static atomic_int ended_by; /* a handler has it here, and the loop in the monitor's process */
static int end_fd = -1;

static void end(int number)
{
    int before = errno;
    uint64_t one = 1;
    if (!ended_by)
        ended_by = number;
    if (write(end_fd, &one, sizeof one) < 0)
        errno = before; /* it can be read already */
    errno = before;
}

static void do_nothing(int number)
{
    (void)number;
}

static void take(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}, before;
    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

static void ignore_stoppers(void)
{
    for (int i = 0; i < STOPPERS; i++)
        sigaction(stoppers[i], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

int signals_begin(void)
{
    end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (end_fd < 0)
        return -1;
    take(SIGTERM, end);
    take(SIGINT, end);
    take(SIGHUP, end);
    take(SIGQUIT, end);
    take(SIGPIPE, do_nothing);
    for (int i = 0; i < STOPPERS; i++)
        sigaction(stoppers[i], NULL, &former[i]);
    ignore_stoppers();
    return 0;
}

int signals_end_fd(void)
{
    return end_fd;
}

int signals_ended_by(void)
{
    return ended_by;
}

void signals_before_spawn(void)
{
    for (int i = 0; end_fd >= 0 && i < STOPPERS; i++)
        sigaction(stoppers[i], &former[i], NULL);
}

void signals_after_spawn(void)
{
    if (end_fd >= 0)
        ignore_stoppers();
}
