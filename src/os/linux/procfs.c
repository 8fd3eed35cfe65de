/* Looking at threads and processes through /proc, without tracing them, and saying in words why one cannot be traced
 * or does not stop.
 *
 * A thread's files are read by its own id, /proc/ID/..., where the process is not known: the kernel shows them there too, it
 * only does not list them. All but the explanations are async-signal-safe and use no memory but the stack. */
#include "os/linux/linux.h"
#include "os/linux/numbers.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD, in the flags of /proc/PID/stat since Linux 2.6.27 */
#define CAPABILITY_PTRACE 19
#define COMPARE_MEMORY 1 /* KCMP_VM */

/* ---- Reading files ---- */

struct path {
    char text[96];
    size_t length;
};

static void add_text(struct path *path, const char *text)
{
    while (*text != '\0' && path->length + 1 < sizeof path->text)
        path->text[path->length++] = *text++;
    path->text[path->length] = '\0';
}

static void add_number(struct path *path, int number)
{
    char digits[16];
    size_t at = sizeof digits - 1;
    unsigned rest = number < 0 ? 0U : (unsigned)number;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    add_text(path, digits + at);
}

/* /proc/PID/LEAF */
static struct path process_path(int pid, const char *leaf)
{
    struct path path = {.length = 0};

    add_text(&path, "/proc/");
    add_number(&path, pid);
    add_text(&path, "/");
    add_text(&path, leaf);
    return path;
}

/* /proc/PID/task/ID/LEAF: no thread of another process that has got the same id meanwhile. */
static struct path thread_path(int pid, int id, const char *leaf)
{
    struct path path = process_path(pid, "task/");

    add_number(&path, id);
    add_text(&path, "/");
    add_text(&path, leaf);
    return path;
}

/* The start of a file, as a string. Its length, or a negative errno; -ESRCH when there is no such thread: it was
 * gone at the open (ENOENT) or at the read (ESRCH). */
static ssize_t read_file(struct path path, char *buffer, size_t size)
{
    int fd = open(path.text, O_RDONLY | O_CLOEXEC);
    size_t length = 0;

    buffer[0] = '\0';
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    while (length + 1 < size) {
        ssize_t count = read(fd, buffer + length, size - 1 - length);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            int error = errno;
            close(fd);
            return -error;
        }
        if (count == 0)
            break;
        length += (size_t)count;
    }
    close(fd);
    buffer[length] = '\0';
    return (ssize_t)length;
}

/* ---- Reading what is in them ---- */

/* Decimal digits after blanks; behind them in *end. */
static uint64_t read_decimal(const char *text, const char **end)
{
    uint64_t value = 0;

    while (*text == ' ' || *text == '\t')
        text++;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (uint64_t)(*text++ - '0');
    if (end != NULL)
        *end = text;
    return value;
}

static uint64_t read_hexadecimal(const char *text)
{
    uint64_t value = 0;

    while (*text == ' ' || *text == '\t')
        text++;
    for (;; text++) {
        if (*text >= '0' && *text <= '9')
            value = value * 16 + (uint64_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            value = value * 16 + 10 + (uint64_t)(*text - 'a');
        else
            return value;
    }
}

#define STATUS_SIZE 4096 /* about 1500 in Linux 6.18; a long list of groups makes it longer, behind what is read here */

/* What follows LABEL and a colon at the start of a line of a status file; "" when there is no such line. A thread's name
 * cannot forge one: the kernel writes a newline in it as \n. */
static const char *status_field(const char *status, const char *label)
{
    size_t length = strlen(label);

    for (const char *line = status; line != NULL; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, label, length) == 0 && line[length] == ':')
            return line + length + 1;
    }
    return "";
}

static int status_number(const char *status, const char *label)
{
    return (int)read_decimal(status_field(status, label), NULL);
}

/* From a stat file: what follows the name, which may hold blanks and parentheses itself. NULL: nothing does. */
static const char *behind_name(const char *stat)
{
    const char *end = strrchr(stat, ')');

    return end != NULL && end[1] == ' ' ? end + 2 : NULL;
}

/* ---- The scans ---- */

enum { SCAN_TRIES = 10 };

static uint64_t count_links(int fd)
{
    struct stat directory;

    return fstat(fd, &directory) == 0 ? (uint64_t)directory.st_nlink : 0;
}

/* Calls back for every name in a directory that is a number. *whole: as many as the directory has had subdirectories all the
 * time, which its links count. */
static int for_each_number(const char *directory, os_id_callback callback, void *arg, bool *whole)
{
    /* getdents64(2) and not readdir(3), which allocates. */
    union {
        char bytes[8192];
        struct dirent64 align;
    } buffer;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = 0;
    uint64_t links, count = 0;

    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    links = count_links(fd);
    while (result == 0) {
        long size = syscall(SYS_getdents64, fd, buffer.bytes, sizeof buffer.bytes);

        if (size <= 0) {
            if (size < 0) /* ENOENT: the process went in the middle of it */
                result = errno == ENOENT ? -ESRCH : -errno;
            break;
        }
        for (long at = 0; at < size && result == 0;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer.bytes + at);
            const char *end = NULL;
            uint64_t id = read_decimal(entry->d_name, &end);

            if (id > 0 && *end == '\0') {
                count++;
                result = callback((int)id, arg);
            }
            at += entry->d_reclen;
        }
    }
    if (whole != NULL)
        *whole = links == count + 2 && links == count_links(fd); /* itself, and the one in its parent */
    close(fd);
    return result;
}

