/* Callbacks and what follows from them. A callback notes what happened in the journal and answers "go on": the event
 * costs the program as little as can be, and no other thread anything. What takes longer is the main thread's, from
 * the journal. A thread is held until the main thread has come to its record only if
 *   - it is the run-time linker's, and libraries have come: their breakpoints must be there before they run,
 *   - it has executed another program, for the same reason,
 *   - its stack is to be told. It is unwound by the main thread, which has the symbols and may wait for files; the monitor, on
 *     which all threads depend, must not wait, and may not share them without locks. A copy of registers and memory to unwind
 *     from would let the thread go on earlier, but has an end, beyond which a stack may go on (a handler's stack of its own,
 *     large frames), and stacks are to be right,
 *   - the main thread is far behind (the reader of its output is slow). */
#include "tracer.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "site_code.h"
#include "stack.h"

enum { FAR_BEHIND = 4096 };

/* On the monitor, for a new process, or at first. NULL: no memory. */
static struct tracee *make_tracee(struct tracer *tracer, rein_process *process)
{
    struct tracee *tracee = calloc(1, sizeof *tracee);
    if (tracee == NULL)
        return NULL;
    tracee->tracer = tracer;
    tracee->process = rein_process_ref(process);
    tracee->pid = tracee->modules.pid = process == NULL ? 0 : rein_process_id(process);
    tracee->modules.files = &tracer->files;
    tracee->sites.modules = &tracee->modules;
    tracee->sites.owner = tracee;
    tracee->watches.modules = &tracee->modules;
    tracee->watches.owner = tracee;
    return tracee;
}

static void add_tracee(struct tracee *tracee)
{
    struct tracer *tracer = tracee->tracer;
    sites_want_the_same(&tracee->sites, &tracer->sites, tracee != tracer->first);
    watches_want_the_same(&tracee->watches, &tracer->watches, tracee != tracer->first);
    tracee->output = &tracer->output;
    tracee->next = tracer->tracees;
    tracer->tracees = tracee;
}

bool tracer_init(struct tracer *tracer)
{
    tracer->first = make_tracee(tracer, NULL);
    if (tracer->first != NULL)
        add_tracee(tracer->first);
    return tracer->first != NULL;
}

static void free_tracee(struct tracee *tracee)
{
    rein_process_unref(tracee->process);
    rein_breakpoint_unref(tracee->linker_breakpoint);
    free(tracee->troubles);
    sites_free(&tracee->sites);
    watches_free(&tracee->watches);
    modules_free(&tracee->modules);
    if (tracee->output != NULL && tracee->output != &tracee->tracer->output) {
        output_close(tracee->output);
        free(tracee->output);
    }
    free(tracee);
}

void tracer_free(struct tracer *tracer)
{
    while (tracer->tracees != NULL) {
        struct tracee *tracee = tracer->tracees;
        tracer->tracees = tracee->next;
        free_tracee(tracee);
    }
    sites_free(&tracer->sites);
    watches_free(&tracer->watches);
    rules_free(&tracer->rules);
    module_files_free(&tracer->files);
    machines_free(tracer->machines);
}

bool tracer_wants_places(const struct tracer *tracer)
{
    return tracer->sites.wanted_count + tracer->watches.count > 0;
}

/* ---- On the monitor ---- */

static struct record begin_record(struct tracee *tracee, rein_thread *thread, enum rein_cause_kind cause)
{
    struct record record = {.kind = RECORD_CAUSE, .tracee = tracee, .cause = cause, .tid = rein_thread_id(thread)};
    clock_gettime(CLOCK_REALTIME, &record.time);
    return record;
}

static enum rein_verdict note(struct record *record, rein_thread *thread, bool hold)
{
    struct tracer *tracer = record->tracee->tracer;
    bool urgent = hold || record->kind != RECORD_CAUSE || record->cause == REIN_CAUSE_EXEC ||
                  record->cause == REIN_CAUSE_GROUP_STOP ||
                  (record->cause == REIN_CAUSE_PROCESS_EXIT && record->tracee == tracer->first);
    if (hold)
        record->held = rein_thread_ref(thread);
    if (journal_append(&tracer->journal, record, urgent))
        return hold ? REIN_VERDICT_STOP_THREAD : REIN_VERDICT_GO_ON;
    if (hold)
        rein_thread_unref(thread);
    free(record->strings);
    hit_values_free(record->values);
    return REIN_VERDICT_GO_ON;
}

