/* W1 R1 R2 R3 R4 R5: registers of a stopped thread. Programs: step_targets, blocking_syscall, spin. */
#include "support.h"

#include <limits.h>

#if defined(__i386__)
static const char *const names[] = {"eax",    "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp",     "eip",
                                    "eflags", "cs",  "ss",  "ds",  "es",  "fs",  "gs",  "orig_eax"};
static const char *const general[] = {"eax", "ebx", "ecx", "edx", "esi", "edi", "ebp"};
#define REGISTER(name) "e" name
#define KEPT "esi" /* two that functions leave as they were */
#define KEPT_TOO "edi"
enum { CODE_SEGMENT = 0x23, STACK_SEGMENT = 0x2b };
#else
static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",      "rsp",     "r8",
                                    "r9",  "r10", "r11", "r12", "r13", "r14", "r15",      "rip",     "eflags",
                                    "cs",  "ss",  "ds",  "es",  "fs",  "gs",  "orig_rax", "fs_base", "gs_base"};
static const char *const general[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8",
                                      "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
#define REGISTER(name) "r" name
#define KEPT "r12"
#define KEPT_TOO "r13"
enum { CODE_SEGMENT = 0x33, STACK_SEGMENT = 0x2b };
#endif
#define COUNT ((int)(sizeof names / sizeof *names))

/* A thread of step_targets at the label, which it has reached by itself. */
static rein_thread *at_label(struct fixture **fixture, const char *label)
{
    *fixture = spawn("step_targets", "3", NULL);
    add_breakpoint((*fixture)->process, address_of(*fixture, label));
    return run_to((*fixture)->process, REIN_CAUSE_BREAKPOINT);
}

static rein_registers *registers_of(rein_thread *thread)
{
    rein_registers *registers = NULL;
    assert_ok(rein_thread_registers(thread, &registers));
    assert_non_null(registers);
    later_free_registers(registers);
    return registers;
}

/* R3 */
static void R3_names_in_the_contracts_order(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_registers *registers = registers_of(first_thread(fixture->process));
    assert_int_equal(rein_registers_count(registers), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_string_equal(rein_registers_name(registers, i), names[i]);
        assert_int_equal(rein_registers_index(registers, names[i]), i);
    }
    assert_int_equal(rein_registers_index(registers, "st0"), COUNT); /* the others follow: R6 */
    assert_error_says(rein_registers_index(registers, "xmm77"), REIN_NO_REGISTER, "xmm77");
    assert_error(rein_registers_index(registers, ""), REIN_NO_REGISTER);
    assert_error(rein_registers_index(registers, "RAX"), REIN_NO_REGISTER);
    assert_error(rein_registers_index(registers, "ra"), REIN_NO_REGISTER);
}

/* R3, R1 */
static void R3_R1_values_are_the_threads(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = at_label(&fixture, "step_4");
    rein_registers *registers = registers_of(thread);
    rein_word pc, sp, value;
    uintptr_t pushed;
    assert_ok(rein_registers_pc(registers, &pc));
    assert_word(pc, address_of(fixture, "step_4"));
    assert_ok(rein_registers_get(registers, rein_registers_pc_index(registers), &value));
    assert_word(value, pc);
    assert_string_equal(rein_registers_name(registers, rein_registers_pc_index(registers)), REGISTER("ip"));
    assert_string_equal(rein_registers_name(registers, rein_registers_sp_index(registers)), REGISTER("sp"));
    assert_ok(rein_registers_sp(registers, &sp));
    assert_word(register_of(thread, "rsp"), sp);
    assert_word(register_of(thread, "rax"), 0x1234); /* step_1 to step_3 have made these */
    assert_word(register_of(thread, "rdx"), 0x1234);
    assert_word(register_of(thread, "cs"), CODE_SEGMENT);
    assert_word(register_of(thread, "ss"), STACK_SEGMENT);
#if !defined(__i386__)
    assert_true(register_of(thread, "fs_base") != 0);
#endif
    assert_word(register_of(thread, "eflags") & 0x100, 0);

    assert_ok(rein_thread_step(thread, 0, LIMIT_MS)); /* the call */
    assert_word(register_of(thread, "rsp"), sp - sizeof(void *));
    assert_ok(rein_thread_read(thread, sp - sizeof(void *), &pushed, sizeof pushed, NULL));
    assert_word(pushed, address_of(fixture, "step_7"));
}

/* R1 */
static void R1_set_pc_and_sp_are_what_runs(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = at_label(&fixture, "step_1");
    rein_process *process = fixture->process;
    rein_word sp, value;
    uintptr_t word = 0x1234;

    /* Over step_1 and step_2, whose work is done by hand: rax, and a push. */
    rein_registers *registers = registers_of(thread);
    assert_ok(rein_registers_sp(registers, &sp));
    assert_ok(rein_registers_set(registers, rein_registers_index(registers, REGISTER("ax")), 0x1234));
    assert_ok(rein_registers_set_sp(registers, sp - sizeof(void *)));
    assert_ok(rein_registers_set_pc(registers, address_of(fixture, "step_3")));
    assert_ok(rein_thread_write(thread, sp - sizeof(void *), &word, sizeof word, NULL));
    assert_ok(rein_registers_pc(registers, &value));
    assert_word(value, address_of(fixture, "step_3"));
    assert_ok(rein_registers_sp(registers, &value));
    assert_word(value, sp - sizeof(void *));

    assert_ok(rein_process_remove_breakpoint(process, address_of(fixture, "step_1"), 0));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* R2 */
static void R2_no_link_register(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_registers *registers = registers_of(first_thread(fixture->process));
    rein_word value = 77;
    assert_error_says(rein_registers_link_index(registers), REIN_NO_LINK_REGISTER, "no link register");
    assert_error_says(rein_registers_link(registers, &value), REIN_NO_LINK_REGISTER, "no link register");
    assert_error_says(rein_registers_set_link(registers, 1), REIN_NO_LINK_REGISTER, "no link register");
    assert_word(value, 77);
}

/* R4 */
static void R4_bad_index(void **state)
{
    (void)state;
    static const int bad[] = {-1, COUNT, COUNT + 1, INT_MAX, INT_MIN};
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_registers *registers = registers_of(first_thread(fixture->process));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rein_word value = 77;
        char text[16];
        snprintf(text, sizeof text, "%d", bad[i]);
        assert_error_says(rein_registers_get(registers, bad[i], &value), REIN_OUT_OF_RANGE, text);
        assert_word(value, 77);
        assert_error_says(rein_registers_set(registers, bad[i], 1), REIN_OUT_OF_RANGE, text);
    }
    int total = rein_registers_total(registers);
    for (int i = -2; i <= total + 1; i++) {
        assert_int_equal(rein_registers_name(registers, i) != NULL, i >= 0 && i < total);
        if (i < COUNT || i >= total) {
            continue;
        }
        rein_word value = 77; /* those that are no words */
        assert_error_says(rein_registers_get(registers, i, &value), REIN_OUT_OF_RANGE, "rein_registers_read");
        assert_error_says(rein_registers_set(registers, i, 1), REIN_OUT_OF_RANGE, rein_registers_name(registers, i));
        assert_word(value, 77);
    }
    assert_null(rein_registers_name(registers, INT_MAX));
    assert_null(rein_registers_name(registers, INT_MIN));
}

/* W1, R5: all bits go there and come back, to this snapshot, to others, and to the thread. */
static void W1_R5_set_writes_through(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_thread *thread = first_thread(fixture->process);
    rein_registers *registers = registers_of(thread), *earlier = registers_of(thread);
    for (size_t i = 0; i < sizeof general / sizeof *general; i++) {
        int index = rein_registers_index(registers, general[i]);
        rein_word value, old, other = (uintptr_t)0xfedcba9876543210u + i;
        assert_ok(rein_registers_get(registers, index, &old));
        assert_ok(rein_registers_set(registers, index, other));
        assert_ok(rein_registers_get(registers, index, &value));
        assert_word(value, other);
        assert_word(register_of(thread, general[i]), other);
        assert_ok(rein_registers_get(earlier, index, &value));
        assert_word(value, old); /* a snapshot */
    }
#if !defined(__i386__)
    set_register_of(thread, "fs_base", 0x7fff12345678);
    assert_word(register_of(thread, "fs_base"), 0x7fff12345678);
#endif
    set_register_of(thread, "eflags", register_of(thread, "eflags") ^ 1);
}

/* R5: a set from an older snapshot of the same stop changes its own register, and takes nothing back. */
static void R5_two_snapshots_of_one_stop(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_thread *thread = first_thread(fixture->process);
    rein_registers *one = registers_of(thread), *other = registers_of(thread);
    assert_ok(rein_registers_set(one, rein_registers_index(one, KEPT), 14));
    assert_ok(rein_registers_set(other, rein_registers_index(other, KEPT_TOO), 15));
    assert_word(register_of(thread, KEPT), 14);
    assert_word(register_of(thread, KEPT_TOO), 15);
}

/* R5 */
static void R5_set_after_the_thread_has_run(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = at_label(&fixture, "step_4");
    rein_process *process = fixture->process;
    rein_registers *stale = registers_of(thread);
    int rbx = rein_registers_index(stale, REGISTER("bx"));
    rein_word rbx_before, value, all[COUNT];
    assert_ok(rein_registers_get(stale, rbx, &rbx_before));
    assert_ok(rein_registers_get_all(stale, all, COUNT));

    /* It stands elsewhere ... */
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    rein_word rbx_now = register_of(thread, "rbx");
    assert_error(rein_registers_set(stale, rbx, 0xdead), REIN_BAD_STATE);
    assert_error(rein_registers_set_pc(stale, 0xdead), REIN_BAD_STATE);
    assert_error(rein_registers_set_sp(stale, 0xdead), REIN_BAD_STATE);
    assert_error(rein_registers_set_all(stale, all, COUNT), REIN_BAD_STATE);
    assert_word(register_of(thread, "rbx"), rbx_now);
    assert_word(pc_of(thread), address_of(fixture, "step_5"));
    assert_ok(rein_registers_get(stale, rbx, &value));
    assert_word(value, rbx_before);

    /* ... or at the same place again, a round later ... */
    assert_int_equal(rein_thread_id(run_to(process, REIN_CAUSE_BREAKPOINT)), rein_thread_id(thread));
    rein_registers *fresh = registers_of(thread);
    assert_error(rein_registers_set(stale, rbx, 0xdead), REIN_BAD_STATE);
    assert_ok(rein_registers_set(fresh, rbx, register_of(thread, "rbx")));

    /* ... or is gone. */
    assert_ok(rein_process_kill(process));
    assert_fails(rein_registers_set(fresh, rbx, 0xdead));
    assert_ok(rein_registers_get(fresh, rbx, &value));
    assert_string_equal(rein_registers_name(fresh, rbx), REGISTER("bx"));
}

/* R5, E1 */
static void R5_registers_of_a_running_thread(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("spin", "1", NULL);
    rein_process *process = attach(fixture);
    rein_thread *thread = first_thread(process);
    rein_registers *stale = registers_of(thread), *none = NULL;
    char id[16];
    snprintf(id, sizeof id, "%d", rein_thread_id(thread));
    assert_ok(rein_process_continue(process));
    assert_error_says(rein_thread_registers(thread, &none), REIN_BAD_STATE, id);
    assert_says(rein_error_message(), "Running");
    assert_null(none);
    assert_error(rein_registers_set_pc(stale, 0xdead), REIN_BAD_STATE);
}

/* R3, R5 */
static void R5_all_at_once(void **state)
{
    (void)state;
    struct fixture *fixture;
    rein_thread *thread = at_label(&fixture, "step_0");
    rein_registers *registers = registers_of(thread);
    rein_word values[COUNT + 1], again[COUNT];
    assert_ok(rein_registers_get_all(registers, values, COUNT));
    for (int i = 0; i < COUNT; i++)
        assert_word(register_of(thread, names[i]), values[i]);
    assert_error(rein_registers_get_all(registers, values, COUNT - 1), REIN_INVALID_ARGUMENT);
    assert_error(rein_registers_get_all(registers, values, COUNT + 1), REIN_INVALID_ARGUMENT);
    assert_error(rein_registers_set_all(registers, values, COUNT - 1), REIN_INVALID_ARGUMENT);
    assert_error(rein_registers_set_all(registers, values, COUNT + 1), REIN_INVALID_ARGUMENT);

    values[rein_registers_index(registers, KEPT)] = 12;
    values[rein_registers_index(registers, KEPT_TOO)] = 13;
    assert_ok(rein_registers_set_all(registers, values, COUNT));
    assert_ok(rein_registers_get_all(registers, again, COUNT));
    assert_memory_equal(again, values, sizeof again);
    assert_word(register_of(thread, KEPT), 12);
    assert_word(register_of(thread, KEPT_TOO), 13);
    assert_word(pc_of(thread), address_of(fixture, "step_0"));
}

/* R5, E1: what the kernel refuses is an error, and nothing is changed. */
static void R5_the_kernel_refuses(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("step_targets", NULL);
    rein_thread *thread = first_thread(fixture->process);
    rein_registers *registers = registers_of(thread);
    rein_word values[COUNT], value;
    int cs = rein_registers_index(registers, "cs");
    assert_error(rein_registers_set(registers, cs, 0x10), REIN_SYSTEM); /* the kernel's own segment */
    assert_word(register_of(thread, "cs"), CODE_SEGMENT);
    assert_ok(rein_registers_get(registers, cs, &value));
    assert_word(value, CODE_SEGMENT);
#if !defined(__i386__)
    assert_error(rein_registers_set(registers, rein_registers_index(registers, "fs_base"), 0x8000000000000000u),
                 REIN_SYSTEM);
#endif

    assert_ok(rein_registers_get_all(registers, values, COUNT));
    values[cs] = 0x10;
    assert_error(rein_registers_set_all(registers, values, COUNT), REIN_SYSTEM);
    assert_ok(rein_registers_get(registers, cs, &value));
    assert_word(value, CODE_SEGMENT);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* R1: a thread stopped in a system call that would be made again goes to where its pc is set, not in front of it.
 * Here to the beginning of the function, where a breakpoint tells; the call is then made from there. The main
 * program is held meanwhile, so that the call blocks. */
static void R1_set_pc_of_a_thread_in_a_system_call(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("blocking_syscall", "1", "1", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "hot")); /* holds the main program before its first write */
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_set_policy(process, REIN_CAUSE_BREAKPOINT, REIN_STOP_THREAD));
    assert_ok(rein_process_continue(process));
    struct rein_event *held = expect_event(process, REIN_CAUSE_BREAKPOINT);
    assert_error(rein_process_wait(process, 100), REIN_TIMEOUT); /* the other comes to its read */
    assert_ok(rein_process_stop(process, LIMIT_MS));
    rein_thread **threads = NULL, *reader = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++) {
        if (rein_thread_id(threads[i]) != rein_thread_id(held->thread))
            reader = rein_thread_ref(threads[i]);
    }
    rein_thread_list_free(threads, count);
    assert_non_null(reader);
    later_unref_thread(reader);
    assert_word(pc_of(reader), address_of(fixture, "after_blocking_syscall"));

    rein_breakpoint *start = add_breakpoint(process, address_of(fixture, "blocking_syscall_insn"));
