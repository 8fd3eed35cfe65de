/* lldb's dialect: memory. What is mapped where, as the kernel tells it; where a file and the run-time linker's list of libraries are;
 * and memory that the client has in the program, by calls that are made there, for the code that it wants to run. */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "image.h"
#include "lldb.h"
#include "server.h"

enum {
    CALL_LIMIT_MS = 10000,  /* for a system call that is made in the program */
    ALLOCATIONS_MAX = 4096, /* pieces of memory that the client has at once */
    DYNAMIC_MAX = 1024,     /* entries of a program's dynamic section */
};

/* ---- What is where ---- */

struct region {
    rein_word begin, end;
    char permissions[8];
    unsigned long long offset;
    const char *name; /* in the line */
};

static bool parse_region(char *line, struct region *region)
{
    int name = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %llx %*s %*s %n", &region->begin, &region->end, region->permissions,
               &region->offset, &name) < 4)
        return false;
    line[strcspn(line, "\n")] = '\0';
    region->name = name ? line + name : "";
    return true;
}

static FILE *open_maps(const struct inferior *inferior)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", inferior->id);
    return fopen(path, "re");
}

static void reply_region(struct reply *reply, const struct region *region)
{
    reply_format(reply, "start:%" PRIx64 ";size:%" PRIx64 ";", region->begin, region->end - region->begin);
    if (!*region->permissions)
        return;
    reply_text(reply, "permissions:");
    for (const char *c = region->permissions; *c && *c != 'p' && *c != 's'; c++)
        if (*c != '-')
            reply_bytes(reply, c, 1);
    reply_text(reply, ";flags:;");
    if (*region->name)
        lldb_add_text(reply, "name", region->name);
}

/* What is mapped there, or the hole that the address is in, which has no permissions. */
static void run_region(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (*arguments == '\0') { /* is there such a packet? */
        server_ok(reply);
        return;
    }
    const char *text = arguments;
    rein_word address;
    struct inferior *inferior = server_general(server, NULL);
    FILE *maps = inferior ? open_maps(inferior) : NULL;
    if (*text++ != ':' || !parse_hex_to(&text, '\0', &address) || !maps) {
        server_error(server, reply, maps ? "an address is wanted" : "there is no process with memory");
        if (maps)
            fclose(maps);
        return;
    }
    struct region region, hole = {.begin = 0, .end = UINT64_MAX};
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (!found && getline(&line, &size, maps) > 0 && parse_region(line, &region)) {
        found = address >= region.begin && address < region.end;
        if (found)
            reply_region(reply, &region);
        else if (region.begin > address) {
            hole.end = region.begin;
            break;
        }
        hole.begin = region.end;
    }
    if (!found)
        reply_region(reply, &hole);
    free(line);
    fclose(maps);
}

/* Where a file is in memory: its first byte. */
static void run_load_address(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    struct inferior *inferior = server_general(server, NULL);
    FILE *maps = inferior ? open_maps(inferior) : NULL;
    char *path = parse_hex_text(arguments, length), *line = NULL;
    size_t size = 0;
    struct region region;
    while (maps && path && *path && !reply->used && getline(&line, &size, maps) > 0 && parse_region(line, &region))
        if (region.offset == 0 && strcmp(region.name, path) == 0)
            reply_format(reply, "%" PRIx64, region.begin);
    if (!reply->used)
        server_error(server, reply, "the file is not in memory");
    free(line);
    free(path);
    if (maps)
        fclose(maps);
}

/* Where the run-time linker leaves the address of its list of libraries. (Without an answer lldb takes libraries-svr4's main-lm
 * for this, wrongly.) */
