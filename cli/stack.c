/* Reads a thread's call stack and writes it. */
#include "stack.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "output.h"

size_t stack_depth(const char *text)
{
    return text == NULL ? STACK_DEPTH : (size_t)cli_parse_pid(text); /* a number from 1 on, as ids are */
}

/* ---- Reading ---- */

enum { WINDOW = 4096 };

struct window { /* onto the memory of a thread: words of a stack lie side by side */
    rein_thread *thread;
    uint64_t start;
    size_t size;
    unsigned char bytes[WINDOW];
};

static bool read_window(void *arg, uint64_t address, void *data, size_t size)
{
    struct window *window = arg;
    if (address < window->start || address - window->start > window->size ||
        window->size - (address - window->start) < size) {
        window->start = address;
        window->size = 0;
        rein_thread_read(window->thread, address, window->bytes, sizeof window->bytes, &window->size);
        if (window->size < size)
            return false;
    }
    memcpy(data, window->bytes + (address - window->start), size);
    return true;
}

void stack_read(struct modules *modules, rein_thread *thread, size_t depth, struct stack *stack)
{
    struct unwind_registers registers;
    rein_registers *snapshot;
    *stack = (struct stack){.end = STACK_LOST, .why = "the thread is gone"};
    if (rein_thread_registers(thread, &snapshot) != 0)
        return;
    if (unwind_registers_from(&registers, snapshot)) {
        struct window window = {.thread = thread};
        struct unwind_memory memory = {.read = read_window, .arg = &window};
        unwind(modules, &registers, &memory, depth, stack);
    }
    rein_registers_free(snapshot);
}

/* ---- Writing ---- */

static void describe(struct modules *modules, const struct frame *frame, struct described *is)
{
    if (frame->exact)
        modules_describe(modules, frame->pc, is);
    else
        modules_describe_caller(modules, frame->pc, is);
}

void stack_print(FILE *file, struct modules *modules, const struct stack *stack)
{
    for (size_t i = 0; i < stack->count; i++) {
        const struct frame *frame = &stack->frames[i];
        struct described is;
        describe(modules, frame, &is);
        char *text = described_text(&is, frame->pc);
        if (frame->guessed && !stack->frames[i - 1].guessed)
            fprintf(file, "    guessed from here: %s (0x%" PRIx64 ")\n", stack->guess, stack->frames[i - 1].pc);
        cli_print(file, "    #%-2zu 0x%016" PRIx64 "  %s", i, frame->pc, is.path == NULL ? "?" : text);
        free(text);
    }
    if (stack->end == STACK_LIMIT)
        fprintf(file, "    more may follow: %zu were asked for\n", stack->count);
    else if (stack->end == STACK_LOST && stack->count == 0)
        fprintf(file, "    no stack: %s\n", stack->why);
    else if (stack->end == STACK_LOST)
        fprintf(file, "    lost here: %s (0x%" PRIx64 ")\n", stack->why, stack->where);
}

void stack_set_json(json_t *object, struct modules *modules, const struct stack *stack)
{
    json_t *list = json_array();
    for (size_t i = 0; i < stack->count; i++) {
        const struct frame *frame = &stack->frames[i];
        struct described is;
        char pc[24];
        json_t *item = json_object();
        describe(modules, frame, &is);
        snprintf(pc, sizeof pc, "0x%" PRIx64, frame->pc);
        output_set_text(item, "pc", pc);
        output_set_place(item, &is);
        if (frame->guessed)
            json_object_set_new(item, "guessed", json_true());
        json_array_append_new(list, item);
    }
    json_object_set_new(object, "stack", list);
    if (stack->end == STACK_LIMIT)
        output_set_text(object, "stack_end", "limit");
    else if (stack->end == STACK_LOST)
        output_set_text(object, "stack_end", stack->why);
}
