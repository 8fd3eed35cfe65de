/* Breakpoints: the table, putting them in and taking them out of memory, and getting threads past them.
 *
 * In memory only while something runs (M5): put in when the first thread is continued, taken out when all are stopped.
 * In between an observer who goes through rein sees the original bytes; the trap is one byte, written in one go, so that a
 * thread that runs there meanwhile executes either the one or the other.
 *
 * Exact counting. A hit is one execution of the instruction. A thread that hit the breakpoint has executed the trap but
 * not the instruction: `skip` remembers that it was shown this breakpoint, with the stack pointer, until the
 * instruction is executed. Should it come to the trap again before - because a signal handler ran first - it is let past
 * in silence. A thread that was stopped for another reason just before the trap has not hit it and will, when it continues.
 *
 * GETTING PAST ONE. Most instructions are executed in the thread's place (emulate.c), or by the thread in a copy (displace.c). For
 * those that are not, the classic way:
 *
 * PASS_NONE ── somebody must pass ──▶ PASS_HOLDING ── nobody else runs code ──▶ PASS_STEPPING ── all stepped ──▶
 * PASS_NONE
 *
 *   - HOLDING: the others are interrupted, in the kernel only: to the caller they run on. One that cannot stop because it
 *     is in the kernel (vfork, uninterruptible sleep) runs no code before it takes its interrupt, so it counts as held.
 *   - STEPPING: the breakpoints that are to be passed are taken out and their threads execute one instruction each, with
 *     all signals blocked that are not faults: a handler must not run now, with the breakpoint out. (PTRACE_SETSIGMASK,
 *     Linux 3.11.) A system call instruction is executed only up to the entry of the call: a call may block, and
 *     nobody is to be held for it; from there the thread goes on without the breakpoint's concern (P5).
 *   - then they are put back in and everybody is released.
 *
 * What is not stepped over: a signal to be delivered first. The thread then runs into its handler, and `skip` lets
 * it past when it comes back.
 *
 * Ghosts. A thread may have executed a trap that is removed before its stop is seen; it must not be shown a SIGTRAP. And a
 * child forked a moment ago has copies. So a breakpoint removed while something runs is remembered until everything has
 * been stopped once. A trap at a ghost's address is ours if memory there no longer holds a trap instruction. */
#include "engine/breakpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "engine/insist.h"
#include "engine/process.h"

/* A child that was forked just before another thread's exec may still be born: its parent was killed and cannot tell. */
enum { GHOSTS_AFTER_EXEC_MS = 1000, GHOST_IMAGES_MAX = 8, CLEAN_AT_ONCE = 64 };

void breakpoints_init(struct breakpoints *breakpoints)
{
    table_init(&breakpoints->table);
    table_init(&breakpoints->ghosts);
    list_init(&breakpoints->rooms);
    breakpoints->all_in = true;
    breakpoints->clock = 0;
}

static void free_all(struct table *table)
{
    TABLE_FOR_EACH(slot, table)
    rein_breakpoint_unref(slot->value);
    table_free(table);
}

void breakpoints_free(struct breakpoints *breakpoints)
{
    free_all(&breakpoints->table);
    free_all(&breakpoints->ghosts);
}

rein_breakpoint *rein_breakpoint_ref(rein_breakpoint *breakpoint)
{
    if (breakpoint)
        atomic_fetch_add_explicit(&breakpoint->references, 1, memory_order_relaxed);
    return breakpoint;
}

void rein_breakpoint_unref(rein_breakpoint *breakpoint)
{
    while (breakpoint && atomic_fetch_sub_explicit(&breakpoint->references, 1, memory_order_acq_rel) == 1) {
        rein_breakpoint *older = breakpoint->older;
        condition_free(&breakpoint->condition);
        free(breakpoint);
        breakpoint = older;
    }
}

rein_breakpoint *breakpoint_find(rein_process *process, uint64_t pc)
{
    return table_find(&process->breakpoints.table, pc);
}

/* ---- Memory ---- */

enum { BATCH_MAX = 64 }; /* places that are read by one call */

/* 0; -EFAULT: it is not accessible; -ESRCH: there is nobody left whose it is; else it could not be tried. */
static int access_memory(rein_process *process, uint64_t address, void *buffer, const void *data, size_t size)
{
    rein_thread *way = process_living_thread(process);
    if (!way)
        return -ESRCH;
    int64_t done = data ? process->os->write(&process->memory, way->id, address, data, size)
                        : process->os->read(&process->memory, way->id, address, buffer, size);
    return done < 0 ? (int)done : done < (int64_t)size ? -EFAULT : 0;
}

/* Does memory hold a trap instruction there? 1, 0, or an error as above. */
static int holds_trap(rein_process *process, uint64_t address)
{
    const struct arch *arch = process->arch;
    unsigned char code[ARCH_TRAP_MAX];
    int result = access_memory(process, address, code, NULL, arch->trap_size);
    return result ? result : !memcmp(code, arch->trap, arch->trap_size);
}

static int explain_access(rein_process *process, uint64_t pc, int result, const char *what, struct error *error)
{
    if (result == -ESRCH)
        return error_set(error, REIN_EXITED, "process %d is exiting: its memory is gone", process->id);
    if (result == -EFAULT)
        return error_set(error, REIN_BAD_ADDRESS, "the breakpoint at PC 0x%llx cannot be %s the memory of process %d",
                         (unsigned long long)pc, what, process->id);
    return error_set_system(error, REIN_SYSTEM, result,
                            "the breakpoint at PC 0x%llx cannot be %s the memory of process %d", (unsigned long long)pc,
                            what, process->id);
}

/* What is at a breakpoint's place. */
struct place {
    rein_breakpoint *breakpoint;
    unsigned char code[ARCH_TRAP_MAX];
    int result; /* of having read it, as access_memory's */
};

static struct place look(rein_process *process, rein_breakpoint *breakpoint)
{
    struct place place = {.breakpoint = breakpoint};
    place.result = access_memory(process, breakpoint->pc, place.code, NULL, process->arch->trap_size);
    return place;
}

static int put_over(rein_process *process, const struct place *place, struct error *error)
{
    const struct arch *arch = process->arch;
    rein_breakpoint *breakpoint = place->breakpoint;
    process->breakpoints.changes++;
    int result = place->result;
    if (!result) {
        memcpy(breakpoint->original, place->code, sizeof breakpoint->original);
        result = access_memory(process, breakpoint->pc, NULL, arch->trap, arch->trap_size);
    }
    if (result)
        return explain_access(process, breakpoint->pc, result, "put into", error);
    breakpoint->in = breakpoint->ever_in = true;
    LOG(&process->monitor->log, REIN_LOG_TRACE, "Process %d: breakpoint at 0x%llx is in, over 0x%02x", process->id,
        (unsigned long long)breakpoint->pc, breakpoint->original[0]);
    return 0;
}

/* Memory that no longer holds the trap was changed by the program, or is another mapping: it is left alone. A result other
 * than 0: it is still in, for its memory cannot be reached now. */
