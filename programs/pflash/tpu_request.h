/* From the options of `pflash compile` to what src/kernels is asked for. */
#ifndef PFLASH_TPU_REQUEST_H
#define PFLASH_TPU_REQUEST_H

#include "kernels/tpu_program.h"
#include "options.h"

/* It points into itself and into the options: it stays where it is. */
typedef struct tpu_request {
  attention_problem problem;
  attention_decode_problem decode;
  kernels_tile tiles[TILES_MAX];
  base_text tuned; /* the table that --tuned names */
  kernels_request kernels;
} tpu_request;

/* INVALID_ARGUMENT names the option, what it was and what it must be. */
PFL_NODISCARD pfl_status tpu_request_make(const cli_options *options,
                                          tpu_request *out_request,
                                          pfl_error *error);
/* Reads --tuned's table, if there is one. */
PFL_NODISCARD pfl_status tpu_request_read(const cli_options *options,
                                          tpu_request *request,
                                          pfl_error *error);
void tpu_request_release(tpu_request *request);

#endif
