/* A tensor and its parts on chips: spread before a program, gathered after. */
#ifndef PFL_DEVICE_SPREAD_H
#define PFL_DEVICE_SPREAD_H

#include "kernels/tpu_program.h"

/* A whole tensor in the host's memory, in the shape that files have, row-major.
 */
typedef struct device_tensor {
  const char *name;
  pfl_dtype dtype;
  int rank;
  int64_t shape[KERNELS_RANK_MAX];
  void *data; /* of an input, read only */
} device_tensor;

/* Bytes of `tensor` on one chip. INVALID_ARGUMENT: more than 64 bits count. */
PFL_NODISCARD pfl_status device_part_bytes(const kernels_tensor *tensor,
                                           int64_t *out_bytes,
                                           pfl_error *error);

/* Whether the whole goes on `chips` chips as the program's tensor says.
 * INVALID_ARGUMENT. */
PFL_NODISCARD pfl_status device_spread_check(const kernels_tensor *tensor,
                                             int chips,
                                             const device_tensor *whole,
                                             pfl_error *error);

/* Fills what lies on `chip`, and its padding with bytes of 0xff: NaN in every
 * float type, so that nobody reads it unnoticed. The tensors are checked. */
void device_spread(const kernels_tensor *tensor, int chips, int chip,
                   const device_tensor *whole, void *out_part);

/* Puts what lies on `chip` in its places of the whole; of a tensor that every
 * chip has whole, all of it. */
void device_gather(const kernels_tensor *tensor, int chips, int chip,
                   const void *part, const device_tensor *whole);

#endif
