/* vFile: files of the machine that the server runs on, as the client's debugger reads programs and libraries. Answers are
 * "F<result>[,<errno>][;<data>]"; flags, modes, error numbers and struct stat are the protocol's own (gdb's manual, "File-I/O
 * Remote Protocol Extension").
 *
 * setfs chooses whose files: a process in another mount namespace, as a container has, has others under the same names. They are
 * looked up from that process's root, and no symbolic link leads out of it (openat2, Linux 5.6). Without that
 * difference names mean what they mean to the server, which can follow all links in /proc.
 *
 * The client has numbers of its own for files; what else the server has open is out of its reach. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server.h"

enum { FILES_MAX = 64, PATH_LIMIT = 0x1000 };

struct files {
    int pid;             /* whose files; 0: the server's */
    int open[FILES_MAX]; /* descriptor + 1; 0: free */
};

/* ---- The protocol's numbers ---- */

static int error_number(int error)
{
    static const struct {
        int ours, number;
    } table[] = {
        {EPERM, 1},   {ENOENT, 2},  {EINTR, 4},   {EIO, 5},      {EBADF, 9},   {EACCES, 13}, {EFAULT, 14},
        {EBUSY, 16},  {EEXIST, 17}, {ENODEV, 19}, {ENOTDIR, 20}, {EISDIR, 21}, {EINVAL, 22}, {ENFILE, 23},
        {EMFILE, 24}, {EFBIG, 27},  {ENOSPC, 28}, {ESPIPE, 29},  {EROFS, 30},  {ENOSYS, 88}, {ENAMETOOLONG, 91},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].ours == error)
            return table[i].number;
    return 9999; /* unknown */
}

/* False: there are others. lldb's of its own (not to follow links, ...) are among these. */
static bool open_flags(uint64_t flags, int *ours)
{
    static const struct {
        uint64_t flag;
        int ours;
    } table[] = {{0x8, O_APPEND}, {0x200, O_CREAT}, {0x400, O_TRUNC}, {0x800, O_EXCL}};
    static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR};
    if ((flags & 3) == 3)
        return false;
    *ours = access[flags & 3];
    flags &= ~(uint64_t)3;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (flags & table[i].flag)
            *ours |= table[i].ours;
        flags &= ~table[i].flag;
    }
    return flags == 0;
}

static uint32_t file_mode(mode_t mode)
{
    uint32_t kind = S_ISREG(mode) ? 0100000 : S_ISDIR(mode) ? 040000 : S_ISCHR(mode) ? 020000 : 0;
    return kind | (mode & 0777);
}

static unsigned char *put(unsigned char *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)(value >> 8 * (size - 1 - i));
    return to + size;
}

enum { STAT_SIZE = 64 };

static void make_stat(const struct stat *status, unsigned char to[STAT_SIZE])
{
    to = put(to, status->st_dev, 4);
    to = put(to, status->st_ino, 4);
    to = put(to, file_mode(status->st_mode), 4);
    to = put(to, status->st_nlink, 4);
    to = put(to, status->st_uid, 4);
    to = put(to, status->st_gid, 4);
    to = put(to, status->st_rdev, 4);
    to = put(to, (uint64_t)status->st_size, 8);
    to = put(to, (uint64_t)status->st_blksize, 8);
    to = put(to, (uint64_t)status->st_blocks, 8);
    to = put(to, (uint64_t)status->st_atim.tv_sec, 4);
    to = put(to, (uint64_t)status->st_mtim.tv_sec, 4);
    put(to, (uint64_t)status->st_ctim.tv_sec, 4);
}

/* ---- Answers ---- */

static void fail(struct reply *reply, int error)
{
    reply_format(reply, "F-1,%x", (unsigned)error_number(error));
}

static void succeed(struct reply *reply, uint64_t result)
{
    reply_format(reply, "F%llx", (unsigned long long)result);
}

static void answer(struct reply *reply, long result)
{
    if (result < 0)
        fail(reply, errno);
    else
        succeed(reply, (uint64_t)result);
}

/* As many bytes as fit, of which the client may ask for more. */
static void succeed_with(struct reply *reply, const void *data, size_t length)
{
    size_t fit = binary_fit(data, length, PACKET_MAX - 16);
    succeed(reply, fit);
    reply_text(reply, ";");
    reply_binary(reply, data, fit);
}

/* ---- Whose files ---- */

static struct files *files_of(struct server *server)
{
    if (!server->files)
        server->files = calloc(1, sizeof(struct files));
    return server->files;
}

