/* Rooms for copies of instructions (displace.c) where neither the code's file nor the loader has any that is near, or has any
 * left: a page of the program's memory, mapped by a call that a thread of the program makes. It can be executed and not
 * written; rein fills it as a tracer can.
 *
 * The call is made by the first who would have to be stepped for want of room, at the stop of its hit: it is stopped anyway,
 * and nobody else is touched. It comes back to where it was (remote_call.c), is ready once more, and now finds the room. To the
 * caller it is Running all the time. Nobody waits for it: who comes meanwhile is stepped.
 *
 * Where the call could do harm it is not made: by a program with a seccomp filter, which may kill it for that; by a vfork
 * child; in a function that the thread calls for the caller. A process to which the kernel has once said no (SELinux, limits)
 * is not asked again before its next exec. Nor is there a room where branches are checked (arm64: BTI), for in it they would
 * not be.
 *
 * In the maps it is [anon:rein], if the kernel has names (Linux 5.17, CONFIG_ANON_VMA_NAME). For that call the name has to be
 * in the program's memory: it is in the page itself, behind the cells, and stays there.
 *
 * A forked child has a copy of it, and knows that if it is followed. When a process is let go, one of its threads unmaps all,
 * in one trip: one that has stopped for no signal and at no entry of a call, so that its way back is short. If there is none,
 * if the process is stopped by job control, or its host has died, they stay, empty; and so they do in a child that is let go as
 * soon as it is born. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/remote_call.h"

enum { MAPPED_MAX = 16 };

static const char name[] = "rein";

/* That somebody makes for it. */
struct room_call {
    struct remote_call call; /* first: it is freed as that */
    uint64_t start, size;
    bool is_mapped, maps, answered;
};

static void end(rein_thread *thread, struct remote_call *call)
{
    const struct room_call *room = (const struct room_call *)call;
    struct breakpoints *breakpoints = &thread->process->breakpoints;
    breakpoints->room_calls--;
    if (room->maps &&
        !room->answered) /* it has not been made: a signal came of it, say, as with PR_SET_SYSCALL_USER_DISPATCH */
        breakpoints->refusal = NO_ROOM_REFUSED;
}

/* A call that nobody waits for. false: nothing has happened to the thread. */
static bool begin(rein_thread *thread, enum os_call which, uint64_t start, uint64_t size,
                  bool (*made)(rein_thread *thread, struct remote_call *call), struct error *error)
{
    rein_process *process = thread->process;
    const uint64_t arguments[6] = {start, size};
    struct room_call *room = thread_make_room(thread) ? NULL : thread_allocate(thread, sizeof *room);
    if (!room)
        return false;
    struct remote_call *call = &room->call;
    room->start = start;
    room->size = size;
    room->maps = which == OS_CALL_MAP_ROOM;
    call->made_one = made;
    call->over = end;
    bool may = !process->os->known_call(process->arch, which, arguments, &call->call) &&
               !remote_call_look(thread, call, error) && !remote_call_check(thread, call, false, error);
    if (may) {
        list_remove(&thread->ready);
        LOG(&process->monitor->log, REIN_LOG_TRACE, "Thread %d: makes system call %llu, for room at 0x%llx", thread->id,
            (unsigned long long)call->call.number, (unsigned long long)start);
        process->breakpoints.room_calls++;
        if (!remote_call_begin(thread, call, error))
            return true; /* it may be over, and gone */
        process->breakpoints.room_calls--;
        event_stop_plain(thread);
    }
    free(call->vectors);
    free(room);
    return false;
}

/* ---- Mapping ---- */

/* It may be used from now on: the name is behind the cells. */
static bool take_mapped(rein_thread *thread, struct remote_call *call)
{
    struct room_call *room = (struct room_call *)call;
    rein_process *process = thread->process;
    room->answered = true;
    if (room->is_mapped)
        return false; /* it has been named, if the kernel can */
    if (call->result < 0) {
        if (call->result != -EEXIST) /* the program has taken the place just now: there will be another */
            process->breakpoints.refusal = NO_ROOM_REFUSED;
        return false;
    }
    bool elsewhere =
        room->start != (uint64_t)call->result; /* the kernel does not know how to insist: it need not be near */
    room->is_mapped = true;
    room->start = (uint64_t)call->result;
    if (process->monitor->host_died || /* nobody uses it, and it stays, empty: no memory can be had */
        !displace_have_room(process, room->start, room->size - sizeof name, room->size) || elsewhere)
        process->breakpoints.refusal = NO_ROOM_REFUSED;
    uint64_t name_at = room->start + room->size - sizeof name;
    const uint64_t arguments[6] = {room->start, room->size, name_at};
    return !process->os->known_call(process->arch, OS_CALL_NAME_ROOM, arguments, &call->call) &&
           process->os->write(&process->memory, thread->id, name_at, name, sizeof name) == (int64_t)sizeof name;
}

bool map_room_may_be(const rein_process *process)
{
    const struct breakpoints *breakpoints = &process->breakpoints;
    return process->condition == PROCESS_HELD && !breakpoints->refusal && breakpoints->mapped < MAPPED_MAX;
}

bool map_room_is_possible(const rein_thread *thread)
{
    return map_room_may_be(thread->process) && !thread->process->breakpoints.room_calls &&
           thread->stop == OS_EVENT_TRAP && !thread->guest && !thread_extra(thread)->calls;
}

bool map_room(rein_thread *thread, uint64_t start, uint64_t size)
{
    struct error error = {.code = 0};
    if (begin(thread, OS_CALL_MAP_ROOM, start, size, take_mapped, &error))
        return true;
    thread->process->breakpoints.refusal = error.code == REIN_NOT_PERMITTED ? NO_ROOM_FILTERED : NO_ROOM_REFUSED;
    return false;
}

/* ---- Unmapping ---- */

static bool take_unmapped(rein_thread *thread, struct remote_call *call)
{
    rein_process *process = thread->process;
    uint64_t start, size;
    if (!displace_give_room(process, thread->id, &start, &size))
        return false;
    const uint64_t arguments[6] = {start, size};
    return !process->os->known_call(process->arch, OS_CALL_MUNMAP, arguments, &call->call);
}

/* Where the way back is a short one. */
static bool can_unmap(const rein_thread *thread)
{
    return thread->kernel == KERNEL_STOPPED &&
           (thread->stop == OS_EVENT_INTERRUPTED || thread->stop == OS_EVENT_TRAP) && !thread_is_kept(thread) &&
           !thread->guest && !thread->leaving && !thread_extra(thread)->calls && !thread->deliver &&
           !thread_extra(thread)->held && !thread->out_of_group_stop && thread->state != REIN_STATE_STOPPED_SIGNAL &&
           !rein_state_is_terminal(thread->state);
}

bool map_room_unmap_all(rein_process *process)
{
    struct error error = {.code = 0};
    uint64_t start, size;
    bool tried = process->breakpoints.unmapped;
    process->breakpoints.unmapped = true;
    if (tried || !process->breakpoints.mapped || process->in_group_stop || process->monitor->host_died ||
        atomic_load(&process->monitor->condition) == MONITOR_FAILED)
        return false;
    LIST_FOR_EACH(item, &process->threads)
    {
        rein_thread *thread = LIST_ENTRY(item, rein_thread, link);
        if (can_unmap(thread))
            return displace_give_room(process, thread->id, &start, &size) &&
                   begin(thread, OS_CALL_MUNMAP, start, size, take_unmapped, &error);
    }
    return false;
}
