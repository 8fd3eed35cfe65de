#!/usr/bin/env bash
# Programs that people debug, through the server with gdb: Python and node with their threads, attached to, stopped within their libraries
# and let go, and they end as they do without; and a program of 500 threads.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
. "$here/gdb.sh"
skipped=()

# begin COMMAND...: starts it in the background, with a pipe to its standard input, and waits until it says "ready"; $program is its pid.
begin() {
    rm -f input
    mkfifo input
    "$@" <input >said 2>&1 &
    program=$!
    exec 8>input
    until_true 60 grep -q '^ready' said || { cat said; fail "$1 is not ready"; }
}

# ends_with STATUS REGEX: it goes on, says that, and ends so.
ends_with() {
    local status=0
    exec 8>&-
    wait "$program" || status=$?
    [ "$status" = "$1" ] || { cat said; fail "status $status, not $1"; }
    has said "$2"
}

# Debian's Python itself, not what finds one: it is the process that is attached to.
if [ -x /usr/bin/python3 ]; then
    cat >program.py <<'P'
import sys, threading, zlib
from concurrent.futures import ThreadPoolExecutor
go = threading.Event()
def work(number):
    go.wait()
    return sum(zlib.crc32(b"x" * (number + i)) & 0xff for i in range(20))
with ThreadPoolExecutor(6) as pool:
    results = [pool.submit(work, number) for number in range(6)]
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads: thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    go.set()
    for thread in threads: thread.join()
    print("sum", sum(result.result() for result in results), flush=True)
sys.exit(7)
P
    wanted=$(/usr/bin/python3 program.py </dev/null | tail -n 1) || true
    begin /usr/bin/python3 program.py
    debug_multi -ex "attach $program" <<'G'
info threads
thread apply all -q -s backtrace 2
python print("threads:", len(gdb.selected_inferior().threads()))
break crc32
shell echo >input
continue
backtrace 3
thread name hit
info threads
finish
stepi
x/i $pc
continue
printf "again: %d\n", $bpnum
detach
G
    follow '^Attached' 'Thread .* "python3"' '^#0 ' '^threads: 10$' 'hit Breakpoint 1, .*crc32' '^#0 .*crc32' 'hit' '=> 0x' 'hit Breakpoint 1, .*crc32' '^again: 1$' 'detached'
    ends_with 7 "^$wanted\$"
else
    skipped+=(/usr/bin/python3)
fi

if command -v node >/dev/null; then
    cat >program.js <<'J'
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
function work(n) {
    let sum = 0;
    for (let i = 0; i < 300000; i++) sum = (sum * 31 + i * n) % 1000003;
    return sum;
}
if (isMainThread) {
    console.log("ready");
    process.on("SIGUSR2", () => console.log("signal"));
    process.stdin.on("end", () => {});
    process.stdin.once("data", async () => {
        const sums = await Promise.all([1, 2, 3].map(n => new Promise(done =>
            new Worker(__filename, { workerData: n }).on("message", done))));
        process.kill(process.pid, "SIGUSR2");
        await new Promise(done => setImmediate(done));
        console.log("sum", sums.reduce((a, b) => a + b));
        setTimeout(() => process.exit(7), 50);
    });
} else {
    let waste = [];
    for (let i = 0; i < 50000; i++) waste.push({ i });
    parentPort.postMessage(work(workerData));
}
J
    wanted=$(echo | node program.js | grep '^sum') || true
    begin node program.js
    debug_multi -ex "attach $program" <<'G'
python print("threads:", len(gdb.selected_inferior().threads()) >= 6)
thread apply all -q -s backtrace 2
break pthread_create
shell echo >input
continue
backtrace 3
finish
stepi
x/i $pc
continue
python print("more:", len(gdb.selected_inferior().threads()) >= 7)
delete
handle SIGUSR2 stop print pass
continue
printf "siginfo: %d\n", $_siginfo.si_signo
detach
G
    follow '^Attached' '^threads: True$' '^#0 ' 'Breakpoint 1, .*pthread_create' '^#0 .*pthread_create' 'Run till exit|^0x' '=> 0x' \
        'Breakpoint 1, .*pthread_create' '^more: True$' 'received signal SIGUSR2' '^siginfo: 12$' 'detached'
    ends_with 7 "^$wanted\$"
    has said '^signal$' 1
else
    skipped+=(node)
fi

cat >many.c <<'C'
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
enum { COUNT = 500 };
_Atomic int sum;
volatile int arrived;
pthread_barrier_t barrier;
__attribute__((noinline)) int work(int number, int round) { return atomic_fetch_add(&sum, number) + round; }
__attribute__((noinline)) void all_there(void) { arrived = 1; }
void *body(void *arg)
{
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < 4; round++)
        work((int)(long)arg, round);
    pthread_barrier_wait(&barrier);
    return arg;
}
int main(void)
{
    static pthread_t threads[COUNT];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    pthread_barrier_init(&barrier, NULL, COUNT + 1);
    for (int i = 0; i < COUNT; i++)
        if (pthread_create(&threads[i], &attributes, body, (void *)(long)i) != 0)
            return 2;
    printf("ready\n");
    fflush(stdout);
    getchar();
    all_there();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < COUNT; i++)
        pthread_join(threads[i], NULL);
    printf("sum: %d\n", sum);
    return 5;
}
C
tracee -no-pie -fno-pie -pthread -o many many.c
begin ./many
debug_multi -iex 'file ./many' -ex "attach $program" <<'G'
python print("threads:", len(gdb.selected_inferior().threads()))
break all_there
shell echo >input
continue
thread apply all -q -s printf "at: %d\n", $pc != 0
thread apply all -q -s backtrace 1
break work if number % 100 == 99 && round == 3
python for i in range(5): gdb.execute("continue"); gdb.execute('printf "hit: %d %d\\n", number, round')
delete
break work if number == 1000
detach
G
follow '^threads: 501$' 'Breakpoint 1, all_there' '^at: 1$'
has out '^at: 1$' 501
has out '^#0 ' 501
has out '^hit: [1-4]?99 3$' 5
[ "$(grep '^hit:' out | sort -u | wc -l)" = 5 ] || fail "a thread was hit twice"
ends_with 5 '^sum: 499000$'

# Attached to in non-stop mode, and killed by the client.
begin ./many
debug_multi -iex 'file ./many' -iex 'set non-stop on' -ex "attach $program" <<'G'
info threads
kill
G
has out '^[* ] +[0-9]+ +Thread .* "many"' 501
has out 'killed'
exec 8>&-
status=0
wait "$program" || status=$?
[ "$status" = 137 ] || fail "the program was to be killed, but its status is $status"

[ ${#skipped[@]} = 0 ] || skip "the rest has passed; without ${skipped[*]}"
