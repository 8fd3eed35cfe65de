#!/usr/bin/env bash
# --ignore and --limit count exactly, also when threads and processes come at once; then the breakpoint is out, and with -p
# rein lets go when nothing is left to tell. Rows P3, M4, P7.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >many.c <<'C'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) int hot(int x) { __asm__ volatile("" : "+r"(x)); return x + 1; }
__attribute__((noinline)) int cold(int x) { __asm__ volatile("" : "+r"(x)); return x + 2; }
int alias(int x) __attribute__((alias("hot")));
static pthread_barrier_t barrier;
static int rounds;
static void *work(void *arg) {
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < rounds; i++)
        hot(i);
    return arg;
}
int main(int argc, char **argv) { /* threads|processes|exec|for_ever COUNT ROUNDS */
    int count = atoi(argv[2]);
    pthread_t id[64];
    rounds = atoi(argv[3]);
    cold(1);
    if (strcmp(argv[1], "processes") == 0) {
        for (int i = 0; i < count; i++)
            if (fork() == 0) {
                for (int j = 0; j < rounds; j++)
                    hot(j);
                return 0;
            }
        while (wait(NULL) > 0)
            ;
    } else if (strcmp(argv[1], "exec") == 0) {
        char left[16];
        for (int i = 0; i < rounds; i++)
            hot(i);
        snprintf(left, sizeof left, "%d", count - 1);
        argv[2] = left;
        if (count > 1)
            execv(argv[0], argv);
    } else if (strcmp(argv[1], "for_ever") == 0) {
        for (;;) {
            cold(hot(1));
            usleep(1000);
        }
    } else {
        pthread_barrier_init(&barrier, NULL, (unsigned)count);
        for (int i = 0; i < count; i++)
            pthread_create(&id[i], NULL, work, NULL);
        for (int i = 0; i < count; i++)
            pthread_join(id[i], NULL);
    }
    puts("done");
    return 0;
}
C
tracee -o many many.c -lpthread

# told LINES HITS OPTION...: of hot, under -b hot and the options.
told() {
    local lines=$1 hits=$2
    shift 2
    ends 0 "$REIN_BINARY" trace -e breakpoint "$@"
    has out '^done$' 1
    has err '^\[[0-9]+\] breakpoint at 0x[0-9a-f]+: hot' "$lines"
    [ "$(hits err hot)" = "$hits" ] || fail "$(hits err hot) hits, not $hits: $*: $(cat err)"
}
for ((i = 0; i < 5; i++)); do
    told 20 57 -b hot --ignore 37 --limit 20 -- ./many threads 8 200
    told 1 1 -b hot --limit 1 -- ./many threads 8 200
    told 1563 1600 -b hot --ignore 37 -- ./many threads 8 200
done
told 0 1600 -b hot --ignore 1600 --limit 3 -- ./many threads 8 200
told 16 16 -b hot --limit 100 -- ./many threads 8 2
told 3 3 -b hot --limit 3 --stack=1 -- ./many threads 8 200
told 3 5 -b hot --limit 3 --ignore 2 -b cold -- ./many threads 2 200
has err 'breakpoint at 0x[0-9a-f]+: cold' 1

# What is not shown is counted and taken out all the same.
ends 0 "$REIN_BINARY" trace -c -b hot --ignore 10 --limit 5 -- ./many threads 8 100
[ "$(hits err hot)" = 15 ] || fail "$(cat err)"
ends 0 "$REIN_BINARY" trace -e none -b hot --limit 5 -- ./many threads 8 100
[ "$(hits err hot)" = 5 ] || fail "$(cat err)"

# One place of two locations: what either wants is told.
told 200 200 -b hot --limit 5 -b alias -- ./many threads 1 200
told 195 200 -b hot --ignore 5 -b alias --ignore 10 -- ./many threads 1 200
told 10 10 -b hot --limit 5 -b alias --limit 10 -- ./many threads 1 200

# A location is counted through programs and processes.
ends 0 "$REIN_BINARY" trace -e breakpoint -b hot --ignore 5 --limit 12 -- ./many exec 5 4
has err '^\[[0-9]+\] breakpoint at 0x[0-9a-f]+: hot' 12
[ "$(hits err hot)" = 17 ] || fail "$(cat err)"
ends 0 "$REIN_BINARY" trace -f -e breakpoint -b hot --ignore 5 --limit 22 -- ./many processes 6 30
has err '^\[[0-9]+\] breakpoint at 0x[0-9a-f]+: hot' 22

if command -v jq >/dev/null; then
    ends 0 "$REIN_BINARY" trace -j -b hot --ignore 3 --limit 2 -- ./many threads 1 10
    jq -es '(map(select(.event == "breakpoint")) | length == 2) and (.[-1].locations[0].hits == 5)' err >/dev/null ||
        fail "JSON: $(cat err)"
fi

# A process that runs: when all is told it is let go.
./many for_ever 0 0 &
tracee=$!
trap 'kill -KILL "$tracee" 2>/dev/null; rm -rf "$scratch"' EXIT
for command in '-b hot --limit 3' '-b hot --limit 3 --stack -b cold --ignore 4 --limit 3' '-c -b hot --limit 3' \
    '-e breakpoint -b hot --limit 3' '-e none -b hot --limit 3' '-f -b hot --limit 3'; do
    read -ra words <<<"$command"
    ends 0 "$REIN_BINARY" trace -p "$tracee" "${words[@]}"
    has err '^\[[0-9]+\] let go$' 1
    [ "$(hits err hot)" = 3 ] || fail "$(hits err hot): $command"
    is_untraced "$tracee" || fail "it is still traced: $command"
done
# Not while there is something else to tell, which then comes: another location, a signal, calls.
for other in '-e breakpoint -b cold:.*: cold' '-e breakpoint,signal:SIGURG' \
    '-e breakpoint -e syscall=clock_nanosleep:clock_nanosleep\('; do
    read -ra words <<<"${other%%:*}"
    : >log # not the last one's
    "$REIN_BINARY" trace -p "$tracee" -o log -b hot --limit 3 "${words[@]}" &
    rein=$!
    comes_after() {
        kill -URG "$tracee"
        [ "$(grep -c 'breakpoint at .*: hot' log)" = 3 ] && sed -n '/: hot/,$p' log | tail -n +4 | grep -Eq "${other#*:}"
    }
    until_true 30 comes_after || fail "$other: $(cat log)"
    kill -TERM "$rein"
    wait "$rein"
    [ "$(hits log hot)" = 3 ] || fail "$(cat log)"
done
kill -0 "$tracee"

ends 2 "$REIN_BINARY" trace --ignore 3 -b hot -- ./many threads 1 1
has err 'for the -b that it stands behind' 1
for wrong in '--limit 0' '--limit -1' '--limit x' '--ignore -1' '--ignore 1x' '--limit 99999999999999999999'; do
    read -ra words <<<"$wrong"
    ends 2 "$REIN_BINARY" trace -b hot "${words[@]}" -- ./many threads 1 1
    has err 'that is no number of hits' 1
done
