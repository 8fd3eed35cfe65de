/* What the fuzzed programs share. Each is a file with the two functions that libFuzzer calls; main.c calls them elsewhere.
 * Whoever finds something wrong aborts: that is a failing input. */
#ifndef REIN_FUZZ_H
#define REIN_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Says what is wrong, and aborts. */
_Noreturn void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the program with status 77 if it is not in tests/fuzz/sandbox: it would harm the machine. */
void fuzz_need_sandbox(void);
/* What a client writes, with its checksums made right: a fuzzer would never find them. What is in their place and no number of two
 * digits in hexadecimal stays, and is wrong. */
void fuzz_repair(uint8_t *stream, size_t size);

#endif
