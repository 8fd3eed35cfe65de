#!/usr/bin/env bash
# Call stacks, of hits (trace --stack) and of all threads (stack, threads --stack): optimised code without frame pointers,
# libraries, signal handlers on stacks of their own, code without unwind information, damaged stacks, 32-bit programs; and
# that the process is as before. Rows R1, T4, P1, P8, X2.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >deep.c <<'C'
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define KEEP(x) __asm__ volatile("" : "+r"(x)) /* what follows a call keeps it from being a jump */
__attribute__((noinline)) int hot(int x) { KEEP(x); return x + 1; }
__attribute__((noinline)) int inner(int x) { int y = hot(x); KEEP(y); return y * 2; }
__attribute__((noinline)) int recurse(int n) { int y = n == 0 ? inner(n) : recurse(n - 1); KEEP(y); return y + 1; }
int bare(int (*function)(int), int how); /* in a file of its own */
static int compare(const void *a, const void *b) { int r = inner(*(const int *)a) - inner(*(const int *)b); KEEP(r); return r; }
static void handler(int number) { number = inner(number); KEEP(number); }
static void *start(void *arg) { int y = inner(3); KEEP(y); return arg; }
static void waiting(int number) { for (;;) pause(); }
static void *sleeper(void *arg) { pause(); return arg; }
static int raise_it(const char *what, void (*function)(int)) {
    static char other[65536];
    stack_t alternate = {.ss_sp = other, .ss_size = sizeof other};
    struct sigaction action = {.sa_handler = function, .sa_flags = SA_ONSTACK};
    if (strcmp(what, "signal") != 0)
        sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &action, NULL);
    return raise(SIGUSR1);
}
#ifdef __x86_64__
__attribute__((noinline)) static int run_time_code(void) { /* push %rbp; mov %rsp,%rbp; mov $inner,%rax; call *%rax; pop %rbp; ret */
    unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xd0, 0x5d, 0xc3};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int (*function)(int) = page, (*target)(int) = inner, y;
    memcpy(code + 6, &target, sizeof target);
    memcpy(page, code, sizeof code);
    y = function(1);
    KEEP(y);
    return y;
}
#endif
int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "plain";
    int numbers[2] = {2, 1}, result = 0;
    pthread_t thread;
    if (strcmp(what, "plain") == 0)
        result = inner(argc);
    else if (strcmp(what, "deep") == 0)
        result = recurse(atoi(argv[2]));
    else if (strcmp(what, "library") == 0)
        qsort(numbers, 2, sizeof numbers[0], compare);
    else if (strcmp(what, "signal") == 0 || strcmp(what, "other") == 0)
        result = raise_it(what, handler);
    else if (strcmp(what, "bare") == 0)
        result = bare(inner, atoi(argv[2]));
#ifdef __x86_64__
    else if (strcmp(what, "code") == 0)
        result = run_time_code();
#endif
    else if (strcmp(what, "wait") == 0) {
        for (int i = 0; i < 3; i++)
            pthread_create(&thread, NULL, sleeper, NULL);
        puts("ready");
        fflush(stdout);
        raise_it(what, waiting);
    } else {
        pthread_create(&thread, NULL, start, NULL);
        pthread_join(thread, NULL);
    }
    KEEP(result);
    return 0;
}
C
cat >bare.c <<'C'
#include <stdint.h>
int bare(int (*function)(int), int how) {
    volatile uintptr_t *frame = __builtin_frame_address(0);
    uintptr_t before[2] = {frame[0], frame[1]};
    if (how == 1)
        frame[0] = (uintptr_t)frame; /* a frame that is its own caller */
    if (how == 2)
        frame[1] = 0x41414140;
    int result = function(how);
    frame[0] = before[0];
    frame[1] = before[1];
    return result;
}
C
build() { # COMPILER OPTION...
    "$@" -O1 -fno-omit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-stack-protector -c bare.c &&
        "$@" -g -O2 -fomit-frame-pointer -fasynchronous-unwind-tables -o deep deep.c bare.o -lpthread
}

# stack_of EXPECTED ARGUMENT...: the functions of the stack at hot, as far as they are given.
stack_of() {
    local wanted=$1 names
    shift
    ends 0 "$REIN_BINARY" trace -e breakpoint -b hot --stack --limit 1 -- ./deep "$@"
    has err '^\[[0-9]+\] breakpoint at 0x[0-9a-f]+: hot' 1
    # The bottom of a stack is the C library's, which may be without symbols.
    names=$(sed -nE 's/^ +#[0-9]+ +0x[0-9a-f]+ +([^+ ]+).*/\1/p; s/^ +(guessed from here|lost here|more may follow):.*/\1/p' err |
        tr '\n' ',')
    # shellcheck disable=SC2053 # it is a pattern
    [[ $names == $wanted ]] || {
        cat err
        fail "$names is not $wanted: $*"
    }
}

stacks() {
    stack_of 'hot,inner,main,*' plain
    stack_of 'hot,inner,recurse,recurse,recurse,recurse,main,*' deep 3
    stack_of 'hot,inner,compare,*main,*' library
    stack_of 'hot,inner,start,*' thread
    stack_of 'hot,inner,handler,*main,*' signal
    stack_of 'hot,inner,handler,*main,*' other
    stack_of 'hot,inner,bare,guessed from here,main,*' bare 0
    has err '^    guessed from here: there is no unwind information \(0x' 1
    stack_of 'hot,inner,bare,lost here,' bare 2
    has err '^    lost here: there is no unwind information for the code, and no frame pointer \(0x' 1
    # The caller's own frame is found by what is in the damaged one, and then no other.
    ends 0 "$REIN_BINARY" trace -e breakpoint -b hot --stack --limit 1 -- ./deep bare 1
    has err '^ +#2 +0x[0-9a-f]+ +bare' 1
    [ "$(grep -c '^ *#' err)" -lt 64 ] || fail "a frame is its own caller for ever"
}

