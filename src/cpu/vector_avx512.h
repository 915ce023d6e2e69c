/* Vectors of 16 f32 for AVX-512 F, BW, DQ. The twin of vector_avx2.h. */
#ifndef PFL_CPU_VECTOR_AVX512_H
#define PFL_CPU_VECTOR_AVX512_H

#include <immintrin.h>
#include <stdint.h>

enum {
  LANES = 16,
  TILE_ROWS = 6, /* 6 x 4 sums, 4 of B, 1 of A: 29 of 32 registers */
  TILE_VECTORS = 4,
  ROW_KEYS = 4, /* a decode step takes 4 keys with 4 query rows: 16 sums */
  ROW_QUERIES = 4,
  ACC_VECTORS = 4 /* and of O, that many vectors of each query row */
};

typedef __m512 vf;

static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
static inline vf vf_set(float a) { return _mm512_set1_ps(a); }
static inline vf vf_zero(void) { return _mm512_setzero_ps(); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
/* the second if either is a NaN */
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
static inline vf vf_copysign(vf a, vf sign) {
  vf bit = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_andnot_ps(bit, a), _mm512_and_ps(bit, sign));
}
/* a < b ? x : y */
static inline vf vf_select_less(vf a, vf b, vf x, vf y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, 8); }
/* a 2^n for whole n */
static inline vf vf_scale(vf a, vf n) { return _mm512_scalef_ps(a, n); }
#define VF_EXP2_LOW -150.0f
#define VF_EXP2_HIGH 128.0f

static inline float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
/* The sums of four vectors. */
static inline __m128 vf_sum4(const vf a[4]) {
  vf x = _mm512_add_ps(_mm512_unpacklo_ps(a[0], a[1]),
                       _mm512_unpackhi_ps(a[0], a[1]));
  vf y = _mm512_add_ps(_mm512_unpacklo_ps(a[2], a[3]),
                       _mm512_unpackhi_ps(a[2], a[3]));
  vf z = _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x44),
                       _mm512_shuffle_ps(x, y, 0xee));
  __m256 w =
      _mm256_add_ps(_mm512_castps512_ps256(z), _mm512_extractf32x8_ps(z, 1));
  return _mm_add_ps(_mm256_castps256_ps128(w), _mm256_extractf128_ps(w, 1));
}
static inline float vf_most(vf a) { return _mm512_reduce_max_ps(a); }

static inline vf vf_load_bf16(const uint16_t *p) {
  __m256i x = _mm256_loadu_si256((const __m256i *)p);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
static inline vf vf_load_f16(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline vf vf_load_i8(const int8_t *p) {
  __m128i x = _mm_loadu_si128((const __m128i *)p);
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
}
static inline void vf_store_f16(uint16_t *p, vf a) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, 0));
}
/* to nearest, ties to even; NaN stays NaN */
static inline void vf_store_bf16(uint16_t *p, vf a) {
  __m512i bits = _mm512_castps_si512(a);
  __m512i odd =
      _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i up =
      _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  __m512i nan = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  __mmask16 is_nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
  __m512i high =
      _mm512_srli_epi32(_mm512_mask_blend_epi32(is_nan, up, nan), 16);
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(high));
}

/* out[c * out_row + r] = in[r * in_row + c] for r, c of 0 .. 15: a 4 x 4
 * transpose within each 128-bit part, after the parts of rows 4 apart have
 * been brought together by the loads. */
static inline void vf_transpose(float *out, int64_t out_row, const float *in,
                                int64_t in_row) {
  for (int c = 0; c < 16; c += 4) {
    __m512 x[4], y[4];
    for (int i = 0; i < 4; i++) {
      const float *p = in + i * in_row + c;
      x[i] = _mm512_castps128_ps512(_mm_loadu_ps(p));
      x[i] = _mm512_insertf32x4(x[i], _mm_loadu_ps(p + 4 * in_row), 1);
      x[i] = _mm512_insertf32x4(x[i], _mm_loadu_ps(p + 8 * in_row), 2);
      x[i] = _mm512_insertf32x4(x[i], _mm_loadu_ps(p + 12 * in_row), 3);
    }
    y[0] = _mm512_unpacklo_ps(x[0], x[1]);
    y[1] = _mm512_unpackhi_ps(x[0], x[1]);
    y[2] = _mm512_unpacklo_ps(x[2], x[3]);
    y[3] = _mm512_unpackhi_ps(x[2], x[3]);
    float *o = out + c * out_row;
    vf_store(o, _mm512_shuffle_ps(y[0], y[2], 0x44));
    vf_store(o + out_row, _mm512_shuffle_ps(y[0], y[2], 0xee));
    vf_store(o + 2 * out_row, _mm512_shuffle_ps(y[1], y[3], 0x44));
    vf_store(o + 3 * out_row, _mm512_shuffle_ps(y[1], y[3], 0xee));
  }
}

/* out[i] holds a[i] below b[i], 16 of them */
static inline void vf_interleave(uint32_t *out, const uint16_t *a,
                                 const uint16_t *b) {
  __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)a));
  __m512i y = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)b));
  _mm512_storeu_si512(out, _mm512_or_si512(x, _mm512_slli_epi32(y, 16)));
}

#endif
