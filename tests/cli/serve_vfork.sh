#!/usr/bin/env bash
# A vfork child through the server, before its exec: its registers, its hits, breakpoints that are set through it, which are its
# parent's and outlive its exec; and its end, while its parent is held.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >vforks.c <<'C'
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
volatile int counter;
__attribute__((noinline)) void before(void) { counter++; }
__attribute__((noinline)) void inside(void) { counter++; }
int main(int argc, char **argv)
{
    int status;
    if (argc > 2)
        return 7;
    before();
    int pid = vfork();
    if (pid == 0) {
        inside();
        if (strcmp(argv[1], "exec") == 0)
            execl(argv[0], argv[0], "again", "and", (char *)0);
        _exit(8);
    }
    inside();
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 9;
}
C
tracee -no-pie -fno-pie -o vforks vforks.c

export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
timeout 100 python3 - <<'PYTHON'
from remote import *

before, inside = (symbol('vforks', name) for name in ('before', 'inside'))

def pc(stop):
    parts = fields(stop)
    return next(int.from_bytes(unhexed(parts[number]), 'little') for number in ('10', '08', '20') if number in parts)

for kind in ('exit', 'exec'):
    for keeps in (True, False): # the parent
        with Remote.stdio('./vforks', kind) as gdb:
            gdb.start()
            gdb.ok(f'Z0,{before:x},1')
            parent = fields(gdb.resume())['thread']
            gdb.over(before, parent)
            stop = gdb.resume()
            child = fields(stop)['vfork']
            assert child != parent, stop
            gdb.ok(b'Hg' + child)
            assert len(gdb.packet('g')) > 100
            gdb.ok(f'Z0,{inside:x},1') # in the memory of both
            assert gdb.read(before, 4) == gdb.read(before, 4)
            stop = gdb.resume(b'vCont;s:' + child)
            assert stop[:3] == b'T05' and fields(stop)['thread'] == child, stop
            stop = gdb.resume(b'vCont;c:' + child.split(b'.')[0] + b'.-1')
            assert fields(stop)['thread'] == child and pc(stop) == inside and 'swbreak' in fields(stop), stop
            stop = gdb.over(inside, child)
            assert fields(stop)['thread'] == child, stop
            if not keeps:
                gdb.ok(f'z0,{inside:x},1')
                gdb.ok(f'z0,{before:x},1')
                gdb.ok(b'D;' + parent.split(b'.')[0][1:])
            stop = gdb.resume(b'vCont;c:' + child.split(b'.')[0] + b'.-1')
            if kind == 'exec':
                assert fields(stop)['thread'] == child and 'exec' in fields(stop), stop
                gdb.ok(b'Hg' + child)
                stop = gdb.resume(b'vCont;c:' + child.split(b'.')[0] + b'.-1')
            status = b'W07' if kind == 'exec' else b'W08'
            assert stop == status + b';process:' + child.split(b'.')[0][1:], stop
            if keeps:
                stop = gdb.resume()
                while 'vforkdone' in fields(stop) or stop[:3] == b'T14': # SIGCHLD
                    stop = gdb.resume()
                assert fields(stop)['thread'] == parent and pc(stop) == inside, stop
                gdb.over(inside, parent)
                stop = gdb.resume()
                while stop[:3] == b'T14':
                    stop = gdb.resume()
                assert stop[:3] == status, stop
PYTHON

# gdb lets the child go: it takes out its breakpoints first, and none may be in the memory that both have when the child runs.
timeout 60 python3 - <<'PYTHON'
import time
from remote import *

def is_zombie(pid): # its parent is held
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        return file.read().split(') ')[1][0] == 'Z'

inside = symbol('vforks', 'inside')
for kind in ('exit', 'exec'):
    with Remote.stdio('./vforks', kind) as gdb:
        gdb.start()
        gdb.ok(f'Z0,{inside:x},1')
        stop = gdb.resume()
        parent, child = fields(stop)['thread'], fields(stop)['vfork']
        pid = child.split(b'.')[0][1:]
        gdb.ok(f'z0,{inside:x},1')
        gdb.ok(b'D;' + pid)
        limit = time.monotonic() + 10
        while not is_zombie(int(pid, 16)):
            assert time.monotonic() < limit, 'the child has not ended'
            time.sleep(0.01)
        stop = gdb.resume()
        while stop[:3] == b'T14' or (stop[:1] == b'T' and 'vforkdone' in fields(stop)): # SIGCHLD
            stop = gdb.resume()
        assert stop[:3] == (b'W08' if kind == 'exit' else b'W07'), stop
PYTHON
