/* `rein regs`: the registers of a thread. The process is stopped only while they are read, as for `rein threads`. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rein/rein.h>

#include "cli.h"
#include "modules.h"
#include "output.h"
#include "values.h"

static const char help[] =
    "usage: rein regs [OPTION...] PID [NAME...]\n"
    "\n"
    "Shows registers of a thread: the general ones, or those named, or those of the groups named (general, segment,\n"
    "system, float, vector, mask, tile). The process is stopped only while they are read.\n"
    "\n"
    "  -t, --thread TID  of that thread; without it, of the first one\n"
    "  -a, --all         all registers that the thread has\n"
    "  -l, --lanes KIND  vectors as lanes of that kind: int8, int16, int32, int64, int128, float16, bfloat16, "
    "float32,\n"
    "                    float64 (the default)\n"
    "  -j, --json        one JSON object a line\n"
    "  -h, --help        this text\n"
    "\n"
    "See rein-regs(1).\n";

struct reading { /* of one register */
    struct rein_register_info info;
    unsigned char *bytes; /* NULL: the thread has none */
};

struct visit {
    int pid, tid;
    bool all;
    char **names;
    size_t name_count;
    /* What was found. */
    rein_process *process;
    struct reading *readings;
    size_t count;
    bool bad_name;
};

/* By its own name, or its group's. */
static bool is_wanted(const struct visit *visit, const struct rein_register_info *info, bool is_general)
{
    if (visit->name_count == 0)
        return visit->all || is_general;
    for (size_t i = 0; i < visit->name_count; i++)
        if (strcmp(visit->names[i], info->name) == 0 ||
            strcmp(visit->names[i], rein_register_group_name(info->group)) == 0)
            return true;
    return false;
}

static bool is_group(const char *name)
{
    for (int i = 0; i < REIN_GROUP_COUNT; i++)
        if (strcmp(name, rein_register_group_name((enum rein_register_group)i)) == 0)
            return true;
    return false;
}

static int read_one(rein_registers *registers, int index, struct reading *reading)
{
    reading->bytes = malloc(reading->info.bytes);
    if (reading->bytes == NULL)
        return REIN_NO_MEMORY;
    int result = rein_registers_read(registers, index, reading->bytes, reading->info.bytes, &reading->info.bytes);
    if (result != REIN_NO_REGISTER)
        return result;
    free(reading->bytes);
    reading->bytes = NULL;
    return 0;
}

static int read_wanted(struct visit *visit, rein_registers *registers)
{
    int total = rein_registers_total(registers), result = 0;
    for (size_t i = 0; i < visit->name_count; i++) {
        result = is_group(visit->names[i]) ? 0 : rein_registers_index(registers, visit->names[i]);
        visit->bad_name = result < 0;
        if (visit->bad_name)
            return result;
    }
    visit->readings = calloc((size_t)total + 1, sizeof *visit->readings);
    if (visit->readings == NULL)
        return REIN_NO_MEMORY;
    result = 0;
    for (int i = 0; i < total && result == 0; i++) {
        struct reading *reading = &visit->readings[visit->count];
        reading->info = (struct rein_register_info)REIN_REGISTER_INFO_INIT;
        result = rein_registers_info(registers, i, &reading->info);
        if (result == 0 && is_wanted(visit, &reading->info, i < rein_registers_count(registers))) {
            visit->count++;
            result = read_one(registers, i, reading);
        }
    }
    return result;
}

/* On the monitor. */
static int read_registers(void *arg)
{
    struct visit *visit = arg;
    rein_thread *thread = NULL;
    rein_registers *registers = NULL;
    int result = rein_process_thread(visit->process, visit->tid, &thread);
    if (result == 0)
        result = rein_thread_registers(thread, &registers);
    if (result == 0)
        result = read_wanted(visit, registers);
    /* Nothing here changes the message of what has failed. */
    rein_registers_free(registers);
    rein_thread_unref(thread);
    return result;
}

static int visit_process(struct visit *visit)
{
    struct rein_attach_options options = REIN_ATTACH_OPTIONS_INIT;
    rein_monitor *monitor;
    options.timeout_ms = 5000;
    if (rein_monitor_create(NULL, &monitor) != 0) {
        cli_error("%s", rein_error_message());
        return STATUS_FAILED;
    }
    int result = rein_attach(monitor, visit->pid, &options, &visit->process);
    if (result == 0)
        result = rein_monitor_call(monitor, read_registers, visit);
    char *message = result == 0 ? NULL : cli_copy(rein_error_message());
    if (visit->process != NULL)
        rein_process_detach(visit->process, 0);
    rein_process_unref(visit->process);
    rein_monitor_close(monitor);
    if (message != NULL)
        cli_error("%s", message);
    free(message);
    return result == 0 ? STATUS_OK : visit->bad_name ? STATUS_USAGE : STATUS_FAILED;
}

