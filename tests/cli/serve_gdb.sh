#!/usr/bin/env bash
# What gdb's users do, through the server: calls of functions in the program, forks followed one way or the other, catchpoints, watchpoints,
# signals, stepping out of line with non-stop, libraries that come and go, core files, starting over; and what a server may refuse.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
. "$here/gdb.sh"

cat >extra.c <<'C'
int extra(int n) { return n * 3; }
C
cat >used.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define KEEP __attribute__((noinline, noclone, used))
volatile int total, handled, watched;
char text[16] = "text";
KEEP int add(int a, int b) { return a + b; }
KEEP int twice(int n) { int result = add(n, n); return result; }
KEEP double scaled(double x, int n) { return x * n; }
KEEP int crash(int *p) { return *p; }
KEEP int factorial(int n) { return n < 2 ? 1 : n * factorial(n - 1); }
KEEP void fork_here(void) { total++; }
KEEP void child_here(int n) { total += n; }
KEEP void handler(int number) { handled += number; }
KEEP int loops(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) {
        sum += add(i, 1); /* in the loop */
        watched = i / 3;
    }
    total = sum; /* behind the loop */
    return sum;
}
KEEP void *body(void *arg)
{
    for (int i = 0; i < 3; i++)
        add(i, (int)(long)arg);
    return arg;
}
KEEP void threads(void)
{
    pthread_t made[3];
    for (long i = 0; i < 3; i++)
        pthread_create(&made[i], NULL, body, (void *)(i * 100));
    for (int i = 0; i < 3; i++)
        pthread_join(made[i], NULL);
}
KEEP void forks(void)
{
    int status;
    fork_here();
    int pid = fork();
    if (pid == 0) {
        child_here(1);
        _exit(9);
    }
    waitpid(pid, &status, 0);
    child_here(WEXITSTATUS(status));
    char name[32]; /* who is let go may find nobody who reads its output any more: gdb did, and has ended */
    snprintf(name, sizeof name, "gone_on_%d", total);
    mkdir(name, 0700);
}
KEEP void signals(void)
{
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    raise(SIGUSR1);
}
KEEP void libraries(void)
{
    void *library = dlopen("./libextra.so", RTLD_NOW);
    int (*extra)(int) = (int (*)(int))dlsym(library, "extra");
    total = extra(4);
    dlclose(library);
}
int main(int argc, char **argv)
{
    const char *what = argv[1];
    setvbuf(stdout, NULL, _IONBF, 0);
    total = loops(5);
    if (strcmp(what, "threads") == 0) threads();
    if (strcmp(what, "forks") == 0) forks();
    if (strcmp(what, "signals") == 0) signals();
    if (strcmp(what, "libraries") == 0) libraries();
    if (strcmp(what, "exec") == 0) execl(argv[0], argv[0], "after", NULL);
    if (strcmp(what, "environment") == 0) printf("set: %s\n", getenv("USED_SETTING"));
    printf("end: %d %d %d\n", factorial(5), total, handled);
    return argc + 1;
}
C
tracee -O0 -shared -fPIC -o libextra.so extra.c
tracee -O0 -pthread -o used used.c -ldl
within=$(grep -n 'in the loop' used.c | cut -d: -f1)
behind=$(grep -n 'behind the loop' used.c | cut -d: -f1)

# Functions are called, also through breakpoints; what crashes is taken back, or looked at. Then on through the program by lines.
debug ./used plain <<G
break loops
continue
printf "called: %d %d %g\n", add(2, 3), twice(21), scaled(1.5, 4)
set var text[0] = 'n'
printf "text: %s\n", text
break add if a == 2
print twice(2)
backtrace
finish
set unwindonsignal on
print crash(0)
frame
set unwindonsignal off
print crash(0)
backtrace
printf "siginfo: %d at %ld\n", \$_siginfo.si_signo, (long)\$_siginfo._sifields._sigfault.si_addr
return
return
delete
tbreak $within
continue
printf "sum: %d i: %d\n", sum, i
next
next
next
delete
until $behind
printf "sum: %d\n", sum
finish
advance factorial
return 24
next
x/2i \$pc
stepi
info auxv
info proc mappings
continue
G
follow 'Breakpoint 1, loops .n=5' '^called: 5 42 6$' '^text: next$' 'Breakpoint 2, add .a=2, b=2' '^#1 .*twice .n=2' '<function called from gdb>' \
    'Value returned is .* = 4' 'Program received signal SIGSEGV' 'has restored the context' '#0 .*twice' 'Program received signal SIGSEGV' \
    'remains in the frame' '^#0 .*crash' '^#1 +<function called from gdb>' '^#2 .*twice' '^siginfo: 11 at 0$' \
    'Temporary breakpoint' '^sum: 0 i: 0$' '^sum: 15$' 'Value returned is .* 15' 'factorial \(n=5\)' '^end: 24 15 0$' '^=> ' \
    'Entry point of program' '/used$' 'exited with code 03'

# Both ways of a fork, the other one let go or kept.
debug ./used forks <<'G'
break fork_here
continue
set follow-fork-mode child
break child_here
continue
info inferiors
continue
G
follow 'fork_here' 'Attaching after .* fork to child' 'Detaching after fork from parent' 'hit Breakpoint 2.*child_here \(n=1\)' '^\* 2 +process' \
    'Inferior 2 .* exited with code 011'
