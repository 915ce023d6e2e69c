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
  int64_t sizes[2];
  mo_shape column = MO_SHAPE(rows, LANES);
  mo_shape out = sequence_shape(&f->acc, rows, sizes);
  store_state(f, mo_full(b, MO_F32, column, LOWEST), f->m, row);
  store_state(f, mo_full(b, MO_F32, column, 0), f->l, row);
  mo_value *zeros = mo_full(b, MO_F32, out, 0);
  sequence_store(b, &f->acc, zeros, mo_i32(b, (double)row));
}

void forward_begin(const forward *f) {
  mo_builder *b = f->b;
  if (!f->q.swapped) return;
  mo_value *q = sequence_load(b, &f->q, f->zero, f->plan->block_q, NULL);
  q = mo_transpose(b, mo_cast(b, q, MO_F32), MO_SHAPE(1, 0));
  sequence_store(b, &f->q_rows, q, f->zero);
}

/* ---- Scores ---------------------------------------------------------------
 */

/* How many of the keys from `key` on there are; NULL: all that a tile takes, as
 * where K is streamed. */
static mo_value *existing(const forward *f, const forward_tile *tile) {
  mo_builder *b = f->b;
  if (tile->mask == MASK_NONE || f->problem->Sk == f->plan->keys) return NULL;
  if (f->plan->segment && f->k.ref != f->k_tail.ref) return NULL;
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
    mo_value *ahead = mo_sub(b, row, tile->key);
    s = masks_by_position(b, hidden, s, window, ahead, existing(f, tile));
  }
  if (!f->kv_ids) return s;
  mo_value *ids = mo_load(b, f->kv_ids, MO_VALUES(f->zero, f->zero, tile->key),
                          MO_SHAPE(1, tile->keys));
  ids = columns_clip(b, ids, existing(f, tile), 0);
  mo_value *row_ids = load_state(f, f->row_ids, tile->row, tile->rows);
  return masks_by_segment(b, hidden, s, row_ids, ids);
}

/* Where the tile's first key lies in K and V. */
static mo_value *place(const forward *f, const forward_tile *tile) {
  mo_builder *b = f->b;
  if (!f->shift) return tile->key;
  bool band = tile->mask == MASK_BAND;
  return mo_multiple(b, mo_add(b, tile->key, f->shift),
                     band ? f->plan->align : (int)f->plan->block_k);
}

/* S = c Q K^T, masked. */
static mo_value *make_scores(const forward *f, const forward_tile *tile) {
  mo_builder *b = f->b;
  const sequence *rows = f->q.swapped ? &f->q_rows : &f->q;
  mo_value *row = mo_i32(b, (double)tile->row);
  mo_value *q = sequence_load(b, rows, row, tile->rows, NULL);
  mo_value *at = place(f, tile);
  mo_value *k = sequence_load(b, &f->k, at, tile->keys, NULL);
  mo_value *s = mo_full(b, MO_F32, MO_SHAPE(tile->rows, tile->keys), 0);
  s = mo_matmul(b, f->k.swapped ? MO_NN : MO_NT, q, k, s);
  return mask(f, flash_scores(b, f->problem, s, NULL), tile);
}

/* ---- The step -------------------------------------------------------------
 */

/* A column beside rows of O, or of O^T. */
static mo_value *beside(const forward *f, mo_value *column, int64_t rows) {
  mo_builder *b = f->b;
  int64_t width = f->problem->Dv;
  if (!f->acc.swapped) return columns_spread(b, column, width);
  return mo_broadcast(b, columns_to_row(b, column), MO_SHAPE(width, rows));
}

/* P V, or (P V)^T = V^T P^T. */
static mo_value *weigh(const forward *f, const forward_tile *tile,
                       mo_value *p) {
  mo_builder *b = f->b;
  int64_t sizes[2];
  mo_shape out = sequence_shape(&f->acc, tile->rows, sizes);
  mo_value *at = place(f, tile), *exist = existing(f, tile);
  mo_value *v = sequence_load(b, &f->v, at, tile->keys, exist);
  mo_value *none = mo_full(b, MO_F32, out, 0);
  return f->v.swapped ? mo_matmul(b, MO_NT, v, p, none)
                      : mo_matmul(b, MO_NN, p, v, none);
}