/* ---- What is printed ---- */

/* Those that a register has, of the kind that was chosen. */
static size_t lane_count(const struct rein_register_info *info, const struct lane_kind *kind)
{
    return info->type == REIN_TYPE_VECTOR && (info->lanes & kind->lane) != 0 ? info->bytes / kind->bytes : 0;
}

static void write_lanes(FILE *to, const unsigned char *bytes, const struct lane_kind *kind, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *lane = values_lane(kind, bytes + i * kind->bytes);
        fprintf(to, "%s%s", i == 0 ? "{" : ", ", lane);
        free(lane);
    }
    if (count > 0)
        putc('}', to);
}

static void write_flags(FILE *to, const struct rein_register_info *info, uint64_t word)
{
    putc('[', to);
    for (size_t i = 0; i < info->flag_count; i++) {
        char *flag = values_flag(&info->flags[i], word);
        if (flag != NULL)
            fprintf(to, " %s", flag);
        free(flag);
    }
    fputs(" ]", to);
}

static void write_meaning(FILE *to, const struct reading *reading, struct modules *modules,
                          const struct lane_kind *kind)
{
    const struct rein_register_info *info = &reading->info;
    uint64_t word = values_word(reading->bytes, info->bytes < 8 ? info->bytes : 8);
    char *text = NULL;
    switch (info->type) {
    case REIN_TYPE_INTEGER:
        text = info->bytes == 8 ? cli_format("%" PRId64, (int64_t)word) : cli_format("%" PRIu64, word);
        break;
    case REIN_TYPE_CODE_POINTER:
        text = modules_describe_text(modules, word);
        break;
    case REIN_TYPE_FLOAT:
        text = values_float80(reading->bytes);
        break;
    case REIN_TYPE_FLAGS:
        write_flags(to, info, word);
        break;
    case REIN_TYPE_VECTOR:
        if (!values_is_zero(reading->bytes, info->bytes))
            write_lanes(to, reading->bytes, kind, lane_count(info, kind));
        break;
    default: /* the value says it all */
        break;
    }
    if (text != NULL)
        fputs(text, to);
    free(text);
}

/* A row a line, but for those that are all zeros. */
static void print_rows(const struct rein_register_info *info, const unsigned char *bytes)
{
    puts(info->name);
    for (size_t i = 0; i < info->bytes / info->row; i++) {
        const unsigned char *row = bytes + i * info->row;
        if (values_is_zero(row, info->row))
            continue;
        char *hex = values_hex(row, info->row, true);
        printf("  row %-2zu %s\n", i, hex);
        free(hex);
    }
}

static void print_text(const struct reading *reading, struct modules *modules, const struct lane_kind *kind)
{
    const struct rein_register_info *info = &reading->info;
    bool zero = values_is_zero(reading->bytes, info->bytes);
    if (info->type == REIN_TYPE_MATRIX && !zero) {
        print_rows(info, reading->bytes);
        return;
    }
    bool wide = info->type == REIN_TYPE_VECTOR || info->type == REIN_TYPE_FLOAT || info->type == REIN_TYPE_STRUCT;
    char *hex = values_hex(reading->bytes, info->bytes, wide && !zero), *meaning = NULL;
    size_t size;
    FILE *to = open_memstream(&meaning, &size);
    if (to != NULL)
        write_meaning(to, reading, modules, kind);
    if (to == NULL || fclose(to) != 0)
        cli_error("out of memory");
    else if (size > 0)
        cli_print(stdout, "%-8s %-22s  %s", info->name, hex, meaning);
    else
        printf("%-8s %s\n", info->name, hex);
    free(meaning);
    free(hex);
}

static void set_texts(json_t *object, const struct reading *reading, const struct lane_kind *kind)
{
    const struct rein_register_info *info = &reading->info;
    json_t *list = json_array();
    size_t lanes = lane_count(info, kind);
    for (size_t i = 0; i < info->flag_count; i++) {
        char *flag = values_flag(&info->flags[i], values_word(reading->bytes, info->bytes));
        if (flag != NULL)
            json_array_append_new(list, json_string(flag));
        free(flag);
    }
    for (size_t i = 0; i < lanes; i++) {
        char *lane = values_lane(kind, reading->bytes + i * kind->bytes);
        json_array_append_new(list, json_string(lane));
        free(lane);
    }
    if (lanes > 0)
        output_set_text(object, "lane", kind->name);
    if (lanes > 0 || info->type == REIN_TYPE_FLAGS)
        json_object_set(object, lanes > 0 ? "lanes" : "flags", list);
    json_decref(list);
}

