#!/usr/bin/env bash
# A client that talks nonsense: malformed, cut, huge and random packets, wrong checksums, storms of '-', hang-ups at each byte, a
# thousand connections. The server answers or hangs up; it never crashes, hangs, grows, or leaves a process traced.
# REIN_SEED chooses the random packets (it is printed), REIN_ROUNDS how many.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

# Whatever registers and memory the client writes, this can make no system call that matters: it is in strict seccomp.
cat >victim.c <<'C'
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>
volatile long counter;
__attribute__((noinline)) void ready(void) { counter++; }
static void *run(void *arg)
{
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    for (;;)
        if (arg)
            ready();
        else
            counter++;
    return arg;
}
int main(void)
{
    alarm(170); /* at the latest */
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    run(&thread);
}
C
cat >sleeper.c <<'C'
#include <unistd.h>
int main(void)
{
    for (;;)
        pause();
}
C
tracee -no-pie -fno-pie -pthread -o victim victim.c
tracee -o sleeper sleeper.c

# The client has had some of them let go, and they would compute on till their alarm.
end_victims() {
    local exe
    for exe in /proc/[0-9]*/exe; do
        case $(readlink "$exe" || true) in
            "$PWD/victim"*) kill -KILL "$(basename "${exe%/exe}")" || true ;;
        esac
    done 2>/dev/null
    rm -rf "${scratch:?}"
}
trap end_victims EXIT

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 170 python3 - <<'PYTHON'
import atexit
import faulthandler
import os
import random
import select
import signal
import socket
import subprocess
import time
from remote import *

# AddressSanitizer keeps what has been freed for a while.
ROOM = 300000 if 'sanitize' in os.environ.get('REIN_CC', '') else 8192

faulthandler.dump_traceback_later(50, exit=True) # says where it hangs
seed = int(os.environ.get('REIN_SEED') or time.time())
rounds = int(os.environ.get('REIN_ROUNDS') or 40)
print('REIN_SEED', seed)
rng = random.Random(seed)
ready, counter = symbol('victim', 'ready'), symbol('victim', 'counter')
victim = os.path.realpath('victim')

def framed(data):
    data = to_bytes(data)
    return b'$' + data + b'#%02x' % (sum(data) & 0xff)

