/* Starting a program that is traced from its exec on.
 *
 * The caller is the monitor: a process that shares the host's memory (or a thread of the host), with a pthread's stack and
 * thread-local storage. The host may have other threads that hold any lock. So there is no fork(3), whose
 * atfork handlers are not for the monitor to run, and the child calls nothing of the C library, which would write to the
 * monitor's errno.
 *
 *   monitor                                        child
 *   maps an area: all that the child needs, and
 *   its stack; blocks all signals
 *   clone                                          waits at the gate, a futex in the area
 *   PTRACE_SEIZE, with all options
 *   opens the gate; puts its signals back          session, group, descriptors, filter, user, directory, ASLR, signals
 *                                                  execve; or writes to the area which step failed, and exits
 *   learns EXEC or EXITED as events; asks
 *   spawn_error, and unmaps the area
 *
 * The area is MAP_SHARED, so that it also is the way back for the error; no descriptor is needed, nor made in the
 * host's table. It holds copies of all that was passed: nothing of the caller's must last until the exec.
 *
 * The child shares the memory until the exec, as vfork's does: to copy the page tables of a large host takes
 * milliseconds. Not when it is to change its user: that makes the *memory* undumpable (prctl(2), PR_SET_DUMPABLE), and
 * the host with it. It never shares descriptors, directory or signal handlers with us. CLONE_UNTRACED: a tracer of the
 * host's is not to catch it. */
#include "os/linux/linux.h"
#include "os/linux/raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)32 * 1024)
#define SIGNAL_COUNT 64
#if defined(__i386__) /* where the first ones took ids of 16 bits */
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETRESUID SYS_setresuid32
#else
#define CALL_SETGROUPS SYS_setgroups
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETRESUID SYS_setresuid
#endif
#define EXIT_STATUS 127 /* a shell's, for what could not be started */

/* At the start of the area. */
struct launch {
    uint32_t gate; /* 1: open */
    int parent;

    /* What went wrong: the step in progress, and its errno when it has failed. */
    enum os_spawn_step step;
    int error;

    char **paths; /* to be tried in turn */
    char **argv;
    char **envv;
    const char *dir;
    int *fds;
    int fd_count;
    unsigned flags;
    int process_group;
    int host_group;
    unsigned uid, gid;
    unsigned *groups;
    size_t group_count;
    struct sock_fprog filter; /* .len 0: none */
    raw_signals mask, ignored;
};

/* ---- The child ---- */

#if defined(__x86_64__)

long linux_clone_to(void (*body)(void *arg), void *arg, unsigned long flags, void *stack)
{
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    long result = SYS_clone;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %[arg], %%rdi\n\t"
                     "mov %[body], %%rax\n\t"
                     "xor %%ebp, %%ebp\n\t" /* the outermost frame; only now, for arg or body may be in it */
                     "call *%%rax\n\t"
                     "hlt\n"
                     "1:"
                     : "+a"(result)
                     : "D"(flags), "S"(stack), "d"(0L), "r"(r10), "r"(r8), [arg] "r"(arg), [body] "r"(body)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

#elif defined(__i386__)

/* What is to be called, and its argument, are on the new stack: no register is left for them. */
long linux_clone_to(void (*body)(void *arg), void *arg, unsigned long flags, void *stack)
{
    uintptr_t *top = (uintptr_t *)((uintptr_t)stack & ~(uintptr_t)15) - 4; /* aligned at the call */
    long result = SYS_clone;

    top[0] = (uintptr_t)arg;
    *--top = (uintptr_t)body;
    __asm__ volatile("int $0x80\n\t"
                     "test %%eax, %%eax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t" /* the outermost frame */
                     "pop %%eax\n\t"
                     "call *%%eax\n\t"
                     "hlt\n"
                     "1:"
                     : "+a"(result)
                     : "b"(flags), "c"(top), "d"(0L), "S"(0L), "D"(0L)
                     : "memory", "cc");
    return result;
}

#elif defined(__aarch64__)

long linux_clone_to(void (*body)(void *arg), void *arg, unsigned long flags, void *stack)
{
    register long number __asm__("x8") = SYS_clone;
    register long result __asm__("x0") = (long)flags;
    register void *its_stack __asm__("x1") = stack;
    register long parent_id __asm__("x2") = 0;
    register long storage __asm__("x3") = 0;
    register long child_id __asm__("x4") = 0;
    register void (*its_body)(void *) __asm__("x9") = body;
    register void *its_arg __asm__("x10") = arg;

    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t" /* the outermost frame */
                     "mov x0, x10\n\t"
                     "blr x9\n\t"
                     "brk #1\n"
                     "1:"
                     : "+r"(result)
                     : "r"(number), "r"(its_stack), "r"(parent_id), "r"(storage), "r"(child_id), "r"(its_body),
                       "r"(its_arg)
                     : "memory", "cc");
    return result;
}