build "${TRACEE_CC:-cc}" || fail "cannot compile"
stacks
if [ "$REIN_CPU" = x86_64 ]; then
    stack_of 'hot,inner,?,guessed from here,run_time_code,*main,*' code
fi

# Limits.
ends 0 "$REIN_BINARY" trace -e breakpoint -b hot --stack=7 -- ./deep deep 100
has err '^    #' 7
has err '^    more may follow: 7 were asked for$' 1
ends 0 "$REIN_BINARY" trace -e breakpoint -b hot --stack=1000 -- ./deep deep 500
has err '^    #[0-9]+ +0x[0-9a-f]+ +recurse' 501
has err 'main'
ends 0 "$REIN_BINARY" trace -e breakpoint -b hot --stack -- ./deep deep 500
has err '^    #' 64

# Of that -b only.
ends 0 "$REIN_BINARY" trace -e breakpoint -b inner -b hot --stack=2 -- ./deep
has err '^    #' 2
ends 0 "$REIN_BINARY" trace -c -b hot --stack -- ./deep # and no line, no stack
has err '^    #' 0
ends 2 "$REIN_BINARY" trace --stack -b hot -- ./deep
has err 'for the -b that it stands behind' 1
ends 2 "$REIN_BINARY" trace -b hot --stack=0 -- ./deep
ends 2 "$REIN_BINARY" trace -b hot --stack=many -- ./deep

if command -v jq >/dev/null; then
    ends 0 "$REIN_BINARY" trace -j -e breakpoint -b hot --stack=2 -- ./deep
    jq -es 'map(select(.event == "breakpoint")) | length == 1 and (.[0] | .stack_end == "limit" and
        (.stack | length == 2 and .[0].symbol == "hot" and .[0].offset == 0 and .[1].symbol == "inner" and .[1].offset > 0
            and all((.pc | startswith("0x")) and (.module | endswith("/deep")) and (.file | endswith("/deep.c")) and .line > 0)))' \
        err >/dev/null || fail "JSON: $(cat err)"
    ends 0 "$REIN_BINARY" trace -j -e breakpoint -b hot --stack -- ./deep bare 0
    jq -es 'map(select(.event == "breakpoint"))[0] | (has("stack_end") | not) and
        [.stack[0:4][] | [.symbol, .guessed]] == [["hot", null], ["inner", null], ["bare", null], ["main", true]]' \
        err >/dev/null || fail "JSON: $(cat err)"
fi

# All threads, in one stop.
./deep wait >ready &
tracee=$!
trap 'kill -KILL "$tracee" 2>/dev/null; rm -rf "$scratch"' EXIT
until_true 30 grep -qs ready ready || fail "the threads do not come up"
all_asleep() {
    "$REIN_BINARY" stack "$tracee" >out 2>err && [ "$(grep -c ' waiting+' out)" = 1 ] &&
        [ "$(grep -c ' sleeper+' out)" = 3 ] && [ "$(grep -c ' sleeping ' out)" = 4 ]
}
until_true 30 all_asleep || fail "$(cat out)"
for command in 'stack' 'threads --stack' 'threads -s' 'stack --stack=64'; do
    read -ra words <<<"$command"
    ends 0 "$REIN_BINARY" "${words[@]}" "$tracee"
    is_untraced "$tracee"
    has out '^ +[0-9]+  deep +sleeping +' 4
    has out '^    #[0-9]+ +0x[0-9a-f]+ +sleeper\+' 3
    has out '^    #[0-9]+ +0x[0-9a-f]+ +waiting\+' 1
    # Of the stack that the handler has interrupted nothing was copied.
    has out '^    guessed from here: the memory was read while it ran' 1
    has out '^    #[0-9]+ +0x[0-9a-f]+ +(raise_it.*|main)\+' 
    has out '^stopped for [0-9.]+ ms, at most$' 1
done
ends 0 "$REIN_BINARY" stack --stack=1 "$tracee"
has out '^    #' 4
if command -v jq >/dev/null; then
    ends 0 "$REIN_BINARY" stack -j "$tracee"
    jq -es 'length == 4 and all(.stopped_ms > 0 and .stack[0].pc == .pc) and (map(select(any(.stack[]; .symbol == "sleeper"))) |
        length == 3)' out >/dev/null || fail "JSON: $(cat out)"
fi
ends 2 "$REIN_BINARY" stack
ends 1 "$REIN_BINARY" stack 99999999
kill -KILL "$tracee"
wait "$tracee" 2>/dev/null || true

# 32-bit programs: what they have of the vdso is not ours.
if [ "$REIN_CPU" = x86_64 ] && command -v i686-linux-gnu-gcc >/dev/null && build i686-linux-gnu-gcc -static; then
    stacks
    ./deep wait >ready &
    tracee=$!
    until_true 30 all_asleep || fail "$(cat out)"
    has out '^    #0 +0x[0-9a-f]+ +__kernel_vsyscall\+' 4
    has out '^    #[0-9]+ +0x[0-9a-f]+ +sleeper\+' 3
    kill -KILL "$tracee"
    wait "$tracee" 2>/dev/null || true
fi
trap 'rm -rf "$scratch"' EXIT
