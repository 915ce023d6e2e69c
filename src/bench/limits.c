/* Runs the loops of limits.h on a pool, and chooses among them. */
#include "bench/limits.h"

#include "base/memory.h"

/* A task is about 1 ms of arithmetic, or 1 MiB of reading. */
enum { ROUNDS_PER_TASK = 400000, TASKS_PER_THREAD = 8, TASK_BYTES = 1 << 20 };

limits_kernels limits_kernels_best(void) {
  limits_kernels kernels = {limits_fma_portable, NULL, limits_read_portable};
#if defined(__x86_64__)
  pfl_isa isa = pfl_isa_best();
  if (isa < PFL_ISA_AVX2) return kernels;
  kernels.fma = limits_fma_avx2;
  kernels.read = limits_read_avx2;
  if (isa < PFL_ISA_AVX512) return kernels;
  kernels.fma = limits_fma_avx512;
  kernels.read = limits_read_avx512;
  if (isa < PFL_ISA_AVX512BF16) return kernels;
  kernels.dot = limits_dot_avx512bf16;
#endif
  return kernels;
}

typedef struct compute_run {
  double (*loop)(int64_t rounds);
  double flops_per_task; /* the same for each task: written by task 0 only */
} compute_run;

static void compute_task(void *argument, int64_t task, int32_t worker) {
  compute_run *run = argument;
  (void)worker;
  double flops = run->loop(ROUNDS_PER_TASK);
  if (task == 0) run->flops_per_task = flops;
}

static double run_compute(double (*loop)(int64_t), base_threads *threads) {
  compute_run run = {loop, 0};
  int64_t tasks = (int64_t)base_threads_count(threads) * TASKS_PER_THREAD;
  base_threads_run(threads, tasks, compute_task, &run);
  return run.flops_per_task * (double)tasks;
}

typedef struct read_run {
  const limits_kernels *kernels;
  const limits_ring *ring;
} read_run;

/* Task t reads the t-th MiB after the start, in two pieces where the ring
 * closes. */
static void read_task(void *argument, int64_t task, int32_t worker) {
  const read_run *run = argument;
  const limits_ring *ring = run->ring;
  (void)worker;
  size_t done = (size_t)task * TASK_BYTES;
  size_t bytes =
      ring->bytes - done < TASK_BYTES ? ring->bytes - done : (size_t)TASK_BYTES;
  size_t from = (ring->start + done) % ring->bytes;
  size_t first = ring->bytes - from < bytes ? ring->bytes - from : bytes;
  run->kernels->read(ring->memory + from, first);
  run->kernels->read(ring->memory, bytes - first);
}

double limits_run(bench_limit limit, const limits_kernels *kernels,
                  base_threads *threads, const limits_ring *ring) {
  if (limit == BENCH_LIMIT_FMA) return run_compute(kernels->fma, threads);
  if (limit == BENCH_LIMIT_DOT) return run_compute(kernels->dot, threads);
  read_run run = {kernels, ring};
  base_threads_run(threads, base_ceil_div((int64_t)ring->bytes, TASK_BYTES),
                   read_task, &run);
  return (double)ring->bytes;
}
