/* Watchpoints: the processor's debug registers.
 *
 * They are each thread's own, and can be set only while it is stopped. So a change of the list is a tick of the process's
 * clock, and whoever is resumed with an older clock has its registers made right first (watch_arm, in thread_resume, which
 * every way to run goes through): who was stopped, who is just born, who comes out of the kernel late. If threads run
 * when the list changes, all are interrupted, in the kernel only, so that they come through there; adding waits for
 * them.
 *
 * Nobody may be let go with a register that is on: the kernel leaves it on, and the trap, with no tracer to take it,
 * would be the program's death. attach_detach_thread clears them, in every way that a thread is let go.
 *
 * Exact counting. A data access has been made when it traps, the trap is a signal of its own (force_sig) and waits at
 * the next stop, wherever that comes (bring_out_trap in event.c): so each is seen once. An execution traps in front of
 * the instruction, and RF in the flags, kept by the kernel through signals' frames, lets the thread past. Where the
 * instruction is come to again without RF though it was hit - a breakpoint there is passed, a system call is made again
 * - RF is set here.
 *
 * Where the processor stops in front of an access (arm64), or has no RF, the registers that have fired are switched off, for that
 * thread, until it has executed the instruction, in a step that nobody sees (STEPPING_WATCH), or in the one that it makes
 * anyway; the others stay on, for the same instruction may be for them, too. An access is hit then, not before. If the
 * thread gets a signal first, nothing has happened: the handler's return comes there again.
 *
 * The ends of a sequence that must be stepped as a whole (breakpoint.c) are watched for, too: no other thread sees that.
 *
 * The trap in front of a sequence's store (arm64: store exclusive) makes that fail, as a step of it would. So the
 * program is let find that out: it will try again, and is stopped where the sequence begins (`again`, in a register of
 * its own), from where it is run to its end with those registers off. It is a hit if the store says that it was done.
 * Between the two the thread runs as ever, with all on, and may do anything else.
 *
 * SOFTWARE ones need no register: whom they watch is stepped instead of run (STEPPING_SOFTWARE, in thread_run), one
 * instruction at a time, and the bytes are compared after each (watch_compare, in event.c's finish_step). An instruction
 * that makes a system call is run up to the call's entry, and from there to its exit, where they are compared, too: a call
 * may block. Of the threads that are stepped only one is on its way at any time (takes_turn), for of two changes that are
 * made at once only one would be seen, and who has made it would be a guess; calls need no turn. Who makes a call for the
 * caller, and a guest, is not stepped: what they write is seen after the next step of whoever is.
 *
 * The registers that a trap came from are told by the kernel once, by their numbers. What was in them stays known (struct
 * watched) until they are written again; so a watchpoint that was removed in between is no mystery, and its trap is
 * dropped. */
#include "engine/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/process.h"

void watch_init(struct watchpoints *watchpoints)
{
    list_init(&watchpoints->list);
    watchpoints->clock = watchpoints->software = 0;
}

static void forget(struct watchpoints *watchpoints, rein_watchpoint *watchpoint)
{
    list_remove(&watchpoint->link);
    watchpoints->software -= watchpoint->software;
    watchpoint->thread = NULL;
    rein_watchpoint_unref(watchpoint);
}

void watch_forget(struct watchpoints *watchpoints)
{
    LIST_FOR_EACH(item, &watchpoints->list)
    forget(watchpoints, LIST_ENTRY(item, rein_watchpoint, link));
    watchpoints->clock++;
}

rein_watchpoint *rein_watchpoint_ref(rein_watchpoint *watchpoint)
{
    if (watchpoint)
        atomic_fetch_add_explicit(&watchpoint->references, 1, memory_order_relaxed);
    return watchpoint;
}

void rein_watchpoint_unref(rein_watchpoint *watchpoint)
{
    if (watchpoint && atomic_fetch_sub_explicit(&watchpoint->references, 1, memory_order_acq_rel) == 1)
        free(watchpoint);
}

static bool is_removed(const rein_watchpoint *watchpoint)
{
    return list_empty(&watchpoint->link);
}

/* ---- In the registers ---- */

static bool is_for(const rein_watchpoint *watchpoint, const rein_thread *thread)
{
    return !watchpoint->thread_is_gone && (!watchpoint->thread || watchpoint->thread == thread);
}

/* What is to be in the thread's registers, of the watchpoints up to the one before `end` (NULL: all); the last one in
 * *newest. */
static unsigned collect(const rein_thread *thread, const rein_watchpoint *end, rein_watchpoint **slots,
                        struct arch_watch *pieces, rein_watchpoint **newest)
{
    unsigned count = 0;
    *newest = NULL;
    LIST_FOR_EACH(item, &thread->process->watchpoints.list)
    {
        rein_watchpoint *watchpoint = LIST_ENTRY(item, rein_watchpoint, link);
        if (watchpoint == end)
            break;
        if (watchpoint->software || !is_for(watchpoint, thread))
            continue;
        for (unsigned i = 0; i < watchpoint->piece_count && count < ARCH_WATCH_SLOTS; i++) {
            slots[count] = watchpoint;
            pieces[count++] = watchpoint->pieces[i];
        }
        *newest = watchpoint;
    }
    return count;
}

/* What is in the registers, in their order: of the pieces those that are not off, the ends of a sequence, and the beginning of one
 * that is to be run again. */
enum { OF_END = ARCH_WATCH_SLOTS, OF_START };
struct armed {
    struct arch_watch pieces[ARCH_WATCH_SLOTS];
    unsigned char of[ARCH_WATCH_SLOTS]; /* which piece it is, or OF_... */
    unsigned count;
};