static void print_json(const struct visit *visit, const struct reading *reading, struct modules *modules,
                       const struct lane_kind *kind)
{
    const struct rein_register_info *info = &reading->info;
    json_t *object = json_object();
    char *hex = values_hex(reading->bytes, info->bytes, false);
    json_object_set_new(object, "tid", json_integer(visit->tid));
    output_set_text(object, "register", info->name);
    output_set_text(object, "group", rein_register_group_name(info->group));
    output_set_text(object, "type", rein_register_type_name(info->type));
    json_object_set_new(object, "size", json_integer((json_int_t)info->bytes));
    output_set_text(object, "value", hex);
    if (info->type == REIN_TYPE_FLOAT) {
        char *decimal = values_float80(reading->bytes);
        output_set_text(object, "decimal", decimal);
        free(decimal);
    }
    if (info->type == REIN_TYPE_CODE_POINTER) {
        struct described place;
        modules_describe(modules, values_word(reading->bytes, info->bytes), &place);
        output_set_place(object, &place);
    }
    set_texts(object, reading, kind);
    output_json(stdout, object);
    free(hex);
}

/* Of what was not asked for by its name nobody misses what is not there. */
static int print(const struct visit *visit, struct modules *modules, const struct lane_kind *kind, bool json)
{
    int status = STATUS_OK;
    for (size_t i = 0; i < visit->count; i++) {
        const struct reading *reading = &visit->readings[i];
        if (reading->bytes != NULL && json)
            print_json(visit, reading, modules, kind);
        else if (reading->bytes != NULL)
            print_text(reading, modules, kind);
        for (size_t j = 0; reading->bytes == NULL && j < visit->name_count; j++) {
            if (strcmp(visit->names[j], reading->info.name) != 0)
                continue;
            cli_error("thread %d has no register %s: there is none with this processor, kernel or kind of program",
                      visit->tid, reading->info.name);
            status = STATUS_FAILED;
        }
    }
    if (fflush(stdout) != 0) {
        cli_error("the output cannot be written: %s", strerror(errno));
        return STATUS_FAILED;
    }
    return status;
}

static int show(struct visit *visit, const struct lane_kind *kind, bool json)
{
    struct module_files files = {0};
    struct modules modules = {.pid = visit->pid, .files = &files};
    modules_scan(&modules); /* before: the process may be gone after */
    int status = visit_process(visit);
    if (status == STATUS_OK)
        status = print(visit, &modules, kind, json);
    for (size_t i = 0; i < visit->count; i++)
        free(visit->readings[i].bytes);
    free(visit->readings);
    modules_free(&modules);
    module_files_free(&files);
    return status;
}

int cli_regs(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"thread", required_argument, NULL, 't'}, {"all", no_argument, NULL, 'a'},
        {"lanes", required_argument, NULL, 'l'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    static char name[] = "rein"; /* getopt's messages begin with it */
    const struct lane_kind *kind = values_lane_kind("float64");
    struct visit visit = {0};
    bool json = false;
    int option;
    argv[0] = name;
    while ((option = getopt_long(argc, argv, "t:al:jh", long_options, NULL)) != -1) {
        switch (option) {
        case 't':
            visit.tid = cli_parse_pid(optarg);
            if (visit.tid == 0)
                return cli_usage("regs", "%s: that is no thread id", optarg);
            break;
        case 'a':
            visit.all = true;
            break;
        case 'l':
            kind = values_lane_kind(optarg);
            if (kind == NULL)
                return cli_usage("regs", "%s: that is no kind of lanes; there are %s", optarg, values_lane_names);
            break;
        case 'j':
            json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return fflush(stdout) == 0 ? STATUS_OK : STATUS_FAILED;
        default:
            fputs("Try `rein regs --help`.\n", stderr);
            return STATUS_USAGE;
        }
    }
    if (optind == argc)
        return cli_usage("regs", "of which process? Give its PID");
    visit.pid = cli_parse_pid(argv[optind]);
    if (visit.pid == 0)
        return cli_usage("regs", "%s: that is no process id", argv[optind]);
    visit.names = argv + optind + 1;
    visit.name_count = (size_t)(argc - optind - 1);
    if (visit.all && visit.name_count > 0)
        return cli_usage("regs", "all registers, or those that are named?");
    if (visit.tid == 0)
        visit.tid = visit.pid;
    return show(&visit, kind, json);
}
