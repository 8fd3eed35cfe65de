/* Waiting (src/os/linux/wait.c), for each kind of monitor: every event is found, soon, whatever hides it; no
 * wake is lost; and of the host's own children and their SIGCHLD nothing is. Contract rows M1, M2, M4. No
 * fixture: what is traced are grandchildren of this test (children would be both the host's and the
 * monitor's), which do what is written below for `enum deed`. What runs on a monitor answers with a text, ""
 * when all is well. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/linux/linux.h"

enum { THREADS_MAX = 256 };

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_us(long us)
{
    struct timespec left = {us / 1000000, us % 1000000 * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}

/* ---- What is traced ---- */

enum deed {
    DEED_SLEEP,
    DEED_STORM, /* sends itself SIGUSR1 without a pause */
    DEED_RARE,  /* sends itself SIGUSR2, every 10 ms */
    DEED_FORK,  /* makes one child, which ends at once */
    DEED_END,
};

static struct shared {
    atomic_int process;
    atomic_int go; /* the deeds begin */
    atomic_int count;
    struct {
        atomic_int id;
        enum deed deed;
        _Atomic int64_t sent_at; /* the last signal */
        atomic_int sent;
    } threads[THREADS_MAX];
} * shared;

static void *thread_main(void *arg)
{
    int self = (int)(intptr_t)arg, id = (int)syscall(SYS_gettid);
    atomic_store(&shared->threads[self].id, id);
    atomic_fetch_add(&shared->count, 1);
    while (!atomic_load(&shared->go))
        sleep_us(200);
    enum deed deed = shared->threads[self].deed;
    while (deed == DEED_STORM || deed == DEED_RARE) {
        if (deed == DEED_RARE)
            sleep_us(10000);
        atomic_store(&shared->threads[self].sent_at, now_us());
        atomic_fetch_add(&shared->threads[self].sent, 1);
        syscall(SYS_tgkill, getpid(), id, deed == DEED_RARE ? SIGUSR2 : SIGUSR1);
    }
    if (deed == DEED_FORK && !syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
        _exit(0);
    while (deed == DEED_SLEEP || deed == DEED_FORK)
        pause();
    syscall(SYS_exit, 0); /* not exit, by the last one: LeakSanitizer does not work in a traced process */
    return NULL;
}

/* Thread 0 is the process's first. */
static void tracee_main(int threads)
{
    alarm(100);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    signal(SIGUSR1, SIG_IGN); /* when the tracer is gone; a traced thread stops for an ignored one too */
    signal(SIGUSR2, SIG_IGN);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 << 10);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, thread_main, (void *)(intptr_t)i))
            _exit(1);
    }
    atomic_store(&shared->process, getpid());
    thread_main((void *)0);
}

