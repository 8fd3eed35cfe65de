#!/usr/bin/env bash
# Both command lines of the server: where it listens, how programs are started, what becomes of them when the client is gone at any
# moment, and what it says of wrong uses. Nothing stays traced, stopped, or with a breakpoint in it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"
gdbserver=$REIN_BUILD/rein-gdbserver

cat >waits.c <<'C'
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
volatile long counter;
__attribute__((noinline)) void ready(void) { counter++; }
int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "exit") == 0)
        exit(atoi(argv[2]));
    if (argc > 1 && strcmp(argv[1], "show") == 0) {
        for (int i = 2; i < argc; i++)
            printf("<%s>", argv[i]);
        printf(" %s\n", getenv("WRAPPED") ? getenv("WRAPPED") : "-");
        fflush(stdout);
        return 3;
    }
    for (;;) {
        ready();
        usleep(1000);
    }
}
C
tracee -no-pie -fno-pie -o waits waits.c

# ---- Wrong uses ----

ends 2 "$REIN_BINARY" serve
ends 2 "$REIN_BINARY" serve --gone away -- ./waits
has err 'detach, kill or keep'
ends 2 "$REIN_BINARY" serve -p x
ends 2 "$REIN_BINARY" serve -p 1 ./waits
ends 2 "$REIN_BINARY" serve --nonsense ./waits
ends 0 "$REIN_BINARY" serve --help
has out 'usage: rein serve'
ends 1 "$REIN_BINARY" serve -l localhost:99999 ./waits
ends 1 "$REIN_BINARY" serve -l localhost:x ./waits
ends 1 "$REIN_BINARY" serve -l no.such.host.invalid:0 ./waits
has err 'cannot resolve name'
ends 1 "$REIN_BINARY" serve -l /no/such/terminal ./waits
ends 1 "$REIN_BINARY" serve -l unix: ./waits
ends 1 "$REIN_BINARY" serve -l "unix:/no/such/folder/socket" ./waits
ends 1 "$REIN_BINARY" serve -l localhost:0 -- ./no-such-program
has err 'no-such-program'
ends 1 "$REIN_BINARY" serve --wrapper "sh -c 'exit 4' --" -- ./waits
has err "exited with code 4"
ends 1 "$REIN_BINARY" serve -p 999999999
ends 1 "$gdbserver"
ends 1 "$gdbserver" localhost:0
ends 1 "$gdbserver" --attach localhost:0
ends 1 "$gdbserver" --attach localhost:0 x
ends 1 "$gdbserver" --wrapper env localhost:0 ./waits
ends 1 "$gdbserver" --no-such-option localhost:0 ./waits
has err 'no-such-option'
ends 1 "$gdbserver" --no-startup-with-shell localhost:0 ./no-such-program
has err 'no-such-program'
ends 1 "$gdbserver" localhost:0 ./no-such-program
has err 'exited with code 127'
ends 0 "$gdbserver" --version
ends 0 "$gdbserver" --help
touch file
ends 1 "$REIN_BINARY" serve -l "unix:$PWD/file" ./waits
[ -e file ] || fail "a file that is no socket was removed"

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 170 python3 - <<'PYTHON'
import atexit
import faulthandler
import os
import pty
import re
import resource
import shutil
import select
import signal
import socket
import subprocess
import time
import tty
from remote import *

faulthandler.dump_traceback_later(160, exit=True)
ready = symbol('waits', 'ready')
rein = [os.environ['REIN_BINARY'], 'serve']
children = []

def start(command, **popen):
    process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **popen)
    atexit.register(process.kill)
    return process

def listens(process, pattern=rb'Listening on (?:port )?(\S+)'):
    """What it says until it listens, and where."""
    said = b''
    while True:
        line = process.stderr.readline()
        assert line, said
        said += line
        found = re.match(pattern, line)
        if found:
            where = found.group(1).decode()
            return int(where) if where.isdigit() else where, said

def status(pid, name):
    try:
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            return re.search(name + r':\s+(\S+)', file.read()).group(1)
    except (FileNotFoundError, ProcessLookupError):
        return None

def is_free(pid):
    """Alive, not traced, not stopped."""
    return status(pid, 'TracerPid') == '0' and status(pid, 'State') in ('R', 'S', 'D')

