#!/usr/bin/env bash
# rein trace -f: whole trees of processes, on programs that people have: their output and status are as without, each process
# is told of, and its end. Row C1.
set -euo pipefail
. "$(dirname "$0")/support.sh"

# A shell's pipelines, subshells, background jobs: the same output, the root's status, every process's end.
cat >pipes.sh <<'S'
echo one two three | tr ' ' '\n' | sort | sed s/o/0/
(cd / && pwd; exit 4) || echo "subshell: $?"
for i in 1 2 3; do (echo "$i" >"job.$i") & done
wait
cat job.1 job.2 job.3
exit 9
S
bash pipes.sh >pipes.out || true
ends 9 "$REIN_BINARY" trace -f -o log bash pipes.sh
diff pipes.out out
has log ', not followed$' 0
[ "$(grep -Ec '\] v?fork: ' log)" = "$(($(grep -c ' process exited ' log) - 1))" ] || fail "not every process's end is told"
has log '\] exec: /.*/(tr|sort|sed)$' 3
has log 'process exited with status 4$' 1
has log 'process exited with status 9$' 1
tail -n 1 log | grep -q '^[0-9.]* seconds' || fail "no summary at the end"

# As JSON: who is whose child.
ends 9 "$REIN_BINARY" trace -f --json -o log bash pipes.sh
diff pipes.out out
if command -v jq >/dev/null; then
    jq -es '([.[] | select(.event == "fork" or .event == "vfork") | .child] | sort) ==
        ([.[] | select(.event == "exit" and has("parent")) | .pid] | sort)' log >/dev/null || fail "children and exits differ"
    jq -es '[.[] | select(.event == "fork" or .event == "vfork")] | all(.followed)' log >/dev/null
    jq -es '. as $all | [.[] | select(.event == "fork" or .event == "vfork")] |
        all(. as $fork | any($all[]; .event == "exit" and .pid == $fork.child and .parent == $fork.pid))' log >/dev/null ||
        fail "a child's parent is another"
    jq -es '[.[] | select(.event == "exit" and (has("parent") | not))] | length == 1 and .[0].status == 9' log >/dev/null
fi

# Each call of a function is a hit, whatever made its process; vfork children share their parent's breakpoints.
for arguments in "1 6 3" "2 6 2" "0 12 5"; do
    read -ra words <<<"$arguments"
    ends 0 "$REIN_BINARY" trace -f -c -b hot -o log "$REIN_FIXTURES/tree" "${words[@]}"
    has out '^ok tree' 1
    calls=$(awk '$1 == "count" && ($2 == "hot" || $2 == "child_hot") { sum += $3 } END { print sum }' out)
    [ "$(hits log hot)" = "$calls" ] || fail "tree $arguments: $(hits log hot) hits of $calls calls"
    processes=$(awk '$2 == "processes" { print $3 }' out)
    [ "$(grep -c ' process exited ' log)" = $((processes + 1)) ] || fail "tree $arguments: not all ends of $processes processes"
done
ends 0 "$REIN_BINARY" trace -f -c -t -b hot -o log "$REIN_FIXTURES/fork_loop" 3 20 0
calls=$(awk '$1 == "count" && ($2 == "hot" || $2 == "child_hot") { sum += $3 } END { print sum }' out)
[ "$(hits log hot)" = "$calls" ] || fail "fork_loop: $(hits log hot) hits of $calls calls"

# A breakpoint by symbol is set again in each program that is executed.
printf 'int main(void) { return 0; }\n' >leaf.c
tracee leaf.c -o leaf
ends 0 "$REIN_BINARY" trace -f -c -b leaf:main -o log sh -c './leaf; ./leaf & wait; ./leaf | ./leaf'
[ "$(hits log leaf:main)" = 4 ] || fail "$(hits log leaf:main) hits of 4 leaves"

# make -j of a project: the same object files.
if command -v make >/dev/null; then
    mkdir -p project && cd project
    for i in 1 2 3 4 5 6; do printf 'int f%s(int x) { return x * %s; }\n' "$i" "$i" >"f$i.c"; done
    printf 'int f1(int); int main(void) { return f1(0); }\n' >main.c
    printf 'program: main.o f1.o f2.o f3.o f4.o f5.o f6.o\n\tcc -o $@ $^\n' >Makefile
    make -s -j4 CC=cc && sha256sum ./*.o >sums && rm -f ./*.o program
    ends 0 "$REIN_BINARY" trace -f -e exec,exit -o log make -s -j4 CC=cc
    sha256sum -c --quiet sums
    ./program
    [ "$(grep -c '\] exec: .*/cc1$' log)" = 7 ] || fail "make: $(grep -c '/cc1$' log) compilers of 7"
    has log 'process exited (with status [^0]|from)' 0
    cd ..
fi

# A pool of Python processes.
cat >pool.py <<'S'
import multiprocessing
def square(x):
    return x * x
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(sum(pool.map(square, range(200))))
S
if python3 -c 'import multiprocessing, _multiprocessing' 2>/dev/null; then
    python3 pool.py >plain
    ends 0 "$REIN_BINARY" trace -f -o log python3 pool.py
    diff plain out
    [ "$(grep -Ec '\] v?fork: ' log)" = "$(($(grep -c ' process exited ' log) - 1))" ] || fail "python: not every end is told"
fi

# -ff: a file for each, as if it were traced alone.
ends 9 "$REIN_BINARY" trace -ff -o each bash pipes.sh
diff pipes.out out
count=0
for file in each.*; do
    count=$((count + 1))
    has "$file" "process exited" 1
    has "$file" '^[0-9.]* seconds' 1
done
[ "$count" -gt 7 ] || fail "-ff: only $count files"
ends 2 "$REIN_BINARY" trace -ff true
has err '^rein: .*-o FILE'

# A process in a PID namespace of its own: its id as seen from here, and its own beside.
timeout 30 "$REIN_BINARY" trace -f -o log "$REIN_FIXTURES/family" namespace </dev/null >out
grep -q 'not permitted' out || has log '\] fork: [0-9]+ \(1 in its namespace\)$' 1

# Attached to, and let go with ^C: the whole tree goes on, untraced.
cat >tree.sh <<'S'
sleep 300 & echo $!
while read -r line; do (sleep 300 & echo $!; wait) & done
S
has_two() { [ "$(wc -l <pids)" = 2 ]; }
mkfifo lines
bash tree.sh <lines >pids &
shell=$!
exec 8>lines
until_true 30 test -s pids
env --default-signal "$REIN_BINARY" trace -f -p "$shell" -o log &
rein=$!
until_true 30 grep -qs attached log
echo >&8
until_true 30 has_two
sleeper=$(tail -n 1 pids)
until_true 30 is_traced "$sleeper"
kill -INT "$rein"
wait "$rein"
for pid in "$shell" "$sleeper"; do
    is_untraced "$pid" || fail "$pid is still traced"
    [[ $(ps -o stat= -p "$pid") != [tT]* ]] || fail "$pid is stopped"
done
[ "$(grep -c '\] let go$' log)" -ge 2 ] || fail "not all are told to be let go"
exec 8>&-
while read -r pid; do kill "$pid"; done <pids
wait "$shell"
