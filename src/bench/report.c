/* What is derived from the runs, for every form of the report. */
#include "bench/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measured.h"
#include "bench/replicas.h"

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

bench_limit report_limit_named(const char *name) {
  int limit = 0;
  while (limit < BENCH_LIMIT_COUNT && strcmp(limits[limit].name, name)) limit++;
  return (bench_limit)limit;
}

const char *report_rate_unit(const report_row *row) {
  return row->limit == BENCH_LIMIT_READ ? "GB/s" : "GF/s";
}

bool report_side_measured(const report_side *side) { return !*side->reason; }

bool report_side_counts(const report_side *side) {
  return report_side_measured(side) && side->verdict.passed;
}

/* ---- Samples of several processes -------------------------------------- */

static int64_t count_runs(const bench_samples *processes, int64_t count) {
  int64_t runs = 0;
  for (int64_t i = 0; i < count; i++) runs += processes[i].count;
  return runs;
}

/* -1: unknown. */
static int64_t count_clean(const bench_samples *processes, int64_t count) {
  int64_t clean = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t some = samples_clean(&processes[i]);
    if (some < 0) return -1;
    clean += some;
  }
  return clean;
}

/* The seconds of all, in order; malloc's. NULL: none, or no memory. */
static double *join_seconds(const bench_samples *processes, int64_t count) {
  int64_t runs = count_runs(processes, count), used = 0;
  double *all = runs ? malloc((size_t)runs * sizeof *all) : NULL;
  for (int64_t i = 0; all && i < count; i++) {
    if (processes[i].count)
      memcpy(all + used, processes[i].seconds,
             (size_t)processes[i].count * sizeof *all);
    used += processes[i].count;
  }
  return all;
}

static pfl_status summarize(const bench_samples *processes, int64_t count,
                            statistics_summary *out_summary, pfl_error *error) {
  double *sorted = join_seconds(processes, count);
  if (!sorted) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for statistics");
  *out_summary = statistics_summarize(sorted, count_runs(processes, count));
  free(sorted);
  return PFL_STATUS_OK;
}

static bool is_noisy(const bench_samples *processes, int64_t count) {
  int64_t clean = count_clean(processes, count);
  return clean >= 0 && 5 * clean < 4 * count_runs(processes, count);
}

bool report_row_noisy(const report_row *row) {
  return report_side_measured(&row->sides[0]) &&
         (is_noisy(row->sides[0].processes, row->process_count) ||
          is_noisy(row->limit_processes, row->process_count));
}

const char *report_row_remark(const report_row *row) {
  const report_side *ours = &row->sides[0];
  if (!report_side_measured(ours)) return "";
  if (!ours->verdict.passed) return "WRONG";
  if (report_row_noisy(row)) return "noisy";
  if (ours->fraction > 1) return "beyond";
  return ours->steady.known && !ours->steady.steady ? "unsteady" : "";
}

/* Of a run, over all processes; NAN: unknown. */
static double find_joules(const bench_samples *processes, int64_t count,
                          int source) {
  double joules = 0;
  int64_t runs = 0;
  for (int64_t i = 0; i < count; i++) {
    joules += processes[i].joules[source];
    runs += processes[i].metered[source];
  }
  return runs ? joules / (double)runs : NAN;
}

/* ---- What is derived --------------------------------------------------- */

/* The least steady of the processes. */
static steady_state find_steady(const bench_samples *processes, int64_t count) {
  steady_state worst = {0};
  for (int64_t i = 0; i < count; i++) {
    steady_state state = steady_find(processes[i].seconds, processes[i].count);
    bool worse = state.known < worst.known ||
                 (state.known == worst.known && state.steady < worst.steady);
    if (i == 0 || worse) worst = state;
  }
  return worst;
}

static pfl_status finish_side(const report_row *row, report_side *side,
                              pfl_error *error) {
  int64_t count = row->process_count;
  PFL_TRY(summarize(side->processes, count, &side->summary, error));
  const statistics_summary *s = &side->summary;
  side->rate = row->work / s->median;
  side->fraction = *side->device ? NAN : side->rate / row->limit_rate;
  side->tokens_per_second = bench_workload_tokens(&row->workload) / s->mean;
  side->clean = count_clean(side->processes, count);
  for (int i = 0; i < ENERGY_SOURCES; i++)
    side->joules[i] = find_joules(side->processes, count, i);
  side->steady = find_steady(side->processes, count);
  side->outlier_effect = steady_outlier_effect(s->mean, s->deviation, s->count);
  return PFL_STATUS_OK;
}

