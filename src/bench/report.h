/* What a benchmark found, and the three forms it is told in. */
#ifndef PFL_BENCH_REPORT_H
#define PFL_BENCH_REPORT_H

#include <stdio.h>

#include "base/text.h"
#include "bench/bench.h"
#include "bench/gate.h"
#include "bench/machine.h"
#include "bench/measure.h"
#include "bench/statistics.h"

#define REPORT_TITLE_SIZE 64

/* One who did a row: we, or a peer. */
typedef struct report_side {
  char title[REPORT_TITLE_SIZE];
  char reason[PFL_MESSAGE_SIZE]; /* why it was not measured; "": it was */
  measure_series series;
  gate_verdict verdict;
  /* Derived from these once all is measured: */
  statistics_summary summary; /* of seconds */
  double rate;                /* work a second, by the median */
  double fraction;            /* of the limit's rate */
  int64_t clean;              /* measure_clean_runs */
} report_side;

/* A workload on a number of threads. */
typedef struct report_row {
  const bench_workload *workload;
  int32_t threads;
  double work; /* bench_workload_work */
  bench_limit limit;
  measure_series limit_series;
  double limit_work; /* of one run of it */
  double limit_rate; /* by its median */
  char sample[GATE_TEXT_SIZE];
  report_side *sides; /* [report.side_count]; ours is the first */
} report_row;

typedef struct bench_report {
  const bench_options *options;
  bench_suite suite;
  bench_effort effort;
  pfl_isa isa;
  uint64_t seed;
  bench_machine machine;
  char start[MACHINE_UTC_SIZE], end[MACHINE_UTC_SIZE];
  double seconds, stolen; /* of the whole; that the host kept from it */
  int side_count;
  int64_t row_count;
  report_row *rows;
  int32_t threads[2]; /* the numbers of threads rows are run on */
  int thread_count;
} bench_report;

bool report_side_measured(const report_side *side);

/* A side whose time counts: measured, and within the tolerance. */
bool report_side_counts(const report_side *side);

/* Whether more than a fifth of our runs, or of the limit's, waited for a CPU.
 */
bool report_row_noisy(const report_row *row);

/* What is to be known of our time in a row, in a word: "WRONG", the error is
 * beyond the tolerance; "noisy"; "beyond", faster than the limit, so that one
 * of the two is not what it should be; or "". */
const char *report_row_remark(const report_row *row);

/* Sets what is derived in a row from its series. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status report_row_finish(report_row *row, int side_count,
                                           pfl_error *error);
void report_row_release(report_row *row, int side_count);

/* How often our median goes into the peer's: above 1 we are faster; 0 if one
 * of the two does not count. */
double report_ratio(const report_row *row, const report_side *peer);

/* A limit over all the rows that it bounds on `threads` threads. */
typedef struct report_limit {
  int64_t runs;        /* 0: no such row */
  double median, best; /* rates */
} report_limit;
PFL_NODISCARD pfl_status report_limit_find(const bench_report *report,
                                           bench_limit limit, int32_t threads,
                                           report_limit *out_limit,
                                           pfl_error *error);

/* Names and units of BENCH_LIMIT_LIST. */
const char *report_limit_name(bench_limit limit);
const char *report_limit_unit(bench_limit limit);
const char *report_limit_what(bench_limit limit);

/* Of a row's rate, short. */
const char *report_rate_unit(const report_row *row);

/* A table of 80 columns and its legend. */
PFL_NODISCARD pfl_status report_text(const bench_report *report, FILE *out,
                                     pfl_error *error);
/* Every fact and every raw sample; docs/benchmark.md has the schema. */
PFL_NODISCARD pfl_status report_json(const bench_report *report,
                                     base_text *out_text, pfl_error *error);
/* One page that needs nothing but itself. */
PFL_NODISCARD pfl_status report_html(const bench_report *report,
                                     base_text *out_text, pfl_error *error);

#endif
