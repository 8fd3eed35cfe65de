/* Past a breakpoint by a copy of its instruction: the thread is sent to the copy, executes it there and jumps back behind the
 * original, all in one go. No step, no second stop, the breakpoint stays in memory, and nobody else is held. For what
 * cannot be executed in the thread's place (emulate.c) and can be moved (struct arch: displace); the rest is stepped over.
 *
 * Rooms. The copies are in memory of the program's that is of no use to it, near the code (os->find_room), and of the same file:
 * where that is unmapped, nobody is in the copy. Where there is none, or it is full, rein has one mapped (map_room.c).
 * A room is cut into cells, one for a breakpoint; a cell in which nobody is can be given to another breakpoint. To who
 * reads through rein a room is zero, as it was; it is made so when the process is let go, and in a child that is. What
 * is in a cell is looked at before it is used after the breakpoint was put in anew: the file may have been unmapped and
 * mapped again meanwhile.
 *
 * Coming home. A thread that stops in a cell, for a signal, an interrupt, a fault or its death, stands at the copy or behind it:
 * it is shown, and goes on, at the original or behind that; and what a fault says of its place, too. Until its next
 * stop is seen it may be in the cell.
 *
 * Not sent are: who makes a step; who has a signal to come first; who is in a restartable sequence (rseq(2)), which the
 * kernel would not know again; who has a watchpoint that fires in front of the access, and would have to execute the
 * copy once more with that off; who has the processor's trap flag on; and who was sent several times and was stopped by
 * a signal each time before it came to execute anything: signals can come faster than they are seen to. A step has them
 * blocked. */
#include "engine/displace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/insist.h"
#include "engine/process.h"

enum { CELL_MAX = ARCH_DISPLACED_MAX, CELLS_MAX = 256, SENT_IN_VAIN_MAX = 3 };

struct cell {
    rein_breakpoint *owner; /* NULL: it is free, or will be */
    unsigned users;         /* threads that have been sent there, and have not stopped since */
    unsigned char bytes[CELL_MAX];
};

struct room {
    struct list link;
    uint64_t start;
    uint64_t mapped;      /* bytes, from .start on, that rein has mapped for it; 0: it is of a file */
    unsigned count, cell; /* cells, and the bytes of one */
    unsigned owned;       /* cells that are */
    bool closed;          /* it is not what it was: it is not used any more */
    struct cell cells[];
};

static uint64_t address_of(const struct room *room, unsigned cell)
{
    return room->start + (uint64_t)cell * room->cell;
}

static uint64_t size_of(const struct room *room)
{
    return (uint64_t)room->count * room->cell;
}

/* ---- Rooms ---- */

/* 1, 0, or a negative errno: it cannot be seen now. */
static int holds(rein_thread *thread, uint64_t address, const unsigned char *expected, size_t size)
{
    unsigned char bytes[256];
    rein_process *process = thread->process;
    while (size) {
        size_t part = size < sizeof bytes ? size : sizeof bytes;
        int result = process->os->read_own(thread->id, address, bytes, part);
        if (result)
            return result;
        if (memcmp(bytes, expected, part) != 0)
            return 0;
        address += part;
        expected += part;
        size -= part;
    }
    return 1;
}

static struct room *make_room(rein_process *process, uint64_t start, unsigned count, unsigned cell)
{
    struct room *room = calloc(1, sizeof *room + count * sizeof *room->cells);
    if (!room)
        return NULL;
    list_init(&room->link);
    list_append(&process->breakpoints.rooms, &room->link);
    room->start = start;
    room->count = count;
    room->cell = cell;
    return room;
}

/* The one for code at the breakpoint; NULL: there is none. */
static struct room *room_for(rein_thread *thread, uint64_t pc)
{
    static const unsigned char zeros[CELLS_MAX * CELL_MAX];
    rein_process *process = thread->process;
    unsigned cell = process->arch->displaced_size;
    uint64_t start, size;
    if (process->os->find_room(thread->id, pc, &start, &size) != 1)
        return NULL;
    LIST_FOR_EACH(item, &process->breakpoints.rooms)
    {
        struct room *room = LIST_ENTRY(item, struct room, link);
        if (room->start == start)
            return room->closed ? NULL : room;
    }
    uint64_t count = size / cell < CELLS_MAX ? size / cell : CELLS_MAX;
    if (!count || holds(thread, start, zeros, (size_t)count * cell) != 1)
        return NULL;
    return make_room(process, start, (unsigned)count, cell);
}