static bool has_own_names(int pid)
{
    struct stat here, there;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    /* One that cannot be looked at has none that could be opened either: opening tells why. */
    return stat("/proc/self/ns/mnt", &here) != 0 || stat(path, &there) != 0 || here.st_ino != there.st_ino ||
           here.st_dev != there.st_dev;
}

/* Opens it without waiting for anybody (a FIFO, a terminal), and never to be the server's terminal. -1 and errno. */
static int open_path(struct server *server, const char *path, int flags, unsigned mode)
{
    const struct files *files = server->files;
    flags |= O_CLOEXEC;
    if (!(flags & O_PATH))
        flags |= O_NONBLOCK | O_NOCTTY;
    if (!files || !files->pid || !has_own_names(files->pid))
        return open(path, flags, mode);
    char root[64];
    snprintf(root, sizeof root, "/proc/%d/root", files->pid);
    int directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -1;
    struct open_how how = {.flags = (unsigned)flags, .mode = flags & O_CREAT ? mode : 0, .resolve = RESOLVE_IN_ROOT};
    int fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    int error = errno;
    close(directory);
    errno = error;
    return fd;
}

/* The directory that a name is in, and the name alone. */
static int open_parent(struct server *server, char *path, const char **name)
{
    char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (!slash)
        return open_path(server, ".", O_PATH | O_DIRECTORY, 0);
    if (slash == path)
        return open_path(server, "/", O_PATH | O_DIRECTORY, 0);
    *slash = '\0';
    return open_path(server, path, O_PATH | O_DIRECTORY, 0);
}

/* ---- Requests ---- */

/* A name in hexadecimal; to be freed. NULL: it is none. */
static char *take_path(const char **at)
{
    size_t length = strspn(*at, "0123456789abcdefABCDEF");
    char *path = length && length / 2 < PATH_LIMIT ? parse_hex_text(*at, length) : NULL;
    *at += length;
    return path;
}

/* The same, with nothing behind it; NULL: that has been answered. */
static char *take_only_path(const char *arguments, struct reply *reply)
{
    char *path = take_path(&arguments);
    if (path && !*arguments)
        return path;
    free(path);
    fail(reply, EINVAL);
    return NULL;
}

/* A file's number, with that character behind it; -1: it is none. */
static int take_file(struct server *server, const char **at, char end)
{
    const struct files *files = server->files;
    uint64_t number;
    if (!parse_hex_to(at, end, &number) || !files || number >= FILES_MAX)
        return -1;
    return files->open[number] - 1;
}

static void run_open(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct files *files = files_of(server);
    const char *at = arguments;
    uint64_t flags, mode;
    int ours;
    char *path = take_path(&at);
    if (!path || !files || !parse_prefix(&at, ",") || !parse_hex_to(&at, ',', &flags) ||
        !parse_hex_to(&at, '\0', &mode) || !open_flags(flags, &ours)) {
        fail(reply, EINVAL);
        free(path);
        return;
    }
    size_t number = 0;
    while (number < FILES_MAX && files->open[number])
        number++;
    int fd = -1;
    errno = EMFILE;
    if (number < FILES_MAX)
        fd = open_path(server, path, ours, (unsigned)mode & 0777);
    free(path);
    if (fd < 0) {
        fail(reply, errno);
        return;
    }
    files->open[number] = fd + 1;
    succeed(reply, number);
}

static void run_close(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct files *files = server->files;
    const char *at = arguments;
    int fd = take_file(server, &at, '\0');
    for (size_t i = 0; fd >= 0 && i < FILES_MAX; i++)
        if (files->open[i] == fd + 1)
            files->open[i] = 0;
    errno = EBADF;
    answer(reply, fd < 0 ? -1 : close(fd));
}

/* FD,COUNT,OFFSET */
static void run_pread(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *at = arguments;
    uint64_t count, offset;
    int fd = take_file(server, &at, ',');
    if (fd < 0) {
        fail(reply, EBADF);
        return;
    }
    if (!parse_hex_to(&at, ',', &count) || !parse_hex_to(&at, '\0', &offset) || offset > INT64_MAX) {
        fail(reply, EINVAL);
        return;
    }
    size_t size = count < PACKET_MAX ? (size_t)count : PACKET_MAX;
    char *buffer = malloc(size + 1);
    ssize_t got = buffer ? pread(fd, buffer, size, (off_t)offset) : -1;
    if (got < 0)
        fail(reply, errno);
    else
        succeed_with(reply, buffer, (size_t)got);
    free(buffer);
}