static bool is_far_behind(const struct tracer *tracer)
{
    return atomic_load_explicit(&tracer->journal.waiting, memory_order_relaxed) > FAR_BEHIND;
}

/* A hit: is it to be told, and with how much of the stack? */
static bool ask_rules(struct tracee *tracee, struct site *site, rein_thread *thread, uint64_t hits, size_t *depth,
                      bool *last)
{
    struct rules *rules = &tracee->tracer->rules;
    size_t done = rules->done;
    bool told = false;
    for (struct rule_link *link = atomic_load(&site->rules); link != NULL; link = link->next) {
        bool was_done = rule_is_done(link->rule);
        if (!site_code_is_true(site->code, link->rule, thread, hits))
            continue;
        told |= rule_hit(link->rule, depth);
        rules->done += !was_done && rule_is_done(link->rule);
    }
    *last = rules->done > done && rules->done == rules->count;
    if (tracee->rules_done != rules->done) { /* by this hit, or by another process's */
        tracee->rules_done = rules->done;
        sites_take_out_done(&tracee->sites, tracee->process);
    }
    return told;
}

/* libraries: it is the linker's thread, with libraries that the main thread must see. It is held if there is a record of that. */
static enum rein_verdict note_hit(struct tracee *tracee, struct site *site, rein_thread *thread, uint64_t hits,
                                  bool libraries)
{
    struct tracer *tracer = tracee->tracer;
    enum rein_verdict verdict = REIN_VERDICT_GO_ON;
    size_t depth = 0;
    bool last;
    if (tracer->output.by_thread)
        site_count_thread(site, thread);
    if (ask_rules(tracee, site, thread, hits, &depth, &last) && !tracer->count &&
        (tracer->shown & (1u << REIN_CAUSE_BREAKPOINT))) {
        struct record record = begin_record(tracee, thread, REIN_CAUSE_BREAKPOINT);
        record.site = site;
        record.pc = site->address;
        record.depth = depth;
        record.values = hit_values_read(site->code, thread, hits);
        record.libraries = libraries;
        verdict = note(&record, thread, libraries || depth > 0 || is_far_behind(tracer));
    }
    if (last) {
        struct record record = begin_record(tracee, thread, REIN_CAUSE_BREAKPOINT);
        record.kind = RECORD_LIMITS;
        note(&record, thread, false);
    }
    return verdict;
}

static enum rein_verdict on_hit(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct site *site = arg;
    return note_hit(site->owner, site, thread, rein_breakpoint_hits(breakpoint), false);
}

/* False: it is known already that conditions there have trouble. */
static bool is_new_trouble(struct tracee *tracee, rein_word pc)
{
    for (size_t i = 0; i < tracee->trouble_count; i++)
        if (tracee->troubles[i] == pc)
            return false;
    rein_word *more = reallocarray(tracee->troubles, tracee->trouble_count + 1, sizeof *more);
    if (more == NULL)
        return false;
    tracee->troubles = more;
    tracee->troubles[tracee->trouble_count++] = pc;
    return true;
}

/* A condition could not be evaluated: the program goes on. */
static enum rein_verdict note_trouble(struct tracee *tracee, rein_thread *thread, rein_word pc, const char *trouble,
                                      rein_word address)
{
    if (!is_new_trouble(tracee, pc))
        return REIN_VERDICT_GO_ON;
    struct record record = begin_record(tracee, thread, REIN_CAUSE_BREAKPOINT);
    record.pc = pc;
    record.trouble = trouble;
    record.address = address;
    return note(&record, thread, false);
}

