/* The Linux backend: the table, and nothing else. What each entry promises is in os/backend.h, what the functions know of
 * each other in linux.h. */
#include "os/linux/linux.h"

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))

const struct os_backend os_backend = {
    .name = "linux",
#if defined(__x86_64__)
    .arch = &arch_amd64,
#elif defined(__aarch64__)
    .arch = &arch_arm64,
#elif defined(__i386__)
    .arch = &arch_i386,
#else
#error "no table of registers for this architecture yet: see src/arch/arch.h"
#endif

    .waiter_create = linux_waiter_create,
    .waiter_destroy = linux_waiter_destroy,
    .waiter_next = linux_waiter_next,
    .waiter_next_of = linux_waiter_next_of,
    .waiting_signal = linux_waiting_signal,
    .waiter_sleep = linux_waiter_sleep,
    .waiter_poll = linux_waiter_poll,
    .waiter_wake = linux_waiter_wake,

    .seize = linux_seize,
    .interrupt = linux_interrupt,
    .resume = linux_resume,
    .detach = linux_detach,
    .get_registers = linux_get_registers,
    .set_registers = linux_set_registers,
    .change_registers = linux_change_registers,
    .get_register_set = linux_get_register_set,
    .set_register_set = linux_set_register_set,
    .set_signal = linux_set_signal,
    .queue_signal = linux_queue_signal,
    .pending_signals = linux_all_pending_signals,
    .caught_signals = linux_caught_signals,
    .get_signal_mask = linux_get_signal_mask,
    .set_signal_mask = linux_set_signal_mask,
    /* A fault whose signal is blocked kills (force_sig() in kernel/signal.c). SIGSYS is a seccomp filter's. */
    .fault_signals = SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGFPE) |
                     SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGSYS),
    .trap_is_pending = linux_trap_is_pending,
    .fault_is_pending = linux_fault_is_pending,
    .restart_interrupted_call = linux_restart_interrupted_call,
    .call_is_made_again = linux_call_is_made_again,
    .get_syscall = linux_get_syscall,
    .set_syscall = linux_set_syscall,
    .set_syscall_result = linux_set_syscall_result,
    .set_own_syscall = linux_set_own_syscall,

    .check_call = linux_check_call,
    .known_call = linux_known_call,
    .call_has_rest = linux_call_has_restart_block,
    .call_takes_rest = linux_call_uses_restart_block,
    .get_signal = linux_get_signal,
    .blocked_signals = linux_blocked_signals,
    .call_can_repeat = linux_call_can_repeat,
    .sequence_word = linux_sequence_word,
    .tells_sequences = linux_tells_sequences,
    .for_each_code = linux_for_each_code,
    .take_descriptor = linux_take_descriptor,
    .set_watches = linux_set_watches,
    .take_watch_hits = linux_take_watch_hits,
    .try_watch = linux_try_watch,

    .for_each_thread = linux_for_each_thread,
    .count_threads = linux_count_threads,
    .for_each_child_of = linux_for_each_child_of,
    .thread_status = linux_thread_status,
    .is_making_child = linux_is_making_child,
    .thread_name = linux_thread_name,
    .program_path = linux_program_path,
    .program_arch = linux_program_arch,
    .inner_id = linux_inner_id,
    .process_of = linux_process_of,
    .is_thread_of = linux_is_thread_of,
    .tracer_of = linux_tracer_of,
    .same_memory = linux_same_memory,
    .explain_seize = linux_explain_seize,
    .explain_stuck = linux_explain_stuck,

    .memory_init = linux_memory_init,
    .memory_close = linux_memory_close,
    .memory_is_gone = linux_memory_is_gone,
    .read = linux_read,
    .read_ranges = linux_read_ranges,
    .write = linux_write,
    .read_own = linux_read_own,
    .write_own = linux_write_own,
    .is_fixed_code = linux_is_fixed_code,
    .branch_checks = linux_branch_checks,
    .find_room = linux_find_room,
    .find_gap = linux_find_gap,
    .is_mapped_room = linux_is_mapped_room,

    .spawn = linux_spawn,
    .spawn_error = linux_spawn_error,
    .spawn_close = linux_spawn_close,
    .kill = linux_kill,

    .monitor_start = linux_monitor_start,
    .monitor_join = linux_monitor_join,
    .monitor_use_signal = linux_seize_with,
    .monitor_forget = linux_monitor_forget,
    .host_is_dead = linux_host_is_dead,
    .monitor_leave_group = linux_monitor_leave_group,
    .monitor_set_emergency = linux_monitor_set_emergency,
    .self_process = linux_self_process,
    .self_thread = linux_self_thread,

    .word_wait = linux_word_wait,
    .word_wake = linux_word_wake,
};
