/* The kernels of kernels.h written over vectors, for any width: included by
 * kernels_avx2.c and kernels_avx512.c after their vector header. */
#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "cpu/kernels.h"
#include "cpu/stream.h"
#include "cpu/vector_math.h"

#define INLINE static inline __attribute__((always_inline))

#define PRODUCT_NAME product_f32
#define PRODUCT_FMA(sum, a, b) vf_fma(a, b, sum)
#include "cpu/product_template.h"

static void transpose(cpu_word *out, int64_t out_row, const cpu_word *in,
                      int64_t in_row, int64_t rows, int64_t columns) {
  int64_t full_rows = rows / LANES * LANES;
  int64_t full_columns = columns / LANES * LANES;
  for (int64_t r = 0; r < full_rows; r += LANES)
    for (int64_t c = 0; c < full_columns; c += LANES)
      vf_transpose((float *)(out + c * out_row + r), out_row,
                   (const float *)(in + r * in_row + c), in_row);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = r < full_rows ? full_columns : 0; c < columns; c++)
      out[c * out_row + r] = in[r * in_row + c];
}

static void softcap(float *s, int64_t count, float cap_log2) {
  vf cap = vf_set(cap_log2);
  for (int64_t i = 0; i < count; i += LANES)
    vf_store(s + i, vf_mul(cap, vf_tanh(vf_load(s + i))));
}

/* These two are plain loops that the compiler makes compares and blends of. */
static void mask(float *scores, int64_t keys, const int32_t *begin,
                 const int32_t *end) {
  for (int32_t j = 0; j < (int32_t)keys; j++, scores += CPU_PANEL)
    for (int i = 0; i < CPU_PANEL; i++)
      scores[i] = ((j >= begin[i]) & (j < end[i])) ? scores[i] : -INFINITY;
}

static void mask_segments(float *scores, int64_t keys, const int32_t *key_ids,
                          const int32_t *ids) {
  for (int64_t j = 0; j < keys; j++, scores += CPU_PANEL)
    for (int i = 0; i < CPU_PANEL; i++)
      scores[i] = key_ids[j] == ids[i] ? scores[i] : -INFINITY;
}

/* Softmax of the columns i .. i + 4 LANES; P goes back into the scores. */
INLINE void softmax_columns(const cpu_softmax *x, int i, const int vectors) {
  vf m[4], sum[4], before[4];
  for (int v = 0; v < vectors; v++) {
    before[v] = m[v] = vf_load(x->m + i + v * LANES);
    sum[v] = vf_zero();
  }
  for (int64_t j = 0; j < x->keys; j++)
    for (int v = 0; v < vectors; v++)
      m[v] = vf_max(m[v], vf_load(x->scores + j * CPU_PANEL + i + v * LANES));
  for (int64_t j = 0; j < x->keys; j++)
    for (int v = 0; v < vectors; v++) {
      float *s = x->scores + j * CPU_PANEL + i + v * LANES;
      vf p = vf_exp2(vf_sub(vf_load(s), m[v]));
      sum[v] = vf_add(sum[v], p);
      vf_store(s, p);
    }

  for (int v = 0; v < vectors; v++) {
    int at = i + v * LANES;
    vf rescale = vf_exp2(vf_sub(before[v], m[v]));
    vf_store(x->rescale + at, rescale);
    vf_store(x->l + at, vf_fma(vf_load(x->l + at), rescale, sum[v]));
    vf_store(x->m + at, m[v]);
  }
}

static void softmax_f32(const cpu_softmax *x) {
  for (int i = 0; i < CPU_PANEL; i += 4 * LANES) softmax_columns(x, i, 4);
}

