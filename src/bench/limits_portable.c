/* The limits by plain C, for CPUs with none of the instruction sets we have
 * files for. The compiler makes vectors of the inner loops. */
#include <math.h>
#include <string.h>

#include "bench/limits.h"

/* Eight chains of four lanes: the latency of the sums is hidden. */
enum { LANES = 32 };

double limits_fma_portable(int64_t rounds) {
  float sum[LANES], factor = 0.999f, term = 1e-8f;
  for (int i = 0; i < LANES; i++) sum[i] = 1e-3f * (float)i;
  for (int64_t round = 0; round < rounds; round++) {
    for (int i = 0; i < LANES; i++)
#ifdef __FP_FAST_FMAF
      sum[i] = fmaf(sum[i], factor, term);
#else
      sum[i] = sum[i] * factor + term;
#endif
  }
  volatile float sink = 0;
  for (int i = 0; i < LANES; i++) sink = sink + sum[i];
  return 2.0 * LANES * (double)rounds;
}

static inline uint64_t word_at(const char *memory) {
  uint64_t word;
  memcpy(&word, memory, sizeof word);
  return word;
}

void limits_read_portable(const char *memory, size_t bytes) {
  const char *other = memory + bytes / 2;
  uint64_t a = 0, b = 0, c = 0, d = 0;
  for (size_t at = 0; at < bytes / 2; at += 2 * sizeof a) {
    a += word_at(memory + at);
    b += word_at(memory + at + sizeof a);
    c += word_at(other + at);
    d += word_at(other + at + sizeof a);
  }
  volatile uint64_t sink = a + b + c + d;
  (void)sink;
}
