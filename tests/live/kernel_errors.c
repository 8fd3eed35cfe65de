/* E1 M8 M10: every kernel call that rein makes fails, one after the other. Program: checked_work.
 *
 * AT THE SEAM. A backend that is the real one, but for one function, whose Nth call (or each from the Nth on) is not made
 * and gives an error; the same with the memory of librein's own (malloc). A story is played with it: attach, registers,
 * memory, breakpoints, steps, signals, births, detach; or spawn and kill. Whatever fails, no call hangs, every failure has
 * a message, and afterwards the program is as if nothing had been: not traced, not stopped, its text as in its
 * file, at work; and the host has no thread, descriptor or memory more than before. What cannot be had is said at
 * each fault in the table below.
 *
 * ESRCH has two faces. The true one: the program is killed just before the call. The false one is a kernel that lies;
 * rein need not believe in that, but must not hang.
 *
 * REAL LIMITS: descriptors, processes, memory, another user. */
#include "support.h"

#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "engine/monitor.h"
#include "os/backend.h"

enum {
    SCENARIO_LIMIT_S = 40,
    WAIT_MS = 15000,     /* while nothing has failed */
    WAIT_AFTER_MS = 250, /* for what may never come */
    NOBODY = 65534,
};

/* ---- Faults ---- */

/* The functions that can fail, with what they take and what they give on. */
#define FUNCTIONS(X)                                                                                                   \
    X(seize, (int id), (id))                                                                                           \
    X(interrupt, (int id), (id))                                                                                       \
    X(resume, (int id, enum os_resume how, int signal), (id, how, signal))                                             \
    X(detach, (int id, int signal), (id, signal))                                                                      \
    X(get_registers, (int id, struct arch_registers *registers), (id, registers))                                      \
    X(set_registers, (int id, const struct arch_registers *registers), (id, registers))                                \
    X(get_register_set, (int id, enum arch_set set, void *bytes, size_t size), (id, set, bytes, size))                 \
    X(set_register_set, (int id, enum arch_set set, const void *bytes, size_t size), (id, set, bytes, size))           \
    X(set_signal, (int id, const struct rein_signal *signal), (id, signal))                                            \
    X(queue_signal, (int pid, int id, const struct rein_signal *signal), (pid, id, signal))                            \
    X(pending_signals, (int id, uint64_t *mask), (id, mask))                                                           \
    X(get_signal_mask, (int id, uint64_t *mask), (id, mask))                                                           \
    X(set_signal_mask, (int id, uint64_t mask), (id, mask))                                                            \
    X(trap_is_pending, (int id), (id))                                                                                 \
    X(fault_is_pending, (int id), (id))                                                                                \
    X(restart_interrupted_call, (int id, struct arch_registers *registers), (id, registers))                           \
    X(get_syscall, (int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call),                    \
      (id, in_call, stage, call))                                                                                      \
    X(set_syscall, (int id, const struct rein_syscall *call), (id, call))                                              \
    X(set_syscall_result, (int id, const struct rein_syscall *call), (id, call))                                       \
    X(set_own_syscall, (int id, const struct rein_syscall *call), (id, call))                                          \
    X(for_each_thread, (int pid, os_id_callback callback, void *arg), (pid, callback, arg))                            \
    X(count_threads, (int pid, size_t *count), (pid, count))                                                           \
    X(for_each_child_of, (int pid, os_id_callback callback, void *arg), (pid, callback, arg))                          \
    X(thread_status, (int pid, int id, enum os_thread_status *status), (pid, id, status))                              \
    X(thread_name, (int pid, int id, char name[16]), (pid, id, name))                                                  \
    X(process_of, (int id, int *pid, int *parent), (id, pid, parent))                                                  \
    X(tracer_of, (int id, int *tracer), (id, tracer))                                                                  \
    X(read_own, (int id, uint64_t address, void *buffer, size_t size), (id, address, buffer, size))                    \
    X(is_fixed_code, (int id, uint64_t address), (id, address))                                                        \
    X(find_room, (int id, uint64_t address, uint64_t *start, uint64_t *size), (id, address, start, size))              \
    X(find_gap, (int id, uint64_t address, bool above, uint64_t *start, uint64_t *size),                               \
      (id, address, above, start, size))                                                                               \
    X(is_mapped_room, (int id, uint64_t start, uint64_t size), (id, start, size))                                      \
    X(kill, (int pid, int signal), (pid, signal))                                                                      \
    X(waiter_next, (struct os_waiter * waiter, struct os_event * event), (waiter, event))                              \
    X(waiter_next_of, (struct os_waiter * waiter, int id, struct os_event *event), (waiter, id, event))                \
    X(waiter_create,                                                                                                   \
      (enum rein_monitor_kind kind, bool (*is_tracee)(int id, void *arg),                                              \
       int (*for_each_tracee)(os_id_callback callback, void *callback_arg, void *arg), void *arg,                      \
       struct os_waiter **waiter),                                                                                     \
      (kind, is_tracee, for_each_tracee, arg, waiter))                                                                 \
    X(monitor_start,                                                                                                   \
      (enum rein_monitor_kind kind, void (*body)(void *arg), void (*ended)(void *arg, bool killed), void *arg,         \
       void **handle),                                                                                                 \
      (kind, body, ended, arg, handle))

enum which {
#define WHICH(name, parameters, arguments) FAULT_##name,
    FUNCTIONS(WHICH)
#undef WHICH
        FAULT_read,
    FAULT_write,
    FAULT_write_child, /* to the memory of a process that the program has made */
    FAULT_spawn,
    FAULT_malloc,
    FAULT_COUNT
};

