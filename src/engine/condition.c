/* Bytecode evaluated for a stopped thread, on the monitor: at a hit, to see whether it is to be told, or at a caller's
 * request.
 *
 * The registers are asked for once in a stop, by whoever wants them first (thread_get_registers). Memory is read once in an
 * evaluation, in small aligned blocks, which are in one page: all of such a block can be read, or nothing.
 *
 * A CONDITION MAY BE CHANGED at any time, by any thread of the host, while the monitor executes it. No lock will do for
 * that: the host may be killed with it in hand, and the monitor must live on. So the new one is left in `next`, whoever
 * takes something out of there owns it, and the one in `bytecode` is the monitor's own, which looks at each hit whether
 * there is another. */
#include "engine/condition.h"

#include <stdlib.h>
#include <string.h>

#include "engine/bytecode.h"
#include "engine/process.h"

/* ---- Evaluation ---- */

/* What asks the kernel is limited as well: other threads wait for the monitor. It takes a millisecond or two. */
enum { BLOCK_SIZE = 64, BLOCKS = 8, QUESTIONS_MAX = 2000 };

struct block {
    uint64_t address;
    size_t size; /* what could be read of it */
    unsigned char bytes[BLOCK_SIZE];
};

struct view {
    rein_thread *thread;
    rein_process *memory_of;
    const struct rein_evaluation *evaluation;
    struct arch_registers registers;
    bool registers_known;
    struct arch_block *others; /* registers of another set, others_set; NULL: none were asked for */
    enum arch_set others_set;
    struct block blocks[BLOCKS];
    unsigned block_count, oldest;
    unsigned questions; /* that may still be asked of the kernel */
};

static int64_t read_now(struct view *view, uint64_t address, void *buffer, size_t size)
{
    rein_process *process = view->memory_of;
    int64_t done = process->os->read(&process->memory, view->thread->id, address, buffer, size);
    if (done > 0)
        breakpoints_hide(process, address, buffer, (size_t)done);
    return done;
}

static bool may_ask(struct view *view)
{
    view->questions -= view->questions > 0;
    return view->questions > 0;
}

/* NULL: too much has been asked. */
static const struct block *get_block(struct view *view, uint64_t address)
{
    for (unsigned i = 0; i < view->block_count; i++) {
        if (view->blocks[i].address == address)
            return &view->blocks[i];
    }
    if (!may_ask(view))
        return NULL;
    struct block *block = &view->blocks[view->oldest];
    view->oldest = (view->oldest + 1) % BLOCKS;
    if (view->block_count < BLOCKS)
        view->block_count++;
    int64_t done = read_now(view, address, block->bytes, BLOCK_SIZE);
    block->address = address;
    block->size = done > 0 ? (size_t)done : 0;
    return block;
}

static const char *read_memory(void *arg, uint64_t address, void *buffer, size_t size)
{
    struct view *view = arg;
    unsigned char *to = buffer;
    address = process_address(view->memory_of, address);
    while (size) {
        size_t offset = address % BLOCK_SIZE, length = BLOCK_SIZE - offset < size ? BLOCK_SIZE - offset : size;
        const struct block *block = get_block(view, address - offset);
        if (!block)
            return bytecode_too_many_steps;
        if (offset + length <= block->size)
            memcpy(to, block->bytes + offset, length);
        else if (!may_ask(view))
            return bytecode_too_many_steps;
        else if (read_now(view, address, to, length) != (int64_t)length)
            return bytecode_no_memory;
        address += length;
        to += length;
        size -= length;
    }
    return NULL;
}

/* One of those that are not in every snapshot. */
static const char *get_other_register(struct view *view, const struct arch *arch, int index, uint64_t *value)
{
    enum arch_set set = (enum arch_set)arch->registers[index].set;
    if (!view->others || view->others_set != set) {
        struct error error;
        if (!may_ask(view))
            return bytecode_too_many_steps;
        free(view->others);
        view->others = registers_fetch(view->thread, arch, set, &error);
        view->others_set = set;
    }
    if (!view->others)
        return "registers cannot be read";
    size_t width = arch->width(view->others, index);
    if (!width)
        return "the thread does not have that register";
    if (width > sizeof *value)
        return "a register is wider than a word";
    *value = 0;
    arch->read(view->others, index, value);
    return NULL;
}

