/* Registers: a snapshot for the caller, and writing through to the thread as long as it is in the same stop (R1-R5). */
#include <stdlib.h>
#include <string.h>

#include "engine/process.h"

struct rein_registers {
    rein_thread *thread; /* counted */
    const struct arch *arch;
    uint64_t run_count; /* the thread's, when the snapshot was made */
    struct arch_registers values;
};

static void run_get(struct request *request)
{
    rein_thread *thread = request->thread;
    rein_registers *registers = request->out;
    int result = process_check(thread->process, &request->error);
    if (!result && !rein_state_is_stopped(thread->state))
        result = thread_bad_state(thread, &request->error, "cannot get registers", "stop it first");
    if (!result)
        result = thread_check_call(thread, &request->error, "cannot get registers");
    if (!result) {
        int error = thread->process->os->get_registers(thread->id, &registers->values);
        if (error)
            result = error_set_system(&request->error, REIN_SYSTEM, error, "Thread %d: registers cannot be read",
                                      thread->id);
    }
    registers->run_count = thread->run_count;
    request_finish(request, result);
}

int rein_thread_registers(rein_thread *thread, rein_registers **registers)
{
    if (!thread || !registers)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_registers: thread or registers is NULL");
    *registers = calloc(1, sizeof **registers);
    if (!*registers)
        return error_fail(REIN_NO_MEMORY, "no memory for the registers of thread %d", thread->id);
    (*registers)->thread = rein_thread_ref(thread);
    (*registers)->arch = thread->process->os->arch;
    struct request request = {.run = run_get, .process = thread->process, .thread = thread, .out = *registers};
    int result = monitor_submit(thread->process->monitor, &request, -1);
    if (result) {
        rein_registers_free(*registers);
        *registers = NULL;
    }
    return result;
}

void rein_registers_free(rein_registers *registers)
{
    if (!registers)
        return;
    rein_thread_unref(registers->thread);
    free(registers);
}

static int no_registers(const char *function)
{
    return error_fail(REIN_INVALID_ARGUMENT, "%s: an argument is NULL", function);
}

int rein_registers_count(const rein_registers *registers)
{
    return registers ? registers->arch->register_count : no_registers(__func__);
}

static bool in_range(const rein_registers *registers, int index)
{
    return index >= 0 && index < registers->arch->register_count;
}

static int out_of_range(const rein_registers *registers, int index)
{
    return error_fail(REIN_OUT_OF_RANGE, "there is no register %d: %s has 0 to %d", index, registers->arch->name,
                      registers->arch->register_count - 1);
}

const char *rein_registers_name(const rein_registers *registers, int index)
{
    if (!registers)
        no_registers(__func__);
    else if (!in_range(registers, index))
        out_of_range(registers, index);
    else
        return registers->arch->register_names[index];
    return NULL;
}

int rein_registers_index(const rein_registers *registers, const char *name)
{
    if (!registers || !name)
        return no_registers(__func__);
    for (int i = 0; i < registers->arch->register_count; i++) {
        if (!strcmp(registers->arch->register_names[i], name))
            return i;
    }
    return error_fail(REIN_NO_REGISTER, "%s has no register \"%s\"", registers->arch->name, name);
}

int rein_registers_pc_index(const rein_registers *registers)
{
    return registers ? registers->arch->pc_index : no_registers(__func__);
}

int rein_registers_sp_index(const rein_registers *registers)
{
    return registers ? registers->arch->sp_index : no_registers(__func__);
}

int rein_registers_link_index(const rein_registers *registers)
{
    if (!registers)
        return no_registers(__func__);
    if (registers->arch->link_index < 0)
        return error_fail(REIN_NO_LINK_REGISTER, "%s has no link register: the return address is on the stack",
                          registers->arch->name);
    return registers->arch->link_index;
}

int rein_registers_get(const rein_registers *registers, int index, rein_word *value)
{
    if (!registers || !value)
        return no_registers(__func__);
    if (!in_range(registers, index))
        return out_of_range(registers, index);
    *value = registers->arch->get(&registers->values, index);
    return 0;
}

static int wrong_count(const rein_registers *registers, size_t count)
{
    return error_fail(REIN_INVALID_ARGUMENT, "%s has %d registers, not %zu", registers->arch->name,
                      registers->arch->register_count, count);
}

