/* Segment ids: whole chunks of keys are skipped where their ids and those of
 * the block's rows lie apart. */
#include "kernels/columns.h"
#include "kernels/forward_kernel.h"

/* For each chunk of the batch entry's keys. */
static void make_ranges(const forward *f) {
  mo_builder *b = f->b;
  int64_t chunks = f->plan->keys / f->plan->block_k;
  mo_value *count = mo_i32(b, (double)chunks);
  mo_value *size = mo_i32(b, (double)f->plan->block_k);
  mo_value *chunk = mo_for(b, f->zero, count, f->one, MO_NONE)[0];
  mo_value *key = mo_multiple(b, mo_mul(b, chunk, size), (int)f->plan->block_k);
  mo_value *ids = mo_load(b, f->kv_ids, MO_VALUES(f->zero, f->zero, key),
                          MO_SHAPE(1, f->plan->block_k));
  mo_value *keys = mo_sub(b, mo_i32(b, (double)f->problem->Sk), key);
  segments_keep(b, f->id_ranges, count, chunk, ids, keys);
  mo_end(b, MO_NONE);
}

void forward_segments_begin(forward *f) {
  mo_builder *b = f->b;
  mo_value *later = mo_add(b, mo_grid_index(b, 1), mo_grid_index(b, 2));
  mo_if(b, mo_eq(b, later, f->zero));
  make_ranges(f);
  mo_end(b, MO_NONE);
  mo_value *ids = mo_load(b, f->q_ids, MO_VALUES(f->zero, f->zero, f->zero),
                          MO_SHAPE(1, f->plan->block_q));
  mo_value *rows = mo_sub(b, mo_i32(b, (double)f->problem->Sk), f->position);
  f->ids = segments_range(b, ids, rows);
  ids = columns_clip(b, ids, rows, 0);
  mo_store_all(b, columns_from_row(b, ids), f->row_ids);
}

mo_value *forward_segments_meet(const forward *f, mo_value *first,
                                int64_t count) {
  int64_t chunks = f->plan->keys / f->plan->block_k;
  return segments_meet(f->b, f->id_ranges, chunks, f->ids, first, count);
}
