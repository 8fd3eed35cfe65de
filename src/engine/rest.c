/* A monitor that sleeps changes nothing. So a caller who only wants to know something need not wake it: he keeps it
 * from going on for as long as it takes to copy the answer, a tenth of a microsecond, where a hand-over there and back takes four.
 *
 * What makes that right: the monitor is at rest only where it sleeps (monitor_turn in monitor.c), and comes there when all
 * that it has begun is done: no callback is under way, no thread is held without its being seen, every request has its
 * answer. A caller sees what the monitor would have answered if his request had come first at its awakening. Who has an
 * answer or an event, and asks while the monitor still works, has to ask the monitor.
 *
 * So it is with what is ready and only has to be taken: an event that waits in its queue, or the word that all has stopped
 * already. Who takes it is in there alone.
 *
 * It is a lock for many readers and one writer who has it nearly always. To the monitor it is two atomic operations a
 * sleep. To readers it is a try: where it fails the request goes the ordinary way. As the monitor waits for them, they
 * take no lock and no memory, and write no log meanwhile; and they make no system call, but for a look at a descriptor,
 * or, who takes, its read or write, and a stat.
 *
 * Deaths. A monitor that is killed at its work leaves it closed, and the request goes the ordinary way to its error. One that
 * is killed at rest leaves all as it must be; who tells of its death (monitor_ended) closes it first. A host that is killed
 * can leave readers behind in the count, whom nobody waits for when it is dead. A forked child of the host has a copy in
 * which it could read for ever: callers refuse it.
 *
 * A reader that is stopped in there, by job control or a debugger of the host's, holds up the monitor until it runs on,
 * and with it who has hit a breakpoint. To go on without it would change what it reads under its eyes.
 *
 * A lent monitor needs none of this: who may ask is the monitor. */
#include "engine/rest.h"

#include <stdlib.h>

#include "engine/process.h"

enum {
    SPINS = 200, /* about as long as a reader takes, who most likely runs */
    LOOK_AFTER_HOST_MS = 10,
};

void rest_init(struct rest *rest)
{
    atomic_init(&rest->word, REST_CLOSED);
}

void rest_begin(rein_monitor *monitor)
{
    monitor->rest.count++;
    atomic_store_explicit(&monitor->rest.word, 0, memory_order_release);
}

/* Closed to readers, and none is in it any more. */
static void close_to_readers(rein_monitor *monitor, bool (*is_in_vain)(void))
{
    struct rest *rest = &monitor->rest;
    uint32_t seen = atomic_fetch_or_explicit(&rest->word, REST_CLOSED, memory_order_acquire) | REST_CLOSED;
    for (int spins = 0; seen != REST_CLOSED; seen = atomic_load_explicit(&rest->word, memory_order_acquire)) {
        if (spins++ < SPINS)
            continue;
        if (is_in_vain && is_in_vain())
            break;
        monitor->os->word_wait(&rest->word, seen, (int64_t)LOOK_AFTER_HOST_MS * 1000000);
    }
}

void rest_end(rein_monitor *monitor)
{
    close_to_readers(monitor, monitor->kind == REIN_MONITOR_PROCESS ? monitor->os->host_is_dead : NULL);
}

void rest_end_for_killed(rein_monitor *monitor)
{
    close_to_readers(monitor, NULL);
}

static void leave(rein_monitor *monitor, uint32_t own)
{
    if (atomic_fetch_sub_explicit(&monitor->rest.word, own, memory_order_release) == (REST_CLOSED | own))
        monitor->os->word_wake(&monitor->rest.word);
}

/* own: what who enters adds to the word; excludes: who must not be in it. */
static bool enter(rein_monitor *monitor, uint32_t own, uint32_t excludes)
{
    struct rest *rest = &monitor->rest;
    uint32_t seen = atomic_load_explicit(&rest->word, memory_order_relaxed);
    if (monitor->kind == REIN_MONITOR_LENT)
        return false;
    do {
        if (seen & excludes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&rest->word, &seen, seen + own, memory_order_acquire,
                                                    memory_order_relaxed));
    if (atomic_load(&monitor->condition) == MONITOR_OPEN)
        return true;
    leave(monitor, own);
    return false;
}

bool rest_enter(rein_monitor *monitor)
{
    return enter(monitor, 1, REST_CLOSED | REST_ALONE);
}

void rest_leave(rein_monitor *monitor)
{
    leave(monitor, 1);
}

bool rest_enter_alone(rein_monitor *monitor)
{
    return enter(monitor, REST_ALONE, UINT32_MAX);
}

void rest_leave_alone(rein_monitor *monitor)
{
    leave(monitor, REST_ALONE);
}

bool rest_answer(struct request *request)
{
    rein_monitor *monitor = request->monitor;
    int cancel; /* who is cancelled in there would hold the monitor up for ever */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    if (request->takes ? !rest_enter_alone(monitor) : !request->reads || !rest_enter(monitor)) {
        pthread_setcancelstate(cancel, NULL);
        return false;
    }
    request->at_rest = true;
    if (!request->process || process_is_announced(request->process))
        request->run(request);
    request->at_rest = false;
    if (request->takes)
        rest_leave_alone(monitor);
    else
        rest_leave(monitor);
    free(request->garbage);
    pthread_setcancelstate(cancel, NULL);
    return atomic_load_explicit(&request->done, memory_order_relaxed) == REQUEST_DONE;
}
