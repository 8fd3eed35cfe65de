/* Making and evaluating; site_values.c does the writing. */
#include "site_code.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "rules.h"

/* ---- Making ---- */

static void explain(const struct expression_error *error, const char *option, const char *text, char **why,
                    bool *may_come)
{
    char *shown = expression_show(text, error);
    *why = cli_format("%s: %s\n%s", option, error->text, shown);
    *may_come = error->is_unknown_name;
    free(shown);
    free(error->text);
}

static rein_bytecode *make_bytecode(const struct bytecode *code, const char *option, char **why)
{
    rein_bytecode *bytecode;
    if (rein_bytecode_create(code->bytes, code->size, &bytecode) == 0)
        return bytecode;
    *why = cli_format("%s: %s", option, rein_error_message());
    return NULL;
}

/* The condition of several locations that are one place: one of theirs. NULL: one of them has none. */
static char *join_conditions(const struct rule *const options[], size_t count)
{
    char *all = NULL;
    for (size_t i = 0; i < count; i++) {
        if (options[i]->condition == NULL) {
            free(all);
            return NULL;
        }
        char *longer = cli_format("%s%s(%s)", all == NULL ? "" : all, all == NULL ? "" : " || ", options[i]->condition);
        free(all);
        all = longer;
    }
    return all;
}

static bool make_condition(struct site_code *code, const struct rule *const options[], size_t count,
                           const char *location, char **why, bool *may_come)
{
    struct expression_error error = {0};
    struct bytecode bytes = {.arena = &code->arena};
    char *all = join_conditions(options, count);
    bool valid = true;
    code->of_rules = cli_alloc(count, sizeof *code->of_rules);
    for (size_t i = 0; i < count && valid; i++) {
        const char *text = options[i]->condition;
        code->of_rules[code->rule_count++].rule = options[i];
        if (text == NULL)
            continue;
        char *option = cli_format("-b '%s if %s'", location, text);
        valid = expression_condition(&code->scene, text, &bytes, &error);
        if (!valid)
            explain(&error, option, text, why, may_come);
        else if (count > 1)
            valid = (code->of_rules[i].condition = make_bytecode(&bytes, option, why)) != NULL;
        free(option);
    }
    if (all == NULL)
        return valid;
    if (valid && count > 1 && !expression_condition(&code->scene, all, &bytes, &error)) {
        explain(&error, location, all, why, may_come); /* it is too long */
        valid = false;
    }
    free(all);
    if (valid)
        code->condition = make_bytecode(&bytes, location, why);
    return code->condition != NULL;
}

static bool make_readings(struct site_code *code, const struct rule *options, char **why, bool *may_come)
{
    for (size_t i = 0; i < options->print_count; i++) {
        struct expression_error error = {0};
        if (expression_readings(&code->scene, options->prints[i], &code->readings, &code->reading_count, &error))
            continue;
        char *option = cli_format("--print '%s'", options->prints[i]);
        explain(&error, option, options->prints[i], why, may_come);
        free(option);
        return false;
    }
    return true;
}

static bool make_codes(struct site_code *code, char **why)
{
    for (size_t i = 0; i < code->reading_count; i++)
        code->code_count += code->readings[i].piece_count;
    code->codes = cli_alloc(code->code_count, sizeof(void *));
    rein_bytecode **next = code->codes;
    for (size_t i = 0; i < code->reading_count; i++) {
        const struct reading *reading = &code->readings[i];
        for (size_t j = 0; j < reading->piece_count; j++, next++) {
            const struct reading_piece *piece = &reading->pieces[j];
            if (piece->kind != PIECE_REGISTER && (*next = make_bytecode(&piece->code, "--print", why)) == NULL)
                return false;
        }
    }
    return true;
}

struct site_code *site_code_make(const struct rule *const options[], size_t count, const char *location,
                                 struct modules *modules, struct module *module, uint64_t address,
                                 const struct machine *machine, char **why, bool *may_come)
{
    struct site_code *code = cli_alloc(1, sizeof *code);
    code->scene = (struct scene){.modules = modules, .module = module, .address = address, .machine = machine};
    code->scene.types = (struct types){
        .arena = &code->arena, .word = machine->word, .char_is_unsigned = strcmp(machine->architecture, "arm64") == 0};
    *why = NULL;
    *may_come = false;
    scene_open(&code->scene);
    bool valid = make_condition(code, options, count, location, why, may_come);
    for (size_t i = 0; i < count && valid; i++)
        valid = make_readings(code, options[i], why, may_come);
    if (valid && make_codes(code, why))
        return code;
    site_code_free(code);
    return NULL;
}

