/* P5 E1: expressions of `rein trace`: that they mean what they mean in C, which the compiler of this test is asked; what is said of
 * those that are wrong, and where; and that whatever is written - random bytes, and mutations of what is right, too - is an
 * expression or an error. The program that is looked at is the test itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../cli/expression.h"
#include "engine/bytecode.h"

/* The compiler is to compute what an expression says, odd as it may be. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wparentheses"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wunused-value"
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wconstant-logical-operand"
#pragma GCC diagnostic ignored "-Wbitwise-conditional-parentheses"
#pragma GCC diagnostic ignored "-Wtautological-compare"
#pragma GCC diagnostic ignored "-Wtautological-constant-compare"
#pragma GCC diagnostic ignored "-Wtautological-constant-out-of-range-compare"
#pragma GCC diagnostic ignored "-Wtautological-bitwise-compare"
#pragma GCC diagnostic ignored "-Wconstant-conversion"
#else
#pragma GCC diagnostic ignored "-Wint-in-bool-context"
#pragma GCC diagnostic ignored "-Wbool-operation"
#pragma GCC diagnostic ignored "-Wlogical-not-parentheses"
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int64_t s64;

/* ---- What is looked at ---- */

enum fruit { APPLE = 1, PEAR = 70, PLUM = -3 };
struct inner {
    short low;
    union {
        u32 whole;
        u8 bytes[4];
    };
};
struct node {
    struct node *next;
    int len;
    unsigned three : 3;
    int minus : 5;
    u64 wide : 40;
    char name[12];
    const char *label;
    struct inner inner[2];
    enum fruit fruit;
    double weight;
    _Bool flag;
};

static int number = -7;
static unsigned positive = 4000000000u;
static long table[5] = {10, -20, 30, -40, 50};
static short matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
static struct node second = {.len = 22, .three = 5, .minus = -9, .wide = 0x123456789a, .name = "second", .fruit = PLUM};
static struct node first = {.next = &second,
                            .len = 11,
                            .name = "first",
                            .label = "a label",
                            .inner = {{-5, {0x01020304}}, {6, {0xfffefdfc}}},
                            .fruit = PEAR,
                            .weight = 1.5,
                            .flag = 1};
static struct node *head = &first;
static char full[3] = {'a', 'b', 'c'};
static char *nothing;
static __thread int thread_local_number = 4;

/* Where the expressions are. */
__attribute__((noinline)) static int here(int x)
{
    /* Few at a time: i386 has seven registers to hold them. */
    __asm__ volatile("" : "+r"(x) : "r"(&number), "r"(&positive) : "memory");
    __asm__ volatile("" : : "r"(table), "r"(matrix) : "memory");
    __asm__ volatile("" : : "r"(&head), "r"(full) : "memory");
    __asm__ volatile("" : : "r"(&nothing), "r"(&thread_local_number) : "memory");
    return x + 1;
}

static struct machine_register registers[] = {{"rax", 8, 0}, {"rdi", 8, 5}, {"eflags", 4, 49}, {"xmm0", 16, 17}};
static const uint64_t register_values[] = {0xfffffffffffffff0, 42, 0x246, 0};
static struct machine machine = {.architecture = "amd64", .word = sizeof(long), .registers = registers, .count = 4};
static struct module_files files;
static struct modules modules = {.files = &files};

static struct scene open_scene(struct arena *arena)
{
    struct scene scene = {.modules = &modules,
                          .module = modules_at(&modules, (uint64_t)(uintptr_t)here),
                          .address = (uint64_t)(uintptr_t)here,
                          .machine = &machine,
                          .types = {.arena = arena, .word = machine.word, .char_is_unsigned = (char)-1 > 0}};
    scene_open(&scene);
    return scene;
}

static int look(void **state)
{
    (void)state;
    modules.pid = getpid();
    assert_int_equal(here(1), 2);
    assert_true(modules_scan(&modules));
    struct arena arena = {NULL};
    assert_true(open_scene(&arena).has_dwarf);
    arena_free(&arena);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    modules_free(&modules);
    module_files_free(&files);
    return 0;
}

