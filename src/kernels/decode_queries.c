/* The rows of Q of a job, as tiles of K meet them: few rows, which move through
 * the MXU, whose weights are K transposed.
 *
 * Where `pack` tokens share a row of the cache, a row of Q stands there once
 * for each place in it, with zeros at the other places:
 *
 *   Q rows    q0 .    K row r   token 2r | token 2r + 1
 *             q1 .
 *             .  q0
 *             .  q1
 *
 * so that row p R + i of the scores has query i and the tokens of place p. Such
 * a copy is a softmax of its own until the job's end.
 *
 * Where K is int8 and Q bf16, Q is made integers as well, and K goes to the MXU
 * as it is. An int8 would be too little for Q; two are more than a bf16 has:
 * with u = max |q| of the row / 16256,
 *   q = u (128 high + low),  high in -127 .. 127,  low in -64 .. 64,
 * but for u / 2 at most. Products of each are exact, and 128 high k + low k, in
 * f32, is what q k / u would be. */
#include "kernels/columns.h"
#include "kernels/decode_kernel.h"

enum { Q_MOST = 127 * 128, LOW_BITS = 7 };

/* Where the queries of head h of a job are: in q_all as they came, or in q_now,
 * of all jobs or of one. */
static mo_value *place_of(const decode_kernel *k, const decode_job *job,
                          int64_t h) {
  const decode_plan *plan = k->plan;
  if (!plan->q_ready) return decode_number(k, h);
  mo_value *place = decode_times(k, job->entry.sequence, plan->Hkv);
  place = mo_add(k->b, place, decode_times(k, job->group, plan->heads));
  return decode_plus(k, place, h);
}

static mo_value *load_as_given(const decode_kernel *k, mo_value *sequence,
                               mo_value *head) {
  mo_value *zero = mo_i32(k->b, 0);
  return mo_load(k->b, k->q_all, MO_VALUES(sequence, head, zero, zero),
                 MO_SHAPE(k->plan->rows, k->plan->D));
}

/* [rows, D] at place p of [rows, width]. */
static mo_value *placed(const decode_kernel *k, mo_value *q, int64_t p) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_element element = kernels_element(plan->dtype);
  mo_shape square = MO_SHAPE(plan->D, plan->width);
  mo_value *to = mo_sub(b, mo_iota(b, square, 1), mo_iota(b, square, 0));
  mo_value *hit =
      mo_eq(b, to, mo_full(b, MO_I32, square, (double)(p * plan->D)));
  mo_value *spread = mo_select(b, hit, mo_full(b, MO_F32, square, 1),
                               mo_full(b, MO_F32, square, 0));
  mo_value *none = mo_full(b, MO_F32, MO_SHAPE(plan->rows, plan->width), 0);
  /* a product with ones and zeros: exact, and the MXU moves lanes for free */
  mo_value *moved = mo_matmul(b, MO_NN, q, mo_cast(b, spread, element), none);
  return mo_cast(b, moved, element);
}

/* Two integers a number: the high ones from row 0 on, the low ones from
 * q_low on, so that both have registers of their own. */
static void store_integers(const decode_kernel *k, mo_value *q,
                           mo_value *place) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_shape shape = MO_SHAPE(plan->rows, plan->D);
  mo_value *zero = mo_i32(b, 0);
  q = mo_cast(b, q, MO_F32);
  mo_value *most = columns_make(b, mo_reduce(b, MO_MAX, mo_abs(b, q), 1));
  mo_shape column = MO_SHAPE(plan->rows, 128);
  most = mo_max(b, most, mo_full(b, MO_F32, column, 1e-30));
  mo_value *unit = mo_mul(b, most, mo_full(b, MO_F32, column, 1. / Q_MOST));
  mo_store(b, unit, k->q_units, MO_VALUES(place, zero, zero));
  mo_value *x = mo_div(b, q, columns_spread(b, unit, plan->D));
  mo_value *half = mo_full(b, MO_F32, shape, 0.5);
  half = mo_select(b, mo_lt(b, x, mo_full(b, MO_F32, shape, 0)),
                   mo_neg(b, half), half);
  mo_value *whole = mo_cast(b, mo_add(b, x, half), MO_I32);
  mo_value *bits = mo_full(b, MO_I32, shape, LOW_BITS);
  mo_value *high = mo_add(b, whole, mo_full(b, MO_I32, shape, 64));
  high = mo_shr(b, high, bits);
  mo_value *low = mo_sub(b, whole, mo_shl(b, high, bits));
  mo_store(b, high, k->q_wide, MO_VALUES(place, zero, zero));
  mo_store(b, low, k->q_wide,
           MO_VALUES(place, decode_number(k, plan->q_low), zero));
  mo_value *both = mo_load(b, k->q_wide, MO_VALUES(place, zero, zero),
                           MO_SHAPE(2 * plan->q_low, plan->D));
  mo_store(b, mo_cast(b, both, MO_I8), k->q_now, MO_VALUES(place, zero, zero));
}

