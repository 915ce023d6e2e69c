/* Vectors of 8 f32 for AVX2 with FMA and F16C. The twin of vector_avx512.h. */
#ifndef PFL_CPU_VECTOR_AVX2_H
#define PFL_CPU_VECTOR_AVX2_H

#include <immintrin.h>
#include <stdint.h>

enum {
  LANES = 8,
  TILE_ROWS = 6, /* 6 x 2 sums, 2 of B, 1 of A: 15 of 16 registers */
  TILE_VECTORS = 2,
  ROW_KEYS = 4, /* a decode step takes 4 keys with 2 query rows: 8 sums */
  ROW_QUERIES = 2,
  ACC_VECTORS = 4 /* and of O, that many vectors of each query row */
};

typedef __m256 vf;

static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
static inline vf vf_set(float a) { return _mm256_set1_ps(a); }
static inline vf vf_zero(void) { return _mm256_setzero_ps(); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
/* the second if either is a NaN */
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_abs(vf a) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
static inline vf vf_copysign(vf a, vf sign) {
  vf bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(bit, a), _mm256_and_ps(bit, sign));
}
/* a < b ? x : y */
static inline vf vf_select_less(vf a, vf b, vf x, vf y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline vf vf_round(vf a) { return _mm256_round_ps(a, 8); }
/* a 2^n for whole n >= -127; n = -127 gives 0 */
static inline vf vf_scale(vf a, vf n) {
  __m256i bits = _mm256_slli_epi32(
      _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(a, _mm256_castsi256_ps(bits));
}
#define VF_EXP2_LOW -127.0f
#define VF_EXP2_HIGH 127.0f

static inline float vf_sum(vf a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
/* The sums of four vectors. */
static inline __m128 vf_sum4(const vf a[4]) {
  vf x = _mm256_add_ps(_mm256_unpacklo_ps(a[0], a[1]),
                       _mm256_unpackhi_ps(a[0], a[1]));
  vf y = _mm256_add_ps(_mm256_unpacklo_ps(a[2], a[3]),
                       _mm256_unpackhi_ps(a[2], a[3]));
  vf z = _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x44),
                       _mm256_shuffle_ps(x, y, 0xee));
  return _mm_add_ps(_mm256_castps256_ps128(z), _mm256_extractf128_ps(z, 1));
}
static inline float vf_most(vf a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

static inline vf vf_load_bf16(const uint16_t *p) {
  __m128i x = _mm_loadu_si128((const __m128i *)p);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
static inline vf vf_load_f16(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline vf vf_load_i8(const int8_t *p) {
  __m128i x = _mm_loadl_epi64((const __m128i *)p);
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x));
}
static inline void vf_store_f16(uint16_t *p, vf a) {
  _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, 0));
}
/* to nearest, ties to even; NaN stays NaN */
static inline void vf_store_bf16(uint16_t *p, vf a) {
  __m256i bits = _mm256_castps_si256(a);
  __m256i odd =
      _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i up =
      _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  __m256i nan = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(up, nan, is_nan), 16);
  __m256i packed =
      _mm256_permute4x64_epi64(_mm256_packus_epi32(high, high), 0x08);
  _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(packed));
}

/* out[c * out_row + r] = in[r * in_row + c] for r, c of 0 .. 7 */
static inline void vf_transpose(float *out, int64_t out_row, const float *in,
                                int64_t in_row) {
  __m256 x[8], y[8];
  for (int i = 0; i < 4; i++) { /* lanes 0-3 of row i, then of row i + 4 */
    x[i] = _mm256_insertf128_ps(
        _mm256_castps128_ps256(_mm_loadu_ps(in + i * in_row)),
        _mm_loadu_ps(in + (i + 4) * in_row), 1);
    x[i + 4] = _mm256_insertf128_ps(
        _mm256_castps128_ps256(_mm_loadu_ps(in + i * in_row + 4)),
        _mm_loadu_ps(in + (i + 4) * in_row + 4), 1);
  }
  for (int i = 0; i < 8; i += 4) {
    y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
    y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    y[i + 2] = _mm256_unpacklo_ps(x[i + 2], x[i + 3]);
    y[i + 3] = _mm256_unpackhi_ps(x[i + 2], x[i + 3]);
  }
  for (int i = 0; i < 8; i += 4) {
    float *o = out + i * out_row;
    vf_store(o, _mm256_shuffle_ps(y[i], y[i + 2], 0x44));
    vf_store(o + out_row, _mm256_shuffle_ps(y[i], y[i + 2], 0xee));
    vf_store(o + 2 * out_row, _mm256_shuffle_ps(y[i + 1], y[i + 3], 0x44));
    vf_store(o + 3 * out_row, _mm256_shuffle_ps(y[i + 1], y[i + 3], 0xee));
  }
}

/* out[i] holds a[i] below b[i], 8 of them */
static inline void vf_interleave(uint32_t *out, const uint16_t *a,
                                 const uint16_t *b) {
  __m128i x = _mm_loadu_si128((const __m128i *)a);
  __m128i y = _mm_loadu_si128((const __m128i *)b);
  _mm_storeu_si128((__m128i *)out, _mm_unpacklo_epi16(x, y));
  _mm_storeu_si128((__m128i *)(out + 4), _mm_unpackhi_epi16(x, y));
}

#endif
