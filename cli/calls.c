/* Names, numbers, values. What a number means depends on the architecture that the call was made for; the kernel's name
 * of x32 is amd64's with a bit in the number, which libseccomp has as an architecture of its own. */
#include "calls.h"

#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "signatures.h"

#define X32_BIT 0x40000000

struct known_arch {
    const char *name;
    uint32_t kernel, seccomp;
};

/* That a program on this machine can make calls for. */
static const struct known_arch known[] = {
#if defined(__x86_64__) || defined(__i386__)
    {"amd64", SCMP_ARCH_X86_64, SCMP_ARCH_X86_64},
    {"i386", SCMP_ARCH_X86, SCMP_ARCH_X86},
    {"x32", SCMP_ARCH_X86_64, SCMP_ARCH_X32},
#elif defined(__aarch64__)
    {"arm64", SCMP_ARCH_AARCH64, SCMP_ARCH_AARCH64},
    {"arm", SCMP_ARCH_ARM, SCMP_ARCH_ARM},
#endif
};
enum { KNOWN_COUNT = sizeof known / sizeof known[0] };

static bool is_x32(uint32_t arch, int64_t number)
{
    return arch == SCMP_ARCH_X86_64 && number >= 0 && (number & X32_BIT) != 0;
}

static const struct known_arch *arch_of(const struct rein_syscall *syscall)
{
    uint32_t seccomp = is_x32(syscall->arch, syscall->number) ? SCMP_ARCH_X32 : syscall->arch;
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (known[i].seccomp == seccomp)
            return &known[i];
    return NULL;
}

/* ---- Which are wanted ---- */

static void add(struct calls *calls, uint32_t arch, int number)
{
    calls->ids = cli_grow(calls->ids, calls->count, sizeof *calls->ids);
    calls->ids[calls->count++] = (struct rein_syscall_id){arch, (uint32_t)number};
}

/* False: no architecture has one of that name. */
static bool add_name(struct calls *calls, const char *name)
{
    bool found = false;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        int number = seccomp_syscall_resolve_name_arch(known[i].seccomp, name);
        if (number < 0) /* libseccomp's own number for one that only others have */
            continue;
        add(calls, known[i].kernel, number);
        found = true;
    }
    return found;
}

static bool add_class(struct calls *calls, const char *name)
{
    static const struct {
        const char *name;
        enum call_class class;
    } classes[] = {{"file", CALL_FILE},
                   {"process", CALL_PROCESS},
                   {"network", CALL_NETWORK},
                   {"memory", CALL_MEMORY},
                   {"signal", CALL_SIGNAL}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(classes[i].name, name) != 0)
            continue;
        for (size_t k = 0; k < signature_count; k++)
            if (signatures[k].classes & classes[i].class)
                add_name(calls, signatures[k].name);
        return true;
    }
    return false;
}

static bool add_number(struct calls *calls, const char *text)
{
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > INT32_MAX)
        return false;
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (known[i].kernel == known[i].seccomp)
            add(calls, known[i].kernel, (int)number);
    return true;
}

bool calls_parse(struct calls *calls, const char *list, char **wrong)
{
    char *copy = cli_copy(list), *rest = copy, *name;
    *wrong = NULL;
    calls->wanted = true;
    while (*wrong == NULL && (name = strsep(&rest, ",")) != NULL) {
        if (strcmp(name, "all") == 0)
            calls->all = true;
        else if (!(name[0] == '%' ? add_class(calls, name + 1) : add_number(calls, name) || add_name(calls, name)))
            *wrong = cli_copy(name);
    }
    free(copy);
    return *wrong == NULL;
}

int calls_trace(const struct calls *calls, rein_process *process)
{
    return rein_process_trace_syscalls(process, REIN_SYSCALL_ENTRIES | REIN_SYSCALL_EXITS,
                                       calls->all ? NULL : calls->ids, calls->all ? 0 : calls->count);
}

void calls_free(struct calls *calls)
{
    for (size_t i = 0; i < calls->pending_count; i++)
        free(calls->pending[i].strings);
    free(calls->pending);
    free(calls->ids);
    *calls = (struct calls){.wanted = false};
}

/* ---- Names and values ---- */

char *calls_name(const struct rein_syscall *syscall)
{
    const struct known_arch *arch = arch_of(syscall);
    return arch == NULL ? NULL : seccomp_syscall_resolve_num_arch(arch->seccomp, (int)syscall->number);
}

const char *calls_arch_name(const struct rein_syscall *syscall)
{
    const struct known_arch *arch = arch_of(syscall);
    return arch == NULL ? "?" : arch->name;
}

size_t calls_arg_count(const struct rein_syscall *syscall, const char *name)
{
    const struct signature *signature = signature_of(name);
    if (!syscall->entry_seen)
        return 0;
    return signature == NULL ? CALL_ARGS : signature->arg_count;
}

int64_t calls_value(rein_word value)
{
    const rein_word first_negative = 0xfffff000;
    return value >= first_negative && value <= UINT32_MAX ? (int32_t)value : (int64_t)value;
}