static int64_t pair_blocks(const bench_replicas *a, const bench_replicas *b,
                           bootstrap_block *out_blocks) {
  int64_t count = 0;
  for (int64_t i = 0; i < a->count; i++)
    if (a->runs[i].count && b->runs[i].count)
      out_blocks[count++] =
          (bootstrap_block){a->runs[i].seconds, b->runs[i].seconds,
                            a->runs[i].count, b->runs[i].count};
  return count;
}

/* Our throughput over the peer's. */
static pfl_status finish_ratio(const report_row *row, report_side *peer,
                               pfl_error *error) {
  bootstrap_block blocks[REPORT_PROCESSES_MAX];
  bench_replicas a = {0}, b = {0};
  pfl_status status = replicas_create(row, row->sides[0].processes, &a, error);
  if (!status) status = replicas_create(row, peer->processes, &b, error);
  int64_t count = status ? 0 : pair_blocks(&a, &b, blocks);
  if (count)
    status = bootstrap_compare(blocks, count, BOOTSTRAP_RESAMPLES,
                               BOOTSTRAP_SEED, &peer->ratio, error);
  replicas_release(&a);
  replicas_release(&b);
  return status;
}

static pfl_status finish_row(report_row *row, int side_count,
                             pfl_error *error) {
  statistics_summary limit;
  if (!count_runs(row->limit_processes, row->process_count))
    return PFL_STATUS_OK; /* nobody could run */
  PFL_TRY(summarize(row->limit_processes, row->process_count, &limit, error));
  row->limit_rate = row->limit_work / limit.median;
  for (int i = 0; i < side_count; i++) {
    report_side *side = &row->sides[i];
    if (!report_side_measured(side)) continue;
    PFL_TRY(finish_side(row, side, error));
    if (i && report_side_counts(&row->sides[0]))
      PFL_TRY(finish_ratio(row, side, error));
  }
  return PFL_STATUS_OK;
}

pfl_status report_finish(bench_report *report, pfl_error *error) {
  report_manifest *m = &report->manifest;
  m->seconds = m->stolen = 0;
  for (int64_t i = 0; i < report->row_count; i++) {
    PFL_TRY(finish_row(&report->rows[i], report->side_count, error));
    m->seconds += report->rows[i].seconds;
    m->stolen += report->rows[i].stolen;
  }
  return measured_add(report, error);
}

int64_t report_day(const bench_report *report) {
  return catalog_day(report->manifest.start);
}

double report_ratio(const report_row *row, const report_side *peer) {
  const report_side *ours = &row->sides[0];
  if (!report_side_counts(ours) || !report_side_measured(peer)) return 0;
  return peer->summary.median / ours->summary.median;
}

int32_t report_threads_get(const bench_report *report, int n) {
  int32_t last = 0;
  for (int found = 0;; found++) {
    int32_t next = INT32_MAX;
    for (int64_t i = 0; i < report->row_count; i++) {
      int32_t threads = report->rows[i].threads;
      if (threads > last && threads < next) next = threads;
    }
    if (next == INT32_MAX) return 0;
    if (found == n) return next;
    last = next;
  }
}

static void add_rates(const report_row *row, double *rates, int64_t *count) {
  for (int64_t p = 0; p < row->process_count; p++)
    for (int64_t n = 0; n < row->limit_processes[p].count; n++)
      rates[(*count)++] = row->limit_work / row->limit_processes[p].seconds[n];
}

pfl_status report_limit_find(const bench_report *report, bench_limit limit,
                             int32_t threads, report_limit *out_limit,
                             pfl_error *error) {
  *out_limit = (report_limit){0};
  int64_t count = 0;
  for (int64_t i = 0; i < report->row_count; i++)
    count += count_runs(report->rows[i].limit_processes,
                        report->rows[i].process_count);
  double *rates = malloc((size_t)(count + 1) * sizeof *rates);
  if (!rates) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for statistics");
  for (int64_t i = 0; i < report->row_count; i++) {
    const report_row *row = &report->rows[i];
    if (row->limit == limit && row->threads == threads)
      add_rates(row, rates, &out_limit->runs);
  }
  if (out_limit->runs) {
    statistics_summary summary = statistics_summarize(rates, out_limit->runs);
    out_limit->median = summary.median;
    out_limit->best = summary.max;
  }
  free(rates);
  return PFL_STATUS_OK;
}
