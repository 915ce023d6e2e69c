/* What a benchmark found, and the forms it is told in. A report is made from
 * what was measured just now, or read back from the JSON of an earlier run;
 * whatever can be derived is derived anew (rule 55). */
#ifndef PFL_BENCH_REPORT_H
#define PFL_BENCH_REPORT_H

#include <stdio.h>

#include "base/json.h"
#include "bench/bench.h"
#include "bench/bootstrap.h"
#include "bench/economy.h"
#include "bench/forecast.h"
#include "bench/gate.h"
#include "bench/machine.h"
#include "bench/samples.h"
#include "bench/statistics.h"
#include "bench/steady.h"

#define REPORT_SCHEMA "pallas-flash/bench"
#define REPORT_SCHEMA_VERSION 2

#define REPORT_TITLE_SIZE BENCH_TITLE_SIZE
#define REPORT_DEVICE_SIZE 64

/* One who did a row: we, or a peer. */
typedef struct report_side {
  char title[REPORT_TITLE_SIZE];
  char device[REPORT_DEVICE_SIZE]; /* that did it; "": this machine's CPU */
  int64_t chips;                   /* of that device */
  char reason[PFL_MESSAGE_SIZE];   /* why it was not measured; "": it was */
  bench_samples *processes;        /* [row.process_count] */
  gate_verdict verdict;            /* the worst of them */
  /* Derived from these once all is measured: */
  statistics_summary summary; /* of seconds, of all processes together */
  double rate;                /* work a second, by the median */
  double fraction;            /* of the limit's rate; NAN: of another device */
  double tokens_per_second;   /* by the sums (D1): attention of one layer */
  int64_t clean;              /* samples_clean of all; -1: unknown */
  steady_state steady;        /* of the process that was least so */
  double outlier_effect;      /* steady_outlier_effect */
  double joules[ENERGY_SOURCES]; /* a run; NAN: unknown (rule 53) */
  bootstrap_ratio
      ratio; /* of a peer: our throughput over its; blocks 0: none */
} report_side;

/* A workload on a number of threads. */
typedef struct report_row {
  bench_workload workload;
  int32_t threads;
  double work; /* bench_workload_work */
  bench_limit limit;
  double limit_work; /* of one run of it */
  char sample[GATE_TEXT_SIZE];
  int64_t process_count;
  int32_t process_ids[REPORT_PROCESSES_MAX]; /* in the order of measuring */
  char starts[REPORT_PROCESSES_MAX][MACHINE_START_SIZE]; /* of the machine, that
                                                            each ran in */
  double seconds, stolen; /* that it took; that the host kept meanwhile */
  bench_samples *limit_processes; /* [process_count] */
  report_side *sides;             /* [report.side_count]; ours is the first */
  double limit_rate;              /* derived: by its median */
} report_row;

/* What was run, where and how. */
typedef struct report_manifest {
  char version[32], commit[64], compiler[128], compiler_flags[256];
  char suite[16], isa[16];
  char *command; /* malloc's; NULL: not said */
  uint64_t seed;
  bench_effort effort;
  bench_machine machine;
  double dispatch_seconds; /* an empty call on every thread (rule 23) */
  int32_t processes;       /* that were asked for */
  int64_t resumed;         /* times that an interrupted run was gone on with */
  char start[MACHINE_UTC_SIZE], end[MACHINE_UTC_SIZE];
  double seconds, stolen; /* sums over the rows */
} report_manifest;

typedef struct bench_report {
  report_manifest manifest;
  int side_count;
  int64_t row_count;
  report_row *rows;
  bench_economy economy;   /* without devices: the report has no such part */
  bench_forecast forecast; /* likewise, without cells */
} bench_report;

/* ---- Making it --------------------------------------------------------- */

/* Adds what was measured of a row in one process to the report's row of the
 * same workload and threads, which it makes if there is none. The row is taken
 * over and left empty. INVALID_ARGUMENT: it has other sides, or a process that
 * is there already. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status report_add_row(bench_report *report, report_row *row,
                                        pfl_error *error);

/* NULL if there is none. */
report_row *report_find_row(const bench_report *report,
                            const bench_workload *workload, int32_t threads);
