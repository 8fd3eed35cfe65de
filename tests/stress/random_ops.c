/* P2-P9, T1-T5, R5, C1, C3, M1-M3, M5-M7, M9-M12: random use of rein by several threads, on monitors of all kinds, against
 * programs that do at random what is hard for a tracer (stress_target). Afterwards: nobody is stopped or traced, every
 * program has ended well by its own checks (no call, signal or child lost, doubled or disturbed) or was killed by us, the text
 * of those that live is as in the file, breakpoints that were there for an image's whole life have counted exactly what the
 * image did, and the host has no thread, descriptor, child or memory more than before.
 *
 * random_ops [--seed N] [--seconds S] [--workers N] [--without OPERATION] [--hold] [--verbose] [--log FILE]; else
 * REIN_STRESS_SEED and REIN_STRESS_SECONDS (20 when unset). The same seed makes the same choices; what becomes of them
 * is the scheduler's affair. --hold: after a failure everything stays as it is for a debugger. --log: what rein tells
 * at level TRACE. */
#include <dirent.h>
#include <link.h>
#include <linux/audit.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "../fixtures/stress_target.h"
#include "support.h"

/* A vfork child of a target that was killed goes on, and counts in the record of its parent: that is not to be
 * another's by then. So a record is used again when thousands of others have been. */
#define LIVES 4096
#define SLOTS 5      /* for the workers together */
#define LENT_SLOTS 2 /* for the one that lends itself */
#define MONITORS 3   /* for the workers together */
#define WORKERS_MAX 16
#define OP_LIMIT_S 60 /* an operation that takes longer hangs */
#define SURE_MS 30000 /* for what must happen, with nobody else at work on the process */
#define TEXT_MAX 65536

/* ---- Saying what is wrong ---- */

static uint64_t seed;
static bool verbose, hold;
static atomic_bool failed, over;
static pthread_mutex_t failing = PTHREAD_MUTEX_INITIALIZER;

__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&failing);
    fprintf(stdout, "FAILED (seed %" PRIu64 "): %s\n", seed, text);
    fflush(stdout);
    pthread_mutex_unlock(&failing);
    atomic_store(&failed, true);
    if (hold) {
        fprintf(stdout, "process %d is held\n", (int)getpid());
        fflush(stdout);
        for (;;)
            pause();
    }
}

static void show_process(int pid)
{
    int ids[256];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count && i < sizeof ids / sizeof *ids; i++) {
        char path[64], wchan[64] = "", call[160] = "";
        snprintf(path, sizeof path, "/proc/%d/task/%d/wchan", pid, ids[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, wchan, sizeof wchan - 1) < 0)
            wchan[0] = 0;
        close(fd);
        snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", pid, ids[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, call, sizeof call - 1) < 0)
            call[0] = 0;
        close(fd);
        call[strcspn(call, "\n")] = 0;
        printf("  %d/%d: %c, tracer %d, in %s, %s\n", pid, ids[i], proc_state(pid, ids[i]), proc_tracer(pid, ids[i]),
               wchan, call);
    }
    fflush(stdout);
}

/* Everything that rein tells, for the search after a failure. */
static FILE *log_file;

static void log_line(enum rein_log_level level, const char *line, void *arg)
{
    (void)level, (void)arg;
    fprintf(log_file, "%.6f [%d] %s\n", now(), (int)syscall(SYS_gettid), line);
    fflush(log_file);
}

static int make_monitor(enum rein_monitor_kind kind, rein_monitor **made)
{
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    options.kind = kind;
    options.interrupt_signal = SIGRTMIN + 5;
    if (log_file) {
        options.log_level = REIN_LOG_TRACE;
        options.log = log_line;
    }
    return rein_monitor_create(&options, made);
}

/* ---- Random numbers ---- */

struct random {
    uint64_t state;
};

static unsigned any(struct random *random, unsigned below)
{
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random->state >> 33) % below;
}

static bool one_in(struct random *random, unsigned times)
{
    return any(random, times) == 0;
}

/* ---- Lives ---- */

/* The breakpoints of one image, put in before its first instruction. */
struct whole_life {
    rein_breakpoint *at[STRESS_EXACT];
};

struct target {
    atomic_uint references;
    int number, pid;
    uint64_t seed;
    struct stress_life *life;
    bool spawned;           /* by rein, and so under it from the start */
    bool loyal;             /* and to the end: neither killed nor let go */
    atomic_bool killed;     /* by us */
    atomic_bool left_alone; /* its callbacks do not interfere */
    atomic_bool has_exited; /* as rein says */
    atomic_int functions;   /* that are under way in it */
    atomic_bool may_lose;   /* those that are, from now on */
    atomic_bool answers;    /* has a callback, which sees to what it makes */
    atomic_int whole_until; /* images before this one were under rein for all their life */
    struct whole_life whole[STRESS_IMAGES];
    atomic_int wholes;    /* images that have them */
    struct random random; /* for its callbacks */
};

/* A place for one process at a time. */
struct slot {
    pthread_rwlock_t use;  /* write: nobody else may do anything to its process */
    pthread_mutex_t lock;  /* of what follows */
    struct target *target; /* counted; NULL: none yet */
    rein_process *process; /* counted; NULL: nobody holds it */
    int monitor;           /* which one does */
};

/* What the threads that share slots share. */
struct group {
    struct slot slots[SLOTS];
    unsigned slot_count;
    rein_monitor *monitors[MONITORS];
    enum rein_monitor_kind kinds[MONITORS];
    pthread_rwlock_t monitor_locks[MONITORS]; /* write: it is closed, and made anew */
    unsigned monitor_count;
};

static struct stress_life *lives;
static int lives_fd;
static atomic_bool life_used[LIVES];
static atomic_uint next_life;
static atomic_ulong target_count, compared_images, compared_hits, audits, operations;
static uint64_t hots[STRESS_HOTS], scratch_address, twice_address; /* the same in every image: without ASLR */

/* ---- The nursery: the parent of this process. It starts programs, so that they are not children of this one, adopts
 * who has lost his parent, and tells how they ended. ---- */

static int nursery_ask = -1, nursery_answer = -1;
static pthread_mutex_t nursery_lock = PTHREAD_MUTEX_INITIALIZER;

struct birth_request {
    int number;
    uint64_t seed;
};

static void start_target(const struct birth_request *request)
{
    char fd[16], number[16], start[24];
    snprintf(fd, sizeof fd, "%d", lives_fd);
    snprintf(number, sizeof number, "%d", request->number);
    snprintf(start, sizeof start, "%" PRIu64, request->seed);
    personality(ADDR_NO_RANDOMIZE);
    setpgid(0, 0);
    execl(fixture_path("stress_target"), "stress_target", fd, number, start, (char *)NULL);
    _exit(127);
}

__attribute__((noreturn)) static void run_nursery(int ask, int answer, int tester)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "nursery");
    for (;;) {
        struct pollfd asked = {.fd = ask, .events = POLLIN};
        struct birth_request request;
        if (poll(&asked, 1, 5) == 1 && read(ask, &request, sizeof request) == sizeof request) {
            int pid = fork();
            if (pid == 0)
                start_target(&request);
            atomic_store(&lives[request.number].pid, pid);
            if (write(answer, &pid, sizeof pid) != sizeof pid)
                _exit(2);
        }
        int status, pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid == tester)
                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
            for (int i = 0; i < LIVES; i++) {
                if (atomic_load(&lives[i].pid) == pid) {
                    atomic_store(&lives[i].status, status);
                    atomic_store(&lives[i].reaped, 1);
                }
            }
        }
    }
}

