/* E1: every public call with NULL for each of its pointers, with values out of range, with structs of another
 * size: an error with a message, never a crash, and nothing is changed. Programs: spin, step_targets. */
#include "support.h"

static struct fixture *fixture;
static rein_process *process;
static rein_thread *thread;
static rein_registers *registers;
static rein_breakpoint *breakpoint;

static void prepare(void)
{
    fixture = spawn("step_targets", NULL);
    process = fixture->process;
    thread = first_thread(process);
    assert_ok(rein_thread_registers(thread, &registers));
    later_free_registers(registers);
    breakpoint = add_breakpoint(process, address_of(fixture, "step_0"));
}

#define refused(call) assert_error((call), REIN_INVALID_ARGUMENT)

/* E1 */
static void E1_null(void **state)
{
    (void)state;
    prepare();
    char *const arguments[] = {(char *)"x", NULL};
    const char *path = tool("true");
    struct rein_exit how;
    struct rein_event event;
    struct rein_cause cause;
    enum rein_policy policy;
    enum rein_state thread_state;
    rein_process *out_process = NULL;
    rein_thread *out_thread = NULL, **threads = NULL;
    rein_breakpoint **breakpoints = NULL;
    rein_registers *out_registers = NULL;
    struct rein_register_info info = REIN_REGISTER_INFO_INIT;
    bool present;
    rein_word value, values[64];
    unsigned char byte = 0;
    char name[16];
    size_t count;
    int fd;

    refused(rein_monitor_create(NULL, NULL));
    assert_ok(rein_monitor_close(NULL));
    refused(rein_monitor_set_log(NULL, REIN_LOG_NONE, NULL, NULL));
    refused(rein_monitor_call(NULL, NULL, NULL));
    refused(rein_monitor_call(monitor, NULL, NULL));
    refused(rein_monitor_run(NULL, NULL, NULL));
    refused(rein_monitor_run(monitor, NULL, NULL));
    refused(rein_monitor_poll(NULL, NULL, 0, 0, NULL));
    refused(rein_monitor_poll(monitor, NULL, 0, 0, NULL));
    refused(rein_monitor_id(NULL));
    refused(rein_attach(monitor, fixture->pid, NULL, NULL));
    refused(rein_spawn(monitor, NULL, arguments, NULL, NULL, NULL, 0, NULL, &out_process));
    refused(rein_spawn(monitor, path, NULL, NULL, NULL, NULL, 0, NULL, &out_process));
    refused(rein_spawn(monitor, path, arguments, NULL, NULL, NULL, 0, NULL, NULL));
    assert_null(out_process);
    assert_null(rein_process_ref(NULL));
    rein_process_unref(NULL);
    refused(rein_process_id(NULL));
    refused(rein_process_detach(NULL, 0));
    refused(rein_process_kill(NULL));
    refused(rein_process_exit(NULL, &how));
    refused(rein_process_exit(process, NULL));
    refused(rein_cause_text(NULL, name, sizeof name));
    rein_cause_clear(NULL);
    refused(rein_process_next_event(NULL, 0, &event));
    refused(rein_process_next_event(process, 0, NULL));
    rein_event_clear(NULL);
    refused(rein_process_event_fd(NULL, &fd));
    refused(rein_process_event_fd(process, NULL));
    refused(rein_process_set_policy(NULL, REIN_CAUSE_EXEC, REIN_IGNORE));
    refused(rein_process_policy(NULL, REIN_CAUSE_EXEC, &policy));
    refused(rein_process_policy(process, REIN_CAUSE_EXEC, NULL));
    refused(rein_process_set_callback(NULL, NULL, NULL));
    refused(rein_process_stop(NULL, 0));
    refused(rein_process_continue(NULL));
    refused(rein_process_wait(NULL, 0));
    refused(rein_process_cancel_wait(NULL));
    refused(rein_process_threads(NULL, &threads, &count));
    refused(rein_process_threads(process, NULL, &count));
    refused(rein_process_threads(process, &threads, NULL));
    rein_thread_list_free(NULL, 0);
    refused(rein_process_thread(NULL, 1, &out_thread));
    refused(rein_process_thread(process, 1, NULL));
    assert_null(rein_thread_ref(NULL));
    rein_thread_unref(NULL);
    refused(rein_thread_id(NULL));
    assert_null(rein_thread_process(NULL));
    refused(rein_thread_name(NULL, name));
    refused(rein_thread_name(thread, NULL));
    refused(rein_thread_state(NULL, &thread_state));
    refused(rein_thread_state(thread, NULL));
    refused(rein_thread_cause(NULL, &cause));
    refused(rein_thread_cause(thread, NULL));
    refused(rein_thread_step(NULL, 0, 0));
    refused(rein_thread_stop(NULL, 0));
    refused(rein_thread_continue(NULL));
    refused(rein_thread_wait(NULL, 0));
    refused(rein_thread_set_signal(NULL, 0));
    refused(rein_thread_set_signal_info(NULL, &(struct rein_signal){.number = 1}));
    refused(rein_thread_registers(NULL, &out_registers));
    refused(rein_thread_registers(thread, NULL));
    rein_registers_free(NULL);
    refused(rein_registers_count(NULL));
    assert_null(rein_registers_name(NULL, 0));
    refused(rein_registers_index(NULL, "rax"));
    refused(rein_registers_index(registers, NULL));
    refused(rein_registers_pc_index(NULL));
    refused(rein_registers_sp_index(NULL));
    refused(rein_registers_link_index(NULL));
    refused(rein_registers_get(NULL, 0, &value));
    refused(rein_registers_get(registers, 0, NULL));
    refused(rein_registers_set(NULL, 0, 0));
    refused(rein_registers_get_all(NULL, values, 27));
    refused(rein_registers_get_all(registers, NULL, 27));
    refused(rein_registers_set_all(NULL, values, 27));
    refused(rein_registers_set_all(registers, NULL, 27));
    refused(rein_registers_pc(NULL, &value));
    refused(rein_registers_pc(registers, NULL));
    refused(rein_registers_set_pc(NULL, 0));
    refused(rein_registers_sp(NULL, &value));
    refused(rein_registers_sp(registers, NULL));
    refused(rein_registers_set_sp(NULL, 0));
    refused(rein_registers_link(NULL, &value));
    assert_fails(rein_registers_link(registers, NULL));
    refused(rein_registers_set_link(NULL, 0));
    refused(rein_registers_total(NULL));
    refused(rein_registers_info(NULL, 0, &info));
    refused(rein_registers_info(registers, 0, NULL));
    info.size++;
    refused(rein_registers_info(registers, 0, &info));
    refused(rein_registers_present(NULL, 0, &present));
    refused(rein_registers_present(registers, 0, NULL));
    refused(rein_registers_read(NULL, 0, values, sizeof values, NULL));
    refused(rein_registers_read(registers, 0, NULL, sizeof values, NULL));
    refused(rein_registers_read(registers, 0, values, word_size(process) - 1, NULL));
    refused(rein_registers_write(NULL, 0, values, 8));
    refused(rein_registers_write(registers, 0, NULL, 8));
    refused(rein_registers_write(registers, 0, values, word_size(process) - 1));
    refused(rein_registers_write(registers, 0, values, word_size(process) + 1));
    refused(rein_process_read(NULL, 0, &byte, 1, NULL));
    refused(rein_process_read(process, 0, NULL, 1, NULL));
    refused(rein_process_write(NULL, 0, &byte, 1, NULL));
    refused(rein_process_write(process, 0, NULL, 1, NULL));
    refused(rein_thread_read(NULL, 0, &byte, 1, NULL));
    refused(rein_thread_read(thread, 0, NULL, 1, NULL));
    refused(rein_thread_write(NULL, 0, &byte, 1, NULL));
    refused(rein_thread_write(thread, 0, NULL, 1, NULL));
    refused(rein_process_add_breakpoint(NULL, 0, NULL, NULL));
    refused(rein_process_remove_breakpoint(NULL, 0, 0));
    int id;
    refused(rein_process_memory_id(NULL, &id));
    refused(rein_process_memory_id(process, NULL));
    refused(rein_process_breakpoints(NULL, &breakpoints, &count));
    refused(rein_process_breakpoints(process, NULL, &count));
    refused(rein_process_breakpoints(process, &breakpoints, NULL));
    rein_breakpoint_list_free(NULL, 0);
    assert_null(rein_breakpoint_ref(NULL));
    rein_breakpoint_unref(NULL);
    assert_word(rein_breakpoint_pc(NULL), 0);
    assert_int_equal(rein_breakpoint_hits(NULL), 0);

    /* Nothing of that has done anything. */
    assert_int_equal(thread_count(process), 1);
    assert_true(rein_state_is_stopped(state_of(thread)));
    set_policy(process, REIN_IGNORE);
    assert_ok(rein_process_continue(process));
    assert_ends_traced(fixture, 0);
    assert_int_equal(rein_breakpoint_hits(breakpoint), 3);
}

