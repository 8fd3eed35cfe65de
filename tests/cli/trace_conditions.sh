#!/usr/bin/env bash
# `rein trace -b 'LOCATION if EXPRESSION'`: how often it is true, by registers, parameters, locals and globals, in programs as
# compilers make them - optimized or not, fixed, static, with debug information of all forms and without - and in libraries; what is
# said of conditions that cannot be, and of those that cannot be evaluated. Rows P2, P5, P9, E1, X2.
set -euo pipefail
. "$(dirname "$0")/support.sh"
echo leak:libdw.so >suppressions # of libdw 0.188, for an inlined function
export LSAN_OPTIONS=suppressions=$PWD/suppressions:print_suppressions=0

cat >program.c <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct node { struct node *next; int len; unsigned three : 3; char name[8]; };
struct pair { int a; long b; };
int counter;
static volatile int hidden = 5;
extern int elsewhere;
int look_elsewhere(void);

__attribute__((noinline)) int work(int x, struct node *p, const char *s, unsigned char c)
{
    int twice = 2 * x;
    __asm__ volatile("" : "+r"(twice), "+r"(x), "+r"(p), "+r"(s) : : "memory");
    counter += twice;                             /* line 19 */
    return counter + (p == NULL ? 0 : p->len) + (s == NULL ? 0 : (int)strlen(s)) + c + hidden;
}

__attribute__((noinline)) long many(int a, long long b, short c, char d, unsigned e, int f, int g, struct pair h, double i)
{
    __asm__ volatile("" : : : "memory");
    return a + (long)b + c + d + (long)e + f + g + h.a + h.b + (long)i;
}

int main(int argc, char **argv)
{
    struct node nodes[3] = {{&nodes[1], 1, 1, "first"}, {&nodes[2], 2, 6, "second"}, {NULL, 3, 7, "third"}};
    long sum = 0;
    if (argc > 2 && fork() == 0) {
        for (int i = 0; i < 20; i++)
            work(i, &nodes[i % 3], "child", 3);
        _exit(0);
    }
    for (int i = 0; i < 20; i++)
        sum += work(i - 10, i % 4 == 3 ? NULL : &nodes[i % 4], i % 2 ? "odd" : NULL, (unsigned char)(i * 20));
    for (int i = 0; i < 5; i++)
        sum += many(i, -i, (short)(i * 2), 'a', 4000000000u, 6, 7 * i, (struct pair){i, -i}, i);
    if (argc > 1) {
        void *library = dlopen(argv[1], RTLD_NOW);
        int (*late)(int) = library == NULL ? NULL : (int (*)(int))dlsym(library, "late");
        for (int i = 0; late != NULL && i < 10; i++)
            sum += late(i);
    }
    wait(NULL);
    printf("%ld\n", sum + look_elsewhere());
    return 3;
}
C
cat >other.c <<'C'
int elsewhere = 77;
static int only_here = 78;
int look_elsewhere(void);
int look_elsewhere(void) { return elsewhere + only_here++; }
C
cat >library.c <<'C'
int lib_global = 8;
int late(int x);
__attribute__((noinline)) int late(int x) { __asm__ volatile("" : "+r"(x)); return x + lib_global; }
C
cc=${TRACEE_CC:-cc}
program=./program

# counted HITS OPTION...: so many hits in all.
counted() {
    local wanted=$1 status=0
    shift
    timeout 60 "$REIN_BINARY" trace -e none -c "$@" >out 2>err || status=$?
    [ "$status" = 3 ] || { cat err; fail "status $status: $*"; }
    grep -q " $wanted breakpoint hit" err || { cat err; fail "$kind: not $wanted hits: $*"; }
}
# true_in HITS CONDITION: of work's 20 executions.
true_in() {
    counted "$1" -b "work if $2" "$program"
    has err "work.* if .*: of 20 executions$"
}

