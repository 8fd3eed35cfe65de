/* X2: a library that was built for i386 says no to 64-bit programs, and what to do, instead of cutting their addresses in two.
 * Programs: the machine's own cat and sh, mixed, family. */
#include "support.h"

#include <elf.h>

/* The machine's, of 64 bits; a static string. */
static const char *wide_tool(const char *name)
{
    static char path[32];
    unsigned char header[EI_CLASS + 1] = "";
    snprintf(path, sizeof path, "/bin/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, header, sizeof header);
    close(fd);
    if (size != sizeof header || header[EI_CLASS] != ELFCLASS64) {
        print_message("%s is no 64-bit program here\n", path);
        skip();
    }
    return path;
}

static void X2_P8_attach_is_refused(void **state)
{
    (void)state;
    const char *path = wide_tool("cat");
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[0], 0);
        execl(path, "cat", (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    char link[32], program[64] = "";
    snprintf(link, sizeof link, "/proc/%d/exe", pid);
    for (double limit = now() + LIMIT_MS / 1000.0; !strstr(program, "/cat"); sleep_ms(1)) {
        assert_true(now() < limit);
        ssize_t size = readlink(link, program, sizeof program - 1);
        program[size < 0 ? 0 : size] = '\0';
    }
    rein_process *process = NULL;
    for (int running = 0; running < 2; running++) {
        struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
        options.flags = running ? REIN_ATTACH_RUNNING : 0;
        assert_error_says(rein_attach(monitor, pid, &options, &process), REIN_NOT_SUPPORTED,
                          "its program is for another architecture than i386");
        assert_null(process);
    }
    close(ends[1]); /* by which it ends, as ever */
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* And it has not run. */
static void X2_P9_spawn_is_refused(void **state)
{
    (void)state;
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"echo ran", NULL};
    int ends[2];
    rein_process *process = NULL;
    char text[8];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int fds[] = {-1, ends[1], ends[1]};
    assert_error_says(rein_spawn(monitor, wide_tool("sh"), argv, NULL, NULL, fds, 3, NULL, &process),
                      REIN_NOT_SUPPORTED, "was not started: it is a program for another architecture than i386");
    assert_null(process);
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof text), 0);
    close(ends[0]);
}

/* A shell of 32 bits that executes one of 64, which says 64 and ends with 5; out is what both say. */
static rein_process *spawn_shell(const char *script, int *out)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)script, (char *)wide_tool("sh"), NULL};
    int ends[2];
    rein_process *process = NULL;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int fds[] = {-1, ends[1], 2};
    assert_ok(rein_spawn(monitor, tool("sh"), argv, NULL, NULL, fds, 3, NULL, &process));
    later_unref_process(process);
    close(ends[1]);
    *out = ends[0];
    return process;
}

/* Until its end, for it is waited for by nobody else. */
static void assert_says_64(int out)
{
    char text[4] = "";
    size_t length = 0;
    ssize_t size;
    while ((size = read(out, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)size;
    close(out);
    assert_string_equal(text, "64\n");
}

/* An exec is told of; then the process is let go, and runs on by itself. */
static void X2_M12_exec_lets_it_go(void **state)
{
    (void)state;
    for (int stops = 0; stops < 2; stops++) {
        int out;
        rein_process *process = spawn_shell("exec $0 -c 'echo 64; exit 5'", &out);
        char path[64];
        struct rein_registers *registers = NULL;
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_policy(process, REIN_CAUSE_EXEC, stops ? REIN_STOP_ALL : REIN_REPORT));
        assert_ok(rein_process_continue(process));
        struct rein_event *event = expect_event(process, REIN_CAUSE_EXEC);
        assert_error_says(rein_process_wait(process, LIMIT_MS), REIN_DETACHED,
                          "runs code for another architecture, which a library built for i386 cannot trace");
        assert_error(rein_thread_registers(event->thread, &registers), REIN_DETACHED);
        assert_error(rein_process_program(process, path, sizeof path), REIN_DETACHED);
        assert_says_64(out);
    }
}

/* The 32-bit shell that has started it is traced on, and sees its status. */
static void X2_C1_followed_child(void **state)
{
    (void)state;
    for (int follows = 0; follows < 2; follows++) {
        int out;
        rein_process *process = spawn_shell("$0 -c 'echo 64; exit 5'; exit $?", &out);
        set_policy(process, REIN_IGNORE);
        assert_ok(rein_process_set_follow(process, follows ? REIN_FOLLOW_BOTH : REIN_FOLLOW_PARENT, 0));
        assert_ok(rein_process_continue(process));
        assert_error(rein_process_wait(process, LIMIT_MS), REIN_EXITED);
        struct rein_exit how;
        assert_ok(rein_process_exit(process, &how));
        assert_false(how.signaled);
        assert_int_equal(how.status, 5);
        assert_says_64(out);
    }
}

/* A 32-bit program that comes to 64-bit code by a far jump is let go there. */
static void X2_T1_a_far_jump(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("mixed", "far", NULL);
    rein_process *process = fixture->process;
    add_breakpoint(process, address_of(fixture, "far_call"));
    tell(fixture);
    rein_thread *thread = run_to(process, REIN_CAUSE_BREAKPOINT);
    int result = 0;
    for (int i = 0; i < 20 && result == 0; i++)
        result = rein_thread_step(thread, 0, LIMIT_MS);
    assert_error_says(result, REIN_DETACHED, "runs code for another architecture");
    read_to_end(fixture);
    assert_non_null(has_said(fixture, "ok mixed"));
}

/* Where the memory of such a program would be, there is none for us. */
static void X2_P5_addresses_behind_the_end(void **state)
{
    (void)state;
    struct fixture *fixture = spawn("family", "fork", NULL);
    rein_process *process = fixture->process;
    rein_word address = address_of(fixture, "hot");
    unsigned char byte = 0, bytes[16];
    size_t count = 7;
    assert_ok(rein_process_read(process, address, &byte, 1, NULL));
    assert_error(rein_process_read(process, address + (UINT64_C(1) << 32), &byte, 1, &count), REIN_BAD_ADDRESS);
    assert_int_equal(count, 0);
    assert_error(rein_process_write(process, address + (UINT64_C(1) << 32), &byte, 1, NULL), REIN_BAD_ADDRESS);
    assert_error(rein_process_read(process, UINT32_MAX - 7, bytes, sizeof bytes, &count), REIN_BAD_ADDRESS);
    assert_error(rein_process_add_breakpoint(process, address + (UINT64_C(1) << 32), NULL, NULL), REIN_BAD_ADDRESS);
    assert_error(rein_process_add_watchpoint(process, address + (UINT64_C(1) << 32), 4, REIN_WATCH_WRITE, NULL, NULL),
                 REIN_BAD_ADDRESS);
    assert_ok(rein_process_kill(process));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(X2_P8_attach_is_refused), live_test(X2_P9_spawn_is_refused),
        live_test(X2_M12_exec_lets_it_go),  live_test(X2_C1_followed_child),
        live_test(X2_T1_a_far_jump),        live_test(X2_P5_addresses_behind_the_end),
    };
    return live_main(tests);
}
