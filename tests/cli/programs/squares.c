/* The program that clients of the server debug, in serve_mi.sh and serve_dap.sh: it squares some numbers, and, given "wait", begins
 * when its input ends. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
struct point {
    int x, y;
    char name[8];
};
struct point origin = {3, 4, "orig"};
int square(int value)
{
    int result = value * value; // squares
    return result;
}
void *worker(void *arg)
{
    for (;;)
        pause();
    return arg;
}
int main(int argc, char **argv)
{
    pthread_t thread;
    char byte;
    pthread_create(&thread, NULL, worker, NULL);
    if (argc > 1 && strcmp(argv[1], "wait") == 0) {
        puts("waits");
        fflush(stdout);
        if (fread(&byte, 1, 1, stdin) != 0)
            return 1;
    }
    int sum = 0;
    for (int i = 0; i < 6; i++) {
        int part = square(i);
        sum += part;
    }
    return sum == 64 ? 42 : sum; // 5 has been squared for 4
}
