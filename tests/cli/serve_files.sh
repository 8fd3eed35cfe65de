#!/usr/bin/env bash
# vFile through the server: files are read and written, links read, errors told by the protocol's numbers; a process in a mount
# namespace and root of its own has its own files, and no link leads out of them; no more files than there may be.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >waits.c <<'C'
#include <unistd.h>
int main(void)
{
    for (;;)
        pause();
}
C
tracee -static -o waits waits.c 2>/dev/null || skip "no static programs"
head -c 300000 /dev/urandom >random
printf 'a}b%sc#d*e' '$' >special
ln -s special link
ln -s nowhere dangling
mkdir directory
mkfifo fifo

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 100 python3 - <<'PYTHON'
import os
import struct
from remote import *

here = os.getcwd()

def path(name):
    return hexed(os.path.join(here, name))

def opened(gdb, name, flags=0, mode=0):
    return gdb.file('open', path(name), f'{flags:x}', f'{mode:x}')[0:2]

def content(gdb, fd, piece=0x10000):
    result = b''
    while True:
        count, error, data = gdb.file('pread', f'{fd:x}', f'{piece:x}', f'{len(result):x}')
        assert error is None and count == len(data)
        if not count:
            return result
        result += data

with Remote.stdio('./waits') as gdb:
    gdb.start()
    pid = int(fields(gdb.packet('?'))['thread'].split(b'.')[0][1:], 16)
    assert gdb.file('setfs', '0')[0] == 0

    with open('random', 'rb') as file:
        random = file.read()
    fd, error = opened(gdb, 'random')
    assert error is None
    assert content(gdb, fd) == random and content(gdb, fd, 0xffffff) == random
    assert gdb.file('pread', f'{fd:x}', '10', '493b0') == (16, None, random[300000 - 48:300000 - 32])
    assert gdb.file('pread', f'{fd:x}', '10', 'ffffffff') == (0, None, b'')
    for offset in ('ffffffffffffffff', '8000000000000000', '10000000000000000', 'x', ''):
        assert gdb.file('pread', f'{fd:x}', '10', offset)[:2] == (-1, 22), offset
    count, _, status = gdb.file('fstat', f'{fd:x}')
    real = os.stat('random')
    assert count == 64 and len(status) == 64
    assert struct.unpack('>7I3Q3I', status) == (
        real.st_dev & 0xffffffff, real.st_ino & 0xffffffff, 0o100000 | real.st_mode & 0o777, real.st_nlink, real.st_uid,
        real.st_gid, 0, 300000, real.st_blksize, real.st_blocks, int(real.st_atime) & 0xffffffff, int(real.st_mtime),
        int(real.st_ctime))
    assert gdb.file('pwrite', f'{fd:x}', '0', b'abc')[:2] == (-1, 9) # open for reading only
    assert gdb.file('close', f'{fd:x}')[0] == 0
    for request in (('close',), ('fstat',), ('pread', '1', '0'), ('pwrite', '0', 'a')):
        for number in (f'{fd:x}', '0', '1', '3f', '40', 'ffffffff', 'ffffffffffffffffff', 'x', '-1'):
            assert gdb.file(request[0], number, *request[1:])[:2] == (-1, 9), (request, number)

    fd, _ = opened(gdb, 'special')
    assert content(gdb, fd) == b'a}b$c#d*e' and content(gdb, fd, 1) == b'a}b$c#d*e'
    gdb.file('close', f'{fd:x}')

    # Writing: a new file, its mode, binary data, at an offset; the flags.
    os.umask(0o22)
    fd, error = opened(gdb, 'new', 0x200 | 0x800 | 2, 0o640)
    assert error is None
    binary = bytes(range(256)) * 4
    assert gdb.file('pwrite', f'{fd:x}', '0', escape(binary))[0] == 1024
    assert gdb.file('pwrite', f'{fd:x}', '400', escape(b'end'))[0] == 3
    gdb.file('close', f'{fd:x}')
    with open('new', 'rb') as file:
        assert file.read() == binary + b'end'
    assert os.stat('new').st_mode & 0o777 == 0o640
    assert opened(gdb, 'new', 0x200 | 0x800 | 2, 0o640) == (-1, 17)
    fd, error = opened(gdb, 'new', 0x400 | 1)
    gdb.file('close', f'{fd:x}')
    assert os.stat('new').st_size == 0
    assert gdb.file('unlink', path('new'))[0] == 0 and not os.path.exists('new')
    assert gdb.file('unlink', path('new'))[:2] == (-1, 2)
    assert gdb.file('unlink', path('directory'))[:2] == (-1, 21)

    # Links, and errors.
    assert gdb.file('readlink', path('link')) == (7, None, b'special')
    assert gdb.file('readlink', path('dangling')) == (7, None, b'nowhere')
    assert gdb.file('readlink', path('special'))[:2] == (-1, 22)
    assert gdb.file('readlink', path('absent'))[:2] == (-1, 2)
    assert gdb.file('readlink', hexed(f'/proc/{pid}/exe'))[2] == os.path.join(here, 'waits').encode()
    assert opened(gdb, 'absent') == (-1, 2)
    assert opened(gdb, 'special/x') == (-1, 20)
    assert opened(gdb, 'directory', 1) == (-1, 21)
    assert opened(gdb, 'x' * 300) == (-1, 91)
    assert gdb.file('open', hexed('/' + 'x/' * 3000), '0', '0')[0] == -1
    fd, error = opened(gdb, 'fifo') # nobody writes to it: it is not waited for
    assert error is None and gdb.file('pread', f'{fd:x}', '10', '0')[:2] == (-1, 29)
    gdb.file('close', f'{fd:x}')
    for flags in (3, 4, 0x10, 0x1000, 0x10000000, 0xffffffffffffffff):
        assert opened(gdb, 'special', flags) == (-1, 22)
    for bad in ('open:', 'open:2f', 'open:2f,0', 'open:2f,0,', 'open:2,0,0', 'open:zz,0,0', 'open:2f00,0,0', 'open:,0,0',
                'open:2f,0,0,0', 'unlink:', 'unlink:2', 'unlink:2f,', 'readlink:', 'setfs:', 'setfs:x', 'setfs:ffffffffff',
                'size:', 'mode:x', 'exists:', 'stat:', 'lstat:,'):
        reply = gdb.packet('vFile:' + bad)
        assert reply == b'F-1,16', (bad, reply)
    for bad in ('', 'open', 'nonsense:', ':', 'MD5:2f'):
        assert gdb.packet('vFile:' + bad) == b'', bad

    # lldb's, and newer gdb's.
    assert gdb.packet(b'vFile:size:' + path('random')) == b'F493e0'
    assert gdb.packet(b'vFile:size:' + path('absent')) == b'F-1,2'
    assert gdb.packet(b'vFile:mode:' + path('directory')) == b'F%x' % (os.stat('directory').st_mode & 0o7777)
    assert gdb.packet(b'vFile:exists:' + path('link')) == b'F,1'
    assert gdb.packet(b'vFile:exists:' + path('dangling')) == b'F,0'
    assert struct.unpack('>7I3Q3I', gdb.file('stat', path('link'))[2])[7] == 9
    assert struct.unpack('>7I3Q3I', gdb.file('lstat', path('link'))[2])[7] == 7

    # As many as there may be, and all are closed with the client.
    fds = []
    while True:
        fd, error = opened(gdb, 'special')
        if fd < 0:
            break
        fds.append(fd)
        assert len(fds) < 1000
    assert error == 24 and len(fds) == 64 == len(set(fds))
    assert gdb.file('close', f'{fds[10]:x}')[0] == 0 and opened(gdb, 'special') == (fds[10], None)
    gdb.send('k')
