/* The limits by AVX2 and FMA. */
#include <immintrin.h>

#include "bench/limits.h"

/* Chains: two multiply-adds a cycle, five cycles each, in 16 registers. */
enum { CHAINS = 12 };

double limits_fma_avx2(int64_t rounds) {
  __m256 sum[CHAINS];
  const __m256 factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(1e-8f);
  for (int i = 0; i < CHAINS; i++) sum[i] = _mm256_set1_ps(1e-3f * (float)i);
  for (int64_t round = 0; round < rounds; round++)
    for (int i = 0; i < CHAINS; i++)
      sum[i] = _mm256_fmadd_ps(sum[i], factor, term);
  for (int i = 1; i < CHAINS; i++) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  volatile float sink = _mm256_cvtss_f32(sum[0]);
  (void)sink;
  return 2.0 * 8 * CHAINS * (double)rounds;
}

static inline __m256i add(__m256i sum, const char *memory) {
  return _mm256_add_epi32(sum, _mm256_loadu_si256((const void *)memory));
}

/* Integer sums: no byte pattern is slow to add. */
void limits_read_avx2(const char *memory, size_t bytes) {
  const char *other = memory + bytes / 2;
  __m256i sum[8];
  for (int i = 0; i < 8; i++) sum[i] = _mm256_setzero_si256();
  for (size_t at = 0; at < bytes / 2; at += 4 * sizeof(__m256i))
    for (size_t i = 0; i < 4; i++) {
      size_t from = at + i * sizeof(__m256i);
      sum[i] = add(sum[i], memory + from);
      sum[i + 4] = add(sum[i + 4], other + from);
    }
  for (int i = 1; i < 8; i++) sum[0] = _mm256_add_epi32(sum[0], sum[i]);
  volatile int sink = _mm_cvtsi128_si32(_mm256_castsi256_si128(sum[0]));
  (void)sink;
}
