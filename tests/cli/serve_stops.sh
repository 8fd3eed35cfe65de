#!/usr/bin/env bash
# What stops, in packets: all-stop and non-stop, the reasons in stop replies, several threads at once, conditions that change, two points at one
# place, and what a client leaves to the next.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
command -v python3 >/dev/null || skip "no python3"

cat >stops.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
volatile long spins[2], counter, handled;
volatile int done;
__attribute__((noinline)) void spin(int which)
{
    while (!done)
        spins[which]++;
}
__attribute__((noinline)) void ready(void) { counter++; }
__attribute__((noinline)) void work(void) { counter++; }
void handler(int number) { (void)number; __atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST); } /* on many threads at once */
void *spinner(void *arg)
{
    spin(arg != NULL);
    return NULL;
}
void *waiter(void *arg)
{
    pthread_barrier_wait(arg);
    while (!done)
        usleep(1000);
    return NULL;
}
void *nothing(void *arg) { return arg; }
int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    signal(SIGUSR1, handler);
    if (strcmp(what, "spin") == 0) {
        pthread_t threads[2];
        for (long i = 0; i < 2; i++)
            pthread_create(&threads[i], NULL, spinner, (void *)i);
        while (!spins[0] || !spins[1])
            usleep(1000);
        ready();
        while (argc > 2) /* for ever */
            pause();
        for (int round = 0; round < 3; round++) { /* both have gone round since */
            long before[2] = {spins[0], spins[1]};
            while (spins[0] < before[0] + 3 || spins[1] < before[1] + 3)
                usleep(1000);
            work();
        }
        done = 1;
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
    } else if (strcmp(what, "many") == 0) {
        enum { COUNT = 100 };
        pthread_barrier_t barrier;
        pthread_t threads[COUNT];
        pthread_barrier_init(&barrier, NULL, COUNT + 1);
        for (int i = 0; i < COUNT; i++)
            pthread_create(&threads[i], NULL, waiter, &barrier);
        pthread_barrier_wait(&barrier);
        ready();
        while (handled < COUNT)
            usleep(1000);
        ready();
        done = 1;
        for (int i = 0; i < COUNT; i++)
            pthread_join(threads[i], NULL);
    } else if (strcmp(what, "joins") == 0) {
        pthread_barrier_t barrier;
        pthread_t held, thread;
        pthread_barrier_init(&barrier, NULL, 2);
        pthread_create(&held, NULL, waiter, &barrier);
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < 100; i++) {
            pthread_create(&thread, NULL, nothing, NULL);
            pthread_join(thread, NULL);
            work();
        }
        done = 1;
        pthread_join(held, NULL);
    } else if (strcmp(what, "forks") == 0) {
        int bad = 0;
        for (int i = 0; i < 100; i++) {
            int pid = fork(), status = 0;
            if (pid == 0) {
                work();
                _exit(7);
            }
            waitpid(pid, &status, 0);
            bad += status != 7 << 8;
        }
        return bad;
    } else if (strcmp(what, "loop") == 0) {
        for (;;)
            work();
    } else if (strcmp(what, "exec") == 0) {
        if (vfork() == 0)
            _exit(0);
        execl("./stops", "stops", "quit", (char *)NULL);
    } else if (strcmp(what, "print") == 0) {
        for (int i = 0; i < 300; i++) {
            work();
            if (i == 9)
                ready();
        }
        ready();
    } else if (strcmp(what, "show") == 0) {
        char directory[4096] = "";
        printf("<%s> %s %d\n", getenv("SET") ? getenv("SET") : "-", getcwd(directory, sizeof directory), access("/proc/self/fd/0", F_OK));
        fflush(stdout);
    } else if (strcmp(what, "kill") == 0) {
        raise(SIGUSR1);
        raise(SIGKILL);
    } else {
        for (int i = 0; i < 5; i++)
            work();
        ready();
    }
    return 5;
}
C
tracee -no-pie -fno-pie -pthread -o stops stops.c

export PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
timeout 150 python3 - <<'PYTHON'
import atexit
import faulthandler
from remote import *

faulthandler.dump_traceback_later(140, exit=True)
ready, work, spin, counter = (symbol('stops', name) for name in ('ready', 'work', 'spin', 'counter'))
word = 4 if open('stops', 'rb').read(5)[4] == 1 else 8
FALSE, TRUE = 'X3,220027', 'X3,220127'