#else

/* Good enough to begin a port with: the child gets a copy of the memory, and of our stack. */

long linux_clone_to(void (*body)(void *arg), void *arg, unsigned long flags, void *stack)
{
    (void)stack;
    long result = raw(SYS_clone, flags & ~(unsigned long)CLONE_VM);
    if (result == 0)
        body(arg);
    return result;
}

#endif

IN_CHILD __attribute__((noreturn)) static void leave(void)
{
    for (;;)
        raw(SYS_exit_group, EXIT_STATUS);
}

/* Goes on only with a result that is no failure. */
IN_CHILD static long check(struct launch *launch, long result)
{
    if (result < 0) {
        launch->error = (int)-result;
        leave();
    }
    return result;
}

/* Dies with the one who is to open the gate, so that nobody waits at it for ever. */
IN_CHILD static void wait_at_gate(struct launch *launch)
{
    raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (raw(SYS_getppid) != launch->parent) /* he was dead before we asked */
        leave();
    while (__atomic_load_n(&launch->gate, __ATOMIC_ACQUIRE) == 0)
        raw(SYS_futex, &launch->gate, FUTEX_WAIT, 0, NULL);
    raw(SYS_prctl, PR_SET_PDEATHSIG, 0);
}

IN_CHILD static void join_group(struct launch *launch)
{
    if (launch->flags & REIN_SPAWN_NEW_SESSION) {
        launch->step = OS_SPAWN_STEP_SESSION;
        check(launch, raw(SYS_setsid));
        if (launch->process_group <= 0) /* it leads a group of its own already */
            return;
    }
    launch->step = OS_SPAWN_STEP_GROUP;
    if (launch->process_group >= 0) {
        check(launch, raw(SYS_setpgid, 0, launch->process_group));
    } else if (raw(SYS_getpgid, 0) != launch->host_group && raw(SYS_setpgid, 0, launch->host_group) < 0) {
        /* The host has gone to another session since the monitor was made, where we cannot follow it. Not in the
         * monitor's group, at least, which is to get no signals. */
        check(launch, raw(SYS_setpgid, 0, 0));
    }
}

IN_CHILD static void close_from(struct launch *launch, int first)
{
    char buffer[2048] __attribute__((aligned(8)));
    long closed = 0;

    if (raw(SYS_close_range, first, ~0U, 0) == 0) /* Linux 5.9 */
        return;
    /* The table's holes are no trouble, but what is read while it changes may lack something: again until none is left. */
    do {
        static const char directory[] = "/proc/self/fd";
        long list = check(launch, raw(SYS_openat, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        long size = 0;

        closed = 0;
        while ((size = check(launch, raw(SYS_getdents64, list, buffer, sizeof buffer))) > 0) {
            long length = 0;

            for (long at = 0; at < size; at += length) {
                const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
                long fd = 0;

                length = entry->d_reclen; /* NOLINT(clang-analyzer-core.uninitialized.Assign): the kernel wrote it */
                if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
                    continue;
                for (const char *digit = entry->d_name; *digit != '\0'; digit++)
                    fd = fd * 10 + (*digit - '0');
                if (fd >= first && fd != list && raw(SYS_close, fd) == 0)
                    closed++;
            }
        }
        raw(SYS_close, list);
    } while (closed > 0);
}

/* fds[i] becomes i. What would be overwritten before its turn comes is moved out of the way first, above all of them; so at
 * each turn fds[i] is i, or above i, where nothing has been written yet. */
IN_CHILD static void set_descriptors(struct launch *launch)
{
    launch->step = OS_SPAWN_STEP_DESCRIPTORS;
    if (launch->flags & REIN_SPAWN_NULL_STDIO) {
        static const char null[] = "/dev/null";
        long fd = check(launch, raw(SYS_openat, AT_FDCWD, null, O_RDWR));

        for (long i = 0; i < 3; i++)
            if (i != fd)
                check(launch, raw(SYS_dup3, fd, i, 0));
        if (fd > 2)
            raw(SYS_close, fd);
    }
    if (launch->fds == NULL)
        return;
    for (int i = 0; i < launch->fd_count; i++)
        if (launch->fds[i] >= 0 && launch->fds[i] < i)
            launch->fds[i] = (int)check(launch, raw(SYS_fcntl, launch->fds[i], F_DUPFD_CLOEXEC, launch->fd_count));
    for (int i = 0; i < launch->fd_count; i++) {
        if (launch->fds[i] < 0)
            raw(SYS_close, i);
        else if (launch->fds[i] == i)
            check(launch, raw(SYS_fcntl, i, F_SETFD, 0));
        else
            check(launch, raw(SYS_dup3, launch->fds[i], i, 0));
    }
    close_from(launch, launch->fd_count);
}

/* While there are the most privileges. SPEC_ALLOW (Linux 4.17): it is no sandbox, and must not cost the mitigations of one,
 * which kernels before 5.16 switch on for it. */
IN_CHILD static void set_filter(struct launch *launch)
{
    launch->step = OS_SPAWN_STEP_FILTER;
    if (launch->filter.len == 0)
        return;
    unsigned long flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    long result = raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &launch->filter);
    if (result == -EACCES) { /* without CAP_SYS_ADMIN */
        check(launch, raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        result = raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &launch->filter);
    }
    if (result == -EINVAL)
        result = raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &launch->filter);
    check(launch, result);
}

