/* qXfer:osdata: tables of what there is on the machine, which gdb shows with `info os`: the same types and columns as
 * gdbserver's. Everything is from /proc, as the server may see it; what goes away meanwhile is left out. */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../cli.h"
#include "xfer.h"

/* ---- Rows ---- */

static void column(struct reply *document, const char *name, const char *value)
{
    reply_text(document, "<column name=\"");
    reply_xml(document, name);
    reply_text(document, "\">");
    reply_xml(document, value);
    reply_text(document, "</column>");
}

static void number_column(struct reply *document, const char *name, long long value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", value);
    column(document, name, text);
}

static void begin_item(struct reply *document)
{
    reply_text(document, "<item>");
}

static void end_item(struct reply *document)
{
    reply_text(document, "</item>");
}

static void user_column(struct reply *document, const char *name, unsigned id)
{
    const struct passwd *user = getpwuid(id);
    if (user)
        column(document, name, user->pw_name);
    else
        number_column(document, name, id);
}

static void group_column(struct reply *document, const char *name, unsigned id)
{
    const struct group *group = getgrgid(id);
    if (group)
        column(document, name, group->gr_name);
    else
        number_column(document, name, id);
}

static void time_column(struct reply *document, const char *name, time_t seconds)
{
    char text[64] = "";
    struct tm parts;
    if (seconds && localtime_r(&seconds, &parts))
        strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &parts);
    column(document, name, text);
}

/* ---- Processes ---- */

/* The numbers that are names in a directory of /proc, in their order there: how many. *numbers is to be freed. */
static size_t list_numbers(const char *path, int **numbers)
{
    DIR *directory = opendir(path);
    size_t count = 0;
    *numbers = NULL;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char *end;
        if (!isdigit((unsigned char)*entry->d_name))
            continue;
        long number = strtol(entry->d_name, &end, 10);
        if (*end)
            continue;
        *numbers = cli_grow(*numbers, count, sizeof **numbers);
        (*numbers)[count++] = (int)number;
    }
    if (directory)
        closedir(directory);
    return count;
}

static size_t list_threads(int pid, int **threads)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    return list_numbers(path, threads);
}

/* The command line with its arguments, or the name in brackets if there is none. To be freed. */
static char *command_line(int pid, const struct task *task)
{
    char path[64];
    size_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    char *text = cli_read_file(path, &size);
    if (!text || !size) {
        free(text);
        return cli_format("[%s]", task->name);
    }
    for (size_t i = 0; i < size; i++)
        if (!text[i])
            text[i] = ' ';
    return text;
}

static void process_column(struct reply *document, const char *name, int pid)
{
    struct task task;
    char *text = pid > 0 && task_read(pid, pid, &task) ? command_line(pid, &task) : cli_copy("");
    column(document, name, text);
    free(text);
}

static unsigned process_user(int pid)
{
    char path[64];
    unsigned user = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    char *text = cli_read_file(path, NULL), *line = text ? strstr(text, "\nUid:") : NULL;
    if (line)
        sscanf(line, "\nUid: %u", &user);
    free(text);
    return user;
}

static int compare_numbers(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    return left < right ? -1 : left > right;
}

/* On which cores its threads are: "0,3". */
static void cores_column(struct reply *document, int pid)
{
    int *threads;
    size_t count = list_threads(pid, &threads), known = 0;
    for (size_t i = 0; i < count; i++) {
        struct task task;
        if (task_read(pid, threads[i], &task))
            threads[known++] = task.core; /* in place: the thread is done with */
    }
    if (known)
        qsort(threads, known, sizeof *threads, compare_numbers);
    reply_text(document, "<column name=\"cores\">");
    for (size_t i = 0; i < known; i++)
        if (!i || threads[i] != threads[i - 1])
            reply_format(document, "%s%d", i ? "," : "", threads[i]);
    reply_text(document, "</column>");
    free(threads);
}

