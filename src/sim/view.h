/* References at run time: boxes of a memory. */
#ifndef PFL_SIM_VIEW_H
#define PFL_SIM_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "mosaic/ir.h"
#include "sim/strided.h"

typedef struct sim_memory sim_memory;

/* Strides are in bytes. A view of packed rows has elements of `pack` narrow
 * ones, which lie pack_stride bytes apart. */
typedef struct sim_view {
  sim_memory *memory;
  int64_t offset; /* bytes, of the first element */
  mo_element element;
  int rank;
  int pack; /* 1 but for packed rows */
  int64_t pack_stride;
  int64_t sizes[SIM_RANK_MAX];
  int64_t strides[SIM_RANK_MAX];
  int32_t tiles[SIM_RANK_MAX]; /* elements of a tile along the dimension */
} sim_view;

/* Bytes of what lies together: an element, or its narrow parts. */
int sim_view_unit(const sim_view *view);
int64_t sim_view_count(const sim_view *view);
/* sizes and strides of a dense box. */
void sim_view_dense(sim_view *view, int rank, const int64_t *sizes);

/* The part of `sizes` at `at`, of every steps-th element if steps is given.
 * Returns the dimension that it is too large for, or -1. */
int sim_view_part(const sim_view *from, const int64_t *at, const int64_t *sizes,
                  const int64_t *steps, sim_view *out);

/* The elements one by one into a dense vector, or back. */
sim_copy sim_view_copy(const sim_view *view, bool loads);

/* The stretches of bytes that a view is made of, in no particular order. */
typedef struct sim_runs {
  int rank;
  int64_t sizes[SIM_RANK_MAX + 1], strides[SIM_RANK_MAX + 1];
  int64_t at[SIM_RANK_MAX + 1];
  int64_t offset, length; /* of the run, bytes */
  bool more;
} sim_runs;

void sim_runs_begin(sim_runs *runs, const sim_view *view);
void sim_runs_next(sim_runs *runs);

/* The first byte, and the one after the last. */
void sim_view_span(const sim_view *view, int64_t *out_first, int64_t *out_end);

/* Whether two views of one memory share a byte. */
bool sim_view_overlap(const sim_view *a, const sim_view *b);

#endif
