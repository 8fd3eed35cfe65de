/* What is arm64's own in the Linux backend: where the kernel has the registers, what a system call is by them, what becomes of an
 * interrupted one, and debug registers. For x86 that is restart.c, syscall.c and parts of ptrace.c.
 *
 * INTERRUPTED CALLS. In front of every stop on the way out of the kernel, do_signal() in arch/arm64/kernel/signal.c has
 * set pc and x0 back to make the call again, has forgotten that there is one (the number is -1), and keeps what it
 * needs to decide between that and EINTR in variables of its own. So at such a stop nothing tells a thread that has
 * been interrupted in a call from one that is about to make it. Only at the stop at a call's exit is all to be seen:
 * there a call has a number, and -ERESTART... in x0.
 *
 * So calls that end with EINTR for a mere stop (restart.c has the list) are made again only when their exits are seen, which is so
 * while system calls are traced. Their first argument is lost otherwise.
 *
 * x7 is not the thread's at the stops of a system call: the kernel shows 0 there at the entry and 1 at the exit, and drops what is
 * written (arch.h: veiled_index). */
#include "os/linux/linux.h"
#include "os/linux/numbers.h"

#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#define NOTE_TLS 0x401 /* of elf.h; older C libraries lack some */
#define NOTE_BREAK 0x402
#define NOTE_WATCH 0x403
#define NOTE_CALL 0x404
#define NOTE_SVE 0x405
#define NOTE_PAUTH 0x406
#define NOTE_TAGS 0x409
#define NOTE_STREAMING_SVE 0x40b
#define NOTE_ZA 0x40c
#define NOTE_ZT 0x40d
#define NOTE_GUARDED_STACK 0x410 /* Linux 6.13 */

enum { SIZE_GENERAL = 272, SIZE_ALL = SIZE_GENERAL + 8, WORD_CALL = SIZE_GENERAL / 8, WORD_PC = 32, WORD_STATE = 33 };
#define STATE_STEPS 0x200000u
enum { INSTRUCTION_SIZE = 4, LAST_ERROR = 4095, STAGE_REGISTER = 7, NUMBER_REGISTER = 8 };
/* The kernel's own (include/linux/errno.h). */
enum { RESTART_FIRST = 512, RESTART_NO_HANDLER = 514, RESTART_LAST = 516 };

/* ---- Registers ---- */

/* With the number of the call behind them: see arch/arm64.c. A 32-bit program's are fewer. */
int linux_get_registers(int id, struct arch_registers *registers)
{
    int32_t call = -1;
    int size = linux_get_note(id, NT_PRSTATUS, registers->bytes, SIZE_GENERAL);

    if (size < 0)
        return size;
    registers->size = (size_t)size;
    registers->arch = &arch_arm64;
    if (size != SIZE_GENERAL)
        return 0;
    int result = linux_get_note(id, NOTE_CALL, &call, sizeof call);
    if (result < 0)
        return result;
    registers->bytes[WORD_CALL] = (uint64_t)(int64_t)call;
    registers->bytes[WORD_STATE] &= ~(uint64_t)STATE_STEPS; /* a step's own: the kernel sets it as it needs it */
    registers->size = SIZE_ALL;
    return 0;
}

int linux_set_registers(int id, const struct arch_registers *registers)
{
    int32_t call = (int32_t)registers->bytes[WORD_CALL];
    int result =
        linux_set_note(id, NT_PRSTATUS, registers->bytes, registers->size == SIZE_ALL ? SIZE_GENERAL : registers->size);

    if (result != 0 || registers->size != SIZE_ALL)
        return result;
    return linux_set_note(id, NOTE_CALL, &call, sizeof call);
}

int linux_change_registers(int id, const struct arch_registers *registers, const struct arch_registers *before)
{
    (void)before;
    return linux_set_registers(id, registers);
}

struct vector_header { /* struct user_sve_header */
    uint32_t size, max_size;
    uint16_t vector, max_vector, flags, reserved;
};
/* In reserved, which the kernel does not look at: these are the streaming mode's, and back in it the thread is when they are set. */
#define STREAMS 1