static const char *const names[FAULT_COUNT] = {
#define NAME(name, parameters, arguments) [FAULT_##name] = #name,
    FUNCTIONS(NAME)
#undef NAME
        [FAULT_read] = "read",
    [FAULT_write] = "write",
    [FAULT_write_child] = "write_child",
    [FAULT_spawn] = "spawn",
    [FAULT_malloc] = "malloc",
};

#define KILLED (-1) /* instead of an errno: the program is killed, and the call made */

struct fault {
    enum which which;
    int error; /* an errno; KILLED; for read and write 0 too: nothing was accessible */
    int nth;   /* from 1; 0: none fails */
    bool lasts;
};

/* The monitor process shares the memory; nothing here is changed while a story is played but by the monitor. */
static struct fault fault;
static atomic_int calls[FAULT_COUNT];
static atomic_bool armed, fired;
static atomic_int target; /* the process to be killed */
static int test_thread;
static _Thread_local bool in_rein; /* the test's thread, in a call into rein */

static bool fails(enum which which)
{
    if (!atomic_load(&armed))
        return false;
    int call = atomic_fetch_add(&calls[which], 1) + 1;
    if (which != fault.which || !fault.nth || (fault.lasts ? call < fault.nth : call != fault.nth))
        return false;
    if (getenv("REIN_LOG"))
        dprintf(1, "%s, call %d fails with %d\n", names[fault.which], call, fault.error);
    atomic_store(&fired, true);
    if (fault.error != KILLED)
        return true;
    if (atomic_load(&target))
        kill(atomic_load(&target), SIGKILL);
    return false;
}

#define FAULTY(name, parameters, arguments)                                                                            \
    static int faulty_##name parameters                                                                                \
    {                                                                                                                  \
        return fails(FAULT_##name) ? -fault.error : os_backend.name arguments;                                         \
    }
FUNCTIONS(FAULTY)
#undef FAULTY

static int64_t faulty_read(struct os_memory *memory, int id, uint64_t address, void *buffer, size_t size)
{
    if (fails(FAULT_read))
        return fault.error == EFAULT ? 0 : -fault.error; /* not accessible, or not tried */
    return os_backend.read(memory, id, address, buffer, size);
}

static int64_t faulty_write(struct os_memory *memory, int id, uint64_t address, const void *data, size_t size)
{
    int pid = atomic_load(&target);
    if (fails(pid && !os_backend.is_thread_of(id, pid) ? FAULT_write_child : FAULT_write))
        return fault.error == EFAULT ? 0 : -fault.error;
    return os_backend.write(memory, id, address, data, size);
}

static int faulty_spawn(const struct os_spawn *what, struct os_spawned *child, enum os_spawn_step *step)
{
    if (!fails(FAULT_spawn))
        return os_backend.spawn(what, child, step);
    *step = OS_SPAWN_STEP_FORK;
    return -fault.error;
}

/* No file has any, so that the program has to map it. */
static int find_no_room(int id, uint64_t address, uint64_t *start, uint64_t *size)
{
    int result = faulty_find_room(id, address, start, size);
    return result < 0 ? result : 0;
}

static struct os_backend faulty_backend;

static void make_backend(void)
{
    faulty_backend = os_backend;
    faulty_backend.read = faulty_read;
    faulty_backend.write = faulty_write;
    faulty_backend.spawn = faulty_spawn;
#define USE(name, parameters, arguments) faulty_backend.name = faulty_##name;
    FUNCTIONS(USE)
#undef USE
    faulty_backend.find_room = find_no_room;
}

/* ---- malloc, as far as this program and what is linked into it call it (ld --wrap) ---- */

void *__real_malloc(size_t size), *__real_calloc(size_t count, size_t size), *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size), *__wrap_calloc(size_t count, size_t size), *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static atomic_long allocations; /* that have not been freed */

static bool allocation_fails(void)
{
    return (in_rein || os_backend.self_thread() != test_thread) && fails(FAULT_malloc);
}

