#!/usr/bin/env bash
# rein trace -p: follows a process that runs, and lets it go as it was: told to by a signal, when its output is not read
# any more, or killed. Rows P7, P8, M9, M11.
set -euo pipefail
. "$(dirname "$0")/support.sh"
ulimit -c 0

cat >beats.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static volatile long beats;
static volatile int done;
__attribute__((noinline)) void beat(void) { __atomic_fetch_add(&beats, 1, __ATOMIC_RELAXED); }
static void *run(void *interval) {
    while (!done) {
        beat();
        usleep(*(useconds_t *)interval);
    }
    return NULL;
}
int main(int argc, char **argv) { /* THREADS INTERVAL: until a byte comes in */
    pthread_t threads[64];
    useconds_t interval = (useconds_t)atoi(argv[2]);
    int count = argc > 2 ? atoi(argv[1]) : 1;
    char byte;
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, run, &interval);
    puts("ready");
    fflush(stdout);
    if (read(0, &byte, 1) < 0)
        return 1;
    done = 1;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 7;
}
C
tracee -o beats beats.c -lpthread
mkfifo told

start() {
    rm -f ready err first # what is waited for must not be an earlier run's
    ./beats "$@" <told >ready &
    tracee=$!
    exec 8>told
    until_true 30 grep -qs ready ready
}

finish() { # it has taken no harm
    local status=0
    until_true 30 is_untraced "$tracee" || fail "still traced"
    ! grep -hE 'State:.[tT]' /proc/"$tracee"/task/*/status || fail "a thread is stopped"
    printf x >&8
    exec 8>&-
    wait "$tracee" || status=$?
    [ "$status" = 7 ] || fail "the program ended with $status"
}

# Each signal, and the time limit that users take.
for signal in INT TERM HUP QUIT; do
    start 3 1000
    env --default-signal "$REIN_BINARY" trace -p "$tracee" -b beat >out 2>err &
    rein=$!
    until_true 30 grep -qs 'breakpoint at' err
    kill "-$signal" "$rein"
    wait "$rein" || fail "SIG$signal: status $?"
    has err "^\[$tracee\] attached: 4 threads$" 1
    has err "^\[$tracee\] let go$" 1
    has err '0x[0-9a-f]+  beat \(beats\.c:7\)$' 1
    [ "$(hits err beat)" = "$(grep -c 'breakpoint at' err)" ] || fail "lines and hits differ"
    finish
done
start 2 1000
env --default-signal timeout -s INT 60 "$REIN_BINARY" trace -p "$tracee" -b beat 2>err &
rein=$!
until_true 30 grep -qs 'breakpoint at' err
kill -ALRM "$rein" # its time is over
status=0
wait "$rein" || status=$?
[ "$status" = 124 ]
has err 'let go' 1
finish

# The process ends while it is traced.
start 2 1000
"$REIN_BINARY" trace -c -p "$tracee" -b beat 2>err &
rein=$!
until_true 30 grep -qs attached err || true
until_true 30 is_traced "$tracee"
printf x >&8
exec 8>&-
wait "$rein"
has err "^\[$tracee\] process exited with status 7$" 1
wait "$tracee" || [ $? = 7 ]

# Nobody reads.
start 2 1000
"$REIN_BINARY" trace -p "$tracee" -b beat 2>&1 | head -n 3 >out
[ "$(wc -l <out)" = 3 ]
finish

# Killed, in a storm.
for ((i = 0; i < 10; i++)); do
    start 4 0
    "$REIN_BINARY" trace -c -p "$tracee" -b beat 2>err &
    rein=$!
    until_true 30 is_traced "$tracee"
    sleep "0.0$((i * 2))"
    kill -KILL "$rein"
    wait "$rein" 2>/dev/null || true
    finish
done

# A process whose first thread has left; one that is stopped, and stays so.
rm ready
"$REIN_FIXTURES/leader_exits_first" 3 0 <told >ready &
tracee=$!
exec 8>told
until_true 30 grep -qs ready ready
env --default-signal "$REIN_BINARY" trace -p "$tracee" -b hot 2>err &
rein=$!
until_true 30 grep -qs 'breakpoint at' err
kill -INT "$rein"
wait "$rein"
has err 'attached: 3 threads'
[ "$(hits err hot)" -gt 0 ]
finish
start 2 1000
kill -STOP "$tracee"
until_true 30 grep -qs 'State:.T' "/proc/$tracee/status"
env --default-signal "$REIN_BINARY" trace -p "$tracee" -b beat 2>err &
rein=$!
until_true 30 is_traced "$tracee"
sleep 0.5
kill -INT "$rein"
wait "$rein"
[ "$(hits err beat)" = 0 ]
until_true 30 grep -qs 'State:.T' "/proc/$tracee/status"
kill -CONT "$tracee"
until_true 30 grep -qs 'State:.[RS]' "/proc/$tracee/status"
finish

# Refused, and why.
ends 1 "$REIN_BINARY" trace -p 99999999
has err '^rein: there is no process 99999999' 1
ends 1 "$REIN_BINARY" trace -p "$$" -b "$(basename "$BASH"):no_such_name"
has err "^rein: .*no_such_name: no such symbol in $(readlink -f "/proc/$$/exe")"
start 1 1000
"$REIN_BINARY" trace -c -p "$tracee" 2>first &
rein=$!
until_true 30 is_traced "$tracee"
ends 1 "$REIN_BINARY" trace -p "$tracee"
has err '^rein: .*traced already'
kill -INT "$rein" 2>/dev/null || true
kill -TERM "$rein" 2>/dev/null || true
wait "$rein"
finish
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 755 .
    ends 1 setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all "$REIN_BINARY" trace -p "$$"
    has err '^rein: .*belongs to user 0'
fi
