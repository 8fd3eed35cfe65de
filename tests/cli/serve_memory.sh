#!/usr/bin/env bash
# Memory through the server: m, M, X, x of both dialects, search and checksum; ranges that end, or lie, where there is nothing;
# and what is read again after the program has run, or after a write.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >memory.c <<'C'
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
unsigned char data[0x30000] = "begin $#}* end";
volatile int counter;
unsigned char *end;   /* of memory: nothing is mapped behind it */
__attribute__((noinline)) void ready(void) { counter++; }
int main(void)
{
    long page = sysconf(_SC_PAGESIZE);
    unsigned value = 1;
    for (int i = 0x1000; i < 0x30000; i++) {
        value = value * 1103515245 + 12345;
        data[i] = (unsigned char)(value >> 16);
    }
    end = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(end + 2 * page, page);
    end += 2 * page;
    memset(end - 16, 0x5a, 16);
    for (;;)
        ready();
}
C
tracee -no-pie -fno-pie -o memory memory.c

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 100 python3 - <<'PYTHON'
from remote import *

def crc(data):
    value = 0xffffffff
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04c11db7 if value >> 31 else value << 1) & 0xffffffff
    return value

data, counter, end, ready = (symbol('memory', name) for name in ('data', 'counter', 'end', 'ready'))
content = bytearray(0x30000)
content[:14] = b'begin $#}* end'
value = 1
for i in range(0x1000, 0x30000):
    value = (value * 1103515245 + 12345) & 0xffffffff
    content[i] = value >> 16 & 0xff

def check(gdb, lldb):
    gdb.ok(f'Z0,{ready:x},1')
    thread = fields(gdb.resume())['thread']
    word = 4 if open('memory', 'rb').read(5)[4] == 1 else 8
    limit = int.from_bytes(gdb.read(end, word), 'little')

    # Reading: small, across pages, long, and what is left of it at the end of memory.
    assert gdb.read(data, 14) == content[:14]
    assert gdb.read(data + 0xff8, 0x20) == content[0xff8:0x1018]
    for size in (1, 0xfff, 0x1000, 0x1001, 0x8000):
        assert gdb.read(data + 0x10123, size) == content[0x10123:0x10123 + size], size
    piece = gdb.read(data, 0x30000)
    assert 0x8000 <= len(piece) < 0x30000 and content.startswith(piece)
    for size in (16, 100, 0x20000):
        assert gdb.read(limit - 16, size) == b'\x5a' * 16
    for bad in (f'{limit:x},1', f'{limit:x},ffffffff', '0,4', 'ffffffffffffffff,8', 'fffffffffffffff8,fffffffffffffff8'):
        reply = gdb.packet('m' + bad)
        assert reply[:1] == b'E', (bad, reply)
    for bad in ('', '1', '1,', ',1', 'x,1', '1,x', f'{data:x},4,4', '10000000000000000,1', '1,10000000000000000', '-1,4'):
        for packet in ('m', 'x', 'M', 'X', 'qCRC:', 'qSearch:memory:'):
            reply = gdb.packet(packet + bad)
            assert reply[:1] == b'E', (packet, bad, reply)

    # Binary.
    lead = b'' if lldb else b'b'
    assert gdb.packet('x0,0')[:2] == (b'OK' if lldb else b'E0') or gdb.packet('x0,0') == b'b'
    reply = gdb.packet(f'x{data:x},40')
    assert reply.startswith(lead) and unescape(reply[len(lead):]) == content[:0x40], reply
    reply = gdb.packet(f'x{data:x},100000')
    piece = unescape(reply[len(lead):])
    assert len(reply) <= 0x20000 and len(piece) > 0x10000 and content.startswith(piece)
    assert gdb.packet(f'x{limit:x},10')[:1] == b'E'

    # The breakpoint is not there for a reader.
    assert gdb.read(ready, 1) == open('memory', 'rb').read()[ready - 0x400000:][:1] or word == 4

    # Writing, and the next read sees it.
    gdb.ok(f'M{data + 0x200:x},4:01020304')
    assert gdb.read(data + 0x200, 4) == b'\x01\x02\x03\x04'
    binary = bytes(range(256)) * 8
    gdb.ok(b'X%x,%x:' % (data + 0x200, len(binary)) + escape(binary))
    assert gdb.read(data + 0x200, len(binary)) == binary
    gdb.ok(f'X{data:x},0:')
    gdb.ok(f'M{data:x},0:')
    for bad in (f'M{data:x},4:010203', f'M{data:x},1:0', f'M{data:x},2:01zz', f'X{data:x},4:abc', f'X{data:x},1:abc',
                f'M{limit:x},1:00', f'X{limit - 2:x},4:abcd', 'X0,1:a'):
        assert gdb.packet(bad)[:1] == b'E', bad
    zeros = b'\0' * len(binary)
    gdb.ok(b'X%x,%x:' % (data + 0x200, len(binary)) + zeros)
    gdb.ok(b'X%x,%x:' % (limit - 2, 2) + b'ZZ')

    # Searching: at the start, across pieces, absent, at the range's edges, and up to where nothing is.
    def search(address, length, pattern):
        return gdb.packet(b'qSearch:memory:%x;%x;' % (address, length) + escape(pattern))
    assert search(data, 0x1000, b'begin $#}*') == b'1,%x' % data
    assert search(data, 0x1000, b'$#}* end') == b'1,%x' % (data + 6)
    assert search(data, 0x30000, bytes(content[0xfffa:0x10010])) == b'1,%x' % (data + 0xfffa)
    assert search(data, 0x30000, bytes(content[0x2ffe0:0x30000])) == b'1,%x' % (data + 0x2ffe0)
    assert search(data, 0x2ffff, bytes(content[0x2ffe0:0x30000])) == b'0'
    assert search(data, 0x1000, b'nowhere') == b'0'
    assert search(data, 3, b'begin') == b'0'
    assert search(data, 0, b'b') == b'0'
    assert search(limit - 16, 16, b'\x5a' * 17) == b'0'
    assert search(limit - 16, 0x100, b'ZZ') in (b'1,%x' % (limit - 16), b'1,%x' % (limit - 2))
    assert search(limit - 16, 0x7fffffff, b'nowhere')[:1] == b'E'
    assert search(0, 16, b'a')[:1] == b'E'
    assert search(data, 16, b'')[:1] == b'E'

    for start, size in ((0x1000, 0), (0x1000, 1), (0x1234, 0x1000), (0x1000, 0x2f000)):
        assert gdb.packet(f'qCRC:{data + start:x},{size:x}') == b'C%08x' % crc(content[start:start + size])
    assert gdb.packet(f'qCRC:{limit - 16:x},11')[:1] == b'E'

    # What was read is not what is there once it has run.
    for expected in range(2, 30):
        gdb.over(ready, thread)
        assert gdb.resume()[:1] == b'T'
        assert gdb.read(counter, 4) == (expected - 1).to_bytes(4, 'little')
    gdb.send('k')

with Remote.stdio('./memory') as gdb:
    check(gdb.start(), False)
with Remote.stdio('./memory') as gdb:
    gdb.ok('QThreadSuffixSupported') # by which the server knows lldb
    check(gdb.start(), True)
PYTHON