bool displace_have_room(rein_process *process, uint64_t start, uint64_t size, uint64_t mapped)
{
    unsigned cell = process->arch->displaced_size;
    uint64_t count = size / cell < CELLS_MAX ? size / cell : CELLS_MAX;
    struct room *room = make_room(process, start, (unsigned)count, cell);
    if (room)
        room->mapped = mapped;
    process->breakpoints.mapped += room != NULL;
    return room != NULL;
}

/* A thread may be in a copy that cannot come to a stop now, as it waits for a page. */
static bool is_empty(const struct room *room)
{
    unsigned users = 0;
    for (unsigned i = 0; i < room->count; i++)
        users += room->cells[i].users;
    return users == 0;
}

bool displace_give_room(rein_process *process, int id, uint64_t *start, uint64_t *mapped)
{
    LIST_FOR_EACH(item, &process->breakpoints.rooms)
    {
        struct room *room = LIST_ENTRY(item, struct room, link);
        if (!room->mapped || room->closed || !is_empty(room))
            continue;
        room->closed = true;
        if (process->os->is_mapped_room(id, room->start, room->mapped) != 1)
            continue;
        *start = room->start;
        *mapped = room->mapped;
        return true;
    }
    return false;
}

void displace_inherit(rein_process *process, const rein_process *parent)
{
    LIST_FOR_EACH(item, &parent->breakpoints.rooms)
    {
        const struct room *room = LIST_ENTRY(item, struct room, link);
        if (room->mapped && !room->closed)
            displace_have_room(process, room->start, (uint64_t)room->count * room->cell, room->mapped);
    }
}

/* Where the memory still holds what was put there; nowhere that a thread may be, if it shares that memory. */
static void clean_cell(const rein_process *process, struct os_memory *memory, int id, const struct room *room,
                       unsigned number)
{
    static const unsigned char zeros[CELL_MAX];
    const unsigned char *expected = room->cells[number].bytes;
    uint64_t at = address_of(room, number);
    bool clean = !memcmp(expected, zeros, room->cell) ||
                 breakpoints_put_back(process, memory, id, at, expected, zeros, room->cell);
    if (!clean)
        LOG(&process->monitor->log, REIN_LOG_WARNING, "Process %d: the copy of an instruction stays at 0x%llx", id,
            (unsigned long long)at);
}

static void clean_rooms(const rein_process *process, struct os_memory *memory, int id, bool shared)
{
    LIST_FOR_EACH(item, &process->breakpoints.rooms)
    {
        const struct room *room = LIST_ENTRY(item, struct room, link);
        for (unsigned i = 0; i < room->count; i++) {
            if (!shared || !room->cells[i].users)
                clean_cell(process, memory, id, room, i);
        }
    }
}

void displace_clean_copy(const rein_process *process, struct os_memory *memory, int id)
{
    const rein_thread *thread = table_find(&process->monitor->threads, (uint64_t)id);
    clean_rooms(process, memory, id, thread && thread->process == process); /* a guest that leaves */
}

void displace_forget_rooms(rein_process *process)
{
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->extra)
            thread->extra->room = NULL;
    }
    TABLE_FOR_EACH(slot, &process->breakpoints.table)
    {
        rein_breakpoint *breakpoint = slot->value;
        breakpoint->room = breakpoint->usual_room = NULL;
    }
    displace_free(process);
    process->breakpoints.mapped = 0;
    process->breakpoints.refusal = CAN_MOVE;
}

void displace_free(rein_process *process)
{
    LIST_FOR_EACH(item, &process->breakpoints.rooms)
    {
        struct room *room = LIST_ENTRY(item, struct room, link);
        list_remove(&room->link);
        free(room);
    }
}

/* Where it is still what was put there. */
static void hide_cell(const struct room *room, unsigned number, uint64_t address, unsigned char *buffer, size_t size)
{
    const struct cell *cell = &room->cells[number];
    uint64_t at = address_of(room, number);
    for (size_t i = 0; i < room->cell; i++) {
        uint64_t offset = at + i - address;
        if (offset < size && cell->bytes[i] && buffer[offset] != cell->bytes[i])
            return;
    }
    for (size_t i = 0; i < room->cell; i++) {
        uint64_t offset = at + i - address;
        if (offset < size && cell->bytes[i])
            buffer[offset] = 0;
    }
}