/* The linker's breakpoint serves a site, too: what a breakpoint of the site's own would do is done here. */
static enum rein_verdict note_linker_hit(struct tracee *tracee, struct site *site, rein_thread *thread, bool libraries)
{
    struct rein_evaluation evaluation = REIN_EVALUATION_INIT;
    bool is_true = true;
    if (site_is_done(site))
        return REIN_VERDICT_GO_ON;
    evaluation.hits = ++site->by_linker.executions;
    if (site->code != NULL && site->code->condition != NULL) {
        rein_thread_evaluate(thread, site->code->condition, &evaluation);
        is_true = evaluation.has_value && evaluation.value != 0;
    }
    if (evaluation.trouble != NULL) {
        site->by_linker.errors++;
        return note_trouble(tracee, thread, site->address, evaluation.trouble, evaluation.trouble_address);
    }
    if (!is_true)
        return REIN_VERDICT_GO_ON;
    site->by_linker.hits++;
    return note_hit(tracee, site, thread, evaluation.hits, libraries);
}

static enum rein_verdict on_write(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct watch *watch = arg;
    struct tracee *tracee = watch->owner;
    const struct tracer *tracer = tracee->tracer;
    if (tracer->count || !(tracer->shown & (1u << REIN_CAUSE_WATCHPOINT)))
        return REIN_VERDICT_GO_ON;
    struct record record = begin_record(tracee, thread, REIN_CAUSE_WATCHPOINT);
    record.watch = watch;
    record.pc = cause->pc;
    record.value_known = cause->value_known;
    record.old_value = cause->old_value;
    record.new_value = cause->value;
    return note(&record, thread, is_far_behind(tracer));
}