/* All of them, zombies too; a leader that has left before the others stays in the list as long as there are any. When
 * one goes while the list is read, the kernel ends it there (next_tid() in fs/proc/base.c), and others that are at work
 * are missing, once in ten thousand times where threads come and go (measured). So it is read until its length is that
 * of the process. */
int linux_for_each_thread(int pid, os_id_callback callback, void *arg)
{
    struct path path = process_path(pid, "task");
    bool whole = false;
    int result = 0;

    for (int tries = 0; !whole && result == 0 && tries < SCAN_TRIES; tries++)
        result = for_each_number(path.text, callback, arg, &whole);
    if (result == 0 && !whole)
        return -EAGAIN;
    /* Not there, and yet alive: hidden (mounted with hidepid), or /proc is not mounted at all. */
    if (result == -ESRCH && (kill(pid, 0) == 0 || errno == EPERM))
        return access("/proc/self", F_OK) == 0 ? -EACCES : -ENOSYS;
    return result;
}

int linux_count_threads(int pid, size_t *count)
{
    struct stat directory;

    if (stat(process_path(pid, "task").text, &directory) != 0)
        return errno == ENOENT ? -ESRCH : -errno;
    if (directory.st_nlink < 2)
        return -ENOSYS;
    *count = directory.st_nlink - 2; /* itself, and the one in its parent */
    return 0;
}

struct children {
    int parent;
    os_id_callback callback;
    void *arg;
};

static int if_child(int id, void *arg)
{
    struct children *children = arg;
    int pid = 0, parent = 0;

    if (linux_process_of(id, &pid, &parent) == 0 && parent == children->parent)
        return children->callback(id, children->arg);
    return 0;
}

/* What one reading of a list of children has given. */
struct reading {
    uint64_t count, sum;
};

static int read_children(int fd, struct children *children, struct reading *reading)
{
    char buffer[512];
    size_t kept = 0;

    *reading = (struct reading){0, 0};
    for (;;) {
        ssize_t count = read(fd, buffer + kept, sizeof buffer - 1 - kept);
        const char *text = buffer;

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return 0;
        buffer[kept + (size_t)count] = '\0';
        for (;;) { /* every number is followed by a blank; one that is not is cut off here */
            const char *end = NULL;
            uint64_t child = read_decimal(text, &end);

            if (*end != ' ')
                break;
            text = end + 1;
            reading->count++;
            reading->sum += child;
            int result = child > 0 ? children->callback((int)child, children->arg) : 0;
            if (result != 0)
                return result;
        }
        kept = strlen(text);
        memmove(buffer, text, kept);
    }
}

/* The children of one thread: what it has made by fork and its like. Of this list, too, some are missing when one ends while
 * it is read, and nothing tells how long it should be: it is read until that makes no difference. */
static int for_each_child_of_thread(int id, void *arg)
{
    struct children *children = arg;
    struct path path = thread_path(children->parent, id, "children");
    struct reading before = {UINT64_MAX, 0}, now = {0, 0};
    int result = 0;
    int fd = open(path.text, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno != ENOENT)
        return errno == ESRCH ? 0 : -errno;
    if (fd < 0) /* a thread that has gone meanwhile has left its children to another */
        return linux_is_thread_of(id, children->parent) ? -ENOSYS : 0;
    for (int tries = 0; tries < SCAN_TRIES && result == 0; tries++) {
        result = read_children(fd, children, &now);
        if (now.count == 0 || (now.count == before.count && now.sum == before.sum))
            break;
        before = now;
        if (lseek(fd, 0, SEEK_SET) != 0)
            break;
    }
    close(fd);
    return result;
}

/* Every process of the machine is asked for its parent, or every thread of this one for its children: what is quicker. /proc has as
 * many links as there are processes, and one that is there all the time is in its listing. */
static bool is_quicker_by_parents(int pid)
{
    struct stat processes;
    size_t threads = 0;

    return linux_count_threads(pid, &threads) == 0 && stat("/proc", &processes) == 0 && processes.st_nlink > 2 &&
           processes.st_nlink < threads;
}

int linux_for_each_child_of(int pid, os_id_callback callback, void *arg)
{
    struct children children = {pid, callback, arg};
    int result = is_quicker_by_parents(pid) ? -ENOSYS : linux_for_each_thread(pid, for_each_child_of_thread, &children);

    if (result == -ENOSYS) /* or a kernel without CONFIG_PROC_CHILDREN */
        result = for_each_number("/proc", if_child, &children, NULL);
    return result;
}

/* ---- Questions about one thread ---- */

