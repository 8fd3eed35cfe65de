/* Looking at trace frames. While the client has chosen one, registers, memory and variables are what was collected in it, and
 * nothing else is there: not what the program has now, but for memory that never changes (QTro). Nothing can be written.
 *
 * A search goes on from the frame that is chosen, and does not begin again at the first. */
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "trace.h"

/* ---- What is in a frame ---- */

static bool find_registers(struct tracing *tracing, const struct trace_frame *frame, uint64_t *at)
{
    struct trace_block block;
    for (uint64_t next = frame->at; buffer_next_block(&tracing->buffer, frame, &next, &block);)
        if (block.type == 'R') {
            *at = block.at;
            return true;
        }
    return false;
}

static size_t offset_of(const struct target *target, size_t number)
{
    size_t offset = 0;
    for (size_t i = 0; i < number; i++)
        offset += target->places[i].size;
    return offset;
}

/* Without registers, where its tracepoint is: of steps that is wrong, but the best there is. */
static rein_word frame_pc(struct tracing *tracing, const struct trace_frame *frame)
{
    const struct target *target = tracing->target;
    uint64_t at;
    rein_word pc = 0;
    if (find_registers(tracing, frame, &at)) {
        size_t number = (size_t)target->pc;
        buffer_copy(&tracing->buffer, at + offset_of(target, number), &pc, target->places[number].size);
        return pc;
    }
    const struct tracepoint *point = trace_find(tracing, frame->tracepoint, 0, true);
    return point ? point->address : 0;
}

/* ---- Choosing ---- */

struct search {
    char kind; /* 'n' the number, 't' of a tracepoint, 'i' with the pc inside, 'o' outside */
    uint64_t low, high;
};

static bool fits(struct tracing *tracing, const struct trace_frame *frame, const struct search *search)
{
    if (search->kind == 't')
        return frame->tracepoint == (int)search->low;
    if (search->kind == 'n')
        return true;
    rein_word pc = frame_pc(tracing, frame);
    bool inside = search->low <= pc && pc <= search->high;
    return inside == (search->kind == 'i');
}

static bool parse_search(const char *text, struct search *search)
{
    search->kind = 'i';
    if (parse_prefix(&text, "pc:")) {
        bool good = parse_hex_to(&text, '\0', &search->low);
        search->high = search->low;
        return good;
    }
    bool outside = parse_prefix(&text, "outside:");
    if (outside || parse_prefix(&text, "range:")) {
        search->kind = outside ? 'o' : 'i';
        return parse_hex_to(&text, ':', &search->low) && parse_hex_to(&text, '\0', &search->high);
    }
    search->kind = parse_prefix(&text, "tdp:") ? 't' : 'n';
    if (search->kind == 'n' && strcmp(text, "-1") == 0)
        text = "ffffffff";
    return parse_hex_to(&text, '\0', &search->low);
}

static void choose(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    struct search search;
    struct trace_frame frame;
    if (!parse_search(request->arguments, &search)) {
        trace_fail(request, trace_bad_packet);
        return;
    }
    if (search.kind == 'n' && search.low == UINT32_MAX) {
        tracing->is_selected = false;
        server_ok(request->reply);
        return;
    }
    size_t given = search.low < SIZE_MAX ? (size_t)search.low : SIZE_MAX;
    size_t number = search.kind == 'n' ? given : tracing->is_selected ? tracing->selected + 1 : 0;
    bool found = false;
    while (!found && buffer_frame(&tracing->buffer, number, &frame)) {
        found = fits(tracing, &frame, &search);
        number += !found;
    }
    if (!found) {
        reply_text(request->reply, "F-1");
        return;
    }
    tracing->is_selected = true;
    tracing->selected = number;
    reply_format(request->reply, "F%zxT%x", number, (unsigned)frame.tracepoint);
}

static void run_choose(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, choose);
}

bool trace_is_selected(const struct server *server)
{
    return server->tracing && server->tracing->is_selected;
}

void trace_forget_frame(struct server *server)
{
    if (server->tracing)
        server->tracing->is_selected = false;
}

/* ---- Registers ---- */

struct wanted {
    const struct target *target;
    const struct register_place *place; /* NULL: all */
};

static void reply_registers(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const struct wanted *wanted = request->more;
    const struct target *target = wanted->target;
    struct trace_frame frame;
    uint64_t at = 0;
    if (!buffer_frame(&tracing->buffer, tracing->selected, &frame)) {
        trace_fail(request, "the trace frame is not there any more");
        return;
    }
    bool has_registers = tracing->target == target && find_registers(tracing, &frame, &at);
    rein_word pc = frame_pc(tracing, &frame);
    for (size_t i = 0; i < target->count; i++) {
        const struct register_place *place = &target->places[i];
        unsigned char bytes[64];
        if (has_registers)
            buffer_copy(&tracing->buffer, at, bytes, place->size);
        at += place->size;
        if ((wanted->place && wanted->place != place) ||
            (place->optional && !wanted->place && !tracing->server->features.xml))
            continue;
        if (has_registers)
            reply_hex(request->reply, bytes, place->size);
        else if ((int)i == target->pc && pc)
            reply_hex(request->reply, &pc, place->size);
        else
            for (size_t digit = 0; digit < place->size; digit++)
                reply_text(request->reply, "xx");
    }
}

