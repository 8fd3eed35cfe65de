#!/usr/bin/env bash
# What a traced process or a file can choose - names of threads, symbols and sources, paths, strings - is written so that no terminal
# obeys it: by each subcommand, in words and in JSON. Rows E1, X2.
set -euo pipefail
. "$(dirname "$0")/support.sh"
echo leak:libdw.so >suppressions # of libdw 0.188
export LSAN_OPTIONS=suppressions=$PWD/suppressions:print_suppressions=0
escape=$'\033]0;owned\a\033[31m\xc2\x9b1m\x7f'

cat >program.c <<'C'
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ESCAPE "\033]0;owned\a\033[31m\xc2\x9b" "1m\x7f"
char text[64] = ESCAPE "\n";
volatile int written;
#line 1 "source\033[32m.c"
__attribute__((noinline)) int work(const char *string) { written = string[0]; return written; }
__asm__(".globl \"hostile\033[31m\"\n.type \"hostile\033[31m\", %function\n.set \"hostile\033[31m\", hostile_body\n");
int hostile_body(int (*function)(const char *)); /* whose first symbol is the other */
__attribute__((noinline)) int hostile_body(int (*function)(const char *)) { return function(text) + 1; }
static void *sleeper(void *arg) { prctl(PR_SET_NAME, "t\033[31m\nx\xc2\x9b"); work("thread"); *(volatile int *)arg = 1; for (;;) pause(); }
int main(int argc, char **argv)
{
    pthread_t thread;
    volatile int ready = 0;
    pthread_create(&thread, NULL, sleeper, (void *)&ready);
    while (!ready)
        usleep(1000);
    hostile_body(work);
    if (open("file" ESCAPE, O_RDONLY) >= 0)
        return 1;
    if (argc > 1 && strcmp(argv[1], "exec") == 0)
        execl(argv[2], argv[2], "end", (char *)NULL);
    if (argc > 1 && strcmp(argv[1], "end") == 0)
        return 3;
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
C
mkdir "dir$escape"
program="$PWD/dir$escape/program$escape"
tracee -O0 -pthread -o "$program" program.c 2>err || skip "no such names with this compiler: $(tail -n 1 err)"

# clean FILE: nothing in it that a terminal obeys; and something is escaped, so that the test means something.
clean() {
    if LC_ALL=C grep -nP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$1" | cat -v | grep . >found; then
        head -n 5 found
        fail "raw control characters: $2"
    fi
    grep -qE '\\x1b|\\u001[bB]' "$1" || { head -n 20 "$1"; fail "nothing to be escaped: $2"; }
}

for json in '' -j; do
    ends 3 "$REIN_BINARY" trace $json -t -o output -b work --print string,text --stack -b hostile_body --print function \
        -w written -e all -e syscall=open,openat,execve "$program" exec "$program"
    clean output "trace $json -o"
    ends 3 "$REIN_BINARY" trace $json -b $'hostile\033[31m' -b hostil "$program" end
    clean err "trace $json"
done
ends 3 "$REIN_BINARY" trace -t -c -b 'work if string && *string != 0x1b' "$program" end
clean err "the summary"

# What is wrong, too.
for wrong in "$escape" "if $escape" "work if $escape" "work if text == $escape" "$escape:3" "work+$escape"; do
    "$REIN_BINARY" trace -b "$wrong" "$program" end >out 2>err </dev/null || true
    clean err "-b"
done
ends 127 "$REIN_BINARY" trace "./nothing$escape"
clean err "a command that is not there"
ends 2 "$REIN_BINARY" "$escape"
clean err "a subcommand that is not there"
ends 1 "$REIN_BINARY" trace -b "$program:hostil" "$program" end
clean err "no such symbol in a file"

# A process that runs.
"$program" >told &
tracee=$!
trap 'kill -KILL "$tracee" 2>/dev/null; rm -rf "$scratch"' EXIT
until_true 30 grep -qs ready told
for command in threads stack 'threads --json' 'stack --json'; do
    read -ra words <<<"$command"
    ends 0 "$REIN_BINARY" "${words[@]}" "$tracee"
    clean out "$command"
done
thread=$(find "/proc/$tracee/task" -maxdepth 1 -name '[0-9]*' -printf '%f\n' | sort -n | tail -n 1)
for option in -a '-a -j'; do
    read -ra words <<<"$option"
    ends 0 "$REIN_BINARY" regs "${words[@]}" -t "$thread" "$tracee"
    ! LC_ALL=C grep -qP '[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' out || fail "regs $option"
done
kill -KILL "$tracee"
wait "$tracee" 2>/dev/null || true
trap 'rm -rf "$scratch"' EXIT