static void *count_allocation(void *memory)
{
    if (memory)
        atomic_fetch_add(&allocations, 1);
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : count_allocation(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : count_allocation(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    void *memory = __real_realloc(old, size);
    if (!old)
        count_allocation(memory);
    return memory;
}

void __wrap_free(void *memory)
{
    if (memory)
        atomic_fetch_sub(&allocations, 1);
    __real_free(memory);
}

/* ---- What is checked ---- */

static const char *scene;     /* for messages */
static char description[160]; /* of the fault, too */
static int failed_calls;      /* of rein's, in this scenario */

static void describe(const char *story)
{
    snprintf(description, sizeof description, "%s, call %d of %s%s: %s", story, fault.nth, names[fault.which],
             fault.lasts ? " and all that follow" : "",
             fault.error == KILLED ? "killed"
             : fault.error         ? strerrorname_np(fault.error)
                                   : "nothing");
}

static void hangs(int number)
{
    (void)number;
    static const char text[] = " hangs in: ";
    if (write(2, description, strlen(description)) < 0 || write(2, text, sizeof text - 1) < 0 ||
        write(2, scene, strlen(scene)) < 0 || write(2, "\n", 1) < 0)
        _exit(2);
    if (atomic_load(&target))
        kill(atomic_load(&target), SIGKILL);
    _exit(1);
}

/* A result of rein's: 0, or an error with a name and a message. */
static int checked(int result, const char *call)
{
    in_rein = false;
    if (getenv("REIN_SHOW"))
        print_message("    %s: %s %s\n", call, rein_error_name(result), result ? rein_error_message() : "");
    if (result > 0 || (result < 0 && (!*rein_error_message() || !strcmp(rein_error_name(result), "REIN_UNKNOWN"))))
        fail_msg("%s: %s: %d (%s)", description, call, result, rein_error_message());
    if (result < 0 && !atomic_load(&fired))
        fail_msg("%s: %s fails though nothing has happened yet: %s", description, call, rein_error_message());
    failed_calls += result < 0;
    return result;
}

#define rein(call) (scene = #call, in_rein = true, checked((call), #call))

static int wait_ms(void)
{
    return atomic_load(&fired) ? WAIT_AFTER_MS : WAIT_MS;
}

struct before {
    int threads, descriptors;
    long allocations;
};

static struct fixture *worker; /* attached to again and again */

static struct before count_all(void)
{
    bool open_end = worker && worker->out >= 0; /* closed when it ends */
    return (struct before){count_threads(), count_descriptors() - open_end, atomic_load(&allocations)};
}

/* A thread that was waited for may still be listed for a moment. */
static struct before count_all_after(const struct before *before)
{
    for (double limit = now() + LIMIT_S; count_threads() > before->threads && now() < limit;)
        sleep_ms(1);
    return count_all();
}

static void assert_nothing_leaked(struct before before)
{
    struct before after = count_all_after(&before);
    if (after.threads != before.threads || after.descriptors != before.descriptors ||
        after.allocations != before.allocations)
        fail_msg("%s: threads %d -> %d, descriptors %d -> %d, allocations %ld -> %ld", description, before.threads,
                 after.threads, before.descriptors, after.descriptors, before.allocations, after.allocations);
}

/* The text in memory is that of the file: no breakpoint is left. */
static void assert_text_is_whole(int pid)
{
    static unsigned char in_memory[1 << 16], in_file[1 << 16];
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    int found = 0;
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        uint64_t start, end, offset;
        if (!strstr(line, "/checked_work") ||
            sscanf(line, "%" SCNx64 "-%" SCNx64 " r-xp %" SCNx64, &start, &end, &offset) != 3)
            continue;
        size_t size = end - start < sizeof in_file ? (size_t)(end - start) : sizeof in_file;
        int file = open(fixture_path("checked_work"), O_RDONLY | O_CLOEXEC);
        ssize_t length = pread(file, in_file, size, (off_t)offset);
        close(file);
        assert_true(length > 0);
        assert_int_equal(raw_read(pid, start, in_memory, (size_t)length), length);
        for (ssize_t i = 0; i < length; i++) {
            if (in_memory[i] != in_file[i])
                fail_msg("%s: text at %#lx is %02x, not %02x", description, (unsigned long)start + (unsigned long)i,
                         in_memory[i], in_file[i]);
        }
        found++;
    }
    fclose(maps);
    assert_int_equal(found, 1);
}

/* ---- The programs ---- */

static unsigned long works, made;

static void start_worker(void)
{
    worker = start_ready("checked_work", "3", NULL);
    works = made = 0;
}

static void order(struct fixture *fixture, char what)
{
    if (write(fixture->in, &what, 1) != 1)
        assert_int_equal(errno, EPIPE);
}

static void expect_done(const char *what, unsigned long count)
{
    char line[64];
    snprintf(line, sizeof line, "count %s %lu", what, count);
    scene = line;
    expect_said(worker, line);
}

static bool worker_has_ended(void)
{
    return worker->reaped || wait_for(worker, WNOHANG, NULL) != 0;
}

static void assert_worker_unharmed(void)
{
    if (worker_has_ended())
        fail_msg("%s: the program has ended: %s %d; it has said:\n%s", description,
                 WIFSIGNALED(worker->status) ? "signal" : "status",
                 WIFSIGNALED(worker->status) ? WTERMSIG(worker->status) : WEXITSTATUS(worker->status), worker->said);
    int ids[64];
    size_t count = proc_threads(worker->pid, ids, 64);
    for (size_t i = 0; i < count && i < 64; i++) {
        char state = proc_state(worker->pid, ids[i]);
        if (state == 't' || state == 'T' || proc_tracer(worker->pid, ids[i]) > 0)
            fail_msg("%s: thread %d: state %c, tracer %d", description, ids[i], state,
                     proc_tracer(worker->pid, ids[i]));
    }
    order(worker, 'w');
    expect_done("works", ++works);
    if (made)
        expect_done("made", made);
    assert_text_is_whole(worker->pid);
}

/* ---- The stories ---- */

static void print_log(enum rein_log_level level, const char *line, void *arg)
{
    (void)arg;
    dprintf(1, "%.6f %d %s\n", now(), (int)level, line);
}

static rein_monitor *create(void)
{
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    rein_monitor *made_monitor = NULL;
    options.kind = monitor_kind();
    if (getenv("REIN_LOG")) {
        options.log_level = (enum rein_log_level)atoi(getenv("REIN_LOG"));
        options.log = print_log;
    }
    if (rein(monitor_create_with(&faulty_backend, &options, false, &made_monitor)))
        assert_null(made_monitor);
    return made_monitor;
}

static rein_thread *any_thread(rein_process *process)
{
    rein_thread **threads = NULL, *thread = NULL;
    size_t count = 0;
    if (!rein(rein_process_threads(process, &threads, &count)) && count)
        thread = rein_thread_ref(threads[count - 1]);
    rein_thread_list_free(threads, count);
    return thread;
}

/* The thread that the process has stopped for; NULL: none. */
static rein_thread *take_event(rein_process *process)
{
    struct rein_event event;
    rein_thread *thread = NULL;
    scene = "rein_process_next_event";
    in_rein = true;
    int result = rein_process_next_event(process, 0, &event);
    in_rein = false;
    if (!result)
        thread = rein_thread_ref(event.thread);
    rein_event_clear(&event);
    return thread;
}

static void look_at(rein_process *process, rein_thread *thread, rein_word text, rein_word data)
{
    rein_registers *registers = NULL;
    rein_word value;
    struct rein_cause cause;
    char name[16];
    unsigned char bytes[16];
    rein(rein_thread_name(thread, name));
    if (!rein(rein_thread_cause(thread, &cause)))
        rein_cause_clear(&cause);
    if (!rein(rein_thread_registers(thread, &registers))) {
        rein(rein_registers_pc(registers, &value));
        if (!rein(rein_registers_get(registers, 0, &value)))
            rein(rein_registers_set(registers, 0, value));
        int vector = rein_registers_index(registers, VECTOR_REGISTER);
        if (!rein(rein_registers_read(registers, vector, bytes, sizeof bytes, NULL)))
            rein(rein_registers_write(registers, vector, bytes, sizeof bytes));
    }
    rein_registers_free(registers);
    rein(rein_process_read(process, text, bytes, sizeof bytes, NULL));
    if (!rein(rein_thread_read(thread, data, bytes, sizeof bytes, NULL)))
        rein(rein_thread_write(thread, data, bytes, sizeof bytes, NULL));
}

struct places {
    rein_word hot, call, scratch, function, moved;
};

static void look_at_memory(rein_process *process, const struct places *at)
{
    unsigned char bytes[16];
    rein(rein_process_read(process, at->hot, bytes, sizeof bytes, NULL));
    if (!rein(rein_process_read(process, at->scratch, bytes, sizeof bytes, NULL)))
        rein(rein_process_write(process, at->scratch, bytes, sizeof bytes, NULL));
}

static void continue_and_wait(rein_process *process)
{
    if (!rein(rein_process_continue(process)))
        rein(rein_process_wait(process, wait_ms()));
}

static struct places find_places(const struct fixture *fixture)
{
    return (struct places){address_of(fixture, "hot"), address_of(fixture, "enter_call"),
                           address_of(fixture, "scratch"), address_of(fixture, "enter_kernel"),
                           address_of(fixture, "enter_moved")};
}

static void add(rein_process *process, rein_word pc, rein_breakpoint_callback callback)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_breakpoint *breakpoint = NULL, **list = NULL;
    size_t count = 0;
    options.callback = callback;
    rein(rein_process_add_breakpoint(process, pc, &options, &breakpoint));
    rein_breakpoint_unref(breakpoint);
    rein(rein_process_breakpoints(process, &list, &count));
    rein_breakpoint_list_free(list, count);
}

