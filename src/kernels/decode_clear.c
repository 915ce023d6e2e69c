/* What no query sees is cleared from tiles, where it could do harm: whatever is
 * there, and NaN times 0 is NaN.
 *
 *   V of floats        a weight of 0 times V
 *   K of packed rows   a zero of Q times the token beside, see decode_queries.c
 *   scales of int8     a weight of 0 times the scale of V; int8 itself is never
 *                      more than a number
 *
 * It is found where a sequence ends, or a window begins, within a tile. */
#include "kernels/decode_kernel.h"

enum { CLEARED_ROWS = 128 };

mo_value *decode_seen_bits(const decode_kernel *k, mo_shape shape,
                           mo_value *low, mo_value *high) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int bits = mo_element_bits(kernels_element(plan->cache_dtype));
  int rows = 32 / bits; /* a word */
  mo_value *none = mo_full(b, MO_I32, shape, 0), *all = none;
  mo_value *row = mo_mul(b, mo_iota(b, shape, 0),
                         mo_full(b, MO_I32, shape, rows * (int)plan->pack));
  if (plan->pack > 1) {
    mo_value *place = mo_shr(b, mo_iota(b, shape, 1),
                             mo_full(b, MO_I32, shape, decode_log(plan->Dv)));
    row = mo_add(b, row, place);
  }
  for (int i = 0; i < rows; i++) {
    mo_value *token =
        mo_add(b, row, mo_full(b, MO_I32, shape, i * (int)plan->pack));
    mo_value *seen = mo_lt(b, token, mo_broadcast(b, high, shape));
    if (low)
      seen = mo_and(b, seen, mo_ge(b, token, mo_broadcast(b, low, shape)));
    double mine = bits == 32 ? -1 : (double)((1ll << bits) - 1);
    for (int j = 0; j < i; j++) mine *= (double)(1ll << bits);
    if (mine > 0x7fffffff) mine -= 0x1p32;
    all = mo_or(b, all,
                mo_select(b, seen, mo_full(b, MO_I32, shape, mine), none));
  }
  return all;
}

static void clear_block(const decode_kernel *k, bool values, mo_value *slot,
                        mo_value *block, mo_value *low, mo_value *high) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int rows = 32 / mo_element_bits(kernels_element(plan->cache_dtype));
  int64_t words = CLEARED_ROWS / rows, tokens = CLEARED_ROWS * plan->pack;
  mo_shape shape = MO_SHAPE(words, values ? plan->v_width : plan->width);
  mo_value *before = decode_times(k, block, tokens);
  if (low) low = mo_sub(b, low, before);
  mo_value *bits = decode_seen_bits(k, shape, low, mo_sub(b, high, before));
  mo_value *none = mo_full(b, MO_I32, shape, 0);
  mo_value *ring = mo_ref_bitcast(b, values ? k->v_ring : k->k_ring, MO_I32);
  mo_value *at = mo_multiple(b, decode_times(k, block, words), (int)words);
  for (int64_t h = 0; h < plan->heads; h++) {
    mo_values where = MO_VALUES(slot, decode_number(k, h), at, mo_i32(b, 0));
    mo_value *old = mo_load(b, ring, where, shape);
    mo_value *kept = mo_and(b, old, bits);
    mo_store(b, mo_select(b, mo_eq(b, bits, none), none, kept), ring, where);
  }
}

void decode_clear_unseen(const decode_kernel *k, bool values,
                         const decode_job *job, mo_value *t, mo_value *number) {
  mo_builder *b = k->b;
  const decode_entry *entry = &job->entry;
  const decode_plan *plan = k->plan;
  int64_t tokens = CLEARED_ROWS * plan->pack;
  if (!values && plan->pack == 1) return;
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1), *low = NULL;
  mo_value *base = mo_add(b, entry->begin, decode_times(k, t, plan->tile));
  mo_value *high = mo_sub(b, entry->end, base);
  mo_value *partial = mo_lt(b, high, decode_number(k, plan->tile));
  mo_value *first = decode_over(k, mo_max(b, high, zero), tokens);
  if (plan->left < plan->Smax) {
    mo_value *seen = decode_plus(k, entry->length, -(plan->T + plan->left));
    low = decode_local_count(k, mo_max(b, seen, zero));
    low = mo_sub(b, low, base);
    partial = mo_or(b, partial, mo_gt(b, low, zero));
    first = zero;
  }
  mo_if(b, partial);
  mo_value *slot = mo_and(b, number, decode_number(k, plan->ring - 1));
  mo_value *block =
      mo_for(b, first, decode_number(k, plan->tile / tokens), one, MO_NONE)[0];
  if (plan->scaled)
    decode_clear_scales(k, &(decode_tile){job, t, number}, block, low, high);
  else
    clear_block(k, values, slot, block, low, high);
  mo_end(b, MO_NONE);
  mo_end(b, MO_NONE);
}