/* E1: sizes of option structs: none, too small, and larger than this library knows. */
static void E1_sizes_of_options(void **state)
{
    (void)state;
    prepare();
    struct fixture *other = start_ready("spin", "1", NULL);
    char *const arguments[] = {(char *)"true", NULL};
    static const size_t bad[] = {0, 1, sizeof(size_t), 100000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rein_monitor_options monitor_options = REIN_MONITOR_OPTIONS_INIT;
        struct rein_attach_options attach_options = REIN_ATTACH_OPTIONS_INIT;
        struct rein_spawn_options spawn_options = REIN_SPAWN_OPTIONS_INIT;
        struct rein_breakpoint_options breakpoint_options = REIN_BREAKPOINT_OPTIONS_INIT;
        rein_monitor *made = NULL;
        rein_process *got = NULL;
        monitor_options.size = attach_options.size = spawn_options.size = breakpoint_options.size = bad[i];
        if (bad[i] < sizeof(size_t)) {
            refused(rein_monitor_create(&monitor_options, &made));
            refused(rein_attach(monitor, other->pid, &attach_options, &got));
            refused(rein_spawn(monitor, tool("true"), arguments, NULL, NULL, NULL, 0, &spawn_options, &got));
            refused(rein_process_add_breakpoint(process, address_of(fixture, "step_1"), &breakpoint_options, NULL));
            assert_null(made);
            assert_null(got);
        }
    }
    assert_free(other->pid);
}