static void remove_at(rein_process *process, rein_word pc)
{
    rein(rein_process_remove_breakpoint(process, pc, 0));
}

/* The process runs while the program makes a thread and a child. */
static void run_births(rein_process *process)
{
    char line[64];
    snprintf(line, sizeof line, "count made %lu", ++made);
    order(worker, 'm');
    rein(rein_process_continue(process));
    for (double limit = now() + wait_ms() / 1000.0; !has_said(worker, line) && now() < limit;) {
        sleep_ms(1);
        if (atomic_load(&fired) && limit > now() + WAIT_AFTER_MS / 1000.0)
            limit = now() + WAIT_AFTER_MS / 1000.0;
    }
}

static void make_call(rein_thread *thread)
{
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    static const rein_word nothing[6] = {0};
    int64_t result;
    options.timeout_ms = wait_ms();
    rein(rein_thread_syscall(thread, SYS_gettid, nothing, &options, &result));
}

/* A function, with a breakpoint in it; if it does not come back, it is abandoned. */
static void call_function(rein_thread *thread, rein_word pc)
{
    struct rein_call call = REIN_CALL_INIT;
    struct rein_call_result result;
    call.pc = pc;
    int error = rein(rein_thread_call(thread, &call, wait_ms(), &result));
    if (error == REIN_CALL_STOPPED || error == REIN_TIMEOUT)
        rein(rein_thread_call_abandon(thread, wait_ms()));
}

/* To what they are already. */
static void change_calls(rein_process *process)
{
    const struct rein_syscall_id id = {AUDIT_MACHINE, SYS_getppid};
    rein(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, &id, 1));
    for (int exits = 0; exits < 2; exits++) {
        struct rein_cause cause;
        rein(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_ENTRY, exits ? REIN_IGNORE : REIN_STOP_ALL));
        rein(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_EXIT, exits ? REIN_STOP_ALL : REIN_IGNORE));
        continue_and_wait(process);
        rein_thread *thread = take_event(process);
        if (thread && !rein(rein_thread_cause(thread, &cause))) {
            if (cause.kind == REIN_CAUSE_SYSCALL_ENTRY)
                rein(rein_thread_set_syscall(thread, &cause.syscall));
            else if (cause.kind == REIN_CAUSE_SYSCALL_EXIT)
                rein(rein_thread_set_syscall_result(thread, cause.syscall.result));
            rein_cause_clear(&cause);
        }
        rein_thread_unref(thread);
    }
    rein(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    rein(rein_process_trace_syscalls(process, 0, NULL, 0));
}

static void tell_all(rein_process *process, rein_thread *thread, const struct places *at)
{
    look_at(process, thread, at->hot, at->scratch);
    make_call(thread); /* in execve, or where it was when it was attached to: in a sleep, say */
    rein(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
    rein(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    add(process, at->hot, NULL);
    add(process, at->call, go_on);
    add(process, at->moved, go_on);
    continue_and_wait(process); /* a hit */
    rein_thread *hit = take_event(process);
    if (hit) {
        look_at(process, hit, at->hot, at->scratch);
        make_call(hit);
        call_function(hit, at->function);
        rein(rein_thread_step(hit, 0, wait_ms()));
        /* Two signals that steps leave pending. */
        rein(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL));
        syscall(SYS_tgkill, rein_process_id(process), rein_thread_id(hit), SIGUSR1);
        make_call(hit); /* at a signal's stop */
        rein(rein_thread_step(hit, 0, wait_ms()));
        syscall(SYS_tgkill, rein_process_id(process), rein_thread_id(hit), SIGCONT); /* a stop would make it void */
        rein(rein_thread_step(hit, 0, wait_ms()));
        rein(rein_thread_step(hit, 0, wait_ms()));
        rein(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_IGNORE));
    }
    continue_and_wait(process);
    rein_thread_unref(hit);
    remove_at(process, at->hot);
    change_calls(process);
}

