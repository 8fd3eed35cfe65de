/* Registers: a snapshot for the caller, and writing through to the thread as long as it is in the same stop (R1-R6). The
 * general ones are in it from the beginning; other sets are fetched when they are asked for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/process.h"

struct rein_registers {
    rein_thread *thread; /* counted */
    const struct arch *arch;
    uint64_t run_count; /* the thread's, when the snapshot was made */
    struct arch_registers values;
    struct arch_block *blocks[ARCH_SET_COUNT]; /* NULL: not asked for yet */
};

/* May the thread's registers be looked at, or changed? snapshot: it must be in the stop that this is of; NULL: in any. */
static int check_stopped(struct request *request, const rein_registers *snapshot, const char *what)
{
    rein_thread *thread = request->thread;
    int result = process_check(thread_owner(thread), &request->error);
    if (!result && !rein_state_is_stopped(thread->state))
        return thread_bad_state(thread, &request->error, what, "stop it first");
    if (!result)
        result = thread_check_call(thread, &request->error, what);
    if (!result && snapshot && snapshot->run_count != thread->run_count)
        return thread_bad_state(thread, &request->error, what,
                                "the thread has run since this snapshot was made; take a new one");
    return result;
}

static void run_get(struct request *request)
{
    rein_thread *thread = request->thread;
    rein_registers *registers = request->out;
    int result = check_stopped(request, NULL, "cannot get registers");
    if (!result && request->at_rest && !thread->registers_known)
        return;
    if (!result) {
        int error = thread_get_registers(thread, &registers->values);
        if (error)
            result = error_set_system(&request->error, error == -ESRCH ? REIN_NO_THREAD : REIN_SYSTEM, error,
                                      "Thread %d: registers cannot be read", thread->id);
    }
    registers->arch = registers->values.arch;
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
    struct request request = {
        .run = run_get, .reads = true, .process = thread_owner(thread), .thread = thread, .out = *registers};
    int result = monitor_submit(thread_owner(thread)->monitor, &request, -1);
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
    for (int i = 0; i < ARCH_SET_COUNT; i++)
        free(registers->blocks[i]);
    rein_thread_unref(registers->thread);
    free(registers);
}

static int no_registers(const char *function)
{
    return error_fail(REIN_INVALID_ARGUMENT, "%s: an argument is NULL", function);
}

const char *rein_registers_architecture(const rein_registers *registers)
{
    return registers ? registers->arch->name : NULL;
}

int rein_registers_count(const rein_registers *registers)
{
    return registers ? registers->arch->register_count : no_registers(__func__);
}

int rein_registers_total(const rein_registers *registers)
{
    return registers ? registers->arch->register_total : no_registers(__func__);
}

static bool in_range(const rein_registers *registers, int index)
{
    return index >= 0 && index < registers->arch->register_total;
}

static bool is_general(const rein_registers *registers, int index)
{
    return index >= 0 && index < registers->arch->register_count;
}

static int out_of_range(const rein_registers *registers, int index)
{
    return error_fail(REIN_OUT_OF_RANGE, "there is no register %d: %s has 0 to %d", index, registers->arch->name,
                      registers->arch->register_total - 1);
}

/* For the functions that take registers as words. */
static int not_general(const rein_registers *registers, int index)
{
    if (!in_range(registers, index))
        return out_of_range(registers, index);
    return error_fail(REIN_OUT_OF_RANGE,
                      "register %d, %s, is none of the first %d, which are words: use "
                      "rein_registers_read and rein_registers_write",
                      index, registers->arch->registers[index].name, registers->arch->register_count);
}

const char *rein_registers_name(const rein_registers *registers, int index)
{
    if (!registers)
        no_registers(__func__);
    else if (!in_range(registers, index))
        out_of_range(registers, index);
    else
        return registers->arch->registers[index].name;
    return NULL;
}