# All that there is to be found, in a few runs.
in_short() {
    true_in 6 'p && p->next && (p->next->len == 3 || p->name == "first" && x > 0) && (hidden == 5 && elsewhere == 77) && x > -9'
    counted 2 -b 'many if a + b == 0 && c == 2 * a && d == 97 && e == 4000000000 && f == 6 && g == 7 * a && h.a == a &&
        h.b == -a && a > 2' "$program"
    counted 8 -b 'program.c:19 if twice > 0 && counter < -50' "$program"
}
parameters() {
    true_in 9 'x > 0'
    true_in 5 'p == NULL'
    true_in 5 '!p'
    true_in 5 'p && p->next && p->next->len == 3'
    true_in 5 'p && p->name == "second"'
    true_in 15 'p == 0 || p->name != "second"'
    true_in 10 's == "odd"'
    true_in 0 's == "od"'
    true_in 6 'c > 127 && (signed char)c < 0'
    true_in 5 'p && p->three == 7u'
    true_in 1 'hits == 7'
    true_in 20 'tid == pid'
    true_in 0 'tid != pid'
    true_in 12 'hidden == 5 && counter < -70'
    true_in 3 '(u8)x >= (u8)-3'
    counted 2 -b 'many if a + b == 0 && c == 2 * a && d == 97 && e == 4000000000 && f == 6 && g == 7 * a && h.a == a &&
        h.b == -a && a > 2' "$program"
}
for kind in '-O0' '-O1' '-O2' '-O0 -no-pie' '-O0 -static' '-O1 -gdwarf-4' '-O0 -gdwarf-4' '-O0 -gsplit-dwarf' '-O1 -gz'; do
    read -ra flags <<<"$kind"
    "$cc" -g "${flags[@]}" -o program program.c other.c 2>/dev/null || { echo "cannot compile: $kind"; continue; }
    in_short
    case $kind in -O0 | -O2) parameters ;; esac
done
kind='-O0'
"$cc" -g -O0 -o program program.c other.c
true_in 20 'elsewhere == 77 && only_here == 78'
if ! is_32_bit && type clang >/dev/null 2>&1; then
    for kind in '-O0' '-O0 -gdwarf-4' '-O1 -gdwarf-5'; do
        read -ra flags <<<"$kind"
        clang -g "${flags[@]}" -o program program.c other.c
        in_short
    done
fi
if ! is_32_bit && type i686-linux-gnu-gcc >/dev/null 2>&1; then
    for kind in '-O0' '-O2' '-O0 -gdwarf-4'; do
        read -ra flags <<<"$kind"
        i686-linux-gnu-gcc -g -static "${flags[@]}" -o program program.c other.c 2>/dev/null
        in_short
        true_in 20 'sizeof(long) == 4 && esp > 0xffff'
    done
fi

# With the debug information in a file of its own.
kind=linked
"$cc" -g -O0 -o program program.c other.c
objcopy --only-keep-debug program program.debug
objcopy --strip-all --add-gnu-debuglink=program.debug program linked
program=./linked
in_short
true_in 20 'elsewhere == 77 && only_here == 78'
program=./program

# Without: registers, symbols, sizes.
kind=bare
"$cc" -O1 -o bare program.c other.c
program=./bare
true_in 20 '(u32)counter == *(u32 *)&counter && *(int *)&elsewhere == 77'
true_in 20 '(int)hidden == 5 || 1'
case $REIN_CPU in
    x86_64)
        true_in 9 '(int)rdi > 0'
        true_in 5 'rsi == 0'
        true_in 15 'rsi && *(u32 *)(rsi + 8) < 4'
        true_in 10 '(char *)rdx == "odd"'
        ;;
    x86) true_in 9 '*(int *)(esp + 4) > 0' ;;
esac
ends 1 "$REIN_BINARY" trace -b 'work if x > 3' ./bare
has err "^rein: -b 'work if x > 3': there is no variable, register or constant \"x\".*no debug information here"
ends 1 "$REIN_BINARY" trace -b 'work if counter > 3' ./bare
has err "the type of counter is not known, only its address: say what it is, as in \(int\)counter, or &counter"
program=./program

# What cannot be is told before the program does anything, with a mark under the place.
refused() {
    ends "$1" "$REIN_BINARY" trace "${@:3}"
    has err "$2"
    [ ! -s out ] || fail "it ran: $*"
}
refused 1 "^rein: -b 'work if couter > 3': there is no variable, register or constant \"couter\"; there is counter" \
    -b 'work if couter > 3' ./program
