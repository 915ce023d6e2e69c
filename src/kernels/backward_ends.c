/* What the backward kernel does before the tiles and after them. */
#include <math.h>

#include "kernels/backward_kernel.h"
#include "kernels/columns.h"
#include "kernels/flash_math.h"

/* ---- Before ---------------------------------------------------------------
 */

mo_value *backward_existing_rows(const backward *f, mo_value *row) {
  mo_builder *b = f->b;
  if (f->problem->Sq == f->plan->panels * f->plan->panel) return NULL;
  row = mo_add(b, f->first_row, row);
  return mo_sub(b, mo_i32(b, (double)f->problem->Sq), row);
}

/* LSE of rows in units of log2; infinite for rows that saw no key or do not
 * exist, so that their weights are 0. */
static void make_lse(const backward *f, mo_value *first, int64_t count) {
  mo_builder *b = f->b;
  mo_shape row = MO_SHAPE(1, count);
  mo_value *lse =
      mo_load(b, f->lse, MO_VALUES(f->zero, f->zero, f->zero, first), row);
  mo_value *none = mo_full(b, MO_F32, row, -INFINITY);
  mo_value *most = mo_full(b, MO_F32, row, INFINITY);
  lse = mo_select(b, mo_eq(b, lse, none), most,
                  flash_times(b, lse, FLASH_LOG2_E));
  mo_store(b, columns_clip(b, lse, backward_existing_rows(f, first), INFINITY),
           f->row_lse, MO_VALUES(f->zero, first));
}

static mo_value *take_d_lse(const backward *f, mo_value *delta, mo_value *first,
                            int64_t count) {
  mo_builder *b = f->b;
  mo_shape row = MO_SHAPE(1, count);
  mo_value *d_lse =
      mo_load(b, f->d_lse, MO_VALUES(f->zero, f->zero, f->zero, first), row);
  mo_value *lse = mo_load(b, f->row_lse, MO_VALUES(f->zero, first), row);
  mo_value *none = mo_full(b, MO_F32, row, INFINITY);
  mo_value *zero = mo_full(b, MO_F32, row, 0);
  d_lse = mo_select(b, mo_eq(b, lse, none), zero, d_lse);
  return mo_sub(b, delta, d_lse);
}

/* delta = rowsum(dO O) - dLSE; that of rows whose weights are 0 is of no effect
 * as long as it is finite, which dLSE of a row without keys may not be. */
static void make_delta(const backward *f, mo_value *first, mo_value *o_first,
                       int64_t count) {
  mo_builder *b = f->b;
  mo_value *o = sequence_load(b, &f->o, o_first, count, NULL);
  mo_value *d_o = sequence_load(b, &f->d_o, first, count, NULL);
  mo_value *terms = mo_mul(b, mo_cast(b, o, MO_F32), mo_cast(b, d_o, MO_F32));
  bool swapped = f->o.swapped;
  mo_value *delta = mo_reduce(b, MO_SUM, terms, swapped ? 0 : 1);
  if (!swapped) delta = columns_to_row(b, columns_make(b, delta));
  if (f->d_lse) delta = take_d_lse(f, delta, first, count);
  mo_store(b, columns_clip(b, delta, backward_existing_rows(f, first), 0),
           f->row_delta, MO_VALUES(f->zero, first));
}

/* dsink = - sum over rows of P_sink delta, into the lane of the head. */
static mo_value *sum_sink(const backward *f, mo_value *first, int64_t count) {
  mo_builder *b = f->b;
  mo_shape row = MO_SHAPE(1, count);
  mo_value *at[] = {f->zero, first};
  mo_value *lse = mo_load(b, f->row_lse, ((mo_values){2, at}), row);
  mo_value *delta = mo_load(b, f->row_delta, ((mo_values){2, at}), row);
  mo_value *sink = mo_get(b, f->sinks, MO_VALUES(mo_grid_index(b, 1)));
  sink = flash_times(b, mo_broadcast(b, sink, row), FLASH_LOG2_E);
  mo_value *p = mo_exp2(b, mo_sub(b, sink, lse));
  return mo_reduce(b, MO_SUM, mo_mul(b, p, delta), 1);
}

static void add_sink(const backward *f, mo_value *first, int64_t count) {
  mo_builder *b = f->b;
  mo_shape heads = MO_SHAPE(1, f->problem->Hq);
  mo_value *head = mo_broadcast(b, mo_grid_index(b, 1), heads);
  mo_value *sum = mo_broadcast(b, sum_sink(f, first, count), heads);
  mo_value *mine = mo_eq(b, mo_iota(b, heads, 1), head);
  sum = mo_select(b, mine, sum, mo_full(b, MO_F32, heads, 0));
  mo_store_all(b, mo_sub(b, mo_load_all(b, f->dsinks), sum), f->dsinks);
}

static void clear(const backward *f, mo_value *sum) {
  mo_builder *b = f->b;
  if (!sum) return;
  mo_shape all = {sum->type->rank, sum->type->shape};
  mo_store_all(b, mo_full(b, MO_F32, all, 0), sum);
}

/* [width, keys] to [keys, width]. */
static void turn(const backward *f, const sequence *from, const sequence *to) {
  mo_builder *b = f->b;
  if (!from->swapped) return;
  mo_value *x = sequence_load(b, from, f->zero, f->plan->block_k, NULL);
  x = mo_transpose(b, mo_cast(b, x, MO_F32), MO_SHAPE(1, 0));
  sequence_store(b, to, x, f->zero);
}