static enum rein_verdict on_linker(rein_thread *thread, rein_breakpoint *breakpoint, void *arg)
{
    struct tracee *tracee = arg;
    enum rein_verdict verdict = REIN_VERDICT_GO_ON;
    bool libraries = linker_is_consistent(&tracee->linker, tracee->process);
    (void)breakpoint;
    if (tracee->linker_site != NULL)
        verdict = note_linker_hit(tracee, tracee->linker_site, thread, libraries);
    if (!libraries || verdict == REIN_VERDICT_STOP_THREAD) /* the hit's record tells both: the thread goes on once */
        return verdict;
    struct record record = begin_record(tracee, thread, REIN_CAUSE_BREAKPOINT);
    record.kind = RECORD_LIBRARIES;
    return note(&record, thread, true);
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

/* To be freed. Asked here, for it may be gone when the main thread comes to it. */
static char *program_of(rein_process *process)
{
    char path[PATH_MAX];
    return rein_process_program(process, path, sizeof path) == 0 ? strdup(path) : NULL;
}

static enum rein_verdict on_event(rein_thread *thread, const struct rein_cause *cause, void *arg);

/* A new process: what its parent is followed for holds for it. It waits for its breakpoints, if there are to be any. */
static bool note_child(struct record *record, const struct rein_cause *cause)
{
    struct tracee *tracee = record->tracee;
    record->other = cause->child;
    if (cause->new_process == NULL)
        return false;
    record->child = make_tracee(tracee->tracer, cause->new_process);
    if (record->child == NULL) {
        atomic_fetch_add(&tracee->tracer->journal.lost, 1);
        rein_process_detach(cause->new_process, 0);
        return false;
    }
    record->child->parent = tracee->pid;
    rein_process_set_callback(cause->new_process, on_event, record->child);
    if (!(tracee->tracer->shown & (1u << cause->kind)) ||
        rein_process_inner_id(cause->new_process, &record->inner) != 0 || record->inner == record->other)
        record->inner = 0;
    return cause->kind == REIN_CAUSE_FORK && tracer_wants_places(tracee->tracer);
}

static enum rein_verdict on_event(rein_thread *thread, const struct rein_cause *cause, void *arg)
{
    struct tracee *tracee = arg;
    struct tracer *tracer = tracee->tracer;
    struct record record = begin_record(tracee, thread, cause->kind);
    bool is_first = tracee->parent == 0, hold = false;
    switch (cause->kind) {
    case REIN_CAUSE_BREAKPOINT:
        if (cause->trouble == NULL)
            return REIN_VERDICT_POLICY;
        return note_trouble(tracee, thread, cause->pc, cause->trouble, cause->trouble_address);
    case REIN_CAUSE_SIGNAL:
        if (is_first)
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
        if (!(tracer->shown & (1u << REIN_CAUSE_THREAD_EXIT)) && !tracer->output.by_thread)
            break;
        if (rein_thread_name(thread, record.name) != 0)
            record.name[0] = '\0';
        else if (tracer->output.by_thread)
            sites_note_name(&tracee->sites, thread, record.name);
        break;
    case REIN_CAUSE_EXEC:
        tracee->program_number++;
        tracee->linker.notify = 0;
        tracee->trouble_count = 0;
        record.other = cause->former_id;
        record.program = program_of(tracee->process);
        record.arch = rein_process_architecture(tracee->process);
        hold = tracer_wants_places(tracer);
        break;
    case REIN_CAUSE_FORK:
    case REIN_CAUSE_VFORK:
        hold = note_child(&record, cause);
        break;
    case REIN_CAUSE_SYSCALL_ENTRY:
        record.strings = calls_read_strings(thread, &cause->syscall);
        record.syscall = cause->syscall;
        break;
    case REIN_CAUSE_SYSCALL_EXIT:
        record.syscall = cause->syscall;
        hold = is_far_behind(tracer);
        break;
    case REIN_CAUSE_GROUP_STOP:
        record.number = cause->signal.number;
        if (is_first)
            record.conts = jobs_program_stopped(&tracer->jobs);
        break;
    case REIN_CAUSE_PROCESS_EXIT:
        record.exit = cause->exit;
        break;
    default:
        return REIN_VERDICT_POLICY;
    }
    return note(&record, thread, hold);
}

struct set_request {
    struct tracee *tracee;
    unsigned program_number;
    struct linker linker;
};

static void set_linker_breakpoint(struct tracee *tracee, const struct linker *linker)
{
    struct rein_breakpoint_options options = REIN_BREAKPOINT_OPTIONS_INIT;
    options.flags = REIN_BREAKPOINT_WHILE_RUNNING;
    options.callback = on_linker;
    options.arg = tracee;
    rein_breakpoint_unref(tracee->linker_breakpoint);
    tracee->linker_breakpoint = NULL;
    tracee->linker_site = NULL;
    tracee->linker = *linker;
    if (linker->notify != 0 &&
        rein_process_add_breakpoint(tracee->process, linker->notify, &options, &tracee->linker_breakpoint) != 0)
        tracee->linker.notify = 0;
}

/* In one step with respect to events: if another program was executed meanwhile, nothing that was found out about the
 * one before must be put into it. */
static int set_on_monitor(void *arg)
{
    struct set_request *request = arg;
    struct tracee *tracee = request->tracee;
    if (tracee->program_number != request->program_number)
        return 0;
    if (tracee->linker.notify == 0)
        set_linker_breakpoint(tracee, &request->linker);
    sites_set(&tracee->sites, tracee->process, on_hit, tracee->linker.notify);
    watches_set(&tracee->watches, tracee->process, on_write);
    if (tracee->linker.notify != 0 && tracee->linker_site == NULL)
        tracee->linker_site = sites_at(&tracee->sites, tracee->linker.notify);
    return 0;
}

/* ---- On the main thread ---- */

static void select_output(struct tracee *tracee)
{
    tracee->output->pid = tracee->pid;
    tracee->output->parent = tracee->parent;
    tracee->output->modules = &tracee->modules;
}

/* -ff: a file for each process. */
static void open_own_output(struct tracee *tracee)
{
    struct tracer *tracer = tracee->tracer;
    if (tracer->files_named == NULL)
        return;
    struct output *own = cli_alloc(1, sizeof *own);
    char *path = cli_format("%s.%d", tracer->files_named, tracee->pid);
    output_like(own, &tracer->output);
    if (output_open(own, path)) {
        tracee->output = own;
    } else {
        cli_error("%s: %s", path, strerror(errno));
        free(own);
    }
    free(path);
    select_output(tracee);
}

void tracer_hold(struct tracer *tracer)
{
    struct tracee *tracee = tracer->first;
    tracee->pid = tracee->modules.pid = rein_process_id(tracee->process);
    tracer->jobs.monitor = rein_monitor_id(tracer->monitor);
    rein_process_set_policy(tracee->process, REIN_CAUSE_COUNT, REIN_IGNORE);
    rein_process_set_callback(tracee->process, on_event, tracee);
    if (tracer->follows)
        rein_process_set_follow(tracee->process, REIN_FOLLOW_BOTH, 0);
    open_own_output(tracee);
    select_output(tracee);
    if (tracer->calls.wanted && calls_trace(&tracer->calls, tracee->process) != 0)
        output_warning(tracee->output, "%s", rein_error_message());
}

/* The file that a location names, if it is mapped: then no other can bring what it lacks. */
static const struct module *named_module(const struct tracee *tracee, const struct location *location)
{
    if (location->file != NULL && location->kind != LOCATION_LINE)
        for (size_t i = 0; i < tracee->modules.count; i++)
            if (location_names_file(location->file, tracee->modules.items[i]->path))
                return tracee->modules.items[i];
    return NULL;
}

/* Could a library that is loaded later, or another program, bring what is missing? */
static bool can_appear(const struct tracee *tracee, const struct location *location, const struct linker *linker)
{
    if (location->file != NULL && location->kind != LOCATION_LINE)
        return named_module(tracee, location) == NULL;
    return linker->loads_at_start;
}

static char *missing_text(struct tracee *tracee, const struct location *location, bool never)
{
    const struct module *module = named_module(tracee, location);
    const char *what = location->kind == LOCATION_SYMBOL ? "symbol"
                       : location->kind == LOCATION_LINE ? "source line"
                                                         : "code";
    char *near = sites_near_misses(&tracee->sites, location), *text;
    if (never && sites_is_inlined(&tracee->sites, location))
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
                          sites_is_inlined(&tracee->sites, location) ? "; a function of that name was inlined" : "");
    free(near);
    return text;
}

