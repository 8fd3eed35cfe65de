/* System calls by the registers: what a call is about where the kernel does not tell (before Linux 5.3), and changing
 * it. Which register holds what depends on how the call was made (the convention of its architecture) and on how the
 * kernel shows the registers: a 64-bit program's int $0x80 is made by the convention of i386, with registers shown as
 * amd64's. */
#include "os/linux/linux.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/user.h>

#define I386_BLOCK_SIZE 68 /* the kernel's user_regs_struct32 */
#define LAST_ERROR 4095    /* the kernel's MAX_ERRNO */

/* Where in the block of registers a call's values are. */
struct convention {
    uint32_t arch;
    size_t size; /* of the block */
    unsigned char width;
    unsigned char number, result, pc, args[6];
};

static const struct convention conventions[] = {
#if defined(__x86_64__)
#define AMD64(name) offsetof(struct user_regs_struct, name)
    {AUDIT_ARCH_X86_64,
     sizeof(struct user_regs_struct),
     8,
     AMD64(orig_rax),
     AMD64(rax),
     AMD64(rip),
     {AMD64(rdi), AMD64(rsi), AMD64(rdx), AMD64(r10), AMD64(r8), AMD64(r9)}},
    {AUDIT_ARCH_I386,
     sizeof(struct user_regs_struct),
     8,
     AMD64(orig_rax),
     AMD64(rax),
     AMD64(rip),
     {AMD64(rbx), AMD64(rcx), AMD64(rdx), AMD64(rsi), AMD64(rdi), AMD64(rbp)}},
#endif
    /* ebx ecx edx esi edi ebp eax ds es fs gs orig_eax eip ... */
    {AUDIT_ARCH_I386, I386_BLOCK_SIZE, 4, 44, 24, 48, {0, 4, 8, 12, 16, 20}},
};

static const struct convention *convention_of(uint32_t arch, size_t size)
{
    for (size_t i = 0; i < sizeof conventions / sizeof *conventions; i++)
        if (conventions[i].arch == arch && conventions[i].size == size)
            return &conventions[i];
    return NULL;
}

static uint64_t get_register(const struct convention *convention, const struct arch_registers *registers, size_t offset)
{
    uint64_t value = 0;

    memcpy(&value, (const char *)registers->bytes + offset, convention->width);
    return value;
}

/* A call of i386 has values of 32 bits, however wide the registers are in which they came. */
static uint64_t get_value(const struct convention *convention, const struct arch_registers *registers, size_t offset)
{
    uint64_t value = get_register(convention, registers, offset);

    return convention->arch == AUDIT_ARCH_I386 ? (uint32_t)value : value;
}

static void set_register(const struct convention *convention, struct arch_registers *registers, size_t offset,
                         uint64_t value)
{
    memcpy((char *)registers->bytes + offset, &value, convention->width);
}

/* The call sees the lower half of a wide register only; the other is the program's, which finds it again. */
static void set_args(const struct convention *convention, struct arch_registers *registers, const rein_word args[6])
{
    for (size_t i = 0; i < 6; i++) {
        uint64_t kept = 0;

        if (convention->arch == AUDIT_ARCH_I386)
            kept = get_register(convention, registers, convention->args[i]) & ~(uint64_t)UINT32_MAX;
        set_register(convention, registers, convention->args[i],
                     convention->arch == AUDIT_ARCH_I386 ? kept | (uint32_t)args[i] : args[i]);
    }
}

/* Negative for a failure, and otherwise as wide as the call's values are. */
static int64_t get_result(const struct convention *convention, const struct arch_registers *registers)
{
    uint64_t value = get_value(convention, registers, convention->result);
    int32_t narrow = (int32_t)value;
    bool failed = convention->arch == AUDIT_ARCH_I386 && narrow < 0 && narrow >= -LAST_ERROR;

    return failed ? narrow : (int64_t)value;
}

/* A call's number is an int to the kernel, whatever the register's width. */
static void get_call(const struct convention *convention, const struct arch_registers *registers,
                     struct rein_syscall *call)
{
    call->number = (int32_t)get_value(convention, registers, convention->number);
    for (size_t i = 0; i < 6; i++)
        call->args[i] = get_value(convention, registers, convention->args[i]);
}