PYTHON

# A root of its own, as a container has: what is there, and links that would lead out of it.
unshare --mount true 2>/dev/null || skip "no mount namespaces: the rest was not tried"
mkdir -p root/etc root/bin
cp waits root/bin/waits
echo inside >root/etc/name
echo outside >secret
ln -s /etc/name root/absolute
ln -s ../../../../etc/name root/etc/relative
ln -s "$PWD/secret" root/out
ln -s "../../../../../../../..$PWD/secret" root/up
unshare --mount chroot root /bin/waits &
tracee=$!
trap 'kill -KILL "$tracee" 2>/dev/null; rm -rf "$scratch"' EXIT
is_inside() {
    [ "$(readlink "/proc/$tracee/root")" = "$PWD/root" ] && [[ $(readlink "/proc/$tracee/exe") = *waits ]]
}
until_true 30 is_inside || fail "it does not start"
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 60 python3 - "$tracee" <<'PYTHON'
import os
import sys
from remote import *

tracee = int(sys.argv[1])
with Remote.attached(tracee) as gdb:
    gdb.start()

    def text(name):
        fd, error, _ = gdb.file('open', hexed(name), '0', '0')
        if fd < 0:
            return error
        data = gdb.file('pread', f'{fd:x}', '100', '0')[2]
        gdb.file('close', f'{fd:x}')
        return data

    secret = os.path.join(os.getcwd(), 'secret')
    assert text('/etc/name') != b'inside\n' and text(secret) == b'outside\n'
    assert gdb.file('setfs', f'{tracee:x}')[0] == 0
    for name in ('/etc/name', '/absolute', '/etc/relative', '/../../etc/name'):
        assert text(name) == b'inside\n', name
    for name in (secret, '/out', '/up'):
        assert text(name) == 2, name
    assert gdb.file('readlink', hexed('/out'))[2] == secret.encode()
    fd, error, _ = gdb.file('open', hexed('/etc/made'), '201', '1a4')
    assert error is None and os.path.exists('root/etc/made')
    assert gdb.file('unlink', hexed('/etc/../etc/made'))[0] == 0 and not os.path.exists('root/etc/made')
    assert gdb.file('unlink', hexed('/up'))[0] == 0 and os.path.exists('secret') and not os.path.lexists('root/up')
    assert gdb.file('setfs', '0')[0] == 0
    assert text(secret) == b'outside\n'
    assert gdb.file('setfs', '7fffffff')[0] == 0 and text('/etc/name') == 2 # there is no such process
    gdb.packet('D')
PYTHON
is_untraced "$tracee" || fail "it is still traced"
kill -KILL "$tracee"
wait "$tracee" 2>/dev/null || true
trap 'rm -rf "$scratch"' EXIT
