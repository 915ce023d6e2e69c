/* A tensor and its parts on chips: spread before a program, gathered after. */
#ifndef PFL_DEVICE_SPREAD_H
#define PFL_DEVICE_SPREAD_H

#include "kernels/tpu_program.h"

/* Bytes of `tensor` on one chip. INVALID_ARGUMENT: more than 64 bits count. */
PFL_NODISCARD pfl_status device_part_bytes(const kernels_tensor *tensor,
                                           int64_t *out_bytes,
                                           pfl_error *error);

/* Whether `items` elements in all go on `chips` chips as the tensor says.
 * INVALID_ARGUMENT. */
PFL_NODISCARD pfl_status device_spread_check(const kernels_tensor *tensor,
                                             int chips, int64_t items,
                                             pfl_error *error);

/* Fills what lies on `chip` from the whole, and its padding with bytes of 0xff:
 * NaN in every float type, so that nobody reads it unnoticed. Both are checked.
 */
void device_spread(const kernels_tensor *tensor, int chips, int chip,
                   const void *whole, int64_t items, void *out_part);

/* Puts what lies on `chip` in its places of the whole; of a tensor that every
 * chip has whole, all of it. */
void device_gather(const kernels_tensor *tensor, int chips, int chip,
                   const void *part, int64_t items, void *out_whole);

#endif
