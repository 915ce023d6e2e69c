/* A row as JSON. What is raw comes back by report_read_row; what is derived is
 * there for those who only read. */
#include <math.h>

#include "bench/report.h"
#include "bench/workload_json.h"

void report_json_workload(json_writer *json, const bench_workload *workload) {
  const bench_workload *w = workload;
  char name[BENCH_NAME_SIZE];
  json_begin_object(json, "cell");
  json_write_string(json, "name", bench_workload_name(w, name));
  json_write_string(json, "model", *w->model ? w->model : NULL);
  json_write_int64(json, "layers", w->layers);
  workload_json_write(json, w);
  json_end(json);
}

void report_json_quantity(json_writer *json, const char *key,
                          bench_quantity quantity) {
  json_begin_object(json, key);
  json_write_double(json, "value", quantity.value);
  json_write_double(json, "low", quantity.low);
  json_write_double(json, "high", quantity.high);
  json_write_double(json, "low90", quantity.low90);
  json_write_double(json, "high90", quantity.high90);
  json_end(json);
}

/* -1, which says unknown, as null. */
static void write_times(json_writer *json, const char *key,
                        const double *seconds, int64_t count) {
  json_begin_array(json, key);
  for (int64_t i = 0; i < count; i++)
    json_write_double(json, NULL, seconds[i] < 0 ? NAN : seconds[i]);
  json_end(json);
}

static void write_energy(json_writer *json, const bench_samples *s) {
  json_begin_array(json, "energy");
  for (int i = 0; i < ENERGY_SOURCES; i++) {
    if (!s->metered[i]) continue;
    json_begin_object(json, NULL);
    json_write_string(json, "meter", energy_name((energy_source)i));
    json_write_double(json, "joules", s->joules[i]);
    json_write_int64(json, "runs", s->metered[i]);
    json_end(json);
  }
  json_end(json);
}

static void write_processes(json_writer *json, const bench_samples *processes,
                            int64_t count) {
  json_begin_array(json, "processes");
  for (int64_t i = 0; i < count; i++) {
    const bench_samples *s = &processes[i];
    json_begin_object(json, NULL);
    json_write_double(json, "first_seconds", s->first);
    json_write_int64(json, "batch", s->batch);
    write_times(json, "seconds", s->seconds, s->count);
    write_times(json, "waited_seconds", s->waited, s->count);
    write_energy(json, s);
    json_end(json);
  }
  json_end(json);
}

static void write_summary(json_writer *json, const report_side *side) {
  const statistics_summary *s = &side->summary;
  json_begin_object(json, "summary");
  json_write_int64(json, "runs", s->count);
  json_write_int64(json, "clean_runs", side->clean);
  json_write_double(json, "median_seconds", s->median);
  json_write_double(json, "low_seconds", s->low);
  json_write_double(json, "high_seconds", s->high);
  json_write_double(json, "min_seconds", s->min);
  json_write_double(json, "max_seconds", s->max);
  json_write_double(json, "mean_seconds", s->mean);
  json_write_double(json, "deviation_seconds", s->deviation);
  json_write_double(json, "p90_seconds", s->p90);
  json_write_double(json, "p95_seconds", s->p95);
  json_write_double(json, "p99_seconds", s->p99);
  json_write_int64(json, "mild_outliers", s->mild);
  json_write_int64(json, "severe_outliers", s->severe);
  json_write_double(json, "outlier_effect", side->outlier_effect);
  json_end(json);
}

/* Device counters, best effort (rule 53). */
static void write_side_energy(json_writer *json, const report_row *row,
                              const report_side *side) {
  double tokens = bench_workload_tokens(&row->workload);
  json_begin_array(json, "energy");
  for (int i = 0; i < ENERGY_SOURCES; i++) {
    if (isnan(side->joules[i])) continue;
    json_begin_object(json, NULL);
    json_write_string(json, "meter", energy_name((energy_source)i));
    json_write_double(json, "joules_per_run", side->joules[i]);
    json_write_double(json, "joules_per_attention_token",
                      side->joules[i] / tokens);
    json_end(json);
  }
  json_end(json);
}

