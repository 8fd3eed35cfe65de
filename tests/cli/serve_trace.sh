#!/usr/bin/env bash
# Tracepoints through the server: what is collected at hits and at the steps behind them, the ring of frames and the ways to look for
# one, what a frame shows and what it does not, how runs end, what a later client is told, and that nothing is left in the program.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
. "$here/gdb.sh"
command -v python3 >/dev/null || skip "no python3"
[ "$REIN_CPU" = x86_64 ] || skip "registers and code are amd64's"

cat >traced.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
volatile int counter, finished, handled;
volatile int *nowhere;
int numbers[4] = {11, 22, 33, 44};
const char text[] = "constant";
char words[16] = "words";
__attribute__((noinline)) int hit(int i) { counter = i; return i * 2; }
__attribute__((noinline)) void done(void) { finished++; }
static void handler(int number) { handled += number; }
static void *body(void *arg)
{
    for (int i = 1; i <= 100; i++)
        hit(i);
    return arg;
}
int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    for (int i = 1; i <= 10; i++)
        hit(i);
    done();
    alarm(200); /* whatever becomes of the test */
    if (strcmp(what, "endless") == 0)
        for (int i = 0;; i++) {
            hit(i);
            usleep(100);
        }
    if (strcmp(what, "busy") == 0)
        for (int i = 0;; i++)
            hit(i);
    if (strcmp(what, "threads") == 0) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, body, NULL);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    if (strcmp(what, "signals") == 0) {
        signal(SIGUSR1, handler);
        for (int i = 0; i < 10; i++) {
            raise(SIGUSR1);
            hit(i);
        }
    }
    if (strcmp(what, "fork") == 0) {
        if (fork() == 0) {
            hit(5);
            _exit(3);
        }
        wait(NULL);
        if (vfork() == 0) {
            hit(6);
            _exit(4);
        }
        wait(NULL);
    }
    if (strcmp(what, "exec") == 0)
        execl(argv[0], argv[0], (char *)NULL);
    done();
    return 0;
}
C
tracee -g -O1 -no-pie -fno-pie -pthread -o traced traced.c

cat >frames.py <<'PYTHON'
import struct
from remote import *

hit, done, counter, numbers, text, nowhere, words, finished = (
    symbol('traced', name) for name in ('hit', 'done', 'counter', 'numbers', 'text', 'nowhere', 'words', 'finished'))
RDI, RSP, RIP = 5, 7, 16
plain = open('traced', 'rb').read()[hit - 0x400000:hit - 0x400000 + 8]

def code(*parts):
    """Bytecode as it stands in a packet."""
    data = b''.join(part if isinstance(part, bytes) else bytes([part]) for part in parts) + b'\x27'
    return 'X%x,%s' % (len(data), data.hex())

def const(value):
    return b'\x25' + struct.pack('>Q', value)

def reg(number):
    return b'\x26' + struct.pack('>H', number)

def variable(opcode, number):
    return bytes([opcode]) + struct.pack('>H', number)

REF32, DIV, EQUAL, ADD, TRACE, TRACENZ, POP = b'\x19', b'\x05', b'\x13', b'\x02', b'\x0c', b'\x2f', b'\x29'

def status(gdb):
    reply = gdb.packet('qTStatus').decode()
    assert reply[:1] == 'T', reply
    reason, *parts = reply[3:].split(';')
    result = dict(part.partition(':')[::2] for part in parts)
    result.update(running=reply[1], reason=reason)
    return result

def define(gdb, number, address, *actions, steps=0, passes=0, condition='', enabled='E', step_actions=()):
    everything = [*actions, *(('S' if not i else '') + action for i, action in enumerate(step_actions))]
    condition = ':' + condition if condition else ''
    gdb.ok(f'QTDP:{number:x}:{address:x}:{enabled}:{steps:x}:{passes:x}{condition}{"-" if everything else ""}')
    for i, action in enumerate(everything):
        gdb.ok(f'QTDP:-{number:x}:{address:x}:{action}{"-" if i + 1 < len(everything) else ""}')

def begin(*arguments, **how):
    gdb = Remote.stdio('./traced', *arguments, **how).start()
    gdb.ok(f'Z0,{done:x},1')
    gdb.ok('QTinit')
    return gdb

def register(gdb, number):
    reply = gdb.packet(f'p{number:x}')
    return None if reply[:1] == b'x' else int.from_bytes(unhexed(reply), 'little')

