#include "cpu/operand.h"

#include <string.h>

#include "base/memory.h"

static const void *source_row(const cpu_source *source, int64_t row) {
  size_t bytes = pfl_dtype_size(source->dtype) * (size_t)source->width;
  return (const char *)source->data + (size_t)row * bytes;
}

/* Rows as f32 at `row` floats from each other, zeros after their width. */
static void widen_rows(const cpu_source *source, float *out, int64_t row) {
  for (int64_t r = 0; r < source->rows; r++, out += row) {
    source->kernels->widen[source->dtype](out, source_row(source, r),
                                          source->width);
    if (source->row_scale)
      for (int64_t d = 0; d < source->width; d++)
        out[d] *= source->row_scale[r];
    for (int64_t d = source->width; d < row; d++) out[d] = 0;
  }
}

cpu_operand cpu_operand_along(const cpu_source *source, float *room) {
  int64_t width = source->width;
  if (!source->pairs) {
    if (source->dtype == PFL_DTYPE_F32)
      return (cpu_operand){source->data, width};
    widen_rows(source, room, width);
    return (cpu_operand){room, width};
  }
  int64_t words = cpu_operand_words(true, width);
  if (width % 2 == 0) return (cpu_operand){source->data, words};
  for (int64_t r = 0; r < source->rows; r++) {
    char *out = (char *)(room + r * words);
    memcpy(out, source_row(source, r), (size_t)width * 2);
    memset(out + width * 2, 0, 2);
  }
  return (cpu_operand){room, words};
}

cpu_operand cpu_operand_across(const cpu_source *source, float *room) {
  int64_t width = source->width;
  int64_t padded = base_round_up(width, CPU_LANES_MAX);
  if (!source->pairs) {
    if (source->dtype == PFL_DTYPE_F32 && width == padded)
      return (cpu_operand){source->data, width};
    widen_rows(source, room, padded);
    return (cpu_operand){room, padded};
  }
  for (int64_t r = 0; r < source->rows; r += 2) {
    uint32_t *out = (uint32_t *)room + r / 2 * padded;
    source->kernels->interleave(
        out, source_row(source, r),
        r + 1 < source->rows ? source_row(source, r + 1) : NULL, width);
    memset(out + width, 0, (size_t)(padded - width) * sizeof *out);
  }
  return (cpu_operand){room, padded};
}

cpu_operand cpu_operand_transposed(const cpu_source *source, float *out,
                                   float *room) {
  cpu_operand along = cpu_operand_along(source, room);
  int64_t words = cpu_operand_words(source->pairs, source->width);
  source->kernels->transpose((cpu_word *)out, CPU_PANEL, along.data, along.row,
                             source->rows, words);
  if (source->rows < CPU_PANEL)
    for (int64_t w = 0; w < words; w++)
      memset(out + w * CPU_PANEL + source->rows, 0,
             (size_t)(CPU_PANEL - source->rows) * sizeof *out);
  return (cpu_operand){out, CPU_PANEL};
}
