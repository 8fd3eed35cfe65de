#!/usr/bin/env bash
# rein trace -e syscall=: the same calls in the same order as strace sees them, and what is said of each. Row C1.
set -euo pipefail
. "$(dirname "$0")/support.sh"
fixture=$REIN_FIXTURES/syscalls
export LC_ALL=C PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1

# trace OPTION... -- COMMAND...: only calls, in the file calls, without the threads' ids.
trace() {
    timeout 60 "$REIN_BINARY" trace -o lines -e none "$@" >out 2>&1
    grep -E '^\[[0-9]+\] [a-z0-9_:]+\(.*\) += ' lines >with_ids || true
    sed -E 's/^\[[0-9]+\] //' with_ids >calls
}

# ---- What is said

trace -e syscall=openat,exit_group -- "$fixture" log
has calls '^openat\(-100, "[^"]*libc\.so\.6", [0-9]+, 0\) = [0-9]+$' 1
has calls '^exit_group\(0\) = \?$' 1
trace -e syscall=lseek,read,getpgid,100000,mmap2,dup2 -- "$fixture" log
has calls '^read\(-1, 0x[0-9a-f]+, 1\) = -1 EBADF$' 1
has calls '^lseek\(0, 0x8000000000000000, 77\) = -1 EINVAL$' 1
has calls '^getpgid\(-5\) = -1 ESRCH$' 1
has calls '^syscall_100000\(1, 2, 3, 4, 5, 6\) = -1 ENOSYS$' 1
has calls '^i386:dup2\(-1, -1\) = -1 EBADF$' 1
has calls '^i386:mmap2\(0, 4096, 1, 34, -1, 0\) = 0x[0-9a-f]+$' 1
trace -e syscall=%file -- "$fixture" exec
has calls '^execve\("/no/such/program", 0x[0-9a-f]+, 0\) = -1 ENOENT$' 1
has calls '^execve\("/proc/self/exe", 0x[0-9a-f]+, 0x[0-9a-f]+\) = 0$' 1
has calls '^execve\(\.\.\.\) = 0$' 1
has calls '^(write|mmap|getppid)' 0
trace -e syscall=%process -- "$fixture" exec-thread
has calls '^clone3?\(.*\) = ([0-9]+|\?)$' 1 # the new thread may be faster, and end the other in it
has calls '^execve\("/proc/self/exe", .*\) = 0$' 1
trace -e syscall=%signal -- "$fixture" sigreturn
has calls '^tgkill\([0-9]+, [0-9]+, 10\) = 0$' 1
has calls '^rt_sigreturn\(\) = 0$' 1
trace -e syscall=%memory,%network -- "$fixture" log
has calls '^mmap\('
has calls '^(read|openat)\(' 0

# A string that is long, and one with odd characters.
long=$(printf 'x%.0s' {1..300})
trace -e syscall=newfstatat,stat,statx,execve -- sh -c "test -e $long; test -e \"\$(printf 'a\\tb\\nc')\"; true"
has calls "\"x{255}\"\.\.\., 0x"
has calls '"a\\x09b\\nc"'

# What is no call; and with others of the events.
ends 2 "$REIN_BINARY" trace -e syscall=openat,no_such_call -- true
has err "there is no system call 'no_such_call'"
ends 2 "$REIN_BINARY" trace -e syscall=%nothing -- true
ends 2 "$REIN_BINARY" trace -e syscall= -- true
ends 0 "$REIN_BINARY" trace -e signal -e syscall=getppid -- "$fixture" sigreturn
has err '\] SIGUSR1 '
has err '\] thread exited' 0

# ---- As JSON

if command -v jq >/dev/null; then
    timeout 60 "$REIN_BINARY" trace -j -o json -e none -e syscall=all -- "$fixture" log >out
    jq -es '[.[] | select(.event == "system call")] | (length > 20) and .[0].name == "execve" and
        (.[0] | has("args") | not) and .[-1].name == "exit_group" and .[-1].args == [0] and
        (.[-1] | has("result") | not)' json >/dev/null
    jq -es 'any(.name == "openat" and .arch == "amd64" and .number == 257 and .args[0] == -100 and
        (.args[1] | type) == "string" and .result > 0)' json >/dev/null
    jq -es 'any(.name == "dup2" and .arch == "i386" and .number == 63 and .args == [-1, -1] and .error == "EBADF"
        and .result == -9)' json >/dev/null
    jq -r 'to_entries[].key' json | sort -u | while read -r member; do
        grep -Eq "(^|[ .])Va .*\b$member\b" "$REIN_SOURCE/doc/rein-trace.1" || [ "$member" = event ] ||
            fail "undocumented member $member"
    done
    grep -Fq 'Qq system call' "$REIN_SOURCE/doc/rein-trace.1"
