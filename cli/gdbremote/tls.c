/* qGetTLSAddr: where a thread has a thread-local variable. libthread_db, which gdbserver asks, has to be the one that fits the
 * program's libc, and must be loaded into the debugger. But all that it knows is in libc itself: descriptors of its structures,
 * _thread_db_STRUCT_FIELD, each three ints: the size in bits, how many there are, and the offset. They are read from the program.
 *
 * A module's variables are in a block of its own in each thread, of which the thread's vector (dtv) has the address, by the
 * module's number. A block is allocated, and the vector brought up to date, when the thread first uses a variable;
 * modules that were there at the start have blocks at a fixed distance from the thread pointer.
 *
 * A program without a run-time linker has one module, at the distance that its program header tells. musl's libc has no
 * descriptors: there only such programs can be asked. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cli.h"
#include "../modules.h"
#include "image.h"
#include "server.h"

enum { WALK_MAX = 0x100000 }; /* of a list in the program's memory */

enum name {
    MAP_MODULE,
    MAP_OFFSET,
    THREAD_VECTOR,
    THREAD_ID,
    THREAD_LIST,
    THREAD_SIZE, /* one int */
    LIST_NEXT,
    VECTOR,
    VECTOR_POINTER,
    VECTOR_COUNTER,
    LINKER_MODULES,
    LINKER_USED,
    LINKER_USER,
    MODULES_LENGTH,
    MODULES_NEXT,
    MODULES_ITEMS,
    ITEM_GENERATION,
    NAME_COUNT,
};
static const char *const names[NAME_COUNT] = {
    [MAP_MODULE] = "link_map_l_tls_modid",
    [MAP_OFFSET] = "link_map_l_tls_offset",
    [THREAD_VECTOR] = "pthread_dtvp",
    [THREAD_ID] = "pthread_tid",
    [THREAD_LIST] = "pthread_list",
    [THREAD_SIZE] = "sizeof_pthread",
    [LIST_NEXT] = "list_t_next",
    [VECTOR] = "dtv_dtv",
    [VECTOR_POINTER] = "dtv_t_pointer_val",
    [VECTOR_COUNTER] = "dtv_t_counter",
    [LINKER_MODULES] = "rtld_global__dl_tls_dtv_slotinfo_list",
    [LINKER_USED] = "rtld_global__dl_stack_used",
    [LINKER_USER] = "rtld_global__dl_stack_user",
    [MODULES_LENGTH] = "dtv_slotinfo_list_len",
    [MODULES_NEXT] = "dtv_slotinfo_list_next",
    [MODULES_ITEMS] = "dtv_slotinfo_list_slotinfo",
    [ITEM_GENERATION] = "dtv_slotinfo_gen",
};

struct descriptor {
    uint32_t bits, count, offset;
};

/* What one libc is like; kept, since to look for so many symbols takes time. */
struct layout {
    struct symbols *libc; /* whose it is; NULL: of none */
    struct descriptor items[NAME_COUNT];
    bool known[NAME_COUNT];
};

struct tls {
    struct module_files files; /* opened once */
    struct layout layout;
};

/* A question. */
struct query {
    struct image image;
    const struct layout *layout;
    uint64_t linker; /* its _rtld_global; 0: not known */
};

/* ---- libc ---- */

static void take(const struct symbol *symbol, void *arg)
{
    uint64_t *address = arg;
    *address = symbol->address;
}

/* 0: there is none. */
static uint64_t find_symbol(struct modules *modules, struct module *module, const char *name)
{
    struct symbols *symbols = module ? module_symbols(modules, module) : NULL;
    uint64_t address = 0;
    if (symbols)
        symbols_find(symbols, name, SYMBOLS_OWN, take, &address);
    return address ? address + module_bias(module) : 0;
}

static bool may_be_libc(struct modules *modules, struct module *module)
{
    struct symbols *symbols = module_symbols(modules, module);
    const char *name = symbols ? symbols_soname(symbols) : NULL;
    /* Before glibc 2.34 the descriptors were with the threads. */
    return name && (strcmp(name, "libc.so.6") == 0 || strcmp(name, "libpthread.so.0") == 0);
}

static void read_layout(struct query *query, struct modules *modules, struct module *module, struct layout *layout)
{
    *layout = (struct layout){.libc = module_symbols(modules, module)};
    for (size_t i = 0; i < NAME_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "_thread_db_%s", names[i]);
        uint64_t address = find_symbol(modules, module, name);
        size_t size = i == THREAD_SIZE ? sizeof layout->items[i].bits : sizeof layout->items[i];
        layout->known[i] = address && image_read(&query->image, address, &layout->items[i], size);
    }
}

