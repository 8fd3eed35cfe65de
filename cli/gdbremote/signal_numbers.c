/* Numbers of signals: the protocol's are gdb's own, on all systems, and the host's are others. */
#include <signal.h>

#include <stdlib.h>
#include <string.h>

#include "server.h"

/* include/gdb/signals.def of gdb. */
static const struct {
    int host, gdb;
} signal_numbers[] = {
    {SIGHUP, 1},   {SIGINT, 2},   {SIGQUIT, 3},  {SIGILL, 4},     {SIGTRAP, 5},  {SIGABRT, 6},   {SIGFPE, 8},
    {SIGKILL, 9},  {SIGBUS, 10},  {SIGSEGV, 11}, {SIGSYS, 12},    {SIGPIPE, 13}, {SIGALRM, 14},  {SIGTERM, 15},
    {SIGURG, 16},  {SIGSTOP, 17}, {SIGTSTP, 18}, {SIGCONT, 19},   {SIGCHLD, 20}, {SIGTTIN, 21},  {SIGTTOU, 22},
    {SIGIO, 23},   {SIGXCPU, 24}, {SIGXFSZ, 25}, {SIGVTALRM, 26}, {SIGPROF, 27}, {SIGWINCH, 28}, {SIGUSR1, 30},
    {SIGUSR2, 31}, {SIGPWR, 32},  {32, 77},      {64, 78},
};
enum { GDB_SIGNAL_UNKNOWN = 143, GDB_SIGNAL_33 = 45 };

int signal_to_gdb(int number)
{
    for (size_t i = 0; i < sizeof signal_numbers / sizeof signal_numbers[0]; i++)
        if (signal_numbers[i].host == number)
            return signal_numbers[i].gdb;
    return number >= 33 && number < 64 ? number - 33 + GDB_SIGNAL_33 : number == 0 ? 0 : GDB_SIGNAL_UNKNOWN;
}

int signal_from_gdb(int number)
{
    for (size_t i = 0; i < sizeof signal_numbers / sizeof signal_numbers[0]; i++)
        if (signal_numbers[i].gdb == number)
            return signal_numbers[i].host;
    return number >= GDB_SIGNAL_33 && number < GDB_SIGNAL_33 + 31 ? number - GDB_SIGNAL_33 + 33 : 0;
}

uint64_t signals_in(const char *status, const char *name)
{
    const char *line = status ? strstr(status, name) : NULL;
    return line ? strtoull(line + strlen(name), NULL, 16) : 0;
}