static void gradient_f32(const cpu_gradient *x) {
  vf inv_cap = vf_set(x->inv_cap), scale = vf_set(x->scale), one = vf_set(1);
  for (int i = 0; i < CPU_PANEL; i += LANES) {
    vf lse = vf_load(x->lse + i), delta = vf_load(x->delta + i);
    for (int64_t j = 0; j < x->keys; j++) {
      float *s = x->scores + j * CPU_PANEL + i;
      float *d = x->d_weights + j * CPU_PANEL + i;
      vf score = vf_load(s), p = vf_exp2(vf_sub(score, lse));
      /* a hidden key has -inf, and -inf 0 is NaN, which the maximum drops */
      vf capped = vf_max(vf_mul(score, inv_cap), vf_set(-1));
      vf slope = vf_mul(vf_fnma(capped, capped, one), scale);
      vf_store(s, p);
      vf_store(d, vf_mul(vf_mul(p, vf_sub(vf_load(d), delta)), slope));
    }
  }
}

static void interleave(uint32_t *out, const uint16_t *a, const uint16_t *b,
                       int64_t count) {
  int64_t i = 0;
  if (b)
    for (; i + LANES <= count; i += LANES) vf_interleave(out + i, a + i, b + i);
  for (; i < count; i++) out[i] = a[i] | (b ? (uint32_t)b[i] << 16 : 0);
}

static float dot(const float *a, const float *b, int64_t count) {
  vf sum = vf_zero();
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    sum = vf_fma(vf_load(a + i), vf_load(b + i), sum);
  float total = vf_sum(sum);
  for (; i < count; i++) total += a[i] * b[i];
  return total;
}

static float softmax_row(float *x, int64_t count, float *m) {
  vf most = vf_set(*m), sum = vf_zero();
  for (int64_t i = 0; i < count; i += LANES)
    most = vf_max(most, vf_load(x + i));
  *m = vf_most(most);
  most = vf_set(*m);
  for (int64_t i = 0; i < count; i += LANES) {
    vf p = vf_exp2(vf_sub(vf_load(x + i), most));
    sum = vf_add(sum, p);
    vf_store(x + i, p);
  }
  return vf_sum(sum);
}

/* Elements index .. index + LANES - 1 of an array of `dtype`, which the caller
 * gives as a constant. */
INLINE vf load_as(const void *array, pfl_dtype dtype, int64_t index) {
  switch (dtype) {
    case PFL_DTYPE_BF16: return vf_load_bf16((const uint16_t *)array + index);
    case PFL_DTYPE_F16: return vf_load_f16((const uint16_t *)array + index);
    case PFL_DTYPE_I8: return vf_load_i8((const int8_t *)array + index);
    default: return vf_load((const float *)array + index);
  }
}

INLINE int64_t element_size(pfl_dtype dtype) {
  return dtype == PFL_DTYPE_F32 ? 4 : dtype == PFL_DTYPE_I8 ? 1 : 2;
}

/* What is asked for in step with rows j .. j + rows - 1, read in `steps`. */
INLINE cpu_stream stream_rows(const cpu_rows *x, pfl_dtype dtype, int64_t j,
                              int64_t rows, int64_t steps) {
  int64_t row_bytes = x->width * element_size(dtype);
  const char *start = x->ahead ? (const char *)x->ahead + j * row_bytes : NULL;
  return cpu_stream_init(start, rows * row_bytes, steps);
}

/* The same for the last count < LANES elements of a row, zeros after them. */
INLINE vf load_tail(const void *array, pfl_dtype dtype, int64_t index,
                    int64_t count) {
  char padded[LANES * sizeof(float)] = {0};
  int64_t size = element_size(dtype);
  memcpy(padded, (const char *)array + index * size, (size_t)(count * size));
  return load_as(padded, dtype, 0);
}

