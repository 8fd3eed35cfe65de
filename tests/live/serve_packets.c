/* R1 P2 T1: `rein serve` by its packets alone, over a pipe: what any client does first, on machines where there is no
 * client. A program is started, its registers and memory are read and written, a breakpoint is hit, it is stepped, and
 * ends. Programs: step_targets. */
#include "support.h"

#define PACKET 65536

#if defined(__aarch64__)
static const char architecture[] = "<architecture>aarch64</architecture>";
enum { PC = 0x20, GENERAL = 0 };
#elif defined(__x86_64__)
static const char architecture[] = "<architecture>i386:x86-64</architecture>";
enum { PC = 0x10, GENERAL = 0 };
#else
static const char architecture[] = "<architecture>i386</architecture>";
enum { PC = 0x8, GENERAL = 0 };
#endif

static struct {
    pid_t pid;
    int in, out;
    bool acks;
} server;

static void start_server(const char *program)
{
    int to[2], from[2];
    const char *binary = getenv("REIN_BINARY");
    assert_non_null(binary);
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        close(to[0]), close(to[1]), close(from[0]), close(from[1]);
        execl(binary, binary, "serve", "-q", "-l", "-", "--", program, "1", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    server.in = to[1];
    server.out = from[0];
    server.acks = true;
}

static void end_server(void)
{
    int status;
    close(server.in);
    assert_int_equal(waitpid(server.pid, &status, 0), server.pid);
    assert_int_equal(status, 0);
    close(server.out);
}

static char take(void)
{
    struct pollfd poll_for = {.fd = server.out, .events = POLLIN};
    char byte;
    if (poll(&poll_for, 1, LIMIT_MS) != 1)
        fail_msg("no answer within %d ms", LIMIT_MS);
    if (read(server.out, &byte, 1) != 1)
        fail_msg("the server has gone");
    return byte;
}

/* The next packet's contents, as a static string; 0*N is written out. */
static const char *receive(void)
{
    static char text[PACKET];
    size_t length = 0;
    while (take() != '$') {
    }
    for (char byte; (byte = take()) != '#';) {
        int count = 1;
        if (byte == '*') {
            assert_true(length > 0);
            count = take() - 29;
            byte = text[length - 1];
        }
        for (; count > 0; count--) {
            assert_true(length + 1 < sizeof text);
            text[length++] = byte;
        }
    }
    take(), take(); /* the sum: the pipe harms nothing */
    if (server.acks)
        assert_int_equal(write(server.in, "+", 1), 1);
    text[length] = '\0';
    return text;
}

static const char *ask(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *ask(const char *format, ...)
{
    char data[512], packet[sizeof data + 8];
    unsigned sum = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(data, sizeof data, format, arguments);
    va_end(arguments);
    for (const char *at = data; *at; at++)
        sum += (unsigned char)*at;
    int length = snprintf(packet, sizeof packet, "$%s#%02x", data, sum & 0xff);
    assert_int_equal(write(server.in, packet, (size_t)length), length);
    return receive();
}

static void expect(const char *answer, const char *expected)
{
    if (strncmp(answer, expected, strlen(expected)) != 0)
        fail_msg("'%s', and not '%s'", answer, expected);
}

/* A number whose first byte comes first. */
static rein_word number_of(const char *text)
{
    rein_word value = 0;
    unsigned byte;
    for (int i = 0; i < 8 && sscanf(text, "%2x", &byte) == 1; i++, text += 2)
        value |= (rein_word)byte << (8 * i);
    return value;
}

static rein_word pc_there(void)
{
    return number_of(ask("p%x", (unsigned)PC));
}

static void R1_P2_T1_by_packets(void **state)
{
    (void)state;
    char general[64], memory[64], other[64];
    unsigned pid = 0;
    start_server(fixture_path("step_targets"));
    assert_says(ask("qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386"), "PacketSize=");
    expect(ask("QStartNoAckMode"), "OK");
    server.acks = false;
    expect(ask("!"), "OK");
    expect(ask("?"), "T05");
    assert_int_equal(sscanf(ask("qC"), "QCp%x", &pid), 1);
    expect(ask("Hgp%x.%x", pid, pid), "OK");

    /* What it is, and its registers: all of them, one of them, and written. */
    assert_says(ask("qXfer:features:read:target.xml:0,4000"), architecture);
    const char *all = ask("g");
    assert_true(strlen(all) >= 16 * 8 && strlen(all) % 2 == 0);
    snprintf(general, sizeof general, "%s", ask("p%x", (unsigned)GENERAL));
    snprintf(other, sizeof other, "%s", general);
    memcpy(other, "2a", 2);
    expect(ask("P%x=%s", (unsigned)GENERAL, other), "OK");
    expect(ask("p%x", (unsigned)GENERAL), other);
    expect(ask("P%x=%s", (unsigned)GENERAL, general), "OK");

    /* A breakpoint, which its memory does not show. */
    rein_word place = address_in("step_targets", (int)pid, "step_0");
    snprintf(memory, sizeof memory, "%s", ask("m%" PRIx64 ",8", place));
    assert_int_equal(strlen(memory), 16);
    expect(ask("Z0,%" PRIx64 ",%x", place, PC == 0x20 ? 4 : 1), "OK");
    const char *stop = ask("vCont;c");
    expect(stop, "T05");
    assert_says(stop, "swbreak:;");
    assert_word(pc_there(), place);
    expect(ask("m%" PRIx64 ",8", place), memory);
    expect(ask("z0,%" PRIx64 ",%x", place, PC == 0x20 ? 4 : 1), "OK");

    static const char *const labels[] = {"step_1", "step_2", "step_3", "step_4", "step_5", "step_6", "step_7"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        expect(ask("vCont;s:p%x.%x", pid, pid), "T05");
        assert_word(pc_there(), address_in("step_targets", (int)pid, labels[i]));
    }
    expect(ask("M%" PRIx64 ",1:%.2s", place, memory), "OK");
    assert_string_equal(ask("tstatus"), ""); /* not supported, and said so */
    assert_string_equal(ask("vNonsense"), "");
    expect(ask("vCont;c"), "W00");
    end_server();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R1_P2_T1_by_packets),
    };
    return live_main(tests);
}
