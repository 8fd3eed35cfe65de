/* A doubly linked list through a member of its elements; no memory of its own. An element that is in no list points at
 * itself, so removing twice does no harm. A reader going forward is never led astray by a half-done change, which is what
 * monitor_ended relies on after the monitor was killed. */
#ifndef REIN_ENGINE_LIST_H
#define REIN_ENGINE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *previous;
};

#define LIST_ENTRY(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* The element being visited may be removed in the body. */
#define LIST_FOR_EACH(item, head)                                                                                      \
    for (struct list *item = (head)->next, *item##_next = item->next; item != (head);                                  \
         item = item##_next, item##_next = item->next)

static inline void list_init(struct list *list)
{
    list->next = list->previous = list;
}

static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_append(struct list *head, struct list *item)
{
    item->next = head;
    item->previous = head->previous;
    head->previous->next = item;
    head->previous = item;
}

static inline void list_remove(struct list *item)
{
    item->previous->next = item->next;
    item->next->previous = item->previous;
    list_init(item);
}

#endif