def is_gone(pid):
    return status(pid, 'State') in (None, 'Z', 'X')

def code(pid, address, size=4):
    with open(f'/proc/{pid}/mem', 'rb') as file:
        file.seek(address)
        return file.read(size)

def pid_of(gdb):
    return int(fields(gdb.packet('?'))['thread'].split(b'.')[0][1:], 16)

def listeners(port):
    """The addresses on which somebody listens at that port, in the kernel's hex."""
    found = set()
    for path in '/proc/net/tcp', '/proc/net/tcp6':
        if os.path.exists(path):
            with open(path, encoding='ascii') as file:
                for line in file.readlines()[1:]:
                    words = line.split()
                    if words[3] == '0A' and int(words[1].split(':')[1], 16) == port:
                        found.add(words[1].split(':')[0])
    return found

LOOPBACK, LOOPBACK6 = '0100007F', '00000000000000000000000001000000'
has_v6 = os.path.exists('/proc/net/if_inet6') and any(
    line.startswith('0' * 31 + '1 ') for line in open('/proc/net/if_inet6', encoding='ascii'))

with open('waits', 'rb') as file:
    program = file.read()

# ---- Addresses ----

def check_address(command, wanted, where=None, ends=True):
    process = start(command)
    place, said = listens(process)
    if isinstance(place, int):
        assert listeners(place) == wanted if isinstance(wanted, set) else not listeners(place) & {LOOPBACK, LOOPBACK6}, \
            (command, listeners(place))
    gdb = Remote.connect(place) if where is None else where(place)
    gdb.start()
    pid = pid_of(gdb)
    assert status(pid, 'TracerPid') not in ('0', None)
    assert gdb.packet(f'vKill;{pid:x}') == b'OK'
    gdb.hang_up()
    assert process.wait(LIMIT) == 0
    assert is_gone(pid)
    return said + process.stderr.read()

def v6(port):
    link = socket.create_connection(('::1', port), timeout=LIMIT)
    link.setblocking(True)
    return Remote(link.fileno(), link.fileno(), None, link.close)

check_address([*rein, './waits'], {LOOPBACK})
check_address([*rein, '-l', '0', './waits'], {LOOPBACK})
check_address([*rein, '-l', ':0', './waits'], {LOOPBACK})
check_address([*rein, '-l', '127.0.0.1:0', '--', './waits'], {LOOPBACK})
assert b'WARNING' in check_address([*rein, '-l', '0.0.0.0:0', './waits'], {'00000000'})
check_address([SERVER, '--once', '127.0.0.1:0', './waits'], {LOOPBACK})
everywhere = start([SERVER, '--once', ':0', './waits'])
port, said = listens(everywhere)
assert listeners(port) & {'00000000', '0' * 32} and b'WARNING' not in said
assert re.search(rb'^Process \./waits created; pid = \d+\n', said), said
Remote.connect(port).start().hang_up()
assert everywhere.wait(LIMIT) == 0
if has_v6:
    check_address([*rein, '-l', '[::1]:0', './waits'], {LOOPBACK6}, v6)
    check_address([SERVER, '[::1]:0', './waits'], {LOOPBACK6}, v6)

path = os.path.realpath('.') + '/socket'
if len(path) < 100:
    check_address([*rein, '-l', 'unix:' + path, './waits'], None)
    assert not os.path.exists(path)
    # One that was left behind is taken; one that is in use is not.
    left = socket.socket(socket.AF_UNIX)
    left.bind(path)
    left.close()
    process = start([*rein, '-l', 'unix:' + path, './waits'])
    listens(process)
    assert os.stat(path).st_mode & 0o077 == 0
    second = start([*rein, '-l', 'unix:' + path, './waits'])
    assert second.wait(LIMIT) == 1 and b'in use' in second.stderr.read()
    gdb = Remote.connect(path).start()
    gdb.send('k')
    gdb.hang_up()
    assert process.wait(LIMIT) == 0

