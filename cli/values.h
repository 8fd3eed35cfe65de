/* The values of registers in words: as numbers of any width, as lanes, as named bits. */
#ifndef REIN_CLI_VALUES_H
#define REIN_CLI_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rein/rein.h>

/* A kind of lanes: one of REIN_LANES_..., its name ("float64"), its width. */
struct lane_kind {
    unsigned lane;
    const char *name;
    size_t bytes;
};
/* NULL: there is none of that name. */
const struct lane_kind *values_lane_kind(const char *name);
/* "int8, int16, ...": for messages. */
extern const char values_lane_names[];

bool values_is_zero(const unsigned char *bytes, size_t size);
uint64_t values_word(const unsigned char *bytes, size_t size); /* of at most 8 */
/* "0x...": the number that the bytes are, the lowest first. All digits, or none that are zeros in front. To be freed. */
char *values_hex(const unsigned char *bytes, size_t size, bool all_digits);
/* One lane in decimal, with enough digits to give it again; int128 in hex. To be freed. */
char *values_lane(const struct lane_kind *kind, const unsigned char *bytes);
/* The 10 bytes of an x87 register in decimal; "invalid" for what is no number to the processor. To be freed. */
char *values_float80(const unsigned char *bytes);
/* One of a flags register's fields: "ZF", "IOPL=3"; NULL when it is 0. To be freed. */
char *values_flag(const struct rein_register_flag *flag, uint64_t word);

#endif
