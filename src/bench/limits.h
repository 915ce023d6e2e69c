/* What the machine can do at most: the denominators of the benchmark. Each is
 * the fastest loop we know that does that one thing and nothing else, run by
 * the CPU's newest instruction set on a given pool of threads. */
#ifndef PFL_BENCH_LIMITS_H
#define PFL_BENCH_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/threads.h"

/* X(NAME, name in reports, unit, what it is). */
#define BENCH_LIMIT_LIST(X)                                                  \
  X(FMA, "f32_fma", "GFLOP/s", "f32 multiply-add out of registers")          \
  X(DOT, "bf16_dot", "GFLOP/s", "bf16 pair products added in f32, likewise") \
  X(READ, "memory_read", "GB/s", "reading memory, far beyond the caches")

typedef enum bench_limit {
#define BENCH_LIMIT_ENUM(name, text, unit, what) BENCH_LIMIT_##name,
  BENCH_LIMIT_LIST(BENCH_LIMIT_ENUM)
#undef BENCH_LIMIT_ENUM
      BENCH_LIMIT_COUNT
} bench_limit;

/* Each compute loop does `rounds` steps and returns its FLOPs; no memory. */
typedef struct limits_kernels {
  double (*fma)(int64_t rounds);
  double (*dot)(int64_t rounds); /* NULL: the CPU has no such instruction */
  /* Reads every byte, in two streams; bytes a multiple of LIMITS_READ_STEP. */
  void (*read)(const char *memory, size_t bytes);
} limits_kernels;

#define LIMITS_READ_STEP 1024

double limits_fma_portable(int64_t rounds);
void limits_read_portable(const char *memory, size_t bytes);
double limits_fma_avx2(int64_t rounds);
void limits_read_avx2(const char *memory, size_t bytes);
double limits_fma_avx512(int64_t rounds);
void limits_read_avx512(const char *memory, size_t bytes);
double limits_dot_avx512bf16(int64_t rounds);

/* The newest that this CPU has. */
limits_kernels limits_kernels_best(void);

/* For READ: a ring that one run reads once around, from `start`. */
typedef struct limits_ring {
  const char *memory;
  size_t bytes, start; /* multiples of LIMITS_READ_STEP */
} limits_ring;

/* One run of `limit` on the pool; returns the work done, FLOPs or bytes. A run
 * is made of many short tasks, so that a thread that is held up costs little.
 * `ring` may be NULL unless the limit is READ. */
double limits_run(bench_limit limit, const limits_kernels *kernels,
                  base_threads *threads, const limits_ring *ring);

#endif