IN_CHILD static void set_credentials(struct launch *launch)
{
    launch->step = OS_SPAWN_STEP_CREDENTIALS;
    if (!(launch->flags & REIN_SPAWN_CREDENTIALS))
        return;
    /* The user last: after that there is no right to the others. */
    check(launch, raw(CALL_SETGROUPS, launch->group_count, launch->groups));
    check(launch, raw(CALL_SETRESGID, launch->gid, launch->gid, launch->gid));
    check(launch, raw(CALL_SETRESUID, launch->uid, launch->uid, launch->uid));
}

/* All signals have been blocked since before the clone, so none of the host's handlers runs here; the mask comes when
 * there are none left. */
IN_CHILD static void set_signals(struct launch *launch)
{
    struct { /* the kernel's struct sigaction, not the C library's */
        uintptr_t handler;
        unsigned long flags;
        uintptr_t restorer;
        raw_signals mask;
    } action;

    action.flags = 0; /* member by member: to initialise it could be a call of memset */
    action.restorer = 0;
    action.mask = 0;
    for (int number = 1; number <= SIGNAL_COUNT; number++) {
        /* SIG_IGN is 1, SIG_DFL is 0. It fails for SIGKILL and SIGSTOP, which need none. */
        action.handler = (launch->ignored & RAW_SIGNAL(number)) != 0;
        raw(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask);
    }
    raw(SYS_rt_sigprocmask, SIG_SETMASK, &launch->mask, NULL, sizeof launch->mask);
}

/* As execvp(3) looks for a program: on to the next directory when it is not there or may not be run, which is
 * remembered. */
IN_CHILD static void run_program(struct launch *launch)
{
    long result = -ENOENT, denied = 0;

    launch->step = OS_SPAWN_STEP_EXEC;
    for (char **path = launch->paths; *path != NULL; path++) {
        result = raw(SYS_execve, *path, launch->argv, launch->envv);
        if (result == -EACCES)
            denied = result;
        else if (result != -ENOENT && result != -ENOTDIR)
            break;
    }
    if (denied != 0 && (result == -ENOENT || result == -ENOTDIR))
        result = denied;
    check(launch, result);
}

IN_CHILD static void run_child(void *arg)
{
    struct launch *launch = arg;

    wait_at_gate(launch);
    join_group(launch);
    set_descriptors(launch);
    set_filter(launch);
    set_credentials(launch);
    launch->step = OS_SPAWN_STEP_CHDIR;
    if (launch->dir != NULL)
        check(launch, raw(SYS_chdir, launch->dir));
    launch->step = OS_SPAWN_STEP_ASLR;
    if (launch->flags & REIN_SPAWN_NO_ASLR) {
        long persona = check(launch, raw(SYS_personality, 0xffffffffL));
        check(launch, raw(SYS_personality, persona | ADDR_NO_RANDOMIZE));
    }
    set_signals(launch);
    run_program(launch);
    leave();
}