static void arm(struct armed *armed, unsigned of, const struct arch_watch *piece)
{
    if (armed->count == ARCH_WATCH_SLOTS)
        return;
    armed->of[armed->count] = (unsigned char)of;
    armed->pieces[armed->count++] = *piece;
}

static void list_armed(const struct watched *watched, const struct arch_watch *pieces, unsigned count, uint32_t off,
                       struct armed *armed)
{
    armed->count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!(off >> i & 1))
            arm(armed, i, &pieces[i]);
    }
    for (unsigned i = 0; i < watched->end_count; i++)
        arm(armed, OF_END, &(struct arch_watch){watched->ends[i], 4, ARCH_WATCH_EXECUTE});
    if (watched->again && !(off && watched->off_pc == watched->again_pc))
        arm(armed, OF_START, &(struct arch_watch){watched->again_pc, 4, ARCH_WATCH_EXECUTE});
}

static int write_registers(rein_thread *thread, const struct arch_watch *pieces, unsigned count, uint32_t off)
{
    const struct os_backend *os = thread->process->os;
    struct watched *watched = thread_extra(thread)->watched;
    uint64_t words[ARCH_WATCH_WORDS];
    struct armed armed;
    list_armed(watched, pieces, count, off, &armed);
    thread->process->arch->encode_watches(armed.pieces, armed.count, words);
    int result = os->set_watches(thread->id, words);
    watched->stale = result != 0;
    watched->on = result == 0 && armed.count != 0;
    return result;
}

static void forget_off(struct watched *watched)
{
    watched->stale |= watched->off != 0;
    watched->off = watched->to_come = 0;
}

void watch_release(rein_thread *thread)
{
    struct watched *watched = thread_extra(thread)->watched;
    if (!watched)
        return;
    while (watched->count)
        rein_watchpoint_unref(watched->slots[--watched->count]);
    watched->off = watched->to_come = watched->again = 0;
    watched->end_count = 0;
    watched->on = watched->stale = false;
}

void watch_free(rein_thread *thread)
{
    watch_release(thread);
    free(thread_extra(thread)->watched);
}

/* When the host has died nothing is armed any more, see watch_arm and watch_set_ends. */
int watch_make_room(rein_thread *thread)
{
    if (thread_make_room(thread))
        return -ENOMEM;
    if (!thread->extra->watched)
        thread->extra->watched = thread_allocate(thread, sizeof *thread->extra->watched);
    return thread->extra->watched ? 0 : -ENOMEM;
}

/* That is off for the instruction at pc. */
static void put_off(struct watched *watched, uint64_t pc, uint32_t off)
{
    if (watched->off_pc != pc)
        watched->off = watched->to_come = 0;
    watched->off |= off;
    watched->off_pc = pc;
    watched->stale = true;
}

/* ... and is hit when it has been executed. */
static void put_off_to_come(struct watched *watched, uint64_t pc, uint32_t accesses)
{
    put_off(watched, pc, accesses);
    watched->to_come |= accesses;
}

/* What is hit in front of that instruction is off for it. */
static void switch_off(struct watched *watched, uint64_t pc)
{
    for (unsigned i = 0; i < watched->count; i++) {
        if (watched->pieces[i].kind != ARCH_WATCH_EXECUTE || watched->pieces[i].address != pc)
            continue;
        put_off(watched, pc, UINT32_C(1) << i);
    }
    if (watched->again && watched->again_pc == pc)
        put_off_to_come(watched, pc, watched->again);
}

/* Do they, on this machine? Found out when it is first asked. */
static bool can_fire(rein_monitor *monitor)
{
    if (monitor->watch_fires < 0)
        monitor->watch_fires = monitor->os->try_watch(monitor->kind == REIN_MONITOR_THREAD, monitor->watch_slots);
    return monitor->watch_fires == 1;
}

/* The list has changed, or may have. */
static void take_list(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct watched *watched = thread_extra(thread)->watched;
    rein_watchpoint *slots[ARCH_WATCH_SLOTS], *newest;
    struct arch_watch pieces[ARCH_WATCH_SLOTS];
    if (thread->extra) /* else none of them is for it */
        thread->extra->watch_clock = process->watchpoints.clock;
    if (!watched) /* it is watched by software only, or not at all */
        return;
    unsigned count = collect(thread, NULL, slots, pieces, &newest);
    unsigned end_count = watched->end_count;
    uint64_t off_pc = watched->off_pc;
    bool passes = watched->off != 0;
    if (count == watched->count && !memcmp(slots, watched->slots, count * sizeof *slots))
        return;
    watched->again = 0;
    int result;
    while ((result = write_registers(thread, pieces, count, 0)) && result != -ESRCH && newest) {
        newest->refused = result;
        LOG(&process->monitor->log, REIN_LOG_WARNING, "Thread %d: the kernel refuses a watchpoint at 0x%llx (%d)",
            thread->id, (unsigned long long)newest->address, result);
        count = collect(thread, newest, slots, pieces, &newest);
    }
    thread_check(thread, result, "cannot have its debug registers set");
    bool on = watched->on;
    for (unsigned i = 0; i < count; i++)
        rein_watchpoint_ref(slots[i]);
    watch_release(thread);
    memcpy(watched->slots, slots, count * sizeof *slots);
    memcpy(watched->pieces, pieces, count * sizeof *pieces);
    watched->count = count;
    watched->on = on;
    watched->end_count = end_count;
    if (passes)
        switch_off(watched, off_pc);
    LOG(&process->monitor->log, REIN_LOG_TRACE, "Thread %d: has %u debug registers on", thread->id, count);
}