/* Forks; the child goes on. */
static void make_nursery(void)
{
    int ask[2], answer[2], parent = getpid();
    if (pipe2(ask, O_CLOEXEC) || pipe2(answer, O_CLOEXEC))
        exit(2);
    fflush(NULL);
    int tester = fork();
    if (tester > 0) {
        close(ask[1]);
        close(answer[0]);
        run_nursery(ask[0], answer[1], tester);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        exit(2);
    close(ask[0]);
    close(answer[1]);
    nursery_ask = ask[1];
    nursery_answer = answer[0];
}

static int be_born(struct target *target)
{
    struct birth_request request = {target->number, target->seed};
    int pid = -1;
    pthread_mutex_lock(&nursery_lock);
    if (write(nursery_ask, &request, sizeof request) != sizeof request ||
        read(nursery_answer, &pid, sizeof pid) != sizeof pid)
        complain("the nursery does not answer");
    pthread_mutex_unlock(&nursery_lock);
    return pid;
}

static struct target *new_target(struct random *random)
{
    struct target *target = calloc(1, sizeof *target);
    unsigned number = atomic_fetch_add(&next_life, 1) % LIVES;
    while (atomic_exchange(&life_used[number], true))
        number = atomic_fetch_add(&next_life, 1) % LIVES;
    atomic_init(&target->references, 1);
    target->number = (int)number;
    target->seed = any(random, 1u << 30);
    target->random.state = target->seed;
    target->life = &lives[number];
    memset(target->life, 0, sizeof *target->life);
    atomic_store(&target->life->host, getpid());
    atomic_store(&target->life->status, -1);
    atomic_fetch_add(&target_count, 1);
    return target;
}

static struct target *target_ref(struct target *target)
{
    atomic_fetch_add(&target->references, 1);
    return target;
}

static void target_unref(struct target *target)
{
    if (!target || atomic_fetch_sub(&target->references, 1) != 1)
        return;
    for (int i = 0; i < STRESS_IMAGES; i++) {
        for (int k = 0; k < STRESS_EXACT; k++)
            rein_breakpoint_unref(target->whole[i].at[k]);
    }
    atomic_store(&life_used[target->number], false);
    free(target);
}

static void describe(const struct target *target, char *text, size_t size)
{
    const struct stress_life *life = target->life;
    snprintf(text, size, "process %d (%s, seed %" PRIu64 ", image %d, done %d, status %#x)", target->pid,
             target->spawned ? "spawned" : "attached to", target->seed, atomic_load(&life->image),
             atomic_load(&life->done), (unsigned)atomic_load(&life->status));
}

/* ---- Callbacks ---- */

static enum rein_verdict go_past(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    (void)thread, (void)breakpoint, (void)arg;
    return REIN_VERDICT_GO_ON;
}

/* Of those there are for a whole life, some have a condition: every fourth hit. */
static rein_bytecode *every_fourth;

static bool has_condition(int which)
{
    return which % 3 == 1;
}

static void make_condition(void)
{
    /* getv hits; const8 4; rem_unsigned; log_not; end */
    static const unsigned char code[] = {0x2c, 0, REIN_VARIABLE_HITS, 0x22, 4, 0x08, 0x0e, 0x27};
    if (rein_bytecode_create(code, sizeof code, &every_fourth) != 0)
        complain("no condition: %s", rein_error_message());
}

/* Breakpoints for an image that has not executed anything yet. On the monitor. */
static void add_whole_life(rein_process *process, struct target *target)
{
    int image = atomic_load(&target->wholes);
    if (image >= STRESS_IMAGES)
        return;
    for (int i = 0; i < STRESS_EXACT; i++) {
        struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
        options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
        options.callback = i % 2 ? go_past : NULL;
        options.condition = has_condition(i) ? every_fourth : NULL;
        options.ignore = (uint64_t)i;
        int result = rein_process_add_breakpoint(process, hots[i], &options, &target->whole[image].at[i]);
        if (result != 0 && result != REIN_EXITED && result != REIN_DETACHED && result != REIN_BAD_ADDRESS)
            complain("adding a breakpoint to the new image of %d: %s", target->pid, rein_error_message());
        if (result != 0)
            return;
    }
    atomic_store(&target->wholes, image + 1);
}

/* What a target makes runs on its own, and some of it is let go sooner or later. */
static enum rein_verdict on_childs_event(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    static atomic_uint count;
    (void)arg;
    if (cause->new_process)
        rein_process_set_callback(cause->new_process, on_childs_event, NULL);
    if (atomic_fetch_add(&count, 1) % 8 == 0)
        rein_process_detach(rein_thread_process(thread), 0);
    return REIN_VERDICT_GO_ON;
}

static enum rein_verdict on_event(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct target *target = arg;
    rein_process *process = rein_thread_process(thread);
    enum rein_state state;
    if (cause->new_process) {
        rein_process_set_callback(cause->new_process, on_childs_event, NULL);
        rein_process_set_policy(cause->new_process, REIN_CAUSE_COUNT, REIN_IGNORE);
        if (any(&target->random, 4) == 0)
            rein_process_detach(cause->new_process, 0);
        return REIN_VERDICT_GO_ON; /* it would be stopped, too */
    }
    if (cause->kind == REIN_CAUSE_EXEC && target->spawned)
        add_whole_life(process, target);
    if (rein_thread_state(thread, &state) == 0 && !rein_state_is_stopped(state) &&
        cause->kind != REIN_CAUSE_THREAD_EXIT && cause->kind != REIN_CAUSE_PROCESS_EXIT)
        complain("in a callback for %s thread %d is in state %s", rein_cause_name(cause->kind), rein_thread_id(thread),
                 rein_state_name(state));
    if (atomic_load(&target->left_alone))
        return REIN_VERDICT_POLICY;
    switch (any(&target->random, 64)) {
    case 0: {
        rein_registers *registers = NULL;
        if (rein_thread_registers(thread, &registers) == 0)
            rein_registers_free(registers);
        break;
    }
    case 1:
        rein_process_stop(process, -1); /* only begins */
        break;
    case 2:
        return REIN_VERDICT_STOP_ALL;
    case 3:
        return REIN_VERDICT_STOP_THREAD;
    case 4:
        rein_thread_continue(thread);
        break;
    case 5:
        rein_process_continue(process);
        break;
    case 6: {
        struct rein_event event;
        int result = rein_process_wait(process, -1);
        if (result != REIN_ON_MONITOR && result != REIN_CANCELLED && result != 0)
            complain("waiting in a callback: %s", rein_error_name(result));
        if (rein_process_next_event(process, 0, &event) == 0)
            rein_event_clear(&event);
        break;
    }
    default:
        break;
    }
    return any(&target->random, 4) ? REIN_VERDICT_GO_ON : REIN_VERDICT_POLICY;
}

/* ---- A worker, and what it does ---- */

enum op {
    OP_ATTACH,
    OP_SPAWN,
    OP_DETACH,
    OP_KILL,
    OP_STOP,
    OP_CONTINUE,
    OP_WAIT,
    OP_EVENTS,
    OP_STEP,
    OP_THREAD,
    OP_ADD,
    OP_REMOVE,
    OP_READ_TEXT,
    OP_WRITE_TEXT,
    OP_SCRATCH,
    OP_REGISTERS,
    OP_CALL,
    OP_FUNCTION,
    OP_SYSCALLS,
    OP_WATCH,
    OP_FOLLOW,
    OP_POLICY,
    OP_LIST,
    OP_CANCEL,
    OP_AUDIT,
    OP_SURE_STOP,
    OP_CLOSE_MONITOR,
    OP_COUNT
};
static const char *const op_names[OP_COUNT] = {
    "attach",   "spawn", "detach", "kill",      "stop",       "continue", "wait",      "events",    "step",
    "thread",   "add",   "remove", "read text", "write text", "scratch",  "registers", "call",      "function",
    "syscalls", "watch", "follow", "policy",    "list",       "cancel",   "audit",     "sure stop", "close monitor",
};
/* How often each is done to a process that is held. */
static unsigned op_weights[OP_COUNT] = {
    [OP_DETACH] = 3,  [OP_KILL] = 1,      [OP_STOP] = 10,  [OP_CONTINUE] = 30, [OP_WAIT] = 8,      [OP_EVENTS] = 10,
    [OP_STEP] = 8,    [OP_THREAD] = 10,   [OP_ADD] = 5,    [OP_REMOVE] = 4,    [OP_READ_TEXT] = 4, [OP_WRITE_TEXT] = 2,
    [OP_SCRATCH] = 4, [OP_REGISTERS] = 6, [OP_POLICY] = 5, [OP_CALL] = 8,      [OP_FUNCTION] = 8,  [OP_SYSCALLS] = 2,
    [OP_WATCH] = 3,   [OP_FOLLOW] = 2,    [OP_LIST] = 4,   [OP_CANCEL] = 1,    [OP_AUDIT] = 4,     [OP_SURE_STOP] = 2,
};

#define RESULTS 64 /* more than there are errors */

struct worker {
    pthread_t pthread;
    int index;
    struct group *group;
    struct random random;
    bool lends;
    /* For the watchdog, and for the table at the end. */
    atomic_int op, target_pid;
    _Atomic double since;
    unsigned long results[OP_COUNT][RESULTS];
};

/* Notes how a call ended; false and a complaint if it may not end so. */
static bool note(struct worker *worker, const struct target *target, int result, const char *call)
{
    int op = atomic_load(&worker->op);
    worker->results[op][result <= 0 && result > -RESULTS ? -result : RESULTS - 1]++;
    switch (result) {
    case 0:
    case REIN_BAD_STATE:
    case REIN_EXITED:
    case REIN_DETACHED:
    case REIN_TIMEOUT:
    case REIN_CANCELLED:
    case REIN_CANNOT_STOP:
    case REIN_NO_THREAD:
    case REIN_NO_BREAKPOINT:
    case REIN_BREAKPOINT_EXISTS:
    case REIN_BAD_ADDRESS:
    case REIN_NO_PROCESS:
    case REIN_ALREADY_TRACED:
    case REIN_CLOSED:
    case REIN_CALL_STOPPED:
    case REIN_NO_WATCHPOINT:
    case REIN_NO_SLOT:
    case REIN_NEVER_FIRES:
        return true;
    case REIN_SYSTEM: /* the process was killed a moment ago */
        if (strstr(rein_error_message(), "No such process"))
            return true;
        break;
    default:
        break;
    }
    char text[200] = "";
    if (target)
        describe(target, text, sizeof text);
    complain("%s, %s: %s: %s; %s", op_names[op], call, rein_error_name(result), rein_error_message(), text);
    return false;
}

/* Functions that are under way in it are abandoned, and handlers that run on top of them with them. */
static void may_lose_functions(struct target *target)
{
    atomic_store(&target->may_lose, true);
    if (atomic_load(&target->functions))
        atomic_store(&target->life->lax, 1);
}

/* From now on rein need not have seen all that the present image does. */
static void no_longer_whole(struct target *target)
{
    int image = atomic_load(&target->life->image), until = atomic_load(&target->whole_until);
    while (image < until && !atomic_compare_exchange_weak(&target->whole_until, &until, image)) {
    }
    may_lose_functions(target);
}

/* ---- Beginnings ---- */

static void hold_process(struct worker *worker, struct slot *slot, struct target *target, rein_process *process,
                         int held_by)
{
    (void)worker;
    rein_process *former;
    pthread_mutex_lock(&slot->lock);
    if (slot->target == target) {
        former = slot->process; /* it can only be over: a process has one tracer */
        slot->process = process;
        slot->monitor = held_by;
    } else {
        former = process;
    }
    pthread_mutex_unlock(&slot->lock);
    rein_process_unref(former);
}

static void choose_policies(struct worker *worker, rein_process *process, const struct target *target)
{
    unsigned how = any(&worker->random, 8);
    if (how < 3) { /* the default */
        return;
    } else if (how < 7) {
        static const enum rein_policy policies[] = {REIN_IGNORE, REIN_REPORT, REIN_STOP_THREAD, REIN_STOP_ALL};
        note(worker, target, rein_process_set_policy(process, REIN_CAUSE_COUNT, policies[how - 3]), "set_policy");
    } else {
        for (int kind = 1; kind < REIN_CAUSE_COUNT; kind++)
            note(
                worker, target,
                rein_process_set_policy(process, (enum rein_cause_kind)kind, (enum rein_policy)any(&worker->random, 4)),
                "set_policy");
    }
}

static void op_attach(struct worker *worker, struct slot *slot, struct target *target)
{
    struct group *group = worker->group;
    struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
    unsigned index = any(&worker->random, group->monitor_count);
    rein_process *process = NULL;
    options.flags = (one_in(&worker->random, 3) ? (unsigned)REIN_ATTACH_RUNNING : 0) |
                    (one_in(&worker->random, 4) ? (unsigned)REIN_ATTACH_STRICT : 0);
    options.timeout_ms = one_in(&worker->random, 3) ? (int)any(&worker->random, 20) : 5000;
    pthread_rwlock_rdlock(&group->monitor_locks[index]);
    int result = rein_attach(group->monitors[index], target->pid, &options, &process);
    if (result == 0) {
        bool answers = one_in(&worker->random, 2);
        if (answers)
            rein_process_set_callback(process, on_event, target);
        atomic_store(&target->answers, answers);
        choose_policies(worker, process, target);
        hold_process(worker, slot, target, process, (int)index);
    }
    pthread_rwlock_unlock(&group->monitor_locks[index]);
    note(worker, target, result, "rein_attach");
    if ((result == 0) != (process != NULL))
        complain("rein_attach returns %d and %p", result, (void *)process);
}

static void op_spawn(struct worker *worker, struct slot *slot, struct target *target)
{
    struct group *group = worker->group;
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    unsigned index = any(&worker->random, group->monitor_count);
    char path[4096], fd[16], number[16], start[24], name[] = "stress_target";
    char *argv[] = {name, fd, number, start, NULL};
    rein_process *process = NULL;
    snprintf(path, sizeof path, "%s", fixture_path("stress_target"));
    snprintf(fd, sizeof fd, "%d", lives_fd);
    snprintf(number, sizeof number, "%d", target->number);
    snprintf(start, sizeof start, "%" PRIu64, target->seed);
    options.flags = REIN_SPAWN_NO_ASLR;
    options.process_group = 0;
    target->spawned = true;
    target->loyal = !one_in(&worker->random, 3);
    atomic_store(&target->whole_until, STRESS_IMAGES);
    pthread_rwlock_rdlock(&group->monitor_locks[index]);
    int result = rein_spawn(group->monitors[index], path, argv, NULL, NULL, NULL, 0, &options, &process);
    if (result == 0) {
        target->pid = rein_process_id(process);
        rein_process_set_callback(process, on_event, target);
        atomic_store(&target->answers, true);
        choose_policies(worker, process, target);
        add_whole_life(process, target);
        hold_process(worker, slot, target, process, (int)index);
    }
    pthread_rwlock_unlock(&group->monitor_locks[index]);
    if (note(worker, target, result, "rein_spawn") && result != 0)
        complain("rein_spawn: %s", rein_error_message());
}

/* ---- Ends ---- */

static bool is_zombie(int pid)
{
    char state = proc_state(pid, 0);
    return state == 0 || state == 'Z' || state == 'X';
}

/* The leader may be a zombie while others live; and then one of these may take its place, by an exec. */
static bool is_gone(int pid)
{
    return is_zombie(pid) && proc_threads(pid, (int[]){0}, 1) <= 1 && is_zombie(pid);
}

/* For those who search: hits that are missing may be a vfork child's. */
static void log_vforks(const struct target *target)
{
    for (size_t i = 0; log_file && i < STRESS_VFORKS; i++) {
        const struct stress_vfork *vforked = &target->life->vforked[i];
        if (atomic_load(&vforked->calls))
            fprintf(log_file, "vfork child %d of %d, image %d: %d calls\n", atomic_load(&vforked->pid), target->pid,
                    atomic_load(&vforked->image), atomic_load(&vforked->calls));
    }
}

static void compare_counts(struct target *target)
{
    bool alike = true;
    int until = atomic_load(&target->whole_until);
    for (int i = 0; i < until && i < atomic_load(&target->wholes); i++) {
        struct stress_image *image = &target->life->images[i];
        if (!atomic_load(&image->ended) || atomic_load(&image->rude))
            continue;
        atomic_fetch_add(&compared_images, 1);
        for (int k = 0; k < STRESS_EXACT; k++) {
            uint64_t hits = rein_breakpoint_hits(target->whole[i].at[k]), calls = atomic_load(&image->called[k]);
            struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
            atomic_fetch_add(&compared_hits, hits);
            if (rein_breakpoint_info(target->whole[i].at[k], &info) != 0 || info.errors ||
                info.matched != (has_condition(k) ? hits / 4 : hits))
                complain("hot%d was hit %" PRIu64 " times, and its condition was true %" PRIu64 " times", k + 1, hits,
                         info.matched);
            if (hits == calls || (hits > calls && atomic_load(&target->life->lax)))
                continue;
            char text[200];
            alike = false;
            describe(target, text, sizeof text);
            complain("image %d of %s: hot%d was called %" PRIu64 " times and hit %" PRIu64 " times", i, text, k + 1,
                     calls, hits);
        }
    }
    if (!alike)
        log_vforks(target);
}

/* How it ended, when it was started by a monitor in this process. Who has come to trace it from another process, an attach that
 * has failed, hears of its end first. */
static void take_status(struct target *target)
{
    int status, result;
    for (double limit = now() + SURE_MS / 1000.0;
         (result = waitpid(target->pid, &status, WNOHANG | __WALL)) == 0 && now() < limit;)
        sleep_ms(1);
    if (result == target->pid && atomic_load(&target->life->status) == -1)
        atomic_store(&target->life->status, status);
}

/* It is over, one way or the other. */
static void judge(struct target *target)
{
    struct stress_life *life = target->life;
    char text[200];
    /* The nursery tells a moment later, if its parent was no monitor. */
    for (double limit = now() + (target->spawned ? 0.05 : 5); !atomic_load(&life->reaped) && now() < limit;) {
        if (target->spawned && atomic_load(&life->status) != -1)
            break;
        sleep_ms(1);
    }
    describe(target, text, sizeof text);
    int status = atomic_load(&life->status);
    bool killed = atomic_load(&target->killed);
    if (atomic_load(&life->failed))
        complain("%s: %s", text, life->message);
    else if (!atomic_load(&life->done) && !killed)
        complain("%s has ended before its time", text);
    else if (status != -1 && status != 0 && !(killed && status == SIGKILL))
        complain("%s has ended with %#x", text, (unsigned)status);
    else
        compare_counts(target);
    if (verbose)
        printf("over: %s\n", text);
}

/* Makes room for another when the slot's process is over. Nobody else uses the slot. */
static void retire(struct slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct target *target = slot->target;
    rein_process *process = slot->process;
    bool is_over = target && target->pid && is_gone(target->pid);
    if (is_over) {
        slot->target = NULL;
        slot->process = NULL;
    }
    pthread_mutex_unlock(&slot->lock);
    if (!is_over)
        return;
    if (process) {
        /* Its end may still be under way through the monitor. */
        int result = REIN_TIMEOUT;
        for (double limit = now() + SURE_MS / 1000.0; now() < limit;) {
            rein_process_continue(process);
            result = rein_process_wait(process, 1000);
            if (result == REIN_EXITED || result == REIN_DETACHED || result == REIN_CLOSED)
                break;
        }
        struct rein_exit how = {.status = -1};
        if (result == REIN_EXITED && rein_process_exit(process, &how) == 0)
            atomic_store(&target->life->status, how.signaled ? how.signal : how.status << 8);
        else if (result != REIN_DETACHED && result != REIN_CLOSED)
            complain("process %d is gone, but rein says %s: %s", target->pid, rein_error_name(result),
                     rein_error_message());
        rein_process_unref(process);
    }
    take_status(target);
    judge(target);
    target_unref(target);
}

static void drop_process(struct slot *slot, rein_process *process)
{
    rein_process *former = NULL;
    pthread_mutex_lock(&slot->lock);
    if (slot->process == process) {
        former = process;
        slot->process = NULL;
    }
    pthread_mutex_unlock(&slot->lock);
    rein_process_unref(former);
}

static int op_detach(struct worker *worker, struct slot *slot, struct target *target, rein_process *process)
{
    no_longer_whole(target);
    int result = rein_process_detach(process, one_in(&worker->random, 4) ? SIGURG : 0);
    note(worker, target, result, "rein_process_detach");
    if (result == 0)
        drop_process(slot, process);
    return result;
}

static int op_kill(struct worker *worker, struct target *target, rein_process *process)
{
    atomic_store(&target->killed, true);
    int result = one_in(&worker->random, 3) ? kill(target->pid, SIGKILL) * 0 : rein_process_kill(process);
    note(worker, target, result, "rein_process_kill");
    return result;
}

/* ---- Breakpoints that come and go ---- */

static int op_add(struct worker *worker, struct target *target, rein_process *process)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL;
    options.flags = one_in(&worker->random, 3) ? 0 : (unsigned)REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = one_in(&worker->random, 3) ? NULL : go_past;
    /* Under rein from the start, it has them all but hot8; anywhere in the text will do, but not where no instruction
     * begins. */
    unsigned which = target->spawned ? STRESS_HOTS - 1 : any(&worker->random, STRESS_HOTS);
    int result =
        rein_process_add_breakpoint(process, hots[which], &options, one_in(&worker->random, 2) ? &breakpoint : NULL);
    note(worker, target, result, "rein_process_add_breakpoint");
    rein_breakpoint_unref(breakpoint);
    return result;
}