/* E1: flags and kinds that there are none of. */
static void E1_flags(void **state)
{
    (void)state;
    prepare();
    struct fixture *other = start_ready("spin", "1", NULL);
    char *const arguments[] = {(char *)"true", NULL};
    struct rein_monitor_options monitor_options = REIN_MONITOR_OPTIONS_INIT;
    struct rein_attach_options attach_options = REIN_ATTACH_OPTIONS_INIT;
    struct rein_spawn_options spawn_options = REIN_SPAWN_OPTIONS_INIT;
    struct rein_breakpoint_options breakpoint_options = REIN_BREAKPOINT_OPTIONS_INIT;
    rein_monitor *made = NULL;
    rein_process *got = NULL;
    attach_options.flags = spawn_options.flags = breakpoint_options.flags = 1u << 20;
    monitor_options.kind = (enum rein_monitor_kind)7;
    refused(rein_monitor_create(&monitor_options, &made));
    monitor_options.kind = REIN_MONITOR_THREAD;
    monitor_options.log_level = (enum rein_log_level)70;
    refused(rein_monitor_create(&monitor_options, &made));
    refused(rein_attach(monitor, other->pid, &attach_options, &got));
    refused(rein_spawn(monitor, tool("true"), arguments, NULL, NULL, NULL, 0, &spawn_options, &got));
    refused(rein_process_add_breakpoint(process, address_of(fixture, "step_1"), &breakpoint_options, NULL));
    refused(rein_process_remove_breakpoint(process, address_of(fixture, "step_0"), 1u << 20));
    refused(rein_thread_step(thread, 1u << 20, 0));
    refused(rein_process_detach(process, 999));
    refused(rein_thread_set_signal(thread, 999));
    assert_null(made);
    assert_null(got);
    assert_free(other->pid);
    assert_true(rein_state_is_stopped(state_of(thread)));
}

/* E1: the message is the calling thread's own, and stays until its next call. */
static void *fail_elsewhere(void *arg)
{
    (void)arg;
    bool empty = *rein_error_message() == 0; /* it has not failed yet */
    int result = rein_process_id(NULL);
    return (void *)(intptr_t)(empty && result == REIN_INVALID_ARGUMENT && *rein_error_message());
}

static void E1_messages(void **state)
{
    (void)state;
    prepare();
    char words[64], before[512];
    snprintf(words, sizeof words, "no breakpoint at PC 0x%x", 0x1234);
    assert_error_says(rein_process_remove_breakpoint(process, 0x1234, 0), REIN_NO_BREAKPOINT, words);
    snprintf(before, sizeof before, "%s", rein_error_message());
    pthread_t id;
    void *good = NULL;
    assert_int_equal(pthread_create(&id, NULL, fail_elsewhere, NULL), 0);
    pthread_join(id, &good);
    assert_non_null(good);
    assert_string_equal(rein_error_message(), before);

    /* What, on which thread, in which state. */
    rein_thread_set_signal(thread, SIGUSR1);
    snprintf(words, sizeof words, "%d", fixture->pid);
    assert_says(rein_error_message(), words);
    set_policy(process, REIN_IGNORE);
    struct fixture *other = start_ready("spin", "1", NULL);
    rein_process *running = attach_running(other);
    rein_thread *runs = first_thread(running);
    const char *verbs[] = {"step", "register"};
    rein_registers *none = NULL;
    for (int i = 0; i < 2; i++) {
        assert_error(i == 0 ? rein_thread_step(runs, 0, 0) : rein_thread_registers(runs, &none), REIN_BAD_STATE);
        snprintf(words, sizeof words, "%d", other->pid);
        assert_says(rein_error_message(), words);
        assert_says(rein_error_message(), verbs[i]);
        assert_says(rein_error_message(), "Running");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        live_test(E1_null),
        live_test(E1_sizes_of_options),
        live_test(E1_flags),
        live_test(E1_messages),
    };
    return live_main(tests);
}