static int take_from(rein_process *process, const struct place *place)
{
    const struct arch *arch = process->arch;
    rein_breakpoint *breakpoint = place->breakpoint;
    int result = place->result;
    bool holds = !result && memcmp(place->code, arch->trap, arch->trap_size) == 0;
    if (holds)
        result = access_memory(process, breakpoint->pc, NULL, breakpoint->original, arch->trap_size);
    if (result && (holds || result != -EFAULT)) {
        LOG(&process->monitor->log, REIN_LOG_WARNING, "Process %d: breakpoint at 0x%llx cannot be taken out",
            process->id, (unsigned long long)breakpoint->pc);
        return result;
    }
    LOG(&process->monitor->log, REIN_LOG_TRACE, "Process %d: breakpoint at 0x%llx is out%s", process->id,
        (unsigned long long)breakpoint->pc, holds && !result ? "" : ", its memory is gone or was changed");
    breakpoint->in = false;
    return 0;
}

static int put_in(rein_process *process, rein_breakpoint *breakpoint, struct error *error)
{
    if (breakpoint->in)
        return 0;
    struct place place = look(process, breakpoint);
    return put_over(process, &place, error);
}

static int take_out(rein_process *process, rein_breakpoint *breakpoint)
{
    if (!breakpoint->in)
        return 0;
    struct place place = look(process, breakpoint);
    return take_from(process, &place);
}

/* Some of them, whose places are read by one call. */
struct batch {
    rein_process *process;
    size_t count;
    struct place places[BATCH_MAX];
};

static void look_at_all(struct batch *batch)
{
    rein_process *process = batch->process;
    rein_thread *way = batch->count ? process_living_thread(process) : NULL;
    struct rein_range ranges[BATCH_MAX];
    for (size_t i = 0; i < batch->count; i++)
        ranges[i] = (struct rein_range){.address = batch->places[i].breakpoint->pc,
                                        .buffer = batch->places[i].code,
                                        .size = process->arch->trap_size,
                                        .result = -ESRCH};
    if (way)
        process->os->read_ranges(&process->memory, way->id, ranges, batch->count);
    for (size_t i = 0; i < batch->count; i++)
        batch->places[i].result = ranges[i].result ? ranges[i].result : ranges[i].done < ranges[i].size ? -EFAULT : 0;
}

/* The first that cannot be put in ends it. */
static int put_in_batch(struct batch *batch, struct error *error)
{
    int result = 0;
    look_at_all(batch);
    for (size_t i = 0; i < batch->count && !result; i++)
        result = put_over(batch->process, &batch->places[i], error);
    batch->count = 0;
    return result;
}

static int take_out_batch(struct batch *batch)
{
    int result = 0;
    look_at_all(batch);
    for (size_t i = 0; i < batch->count; i++) {
        int failed = take_from(batch->process, &batch->places[i]);
        if (failed)
            result = failed;
    }
    batch->count = 0;
    return result;
}

/* True: it is full. */
static bool add_to(struct batch *batch, rein_breakpoint *breakpoint)
{
    batch->places[batch->count++] = (struct place){.breakpoint = breakpoint};
    return batch->count == BATCH_MAX;
}

int breakpoints_put_in(rein_process *process, struct error *error)
{
    if (process->breakpoints.all_in || process->pass == PASS_STEPPING)
        return 0; /* the one that is out just now must stay out until its threads are past it */
    int result = 0;
    struct batch batch = {.process = process};
    TABLE_FOR_EACH(slot, &process->breakpoints.table)
    {
        rein_breakpoint *breakpoint = slot->value;
        if (!result && !breakpoint->in && add_to(&batch, breakpoint))
            result = put_in_batch(&batch, error);
    }
    if (!result)
        result = put_in_batch(&batch, error);
    if (!result)
        process->breakpoints.all_in = true;
    else if (process->fully_stopped)
        breakpoints_take_out(process);
    return result;
}

int breakpoints_take_out(rein_process *process)
{
    int result = 0, failed = 0;
    struct batch batch = {.process = process};
    TABLE_FOR_EACH(slot, &process->breakpoints.table)
    {
        rein_breakpoint *breakpoint = slot->value;
        if (breakpoint->in && add_to(&batch, breakpoint) && (failed = take_out_batch(&batch)) != 0)
            result = failed;
    }
    if ((failed = take_out_batch(&batch)) != 0)
        result = failed;
    process->breakpoints.all_in = process->breakpoints.table.count == 0;
    return result;
}

/* The one ghost before this is of the same image, or of a long gone one: it is not needed any more. */
static void forget_older(rein_breakpoint *breakpoint)
{
    rein_breakpoint *same = breakpoint->older;
    if (same && same->image == breakpoint->image) {
        breakpoint->older = same->older;
        same->older = NULL;
        rein_breakpoint_unref(same);
    }
    for (unsigned count = 1; breakpoint->older; breakpoint = breakpoint->older) {
        if (++count > GHOST_IMAGES_MAX) {
            rein_breakpoint_unref(breakpoint->older);
            breakpoint->older = NULL;
            break;
        }
    }
}

/* The caller has made room, or has nothing better to do without. */
static void become_ghost(rein_process *process, rein_breakpoint *breakpoint)
{
    rein_breakpoint *older = table_find(&process->breakpoints.ghosts, breakpoint->pc);
    if (!breakpoint->ever_in || table_set(&process->breakpoints.ghosts, breakpoint->pc, breakpoint)) {
        rein_breakpoint_unref(breakpoint);
    } else {
        breakpoint->older = older;
        forget_older(breakpoint);
    }
}

/* The new program is in memory a moment before the exec is told: what was put in meanwhile is in that. */
static void take_out_of_new_image(rein_process *process, rein_breakpoint *breakpoint)
{
    const struct arch *arch = process->arch;
    if (breakpoint->in && memcmp(breakpoint->original, arch->trap, arch->trap_size) != 0 &&
        !process->os->memory_is_gone(&process->memory)) /* else all was written to the old one */
        take_out(process, breakpoint);
}

void breakpoints_forget(rein_process *process)
{
    TABLE_FOR_EACH(slot, &process->breakpoints.table)
    {
        rein_breakpoint *breakpoint = slot->value;
        take_out_of_new_image(process, breakpoint);
        breakpoint->in = false;
    }
    struct table *table = &process->breakpoints.table, *ghosts = &process->breakpoints.ghosts;
    displace_forget_rooms(process);
    if (ghosts->count) {
        table_reserve(ghosts, table->count);
        TABLE_FOR_EACH(slot, table)
        become_ghost(process, slot->value);
        table_free(table);
    } else { /* without needing memory */
        table_free(ghosts);
        *ghosts = *table;
        table_init(table);
    }
    process->breakpoints.all_in = true;
}

void breakpoints_drop_ghosts(rein_process *process)
{
    if (!process->breakpoints.ghosts.count ||
        (process->image && monitor_now() < process->exec_at + (int64_t)GHOSTS_AFTER_EXEC_MS * 1000000))
        return;
    if (!list_empty(&process->births) || process->was_killed)
        return;
    LIST_FOR_EACH(item, &process->threads)
    {
        const rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->leaving || thread->kernel == KERNEL_RUNS) /* in the kernel it may be forking */
            return;
        /* At its end perhaps by another's exit, before it could tell that it has forked. A leader may wait for ever. */
        if (thread->kernel == KERNEL_DYING ? thread->id != process->id : thread->exit_told)
            return;
    }
    free_all(&process->breakpoints.ghosts);
}

