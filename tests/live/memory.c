/* T4 T5 M5: memory of a process. Programs: memory_map, spin, step_targets. */
#include "support.h"

#define PAGE 4096

/* The instruction by which a function returns a small number, and a breakpoint's. */
#if defined(__aarch64__)
enum { RETURNING_SIZE = 4 };
static const unsigned char trap[TRAP_SIZE] = {0x00, 0x00, 0x20, 0xd4};
#else
enum { RETURNING_SIZE = 5 };
static const unsigned char trap[TRAP_SIZE] = {TRAP_BYTE};
#endif

static const unsigned char *returning(unsigned number)
{
    static unsigned char code[RETURNING_SIZE];
#if defined(__aarch64__)
    const uint32_t instruction = UINT32_C(0x52800000) | number << 5;
    memcpy(code, &instruction, sizeof instruction);
#else
    code[0] = 0xb8;
    memcpy(code + 1, &number, sizeof number);
#endif
    return code;
}

struct maps {
    struct fixture *fixture;
    rein_process *process;
    rein_thread *thread;
    rein_word writable, read_only, shared, file, code, forty_two;
};

static struct maps map_it(void)
{
    struct maps maps;
    maps.fixture = start_ready("memory_map", NULL);
    maps.process = attach(maps.fixture);
    maps.thread = first_thread(maps.process);
    maps.writable = said_address(maps.fixture, "writable");
    maps.read_only = said_address(maps.fixture, "read_only");
    maps.shared = said_address(maps.fixture, "shared");
    maps.file = said_address(maps.fixture, "file");
    maps.code = said_address(maps.fixture, "code");
    maps.forty_two = said_address(maps.fixture, "forty_two");
    return maps;
}

static unsigned char pattern(size_t index)
{
    return (unsigned char)(index * 7 + 1);
}

static unsigned long sum(const unsigned char *bytes, size_t size)
{
    unsigned long result = 0;
    for (size_t i = 0; i < size; i++)
        result = result * 31 + bytes[i];
    return result & 0xffffffff;
}

/* Either kind of read: by the process, by the thread. */
static int read_by(struct maps *maps, bool thread, rein_word address, void *buffer, size_t size, size_t *done)
{
    return thread ? rein_thread_read(maps->thread, address, buffer, size, done)
                  : rein_process_read(maps->process, address, buffer, size, done);
}

static int write_by(struct maps *maps, bool thread, rein_word address, const void *data, size_t size, size_t *done)
{
    return thread ? rein_thread_write(maps->thread, address, data, size, done)
                  : rein_process_write(maps->process, address, data, size, done);
}

/* T4: at every distance from the end of what is mapped, to the byte, and not a byte more is written to the buffer. */
static void T4_read_up_to_the_end(void **state)
{
    (void)state;
    struct maps maps = map_it();
    const rein_word end = maps.writable + 2 * PAGE;
    unsigned char buffer[64];
    for (int thread = 0; thread < 2; thread++) {
        for (size_t distance = 0; distance <= 20; distance++) {
            for (size_t size = 1; size <= 40; size++) {
                size_t done = 99, expected = size < distance ? size : distance;
                memset(buffer, 0xee, sizeof buffer);
                int result = read_by(&maps, thread, end - distance, buffer, size, &done);
                assert_int_equal(result, size <= distance ? 0 : REIN_BAD_ADDRESS);
                assert_int_equal(done, expected);
                for (size_t i = 0; i < expected; i++)
                    assert_int_equal(buffer[i], pattern(2 * PAGE - distance + i));
                for (size_t i = expected; i < sizeof buffer; i++)
                    assert_int_equal(buffer[i], 0xee);
            }
        }
    }
}

/* T4 */
static void T4_read_across_pages(void **state)
{
    (void)state;
    struct maps maps = map_it();
    unsigned char *buffer = test_malloc(4 * PAGE);
    size_t done = 0;
    assert_ok(rein_process_read(maps.process, maps.writable, buffer, 2 * PAGE, &done));
    assert_int_equal(done, 2 * PAGE);
    for (size_t i = 0; i < 2 * PAGE; i++)
        assert_int_equal(buffer[i], pattern(i));
    assert_ok(rein_process_read(maps.process, maps.writable + PAGE - 3, buffer, 7, NULL));
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(buffer[i], pattern(PAGE - 3 + i));
    assert_error_says(rein_process_read(maps.process, maps.writable + 1, buffer, 4 * PAGE, &done), REIN_BAD_ADDRESS,
                      "0x");
    assert_int_equal(done, 2 * PAGE - 1);
    assert_error(rein_process_read(maps.process, maps.writable + 1, buffer, 4 * PAGE, NULL), REIN_BAD_ADDRESS);
    test_free(buffer);
}

