/* Counts the primes below a limit with a crew of threads: the program that script/demo traces.
 *
 *     demo_workers [ITEMS]
 *
 * The main thread cuts the job into ITEMS pieces (16) and puts them on a queue; four workers take them off it.
 * Each worker but the last leaves when it has done its share, so that threads end at different times, and a timer
 * sends SIGALRM ten times a second to whichever thread the kernel picks. Good places for a breakpoint are work_take,
 * work_finish and the line in worker() that is marked with "break here". */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

enum { WORKERS = 4, LIMIT = 400000 };

struct work {
    int first, last; /* count the primes from first to last - 1 */
    struct work *next;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct work *head, **tail;
    int closed; /* nothing more will be put on it */
    int primes; /* what the finished pieces have found */
} queue = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, &queue.head, 0, 0};

static volatile sig_atomic_t ticks;

static void on_alarm(int number)
{
    (void)number;
    ticks++;
}

static int is_prime(int n)
{
    for (int d = 2; d <= n / d; d++)
        if (n % d == 0)
            return 0;
    return n > 1;
}

static void work_put(struct work *work)
{
    pthread_mutex_lock(&queue.lock);
    *queue.tail = work;
    queue.tail = &work->next;
    pthread_cond_signal(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

static void work_close(void)
{
    pthread_mutex_lock(&queue.lock);
    queue.closed = 1;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

/* The next piece, waiting for one if need be; NULL when there will be none. */
__attribute__((noinline)) struct work *work_take(void)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.head == NULL && !queue.closed)
        pthread_cond_wait(&queue.changed, &queue.lock);
    struct work *work = queue.head;
    if (work != NULL && (queue.head = work->next) == NULL)
        queue.tail = &queue.head;
    pthread_mutex_unlock(&queue.lock);
    return work;
}

__attribute__((noinline)) void work_finish(struct work *work, int primes)
{
    pthread_mutex_lock(&queue.lock);
    queue.primes += primes;
    pthread_mutex_unlock(&queue.lock);
    free(work);
}

static void *worker(void *share)
{
    int left = *(const int *)share;
    struct work *work;
    while (left-- > 0 && (work = work_take()) != NULL) {
        int primes = 0;
        for (int n = work->first; n < work->last; n++)
            primes += is_prime(n);
        work_finish(work, primes); /* break here */
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int items = argc > 1 ? atoi(argv[1]) : 16;
    if (items < 1 || items > LIMIT) {
        fprintf(stderr, "usage: demo_workers [ITEMS], from 1 to %d\n", LIMIT);
        return 2;
    }

    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval tenth = {{0, 100000}, {0, 100000}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &tenth, NULL);

    pthread_t threads[WORKERS];
    int shares[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        shares[i] = i == WORKERS - 1 ? items : 1 + items * i / 16;
        pthread_create(&threads[i], NULL, worker, &shares[i]);
    }
    for (int i = 0; i < items; i++) {
        struct work *work = malloc(sizeof *work);
        if (work == NULL)
            abort();
        *work = (struct work){(int)((long)LIMIT * i / items), (int)((long)LIMIT * (i + 1) / items), NULL};
        work_put(work);
        nanosleep(&(struct timespec){0, 400000000 / items}, NULL);
    }
    work_close();
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    printf("%d primes below %d, in %d pieces, %d alarms\n", queue.primes, LIMIT, items, (int)ticks);
    return 0;
}
