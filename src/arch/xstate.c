/* The layout of XSAVE's standard format, in which ptrace always hands the extended state out and takes it (the kernel keeps
 * it compacted, and converts: copy_xstate_to_uabi_buf() in arch/x86/kernel/fpu/xstate.c). Where a component begins is
 * for the processor to say (CPUID, leaf 0xd), but for the first two:
 *
 *   0    x87: control, status and tag words, last instruction and operand; from 32 on st0-st7, 16 bytes each
 *   24   mxcsr and its mask
 *   160  SSE: xmm0-xmm15
 *   464  the kernel's own: which components it saves at all (XCR0)
 *   512  the header: XSTATE_BV, a bit for each component that is not in its initial state; 0 (a compacted block would say so
 *        here)
 *   576  whatever else there is
 *
 * What is in the place of a component whose bit is clear means nothing. Writing a register of such a component puts the
 * initial state there and sets the bit.
 *
 * mxcsr belongs to SSE and AVX alike: it has its initial value when the bits of both are clear, as for the kernel.
 *
 * A kernel that does without XSAVE hands out the first 512 bytes only (FXSAVE's format); there, x87 and SSE are always in
 * use. */
#include "arch/xstate.h"

#include <cpuid.h>
#include <stdatomic.h>
#include <string.h>

enum {
    OFFSET_MXCSR = 24,
    OFFSET_SSE = 160,
    OFFSET_XCR0 = 464,
    LEGACY_SIZE = 512,
    OFFSET_XSTATE_BV = 512,
    OFFSET_EXTENDED = 576,
    /* In the x87's component. */
    X87_CONTROL = 0,
    X87_STATUS = 2,
    X87_TAGS = 4, /* abridged: a bit for each physical register that is not empty */
    X87_OPCODE = 6,
    X87_STACK = 32,
    X87_SIZE = OFFSET_SSE,
    SSE_SIZE = 256,
    X87_INITIAL_CONTROL = 0x37f,
    INITIAL_MXCSR = 0x1f80,
    OPCODE_BITS = 0x7ff,
    TAG_VALID = 0, /* in the whole tag word */
    TAG_ZERO = 1,
    TAG_SPECIAL = 2,
    TAG_EMPTY = 3,
    CPUID_XSTATE = 0xd,
    CPUID_SUPERVISOR = 1, /* in ecx: not a program's to have */
};
#define BIT(component) (UINT64_C(1) << (component))

static uint64_t get(const struct arch_block *block, size_t offset, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, block->bytes + offset, size); /* x86 is little-endian */
    return value;
}

static void put(struct arch_block *block, size_t offset, size_t size, uint64_t value)
{
    memcpy(block->bytes + offset, &value, size);
}

/* Where the processor has a component. It says the same each time, but CPUID is a trap in a virtual machine, some 20 us: so what it
 * has said is kept, for the whole process. Size 0: it is none of a program's. */
static struct arch_part place(unsigned component)
{
    static _Atomic uint32_t known[ARCH_PARTS_MAX]; /* offset << 16 | size; 0: not asked yet */
    uint32_t packed = atomic_load_explicit(&known[component], memory_order_relaxed);
    if (!packed) {
        unsigned size, offset, flags, unused;
        __cpuid_count(CPUID_XSTATE, component, size, offset, flags, unused);
        bool is_users = !(flags & CPUID_SUPERVISOR) && offset >= OFFSET_EXTENDED && offset <= UINT16_MAX && size &&
                        size <= UINT16_MAX;
        packed = is_users ? (uint32_t)offset << 16 | size : 1;
        atomic_store_explicit(&known[component], packed, memory_order_relaxed);
    }
    return packed == 1 ? (struct arch_part){0, 0} : (struct arch_part){packed >> 16, packed & UINT16_MAX};
}

void xstate_lay_out(struct arch_block *block)
{
    memset(block->parts, 0, sizeof block->parts);
    if (block->size < LEGACY_SIZE)
        return;
    block->parts[XSTATE_COMPONENT_X87] = (struct arch_part){0, X87_SIZE};
    block->parts[XSTATE_COMPONENT_SSE] = (struct arch_part){OFFSET_SSE, SSE_SIZE};
    uint64_t saved = block->size < OFFSET_EXTENDED ? 0 : get(block, OFFSET_XCR0, 8);
    for (unsigned i = XSTATE_COMPONENT_AVX; i < ARCH_PARTS_MAX; i++) {
        if (!(saved & BIT(i)))
            continue;
        struct arch_part part = place(i);
        if (part.size && part.offset <= block->size && part.size <= block->size - part.offset)
            block->parts[i] = part;
    }
}

static bool has_header(const struct arch_block *block)
{
    return block->size >= OFFSET_EXTENDED;
}

