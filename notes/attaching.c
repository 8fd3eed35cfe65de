/* Notes: attaching. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "note.h"

static void stops_itself(struct demo *d)
{
    raise(SIGSTOP);
    sleeps(d);
}

NOTE(34, "A stopped process can be attached to, and is still stopped after detaching",
     "A thread that is seized in a group-stop tells of it at once. When it is let go again it goes back to "
     "being stopped, provided that nobody has sent SIGCONT meanwhile.")
{
    int status;
    pid_t pid = start(d, stops_itself);
    EXPECT(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    seize(d, pid, 0);
    EXPECT(is_group_stop(wait_for(d, pid), SIGSTOP));
    TRY(trace(PTRACE_DETACH, pid, 0, 0));
    await_state(pid, 'T');
}

static void leader_ends(struct demo *d)
{
    thread(d, counts);
    syscall(SYS_exit, 0); /* of this thread alone */
}

NOTE(35, "A first thread that has ended is listed as a zombie, and cannot be attached to",
     "A process lives until its last thread ends. If the first one ends before, it stays in /proc/PID/task, "
     "with state Z in its stat file, and attaching to it fails with EPERM. The other threads can be attached "
     "to all the same, so this is no reason to give up on the process.")
{
    pid_t pid = start(d, leader_ends);
    await_state(pid, 'Z');
    EXPECT(trace(PTRACE_SEIZE, pid, 0, 0) == -1 && errno == EPERM);
    seize(d, id_of(d, 0), 0);
    stop(d, id_of(d, 0));
}

static void seizes(struct demo *d)
{
    EXPECT(trace(PTRACE_SEIZE, d->flag[0], 0, 0) == -1 && errno == EPERM);
    d->flag[1] = 1;
    sleeps(d);
}

NOTE(36, "A thread has one tracer at most, and none in its own process",
     "Attaching to who is traced fails with EPERM, and TracerPid in /proc/PID/status says who is the tracer. "
     "EPERM also answers who would trace a thread of his own process: to look at itself, a program needs a "
     "second process.")
{
    pid_t pid = start(d, sleeps);
    seize(d, pid, 0);
    d->flag[0] = pid;
    start(d, seizes);
    await(d, 1);
    EXPECT(field_of(pid, "TracerPid", 10) == (unsigned long)getpid());
    thread(d, sleeps);
    EXPECT(trace(PTRACE_SEIZE, id_of(d, 0), 0, 0) == -1 && errno == EPERM);
}

/* Is PF_KTHREAD in the flags of its stat file? */
static bool is_kernel_thread(pid_t id)
{
    char path[32];
    unsigned flags = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", id);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
        flags = 0;
    if (file != NULL)
        fclose(file);
    return (flags & 0x00200000) != 0;
}

NOTE(37, "Kernel threads cannot be traced, not even by root", "Attaching to one fails with EPERM.")
{
    if (!is_kernel_thread(2))
        cannot(d, "no kernel thread is to be seen from here");
    EXPECT(trace(PTRACE_SEIZE, 2, 0, 0) == -1 && errno == EPERM);
}

static void execs_later(struct demo *d)
{
    block(d);
    execs(d);
}

static void seizes_the_other(struct demo *d)
{
    d->flag[1] = 1;
    trace(PTRACE_SEIZE, id_of(d, 0), 0, 0);
    d->flag[2] = 1;
}

static void waits_with_execs(struct demo *d)
{
    thread(d, execs_later);
    sleeps(d);
}

NOTE(38, "Attaching waits for an exec, and an exec waits for the tracer",
     "A thread that calls exec holds its process's cred_guard_mutex until all other threads are gone, and "
     "PTRACE_SEIZE and PTRACE_ATTACH wait for that mutex. A traced thread is not gone before its tracer has "
     "let it past its last stop and waited for it. So a tracer that attaches to a process thread by thread, in "
     "the moment in which one of them calls exec, waits for an exec that waits for the tracer, for good. A "
     "signal that the tracer handles does not end it: the kernel makes the call again.")
{
    pid_t pid = start(d, waits_with_execs);
    seize(d, pid, PTRACE_O_TRACEEXIT);
    id_of(d, 0);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXIT)); /* the exec has ended it */
    pid_t attacher = start(d, seizes_the_other);
    await(d, 1);
    await_state(attacher, 'S'); /* in PTRACE_SEIZE, the only call that it makes */
    EXPECT(d->flag[2] == 0);
    go_on(d, pid, 0); /* had the attacher to do this, it would never come to it */
    await(d, 2);
}