void trace_reply_registers(struct server *server, struct reply *reply, const struct target *target,
                           const struct register_place *place)
{
    struct wanted wanted = {target, place};
    struct trace_request request = {.reply = reply, .more = &wanted};
    if (!trace_call(server->tracing, reply_registers, &request))
        server_fail(server, reply);
}

/* ---- Memory ---- */

struct piece {
    rein_word address;
    void *bytes;
    size_t size, done;
    bool in_program;
};

/* What the first block has of it that has its first byte. The client asks for the rest. */
static void read_piece(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    struct piece *piece = request->more;
    struct trace_frame frame;
    struct trace_block block;
    if (!buffer_frame(&tracing->buffer, tracing->selected, &frame))
        return;
    for (uint64_t next = frame.at; !piece->done && buffer_next_block(&tracing->buffer, &frame, &next, &block);) {
        uint64_t offset = piece->address - block.address;
        if (block.type != 'M' || piece->address < block.address || offset >= block.size)
            continue;
        size_t left = block.size - (size_t)offset;
        piece->done = piece->size < left ? piece->size : left;
        buffer_copy(&tracing->buffer, block.at + offset, piece->bytes, piece->done);
    }
    for (size_t i = 0; !piece->done && piece->size && i < tracing->constant_count; i++) {
        const struct trace_range *range = &tracing->constant[i];
        piece->in_program |= range->low <= piece->address && piece->address <= range->high &&
                             piece->size - 1 <= range->high - piece->address;
    }
}

size_t trace_read_memory(struct server *server, rein_word address, void *bytes, size_t size, bool *in_program)
{
    struct piece piece = {.address = address, .bytes = bytes, .size = size};
    struct trace_request request = {.more = &piece};
    trace_call(server->tracing, read_piece, &request);
    *in_program = piece.in_program;
    return piece.done;
}

/* ---- Variables, and what there is ---- */

static void reply_variable(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    const char *text = request->arguments;
    uint64_t number;
    int64_t value = 0;
    struct trace_frame frame;
    struct trace_block block;
    bool known = false;
    if (!parse_hex_to(&text, '\0', &number) || number > INT32_MAX) {
        trace_fail(request, trace_bad_packet);
        return;
    }
    if (tracing->is_selected && buffer_frame(&tracing->buffer, tracing->selected, &frame)) {
        for (uint64_t next = frame.at; buffer_next_block(&tracing->buffer, &frame, &next, &block);)
            if (block.type == 'V' && block.variable == (int)number) {
                known = true;
                value = block.value;
            }
    } else if (!tracing->is_selected && tracing->start_time) {
        const struct trace_variable *variable = trace_variable(tracing, (int)number);
        known = true;
        value = variable ? trace_variable_value(variable) : 0;
    }
    if (known)
        reply_format(request->reply, "V%llx", (unsigned long long)value);
    else
        reply_text(request->reply, "U");
}

static void run_variable_value(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, reply_variable);
}

static void make_info(struct trace_request *request)
{
    struct tracing *tracing = request->tracing;
    struct trace_frame frame;
    struct trace_block block;
    if (!buffer_frame(&tracing->buffer, tracing->selected, &frame))
        return;
    reply_text(request->reply, "<traceframe-info>\n");
    for (uint64_t next = frame.at; buffer_next_block(&tracing->buffer, &frame, &next, &block);) {
        if (block.type == 'M')
            reply_format(request->reply, "<memory start=\"0x%llx\" length=\"0x%zx\"/>\n",
                         (unsigned long long)block.address, block.size);
        else if (block.type == 'V')
            reply_format(request->reply, "<tvar id=\"%d\"/>\n", block.variable);
    }
    reply_text(request->reply, "</traceframe-info>\n");
}

bool trace_make_info(struct server *server, struct reply *object)
{
    struct trace_request request = {.reply = object};
    if (!trace_is_selected(server))
        return false;
    return trace_call(server->tracing, make_info, &request) && object->used;
}

/* ---- The buffer as a whole ---- */

/* "OFFSET,LENGTH": some of the bytes of all frames, in hex. */
static void reply_buffer(struct trace_request *request)
{
    enum { MOST = (PACKET_MAX - 16) / 2 };
    const struct trace_buffer *buffer = &request->tracing->buffer;
    const char *text = request->arguments;
    uint64_t offset, length, total = buffer->end - buffer->start;
    if (!parse_hex_to(&text, ',', &offset) || !parse_hex_to(&text, '\0', &length) || offset > total) {
        trace_fail(request, trace_bad_packet);
        return;
    }
    if (offset == total) {
        reply_text(request->reply, "l");
        return;
    }
    size_t size = length < MOST ? (size_t)length : MOST;
    size = size < total - offset ? size : (size_t)(total - offset);
    unsigned char *bytes = malloc(size + 1);
    if (bytes) {
        buffer_copy(buffer, buffer->start + offset, bytes, size);
        reply_hex(request->reply, bytes, size);
    } else {
        trace_fail(request, "out of memory");
    }
    free(bytes);
}

static void run_buffer(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    trace_answer(server, arguments, reply, reply_buffer);
}

const struct handler frame_handlers[] = {
    {"QTFrame:", run_choose},
    {"qTV:", run_variable_value},
    {"qTBuffer:", run_buffer},
    {NULL, NULL},
};
