/* Measuring the rows of a suite, in this process or in others. */
#ifndef PFL_BENCH_SUITE_H
#define PFL_BENCH_SUITE_H

#include "bench/journal.h"
#include "bench/lane.h"

typedef struct suite_run {
  const bench_options *options;
  bench_suite suite;
  bench_report *report;
  bench_journal *journal; /* NULL: none */
  base_threads *pool;     /* every CPU, for what is not timed */
  bench_lane *lanes;      /* one for each number of threads */
  int lane_count;
  int64_t ring_bytes;
  int32_t process; /* that is being measured, counted from 0 */
  int64_t done;    /* rows, since `started` */
  double started;  /* machine_now */
} suite_run;

/* Rows that process `process` has not yet measured. */
int64_t suite_missing(const suite_run *run, int32_t process);

/* Measures those rows into the report and the journal. */
PFL_NODISCARD pfl_status suite_measure(suite_run *run, int32_t process,
                                       pfl_error *error);

/* Has them measured by a process of their own, into the journal at `path`,
 * which must not be open. */
PFL_NODISCARD pfl_status suite_spawn(const suite_run *run, int32_t process,
                                     const char *path, pfl_error *error);

#endif