static void add_processes(struct reply *document)
{
    int *processes;
    size_t count = list_numbers("/proc", &processes);
    for (size_t i = 0; i < count; i++) {
        struct task task;
        if (!task_read(processes[i], processes[i], &task))
            continue;
        char *command = command_line(processes[i], &task);
        begin_item(document);
        number_column(document, "pid", processes[i]);
        user_column(document, "user", process_user(processes[i]));
        column(document, "command", command);
        cores_column(document, processes[i]);
        end_item(document);
        free(command);
    }
    free(processes);
}

struct member {
    int group, pid;
};

/* By group, its leader first. */
static int compare_members(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    if (left->group != right->group)
        return left->group < right->group ? -1 : 1;
    if ((left->pid == left->group) != (right->pid == right->group))
        return left->pid == left->group ? -1 : 1;
    return left->pid < right->pid ? -1 : left->pid > right->pid;
}

static void add_process_groups(struct reply *document)
{
    int *processes;
    size_t count = list_numbers("/proc", &processes), known = 0;
    struct member *members = cli_alloc(count + 1, sizeof *members);
    for (size_t i = 0; i < count; i++) {
        struct task task;
        if (task_read(processes[i], processes[i], &task) && task.process_group > 0) /* 0: the kernel's */
            members[known++] = (struct member){task.process_group, processes[i]};
    }
    qsort(members, known, sizeof *members, compare_members);
    for (size_t i = 0; i < known; i++) {
        struct task task, leader;
        if (!task_read(members[i].pid, members[i].pid, &task))
            continue;
        if (!task_read(members[i].group, members[i].group, &leader))
            snprintf(leader.name, sizeof leader.name, "%d", members[i].group);
        begin_item(document);
        number_column(document, "pgid", members[i].group);
        column(document, "leader command", leader.name);
        number_column(document, "pid", members[i].pid);
        process_column(document, "command line", members[i].pid);
        end_item(document);
    }
    free(members);
    free(processes);
}

static void add_threads(struct reply *document)
{
    int *processes, *threads;
    size_t count = list_numbers("/proc", &processes);
    for (size_t i = 0; i < count; i++) {
        size_t thread_count = list_threads(processes[i], &threads);
        for (size_t k = 0; k < thread_count; k++) {
            struct task task;
            if (!task_read(processes[i], threads[k], &task))
                continue;
            begin_item(document);
            number_column(document, "pid", processes[i]);
            column(document, "command", task.name);
            number_column(document, "tid", threads[k]);
            number_column(document, "core", task.core);
            end_item(document);
        }
        free(threads);
    }
    free(processes);
}

static void add_files(struct reply *document)
{
    int *processes, *files;
    size_t count = list_numbers("/proc", &processes);
    for (size_t i = 0; i < count; i++) {
        struct task task;
        char path[64], name[4096];
        if (!task_read(processes[i], processes[i], &task))
            continue;
        snprintf(path, sizeof path, "/proc/%d/fd", processes[i]);
        size_t file_count = list_numbers(path, &files);
        for (size_t k = 0; k < file_count; k++) {
            snprintf(path, sizeof path, "/proc/%d/fd/%d", processes[i], files[k]);
            ssize_t length = readlink(path, name, sizeof name - 1);
            if (length < 0)
                continue;
            name[length] = '\0';
            begin_item(document);
            number_column(document, "pid", processes[i]);
            column(document, "command", task.name);
            number_column(document, "file descriptor", files[k]);
            column(document, "name", name);
            end_item(document);
        }
        free(files);
    }
    free(processes);
}

/* ---- Sockets ---- */

static const char *socket_state(unsigned state)
{
    static const char *const names[] = {NULL,        "ESTABLISHED", "SYN_SENT",   "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
                                        "TIME_WAIT", "CLOSE",       "CLOSE_WAIT", "LAST_ACK", "LISTEN",    "CLOSING"};
    return state && state < sizeof names / sizeof *names ? names[state] : "(unknown)";
}

