/* Which signals, system calls and new threads the client wants to hear of.
 *
 * It names the SIGNALS that are to be passed on to the program untold (QPassSignals). These are told all the same when they end a
 * step, or when a breakpoint may be what has caused them: one that the client has put where nothing can be executed, to which a
 * called function returns. One that a resume has sent (resume.c) is let through once.
 * QProgramSignals are those that the program still gets when it is let go (launch.c).
 *
 * That is judged on the monitor, in the callback of a process's events, so that what is not told stops nobody. SYSTEM CALLS
 * (QCatchSyscalls) are the library's to choose, and the births and ends of THREADS (QThreadEvents) its policy (inferiors.c). */
#include <linux/audit.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "resume.h"
#include "server.h"

/* ---- The callback ---- */

/* A breakpoint in memory that cannot be executed, such as the one on the stack to which gdb lets a called function return,
 * shows as a fault at its address, and the client takes it for a hit: it has to hear of it though the signal is one of those to
 * be passed. Faults of data are passed, and cost a program that lives off them nothing. */
static bool may_be_breakpoint(rein_thread *thread, const struct rein_signal *signal)
{
    if ((signal->number != SIGSEGV && signal->number != SIGBUS && signal->number != SIGILL) || signal->code <= 0)
        return false;
    rein_registers *registers = NULL;
    rein_word pc = 0;
    bool known = rein_thread_registers(thread, &registers) == 0 && rein_registers_pc(registers, &pc) == 0;
    rein_registers_free(registers);
    return !known || signal->address == pc;
}

static enum rein_verdict judge(struct resume *resume, rein_thread *thread, const struct rein_cause *cause)
{
    int number = cause->signal.number, tid = rein_thread_id(thread);
    /* What is only met on the way does not end a step. */
    bool ends = cause->kind != REIN_CAUSE_THREAD_CREATE && cause->kind != REIN_CAUSE_FORK &&
                cause->kind != REIN_CAUSE_VFORK && cause->kind != REIN_CAUSE_VFORK_DONE;
    bool steps = ends && marks_take(&resume->marks, STEPPING, tid, NULL, NULL);
    if (cause_is_clone(cause)) /* it and its maker go on as soon as the child is known */
        return REIN_VERDICT_STOP_THREAD;
    if (cause->kind != REIN_CAUSE_SIGNAL || number < 1 || number > 64)
        return REIN_VERDICT_POLICY;
    struct rein_signal details;
    if (marks_take(&resume->marks, SENT, tid, &number, &details)) {
        if (details.number)
            rein_thread_set_signal_info(thread, &details);
        return steps && marks_add(&resume->marks, AGAIN, thread, number, NULL) ? REIN_VERDICT_STOP_THREAD
                                                                               : REIN_VERDICT_GO_ON;
    }
    bool passed = resume->passed >> (number - 1) & 1;
    return passed && !steps && !may_be_breakpoint(thread, &cause->signal) ? REIN_VERDICT_GO_ON : REIN_VERDICT_POLICY;
}

/* On the monitor. */
static enum rein_verdict on_event(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct resume *resume = arg;
    struct tracing *tracing = resume->server->tracing;
    enum rein_verdict verdict = judge(resume, thread, cause);
    return tracing ? trace_event(tracing, thread, cause, verdict) : verdict;
}

void filter_watch(struct server *server, struct inferior *inferior)
{
    struct resume *resume = resume_of(server);
    if (resume)
        rein_process_set_callback(inferior->process, on_event, resume);
}

/* ---- Signals ---- */

uint64_t filter_passed(const struct server *server)
{
    const struct resume *resume = server->resume;
    return resume ? resume->passed : 0;
}

static bool parse_signals(struct server *server, const char *arguments, uint64_t *signals)
{
    uint64_t number;
    *signals = 0;
    for (const char *text = arguments; *text;) {
        if (!parse_hex(&text, &number) || (*text && *text++ != ';'))
            return false;
        int host = number <= 1000 ? server->features.lldb ? (int)number : signal_from_gdb((int)number) : 0;
        if (host >= 1 && host <= 64)
            *signals |= UINT64_C(1) << (host - 1);
    }
    return true;
}

static void run_program_signals(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    server->has_program_signals = parse_signals(server, arguments, &server->program_signals);
    if (server->has_program_signals)
        server_ok(reply);
    else
        server_error(server, reply, "QProgramSignals takes numbers of signals");
}

static void run_pass(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    struct resume *resume = resume_of(server);
    uint64_t passed;
    if (!parse_signals(server, arguments, &passed)) {
        server_error(server, reply, "QPassSignals takes numbers of signals");
        return;
    }
    if (resume)
        resume->passed = passed;
    server_ok(reply);
}

/* ---- System calls and threads ---- */

static uint32_t numbers_of(const rein_process *process)
{
    const char *name = rein_process_architecture(process);
    return strcmp(name, "i386") == 0    ? AUDIT_ARCH_I386
           : strcmp(name, "arm64") == 0 ? AUDIT_ARCH_AARCH64
                                        : AUDIT_ARCH_X86_64;
}

static void run_catch(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    enum { CALLS_MAX = 4096 };
    (void)length;
    struct inferior *inferior = server_general(server, NULL);
    struct rein_syscall_id *calls = calloc(CALLS_MAX, sizeof *calls);
    size_t count = 0;
    const char *text = arguments;
    bool on = *text == '1', good = inferior && calls && (*text == '0' || *text == '1') && *++text != ':';
    while (good && *text) {
        uint64_t number = 0;
        good = *text++ == ';' && parse_hex(&text, &number) && number <= UINT32_MAX && count < CALLS_MAX;
        if (good)
            calls[count++] = (struct rein_syscall_id){numbers_of(inferior->process), (uint32_t)number};
    }
    if (!good)
        server_error(server, reply, "QCatchSyscalls takes 0 or 1 and numbers of system calls");
    else if (rein_process_trace_syscalls(inferior->process, on ? REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS : 0,
                                         count ? calls : NULL, count) != 0)
        server_fail(server, reply);
    else
        server_ok(reply);
    free(calls);
}

static void run_thread_events(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    if (strcmp(arguments, "0") != 0 && strcmp(arguments, "1") != 0) {
        server_error(server, reply, "QThreadEvents takes 0 or 1");
        return;
    }
    server->features.thread_events = *arguments == '1';
    server_set_policies(server);
    server_ok(reply);
}

const struct handler filter_handlers[] = {
    {"QPassSignals:", run_pass},
    {"QProgramSignals:", run_program_signals},
    {"QCatchSyscalls:", run_catch},
    {"QThreadEvents:", run_thread_events},
    {NULL, NULL},
};
