#!/usr/bin/env bash
# qXfer through the server: each object against what the kernel and the program say, in pieces of any size; names that XML does not
# allow; a list of libraries that has become nonsense; malformed requests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >library.c <<'C'
int library_value = 5;
C
cat >objects.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
extern int library_value;
static pthread_barrier_t barrier;
__attribute__((noinline)) void ready(void) { library_value++; }
static void *run(void *name)
{
    pthread_setname_np(pthread_self(), name);
    pthread_barrier_wait(&barrier);
    for (;;)
        pause();
}
int main(void)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 3);
    pthread_create(&thread, NULL, run, "<a>&\"b'");
    pthread_create(&thread, NULL, run, "x\xff\x01\xc3\xa4\xed\xa0\x80)(");
    pthread_barrier_wait(&barrier);
    if (!dlmopen(LM_ID_NEWLM, "./library.so", RTLD_NOW))
        puts(dlerror());
    ready();
    sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 4711});
    kill(getpid(), SIGUSR2);
    *(volatile int *)0x10 = 1;
    return 0;
}
C
tracee -shared -fPIC -o library.so library.c
tracee -no-pie -fno-pie -o objects objects.c ./library.so -ldl -lpthread

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 150 python3 - <<'PYTHON'
import os
import re
import struct
import xml.etree.ElementTree as xml
from remote import *

