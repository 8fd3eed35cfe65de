#!/usr/bin/env bash
# How threads run on through the server, where that is not plain: a breakpoint whose memory is gone, signals and steps, resumes of
# all threads while one of them stops, and forks of which the client has not heard yet.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >resume.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
unsigned char *page;
volatile int counter, handled, done;
__attribute__((noinline)) void ready(void) { counter++; }
__attribute__((noinline)) void mapped(void) { counter++; }
__attribute__((noinline)) void unmapped(void) { counter++; }
void handler(int number) { handled += number; }
void mend(int number)
{
    handled += number;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}
void *forks(void *arg)
{
    while (!done) {
        int pid = fork(), status;
        if (pid == 0)
            _exit(7);
        if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
            _exit(3);
    }
    return arg;
}
int main(int argc, char **argv)
{
    signal(SIGUSR1, handler);
    signal(SIGTRAP, handler);
    if (argc > 1 && strcmp(argv[1], "fork") == 0) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, forks, NULL);
        for (int i = 0; i < 30; i++) {
            usleep(1000);
            ready();
        }
        done = 1;
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        return 5;
    }
    if (argc > 1 && strcmp(argv[1], "fault") == 0) {
        signal(SIGSEGV, mend);
        page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *page = 1;
        ready();
        return handled == SIGSEGV ? 5 : 6;
    }
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(page, 0x90, 4096);
    mapped();
    munmap(page, 4096);
    unmapped();
    ready();
    return handled == SIGUSR1 + SIGTRAP ? 5 : 6;
}
C
tracee -no-pie -fno-pie -pthread -o resume resume.c

export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
timeout 100 python3 - <<'PYTHON'
from remote import *

names = ('page', 'ready', 'mapped', 'unmapped', 'handler')
page, ready, mapped, unmapped, handler = (symbol('resume', name) for name in names)
word = 4 if open('resume', 'rb').read(5)[4] == 1 else 8

def pc(stop):
    parts = fields(stop)
    return next(int.from_bytes(unhexed(parts[number]), 'little') for number in ('10', '08', '20') if number in parts)

with Remote.stdio('./resume') as gdb:
    gdb.start()
    for place in (ready, mapped, unmapped):
        gdb.ok(f'Z0,{place:x},1')
    thread = fields(gdb.resume())['thread'].decode()

    # A breakpoint in memory that is given back does not keep the program from running, nor from being told of the next hit.
    gone = int.from_bytes(gdb.read(page, word), 'little')
    gdb.ok(f'Z0,{gone + 16:x},1')
    gdb.over(mapped, thread)
    stop = gdb.resume()
    assert pc(stop) == unmapped, stop
    assert gdb.packet(f'z0,{gone + 16:x},1')[:1] == b'E' # the client's user should hear of it
    gdb.ok(f'z0,{gone + 16:x},1')

    # A step with a signal, of a thread that another thing has stopped, ends in the handler. With SIGTRAP as well.
    gdb.over(unmapped, thread)
    assert pc(gdb.resume()) == ready
    gdb.ok('QPassSignals:1e')
    for number in (0x1e, 5):
        gdb.ok(f'z0,{ready:x},1')
        stop = gdb.resume(f'vCont;S{number:02x}:{thread}')
        assert stop[:3] == b'T05' and pc(stop) == handler, (number, stop)
        gdb.ok(f'Z0,{ready:x},1')
        assert pc(gdb.resume()) == ready
    gdb.over(ready, thread)
    assert gdb.resume()[:3] == b'W05'

# A signal that is not to be told ends a step, and is told.
with Remote.stdio('./resume') as gdb:
    gdb.start()
    gdb.ok(f'Z0,{ready:x},1')
    thread = fields(gdb.resume())['thread'].decode()
    gdb.ok('QPassSignals:1e')
    gdb.ok(f'z0,{ready:x},1')
    os.kill(int(thread.split('.')[0][1:], 16), signal.SIGUSR1)
    for packet in ('s', 'r%x,%x' % (ready, ready + 4)):
        stop = gdb.resume(f'vCont;{packet}:{thread}')
        if packet == 's':
            assert stop[:3] == b'T1e' and pc(stop) == ready, stop
    gdb.send('k')

