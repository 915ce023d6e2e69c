/* What the backward kernel does before the tiles and after them. */
#include <math.h>

#include "kernels/backward_kernel.h"
#include "kernels/columns.h"
#include "kernels/flash_math.h"

/* ---- Before ---------------------------------------------------------------
 */

/* How many of the rows from `first` on there are; NULL: all. */
static mo_value *existing(const backward *f, mo_value *first) {
  mo_builder *b = f->b;
  if (f->problem->Sq == f->plan->rows) return NULL;
  return mo_sub(b, mo_i32(b, (double)f->problem->Sq), first);
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
  mo_store(b, columns_clip(b, lse, existing(f, first), INFINITY), f->row_lse,
           MO_VALUES(f->zero, first));
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
  mo_store(b, columns_clip(b, delta, existing(f, first), 0), f->row_delta,
           MO_VALUES(f->zero, first));
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

void backward_begin(const backward *f) {
  mo_builder *b = f->b;
  mo_value *step = mo_add(b, mo_grid_index(b, 0), mo_grid_index(b, 1));
  mo_if(b, mo_eq(b, mo_add(b, step, f->step), f->zero));
  clear(f, f->dq_sum.ref);
  clear(f, f->dk_sum.ref);
  clear(f, f->dv_sum.ref);
  clear(f, f->dsinks);
  mo_end(b, MO_NONE);
  turn(f, &f->k, &f->k_rows);
  turn(f, &f->v, &f->v_rows);
}

void backward_begin_rows(const backward *f, mo_value *row, mo_value *o_row,
                         int64_t rows) {
  make_lse(f, row, rows);
  make_delta(f, row, o_row, rows);
  if (f->sinks) add_sink(f, row, rows);
}

/* ---- After ----------------------------------------------------------------
 */

/* A sum to an output. */
static void finish(const backward *f, const sequence *sum, mo_value *from,
                   const sequence *out, mo_value *to, int64_t count,
                   double factor) {
  mo_builder *b = f->b;
  mo_value *x = sequence_load(b, sum, from, count, NULL);
  if (factor != 1) x = flash_times(b, x, factor);
  sequence_store(b, out, x, to);
}

static void clear_part(const backward *f, const sequence *sum, mo_value *from,
                       int64_t count) {
  mo_builder *b = f->b;
  int64_t sizes[2];
  mo_shape shape = sequence_shape(sum, count, sizes);
  sequence_store(b, sum, mo_full(b, MO_F32, shape, 0), from);
}

void backward_finish_rows(const backward *f, mo_value *row, int64_t rows) {
  finish(f, &f->dq_sum, row, &f->dq, row, rows, f->problem->scale);
  clear_part(f, &f->dq_sum, row, rows);
}

void backward_finish_keys(const backward *f) {
  mo_builder *b = f->b;
  int64_t keys = f->plan->block_k, group = f->problem->group;
  mo_value *member = mo_rem(b, mo_grid_index(b, 1), mo_i32(b, (double)group));
  if (group > 1) mo_if(b, mo_eq(b, member, mo_i32(b, (double)group - 1)));
  finish(f, &f->dk_sum, f->sum_key, &f->dk, f->zero, keys, f->problem->scale);
  finish(f, &f->dv_sum, f->sum_key, &f->dv, f->zero, keys, 1);
  if (!f->plan->fresh) {
    clear_part(f, &f->dk_sum, f->sum_key, keys);
    clear_part(f, &f->dv_sum, f->sum_key, keys);
  }
  if (group > 1) mo_end(b, MO_NONE);
}
