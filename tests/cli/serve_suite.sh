#!/usr/bin/env bash
# What gdb's own test suite has found, on the packets: programs that are started anew by R, a client that comes back, a killed
# monitor, a program that is not there, the exit of one of two processes, the thread that is meant after an attach; the registers
# that the end of a called function brings, and characters that are sent once for many.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >program.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
char bytes[256];
volatile int handled;
__attribute__((noinline)) void ready(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) int called(int number) { return number + 1; }
void handler(int number) { handled = number; }
void with_details(int number, siginfo_t *info, void *context)
{
    (void)context;
    handled = number == SIGUSR1 && info->si_code == SI_QUEUE && info->si_value.sival_int == 4711;
}
void *calls(void *arg)
{
    for (;;)
        handled = called(handled);
    return arg;
}
void raise_again(int number) { raise(number); }
void *raises_for_ever(void *arg)
{
    signal(SIGALRM, raise_again);
    raise(SIGALRM);
    _exit(9); /* one was lost */
    return arg;
}
void *raises(void *arg)
{
    raise(SIGUSR1);
    return arg;
}
int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    signal(SIGUSR1, handler);
    if (strcmp(what, "thread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, raises, NULL);
        pthread_join(thread, NULL);
        return handled == SIGUSR1 ? 5 : 6;
    }
    if (strcmp(what, "fork") == 0) {
        int status = 0;
        if (fork() == 0)
            _exit(7);
        wait(&status);
        return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 5 : 6;
    }
    if (strcmp(what, "details") == 0) {
        struct sigaction action = {.sa_sigaction = with_details, .sa_flags = SA_SIGINFO};
        sigaction(SIGUSR1, &action, NULL);
        sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 4711});
        return handled ? 5 : 6;
    }
    if (strcmp(what, "again") == 0)
        raises_for_ever(NULL);
    if (strcmp(what, "again, by a thread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, raises_for_ever, NULL);
        pthread_join(thread, NULL);
    }
    if (strcmp(what, "two") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, calls, NULL);
        ready();
        calls(NULL);
    }
    if (strcmp(what, "many") == 0) {
        pthread_t thread;
        for (int i = 0; i < 20; i++)
            pthread_create(&thread, NULL, calls, NULL);
        calls(NULL);
    }
    if (strcmp(what, "wait") == 0)
        for (;;)
            pause();
    called(3);
    ready();
    return 5;
}
C
tracee -no-pie -fno-pie -pthread -o program program.c

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 100 python3 - <<'PYTHON'
import os
import signal
import threading
import xml.etree.ElementTree as ElementTree
from remote import *



