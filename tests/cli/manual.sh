#!/usr/bin/env bash
# The manual pages and the completions name every option that the command has, and every function of the header.
set -euo pipefail
. "$(dirname "$0")/support.sh"

for command in trace threads regs serve notes; do
    "$REIN_BINARY" "$command" --help >help
    page=$REIN_SOURCE/doc/rein-$command.1
    for option in $(grep -oE '(^|[ ,])--[a-z-]+' help | tr -d ' ,' | sort -u); do
        [ "$option" = -- ] && continue
        grep -Eq "Fl (h , Fl |. Ar [a-z]+ , Fl |. , Fl )?-${option#--}\b" "$page" || fail "$page: no $option"
        grep -Fqe "${option}" "$REIN_SOURCE/completion/rein.bash" || fail "rein.bash: no $option"
        grep -Fqe "${option}" "$REIN_SOURCE/completion/_rein" || fail "_rein: no $option"
    done
done

# Public functions, and nothing else, in rein(3).
sed -n '/REIN_API/,/;/p' "$REIN_SOURCE/include/rein/rein.h" | grep -oE '\brein_[a-z0-9_]+\(' | tr -d '(' | sort -u >declared
grep -E '^\.Fo ' "$REIN_SOURCE/doc/rein.3" | awk '{ print $2 }' | sort -u >documented
grep -E '^\.Fn rein_' "$REIN_SOURCE/doc/rein.3" | awk '{ print $2 }' | sort -u >mentioned
diff declared <(sort -u documented mentioned | comm -12 - declared) || fail "not in rein(3)"
[ -z "$(comm -13 declared <(sort -u documented mentioned))" ] || fail "in rein(3), but not in the header"
