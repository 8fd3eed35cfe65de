/* The ring of trace frames. A frame is made by one hit: it is begun, gets its blocks, and is finished. If there is no room for more
 * the oldest frames give way, where the client wants that (a circular buffer), by moving the start alone: nothing is copied.
 *
 * A frame is found by going from head to head. The one that was looked for last is remembered, so a client that goes through all of
 * them one by one goes through the ring once. */
#include "trace.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 6, MEMORY_HEAD = 11, VARIABLE_BYTES = 12 };

bool buffer_resize(struct trace_buffer *buffer, size_t size)
{
    unsigned char *bytes = size > TRACE_BUFFER_MAX ? NULL : malloc(size + 1);
    if (!bytes)
        return false;
    free(buffer->bytes);
    buffer->bytes = bytes;
    buffer->size = size;
    buffer_clear(buffer);
    return true;
}

void buffer_clear(struct trace_buffer *buffer)
{
    buffer->start = buffer->end = 0;
    buffer->frames = 0;
    buffer->created = 0;
    buffer->is_open = buffer->has_seen = false;
}

size_t buffer_free_bytes(const struct trace_buffer *buffer)
{
    return buffer->size - (size_t)(buffer->end - buffer->start);
}

void buffer_copy(const struct trace_buffer *buffer, uint64_t at, void *bytes, size_t size)
{
    size_t offset = (size_t)(at % buffer->size), first = size < buffer->size - offset ? size : buffer->size - offset;
    memcpy(bytes, buffer->bytes + offset, first);
    memcpy((char *)bytes + first, buffer->bytes, size - first);
}

static void put_at(struct trace_buffer *buffer, uint64_t at, const void *bytes, size_t size)
{
    size_t offset = (size_t)(at % buffer->size), first = size < buffer->size - offset ? size : buffer->size - offset;
    memcpy(buffer->bytes + offset, bytes, first);
    memcpy(buffer->bytes, (const char *)bytes + first, size - first);
}

static void put(struct trace_buffer *buffer, const void *bytes, size_t size)
{
    put_at(buffer, buffer->end, bytes, size);
    buffer->end += size;
}

static struct trace_frame read_head(const struct trace_buffer *buffer, uint64_t at)
{
    unsigned char head[HEAD];
    int16_t number;
    uint32_t size;
    buffer_copy(buffer, at, head, HEAD);
    memcpy(&number, head, sizeof number);
    memcpy(&size, head + sizeof number, sizeof size);
    return (struct trace_frame){number, at + HEAD, size};
}

static bool make_room(struct trace_buffer *buffer, size_t size)
{
    if (!buffer->bytes || size > buffer->size)
        return false;
    while (buffer_free_bytes(buffer) < size) {
        uint64_t limit = buffer->is_open ? buffer->open : buffer->end;
        if (!buffer->circular || buffer->start >= limit)
            return false;
        struct trace_frame oldest = read_head(buffer, buffer->start);
        buffer->start = oldest.at + oldest.size;
        buffer->frames--;
        buffer->has_seen = false;
    }
    return true;
}

bool buffer_begin(struct trace_buffer *buffer, int tracepoint)
{
    const int16_t number = (int16_t)tracepoint;
    const uint32_t nothing = 0;
    if (!make_room(buffer, HEAD))
        return false;
    buffer->open = buffer->end;
    buffer->is_open = true;
    put(buffer, &number, sizeof number);
    put(buffer, &nothing, sizeof nothing);
    return true;
}

size_t buffer_finish(struct trace_buffer *buffer)
{
    uint32_t size = (uint32_t)(buffer->end - buffer->open - HEAD);
    put_at(buffer, buffer->open + sizeof(int16_t), &size, sizeof size);
    buffer->is_open = false;
    buffer->frames++;
    buffer->created++;
    return size;
}

bool buffer_add_registers(struct trace_buffer *buffer, const void *bytes)
{
    if (!make_room(buffer, 1 + buffer->register_bytes))
        return false;
    put(buffer, "R", 1);
    put(buffer, bytes, buffer->register_bytes);
    return true;
}

bool buffer_add_memory(struct trace_buffer *buffer, uint64_t address, const void *bytes, size_t size)
{
    const uint16_t length = (uint16_t)size;
    if (!make_room(buffer, MEMORY_HEAD + size))
        return false;
    put(buffer, "M", 1);
    put(buffer, &address, sizeof address);
    put(buffer, &length, sizeof length);
    put(buffer, bytes, size);
    return true;
}

bool buffer_add_variable(struct trace_buffer *buffer, int number, int64_t value)
{
    const int32_t id = number;
    if (!make_room(buffer, 1 + VARIABLE_BYTES))
        return false;
    put(buffer, "V", 1);
    put(buffer, &id, sizeof id);
    put(buffer, &value, sizeof value);
    return true;
}

bool buffer_frame(struct trace_buffer *buffer, size_t number, struct trace_frame *frame)
{
    if (number >= buffer->frames)
        return false;
    if (!buffer->has_seen || buffer->seen_number > number) {
        buffer->seen_number = 0;
        buffer->seen_at = buffer->start;
        buffer->has_seen = true;
    }
    *frame = read_head(buffer, buffer->seen_at);
    while (buffer->seen_number < number) {
        buffer->seen_at = frame->at + frame->size;
        buffer->seen_number++;
        *frame = read_head(buffer, buffer->seen_at);
    }
    return true;
}

bool buffer_next_block(const struct trace_buffer *buffer, const struct trace_frame *frame, uint64_t *at,
                       struct trace_block *block)
{
    uint64_t end = frame->at + frame->size;
    *block = (struct trace_block){0};
    if (*at >= end)
        return false;
    buffer_copy(buffer, *at, &block->type, 1);
    if (block->type == 'R') {
        block->at = *at + 1;
        block->size = buffer->register_bytes;
    } else if (block->type == 'M') {
        uint16_t size;
        buffer_copy(buffer, *at + 1, &block->address, sizeof block->address);
        buffer_copy(buffer, *at + 9, &size, sizeof size);
        block->at = *at + MEMORY_HEAD;
        block->size = size;
    } else {
        int32_t number;
        buffer_copy(buffer, *at + 1, &number, sizeof number);
        buffer_copy(buffer, *at + 5, &block->value, sizeof block->value);
        block->variable = number;
        block->at = *at + 1;
        block->size = VARIABLE_BYTES;
    }
    *at = block->at + block->size;
    return true;
}
