/* Rows of a tensor in the forms that the products read them in.
 *
 * A block of rows [rows][width] is wanted in three forms, each in f32 or, where
 * the CPU multiplies bf16 (`pairs`), in words of two bf16 that lie beside each
 * other along the product's k:
 *
 *   along       k runs along a row:    [rows][width], or words [rows][width /
 * 2] across      k runs across rows:    [rows][width padded], or words [rows /
 * 2][width padded] that hold rows 2j and 2j + 1 transposed  as along, turned:
 * [width][64], or words [width / 2][64]
 *
 * Odd counts are rounded up and filled with zeros. Where the tensor has the
 * form already, the operand is the tensor itself. */
#ifndef PFL_CPU_OPERAND_H
#define PFL_CPU_OPERAND_H

#include "cpu/kernels.h"

typedef struct cpu_operand {
  const void *data;
  int64_t row; /* elements from one row to the next */
} cpu_operand;

typedef struct cpu_source {
  const cpu_kernels *kernels;
  bool pairs;
  pfl_dtype dtype;
  const void *data;       /* [rows][width], dense */
  const float *row_scale; /* [rows], I8 only; NULL: 1 */
  int64_t rows, width;
} cpu_source;

/* Floats that an operand of at most `rows` rows may need as room. */
static inline int64_t cpu_operand_room(int64_t rows, int64_t width) {
  return (rows + 1) * (width + CPU_LANES_MAX);
}

cpu_operand cpu_operand_along(const cpu_source *source, float *room);
cpu_operand cpu_operand_across(const cpu_source *source, float *room);

/* At most 64 rows; columns rows .. 63 of `out` are zero. `room` holds the rows
 * before they are turned. */
cpu_operand cpu_operand_transposed(const cpu_source *source, float *out,
                                   float *room);

/* Words of k in a row of `width` elements. */
static inline int64_t cpu_operand_words(bool pairs, int64_t width) {
  return pairs ? (width + 1) / 2 : width;
}

#endif
