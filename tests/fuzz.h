/* What a fuzz target is: one function that gives any bytes to a parser and
 * ends the program if a property does not hold. An engine drives it
 * (clang -fsanitize=fuzzer,address fuzz_NAME.c), or fuzz_main.c, which replays
 * a corpus. */
#ifndef PFL_TESTS_FUZZ_H
#define PFL_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The target's: whether the parser took the last input. */
extern bool fuzz_accepted;

#define FUZZ_NEED(condition)                                                \
  do {                                                                      \
    if (!(condition)) {                                                     \
      fprintf(stderr, "%s:%d: not (%s)\n", __FILE__, __LINE__, #condition); \
      abort();                                                              \
    }                                                                       \
  } while (0)

#endif
