/* What a program in memory tells of itself: the auxiliary vector that the kernel has given it, its program headers, and words of its
 * own size. Anything may stand there, so each walk has a limit. */
#include "image.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cli.h"
#include "server.h"

enum { HEADERS_MAX = 0x1000 }; /* of a program */

struct image image_of(struct server *server, struct inferior *inferior)
{
    const char *architecture = rein_process_architecture(inferior->process);
    return (struct image){server, inferior, strcmp(architecture, "i386") != 0 && strcmp(architecture, "arm") != 0};
}

bool image_read(const struct image *image, uint64_t address, void *bytes, size_t size)
{
    return memory_read(image->server, image->inferior, address, bytes, size) == size;
}

bool image_read_words(const struct image *image, uint64_t address, uint64_t *words, size_t count)
{
    if (image->wide)
        return image_read(image, address, words, count * sizeof *words);
    for (size_t i = 0; i < count; i++) {
        uint32_t word;
        if (!image_read(image, address + 4 * i, &word, sizeof word))
            return false;
        words[i] = word;
    }
    return true;
}

char *image_auxv(struct inferior *inferior, size_t *size)
{
    rein_thread **threads = NULL;
    size_t count = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/auxv", inferior->id);
    char *bytes = cli_read_file(path, size);
    if (bytes && *size)
        return bytes;
    rein_process_threads(inferior->process, &threads, &count);
    for (size_t i = 0; i < count && !(bytes && *size); i++) {
        free(bytes);
        snprintf(path, sizeof path, "/proc/%d/task/%d/auxv", inferior->id, rein_thread_id(threads[i]));
        bytes = cli_read_file(path, size);
    }
    rein_thread_list_free(threads, count);
    return bytes;
}

/* What the kernel told the program of itself; 0: not. */
static uint64_t auxv_value(const struct image *image, const char *auxv, size_t size, uint64_t type)
{
    size_t word = image->wide ? 8 : 4;
    for (size_t at = 0; at + 2 * word <= size; at += 2 * word) {
        uint64_t key = 0, value = 0; /* little-endian, as all platforms are */
        memcpy(&key, auxv + at, word);
        memcpy(&value, auxv + at + word, word);
        if (key == type)
            return value;
        if (key == AT_NULL)
            return 0;
    }
    return 0;
}

static bool read_segment(const struct image *image, uint64_t headers, size_t index, struct segment *segment)
{
    Elf64_Phdr large;
    Elf32_Phdr small;
    if (image->wide) {
        if (!image_read(image, headers + index * sizeof large, &large, sizeof large))
            return false;
        *segment = (struct segment){large.p_type, large.p_vaddr, large.p_memsz, large.p_align, false, 0};
        return true;
    }
    if (!image_read(image, headers + index * sizeof small, &small, sizeof small))
        return false;
    *segment = (struct segment){small.p_type, small.p_vaddr, small.p_memsz, small.p_align, false, 0};
    return true;
}

/* By the headers in memory. Where the program was loaded shows in their own address. */
bool image_segment(const struct image *image, uint32_t type, struct segment *segment)
{
    size_t size = 0;
    char *auxv = image_auxv(image->inferior, &size);
    if (!auxv)
        return false;
    uint64_t headers = auxv_value(image, auxv, size, AT_PHDR), count = auxv_value(image, auxv, size, AT_PHNUM);
    uint64_t bias = 0;
    bool found = false, has_bias = false;
    struct segment each;
    free(auxv);
    for (size_t i = 0; headers && i < count && i < HEADERS_MAX && read_segment(image, headers, i, &each); i++) {
        if (each.type == PT_PHDR) {
            bias = headers - each.address;
            has_bias = true;
        }
        if (each.type == type) {
            *segment = each;
            found = true;
        }
    }
    if (found) {
        segment->has_bias = has_bias;
        segment->bias = bias;
    }
    return found;
}
