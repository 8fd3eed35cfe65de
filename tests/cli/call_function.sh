#!/usr/bin/env bash
# I4, I5: examples/call_function.c, on a program that sleeps: results, a function that crashes, and the program goes on. Also on a
# 32-bit program, where there is a compiler for such.
set -euo pipefail
. "$(dirname "$0")/support.sh"
call=$REIN_BUILD/examples/call_function

cat >called.c <<'END'
#include <stdio.h>
#include <unistd.h>
long twice(long value) { return 2 * value; }
double sum(int a, double b, int c) { return a + b + c; }
int crash(int *at) { return *at; }
int main(void)
{
    char line[16];
    printf("twice %p sum %p crash %p\n", (void *)twice, (void *)sum, (void *)crash);
    fflush(stdout);
    if (read(0, line, sizeof line) != 0)
        return 1;
    puts("ok");
    return 0;
}
END
mkfifo in

check() {
    local twice sum crash
    rm -f said # of the last one
    ./called <in >said &
    pid=$!
    exec 3>in
    until_true 30 grep -sq crash said
    read -r _ twice _ sum _ crash <said
    ends 0 "$call" "$pid" "$twice" -21
    has out '^integer -42,'
    ends 0 "$call" "$pid" "$sum" 1 2.5 3
    has out 'double 6.5$'
    ends 1 "$call" "$pid" "$crash" 8
    has err 'has stopped in the function that it calls \(SIGSEGV\)'
    exec 3>&-
    wait "$pid"
    has said '^ok$'
}
trap 'kill $pid 2>/dev/null || true; rm -rf "$scratch"' EXIT

tracee -o called called.c
check
if [ "$REIN_CPU" = x86_64 ] && command -v i686-linux-gnu-gcc >/dev/null; then
    TRACEE_CC=i686-linux-gnu-gcc tracee -o called called.c
    check
fi