static uint64_t in_use(const struct arch_block *block)
{
    return has_header(block) ? get(block, OFFSET_XSTATE_BV, 8) : BIT(XSTATE_COMPONENT_X87) | BIT(XSTATE_COMPONENT_SSE);
}

static uint32_t mxcsr(const struct arch_block *block)
{
    if (!(in_use(block) & (BIT(XSTATE_COMPONENT_SSE) | BIT(XSTATE_COMPONENT_AVX))))
        return INITIAL_MXCSR;
    return (uint32_t)get(block, OFFSET_MXCSR, 4);
}

/* Takes a component out of its initial state, by putting just that there. */
static void use(struct arch_block *block, enum xstate_component component)
{
    const struct arch_part *part = &block->parts[component];
    uint64_t control = get(block, OFFSET_MXCSR, 8); /* it lies in the x87's component, with its mask */
    if (in_use(block) & BIT(component))
        return;
    control = (control & ~UINT64_C(0xffffffff)) | mxcsr(block);
    memset(block->bytes + part->offset, 0, part->size);
    if (component == XSTATE_COMPONENT_X87)
        put(block, X87_CONTROL, 2, X87_INITIAL_CONTROL);
    put(block, OFFSET_MXCSR, 8, control);
    put(block, OFFSET_XSTATE_BV, 8, in_use(block) | BIT(component));
}

/* ---- Where a register is ---- */

/* A wide register is in several components, each with some of its bytes, from the lowest up. */
struct piece {
    enum xstate_component component;
    unsigned offset; /* in the component */
    unsigned size;
};
enum { PIECES_MAX = 3, LOW_VECTORS = 16 };

static unsigned find_vector(unsigned number, unsigned size, struct piece *pieces)
{
    if (number >= LOW_VECTORS) {
        pieces[0] = (struct piece){XSTATE_COMPONENT_HIGH_ZMM, 64 * (number - LOW_VECTORS), size};
        return 1;
    }
    pieces[0] = (struct piece){XSTATE_COMPONENT_SSE, 16 * number, 16};
    pieces[1] = (struct piece){XSTATE_COMPONENT_AVX, 16 * number, 16};
    pieces[2] = (struct piece){XSTATE_COMPONENT_ZMM_HIGH, 32 * number, 32};
    return size == 16 ? 1 : size == 32 ? 2 : 3;
}

/* How many pieces; 0: mxcsr, which is in none. Of the x87's control registers only what the processor keeps. */
static unsigned find(enum xstate_kind kind, unsigned number, struct piece *pieces)
{
    static const struct piece single[] = {
        [XSTATE_FCTRL] = {XSTATE_COMPONENT_X87, X87_CONTROL, 2}, [XSTATE_FSTAT] = {XSTATE_COMPONENT_X87, X87_STATUS, 2},
        [XSTATE_FTAG] = {XSTATE_COMPONENT_X87, X87_TAGS, 1},     [XSTATE_FOP] = {XSTATE_COMPONENT_X87, X87_OPCODE, 2},
        [XSTATE_FIOFF] = {XSTATE_COMPONENT_X87, 8, 4},           [XSTATE_FISEG] = {XSTATE_COMPONENT_X87, 12, 2},
        [XSTATE_FOOFF] = {XSTATE_COMPONENT_X87, 16, 4},          [XSTATE_FOSEG] = {XSTATE_COMPONENT_X87, 20, 2},
        [XSTATE_ST] = {XSTATE_COMPONENT_X87, X87_STACK, 10},     [XSTATE_MASK] = {XSTATE_COMPONENT_OPMASK, 0, 8},
        [XSTATE_PKRU] = {XSTATE_COMPONENT_PKRU, 0, 4},           [XSTATE_TILECFG] = {XSTATE_COMPONENT_TILECFG, 0, 64},
        [XSTATE_TILE] = {XSTATE_COMPONENT_TILEDATA, 0, 1024},
    };
    static const unsigned distance[] = {[XSTATE_ST] = 16, [XSTATE_MASK] = 8, [XSTATE_TILE] = 1024};
    switch (kind) {
    case XSTATE_MXCSR:
        return 0;
    case XSTATE_XMM:
        return find_vector(number, 16, pieces);
    case XSTATE_YMM:
        return find_vector(number, 32, pieces);
    case XSTATE_ZMM:
        return find_vector(number, 64, pieces);
    default:
        pieces[0] = single[kind];
        if (number > 0)
            pieces[0].offset += number * distance[kind];
        return 1;
    }
}

