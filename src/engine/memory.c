/* Reading and writing a process's memory, with the breakpoints hidden both ways (T4, T5, M5). On the monitor, so that no
 * breakpoint goes in or out in the middle. */
#include <string.h>
#include <unistd.h>

#include "engine/process.h"
#include "engine/share.h"

enum { CHUNK = 65536 }; /* a write over breakpoints is copied in pieces of this size at most */

static int finish_access(struct request *request, int64_t done, const char *what)
{
    if (done < 0)
        return error_set_system(&request->error, REIN_SYSTEM, (int)done, "process %d: memory at 0x%llx cannot be %s",
                                request->process->id, (unsigned long long)request->address, what);
    request->done_size = (size_t)done;
    if (request->done_size == request->size)
        return 0;
    return error_set(&request->error, REIN_BAD_ADDRESS,
                     "process %d: memory at 0x%llx cannot be %s; %zu of %zu bytes were", request->process->id,
                     (unsigned long long)request->address + request->done_size, what, request->done_size,
                     request->size);
}

/* The living thread through which memory is reached, or an error. */
static int find_way(struct request *request, const char *what, rein_thread **way)
{
    int result = process_check(request->process, &request->error);
    if (!result && request->thread && !rein_state_is_stopped(request->thread->state))
        result = thread_bad_state(request->thread, &request->error, what, "stop it first");
    if (!result && !(*way = process_living_thread(process_of_memory(request->process))))
        result =
            error_set(&request->error, REIN_EXITED, "process %d is exiting: its memory is gone", request->process->id);
    return result;
}

/* No guest's memory, which may be another's at any moment: the calling thread may reach it. */
static bool is_plain(const struct request *request, const rein_thread *way)
{
    return !request->process->as_guest && !way->guest;
}

static void run_read(struct request *request)
{
    rein_process *process = process_of_memory(request->process);
    rein_thread *way;
    int result = find_way(request, "cannot peek text", &way);
    if (!result) {
        bool shared = request->share && !request->on_monitor && !request->by_lender;
        int64_t done = shared && is_plain(request, way) ? share_read(request, &process->memory, way->id)
                                                        : process->os->read(&process->memory, way->id, request->address,
                                                                            request->buffer, request->size);
        if (done > 0)
            breakpoints_hide(process, request->address, request->buffer, (size_t)done);
        LOG(&process->monitor->log, REIN_LOG_MEMORY, "Process %d: read 0x%llx, %zu bytes => %lld", process->id,
            (unsigned long long)request->address, request->size, (long long)done);
        result = finish_access(request, done, "read");
    }
    request_finish(request, result);
}

static void run_read_ranges(struct request *request)
{
    rein_process *process = process_of_memory(request->process);
    struct rein_range *ranges = request->buffer;
    rein_thread *way;
    int result = find_way(request, "cannot peek text", &way);
    if (result) {
        request_finish(request, result);
        return;
    }
    for (size_t i = 0; i < request->size; i++)
        ranges[i].address = process_address(process, ranges[i].address);
    process->os->read_ranges(&process->memory, way->id, ranges, request->size);
    for (size_t i = 0; i < request->size; i++) {
        struct rein_range *range = &ranges[i];
        struct request one = {.process = request->process, .address = range->address, .size = range->size};
        if (range->done)
            breakpoints_hide(process, range->address, range->buffer, range->done);
        range->result = finish_access(&one, range->result < 0 ? range->result : (int64_t)range->done, "read");
        if (range->result && !result) {
            result = range->result;
            request->error = one.error;
        }
    }
    LOG(&process->monitor->log, REIN_LOG_MEMORY, "Process %d: read %zu ranges", process->id, request->size);
    request_finish(request, result);
}

/* A breakpoint's trap instruction stays in memory while its original byte changes: the data is written around it. */
static int64_t write_around_breakpoints(rein_process *process, int id, uint64_t address, const unsigned char *data,
                                        size_t size)
{
    int64_t total = 0;
    while (size) {
        unsigned char piece[CHUNK];
        size_t length = size < sizeof piece ? size : sizeof piece;
        memcpy(piece, data, length);
        breakpoints_show(process, address, piece, length);
        int64_t done = process->os->write(&process->memory, id, address, piece, length);
        if (done > 0) {
            breakpoints_note_write(process, address, data, (size_t)done);
            total += done;
        }
        if (done < 0)
            return total ? total : done;
        if ((size_t)done < length)
            break;
        address += length;
        data += length;
        size -= length;
    }
    return total;
}