static void write_steady(json_writer *json, const steady_state *state) {
  json_begin_object(json, "steady");
  json_write_bool(json, "known", state->known);
  json_write_bool(json, "steady", state->steady);
  json_write_double(json, "variation", state->known ? state->variation : NAN);
  json_write_double(json, "slope_low", state->known ? state->slope_low : NAN);
  json_write_double(json, "slope_high", state->known ? state->slope_high : NAN);
  json_end(json);
}

/* Rule 36: where the two intervals differ, both are told. */
static void write_ratio(json_writer *json, const bootstrap_ratio *ratio) {
  json_begin_object(json, "throughput_ratio");
  json_write_int64(json, "processes", ratio->blocks);
  json_write_bool(json, "intervals_differ", ratio->differ);
  report_json_quantity(json, "ratio", ratio->ratio);
  report_json_quantity(json, "resampled", ratio->resampled);
  report_json_quantity(json, "asymptotic", ratio->asymptotic);
  json_end(json);
}

static void write_measured(json_writer *json, const report_row *row,
                           const report_side *side) {
  json_write_double(json, "rate", side->rate * 1e-9);
  json_write_double(json, "fraction_of_limit", side->fraction);
  json_write_double(json, "attention_tokens_per_second",
                    side->tokens_per_second);
  json_write_double(json, "max_abs_error", side->verdict.error);
  json_write_double(json, "error_over_tolerance", side->verdict.relative);
  json_write_bool(json, "passed", side->verdict.passed);
  if (side != row->sides) {
    json_write_double(json, "time_over_ours", report_ratio(row, side));
    if (side->ratio.blocks) write_ratio(json, &side->ratio);
  }
  write_summary(json, side);
  write_side_energy(json, row, side);
  write_steady(json, &side->steady);
  write_processes(json, side->processes, row->process_count);
}

static void write_side(json_writer *json, const report_row *row,
                       const report_side *side) {
  json_begin_object(json, NULL);
  json_write_string(json, "name", side->title);
  json_write_bool(json, "ours", side == row->sides);
  json_write_string(json, "evidence",
                    (char[]){evidence_letter(BENCH_EVIDENCE_MEASURED), 0});
  json_write_string(json, "device", *side->device ? side->device : NULL);
  if (*side->device)
    json_write_int64(json, "chips", side->chips);
  else
    json_write_null(json, "chips");
  json_write_string(json, "skipped", *side->reason ? side->reason : NULL);
  if (report_side_measured(side)) write_measured(json, row, side);
  json_end(json);
}

void report_json_row(json_writer *json, const report_row *row, int side_count) {
  json_begin_object(json, NULL);
  report_json_workload(json, &row->workload);
  json_write_int64(json, "threads", row->threads);
  json_write_double(json, "work", row->work);
  json_write_string(json, "unit", report_limit_unit(row->limit));
  json_write_string(json, "checked", row->sample);
  json_begin_array(json, "processes");
  for (int64_t i = 0; i < row->process_count; i++)
    json_write_int64(json, NULL, row->process_ids[i]);
  json_end(json);
  json_begin_array(json, "starts");
  for (int64_t i = 0; i < row->process_count; i++)
    json_write_string(json, NULL, row->starts[i]);
  json_end(json);
  json_write_double(json, "seconds", row->seconds);
  json_write_double(json, "stolen_seconds", row->stolen);
  json_begin_object(json, "limit");
  json_write_string(json, "name", report_limit_name(row->limit));
  json_write_double(json, "rate", row->limit_rate * 1e-9);
  json_write_double(json, "work", row->limit_work);
  write_processes(json, row->limit_processes, row->process_count);
  json_end(json);
  json_begin_array(json, "sides");
  for (int i = 0; i < side_count; i++) write_side(json, row, &row->sides[i]);
  json_end(json);
  json_end(json);
}