const char *calls_error_name(int error)
{
    static const char *const restarts[] = {"ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ENOIOCTLCMD",
                                           "ERESTART_RESTARTBLOCK"};
    enum { RESTART_FIRST = 512, RESTART_COUNT = sizeof restarts / sizeof restarts[0] };
    if (error >= RESTART_FIRST && error < RESTART_FIRST + RESTART_COUNT)
        return restarts[error - RESTART_FIRST];
    return strerrorname_np(error);
}

/* ---- Strings ---- */

struct call_strings *calls_read_strings(rein_thread *thread, const struct rein_syscall *syscall)
{
    char *name = calls_name(syscall);
    const struct signature *signature = signature_of(name);
    struct call_strings *strings = NULL;
    if (signature != NULL && signature->strings != 0)
        strings = calloc(1, sizeof *strings);
    for (unsigned i = 0; strings != NULL && i < CALL_ARGS; i++) {
        char *text = strings->of[i].text;
        size_t size = 0;
        if (!(signature->strings >> i & 1) || syscall->args[i] == 0)
            continue;
        rein_thread_read(thread, syscall->args[i], text, CALL_STRING_MAX + 1, &size); /* up to what is not there */
        strings->of[i].known = memchr(text, '\0', size) != NULL || size == CALL_STRING_MAX + 1;
        strings->of[i].cut = strings->of[i].known && memchr(text, '\0', size) == NULL;
        text[CALL_STRING_MAX] = '\0';
    }
    free(name);
    return strings;
}

/* ---- The calls that threads are in ---- */

void calls_enter(struct calls *calls, const struct call *call)
{
    struct call former;
    if (calls_leave(calls, call->tid, NULL, &former)) /* whose exit was not seen */
        free(former.strings);
    calls->pending = cli_grow(calls->pending, calls->pending_count, sizeof *calls->pending);
    calls->pending[calls->pending_count++] = *call;
}

bool calls_leave(struct calls *calls, int tid, const struct rein_syscall *syscall, struct call *call)
{
    for (size_t i = 0; i < calls->pending_count; i++) {
        if (calls->pending[i].tid != tid)
            continue;
        *call = calls->pending[i];
        calls->pending[i] = calls->pending[--calls->pending_count];
        call->returned = syscall != NULL;
        if (syscall != NULL)
            call->syscall = *syscall;
        return true;
    }
    return false;
}

void calls_rename(struct calls *calls, int former_tid, int tid)
{
    for (size_t i = 0; i < calls->pending_count; i++)
        if (calls->pending[i].tid == former_tid)
            calls->pending[i].tid = tid;
}

/* ---- As text ---- */

/* Numbers that are likely to be addresses or flags are easier to read in hexadecimal. */
static void put_value(FILE *file, int64_t value)
{
    const int64_t last_decimal = 0xfffff;
    if (value < -last_decimal || value > last_decimal)
        fprintf(file, "0x%" PRIx64, (uint64_t)value);
    else
        fprintf(file, "%" PRId64, value);
}

static void put_string(FILE *file, const char *text, bool cut)
{
    putc('"', file);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(file, "\\%c", *at);
        else if (*at == '\n')
            fputs("\\n", file);
        else if (*at < ' ' || *at >= 0x7f)
            fprintf(file, "\\x%02x", *at);
        else
            putc(*at, file);
    }
    fputs(cut ? "\"..." : "\"", file);
}

static void put_args(FILE *file, const struct call *call, const char *name)
{
    size_t count = calls_arg_count(&call->syscall, name);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            fputs(", ", file);
        if (call->strings != NULL && call->strings->of[i].known)
            put_string(file, call->strings->of[i].text, call->strings->of[i].cut);
        else
            put_value(file, calls_value(call->syscall.args[i]));
    }
    if (!call->syscall.entry_seen)
        fputs("...", file);
}

static void put_result(FILE *file, const struct call *call)
{
    const struct rein_syscall *syscall = &call->syscall;
    const char *name = calls_error_name(syscall->error);
    if (!call->returned) {
        fputs(" = ?", file);
    } else if (syscall->error == 0) {
        fputs(" = ", file);
        put_value(file, syscall->result);
    } else {
        fprintf(file, " = -1 %s", name == NULL ? "" : name);
        if (name == NULL)
            fprintf(file, "%d", syscall->error);
    }
}

char *calls_text(const struct call *call)
{
    char *text = NULL, *name = calls_name(&call->syscall);
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return cli_copy("system call");
    const char *arch = calls_arch_name(&call->syscall);
    if (strcmp(arch, known[0].name) != 0)
        fprintf(file, "%s:", arch);
    if (name == NULL)
        fprintf(file, "syscall_%" PRId64, call->syscall.number);
    else
        fputs(name, file);
    putc('(', file);
    put_args(file, call, name);
    putc(')', file);
    put_result(file, call);
    fclose(file);
    free(name);
    return text;
}
