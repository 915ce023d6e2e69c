/* A flash forward kernel to try the simulator with: plain, as a reader would
 * write it. q, k, v, o [H, S, D] in bf16, causal; K and V of a head are
 * windows, blocks of keys a loop. */
#ifndef PFL_TESTS_SIM_FLASH_H
#define PFL_TESTS_SIM_FLASH_H

#include <math.h>

#include "base/dtype.h"
#include "mosaic/builder.h"

enum { FLASH_D = 128, FLASH_ROWS = 512, FLASH_KEYS = 512 };

/* A mistake: the running maximum is a minimum. */
static bool flash_minimum;

typedef struct flash_state {
  mo_value *m, *l, *acc; /* [rows, 1], [rows, 1], [rows, D] */
} flash_state;

static inline flash_state flash_block(mo_builder *b, flash_state x, mo_value *q,
                                      mo_value *k, mo_value *v, mo_value *row,
                                      mo_value *column) {
  mo_shape tile = MO_SHAPE(FLASH_ROWS, FLASH_KEYS);
  mo_shape wide = MO_SHAPE(FLASH_ROWS, FLASH_D);
  mo_value *s = mo_matmul(b, MO_NT, q, k, mo_full(b, MO_F32, tile, 0));
  s = mo_mul(b, s, mo_full(b, MO_F32, tile, 0.1275174)); /* log2 e / sqrt D */
  if (row)
    s = mo_select(b, mo_le(b, column, row), s, mo_full(b, MO_F32, tile, -1e30));
  mo_value *m = mo_reduce(b, flash_minimum ? MO_MIN : MO_MAX, s, 1);
  m = mo_max(b, x.m, m);
  mo_value *p = mo_exp2(b, mo_sub(b, s, mo_broadcast(b, m, tile)));
  mo_value *alpha = mo_exp2(b, mo_sub(b, x.m, m));
  mo_value *l = mo_add(b, mo_mul(b, x.l, alpha), mo_reduce(b, MO_SUM, p, 1));
  mo_value *acc = mo_mul(b, x.acc, mo_broadcast(b, alpha, wide));
  acc = mo_matmul(b, MO_NN, mo_cast(b, p, MO_BF16), v, acc);
  return (flash_state){m, l, acc};
}

static inline void build_flash_of(mo_builder *b, int64_t heads, int64_t s) {
  mo_shape one = MO_SHAPE(FLASH_ROWS, 1), wide = MO_SHAPE(FLASH_ROWS, FLASH_D);
  mo_shape tile = MO_SHAPE(FLASH_ROWS, FLASH_KEYS);
  mo_kernel(b, "flash", &(mo_grid){2, {heads, s / FLASH_ROWS}, {true, true}});
  mo_value *qi = mo_grid_index(b, 1);
  mo_shape block = MO_SHAPE(1, FLASH_ROWS, FLASH_D),
           all = MO_SHAPE(1, s, FLASH_D);
  mo_value *q = mo_window(b, MO_BF16, block, MO_MAP(0, 1, -1));
  mo_value *k = mo_window(b, MO_BF16, all, MO_MAP(0, -1, -1));
  mo_value *v = mo_window(b, MO_BF16, all, MO_MAP(0, -1, -1));
  mo_value *o = mo_window(b, MO_BF16, block, MO_MAP(0, 1, -1));
  mo_value *zero = mo_i32(b, 0), *step = mo_i32(b, 1);
  mo_value *queries = mo_reshape(b, mo_load_all(b, q), wide);
  mo_value **in = mo_for(
      b, zero, qi, step,
      MO_VALUES(mo_full(b, MO_F32, one, -1e30), mo_full(b, MO_F32, one, 0),
                mo_full(b, MO_F32, wide, 0)));
  flash_state x = {in[1], in[2], in[3]};
  mo_shape keys = MO_SHAPE(FLASH_KEYS, FLASH_D);
  mo_value *at = mo_mul(b, in[0], mo_i32(b, FLASH_KEYS));
  at = mo_multiple(b, at, FLASH_KEYS);
  x = flash_block(b, x, queries, mo_load(b, k, MO_VALUES(zero, at, zero), keys),
                  mo_load(b, v, MO_VALUES(zero, at, zero), keys), NULL, NULL);
  mo_value **out = mo_end(b, MO_VALUES(x.m, x.l, x.acc));
  x = (flash_state){out[0], out[1], out[2]};
  at = mo_multiple(b, mo_mul(b, qi, mo_i32(b, FLASH_KEYS)), FLASH_KEYS);
  x = flash_block(b, x, queries, mo_load(b, k, MO_VALUES(zero, at, zero), keys),
                  mo_load(b, v, MO_VALUES(zero, at, zero), keys),
                  mo_iota(b, tile, 0), mo_iota(b, tile, 1));
  mo_value *result =
      mo_mul(b, x.acc, mo_broadcast(b, mo_reciprocal(b, x.l), wide));
  mo_store_all(b, mo_cast(b, result, MO_BF16), o);
  mo_kernel_end(b);
}

/* Element d of row i of a head, in fp64. */
static inline double flash_reference(const uint16_t *q, const uint16_t *k,
                                     const uint16_t *v, int64_t i, int64_t d) {
  double m = -1e300, l = 0, sum = 0;
  for (int64_t j = 0; j <= i; j++) {
    double s = 0;
    for (int64_t e = 0; e < FLASH_D; e++)
      s += (double)base_bf16_to_f32(q[i * FLASH_D + e]) *
           base_bf16_to_f32(k[j * FLASH_D + e]);
    s /= sqrt(FLASH_D);
    double keep = s > m ? exp(m - s) : 1;
    if (s > m) m = s;
    l = l * keep + exp(s - m);
    sum = sum * keep + exp(s - m) * base_bf16_to_f32(v[j * FLASH_D + d]);
  }
  return sum / l;
}

#endif