#if defined(__i386__) /* what the function has begun with is undone */
    rein_word sp = register_of(reader, "esp");
    set_register_of(reader, "ebx", word_at(process, sp));
    set_register_of(reader, "esp", sp + 4);
#endif
    set_pc_of(reader, address_of(fixture, "blocking_read"));
    assert_ok(rein_thread_continue(reader));
    assert_ok(rein_thread_wait(reader, LIMIT_MS));
    assert_int_equal(cause_of(reader), REIN_CAUSE_BREAKPOINT);
    assert_word(pc_of(reader), address_of(fixture, "blocking_syscall_insn"));
    assert_word(register_of(reader, "rax"), SYS_read);
    assert_int_equal(rein_breakpoint_hits(start), 1);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(start), 1);
}

/* R1, R5: writing back what was there leaves a system call to be made again as it is. */
static void R5_writing_back_the_same(void **state)
{
    (void)state;
    struct fixture *fixture = start_ready("sleepers", "4", NULL);
    rein_process *process = attach(fixture);
    rein_thread **threads = NULL;
    size_t count;
    assert_ok(rein_process_threads(process, &threads, &count));
    for (size_t i = 0; i < count; i++) {
        rein_registers *registers = registers_of(threads[i]);
        rein_word values[COUNT], pc;
        assert_ok(rein_registers_get_all(registers, values, COUNT));
        assert_ok(rein_registers_set_all(registers, values, COUNT));
        assert_ok(rein_registers_pc(registers, &pc));
        assert_ok(rein_registers_set_pc(registers, pc));
    }
    rein_thread_list_free(threads, count);
    assert_ok(rein_process_detach(process, 0));
    sleep_ms(20);
    tell(fixture);
    assert_ends(fixture, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(R3_names_in_the_contracts_order),
        live_test(R3_R1_values_are_the_threads),
        live_test(R1_set_pc_and_sp_are_what_runs),
        live_test(R2_no_link_register),
        live_test(R4_bad_index),
        live_test(W1_R5_set_writes_through),
        live_test(R5_two_snapshots_of_one_stop),
        live_test(R5_set_after_the_thread_has_run),
        live_test(R5_registers_of_a_running_thread),
        live_test(R5_all_at_once),
        live_test(R5_the_kernel_refuses),
        live_test(R1_set_pc_of_a_thread_in_a_system_call),
        live_test(R5_writing_back_the_same),
    };
    return live_main(tests);
}