/* Single-stepped to the next hit of the breakpoint. */
static void watch_by_software(rein_process *process, const struct places *at)
{
    struct rein_watchpoint_options options = REIN_WATCHPOINT_OPTIONS_INIT;
    rein_watchpoint *watchpoint = NULL;
    options.flags = REIN_WATCH_SOFTWARE;
    add(process, at->hot, NULL);
    int result = rein(rein_process_add_watchpoint(process, at->scratch, 8, REIN_WATCH_WRITE, &options, &watchpoint));
    rein(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
    continue_and_wait(process);
    rein(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_IGNORE));
    rein(rein_process_stop(process, wait_ms())); /* if it still runs, for something has failed */
    if (!result)
        rein(rein_process_remove_watchpoint(process, watchpoint, 0));
    rein_watchpoint_unref(watchpoint);
    remove_at(process, at->hot);
}

/* A thread is no process, and a zombie is none any more. */
static void attach_in_vain(rein_monitor *own)
{
    rein_process *process = NULL;
    int ids[2] = {0, 0}, gone = fork();
    if (gone == 0)
        _exit(0);
    siginfo_t info;
    assert_true(gone > 0 && waitid(P_PID, (id_t)gone, &info, WEXITED | WNOWAIT) == 0);
    assert_int_not_equal(rein_attach(own, gone, NULL, &process), 0);
    assert_null(process);
    waitpid(gone, NULL, 0);
    proc_threads(worker->pid, ids, 2);
    int other = ids[0] == worker->pid ? ids[1] : ids[0];
    if (other)
        assert_int_not_equal(rein_attach(own, other, NULL, &process), 0);
    assert_null(process);
}

/* Attach, everything, detach. */
static void play_attach(const struct places *at)
{
    rein_process *process = NULL;
    rein_monitor *own = create();
    if (!own)
        return;
    attach_in_vain(own);
    if (rein(rein_attach(own, worker->pid, NULL, &process))) {
        assert_null(process);
    } else {
        rein_thread *thread = any_thread(process);
        if (thread) {
            tell_all(process, thread, at);
            watch_by_software(process, at);
            run_births(process);
            rein(rein_process_stop(process, wait_ms()));
        }
        rein(rein_process_detach(process, 0));
        rein_thread_unref(thread);
    }
    rein(rein_monitor_close(own));
    rein_process_unref(process);
}

