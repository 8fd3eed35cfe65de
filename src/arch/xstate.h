/* x86's floating-point, vector and other extended state, as the processor's XSAVE instruction lays it out in memory and
 * the kernel hands it out: what amd64 and i386 have in common. The tables of both say of a register which kind it is and
 * its number among its kind; where that is, is known here alone. */
#ifndef REIN_ARCH_XSTATE_H
#define REIN_ARCH_XSTATE_H

#include "arch/arch.h"

enum xstate_kind {
    XSTATE_ST, /* by distance from the top of the stack */
    XSTATE_FCTRL,
    XSTATE_FSTAT,
    XSTATE_FTAG,
    XSTATE_FISEG,
    XSTATE_FIOFF,
    XSTATE_FOSEG,
    XSTATE_FOOFF,
    XSTATE_FOP,
    XSTATE_MXCSR,
    XSTATE_XMM,
    XSTATE_YMM,
    XSTATE_ZMM,
    XSTATE_MASK,
    XSTATE_PKRU,
    XSTATE_TILECFG,
    XSTATE_TILE,
};

/* The state components that the kernel hands out, by number (Intel's manual, volume 1, 13.1): indices of parts. */
enum xstate_component {
    XSTATE_COMPONENT_X87 = 0,
    XSTATE_COMPONENT_SSE = 1,
    XSTATE_COMPONENT_AVX = 2, /* the upper halves of ymm0-15 */
    XSTATE_COMPONENT_OPMASK = 5,
    XSTATE_COMPONENT_ZMM_HIGH = 6, /* the upper halves of zmm0-15 */
    XSTATE_COMPONENT_HIGH_ZMM = 7, /* zmm16-31, whole */
    XSTATE_COMPONENT_PKRU = 9,
    XSTATE_COMPONENT_TILECFG = 17,
    XSTATE_COMPONENT_TILEDATA = 18,
};

/* Finds out where the components of a block are that the kernel has just filled: block->parts. */
void xstate_lay_out(struct arch_block *block);
bool xstate_has(const struct arch_block *block, enum xstate_kind kind, unsigned number);
/* value has the register's bytes. */
void xstate_read(const struct arch_block *block, enum xstate_kind kind, unsigned number, void *value);
/* Nothing but that register changes. A component that was in its initial state leaves it. */
void xstate_write(struct arch_block *block, enum xstate_kind kind, unsigned number, const void *value);

#endif
