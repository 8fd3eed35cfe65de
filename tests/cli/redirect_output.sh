#!/usr/bin/env bash
# I1: examples/redirect_output.c, on a shell that runs: what it says goes to the file from then on, it and its children go
# on, and nothing is lost. What cannot be done is told.
set -euo pipefail
. "$(dirname "$0")/support.sh"
redirect=$REIN_BUILD/examples/redirect_output

sh -c 'i=0; while [ ! -e stop ]; do i=$((i + 1)); echo "line $i"; sleep 0.001; done; echo last' >before &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -rf "$scratch"' EXIT
until [ -s before ]; do sleep 0.01; done
timeout 60 "$redirect" "$pid" after
until [ -s after ]; do sleep 0.01; done
touch stop
wait "$pid"
[ "$(tail -n 1 after)" = last ] || fail "the end is not in the file"
cat before after | sed '$d' | awk '$0 != "line " NR { exit 1 }' || fail "lines are missing"

sleep 1000 &
pid=$!
status=0
timeout 60 "$redirect" "$pid" /nonexistent/file >out 2>err || status=$?
[ "$status" = 1 ] || fail "status $status"
has err 'open failed: No such file or directory'
status=0
timeout 60 "$redirect" 999999999 file 2>err || status=$?
[ "$status" = 1 ] || fail "status $status"
has err 'no process 999999999'
