/* Many single-steps for one request: so many, as long as the pc is in a range, until a predicate says so. Each step is what
 * rein_thread_step's is (breakpoint.c); where one ends and nothing stops the thread (end_step in event.c), the next begins on
 * the monitor, and the caller hears of the last only. In between the thread is SingleStepping to everybody, so that whoever
 * stops it ends the run with that.
 *
 * An instruction that changes registers only is executed here, on the thread's (the architecture's prepare and emulate, as at
 * breakpoints): no stop, and no call of the kernel's.
 *
 * Of each instruction the code is wanted, to know what its step takes (a system call, popf, ...). After the first few a page
 * of a file that cannot be written is read once, and is what it was until somebody makes a system call: the thread itself,
 * or another that has run since, in this process or in one that shares the memory. */
#include <stdlib.h>
#include <string.h>

#include "engine/process.h"

static bool is_in_range(const struct rein_step_options *options, uint64_t pc)
{
    return pc >= options->low && (pc < options->high || !options->high);
}

/* Still of that process, which is not let go. */
static bool is_held(const rein_thread *thread, const rein_process *process)
{
    return thread_owner(thread) == process && process->condition == PROCESS_HELD;
}

/* Has the predicate had enough? It finds the thread stopped. */
static bool ask(rein_thread *thread, const struct rein_step_options *options)
{
    rein_process *process = thread_owner(thread);
    bool stop_was_wanted = process->stop_wanted;
    if (!thread_change(thread, TRANSITION_STEP_DONE))
        return true;
    thread_set_cause(thread, &(struct rein_cause){.kind = REIN_CAUSE_STEP});
    if (!thread_extra(thread)->steps) /* the monitor has failed by that, and the caller has his answer: they are gone */
        return true;
    bool enough = options->until(thread, options->arg);
    /* It may have let the process go, or continued the thread by itself. */
    if (is_held(thread, process) && thread->state == REIN_STATE_STOPPED_STEP)
        thread_change(thread, TRANSITION_STEP);
    return enough || process->stop_wanted != stop_was_wanted;
}

bool steps_go_on(rein_thread *thread, uint64_t pc)
{
    struct steps *steps = thread_extra(thread)->steps;
    if (!steps || thread->state != REIN_STATE_SINGLE_STEPPING || !is_held(thread, steps->request.process))
        return false;
    const struct rein_step_options *options = steps->options;
    bool enough = (options->count && steps->done >= options->count) || !is_in_range(options, pc);
    if (options->until && ask(thread, options))
        enough = true;
    if (thread->state != REIN_STATE_SINGLE_STEPPING)
        return true; /* by the predicate's doing */
    if (!enough)
        thread_make_ready(thread);
    return !enough;
}

/* ---- The code ---- */

/* How often others of the process have been let run, counted from any time before these steps. */
static uint64_t runs_of_others(const rein_thread *thread, const struct steps *steps)
{
    return thread->process->runs - steps->runs;
}

/* What is in the page, and that it cannot be written, may still be so. */
static bool is_as_it_was(const rein_thread *thread, const struct steps *steps)
{
    const rein_process *process = thread->process;
    return steps->changes == process->breakpoints.changes && steps->runs_of_others == runs_of_others(thread, steps) &&
           !process->has_sharers && !process->in_foreign_memory && !thread->guest;
}

void steps_forget_code(rein_thread *thread)
{
    struct steps *steps = thread_extra(thread)->steps;
    if (steps)
        steps->page_seen = steps->code_known = false;
}

enum { FEW = 4 }; /* steps, in which the looking costs more than it spares */

size_t steps_read_code(rein_thread *thread, uint64_t pc, unsigned char *code, size_t size)
{
    rein_process *process = thread->process;
    const struct os_backend *os = process->os;
    struct steps *steps = thread_extra(thread)->steps;
    uint64_t page = pc - pc % sizeof steps->code, skip = pc - page;
    /* Nobody else is running, who might change it at any time; and it is not over after a few. */
    bool whole = steps && steps->done >= FEW && skip + size <= sizeof steps->code && !process->code_runners;
    if (whole && !is_as_it_was(thread, steps))
        steps_forget_code(thread);
    if (whole && steps->code_known && steps->page == page) {
        memcpy(code, steps->code + skip, size);
        return size;
    }
    if (whole && (!steps->page_seen || steps->page != page)) {
        steps->page_seen = true;
        steps->code_known = false;
        steps->changes = process->breakpoints.changes;
        steps->runs_of_others = runs_of_others(thread, steps);
        steps->page = page;
        steps->is_fixed = os->is_fixed_code(thread->id, pc) == 1;
    }
    if (whole && steps->is_fixed) {
        int64_t got = os->read(&process->memory, thread->id, page, steps->code, sizeof steps->code);
        steps->code_known = got == (int64_t)sizeof steps->code;
        if (steps->code_known) {
            breakpoints_hide(process, page, steps->code, sizeof steps->code);
            memcpy(code, steps->code + skip, size);
            return size;
        }
    }
    int64_t got = os->read(&process->memory, thread->id, pc, code, size);
    if (got > 0)
        breakpoints_hide(process, pc, code, (size_t)got);
    return got > 0 ? (size_t)got : 0;
}

