/* Copies of boxes: from any strides to any strides. Slices, transposes,
 * broadcasts, loads, stores and DMAs are all of this kind. */
#ifndef PFL_SIM_STRIDED_H
#define PFL_SIM_STRIDED_H

#include <stdint.h>

/* Of a box and of a memory reference. */
#define SIM_RANK_MAX 8

/* Strides are in elements and may be 0 (a broadcast) or negative. */
typedef struct sim_copy {
  int rank; /* up to one more than a reference has, for packed rows */
  int64_t sizes[SIM_RANK_MAX + 1];
  int64_t to[SIM_RANK_MAX + 1];
  int64_t from[SIM_RANK_MAX + 1];
} sim_copy;

/* Drops dimensions of size 1 and makes one of those that lie end to end. */
void sim_copy_merge(sim_copy *copy);

/* Copies elements of `bytes` bytes: 1, 2 or 4. to and from do not overlap, or
 * are the same. `copy` must be merged. */
void sim_copy_run(const sim_copy *copy, void *to, const void *from, int bytes);

/* Strides of a dense box, in elements. */
void sim_dense(int rank, const int64_t *sizes, int64_t *out_strides);

#endif
