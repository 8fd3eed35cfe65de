#!/usr/bin/env bash
# lldb is given rein for its debug server, and shall show the same as with its own, in each of the steps of lldb/steps.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
is_32_bit && skip "lldb is the machine's own"
python=/usr/bin/python3 # the one that lldb's module is for
[ -x "$python" ] || skip "no python3"
command -v lldb >/dev/null || skip "no lldb"
LLDB_SERVER=$(command -v lldb-server || command -v lldb-server-14) || skip "no lldb-server"
export LLDB_SERVER

cp "$here/lldb/program.c" program.c
tracee -O0 -no-pie -fno-pie -o program program.c -pthread
strip -o stripped program

make_debugserver

timeout 160 "$python" "$here/lldb/steps.py" "$here/lldb/steps.txt" "${1:-lldb}" rein

# A server that runs already, without a process: lldb connects, and attaches then.
sleep 300 &
sleeper=$!
trap 'kill $sleeper; rm -rf "$scratch"' EXIT
"$REIN_BINARY" serve --multi --once --listen localhost:0 >listening 2>&1 &
until_true 10 grep -q 'Listening on port' listening
timeout 60 "$python" "$here/lldb/connect.py" "$(sed -n 's/.*Listening on port //p' listening)" "$sleeper"
