/* The hash table of table.h: linear probing, and removal that moves later elements of a run back instead of leaving
 * tombstones, so that a table that sees a million threads come and go stays as fast as a new one. */
#include "engine/table.h"

#include <errno.h>
#include <stdlib.h>

static size_t home(const struct table *table, uint64_t key)
{
    /* Fibonacci hashing: thread ids are consecutive and addresses share their low bits. */
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (table->capacity - 1);
}

void table_init(struct table *table)
{
    *table = (struct table){NULL, 0, 0};
}

void table_free(struct table *table)
{
    free(table->slots);
    table_init(table);
}

static struct table_slot *find_slot(const struct table *table, uint64_t key)
{
    size_t at = home(table, key);
    while (table->slots[at].value && table->slots[at].key != key)
        at = (at + 1) & (table->capacity - 1);
    return &table->slots[at];
}

void *table_find(const struct table *table, uint64_t key)
{
    return table->capacity ? find_slot(table, key)->value : NULL;
}

int table_reserve(struct table *table, size_t more)
{
    size_t capacity = table->capacity ? table->capacity : 16;
    while (capacity / 4 * 3 < table->count + more)
        capacity *= 2;
    if (capacity == table->capacity)
        return 0;
    struct table larger = {calloc(capacity, sizeof *larger.slots), capacity, table->count};
    if (!larger.slots)
        return -ENOMEM;
    TABLE_FOR_EACH(slot, table)
    *find_slot(&larger, slot->key) = *slot;
    free(table->slots);
    *table = larger;
    return 0;
}

int table_set(struct table *table, uint64_t key, void *value)
{
    struct table_slot *slot = table->capacity ? find_slot(table, key) : NULL;
    if (!slot || !slot->value) {
        int result = table_reserve(table, 1);
        if (result)
            return result;
        slot = find_slot(table, key);
        table->count++;
    }
    *slot = (struct table_slot){key, value};
    return 0;
}

void table_remove(struct table *table, uint64_t key)
{
    if (!table->capacity)
        return;
    size_t mask = table->capacity - 1;
    size_t hole = (size_t)(find_slot(table, key) - table->slots);
    if (!table->slots[hole].value)
        return;
    table->count--;
    for (size_t at = (hole + 1) & mask; table->slots[at].value; at = (at + 1) & mask) {
        size_t distance_to_home = (at - home(table, table->slots[at].key)) & mask;
        if (distance_to_home >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].value = NULL;
}