static void run_write(struct request *request)
{
    rein_process *process = process_of_memory(request->process);
    rein_thread *way;
    int result = find_way(request, "cannot poke text", &way);
    if (!result) {
        int64_t done = write_around_breakpoints(process, way->id, request->address, request->data, request->size);
        watch_note_write(process, request->address, request->data, done > 0 ? (size_t)done : 0);
        LOG(&process->monitor->log, REIN_LOG_MEMORY, "Process %d: write 0x%llx, %zu bytes => %lld", process->id,
            (unsigned long long)request->address, request->size, (long long)done);
        result = finish_access(request, done, "written");
    }
    request_finish(request, result);
}

/* Reads a little in the calling thread, while the monitor rests. The kernel's part may take long, and does not keep the monitor
 * from going on: if it has, what was read is of no use. false: it is for the monitor, who may do more, and says why
 * something cannot be read. */
static bool read_at_rest(struct request *request)
{
    enum { LITTLE = 4096 };
    rein_process *process = request->process;
    rein_monitor *monitor = process->monitor;
    rein_thread *way;
    if (!request->size || request->size > LITTLE || getpid() != monitor->host || !rest_enter(monitor))
        return false;
    uint64_t rest = monitor->rest.count;
    bool plain =
        !find_way(request, "cannot peek text", &way) && is_plain(request, way) && monitor->log.level < REIN_LOG_MEMORY;
    int id = plain ? way->id : 0;
    rest_leave(monitor);
    if (!plain || process->os->read_own(id, request->address, request->buffer, request->size) || !rest_enter(monitor))
        return false;
    bool same = monitor->rest.count == rest;
    if (same) {
        breakpoints_hide(process, request->address, request->buffer, request->size);
        request->done_size = request->size;
    }
    rest_leave(monitor);
    return same;
}

static int submit_access(struct request *request, size_t *done)
{
    int result = request->size ? monitor_submit(request->process->monitor, request, -1) : 0;
    if (done)
        *done = request->done_size;
    return result;
}

static int submit_read(struct request *request, size_t *done)
{
    struct share share = {.again = false};
    if (read_at_rest(request)) {
        if (done)
            *done = request->done_size;
        return 0;
    }
    request->share = request->size >= SHARE_LEAST ? &share : NULL;
    int result = submit_access(request, done);
    if (!share.again)
        return result;
    request->share = NULL;
    return submit_access(request, done);
}

int rein_process_read(rein_process *process, rein_word address, void *buffer, size_t size, size_t *done)
{
    if (done)
        *done = 0;
    if (!process || (!buffer && size))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_read: process or buffer is NULL");
    struct request request = {.run = run_read,
                              .process = process,
                              .address = process_address(process, address),
                              .buffer = buffer,
                              .size = size};
    return submit_read(&request, done);
}

int rein_process_read_ranges(rein_process *process, struct rein_range *ranges, size_t count)
{
    if (!process || (!ranges && count))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_read_ranges: process or ranges is NULL");
    for (size_t i = 0; i < count; i++) {
        ranges[i].done = 0;
        ranges[i].result = REIN_INVALID_ARGUMENT;
    }
    for (size_t i = 0; i < count; i++) {
        if (!ranges[i].buffer && ranges[i].size)
            return error_fail(REIN_INVALID_ARGUMENT, "rein_process_read_ranges: ranges[%zu].buffer is NULL", i);
    }
    struct request request = {.run = run_read_ranges, .process = process, .buffer = ranges, .size = count};
    int result = count ? monitor_submit(process->monitor, &request, -1) : 0;
    for (size_t i = 0; i < count; i++) { /* what was refused as a whole has told nothing of each */
        if (result && ranges[i].result == REIN_INVALID_ARGUMENT)
            ranges[i].result = result;
    }
    return result;
}

int rein_process_write(rein_process *process, rein_word address, const void *data, size_t size, size_t *done)
{
    if (done)
        *done = 0;
    if (!process || (!data && size))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_process_write: process or data is NULL");
    struct request request = {
        .run = run_write, .process = process, .address = process_address(process, address), .data = data, .size = size};
    return submit_access(&request, done);
}

int rein_thread_read(rein_thread *thread, rein_word address, void *buffer, size_t size, size_t *done)
{
    if (done)
        *done = 0;
    if (!thread || (!buffer && size))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_read: thread or buffer is NULL");
    struct request request = {.run = run_read,
                              .process = thread_owner(thread),
                              .thread = thread,
                              .address = process_address(thread_owner(thread), address),
                              .buffer = buffer,
                              .size = size};
    return submit_read(&request, done);
}

int rein_thread_write(rein_thread *thread, rein_word address, const void *data, size_t size, size_t *done)
{
    if (done)
        *done = 0;
    if (!thread || (!data && size))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_write: thread or data is NULL");
    struct request request = {.run = run_write,
                              .process = thread_owner(thread),
                              .thread = thread,
                              .address = process_address(thread_owner(thread), address),
                              .data = data,
                              .size = size};
    return submit_access(&request, done);
}
