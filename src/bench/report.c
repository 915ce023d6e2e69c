/* What is derived from the runs, for every form of the report. */
#include "bench/report.h"

#include <stdlib.h>
#include <string.h>

static const struct {
  const char *name, *unit, *what;
} limits[] = {
#define LIMIT_ROW(name, text, unit, what) {text, unit, what},
    BENCH_LIMIT_LIST(LIMIT_ROW)
#undef LIMIT_ROW
};

const char *report_limit_name(bench_limit limit) { return limits[limit].name; }
const char *report_limit_unit(bench_limit limit) { return limits[limit].unit; }
const char *report_limit_what(bench_limit limit) { return limits[limit].what; }

const char *report_rate_unit(const report_row *row) {
  return row->limit == BENCH_LIMIT_READ ? "GB/s" : "GF/s";
}

bool report_side_measured(const report_side *side) { return !*side->reason; }

bool report_side_counts(const report_side *side) {
  return report_side_measured(side) && side->verdict.passed;
}

static bool is_noisy(const measure_series *series) {
  int64_t clean = measure_clean_runs(series);
  return clean >= 0 && 5 * clean < 4 * series->count;
}

bool report_row_noisy(const report_row *row) {
  return is_noisy(&row->sides[0].series) || is_noisy(&row->limit_series);
}

const char *report_row_remark(const report_row *row) {
  if (!row->sides[0].verdict.passed) return "WRONG";
  if (report_row_noisy(row)) return "noisy";
  return row->sides[0].fraction > 1 ? "beyond" : "";
}

/* The summary of a series, whose order is kept. */
static pfl_status summarize(const measure_series *series,
                            statistics_summary *out_summary, pfl_error *error) {
  size_t bytes = (size_t)series->count * sizeof(double);
  double *sorted = malloc(bytes);
  if (!sorted) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for statistics");
  memcpy(sorted, series->seconds, bytes);
  *out_summary = statistics_summarize(sorted, series->count);
  free(sorted);
  return PFL_STATUS_OK;
}

pfl_status report_row_finish(report_row *row, int side_count,
                             pfl_error *error) {
  statistics_summary limit;
  if (!row->limit_series.count) return PFL_STATUS_OK; /* nobody could run */
  PFL_TRY(summarize(&row->limit_series, &limit, error));
  row->limit_rate = row->limit_work / limit.median;
  for (int i = 0; i < side_count; i++) {
    report_side *side = &row->sides[i];
    if (!report_side_measured(side)) continue;
    PFL_TRY(summarize(&side->series, &side->summary, error));
    side->rate = row->work / side->summary.median;
    side->fraction = side->rate / row->limit_rate;
    side->clean = measure_clean_runs(&side->series);
  }
  return PFL_STATUS_OK;
}

void report_row_release(report_row *row, int side_count) {
  measure_release(&row->limit_series);
  for (int i = 0; row->sides && i < side_count; i++)
    measure_release(&row->sides[i].series);
  free(row->sides);
  *row = (report_row){0};
}

double report_ratio(const report_row *row, const report_side *peer) {
  const report_side *ours = &row->sides[0];
  if (!report_side_counts(ours) || !report_side_measured(peer)) return 0;
  return peer->summary.median / ours->summary.median;
}

pfl_status report_limit_find(const bench_report *report, bench_limit limit,
                             int32_t threads, report_limit *out_limit,
                             pfl_error *error) {
  *out_limit = (report_limit){0};
  int64_t count = 0;
  for (int64_t i = 0; i < report->row_count; i++)
    count += report->rows[i].limit_series.count;
  double *rates = malloc((size_t)(count + 1) * sizeof *rates);
  if (!rates) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for statistics");
  for (int64_t i = 0; i < report->row_count; i++) {
    const report_row *row = &report->rows[i];
    if (row->limit != limit || row->threads != threads) continue;
    for (int64_t n = 0; n < row->limit_series.count; n++)
      rates[out_limit->runs++] = row->limit_work / row->limit_series.seconds[n];
  }
  if (out_limit->runs) {
    statistics_summary summary = statistics_summarize(rates, out_limit->runs);
    out_limit->median = summary.median;
    out_limit->best = summary.max;
  }
  free(rates);
  return PFL_STATUS_OK;
}
