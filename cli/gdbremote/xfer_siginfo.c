/* qXfer:siginfo: the details of the signal that the general thread has stopped for, in the layout of its program: read, and written
 * back. */
#include <signal.h>
#include <string.h>

#include "server.h"
#include "xfer.h"

enum { INFO = 128 };

/* A stop that no signal has made has the one that the kernel stops a tracee with. */
static void make_up(const struct rein_cause *cause, unsigned char raw[INFO])
{
    int32_t words[3] = {SIGTRAP, 0, 0};
    switch (cause->kind) {
    case REIN_CAUSE_BREAKPOINT:
        words[2] = SI_KERNEL;
        break;
    case REIN_CAUSE_STEP:
        words[2] = TRAP_TRACE;
        break;
    case REIN_CAUSE_WATCHPOINT:
        words[2] = TRAP_HWBKPT;
        break;
    case REIN_CAUSE_STOPPED:
        words[0] = SIGSTOP;
        break;
    default:
        break;
    }
    memset(raw, 0, INFO);
    memcpy(raw, words, sizeof words);
}

/* What a 32-bit program would find: behind three ints the same members, but addresses and times have 4 bytes, and nothing is
 * aligned to 8. So: which bytes of a 64-bit siginfo are where in a 32-bit one, the head, and what the kind of signal has behind it. */
struct part {
    unsigned char narrow, wide, size;
};

static const struct part *parts_of(const unsigned char raw[INFO])
{
    static const struct part sent[] = {{0, 0, 12},
                                       {12, 16, 8},
                                       {20, 24, 4},
                                       {0}}, /* two ints and a value; a timer's, too */
        child[] = {{0, 0, 12}, {12, 16, 12}, {24, 32, 4}, {28, 40, 4}, {0}},
                             /* the address, how much of it counts, bounds or the key */
        fault[] = {{0, 0, 12}, {12, 16, 4}, {16, 24, 2}, {20, 32, 4}, {24, 40, 4}, {0}},
                             io[] = {{0, 0, 12}, {12, 16, 4}, {16, 24, 4}, {0}},
                             call[] = {{0, 0, 12}, {12, 16, 4}, {16, 24, 8}, {0}};
    int32_t words[3];
    memcpy(words, raw, sizeof words);
    int number = words[0], code = words[2];
    return code < 0 || code == SI_USER                                                                          ? sent
           : number == SIGCHLD                                                                                  ? child
           : number == SIGILL || number == SIGFPE || number == SIGSEGV || number == SIGBUS || number == SIGTRAP ? fault
           : number == SIGIO                                                                                    ? io
           : number == SIGSYS                                                                                   ? call
                                                                                                                : sent;
}

static void make_narrow(unsigned char raw[INFO])
{
    unsigned char to[INFO] = {0};
    for (const struct part *part = parts_of(raw); part->size; part++)
        memcpy(to + part->narrow, raw + part->wide, part->size);
    memcpy(raw, to, INFO);
}

static void make_wide(unsigned char raw[INFO])
{
    unsigned char to[INFO] = {0};
    for (const struct part *part = parts_of(raw); part->size; part++)
        memcpy(to + part->wide, raw + part->narrow, part->size);
    memcpy(raw, to, INFO);
}

/* Of the general thread, in its program's layout. False: it has been answered. */
static bool read_siginfo(struct server *server, unsigned char raw[INFO], struct reply *reply)
{
    rein_thread *thread = NULL;
    struct rein_cause cause;
    struct inferior *inferior = server_general(server, &thread);
    if (!inferior) {
        server_error(server, reply, "there is no thread");
        return false;
    }
    if (rein_thread_cause(thread, &cause) != 0) {
        server_fail(server, reply);
        rein_thread_unref(thread);
        return false;
    }
    if (server->written_siginfo.tid == rein_thread_id(thread)) {
        memcpy(raw, server->written_siginfo.signal.raw, INFO);
    } else if (cause.kind == REIN_CAUSE_SIGNAL) {
        memcpy(raw, cause.signal.raw, INFO);
    } else {
        make_up(&cause, raw);
    }
    if (sizeof(void *) == 8 && strcmp(rein_process_architecture(inferior->process), "i386") == 0)
        make_narrow(raw);
    rein_cause_clear(&cause);
    rein_thread_unref(thread);
    return true;
}

bool xfer_make_siginfo(struct server *server, const char *annex, struct reply *object, struct reply *reply)
{
    unsigned char raw[INFO];
    if (!xfer_no_annex(server, annex, reply) || !read_siginfo(server, raw, reply))
        return false;
    reply_bytes(object, raw, INFO);
    return true;
}

static int set_siginfo(struct server *server, unsigned char raw[INFO])
{
    rein_thread *thread = NULL;
    struct rein_cause cause;
    struct inferior *inferior = server_general(server, &thread);
    if (!inferior || rein_thread_cause(thread, &cause) != 0) {
        rein_thread_unref(thread);
        return REIN_NO_THREAD;
    }
    if (sizeof(void *) == 8 && strcmp(rein_process_architecture(inferior->process), "i386") == 0)
        make_wide(raw);
    struct rein_signal signal = {.number = 0};
    int32_t number;
    memcpy(&number, raw, sizeof number);
    memcpy(&signal.error, raw + 4, sizeof signal.error);
    memcpy(&signal.code, raw + 8, sizeof signal.code);
    memcpy(signal.raw, raw, INFO);
    uint64_t address;
    memcpy(&address, raw + 16, sizeof address);
    signal.address = address;
    signal.number = number;
    int result = rein_thread_set_signal_info(thread, &signal);
    server->written_siginfo.tid = 0;
    if (result == REIN_BAD_STATE || result == REIN_INVALID_ARGUMENT) {
        server->written_siginfo.tid = rein_thread_id(thread);
        server->written_siginfo.signal = signal;
        result = 0;
    }
    rein_cause_clear(&cause);
    rein_thread_unref(thread);
    return result;
}

/* "annex:offset:data". gdb writes back after a call of a function what it has read before, when the thread has been stopped by
 * another signal, or by none. Then it is kept to be read again, and for the signal of that number with
 * which the client resumes the thread. */
void xfer_write_siginfo(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    unsigned char raw[INFO];
    const char *at = arguments;
    uint64_t offset;
    if (!parse_prefix(&at, ":") || !parse_hex_to(&at, ':', &offset)) {
        server_error(server, reply, "not an offset and data");
        return;
    }
    char *data = arguments + (at - arguments);
    length = packet_unescape(data, length - (size_t)(at - arguments));
    if (offset > INFO || length > INFO - offset) {
        server_error(server, reply, "a siginfo has %d bytes", INFO);
        return;
    }
    if (!read_siginfo(server, raw, reply))
        return;
    memcpy(raw + offset, data, length);
    int result = set_siginfo(server, raw);
    if (result != 0)
        server_fail(server, reply);
    else
        reply_format(reply, "%zx", length);
}