/* False: the program has no libc that could be asked. */
static bool find_libc(struct query *query, struct tls *tls)
{
    struct modules modules = {.pid = query->image.inferior->id, .files = &tls->files};
    struct layout *layout = &tls->layout;
    bool found = false;
    if (!modules_scan(&modules))
        return false;
    for (size_t i = 0; i < modules.count && !found; i++) {
        struct module *module = modules.items[i];
        if (!may_be_libc(&modules, module))
            continue;
        if (layout->libc != module_symbols(&modules, module))
            read_layout(query, &modules, module, layout);
        found = layout->known[THREAD_VECTOR];
        if (!found)
            layout->libc = NULL; /* its memory cannot be read yet, perhaps */
    }
    if (found)
        query->linker = find_symbol(&modules, modules_at(&modules, modules.interpreter), "_rtld_global");
    query->layout = layout;
    modules_free(&modules);
    return found;
}

/* ---- Fields ---- */

/* One of a structure's words, the index-th of an array. */
static bool read_field(const struct query *query, uint64_t structure, enum name name, uint64_t index, uint64_t *value)
{
    const struct descriptor *item = &query->layout->items[name];
    uint64_t address = structure + item->offset + index * (item->bits / 8);
    uint32_t small;
    if (!query->layout->known[name])
        return false;
    if (item->bits == 64 && query->image.wide)
        return image_read(&query->image, address, value, 8);
    if (item->bits != 32 || !image_read(&query->image, address, &small, sizeof small))
        return false;
    *value = small;
    return true;
}

/* The module's generation: a vector of an older one does not know it. 0: not known. */
static uint64_t module_generation(const struct query *query, uint64_t module)
{
    const struct layout *layout = query->layout;
    uint64_t list, length, generation;
    if (!query->linker || !layout->known[MODULES_ITEMS] || !read_field(query, query->linker, LINKER_MODULES, 0, &list))
        return 0;
    for (int i = 0; list && i < WALK_MAX; i++) {
        if (!read_field(query, list, MODULES_LENGTH, 0, &length))
            return 0;
        const struct descriptor *items = &layout->items[MODULES_ITEMS];
        if (module < length)
            return read_field(query, list + items->offset + module * (items->bits / 8), ITEM_GENERATION, 0, &generation)
                       ? generation
                       : 0;
        module -= length;
        if (!read_field(query, list, MODULES_NEXT, 0, &list))
            return 0;
    }
    return 0;
}

/* ---- Threads ---- */

/* The thread pointer; false: it is in no register that can be read. */
static bool thread_pointer(struct server *server, rein_thread *thread, uint64_t *pointer)
{
    rein_registers *registers = server_registers(server, thread);
    static const char *const registers_of_it[] = {"fs_base", "tpidr"};
    if (!registers)
        return false;
    if (strcmp(rein_registers_architecture(registers), "i386") == 0)
        return false;
    for (size_t i = 0; i < sizeof registers_of_it / sizeof *registers_of_it; i++) {
        int index = rein_registers_index(registers, registers_of_it[i]);
        if (index >= 0)
            return rein_registers_read(registers, index, pointer, sizeof *pointer, NULL) == 0;
    }
    return false;
}

uint64_t tls_pthread(struct server *server, rein_thread *thread)
{
    uint64_t pointer;
    rein_registers *registers = server->no_tls ? NULL : server_registers(server, thread);
    bool is_it = registers && strcmp(rein_registers_architecture(registers), "amd64") == 0;
    return is_it && thread_pointer(server, thread, &pointer) ? pointer : 0;
}

/* Its id as the program sees it: in its own namespace. */
static int inner_id(int pid, int tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", pid, tid);
    char *text = cli_read_file(path, NULL), *line = text ? strstr(text, "\nNSpid:") : NULL;
    if (line)
        line[1 + strcspn(line + 1, "\n")] = '\0';
    const char *last = line ? strrchr(line, '\t') : NULL;
    int id = last ? atoi(last) : tid;
    free(text);
    return id;
}

/* Looks for its struct pthread in one of libc's two lists. */
static bool find_in_list(const struct query *query, enum name list, int id, uint64_t *found)
{
    const struct layout *layout = query->layout;
    uint64_t head = query->linker + layout->items[list].offset, at = head, tid;
    if (!query->linker || !layout->known[list] || !layout->known[THREAD_LIST])
        return false;
    for (int i = 0; i < WALK_MAX && read_field(query, at, LIST_NEXT, 0, &at) && at && at != head; i++) {
        uint64_t thread = at - layout->items[THREAD_LIST].offset;
        if (read_field(query, thread, THREAD_ID, 0, &tid) && tid == (uint64_t)id) {
            *found = thread;
            return true;
        }
    }
    return false;
}

/* The thread's struct pthread. It ends where the thread pointer shows, or begins there, as on x86. On i386 the pointer is in
 * a descriptor of the kernel's, and libc's lists are gone through. */
static bool find_thread(const struct query *query, rein_thread *thread, uint64_t *found)
{
    const struct layout *layout = query->layout;
    const char *architecture = rein_process_architecture(query->image.inferior->process);
    if (thread_pointer(query->image.server, thread, found)) {
        if (strcmp(architecture, "amd64") != 0)
            *found -= layout->known[THREAD_SIZE] ? layout->items[THREAD_SIZE].bits : 0;
        return *found != 0;
    }
    int id = inner_id(query->image.inferior->id, rein_thread_id(thread));
    return find_in_list(query, LINKER_USER, id, found) || find_in_list(query, LINKER_USED, id, found);
}

