/* R1 R2 R3 R6 T1 on arm64: its registers, the link register, load and store exclusive, tagged addresses. Programs: step_targets,
 * watched. */
#include "support.h"

enum { COUNT = 35 };

static rein_thread *at_label(struct fixture *fixture, const char *label)
{
    add_breakpoint(fixture->process, address_of(fixture, label));
    rein_thread *thread = run_to(fixture->process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), address_of(fixture, label));
    return thread;
}

static rein_registers *registers_of(rein_thread *thread)
{
    rein_registers *registers = NULL;
    assert_ok(rein_thread_registers(thread, &registers));
    later_free_registers(registers);
    return registers;
}

/* R1 R3 */
static void R1_R3_values_are_the_threads(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_thread *thread = at_label(fixture, "step_3");
    rein_registers *registers = registers_of(thread);
    rein_word sp, pushed = 0;
    assert_int_equal(rein_registers_count(registers), COUNT);
    assert_string_equal(rein_registers_name(registers, rein_registers_pc_index(registers)), "pc");
    assert_string_equal(rein_registers_name(registers, rein_registers_sp_index(registers)), "sp");
    assert_ok(rein_registers_sp(registers, &sp));
    assert_word(register_of(thread, "x0"), 0x1234);
    assert_ok(rein_thread_read(thread, sp, &pushed, sizeof pushed, NULL));
    assert_word(pushed, 0x1234);
    assert_word(register_of(thread, "syscallno"), (rein_word)-1);
    assert_error(rein_registers_index(registers, "rax"), REIN_NO_REGISTER);
    set_policy(fixture->process, REIN_IGNORE);
    run_to_end(fixture->process);
}

/* R2: the link register is x30, and can be found as lr. */
static void R2_link(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_thread *thread = at_label(fixture, "step_5"); /* called from step_4 */
    rein_registers *registers = registers_of(thread);
    rein_word link = 0;
    assert_ok(rein_registers_link(registers, &link));
    assert_word(link, address_of(fixture, "step_7"));
    assert_int_equal(rein_registers_index(registers, "lr"), 30);
    assert_int_equal(rein_registers_link_index(registers), 30);
    assert_ok(rein_registers_set_link(registers, address_of(fixture, "step_8")));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_word(pc_of(thread), address_of(fixture, "step_8"));
    assert_ok(rein_process_kill(fixture->process));
}

/* R6: each set comes, and what is written is there; what this processor lacks is said not to be there. */
static void R6_other_sets(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", "3", NULL);
    rein_thread *thread = at_label(fixture, "step_4");
    rein_registers *registers = registers_of(thread);
    unsigned char value[256], wanted[256];
    size_t width = 0;
    bool present = false;
    int v7 = rein_registers_index(registers, "v7"), z7 = rein_registers_index(registers, "z7");
    for (size_t i = 0; i < sizeof wanted; i++)
        wanted[i] = (unsigned char)(i * 3 + 1);
    assert_ok(rein_registers_write(registers, v7, wanted, 16));
    assert_ok(rein_registers_read(registers_of(thread), v7, value, sizeof value, &width));
    assert_int_equal(width, 16);
    assert_memory_equal(value, wanted, 16);
    assert_ok(rein_registers_read(registers, rein_registers_index(registers, "tpidr"), value, sizeof value, &width));
    assert_int_equal(width, 8);
    assert_ok(rein_registers_present(registers, z7, &present));
    if (present) {
        assert_ok(rein_registers_read(registers, z7, value, sizeof value, &width));
        assert_memory_equal(value, wanted, 16);
        print_message("vectors of %zu bytes\n", width);
        for (size_t i = 0; i < width; i++)
            wanted[i] = (unsigned char)(i * 5 + 2);
        assert_ok(rein_registers_write(registers, z7, wanted, width));
        assert_ok(rein_registers_read(registers_of(thread), z7, value, sizeof value, &width));
        assert_memory_equal(value, wanted, width);
        assert_ok(rein_registers_read(registers_of(thread), v7, value, sizeof value, &width));
        assert_memory_equal(value, wanted, 16);
        assert_error(rein_registers_write(registers, rein_registers_index(registers, "vg"), value, 8),
                     REIN_NOT_SUPPORTED);
    }
    static const char *const others[] = {"tpidr2", "za", "zt0", "pauth_dmask", "pauth_cmask", "tag_ctl", "ffr", "p0"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_ok(rein_registers_present(registers, rein_registers_index(registers, others[i]), &present));
        print_message("%s is %s\n", others[i], present ? "there" : "not there");
    }
    set_policy(fixture->process, REIN_IGNORE);
    run_to_end(fixture->process);
}

/* T1, P5: a breakpoint on a load-exclusive, and steps from there, do not break the sequence: it would never succeed. */
static void T1_P5_exclusive_sequences(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "exclusive", "1", "50", NULL);
    rein_process *process = fixture->process;
    rein_word bump = address_of(fixture, "bump_exclusive");
    rein_breakpoint *breakpoint = count_at(process, bump + 8); /* ldxr */
    rein_breakpoint *behind = count_at(process, bump + 20);
    rein_thread *thread = at_label(fixture, "bump_exclusive");
    uint64_t target = 1;
    for (int i = 0; i < 2; i++)
        assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_word(pc_of(thread), bump + 8);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_word(pc_of(thread), bump + 20); /* cbnz, behind stxr */
    assert_ok(rein_process_read(process, address_of(fixture, "target"), &target, sizeof target, NULL));
    assert_word(target,
                register_of(thread, "x12") == 0); /* nearly always: an interrupt of the processor's can end it */
    assert_ok(rein_process_remove_breakpoint(process, bump, 0));
    set_policy(process, REIN_IGNORE);
    run_to_end(process);
    read_to_end(fixture);
    assert_int_equal(said_count(fixture, "target"), 50);
    assert_true(rein_breakpoint_hits(breakpoint) >= 50);
    assert_int_equal(rein_breakpoint_hits(breakpoint), rein_breakpoint_hits(behind));
}

/* T4 T5 P2: a tag in an address's top byte is no part of it; an instruction is at a multiple of 4. */
static void T4_T5_P2_tagged_addresses(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("watched", "loop", "1", "3", NULL);
    rein_process *process = fixture->process;
    const rein_word tag = (rein_word)0xab << 56;
    rein_word target = address_of(fixture, "target"), bump = address_of(fixture, "bump");
    uint64_t value = 40, seen = 0;
    assert_ok(rein_process_write(process, tag | target, &value, sizeof value, NULL));
    assert_ok(rein_process_read(process, tag | target, &seen, sizeof seen, NULL));
    assert_word(seen, 40);
    assert_ok(rein_process_add_breakpoint(process, tag | bump, NULL, NULL));
    assert_error(rein_process_add_breakpoint(process, bump, NULL, NULL), REIN_BREAKPOINT_EXISTS);
    assert_error_says(rein_process_add_breakpoint(process, bump + 2, NULL, NULL), REIN_BAD_ADDRESS, "multiple of 4");
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(thread), bump);
    assert_ok(rein_process_kill(process));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(R1_R3_values_are_the_threads),
        live_test(R2_link),
        live_test(R6_other_sets),
        live_test(T1_P5_exclusive_sequences),
        live_test(T4_T5_P2_tagged_addresses),
    };
    return live_main(tests);
}
