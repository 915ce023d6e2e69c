/* The peers' protocol from the other side (docs/benchmark.md): attention on the
 * devices of a PJRT plugin, for whoever sends cells. A TPU's chips run our
 * kernels; any other plugin's device runs plain attention, compiled by its own
 * XLA (xla/baseline.h). Runs are timed on the host, from the call until every
 * device is known to have ended; the inputs are on the device before. */
#ifndef PFL_BENCH_SERVE_H
#define PFL_BENCH_SERVE_H

#include <stdio.h>

#include "bench/workloads.h"
#include "device/device.h"

enum { SERVE_TENSORS = 12, SERVE_OUTPUTS = 3, SERVE_TITLE_SIZE = 64 };

/* A cell: the tensors of its file, and for backward what forward gives. */
typedef struct serve_cell {
  bench_workload workload;
  int64_t copies; /* of the cache, that decode walks over */
  device_tensor inputs[SERVE_TENSORS], outputs[SERVE_OUTPUTS];
  int input_count, output_count;
} serve_cell;

/* What runs cells. load may be called again and again, and releases what was
 * loaded before. A cell that cannot be run is refused by load. */
typedef struct serve_backend {
  void *self;
  char title[SERVE_TITLE_SIZE];
  char device[SERVE_TITLE_SIZE]; /* its kind, "NVIDIA L4"; "": this CPU */
  int chips;
  pfl_status (*load)(void *self, const serve_cell *cell, pfl_error *error);
  /* Says how long it took. */
  pfl_status (*run)(void *self, const serve_cell *cell, double *out_seconds,
                    pfl_error *error);
  /* The outputs, of the last run or of one more. */
  pfl_status (*fetch)(void *self, const serve_cell *cell, pfl_error *error);
  void (*close)(void *self);
} serve_backend;

/* The name that means a TPU; another is the path of a plugin. */
#define SERVE_TPU "tpu"

/* UNAVAILABLE: no TPU here, or one that is simulated: its times would say
 * nothing. PFLASH_PEER_SIMULATED=1 has tests served by it all the same, under a
 * name that no price knows. */
PFL_NODISCARD pfl_status serve_kernels_open(serve_backend *out_backend,
                                            pfl_error *error);
PFL_NODISCARD pfl_status serve_baseline_open(const char *plugin,
                                             serve_backend *out_backend,
                                             pfl_error *error);

/* Answers each line of `in` on `out` until `in` ends. A device that there is
 * not makes every cell one that is skipped, with the reason. Others: a question
 * that is none, a device that failed in the middle. */
PFL_NODISCARD pfl_status serve(const char *name, FILE *in, FILE *out,
                               pfl_error *error);

#endif