/* Words of 32 bits in hexadecimal, each in the host's order of bytes, as the kernel has the address. */
static const char *socket_address(int family, const char *hex, char *text, size_t size)
{
    uint32_t words[4] = {0};
    for (size_t i = 0; i < 4 && strlen(hex) >= 8 * (i + 1); i++) {
        char word[9];
        snprintf(word, sizeof word, "%.8s", hex + 8 * i);
        words[i] = (uint32_t)strtoul(word, NULL, 16);
    }
    return inet_ntop(family, words, text, (socklen_t)size) ? text : hex;
}

static void add_sockets_of(struct reply *document, const char *path, int family, const char *protocol)
{
    char *text = cli_read_file(path, NULL), *rest = text, *line;
    while (rest && (line = strsep(&rest, "\n"))) {
        char local[33], remote[33], address[INET6_ADDRSTRLEN];
        unsigned local_port, remote_port, state, user;
        if (sscanf(line, " %*d: %32[0-9A-F]:%x %32[0-9A-F]:%x %x %*x:%*x %*x:%*x %*x %u", local, &local_port, remote,
                   &remote_port, &state, &user) != 6)
            continue; /* the heading */
        begin_item(document);
        column(document, "local address", socket_address(family, local, address, sizeof address));
        number_column(document, "local port", local_port);
        column(document, "remote address", socket_address(family, remote, address, sizeof address));
        number_column(document, "remote port", remote_port);
        column(document, "state", socket_state(state));
        user_column(document, "user", user);
        column(document, "family", family == AF_INET ? "INET" : "INET6");
        column(document, "protocol", protocol);
        end_item(document);
    }
    free(text);
}

static void add_sockets(struct reply *document)
{
    add_sockets_of(document, "/proc/net/tcp", AF_INET, "STREAM");
    add_sockets_of(document, "/proc/net/udp", AF_INET, "DGRAM");
    add_sockets_of(document, "/proc/net/tcp6", AF_INET6, "STREAM");
    add_sockets_of(document, "/proc/net/udp6", AF_INET6, "DGRAM");
}

/* ---- System V's objects, modules: tables of the kernel, a row a line, with the columns in our order ---- */

enum kind { PLAIN, PROCESS, USER, GROUP, TIME };
struct column {
    const char *name;
    enum kind kind;
};

static void add_table(struct reply *document, const char *path, const struct column *columns, size_t headings)
{
    char *text = cli_read_file(path, NULL), *rest = text, *line;
    struct task task;
    for (size_t number = 0; rest && (line = strsep(&rest, "\n")); number++) {
        if (number < headings || !*line)
            continue;
        begin_item(document);
        char *state = NULL, *word = strtok_r(line, " \t", &state);
        for (const struct column *each = columns; each->name; each++) {
            const char *value = word ? word : "";
            switch (each->kind) {
            case PLAIN:
                column(document, each->name, value);
                break;
            case PROCESS:
                column(document, each->name, task_read(atoi(value), atoi(value), &task) ? task.name : "");
                break;
            case USER:
                user_column(document, each->name, (unsigned)strtoul(value, NULL, 10));
                break;
            case GROUP:
                group_column(document, each->name, (unsigned)strtoul(value, NULL, 10));
                break;
            case TIME:
                time_column(document, each->name, (time_t)strtoll(value, NULL, 10));
                break;
            }
            word = strtok_r(NULL, " \t", &state);
        }
        end_item(document);
    }
    free(text);
}

static void add_shared_memory(struct reply *document)
{
    static const struct column columns[] = {
        {"key", PLAIN},
        {"shmid", PLAIN},
        {"permissions", PLAIN},
        {"size", PLAIN},
        {"creator command", PROCESS},
        {"last op. command", PROCESS},
        {"num attached", PLAIN},
        {"user", USER},
        {"group", GROUP},
        {"creator user", USER},
        {"creator group", GROUP},
        {"last shmat() time", TIME},
        {"last shmdt() time", TIME},
        {"last shmctl() time", TIME},
        {NULL, PLAIN},
    };
    add_table(document, "/proc/sysvipc/shm", columns, 1);
}