/* The same without a detach: the monitor's end lets go, from the middle of a storm of hits. */
static void play_close(const struct places *at)
{
    rein_process *process = NULL;
    rein_monitor *own = create();
    if (!own)
        return;
    if (!rein(rein_attach(own, worker->pid, NULL, &process))) {
        rein(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
        add(process, at->hot, go_on);
        add(process, at->call, go_on);
        add(process, at->moved, go_on);
        run_births(process);
    }
    rein(rein_monitor_close(own));
    rein_process_unref(process);
}

/* Spawn, everything, kill. The program's id, 0 when there is none. */
static int play_spawn(void)
{
    char *const arguments[] = {(char *)"checked_work", (char *)"3", NULL};
    rein_process *process = NULL;
    rein_monitor *own = create();
    int pid = 0, ends[2];
    if (!own)
        return 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int fds[3] = {ends[0], open("/dev/null", O_RDWR | O_CLOEXEC), 2};
    if (rein(rein_spawn(own, fixture_path("checked_work"), arguments, NULL, NULL, fds, 3, NULL, &process))) {
        assert_null(process);
    } else {
        pid = rein_process_id(process);
        atomic_store(&target, pid);
        struct places at = {0, 0, 0, 0, 0};
        if (proc_state(pid, 0) && proc_state(pid, 0) != 'Z') {
            at.hot = address_in("checked_work", pid, "hot");
            at.call = address_in("checked_work", pid, "enter_call");
            at.scratch = address_in("checked_work", pid, "scratch");
            at.function = address_in("checked_work", pid, "enter_kernel");
            at.moved = address_in("checked_work", pid, "enter_moved");
        }
        rein_thread *thread = any_thread(process);
        if (thread)
            tell_all(process, thread, &at);
        rein(rein_process_kill(process));
        rein_thread_unref(thread);
    }
    rein(rein_monitor_close(own));
    rein_process_unref(process);
    close(ends[0]);
    close(ends[1]);
    close(fds[1]);
    return pid;
}

/* ---- Every fault in every story ---- */

static bool sparse; /* the first errno has been everywhere, the others look in here and there */

struct plan {
    enum which which;
    int errors[4]; /* 0: no more; ESRCH is the false one */
    bool killed;   /* and the true one */
    bool lasts;    /* each from the Nth on, too */
    /* What cannot be had when each from the Nth on fails. */
    enum { NO_HARM, HARM_IF_LASTING } harm;
};

/* Harm that cannot be helped: a thread that has executed a trap cannot be set back on it without its registers, and its
 * pending SIGTRAP cannot be taken off it without resuming it; a mask, and a breakpoint, that cannot be written stay. */
static const struct plan plans[] = {
    {FAULT_monitor_start, {EAGAIN, ENOMEM, EPERM}, false, false, NO_HARM},
    {FAULT_waiter_create, {ENOMEM, EAGAIN}, false, false, NO_HARM},
    {FAULT_seize, {EPERM, ESRCH, EIO, ENOMEM}, true, true, NO_HARM},
    {FAULT_interrupt, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_resume, {EPERM, ESRCH, EIO}, true, true, HARM_IF_LASTING},
    {FAULT_detach, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_get_registers, {EPERM, ESRCH, EIO}, true, true, HARM_IF_LASTING},
    {FAULT_set_registers, {EPERM, ESRCH, EIO}, true, true, HARM_IF_LASTING},
    {FAULT_get_register_set, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_set_register_set, {EPERM, ESRCH, EFAULT}, true, true, NO_HARM},
    {FAULT_set_signal, {EPERM, ESRCH, EFAULT}, true, true, NO_HARM},
    {FAULT_queue_signal, {EPERM, ESRCH, EAGAIN}, true, true, NO_HARM},
    {FAULT_pending_signals, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_get_signal_mask, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_set_signal_mask, {EPERM, ESRCH, EIO}, true, true, HARM_IF_LASTING},
    {FAULT_trap_is_pending, {EPERM, ESRCH}, true, true, HARM_IF_LASTING},
    {FAULT_fault_is_pending, {EPERM, ESRCH}, true, true, HARM_IF_LASTING},
    {FAULT_restart_interrupted_call, {EPERM, ESRCH}, true, true, NO_HARM},
    {FAULT_get_syscall, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_set_syscall, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_set_syscall_result, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_set_own_syscall, {EPERM, ESRCH, EIO}, true, true, NO_HARM},
    {FAULT_for_each_thread, {EMFILE, ESRCH, ENOMEM}, true, true, NO_HARM},
    {FAULT_count_threads, {ESRCH, ENOSYS}, true, true, NO_HARM},
    {FAULT_for_each_child_of, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_thread_status, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_thread_name, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_process_of, {EMFILE, ESRCH, ENOMEM}, true, true, NO_HARM},
    {FAULT_spawn, {EAGAIN, ENOMEM, EMFILE}, false, false, NO_HARM},
    {FAULT_kill, {EPERM, ESRCH}, true, true, NO_HARM},
    {FAULT_waiter_next, {EPERM}, true, false, NO_HARM},
    {FAULT_waiter_next_of, {ECHILD, EPERM}, true, false, NO_HARM},
    {FAULT_read, {EMFILE, EPERM, ESRCH}, true, true, HARM_IF_LASTING},
    {FAULT_write, {EMFILE, EPERM, ESRCH, EFAULT}, true, true, HARM_IF_LASTING},
    {FAULT_write_child, {EFAULT, EMFILE, ESRCH}, true, false, NO_HARM},
    {FAULT_read_own, {EPERM, ESRCH, EFAULT}, true, true, NO_HARM},
    {FAULT_is_fixed_code, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_find_room, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_find_gap, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_is_mapped_room, {EMFILE, ESRCH}, true, true, NO_HARM},
    {FAULT_malloc, {ENOMEM}, false, true, NO_HARM},
};

/* A sample of the story's calls: the first ones, then with growing gaps. REIN_ALL=1: every one; REIN_FROM=N: from the Nth on. */
static int next_call(int nth)
{
    if (getenv("REIN_ALL"))
        return nth + 1;
    return fault.lasts ? 9 * nth : sparse ? 4 * nth + 1 : nth < 3 ? nth + 1 : 2 * nth;
}

static void begin(const char *name)
{
    describe(name);
    if (getenv("REIN_SHOW"))
        print_message("%s\n", description);
    for (int i = 0; i < FAULT_COUNT; i++)
        atomic_store(&calls[i], 0);
    atomic_store(&fired, false);
    failed_calls = 0;
    alarm(SCENARIO_LIMIT_S);
}

static void give_worker_up(void)
{
    if (worker && !worker_has_ended()) {
        kill(worker->pid, SIGKILL);
        wait_for(worker, 0, NULL);
    }
    worker = NULL;
}

/* Whatever has become this process's child by the death of its parent (PR_SET_CHILD_SUBREAPER) ends. */
static void await_orphans(void)
{
    for (double limit = now() + LIMIT_S;;) {
        int id = waitpid(-1, NULL, WNOHANG);
        if (id < 0)
            return;
        if (id == 0 && now() > limit)
            fail_msg("%s: a child is left", description);
        if (id == 0)
            sleep_ms(1);
    }
}

static void attach_once(const char *name, void (*play)(const struct places *at), bool may_harm)
{
    if (!worker || worker_has_ended())
        start_worker();
    struct places at = find_places(worker);
    begin(name);
    atomic_store(&target, worker->pid);
    struct before before = count_all();
    atomic_store(&armed, true);
    play(&at);
    atomic_store(&armed, false);
    assert_nothing_leaked(before);
    if (fault.error == KILLED && atomic_load(&fired)) {
        assert_int_equal(wait_for(worker, 0, NULL), worker->pid);
        assert_int_equal(WTERMSIG(worker->status), SIGKILL);
    } else if (may_harm && atomic_load(&fired)) {
        give_worker_up();
    } else {
        assert_worker_unharmed();
    }
    atomic_store(&target, 0);
}

static void attach_to_worker(const char *name, bool may_harm)
{
    attach_once(name, play_attach, may_harm);
}

static void close_monitor(const char *name, bool may_harm)
{
    attach_once(name, play_close, may_harm);
}

static void spawn_program(const char *name, bool may_harm)
{
    give_worker_up();
    await_orphans();
    begin(name);
    struct before before = count_all();
    atomic_store(&armed, true);
    int pid = play_spawn();
    atomic_store(&armed, false);
    atomic_store(&target, 0);
    assert_nothing_leaked(before);
    /* If it could not be killed it has been let go, and is this process's now (PR_SET_CHILD_SUBREAPER). */
    if (pid && proc_state(pid, 0) && proc_state(pid, 0) != 'Z' && !may_harm)
        assert_free(pid);
    if (pid)
        kill(pid, SIGKILL);
    await_orphans();
}

static const struct {
    const char *name;
    void (*once)(const char *name, bool may_harm);
} stories[] = {
    {"attach", attach_to_worker},
    {"close", close_monitor},
    {"spawn", spawn_program},
};

static int played;

/* How often each story makes each call when nothing fails, about. */
static int usual[sizeof stories / sizeof *stories][FAULT_COUNT];

static void play_without_faults(void)
{
    for (size_t story = 0; story < sizeof stories / sizeof *stories; story++) {
        fault = (struct fault){.nth = 0};
        stories[story].once(stories[story].name, false);
        for (int i = 0; i < FAULT_COUNT; i++)
            usual[story][i] = atomic_load(&calls[i]);
        assert_int_equal(failed_calls, 0);
    }
    give_worker_up();
}

static void E1_stories(void **state)
{
    (void)state;
    skip_if_lent();
    play_without_faults();
}

static void play_calls(enum which which, int error, bool lasts, bool may_harm)
{
    for (size_t story = 0; story < sizeof stories / sizeof *stories; story++) {
        if (!usual[story][which])
            continue;
        for (int nth = getenv("REIN_FROM") ? atoi(getenv("REIN_FROM")) : 1;; nth = next_call(nth)) {
            fault = (struct fault){which, error, nth, lasts};
            stories[story].once(stories[story].name, may_harm);
            played++;
            if (!atomic_load(&fired) || (lasts && !getenv("REIN_ALL") && (nth > 1 || story > 0)))
                break;
        }
    }
}

static void E1_M8_M10_fault(void **state)
{
    const struct plan *plan = *state;
    skip_if_lent();                 /* it would have to end for the kernel to let go */
    if (!usual[0][FAULT_interrupt]) /* only this test was asked for */
        play_without_faults();
    double start = now();
    worker = NULL;
    played = 0;
    for (int i = 0; i < 4 && plan->errors[i]; i++) {
        sparse = i > 0;
        play_calls(plan->which, plan->errors[i], false, false);
        if (plan->lasts && i == 0)
            play_calls(plan->which, plan->errors[i], true, plan->harm == HARM_IF_LASTING);
    }
    if (plan->killed)
        play_calls(plan->which, KILLED, false, false);
    give_worker_up();
    await_orphans();
    print_message("%s: %d times in %.1f s\n", names[plan->which], played, now() - start);
    assert_true(played > 0);
}

/* ---- Real limits ---- */

/* Runs body in a child; its exit status. */
static int in_child(int (*body)(void))
{
    fflush(NULL);
    int status = 0, child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion that fails must not go on with the test */
        signal(SIGABRT, SIG_DFL);
        signal(SIGALRM, SIG_DFL);
        alarm(SCENARIO_LIMIT_S);
        test_thread = os_backend.self_thread();
        _exit(body());
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void begin_limit(const char *name)
{
    snprintf(description, sizeof description, "%s", name);
    fault = (struct fault){.nth = 0};
    failed_calls = 0;
    alarm(SCENARIO_LIMIT_S);
    if (!worker || worker_has_ended())
        start_worker();
}

/* E1 M10: the monitor has no descriptors any more from some point on. What needs one says so; the rest, hits and births
 * included, goes on. */
static void E1_M10_no_descriptors(void **state)
{
    (void)state;
    skip_if_lent();
    for (int when = 0; when < 4; when++) {
        begin_limit("no descriptors");
        struct places at = find_places(worker);
        struct before before = count_all();
        rein_process *process = NULL;
        rein_monitor *own = create();
        struct rlimit usual_limit, none;
        assert_int_equal(prlimit(rein_monitor_id(own), RLIMIT_NOFILE, NULL, &usual_limit), 0);
        none = usual_limit;
        none.rlim_cur = 0;
        int victim = monitor_kind() == REIN_MONITOR_PROCESS ? rein_monitor_id(own) : 0;
        atomic_store(&fired, true); /* errors are allowed */
        if (when == 0)
            prlimit(victim, RLIMIT_NOFILE, &none, NULL);
        int result = rein(rein_attach(own, worker->pid, NULL, &process));
        if (when == 0) {
            assert_int_equal(result, REIN_SYSTEM);
            assert_says(rein_error_message(), strerror(EMFILE));
        } else {
            assert_int_equal(result, 0);
            rein(rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE));
            if (when == 1)
                prlimit(victim, RLIMIT_NOFILE, &none, NULL);
            int fd = -1;
            assert_int_equal(rein(rein_process_event_fd(process, &fd)), when == 1 ? REIN_SYSTEM : 0);
            add(process, at.hot, when == 3 ? NULL : go_on);
            if (when == 2)
                prlimit(victim, RLIMIT_NOFILE, &none, NULL);
            add(process, at.call, go_on);
            assert_int_equal(failed_calls, when == 1 ? 3 : 0); /* its children are not known yet */
            rein(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_ALL));
            atomic_store(&fired, false);
            if (when == 3) {
                prlimit(victim, RLIMIT_NOFILE, &none, NULL);
                continue_and_wait(process);
                rein_thread *hit = take_event(process);
                assert_non_null(hit);
                look_at_memory(process, &at);
                rein(rein_thread_step(hit, 0, WAIT_MS));
                rein_thread_unref(hit);
                remove_at(process, at.hot);
            }
            run_births(process);
            rein(rein_process_stop(process, WAIT_MS));
            rein(rein_process_detach(process, 0));
        }
        prlimit(victim, RLIMIT_NOFILE, &usual_limit, NULL);
        atomic_store(&fired, true);
        rein(rein_monitor_close(own));
        rein_process_unref(process);
        assert_nothing_leaked(before);
        assert_worker_unharmed();
    }
}

