/* What is mapped into a process, by /proc/PID/maps and /proc/PID/auxv. A file counts if some of it is mapped to be
 * executed; one that a program maps to read it, as debuggers do, does not. A file that is loaded twice (dlmopen) is two
 * modules. The file is opened as the process sees it (it may be in a container), and is only believed if it is the one
 * that is mapped: the path may lead to another by now, after an upgrade. */
#include "modules.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli.h"

struct module_file {
    struct module_file *next;
    char *path;
    uint64_t inode;
    unsigned major, minor;
    bool looked; /* symbols was tried */
    struct symbols *symbols;
    void *image; /* what they are of, if that had to be copied; else NULL */
};

/* ---- Scanning ---- */

struct mapping {
    uint64_t start, end, offset, inode;
    unsigned major, minor;
    bool executable;
    char *path; /* in the line */
};

static bool take_number(char **at, int base, char behind, uint64_t *value)
{
    char *end;
    *value = strtoull(*at, &end, base);
    if (end == *at || *end != behind)
        return false;
    *at = end + 1;
    return true;
}

/* Not sscanf: there are two lines for each thread, its stack's and that one's guard's. */
static bool parse_mapping(char *line, struct mapping *mapping)
{
    uint64_t major, minor;
    if (!take_number(&line, 16, '-', &mapping->start) || !take_number(&line, 16, ' ', &mapping->end) ||
        strnlen(line, 5) < 5 || line[4] != ' ')
        return false;
    mapping->executable = line[2] == 'x';
    line += 5;
    if (!take_number(&line, 16, ' ', &mapping->offset) || !take_number(&line, 16, ':', &major) ||
        !take_number(&line, 16, ' ', &minor) || !take_number(&line, 10, ' ', &mapping->inode))
        return false;
    mapping->major = (unsigned)major;
    mapping->minor = (unsigned)minor;
    mapping->path = line + strspn(line, " ");
    if (strcmp(mapping->path, "[vdso]") == 0)
        mapping->inode = mapping->start >> 32 == 0 ? 4 : 8; /* it is no file, and there are two of them */
    return true;
}

static struct module_file *find_file(struct modules *modules, const struct mapping *mapping)
{
    for (struct module_file *file = modules->files->newest; file != NULL; file = file->next)
        if (file->inode == mapping->inode && file->major == mapping->major && file->minor == mapping->minor &&
            strcmp(file->path, mapping->path) == 0)
            return file;
    struct module_file *file = cli_alloc(1, sizeof *file);
    *file = (struct module_file){.next = modules->files->newest,
                                 .path = cli_copy(mapping->path),
                                 .inode = mapping->inode,
                                 .major = mapping->major,
                                 .minor = mapping->minor};
    return modules->files->newest = file;
}

/* Mappings of one file that follow each other: one module, once it is known to have code. */
struct group {
    struct mapping first;
    uint64_t end;
    bool executable;
};

static void add_group(struct modules *modules, struct group *group)
{
    if (!group->executable)
        return;
    for (size_t i = 0; i < modules->count; i++) {
        struct module *module = modules->items[i];
        if (module->start == group->first.start && module->file->inode == group->first.inode &&
            strcmp(module->path, group->first.path) == 0) {
            module->end = group->end;
            module->seen = true;
            return;
        }
    }
    struct module *module = cli_alloc(1, sizeof *module);
    module->file = find_file(modules, &group->first);
    module->path = module->file->path;
    module->start = group->first.start;
    module->end = group->end;
    module->is_new = module->seen = true;
    modules->items = cli_grow(modules->items, modules->count, sizeof(void *));
    modules->items[modules->count++] = module;
}

static void add_code(struct modules *modules, const struct mapping *mapping)
{
    struct code_range *last = modules->code_count == 0 ? NULL : &modules->code[modules->code_count - 1];
    if (last != NULL && last->end == mapping->start) {
        last->end = mapping->end;
        return;
    }
    modules->code = cli_grow(modules->code, modules->code_count, sizeof *modules->code);
    modules->code[modules->code_count++] = (struct code_range){mapping->start, mapping->end};
}

static void scan_lines(struct modules *modules, char *text)
{
    struct group group = {0};
    modules->code_count = 0;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        struct mapping mapping;
        if (!parse_mapping(line, &mapping))
            continue;
        if (mapping.executable)
            add_code(modules, &mapping);
        if (mapping.path[0] != '/' && strcmp(mapping.path, "[vdso]") != 0)
            continue;
        if (group.first.path == NULL || mapping.offset == 0 || mapping.inode != group.first.inode ||
            strcmp(mapping.path, group.first.path) != 0) {
            add_group(modules, &group);
            group = (struct group){.first = mapping};
        }
        group.end = mapping.end;
        group.executable |= mapping.executable;
    }
    add_group(modules, &group);
}