def pc(stop):
    parts = fields(stop)
    return next(int.from_bytes(unhexed(parts[number]), 'little') for number in ('10', '08', '20') if number in parts)

def end_of(function):
    listing = subprocess.run(['nm', '-S', 'stops'], check=True, capture_output=True, text=True).stdout
    words = next(line.split() for line in listing.splitlines() if line.split()[-1] == function)
    return int(words[0], 16) + int(words[1], 16)

def threads_of(gdb):
    return [part for part in gdb.packet('qfThreadInfo')[1:].split(b',')]

def stopped_all(gdb):
    """Non-stop: ?, and vStopped until it is over."""
    stops = [gdb.packet('?')]
    while stops[-1] != b'OK':
        stops.append(gdb.packet('vStopped'))
    return stops[:-1]

# ---- All-stop: reasons ----

with Remote.stdio('./stops') as gdb:
    gdb.start()
    assert gdb.packet('?')[:3] == b'T05'
    assert gdb.packet('vCont?')[:6] == b'vCont;'
    gdb.ok(f'Z0,{work:x},1')
    stop = gdb.resume()
    thread = fields(stop)['thread']
    assert 'swbreak' in fields(stop) and pc(stop) == work and stop[:3] == b'T05', stop
    assert fields(gdb.packet('?'))['thread'] == thread
    gdb.ok(f'z0,{work:x},1')
    # A watchpoint is told with its address, in the client's words.
    gdb.ok(f'Z2,{counter:x},{word:x}')
    stop = gdb.resume()
    assert int(fields(stop)['watch'], 16) == counter, stop
    gdb.ok(f'z2,{counter:x},{word:x}')
    gdb.ok(f'Z1,{ready:x},1')
    stop = gdb.resume()
    assert 'hwbreak' in fields(stop) and pc(stop) == ready, stop
    gdb.ok(f'z1,{ready:x},1')
    stop = gdb.resume(b'vCont;s:' + thread)
    assert stop[:3] == b'T05' and pc(stop) != ready
    end = gdb.resume('c')
    assert re.fullmatch(rb'W05;process:[0-9a-f]+', end), end
    assert gdb.packet('?') == b'W00'
    assert gdb.packet('vCont;c')[:1] == b'E'

# Signals are told, and given back or not.
with Remote.stdio('./stops', 'kill') as gdb:
    gdb.start()
    stop = gdb.resume()
    assert stop[:3] == b'T1e', stop
    end = gdb.resume('vCont;C1e:' + fields(stop)['thread'].decode())
    assert re.fullmatch(rb'X09;process:[0-9a-f]+', end), end

# vfork, its end, and an exec.
with Remote.stdio('./stops', 'exec') as gdb:
    gdb.start()
    gdb.ok('QPassSignals:14') # SIGCHLD
    stop = gdb.resume()
    child = fields(stop)['vfork'].split(b'.')[0][1:]
    gdb.ok(b'D;' + child)
    stop = gdb.resume()
    assert 'vforkdone' in fields(stop), stop
    stop = gdb.resume()
    assert unhexed(fields(stop)['exec']).endswith(b'/stops'), stop
    assert gdb.resume()[:3] == b'W05'

# Entries and returns of system calls, of those that are named; threads that begin and end; interrupts.
with Remote.stdio('./stops', 'many') as gdb:
    gdb.start()
    gdb.ok('QThreadEvents:1')
    stop = gdb.resume()
    assert 'create' in fields(stop), stop
    gdb.ok('QThreadEvents:0')
    gdb.ok(f'Z0,{ready:x},1')
    stop = gdb.resume()
    thread = fields(stop)['thread'].decode()
    assert len(threads_of(gdb)) == 101

    # A hundred signals at once, to threads that something else has stopped: none is lost, none is told.
    others = [each.decode() for each in threads_of(gdb) if each.decode() != thread]
    def registers(each):
        gdb.ok(b'Hg' + each)
        return gdb.packet('g')
    # One after the other, up or down, and again when something has run.
    ids = sorted(threads_of(gdb), key=lambda each: int(each.split(b'.')[1], 16))
    up = [registers(each) for each in ids]
    assert len(set(up)) > 90 and up[0] == registers(thread.encode())
    assert [registers(each) for each in reversed(ids)] == up[::-1]
    assert [registers(each) for each in ids[::7]] == up[::7]
    assert [registers(each) for each in ids[4:1:-1]] == up[4:1:-1]
    gdb.ok(f'z0,{ready:x},1')
    gdb.resume(f'vCont;s:{thread}')
    assert registers(ids[0]) != up[0] and registers(ids[1]) == up[1]
    gdb.ok(f'Z0,{ready:x},1')
    stop = gdb.resume('vCont;' + ';'.join(f'C1e:{each}' for each in others) + ';c')
    assert 'swbreak' in fields(stop) and pc(stop) == ready, stop
    gdb.ok(f'z0,{ready:x},1')
    gdb.ok('QCatchSyscalls:1')
    stop = gdb.resume()
    assert 'syscall_entry' in fields(stop) or 'syscall_return' in fields(stop), stop
    gdb.ok('QCatchSyscalls:0')
    gdb.ok('QThreadEvents:1')
    stop = gdb.resume()
    while stop.startswith(b'T05syscall'): # of others, from before
        stop = gdb.resume()
    assert re.fullmatch(rb'w00;p[0-9a-f]+\.[0-9a-f]+', stop), stop
    gdb.ok('QThreadEvents:0')
    while stop[:1] == b'w':
        stop = gdb.resume()
    assert stop[:3] == b'W05', stop