void site_code_free(struct site_code *code)
{
    while (code != NULL) {
        struct site_code *older = code->older;
        rein_bytecode_unref(code->condition);
        for (size_t i = 0; i < code->rule_count; i++)
            rein_bytecode_unref(code->of_rules[i].condition);
        free(code->of_rules);
        for (size_t i = 0; i < code->code_count; i++)
            rein_bytecode_unref(code->codes[i]);
        free(code->codes);
        arena_free(&code->arena);
        free(code);
        code = older;
    }
}

/* ---- Reading, on the monitor ---- */

bool site_code_is_true(const struct site_code *code, const struct rule *rule, rein_thread *thread, uint64_t hits)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    evaluation.hits = hits;
    for (size_t i = 0; code != NULL && code->rule_count > 1 && i < code->rule_count; i++)
        if (code->of_rules[i].rule == rule && code->of_rules[i].condition != NULL)
            return rein_thread_evaluate(thread, code->of_rules[i].condition, &evaluation) == 0 && evaluation.value != 0;
    return true;
}

static const char no_memory[] = "there is no memory for it";
static const char unreadable[] = "memory cannot be read";

static bool read_memory(rein_thread *thread, rein_word address, unsigned char *bytes, size_t size,
                        struct hit_value *value)
{
    size_t done = 0;
    if (rein_thread_read(thread, address, bytes, size, &done) == 0)
        return true;
    value->trouble = unreadable;
    value->address = address + done;
    return false;
}

static bool read_register(rein_thread *thread, rein_registers **registers, int index, unsigned char *bytes, size_t size,
                          struct hit_value *value)
{
    enum { WIDEST = 1024 }; /* a tile */
    unsigned char whole[WIDEST];
    size_t length = 0;
    bool known = *registers != NULL || rein_thread_registers(thread, registers) == 0;
    if (!known || rein_registers_read(*registers, index, whole, sizeof whole, &length) != 0) {
        value->trouble = "the thread has no such register";
        return false;
    }
    memcpy(bytes, whole, length < size ? length : size);
    return true;
}

static bool read_piece(rein_thread *thread, rein_registers **registers, const struct reading_piece *piece,
                       rein_bytecode *code, uint64_t hits, unsigned char *bytes, struct hit_value *value)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    size_t size = (size_t)piece->size;
    evaluation.hits = hits;
    if (piece->kind == PIECE_REGISTER)
        return read_register(thread, registers, piece->reg, bytes, size, value);
    if (rein_thread_evaluate(thread, code, &evaluation) != 0 || !evaluation.has_value) {
        value->trouble = evaluation.trouble == NULL ? "it cannot be evaluated" : evaluation.trouble;
        value->address = evaluation.trouble_address;
        return false;
    }
    if (piece->kind == PIECE_MEMORY)
        return read_memory(thread, evaluation.value, bytes, size, value);
    memcpy(bytes, &evaluation.value, size < 8 ? size : 8);
    return true;
}

static void read_strings(rein_thread *thread, const struct reading *reading, size_t word, struct hit_value *value)
{
    value->strings = reading->string_count == 0 ? NULL : calloc(reading->string_count, STRING_ROOM);
    for (size_t i = 0; value->strings != NULL && i < reading->string_count; i++) {
        rein_word address = 0;
        char *text = value->strings + i * STRING_ROOM;
        size_t done = 0;
        memcpy(&address, value->bytes + reading->strings[i], word);
        if (address == 0)
            continue;
        rein_thread_read(thread, address, text + 1, STRING_SHOWN + 1, &done); /* up to what is not there */
        text[0] = memchr(text + 1, '\0', done) != NULL || done == STRING_SHOWN + 1;
    }
}

struct hit_values *hit_values_read(const struct site_code *code, rein_thread *thread, uint64_t hits)
{
    if (code == NULL || code->reading_count == 0)
        return NULL;
    struct hit_values *values = calloc(1, sizeof *values + code->reading_count * sizeof values->items[0]);
    rein_registers *registers = NULL;
    rein_bytecode *const *next = code->codes;
    if (values == NULL)
        return NULL;
    values->code = code;
    for (size_t i = 0; i < code->reading_count; i++) {
        const struct reading *reading = &code->readings[i];
        struct hit_value *value = &values->items[i];
        size_t done = 0;
        value->bytes = calloc(1, (size_t)reading->size + 8);
        if (value->bytes == NULL)
            value->trouble = no_memory;
        for (size_t j = 0; j < reading->piece_count; j++, next++) {
            if (value->trouble == NULL)
                read_piece(thread, &registers, &reading->pieces[j], *next, hits, value->bytes + done, value);
            done += (size_t)reading->pieces[j].size;
        }
        if (value->trouble == NULL)
            read_strings(thread, reading, code->scene.machine->word, value);
    }
    rein_registers_free(registers);
    return values;
}

void hit_values_free(struct hit_values *values)
{
    if (values == NULL)
        return;
    for (size_t i = 0; i < values->code->reading_count; i++) {
        free(values->items[i].bytes);
        free(values->items[i].strings);
    }
    free(values);
}