/* T4, M5: many ranges at once are read as each by itself: good ones, empty ones, those that end where memory does, and bad ones
 * among them. */
static void T4_M5_many_ranges(void **state)
{
    (void)state;
    enum { COUNT = 300, SIZE = 40 };
    struct maps maps = map_it();
    unsigned char(*one)[SIZE] = test_malloc(COUNT * SIZE), (*many)[SIZE] = test_malloc(COUNT * SIZE);
    struct rein_range *ranges = test_malloc(COUNT * sizeof *ranges);
    const rein_word places[] = {maps.writable, maps.read_only, maps.shared, maps.file, maps.code, maps.forty_two};
    add_breakpoint(maps.process, maps.forty_two);
    set_policy(maps.process, REIN_IGNORE);
    assert_ok(rein_process_continue(maps.process)); /* they are in memory */
    for (int bad = 0; bad < 3; bad++) {             /* none, few, every other */
        int first = 0;
        memset(one, 0xee, COUNT * SIZE);
        memset(many, 0xee, COUNT * SIZE);
        for (size_t i = 0; i < COUNT; i++) {
            rein_word address = places[i % 6] + i / 6 % 8;
            size_t size = i % 7 == 3 ? 0 : 1 + i % SIZE;
            if (bad && i % (bad == 1 ? 50 : 2) == 1)
                address = i % 3 ? maps.writable + 2 * PAGE - i % 5 : UINT64_MAX - i % 50;
            ranges[i] = (struct rein_range){address, many[i], size, 77, 77};
        }
        int result = rein_process_read_ranges(maps.process, ranges, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            size_t done = 0;
            int expected = rein_process_read(maps.process, ranges[i].address, one[i], ranges[i].size, &done);
            assert_int_equal(ranges[i].result, expected);
            assert_int_equal(ranges[i].done, done);
            first = first ? first : expected;
        }
        assert_int_equal(result, first);
        assert_int_equal(first, bad ? REIN_BAD_ADDRESS : 0);
        assert_memory_equal(one, many, COUNT * SIZE);
    }
    assert_ok(rein_process_read_ranges(maps.process, NULL, 0));
    assert_error(rein_process_read_ranges(maps.process, NULL, 1), REIN_INVALID_ARGUMENT);
    assert_error(rein_process_read_ranges(NULL, ranges, 1), REIN_INVALID_ARGUMENT);
    ranges[0] = (struct rein_range){maps.writable, NULL, 1, 77, 77};
    assert_error(rein_process_read_ranges(maps.process, ranges, 1), REIN_INVALID_ARGUMENT);
    assert_int_equal(ranges[0].done, 0);
    assert_ok(rein_process_kill(maps.process));
    ranges[0].buffer = many[0];
    assert_error(rein_process_read_ranges(maps.process, ranges, 1), REIN_EXITED);
    assert_int_equal(ranges[0].result, REIN_EXITED);
    test_free(ranges);
    test_free(one);
    test_free(many);
}

/* T4: where there is nothing at all. */
static void T4_read_nothing(void **state)
{
    (void)state;
    struct maps maps = map_it();
    const rein_word bad[] = {0,
                             8,
                             maps.writable - 1,
                             maps.writable + 2 * PAGE,
                             0x7ffffffff000,
                             0x800000000000,
                             0xffffffff81000000u,
                             UINT64_MAX - 4,
                             UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int thread = 0; thread < 2; thread++) {
            unsigned char buffer[16] = {0xee};
            size_t done = 99;
            assert_error(read_by(&maps, thread, bad[i], buffer, sizeof buffer, &done), REIN_BAD_ADDRESS);
            assert_int_equal(done, 0);
            assert_int_equal(buffer[0], 0xee);
            done = 99;
            assert_error(write_by(&maps, thread, bad[i], buffer, sizeof buffer, &done), REIN_BAD_ADDRESS);
            assert_int_equal(done, 0);
        }
    }
    size_t done = 99;
    unsigned char byte;
    assert_ok(rein_process_read(maps.process, maps.writable, &byte, 0, &done));
    assert_int_equal(done, 0);
    if (has_said(maps.fixture, "address top ")) {
        unsigned char buffer[64];
        rein_word top = said_address(maps.fixture, "top");
        assert_error(rein_process_read(maps.process, top + PAGE - 8, buffer, sizeof buffer, &done), REIN_BAD_ADDRESS);
        assert_int_equal(done, 8);
        assert_int_equal(buffer[7], 0x77);
    }
}

