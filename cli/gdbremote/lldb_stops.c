/* lldb's dialect: threads, and why they have stopped. A stop reply says more than to gdb, so that most stops need no further packet:
 * all general registers, every thread's pc and reason to have stopped, and the memory at the top of the stack. */
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lldb.h"
#include "server.h"

enum {
    STACK_SIZE = 512,     /* what of the stack is in a stop reply */
    FRAMES_MAX = 8,       /* and so many frames' saved fp and return address */
    DESCRIPTION_MAX = 80, /* of why a thread has stopped */
};

/* ---- Threads, and why they have stopped ---- */

struct report { /* of a thread */
    int tid;
    char name[16];
    rein_word pc, sp, fp;
    bool has_registers;
    const char *reason; /* NULL: others have stopped it */
    char description[DESCRIPTION_MAX];
    int signal; /* the host's */
};

static const char *reason_of(enum rein_cause_kind kind)
{
    switch (kind) {
    case REIN_CAUSE_BREAKPOINT:
        return "breakpoint";
    case REIN_CAUSE_WATCHPOINT:
        return "watchpoint";
    case REIN_CAUSE_SIGNAL:
    case REIN_CAUSE_GROUP_STOP:
        return "signal";
    case REIN_CAUSE_STEP:
        return "trace";
    case REIN_CAUSE_EXEC:
        return "exec";
    case REIN_CAUSE_FORK:
        return "fork";
    case REIN_CAUSE_VFORK:
        return "vfork";
    case REIN_CAUSE_VFORK_DONE:
        return "vforkdone";
    case REIN_CAUSE_SYSCALL_ENTRY:
    case REIN_CAUSE_SYSCALL_EXIT:
        return "trap";
    case REIN_CAUSE_STOPPED:
    case REIN_CAUSE_THREAD_CREATE:
    case REIN_CAUSE_THREAD_EXIT:
    case REIN_CAUSE_PROCESS_EXIT:
    case REIN_CAUSE_COUNT:
        break;
    }
    return NULL;
}

/* What was wrong, in lldb's words, with the address where that says something; not of a signal that a process has sent. */
static void explain_fault(const struct rein_signal *signal, struct report *report)
{
    static const struct fault {
        int number, code;
        bool has_address;
        const char *text;
    } faults[] = {
        {SIGSEGV, SEGV_MAPERR, true, "invalid address"},
        {SIGSEGV, SEGV_ACCERR, true, "address access protected"},
        {SIGSEGV, SI_KERNEL, true, "invalid address"}, /* not canonical: the processor does not say where */
        {SIGBUS, BUS_ADRALN, false, "illegal alignment"},
        {SIGBUS, BUS_ADRERR, false, "illegal address"},
        {SIGBUS, BUS_OBJERR, false, "hardware error"},
        {SIGFPE, FPE_INTDIV, false, "integer divide by zero"},
        {SIGFPE, FPE_INTOVF, false, "integer overflow"},
        {SIGFPE, FPE_FLTDIV, false, "floating point divide by zero"},
        {SIGFPE, FPE_FLTOVF, false, "floating point overflow"},
        {SIGFPE, FPE_FLTUND, false, "floating point underflow"},
        {SIGFPE, FPE_FLTRES, false, "inexact floating point result"},
        {SIGFPE, FPE_FLTINV, false, "invalid floating point operation"},
        {SIGFPE, FPE_FLTSUB, false, "invalid floating point subscript range"},
        {SIGILL, ILL_ILLOPC, false, "illegal instruction"},
        {SIGILL, ILL_ILLOPN, false, "illegal instruction operand"},
        {SIGILL, ILL_ILLADR, false, "illegal addressing mode"},
        {SIGILL, ILL_ILLTRP, false, "illegal trap"},
        {SIGILL, ILL_PRVOPC, false, "privileged instruction"},
        {SIGILL, ILL_PRVREG, false, "privileged register"},
        {SIGILL, ILL_COPROC, false, "coprocessor error"},
        {SIGILL, ILL_BADSTK, false, "internal stack error"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const struct fault *fault = &faults[i];
        if (fault->number != signal->number || fault->code != signal->code)
            continue;
        int used = snprintf(report->description, sizeof report->description, "signal %s: %s",
                            rein_signal_name(signal->number), fault->text);
        if (fault->has_address)
            snprintf(report->description + used, sizeof report->description - (size_t)used,
                     " (fault address: 0x%" PRIx64 ")", signal->address);
    }
}

static void explain(const struct inferior *inferior, const struct rein_cause *cause, struct report *report)
{
    char type;
    rein_word address;
    report->description[0] = '\0';
    report->reason = reason_of(cause->kind);
    report->signal = !report->reason ? 0 : strcmp(report->reason, "signal") == 0 ? cause->signal.number : SIGTRAP;
    if (cause->kind == REIN_CAUSE_SIGNAL)
        explain_fault(&cause->signal, report);
    if (cause->kind != REIN_CAUSE_WATCHPOINT)
        return;
    if (points_of_watchpoint(inferior, cause->watchpoint, &type, &address) && type != '1')
        /* Its address, which debug register it is in (which we do not know), and what was accessed (likewise). */
        snprintf(report->description, sizeof report->description, "%" PRIu64 " 0 %" PRIu64, address, UINT64_MAX);
    else
        report->reason = "breakpoint";
}

struct gathering {
    const struct inferior *inferior;
    const struct target *target;
    struct report *reports;
    size_t count;
};

static void look_at(rein_thread *thread, const struct gathering *gathering, struct report *report)
{
    struct rein_cause cause;
    rein_registers *registers;
    *report = (struct report){.tid = rein_thread_id(thread)};
    if (rein_thread_name(thread, report->name) != 0)
        report->name[0] = '\0';
    for (char *c = report->name; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    if (rein_thread_cause(thread, &cause) == 0) {
        explain(gathering->inferior, &cause, report);
        rein_cause_clear(&cause);
    }
    if (rein_thread_registers(thread, &registers) != 0)
        return;
    const struct target *target = gathering->target;
    report->has_registers =
        rein_registers_pc(registers, &report->pc) == 0 && rein_registers_sp(registers, &report->sp) == 0;
    if (target)
        rein_registers_get(registers, register_index(registers, &target->places[target->fp]), &report->fp);
    rein_registers_free(registers);
}

/* On the monitor, so that nothing happens in between. */
static int gather_there(void *arg)
{
    struct gathering *gathering = arg;
    rein_thread **threads;
    size_t count;
    int result = rein_process_threads(gathering->inferior->process, &threads, &count);
    if (result != 0)
        return result;
    gathering->reports = calloc(count ? count : 1, sizeof *gathering->reports);
    for (size_t i = 0; gathering->reports && i < count; i++)
        look_at(threads[i], gathering, &gathering->reports[gathering->count++]);
    rein_thread_list_free(threads, count);
    return 0;
}

/* Of all threads of the process; to be freed. */
static struct gathering gather(struct server *server, struct inferior *inferior)
{
    struct gathering gathering = {.inferior = inferior, .target = inferior_target(server, inferior)};
    rein_monitor_call(server->monitor, gather_there, &gathering);
    return gathering;
}

/* ---- In JSON ---- */

/* JSON goes as binary data, for it has braces in it. */
static void reply_json(struct reply *reply, json_t *json, bool in_hex)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text)
        reply->failed = true;
    else if (in_hex)
        reply_hex_text(reply, text);
    else
        reply_binary(reply, text, strlen(text));
    free(text);
    json_decref(json);
}

