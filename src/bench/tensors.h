/* The tensors of a workload: filled from a seed, handed to our calls, written
 * to a file for a peer. */
#ifndef PFL_BENCH_TENSORS_H
#define PFL_BENCH_TENSORS_H

#include "bench/limits.h"
#include "bench/workloads.h"

/* Outputs a workload has at most: dq, dk, dv. */
#define BENCH_OUTPUTS_MAX 3

/* One output: what it is called in files and how large it is. */
typedef struct bench_output {
  const char *name;
  void *data;
  int64_t heads,
      length; /* [batch, heads, length, head_dim] of the row's dtype */
} bench_output;

/* A decode workload has copies of its cache in a ring of memory; run n uses
 * copy n % copies, so that no run finds its cache in the CPU's:
 *
 *   memory:  | K V k_scale v_scale | K V k_scale v_scale | ...
 *            '---- copy_bytes -----'
 *
 * Others have one copy. */
typedef struct bench_tensors {
  bench_workload workload;
  void *q, *o, *d_o, *dq, *dk, *dv; /* d_o .. dv: backward only */
  float *lse;                       /* backward only */
  float *sinks;                     /* [q_heads], or NULL */
  char *memory;
  size_t copy_bytes, v_offset, k_scale_offset, v_scale_offset;
  int64_t copies, next; /* next: the copy of the next run */
  int output_count;
  bench_output outputs[BENCH_OUTPUTS_MAX];
} bench_tensors;

/* Allocates, and fills q, k, v and d_o with the pool's threads: independent,
 * near normal
 * (a sum of four uniform numbers), mean 0, deviation 1, rounded
 * to their dtype; the int8 cache is such numbers quantised by token. The ring
 * is of `ring_bytes` and more. Pages are what malloc gives.
 * RESOURCE_EXHAUSTED: no memory. */
PFL_NODISCARD pfl_status tensors_create(const bench_workload *workload,
                                        uint64_t seed, int64_t ring_bytes,
                                        base_threads *threads,
                                        bench_tensors *out_tensors,
                                        pfl_error *error);
void tensors_release(bench_tensors *tensors);

/* Sets every byte of the outputs so that they are NaN. */
void tensors_spoil_outputs(bench_tensors *tensors);

/* What backward needs of forward: o and lse. */
PFL_NODISCARD pfl_status tensors_run_forward(bench_tensors *tensors,
                                             pfl_context *context,
                                             pfl_error *error);

/* One run of the workload; decode moves on to the next copy. */
PFL_NODISCARD pfl_status tensors_run(bench_tensors *tensors,
                                     pfl_context *context, pfl_error *error);

/* The whole ring, starting where the next run's copy is. */
limits_ring tensors_ring(const bench_tensors *tensors);

/* The inputs as a safetensors file with the names of `pflash run`. */
PFL_NODISCARD pfl_status tensors_write(const bench_tensors *tensors,
                                       const char *path, pfl_error *error);

#endif