static bool overlaps(const struct room *room, uint64_t address, size_t size)
{
    return room->start < address + size && address < room->start + size_of(room);
}

void displace_hide(const rein_process *process, uint64_t address, unsigned char *buffer, size_t size)
{
    LIST_FOR_EACH(item, &process->breakpoints.rooms)
    {
        const struct room *room = LIST_ENTRY(item, struct room, link);
        for (unsigned i = 0; overlaps(room, address, size) && i < room->count; i++)
            hide_cell(room, i, address, buffer, size);
    }
}

void displace_show(const rein_process *process, uint64_t address, unsigned char *buffer, size_t size)
{
    LIST_FOR_EACH(item, &process->breakpoints.rooms)
    {
        const struct room *room = LIST_ENTRY(item, struct room, link);
        for (unsigned i = 0; overlaps(room, address, size) && i < room->count; i++) {
            for (size_t k = 0; room->cells[i].users && k < room->cell; k++) {
                uint64_t offset = address_of(room, i) + k - address;
                if (offset < size)
                    buffer[offset] = room->cells[i].bytes[k];
            }
        }
    }
}

void displace_note_write(rein_process *process, uint64_t address, size_t size)
{
    LIST_FOR_EACH(item, &process->breakpoints.rooms)
    {
        struct room *room = LIST_ENTRY(item, struct room, link);
        room->closed |= overlaps(room, address, size);
    }
}

/* ---- Cells ---- */

void displace_forget(rein_breakpoint *breakpoint)
{
    if (breakpoint->room) {
        breakpoint->room->cells[breakpoint->cell].owner = NULL;
        breakpoint->room->owned--;
    }
    breakpoint->room = NULL;
}

void displace_take_note(rein_breakpoint *breakpoint)
{
    const struct arch *arch = breakpoint->arch;
    unsigned char copy[CELL_MAX];
    size_t copied;
    displace_forget(breakpoint);
    bool can = arch->displace &&
               arch->displace(breakpoint->code, breakpoint->code_size, breakpoint->pc, breakpoint->pc, copy, &copied);
    breakpoint->cannot_move = can ? CAN_MOVE : NO_MOVE_AT_ALL;
    breakpoint->no_gap = false;
}

/* One that is free; or, if that may be, whose owner can do without. */
static struct cell *find_cell(struct room *room, bool take)
{
    struct cell *found = NULL;
    if (!take && room->owned == room->count)
        return NULL;
    for (unsigned i = 0; i < room->count; i++) {
        struct cell *cell = &room->cells[i];
        if (cell->users)
            continue;
        if (!cell->owner)
            return cell;
        found = cell;
    }
    return take ? found : NULL;
}

/* Does the cell hold what was put there? As by holds; what it does not, or what is gone, closes the room. */
static int still_holds(rein_thread *thread, struct room *room, unsigned cell)
{
    int same = holds(thread, address_of(room, cell), room->cells[cell].bytes, room->cell);
    room->closed |= same == 0 || same == -EFAULT;
    return same;
}

enum filled {
    FILLED,
    FULL,  /* of copies in which somebody is, or which are not to be taken: another time */
    UNFIT, /* it is too far, or not what it was */
    FAILED,
};

/* Writes the copy. */
static enum filled fill(rein_thread *thread, rein_breakpoint *breakpoint, struct room *room, bool take)
{
    rein_process *process = thread->process;
    unsigned char copy[CELL_MAX] = "";
    size_t copied;
    struct cell *cell = room->closed ? NULL : find_cell(room, take);
    if (!cell)
        return room->closed ? UNFIT : FULL;
    unsigned number = (unsigned)(cell - room->cells);
    uint64_t at = address_of(room, number);
    if (!breakpoint->arch->displace(breakpoint->code, breakpoint->code_size, breakpoint->pc, at, copy, &copied))
        return UNFIT;
    if (still_holds(thread, room, number) != 1)
        return room->closed ? UNFIT : FAILED;
    if (process->os->write(&process->memory, thread->id, at, copy, room->cell) != (int64_t)room->cell)
        return FAILED;
    memcpy(cell->bytes, copy, room->cell);
    if (cell->owner)
        displace_forget(cell->owner);
    cell->owner = breakpoint;
    room->owned++;
    breakpoint->room = room;
    breakpoint->cell = number;
    breakpoint->copied = (unsigned char)copied;
    breakpoint->cell_seen = process->breakpoints.changes;
    return FILLED;
}

