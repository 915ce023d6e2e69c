/* Asks the providers what their devices would take for a suite. */
#ifndef PFL_BENCH_ESTIMATE_H
#define PFL_BENCH_ESTIMATE_H

#include "bench/journal.h"

typedef struct estimate_run {
  bench_suite suite;
  bench_report *report;
  bench_journal *journal; /* predictions are kept in it; NULL: none */
  const char *directory;  /* for what compiling leaves */
  FILE *talk;             /* NULL: none */
} estimate_run;

/* Whether a workload is one that devices are compared by: 16-bit brain floats,
 * which all but one of them compute in (rule 11). */
bool estimate_concerns(const bench_workload *workload);

/* Sets the devices of an economy: those of ECONOMY_DEVICE_LIST. */
void estimate_name_devices(bench_economy *economy);

/* Fills the report's economy, which is open and has its devices: every device
 * of ECONOMY_DEVICE_LIST, every such workload of the suite. Predictions that
 * are there already stay. A smoke suite has rooflines alone.
 * RESOURCE_EXHAUSTED, and a journal that cannot be written. */
PFL_NODISCARD pfl_status estimate_all(estimate_run *run, pfl_error *error);

#endif