has err '^    couter > 3$'
has err '^    \^$'
refused 1 '^ {15}\^$' -b 'work if x > 3 & p->nme == 0' ./program
refused 1 'no member "nme"; there is name' -b 'work if p->nme' ./program
refused 1 'no type "struct nod"' -b 'work if (struct nod *)p' ./program
refused 2 "^rein: -b 'work if x >': an expression is missing here" -b 'work if x >' ./program
refused 2 'an expression is missing' -b 'work if' ./program
for condition in 'if x > 3' 'if(x)' ' if x' if; do
    refused 2 "^rein: trace: -b '${condition//[()]/.}': a condition stands behind a place, and none is in front of it" \
        -b "$condition" ./program
    has err '^ {4,5}\^$'
done
refused 2 'an expression changes nothing: == compares' -b 'work if x = 3' ./program
refused 2 'for the -b in front of it, and there is none' --print x -b work ./program
"$cc" -g -O0 -static -o static program.c other.c 2>/dev/null && refused 1 'there is no variable' -b 'work if nothing' ./static

# One place that two ask for: one of them must be true. One of them without: all hits.
counted 11 -b 'work if x == 3' -b 'work if x < 0' ./program
has err ' if x == 3, x < 0: of 20 executions$'
counted 20 -b 'work if x == 3' -b work ./program
counted 12 -b 'work if x == 3' -b 'work if x < 0' -b 'many if a == 1' ./program

# Behind each its own options: what is counted are hits with its own condition.
ends 3 "$REIN_BINARY" trace -e breakpoint -b 'work if x < 0' --ignore 1 --limit 2 -b 'work if x > 0' --limit 3 ./program
has err '^\[[0-9]+\] breakpoint at .* work ' 5
ends 3 "$REIN_BINARY" trace -e breakpoint -b 'work if x == 3' --limit 1 --print x ./program
has err '^\[[0-9]+\] breakpoint at .* work .*: x = 3$' 1
ends 3 "$REIN_BINARY" trace -e breakpoint -b 'work if x == 3' --limit 1 -b work --ignore 18 ./program
has err '^\[[0-9]+\] breakpoint at .* work ' 3

# What only shows when it is evaluated: told once, counted, and the program goes on.
counted 9 -b 'work if 100 / x > 0' ./program
has err '^rein: work: breakpoint at 0x[0-9a-f]+: its condition could not be evaluated: division by zero; it counts as false' 1
has err ' if 100 / x > 0: of 20 executions; 1 could not be evaluated$'
counted 5 -b 'work if p->len == 2' ./program
has err 'its condition could not be evaluated: memory at 0x8 cannot be read|memory at 0x4 cannot be read' 1
has err ' if p->len == 2: of 20 executions; 5 could not be evaluated$'

