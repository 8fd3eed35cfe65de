/* Callbacks and what follows from them. A callback notes what happened in the journal and answers "go on": the event
 * costs the program as little as can be, and no other thread anything. What takes longer is the main thread's, from
 * the journal. A thread is held until the main thread has come to its record only if
 *   - it is the run-time linker's, and libraries have come: their breakpoints must be there before they run,
 *   - it has executed another program, for the same reason,
 *   - the main thread is far behind (the reader of its output is slow). */
#include "tracer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { FAR_BEHIND = 4096 };

void tracer_init(struct tracer *tracer)
{
    tracer->sites.modules = &tracer->modules;
    tracer->sites.owner = tracer;
    tracer->output.modules = &tracer->modules;
}

/* ---- On the monitor ---- */

static struct record begin_record(rein_thread *thread, enum rein_cause_kind cause)
{
    struct record record = {.kind = RECORD_CAUSE, .cause = cause, .tid = rein_thread_id(thread)};
    clock_gettime(CLOCK_REALTIME, &record.time);
    return record;
}

static enum rein_verdict note(struct tracer *tracer, struct record *record, rein_thread *thread, bool hold)
{
    bool urgent =
        record->kind == RECORD_LIBRARIES || record->cause == REIN_CAUSE_EXEC || record->cause == REIN_CAUSE_GROUP_STOP;
    if (hold)
        record->held = rein_thread_ref(thread);
    if (journal_append(&tracer->journal, record, urgent))
        return hold ? REIN_VERDICT_STOP_THREAD : REIN_VERDICT_GO_ON;
    if (hold)
        rein_thread_unref(thread);
    return REIN_VERDICT_GO_ON;
}

static bool is_far_behind(struct tracer *tracer)
{
    return atomic_load_explicit(&tracer->journal.waiting, memory_order_relaxed) > FAR_BEHIND;
}

static enum rein_verdict note_hit(struct tracer *tracer, struct site *site, rein_thread *thread)
{
    if (tracer->output.by_thread)
        site_count_thread(site, thread);
    if (tracer->count || !(tracer->shown & (1u << REIN_CAUSE_BREAKPOINT)))
        return REIN_VERDICT_GO_ON;
    struct record record = begin_record(thread, REIN_CAUSE_BREAKPOINT);
    record.site = site;
    record.pc = site->address;
    return note(tracer, &record, thread, is_far_behind(tracer));
}

static enum rein_verdict on_hit(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct site *site = arg;
    (void)breakpoint;
    return note_hit(site->owner, site, thread);
}

static enum rein_verdict on_linker(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct tracer *tracer = arg;
    enum rein_verdict verdict = REIN_VERDICT_GO_ON;
    (void)breakpoint;
    if (tracer->linker_site != NULL)
        verdict = note_hit(tracer, tracer->linker_site, thread);
    if (!linker_is_consistent(&tracer->linker, tracer->process))
        return verdict;
    struct record record = begin_record(thread, REIN_CAUSE_BREAKPOINT);
    record.kind = RECORD_LIBRARIES;
    return note(tracer, &record, thread, true);
}

static rein_word pc_of(rein_thread *thread)
{
    rein_registers *registers;
    rein_word pc = 0;
    if (rein_thread_registers(thread, &registers) == 0) {
        rein_registers_pc(registers, &pc);
        rein_registers_free(registers);
    }
    return pc;
}

static void fill_signal(struct record *record, const struct rein_signal *signal)
{
    record->number = signal->number;
    record->code = signal->code;
    record->sender_pid = signal->sender_pid;
    record->sender_uid = signal->sender_uid;
    record->value = signal->value;
    record->address = signal->address;
}

static enum rein_verdict on_event(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct tracer *tracer = arg;
    struct record record = begin_record(thread, cause->kind);
    bool hold = false;
    switch (cause->kind) {
    case REIN_CAUSE_SIGNAL:
        jobs_program_got(&tracer->jobs, cause->signal.number, cause->signal.sender_pid);
        fill_signal(&record, &cause->signal);
        if (tracer->shown & (1u << REIN_CAUSE_SIGNAL))
            record.pc = pc_of(thread);
        hold = is_far_behind(tracer) && !jobs_ends(cause->signal.number);
        break;
    case REIN_CAUSE_THREAD_CREATE:
        record.other = cause->new_thread == NULL ? 0 : rein_thread_id(cause->new_thread);
        break;
    case REIN_CAUSE_THREAD_EXIT:
        record.exit = cause->exit;
        if (rein_thread_name(thread, record.name) != 0)
            record.name[0] = '\0';
        else if (tracer->output.by_thread)
            sites_note_name(&tracer->sites, thread, record.name);
        break;
    case REIN_CAUSE_EXEC:
        tracer->program_number++;
        tracer->linker.notify = 0;
        record.other = cause->former_id;
        hold = tracer->sites.wanted_count > 0;
        break;
    case REIN_CAUSE_FORK:
    case REIN_CAUSE_VFORK:
        record.other = cause->child;
        break;
    case REIN_CAUSE_GROUP_STOP:
        record.number = cause->signal.number;
        record.conts = jobs_program_stopped(&tracer->jobs);
        break;
    default:
        return REIN_VERDICT_POLICY;
    }
    return note(tracer, &record, thread, hold);
}