void watch_arm(rein_thread *thread)
{
    rein_process *process = thread->process;
    struct watched *watched = thread_extra(thread)->watched;
    if (watched && !watched->ends_are_new && watched->end_count && !thread->trap_waits) {
        watched->end_count = 0;
        watched->stale = true;
    }
    if (watched)
        watched->ends_are_new = false;
    if (thread->guest || thread->trap_waits || thread->stop == OS_EVENT_EXITING || process->condition != PROCESS_HELD)
        return;
    if (thread_extra(thread)->watch_clock != process->watchpoints.clock)
        take_list(thread);
    if (!watched || !watched->stale)
        return;
    int result = write_registers(thread, watched->pieces, watched->count, watched->off);
    if (result && watched->again) { /* there is none to be had for that */
        watched->again = 0;
        result = write_registers(thread, watched->pieces, watched->count, watched->off);
    }
    thread_check(thread, result, "cannot have its debug registers set");
}

void watch_disarm(rein_thread *thread)
{
    struct watched *watched = thread_extra(thread)->watched;
    if (!watched || !watched->on)
        return;
    watched->end_count = 0;
    watched->again = 0;
    write_registers(thread, NULL, 0, 0); /* if it fails, the thread is dying */
}

bool watch_set_ends(rein_thread *thread, const uint64_t *ends, size_t count)
{
    rein_monitor *monitor = thread->process->monitor;
    if (!count || thread->guest || thread->trap_waits || monitor->host_died || !can_fire(monitor) ||
        watch_make_room(thread))
        return false;
    struct watched *watched = thread_extra(thread)->watched;
    memcpy(watched->ends, ends, count * sizeof *ends);
    watched->end_count = (unsigned)count;
    if (write_registers(thread, watched->pieces, watched->count, watched->off)) {
        watched->end_count = 0; /* there are not so many; those that it had are put back by watch_arm */
        watched->stale = true;
        return false;
    }
    watched->ends_are_new = true;
    return true;
}

enum os_resume watch_resume(rein_thread *thread, enum os_resume how, int signal)
{
    struct watched *watched = thread_extra(thread)->watched;
    struct arch_registers registers;
    if (!watched || !watched->off || thread_extra(thread)->remote_call || thread->trap_waits || how == OS_RESUME_LISTEN)
        return how;
    /* A handler's return comes to it again, and with a new pc it is not executed. */
    if (signal || thread->process->condition != PROCESS_HELD || thread_get_registers(thread, &registers) ||
        arch_pc(&registers) != watched->off_pc) {
        forget_off(watched);
        return how;
    }
    if (thread->stepping != STEPPING_NOT || how == OS_RESUME_STEP)
        return how;
    thread->stepping = STEPPING_WATCH;
    return breakpoint_step_how(thread, &registers);
}

void watch_thread_ends(rein_process *process, const rein_thread *thread)
{
    LIST_FOR_EACH(item, &process->watchpoints.list)
    {
        rein_watchpoint *watchpoint = LIST_ENTRY(item, rein_watchpoint, link);
        if (watchpoint->thread != thread)
            continue;
        watchpoint->thread = NULL;
        watchpoint->thread_is_gone = true;
    }
}

bool watch_pass(rein_thread *thread, uint64_t pc, struct arch_registers *registers)
{
    struct watched *watched = thread_extra(thread)->watched;
    if (!watched)
        return false;
    if (!thread->process->arch->pass_watch) {
        switch_off(watched, pc);
        return false;
    }
    for (unsigned i = 0; i < watched->count; i++) {
        const rein_watchpoint *watchpoint = watched->slots[i];
        if (watchpoint->kind != REIN_WATCH_EXECUTE || watchpoint->address != pc)
            continue;
        registers->arch->pass_watch(registers);
        return true;
    }
    return false;
}

/* ---- Hits ---- */

static bool read_bytes(rein_process *process, const rein_watchpoint *watchpoint, unsigned char *bytes)
{
    rein_thread *way = process_living_thread(process);
    size_t size = (size_t)watchpoint->size;
    if (!way || process->os->read(&process->memory, way->id, watchpoint->address, bytes, size) != (int64_t)size)
        return false;
    breakpoints_hide(process, watchpoint->address, bytes, size);
    return true;
}

/* What is there now, if that can be told. */
static bool look(rein_process *process, const rein_watchpoint *watchpoint, uint64_t *value)
{
    *value = 0;
    if (watchpoint->kind == REIN_WATCH_EXECUTE || watchpoint->size > sizeof *value)
        return false;
    return read_bytes(process, watchpoint, (unsigned char *)value);
}

static void note_value(rein_process *process, rein_watchpoint *watchpoint)
{
    watchpoint->value_known = watchpoint->software ? read_bytes(process, watchpoint, watchpoint->bytes)
                                                   : look(process, watchpoint, &watchpoint->value);
}

static void count_hit(rein_thread *thread, const struct rein_cause *cause, struct watch_hits *hits)
{
    rein_watchpoint *watchpoint = cause->watchpoint;
    uint64_t count = atomic_fetch_add_explicit(&watchpoint->hits, 1, memory_order_relaxed) + 1;
    LOG(&thread->process->monitor->log, REIN_LOG_TRACE, "Thread %d@0x%llx: hit %llu of the watchpoint at 0x%llx",
        thread->id, (unsigned long long)cause->pc, (unsigned long long)count, (unsigned long long)watchpoint->address);
    hits->causes[hits->count++] = *cause;
}