bool breakpoints_put_back(const rein_process *process, struct os_memory *memory, int id, uint64_t address,
                          const unsigned char *ours, const unsigned char *original, size_t size)
{
    unsigned char bytes[ARCH_DISPLACED_MAX];
    bool clean = false;
    for (int tries = 0; !clean && tries < INSIST_TRIES; tries++) {
        int64_t done = process->os->read(memory, id, address, bytes, size);
        clean = done >= 0 && (done < (int64_t)size || memcmp(bytes, ours, size) != 0);
        if (done == (int64_t)size && !clean)
            clean = process->os->write(memory, id, address, original, size) == (int64_t)size;
    }
    return clean;
}

/* It dies of one that is left. */
static void clean_one(rein_process *process, const rein_breakpoint *breakpoint, struct os_memory *memory, int id)
{
    const struct arch *arch = process->arch;
    bool clean =
        breakpoints_put_back(process, memory, id, breakpoint->pc, arch->trap, breakpoint->original, arch->trap_size);
    if (!clean)
        LOG(&process->monitor->log, REIN_LOG_WARNING, "Process %d: breakpoint at 0x%llx cannot be taken out", id,
            (unsigned long long)breakpoint->pc);
}

/* Those that may be in a copy are looked at together. */
struct cleaning {
    rein_process *process;
    struct os_memory *memory;
    int id;
    size_t count;
    const rein_breakpoint *breakpoints[CLEAN_AT_ONCE];
    struct rein_range ranges[CLEAN_AT_ONCE];
    unsigned char code[CLEAN_AT_ONCE][ARCH_TRAP_MAX];
};

static void clean_noted(struct cleaning *cleaning)
{
    const struct arch *arch = cleaning->process->arch;
    cleaning->process->os->read_ranges(cleaning->memory, cleaning->id, cleaning->ranges, cleaning->count);
    for (size_t i = 0; i < cleaning->count; i++) {
        bool looked = cleaning->ranges[i].result >= 0;
        bool clean = looked && (cleaning->ranges[i].done < arch->trap_size ||
                                memcmp(cleaning->code[i], arch->trap, arch->trap_size) != 0);
        if (!clean)
            clean_one(cleaning->process, cleaning->breakpoints[i], cleaning->memory, cleaning->id);
    }
    cleaning->count = 0;
}

static void clean(rein_process *process, const struct table *table, struct os_memory *memory, int id, unsigned image)
{
    struct cleaning cleaning = {.process = process, .memory = memory, .id = id};
    TABLE_FOR_EACH(slot, table)
    {
        for (const rein_breakpoint *breakpoint = slot->value; breakpoint; breakpoint = breakpoint->older) {
            if ((breakpoint->image != image && image != IMAGE_UNKNOWN) || !breakpoint->ever_in)
                continue;
            size_t at = cleaning.count++;
            cleaning.breakpoints[at] = breakpoint;
            cleaning.ranges[at] =
                (struct rein_range){breakpoint->pc, cleaning.code[at], process->arch->trap_size, 0, 0};
            if (cleaning.count == CLEAN_AT_ONCE)
                clean_noted(&cleaning);
        }
    }
    if (cleaning.count)
        clean_noted(&cleaning);
}

void breakpoints_clean_copy(rein_process *process, int id, unsigned image)
{
    struct os_memory memory;
    process->os->memory_init(&memory);
    clean(process, &process->breakpoints.table, &memory, id, image);
    clean(process, &process->breakpoints.ghosts, &memory, id, image);
    if (image == process->image || image == IMAGE_UNKNOWN)
        displace_clean_copy(process, &memory, id);
    process->os->memory_close(&memory);
}

void breakpoints_inherit(rein_process *process, const rein_process *parent)
{
    struct table *table = &process->breakpoints.table;
    TABLE_FOR_EACH(slot, &parent->breakpoints.table)
    {
        rein_breakpoint *of_parent = slot->value;
        rein_breakpoint *breakpoint = calloc(1, sizeof *breakpoint);
        if (!breakpoint || table_set(table, of_parent->pc, breakpoint)) {
            free(breakpoint);
            monitor_fail(process->monitor, REIN_NO_MEMORY, 0, "no memory for the breakpoints of process %d",
                         process->id);
            return;
        }
        atomic_init(&breakpoint->references, 1);
        breakpoint->pc = of_parent->pc;
        breakpoint->callback = of_parent->callback;
        breakpoint->arg = of_parent->arg;
        condition_inherit(&breakpoint->condition, &of_parent->condition);
        breakpoint->image = process->image;
        breakpoint->step_over = process->monitor->steps_over;
    }
    process->breakpoints.all_in = table->count == 0;
}

/* ---- Hiding ---- */

enum overlay { OVERLAY_HIDE, OVERLAY_SHOW, OVERLAY_NOTE };

static void overlay_one(const struct arch *arch, rein_breakpoint *breakpoint, uint64_t address, unsigned char *buffer,
                        size_t size, enum overlay what)
{
    size_t trap_size = arch->trap_size < sizeof breakpoint->original ? arch->trap_size : sizeof breakpoint->original;
    for (size_t i = 0; breakpoint->in && i < trap_size; i++) {
        uint64_t at = breakpoint->pc + i - address;
        if (at >= size)
            continue;
        if (what == OVERLAY_HIDE)
            buffer[at] = breakpoint->original[i];
        else if (what == OVERLAY_SHOW)
            buffer[at] = arch->trap[i];
        else
            breakpoint->original[i] = buffer[at];
    }
}

/* Whichever is less: looking for a breakpoint at each address, or looking at each breakpoint. */
static void overlay(rein_process *process, uint64_t address, unsigned char *buffer, size_t size, enum overlay what)
{
    const struct arch *arch = process->arch;
    const struct table *table = &process->breakpoints.table;
    if (size + arch->trap_size <= table->count) {
        for (uint64_t at = address - (arch->trap_size - 1); at != address + size; at++) {
            rein_breakpoint *breakpoint = table_find(table, at);
            if (breakpoint)
                overlay_one(arch, breakpoint, address, buffer, size, what);
        }
    } else {
        TABLE_FOR_EACH(slot, table)
        overlay_one(arch, slot->value, address, buffer, size, what);
    }
}

void breakpoints_hide(rein_process *process, uint64_t address, unsigned char *buffer, size_t size)
{
    displace_hide(process, address, buffer, size);
    overlay(process, address, buffer, size, OVERLAY_HIDE);
}

void breakpoints_show(rein_process *process, uint64_t address, unsigned char *buffer, size_t size)
{
    displace_show(process, address, buffer, size);
    overlay(process, address, buffer, size, OVERLAY_SHOW);
}