static void read_auxiliary_vector(struct modules *modules)
{
    char path[64];
    size_t size;
    snprintf(path, sizeof path, "/proc/%d/auxv", modules->task);
    char *vector = cli_read_file(path, &size);
    modules->entry = modules->interpreter = 0;
    if (vector == NULL)
        return;
    /* The words are the process's, not ours. The type of the first entry is small: if its upper half is not 0, two
     * words of 32 bits have been read as one. */
    uint64_t first = 0;
    if (size >= sizeof first)
        memcpy(&first, vector, sizeof first);
    size_t word = first >> 32 != 0 ? 4 : 8;
    for (size_t at = 0; at + 2 * word <= size; at += 2 * word) {
        uint64_t type = 0, value = 0;
        memcpy(&type, vector + at, word);
        memcpy(&value, vector + at + word, word);
        if (type == AT_ENTRY)
            modules->entry = value;
        if (type == AT_BASE)
            modules->interpreter = value;
    }
    free(vector);
}

static void forget(struct modules *modules, bool everything)
{
    size_t kept = 0;
    for (size_t i = 0; i < modules->count; i++) {
        struct module *module = modules->items[i];
        if (everything || module->is_gone) {
            free(module);
            continue;
        }
        module->is_new = module->seen = false;
        modules->items[kept++] = module;
    }
    modules->count = kept;
}

static char *read_maps(int task)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", task);
    return cli_read_file(path, NULL);
}

/* What is mapped, by the first thread that has memory. NULL if that cannot be seen: errno. */
static char *read_maps_of_any(struct modules *modules)
{
    char *text = read_maps(modules->task = modules->pid);
    if (text == NULL || *text != '\0')
        return text;
    char *path = cli_format("/proc/%d/task", modules->pid);
    DIR *directory = opendir(path);
    struct dirent *entry;
    free(path);
    while (directory != NULL && *text == '\0' && (entry = readdir(directory)) != NULL) {
        int task = cli_parse_pid(entry->d_name);
        char *other = task == 0 ? NULL : read_maps(task);
        if (other == NULL)
            continue;
        free(text);
        text = other;
        modules->task = task;
    }
    if (directory != NULL)
        closedir(directory);
    return text;
}

bool modules_scan(struct modules *modules)
{
    char *text = read_maps_of_any(modules);
    if (text == NULL)
        return false;
    if (*text == '\0') { /* it is ending */
        free(text);
        errno = ESRCH;
        return false;
    }
    forget(modules, false);
    scan_lines(modules, text);
    for (size_t i = 0; i < modules->count; i++)
        modules->items[i]->is_gone = !modules->items[i]->seen;
    free(text);
    read_auxiliary_vector(modules);
    return true;
}

void modules_reset(struct modules *modules)
{
    forget(modules, true);
}

void modules_free(struct modules *modules)
{
    forget(modules, true);
    free(modules->items);
    free(modules->code);
    *modules = (struct modules){0};
}

void module_files_free(struct module_files *files)
{
    while (files->newest != NULL) {
        struct module_file *file = files->newest;
        files->newest = file->next;
        symbols_close(file->symbols);
        free(file->image);
        free(file->path);
        free(file);
    }
}

struct module *modules_at(const struct modules *modules, uint64_t address)
{
    for (size_t i = 0; i < modules->count; i++)
        if (address >= modules->items[i]->start && address < modules->items[i]->end && !modules->items[i]->is_gone)
            return modules->items[i];
    return NULL;
}

bool modules_is_executable(const struct modules *modules, uint64_t address)
{
    size_t low = 0, high = modules->code_count; /* the first that ends behind address */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (modules->code[middle].end <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < modules->code_count && address >= modules->code[low].start;
}

struct module *modules_program(const struct modules *modules)
{
    return modules_at(modules, modules->entry);
}

/* ---- Opening ---- */

static int open_if_same(const char *path, uint64_t inode)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (fd < 0)
        return -1;
    /* The device is not compared: overlayfs and btrfs show another one in maps. */
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == inode)
        return fd;
    close(fd);
    return -1;
}