until_true 30 test -d gone_on_25 || fail "the parent has not gone on"
debug ./used forks <<'G'
break fork_here
continue
set detach-on-fork off
set schedule-multiple on
break child_here
continue
info inferiors
print n
continue
inferior 1
continue
print n
continue
G
follow 'fork_here' 'New inferior 2' 'child_here \(n=1\)' '^  1 +process' '^\* 2 +process' '= 1$' 'Inferior 2 .* exited with code 011' \
    'child_here \(n=9\)' '= 9$' '^end: 120 25 0$' 'Inferior 1 .* exited with code 03'

# Catchpoints; siginfo; signals that are told and not given, given, or neither.
debug ./used forks <<'G'
catch fork
catch syscall exit_group
tbreak fork_here
continue
catch syscall write
continue
continue
continue
continue
continue
G
follow 'fork_here' 'Catchpoint 1 \(forked process' 'Catchpoint 4 \(call to syscall write' '^end: 120' 'Catchpoint 4 \(returned from syscall write' \
    'Catchpoint 2 \(call to syscall exit_group' 'exited with code 03'
debug ./used signals <<'G'
catch signal SIGUSR1
break signals
continue
continue
set $sender = $_siginfo._sifields._kill.si_pid
printf "siginfo: %d of a call that returned %d\n", $_siginfo.si_signo, add(4, 5)
printf "siginfo: %d, the same sender: %d\n", $_siginfo.si_signo, $_siginfo._sifields._kill.si_pid == $sender
signal 0
printf "handled: %d\n", handled
signal SIGUSR1
G
follow 'Breakpoint 2, .*signals' 'Catchpoint 1 \(signal SIGUSR1' '^siginfo: 10 of a call that returned 9$' '^siginfo: 10, the same sender: 1$' 'Catchpoint 1 \(signal SIGUSR1' '^handled: 0$' '^end: 120 15 10$'
debug ./used signals <<'G'
handle SIGUSR1 nostop print pass
continue
G
follow 'received signal SIGUSR1' 'received signal SIGUSR1' '^end: 120 15 20$'
debug ./used exec <<'G'
catch exec
continue
tbreak main
continue
printf "argv: %s\n", argv[1]
continue
G
follow 'is executing new program: ' "Catchpoint 1 \(exec'd .*used" 'main \(argc=2' '^argv: after$' '^end: 120 15 0$'

# Threads: calls in one of them while the others stand still. Then non-stop, where each that hits goes past the breakpoint out of line.
debug ./used threads <<'G'
break body
continue
set scheduler-locking on
printf "called: %d\n", add(40, (int)(long)arg) - (int)(long)arg
set scheduler-locking off
thread apply all -s backtrace 1
continue
set scheduler-locking on
printf "called: %d\n", twice(4)
set scheduler-locking off
continue
delete
continue
G
follow 'hit Breakpoint 1.*body' '^called: 40$' 'hit Breakpoint 1.*body' '^called: 8$' 'hit Breakpoint 1.*body' '^end: 120 15 0$'
cat >counted.py <<'P'
class Counted(gdb.Breakpoint):
    hits = 0
    def stop(self):
        self.hits += 1
        self.threads = getattr(self, "threads", set()) | {gdb.selected_thread().num}
        return False
body, add = Counted("body"), Counted("add")
gdb.execute("continue")
print("hits:", body.hits, len(body.threads), add.hits, len(add.threads))
P
gdb_says -iex 'set sysroot /' -iex 'set non-stop on' -iex 'set displaced-stepping on' -iex 'file ./used' \
    -ex "target remote | $server --once - ./used threads" <<'G'
tbreak threads
continue
source counted.py
G
follow 'breakpoint 1, threads' '^end: 120 15 0$' 'exited with code 03' '^hits: 3 3 9 3$'

# Libraries that come and go.
debug ./used libraries <<'G'
break extra
continue
print n
backtrace
info sharedlibrary
catch unload extra
continue
info sharedlibrary
delete
continue
G
follow 'Breakpoint 1, extra \(n=4\)' '= 4$' '#1 .*libraries' 'libextra.so' 'Catchpoint 2' 'unloaded.*|libextra.so' '^end: 120 12 0$'

# Watched by single steps where the machine's debug registers are of no use.
debug ./used plain <<'G'
break loops
continue
set can-use-hw-watchpoints 0
watch watched
watch total if total > 3
continue
delete 2
continue
printf "total: %d\n", total
generate-core-file core
detach
G
follow 'Watchpoint 2: watched' 'Old value = 0' 'New value = 1' 'Watchpoint 3: total' 'New value = 15' '^total: 15$' 'Saved corefile core' 'detached'
gdb_says ./used core <<'G'
printf "saved: %d\n", total
backtrace
G
follow 'loops' '^saved: 15$' '#1 .*main'

# Started by the client, again and again, with another environment and directory; what is let go runs on, without its breakpoints.
debug_multi -ex "set remote exec-file $PWD/used" -ex "file $PWD/used" -ex 'set args environment' <<'G'
set environment USED_SETTING some value
set cwd /
break factorial
run
info proc cwd
delete
continue
set args plain
start
kill
starti
info proc exe
monitor help
monitor nonsense
detach
G
follow "factorial" "^cwd = '/'" '^end: 120 15 0$' 'exited with code 03' 'main \(argc=2' 'killed' 'Program stopped' '/used' 'stats' 'detached'
has out '^set: some value$'

# What it does not do it says at once.
debug ./used plain <<'G'
break loops
continue
record btrace
checkpoint
reverse-stepi
printf "still there: %d\n", add(1, 1)
delete
continue
G
follow 'Breakpoint 1' 'does not support branch tracing' 'does not support this command' 'still there: 2' 'exited with code 03'