/* Makes the queries of one head what tiles meet. */
static void make_queries(const decode_kernel *k, mo_value *q, mo_value *place) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  if (plan->integer) {
    store_integers(k, q, place);
    return;
  }
  for (int64_t p = 0; p < plan->pack; p++)
    mo_store(b, placed(k, q, p), k->q_now,
             MO_VALUES(place, decode_number(k, p * plan->rows), mo_i32(b, 0)));
}

void decode_prepare_all(const decode_kernel *k) {
  const decode_plan *plan = k->plan;
  for (int64_t i = 0; plan->q_ready && i < plan->B * plan->Hkv; i++) {
    mo_value *sequence = decode_number(k, i / plan->Hkv);
    mo_value *head = decode_number(k, i % plan->Hkv);
    mo_value *q = load_as_given(k, sequence, head);
    make_queries(k, q, decode_number(k, i));
  }
}

void decode_prepare_job(const decode_kernel *k, const decode_job *job) {
  const decode_plan *plan = k->plan;
  if (plan->q_ready || !plan->q_made) return;
  mo_value *first = decode_times(k, job->group, plan->heads);
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_value *head = decode_plus(k, first, h);
    mo_value *q = load_as_given(k, job->entry.sequence, head);
    make_queries(k, q, place_of(k, job, h));
  }
}

/* ---- Products -------------------------------------------------------------
 */

static mo_value *integer_product(const decode_kernel *k, mo_value *q,
                                 mo_value *tile) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_shape both = MO_SHAPE(2 * plan->q_low, plan->tile);
  mo_shape one = MO_SHAPE(plan->rows, plan->tile);
  mo_value *s = mo_matmul(b, MO_NT, q, tile, mo_full(b, MO_I32, both, 0));
  mo_value *high = mo_cast(b, mo_part(b, s, MO_SHAPE(0, 0), one), MO_F32);
  mo_value *low =
      mo_cast(b, mo_part(b, s, MO_SHAPE(plan->q_low, 0), one), MO_F32);
  high = mo_mul(b, high, mo_full(b, MO_F32, one, 1 << LOW_BITS));
  return mo_add(b, high, low);
}

mo_value *decode_product(const decode_kernel *k, const decode_job *job,
                         int64_t h, mo_value *tile) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_element element = kernels_element(plan->dtype);
  mo_value *zero = mo_i32(b, 0), *q;
  if (!plan->q_made) {
    mo_value *first = decode_times(k, job->group, plan->heads);
    q = load_as_given(k, job->entry.sequence, decode_plus(k, first, h));
  } else {
    q = mo_load(b, k->q_now, MO_VALUES(place_of(k, job, h), zero, zero),
                MO_SHAPE(plan->integer ? 2 * plan->q_low : plan->rows_all,
                         plan->width));
  }
  if (plan->integer) return integer_product(k, q, tile);
  mo_shape shape = MO_SHAPE(plan->rows_all, plan->tile / plan->pack);
  return mo_matmul(b, MO_NT, q, mo_cast(b, tile, element),
                   mo_full(b, MO_F32, shape, 0));
}

mo_value *decode_product_scale(const decode_kernel *k, const decode_job *job,
                               int64_t h, double scale) {
  mo_builder *b = k->b;
  mo_value *zero = mo_i32(b, 0);
  mo_shape column = MO_SHAPE(k->plan->rows_all, 128);
  mo_value *factor = mo_full(b, MO_F32, column, scale);
  if (!k->plan->integer) return factor;
  mo_value *unit = mo_load(b, k->q_units,
                           MO_VALUES(place_of(k, job, h), zero, zero), column);
  return mo_mul(b, unit, factor);
}
