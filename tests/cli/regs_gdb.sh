#!/usr/bin/env bash
# Every register that gdb can read too has the same value in rein. Row R6. Program: all_registers.
set -euo pipefail
. "$(dirname "$0")/support.sh"
command -v gdb >/dev/null || skip "no gdb"
command -v jq >/dev/null || skip "no jq"

mkfifo told
"$REIN_FIXTURES/all_registers" 0 wait <told >said &
tracee=$!
trap 'kill -KILL "$tracee" 2>/dev/null; rm -rf "$scratch"' EXIT
exec 8>told
in_read() { # read is system call 0; on i386 3
    grep -qsE '^[03] 0x0 ' "/proc/$1/syscall"
}
until_true 30 in_read "$tracee"

ends 0 "$REIN_BINARY" regs --all --json "$tracee"
jq -r '.register + " " + .value' out >rein

# What gdb knows of them, as bytes; a vector's lanes are joined, the highest first.
cat >values.py <<'PYTHON'
import gdb
frame = gdb.selected_frame()
def number(name):
    value = frame.read_register(name)
    fields = [] if value.type.strip_typedefs().code != gdb.TYPE_CODE_UNION else value.type.fields()
    for lanes in ("v16_int8", "v32_int8", "v64_int8"):
        if any(field.name == lanes for field in fields):
            bytes_ = [int(value[lanes][i]) & 0xff for i in range(int(lanes[1:3]))]
            return sum(byte << 8 * i for i, byte in enumerate(bytes_))
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_FLT:
        text = gdb.execute("info registers " + name, to_string=True) # "st0 1 (raw 0x3fff8000000000000000)"
        return int(text.split("(raw ")[1].rstrip(")\n "), 16)
    return int(value) & (1 << 8 * value.type.sizeof) - 1
for line in open("rein"):
    name = line.split()[0]
    try:
        print("VALUE", name, hex(number(name)))
    except ValueError:
        pass # it knows no such register
PYTHON
timeout 60 gdb -nx -batch -p "$tracee" -x values.py >gdb.out 2>gdb.err || { cat gdb.err; skip "gdb cannot attach"; }
grep -q ^VALUE gdb.out || { cat gdb.out gdb.err; skip "this gdb has no Python"; }
sed -n 's/^VALUE //p' gdb.out | sort >theirs
awk '{ print $1 }' theirs >names
grep -wFf names rein | sort >ours
# The two attach one after the other: a call that is made again shows in other values of these.
differing='^([re]ax|[re]cx|r11|[re]ip|orig_[re]ax|eflags) '
diff <(grep -vE "$differing" ours) <(grep -vE "$differing" theirs) ||
    fail "rein (<) and gdb (>) differ"
own=(rbx rsp xmm15)
! is_32_bit || own=(ebx esp)
for name in "${own[@]}" st0 st7 ftag fop mxcsr xmm0 xmm7; do
    grep -q "^$name " theirs || fail "gdb has not shown $name"
done
echo "$(wc -l <theirs) registers the same"

printf x >&8
status=0
wait "$tracee" || status=$?
[ "$status" = 0 ] || fail "the program: $(tail -n 1 said)"
trap 'rm -rf "$scratch"' EXIT
