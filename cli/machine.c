/* Which registers there are is asked of a thread's once, and remembered. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "cli.h"

static struct machine *make(const rein_registers *registers)
{
    struct machine *machine = cli_alloc(1, sizeof *machine);
    machine->architecture = rein_registers_architecture(registers);
    machine->count = (size_t)rein_registers_total(registers);
    machine->registers = cli_alloc(machine->count, sizeof *machine->registers);
    for (size_t i = 0; i < machine->count; i++) {
        struct rein_register_info info = REIN_REGISTER_INFO_INIT;
        rein_registers_info(registers, (int)i, &info);
        machine->registers[i] = (struct machine_register){info.name, info.bytes, info.dwarf};
    }
    machine->word = machine->registers[rein_registers_sp_index(registers)].bytes;
    return machine;
}

static const struct machine *find(const struct machine *machines, const char *architecture)
{
    while (machines != NULL && strcmp(machines->architecture, architecture) != 0)
        machines = machines->next;
    return machines;
}

const struct machine *machine_of(struct machine **machines, rein_process *process)
{
    const char *architecture = rein_process_architecture(process);
    rein_registers *registers = NULL;
    rein_thread **threads;
    size_t count = 0;
    const struct machine *known = architecture == NULL ? NULL : find(*machines, architecture);
    if (known != NULL || architecture == NULL || rein_process_threads(process, &threads, &count) != 0)
        return known;
    for (size_t i = 0; i < count && registers == NULL; i++)
        if (rein_thread_registers(threads[i], &registers) != 0)
            registers = NULL;
    rein_thread_list_free(threads, count);
    if (registers == NULL)
        return NULL;
    if (find(*machines, rein_registers_architecture(registers)) == NULL) {
        struct machine *machine = make(registers);
        machine->next = *machines;
        *machines = machine;
    }
    rein_registers_free(registers);
    return find(*machines, architecture);
}

void machines_free(struct machine *machines)
{
    while (machines != NULL) {
        struct machine *machine = machines;
        machines = machine->next;
        free(machine->registers);
        free(machine);
    }
}

int machine_register(const struct machine *machine, const char *name)
{
    for (size_t i = 0; i < machine->count; i++)
        if (strcmp(machine->registers[i].name, name) == 0)
            return (int)i;
    return -1;
}

int machine_register_by_dwarf(const struct machine *machine, uint64_t number)
{
    for (size_t i = 0; i < machine->count; i++)
        if (machine->registers[i].dwarf >= 0 && (uint64_t)machine->registers[i].dwarf == number)
            return (int)i;
    return -1;
}

/* ---- Parts of registers ---- */

/* Of 64, 32, 16 bits, the low byte, the high one: as gdb has them, to which sp is something else. A program of 32 bits has no low
 * byte of those that have no high one. */
enum { WHOLE, DOUBLE_WORD, WORD, LOW, HIGH, WIDTHS };
static const char *const x86_names[][WIDTHS] = {
    {"rax", "eax", "ax", "al", "ah"},  {"rbx", "ebx", "bx", "bl", "bh"},  {"rcx", "ecx", "cx", "cl", "ch"},
    {"rdx", "edx", "dx", "dl", "dh"},  {"rsi", "esi", "si", "sil", NULL}, {"rdi", "edi", "di", "dil", NULL},
    {"rbp", "ebp", "bp", "bpl", NULL}, {"rsp", "esp", NULL, "spl", NULL}, {"rip", "eip", NULL, NULL, NULL},
};

static bool is_x86_part(const struct machine *machine, const char *name, struct machine_part *part)
{
    static const struct machine_part widths[WIDTHS] = {{-1, 0, 8}, {-1, 0, 4}, {-1, 0, 2}, {-1, 0, 1}, {-1, 8, 1}};
    for (size_t i = 0; i < sizeof x86_names / sizeof *x86_names; i++)
        for (int width = DOUBLE_WORD; width < WIDTHS; width++) {
            const char *const *names = x86_names[i];
            if (names[width] == NULL || strcmp(names[width], name) != 0)
                continue;
            *part = widths[width];
            part->reg = machine_register(machine, names[machine->word == 8 ? WHOLE : DOUBLE_WORD]);
            return machine->word == 8 || width != LOW || names[HIGH] != NULL;
        }
    return false;
}

/* r8d, r8w, r8b (which gdb calls r8l). */
static bool is_numbered_part(const struct machine *machine, const char *name, struct machine_part *part)
{
    size_t digits = strspn(name + 1, "0123456789");
    char whole[4] = "";
    if (name[0] != 'r' || digits == 0 || digits > 2 || name[1 + digits] == '\0' || name[2 + digits] != '\0')
        return false;
    memcpy(whole, name, 1 + digits);
    char width = name[1 + digits];
    *part = (struct machine_part){machine_register(machine, whole), 0, width == 'd' ? 4 : width == 'w' ? 2 : 1};
    return strchr("dwbl", width) != NULL;
}

/* w0 to w30, wsp. */
static bool is_arm64_part(const struct machine *machine, const char *name, struct machine_part *part)
{
    char whole[4] = "sp";
    if (name[0] != 'w' || strlen(name) > 3)
        return false;
    if (strcmp(name, "wsp") != 0) {
        strcpy(whole, name);
        whole[0] = 'x';
    }
    *part = (struct machine_part){machine_register(machine, whole), 0, 4};
    return true;
}

bool machine_find_part(const struct machine *machine, const char *name, struct machine_part *part)
{
    bool is_arm64 = strcmp(machine->architecture, "arm64") == 0;
    bool is_part = is_arm64 ? is_arm64_part(machine, name, part)
                            : is_x86_part(machine, name, part) || is_numbered_part(machine, name, part);
    return is_part && part->reg >= 0;
}
