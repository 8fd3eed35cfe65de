#!/usr/bin/env bash
# rein trace --json: one object a line, with the members that rein-trace(1) names, and no others.
set -euo pipefail
. "$(dirname "$0")/support.sh"
command -v jq >/dev/null || skip "jq is not installed"
demo=$REIN_BUILD/examples/demo_workers

ends 0 "$REIN_BINARY" trace -jt -b work_take -b no_such_name -- "$demo" 8
jq -es 'all(type == "object")' err >/dev/null
jq -es '[.[].sequence] == [range(1; length + 1)]' err >/dev/null
jq -es 'all(has("time") and has("pid") and has("event"))' err >/dev/null
jq -es '.[0].event == "start" and .[-1].event == "summary" and .[-2].event == "exit"' err >/dev/null
jq -es '[.[] | select(.event == "breakpoint")] | length == 9 and all(
    (.pc | test("^0x[0-9a-f]+$")) and .symbol == "work_take" and .offset == 0 and .location == "work_take" and
    (.file | endswith("/examples/demo_workers.c")) and (.line > 0) and (.module | endswith("/demo_workers")) and
    (.tid != .pid))' err >/dev/null
jq -es '[.[] | select(.event == "thread create") | .new_tid] as $new
    | ($new | length) == 4 and ([.[] | select(.event == "thread exit") | .tid] | contains($new))' err >/dev/null
jq -es '.[-1] | .threads_created == 4 and (.signals.SIGALRM | type) == "number" and .never_appeared == ["no_such_name"]
    and (.locations | length) == 1 and .locations[0].hits == 9 and ([.locations[0].threads[].hits] | add) == 9
    and all(.locations[0].threads[]; .name == "demo_workers" and .tid > 0)' err >/dev/null
jq -es 'any(.event == "warning" and (.text | startswith("no_such_name: no such symbol")))' err >/dev/null
jq -es 'any(.event == "exit" and .status == 0)' err >/dev/null

# All events and members are documented.
manual=$REIN_SOURCE/doc/rein-trace.1
rm err
(ulimit -c 0 && ends 139 "$REIN_BINARY" trace -j sh -c 'true & wait; kill -STOP $$; kill -SEGV $$') &
stopped=$!
until_true 30 grep -qs '"event":"group-stop"' err
kill -CONT "$(jq -r 'select(.event == "group-stop") | .pid' err)"
wait "$stopped"
jq -es 'any(.event == "group-stop" and .signal == "SIGSTOP") and any(.event == "signal" and .signal == "SIGSEGV" and
    .number == 11 and .code == 0 and (.sender_pid | type) == "number" and .sender_uid >= 0)
    and any(.event == "exit" and .signal == "SIGSEGV") and any((.event == "fork" or .event == "vfork") and .child > 0)' err >/dev/null
jq -r 'to_entries[].key' err | sort -u | while read -r member; do
    grep -Eq "(^|[ .])Va .*\b$member\b" "$manual" || { [ "$member" = event ] || fail "undocumented member $member"; }
done
jq -r .event err | sort -u | while read -r event; do
    grep -Fq "Qq $event" "$manual" || fail "undocumented event $event"
done
