#!/usr/bin/env bash
# rein regs shows the registers of a thread, by type, and leaves the process as it was. Row R6.
set -euo pipefail
. "$(dirname "$0")/support.sh"

cat >values.c <<'C'
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* Registers with values that are known, in a read that waits. */
static const struct { double doubles[2]; float floats[4]; unsigned short halves[8]; unsigned char denormal[10]; } data = {
    {3.25, -0.1}, {1.5f, -2, 0.1f, 1e20f}, {0x3c00, 0xc000, 0x0001, 0x7c00, 0xfe00, 0x3555, 0, 0x8000}, {1}};
int main(void)
{
    char byte;
    long result;
    puts("ready");
    fflush(stdout);
    __asm__ volatile("fninit\n fldpi\n fld1\n fldt %[denormal]\n"
                     "movups %[doubles], %%xmm5\n movups %[floats], %%xmm6\n movups %[halves], %%xmm7\n"
                     "pxor %%xmm8, %%xmm8\n"
                     "movabsq $0x123456789abcdef0, %%r12\n movq $-2, %%r13\n"
                     "syscall\n fninit\n"
                     : "=a"(result)
                     : "a"(0L), "D"(0L), "S"(&byte), "d"(1L), [doubles] "m"(data.doubles), [floats] "m"(data.floats),
                       [halves] "m"(data.halves), [denormal] "m"(data.denormal)
                     : "rcx", "r11", "r12", "r13", "xmm5", "xmm6", "xmm7", "xmm8", "memory");
    return result == 1 ? 0 : 1;
}
C
tracee -o values values.c
mkfifo told
./values <told >ready &
tracee=$!
trap 'kill -KILL "$tracee" 2>/dev/null; rm -rf "$scratch"' EXIT
exec 8>told
in_read() { # read is system call 0
    grep -qs '^0 0x0 ' "/proc/$1/syscall"
}
until_true 30 in_read "$tracee"

# The general ones.
ends 0 "$REIN_BINARY" regs "$tracee"
is_untraced "$tracee"
[ "$(wc -l <out)" = 27 ]
has out '^rax +0x[0-9a-f]+ +-?[0-9]+$' 1
has out '^r12 +0x123456789abcdef0 +1311768467463790320$' 1
has out '^r13 +0xfffffffffffffffe +-2$' 1
has out '^rip +0x[0-9a-f]+ +main\+0x[0-9a-f]+ \(values\.c:[0-9]+\)$' 1
has out ' $' 0
has out '^eflags +0x[0-9a-f]+ +\[ .*IF.* \]$' 1
has out '^cs +0x33 +51$' 1
has out '^orig_rax +0x0 +0$' 1

# By name and by group.
ends 0 "$REIN_BINARY" regs "$tracee" xmm5 r13
[ "$(cut -d ' ' -f 1 out | xargs)" = 'r13 xmm5' ]
has out '^xmm5 +0xbfb999999999999a400a000000000000 +\{3\.25, -0\.1\}$' 1
ends 0 "$REIN_BINARY" regs -l float32 "$tracee" xmm6
has out '^xmm6 .* \{1\.5, -2, 0\.1, 1e\+20\}$' 1
ends 0 "$REIN_BINARY" regs --lanes=float16 "$tracee" xmm7
has out '^xmm7 .* \{1, -2, 5\.9604645e-08, inf, -?nan, 0\.33325195, 0, -0\}$' 1
ends 0 "$REIN_BINARY" regs --lanes int8 "$tracee" xmm5
has out '\{0, 0, 0, 0, 0, 0, 10, 64, -102, -103, -103, -103, -103, -103, -71, -65\}$' 1
ends 0 "$REIN_BINARY" regs --lanes int128 "$tracee" xmm5 xmm8
has out '^xmm5 .* \{0xbfb999999999999a400a000000000000\}$' 1
has out '^xmm8 +0x0$' 1
ends 0 "$REIN_BINARY" regs "$tracee" float
[ "$(wc -l <out)" = 16 ]
has out '^st0 +0x00000000000000000001 +3\.6451995318824746[0-9]*e-4951$' 1
has out '^st1 +0x3fff8000000000000000 +1$' 1
has out '^st2 +0x4000c90fdaa22168c235 +3\.14159265358979323(85|851)$' 1
has out '^ftag +0x[0-9a-f]+ +[0-9]+$' 1
has out '^fctrl +0x37f +895$' 1
ends 0 "$REIN_BINARY" regs "$tracee" mxcsr
has out '^mxcsr +0x1f80 +\[ IM DM ZM OM UM PM \]$' 1

# All: what there is on this machine.
ends 0 "$REIN_BINARY" regs --all "$tracee"
has out '^xmm15 ' 1
processor=$(grep -m 1 ^flags /proc/cpuinfo)
for pair in avx:ymm15 avx512f:zmm31 avx512f:k7 ospke:pkru amx_tile:tmm7; do
    if [[ " $processor " == *" ${pair%:*} "* ]]; then has out "^${pair#*:} " 1; else has out "^${pair#*:} " 0; fi
done
ends 0 "$REIN_BINARY" regs --all --json "$tracee"
if command -v jq >/dev/null; then
    jq -es --argjson pid "$tracee" 'all(.tid == $pid and (.value | startswith("0x")) and .size > 0)
        and any(.register == "rip" and .type == "code pointer" and .symbol == "main" and .group == "general")
        and any(.register == "st2" and .type == "float" and (.decimal | startswith("3.14159")))
        and any(.register == "mxcsr" and .flags == ["IM", "DM", "ZM", "OM", "UM", "PM"])
        and any(.register == "xmm5" and .lane == "float64" and .lanes == ["3.25", "-0.1"])' out >/dev/null
fi

# What is wrong.
ends 2 "$REIN_BINARY" regs "$tracee" rip nonsense
has err '^rein: .*"nonsense"' 1
is_untraced "$tracee"
if ! [[ " $processor " == *" user_shstk "* ]]; then
    ends 1 "$REIN_BINARY" regs "$tracee" rip ssp
    has out '^rip ' 1
    has err '^rein: thread [0-9]+ has no register ssp' 1
fi
ends 1 "$REIN_BINARY" regs -t 1 "$tracee"
has err '^rein: .*thread 1' 1
ends 1 "$REIN_BINARY" regs 99999999
has err '^rein: there is no process 99999999$' 1
ends 2 "$REIN_BINARY" regs
ends 2 "$REIN_BINARY" regs nobody
ends 2 "$REIN_BINARY" regs -t nobody "$tracee"
ends 2 "$REIN_BINARY" regs -l nonsense "$tracee"
has err 'float64' 1
ends 2 "$REIN_BINARY" regs --all "$tracee" rip

printf x >&8
status=0
wait "$tracee" || status=$?
[ "$status" = 0 ] || fail "the program has ended with status $status"
trap 'rm -rf "$scratch"' EXIT

# Another thread than the first; a first one that has left.
mkfifo told2
"$REIN_FIXTURES/leader_exits_first" 2 0 <told2 >ready &
tracee=$!
exec 9>told2
until_true 30 grep -qs ready ready
until_true 30 grep -q 'State:.Z' "/proc/$tracee/task/$tracee/status"
ends 1 "$REIN_BINARY" regs "$tracee" rip
has err "^rein: .*$tracee" 1
for task in "/proc/$tracee/task/"*; do
    [ "${task##*/}" = "$tracee" ] && continue
    ends 0 "$REIN_BINARY" regs -t "${task##*/}" "$tracee" rip
    has out '^rip +0x[0-9a-f]+ +[^ ]' 1
done
printf x >&9
wait "$tracee" || true