static void tracee_start(int threads, const enum deed *deeds)
{
    memset((void *)shared, 0, sizeof *shared);
    for (int i = 0; i < threads; i++)
        shared->threads[i].deed = deeds ? deeds[i] : DEED_SLEEP;
    int pid = fork(), status;
    if (!pid) {
        if (!fork())
            tracee_main(threads);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (int i = 0; i < 50000 && atomic_load(&shared->count) < threads; i++)
        sleep_us(100);
    assert_int_equal(shared->count, threads);
}

static void tracee_kill(void)
{
    char path[64], state;
    kill(shared->process, SIGKILL);
    snprintf(path, sizeof path, "/proc/%d/stat", shared->process);
    for (int i = 0; i < 10000; i++) { /* until it is gone, or a zombie that init has yet to see */
        FILE *file = fopen(path, "re");
        bool over = !file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z';
        if (file)
            fclose(file);
        if (over)
            return;
        sleep_us(500);
    }
}

/* ---- What a monitor does ---- */

struct scene {
    enum rein_monitor_kind kind;
    void (*act)(struct scene *scene);
    char failure[200];
    struct os_waiter *waiter;
    _Atomic(struct os_waiter *) ready;
    atomic_int stop;
    bool traced[THREADS_MAX];
    int slow_us; /* the next look at each takes so much longer, as one that loses its processor in the middle */
    int64_t longest_us;
    int number;
};

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            snprintf(scene->failure, sizeof scene->failure, "line %d: %s (errno %d)", __LINE__, #condition, errno);    \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

static int thread_of(int id)
{
    for (int i = 0; i < THREADS_MAX; i++)
        if (shared->threads[i].id == id)
            return i;
    return -1;
}

static bool is_tracee(int id, void *arg)
{
    struct scene *scene = arg;
    int i = thread_of(id);
    return i >= 0 && scene->traced[i];
}

static int for_each_tracee(os_id_callback callback, void *callback_arg, void *arg)
{
    struct scene *scene = arg;
    if (scene->slow_us)
        sleep_us(scene->slow_us);
    scene->slow_us = 0;
    for (int i = 0; i < THREADS_MAX; i++) {
        int result = scene->traced[i] ? callback(shared->threads[i].id, callback_arg) : 0;
        if (result)
            return result;
    }
    return 0;
}

static bool seize(struct scene *scene, int i)
{
    scene->traced[i] = true;
    return !linux_seize(shared->threads[i].id);
}

/* The engine's loop: the next event, or 0 when there was none in that time. */
static int await_event(struct scene *scene, struct os_event *event, int ms)
{
    int64_t end = now_us() + ms * 1000, now;
    do {
        if (linux_waiter_next(scene->waiter, event) == 1)
            return 1;
        now = now_us();
        linux_waiter_sleep(scene->waiter, now < end ? end - now : 0, OS_CALM_NOT);
    } while (now < end);
    return linux_waiter_next(scene->waiter, event);
}

/* A lent thread does not end, so its tracees stay its own until it lets them go. */
static void let_go(struct scene *scene)
{
    struct os_event event;
    for (int i = 0; i < THREADS_MAX; i++) {
        int id = shared->threads[i].id;
        if (!scene->traced[i])
            continue;
        scene->traced[i] = false;
        while (linux_detach(id, 0)) { /* it must be stopped for that */
            linux_interrupt(id);
            if (linux_waiter_next_of(scene->waiter, id, &event) < 0)
                break;
            sleep_us(100);
        }
    }
}

static void body(void *arg)
{
    struct scene *scene = arg;
    if (linux_waiter_create(scene->kind, is_tracee, for_each_tracee, scene, &scene->waiter)) {
        snprintf(scene->failure, sizeof scene->failure, "waiter_create");
        return;
    }
    atomic_store(&scene->ready, scene->waiter);
    scene->act(scene);
    let_go(scene);
}

static void ended(void *arg, bool killed)
{
    struct scene *scene = arg;
    if (killed)
        snprintf(scene->failure, sizeof scene->failure, "the monitor was killed");
}

static void scene_start(struct scene *scene, void **handle)
{
    assert_int_equal(linux_monitor_start(scene->kind, body, ended, scene, handle), 0);
    while (!atomic_load(&scene->ready))
        sleep_us(100);
}

static void scene_end(struct scene *scene, void *handle)
{
    linux_monitor_join(handle);
    linux_waiter_destroy(scene->waiter);
    assert_string_equal(scene->failure, "");
}

static struct scene play(enum rein_monitor_kind kind, void (*act)(struct scene *scene))
{
    struct scene scene = {.kind = kind, .act = act};
    if (kind == REIN_MONITOR_LENT) {
        body(&scene);
        linux_waiter_destroy(scene.waiter);
        assert_string_equal(scene.failure, "");
    } else {
        void *handle;
        scene_start(&scene, &handle);
        scene_end(&scene, handle);
    }
    return scene;
}

/* With REIN_MONITOR=thread (script/test-sanitizers valgrind) not the first: a process that shares memory is
 * beyond it. */
enum { KINDS = 3 };
static const enum rein_monitor_kind kinds[KINDS] = {REIN_MONITOR_PROCESS, REIN_MONITOR_THREAD, REIN_MONITOR_LENT};
static int first_kind;

/* ---- Events ---- */

static const enum deed one_storm[] = {DEED_SLEEP, DEED_STORM};

/* A thread that makes one event after the other: 300 of them, then let go. */
static void act_follow(struct scene *scene)
{
    struct os_event event;
    CHECK(seize(scene, 1));
    int id = shared->threads[1].id;
    atomic_store(&shared->go, 1);
    int64_t begin = now_us();
    for (int i = 0; i < 300; i++) {
        CHECK(await_event(scene, &event, 5000) == 1);
        CHECK(event.kind == OS_EVENT_SIGNAL && event.id == id && event.signal.number == SIGUSR1);
        CHECK(!linux_resume(id, OS_RESUME_RUN, 0));
    }
    scene->longest_us = now_us() - begin;
    CHECK(await_event(scene, &event, 5000) == 1);
    CHECK(!linux_detach(id, 0));
    scene->traced[1] = false;
    CHECK(await_event(scene, &event, 20) == 0);
}

static int note_id(int id, void *arg)
{
    *(int *)arg = id;
    return 1;
}

static bool is_held(int pid, int id)
{
    enum os_thread_status status;
    return !linux_thread_status(pid, id, &status) && status == OS_THREAD_STOPPED;
}

/* Parent and child are both stopped before anybody looks, and one of the two SIGCHLDs was dropped. When the one that is left is
 * the parent's, its event leads to the child's: without a sleep. */
static void act_birth(struct scene *scene)
{
    struct os_event event, next;
    CHECK(seize(scene, 1));
    int id = shared->threads[1].id, child = 0;
    atomic_store(&shared->go, 1);
    for (int i = 0; i < 50000 && !(child && is_held(child, child) && is_held(shared->process, id)); i++) {
        linux_for_each_child_of(shared->process, note_id, &child);
        sleep_us(100);
    }
    CHECK(child && is_held(child, child) && is_held(shared->process, id));
    CHECK(await_event(scene, &event, 5000) == 1);
    if (event.id == id) {
        CHECK(event.kind == OS_EVENT_FORK && event.child == child);
        CHECK(linux_waiter_next(scene->waiter, &next) == 1);
        CHECK(next.id == child && next.kind == OS_EVENT_INTERRUPTED);
    } else {
        CHECK(event.id == child);
        CHECK(await_event(scene, &next, 5000) == 1);
        CHECK(next.id == id && next.kind == OS_EVENT_FORK);
    }
    CHECK(await_event(scene, &event, 20) == 0); /* neither is told twice */
    CHECK(!linux_detach(child, 0));
    CHECK(!linux_detach(id, 0));
    scene->traced[1] = false;
}

static void test_birth_is_found_at_once(void **state)
{
    (void)state;
    static const enum deed one_fork[] = {DEED_SLEEP, DEED_FORK};
    for (int i = 0; i < 5 && first_kind == 0; i++) { /* the others look anyway */
        tracee_start(2, one_fork);
        play(REIN_MONITOR_PROCESS, act_birth);
        tracee_kill();
    }
}

static atomic_int handled, handled_foreign, handled_queued;
static atomic_int child_of_host;

static void on_child(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    atomic_fetch_add(&handled, 1);
    if (info->si_pid == atomic_load(&child_of_host))
        atomic_fetch_add(&handled_foreign, 1);
    if (info->si_code == SI_QUEUE)
        atomic_fetch_add(&handled_queued, 1);
}

static void handle_children(void)
{
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCHLD, &action, NULL);
    atomic_store(&handled, 0);
    atomic_store(&handled_foreign, 0);
    atomic_store(&handled_queued, 0);
}

static void test_follow(void **state)
{
    (void)state;
    for (int i = first_kind; i < KINDS; i++) {
        tracee_start(2, one_storm);
        handle_children();
        play(kinds[i], act_follow);
        if (kinds[i] == REIN_MONITOR_PROCESS)
            assert_int_equal(handled, 0); /* the host gets no SIGCHLD for a tracee */
        signal(SIGCHLD, SIG_DFL);
        tracee_kill();
    }
}

/* A host that ignores SIGCHLD, or does not want to hear of stops, must not deafen its monitor. */
static void test_host_ignores_children(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        for (int i = first_kind; i < KINDS; i++) {
            tracee_start(2, one_storm);
            struct sigaction action = {.sa_handler = how ? SIG_DFL : SIG_IGN, .sa_flags = SA_NOCLDSTOP};
            sigaction(SIGCHLD, &action, NULL);
            struct scene scene = play(kinds[i], act_follow);
            signal(SIGCHLD, SIG_DFL);
            assert_true(scene.longest_us < 100000000); /* by looking once a second they take 300 s */
            tracee_kill();
        }
    }
}

