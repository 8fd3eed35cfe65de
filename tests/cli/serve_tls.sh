#!/usr/bin/env bash
# qGetTLSAddr: where threads have their variables, as they say themselves: of the program, of a library that was there at the start,
# and of one that came later; and what is said of a block that is not there yet. A static program, too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >library.c <<'C'
__thread int in_library[3] = {21, 22, 23};
int *library_address(void) { return &in_library[2]; }
C
cat >late.c <<'C'
__thread char pad[64];
__thread int in_late = 31;
int *late_address(void) { return &in_late; }
C
cat >threads.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
__thread int in_program = 11;
__thread char pad[100];
__thread int second __attribute__((aligned(64))) = 12;
int *library_address(void);
static int *(*late_address)(void);
static pthread_barrier_t barrier;
volatile uint64_t said[4][5]; /* the thread, and where its variables are */
__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }
static void *run(void *arg)
{
    volatile uint64_t *say = said[(intptr_t)arg];
    say[0] = (uint64_t)syscall(SYS_gettid);
    say[1] = (uintptr_t)&in_program;
    say[2] = (uintptr_t)&second;
    pthread_barrier_wait(&barrier); /* that all threads are older than the late library */
    pthread_barrier_wait(&barrier);
    say[3] = (uintptr_t)library_address();
    say[4] = (intptr_t)arg == 2 ? 0 : (uintptr_t)late_address();
    pthread_barrier_wait(&barrier);
    return arg;
}
int main(void)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 4);
    for (intptr_t i = 1; i < 4; i++)
        pthread_create(&thread, NULL, run, (void *)i);
    said[0][0] = (uint64_t)getpid();
    said[0][1] = (uintptr_t)&in_program;
    said[0][2] = (uintptr_t)&second;
    pthread_barrier_wait(&barrier);
    void *late = dlopen("./late.so", RTLD_NOW);
    late_address = (int *(*)(void))dlsym(late, "late_address");
    pthread_barrier_wait(&barrier);
    said[0][3] = (uintptr_t)library_address();
    said[0][4] = (uintptr_t)late_address();
    while (!said[1][4] || !said[3][4] || !said[2][3])
        usleep(1000);
    ready();
    return 0;
}
C
cat >alone.c <<'C'
__thread int first = 5;
__thread char pad[77];
__thread int second = 6;
int *said[2];
__attribute__((noinline)) void ready(void) { __asm__ volatile(""); }
int main(void)
{
    pad[first] = 1;
    said[0] = &first;
    said[1] = &second;
    ready();
    return 0;
}
C
tracee -shared -fPIC -o library.so library.c
tracee -shared -fPIC -o late.so late.c
tracee -no-pie -fno-pie -o threads threads.c ./library.so -ldl -lpthread
tracee -static -o alone alone.c 2>/dev/null || rm -f alone
if command -v musl-gcc >/dev/null; then
    musl-gcc -g -static -no-pie -o musl_alone alone.c
fi

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 timeout 100 python3 - <<'PYTHON'
import os
import subprocess
import xml.etree.ElementTree as xml
from remote import *

def offset(path, name):
    """Of a variable in its file's block."""
    listing = subprocess.run(['readelf', '-sW', path], check=True, capture_output=True, text=True).stdout
    return next(int(line.split()[1], 16) for line in listing.splitlines()
                if line.split()[3:4] == ['TLS'] and line.split()[7] == name)

with Remote.stdio('./threads') as gdb:
    gdb.start()
    pid = int(fields(gdb.packet('?'))['thread'].split(b'.')[0][1:], 16)
    assert gdb.packet(f'qGetTLSAddr:p{pid:x}.{pid:x},0,0')[:1] == b'E' # there is no libc yet
    gdb.ok(f'Z0,{symbol("threads", "ready"):x},1')
    assert gdb.resume()[:3] == b'T05'
    libraries = xml.fromstring(gdb.xfer('libraries-svr4'))
    maps = {os.path.basename(library.get('name')): int(library.get('lm'), 16) for library in libraries}
    maps['threads'] = int(libraries.get('main-lm'), 16)
    table = symbol('threads', 'said')
    said = [[int.from_bytes(gdb.read(table + 40 * i + 8 * k, 8), 'little') for k in range(5)] for i in range(4)]

    def ask(tid, of, map_address):
        return gdb.packet(f'qGetTLSAddr:p{pid:x}.{tid:x},{of:x},{map_address:x}')
    for tid, *addresses in said:
        expected = [b'%x' % address for address in addresses]
        assert ask(tid, offset('threads', 'in_program'), maps['threads']) == expected[0]
        assert ask(tid, offset('threads', 'second'), maps['threads']) == expected[1]
        assert ask(tid, offset('threads', 'second'), 0) == expected[1] # the program, by its number
        assert ask(tid, offset('library.so', 'in_library') + 8, maps['library.so']) == expected[2]
        answer = ask(tid, offset('late.so', 'in_late'), maps['late.so'])
        assert answer == expected[3] if addresses[3] else answer[:1] == b'E', (tid, answer)
    # What has no variables, is no module, no thread, no request.
    assert ask(pid, 0, maps['libdl.so.2'] if 'libdl.so.2' in maps else 0x10)[:1] == b'E'
    assert ask(pid, 0, 0x10)[:1] == b'E' and ask(pid, 0, table)[:1] == b'E'
    assert ask(1, 0, maps['threads'])[:1] == b'E'
    for bad in ('', 'p1', f'{pid:x}', f'{pid:x},', f'{pid:x},0', f'{pid:x},0,', f'{pid:x},0,x', f'{pid:x},0,0,0', '-1,0,0',
                '0,0,0', f'{pid:x},11111111111111111,0'):
        assert gdb.packet('qGetTLSAddr:' + bad)[:1] == b'E', bad
    gdb.send('k')

for program in ('alone', 'musl_alone'):
    if not os.path.exists(program) or open(program, 'rb').read(5)[4] == 1:
        print('not tried:', program)
        continue
    with Remote.stdio('./' + program) as gdb:
        gdb.start()
        pid = int(fields(gdb.packet('?'))['thread'].split(b'.')[0][1:], 16)
        assert gdb.packet(f'qGetTLSAddr:{pid:x},0,0')[:1] == b'E' # it has no thread pointer yet
        gdb.ok(f'Z0,{symbol(program, "ready"):x},1')
        assert gdb.resume()[:3] == b'T05'
        for i, name in enumerate(('first', 'second')):
            where = int.from_bytes(gdb.read(symbol(program, 'said') + 8 * i, 8), 'little')
            assert gdb.packet(f'qGetTLSAddr:p{pid:x}.{pid:x},{offset(program, name):x},0') == b'%x' % where
        gdb.send('k')
PYTHON
