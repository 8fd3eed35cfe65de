/* Types of C and C++: those that a language has by itself, and those of a program's DWARF. */
#ifndef REIN_CLI_TYPES_H
#define REIN_CLI_TYPES_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "symbols.h"
#include "syntax.h"

enum type_kind {
    TYPE_VOID,
    TYPE_BOOL,
    TYPE_INTEGER, /* characters, too */
    TYPE_ENUM,
    TYPE_FLOAT,
    TYPE_POINTER,
    TYPE_REFERENCE, /* of C++ */
    TYPE_ARRAY,
    TYPE_STRUCT, /* class and union, too */
    TYPE_FUNCTION,
    TYPE_UNTYPED, /* data of which only the symbol is known */
    TYPE_OTHER,   /* complex numbers, pointers to members */
};

struct type {
    enum type_kind kind;
    uint64_t size; /* in bytes; 0: not known, or none */
    bool is_signed, is_char;
    bool is_union;
    const char *name;          /* NULL: it has none */
    const struct type *target; /* what a pointer points to, an array is of, a function returns: ask type_target */
    uint64_t count;            /* of an array */
    bool is_count_known;
    unsigned dimension; /* of .die: an array of arrays is one there */
    bool has_die;
    Dwarf_Die die;
    struct symbols *symbols; /* that the DIE is of */
};

/* What types are made with; they live as long as the arena, and the symbols of the files. */
struct types {
    struct arena *arena;
    size_t word; /* the size of a pointer */
    bool char_is_unsigned;
    const char *inside; /* "a::b": the namespaces and classes around the place; NULL: none */
};

/* The namespaces and classes around a DIE, or around the declaration that it defines; "": none. */
const char *type_inside(struct arena *arena, Dwarf_Die *die);
/* What a using declaration or directive, or another name of a namespace, stands for. */
bool type_imported(Dwarf_Die *die, Dwarf_Die *imported);
/* Is what the scope has imported seen by who looks into it? */
enum type_imports {
    IMPORTS_UNSEEN, /* where each is looked for by its own name */
    IMPORTS_INSIDE, /* but for what a unit has, which is seen in that unit only */
    IMPORTS_SEEN,
};
bool type_sees_imports(Dwarf_Die *scope, enum type_imports imports);
/* Takes the innermost scope off; false: there was none. */
bool type_leave(struct arena *arena, const char **inside);
/* "a::b" and "c" to "a::b::c". */
const char *type_qualify(struct arena *arena, const char *inside, const char *name);
/* Adds a name to a list for a message, once. */
void type_add_name(struct arena *arena, const char **names, unsigned *count, const char *name);

/* One of C's own, and u8, i8, s8, ..., uint32_t, size_t and the like; NULL: there is none of that name. */
const struct type *type_basic(const struct types *types, const char *name);
/* An integer of that size, without a name. */
const struct type *type_integer(const struct types *types, uint64_t size, bool is_signed);
const struct type *type_pointer(const struct types *types, const struct type *target);
const struct type *type_array(const struct types *types, const struct type *element, uint64_t count,
                              bool is_count_known);
const struct type *type_function(const struct types *types, const struct type *result);
/* The type that a DIE is; that of a variable or member (void, if none is said). */
const struct type *type_from_die(const struct types *types, struct symbols *symbols, Dwarf_Die *die);
const struct type *type_of_die(const struct types *types, struct symbols *symbols, Dwarf_Die *die);
/* Of pointers, references and arrays. */
const struct type *type_target(const struct types *types, const struct type *type);
/* The same, with its definition where the DIE is a mere declaration and the file has it. */
const struct type *type_complete(const struct types *types, const struct type *type);
/* Looks a name up in the DWARF of a file, first in the unit of address (the file's own; 0: none). NULL: there is none, or
 * several, which *ambiguous then has. */
const struct type *type_find(const struct types *types, struct symbols *symbols, uint64_t address,
                             const struct type_name *name, const char **ambiguous);

bool type_is_integer(const struct type *type); /* enum and bool, too */
bool type_is_scalar(const struct type *type);  /* and pointers */
/* "struct node *", for messages. */
const char *type_text(const struct types *types, const struct type *type);

struct member {
    const char *name; /* NULL: a base class, or a nameless structure or union */
    const struct type *type;
    uint64_t offset;                 /* in bytes */
    unsigned bit_offset, bit_size;   /* from the offset on, the lowest bit is 0; size 0: it is no bit-field */
    bool is_static, is_virtual_base; /* then there is no offset */
    bool is_base;
};
/* Calls back for each direct member and base; until it answers false. */
void type_each_member(const struct types *types, const struct type *type,
                      bool (*found)(const struct member *member, void *arg), void *arg);
/* By name, in bases and nameless members, too; the offset is from type's beginning. */
bool type_find_member(const struct types *types, const struct type *type, const char *name, struct member *member);
/* The name of the constant that a value is; NULL: none. */
const char *type_enumerator(const struct type *type, uint64_t value);
/* The value of an enumerator DIE. */
bool type_enumerator_value(Dwarf_Die *die, uint64_t *value);

#endif