def collected(gdb, reader):
    """reader() of each frame, from the first on."""
    values, number = [], 0
    while (reply := gdb.packet(f'QTFrame:{number:x}')) != b'F-1':
        assert reply.split(b'T')[0] == b'F%x' % number, reply
        values.append(reader())
        number += 1
    gdb.ok('QTFrame:ffffffff')
    return values

def code_of(pid, address, size):
    with open(f'/proc/{pid}/mem', 'rb') as memory:
        memory.seek(address)
        return memory.read(size)
PYTHON

PYTHONPATH=$here:. PYTHONDONTWRITEBYTECODE=1 timeout 200 python3 - <<'PYTHON'
from frames import *

# What is told of it, and what a run collects.
with begin() as gdb:
    for name in ('ConditionalTracepoints', 'TraceStateVariables', 'TracepointSource', 'DisconnectedTracing', 'InstallInTrace',
                 'EnableDisableTracepoints', 'QTBuffer:size', 'tracenz', 'qXfer:traceframe-info:read'):
        assert gdb.features.get(name) == b'+', name
    assert 'FastTracepoints' not in gdb.features
    assert gdb.packet('qTStatus') == (b'T0;tnotrun:0;tframes:0;tcreated:0;tfree:500000;tsize:500000;circular:0;disconn:0;'
                                      b'starttime:0;stoptime:0;username:;notes::')
    assert gdb.packet('qTV:1') == b'U'
    gdb.ok('QTDV:2:5:0:' + b'mine'.hex())
    gdb.ok(f'QTro:{text:x},{text + 8:x}')
    define(gdb, 1, hit, 'R03FFFFFFFFFFFFFFFFFF', f'M-1,{counter:x},4', f'MFFFFFFFF,{numbers:x},10',
           code(variable(0x2c, 2), b'\x22\x01', ADD, variable(0x2d, 2), POP, variable(0x2e, 2)), f'M{RSP:x},0,8')
    define(gdb, 2, done)
    gdb.ok('QTNotes:user:%s;notes:%s;' % (b'me'.hex(), b'why'.hex()))
    gdb.ok('QTStart')
    assert gdb.packet('QTStart')[:1] == b'E'
    assert gdb.packet('QTBuffer:size:1000')[:1] == b'E'
    stop = gdb.resume()
    pid = int(fields(stop)['thread'][1:].split(b'.')[0], 16)
    assert fields(stop)['swbreak'] == b''   # the breakpoint at the same place as the second
    now = status(gdb)
    assert now['running'] == '1' and now['tframes'] == 'b' and now['tcreated'] == 'b', now
    assert now['username'] == b'me'.hex() and now['notes'] == b'why'.hex() + ':', now
    assert int(now['tfree'], 16) < 0x500000 and int(now['starttime'], 16) > 0 == int(now['stoptime'], 16), now
    assert code_of(pid, hit, 8) == plain    # it is stopped: breakpoints are in memory only while something runs
    gdb.ok('QTNotes:tstop:%s;' % b'enough'.hex())
    gdb.ok('QTStop')
    now = status(gdb)
    assert now['running'] == '0' and now['reason'] == 'tstop:%s:0' % b'enough'.hex(), now
    assert gdb.packet(f'qTP:1:{hit:x}').startswith(b'Va:') and gdb.packet(f'qTP:2:{done:x}') == b'V1:0'
    assert gdb.packet(f'qTP:3:{done:x}')[:1] == b'E'

    live = unhexed(gdb.packet('g'))
    values = collected(gdb, lambda: (register(gdb, RDI), register(gdb, RIP), gdb.packet(f'm{counter:x},4'), gdb.packet('qTV:2')))
    assert [value[0] for value in values[:10]] == list(range(1, 11)), values
    assert all(value[1] == hit for value in values[:10])
    assert [value[2] for value in values[:10]] == [hexed(struct.pack('<i', i)) for i in range(10)], values
    assert [value[3] for value in values[:10]] == [b'V%x' % i for i in range(6, 16)], values
    assert gdb.packet('qTV:2') == b'Vf'

    # One frame, in all ways.
    assert gdb.packet('QTFrame:3') == b'F3T1'
    assert gdb.packet(f'm{numbers:x},20') == hexed(struct.pack('<4i', 11, 22, 33, 44))   # as much as there is
    assert gdb.packet(f'm{numbers + 4:x},4') == hexed(struct.pack('<i', 22))
    assert gdb.packet(f'm{numbers + 16:x},4')[:1] == gdb.packet(f'm{words:x},4')[:1] == b'E'
    assert gdb.packet(f'm{text:x},8') == hexed(b'constant')
    assert gdb.packet(f'm{text + 8:x},8')[:1] == b'E'
    frame = unhexed(gdb.packet('g'))
    assert len(frame) == len(live) and frame != live and frame[16 * 8:17 * 8] == struct.pack('<Q', hit)
    sp = register(gdb, RSP)
    assert len(unhexed(gdb.packet(f'm{sp:x},8'))) == 8
    info = gdb.xfer('traceframe-info').decode()
    for part in (f'<memory start="0x{counter:x}" length="0x4"/>', f'<memory start="0x{numbers:x}" length="0x10"/>',
                 f'<memory start="0x{sp:x}" length="0x8"/>', '<tvar id="2"/>'):
        assert part in info, info
    for packet in (b'G' + hexed(live), b'P0=' + b'0' * 16, f'M{counter:x},1:00', f'X{counter:x},1:a', 'pfff', 'p'):
        assert gdb.packet(packet)[:1] == b'E', packet
    assert gdb.packet('qTV:3') == b'U'

    # Searches go on from the frame that is chosen.
    for packet, reply in (('QTFrame:tdp:1', b'F4T1'), (f'QTFrame:pc:{hit:x}', b'F5T1'), (f'QTFrame:range:{hit:x}:{hit:x}', b'F6T1'),
                          (f'QTFrame:outside:{hit:x}:{hit:x}', b'FaT2'), ('QTFrame:tdp:1', b'F-1'), ('QTFrame:b', b'F-1'),
                          ('QTFrame:fffffffffffffffe', b'F-1')):
        assert gdb.packet(packet) == reply, packet
    # The last has no registers: its place is known all the same.
    assert register(gdb, RIP) == done and gdb.packet('p0') == b'xx' * 8
    assert gdb.xfer('traceframe-info') == b'<traceframe-info>\n</traceframe-info>\n'
    gdb.ok('QTFrame:ffffffff')
    assert gdb.packet('qXfer:traceframe-info:read::0,100')[:1] == b'E'
    assert unhexed(gdb.packet('g')) == live
    for bad in ('QTFrame:', 'QTFrame:pc:', 'QTFrame:x', 'QTFrame:range:1', 'QTFrame:tdp:-1', 'qTV:', 'qTV:x', 'qTBuffer:', 'qTBuffer:1',
                'qTBuffer:fffffff,10', 'QTBuffer:size:', 'QTBuffer:size:ffffffffffff', 'QTBuffer:circular:', 'QTDisconnected:x',
                'QTNotes:what:00;', 'QTNotes:user:0;'):
        assert gdb.packet(bad)[:1] == b'E', bad

    # The buffer as a whole, as gdb writes it to a file.
    whole, offset = b'', 0
    while (piece := gdb.packet(f'qTBuffer:{offset:x},7ff')) != b'l':
        whole += unhexed(piece)
        offset = len(whole)
    assert len(whole) == 0x500000 - int(now['tfree'], 16)
    at, seen = 0, []
    while at < len(whole):
        number, size = struct.unpack_from('<hI', whole, at)
        seen.append((number, whole[at + 6:at + 7]))
        at += 6 + size
    assert at == len(whole) and seen == [(1, b'R')] * 10 + [(2, b'')], seen

    # It can be defined and run anew.
    gdb.ok('QTinit')
    assert status(gdb)['tframes'] == '0' and gdb.packet('qTfP') == b'l'
    gdb.ok(f'z0,{done:x},1')
    assert gdb.resume()[:1] == b'W'

