#!/usr/bin/env bash
# 32-bit programs behind the server of a 64-bit machine: gdb sees an i386, also when a program becomes one by an exec, and back.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/support.sh"
. "$here/gdb.sh"
command -v i686-linux-gnu-gcc >/dev/null || skip "no i686-linux-gnu-gcc"

cat >both.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
volatile int handled, total;
double real = 1.5;
__attribute__((noinline)) int add(int a, int b) { return a + b; }
__attribute__((noinline)) double scaled(double x, int n) { return x * n; }
__attribute__((noinline)) int deep(int n) { return n ? add(deep(n - 1), 1) : 0; }
void handler(int number) { handled += number; }
void *body(void *arg) { total += add(1, (int)(long)arg); return arg; }
int main(int argc, char **argv)
{
    pthread_t thread;
    signal(SIGUSR1, handler);
    total = deep(4);
    raise(SIGUSR1);
    pthread_create(&thread, NULL, body, (void *)5);
    pthread_join(thread, NULL);
    real = scaled(real, total);
    if (argc > 1)
        execv(argv[1], argv + 1);
    printf("end: %d %d %g\n", total, handled, real);
    return 4;
}
C
i686-linux-gnu-gcc -g -O0 -pthread -o both32 both.c || skip "no 32-bit programs can be made"
./both32 >said || [ $? = 4 ] || skip "no 32-bit programs can be run"
tracee -O0 -pthread -o both64 both.c

debug ./both32 <<'G'
show architecture
break add if a == 1
continue
printf "long: %d\n", sizeof(long)
backtrace
info registers
printf "stack: %d\n", *(int *)($ebp + 8)
printf "stop: %d\n", $_siginfo.si_signo
x/2i $pc
stepi
next
finish
printf "called: %d %g\n", add(2, 3), scaled(2.5, 2)
set $before = $eax
set var $eax = 9
printf "eax: %d\n", $eax
set var $eax = $before
delete
break handler
continue
printf "siginfo: %d %d\n", $_siginfo.si_signo, $_siginfo._sifields._kill.si_pid == (int)getpid()
continue
backtrace
up
tbreak body
continue
info threads
printf "called: %d\n", add(20, 3)
finish
tbreak scaled
continue
finish
watch real
continue
info auxv
continue
G
follow 'architecture .*i386"' 'Breakpoint 1, add \(a=1, b=1\)' '^long: 4$' '^#2 .*deep \(n=3\)' '^#4 .*main' '^eip .*<add' '^gs ' '^stack: 1$' '^stop: 5$' \
    '=> .*<add' '^called: 5 5$' '^eax: 9$' 'received signal SIGUSR1' '^siginfo: 10 1$' 'handler \(number=10\)' '<signal handler called>' \
    'body \(arg=0x5\)' '\* 2 .*both32' '^called: 23$' 'scaled \(x=1.5, n=10\)' 'Value returned is .* 15' 'Entry point of program' '^end: 10 10 15$' \
    'exited with code 04'

# To 32 bit, and back.
debug ./both64 ./both32 ./both64 <<'G'
handle SIGUSR1 nostop noprint pass
catch exec
continue
show architecture
printf "long: %d\n", sizeof(long)
info registers pc
stepi
break deep
continue
backtrace
printf "called: %d\n", add(2, 3)
delete 2
continue
show architecture
printf "long: %d\n", sizeof(long)
break deep
continue
backtrace
printf "called: %d\n", add(2, 3)
delete
continue
G
follow "Catchpoint 1 \(exec'd .*both32" 'architecture .*i386"' '^long: 4$' '^pc +0x[0-9a-f]{8} ' 'Breakpoint 2, deep \(n=4\)' '^#1 .*main' '^called: 5$' \
    "Catchpoint 1 \(exec'd .*both64" 'architecture .*i386:x86-64"' '^long: 8$' 'Breakpoint 3, deep \(n=4\)' '^#1 .*main' '^called: 5$' '^end: 10 10 15$' \
    'exited with code 04'
