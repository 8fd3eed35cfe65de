/* The platform without a backend: rein builds, and says REIN_NOT_SUPPORTED (X1). Nothing can be traced, so nothing is ever
 * asked but what makes a monitor; every other function is here to be safe to call. It includes no header of any
 * one system: a new port begins as a copy of this file. */
#include "os/backend.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- The processor of no machine: it has no registers ---- */

static uint64_t get(const struct arch_registers *registers, int index)
{
    (void)registers, (void)index;
    return 0;
}

static void set(struct arch_registers *registers, int index, uint64_t value)
{
    (void)registers, (void)index, (void)value;
}

static void lay_out(struct arch_block *block, enum arch_set set)
{
    (void)block, (void)set;
}

static size_t width(const struct arch_block *block, int index)
{
    (void)block, (void)index;
    return 0;
}

static void read_register(const struct arch_block *block, int index, void *value)
{
    (void)block, (void)index, (void)value;
}

static void write_register(struct arch_block *block, int index, const void *value)
{
    (void)block, (void)index, (void)value;
}

static enum arch_instruction classify(const unsigned char *code, size_t size, size_t *length)
{
    (void)code, (void)size;
    if (length != NULL)
        *length = 0;
    return ARCH_INSTRUCTION_UNKNOWN;
}

static uint64_t pushed_flags(const struct arch_registers *registers, uint64_t *step_bit)
{
    (void)registers;
    *step_bit = 0;
    return 0;
}

static void clear_step_flag(struct arch_registers *registers)
{
    (void)registers;
}

static bool uses_step_flag(const struct arch_registers *registers)
{
    (void)registers;
    return false;
}

static void set_call(struct arch_registers *registers, uint64_t pc, const struct arch_call *call)
{
    (void)registers, (void)pc, (void)call;
}

static void get_call(const struct arch_registers *registers, struct arch_call *call)
{
    (void)registers;
    *call = (struct arch_call){.number = 0};
}

static void change_call(struct arch_registers *registers)
{
    (void)registers;
}

static int64_t call_result(const struct arch_registers *registers)
{
    (void)registers;
    return -ENOSYS;
}

static void set_result(struct arch_registers *registers, int64_t result)
{
    (void)registers, (void)result;
}

static const struct arch no_arch = {
    .name = "none",
    .registers = NULL,
    .register_count = 0,
    .register_total = 0,
    .pc_index = -1,
    .sp_index = -1,
    .link_index = -1,
    .trap = {0},
    .trap_size = 1,
    .alignment = 1,
    .get = get,
    .set = set,
    .lay_out = lay_out,
    .width = width,
    .read = read_register,
    .write = write_register,
    .classify = classify,
    .pushed_flags = pushed_flags,
    .uses_step_flag = uses_step_flag,
    .clear_step_flag = clear_step_flag,
    .syscall_size = 1,
    .set_call = set_call,
    .get_call = get_call,
    .drop_call = change_call,
    .remake_call = change_call,
    .call_result = call_result,
    .set_result = set_result,
};

/* ---- Waiting ---- */

static int waiter_create(enum rein_monitor_kind kind, bool (*is_tracee)(int id, void *arg),
                         int (*for_each_tracee)(os_id_callback callback, void *callback_arg, void *arg), void *arg,
                         struct os_waiter **waiter)
{
    (void)kind, (void)is_tracee, (void)for_each_tracee, (void)arg;
    *waiter = NULL;
    return -ENOSYS;
}

static void waiter_destroy(struct os_waiter *waiter)
{
    (void)waiter;
}

static int waiter_next(struct os_waiter *waiter, struct os_event *event)
{
    (void)waiter, (void)event;
    return 0;
}

static int waiter_next_of(struct os_waiter *waiter, int id, struct os_event *event)
{
    (void)waiter, (void)id, (void)event;
    return -ECHILD;
}

static int waiting_signal(int id)
{
    (void)id;
    return 0;
}

static void waiter_sleep(struct os_waiter *waiter, int64_t timeout_us, enum os_calm calm)
{
    (void)waiter, (void)timeout_us, (void)calm;
}

static int waiter_poll(struct os_waiter *waiter, struct pollfd *fds, size_t count, int64_t timeout_us,
                       enum os_calm calm)
{
    (void)waiter, (void)fds, (void)count, (void)timeout_us, (void)calm;
    return 0;
}

static int waiter_wake(struct os_waiter *waiter)
{
    (void)waiter;
    return -ESRCH;
}

/* ---- Tracing ---- */

static int seize(int id)
{
    (void)id;
    return -ENOSYS;
}

