/* Writes events as text and as JSON. Only the main thread comes here. Each event is a struct of facts that is written in
 * one of the two ways; the man page, rein-trace(1), lists the JSON members: keep it true. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "site_code.h"
#include "stack.h"

/* A reader may be slow, or stuck: rein must still hear signals then. */
static ssize_t write_out(void *cookie, const char *data, size_t size)
{
    enum { WATCH_MS = 100, PATIENCE_MS = 1000 };
    struct output *output = cookie;
    size_t done = 0;
    while (done < size && !output->failed) {
        struct pollfd polls[] = {{.fd = output->fd, .events = POLLOUT}, {.fd = output->watched_fd, .events = POLLIN}};
        bool hurry = output->hurry;
        int ready = poll(polls, 2, hurry ? PATIENCE_MS : WATCH_MS);
        if (ready == 0 && hurry)
            output->failed = true;
        if (output->watched != NULL && (ready == 0 || polls[1].revents != 0))
            output->watched(output->watched_arg);
        if (ready <= 0 || polls[0].revents == 0)
            continue;
        size_t left = size - done;
        ssize_t written = write(output->fd, data + done, left < output->portion ? left : output->portion);
        if (written >= 0) {
            done += (size_t)written;
            output->hurry = output->hurry_to_end;
        } else if (errno != EINTR && errno != EAGAIN) {
            output->failed = true;
            if (output->fd != STDERR_FILENO && errno != EPIPE)
                cli_error("the output cannot be written: %s", strerror(errno));
        }
    }
    return (ssize_t)size; /* what has failed is known by .failed */
}

bool output_open(struct output *output, const char *path)
{
    struct stat status;
    int fd = path == NULL ? STDERR_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return false;
    output->fd = fd;
    output->portion = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? SIZE_MAX : PIPE_BUF;
    output->file = fopencookie(output, "w", (cookie_io_functions_t){.write = write_out});
    if (output->file == NULL)
        return false;
    setvbuf(output->file, NULL, _IOFBF, 1 << 16);
    return true;
}

void output_like(struct output *output, const struct output *other)
{
    *output = (struct output){
        .json = other->json,
        .watched_fd = other->watched_fd,
        .watched = other->watched,
        .watched_arg = other->watched_arg,
        .by_thread = other->by_thread,
        .begin = other->begin,
    };
}

void output_close(struct output *output)
{
    if (output->file == NULL)
        return;
    fclose(output->file);
    output->file = NULL;
    if (output->fd != STDERR_FILENO)
        close(output->fd);
}

void output_flush(struct output *output)
{
    if (!output->failed && output->file != NULL)
        fflush(output->file);
}

/* ---- JSON ---- */

/* Valid UTF-8. To be freed. */
static char *valid_text(const char *text, size_t length)
{
    char *copy = cli_alloc(length + 1, 1);
    for (size_t i = 0, step; i < length; i += step) {
        step = cli_utf8_length(text + i, length - i);
        if (step > 0)
            memcpy(copy + i, text + i, step);
        else
            copy[i] = '?';
        step += step == 0;
    }
    return copy;
}

json_t *output_text(const char *text, size_t length)
{
    char *copy = valid_text(text, length);
    json_t *value = json_stringn(copy, length);
    free(copy);
    return value;
}

static json_t *text_json(const char *text)
{
    return output_text(text, strlen(text));
}

void output_set_any(json_t *object, const char *key, json_t *value)
{
    char *copy = valid_text(key, strlen(key));
    json_object_set_new(object, copy, value);
    free(copy);
}

void output_set_text(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, text_json(text));
}

static void set_number(json_t *object, const char *key, int64_t value)
{
    json_object_set_new(object, key, json_integer(value));
}

static void set_address(json_t *object, const char *key, uint64_t address)
{
    char text[24];
    snprintf(text, sizeof text, "0x%" PRIx64, address);
    json_object_set_new(object, key, json_string(text));
}

static json_t *begin_json(struct output *output, const char *event, const struct timespec *time, int tid)
{
    struct timespec now;
    if (time == NULL)
        clock_gettime(CLOCK_REALTIME, &now);
    else
        now = *time;
    json_t *object = json_object();
    json_object_set_new(object, "event", json_string(event));
    set_number(object, "sequence", (int64_t)++output->sequence);
    json_object_set_new(object, "time", json_real((double)now.tv_sec + (double)now.tv_nsec / 1e9));
    set_number(object, "pid", output->pid);
    if (output->parent != 0)
        set_number(object, "parent", output->parent);
    if (tid != 0)
        set_number(object, "tid", tid);
    return object;
}