static void take_hit(rein_thread *thread, uint64_t pc, rein_watchpoint *watchpoint, struct watch_hits *hits)
{
    struct rein_cause cause = {.kind = REIN_CAUSE_WATCHPOINT, .pc = pc, .watchpoint = watchpoint};
    bool known = look(thread->process, watchpoint, &cause.value);
    bool changed = !known || !watchpoint->value_known || cause.value != watchpoint->value;
    cause.old_value = watchpoint->value;
    cause.value_known = known && watchpoint->value_known;
    watchpoint->value_known = known;
    watchpoint->value = cause.value;
    if (watchpoint->changes_only && !changed)
        return;
    count_hit(thread, &cause, hits);
}

/* Of those at which something has fired, one for each watchpoint: an access over several pieces is one hit. */
static void take_fired(rein_thread *thread, uint64_t pc, uint32_t fired, struct watch_hits *hits)
{
    const struct watched *watched = thread_extra(thread)->watched;
    for (unsigned i = 0; i < watched->count; i++) {
        if (!(fired >> i & 1))
            continue;
        rein_watchpoint *watchpoint = watched->slots[i];
        hits->any = true;
        hits->accessed |= watchpoint->kind != REIN_WATCH_EXECUTE;
        for (unsigned j = i + 1; j < watched->count; j++)
            fired &= watched->slots[j] == watchpoint ? ~(UINT32_C(1) << j) : ~UINT32_C(0);
        if (!is_removed(watchpoint))
            take_hit(thread, pc, watchpoint, hits);
    }
}

static uint32_t pieces_of(const struct watched *watched, enum arch_watch_kind kind)
{
    uint32_t pieces = 0;
    for (unsigned i = 0; i < watched->count; i++)
        pieces |= watched->pieces[i].kind == kind ? UINT32_C(1) << i : 0;
    return pieces;
}

/* The code in front of that address, as much as there is of it. */
static size_t read_code_before(const rein_thread *thread, uint64_t address, unsigned char code[ARCH_SEQUENCE_MAX])
{
    rein_process *process = thread->process;
    for (size_t size = ARCH_SEQUENCE_MAX; size >= process->arch->alignment; size /= 2) {
        if (process->os->read(&process->memory, thread->id, address - size, code, size) != (int64_t)size)
            continue; /* it begins behind that */
        breakpoints_hide(process, address - size, code, size);
        return size;
    }
    return 0;
}

/* Those that watch data there. */
static uint32_t pieces_at(const struct watched *watched, const struct arch_watch *where)
{
    uint32_t pieces = 0;
    for (unsigned i = 0; i < watched->count; i++) {
        const struct arch_watch *piece = &watched->pieces[i];
        if (piece->kind != ARCH_WATCH_EXECUTE && piece->address < where->address + where->size &&
            where->address < piece->address + piece->size)
            pieces |= UINT32_C(1) << i;
    }
    return pieces;
}

/* The trap in front of the store with which a sequence ends makes that fail: it is to be run again, and not stopped in then. */
static void note_failing(rein_thread *thread, const struct arch_registers *registers)
{
    const struct arch *arch = registers->arch;
    struct watched *watched = thread_extra(thread)->watched;
    unsigned char code[ARCH_SEQUENCE_MAX];
    struct arch_watch where;
    uint64_t behind = arch_pc(registers) + arch->alignment;
    if (!arch->sequence_start)
        return;
    size_t size = read_code_before(thread, behind, code);
    uint64_t start = arch->sequence_start(behind, code, size);
    if (!start || arch->sequence_stored(registers, code, size, &where) < 0)
        return;
    watched->again = (watched->again_pc == start ? watched->again : 0) | pieces_at(watched, &where);
    watched->again_pc = start;
}

/* Where they fire in front of the access, it is to be made with them off: then they are hit. Another may fire at it, too. */
static uint32_t take_fired_before(rein_thread *thread, const struct arch_registers *registers, uint32_t fired)
{
    struct watched *watched = thread_extra(thread)->watched;
    uint64_t pc = arch_pc(registers);
    uint32_t executions = fired & pieces_of(watched, ARCH_WATCH_EXECUTE), accesses = fired & ~executions;
    put_off(watched, pc, executions);
    put_off_to_come(watched, pc, accesses);
    if (accesses)
        note_failing(thread, registers);
    return executions;
}

int watch_take_hits(rein_thread *thread, const struct arch_registers *registers, struct watch_hits *hits)
{
    struct watched *watched = thread_extra(thread)->watched;
    uint64_t pc = arch_pc(registers);
    const struct os_backend *os = thread->process->os;
    uint32_t in_order = 0, fired = 0;
    bool at_start = false;
    struct armed armed;
    hits->any = hits->accessed = hits->to_come = hits->ended = false;
    hits->count = 0;
    if (!watched)
        return 0;
    list_armed(watched, watched->pieces, watched->count, watched->off, &armed);
    int result = armed.count ? os->take_watch_hits(thread->id, armed.pieces, armed.count, &in_order) : 0;
    if (result)
        return result;
    for (unsigned i = 0; i < armed.count; i++) {
        if (!(in_order >> i & 1))
            continue;
        hits->any = true;
        hits->ended |= armed.of[i] == OF_END;
        at_start |= armed.of[i] == OF_START;
        fired |= armed.of[i] < OF_END ? UINT32_C(1) << armed.of[i] : 0;
    }
    if (fired && thread->process->arch->watch_fires_before) {
        fired = take_fired_before(thread, registers, fired);
        hits->to_come = watched->to_come != 0;
    }
    if (at_start && !hits->ended) { /* else it comes there once more */
        put_off_to_come(watched, pc, watched->again);
        hits->to_come = true;
    }
    take_fired(thread, pc, fired, hits);
    return 0;
}