static int interrupt(int id)
{
    (void)id;
    return -ENOSYS;
}

static int resume(int id, enum os_resume how, int signal)
{
    (void)id, (void)how, (void)signal;
    return -ENOSYS;
}

static int detach(int id, int signal)
{
    (void)id, (void)signal;
    return -ENOSYS;
}

static int get_registers(int id, struct arch_registers *registers)
{
    (void)id, (void)registers;
    return -ENOSYS;
}

static int set_registers(int id, const struct arch_registers *registers)
{
    (void)id, (void)registers;
    return -ENOSYS;
}

static int change_registers(int id, const struct arch_registers *registers, const struct arch_registers *before)
{
    (void)id, (void)registers, (void)before;
    return -ENOSYS;
}

static int get_register_set(int id, enum arch_set set, void *bytes, size_t size)
{
    (void)id, (void)set, (void)bytes, (void)size;
    return -ENOSYS;
}

static int set_register_set(int id, enum arch_set set, const void *bytes, size_t size)
{
    (void)id, (void)set, (void)bytes, (void)size;
    return -ENOSYS;
}

static int set_signal(int id, const struct rein_signal *signal)
{
    (void)id, (void)signal;
    return -ENOSYS;
}

static int queue_signal(int pid, int id, const struct rein_signal *signal)
{
    (void)pid, (void)id, (void)signal;
    return -ENOSYS;
}

static int pending_signals(int id, uint64_t *mask)
{
    (void)id, (void)mask;
    return -ENOSYS;
}

static int caught_signals(int id, uint64_t *mask)
{
    (void)id, (void)mask;
    return -ENOSYS;
}

static int get_signal_mask(int id, uint64_t *mask)
{
    (void)id, (void)mask;
    return -ENOSYS;
}

static int set_signal_mask(int id, uint64_t mask)
{
    (void)id, (void)mask;
    return -ENOSYS;
}

static int trap_is_pending(int id)
{
    (void)id;
    return 0;
}

static int restart_interrupted_call(int id, struct arch_registers *registers)
{
    (void)id, (void)registers;
    return 0;
}

static int call_is_made_again(const struct arch_registers *registers, uint64_t *pc)
{
    (void)registers, (void)pc;
    return 0;
}

/* ---- Calls made in a tracee ---- */

static int known_call(const struct arch *arch, enum os_call which, const uint64_t arguments[6], struct arch_call *call)
{
    (void)arch, (void)which, (void)arguments, (void)call;
    return -ENOSYS;
}

static int check_call(int pid, int id, const struct arch_registers *registers, const struct arch_call *call,
                      bool filtered, char *text, size_t size)
{
    (void)pid, (void)id, (void)registers, (void)call, (void)filtered;
    snprintf(text, size, "this build of rein has no backend for this platform");
    return REIN_NOT_SUPPORTED;
}

static bool call_has_rest(int id, const struct arch_registers *registers)
{
    (void)id, (void)registers;
    return false;
}

static bool call_takes_rest(const struct arch *arch, const struct arch_call *call)
{
    (void)arch, (void)call;
    return false;
}

static int get_signal(int id, struct rein_signal *signal)
{
    (void)id, (void)signal;
    return -ENOSYS;
}

static int blocked_signals(int pid, int id, uint64_t *mask)
{
    (void)pid, (void)id, (void)mask;
    return -ENOSYS;
}

static bool call_can_repeat(const struct arch_registers *registers)
{
    (void)registers;
    return false;
}

static uint64_t sequence_word(int id)
{
    (void)id;
    return 0;
}

static bool tells_sequences(int id)
{
    (void)id;
    return false;
}

static int for_each_code(int id, os_memory_callback callback, void *arg)
{
    (void)id, (void)callback, (void)arg;
    return -ENOSYS;
}

static int is_fixed_code(int id, uint64_t address)
{
    (void)id, (void)address;
    return -ENOSYS;
}

static enum arch_branch_checks branch_checks(int id, uint64_t address)
{
    (void)id, (void)address;
    return ARCH_BRANCHES_UNKNOWN;
}

static int find_room(int id, uint64_t address, uint64_t *start, uint64_t *size)
{
    (void)id, (void)address, (void)start, (void)size;
    return -ENOSYS;
}

static int find_gap(int id, uint64_t address, bool above, uint64_t *start, uint64_t *size)
{
    (void)id, (void)address, (void)above, (void)start, (void)size;
    return -ENOSYS;
}

static int is_mapped_room(int id, uint64_t start, uint64_t size)
{
    (void)id, (void)start, (void)size;
    return -ENOSYS;
}