/* Control characters that JSON allows in a string, and a terminal might obey: DEL, and U+0080 to U+009F. */
static void put_json(FILE *file, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        bool is_high = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
        if (is_high || *at == 0x7f)
            fprintf(file, "\\u%04x", is_high ? *++at : *at);
        else
            putc(*at, file);
    }
    putc('\n', file);
}

void output_json(FILE *file, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(16));
    if (text != NULL)
        put_json(file, text);
    free(text);
    json_decref(object);
}

static void end_json(struct output *output, json_t *object)
{
    if (output->failed)
        json_decref(object);
    else
        output_json(output->file, object);
}

void output_set_place(json_t *object, const struct described *place)
{
    if (place->symbol != NULL) {
        char *name = cli_format("%.*s", (int)place->symbol->name_length, place->symbol->name);
        output_set_text(object, "symbol", name);
        free(name);
    }
    if (place->path != NULL) {
        set_number(object, "offset", (int64_t)place->offset);
        output_set_text(object, "module", place->path);
    }
    if (place->has_line) {
        output_set_text(object, "file", place->line.file);
        set_number(object, "line", place->line.line);
    }
}

static void set_pc(struct output *output, json_t *object, uint64_t pc)
{
    struct described place;
    set_address(object, "pc", pc);
    modules_describe(output->modules, pc, &place);
    output_set_place(object, &place);
}

static void set_site(json_t *object, const struct site *site)
{
    char *condition = site_condition(site);
    output_set_text(object, "location", site->location);
    if (condition != NULL)
        output_set_text(object, "condition", condition);
    free(condition);
    if (site->symbol != NULL) {
        output_set_text(object, "symbol", site->symbol);
        set_number(object, "offset", (int64_t)site->offset);
    }
    if (site->path != NULL)
        output_set_text(object, "module", site->path);
    if (site->source != NULL) {
        output_set_text(object, "file", site->source);
        set_number(object, "line", site->line);
    }
}

static void set_watch(json_t *object, const struct watch *watch)
{
    output_set_text(object, "watch", watch->text);
    if (!watch->found_ever)
        return;
    set_address(object, "address", watch->address);
    set_number(object, "size", (int64_t)watch->size);
}

/* The pc is behind the instruction that has written: what is told is where its last byte is. */
static uint64_t writer_of(const struct record *record)
{
    return record->pc - 1;
}

static void set_write(struct output *output, json_t *object, const struct record *record)
{
    struct described place;
    set_watch(object, record->watch);
    if (record->value_known) {
        set_address(object, "old", record->old_value);
        set_address(object, "new", record->new_value);
    }
    set_address(object, "pc", record->pc);
    modules_describe(output->modules, writer_of(record), &place);
    output_set_place(object, &place);
}

static void set_exit(json_t *object, const struct rein_exit *how)
{
    if (!how->signaled) {
        set_number(object, "status", how->status);
        return;
    }
    output_set_text(object, "signal", rein_signal_name(how->signal));
    json_object_set_new(object, "core_dumped", json_boolean(how->core_dumped));
}

/* ---- Signals ---- */

static bool is_fault(const struct record *record)
{
    return record->code > 0 && record->code != SI_KERNEL &&
           (record->number == SIGSEGV || record->number == SIGBUS || record->number == SIGFPE ||
            record->number == SIGILL || record->number == SIGTRAP);
}

static bool has_sender(const struct record *record)
{
    return record->code == SI_USER || record->code == SI_TKILL || record->code == SI_QUEUE ||
           record->code == SI_MESGQ || (record->number == SIGCHLD && record->code > 0);
}

/* Who sent it, and where the thread was. To be freed. */
static char *signal_text(struct output *output, const struct record *record)
{
    char from[80] = "";
    if (is_fault(record))
        snprintf(from, sizeof from, " (address 0x%" PRIx64 ")", record->address);
    else if (record->code == SI_QUEUE)
        snprintf(from, sizeof from, " (from %d, value %" PRId64 ")", record->sender_pid, record->value);
    else if (has_sender(record))
        snprintf(from, sizeof from, " (from %d)", record->sender_pid);
    else if (record->code == SI_TIMER)
        snprintf(from, sizeof from, " (timer)");
    char *place = record->pc == 0 ? NULL : modules_describe_text(output->modules, record->pc);
    char *text = cli_format("%s%s%s%s", rein_signal_name(record->number), from, place == NULL ? "" : " at ",
                            place == NULL ? "" : place);
    free(place);
    return text;
}

