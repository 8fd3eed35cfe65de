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