# What was defined is told as it came.
with begin() as gdb:
    true = code(b'\x22\x01')
    define(gdb, 0x12, hit, 'R0F', f'M-1,{counter:x},4', steps=3, passes=7, condition=true, enabled='D', step_actions=['R0F', code(const(words), b'\x22\x10', TRACENZ)])
    gdb.ok(f'QTDP:3:{done:x}:E:0:0:F5')
    gdb.ok(f'QTDPsrc:12:{hit:x}:at:0:3:' + b'hit'.hex())
    gdb.ok(f'QTDPsrc:12:{hit:x}:cmd:0:d:' + b'collect $regs'.hex())
    pieces = [gdb.packet('qTfP')]
    while pieces[-1] != b'l':
        pieces.append(gdb.packet('qTsP'))
    place = f'12:{hit:x}:'
    assert pieces == [to_bytes(piece) for piece in (
        f'T{place}D:3:7:{true}', f'A{place}R0F', f'A{place}M-1,{counter:x},4', f'S{place}R0F',
        f'S{place}' + code(const(words), b'\x22\x10', TRACENZ), f'Z{place}at:0:3:' + b'hit'.hex(),
        f'Z{place}cmd:0:d:' + b'collect $regs'.hex(), f'T3:{done:x}:E:0:0:F5', 'l')], pieces
    gdb.ok('QTDV:5:ffffffffffffffff:0:' + b'five'.hex())
    assert gdb.packet('qTfV') == b'5:ffffffffffffffff:0:' + b'five'.hex().encode()
    assert gdb.packet('qTsV') == b'1:0:1:' + b'trace_timestamp'.hex().encode() and gdb.packet('qTsV') == b'l'
    assert gdb.packet('QTStart').startswith(b'E.In-process agent library not loaded')   # the fast one
    assert gdb.packet('qTMinFTPILen') == b'5'
    for bad in (f'QTDP:12:{hit:x}:E:0:0', 'QTDP:', 'QTDP:0:1000:E:0:0', 'QTDP:9:1000:X:0:0', 'QTDP:9:1000:E:0', 'QTDP:ffff:1000:E:0:0',
                'QTDP:9:1000:E:0:0:Q', 'QTDP:9:1000:E:0:0:X1,', 'QTDP:9:1000:E:0:0:X1,ff', 'QTDP:9:1000:E:0:0:X3,2603e8',
                'QTDP:9:1000:E:0:0:X4,2c800127', 'QTDP:-9:1000:R0', f'QTDP:-12:{hit:x}:Q', f'QTDP:-12:{hit:x}:M1', f'QTDP:-12:{hit:x}:X9,27',
                'QTDPsrc:9:1000:at:0:1:00', f'QTDPsrc:12:{hit:x}:at:0', f'QTDPsrc:12:{hit:x}:at:0:1:zz', 'QTDV:', 'QTDV:0:0:0:', 'QTDV:6:0:0:zz',
                'QTEnable:9:1000', 'QTDisable:', 'QTro:1', 'qTP:', 'qTP:12'):
        assert gdb.packet(bad)[:1] == b'E', bad
    assert gdb.packet('qTfP') == pieces[0]

