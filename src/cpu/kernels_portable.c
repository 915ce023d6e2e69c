/* The kernels in plain C: what each of the others is held against. */
#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "cpu/kernels.h"

/* The sum over p of one row's strip of 64 columns at most. */
static void product_strip(const cpu_product *x, int64_t i, int64_t j,
                          int64_t width, bool bf16) {
  float sum[CPU_PANEL] = {0};
  const cpu_element *a = (const cpu_element *)x->a + i * x->a_row;
  for (int64_t p = 0; p < x->k; p++) {
    const cpu_element *b = (const cpu_element *)x->b + p * x->b_row + j;
    if (bf16) {
      uint32_t pair = base_f32_bits(a[p * x->a_step]);
      float low = base_f32_from_bits(pair << 16);
      float high = base_f32_from_bits(pair & 0xffff0000u);
      for (int64_t n = 0; n < width; n++) {
        uint32_t other = base_f32_bits(b[n]);
        sum[n] += low * base_f32_from_bits(other << 16) +
                  high * base_f32_from_bits(other & 0xffff0000u);
      }
    } else {
      for (int64_t n = 0; n < width; n++) sum[n] += a[p * x->a_step] * b[n];
    }
  }
  float *c = x->c + i * x->c_row + j;
  for (int64_t n = 0; n < width; n++) {
    float kept = x->keep ? c[n] * (x->rescale ? x->rescale[j + n] : 1) : 0;
    c[n] = kept + x->alpha * sum[n];
  }
}

static void product(const cpu_product *x, bool bf16) {
  for (int64_t i = 0; i < x->m; i++)
    for (int64_t j = 0; j < x->n; j += CPU_PANEL)
      product_strip(x, i, j, x->n - j < CPU_PANEL ? x->n - j : CPU_PANEL, bf16);
}

static void product_f32(const cpu_product *x) { product(x, false); }

static void product_bf16(const cpu_product *x) { product(x, true); }

static void transpose(cpu_word *out, int64_t out_row, const cpu_word *in,
                      int64_t in_row, int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; c++)
    for (int64_t r = 0; r < rows; r++)
      out[c * out_row + r] = in[r * in_row + c];
}

static void softcap(float *s, int64_t count, float cap_log2) {
  for (int64_t i = 0; i < count; i++) s[i] = cap_log2 * tanhf(s[i]);
}

static void mask(float *scores, int64_t keys, const int32_t *begin,
                 const int32_t *end) {
  for (int64_t j = 0; j < keys; j++)
    for (int i = 0; i < CPU_PANEL; i++)
      if (j < begin[i] || j >= end[i]) scores[j * CPU_PANEL + i] = -INFINITY;
}

static void mask_segments(float *scores, int64_t keys, const int32_t *key_ids,
                          const int32_t *ids) {
  for (int64_t j = 0; j < keys; j++)
    for (int i = 0; i < CPU_PANEL; i++)
      if (key_ids[j] != ids[i]) scores[j * CPU_PANEL + i] = -INFINITY;
}

static void softmax_f32(const cpu_softmax *x) {
  for (int i = 0; i < CPU_PANEL; i++) {
    float *s = x->scores + i, m = x->m[i], sum = 0;
    for (int64_t j = 0; j < x->keys; j++)
      m = s[j * CPU_PANEL] > m ? s[j * CPU_PANEL] : m;
    for (int64_t j = 0; j < x->keys; j++)
      sum += s[j * CPU_PANEL] = exp2f(s[j * CPU_PANEL] - m);
    x->rescale[i] = exp2f(x->m[i] - m);
    x->l[i] = x->l[i] * x->rescale[i] + sum;
    x->m[i] = m;
  }
}

static uint32_t pair_bf16(float low, float high) {
  return base_f32_to_bf16(low) | (uint32_t)base_f32_to_bf16(high) << 16;
}

/* Pairs rows 2j and 2j + 1 of `in` into row j of `out`, which may be `in`. */
static void pair_rows(uint32_t *out, const float *in, int64_t keys) {
  for (int64_t j = 0; j < keys; j += 2)
    for (int i = 0; i < CPU_PANEL; i++) {
      float high = j + 1 < keys ? in[(j + 1) * CPU_PANEL + i] : 0;
      uint32_t pair = pair_bf16(in[j * CPU_PANEL + i], high);
      memcpy(&out[j / 2 * CPU_PANEL + i], &pair, sizeof pair);
    }
}

static void softmax_bf16(const cpu_softmax *x) {
  softmax_f32(x);
  pair_rows((uint32_t *)x->scores, x->scores, x->keys);
}

