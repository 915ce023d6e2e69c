/* Two reports of the same cells, held against each other: the older, A, and the
 * newer, B. */
#ifndef PFL_BENCH_COMPARE_H
#define PFL_BENCH_COMPARE_H

#include "bench/report.h"
#include "bench/verdict.h"

#define COMPARE_SCHEMA "pallas-flash/compare"
#define COMPARE_SCHEMA_VERSION 1

typedef struct compare_row {
  const report_row *a, *b;
  bool compared;         /* both were measured, and are right */
  bootstrap_ratio ratio; /* B's throughput over A's: above 1, B is faster */
  bench_verdict verdict; /* of that ratio */
  char caution[64];      /* why the verdict is withheld; "" if it is not */
} compare_row;

typedef struct bench_comparison {
  bench_report a, b;
  bench_plan plan; /* how many processes and runs a verdict needs, and delta */
  double delta;
  int64_t row_count; /* every row of a */
  compare_row *rows;
} bench_comparison;

/* Reads both and compares our sides. INVALID_ARGUMENT: they have not the same
 * cells, the message names one that only one of them has; or a file is no
 * report. */
PFL_NODISCARD pfl_status compare_open(const char *a, const char *b,
                                      const report_sources *sources,
                                      bench_comparison *out_comparison,
                                      pfl_error *error);
void compare_close(bench_comparison *comparison);

/* A table of 80 columns, what differs between the runs, a legend. */
void compare_text(const bench_comparison *comparison, FILE *out);

/* docs/compare.schema.json */
PFL_NODISCARD pfl_status compare_json(const bench_comparison *comparison,
                                      base_text *out_text, pfl_error *error);

#endif
