# shellcheck shell=bash disable=SC2034,SC2153
# What shell tests share; sourced after "set -euo pipefail". Each runs in a directory of its own, removed at its end.
REIN_CPU=${REIN_CPU:-x86_64} # Meson's name of what this build is for
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit

# Installs this build under $scratch/root and makes pkg-config and the loader find it there.
install_here() {
    local pc
    meson install -C "$REIN_BUILD" --no-rebuild --quiet --destdir "$scratch/root"
    pc=$(find "$scratch/root" -name rein.pc)
    PKG_CONFIG_PATH=$(dirname "$pc")
    PKG_CONFIG_SYSROOT_DIR=$scratch/root
    LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
    export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR LD_LIBRARY_PATH
}

# compile ARGUMENTS...: with this build's compiler and sanitizer.
compile() {
    local compiler
    read -ra compiler <<<"$REIN_CC"
    "${compiler[@]}" "$@"
}

# flags_from OPTION...: fills the array "flags" with what a program needs to be built with rein.
flags_from() {
    read -ra flags < <(pkg-config "$@" rein)
}

fail() {
    echo "failed: $*"
    exit 1
}

skip() {
    echo "skipped: $*"
    exit 77
}

# has FILE REGEX [TIMES]: so many lines of the file match (without TIMES: at least one).
has() {
    local count
    count=$(grep -Ec -- "$2" "$1" || true)
    if [ $# -gt 2 ] && [ "$count" = "$3" ]; then return; fi
    if [ $# = 2 ] && [ "$count" -gt 0 ]; then return; fi
    echo "---- $1:"
    head -n 60 "$1"
    fail "$count lines match '$2', not ${3-some}"
}

# hits FILE LOCATION: how often, by the table in a text summary.
hits() {
    awk -v location="$2" '$2 ~ /^0x/ && index($0, "  " location) { sum += $1 } END { print sum + 0 }' "$1"
}

# ends STATUS COMMAND...: it ends with that status. Its output is in the files out and err.
ends() {
    local wanted=$1 status=0
    shift
    timeout --foreground 30 "$@" >out 2>err || status=$?
    [ "$status" = "$wanted" ] && return
    head -n 40 out err
    fail "status $status, not $wanted: $*"
}

# until_true SECONDS COMMAND...: waits until it succeeds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

is_gone() {
    ! kill -0 "$1" 2>/dev/null
}

is_untraced() {
    ! grep -hq 'TracerPid:.[1-9]' /proc/"$1"/task/*/status
}

is_traced() {
    grep -hq 'TracerPid:.[1-9]' /proc/"$1"/task/*/status
}

# is_32_bit: this build is for 32-bit programs, and cannot trace the machine's own.
is_32_bit() {
    [ "$REIN_CPU" = x86 ]
}

# Compiles programs to be traced: never with a sanitizer.
tracee() {
    "${TRACEE_CC:-cc}" -g -O1 -fno-inline "$@"
}

# make_debugserver: the program "debugserver", which lldb starts for its lldb-server, as "gdbserver --fd=N ..."; it is rein.
make_debugserver() {
    cat >debugserver <<'SH'
#!/usr/bin/env bash
for argument; do
    case $argument in --fd=*) descriptor=${argument#--fd=} ;; esac
done
exec "$REIN_BINARY" serve --multi --once --quiet --listen - <&"$descriptor" >&"$descriptor"
SH
    chmod +x debugserver
}

# ---- A terminal: a shell in it, driven by what is sent and what is expected ----

terminal_start() {
    mkfifo terminal.in
    : >terminal.out
    # The signals of a background job are ignored, by its children too, if nothing is done about it.
    env --default-signal script -qefc "$*" /dev/null <terminal.in >terminal.out 2>&1 &
    terminal_pid=$!
    exec 7>terminal.in
    terminal_seen=0
}

terminal_send() {
    printf '%b' "$1" >&7
}

# terminal_expect REGEX: waits until it is on the screen, behind what was expected last.
terminal_expect() {
    local end=$((SECONDS + 30)) text before
    while :; do
        text=$(tail -c +$((terminal_seen + 1)) terminal.out | tr -d '\000')
        if [[ $text =~ $1 ]]; then
            before=${text%%"${BASH_REMATCH[0]}"*}
            terminal_seen=$((terminal_seen + ${#before} + ${#BASH_REMATCH[0]}))
            return
        fi
        if [ "$SECONDS" -ge "$end" ]; then
            printf '%q\n' "$text"
            fail "the terminal does not show '$1'"
        fi
        sleep 0.05
    done
}

terminal_end() {
    exec 7>&-
    until_true 30 is_gone "$terminal_pid" || kill -KILL "$terminal_pid"
}
