/* Framing. What comes in is kept in one buffer of a fixed size, in which a packet must fit: a client that sends more without an
 * end talks nonsense, and is cut off. Outside packets there are '+' and '-', answers to ours, and 0x03, the interrupt; anything
 * else there is skipped, as gdbserver does.
 *
 * Acknowledgements are not waited for: the last packet is kept, and sent again if a '-' comes before its '+'. (The protocol is one
 * question and one answer, so there is never another one to be acknowledged.) A client that sees no '+' for a while, 2 s for gdb, sends
 * its packet again: that must not be done twice, nor answered twice, or each question would get the answer of the one before. It is
 * known by coming before the answer to the first is acknowledged.
 *
 * WITHOUT ACKNOWLEDGEMENTS there is no such thing, and '-' asks for nothing. But gdb writes it each time that it has waited long enough
 * for an answer, and after the third it waits no more. What comes then would be the answer to its next question, so it is not sent.
 *
 * What goes out is shortened where a character stands often in a row, as gdbserver does: gdb takes a packet in character by
 * character, and registers and memory are zeros for the most part. */
#include "packet.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER = PACKET_MAX + 0x1000,
    SEND_TIMEOUT_MS = 30000, /* a client that takes nothing for so long is gone */
};

static const char digits[] = "0123456789abcdef";

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* ---- Answers ---- */

void reply_clear(struct reply *reply)
{
    reply->used = 0;
    reply->failed = false;
    if (reply->text)
        reply->text[0] = '\0';
}

void reply_free(struct reply *reply)
{
    free(reply->text);
    *reply = (struct reply){0};
}

static bool make_room(struct reply *reply, size_t more)
{
    if (reply->failed)
        return false;
    if (reply->size - reply->used > more)
        return true;
    size_t size = reply->size ? reply->size : 256;
    while (size - reply->used <= more)
        size *= 2;
    char *text = realloc(reply->text, size);
    reply->failed = !text;
    if (!text) {
        reply->used = 0;
        return false;
    }
    reply->text = text;
    reply->size = size;
    return true;
}

void reply_bytes(struct reply *reply, const void *data, size_t length)
{
    if (!make_room(reply, length))
        return;
    memcpy(reply->text + reply->used, data, length);
    reply->used += length;
    reply->text[reply->used] = '\0';
}

void reply_text(struct reply *reply, const char *text)
{
    reply_bytes(reply, text, strlen(text));
}

static void __attribute__((format(printf, 2, 0)))
add_formatted(struct reply *reply, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0 || !make_room(reply, (size_t)length))
        return;
    vsnprintf(reply->text + reply->used, (size_t)length + 1, format, arguments);
    reply->used += (size_t)length;
}

void reply_format(struct reply *reply, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_formatted(reply, format, arguments);
    va_end(arguments);
}

