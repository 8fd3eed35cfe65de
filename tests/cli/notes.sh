#!/usr/bin/env bash
# rein notes shows the notes, as plain text and as a manual page without mistakes, and each of them with its code; and each
# holds on the kernel that runs, or is said to be untried for a reason that is known.
set -euo pipefail
. "$(dirname "$0")/support.sh"

ends 0 "$REIN_BINARY" notes
has out '^[0-9]+\. '
count=$(grep -cE '^[0-9]+\. ' out)
[ "$count" -gt 50 ] || fail "only $count notes"

ends 0 "$REIN_BINARY" notes --mdoc
has out '^\.Ss "[0-9]+\. ' "$count"
cp out rein-notes.7
if command -v mandoc >/dev/null; then
    mandoc -Tlint rein-notes.7 | grep -v 'STYLE: referenced manual not found' >mistakes || true
    [ ! -s mistakes ] || { cat mistakes; fail "the page has mistakes"; }
fi

ends 0 "$REIN_BINARY" notes 1 38
has out '^(1|38)\. ' 2
has out '^void demonstrate\(struct demo \*d\)$' 2
ends 2 "$REIN_BINARY" notes $((count + 1))
has err 'there is no such note'
ends 2 "$REIN_BINARY" notes --mdoc 1
ends 0 "$REIN_BINARY" notes --json
has out '^\{"note":[0-9]+,"title":".*","text":".*"\}$' "$count"

# The notes themselves. Each has a minute, and needs milliseconds.
status=0
timeout --foreground 170 "$REIN_BINARY" notes --check --json >checked || status=$?
reasons='Linux [0-9]|only on|Yama|CAP_|namespace|kernel thread|seccomp|XSAVE|processor|not permitted|not implemented|unavailable'
grep -v '"verdict":"holds"}$' checked | grep -vE '"verdict":"not tried","why":"[^"]*('"$reasons"')' >others || true
[ ! -s others ] || { cat others; fail "these do not hold, and no known reason keeps them from being tried"; }
has checked '^\{"note":[0-9]+,"title":".*","verdict":"' "$count"
has checked '"verdict":"holds"}$'
[ "$status" = 0 ] || fail "status $status though all hold"

ends 0 "$REIN_BINARY" notes --check 7
has out '^  7  holds          A blocked signal stops nobody$' 1
has out '^Linux .*: 1 hold, 0 do not, 0 hang, 0 could not be tried$' 1

# On a terminal they are shown with man, or mandoc, or else as they are.
mkdir bin
for program in man mandoc; do
    # shellcheck disable=SC2016
    printf '#!/bin/sh\ncat >"%s/shown"\necho shown by "$0" "$@"\n' "$scratch" >bin/$program
    chmod +x bin/$program
    PATH=$scratch/bin:$PATH script -qefc "$REIN_BINARY notes" /dev/null </dev/null >terminal
    has terminal "shown by .*/bin/$program -[la]" 1
    diff shown rein-notes.7
    printf '#!/bin/sh\nexit 1\n' >bin/$program
done
PATH=$scratch/bin:$PATH script -qefc "$REIN_BINARY notes" /dev/null </dev/null >terminal
has terminal '^[0-9]+\. ' "$count"
