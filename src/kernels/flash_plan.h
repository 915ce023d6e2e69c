/* How the forward kernel cuts a problem. */
#ifndef PFL_KERNELS_FLASH_PLAN_H
#define PFL_KERNELS_FLASH_PLAN_H

#include "kernels/tpu_program.h"

typedef struct forward_plan {
  int64_t block_q; /* queries that a step of the grid works on */
  int64_t block_k; /* keys that they meet at a time */
  int64_t unroll;  /* times that, in one body of the loop; a power of two */
  int64_t tile;    /* rows of a tile of the triangle, and its keys */
  int64_t q_blocks;
  int64_t keys;  /* Sk up to whole blocks, as K and V lie in VMEM */
  bool triangle; /* the diagonal is a static triangle at a block's position */
  int64_t vmem_bytes;
} forward_plan;

/* INVALID_ARGUMENT: the request is not one that the kernel serves, or its tiles
 * do not fit; the message names what would. */
PFL_NODISCARD pfl_status forward_plan_make(const kernels_request *request,
                                           const kernels_chip *chip,
                                           forward_plan *out_plan,
                                           pfl_error *error);

#endif
