/* The rows of a suite on simulated chips: whether the TPU's kernels are right,
 * by the same gate that our times must pass. Nothing is timed: what a
 * simulation takes says nothing of a TPU. */
#ifndef PFL_BENCH_SIMULATE_H
#define PFL_BENCH_SIMULATE_H

#include "bench/bench.h"

/* Runs every row of options->suite on one chip and, where they share the work,
 * on four, as far as there is a kernel for it, with options->seed for the
 * tensors and for the chips' malice, and prints a table to options->results.
 * INTERNAL: rows beyond the tolerance, or with a hazard, which the table names.
 * NOT_FOUND: no simulator. INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status bench_simulate(const bench_options *options,
                                        pfl_error *error);

#endif