int linux_thread_status(int pid, int id, enum os_thread_status *status)
{
    char stat[512];
    ssize_t length = read_file(thread_path(pid, id, "stat"), stat, sizeof stat);
    const char *state = behind_name(stat);

    if (length < 0 && length != -ESRCH)
        return (int)length;
    switch (state != NULL ? *state : 'X') {
    case 'X': /* dead, and still in the list for a moment */
    case 'x':
        *status = OS_THREAD_GONE;
        return 0;
    case 'Z':
        *status = OS_THREAD_ZOMBIE;
        return 0;
    case 'R':
        *status = OS_THREAD_RUNS;
        return 0;
    case 'T': /* by job control */
    case 't': /* by a tracer, Linux 2.6.33 */
        *status = OS_THREAD_STOPPED;
        return 0;
    case 'D': /* also who waits killably: for a file on the network, for a vfork child */
    case 'I':
        *status = OS_THREAD_UNINTERRUPTIBLE;
        return 0;
    default:
        *status = OS_THREAD_SLEEPS;
        return 0;
    }
}

int linux_thread_name(int pid, int id, char name[16])
{
    char comm[64];
    ssize_t length = read_file(thread_path(pid, id, "comm"), comm, sizeof comm);

    if (length < 0)
        return (int)length;
    if (length > 0 && comm[length - 1] == '\n') /* the kernel's; there may be others in the name */
        length--;
    if (length > 15) /* a kernel thread's can be longer */
        length = 15;
    memcpy(name, comm, (size_t)length);
    name[length] = '\0';
    return 0;
}

int linux_program_path(int pid, char *path, size_t size)
{
    ssize_t length = size ? readlink(process_path(pid, "exe").text, path, size - 1) : 0;

    if (length < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    if (size)
        path[length] = '\0';
    return 0;
}

/* By the ELF header of its file, which tells of a program that has switched to other code, too. */
const struct arch *linux_program_arch(int pid)
{
#if defined(__x86_64__) || defined(__i386__)
    char header[sizeof(Elf32_Ehdr) + 1];
    Elf32_Half machine = EM_NONE;

    if (read_file(process_path(pid, "exe"), header, sizeof header) == sizeof header - 1)
        memcpy(&machine, header + offsetof(Elf32_Ehdr, e_machine), sizeof machine); /* at the same place in all */
    if (machine == EM_386)
        return &arch_i386;
#if defined(__i386__)
    if (machine == EM_X86_64)
        return NULL;
#endif
#else
    (void)pid;
#endif
    return os_backend.arch;
}

/* NStgid (Linux 4.1): the process's id in each PID namespace that it is in, from ours to its own. The line stands behind the
 * groups, of which there can be 65,536. */
int linux_inner_id(int pid, int *id)
{
    enum { LABEL = 7 };
    char text[STATUS_SIZE + 1];
    size_t kept = 0;
    int fd = open(process_path(pid, "status").text, O_RDONLY | O_CLOEXEC), result = fd < 0 ? -errno : -ENOTSUP;
    ssize_t count;

    if (result == -ENOENT)
        return -ESRCH;
    while (result == -ENOTSUP && (count = read(fd, text + kept, STATUS_SIZE - kept)) != 0) {
        const char *line, *end;
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            result = -errno;
            break;
        }
        kept += (size_t)count;
        text[kept] = '\0';
        line = strstr(text, "\nNStgid:");
        end = line == NULL ? NULL : strchr(line + 1, '\n');
        if (end != NULL) {
            while (end > line && end[-1] != '\t')
                end--;
            *id = (int)read_decimal(end, NULL);
            result = 0;
        } else if (line != NULL) {
            kept = strlen(line);
            memmove(text, line, kept);
        } else if (kept > LABEL) {
            memmove(text, text + kept - LABEL, LABEL);
            kept = LABEL;
        }
    }
    if (fd >= 0)
        close(fd);
    return result;
}

int linux_process_of(int id, int *pid, int *parent)
{
    char status[STATUS_SIZE];
    ssize_t length = read_file(process_path(id, "status"), status, sizeof status);

    if (length < 0)
        return (int)length;
    *pid = status_number(status, "Tgid");
    *parent = status_number(status, "PPid");
    return 0;
}

bool linux_is_thread_of(int id, int pid)
{
    return syscall(SYS_tgkill, pid, id, 0) == 0 || errno == EPERM;
}

int linux_tracer_of(int id, int *tracer)
{
    char status[STATUS_SIZE];
    ssize_t length = read_file(process_path(id, "status"), status, sizeof status);

    if (length < 0)
        return (int)length;
    *tracer = status_number(status, "TracerPid");
    return 0;
}

int linux_pending_signals(int id, uint64_t *own, uint64_t *shared)
{
    char status[STATUS_SIZE];
    ssize_t length = read_file(process_path(id, "status"), status, sizeof status);

    if (length < 0)
        return (int)length;
    *own = read_hexadecimal(status_field(status, "SigPnd"));
    *shared = read_hexadecimal(status_field(status, "ShdPnd"));
    return 0;
}