def is_there(pid):
    """Is it, and has not ended?"""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
            return file.read().rsplit(') ')[1][0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


ready, called, memory = (symbol('program', name) for name in ('ready', 'called', 'bytes'))
path = os.path.realpath('program')

def thread_of(stop):
    return to_bytes(fields(stop)['thread'])

def process_of(stop):
    return int(re.match(rb'p([0-9a-f]+)', thread_of(stop)).group(1), 16)

def numbers(gdb):
    tree = ElementTree.fromstring(gdb.xfer('features', 'target.xml'))
    return {each.get('name'): int(each.get('regnum')) for each in tree.iter('reg')}

def expedited(stop):
    return {int(name, 16) for name in fields(stop) if re.fullmatch('[0-9a-f]{2}', name)}

# R: the program that was started last, though none is left.
with Remote.listening(options=('--once', '--multi')) as gdb:
    gdb.start()
    gdb.ok('!')
    first = gdb.packet('vRun;' + path.encode().hex())
    gdb.ok(f'vKill;{process_of(first):x}')
    for _ in range(3):
        gdb.send('R0')
        again = gdb.packet('?')
        assert again[:3] == b'T05' and process_of(again) != process_of(first), again
    assert gdb.resume() == b'W05;process:%x' % process_of(again)

# A signal that a program is just going to get when it is attached to is why it has stopped, unless the client wants it to be passed;
# and the program gets it, once, when it is let go.
def attached_in_front_of_signals(gdb, pid, times):
    count = 0
    for _ in range(times):
        stop = gdb.packet(f'vAttach;{pid:x}')
        assert stop[:3] in (b'T05', b'T0e'), stop
        if stop[:3] == b'T0e':
            count += 1
            siginfo = gdb.xfer('siginfo', '')
            assert int.from_bytes(siginfo[:4], 'little') == signal.SIGALRM, siginfo
        gdb.ok(f'D;{pid:x}')
        assert is_there(pid)
        if count == 5:
            break
    return count

with Remote.listening(options=('--once', '--multi')) as gdb:
    # It says so each time that it attaches, which must not fill the pipe.
    threading.Thread(target=gdb.process.stderr.read, daemon=True).start()
    gdb.start()
    gdb.ok('!')
    for what in 'again', 'again, by a thread':
        with subprocess.Popen([path, what]) as child:
            try:
                assert attached_in_front_of_signals(gdb, child.pid, 5000) == 5
                gdb.ok('QPassSignals:0e')
                assert attached_in_front_of_signals(gdb, child.pid, 50) == 0
                gdb.ok('QPassSignals:')
            finally:
                child.kill()

# A client that goes and comes back is told the same stop once more, and no signal is lost.
gdb = Remote.listening('./program', 'thread')
gdb.start()
gdb.ok('Hc0')
stop = gdb.resume()
assert stop[:3] == b'T1e', stop # gdb's SIGUSR1
assert thread_of(stop) != b'p%x.%x' % (process_of(stop), process_of(stop))
server, port = gdb.process, gdb.port
gdb.hang_up()
with Remote.connect(port, server) as gdb:
    gdb.start()
    again = gdb.packet('?')
    assert (again[:3], thread_of(again)) == (b'T1e', thread_of(stop)), (again, stop)
    assert gdb.resume(b'vCont;C1e:' + thread_of(stop) + b';c')[:3] == b'W05'

# A thread's pthread_t, where it is in a register: the list of threads has it.
with Remote.stdio('./program', 'thread', options=('--once',)) as gdb:
    gdb.start()
    handles = {}
    stop = gdb.resume()
    for _ in range(2):
        for thread in ElementTree.fromstring(gdb.xfer('threads')):
            gdb.ok('Hg' + thread.get('id'))
            if 'fs_base' in numbers(gdb):
                pointer = gdb.packet('p%x' % numbers(gdb)['fs_base']).decode()
                assert thread.get('handle') == pointer == handles.setdefault(thread.get('id'), pointer)
    gdb.resume(b'vCont;C1e:' + thread_of(stop) + b';c')

# The monitor is killed: nothing more will happen, and the client hears of it.
with Remote.stdio('./program', options=('--once',), stderr=subprocess.PIPE) as gdb:
    gdb.start()
    parent = int(open('/proc/%d/stat' % process_of(gdb.packet('?'))).read().rpartition(')')[2].split()[1])
    if open(f'/proc/{parent}/comm').read() == 'rein-monitor\n': # as it is unless REIN_MONITOR says otherwise
        os.kill(parent, signal.SIGKILL)
        try:
            raise SystemExit(f'an answer from a monitor that was killed: {gdb.resume()!r}')
        except (Closed, BrokenPipeError):
            pass
        assert b'killed from outside' in gdb.process.stderr.read()

# A program that is not there, in gdbserver's words; one that is here, by its name alone.
ended = subprocess.run([SERVER, 'stdio', 'no-such-program'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
assert ended.returncode != 0
assert re.search('^stdin/stdout redirected\n.*not found\nDuring startup program exited with code 127.\nExiting\n$',
                 ended.stderr, re.S), ended.stderr
with Remote.stdio('program', options=('--once',)) as gdb:
    gdb.start()
    assert gdb.resume()[:3] == b'W05'

# Of two processes one runs, and ends: that is told, and not that nobody is left.
with Remote.stdio('./program', 'fork', options=('--once',)) as gdb:
    gdb.start()
    stop = gdb.resume()
    child = re.match(rb'p([0-9a-f]+)', to_bytes(fields(stop)['fork'])).group(1)
    assert gdb.resume(b'vCont;c:p%s.-1' % child) == b'W07;process:' + child
    last = gdb.resume()
    assert last[:3] == b'T14', last # gdb's SIGCHLD
    assert gdb.resume()[:3] == b'W05'

# "Any thread" after an attach is of the new process; in non-stop mode no register is told before the client knows which there are.
with subprocess.Popen(['./program', 'wait']) as waits:
    for non_stop in (False, True):
        with Remote.listening(options=('--once', '--multi')) as gdb:
            gdb.start()
            gdb.ok('!')
            gdb.packet('vRun;' + path.encode().hex())
            if non_stop:
                gdb.ok('QNonStop:1')
            reply = gdb.packet(f'vAttach;{waits.pid:x}')
            if non_stop:
                assert reply == b'OK'
                reply = gdb.notification()[len('Stop:'):]
                assert not expedited(reply), reply
            assert thread_of(reply) == b'p%x.%x' % (waits.pid, waits.pid), reply
            gdb.ok('Hgp0.0')
            assert gdb.packet('qC') == b'QC' + thread_of(reply)
            gdb.ok(f'D;{waits.pid:x}')
    waits.kill()

# The last process has ended, and the client, which has not heard of it yet, wants it stopped. Directories of somebody's.
with Remote.listening(options=('--once', '--multi')) as gdb:
    gdb.start()
    gdb.ok('!')
    gdb.ok('QNonStop:1')
    gdb.ok('QSetWorkingDir:' + '~/'.encode().hex())
    assert gdb.packet('QSetWorkingDir:' + '~no-such-user/'.encode().hex())[:1] == b'E'
    started = process_of(gdb.packet('vRun;' + path.encode().hex()))
    assert os.readlink(f'/proc/{started}/cwd') == os.path.realpath(os.path.expanduser('~'))
    os.kill(started, signal.SIGKILL)
    assert gdb.notification()[:len('Stop:X09')] == b'Stop:X09'
    gdb.ok(f'vCont;t:p{started:x}.-1')
    gdb.ok('vStopped')
    gdb.ok(f'vCont;t:p{started:x}.-1')

# A called function: when the stack pointer has been written, the next stop of that thread brings all registers, and only that one.
with Remote.stdio('./program', options=('--once',)) as gdb:
    gdb.start()
    number = numbers(gdb)
    pointer = number.get('rsp', number.get('esp', number.get('sp')))
    gdb.ok(f'Z0,{called:x},1')
    gdb.ok(f'Z0,{ready:x},1')
    stop = gdb.resume()
    few = expedited(stop)
    assert pointer in few and len(few) < 6, stop
    gdb.ok(b'P%x=%s' % (pointer, gdb.packet(f'p{pointer:x}')))
    stop = gdb.over(called, thread_of(stop))
    told, all_of_them = expedited(stop), gdb.packet('g')
    assert len(told) > 20 and few < told, stop
    values = b''.join(to_bytes(fields(stop)['%02x' % each]) for each in sorted(told))
    assert len(told) < len(number) or values == all_of_them, (values, all_of_them)
    stop = gdb.resume()
    assert expedited(stop) == few, stop

# Two threads step, and the end of one step is told. The other's is not told at the next resume, which asks for no step: told is
# the breakpoint that one of them comes to.
with Remote.stdio('./program', 'two', options=('--once',)) as gdb:
    gdb.start()
    gdb.ok(f'Z0,{ready:x},1')
    gdb.resume()
    gdb.ok(f'z0,{ready:x},1')
    gdb.ok(f'Z0,{called:x},1')
    gdb.resume()
    both = set(re.findall(rb'p[0-9a-f]+\.[0-9a-f]+', gdb.xfer('threads')))
    assert len(both) == 2, both
    for _ in range(30):
        gdb.ok(f'z0,{called:x},1')
        told = gdb.resume(b'vCont;' + b';'.join(b's:' + each for each in sorted(both)))
        assert told.startswith(b'T05'), told
        gdb.ok(f'Z0,{called:x},1')
        stop = gdb.resume()
        assert b'swbreak:' in stop, (told, stop)

# A signal has stopped a thread, a function is called in it, its siginfo is written back, and it goes on with the signal: the
# program's handler gets the signal's details. The call's end is a breakpoint, or a fault where nothing can be executed.
for end_faults in False, True:
    with Remote.stdio('./program', 'details', options=('--once',)) as gdb:
        gdb.start()
        pc = numbers(gdb)['rip' if 'rip' in numbers(gdb) else 'pc' if 'pc' in numbers(gdb) else 'eip']
        stop = gdb.resume()
        assert stop.startswith(b'T1e'), stop
        thread, registers = thread_of(stop), gdb.packet('g')
        info = gdb.xfer('siginfo')
        target = memory if end_faults else called
        if not end_faults:
            gdb.ok(f'Z0,{called:x},1')
        gdb.ok(b'P%x=%s' % (pc, hexed(target.to_bytes(len(gdb.packet(f'p{pc:x}')) // 2, 'little'))))
        stop = gdb.resume(b'vCont;c:' + thread)
        assert stop.startswith(b'T0b' if end_faults else b'T05'), stop
        if not end_faults:
            gdb.ok(f'z0,{called:x},1')
        assert gdb.packet(b'qXfer:siginfo:write::0:' + escape(info)) == b'%x' % len(info)
        gdb.ok(b'G' + registers)
        stop = gdb.resume(b'vCont;C1e:' + thread)
        assert stop.startswith(b'W05'), stop

# Many are at a breakpoint, one of whom has been told; then the program is killed from outside. Another's stop is
# told only with its registers, for there is nothing to be read of it any more; its end comes. (process-dies-while-detaching)
for each in range(10):
    with Remote.stdio('./program', 'many', options=('--once',)) as gdb:
        gdb.start('multiprocess+')
        for _ in range(3):
            gdb.ok(f'Z0,{called:x},1')
            pid = process_of(gdb.resume())
            gdb.ok(f'z0,{called:x},1')
        os.kill(pid, signal.SIGKILL)
        while is_there(pid):
            time.sleep(0.001)
        stop = gdb.resume()
        while not stop.startswith(b'X09'): # of others it can be known yet where they were
            assert stop.startswith(b'T05') and re.search(b'0[56]:', stop), (each, stop)
            stop = gdb.resume()

# --attach behind the address, where it once stood.
child = subprocess.Popen(['./program', 'wait'])
try:
    with Remote.stdio('--attach', child.pid, options=('--once',)) as gdb:
        gdb.start()
        assert process_of(gdb.packet('?')) == child.pid
        gdb.ok(f'D;{child.pid:x}')
finally:
    child.kill()
    child.wait()

# A client that cannot read target.xml gets the registers that it knows of all processors.
with Remote.stdio('./program', options=('--once',)) as gdb:
    gdb.start('multiprocess+')
    short = gdb.packet('g')
    names = numbers(gdb)
    whole = gdb.packet('g')
    assert whole.startswith(short) and (len(short) < len(whole)) == ('ymm0h' in names), (short, whole)

# Runs of every length, of characters that the protocol uses itself, too: what is read is what was written.
with Remote.stdio('./program', options=('--once',)) as gdb:
    gdb.start()
    gdb.ok(f'Z0,{ready:x},1')
    gdb.resume()
    for character in b'\0#$}*+-a\x0a':
        for length in (*range(1, 24), 48, 49, 50, 97, 98, 99, 100, 200):
            data = bytes([character]) * length + b'.'
            gdb.ok(b'X%x,%x:' % (memory, len(data)) + escape(data))
            assert gdb.read(memory, len(data)) == data, (character, length)
            reply = gdb.packet(f'x{memory:x},{len(data):x}')
            assert not reply or unescape(reply[reply[:1] == b'b':]) == data, (character, length, reply)
    gdb.ok(b'X%x,64:' % memory + bytes(100))
    gdb.send(f'm{memory:x},64')
    gdb._fill(time.monotonic() + LIMIT)
    while b'#' not in gdb.pending:
        gdb._fill(time.monotonic() + LIMIT)
    assert b'*' in gdb.pending and len(gdb.pending) < 30, gdb.pending
PYTHON
