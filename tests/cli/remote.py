"""A client of the gdb remote protocol, for tests: it sends packets as they are given and shows answers as they come.

    from remote import Remote
    with Remote.stdio('./prog', 'argument') as gdb:     # rein-gdbserver - ./prog argument
        gdb.start()                                     # qSupported, QStartNoAckMode
        assert gdb.packet('?').startswith(b'T05')
        gdb.send('vCont;c'); stop = gdb.stop()          # skips the program's output (O packets)

Data is bytes; text that is given is taken as latin-1. The server is $REIN_GDBSERVER, or rein-gdbserver in $REIN_BUILD. Nothing
here waits longer than LIMIT seconds: then there is a RemoteError, and so there is when the server hangs up (Closed)."""
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

LIMIT = 60
ENDS_SOON = 5 # seconds for a server, when the test has failed already
SERVER = os.environ.get('REIN_GDBSERVER') or os.path.join(os.environ.get('REIN_BUILD', 'build'), 'rein-gdbserver')
FEATURES = ('multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+;exec-events+;vContSupported+;'
            'QThreadEvents+;no-resumed+;memory-tagging+;xmlRegisters=i386')


class RemoteError(Exception):
    pass


class Closed(RemoteError):
    pass


def to_bytes(data):
    return data.encode('latin-1') if isinstance(data, str) else bytes(data)


def hexed(data):
    return to_bytes(data).hex().encode()


def unhexed(data):
    return bytes.fromhex(to_bytes(data).decode('ascii'))


def escape(data):
    """Binary data as it stands in a packet."""
    result = bytearray()
    for byte in to_bytes(data):
        if byte in b'$#}*':
            result += bytes((0x7d, byte ^ 0x20))
        else:
            result.append(byte)
    return bytes(result)


def unescape(data):
    result, at = bytearray(), 0
    while at < len(data):
        if data[at] == 0x7d and at + 1 < len(data):
            at += 1
            result.append(data[at] ^ 0x20)
        else:
            result.append(data[at])
        at += 1
    return bytes(result)


def expand(data):
    """Takes out run-length encoding, "0* " for 0000. An escaped character may be repeated too, which nobody does."""
    result, at = bytearray(), 0
    while at < len(data):
        if data[at] == 0x2a and result and at + 1 < len(data):
            result += bytes([result[-1]]) * (data[at + 1] - 29)
            at += 2
        elif data[at] == 0x7d and at + 1 < len(data):
            result += data[at:at + 2]
            at += 2
        else:
            result.append(data[at])
            at += 1
    return bytes(result)


