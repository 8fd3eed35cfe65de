# shellcheck shell=bash disable=SC2034,SC2154
# What tests share that have gdb as the server's client; sourced after support.sh. What they expect is what is known to be true of their
# programs, not what another server says: on a processor with AMX neither gdbserver 13 nor gdb itself can write registers.
command -v gdb >/dev/null || skip "no gdb"
gdb -nx -batch -ex 'python print(1)' 2>/dev/null | grep -qx 1 || skip "no gdb with Python"
server=$REIN_BUILD/rein-gdbserver
unset DEBUGINFOD_URLS
# A program's debug information is used, but not the libraries', which not every machine has.
gdb_options=(-nx -q -batch -iex 'set debug-file-directory /nowhere' -iex 'set auto-load off' -iex 'set pagination off' -iex 'set confirm off'
    -iex 'set width 0' -iex 'set breakpoint pending on')

# gdb_says OPTION...: gdb with these options, then with each line of standard input as a command. One that fails is followed by the next. What it
# says is in the file out; what came of a run before is gone.
gdb_says() {
    local line status=0 commands=()
    while IFS= read -r line; do
        commands+=(-ex "$line")
    done
    timeout -k 10 100 gdb "${gdb_options[@]}" "$@" "${commands[@]}" </dev/null >out 2>&1 || status=$?
    [ "$status" -lt 124 ] || { tail -n 60 out; fail "gdb was not done in time: $*"; }
}

# debug PROGRAM ARGUMENT...: with gdb connected to a server that has started it. Its files are read here.
debug() {
    gdb_says -iex 'set sysroot /' -ex "file $1" -ex "target remote | $server --once - $*"
}

# debug_multi: with gdb connected to a server that has nothing yet.
debug_multi() {
    gdb_says -iex 'set sysroot /' -ex "target extended-remote | $server --multi -" "$@"
}

# follow REGEX...: these are found in out, each in a line behind the line of the one before.
follow() {
    local regex line from=1
    for regex; do
        line=$(tail -n +"$from" out | grep -En -m 1 -- "$regex" | cut -d: -f1 || true)
        if [ -z "$line" ]; then
            echo "---- out:"
            cut -c1-200 out | head -n 120
            fail "no '$regex' from line $from on"
        fi
        from=$((from + line))
    done
}
