/* Fuzzes what the server does with packets as long as it has no process, thousands of times in a second: framing, escapes, the
 * names of packets, and all arguments that are looked at before a process is. The input is what the client writes, from a file in
 * memory, and what the server answers is taken apart here. No process is made: rein_spawn and rein_attach are put aside
 * by the linker (meson.build). Files are opened and written as the client likes, so it needs the sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../cli/gdbremote/server.h"
#include "fuzz.h"

enum { ANSWERS_MAX = 1 << 22 };
static int question, answer; /* files in memory */

int __wrap_rein_spawn(void);
int __wrap_rein_attach(void);

int __wrap_rein_spawn(void)
{
    return REIN_NOT_SUPPORTED;
}

int __wrap_rein_attach(void)
{
    return REIN_NOT_SUPPORTED;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    fuzz_need_sandbox();
    if (chdir("/tmp") != 0)
        fuzz_fail("/tmp: %s", strerror(errno));
    question = memfd_create("question", MFD_CLOEXEC);
    answer = memfd_create("answer", MFD_CLOEXEC);
    if (question < 0 || answer < 0)
        fuzz_fail("memfd_create: %s", strerror(errno));
    return 0;
}

/* What is written comes back when it is read. */
static void check_round_trips(const uint8_t *data, size_t size)
{
    struct reply reply = {0};
    reply_binary(&reply, data, size);
    for (size_t i = 0; i < reply.used; i++)
        if (reply.text[i] == '$' || reply.text[i] == '#')
            fuzz_fail("binary data is not escaped");
    size_t room = size ? data[0] : 0, fit = binary_fit(data, size, room);
    struct reply part = {0};
    reply_binary(&part, data, fit);
    if (part.used > room)
        fuzz_fail("what is to fit into %zu bytes takes %zu", room, part.used);
    reply_free(&part);
    if (reply.used && (packet_unescape(reply.text, reply.used) != size || memcmp(reply.text, data, size) != 0))
        fuzz_fail("binary data does not come back");
    reply_clear(&reply);
    reply_hex(&reply, data, size);
    uint8_t *back = malloc(size + 1);
    if (!back || (reply.text && parse_bytes(reply.text, reply.used, back, size) != (long)size) ||
        memcmp(back, data, reply.text ? size : 0) != 0)
        fuzz_fail("bytes in hex do not come back");
    memcpy(back, data, size);
    if (packet_unescape((char *)back, size) > size)
        fuzz_fail("text grows without its escapes");
    free(back);
    reply_free(&reply);
}

/* The answers are packets, whole, with the right sum, and not longer than is said. */
static void check_answers(void)
{
    off_t length = lseek(answer, 0, SEEK_END);
    if (length > ANSWERS_MAX)
        return; /* storms of '-' */
    uint8_t *text = malloc((size_t)length + 1), *repaired = malloc((size_t)length + 1);
    if (!text || !repaired || pread(answer, text, (size_t)length, 0) != length)
        fuzz_fail("the answers cannot be read");
    memcpy(repaired, text, (size_t)length);
    fuzz_repair(repaired, (size_t)length);
    if (memcmp(text, repaired, (size_t)length) != 0)
        fuzz_fail("an answer has a wrong sum");
    for (uint8_t *at = text, *end = text + length; at < end;) {
        if (*at == '+' || *at == '-') {
            at++;
            continue;
        }
        uint8_t *sum = *at == '$' ? memchr(at, '#', (size_t)(end - at)) : NULL;
        if (!sum || end - sum < 3)
            fuzz_fail("an answer is no packet");
        if (sum - at > PACKET_MAX + 1)
            fuzz_fail("an answer has %zu bytes", (size_t)(sum - at));
        at = sum + 3;
    }
    free(repaired);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_round_trips(data, size);
    uint8_t *stream = malloc(size + 1);
    if (!stream)
        return 0;
    memcpy(stream, data, size);
    fuzz_repair(stream, size);
    if (ftruncate(question, 0) != 0 || ftruncate(answer, 0) != 0 || lseek(answer, 0, SEEK_SET) != 0 ||
        pwrite(question, stream, size, 0) != (ssize_t)size || lseek(question, 0, SEEK_SET) != 0)
        fuzz_fail("the question cannot be written: %s", strerror(errno));
    free(stream);
    struct server server = {.quiet = true,
                            .multi = true,
                            .extended = true,
                            .link = {.listener = -1,
                                     .input = fcntl(question, F_DUPFD_CLOEXEC, 3),
                                     .output = fcntl(answer, F_DUPFD_CLOEXEC, 3),
                                     .end_fd = -1}};
    if (server_run(&server) != 0)
        fuzz_fail("the server has failed");
    if (server.inferiors)
        fuzz_fail("there is a process");
    trace_free(&server);
    resume_free(&server);
    launch_free(&server);
    memory_free(&server);
    check_answers();
    return 0;
}