/* ---- Blocks ---- */

/* Where a block at that distance is: below the thread pointer on x86, above it elsewhere. */
static uint64_t block_at(const struct query *query, uint64_t thread, uint64_t distance)
{
    const char *architecture = rein_process_architecture(query->image.inferior->process);
    if (strcmp(architecture, "amd64") == 0)
        return thread - distance;
    if (strcmp(architecture, "i386") == 0)
        return (uint32_t)(thread - distance);
    return thread + (query->layout ? query->layout->items[THREAD_SIZE].bits : 0) + distance;
}

/* Of a program without a run-time linker: false if it has none, or more than that. */
static bool find_only_block(const struct query *query, rein_thread *thread, uint64_t *block)
{
    struct segment segment;
    uint64_t pointer;
    if (!image_segment(&query->image, PT_TLS, &segment) || !thread_pointer(query->image.server, thread, &pointer))
        return false;
    uint64_t alignment = segment.alignment ? segment.alignment : 1;
    bool above = strcmp(rein_process_architecture(query->image.inferior->process), "arm64") == 0;
    uint64_t distance = above ? 16 : segment.size; /* above there are two words of libc's first */
    if (alignment & (alignment - 1))
        return false;
    distance = (distance + alignment - 1) & ~(alignment - 1);
    *block = above ? pointer + distance : pointer - distance;
    return pointer != 0;
}

/* NULL: it was found; else why not. */
static const char *find_block(const struct query *query, rein_thread *thread, uint64_t map, uint64_t *block)
{
    uint64_t module = 1, self, vector, generation = 0, distance = 0;
    if (map && !read_field(query, map, MAP_MODULE, 0, &module))
        return "the module cannot be looked at";
    if (!module)
        return "the module has no thread-local variables";
    if (!find_thread(query, thread, &self))
        return "the thread is not known to its libc (yet)";
    if (!read_field(query, self, THREAD_VECTOR, 0, &vector) || !vector ||
        !read_field(query, vector, VECTOR_COUNTER, 0, &generation))
        return "the thread has no thread-local variables yet";
    if (generation >= module_generation(query, module)) {
        const struct descriptor *slots = &query->layout->items[VECTOR];
        uint64_t slot = vector + slots->offset + module * (slots->bits / 8);
        if (!query->layout->known[VECTOR] || !read_field(query, slot, VECTOR_POINTER, 0, block))
            return "the thread's vector of modules cannot be read";
        if (*block && !(*block & 1))
            return NULL;
    }
    /* Not in the vector yet. A fixed place it has all the same, if it was there at the start. */
    uint64_t none = query->image.wide ? UINT64_MAX : UINT32_MAX;
    if (map && read_field(query, map, MAP_OFFSET, 0, &distance) && distance && distance < none - 1) {
        *block = block_at(query, self, distance);
        return NULL;
    }
    return "the thread has not used a variable of that module yet: TLS not allocated yet";
}

/* ---- The packet ---- */

static void answer(struct server *server, struct inferior *inferior, rein_thread *thread, uint64_t offset, uint64_t map,
                   struct reply *reply)
{
    struct query query = {.image = image_of(server, inferior)};
    uint64_t block;
    if (!server->tls)
        server->tls = cli_alloc(1, sizeof(struct tls));
    const char *why = "the program's libc has no descriptions of its threads: not supported";
    if (find_libc(&query, server->tls)) {
        why = find_block(&query, thread, map, &block);
    } else if (!map) {
        query.layout = NULL;
        why = find_only_block(&query, thread, &block) ? NULL : why;
    }
    if (why) {
        server_error(server, reply, "%s", why);
        return;
    }
    block += offset;
    reply_format(reply, "%llx", (unsigned long long)(query.image.wide ? block : (uint32_t)block));
}

/* THREAD,OFFSET,MAP: of the variable in its module's block, and the module's struct link_map, 0 in programs that have none. */
static void run_address(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *at = arguments;
    int pid, tid;
    uint64_t offset, map;
    rein_thread *thread = NULL;
    if (!parse_thread(server, &at, &pid, &tid) || !parse_prefix(&at, ",") || !parse_hex_to(&at, ',', &offset) ||
        !parse_hex_to(&at, '\0', &map)) {
        server_error(server, reply, "not a thread, an offset and a module");
        return;
    }
    struct inferior *inferior = tid > 0 ? server_resolve(server, pid, tid, &thread) : NULL;
    if (inferior && server->no_tls)
        server_error(server, reply, "there is no libthread_db where it was to be looked for");
    else if (inferior)
        answer(server, inferior, thread, offset, map, reply);
    else
        server_error(server, reply, "there is no such thread");
    rein_thread_unref(thread);
}

void tls_free(struct server *server)
{
    struct tls *tls = server->tls;
    if (tls)
        module_files_free(&tls->files);
    free(tls);
    server->tls = NULL;
}

const struct handler tls_handlers[] = {
    {"qGetTLSAddr:", run_address},
    {NULL, NULL},
};
