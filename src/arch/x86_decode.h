/* Zydis, as the files of x86 that look into an instruction use it. */
#ifndef REIN_ARCH_X86_DECODE_H
#define REIN_ARCH_X86_DECODE_H

#include <Zydis/Zydis.h>

#include "arch/x86.h"

/* operands has room for ZYDIS_MAX_OPERAND_COUNT; NULL: they are not wanted. */
bool x86_decode(enum x86_mode mode, const unsigned char *code, size_t size, ZydisDecodedInstruction *instruction,
                ZydisDecodedOperand *operands);

#endif
