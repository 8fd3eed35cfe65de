/* Expressions as they are written: C's, without side effects. The tree says what stands where; what it means depends on the place
 * in the program, see expression.h. */
#ifndef REIN_CLI_SYNTAX_H
#define REIN_CLI_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

enum { EXPRESSION_MAX = 4096 /* characters */, NESTING_MAX = 100 };

/* What is wrong, and at which character. */
struct expression_error {
    size_t at;
    char *text;           /* to be freed; NULL: nothing is wrong */
    bool is_unknown_name; /* a library that comes later may have it */
};

enum syntax_kind {
    SYNTAX_NUMBER,
    SYNTAX_STRING,
    SYNTAX_NAME,     /* of whatever it is; "ns::name" too */
    SYNTAX_REGISTER, /* $name */
    SYNTAX_UNARY,    /* .op: '-' '+' '!' '~' '*' '&' */
    SYNTAX_BINARY,
    SYNTAX_CONDITIONAL,
    SYNTAX_INDEX,
    SYNTAX_MEMBER, /* a.name */
    SYNTAX_ARROW,  /* a->name */
    SYNTAX_CAST,
    SYNTAX_SIZEOF,      /* of an expression */
    SYNTAX_SIZEOF_TYPE, /* of a type */
};

/* Operators of one character are that character. */
enum operator{
    OPERATOR_OR = 256, /* || */
    OPERATOR_AND,      /* && */
    OPERATOR_EQUAL,
    OPERATOR_UNEQUAL,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_LEFT,
    OPERATOR_RIGHT,
    OPERATOR_ARROW,
};

/* What stands around a type's name: "int *[3]" is an array of pointers. In the order in which they are applied. */
struct type_part {
    enum type_part_kind { PART_POINTER, PART_ARRAY, PART_FUNCTION } kind;
    uint64_t count; /* of an array */
    bool is_count_known;
    struct type_part *next;
};

/* "const struct foo **": the words of it that count. */
struct type_name {
    size_t at;
    const char *tag;  /* "struct", "union", "class", "enum"; NULL: none */
    const char *name; /* "unsigned long", "foo", "ns::foo" */
    bool is_basic;    /* made of C's own words, in the usual order */
    struct type_part *parts;
};

struct syntax {
    enum syntax_kind kind;
    size_t at; /* the character that an error is shown at */
    int op;
    const struct syntax *a, *b, *c;
    const char *name;
    size_t name_at;
    struct type_name *type;
    uint64_t number;
    unsigned longs; /* how many l a number has behind it: 0 to 2 */
    bool is_decimal, is_unsigned, is_character;
    const char *bytes; /* of a string */
    size_t size;
};

/* Is that the name of a type, not of a variable? To tell (name) - 1 from (name) -1. */
typedef bool (*is_type_name)(const char *name, void *arg);

/* Reads an expression from *text on; *text is behind it then, at the end or, if in_list, at a comma. NULL: error says why.
 * Positions are counted from start. is_type NULL: not known yet. */
const struct syntax *syntax_parse(const char *start, const char **text, bool in_list, is_type_name is_type, void *arg,
                                  struct arena *arena, struct expression_error *error);

#endif
