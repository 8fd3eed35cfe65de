/* What the files of arm64 have in common. */
#ifndef REIN_ARCH_ARM64_H
#define REIN_ARCH_ARM64_H

#include "arch/arch.h"

/* Indices in the table of registers of those that are spoken of. */
enum {
    ARM64_x0 = 0,
    ARM64_x7 = 7,
    ARM64_x8 = 8,
    ARM64_x30 = 30,
    ARM64_sp = 31,
    ARM64_pc = 32,
    ARM64_pstate = 33,
    ARM64_syscallno = 34,
    ARM64_WORDS = 35, /* how many come first */
};
#define ARM64_BRANCHED                                                                                                 \
    0xc00u /* BTYPE of pstate: how the last instruction came here, if it was a branch through a register */
enum { ARM64_BRANCHED_SHIFT = 10, ARM64_INSTRUCTION = 4 };

static inline uint32_t arm64_word(const unsigned char *code)
{
    return (uint32_t)code[0] | (uint32_t)code[1] << 8 | (uint32_t)code[2] << 16 | (uint32_t)code[3] << 24;
}

static inline int64_t arm64_extend(uint64_t value, unsigned bits)
{
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

/* Load and store exclusive: bits 29-24 are 001000, and bit 23 is clear (set: the ordered ones, which are no pair, and cas). Of
 * those, bit 21 with a size below 8 bytes (bit 31) is casp. */
static inline bool arm64_is_exclusive(uint32_t word)
{
    return (word & 0x3f800000u) == 0x08000000u && ((word & 0x00200000u) == 0 || (word & 0x80000000u) != 0);
}

/* In place of the thread, see arm64_emulate.c. */
enum arch_plan_kind arm64_prepare(const unsigned char *code, size_t size, struct arch_plan *plan);
bool arm64_emulate(const struct arch_plan *plan, struct arch_registers *registers, const struct arch_memory *memory);
/* Code of 64 bits in no system call, with nothing in pstate that is not known. */
bool arm64_is_ordinary(const struct arch_registers *registers);

/* Where a thread executes it by itself, see arm64_displace.c. */
size_t arm64_displace(const unsigned char *code, size_t size, uint64_t from, uint64_t to,
                      unsigned char copy[ARCH_DISPLACED_MAX], size_t *copied);

#endif
