/* Writes bytecode of agent expressions, which the gdb manual defines in its appendix of that name. It works on a stack of
 * 64-bit words; numbers in it have the highest byte first. What the program's own numbers are is up to who writes. */
#ifndef REIN_CLI_BYTECODE_H
#define REIN_CLI_BYTECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

enum {
    OP_ADD = 0x02,
    OP_SUB = 0x03,
    OP_MUL = 0x04,
    OP_DIV_SIGNED = 0x05,
    OP_DIV_UNSIGNED = 0x06,
    OP_REM_SIGNED = 0x07,
    OP_REM_UNSIGNED = 0x08,
    OP_LSH = 0x09,
    OP_RSH_SIGNED = 0x0a,
    OP_RSH_UNSIGNED = 0x0b,
    OP_LOG_NOT = 0x0e,
    OP_BIT_AND = 0x0f,
    OP_BIT_OR = 0x10,
    OP_BIT_XOR = 0x11,
    OP_BIT_NOT = 0x12,
    OP_EQUAL = 0x13,
    OP_LESS_SIGNED = 0x14,
    OP_LESS_UNSIGNED = 0x15,
    OP_EXT = 0x16,
    OP_REF8 = 0x17,
    OP_REF16 = 0x18,
    OP_REF32 = 0x19,
    OP_REF64 = 0x1a,
    OP_IF_GOTO = 0x20,
    OP_GOTO = 0x21,
    OP_CONST8 = 0x22,
    OP_CONST16 = 0x23,
    OP_CONST32 = 0x24,
    OP_CONST64 = 0x25,
    OP_REG = 0x26,
    OP_END = 0x27,
    OP_DUP = 0x28,
    OP_POP = 0x29,
    OP_ZERO_EXT = 0x2a,
    OP_SWAP = 0x2b,
    OP_GETV = 0x2c,
    OP_PICK = 0x32,
    OP_ROT = 0x33,
};

struct bytecode {
    struct arena *arena;
    uint8_t *bytes;
    size_t size, room;
};

void bytecode_op(struct bytecode *code, int op);
void bytecode_op8(struct bytecode *code, int op, unsigned operand);  /* EXT, ZERO_EXT, PICK */
void bytecode_op16(struct bytecode *code, int op, unsigned operand); /* REG, GETV */
void bytecode_constant(struct bytecode *code, uint64_t value);       /* in the shortest form */
/* Reads 1, 2, 4 or 8 bytes at the address on the stack; they come unsigned. */
void bytecode_load(struct bytecode *code, uint64_t size);
/* What another has, which must have no jumps. */
void bytecode_append(struct bytecode *code, const struct bytecode *other);
/* A jump, and where it leads once that is known. */
size_t bytecode_jump(struct bytecode *code, int op);
void bytecode_land(struct bytecode *code, size_t jump);
/* Makes a word on the stack one of so many bytes. */
void bytecode_narrow(struct bytecode *code, uint64_t size, bool is_signed);

#endif
