#!/usr/bin/env bash
# Registers through the server: the target description, g, G, p and P; what the program has put there, and what it finds; values
# and numbers that are none; and gdb as the reader of it all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"
case $REIN_CPU in
x86 | x86_64) ;;
*) skip "the program is written in x86's instructions" ;;
esac

cat >registers.c <<'C'
#include <stdint.h>
#include <string.h>
unsigned char pattern[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
volatile unsigned char vector[16], real[10];
volatile uintptr_t word;
void first(void);
void second(void);
int main(void)
{
#ifdef __x86_64__
    __asm__ volatile("movabs $0x1122334455667788, %%rsi\n"
#else
    __asm__ volatile("movl $0x55667788, %%esi\n"
#endif
                     "movdqu %3, %%xmm3\n"
                     "fld1\n"
                     ".globl first\nfirst: nop\n"
                     "mov %%rsi, %0\n" /* .. esi */
                     "movdqu %%xmm3, %1\n"
                     "fstpt %2\n"
                     ".globl second\nsecond: nop\n"
                     : "=m"(word), "=m"(vector), "=m"(real)
                     : "m"(pattern)
                     : "memory", "xmm3", "rsi", "st");
    return 0;
}
C
sed 's/%%rsi, %0/%%esi, %0/; s/"rsi", /"esi", /' registers.c >registers32.c
if is_32_bit; then tracee -msse2 -no-pie -fno-pie -o registers registers32.c; else tracee -no-pie -fno-pie -o registers registers.c; fi

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 100 python3 - <<'PYTHON'
import xml.etree.ElementTree as ElementTree
from remote import *

first, second, word, vector, real = (symbol('registers', name) for name in ('first', 'second', 'word', 'vector', 'real'))

class Registers:
    def __init__(self, gdb):
        self.gdb, self.place, self.features = gdb, {}, []
        tree = ElementTree.fromstring(gdb.xfer('features', 'target.xml'))
        assert tree.findtext('osabi') == 'GNU/Linux'
        self.architecture = tree.findtext('architecture')
        at = 0
        for feature in tree.iter('feature'):
            self.features.append(feature.get('name').split('.')[-1])
            types = {each.get('id') for each in feature if each.get('id')}
            for register in feature.iter('reg'):
                number, size = int(register.get('regnum')), int(register.get('bitsize')) // 8
                assert number == len(self.place), register.attrib # in order, without gaps
                kind = register.get('type')
                assert kind in types or kind in ('int', 'int32', 'int64', 'uint32', 'uint64', 'uint128', 'data_ptr',
                                                 'code_ptr', 'i387_ext'), kind
                self.place[register.get('name')] = (number, at, size)
                at += size
        self.size = at

    def all(self, suffix=''):
        reply = self.gdb.packet('g' + suffix)
        assert len(reply) == 2 * self.size, reply
        return reply

    def same(self, blob):
        now = self.all()
        assert now == blob, [(name, self.cut(now, name), self.cut(blob, name)) for name in self.place
                             if self.cut(now, name) != self.cut(blob, name)]

    def read(self, name, suffix=''):
        return self.gdb.packet(f'p{self.place[name][0]:x}{suffix}')

    def number(self, name):
        return int.from_bytes(unhexed(self.read(name)), 'little')

    def write(self, name, value, suffix=''):
        return self.gdb.packet(f'P{self.place[name][0]:x}='.encode() + to_bytes(value) + to_bytes(suffix))

    def cut(self, blob, name):
        _, at, size = self.place[name]
        return blob[2 * at:2 * (at + size)]

with Remote.stdio('./registers') as gdb:
    gdb.start()
    registers = Registers(gdb)
    wide = registers.architecture == 'i386:x86-64'
    assert wide or registers.architecture == 'i386'
    assert registers.features[:3] == ['core', 'sse', 'linux'], registers.features
    # Those that clients know by number.
    for name, number in ({'rax': 0, 'rsp': 7, 'rip': 16, 'eflags': 17, 'st0': 24, 'xmm0': 40, 'orig_rax': 57, 'fs_base': 58,
                          'gs_base': 59} if wide else
                         {'eax': 0, 'esp': 4, 'eip': 8, 'eflags': 9, 'st0': 16, 'xmm0': 32, 'orig_eax': 41}).items():
        assert registers.place[name][0] == number, name
    pc, index, call = ('rip', 'rsi', 'orig_rax') if wide else ('eip', 'esi', 'orig_eax')
    size = 8 if wide else 4

    # The start: a new program.
    gdb.ok(f'Z0,{first:x},1')
    gdb.ok(f'Z0,{second:x},1')
    stop = fields(gdb.resume())
    assert int.from_bytes(unhexed(stop['%02x' % registers.place[pc][0]]), 'little') == first

    # What the program has put there.
    whole = registers.all()
    for name in registers.place:
        assert registers.read(name) == registers.cut(whole, name), name
    assert registers.number(pc) == first
    assert registers.number(index) == (0x1122334455667788 if wide else 0x55667788)
    assert registers.read('xmm3') == bytes(range(1, 17)).hex().encode()
    assert registers.read('st0') == b'0000000000000080ff3f' # 1.0
    assert registers.number('fctrl') == 0x37f and registers.number('mxcsr') == 0x1f80
    assert registers.number('cs') in (0x33, 0x23)

    # Each as it is, singly and all at once: nothing changes.
    for name in registers.place:
        assert registers.write(name, registers.cut(whole, name)) == b'OK', name
    gdb.ok(b'G' + whole)
    registers.same(whole)

    # Others: each changes by itself, a part of a wide one too.
    changes = {index: b'88' * size, 'xmm3': b'a5' * 16, 'st0': b'00000000000000c00040', 'mxcsr': b'801f0000'} # st0: 3.0
    for name, value in {'ymm3h': b'5a' * 16, 'ymm5h': b'5b' * 16, 'zmm3h': b'3c' * 32, 'k2': b'11223344' + b'00' * 4,
                        'zmm31h': b'c3' * 32, 'ymm31h': b'3d' * 16, 'xmm31': b'd3' * 16}.items():
        if name in registers.place:
            changes[name] = value
    expected = whole
    for name, value in changes.items():
        assert registers.write(name, value) == b'OK', name
        _, at, length = registers.place[name]
        assert len(value) == 2 * length, name
        expected = expected[:2 * at] + value + expected[2 * (at + length):]
        now = registers.all()
        different = [each for each in registers.place if registers.cut(now, each) != registers.cut(expected, each)]
        assert not different or different == ['ftag'], (name, different)
    gdb.ok(b'G' + whole)
    registers.same(whole)
    gdb.ok(b'G' + expected)
    registers.same(expected)
    gdb.ok(b'G' + b'x' * 2 * size + expected[2 * size:]) # x: not known, stays
    gdb.ok(b'G' + expected[:2 * size])                   # only the first
    registers.same(expected)

    # What there is not.
    beyond = f'{len(registers.place):x}'
    for bad in ('p', 'px', 'p' + beyond, 'pffffffff', 'pfffffffffffffffff', 'p0x', 'p-1', 'P', 'P0', 'P0=', 'P0=12',
                'P0=' + '0' * 300, 'P0=' + 'zz' * size, f'P{beyond}=00', 'P=00', 'G1', 'Gzz', 'G' + '00' * (size - 1)):
        assert gdb.packet(bad)[:1] == b'E', bad
    # What the kernel refuses changes nothing.
    assert registers.write('cs', '01000000')[:1] == b'E'
    if wide:
        assert registers.write('fs_base', '0000000000000080')[:1] == b'E'
    registers.same(expected)
    assert registers.write(call, b'ff' * size) == b'OK'

    # The program finds them.
    gdb.ok(f'z0,{first:x},1')
    stop = gdb.resume()
    assert stop[:1] == b'T', stop
    assert gdb.read(word, size) == b'\x88' * size
    assert gdb.read(vector, 16) == b'\xa5' * 16, gdb.read(vector, 16)
    assert gdb.read(real, 10) == unhexed(changes['st0']), gdb.read(real, 10)
    if 'zmm31h' in registers.place:
        assert registers.read('zmm31h') == changes['zmm31h'] and registers.read('k2') == changes['k2']
    print(registers.architecture, *registers.features, len(registers.place))
    gdb.send('k')

# lldb's way to name the thread.
with Remote.stdio('./registers') as gdb:
    gdb.start()
    gdb.ok('QThreadSuffixSupported')
    registers = Registers(gdb)
    thread = fields(gdb.packet('?'))['thread'].split(b'.')[-1].decode()
    suffix = f';thread:{thread};'
    assert registers.all(suffix) == registers.all()
    name = list(registers.place)[1]
    assert registers.write(name, '77' + '00' * (registers.place[name][2] - 1), suffix) == b'OK'
    assert registers.number(name) == 0x77 and registers.read(name, suffix) == registers.read(name)
    gdb.ok(b'G' + registers.all() + suffix.encode())
    for bad in (';thread:1;', ';thread:', ';thread:x;', ';thread:ffffffffff;', ';thread:0x;'):
        assert gdb.packet('g' + bad)[:1] == b'E' and gdb.packet('p0' + bad)[:1] == b'E', bad
    gdb.send('k')
PYTHON

# gdb reads it, without a word of complaint.
command -v gdb >/dev/null || skip "no gdb for the second half"
if is_32_bit; then letter=e value=0x55667788; else letter=r value=0x1122334455667788; fi
cat >commands <<GDB
break *first
continue
p/x \$${letter}si
p \$xmm3.v16_int8
p \$st0
set \$xmm3.v4_int32[1] = 77
p \$xmm3.v4_int32
set \$${letter}si = 5
p \$orig_${letter}ax
info all-registers
break *second
continue
p word
p \$eflags
kill
GDB
timeout 60 gdb -nx -batch -iex 'set debuginfod enabled off' -iex 'set sysroot /' -iex 'set confirm off' \
    -ex "target remote | $REIN_BUILD/rein-gdbserver - ./registers" -x commands ./registers >out 2>err || fail "gdb: $(cat err)"
has out "= $value"
has out '= \{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16\}'
has out '^\$[0-9]+ = 1$'
has out '= \{[0-9]+, 77, [0-9]+, [0-9]+\}'
has out '^\$[0-9]+ = 5$'
has out '^\$[0-9]+ = -1$'
if grep -Eiv '^(Reading|Remote|Process|stdin/stdout)' err | grep -Ei 'warning|error|cannot|unknown'; then fail "gdb complains"; fi
