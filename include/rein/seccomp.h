/* rein/seccomp.h - filters for rein_spawn, made by libseccomp. SPDX-License-Identifier: BSD-3-Clause
 *
 * A library of its own (librein-seccomp, pkg-config rein-seccomp), so that librein does not need libseccomp. What a filter is
 * good for, and what it costs, is said in rein/rein.h, "System calls". These functions set no error message. */
#ifndef REIN_SECCOMP_H
#define REIN_SECCOMP_H

#include <rein/rein.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a filter that stops the program at these calls, for rein_spawn_options.filter and .filter_count; give it back with
 * rein_seccomp_filter_free. Calls of architectures that are not among theirs are let pass, as all others. REIN_NO_MEMORY;
 * REIN_NOT_SUPPORTED: libseccomp does not know one of the calls, or there are more than a filter can hold;
 * REIN_INVALID_ARGUMENT. */
REIN_API int rein_seccomp_filter(const struct rein_syscall_id *calls, size_t count, void **filter,
                                 size_t *filter_count);
REIN_API void rein_seccomp_filter_free(void *filter);

#ifdef __cplusplus
}
#endif
#endif
