/* qXfer:libraries-svr4: the run-time linker's lists of libraries, as in gdbserver's answers. They are read from the program's memory,
 * where anything may stand: each walk has a limit. */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "image.h"
#include "server.h"
#include "xfer.h"

enum {
    LIBRARIES_MAX = 0x10000, /* of all namespaces */
    NAMESPACES_MAX = 0x1000, /* glibc has 16 */
    DYNAMIC_MAX = 0x1000,    /* entries of a program's dynamic section */
    PATH_LIMIT = 0x1000,
};

/* struct r_debug, which the linker has told the program in DT_DEBUG. False: there is no such place. 0: it is not there yet. */
static bool find_debug(const struct image *image, uint64_t *debug)
{
    struct segment dynamic;
    if (!image_segment(image, PT_DYNAMIC, &dynamic) || !dynamic.has_bias)
        return false;
    size_t size = image->wide ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);
    uint64_t at = dynamic.address + dynamic.bias, entry[2];
    if (!image->wide)
        at = (uint32_t)at;
    for (size_t i = 0; i < dynamic.size / size && i < DYNAMIC_MAX; i++) {
        if (!image_read_words(image, at + i * size, entry, 2) || entry[0] == DT_NULL)
            return false;
        if (entry[0] == DT_DEBUG) {
            *debug = entry[1];
            return true;
        }
    }
    return false;
}

/* Words of struct link_map, and of struct r_debug, in which the version is an int. */
enum { L_ADDR, L_NAME, L_LD, L_NEXT, L_PREV, L_WORDS };
enum { R_VERSION, R_MAP, R_NEXT = 5 };

static void read_name(const struct image *image, uint64_t address, char name[PATH_LIMIT])
{
    size_t used = 0;
    while (used < PATH_LIMIT - 1) {
        size_t piece = PATH_LIMIT - 1 - used < 128 ? PATH_LIMIT - 1 - used : 128;
        size_t got = memory_read(image->server, image->inferior, address + used, name + used, piece);
        if (memchr(name + used, '\0', got))
            return;
        used += got;
        if (got < piece)
            break;
    }
    name[used] = '\0';
}

/* A list from map on, of which the one before it is known. What does not lead back there is no list any more. */
static void add_libraries(const struct image *image, uint64_t map, uint64_t previous, uint64_t space, size_t *limit,
                          struct reply *object)
{
    uint64_t words[L_WORDS];
    while (map && *limit && image_read_words(image, map, words, L_WORDS) && words[L_PREV] == previous) {
        char name[PATH_LIMIT];
        read_name(image, words[L_NAME], name);
        if (*name) {
            reply_text(object, "<library name=\"");
            reply_xml(object, name);
            reply_format(object,
                         "\" lm=\"0x%" PRIx64 "\" l_addr=\"0x%" PRIx64 "\" l_ld=\"0x%" PRIx64 "\" lmid=\"0x%" PRIx64
                         "\"/>",
                         map, words[L_ADDR], words[L_LD], space);
        }
        previous = map;
        map = words[L_NEXT];
        --*limit;
    }
}

/* All namespaces (dlmopen's). The first entry of the first is the program itself. */
static void add_namespaces(const struct image *image, uint64_t debug, struct reply *object)
{
    uint64_t map, previous = 0, words[L_WORDS];
    uint64_t word = image->wide ? 8 : 4;
    size_t limit = LIBRARIES_MAX;
    int32_t version;
    bool first = true;
    for (int i = 0; debug && i < NAMESPACES_MAX; i++) {
        if (!image_read(image, debug, &version, sizeof version) || version < 1 ||
            !image_read_words(image, debug + R_MAP * word, &map, 1))
            break;
        previous = 0;
        if (first && map) {
            reply_format(object, " main-lm=\"0x%" PRIx64 "\">", map);
            first = false;
            previous = map;
            map = image_read_words(image, map, words, L_WORDS) ? words[L_NEXT] : 0;
        } else if (first) {
            break;
        }
        add_libraries(image, map, previous, debug, &limit, object);
        if (version < 2 || !image_read_words(image, debug + R_NEXT * word, &debug, 1))
            break;
    }
    if (first)
        reply_text(object, ">");
}

/* The annex: "start=ADDR;prev=ADDR;lmid=ADDR" asks for the rest of one list; nothing: all. */
bool xfer_make_libraries(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    struct inferior *inferior = xfer_inferior(server, reply);
    uint64_t start = 0, previous = 0, space = 0, debug = 0;
    if (!inferior)
        return false;
    while (*annex) {
        uint64_t ignored, *value = parse_prefix(&annex, "start=")  ? &start
                                   : parse_prefix(&annex, "prev=") ? &previous
                                   : parse_prefix(&annex, "lmid=") ? &space
                                                                   : NULL;
        if (!value) {
            annex += strcspn(annex, "=;");
            value = &ignored;
            parse_prefix(&annex, "=");
        }
        if (!parse_hex(&annex, value) || (*annex && *annex != ';')) {
            server_error(server, reply, "not an address in the annex");
            return false;
        }
        annex += *annex == ';';
    }
    struct image image = image_of(server, inferior);
    if (!start && !find_debug(&image, &debug)) {
        server_error(server, reply, "the program has no run-time linker that can be asked");
        return false;
    }
    reply_text(object, "<library-list-svr4 version=\"1.0\"");
    size_t limit = LIBRARIES_MAX;
    if (start) {
        reply_text(object, ">");
        add_libraries(&image, start, previous, space, &limit, object);
    } else {
        add_namespaces(&image, debug, object);
    }
    reply_text(object, "</library-list-svr4>");
    return true;
}