enum { MANY = 64 };

/* Many at once: their SIGCHLDs coalesce, each event is found nevertheless, and once. Then all of them die at
 * once. */
static void act_all_at_once(struct scene *scene)
{
    struct os_event event;
    for (int i = 0; i < MANY; i++)
        CHECK(seize(scene, i));
    for (int round = 0; round < 20; round++) {
        bool seen[MANY] = {false};
        for (int i = 0; i < MANY; i++)
            CHECK(!linux_interrupt(shared->threads[i].id));
        if (round % 2)
            sleep_us(5000); /* all have stopped, one SIGCHLD is pending */
        for (int i = 0; i < MANY; i++) {
            CHECK(await_event(scene, &event, 3000) == 1);
            int which = thread_of(event.id);
            CHECK(event.kind == OS_EVENT_INTERRUPTED && which >= 0 && !seen[which]);
            seen[which] = true;
        }
        CHECK(await_event(scene, &event, 5) == 0);
        for (int i = 0; i < MANY; i++)
            CHECK(!linux_resume(shared->threads[i].id, OS_RESUME_RUN, 0));
    }
    CHECK(!kill(shared->process, SIGKILL));
    int ends = 0;
    while (ends < MANY) {
        CHECK(await_event(scene, &event, 5000) == 1);
        if (event.kind == OS_EVENT_EXITED) {
            scene->traced[thread_of(event.id)] = false;
            ends++;
        } else {
            linux_resume(event.id, OS_RESUME_RUN, 0);
        }
    }
    CHECK(await_event(scene, &event, 5) == 0);
}

