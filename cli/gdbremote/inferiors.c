/* The processes that the server holds, and which of their threads a packet is about. The client names threads by process and
 * thread id, "p1f.2a"; -1 is all of them, and 0 any.
 *
 * PARTS. The kernel makes processes, rein's too, that debuggers take for threads: those that are made by clone without CLONE_THREAD,
 * and are no forks. Each is an inferior, with policies, events and stops like others; it is a part of the one that made it where
 * the client names threads: there its threads are that one's (told_as). A breakpoint is the memory's, which most parts share; one
 * that has a copy has copies of the breakpoints (points.c). What ends with a part is a thread. The process ends with the last of
 * its parts, as it does for gdbserver. A part that calls exec is no thread any more, nor has the client ever heard of a process:
 * it is let go, as a fork's child is by default. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

struct inferior *inferior_add(struct server *server, rein_process *process, bool was_attached)
{
    struct inferior *inferior = calloc(1, sizeof *inferior);
    if (!inferior) {
        rein_process_detach(process, 0);
        rein_process_unref(process);
        return NULL;
    }
    inferior->process = process;
    inferior->id = inferior->told_as = rein_process_id(process);
    inferior->was_attached = was_attached;
    if (rein_process_event_fd(process, &inferior->event_fd) != 0)
        inferior->event_fd = -1;
    struct inferior **last = &server->inferiors; /* the first one stays first: it is "any" */
    while (*last)
        last = &(*last)->next;
    *last = inferior;
    inferior_set_policy(server, inferior);
    filter_watch(server, inferior);
    return inferior;
}

struct inferior *inferior_find(struct server *server, int pid)
{
    struct inferior *inferior = server->inferiors;
    while (inferior && inferior->id != pid)
        inferior = inferior->next;
    return inferior;
}

struct inferior *inferior_of_memory(struct server *server, struct inferior *inferior)
{
    int id;
    bool shares = rein_process_memory_id(inferior->process, &id) == 0 && id != inferior->id;
    struct inferior *other = shares ? inferior_find(server, id) : NULL;
    return other ? other : inferior;
}

bool inferior_is_part(const struct inferior *inferior)
{
    return inferior->told_as != inferior->id;
}

struct inferior *inferior_next_part(const struct inferior *inferior)
{
    struct inferior *part = inferior->next;
    while (part && part->told_as != inferior->told_as)
        part = part->next;
    return part;
}

/* Field 38 of /proc/PID/stat; the second is a name in parentheses, which may have anything in it. 0: none, or unknown. */
static bool read_exit_signal(int id, int *number)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", id);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[size > 0 ? size : 0] = '\0';
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 38; field++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, "%d", number) == 1;
}

bool cause_is_clone(const struct rein_cause *cause)
{
    int memory, number;
    if (cause->kind != REIN_CAUSE_FORK || !cause->new_process)
        return false;
    bool shares = rein_process_memory_id(cause->new_process, &memory) == 0 && memory != cause->child;
    return shares || (read_exit_signal(cause->child, &number) && number != SIGCHLD);
}

void inferiors_end_parts(struct server *server)
{
    for (struct inferior *part = server->inferiors, *next; part; part = next) {
        next = part->next;
        if (!part->is_over)
            continue;
        struct inferior *whole = inferior_find(server, part->told_as);
        inferior_remove(server, part);
        if (whole && whole->end && !inferior_next_part(whole)) {
            stops_append(server, whole->end);
            whole->end = NULL;
        }
    }
}

struct inferior *inferior_known(struct inferior *inferior)
{
    while (inferior && inferior->parent)
        inferior = inferior->next;
    return inferior;
}

void inferior_remove(struct server *server, struct inferior *inferior)
{
    struct inferior **at = &server->inferiors;
    while (*at && *at != inferior)
        at = &(*at)->next;
    trace_end_process(server, inferior, "the process has ended");
    if (*at)
        *at = inferior->next;
    server_forget_view(server);
    memory_forget(server);
    stops_forget(server, inferior->id, 0);
    resume_forget(server, inferior->id, 0);
    server->called_tid = server->written_siginfo.tid = 0; /* ids come again */
    if (server->general_pid == inferior->id)
        server->general_pid = server->general_tid = 0;
    if (server->resume_pid == inferior->id)
        server->resume_pid = server->resume_tid = 0;
    launch_end_children(server, inferior->id, false);
    points_forget(inferior);
    free(inferior->syscalls);
    free(inferior->handles);
    stop_free(inferior->end);
    rein_process_unref(inferior->process);
    free(inferior);
}

/* ---- What events do ---- */