int rein_registers_get_all(const rein_registers *registers, rein_word *values, size_t count)
{
    if (!registers || !values)
        return no_registers(__func__);
    if (count != (size_t)registers->arch->register_count)
        return wrong_count(registers, count);
    for (int i = 0; i < registers->arch->register_count; i++)
        values[i] = registers->arch->get(&registers->values, i);
    return 0;
}

/* What is to be set: one register, or all. */
struct change {
    rein_registers *snapshot;
    int index; /* -1: all */
    const rein_word *values;
};

static void apply(const struct change *change, struct arch_registers *registers)
{
    const struct arch *arch = change->snapshot->arch;
    if (change->index >= 0)
        arch->set(registers, change->index, *change->values);
    for (int i = 0; change->index < 0 && i < arch->register_count; i++) {
        if (arch->get(registers, i) != change->values[i])
            arch->set(registers, i, change->values[i]);
    }
}

/* Writes to what the thread has now, so that a change by another snapshot of the same stop is not undone. */
static void run_set(struct request *request)
{
    rein_thread *thread = request->thread;
    const struct change *change = request->options;
    const struct os_backend *os = thread->process->os;
    struct arch_registers values;
    int result = process_check(thread->process, &request->error);
    if (!result && !rein_state_is_stopped(thread->state))
        result = thread_bad_state(thread, &request->error, "cannot set registers", "stop it first");
    if (!result)
        result = thread_check_call(thread, &request->error, "cannot set registers");
    if (!result && change->snapshot->run_count != thread->run_count)
        result = thread_bad_state(thread, &request->error, "cannot set registers by an old snapshot",
                                  "the thread has run since; take a new one");
    if (!result) {
        int error = os->get_registers(thread->id, &values);
        if (!error) {
            apply(change, &values);
            error = os->set_registers(thread->id, &values);
        }
        if (error)
            result = error_set_system(&request->error, REIN_SYSTEM, error, "Thread %d: the registers cannot be set",
                                      thread->id);
    }
    if (!result && os->arch->get(&values, os->arch->pc_index) != thread->skip_pc)
        thread->skip = false; /* wherever it goes on, it has not been shown a breakpoint there */
    request_finish(request, result);
}

static int write_through(const struct change *change)
{
    rein_thread *thread = change->snapshot->thread;
    struct request request = {.run = run_set, .process = thread->process, .thread = thread, .options = change};
    int result = monitor_submit(thread->process->monitor, &request, -1);
    if (!result)
        apply(change, &change->snapshot->values);
    return result;
}

int rein_registers_set(rein_registers *registers, int index, rein_word value)
{
    if (!registers)
        return no_registers(__func__);
    if (!in_range(registers, index))
        return out_of_range(registers, index);
    struct change change = {registers, index, &value};
    return write_through(&change);
}

int rein_registers_set_all(rein_registers *registers, const rein_word *values, size_t count)
{
    if (!registers || !values)
        return no_registers(__func__);
    if (count != (size_t)registers->arch->register_count)
        return wrong_count(registers, count);
    struct change change = {registers, -1, values};
    return write_through(&change);
}

int rein_registers_pc(const rein_registers *registers, rein_word *value)
{
    return registers ? rein_registers_get(registers, registers->arch->pc_index, value) : no_registers(__func__);
}

int rein_registers_set_pc(rein_registers *registers, rein_word value)
{
    return registers ? rein_registers_set(registers, registers->arch->pc_index, value) : no_registers(__func__);
}

int rein_registers_sp(const rein_registers *registers, rein_word *value)
{
    return registers ? rein_registers_get(registers, registers->arch->sp_index, value) : no_registers(__func__);
}

int rein_registers_set_sp(rein_registers *registers, rein_word value)
{
    return registers ? rein_registers_set(registers, registers->arch->sp_index, value) : no_registers(__func__);
}

int rein_registers_link(const rein_registers *registers, rein_word *value)
{
    int index = rein_registers_link_index(registers);
    return index < 0 ? index : rein_registers_get(registers, index, value);
}

int rein_registers_set_link(rein_registers *registers, rein_word value)
{
    int index = rein_registers_link_index(registers);
    return index < 0 ? index : rein_registers_set(registers, index, value);
}