bool report_row_has(const report_row *row, int32_t process);

/* Sets what is derived, of all rows and the whole. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status report_finish(bench_report *report, pfl_error *error);

/* A row with sides that have nothing yet. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status report_row_create(const bench_workload *workload,
                                           int32_t threads, int32_t process,
                                           int side_count, report_row *out_row,
                                           pfl_error *error);
void report_row_release(report_row *row, int side_count);
void report_release(bench_report *report);

/* ---- What follows from it ---------------------------------------------- */

bool report_side_measured(const report_side *side);

/* A side whose time counts: measured, and within the tolerance. */
bool report_side_counts(const report_side *side);

/* Whether more than a fifth of our runs, or of the limit's, waited for a CPU.
 */
bool report_row_noisy(const report_row *row);

/* What is to be known of our time in a row, in a word: "WRONG", the error is
 * beyond the tolerance; "noisy"; "beyond", faster than the limit, so that one
 * of the two is not what it should be; "unsteady", it had not settled; or "".
 */
const char *report_row_remark(const report_row *row);

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

/* The n-th number of threads, counted from 0, that rows were measured on; 0
 * after the last. */
int32_t report_threads_get(const bench_report *report, int n);

/* Names and units of BENCH_LIMIT_LIST. */
const char *report_limit_name(bench_limit limit);
const char *report_limit_unit(bench_limit limit);
const char *report_limit_what(bench_limit limit);
/* BENCH_LIMIT_COUNT if there is none of that name. */
bench_limit report_limit_named(const char *name);

/* Of a row's rate, short. */
const char *report_rate_unit(const report_row *row);

/* Where tables and plan are; all NULL: what is shipped. */
typedef struct report_sources {
  const char *data, *prices, *plan;
  const char *const *given; /* prices, as economy_give_price takes them */
  int32_t given_count;
} report_sources;

/* Opens the economy of a report. INVALID_ARGUMENT: a table, plan or price. */
PFL_NODISCARD pfl_status report_open_economy(const report_sources *sources,
                                             bench_report *report,
                                             pfl_error *error);

/* The day of the report, as catalog_day counts. */
int64_t report_day(const bench_report *report);

/* ---- Its forms --------------------------------------------------------- */

/* A table of 80 columns and its legend. */
PFL_NODISCARD pfl_status report_text(const bench_report *report, FILE *out,
                                     pfl_error *error);
/* Its economic part, if there is one. */
void report_text_economy(const bench_report *report, FILE *out);
/* Every fact and every raw sample; docs/bench.schema.json has the schema. */
PFL_NODISCARD pfl_status report_json(const bench_report *report,
                                     base_text *out_text, pfl_error *error);
/* A line for each side and each device. */
PFL_NODISCARD pfl_status report_csv(const bench_report *report,
                                    base_text *out_text, pfl_error *error);
/* One page that needs nothing but itself. */
PFL_NODISCARD pfl_status report_html(const bench_report *report,
                                     base_text *out_text, pfl_error *error);

/* Parts that other JSON is made of as well: a member "cell", and one `key`. */
void report_json_workload(json_writer *json, const bench_workload *workload);
void report_json_quantity(json_writer *json, const char *key,
                          bench_quantity quantity);

/* One row as JSON: an object of `rows` of the whole, or a line of a journal. */
void report_json_row(json_writer *json, const report_row *row, int side_count);

/* The opposite. INVALID_ARGUMENT says which member is not what it must be. */
PFL_NODISCARD pfl_status report_read_row(const json_value *value,
                                         int side_count, report_row *out_row,
                                         pfl_error *error);
PFL_NODISCARD pfl_status report_read_workload(const json_value *value,
                                              bench_workload *out_workload,
                                              pfl_error *error);

/* A whole file of JSON. */
PFL_NODISCARD pfl_status report_read_file(const char *path,
                                          json_document *out_document,
                                          pfl_error *error);

/* A report from the JSON of an earlier run, with tables, prices and plan of
 * today (economy_open). The message names the file. */
PFL_NODISCARD pfl_status report_read(const char *path,
                                     const report_sources *sources,
                                     bench_report *out_report,
                                     pfl_error *error);

#endif
