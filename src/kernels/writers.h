/* The kernels: each plans for a request, whose target, chips and problem
 * kernels_write has looked at, and adds its kernels to an empty program. On
 * failure kernels_write releases what was added. */
#ifndef PFL_KERNELS_WRITERS_H
#define PFL_KERNELS_WRITERS_H

#include "kernels/tpu_program.h"

typedef pfl_status kernels_writer(const kernels_request *request,
                                  const kernels_chip *chip,
                                  const pfl_allocator *allocator,
                                  kernels_program *program, pfl_error *error);

kernels_writer kernels_forward_write;
kernels_writer kernels_backward_write;
kernels_writer kernels_decode_write;
kernels_writer kernels_append_write;

#endif