/* Is it in the streaming mode, which has vectors of its own? Then their header says that there are some. */
static bool is_streaming(int id)
{
    struct vector_header header = {.reserved = 0};

    return linux_get_note(id, NOTE_STREAMING_SVE, &header, sizeof header) == sizeof header && (header.flags & 1) != 0;
}

static unsigned note_of(enum arch_set set)
{
    switch (set) {
    case ARCH_SET_ARM64_FPSIMD:
        return NT_PRFPREG;
    case ARCH_SET_ARM64_TLS:
        return NOTE_TLS;
    case ARCH_SET_ARM64_SVE:
        return NOTE_SVE;
    case ARCH_SET_ARM64_ZA:
        return NOTE_ZA;
    case ARCH_SET_ARM64_ZT:
        return NOTE_ZT;
    case ARCH_SET_ARM64_PAUTH:
        return NOTE_PAUTH;
    case ARCH_SET_ARM64_TAGS:
        return NOTE_TAGS;
    case ARCH_SET_ARM64_GUARDED_STACK:
        return NOTE_GUARDED_STACK;
    default:
        return 0;
    }
}

int linux_get_register_set(int id, enum arch_set set, void *bytes, size_t size)
{
    bool streams = set == ARCH_SET_ARM64_SVE && is_streaming(id);
    int result = linux_get_note(id, streams ? NOTE_STREAMING_SVE : note_of(set), bytes, size);

    if (streams && result >= (int)sizeof(struct vector_header))
        ((struct vector_header *)bytes)->reserved = STREAMS;
    /* Not known to this kernel; not there on this machine, or for this thread. */
    return result == -EINVAL || result == -ENODEV ? 0 : result;
}

int linux_set_register_set(int id, enum arch_set set, const void *bytes, size_t size)
{
    struct vector_header header = {.reserved = 0};

    if (set != ARCH_SET_ARM64_SVE || size < sizeof header)
        return linux_set_note(id, note_of(set), bytes, size);
    memcpy(&header, bytes, sizeof header);
    return linux_set_note(id, header.reserved == STREAMS ? NOTE_STREAMING_SVE : NOTE_SVE, bytes, size);
}

/* ---- System calls ---- */

int linux_syscall_at_exit(int id, struct rein_syscall *call)
{
    struct arch_registers registers;
    int result = linux_get_registers(id, &registers);

    if (result != 0)
        return result;
    call->number = (int32_t)registers.bytes[WORD_CALL];
    memcpy(call->args, registers.bytes, sizeof call->args);
    call->args[0] = 0;
    linux_first_argument(id, &call->args[0]); /* its register has the result */
    return 0;
}

int linux_set_syscall(int id, const struct rein_syscall *call)
{
    struct arch_registers registers;
    int result = linux_get_registers(id, &registers);

    if (result != 0)
        return result;
    registers.bytes[WORD_CALL] = (uint64_t)(int64_t)(int32_t)call->number;
    memcpy(registers.bytes, call->args, sizeof call->args);
    if (call->number == -1) /* a call that is not made leaves the register as it is at the entry */
        registers.bytes[0] = (uint64_t)call->result;
    return linux_set_registers(id, &registers);
}

int linux_set_syscall_result(int id, const struct rein_syscall *call)
{
    struct arch_registers registers;
    int result = linux_get_registers(id, &registers);

    if (result != 0)
        return result;
    registers.bytes[0] = (uint64_t)call->result;
    return linux_set_registers(id, &registers);
}

/* The first argument's register has the result; the kernel has kept what was in it. */
int linux_set_own_syscall(int id, const struct rein_syscall *call)
{
    struct arch_registers registers;
    int result = linux_get_registers(id, &registers);

    if (result != 0)
        return result;
    registers.bytes[WORD_CALL] = (uint64_t)(int64_t)(int32_t)call->number;
    memcpy(registers.bytes + 1, call->args + 1, sizeof call->args - sizeof *call->args);
    return linux_set_registers(id, &registers);
}