static void ends_when_told(struct demo *d)
{
    int n = 0;
    while (d->id[n] != own_id())
        n++;
    await(d, n);
}

static void four_threads(struct demo *d)
{
    for (int i = 0; i < 4; i++)
        thread(d, ends_when_told);
    sleeps(d);
}

struct entry { /* what getdents64(2) gives */
    uint64_t inode, offset;
    unsigned short length;
    unsigned char type;
    char name[13];
};

/* The next name in the directory, as a number: one at a time, for there is no room for two. 0: the end. */
static pid_t next_listed(struct demo *d, int directory)
{
    struct entry entry;
    do {
        if (TRY(syscall(SYS_getdents64, directory, &entry, sizeof entry)) == 0)
            return 0;
    } while (entry.name[0] == '.');
    return (pid_t)strtol(entry.name, NULL, 10);
}

NOTE(39, "The listing of /proc/PID/task is not whole when a thread ends meanwhile",
     "While the directory is read the kernel remembers the thread that comes next. If that one ends, it counts "
     "anew from the front, and whoever has ended since makes it count past one that was there all the time; if "
     "a thread ends in the very moment in which it is listed, the listing ends there. Such a list has no mark. "
     "The directory's link count, less two, says how many threads there are, so that a reader can tell that "
     "some are missing and read again.")
{
    char path[64];
    struct stat info;
    pid_t pid = start(d, four_threads);
    pid_t gone = id_of(d, 1), missed = id_of(d, 2), last = id_of(d, 3);
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    int directory = (int)TRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT(next_listed(d, directory) == pid);
    EXPECT(next_listed(d, directory) == id_of(d, 0));
    d->flag[0] = d->flag[1] = 1; /* the first two end: one was listed, one would be next */
    await_end(pid, id_of(d, 0));
    await_end(pid, gone);
    EXPECT(next_listed(d, directory) == last);
    EXPECT(next_listed(d, directory) == 0);
    EXPECT(syscall(SYS_tgkill, pid, missed, 0) == 0); /* it lives */
    EXPECT(fstat(directory, &info) == 0 && info.st_nlink - 2 == 3);
}

static void makes_thread_later(struct demo *d)
{
    await(d, 0);
    thread(d, sleeps);
    sleeps(d);
}

static void both_make_threads(struct demo *d)
{
    thread(d, makes_thread_later);
    await(d, 1);
    thread(d, sleeps);
    sleeps(d);
}

NOTE(40, "Options belong to a thread, and so does tracing",
     "Attaching to one thread of a process attaches to no other, and options are set for each thread by "
     "itself. A thread that is made by one that is not traced, or has not PTRACE_O_TRACECLONE set, is not "
     "traced. So to attach to a process is to list its threads, attach to each, and list them again until no "
     "new one appears.")
{
    pid_t pid = start(d, both_make_threads), maker = id_of(d, 0);
    seize(d, pid, PTRACE_O_TRACECLONE);
    seize(d, maker, 0);
    d->flag[0] = 1;
    EXPECT(field_of(id_of(d, 1), "TracerPid", 10) == 0);
    EXPECT(!has_status(maker));
    d->flag[1] = 1;
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_CLONE));
    EXPECT(field_of((pid_t)message_of(d, pid), "TracerPid", 10) == (unsigned long)getpid());
}

NOTE(41, "Options can be given with PTRACE_SEIZE; to set them later takes a stopped thread",
     "PTRACE_SETOPTIONS fails with ESRCH on a thread that runs. PTRACE_SEIZE takes options along, so that "
     "there is no moment without them. Options that the kernel does not know are EINVAL, and nothing is "
     "attached: a way to find out what it knows.")
{
    pid_t pid = start(d, counts);
    EXPECT(trace(PTRACE_SEIZE, pid, 0, 1 << 30) == -1 && errno == EIO);
    seize(d, pid, PTRACE_O_TRACEEXEC);
    EXPECT(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK) == -1 && errno == ESRCH);
    stop(d, pid);
    EXPECT(trace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK) == 0);
}
