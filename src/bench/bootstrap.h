/* How much faster A is than B, and how sure that is (rules 28, 35, 36).
 *
 * A block is what was measured in one process (or on one machine that was
 * started for it): runs of A and of B in turns. Runs within a block are not
 * independent of each other; blocks are. So blocks are drawn first, with
 * replacement, and then runs within each that was drawn. The statistic is the
 * logarithm of the ratio of throughputs, each the sum of the work over the sum
 * of the seconds (D1). */
#ifndef PFL_BENCH_BOOTSTRAP_H
#define PFL_BENCH_BOOTSTRAP_H

#include <stdint.h>

#include "base/status.h"
#include "bench/quantity.h"

#define BOOTSTRAP_RESAMPLES 10000
#define BOOTSTRAP_SEED 20261123
/* Fewer runs of a side than this give no interval (rule 34). */
#define BOOTSTRAP_RUNS_MIN 6

typedef struct bootstrap_block {
  const double *a, *b; /* seconds of runs that do the same work */
  int64_t a_count, b_count;
} bootstrap_block;

typedef struct bootstrap_ratio {
  bench_quantity ratio; /* throughput of A over that of B, above 1: A is faster;
                           its bounds are the outer ones of the two below */
  bench_quantity resampled;  /* percentiles of the resamples */
  bench_quantity asymptotic; /* Student's t over the blocks' log ratios; within
                                one block, over the runs (Kalibera and Jones) */
  bool differ;    /* by more than 20 % in width: say both (rule 36) */
  int64_t blocks; /* 1: the interval speaks of that process alone */
} bootstrap_ratio;

/* Every block has at least one run of each side. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status bootstrap_compare(const bootstrap_block *blocks,
                                           int64_t count, int64_t resamples,
                                           uint64_t seed,
                                           bootstrap_ratio *out_ratio,
                                           pfl_error *error);

/* Runs of one side in one process. */
typedef struct bootstrap_runs {
  const double *seconds;
  int64_t count;
} bootstrap_runs;

/* The same for sides that were measured apart, each in processes of its own:
 * their processes are drawn apart (rule 35). Each process has runs. */
PFL_NODISCARD pfl_status bootstrap_compare_apart(
    const bootstrap_runs *a, int64_t a_count, const bootstrap_runs *b,
    int64_t b_count, int64_t resamples, uint64_t seed,
    bootstrap_ratio *out_ratio, pfl_error *error);

/* The mean of one side's seconds, its interval by the same two ways: what a
 * device takes that is compared with others later. There
 * are runs. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status bootstrap_mean(const bootstrap_runs *runs,
                                        int64_t count, int64_t resamples,
                                        uint64_t seed,
                                        bench_quantity *out_seconds,
                                        pfl_error *error);

/* Half the width of the interval in parts of the value (rule 40): of its
 * logarithm, so that it is the same for a / b and b / a. NAN: no interval. */
double bootstrap_half_width(bench_quantity ratio);

#endif