/* Tells what is odd about a location, once. False if it can never be. */
static bool tell_location(struct tracee *tracee, struct wanted *wanted, const struct linker *linker, bool may_fail)
{
    bool missing = wanted->found == 0 && wanted->ifunc == NULL;
    bool never = missing && (wanted->is_wrong || !can_appear(tracee, &wanted->location, linker));
    if (tracee->starting && !never) /* let it start first */
        return true;
    if (wanted->note == NULL && missing && !wanted->warned) {
        wanted->note = missing_text(tracee, &wanted->location, never);
        wanted->is_wrong = never;
    }
    if (wanted->note != NULL && !wanted->note_told && !(wanted->is_wrong && !missing)) {
        wanted->note_told = wanted->warned = true;
        if (never && may_fail)
            cli_error("%s", wanted->note);
        else
            output_warning(tracee->output, "%s", wanted->note);
    }
    return !never;
}

/* The same of a variable. */
static bool tell_watch(struct tracee *tracee, struct watch *watch, const struct linker *linker, bool may_fail)
{
    bool never = !watch->found && (watch->is_wrong || !can_appear(tracee, &watch->location, linker));
    if (watch->is_set || watch->told || (tracee->starting && !never && !watch->found))
        return true;
    if (!watch->found && watch->failure == NULL)
        watch->failure = never ? cli_format("no such variable in the program, and no library can bring it")
                               : cli_format("no such variable yet; waiting for a library that has it");
    if (!watch->found && watch->is_silent)
        return true;
    bool fatal = may_fail && (never || watch->found); /* or it was found, and cannot be watched */
    if (watch->found && watch->failure == NULL)       /* not tried yet */
        return true;
    watch->told = true;
    if (fatal)
        cli_error("-w %s: %s", watch->text, watch->failure);
    else
        output_warning(tracee->output, "-w %s: %s", watch->text, watch->failure);
    return !fatal;
}