class Server:
    """rein-gdbserver --multi, or attached to a process; its clients come and go."""
    def __init__(self, *arguments):
        self.process = subprocess.Popen([SERVER, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=open('server.err', 'ab'))
        atexit.register(self.process.kill)
        self.read_port()

    def read_port(self):
        end = time.monotonic() + LIMIT
        while True:
            found = re.findall(rb'Listening on port (\d+)', open('server.err', 'rb').read())
            if found:
                self.port = int(found[-1])
                return
            assert self.process.poll() is None and time.monotonic() < end, open('server.err').read()[-4000:]
            time.sleep(0.01)

    def client(self):
        """A new connection; None if the server has ended."""
        assert self.process.poll() is None, (self.process.returncode, open('server.err').read()[-8000:])
        return Remote.connect(self.port)

    def resident(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            return int(re.search(r'VmRSS:\s+(\d+)', file.read()).group(1))

    def files(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def end(self):
        gdb = self.client().start()
        gdb.send('qRcmd,' + 'exit'.encode().hex())
        gdb.hang_up()
        assert self.process.wait(LIMIT) == 0, open('server.err').read()[-8000:]

def exchange(gdb, data, marker=b'PacketSize='):
    """Writes raw bytes, then a packet whose answer is known: all that came until then, or None if the server hung up."""
    data += b'#00' + framed('qSupported:' + FEATURES) # which ends a packet that is not whole
    seen = bytearray()
    end = time.monotonic() + LIMIT
    os.set_blocking(gdb.writer, False)
    try:
        while marker not in seen:
            assert time.monotonic() < end, ('the server hangs', data[:400], bytes(seen[-400:]))
            readable, writable, _ = select.select([gdb.reader], [gdb.writer] if data else [], [], 1)
            if writable:
                data = data[os.write(gdb.writer, data):]
            if readable:
                more = os.read(gdb.reader, 1 << 16)
                if not more:
                    return None
                seen += more
        return bytes(seen)
    except (ConnectionResetError, BrokenPipeError):
        return None

def half_close(gdb):
    """Hangs up, and waits until the server has seen it."""
    link = socket.socket(fileno=os.dup(gdb.reader))
    try:
        link.shutdown(socket.SHUT_WR)
        while select.select([link], [], [], LIMIT)[0] and link.recv(1 << 16):
            pass
    except (ConnectionResetError, OSError):
        pass
    link.close()
    gdb.hang_up()

def has_process(gdb):
    return gdb.packet('?')[:1] in b'TS'

def begin(gdb):
    """A process that can do no harm, stopped."""
    if gdb.packet('?')[:1] in b'TS':
        return
    gdb.ok('QStartupWithShell:0')
    assert gdb.packet('vRun;' + hexed(victim).decode())[:1] == b'T'
    gdb.ok(f'Z0,{ready:x},1')
    assert gdb.resume()[:1] == b'T'
    gdb.ok(f'z0,{ready:x},1')

server = Server('--multi', 'localhost:0')
gdb = server.client().start()
gdb.ok('!')
begin(gdb)

# ---- What is wrong is refused, in words or not ----

malformed = '''
m m, m0 m,0 m0, mx,1 m0,1,1 m0:1 m-1,1 m10000000000000000,1 m0,10000000000000000 m1,x
M M0 M0,1 M0,1: M0,1:z M0,2:00 M0,1:000 M0,ffffffff:00 X X0,1 X0,1: X0,2:a
x xx x,1 x0,x p px p-1 pffffffffffffffff p10000000000000000 P P= P0 P0= P0=x P0=0 Pffff=00 G Gx G0
H Hx Hg Hgx Hc Hgpx Hgp Hgp1.x Hgp-1.x Hg99999999999 Hgffffffff T Tx T0 T-1 Tffffffff Tp1 T7fffffff
Z Z0 Z0, Z0,x Z0,0 Z0,0, Z0,0,x Z9,0,1 Z0,0,1 Z2,0,0 Z2,0,ffffffff Z2,ffffffffffffffff,8 Z1,0,1
Z0,{pc},1;X Z0,{pc},1;X0, Z0,{pc},1;X1 Z0,{pc},1;X1, Z0,{pc},1;X1,z Z0,{pc},1;X1,ff Z0,{pc},1;Xffffffff,00
Z0,{pc},1;X2,2200 Z0,{pc},1;X3,22ff Z0,{pc},1;X3,210000 Z0,{pc},1;cmds: Z0,{pc},1;cmds:0 Z0,{pc},1;cmds:0,X1,ff
z z0 z0, z0,x,1 z9,0,1
vCont;x vCont;c:x vCont;c:p vCont;C vCont;Cx vCont;Cfff vCont;S vCont;r vCont;r1 vCont;r1,x vCont;r2,1 vCont;; vCont;c:p1.x
vKill;x vKill; vKill;0 vKill;ffffffff vKill;7fffffff D;x D; D;0,1 D;7fffffff vAttach;x vAttach; vAttach;0 vAttach;ffffffff vRun;x
vFile: vFile:x vFile:open vFile:open: vFile:open:x vFile:open:,, vFile:pread: vFile:pread:0 vFile:pread:0,0 vFile:close:ffffffff
vFile:close:x vFile:fstat:-1 vFile:readlink: vFile:readlink:x vFile:unlink: vFile:setfs:x vFile:pwrite:0,0 vFile:pwrite:40,0,a
qXfer: qXfer:features qXfer:features:read:target.xml qXfer:features:read:target.xml:0 qXfer:features:read:target.xml:x,1
qXfer:auxv:read::ffffffffffffffff,ffffffffffffffff qXfer:siginfo:write::: qXfer:siginfo:write::ffffffff:x
qCRC: qCRC:0 qCRC:0,x qCRC:0,1 qSearch:memory: qSearch:memory:0;1 qSearch:memory:0;1; qSearch:memory:0;ffffffffffffffff;a
qGetTLSAddr: qGetTLSAddr:0 qGetTLSAddr:x,0,0 qGetTLSAddr:0,0,0 qRcmd,x qRcmd,0 qRcmd,00 qThreadExtraInfo,x qThreadExtraInfo,
QNonStop: QNonStop:2 QNonStop:x QPassSignals:x QPassSignals:; QPassSignals:;; QCatchSyscalls: QCatchSyscalls:2 QCatchSyscalls:1;x
QCatchSyscalls:1; QThreadEvents: QThreadEvents:2 QStartupWithShell:x QDisableRandomization:x QEnvironmentHexEncoded:x
QEnvironmentHexEncoded: QEnvironmentHexEncoded:3d QEnvironmentHexEncoded:41 QEnvironmentUnset: QEnvironmentUnset:x QSetWorkingDir:x
qMemoryRegionInfo: qMemoryRegionInfo:x qRegisterInfo qRegisterInfox qRegisterInfoffffffff QRestoreRegisterState:x
QRestoreRegisterState:ffffffff qThreadStopInfo qThreadStopInfox _M _Mx _M0 _M0, _M0,x _Mffffffffffffffff,rwx _m _mx _m0 A Ax A1 A1,1 A1,0,x
A2,0,78 qFileLoadAddress: qFileLoadAddress:x qWatchpointSupportInfo:x vAttachName; vAttachName;x jThreadsInfox qXfer:threads:read::1,
'''.split()
pc = f'{ready:x}'
for packet in malformed:
    reply = gdb.packet(packet.replace('{pc}', pc))
    assert reply[:1] in b'EF' or reply in (b'', b'OK', b'l', b'm', b'0', b'-1') or packet[0] in 'qxT', (packet, reply)
    assert reply != b'OK' or packet[0] in 'GHzZQPqA' or packet in ('X0,1:',) or packet.startswith('D;0'), (packet, reply)
for letter in range(1, 256):
    byte = bytes([letter])
    if byte not in b'#$?}*cCsSkRDAg!\x03':
        gdb.packet(byte)
        gdb.packet(b'q' + byte)
    gdb.packet(b'v' + byte if byte not in b'#$' else b'v')
assert has_process(gdb)
gdb.packet(f'z0,{ready:x},1')

# ---- Sizes: what is allowed, and what is not ----

assert gdb.packet('qZ' + 'z' * 0x1fff0) == b''
gdb.packet('vCont' + ';c:x' * 30000)
assert gdb.packet('vCont' + ';t:7fffffff' * 2000 + ';q')[:1] == b'E'
gdb.packet('QPassSignals:' + '1;' * 60000)
gdb.ok('QPassSignals:')
assert gdb.packet('QCatchSyscalls:1' + ';1' * 5000)[:1] == b'E'
gdb.ok('QCatchSyscalls:0')
assert gdb.packet(f'Z0,{ready:x},1;X10000,' + '00' * 0x8000)[:1] == b'E'
assert gdb.packet(f'Z0,{ready:x},1' + ';X1,27' * 20000)[:1] == b'E'
assert len(gdb.packet(f'm{ready:x},ffffffff')) <= 0x20000
for endless in (b'$' + b'a' * 0x200000, b'$' * 0x200000, b'$' + b'}' * 0x100000):
    before = server.resident()
    other = server.client() if gdb.reader == -1 else gdb
    if exchange(other, endless) is not None:
        raise AssertionError('an endless packet was taken')
    other.hang_up()
    assert server.resident() < before + ROOM
gdb = server.client().start()
assert exchange(gdb, b'x' * 0x300000) is not None # outside packets there may be anything
assert has_process(gdb)
gdb.hang_up()

# ---- Acknowledgements ----

gdb = server.client().start(no_ack=False)
for bad in (b'$vMustReplyEmpty#00', b'$vMustReplyEmpty#zz', b'$vMustReplyEmpty#3', b'$#01', b'$a$b#c3'):
    gdb.write(bad + (b'f' if bad[-2:-1] == b'#' else b''))
    if gdb.pending[:1] != b'-':
        gdb._fill(time.monotonic() + LIMIT)
    assert bytes(gdb.pending) == b'-', (bad, gdb.pending)
    gdb.pending.clear()
# An answer is sent again as often as is wanted, until it is acknowledged, and never after that.
gdb.no_ack = True
answer = gdb.packet('qXfer:features:read:target.xml:0,1000')
gdb.write(b'-' * 200)
for i in range(200):
    assert gdb.answer() == answer
gdb.write(b'+-+-++' * 100)
assert gdb.packet('vMustReplyEmpty') == b''
gdb.write(b'-+-+-++' * 100)
assert gdb.answer() == b''
assert gdb.packet('qC')[:2] == b'QC'
gdb.write(b'+')
# Nobody reads what is sent again: the client is cut off when it has gone.
gdb.packet(f'm{ready:x},ff8')
os.set_blocking(gdb.writer, False)
storm, end = 0, time.monotonic() + LIMIT
while storm < 1 << 17 and time.monotonic() < end:
    if not select.select([], [gdb.writer], [], 0.2)[1]:
        break
    storm += os.write(gdb.writer, b'-' * 4096)
gdb.hang_up()
gdb = server.client().start()
assert has_process(gdb)
gdb.hang_up()

# ---- Hang-ups at each byte ----

session = (framed('qSupported:' + FEATURES) + b'+' + framed('QStartNoAckMode') + b'+' + framed('?') + framed('Hgp0.0') +
           framed('qXfer:threads:read::0,1000') + framed('g') + framed(f'Z0,{ready:x},1') + framed('vCont;c') + b'\x03' +
           framed(f'z0,{ready:x},1') + framed('vCont;s:p-1.-1') + framed('QNonStop:1') + framed('vCont;c') + framed('vCtrlC') +
           framed('vStopped'))
for length in range(len(session) + 1):
    gdb = server.client()
    gdb.write(session[:length])
    if length % 16 == 0:
        gdb.hang_up()
    else:
        half_close(gdb)
gdb = server.client().start()
begin(gdb)
gdb.packet(f'z0,{ready:x},1')
gdb.hang_up()

# ---- A thousand connections ----

files, before = server.files(), server.resident()
for i in range(1000):
    gdb = server.client()
    if i % 3 == 1:
        gdb.write(framed('qSupported:' + FEATURES)[:rng.randrange(100)])
    elif i % 3 == 2:
        assert b'PacketSize' in gdb.packet('qSupported:' + FEATURES)
    gdb.hang_up() if i % 10 == 0 else half_close(gdb)
gdb = server.client().start()
assert has_process(gdb)
gdb.hang_up()
gdb = server.client().start()
assert server.files() <= files + 2 and server.resident() < before + ROOM, (server.files(), files, server.resident(), before)
gdb.hang_up()

# ---- Random packets ----

# Those that would do something to the machine are not sent.
forbidden = (b'vRun', b'vAttach', b'unlink', b'vFile:open', b'vFile:pwrite', b'$A', b'QSetSTD', b'qRcmd', b'vKill', b'$R')
seeds = [to_bytes(text) for text in (
    '?', 'g', 'p10', 'P10=0011223344556677', f'm{counter:x},40', f'M{counter:x},4:01020304', f'x{ready:x},100',
    f'X{counter:x},4:abcd', 'Hgp0.0', 'Hc-1', 'Hc0', 'T1', 'qC', 'qfThreadInfo', 'qsThreadInfo', 'qThreadExtraInfo,p1.1', 'qAttached',
    f'Z0,{ready:x},1', f'z0,{ready:x},1', f'Z0,{ready:x},1;X6,220022001327', f'Z0,{ready:x},1;cmds:0,X3,220027', f'Z2,{counter:x},8',
    f'z2,{counter:x},8', f'Z1,{ready:x},1', f'z1,{ready:x},1', f'Z4,{counter:x},4', 'vCont;c', 'vCont;s', f'vCont;r{ready:x},{ready + 64:x}',
    'vCont;C0b', 'vCont;t', 'vCont;c:p-1.-1', 'vCont?', 'vCtrlC', 'vStopped', 'c', 's', 'C05', 'S1e', 'QNonStop:1', 'QNonStop:0',
    'QPassSignals:e;10;14', 'QCatchSyscalls:1;1;e7', 'QCatchSyscalls:0', 'QThreadEvents:1', 'QThreadEvents:0',
    'qXfer:features:read:target.xml:0,100', 'qXfer:auxv:read::0,100', 'qXfer:threads:read::0,100', 'qXfer:exec-file:read::0,100',
    'qXfer:libraries-svr4:read:start=1000;prev=0:0,100', 'qXfer:siginfo:read::0,80', 'qXfer:siginfo:write::0:abc', 'qXfer:osdata:read::0,80',
    f'qSearch:memory:{ready:x};1000;abc', f'qCRC:{ready:x},100', 'qGetTLSAddr:0,0,0', 'vFile:setfs:0', 'vFile:readlink:2f70726f63',
    'vFile:stat:2f', 'vFile:close:1', 'vFile:pread:1,10,0', 'QSaveRegisterState', 'QRestoreRegisterState:1', 'jThreadsInfo', 'qHostInfo',
    'qProcessInfo', 'qRegisterInfo0', 'qThreadStopInfo1', f'qMemoryRegionInfo:{ready:x}', '_M1000,rwx', '_m1000', 'QThreadSuffixSupported',
    'QListThreadsInStopReply', 'qFileLoadAddress:2f', 'qShlibInfoAddr', 'qWatchpointSupportInfo:', 'QStartNoAckMode',
    'qSupported:multiprocess+;swbreak+', 'QEnvironmentHexEncoded:413d42', 'QEnvironmentReset', 'QStartupWithShell:0', 'D', 'k')]

def mutated(data):
    data = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1 and at < len(data):
            data[at] = rng.choice(b'0123456789abcdef,;:.-=pxX')
        elif kind == 2:
            del data[at:at + rng.randrange(1, 5)]
        elif kind == 3:
            data[at:at] = bytes(rng.choice(b'0f:;,-') for _ in range(rng.choice((1, 8, 40))))
        elif kind == 4:
            data[at:at] = data[:at]
        elif kind == 5:
            data += rng.choice(seeds)[-10:]
        else:
            data[at:at] = rng.choice((b'ffffffffffffffff', b'7fffffff', b'80000000', b'8000000000000000', b'0', b'-1', b'-0'))
    return bytes(data)

def packets():
    result = b''
    for _ in range(rng.randrange(1, 40)):
        data = mutated(rng.choice(seeds))
        kind = rng.randrange(20)
        if kind == 0:
            more = b'$' + data + b'#' + bytes(rng.randrange(256) for _ in range(2))
        elif kind == 1:
            more = rng.choice((b'\x03', b'-', b'+', b'#', b'$', b'\x03\x03'))
        elif kind == 2:
            more = framed(data)[:rng.randrange(len(data) + 4)]
        elif kind == 3:
            more = rng.randbytes(rng.randrange(60))
        else:
            more = framed(bytes(byte for byte in data if byte not in b'$#'))
        if not any(word in more for word in forbidden) and b'A' not in more[:2]:
            result += more
    return result if not any(word in result for word in forbidden) else b''

before, closed, bytes_sent = server.resident(), 0, 0
for i in range(rounds):
    gdb = server.client().start(no_ack=rng.random() < 0.8)
    gdb.ok('!')
    begin(gdb)
    data = packets()
    with open('last', 'wb') as file: # for who looks into a failure
        file.write(data)
    bytes_sent += len(data)
    if rng.random() < 0.2:
        gdb.write(data)
    elif exchange(gdb, data) is None:
        closed += 1
    gdb.hang_up()
print(f'{rounds} rounds, {bytes_sent} bytes, hung up on {closed} times, VmRSS {before} -> {server.resident()} kB')
gdb = server.client().start()
gdb.hang_up()
assert server.resident() < before + 32768
server.end()

# ---- What was attached to is let go, whole, whatever was said ----

sleeper = subprocess.Popen(['./sleeper'])
os.remove('server.err')
server = Server('--attach', 'localhost:0', str(sleeper.pid))
for length in range(0, len(session), 7):
    gdb = server.client()
    gdb.write(session[:length])
    if length % 16 == 0:
        gdb.hang_up()
    else:
        half_close(gdb)
gdb = server.client().start()
gdb.ok('D')
gdb.hang_up()
assert server.process.wait(LIMIT) == 0, open('server.err').read()[-4000:]
with open(f'/proc/{sleeper.pid}/status', encoding='ascii') as file:
    status = file.read()
assert re.search(r'TracerPid:\s+0\n', status) and not re.search(r'State:\s+[tT]', status), status
sleeper.kill()
sleeper.wait()
PYTHON
