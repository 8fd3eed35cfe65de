/* X2, C1, R3: 32-bit programs, and, where the library is not itself of 32 bits, programs of both kinds. Programs:
 * mixed, step_targets, sleepers, jumping, all of them also as 32-bit ones, in the folder i386; a shell. */
#include "support.h"

#include <linux/audit.h>
#include <sys/mman.h>

#if defined(__i386__)
#define I386_PROGRAMS ""
#else
#define I386_PROGRAMS "i386/"
#endif

static struct fixture *spawn_32(const char *name, const char *argument)
{
    char path[64];
    snprintf(path, sizeof path, I386_PROGRAMS "%s", name);
    if (access(fixture_path(path), X_OK) != 0) {
        print_message("no 32-bit programs: there was no i686-linux-gnu-gcc\n");
        skip();
    }
    return spawn(path, argument, NULL);
}

static void assert_architecture(rein_thread *thread, const char *programs, const char *codes)
{
    rein_registers *registers = NULL;
    assert_string_equal(rein_process_architecture(rein_thread_process(thread)), programs);
    assert_ok(rein_thread_registers(thread, &registers));
    assert_string_equal(rein_registers_architecture(registers), codes);
    rein_registers_free(registers);
}

/* R3: its own registers, in order. */
static void X2_R3_names_in_order(void **state)
{
    static const char *const names[] = {"eax",    "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp",     "eip",
                                        "eflags", "cs",  "ss",  "ds",  "es",  "fs",  "gs",  "orig_eax"};
    (void)state;
    struct fixture *fixture = spawn_32("step_targets", "1");
    rein_thread *thread = first_thread(fixture->process);
    rein_registers *registers = NULL;
    assert_architecture(thread, "i386", "i386");
    assert_ok(rein_thread_registers(thread, &registers));
    later_free_registers(registers);
    assert_int_equal(rein_registers_count(registers), sizeof names / sizeof *names);
    for (int i = 0; i < rein_registers_count(registers); i++) {
        struct rein_register_info info = REIN_REGISTER_INFO_INIT;
        assert_string_equal(rein_registers_name(registers, i), names[i]);
        assert_ok(rein_registers_info(registers, i, &info));
        assert_int_equal(info.bytes, 4);
    }
    assert_string_equal(rein_registers_name(registers, rein_registers_pc_index(registers)), "eip");
    assert_string_equal(rein_registers_name(registers, rein_registers_sp_index(registers)), "esp");
    assert_error(rein_registers_link_index(registers), REIN_NO_LINK_REGISTER);
    assert_error_says(rein_registers_index(registers, "rax"), REIN_NO_REGISTER, "i386");
    assert_error(rein_registers_index(registers, "xmm8"), REIN_NO_REGISTER);
}

/* R1, W1: what the program has made of them, and what it then goes on with; no more than 32 bits fit. */
static void X2_R1_R5_values(void **state)
{
    (void)state;
    struct fixture *fixture = spawn_32("step_targets", "1");
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "step_3"));
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    rein_registers *registers = NULL;
    assert_ok(rein_thread_registers(thread, &registers));
    later_free_registers(registers);
    int eax = rein_registers_index(registers, "eax"), xmm7 = rein_registers_index(registers, "xmm7");
    rein_word value = 0;
    assert_ok(rein_registers_get(registers, eax, &value));
    assert_word(value, 0x1234);
    assert_error_says(rein_registers_set(registers, eax, UINT64_C(0x100000000)), REIN_INVALID_ARGUMENT, "eax");
    assert_ok(
        rein_registers_set(registers, eax, 0x80000000)); /* step_3 to step_12 make 0x1235 from what is on the stack */
    assert_word(register_of(thread, "rax"), 0x80000000);
    unsigned char vector[16], back[16];
    for (size_t i = 0; i < sizeof vector; i++)
        vector[i] = (unsigned char)(17 * i + 1);
    assert_ok(rein_registers_write(registers, xmm7, vector, sizeof vector));
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    rein_registers *after = NULL;
    assert_ok(rein_thread_registers(thread, &after));
    later_free_registers(after);
    assert_ok(rein_registers_read(after, xmm7, back, sizeof back, NULL));
    assert_memory_equal(vector, back, sizeof back);
    assert_word(register_of(thread, "rdx"), 0x1234);
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