void reply_hex(struct reply *reply, const void *data, size_t length)
{
    const unsigned char *bytes = data;
    if (!make_room(reply, 2 * length))
        return;
    char *to = reply->text + reply->used;
    for (size_t i = 0; i < length; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    *to = '\0';
    reply->used += 2 * length;
}

void reply_hex_text(struct reply *reply, const char *text)
{
    reply_hex(reply, text, strlen(text));
}

static bool is_special(char c)
{
    return c == '$' || c == '#' || c == '}' || c == '*';
}

void reply_binary(struct reply *reply, const void *data, size_t length)
{
    const char *bytes = data;
    if (!make_room(reply, 2 * length))
        return;
    char *to = reply->text + reply->used;
    for (size_t i = 0; i < length; i++) {
        if (is_special(bytes[i])) {
            *to++ = '}';
            *to++ = (char)(bytes[i] ^ 0x20);
        } else {
            *to++ = bytes[i];
        }
    }
    *to = '\0';
    reply->used = (size_t)(to - reply->text);
}

void reply_error(struct reply *reply, bool in_words, const char *format, ...)
{
    reply_clear(reply);
    if (!in_words) {
        reply_text(reply, "E01");
        return;
    }
    reply_text(reply, "E.");
    size_t begin = reply->used;
    va_list arguments;
    va_start(arguments, format);
    add_formatted(reply, format, arguments);
    va_end(arguments);
    for (size_t i = begin; i < reply->used; i++)
        if (is_special(reply->text[i]) || (unsigned char)reply->text[i] < ' ')
            reply->text[i] = ' ';
}

/* ---- Coming in ---- */

bool packets_create(struct packets *packets, int input, int output)
{
    *packets = (struct packets){.input = input, .output = output, .end_fd = -1};
    packets->in = malloc(BUFFER + 1);
    return packets->in != NULL;
}

void packets_free(struct packets *packets)
{
    free(packets->in);
    free(packets->last);
    free(packets->asked);
    packets->in = packets->last = packets->asked = NULL;
}

/* What is there, without waiting: as recv. Links other than sockets are asked first. */
static ssize_t take(struct packets *packets, char *to, size_t room)
{
    ssize_t length = recv(packets->input, to, room, MSG_DONTWAIT);
    if (length >= 0 || errno != ENOTSOCK)
        return length;
    struct pollfd ready = {.fd = packets->input, .events = POLLIN};
    if (poll(&ready, 1, 0) > 0)
        return read(packets->input, to, room);
    errno = EAGAIN;
    return -1;
}

void packets_read(struct packets *packets)
{
    if (packets->in_taken) {
        memmove(packets->in, packets->in + packets->in_taken, packets->in_used - packets->in_taken);
        packets->in_used -= packets->in_taken;
        packets->in_taken = 0;
    }
    bool more = true;
    while (more && !packets->broken && packets->in_used < BUFFER) {
        size_t room = BUFFER - packets->in_used;
        ssize_t length = take(packets, packets->in + packets->in_used, room);
        more = length == (ssize_t)room || (length < 0 && errno == EINTR); /* else it is all that was there */
        if (length > 0)
            packets->in_used += (size_t)length;
        else if (length == 0 || (errno != EINTR && errno != EAGAIN))
            packets->broken = true;
    }
}

/* Never waits longer than for a client that is there: a pipe that can be written to takes PIPE_BUF bytes at once. A socket mostly
 * takes all of it at once, too, and is not asked before. */
static void put(struct packets *packets, const char *data, size_t length)
{
    ssize_t sent = length ? send(packets->output, data, length, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (sent > 0) {
        data += sent;
        length -= (size_t)sent;
    }
    while (length && !packets->broken) {
        struct pollfd ready[] = {{.fd = packets->output, .events = POLLOUT}, {.fd = packets->end_fd, .events = POLLIN}};
        int polled = packets->poll ? packets->poll(packets->poll_arg, ready, 2, SEND_TIMEOUT_MS)
                                   : poll(ready, 2, SEND_TIMEOUT_MS);
        if (polled < 0 && errno == EINTR)
            continue;
        ssize_t written = -1;
        if (polled > 0 && ready[0].revents) {
            written = send(packets->output, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (written < 0 && errno == ENOTSOCK)
                written = write(packets->output, data, length < PIPE_BUF ? length : PIPE_BUF);
            if (written < 0 && (errno == EINTR || errno == EAGAIN))
                continue;
        }
        if (written <= 0) {
            packets->broken = true;
            return;
        }
        data += written;
        length -= (size_t)written;
    }
}

/* From the '$' at begin: the packet's end, if it is all there. */
static const char *find_end(const struct packets *packets, const char *begin)
{
    const char *end = memchr(begin, '#', (size_t)(packets->in + packets->in_used - begin));
    return end && packets->in + packets->in_used - end >= 3 ? end : NULL;
}

bool packets_waiting(const struct packets *packets)
{
    for (size_t i = packets->in_taken; i < packets->in_used; i++) {
        char c = packets->in[i];
        if (c == '\3')
            return true;
        if (c == '$')
            return find_end(packets, packets->in + i) || packets->in_used - i >= BUFFER;
    }
    return packets->broken;
}

static void forget_asked(struct packets *packets)
{
    free(packets->asked);
    packets->asked = NULL;
}

/* The packet has come, and may come again. */
static void note_asked(struct packets *packets, const char *data, size_t length)
{
    forget_asked(packets);
    packets->unacknowledged = 0;
    packets->asked = malloc(length + 1); /* without memory it would be done once more */
    packets->asked_length = length;
    if (packets->asked)
        memcpy(packets->asked, data, length);
}

static bool comes_again(const struct packets *packets, const char *data, size_t length)
{
    return packets->asked && packets->asked_length == length && memcmp(packets->asked, data, length) == 0;
}

/* A '+' or '-' between packets. */
static void take_acknowledgement(struct packets *packets, char c)
{
    if (packets->no_ack || packets->unacknowledged == 0)
        return;
    if (c == '-' && packets->last)
        put(packets, packets->last, packets->last_length);
    else if (c == '+' && --packets->unacknowledged == 0)
        forget_asked(packets);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool packets_given_up(struct packets *packets)
{
    enum { PATIENCE = 3, SOON_MS = 500 }; /* nobody stops waiting sooner */
    unsigned count = 0;
    if (!packets->no_ack)
        return false;
    if (now_ms() - packets->taken_at >= SOON_MS)
        packets_read(packets);
    for (size_t i = packets->in_taken; i < packets->in_used && packets->in[i] != '$'; i++)
        count += packets->in[i] == '-';
    return count >= PATIENCE;
}

enum packet_kind packets_next(struct packets *packets, char **data, size_t *length)
{
    while (packets->in_taken < packets->in_used) {
        char *begin = packets->in + packets->in_taken;
        if (*begin == '\3') {
            packets->in_taken++;
            return PACKET_INTERRUPT;
        }
        if (*begin != '$') {
            take_acknowledgement(packets, *begin);
            packets->in_taken++;
            continue;
        }
        char *end = (char *)(uintptr_t)find_end(packets, begin);
        if (!end) {
            if (packets->in_used - packets->in_taken > PACKET_MAX + 4)
                packets->broken = true; /* longer than what we have said we take */
            break;
        }
        unsigned char sum = 0;
        for (const char *c = begin + 1; c < end; c++)
            sum = (unsigned char)(sum + (unsigned char)*c);
        bool good = digit(end[1]) >= 0 && digit(end[2]) >= 0 && (digit(end[1]) << 4 | digit(end[2])) == sum;
        packets->in_taken = (size_t)(end + 3 - packets->in);
        bool again = comes_again(packets, begin + 1, (size_t)(end - begin) - 1);
        if (!packets->no_ack)
            put(packets, good ? "+" : "-", 1);
        if (again || (!good && !packets->no_ack))
            continue;
        if (packets->no_ack) /* the packet by which acknowledgements have ended could come again, too */
            forget_asked(packets);
        else
            note_asked(packets, begin + 1, (size_t)(end - begin) - 1);
        *end = '\0';
        *data = begin + 1;
        *length = (size_t)(end - *data);
        packets->taken_at = now_ms();
        if (packets->log)
            packets->log(packets->log_arg, false, *data, *length);
        return PACKET_DATA;
    }
    return packets->broken ? PACKET_CLOSED : PACKET_NONE;
}

/* ---- Going out ---- */

/* "0* " is 0000: a character, '*', and how many more of it there are, +29, which must not look like the packet's end or like an
 * acknowledgement. How many characters of the data have been taken. */
static size_t put_run(char **to, const char *data, size_t length)
{
    enum { BASE = 29, LEAST = 3, MOST = '~' - BASE };
    size_t more = 0;
    /* An escaped character is not repeated: clients differ in what they undo first. */
    if (*data == '}' && length > 1) {
        *(*to)++ = data[0];
        *(*to)++ = data[1];
        return 2;
    }
    while (more < MOST && more + 1 < length && data[more + 1] == *data)
        more++;
    *(*to)++ = *data;
    if (more < LEAST)
        return 1;
    while (strchr("#$+-", (char)(more + BASE)))
        more--;
    *(*to)++ = '*';
    *(*to)++ = (char)(more + BASE);
    return more + 1;
}

static void frame(struct packets *packets, char kind, const char *data, size_t length, bool keep)
{
    if (packets->log)
        packets->log(packets->log_arg, true, data, length);
    char *framed = malloc(length + 4);
    if (!framed) {
        packets->broken = true;
        return;
    }
    char *to = framed;
    *to++ = kind;
    if (packets->shortens) {
        for (size_t i = 0; i < length;) {
            if (i + 1 < length && data[i] != data[i + 1] && data[i] != '}') /* most of them, in a dump */
                *to++ = data[i++];
            else
                i += put_run(&to, data + i, length - i);
        }
    } else {
        memcpy(to, data, length);
        to += length;
    }
    unsigned char sum = 0;
    for (const char *c = framed + 1; c < to; c++)
        sum = (unsigned char)(sum + (unsigned char)*c);
    *to++ = '#';
    *to++ = digits[sum >> 4];
    *to++ = digits[sum & 15];
    size_t used = (size_t)(to - framed);
    put(packets, framed, used);
    if (!keep) {
        free(framed);
        return;
    }
    free(packets->last);
    packets->last = framed;
    packets->last_length = used;
}

void packets_send(struct packets *packets, const char *data, size_t length)
{
    packets->unacknowledged += !packets->no_ack;
    frame(packets, '$', data, length, !packets->no_ack);
}

void packets_notify(struct packets *packets, const char *data, size_t length)
{
    frame(packets, '%', data, length, false);
}

/* ---- Reading what is in a packet ---- */

size_t packet_unescape(char *data, size_t length)
{
    size_t to = 0;
    for (size_t from = 0; from < length; from++) {
        if (data[from] == '}' && from + 1 < length)
            data[to++] = (char)(data[++from] ^ 0x20);
        else
            data[to++] = data[from];
    }
    return to;
}

bool parse_hex(const char **text, uint64_t *value)
{
    uint64_t result = 0;
    const char *at = *text;
    for (; digit(*at) >= 0; at++) {
        if (result >> 60)
            return false;
        result = result << 4 | (uint64_t)digit(*at);
    }
    if (at == *text)
        return false;
    *text = at;
    *value = result;
    return true;
}

bool parse_hex_to(const char **text, char end, uint64_t *value)
{
    if (!parse_hex(text, value) || **text != end)
        return false;
    if (end)
        ++*text;
    return true;
}

long parse_bytes(const char *text, size_t length, void *bytes, size_t size)
{
    unsigned char *to = bytes;
    if (length % 2 || length / 2 > size)
        return -1;
    for (size_t i = 0; i < length; i += 2) {
        if (digit(text[i]) < 0 || digit(text[i + 1]) < 0)
            return -1;
        *to++ = (unsigned char)(digit(text[i]) << 4 | digit(text[i + 1]));
    }
    return (long)(length / 2);
}

char *parse_hex_text(const char *text, size_t length)
{
    char *result = malloc(length / 2 + 1);
    long got = result ? parse_bytes(text, length, result, length / 2) : -1;
    if (got < 0 || memchr(result, 0, (size_t)got)) {
        free(result);
        return NULL;
    }
    result[got] = '\0';
    return result;
}

bool parse_prefix(const char **text, const char *prefix)
{
    size_t length = strlen(prefix);
    if (strncmp(*text, prefix, length) != 0)
        return false;
    *text += length;
    return true;
}