with Remote.stdio('./stops', 'loop') as gdb:
    gdb.start()
    gdb.send('vCont;c')
    gdb.interrupt()
    stop = gdb.stop()
    assert stop[:3] == b'T02', stop
    pid = int(fields(stop)['thread'].split(b'.')[0][1:], 16)

    # Z0 and Z1 at one place: it is there as long as one of them is, and what either wants is told.
    for first, second in (('0', '1'), ('1', '0')):
        gdb.ok(f'Z{first},{work:x},1')
        gdb.ok(f'Z{second},{work:x},1')
        assert pc(gdb.resume()) == work
        gdb.ok(f'z{first},{work:x},1')
        gdb.resume('vCont;s')
        assert pc(gdb.resume()) == work
        gdb.ok(f'z{second},{work:x},1')
        gdb.resume('vCont;s')
    gdb.ok(f'Z0,{work:x},1;{FALSE}')
    gdb.ok(f'Z1,{work:x},1')
    assert pc(gdb.resume()) == work
    gdb.resume('vCont;s')
    gdb.ok(f'z1,{work:x},1')
    gdb.send('vCont;c')
    gdb.interrupt()
    assert gdb.stop()[:3] == b'T02' # nobody wants it any more
    gdb.ok(f'z0,{work:x},1')

    # Conditions that are exchanged.
    for kind, reason in (('0', 'swbreak'), ('1', 'hwbreak')):
        for condition in (TRUE, f'{FALSE}{TRUE}', ''):
            gdb.ok(f'Z{kind},{work:x},1;{FALSE}')
            gdb.send('vCont;c')
            gdb.interrupt()
            assert gdb.stop()[:3] == b'T02'
            gdb.ok(f'Z{kind},{work:x},1' + (';' + condition if condition else ''))
            stop = gdb.resume()
            assert reason in fields(stop) and pc(stop) == work, (condition, stop)
            gdb.ok(f'z{kind},{work:x},1')
            gdb.resume('vCont;s')

    # One that goes while all stands is out as soon as anybody runs; if it comes again before, the library has not heard of that.
    def runs():
        gdb.send('vCont;c')
        gdb.interrupt()
        return gdb.stop()[:3] == b'T02'
    def stops(reason):
        stop = gdb.resume()
        return reason in fields(stop) and pc(stop) == work
    gdb.ok(f'Z0,{work:x},1')
    assert stops('swbreak')
    for _ in range(3):
        gdb.ok(f'z0,{work:x},1')
        gdb.ok(f'z0,{work:x},1')
        gdb.ok(f'Z0,{work:x},1')
    gdb.send('qRcmd,' + b'stats'.hex())
    output = b''
    while (part := gdb.receive()[1]) != b'OK':
        output += unhexed(part[part[:1] == b'O':])
    assert b'0x%x: 1 hits' % work in output, output
    gdb.ok(f'z0,{work:x},1')
    gdb.ok(f'Z0,{work:x},1;{FALSE}')
    assert runs() and runs()
    gdb.ok(f'z0,{work:x},1')
    gdb.ok(f'Z0,{work:x},1')
    assert stops('swbreak')
    gdb.ok(f'z0,{work:x},1')
    gdb.resume('vCont;s')
    for way in ('01', '10'):
        gdb.ok(f'Z{way[0]},{work:x},1')
        gdb.ok(f'z{way[0]},{work:x},1')
        gdb.ok(f'Z{way[1]},{work:x},1')
        assert stops('hwbreak' if way[1] == '1' else 'swbreak')
        gdb.ok(f'z{way[1]},{work:x},1')
        gdb.resume('vCont;s')
        assert runs()

    # A step onto one whose condition is false, or that has commands only, and a step from there, are as if it were not there.
    thread = fields(stop)['thread'].decode()
    gdb.resume(f'vCont;r{work:x},{end_of("work"):x}')
    def way(action):
        stops = [gdb.resume(f'vCont;{action}:{thread}') for _ in range(30)]
        assert all('swbreak' not in fields(stop) and 'hwbreak' not in fields(stop) for stop in stops), stops
        return [pc(stop) for stop in stops]
    plain = way('s')
    assert plain.count(work) > 1 and plain[:1] not in ([work], plain[-1:]), plain
    for kind in '0', '1':
        for text in FALSE, f'{FALSE}{FALSE}', f'cmds:0,{FALSE}':
            while plain[0] != pc(gdb.resume(f'vCont;s:{thread}')):
                pass
            gdb.ok(f'Z{kind},{work:x},1;{text}')
            there = way('s')
            assert there == plain[1:] + there[-1:], (kind, text, plain, there)
            assert work not in way(f'r{work:x},{work + 1:x}')[1:]
            gdb.ok(f'z{kind},{work:x},1')
    gdb.ok(f'vKill;{pid:x}')
    assert not os.path.exists(f'/proc/{pid}')