/* ---- The area ---- */

struct area {
    char *at, *end;
};

/* NULL when it is full, which can only be if a caller's string has grown since it was measured. */
static void *put(struct area *area, const void *data, size_t size, size_t alignment)
{
    size_t gap = (alignment - (uintptr_t)area->at % alignment) % alignment;
    char *place = area->at + gap;

    if (gap + size > (size_t)(area->end - area->at))
        return NULL;
    if (size > 0)
        memcpy(place, data, size);
    area->at = place + size;
    return place;
}

static size_t count_of(char *const *vector)
{
    size_t count = 0;

    while (vector[count] != NULL)
        count++;
    return count;
}

static size_t vector_size(char *const *vector)
{
    size_t size = sizeof(char *) * 2;

    for (; *vector != NULL; vector++)
        size += sizeof(char *) + strlen(*vector) + 1;
    return size;
}

static char **put_vector(struct area *area, char *const *vector)
{
    size_t count = count_of(vector);
    char **copy = put(area, vector, (count + 1) * sizeof *copy, _Alignof(char *));

    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < count && vector[i] != NULL; i++)
        if ((copy[i] = put(area, vector[i], strlen(vector[i]) + 1, 1)) == NULL)
            return NULL;
    copy[count] = NULL;
    return copy;
}

/* The directories to look in; NULL: the path says where it is. */
static const char *search_path(const struct os_spawn *what)
{
    if (!(what->options->flags & REIN_SPAWN_SEARCH_PATH) || strchr(what->path, '/') != NULL)
        return NULL;
    const char *directories = getenv("PATH");
    return directories != NULL ? directories : "/bin:/usr/bin"; /* execvp(3)'s */
}

static size_t directory_count(const char *directories)
{
    size_t count = 1;

    for (; *directories != '\0'; directories++)
        count += *directories == ':';
    return count;
}

static size_t paths_size(const char *path, const char *directories)
{
    if (directories == NULL)
        return 3 * sizeof(char *) + strlen(path) + 1;
    return (directory_count(directories) + 2) * (sizeof(char *) + strlen(path) + 3) + strlen(directories);
}

static char **put_paths(struct area *area, const char *path, const char *directories)
{
    char *only[] = {(char *)path, NULL};
    char *nothing = NULL;
    char **paths = NULL;

    if (directories == NULL)
        return put_vector(area, only);

    size_t count = directory_count(directories);
    for (size_t i = 0; i <= count; i++) {
        char **place = put(area, &nothing, sizeof nothing, _Alignof(char *));

        if (place == NULL)
            return NULL;
        paths = i == 0 ? place : paths;
    }
    for (size_t i = 0; i < count; i++) {
        size_t length = strcspn(directories, ":");
        /* An empty one is the working directory. */
        if ((paths[i] = put(area, directories, length, 1)) == NULL || (length > 0 && put(area, "/", 1, 1) == NULL) ||
            put(area, path, strlen(path) + 1, 1) == NULL)
            return NULL;
        directories += length + (directories[length] == ':');
    }
    return paths;
}

static raw_signals low_bits(const sigset_t *set)
{
    raw_signals bits = 0;

    memcpy(&bits, set, sizeof bits); /* the kernel's 64 signals come first, in every C library */
    return bits;
}

/* Makes the area; its stack begins at *stack. */
static struct launch *make_area(const struct os_spawn *what, size_t *size, void **stack)
{
    static char *const no_environment[] = {NULL};
    const struct rein_spawn_options *options = what->options;
    char *const *envv = what->envv != NULL ? what->envv : environ != NULL ? environ : no_environment;
    const char *directories = search_path(what);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t group_count = options->flags & REIN_SPAWN_CREDENTIALS && options->groups != NULL ? options->group_count : 0;

    size_t need = sizeof(struct launch) + paths_size(what->path, directories) + vector_size(what->argv) +
                  vector_size(envv) + (what->dir != NULL ? strlen(what->dir) + 1 : 0) + what->fd_count * sizeof(int) +
                  group_count * sizeof(unsigned) + options->filter_count * sizeof(struct sock_filter) +
                  64 /* for the alignments */;
    *size = (need + STACK_SIZE + page - 1) / page * page;