static int read_signals(struct path path, const char *label, uint64_t *mask)
{
    char status[STATUS_SIZE];
    ssize_t length = read_file(path, status, sizeof status);

    if (length < 0)
        return (int)length;
    *mask = read_hexadecimal(status_field(status, label));
    return 0;
}

int linux_blocked_signals(int pid, int id, uint64_t *mask)
{
    return read_signals(thread_path(pid, id, "status"), "SigBlk", mask);
}

int linux_caught_signals(int id, uint64_t *mask)
{
    return read_signals(process_path(id, "status"), "SigCgt", mask);
}

/* syscall has the number in decimal, "running", or -1, and then the arguments. */
bool linux_first_argument(int id, uint64_t *argument)
{
    char text[256];
    const char *rest = text;
    ssize_t size = read_file(thread_path(id, id, "syscall"), text, sizeof text - 1);

    if (size <= 0)
        return false;
    text[size] = '\0';
    if (text[0] < '0' || text[0] > '9')
        return false;
    read_decimal(text, &rest);
    if (strncmp(rest, " 0x", 3) != 0)
        return false;
    *argument = read_hexadecimal(rest + 3);
    return true;
}

/* Linux 3.8; a kernel without seccomp has no such line. */
int linux_seccomp_mode(int pid, int id)
{
    char status[STATUS_SIZE];
    ssize_t length = read_file(thread_path(pid, id, "status"), status, sizeof status);

    return length < 0 ? (int)length : status_number(status, "Seccomp");
}

/* Lines "START-END rwxp OFFSET DEVICE INODE ... [vdso]"; of a long one the start is enough. */
#define MAP_LINE_SIZE 128

struct map_line {
    char text[MAP_LINE_SIZE];
    size_t length;
};

struct map {
    uint64_t start, end, offset, inode; /* 0: it belongs to no file */
    const char *access;                 /* "rwxp" */
    bool vdso;
};
typedef int (*map_callback)(const struct map *map, void *arg);

static bool parse_map(const char *line, struct map *map)
{
    const char *end = strchr(line, '-'), *rest = end;

    for (int column = 0; column < 4; column++) {
        rest = rest != NULL ? strchr(rest + 1, ' ') : NULL;
        if (column == 0)
            map->access = rest != NULL ? rest + 1 : "";
        if (column == 1)
            map->offset = rest != NULL ? read_hexadecimal(rest + 1) : 0;
    }
    if (strlen(map->access) < 4)
        return false;
    map->start = read_hexadecimal(line);
    map->end = read_hexadecimal(end + 1);
    map->inode = rest != NULL ? read_decimal(rest + 1, &rest) : 0;
    map->vdso = strstr(map->access, "[vdso]") != NULL;
    return true;
}

/* Lines, without their ends; of a long one the start. Until callback answers other than 0. */
static int scan_lines(int fd, int (*callback)(const char *line, void *arg), void *arg)
{
    struct map_line line = {.length = 0};
    int result = 0;

    while (result == 0) {
        char buffer[4096];
        ssize_t count = read(fd, buffer, sizeof buffer);

        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            result = -errno;
        if (count <= 0)
            break;
        for (ssize_t i = 0; i < count && result == 0; i++) {
            if (buffer[i] != '\n') {
                if (line.length < sizeof line.text - 1)
                    line.text[line.length++] = buffer[i];
                continue;
            }
            line.text[line.length] = '\0';
            line.length = 0;
            result = callback(line.text, arg);
        }
    }
    return result;
}

struct map_scan {
    map_callback callback;
    void *arg;
};

static int take_map(const char *line, void *arg)
{
    const struct map_scan *scan = arg;
    struct map map;

    return parse_map(line, &map) ? scan->callback(&map, scan->arg) : 0;
}

/* Until callback answers other than 0. */
static int scan_maps(int fd, map_callback callback, void *arg)
{
    struct map_scan scan = {callback, arg};

    return scan_lines(fd, take_map, &scan);
}

