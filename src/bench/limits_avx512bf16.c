/* The bf16 limit by AVX512-BF16: dpbf16ps, 32 products added into 16 sums. */
#include <immintrin.h>

#include "bench/limits.h"

enum { CHAINS = 16 };

double limits_dot_avx512bf16(int64_t rounds) {
  __m512 sum[CHAINS];
  const __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f00); /* 0.5 */
  const __m512bh b = (__m512bh)_mm512_set1_epi16(0x3a00); /* 2^-11 */
  for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_set1_ps(1e-3f * (float)i);
  for (int64_t round = 0; round < rounds; round++)
    for (int i = 0; i < CHAINS; i++) sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
  for (int i = 1; i < CHAINS; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  volatile float sink = _mm512_cvtss_f32(sum[0]);
  (void)sink;
  return 2.0 * 32 * CHAINS * (double)rounds;
}
