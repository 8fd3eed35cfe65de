/* A set of system calls as a seccomp program, by libseccomp: a tree of comparisons for each architecture.
 *
 * libseccomp takes a call by the number that it has here, and translates that to every architecture of a filter, by name. The
 * calls of one name need not be wanted for all; so there is a filter for each architecture, and they are merged. */
#include "rein/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define X32_BIT 0x40000000u
#define OPTIMIZE_TREE 2 /* SCMP_FLTATR_CTL_OPTIMIZE: a binary tree */
enum { FILTER_MAX = 4096 };

static uint32_t arch_of(const struct rein_syscall_id *call)
{
    return call->arch == SCMP_ARCH_X86_64 && call->number & X32_BIT ? SCMP_ARCH_X32 : call->arch;
}

static int add_call(scmp_filter_ctx filter, const struct rein_syscall_id *call)
{
    char *name = seccomp_syscall_resolve_num_arch(arch_of(call), (int)call->number);
    int number = name == NULL ? __NR_SCMP_ERROR : seccomp_syscall_resolve_name(name);
    free(name);
    if (number == __NR_SCMP_ERROR)
        return -EDOM;
    int result = seccomp_rule_add(filter, SCMP_ACT_TRACE(REIN_FILTER_DATA), number, 0);
    return result == -EEXIST ? 0 : result;
}

/* Of that architecture alone; NULL: *result says why. */
static scmp_filter_ctx make_for(uint32_t arch, const struct rein_syscall_id *calls, size_t count, int *result)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    *result = filter == NULL ? -ENOMEM : 0;
    if (filter != NULL && arch != seccomp_arch_native()) {
        *result = seccomp_arch_add(filter, arch);
        if (*result == 0)
            *result = seccomp_arch_remove(filter, seccomp_arch_native());
    }
    if (*result == 0)
        *result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
    for (size_t i = 0; i < count && *result == 0; i++)
        if (arch_of(&calls[i]) == arch)
            *result = add_call(filter, &calls[i]);
    if (*result != 0 && filter != NULL)
        seccomp_release(filter);
    return *result == 0 ? filter : NULL;
}

static bool is_first_of_arch(const struct rein_syscall_id *calls, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (arch_of(&calls[i]) == arch_of(&calls[index]))
            return false;
    return true;
}

static scmp_filter_ctx make_for_all(const struct rein_syscall_id *calls, size_t count, int *result)
{
    scmp_filter_ctx all = NULL;
    *result = 0;
    for (size_t i = 0; i < count && *result == 0; i++) {
        if (!is_first_of_arch(calls, i))
            continue;
        scmp_filter_ctx filter = make_for(arch_of(&calls[i]), calls, count, result);
        if (filter == NULL || all == NULL) {
            all = all == NULL ? filter : all;
            continue;
        }
        *result = seccomp_merge(all, filter); /* which then is its */
        if (*result != 0)
            seccomp_release(filter);
    }
    if (*result == 0)
        *result = seccomp_attr_set(all, SCMP_FLTATR_CTL_OPTIMIZE, OPTIMIZE_TREE);
    if (*result != 0 && all != NULL)
        seccomp_release(all);
    return *result == 0 ? all : NULL;
}

/* libseccomp gives the program to a file only. */
static int export(scmp_filter_ctx filter, void **program, size_t *count)
{
    struct stat status;
    int fd = memfd_create("rein-filter", MFD_CLOEXEC);
    int result = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
    if (result == 0 && fstat(fd, &status) != 0)
        result = -errno;
    size_t size = result == 0 ? (size_t)status.st_size : 0;
    if (result == 0 && (size == 0 || size > FILTER_MAX * sizeof(struct sock_filter)))
        result = -E2BIG;
    if (result == 0) {
        *program = malloc(size);
        if (*program == NULL || pread(fd, *program, size, 0) != (ssize_t)size) {
            free(*program);
            *program = NULL;
            result = -ENOMEM;
        }
    }
    *count = result == 0 ? size / sizeof(struct sock_filter) : 0;
    if (fd >= 0)
        close(fd);
    return result;
}

int rein_seccomp_filter(const struct rein_syscall_id *calls, size_t count, void **filter, size_t *filter_count)
{
    int result;
    if (calls == NULL || count == 0 || filter == NULL || filter_count == NULL)
        return REIN_INVALID_ARGUMENT;
    *filter = NULL;
    *filter_count = 0;
    scmp_filter_ctx all = make_for_all(calls, count, &result);
    if (all != NULL) {
        result = export(all, filter, filter_count);
        seccomp_release(all);
    }
    return result == 0 ? 0 : result == -ENOMEM ? REIN_NO_MEMORY : REIN_NOT_SUPPORTED;
}

void rein_seccomp_filter_free(void *filter)
{
    free(filter);
}
