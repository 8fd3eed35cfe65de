#!/usr/bin/env bash
# A client that goes in the middle of something, after which another one finds a right picture, or the processes have been let go or
# killed, as the server was told; and small packets: N, R, D of one process while others have something to tell, QProgramSignals.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >clients.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
volatile int counter, handled;
__attribute__((noinline)) void ready(void) { counter++; }
void handler(int number) { handled += number; }
static void *ends(void *arg)
{
    ready();
    return arg;
}
int main(int argc, char **argv)
{
    signal(SIGUSR1, handler);
    signal(SIGUSR2, handler);
    if (argc > 1 && strcmp(argv[1], "thread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, ends, NULL);
        pthread_join(thread, NULL);
        return 5;
    }
    ready();
    for (;;)
        usleep(1000);
}
C
tracee -no-pie -fno-pie -pthread -o clients clients.c

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 100 python3 - <<'PYTHON'
import atexit
import faulthandler
from remote import *

faulthandler.dump_traceback_later(90, exit=True)
ready, handled = symbol('clients', 'ready'), symbol('clients', 'handled')
REIN = [os.environ['REIN_BINARY'], 'serve', '--listen', 'localhost:0']

def state(pid):
    """T traced and stopped, S not; None: gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as file:
            return file.read().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None

def is_traced(pid):
    with open(f'/proc/{pid}/status', encoding='utf-8') as file:
        return 'TracerPid:\t0\n' not in file.read()

def pid_of(stop):
    return int(fields(stop)['thread'].split(b'.')[0][1:], 16)

def listen(*arguments):
    """rein serve: the port."""
    process = subprocess.Popen([*REIN, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    atexit.register(process.kill)
    while not (found := re.search(rb'Listening on port (\d+)', process.stderr.readline())):
        pass
    return process, int(found.group(1))

def number(gdb, address):
    return int.from_bytes(gdb.read(address, 4), 'little')

# ---- N: who was resumed has ended, and the others stand ----

with Remote.stdio('./clients', 'thread') as gdb:
    gdb.start()
    gdb.ok(f'Z0,{ready:x},1')
    thread = fields(gdb.resume())['thread'].decode()
    gdb.ok(f'z0,{ready:x},1')
    assert gdb.resume(f'vCont;c:{thread}') == b'N'
    assert gdb.packet('?')[:1] == b'T'
    assert gdb.resume()[:3] == b'W05'

# ---- A client that goes: the next one ----

def goes(kind, gone):
    process, port = listen('--gone', gone, '--multi')
    gdb = Remote.connect(port).start()
    gdb.ok('!')
    other = subprocess.Popen(['./clients'], stdin=subprocess.DEVNULL)
    atexit.register(other.kill)
    wait_for(lambda: state(other.pid) == 'S')
    if kind == 'attached':
        wait_for(lambda: os.readlink(f'/proc/{other.pid}/exe').endswith('/clients'))
        os.kill(other.pid, signal.SIGSTOP)
        wait_for(lambda: state(other.pid) == 'T')
        assert gdb.packet(f'vAttach;{other.pid:x}')[:1] == b'T'
        pid = other.pid
    else:
        stop = gdb.packet(b'vRun;' + hexed(os.path.abspath('clients')))
        pid = pid_of(stop)
        gdb.ok(f'Z0,{ready:x},1')
        if kind == 'resume':
            gdb.ok(f'z0,{ready:x},1')
            gdb.send('vCont;c')
        elif kind == 'notification':
            gdb.ok('QNonStop:1')
            assert gdb.packet('?')[:1] == b'T' and gdb.packet('vStopped') == b'OK'
            gdb.ok('vCont;c')
            assert gdb.notification()[:8] == b'Stop:T05'
        elif kind == 'file':
            for _ in range(64):
                assert gdb.file('open', hexed(os.path.abspath('clients')), '0', '0')[0] >= 0
            assert gdb.file('setfs', f'{pid:x}')[0] == 0
    gdb.hang_up()
    if gone == 'kill':
        if kind == 'attached':
            assert other.wait(LIMIT) == -signal.SIGKILL
        wait_for(lambda: state(pid) is None)
    elif gone == 'detach':
        wait_for(lambda: not is_traced(pid))
        if kind == 'attached': # it was stopped, and still is
            wait_for(lambda: state(pid) == 'T')
    gdb = Remote.connect(port).start()
    gdb.ok('!')
    stop = gdb.packet('?')
    if gone == 'keep':
        assert stop[:1] == b'T' and pid_of(stop) == pid, (kind, stop)
        assert state(pid) == 't', state(pid)
        text = b'\xff' if kind == 'attached' else gdb.read(ready, 1)
        assert text != b'\xcc', (kind, text)
        fd, error, _ = gdb.file('open', hexed(os.path.abspath('clients')), '0', '0')
        assert fd == 0 and error is None, (kind, fd, error)
        gdb.ok(f'D;{pid:x}')
        wait_for(lambda: not is_traced(pid))
    else:
        assert stop == b'W00', (kind, gone, stop)
    assert gdb.xfer('threads').count(b'<thread ') == 0
    if state(pid) and pid != other.pid:
        os.kill(pid, signal.SIGKILL)
    other.kill()
    other.wait(LIMIT)
    gdb.send(b'qRcmd,' + hexed('exit'))
    gdb.hang_up()
    assert process.wait(LIMIT) == 0

for kind in 'resume', 'notification', 'file', 'attached':
    for gone in 'keep', 'detach', 'kill':
        goes(kind, gone)

# ---- R: the program anew, while it is there, when it was killed, and when it has ended ----

process, port = listen('--multi')
gdb = Remote.connect(port).start()
gdb.ok('!')
first = pid_of(gdb.packet(b'vRun;' + hexed(os.path.abspath('clients')) + b';' + hexed('thread')))
gdb.send('R00')
second = pid_of(gdb.packet('?'))
assert second != first and state(first) is None
assert gdb.resume()[:3] == b'W05'
gdb.send('R00')
third = pid_of(gdb.packet('?'))
gdb.ok(f'vKill;{third:x}')
assert state(third) is None
gdb.send('R00')
fourth = pid_of(gdb.packet('?'))

# ---- D of one process leaves what the other has to tell ----

stop = gdb.packet(b'vRun;' + hexed(os.path.abspath('clients')))
fifth = pid_of(stop)
for pid in fourth, fifth:
    gdb.ok(f'Hgp{pid:x}.0')
    gdb.ok(f'Z0,{ready:x},1')
gdb.ok('QNonStop:1')
assert gdb.packet('?')[:1] == b'T'
while gdb.packet('vStopped') != b'OK':
    pass
gdb.ok('vCont;c')
stops = [gdb.notification().removeprefix(b'Stop:')]
wait_for(lambda: all('t' in [open(f'/proc/{pid}/task/{tid}/stat', encoding='ascii').read().rpartition(')')[2].split()[0]
                             for tid in os.listdir(f'/proc/{pid}/task')] for pid in (fourth, fifth)))
told = pid_of(stops[0])
left = fifth if told == fourth else fourth
gdb.ok(f'D;{told:x}')
if told == fifth:
    wait_for(lambda: not is_traced(fifth))
    os.kill(fifth, signal.SIGKILL)
else:
    wait_for(lambda: state(fourth) is None) # it has run to its end
seen = []
while (more := gdb.packet('vStopped')) != b'OK':
    seen.append(more)
if not seen: # its event has come only now
    seen.append(gdb.notification().removeprefix(b'Stop:'))
    assert gdb.packet('vStopped') == b'OK'
assert [pid_of(each) for each in seen] == [left], (told, left, seen)
assert {b'p%x' % left} == set(re.findall(rb'id="(p[0-9a-f]+)\.', gdb.xfer('threads')))
gdb.ok(f'vKill;{left:x}')
assert state(left) is None
gdb.send(b'qRcmd,' + hexed('exit'))
gdb.hang_up()
assert process.wait(LIMIT) == 0

# ---- QPassSignals: told or not from one to the next; QProgramSignals: what is delivered when it is let go ----

for wanted, text in (signal.SIGUSR1, 'QProgramSignals:1e'), (0, 'QProgramSignals:1f'):
    with Remote.stdio('./clients') as gdb:
        gdb.start()
        gdb.ok(f'Z0,{ready:x},1')
        stop = gdb.resume()
        pid = pid_of(stop)
        gdb.over(ready, fields(stop)['thread'])
        gdb.ok('QPassSignals:1e')
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGUSR2)
        assert gdb.resume()[:3] == b'T1f'
        assert number(gdb, handled) in (0, signal.SIGUSR1)
        gdb.ok('QPassSignals:')
        os.kill(pid, signal.SIGUSR1)
        stop = gdb.resume()
        assert stop[:3] == b'T1e' and number(gdb, handled) in (0, signal.SIGUSR1), stop
        before = number(gdb, handled)
        gdb.ok(text)
        gdb.ok(f'D;{pid:x}')
        wait_for(lambda: not is_traced(pid))
        with open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
            wait_for(lambda: state(pid) == 'S')
            os.kill(pid, signal.SIGUSR2) # the mark behind which nothing comes
            def marked():
                memory.seek(handled)
                value = int.from_bytes(memory.read(4), 'little')
                return value in (before + signal.SIGUSR2, before + signal.SIGUSR2 + signal.SIGUSR1)
            wait_for(marked)
            memory.seek(handled)
            assert int.from_bytes(memory.read(4), 'little') == before + signal.SIGUSR2 + wanted
        os.kill(pid, signal.SIGKILL)
PYTHON