static void add_word(json_t *object, const struct gathering *gathering, int number, rein_word value)
{
    char key[16];
    struct reply hex = {0};
    snprintf(key, sizeof key, "%d", number);
    reply_hex(&hex, &value, gathering->target->places[number].size); /* the lowest byte first */
    json_object_set_new(object, key, json_string(hex.text ? hex.text : ""));
    reply_free(&hex);
}

static json_t *report_in_json(const struct server *server, const struct gathering *gathering,
                              const struct report *report, bool with_registers)
{
    json_t *object = json_pack("{s:i, s:s}", "tid", report->tid, "name", report->name);
    int signal = server->features.lldb ? report->signal : signal_to_gdb(report->signal);
    if (report->reason)
        json_object_set_new(object, "reason", json_string(report->reason));
    if (report->signal)
        json_object_set_new(object, "signal", json_integer(signal));
    if (*report->description)
        json_object_set_new(object, "description", json_string(report->description));
    if (with_registers && report->has_registers && gathering->target) {
        json_t *registers = json_object();
        add_word(registers, gathering, gathering->target->pc, report->pc);
        add_word(registers, gathering, gathering->target->sp, report->sp);
        add_word(registers, gathering, gathering->target->fp, report->fp);
        json_object_set_new(object, "registers", registers);
    }
    return object;
}

static json_t *all_in_json(const struct server *server, const struct gathering *gathering, bool with_registers)
{
    json_t *array = json_array();
    for (size_t i = 0; i < gathering->count; i++)
        json_array_append_new(array, report_in_json(server, gathering, &gathering->reports[i], with_registers));
    return array;
}

static void run_threads(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)arguments, (void)length;
    struct inferior *inferior = server_general(server, NULL);
    if (!inferior) {
        server_error(server, reply, "there is no process");
        return;
    }
    struct gathering gathering = gather(server, inferior);
    reply_json(reply, all_in_json(server, &gathering, true), false);
    free(gathering.reports);
}

/* ---- Stop replies ---- */

static void add_registers(struct server *server, struct reply *reply, struct inferior *inferior, rein_thread *thread)
{
    const struct target *target = inferior_target(server, inferior);
    rein_registers *registers = target ? server_registers(server, thread) : NULL;
    for (size_t i = 0; registers && i < target->count; i++) {
        const struct register_place *place = &target->places[i];
        bool is_there = false; /* among those that are in every stop reply */
        for (const int *number = target->expedited; *number >= 0; number++)
            is_there |= *number == (int)i;
        if (is_there || register_index(registers, place) >= rein_registers_count(registers))
            continue;
        reply_format(reply, "%02zx:", i);
        reply_register(reply, registers, place);
        reply_text(reply, ";");
    }
}

