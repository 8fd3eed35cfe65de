#!/usr/bin/env bash
# Processes that are made by clone without CLONE_THREAD, and are no forks: to the client they are threads of the process that made
# them. With the memory shared or copied; their hits, steps, births and ends; an exec by one; an owner that ends first; and gdb.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >clones.c <<'C'
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
volatile int counter;
static char **words;
static pid_t owner;
__attribute__((noinline)) void inside(void) { counter++; }
static int child(void *kind)
{
    inside();
    if (strcmp(kind, "exec") == 0)
        execl(words[0], words[0], (char *)0);
    while (strcmp(kind, "orphan") == 0 && syscall(SYS_getppid) == owner)
        sched_yield();
    syscall(SYS_exit, 5); /* nothing of libc's: its thread-local storage is the parent's */
    return 0;
}
int main(int argc, char **argv)
{
    int status, flags = CLONE_FILES;
    if (argc < 2)
        return 5;
    words = argv;
    owner = getpid();
    flags |= strcmp(argv[1], "copy") == 0 ? 0 : CLONE_VM;
    flags |= strcmp(argv[1], "sigchld") == 0 ? SIGCHLD : 0;
    char *stack = malloc(65536);
    pid_t pid = clone(child, stack + 65536, flags, argv[1]);
    if (pid < 0)
        return 9;
    while (strcmp(argv[1], "orphan") == 0 && counter == 0)
        sched_yield();
    if (strcmp(argv[1], "orphan") == 0)
        _exit(3);
    return waitpid(pid, &status, __WALL) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5 ? 0 : 8;
}
C
tracee -no-pie -fno-pie -o clones clones.c

export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
timeout 100 python3 - <<'PYTHON'
from remote import *

inside = symbol('clones', 'inside')

def at_hit(gdb):
    """Runs to the clone's hit: the process's id, the thread's, both as they are told."""
    stop = gdb.resume()
    parts = fields(stop)
    process, thread = parts['thread'][1:].split(b'.')
    assert stop[:3] == b'T05' and 'swbreak' in parts and process != thread, stop
    return process, parts['thread']

# A thread of its maker's: in the lists, with registers, memory and steps; its end is not told.
for kind in ('shared', 'sigchld', 'copy'):
    with Remote.stdio('./clones', kind) as gdb:
        gdb.start()
        gdb.ok(f'Z0,{inside:x},1')
        process, thread = at_hit(gdb)
        whole = b'p' + process + b'.' + process
        listed = gdb.packet('qfThreadInfo')
        assert whole in listed and thread in listed, listed
        assert b'id="' + thread + b'"' in gdb.packet('qXfer:threads:read::0,1000')
        for each in (whole, thread):
            gdb.ok(b'T' + each)
            gdb.ok(b'Hg' + each)
            assert len(gdb.packet('g')) > 100
        assert gdb.packet('qC') == b'QC' + thread
        gdb.over(inside, thread)
        gdb.ok(b'Hg' + whole) # taken out of the maker's memory it is out of a copy, too
        gdb.ok(f'z0,{inside:x},1')
        assert gdb.resume(b'vCont;s:' + thread)[:3] == b'T05'
        stop = gdb.resume()
        if stop[:3] == b'T14': # SIGCHLD, which this client has not asked to be passed
            stop = gdb.resume()
        assert stop == b'W00;process:' + process, (kind, stop)

# Its birth and end, to a client that has asked for them.
with Remote.stdio('./clones', 'shared') as gdb:
    gdb.start()
    gdb.ok('QThreadEvents:1')
    gdb.ok(f'Z0,{inside:x},1')
    stop = gdb.resume()
    born = fields(stop)
    assert 'create' in born, stop
    process, thread = at_hit(gdb)
    assert thread == born['thread'], (stop, thread)
    gdb.ok(f'z0,{inside:x},1')
    stop = gdb.resume()
    while stop[:1] == b'T':
        stop = gdb.resume()
    assert stop[:1] == b'w' and stop.endswith(b';' + thread), stop
    assert gdb.resume() == b'W00;process:' + process

# The end of a process's first thread is not told, and holds nobody up.
with Remote.stdio('./clones') as gdb:
    gdb.start()
    gdb.ok('QThreadEvents:1')
    assert gdb.resume()[:3] == b'W05'

# It leaves by an exec: the new program is not the client's. And an owner that ends first: its end is told with the last.
for kind, status in (('exec', b'W00'), ('orphan', b'W03')):
    with Remote.stdio('./clones', kind) as gdb:
        gdb.start()
        gdb.ok(f'Z0,{inside:x},1')
        process, thread = at_hit(gdb)
        gdb.ok(f'z0,{inside:x},1')
        stop = gdb.resume()
        if stop[:3] == b'T14':
            stop = gdb.resume()
        assert stop == status + b';process:' + process, (kind, stop)

# Both are let go, and killed, as one.
for ending in (b'D;', b'vKill;'):
    with Remote.stdio('./clones', 'shared') as gdb:
        gdb.start()
        gdb.ok(f'Z0,{inside:x},1')
        process, thread = at_hit(gdb)
        gdb.ok(ending + process)
PYTHON

if command -v gdb >/dev/null; then
    timeout 60 gdb -nx -batch -ex 'set sysroot' -ex "target remote | $REIN_BUILD/rein-gdbserver - ./clones shared" \
        -ex 'break inside' -ex continue -ex 'info threads' -ex continue ./clones >gdb.out 2>&1 || fail "gdb: $(cat gdb.out)"
    grep -q '^\* 2 .*inside' gdb.out || fail "gdb sees no second thread: $(cat gdb.out)"
    grep -q 'exited normally' gdb.out || fail "gdb: $(cat gdb.out)"
fi
