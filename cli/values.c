/* The values of registers in words. Registers' bytes have the lowest first on every architecture that rein knows, and so
 * has the host, which is of the same. */
#include "values.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct lane_kind kinds[] = {
    {REIN_LANES_INT8, "int8", 1},         {REIN_LANES_INT16, "int16", 2},     {REIN_LANES_INT32, "int32", 4},
    {REIN_LANES_INT64, "int64", 8},       {REIN_LANES_INT128, "int128", 16},  {REIN_LANES_FLOAT16, "float16", 2},
    {REIN_LANES_BFLOAT16, "bfloat16", 2}, {REIN_LANES_FLOAT32, "float32", 4}, {REIN_LANES_FLOAT64, "float64", 8},
};
const char values_lane_names[] = "int8, int16, int32, int64, int128, float16, bfloat16, float32, float64";

const struct lane_kind *values_lane_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

bool values_is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

uint64_t values_word(const unsigned char *bytes, size_t size)
{
    uint64_t word = 0;
    memcpy(&word, bytes, size);
    return word;
}

char *values_hex(const unsigned char *bytes, size_t size, bool all_digits)
{
    char *text = cli_alloc(2 * size + 3, 1), *digits = text + 2;
    text[0] = '0', text[1] = 'x';
    for (size_t i = 0; i < size; i++)
        snprintf(digits + 2 * i, 3, "%02x", bytes[size - 1 - i]);
    size_t zeros = all_digits ? 0 : strspn(digits, "0");
    if (zeros == 2 * size)
        zeros--;
    memmove(digits, digits + zeros, 2 * size - zeros + 1);
    return text;
}

/* ---- Numbers, in enough digits to give the same number again ---- */

static char *from_double(double value)
{
    char text[40];
    for (int digits = DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return cli_copy(text);
}

static char *from_float(float value)
{
    char text[40];
    for (int digits = FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return cli_copy(text);
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float half_of(uint32_t bits)
{
    uint32_t sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 0x1f, fraction = bits & 0x3ff;
    if (exponent == 0) /* a denormal: units of 2^-24 */
        return (sign != 0 ? -1.0F : 1.0F) * (float)fraction * 0x1p-24F;
    exponent = exponent == 0x1f ? 0xff : exponent + 127 - 15;
    return float_of(sign | exponent << 23 | fraction << 13);
}

char *values_lane(const struct lane_kind *kind, const unsigned char *bytes)
{
    uint64_t word = kind->bytes <= 8 ? values_word(bytes, kind->bytes) : 0;
    switch (kind->lane) {
    case REIN_LANES_INT8:
        return cli_format("%d", (int8_t)word);
    case REIN_LANES_INT16:
        return cli_format("%d", (int16_t)word);
    case REIN_LANES_INT32:
        return cli_format("%" PRId32, (int32_t)word);
    case REIN_LANES_INT64:
        return cli_format("%" PRId64, (int64_t)word);
    case REIN_LANES_FLOAT16:
        return from_float(half_of((uint32_t)word));
    case REIN_LANES_BFLOAT16:
        return from_float(float_of((uint32_t)word << 16));
    case REIN_LANES_FLOAT32:
        return from_float(float_of((uint32_t)word));
    case REIN_LANES_FLOAT64: {
        double value;
        memcpy(&value, bytes, sizeof value);
        return from_double(value);
    }
    default:
        return values_hex(bytes, kind->bytes, false);
    }
}

#if LDBL_MANT_DIG == 64 /* the host's long double is the x87's format */
char *values_float80(const unsigned char *bytes)
{
    char text[64];
    long double value = 0;
    bool has_exponent = (values_word(bytes + 8, 2) & 0x7fff) != 0, has_integer = bytes[7] >> 7 != 0;
    if (has_exponent && !has_integer) /* of the 8087; printf must not see it */
        return cli_copy("invalid");
    memcpy(&value, bytes, 10);
    for (int digits = LDBL_DIG; digits <= LDBL_DECIMAL_DIG; digits++) {
        snprintf(text, sizeof text, "%.*Lg", digits, value);
        if (strtold(text, NULL) == value)
            break;
    }
    return cli_copy(text);
}
#else
char *values_float80(const unsigned char *bytes)
{
    return values_hex(bytes, 10, true); /* only x86 has such registers */
}
#endif

char *values_flag(const struct rein_register_flag *flag, uint64_t word)
{
    uint64_t value = word >> flag->low & ((UINT64_C(2) << (flag->high - flag->low)) - 1);
    if (value == 0)
        return NULL;
    return flag->low == flag->high ? cli_copy(flag->name) : cli_format("%s=%" PRIu64, flag->name, value);
}
