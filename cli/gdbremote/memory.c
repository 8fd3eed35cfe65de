/* Memory: m, M, x, X, qSearch:memory, qCRC.
 *
 * A client at a stop asks for many small pieces that lie close together: the instructions around the pc, the words of a
 * frame. What is read is therefore read by the page and kept, some pages at a time, for as long as nothing runs: memory_forget
 * is called before anything does, and when memory is written. In non-stop mode something may always run, and nothing is kept.
 *
 * Numbers are the client's, and nothing is reserved by them: an answer is at most one packet, longer ranges are gone through
 * in pieces. */
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum {
    PAGE = 0x1000, /* the smallest of all platforms: a piece of this size and alignment is readable or not */
    PAGES = 32,
    PIECE = 0x10000,
    ROOM = PACKET_MAX - 16, /* in an answer */
};

struct page {
    int pid; /* 0: free */
    rein_word address;
    unsigned char bytes[PAGE];
};

struct cache {
    struct page pages[PAGES];
    unsigned next; /* to be used again: the oldest */
};

/* ---- Reading and writing ---- */

static size_t read_directly(struct inferior *inferior, rein_word address, void *buffer, size_t size)
{
    size_t done = 0;
    if (address && size > 0 - address)
        size = (size_t)(0 - address); /* there is nothing behind the last address */
    rein_process_read(inferior->process, address, buffer, size, &done);
    return done;
}

static const unsigned char *find_page(struct server *server, struct inferior *inferior, rein_word address)
{
    if (!server->cache)
        server->cache = calloc(1, sizeof(struct cache));
    struct cache *cache = server->cache;
    if (!cache)
        return NULL;
    for (size_t i = 0; i < PAGES; i++)
        if (cache->pages[i].pid == inferior->id && cache->pages[i].address == address)
            return cache->pages[i].bytes;
    struct page *page = &cache->pages[cache->next];
    page->pid = 0;
    if (read_directly(inferior, address, page->bytes, PAGE) != PAGE)
        return NULL;
    page->pid = inferior->id;
    page->address = address;
    cache->next = (cache->next + 1) % PAGES;
    return page->bytes;
}

size_t memory_read(struct server *server, struct inferior *inferior, rein_word address, void *buffer, size_t size)
{
    if (server->running || server->non_stop || size > PAGE)
        return read_directly(inferior, address, buffer, size);
    size_t done = 0;
    while (done < size) {
        rein_word at = address + done;
        size_t offset = (size_t)(at % PAGE), length = size - done < PAGE - offset ? size - done : PAGE - offset;
        const unsigned char *page = find_page(server, inferior, at - offset);
        if (!page) /* nothing, or not all of it: what there is, and the library's message */
            return done + read_directly(inferior, at, (char *)buffer + done, size - done);
        memcpy((char *)buffer + done, page + offset, length);
        done += length;
        if (address + done == 0)
            break;
    }
    return done;
}

int memory_write(struct server *server, struct inferior *inferior, rein_word address, const void *data, size_t size)
{
    memory_forget(server);
    return size ? rein_process_write(inferior->process, address, data, size, NULL) : 0;
}

void memory_forget(struct server *server)
{
    struct cache *cache = server->cache;
    for (size_t i = 0; cache && i < PAGES; i++)
        cache->pages[i].pid = 0;
}

size_t binary_fit(const void *data, size_t length, size_t room)
{
    const char *bytes = data;
    size_t used = 0, fit = 0;
    while (fit < length) {
        used += bytes[fit] == '$' || bytes[fit] == '#' || bytes[fit] == '}' || bytes[fit] == '*' ? 2 : 1;
        if (used > room)
            break;
        fit++;
    }
    return fit;
}

/* ---- Packets ---- */

/* "addr,length" and what must be behind it. The general process; NULL: that has been answered. */
static struct inferior *parse_range(struct server *server, const char **at, char end, rein_word *address,
                                    uint64_t *size, struct reply *reply)
{
    if (!parse_hex_to(at, ',', address) || !parse_hex_to(at, end, size)) {
        server_error(server, reply, "not an address and a length");
        return NULL;
    }
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior)
        server_error(server, reply, "there is no process");
    return inferior;
}

/* Reads what is asked for, at most limit; NULL: that has been answered. To be freed. */
static unsigned char *read_range(struct server *server, const char *arguments, size_t limit, size_t *length,
                                 struct reply *reply)
{
    rein_word address;
    uint64_t size;
    struct inferior *inferior = parse_range(server, &arguments, '\0', &address, &size, reply);
    if (!inferior)
        return NULL;
    if (size > limit)
        size = limit;
    unsigned char *bytes = malloc((size_t)size + 1);
    if (!bytes) {
        server_error(server, reply, "out of memory");
        return NULL;
    }
    bool in_program = true;
    *length = trace_is_selected(server) ? trace_read_memory(server, address, bytes, (size_t)size, &in_program) : 0;
    if (!*length && in_program)
        *length = memory_read(server, inferior, address, bytes, (size_t)size);
    if (*length || !size)
        return bytes;
    if (in_program)
        server_fail(server, reply);
    else
        server_error(server, reply, "that memory is not in the trace frame");
    free(bytes);
    return NULL;
}

static void read_in_hex(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    unsigned char *bytes = read_range(server, arguments, ROOM / 2, &length, reply);
    if (bytes)
        reply_hex(reply, bytes, length);
    free(bytes);
}

