/* Notes: exec. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "note.h"

static void execs_when_told(struct demo *d)
{
    block(d);
    execs(d);
}

static void asks_to_be_traced(struct demo *d)
{
    TRY(trace(PTRACE_TRACEME, 0, 0, 0));
    execs(d);
}

NOTE(51, "An exec sends SIGTRAP to who was not seized, and nothing to who was",
     "Without PTRACE_O_TRACEEXEC the new program of a thread that was attached to, or that used "
     "PTRACE_TRACEME, begins with a SIGTRAP, which looks like one that somebody has sent. A seized thread "
     "without that option simply goes on.")
{
    EXPECT(is_signal(wait_for(d, start(d, asks_to_be_traced)), SIGTRAP));
    pid_t pid = start(d, execs_when_told);
    seize(d, pid, 0);
    open_gate(d);
    EXPECT(is_exit(wait_for(d, pid), 0));
}

static void thread_execs(struct demo *d)
{
    thread(d, execs_when_told);
    sleeps(d);
}

NOTE(52, "The thread that calls exec takes the process's id, and the others vanish without a word",
     "PTRACE_EVENT_EXEC comes from the process's id, whichever thread has called exec; its message is the id "
     "that this thread had. That id is gone, and no end of it is told. Nor is that of the former first thread, "
     "whose id has another owner now. A thread that is neither ends like any other, and its end is to be "
     "waited for.")
{
    int status;
    pid_t pid = start(d, thread_execs), caller = id_of(d, 0);
    seize(d, pid, PTRACE_O_TRACEEXEC);
    seize(d, caller, PTRACE_O_TRACEEXEC);
    open_gate(d);
    EXPECT(waitpid(-1, &status, __WALL) == pid && is_event(status, PTRACE_EVENT_EXEC));
    EXPECT(message_of(d, pid) == (unsigned long)caller);
    EXPECT(waitpid(caller, &status, __WALL) == -1 && errno == ECHILD);
    go_on(d, pid, 0);
    EXPECT(waitpid(-1, &status, __WALL) == pid && is_exit(status, 0)); /* of the new program */
}

NOTE(53, "With PTRACE_O_TRACEEXIT those whom an exec ends stop once more",
     "The exec waits for them. The former first thread's last stop comes under the process's id, and the next "
     "that comes under it is the exec itself.")
{
    pid_t pid = start(d, thread_execs), caller = id_of(d, 0);
    seize(d, pid, PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT);
    seize(d, caller, PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXIT));
    EXPECT(!has_status(caller));
    go_on(d, pid, 0);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXEC));
    EXPECT(message_of(d, pid) == (unsigned long)caller);
}

#define OLD_PAGE UINT64_C(0x60000000) /* where no program of ours is loaded */

static void maps_and_execs(struct demo *d)
{
    void *page = (void *)(uintptr_t)OLD_PAGE; /* NOLINT(performance-no-int-to-ptr) */
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    EXPECT(mmap(page, 4096, PROT_READ | PROT_WRITE, flags, -1, 0) == page);
    d->flag[0] = 1;
    execs_when_told(d);
}

NOTE(54, "When an exec is told, the new program is in memory already",
     "At PTRACE_EVENT_EXEC nothing of the old memory is left: breakpoints in it are gone, and addresses in it "
     "mean nothing. What a tracer writes to the process between the exec and its being told goes into the new "
     "program.")
{
    long word;
    pid_t pid = start(d, maps_and_execs);
    await(d, 0);
    seize(d, pid, PTRACE_O_TRACEEXEC);
    stop(d, pid);
    EXPECT(trace(PTRACE_PEEKDATA, pid, OLD_PAGE, &word) == 0);
    go_on(d, pid, 0);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXEC));
    EXPECT(trace(PTRACE_PEEKDATA, pid, OLD_PAGE, &word) == -1 && errno == EIO);
}

NOTE(55, "/proc/PID/mem is the memory that the process had when it was opened",
     "Whoever keeps it open over an exec reads nothing any more, and writes nowhere: a read gives 0. It has to "
     "be opened again.")
{
    char path[32], byte;
    pid_t pid = start(d, maps_and_execs);
    await(d, 0);
    seize(d, pid, PTRACE_O_TRACEEXEC);
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int memory = (int)TRY(open(path, O_RDONLY | O_CLOEXEC));
    EXPECT(pread(memory, &byte, 1, (off_t)OLD_PAGE) == 1);
    open_gate(d);
    EXPECT(is_event(wait_for(d, pid), PTRACE_EVENT_EXEC));
    EXPECT(pread(memory, &byte, 1, (off_t)OLD_PAGE) == 0);
}