/* ---- The engine, on this process's own memory ---- */

static const char *get_register(void *arg, unsigned index, uint64_t *value)
{
    (void)arg;
    if (index >= machine.count)
        return "no such register";
    *value = register_values[index];
    return NULL;
}

static const char *get_variable(void *arg, enum rein_variable_use use, unsigned name, uint64_t *value)
{
    (void)arg;
    (void)use;
    *value = 1000 + name;
    return NULL;
}

static const char *read_own(void *arg, uint64_t address, void *buffer, size_t size)
{
    struct iovec local = {buffer, size}, remote = {(void *)(uintptr_t)address, size}; /* NOLINT */
    (void)arg;
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size ? NULL : bytecode_no_memory;
}

static struct rein_evaluation run(const struct bytecode *code)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    const struct bytecode_machine engine = {
        .get_register = get_register, .variable = get_variable, .read = read_own, .address_mask = UINT64_MAX};
    rein_bytecode *bytecode;
    if (rein_bytecode_create(code->bytes, code->size, &bytecode) != 0) {
        evaluation.trouble = "refused"; /* more on the stack than there may be */
        return evaluation;
    }
    bytecode_run(bytecode, &engine, &evaluation);
    rein_bytecode_unref(bytecode);
    return evaluation;
}

/* The value of an expression that must have one. */
static uint64_t value_of(const char *text)
{
    struct arena arena = {NULL};
    struct scene scene = open_scene(&arena);
    struct expression_error error = {0};
    struct bytecode code;
    if (!expression_condition(&scene, text, &code, &error))
        fail_msg("%s: %s, at %zu", text, error.text, error.at);
    struct rein_evaluation evaluation = run(&code);
    if (evaluation.trouble != NULL || !evaluation.has_value)
        fail_msg("%s: %s", text, evaluation.trouble == NULL ? "no value" : evaluation.trouble);
    arena_free(&arena);
    return evaluation.value;
}

static void is(const char *text, uint64_t wanted)
{
    uint64_t value = value_of(text);
    if (value != wanted)
        fail_msg("%s is 0x%llx, not 0x%llx", text, (unsigned long long)value, (unsigned long long)wanted);
}

/* That it is what the compiler makes of it. */
#define SAME(expression) is(#expression, (uint64_t)(expression))

static void P5_integers(void **state)
{
    (void)state;
    SAME(1 + 2 * 3 - 4 / 2 % 3);
    SAME((1 + 2) * 3);
    SAME(10 - 4 - 3);
    SAME(100 / 10 / 2);
    SAME(1 << 2 + 1);
    SAME(7 & 3 == 3);
    SAME(1 | 2 ^ 3 & 4);
    SAME(1 || 0 && 0);
    SAME(0 || 0 && 1 || 0);
    SAME(2 > 1 > 0);
    SAME(5 > 4 == 1);
    SAME(!5 + !0);
    SAME(~5);
    SAME(-5 % 3);
    SAME(-5 / 3);
    SAME(- -5);
    SAME(+5 - -3);
    SAME(1 ? 2 : 0 ? 4 : 5);
    SAME(0 ? 2 : 0 ? 4 : 5);
    SAME(1 ? 0 ? 6 : 7 : 8);
    SAME(0x7fffffff);
    SAME(0xffffffff);
    SAME(0x100000000);
    SAME(0xffffffffffffffff);
    SAME(4294967295);
    SAME(017);
    SAME(0);
    is("0b1011", 11);
    SAME('a' + '\n' + '\x41' + '\101' + '\'' + '\\' + '\0');
    SAME('\xff');
    SAME(-1 < 1u);
    SAME(-1 < 1);
    SAME(-1 < 1l);
    SAME(-1l < 1u);
    SAME(-1ll < 1ull);
    SAME(1u - 2);
    SAME(1ull - 2);
    SAME(-1 / 2u);
    SAME(-1 >> 1);
    SAME(-1u >> 1);
    SAME(-8 >> 1);
    SAME(1u << 31);
    SAME(1ll << 40);
    SAME(0x80000000 * 2);
    SAME(0x7fffffffu + 1);
    SAME((u8)300);
    SAME((s8)200);
    SAME((u16)-1);
    SAME((u32)-1 + 1);
    SAME((s64)(u32)-1);
    SAME((u64)-1);
    SAME((unsigned char)'\xff' == '\xff');
    SAME((s8)255 == -1);
    SAME((u8)255 == -1);
    SAME((u8)255 + (u8)255);
    SAME((u8)1 << 10);
    SAME((short)40000);
    SAME((_Bool)256 + (_Bool)0);
    SAME((long unsigned int)3 + (short int)-4);
    SAME(sizeof(int) + sizeof(long) * 10 + sizeof(char *) * 100 + sizeof(long long) * 1000);
    SAME(sizeof 1 + sizeof 1ll * 10 + sizeof(u16) * 100 + sizeof(double) * 1000);
    SAME(0 && 1 / 0);
    SAME(1 || 1 / 0);
    SAME(0 ? 1 / 0 : 5);
    SAME(0 == 0 != 0);
    SAME(3 <= 3 && 3 >= 3 && 3 < 4 && 4 > 3);
    SAME((1 ? -1 : 0u) > 0);
}