class Remote:
    def __init__(self, reader, writer, process=None, close=None):
        self.reader, self.writer, self.process, self._close = reader, writer, process, close
        self.pending = bytearray()  # bytes that have come and are not taken yet
        self.no_ack = False
        self.notifications = []     # that came while an answer was waited for
        self.output = b''           # of the program, from O packets
        self.features = {}
        self.limit = LIMIT

    # ---- Beginning and end ----

    @classmethod
    def stdio(cls, *arguments, options=(), **popen):
        """rein-gdbserver OPTIONS - ARGUMENTS, which talks on its standard input and output."""
        process = subprocess.Popen([SERVER, *options, '-', *map(str, arguments)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, **popen)
        return cls(process.stdout.fileno(), process.stdin.fileno(), process)

    @classmethod
    def attached(cls, pid, options=(), **popen):
        """rein-gdbserver OPTIONS --attach - PID."""
        return cls.stdio(pid, options=(*options, '--attach'), **popen)

    @classmethod
    def listening(cls, *arguments, options=(), address='localhost:0', **popen):
        """rein-gdbserver OPTIONS ADDRESS ARGUMENTS. Its standard error is a pipe, self.process.stderr."""
        process = subprocess.Popen([SERVER, *options, address, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, **popen)
        seen = b''
        while True:
            line = process.stderr.readline()
            seen += line
            found = re.match(rb'Listening on port (\d+)', line)
            if found:
                break
            if not line:
                raise Closed('the server ended: ' + seen.decode(errors='replace'))
        remote = cls.connect(int(found.group(1)), process=process)
        remote.port, remote.said = int(found.group(1)), seen
        return remote

    @classmethod
    def connect(cls, where, process=None):
        """A port, or the path of a unix socket."""
        if isinstance(where, int):
            link = socket.create_connection(('127.0.0.1', where), timeout=LIMIT)
        else:
            link = socket.socket(socket.AF_UNIX)
            link.connect(where)
        link.setblocking(True)
        return cls(link.fileno(), link.fileno(), process, link.close)

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error: # it must not be hidden by a server that does not end now
            self.limit = ENDS_SOON
        try:
            self.close()
        except RemoteError:
            if not error:
                raise

    def hang_up(self):
        if self._close:
            self._close()
            self._close = None
        elif self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.stdout.close()
        self.reader = self.writer = -1

    def close(self):
        """Hangs up and waits for the server's end, which it is helped to after a while."""
        if self.reader != -1:
            self.hang_up()
        if self.process:
            try:
                self.process.wait(self.limit)
            except subprocess.TimeoutExpired:
                if self.limit == LIMIT:
                    self.show_stacks()
                self.process.send_signal(signal.SIGKILL)
                self.process.wait()
                raise RemoteError('the server did not end when its client was gone') from None

    def show_stacks(self):
        """Where the server hangs."""
        binary = os.environ.get('REIN_BINARY')
        if binary and self.process:
            subprocess.run([binary, 'stack', str(self.process.pid)], stdout=sys.stderr, timeout=LIMIT, check=False)

    # ---- Bytes ----

    def write(self, data):
        """Raw bytes, no packet."""
        data = to_bytes(data)
        try:
            while data:
                data = data[os.write(self.writer, data):]
        except (BrokenPipeError, ConnectionResetError):
            raise Closed('the server has hung up') from None

    def _fill(self, end):
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.reader], [], [], left)[0]:
            raise RemoteError(f'no answer within the limit; so far: {bytes(self.pending)!r}')
        try:
            data = os.read(self.reader, 1 << 16)
        except ConnectionResetError:
            data = b''
        if not data:
            raise Closed(f'the server has hung up; left: {bytes(self.pending)!r}')
        self.pending += data

    # ---- Packets ----

    def send(self, data):
        """Sends a packet; binary data must be escaped already."""
        data = to_bytes(data)
        self.write(b'$' + data + b'#%02x' % (sum(data) & 0xff))

    def interrupt(self):
        self.write(b'\x03')

    def receive(self, limit=None):
        """The next packet: (b'$' or b'%', its data, runs expanded, binary data still escaped)."""
        end = time.monotonic() + (self.limit if limit is None else limit)
        while True:
            while self.pending and self.pending[0] in b'+-':
                if self.pending[0] == ord('-'):
                    raise RemoteError('the server did not understand a packet')
                del self.pending[0]
            stop = self.pending.find(b'#')
            if not self.pending or stop < 0 or len(self.pending) < stop + 3:
                self._fill(end)
                continue
            kind, data, wanted = self.pending[:1], bytes(self.pending[1:stop]), bytes(self.pending[stop + 1:stop + 3])
            if kind not in (b'$', b'%'):
                raise RemoteError(f'no packet: {bytes(self.pending)!r}')
            if int(wanted, 16) != sum(data) & 0xff:
                raise RemoteError(f'wrong checksum {wanted!r}: {data!r}')
            del self.pending[:stop + 3]
            if kind == b'$' and not self.no_ack:
                self.write('+')
            return bytes(kind), expand(data)

    def answer(self, limit=None):
        """The next answer. Notifications on the way are kept in self.notifications."""
        while True:
            kind, data = self.receive(limit)
            if kind == b'$':
                return data
            self.notifications.append(data)

    def packet(self, data, limit=None):
        """Sends a packet and gives its answer: b'' is 'not supported'."""
        self.send(data)
        return self.answer(limit)

    def ok(self, data):
        reply = self.packet(data)
        if reply != b'OK':
            raise RemoteError(f'{data!r} was answered {reply!r}')

    def stop(self, limit=None):
        """The next stop reply (T, S, W, X, N) in all-stop; the program's output on the way goes to self.output."""
        while True:
            data = self.answer(limit)
            if data[:1] == b'O' and data != b'OK':
                self.output += unhexed(data[1:])
                continue
            return data

    def resume(self, data='vCont;c', limit=None):
        self.send(data)
        return self.stop(limit)

    def over(self, address, thread):
        """Gets a thread past a breakpoint in the client's way: taken out, a step, put back. The answer to the step."""
        self.ok(f'z0,{address:x},1')
        stop = self.resume(b'vCont;s:' + to_bytes(thread))
        self.ok(f'Z0,{address:x},1')
        return stop

    def notification(self, limit=None):
        """The next notification, one that came already first."""
        if self.notifications:
            return self.notifications.pop(0)
        kind, data = self.receive(limit)
        if kind != b'%':
            raise RemoteError(f'an answer where a notification was expected: {data!r}')
        return data

    # ---- What all tests need ----

    def start(self, features=FEATURES, no_ack=True):
        """The way gdb begins. self.features: what the server says, name -> b'+', b'-' or the value."""
        for item in self.packet('qSupported:' + features).split(b';'):
            name, equals, value = item.partition(b'=')
            self.features[(name if equals else name[:-1]).decode()] = value if equals else name[-1:]
        if no_ack:
            self.ok('QStartNoAckMode')
            self.no_ack = True
        return self

    def xfer(self, what, annex='', piece=0xffb):
        """All of a qXfer object, read in pieces: bytes; None if it is not supported."""
        result = b''
        while True:
            reply = self.packet(f'qXfer:{what}:read:{annex}:{len(result):x},{piece:x}')
            if reply == b'':
                return None
            if reply[:1] not in b'ml' or reply[:1] == b'':
                raise RemoteError(f'qXfer:{what}: {reply!r}')
            result += unescape(reply[1:])
            if reply[:1] == b'l':
                return result
            if len(reply) == 1:
                raise RemoteError(f'qXfer:{what}: nothing, but there is more')

    def read(self, address, size):
        """Memory, in one m packet; it may be less."""
        reply = self.packet(f'm{address:x},{size:x}')
        if reply[:1] == b'E':
            raise RemoteError(f'memory at {address:#x}: {reply!r}')
        return unhexed(reply)

    def file(self, what, *arguments):
        """A vFile packet: (result, errno or None, attachment)."""
        reply = self.packet(b'vFile:' + to_bytes(what) + b':' + b','.join(map(to_bytes, arguments)))
        if reply == b'':
            return None
        found = re.fullmatch(rb'F(-?[0-9a-f]+)(?:,([0-9a-f]+))?(?:;(.*))?', reply, re.DOTALL)
        if not found:
            raise RemoteError(f'vFile:{what}: {reply!r}')
        return (int(found.group(1), 16), int(found.group(2), 16) if found.group(2) else None,
                unescape(found.group(3)) if found.group(3) is not None else None)


def fields(stop):
    """The named parts of a T packet: {'thread': b'p1.1', 'swbreak': b''}, and the registers in hex by number."""
    if stop[:1] != b'T':
        raise RemoteError(f'no T packet: {stop!r}')
    parts = {}
    for part in stop[3:].split(b';'):
        if part:
            name, _, value = part.partition(b':')
            parts[name.decode()] = value
    return parts


def symbol(path, name):
    """A symbol's address in a file, as nm shows it."""
    listing = subprocess.run(['nm', path], check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == name:
            return int(words[0], 16)
    raise RemoteError(f'{path} has no symbol {name}')


def compiled(name, source, *flags):
    """Compiles a program to be traced, here: its path."""
    with open(name + '.c', 'w', encoding='utf-8') as file:
        file.write(source)
    compiler = os.environ.get('TRACEE_CC', 'cc')
    subprocess.run([compiler, '-g', '-O1', '-fno-inline', '-o', name, name + '.c', *flags], check=True)
    return './' + name


def wait_for(what):
    """Until it is so."""
    end = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < end, 'what was waited for did not come'
        time.sleep(0.01)


def skip(reason):
    print('skipped:', reason)
    sys.exit(77)