/* Scores of `keys` rows of x, from row j on, against `rows` rows of q. */
INLINE void scores_tile(const cpu_rows *x, pfl_dtype dtype, int64_t j,
                        int64_t r, const int keys, const int rows) {
  vf sum[ROW_QUERIES][ROW_KEYS];
  for (int q = 0; q < rows; q++)
    for (int k = 0; k < keys; k++) sum[q][k] = vf_zero();
  const float *q_rows = x->q_or_acc + r * x->q_row;
  int64_t full = x->width / LANES * LANES, left = x->width - full;
  cpu_stream stream =
      stream_rows(x, dtype, j, keys, (x->width + LANES - 1) / LANES);
  for (int64_t d = 0; d < full; d += LANES) {
    vf kv[ROW_KEYS];
    for (int k = 0; k < keys; k++)
      kv[k] = load_as(x->x, dtype, (j + k) * x->width + d);
    if (r == 0) cpu_stream_step(&stream);
    for (int q = 0; q < rows; q++) {
      vf qv = vf_load(q_rows + q * x->q_row + d);
      for (int k = 0; k < keys; k++) sum[q][k] = vf_fma(qv, kv[k], sum[q][k]);
    }
  }
  if (left)
    for (int k = 0; k < keys; k++) {
      vf kv = load_tail(x->x, dtype, (j + k) * x->width + full, left);
      for (int q = 0; q < rows; q++)
        sum[q][k] =
            vf_fma(vf_load(q_rows + q * x->q_row + full), kv, sum[q][k]);
    }

  for (int q = 0; q < rows; q++) {
    float *s = x->s + (r + q) * x->s_row + j;
    if (keys == 4)
      _mm_storeu_ps(s, _mm_mul_ps(_mm_set1_ps(x->alpha), vf_sum4(sum[q])));
    else
      s[0] = x->alpha * vf_sum(sum[q][0]);
  }
}

INLINE void scores_keys(const cpu_rows *x, pfl_dtype dtype, int64_t j,
                        const int keys) {
  int64_t r = 0;
  for (; r + ROW_QUERIES <= x->q_rows; r += ROW_QUERIES)
    scores_tile(x, dtype, j, r, keys, ROW_QUERIES);
  for (; r + 2 <= x->q_rows; r += 2) scores_tile(x, dtype, j, r, keys, 2);
  if (r < x->q_rows) scores_tile(x, dtype, j, r, keys, 1);
}

INLINE void scores(const cpu_rows *x, pfl_dtype dtype) {
  int64_t j = 0;
  for (; j + ROW_KEYS <= x->rows; j += ROW_KEYS)
    scores_keys(x, dtype, j, ROW_KEYS);
  for (; j < x->rows; j++) scores_keys(x, dtype, j, 1);
}

/* Rows j .. j + keys - 1 of x into `vectors` vectors of `rows` sums, at column
 * d; tail: elements of the last, partial vector, else 0. */
INLINE void accumulate_tile(const cpu_rows *x, pfl_dtype dtype, int64_t j,
                            int64_t keys, int64_t r, int64_t d, const int rows,
                            const int vectors, int64_t tail,
                            cpu_stream *stream) {
  vf sum[ROW_QUERIES][ACC_VECTORS];
  float *acc = x->q_or_acc + r * x->q_row + d;
  for (int q = 0; q < rows; q++)
    for (int v = 0; v < vectors; v++)
      sum[q][v] = vf_load(acc + q * x->q_row + v * LANES);
  const float *p = x->s + r * x->s_row + j;
  for (int64_t k = 0; k < keys; k++) {
    vf xv[ACC_VECTORS];
    cpu_stream_step(stream);
    for (int v = 0; v < vectors; v++) {
      int64_t index = (j + k) * x->width + d + v * LANES;
      xv[v] = tail ? load_tail(x->x, dtype, index, tail)
                   : load_as(x->x, dtype, index);
    }
    for (int q = 0; q < rows; q++) {
      vf pv = vf_set(p[q * x->s_row + k]);
      for (int v = 0; v < vectors; v++)
        sum[q][v] = vf_fma(pv, xv[v], sum[q][v]);
    }
  }
  for (int q = 0; q < rows; q++)
    for (int v = 0; v < vectors; v++)
      vf_store(acc + q * x->q_row + v * LANES, sum[q][v]);
}

