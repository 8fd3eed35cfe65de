/* Moving an instruction: a copy that does at another address what the original does where it is, and a branch back behind that.
 * A thread that is sent to the copy executes the instruction by itself, and goes on, in one go.
 *
 * What is moved does the same anywhere. Not moved is
 *
 *   - what depends on where it is: adr, adrp, direct branches, calls, loads of constants beside the code, most of which
 *     are executed in the thread's place (arm64_emulate.c); and the signing with the pc (FEAT_PAuth_LR);
 *   - what has to do with the next instruction (movprfx, pacm), the one before (store exclusive), or several (load
 *     exclusive; transactions; copying memory in three instructions, which the kernel begins again at the first);
 *   - what makes exceptions, the system calls above all;
 *   - what is not known here: what does not exist today may depend on its place tomorrow.
 *
 * Pointer authentication with keys and the stack pointer (paciasp, autiasp, retaa) is moved: the processor alone has
 * the keys. A branch through a register leaves the copy for good, and is checked as from the original (BTI), of whose
 * memory the copy is. */
#include <string.h>

#include "arch/arm64.h"

enum { BRANCH_REACH = 1 << 27 };
#define BRANCH 0x14000000u

struct pattern {
    uint32_t mask, value;
};

static bool is_one_of(uint32_t word, const struct pattern *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((word & patterns[i].mask) == patterns[i].value)
            return true;
    }
    return false;
}
#define IS_ONE_OF(word, patterns) is_one_of(word, patterns, sizeof(patterns) / sizeof *(patterns))

/* Of branches, exceptions and system instructions only these. */
static bool is_movable_system(uint32_t word)
{
    static const struct pattern movable[] = {
        {0xfffffe1f, 0xd503201f}, /* hints 0 to 15: nop, yield, wfe, wfi, sev, sevl, dgh, xpaclri, pacia1716, ... */
        {0xffffff1f, 0xd503221f}, /* 16 to 23: esb, psb, tsb, csdb, clrbhb, ... */
        {0xffffff1f, 0xd503231f}, /* 24 to 31: paciaz, paciasp, autiasp, ... */
        {0xffffff3f, 0xd503241f}, /* 32, 34, 36, 38: bti */
        {0xfffff0ff, 0xd503305f}, /* clrex */
        {0xfffff0ff, 0xd503309f}, /* dsb */
        {0xfffff0ff, 0xd50330bf}, /* dmb */
        {0xfffff0ff, 0xd50330df}, /* isb */
        {0xffffffff, 0xd50330ff}, /* sb */
        {0xffffff9f, 0xd500401f}, /* cfinv, xaflag, axflag */
        {0xfffff01f, 0xd503401f}, /* msr (immediate), of a program's fields */
        {0xffff0000, 0xd51b0000}, /* msr, of a program's registers */
        {0xfff00000, 0xd5300000}, /* mrs; the kernel stands in for some */
        {0xfffff000, 0xd50b7000}, /* dc, ic, cfp, ... */
        {0xfffffc1f, 0xd61f0000}, /* br */
        {0xfffffc1f, 0xd65f0000}, /* ret */
        {0xfffffbff, 0xd65f0bff}, /* retaa, retab */
        {0xfffff800, 0xd71f0800}, /* braa, brab */
        {0xfffff81f, 0xd61f081f}, /* braaz, brabz */
    };
    return IS_ONE_OF(word, movable);
}

/* Of the others all but these. */
static bool is_unmovable(uint32_t word)
{
    static const struct pattern unmovable[] = {
        {0x1f000000, 0x10000000}, /* adr, adrp */
        {0xff800000, 0xf3800000}, /* autiasppc */
        {0xffff8000, 0xdac18000}, /* paciasppc, ... */
        {0x3b000000, 0x18000000}, /* ldr (literal), prfm */
        {0x3b200c00, 0x19000400}, /* cpyp, cpym, cpye, setp, ... */
        {0x3f800000, 0x09000000}, /* ldtxr, sttxr, ... */
        {0xfffffc00, 0x0420bc00}, /* movprfx */
        {0xff3ee000, 0x04102000},
    };
    return IS_ONE_OF(word, unmovable) || arm64_is_exclusive(word);
}

/* By bits 25 to 28, the architecture's first division. */
static bool is_movable(uint32_t word)
{
    switch (word >> 25 & 15) {
    case 0: /* SME; not existing */
        return word >> 31;
    case 1:
    case 3:
        return false;
    case 10:
    case 11:
        return is_movable_system(word);
    default: /* SVE; with constants; with registers; memory; vectors */
        return !is_unmovable(word);
    }
}

size_t arm64_displace(const unsigned char *code, size_t size, uint64_t from, uint64_t to,
                      unsigned char copy[ARCH_DISPLACED_MAX], size_t *copied)
{
    int64_t back = (int64_t)(from - to);
    if (size < ARM64_INSTRUCTION || !is_movable(arm64_word(code)) || back % ARM64_INSTRUCTION || back < -BRANCH_REACH ||
        back >= BRANCH_REACH)
        return 0;
    uint32_t branch = BRANCH | (uint32_t)((uint64_t)back / ARM64_INSTRUCTION & 0x3ffffff);
    memcpy(copy, code, ARM64_INSTRUCTION);
    for (int i = 0; i < ARM64_INSTRUCTION; i++)
        copy[ARM64_INSTRUCTION + i] = (unsigned char)(branch >> 8 * i);
    *copied = ARM64_INSTRUCTION;
    return 2 * ARM64_INSTRUCTION;
}
