#!/usr/bin/env bash
# Where breakpoints can be asked for: symbols, offsets, lines, addresses; in position independent, fixed, static and
# stripped programs, with debug information in separate files and in the forms that compilers write it; and what is said
# of those that cannot be. Rows P2, P9.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >inline.h <<'C'
static inline __attribute__((always_inline)) int twice(int x) {
    __asm__ volatile("" : "+r"(x));
    return x * 2;
}
C
cat >program.c <<'C'
#include <stdio.h>
#include <string.h>
#include "inline.h"

int data[4];

__attribute__((noinline)) int work(int x)
{
    /* no code here */
    int y = x * 3;
    __asm__ volatile("" : "+r"(y));
    return twice(y) + 1;
}

static int absorbed(int x) { return x + 1; }

int main(void) {
    int sum = 0;
    for (int i = 0; i < 10; i++)
        sum += work(i) + twice(i);
    data[0] = absorbed(sum);
    printf("%d\n", sum);
    return 3;
}
C
cc=${TRACEE_CC:-cc}
echo leak:libdw.so >suppressions # dwarf_getscopes of libdw 0.188, for an inlined function
export LSAN_OPTIONS=suppressions=$PWD/suppressions:print_suppressions=0

# counted HITS OPTION...: so many hits in all.
counted() {
    local wanted=$1 status=0
    shift
    timeout 30 "$REIN_BINARY" trace -e none -c "$@" >out 2>err || status=$?
    [ "$status" = 3 ] || { cat err; fail "status $status: $*"; }
    [ "$(cat out)" = 370 ] || fail "$(cat out): $*"
    grep -q " $wanted breakpoint hit" err || { cat err; fail "not $wanted hits: $*"; }
}

for kind in '' -no-pie -static -static-pie '-O0' '-gdwarf-4' '-gz' '-gsplit-dwarf' '-flto'; do
    read -ra flags <<<"$kind"
    "$cc" -g -O1 ${flags[@]+"${flags[@]}"} -o program program.c 2>/dev/null || { echo "cannot compile: $kind"; continue; }
    counted 10 -b work ./program
    counted 10 -b program:work ./program
    counted 10 -b ./program:work ./program
    counted 10 -b work+0 -b work ./program
    counted 10 -b program.c:12 ./program
    counted 20 -b inline.h:2 ./program
    counted 10 -b program.c:9 ./program # the next line has code
    has err 'program\.c:9 has no code; the breakpoint is at line 10'
    address=$(nm program | awk '$3 == "work" { print $1 }')
    counted 10 -b "program:0x$address" ./program
    case $kind in -no-pie | -static) counted 10 -b "0x$address" ./program ;; esac
done
"$cc" -g -O1 -o program program.c
base=0x555555554000 # where the kernel puts programs
! is_32_bit || base=0x56555000
[ "$(readelf -h program | grep -c 'DYN')" = 0 ] ||
    counted 10 --no-aslr -b "$(printf '0x%x' $((base + 0x$(nm program | awk '$3 == "work" { print $1 }'))))" ./program

# More than the first instruction: by an offset to where the second begins.
second=$(objdump -d --disassemble=work program | awk '/^ +[0-9a-f]+:/ { print $1 }' | sed -n '2s/://p')
first=$(nm program | awk '$3 == "work" { print $1 }')
counted 10 -b "work+$((0x$second - 0x$first))" ./program

# Stripped: by address; with a debug file beside it, or under .debug, by its debug link.
objcopy --only-keep-debug program program.debug
objcopy --strip-all program stripped
counted 10 -b "stripped:0x$first" ./stripped
objcopy --strip-all --add-gnu-debuglink=program.debug program linked
counted 10 -b work ./linked
counted 10 -b program.c:12 ./linked
mkdir .debug && mv program.debug .debug/
counted 10 -b work ./linked
rm -r .debug

# What cannot be: told before anything runs.
refused() {
    ends 1 "$REIN_BINARY" trace "${@:2}"
    has err "$1"
    [ ! -s out ] || fail "it ran: $*"
}
refused 'work_: no such symbol in .*/program; there is work' -b program:work_ ./program
refused 'absorbed: the compiler has inlined all of it|no such symbol' -b program:absorbed ./program
refused 'data is data in program, not a function' -b data ./program
refused 'program.c has no code from line 999 on; the last with code is 24' -b program.c:999 ./program
refused 'work\+0x100000 is outside the code' -b program:work+0x100000 ./program
refused 'program:0x10: there is no code at that address' -b program:0x10 ./program
if "$cc" -g -O1 -static -o static program.c 2>/dev/null; then
    refused 'wrok: no such symbol in the program, and no library can bring it; there is work' -b wrok ./static
    refused 'nothing.c:3: no such source line in the program' -b nothing.c:3 ./static
fi

# A name that a library could bring: a warning, with what is like it.
counted 0 -b wrok ./program
has err '^rein: wrok: no such symbol yet; waiting for a library that has it; there is work'
has err '^ +- +never appeared +wrok$'

# An indirect function: the breakpoint is where the linker's choice is, and that is said.
if readelf --dyn-syms -W "$(ldd ./program | awk '/libc\.so/ { print $3 }')" | grep -q 'IFUNC.* memcpy@'; then
    cat >copies.c <<'C'
#include <string.h>
char from[300], to[300];
int main(void) {
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    for (int i = 0; i < 50; i++)
        copy(to, from, sizeof to);
    return 0;
}
C
    tracee -o copies copies.c
    ends 0 "$REIN_BINARY" trace -c -b memcpy ./copies
    has err '^rein: memcpy in libc\.so\.6 is an indirect function \(IFUNC\); the breakpoint is at the implementation'
    [ "$(awk '/ memcpy = / { sum += $1 } END { print sum + 0 }' err)" -ge 50 ] || { cat err; fail "memcpy was not hit"; }
fi