static int processes_allowed;

static int create_without_processes(void)
{
    struct rlimit limit = {(rlim_t)processes_allowed, (rlim_t)processes_allowed};
    rein_monitor *own = NULL;
    if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) || setrlimit(RLIMIT_NPROC, &limit))
        return 9;
    struct before before = count_all();
    int result = rein_monitor_create(NULL, &own);
    if (!result)
        return rein_monitor_close(own) ? 8 : 0;
    struct before after = count_all_after(&before);
    bool good = result == REIN_SYSTEM && !own && strstr(rein_error_message(), strerror(EAGAIN)) &&
                before.allocations == after.allocations && before.descriptors == after.descriptors &&
                before.threads == after.threads;
    return good ? 1 : 7;
}

/* E1 M10: no thread can be made, or a thread but no process. */
static void E1_M10_no_processes(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    int failed = 0;
    for (processes_allowed = 1; processes_allowed < 4; processes_allowed++) {
        int result = in_child(create_without_processes);
        if (result != 0 && result != 1)
            fail_msg("%d processes allowed: %d", processes_allowed, result);
        failed += result;
    }
    assert_true(failed > 0);
}

static int attach_as_nobody(void)
{
    rein_process *process = NULL;
    rein_monitor *own = NULL;
    char user[32];
    if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) || rein_monitor_create(NULL, &own))
        return 9;
    int result = rein_attach(own, worker->pid, NULL, &process);
    snprintf(user, sizeof user, "user %d", NOBODY);
    bool good = result == REIN_NOT_PERMITTED && !process && strstr(rein_error_message(), user);
    if (!good)
        print_error("%s: %s\n", rein_error_name(result), rein_error_message());
    return rein_monitor_close(own) || !good;
}

