/* The backward step: FlashAttention-2 (Dao, 2023), algorithm 2, lines 11 to 16,
 * with scores as S^T [keys, rows], so that LSE and delta of a query are lanes
 * and nothing is reduced.
 *
 *   S^T = c K Q^T            c = scale log2 e
 *   P^T = 2^(S^T - LSE)
 *   dV += P^T dO
 *   dP^T = V dO^T
 *   dS^T = P^T (dP^T - delta)
 *   dK += dS^T Q             times scale at the end
 *   dQ += (dS^T)^T K         times scale at the end */
#include "kernels/backward_kernel.h"
#include "kernels/columns.h"
#include "kernels/flash_math.h"
#include "kernels/masks.h"

/* `count` rows from `first` on of a window [1, 1, n, width]; those from `exist`
 * on, if it is not NULL, are 0: what lies there may be NaN. */
static mo_value *load(const backward *f, mo_value *window, mo_value *first,
                      int64_t count, mo_value *exist) {
  mo_builder *b = f->b;
  if (!window) return NULL;
  mo_shape shape = MO_SHAPE(count, window->type->shape[3]);
  mo_value *x =
      mo_load(b, window, MO_VALUES(f->zero, f->zero, first, f->zero), shape);
  if (!exist) return x;
  mo_value *there =
      mo_lt(b, mo_iota(b, shape, 0), mo_broadcast(b, exist, shape));
  x = mo_select(b, there, mo_cast(b, x, MO_F32), mo_full(b, MO_F32, shape, 0));
  return mo_cast(b, x, kernels_element(f->problem->dtype));
}

/* A row [1, rows] beside a tile [keys, rows]. */
static mo_value *load_row(const backward *f, mo_value *source,
                          const backward_tile *tile) {
  mo_builder *b = f->b;
  mo_value *x = mo_load(b, source, MO_VALUES(f->zero, tile->row),
                        MO_SHAPE(1, tile->rows));
  return mo_broadcast(b, x, MO_SHAPE(tile->keys, tile->rows));
}

/* Adds x to the sum's rows from `row` on; the first is the sum. */
static void add_to(const backward *f, mo_value *sum, mo_value *row, mo_value *x,
                   bool first) {
  mo_builder *b = f->b;
  if (!x) return;
  mo_shape shape = MO_SHAPE(x->type->shape[0], x->type->shape[1]);
  if (!first) x = mo_add(b, mo_load(b, sum, MO_VALUES(row, f->zero), shape), x);
  mo_store(b, x, sum, MO_VALUES(row, f->zero));
}

/* How many of the tile's keys, or rows, there are; NULL: all. */
static mo_value *existing_keys(const backward *f, const backward_tile *tile) {
  mo_builder *b = f->b;
  if (f->problem->Sk % f->plan->block_k == 0) return NULL;
  mo_value *keys = mo_i32(b, (double)(f->problem->Sk - tile->key));
  return mo_sub(b, keys, f->key);
}

static mo_value *existing_rows(const backward *f, const backward_tile *tile) {
  mo_builder *b = f->b;
  if (f->problem->Sq == f->plan->rows) return NULL;
  return mo_sub(b, mo_i32(b, (double)f->problem->Sq), tile->row);
}

static mo_value *mask(const backward *f, mo_value *p,
                      const backward_tile *tile) {
  mo_builder *b = f->b;
  const attention_problem *problem = f->problem;
  const mask_form hidden = {.key_dimension = 0, .hidden = 0};
  mo_value *key = mo_i32(b, (double)tile->key);
  if (tile->mask == MASK_BAND)
    p = masks_by_band(b, hidden, p, problem->window, tile->ahead);
  if (tile->mask == MASK_POSITION) {
    mo_value *position =
        mo_add(b, tile->row, mo_i32(b, (double)problem->offset));
    p = masks_by_position(b, hidden, p, problem->window,
                          mo_sub(b, position, mo_add(b, f->key, key)),
                          existing_keys(f, tile));
  }
  if (!f->kv_ids) return p;
  mo_value *ids = mo_load(b, f->q_ids, MO_VALUES(f->zero, f->zero, tile->row),
                          MO_SHAPE(1, tile->rows));
  ids = columns_clip(b, ids, existing_rows(f, tile), 0);
  mo_value *key_ids = mo_load(b, f->key_ids, MO_VALUES(key, f->zero),
                              MO_SHAPE(tile->keys, LANES));
  return masks_by_segment(b, hidden, p, key_ids, ids);
}

/* d tanh: 1 - t^2, times x. */
static mo_value *uncap(const backward *f, mo_value *x, mo_value *t) {
  mo_builder *b = f->b;
  if (!t) return x;
  mo_shape shape = MO_SHAPE(t->type->shape[0], t->type->shape[1]);
  mo_value *one = mo_full(b, MO_F32, shape, 1);
  return mo_mul(b, x, mo_sub(b, one, mo_mul(b, t, t)));
}

void backward_meet(const backward *f, const backward_tile *tile) {
  mo_builder *b = f->b;
  const attention_problem *problem = f->problem;
  int64_t keys = tile->keys, rows = tile->rows;
  mo_element element = kernels_element(problem->dtype);
  mo_value *no_scores = mo_full(b, MO_F32, MO_SHAPE(keys, rows), 0);
  mo_value *no_key = mo_full(b, MO_F32, MO_SHAPE(keys, problem->D), 0);
  mo_value *no_value = mo_full(b, MO_F32, MO_SHAPE(keys, problem->Dv), 0);
  mo_value *no_row = mo_full(b, MO_F32, MO_SHAPE(rows, problem->D), 0);

  mo_value *some_keys = existing_keys(f, tile),
           *some_rows = existing_rows(f, tile);
  mo_value *q = load(f, f->q, tile->row, rows, some_rows);
  mo_value *d_o = load(f, f->d_o, tile->row, rows, some_rows);
  mo_value *key = mo_i32(b, (double)tile->key);
  mo_value *k = load(f, f->k, key, keys, some_keys);
  mo_value *v = load(f, f->v, key, keys, some_keys);
  mo_value *sum_key = mo_add(b, f->sum_key, key);

  mo_value *t = NULL;
  mo_value *s =
      flash_scores(b, problem, mo_matmul(b, MO_NT, k, q, no_scores), &t);
  mo_value *p = mo_exp2(b, mo_sub(b, s, load_row(f, f->row_lse, tile)));
  p = mask(f, p, tile);
  add_to(f, f->dv_sum, sum_key,
         mo_matmul(b, MO_NN, mo_cast(b, p, element), d_o, no_value),
         tile->first);

  mo_value *dp = mo_matmul(b, MO_NT, v, d_o, no_scores);
  mo_value *ds = mo_mul(b, p, mo_sub(b, dp, load_row(f, f->row_delta, tile)));
  ds = mo_cast(b, uncap(f, ds, t), element);
  add_to(f, f->dk_sum, sum_key, mo_matmul(b, MO_NN, ds, q, no_key),
         tile->first);
  add_to(f, f->dq_sum, tile->row, mo_matmul(b, MO_TN, ds, k, no_row), false);
}
