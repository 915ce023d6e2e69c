#include "sim/contents.h"

#include <string.h>

#include "base/memory.h"

/* ---- Bits ---------------------------------------------------------------- */

/* Of word w, those that stand for bytes of [first, end). */
static uint64_t mask_of(int64_t w, int64_t first, int64_t end) {
  uint64_t mask = ~(uint64_t)0;
  if (first > w * 64) mask &= ~(uint64_t)0 << (first - w * 64);
  if (end < w * 64 + 64) mask &= ~(~(uint64_t)0 << (end - w * 64));
  return mask;
}

bool sim_bits_all(const uint64_t *bits, int64_t first, int64_t end) {
  for (int64_t w = first / 64; w * 64 < end; w++) {
    uint64_t mask = mask_of(w, first, end);
    if ((bits[w] & mask) != mask) return false;
  }
  return true;
}

/* Without the instruction, which not every machine has. */
static int64_t count_bits(uint64_t x) {
  x -= x >> 1 & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
  return (int64_t)(((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu) *
                       0x0101010101010101u >>
                   56);
}

int64_t sim_bits_put(uint64_t *bits, int64_t first, int64_t end, bool value) {
  int64_t changed = 0;
  for (int64_t w = first / 64; w * 64 < end; w++) {
    uint64_t mask = mask_of(w, first, end), old = bits[w];
    bits[w] = value ? old | mask : old & ~mask;
    if (bits[w] != old) changed += count_bits(bits[w] ^ old);
  }
  return changed;
}

/* ---- Memories ------------------------------------------------------------ */

void sim_memory_forget(sim_chip *chip, sim_memory *memory) {
  if (!memory->written) return;
  int64_t bytes = memory->plan->bytes;
  memset(memory->written, 0, (size_t)base_ceil_div(bytes, 64) * 8);
  memset(memory->stored, 0, (size_t)base_ceil_div(bytes, 64) * 8);
  memory->unwritten = bytes;
  memory->taint = 0;
  /* NaN as a float, -1 as an integer */
  if (chip->options->hostile) memset(memory->bytes, 0xff, (size_t)bytes);
}

void sim_memory_know(sim_memory *memory) { memory->unwritten = 0; }

int64_t sim_memory_tainted(const sim_memory *memory) {
  int64_t count = 0;
  if (!memory->unwritten) return 0;
  for (int64_t w = 0; w < base_ceil_div(memory->plan->bytes, 64); w++)
    count += count_bits(memory->stored[w] & ~memory->written[w]);
  return count;
}

sim_view sim_memory_view(sim_memory *memory) {
  const sim_memory_plan *plan = memory->plan;
  sim_view view = {.memory = memory, .pack = 1, .element = plan->element};
  sim_view_dense(&view, plan->rank, plan->shape);
  return view;
}

bool sim_view_written(const sim_view *view) {
  const sim_memory *memory = view->memory;
  if (!memory->unwritten) return true;
  sim_runs runs;
  for (sim_runs_begin(&runs, view); runs.more; sim_runs_next(&runs))
    if (!sim_bits_all(memory->written, runs.offset, runs.offset + runs.length))
      return false;
  return true;
}

/* A memory that is all written keeps no bits: `unwritten` says so. */
static void put(sim_memory *memory, int64_t first, int64_t end, sim_mark mark) {
  if (!memory->written) return;
  if (!memory->unwritten) {
    if (mark == SIM_WRITTEN) return;
    sim_bits_put(memory->written, 0, memory->plan->bytes, true);
    sim_bits_put(memory->stored, 0, memory->plan->bytes, true);
  }
  sim_bits_put(memory->stored, first, end, mark != SIM_NEVER);
  int64_t changed =
      sim_bits_put(memory->written, first, end, mark == SIM_WRITTEN);
  memory->unwritten += mark == SIM_WRITTEN ? -changed : changed;
}

void sim_view_mark(const sim_view *view, sim_mark mark) {
  if (mark == SIM_WRITTEN && !view->memory->unwritten) return;
  sim_runs runs;
  for (sim_runs_begin(&runs, view); runs.more; sim_runs_next(&runs))
    put(view->memory, runs.offset, runs.offset + runs.length, mark);
}

/* ---- Element by element ---------------------------------------------------
 * For what is tainted in part: row by row, and within a row by stretches. */

typedef struct walk {
  int64_t at[SIM_RANK_MAX], offset;
  int64_t rows, length, step; /* of the last dimension: elements, bytes */
  int rank;                   /* of those before it */
} walk;

static walk walk_begin(const sim_view *view) {
  int last = view->rank - 1;
  walk w = {.offset = view->offset, .rows = 1, .length = 1, .rank = last};
  if (last < 0) w.rank = 0;
  for (int i = 0; i < last; i++) w.rows *= view->sizes[i];
  if (last >= 0) {
    w.length = view->sizes[last];
    w.step = view->strides[last];
  }
  return w;
}

static void walk_next(walk *w, const sim_view *view) {
  w->rows--;
  for (int i = w->rank - 1; i >= 0; i--) {
    w->offset += view->strides[i];
    if (++w->at[i] < view->sizes[i]) return;
    w->offset -= w->at[i] * view->strides[i];
    w->at[i] = 0;
  }
}

/* Of the element at `offset`: of its parts, the least that is known. */
static sim_mark mark_of(const sim_view *view, int64_t offset, int unit) {
  const sim_memory *memory = view->memory;
  sim_mark mark = SIM_WRITTEN;
  for (int p = 0; p < view->pack; p++) {
    int64_t at = offset + p * view->pack_stride, end = at + unit;
    if (sim_bits_all(memory->written, at, end)) continue;
    bool stored = sim_bits_all(memory->stored, at, end);
    if (!stored) return SIM_NEVER;
    mark = SIM_TAINTED;
  }
  return mark;
}

void sim_view_read_marks(const sim_view *view, uint8_t *marks) {
  int unit = sim_view_unit(view);
  for (walk w = walk_begin(view); w.rows; walk_next(&w, view)) {
    bool dense = view->pack == 1 && w.step == unit;
    if (dense && sim_bits_all(view->memory->written, w.offset,
                              w.offset + w.length * unit))
      memset(marks, SIM_WRITTEN, (size_t)w.length);
    else
      for (int64_t i = 0; i < w.length; i++)
        marks[i] = (uint8_t)mark_of(view, w.offset + i * w.step, unit);
    marks += w.length;
  }
}

void sim_view_write_marks(const sim_view *view, const uint8_t *marks) {
  int unit = sim_view_unit(view);
  for (walk w = walk_begin(view); w.rows; walk_next(&w, view)) {
    bool dense = view->pack == 1 && w.step == unit;
    for (int64_t i = 0, end; i < w.length; i = end) {
      end = i + 1;
      while (dense && end < w.length && marks[end] == marks[i]) end++;
      for (int p = 0; p < view->pack; p++) {
        int64_t at = w.offset + i * w.step + p * view->pack_stride;
        put(view->memory, at, at + (end - i) * unit, (sim_mark)marks[i]);
      }
    }
    marks += w.length;
  }
}

static void transfer_marks(const sim_view *to, const sim_view *from) {
  if (sim_view_written(from)) {
    sim_view_mark(to, SIM_WRITTEN);
    return;
  }
  int unit = sim_view_unit(from);
  walk w = walk_begin(from), v = walk_begin(to);
  for (; w.rows; walk_next(&w, from), walk_next(&v, to)) {
    bool dense = w.step == unit && v.step == unit;
    int64_t bytes = w.length * unit;
    if (dense &&
        sim_bits_all(from->memory->written, w.offset, w.offset + bytes)) {
      put(to->memory, v.offset, v.offset + bytes, SIM_WRITTEN);
      continue;
    }
    for (int64_t i = 0; i < w.length; i++) {
      int64_t at = v.offset + i * v.step;
      put(to->memory, at, at + unit,
          mark_of(from, w.offset + i * w.step, unit));
    }
  }
  if (from->memory->taint) to->memory->taint = from->memory->taint;
}

void sim_view_transfer(const sim_view *to, const sim_view *from) {
  int unit = sim_view_unit(from);
  sim_copy copy = {.rank = from->rank};
  for (int i = 0; i < from->rank; i++) {
    copy.sizes[i] = from->sizes[i];
    copy.to[i] = to->strides[i] / unit;
    copy.from[i] = from->strides[i] / unit;
  }
  sim_copy_merge(&copy);
  sim_copy_run(&copy, to->memory->bytes + to->offset,
               from->memory->bytes + from->offset, unit);
  transfer_marks(to, from);
}
