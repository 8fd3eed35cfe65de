#!/usr/bin/env bash
# Language runtimes, with their threads, signals and libraries, run under rein trace with breakpoints, and do what they do
# without: python3, node, java, gdb, bash.
set -euo pipefail
. "$(dirname "$0")/support.sh"
ran=

same() { # NAME OPTIONS... -- COMMAND...
    local name=$1 options=() status=0 wanted=0
    shift
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    timeout 60 "$@" >plain 2>/dev/null </dev/null || wanted=$?
    timeout 60 "$REIN_BINARY" trace -c -e none -o log "${options[@]}" "$@" >out 2>/dev/null </dev/null || status=$?
    [ "$status" = "$wanted" ] || { cat log; fail "$name: status $status, not $wanted"; }
    diff plain out || { cat log; fail "$name: another output"; }
    ran+=" $name"
}

if command -v python3 >/dev/null; then
    cat >program.py <<'P'
import subprocess, threading, time, zlib
def work():
    for i in range(50):
        zlib.crc32(b"x" * 100)
        time.sleep(0)
threads = [threading.Thread(target=work) for i in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(subprocess.run(["sh", "-c", "exit 3"]).returncode)
P
    same python3 -b malloc -b crc32 -- "$(python3 -c 'import sys; print(sys.executable)')" program.py
    grep -q ' 20 threads created' log
    [ "$(hits log malloc)" -gt 100 ]
fi
if command -v node >/dev/null; then
    cat >program.js <<'J'
const { Worker, isMainThread } = require("worker_threads");
let waste = [];
for (let i = 0; i < 200000; i++) waste.push({ i });
if (isMainThread)
    Promise.all([1, 2].map(() => new Promise(done => new Worker(__filename).on("exit", done)))).then(codes => console.log(codes));
J
    same node -b uv_run -b libc.so.6:mmap -- node program.js
fi
if command -v java >/dev/null && command -v javac >/dev/null; then
    cat >Program.java <<'J'
public class Program {
    public static void main(String[] arguments) throws Exception {
        Thread[] threads = new Thread[10];
        for (int i = 0; i < threads.length; i++) {
            threads[i] = new Thread(() -> { byte[] waste; for (int k = 0; k < 200; k++) waste = new byte[100000]; System.gc(); });
            threads[i].start();
        }
        for (Thread thread : threads) thread.join();
        Object nothing = null;
        try { nothing.hashCode(); } catch (NullPointerException e) { System.out.println("caught"); }
    }
}
J
    javac Program.java
    same java -b JVM_StartThread -b libc.so.6:pthread_create -- java Program
    [ "$(hits log JVM_StartThread)" -ge 10 ]
fi
if command -v gdb >/dev/null; then
    echo 'int main(void) { return 3; }' >debugged.c
    tracee -o debugged debugged.c
    same gdb -b libc.so.6:fork -- gdb -nx -batch debugged -ex 'info line main'
fi
cat >program.sh <<'S'
trap 'echo caught' USR1
kill -USR1 $$
for i in 1 2 3; do (exit $i); echo $?; done | sort
exec sh -c 'echo end; exit 5'
S
same bash -b fork -b libc.so.6:vfork -- bash program.sh
[ "$ran" ] || skip "no runtime is installed"
echo "ran:$ran"
