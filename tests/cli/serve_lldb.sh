#!/usr/bin/env bash
# lldb's dialect: its packets, with good and bad arguments. serve_lldb_steps.sh has lldb itself as the client.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >program.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
struct point {
    int x, y;
    char name[8];
};
int counter;
struct point origin = {3, 4, "orig"};
double ratio = 1.5;
volatile int go;
int square(int value)
{
    int result = value * value;
    counter += result;
    return result;
}
int outer(int value)
{
    int first = square(value);
    int second = square(value + 1);
    return first + second;
}
void *worker(void *arg)
{
    while (!go)
        usleep(1000);
    return arg;
}
void on_signal(int number)
{
    counter += number;
}
int main(int argc, char **argv)
{
    pthread_t threads[2];
    struct point local = {1, 2, "here"};
    const char *text = getenv("GREETING");
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, worker, NULL);
    int sum = 0;
    for (int i = 0; i < 6; i++)
        sum += outer(i);
    local.x = sum;
    origin.x += local.x;
    raise(SIGUSR1);
    int child = fork(), status;
    if (child == 0)
        _exit(7);
    waitpid(child, &status, 0);
    go = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("sum %d, argc %d, argv %s, text %s, status %d\n", sum, argc, argv[argc - 1], text ? text : "-",
           WEXITSTATUS(status));
    return 42;
}
C
tracee -O0 -no-pie -fno-pie -o program program.c -pthread

# ---- The packets ----

cat >client.py <<'PYTHON'
import json
from remote import *

def info(reply):
    assert reply[:1] != b'E' and reply, reply
    return dict(part.split(b':', 1) for part in reply.rstrip(b';').split(b';'))

def text(value):
    return unhexed(value).decode()

LLDB = 'xmlRegisters=i386,arm,mips,arc;multiprocess+;fork-events+;vfork-events+'
square, counter, go = (symbol('program', name) for name in ('square', 'counter', 'go'))