#if !defined(__i386__)
/* Execs from one kind to the other, and back: what the program is of is told with the exec, and breakpoints hold in each. */
static void X2_C1_exec_between_the_kinds(void **state)
{
    (void)state;
    char wide[256];
    snprintf(wide, sizeof wide, "%s", fixture_path("mixed"));
    struct fixture *fixture = spawn_32("mixed", wide);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    rein_breakpoint *hit = add_breakpoint(process, address_of(fixture, "main"));
    assert_architecture(thread, "i386", "i386");
    run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_int_equal(rein_breakpoint_hits(hit), 1);
    thread = run_to(process, REIN_CAUSE_EXEC);
    assert_architecture(thread, "amd64", "amd64");
    rein_breakpoint *there = add_breakpoint(process, address_in("mixed", fixture->pid, "main"));
    run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_int_equal(rein_breakpoint_hits(there), 1);
    assert_ok(rein_process_kill(process));
}

struct family {
    atomic_int forks, execs_64, execs_32, exits;
};

static enum rein_verdict note_family(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct family *family = arg;
    rein_process *process = rein_thread_process(thread);
    bool narrow = strcmp(rein_process_architecture(process), "i386") == 0;
    if (cause->kind == REIN_CAUSE_EXEC)
        atomic_fetch_add(narrow ? &family->execs_32 : &family->execs_64, 1);
    if (cause->kind == REIN_CAUSE_FORK || cause->kind == REIN_CAUSE_VFORK) {
        atomic_fetch_add(&family->forks, 1);
        /* a child is what its parent is */
        if (strcmp(rein_process_architecture(cause->new_process), rein_process_architecture(process)) != 0)
            atomic_fetch_add(&family->forks, 1000);
    }
    return REIN_VERDICT_GO_ON;
}

/* A 64-bit shell that runs programs of both kinds, followed. */
static void X2_C1_mixed_tree(void **state)
{
    (void)state;
    spawn_32("step_targets", "1");
    static const char script[] = "\"$0\" 1 && \"$1\" 1 && \"$0\" 1; \"$0\" 1 | \"$1\" 1; exec \"$0\" 1";
    char narrow[256], wide[256];
    snprintf(narrow, sizeof narrow, "%s", fixture_path(I386_PROGRAMS "step_targets"));
    snprintf(wide, sizeof wide, "%s", fixture_path("step_targets"));
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, narrow, wide, NULL};
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    options.flags = REIN_SPAWN_NULL_STDIO;
    rein_process *shell = NULL;
    struct family family = {0};
    assert_ok(rein_spawn(monitor, "/bin/sh", argv, NULL, NULL, NULL, 0, &options, &shell));
    later_unref_process(shell);
    assert_string_equal(rein_process_architecture(shell), "amd64");
    assert_ok(rein_process_set_follow(shell, REIN_FOLLOW_BOTH, 0));
    set_policy(shell, REIN_IGNORE);
    assert_ok(rein_process_set_callback(shell, note_family, &family));
    assert_ok(rein_process_continue(shell));
    assert_error(rein_process_wait(shell, LIMIT_MS), REIN_EXITED);
    struct rein_exit how;
    assert_ok(rein_process_exit(shell, &how));
    assert_int_equal(how.status, 0);
    assert_string_equal(rein_process_architecture(shell), "i386");
    assert_int_equal(atomic_load(&family.forks), 5);
    assert_int_equal(atomic_load(&family.execs_32), 4);
    assert_int_equal(atomic_load(&family.execs_64), 2);
}

#endif

/* An attach finds out, too. */
static void X2_P8_attach(void **state)
{
    (void)state;
    struct fixture *started = spawn_32("sleepers", "2");
    set_policy(started->process, REIN_IGNORE);
    assert_ok(rein_process_detach(started->process, 0));
    rein_process *process = NULL;
    assert_ok(rein_attach(monitor, started->pid, NULL, &process));
    later_unref_process(process);
    assert_architecture(first_thread(process), "i386", "i386");
    assert_ok(rein_process_kill(process));
}

