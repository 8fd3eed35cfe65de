#!/usr/bin/env bash
# I4, I5: examples/call_function.c, on a program that sleeps: results, a function that crashes, and the program goes on.
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
compile -O1 -o called called.c
mkfifo in
./called <in >out &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -rf "$scratch"' EXIT
exec 3>in
until grep -q crash out; do sleep 0.01; done
read -r _ twice _ sum _ crash <out

timeout 60 "$call" "$pid" "$twice" 21 >said
has said '^integer 42,'
timeout 60 "$call" "$pid" "$sum" 1 2.5 3 >said
has said 'double 6.5$'
status=0
timeout 60 "$call" "$pid" "$crash" 8 2>err || status=$?
[ "$status" = 1 ] || fail "status $status"
has err 'has stopped in the function that it calls \(SIGSEGV\)'
exec 3>&-
wait "$pid"
has out '^ok$'
