/* The hash table of src/engine/table.c, on which M4 rests (an event costs the same with ten threads as with ten thousand):
 * random use against a model that cannot be wrong, the keys chosen to collide. No program. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/table.h"

/* Asking for more than there can be is an answer, not an abort, also under AddressSanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static uint64_t seed;

static uint64_t next_random(void) /* xorshift64* */
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717);
}

/* ---- The model: a plain array ---- */

#define KEYS 600
struct model {
    uint64_t keys[KEYS]; /* all that ever occur, distinct */
    void *values[KEYS];  /* NULL: not in */
    size_t count;
};

static void check(const struct table *table, const struct model *model)
{
    size_t seen = 0;
    assert_int_equal(table->count, model->count);
    assert_true(table->count == 0 || table->capacity / 4 * 3 >= table->count); /* three quarters full at most */
    assert_int_equal(table->capacity & (table->capacity - 1), 0);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(table_find(table, model->keys[i]), model->values[i]);
    TABLE_FOR_EACH(slot, table)
    {
        seen++;
        assert_ptr_equal(table_find(table, slot->key), slot->value); /* so none is there twice */
    }
    assert_int_equal(seen, model->count);
}

enum keys { CONSECUTIVE, ADDRESSES, ANY, FEW_HOMES, KINDS_OF_KEYS };

/* Multiplied by the inverse of the table's constant: consecutive numbers in the bits that it looks at. */
static uint64_t with_home(uint64_t home, uint64_t other)
{
    uint64_t wanted = home << 32 | (other & 0xffffffff), factor = UINT64_C(0x9E3779B97F4A7C15), inverse = factor;
    for (int i = 0; i < 6; i++) /* Newton: doubles the bits that are right */
        inverse *= 2 - factor * inverse;
    return wanted * inverse;
}

static void choose_keys(struct model *model, enum keys kind)
{
    for (size_t i = 0; i < KEYS; i++) {
        switch (kind) {
        case CONSECUTIVE: /* thread ids */
            model->keys[i] = 4000 + i;
            break;
        case ADDRESSES:
            model->keys[i] = UINT64_C(0x555555554000) + 16 * i;
            break;
        case FEW_HOMES: /* long runs, that wrap round the end of the table */
            model->keys[i] = with_home(UINT64_C(0xffffffff) - i % 3, i);
            break;
        default:
            model->keys[i] = i == 0 ? 0 : i == 1 ? UINT64_MAX : next_random();
        }
    }
}

static void random_use(enum keys kind, uint64_t start)
{
    struct model model = {.count = 0};
    struct table table;
    seed = start;
    table_init(&table);
    choose_keys(&model, kind);
    check(&table, &model);
    size_t among = KEYS;
    for (int step = 0; step < 6000; step++) {
        if (step % 500 == 0)
            among = 1 + (size_t)(next_random() % KEYS);
        size_t at = (size_t)(next_random() % among);
        uint64_t what = next_random() % 16;
        if (what < 8) {
            void *value = (void *)(uintptr_t)(next_random() | 1);
            assert_int_equal(table_set(&table, model.keys[at], value), 0);
            model.count += !model.values[at];
            model.values[at] = value;
        } else if (what < 15) {
            table_remove(&table, model.keys[at]);
            model.count -= model.values[at] != NULL;
            model.values[at] = NULL;
        } else {
            size_t more = (size_t)(next_random() % 64), capacity;
            assert_int_equal(table_reserve(&table, more), 0);
            capacity = table.capacity;
            assert_true(capacity / 4 * 3 >= table.count + more);
        }
        if (step % 20 == 0)
            check(&table, &model);
    }
    check(&table, &model);
    for (size_t i = 0; i < KEYS; i++) {
        table_remove(&table, model.keys[i]);
        model.count -= model.values[i] != NULL;
        model.values[i] = NULL;
    }
    check(&table, &model);
    table_free(&table);
    assert_int_equal(table.capacity, 0);
}

static void M4_random_use_against_a_model(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS_OF_KEYS; kind++) {
        for (uint64_t start = 1; start <= 4; start++) {
            random_use((enum keys)kind, start * 7919);
        }
    }
}

static void M4_empty_table(void **state)
{
    (void)state;
    struct table table;
    table_init(&table);
    assert_null(table_find(&table, 0));
    table_remove(&table, 0);
    TABLE_FOR_EACH(slot, &table)
    fail();
    table_free(&table);
    table_free(&table);
    assert_int_equal(table_set(&table, 5, &table), 0); /* it can be used again */
    assert_ptr_equal(table_find(&table, 5), &table);
    table_free(&table);
}

/* What was reserved cannot fail, nor does it move anything. */
static void M4_reserved_room_is_there(void **state)
{
    (void)state;
    struct table table;
    table_init(&table);
    assert_int_equal(table_reserve(&table, 1000), 0);
    const struct table_slot *slots = table.slots;
    for (uint64_t key = 0; key < 1000; key++)
        assert_int_equal(table_set(&table, key, &table), 0);
    assert_ptr_equal(table.slots, slots);
    table_free(&table);
}

static void M4_no_memory_changes_nothing(void **state)
{
    (void)state;
    struct table table;
    table_init(&table);
    assert_int_equal(table_reserve(&table, SIZE_MAX / 8), -ENOMEM);
    for (uint64_t key = 0; key < 100; key++)
        assert_int_equal(table_set(&table, key, &table), 0);
    assert_int_equal(table_reserve(&table, SIZE_MAX / 8), -ENOMEM);
    assert_int_equal(table.count, 100);
    for (uint64_t key = 0; key < 100; key++)
        assert_ptr_equal(table_find(&table, key), &table);
    table_free(&table);
}

/* A million threads that come and go leave nothing behind that a look would have to pass. */
static void M4_stays_small(void **state)
{
    (void)state;
    struct table table;
    table_init(&table);
    for (uint64_t key = 1; key <= 1000000; key++) {
        assert_int_equal(table_set(&table, key, &table), 0);
        if (key > 8)
            table_remove(&table, key - 8);
    }
    assert_int_equal(table.count, 8);
    assert_true(table.capacity <= 32);
    table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(M4_random_use_against_a_model),
        cmocka_unit_test(M4_empty_table),
        cmocka_unit_test(M4_reserved_room_is_there),
        cmocka_unit_test(M4_no_memory_changes_nothing),
        cmocka_unit_test(M4_stays_small),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