static int op_remove(struct worker *worker, struct target *target, rein_process *process)
{
    unsigned which = target->spawned ? STRESS_HOTS - 1 : any(&worker->random, STRESS_HOTS);
    int result = rein_process_remove_breakpoint(
        process, hots[which], one_in(&worker->random, 3) ? 0 : (unsigned)REIN_BREAKPOINT_WHILE_RUNNING);
    note(worker, target, result, "rein_process_remove_breakpoint");
    return result;
}

/* Adds a breakpoint while all is stopped, and another time compares what it has counted with what the program has. On the
 * monitor, in one piece. */
struct audit {
    rein_process *process;
    struct target *target;
    unsigned which;
    bool was_stopped, begun, compared;
    rein_breakpoint *breakpoint;
    int image;
    int64_t base, at_base; /* the program's count when it was added, and how many stood there then */
    int64_t hits, count, at_end;
};

/* Does the thread run a handler that returns to pc? Then the signal's frame has it; nothing else on the stack does, for a
 * function's own address is no return address. The frame can be large (11 KiB of registers with AMX). */
static bool returns_to(rein_thread *thread, rein_registers *registers, rein_word pc)
{
    static _Thread_local rein_word stack[4096];
    rein_word sp = 0;
    size_t done = 0;
    rein_registers_sp(registers, &sp);
    rein_thread_read(thread, sp, stack, sizeof stack, &done);
    for (size_t i = 0; i < done / sizeof *stack; i++) {
        if (stack[i] == pc)
            return true;
    }
    return false;
}

