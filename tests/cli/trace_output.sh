#!/usr/bin/env bash
# However fast the program and however slow the reader, no line is lost, and none is out of order; what cannot be written
# does not disturb the program.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >many.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) void hit(void) { __asm__ volatile(""); }
static void *run(void *times) {
    for (int i = *(int *)times; i > 0; i--)
        hit();
    return NULL;
}
int main(int argc, char **argv) { /* THREADS TIMES */
    pthread_t threads[64];
    int count = atoi(argv[argc - 2]), times = atoi(argv[argc - 1]);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, run, &times);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    puts("ended");
    return 0;
}
C
tracee -o many many.c -lpthread

# More than may gather: threads wait for the reader.
status=$(timeout 60 "$REIN_BINARY" trace -j -b hit ./many 4 3000 2>&1 >out | (sleep 1; cat) >lines; echo "${PIPESTATUS[0]}")
[ "$status" = 0 ]
has out ended 1
has lines '^."event":"breakpoint"' 12000
awk -F'"sequence":' '{ split($2, part, ","); if (part[1] != NR) { print "out of order: " $0; exit 1 } }' lines

# A reader that reads nothing: signals are heard, and those that end a program reach it.
mkfifo stuck
tail -s 1000 -f /dev/null <stuck >/dev/null 2>&1 & # reads something else
reader=$!
trap 'kill -KILL $reader $tracee 2>/dev/null; rm -rf "$scratch"' EXIT
./many 2 2000000000 >/dev/null &
tracee=$!
"$REIN_BINARY" trace -b hit -p "$tracee" 2>stuck &
rein=$!
until_true 30 is_traced "$tracee"
sleep 1
kill -TERM "$rein"
wait "$rein"
until_true 30 is_untraced "$tracee"
! grep -hE 'State:.[tT]' /proc/"$tracee"/task/*/status || fail "a thread is stopped"
kill -KILL "$tracee"
wait "$tracee" 2>/dev/null || true
tracee=
env --default-signal "$REIN_BINARY" trace -b hit ./many 2 2000000000 2>stuck &
rein=$!
sleep 1
program() { # the child of the monitor, which is rein's
    local monitor
    monitor=$(pgrep -P "$rein") && pgrep -P "$monitor"
}
until_true 30 program >/dev/null
kill -TERM "$rein"
no_program() {
    [ "$(program)" = "" ]
}
until_true 30 no_program || fail "the program has not had its signal"
kill -KILL "$reader"
wait "$reader" 2>/dev/null || true
status=0
wait "$rein" || status=$?
[ "$status" = 143 ] || fail "status $status"
trap 'rm -rf "$scratch"' EXIT

# A reader that goes away, a full disk: the program ends as ever.
status=$(timeout 60 "$REIN_BINARY" trace -b hit ./many 2 500 2>&1 >out | head -n 1 >lines; echo "${PIPESTATUS[0]}")
[ "$status" = 0 ]
has out ended 1
ends 0 "$REIN_BINARY" trace -o /dev/full -b hit ./many 2 500
has out ended 1
has err '^rein: the output cannot be written: No space left' 1

# Thousands of threads, each told of twice.
ends 0 "$REIN_BINARY" trace -o log -t -c -b hot "$REIN_FIXTURES/many_threads"
created=$(grep -c 'thread create' log)
[ "$created" -ge 1000 ]
has log 'thread exited' $((created + 1))
has log "^[0-9.]+ seconds: $created threads created"
[ "$(awk '$NF == "hot" && $2 ~ /^[0-9]+$/ { sum += $1 } END { print sum }' log)" = "$(awk '/^count hot/ { print $3 }' out)" ]
