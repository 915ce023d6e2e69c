/* The forward step: FlashAttention-2 (Dao, 2023), algorithm 1, lines 8 to 13.
 *
 *   S = c Q K^T          in units of log2: c = scale log2 e
 *   m' = max(m, max S)   a column [rows, 128]
 *   a = 2^(m - m')
 *   P = 2^(S - m')
 *   l = a l + P          128 partial sums a row: lanes are summed at the end
 *   O = a O + P V        divided by l at the end
 *
 * m begins finite, at LOWEST, and hidden scores are -inf: P is then 0, and
 * never NaN, in rows that see no key. */
#include <float.h>
#include <math.h>

#include "kernels/columns.h"
#include "kernels/flash_math.h"
#include "kernels/forward_kernel.h"
#include "kernels/masks.h"

#define LOWEST ((double)-FLT_MAX)

/* Rows of a window [1, 1, n, width]. */
static mo_value *load_rows(const forward *f, mo_value *window, mo_value *row,
                           int64_t rows) {
  mo_builder *b = f->b;
  if (!window) return NULL;
  return mo_load(b, window, MO_VALUES(f->zero, f->zero, row, f->zero),
                 MO_SHAPE(rows, window->type->shape[3]));
}

static mo_value *load_state(const forward *f, mo_value *state, int64_t row,
                            int64_t rows) {
  mo_builder *b = f->b;
  if (!state) return NULL;
  return mo_load(b, state, MO_VALUES(mo_i32(b, (double)row), f->zero),
                 MO_SHAPE(rows, state->type->shape[1]));
}

static void store_state(const forward *f, mo_value *x, mo_value *state,
                        int64_t row) {
  mo_builder *b = f->b;
  mo_store(b, x, state, MO_VALUES(mo_i32(b, (double)row), f->zero));
}

void forward_reset(const forward *f, int64_t row, int64_t rows) {
  mo_builder *b = f->b;
  mo_shape column = MO_SHAPE(rows, LANES), out = MO_SHAPE(rows, f->problem->Dv);
  store_state(f, mo_full(b, MO_F32, column, LOWEST), f->m, row);
  store_state(f, mo_full(b, MO_F32, column, 0), f->l, row);
  store_state(f, mo_full(b, MO_F32, out, 0), f->acc, row);
}

/* ---- Scores ---------------------------------------------------------------
 */

/* How many of the keys from `key` on there are; NULL: all that a tile takes. */
static mo_value *existing(const forward *f, const forward_tile *tile) {
  mo_builder *b = f->b;
  if (tile->mask == MASK_NONE || f->problem->Sk == f->plan->keys) return NULL;
  return mo_sub(b, mo_i32(b, (double)f->problem->Sk), tile->key);
}

static mo_value *mask(const forward *f, mo_value *s, const forward_tile *tile) {
  mo_builder *b = f->b;
  attention_window window = f->problem->window;
  const mask_form hidden = {.key_dimension = 1, .hidden = -INFINITY};
  if (tile->mask == MASK_BAND)
    s = masks_by_band(b, hidden, s, window, tile->ahead);
  if (tile->mask == MASK_POSITION) {
    mo_value *row = mo_add(b, f->position, mo_i32(b, (double)tile->row));
    s = masks_by_position(b, hidden, s, window, mo_sub(b, row, tile->key),
                          existing(f, tile));
  }
  if (!f->kv_ids) return s;
  mo_value *ids = mo_load(b, f->kv_ids, MO_VALUES(f->zero, f->zero, tile->key),
                          MO_SHAPE(1, tile->keys));
  ids = columns_clip(b, ids, existing(f, tile), 0);
  mo_value *row_ids = load_state(f, f->row_ids, tile->row, tile->rows);
  return masks_by_segment(b, hidden, s, row_ids, ids);
}

/* V, with zeros for keys that do not exist: what lies there may be NaN, and a
 * weight of 0 does not make that 0. */
static mo_value *load_values(const forward *f, const forward_tile *tile) {
  mo_builder *b = f->b;
  mo_value *v = load_rows(f, f->v, tile->key, tile->keys);
  mo_value *count = existing(f, tile);
  if (!count) return v;
  mo_shape shape = MO_SHAPE(tile->keys, f->problem->Dv);
  mo_value *there =
      mo_lt(b, mo_iota(b, shape, 0), mo_broadcast(b, count, shape));
  v = mo_select(b, there, mo_cast(b, v, MO_F32), mo_full(b, MO_F32, shape, 0));
  return mo_cast(b, v, kernels_element(f->problem->dtype));
}