static void P5_variables(void **state)
{
    (void)state;
    SAME(number);
    SAME(number + 1u);
    SAME(number < positive);
    SAME(positive + 1000000000);
    SAME(positive > 0 ? number : 0);
    SAME(table[1] + table[4]);
    SAME(*table + *(table + 2));
    SAME(1 [table]);
    SAME(&table[3] - table);
    SAME(&table[3] > &table[2]);
    SAME(sizeof table + sizeof table[0] + sizeof(struct node) * 100);
    SAME(matrix[1][2] * 10 + matrix[0][1]);
    SAME(sizeof matrix[0]);
    SAME(head->len);
    SAME(head->next->len);
    SAME((*head).len + first.len);
    SAME(head->next->three);
    SAME(head->next->minus);
    SAME(head->next->wide);
    SAME(head->next->wide + 1 > 0);
    SAME(head->next->minus < head->next->three);
    SAME(-1 < head->next->three);
    SAME(head->name[2]);
    SAME(*head->name == 'f');
    SAME(head->inner[1].bytes[2] + head->inner[0].low);
    SAME(head->inner[1].whole);
    SAME(head->inner[0].whole == 0x01020304);
    SAME(head->fruit == PEAR && head->next->fruit == PLUM);
    SAME(PLUM);
    SAME((enum fruit)70 == PEAR);
    SAME(head->flag + 1);
    SAME(!head->flag);
    SAME(head->next->next == NULL);
    SAME(!head->next->next || head->next->next->len);
    SAME((u8)number);
    is("*(u16 *)&number", (u16)number);
    SAME(*(u8 *)((char *)&positive + 1));
    SAME((long)&number == (long)(int *)&number);
    SAME(&*head == head);
    SAME(&head->len == (int *)((char *)head + sizeof(void *)));
    SAME(((struct node *)(void *)head)->len);
    SAME((unsigned long)(head + 1) - (unsigned long)head);
    SAME(head + 1 - head);
    SAME(head ? 1 : 2);
    SAME(head && number);
    is("here == (long)&here", 1);
    is("here", (uint64_t)(uintptr_t)here);
    is("sizeof head->weight", 8);
}

static void P5_strings(void **state)
{
    (void)state;
    is("head->name == \"first\"", 1);
    is("\"first\" == head->name", 1);
    is("head->name == \"firs\"", 0);
    is("head->name == \"first!\"", 0);
    is("head->name != \"second\"", 1);
    is("head->name == \"a string that is longer than the array\"", 0);
    is("head->label == \"a label\"", 1);
    is("head->label != \"a label\"", 0);
    is("head->label == \"a \\x6cabel\"", 1);
    is("head->label + 2 == \"label\"", 1);
    is("head->next->label == \"\"", 0); /* a null pointer is no string */
    is("nothing != \"x\"", 1);
    is("full == \"abc\"", 1); /* without a 0 behind it */
    is("full == \"abcd\"", 0);
    is("full == \"ab\"", 0);
    is("(char *)head->name == \"first\" && !(head->name == \"\")", 1);
    SAME(head->label == head->next->label);
}

