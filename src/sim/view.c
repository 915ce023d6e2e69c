#include "sim/view.h"

#include <string.h>

#include "base/memory.h"
#include "sim/code.h"

int sim_view_unit(const sim_view *view) {
  int bytes = sim_element_bytes(view->element);
  return bytes ? bytes / view->pack : 1; /* a semaphore counts as a byte */
}

int64_t sim_view_count(const sim_view *view) {
  int64_t count = 1;
  for (int i = 0; i < view->rank; i++) count *= view->sizes[i];
  return count;
}

void sim_view_dense(sim_view *view, int rank, const int64_t *sizes) {
  int64_t stride = sim_view_unit(view);
  view->rank = rank;
  for (int i = rank - 1; i >= 0; i--) {
    view->sizes[i] = sizes[i];
    view->strides[i] = stride;
    stride *= sizes[i];
    /* small second last dimensions have small tiles */
    int32_t rows = 1;
    while (rows < 8 && rows < sizes[i]) rows *= 2;
    view->tiles[i] = rank < 2        ? 1
                     : i == rank - 1 ? 128
                     : i == rank - 2 ? rows
                                     : 1;
  }
}

int sim_view_part(const sim_view *from, const int64_t *at, const int64_t *sizes,
                  const int64_t *steps, sim_view *out) {
  *out = *from;
  for (int i = 0; i < from->rank; i++) {
    int64_t step = steps ? steps[i] : 1;
    int64_t last = sizes[i] ? (sizes[i] - 1) * step : 0;
    if (at[i] < 0 || at[i] > from->sizes[i] - (sizes[i] != 0) ||
        last > from->sizes[i] - 1 - at[i])
      return i;
    out->offset += at[i] * from->strides[i];
    out->sizes[i] = sizes[i];
    out->strides[i] = from->strides[i] * step;
  }
  return -1;
}

sim_copy sim_view_copy(const sim_view *view, bool loads) {
  sim_copy copy = {.rank = view->rank};
  int64_t dense[SIM_RANK_MAX + 1], box[SIM_RANK_MAX + 1];
  int unit = sim_view_unit(view);
  for (int i = 0; i < view->rank; i++) {
    copy.sizes[i] = view->sizes[i];
    box[i] = view->strides[i] / unit;
  }
  if (view->pack > 1) { /* the parts of an element, lowest first */
    copy.sizes[copy.rank] = view->pack;
    box[copy.rank++] = view->pack_stride / unit;
  }
  sim_dense(copy.rank, copy.sizes, dense);
  memcpy(loads ? copy.to : copy.from, dense, sizeof dense);
  memcpy(loads ? copy.from : copy.to, box, sizeof box);
  sim_copy_merge(&copy);
  return copy;
}

/* ---- Runs ---------------------------------------------------------------- */

void sim_runs_begin(sim_runs *runs, const sim_view *view) {
  int rank = 0;
  int64_t length = sim_view_unit(view);
  *runs = (sim_runs){.offset = view->offset, .more = true};
  for (int i = 0; i < view->rank; i++) {
    if (view->sizes[i] == 0) runs->more = false;
    /* the rows that are packed come before the last dimension */
    if (view->pack > 1 && i == view->rank - 1) {
      runs->sizes[rank] = view->pack;
      runs->strides[rank++] = view->pack_stride;
    }
    if (view->sizes[i] == 1) continue;
    runs->sizes[rank] = view->sizes[i];
    runs->strides[rank++] = view->strides[i];
  }
  while (rank && runs->strides[rank - 1] == length)
    length *= runs->sizes[--rank];
  runs->rank = rank;
  runs->length = length;
}

void sim_runs_next(sim_runs *runs) {
  for (int i = runs->rank - 1; i >= 0; i--) {
    runs->offset += runs->strides[i];
    if (++runs->at[i] < runs->sizes[i]) return;
    runs->offset -= runs->at[i] * runs->strides[i];
    runs->at[i] = 0;
  }
  runs->more = false;
}

void sim_view_span(const sim_view *view, int64_t *out_first, int64_t *out_end) {
  sim_runs runs;
  sim_runs_begin(&runs, view);
  *out_first = *out_end = runs.offset;
  if (!runs.more) return;
  *out_end += runs.length;
  for (int i = 0; i < runs.rank; i++)
    *out_end += (runs.sizes[i] - 1) * runs.strides[i];
}

/* ---- Overlap ------------------------------------------------------------- */

/* Whether dimensions dim.. of the runs, from `offset`, meet [first, end). */
static bool meets(const sim_runs *x, int dim, int64_t offset, int64_t first,
                  int64_t end) {
  if (dim == x->rank) return offset < end && offset + x->length > first;
  int64_t span = x->length, stride = x->strides[dim];
  for (int i = dim + 1; i < x->rank; i++)
    span += (x->sizes[i] - 1) * x->strides[i];
  /* the indices whose stretch [offset + i stride, ... + span) meets it */
  int64_t low = first - span + 1 - offset, high = end - 1 - offset;
  int64_t from = low <= 0 ? 0 : base_ceil_div(low, stride);
  int64_t to = high < 0 ? -1 : base_min(high / stride, x->sizes[dim] - 1);
  for (int64_t i = from; i <= to; i++)
    if (meets(x, dim + 1, offset + i * stride, first, end)) return true;
  return false;
}

static int64_t run_count(const sim_runs *runs) {
  int64_t count = 1;
  for (int i = 0; i < runs->rank; i++) count *= runs->sizes[i];
  return count;
}

bool sim_view_overlap(const sim_view *a, const sim_view *b) {
  int64_t first[2], end[2];
  sim_view_span(a, &first[0], &end[0]);
  sim_view_span(b, &first[1], &end[1]);
  if (first[0] >= end[1] || first[1] >= end[0]) return false;
  sim_runs x, y;
  sim_runs_begin(&x, a);
  sim_runs_begin(&y, b);
  if (run_count(&x) > run_count(&y)) {
    sim_runs swap = x;
    x = y;
    y = swap;
  }
  for (int64_t start = y.offset; x.more; sim_runs_next(&x))
    if (meets(&y, 0, start, x.offset, x.offset + x.length)) return true;
  return false;
}