word = 4 if open('objects', 'rb').read(5)[4] == 1 else 8
with Remote.stdio('./objects') as gdb:
    gdb.start()
    pid = int(fields(gdb.packet('?'))['thread'].split(b'.')[0][1:], 16)

    # Before the run-time linker has run there is no library.
    assert xml.fromstring(gdb.xfer('libraries-svr4')).findall('library') == []
    gdb.ok(f'Z0,{symbol("objects", "ready"):x},1')
    assert gdb.resume()[:3] == b'T05'

    # The description: pieces of all sizes are the same text.
    whole = gdb.xfer('features', 'target.xml')
    assert xml.fromstring(whole.replace(b'xi:include', b'include')).tag == 'target'
    assert gdb.xfer('features', 'target.xml', 0x40) == whole
    assert gdb.xfer('features', 'target.xml', 0x100000) == whole
    assert gdb.packet('qXfer:features:read:other.xml:0,100')[:1] == b'E'

    with open(f'/proc/{pid}/auxv', 'rb') as file:
        auxv = file.read()
    assert gdb.xfer('auxv') == auxv and gdb.xfer('auxv', piece=7) == auxv

    assert gdb.xfer('exec-file') == os.path.realpath('objects').encode()
    assert gdb.xfer('exec-file', f'{pid:x}') == os.path.realpath('objects').encode()
    for annex in ('0', '1', 'ffffffff', '100000000', 'x', '-1', f'{pid:x},'):
        assert gdb.packet(f'qXfer:exec-file:read:{annex}:0,100')[:1] == b'E', annex

    # Threads.
    text = gdb.xfer('threads')
    assert gdb.xfer('threads', piece=3) == text
    threads = xml.fromstring(text).findall('thread')
    tids = {int(thread.get('id').split('.')[1], 16) for thread in threads}
    assert tids == {int(tid) for tid in os.listdir(f'/proc/{pid}/task')}
    assert all(int(thread.get('id').split('.')[0][1:], 16) == pid for thread in threads)
    assert all(0 <= int(thread.get('core')) < 10000 for thread in threads)
    assert sorted(thread.get('name') for thread in threads) == sorted(['objects', '<a>&"b\'', 'x??\xe4???)(']), text

    # Libraries: those that are mapped, each with its dynamic section in it; then the rest of the list, from one on.
    text = gdb.xfer('libraries-svr4')
    document = xml.fromstring(text)
    libraries = document.findall('library')
    main = int(document.get('main-lm'), 16)
    names = [os.path.basename(library.get('name')) for library in libraries]
    assert names.count('library.so') == 2 and 'libc.so.6' in names, names
    assert len({library.get('lmid') for library in libraries}) == 2
    with open(f'/proc/{pid}/maps', encoding='utf-8') as file:
        maps = file.read()
    for library in libraries:
        assert os.path.basename(library.get('name')) in maps or 'vdso' in library.get('name') or 'gate' in library.get('name')
        map_address, base, dynamic = (int(library.get(name), 16) for name in ('lm', 'l_addr', 'l_ld'))
        read = [int.from_bytes(gdb.read(map_address + i * word, word), 'little') for i in range(5)]
        assert read[0] == base and read[2] == dynamic and base < dynamic
    first = [library for library in libraries if library.get('lmid') == libraries[0].get('lmid')]
    maps_of_first = [int(library.get('lm'), 16) for library in first]
    lmid = first[0].get('lmid')[2:]
    start = maps_of_first[1]
    before = int.from_bytes(gdb.read(start + 4 * word, word), 'little')
    rest = xml.fromstring(gdb.xfer('libraries-svr4', f'start={start:x};prev={before:x};lmid={lmid}')).findall('library')
    assert [library.attrib for library in rest] == [library.attrib for library in first[1:]]
    rest = gdb.xfer('libraries-svr4', f'lmid={lmid};unknown=5;prev={before:x};start={start:x}')
    assert len(xml.fromstring(rest)) == len(first) - 1
    assert len(xml.fromstring(gdb.xfer('libraries-svr4', f'start={start:x};prev=1234'))) == 0
    assert len(xml.fromstring(gdb.xfer('libraries-svr4', 'start=10;prev=0'))) == 0
    for annex in ('start=', 'start=x', 'start=1,2', 'start=11111111111111111', ';', 'start'):
        assert gdb.packet(f'qXfer:libraries-svr4:read:{annex}:0,100')[:1] == b'E', annex

    # A list that leads to itself, for ever: it has an end all the same, and is a document.
    saved = gdb.read(start, 5 * word)
    gdb.ok(f'M{start + 3 * word:x},{2 * word:x}:{start.to_bytes(word, "little").hex() * 2}')
    endless = gdb.xfer('libraries-svr4', f'start={start:x};prev={start:x}', 0x1fff0)
    assert 1000 < len(xml.fromstring(endless)) <= 0x10000
    assert len(xml.fromstring(gdb.xfer('libraries-svr4'))) < 10
    gdb.ok(f'M{start:x},{5 * word:x}:{saved.hex()}')
    assert gdb.xfer('libraries-svr4') == text

    # The machine.
    types = [item[0].text for item in xml.fromstring(gdb.xfer('osdata'))]
    assert types == ['cpus', 'files', 'modules', 'msg', 'processes', 'procgroups', 'semaphores', 'shm', 'sockets', 'threads']
    tables = {kind: xml.fromstring(gdb.xfer('osdata', kind, 0x8000)) for kind in types}
    rows = {kind: [{cell.get('name'): cell.text for cell in item} for item in table] for kind, table in tables.items()}
    mine = [row for row in rows['processes'] if row['pid'] == str(pid)]
    assert len(mine) == 1 and mine[0]['command'].strip() == './objects' and re.fullmatch(r'\d+(,\d+)*', mine[0]['cores'])
    assert {row['tid'] for row in rows['threads'] if row['pid'] == str(pid)} == {str(tid) for tid in tids}
    assert any(row['pid'] == str(os.getpid()) and row['file descriptor'] == '0' for row in rows['files'])
    assert any(row['pid'] == str(pid) and row['pgid'] for row in rows['procgroups'])
    assert rows['cpus'] and 'processor' in rows['cpus'][0]
    assert gdb.xfer('osdata', 'nonsense') == b''

    # What is malformed, or asks for more than there is.
    for bad in ('', 'read', 'read:', 'read::', 'read::0', 'read::,', 'read::0,', 'read::x,1', 'read::0,x', 'read::0,10,',
                'read::10000000000000000,1', 'read::ffffffffffffffff,10', 'read::1000000,10', 'read:x:0,10'):
        reply = gdb.packet('qXfer:threads:' + bad)
        assert reply == b'' and not bad.startswith('read:') or reply[:1] == b'E', (bad, reply)
    for bad in ('qXfer:', 'qXfer:threads', 'qXfer:nonsense:read::0,10', 'qXfer:threads:write::0:abc', 'qXfer:thread:read::0,1',
                'qXfer::read::0,1', 'qXfer:memory-map:read::0,10'):
        assert gdb.packet(bad) == b'', bad
    assert gdb.packet(f'qXfer:auxv:read::{len(auxv):x},10') == b'l'
    assert gdb.packet('qXfer:auxv:read::0,0') == b'm'
    assert len(gdb.packet('qXfer:osdata:read:threads:0,ffffffffffffffff')) <= 0x20000
    assert gdb.packet('qXfer:siginfo:read:x:0,80')[:1] == b'E'

    # A signal's details: the layout is the program's own.
    def siginfo(count):
        return struct.unpack_from(f'<{count}i', gdb.xfer('siginfo'))
    assert siginfo(1)[0] == 5 and len(gdb.xfer('siginfo')) == 128
    at = 3 if word == 4 else 4
    gdb.ok(f'z0,{symbol("objects", "ready"):x},1')
    gdb.resume()
    info = siginfo(12)
    assert info[0] == 10 and info[2] == -1 and info[at] == pid and info[at + 2] == 4711, info # SI_QUEUE
    raw = gdb.xfer('siginfo')
    assert gdb.packet(b'qXfer:siginfo:write::0:' + escape(raw)) == b'80'
    assert gdb.packet(b'qXfer:siginfo:write::8:' + escape(raw[8:16])) == b'8'
    for bad in (b':0:' + b'\1' * 129, b':81:', b':ffffffffffffffff:1', b':x:1', b'', b':', b':0', b'x:0:1'):
        assert gdb.packet(b'qXfer:siginfo:write:' + bad)[:1] == b'E', bad
    gdb.resume()
    assert siginfo(3)[0] == 12 and siginfo(3)[2] == 0 and siginfo(12)[at] == pid
    stop = gdb.resume('vCont;c')
    assert stop[:3] == b'T0b', stop
    info = siginfo(12)
    assert info[0] == 11 and info[2] == 1 and info[at] == 0x10, info
    assert gdb.xfer('siginfo', piece=5) == gdb.xfer('siginfo')
    gdb.send('k')
PYTHON