/* Can what is asked of a location's hits be evaluated at none of its sites? That is told. */
static bool is_impossible(const struct sites *sites, const struct wanted *wanted)
{
    const struct site *wrong = NULL;
    for (size_t i = 0; i < sites->count; i++) {
        const struct site *site = sites->items[i];
        bool is_its = false;
        for (const struct rule_link *link = atomic_load(&site->rules); link != NULL; link = link->next)
            is_its |= link->rule == wanted->rule;
        if (is_its && (site->module != NULL || site->path == NULL) && !site->is_impossible)
            return false;
        if (is_its && site->is_impossible)
            wrong = site;
    }
    if (wrong != NULL)
        cli_error("%s", wrong->failure);
    return wrong != NULL;
}

/* Tells what is odd, once. False if something can never be. */
static bool tell_missing(struct tracee *tracee, const struct linker *linker, bool may_fail)
{
    bool possible = true;
    for (size_t i = 0; i < tracee->sites.wanted_count; i++) {
        if (!tell_location(tracee, &tracee->sites.wanted[i], linker, may_fail))
            possible = false;
        if ((may_fail || tracee->is_untouched) && is_impossible(&tracee->sites, &tracee->sites.wanted[i])) {
            possible = false;
            tracee->tracer->refused = true;
        }
    }
    for (size_t i = 0; i < tracee->watches.count; i++)
        if (!tell_watch(tracee, tracee->watches.items[i], linker, may_fail))
            possible = false;
    for (size_t i = 0; i < tracee->sites.count && !tracee->starting && !tracee->tracer->refused; i++) {
        struct site *site = tracee->sites.items[i];
        if (site->failure == NULL || site->told)
            continue;
        site->told = true;
        if (site->is_impossible)
            output_warning(tracee->output, "%s", site->failure);
        else
            output_warning(tracee->output, "%s: %s", site->location, site->failure);
    }
    return possible;
}

bool tracer_prepare(struct tracee *tracee)
{
    struct linker linker;
    linker_find(&tracee->modules, NULL, &linker);
    tracee->sites.complete = false; /* what an indirect function came to can only be seen in its memory */
    sites_resolve(&tracee->sites, NULL);
    watches_resolve(&tracee->watches);
    return tell_missing(tracee, &linker, true);
}

/* After a scan: resolves and sets. */
static bool update(struct tracee *tracee, bool may_fail)
{
    struct set_request request = {.tracee = tracee, .program_number = tracee->program_number};
    if (!tracer_wants_places(tracee->tracer))
        return true;
    linker_find(&tracee->modules, tracee->process, &request.linker);
    if (tracee->starting && !request.linker.loads_at_start)
        tracee->starting = false;
    tracee->sites.complete = !tracee->starting;
    sites_resolve(&tracee->sites, tracee->process);
    watches_resolve(&tracee->watches);
    sites_make_code(&tracee->sites, machine_of(&tracee->tracer->machines, tracee->process), tracee->starting);
    rein_monitor_call(tracee->tracer->monitor, set_on_monitor, &request);
    return tell_missing(tracee, &request.linker, may_fail) || !may_fail;
}

bool tracer_begin_program(struct tracee *tracee, bool at_exec)
{
    tracee->starting = tracee->is_untouched = at_exec;
    bool possible = modules_scan(&tracee->modules) ? update(tracee, true) : true;
    tracee->is_untouched &= tracee->starting; /* a static program is about to run: there is no linker that runs first */
    for (size_t i = 0; i < tracee->sites.count; i++)
        tracee->sites.items[i]->told = true;
    return possible;
}

static void tell_new_sites(struct tracee *tracee)
{
    for (size_t i = 0; i < tracee->sites.count; i++) {
        struct site *site = tracee->sites.items[i];
        if (!site->is_set || site->told)
            continue;
        site->told = true;
        output_location(tracee->output, site);
    }
}

static void libraries_changed(struct tracee *tracee)
{
    bool was_starting = tracee->starting;
    tracee->starting = false;
    if (!modules_scan(&tracee->modules)) /* it is gone, or it may not be looked into any more */
        return;
    update(tracee, false);
    tracee->is_untouched = false;
    if (was_starting) /* found where they were expected: nothing to tell */
        for (size_t i = 0; i < tracee->sites.count; i++)
            tracee->sites.items[i]->told = true;
    tell_new_sites(tracee);
}