bool xstate_has(const struct arch_block *block, enum xstate_kind kind, unsigned number)
{
    struct piece pieces[PIECES_MAX] = {{.component = XSTATE_COMPONENT_SSE}};
    unsigned count = find(kind, number, pieces), i = 0;
    do {
        const struct arch_part *part = &block->parts[pieces[i].component];
        if (part->size == 0 || part->size < pieces[i].offset + pieces[i].size)
            return false;
    } while (++i < count);
    return true;
}

static void read_piece(const struct arch_block *block, const struct piece *piece, void *value)
{
    if (in_use(block) & BIT(piece->component))
        memcpy(value, block->bytes + block->parts[piece->component].offset + piece->offset, piece->size);
    else
        memset(value, 0, piece->size); /* the initial state of all but fctrl and mxcsr */
}

/* ---- The x87's control registers: 4 bytes to the outside ---- */

/* The tag of a register that is not empty follows from what is in it. */
static unsigned tag_of(const struct arch_block *block, unsigned position)
{
    uint64_t significand = get(block, X87_STACK + 16 * position, 8);
    unsigned exponent = (unsigned)get(block, X87_STACK + 16 * position + 8, 2) & 0x7fff;
    if (exponent == 0 && significand == 0)
        return TAG_ZERO;
    return exponent == 0 || exponent == 0x7fff || !(significand >> 63) ? TAG_SPECIAL : TAG_VALID;
}

/* The block keeps the registers by their distance from the top of the stack, and the tags by register. */
static uint32_t whole_tags(const struct arch_block *block, unsigned abridged)
{
    unsigned top = (unsigned)get(block, X87_STATUS, 2) >> 11 & 7;
    uint32_t tags = 0;
    for (unsigned i = 0; i < 8; i++)
        tags |= (abridged & 1u << i ? tag_of(block, (i - top) & 7) : TAG_EMPTY) << 2 * i;
    return tags;
}

static uint64_t abridge(uint64_t tags)
{
    uint64_t abridged = 0;
    for (unsigned i = 0; i < 8; i++)
        abridged |= (uint64_t)((tags >> 2 * i & 3) != TAG_EMPTY) << i;
    return abridged;
}

static uint32_t read_control(const struct arch_block *block, enum xstate_kind kind, const struct piece *piece)
{
    uint32_t value = 0;
    if (kind == XSTATE_FCTRL && !(in_use(block) & BIT(XSTATE_COMPONENT_X87)))
        return X87_INITIAL_CONTROL;
    read_piece(block, piece, &value);
    switch (kind) {
    case XSTATE_FTAG:
        return whole_tags(block, value); /* in the initial state all are empty, and nothing is looked at */
    case XSTATE_FOP:
        return value & OPCODE_BITS;
    default:
        return value;
    }
}

static void write_control(struct arch_block *block, enum xstate_kind kind, const struct piece *piece, uint32_t value)
{
    if (kind == XSTATE_FTAG)
        value = (uint32_t)abridge(value);
    if (kind == XSTATE_FOP) /* the bits above it are reserved, and not ours to change */
        value = (value & OPCODE_BITS) | ((uint32_t)get(block, X87_OPCODE, 2) & ~(uint32_t)OPCODE_BITS);
    put(block, piece->offset, piece->size, value);
}

static bool is_control(enum xstate_kind kind)
{
    return kind >= XSTATE_FCTRL && kind <= XSTATE_FOP;
}

/* ---- Reading and writing ---- */

void xstate_read(const struct arch_block *block, enum xstate_kind kind, unsigned number, void *value)
{
    struct piece pieces[PIECES_MAX];
    unsigned count = find(kind, number, pieces);
    uint32_t word;
    if (count == 0 || is_control(kind)) {
        word = count == 0 ? mxcsr(block) : read_control(block, kind, pieces);
        memcpy(value, &word, sizeof word);
        return;
    }
    unsigned char *to = value;
    for (unsigned i = 0; i < count; to += pieces[i++].size)
        read_piece(block, &pieces[i], to);
}

void xstate_write(struct arch_block *block, enum xstate_kind kind, unsigned number, const void *value)
{
    struct piece pieces[PIECES_MAX];
    unsigned count = find(kind, number, pieces);
    const unsigned char *from = value;
    if (count == 0) {
        use(block, XSTATE_COMPONENT_SSE);
        memcpy(block->bytes + OFFSET_MXCSR, from, 4);
        return;
    }
    for (unsigned i = 0; i < count; from += pieces[i++].size) {
        use(block, pieces[i].component);
        if (is_control(kind)) {
            uint32_t word;
            memcpy(&word, from, sizeof word);
            write_control(block, kind, &pieces[i], word);
        } else {
            memcpy(block->bytes + block->parts[pieces[i].component].offset + pieces[i].offset, from, pieces[i].size);
        }
    }
}