/* How many threads may have hit the breakpoint and not have executed the instruction yet, or the other way round. -1: not
 * all is stopped. */
static int64_t count_at_breakpoint(struct audit *audit)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    int64_t there = 0;
    if (rein_process_threads(audit->process, &threads, &count))
        return -1;
    for (size_t i = 0; i < count && there >= 0; i++) {
        enum rein_state state;
        rein_registers *registers = NULL;
        rein_word pc = 0;
        if (rein_thread_state(threads[i], &state) || rein_state_is_running(state) ||
            rein_thread_registers(threads[i], &registers)) {
            there = -1;
        } else {
            rein_registers_pc(registers, &pc);
            there += pc == hots[audit->which] || returns_to(threads[i], registers, hots[audit->which]);
        }
        rein_registers_free(registers);
    }
    rein_thread_list_free(threads, count);
    if (there >= 0) /* vfork children are not listed, and who is in a function called by us may have stood there */
        there +=
            atomic_load(&audit->target->life->images[audit->image].vforks) + atomic_load(&audit->target->functions);
    return there;
}

static int run_audit(void *arg)
{
    struct audit *audit = arg;
    struct stress_life *life = audit->target->life;
    audit->was_stopped = false;
    if (!audit->begun)
        audit->image = atomic_load(&life->image);
    if (atomic_load(&life->image) != audit->image || atomic_load(&life->sequence) % 2)
        return 0;
    int64_t there = count_at_breakpoint(audit);
    if (there < 0)
        return 0;
    audit->was_stopped = true;
    int64_t count = (int64_t)atomic_load(&life->images[audit->image].executed[audit->which]);
    if (!audit->begun) {
        struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
        options.flags = REIN_BREAKPOINT_WHILE_RUNNING; /* a vfork parent that cannot stop runs nothing */
        options.callback = go_past;
        audit->begun = !rein_process_add_breakpoint(audit->process, hots[audit->which], &options, &audit->breakpoint);
        audit->base = count;
        audit->at_base = there;
    } else {
        audit->hits = (int64_t)rein_breakpoint_hits(audit->breakpoint);
        audit->count = count - audit->base;
        audit->at_end = there;
        audit->compared = true;
    }
    if (log_file)
        fprintf(log_file, "%.6f audit of hot%u of %d: executed %" PRId64 " hits %" PRId64 " there %" PRId64 "\n", now(),
                audit->which + 1, audit->target->pid, count - audit->base, audit->hits, there);
    return 0;
}

static int op_audit(struct worker *worker, struct target *target, rein_process *process, rein_monitor *on)
{
    struct audit audit = {.process = process, .target = target, .which = any(&worker->random, STRESS_COUNTING)};
    if (target->spawned)
        return 0;
    rein_process_remove_breakpoint(process, hots[audit.which], REIN_BREAKPOINT_WHILE_RUNNING);
    int result = rein_process_stop(process, 1000);
    if (result == 0)
        result = rein_monitor_call(on, run_audit, &audit);
    for (unsigned i = any(&worker->random, 20); audit.begun && i && result == 0; i--) {
        rein_process_continue(process);
        rein_process_wait(process, (int)any(&worker->random, 5));
    }
    if (audit.begun && rein_process_stop(process, 1000) == 0)
        result = rein_monitor_call(on, run_audit, &audit);
    note(worker, target, result, "audit");
    if (audit.compared) {
        atomic_fetch_add(&audits, 1);
        if (audit.hits < audit.count - audit.at_base || audit.hits > audit.count + audit.at_end) {
            char text[200];
            describe(target, text, sizeof text);
            complain("%s: hot%u was executed %" PRId64 " times and hit %" PRId64 " times; %" PRId64
                     " threads stood there at first, and %" PRId64 " stand there now",
                     text, audit.which + 1, audit.count, audit.hits, audit.at_base, audit.at_end);
        }
    }
    if (audit.breakpoint && one_in(&worker->random, 2))
        rein_process_remove_breakpoint(process, hots[audit.which], REIN_BREAKPOINT_WHILE_RUNNING);
    rein_breakpoint_unref(audit.breakpoint);
    return result;
}

/* ---- Memory ---- */

static unsigned char text_bytes[TEXT_MAX]; /* of the program, from its file */
static uint64_t text_address;
static size_t text_size;

/* In which image it is, when that is sure: it does not change in between. */
static bool image_is(const struct target *target, unsigned *sequence)
{
    *sequence = atomic_load(&target->life->sequence);
    return *sequence % 2 == 0 && __atomic_load_n(&target->life->hot[0], __ATOMIC_SEQ_CST) != 0;
}

static int op_read_text(struct worker *worker, struct target *target, rein_process *process)
{
    unsigned char bytes[512];
    size_t size = 1 + any(&worker->random, sizeof bytes - 1), done = 0;
    uint64_t offset = one_in(&worker->random, 2)
                          ? hots[any(&worker->random, STRESS_HOTS)] - text_address - any(&worker->random, 4)
                          : any(&worker->random, (unsigned)(text_size - sizeof bytes));
    int result = rein_process_read(process, text_address + offset, bytes, size, &done);
    note(worker, target, result, "rein_process_read");
    if (memcmp(bytes, text_bytes + offset, done) != 0)
        complain("process %d: text read at %#" PRIx64 " is not as in the file", target->pid, text_address + offset);
    return result;
}

