/* R1 P2 T1 N3: `rein serve` by its packets alone, over a pipe: what any client does first, on machines where there is no
 * client. A program is started, its registers and memory are read and written, a breakpoint is hit, it is stepped, and
 * ends. What gdb does when an answer is late, and at a watchpoint on arm64. Programs: step_targets, watched. */
#include <sys/auxv.h>

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

static void start_server(const char *program, const char *argument)
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
        execl(binary, binary, "serve", "-q", "-l", "-", "--", program, argument, (char *)NULL);
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

/* The packet, so many times, and something behind it, in one write. */
static void send_all(const char *data, int times, const char *behind)
{
    char text[2048];
    unsigned sum = 0;
    size_t length = 0;
    for (const char *at = data; *at; at++)
        sum += (unsigned char)*at;
    for (int i = 0; i < times; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "$%s#%02x", data, sum & 0xff);
    length += (size_t)snprintf(text + length, sizeof text - length, "%s", behind);
    assert_true(length < sizeof text);
    assert_int_equal(write(server.in, text, length), length);
}

static const char *ask(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *ask(const char *format, ...)
{
    char data[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(data, sizeof data, format, arguments);
    va_end(arguments);
    send_all(data, 1, "");
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
    start_server(fixture_path("step_targets"), "1");
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

/* gdb sends a packet again that is not acknowledged within 2 s, and asks for an answer again by '-'. Neither may leave the two of
 * them one answer apart, or have anything done twice. */
static void T1_late_answers(void **state)
{
    (void)state;
    start_server(fixture_path("step_targets"), "1");
    assert_says(ask("qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386"), "PacketSize=");
    expect(ask("?"), "T05");
    unsigned pid = 0;
    assert_int_equal(sscanf(ask("qC"), "QCp%x", &pid), 1);
    rein_word pc = address_in("step_targets", (int)pid, "step_0");
    expect(ask("Z0,%" PRIx64 ",%x", pc, PC == 0x20 ? 4 : 1), "OK");
    expect(ask("vCont;c"), "T05");
    assert_word(pc_there(), pc);
    expect(ask("z0,%" PRIx64 ",%x", pc, PC == 0x20 ? 4 : 1), "OK");

    /* A '-' when nothing is unanswered asks for nothing; one before the '+' has the answer sent again. */
    send_all("vCont?", 1, "");
    for (char byte = 0; byte != '$';)
        byte = take();
    assert_int_equal(write(server.in, "-", 1), 1);
    expect(receive(), "vCont;c"); /* from the second '$' on */
    send_all("QThreadEvents:0", 1, "");
    expect(receive(), "OK");
    assert_int_equal(write(server.in, "-", 1), 1);
    expect(ask("vCont?"), "vCont;c");

    /* One step, though it is asked for twice; and one answer. */
    send_all("vCont;s", 2, "");
    expect(receive(), "T05");
    assert_word(pc_there(), address_in("step_targets", (int)pid, "step_1"));
    send_all("vCont;s", 1, "");
    expect(receive(), "T05"); /* which was acknowledged: this is another step */
    assert_word(pc_there(), address_in("step_targets", (int)pid, "step_2"));
    send_all("QStartNoAckMode", 2, "");
    expect(receive(), "OK");
    server.acks = false;
    expect(ask("vCont?"), "vCont;c");

    /* Who has waited three times does not wait any more. */
    send_all("vCont?", 1, "---");
    expect(ask("QThreadEvents:0"), "OK");
    send_all("vCont?", 1, "--");
    expect(receive(), "vCont;c");
    expect(ask("QThreadEvents:0"), "OK");
    send_all("k", 1, "");
    end_server();
}

/* arm64: vectors whose length is the thread's are described to gdb, which hangs at a signal handler's frame without, and not to lldb;
 * memory tags only if there are some. */
static void R1_description(void **state)
{
    (void)state;
#if defined(__aarch64__)
    enum { VECTORS = 1 << 22, MEMORY_TAGS = 1 << 18 }; /* HWCAP_SVE, HWCAP2_MTE */
    static const char question[] = "qXfer:features:read:target.xml:0,8000";
    bool has_vectors = (getauxval(AT_HWCAP) & VECTORS) != 0;
    start_server(fixture_path("step_targets"), "1");
    assert_says(ask("qSupported:multiprocess+;xmlRegisters=i386"), "PacketSize=");
    const char *text = ask("%s", question);
    assert_int_equal(strstr(text, "org.gnu.gdb.aarch64.sve") != NULL, has_vectors);
    assert_int_equal(strstr(text, "org.gnu.gdb.aarch64.fpu") == NULL, has_vectors);
    assert_int_equal(strstr(text, "org.gnu.gdb.aarch64.mte") != NULL, (getauxval(AT_HWCAP2) & MEMORY_TAGS) != 0);
    size_t length = strlen(ask("g"));
    expect(ask("QThreadSuffixSupported"), "OK"); /* that is lldb */
    text = ask("%s", question);
    assert_null(strstr(text, "org.gnu.gdb.aarch64.sve"));
    assert_says(text, "org.gnu.gdb.aarch64.fpu");
    assert_int_equal(strlen(ask("g")) < length, has_vectors);
    send_all("k", 1, "");
    end_server();
#else
    skip();
#endif
}

/* gdb takes arm64's watchpoints for such that stop in front of the access, and has it made by a step with no watchpoint left: it has
 * been made. Who steps with the watchpoint in place steps. */
static void N3_stop_behind_the_access(void **state)
{
    (void)state;
#if defined(__aarch64__)
    unsigned pid = 0;
    char stepped[64];
    start_server(fixture_path("watched"), "step");
    assert_says(ask("qSupported:multiprocess+;swbreak+;hwbreak+;xmlRegisters=i386"), "PacketSize=");
    expect(ask("QStartNoAckMode"), "OK");
    server.acks = false;
    expect(ask("?"), "T05");
    assert_int_equal(sscanf(ask("qC"), "QCp%x", &pid), 1);
    snprintf(stepped, sizeof stepped, "vCont;s:p%x.%x", pid, pid);
    rein_word target = address_in("watched", (int)pid, "target");
    rein_word after = address_in("watched", (int)pid, "step_write") + 4;
    for (int i = 0; i < 2; i++) {
        char point[64];
        snprintf(point, sizeof point, "2,%" PRIx64 ",8", target);
        expect(ask("Z%s", point), "OK");
        const char *stop = ask("vCont;c");
        expect(stop, "T05");
        assert_says(stop, "watch:");
        assert_word(pc_there(), after);
        if (i == 0) {
            expect(ask("%s", stepped), "T05"); /* it is watched still */
            assert_word(pc_there(), after + 4);
            rein_word write = after - 4;
            expect(ask("P%x=%02x%02x%02x%02x%02x%02x%02x%02x", (unsigned)PC, (unsigned)(write & 255),
                       (unsigned)(write >> 8 & 255), (unsigned)(write >> 16 & 255), (unsigned)(write >> 24 & 255),
                       (unsigned)(write >> 32 & 255), (unsigned)(write >> 40 & 255), (unsigned)(write >> 48 & 255),
                       (unsigned)(write >> 56 & 255)),
                   "OK");
            continue;
        }
        expect(ask("z%s", point), "OK");
        stop = ask("%s", stepped);
        expect(stop, "T05");
        assert_null(strstr(stop, "watch:"));
        assert_word(pc_there(), after); /* as it was */
        expect(ask("%s", stepped), "T05");
        assert_word(pc_there(), after + 4);
    }
    expect(ask("vCont;c"), "W00");
    end_server();
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(R1_P2_T1_by_packets),
        cmocka_unit_test(T1_late_answers),
        cmocka_unit_test(R1_description),
        cmocka_unit_test(N3_stop_behind_the_access),
    };
    return live_main(tests);
}
