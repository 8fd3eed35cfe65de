#!/usr/bin/env bash
# Signals to rein trace COMMAND reach the program, once, whether they are sent to rein or to the whole process group; rein goes
# on until the program ends. Rows M7, P9.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >counts.c <<'C'
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile int counts[65];
static volatile int done;
static void handler(int number) {
    counts[number]++;
    if (write(2, "seen\n", 5) != 5)
        _exit(1);
    if (number == SIGUSR1)
        done = 1;
}
int main(void) {
    int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGUSR1};
    for (int i = 0; i < 6; i++)
        sigaction(numbers[i], &(struct sigaction){.sa_handler = handler}, NULL);
    puts("ready");
    fflush(stdout);
    while (!done)
        pause();
    printf("INT %d TERM %d HUP %d QUIT %d TSTP %d\n", counts[SIGINT], counts[SIGTERM], counts[SIGHUP], counts[SIGQUIT],
           counts[SIGTSTP]);
    return 9;
}
C
tracee -o counts counts.c

start() { # in a process group of its own
    rm -f log out seen # what is waited for must not be an earlier run's
    env --default-signal setsid "$REIN_BINARY" trace -o log ./counts >out 2>seen &
    rein=$!
    until_true 30 grep -qs ready out
    program=$(sed -n 's/^\[\([0-9]*\)\] started.*/\1/p' log)
}

has_seen() {
    [ "$(wc -l <seen)" -ge "$1" ]
}

# One at a time; a signal that would come a second time has a moment for it, here and before the end.
send_all() {
    local sent=0
    for signal in INT TERM HUP QUIT TSTP TERM; do
        kill "-$signal" -- "$1"
        sent=$((sent + 1))
        until_true 30 has_seen "$sent" || fail "$signal has not come"
        sleep 0.1
    done
}

finish() {
    local status=0
    sleep 0.5
    kill -USR1 "$program"
    wait "$rein" || status=$?
    [ "$status" = 9 ] || fail "status $status"
    has out "^$1$" 1
}

start
send_all "$rein"
finish 'INT 1 TERM 2 HUP 1 QUIT 1 TSTP 1'

start
send_all "-$rein"
finish 'INT 1 TERM 2 HUP 1 QUIT 1 TSTP 1'

start
kill -TERM "$program"
sleep 0.2
finish 'INT 0 TERM 1 HUP 0 QUIT 0 TSTP 0'

# One that ends the program ends rein likewise, and what is ignored does nothing.
rm log
env --default-signal "$REIN_BINARY" trace -o log sleep 100 &
rein=$!
until_true 30 grep -qs started log
kill -TERM "$rein"
status=0
wait "$rein" || status=$?
[ "$status" = 143 ]
has log 'process exited from signal SIGTERM' 1
rm log
(trap '' HUP && exec "$REIN_BINARY" trace -o log sleep 1) &
rein=$!
until_true 30 grep -qs started log
kill -HUP "$rein"
wait "$rein" || fail "status $?"
has log 'process exited with status 0' 1

# Killed: the program goes on.
start
kill -KILL "$rein"
wait "$rein" 2>/dev/null || true
until_true 30 is_untraced "$program"
kill -TERM "$program"
kill -USR1 "$program"
until_true 30 is_gone "$program"
has out 'TERM 1' 1