int linux_guess_syscall(int id, bool in_call, enum os_syscall_stage *stage, struct rein_syscall *call)
{
    struct arch_registers registers;
    int result = linux_get_registers(id, &registers);

    if (result != 0)
        return result;
    if (registers.size != SIZE_ALL)
        return -ENOSYS;
    *call = (struct rein_syscall){.arch = AUDIT_ARCH_AARCH64, .pc = registers.bytes[WORD_PC]};
    *stage = registers.bytes[STAGE_REGISTER] == 0 ? OS_SYSCALL_ENTRY : OS_SYSCALL_EXIT;
    if (*stage == OS_SYSCALL_ENTRY) { /* a program's call of number -1 has its result, ENOSYS, for its first argument */
        call->number = (int32_t)registers.bytes[WORD_CALL];
        memcpy(call->args, registers.bytes, sizeof call->args);
        return 0;
    }
    int64_t value = (int64_t)registers.bytes[0];
    call->result = value;
    call->error = value < 0 && value >= -LAST_ERROR ? (int)-value : 0;
    return in_call ? 0 : linux_syscall_at_exit(id, call);
}

/* ---- System calls that a stop has interrupted ---- */

static bool is_in_call(const struct arch_registers *registers)
{
    return registers->size == SIZE_ALL && (int32_t)registers->bytes[WORD_CALL] >= 0;
}

/* A call with a time limit is left alone, as in restart.c. */
static bool waits_for_ever(const uint64_t *x, uint64_t number)
{
    switch (linux_call_of(&arch_arm64, number)) {
    case LINUX_CALL_SEMOP:
        return true;
    case LINUX_CALL_LIMIT_MS:
        return (int32_t)x[3] < 0;
    case LINUX_CALL_LIMIT_2:
        return x[2] == 0;
    case LINUX_CALL_LIMIT_3:
        return x[3] == 0;
    case LINUX_CALL_LIMIT_4:
        return x[4] == 0;
    default:
        return false;
    }
}

int linux_restart_interrupted_call(int id, struct arch_registers *registers)
{
    (void)id;
    if (!is_in_call(registers) || (int64_t)registers->bytes[0] != -EINTR ||
        !waits_for_ever(registers->bytes, registers->bytes[WORD_CALL]))
        return 0;
    registers->bytes[0] = (uint64_t)-RESTART_NO_HANDLER;
    return 1;
}

int linux_call_is_made_again(const struct arch_registers *registers, uint64_t *pc)
{
    int64_t result = (int64_t)registers->bytes[0];

    if (!is_in_call(registers) || result > -RESTART_FIRST || result < -RESTART_LAST)
        return 0;
    if (pc != NULL)
        *pc = registers->bytes[WORD_PC] - INSTRUCTION_SIZE;
    return 1;
}

bool linux_call_can_repeat(const struct arch_registers *registers)
{
    return registers->size == SIZE_ALL && !is_in_call(registers) &&
           linux_call_of(registers->arch, registers->bytes[NUMBER_REGISTER]) == LINUX_CALL_MASKED;
}

static bool stands_at_call(int id, const struct arch_registers *registers)
{
    uint32_t code = 0;
    struct os_memory memory;

    linux_memory_init(&memory);
    int64_t size = linux_read(&memory, id, registers->bytes[WORD_PC], &code, sizeof code);
    linux_memory_close(&memory);
    return size == sizeof code && (code & 0xffe0001f) == 0xd4000001; /* svc */
}

/* It may: nobody can tell until it goes on. */
bool linux_call_has_restart_block(int id, const struct arch_registers *registers)
{
    unsigned command = (unsigned)registers->bytes[1] & (unsigned)FUTEX_CMD_MASK;

    if (registers->size != SIZE_ALL || is_in_call(registers))
        return false;
    switch (registers->bytes[NUMBER_REGISTER]) {
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_restart_syscall:
        break;
    case SYS_futex:
        if ((command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET) || registers->bytes[3] == 0)
            return false;
        break;
    default:
        return false;
    }
    return stands_at_call(id, registers);
}

/* ---- Debug registers ---- */

enum { KERNEL_SLOTS = 16, HEADER_SIZE = 8 };

struct debug_registers { /* struct user_hwdebug_state */
    uint32_t info, none;
    struct {
        uint64_t address;
        uint32_t control, none;
    } slots[KERNEL_SLOTS];
};

