/* The bytes of agent expressions. */
#include "bytecode.h"

#include <string.h>

static void put(struct bytecode *code, uint64_t value, size_t size)
{
    if (code->size + size > code->room) {
        code->room = 2 * code->room + 64;
        uint8_t *more = arena_alloc(code->arena, code->room, 1);
        if (code->size > 0)
            memcpy(more, code->bytes, code->size);
        code->bytes = more;
    }
    while (size-- > 0)
        code->bytes[code->size++] = (uint8_t)(value >> 8 * size);
}

void bytecode_op(struct bytecode *code, int op)
{
    put(code, (unsigned)op, 1);
}

void bytecode_op8(struct bytecode *code, int op, unsigned operand)
{
    put(code, (unsigned)op, 1);
    put(code, operand, 1);
}

void bytecode_op16(struct bytecode *code, int op, unsigned operand)
{
    put(code, (unsigned)op, 1);
    put(code, operand, 2);
}

void bytecode_constant(struct bytecode *code, uint64_t value)
{
    int step = value <= UINT8_MAX ? 0 : value <= UINT16_MAX ? 1 : value <= UINT32_MAX ? 2 : 3;
    put(code, (unsigned)(OP_CONST8 + step), 1);
    put(code, value, (size_t)1 << step);
}

void bytecode_load(struct bytecode *code, uint64_t size)
{
    bytecode_op(code, size == 1 ? OP_REF8 : size == 2 ? OP_REF16 : size == 4 ? OP_REF32 : OP_REF64);
}

void bytecode_append(struct bytecode *code, const struct bytecode *other)
{
    for (size_t i = 0; i < other->size; i++)
        put(code, other->bytes[i], 1);
}

size_t bytecode_jump(struct bytecode *code, int op)
{
    bytecode_op16(code, op, 0);
    return code->size - 2;
}

void bytecode_land(struct bytecode *code, size_t jump)
{
    code->bytes[jump] = (uint8_t)(code->size >> 8);
    code->bytes[jump + 1] = (uint8_t)code->size;
}

void bytecode_narrow(struct bytecode *code, uint64_t size, bool is_signed)
{
    if (size < 8)
        bytecode_op8(code, is_signed ? OP_EXT : OP_ZERO_EXT, (unsigned)size * 8);
}
