#!/usr/bin/env bash
# P5: examples/count_if.c, on a program with two threads. Also on a 32-bit program, where there is a compiler for such.
set -euo pipefail
. "$(dirname "$0")/support.sh"
count=$REIN_BUILD/examples/count_if

cat >counted.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#if defined(__i386__)
#define IN_REGISTER __attribute__((regparm(1)))
#else
#define IN_REGISTER
#endif
IN_REGISTER int hot(int value) { __asm__ volatile(""); return value + 1; }
static void *work(void *arg)
{
    for (int i = 0; i < 700; i++)
        hot(i % 7);
    return arg;
}
int main(void)
{
    char line[16];
    pthread_t other;
    printf("hot %p\n", (void *)hot);
    fflush(stdout);
    if (read(0, line, sizeof line) != 0 || pthread_create(&other, NULL, work, NULL) != 0)
        return 1;
    work(NULL);
    pthread_join(other, NULL);
    puts("ok");
    return 0;
}
END
mkfifo in

check() {
    local hot counter
    rm -f said # of the last one
    ./counted <in >said &
    pid=$!
    exec 3>in
    until_true 30 grep -sq hot said
    read -r _ hot <said
    ends 1 "$count" "$pid" "$hot" nonsense 3
    has err 'no register "nonsense"'
    ends 1 "$count" "$pid" 8 "$1" 3
    has err 'no memory there'
    "$count" "$pid" "$hot" "$1" 3 >out 2>err 3>&- &
    counter=$!
    until_true 30 grep -q ready out
    exec 3>&-
    wait "$counter" || fail "count_if: $(cat err)"
    wait "$pid"
    has out '^1400 hits, 200 with that value$'
    has said '^ok$'
}
trap 'kill $pid 2>/dev/null || true; rm -rf "$scratch"' EXIT

case $REIN_CPU in
    x86_64) register=rdi ;;
    aarch64) register=x0 ;;
    *) register=eax ;;
esac
tracee -pthread -o counted counted.c
check "$register"
if [ "$REIN_CPU" = x86_64 ] && command -v i686-linux-gnu-gcc >/dev/null; then
    TRACEE_CC=i686-linux-gnu-gcc tracee -pthread -o counted counted.c
    check eax
fi