/* That of its file, or of the loader. Others may have had its cell meanwhile: the room is as near. */
static struct room *usual_room(rein_thread *thread, rein_breakpoint *breakpoint)
{
    uint64_t changes = thread->process->breakpoints.changes;
    if (!breakpoint->usual_room || breakpoint->usual_room->closed || breakpoint->usual_seen != changes)
        breakpoint->usual_room = room_for(thread, breakpoint->pc);
    breakpoint->usual_seen = changes;
    return breakpoint->usual_room;
}

/* In a room that rein has mapped branches are not checked. */
static bool fits_mapped(rein_thread *thread, rein_breakpoint *breakpoint)
{
    if (!breakpoint->branch_checks)
        breakpoint->branch_checks = (unsigned char)thread->process->os->branch_checks(thread->id, breakpoint->pc);
    return breakpoint->branch_checks == ARCH_BRANCHES_NEVER || breakpoint->branch_checks == ARCH_BRANCHES_FREE;
}

static enum filled fill_any(rein_thread *thread, rein_breakpoint *breakpoint, bool take)
{
    const struct breakpoints *breakpoints = &thread->process->breakpoints;
    struct room *usual = usual_room(thread, breakpoint);
    enum filled best = usual ? fill(thread, breakpoint, usual, take) : UNFIT;
    if (best == FILLED || best == FAILED || !breakpoints->mapped || !fits_mapped(thread, breakpoint))
        return best;
    LIST_FOR_EACH(item, &breakpoints->rooms)
    {
        struct room *room = LIST_ENTRY(item, struct room, link);
        enum filled filled = room->mapped ? fill(thread, breakpoint, room, take) : UNFIT;
        if (filled == FILLED || filled == FAILED)
            return filled;
        if (filled == FULL)
            best = FULL;
    }
    return best;
}

/* The breakpoint has its copy in memory. */
static bool has_copy(rein_thread *thread, rein_breakpoint *breakpoint)
{
    const struct breakpoints *breakpoints = &thread->process->breakpoints;
    struct room *room = breakpoint->room;
    if (room && !room->closed) {
        if (breakpoint->cell_seen == breakpoints->changes)
            return true;
        int same = still_holds(thread, room, breakpoint->cell);
        if (same < 0 && !room->closed)
            return false;
        breakpoint->cell_seen = breakpoints->changes;
        if (same > 0)
            return true;
    }
    displace_forget(breakpoint);
    enum filled filled = fill_any(thread, breakpoint, false);
    bool by_another = false; /* who can have room mapped, if this one cannot as it stands */
    if (filled == FULL || filled == UNFIT) {
        by_another = !breakpoint->no_gap && map_room_may_be(thread->process) && fits_mapped(thread, breakpoint);
        breakpoint->wants_room = by_another && map_room_is_possible(thread);
        if (breakpoint->wants_room)
            return false;
        filled = fill_any(thread, breakpoint, true);
    }
    if (filled == FULL || (filled == UNFIT && (by_another || breakpoints->room_calls)))
        return false; /* another time */
    if (filled != FILLED)
        breakpoint->cannot_move = (int)(breakpoint->no_gap || !breakpoints->refusal ? NO_ROOM : breakpoints->refusal);
    return filled == FILLED;
}

bool displace_makes_room(rein_thread *thread, rein_breakpoint *breakpoint)
{
    const struct os_backend *os = thread->process->os;
    unsigned char copy[CELL_MAX];
    size_t copied;
    uint64_t start, size;
    if (!breakpoint->wants_room)
        return false;
    breakpoint->wants_room = false;
    for (int above = 0; above < 2; above++) {
        if (os->find_gap(thread->id, breakpoint->pc, above, &start, &size) == 1 &&
            breakpoint->arch->displace(breakpoint->code, breakpoint->code_size, breakpoint->pc, start, copy, &copied) &&
            breakpoint->arch->displace(breakpoint->code, breakpoint->code_size, breakpoint->pc, start + size, copy,
                                       &copied))
            return map_room(thread, start, size);
    }
    breakpoint->no_gap = true;
    return false;
}

/* ---- Threads ---- */

static bool is_in_sequence(rein_thread *thread)
{
    const struct os_backend *os = thread->process->os;
    uint64_t word = 0;
    uint64_t *address = &thread->extra->sequence_word;
    if (!*address)
        *address = os->sequence_word(thread->id);
    if (!*address)
        return !os->tells_sequences(thread->id);
    return os->read_own(thread->id, *address, &word, sizeof word) || word;
}