static void P5_registers_and_the_engine(void **state)
{
    (void)state;
    is("rdi", 42);
    is("$rdi == 42 && rax == -16", 1);
    is("rax < 0", 0);
    is("(s64)rax < 0", 1);
    is("(int)rax", (uint64_t)-16);
    is("(u8)eflags", 0x46);
    is("tid * 10000 + pid", 1001 * 10000 + 1002);
    is("hits == 1003 && $hits == hits", 1);
    is("sizeof rax + sizeof eflags", 12);
}

/* ---- What is wrong ---- */

static void says(const char *text, size_t at, const char *wanted)
{
    struct arena arena = {NULL};
    struct scene scene = open_scene(&arena);
    struct expression_error error = {0};
    struct bytecode code;
    if (expression_condition(&scene, text, &code, &error))
        fail_msg("%s is no error", text);
    if (strstr(error.text, wanted) == NULL || error.at != at)
        fail_msg("%s: %s, at %zu", text, error.text, error.at);
    free(error.text);
    arena_free(&arena);
}

static void E1_what_does_not_parse(void **state)
{
    (void)state;
    says("", 0, "missing");
    says("number >", 8, "missing");
    says("number > )", 9, "not ')'");
    says("(number", 7, "the ) that belongs to a ( is missing");
    says("table[1", 7, "the ] that belongs to a [ is missing");
    says("number == 1 ? 2", 15, "the : ");
    says("number = 3", 7, "== compares");
    says("number += 3", 7, "changes nothing");
    says("number++", 6, "changes nothing");
    says("number number", 7, "an operator was expected");
    says("1, 2", 1, "no comma operator");
    says("1 @ 2", 2, "'@' cannot be");
    says("1 \x01", 2, "0x01 cannot be");
    says("0x", 0, "'0x' is no number");
    says("12ab", 0, "is no number");
    says("08", 0, "is no number");
    says("1lul", 0, "is no number");
    says("18446744073709551616", 0, "64 bits");
    says("1.5", 0, "floating-point");
    says("'ab'", 0, "one character");
    says("'a", 0, "closing '");
    says("head->name == \"a", 14, "closing \"");
    says("head->name == \"a\\q\"", 16, "no such escape");
    says("head->name == \"a\\0b\"", 14, "first \\0");
    says("here(1)", 0, "not called");
    says("(long short)1", 1, "no such type");
    says("head->", 6, "name of a member");
    says("(struct)1", 7, "name of a type");
}

static void E1_what_is_not_known(void **state)
{
    (void)state;
    says("numbre > 3", 0, "there is no variable, register or constant \"numbre\"; there is number");
    says("1 + head->lne", 10, "struct node has no member \"lne\"; there is len");
    says("$rdx", 0, "no register \"rdx\"");
    says("(struct nod *)head == 0", 1, "no type \"struct nod\"");
    says("(nod *)head == 0", 1, "no type \"nod\"");
    says("number->len", 6, "no pointer");
    says("head.len", 5, "behind ->");
    says("first->len", 5, "behind a .");
    says("number.len", 7, "only a structure");
    says("*number", 0, "no pointer but int");
    says("number[2]", 6, "[] is for");
    says("*head == 1", 0, "struct node as a whole");
    says("head->weight > 1", 6, "floating-point");
    says("(double)number", 1, "to an integer");
    says("(struct node)number", 1, "to an integer");
    says("head * 2", 5, "not for a pointer");
    says("-head", 0, "not for a pointer");
    says("&head->three", 7, "field of bits");
    says("&1", 0, "no address");
    says("head->name == \"a\" + 1", 18, "only be compared");
    says("head->name < \"a\"", 11, "== and !=");
    says("number == \"a\"", 0, "char pointer");
    says("\"a\" == \"b\"", 0, "char pointer");
    says("\"a\"", 0, "only be compared");
    says("xmm0 == 1", 0, "xmm0");
    says("thread_local_number", 0, "thread-local");
    says("*(void *)head", 0, "void");
}

