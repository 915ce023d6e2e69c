/* Allocation through the caller's functions, and arithmetic that cannot wrap. */
#ifndef PFL_BASE_MEMORY_H
#define PFL_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pallas_flash/context.h"

/* Every block the library takes is aligned to this: a cache line, which is
 * also the widest vector. */
#define BASE_ALIGNMENT 64

/* NULL if there is none, or if `bytes` is absurd; zero bytes give a block. */
void *base_allocate(const pfl_allocator *allocator, size_t bytes);

/* Gives back what base_allocate gave; NULL is allowed. */
void base_release(const pfl_allocator *allocator, void *memory);

/* a * b for sizes >= 0; false if the product does not fit or one is negative. */
bool base_multiply(int64_t a, int64_t b, int64_t *out_product);

/* The product of `count` sizes; false as above. */
bool base_product(const int64_t *sizes, int count, int64_t *out_product);

static inline int64_t base_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t base_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t base_ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
static inline int64_t base_round_up(int64_t a, int64_t b) {
  return base_ceil_div(a, b) * b;
}

#endif
