/* What happens at a tracepoint, on the monitor, with the thread stopped in the kernel and all others running: the condition is
 * evaluated, and what the actions name goes to a frame of the buffer. Then the thread goes on, or makes steps first
 * (trace_steps.c).
 *
 * A frame has what could be read. Memory that is not there leaves no block, and the client shows it as not collected; it ends a
 * collection by bytecode, but not the trace. A condition that looks at such memory is false. Other troubles of bytecode (a division
 * by zero, too many steps) end the trace, as does a buffer that is full, and a tracepoint's passcount. */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "server.h"
#include "trace.h"

/* One frame of a hit, or of a step. */
struct collection {
    struct tracing *tracing;
    struct tracepoint *point;
    rein_thread *thread;
    rein_registers *registers; /* NULL: not asked for yet */
    bool full;                 /* not all had room */
};

/* ---- Blocks ---- */

static void add_memory(struct collection *collection, uint64_t address, uint64_t size)
{
    struct tracing *tracing = collection->tracing;
    while (size && !collection->full) {
        size_t piece = size < TRACE_BLOCK_MAX ? (size_t)size : TRACE_BLOCK_MAX, done = 0;
        if (address && piece > 0 - address)
            piece = (size_t)(0 - address);
        rein_thread_read(collection->thread, address, tracing->scratch, piece, &done);
        if (!done)
            return;
        collection->full = !buffer_add_memory(&tracing->buffer, address, tracing->scratch, done);
        if (done < piece)
            return;
        address += done;
        size -= done;
        if (!address)
            return;
    }
}

static rein_registers *get_registers(struct collection *collection)
{
    if (!collection->registers && rein_thread_registers(collection->thread, &collection->registers) != 0)
        collection->registers = NULL;
    return collection->registers;
}

/* All that the client knows, one behind the other. Those that there are not are zeros. */
static void add_registers(struct collection *collection)
{
    struct tracing *tracing = collection->tracing;
    rein_registers *registers = get_registers(collection);
    unsigned char *at = tracing->scratch;
    for (size_t i = 0; registers && i < tracing->target->count; i++) {
        const struct register_place *place = &tracing->target->places[i];
        if (register_read(registers, place, at) != 0)
            memset(at, 0, place->size);
        at += place->size;
    }
    if (registers)
        collection->full |= !buffer_add_registers(&tracing->buffer, tracing->scratch);
}

/* Memory relative to a register. */
static bool add_base(struct collection *collection, int number, uint64_t *address)
{
    const struct target *target = collection->tracing->target;
    unsigned char bytes[64] = {0};
    uint64_t value;
    if (number < 0)
        return true;
    rein_registers *registers = get_registers(collection);
    if ((size_t)number >= target->count || !registers || register_read(registers, &target->places[number], bytes) != 0)
        return false;
    memcpy(&value, bytes, sizeof value);
    *address += value;
    return true;
}

/* ---- Bytecode ---- */

static void trace_memory(void *arg, rein_word address, rein_word size)
{
    add_memory(arg, address, size);
}

static bool use_variable(void *arg, enum rein_variable_use use, unsigned number, rein_word *value)
{
    struct collection *collection = arg;
    int id = (int)(number & ~(unsigned)AGENT_VARIABLES);
    struct trace_variable *variable = number & AGENT_VARIABLES ? trace_variable(collection->tracing, id) : NULL;
    int64_t known = variable ? trace_variable_value(variable) : 0;
    if (use == REIN_VARIABLE_GET)
        *value = (rein_word)known;
    else if (use == REIN_VARIABLE_SET && variable)
        variable->value = (int64_t)*value;
    else if (use == REIN_VARIABLE_TRACE && collection->tracing->buffer.is_open)
        collection->full |= !buffer_add_variable(&collection->tracing->buffer, id, known);
    return true;
}

/* NULL, or what is the matter, which ends the trace. Of a condition is_true is the result. */
static const char *evaluate(struct collection *collection, rein_bytecode *code, bool *is_true)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    evaluation.hits = collection->point->hits;
    evaluation.arg = collection;
    evaluation.variable = use_variable;
    evaluation.trace = trace_memory;
    int result = rein_thread_evaluate(collection->thread, code, &evaluation);
    if (is_true)
        *is_true = result == 0 && evaluation.has_value && evaluation.value;
    if (result == 0)
        return is_true && !evaluation.has_value ? "empty stack" : NULL;
    if (!evaluation.trouble || strcmp(evaluation.trouble, "memory cannot be read") == 0)
        return NULL;
    return strcmp(evaluation.trouble, "division by zero") == 0 ? "divide by zero" : evaluation.trouble;
}