static void program_executed(struct tracee *tracee, const struct record *record)
{
    calls_rename(&tracee->tracer->calls, record->other, record->tid);
    modules_reset(&tracee->modules);
    sites_forget_program(&tracee->sites);
    watches_forget_program(&tracee->watches);
    tracee->is_untouched = false;
    tracee->starting = true;
    bool seen = modules_scan(&tracee->modules);
    output_record(tracee->output, record, NULL, tracee->tracer->shown & (1u << record->cause));
    if (seen)
        update(tracee, false);
}

/* An address that is in nothing known may be in a library that was loaded since. */
static void know_place(struct tracee *tracee, rein_word pc)
{
    struct timespec now;
    if (pc == 0 || modules_at(&tracee->modules, pc) != NULL)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == tracee->last_scan) /* compiled at run time, then: not every time */
        return;
    tracee->last_scan = now.tv_sec;
    if (modules_scan(&tracee->modules))
        update(tracee, false);
}

/* A call is written when it is over: one line, whatever comes between. */
static void take_call(struct tracee *tracee, const struct record *record)
{
    struct calls *calls = &tracee->tracer->calls;
    struct call call = {
        .tid = record->tid, .time = record->time, .syscall = record->syscall, .strings = record->strings};
    if (record->cause == REIN_CAUSE_SYSCALL_ENTRY) {
        calls_enter(calls, &call);
        return;
    }
    calls_leave(calls, record->tid, &record->syscall, &call);
    call.returned = true;
    output_call(tracee->output, &call);
    free(call.strings);
}

/* The thread ends in its call. */
static void tell_last_call(struct tracee *tracee, int tid)
{
    struct call call;
    if (!calls_leave(&tracee->tracer->calls, tid, NULL, &call))
        return;
    output_call(tracee->output, &call);
    free(call.strings);
}

/* The process, and the thread that has made it, go on when its breakpoints are there. A vfork child has its parent's. */
static void process_made(struct tracee *child, const struct record *record)
{
    const struct tracee *parent = record->tracee;
    add_tracee(child);
    open_own_output(child);
    child->starting = parent->starting;
    bool is_copy = record->cause != REIN_CAUSE_VFORK;
    if (is_copy && tracer_wants_places(child->tracer) && modules_scan(&child->modules)) {
        update(child, false);
        for (size_t i = 0; i < child->sites.count; i++)
            child->sites.items[i]->told = true;
    }
    if (record->held != NULL)
        rein_process_continue(child->process);
}

static void process_exited(struct tracee *tracee, const struct record *record)
{
    struct tracer *tracer = tracee->tracer;
    tracee->ended = true;
    tracer->ends++;
    if (tracee == tracer->first || (tracer->shown & (1u << REIN_CAUSE_PROCESS_EXIT)))
        output_ended(tracee->output, &record->exit);
    if (tracee == tracer->first)
        return;
    if (tracee->output != &tracer->output)
        output_summary(tracee->output, &tracee->sites, &tracee->watches);
    sites_give_hits(&tracee->sites, &tracer->sites);
    watches_give_hits(&tracee->watches, &tracer->watches);
    for (struct tracee **at = &tracer->tracees; *at != NULL; at = &(*at)->next) {
        if (*at != tracee)
            continue;
        *at = tracee->next;
        break;
    }
    free_tracee(tracee);
}

/* Does the stack end where no code was when it was looked last? Then it may be new: made at run time, or a library. It is
 * not looked for again if it was in vain. */
static bool ends_in_new_code(struct tracee *tracee, const struct stack *stack)
{
    uint64_t pc = stack->count == 0 ? 0 : stack->frames[stack->count - 1].pc;
    if (stack->end != STACK_LOST || pc == tracee->no_code || modules_is_executable(&tracee->modules, pc))
        return false;
    tracee->no_code = pc;
    return modules_scan(&tracee->modules) && (update(tracee, false), modules_is_executable(&tracee->modules, pc));
}

