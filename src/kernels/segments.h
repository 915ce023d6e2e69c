/* Segment ids by chunks: the least and the most id of each, so that chunks
 * whose ids lie apart are skipped whole. Ranges are compared in f32: rounding
 * keeps order, so that an id in common is never missed. */
#ifndef PFL_KERNELS_SEGMENTS_H
#define PFL_KERNELS_SEGMENTS_H

#include "mosaic/builder.h"

/* f32. */
typedef struct segment_range {
  mo_value *least, *most;
} segment_range;

/* Of a row of ids, of which the first `count` exist; NULL: all. */
segment_range segments_range(mo_builder *b, mo_value *ids, mo_value *count);

/* Keeps the range of a chunk in `ranges` (SMEM, f32): the least ids of all
 * `chunks`, then the most. */
void segments_keep(mo_builder *b, mo_value *ranges, mo_value *chunks,
                   mo_value *chunk, mo_value *ids, mo_value *count);

/* Whether an id of `range` may be among those of the `count` chunks from
 * `first` on. */
mo_value *segments_meet(mo_builder *b, mo_value *ranges, int64_t chunks,
                        segment_range range, mo_value *first, int64_t count);

#endif