void backward_turn_keys(const backward *f) {
  turn(f, &f->k, &f->k_rows);
  turn(f, &f->v, &f->v_rows);
}

void backward_begin(const backward *f) {
  mo_builder *b = f->b;
  mo_value *step = mo_add(b, mo_grid_index(b, 0), mo_grid_index(b, 1));
  if (f->plan->panels > 1) step = mo_add(b, step, f->panel);
  mo_if(b, mo_eq(b, mo_add(b, step, f->step), f->zero));
  clear(f, f->dq_sum.ref);
  clear(f, f->dk_sum.ref);
  clear(f, f->dv_sum.ref);
  clear(f, f->dsinks);
  backward_sums_clear(f);
  mo_end(b, MO_NONE);
}

static void clear_part(const backward *f, const sequence *s, mo_value *from,
                       int64_t count) {
  mo_builder *b = f->b;
  int64_t sizes[2];
  mo_shape shape = sequence_shape(s, count, sizes);
  sequence_store(b, s, mo_full(b, MO_F32, shape, 0), from);
}

/* Positions first .. end - 1; `end` is a multiple of LANES. */
static void clear_tail(const backward *f, const sequence *s, int64_t first,
                       int64_t end) {
  mo_builder *b = f->b;
  int64_t piece = first / LANES, pieces = end / LANES;
  if (first % LANES) {
    mo_value *at = mo_i32(b, (double)(piece * LANES));
    mo_value *there = mo_i32(b, (double)(first % LANES));
    sequence_store(b, s, sequence_load(b, s, at, LANES, there), at);
    piece++;
  }
  if (piece == pieces) return;
  mo_value *from = mo_i32(b, (double)piece);
  mo_value *to = mo_i32(b, (double)pieces);
  mo_value *at = mo_for(b, from, to, f->one, MO_NONE)[0];
  at = mo_mul(b, at, mo_i32(b, LANES));
  clear_part(f, s, mo_multiple(b, at, LANES), LANES);
  mo_end(b, MO_NONE);
}

static void clear_row_tails(const backward *f) {
  mo_builder *b = f->b;
  const backward_plan *plan = f->plan;
  int64_t first = f->problem->Sq - (plan->panels - 1) * plan->panel;
  if (first == plan->panel) return;
  mo_value *ends = mo_eq(b, f->panel, mo_i32(b, (double)(plan->panels - 1)));
  mo_if(b, mo_and(b, ends, mo_eq(b, f->step, f->zero)));
  clear_tail(f, &f->q, first, plan->panel);
  clear_tail(f, &f->d_o, first, plan->panel);
  mo_end(b, MO_NONE);
}

static void clear_key_tails(const backward *f) {
  mo_builder *b = f->b;
  int64_t keys = f->plan->block_k, first = f->problem->Sk % keys;
  if (!first) return;
  mo_value *last = mo_i32(b, (double)f->plan->k_blocks - 1);
  mo_if(b, mo_eq(b, f->block, last));
  clear_tail(f, &f->k, first, keys);
  clear_tail(f, &f->v, first, keys);
  mo_end(b, MO_NONE);
}

void backward_clear_tails(const backward *f) {
  clear_row_tails(f);
  clear_key_tails(f);
}

void backward_begin_rows(const backward *f, mo_value *row, mo_value *o_row,
                         int64_t rows) {
  make_lse(f, row, rows);
  make_delta(f, row, o_row, rows);
  if (f->sinks) add_sink(f, row, rows);
}

/* For all rows of the panel, end_rows at a time. */
static mo_value *each_rows(const backward *f) {
  mo_builder *b = f->b;
  int64_t size = f->plan->end_rows;
  mo_value *count = mo_i32(b, (double)(f->plan->panel / size));
  mo_value *row = mo_for(b, f->zero, count, f->one, MO_NONE)[0];
  row = mo_mul(b, row, mo_i32(b, (double)size));
  return mo_multiple(b, row, (int)size);
}

void backward_begin_panel(const backward *f) {
  mo_builder *b = f->b;
  if (f->plan->descending && !f->q_ids) return;
  mo_if(b, mo_eq(b, f->step, f->zero));
  backward_segments_begin_rows(f);
  if (!f->plan->descending) {
    mo_value *row = each_rows(f);
    backward_begin_rows(f, row, row, f->plan->end_rows);
    mo_end(b, MO_NONE);
  }
  mo_end(b, MO_NONE);
}

/* ---- After ----------------------------------------------------------------
 */

void backward_finish_panel(const backward *f) {
  mo_builder *b = f->b;
  int64_t rows = f->plan->end_rows;
  mo_value *last = mo_i32(b, (double)f->plan->steps - 1);
  mo_if(b, mo_eq(b, f->step, last));
  mo_value *row = each_rows(f);
  mo_value *dq = sequence_load(b, &f->dq_sum, row, rows, NULL);
  if (f->problem->scale != 1) dq = flash_times(b, dq, f->problem->scale);
  sequence_store(b, &f->dq, dq, row);
  clear_part(f, &f->dq_sum, row, rows);
  mo_end(b, MO_NONE);
  mo_end(b, MO_NONE);
}
