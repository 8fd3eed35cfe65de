/* What steps.txt has debugged. What it does depends on its first argument. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct point {
    int x, y;
    char name[8];
};
enum colour { RED, GREEN = 5 };
int counter;
struct point origin = {3, 4, "orig"};
double ratio = 1.5;
enum colour colour = GREEN;
__thread int mine = 7;
static pthread_barrier_t all_there;
static int gate[2];
static pid_t worker_ids[2];

int square(int value)
{
    int result = value * value;
    counter += result;
    return result;
}

int outer(int value)
{
    int first = square(value);
    int second = square(value + 1);
    return first + second;
}

int depth(int left)
{
    if (left == 0)
        return 0; // the deepest
    return depth(left - 1) + 1;
}

int crash(int *where)
{
    return *where; // crashes
}

void on_signal(int number)
{
    counter += number;
}

void *worker(void *arg)
{
    char byte;
    prctl(PR_SET_NAME, "worker");
    mine = (int)(long)arg;
    worker_ids[mine - 100] = gettid();
    pthread_barrier_wait(&all_there);
    if (read(gate[0], &byte, 1) < 0) // a worker waits
        return NULL;
    return arg;
}

// Both are in their read: so what a debugger shows of them is always the same.
static void wait_for_workers(void)
{
    for (int i = 0; i < 2; i++) {
        char path[64];
        int number = -1;
        snprintf(path, sizeof path, "/proc/self/task/%d/syscall", worker_ids[i]);
        while (number != SYS_read) {
            FILE *file = fopen(path, "r");
            if (!file || fscanf(file, "%d", &number) != 1)
                number = -1;
            if (file)
                fclose(file);
        }
    }
}

static int threads(void)
{
    pthread_t thread[2];
    if (pipe(gate) != 0)
        return 1;
    pthread_barrier_init(&all_there, NULL, 3);
    for (long i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, worker, (void *)(100 + i));
    pthread_barrier_wait(&all_there);
    wait_for_workers();
    int sum = outer(7); // threads are there
    close(gate[1]);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    return sum;
}

static int children(char **argv)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        counter = 77; // the child
        _exit(7);
    }
    waitpid(child, &status, 0);
    counter = WEXITSTATUS(status);
    char *next[] = {argv[0], "executed", NULL}; // before exec
    execv(argv[0], next);
    return 1;
}

int main(int argc, char **argv)
{
    struct point local = {1, 2, "here"};
    const char *what = argc > 1 ? argv[1] : "plain";
    const char *text = getenv("GREETING");
    int sum = 0;
    signal(SIGUSR1, on_signal);
    for (int i = 0; i < 6; i++)
        sum += outer(i);
    local.x = sum; // summed
    origin.x += local.x;
    sum += depth(4);
    if (strcmp(what, "threads") == 0)
        sum += threads();
    if (strcmp(what, "signals") == 0) {
        raise(SIGUSR1); // signalled
        raise(SIGUSR1);
    }
    if (strcmp(what, "crash") == 0)
        sum += crash(NULL);
    if (strcmp(what, "children") == 0)
        return children(argv);
    if (strcmp(what, "wait") == 0) {
        char byte;
        alarm(300); // whoever started it may be gone
        puts("waits");
        fflush(stdout);
        if (pipe(gate) != 0 || read(gate[0], &byte, 1) < 0) // until it is killed
            return 1;
    }
    printf("sum %d, %s, text %s\n", sum, what, text ? text : "-");
    return 42; // the end
}
