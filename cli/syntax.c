/* A scanner and a parser by recursive descent, binary operators by precedence. */
#include "syntax.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum token_kind { TOKEN_END, TOKEN_NUMBER, TOKEN_STRING, TOKEN_NAME, TOKEN_REGISTER, TOKEN_OPERATOR };

struct token {
    enum token_kind kind;
    const char *at, *end;
    int op;
    struct syntax value; /* of a number, a string */
};

struct parser {
    const char *start;
    struct token token; /* the next one */
    bool in_list;
    is_type_name is_type;
    void *arg;
    unsigned nesting;
    struct arena *arena;
    struct expression_error *error;
};

static void *fail(struct parser *parser, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void *fail(struct parser *parser, const char *at, const char *format, ...)
{
    va_list arguments;
    if (parser->error->text != NULL) /* the first one counts */
        return NULL;
    va_start(arguments, format);
    if (vasprintf(&parser->error->text, format, arguments) < 0)
        parser->error->text = cli_copy("out of memory");
    va_end(arguments);
    parser->error->at = (size_t)(at - parser->start);
    return NULL;
}

/* ---- The scanner ---- */

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (c & 0x80);
}

static bool is_name(char c)
{
    return is_name_start(c) || isdigit((unsigned char)c);
}

static const char *skip_name(const char *at)
{
    while (is_name(*at))
        at++;
    while (at[0] == ':' && at[1] == ':' && is_name_start(at[2]))
        for (at += 3; is_name(*at);)
            at++;
    return at;
}

static int digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : 99;
}

static bool scan_suffix(const char *at, const char *end, struct syntax *value)
{
    unsigned us = 0, ls = 0;
    for (; at < end; at++) {
        if (*at == 'u' || *at == 'U')
            us++;
        else if ((*at == 'l' || *at == 'L') && (ls == 0 || at[-1] == *at))
            ls++;
        else
            return false;
    }
    value->is_unsigned = us > 0;
    value->longs = ls;
    return us <= 1 && ls <= 2;
}