# Conditions, and tracepoints that are off, at the same place.
with begin() as gdb:
    define(gdb, 1, hit, 'R0', condition=code(reg(RDI), b'\x22\x04', EQUAL))
    define(gdb, 2, hit, enabled='D')
    define(gdb, 3, hit, code(b'\x22\x08', const(numbers), b'\x0c' * 0, b'\x2b', TRACE))
    define(gdb, 4, hit, code(const(nowhere), b'\x1a', REF32, POP), code(const(words), b'\x22\x10', TRACENZ), f'M-1,0,4',
           condition=code(const(nowhere), b'\x1a', REF32, b'\x0e'))   # what is not there is no reason to end it all
    gdb.ok('QTStart')
    gdb.resume()
    assert [gdb.packet(f'qTP:{n}:{hit:x}').split(b':')[0] for n in (1, 2, 3, 4)] == [b'V1', b'V0', b'Va', b'V0']
    gdb.ok(f'QTEnable:2:{hit:x}')
    gdb.ok(f'QTDisable:3:{hit:x}')
    gdb.ok('QTStop')
    assert len(collected(gdb, lambda: 0)) == 11

# How runs end: the buffer is full.
with begin() as gdb:
    gdb.ok('QTBuffer:size:4')
    define(gdb, 1, hit)
    gdb.ok('QTStart')
    gdb.resume()
    now = status(gdb)
    assert (now['running'], now['reason'], now['tframes'], now['tsize']) == ('0', 'tfull:0', '0', '4'), now
    gdb.ok('QTBuffer:size:64')
    gdb.ok('QTStart')
    gdb.ok('QTStop')
    gdb.ok('QTBuffer:size:-1')
    assert status(gdb)['tsize'] == '500000'

