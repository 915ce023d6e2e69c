/* A workload as the TPU's kernels are asked for it. */
#ifndef PFL_BENCH_ASKED_H
#define PFL_BENCH_ASKED_H

#include "bench/workloads.h"
#include "kernels/tpu_program.h"

typedef struct asked_kernel {
  attention_problem problem;
  attention_decode_problem decode;
  kernels_request request; /* points to them: none of it moves */
} asked_kernel;

/* For `chips` chips of the default target. What the problems' checks say. */
PFL_NODISCARD pfl_status asked_kernel_init(const bench_workload *workload,
                                           int chips, asked_kernel *out_asked,
                                           pfl_error *error);

#endif
