/* What the files of the Linux backend know of each other: the functions behind the table in backend.c, by the file that
 * defines them. What each must do is said once, in os/backend.h. No ptrace constant leaves ptrace.c. */
#ifndef REIN_OS_LINUX_LINUX_H
#define REIN_OS_LINUX_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/backend.h"

/* ---- ptrace.c: one wrapper a request, and what a wait status means ---- */
int linux_seize(int id);
/* Also for the stops of a seccomp filter; and it ends with us, for it cannot live without a tracer. */
int linux_seize_filtered(int id);
int linux_interrupt(int id);
int linux_resume(int id, enum os_resume how, int signal);
int linux_detach(int id, int signal);
int linux_get_registers(int id, struct arch_registers *registers);
int linux_set_registers(int id, const struct arch_registers *registers);
int linux_change_registers(int id, const struct arch_registers *registers, const struct arch_registers *before);
int linux_get_register_set(int id, enum arch_set set, void *bytes, size_t size);
int linux_set_register_set(int id, enum arch_set set, const void *bytes, size_t size);
int linux_set_signal(int id, const struct rein_signal *signal);
int linux_get_signal_mask(int id, uint64_t *mask);
int linux_set_signal_mask(int id, uint64_t mask);
int linux_trap_is_pending(int id);
int linux_fault_is_pending(int id);
int linux_get_signal(int id, struct rein_signal *signal);
uint64_t linux_sequence_word(int id);
bool linux_tells_sequences(int id);

/* A set of registers by the number that the kernel has for it (elf.h): how many bytes it has given, or -errno. */
int linux_get_note(int id, unsigned note, void *bytes, size_t size);
int linux_set_note(int id, unsigned note, const void *bytes, size_t size);

int linux_set_watches(int id, const uint64_t words[ARCH_WATCH_WORDS]);
int linux_count_watches(int id, unsigned slots[2]);
int linux_take_watch_hits(int id, const struct arch_watch *watches, size_t count, uint32_t *slots);
int linux_get_syscall(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call);

/* Turns what waitpid(id, &status, __WALL) gave into an event: 1. 0 when there is no event in it, because the thread was
 * killed in this very stop: wait for it again, without resuming it. Any kind of status is understood. */
int linux_decode(int id, int status, struct os_event *event);
/* One word of a stopped thread's memory, at any address: the last way when all others are forbidden. */
int linux_peek(int id, uint64_t address, long *word);
int linux_poke(int id, uint64_t address, long word);

/* Is ptrace itself refused here, whatever the thread (a seccomp filter does that)? 0, or the errno, positive. */
int linux_ptrace_is_refused(void);

/* ---- seize.c: a ptrace request that can be given up: -EINTR then ---- */
int linux_seize_call(int request, int id, unsigned long options);
/* The calling thread is a monitor of that kind, and may be interrupted by that signal, which is handled here from now on. */
void linux_seize_with(enum rein_monitor_kind kind, int signal);
void linux_seize_end(void); /* of a number of calls */

/* ---- restart.c: system calls that a stop has interrupted ---- */
int linux_restart_interrupted_call(int id, struct arch_registers *registers);
int linux_call_is_made_again(const struct arch_registers *registers, uint64_t *pc);
bool linux_call_can_repeat(const struct arch_registers *registers);
/* Will it go on by restart_syscall(2), with what the kernel keeps for that, once for each thread? */
bool linux_call_has_restart_block(int id, const struct arch_registers *registers);

/* ---- remote_call.c: calls made in a tracee ---- */
int linux_check_call(int pid, int id, const struct arch_registers *registers, const struct arch_call *call,
                     bool filtered, char *text, size_t size);
int linux_known_call(const struct arch *arch, enum os_call which, const uint64_t arguments[6], struct arch_call *call);
/* Does it write over that? */
bool linux_call_uses_restart_block(const struct arch *arch, const struct arch_call *call);
int linux_take_descriptor(int pid, int id, int descriptor);

/* ---- syscall.c: system calls by the registers ---- */
int linux_set_syscall(int id, const struct rein_syscall *call);
int linux_set_syscall_result(int id, const struct rein_syscall *call);
int linux_set_own_syscall(int id, const struct rein_syscall *call);
/* As get_syscall, for kernels before 5.3. */
int linux_guess_syscall(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call);
/* Number and arguments at an exit; call->arch is known. */
int linux_syscall_at_exit(int id, struct rein_syscall *call);

/* arm64.c stands in for restart.c, syscall.c and what in ptrace.c is about x86's registers. */

/* ---- wait.c ---- */
int linux_waiter_create(enum rein_monitor_kind kind, bool (*is_tracee)(int id, void *arg),
                        int (*for_each_tracee)(os_id_callback callback, void *callback_arg, void *arg), void *arg,
                        struct os_waiter **waiter);
void linux_waiter_destroy(struct os_waiter *waiter);
int linux_waiter_next(struct os_waiter *waiter, struct os_event *event);
int linux_waiter_next_of(struct os_waiter *waiter, int id, struct os_event *event);
int linux_waiting_signal(int id);
void linux_waiter_sleep(struct os_waiter *waiter, int64_t timeout_us, enum os_calm calm);
int linux_waiter_poll(struct os_waiter *waiter, struct pollfd *fds, size_t count, int64_t timeout_us,
                      enum os_calm calm);