# ... or is circular: the newest frames are there.
for size in (100, 101, 107, 4096):
    with begin() as gdb:
        gdb.ok(f'QTBuffer:size:{size:x}')
        gdb.ok('QTBuffer:circular:1')
        define(gdb, 1, hit, f'M-1,{counter:x},4', f'M-1,{numbers:x},3')
        gdb.ok('QTStart')
        gdb.resume()
        now = status(gdb)
        kept = min(10, size // (6 + 15 + 14))
        assert now['running'] == '1' and now['circular'] == '1', now
        assert int(now['tframes'], 16) == kept and int(now['tcreated'], 16) == 10, now
        values = collected(gdb, lambda: struct.unpack('<i', unhexed(gdb.packet(f'm{counter:x},4')))[0])
        assert values == list(range(10))[-kept:], values
        assert unhexed(gdb.packet(f'm{numbers:x},3')) == struct.pack('<i', 11)[:3]

# ... a passcount; an error.
with begin() as gdb:
    define(gdb, 1, hit, passes=4)
    define(gdb, 2, hit)
    gdb.ok('QTStart')
    gdb.resume()
    now = status(gdb)
    assert (now['running'], now['reason'], now['tframes']) == ('0', 'tpasscount:1', '7'), now
    gdb.ok('QTinit')
with begin() as gdb:
    define(gdb, 1, hit, code(const(1), reg(RDI), b'\x22\x05', b'\x03', DIV, POP))   # 1 / (i - 5)
    gdb.ok('QTStart')
    gdb.resume()
    now = status(gdb)
    assert (now['running'], now['reason'], now['tframes']) == ('0', 'terror:%s:1' % b'divide by zero'.hex(), '5'), now
with begin('exec') as gdb:
    define(gdb, 1, hit)
    gdb.ok('QTStart')
    gdb.resume()
    gdb.ok(f'z0,{done:x},1')
    stop = gdb.resume()
    assert b'exec' in stop, stop
    now = status(gdb)
    assert now['running'] == '0' and now['reason'].startswith('terror:') and now['tframes'] == 'a', now

# Defined while it runs; a place where there is nothing.
with begin() as gdb:
    gdb.ok('QTStart')
    define(gdb, 1, hit, 'R0')
    assert gdb.packet('QTDP:2:10:E:0:0')[:1] == b'E' and gdb.packet('qTP:2:10')[:1] == b'E'
    assert gdb.packet(f'QTDP:3:{hit:x}:E:0:0:F5').startswith(b'E.In-process')
    gdb.resume()
    assert status(gdb)['tframes'] == 'a'
    gdb.ok('QTinit')
    define(gdb, 1, 0x10)
    assert gdb.packet('QTStart')[:1] == b'E' and status(gdb)['running'] == '0'

# Steps. The first is behind the first instruction, and a tracepoint on the way is a hit.
with begin() as gdb:
    gdb.ok(f'Z0,{hit:x},1')
    gdb.resume()
    gdb.ok(f'z0,{hit:x},1')
    path = [hit]
    for _ in range(4):
        stop = gdb.resume('vCont;s:' + fields(stop)['thread'].decode() if path[1:] else 'vCont;s')
        path.append(register(gdb, RIP))
    define(gdb, 1, hit, 'R0', steps=4, step_actions=['R0'])
    define(gdb, 2, path[2], 'R0', steps=1, step_actions=['R0'], passes=9)
    gdb.ok('QTStart')
    gdb.resume()
    frames = collected(gdb, lambda: (gdb.packet('qTStatus') and register(gdb, RIP)))
    # The first call was passed by hand. Of each other: the hit, steps 1 and 2, the second's hit, step 3 of the one and 1 of the other, 4.
    # With the ninth step of the second, which ends the run, the last of the first is left out.
    assert frames == ([path[0], path[1], path[2], path[2], path[3], path[3], path[4]] * 9)[:-1], (path, frames)
    assert status(gdb)['reason'] == 'tpasscount:2'

# The client's own step onto a tracepoint, or onto a breakpoint with commands, neither of which is told, has an end.
with begin() as gdb:
    gdb.ok(f'Z0,{hit:x},1')
    stop = gdb.resume()
    thread = fields(stop)['thread'].decode()
    gdb.ok(f'z0,{hit:x},1')
    define(gdb, 1, path[1], steps=5)
    gdb.ok('QTStart')
    gdb.ok(f'Z0,{path[2]:x},1;cmds:0,X1,27')
    for place in path[1:4]:
        stop = gdb.resume('vCont;s:' + thread)
        assert stop[:3] == b'T05' and b'swbreak' not in stop and register(gdb, RIP) == place, (stop, path)
    assert gdb.packet(f'qTP:1:{path[1]:x}').startswith(b'V1:') and status(gdb)['tframes'] == '1'
    stop = gdb.resume('vCont;r%x,%x:%s;c' % (path[3], path[3] + 1, thread))
    assert stop[:3] == b'T05', stop
PYTHON

# Programs that do more than run on.
PYTHONPATH=$here:. PYTHONDONTWRITEBYTECODE=1 timeout 200 python3 - <<'PYTHON'
import atexit
from frames import *

def wait_for(what):
    end = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < end, 'what was waited for did not come'
        time.sleep(0.01)

def pid_of(stop):
    return int(fields(stop)['thread'][1:].split(b'.')[0], 16)

def interrupt_after(gdb, pause=0):
    gdb.send('vCont;c')
    time.sleep(pause)
    gdb.interrupt()
    return gdb.stop()

def to_end(gdb):
    """From the first breakpoint on: whatever is told on the way is an error."""
    gdb.ok(f'z0,{done:x},1')
    stop = gdb.resume()
    assert stop[:3] == b'W00', stop
    return stop

# All threads' hits, with steps by several at once; nothing of it is told, and nothing is lost.
for steps in (0, 3):
    with begin('threads') as gdb:
        gdb.resume()
        define(gdb, 1, hit, f'M-1,{counter:x},4', steps=steps, step_actions=['R0'] if steps else ())
        gdb.ok('QTStart')
        gdb.ok(f'z0,{done:x},1')
        gdb.ok(f'Z0,{done:x},1')
        gdb.over(done, fields(gdb.packet('?'))['thread'])
        stop = gdb.resume()
        assert fields(stop)['swbreak'] == b'', stop
        assert gdb.packet(f'qTP:1:{hit:x}').startswith(b'V190:'), steps
        assert int(status(gdb)['tcreated'], 16) == 400 * (1 + steps)
        gdb.ok('QTStop')
        to_end(gdb)

# Signals between the steps: passed ones, and one that is told, behind which the steps go on.
for passed in (True, False):
    with begin('signals') as gdb:
        if passed:
            gdb.ok('QPassSignals:1e')
        gdb.resume()
        define(gdb, 1, hit, steps=2, step_actions=['R0'])
        gdb.ok('QTStart')
        gdb.ok(f'z0,{done:x},1')
        told = 0
        stop = gdb.resume()
        while stop[:3] == b'T1e':
            told += 1
            stop = gdb.resume('vCont;C1e:' + fields(stop)['thread'].decode() + ';c')
        assert stop[:3] == b'W00' and told == (0 if passed else 10), (stop, told)

# Children are not traced, nor are they harmed.
for events in (False, True):
    with Remote.stdio('./traced', 'fork') as gdb:
        gdb.start(FEATURES if events else FEATURES.replace('fork-events+', 'fork-events-'))
        gdb.ok('QPassSignals:14')
        gdb.ok('QTinit')
        define(gdb, 1, hit, 'R0', steps=2, step_actions=['R0'])
        gdb.ok('QTStart')
        stop, told = gdb.resume(), 0
        while stop[:3] == b'T05':
            told += 1
            what = fields(stop)
            for name in ('fork', 'vfork'):
                if name in what:
                    gdb.ok(b'D;' + what[name][1:].split(b'.')[0])
            if told == 1:
                assert gdb.packet(f'qTP:1:{hit:x}').startswith(b'Va:')
            stop = gdb.resume()
        assert stop[:3] == b'W00' and told == (3 if events else 0), (stop, told)
        now = status(gdb)
        assert now['running'] == '0' and now['tframes'] == '1e' and now['reason'].startswith('terror:'), now

# Walks that are over before the client's resume is, and walkers that are stopped in a step: nothing of it is told.
with begin('busy') as gdb:
    gdb.resume()
    gdb.ok(f'z0,{done:x},1')
    gdb.ok('QTBuffer:circular:1')
    for steps in (1, 4):
        define(gdb, 1, hit, steps=steps)
        gdb.ok('QTStart')
        for i in range(100):
            gdb.ok(f'Z0,{hit:x},1')
            stop = gdb.resume()
            assert fields(stop).get('swbreak') == b'' and register(gdb, RIP) == hit, stop
            gdb.ok(f'z0,{hit:x},1')
            stop = interrupt_after(gdb, i % 3 * 0.002)
            assert stop[:3] == b'T02', stop
        hits = int(gdb.packet(f'qTP:1:{hit:x}')[1:].split(b':')[0], 16)
        frames = int(status(gdb)['tcreated'], 16)
        assert hits > 10 and hits * (1 + steps) - steps <= frames <= hits * (1 + steps), (hits, frames)
        gdb.ok('QTStop')
        gdb.ok('QTinit')
    gdb.send('k')

# Whatever ends it, nothing is left in the program.
child = subprocess.Popen(['./traced', 'endless'], stdin=subprocess.DEVNULL)
atexit.register(child.kill)

def is_traced():
    return b'TracerPid:\t0\n' not in open(f'/proc/{child.pid}/status', 'rb').read()

def trace_child(gdb, **how):
    gdb.start()
    gdb.packet('?')
    gdb.ok('QTinit')
    define(gdb, 1, hit, 'R0', **how)
    gdb.ok('QTStart')

for steps in (0, 5):
    with Remote.attached(child.pid) as gdb:         # it detaches while a trace runs
        trace_child(gdb, steps=steps)
        gdb.send('vCont;c')
        wait_for(lambda: code_of(child.pid, hit, 8) != plain)
        gdb.interrupt()
        gdb.stop()
        gdb.ok(f'D;{child.pid:x}')
    assert not is_traced() and code_of(child.pid, hit, 8) == plain
    with Remote.attached(child.pid) as gdb:         # the client goes away
        trace_child(gdb, steps=steps)
        gdb.send('vCont;c')
        wait_for(lambda: code_of(child.pid, hit, 8) != plain)
    wait_for(lambda: not is_traced())
    assert code_of(child.pid, hit, 8) == plain
    with Remote.attached(child.pid) as gdb:         # it ends by itself, and the breakpoint goes though the program runs
        gdb.start()
        gdb.ok('QNonStop:1')
        gdb.packet('?')
        gdb.packet('vStopped')
        gdb.ok('QTinit')
        define(gdb, 1, hit, 'R0', steps=steps, passes=3)
        gdb.ok('QTStart')
        gdb.ok('vCont;c')
        wait_for(lambda: status(gdb)['reason'] == 'tpasscount:1')
        wait_for(lambda: code_of(child.pid, hit, 8) == plain)
        assert status(gdb)['tframes'] == '%x' % (3 * (1 + steps))
        gdb.ok('vCont;t')
        gdb.notification()
        gdb.ok(f'D;{child.pid:x}')
    assert not is_traced()

# A trace that goes on without a client, and one that does not; by a client that goes away, or lets the program go.
for disconnected in (True, False):
    for way in ('hang up', 'D'):
        for steps in (0, 2):
            with Remote.listening(child.pid, options=['--attach']) as gdb:
                trace_child(gdb, steps=steps, step_actions=['R0'] if steps else ())
                gdb.ok('QTBuffer:circular:1')
                if disconnected:
                    gdb.ok('QTDisconnected:1')
                    assert status(gdb)['disconn'] == '1'
                    gdb.ok(f'Z0,{finished:x},1')
                    gdb.ok(f'Z0,{hit:x},1')         # which is the client's alone, and goes with it
                if way == 'D':
                    gdb.ok(f'D;{child.pid:x}')
                else:
                    gdb.send('vCont;c')
                    if disconnected:
                        gdb.stop()
                        gdb.ok(f'z0,{hit:x},1')
                        gdb.send('vCont;c')
                    wait_for(lambda: code_of(child.pid, hit, 8) != plain)
                    begun = code_of(child.pid, counter, 4)
                    wait_for(lambda: code_of(child.pid, counter, 4) != begun)   # there is a frame
                gdb.hang_up()
                if not disconnected and way == 'D':
                    gdb.process.wait(LIMIT)
                    assert not is_traced() and code_of(child.pid, hit, 8) == plain
                    continue
                if disconnected:
                    wait_for(lambda: code_of(child.pid, hit, 8) != plain)
                with Remote.connect(gdb.port) as later:
                    later.start()
                    stop = later.packet('?')
                    assert pid_of(stop) == child.pid, stop
                    now = status(later)
                    if disconnected:
                        assert now['running'] == '1', now
                        before = int(now['tcreated'], 16)
                        assert later.packet('qTfP') == b'T1:%x:E:%x:0' % (hit, steps)
                        later.ok('QTDisconnected:0')
                        wait_for(lambda: interrupt_after(later) and int(status(later)['tcreated'], 16) > before + 5)
                        later.ok('QTStop')
                    else:
                        assert (now['running'], now['reason']) == ('0', 'tdisconnected:0'), now
                    assert later.packet('QTFrame:0') == b'F0T1'
                    later.ok('QTFrame:ffffffff')
                    later.ok(f'D;{child.pid:x}')
            assert not is_traced() and code_of(child.pid, hit, 8) == plain, (disconnected, way, steps)

# Without a client it ends by itself, and then, too, nothing is left.
with Remote.listening(child.pid, options=['--attach']) as gdb:
    trace_child(gdb, passes=1000)
    gdb.ok('QTDisconnected:1')
    gdb.ok(f'D;{child.pid:x}')
    gdb.hang_up()
    wait_for(lambda: is_traced() and code_of(child.pid, hit, 8) == plain)
    with Remote.connect(gdb.port) as later:
        later.start()
        later.packet('?')
        assert status(later)['reason'] == 'tpasscount:1'
        later.ok(f'D;{child.pid:x}')
assert not is_traced()

# A program that is stopped and continued by others in the middle of steps: it is as long as it is, and runs on then.
with Remote.attached(child.pid) as gdb:
    gdb.start()
    gdb.ok('QNonStop:1')
    gdb.ok('QPassSignals:11;13')
    gdb.packet('?')
    gdb.packet('vStopped')
    gdb.ok('QTinit')
    gdb.ok('QTBuffer:circular:1')
    define(gdb, 1, hit, steps=20000)
    gdb.ok('QTStart')
    gdb.ok('vCont;c')
    state = lambda: open(f'/proc/{child.pid}/stat', encoding='ascii').read().rpartition(')')[2].split()[0]
    for _ in range(5):
        before = int(status(gdb)['tcreated'], 16)
        wait_for(lambda: int(status(gdb)['tcreated'], 16) > before)
        os.kill(child.pid, signal.SIGSTOP)
        wait_for(lambda: state() in 'Tt' and (now := status(gdb)['tcreated']) and all(status(gdb)['tcreated'] == now for _ in range(20)))
        os.kill(child.pid, signal.SIGCONT)
    gdb.ok('QTStop')
    gdb.ok('vCont;t')
    gdb.notification()
    gdb.ok(f'D;{child.pid:x}')
assert not is_traced() and code_of(child.pid, hit, 8) == plain and child.poll() is None

# Non-stop: the client is told of nothing, and asks while the program runs.
with Remote.attached(child.pid) as gdb:
    gdb.start()
    gdb.ok('QNonStop:1')
    gdb.packet('?')
    gdb.packet('vStopped')
    gdb.ok('QTinit')
    define(gdb, 1, hit, 'R0', steps=2, step_actions=['R0'])
    gdb.ok('QTStart')
    gdb.ok('vCont;c')
    wait_for(lambda: int(status(gdb)['tframes'], 16) > 20)
    assert gdb.packet('QTFrame:6') == b'F6T1' and register(gdb, RIP) == hit
    gdb.ok('QTFrame:ffffffff')
    for _ in range(20): # also in the moment in which it stands, before its steps or behind them
        gdb.ok('vCont;t')
        stop = gdb.notification()
        assert stop.startswith(b'Stop:T00'), stop
        assert gdb.packet('vStopped') == b'OK'
        gdb.ok('vCont;c')
    gdb.ok('vCont;t')
    gdb.notification()
    assert gdb.packet('vStopped') == b'OK'
    gdb.ok('QTStop')
    gdb.ok(f'D;{child.pid:x}')
assert not is_traced() and code_of(child.pid, hit, 8) == plain and child.poll() is None
PYTHON

# gdb's own way: defined, collected, looked at, saved to a file and looked at there; of a 32-bit program, too.
cat >define.gdb <<'G'
trace hit if i != 3
actions
collect $regs
collect i, counter, numbers
collect $locals
while-stepping 2
collect $regs
end
end
tvariable $mine = 4
trace done
actions
teval $mine = $mine + 1
collect $mine
end
G
look_at() {
    debug "$1" <<G
tbreak main
continue
source define.gdb
break done
tstart
continue
tstop
tstatus
info tracepoints
tfind start
printf "first: %d\n", i
print numbers
print finished
tfind 3
printf "second: %d %d\n", i, counter
tfind 1
tfind tracepoint 3
print \$mine
print counter
tfind none
print counter
tsave frames.tf
kill
target tfile frames.tf
tstatus
tfind 6
printf "in the file: %d %d\n", i, counter
info registers pc
tfind tracepoint 3
print \$mine
G
    follow 'Tracepoint 2 at' 'Breakpoint 4, ' 'Trace stopped by a tstop command' 'Collected 28 trace frames' 'tracepoint already hit 9 times' \
        'Found trace frame 0, tracepoint 2' '^first: 1$' '= \{11, 22, 33, 44\}' '= <unavailable>' 'Found trace frame 3, tracepoint 2' '^second: 2 1$' \
        'Found trace frame 1, tracepoint 2' 'Found trace frame 27, tracepoint 3' '= 5$' '= <unavailable>' '= 10$' \
        'Trace stopped by a tstop command' 'Found trace frame 6, tracepoint 2' '^in the file: 4 3$' '^pc .*<hit' \
        'Found trace frame 27, tracepoint 3' '= 5$'
}
tracee -O0 -pthread -o traced64 traced.c
look_at ./traced64
if command -v i686-linux-gnu-gcc >/dev/null && i686-linux-gnu-gcc -g -O0 -pthread -o traced32 traced.c && ./traced32; then
    look_at ./traced32
fi
