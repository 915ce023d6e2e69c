/* The limits by AVX-512. */
#include <immintrin.h>

#include "bench/limits.h"

enum { CHAINS = 16 };

double limits_fma_avx512(int64_t rounds) {
  __m512 sum[CHAINS];
  const __m512 factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(1e-8f);
  for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_ps(1e-3f * (float)i);
  for (int64_t round = 0; round < rounds; round++)
    for (int i = 0; i < CHAINS; i++)
      sum[i] = _mm512_fmadd_ps(sum[i], factor, term);
  for (int i = 1; i < CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  volatile float sink = _mm512_cvtss_f32(sum[0]);
  (void)sink;
  return 2.0 * 16 * CHAINS * (double)rounds;
}

static inline __m512i add(__m512i sum, const char *memory) {
  return _mm512_add_epi32(sum, _mm512_loadu_si512((const void *)memory));
}

/* Integer sums: no byte pattern is slow to add. */
void limits_read_avx512(const char *memory, size_t bytes) {
  const char *other = memory + bytes / 2;
  __m512i sum[8];
  for (int i = 0; i < 8; i++) sum[i] = _mm512_setzero_si512();
  for (size_t at = 0; at < bytes / 2; at += 4 * sizeof(__m512i))
    for (size_t i = 0; i < 4; i++) {
      size_t from = at + i * sizeof(__m512i);
      sum[i] = add(sum[i], memory + from);
      sum[i + 4] = add(sum[i + 4], other + from);
    }
  for (int i = 1; i < 8; i++) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
  volatile int sink = _mm_cvtsi128_si32(_mm512_castsi512_si128(sum[0]));
  (void)sink;
}