/* gdb's and lldb's answers differ: gdb has a letter in front, lldb asks first whether there is such a packet. */
static void read_binary(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    if (server->features.lldb && strcmp(arguments, "0,0") == 0) {
        server_ok(reply);
        return;
    }
    unsigned char *bytes = read_range(server, arguments, ROOM, &length, reply);
    if (bytes && !server->features.lldb)
        reply_text(reply, "b");
    if (bytes)
        reply_binary(reply, bytes, binary_fit(bytes, length, ROOM));
    free(bytes);
}

static void write_bytes(struct server *server, struct inferior *inferior, rein_word address, const char *data,
                        size_t length, struct reply *reply)
{
    if (trace_is_selected(server))
        server_error(server, reply, "a trace frame cannot be changed");
    else if (memory_write(server, inferior, address, data, length) == 0)
        server_ok(reply);
    else
        server_fail(server, reply);
}

static void write_in_hex(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    const char *at = arguments;
    rein_word address;
    uint64_t size;
    struct inferior *inferior = parse_range(server, &at, ':', &address, &size, reply);
    if (!inferior)
        return;
    length -= (size_t)(at - arguments);
    char *bytes = arguments; /* in place: each is made of two characters */
    if (length / 2 != size || parse_bytes(at, length, bytes, length / 2) < 0)
        server_error(server, reply, "the data is not as long as said, or not in hexadecimal");
    else
        write_bytes(server, inferior, address, bytes, (size_t)size, reply);
}

static void write_binary(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    const char *at = arguments;
    rein_word address;
    uint64_t size;
    struct inferior *inferior = parse_range(server, &at, ':', &address, &size, reply);
    if (!inferior)
        return;
    char *data = arguments + (at - arguments);
    length = packet_unescape(data, length - (size_t)(at - arguments));
    if (length != size)
        server_error(server, reply, "there are %zu bytes of data, not as many as said", length);
    else
        write_bytes(server, inferior, address, data, length, reply);
}

/* ---- Long ranges ---- */

/* Goes on with a range that may be of any length: is there anybody who still wants it? */
static bool is_wanted(struct server *server)
{
    packets_read(&server->packets);
    return !server->packets.broken;
}

/* qSearch:memory:ADDR;LENGTH;PATTERN: "0", or "1,ADDR" where the pattern is first found. */
static void search(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    const char *at = arguments;
    rein_word address;
    uint64_t left;
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior || !parse_hex_to(&at, ';', &address) || !parse_hex_to(&at, ';', &left)) {
        server_error(server, reply, inferior ? "not an address, a length and a pattern" : "there is no process");
        return;
    }
    char *pattern = arguments + (at - arguments);
    length = packet_unescape(pattern, length - (size_t)(at - arguments));
    /* A piece, behind the end of the one before it: the pattern may lie across. The packet itself is gone with the next
     * look for others. */
    char *copy = malloc(length + 1), *buffer = malloc(PIECE + length);
    size_t kept = 0;
    if (!copy || !buffer || !length) {
        server_error(server, reply, length ? "out of memory" : "there is nothing to look for");
        goto done;
    }
    memcpy(copy, pattern, length);
    while (left && is_wanted(server)) {
        size_t size = left < PIECE ? (size_t)left : PIECE;
        size_t got = memory_read(server, inferior, address, buffer + kept, size);
        char *found = memmem(buffer, kept + got, copy, length);
        if (found) {
            reply_format(reply, "1,%llx", (unsigned long long)(address - kept + (size_t)(found - buffer)));
            goto done;
        }
        if (got < size) {
            server_error(server, reply, "the memory at 0x%llx cannot be read", (unsigned long long)(address + got));
            goto done;
        }
        address += size;
        left -= size;
        size_t keep = kept + size < length - 1 ? kept + size : length - 1;
        memmove(buffer, buffer + kept + size - keep, keep);
        kept = keep;
    }
    reply_text(reply, "0");
done:
    free(copy);
    free(buffer);
}

/* gdb's: the polynomial 0x04c11db7, the highest bit first, from all ones on, and nothing inverted at the end. */
static void make_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i << 24;
        for (int bit = 0; bit < 8; bit++)
            value = value << 1 ^ (value >> 31 ? 0x04c11db7 : 0);
        table[i] = value;
    }
}

/* qCRC:ADDR,LENGTH */
static void checksum(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    const char *at = arguments;
    rein_word address;
    uint64_t left;
    uint32_t table[256], sum = 0xffffffff;
    struct inferior *inferior = parse_range(server, &at, '\0', &address, &left, reply);
    unsigned char *buffer = inferior ? malloc(PIECE) : NULL;
    if (inferior && !buffer)
        server_error(server, reply, "out of memory");
    if (!buffer)
        return;
    make_table(table);
    while (left && is_wanted(server)) {
        length = left < PIECE ? (size_t)left : PIECE;
        if (memory_read(server, inferior, address, buffer, length) != length) {
            server_fail(server, reply);
            free(buffer);
            return;
        }
        for (size_t i = 0; i < length; i++)
            sum = sum << 8 ^ table[(sum >> 24 ^ buffer[i]) & 0xff];
        address += length;
        left -= length;
    }
    free(buffer);
    reply_format(reply, "C%08x", (unsigned)sum);
}

void memory_free(struct server *server)
{
    free(server->cache);
    server->cache = NULL;
}

const struct handler memory_handlers[] = {
    {"m", read_in_hex},          {"x", read_binary},  {"M", write_in_hex}, {"X", write_binary},
    {"qSearch:memory:", search}, {"qCRC:", checksum}, {NULL, NULL},
};