/* By the mapping itself: this leads to deleted files too, but needs privileges. */
static int open_mapped(const struct modules *modules, const struct module *module)
{
    char *maps = read_maps(modules->task), *line, *rest = maps;
    int fd = -1;
    while (fd < 0 && rest != NULL && (line = strsep(&rest, "\n")) != NULL) {
        struct mapping mapping;
        if (!parse_mapping(line, &mapping) || mapping.start != module->start)
            continue;
        char *path = cli_format("/proc/%d/map_files/%" PRIx64 "-%" PRIx64, modules->task, mapping.start, mapping.end);
        fd = open_if_same(path, module->file->inode);
        free(path);
    }
    free(maps);
    return fd;
}

static int open_file(const struct modules *modules, const struct module *module)
{
    uint64_t inode = module->file->inode;
    char *path = cli_format("/proc/%d/root%s", modules->task, module->path);
    int fd = open_if_same(path, inode);
    free(path);
    if (fd < 0) {
        path = cli_format("/proc/%d/exe", modules->task);
        fd = open_if_same(path, inode);
        free(path);
    }
    if (fd < 0)
        fd = open_mapped(modules, module);
    if (fd < 0) /* the process may be gone by now, while its threads are described */
        fd = open_if_same(module->path, inode);
    return fd;
}

static bool is_32_bit(uint64_t address)
{
    return address >> 32 == 0;
}

/* All processes of a kernel and a word size have the same vdso: ours can be read at leisure, and one of the other size is
 * copied from the process. */
static struct symbols *open_vdso(const struct modules *modules, struct module *module)
{
    const void *image = (const void *)getauxval(AT_SYSINFO_EHDR); /* NOLINT(performance-no-int-to-ptr) */
    size_t size = (size_t)(module->end - module->start);
    if (image != NULL && is_32_bit(module->start) == (sizeof image == 4))
        return symbols_open_image(image, size);
    struct iovec here = {cli_alloc(size, 1), size};
    struct iovec there = {(void *)(uintptr_t)module->start, size}; /* NOLINT(performance-no-int-to-ptr) */
    if (module->start > UINTPTR_MAX || process_vm_readv(modules->task, &here, 1, &there, 1, 0) != (ssize_t)size) {
        free(here.iov_base);
        return NULL;
    }
    module->file->image = here.iov_base;
    return symbols_open_image(module->file->image, size);
}

struct symbols *module_symbols(struct modules *modules, struct module *module)
{
    struct module_file *file = module->file;
    if (!file->looked) {
        file->looked = true;
        if (strcmp(module->path, "[vdso]") == 0) {
            file->symbols = open_vdso(modules, module);
        } else {
            int fd = open_file(modules, module);
            if (fd >= 0)
                file->symbols = symbols_open(fd, module->path);
        }
    }
    return file->symbols;
}

uint64_t module_bias(const struct module *module)
{
    return module->start - symbols_start(module->file->symbols);
}

/* ---- Describing ---- */

void modules_describe(struct modules *modules, uint64_t address, struct described *described)
{
    *described = (struct described){0};
    struct module *module = modules_at(modules, address);
    if (module == NULL)
        return;
    described->path = module->path;
    described->in_program = module == modules_program(modules);
    described->offset = address - module->start;
    struct symbols *symbols = module_symbols(modules, module);
    if (symbols == NULL)
        return;
    uint64_t own = address - module_bias(module);
    described->offset = own;
    described->symbol = symbols_at(symbols, own);
    if (described->symbol != NULL)
        described->offset = own - described->symbol->address;
    described->has_line = symbols_line(symbols, own, &described->line);
}

void modules_describe_caller(struct modules *modules, uint64_t address, struct described *described)
{
    modules_describe(modules, address - 1, described);
    if (described->path != NULL)
        described->offset++;
}

char *described_text(const struct described *is, uint64_t address)
{
    if (is->path == NULL)
        return cli_format("0x%" PRIx64, address);
    const char *file = cli_basename(is->path), *in = is->in_program || is->symbol == NULL ? "" : file;
    char *name =
        is->symbol == NULL ? cli_copy(file) : cli_format("%.*s", (int)is->symbol->name_length, is->symbol->name);
    char *offset = is->symbol != NULL && is->offset == 0 ? cli_copy("") : cli_format("+0x%" PRIx64, is->offset);
    char *line = is->has_line ? cli_format("%s:%d", cli_basename(is->line.file), is->line.line) : cli_copy("");
    bool any = *in != '\0' || *line != '\0', both = *in != '\0' && *line != '\0';
    char *text =
        cli_format("%s%s%s%s%s%s%s", name, offset, any ? " (" : "", in, both ? ", " : "", line, any ? ")" : "");
    free(name);
    free(offset);
    free(line);
    return text;
}

char *modules_describe_text(struct modules *modules, uint64_t address)
{
    struct described is;
    modules_describe(modules, address, &is);
    return described_text(&is, address);
}