/* What is there already: nothing changes, and the breakpoints stay. */
static int op_write_text(struct worker *worker, struct target *target, rein_process *process)
{
    unsigned which = any(&worker->random, STRESS_HOTS);
    uint64_t offset = hots[which] - text_address - any(&worker->random, 3);
    int result =
        rein_process_write(process, text_address + offset, text_bytes + offset, 1 + any(&worker->random, 16), NULL);
    note(worker, target, result, "rein_process_write");
    return result;
}

static int op_scratch(struct worker *worker, struct target *target, rein_process *process)
{
    unsigned char bytes[64], back[64];
    unsigned before, after;
    size_t size = 1 + any(&worker->random, 63);
    uint64_t address = scratch_address + 64 * (uint64_t)(worker->index % STRESS_SCRATCH);
    if (!image_is(target, &before) || worker->index >= STRESS_SCRATCH)
        return 0;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)any(&worker->random, 256);
    int result = rein_process_write(process, address, bytes, size, NULL);
    note(worker, target, result, "rein_process_write");
    if (result)
        return result;
    result = rein_process_read(process, address, back, size, NULL);
    note(worker, target, result, "rein_process_read");
    if (!result && image_is(target, &after) && before == after && memcmp(bytes, back, size) != 0)
        complain("process %d: what was read at %#" PRIx64 " is not what was written", target->pid, address);
    return result;
}

/* ---- Threads ---- */

static rein_thread *any_thread(struct worker *worker, struct target *target, rein_process *process)
{
    rein_thread **threads = NULL, *thread = NULL;
    size_t count = 0;
    note(worker, target, rein_process_threads(process, &threads, &count), "rein_process_threads");
    if (count)
        thread = rein_thread_ref(threads[any(&worker->random, (unsigned)count)]);
    rein_thread_list_free(threads, count);
    return thread;
}

/* The signal that it would get anyway. On the monitor: between asking which it is and saying so it must not get another. */
static int choose_its_signal(void *arg)
{
    rein_thread *thread = arg;
    struct rein_cause cause;
    int result = rein_thread_cause(thread, &cause);
    if (result)
        return result;
    if (cause.kind == REIN_CAUSE_SIGNAL)
        result = rein_thread_set_signal(thread, cause.signal.number == SIGSTOP ? 0 : cause.signal.number);
    rein_cause_clear(&cause);
    return result;
}

static int op_thread(struct worker *worker, struct target *target, rein_process *process, int monitor_index)
{
    rein_thread *thread = any_thread(worker, target, process);
    struct rein_cause cause;
    char name[16], text[100];
    int result = 0;
    if (!thread)
        return 0;
    switch (any(&worker->random, 6)) {
    case 0:
        result = rein_thread_stop(thread, (int)any(&worker->random, 100));
        break;
    case 1:
        result = rein_thread_continue(thread);
        break;
    case 2:
        result = rein_thread_wait(thread, (int)any(&worker->random, 20));
        break;
    case 3:
        result = rein_thread_name(thread, name);
        break;
    case 4:
        pthread_rwlock_rdlock(&worker->group->monitor_locks[monitor_index]);
        result = rein_monitor_call(worker->group->monitors[monitor_index], choose_its_signal, thread);
        pthread_rwlock_unlock(&worker->group->monitor_locks[monitor_index]);
        break;
    default:
        result = rein_thread_cause(thread, &cause);
        if (result == 0) {
            rein_cause_text(&cause, text, sizeof text);
            rein_cause_clear(&cause);
        }
    }
    note(worker, target, result, "thread");
    rein_thread_unref(thread);
    return result;
}

static bool stop_by_chance(rein_thread *thread, void *arg)
{
    struct worker *worker = arg;
    rein_registers *registers;
    if (rein_thread_registers(thread, &registers) == 0)
        rein_registers_free(registers);
    return one_in(&worker->random, 50);
}

/* Many for a request: so many, in a function or a page, or until chance has it. */
static int step_many(struct worker *worker, rein_thread *thread)
{
    struct rein_step_options options = REIN_STEP_OPTIONS_INIT;
    uint64_t done;
    rein_registers *registers;
    options.flags = one_in(&worker->random, 3) ? REIN_STEP_DELIVER : 0;
    if (one_in(&worker->random, 2))
        options.count = 1 + any(&worker->random, 100);
    if (one_in(&worker->random, 3) && rein_thread_registers(thread, &registers) == 0) {
        rein_registers_pc(registers, &options.low);
        rein_registers_free(registers);
        options.low -= any(&worker->random, 64);
        options.high = options.low + 128;
    }
    if (one_in(&worker->random, 3)) {
        options.until = stop_by_chance;
        options.arg = worker;
    }
    return rein_thread_step_many(thread, &options, (int)any(&worker->random, 50), &done);
}

static int op_step(struct worker *worker, struct target *target, rein_process *process)
{
    rein_thread *thread = any_thread(worker, target, process);
    int result = 0;
    if (thread && one_in(&worker->random, 3)) {
        result = step_many(worker, thread);
        note(worker, target, result, "rein_thread_step_many");
        rein_thread_unref(thread);
        return result;
    }
    for (unsigned i = 1 + any(&worker->random, 10); thread && i && result == 0; i--) {
        result = rein_thread_step(thread, one_in(&worker->random, 3) ? REIN_STEP_DELIVER : 0,
                                  (int)any(&worker->random, 100));
        note(worker, target, result, "rein_thread_step");
    }
    rein_thread_unref(thread);
    return result;
}

#if defined(__i386__)
#define KEPT "esi"
#define KEPT_TOO "ebx"
#else
#define KEPT "r15"
#define KEPT_TOO "rbx"
#endif

static int op_registers(struct worker *worker, struct target *target, rein_process *process)
{
    rein_thread *thread = any_thread(worker, target, process);
    rein_registers *registers = NULL;
    int result = thread ? rein_thread_registers(thread, &registers) : 0;
    note(worker, target, result, "rein_thread_registers");
    if (registers) {
        int index = rein_registers_index(registers, one_in(&worker->random, 2) ? KEPT : KEPT_TOO);
        rein_word value;
        rein_registers_get(registers, index, &value);
        result = rein_registers_set(registers, index, value);
        note(worker, target, result, "rein_registers_set");
        rein_registers_free(registers);
    }
    rein_thread_unref(thread);
    return result;
}

/* A call that a thread makes: its own id, or one that sleeps until its time is over. */
static int op_call(struct worker *worker, struct target *target, rein_process *process)
{
    static const rein_word nothing[6] = {0};
    rein_thread *thread = any_thread(worker, target, process);
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    bool sleeps = one_in(&worker->random, 4);
    int64_t answer = 0;
    int id = thread ? rein_thread_id(thread) : 0; /* an exec may change it */
    options.timeout_ms = sleeps ? (int)any(&worker->random, 10) : 10000;
    int result = thread ? rein_thread_syscall(thread, sleeps ? SYS_pause : SYS_gettid, nothing, &options, &answer) : 0;
    note(worker, target, result, "rein_thread_syscall");
    if (thread && !result && (sleeps || (answer != id && answer != rein_thread_id(thread))))
        complain("thread %d: its call returned %" PRId64, rein_thread_id(thread), answer);
    rein_thread_unref(thread);
    return result;
}

/* A function that a thread calls. If it is stopped there, or takes too long, that is waited for, abandoned, or left to go on
 * by itself. */
static int op_function(struct worker *worker, struct target *target, rein_process *process)
{
    rein_thread *thread = any_thread(worker, target, process);
    struct rein_call_argument argument = {.type = REIN_CALL_INTEGER, .word = any(&worker->random, 1u << 30)};
    struct rein_call call = REIN_CALL_INIT;
    struct rein_call_result answer;
    memset(&answer, 0, sizeof answer);
    call.pc = twice_address;
    call.arguments = &argument;
    call.count = 1;
    call.flags = one_in(&worker->random, 2) ? REIN_CALL_OTHERS_RUN : 0;
    if (!thread || !__atomic_load_n(&target->life->hot[0], __ATOMIC_SEQ_CST)) { /* it is not that program yet */
        rein_thread_unref(thread);
        return 0;
    }
    atomic_fetch_add(&target->functions, 1);
    if (atomic_load(&target->may_lose))
        atomic_store(&target->life->lax, 1);
    int result = rein_thread_call(thread, &call, one_in(&worker->random, 4) ? 0 : 100, &answer);
    note(worker, target, result, "rein_thread_call");
    bool begun = result == REIN_CALL_STOPPED || result == REIN_TIMEOUT || result == REIN_CANCELLED;
    bool own = true; /* others may call in it meanwhile */
    for (int rounds = 1 + (int)any(&worker->random, 4); begun && rounds; rounds--) {
        own = false;
        if (one_in(&worker->random, 3) && !target->loyal) {
            may_lose_functions(target);
            result = rein_thread_call_abandon(thread, 1000);
            note(worker, target, result, "rein_thread_call_abandon");
            begun = result == REIN_TIMEOUT || result == REIN_CANCELLED;
        } else {
            rein_process_continue(process);
            result = rein_thread_call_wait(thread, (int)any(&worker->random, 50), &answer);
            note(worker, target, result, "rein_thread_call_wait");
            begun = result == REIN_CALL_STOPPED || result == REIN_TIMEOUT || result == REIN_CANCELLED;
        }
    }
    if (!begun)
        atomic_fetch_sub(&target->functions, 1);
    if (!result && own && answer.words[0] != 2 * argument.word)
        complain("thread %d: the function returned %#" PRIx64 " for %#" PRIx64, rein_thread_id(thread), answer.words[0],
                 argument.word);
    rein_thread_unref(thread);
    return result;
}

