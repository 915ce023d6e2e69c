/* What a TPU program takes, by its compiler's own listing and the cycle model
 * (docs/cycle-model.md): class B, and never measured. What was predicted once
 * is kept (prediction_cache.h). */
#ifndef PFL_BENCH_PREDICT_H
#define PFL_BENCH_PREDICT_H

#include "bench/workloads.h"
#include "kernels/tpu_program.h"
#include "schedule/schedule_dump.h"

#define PREDICT_TARGET "v5e:2x2" /* what all is compiled for */

typedef struct bench_prediction {
  /* Of what was asked for: the whole program, the compiler's own operations
   * around the kernels included, and the kernels alone. Of several chips the
   * slowest; there the kernels and the operations are counted one after the
   * other, without what launches them. */
  double cycles, kernel_cycles;
  int64_t warnings; /* of what the model did not understand */
  char by[128];     /* the version of the compiler, or a peer's name */
} bench_prediction;

/* Cycles as seconds, at the model's clock, without dispatch. */
double predict_seconds(double cycles);

/* FLOPs a cycle that a v5e chip's four matrix units can do. */
#define PREDICT_FLOPS_PER_CYCLE (4.0 * 128 * 128 * 2)

/* Our program for a workload on `chips` chips, 1 or 4, with full caches and
 * pages in order. Listings go to a directory of its own in `directory`, and are
 * removed. NOT_FOUND: there is no TPU compiler. INVALID_ARGUMENT,
 * UNIMPLEMENTED: there is no kernel for it. RESOURCE_EXHAUSTED, and whatever
 * the compiler says. */
PFL_NODISCARD pfl_status predict_workload(const bench_workload *workload,
                                          int chips, const char *directory,
                                          bench_prediction *out_prediction,
                                          pfl_error *error);

/* A program that is compiled already. Names are the starts of programs' names,
 * as lists that end in NULL. */
typedef struct predict_listing {
  const char *path;
  const char *const *kernels; /* what is counted as kernels */
  const char *const *without; /* kernels that are not counted at all; NULL */
  const schedule_input *inputs;
  int64_t input_count;
  int chips;
} predict_listing;

/* Sets the cycles and warnings of *prediction. INVALID_ARGUMENT: no listing,
 * or one that is not to be read. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status predict_read(const predict_listing *listing,
                                      bench_prediction *prediction,
                                      pfl_error *error);

enum { PREDICT_INPUTS_MAX = 2 * KERNELS_MAX };

/* The program of predict_workload, to be run with any model. */
typedef struct predict_loaded {
  schedule_dump dump;
  schedule_input inputs[PREDICT_INPUTS_MAX];
  int input_count;
  int chips;
  char by[128]; /* the version of the compiler */
} predict_loaded;

/* As predict_workload; on failure *out_loaded is empty. */
PFL_NODISCARD pfl_status predict_load(const bench_workload *workload, int chips,
                                      const char *directory,
                                      predict_loaded *out_loaded,
                                      pfl_error *error);
void predict_loaded_release(predict_loaded *loaded);

/* What runs all of it, launch included, but for the model; it points into
 * *loaded. */
schedule_request predict_loaded_request(const predict_loaded *loaded);

#endif