int rein_registers_index(const rein_registers *registers, const char *name)
{
    if (!registers || !name)
        return no_registers(__func__);
    for (int i = 0; i < registers->arch->register_total; i++) {
        const struct arch_register *what = &registers->arch->registers[i];
        if (!strcmp(what->name, name) || (what->alias && !strcmp(what->alias, name)))
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
    if (!is_general(registers, index))
        return not_general(registers, index);
    *value = registers->arch->get(&registers->values, index);
    return 0;
}

static int wrong_count(const rein_registers *registers, size_t count)
{
    return error_fail(REIN_INVALID_ARGUMENT, "%s has %d registers that are words, not %zu", registers->arch->name,
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
    struct arch_registers values;
    int result = check_stopped(request, change->snapshot, "cannot set registers");
    if (!result) {
        int error = thread_get_registers(thread, &values);
        if (!error) {
            apply(change, &values);
            error = thread_set_registers(thread, &values);
        }
        if (error)
            result = error_set_system(&request->error, REIN_SYSTEM, error, "Thread %d: the registers cannot be set",
                                      thread->id);
    }
    if (!result && arch_pc(&values) != thread_extra(thread)->skip_pc)
        thread->skip = false; /* wherever it goes on, it has not been shown a breakpoint there */
    request_finish(request, result);
}

/* A word that has more than its register's bytes would be cut without a word. */
static int check_width(const struct change *change)
{
    const struct arch *arch = change->snapshot->arch;
    int first = change->index < 0 ? 0 : change->index, end = change->index < 0 ? arch->register_count : first + 1;
    for (int i = first; i < end; i++) {
        const struct arch_register *what = &arch->registers[i];
        if (what->bytes < sizeof(rein_word) && change->values[i - first] >> (8 * what->bytes))
            return error_fail(REIN_INVALID_ARGUMENT, "%s has %d bytes: 0x%llx is too wide for it", what->name,
                              what->bytes, (unsigned long long)change->values[i - first]);
    }
    return 0;
}

static int write_through(const struct change *change)
{
    rein_thread *thread = change->snapshot->thread;
    struct request request = {.run = run_set, .process = thread_owner(thread), .thread = thread, .options = change};
    int result = check_width(change);
    if (!result)
        result = monitor_submit(thread_owner(thread)->monitor, &request, -1);
    if (!result)
        apply(change, &change->snapshot->values);
    return result;
}

int rein_registers_set(rein_registers *registers, int index, rein_word value)
{
    if (!registers)
        return no_registers(__func__);
    if (!is_general(registers, index))
        return not_general(registers, index);
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

/* ---- Registers of any size ---- */

int rein_registers_info(const rein_registers *registers, int index, struct rein_register_info *info)
{
    if (!registers || !info)
        return no_registers(__func__);
    if (info->size != sizeof *info)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_registers_info: use REIN_REGISTER_INFO_INIT");
    if (!in_range(registers, index))
        return out_of_range(registers, index);
    const struct arch_register *what = &registers->arch->registers[index];
    *info = (struct rein_register_info){
        .size = sizeof *info,
        .name = what->name,
        .bytes = what->bytes,
        .type = (enum rein_register_type)what->type,
        .group = (enum rein_register_group)what->group,
        .lanes = what->lanes,
        .row = what->row,
        .dwarf = what->dwarf,
        .flags = what->flags,
        .flag_count = what->flag_count,
    };
    return 0;
}

#define NOT_PRESENT "Thread %d has no register %s: there is none with this processor, kernel or kind of program"

enum { BLOCK_ROOM = 16384, BLOCK_ROOM_MAX = 1 << 20 };

/* The kernel does not say how large it is, but gives no more than there is. */
struct arch_block *registers_fetch(rein_thread *thread, const struct arch *arch, enum arch_set set, struct error *error)
{
    const struct os_backend *os = thread->process->os;
    for (size_t room = BLOCK_ROOM; room <= BLOCK_ROOM_MAX; room *= 2) {
        struct arch_block *block = calloc(1, sizeof *block + room);
        if (!block) {
            error_set(error, REIN_NO_MEMORY, "no memory for the registers of thread %d", thread->id);
            return NULL;
        }
        block->bytes = (unsigned char *)(block + 1);
        int size = os->get_register_set(thread->id, set, block->bytes, room);
        if (size >= 0 && (size_t)size < room) {
            block->room = room;
            block->size = (size_t)size;
            arch->lay_out(block, set);
            return block;
        }
        free(block);
        if (size < 0) {
            error_set_system(error, REIN_SYSTEM, size, "Thread %d: registers cannot be read", thread->id);
            return NULL;
        }
    }
    error_set(error, REIN_SYSTEM, "Thread %d: its registers take more than %d bytes", thread->id, BLOCK_ROOM_MAX);
    return NULL;
}

static void run_fetch(struct request *request)
{
    rein_registers *registers = request->out;
    enum arch_set set = (enum arch_set)request->number;
    int result = check_stopped(request, registers, "cannot get more registers for an old snapshot");
    if (!result) {
        registers->blocks[set] = registers_fetch(request->thread, registers->arch, set, &request->error);
        result = registers->blocks[set] ? 0 : request->error.code;
    }
    request_finish(request, result);
}

/* The block that has the register, fetched if it has not been asked for before. */
static int block_of(rein_registers *registers, int index, const struct arch_block **block)
{
    enum arch_set set = (enum arch_set)registers->arch->registers[index].set;
    rein_thread *thread = registers->thread;
    struct request request = {
        .run = run_fetch, .process = thread_owner(thread), .thread = thread, .out = registers, .number = (int)set};
    int result = registers->blocks[set] ? 0 : monitor_submit(thread_owner(thread)->monitor, &request, -1);
    *block = registers->blocks[set];
    return result;
}

int rein_registers_present(rein_registers *registers, int index, bool *present)
{
    const struct arch_block *block;
    int result;
    if (!registers || !present)
        return no_registers(__func__);
    if (!in_range(registers, index))
        return out_of_range(registers, index);
    if (is_general(registers, index)) {
        *present = true;
        return 0;
    }
    result = block_of(registers, index, &block);
    if (!result)
        *present = registers->arch->width(block, index) > 0;
    return result;
}

int rein_registers_read(rein_registers *registers, int index, void *buffer, size_t size, size_t *length)
{
    const struct arch_block *block = NULL;
    if (!registers || !buffer)
        return no_registers(__func__);
    if (!in_range(registers, index))
        return out_of_range(registers, index);
    const struct arch *arch = registers->arch;
    const struct arch_register *what = &arch->registers[index];
    int result = is_general(registers, index) ? 0 : block_of(registers, index, &block);
    if (result)
        return result;
    size_t width = block ? arch->width(block, index) : what->bytes;
    if (width == 0)
        return error_fail(REIN_NO_REGISTER, NOT_PRESENT, registers->thread->id, what->name);
    if (length)
        *length = width;
    if (size < width)
        return error_fail(REIN_INVALID_ARGUMENT, "%s has %zu bytes, the buffer %zu", what->name, width, size);
    if (block) {
        arch->read(block, index, buffer);
    } else {
        rein_word word = arch->get(&registers->values, index);
        memcpy(buffer, &word, width); /* the architectures that there are have the lowest byte first */
    }
    return 0;
}

/* One register of a set that comes as a block. */
struct block_change {
    rein_registers *snapshot;
    int index;
    const void *data;
    size_t size;
};

static int set_block(struct request *request, const struct block_change *change, struct arch_block *block)
{
    rein_thread *thread = request->thread;
    const struct os_backend *os = thread->process->os;
    const struct arch *arch = change->snapshot->arch;
    const struct arch_register *what = &arch->registers[change->index];
    size_t width = arch->width(block, change->index);
    if (what->read_only)
        return error_set(&request->error, REIN_NOT_SUPPORTED, "Thread %d: %s can be read only", thread->id, what->name);
    if (width == 0)
        return error_set(&request->error, REIN_NO_REGISTER, NOT_PRESENT, thread->id, what->name);
    if (width != change->size)
        return error_set(&request->error, REIN_INVALID_ARGUMENT, "%s has %zu bytes, not %zu", what->name, width,
                         change->size);
    arch->write(block, change->index, change->data);
    int error = os->set_register_set(thread->id, (enum arch_set)what->set, block->bytes, block->size);
    if (!error)
        return 0;
    return error_set_system(
        &request->error, REIN_SYSTEM, error, "Thread %d: %s cannot be set%s", thread->id, what->name,
        error == -EINVAL ? " to that (is a reserved bit set? or has the thread not used that part of "
                           "the processor yet?)"
                         : "");
}

/* Has the kernel kept what it has taken? Not all do, and none says so (of pkru: Linux 5.14 to 6.1). It has if writing it
 * once more changes nothing. block is used up. */
static int check_kept(struct request *request, const struct block_change *change, struct arch_block *block,
                      const struct arch_block *after)
{
    const struct arch *arch = change->snapshot->arch;
    if (block->size == after->size) {
        memcpy(block->bytes, after->bytes, after->size);
        arch->write(block, change->index, change->data);
        if (!memcmp(block->bytes, after->bytes, after->size))
            return 0;
    }
    return error_set(&request->error, REIN_SYSTEM, "Thread %d: %s cannot be set: the kernel has not kept the value",
                     request->thread->id, arch->registers[change->index].name);
}

/* Writes to what the thread has now, as run_set does; the snapshot gets what it has then. */
static int set_and_check(struct request *request, const struct block_change *change)
{
    rein_registers *snapshot = change->snapshot;
    enum arch_set set = (enum arch_set)snapshot->arch->registers[change->index].set;
    struct arch_block *block = registers_fetch(request->thread, snapshot->arch, set, &request->error), *after = NULL;
    int result = block ? set_block(request, change, block) : request->error.code;
    if (block && !result) {
        after = registers_fetch(request->thread, snapshot->arch, set, &request->error);
        result = after ? check_kept(request, change, block, after) : request->error.code;
    }
    if (after) {
        free(snapshot->blocks[set]);
        snapshot->blocks[set] = after;
    }
    free(block);
    return result;
}

static void run_set_block(struct request *request)
{
    const struct block_change *change = request->options;
    int result = check_stopped(request, change->snapshot, "cannot set registers");
    if (!result)
        result = set_and_check(request, change);
    request_finish(request, result);
}

int rein_registers_write(rein_registers *registers, int index, const void *data, size_t size)
{
    if (!registers || !data)
        return no_registers(__func__);
    if (!in_range(registers, index))
        return out_of_range(registers, index);
    const struct arch_register *what = &registers->arch->registers[index];
    if (is_general(registers, index)) {
        rein_word word = 0;
        if (size != what->bytes)
            return error_fail(REIN_INVALID_ARGUMENT, "%s has %u bytes, not %zu", what->name, what->bytes, size);
        memcpy(&word, data, size);
        return rein_registers_set(registers, index, word);
    }
    struct block_change change = {registers, index, data, size};
    rein_thread *thread = registers->thread;
    struct request request = {
        .run = run_set_block, .process = thread_owner(thread), .thread = thread, .options = &change};
    return monitor_submit(thread_owner(thread)->monitor, &request, -1);
}

const char *rein_register_type_name(enum rein_register_type type)
{
    static const char *const names[REIN_TYPE_COUNT] = {
        [REIN_TYPE_INTEGER] = "integer",
        [REIN_TYPE_CODE_POINTER] = "code pointer",
        [REIN_TYPE_DATA_POINTER] = "data pointer",
        [REIN_TYPE_FLAGS] = "flags",
        [REIN_TYPE_FLOAT] = "float",
        [REIN_TYPE_VECTOR] = "vector",
        [REIN_TYPE_MATRIX] = "matrix",
        [REIN_TYPE_STRUCT] = "struct",
    };
    return (unsigned)type < REIN_TYPE_COUNT ? names[type] : NULL;
}

const char *rein_register_group_name(enum rein_register_group group)
{
    static const char *const names[REIN_GROUP_COUNT] = {
        [REIN_GROUP_GENERAL] = "general", [REIN_GROUP_SEGMENT] = "segment", [REIN_GROUP_SYSTEM] = "system",
        [REIN_GROUP_FLOAT] = "float",     [REIN_GROUP_VECTOR] = "vector",   [REIN_GROUP_MASK] = "mask",
        [REIN_GROUP_TILE] = "tile",
    };
    return (unsigned)group < REIN_GROUP_COUNT ? names[group] : NULL;
}