/* E1: a process of another user's. */
static void E1_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    begin_limit("another user");
    assert_int_equal(in_child(attach_as_nobody), 0);
    assert_worker_unharmed();
}

enum { STACK_KIB = 12 * 1024 }; /* of the monitor's thread: more than the C library keeps from those that ended */
static long memory_allowed;     /* bytes more than there is in use */

static int attach_without_memory(void)
{
    long pages = 0;
    struct places at = find_places(worker);
    FILE *size = fopen("/proc/self/statm", "re");
    if (!size || fscanf(size, "%ld", &pages) != 1)
        return 9;
    fclose(size);
    struct rlimit limit;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) || pthread_attr_setstacksize(&attributes, (size_t)STACK_KIB * 1024) ||
        pthread_setattr_default_np(&attributes))
        return 9;
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + memory_allowed);
    if (setrlimit(RLIMIT_AS, &limit))
        return 9;
    atomic_store(&fired, true);
    play_attach(&at);
    return failed_calls > 0;
}

/* E1 M10: less and less memory (RLIMIT_AS). */
static void E1_M10_no_memory(void **state)
{
    (void)state;
    skip_if_lent();
    if (ADDRESS_SANITIZED || THREAD_SANITIZED || getenv("WRAPPER")) /* they need memory themselves */
        skip();
    int failed = 0, succeeded = 0;
    static const long steps[] = {0, 64, 4096, 0, 16, 64, 128, 256, 1024, 16384};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        long kib = steps[i] + (i > 2 ? STACK_KIB : 0);
        begin_limit("little memory");
        memory_allowed = kib * 1024;
        unsigned long made_before = made;
        int result = in_child(attach_without_memory);
        if (result != 0 && result != 1)
            fail_msg("with %ld KiB: %d", kib, result);
        failed += result == 1;
        succeeded += result == 0;
        made = made_before;
        assert_worker_unharmed();
    }
    assert_true(failed > 0);
    assert_true(succeeded > 0);
}

static int setup(void **state)
{
    void *none = NULL;
    (void)state;
    worker = NULL;
    int result = live_setup(&none);
    signal(SIGALRM, hangs);
    rein_monitor_close(monitor); /* each story has its own, and looks for children that are left */
    monitor = NULL;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    test_thread = os_backend.self_thread();
    make_backend();
    return result;
}

static int teardown(void **state)
{
    void *none = NULL;
    (void)state;
    atomic_store(&armed, false);
    fault.nth = 0;
    if (worker && worker->is_child && !worker->reaped) {
        kill(worker->pid, SIGKILL);
        while (waitpid(worker->keeper ? worker->keeper : worker->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        worker->reaped = true;
    }
    while (waitpid(-1, NULL, 0) > 0) { /* its children, which are this process's now */
    }
    return live_teardown(&none);
}

int main(void)
{
    enum { PLANS = sizeof plans / sizeof *plans };
    static struct CMUnitTest tests[PLANS + 5];
    tests[0] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(E1_stories, setup, teardown);
    for (int i = 0; i < PLANS; i++) {
        tests[i + 1] = (struct CMUnitTest)cmocka_unit_test_prestate_setup_teardown(E1_M8_M10_fault, setup, teardown,
                                                                                   (void *)(uintptr_t)&plans[i]);
        tests[i + 1].name = names[plans[i].which];
    }
    const struct CMUnitTest limits[] = {
        cmocka_unit_test_setup_teardown(E1_M10_no_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(E1_M10_no_processes, setup, teardown),
        cmocka_unit_test_setup_teardown(E1_another_user, setup, teardown),
        cmocka_unit_test_setup_teardown(E1_M10_no_memory, setup, teardown),
    };
    memcpy(tests + PLANS + 1, limits, sizeof limits);
    return live_main(tests);
}