static int take_descriptor(int pid, int id, int descriptor)
{
    (void)pid, (void)id, (void)descriptor;
    return -ENOSYS;
}

static int set_watches(int id, const uint64_t words[ARCH_WATCH_WORDS])
{
    (void)id, (void)words;
    return -ENOSYS;
}

static int take_watch_hits(int id, const struct arch_watch *watches, size_t count, uint32_t *slots)
{
    (void)id, (void)watches, (void)count, (void)slots;
    return -ENOSYS;
}

static int try_watch(bool copy_memory, unsigned slots[2])
{
    (void)copy_memory, (void)slots;
    return -ENOSYS;
}

static int get_syscall(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call)
{
    (void)id, (void)in_call, (void)call;
    *stage = OS_SYSCALL_ENTRY;
    return -ENOSYS;
}

static int set_syscall(int id, const struct rein_syscall *call)
{
    (void)id, (void)call;
    return -ENOSYS;
}

/* ---- Looking ---- */

static int for_each(int pid, os_id_callback callback, void *arg)
{
    (void)pid, (void)callback, (void)arg;
    return -ENOSYS;
}

static int count_threads(int pid, size_t *count)
{
    (void)pid, (void)count;
    return -ENOSYS;
}

static int thread_status(int pid, int id, enum os_thread_status *status)
{
    (void)pid, (void)id, (void)status;
    return -ENOSYS;
}

static bool is_making_child(int pid, int id)
{
    (void)pid, (void)id;
    return false;
}

static int thread_name(int pid, int id, char name[16])
{
    (void)pid, (void)id;
    name[0] = '\0';
    return -ENOSYS;
}

static int program_path(int pid, char *path, size_t size)
{
    (void)pid, (void)path, (void)size;
    return -ENOSYS;
}

static int inner_id(int pid, int *id)
{
    (void)pid, (void)id;
    return -ENOSYS;
}

static int process_of(int id, int *pid, int *parent)
{
    (void)id, (void)pid, (void)parent;
    return -ENOSYS;
}

static bool is_thread_of(int id, int pid)
{
    (void)id, (void)pid;
    return false;
}

static int tracer_of(int id, int *tracer)
{
    (void)id, (void)tracer;
    return -ENOSYS;
}

static bool same_memory(int id, int other_id)
{
    return id == other_id;
}

static int explain_seize(int pid, int id, int error, char *text, size_t size)
{
    (void)pid, (void)id, (void)error;
    snprintf(text, size, "this build of rein has no backend for this platform");
    return REIN_NOT_SUPPORTED;
}

static void explain_stuck(int pid, int id, char *text, size_t size)
{
    (void)pid, (void)id;
    snprintf(text, size, "cannot be traced");
}

/* ---- Memory ---- */

static void memory_init(struct os_memory *memory)
{
    *memory = (struct os_memory){.fd = -1};
}

static void memory_close(struct os_memory *memory)
{
    memory->fd = -1;
}

static bool memory_is_gone(const struct os_memory *memory)
{
    (void)memory;
    return false;
}

static int64_t read_memory(struct os_memory *memory, int id, uint64_t address, void *buffer, size_t size)
{
    (void)memory, (void)id, (void)address, (void)buffer, (void)size;
    return -ENOSYS;
}

static void read_ranges(struct os_memory *memory, int id, struct rein_range *ranges, size_t count)
{
    (void)memory, (void)id;
    for (size_t i = 0; i < count; i++)
        ranges[i].result = -ENOSYS;
}

static int64_t write_memory(struct os_memory *memory, int id, uint64_t address, const void *data, size_t size)
{
    (void)memory, (void)id, (void)address, (void)data, (void)size;
    return -ENOSYS;
}

static int read_own(int id, uint64_t address, void *buffer, size_t size)
{
    (void)id, (void)address, (void)buffer, (void)size;
    return -ENOSYS;
}

static int write_own(int id, uint64_t address, const void *data, size_t size)
{
    (void)id, (void)address, (void)data, (void)size;
    return -ENOSYS;
}

/* ---- Starting and ending ---- */

static int spawn(const struct os_spawn *what, struct os_spawned *child, enum os_spawn_step *step)
{
    (void)what;
    *child = (struct os_spawned){.pid = -1};
    *step = OS_SPAWN_STEP_FORK;
    return -ENOSYS;
}

static int spawn_error(struct os_spawned *child, enum os_spawn_step *step)
{
    (void)child;
    *step = OS_SPAWN_STEP_NONE;
    return 0;
}

