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

/* A row [1, rows] beside a tile [keys, rows]. */
static mo_value *load_row(const backward *f, mo_value *source,
                          const backward_tile *tile) {
  mo_builder *b = f->b;
  mo_value *x = mo_load(b, source, MO_VALUES(f->zero, tile->row),
                        MO_SHAPE(1, tile->rows));
  return mo_broadcast(b, x, MO_SHAPE(tile->keys, tile->rows));
}

/* Adds x to the sum from `first` on, or begins it with x. */
static void add_to(const backward *f, const sequence *sum, mo_value *first,
                   int64_t count, mo_value *x, bool begin) {
  mo_builder *b = f->b;
  if (!begin) x = mo_add(b, sequence_load(b, sum, first, count, NULL), x);
  sequence_store(b, sum, x, first);
}

/* How many of the tile's keys there are; NULL: all. */
static mo_value *existing_keys(const backward *f, const backward_tile *tile) {
  mo_builder *b = f->b;
  if (f->problem->Sk % f->plan->block_k == 0) return NULL;
  mo_value *keys = mo_i32(b, (double)(f->problem->Sk - tile->key));
  return mo_sub(b, keys, f->key);
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
    mo_value *position = mo_add(b, tile->row, f->first_row);
    position = mo_add(b, position, mo_i32(b, (double)problem->offset));
    mo_value *ahead = mo_sub(b, position, mo_add(b, f->key, key));
    p = masks_by_position(b, hidden, p, problem->window, ahead,
                          existing_keys(f, tile));
  }
  if (!f->kv_ids) return p;
  mo_value *ids = mo_load(b, f->q_ids, MO_VALUES(f->zero, f->zero, tile->row),
                          MO_SHAPE(1, tile->rows));
  ids = columns_clip(b, ids, backward_existing_rows(f, tile->row), 0);
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

static mo_value *zeros(const backward *f, const sequence *like, int64_t count) {
  mo_builder *b = f->b;
  int64_t sizes[2];
  mo_shape shape = sequence_shape(like, count, sizes);
  return mo_full(b, MO_F32, shape, 0);
}

/* X Y^T [keys, rows]: x of keys as rows, y of queries as it lies. */
static mo_value *score(const backward *f, const backward_tile *tile,
                       mo_value *x, const sequence *as, mo_value *y) {
  mo_builder *b = f->b;
  mo_value *none = mo_full(b, MO_F32, MO_SHAPE(tile->keys, tile->rows), 0);
  return mo_matmul(b, as->swapped ? MO_NN : MO_NT, x, y, none);
}

/* To keys: W Y, W [keys, rows] and y of queries; or (W Y)^T = Y^T W^T. */
static mo_value *to_keys(const backward *f, const backward_tile *tile,
                         mo_value *w, mo_value *y, const sequence *as) {
  mo_builder *b = f->b;
  mo_value *none = zeros(f, as, tile->keys);
  return as->swapped ? mo_matmul(b, MO_NT, y, w, none)
                     : mo_matmul(b, MO_NN, w, y, none);
}

/* To queries: W^T X, x of keys; or (W^T X)^T = X^T W. */
static mo_value *to_rows(const backward *f, const backward_tile *tile,
                         mo_value *w, mo_value *x, const sequence *as) {
  mo_builder *b = f->b;
  mo_value *none = zeros(f, as, tile->rows);
  return as->swapped ? mo_matmul(b, MO_NN, x, w, none)
                     : mo_matmul(b, MO_TN, w, x, none);
}

/* S^T and dP^T: what a tile needs first, and what the MXU can make while the
 * tile before is still with the other units. */
static backward_scores make_scores(const backward *f,
                                   const backward_tile *tile) {
  mo_builder *b = f->b;
  mo_value *key = mo_i32(b, (double)tile->key);
  mo_value *q = sequence_load(b, &f->q, tile->row, tile->rows, NULL);
  mo_value *d_o = sequence_load(b, &f->d_o, tile->row, tile->rows, NULL);
  mo_value *k = sequence_load(b, &f->k_rows, key, tile->keys, NULL);
  mo_value *v = sequence_load(b, &f->v_rows, key, tile->keys, NULL);
  return (backward_scores){.s = score(f, tile, k, &f->q, q),
                           .dp = score(f, tile, v, &f->d_o, d_o)};
}

static void use_scores(const backward *f, const backward_tile *tile,
                       const backward_scores *scores) {
  mo_builder *b = f->b;
  int64_t keys = tile->keys, rows = tile->rows;
  mo_element element = kernels_element(f->problem->dtype);
  mo_value *key = mo_i32(b, (double)tile->key), *row = tile->row;
  mo_value *sum_key = mo_add(b, f->sum_key, key);
  mo_value *q = sequence_load(b, &f->q, row, rows, NULL);
  mo_value *d_o = sequence_load(b, &f->d_o, row, rows, NULL);
  mo_value *k = sequence_load(b, &f->k, key, keys, NULL);

  mo_value *t = NULL;
  mo_value *s = flash_scores(b, f->problem, scores->s, &t);
  mo_value *p = mo_exp2(b, mo_sub(b, s, load_row(f, f->row_lse, tile)));
  p = mask(f, p, tile);
  add_to(f, &f->dv_sum, sum_key, keys,
         to_keys(f, tile, mo_cast(b, p, element), d_o, &f->dv), tile->first);
  mo_value *ds = mo_sub(b, scores->dp, load_row(f, f->row_delta, tile));
  ds = mo_cast(b, uncap(f, mo_mul(b, p, ds), t), element);
  add_to(f, &f->dk_sum, sum_key, keys, to_keys(f, tile, ds, q, &f->dk),
         tile->first);
  add_to(f, &f->dq_sum, row, rows, to_rows(f, tile, ds, k, &f->dq), false);
}

static void use_oldest(const backward *f, backward_queue *queue) {
  use_scores(f, &queue->tiles[0], &queue->scores[0]);
  queue->count--;
  for (int i = 0; i < queue->count; i++) {
    queue->tiles[i] = queue->tiles[i + 1];
    queue->scores[i] = queue->scores[i + 1];
  }
}

void backward_meet(const backward *f, backward_queue *queue,
                   const backward_tile *tile) {
  queue->tiles[queue->count] = *tile;
  queue->scores[queue->count++] = make_scores(f, tile);
  if (queue->count > f->plan->ahead) use_oldest(f, queue);
}

void backward_flush(const backward *f, backward_queue *queue) {
  while (queue->count) use_oldest(f, queue);
}