void breakpoints_note_write(rein_process *process, uint64_t address, const unsigned char *data, size_t size)
{
    process->breakpoints.changes++;
    displace_note_write(process, address, size);
    overlay(process, address, (unsigned char *)data, size, OVERLAY_NOTE); /* only read from */
}

/* ---- Whose trap ---- */

rein_breakpoint *breakpoint_of_trap(rein_thread *thread, uint64_t pc, uint64_t *address)
{
    rein_process *process = thread->process;
    const struct arch *arch = process->arch;
    *address = pc - arch->trap_pc_offset;
    rein_breakpoint *breakpoint = breakpoint_find(process, *address);
    bool ghost = !breakpoint;
    if (ghost)
        breakpoint = table_find(&process->breakpoints.ghosts, *address);
    if (!breakpoint || !breakpoint->ever_in)
        return NULL;
    /* Set on a trap of the program's own and stepped past: this is the program's. */
    bool over_own = !memcmp(breakpoint->original, arch->trap, arch->trap_size);
    if (over_own && (ghost || !breakpoint->in || thread->stepping != STEPPING_NOT))
        return NULL;
    if (ghost && holds_trap(process, *address) == 1)
        return NULL;
    return breakpoint;
}

/* ---- Getting past ---- */

/* What the instruction at the thread's pc is, the breakpoints in memory overlooked. */
static enum arch_instruction classify(rein_thread *thread, const struct arch_registers *registers)
{
    unsigned char code[ARCH_INSTRUCTION_MAX];
    size_t size = steps_read_code(thread, arch_pc(registers), code, sizeof code);
    return size ? registers->arch->classify(code, size, NULL) : ARCH_INSTRUCTION_UNKNOWN;
}

void breakpoint_note_shown(rein_thread *thread, uint64_t pc, uint64_t sp)
{
    struct thread_extra *extra = thread->extra;
    thread->skip = true;
    extra->skip_restarts = false; /* as that of an earlier one may have been */
    extra->skip_pc = pc;
    extra->skip_sp = sp;
}

bool breakpoint_count(rein_thread *thread, rein_breakpoint *breakpoint, uint64_t sp, struct rein_cause *cause)
{
    uint64_t hits = atomic_fetch_add_explicit(&breakpoint->hits, 1, memory_order_relaxed) + 1;
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: hit %llu of the breakpoint at 0x%llx", thread->id,
        (unsigned long long)hits, (unsigned long long)breakpoint->pc);
    breakpoint_note_shown(thread, breakpoint->pc, sp);
    return condition_lets_through(thread, breakpoint, cause);
}

/* The breakpoint at the thread's pc, if the caller has been shown it there: it is to be passed, not hit. */
static rein_breakpoint *shown_breakpoint(rein_thread *thread, const struct arch_registers *registers)
{
    rein_process *process = thread->process;
    uint64_t pc = arch_pc(registers);
    rein_breakpoint *breakpoint = breakpoint_find(process, pc);
    if (thread->skip && thread_extra(thread)->skip_pc == pc)
        return breakpoint;
    if (!breakpoint || !thread->look_for_added || breakpoint->added <= thread->stop_clock || !thread_need_room(thread))
        return NULL;
    breakpoint_note_shown(thread, pc, arch_sp(registers));
    return breakpoint;
}

/* The breakpoint past which the thread, stopped and to run, is to be stepped first; NULL: none. */
static rein_breakpoint *must_pass(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct arch_registers registers;
    bool steps = thread->state == REIN_STATE_SINGLE_STEPPING;
    if (!process->breakpoints.table.count || thread->stop == OS_EVENT_EXITING || thread_is_at_entry(thread))
        return NULL;
    if (!steps && thread->stop == OS_EVENT_GROUP_STOP)
        return NULL; /* it stays in the group-stop, and passes when that has ended */
    if (thread->deliver && (!steps || thread_extra(thread)->step_deliver))
        return NULL; /* a signal first */
    if (!steps && !thread->skip && !thread->look_for_added)
        return NULL;
    if (thread_get_registers(thread, &registers))
        return NULL;
    rein_breakpoint *breakpoint =
        steps ? breakpoint_find(process, arch_pc(&registers)) : shown_breakpoint(thread, &registers);
    return breakpoint && steps && !breakpoint->in ? NULL : breakpoint;
}

/* A step by request from a breakpoint that has not been shown executes its instruction: that is a hit too. */
static void count_stepped(rein_thread *thread, const struct arch_registers *registers)
{
    rein_breakpoint *breakpoint = breakpoint_find(thread->process, arch_pc(registers));
    uint64_t sp = arch_sp(registers);
    thread->look_for_added = true;
    if (!breakpoint || shown_breakpoint(thread, registers) || breakpoint_was_shown(thread, breakpoint->pc, sp))
        return;
    struct rein_cause untold = {.kind = REIN_CAUSE_BREAKPOINT};
    breakpoint_count(thread, breakpoint, sp, &untold);
}

static enum arch_instruction prepare_step(rein_thread *thread, const struct arch_registers *registers)
{
    struct thread_extra *extra = thread->extra;
    enum arch_instruction kind = classify(thread, registers);
    extra->step_is_programs = registers->arch->uses_step_flag(registers);
    extra->step_pushes_flags = kind == ARCH_INSTRUCTION_PUSHES_FLAGS;
    extra->step_pops_flags = kind == ARCH_INSTRUCTION_POPS_FLAGS;
    extra->step_repeats = kind == ARCH_INSTRUCTION_REPEATED;
    return kind;
}

/* Is it a sequence, and can it be run to its end in one go? */
static bool is_sequence(rein_thread *thread, uint64_t pc)
{
    rein_process *process = thread->process;
    const struct arch *arch = process->arch;
    unsigned char code[ARCH_SEQUENCE_MAX];
    uint64_t ends[ARCH_ENDS_MAX];
    int64_t size = process->os->read(&process->memory, thread->id, pc, code, sizeof code);
    if (!arch->sequence_ends || size <= 0)
        return false;
    breakpoints_hide(process, pc, code, (size_t)size);
    bool may_wait = thread->stepping == STEPPING_WATCH; /* nobody is held for its sake */
    return watch_set_ends(thread, ends, arch->sequence_ends(pc, code, (size_t)size, may_wait, ends));
}

static enum os_resume step_how(rein_thread *thread, uint64_t pc, enum arch_instruction kind)
{
    if (kind == ARCH_INSTRUCTION_SYSCALL)
        return OS_RESUME_TO_SYSCALL;
    return kind == ARCH_INSTRUCTION_BEGINS_SEQUENCE && is_sequence(thread, pc) ? OS_RESUME_RUN : OS_RESUME_STEP;
}

enum os_resume breakpoint_step_how(rein_thread *thread, const struct arch_registers *registers)
{
    return step_how(thread, arch_pc(registers), classify(thread, registers));
}

/* Only one of those that software watchpoints watch executes an instruction at any time: see watch.c. It makes some steps
 * before the next has its turn, for there is code that has to be done in a moment, and begins again when another has done
 * something meanwhile: a clock's reading in the vDSO above all. */
