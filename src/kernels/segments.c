#include "kernels/segments.h"

#include <math.h>

#include "kernels/columns.h"

static mo_value *extreme(mo_builder *b, mo_value *ids, mo_combine combine,
                         mo_value *count) {
  double none = combine == MO_MIN ? INFINITY : -INFINITY;
  mo_value *x = columns_clip(b, mo_cast(b, ids, MO_F32), count, none);
  return mo_element_of(b, mo_reduce(b, combine, x, 1));
}

segment_range segments_range(mo_builder *b, mo_value *ids, mo_value *count) {
  mo_value *least = extreme(b, ids, MO_MIN, count);
  return (segment_range){least, extreme(b, ids, MO_MAX, count)};
}

void segments_keep(mo_builder *b, mo_value *ranges, mo_value *chunks,
                   mo_value *chunk, mo_value *ids, mo_value *count) {
  mo_set(b, extreme(b, ids, MO_MIN, count), ranges, MO_VALUES(chunk));
  mo_set(b, extreme(b, ids, MO_MAX, count), ranges,
         MO_VALUES(mo_add(b, chunk, chunks)));
}

mo_value *segments_meet(mo_builder *b, mo_value *ranges, int64_t chunks,
                        segment_range range, mo_value *first, int64_t count) {
  mo_value *any = NULL;
  for (int64_t i = 0; i < count; i++) {
    mo_value *chunk = mo_add(b, first, mo_i32(b, (double)i));
    mo_value *most = mo_add(b, chunk, mo_i32(b, (double)chunks));
    mo_value *least = mo_get(b, ranges, MO_VALUES(chunk));
    most = mo_get(b, ranges, MO_VALUES(most));
    mo_value *meet =
        mo_and(b, mo_le(b, least, range.most), mo_ge(b, most, range.least));
    any = any ? mo_or(b, any, meet) : meet;
  }
  return any;
}
