/* What AVX512-BF16 adds: products of bf16 pairs, and P and dS in bf16. */
#include "cpu/vector_avx512.h"

#include "cpu/kernels.h"
#include "cpu/stream.h"
#include "cpu/vector_math.h"

#define PRODUCT_NAME product_bf16
#define PRODUCT_FMA(sum, a, b) \
  _mm512_dpbf16_ps(sum, (__m512bh)(a), (__m512bh)(b))
#include "cpu/product_template.h"

/* Word i holds low[i] below high[i], in bf16. */
static inline __m512i pair(vf low, vf high) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11,
                                         26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order,
                                  (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* As softmax_f32, two keys at a time: a row of pairs lands where the scores of
 * half its keys were, which have been read by then. */
static void softmax_bf16(const cpu_softmax *x) {
  enum { VECTORS = CPU_PANEL / LANES };
  vf m[VECTORS], sum[VECTORS], before[VECTORS];
  for (int v = 0; v < VECTORS; v++) {
    before[v] = m[v] = vf_load(x->m + v * LANES);
    sum[v] = vf_zero();
  }
  for (int64_t j = 0; j < x->keys; j++)
    for (int v = 0; v < VECTORS; v++)
      m[v] = vf_max(m[v], vf_load(x->scores + j * CPU_PANEL + v * LANES));
  for (int64_t j = 0; j < x->keys; j += 2)
    for (int v = 0; v < VECTORS; v++) {
      const float *s = x->scores + j * CPU_PANEL + v * LANES;
      vf low = vf_exp2(vf_sub(vf_load(s), m[v])), high = vf_zero();
      if (j + 1 < x->keys) high = vf_exp2(vf_sub(vf_load(s + CPU_PANEL), m[v]));
      sum[v] = vf_add(sum[v], vf_add(low, high));
      _mm512_storeu_si512(x->scores + j / 2 * CPU_PANEL + v * LANES,
                          pair(low, high));
    }

  for (int v = 0; v < VECTORS; v++) {
    int at = v * LANES;
    vf rescale = vf_exp2(vf_sub(before[v], m[v]));
    vf_store(x->rescale + at, rescale);
    vf_store(x->l + at, vf_fma(vf_load(x->l + at), rescale, sum[v]));
    vf_store(x->m + at, m[v]);
  }
}

/* P and dS of one vector of a key's row. */
static inline void gradient(const cpu_gradient *x, int64_t at, int i, vf *p,
                            vf *ds) {
  vf score = vf_load(x->scores + at);
  *p = vf_exp2(vf_sub(score, vf_load(x->lse + i)));
  /* a hidden key has -inf, and -inf 0 is NaN, which the maximum drops */
  vf capped = vf_max(vf_mul(score, vf_set(x->inv_cap)), vf_set(-1));
  vf slope = vf_mul(vf_fnma(capped, capped, vf_set(1)), vf_set(x->scale));
  vf change = vf_sub(vf_load(x->d_weights + at), vf_load(x->delta + i));
  *ds = vf_mul(vf_mul(*p, change), slope);
}

/* 32 columns of two keys at a time: all of a row is read before any of it is
 * overwritten, since its bf16 form takes the first half of its place. */
static void gradient_bf16(const cpu_gradient *x) {
  enum { VECTORS = CPU_PANEL / LANES };
  for (int64_t j = 0; j < x->keys; j += 2) {
    vf p[2][VECTORS], ds[2][VECTORS];
    for (int k = 0; k < 2; k++)
      for (int v = 0; v < VECTORS; v++)
        if (j + k < x->keys)
          gradient(x, (j + k) * CPU_PANEL + v * LANES, v * LANES, &p[k][v],
                   &ds[k][v]);
        else
          p[k][v] = ds[k][v] = vf_zero();
    for (int v = 0; v < VECTORS; v++)
      _mm512_storeu_si512(x->ds_pairs + j / 2 * CPU_PANEL + v * LANES,
                          pair(ds[0][v], ds[1][v]));
    for (int k = 0; k < 2 && j + k < x->keys; k++)
      for (int v = 0; v < VECTORS; v += 2) {
        int64_t word = (j + k) * (CPU_PANEL / 2) + v / 2 * LANES;
        _mm512_storeu_si512(x->scores + word,
                            (__m512i)_mm512_cvtne2ps_pbh(p[k][v + 1], p[k][v]));
        _mm512_storeu_si512(x->d_weights + word, (__m512i)_mm512_cvtne2ps_pbh(
                                                     ds[k][v + 1], ds[k][v]));
      }
  }
}

/* The last 1 to 32 elements of a row from p on, zeros after them. */
static inline __m512i load_bf16(const uint16_t *p, int64_t count) {
  __mmask32 some = count < 32 ? (1u << count) - 1 : ~0u;
  return _mm512_maskz_loadu_epi16(some, p);
}

/* Scores of `keys` rows of the cache against up to 4 query rows of pairs. */
static inline __attribute__((always_inline)) void scores_tile(
    const cpu_rows *x, const __m512i *q, int64_t j, int64_t r, const int keys,
    const int rows) {
  vf sum[ROW_QUERIES][ROW_KEYS];
  for (int i = 0; i < rows; i++)
    for (int k = 0; k < keys; k++) sum[i][k] = vf_zero();
  const uint16_t *from = (const uint16_t *)x->x + j * x->width;
  int64_t steps = (x->width + 31) / 32;
  const uint16_t *ahead = x->ahead;
  cpu_stream stream = cpu_stream_init(ahead ? ahead + j * x->width : NULL,
                                      keys * x->width * 2, steps);
  for (int64_t d = 0; d < steps; d++) {
    __m512i kv[ROW_KEYS];
    for (int k = 0; k < keys; k++)
      kv[k] = load_bf16(from + k * x->width + d * 32, x->width - d * 32);
    if (r == 0) cpu_stream_step(&stream);
    for (int i = 0; i < rows; i++) {
      __m512i qv = q[d * ROW_QUERIES + i];
      for (int k = 0; k < keys; k++)
        sum[i][k] = _mm512_dpbf16_ps(sum[i][k], (__m512bh)qv, (__m512bh)kv[k]);
    }
  }
  for (int i = 0; i < rows; i++) {
    float *s = x->s + (r + i) * x->s_row + j;
    if (keys == ROW_KEYS)
      _mm_storeu_ps(s, _mm_mul_ps(_mm_set1_ps(x->alpha), vf_sum4(sum[i])));
    else
      s[0] = x->alpha * vf_sum(sum[i][0]);
  }
}

/* Query rows r .. r + rows - 1 against all of the cache's. The rows hold bf16
 * values, so that making bf16 of them loses nothing. */
static inline __attribute__((always_inline)) void scores_rows(const cpu_rows *x,
                                                              int64_t r,
                                                              const int rows) {
  __m512i q[512 / 32 * ROW_QUERIES];
  for (int64_t d = 0; d * 32 < x->width; d++)
    for (int i = 0; i < rows; i++) {
      const float *from = x->q_or_acc + (r + i) * x->q_row + d * 32;
      vf high = x->width - d * 32 > LANES ? vf_load(from + LANES) : vf_zero();
      q[d * ROW_QUERIES + i] =
          (__m512i)_mm512_cvtne2ps_pbh(high, vf_load(from));
    }
  int64_t j = 0;
  for (; j + ROW_KEYS <= x->rows; j += ROW_KEYS)
    scores_tile(x, q, j, r, ROW_KEYS, rows);
  for (; j < x->rows; j++) scores_tile(x, q, j, r, 1, rows);
}

static void scores_bf16(const cpu_rows *x) {
  int64_t r = 0;
  for (; r + ROW_QUERIES <= x->q_rows; r += ROW_QUERIES)
    scores_rows(x, r, ROW_QUERIES);
  for (; r < x->q_rows; r++) scores_rows(x, r, 1);
}

void cpu_kernels_init_avx512bf16(cpu_kernels *kernels) {
  kernels->product_bf16 = product_bf16;
  kernels->softmax_bf16 = softmax_bf16;
  kernels->gradient_bf16 = gradient_bf16;
  kernels->scores[PFL_DTYPE_BF16] = scores_bf16;
}