/* ---- The step -------------------------------------------------------------
 */

void forward_attend(const forward *f, const forward_tile *tile) {
  mo_builder *b = f->b;
  int64_t row = tile->row, rows = tile->rows, keys = tile->keys;
  int64_t width = f->problem->Dv;
  mo_element element = kernels_element(f->problem->dtype);

  mo_value *q = load_rows(f, f->q, mo_i32(b, (double)row), rows);
  mo_value *k = load_rows(f, f->k, tile->key, keys);
  mo_value *s = mo_full(b, MO_F32, MO_SHAPE(rows, keys), 0);
  s = flash_scores(b, f->problem, mo_matmul(b, MO_NT, q, k, s), NULL);
  s = mask(f, s, tile);

  mo_value *m0 = load_state(f, f->m, row, rows);
  mo_value *m = mo_max(b, m0, columns_make(b, mo_reduce(b, MO_MAX, s, 1)));
  mo_value *a = mo_exp2(b, mo_sub(b, m0, m));
  mo_value *p = mo_exp2(b, mo_sub(b, s, columns_spread(b, m, keys)));
  mo_value *l = mo_mul(b, load_state(f, f->l, row, rows), a);
  store_state(f, m, f->m, row);
  store_state(f, mo_add(b, l, columns_fold(b, p)), f->l, row);

  mo_value *o = mo_full(b, MO_F32, MO_SHAPE(rows, width), 0);
  o = mo_matmul(b, MO_NN, mo_cast(b, p, element), load_values(f, tile), o);
  mo_value *acc = load_state(f, f->acc, row, rows);
  acc = mo_mul(b, acc, columns_spread(b, a, width));
  store_state(f, mo_add(b, acc, o), f->acc, row);
}

/* ---- The end --------------------------------------------------------------
 */

/* A head's sink as one more weight of l, relative to the larger of it and m.
 * Gives what the other weights shrink by. */
static mo_value *add_sink(const forward *f, mo_value **m, mo_value **l) {
  mo_builder *b = f->b;
  mo_value *sink = mo_get(b, f->sinks, MO_VALUES(mo_grid_index(b, 1)));
  mo_shape column = *m ? MO_SHAPE((*m)->type->shape[0], LANES) : MO_RANK_0;
  sink = flash_times(b, mo_broadcast(b, sink, column), FLASH_LOG2_E);
  mo_value *top = mo_max(b, *m, sink);
  mo_value *shrink = mo_exp2(b, mo_sub(b, *m, top));
  *m = top;
  *l = mo_add(b, mo_mul(b, *l, shrink), mo_exp2(b, mo_sub(b, sink, top)));
  return shrink;
}

static void store_lse(const forward *f, mo_value *lse, int64_t row) {
  mo_builder *b = f->b;
  mo_store(b, columns_to_row(b, flash_times(b, lse, FLASH_LN_2)), f->lse,
           MO_VALUES(f->zero, f->zero, f->zero, mo_i32(b, (double)row)));
}

void forward_finish(const forward *f, int64_t row, int64_t rows) {
  mo_builder *b = f->b;
  mo_shape column = MO_SHAPE(rows, LANES);
  mo_value *m = load_state(f, f->m, row, rows);
  mo_value *l = mo_reduce(b, MO_SUM, load_state(f, f->l, row, rows), 1);
  l = columns_make(b, l);
  mo_value *none = mo_full(b, MO_F32, column, 0), *seen = mo_gt(b, l, none);
  mo_value *shrink = f->sinks ? add_sink(f, &m, &l) : NULL;
  mo_value *r = columns_invert(b, l);
  if (shrink) r = mo_mul(b, r, shrink);
  if (f->plan->blind) r = mo_select(b, seen, r, none);
  mo_value *o = load_state(f, f->acc, row, rows);
  o = mo_mul(b, o, columns_spread(b, r, f->problem->Dv));
  mo_store(b, mo_cast(b, o, kernels_element(f->problem->dtype)), f->o,
           MO_VALUES(f->zero, f->zero, mo_i32(b, (double)row), f->zero));
  forward_reset(f, row, rows);
  if (!f->lse) return;
  mo_value *lse = mo_add(b, m, mo_log2(b, l));
  if (f->plan->blind)
    lse = mo_select(b, seen, lse, mo_full(b, MO_F32, column, -INFINITY));
  store_lse(f, lse, row);
}
