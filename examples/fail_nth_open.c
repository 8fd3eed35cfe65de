/* fail_nth_open N PROGRAM [ARGUMENT...]: the Nth openat of the program fails, as if the file were not there. */
#include <errno.h>
#include <linux/audit.h>
#include <rein/rein.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCHITECTURE AUDIT_ARCH_I386
#else
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

static enum rein_verdict count_down(rein_thread *thread, const struct rein_cause *cause, void *left)
{
    if (cause->kind == REIN_CAUSE_SYSCALL_ENTRY && --*(long *)left == 0)
        rein_thread_skip_syscall(thread, -ENOENT);
    return REIN_VERDICT_GO_ON;
}

int main(int argc, char **argv)
{
    const struct rein_syscall_id openat_call = {ARCHITECTURE, SYS_openat};
    long left = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    struct rein_spawn_options options = REIN_SPAWN_OPTIONS_INIT;
    rein_process *process;
    struct rein_exit how;
    options.flags = REIN_SPAWN_SEARCH_PATH;
    if (left <= 0 || rein_spawn(NULL, argv[2], argv + 2, NULL, NULL, NULL, 0, &options, &process) != 0) {
        fprintf(stderr, "%s\n", left <= 0 ? "usage: fail_nth_open N PROGRAM [ARGUMENT...]" : rein_error_message());
        return 125;
    }
    rein_process_set_callback(process, count_down, &left);
    rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES, &openat_call, 1);
    rein_process_continue(process);
    while (rein_process_wait(process, -1) == 0)
        rein_process_continue(process);
    int status = rein_process_exit(process, &how) != 0 ? 125 : how.signaled ? 128 + how.signal : how.status;
    rein_process_unref(process);
    return status;
}
