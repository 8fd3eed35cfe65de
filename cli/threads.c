/* `rein threads` and `rein stack`: what the threads of a process are doing. The process is stopped for as long as it takes to
 * read registers and, for stacks, to copy what is in use of them; files are opened, stacks unwound and addresses looked up
 * when it runs again. All threads are stopped once, together, so that what is shown was so at one time. A stack that leads out of
 * what was copied - a signal handler's, to the one that it has interrupted - is read on in the memory of the process as it runs:
 * what comes from there is called guessed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <rein/rein.h>

#include "cli.h"
#include "modules.h"
#include "output.h"
#include "stack.h"

static const char help[] =
    "usage: rein threads [--json] [--stack[=N]] PID\n"
    "       rein stack ... PID, which is rein threads --stack\n"
    "\n"
    "Lists the threads of a process: id, name, state, and where each of them is. They are stopped only while their\n"
    "registers are read.\n"
    "\n"
    "  -j, --json       one JSON object a line\n"
    "  -s, --stack[=N]  with the call stack of each, at most N frames (64)\n"
    "  -h, --help       this text\n"
    "\n"
    "See rein-threads(1).\n";

struct thread {
    int id;
    char name[16];
    char state; /* as in /proc/PID/stat, before the process was stopped; 0: it came later */
    bool has_pc;
    rein_word pc;
    struct copy *copy; /* NULL: none */
};

struct list {
    struct thread *items; /* by id */
    size_t count;
};