static void spawn_close(struct os_spawned *child)
{
    (void)child;
}

static int send(int pid, int signal)
{
    (void)pid, (void)signal;
    return -ENOSYS;
}

/* ---- The monitor ---- */

static int monitor_start(enum rein_monitor_kind kind, void (*body)(void *arg), void (*ended)(void *arg, bool killed),
                         void *arg, void **handle)
{
    (void)kind, (void)body, (void)ended, (void)arg;
    *handle = NULL;
    return -ENOSYS;
}

static void with_handle(void *handle)
{
    (void)handle;
}

static bool host_is_dead(void)
{
    return false;
}

static void monitor_leave_group(void)
{
}

static void monitor_set_emergency(void (*emergency)(void *arg), void *arg)
{
    (void)emergency, (void)arg;
}

static int self(void)
{
    return (int)getpid();
}

/* It may return for no reason: a short sleep is as good as a wake. */
static void word_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns)
{
    struct timespec moment = {0, 1000000};

    if (timeout_ns >= 0 && timeout_ns < moment.tv_nsec)
        moment.tv_nsec = (long)timeout_ns;
    if (*word == value)
        nanosleep(&moment, NULL);
}

static void word_wake(_Atomic uint32_t *word)
{
    (void)word;
}

const struct os_backend os_backend = {
    .name = "none",
    .arch = &no_arch,

    .waiter_create = waiter_create,
    .waiter_destroy = waiter_destroy,
    .waiter_next = waiter_next,
    .waiter_next_of = waiter_next_of,
    .waiting_signal = waiting_signal,
    .waiter_sleep = waiter_sleep,
    .waiter_poll = waiter_poll,
    .waiter_wake = waiter_wake,

    .seize = seize,
    .interrupt = interrupt,
    .resume = resume,
    .detach = detach,
    .get_registers = get_registers,
    .set_registers = set_registers,
    .change_registers = change_registers,
    .get_register_set = get_register_set,
    .set_register_set = set_register_set,
    .set_signal = set_signal,
    .queue_signal = queue_signal,
    .pending_signals = pending_signals,
    .caught_signals = caught_signals,
    .get_signal_mask = get_signal_mask,
    .set_signal_mask = set_signal_mask,
    .fault_signals = 0,
    .trap_is_pending = trap_is_pending,
    .fault_is_pending = trap_is_pending,
    .restart_interrupted_call = restart_interrupted_call,
    .call_is_made_again = call_is_made_again,
    .set_watches = set_watches,
    .take_watch_hits = take_watch_hits,
    .try_watch = try_watch,

    .check_call = check_call,
    .known_call = known_call,
    .call_has_rest = call_has_rest,
    .call_takes_rest = call_takes_rest,
    .get_signal = get_signal,
    .blocked_signals = blocked_signals,
    .call_can_repeat = call_can_repeat,
    .sequence_word = sequence_word,
    .tells_sequences = tells_sequences,
    .for_each_code = for_each_code,
    .is_fixed_code = is_fixed_code,
    .branch_checks = branch_checks,
    .find_room = find_room,
    .find_gap = find_gap,
    .is_mapped_room = is_mapped_room,
    .take_descriptor = take_descriptor,
    .get_syscall = get_syscall,
    .set_syscall = set_syscall,
    .set_syscall_result = set_syscall,
    .set_own_syscall = set_syscall,

    .for_each_thread = for_each,
    .count_threads = count_threads,
    .for_each_child_of = for_each,
    .thread_status = thread_status,
    .is_making_child = is_making_child,
    .thread_name = thread_name,
    .program_path = program_path,
    .inner_id = inner_id,
    .process_of = process_of,
    .is_thread_of = is_thread_of,
    .tracer_of = tracer_of,
    .same_memory = same_memory,
    .explain_seize = explain_seize,
    .explain_stuck = explain_stuck,

    .memory_init = memory_init,
    .memory_close = memory_close,
    .memory_is_gone = memory_is_gone,
    .read = read_memory,
    .read_ranges = read_ranges,
    .write = write_memory,
    .read_own = read_own,
    .write_own = write_own,

    .spawn = spawn,
    .spawn_error = spawn_error,
    .spawn_close = spawn_close,
    .kill = send,

    .monitor_start = monitor_start,
    .monitor_join = with_handle,
    .monitor_forget = with_handle,
    .host_is_dead = host_is_dead,
    .monitor_leave_group = monitor_leave_group,
    .monitor_set_emergency = monitor_set_emergency,
    .self_process = self,
    .self_thread = self,

    .word_wait = word_wait,
    .word_wake = word_wake,
};