/* T4: all kinds of memory can be read. */
static void T4_kinds_of_memory(void **state)
{
    (void)state;
    struct maps maps = map_it();
    const rein_word patterned[] = {maps.writable, maps.read_only, maps.shared, maps.file};
    unsigned char buffer[PAGE];
    for (size_t k = 0; k < 4; k++) {
        assert_ok(rein_process_read(maps.process, patterned[k], buffer, PAGE, NULL));
        for (size_t i = 0; i < PAGE; i++)
            assert_int_equal(buffer[i], pattern(i));
    }
    assert_ok(rein_process_read(maps.process, maps.code, buffer, RETURNING_SIZE, NULL)); /* executable only */
    assert_memory_equal(buffer, returning(42), RETURNING_SIZE);
}

/* T5: the same to the byte for writing. */
static void T5_write_up_to_the_end(void **state)
{
    (void)state;
    struct maps maps = map_it();
    const rein_word end = maps.writable + 2 * PAGE;
    unsigned char buffer[64], seen[64];
    for (int thread = 0; thread < 2; thread++) {
        for (size_t distance = 0; distance <= 20; distance++) {
            for (size_t size = 1; size <= 40; size += 3) {
                size_t done = 99, expected = size < distance ? size : distance;
                for (size_t i = 0; i < sizeof buffer; i++)
                    buffer[i] = (unsigned char)(distance * 11 + size * 5 + i);
                size_t around = raw_read(maps.fixture->pid, end - distance - 8, seen, 8);
                assert_int_equal(around, 8);
                int result = write_by(&maps, thread, end - distance, buffer, size, &done);
                assert_int_equal(result, size <= distance ? 0 : REIN_BAD_ADDRESS);
                assert_int_equal(done, expected);
                unsigned char after[64];
                assert_int_equal(raw_read(maps.fixture->pid, end - distance - 8, after, 8 + expected), 8 + expected);
                assert_memory_equal(after, seen, 8);
                assert_memory_equal(after + 8, buffer, expected);
            }
        }
    }
}

/* T5: text and other memory that the program cannot write to; the file it is mapped from stays as it is. */
static void T5_read_only_memory_and_text(void **state)
{
    (void)state;
    struct maps maps = map_it();
    unsigned char expected[2 * PAGE], code[64];
    for (size_t i = 0; i < sizeof expected; i++)
        expected[i] = pattern(i);
    unsigned long unchanged = sum(expected, PAGE);
    expected[100] = 0xaa, expected[101] = 0xbb, expected[PAGE - 1] = 0xcc;
    const rein_word places[] = {maps.writable, maps.read_only, maps.shared, maps.file};
    for (size_t i = 0; i < 4; i++) {
        assert_ok(rein_process_write(maps.process, places[i] + 100, "\xaa\xbb", 2, NULL));
        assert_ok(rein_thread_write(maps.thread, places[i] + PAGE - 1, "\xcc", 1, NULL));
    }
    assert_ok(rein_process_write(maps.process, maps.code, returning(43), RETURNING_SIZE, NULL)); /* it was 42 */
    assert_ok(rein_process_read(maps.process, maps.forty_two, code, sizeof code, NULL));
    size_t at = 0;
    while (at + RETURNING_SIZE <= sizeof code && memcmp(code + at, returning(42), RETURNING_SIZE) != 0)
        at++;
    assert_true(at + RETURNING_SIZE <= sizeof code);
    assert_ok(rein_process_write(maps.process, maps.forty_two + at, returning(44), RETURNING_SIZE, NULL));

    assert_ok(rein_process_detach(maps.process, 0));
    tell(maps.fixture);
    assert_ends(maps.fixture, 0);
    assert_int_equal(said_count(maps.fixture, "sum_read_only"), sum(expected, PAGE));
    assert_int_equal(said_count(maps.fixture, "sum_shared"), sum(expected, PAGE));
    assert_int_equal(said_count(maps.fixture, "sum_mapped_file"), sum(expected, PAGE));
    assert_int_equal(said_count(maps.fixture, "sum_writable"), sum(expected, 2 * PAGE));
    assert_int_equal(said_count(maps.fixture, "sum_unchanged_file"), unchanged);
    assert_int_equal(said_count(maps.fixture, "code"), 43);
    assert_int_equal(said_count(maps.fixture, "forty_two"), 44);
    assert_int_equal(said_count(maps.fixture, "sum_file"), said_count(maps.fixture, "sum_file_before"));
}