static int by_id(const void *a, const void *b)
{
    const struct thread *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static struct thread *find(struct list *list, size_t count, int id)
{
    struct thread key = {.id = id};
    return count == 0 ? NULL : bsearch(&key, list->items, count, sizeof key, by_id);
}

static struct thread *add(struct list *list, int id)
{
    list->items = cli_grow(list->items, list->count, sizeof *list->items);
    list->items[list->count] = (struct thread){.id = id};
    return &list->items[list->count++];
}

/* "1234 (a name) S ...": the name may have parentheses in it. */
static void parse_status(const char *text, struct thread *thread)
{
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    if (open == NULL || close == NULL || close < open || close[1] != ' ')
        return;
    snprintf(thread->name, sizeof thread->name, "%.*s", (int)(close - open - 1), open + 1);
    thread->state = close[2];
}

/* By a way from the directory of all, which is the shortest: there may be thousands. */
static void look_at(struct list *list, DIR *directory, const char *name)
{
    char path[64], text[2048]; /* of numbers, 52 in Linux 6.18 */
    int id = cli_parse_pid(name);
    snprintf(path, sizeof path, "%s/stat", name);
    int fd = id == 0 ? -1 : openat(dirfd(directory), path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return;
    text[length] = '\0';
    parse_status(text, add(list, id));
}

/* What can be seen without stopping it. */
static void look(struct list *list, int pid)
{
    char *path = cli_format("/proc/%d/task", pid);
    DIR *directory = opendir(path);
    struct dirent *entry;
    free(path);
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        look_at(list, directory, entry->d_name);
    if (directory != NULL)
        closedir(directory);
    if (list->count > 0)
        qsort(list->items, list->count, sizeof *list->items, by_id);
}

/* What a stack is unwound from. */
struct copy {
    struct unwind_registers registers;
    uint64_t start; /* of the memory: the stack pointer */
    size_t size;
    unsigned char bytes[];
};

struct reading { /* of a stopped thread */
    int id;
    bool has_pc;
    rein_word pc;
    struct copy *copy;
};

/* By address, as the kernel lists them. */
struct mapped {
    uint64_t start, end;
};

struct mappings {
    struct mapped *items;
    size_t count;
};

struct visit {
    rein_process *process;
    bool with_stacks;
    struct mappings mappings;
    rein_thread **threads;
    struct reading *readings;
    size_t count, done; /* threads */
};

/* While it is stopped: stacks grow, and come with threads. Without a list stacks are copied up to the limit. */
static void read_mappings(struct mappings *mappings, int task)
{
    char path[64], *line = NULL;
    size_t size = 0, room = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", task);
    FILE *file = fopen(path, "re");
    while (file != NULL && getline(&line, &size, file) > 0) {
        struct mapped mapped;
        char *end;
        mapped.start = strtoull(line, &end, 16);
        if (end == line || *end != '-')
            continue;
        mapped.end = strtoull(end + 1, NULL, 16);
        if (mappings->count == room) {
            struct mapped *more = realloc(mappings->items, (room = 2 * room + 64) * sizeof *more);
            if (more == NULL) { /* without a list, rather than with half of one */
                mappings->count = 0;
                break;
            }
            mappings->items = more;
        }
        mappings->items[mappings->count++] = mapped;
    }
    free(line);
    if (file != NULL)
        fclose(file);
}

static int by_mapping(const void *key, const void *item)
{
    const uint64_t *address = key;
    const struct mapped *mapped = item;
    return *address < mapped->start ? -1 : *address >= mapped->end;
}

/* What is in use of a thread's stack, up to the end of the mapping that it is in: behind a guard, which does not stop
 * such a read, there may be another thread's. NULL: it cannot be had. */
static struct copy *copy_stack(rein_process *process, const rein_registers *snapshot, const struct mappings *mappings)
{
    enum { MOST = 1 << 18 };
    static const unsigned char red_zone = 128; /* nothing is needed from there, but code may be told to look */
    struct unwind_registers registers;
    if (!unwind_registers_from(&registers, snapshot))
        return NULL;
    uint64_t sp = registers.values[registers.sp], start = sp - red_zone, most = MOST;
    const struct mapped *mapped =
        mappings->count == 0 ? NULL
                             : bsearch(&sp, mappings->items, mappings->count, sizeof *mappings->items, by_mapping);
    if (mapped != NULL) {
        start = mapped->start > start ? mapped->start : start;
        most = mapped->end - start < most ? mapped->end - start : most;
    } else if (mappings->count > 0) {
        most = 0; /* nothing is there */
    }
    struct copy *copy = malloc(sizeof *copy + (size_t)most), *fitting;
    if (copy == NULL)
        return NULL;
    copy->registers = registers;
    copy->start = start;
    copy->size = 0;
    if (most > 0)
        rein_process_read(process, start, copy->bytes, (size_t)most, &copy->size);
    fitting = realloc(copy, sizeof *copy + copy->size);
    return fitting == NULL ? copy : fitting;
}

static void read_thread(struct visit *visit, rein_thread *thread, struct reading *reading)
{
    rein_registers *registers;
    reading->id = rein_thread_id(thread);
    if (rein_thread_registers(thread, &registers) != 0)
        return;                                           /* it could not be stopped, or is gone */
    if (visit->with_stacks && visit->mappings.count == 0) /* the list of a leader that has left is empty */
        read_mappings(&visit->mappings, reading->id);
    reading->has_pc = rein_registers_pc(registers, &reading->pc) == 0;
    if (visit->with_stacks)
        reading->copy = copy_stack(visit->process, registers, &visit->mappings);
    rein_registers_free(registers);
}

/* On the monitor, where it costs least; but not all threads in one go: between two calls the monitor sees that rein was
 * killed, and lets the process go, which otherwise stood still until the last of them had been copied. */
static int read_some(void *arg)
{
    enum { AT_ONCE = 8 };
    struct visit *visit = arg;
    for (int i = 0; i < AT_ONCE && visit->done < visit->count; i++, visit->done++)
        read_thread(visit, visit->threads[visit->done], &visit->readings[visit->done]);
    return 0;
}

static int read_registers(rein_monitor *monitor, struct visit *visit)
{
    int result = rein_process_threads(visit->process, &visit->threads, &visit->count);
    if (result != 0)
        return result;
    visit->readings = cli_alloc(visit->count, sizeof *visit->readings);
    while (result == 0 && visit->done < visit->count)
        result = rein_monitor_call(monitor, read_some, visit);
    free(visit->mappings.items);
    return result;
}

/* Adds what was read to what was seen before. */
static void merge(struct list *list, const struct visit *visit)
{
    size_t known = list->count;
    for (size_t i = 0; visit->readings != NULL && i < visit->count; i++) {
        const struct reading *reading = &visit->readings[i];
        struct thread *thread = find(list, known, reading->id);
        if (thread == NULL) {
            thread = add(list, reading->id);
            if (rein_thread_name(visit->threads[i], thread->name) != 0)
                strcpy(thread->name, "?");
        }
        thread->has_pc = reading->has_pc;
        thread->pc = reading->pc;
        thread->copy = reading->copy;
    }
    if (list->count > 0)
        qsort(list->items, list->count, sizeof *list->items, by_id);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* *stopped_ms: how long it was stopped, at most. */
static int visit_process(struct list *list, int pid, bool with_stacks, double *stopped_ms)
{
    struct visit visit = {.with_stacks = with_stacks};
    struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
    rein_monitor *monitor;
    options.timeout_ms = 5000;
    if (rein_monitor_create(NULL, &monitor) != 0) {
        cli_error("%s", rein_error_message());
        return STATUS_FAILED;
    }
    double begin = now_ms();
    int result = rein_attach(monitor, pid, &options, &visit.process);
    if (result == 0)
        result = read_registers(monitor, &visit);
    char *message = result == 0 ? NULL : cli_copy(rein_error_message());
    if (visit.process != NULL)
        rein_process_detach(visit.process, 0);
    *stopped_ms = now_ms() - begin;
    merge(list, &visit);
    free(visit.readings);
    rein_thread_list_free(visit.threads, visit.count);
    rein_process_unref(visit.process);
    rein_monitor_close(monitor);
    if (message != NULL)
        cli_error("%s", message);
    free(message);
    return result == 0 ? STATUS_OK : STATUS_FAILED;
}

static const char *state_text(const struct thread *thread)
{
    switch (thread->state) {
    case 'R':
        return "running";
    case 'S':
        return "sleeping";
    case 'D':
        return "disk sleep";
    case 'T':
        return "stopped";
    case 't':
        return "traced";
    case 'Z':
        return "zombie";
    case 'X':
    case 'x':
        return "dead";
    case 'I':
        return "idle";
    case 'P':
        return "parked";
    default:
        return "new";
    }
}

struct copied {
    struct unwind_memory memory;
    const struct copy *copy;
    int pid;
};

static bool read_copy(void *arg, uint64_t address, void *data, size_t size)
{
    struct copied *copied = arg;
    const struct copy *copy = copied->copy;
    if (address >= copy->start && address - copy->start <= copy->size && copy->size - (address - copy->start) >= size) {
        memcpy(data, copy->bytes + (address - copy->start), size);
        return true;
    }
    copied->memory.doubt = "the memory was read while it ran";
    struct iovec here = {data, size},
                 there = {(void *)(uintptr_t)address, size}; /* NOLINT(performance-no-int-to-ptr) */
    return address <= UINTPTR_MAX && process_vm_readv(copied->pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

static void unwind_copy(struct modules *modules, const struct thread *thread, size_t depth, struct stack *stack)
{
    struct copied copied = {{read_copy, &copied, NULL}, thread->copy, modules->task};
    if (thread->copy == NULL)
        *stack = (struct stack){.end = STACK_LOST, .why = "the thread could not be stopped"};
    else
        unwind(modules, &thread->copy->registers, &copied.memory, depth, stack);
}

static void print_json(struct modules *modules, const struct thread *thread, size_t depth, double stopped_ms)
{
    json_t *object = json_object();
    json_object_set_new(object, "tid", json_integer(thread->id));
    output_set_text(object, "name", thread->name);
    output_set_text(object, "state", state_text(thread));
    if (thread->has_pc) {
        struct described place;
        char pc[24];
        snprintf(pc, sizeof pc, "0x%" PRIx64, thread->pc);
        output_set_text(object, "pc", pc);
        modules_describe(modules, thread->pc, &place);
        output_set_place(object, &place);
    }
    if (depth > 0) {
        struct stack stack;
        unwind_copy(modules, thread, depth, &stack);
        stack_set_json(object, modules, &stack);
        stack_clear(&stack);
        json_object_set_new(object, "stopped_ms", json_real(stopped_ms));
    }
    output_json(stdout, object);
}

static void print(struct modules *modules, const struct list *list, bool json, size_t depth, double stopped_ms)
{
    int width = 15;
    char *where = NULL; /* of where_pc: where one thread waits, others do */
    rein_word where_pc = 0;
    if (!json)
        printf("%8s  %-*s  %-10s  %s\n", "id", width, "name", "state", "where");
    for (size_t i = 0; i < list->count; i++) {
        const struct thread *thread = &list->items[i];
        if (json) {
            print_json(modules, thread, depth, stopped_ms);
            continue;
        }
        if (thread->has_pc && (where == NULL || where_pc != thread->pc)) {
            free(where);
            where = modules_describe_text(modules, where_pc = thread->pc);
        }
        char *name = cli_printable(thread->name); /* for the width */
        cli_print(stdout, "%8d  %-*s  %-10s  %s", thread->id, width, name, state_text(thread),
                  thread->has_pc ? where : "-");
        free(name);
        if (depth > 0) {
            struct stack stack;
            unwind_copy(modules, thread, depth, &stack);
            stack_print(stdout, modules, &stack);
            stack_clear(&stack);
        }
    }
    free(where);
    if (depth > 0 && !json)
        printf("stopped for %.1f ms, at most\n", stopped_ms);
}

static int list_threads(int argc, char **argv, const char *command, size_t depth)
{
    static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
                                                 {"stack", optional_argument, NULL, 's'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {NULL, 0, NULL, 0}};
    static char name[] = "rein"; /* getopt's messages begin with it */
    bool json = false;
    int option;
    argv[0] = name;
    while ((option = getopt_long(argc, argv, "js::h", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
        }
        if (option == 's' && (depth = stack_depth(optarg)) == 0)
            return cli_usage(command, "--stack=%s: that is no number of frames", optarg);
        if (option == '?') {
            fprintf(stderr, "Try `rein %s --help`.\n", command);
            return STATUS_USAGE;
        }
        json |= option == 'j';
    }
    if (optind + 1 != argc)
        return cli_usage(command, optind == argc ? "which process? Give its PID" : "one PID is enough");
    int pid = cli_parse_pid(argv[optind]);
    if (pid == 0)
        return cli_usage(command, "%s: that is no process id", argv[optind]);

    struct list list = {0};
    struct module_files files = {0};
    struct modules modules = {.pid = pid, .files = &files};
    look(&list, pid);
    /* Before: the process may be gone after. Libraries that come in between are missed, which does little harm. */
    modules_scan(&modules);
    double stopped_ms;
    int status = visit_process(&list, pid, depth > 0, &stopped_ms);
    if (status == STATUS_OK) {
        print(&modules, &list, json, depth, stopped_ms);
        if (fflush(stdout) != 0) {
            cli_error("the output cannot be written: %s", strerror(errno));
            status = STATUS_FAILED;
        }
    }
    for (size_t i = 0; i < list.count; i++)
        free(list.items[i].copy);
    free(list.items);
    modules_free(&modules);
    module_files_free(&files);
    return status;
}

int cli_threads(int argc, char **argv)
{
    return list_threads(argc, argv, "threads", 0);
}

int cli_stack(int argc, char **argv)
{
    return list_threads(argc, argv, "stack", STACK_DEPTH);
}