static const char *get_register(void *arg, unsigned number, uint64_t *value)
{
    struct view *view = arg;
    if (!view->registers_known && thread_get_registers(view->thread, &view->registers))
        return "registers cannot be read";
    view->registers_known = true;
    const struct arch *arch = view->registers.arch;
    if (number >= (unsigned)arch->register_total)
        return "there is no register with that number";
    if (number >= (unsigned)arch->register_count)
        return get_other_register(view, arch, (int)number, value);
    *value = arch->get(&view->registers, (int)number);
    return NULL;
}

static bool get_own_variable(const struct view *view, unsigned number, uint64_t *value)
{
    const rein_thread *thread = view->thread;
    int process_id = thread_owner(thread)->id, parent;
    switch (number) {
    case REIN_VARIABLE_THREAD_ID:
        *value = (uint64_t)thread->id;
        return true;
    case REIN_VARIABLE_PROCESS_ID:
        if (thread_is_hidden(thread)) /* of a process of its own */
            thread->process->os->process_of(thread->id, &process_id, &parent);
        *value = (uint64_t)process_id;
        return true;
    case REIN_VARIABLE_HITS:
        *value = view->evaluation->hits;
        return true;
    default:
        return false;
    }
}

static const char *use_variable(void *arg, enum rein_variable_use use, unsigned number, uint64_t *value)
{
    const struct view *view = arg;
    const struct rein_evaluation *evaluation = view->evaluation;
    uint64_t known = 0;
    bool own = get_own_variable(view, number, &known);
    if (own && use == REIN_VARIABLE_SET)
        return "that variable cannot be set";
    if (own)
        *value = known;
    if ((own && use == REIN_VARIABLE_GET) || (use == REIN_VARIABLE_TRACE && !evaluation->variable))
        return NULL;
    if (evaluation->variable && evaluation->variable(evaluation->arg, use, number, value))
        return NULL;
    return "there is no variable with that number";
}

/* The evaluation's results, but for its trouble's becoming an error. The thread is stopped in the kernel. */
static void evaluate(rein_thread *thread, const rein_bytecode *bytecode, struct rein_evaluation *evaluation)
{
    struct view view; /* not cleared: it is large, and this is done at each hit */
    view.thread = thread;
    view.memory_of = process_of_memory(thread->process);
    view.evaluation = evaluation;
    view.registers_known = false;
    view.others = NULL;
    view.block_count = view.oldest = 0;
    view.questions = QUESTIONS_MAX;
    const struct arch *arch = view.memory_of->arch;
    bool is_narrow = arch->registers[arch->sp_index].bytes == 4;
    const struct bytecode_machine machine = {.get_register = get_register,
                                             .variable = use_variable,
                                             .read = read_memory,
                                             .address_mask = is_narrow ? UINT32_MAX : UINT64_MAX,
                                             .arg = &view,
                                             .trace = evaluation->trace,
                                             .print = evaluation->print,
                                             .output_arg = evaluation->arg};
    bytecode_run(bytecode, &machine, evaluation);
    free(view.others);
}

static void run_evaluate(struct request *request)
{
    rein_thread *thread = request->thread;
    struct rein_evaluation *evaluation = request->out;
    static const char what[] = "cannot evaluate";
    int result = process_check(thread_owner(thread), &request->error);
    if (!result && !rein_state_is_stopped(thread->state))
        result = thread_bad_state(thread, &request->error, what, "stop it first");
    if (!result)
        result = thread_check_call(thread, &request->error, what);
    if (!result) {
        evaluate(thread, request->data, evaluation);
        char text[128];
        if (evaluation->trouble)
            bytecode_trouble_text(evaluation->trouble, evaluation->trouble_address, text, sizeof text);
        if (evaluation->trouble)
            result = error_set(&request->error, REIN_NOT_EVALUATED, "Thread %d: bytecode could not be evaluated: %s",
                               thread->id, text);
    }
    request_finish(request, result);
}