/* ---- Steps that rein makes itself ---- */

enum { EMULATED_MAX = 64 }; /* in a row: then the program's signals have their chance, and other requests */

static bool no_read(void *arg, uint64_t address, void *buffer, size_t size)
{
    (void)arg, (void)address, (void)buffer, (void)size;
    return false;
}

static bool no_write(void *arg, uint64_t address, const void *data, size_t size)
{
    (void)arg, (void)address, (void)data, (void)size;
    return false;
}

static enum arch_branch_checks no_checks(void *arg, uint64_t address)
{
    (void)arg, (void)address;
    return ARCH_BRANCHES_UNKNOWN;
}

/* Nobody can be told by it that it was not the thread: not a watchpoint, nor the trap flag of a program that steps itself, nor
 * a breakpoint at the instruction; and the kernel is not about to make a system call again, by what is in the registers. */
static bool may_emulate(const rein_thread *thread, const struct arch_registers *registers)
{
    rein_process *process = thread->process;
    const struct thread_extra *extra = thread_extra(thread);
    return registers->arch->prepare && !process->monitor->steps_over && !extra->step_call && !thread->deliver &&
           !extra->held && !thread->skip && !extra->shown_count && !extra->calls && !watch_is_armed(extra->watched) &&
           list_empty(&process->watchpoints.list) && !breakpoint_find(process, arch_pc(registers)) &&
           !registers->arch->uses_step_flag(registers);
}

bool steps_emulate(rein_thread *thread, unsigned made)
{
    struct steps *steps = thread_extra(thread)->steps;
    struct arch_registers registers;
    struct arch_plan plan;
    unsigned char code[ARCH_INSTRUCTION_MAX];
    const struct arch_memory none = {no_read, no_write, NULL, no_checks};
    if (made >= EMULATED_MAX || thread->state != REIN_STATE_SINGLE_STEPPING || !steps ||
        thread_get_registers(thread, &registers) || !may_emulate(thread, &registers))
        return false;
    size_t size = steps_read_code(thread, arch_pc(&registers), code, sizeof code);
    if (!size || registers.arch->prepare(code, size, &plan) != ARCH_PLAN_REGISTERS ||
        !registers.arch->emulate(&plan, &registers, &none))
        return false;
    steps->done++; /* first: if the monitor fails by what follows, they are gone */
    thread_keep_registers(thread, &registers);
    thread_note_run(thread); /* as if it had run, and stopped there */
    thread->stop_clock = thread->process->breakpoints.clock;
    return true;
}

/* ---- What callers ask ---- */

/* Those that were only begun belong to nobody else. */
static void finish_steps(struct steps *steps, int result)
{
    rein_thread *thread = steps->begun ? steps->request.thread : NULL;
    request_finish(&steps->request, result);
    if (!thread)
        return;
    free(steps);
    rein_thread_unref(thread);
}

static bool steps_ready(struct request *request)
{
    struct steps *steps = LIST_ENTRY(request, struct steps, request);
    rein_thread *thread = request->thread;
    struct error why = request->error;
    /* The one that was asked: a vfork child that is let go is no longer the thread's. */
    int result = process_check(request->process, &request->error);
    if (!result && rein_state_is_running(thread->state)) {
        /* It cannot stop now, or another caller has had it run on. */
        bool in_vain = thread->state != REIN_STATE_STOPPING || thread->stuck || thread->in_vfork;
        if (!steps->given_up || !in_vain)
            return false;
    }
    if (thread_extra(thread)->steps == steps)
        thread->extra->steps = NULL;
    if (!result && steps->given_up) {
        request->error = why;
        result = why.code;
    }
    if (!steps->begun)
        process_note_heard(request->process);
    finish_steps(steps, result);
    return true;
}