static void take_turn(rein_thread *thread)
{
    enum { STEPS = 100 };
    unsigned *steps = &thread->extra->turn_steps;
    thread->takes_turn = watch_steps(thread);
    if (thread->takes_turn)
        *steps = (*steps ? *steps : STEPS) - 1;
}

/* false: it is dying, or the monitor has failed. */
static bool start_pass(rein_thread *thread)
{
    rein_process *process = thread->process;
    const struct os_backend *os = process->os;
    struct arch_registers registers;
    if (thread_get_registers(thread, &registers) || !thread_need_room(thread))
        return false;
    if (thread->state == REIN_STATE_SINGLE_STEPPING)
        count_stepped(thread, &registers);
    rein_breakpoint *breakpoint = breakpoint_find(process, arch_pc(&registers));
    if (breakpoint && breakpoint->in) {
        int result = take_out(process, breakpoint);
        if (result) {
            thread_check(thread, result, "cannot get past a breakpoint, which cannot be taken out of memory");
            return false;
        }
        process->breakpoints.all_in = false;
    }
    enum arch_instruction kind = prepare_step(thread, &registers);
    uint64_t *mask = &thread->extra->mask;
    thread->mask_changed =
        !os->get_signal_mask(thread->id, mask) && !os->set_signal_mask(thread->id, *mask | ~os->fault_signals);
    thread->stepping = STEPPING_PASS;
    if (kind != ARCH_INSTRUCTION_SYSCALL)
        take_turn(thread);
    thread_resume(thread, step_how(thread, arch_pc(&registers), kind), 0);
    thread_expect(thread);
    return true;
}

void breakpoint_pass_stopped(rein_thread *thread, bool arrived)
{
    thread->stepping = STEPPING_NOT;
    thread->process->pass_steppers--;
    if (arrived)
        thread->extra->sent_in_vain = 0;
    if (arrived && thread->skip) {
        rein_breakpoint *breakpoint = breakpoint_find(thread->process, thread->extra->skip_pc);
        if (breakpoint)
            atomic_fetch_add_explicit(&breakpoint->stepped, 1, memory_order_relaxed);
        thread->skip = false;
    }
    monitor_note_change(thread->process);
}

bool breakpoint_have_shown(rein_thread *thread)
{
    rein_monitor *monitor = thread->process->monitor;
    if (!thread_need_room(thread))
        return false;
    struct shown **shown = &thread->extra->shown;
    if (!*shown)
        *shown = thread_allocate(thread, SHOWN_MAX * sizeof **shown);
    if (!*shown && !monitor->host_died) /* else nothing is shown any more */
        monitor_fail(monitor, REIN_NO_MEMORY, 0, "no memory for what thread %d comes back to", thread->id);
    return *shown != NULL;
}

void breakpoint_forget_shown(rein_thread *thread, int signal)
{
    struct thread_extra *extra = thread->extra;
    struct arch_registers registers;
    if (!thread->skip)
        return;
    if (signal && !thread_get_registers(thread, &registers) && arch_pc(&registers) == extra->skip_pc &&
        breakpoint_have_shown(thread)) {
        if (extra->shown_count == SHOWN_MAX)
            memmove(extra->shown, extra->shown + 1, --extra->shown_count * sizeof *extra->shown);
        extra->shown[extra->shown_count++] = (struct shown){extra->skip_pc, extra->skip_sp};
    }
    thread->skip = !signal && extra->skip_restarts;
    extra->skip_restarts = false;
}

bool breakpoint_was_shown(rein_thread *thread, uint64_t pc, uint64_t sp)
{
    const struct thread_extra *extra = thread_extra(thread);
    if (thread->skip && extra->skip_pc == pc && extra->skip_sp == sp)
        return true;
    for (unsigned i = extra->shown_count; i-- > 0;) {
        if (extra->shown[i].pc != pc || extra->shown[i].sp != sp)
            continue;
        thread->extra->shown_count = (unsigned char)i; /* with those behind it, whose handlers were left by longjmp */
        breakpoint_note_shown(thread, pc, sp);
        LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d: is back at the breakpoint at 0x%llx",
            thread->id, (unsigned long long)pc);
        return true;
    }
    return false;
}

static void forget_shown_at(rein_thread *thread, uint64_t pc)
{
    struct thread_extra *extra = thread->extra;
    unsigned kept = 0;
    if (!extra)
        return;
    if (extra->skip_pc == pc)
        thread->skip = false;
    for (unsigned i = 0; i < extra->shown_count; i++) {
        if (extra->shown[i].pc != pc)
            extra->shown[kept++] = extra->shown[i];
    }
    extra->shown_count = (unsigned char)kept;
}

void breakpoint_step(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct thread_extra *extra = thread->extra; /* see thread_begin_step */
    struct arch_registers registers;
    int signal = extra->step_deliver ? thread->deliver : 0;
    extra->step_pushes_flags = extra->step_pops_flags = extra->step_repeats = extra->step_is_programs = false;
    bool known = !thread_get_registers(thread, &registers);
    /* In a call that is still to be made, or to be made again, it does not stand at its pc. */
    bool in_call = thread_is_at_entry(thread) || (known && process->os->call_is_made_again(&registers, NULL) == 1);
    bool enters = in_call;
    enum os_resume how = OS_RESUME_STEP;
    enum arch_instruction kind = ARCH_INSTRUCTION_UNKNOWN;
    if (!in_call) {
        extra->step_from.pc = known ? arch_pc(&registers) : 0;
        extra->step_from.sp = known ? arch_sp(&registers) : 0;
    }
    extra->step_call = in_call && known ? arch_pc(&registers) - registers.arch->syscall_size : 0;
    if (signal) {
        breakpoint_forget_shown(thread, signal);
        thread->deliver = 0; /* the step ends at the handler's first instruction, with fresh flags */
        extra->step_deliver = false;
    } else if (!in_call && known) {
        count_stepped(thread, &registers);
        kind = prepare_step(thread, &registers);
        enters = kind == ARCH_INSTRUCTION_SYSCALL && !extra->step_is_programs;
        extra->step_call = enters ? arch_pc(&registers) : 0;
        if (kind == ARCH_INSTRUCTION_BEGINS_SEQUENCE)
            how = step_how(thread, arch_pc(&registers), kind);
    }
    if (thread->stop ==
        OS_EVENT_VFORK) { /* it stops before it is back from the call; till then the monitor may end, see has_duties */
        thread_resume(thread, OS_RESUME_RUN, 0);
        return;
    }
    thread->stepping = STEPPING_USER;
    if (signal && !in_call && known)
        kind = classify(thread, &registers);
    if (in_call || kind == ARCH_INSTRUCTION_SYSCALL || kind == ARCH_INSTRUCTION_UNKNOWN)
        steps_forget_code(thread);
    if (!in_call && kind != ARCH_INSTRUCTION_SYSCALL)
        take_turn(thread);
    /* A step over a whole call (OS_RESUME_STEP) shows neither its entry nor its exit. */
    thread_resume(thread, enters && !signal ? syscall_resume(thread, OS_RESUME_STEP) : how, signal);
    thread_expect(thread);
}