static bool add_memory(struct server *server, struct reply *reply, struct inferior *inferior, rein_word address,
                       void *bytes, size_t size)
{
    size_t done = memory_read(server, inferior, address, bytes, size);
    if (done == 0)
        return false;
    reply_format(reply, "memory:0x%" PRIx64 "=", address);
    reply_hex(reply, bytes, done);
    reply_text(reply, ";");
    return done == size;
}

/* The top of the stack, and the chain of frames, if there is one: what an unwinder looks at first. */
static void add_stack(struct server *server, struct reply *reply, struct inferior *inferior,
                      const struct report *report)
{
    unsigned char bytes[STACK_SIZE];
    size_t width = lldb_word_size(inferior);
    if (!report->has_registers)
        return;
    add_memory(server, reply, inferior, report->sp, bytes, sizeof bytes);
    rein_word end = report->sp + sizeof bytes, fp = report->fp;
    for (int i = 0; i < FRAMES_MAX && fp >= report->sp && fp % width == 0; i++) {
        rein_word next = 0;
        if (fp + 2 * width > end ? !add_memory(server, reply, inferior, fp, bytes, 2 * width)
                                 : memory_read(server, inferior, fp, bytes, 2 * width) != 2 * width)
            return;
        memcpy(&next, bytes, width);
        if (next <= fp)
            return;
        fp = next;
    }
}

static void add_name(struct reply *reply, const char *name)
{
    if (strpbrk(name, "$#+-;:*}"))
        lldb_add_text(reply, "hexname", name);
    else if (*name)
        reply_format(reply, "name:%s;", name);
}

static void add_threads(struct reply *reply, const struct gathering *gathering)
{
    for (size_t i = 0; i < gathering->count; i++)
        reply_format(reply, "%s%x", i ? "," : "threads:", (unsigned)gathering->reports[i].tid);
    reply_text(reply, gathering->count ? ";" : "");
    for (size_t i = 0; i < gathering->count; i++)
        reply_format(reply, "%s%0*" PRIx64, i ? "," : "thread-pcs:", (int)(2 * lldb_word_size(gathering->inferior)),
                     gathering->reports[i].pc);
    reply_text(reply, gathering->count ? ";" : "");
}

void lldb_stop(struct server *server, struct reply *reply, struct inferior *inferior, const struct stop *stop)
{
    struct gathering gathering = gather(server, inferior);
    struct report *report = NULL;
    for (size_t i = 0; i < gathering.count && !report; i++)
        if (gathering.reports[i].tid == stop->tid)
            report = &gathering.reports[i];
    if (report) {
        /* What is told may have become another thing to the library since: an interrupt, a stop by attach. */
        if (stop->cause.kind != REIN_CAUSE_WATCHPOINT || stop->cause.watchpoint)
            explain(inferior, &stop->cause, report);
        if (!report->reason && stop->signal) {
            report->reason = "signal";
            report->signal = signal_from_gdb(stop->signal);
        }
        add_name(reply, report->name);
    }
    if (server->features.list_threads) {
        add_threads(reply, &gathering);
        if (gathering.count > 1) {
            reply_text(reply, "jstopinfo:");
            reply_json(reply, all_in_json(server, &gathering, false), true);
            reply_text(reply, ";");
        }
    }
    add_registers(server, reply, inferior, stop->thread);
    if (report) {
        add_stack(server, reply, inferior, report);
        if (report->reason)
            reply_format(reply, "reason:%s;", report->reason);
        if (*report->description)
            lldb_add_text(reply, "description", report->description);
    }
    free(gathering.reports);
}

/* A stop reply for any thread. */
static void run_stop_info(struct server *server, char *arguments, size_t length, struct reply *reply)
{
    (void)length;
    const char *text = arguments;
    int pid, tid;
    struct stop stop = {0};
    if (!parse_thread(server, &text, &pid, &tid) || *text || tid <= 0 ||
        !server_resolve(server, pid, tid, &stop.thread)) {
        server_error(server, reply, "there is no such thread");
        return;
    }
    stop.pid = rein_process_id(rein_thread_process(stop.thread));
    stop.tid = tid;
    if (rein_thread_cause(stop.thread, &stop.cause) != 0) {
        server_fail(server, reply);
        rein_thread_unref(stop.thread);
        return;
    }
    if (stop.cause.kind == REIN_CAUSE_SIGNAL || stop.cause.kind == REIN_CAUSE_GROUP_STOP)
        stop.signal = signal_to_gdb(stop.cause.signal.number);
    else if (stop.cause.kind != REIN_CAUSE_STOPPED)
        stop.signal = signal_to_gdb(SIGTRAP);
    else if (server->has_last && server->last.tid == tid)
        stop.signal = server->last.signal;
    stop_write(server, reply, &stop);
    rein_cause_clear(&stop.cause);
    rein_thread_unref(stop.thread);
}

const struct handler lldb_stop_handlers[] = {
    {"jThreadsInfo", run_threads},
    {"qThreadStopInfo*", run_stop_info},
    {NULL, NULL},
};