static void E1_what_is_too_much(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    static const char *const openings[] = {"(", "!", "- ", "~", "*", "1?", "1?1:", "1+(", "table[", "sizeof ", "(u8)"};
    char text[EXPRESSION_MAX + 100];
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++) {
        size_t length = 0;
        while (length < MANY)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s", openings[i]);
        snprintf(text + length, sizeof text - length, "1");
        struct expression_error error = {0};
        assert_false(expression_check(text, false, &error));
        if (strstr(error.text, "nested too deeply") == NULL)
            fail_msg("%s...: %s", openings[i], error.text);
        free(error.text);
    }
    /* What is long is not deep. */
    size_t length = (size_t)snprintf(text, sizeof text, "1");
    for (int i = 0; i < MANY / 2; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "+1");
    is(text, MANY / 2 + 1);
    memset(text, ' ', EXPRESSION_MAX + 1);
    snprintf(text + EXPRESSION_MAX, 3, "1");
    struct expression_error error = {0};
    assert_false(expression_check(text, false, &error));
    assert_non_null(strstr(error.text, "longer than"));
    free(error.text);
}

static void E1_where_it_is_wrong(void **state)
{
    (void)state;
    char *shown = expression_show("a + \t\xc3\xa4 = 3", &(struct expression_error){.at = 8});
    assert_string_equal(shown, "    a +  \xc3\xa4 = 3\n           ^");
    free(shown);
}

static void P5_troubles(void **state)
{
    (void)state;
    static const struct {
        const char *text, *trouble;
    } troubles[] = {{"1 / (number + 7)", "division by zero"},
                    {"number % (number + 7)", "division by zero"},
                    {"1u / (positive - 4000000000u)", "division by zero"},
                    {"*(u32 *)16", "memory cannot be read"},
                    {"head->next->next->len", "memory cannot be read"},
                    {"(char *)1 == \"x\"", "memory cannot be read"}};
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        struct arena arena = {NULL};
        struct scene scene = open_scene(&arena);
        struct expression_error error = {0};
        struct bytecode code;
        assert_true(expression_condition(&scene, troubles[i].text, &code, &error));
        struct rein_evaluation evaluation = run(&code);
        assert_false(evaluation.has_value);
        assert_string_equal(evaluation.trouble, troubles[i].trouble);
        arena_free(&arena);
    }
}

/* ---- 32-bit programs ---- */

static void X2_narrow_words(void **state)
{
    (void)state;
    size_t word = machine.word;
    machine.word = 4;
    is("sizeof(long) + sizeof(void *) * 10 + sizeof(size_t) * 100 + sizeof(long long) * 1000", 8444);
    is("(long)0xffffffff", UINT64_MAX);
    is("(unsigned long)-1", UINT32_MAX);
    is("-1 < 1ul", 0);
    is("-1l < 1u", 0); /* not on amd64, where a long holds it */
    is("(char *)0xfffffff0 + 32", 16);
    is("(char *)16 - (char *)32", (uint64_t)-16);
    is("2147483648", 2147483648);
    is("sizeof 2147483648", 8);
    is("1ull - 2", UINT64_MAX);
    is("sizeof 1l + sizeof 1ul * 10 + sizeof 1ll * 100 + sizeof 1ull * 1000", 8844);
    machine.word = word;
}

/* ---- Whatever is written ---- */

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next_random(void) /* xorshift64* */
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717);
}

/* It is an expression, which the engine takes and evaluates, or an error that is within the text. */
static bool try_text(const struct scene *scene, const char *text)
{
    struct expression_error error = {0};
    struct bytecode code;
    struct reading *readings = NULL;
    size_t count = 0;
    bool valid = expression_condition(scene, text, &code, &error);
    if (valid)
        run(&code);
    else if (error.text == NULL || error.at > strlen(text))
        fail_msg("%s: no error, or at %zu", text, error.at);
    free(error.text);
    error.text = NULL;
    if (!expression_readings(scene, text, &readings, &count, &error))
        assert_non_null(error.text);
    free(error.text);
    return valid;
}

