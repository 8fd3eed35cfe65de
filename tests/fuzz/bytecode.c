/* Fuzzes the bytecode of conditions: what the check lets through has to stay within its stack, its code and its number
 * of steps, and to do the same when it is executed again. No program: registers, variables and memory are its own. */
#include <stdlib.h>
#include <string.h>

#include "engine/bytecode.h"
#include "fuzz.h"

/* What is told of an execution, as one number. */
struct seen {
    uint64_t sum;
    size_t reads;
};

static void see(struct seen *seen, uint64_t value)
{
    seen->sum = (seen->sum ^ value) * UINT64_C(0x100000001b3);
}

static const char *get_register(void *arg, unsigned number, uint64_t *value)
{
    see(arg, number);
    *value = number * UINT64_C(0x100000001);
    return number < 1000 ? NULL : "no register";
}

static const char *use_variable(void *arg, enum rein_variable_use use, unsigned number, uint64_t *value)
{
    see(arg, number + (use == REIN_VARIABLE_SET ? *value : 0));
    if (use == REIN_VARIABLE_GET)
        *value = number + 7;
    return number < 1000 ? NULL : "no variable";
}

static const char *read_memory(void *arg, uint64_t address, void *buffer, size_t size)
{
    see(arg, address);
    ((struct seen *)arg)->reads++;
    if (size > 8)
        fuzz_fail("%zu bytes are read at once", size);
    if (address > UINT64_MAX - 0x1000)
        return bytecode_no_memory;
    memset(buffer, (int)(address & 0xff), size);
    return NULL;
}

static void trace(void *arg, uint64_t address, uint64_t size)
{
    see(arg, address + size);
}

static void print(void *arg, const char *format, const uint64_t *values, size_t count)
{
    see(arg, strlen(format));
    for (size_t i = 0; i < count; i++)
        see(arg, values[i]);
}

static struct seen run(const rein_bytecode *bytecode, uint64_t mask, struct rein_evaluation *evaluation)
{
    struct seen seen = {0};
    const struct bytecode_machine machine = {.get_register = get_register,
                                             .variable = use_variable,
                                             .read = read_memory,
                                             .address_mask = mask,
                                             .arg = &seen,
                                             .trace = trace,
                                             .print = print,
                                             .output_arg = &seen};
    bytecode_run(bytecode, &machine, evaluation);
    return seen;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rein_bytecode *bytecode;
    if (rein_bytecode_create(data, size, &bytecode) != 0) {
        if (bytecode)
            fuzz_fail("it is refused, and there");
        return 0;
    }
    struct rein_evaluation first = REIN_EVALUATION_INIT, again = REIN_EVALUATION_INIT;
    uint64_t mask = size % 2 ? UINT64_MAX : UINT32_MAX;
    struct seen once = run(bytecode, mask, &first), twice = run(bytecode, mask, &again);
    if (once.sum != twice.sum || once.reads != twice.reads || first.trouble != again.trouble ||
        first.has_value != again.has_value || first.value != again.value)
        fuzz_fail("it does not do the same again");
    if (once.reads > BYTECODE_STEPS_MAX)
        fuzz_fail("%zu reads", once.reads);
    if (!first.trouble && bytecode_has_value(bytecode) && !first.has_value)
        fuzz_fail("it was to have a value, and has none");
    if (first.trouble) {
        char text[200];
        int length = bytecode_trouble_text(first.trouble, first.trouble_address, text, sizeof text);
        if (length <= 0 || (size_t)length >= sizeof text)
            fuzz_fail("a trouble without words");
    }
    rein_bytecode_unref(bytecode);
    return 0;
}
