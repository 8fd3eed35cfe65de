/* Expressions at a place in a program: what is written (syntax.h) with what its names mean there (variables.h), as
 * bytecode that the monitor evaluates when a thread comes there. */
#ifndef REIN_CLI_EXPRESSION_H
#define REIN_CLI_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytecode.h"
#include "syntax.h"
#include "types.h"
#include "variables.h"

/* Is text an expression, or a list of them with commas between? What is wrong with names and types only shows at a place. */
bool expression_check(const char *text, bool is_list, struct expression_error *error);
/* "couter > 3" and, under it, a mark at the error. To be freed. */
char *expression_show(const char *text, const struct expression_error *error);

/* A condition as bytecode that ends with its value, 0: false. All memory is the scene's arena's. */
bool expression_condition(const struct scene *scene, const char *text, struct bytecode *code,
                          struct expression_error *error);

/* What is to be read for a value: pieces one behind the other. */
struct reading_piece {
    enum piece_kind kind; /* PIECE_MEMORY, PIECE_REGISTER, PIECE_VALUE */
    uint64_t size;
    struct bytecode code;
    int reg;
};
struct reading {
    const char *text; /* of the expression */
    const struct type *type;
    uint64_t size; /* of all pieces */
    struct reading_piece *pieces;
    size_t piece_count;
    uint64_t *strings; /* offsets in it of pointers to characters */
    size_t string_count;
};
enum { READING_MAX = 4096 /* bytes that are read of a value */, READING_STRINGS = 16 };
/* The expressions of a list. */
bool expression_readings(const struct scene *scene, const char *text, struct reading **readings, size_t *count,
                         struct expression_error *error);

#endif