/* C1: entry and exit, by i386's numbers; skipped with a failure, whose sign is that of 32 bits. */
static void X2_C1_system_calls(void **state)
{
    (void)state;
    enum { GETPPID = 64 };
    static const struct rein_syscall_id id = {AUDIT_ARCH_I386, GETPPID};
    struct fixture *fixture = spawn_32("step_targets", "2");
    rein_process *process = fixture->process;
    assert_ok(rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS, &id, 1));
    struct rein_cause cause;
    for (int i = 0; i < 2; i++) {
        rein_thread *thread = run_to(process, REIN_CAUSE_SYSCALL_ENTRY);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.syscall.arch, AUDIT_ARCH_I386);
        assert_int_equal(cause.syscall.number, GETPPID);
        assert_word(cause.syscall.pc, address_of(fixture, "step_10"));
        rein_cause_clear(&cause);
        if (i == 1)
            assert_ok(rein_thread_skip_syscall(thread, -EPERM));
        thread = run_to(process, REIN_CAUSE_SYSCALL_EXIT);
        assert_ok(rein_thread_cause(thread, &cause));
        assert_int_equal(cause.syscall.error, i == 1 ? EPERM : 0);
        assert_int_equal(cause.syscall.result, i == 1 ? -EPERM : rein_monitor_id(monitor));
        rein_cause_clear(&cause);
        assert_word(register_of(thread, "rax"), i == 1 ? (uint32_t)-EPERM : (rein_word)rein_monitor_id(monitor));
    }
    assert_ok(rein_process_trace_syscalls(process, 0, NULL, 0));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

/* I1: calls made in it; memory from the upper half is no failure, and offsets in files are as ever. */
static void X2_I1_calls(void **state)
{
    (void)state;
    enum { SIZE = 8192, I386_GETPID = 20 };
    struct fixture *fixture = spawn_32("step_targets", "1");
    rein_thread *thread = first_thread(fixture->process);
    static const rein_word nothing[6];
    int64_t result = 0;
    rein_word memory = 0, mapped = 0;
    int descriptor = -1;
    unsigned char from_file[16], from_memory[16];
    assert_ok(rein_thread_syscall(thread, I386_GETPID, nothing, NULL, &result));
    assert_int_equal(result, fixture->pid);
    assert_ok(rein_thread_mmap(thread, 0xf0000000, SIZE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0, NULL, &memory));
    assert_word(memory, 0xf0000000);
    assert_ok(rein_thread_munmap(thread, memory, SIZE, NULL));
    assert_ok(rein_thread_open(thread, fixture_path(I386_PROGRAMS "step_targets"), O_RDONLY, 0, NULL, &descriptor));
    assert_ok(rein_thread_mmap(thread, 0, 4096, PROT_READ, MAP_PRIVATE, descriptor, 4096, NULL, &mapped));
    assert_ok(rein_thread_read(thread, mapped, from_memory, sizeof from_memory, NULL));
    int file = open(fixture_path(I386_PROGRAMS "step_targets"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(file, from_file, sizeof from_file, 4096), sizeof from_file);
    close(file);
    assert_memory_equal(from_file, from_memory, sizeof from_file);
    assert_error(rein_thread_mmap(thread, 0, 4096, PROT_READ, MAP_PRIVATE, descriptor, 1, NULL, &mapped), REIN_SYSTEM);
    set_policy(fixture->process, REIN_IGNORE);
    assert_ok(rein_process_continue(fixture->process));
    assert_ends_traced(fixture, 0);
}

/* The instructions by which the C library makes its calls are in the vDSO: breakpoints on them are passed, and none is
 * come to without its count. */
static void X2_P5_breakpoints_in_the_vdso(void **state)
{
    (void)state;
    struct fixture *fixture = spawn_32("step_targets", "50");
    rein_process *process = fixture->process;
    char path[64], line[512];
    unsigned char code[4096 * 4];
    rein_word start = 0, end = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", fixture->pid);
    FILE *maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "[vdso]"))
            assert_int_equal(sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end), 2);
    fclose(maps);
    size_t size = (size_t)(end - start);
    assert_true(start && size <= sizeof code);
    assert_ok(rein_process_read(process, start, code, size, NULL));
    rein_breakpoint *fast = NULL, *slow = NULL;
    for (size_t i = 0; i + 4 <= size; i++) {
        bool is_fast = code[i] == 0x0f && (code[i + 1] == 0x34 || code[i + 1] == 0x05) && code[i + 2] == 0xcd;
        if (is_fast && code[i + 3] == 0x80 && !fast) {
            fast = count_at(process, start + i);
            slow = count_at(process, start + i + 2);
        }
    }
    if (!fast) {
        print_message("this kernel's vDSO makes calls by int $0x80 alone\n");
        skip();
    }
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_true(rein_breakpoint_hits(fast) > 5); /* alarm, mmap, write ... */
    assert_int_equal(rein_breakpoint_hits(slow), 0);
}