# ---- Two steps within ranges at once: neither ends ----

low, high = spin, end_of('spin')
for non_stop in False, True:
    with Remote.stdio('./stops', 'spin') as gdb:
        gdb.start()
        gdb.ok(f'Z0,{ready:x},1')
        stop = gdb.resume()
        main = fields(stop)['thread'].decode()
        assert pc(stop) == ready
        spinners = [each.decode() for each in threads_of(gdb) if each.decode() != main]
        gdb.ok(f'z0,{ready:x},1')
        gdb.resume(f'vCont;s:{main}')
        gdb.ok(f'Z0,{work:x},1')
        ranges = ';'.join(f'r{low:x},{high:x}:{each}' for each in spinners)
        if non_stop:
            gdb.ok('QNonStop:1')
            assert len(stopped_all(gdb)) == 3
            gdb.ok(f'vCont;{ranges};c:{main}')
            stop = gdb.notification().removeprefix(b'Stop:')
            assert gdb.packet('vStopped') == b'OK'
        else:
            stop = gdb.resume(f'vCont;{ranges};c:{main}')
        assert fields(stop)['thread'].decode() == main and pc(stop) == work, (non_stop, stop)
        if non_stop:
            # vCont;t stops each of them, once: by request, or by the end of a step just then.
            gdb.ok('vCont;t')
            stops = [gdb.notification().removeprefix(b'Stop:')]
            while True:
                more = gdb.packet('vStopped')
                if more == b'OK':
                    break
                stops.append(more)
            assert {fields(each)['thread'].decode() for each in stops} == set(spinners), stops
            assert all(each[:3] in (b'T00', b'T05') for each in stops), stops
            gdb.ok('vCtrlC')
            gdb.ok(f'vCont;c:{main}')
            stop = gdb.notification().removeprefix(b'Stop:')
        gdb.send('k')

# ---- With a signal that the program ignores a thread begins where it stands, also at a breakpoint; else in the handler ----

with Remote.stdio('./stops', 'loop') as gdb:
    gdb.start()
    gdb.ok(f'Z0,{work:x},1')
    stop = gdb.resume()
    thread = fields(stop)['thread'].decode()
    for action in 'S14', 'C14': # SIGCHLD
        stop = gdb.resume(f'vCont;{action}:{thread}')
        assert 'swbreak' in fields(stop) and pc(stop) == work, (action, stop)
    stop = gdb.resume(f'vCont;S1e:{thread}') # SIGUSR1
    assert 'swbreak' not in fields(stop) and pc(stop) == symbol('stops', 'handler'), stop
    gdb.send('k')