/* A trap that comes while SIGTRAP is blocked has the kernel unblock it, and forget the program's handler (force_sig): a
 * program that handles it would lose that by being stepped through its handler. So it is not blocked for the step. */
static void unblock_trap(rein_thread *thread)
{
    const struct os_backend *os = thread->process->os;
    const uint64_t trap = UINT64_C(1) << (SIGTRAP - 1);
    uint64_t *mask = &thread->extra->mask;
    if (!thread->mask_changed && !os->get_signal_mask(thread->id, mask) && *mask & trap)
        thread->mask_changed = !os->set_signal_mask(thread->id, *mask & ~trap);
}

/* A call may wait for another thread, which must have its turn then; so it is not stepped over, but run to its entry, and
 * on to its exit. Two are stepped over, to their end: one that the thread is in though its entry was not seen, as it has just
 * made a process or a thread; and one of a program that steps itself, which is to have a trap of its own behind it. */
enum os_resume breakpoint_step_on(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct arch_registers registers;
    bool in_birth =
        thread->stop == OS_EVENT_CLONE || thread->stop == OS_EVENT_FORK || thread->stop == OS_EVENT_VFORK_DONE;
    if (!thread_need_room(thread))
        return OS_RESUME_RUN;
    struct thread_extra *extra = thread->extra;
    extra->step_pushes_flags = extra->step_pops_flags = extra->step_repeats = false;
    if (thread->in_call)
        return OS_RESUME_TO_SYSCALL; /* its exit */
    if (thread->stop == OS_EVENT_VFORK || thread_get_registers(thread, &registers))
        return OS_RESUME_RUN; /* it stops before it is back from the call; or it is dying */
    extra->step_is_programs = registers.arch->uses_step_flag(&registers);
    bool in_call = in_birth || process->os->call_is_made_again(&registers, NULL) == 1;
    enum arch_instruction kind = in_call ? ARCH_INSTRUCTION_PLAIN : prepare_step(thread, &registers);
    bool makes_call = !in_birth && (in_call || kind == ARCH_INSTRUCTION_SYSCALL);
    if (makes_call && !extra->step_is_programs)
        return OS_RESUME_TO_SYSCALL;
    thread->stepping = STEPPING_SOFTWARE;
    if (!in_birth && !makes_call)
        take_turn(thread);
    if (!extra->step_is_programs)
        unblock_trap(thread);
    return makes_call ? OS_RESUME_STEP : step_how(thread, arch_pc(&registers), kind);
}

/* The instruction was executed: nobody comes back to it. */
static void forget_shown_before_step(struct thread_extra *extra)
{
    while (extra->shown_count && extra->shown[extra->shown_count - 1].pc == extra->step_from.pc &&
           extra->shown[extra->shown_count - 1].sp == extra->step_from.sp)
        extra->shown_count--;
}

/* The kernel hides the trap flag that it sets for a step, but loses count around popf: when it is stepped, and when the
 * step is interrupted before it is executed (enable_single_step in arch/x86/kernel/step.c says so itself). The flag
 * then stays set, and the program would die of a SIGTRAP that nobody expects. */
void breakpoint_step_done(rein_thread *thread, struct arch_registers *registers, bool executed)
{
    rein_process *process = thread->process;
    const struct arch *arch = registers->arch;
    struct thread_extra *extra = thread->extra;
    if (executed && thread->stepping == STEPPING_USER)
        forget_shown_before_step(extra);
    if (extra->step_is_programs)
        return;
    bool popped = extra->step_pops_flags && executed;
    if (!popped && arch->uses_step_flag(registers)) {
        arch->clear_step_flag(registers);
        thread_set_registers(thread, registers);
    }
    uint64_t bit, address = arch->pushed_flags(registers, &bit);
    uint16_t word;
    if (extra->step_pushes_flags && executed && !access_memory(process, address, &word, NULL, sizeof word) &&
        (word & bit)) {
        word &= (uint16_t)~bit;
        access_memory(process, address, NULL, &word, sizeof word);
    }
    extra->step_pushes_flags = false;
}

/* Every breakpoint is to be in memory. One that cannot be put in any more (unmapped since) is left out. */
static void put_back(rein_process *process)
{
    struct error error;
    if (breakpoints_put_in(process, &error))
        LOG(&process->monitor->log, REIN_LOG_WARNING, "Process %d: %s", process->id, error.text);
}

/* Lets run who may. A thread that steps while nobody else runs needs no breakpoint in memory: at its next pc it is known without. */
static bool release(rein_process *process, rein_thread *thread)
{
    bool alone = thread->state == REIN_STATE_SINGLE_STEPPING && !process->code_runners &&
                 (process->fully_stopped || !process->has_sharers);
    thread_drop_void_stop(thread); /* it may have become so while it waited here */
    if (process->turns && watch_steps(thread))
        return true; /* it stays ready, till the one whose turn it is has stopped */
    if (!alone && thread->state != REIN_STATE_EXITING)
        put_back(process);
    rein_breakpoint *breakpoint = thread->state == REIN_STATE_RUNNING ? must_pass(thread) : NULL;
    if (breakpoint && !displace(thread, breakpoint))
        return false;
    thread_run(thread);
    return true;
}

/* A stop signal that a step has left pending takes a SIGCONT away that comes in the moment when it is sent. In the place of
 * another, at a signal's stop, it does not; and a step ends at such a stop. */
static bool must_reach_signal_stop(rein_thread *thread)
{
    const struct os_backend *os = thread->process->os;
    struct arch_registers registers;
    return thread->state == REIN_STATE_RUNNING && thread->stop == OS_EVENT_INTERRUPTED && thread_holds_stop(thread) &&
           !thread_get_registers(thread, &registers) && os->call_is_made_again(&registers, NULL) != 1;
}

/* Lets all run, unless somebody must make a step first: then nobody, for they would only have to be stopped again. */
static bool release_all(rein_process *process)
{
    LIST_FOR_EACH(item, &process->ready)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, ready);
        rein_breakpoint *breakpoint = must_pass(thread);
        bool stays = breakpoint && !displace_is_possible(thread, breakpoint);
        if (stays && displace_makes_room(thread, breakpoint))
            continue;
        if (stays || must_reach_signal_stop(thread))
            return false;
    }
    bool all = true;
    LIST_FOR_EACH(item, &process->ready)
    all &= release(process, LIST_ENTRY(item, rein_thread, ready));
    return all;
}

static void start_holding(rein_process *process)
{
    process->pass = PASS_HOLDING;
    LIST_FOR_EACH(item, &process->ready) /* they stay for a while, in which the monitor may be killed */
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, ready);
        thread_check(thread, thread_give_registers(thread), "cannot have its registers set");
    }
    if (!process->code_runners)
        return;
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->kernel == KERNEL_RUNS)
            thread_interrupt(thread);
    }
}

/* One breakpoint at a time, with all threads that stand at it: one instruction may execute two (mov ss), and the other
 * breakpoints are to be in memory then. Those that software watchpoints watch go one by one. */
