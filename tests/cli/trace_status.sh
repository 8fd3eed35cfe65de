#!/usr/bin/env bash
# Under rein trace a program has the input, output, descriptors, signals and environment that it would have had, and
# rein ends as it has ended; the statuses of rein's own errors. Rows P9, E1.
set -euo pipefail
. "$(dirname "$0")/support.sh"
trace=("$REIN_BINARY" trace -o log)

for status in 0 1 3 77 255; do
    ends "$status" "${trace[@]}" sh -c "exit $status"
    has log "process exited with status $status"
done

# Ended by a signal: by the same one, and no core file besides the program's.
mkdir cores && cd cores
for signal in TERM KILL SEGV USR1 RTMIN; do
    number=$(kill -l "$signal")
    status=$("$BASH" -c '"$@" >/dev/null 2>&1; echo $?' - "$REIN_BINARY" trace -o ../log sh -c "ulimit -c 0; kill -$signal \$\$")
    [ "$status" = $((128 + number)) ] || fail "$signal: $status"
    signaled=$(python3 -c 'import subprocess, sys; print(subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL).returncode)' \
        "$REIN_BINARY" trace -o ../log sh -c "ulimit -c 0; kill -$signal \$\$" 2>/dev/null) || signaled=-$number
    [ "$signaled" = "-$number" ] || fail "$signal: $signaled"
done
[ "$(find . -type f | wc -l)" = 0 ] || fail "core files"
cd ..

# Standard input, output and error, and other descriptors.
printf 'one\ntwo\n' | timeout 30 "${trace[@]}" cat >copy
[ "$(cat copy)" = $'one\ntwo' ]
ends 0 "${trace[@]}" sh -c 'echo to out; echo to err >&2'
[ "$(cat out)" = "to out" ]
[ "$(cat err)" = "to err" ]
sh -c 'echo /proc/self/fd/*' >fds
timeout 30 "${trace[@]}" sh -c 'echo /proc/self/fd/*' >fds.traced
cmp fds fds.traced
(exec 0<&- 2>&-; timeout 30 "$REIN_BINARY" trace sh -c 'cd /proc/self/fd && echo *' >closed)
[ "$(cut -c 1-3 closed)" != "0 2" ]

# Signals, limits, groups, directory, environment.
cat >look.sh <<'S'
grep -E 'Sig|Shd|Cap|Groups|Seccomp|Umask' /proc/self/status | grep -v SigQ
ulimit -a; pwd; env | grep -v '^_='; ps -o pgid= -p $$ | tr -d ' ' | grep -qx "$GROUP" && echo same group
S
GROUP=$(ps -o pgid= -p $$ | tr -d ' ')
export GROUP
timeout --foreground 30 sh look.sh >plain # which changes what is ignored
ends 0 "${trace[@]}" sh look.sh
diff plain out
(trap '' USR1 USR2 && timeout --foreground 30 sh look.sh >plain && ends 0 "${trace[@]}" sh look.sh && diff plain out)

# rein's own errors.
ends 127 "$REIN_BINARY" trace no-such-program
has err '^rein: .*no-such-program.*No such file'
ends 127 "$REIN_BINARY" trace ./no-such-program
echo >not-executable
ends 126 "$REIN_BINARY" trace ./not-executable
has err '^rein: .*not-executable.*Permission denied|^rein: .*not-executable.*Exec format'
ends 1 "$REIN_BINARY" trace -o /no/such/directory/log true
has err '^rein: /no/such/directory/log: No such file'
for arguments in 'trace' 'trace -p' 'trace -p x' 'trace -p 0' 'trace -p 1 true' 'trace -b' 'trace -b + true' 'trace -e nonsense true' \
    'trace -b x:0 true' 'trace -b 12 true' 'trace -b 0xg true' 'trace -b :x true' 'trace -b a+b true' 'trace --what true' \
    'trace --no-aslr -p 1' 'threads' 'threads x' 'threads 1 2' 'threads -x 1' 'what' ''; do
    read -ra words <<<"$arguments"
    ends 2 "$REIN_BINARY" ${words[@]+"${words[@]}"}
    has err '^rein: '
    [ ! -s out ]
done
ends 0 "$REIN_BINARY" --version
has out "^rein [0-9]+\.[0-9]+\.[0-9]+$" 1
for arguments in --help 'trace --help' 'threads --help' 'trace -h'; do
    read -ra words <<<"$arguments"
    ends 0 "$REIN_BINARY" "${words[@]}"
    has out '^usage: rein ' 1
done