/* The time limit has passed, or the wait was cancelled: it ends with the instruction that is under way. */
static void give_up_steps(struct request *request)
{
    struct steps *steps = LIST_ENTRY(request, struct steps, request);
    rein_thread *thread = request->thread;
    if (steps->given_up)
        return;
    steps->given_up = true;
    if (!request->error.code)
        error_set(&request->error, REIN_TIMEOUT, "Thread %d has made %llu steps when the time limit passed", thread->id,
                  (unsigned long long)steps->done);
    if (list_empty(&request->waiting)) /* it was cancelled before it waited */
        list_append(&request->process->waiting, &request->waiting);
    if (thread_extra(thread)->steps == steps) {
        thread_ask_stop(thread);
        if (!thread_extra(thread)->steps) /* the monitor has failed by that */
            return;
    }
    steps_ready(request);
}

static void fail_steps(struct request *request)
{
    struct steps *steps = LIST_ENTRY(request, struct steps, request);
    if (thread_extra(request->thread)->steps == steps)
        request->thread->extra->steps = NULL;
    finish_steps(steps, REIN_MONITOR_FAILED);
}

static bool begin_steps(struct request *request, struct steps *steps)
{
    struct error ignored; /* who shares the memory may change the code: then it is read again for each step */
    rein_thread *thread = request->thread;
    if (thread_begin_step(request, steps))
        return false;
    if (atomic_load(&request->monitor->condition) == MONITOR_FAILED) { /* by that */
        thread->extra->steps = NULL;
        request->error = request->monitor->failure;
        request_finish(request, REIN_MONITOR_FAILED);
        return false;
    }
    if (request->process->unsearched)
        attach_take_sharers(request->process, &ignored);
    request->process->unsearched = false; /* once: a breakpoint would look again */
    return true;
}

static void run_steps(struct request *request)
{
    if (begin_steps(request, LIST_ENTRY(request, struct steps, request)))
        request_wait(request);
}

/* The caller's request ends now; that of the steps stays, of which nobody waits. */
static void run_begin(struct request *request)
{
    struct steps *steps = request->out;
    if (!begin_steps(request, steps))
        return;
    steps->begun = true;
    steps->request.monitor = request->monitor;
    steps->request.on_monitor = true;
    rein_thread_ref(request->thread);
    list_append(&request->process->waiting, &steps->request.waiting);
    request_finish(request, 0);
}

/* Begins what has been asked for, with a copy of it. */
static int begin_and_return(const struct steps *asked)
{
    struct begun {
        struct steps steps;
        struct rein_step_options options;
    } *begun = malloc(sizeof *begun);
    rein_thread *thread = asked->request.thread;
    if (!begun)
        return error_fail(REIN_NO_MEMORY, "no memory for steps of thread %d", thread->id);
    begun->steps = *asked;
    begun->options = *asked->options;
    begun->steps.options = &begun->options;
    begun->steps.request.cancellable = false;
    list_init(&begun->steps.request.waiting);
    struct request request = {.run = run_begin,
                              .begin_only_on_monitor = true,
                              .process = asked->request.process,
                              .thread = thread,
                              .flags = asked->request.flags,
                              .out = &begun->steps};
    int result = monitor_submit(asked->request.process->monitor, &request, -1);
    if (result)
        free(begun); /* it has not begun */
    return result;
}

int rein_thread_step_many(rein_thread *thread, const struct rein_step_options *options, int timeout_ms, uint64_t *done)
{
    if (done)
        *done = 0;
    if (!thread || !options || options->size != sizeof *options ||
        (options->flags & ~(unsigned)(REIN_STEP_DELIVER | REIN_STEP_BEGIN)))
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_step_many: thread is NULL, or options are not "
                                                 "initialised with REIN_STEP_OPTIONS_INIT, or have unknown flags");
    if (options->high && options->low > options->high)
        return error_fail(REIN_INVALID_ARGUMENT, "rein_thread_step_many: the range ends at 0x%llx, before it begins",
                          (unsigned long long)options->high);
    struct rein_step_options wanted = *options;
    wanted.low = process_address(thread_owner(thread), options->low);
    wanted.high = process_address(thread_owner(thread), options->high);
    struct steps steps = {
        .request = {.run = run_steps,
                    .ready = steps_ready,
                    .give_up = give_up_steps,
                    .fail = fail_steps,
                    .process = thread_owner(thread),
                    .thread = thread,
                    .flags = options->flags & REIN_STEP_DELIVER,
                    .cancellable = true},
        .options = &wanted,
    };
    if (options->flags & REIN_STEP_BEGIN)
        return begin_and_return(&steps);
    int result = monitor_submit(thread_owner(thread)->monitor, &steps.request, timeout_ms ? timeout_ms : 1);
    if (done)
        *done = steps.done;
    return result;
}
