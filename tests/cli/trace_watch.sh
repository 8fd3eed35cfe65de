#!/usr/bin/env bash
# `rein trace -w`: who writes what to a variable, by symbol and by address, in the program and in a library that comes later;
# what cannot be watched is told. Row N3.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >program.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

long counter;
char small;
int table[6];

__attribute__((noinline)) void add(long n) { counter += n; } /* line 9 */

static void *work(void *arg)
{
    for (int i = 0; i < 50; i++)
        add((long)arg);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    for (long i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)1) != 0)
            return 1;
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    small = 'x';
    table[2] = 7;
    if (argc > 1) {
        void *library = dlopen(argv[1], RTLD_NOW);
        void (*set)(int) = library == NULL ? NULL : (void (*)(int))dlsym(library, "set_state");
        if (set == NULL)
            return 1;
        for (int i = 1; i <= 3; i++)
            set(i);
        dlclose(library);
    }
    printf("%ld\n", counter);
    return 3;
}
C
cat >library.c <<'C'
int lib_state;
__attribute__((constructor)) static void begin(void) { lib_state = 100; }
void set_state(int to);
void set_state(int to) { lib_state = to; }
C
tracee -o program program.c -pthread -ldl
tracee -shared -fPIC -o library.so library.c

# Whatever the machine: what cannot be is told before the program runs.
refused() {
    ends 1 "$REIN_BINARY" trace "${@:2}" ./program
    has err "$1"
    [ ! -s out ] || fail "it ran: $*"
}
refused '-w table: table has 24 bytes in program: say how many are to be watched, as in table:8' -w table
refused '-w table\+4:32: .* needs [58] of the 4 debug registers' -w table+4:32
refused '-w 0x10: .* has no memory there' -w 0x10
ends 2 "$REIN_BINARY" trace -w counter:33 ./program
has err 'the size must be from 1 to 32 bytes'
ends 2 "$REIN_BINARY" trace -w program.c:9:4 ./program
has err 'a source line is no variable'
ends 2 "$REIN_BINARY" trace -w '' ./program
ends 2 "$REIN_BINARY" trace --software-watch -w counter:4097 ./program
has err 'or to 4096 with --software-watch'
ends 2 "$REIN_BINARY" trace --software-watch ./program
has err 'is for what -w watches'

# Without debug registers, so on every machine. The program is a small one: it is stepped from its first instruction on.
cat >stepped.c <<'C'
int table[6];
__attribute__((noinline, used)) static void set(int n) { table[n] = n; } /* line 2 */
__attribute__((noreturn, used)) static void begin(void)
{
    for (int i = 0; i < 6; i++)
        set(i);
    set(3);
#ifdef __x86_64__
    __asm__ volatile("syscall" : : "a"(231L), "D"(3L) : "memory");
#else
    __asm__ volatile("int $0x80" : : "a"(252), "b"(3) : "memory");
#endif
    __builtin_unreachable();
}
__asm__(".globl _start\n_start: call begin\n");
C
if tracee -static -nostdlib -fno-stack-protector -o stepped stepped.c 2>/dev/null; then
    ends 3 "$REIN_BINARY" trace -e watchpoint --software-watch -w table -w table+12:4 ./stepped
    has err 'write to table, by set' 5
    has err 'write to table\+12:4: 0x0 -> 0x3, by set\+0x[0-9a-f]+ \(stepped\.c:2\)' 1
    has err '^ +5  0x[0-9a-f]{16}  table$'
    has err '^ +1  0x[0-9a-f]{16}  table\+12:4$'
fi

status=0
timeout 30 "$REIN_BINARY" trace -w counter ./program >out 2>err || status=$?
if grep -q 'never fires on this machine' err; then
    [ "$status" = 1 ] || fail "status $status"
    has err 'say --software-watch'
    [ ! -s out ] || fail "it ran"
    skip "debug registers are accepted by the kernel, but never fire on this machine: script/watch-in-vm has one"