static void test_all_at_once(void **state)
{
    (void)state;
    for (int i = first_kind; i < KINDS; i++) {
        tracee_start(MANY, NULL);
        play(kinds[i], act_all_at_once);
    }
}

enum { STORMS = 12, RARES = 60, STORM_EVENTS_MAX = 1000 };

/* One that has an event now and then, behind several that have one all the time. The kernel looks at who was
 * taken last first, so the rare one is taken first. Counts how many others are taken while the rare one waits. */
static void act_storm(struct scene *scene)
{
    struct os_event event;
    for (int i = 1; i <= STORMS + 1; i++)
        CHECK(seize(scene, i));
    atomic_store(&shared->go, 1);
    int rare = shared->threads[1].id, seen = 0;
    while (seen < RARES && scene->number < RARES * STORM_EVENTS_MAX) {
        CHECK(await_event(scene, &event, 3000) == 1);
        if (event.id == rare)
            seen++;
        else if (shared->threads[1].sent > seen)
            scene->number++;
        CHECK(event.kind == OS_EVENT_SIGNAL);
        CHECK(!linux_resume(event.id, OS_RESUME_RUN, 0));
    }
    kill(shared->process, SIGKILL);
    while (await_event(scene, &event, 100) == 1) {
        if (event.kind == OS_EVENT_EXITED && thread_of(event.id) >= 0)
            scene->traced[thread_of(event.id)] = false;
        else
            linux_resume(event.id, OS_RESUME_RUN, 0);
    }
}

static void test_storm_hides_nobody(void **state)
{
    (void)state;
    if (first_kind)
        skip();
    enum deed deeds[STORMS + 2] = {DEED_SLEEP, DEED_RARE};
    for (int i = 2; i < STORMS + 2; i++)
        deeds[i] = DEED_STORM;
    tracee_start(STORMS + 2, deeds);
    struct scene scene = play(REIN_MONITOR_PROCESS, act_storm);
    print_message("behind %d others: %d of their events for each of the rare one's\n", STORMS, scene.number / RARES);
    assert_true(scene.number < RARES * STORM_EVENTS_MAX); /* without asking each by id */
    tracee_kill();
}

