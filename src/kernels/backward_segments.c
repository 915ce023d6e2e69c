/* Segment ids: chunks of queries are skipped where their ids and those of the
 * block's keys lie apart. As forward_segments.c has it, the other way round. */
#include <math.h>

#include "kernels/backward_kernel.h"
#include "kernels/columns.h"

/* The least or most of a row of ids, of which the first `count` exist. */
static mo_value *extreme(const backward *f, mo_value *ids, mo_combine combine,
                         mo_value *count) {
  mo_builder *b = f->b;
  double none = combine == MO_MIN ? INFINITY : -INFINITY;
  mo_value *x = columns_clip(b, mo_cast(b, ids, MO_F32), count, none);
  return mo_element_of(b, mo_reduce(b, combine, x, 1));
}

void backward_segments_begin_rows(const backward *f) {
  mo_builder *b = f->b;
  int64_t size = f->plan->block_q, chunks = f->plan->panel / size;
  if (!f->q_ids) return;
  mo_value *count = mo_i32(b, (double)chunks);
  mo_value *chunk = mo_for(b, f->zero, count, f->one, MO_NONE)[0];
  mo_value *row = mo_mul(b, chunk, mo_i32(b, (double)size));
  row = mo_multiple(b, row, (int)size);
  mo_value *ids =
      mo_load(b, f->q_ids, MO_VALUES(f->zero, f->zero, row), MO_SHAPE(1, size));
  mo_value *rows = backward_existing_rows(f, row);
  mo_set(b, extreme(f, ids, MO_MIN, rows), f->id_ranges, MO_VALUES(chunk));
  mo_set(b, extreme(f, ids, MO_MAX, rows), f->id_ranges,
         MO_VALUES(mo_add(b, chunk, count)));
  mo_end(b, MO_NONE);
}

void backward_segments_begin_keys(backward *f) {
  mo_builder *b = f->b;
  if (!f->kv_ids) return;
  mo_value *ids = mo_load(b, f->kv_ids, MO_VALUES(f->zero, f->zero, f->zero),
                          MO_SHAPE(1, f->plan->block_k));
  mo_value *keys = NULL;
  if (f->problem->Sk % f->plan->block_k)
    keys = mo_sub(b, mo_i32(b, (double)f->problem->Sk), f->key);
  f->least_id = extreme(f, ids, MO_MIN, keys);
  f->most_id = extreme(f, ids, MO_MAX, keys);
  ids = columns_clip(b, ids, keys, 0);
  mo_store_all(b, columns_from_row(b, ids), f->key_ids);
}

mo_value *backward_segments_meet(const backward *f, mo_value *first,
                                 int64_t count) {
  mo_builder *b = f->b;
  int64_t chunks = f->plan->panel / f->plan->block_q;
  mo_value *any = NULL;
  for (int64_t i = 0; i < count; i++) {
    mo_value *chunk = mo_add(b, first, mo_i32(b, (double)i));
    mo_value *most = mo_add(b, chunk, mo_i32(b, (double)chunks));
    mo_value *least = mo_get(b, f->id_ranges, MO_VALUES(chunk));
    most = mo_get(b, f->id_ranges, MO_VALUES(most));
    mo_value *meet =
        mo_and(b, mo_le(b, least, f->most_id), mo_ge(b, most, f->least_id));
    any = any ? mo_or(b, any, meet) : meet;
  }
  return any;
}