static void start_stepping(rein_process *process)
{
    const rein_breakpoint *passed = NULL;
    process->pass = PASS_STEPPING;
    LIST_FOR_EACH(item, &process->ready)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, ready);
        const rein_breakpoint *breakpoint = must_pass(thread);
        if (breakpoint ? passed && breakpoint != passed : !must_reach_signal_stop(thread))
            continue;
        if (process->turns && watch_steps(thread))
            continue;
        if (breakpoint)
            passed = breakpoint;
        process->pass_steppers++;
        if (!start_pass(thread)) {
            process->pass_steppers--;
            thread_resume(thread, OS_RESUME_RUN, 0); /* its end is near */
        }
    }
}

/* If that can be done. */
static void pass_at_once(rein_thread *thread)
{
    rein_breakpoint *breakpoint = must_pass(thread);
    if (breakpoint && emulate_at_breakpoint(thread, breakpoint))
        thread->skip = thread->look_for_added = false;
}

void breakpoint_pass_advance(rein_process *process)
{
    struct list *ready = &process->ready;
    /* Who is exiting runs no more code, and others may wait for its end (an exec, say): it is never kept. */
    LIST_FOR_EACH(item, &process->arrivals)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, ready);
        thread_drop_void_stop(thread);
        list_remove(&thread->ready);
        list_append(thread_extra(thread)->turn_steps ? ready->next : ready,
                    &thread->ready); /* in front: it has its turn still */
        if (thread->state == REIN_STATE_EXITING)
            thread_run(thread);
        else
            pass_at_once(thread);
    }
    for (;;) {
        if (process->pass == PASS_NONE) {
            if (release_all(process))
                return;
            start_holding(process);
        }
        if (process->pass == PASS_HOLDING) {
            if (process->code_runners)
                return;
            start_stepping(process);
        }
        if (process->pass_steppers)
            return;
        process->pass = PASS_NONE;
        put_back(process);
    }
}

/* ---- What callers ask ---- */

/* For rein_breakpoint_info, before it has been hit. */
static void note_instruction(rein_process *process, rein_breakpoint *breakpoint)
{
    unsigned char code[ARCH_INSTRUCTION_MAX];
    const rein_thread *way = process_living_thread(process);
    int64_t size = way ? process->os->read(&process->memory, way->id, breakpoint->pc, code, sizeof code) : 0;
    if (size <= 0)
        return;
    breakpoints_hide(process, breakpoint->pc, code, (size_t)size);
    emulate_prepare(breakpoint, process->arch, code, (size_t)size);
}

/* By the seed's rules the process must be stopped; the caller may say that it need not be. Of a guest, that whose breakpoints
 * they are must be, too. */
static int check_stopped(struct request *request, const char *what)
{
    rein_process *process = process_of_memory(request->process);
    int result = process_check(request->process, &request->error);
    if (!result)
        result = process_check(process, &request->error);
    rein_thread *running = process_running_thread(request->process);
    if (!running)
        running = process_running_thread(process);
    if (!result && running && !(request->flags & REIN_BREAKPOINT_WHILE_RUNNING))
        result = thread_bad_state(running, &request->error, what,
                                  "stop the process first, or say REIN_BREAKPOINT_WHILE_RUNNING");
    return result;
}

static int add(struct request *request)
{
    rein_process *process = process_of_memory(request->process);
    const struct rein_breakpoint_options *options = request->options;
    static const char what[] = "cannot add breakpoint";
    int result = check_stopped(request, what);
    if (result)
        return result;
    if (process->in_foreign_memory)
        return error_set(&request->error, REIN_BAD_STATE,
                         "process %d: %s before it calls exec: it runs in the memory of a process that was let go, and "
                         "would die of it",
                         process->id, what);
    if (process->unscanned)
        attach_adopt(process);
    const rein_thread *fresh = process->fresh ? process_fresh_thread(process) : NULL;
    if (fresh)
        return thread_bad_state(
            fresh, &request->error, what,
            "it has not stopped once since it was attached to, and may be making a process, which would "
            "die of the breakpoint; stop it first");
    if (process->unscanned)
        return error_set(&request->error, REIN_BAD_STATE,
                         "process %d: %s before all its threads have been found, which would die of it; stop it first",
                         process->id, what);
    if (breakpoint_find(process, request->address))
        return error_set(&request->error, REIN_BREAKPOINT_EXISTS, "breakpoint already exists at PC 0x%llx",
                         (unsigned long long)request->address);
    unsigned char code[ARCH_TRAP_MAX];
    int access = access_memory(process, request->address, code, NULL, process->arch->trap_size);
    if (request->address % process->arch->alignment)
        return error_set(&request->error, REIN_BAD_ADDRESS,
                         "no breakpoint can be at PC 0x%llx: an instruction of %s is at a multiple of %llu",
                         (unsigned long long)request->address, process->arch->name,
                         (unsigned long long)process->arch->alignment);
    if (access && access != -EFAULT)
        return explain_access(process, request->address, access, "put into", &request->error);
    if (access)
        return error_set(&request->error, REIN_BAD_ADDRESS,
                         "no breakpoint can be at PC 0x%llx: process %d has no memory there",
                         (unsigned long long)request->address, process->id);
    if (!process->breakpoints.table.count && (result = attach_take_sharers(process, &request->error)) != 0)
        return result;
    rein_breakpoint *breakpoint = calloc(1, sizeof *breakpoint);
    if (!breakpoint || table_set(&process->breakpoints.table, request->address, breakpoint)) {
        free(breakpoint);
        return error_set(&request->error, REIN_NO_MEMORY, "no memory for a breakpoint");
    }
    atomic_init(&breakpoint->references, 1);
    breakpoint->pc = request->address;
    breakpoint->image = process->image;
    breakpoint->step_over = process->monitor->steps_over;
    breakpoint->added = ++process->breakpoints.clock;
    note_instruction(process, breakpoint);
    if (options) {
        breakpoint->callback = options->callback;
        breakpoint->arg = options->arg;
    }
    condition_init(&breakpoint->condition, options ? options->condition : NULL, options ? options->ignore : 0);
    if (process->fully_stopped)
        process->breakpoints.all_in = false;
    else
        result = put_in(process, breakpoint, &request->error);
    if (result) {
        table_remove(&process->breakpoints.table, request->address);
        rein_breakpoint_unref(breakpoint);
        return result;
    }
    if (request->out)
        *(rein_breakpoint **)request->out = rein_breakpoint_ref(breakpoint);
    return 0;
}

static void run_add(struct request *request)
{
    request_finish(request, add(request));
}

int rein_process_add_breakpoint(rein_process *process, rein_word pc, const struct rein_breakpoint_options *options,
                                rein_breakpoint **breakpoint)
{
    if (breakpoint)
        *breakpoint = NULL;
    if (!process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_add_breakpoint: process is NULL");
    if (options && (options->size != sizeof *options || (options->flags & ~(unsigned)REIN_BREAKPOINT_WHILE_RUNNING)))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_add_breakpoint: options are not initialised with "
                                                 "REIN_BREAKPOINT_OPTIONS_INIT, or have unknown flags");
    int result = options ? condition_check(options->condition) : 0;
    if (result)
        return result;
    struct request request = {.run = run_add,
                              .process = process,
                              .address = process_address(process, pc),
                              .options = options,
                              .flags = options ? options->flags : 0,
                              .out = breakpoint};
    return monitor_submit(process->monitor, &request, -1);
}