/* A look that the machine has made slow has said nothing about looks: what has no hint is found soon, though another thread's
 * events come faster than the monitor would be quiet. */
static void act_slow_look(struct scene *scene)
{
    struct os_event event;
    for (int i = 1; i <= 3; i++)
        CHECK(seize(scene, i));
    scene->slow_us = 50000;
    atomic_store(&shared->go, 1);
    while (scene->slow_us) {
        CHECK(await_event(scene, &event, 3000) == 1 && event.kind == OS_EVENT_SIGNAL);
        CHECK(!linux_resume(event.id, OS_RESUME_RUN, 0));
    }
    for (int round = 0; round < 5; round++) {
        sleep_us(40000); /* both have stopped, and one SIGCHLD was dropped */
        int64_t begin = now_us();
        for (bool seen[4] = {false}; !seen[2] || !seen[3];) {
            CHECK(now_us() - begin < 3000000);
            CHECK(await_event(scene, &event, 3000) == 1 && event.kind == OS_EVENT_SIGNAL);
            seen[thread_of(event.id)] = true;
            if (event.id != shared->threads[1].id) /* the storm is over */
                CHECK(!linux_resume(event.id, OS_RESUME_RUN, 0));
        }
    }
    kill(shared->process, SIGKILL);
}

static void test_slow_look(void **state)
{
    (void)state;
    if (first_kind)
        skip();
    tracee_start(4, (const enum deed[]){DEED_SLEEP, DEED_STORM, DEED_RARE, DEED_RARE});
    play(REIN_MONITOR_PROCESS, act_slow_look);
    tracee_kill();
}

/* By id: that one's and no other's. */
static void act_next_of(struct scene *scene)
{
    struct os_event event;
    int id[3];
    for (int i = 0; i < 3; i++) {
        id[i] = shared->threads[i].id;
        CHECK(i == 2 || seize(scene, i));
    }
    CHECK(linux_waiter_next_of(scene->waiter, id[0], &event) == 0);
    CHECK(linux_waiter_next_of(scene->waiter, id[2], &event) == -ECHILD);
    CHECK(linux_waiter_next_of(scene->waiter, 1, &event) == -ECHILD);
    CHECK(linux_waiter_next_of(scene->waiter, 0, &event) == -ECHILD);
    CHECK(linux_waiter_next_of(scene->waiter, -1, &event) == -ECHILD);
    for (int round = 0; round < 100; round++) {
        CHECK(!linux_interrupt(id[0]));
        CHECK(!linux_interrupt(id[1]));
        int result = 0;
        for (int i = 0; i < 10000 && !(result = linux_waiter_next_of(scene->waiter, id[1], &event)); i++)
            sleep_us(100);
        CHECK(result == 1 && event.id == id[1]);
        CHECK(linux_waiter_next_of(scene->waiter, id[1], &event) == 0);
        if (round % 3 == 1) /* a hint for one that has been taken by id is harmless */
            linux_waiter_sleep(scene->waiter, 1000, OS_CALM_NOT);
        CHECK(await_event(scene, &event, 3000) == 1 && event.id == id[0]);
        CHECK(!linux_resume(id[0], OS_RESUME_RUN, 0) && !linux_resume(id[1], OS_RESUME_RUN, 0));
    }
    /* Never asleep, an engine still finds what it does not ask for by id. */
    CHECK(!linux_interrupt(id[0]));
    int result = 0;
    for (int i = 0; i < 100000 && !(result = linux_waiter_next(scene->waiter, &event)); i++)
        sleep_us(20);
    CHECK(result == 1 && event.id == id[0]);
}

static void test_next_of(void **state)
{
    (void)state;
    for (int i = first_kind; i < KINDS; i++) {
        tracee_start(3, NULL);
        play(kinds[i], act_next_of);
        tracee_kill();
    }
}

/* The end of a process that was cloned with another exit signal, and whose leader ended first: no SIGCHLD
 * tells of it. */
