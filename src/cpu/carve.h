/* Cutting one workspace into arrays. The same function lays it out and, on a
 * carver without a base, tells how many bytes it takes. */
#ifndef PFL_CPU_CARVE_H
#define PFL_CPU_CARVE_H

#include "base/memory.h"

typedef struct cpu_carver {
  char *base;  /* NULL: only measure */
  size_t used; /* SIZE_MAX: more than there can be */
} cpu_carver;

/* `count` elements of `size` bytes, aligned to a cache line. */
static inline void *cpu_carve(cpu_carver *carver, int64_t count, size_t size) {
  size_t start = carver->used, bytes, end;
  if (count < 0 || __builtin_mul_overflow((size_t)count, size, &bytes) ||
      __builtin_add_overflow(bytes, (size_t)BASE_ALIGNMENT - 1, &bytes) ||
      __builtin_add_overflow(start, bytes & ~(size_t)(BASE_ALIGNMENT - 1),
                             &end)) {
    carver->used = SIZE_MAX;
    return NULL;
  }
  carver->used = end;
  return carver->base ? carver->base + start : NULL;
}

static inline float *cpu_carve_floats(cpu_carver *carver, int64_t count) {
  return cpu_carve(carver, count, sizeof(float));
}

#endif