/* A store that may fail has it, or the sequence did not come to it; or it has stored elsewhere. */
static uint32_t without_failed(rein_thread *thread, const struct arch_registers *registers, uint32_t made)
{
    struct watched *watched = thread_extra(thread)->watched;
    unsigned char code[ARCH_SEQUENCE_MAX];
    uint32_t writes = made & pieces_of(watched, ARCH_WATCH_WRITE);
    struct arch_watch where;
    if (!writes || !registers->arch->sequence_stored)
        return made;
    size_t size = read_code_before(thread, arch_pc(registers), code);
    int stored = registers->arch->sequence_stored(registers, code, size, &where);
    if (stored < 0)
        return watched->off_pc == watched->again_pc ? made & ~(writes & watched->again) : made;
    made &= ~(writes & ~(stored ? pieces_at(watched, &where) : 0));
    if (made & watched->again)
        watched->again = 0;
    return made;
}

void watch_take_made(rein_thread *thread, const struct arch_registers *registers, struct watch_hits *hits)
{
    struct watched *watched = thread_extra(thread)->watched;
    uint64_t pc = arch_pc(registers);
    if (!watched || !watched->off || (watched->off_pc == pc && hits->any)) /* it has just fired at the next */
        return;
    uint32_t made = without_failed(thread, registers, watched->to_come);
    forget_off(watched);
    take_fired(thread, pc, made, hits);
}

bool watch_is_at_end(const rein_thread *thread, uint64_t pc)
{
    const struct watched *watched = thread_extra(thread)->watched;
    for (unsigned i = 0; watched && i < watched->end_count; i++) {
        if (watched->ends[i] == pc)
            return true;
    }
    return false;
}

bool watch_is_near(const rein_thread *thread)
{
    return watch_is_armed(thread_extra(thread)->watched) || !list_empty(&thread->process->watchpoints.list);
}

bool watch_steps(const rein_thread *thread)
{
    const rein_process *process = thread->process;
    if (!process->watchpoints.software || process->condition != PROCESS_HELD || thread->guest ||
        thread->stop == OS_EVENT_EXITING)
        return false;
    LIST_FOR_EACH(item, &process->watchpoints.list)
    {
        const rein_watchpoint *watchpoint = LIST_ENTRY(item, rein_watchpoint, link);
        if (watchpoint->software && is_for(watchpoint, thread))
            return true;
    }
    return false;
}

/* Memory that is gone, or there again, has not been written to. */
static void compare(rein_thread *thread, uint64_t pc, rein_watchpoint *watchpoint, struct watch_hits *hits)
{
    unsigned char bytes[WATCH_SOFTWARE_SIZE_MAX];
    size_t size = (size_t)watchpoint->size;
    struct rein_cause cause = {.kind = REIN_CAUSE_WATCHPOINT, .pc = pc, .watchpoint = watchpoint};
    bool was_known = watchpoint->value_known;
    watchpoint->value_known = read_bytes(thread->process, watchpoint, bytes);
    if (!watchpoint->value_known || (was_known && !memcmp(bytes, watchpoint->bytes, size)))
        return;
    if (size <= sizeof cause.value) {
        memcpy(&cause.old_value, watchpoint->bytes, size);
        memcpy(&cause.value, bytes, size);
        cause.value_known = true;
    }
    memcpy(watchpoint->bytes, bytes, size);
    if (was_known)
        count_hit(thread, &cause, hits);
}

void watch_compare(rein_thread *thread, uint64_t pc, struct watch_hits *hits)
{
    if (thread->process->turns) /* what is seen behind a call may be his who makes a step just now; he looks, too */
        return;
    LIST_FOR_EACH(item, &thread->process->watchpoints.list)
    {
        rein_watchpoint *watchpoint = LIST_ENTRY(item, rein_watchpoint, link);
        if (watchpoint->software && is_for(watchpoint, thread))
            compare(thread, pc, watchpoint, hits);
    }
}

/* Only those bytes: what the program has written elsewhere, and is not seen yet, is a hit still. */
void watch_note_write(rein_process *process, uint64_t address, const unsigned char *data, size_t size)
{
    LIST_FOR_EACH(item, &process->watchpoints.list)
    {
        rein_watchpoint *watchpoint = LIST_ENTRY(item, rein_watchpoint, link);
        unsigned char *bytes = watchpoint->software ? watchpoint->bytes : (unsigned char *)&watchpoint->value;
        for (size_t i = 0; watchpoint->value_known && i < watchpoint->size; i++) {
            uint64_t offset = watchpoint->address + i - address;
            if (offset < size)
                bytes[i] = data[offset];
        }
    }
}

/* ---- What callers ask ---- */

static int check_stopped(struct request *request, const char *what)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    rein_thread *running = process_running_thread(process);
    if (!result && process->as_guest)
        result = error_set(&request->error, REIN_BAD_STATE,
                           "process %d %s: it runs in the memory of process %d until its exec, and is not watched",
                           process->id, what, process->as_guest->process->id);
    if (!result && running && !(request->flags & REIN_WATCH_WHILE_RUNNING))
        result =
            thread_bad_state(running, &request->error, what, "stop the process first, or say REIN_WATCH_WHILE_RUNNING");
    return result;
}

