/* What amd64 and i386 have in common: how their tables of registers are written, and all that is the processor's and not
 * the program's, who may use one half of its words or both.
 *
 * A file that includes this has WORD_SIZE, of a word in the kernel's block of general registers, and the numbers in DWARF
 * of the first of those registers that come in rows: DWARF_ST0, DWARF_XMM0, DWARF_K0. */
#ifndef REIN_ARCH_X86_H
#define REIN_ARCH_X86_H

#include "arch/arch.h"
#include "arch/xstate.h"

#define EFLAGS_TRAP 0x100u        /* TF: trap after each instruction */
#define EFLAGS_DIRECTION 0x400u   /* DF: clear at each call of a function */
#define EFLAGS_RESUME 0x10000u    /* RF: no debug register fires for the next instruction */
#define EFLAGS_ALIGNMENT 0x40000u /* AC: no compiler reckons with it */
#define EFLAGS_NOT_AT_CALLS (EFLAGS_TRAP | EFLAGS_RESUME | EFLAGS_DIRECTION | EFLAGS_ALIGNMENT)

/* ---- The table of registers ---- */

extern const struct rein_register_flag x86_eflags_bits[17], x86_mxcsr_bits[15];
#define BITS(table) .flags = (table), .flag_count = sizeof(table) / sizeof *(table)

/* What any register has: name, width (gdb's), type, group, number in DWARF (the psABI's; ymm and zmm have none of their
 * own: there, xmm's means the widest of the three). */
#define REGISTER(its_name, its_bytes, its_type, its_group, its_dwarf)                                                  \
    .name = (its_name), .bytes = (its_bytes), .type = REIN_TYPE_##its_type, .group = REIN_GROUP_##its_group,           \
    .dwarf = (its_dwarf)

/* Whatever its width, it has a word in the kernel's block, of the architecture's size. The offsets there are those of
 * struct user_regs_struct, spelt out because arch/ includes nothing of an operating system; tests/unit/arch_amd64.c and
 * arch_i386.c compare them with <sys/user.h>. */
#define WORD(its_name, bytes, type, group, dwarf, offset)                                                              \
    REGISTER(#its_name, bytes, type, group, dwarf), .set = ARCH_SET_GENERAL, .kind = (offset) / WORD_SIZE

#define XSTATE(its_kind, its_number) .set = ARCH_SET_X86_XSTATE, .kind = XSTATE_##its_kind, .number = (its_number)
#define VECTOR_LANES                                                                                                   \
    (REIN_LANES_INT8 | REIN_LANES_INT16 | REIN_LANES_INT32 | REIN_LANES_INT64 | REIN_LANES_INT128 |                    \
     REIN_LANES_FLOAT16 | REIN_LANES_BFLOAT16 | REIN_LANES_FLOAT32 | REIN_LANES_FLOAT64)

#define ST(n)                                                                                                          \
    {                                                                                                                  \
        REGISTER("st" #n, 10, FLOAT, FLOAT, DWARF_ST0 + (n)), XSTATE(ST, n)                                            \
    }
#define CONTROL(name, kind, dwarf)                                                                                     \
    {                                                                                                                  \
        REGISTER(name, 4, INTEGER, FLOAT, dwarf), XSTATE(kind, 0)                                                      \
    }
#define XMM(n, dwarf)                                                                                                  \
    {                                                                                                                  \
        REGISTER("xmm" #n, 16, VECTOR, VECTOR, (dwarf) + (n)), XSTATE(XMM, n), .lanes = VECTOR_LANES                   \
    }
#define LOW_XMM(n) XMM(n, DWARF_XMM0)
#define YMM(n)                                                                                                         \
    {                                                                                                                  \
        REGISTER("ymm" #n, 32, VECTOR, VECTOR, -1), XSTATE(YMM, n), .lanes = VECTOR_LANES                              \
    }
#define ZMM(n)                                                                                                         \
    {                                                                                                                  \
        REGISTER("zmm" #n, 64, VECTOR, VECTOR, -1), XSTATE(ZMM, n), .lanes = VECTOR_LANES                              \
    }
#define MASK(n)                                                                                                        \
    {                                                                                                                  \
        REGISTER("k" #n, 8, INTEGER, MASK, DWARF_K0 + (n)), XSTATE(MASK, n)                                            \
    }
#define EIGHT(X) X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7)

/* The same for all x87 and SSE control registers; the numbers in DWARF are those of fctrl, fstat and mxcsr. */
#define CONTROLS(dwarf_fctrl, dwarf_fstat)                                                                             \
    CONTROL("fctrl", FCTRL, dwarf_fctrl), CONTROL("fstat", FSTAT, dwarf_fstat), CONTROL("ftag", FTAG, -1),             \
        CONTROL("fiseg", FISEG, -1), CONTROL("fioff", FIOFF, -1), CONTROL("foseg", FOSEG, -1),                         \
        CONTROL("fooff", FOOFF, -1), CONTROL("fop", FOP, -1)
#define MXCSR(dwarf)                                                                                                   \
    {                                                                                                                  \
        REGISTER("mxcsr", 4, FLAGS, VECTOR, dwarf), XSTATE(MXCSR, 0), BITS(x86_mxcsr_bits)                             \
    }

/* ---- Registers of a block: struct arch, by the register in place of its index ---- */
void x86_lay_out(struct arch_block *block, enum arch_set set);
size_t x86_width(const struct arch_block *block, const struct arch_register *what);
void x86_read(const struct arch_block *block, const struct arch_register *what, void *value);
void x86_write(struct arch_block *block, const struct arch_register *what, const void *value);

/* ---- Instructions ---- */
enum x86_mode { X86_MODE_32, X86_MODE_64 };
enum arch_instruction x86_classify(enum x86_mode mode, const unsigned char *code, size_t size, size_t *length);

/* In place of the thread, see x86_emulate.c. */
enum arch_plan_kind x86_prepare(enum x86_mode mode, const unsigned char *code, size_t size, struct arch_plan *result);
bool x86_is_ordinary(const struct arch_registers *registers);
bool x86_emulate(const struct arch_plan *plan, struct arch_registers *registers, const struct arch_memory *memory);

/* Where a thread executes it by itself, see x86_displace.c. */
size_t x86_displace(enum x86_mode mode, const unsigned char *code, size_t size, uint64_t from, uint64_t to,
                    unsigned char copy[ARCH_DISPLACED_MAX], size_t *copied);

/* ---- Functions: both psABIs want the x87's stack empty at a call ---- */
void x86_begin_x87(struct arch_block *block);

/* ---- Debug registers: DR0 to DR3 hold addresses, DR7 says what of ---- */
enum { X86_WATCH_SLOTS = 4 };
/* One register watches 1, 2, 4 ... widest bytes at a multiple of that. */
size_t x86_split_watch(uint64_t address, uint64_t size, enum arch_watch_kind kind, unsigned widest,
                       struct arch_watch *pieces, size_t room);
void x86_encode_watches(const struct arch_watch *watches, size_t count, uint64_t words[ARCH_WATCH_WORDS]);

#endif