static int op_syscalls(struct worker *worker, struct target *target, rein_process *process)
{
    static const struct rein_syscall_id some[] = {
        {AUDIT_MACHINE, SYS_getpid},       {AUDIT_MACHINE, SYS_poll},   {AUDIT_MACHINE, SYS_futex},
        {AUDIT_MACHINE, SYS_rt_sigreturn}, {AUDIT_MACHINE, SYS_execve}, {AUDIT_MACHINE, SYS_vfork},
        {AUDIT_MACHINE, SYS_exit},         {AUDIT_MACHINE, SYS_clone3},
    };
    unsigned flags = one_in(&worker->random, 3) ? 0 : any(&worker->random, 4);
    int result = one_in(&worker->random, 4)
                     ? rein_process_trace_syscalls(process, flags, NULL, 0)
                     : rein_process_trace_syscalls(process, flags, some, any(&worker->random, 9));
    note(worker, target, result, "rein_process_trace_syscalls");
    return result;
}

static enum rein_verdict go_on_watching(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    (void)thread, (void)cause, (void)arg;
    return REIN_VERDICT_GO_ON;
}

/* Bytes that only those who trace it write to, for a while: everybody is stepped, or has debug registers in use. */
static int op_watch(struct worker *worker, struct target *target, rein_process *process)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_thread *thread = one_in(&worker->random, 2) ? any_thread(worker, target, process) : NULL;
    rein_watchpoint *watchpoint = NULL;
    bool software = !one_in(&worker->random, 3);
    options.flags = REIN_WATCH_WHILE_RUNNING | (software ? REIN_WATCH_SOFTWARE : 0);
    options.thread = thread;
    options.callback = go_on_watching;
    int result = rein_process_add_watchpoint(process, scratch_address + any(&worker->random, STRESS_SCRATCH) * 64,
                                             software ? 1 + any(&worker->random, 64) : 8, REIN_WATCH_WRITE, &options,
                                             &watchpoint);
    note(worker, target, result, "rein_process_add_watchpoint");
    for (unsigned i = any(&worker->random, 10); watchpoint && i && result == 0; i--) {
        result = one_in(&worker->random, 4) ? rein_process_stop(process, 100) : rein_process_continue(process);
        note(worker, target, result, "continue");
        rein_process_wait(process, (int)any(&worker->random, 5));
    }
    if (watchpoint) {
        result = rein_process_remove_watchpoint(process, watchpoint, REIN_WATCH_WHILE_RUNNING);
        note(worker, target, result, "rein_process_remove_watchpoint");
    }
    rein_watchpoint_unref(watchpoint);
    rein_thread_unref(thread);
    return result;
}

static int op_follow(struct worker *worker, struct target *target, rein_process *process)
{
    if (!atomic_load(&target->answers))
        return 0;
    unsigned flags = target->seed % 2 ? REIN_FOLLOW_BREAKPOINTS : 0;
    if (flags)
        atomic_store(&target->life->copies, 1);
    int result =
        rein_process_set_follow(process, one_in(&worker->random, 3) ? REIN_FOLLOW_PARENT : REIN_FOLLOW_BOTH, flags);
    note(worker, target, result, "rein_process_set_follow");
    return result;
}

/* ---- Others ---- */

static int op_events(struct worker *worker, struct target *target, rein_process *process)
{
    struct rein_event event;
    int fd, result = rein_process_event_fd(process, &fd);
    note(worker, target, result, "rein_process_event_fd");
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    if (result == 0 && one_in(&worker->random, 3))
        poll(&readable, 1, (int)any(&worker->random, 5));
    for (unsigned i = 1 + any(&worker->random, 20); result == 0 && i; i--) {
        result = rein_process_next_event(process, (int)any(&worker->random, 4), &event);
        note(worker, target, result, "rein_process_next_event");
        if (result == 0) {
            char text[100];
            rein_cause_text(&event.cause, text, sizeof text);
            rein_event_clear(&event);
        }
    }
    return result;
}

static int op_list(struct worker *worker, struct target *target, rein_process *process)
{
    rein_breakpoint **breakpoints = NULL;
    size_t count = 0;
    int result = rein_process_breakpoints(process, &breakpoints, &count);
    note(worker, target, result, "rein_process_breakpoints");
    rein_breakpoint_list_free(breakpoints, count);
    return result;
}

/* In place of a callback: what the target makes is seen to by nobody else, and waits for that. */
static enum rein_verdict on_birth(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    return cause->new_process ? on_event(thread, cause, arg) : REIN_VERDICT_POLICY;
}

static int op_policy(struct worker *worker, struct target *target, rein_process *process)
{
    int result = rein_process_set_policy(process, (enum rein_cause_kind)(1 + any(&worker->random, REIN_CAUSE_COUNT)),
                                         (enum rein_policy)any(&worker->random, 4));
    note(worker, target, result, "rein_process_set_policy");
    if (one_in(&worker->random, 4) && !target->spawned)
        rein_process_set_callback(process, one_in(&worker->random, 2) ? on_event : on_birth, target);
    return result;
}

/* The state of a thread that is neither stopped nor dead, if there is one. */
static char running_state(int pid)
{
    int ids[64];
    size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < count && i < sizeof ids / sizeof *ids; i++) {
        char state = proc_state(pid, ids[i]);
        if (state && !strchr("tTZX", state))
            return state;
    }
    return 0;
}

/* With nobody else at work on the process a stop succeeds, and holds. */
static int op_sure_stop(struct worker *worker, struct target *target, rein_process *process)
{
    atomic_store(&target->left_alone, true);
    int result = rein_process_stop(process, SURE_MS);
    note(worker, target, result, "rein_process_stop");
    if (result == REIN_TIMEOUT) {
        complain("process %d cannot be stopped: %s", target->pid, rein_error_message());
        show_process(target->pid);
    }
    /* One that is being born is on its way to its first stop, and one that dies is on its way out. */
    char state = result == 0 ? running_state(target->pid) : 0;
    for (double limit = now() + 2; state && now() < limit && !atomic_load(&target->killed);) {
        sleep_ms(1);
        state = running_state(target->pid);
    }
    if (state && !atomic_load(&target->killed)) {
        complain("process %d is stopped, but a thread is in state %c", target->pid, state);
        show_process(target->pid);
    }
    atomic_store(&target->left_alone, false);
    return result;
}

static void op_close_monitor(struct worker *worker)
{
    struct group *group = worker->group;
    unsigned index = any(&worker->random, group->monitor_count);
    atomic_store(&worker->op, OP_CLOSE_MONITOR);
    pthread_rwlock_wrlock(&group->monitor_locks[index]);
    for (unsigned i = 0; i < group->slot_count; i++) {
        pthread_mutex_lock(&group->slots[i].lock);
        if (group->slots[i].target && group->slots[i].monitor == (int)index)
            no_longer_whole(group->slots[i].target);
        pthread_mutex_unlock(&group->slots[i].lock);
    }
    int result = rein_monitor_close(group->monitors[index]);
    note(worker, NULL, result, "rein_monitor_close");
    result = make_monitor(group->kinds[index], &group->monitors[index]);
    note(worker, NULL, result, "rein_monitor_create");
    pthread_rwlock_unlock(&group->monitor_locks[index]);
}

static enum op choose(struct random *random)
{
    unsigned total = 0, at;
    for (int i = 0; i < OP_COUNT; i++)
        total += op_weights[i];
    at = any(random, total);
    for (int i = 0; i < OP_COUNT; i++) {
        if (at < op_weights[i])
            return (enum op)i;
        at -= op_weights[i];
    }
    return OP_CONTINUE;
}