bool displace_is_possible(rein_thread *thread, rein_breakpoint *breakpoint)
{
    const struct thread_extra *extra = thread_extra(thread);
    struct arch_registers registers;
    if (breakpoint->step_over || thread->state != REIN_STATE_RUNNING || watch_steps(thread) || extra->held ||
        extra->sent_in_vain >= SENT_IN_VAIN_MAX || thread->out_of_group_stop ||
        thread_get_registers(thread, &registers) || arch_pc(&registers) != breakpoint->pc ||
        !registers.arch->displace || !registers.arch->can_be_sent(&registers) ||
        (registers.arch->watch_fires_before && watch_is_near(thread)))
        return false;
    return emulate_bring_up_to_date(thread, breakpoint, registers.arch) && !breakpoint->cannot_move &&
           thread_need_room(thread) && !is_in_sequence(thread) && has_copy(thread, breakpoint);
}

bool displace(rein_thread *thread, rein_breakpoint *breakpoint)
{
    struct thread_extra *extra = thread->extra;
    struct arch_registers registers;
    struct room *room = breakpoint->room;
    if (!room || room->closed || thread_get_registers(thread, &registers))
        return false;
    registers.arch->move_pc(&registers, address_of(room, breakpoint->cell));
    thread_keep_registers(thread, &registers);
    room->cells[breakpoint->cell].users++;
    extra->room = room;
    extra->cell = breakpoint->cell;
    extra->home = breakpoint->pc;
    extra->sent_to = address_of(room, breakpoint->cell);
    extra->copied = breakpoint->copied;
    atomic_fetch_add_explicit(&breakpoint->displaced, 1, memory_order_relaxed);
    return true;
}

void displace_leave(rein_thread *thread)
{
    struct thread_extra *extra = thread->extra;
    if (!extra || !extra->room)
        return;
    extra->room->cells[extra->cell].users--;
    extra->room = NULL;
}

/* Is the signal what the instruction did? */
static bool is_fault(const rein_thread *thread, const struct os_event *event)
{
    return event && event->kind == OS_EVENT_SIGNAL && event->signal.code > 0 &&
           thread->process->os->fault_signals >> (event->signal.number - 1) & 1;
}

/* What the signal tells of the copy's place it tells of the original's. Also of one that waited behind an earlier stop. */
static void correct_fault(rein_thread *thread, struct os_event *event)
{
    const struct os_backend *os = thread->process->os;
    const struct thread_extra *extra = thread->extra;
    uint64_t offset = event->signal.address - extra->sent_to;
    if (!extra->sent_to || offset >= extra->copied)
        return;
    event->signal.address = extra->home + offset;
    int result;
    INSIST(result, os->set_signal(thread->id, &event->signal));
    if (!result)
        result = os->get_signal(thread->id, &event->signal);
    thread_check(thread, result, "cannot have the address of its fault set");
}

void displace_come_home(rein_thread *thread, struct os_event *event)
{
    struct thread_extra *extra = thread->extra;
    struct arch_registers registers;
    bool fault = is_fault(thread, event);
    if (extra && fault)
        correct_fault(thread, event);
    if (!extra || !extra->room)
        return;
    if (thread_get_registers(thread, &registers))
        return; /* it is tried again, before it is let go; and if it is gone, that will be told */
    rein_breakpoint *breakpoint = extra->room->cells[extra->cell].owner;
    unsigned char in_vain = extra->sent_in_vain;
    displace_leave(thread);
    extra->sent_in_vain = 0;
    uint64_t pc = arch_pc(&registers), at = extra->sent_to, home = extra->home;
    if (pc != at && pc != at + extra->copied)
        return;
    registers.arch->move_pc(&registers, pc - at + home);
    thread_keep_registers(thread, &registers);
    if (fault || pc != at) /* it has executed it; after a fault it hits the breakpoint when it tries again */
        return;
    breakpoint_note_shown(thread, home, arch_sp(&registers));
    extra->sent_in_vain = in_vain + 1;
    if (breakpoint)
        atomic_fetch_sub_explicit(&breakpoint->displaced, 1, memory_order_relaxed);
}

void displace_clean(rein_process *process)
{
    const rein_thread *way = process_living_thread(process);
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (thread->kernel == KERNEL_STOPPED) /* it could not be resumed */
            displace_come_home(thread, NULL);
    }
    if (way)
        clean_rooms(process, &process->memory, way->id, true);
}
