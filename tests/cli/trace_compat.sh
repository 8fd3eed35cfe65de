#!/usr/bin/env bash
# 32-bit programs: breakpoints in them and in their libraries, their calls by name, their registers. Rows X2, C1.
set -euo pipefail
. "$(dirname "$0")/support.sh"

i386=$REIN_FIXTURES/i386
! is_32_bit || i386=$REIN_FIXTURES
program=$i386/step_targets
[ -x "$program" ] || skip "there are no 32-bit programs: no i686-linux-gnu-gcc"

ends 0 "$REIN_BINARY" trace --json -f -b step_0 -b libc.so.6:write -- sh -c "'$program' 4; true" </dev/null
has err '"event":"exec".*"program":"[^"]*/step_targets","arch":"i386"' 1
has err '"event":"breakpoint".*"location":"step_0"' 4

ends 0 "$REIN_BINARY" trace -b libc.so.6:alarm -- "$program" 1 </dev/null
[ "$(hits err libc.so.6:alarm)" = 1 ] || fail "the library's function was not hit once"

ends 0 "$REIN_BINARY" trace -e syscall=getppid,write -- "$program" 3 </dev/null
has err 'i386:getppid\(\) = [0-9]+$' 3
has err 'i386:write\(1, 0x[0-9a-f]+, 6\) = 6$' 1

mkfifo told
"$i386/sleepers" 1 <told >said &
pid=$!
exec 3>told
until grep -q ready said; do sleep 0.1; done
ends 0 "$REIN_BINARY" regs "$pid"
has out '^eip +0x[0-9a-f]{1,8} .*' 1
has out '^orig_eax ' 1
ends 0 "$REIN_BINARY" regs "$pid" xmm7 mxcsr
ends 2 "$REIN_BINARY" regs "$pid" rax
ends 0 "$REIN_BINARY" threads "$pid"
has out ' sleeping ' 2
exec 3>&-
wait "$pid"
