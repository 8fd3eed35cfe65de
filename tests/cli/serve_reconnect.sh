#!/usr/bin/env bash
# What a client finds when it comes to processes that are there already: in non-stop mode which threads are stopped, and that each
# is told once, at the begin, and when it could not be stopped at first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >there.c <<'C'
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
static void *waits(void *arg)
{
    for (;;)
        usleep(1000);
    return arg;
}
static void *vforks(void *arg)
{
    if (vfork() == 0) {
        close(open("vforked", O_CREAT | O_WRONLY, 0600));
        while (access("go", F_OK) != 0)
            usleep(1000);
        _exit(0);
    }
    return waits(arg);
}
int main(int argc, char **argv)
{
    int vfork_one = argc > 1 && strcmp(argv[1], "vfork") == 0;
    pthread_t thread;
    for (int i = 0; i < (vfork_one ? 1 : 10); i++)
        pthread_create(&thread, NULL, vfork_one ? vforks : waits, NULL);
    waits(NULL);
}
C
tracee -pthread -o there there.c

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 150 python3 - <<'PYTHON'
import atexit
import faulthandler
import shutil
from remote import *

faulthandler.dump_traceback_later(140, exit=True)

def states(pid):
    """Of its threads, as the kernel has them."""
    return [open(f'/proc/{pid}/task/{tid}/stat', encoding='ascii').read().rpartition(')')[2].split()[0] for tid in os.listdir(f'/proc/{pid}/task')]

def stops_of(gdb, count):
    """So many threads' stops, by notifications: each thread once."""
    stops = []
    while len(stops) < count:
        stops.append(gdb.notification().removeprefix(b'Stop:'))
        while (more := gdb.packet('vStopped')) != b'OK':
            stops.append(more)
    assert len({fields(stop)['thread'] for stop in stops}) == count == len(stops), stops
    return stops

child = subprocess.Popen(['./there'], stdin=subprocess.DEVNULL)
atexit.register(child.kill)
wait_for(lambda: len(os.listdir(f'/proc/{child.pid}/task')) == 11)

# Attached to by the command line: one is stopped, and the others run; vCont;t stops them.
with Remote.attached(child.pid) as gdb:
    gdb.start()
    gdb.ok('QNonStop:1')
    stop = gdb.packet('?')
    assert stop[:3] == b'T00' and fields(stop)['thread'] == b'p%x.%x' % (child.pid, child.pid), stop
    assert gdb.packet('vStopped') == b'OK'
    wait_for(lambda: states(child.pid).count('t') == 1)
    gdb.ok('vCont;t')
    assert all(stop[:3] == b'T00' for stop in stops_of(gdb, 10))
    # Asked once more, it tells all of them.
    assert gdb.packet('?')[:1] == b'T' and all(gdb.packet('vStopped')[:1] == b'T' for _ in range(10))
    assert gdb.packet('vStopped') == b'OK'
    assert states(child.pid).count('t') == 11
    gdb.ok('vCont;c')
    gdb.ok(f'D;{child.pid:x}')

# A vfork parent cannot stop: the answer does not wait for it, and it is told when it has.
with Remote.stdio('./there', 'vfork', stderr=subprocess.DEVNULL) as gdb:
    gdb.start('multiprocess+')
    gdb.ok('QNonStop:1')
    main = fields(gdb.packet('?'))['thread']
    assert gdb.packet('vStopped') == b'OK'
    gdb.ok('vCont;c')
    wait_for(lambda: os.path.exists('vforked'))
    gdb.ok('vCont;t')
    stop, = stops_of(gdb, 1)
    assert stop[:3] == b'T00' and fields(stop)['thread'] == main, stop
    open('go', 'w', encoding='ascii').close()
    stop, = stops_of(gdb, 1)
    assert stop[:3] == b'T00' and fields(stop)['thread'] != main, stop
    gdb.send('k')

# gdb 13 takes one stop at the begin, and dies of two.
if shutil.which('gdb'):
    server = subprocess.Popen([SERVER, '--attach', 'localhost:0', str(child.pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    atexit.register(server.kill)
    while not (found := re.match(rb'Listening on port (\d+)', server.stderr.readline())):
        pass
    connect = b'target extended-remote localhost:' + found.group(1)
    commands = [b'set non-stop on', connect, b'info threads', b'detach']
    done = subprocess.run(['gdb', '-q', '-nx', '-batch', *(word for each in commands for word in ('-ex', each.decode()))],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, check=False)
    assert b'internal-error' not in done.stdout and done.returncode == 0, done.stdout.decode(errors='replace')
    assert done.stdout.count(b'"there"') >= 11, done.stdout.decode(errors='replace')
    server.terminate()
    server.wait(LIMIT)
child.kill()
PYTHON