static void act_silent_end(struct scene *scene)
{
    struct os_event event;
    CHECK(seize(scene, 0) && seize(scene, 1));
    atomic_store(&shared->go, 1);
    int ends = 0;
    while (ends < 2) {
        CHECK(await_event(scene, &event, 5000) == 1);
        if (event.kind == OS_EVENT_EXITED)
            ends++;
        else
            CHECK(!linux_resume(event.id, OS_RESUME_RUN, 0));
    }
}

static int silent_main(void *arg)
{
    (void)arg;
    tracee_main(2);
    return 0;
}

static void test_silent_end(void **state)
{
    (void)state;
    if (first_kind)
        skip();
    memset((void *)shared, 0, sizeof *shared);
    shared->threads[0].deed = DEED_END;
    shared->threads[1].deed = DEED_END;
    signal(SIGUSR1, SIG_IGN);
    int pid = (int)syscall(SYS_clone, SIGUSR1, NULL, NULL, NULL, NULL);
    if (!pid)
        silent_main(NULL);
    for (int i = 0; i < 50000 && atomic_load(&shared->count) < 2; i++)
        sleep_us(100);
    play(REIN_MONITOR_PROCESS, act_silent_end);
    int status;
    assert_int_equal(waitpid(pid, &status, __WALL), pid);
    signal(SIGUSR1, SIG_DFL);
}

/* ---- Sleeping and waking ---- */

enum { TRIES = 20, SOON_US = 300000 }; /* a look that is made each second would be seen as such */

/* On a busy machine anything may take long, but not each time. */
static bool sleeps_for_nothing(struct scene *scene, bool woken)
{
    for (int i = 0; i < TRIES; i++) {
        if (woken && linux_waiter_wake(scene->waiter)) /* before the sleep */
            return false;
        int64_t begin = now_us();
        linux_waiter_sleep(scene->waiter, woken ? 2000000 : 0, OS_CALM_NOT);
        if (now_us() - begin < SOON_US)
            return true;
    }
    return false;
}

/* It may end early, but not at once again and again. */
static bool sleeps_for_its_time(struct scene *scene)
{
    for (int i = 0; i < TRIES; i++) {
        int turns = 0;
        int64_t begin = now_us();
        for (; now_us() - begin < 30000; turns++)
            linux_waiter_sleep(scene->waiter, 30000, OS_CALM_NOT);
        if (turns > 30)
            return false;
        if (now_us() - begin < SOON_US)
            return true;
    }
    return false;
}

static void act_sleep(struct scene *scene)
{
    CHECK(sleeps_for_nothing(scene, false));
    CHECK(sleeps_for_its_time(scene));
    CHECK(sleeps_for_nothing(scene, true));
}

static void test_sleep(void **state)
{
    (void)state;
    for (int i = first_kind; i < KINDS; i++)
        play(kinds[i], act_sleep);
}

enum { WAKERS = 3, WAKES = 4000 };
static struct wakes {
    struct os_waiter *waiter;
    atomic_int asked[WAKERS], answered[WAKERS];
    atomic_int slow;
} wakes;

static void *wake_often(void *arg)
{
    int self = (int)(intptr_t)arg;
    for (int i = 1; i <= WAKES; i++) {
        atomic_store(&wakes.asked[self], i);
        if (linux_waiter_wake(wakes.waiter))
            return (void *)1;
        int64_t begin = now_us();
        while (atomic_load(&wakes.answered[self]) < i) {
            /* Not sched_yield: three threads that do that have kept a runnable fourth off two CPUs for 0.4 s
             * (Linux 6.18). */
            if (now_us() - begin > 20)
                sleep_us(20);
        }
        if (now_us() - begin > 400000) /* a lost one would be found by the look that is made each second */
            atomic_fetch_add(&wakes.slow, 1);
        if (i % 16 == 0)
            sleep_us(100); /* so that the monitor comes to sleep */
    }
    return NULL;
}

static void act_answer(struct scene *scene)
{
    struct os_event event;
    while (!atomic_load(&scene->stop)) {
        for (int i = 0; i < WAKERS; i++)
            atomic_store(&wakes.answered[i], atomic_load(&wakes.asked[i]));
        (void)linux_waiter_next(scene->waiter, &event);
        linux_waiter_sleep(scene->waiter, -1, OS_CALM_NOT);
        scene->number++;
    }
}

