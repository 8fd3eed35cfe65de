/* Counts how often a running process comes to an address, and how often a register has a certain value there. No thread is
 * stopped for longer than its own hit takes.
 *
 *     count_if PID ADDRESS REGISTER VALUE
 *
 * It says "ready" when it counts, and the numbers when the process has ended. */
#include <rein/rein.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The format is that of gdb's agent expressions: a stack of numbers. */
static int make_condition(rein_process *process, const char *name, uint64_t value, rein_bytecode **condition)
{
    enum { EQUAL = 0x13, CONST64 = 0x25, REG = 0x26, END = 0x27 };
    rein_thread **threads = NULL;
    rein_registers *registers = NULL;
    size_t count = 0, size = 0;
    unsigned char code[16];
    int index = -1;
    if (rein_process_threads(process, &threads, &count) == 0 && count > 0 &&
        rein_thread_registers(threads[0], &registers) == 0)
        index = rein_registers_index(registers, name);
    rein_registers_free(registers);
    rein_thread_list_free(threads, count);
    if (index < 0)
        return index;
    code[size++] = REG;
    code[size++] = (unsigned char)(index >> 8);
    code[size++] = (unsigned char)index;
    code[size++] = CONST64;
    for (int shift = 56; shift >= 0; shift -= 8)
        code[size++] = (unsigned char)(value >> shift);
    code[size++] = EQUAL;
    code[size++] = END;
    return rein_bytecode_create(code, size, condition);
}

/* The hits that are wanted are counted, as all hits are: there is nothing else to do. */
static enum rein_verdict go_on(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    (void)thread, (void)breakpoint, (void)arg;
    return REIN_VERDICT_GO_ON;
}

static int count(rein_process *process, rein_word pc, rein_bytecode *condition)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    struct rein_breakpoint_info info = REIN_BREAKPOINT_INFO_INIT;
    rein_breakpoint *breakpoint;
    options.callback = go_on;
    options.condition = condition;
    int result = rein_process_add_breakpoint(process, pc, &options, &breakpoint);
    if (result != 0)
        return result;
    rein_process_set_policy(process, REIN_CAUSE_COUNT, REIN_IGNORE);
    result = rein_process_continue(process);
    if (result == 0) {
        printf("ready\n");
        fflush(stdout);
        result = rein_process_wait(process, -1);
    }
    if (result == REIN_EXITED && rein_breakpoint_info(breakpoint, &info) == 0) {
        printf("%llu hits, %llu with that value\n", (unsigned long long)info.hits, (unsigned long long)info.matched);
        result = 0;
    }
    rein_breakpoint_unref(breakpoint);
    return result;
}

int main(int argc, char **argv)
{
    rein_process *process = NULL;
    rein_bytecode *condition = NULL;
    if (argc != 5) {
        fprintf(stderr, "usage: count_if PID ADDRESS REGISTER VALUE\n");
        return 1;
    }
    int result = rein_attach(NULL, atoi(argv[1]), NULL, &process);
    if (result == 0)
        result = make_condition(process, argv[3], strtoull(argv[4], NULL, 0), &condition);
    if (result == 0)
        result = count(process, strtoull(argv[2], NULL, 0), condition);
    if (result != 0)
        fprintf(stderr, "%s\n", rein_error_message());
    rein_bytecode_unref(condition);
    if (process)
        rein_process_detach(process, 0);
    rein_process_unref(process);
    return result != 0;
}