/* FD,OFFSET,DATA */
static void run_pwrite(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    const char *at = arguments;
    uint64_t offset;
    int fd = take_file(server, &at, ',');
    if (fd < 0) {
        fail(reply, EBADF);
        return;
    }
    if (!parse_hex_to(&at, ',', &offset) || offset > INT64_MAX) {
        fail(reply, EINVAL);
        return;
    }
    char *data = arguments + (at - arguments);
    length = packet_unescape(data, length - (size_t)(at - arguments));
    answer(reply, pwrite(fd, data, length, (off_t)offset));
}

static void answer_stat(struct reply *reply, int result, const struct stat *status)
{
    unsigned char bytes[STAT_SIZE];
    if (result != 0) {
        fail(reply, errno);
        return;
    }
    make_stat(status, bytes);
    succeed_with(reply, bytes, sizeof bytes);
}

static void run_fstat(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct stat status;
    const char *at = arguments;
    int fd = take_file(server, &at, '\0');
    errno = EBADF;
    answer_stat(reply, fd < 0 ? -1 : fstat(fd, &status), &status);
}

/* What a name leads to, or the link itself. -1 and errno. */
static int stat_path(struct server *server, const char *path, int flags, struct stat *status)
{
    int fd = open_path(server, path, O_PATH | flags, 0);
    if (fd < 0)
        return -1;
    int result = fstat(fd, status);
    close(fd);
    return result;
}

static void answer_stat_path(struct server *server, const char *arguments, int flags, struct reply *reply)
{
    struct stat status;
    char *path = take_only_path(arguments, reply);
    if (path)
        answer_stat(reply, stat_path(server, path, flags, &status), &status);
    free(path);
}

static void run_stat(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    answer_stat_path(server, arguments, 0, reply);
}

static void run_lstat(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    answer_stat_path(server, arguments, O_NOFOLLOW, reply);
}

static void run_unlink(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *name;
    char *path = take_only_path(arguments, reply);
    if (!path)
        return;
    int directory = open_parent(server, path, &name);
    answer(reply, directory < 0 ? -1 : unlinkat(directory, name, 0));
    if (directory >= 0)
        close(directory);
    free(path);
}

static void run_readlink(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    char target[PATH_LIMIT];
    char *path = take_only_path(arguments, reply);
    if (!path)
        return;
    int fd = open_path(server, path, O_PATH | O_NOFOLLOW, 0);
    ssize_t got = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof target);
    /* What is there and no link is ENOENT so: readlink says EINVAL. */
    int error = fd >= 0 && errno == ENOENT ? EINVAL : errno;
    if (got < 0)
        fail(reply, error);
    else
        succeed_with(reply, target, (size_t)got);
    if (fd >= 0)
        close(fd);
    free(path);
}

static void run_setfs(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct files *files = files_of(server);
    const char *at = arguments;
    uint64_t pid;
    if (!files || !parse_hex_to(&at, '\0', &pid) || pid > INT32_MAX) {
        fail(reply, EINVAL);
        return;
    }
    files->pid = (int)pid;
    succeed(reply, 0);
}

/* ---- lldb's ---- */

static void run_size(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct stat status;
    char *path = take_only_path(arguments, reply);
    if (path && stat_path(server, path, 0, &status) == 0)
        succeed(reply, (uint64_t)status.st_size);
    else if (path)
        fail(reply, errno);
    free(path);
}

static void run_mode(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct stat status;
    char *path = take_only_path(arguments, reply);
    if (path && stat_path(server, path, 0, &status) == 0)
        succeed(reply, status.st_mode & 07777);
    else if (path)
        fail(reply, errno);
    free(path);
}

static void run_exists(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct stat status;
    char *path = take_only_path(arguments, reply);
    if (path)
        reply_text(reply, stat_path(server, path, 0, &status) == 0 ? "F,1" : "F,0");
    free(path);
}

/* ---- */

static void run_file(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    static const struct handler requests[] = {
        {"open:", run_open},     {"close:", run_close}, {"pread:", run_pread},       {"pwrite:", run_pwrite},
        {"fstat:", run_fstat},   {"stat:", run_stat},   {"lstat:", run_lstat},       {"unlink:", run_unlink},
        {"setfs:", run_setfs},   {"size:", run_size},   {"readlink:", run_readlink}, {"mode:", run_mode},
        {"exists:", run_exists},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        size_t name = strlen(requests[i].name);
        if (strncmp(arguments, requests[i].name, name) != 0)
            continue;
        requests[i].run(server, arguments + name, length - name, reply);
        return;
    }
}

void files_free(struct server *server)
{
    struct files *files = server->files;
    for (size_t i = 0; files && i < FILES_MAX; i++)
        if (files->open[i])
            close(files->open[i] - 1);
    free(files);
    server->files = NULL;
}

const struct handler file_handlers[] = {
    {"vFile:", run_file},
    {NULL, NULL},
};