static void *lent_main(void *arg)
{
    body(arg);
    return NULL;
}

static void test_no_wake_is_lost(void **state)
{
    (void)state;
    for (int k = first_kind; k < KINDS; k++) {
        struct scene scene = {.kind = kinds[k], .act = act_answer};
        memset((void *)&wakes, 0, sizeof wakes);
        handle_children();
        pthread_t threads[WAKERS], lender;
        void *handle = NULL, *result;
        if (kinds[k] == REIN_MONITOR_LENT) {
            assert_int_equal(pthread_create(&lender, NULL, lent_main, &scene), 0);
            while (!atomic_load(&scene.ready))
                sleep_us(100);
        } else {
            scene_start(&scene, &handle);
        }
        wakes.waiter = atomic_load(&scene.ready);
        for (int i = 0; i < WAKERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, wake_often, (void *)(intptr_t)i), 0);
        for (int i = 0; i < WAKERS; i++) {
            pthread_join(threads[i], &result);
            assert_null(result);
        }
        atomic_store(&scene.stop, 1);
        assert_int_equal(linux_waiter_wake(wakes.waiter), 0);
        if (kinds[k] == REIN_MONITOR_LENT) {
            pthread_join(lender, NULL);
            linux_waiter_destroy(scene.waiter);
            assert_string_equal(scene.failure, "");
        } else {
            scene_end(&scene, handle);
        }
        /* A machine with too much to do can keep somebody waiting as long. */
        assert_in_range(wakes.slow, 0, WAKERS * WAKES / 1000);
        assert_int_equal(handled, 0); /* no wake of a lent thread is seen as a SIGCHLD */
        signal(SIGCHLD, SIG_DFL);
    }
}

/* ---- The host's own children ---- */

static int fork_child(long us, int status)
{
    int pid = fork();
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sleep_us(us);
        _exit(status);
    }
    return pid;
}

static void test_children_of_the_host(void **state)
{
    (void)state;
    for (int i = first_kind; i < KINDS; i++) {
        tracee_start(2, one_storm);
        int zombie = fork_child(0, 7), running = fork_child(60000000, 8), stopped = fork_child(60000000, 9), status;
        siginfo_t info;
        assert_int_equal(kill(stopped, SIGSTOP), 0);
        assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
        assert_int_equal(waitid(P_PID, (id_t)stopped, &info, WSTOPPED | WNOWAIT), 0);
        play(kinds[i], act_follow);
        assert_int_equal(waitpid(zombie, &status, WNOHANG), zombie);
        assert_int_equal(WEXITSTATUS(status), 7);
        assert_int_equal(waitpid(stopped, &status, WUNTRACED | WNOHANG), stopped);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(waitpid(running, &status, WNOHANG), 0);
        kill(running, SIGKILL);
        kill(stopped, SIGKILL);
        assert_int_equal(waitpid(running, &status, 0), running);
        assert_int_equal(waitpid(stopped, &status, 0), stopped);
        tracee_kill();
    }
}

static void act_sleep_long(struct scene *scene)
{
    struct os_event event;
    CHECK(seize(scene, 0));
    CHECK(await_event(scene, &event, 300) == 0);
}

/* A child of the host ends while the lent thread sleeps in rein: the host's handler runs. */
static void test_lent_handler(void **state)
{
    (void)state;
    tracee_start(1, NULL);
    handle_children();
    int status, pid = fork_child(50000, 3);
    atomic_store(&child_of_host, pid);
    play(REIN_MONITOR_LENT, act_sleep_long);
    assert_int_equal(handled_foreign, 1);
    assert_int_equal(handled_queued, 0);
    assert_int_equal(waitpid(pid, &status, WNOHANG), pid);
    signal(SIGCHLD, SIG_DFL);
    tracee_kill();
}

static void *take_child_signal(void *arg)
{
    sigset_t set;
    siginfo_t *info = arg;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    struct timespec limit = {3, 0};
    while (sigtimedwait(&set, info, &limit) < 0 && errno == EINTR) {
    }
    return NULL;
}