static void gradient_f32(const cpu_gradient *x) {
  for (int64_t j = 0; j < x->keys; j++)
    for (int i = 0; i < CPU_PANEL; i++) {
      float *s = x->scores + j * CPU_PANEL + i;
      float *d = x->d_weights + j * CPU_PANEL + i;
      float tanh_s = *s == -INFINITY ? 0 : *s * x->inv_cap;
      float p = exp2f(*s - x->lse[i]);
      *d = p * (*d - x->delta[i]) * (1 - tanh_s * tanh_s) * x->scale;
      *s = p;
    }
}

static void narrow_rows(float *rows, int64_t keys) {
  uint16_t *out = (uint16_t *)rows;
  for (int64_t i = 0; i < keys * CPU_PANEL; i++) {
    uint16_t narrow = base_f32_to_bf16(rows[i]);
    memcpy(&out[i], &narrow, sizeof narrow);
  }
}

static void gradient_bf16(const cpu_gradient *x) {
  gradient_f32(x);
  pair_rows(x->ds_pairs, x->d_weights, x->keys);
  narrow_rows(x->scores, x->keys);
  narrow_rows(x->d_weights, x->keys);
}

static void interleave(uint32_t *out, const uint16_t *a, const uint16_t *b,
                       int64_t count) {
  for (int64_t i = 0; i < count; i++)
    out[i] = a[i] | (b ? (uint32_t)b[i] << 16 : 0);
}

static void widen_f32(float *out, const void *in, int64_t count) {
  memcpy(out, in, (size_t)count * sizeof *out);
}

static void widen_bf16(float *out, const void *in, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    out[i] = base_bf16_to_f32(((const uint16_t *)in)[i]);
}

static void widen_f16(float *out, const void *in, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    out[i] = base_f16_to_f32(((const uint16_t *)in)[i]);
}

static void widen_i8(float *out, const void *in, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = ((const int8_t *)in)[i];
}

static void narrow_f32(void *out, const float *in, int64_t count) {
  memcpy(out, in, (size_t)count * sizeof *in);
}

static void narrow_bf16(void *out, const float *in, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    ((uint16_t *)out)[i] = base_f32_to_bf16(in[i]);
}

static void narrow_f16(void *out, const float *in, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    ((uint16_t *)out)[i] = base_f32_to_f16(in[i]);
}

static float dot(const float *a, const float *b, int64_t count) {
  float sum = 0;
  for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
  return sum;
}

static float softmax_row(float *x, int64_t count, float *m) {
  float sum = 0;
  for (int64_t i = 0; i < count; i++) *m = x[i] > *m ? x[i] : *m;
  for (int64_t i = 0; i < count; i++) sum += x[i] = exp2f(x[i] - *m);
  return sum;
}

static void scores(const cpu_rows *x, pfl_dtype dtype) {
  for (int64_t j = 0; j < x->rows; j++)
    for (int64_t r = 0; r < x->q_rows; r++) {
      const float *q = x->q_or_acc + r * x->q_row;
      float sum = 0;
      for (int64_t d = 0; d < x->width; d++)
        sum += q[d] * base_element_get(x->x, dtype, j * x->width + d);
      x->s[r * x->s_row + j] = x->alpha * sum;
    }
}

static void accumulate(const cpu_rows *x, pfl_dtype dtype) {
  for (int64_t j = 0; j < x->rows; j++)
    for (int64_t r = 0; r < x->q_rows; r++) {
      float *acc = x->q_or_acc + r * x->q_row, p = x->s[r * x->s_row + j];
      for (int64_t d = 0; d < x->width; d++)
        acc[d] += p * base_element_get(x->x, dtype, j * x->width + d);
    }
}

#define ROW_FUNCTIONS(NAME, name)                    \
  static void scores_##name(const cpu_rows *x) {     \
    scores(x, PFL_DTYPE_##NAME);                     \
  }                                                  \
  static void accumulate_##name(const cpu_rows *x) { \
    accumulate(x, PFL_DTYPE_##NAME);                 \
  }
CPU_DTYPES(ROW_FUNCTIONS)

void cpu_kernels_init_portable(cpu_kernels *k) {
  k->key_block = 64;
  k->product_f32 = product_f32;
  k->product_bf16 = product_bf16;
  k->softmax_bf16 = softmax_bf16;
  k->gradient_bf16 = gradient_bf16;
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
  k->narrow[PFL_DTYPE_F32] = narrow_f32;
  k->narrow[PFL_DTYPE_BF16] = narrow_bf16;
  k->narrow[PFL_DTYPE_F16] = narrow_f16;
}