# A port that is in use; the program is not left behind.
taken = socket.socket()
taken.bind(('127.0.0.1', 0))
taken.listen()
port = taken.getsockname()[1]
process = start([*rein, '-l', f'127.0.0.1:{port}', './waits'])
assert process.wait(LIMIT) == 1 and b'in use' in process.stderr.read()
process = start([SERVER, f'127.0.0.1:{port}', './waits'])
assert process.wait(LIMIT) == 1 and b"Can't bind address: Address already in use." in process.stderr.read()

# ---- How programs are started ----

def shows(command, expected, **popen):
    process = start(command, stdout=subprocess.PIPE, **popen)
    gdb = Remote.connect(listens(process)[0]).start()
    assert gdb.packet('?')[:3] == b'T05'
    assert gdb.resume()[:3] == b'W03'
    gdb.hang_up()
    assert process.wait(LIMIT) == 0
    shown = process.stdout.read()
    assert shown == expected, (command, shown)

shows([*rein, '--', './waits', 'show', 'a b', '*', '$HOME'], b'<a b><*><$HOME> -\n')
shows([*rein, '--shell', '--', './waits', 'show', 'a b'], b'<a b> -\n')
shows([*rein, '--wrapper', 'env WRAPPED=yes', '--', './waits', 'show', 'a b'], b'<a b> yes\n')
# The shell, of which bash tells by what it reads first, takes nothing apart that the user's shell has left whole.
with open('by-shell', 'w', encoding='ascii') as file:
    file.write('export WRAPPED=shell\n')
bash = {**os.environ, 'SHELL': shutil.which('bash'), 'BASH_ENV': './by-shell'}
shows([*rein, '--', './waits', 'show', 'x'], b'<x> -\n', env=bash)
# (A server that is built for 32-bit programs cannot start the machine's bash, and does without.)
by = b'-' if program[4] == 1 else b'shell'
shows([*rein, '--shell', '--', './waits', 'show', "it's", '$HOME'], b"<it's><$HOME> " + by + b'\n', env=bash)
shows([SERVER, '--once', 'localhost:0', './waits', 'show', '"a b"', '$ONE', ''], b'<"a b"><$ONE><> ' + by + b'\n', env=bash)
shows([SERVER, '--once', '--startup-with-shell', 'localhost:0', './waits', 'show', 'x'], b'<x> ' + by + b'\n', env=bash)
shows([SERVER, '--once', '--no-startup-with-shell', 'localhost:0', './waits', 'show', '"a b"', '$ONE'], b'<"a b"><$ONE> -\n', env=bash)
shows([SERVER, '--once', '--wrapper', 'env', 'WRAPPED=a  b', '--', 'localhost:0', './waits', 'show', 'x'], b'<x> a  b\n')

# Over standard input and output, where the program's own output is on standard error.
with Remote.stdio('./waits', 'show', 'x', stderr=subprocess.PIPE) as gdb:
    gdb.start()
    assert gdb.resume()[:3] == b'W03'
    gdb.hang_up()
    assert b'<x> -\n' in gdb.process.stderr.read()