void inferior_set_policy(struct server *server, struct inferior *inferior)
{
    rein_process *process = inferior->process;
    const struct features *features = &server->features;
    enum rein_policy stop = server->non_stop ? REIN_STOP_THREAD : REIN_STOP_ALL;
    const struct {
        enum rein_cause_kind kind;
        bool wanted;
    } kinds[] = {
        {REIN_CAUSE_BREAKPOINT, true},
        {REIN_CAUSE_WATCHPOINT, true},
        {REIN_CAUSE_SIGNAL, true},
        {REIN_CAUSE_STEP, true},
        {REIN_CAUSE_SYSCALL_ENTRY, true},
        {REIN_CAUSE_SYSCALL_EXIT, true},
        {REIN_CAUSE_THREAD_CREATE, features->thread_events},
        {REIN_CAUSE_EXEC, true},
        {REIN_CAUSE_FORK, features->fork_events},
        {REIN_CAUSE_VFORK, features->vfork_events},
        {REIN_CAUSE_VFORK_DONE, features->vfork_events},
    };
    /* A child that is followed has to be heard of. So that ends first, or begins last. */
    bool follows = features->fork_events || features->vfork_events;
    if (!follows)
        rein_process_set_follow(process, REIN_FOLLOW_PARENT, 0);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        rein_process_set_policy(process, kinds[i].kind, kinds[i].wanted && !server->unattended ? stop : REIN_IGNORE);
    /* The end of a thread is looked at in any case: it may be the last one that was resumed. Nobody stands for that: the first one's
     * is never told, nor would it go on. */
    rein_process_set_policy(process, REIN_CAUSE_THREAD_EXIT, REIN_REPORT);
    rein_process_set_policy(process, REIN_CAUSE_GROUP_STOP, REIN_IGNORE);
    rein_process_set_policy(process, REIN_CAUSE_PROCESS_EXIT, REIN_REPORT);
    if (server->unattended) /* it ends the trace */
        rein_process_set_policy(process, REIN_CAUSE_EXEC, REIN_REPORT);
    if (follows && !features->fork_events) /* what is followed is heard of, to be let go */
        rein_process_set_policy(process, REIN_CAUSE_FORK, REIN_REPORT);
    if (follows && !features->vfork_events)
        rein_process_set_policy(process, REIN_CAUSE_VFORK, REIN_REPORT);
    if (follows)
        rein_process_set_follow(process, REIN_FOLLOW_BOTH, REIN_FOLLOW_BREAKPOINTS);
}

void server_set_policies(struct server *server)
{
    for (struct inferior *inferior = server->inferiors; inferior; inferior = inferior->next)
        inferior_set_policy(server, inferior);
}

/* ---- Names of threads ---- */

static bool parse_id(const char **text, int *id)
{
    uint64_t value;
    if (parse_prefix(text, "-1")) {
        *id = -1;
        return true;
    }
    if (!parse_hex(text, &value) || value > INT32_MAX)
        return false;
    *id = (int)value;
    return true;
}

bool parse_thread(struct server *server, const char **text, int *pid, int *tid)
{
    if (parse_prefix(text, "p")) {
        *tid = -1; /* a process without a thread: all of its */
        if (!parse_id(text, pid))
            return false;
        return !parse_prefix(text, ".") || parse_id(text, tid);
    }
    if (!parse_id(text, tid))
        return false;
    /* Without process ids there is one process. A thread of another one is found all the same. */
    *pid = *tid == -1 ? -1 : 0;
    for (struct inferior *inferior = server->inferiors; inferior && *tid > 0; inferior = inferior->next) {
        rein_thread *thread;
        if (rein_process_thread(inferior->process, *tid, &thread) == 0) {
            rein_thread_unref(thread);
            *pid = inferior->told_as;
            break;
        }
    }
    return true;
}

void reply_thread(struct server *server, struct reply *reply, int pid, int tid)
{
    if (server->features.multiprocess)
        reply_format(reply, "p%x.%x", (unsigned)pid, (unsigned)tid);
    else
        reply_format(reply, "%x", (unsigned)tid);
}

/* ---- Which thread is meant ---- */

static rein_thread *any_thread(struct inferior *inferior)
{
    rein_thread *thread = NULL, **threads;
    size_t count;
    if (rein_process_thread(inferior->process, inferior->id, &thread) == 0)
        return thread;
    if (rein_process_threads(inferior->process, &threads, &count) != 0)
        return NULL;
    if (count)
        thread = rein_thread_ref(threads[0]);
    rein_thread_list_free(threads, count);
    return thread;
}

struct inferior *server_resolve(struct server *server, int pid, int tid, rein_thread **thread)
{
    struct inferior *inferior = pid > 0 ? inferior_find(server, pid) : server->inferiors;
    if (thread)
        *thread = NULL;
    if (!inferior || (!thread && !inferior_next_part(inferior)))
        return inferior;
    for (struct inferior *part = inferior; part; part = inferior_next_part(part)) {
        rein_thread *found = NULL;
        if (tid > 0)
            rein_process_thread(part->process, tid, &found);
        else
            found = any_thread(part);
        if (!found)
            continue;
        if (thread)
            *thread = found;
        else
            rein_thread_unref(found);
        return part;
    }
    return thread ? NULL : inferior;
}

struct inferior *server_general(struct server *server, rein_thread **thread)
{
    return server_resolve(server, server->general_pid, server->general_tid, thread);
}

/* ---- All of them ---- */

struct walk walk_all(struct server *server)
{
    return (struct walk){.next = server->inferiors};
}

struct walk walk_one(struct inferior *inferior)
{
    return (struct walk){.next = inferior, .one = true};
}

bool walk_next(struct walk *walk)
{
    while (true) {
        while (walk->at < walk->count) {
            walk->thread = walk->threads[walk->at++];
            if (rein_thread_state(walk->thread, &walk->state) == 0)
                return true;
        }
        if (walk->count)
            rein_thread_list_free(walk->threads, walk->count);
        walk->at = walk->count = 0;
        walk->inferior = walk->next;
        if (!walk->inferior)
            return false;
        walk->next = walk->one ? NULL : walk->inferior->next;
        if (rein_process_threads(walk->inferior->process, &walk->threads, &walk->count) != 0)
            walk->count = 0;
    }
}
