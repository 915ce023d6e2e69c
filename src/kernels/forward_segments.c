/* Segment ids: whole chunks of keys are skipped where their ids and those of
 * the block's rows lie apart. Ranges are compared in f32: rounding keeps order,
 * so that an id in common is never missed. */
#include <math.h>

#include "kernels/columns.h"
#include "kernels/forward_kernel.h"

/* The least or most of a row of ids, of which the first `count` exist. */
static mo_value *extreme(const forward *f, mo_value *ids, mo_combine combine,
                         mo_value *count) {
  mo_builder *b = f->b;
  double none = combine == MO_MIN ? INFINITY : -INFINITY;
  mo_value *x = columns_clip(b, mo_cast(b, ids, MO_F32), count, none);
  return mo_element_of(b, mo_reduce(b, combine, x, 1));
}

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
  mo_set(b, extreme(f, ids, MO_MIN, keys), f->id_ranges, MO_VALUES(chunk));
  mo_set(b, extreme(f, ids, MO_MAX, keys), f->id_ranges,
         MO_VALUES(mo_add(b, chunk, count)));
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
  f->least_id = extreme(f, ids, MO_MIN, rows);
  f->most_id = extreme(f, ids, MO_MAX, rows);
  ids = columns_clip(b, ids, rows, 0);
  mo_store_all(b, columns_from_row(b, ids), f->row_ids);
}

mo_value *forward_segments_meet(const forward *f, mo_value *first,
                                int64_t count) {
  mo_builder *b = f->b;
  int64_t chunks = f->plan->keys / f->plan->block_k;
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
