#!/usr/bin/env bash
# rein trace says what happens, in order, with symbol, file and line; counts hits exactly, by thread too; and writes it
# where it is told. Rows C1, C2, C3, P9.
set -euo pipefail
. "$(dirname "$0")/support.sh"
demo=$REIN_BUILD/examples/demo_workers
source=$REIN_SOURCE/examples/demo_workers.c
line=$(grep -n 'break here \*/' "$source" | cut -d: -f1)

ends 0 "$REIN_BINARY" trace -b work_take -b "demo_workers.c:$line" -- "$demo"
has out '^33860 primes below 400000, in 16 pieces' 1
has err "^\[[0-9]+\] started: $demo$" 1
has err '^\[[0-9]+\] thread create: [0-9]+$' 4
has err '^\[[0-9]+\] breakpoint at 0x[0-9a-f]+: work_take \(demo_workers\.c:[0-9]+\)$' 17
has err "^\[[0-9]+\] breakpoint at 0x[0-9a-f]+: worker(\+0x[0-9a-f]+)? \(demo_workers\.c:$line\)$"
has err '^\[[0-9]+\] SIGALRM at .*(libc\.so|\[vdso\])'
has err '^\[[0-9]+\] thread exited with status 0$' 5
has err '^\[[0-9]+\] process exited with status 0$' 1
has err '^[0-9.]+ seconds: 4 threads created, [0-9]+ breakpoint hits, [0-9]+ signals? \(SIGALRM [0-9]+\)$' 1
[ "$(hits err work_take)" = 17 ]
[ "$(head -n 1 err | cut -d' ' -f2)" = started: ]

# A thread is told of before it does anything, and nothing after its end.
awk '/thread create/ { born["[" $NF "]"] = 1 }
    /thread exited/ { gone[$1] = 1; next }
    /breakpoint at/ && (!($1 in born) || ($1 in gone)) { print "out of order: " $0; exit 1 }' err

ends 0 "$REIN_BINARY" trace --count --threads --output=log -b work_take -b work_finish -- "$demo" 300
[ ! -s err ]
has log 'breakpoint at' 0
[ "$(hits log work_take)" = 301 ]
[ "$(hits log work_finish)" = 300 ]
[ "$(awk '$NF == "work_take" && $3 == "demo_workers" { sum += $1 } END { print sum }' log)" = 301 ]
has log '^ +[0-9]+  [0-9]+ +demo_workers +work_take$' 4

# Only what is asked for; the summary counts the rest too.
ends 0 "$REIN_BINARY" trace -e breakpoint,exec -b work_take "$demo"
has err '(thread create|SIGALRM at|thread exited)' 0
has err 'breakpoint at' 17
has err '4 threads created, 17 breakpoint hits'
ends 0 "$REIN_BINARY" trace -e none true
has err '' 3

# Signals with their origin, a fault with its address; a fork, an exec, a stop.
cat >signals.c <<'C'
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void handler(int number) { (void)number; }
int main(void) {
    union sigval value = {.sival_int = 42};
    signal(SIGRTMIN + 3, handler);
    sigqueue(getpid(), SIGRTMIN + 3, value);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
    *(volatile int *)0x10 = 1;
}
C
tracee -o signals signals.c
(ulimit -c 0 && ends 139 "$REIN_BINARY" trace ./signals)
has err '^\[[0-9]+\] SIGRTMIN\+3 \(from [0-9]+, value 42\) at '
has err '^\[[0-9]+\] fork: [0-9]+, not followed$'
has err '^\[[0-9]+\] SIGCHLD \(from [0-9]+\)'
has err '^\[[0-9]+\] SIGSEGV \(address 0x10\) at main\+0x[0-9a-f]+ \(signals.c:14\)$'
has err '^\[[0-9]+\] thread exited from signal SIGSEGV$'
has err '^\[[0-9]+\] process exited from signal SIGSEGV$'
ends 0 "$REIN_BINARY" trace sh -c 'exec true'
has err '^\[[0-9]+\] exec: .*/true$'