static void add_semaphores(struct reply *document)
{
    static const struct column columns[] = {
        {"key", PLAIN},
        {"semid", PLAIN},
        {"permissions", PLAIN},
        {"num semaphores", PLAIN},
        {"user", USER},
        {"group", GROUP},
        {"creator user", USER},
        {"creator group", GROUP},
        {"last semop() time", TIME},
        {"last semctl() time", TIME},
        {NULL, PLAIN},
    };
    add_table(document, "/proc/sysvipc/sem", columns, 1);
}

static void add_message_queues(struct reply *document)
{
    static const struct column columns[] = {
        {"key", PLAIN},
        {"msqid", PLAIN},
        {"permissions", PLAIN},
        {"num used bytes", PLAIN},
        {"num messages", PLAIN},
        {"last msgsnd() command", PROCESS},
        {"last msgrcv() command", PROCESS},
        {"user", USER},
        {"group", GROUP},
        {"creator user", USER},
        {"creator group", GROUP},
        {"last msgsnd() time", TIME},
        {"last msgrcv() time", TIME},
        {"last msgctl() time", TIME},
        {NULL, PLAIN},
    };
    add_table(document, "/proc/sysvipc/msg", columns, 1);
}

static void add_modules(struct reply *document)
{
    static const struct column columns[] = {
        {"name", PLAIN},   {"size", PLAIN},    {"num uses", PLAIN}, {"dependencies", PLAIN},
        {"status", PLAIN}, {"address", PLAIN}, {NULL, PLAIN},
    };
    add_table(document, "/proc/modules", columns, 0);
}

/* ---- Processors: "key : value", an empty line behind each ---- */

static void trim(char *text)
{
    for (size_t length = strlen(text); length && isspace((unsigned char)text[length - 1]);)
        text[--length] = '\0';
}

static void add_processors(struct reply *document)
{
    char *text = cli_read_file("/proc/cpuinfo", NULL), *rest = text, *line;
    bool open = false;
    while (rest && (line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ':');
        if (!value) {
            if (open)
                end_item(document);
            open = false;
            continue;
        }
        *value++ = '\0';
        value += strspn(value, " ");
        trim(line);
        if (!open)
            begin_item(document);
        open = true;
        column(document, line, value);
    }
    if (open)
        end_item(document);
    free(text);
}

/* ---- Types ---- */

static const struct type {
    const char *name;
    const char *title, *description; /* for the list of types */
    const char *heading;             /* the document's type, gdbserver's name for it */
    void (*add)(struct reply *document);
} types[] = {
    {"cpus", "CPUs", "Listing of all cpus/cores on the system", "cpus", add_processors},
    {"files", "File descriptors", "Listing of all file descriptors", "files", add_files},
    {"modules", "Kernel modules", "Listing of all loaded kernel modules", "modules", add_modules},
    {"msg", "Message queues", "Listing of all message queues", "message queues", add_message_queues},
    {"processes", "Processes", "Listing of all processes", "processes", add_processes},
    {"procgroups", "Process groups", "Listing of all process groups", "process groups", add_process_groups},
    {"semaphores", "Semaphores", "Listing of all semaphores", "semaphores", add_semaphores},
    {"shm", "Shared-memory regions", "Listing of all shared-memory regions", "shared memory", add_shared_memory},
    {"sockets", "Sockets", "Listing of all internet-domain sockets", "I sockets", add_sockets},
    {"threads", "Threads", "Listing of all threads", "threads", add_threads},
};

static void add_types(struct reply *document)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        begin_item(document);
        column(document, "Type", types[i].name);
        column(document, "Description", types[i].description);
        column(document, "Title", types[i].title);
        end_item(document);
    }
}

static void make(struct reply *document, const char *heading, void (*add)(struct reply *document))
{
    reply_format(document, "<osdata type=\"%s\">\n", heading);
    add(document);
    reply_text(document, "</osdata>\n");
}

bool osdata_make(const char *type, struct reply *document)
{
    if (!*type || strcmp(type, "types") == 0) {
        make(document, "types", add_types);
        return true;
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].name) == 0) {
            make(document, types[i].heading, types[i].add);
            return true;
        }
    return false;
}
