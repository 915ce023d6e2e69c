/* Devices that are not this machine's CPU, and what they would take for a
 * workload: one interface, an evidence class for each way of knowing. */
#ifndef PFL_BENCH_PROVIDER_H
#define PFL_BENCH_PROVIDER_H

#include "bench/economics.h"
#include "bench/workloads.h"

enum {
  PROVIDER_HOW_SIZE = 192,
  PROVIDER_WEAKNESS_SIZE = 80,
  PROVIDER_NAME_SIZE = 32
};

/* What a device takes for one run of a workload, all its chips together. */
typedef struct bench_estimate {
  char reason[PFL_MESSAGE_SIZE]; /* why there is none; "": there is */
  char how[PROVIDER_HOW_SIZE];   /* how it came about, in words */
  char weakness[PROVIDER_WEAKNESS_SIZE]; /* of what was measured: why no verdict
                                            rests on it; "": one may */
  bench_evidence evidence;
  bench_quantity seconds;
  double bound_seconds; /* at the peaks of the chips: rule 42 */
  bench_bound bound;    /* which of them */
} bench_estimate;

typedef struct bench_provider bench_provider;
struct bench_provider {
  char name[PROVIDER_NAME_SIZE]; /* "v5e-4", "L4" */
  economics_unit unit;
  const bench_catalog *catalog;
  void *self;
  /* An estimate that cannot be had has a reason; that is no error.
   * RESOURCE_EXHAUSTED. */
  pfl_status (*estimate)(const bench_provider *provider,
                         const bench_workload *workload,
                         bench_estimate *out_estimate, pfl_error *error);
  void (*close)(bench_provider *provider); /* NULL: nothing to be done */
};

/* Class C: the peaks of a chip, of which a share is reached that others were
 * seen to reach on their chips (rule 43). INVALID_ARGUMENT: no such chip. */
PFL_NODISCARD pfl_status provider_roofline(const bench_catalog *catalog,
                                           economics_unit unit,
                                           bench_provider *out_provider,
                                           pfl_error *error);

/* Class B: our kernels, compiled by the TPU's compiler, their listing executed
 * against the clock (docs/cycle-model.md), widened by the model's worst error
 * on what others measured (rule 3). What it cannot do it gives to the roofline,
 * which then says why. Listings go to a directory of its own in `directory`,
 * and are removed. */
PFL_NODISCARD pfl_status provider_schedule(const bench_catalog *catalog,
                                           const char *directory,
                                           bench_provider *out_provider,
                                           pfl_error *error);

/* The version of the compiler that provider_schedule used; "" before it did. */
const char *provider_schedule_compiler(const bench_provider *provider);

void provider_close(bench_provider *provider);

/* Sets the bound of an estimate: the roofline's time and what decides it.
 * False, with a reason in the estimate, if the chips lack a rate for the dtype
 * or the room (rule 14). */
bool provider_set_bound(const bench_provider *provider,
                        const bench_workload *workload,
                        bench_estimate *estimate);

#endif