# Also among others that run on, and where the instruction under the breakpoint is one of the program's own, which would be executed in
# front of the signal if it was in memory.
for mode, place, own in (('loop', work, False), ('loop', work, True), ('spin', spin, False), ('spin', spin, True)):
    with Remote.stdio('./stops', mode) as gdb:
        gdb.start()
        if own:
            gdb.ok(f'M{place:x},' + ('1:cc' if 'x86' in os.environ['REIN_CPU'] else '4:000020d4'))
        gdb.ok(f'Z0,{place:x},1')
        for _ in range(5 if place == work and not own else 1): # spin is come to once by each of two threads
            stop = gdb.resume()
            assert 'swbreak' in fields(stop) and pc(stop) == place, stop
            thread = fields(stop)['thread'].decode()
            stop = gdb.resume(f'vCont;S1e:{thread};c:' + thread.split('.')[0] + '.-1') # SIGUSR1
            if fields(stop)['thread'].decode() == thread: # else another was there first
                assert 'swbreak' not in fields(stop) and pc(stop) == symbol('stops', 'handler'), (mode, own, stop)
        gdb.send('k')

# ---- A thread ends while some are not resumed, and another is stopped just then: that is told, and not that nobody is left ----

with Remote.stdio('./stops', 'joins') as gdb:
    gdb.start()
    gdb.ok(f'Z0,{work:x},1')
    stop = gdb.resume()
    main = fields(stop)['thread'].decode()
    for count in range(1, 100):
        assert 'swbreak' in fields(stop) and pc(stop) == work, (count, stop)
        gdb.over(work, main)
        stop = gdb.resume(f'vCont;c:{main}')
    gdb.send('k')

# ---- Conditions of Z1 go by what is there at each hit, and who hits it in vain is not told of, nor holds up the others ----

def less_than(address, value): # *address < value, of 32 bits and 8
    return f'Xa,24{address:08x}1922{value:02x}1527'

with Remote.stdio('./stops', 'print') as gdb: # work is called 300 times
    gdb.start()
    gdb.ok(f'Z1,{work:x},1;' + less_than(counter, 3))
    for count in range(3):
        stop = gdb.resume()
        assert 'hwbreak' in fields(stop) and pc(stop) == work, stop
        assert int.from_bytes(gdb.read(counter, word), 'little') == count
        gdb.ok(f'z1,{work:x},1') # else it were a hit again
        gdb.resume('vCont;s')
        gdb.ok(f'Z1,{work:x},1;' + less_than(counter, 3))
    assert gdb.resume()[:3] == b'W05'

with Remote.stdio('./stops', 'loop') as gdb: # one that cannot be evaluated is told
    gdb.start()
    gdb.ok(f'Z1,{work:x},1;X6,220122000527')
    stop = gdb.resume()
    assert 'hwbreak' in fields(stop) and pc(stop) == work, stop
    gdb.send('k')

for non_stop in False, True:
    with Remote.stdio('./stops', 'spin') as gdb:
        gdb.start()
        gdb.ok(f'Z0,{ready:x},1')
        main = fields(gdb.resume())['thread'].decode()
        gdb.ok(f'z0,{ready:x},1')
        here = set()
        for each in threads_of(gdb):
            if each.decode() != main:
                gdb.ok(b'Hg' + each)
                here.add(int.from_bytes(unhexed(gdb.packet('p10' if word == 8 else 'p8')), 'little'))
        for place in here: # where both come by all the time
            gdb.ok(f'Z1,{place:x},1;{FALSE}')
        gdb.ok(f'Z0,{work:x},1')
        if non_stop:
            gdb.ok('QNonStop:1')
            assert len(stopped_all(gdb)) == 3
            gdb.ok('vCont;c')
        for _ in range(3): # each when both have gone round
            if non_stop:
                stop = gdb.notification().removeprefix(b'Stop:')
                assert gdb.packet('vStopped') == b'OK'
            else:
                stop = gdb.resume()
            assert pc(stop) == work and fields(stop)['thread'].decode() == main, (non_stop, stop)
            gdb.ok(f'z0,{work:x},1')
            if non_stop:
                gdb.ok(f'vCont;s:{main}')
                stop = gdb.notification().removeprefix(b'Stop:')
                assert gdb.packet('vStopped') == b'OK'
            else:
                stop = gdb.resume(f'vCont;s:{main};c')
            assert pc(stop) != work and fields(stop)['thread'].decode() == main, (non_stop, stop)
            gdb.ok(f'Z0,{work:x},1')
            if non_stop:
                gdb.ok(f'vCont;c:{main}')
        if non_stop:
            assert gdb.notification()[:8] == b'Stop:W05'
        else:
            assert gdb.resume()[:3] == b'W05'

