/* Matrices of positions by channels in memory: [.., n, width], or swapped,
 * [.., width, n].
 *
 * XLA keeps a tensor whose width is no multiple of 128 swapped, so that it
 * fills whole lanes; a kernel that takes it otherwise has XLA copy it before
 * and after. Swapped, a narrow width also is the number of rows that go through
 * the MXU and not the number of its columns in use: O^T = V^T P^T takes half
 * the time of O = P V at a width of 64. */
#ifndef PFL_KERNELS_SEQUENCES_H
#define PFL_KERNELS_SEQUENCES_H

#include "kernels/tpu_program.h"

typedef struct sequence {
  mo_value *ref; /* leading dimensions are 1 */
  int64_t width;
  bool swapped;
} sequence;

static inline bool sequence_swaps(int64_t width) { return width % 128 != 0; }

/* Of `count` positions as they are loaded; `sizes` is room for the shape. */
mo_shape sequence_shape(const sequence *s, int64_t count, int64_t sizes[2]);

/* A window [1, 1, count, width], or swapped if its width is: a map by axes is
 * written for the first, and follows; a function gives the block as it is. */
sequence sequence_window(mo_builder *b, mo_element element, int64_t count,
                         int64_t width, mo_map map);

sequence sequence_scratch(mo_builder *b, mo_element element, int64_t count,
                          int64_t width, bool swapped);

/* Bytes of VMEM that `count` positions take. */
int64_t sequence_bytes(int64_t count, int64_t width, bool swapped,
                       int64_t item);

/* Positions first .. first + count - 1: [count, width], or [width, count] of a
 * swapped one. Those from `exist` on, if it is not NULL, are 0: what lies
 * beyond a tensor's end may be NaN. */
mo_value *sequence_load(mo_builder *b, const sequence *s, mo_value *first,
                        int64_t count, mo_value *exist);
void sequence_store(mo_builder *b, const sequence *s, mo_value *x,
                    mo_value *first);

/* The tensor of a window, in a list of inputs or outputs. */
kernels_tensor *sequence_tensor(
    kernels_kernel *kernel,
    kernels_tensor *(*add)(kernels_kernel *, const char *, pfl_dtype, mo_shape),
    const char *name, pfl_dtype dtype, int64_t batch, int64_t heads,
    int64_t count, int64_t width);

/* What forward and backward both begin with: sinks where there are, q, k, v. */
void sequence_inputs(kernels_kernel *kernel, const kernels_request *request);

#endif