static bool scan_number(struct parser *parser, struct token *token)
{
    const char *at = token->at, *end = at;
    int base = 10;
    while (is_name(*end) || *end == '.')
        end++;
    if (at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
        base = 16, at += 2;
    else if (at[0] == '0' && (at[1] == 'b' || at[1] == 'B'))
        base = 2, at += 2;
    else if (at[0] == '0')
        base = 8;
    const char *digits = at;
    uint64_t number = 0;
    for (; digit(*at) < base; at++)
        if (__builtin_mul_overflow(number, (uint64_t)base, &number) ||
            __builtin_add_overflow(number, (uint64_t)digit(*at), &number))
            return fail(parser, token->at, "the number does not fit 64 bits");
    token->kind = TOKEN_NUMBER;
    token->end = end;
    token->value = (struct syntax){.kind = SYNTAX_NUMBER, .number = number, .is_decimal = base == 10};
    if (memchr(token->at, '.', (size_t)(end - token->at)) != NULL)
        return fail(parser, token->at, "expressions are about integers: there are no floating-point constants");
    if (at == digits || !scan_suffix(at, end, &token->value))
        return fail(parser, token->at, "'%.*s' is no number", (int)(end - token->at), token->at);
    return true;
}

/* One character of a string or a character constant, with \n and the like. */
static const char *scan_character(struct parser *parser, const char *at, unsigned char *character)
{
    static const char names[] = "abefnrtv0", values[] = "\a\b\033\f\n\r\t\v";
    if (*at != '\\') {
        *character = (unsigned char)*at;
        return at + 1;
    }
    if (at[1] == 'x' && digit(at[2]) < 16) {
        unsigned value = (unsigned)digit(at[2]);
        const char *end = at + 3;
        if (digit(*end) < 16)
            value = 16 * value + (unsigned)digit(*end++);
        *character = (unsigned char)value;
        return end;
    }
    if (digit(at[1]) < 8) {
        unsigned value = 0;
        const char *end = at + 1;
        while (end < at + 4 && digit(*end) < 8)
            value = 8 * value + (unsigned)digit(*end++);
        *character = (unsigned char)value;
        return end;
    }
    const char *name = at[1] == '\0' ? NULL : strchr(names, at[1]);
    if (name != NULL)
        *character = (unsigned char)values[name - names];
    else if (ispunct((unsigned char)at[1]))
        *character = (unsigned char)at[1];
    else
        return fail(parser, at, "there is no such escape: \\n, \\t, \\\\, \\x41, \\101");
    return at + 2;
}

static bool scan_quoted(struct parser *parser, struct token *token)
{
    char quote = *token->at;
    const char *at = token->at + 1;
    char *bytes = arena_alloc(parser->arena, strlen(at) + 1, 1);
    size_t size = 0;
    while (at != NULL && *at != quote) {
        if (*at == '\0')
            return fail(parser, token->at, "the closing %c is missing", quote);
        unsigned char character = 0;
        at = scan_character(parser, at, &character);
        bytes[size++] = (char)character;
    }
    if (at == NULL)
        return false;
    token->end = at + 1;
    if (quote == '"') {
        token->kind = TOKEN_STRING;
        token->value = (struct syntax){.kind = SYNTAX_STRING, .bytes = bytes, .size = size};
        if (memchr(bytes, '\0', size) != NULL)
            return fail(parser, token->at, "a string ends at its first \\0: it cannot have one inside");
        return true;
    }
    if (size != 1)
        return fail(parser, token->at, "a character constant is one character: 'a'");
    token->kind = TOKEN_NUMBER;
    token->value = (struct syntax){.kind = SYNTAX_NUMBER, .number = (unsigned char)bytes[0], .is_character = true};
    return true;
}

static bool scan_operator(struct parser *parser, struct token *token)
{
    static const struct {
        char text[3];
        int op;
    } operators[] = {{"||", OPERATOR_OR},      {"&&", OPERATOR_AND},        {"==", OPERATOR_EQUAL},
                     {"!=", OPERATOR_UNEQUAL}, {"<=", OPERATOR_LESS_EQUAL}, {">=", OPERATOR_GREATER_EQUAL},
                     {"<<", OPERATOR_LEFT},    {">>", OPERATOR_RIGHT},      {"->", OPERATOR_ARROW}};
    static const char changes[][4] = {"<<=", ">>=", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="};
    token->kind = TOKEN_OPERATOR;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (strncmp(token->at, changes[i], strlen(changes[i])) == 0)
            return fail(parser, token->at, "an expression changes nothing: there is no %s", changes[i]);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (strncmp(token->at, operators[i].text, 2) != 0)
            continue;
        token->op = operators[i].op;
        token->end = token->at + 2;
        return true;
    }
    if (*token->at == '=')
        return fail(parser, token->at, "an expression changes nothing: == compares");
    if (strchr("|^&<>+-*/%!~()[].?:,", *token->at) == NULL)
        return fail(parser, token->at,
                    isprint((unsigned char)*token->at) ? "'%c' cannot be part of an expression"
                                                       : "byte 0x%02x cannot be part of an expression",
                    (unsigned char)*token->at);
    token->op = *token->at;
    token->end = token->at + 1;
    return true;
}

/* Takes the next token from where the present one ends. */
static bool next(struct parser *parser)
{
    struct token *token = &parser->token;
    const char *at = token->end;
    while (isspace((unsigned char)*at))
        at++;
    *token = (struct token){.kind = TOKEN_END, .at = at, .end = at};
    if (*at == '\0')
        return true;
    if (isdigit((unsigned char)*at))
        return scan_number(parser, token);
    if (*at == '"' || *at == '\'')
        return scan_quoted(parser, token);
    if (is_name_start(*at) || (at[0] == ':' && at[1] == ':' && is_name_start(at[2]))) {
        token->kind = TOKEN_NAME;
        token->end = skip_name(at);
        return true;
    }
    if (*at == '$' && is_name_start(at[1])) {
        token->kind = TOKEN_REGISTER;
        token->end = at + 1;
        while (is_name(*token->end))
            token->end++;
        return true;
    }
    return scan_operator(parser, token);
}

static bool is_op(const struct parser *parser, int op)
{
    return parser->token.kind == TOKEN_OPERATOR && parser->token.op == op;
}

static const char *token_text(struct parser *parser)
{
    const struct token *token = &parser->token;
    return arena_format(parser->arena, "%.*s", (int)(token->end - token->at), token->at);
}

static bool is_word(const struct parser *parser, const char *word)
{
    const struct token *token = &parser->token;
    return token->kind == TOKEN_NAME && (size_t)(token->end - token->at) == strlen(word) &&
           memcmp(token->at, word, strlen(word)) == 0;
}

static bool expect(struct parser *parser, int op, const char *opened_by)
{
    if (is_op(parser, op))
        return next(parser);
    if (parser->token.kind == TOKEN_END)
        return fail(parser, parser->token.at, "the %c that belongs to %s is missing", op, opened_by);
    return fail(parser, parser->token.at, "%c was expected here", op);
}

/* ---- Types ---- */

enum {
    WORD_SIGNED,
    WORD_UNSIGNED,
    WORD_SHORT,
    WORD_LONG,
    WORD_INT,
    WORD_CHAR,
    WORD_FLOAT,
    WORD_DOUBLE,
    WORD_VOID,
    WORD_BOOL,
    WORD_COUNT
};
static const char *const basic_words[WORD_COUNT] = {"signed", "unsigned", "short",  "long", "int",
                                                    "char",   "float",    "double", "void", "bool"};
static const char *const tags[] = {"struct", "union", "class", "enum"};
static const char *const qualifiers[] = {"const", "volatile", "restrict", "_Atomic"};

static int find_word(const struct parser *parser, const char *const words[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_word(parser, words[i]))
            return (int)i;
    return is_word(parser, "_Bool") && words == basic_words ? WORD_BOOL : -1;
}

#define FIND(parser, words) find_word(parser, words, sizeof words / sizeof *words)

/* Does a type, and nothing else, begin here? */
static bool begins_type(const struct parser *parser)
{
    return FIND(parser, basic_words) >= 0 || FIND(parser, tags) >= 0 || FIND(parser, qualifiers) >= 0;
}

/* "long unsigned int" is "unsigned long". NULL: there is no such type. */
static const char *basic_name(const unsigned counts[WORD_COUNT])
{
    unsigned of_one = 0;
    for (int i = WORD_CHAR; i < WORD_COUNT; i++)
        of_one += counts[i];
    bool has_sign = counts[WORD_SIGNED] + counts[WORD_UNSIGNED] > 0;
    if (of_one > 1 || counts[WORD_INT] > 1 || counts[WORD_SHORT] > 1 || counts[WORD_LONG] > 2 ||
        counts[WORD_SIGNED] + counts[WORD_UNSIGNED] > 1 || (counts[WORD_SHORT] && counts[WORD_LONG]) ||
        (of_one && (counts[WORD_INT] || counts[WORD_SHORT])))
        return NULL;
    if (counts[WORD_CHAR])
        return counts[WORD_LONG] ? NULL : counts[WORD_UNSIGNED] ? "unsigned char" : has_sign ? "signed char" : "char";
    if (counts[WORD_DOUBLE] && !has_sign && counts[WORD_LONG] < 2)
        return counts[WORD_LONG] ? "long double" : "double";
    if (of_one)
        return has_sign || counts[WORD_LONG] ? NULL
               : counts[WORD_FLOAT]          ? "float"
               : counts[WORD_VOID]           ? "void"
                                             : "bool";
    if (counts[WORD_SHORT])
        return counts[WORD_UNSIGNED] ? "unsigned short" : "short";
    if (counts[WORD_LONG] == 2)
        return counts[WORD_UNSIGNED] ? "unsigned long long" : "long long";
    if (counts[WORD_LONG] == 1)
        return counts[WORD_UNSIGNED] ? "unsigned long" : "long";
    return counts[WORD_UNSIGNED] ? "unsigned int" : "int";
}

static bool enter(struct parser *parser);
static struct type_name *parse_type(struct parser *parser);

static struct type_part *make_part(struct parser *parser, enum type_part_kind kind)
{
    struct type_part *part = arena_alloc(parser->arena, 1, sizeof *part);
    part->kind = kind;
    return part;
}

/* A parser that looks ahead: its errors are nobody's. */
static struct parser look_ahead(const struct parser *parser, struct expression_error *error)
{
    struct parser ahead = *parser;
    *error = (struct expression_error){0};
    ahead.error = error;
    return ahead;
}

/* At a "(" behind a type: "(*)", not the parameters of a function. */
static bool begins_inner(const struct parser *parser)
{
    struct expression_error error;
    struct parser ahead = look_ahead(parser, &error);
    bool is_inner = next(&ahead) && (is_op(&ahead, '*') || is_op(&ahead, '(') || is_op(&ahead, '['));
    free(error.text);
    return is_inner;
}

/* "[3]" */
static struct type_part *parse_count(struct parser *parser)
{
    struct type_part *part = make_part(parser, PART_ARRAY);
    if (!next(parser))
        return NULL;
    part->is_count_known = parser->token.kind == TOKEN_NUMBER;
    part->count = parser->token.value.number;
    if (!part->is_count_known && !is_op(parser, ']'))
        return fail(parser, parser->token.at, "the number of elements was expected here");
    if (part->is_count_known && !next(parser))
        return NULL;
    return expect(parser, ']', "a [") ? part : NULL;
}

/* "(int, const char *name, ...)": what they are does not matter. */
static struct type_part *parse_parameters(struct parser *parser)
{
    struct type_part *part = make_part(parser, PART_FUNCTION);
    do {
        if (!next(parser))
            return NULL;
        if (is_op(parser, ')'))
            break;
        if (is_op(parser, '.')) {
            for (int i = 0; i < 3; i++)
                if (!expect(parser, '.', "..."))
                    return NULL;
            break;
        }
        if (parse_type(parser) == NULL || (parser->token.kind == TOKEN_NAME && !next(parser)))
            return NULL;
    } while (is_op(parser, ','));
    return expect(parser, ')', "the parameters") ? part : NULL;
}

/* What stands behind a type's name: in C's order, so that what is in parentheses comes last, and of arrays the last one first. */
static bool parse_parts(struct parser *parser, struct type_part **parts)
{
    struct type_part *behind = NULL, *inner = NULL, **end = parts;
    *parts = NULL;
    if (!enter(parser))
        return false;
    while (is_op(parser, '*') || FIND(parser, qualifiers) >= 0) {
        if (is_op(parser, '*')) {
            *end = make_part(parser, PART_POINTER);
            end = &(*end)->next;
        }
        if (!next(parser))
            return false;
    }
    if (is_op(parser, '(') && begins_inner(parser) &&
        (!next(parser) || !parse_parts(parser, &inner) || !expect(parser, ')', "a (")))
        return false;
    while (is_op(parser, '[') || is_op(parser, '(')) {
        struct type_part *part = is_op(parser, '[') ? parse_count(parser) : parse_parameters(parser);
        if (part == NULL)
            return false;
        part->next = behind;
        behind = part;
    }
    *end = behind;
    while (*end != NULL)
        end = &(*end)->next;
    *end = inner;
    parser->nesting--;
    return true;
}

/* A type's name, up to the parenthesis behind it. */
static struct type_name *parse_type(struct parser *parser)
{
    struct type_name *type = arena_alloc(parser->arena, 1, sizeof *type);
    unsigned counts[WORD_COUNT] = {0}, words = 0;
    type->at = (size_t)(parser->token.at - parser->start);
    const char *begin = parser->token.at;
    for (;;) {
        int word = FIND(parser, basic_words), tag = FIND(parser, tags);
        if (word >= 0) {
            counts[word]++;
            words++;
        } else if (tag >= 0 && type->tag == NULL && words == 0) {
            type->tag = tags[tag];
        } else if (FIND(parser, qualifiers) < 0) {
            break;
        }
        if (!next(parser))
            return NULL;
    }
    if (words > 0) {
        type->is_basic = true;
        type->name = basic_name(counts);
        if (type->name == NULL || type->tag != NULL)
            return fail(parser, begin, "there is no such type");
    } else if (parser->token.kind == TOKEN_NAME) {
        type->name = token_text(parser);
        if (type->tag == NULL)
            type->at = (size_t)(parser->token.at - parser->start);
        if (!next(parser))
            return NULL;
    } else {
        return fail(parser, parser->token.at, "the name of a type was expected here");
    }
    return parse_parts(parser, &type->parts) ? type : NULL;
}

/* ---- Expressions ---- */

static const struct syntax *parse_conditional(struct parser *parser);
static const struct syntax *parse_unary(struct parser *parser);

static struct syntax *make(struct parser *parser, enum syntax_kind kind, const char *at)
{
    struct syntax *syntax = arena_alloc(parser->arena, 1, sizeof *syntax);
    syntax->kind = kind;
    syntax->at = (size_t)(at - parser->start);
    return syntax;
}

/* Behind "(": is this a cast, or sizeof's type? A name alone can be a variable, too. */
static bool is_type_in_parentheses(struct parser *parser, bool for_sizeof)
{
    if (begins_type(parser))
        return true;
    if (parser->token.kind != TOKEN_NAME)
        return false;
    struct expression_error error;
    struct parser ahead = look_ahead(parser, &error);
    const char *name = token_text(parser);
    bool is_type = next(&ahead);
    unsigned stars = 0;
    while (is_type && (is_op(&ahead, '*') || (stars > 0 && FIND(&ahead, qualifiers) >= 0))) {
        stars++;
        is_type = next(&ahead);
    }
    if (is_type && is_op(&ahead, '[')) { /* (name[3]) can be an element */
        is_type = parser->is_type != NULL && parser->is_type(name, parser->arg);
    } else if (is_type && is_op(&ahead, '(')) { /* (name (*)(int)): nothing else has stars and no operand */
        is_type = next(&ahead) && is_op(&ahead, '*');
        while (is_type && (is_op(&ahead, '*') || FIND(&ahead, qualifiers) >= 0))
            is_type = next(&ahead);
        is_type = is_type && (is_op(&ahead, ')') || is_op(&ahead, '['));
    } else if (is_type && is_op(&ahead, ')') && stars == 0) { /* (name) */
        if (parser->is_type != NULL)
            is_type = parser->is_type(name, parser->arg);
        else
            is_type = !for_sizeof && next(&ahead) &&
                      (ahead.token.kind == TOKEN_NUMBER || ahead.token.kind == TOKEN_NAME || is_op(&ahead, '(') ||
                       ahead.token.kind == TOKEN_REGISTER || is_op(&ahead, '!') || is_op(&ahead, '~'));
    } else {
        is_type = is_type && is_op(&ahead, ')');
    }
    free(error.text);
    return is_type;
}

static const struct syntax *parse_parenthesis(struct parser *parser)
{
    const char *at = parser->token.at;
    if (!next(parser))
        return NULL;
    if (is_type_in_parentheses(parser, false)) {
        struct syntax *cast = make(parser, SYNTAX_CAST, at);
        cast->type = parse_type(parser);
        if (cast->type == NULL || !expect(parser, ')', "the type"))
            return NULL;
        cast->a = parse_unary(parser);
        return cast->a == NULL ? NULL : cast;
    }
    const struct syntax *inner = parse_conditional(parser);
    return inner == NULL || !expect(parser, ')', "a (") ? NULL : inner;
}

static const struct syntax *parse_primary(struct parser *parser)
{
    struct token token = parser->token;
    struct syntax *syntax;
    switch (token.kind) {
    case TOKEN_NUMBER:
    case TOKEN_STRING:
        syntax = make(parser, SYNTAX_NUMBER, token.at);
        token.value.at = syntax->at;
        *syntax = token.value;
        break;
    case TOKEN_NAME:
    case TOKEN_REGISTER:
        syntax = make(parser, token.kind == TOKEN_NAME ? SYNTAX_NAME : SYNTAX_REGISTER, token.at);
        syntax->name = token_text(parser) + (token.kind == TOKEN_REGISTER);
        break;
    case TOKEN_END:
        return fail(parser, token.at, "an expression is missing here");
    default:
        if (is_op(parser, '('))
            return parse_parenthesis(parser);
        return fail(parser, token.at, "an expression was expected here, not '%.*s'", (int)(token.end - token.at),
                    token.at);
    }
    if (!next(parser))
        return NULL;
    if (is_op(parser, '('))
        return fail(parser, token.at, "functions are not called in expressions");
    return syntax;
}

static const struct syntax *parse_postfix(struct parser *parser)
{
    const struct syntax *syntax = parse_primary(parser);
    while (syntax != NULL && (is_op(parser, '[') || is_op(parser, '.') || is_op(parser, OPERATOR_ARROW))) {
        enum syntax_kind kind = is_op(parser, '[') ? SYNTAX_INDEX : is_op(parser, '.') ? SYNTAX_MEMBER : SYNTAX_ARROW;
        struct syntax *outer = make(parser, kind, parser->token.at);
        outer->a = syntax;
        if (!next(parser))
            return NULL;
        if (kind == SYNTAX_INDEX) {
            outer->b = parse_conditional(parser);
            if (outer->b == NULL || !expect(parser, ']', "a ["))
                return NULL;
        } else {
            if (parser->token.kind != TOKEN_NAME)
                return fail(parser, parser->token.at, "the name of a member was expected here");
            outer->name = token_text(parser);
            outer->name_at = (size_t)(parser->token.at - parser->start);
            if (!next(parser))
                return NULL;
        }
        syntax = outer;
    }
    return syntax;
}

static const struct syntax *parse_sizeof(struct parser *parser)
{
    struct syntax *syntax = make(parser, SYNTAX_SIZEOF, parser->token.at);
    if (!next(parser))
        return NULL;
    struct expression_error error;
    struct parser ahead = look_ahead(parser, &error);
    bool is_type = is_op(&ahead, '(') && next(&ahead) && is_type_in_parentheses(&ahead, true);
    free(error.text);
    if (!is_type) {
        syntax->a = parse_unary(parser);
        return syntax->a == NULL ? NULL : syntax;
    }
    syntax->kind = SYNTAX_SIZEOF_TYPE;
    if (!next(parser) || (syntax->type = parse_type(parser)) == NULL || !expect(parser, ')', "sizeof"))
        return NULL;
    return syntax;
}

/* The only places where the parser calls itself are here, in parse_conditional and in parse_parts. */
static bool enter(struct parser *parser)
{
    if (parser->nesting++ < NESTING_MAX)
        return true;
    return fail(parser, parser->token.at, "the expression is nested too deeply");
}

static const struct syntax *parse_unary(struct parser *parser)
{
    const struct syntax *result = NULL;
    if (!enter(parser))
        return NULL;
    if (parser->token.kind == TOKEN_OPERATOR && strchr("-+!~*&", parser->token.op < 256 ? parser->token.op : ' ')) {
        struct syntax *syntax = make(parser, SYNTAX_UNARY, parser->token.at);
        syntax->op = parser->token.op;
        if (next(parser))
            syntax->a = parse_unary(parser);
        result = syntax->a == NULL ? NULL : syntax;
    } else if (is_word(parser, "sizeof")) {
        result = parse_sizeof(parser);
    } else {
        result = parse_postfix(parser);
    }
    parser->nesting--;
    return result;
}

/* 0: it is no binary operator. */
static int precedence(const struct parser *parser)
{
    if (parser->token.kind != TOKEN_OPERATOR)
        return 0;
    switch (parser->token.op) {
    case OPERATOR_OR:
        return 1;
    case OPERATOR_AND:
        return 2;
    case '|':
        return 3;
    case '^':
        return 4;
    case '&':
        return 5;
    case OPERATOR_EQUAL:
    case OPERATOR_UNEQUAL:
        return 6;
    case '<':
    case '>':
    case OPERATOR_LESS_EQUAL:
    case OPERATOR_GREATER_EQUAL:
        return 7;
    case OPERATOR_LEFT:
    case OPERATOR_RIGHT:
        return 8;
    case '+':
    case '-':
        return 9;
    case '*':
    case '/':
    case '%':
        return 10;
    default:
        return 0;
    }
}

static const struct syntax *parse_binary(struct parser *parser, int lowest)
{
    const struct syntax *left = parse_unary(parser);
    int level;
    while (left != NULL && (level = precedence(parser)) >= lowest) {
        struct syntax *syntax = make(parser, SYNTAX_BINARY, parser->token.at);
        syntax->op = parser->token.op;
        syntax->a = left;
        if (!next(parser) || (syntax->b = parse_binary(parser, level + 1)) == NULL)
            return NULL;
        left = syntax;
    }
    return left;
}

static const struct syntax *parse_conditional(struct parser *parser)
{
    if (!enter(parser))
        return NULL;
    const struct syntax *result = parse_binary(parser, 1);
    if (result != NULL && is_op(parser, '?')) {
        struct syntax *syntax = make(parser, SYNTAX_CONDITIONAL, parser->token.at);
        syntax->a = result;
        result = next(parser) && (syntax->b = parse_conditional(parser)) != NULL && expect(parser, ':', "a ?") &&
                         (syntax->c = parse_conditional(parser)) != NULL
                     ? syntax
                     : NULL;
    }
    parser->nesting--;
    return result;
}

const struct syntax *syntax_parse(const char *start, const char **text, bool in_list, is_type_name is_type, void *arg,
                                  struct arena *arena, struct expression_error *error)
{
    struct parser parser = {.start = start,
                            .token = {.at = *text, .end = *text},
                            .in_list = in_list,
                            .is_type = is_type,
                            .arg = arg,
                            .arena = arena,
                            .error = error};
    *error = (struct expression_error){0};
    if (strlen(*text) > EXPRESSION_MAX)
        return fail(&parser, *text, "the expression is longer than %d characters", EXPRESSION_MAX);
    const struct syntax *syntax = next(&parser) ? parse_conditional(&parser) : NULL;
    if (syntax == NULL)
        return NULL;
    *text = parser.token.at;
    if (parser.token.kind == TOKEN_END || (in_list && is_op(&parser, ',')))
        return syntax;
    if (is_op(&parser, ','))
        return fail(&parser, parser.token.at, "there is no comma operator");
    return fail(&parser, parser.token.at, "an operator was expected here, not '%.*s'",
                (int)(parser.token.end - parser.token.at), parser.token.at);
}