# A fault that is to be passed is; but one at the pc is told, for it may be the client's breakpoint in memory that is not executed.
with Remote.stdio('./resume', 'fault') as gdb:
    gdb.start()
    gdb.ok('QPassSignals:4;a;b')
    gdb.ok(f'Z0,{ready:x},1')
    stop = gdb.resume()
    assert stop[:3] == b'T05' and pc(stop) == ready, stop
    thread = fields(stop)['thread'].decode()
    data = symbol('resume', 'counter')
    gdb.ok('Hg' + thread)
    number = {4: 8, 8: 16}[word]
    gdb.ok(f'P{number:x}=' + data.to_bytes(word, 'little').hex())
    stop = gdb.resume()
    assert stop[:3] == b'T0b' and pc(stop) == data, stop
    gdb.ok(f'P{number:x}=' + ready.to_bytes(word, 'little').hex())
    gdb.ok(f'z0,{ready:x},1')
    assert gdb.resume()[:3] == b'W05'

def known(gdb):
    return set(re.findall(rb'id="(p[0-9a-f]+)\.', gdb.xfer('threads')))

# All-stop: of forks the client sees the child when the fork is told, not before; and lets it go.
with Remote.stdio('./resume', 'fork') as gdb:
    gdb.start()
    gdb.ok('QPassSignals:14') # SIGCHLD
    gdb.ok(f'Z0,{ready:x},1')
    stop, forks, hits = gdb.resume(), 0, 0
    parent = b'p%x' % int(fields(stop)['thread'].split(b'.')[0][1:], 16)
    while stop[:1] == b'T':
        parts = fields(stop)
        if 'fork' in parts:
            child = parts['fork'].split(b'.')[0]
            assert known(gdb) == {parent, child}, (stop, known(gdb))
            gdb.ok(b'D;' + child[1:])
            forks += 1
        else:
            assert known(gdb) == {parent}, (stop, known(gdb))
            hits += 1
            stop = gdb.over(ready, parts['thread'])
            if hits == 30:
                gdb.ok(f'z0,{ready:x},1')
            if fields(stop).get('fork'): # before the step has begun
                continue
        stop = gdb.resume()
    assert stop[:3] == b'W05' and forks > 4 and hits == 30, (stop, forks, hits)

# Non-stop: a resume of all does not run on who has stopped meanwhile, nor a child whose fork is not acknowledged.
with Remote.stdio('./resume', 'fork') as gdb:
    gdb.start()
    gdb.ok('QPassSignals:14') # SIGCHLD
    gdb.ok('QNonStop:1')
    gdb.packet('?')
    while gdb.packet('vStopped') != b'OK':
        pass
    gdb.ok(f'Z0,{ready:x},1')
    gdb.ok('vCont;c')
    forks, hits, ended = 0, 0, None
    while not ended:
        stops = [gdb.notification().removeprefix(b'Stop:')]
        gdb.ok('vCont;c')
        while True:
            more = gdb.packet('vStopped')
            if more == b'OK':
                break
            stops.append(more)
        for stop in stops:
            if stop[:1] == b'W':
                ended = stop
                continue
            parts = fields(stop)
            thread = parts['thread']
            if 'fork' in parts:
                gdb.ok(b'D;' + parts['fork'].split(b'.')[0][1:])
                forks += 1
            elif 'swbreak' in parts:
                gdb.ok(b'Hg' + thread)
                number = {4: 8, 8: 16}[word]
                assert int.from_bytes(unhexed(gdb.packet(f'p{number:x}')), 'little') == ready, stop
                hits += 1
                gdb.ok(f'z0,{ready:x},1')
                if hits < 30:
                    gdb.ok(b'vCont;s:' + thread)
                    continue
            elif hits < 30: # the step is done
                gdb.ok(f'Z0,{ready:x},1')
            gdb.ok(b'vCont;c:' + thread)
    assert ended[:3] == b'W05' and forks > 4 and hits == 30, (ended, forks, hits)
PYTHON