# ---- Watchpoints that several hit at once, or one instruction: each stop says which, though the client has put them anew since ----

with Remote.stdio('./stops', 'spin', 'on') as gdb:
    gdb.start()
    gdb.ok(f'Z0,{ready:x},1')
    gdb.resume()
    gdb.ok(f'z0,{ready:x},1')
    spins = symbol('stops', 'spins')
    places = spins, spins + word
    hits = dict.fromkeys(places, None)
    for _ in range(20):
        for place in places:
            gdb.ok(f'Z2,{place:x},{word:x}')
        stop = gdb.resume()
        assert int(fields(stop).get('watch', b'0'), 16) in places, stop
        assert hits[int(fields(stop)['watch'], 16)] in (None, fields(stop)['thread']), stop # each has its own
        hits[int(fields(stop)['watch'], 16)] = fields(stop)['thread']
        for place in places:
            gdb.ok(f'z2,{place:x},{word:x}')
    gdb.send('k')

with Remote.stdio('./stops', 'print') as gdb:
    gdb.start()
    fires = gdb.packet(f'Z4,{counter:x},{word:x}') == b'OK' # where debug registers do not, accesses cannot be watched
    if fires:
        gdb.ok(f'z4,{counter:x},{word:x}')
    two = [f'4,{counter:x},{word:x}' if fires else f'2,{counter:x},1', f'2,{counter:x},{word:x}']
    for count in range(1, 11):
        for text in two:
            gdb.ok('Z' + text)
        while True:
            stop = gdb.resume()
            assert int((fields(stop).get('watch') or fields(stop).get('awatch', b'0')), 16) == counter, stop
            if int.from_bytes(gdb.read(counter, word), 'little') == count: # else it was read
                break
        for text in two:
            gdb.ok('z' + text)

    # Where there is no memory yet they are put all the same.
    if fires:
        for text in '1,0,1', '2,0,4', f'4,{2 * word:x},{word:x}':
            gdb.ok('Z' + text)
        gdb.ok(f'Z0,{ready:x},1')
        assert pc(gdb.resume()) == ready
        for text in '1,0,1', '2,0,4', f'4,{2 * word:x},{word:x}':
            gdb.ok('z' + text)
    gdb.send('k')

# ---- A signal given to a thread while the stop of another is told comes when it runs, though nobody names it: once ----

with Remote.stdio('./stops', 'spin') as gdb:
    gdb.start()
    gdb.ok(f'Z0,{ready:x},1')
    main = fields(gdb.resume())['thread'].decode()
    gdb.ok(f'z0,{ready:x},1')
    here = set()
    for each in threads_of(gdb):
        if each.decode() != main: # they stand at a breakpoint now: both stop at once
            gdb.ok(b'Hg' + each)
            here.add(int.from_bytes(unhexed(gdb.packet('p10' if word == 8 else 'p8')), 'little'))
    for place in here:
        gdb.ok(f'Z0,{place:x},1')
    first = gdb.resume()
    second = gdb.resume(f'vCont;C1e:{main};c')
    assert {fields(first)['thread'], fields(second)['thread'], main.encode()} == set(threads_of(gdb)), (first, second)
    for place in here:
        gdb.ok(f'z0,{place:x},1')
    gdb.ok(f'Z0,{work:x},1')
    for _ in range(2):
        stop = gdb.resume()
        assert pc(stop) == work and fields(stop)['thread'].decode() == main, stop
        assert int.from_bytes(gdb.read(symbol('stops', 'handled'), word), 'little') == 1
        gdb.over(work, main)
    gdb.send('k')

# ---- Forks while breakpoints come and go: a child has those that its parent has when the fork is told ----

