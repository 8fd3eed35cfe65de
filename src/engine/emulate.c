/* Past a breakpoint at once: its instruction is executed here, on the registers of the stopped thread, which is then continued
 * behind it. No step, no second stop, the breakpoint stays in memory, and nobody else is held. Which instructions can be is
 * the architecture's affair (struct arch: prepare, emulate); whether this thread's may be, now, is decided here:
 *
 *   - not for a thread that makes a step, for the caller or for a software watchpoint: that ends at its instruction;
 *   - not where memory is touched and there are watchpoints, which would not see our access;
 *   - not what pushes or takes a return address, if the thread has a shadow stack.
 *
 * The rest is left to be stepped over, see breakpoint.c. What is executed is what is in memory now. A program may change its
 * code, and those that do (compilers at run time) change an instruction's operand and leave its first byte, where the trap is.
 * So the code is read at each hit, but where it belongs to a file and cannot be written. A program that makes such memory writable,
 * writes behind the trap only, and takes the permission away again, is not noticed until the breakpoint is put in anew. */
#include <string.h>

#include "engine/process.h"

struct access {
    const rein_thread *thread;
    rein_breakpoint *breakpoint;
};

static bool read_own(void *arg, uint64_t address, void *buffer, size_t size)
{
    const struct access *access = arg;
    return access->thread->process->os->read_own(access->thread->id, address, buffer, size) == 0;
}

static bool write_own(void *arg, uint64_t address, const void *data, size_t size)
{
    const struct access *access = arg;
    return access->thread->process->os->write_own(access->thread->id, address, data, size) == 0;
}

/* As the code itself it is looked at once, where the program cannot change it. */
static enum arch_branch_checks branch_checks(void *arg, uint64_t address)
{
    const struct access *access = arg;
    rein_breakpoint *breakpoint = access->breakpoint;
    if (!breakpoint->code_is_fixed || !breakpoint->branch_checks)
        breakpoint->branch_checks =
            (unsigned char)access->thread->process->os->branch_checks(access->thread->id, address);
    return (enum arch_branch_checks)breakpoint->branch_checks;
}

static bool has_second_stack(const rein_thread *thread, const struct arch *arch)
{
    uint64_t first = 0;
    int size = arch->return_stack_set == ARCH_SET_GENERAL
                   ? 0
                   : thread->process->os->get_register_set(thread->id, arch->return_stack_set, &first, sizeof first);
    return size < 0 || (size > 0 && first);
}

void emulate_prepare(rein_breakpoint *breakpoint, const struct arch *arch, const unsigned char *code, size_t size)
{
    if (breakpoint->arch == arch && breakpoint->code_size == size && !memcmp(breakpoint->code, code, size))
        return;
    memcpy(breakpoint->code, code, size);
    breakpoint->code_size = (unsigned char)size;
    breakpoint->arch = arch;
    breakpoint->code_is_fixed = false;
    breakpoint->branch_checks = ARCH_BRANCHES_UNKNOWN;
    displace_take_note(breakpoint);
    enum arch_plan_kind kind = arch->prepare && size ? arch->prepare(code, size, &breakpoint->plan) : ARCH_PLAN_NONE;
    atomic_store(&breakpoint->plan_kind, (int)kind);
}

bool emulate_bring_up_to_date(rein_thread *thread, rein_breakpoint *breakpoint, const struct arch *arch)
{
    rein_process *process = thread->process;
    unsigned char code[ARCH_INSTRUCTION_MAX];
    if (breakpoint->arch == arch && breakpoint->code_is_fixed && breakpoint->code_seen == process->breakpoints.changes)
        return true;
    int64_t size = process->os->read(&process->memory, thread->id, breakpoint->pc, code, sizeof code);
    if (size <= 0)
        return false;
    breakpoints_hide(process, breakpoint->pc, code, (size_t)size);
    emulate_prepare(breakpoint, arch, code, (size_t)size);
    if (!breakpoint->code_is_fixed)
        breakpoint->code_is_fixed = process->os->is_fixed_code(thread->id, breakpoint->pc) == 1;
    breakpoint->code_seen = process->breakpoints.changes;
    breakpoint->branch_checks = ARCH_BRANCHES_UNKNOWN;
    return true;
}

bool emulate_at_breakpoint(rein_thread *thread, rein_breakpoint *breakpoint)
{
    struct arch_registers registers;
    if (breakpoint->step_over || thread->state != REIN_STATE_RUNNING || watch_steps(thread) ||
        thread_get_registers(thread, &registers) || arch_pc(&registers) != breakpoint->pc ||
        !emulate_bring_up_to_date(thread, breakpoint, registers.arch))
        return false;
    enum arch_plan_kind kind = (enum arch_plan_kind)atomic_load_explicit(&breakpoint->plan_kind, memory_order_relaxed);
    if (kind == ARCH_PLAN_NONE || (kind != ARCH_PLAN_REGISTERS && watch_is_near(thread)) ||
        (kind == ARCH_PLAN_RETURN_ADDRESS && has_second_stack(thread, registers.arch)))
        return false;
    struct access access = {thread, breakpoint};
    const struct arch_memory memory = {read_own, write_own, &access, branch_checks};
    if (!registers.arch->emulate(&breakpoint->plan, &registers, &memory))
        return false;
    thread_keep_registers(thread, &registers);
    thread_note_run(thread); /* as if it had run, and stopped there */
    thread->stop_clock = thread->process->breakpoints.clock;
    atomic_fetch_add_explicit(&breakpoint->emulated, 1, memory_order_relaxed);
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: is past the breakpoint at 0x%llx, at 0x%llx",
        thread->id, (unsigned long long)breakpoint->pc, (unsigned long long)arch_pc(&registers));
    return true;
}