int linux_waiter_wake(struct os_waiter *waiter);

/* ---- monitor_process.c ---- */
int linux_monitor_start(enum rein_monitor_kind kind, void (*body)(void *arg), void (*ended)(void *arg, bool killed),
                        void *arg, void **handle);
void linux_monitor_join(void *handle);
void linux_monitor_forget(void *handle);
/* Sets how a signal is handled past the C library and the sanitizers; NULL: in the default way. */
void linux_set_action(int number, void (*handler)(int number, siginfo_t *info, void *context));
bool linux_host_is_dead(void);
void linux_monitor_leave_group(void);
/* On the monitor, before it becomes the parent of a program in the host's process group. */
void linux_monitor_will_spawn(void);
void linux_monitor_set_emergency(void (*emergency)(void *arg), void *arg);
int linux_self_process(void);
int linux_self_thread(void);

/* ---- word.c ---- */
void linux_word_wait(_Atomic uint32_t *word, uint32_t value, int64_t timeout_ns);
void linux_word_wake(_Atomic uint32_t *word);

/* ---- procfs.c: looking at threads and processes; any thread may call these ---- */
int linux_for_each_thread(int pid, os_id_callback callback, void *arg);
int linux_count_threads(int pid, size_t *count);
int linux_for_each_child_of(int pid, os_id_callback callback, void *arg);
int linux_thread_status(int pid, int id, enum os_thread_status *status);
bool linux_is_making_child(int pid, int id);
int linux_thread_name(int pid, int id, char name[16]);
int linux_program_path(int pid, char *path, size_t size);
const struct arch *linux_program_arch(int pid);
int linux_inner_id(int pid, int *id);
int linux_process_of(int id, int *pid, int *parent);
bool linux_is_thread_of(int id, int pid);
int linux_tracer_of(int id, int *tracer);
bool linux_same_memory(int id, int other_id);
/* The first argument of the call that it is in; false: it is in none, or that could not be found out. */
bool linux_first_argument(int id, uint64_t *argument);
int linux_explain_seize(int pid, int id, int error, char *text, size_t size);
void linux_explain_stuck(int pid, int id, char *text, size_t size);
/* Where the mappings of the file begin of which there is code at the address, and where that code's mapping ends: 1; 0: there is none. */
int linux_find_file_of(int id, uint64_t address, uint64_t *base, uint64_t *end);
/* Where the mappings of the program's loader begin: 1; 0: it has none. */
int linux_find_loader(int id, uint64_t *base);
int linux_find_room(int id, uint64_t address, uint64_t *start, uint64_t *size);
int linux_find_gap(int id, uint64_t address, bool above, uint64_t *start, uint64_t *size);
int linux_is_mapped_room(int id, uint64_t start, uint64_t size);
int linux_is_fixed_code(int id, uint64_t address);
enum arch_branch_checks linux_branch_checks(int id, uint64_t address);
int linux_for_each_code(int id, os_memory_callback callback, void *arg);
int linux_caught_signals(int id, uint64_t *mask);
int linux_blocked_signals(int pid, int id, uint64_t *mask);
/* 0: none, 1: strict, 2: a filter (seccomp(2)); a negative errno. */
int linux_seccomp_mode(int pid, int id);
/* The signals that wait in the thread's own queue (SigPnd), and in the process's (ShdPnd). */
int linux_pending_signals(int id, uint64_t *own, uint64_t *shared);

/* ---- memory.c ---- */
void linux_memory_init(struct os_memory *memory);
void linux_memory_close(struct os_memory *memory);
bool linux_memory_is_gone(const struct os_memory *memory);
int64_t linux_read(struct os_memory *memory, int id, uint64_t address, void *buffer, size_t size);
void linux_read_ranges(struct os_memory *memory, int id, struct rein_range *ranges, size_t count);
int linux_read_own(int id, uint64_t address, void *buffer, size_t size);
int linux_write_own(int id, uint64_t address, const void *data, size_t size);
int64_t linux_write(struct os_memory *memory, int id, uint64_t address, const void *data, size_t size);

/* ---- watch.c ---- */
int linux_try_watch(bool copy_memory, unsigned slots[2]);

/* ---- spawn.c ---- */
/* clone(2) that calls body(arg), which may be in our memory and must not return, on that stack (its end). Returns in the
 * parent only: the child's id, or a negative errno. */
long linux_clone_to(void (*body)(void *arg), void *arg, unsigned long flags, void *stack);
int linux_spawn(const struct os_spawn *what, struct os_spawned *child, enum os_spawn_step *step);
int linux_spawn_error(struct os_spawned *child, enum os_spawn_step *step);
void linux_spawn_close(struct os_spawned *child);

/* ---- signal.c ---- */
int linux_kill(int pid, int signal);
int linux_all_pending_signals(int id, uint64_t *mask);
int linux_queue_signal(int pid, int id, const struct rein_signal *signal);

#endif