struct set_request {
    struct tracer *tracer;
    unsigned program_number;
    struct linker linker;
};

static void set_linker_breakpoint(struct tracer *tracer, const struct linker *linker)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = on_linker;
    options.arg = tracer;
    rein_breakpoint_unref(tracer->linker_breakpoint);
    tracer->linker_breakpoint = NULL;
    tracer->linker_site = NULL;
    tracer->linker = *linker;
    if (linker->notify != 0 &&
        rein_process_add_breakpoint(tracer->process, linker->notify, &options, &tracer->linker_breakpoint) != 0)
        tracer->linker.notify = 0;
}

/* In one step with respect to events: if another program was executed meanwhile, nothing that was found out about the
 * one before must be put into it. */
static int set_on_monitor(void *arg)
{
    struct set_request *request = arg;
    struct tracer *tracer = request->tracer;
    if (tracer->program_number != request->program_number)
        return 0;
    if (tracer->linker.notify == 0)
        set_linker_breakpoint(tracer, &request->linker);
    sites_set(&tracer->sites, tracer->process, on_hit, tracer->linker.notify);
    if (tracer->linker.notify != 0 && tracer->linker_site == NULL) {
        tracer->linker_site = sites_at(&tracer->sites, tracer->linker.notify);
        if (tracer->linker_site != NULL)
            tracer->linker_site->breakpoint = rein_breakpoint_ref(tracer->linker_breakpoint);
    }
    return 0;
}

/* ---- On the main thread ---- */

void tracer_hold(struct tracer *tracer)
{
    tracer->output.pid = tracer->modules.pid = rein_process_id(tracer->process);
    tracer->jobs.monitor = rein_monitor_id(tracer->monitor);
    rein_process_set_policy(tracer->process, REIN_CAUSE_COUNT, REIN_IGNORE);
    rein_process_set_callback(tracer->process, on_event, tracer);
}

/* The file that a location names, if it is mapped: then no other can bring what it lacks. */
static const struct module *named_module(const struct tracer *tracer, const struct location *location)
{
    if (location->file != NULL && location->kind != LOCATION_LINE)
        for (size_t i = 0; i < tracer->modules.count; i++)
            if (location_names_file(location->file, tracer->modules.items[i]->path))
                return tracer->modules.items[i];
    return NULL;
}

/* Could a library that is loaded later, or another program, bring what is missing? */
static bool can_appear(const struct tracer *tracer, const struct location *location, const struct linker *linker)
{
    if (location->file != NULL && location->kind != LOCATION_LINE)
        return named_module(tracer, location) == NULL;
    return linker->loads_at_start;
}

static char *missing_text(struct tracer *tracer, const struct location *location, bool never)
{
    const struct module *module = named_module(tracer, location);
    const char *what = location->kind == LOCATION_SYMBOL ? "symbol"
                       : location->kind == LOCATION_LINE ? "source line"
                                                         : "code";
    char *near = sites_near_misses(&tracer->sites, location), *text;
    if (never && sites_is_inlined(&tracer->sites, location))
        text = cli_format("%s: the compiler has inlined all of it; SOURCE:LINE finds its lines", location->text);
    else if (never && module != NULL)
        text = cli_format("%s: no such %s in %s%s%s", location->text, what, module->path,
                          near == NULL ? "" : "; there is ", near == NULL ? "" : near);
    else if (never)
        text = cli_format("%s: no such %s in the program, and no library can bring it%s%s", location->text, what,
                          near == NULL ? "" : "; there is ", near == NULL ? "" : near);
    else
        text = cli_format("%s: no such %s yet; waiting for a library that has it%s%s%s", location->text, what,
                          near == NULL ? "" : "; there is ", near == NULL ? "" : near,
                          sites_is_inlined(&tracer->sites, location) ? "; a function of that name was inlined" : "");
    free(near);
    return text;
}

/* Tells what is odd about a location, once. False if it can never be. */
static bool tell_location(struct tracer *tracer, struct wanted *wanted, const struct linker *linker, bool may_fail)
{
    bool missing = wanted->found == 0 && wanted->ifunc == NULL;
    bool never = missing && (wanted->is_wrong || !can_appear(tracer, &wanted->location, linker));
    if (tracer->starting && !never) /* let it start first */
        return true;
    if (wanted->note == NULL && missing && !wanted->warned) {
        wanted->note = missing_text(tracer, &wanted->location, never);
        wanted->is_wrong = never;
    }
    if (wanted->note != NULL && !wanted->note_told && !(wanted->is_wrong && !missing)) {
        wanted->note_told = wanted->warned = true;
        if (never && may_fail)
            cli_error("%s", wanted->note);
        else
            output_warning(&tracer->output, "%s", wanted->note);
    }
    return !never;
}