with Remote.stdio('./program') as lldb:
    lldb.start(LLDB)
    lldb.ok('QThreadSuffixSupported')
    lldb.ok('QListThreadsInStopReply')
    host = info(lldb.packet('qHostInfo'))
    assert '-linux-' in text(host[b'triple']) and host[b'endian'] == b'little' and host[b'ptrsize'] in (b'4', b'8')
    process = info(lldb.packet('qProcessInfo'))
    pid = int(process[b'pid'], 16)
    assert int(process[b'effective-uid'], 16) == os.geteuid() and '-linux-' in text(process[b'triple'])
    wide = process[b'ptrsize'] == b'8'

    # Registers one by one, up to the first error.
    named, at = {}, 0
    while (reply := lldb.packet(f'qRegisterInfo{len(named):x}'))[:1] != b'E':
        register = info(reply)
        assert int(register[b'offset']) == at, register
        at += int(register[b'bitsize']) // 8
        named[register[b'name']] = register
    assert {b'pc', b'sp', b'fp'} <= {each.get(b'generic') for each in named.values()}
    assert len(lldb.packet('g')) == 2 * at
    for bad in ('x', '', 'ffffffffffffffffff', '-1'):
        assert lldb.packet('qRegisterInfo' + bad)[:1] == b'E', bad

    # A stop says nearly all.
    lldb.ok(f'Z0,{square:x},1')
    stop = fields(lldb.resume('c'))
    main = int(stop['thread'].split(b'.')[-1], 16)
    threads = [int(each, 16) for each in stop['threads'].split(b',')]
    assert main == pid and main in threads and 1 <= len(threads) <= 3
    assert len(stop['thread-pcs'].split(b',')) == len(threads)
    assert stop['reason'] == b'breakpoint' and stop['name'] == b'program'
    general = [name for name in stop if re.fullmatch('[0-9a-f]+', name)]
    assert len(general) >= 16, general
    whole = lldb.packet('g')
    pieces = dict(re.findall(rb'memory:(0x[0-9a-f]+)=([0-9a-f]+);', lldb.packet(f'qThreadStopInfo{main:x}')))
    assert pieces
    for address, bytes_ in pieces.items():
        assert lldb.read(int(address, 16), len(bytes_) // 2) == unhexed(bytes_)
    told = json.loads(unescape(lldb.packet('jThreadsInfo')))
    assert sorted(each['tid'] for each in told) == sorted(threads)
    mine = [each for each in told if each['tid'] == main][0]
    assert mine['reason'] == 'breakpoint' and mine['signal'] == 5 and len(mine['registers']) == 3
    if len(threads) > 1:
        assert sorted(each['tid'] for each in json.loads(unhexed(stop['jstopinfo']))) == sorted(threads)
        other = [each for each in threads if each != main][0]
        assert fields(lldb.packet(f'qThreadStopInfo{other:x}'))['thread'].split(b'.')[-1] == b'%x' % other
    for bad in ('', 'x', '1', 'ffffffffff', '0', '-1'):
        assert lldb.packet('qThreadStopInfo' + bad)[:1] == b'E', bad

    # Memory: what is mapped, and holes.
    lldb.ok('qMemoryRegionInfo')
    for address, permissions in ((square, b'rx'), (counter, b'rw')):
        region = info(lldb.packet(f'qMemoryRegionInfo:{address:x}'))
        start, size = int(region[b'start'], 16), int(region[b'size'], 16)
        assert start <= address < start + size and region[b'permissions'] == permissions, region
        assert text(region[b'name']).endswith('/program')
    at, count = 0, 0
    while at < 1 << 64 and count < 1000: # one after the other, through all of the addresses
        region = info(lldb.packet(f'qMemoryRegionInfo:{at:x}'))
        assert int(region[b'start'], 16) == at, (at, region)
        at, count = at + int(region[b'size'], 16), count + 1
        if at >= (1 << 64) - 1:
            break
    assert 10 < count < 1000
    for bad in (':', ':x', ':1,1', ':10000000000000000', 'x'):
        assert lldb.packet('qMemoryRegionInfo' + bad)[:1] == b'E', bad
    path = os.path.realpath('program')
    assert int(lldb.packet(b'qFileLoadAddress:' + hexed(path)), 16) <= square
    for bad in (hexed('/nowhere'), b'', b'x', b'2f0'):
        assert lldb.packet(b'qFileLoadAddress:' + bad)[:1] == b'E', bad
    place = int(lldb.packet('qShlibInfoAddr'), 16)
    assert int.from_bytes(lldb.read(place, 8 if wide else 4), 'little') != 0

    # Memory of the client's own.
    given = int(lldb.packet('_M1000,rw'), 16)
    code = int(lldb.packet('_M2000,rx'), 16)
    lldb.ok(f'M{given:x},4:01020304')
    assert lldb.read(given, 4) == b'\x01\x02\x03\x04'
    assert info(lldb.packet(f'qMemoryRegionInfo:{code:x}'))[b'permissions'] == b'rx'
    assert lldb.packet('g') == whole
    lldb.ok(f'_m{given:x}')
    assert lldb.packet(f'm{given:x},1')[:1] == b'E'
    for bad in (f'_m{given:x}', '_m', '_mx', f'_m{counter:x}', '_M', '_M0,rw', '_M1000', '_M1000,z', '_Mffffffffffffffff,rw',
                '_Mx,r', '_M10000000000000000,r'):
        assert lldb.packet(bad)[:1] == b'E', bad

    # Registers are saved and put back.
    suffix = f';thread:{main:x};'
    saved = lldb.packet('QSaveRegisterState' + suffix).decode()
    assert int(saved) > 0
    lldb.ok(b'P1=' + b'55' * (8 if wide else 4) + suffix.encode())
    assert lldb.packet('g') != whole
    lldb.ok(f'QRestoreRegisterState:{saved}{suffix}')
    assert lldb.packet('g') == whole
    for bad in (saved + suffix, '9999' + suffix, suffix, 'x' + suffix, '-1' + suffix, '1;thread:1;', ''):
        assert lldb.packet('QRestoreRegisterState:' + bad)[:1] == b'E', bad
    first = lldb.packet('QSaveRegisterState' + suffix).decode()
    for _ in range(100): # they are not kept for ever
        assert int(lldb.packet('QSaveRegisterState' + suffix)) > int(first)
    assert lldb.packet(f'QRestoreRegisterState:{first}{suffix}')[:1] == b'E'
    assert lldb.packet('QSaveRegisterState;thread:1;')[:1] == b'E'

    # A watchpoint, named as lldb names it.
    assert lldb.packet('qWatchpointSupportInfo:') == b'num:4;'
    lldb.ok(f'z0,{square:x},1')
    if lldb.packet(f'Z2,{counter:x},4') == b'OK':
        stop = fields(lldb.resume('c'))
        assert stop['reason'] == b'watchpoint' and unhexed(stop['description']).split()[0] == b'%d' % counter, stop
        lldb.ok(f'z2,{counter:x},4')
    # A signal has Linux's number.
    assert lldb.resume('c').startswith(b'T%02x' % signal.SIGUSR1)
    assert lldb.packet('k') == b'X09'

# Starting and attaching.
with Remote.stdio(options=('--multi',)) as lldb:
    lldb.start(LLDB)
    lldb.ok('QThreadSuffixSupported')
    for packet in ('qProcessInfo', 'qLaunchSuccess', 'qC'):
        assert lldb.packet(packet)[:1] == b'E', packet
    assert lldb.packet('qfThreadInfo') == b'OK' # an end of a list ("l") is a process 1 to lldb: it would never be connected
    lldb.ok('QEnableErrorStrings')
    code, message = lldb.packet('vAttach;7fffffff').split(b';')
    assert re.fullmatch(b'E[0-9a-f]{2}', code) and b'2147483647' in unhexed(message), (code, message)
    for name in ('STDIN', 'STDOUT', 'STDERR'):
        lldb.ok(f'QSet{name}:'.encode() + hexed('/dev/null' if name == 'STDIN' else os.path.realpath(name.lower())))
        assert lldb.packet(f'QSet{name}:x')[:1] == b'E'
    lldb.ok('QSetDisableASLR:1')
    assert lldb.packet('QSetDisableASLR:2')[:1] == b'E'
    lldb.ok('QEnvironment:GREETING=hello there')
    assert lldb.packet('QEnvironment:nothing')[:1] == b'E'
    lldb.ok('QLaunchArch:x86_64')
    assert unhexed(lldb.packet('qGetWorkingDir')) == os.getcwd().encode()
    words = [hexed(os.path.realpath('program')), hexed('one'), hexed('two words')]
    packet = b','.join(b'%d,%d,%s' % (len(word), i, word) for i, word in enumerate(words))
    for bad in (b'', b'1', b'4,0', b'4,1,2f2f', b'9,0,2f2f', b'4,0,2f2', b'4,0,zzzz', packet + b',', hexed('/nowhere')):
        assert lldb.packet(b'A' + bad)[:1] == b'E', bad
    lldb.ok(b'A' + packet)
    lldb.ok('qLaunchSuccess')
    assert lldb.packet('?')[:1] == b'T'
    stop = lldb.resume('c')
    while stop[:1] == b'T': # SIGUSR1, SIGCHLD, the fork
        child = re.search(rb';?fork:p([0-9a-f]+)\.', stop)
        if child:
            lldb.ok(b'D;' + child.group(1))
        number = int(stop[1:3], 16)
        stop = lldb.resume(b'C%02x' % number if number != 5 else b'c')
    assert stop[:3] == b'W2a', stop
    with open('stdout', encoding='utf-8') as file:
        shown = file.read()
    assert shown == 'sum 146, argc 3, argv two words, text hello there, status 7\n', shown

# By name, which is this test's own.
with Remote.stdio(options=('--multi',)) as lldb:
    lldb.start(LLDB)
    lldb.ok('!') # it shall stay when a process is let go
    lldb.ok('QThreadSuffixSupported')
    name = hexed(f'rein-{os.getpid()}')
    for packet in ('vAttachName;', 'vAttachWait;', 'vAttachOrWait;'):
        assert lldb.packet(packet)[:1] == b'E' and lldb.packet(packet + 'x')[:1] == b'E'
    assert lldb.packet(b'vAttachName;' + name)[:1] == b'E' # there is none
    lldb.ok('qVAttachOrWaitSupported')
    with open('stepping.c', 'w', encoding='utf-8') as file:
        file.write('#include <unistd.h>\nint main(void) { for (;;) usleep(10000); }\n')
    subprocess.run(os.environ.get('TRACEE_CC', 'cc').split() + ['-o', unhexed(name), 'stepping.c'], check=True)
    running = subprocess.Popen([b'./' + unhexed(name)])
    try:
        stop = fields(lldb.packet(b'vAttachName;' + name))
        assert int(stop['thread'].split(b'.')[-1], 16) == running.pid
        lldb.ok(f'D;{running.pid:x}')
        lldb.send(b'vAttachWait;' + name) # for another one
        others = []
        try:
            while not select.select([lldb.reader], [], [], 0.2)[0]: # which may begin to wait only now
                others.append(subprocess.Popen([b'./' + unhexed(name)]))
            stop = fields(lldb.stop())
            pid = int(stop['thread'].split(b'.')[-1], 16)
            assert pid in [other.pid for other in others]
            lldb.ok(f'D;{pid:x}')
            assert lldb.packet(b'vAttachName;' + name)[:1] == b'E' # there are several
        finally:
            for other in others:
                other.kill()
                other.wait()
        stop = fields(lldb.packet(b'vAttachOrWait;' + name))
        assert int(stop['thread'].split(b'.')[-1], 16) == running.pid
        lldb.ok(f'D;{running.pid:x}')
        lldb.send(b'vAttachWait;' + name)
        lldb.interrupt()
        assert lldb.answer()[:1] == b'E'
    finally:
        running.kill()
        running.wait()
PYTHON
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 100 python3 client.py