static void tell_with_stack(struct tracee *tracee, const struct record *record)
{
    struct stack stack = {.end = STACK_LOST, .why = "the thread could not be held"};
    if (record->held != NULL)
        stack_read(&tracee->modules, record->held, record->depth, &stack);
    while (ends_in_new_code(tracee, &stack)) {
        stack_clear(&stack);
        stack_read(&tracee->modules, record->held, record->depth, &stack);
    }
    output_record(tracee->output, record, &stack, true);
    stack_clear(&stack);
}

static void tell_trouble(struct tracee *tracee, const struct record *record)
{
    const struct rein_cause cause = {.kind = REIN_CAUSE_BREAKPOINT,
                                     .pc = record->pc,
                                     .trouble = record->trouble,
                                     .trouble_address = record->address};
    const struct site *site = sites_at(&tracee->sites, record->pc);
    char text[256];
    rein_cause_text(&cause, text, sizeof text);
    output_warning(tracee->output, "%s: %s; it counts as false, and this is told once",
                   site == NULL ? "?" : site->location, text);
}

static void take_event(struct tracee *tracee, const struct record *record)
{
    struct tracer *tracer = tracee->tracer;
    bool shown = tracer->shown & (1u << record->cause);
    if (record->cause == REIN_CAUSE_EXEC) {
        program_executed(tracee, record);
        return;
    }
    if (record->cause == REIN_CAUSE_PROCESS_EXIT) {
        process_exited(tracee, record);
        return;
    }
    if (record->cause == REIN_CAUSE_SYSCALL_ENTRY || record->cause == REIN_CAUSE_SYSCALL_EXIT) {
        take_call(tracee, record);
        return;
    }
    if (record->trouble != NULL) {
        tell_trouble(tracee, record);
        return;
    }
    if (record->cause == REIN_CAUSE_SIGNAL || record->cause == REIN_CAUSE_WATCHPOINT)
        know_place(tracee, record->pc);
    if (record->cause == REIN_CAUSE_THREAD_EXIT)
        tell_last_call(tracee, record->tid);
    if (record->depth > 0 && shown)
        tell_with_stack(tracee, record);
    else
        output_record(tracee->output, record, NULL, shown);
    if (record->child != NULL)
        process_made(record->child, record);
    if (record->cause == REIN_CAUSE_GROUP_STOP && tracer->jobs.has_program && tracee == tracer->first) {
        output_flush(tracee->output);
        jobs_stop_with_program(&tracer->jobs, tracer->monitor, record->number, record->conts);
    }
}

void tracer_take(struct tracer *tracer, const struct record *record)
{
    struct tracee *tracee = record->tracee;
    select_output(tracee);
    if (record->kind == RECORD_LIBRARIES)
        libraries_changed(tracee);
    else if (record->kind == RECORD_LIMITS)
        tracer->told_to_end |= tracer->ends_at_limits;
    else
        take_event(tracee, record); /* it may be gone then */
    if (record->libraries)
        libraries_changed(tracee);
    free(record->program);
    hit_values_free(record->values);
    if (record->held != NULL && !tracer->refused)
        rein_thread_continue(record->held);
    rein_thread_unref(record->held);
}

void tracer_finish(struct tracer *tracer, const struct rein_exit *how)
{
    for (struct tracee *tracee = tracer->tracees, *next; tracee != NULL; tracee = next) {
        next = tracee->next;
        select_output(tracee);
        if (how != NULL && tracee == tracer->first && !tracee->ended)
            output_ended(tracee->output, how);
        else if (!tracee->ended && !tracer->failed)
            output_detached(tracee->output);
        if (tracee->output != &tracer->output)
            output_summary(tracee->output, &tracee->sites, &tracee->watches);
        sites_give_hits(&tracee->sites, &tracer->sites);
        watches_give_hits(&tracee->watches, &tracer->watches);
    }
    select_output(tracer->first);
    if (atomic_load(&tracer->journal.lost) > 0)
        output_warning(&tracer->output, "out of memory: %lu events are missing above",
                       atomic_load(&tracer->journal.lost));
    if (tracer->files_named == NULL)
        output_summary(&tracer->output, &tracer->sites, &tracer->watches);
}