static const unsigned notes[2] = {NOTE_BREAK, NOTE_WATCH};

static unsigned count_of(const struct debug_registers *state)
{
    unsigned count = state->info & 0xff;
    return count < KERNEL_SLOTS ? count : KERNEL_SLOTS;
}

int linux_count_watches(int id, unsigned slots[2])
{
    for (unsigned pool = 0; pool < 2; pool++) {
        struct debug_registers state = {.info = 0};
        int result = linux_get_note(id, notes[pool], &state, sizeof state);

        if (result < 0 && result != -EINVAL && result != -ENODEV)
            return result;
        slots[pool] = result < 0 ? 0 : count_of(&state);
    }
    return 0;
}

static int set_slots(int id, unsigned pool, const struct debug_registers *state, size_t count)
{
    return count == 0 ? 0 : linux_set_note(id, notes[pool], state, HEADER_SIZE + count * sizeof *state->slots);
}

/* First off, then on: the kernel checks each change by itself. It makes a perf event for each register that is written to, so those
 * that were never used are left alone; one can be refused (ENOSPC). */
static int set_pool(int id, unsigned pool, const uint64_t words[ARCH_WATCH_WORDS])
{
    struct debug_registers state = {.info = 0}, off = {.info = 0};
    size_t count = 0, used = 0;
    int result = linux_get_note(id, notes[pool], &state, sizeof state);

    if (result == -EINVAL || result == -ENODEV)
        state.info = 0;
    else if (result < 0)
        return result;
    size_t slots = count_of(&state);
    for (size_t i = 0; i < slots; i++)
        if (state.slots[i].control & 1)
            used = i + 1;
    for (size_t i = 0; i < ARCH_WATCH_SLOTS; i++) {
        uint32_t control = (uint32_t)words[2 * i + 1];
        bool is_data = (control >> 3 & 3) != 0;

        if (control == 0 || is_data != (pool == 1))
            continue;
        if (count == slots)
            return -ENOSPC;
        state.slots[count].address = words[2 * i];
        state.slots[count].control = control;
        count++;
    }
    result = set_slots(id, pool, &off, used);
    return result != 0 ? result : set_slots(id, pool, &state, count);
}

int linux_set_watches(int id, const uint64_t words[ARCH_WATCH_WORDS])
{
    static const uint64_t none[ARCH_WATCH_WORDS];
    int result = set_pool(id, 0, words);

    if (result == 0)
        result = set_pool(id, 1, words);
    if (result != 0) {
        set_pool(id, 0, none);
        set_pool(id, 1, none);
    }
    return result;
}

/* The trap's address is what was accessed, from where on the processor likes to tell; so it need not be in what is watched, and
 * what is nearest is meant (watchpoint_handler() in arch/arm64/kernel/hw_breakpoint.c decides likewise). */
static uint64_t distance(const struct arch_watch *watch, uint64_t address)
{
    if (address < watch->address)
        return watch->address - address;
    uint64_t behind = address - watch->address;
    return behind < watch->size ? 0 : behind - watch->size + 1;
}

int linux_take_watch_hits(int id, const struct arch_watch *watches, size_t count, uint32_t *slots)
{
    struct rein_signal signal;
    uint64_t nearest = UINT64_MAX;
    int result = linux_get_signal(id, &signal);

    *slots = 0;
    if (result != 0)
        return result;
    if (signal.number != SIGTRAP || signal.code != 4 /* TRAP_HWBKPT */)
        return 0;
    struct arch_registers registers;
    result = linux_get_registers(id, &registers);
    if (result != 0)
        return result;
    /* An instruction's is told by its address, and stops the thread before it can make an access. */
    bool executes = signal.address == registers.bytes[WORD_PC];
    for (size_t i = 0; i < count; i++) {
        bool fits = (watches[i].kind == ARCH_WATCH_EXECUTE) == executes;
        uint64_t away = fits ? distance(&watches[i], signal.address) : UINT64_MAX;

        if (away > 64 || away > nearest) /* a cache line's, for what clears that: dc zva */
            continue;
        *slots = away < nearest ? UINT32_C(1) << i : *slots | UINT32_C(1) << i;
        nearest = away;
    }
    return 0;
}