static void run_remove(struct request *request)
{
    rein_process *process = process_of_memory(request->process);
    rein_breakpoint *breakpoint = breakpoint_find(process, request->address);
    int result = check_stopped(request, "cannot remove breakpoint");
    if (!result && !breakpoint)
        result = error_set(&request->error, REIN_NO_BREAKPOINT, "no breakpoint at PC 0x%llx",
                           (unsigned long long)request->address);
    if (!result && table_reserve(&process->breakpoints.ghosts, 1))
        result = error_set(&request->error, REIN_NO_MEMORY, "no memory for removing a breakpoint");
    if (!result && breakpoint) {
        int access = take_out(process, breakpoint);
        if (access)
            result = explain_access(process, request->address, access, "taken out of", &request->error);
    }
    if (!result && breakpoint) {
        table_remove(&process->breakpoints.table, request->address);
        displace_forget(breakpoint);
        LIST_FOR_EACH(item, &process->threads)
        forget_shown_at(LIST_ENTRY(item, rein_thread, link), request->address); /* one added there later is another */
        become_ghost(process, breakpoint);
        if (process->fully_stopped)
            breakpoints_drop_ghosts(process);
    }
    request_finish(request, result);
}

int rein_process_remove_breakpoint(rein_process *process, rein_word pc, unsigned flags)
{
    if (!process || (flags & ~(unsigned)REIN_BREAKPOINT_WHILE_RUNNING))
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_remove_breakpoint: process is NULL, or unknown flags 0x%x", flags);
    struct request request = {
        .run = run_remove, .process = process, .address = process_address(process, pc), .flags = flags};
    return monitor_submit(process->monitor, &request, -1);
}

static int by_address(const void *a, const void *b)
{
    uint64_t left = (*(rein_breakpoint *const *)a)->pc, right = (*(rein_breakpoint *const *)b)->pc;
    return left < right ? -1 : left > right;
}

static void run_list(struct request *request)
{
    const struct table *table = &process_of_memory(request->process)->breakpoints.table;
    int result = process_check(request->process, &request->error);
    rein_breakpoint **list = !result && table->count ? calloc(table->count, sizeof(rein_breakpoint *)) : NULL;
    if (list) {
        TABLE_FOR_EACH(slot, table)
        list[request->size++] = rein_breakpoint_ref(slot->value);
        qsort(list, request->size, sizeof(rein_breakpoint *), by_address);
    } else if (!result && table->count) {
        result = error_set(&request->error, REIN_NO_MEMORY, "no memory for a list of breakpoints");
    }
    *(rein_breakpoint ***)request->out = list;
    request_finish(request, result);
}

int rein_process_breakpoints(rein_process *process, rein_breakpoint ***breakpoints, size_t *count)
{
    if (!process || !breakpoints || !count)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_breakpoints: process, breakpoints or count is NULL");
    *breakpoints = NULL;
    struct request request = {.run = run_list, .process = process, .out = breakpoints};
    int result = monitor_submit(process->monitor, &request, -1);
    *count = request.size;
    return result;
}

void rein_breakpoint_list_free(rein_breakpoint **breakpoints, size_t count)
{
    for (size_t i = 0; breakpoints && i < count; i++)
        rein_breakpoint_unref(breakpoints[i]);
    free(breakpoints);
}

rein_word rein_breakpoint_pc(const rein_breakpoint *breakpoint)
{
    if (!breakpoint)
        error_fail(REIN_INVALID_ARGUMENT, "rein_breakpoint_pc: breakpoint is NULL");
    return breakpoint ? breakpoint->pc : 0;
}

uint64_t rein_breakpoint_hits(const rein_breakpoint *breakpoint)
{
    if (!breakpoint)
        error_fail(REIN_INVALID_ARGUMENT, "rein_breakpoint_hits: breakpoint is NULL");
    return breakpoint ? atomic_load_explicit(&breakpoint->hits, memory_order_relaxed) : 0;
}

int rein_breakpoint_info(const rein_breakpoint *breakpoint, struct rein_breakpoint_info *info)
{
    static const char *const why[] = {
        [ARCH_PLAN_NONE] = "the instruction can be moved; a thread in a restartable sequence executes it where it is",
        [ARCH_PLAN_REGISTERS] = "the instruction changes registers only",
        [ARCH_PLAN_MEMORY] =
            "the instruction is simple, and uses memory; a thread with a watchpoint executes it itself",
        [ARCH_PLAN_RETURN_ADDRESS] =
            "the instruction calls or returns; a thread with a watchpoint, or a shadow stack, executes it itself",
    };
    static const char *const why_not[] = {
        [NO_MOVE_AT_ALL] = "the instruction is none that rein executes itself, and cannot be moved",
        [NO_ROOM] = "the instruction can be moved, but there is no room near it, nor can any be mapped",
        [NO_ROOM_FILTERED] = "the instruction can be moved, but there is no room near it, and none is mapped, for the "
                             "program has a seccomp filter, which may kill it for that",
        [NO_ROOM_REFUSED] =
            "the instruction can be moved, but there is no room near it, and the kernel has refused to map any",
    };
    if (!breakpoint || !info || info->size != sizeof *info)
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_breakpoint_info: breakpoint or info is NULL, or info is not initialised "
                          "with REIN_BREAKPOINT_INFO_INIT");
    int kind = atomic_load_explicit(&breakpoint->plan_kind, memory_order_relaxed);
    int no_move = atomic_load_explicit(&breakpoint->cannot_move, memory_order_relaxed);
    *info = (struct rein_breakpoint_info){
        .size = sizeof *info,
        .pc = breakpoint->pc,
        .hits = atomic_load_explicit(&breakpoint->hits, memory_order_relaxed),
        .way = kind == ARCH_PLAN_NONE ? REIN_BREAKPOINT_DISPLACED : REIN_BREAKPOINT_EMULATED,
        .why = why[kind],
        .emulated = atomic_load_explicit(&breakpoint->emulated, memory_order_relaxed),
        .displaced = atomic_load_explicit(&breakpoint->displaced, memory_order_relaxed),
        .stepped = atomic_load_explicit(&breakpoint->stepped, memory_order_relaxed),
        .matched = atomic_load_explicit(&breakpoint->condition.matched, memory_order_relaxed),
        .ignored = atomic_load_explicit(&breakpoint->condition.ignored, memory_order_relaxed),
        .errors = atomic_load_explicit(&breakpoint->condition.errors, memory_order_relaxed),
    };
    if (breakpoint->step_over) {
        info->way = REIN_BREAKPOINT_STEPPED;
        info->why = "the monitor was made with REIN_MONITOR_STEP_OVER";
    } else if (kind == ARCH_PLAN_NONE && no_move != CAN_MOVE) {
        info->way = REIN_BREAKPOINT_STEPPED;
        info->why = why_not[no_move];
    }
    return 0;
}