INLINE void accumulate_rows(const cpu_rows *x, pfl_dtype dtype, int64_t j,
                            int64_t keys, int64_t r, const int rows,
                            cpu_stream *stream) {
  int64_t d = 0;
  for (; d + ACC_VECTORS * LANES <= x->width; d += ACC_VECTORS * LANES)
    accumulate_tile(x, dtype, j, keys, r, d, rows, ACC_VECTORS, 0, stream);
  for (; d + LANES <= x->width; d += LANES)
    accumulate_tile(x, dtype, j, keys, r, d, rows, 1, 0, stream);
  if (d < x->width)
    accumulate_tile(x, dtype, j, keys, r, d, rows, 1, x->width - d, stream);
}

/* A few rows at a time, so that they stay in L1 for all the query rows. */
INLINE void accumulate(const cpu_rows *x, pfl_dtype dtype) {
  enum { KEYS = 32 };
  int64_t strips = (x->width + ACC_VECTORS * LANES - 1) / (ACC_VECTORS * LANES);
  int64_t passes = strips * ((x->q_rows + ROW_QUERIES - 1) / ROW_QUERIES);
  for (int64_t j = 0; j < x->rows; j += KEYS) {
    int64_t keys = x->rows - j < KEYS ? x->rows - j : KEYS, r = 0;
    cpu_stream stream = stream_rows(x, dtype, j, keys, keys * passes);
    for (; r + ROW_QUERIES <= x->q_rows; r += ROW_QUERIES)
      accumulate_rows(x, dtype, j, keys, r, ROW_QUERIES, &stream);
    for (; r < x->q_rows; r++)
      accumulate_rows(x, dtype, j, keys, r, 1, &stream);
  }
}

INLINE void widen(float *out, const void *in, int64_t count, pfl_dtype dtype) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES)
    vf_store(out + i, load_as(in, dtype, i));
  for (; i < count; i++) out[i] = base_element_get(in, dtype, i);
}

static void narrow_bf16(void *out, const float *in, int64_t count) {
  uint16_t *to = out;
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) vf_store_bf16(to + i, vf_load(in + i));
  for (; i < count; i++) to[i] = base_f32_to_bf16(in[i]);
}

static void narrow_f16(void *out, const float *in, int64_t count) {
  uint16_t *to = out;
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) vf_store_f16(to + i, vf_load(in + i));
  for (; i < count; i++) to[i] = base_f32_to_f16(in[i]);
}

#define ROW_FUNCTIONS(NAME, name)                                       \
  static void scores_##name(const cpu_rows *x) {                        \
    scores(x, PFL_DTYPE_##NAME);                                        \
  }                                                                     \
  static void accumulate_##name(const cpu_rows *x) {                    \
    accumulate(x, PFL_DTYPE_##NAME);                                    \
  }                                                                     \
  static void widen_##name(float *out, const void *in, int64_t count) { \
    widen(out, in, count, PFL_DTYPE_##NAME);                            \
  }
CPU_DTYPES(ROW_FUNCTIONS)

/* All of these into the table. */
static void set_vector_kernels(cpu_kernels *k) {
  k->product_f32 = product_f32;
  k->transpose = transpose;
  k->softcap = softcap;
  k->mask = mask;
  k->mask_segments = mask_segments;
  k->softmax_f32 = softmax_f32;
  k->gradient_f32 = gradient_f32;
  k->interleave = interleave;
  k->dot = dot;
  k->softmax_row = softmax_row;
#define SET(NAME, name)                        \
  k->widen[PFL_DTYPE_##NAME] = widen_##name;   \
  k->scores[PFL_DTYPE_##NAME] = scores_##name; \
  k->accumulate[PFL_DTYPE_##NAME] = accumulate_##name;
  CPU_DTYPES(SET)
#undef SET
  k->narrow[PFL_DTYPE_BF16] = narrow_bf16;
  k->narrow[PFL_DTYPE_F16] = narrow_f16;
}
