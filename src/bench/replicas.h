/* The runs of a side by what is independent of each other (rules 28, 29):
 * starts of the machine where there were several, else processes. Processes of
 * one start are then one block: what varies between them is part of what varies
 * between runs, and what varies between starts is not lost. */
#ifndef PFL_BENCH_REPLICAS_H
#define PFL_BENCH_REPLICAS_H

#include "bench/report.h"

typedef struct bench_replicas {
  int64_t count;
  bootstrap_runs runs[REPORT_PROCESSES_MAX]; /* of a count of 0: no runs */
  double *joined;                            /* malloc's, or NULL */
} bench_replicas;

/* The `which`-th blocks of two sides of a row belong together.
 * RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status replicas_create(const report_row *row,
                                         const bench_samples *processes,
                                         bench_replicas *out_replicas,
                                         pfl_error *error);
void replicas_release(bench_replicas *replicas);

/* Starts of the machine that the row was measured in; 1 where it is not told.
 */
int64_t replicas_starts(const report_row *row);

/* Drops blocks without runs. */
void replicas_pack(bench_replicas *replicas);

#endif