static void lend_with_signal_blocked(int *pid)
{
    tracee_start(1, NULL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    *pid = fork_child(50000, 3);
}

static void unblock_and_kill(int pid)
{
    int status;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    tracee_kill();
}

static void *lend(void *arg)
{
    (void)arg;
    play(REIN_MONITOR_LENT, act_sleep_long);
    return NULL;
}

/* It waits for SIGCHLD on another thread: it still gets it, from the first thread or any. */
static void test_lent_sigwait(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int pid;
        lend_with_signal_blocked(&pid);
        siginfo_t info = {.si_pid = 0};
        pthread_t thread, lender;
        if (i) {
            pthread_create(&lender, NULL, lend, NULL);
            take_child_signal(&info);
            pthread_join(lender, NULL);
        } else {
            pthread_create(&thread, NULL, take_child_signal, &info);
            lend(NULL);
            pthread_join(thread, NULL);
        }
        assert_int_equal(info.si_signo, SIGCHLD);
        assert_int_equal(info.si_pid, pid);
        unblock_and_kill(pid);
    }
}

/* It reads a signalfd on the lent thread, after the call into rein. */
static void test_lent_signalfd(void **state)
{
    (void)state;
    int pid;
    lend_with_signal_blocked(&pid);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    lend(NULL);
    struct signalfd_siginfo info;
    assert_int_equal(read(fd, &info, sizeof info), sizeof info);
    assert_int_equal(info.ssi_pid, pid);
    assert_int_equal(info.ssi_status, 3);
    close(fd);
    unblock_and_kill(pid);
}

static struct scene *alarmed;
static void on_alarm(int number)
{
    (void)number;
    atomic_store(&alarmed->stop, 1);
    linux_waiter_wake(alarmed->waiter);
}

static void act_until_alarm(struct scene *scene)
{
    struct os_event event;
    CHECK(seize(scene, 0));
    alarmed = scene;
    alarm(1);
    while (!atomic_load(&scene->stop)) {
        CHECK(linux_waiter_next(scene->waiter, &event) == 0);
        linux_waiter_sleep(scene->waiter, -1, OS_CALM_NOT);
    }
}

/* A signal handler of the lent thread itself ends the sleep (rein_process_cancel_wait). */
static void test_lent_wake_from_handler(void **state)
{
    (void)state;
    tracee_start(1, NULL);
    handle_children();
    signal(SIGALRM, on_alarm);
    play(REIN_MONITOR_LENT, act_until_alarm);
    assert_int_equal(handled_queued, 0); /* its wake is not seen as a SIGCHLD */
    signal(SIGALRM, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    tracee_kill();
}

static void test_create(void **state)
{
    (void)state;
    struct os_waiter *waiter;
    assert_int_equal(linux_waiter_create(REIN_MONITOR_LENT, NULL, NULL, NULL, &waiter), -EINVAL);
    assert_int_equal(linux_waiter_create(REIN_MONITOR_THREAD, NULL, NULL, NULL, &waiter), 0);
    linux_waiter_destroy(waiter);
}

int main(int argc, char **argv)
{
    if (argc > 1) /* only these: a pattern */
        cmocka_set_test_filter(argv[1]);
    const char *only = getenv("REIN_MONITOR");
    first_kind = only && !strcmp(only, "thread");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_host_ignores_children),
        cmocka_unit_test(test_birth_is_found_at_once),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_storm_hides_nobody),
        cmocka_unit_test(test_slow_look),
        cmocka_unit_test(test_next_of),
        cmocka_unit_test(test_silent_end),
        cmocka_unit_test(test_no_wake_is_lost),
        cmocka_unit_test(test_children_of_the_host),
        cmocka_unit_test(test_lent_handler),
        cmocka_unit_test(test_lent_sigwait),
        cmocka_unit_test(test_lent_signalfd),
        cmocka_unit_test(test_lent_wake_from_handler),
    };
    return cmocka_run_group_tests_name("os_wait", tests, NULL, NULL);
}