static void run_libraries(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    struct image image = inferior ? image_of(server, inferior) : (struct image){0};
    struct segment dynamic;
    if (inferior && image_segment(&image, PT_DYNAMIC, &dynamic) && dynamic.has_bias) {
        size_t width = lldb_word_size(inferior);
        for (size_t i = 0; i < DYNAMIC_MAX && 2 * width * (i + 1) <= dynamic.size; i++) {
            uint64_t at = dynamic.address + dynamic.bias + 2 * width * i, tag;
            if (!image_read_words(&image, at, &tag, 1) || tag == DT_NULL)
                break;
            if (tag == DT_DEBUG) {
                reply_format(reply, "%" PRIx64, at + width);
                return;
            }
        }
    }
    server_error(server, reply, "the program has no list of libraries");
}

/* ---- The client's own ---- */

struct allocation {
    struct allocation *next;
    int pid;
    rein_word address;
    size_t size;
};

void lldb_free_allocations(struct allocation **from)
{
    while (*from) {
        struct allocation *allocation = *from;
        *from = allocation->next;
        free(allocation);
    }
}

/* "SIZE,rwx": memory in the program. */
static void run_allocate(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    uint64_t size;
    struct lldb *lldb = lldb_of(server);
    size_t count = 0;
    for (struct allocation *each = lldb ? lldb->allocations : NULL; each; each = each->next)
        count++;
    bool is_good =
        parse_hex_to(&text, ',', &size) && size > 0 && size <= SIZE_MAX / 2 && text[strspn(text, "rwx")] == '\0';
    rein_thread *thread = NULL;
    struct inferior *inferior = server_general(server, &thread);
    struct allocation *allocation = lldb && count < ALLOCATIONS_MAX ? malloc(sizeof *allocation) : NULL;
    if (!is_good || !inferior || !allocation) {
        server_error(server, reply, "%s",
                     !is_good    ? "a size and permissions are wanted"
                     : !inferior ? "there is no thread"
                                 : "there is too much memory already");
        goto failed;
    }
    int protection = (strchr(text, 'r') ? PROT_READ : 0) | (strchr(text, 'w') ? PROT_WRITE : 0) |
                     (strchr(text, 'x') ? PROT_EXEC : 0);
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    options.timeout_ms = CALL_LIMIT_MS;
    *allocation = (struct allocation){.next = lldb->allocations, .pid = inferior->id, .size = (size_t)size};
    if (rein_thread_mmap(thread, 0, (size_t)size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &options,
                         &allocation->address) != 0) {
        server_fail(server, reply);
        goto failed;
    }
    server_forget_view(server);
    memory_forget(server);
    lldb->allocations = allocation;
    reply_format(reply, "%016" PRIx64, allocation->address);
    allocation = NULL;
failed:
    free(allocation);
    rein_thread_unref(thread);
}

static void run_deallocate(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    rein_word address;
    struct lldb *lldb = server->saved;
    rein_thread *thread = NULL;
    struct inferior *inferior = server_general(server, &thread);
    struct allocation **at = lldb ? &lldb->allocations : NULL;
    bool is_good = inferior && parse_hex_to(&text, '\0', &address);
    while (is_good && at && *at && ((*at)->address != address || (*at)->pid != inferior->id))
        at = &(*at)->next;
    struct rein_syscall_options options = REIN_SYSCALL_OPTIONS_INIT;
    options.timeout_ms = CALL_LIMIT_MS;
    if (!is_good || !at || !*at) {
        server_error(server, reply, "that is no memory of yours");
    } else if (rein_thread_munmap(thread, address, (*at)->size, &options) != 0) {
        server_fail(server, reply);
    } else {
        struct allocation *allocation = *at;
        *at = allocation->next;
        free(allocation);
        server_forget_view(server);
        memory_forget(server);
        server_ok(reply);
    }
    rein_thread_unref(thread);
}

const struct handler lldb_memory_handlers[] = {
    {"qMemoryRegionInfo*", run_region},
    {"qFileLoadAddress:", run_load_address},
    {"qShlibInfoAddr", run_libraries},
    {"_M*", run_allocate},
    {"_m*", run_deallocate},
    {NULL, NULL},
};