/* I4: what does not fit into its words is refused, not cut. tests/live/function_calls.c calls the functions of 32-bit programs. */
static void X2_I4_too_wide(void **state)
{
    (void)state;
    struct fixture *fixture = spawn_32("jumping", NULL);
    add_breakpoint(fixture->process, address_of(fixture, "called_float"));
    rein_thread *thread = run_to(fixture->process, REIN_CAUSE_BREAKPOINT);
    const rein_word hot = address_of(fixture, "called_hot");
    struct rein_call_argument argument = {.type = REIN_CALL_INTEGER, {.word = UINT64_C(0x100000003)}};
    struct rein_call call = REIN_CALL_INIT;
    struct rein_call_result result;
    call.pc = hot;
    call.arguments = &argument;
    call.count = 1;
    assert_error_says(rein_thread_call(thread, &call, LIMIT_MS, &result), REIN_INVALID_ARGUMENT, "argument 0");
    argument.word = (rein_word)INT32_MIN - 1;
    assert_error_says(rein_thread_call(thread, &call, LIMIT_MS, &result), REIN_INVALID_ARGUMENT, "INTEGER64");
    argument.word = UINT64_C(0x100000003);
    argument.type = REIN_CALL_INTEGER64; /* the function sees its lower half */
    assert_ok(rein_thread_call(thread, &call, LIMIT_MS, &result));
    assert_word(result.words[0], 9);
    argument.word = 1;
    call.pc = hot + (UINT64_C(1) << 32);
    assert_error_says(rein_thread_call(thread, &call, LIMIT_MS, &result), REIN_INVALID_ARGUMENT, "i386");
    call.pc = hot;
    call.stack = register_of(thread, STACK_POINTER) + (UINT64_C(1) << 32);
    assert_error(rein_thread_call(thread, &call, LIMIT_MS, &result), REIN_BAD_ADDRESS);
    call.stack = 0;
    assert_ok(rein_thread_call(thread, &call, LIMIT_MS, &result));
    assert_word(result.words[0], 3);
    assert_ok(rein_process_kill(fixture->process));
}

#if !defined(__i386__)
/* A 64-bit program in 32-bit code: its registers say so; it is stepped there and back, has breakpoints, and makes no calls. */
static void X2_a_far_jump_is_reported(void **state)
{
    (void)state;
    static const rein_word nothing[6];
    struct fixture *fixture = spawn("mixed", "far", NULL);
    rein_process *process = fixture->process;
    rein_thread *thread = first_thread(process);
    int64_t result = 0;
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    rein_word there = said_address(fixture, "far_insn");
    expect_said(fixture, "ready");
    assert_ok(rein_process_stop(process, LIMIT_MS));
    set_policy(process, REIN_STOP_ALL);
    rein_breakpoint *breakpoint = add_breakpoint(process, there);
    tell(fixture);
    thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 1);
    assert_architecture(thread, "amd64", "i386");
    assert_word(pc_of(thread), there);
    assert_word(register_of(thread, "rax"), 0x1233);
    assert_error_says(rein_thread_syscall(thread, SYS_getpid, nothing, NULL, &result), REIN_NOT_SUPPORTED, "i386");
    struct rein_call call = REIN_CALL_INIT;
    call.pc = there;
    assert_error_says(rein_thread_call(thread, &call, LIMIT_MS, NULL), REIN_NOT_SUPPORTED, "code of i386");
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_architecture(thread, "amd64", "i386");
    assert_word(pc_of(thread), there + 3);
    assert_word(register_of(thread, "rax"), 0x1234);
    assert_ok(rein_thread_step(thread, 0, LIMIT_MS));
    assert_architecture(thread, "amd64", "amd64");
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(X2_R3_names_in_order),
        live_test(X2_R1_R5_values),
#if !defined(__i386__)
        live_test(X2_C1_exec_between_the_kinds),
        live_test(X2_C1_mixed_tree),
        live_test(X2_a_far_jump_is_reported),
#endif
        live_test(X2_P8_attach),
        live_test(X2_C1_system_calls),
        live_test(X2_I1_calls),
        live_test(X2_I4_too_wide),
        live_test(X2_P5_breakpoints_in_the_vdso),
    };
    return live_main(tests);
}