/* How many registers of that pool are in use for all threads, or for that one (NULL: for any one thread at most). */
static unsigned count_used(const rein_process *process, unsigned pool, const rein_thread *thread)
{
    const struct arch *arch = process->arch;
    unsigned common = 0, own_most = 0;
    LIST_FOR_EACH(item, &process->watchpoints.list)
    {
        const rein_watchpoint *watchpoint = LIST_ENTRY(item, rein_watchpoint, link);
        unsigned own = 0;
        if (arch->watch_pool[watchpoint->kind] != pool || watchpoint->thread_is_gone)
            continue;
        if (!watchpoint->thread) {
            common += watchpoint->piece_count;
            continue;
        }
        LIST_FOR_EACH(each, &process->watchpoints.list)
        {
            const rein_watchpoint *other = LIST_ENTRY(each, rein_watchpoint, link);
            if (other->thread == watchpoint->thread && arch->watch_pool[other->kind] == pool)
                own += other->piece_count;
        }
        if ((!thread || watchpoint->thread == thread) && own > own_most)
            own_most = own;
    }
    return common + own_most;
}

static int cut(struct request *request, rein_watchpoint *watchpoint)
{
    const rein_process *process = request->process;
    const struct arch *arch = process->arch;
    const rein_monitor *monitor = process->monitor;
    unsigned pool = arch->watch_pool[watchpoint->kind];
    unsigned slots = monitor->watch_fires == 1 ? monitor->watch_slots[pool] : arch->watch_slots[pool];
    size_t needed = arch->split_watch(watchpoint->address, watchpoint->size, (enum arch_watch_kind)watchpoint->kind,
                                      watchpoint->pieces, ARCH_WATCH_SLOTS);
    unsigned used = count_used(process, pool, watchpoint->thread);
    if (!needed)
        return error_set(&request->error, REIN_INVALID_ARGUMENT,
                         "no instruction of %s can be at 0x%llx: its address must be a multiple of %llu", arch->name,
                         (unsigned long long)watchpoint->address, (unsigned long long)arch->alignment);
    if (needed + used > slots)
        return error_set(&request->error, REIN_NO_SLOT,
                         "a watchpoint of %llu bytes at 0x%llx needs %zu of the %u debug registers that %s has, and %u "
                         "are in use in process %d",
                         (unsigned long long)watchpoint->size, (unsigned long long)watchpoint->address, needed, slots,
                         arch->name, used, process->id);
    watchpoint->piece_count = (unsigned)needed;
    return 0;
}

static int check_memory(struct request *request)
{
    rein_process *process = request->process;
    rein_thread *way = process_living_thread(process);
    unsigned char byte;
    if (!way)
        return error_set(&request->error, REIN_EXITED, "process %d is exiting: its memory is gone", process->id);
    for (uint64_t at = request->address;; at = request->address + request->size - 1) { /* the first and the last */
        if (process->os->read(&process->memory, way->id, at, &byte, 1) != 1)
            return error_set(&request->error, REIN_BAD_ADDRESS,
                             "no watchpoint can be at 0x%llx: process %d has no memory there", (unsigned long long)at,
                             process->id);
        if (at == request->address + request->size - 1)
            return 0;
    }
}

static int check_machine(struct request *request)
{
    if (can_fire(request->monitor))
        return 0;
    int found = request->monitor->watch_fires;
    if (found < 0)
        return error_set_system(&request->error, REIN_SYSTEM, found,
                                "it could not be tried whether debug registers fire on this machine");
    return error_set(&request->error, REIN_NEVER_FIRES,
                     "a watchpoint would be accepted by the kernel, but never fires on this machine: its debug "
                     "registers do nothing (some hypervisors do so); REIN_WATCH_SOFTWARE watches without them, slowly");
}

static int check_software(struct request *request)
{
    const rein_process *process = request->process;
    unsigned count = 0;
    LIST_FOR_EACH(item, &process->watchpoints.list)
    {
        const rein_watchpoint *watchpoint = LIST_ENTRY(item, rein_watchpoint, link);
        count += watchpoint->software && !watchpoint->thread_is_gone;
    }
    if (count < WATCH_SOFTWARE_MAX)
        return 0;
    return error_set(&request->error, REIN_NO_SLOT, "process %d has %u software watchpoints, and cannot have more",
                     process->id, count);
}

static bool is_awaited(const rein_watchpoint *watchpoint, const rein_thread *thread)
{
    return !thread->guest && is_for(watchpoint, thread) && thread->kernel == KERNEL_RUNS && !thread->in_vfork &&
           !thread->stuck && !thread->leaving && (int)(thread_extra(thread)->watch_clock - watchpoint->added) < 0;
}

static void hand_out(struct request *request)
{
    if (request->out)
        *(rein_watchpoint **)request->out = rein_watchpoint_ref(request->buffer);
}

/* Any at all? They come by in about the order of the list: it is gone on with where one was found the last time, whose id is kept
 * in the request. */
static bool are_any_awaited(struct request *request, const rein_watchpoint *watchpoint)
{
    rein_process *process = request->process;
    rein_thread *last = table_find(&process->monitor->threads, (uint64_t)request->number);
    struct list *from = last && last->process == process ? &last->link : process->threads.next;
    for (int rounds = from == process->threads.next ? 1 : 2; rounds; rounds--, from = process->threads.next) {
        for (struct list *item = from; item != &process->threads; item = item->next) {
            const rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
            request->number = thread->id;
            if (is_awaited(watchpoint, thread))
                return true;
        }
    }
    return false;
}