static void set_signal(struct output *output, json_t *object, const struct record *record)
{
    output_set_text(object, "signal", rein_signal_name(record->number));
    set_number(object, "number", record->number);
    set_number(object, "code", record->code);
    if (has_sender(record)) {
        set_number(object, "sender_pid", record->sender_pid);
        set_number(object, "sender_uid", record->sender_uid);
    }
    if (record->code == SI_QUEUE || record->code == SI_TIMER || record->code == SI_MESGQ)
        set_number(object, "value", record->value);
    if (is_fault(record))
        set_address(object, "address", record->address);
    if (record->pc != 0)
        set_pc(output, object, record->pc);
}

/* ---- Events ---- */

static void line(struct output *output, int tid, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void line(struct output *output, int tid, const char *format, ...)
{
    va_list arguments;
    if (output->failed)
        return;
    va_start(arguments, format);
    if (tid != 0)
        fprintf(output->file, "[%d] ", tid);
    cli_vprint(output->file, false, format, arguments);
    va_end(arguments);
}

static void event_json(struct output *output, const struct record *record, const struct stack *stack,
                       const char *program)
{
    json_t *object = begin_json(output, rein_cause_name(record->cause), &record->time, record->tid);
    switch (record->cause) {
    case REIN_CAUSE_BREAKPOINT:
        set_address(object, "pc", record->pc);
        set_site(object, record->site);
        if (record->values != NULL)
            json_object_set_new(object, "values", hit_values_json(record->values));
        break;
    case REIN_CAUSE_WATCHPOINT:
        set_write(output, object, record);
        break;
    case REIN_CAUSE_SIGNAL:
        set_signal(output, object, record);
        break;
    case REIN_CAUSE_THREAD_CREATE:
        set_number(object, "new_tid", record->other);
        break;
    case REIN_CAUSE_THREAD_EXIT:
        if (record->name[0] != '\0')
            output_set_text(object, "name", record->name);
        set_exit(object, &record->exit);
        break;
    case REIN_CAUSE_EXEC:
        set_number(object, "former_tid", record->other);
        if (program != NULL)
            output_set_text(object, "program", program);
        output_set_text(object, "arch", record->arch);
        break;
    case REIN_CAUSE_FORK:
    case REIN_CAUSE_VFORK:
        set_number(object, "child", record->other);
        if (record->inner != 0)
            set_number(object, "inner_pid", record->inner);
        json_object_set_new(object, "followed", json_boolean(record->child != NULL));
        break;
    case REIN_CAUSE_GROUP_STOP:
        output_set_text(object, "signal", rein_signal_name(record->number));
        break;
    default:
        break;
    }
    if (stack != NULL)
        stack_set_json(object, output->modules, stack);
    end_json(output, object);
}

/* To be freed; NULL: there are none. */
static char *values_text(const struct hit_values *values)
{
    char *text = NULL;
    size_t size;
    FILE *file = values == NULL ? NULL : open_memstream(&text, &size);
    if (file == NULL)
        return NULL;
    hit_values_write(values, file);
    fclose(file);
    return text;
}

static void event_text(struct output *output, const struct record *record, const char *program)
{
    struct rein_cause cause = {.kind = record->cause,
                               .child = record->other,
                               .former_id = record->other,
                               .pc = record->pc,
                               .exit = record->exit,
                               .signal = {.number = record->number}};
    char text[128], values[64] = "", *more;
    rein_cause_text(&cause, text, sizeof text);
    switch (record->cause) {
    case REIN_CAUSE_BREAKPOINT:
        more = values_text(record->values);
        line(output, record->tid, "%s: %s%s%s", text, record->site->label, more == NULL ? "" : ": ",
             more == NULL ? "" : more);
        free(more);
        break;
    case REIN_CAUSE_WATCHPOINT:
        if (record->value_known)
            snprintf(values, sizeof values, ": 0x%" PRIx64 " -> 0x%" PRIx64, record->old_value, record->new_value);
        more = modules_describe_text(output->modules, writer_of(record));
        line(output, record->tid, "write to %s%s, by %s", record->watch->text, values, more);
        free(more);
        break;
    case REIN_CAUSE_SIGNAL:
        more = signal_text(output, record);
        line(output, record->tid, "%s", more);
        free(more);
        break;
    case REIN_CAUSE_THREAD_CREATE:
        line(output, record->tid, "%s: %d", text, record->other);
        break;
    case REIN_CAUSE_EXEC:
        if (record->other != 0 && record->other != record->tid)
            line(output, record->tid, "%s: %s, by thread %d", text, program == NULL ? "?" : program, record->other);
        else
            line(output, record->tid, "%s: %s", text, program == NULL ? "?" : program);
        break;
    case REIN_CAUSE_FORK:
    case REIN_CAUSE_VFORK:
        if (record->inner != 0)
            line(output, record->tid, "%s: %d (%d in its namespace)", text, record->other, record->inner);
        else
            line(output, record->tid, "%s: %d%s", text, record->other, record->child == NULL ? ", not followed" : "");
        break;
    default:
        line(output, record->tid, "%s", text);
        break;
    }
}

static void add_up(struct output *output, const struct record *record)
{
    if (record->cause == REIN_CAUSE_THREAD_CREATE)
        output->threads++;
    if (record->cause != REIN_CAUSE_SIGNAL)
        return;
    output->signals++;
    if (record->number > 0 && record->number < 65)
        output->signal_counts[record->number]++;
}

void output_record(struct output *output, const struct record *record, const struct stack *stack, bool shown)
{
    const char *program = record->program;
    add_up(output, record);
    if (!shown)
        return;
    if (output->json)
        event_json(output, record, stack, program);
    else
        event_text(output, record, program);
    if (stack != NULL && !output->json && !output->failed)
        stack_print(output->file, output->modules, stack);
}

static void call_json(struct output *output, const struct call *call)
{
    const struct rein_syscall *syscall = &call->syscall;
    json_t *object = begin_json(output, "system call", &call->time, call->tid), *args = json_array();
    char *name = calls_name(syscall);
    size_t count = calls_arg_count(syscall, name);
    if (name != NULL)
        output_set_text(object, "name", name);
    output_set_text(object, "arch", calls_arch_name(syscall));
    set_number(object, "number", syscall->number);
    for (size_t i = 0; i < count; i++) {
        json_t *value = NULL;
        if (call->strings != NULL && call->strings->of[i].known)
            value = text_json(call->strings->of[i].text);
        json_array_append_new(args, value == NULL ? json_integer(calls_value(syscall->args[i])) : value);
    }
    if (syscall->entry_seen)
        json_object_set_new(object, "args", args);
    else
        json_decref(args);
    if (call->returned)
        set_number(object, "result", syscall->result);
    if (call->returned && syscall->error != 0 && calls_error_name(syscall->error) != NULL)
        output_set_text(object, "error", calls_error_name(syscall->error));
    free(name);
    end_json(output, object);
}

void output_call(struct output *output, const struct call *call)
{
    if (output->json) {
        call_json(output, call);
        return;
    }
    char *text = calls_text(call);
    line(output, call->tid, "%s", text);
    free(text);
}

void output_started(struct output *output, const char *program)
{
    if (!output->json) {
        line(output, output->pid, "started: %s", program);
        return;
    }
    json_t *object = begin_json(output, "start", NULL, 0);
    output_set_text(object, "program", program);
    end_json(output, object);
}

void output_attached(struct output *output, size_t threads)
{
    if (!output->json) {
        line(output, output->pid, "attached: %zu thread%s", threads, threads == 1 ? "" : "s");
        return;
    }
    json_t *object = begin_json(output, "attach", NULL, 0);
    set_number(object, "threads", (int64_t)threads);
    end_json(output, object);
}

void output_location(struct output *output, const struct site *site)
{
    if (!output->json) {
        line(output, output->pid, "%s is now at 0x%" PRIx64 ": %s", site->location, site->address, site->label);
        return;
    }
    json_t *object = begin_json(output, "location", NULL, 0);
    set_address(object, "address", site->address);
    set_site(object, site);
    end_json(output, object);
}

void output_warning(struct output *output, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    if (!output->json && !output->failed) {
        fputs("rein: ", output->file);
        cli_vprint(output->file, true, format, arguments);
    } else if (output->json && vasprintf(&text, format, arguments) >= 0) {
        json_t *object = begin_json(output, "warning", NULL, 0);
        output_set_text(object, "text", text);
        end_json(output, object);
        free(text);
    }
    va_end(arguments);
}

void output_ended(struct output *output, const struct rein_exit *how)
{
    if (output->json) {
        json_t *object = begin_json(output, "exit", NULL, 0);
        set_exit(object, how);
        end_json(output, object);
    } else if (how->signaled) {
        line(output, output->pid, "process exited from signal %s%s", rein_signal_name(how->signal),
             how->core_dumped ? " (core dumped)" : "");
    } else {
        line(output, output->pid, "process exited with status %d", how->status);
    }
}

void output_detached(struct output *output)
{
    if (output->json)
        end_json(output, begin_json(output, "detach", NULL, 0));
    else
        line(output, output->pid, "let go");
}

/* ---- The summary ---- */

static int by_hits(const void *a, const void *b)
{
    const struct thread_count *left = a, *right = b;
    if (left->hits != right->hits)
        return left->hits > right->hits ? -1 : 1;
    return rein_thread_id(left->thread) < rein_thread_id(right->thread) ? -1 : 1;
}

/* The threads that have hit it, most first. To be freed. */
static struct thread_count *sort_threads(const struct site *site)
{
    struct thread_count *sorted = cli_alloc(site->thread_count, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < site->thread_room; i++)
        if (site->threads[i].thread != NULL)
            sorted[count++] = site->threads[i];
    if (count > 0)
        qsort(sorted, count, sizeof *sorted, by_hits);
    for (size_t i = 0; i < count; i++)
        if (sorted[i].name[0] == '\0' && rein_thread_name(sorted[i].thread, sorted[i].name) != 0)
            strcpy(sorted[i].name, "?");
    return sorted;
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

static json_t *site_json(const struct output *output, const struct site *site)
{
    json_t *object = json_object();
    set_site(object, site);
    set_address(object, "address", site->address);
    struct site_counts counts = site_counts(site);
    set_number(object, "hits", (int64_t)counts.hits);
    if (json_object_get(object, "condition") != NULL) {
        set_number(object, "executions", (int64_t)counts.executions);
        set_number(object, "errors", (int64_t)counts.errors);
    }
    if (!output->by_thread)
        return object;
    json_t *list = json_array();
    struct thread_count *threads = sort_threads(site);
    for (size_t i = 0; i < site->thread_count; i++) {
        json_t *thread = json_object();
        set_number(thread, "tid", rein_thread_id(threads[i].thread));
        output_set_text(thread, "name", threads[i].name);
        set_number(thread, "hits", (int64_t)threads[i].hits);
        json_array_append_new(list, thread);
    }
    free(threads);
    json_object_set_new(object, "threads", list);
    return object;
}

static void summary_json(struct output *output, const struct sites *sites, const struct watches *watches)
{
    json_t *object = begin_json(output, "summary", NULL, 0), *signals = json_object(), *list = json_array();
    json_object_set_new(object, "seconds", json_real(seconds_since(&output->begin)));
    set_number(object, "threads_created", (int64_t)output->threads);
    for (int i = 1; i < 65; i++)
        if (output->signal_counts[i] > 0)
            set_number(signals, rein_signal_name(i), (int64_t)output->signal_counts[i]);
    json_object_set_new(object, "signals", signals);
    for (size_t i = 0; i < sites->count; i++)
        json_array_append_new(list, site_json(output, sites->items[i]));
    json_object_set_new(object, "locations", list);
    list = json_array();
    for (size_t i = 0; i < watches->count; i++) {
        json_t *watch = json_object();
        set_watch(watch, watches->items[i]);
        set_number(watch, "hits", (int64_t)watch_hits(watches->items[i]));
        json_array_append_new(list, watch);
    }
    json_object_set_new(object, "watches", list);
    list = json_array();
    for (size_t i = 0; i < sites->wanted_count; i++)
        if (!sites->wanted[i].found_ever)
            json_array_append_new(list, json_string(sites->wanted[i].location.text));
    for (size_t i = 0; i < watches->count; i++)
        if (!watches->items[i]->found_ever)
            json_array_append_new(list, json_string(watches->items[i]->text));
    json_object_set_new(object, "never_appeared", list);
    end_json(output, object);
}

static void threads_table(const struct output *output, const struct sites *sites)
{
    fprintf(output->file, "%12s  %-8s  %-15s  %s\n", "hits", "thread", "name", "location");
    for (size_t i = 0; i < sites->count; i++) {
        const struct site *site = sites->items[i];
        struct thread_count *threads = sort_threads(site);
        for (size_t j = 0; j < site->thread_count; j++) {
            char *name = cli_printable(threads[j].name); /* for the width */
            cli_print(output->file, "%12" PRIu64 "  %-8d  %-15s  %s", threads[j].hits,
                      rein_thread_id(threads[j].thread), name, site->location);
            free(name);
        }
        free(threads);
    }
}

static void watches_table(FILE *file, const struct watches *watches)
{
    fprintf(file, "%12s  %-18s  %s\n", "writes", "address", "variable");
    for (size_t i = 0; i < watches->count; i++) {
        const struct watch *watch = watches->items[i];
        if (watch->found_ever)
            cli_print(file, "%12" PRIu64 "  0x%016" PRIx64 "  %s", watch_hits(watch), watch->address, watch->text);
        else
            cli_print(file, "%12s  %-18s  %s", "-", "never appeared", watch->text);
    }
}

/* Behind the hits, the rest of a site's line: its condition, and of how many executions they are. To be freed. */
static char *condition_text(const struct site *site)
{
    char *condition = site_condition(site), errors[64] = "", *text;
    struct site_counts counts = site_counts(site);
    if (counts.errors > 0)
        snprintf(errors, sizeof errors, "; %" PRIu64 " could not be evaluated", counts.errors);
    if (condition == NULL)
        text = cli_copy("");
    else if (site->is_impossible)
        text = cli_format(" if %s: impossible", condition);
    else
        text = cli_format(" if %s: of %" PRIu64 " execution%s%s", condition, counts.executions,
                          counts.executions == 1 ? "" : "s", errors);
    free(condition);
    return text;
}

static void summary_text(struct output *output, const struct sites *sites, const struct watches *watches)
{
    FILE *file = output->file;
    uint64_t hits = 0, writes = 0;
    for (size_t i = 0; i < watches->count; i++)
        writes += watch_hits(watches->items[i]);
    for (size_t i = 0; i < sites->count; i++)
        hits += site_hits(sites->items[i]);
    fprintf(file, "%.2f seconds: %" PRIu64 " thread%s created, %" PRIu64 " breakpoint hit%s, ",
            seconds_since(&output->begin), output->threads, output->threads == 1 ? "" : "s", hits,
            hits == 1 ? "" : "s");
    if (watches->count > 0)
        fprintf(file, "%" PRIu64 " watched write%s, ", writes, writes == 1 ? "" : "s");
    fprintf(file, "%" PRIu64 " signal%s", output->signals, output->signals == 1 ? "" : "s");
    const char *between = " (";
    for (int i = 1; i < 65; i++) {
        if (output->signal_counts[i] == 0)
            continue;
        fprintf(file, "%s%s %" PRIu64, between, rein_signal_name(i), output->signal_counts[i]);
        between = ", ";
    }
    fputs(output->signals > 0 ? ")\n" : "\n", file);
    if (watches->count > 0)
        watches_table(file, watches);
    if (sites->wanted_count == 0)
        return;
    fprintf(file, "%12s  %-18s  %s\n", "hits", "address", "location");
    for (size_t i = 0; i < sites->count; i++) {
        const struct site *site = sites->items[i];
        size_t length = strlen(site->location); /* not "work_take = work_take (work.c:57)" */
        bool same = strncmp(site->label, site->location, length) == 0 &&
                    (site->label[length] == '\0' || site->label[length] == ' ');
        char *condition = condition_text(site);
        cli_print(file, "%12" PRIu64 "  0x%016" PRIx64 "  %s%s%s%s", site_hits(site), site->address,
                  same ? "" : site->location, same ? "" : " = ", site->label, condition);
        free(condition);
    }
    for (size_t i = 0; i < sites->wanted_count; i++)
        if (!sites->wanted[i].found_ever)
            cli_print(file, "%12s  %-18s  %s", "-", sites->wanted[i].is_wrong ? "impossible" : "never appeared",
                      sites->wanted[i].location.text);
    if (output->by_thread)
        threads_table(output, sites);
}

void output_summary(struct output *output, const struct sites *sites, const struct watches *watches)
{
    if (output->failed)
        return;
    if (output->json)
        summary_json(output, sites, watches);
    else
        summary_text(output, sites, watches);
}
