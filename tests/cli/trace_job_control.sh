#!/usr/bin/env bash
# Job control of a shell in a terminal is with rein trace as without: ^Z, fg, bg, ^C; an editor; a shell in the shell. Row M7.
# shellcheck disable=SC2016 # what is sent is for the other shell to expand
set -euo pipefail
. "$(dirname "$0")/support.sh"
command -v script >/dev/null || skip "script(1) is not installed"
export LC_ALL=C TERM=xterm
prompt='PROMPT> '
ulimit -c 0

terminal_start "env PS1='$prompt' HISTFILE= bash --norc --noprofile -i"
trap 'terminal_end; rm -rf "$scratch"' EXIT
run() { # a command line, and its end
    terminal_send "$1\r"
    terminal_expect "$prompt"
}

terminal_expect "$prompt"
run "bind 'set enable-bracketed-paste off'; R='$REIN_BINARY trace -o log'"
begin() { # a command under rein trace
    rm -f log
    terminal_send "\$R $1\r"
    until_true 30 grep -qs started log
}
run 'stty -a >terminal.before'
program_of_log() {
    sed -n 's/^\[\([0-9]*\)\] started.*/\1/p' log
}
parent_of() {
    awk '/^PPid/ { print $2 }' "/proc/$1/status"
}
rein_of_log() { # the parent of the monitor, which is the program's
    parent_of "$(parent_of "$(program_of_log)")"
}

# foreground NAME: waits until that program has the terminal.
foreground() {
    local tty
    tty=$(ps -o tty= --ppid "$terminal_pid" | head -n 1)
    has_terminal() {
        ps -o stat=,comm= -t "$tty" | awk -v name="$1" '$1 ~ /[+]/ && $2 == name { found = 1 } END { exit !found }'
    }
    until_true 30 has_terminal "$1"
}

# jobs_say REGEX: waits until the shell, which may not have heard yet, says so of its jobs.
jobs_say() {
    local from
    from=$(stat -c %s terminal.out)
    terminal_send 'jobs\r'
    terminal_expect "jobs.*$prompt"
    tail -c "+$((from + 1))" terminal.out | grep -qE "$1"
}

# Stopped, continued in the foreground and in the background, ended.
begin 'sleep 1000'
terminal_send '\032'
terminal_expect "Stopped +.R sleep 1000.*$prompt"
has log 'group-stop by SIGTSTP' 1
terminal_send 'fg\r'
until_true 30 grep -q SIGCONT log
terminal_send '\032'
terminal_expect "Stopped.*$prompt"
has log 'group-stop by SIGTSTP' 2
run 'bg'
until_true 30 jobs_say 'Running +.R sleep 1000'
terminal_send 'fg\r'
terminal_expect 'sleep 1000'
foreground sleep
terminal_send '\003'
terminal_expect "$prompt"
terminal_send 'echo status=$?\r'
terminal_expect "status=130.*$prompt"
has log 'process exited from signal SIGINT' 1

# Stopped by its id alone, and continued by it, or through rein.
begin 'sleep 1000 &'
terminal_expect "$prompt"
program=$(program_of_log)
kill -STOP "$program"
until_true 30 grep -q 'group-stop by SIGSTOP' log
rein=$(rein_of_log)
until_true 30 grep -q 'State:.T' "/proc/$rein/status"
until_true 30 jobs_say Stopped
kill -CONT "$program"
until_true 30 grep -q 'State:.S' "/proc/$rein/status"
kill -TSTP "$rein"
until_true 30 grep -q 'group-stop by SIGTSTP' log
until_true 30 grep -q 'State:.T' "/proc/$rein/status"
kill -CONT "$rein"
twice() { [ "$(grep -c SIGCONT log)" = 2 ]; }
until_true 30 twice
until_true 30 grep -q 'State:.S' "/proc/$rein/status"
run 'kill %1; wait'
has log 'process exited from signal SIGTERM' 1

# Reading in the background stops it, as it should.
begin 'cat &'
terminal_expect "$prompt"
until_true 30 grep -q 'group-stop by SIGTTIN' log
until_true 30 grep -q 'State:.T' "/proc/$(rein_of_log)/status"
until_true 30 jobs_say Stopped
terminal_send 'fg\r'
foreground cat
terminal_send 'through\r'
terminal_expect 'through.*through'
terminal_send '\004'
terminal_expect "$prompt"
has log 'process exited with status 0' 1

# An editor leaves the terminal in order, and comes back.
if command -v vi >/dev/null; then
    begin 'vi -u NONE edited'
    terminal_expect '"edited"'
    terminal_send 'ifirst\033'
    terminal_expect 'first'
    terminal_send '\032'
    terminal_expect "Stopped.*$prompt"
    terminal_send 'stty -a | cmp - terminal.before && echo as be""fore\r'
    terminal_expect "as before.*$prompt"
    terminal_send 'fg\r'
    terminal_expect 'vi .*first'
    terminal_send 'osecond\033:wq\r'
    terminal_expect "$prompt"
    [ "$(cat edited)" = $'first\nsecond' ]
fi

# A shell, with jobs of its own, that can be suspended.
begin 'bash --norc --noprofile -i'
terminal_expect "$prompt"
terminal_send 'sleep 1000\r'
foreground sleep
terminal_send '\032'
terminal_expect "Stopped +sleep 1000.*$prompt"
terminal_send 'fg\r'
terminal_expect 'sleep 1000'
foreground sleep
terminal_send '\003'
terminal_expect "$prompt"
terminal_send 'suspend -f\r'
terminal_expect "Stopped.*$prompt"
terminal_send 'fg\r'
terminal_expect "bash --norc.*$prompt"
terminal_send 'echo inner $((6 * 7))\r'
terminal_expect "inner 42.*$prompt"
run 'exit 7'
terminal_send 'echo status=$?\r'
terminal_expect "status=7.*$prompt"