static int open_maps(int id)
{
    int fd = open(process_path(id, "maps").text, O_RDONLY | O_CLOEXEC);

    return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

struct code_scan {
    os_memory_callback callback;
    void *arg;
    bool vdso;
};

static int take_code(const struct map *map, void *arg)
{
    const struct code_scan *scan = arg;

    /* Behind INT64_MAX is the vsyscall page only, which holds no instruction that can be executed. */
    if (map->access[2] != 'x' || map->start > INT64_MAX || map->vdso != scan->vdso)
        return 0;
    return scan->callback(map->start, map->end, scan->arg);
}

int linux_for_each_code(int id, os_memory_callback callback, void *arg)
{
    static const bool vdso_first[] = {true, false};
    int result = 0;

    for (size_t i = 0; i < 2 && result == 0; i++) {
        struct code_scan scan = {callback, arg, vdso_first[i]};
        int fd = open_maps(id);
        if (fd < 0)
            return fd;
        result = scan_maps(fd, take_code, &scan);
        close(fd);
    }
    return result;
}

/* ---- What is at an address ---- */

/* PROCMAP_QUERY (Linux 6.11) finds the one mapping among thousands. The headers of older systems have it not. */
struct map_query {
    uint64_t size, flags, address;
    uint64_t start, end, access, page_size, offset, inode;
    uint32_t device_major, device_minor, name_size, build_id_size;
    uint64_t name, build_id;
};
#define QUERY_MAP _IOWR(0x66, 17, struct map_query)
enum { QUERY_WRITABLE = 2, QUERY_SHARED = 8 };

struct map_search {
    uint64_t address;
    bool fixed;
};

static int look_at_map(const struct map *map, void *arg)
{
    struct map_search *search = arg;

    if (search->address < map->start || search->address >= map->end)
        return 0;
    search->fixed = map->inode != 0 && map->access[1] != 'w' && map->access[3] == 'p';
    return 1;
}

int linux_is_fixed_code(int id, uint64_t address)
{
    struct map_query query = {.size = sizeof query, .address = address};
    struct map_search search = {address, false};
    int fd = open_maps(id), result = 0;

    if (fd < 0)
        return fd;
    if (ioctl(fd, QUERY_MAP, &query) == 0)
        search.fixed = query.inode != 0 && (query.access & (QUERY_WRITABLE | QUERY_SHARED)) == 0;
    else if (errno != ENOENT)
        result = scan_maps(fd, look_at_map, &search);
    close(fd);
    return result < 0 ? result : search.fixed;
}

#if defined(__aarch64__)
struct check_search {
    uint64_t address;
    bool here; /* the line is about that mapping */
};

static int look_for_check(const char *line, void *arg)
{
    struct check_search *search = arg;
    struct map map;

    if (parse_map(line, &map))
        search->here = search->address >= map.start && search->address < map.end;
    if (!search->here || strncmp(line, "VmFlags:", strlen("VmFlags:")) != 0)
        return 0;
    return strstr(line, " bt") != NULL ? ARCH_BRANCHES_CHECKED : ARCH_BRANCHES_FREE;
}

/* PROT_BTI of a mapping, Linux 5.8. */
enum arch_branch_checks linux_branch_checks(int id, uint64_t address)
{
    const unsigned long has_checks = 1UL << 17; /* HWCAP2_BTI */
    struct check_search search = {address, false};

    if ((getauxval(AT_HWCAP2) & has_checks) == 0)
        return ARCH_BRANCHES_NEVER;
    int fd = open(process_path(id, "smaps").text, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ARCH_BRANCHES_UNKNOWN;
    int result = scan_lines(fd, look_for_check, &search);
    close(fd);
    return result > 0 ? (enum arch_branch_checks)result : ARCH_BRANCHES_UNKNOWN;
}
#else
enum arch_branch_checks linux_branch_checks(int id, uint64_t address)
{
    (void)id, (void)address;
    return ARCH_BRANCHES_NEVER;
}
#endif

struct file_search {
    uint64_t address, inode, base, end;
};

/* The pages of a file are mapped one behind the other, the first ones first. */
static int look_for_file(const struct map *map, void *arg)
{
    struct file_search *search = arg;

    if (map->inode == 0 || map->offset == 0) {
        search->inode = map->inode;
        search->base = map->start;
    }
    if (search->address < map->start || search->address >= map->end)
        return 0;
    search->end = map->end;
    return map->inode != 0 && map->inode == search->inode && map->access[2] == 'x' && map->access[1] != 'w' &&
                   map->access[3] == 'p'
               ? 1
               : -ENOENT;
}

int linux_find_file_of(int id, uint64_t address, uint64_t *base, uint64_t *end)
{
    struct file_search search = {.address = address};
    int fd = open_maps(id);

    if (fd < 0)
        return fd;
    int result = scan_maps(fd, look_for_file, &search);
    close(fd);
    *base = search.base;
    *end = search.end;
    return result == -ENOENT ? 0 : result;
}

struct gap_search {
    uint64_t address, page, behind; /* .behind: the end of the mapping before this one */
    uint64_t found;                 /* 0: nothing */
    bool above, behind_heap;
};

/* A page is left free on either side: mappings of the same kind that meet become one, and what runs over the end of its own is to
 * fault. Below the stack, and behind the heap, is where these grow. */
static int look_for_gap(const struct map *map, void *arg)
{
    struct gap_search *search = arg;
    bool stack = strstr(map->access, "[stack]") != NULL, heap = strstr(map->access, "[heap]") != NULL;
    bool wide = map->start > search->behind && map->start - search->behind >= 3 * search->page;

    if (search->above && search->behind > search->address && wide && !search->behind_heap) {
        search->found = search->behind + search->page;
        return 1;
    }
    if (!search->above && map->start > search->address)
        return 1;
    if (!search->above && wide && !stack)
        search->found = map->start - 2 * search->page;
    search->behind = map->end;
    search->behind_heap = heap;
    return 0;
}

int linux_find_gap(int id, uint64_t address, bool above, uint64_t *start, uint64_t *size)
{
    enum { LOWEST = 65536 }; /* vm.mmap_min_addr */
    struct gap_search search = {
        .address = address, .page = (uint64_t)sysconf(_SC_PAGESIZE), .behind = LOWEST, .above = above};
    int fd = open_maps(id);

    if (fd < 0)
        return fd;
    int result = scan_maps(fd, look_for_gap, &search);
    close(fd);
    *start = search.found;
    *size = search.page;
    return result < 0 ? result : search.found != 0;
}

struct room_search {
    uint64_t start, end;
    bool found;
};

static int look_for_room(const struct map *map, void *arg)
{
    struct room_search *search = arg;

    if (map->end <= search->start)
        return 0;
    search->found = map->start == search->start && map->end == search->end && map->inode == 0 &&
                    strncmp(map->access, "r-xp", 4) == 0;
    return 1;
}

int linux_is_mapped_room(int id, uint64_t start, uint64_t size)
{
    struct room_search search = {.start = start, .end = start + size};
    int fd = open_maps(id);

    if (fd < 0)
        return fd;
    int result = scan_maps(fd, look_for_room, &search);
    close(fd);
    return result < 0 ? result : search.found;
}

/* AT_BASE of the words that a program is given at its start. */
int linux_find_loader(int id, uint64_t *base)
{
    char text[1024 + 1];
    ssize_t length = read_file(process_path(id, "auxv"), text, sizeof text);
    const struct arch *arch = linux_program_arch(id);
    size_t word = arch != NULL ? arch->registers[arch->pc_index].bytes : sizeof(uint64_t);

    if (length < 0)
        return (int)length;
    for (size_t at = 0; at + 2 * word <= (size_t)length; at += 2 * word) {
        uint64_t type = 0, value = 0;
        memcpy(&type, text + at, word);
        memcpy(&value, text + at + word, word);
        if (type != AT_BASE)
            continue;
        *base = value;
        return value != 0;
    }
    return 0;
}

/* kcmp(2), Linux 3.5, where the kernel has it (CONFIG_KCMP) and no seccomp filter forbids it. Without it only the threads
 * of one process are known to share their memory. A child of vfork or clone(CLONE_VM) is then taken for one
 * with a memory of its own: nothing else in the system tells the two apart right after the call. */
bool linux_same_memory(int id, int other_id)
{
    int pid = 0, parent = 0;

    if (id == other_id)
        return true;
    long order = syscall(SYS_kcmp, id, other_id, COMPARE_MEMORY, 0, 0);
    if (order >= 0)
        return order == 0;
    return linux_process_of(id, &pid, &parent) == 0 && linux_is_thread_of(other_id, pid);
}

/* ---- Why not? ----
 * In words, with what to do about it. Here stdio may be used. */

struct facts { /* what decides whether a thread may be traced: ptrace(2), "Ptrace access mode checking" */
    bool known;
    unsigned user[3], group[3];    /* real, effective, saved */
    uint64_t permitted, effective; /* capabilities */
    char status[STATUS_SIZE];
};

static void read_ids(const char *text, unsigned ids[3])
{
    for (int i = 0; i < 3; i++)
        ids[i] = (unsigned)read_decimal(text, &text);
}

static void read_facts(struct path path, struct facts *facts)
{
    facts->known = read_file(path, facts->status, sizeof facts->status) > 0;
    read_ids(status_field(facts->status, "Uid"), facts->user);
    read_ids(status_field(facts->status, "Gid"), facts->group);
    facts->permitted = read_hexadecimal(status_field(facts->status, "CapPrm"));
    facts->effective = read_hexadecimal(status_field(facts->status, "CapEff"));
}

/* " (NAME)", or "" */
static void describe(int pid, char text[24])
{
    char name[16];

    text[0] = '\0';
    if (linux_thread_name(pid, pid, name) == 0)
        snprintf(text, 24, " (%s)", name);
}

static bool is_kernel_thread(int pid)
{
    char stat[512];
    ssize_t length = read_file(process_path(pid, "stat"), stat, sizeof stat);
    const char *text = behind_name(stat);

    if (length < 0 || text == NULL)
        return false;
    /* state, and then numbers: ppid, pgrp, session, tty, its group, flags */
    for (int field = 0; field < 6 && text != NULL; field++)
        if ((text = strchr(text, ' ')) != NULL)
            text++;
    return text != NULL && (read_decimal(text, NULL) & KERNEL_THREAD) != 0;
}

static int yama_scope(void)
{
    struct path path = {.length = 0};
    char value[16];

    add_text(&path, "/proc/sys/kernel/yama/ptrace_scope");
    return read_file(path, value, sizeof value) > 0 ? (int)read_decimal(value, NULL) : 0;
}

/* Do their user namespaces differ, as far as we may know? */
static bool is_in_other_namespace(int pid)
{
    struct path ours = {.length = 0}, its = process_path(pid, "ns/user");
    char our_link[64] = "", its_link[64] = "";

    add_text(&ours, "/proc/self/ns/user");
    return readlink(ours.text, our_link, sizeof our_link - 1) > 0 &&
           readlink(its.text, its_link, sizeof its_link - 1) > 0 && strcmp(our_link, its_link) != 0;
}

/* A process that is not dumpable has its files in /proc belong to root, of its user namespace (proc(5)). */
static bool is_undumpable(int pid, const struct facts *its)
{
    struct path path = process_path(pid, "status");
    struct stat file;

    return stat(path.text, &file) == 0 && file.st_uid != its->user[1];
}

static bool is_all(const unsigned ids[3], unsigned id)
{
    return ids[0] == id && ids[1] == id && ids[2] == id;
}

/* Why a thread that lives, and is nobody else's, may not be traced. The order is the kernel's in __ptrace_may_access(),
 * so that the first reason found is the one that counted. */
static void explain_refusal(int pid, char *text, size_t size)
{
    struct facts our = {.known = false}, its = {.known = false};
    struct path path = {.length = 0};
    const char *cure = "run as root or with CAP_SYS_PTRACE";
    char who[24];
    int scope = yama_scope();

    add_text(&path, "/proc/self/status");
    read_facts(path, &our);
    read_facts(process_path(pid, "status"), &its);
    describe(pid, who);
    if (our.user[1] == 0)
        cure = "root lacks CAP_SYS_PTRACE here: start the container with --cap-add=SYS_PTRACE";

    bool capable = (our.effective >> CAPABILITY_PTRACE & 1) != 0;

    if (linux_ptrace_is_refused() != 0) {
        snprintf(text, size,
                 "ptrace is forbidden here altogether, it seems by a container's seccomp filter: start the container "
                 "with --cap-add=SYS_PTRACE or --security-opt seccomp=unconfined");
    } else if (scope >= 3) {
        snprintf(text, size,
                 "kernel.yama.ptrace_scope is %d: nobody may trace, not even root, until the system is restarted with "
                 "another setting",
                 scope);
    } else if (!its.known || !our.known) {
        snprintf(text, size, "process %d is not visible in /proc to this user (hidepid); %s", pid, cure);
    } else if (capable && is_in_other_namespace(pid)) {
        snprintf(text, size,
                 "process %d%s is in another user namespace (container), where CAP_SYS_PTRACE of this one does not "
                 "count: trace it from inside, or from the namespace that both are in",
                 pid, who);
    } else if (capable) {
        snprintf(text, size,
                 "a security module (SELinux, AppArmor) forbids tracing process %d%s, although CAP_SYS_PTRACE is "
                 "there: see the system's audit log",
                 pid, who);
    } else if (!is_all(its.user, our.user[0]) && its.user[0] == its.user[1] && its.user[1] == its.user[2]) {
        snprintf(text, size, "process %d%s belongs to user %u, this is user %u: %s", pid, who, its.user[0], our.user[0],
                 cure);
    } else if (!is_all(its.user, our.user[0]) || !is_all(its.group, our.group[0])) {
        snprintf(text, size,
                 "process %d%s has other user or group ids than this one (user %u, %u, %u, group %u, %u, %u; this is "
                 "%u and %u), as a set-user-ID program has: %s",
                 pid, who, its.user[0], its.user[1], its.user[2], its.group[0], its.group[1], its.group[2], our.user[0],
                 our.group[0], cure);
    } else if (is_undumpable(pid, &its)) {
        snprintf(text, size,
                 "process %d%s is not dumpable: it has asked for that with prctl(PR_SET_DUMPABLE), or has changed its "
                 "user ids, or its program file may not be read; %s",
                 pid, who, cure);
    } else if (is_in_other_namespace(pid)) {
        snprintf(text, size, "process %d%s is in another user namespace (container): trace it from inside, or %s", pid,
                 who, cure);
    } else if ((its.permitted & ~our.permitted) != 0) {
        snprintf(text, size, "process %d%s has capabilities that this one lacks: %s", pid, who, cure);
    } else if (scope == 2) {
        snprintf(text, size,
                 "kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE may trace. Run as root, or sysctl "
                 "kernel.yama.ptrace_scope=0");
    } else if (scope == 1) {
        snprintf(text, size,
                 "kernel.yama.ptrace_scope is 1: only what this process has started may be traced, and process %d%s is "
                 "not. Run as root, or sysctl kernel.yama.ptrace_scope=0, or let it call prctl(PR_SET_PTRACER)",
                 pid, who);
    } else {
        snprintf(text, size,
                 "the kernel forbids tracing process %d%s; it is in a container or under a security module (SELinux, "
                 "AppArmor) that does not allow it, or not dumpable: %s",
                 pid, who, cure);
    }
}

static int explain_not_permitted(int pid, int id, char *text, size_t size)
{
    int tracer = 0;
    char who[24];

    describe(pid, who);
    if (pid == getpid()) {
        snprintf(text, size, "process %d is the tracer itself", pid);
        return REIN_SELF;
    }
    if (is_kernel_thread(pid)) {
        snprintf(text, size, "%d%s is a kernel thread", pid, who);
        return REIN_KERNEL_THREAD;
    }
    if (linux_tracer_of(id, &tracer) == 0 && tracer != 0) {
        char name[16];
        char by[24] = "";

        if (linux_thread_name(tracer, tracer, name) == 0)
            snprintf(by, sizeof by, " (%s)", name);
        snprintf(text, size, "process %d%s is traced already, by process %d%s: make that one let go first", pid, who,
                 tracer, by);
        return REIN_ALREADY_TRACED;
    }
    explain_refusal(pid, text, size);
    return REIN_NOT_PERMITTED;
}

int linux_explain_seize(int pid, int id, int error, char *text, size_t size)
{
    enum os_thread_status status = OS_THREAD_RUNS;

    error = error < 0 ? -error : error;
    /* A zombie is EPERM, or ESRCH when it became one meanwhile. Of a leader that has left before the others, only the
     * leader is one. */
    if (linux_thread_status(pid, id, &status) == 0 && status == OS_THREAD_ZOMBIE) {
        char who[24];
        int process = pid, parent = 0;

        describe(pid, who);
        linux_process_of(pid, &process, &parent);
        if (id == pid)
            snprintf(text, size, "process %d%s is a zombie: it has exited, and its parent %d has not waited for it yet",
                     pid, who, parent);
        else
            snprintf(text, size, "thread %d of process %d%s has exited", id, pid, who);
        return REIN_EXITED;
    }

    switch (error) {
    case ESRCH:
        if (id == pid || kill(pid, 0) != 0) {
            snprintf(text, size, "there is no process %d", pid);
            return REIN_NO_PROCESS;
        }
        snprintf(text, size, "process %d has no thread %d any more", pid, id);
        return REIN_NO_THREAD;
    case EPERM:
    case EACCES:
        return explain_not_permitted(pid, id, text, size);
    case EIO:
    case EINVAL:
        snprintf(text, size, "this kernel cannot trace without stopping (PTRACE_SEIZE, Linux 3.4)");
        return REIN_NOT_SUPPORTED;
    case ENOSYS:
        snprintf(text, size, access("/proc/self", F_OK) == 0 ? "this kernel has no ptrace" : "/proc is not mounted");
        return REIN_NOT_SUPPORTED;
    case ENOMEM:
        snprintf(text, size, "out of memory");
        return REIN_NO_MEMORY;
    default:
        snprintf(text, size, "process %d cannot be traced: %s", pid, strerror(error));
        return REIN_SYSTEM;
    }
}

struct vfork_search {
    int thread, child;
};

static int is_in_same_memory(int id, void *arg)
{
    struct vfork_search *search = arg;

    if (!linux_same_memory(search->thread, id))
        return 0;
    search->child = id;
    return 1;
}

static int find_vfork_child(int pid, int id)
{
    struct vfork_search search = {id, 0};
    struct children children = {pid, is_in_same_memory, &search};

    return for_each_child_of_thread(id, &children) > 0 ? search.child : 0;
}

/* By the number of the call, which the kernel tells of who sleeps. */
bool linux_is_making_child(int pid, int id)
{
    char call[256];

    if (read_file(thread_path(pid, id, "syscall"), call, sizeof call) <= 0 || *call < '0' || *call > '9')
        return false;
    return linux_call_of(linux_program_arch(pid), read_decimal(call, NULL)) == LINUX_CALL_CLONE &&
           find_vfork_child(pid, id) == 0;
}

void linux_explain_stuck(int pid, int id, char *text, size_t size)
{
    enum os_thread_status status = OS_THREAD_GONE;
    char where[64] = "";
    int child, tracer;

    /* The kernel function that it sleeps in; "0" when it does not sleep, or without the right to know. */
    if (read_file(thread_path(pid, id, "wchan"), where, sizeof where) <= 0 || strcmp(where, "0") == 0)
        where[0] = '\0';

    const char *in = where[0] != '\0' ? " in " : "";
    linux_thread_status(pid, id, &status);
    switch (status) {
    case OS_THREAD_UNINTERRUPTIBLE:
        child = find_vfork_child(pid, id);
        if (child > 0)
            snprintf(text, size, "waits for its vfork child %d", child);
        else
            snprintf(text, size, "is in uninterruptible sleep%s%s", in, where);
        break;
    case OS_THREAD_SLEEPS:
        snprintf(text, size, "sleeps%s%s and has not answered yet", in, where);
        break;
    case OS_THREAD_RUNS:
        snprintf(text, size, "runs and has not answered yet");
        break;
    case OS_THREAD_STOPPED:
        if (linux_tracer_of(id, &tracer) == 0 && tracer == linux_self_thread())
            snprintf(text, size, "was in the kernel until this moment");
        else
            snprintf(text, size, "is stopped, by job control or by another tracer");
        break;
    case OS_THREAD_ZOMBIE:
        snprintf(text, size, "has exited and is a zombie");
        break;
    case OS_THREAD_GONE:
    default:
        snprintf(text, size, "is gone");
        break;
    }
}
