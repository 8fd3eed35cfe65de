/* gdb's agent expressions, as packets bring them: the conditions and commands of breakpoints (points.c), and those of tracepoints.
 * Registers have the client's numbers in them, and become the library's; what is checked beside that the library checks. */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "printing.h"
#include "server.h"

/* How many bytes follow an instruction; -1: there is none of that number. */
static int operand_bytes(const unsigned char *code, size_t left)
{
    switch (code[0]) {
    case 0x16: /* ext */
    case 0x2a: /* zero_ext */
    case 0x22: /* const8 */
    case 0x0d: /* trace_quick */
    case 0x32: /* pick */
        return 1;
    case 0x20: /* if_goto */
    case 0x21: /* goto */
    case 0x23: /* const16 */
    case 0x26: /* reg */
    case 0x2c: /* getv */
    case 0x2d: /* setv */
    case 0x2e: /* tracev */
    case 0x30: /* trace16 */
        return 2;
    case 0x24: /* const32 */
        return 4;
    case 0x25: /* const64 */
        return 8;
    case 0x34: /* printf: count, length, text */
        return left >= 4 ? 3 + (code[2] << 8 | code[3]) : -1;
    default:
        return 0;
    }
}

/* The client's numbers of registers become the library's, and, if it has variables, those get out of the library's way. */
static bool translate(const struct target *target, unsigned char *code, size_t size, bool has_variables)
{
    for (size_t at = 0; at < size;) {
        int operands = operand_bytes(code + at, size - at);
        if (operands < 0 || at + 1 + (size_t)operands > size)
            return false;
        if (code[at] == 0x26) {
            size_t number = (size_t)(code[at + 1] << 8 | code[at + 2]);
            if (number >= target->count || target->places[number].offset)
                return false;
            int index = target->places[number].index;
            code[at + 1] = (unsigned char)(index >> 8);
            code[at + 2] = (unsigned char)index;
        } else if (has_variables && code[at] >= 0x2c && code[at] <= 0x2e) { /* getv, setv, tracev */
            if (code[at + 1] & AGENT_VARIABLES >> 8)
                return false;
            code[at + 1] |= AGENT_VARIABLES >> 8;
        }
        at += 1 + (size_t)operands;
    }
    return true;
}

bool agent_parse(const struct target *target, const char **text, bool has_variables, rein_bytecode **made)
{
    uint64_t number;
    *made = NULL;
    if (!parse_prefix(text, "X") || !parse_hex_to(text, ',', &number) || number == 0 || number > 0x10000 ||
        strnlen(*text, 2 * (size_t)number) < 2 * (size_t)number)
        return false;
    size_t size = (size_t)number;
    unsigned char *code = malloc(size);
    bool good = code && parse_bytes(*text, 2 * size, code, size) == (long)size &&
                translate(target, code, size, has_variables) && rein_bytecode_create(code, size, made) == 0;
    free(code);
    *text += good ? 2 * size : 0;
    return good;
}

/* ---- printf of a command ---- */

/* To standard output, as gdbserver's: the program's own stream. */
void agent_print(void *arg, const char *format, const rein_word *values, size_t count)
{
    rein_thread *thread = arg;
    size_t next = 0;
    char text[1024], piece[64];
    size_t used = 0;
    for (const char *at = format; *at && used + 1 < sizeof text; at++) {
        if (*at == '\\' && at[1]) {
            at++;
            text[used++] = *at == 'n' ? '\n' : *at == 't' ? '\t' : *at == 'r' ? '\r' : *at == 'a' ? '\a' : *at;
            continue;
        }
        if (*at != '%') {
            text[used++] = *at;
            continue;
        }
        if (at[1] == '%') {
            text[used++] = *++at;
            continue;
        }
        size_t length = 0;
        bool is_long = false;
        for (piece[length++] = *at++; *at && strchr("-+ #0123456789.lhzjt", *at) && length < sizeof piece - 4; at++) {
            is_long |= *at == 'l' || *at == 'z' || *at == 'j' || *at == 't';
            if (!strchr("lhzjt", *at))
                piece[length++] = *at;
        }
        if (!*at)
            break;
        rein_word value = next < count ? values[next] : 0;
        next++;
        int got = 0;
        if (*at == 's') {
            char string[256];
            size_t done = 0;
            rein_thread_read(thread, value, string, sizeof string - 1, &done);
            string[done] = '\0';
            piece[length++] = 's';
            piece[length] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            got = snprintf(text + used, sizeof text - used, piece, string);
        } else if (strchr("diuxXoc", *at)) {
            char kind = *at;
            if (kind == 'c') {
                piece[length++] = 'c';
                piece[length] = '\0';
                got = snprintf(text + used, sizeof text - used, piece, (int)value);
            } else {
                piece[length++] = 'l';
                piece[length++] = 'l';
                piece[length++] = kind;
                piece[length] = '\0';
                bool is_signed = kind == 'd' || kind == 'i';
                rein_word shown = is_long ? value : is_signed ? (rein_word)(int64_t)(int32_t)value : (uint32_t)value;
                got = snprintf(text + used, sizeof text - used, piece, (long long)shown);
            }
#pragma GCC diagnostic pop
        } else if (*at == 'p') {
            got = snprintf(text + used, sizeof text - used, "0x%llx", (unsigned long long)value);
        }
        if (got > 0)
            used += (size_t)got < sizeof text - used ? (size_t)got : sizeof text - used - 1;
    }
    printing_add(text, used);
}