int rein_thread_evaluate(rein_thread *thread, rein_bytecode *bytecode, struct rein_evaluation *evaluation)
{
    if (!thread || !bytecode || !evaluation || evaluation->size != sizeof *evaluation)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_evaluate: an argument is NULL, or the evaluation is not "
                                                 "initialised with REIN_EVALUATION_INIT");
    evaluation->has_value = false;
    evaluation->value = evaluation->trouble_address = 0;
    evaluation->trouble = NULL;
    struct request request = {
        .run = run_evaluate, .process = thread_owner(thread), .thread = thread, .data = bytecode, .out = evaluation};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

/* ---- Conditions ---- */

#define UNCHANGED ((rein_bytecode *)1) /* in .next: nothing is to take the condition's place */

int condition_check(const rein_bytecode *bytecode)
{
    if (!bytecode || bytecode_has_value(bytecode))
        return 0;
    return error_fail(REIN_INVALID_ARGUMENT, "the bytecode cannot be a condition: it can end without a value");
}

void condition_init(struct condition *condition, rein_bytecode *bytecode, uint64_t ignore)
{
    condition->bytecode = rein_bytecode_ref(bytecode);
    atomic_init(&condition->next, UNCHANGED);
    atomic_init(&condition->ignore, ignore);
}

void condition_free(struct condition *condition)
{
    rein_bytecode *next = atomic_load_explicit(&condition->next, memory_order_relaxed);
    rein_bytecode_unref(condition->bytecode);
    if (next != UNCHANGED)
        rein_bytecode_unref(next);
}

/* The condition that holds now, which is valid until this is asked again. */
static rein_bytecode *bring_up_to_date(struct condition *condition)
{
    if (atomic_load_explicit(&condition->next, memory_order_relaxed) != UNCHANGED) {
        rein_bytecode_unref(condition->bytecode);
        condition->bytecode = atomic_exchange_explicit(&condition->next, UNCHANGED, memory_order_acq_rel);
    }
    return condition->bytecode;
}

void condition_inherit(struct condition *condition, struct condition *from)
{
    condition_init(condition, bring_up_to_date(from), atomic_load_explicit(&from->ignore, memory_order_relaxed));
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Is this hit one of those to be ignored? */
static bool is_ignored(struct condition *condition)
{
    uint64_t left = atomic_load_explicit(&condition->ignore, memory_order_relaxed);
    while (left && !atomic_compare_exchange_weak_explicit(&condition->ignore, &left, left - 1, memory_order_relaxed,
                                                          memory_order_relaxed))
        ;
    if (left)
        count(&condition->ignored);
    return left != 0;
}

bool condition_lets_through(rein_thread *thread, rein_breakpoint *breakpoint, struct rein_cause *cause)
{
    struct condition *condition = &breakpoint->condition;
    if (thread->process->monitor->host_died) /* nobody is told of anything, and its heap is better left alone */
        return true;
    rein_bytecode *bytecode = bring_up_to_date(condition);
    if (bytecode) {
        struct rein_evaluation evaluation = {.hits = rein_breakpoint_hits(breakpoint)};
        evaluate(thread, bytecode, &evaluation);
        cause->trouble = evaluation.trouble;
        cause->trouble_address = evaluation.trouble_address;
        if (evaluation.trouble) {
            count(&condition->errors);
            return true;
        }
        if (!evaluation.value)
            return false;
    }
    count(&condition->matched);
    return !is_ignored(condition);
}

int rein_breakpoint_set_condition(rein_breakpoint *breakpoint, rein_bytecode *condition)
{
    if (!breakpoint)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_breakpoint_set_condition: breakpoint is NULL");
    int result = condition_check(condition);
    if (result)
        return result;
    rein_bytecode *passed_over =
        atomic_exchange_explicit(&breakpoint->condition.next, rein_bytecode_ref(condition), memory_order_acq_rel);
    if (passed_over != UNCHANGED)
        rein_bytecode_unref(passed_over);
    return 0;
}

int rein_breakpoint_set_ignore(rein_breakpoint *breakpoint, uint64_t count)
{
    if (!breakpoint)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_breakpoint_set_ignore: breakpoint is NULL");
    atomic_store_explicit(&breakpoint->condition.ignore, count, memory_order_relaxed);
    return 0;
}