with Remote.stdio('./stops', 'forks') as gdb:
    gdb.start()
    gdb.ok('QPassSignals:14') # SIGCHLD
    gdb.ok('QNonStop:1')
    stopped_all(gdb)
    parent = fields(gdb.packet('?'))['thread'].decode()
    gdb.packet('vStopped')
    gdb.ok(f'vCont;c:{parent}')
    ends, stray = 0, []
    while True:
        for packet in 'Hg' + parent, f'Z0,{work:x},1;cmds:0,{FALSE}', f'z0,{work:x},1':
            gdb.packet(packet) # at the end there is nobody any more
        if not gdb.notifications:
            continue
        stops = [gdb.notifications.pop(0).removeprefix(b'Stop:')]
        while True:
            more = gdb.packet('vStopped')
            if more == b'OK':
                break
            stops.append(more)
        for stop in stops:
            if stop[:1] == b'W':
                ends += 1
                continue
            parts = fields(stop)
            if 'fork' in parts:
                gdb.ok(b'vCont;c:' + parts['fork'])
            elif 'swbreak' in parts:
                stray.append(stop)
            gdb.ok(b'vCont;c:' + parts['thread'])
        last = [stop for stop in stops if stop[:1] == b'W' and stop.endswith(b':' + parent.split('.')[0][1:].encode())]
        if last:
            assert last[0][:3] == b'W00', last # no child has died of a breakpoint
            break
    assert ends == 101 and not stray, (ends, stray)

# ---- What breakpoints print (dprintf) to an output that nobody reads holds up nobody; it comes when it is read, up to a limit ----

reader, writer = os.pipe()
os.set_blocking(writer, False)
filled = 0
try:
    while True:
        filled += os.write(writer, b'x' * 4096)
except BlockingIOError:
    os.set_blocking(writer, True)
line = b'%d ' + b'y' * 250 + b'\n\0'
code = b'\x24' + counter.to_bytes(4, 'big') + b'\x19\x22\0\x22\0\x34\1' + len(line).to_bytes(2, 'big') + line + b'\x27'
printed = b''.join(b'%d %s\n' % (i, b'y' * 250) for i in range(301) if i != 10)
with Remote.listening('./stops', 'print', stdout=writer) as gdb:
    os.close(writer)
    gdb.start()
    assert b'Remote debugging from' in gdb.process.stderr.readline()
    gdb.ok(f'Z0,{ready:x},1')
    gdb.ok(f'Z0,{work:x},1;cmds:0,X{len(code):x},{code.hex()}')
    stop = gdb.resume()
    assert pc(stop) == ready, stop
    gdb.over(ready, fields(stop)['thread'])
    stop = gdb.resume()
    assert pc(stop) == ready, stop
    came = b''
    while True:
        assert select.select([reader, gdb.process.stderr], [], [], LIMIT)[0]
        if select.select([gdb.process.stderr], [], [], 0)[0]:
            match = re.match(rb'(\d+) bytes that breakpoints printed are lost', gdb.process.stderr.readline())
            if match:
                break
        else:
            came += os.read(reader, 1 << 16)
    while select.select([reader], [], [], 0)[0]:
        came += os.read(reader, 1 << 16)
    assert came[filled:] == printed[:len(came) - filled] and came[-1:] == b'\n'
    assert 0 < int(match.group(1)) == filled + len(printed) - len(came), (match, len(came))
    gdb.ok(f'z0,{ready:x},1')
    assert gdb.resume()[:3] == b'W05'
os.close(reader)

# ---- What one client has set is not there for the next ----

process = subprocess.Popen([SERVER, '--multi', 'localhost:0'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
atexit.register(process.kill)
port = int(re.match(rb'Listening on port (\d+)', process.stderr.readline()).group(1))
folder = os.getcwd().encode()

def shows(gdb):
    assert gdb.packet(b'vRun;' + hexed(folder + b'/stops') + b';' + hexed('show'))[:1] == b'T'
    assert gdb.resume()[:3] == b'W05'
    return process.stdout.readline()

gdb = Remote.connect(port).start()
gdb.ok('!')
gdb.ok(b'QEnvironmentHexEncoded:' + hexed('SET=yes'))
gdb.ok(b'QSetWorkingDir:' + hexed('/'))
gdb.ok('QStartupWithShell:0')
assert shows(gdb) == b'<yes> / 0\n'
gdb.ok(b'QEnvironmentUnset:' + hexed('SET'))
assert shows(gdb) == b'<-> / 0\n'
gdb.ok(b'QEnvironmentHexEncoded:' + hexed('SET=again'))
gdb.ok('QEnvironmentReset')
assert shows(gdb) == b'<-> / 0\n'
gdb.ok(b'QEnvironmentHexEncoded:' + hexed('SET=left'))
gdb.hang_up()
gdb = Remote.connect(port).start()
assert shows(gdb) == b'<-> ' + folder + b' 0\n'
gdb.send(b'qRcmd,' + hexed('exit'))
gdb.hang_up()
assert process.wait(LIMIT) == 0
PYTHON
