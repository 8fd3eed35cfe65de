#!/usr/bin/env bash
# replay.sh NAME: tries the corpus, and for some seconds inputs made of it: tests/fuzz/main.c. REIN_FUZZ_SECONDS how long (2), REIN_SEED
# which ones.
set -euo pipefail
source=$REIN_SOURCE/tests/fuzz
name=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$REIN_BUILD/tests/fuzz/fuzz-$name" "$REIN_BUILD/tests/fuzz/t" "$work"
cp -r "$source/corpus/$name" "$work/corpus"
arguments=(--seconds "${REIN_FUZZ_SECONDS:-2}" ${REIN_SEED:+--seed "$REIN_SEED"})
status=0
timeout 170 "$source/sandbox" "$work" "./fuzz-$name" "${arguments[@]}" --keep /work/failed /work/corpus || status=$?
if [ -e "$work/failed" ]; then
    mkdir -p "$REIN_BUILD/fuzz-failed"
    kept=$REIN_BUILD/fuzz-failed/$name-$$
    cp "$work/failed" "$kept"
    echo "kept: $kept"
fi
exit "$status"