static int operate(struct worker *worker, struct slot *slot, enum op op, struct target *target, rein_process *process,
                   int monitor_index)
{
    int result = 0;
    switch (op) {
    case OP_DETACH:
        return op_detach(worker, slot, target, process);
    case OP_KILL:
        return op_kill(worker, target, process);
    case OP_STOP:
        result = rein_process_stop(process, (int)any(&worker->random, 200));
        break;
    case OP_CONTINUE:
        result = rein_process_continue(process);
        break;
    case OP_WAIT:
        result = rein_process_wait(process, (int)any(&worker->random, 20));
        break;
    case OP_CANCEL:
        result = rein_process_cancel_wait(process);
        break;
    case OP_EVENTS:
        return op_events(worker, target, process);
    case OP_STEP:
        return op_step(worker, target, process);
    case OP_THREAD:
        return op_thread(worker, target, process, monitor_index);
    case OP_ADD:
        return op_add(worker, target, process);
    case OP_REMOVE:
        return op_remove(worker, target, process);
    case OP_READ_TEXT:
        return op_read_text(worker, target, process);
    case OP_WRITE_TEXT:
        return op_write_text(worker, target, process);
    case OP_SCRATCH:
        return op_scratch(worker, target, process);
    case OP_REGISTERS:
        return op_registers(worker, target, process);
    case OP_CALL:
        return op_call(worker, target, process);
    case OP_FUNCTION:
        return op_function(worker, target, process);
    case OP_SYSCALLS:
        return op_syscalls(worker, target, process);
    case OP_WATCH:
        return op_watch(worker, target, process);
    case OP_FOLLOW:
        return op_follow(worker, target, process);
    case OP_POLICY:
        return op_policy(worker, target, process);
    case OP_LIST:
        return op_list(worker, target, process);
    case OP_SURE_STOP:
        return op_sure_stop(worker, target, process);
    case OP_AUDIT:
        pthread_rwlock_rdlock(&worker->group->monitor_locks[monitor_index]);
        result = op_audit(worker, target, process, worker->group->monitors[monitor_index]);
        pthread_rwlock_unlock(&worker->group->monitor_locks[monitor_index]);
        return result;
    default:
        break;
    }
    note(worker, target, result, op_names[op]);
    return result;
}

/* Something with one of the slots. */
static void act(struct worker *worker)
{
    struct group *group = worker->group;
    struct slot *slot = &group->slots[any(&worker->random, group->slot_count)];
    enum op op = choose(&worker->random);
    bool alone = op == OP_SURE_STOP || op == OP_AUDIT || one_in(&worker->random, 20);
    if (one_in(&worker->random, 3000) && !worker->lends) {
        op_close_monitor(worker);
        return;
    }
    if (alone ? pthread_rwlock_trywrlock(&slot->use) : pthread_rwlock_tryrdlock(&slot->use))
        return; /* somebody has it to himself */
    if (alone)
        retire(slot);
    pthread_mutex_lock(&slot->lock);
    bool is_new = alone && !slot->target && !atomic_load(&over), spawns = is_new && one_in(&worker->random, 2);
    if (is_new)
        slot->target = new_target(&worker->random);
    struct target *target = slot->target ? target_ref(slot->target) : NULL;
    rein_process *process = rein_process_ref(slot->process);
    int monitor_index = slot->monitor;
    pthread_mutex_unlock(&slot->lock);
    if (is_new && !spawns)
        target->pid = be_born(target);

    atomic_store(&worker->since, now());
    if (target)
        atomic_store(&worker->target_pid, target->pid);
    int result = 0;
    if (!target) {
        ;
    } else if (spawns) {
        atomic_store(&worker->op, OP_SPAWN);
        op_spawn(worker, slot, target);
    } else if (!process) {
        if (target->pid && !atomic_load(&target->life->done) && one_in(&worker->random, 3)) {
            atomic_store(&worker->op, OP_ATTACH);
            op_attach(worker, slot, target);
        }
    } else {
        if (target->loyal && (op == OP_DETACH || op == OP_KILL))
            op = OP_CONTINUE;
        atomic_store(&worker->op, (int)op);
        result = operate(worker, slot, op, target, process, monitor_index);
        /* Who leaves alone what he has stopped would stop everything in the end. */
        if (one_in(&worker->random, 2))
            rein_process_continue(process);
    }
    if (result == REIN_DETACHED || result == REIN_CLOSED)
        drop_process(slot, process);
    atomic_fetch_add(&operations, 1);
    atomic_store(&worker->target_pid, 0);
    rein_process_unref(process);
    pthread_rwlock_unlock(&slot->use);
    target_unref(target);
}

static void make_group(struct group *group, unsigned slots, unsigned monitors, const enum rein_monitor_kind *kinds)
{
    memset(group, 0, sizeof *group);
    group->slot_count = slots;
    group->monitor_count = monitors;
    for (unsigned i = 0; i < slots; i++) {
        pthread_rwlock_init(&group->slots[i].use, NULL);
        pthread_mutex_init(&group->slots[i].lock, NULL);
    }
    for (unsigned i = 0; i < monitors; i++) {
        group->kinds[i] = kinds[i];
        pthread_rwlock_init(&group->monitor_locks[i], NULL);
        if (make_monitor(kinds[i], &group->monitors[i]))
            complain("rein_monitor_create: %s", rein_error_message());
    }
}

/* Everything is let go, in one of two ways: process by process, or by the end of the monitor. */
static void let_go(struct group *group, bool one_by_one)
{
    for (unsigned i = 0; i < group->slot_count; i++) {
        struct slot *slot = &group->slots[i];
        if (slot->target)
            no_longer_whole(slot->target);
        if (slot->process && one_by_one) {
            int result = rein_process_detach(slot->process, 0);
            if (result && result != REIN_EXITED && result != REIN_DETACHED && result != REIN_CLOSED)
                complain("rein_process_detach: %s: %s", rein_error_name(result), rein_error_message());
        }
    }
    for (unsigned i = 0; i < group->monitor_count; i++) {
        if (rein_monitor_close(group->monitors[i]))
            complain("rein_monitor_close: %s", rein_error_message());
    }
}

static void end_group(struct group *group);

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct group *group = worker->group;
    if (worker->lends) {
        static const enum rein_monitor_kind kind = REIN_MONITOR_LENT;
        make_group(group, LENT_SLOTS, 1, &kind);
    }
    while (!atomic_load(&over) && !atomic_load(&failed))
        act(worker);
    if (worker->lends) {
        atomic_store(&worker->op, OP_CLOSE_MONITOR);
        atomic_store(&worker->since, now());
        atomic_store(&worker->target_pid, -1);
        let_go(group, one_in(&worker->random, 2));
        atomic_store(&worker->target_pid, 0);
    }
    return NULL;
}

/* ---- Afterwards ---- */

static void check_let_go(struct target *target)
{
    int pid = target->pid, ids[256];
    char text[200];
    describe(target, text, sizeof text);
    for (double limit = now() + 10;;) {
        size_t count = proc_threads(pid, ids, sizeof ids / sizeof *ids);
        bool is_free = true;
        for (size_t i = 0; i < count && is_free; i++) {
            char state = proc_state(pid, ids[i]);
            is_free = state != 't' && state != 'T' && proc_tracer(pid, ids[i]) <= 0;
        }
        if (is_free)
            break;
        if (now() > limit) {
            complain("%s has been let go, but is stopped or traced", text);
            show_process(pid);
            break;
        }
        sleep_ms(2);
    }
    static unsigned char bytes[TEXT_MAX];
    size_t done = is_gone(pid) ? 0 : raw_read(pid, text_address, bytes, text_size);
    for (size_t i = 0; i < done; i++) {
        if (bytes[i] != text_bytes[i] && __atomic_load_n(&target->life->hot[0], __ATOMIC_SEQ_CST)) {
            complain("%s has been let go, but its text at %#" PRIx64 " is %#x, not %#x", text, text_address + i,
                     bytes[i], text_bytes[i]);
            break;
        }
    }
}

/* The monitors are closed. Those that live are free, and come to an end by themselves. */
static void end_group(struct group *group)
{
    for (unsigned i = 0; i < group->slot_count; i++) {
        struct slot *slot = &group->slots[i];
        struct target *target = slot->target;
        if (target && target->pid) {
            if (!is_gone(target->pid))
                check_let_go(target);
            atomic_store(&target->life->finish, 1);
            for (double limit = now() + 60; !is_gone(target->pid);) {
                if (now() > limit) {
                    char text[200];
                    describe(target, text, sizeof text);
                    complain("%s does not come to an end", text);
                    show_process(target->pid);
                    kill(target->pid, SIGKILL);
                    break;
                }
                sleep_ms(2);
            }
            take_status(target);
            judge(target);
        }
        target_unref(target);
        rein_process_unref(slot->process);
        pthread_rwlock_destroy(&slot->use);
        pthread_mutex_destroy(&slot->lock);
    }
    for (unsigned i = 0; i < group->monitor_count; i++)
        pthread_rwlock_destroy(&group->monitor_locks[i]);
}

/* Programs of this run that are still there: children of the targets included. Their number; shown when asked for. */
static int count_leftovers(bool show)
{
    DIR *directory = opendir("/proc");
    char wanted[4096], real[4096];
    int count = 0;
    if (!directory || !realpath(fixture_path("stress_target"), wanted))
        return 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[300], line[512] = "";
        int pid = atoi(entry->d_name);
        snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
        ssize_t size = pid ? readlink(path, real, sizeof real - 1) : -1;
        if (size < 0)
            continue;
        real[size] = 0;
        /* Of this run are those that have our file of lives. */
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, lives_fd);
        struct stat theirs, ours;
        if (strcmp(real, wanted) || stat(path, &theirs) || fstat(lives_fd, &ours) || theirs.st_ino != ours.st_ino)
            continue;
        count++;
        if (show) {
            snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            ssize_t length = read(fd, line, sizeof line - 1);
            close(fd);
            for (ssize_t i = 0; i + 1 < length; i++)
                line[i] = line[i] ? line[i] : ' ';
            printf("left over: %d: %s\n", pid, line);
            show_process(pid);
            kill(pid, SIGKILL);
        }
    }
    closedir(directory);
    return count;
}

