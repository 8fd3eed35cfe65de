#!/usr/bin/env bash
# Each traced program behaves under rein trace with a breakpoint as without, and is hit as often as it says itself.
# Rows C1, P5, M6, M7, M12, and the list of issue 3.
set -euo pipefail
. "$(dirname "$0")/support.sh"
failed=0

for program in "$REIN_FIXTURES"/*; do
    name=$(basename "$program")
    if [ ! -f "$program" ] || [ ! -x "$program" ]; then continue; fi
    case $name in
        clone_untraced | vfork_traceme) continue ;; # cannot with a breakpoint, as the header says
        *.so* | *.a) continue ;;
    esac
    wanted=0 status=0
    timeout 30 "$program" </dev/null >plain 2>&1 || wanted=$?
    timeout 30 "$REIN_BINARY" trace -c -e none -b hot -o log "$program" </dev/null >out 2>&1 || status=$?
    said=$(awk '/^count all_hot/ { all = $3 } /^count hot / { hot = $3 } END { print all != "" ? all : hot }' out)
    hits=$(hits log hot)
    problem=
    [ "$status" = "$wanted" ] || problem="status $status, not $wanted"
    [ "$(grep -c '^ok' plain)" = "$(grep -c '^ok' out)" ] || problem="$(grep -h FAILED out || echo "not ok")"
    if [ "$said" != "" ] && [ "$said" != "$hits" ]; then
        case $name in
            exit_orders | exit_race | leader_exits_first | lost_frame) # count what they can before they are ended
                [ "$hits" -ge "$said" ] || problem="$hits hits, not $said" ;;
            *) problem="$hits hits, not $said" ;;
        esac
    fi
    printf '%-20s status %3s  hits %6s  %s\n' "$name" "$status" "$hits" "${problem:+FAILED: $problem}"
    if [ "$problem" ]; then
        failed=1
        head -n 20 out log
    fi
done
[ "$failed" = 0 ]