fi
[ "$status" = 3 ] || { cat err; fail "status $status"; }
[ "$(cat out)" = 200 ] || fail "$(cat out)"
has err 'write to counter: 0x[0-9a-f]+ -> 0x[0-9a-f]+, by add\+0x[0-9a-f]+ \(program\.c:9\)$' 200
has err 'write to counter: 0x0 -> ' 1
has err ' 200 watched writes, '
has err '^ +200  0x[0-9a-f]{16}  counter$'

# Several, with sizes; nothing else is shown.
ends 3 "$REIN_BINARY" trace -e watchpoint -w small -w table+8:4 -w program:table:2 -w counter -c -b add ./program
has err '^ +1  0x[0-9a-f]{16}  small$'
has err '^ +1  0x[0-9a-f]{16}  table\+8:4$'
has err '^ +0  0x[0-9a-f]{16}  program:table:2$'
has err '^ +200  0x[0-9a-f]{16}  counter$'
has err '^ +200  0x[0-9a-f]{16}  add '
has err '\] ' 2 # start and end

# By address.
if tracee -no-pie -o fixed program.c -pthread -ldl 2>/dev/null; then
    ends 3 "$REIN_BINARY" trace -e watchpoint -w "0x$(nm fixed | awk '$3 == "small" { print $1 }'):1" ./fixed
    has err 'write to 0x[0-9a-f]+:1: 0x0 -> 0x78, by main'
fi
ends 3 "$REIN_BINARY" trace -e watchpoint -w "program:0x$(nm program | awk '$3 == "small" { print $1 }'):1" ./program
has err 'write to program:0x[0-9a-f]+:1: 0x0 -> 0x78, by main'

# In a library that comes later: its constructor is seen.
ends 3 "$REIN_BINARY" trace -e watchpoint -w lib_state ./program ./library.so
has err '^rein: -w lib_state: no such variable yet; waiting for a library that has it$'
has err 'write to lib_state: 0x0 -> 0x64, by begin\+.*library\.so'
has err 'write to lib_state: ' 4
has err '^ +4  0x[0-9a-f]{16}  lib_state$'
ends 3 "$REIN_BINARY" trace -w lib_state ./program
has err '^ +-  never appeared +lib_state$'

# Followed children are watched from their first instruction, each in its own memory.
cat >family.c <<'C'
#include <sys/wait.h>
#include <unistd.h>
long counter;
int main(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            counter += 2;
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    counter++;
    return 3;
}
C
tracee -o family family.c
ends 3 "$REIN_BINARY" trace -f -e watchpoint -w counter ./family
has err 'write to counter: 0x0 -> 0x2, by main' 3
has err 'write to counter: 0x0 -> 0x1, by main' 1
has err '^ +4  0x[0-9a-f]{16}  counter$'
ends 3 "$REIN_BINARY" trace -e watchpoint -w counter ./family
has err 'write to counter: ' 1

# A process that runs: let go, it is as before.
mkfifo told
"$REIN_FIXTURES/watched" loop 2 <told >watched.out 2>&1 &
pid=$!
exec 8>told
until_true 30 grep -q ready watched.out || fail "it is not ready"
"$REIN_BINARY" trace -e watchpoint -o log -w target -p "$pid" &
rein=$!
until_true 30 grep -qs 'write to target' log || fail "no write is seen"
kill -TERM "$rein"
wait "$rein" || fail "rein has failed"
is_untraced "$pid" || fail "it is still traced"
exec 8>&-
wait "$pid" || fail "it has been harmed"
grep -q '^ok watched' watched.out || fail "it has not gone well"

# JSON.
command -v jq >/dev/null || skip "jq is not installed"
ends 3 "$REIN_BINARY" trace -j -e watchpoint -w table+8:4 -w nowhere ./program
jq -es 'any(.[]; .event == "watchpoint" and .watch == "table+8:4" and .size == 4 and .old == "0x0" and .new == "0x7" and
    .symbol == "main" and (.address | startswith("0x")) and (.pc | startswith("0x")) and .line == 27 and .tid == .pid)
    ' err >/dev/null || { cat err; fail "the JSON"; }
jq -es '.[-1] | .watches == [{"watch": "table+8:4", "size": 4, "hits": 1, "address": .watches[0].address},
    {"watch": "nowhere", "hits": 0}] and .never_appeared == ["nowhere"]' err >/dev/null || { cat err; fail "the summary"; }