static int get_block(int id, uint32_t arch, struct arch_registers *registers, const struct convention **convention)
{
    int result = linux_get_registers(id, registers);

    if (result != 0)
        return result;
    *convention = convention_of(arch, registers->size);
    return *convention == NULL ? -ENOSYS : 0;
}

int linux_syscall_at_exit(int id, struct rein_syscall *call)
{
    struct arch_registers registers;
    const struct convention *convention = NULL;
    int result = get_block(id, call->arch, &registers, &convention);

    if (result == 0)
        get_call(convention, &registers, call);
    return result == -ENOSYS ? 0 : result;
}

/* Sets the registers of a call: number and arguments, if it is to be changed itself, and the result's, if there is one. */
static int change_registers(int id, const struct rein_syscall *call, bool itself, const int64_t *its_result)
{
    struct arch_registers registers;
    const struct convention *convention = NULL;
    int result = get_block(id, call->arch, &registers, &convention);

    if (result != 0)
        return result;
    if (itself) {
        set_register(convention, &registers, convention->number, (uint64_t)call->number);
        set_args(convention, &registers, call->args);
    }
    if (its_result != NULL)
        set_register(convention, &registers, convention->result, (uint64_t)*its_result);
    return linux_set_registers(id, &registers);
}

int linux_set_syscall(int id, const struct rein_syscall *call)
{
    /* A call that is not made leaves the register as it is at the entry, where the kernel has put -ENOSYS into it. */
    const int64_t at_entry = call->number == -1 ? call->result : -ENOSYS;

    return change_registers(id, call, true, &at_entry);
}

int linux_set_syscall_result(int id, const struct rein_syscall *call)
{
    return change_registers(id, call, false, &call->result);
}

int linux_set_own_syscall(int id, const struct rein_syscall *call)
{
    return change_registers(id, call, true, NULL);
}

#if defined(__x86_64__)

#define CODE_64 0x33u /* cs of 64-bit code: __USER_CS */

/* The program's kind tells the call's kind, but for the int $0x80 of a 64-bit program, which is only told by the instruction
 * itself, if it can still be read. */
static uint32_t guess_arch(int id, const struct arch_registers *registers)
{
    struct user_regs_struct user;
    unsigned char code[2] = {0, 0};
    struct os_memory memory;

    if (registers->size != sizeof user)
        return AUDIT_ARCH_I386;
    memcpy(&user, registers->bytes, sizeof user);
    if (user.cs != CODE_64)
        return AUDIT_ARCH_I386;
    linux_memory_init(&memory);
    linux_read(&memory, id, user.rip - sizeof code, code, sizeof code);
    linux_memory_close(&memory);
    return code[1] == 0x80 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64;
}

#else

static uint32_t guess_arch(int id, const struct arch_registers *registers)
{
    (void)id;
    (void)registers;
    return AUDIT_ARCH_I386;
}

#endif

/* -ENOSYS is in the result's register at each entry. It may be the result of an exit, too: so it only counts where no
 * entry was seen before. */
int linux_guess_syscall(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call)
{
    struct arch_registers registers;
    int result = linux_get_registers(id, &registers);

    if (result != 0)
        return result;
    *call = (struct rein_syscall){.arch = guess_arch(id, &registers)};
    const struct convention *convention = convention_of(call->arch, registers.size);
    if (convention == NULL)
        return -ENOSYS;
    int64_t value = get_result(convention, &registers);
    *stage = !in_call && value == -ENOSYS ? OS_SYSCALL_ENTRY : OS_SYSCALL_EXIT;
    call->pc = get_register(convention, &registers, convention->pc);
    if (!in_call || *stage == OS_SYSCALL_ENTRY)
        get_call(convention, &registers, call);
    if (*stage == OS_SYSCALL_EXIT) {
        call->result = value;
        call->error = value < 0 && value >= -LAST_ERROR ? (int)-value : 0;
    }
    return 0;
}