assert gdb.process.returncode == 0
process = subprocess.Popen([*rein, '-l', '-', './waits', 'exit', '7'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
with Remote(process.stdout.fileno(), process.stdin.fileno(), process) as gdb:
    gdb.start()
    assert gdb.resume()[:3] == b'W07'

# ---- Clients that go: what was started is killed, what was attached to let go, unless something else was said ----

def sleeper():
    process = subprocess.Popen(['./waits'])
    atexit.register(process.kill)
    return process

MOMENTS = {
    'at once': lambda gdb: None,
    'in a packet': lambda gdb: gdb.write('$qSuppor'),
    'stopped': lambda gdb: gdb.start(),
    'breakpoint': lambda gdb: gdb.start().ok(f'Z0,{ready:x},1'),
    'running': lambda gdb: gdb.start().send('vCont;c'),
    'at a breakpoint': lambda gdb: (gdb.start().ok(f'Z0,{ready:x},1'), gdb.resume()),
    'running over one': lambda gdb: (gdb.start().ok(f'Z0,{ready:x},1;X3,220027'), gdb.send('vCont;c')),
    'stepping': lambda gdb: gdb.start().send('vCont;s'),
    'non-stop': lambda gdb: (gdb.start().ok('QNonStop:1'), gdb.packet('?'), gdb.packet('vStopped'), gdb.ok(f'Z0,{ready:x},1'), gdb.ok('vCont;c'),
                             gdb.notification()),
    'non-stop running': lambda gdb: (gdb.start().ok('QNonStop:1'), gdb.packet('?'), gdb.packet('vStopped'), gdb.ok('vCont;c')),
    'detached': lambda gdb: (gdb.start().ok(f'Z0,{ready:x},1'), gdb.resume(), gdb.packet('D')),
}

def code_is_whole(pid):
    at = program.find(code(pid, ready, 8))
    return at >= 0

for moment, act in MOMENTS.items():
    for gone in None, 'detach', 'kill':
        process = start([*rein, *(['--gone', gone] if gone else []), './waits'])
        place, said = listens(process)
        pid = int(re.search(rb'Process (\d+)', said).group(1))
        gdb = Remote.connect(place)
        act(gdb)
        gdb.hang_up()
        assert process.wait(LIMIT) == 0, (moment, gone)
        if gone == 'detach' or moment == 'detached':
            wait_for(lambda: is_free(pid))
            assert code_is_whole(pid), (moment, gone)
            os.kill(pid, signal.SIGKILL)
        else:
            wait_for(lambda: is_gone(pid))
    for gone in None, 'detach', 'kill':
        child = sleeper()
        wait_for(lambda: os.path.realpath(f'/proc/{child.pid}/exe') == os.path.realpath('waits'))
        process = start([*rein, *(['--gone', gone] if gone else []), '-p', child.pid])
        gdb = Remote.connect(listens(process)[0])
        act(gdb)
        gdb.hang_up()
        assert process.wait(LIMIT) == 0, (moment, gone)
        if gone == 'kill' and moment != 'detached':
            assert child.wait(LIMIT) == -signal.SIGKILL
        else:
            wait_for(lambda: is_free(child.pid))
            assert code_is_whole(child.pid), (moment, gone)
            child.kill()
            child.wait()

# Kept, as gdbserver does: the next client finds the process stopped, and what the former one has set is still there.
for command in [[*rein, '--gone', 'keep', './waits'], [SERVER, 'localhost:0', './waits']]:
    process = start(command)
    port, said = listens(process)
    pid = int(re.search(rb'(?:pid = |Process )(\d+)', said).group(1))
    for moment, act in MOMENTS.items():
        if moment == 'detached':
            continue
        gdb = Remote.connect(port)
        act(gdb)
        gdb.hang_up()
        gdb = Remote.connect(port).start()
        assert gdb.packet('?')[:1] == b'T' and pid_of(gdb) == pid, moment
        assert status(pid, 'State') == 't', moment
        gdb.ok(f'z0,{ready:x},1')
        assert code_is_whole(pid)
        gdb.hang_up()
    gdb = Remote.connect(port).start()
    gdb.ok('D')
    gdb.hang_up()
    wait_for(lambda: is_free(pid))
    assert process.wait(LIMIT) == 0
    os.kill(pid, signal.SIGKILL)

# --multi: it stays when its processes and clients have gone.
process = start([SERVER, '--multi', 'localhost:0'])
port, said = listens(process)
for i in range(3):
    gdb = Remote.connect(port).start()
    gdb.ok('!')
    assert gdb.packet('?') == b'W00'
    child = sleeper()
    assert gdb.packet(f'vAttach;{child.pid:x}')[:1] == b'T'
    assert gdb.packet(f'vAttach;{child.pid:x}')[:1] == b'E'
    gdb.ok(f'D;{child.pid:x}')
    wait_for(lambda: is_free(child.pid))
    child.kill()
    child.wait()
    assert gdb.packet('vRun;' + hexed('./waits').decode() + ';' + hexed('exit').decode() + ';' + hexed('9').decode())[:1] == b'T'
    assert gdb.resume()[:3] == b'W09'
    assert gdb.packet('vRun;' + hexed('./no-such-program').decode())[:1] == b'E'
    assert gdb.packet('?') == b'W00'
    gdb.hang_up()
gdb = Remote.connect(port).start()
gdb.send('qRcmd,' + hexed('exit').decode())
gdb.hang_up()
assert process.wait(LIMIT) == 0

# A second client waits for the first one's end.
process = start([*rein, '--gone', 'keep', './waits'])
port, said = listens(process)
first = Remote.connect(port).start()
second = Remote.connect(port)
second.send('?')
first.packet('?')
first.hang_up()
assert second.stop()[:1] == b'T'
second.send('k')
second.hang_up()
assert process.wait(LIMIT) == 0

# A terminal, which is one client's.
master, slave = os.openpty()
tty.setraw(slave)
process = start([SERVER, os.ttyname(slave), './waits'])
gdb = Remote(master, master, process).start()
os.kill(pid_of(gdb), 0)
gdb.resume('vCont;s')
gdb.send('k')
assert process.wait(LIMIT) == 0
gdb.reader = -1
os.close(slave)
os.close(master)

# ---- The server's own end: what it started is killed, what it attached to let go, and its socket's file is gone ----

def ends_by(number, moment, act, gone=None):
    path = os.path.realpath('.') + '/s'
    wait_for(lambda: not os.path.exists(path))
    child = sleeper()
    wait_for(lambda: os.path.realpath(f'/proc/{child.pid}/exe') == os.path.realpath('waits'))
    process = start([*rein, '--multi', *(['--gone', gone] if gone else []), '-l', 'unix:' + path, './waits'])
    place, said = listens(process)
    pid = int(re.search(rb'Process (\d+)', said).group(1))
    gdb = Remote.connect(path) if act else None
    if act:
        gdb.start()
        assert gdb.packet(f'vAttach;{child.pid:x}')[:1] == b'T'
        act(gdb)
    process.send_signal(number)
    assert process.wait(LIMIT) == -number, (number, moment)
    assert not os.path.exists(path)
    wait_for(lambda: is_free(pid) if gone == 'detach' else is_gone(pid))
    if gone == 'kill' and act:
        assert child.wait(LIMIT) == -signal.SIGKILL
    else:
        wait_for(lambda: is_free(child.pid))
        assert code_is_whole(child.pid), (number, moment)
    if gone == 'detach':
        os.kill(pid, signal.SIGKILL)
    child.kill()
    child.wait()
    if gdb:
        gdb.hang_up()

for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
    ends_by(number, 'no client', None)
    ends_by(number, 'stopped', lambda gdb: gdb.ok(f'Z0,{ready:x},1'))
    ends_by(number, 'running', lambda gdb: (gdb.ok(f'Z0,{ready:x},1;X3,220027'), gdb.send('vCont;c')))
ends_by(signal.SIGTERM, 'detach', lambda gdb: None, 'detach')
ends_by(signal.SIGTERM, 'kill', lambda gdb: None, 'kill')

# A client that asks and does not read keeps nobody from ending the server, over a pipe or a socket.
def deaf(gdb, pid, process):
    gdb.start()
    ask = b'$qXfer:features:read:target.xml:0,ffff#'
    ask += b'%02x' % (sum(ask[1:-1]) & 0xff)
    os.set_blocking(gdb.writer, False)
    full = 0
    while full < 100:   # till the server has not read for a while, for it cannot write
        try:
            os.write(gdb.writer, ask)
            full = 0
        except BlockingIOError:
            full += 1
            time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGTERM
    wait_for(lambda: is_gone(pid))

process = subprocess.Popen([SERVER, '-', './waits'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
atexit.register(process.kill)
assert process.stderr.readline() == b'stdin/stdout redirected\n'
pid = int(re.search(rb'pid = (\d+)', process.stderr.readline()).group(1))
deaf(Remote(process.stdout.fileno(), process.stdin.fileno()), pid, process)
process = start([*rein, './waits'])
place, said = listens(process)
deaf(Remote.connect(place), int(re.search(rb'Process (\d+)', said).group(1)), process)

# A start that does not come to its end is given up.
process = start([*rein, '--wrapper', "sh -c 'echo begun >&2; exec sleep 1000' --", '--', './waits'])
assert process.stderr.readline() == b'begun\n'
process.send_signal(signal.SIGTERM)
assert process.wait(LIMIT) == -signal.SIGTERM

# Programs find signals as the server found them.
def ignored(pid):
    return int(status(pid, 'SigIgn'), 16), int(status(pid, 'SigBlk'), 16)

process = start([*rein, './waits'])
gdb = Remote.connect(listens(process)[0]).start()
assert ignored(pid_of(gdb)) == (0, 0), ignored(pid_of(gdb))
gdb.send('k')
gdb.hang_up()
assert process.wait(LIMIT) == 0
set_ignored = [signal.SIGTTOU, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM, signal.SIGPWR, signal.SIGPROF] # the last four the monitor uses
def ignore():
    for number in set_ignored:
        signal.signal(number, signal.SIG_IGN)
process = start([*rein, './waits'], preexec_fn=ignore)
gdb = Remote.connect(listens(process)[0]).start()
assert ignored(pid_of(gdb)) == (sum(1 << number - 1 for number in set_ignored), 0), ignored(pid_of(gdb))
process.send_signal(signal.SIGHUP)
gdb.packet('?')
gdb.send('k')
gdb.hang_up()
assert process.wait(LIMIT) == 0

# It answers, and ends, where it may not have as many descriptors as it polls.
for limit in (4, 6):
    process = start([*rein, './waits'])
    gdb = Remote.connect(listens(process)[0]).start()
    pid = pid_of(gdb)
    resource.prlimit(int(status(pid, 'TracerPid')), resource.RLIMIT_NOFILE, (limit, limit))
    for _ in range(3):
        assert gdb.packet('qC').startswith(b'QC')
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT) == -signal.SIGTERM
    gdb.hang_up()

# The client's link is the terminal from which the server was started, and which it may read: also who attaches.
victim = subprocess.Popen(['sleep', '1000'])
atexit.register(victim.kill)
pid, terminal = pty.fork()
if pid == 0:
    tty.setraw(0)
    os.execv(rein[0], [*rein, '-q', '-l', '-', '-p', str(victim.pid)])
answered = b''
try:
    wait_for(lambda: status(victim.pid, 'TracerPid') != '0')
    os.write(terminal, b'$qC#b4')
    while b'$QC' not in answered and select.select([terminal], [], [], LIMIT)[0]:
        answered += os.read(terminal, 1000)
except OSError as error: # the server has hung up
    answered += str(error).encode()
os.kill(pid, signal.SIGTERM)
assert b'$QC' in answered, answered
os.waitpid(pid, 0)
os.close(terminal)

# A listener that takes nobody any more is a failure, and said.
process = start([*rein, './waits'])
place, said = listens(process)
pid = int(re.search(rb'Process (\d+)', said).group(1))
resource.prlimit(int(status(pid, 'TracerPid')), resource.RLIMIT_NOFILE, (3, 3)) # where the server's loop is
link = socket.create_connection(('127.0.0.1', place))
assert process.wait(LIMIT) == 1
assert b'cannot take a client' in process.stderr.read()
link.close()
wait_for(lambda: is_gone(pid))

# Who may be traced but not killed: vKill fails, the process is held as before, and let go at the end.
unprivileged = ['setpriv', '--reuid', '65534', '--clear-groups', '--inh-caps', '-all,+sys_ptrace', '--ambient-caps', '-all,+sys_ptrace',
                '--bounding-set', '-all,+sys_ptrace']
may = os.geteuid() == 0 and shutil.which('setpriv') and subprocess.run([*unprivileged, SERVER, '--version'], stdout=subprocess.DEVNULL,
                                                                      stderr=subprocess.DEVNULL).returncode == 0
if may:
    child = subprocess.Popen(['sleep', '1000'])
    atexit.register(child.kill)
    process = subprocess.Popen([*unprivileged, SERVER, '--attach', '-', str(child.pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with Remote(process.stdout.fileno(), process.stdin.fileno(), process) as gdb:
        gdb.start()
        assert gdb.packet('?')[:1] == b'T'
        assert gdb.packet(f'vKill;{child.pid:x}')[:1] == b'E'
        assert gdb.packet('?')[:1] == b'T' and status(child.pid, 'TracerPid') != '0'
        gdb.send('k')
    wait_for(lambda: is_free(child.pid))
    child.kill()
else:
    print('left out: a process that may not be killed (no root, no setpriv, or a server that nobody else can execute)')
PYTHON