static void check_leftovers(void)
{
    for (double limit = now() + 10; count_leftovers(false) > 0 && now() < limit;)
        sleep_ms(20);
    int count = count_leftovers(true);
    if (count)
        complain("%d programs are left over", count);
}

/* ---- The whole ---- */

/* The text of the program, and where things are in it: from the file, and from a first life. */
static void look_at_program(void)
{
    struct random random = {seed};
    struct target *target = new_target(&random);
    atomic_store(&target->life->finish, 1);
    target->pid = be_born(target);
    for (double limit = now() + 30; !atomic_load(&target->life->reaped) && now() < limit;)
        sleep_ms(1);
    if (!atomic_load(&target->life->done)) {
        complain("stress_target does not run: status %#x, %s", (unsigned)atomic_load(&target->life->status),
                 target->life->message);
        return;
    }
    memcpy(hots, target->life->hot, sizeof hots);
    scratch_address = target->life->scratch;
    twice_address = target->life->twice;
    uint64_t base = hots[0] - symbol_value("stress_target", "hot1");
    target_unref(target);

    int fd = open(fixture_path("stress_target"), O_RDONLY | O_CLOEXEC);
    struct stat file;
    if (fstat(fd, &file))
        exit(2);
    const unsigned char *bytes = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    const ElfW(Ehdr) *header = (const void *)bytes;
    const ElfW(Phdr) *segments = (const void *)(bytes + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        if (segments[i].p_type == PT_LOAD && (segments[i].p_flags & PF_X)) {
            text_address = base + segments[i].p_vaddr;
            text_size = segments[i].p_filesz < TEXT_MAX ? segments[i].p_filesz : TEXT_MAX;
            memcpy(text_bytes, bytes + segments[i].p_offset, text_size);
        }
    }
    munmap((void *)(uintptr_t)bytes, (size_t)file.st_size);
}

static struct worker workers[WORKERS_MAX + 1];
static unsigned worker_count = 3;

/* Looks for operations that hang. Its own thread, so that it needs nobody. */
static void *watch(void *arg)
{
    const atomic_bool *end = arg;
    while (!atomic_load(end)) {
        sleep_ms(200);
        for (unsigned i = 0; i <= worker_count; i++) {
            int pid = atomic_load(&workers[i].target_pid);
            if (!pid || now() - atomic_load(&workers[i].since) < OP_LIMIT_S)
                continue;
            printf("worker %u hangs in %s of process %d\n", i, op_names[atomic_load(&workers[i].op)], pid);
            for (unsigned k = 0; k <= worker_count; k++)
                printf("  worker %u: %s of %d for %.1f s\n", k, op_names[atomic_load(&workers[k].op)],
                       atomic_load(&workers[k].target_pid), now() - atomic_load(&workers[k].since));
            show_process(pid);
            show_process(getpid());
            complain("an operation hangs");
            if (!hold)
                abort();
        }
    }
    return NULL;
}

static void show_results(void)
{
    for (int op = 0; op < OP_COUNT; op++) {
        bool any_result = false;
        for (int error = 0; error < RESULTS; error++) {
            unsigned long count = 0;
            for (unsigned i = 0; i <= worker_count; i++)
                count += workers[i].results[op][error];
            if (!count)
                continue;
            if (!any_result)
                printf("  %-14s", op_names[op]);
            any_result = true;
            printf(" %s %lu", error ? rein_error_name(-error) + 5 : "OK", count);
        }
        if (any_result)
            printf("\n");
    }
}

static void run(double seconds)
{
    static struct group together, apart;
    static const enum rein_monitor_kind kinds[MONITORS] = {REIN_MONITOR_PROCESS, REIN_MONITOR_PROCESS,
                                                           REIN_MONITOR_THREAD};
    atomic_bool watch_ends = false;
    pthread_t watcher;
    atomic_store(&over, false);
    make_group(&together, SLOTS, MONITORS, kinds);
    for (unsigned i = 0; i <= worker_count; i++) {
        struct worker *worker = &workers[i];
        worker->index = (int)i;
        worker->random.state = seed * 1000 + i;
        worker->lends = i == worker_count;
        worker->group = worker->lends ? &apart : &together;
        pthread_create(&worker->pthread, NULL, work, worker);
    }
    pthread_create(&watcher, NULL, watch, &watch_ends);
    for (double end = now() + seconds; now() < end && !atomic_load(&failed);)
        sleep_ms(20);
    atomic_store(&over, true);
    for (unsigned i = 0; i <= worker_count; i++)
        pthread_join(workers[i].pthread, NULL);
    struct random random = {seed + 17};
    let_go(&together, one_in(&random, 2));
    end_group(&together);
    end_group(&apart);
    atomic_store(&watch_ends, true);
    pthread_join(watcher, NULL);
}

static void check_host(int descriptors, int threads, size_t memory)
{
    for (double limit = now() + 5; count_threads() > threads && now() < limit;)
        sleep_ms(1);
    if (count_threads() != threads)
        complain("%d threads before, %d after", threads, count_threads());
    if (count_descriptors() != descriptors)
        complain("%d descriptors before, %d after", descriptors, count_descriptors());
    struct mallinfo2 info = mallinfo2();
    if (memory && info.uordblks > memory + 256 * 1024)
        complain("%zu bytes of memory in use before, %zu after", memory, info.uordblks);
    int status = 0, child = waitpid(-1, &status, WNOHANG | __WALL);
    if (child != -1 || errno != ECHILD)
        complain("there is a child left: %d, with status %#x", child, (unsigned)status);
}

static double argument_or(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}

static void leave_out(const char *name)
{
    for (int i = 0; i < OP_COUNT; i++) {
        if (!strcmp(name, op_names[i]))
            op_weights[i] = 0;
    }
}

int main(int argc, char **argv)
{
    double seconds = argument_or("REIN_STRESS_SECONDS", 20);
    seed = (uint64_t)argument_or("REIN_STRESS_SEED", 0);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
            seconds = atof(argv[++i]);
        else if (!strcmp(argv[i], "--workers") && i + 1 < argc)
            worker_count = (unsigned)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--log") && i + 1 < argc)
            log_file = fopen(argv[++i], "we");
        else if (!strcmp(argv[i], "--without") && i + 1 < argc)
            leave_out(argv[++i]);
        else if (!strcmp(argv[i], "--hold"))
            hold = true;
        else if (!strcmp(argv[i], "--verbose"))
            verbose = true;
        else
            return fprintf(stderr,
                           "usage: random_ops [--seed N] [--seconds S] [--workers N] [--without OPERATION] [--hold] "
                           "[--verbose] [--log FILE]\n"),
                   2;
    }
    if (!seed) {
        struct timespec time;
        clock_gettime(CLOCK_REALTIME, &time);
        seed = (uint64_t)time.tv_nsec / 1000 + 1;
    }
    if (worker_count < 1 || worker_count > WORKERS_MAX)
        worker_count = 3;
    printf("random_ops --seed %" PRIu64 " --seconds %g --workers %u\n", seed, seconds, worker_count);
    fflush(stdout);

    make_condition();
    lives_fd = memfd_create("lives", 0);
    if (lives_fd < 0 || ftruncate(lives_fd, sizeof(struct stress_life) * LIVES))
        return perror("memfd"), 2;
    lives = mmap(NULL, sizeof(struct stress_life) * LIVES, PROT_READ | PROT_WRITE, MAP_SHARED, lives_fd, 0);
    if (lives == MAP_FAILED)
        return perror("mmap"), 2;
    signal(SIGPIPE, SIG_IGN);
    make_nursery();
    look_at_program();
    if (!atomic_load(&failed)) {
        int descriptors = count_descriptors(), threads = count_threads();
        size_t memory = 0;
        double begin = now();
        if (seconds > 5) { /* what is allocated once, is now */
            run(2);
            memory = mallinfo2().uordblks;
        }
        if (!atomic_load(&failed))
            run(seconds - (now() - begin));
        check_leftovers();
        check_host(descriptors, threads, memory);
    }
    printf("%lu operations on %lu processes, %lu images with %lu hits compared, %lu audits\n", atomic_load(&operations),
           atomic_load(&target_count), atomic_load(&compared_images), atomic_load(&compared_hits),
           atomic_load(&audits));
    if (verbose || atomic_load(&failed))
        show_results();
    if (atomic_load(&failed))
        printf("again: random_ops --seed %" PRIu64 " --seconds %g --workers %u\n", seed, seconds, worker_count);
    return atomic_load(&failed);
}