    char *start = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;

    struct area area = {start + sizeof(struct launch), start + *size - STACK_SIZE};
    struct launch *launch = (struct launch *)(void *)start; /* all zero */
    launch->parent = getpid();
    launch->paths = put_paths(&area, what->path, directories);
    launch->argv = put_vector(&area, what->argv);
    launch->envv = put_vector(&area, envv);
    launch->dir = what->dir != NULL ? put(&area, what->dir, strlen(what->dir) + 1, 1) : NULL;
    launch->fds = what->fds != NULL ? put(&area, what->fds, what->fd_count * sizeof(int), _Alignof(int)) : NULL;
    launch->fd_count = (int)what->fd_count;
    launch->groups = put(&area, options->groups, group_count * sizeof(unsigned), _Alignof(unsigned));
    launch->group_count = group_count;
    launch->filter.len = (unsigned short)options->filter_count;
    launch->filter.filter =
        put(&area, options->filter, options->filter_count * sizeof(struct sock_filter), _Alignof(struct sock_filter));
    launch->flags = options->flags;
    launch->process_group = options->process_group;
    launch->host_group = what->process_group;
    launch->uid = options->uid;
    launch->gid = options->gid;
    launch->mask = low_bits(&what->mask);
    launch->ignored = low_bits(&what->ignored);
    *stack = start + *size;

    if (launch->paths == NULL || launch->argv == NULL || launch->envv == NULL || launch->groups == NULL ||
        launch->filter.filter == NULL || (what->dir != NULL && launch->dir == NULL) ||
        (what->fds != NULL && launch->fds == NULL)) {
        munmap(start, *size);
        errno = EAGAIN;
        return NULL;
    }
    return launch;
}

/* ---- The monitor's side ---- */

/* All of them, those that the C library keeps for itself and sigfillset(3) leaves out as well. */
static void block_all_signals(raw_signals *before)
{
    raw_signals all = ~(raw_signals)0;

    raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, before, sizeof all);
}

static void put_signals_back(const raw_signals *before)
{
    raw(SYS_rt_sigprocmask, SIG_SETMASK, before, NULL, sizeof *before);
}

int linux_spawn(const struct os_spawn *what, struct os_spawned *child, enum os_spawn_step *step)
{
    bool share = !what->copy_memory && !(what->options->flags & REIN_SPAWN_CREDENTIALS);
    unsigned long flags = CLONE_UNTRACED | SIGCHLD | (share ? CLONE_VM : 0);
    size_t size = 0;
    void *stack = NULL;
    raw_signals mask = 0;

    *child = (struct os_spawned){.pid = -1, .error_fd = -1};
    *step = OS_SPAWN_STEP_FORK;
    struct launch *launch = make_area(what, &size, &stack);
    if (launch == NULL)
        return -errno;

    linux_monitor_will_spawn();
    block_all_signals(&mask);
    long pid = linux_clone_to(run_child, launch, flags, stack);
    put_signals_back(&mask);
    if (pid < 0) {
        munmap(launch, size);
        return (int)pid;
    }

    *step = OS_SPAWN_STEP_SEIZE;
    int result = what->options->filter_count > 0 ? linux_seize_filtered((int)pid) : linux_seize((int)pid);
    if (result != 0) {
        kill((pid_t)pid, SIGKILL);
        while (waitpid((pid_t)pid, NULL, __WALL) < 0 && errno == EINTR)
            ;
        munmap(launch, size);
        return result;
    }
    *child = (struct os_spawned){.pid = (int)pid, .error_fd = -1, .area = launch, .area_size = size};
    *step = OS_SPAWN_STEP_NONE;
    __atomic_store_n(&launch->gate, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &launch->gate, FUTEX_WAKE, 1, NULL, NULL, 0); /* not PRIVATE: two processes */
    return 0;
}

int linux_spawn_error(struct os_spawned *child, enum os_spawn_step *step)
{
    const struct launch *launch = child->area;

    *step = OS_SPAWN_STEP_NONE;
    if (launch == NULL || launch->error == 0)
        return 0;
    *step = launch->step;
    return launch->error;
}

void linux_spawn_close(struct os_spawned *child)
{
    if (child->area != NULL)
        munmap(child->area, child->area_size);
    child->area = NULL;
    child->area_size = 0;
}
