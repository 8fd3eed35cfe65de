#!/usr/bin/env bash
# rein threads lists all threads with names, states and places, and leaves the process as it was. Rows P1, P8, M11.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >crew.c <<'C'
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static int never[2];
static volatile unsigned long work;
__attribute__((noinline)) void spin(void) { for (;;) work++; }
static void *spinner(void *arg) { pthread_setname_np(pthread_self(), "(spin ner)"); spin(); return arg; }
static void *sleeper(void *arg) { for (;;) nanosleep(&(struct timespec){1000, 0}, NULL); return arg; }
static void *reader(void *arg) { char byte; return read(never[0], &byte, 1) < 0 ? NULL : arg; }
int main(int argc, char **argv) { /* SLEEPERS */
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    if (pipe(never) != 0)
        return 1;
    pthread_create(&thread, NULL, spinner, NULL);
    pthread_create(&thread, NULL, reader, NULL);
    for (int i = argc > 1 ? atoi(argv[1]) : 1; i > 0; i--)
        if (pthread_create(&thread, &small, sleeper, NULL) != 0)
            return 2;
    puts("ready");
    fflush(stdout);
    pthread_join(thread, NULL);
    return 0;
}
C
tracee -o crew crew.c -lpthread
ready() {
    rm -f ready
    "$@" >ready &
    tracee=$!
    until_true 30 grep -qs ready ready
    sleep 0.2
}
trap 'kill -KILL "$tracee" 2>/dev/null; rm -rf "$scratch"' EXIT

in_call='\(libc\.so\.6' # where threads sleep
! is_32_bit || in_call='\(\[vdso\]'
ready ./crew
for ((i = 0; i < 20; i++)); do
    ends 0 "$REIN_BINARY" threads "$tracee"
    is_untraced "$tracee"
done
[ "$(wc -l <out)" = 5 ]
has out '^ +id  name +state +where$' 1
has out "^ +$tracee  crew +sleeping +[a-z_]+.*\\+0x[0-9a-f]+ $in_call" 1
has out '^ +[0-9]+  \(spin ner\) +running +spin(\+0x[0-9a-f]+)? \(crew\.c:9\)$' 1
if is_32_bit; then
    has out "^ +[0-9]+  crew +sleeping +__kernel_vsyscall.*$in_call" 3
else
    has out "^ +[0-9]+  crew +sleeping +(__)?(clock_)?nanosleep.*$in_call" 1
    has out "^ +[0-9]+  crew +sleeping +(__)?(libc_)?read.*$in_call" 1
fi
if command -v jq >/dev/null; then
    ends 0 "$REIN_BINARY" threads --json "$tracee"
    jq -es --argjson pid "$tracee" 'length == 4 and all(.tid >= $pid and (.name | length) > 0 and (.pc | startswith("0x")))
        and any(.name == "(spin ner)" and .state == "running" and .symbol == "spin" and .line == 9 and
            (.file | endswith("/crew.c")) and (.module | endswith("/crew")))' out >/dev/null
fi

# Stopped by job control, it stays so.
kill -STOP "$tracee"
all_stopped() {
    ! grep -hqE 'State:.[^T]' /proc/"$tracee"/task/*/status
}
until_true 30 all_stopped
ends 0 "$REIN_BINARY" threads "$tracee"
has out ' stopped +[0-9a-z_]+' 4
grep -q 'State:.T' "/proc/$tracee/status"
kill -KILL "$tracee"
wait "$tracee" 2>/dev/null || true

# Names that a terminal would obey.
mkfifo never
# shellcheck disable=SC2016 # it is for that shell
ready sh -c 'printf "\033[31m\302\233\377\303\244" >/proc/self/comm; echo ready; read -r line <>never'
ends 0 "$REIN_BINARY" stack "$tracee"
grep -Eq "^ +$tracee  "'\\x1b\[31m\\xc2\\x9b\\xffä  ' out || { cat -v out; fail "name"; }
kill -KILL "$tracee"
wait "$tracee" 2>/dev/null || true

# A first thread that has left.
mkfifo told
rm ready
"$REIN_FIXTURES/leader_exits_first" 2 0 <told >ready &
tracee=$!
exec 8>told
until_true 30 grep -qs ready ready
until_true 30 grep -q 'State:.Z' "/proc/$tracee/status"
ends 0 "$REIN_BINARY" threads "$tracee"
has out "^ +$tracee  leader_exits_fi  zombie +-$" 1
has out ' (running|sleeping) +[a-z_]' 2
printf x >&8
wait "$tracee" || true

# Very many.
ready ./crew 3000
ends 0 "$REIN_BINARY" threads "$tracee"
[ "$(wc -l <out)" = 3004 ]
if is_32_bit; then
    has out ' sleeping +__kernel_vsyscall' 3002
else
    has out ' sleeping +(__)?(clock_)?nanosleep' 3000
fi
# Of each stack what is in use is copied, not its neighbours: that would be 768 MB.
ends 0 "$REIN_BINARY" threads --json --stack=2 "$tracee"
if command -v jq >/dev/null; then
    jq -es 'length == 3003 and all(.stack | length == 2)' out >/dev/null || { head -n 3 out; fail "stacks"; }
fi
if ! grep -q __asan_init "$REIN_BINARY"; then # which takes addresses by the terabyte
    (ulimit -v 400000 && ends 0 "$REIN_BINARY" stack "$tracee")
fi
# Killed in the middle of it, rein leaves nobody stopped or traced.
is_running() {
    ! grep -hq 'State:.[Tt]' /proc/"$tracee"/task/*/status
}
traced_or_over() { # it may be done before anybody has looked
    is_traced "$tracee" || ! kill -0 "$rein" 2>/dev/null
}
for signal in TERM INT KILL; do
    for _ in {1..20}; do
        env --default-signal "$REIN_BINARY" stack "$tracee" >out 2>err &
        rein=$!
        until_true 30 traced_or_over
        ! kill -0 "$rein" 2>/dev/null || break
        wait "$rein" || true
    done
    kill -"$signal" "$rein" || true
    wait "$rein" || true
    until_true 30 is_untraced "$tracee"
    until_true 30 is_running
done
kill -KILL "$tracee"
wait "$tracee" 2>/dev/null || true

ends 1 "$REIN_BINARY" threads 99999999
has err '^rein: there is no process 99999999$' 1
"$REIN_BINARY" threads 2 >out 2>err && fail "kernel thread"
has err '^rein: .*(kernel thread|not permitted|belongs to|no process)'
trap 'rm -rf "$scratch"' EXIT