static const char *const samples[] = {
    "number == -7 && *(u32 *)(rdi + 8) > 3",
    "head->next->len + table[2] * (sizeof(struct node) % 7)",
    "head->name == \"first\" || head->label != \"x\\n\"",
    "head->inner[1].bytes[number & 3] ? tid : pid",
    "(unsigned long long)matrix[1][2] << 3 >> 1u",
    "!head->flag == ~0x1f, 'a', *head, head->inner",
    "&head->next->wide - (enum fruit)PEAR",
    "(const char *)head == \"abc\" ? -$rax : +positive",
};
static const char *const snippets[] = {"(",  ")",  "[",      "]",         "->",   ".",      "*",  "&",      "&&",
                                       "||", "==", "!=",     "!",         "~",    "?",      ":",  ",",      "\"a\"",
                                       "'",  "<<", "number", "head",      "(u8)", "sizeof", "0x", "struct", "::",
                                       "$",  "-",  "1",      "long long", "%",    "xmm0"};

static void mutate(char *text, size_t room)
{
    size_t length = strlen(text), at = length == 0 ? 0 : next_random() % length;
    const char *snippet = snippets[next_random() % (sizeof snippets / sizeof *snippets)];
    switch (next_random() % 4) {
    case 0:
        if (length > 0)
            text[at] = (char)(1 + next_random() % 255);
        break;
    case 1:
        if (length > 0)
            memmove(text + at, text + at + 1, length - at);
        break;
    case 2:
        if (length + strlen(snippet) < room) {
            memmove(text + at + strlen(snippet), text + at, length - at + 1);
            memcpy(text + at, snippet, strlen(snippet));
        }
        break;
    default: /* a part of it once more */
        if (2 * length - at < room) {
            memmove(text + length, text + at, length - at);
            text[2 * length - at] = '\0';
        }
        break;
    }
}

static void E1_whatever_is_written(void **state)
{
    (void)state;
    const char *rounds = getenv("REIN_ROUNDS");
    size_t count = rounds == NULL ? 200 : strtoul(rounds, NULL, 10), valid = 0;
    char text[600];
    for (size_t i = 0; i < count; i++) {
        struct arena arena = {NULL};
        struct scene scene = open_scene(&arena);
        for (size_t j = 0; j < sizeof samples / sizeof *samples; j++) {
            snprintf(text, sizeof text, "%s", samples[j]);
            for (uint64_t changes = next_random() % 8; changes > 0; changes--)
                mutate(text, sizeof text);
            valid += try_text(&scene, text);
        }
        size_t length = next_random() % 40;
        for (size_t j = 0; j < length; j++)
            text[j] = (char)(1 + next_random() % 255);
        text[length] = '\0';
        try_text(&scene, text);
        text[0] = '\0'; /* words in any order */
        for (size_t j = 0; j < 1 + next_random() % 12; j++)
            strcat(text, snippets[next_random() % (sizeof snippets / sizeof *snippets)]);
        valid += try_text(&scene, text);
        arena_free(&arena);
    }
    assert_true(valid > count / 10); /* or it shows nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(P5_integers),
        cmocka_unit_test(P5_variables),
        cmocka_unit_test(P5_strings),
        cmocka_unit_test(P5_registers_and_the_engine),
        cmocka_unit_test(P5_troubles),
        cmocka_unit_test(E1_what_does_not_parse),
        cmocka_unit_test(E1_what_is_not_known),
        cmocka_unit_test(E1_what_is_too_much),
        cmocka_unit_test(E1_where_it_is_wrong),
        cmocka_unit_test(X2_narrow_words),
        cmocka_unit_test(E1_whatever_is_written),
    };
    return cmocka_run_group_tests(tests, look, forget);
}