/* T4, M5: breakpoints cannot be seen through rein, in windows of every size around and across them; while the
 * program runs they are in memory, when it is stopped not even there. */
static void T4_M5_breakpoints_are_invisible(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    await_state(fixture->pid, 0, 'S'); /* so that it is past what stands behind cold, where breakpoints are, too */
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    const rein_word cold = address_of(fixture, "cold") & ~(rein_word)7;
    unsigned char original[64], seen[64], raw[64];
    assert_int_equal(raw_read(fixture->pid, cold, original, sizeof original), sizeof original);
    /* cold is never called: its bytes can have breakpoints anywhere, where the machine has instructions. */
    for (size_t at = 8; at < 40; at += at < 16 ? TRAP_SIZE : TRAP_SIZE == 1 ? 7 : 8)
        add_breakpoint(process, cold + at);

    for (int running = 0; running < 2; running++) {
        if (running)
            assert_ok(rein_process_continue(process));
        assert_int_equal(raw_read(fixture->pid, cold, raw, sizeof raw), sizeof raw);
        assert_int_equal(!memcmp(raw + 8, trap, TRAP_SIZE) && !memcmp(raw + 8 + TRAP_SIZE, trap, TRAP_SIZE) &&
                             !memcmp(raw + 16, trap, TRAP_SIZE),
                         running);
        if (!running)
            assert_memory_equal(raw, original, sizeof raw);
        for (size_t from = 0; from < 40; from++) {
            for (size_t size = 1; from + size <= 64; size += 5) {
                size_t done = 0;
                memset(seen, 0xee, sizeof seen);
                assert_ok(rein_process_read(process, cold + from, seen, size, &done));
                assert_int_equal(done, size);
                assert_memory_equal(seen, original + from, size);
                if (!running) {
                    assert_ok(rein_thread_read(thread, cold + from, seen, size, &done));
                    assert_memory_equal(seen, original + from, size);
                }
            }
        }
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_int_equal(raw_read(fixture->pid, cold, raw, sizeof raw), sizeof raw);
    assert_memory_equal(raw, original, sizeof raw);
    assert_ok(rein_process_detach(process, 0));
    assert_int_equal(raw_read(fixture->pid, cold, raw, sizeof raw), sizeof raw);
    assert_memory_equal(raw, original, sizeof raw);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* T5: writing over breakpoints changes what is under them, stopped and running; they stay. */
static void T5_write_over_breakpoints(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "2", NULL);
    await_state(fixture->pid, 0, 'S');
    rein_process *process = attach(fixture);
    const rein_word cold = address_of(fixture, "cold") & ~(rein_word)7;
    unsigned char original[32], seen[32], raw[32], expected[32];
    assert_int_equal(raw_read(fixture->pid, cold, original, sizeof original), sizeof original);
    memcpy(expected, original, sizeof expected);
    const size_t second = 8 + TRAP_SIZE, third = TRAP_SIZE == 1 ? 15 : 16;
    rein_breakpoint *breakpoint = add_breakpoint(process, cold + 8);
    add_breakpoint(process, cold + second);
    add_breakpoint(process, cold + third);
    for (int running = 0; running < 2; running++) {
        if (running)
            assert_ok(rein_process_continue(process));
        for (size_t from = 6; from < 17; from++) {
            for (size_t size = 1; size < 8; size++) {
                size_t done = 0;
                for (size_t i = from; i < from + size; i++)
                    expected[i] = (unsigned char)(expected[i] * 3u + 17 + i);
                assert_ok(rein_process_write(process, cold + from, expected + from, size, &done));
                assert_int_equal(done, size);
                assert_ok(rein_process_read(process, cold, seen, sizeof seen, NULL));
                assert_memory_equal(seen, expected, sizeof seen);
                assert_int_equal(raw_read(fixture->pid, cold, raw, sizeof raw), sizeof raw);
                unsigned char with_traps[32];
                memcpy(with_traps, expected, sizeof with_traps);
                for (int i = 0; i < 3 && running; i++)
                    memcpy(with_traps + (i == 0 ? 8 : i == 1 ? second : third), trap, TRAP_SIZE);
                assert_memory_equal(raw, with_traps, sizeof raw);
            }
        }
    }
    assert_ok(rein_process_stop(process, LIMIT_MS));
    assert_ok(rein_process_remove_breakpoint(process, cold + second, 0));
    assert_ok(rein_process_continue(process));
    assert_int_equal(raw_read(fixture->pid, cold, raw, sizeof raw), sizeof raw);
    assert_memory_equal(raw + second, expected + second, TRAP_SIZE);
    assert_memory_equal(raw + 8, trap, TRAP_SIZE);
    assert_word(rein_breakpoint_pc(breakpoint), cold + 8);
    assert_ok(rein_process_detach(process, 0));
    assert_int_equal(raw_read(fixture->pid, cold, raw, sizeof raw), sizeof raw);
    assert_memory_equal(raw, expected, sizeof raw);
    tell(fixture);
    assert_ends(fixture, 0);
}

/* T5: a changed instruction under a breakpoint is what is executed when the thread goes past it. */
static void T5_the_new_instruction_runs(void **state)
{
    (void)state;
    struct maps maps = map_it();
    rein_breakpoint *breakpoint = add_breakpoint(maps.process, maps.code);
    assert_ok(rein_process_write(maps.process, maps.code, returning(99), RETURNING_SIZE, NULL));
    tell(maps.fixture);
    run_to_stop(maps.process);
    assert_int_equal(cause_of(maps.thread), REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(maps.thread), maps.code);
    assert_ok(rein_process_write(maps.process, maps.code, returning(100), RETURNING_SIZE, NULL));
    assert_ok(rein_process_detach(maps.process, 0));
    assert_ends(maps.fixture, 0);
    assert_int_equal(said_count(maps.fixture, "code"), 100);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
}

/* T4, T5: the kind for a thread requires it stopped; the one for a process works while it runs. */
static void T4_T5_states(void **state)
{
    (void)state;
    struct maps maps = map_it();
    unsigned char byte = 0;
    char id[16];
    snprintf(id, sizeof id, "%d", maps.fixture->pid);
    assert_ok(rein_process_continue(maps.process));
    assert_error_says(rein_thread_read(maps.thread, maps.writable, &byte, 1, NULL), REIN_BAD_STATE, id);
    assert_error_says(rein_thread_write(maps.thread, maps.writable, &byte, 1, NULL), REIN_BAD_STATE, id);
    assert_ok(rein_process_read(maps.process, maps.writable, &byte, 1, NULL));
    assert_int_equal(byte, pattern(0));
    assert_ok(rein_process_write(maps.process, maps.read_only, &byte, 1, NULL));
    assert_ok(rein_process_detach(maps.process, 0));
    size_t done = 99;
    assert_error(rein_process_read(maps.process, maps.writable, &byte, 1, &done), REIN_DETACHED);
    assert_int_equal(done, 0);
    assert_error(rein_thread_read(maps.thread, maps.writable, &byte, 1, NULL), REIN_DETACHED);
    tell(maps.fixture);
    assert_ends(maps.fixture, 0);

    struct fixture *gone = spawn("step_targets", NULL);
    assert_ok(rein_process_kill(gone->process));
    assert_error(rein_process_read(gone->process, maps.writable, &byte, 1, NULL), REIN_EXITED);
    assert_error(rein_process_write(gone->process, maps.writable, &byte, 1, NULL), REIN_EXITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(T4_read_up_to_the_end),
        live_test(T4_read_across_pages),
        live_test(T4_M5_many_ranges),
        live_test(T4_read_nothing),
        live_test(T4_kinds_of_memory),
        live_test(T5_write_up_to_the_end),
        live_test(T5_read_only_memory_and_text),
        live_test(T4_M5_breakpoints_are_invisible),
        live_test(T5_write_over_breakpoints),
        live_test(T5_the_new_instruction_runs),
        live_test(T4_T5_states),
    };
    return live_main(tests);
}
