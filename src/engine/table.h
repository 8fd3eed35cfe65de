/* A hash table from numbers (thread ids, addresses) to pointers: open addressing, at most three quarters full, so that finding
 * costs the same with ten elements as with a hundred thousand. Keys are any number, values are not NULL. */
#ifndef REIN_ENGINE_TABLE_H
#define REIN_ENGINE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_slot {
    uint64_t key;
    void *value; /* NULL: empty */
};

struct table {
    struct table_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

void table_init(struct table *table);
void table_free(struct table *table);
void *table_find(const struct table *table, uint64_t key);
/* Adds or replaces. 0 or -ENOMEM, the table is as before then. */
int table_set(struct table *table, uint64_t key, void *value);
/* Makes room, so that the next `more` new keys cannot fail. */
int table_reserve(struct table *table, size_t more);
void table_remove(struct table *table, uint64_t key);

/* Visits every element; the table must not change meanwhile. */
#define TABLE_FOR_EACH(slot, table)                                                                                    \
    for (struct table_slot *slot = (table)->slots; slot && slot < (table)->slots + (table)->capacity; slot++)          \
        if (slot->value)

#endif
