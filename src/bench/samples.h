/* The runs of one subject in one process, in the order they were made. */
#ifndef PFL_BENCH_SAMPLES_H
#define PFL_BENCH_SAMPLES_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/energy.h"

/* All zero has none. */
typedef struct bench_samples {
  int64_t count, capacity;
  double *seconds; /* of a run; of the mean of `batch` runs timed together */
  double *waited;  /* what its threads waited for a CPU meanwhile, likewise;
                      -1: unknown */
  double total;    /* of seconds, times batch */
  double first;    /* of the very first run, which is warm-up (rule 25) */
  int64_t batch;   /* runs that are timed as one (rule 23) */
  double joules[ENERGY_SOURCES];   /* that blocks of such runs took ... */
  int64_t metered[ENERGY_SOURCES]; /* ... and how many runs they were, of one
                                      each; 0: unknown */
} bench_samples;

/* False if there is no memory. */
bool samples_add(bench_samples *samples, double seconds, double waited);
void samples_release(bench_samples *samples);

/* Runs whose threads waited for a CPU less than 2 % of the run, and 50 us for
 * being woken; -1: unknown. */
int64_t samples_clean(const bench_samples *samples);

#endif