/* Has every thread that can run code been here? Or has the kernel refused it to one of them? */
static bool added_ready(struct request *request)
{
    rein_process *process = request->process;
    rein_watchpoint *watchpoint = request->buffer;
    int result = process_check(process, &request->error);
    if (!result && is_removed(watchpoint)) {
        result = error_set(&request->error, REIN_NO_WATCHPOINT,
                           "the watchpoint at 0x%llx was removed while it was added", /* an exec, or another caller */
                           (unsigned long long)watchpoint->address);
    } else if (!result && watchpoint->refused) {
        int code = watchpoint->refused == -ENOSPC ? REIN_NO_SLOT : REIN_BAD_ADDRESS;
        result =
            error_set_system(&request->error, code, watchpoint->refused,
                             "the kernel refuses a watchpoint of %llu bytes at 0x%llx to process %d%s",
                             (unsigned long long)watchpoint->size, (unsigned long long)watchpoint->address, process->id,
                             code == REIN_NO_SLOT ? ": somebody else has debug registers (perf?)" : "");
        forget(&process->watchpoints, watchpoint);
        process->watchpoints.clock++;
    } else if (!result) {
        if (are_any_awaited(request, watchpoint))
            return false;
        hand_out(request);
    }
    request_finish(request, result);
    return true;
}

/* The list has changed: who runs comes by. One of those that are stopped is seen to at once, to hear what the kernel says. */
static void have_all_look(rein_process *process, const rein_watchpoint *watchpoint)
{
    bool tried = false;
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->guest || !is_for(watchpoint, thread))
            continue;
        if (thread->kernel == KERNEL_RUNS)
            thread_interrupt(thread);
        else if (thread->kernel == KERNEL_STOPPED && !tried && !thread->unhandled) {
            watch_arm(thread);
            tried = true;
        }
    }
}

/* Now, for when the threads take it up there is nobody to tell. */
static int make_room(struct request *request, const rein_watchpoint *watchpoint)
{
    LIST_FOR_EACH(item, &request->process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->guest || !is_for(watchpoint, thread))
            continue;
        if (watchpoint->software ? thread_make_room(thread) : watch_make_room(thread))
            return error_set(&request->error, REIN_NO_MEMORY, "no memory for a watchpoint in thread %d", thread->id);
    }
    return 0;
}

static int add(struct request *request)
{
    rein_process *process = request->process;
    const struct rein_watchpoint_options *options = request->options;
    int result = check_stopped(request, "cannot add watchpoint");
    if (!result && request->thread && rein_state_is_terminal(request->thread->state))
        result = error_set(&request->error, REIN_NO_THREAD, "Thread %d is gone", request->thread->id);
    if (result)
        return result;
    bool software = (request->flags & REIN_WATCH_SOFTWARE) != 0;
    rein_watchpoint *watchpoint = calloc(1, sizeof *watchpoint + (software ? request->size : 0));
    if (!watchpoint)
        return error_set(&request->error, REIN_NO_MEMORY, "no memory for a watchpoint");
    atomic_init(&watchpoint->references, 1);
    list_init(&watchpoint->link);
    watchpoint->process = process;
    watchpoint->thread = request->thread;
    watchpoint->address = request->address;
    watchpoint->size = request->size;
    watchpoint->kind = (enum rein_watch_kind)request->number;
    watchpoint->changes_only = (request->flags & REIN_WATCH_CHANGES) != 0;
    watchpoint->software = software;
    if (options) {
        watchpoint->callback = options->callback;
        watchpoint->arg = options->arg;
    }
    result = software ? check_software(request) : cut(request, watchpoint);
    if (!result && !(request->flags & REIN_WATCH_UNMAPPED))
        result = check_memory(request);
    if (!result && !software)
        result = check_machine(request);
    if (!result && !software)
        result = cut(request, watchpoint); /* now it is known how many there are */
    if (!result)
        result = make_room(request, watchpoint);
    if (result) {
        rein_watchpoint_unref(watchpoint);
        return result;
    }
    note_value(process, watchpoint);
    watchpoint->added = ++process->watchpoints.clock;
    process->watchpoints.software += software;
    list_append(&process->watchpoints.list, &watchpoint->link);
    request->buffer = rein_watchpoint_ref(watchpoint);
    have_all_look(process, watchpoint);
    return 0;
}

/* In a callback it only begins: then who is refused is not told any more. */
static void run_add(struct request *request)
{
    int result = add(request);
    if (result) {
        request_finish(request, result);
    } else if (!request->on_monitor) {
        request_wait(request);
    } else if (!added_ready(request)) {
        hand_out(request);
        request_finish(request, 0);
    }
}

static int check_arguments(rein_process *process, size_t size, enum rein_watch_kind kind,
                           const struct rein_watchpoint_options *options)
{
    const unsigned known = REIN_WATCH_WHILE_RUNNING | REIN_WATCH_CHANGES | REIN_WATCH_SOFTWARE | REIN_WATCH_UNMAPPED;
    bool software = options && (options->flags & REIN_WATCH_SOFTWARE);
    if (!process || (unsigned)kind > REIN_WATCH_READ_WRITE || !size)
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_add_watchpoint: process is NULL, size is 0, or %d is no kind", (int)kind);
    if (options && (options->size != sizeof *options || (options->flags & ~known)))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_add_watchpoint: options are not initialised with "
                                                 "REIN_WATCHPOINT_OPTIONS_INIT, or have unknown flags");
    if (kind == REIN_WATCH_EXECUTE && size != 1)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_add_watchpoint: size is %zu; for execution it must be 1",
                          size);
    if (software && kind != REIN_WATCH_WRITE)
        return error_fail(
            REIN_INVALID_ARGUMENT,
            "rein_process_add_watchpoint: a software watchpoint sees that a value has changed, and nothing "
            "else: its kind must be REIN_WATCH_WRITE, not \"%s\"",
            rein_watch_kind_name(kind));
    if (software && size > WATCH_SOFTWARE_SIZE_MAX)
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_add_watchpoint: size is %zu; a software watchpoint has at most %d bytes", size,
                          (int)WATCH_SOFTWARE_SIZE_MAX);
    if (options && !software && (options->flags & REIN_WATCH_CHANGES) &&
        (size > sizeof(rein_word) || kind == REIN_WATCH_EXECUTE))
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_add_watchpoint: REIN_WATCH_CHANGES is for data of 1 to 8 "
                          "bytes");
    if (options && options->thread && thread_owner(options->thread) != process)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_add_watchpoint: thread %d is not of process %d",
                          options->thread->id, process->id);
    return 0;
}

