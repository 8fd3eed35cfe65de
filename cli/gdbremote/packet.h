/* Packets of the gdb remote protocol: "$data#checksum", and "%data#checksum" for notifications; see gdb's manual, "Remote
 * Protocol", and the opening comment of packet.c. */
#ifndef REIN_GDBREMOTE_PACKET_H
#define REIN_GDBREMOTE_PACKET_H

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PACKET_MAX = 0x20000 }; /* bytes between $ and #, in both directions: what qSupported tells */

/* A text that grows, for answers. Once memory has run out nothing is added any more, and it is empty when it is sent. */
struct reply {
    char *text;
    size_t used, size;
    bool failed;
};
void reply_clear(struct reply *reply);
void reply_free(struct reply *reply);
void reply_bytes(struct reply *reply, const void *data, size_t length);
void reply_text(struct reply *reply, const char *text);
void reply_format(struct reply *reply, const char *format, ...) __attribute__((format(printf, 2, 3)));
void reply_hex(struct reply *reply, const void *data, size_t length);
void reply_hex_text(struct reply *reply, const char *text);
/* As binary data: what has a meaning in a packet is escaped. */
void reply_binary(struct reply *reply, const void *data, size_t length);
/* "E.message", or "E01" for clients that do not take messages. */
void reply_error(struct reply *reply, bool in_words, const char *format, ...) __attribute__((format(printf, 3, 4)));

struct packets {
    int input, output;
    int end_fd; /* once it can be read nothing is waited for any more; -1: none */
    int (*poll)(void *arg, struct pollfd *fds, size_t count, int timeout_ms); /* as poll(2); NULL: that */
    void *poll_arg;
    bool no_ack;
    bool shortens; /* the client takes "0* " for 0000 */
    char *in;      /* what has come and is not taken yet */
    size_t in_used, in_taken;
    char *last; /* the last one that was sent, to be sent again when the client asks for it */
    size_t last_length;
    char *asked; /* the client's last packet, as long as its answer is not acknowledged; NULL: none is kept */
    size_t asked_length;
    int64_t taken_at;      /* ms, the last packet */
    size_t unacknowledged; /* packets of ours */
    bool broken;           /* the client is gone, or talks nonsense */
    void (*log)(void *arg, bool sent, const char *data, size_t length);
    void *log_arg;
};

enum packet_kind { PACKET_NONE, PACKET_DATA, PACKET_INTERRUPT, PACKET_CLOSED };

bool packets_create(struct packets *packets, int input, int output);
void packets_free(struct packets *packets);
/* Reads what is there, without waiting. */
void packets_read(struct packets *packets);
/* The next packet: its data, 0 behind it, valid until the next call; binary data is still escaped. */
enum packet_kind packets_next(struct packets *packets, char **data, size_t *length);
/* Is one there already? Then there may be nothing more to poll for. */
bool packets_waiting(const struct packets *packets);
/* Has the client stopped waiting for the answer to its last packet? Then that is not to be sent. What packets_next gave is not valid
 * any more. */
bool packets_given_up(struct packets *packets);
void packets_send(struct packets *packets, const char *data, size_t length);
void packets_notify(struct packets *packets, const char *data, size_t length);

/* Takes the escapes out of binary data, in place: its new length. */
size_t packet_unescape(char *data, size_t length);

/* Reads a number in hexadecimal, moves the text on. False: there is none, or it is too large. */
bool parse_hex(const char **text, uint64_t *value);
/* The same, and the character behind it must be this one, which is skipped; 0: the end. */
bool parse_hex_to(const char **text, char end, uint64_t *value);
/* Pairs of digits to bytes, at most size: how many; -1: other characters, or an odd number. */
long parse_bytes(const char *text, size_t length, void *bytes, size_t size);
/* A text in pairs of digits; to be freed. NULL: it is none, or has a 0 in it. */
char *parse_hex_text(const char *text, size_t length);
/* Is text what begins so? Then it is moved behind that. */
bool parse_prefix(const char **text, const char *prefix);

#endif
