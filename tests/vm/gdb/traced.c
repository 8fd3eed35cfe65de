/* What the sessions of script/gdb-arm64-in-vm look at: a bit of everything that a debugger is used for, in a fixed order. With
 * an argument it does that alone: threads, fork, wait (for a debugger that attaches). */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int watched, signals_seen, turns;
volatile uint64_t counter;
int table[4] = {1, 2, 3, 4};

int __attribute__((noinline)) add(int a, int b)
{
    return a + b;
}

double __attribute__((noinline)) scale(double value, float factor)
{
    return value * (double)factor;
}

int __attribute__((noinline)) work(int number)
{
    int doubled = add(number, number);
    watched = doubled / 4;
    turns++;
    return doubled;
}

/* One atomic addition, by load and store exclusive: a step in between would never end. */
void __attribute__((noinline)) exclusive(void)
{
    uint64_t value;
    uint32_t failed;
    __asm__ volatile(".globl exclusive_load\n"
                     "exclusive_load: ldxr %0, [%2]\n"
                     "add %0, %0, #1\n"
                     "stxr %w1, %0, [%2]\n"
                     "cbnz %w1, exclusive_load\n"
                     ".globl exclusive_end\n"
                     "exclusive_end: nop\n"
                     : "=&r"(value), "=&r"(failed)
                     : "r"(&counter)
                     : "memory");
}

void __attribute__((noinline)) vectors(void)
{
    static const unsigned char bytes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    __asm__ volatile("ldr q3, [%0]\n"
                     "fmov d4, #2.5\n"
                     ".globl vectors_set\n"
                     "vectors_set: nop\n"
                     "nop\n"
                     :
                     : "r"(bytes)
                     : "v3", "v4");
}

void __attribute__((noinline, target("arch=armv8.2-a+sve"))) scalable_vectors(void)
{
    __asm__ volatile("ptrue p1.b, VL3\n"
                     "mov z5.b, #7\n"
                     "index z6.s, #1, #2\n"
                     ".globl scalable_set\n"
                     "scalable_set: nop\n"
                     "nop\n"
                     :
                     :
                     : "v5", "v6", "p1");
}

void handler(int number)
{
    signals_seen += number;
}

static void *thread(void *argument)
{
    watched = work(*(int *)argument);
    return NULL;
}

void __attribute__((noinline)) threads(void)
{
    pthread_t ids[2];
    for (int i = 0; i < 2; i++) { /* one after the other, so that each session sees the same */
        pthread_create(&ids[i], NULL, thread, &table[i]);
        pthread_join(ids[i], NULL);
    }
}

void __attribute__((noinline)) child(void)
{
    _exit(add(3, 4));
}

int __attribute__((noinline)) forks(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        child();
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

void __attribute__((noinline)) wait_for_debugger(void)
{
    while (turns >= 0) {
        turns++;
        usleep(1000);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "threads") == 0) {
        threads();
        return 0;
    }
    if (strcmp(what, "fork") == 0)
        return forks();
    if (strcmp(what, "wait") == 0) {
        wait_for_debugger();
        return 0;
    }
    signal(SIGUSR1, handler);
    for (int i = 0; i < 6; i++)
        work(i);
    exclusive();
    vectors();
    if (getenv("TRACED_SCALABLE"))
        scalable_vectors();
    raise(SIGUSR1);
    syscall(SYS_getppid);
    return signals_seen == SIGUSR1 ? 0 : 1;
}
