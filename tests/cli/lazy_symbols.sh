#!/usr/bin/env bash
# Debug files cost nothing until a name in them is needed, and are then opened once: rein is watched while it traces, by
# rein. Rows P2, P9.
set -euo pipefail
. "$(dirname "$0")/support.sh"
[ "$REIN_CPU" = x86_64 ] || skip "rein itself cannot be traced by this build"
for tool in objcopy nm; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
done

cat >library.c <<'C'
static __attribute__((noinline)) int hidden(int x) { __asm__ volatile("" : "+r"(x)); return x + 1; }
int shown(int x) { int y = hidden(x); __asm__ volatile("" : "+r"(y)); return y; }
C
cat >program.c <<'C'
int shown(int x);
__attribute__((noinline)) int mine(int x) { __asm__ volatile("" : "+r"(x)); return x; }
int main(void) { return shown(mine(1)) - 2; }
C
tracee -shared -fPIC -Wl,--build-id -o liblazy.so library.c
objcopy --only-keep-debug liblazy.so liblazy.so.debug
objcopy --strip-all --add-gnu-debuglink=liblazy.so.debug liblazy.so
# So large that reading all of it would be noticed: only what is written of it takes room on the disk. It is known by its
# build id; the link's checksum, which is not right any more, is for files that have none.
truncate -s 1G liblazy.so.debug
tracee -o program program.c -L. -llazy -Wl,-rpath,"$PWD"

# opens FILE TIMES OPTION...: so often the file is opened by rein trace with the options.
opens() {
    local file=$1 times=$2 count
    shift 2
    ends 0 "$REIN_BINARY" trace -o log -e none -e syscall=open,openat,openat2 -- \
        env ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" "$REIN_BINARY" trace -o inner "$@" -- ./program
    has inner 'process exited with status 0$' 1
    count=$(grep -E "^\[[0-9]+\] open(at2?)?\(.*/$file\"" log | grep -Evc ' = -1 ' || true)
    [ "$count" = "$times" ] || {
        cat log
        fail "$file was opened $count times, not $times: $*"
    }
}

# Nothing is asked for: nothing is opened, the program neither.
opens liblazy.so.debug 0
opens liblazy.so 0
opens program 0
# A name that the program has: nothing else is looked into, but the linker and what it is in.
opens liblazy.so.debug 0 -b mine
opens liblazy.so.debug 0 -b program:mine -b program.c:3 --stack --limit 1 
# A name that only the debug file has, many of them, and a line: once.
opens liblazy.so.debug 1 -b hidden
grep -q 'breakpoint at 0x[0-9a-f]*: hidden (liblazy.so, library.c:1)' inner || fail "$(cat inner)"
opens liblazy.so.debug 1 -b hidden -b liblazy.so:hidden+0 -b library.c:2 -b liblazy.so:shown --stack
grep -q '#1 .* main+' inner || fail "$(cat inner)"