# In a library that is loaded later.
"$cc" -g -O0 -shared -fPIC -o library.so library.c
counted 4 -b 'late if x > 5 && lib_global == 8' ./program "$PWD/library.so"
counted 4 -b 'late if x > 5 && counter != 0' ./program "$PWD/library.so"
counted 0 -b 'late if y > 5' ./program "$PWD/library.so"
has err "^rein: -b 'late if y > 5': there is no variable, register or constant \"y\""
has err ' if y > 5: impossible$'
# Where rein has a breakpoint of its own, the run-time linker's function: that one stays, whatever the condition.
counted 10 -b '_dl_debug_state if 0' -b late ./program "$PWD/library.so"
has err '^ +0 .*_dl_debug_state.* if 0: of [1-9][0-9]* executions$'
counted 11 -b '_dl_debug_state if hits == 2' -b late ./program "$PWD/library.so"
counted 10 -b '_dl_debug_state if 1 / 0 > 0' -b late ./program "$PWD/library.so"
has err '^rein: _dl_debug_state: .*division by zero; it counts as false' 1
has err ' if 1 / 0 > 0: of ([1-9][0-9]*) executions; \1 could not be evaluated$'
ends 3 "$REIN_BINARY" trace -e breakpoint -b '_dl_debug_state' --limit 1 --stack -b late --limit 2 ./program "$PWD/library.so"
has err '^\[[0-9]+\] breakpoint at .* _dl_debug_state ' 1
has err '^\[[0-9]+\] breakpoint at .* late ' 2
[ "$(hits err _dl_debug_state)" = 1 ] || fail "hits behind the limit: $(cat err)"
# A library's variable in a condition for the program: it is there when the program starts.
"$cc" -g -O0 -o uses program.c other.c -Wl,--no-as-needed ./library.so
counted 20 -b 'work if lib_global == 8' ./uses
# A library's variable that the program has a copy of, or one of its own: what the library sees is that one, unless it was linked so
# that it sees its own.
cat >shares.c <<'C'
int copied = 8, replaced = 1, quiet __attribute__((visibility("hidden"))) = 2, array[4] = {1, 2, 3, 4};
int seen(int a, int b, int c, int d);
__attribute__((noinline)) int seen(int a, int b, int c, int d) { __asm__ volatile("" : : "r"(&a), "r"(&b), "r"(&c), "r"(&d) : "memory"); return a + b + c + d; }
int look(void);
int look(void) { return seen(copied, replaced, quiet, array[2]); }
C
cat >copies.c <<'C'
extern int copied, array[4];
int replaced = 50, quiet = 60;
int look(void);
int main(void) { copied = 9; array[2] = 33; return look() + quiet == 0 ? 1 : 3; }
C
for symbolic in '' -Wl,-Bsymbolic; do
    for debug in -g -g0; do
        "$cc" -g -O0 -shared -fPIC ${symbolic:+"$symbolic"} -o libshares.so shares.c
        "$cc" $debug -O0 -no-pie -fno-pie -rdynamic -o copies copies.c -L. -lshares -Wl,-rpath,"$PWD"
        if [ -z "$symbolic" ]; then
            readelf -r copies | grep -q '_COPY .*copied' || { echo "no copy relocations here"; break; }
        fi
        ends 3 "$REIN_BINARY" trace -e breakpoint -b 'seen if copied == a && replaced == b && quiet == c && array[2] == d' \
            --print copied,replaced,quiet,array,a,b ./copies
        has err '^\[[0-9]+\] breakpoint at .* seen ' 1
        if [ -n "$symbolic" ]; then
            has err ': copied = 8, replaced = 1, quiet = 2, array = \{1, 2, 3, 4\}, '
        else
            has err ': copied = 9, replaced = 50, quiet = 2, array = \{1, 2, 33, 4\}, '
        fi
    done
done
"$cc" -g -O0 -no-pie -fno-pie -o copies copies.c -L. -lshares -Wl,-rpath,"$PWD"
ends 3 "$REIN_BINARY" trace -e breakpoint -b 'copies.c:4' --print 'copied,replaced,quiet,array[2]' ./copies
has err ': copied = 8, replaced = 50, quiet = 60, array\[2\] = 3$'
# Children have their own.
counted 28 -f -b 'work if x > 0 && (x <= 9 || s == "child")' ./program "$PWD/library.so" fork
# By thread only those that are true.
ends 3 "$REIN_BINARY" trace -ct -b 'work if x > 0' ./program
has err '^ +9 +[0-9]+ +program +work$'

# JSON.
ends 3 "$REIN_BINARY" trace -j -b 'work if 100 / x > 0' ./program
jq -es 'map(select(.event == "summary"))[0].locations[0] | .hits == 9 and .executions == 20 and .errors == 1 and
    .condition == "100 / x > 0" and .location == "work"' err >/dev/null || fail "the summary: $(tail -n 1 err)"
jq -es 'map(select(.event == "breakpoint")) | length == 9' err >/dev/null || fail "not 9 breakpoints"
jq -es 'map(select(.event == "warning"))[0].text | test("division by zero")' err >/dev/null || fail "no warning"

# A static program that executes another, of which the condition cannot be: that one runs on, without the breakpoint.
cat >executes.c <<'C'
#include <unistd.h>
int work(int x);
__attribute__((noinline)) int work(int x) { __asm__ volatile("" : "+r"(x)); return x; }
int main(int argc, char **argv) { return argc > 1 && work(3) == 3 ? execv(argv[1], argv + 1) : work(1); }
C
"$cc" -g -static -o first executes.c
"$cc" -g0 -static -o second executes.c
ends 1 "$REIN_BINARY" trace -e breakpoint -b 'work if x == 3' ./first ./second
has err '^\[[0-9]+\] breakpoint at .* work ' 1
has err '^\[[0-9]+\] process exited with status 1$'