/* ---- A frame ---- */

static const char *act(struct collection *collection, const struct trace_actions *actions)
{
    const char *trouble = NULL;
    for (size_t i = 0; i < actions->count && !trouble && !collection->full; i++) {
        const struct trace_action *action = &actions->list[i];
        uint64_t address = action->address;
        if (action->type == 'R')
            add_registers(collection);
        else if (action->type == 'M' && add_base(collection, action->base, &address))
            add_memory(collection, address, action->size);
        else if (action->type == 'X')
            trouble = evaluate(collection, action->code, NULL);
    }
    return trouble;
}

static void collect(struct collection *collection, const struct trace_actions *actions)
{
    struct tracing *tracing = collection->tracing;
    struct tracepoint *point = collection->point;
    if (!buffer_begin(&tracing->buffer, point->number)) {
        trace_finish(tracing, TRACE_FULL, 0, NULL);
        return;
    }
    collection->full = false;
    const char *trouble = act(collection, actions);
    point->usage += buffer_finish(&tracing->buffer);
    if (collection->full && !tracing->buffer.circular)
        trace_finish(tracing, TRACE_FULL, 0, NULL);
    else if (trouble)
        trace_finish(tracing, TRACE_ERROR, point->number, trouble);
}

static void note_pass(struct tracing *tracing, const struct tracepoint *point)
{
    if (tracing->running && point->passes && point->hits >= point->passes)
        trace_finish(tracing, TRACE_PASSED, point->number, NULL);
}

/* ---- A hit ---- */

/* Is the thread one of the program's? A vfork child that nobody follows comes here as well: it is in its parent's memory. */
static bool is_ours(struct tracing *tracing, rein_thread *thread)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    int pid = rein_process_id(rein_thread_process(thread));
    if (!tracing->process_id || rein_thread_evaluate(thread, tracing->process_id, &evaluation) != 0 ||
        evaluation.value != (rein_word)pid)
        return false;
    bool ours = pid == tracing->pid;
    for (size_t i = 0; i < tracing->part_count && !ours; i++)
        ours = tracing->parts[i] == pid;
    return ours;
}

static bool add_steps(struct tracing *tracing, int tid, const struct tracepoint *point)
{
    struct trace_steps *grown = realloc(tracing->steps, (tracing->step_count + 1) * sizeof *grown);
    if (!grown)
        return false;
    tracing->steps = grown;
    grown[tracing->step_count++] = (struct trace_steps){tid, point->number, point->address, point->steps};
    return true;
}

void trace_collect_step(struct tracing *tracing, rein_thread *thread, struct tracepoint *point, bool is_last)
{
    struct collection collection = {.tracing = tracing, .point = point, .thread = thread};
    if (!tracing->running)
        return;
    collect(&collection, &point->step_actions);
    if (is_last)
        note_pass(tracing, point);
    rein_registers_free(collection.registers);
}

bool trace_hit(struct tracing *tracing, rein_thread *thread, rein_word address)
{
    bool steps = false, may_step = !resume_is_stepping(tracing->server, rein_thread_id(thread));
    if (!tracing->running || !is_ours(tracing, thread))
        return false;
    trace_take_step(tracing, thread);
    struct collection collection = {.tracing = tracing, .thread = thread};
    for (size_t i = 0; i < tracing->point_count && tracing->running; i++) {
        struct tracepoint *point = tracing->points[i];
        bool is_true = true;
        if (point->address != address || !point->enabled)
            continue;
        collection.point = point;
        const char *trouble = point->condition ? evaluate(&collection, point->condition, &is_true) : NULL;
        if (trouble)
            trace_finish(tracing, TRACE_ERROR, point->number, trouble);
        if (!is_true)
            continue;
        point->hits++;
        collect(&collection, &point->actions);
        if (!point->steps || !may_step)
            note_pass(tracing, point);
        else if (tracing->running)
            steps |= add_steps(tracing, rein_thread_id(thread), point);
    }
    rein_registers_free(collection.registers);
    tracing->has_walkers |= steps;
    return steps && tracing->running && trace_add_walker(tracing, rein_thread_id(thread));
}