fi

# ---- As strace has it

command -v strace >/dev/null || skip "strace is not installed"
timeout 20 strace -f -o strace.out true || skip "strace cannot trace here"

# Names and outcomes: what failed, and why; other results are addresses and ids, which differ. A call that was
# interrupted by another thread's line is put together again.
by_strace() {
    awk '
        / <unfinished \.\.\.>$/ { name = $2; sub(/\(.*/, "", name); begun[$1] = name; next }
        / (\+\+\+|---) / { next }
        {
            name = $2
            if (name == "<...") name = begun[$1]; else sub(/\(.*/, "", name)
            outcome = match($0, /= -1 E[A-Z0-9]+/) ? substr($0, RSTART + 5, RLENGTH - 5) : match($0, /= \? E[A-Z_]+/) ? \
                substr($0, RSTART + 4, RLENGTH - 4) : $0 ~ /= \?$/ ? "?" : "ok"
            print $1, name, outcome
        }' strace.out
}
by_rein() {
    awk '{
        name = $2; sub(/\(.*/, "", name); gsub(/[][]/, "", $1)
        outcome = match($0, /= -1 E[A-Z0-9_]+$/) ? substr($0, RSTART + 5) : $0 ~ /= \?$/ ? "?" : "ok"
        print $1, name, outcome
    }' with_ids
}
# The ids become 1, 2, ... in the order of the threads coming; each thread's calls stay in their order.
by_thread() {
    awk '!($1 in number) { number[$1] = ++count } { $1 = number[$1]; print }' | sort -s -n -k1,1
}

# Where an allocator finds room can depend on addresses, and these on the environment, in which bash puts the name of
# the command.
same=(env -u _)
! setarch "$(uname -m)" -R true 2>/dev/null || same=(setarch "$(uname -m)" -R env -u _)

same_as_strace() {
    timeout 60 "${same[@]}" strace -f -o strace.out "$@" >out.strace 2>/dev/null </dev/null || true
    timeout 60 "${same[@]}" "$REIN_BINARY" trace -o lines -e none -e syscall=all -- "$@" >out.rein 2>/dev/null </dev/null || true
    grep -E '^\[[0-9]+\] [a-z0-9_:]+\(.*\) += ' lines >with_ids
    by_strace | by_thread >calls.strace
    by_rein | by_thread >calls.rein
    [ "$(wc -l <calls.strace)" -gt "$least" ] || fail "$*: strace saw $(wc -l <calls.strace) calls"
    diff -u calls.strace calls.rein >calls.diff || {
        head -n 40 calls.diff
        fail "$*: not the calls that strace sees"
    }
    diff out.strace out.rein >/dev/null || fail "$*: its output differs"
}

least=20
mkdir there
touch there/{one,two,three}
same_as_strace true
same_as_strace ls -l there
same_as_strace cat /etc/passwd /no/such/file
# shellcheck disable=SC2016
same_as_strace sh -c 'cd there; for i in *; do test -d "$i" || echo "$i"; done; exit 3'
same_as_strace "$fixture" exec
least=10
same_as_strace sort -u /etc/passwd
# The command may be a script that starts it.
if python=$(python3 -c 'import json, os; print(os.path.realpath("/proc/self/exe"))' 2>/dev/null); then
    least=100
    same_as_strace "$python" -c 'import json; print(json.dumps({"a": [1, 2]}))'
fi
# Threads: who waits for whom differs from run to run, but not what each asks for.
for tool in strace rein; do
    if [ "$tool" = strace ]; then
        timeout 60 strace -f -e trace=getppid -o strace.out "$fixture" threads 6 50 >out
        by_strace
    else
        trace -e syscall=getppid -- "$fixture" threads 6 50
        by_rein
    fi | by_thread | sort | uniq -c | sort >"threads.$tool"
done
[ "$(wc -l <threads.strace)" = 6 ]
diff <(awk '{ print $1, $3, $4 }' threads.strace) <(awk '{ print $1, $3, $4 }' threads.rein)

# ---- With a filter: the same, but for the execve that begins the program

for filter in '' --seccomp; do
    # shellcheck disable=SC2086
    trace $filter -f -e syscall=getppid,openat,%process -- "$fixture" births
    grep -Ev '^execve\(\.\.\.\)|ERESTART' calls | sed -E 's/\b(0x[0-9a-f]+|[0-9]{2,})\b/N/g' | sort >"births$filter"
done
[ "$(wc -l <births)" -gt 10 ]
diff births births--seccomp
ends 2 "$REIN_BINARY" trace --seccomp -e syscall=openat -- true
ends 2 "$REIN_BINARY" trace --seccomp -f -- true