int rein_process_add_watchpoint(rein_process *process, rein_word address, size_t size, enum rein_watch_kind kind,
                                const struct rein_watchpoint_options *options, rein_watchpoint **watchpoint)
{
    if (watchpoint)
        *watchpoint = NULL;
    int result = check_arguments(process, size, kind, options);
    if (result)
        return result;
    struct request request = {.run = run_add,
                              .ready = added_ready,
                              .process = process,
                              .thread = options ? options->thread : NULL,
                              .address = process_address(process, address),
                              .size = size,
                              .number = (int)kind,
                              .options = options,
                              .flags = options ? options->flags : 0,
                              .out = watchpoint};
    result = monitor_submit(process->monitor, &request, -1);
    rein_watchpoint_unref(request.buffer);
    return result;
}

static bool has_it(const rein_thread *thread, const rein_watchpoint *watchpoint)
{
    const struct watched *watched = thread_extra(thread)->watched;
    for (unsigned i = 0; watched && i < watched->count; i++) {
        if (watched->slots[i] == watchpoint)
            return true;
    }
    return false;
}

static void run_remove(struct request *request)
{
    rein_process *process = request->process;
    rein_watchpoint *watchpoint = request->buffer;
    int result = check_stopped(request, "cannot remove watchpoint");
    if (!result && (watchpoint->process != process || is_removed(watchpoint)))
        result =
            error_set(&request->error, REIN_NO_WATCHPOINT, "process %d has no such watchpoint at 0x%llx (any more)",
                      process->id, (unsigned long long)watchpoint->address);
    if (!result) {
        forget(&process->watchpoints, watchpoint);
        process->watchpoints.clock++;
        LIST_FOR_EACH(item, &process->threads)
        {
            rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
            if (thread->kernel == KERNEL_RUNS && has_it(thread, watchpoint))
                thread_interrupt(thread);
        }
    }
    request_finish(request, result);
}

int rein_process_remove_watchpoint(rein_process *process, rein_watchpoint *watchpoint, unsigned flags)
{
    if (!process || !watchpoint || (flags & ~(unsigned)REIN_WATCH_WHILE_RUNNING))
        return error_fail(REIN_INVALID_ARGUMENT,
                          "rein_process_remove_watchpoint: process or watchpoint is NULL, or "
                          "unknown flags 0x%x",
                          flags);
    struct request request = {.run = run_remove, .process = process, .buffer = watchpoint, .flags = flags};
    return monitor_submit(process->monitor, &request, -1);
}

static void run_list(struct request *request)
{
    rein_process *process = request->process;
    int result = process_check(process, &request->error);
    size_t count = 0;
    if (!result) {
        LIST_FOR_EACH(item, &process->watchpoints.list)
        count++;
    }
    rein_watchpoint **list = count ? calloc(count, sizeof(rein_watchpoint *)) : NULL;
    if (list) {
        LIST_FOR_EACH(item, &process->watchpoints.list)
        list[request->size++] = rein_watchpoint_ref(LIST_ENTRY(item, rein_watchpoint, link));
    } else if (count) {
        result = error_set(&request->error, REIN_NO_MEMORY, "no memory for a list of watchpoints");
    }
    *(rein_watchpoint ***)request->out = list;
    request_finish(request, result);
}

int rein_process_watchpoints(rein_process *process, rein_watchpoint ***watchpoints, size_t *count)
{
    if (!process || !watchpoints || !count)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_watchpoints: process, watchpoints or count is NULL");
    *watchpoints = NULL;
    struct request request = {.run = run_list, .process = process, .out = watchpoints};
    int result = monitor_submit(process->monitor, &request, -1);
    *count = request.size;
    return result;
}

void rein_watchpoint_list_free(rein_watchpoint **watchpoints, size_t count)
{
    for (size_t i = 0; watchpoints && i < count; i++)
        rein_watchpoint_unref(watchpoints[i]);
    free(watchpoints);
}

static bool is_given(const rein_watchpoint *watchpoint, const char *function)
{
    if (!watchpoint)
        error_fail(REIN_INVALID_ARGUMENT, "%s: watchpoint is NULL", function);
    return watchpoint != NULL;
}

rein_word rein_watchpoint_address(const rein_watchpoint *watchpoint)
{
    return is_given(watchpoint, __func__) ? watchpoint->address : 0;
}

size_t rein_watchpoint_size(const rein_watchpoint *watchpoint)
{
    return is_given(watchpoint, __func__) ? (size_t)watchpoint->size : 0;
}

enum rein_watch_kind rein_watchpoint_kind(const rein_watchpoint *watchpoint)
{
    return is_given(watchpoint, __func__) ? watchpoint->kind : REIN_WATCH_EXECUTE;
}

uint64_t rein_watchpoint_hits(const rein_watchpoint *watchpoint)
{
    return is_given(watchpoint, __func__) ? atomic_load_explicit(&watchpoint->hits, memory_order_relaxed) : 0;
}
