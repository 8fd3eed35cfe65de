/* Stop replies: what a stop of the queue (stops.c) is in the protocol, as an answer or a notification.
 *
 * T is a thread that has stopped, with why, as far as the client has said that it understands that (qSupported), and with the
 * registers that it will ask for first. W and X are processes that have ended, w a thread. lldb gets more (lldb.c), and the
 * host's numbers of signals. */
#include <signal.h>

#include "server.h"

static void write_reason(struct server *server, struct reply *reply, struct inferior *inferior, const struct stop *stop)
{
    const struct rein_cause *cause = &stop->cause;
    const struct features *features = &server->features;
    char path[4096], type;
    rein_word address;
    switch (cause->kind) {
    case REIN_CAUSE_BREAKPOINT:
        inferior = inferior_of_memory(server, inferior);
        if (points_has(inferior, '1', cause->pc) ? features->hwbreak : features->swbreak)
            reply_text(reply, points_has(inferior, '1', cause->pc) ? "hwbreak:;" : "swbreak:;");
        break;
    case REIN_CAUSE_SIGNAL: /* the program's own, see back_up */
        if (cause->signal.number == SIGTRAP && cause->trouble)
            reply_text(reply, "swbreak:;");
        break;
    case REIN_CAUSE_WATCHPOINT:
        if (!points_of_watchpoint(inferior, cause->watchpoint, &type, &address))
            break;
        if (type == '1')
            reply_text(reply, features->hwbreak ? "hwbreak:;" : "");
        else
            reply_format(reply, "%s:%llx;",
                         type == '2'   ? "watch"
                         : type == '3' ? "rwatch"
                                       : "awatch",
                         (unsigned long long)address);
        break;
    case REIN_CAUSE_FORK:
    case REIN_CAUSE_VFORK:
        if (!(cause->kind == REIN_CAUSE_FORK ? features->fork_events : features->vfork_events))
            break; /* it was another client's wish */
        reply_text(reply, cause->kind == REIN_CAUSE_FORK ? "fork:" : "vfork:");
        reply_thread(server, reply, cause->child, cause->child);
        reply_text(reply, ";");
        break;
    case REIN_CAUSE_VFORK_DONE:
        reply_text(reply, "vforkdone:;");
        break;
    case REIN_CAUSE_EXEC:
        if (rein_process_program(inferior->process, path, sizeof path) == 0 && features->exec_events) {
            reply_text(reply, "exec:");
            reply_hex_text(reply, path);
            reply_text(reply, ";");
        }
        break;
    case REIN_CAUSE_SYSCALL_ENTRY:
    case REIN_CAUSE_SYSCALL_EXIT:
        reply_format(reply, "syscall_%s:%llx;", cause->kind == REIN_CAUSE_SYSCALL_ENTRY ? "entry" : "return",
                     (unsigned long long)cause->syscall.number);
        break;
    case REIN_CAUSE_THREAD_CREATE:
        reply_text(reply, "create:;");
        break;
    case REIN_CAUSE_STOPPED:
    case REIN_CAUSE_STEP:
    case REIN_CAUSE_GROUP_STOP:
    case REIN_CAUSE_THREAD_EXIT:
    case REIN_CAUSE_PROCESS_EXIT:
    case REIN_CAUSE_COUNT:
        break;
    }
}

void stop_write(struct server *server, struct reply *reply, const struct stop *stop)
{
    const struct rein_cause *cause = &stop->cause;
    if (cause->kind == REIN_CAUSE_PROCESS_EXIT) {
        bool signaled = cause->exit.signaled;
        int number = server->features.lldb ? cause->exit.signal : signal_to_gdb(cause->exit.signal);
        reply_format(reply, "%c%02x", signaled ? 'X' : 'W', (unsigned)(signaled ? number : cause->exit.status & 0xff));
        if (server->features.multiprocess)
            reply_format(reply, ";process:%x", (unsigned)stop->pid);
        return;
    }
    if (cause->kind == REIN_CAUSE_THREAD_EXIT) {
        reply_format(reply, "w%02x;", (unsigned)(cause->exit.status & 0xff));
        reply_thread(server, reply, stop->pid, stop->tid);
        return;
    }
    struct inferior *inferior = inferior_find(server, stop->pid);
    if (inferior)
        inferior->is_new = false;
    int signal = server->features.lldb ? signal_from_gdb(stop->signal) : stop->signal;
    reply_format(reply, "T%02x", (unsigned)signal);
    if (inferior) {
        write_reason(server, reply, inferior, stop);
        reply_expedited(server, reply, inferior, stop->thread);
    }
    reply_text(reply, "thread:");
    reply_thread(server, reply, inferior ? inferior->told_as : stop->pid, stop->tid);
    reply_text(reply, ";");
    if (inferior && server->features.lldb)
        lldb_stop(server, reply, inferior, stop);
}