static void use_scores(const forward *f, const forward_tile *tile,
                       mo_value *s) {
  mo_builder *b = f->b;
  int64_t row = tile->row, rows = tile->rows;

  mo_value *m0 = load_state(f, f->m, row, rows);
  mo_value *m = mo_max(b, m0, columns_make(b, mo_reduce(b, MO_MAX, s, 1)));
  mo_value *a = mo_exp2(b, mo_sub(b, m0, m));
  mo_value *p = mo_exp2(b, mo_sub(b, s, columns_spread(b, m, tile->keys)));
  mo_value *l = mo_mul(b, load_state(f, f->l, row, rows), a);
  store_state(f, m, f->m, row);
  store_state(f, mo_add(b, l, columns_fold(b, p)), f->l, row);

  mo_value *at = mo_i32(b, (double)row);
  mo_value *o =
      weigh(f, tile, mo_cast(b, p, kernels_element(f->problem->dtype)));
  mo_value *acc = sequence_load(b, &f->acc, at, rows, NULL);
  acc = mo_mul(b, acc, beside(f, a, rows));
  sequence_store(b, &f->acc, mo_add(b, acc, o), at);
  if (tile->last) forward_finish(f, row, rows);
}

static void use_oldest(const forward *f, forward_queue *queue) {
  use_scores(f, &queue->tiles[0], queue->scores[0]);
  queue->count--;
  for (int i = 0; i < queue->count; i++) {
    queue->tiles[i] = queue->tiles[i + 1];
    queue->scores[i] = queue->scores[i + 1];
  }
}

void forward_attend(const forward *f, forward_queue *queue,
                    const forward_tile *tile) {
  queue->tiles[queue->count] = *tile;
  queue->scores[queue->count++] = make_scores(f, tile);
  if (queue->count > queue->ahead) use_oldest(f, queue);
}

void forward_flush(const forward *f, forward_queue *queue) {
  while (queue->count) use_oldest(f, queue);
}

/* ---- The end --------------------------------------------------------------
 */

/* A head's sink as one more weight of l, relative to the larger of it and m.
 * Gives what the other weights shrink by. */
static mo_value *add_sink(const forward *f, mo_value **m, mo_value **l) {
  mo_builder *b = f->b;
  if (!*m) return NULL;
  mo_value *sink = mo_get(b, f->sinks, MO_VALUES(mo_grid_index(b, 1)));
  mo_shape shape = {(*m)->type->rank, (*m)->type->shape};
  sink = flash_times(b, mo_broadcast(b, sink, shape), FLASH_LOG2_E);
  mo_value *top = mo_max(b, *m, sink);
  mo_value *shrink = mo_exp2(b, mo_sub(b, *m, top));
  *m = top;
  *l = mo_add(b, mo_mul(b, *l, shrink), mo_exp2(b, mo_sub(b, sink, top)));
  return shrink;
}

/* O = O / l, where `r` is 1 / l. */
static void store_o(const forward *f, mo_value *r, int64_t row, int64_t rows) {
  mo_builder *b = f->b;
  int64_t width = f->problem->Dv;
  mo_value *at = mo_i32(b, (double)row);
  mo_value *o = sequence_load(b, &f->acc, at, rows, NULL);
  r = f->acc.swapped ? mo_broadcast(b, r, MO_SHAPE(width, rows))
                     : columns_spread(b, r, width);
  sequence_store(b, &f->o, mo_mul(b, o, r), at);
}

static void store_lse(const forward *f, mo_value *lse, int64_t row) {
  mo_builder *b = f->b;
  if (!f->acc.swapped) lse = columns_to_row(b, lse);
  mo_store(b, lse, f->lse,
           MO_VALUES(f->zero, f->zero, f->zero, mo_i32(b, (double)row)));
}

/* m and l are columns; beside O^T they are needed as rows, and have fewer
 * registers so. */
void forward_finish(const forward *f, int64_t row, int64_t rows) {
  mo_builder *b = f->b;
  mo_shape shape = f->acc.swapped ? MO_SHAPE(1, rows) : MO_SHAPE(rows, LANES);
  mo_value *m = load_state(f, f->m, row, rows);
  mo_value *l = mo_reduce(b, MO_SUM, load_state(f, f->l, row, rows), 1);
  l = columns_make(b, l);
  if (f->acc.swapped) m = columns_to_row(b, m), l = columns_to_row(b, l);
  mo_value *none = mo_full(b, MO_F32, shape, 0), *seen = mo_gt(b, l, none);
  mo_value *shrink = f->sinks ? add_sink(f, &m, &l) : NULL;
  mo_value *r = columns_invert(b, l);
  if (shrink) r = mo_mul(b, r, shrink);
  if (f->plan->blind) r = mo_select(b, seen, r, none);
  store_o(f, r, row, rows);
  forward_reset(f, row, rows);
  if (!f->lse) return;
  mo_value *lse = mo_add(b, m, mo_log2(b, l));
  lse = flash_times(b, lse, FLASH_LN_2);
  if (f->plan->blind)
    lse = mo_select(b, seen, lse, mo_full(b, MO_F32, shape, -INFINITY));
  store_lse(f, lse, row);
}
