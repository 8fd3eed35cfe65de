/* M7 R1: a thread that is asked to stop just when its instruction has made a fault: the kernel lets the stop come first, with
 * the fault still to come. It is brought out, lest it comes elsewhere, when the caller has moved the thread meanwhile. Program:
 * lost_frame, which makes its fault by a system call, so that it can be stopped in front of that and nothing is left to chance. */
#include "support.h"

#include <linux/audit.h>

#include "engine/monitor.h"

enum { STACK = 32 * 1024 }; /* the program's */

static struct os_backend holding_backend;
static atomic_int to_interrupt; /* a thread, as soon as it is resumed */
static atomic_int waits;        /* the same: its stop is kept back */
static struct os_event held;
static atomic_bool is_held, is_released;

static int interrupt_and_resume(int id, enum os_resume how, int signal)
{
    int expected = id;
    if (atomic_compare_exchange_strong(&to_interrupt, &expected, 0)) {
        atomic_store(&waits, id);
        os_backend.interrupt(id);
    }
    return os_backend.resume(id, how, signal);
}

/* The interrupt has been made already. */
static int interrupt_and_release(int id)
{
    if (id != atomic_load(&waits) || !atomic_load(&is_held))
        return os_backend.interrupt(id);
    atomic_store(&is_released, true);
    return 0;
}

static bool hold(const struct os_event *event)
{
    if (event->id != atomic_load(&waits) || atomic_load(&is_held))
        return false;
    held = *event;
    atomic_store(&is_held, true);
    return true;
}

static bool give(struct os_event *event)
{
    if (!atomic_exchange(&is_released, false))
        return false;
    *event = held;
    atomic_store(&waits, 0);
    return true;
}

static int holding_next(struct os_waiter *waiter, struct os_event *event)
{
    if (give(event))
        return 1;
    int result = os_backend.waiter_next(waiter, event);
    return result == 1 && hold(event) ? holding_backend.waiter_next(waiter, event) : result;
}

static int holding_next_of(struct os_waiter *waiter, int id, struct os_event *event)
{
    if (id == atomic_load(&waits) && atomic_load(&is_held))
        return give(event);
    int result = os_backend.waiter_next_of(waiter, id, event);
    return result == 1 && hold(event) ? 0 : result;
}

static void trace_call(rein_process *process, unsigned flags)
{
    const struct rein_syscall_id id = {AUDIT_MACHINE, SYS_rt_sigreturn};
    assert_ok(rein_process_trace_syscalls(process, flags, &id, flags ? 1 : 0));
}

/* The thread that is about to make its fault. */
static rein_thread *run_to_call(struct fixture *fixture, rein_process *process)
{
    trace_call(process, REIN_SYSCALL_ENTRIES);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SYSCALL_ENTRY, REIN_STOP_THREAD));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL));
    assert_ok(rein_process_continue(process));
    tell(fixture);
    struct rein_event *event = expect_event(process, REIN_CAUSE_SYSCALL_ENTRY);
    trace_call(process, 0);
    return event->thread;
}

static bool has_pending_fault(int id)
{
    char path[64], line[256];
    unsigned long long pending = 0;
    snprintf(path, sizeof path, "/proc/%d/status", id);
    FILE *status = fopen(path, "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) && sscanf(line, "SigPnd: %llx", &pending) != 1)
        continue;
    fclose(status);
    return pending >> (SIGSEGV - 1) & 1;
}

/* It has its fault now, not later: sent elsewhere without that, it runs there. */
static void assert_can_be_moved(struct fixture *fixture, rein_process *process, rein_thread *thread)
{
    assert_false(has_pending_fault(rein_thread_id(thread)));
    struct rein_event *event = expect_event(process, REIN_CAUSE_SIGNAL);
    assert_int_equal(event->cause.signal.number, SIGSEGV);
    assert_ptr_equal(event->thread, thread);
    assert_ok(rein_thread_set_signal(thread, 0));
    rein_registers *registers = NULL;
    assert_ok(rein_thread_registers(thread, &registers));
    assert_ok(rein_registers_set_sp(registers, address_of(fixture, "landing_stack") + STACK - STACK_AT_ENTRY));
    assert_ok(rein_registers_set_pc(registers, address_of(fixture, "landed")));
    rein_registers_free(registers);
}

static void M7_R1_fault_behind_a_stop(void **state)
{
    (void)state;
    skip_if_lent();
    struct fixture *fixture = start_ready("lost_frame", NULL);
    rein_monitor *own = NULL;
    rein_process *process = NULL;
    struct rein_monitor_options options = REIN_MONITOR_OPTIONS_INIT;
    holding_backend = os_backend;
    holding_backend.resume = interrupt_and_resume;
    holding_backend.interrupt = interrupt_and_release;
    holding_backend.waiter_next = holding_next;
    holding_backend.waiter_next_of = holding_next_of;
    atomic_store(&is_held, false);
    options.kind = monitor_kind();
    set_log(&options);
    assert_ok(monitor_create_with(&holding_backend, &options, false, &own));
    assert_ok(rein_attach(own, fixture->pid, NULL, &process));
    rein_thread *thread = run_to_call(fixture, process);
    atomic_store(&to_interrupt, rein_thread_id(thread));
    assert_ok(rein_thread_continue(thread));
    for (double limit = now() + LIMIT_S; !atomic_load(&is_held); sleep_ms(1))
        assert_true(now() < limit);
    assert_true(has_pending_fault(rein_thread_id(thread)));
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_can_be_moved(fixture, process, thread);
    assert_ok(rein_process_continue(process));
    assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
    rein_process_unref(process);
    assert_ok(rein_monitor_close(own));
    assert_ends(fixture, 0);
    assert_int_equal(said_count(fixture, "landed"), 1);
}

/* The same behind a group-stop, which another thread has taken meanwhile. */
static void M7_R1_fault_behind_a_group_stop(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("lost_frame", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = run_to_call(fixture, process);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_IGNORE));
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_REPORT));
    assert_int_equal(kill(fixture->pid, SIGSTOP), 0);
    expect_event(process, REIN_CAUSE_GROUP_STOP);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_SIGNAL, REIN_STOP_ALL));
    assert_ok(rein_thread_continue(thread));
    for (double limit = now() + LIMIT_S; !has_pending_fault(rein_thread_id(thread)); sleep_ms(1))
        assert_true(now() < limit);
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_can_be_moved(fixture, process, thread);
    assert_int_equal(kill(fixture->pid, SIGCONT), 0);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(said_count(fixture, "landed"), 1);
}

/* M7: what looks like a fault, and is blocked, does not come: nobody waits for it, and the thread stops, and stays so. */
static void M7_blocked_as_by_no_fault(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("lost_frame", "blocked", NULL);
    rein_process *process = attach(fixture);
    set_policy(process, REIN_IGNORE);
    for (int i = 0; i < 20; i++) {
        assert_ok(rein_process_continue(process));
        assert_ok(rein_process_stop(process, LIMIT_MS));
        assert_true(has_pending_fault(fixture->pid));
    }
    assert_ok(rein_process_continue(process));
    tell(fixture);
    assert_ends_traced(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(M7_R1_fault_behind_a_stop),
        live_test(M7_R1_fault_behind_a_group_stop),
        live_test(M7_blocked_as_by_no_fault),
    };
    return live_main(tests);
}