/* Tells what is odd, once. False if something can never be. */
static bool tell_missing(struct tracer *tracer, const struct linker *linker, bool may_fail)
{
    bool possible = true;
    for (size_t i = 0; i < tracer->sites.wanted_count; i++)
        if (!tell_location(tracer, &tracer->sites.wanted[i], linker, may_fail))
            possible = false;
    for (size_t i = 0; i < tracer->sites.count && !tracer->starting; i++) {
        struct site *site = tracer->sites.items[i];
        if (site->failure == NULL || site->told)
            continue;
        site->told = true;
        output_warning(&tracer->output, "%s: %s", site->location, site->failure);
    }
    return possible;
}

bool tracer_prepare(struct tracer *tracer)
{
    struct linker linker;
    linker_find(&tracer->modules, NULL, &linker);
    tracer->sites.complete = false; /* what an indirect function came to can only be seen in its memory */
    sites_resolve(&tracer->sites, NULL);
    return tell_missing(tracer, &linker, true);
}

/* After a scan: resolves and sets. */
static bool update(struct tracer *tracer, bool may_fail)
{
    struct set_request request = {.tracer = tracer, .program_number = tracer->program_number};
    if (tracer->sites.wanted_count == 0)
        return true;
    linker_find(&tracer->modules, tracer->process, &request.linker);
    if (tracer->starting && !request.linker.loads_at_start)
        tracer->starting = false;
    tracer->sites.complete = !tracer->starting;
    sites_resolve(&tracer->sites, tracer->process);
    rein_monitor_call(tracer->monitor, set_on_monitor, &request);
    return tell_missing(tracer, &request.linker, may_fail) || !may_fail;
}

bool tracer_begin_program(struct tracer *tracer, bool at_exec)
{
    tracer->starting = at_exec;
    bool possible = modules_scan(&tracer->modules) ? update(tracer, true) : true;
    for (size_t i = 0; i < tracer->sites.count; i++)
        tracer->sites.items[i]->told = true;
    return possible;
}

static void tell_new_sites(struct tracer *tracer)
{
    for (size_t i = 0; i < tracer->sites.count; i++) {
        struct site *site = tracer->sites.items[i];
        if (!site->is_set || site->told)
            continue;
        site->told = true;
        output_location(&tracer->output, site);
    }
}

static void libraries_changed(struct tracer *tracer)
{
    bool was_starting = tracer->starting;
    tracer->starting = false;
    if (!modules_scan(&tracer->modules)) /* it is gone, or it may not be looked into any more */
        return;
    update(tracer, false);
    if (was_starting) /* found where they were expected: nothing to tell */
        for (size_t i = 0; i < tracer->sites.count; i++)
            tracer->sites.items[i]->told = true;
    tell_new_sites(tracer);
}

static void program_executed(struct tracer *tracer, const struct record *record)
{
    modules_reset(&tracer->modules);
    sites_forget_program(&tracer->sites);
    tracer->starting = true;
    bool seen = modules_scan(&tracer->modules);
    output_record(&tracer->output, record, tracer->shown & (1u << record->cause));
    if (seen)
        update(tracer, false);
}

/* An address that is in nothing known may be in a library that was loaded since. */
static void know_place(struct tracer *tracer, rein_word pc)
{
    struct timespec now;
    if (pc == 0 || modules_at(&tracer->modules, pc) != NULL)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == tracer->last_scan) /* compiled at run time, then: not every time */
        return;
    tracer->last_scan = now.tv_sec;
    if (modules_scan(&tracer->modules))
        update(tracer, false);
}

static void take_event(struct tracer *tracer, const struct record *record)
{
    if (record->cause == REIN_CAUSE_EXEC) {
        program_executed(tracer, record);
        return;
    }
    if (record->cause == REIN_CAUSE_SIGNAL)
        know_place(tracer, record->pc);
    output_record(&tracer->output, record, tracer->shown & (1u << record->cause));
    if (record->cause == REIN_CAUSE_GROUP_STOP && tracer->jobs.has_program) {
        output_flush(&tracer->output);
        jobs_stop_with_program(&tracer->jobs, tracer->monitor, record->number, record->conts);
    }
}

void tracer_take(struct tracer *tracer, const struct record *record)
{
    if (record->kind == RECORD_LIBRARIES)
        libraries_changed(tracer);
    else
        take_event(tracer, record);
    if (record->held != NULL) {
        rein_thread_continue(record->held);
        rein_thread_unref(record->held);
    }
}
