/* What a resume has to remember of threads until they stop, or run on. There are few marks at a time, so that a list will do. */
#include <stdlib.h>
#include <string.h>

#include "marks.h"

void marks_init(struct marks *marks)
{
    *marks = (struct marks){.list = NULL};
}

void marks_free(struct marks *marks)
{
    free(marks->list);
}

static void remove_mark(struct marks *marks, size_t at)
{
    marks->count--;
    memmove(marks->list + at, marks->list + at + 1, (marks->count - at) * sizeof *marks->list);
}

bool marks_add(struct marks *marks, enum mark_kind kind, rein_thread *thread, int number,
               const struct rein_signal *details)
{
    struct mark mark = {kind, rein_process_id(rein_thread_process(thread)), rein_thread_id(thread), number,
                        details ? *details : (struct rein_signal){.number = 0}};
    if (marks->count == marks->room) {
        size_t room = 2 * marks->room + 16;
        struct mark *grown = realloc(marks->list, room * sizeof *grown);
        if (grown) {
            marks->list = grown;
            marks->room = room;
        }
    }
    bool fits = marks->count < marks->room;
    if (fits)
        marks->list[marks->count++] = mark;
    return fits;
}

bool marks_take_if(struct marks *marks, bool (*is_wanted)(const struct mark *mark, void *arg), void *arg,
                   struct mark *taken)
{
    bool found = false;
    for (size_t i = 0; i < marks->count && !found; i++) {
        found = is_wanted(&marks->list[i], arg);
        if (!found)
            continue;
        *taken = marks->list[i];
        remove_mark(marks, i);
    }
    return found;
}

static bool is_like(const struct mark *mark, void *arg)
{
    const struct mark *wanted = arg;
    return mark->kind == wanted->kind && mark->tid == wanted->tid &&
           (!wanted->number || mark->number == wanted->number);
}

bool marks_take(struct marks *marks, enum mark_kind kind, int tid, int *number, struct rein_signal *details)
{
    struct mark wanted = {.kind = kind, .tid = tid, .number = number ? *number : 0}, taken;
    if (!marks_take_if(marks, is_like, &wanted, &taken))
        return false;
    if (number)
        *number = taken.number;
    if (details)
        *details = taken.details;
    return true;
}

bool marks_has(struct marks *marks, enum mark_kind kind, int tid)
{
    bool found = false;
    for (size_t i = 0; i < marks->count && !found; i++)
        found = marks->list[i].kind == kind && (!tid || marks->list[i].tid == tid);
    return found;
}

void marks_forget(struct marks *marks, int pid, int tid)
{
    for (size_t i = marks->count; i-- > 0;)
        if (marks->list[i].pid == pid && (!tid || marks->list[i].tid == tid))
            remove_mark(marks, i);
}

void marks_forget_all_but(struct marks *marks, enum mark_kind kind)
{
    for (size_t i = marks->count; i-- > 0;)
        if (marks->list[i].kind != kind)
            remove_mark(marks, i);
}
