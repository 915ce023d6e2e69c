/* Segment ids: chunks of queries are skipped where their ids and those of the
 * block's keys lie apart. As forward_segments.c has it, the other way round. */
#include "kernels/backward_kernel.h"
#include "kernels/columns.h"

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
  segments_keep(b, f->id_ranges, count, chunk, ids, rows);
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
  f->ids = segments_range(b, ids, keys);
  ids = columns_clip(b, ids, keys, 0);
  mo_store_all(b, columns_from_row(b, ids), f->key_ids);
}

mo_value *backward_segments_meet(const backward *f, mo_value *first,
                                 int64_t count) {
  int64_t chunks = f->plan->panel / f->plan->block_q;
  return segments_meet(f->b, f->id_ranges, chunks, f->ids, first, count);
}
