/* The report as JSON: every fact and every raw sample. The schema is in
 * docs/benchmark.md; a change that a reader could trip over raises its
 * version. */
#include <math.h>

#include "base/json.h"
#include "bench/report.h"

enum { SCHEMA_VERSION = 1 };

/* Times to the nanosecond, which is what the clock gives. */
static double to_nanoseconds(double seconds) {
  return round(seconds * 1e9) / 1e9;
}

static void write_times(json_writer *json, const char *key,
                        const double *seconds, int64_t count) {
  json_begin_array(json, key);
  for (int64_t i = 0; i < count; i++)
    json_write_double(json, NULL,
                      seconds[i] < 0 ? NAN : to_nanoseconds(seconds[i]));
  json_end(json);
}

static void write_machine(json_writer *json, const bench_report *report) {
  const bench_machine *m = &report->machine;
  json_begin_object(json, "machine");
  json_write_string(json, "cpu", m->cpu);
  json_write_int64(json, "cpus", m->cpus);
  json_write_string(json, "isa", pfl_isa_name(pfl_isa_best()));
  json_write_string(json, "kernel", m->kernel);
  json_write_string(json, "governor", *m->governor ? m->governor : NULL);
  json_write_int64(json, "page_bytes", m->page_bytes);
  json_write_string(json, "huge_pages", *m->huge_pages ? m->huge_pages : NULL);
  json_write_int64(json, "memory_bytes", m->memory_bytes);
  json_write_int64(json, "cache_bytes", m->cache_bytes);
  json_write_double(json, "clock_resolution_seconds",
                    to_nanoseconds(m->clock_resolution));
  json_end(json);
}

static void write_manifest(json_writer *json, const bench_report *report) {
  const bench_effort *effort = &report->effort;
  const char *commit = machine_commit();
  json_begin_object(json, "manifest");
  json_write_string(json, "program", "pallas-flash");
  json_write_string(json, "version", pfl_version());
  json_write_string(json, "commit", *commit ? commit : NULL);
  json_write_string(json, "compiler", machine_compiler());
  json_write_string(json, "compiler_flags", machine_compiler_flags());
  json_write_string(json, "command", report->options->command);
  json_write_string(json, "suite", bench_suite_name(report->suite));
  json_write_string(json, "isa", pfl_isa_name(report->isa));
  json_write_int64(json, "seed", (int64_t)report->seed);
  json_write_string(json, "start", report->start);
  json_write_string(json, "end", report->end);
  json_write_double(json, "seconds", to_nanoseconds(report->seconds));
  json_write_double(json, "stolen_seconds", to_nanoseconds(report->stolen));
  json_begin_object(json, "evidence");
  json_write_string(json, "class", "measured");
  json_write_string(json, "device", report->machine.cpu);
  json_end(json);
  json_begin_object(json, "effort");
  json_write_int64(json, "min_runs", effort->min_runs);
  json_write_double(json, "min_seconds", effort->min_seconds);
  json_write_double(json, "max_seconds", effort->max_seconds);
  json_write_double(json, "warm_seconds", effort->warm_seconds);
  json_end(json);
  write_machine(json, report);
  json_end(json);
}

static pfl_status write_limits(json_writer *json, const bench_report *report,
                               pfl_error *error) {
  json_begin_array(json, "limits");
  for (int kind = 0; kind < BENCH_LIMIT_COUNT; kind++)
    for (int i = 0; i < report->thread_count; i++) {
      report_limit found;
      PFL_TRY(report_limit_find(report, (bench_limit)kind, report->threads[i],
                                &found, error));
      if (!found.runs) continue;
      json_begin_object(json, NULL);
      json_write_string(json, "name", report_limit_name((bench_limit)kind));
      json_write_int64(json, "threads", report->threads[i]);
      json_write_string(json, "unit", report_limit_unit((bench_limit)kind));
      json_write_double(json, "median", found.median * 1e-9);
      json_write_double(json, "best", found.best * 1e-9);
      json_write_int64(json, "runs", found.runs);
      json_end(json);
    }
  json_end(json);
  return PFL_STATUS_OK;
}

static void write_summary(json_writer *json, const report_side *side) {
  const statistics_summary *s = &side->summary;
  json_begin_object(json, "summary");
  json_write_int64(json, "runs", s->count);
  json_write_int64(json, "clean_runs", side->clean);
  json_write_double(json, "median_seconds", to_nanoseconds(s->median));
  json_write_double(json, "low_seconds", to_nanoseconds(s->low));
  json_write_double(json, "high_seconds", to_nanoseconds(s->high));
  json_write_double(json, "min_seconds", to_nanoseconds(s->min));
  json_write_double(json, "max_seconds", to_nanoseconds(s->max));
  json_write_double(json, "mean_seconds", to_nanoseconds(s->mean));
  json_write_double(json, "deviation_seconds", to_nanoseconds(s->deviation));
  json_write_int64(json, "mild_outliers", s->mild);
  json_write_int64(json, "severe_outliers", s->severe);
  json_write_double(json, "first_seconds", to_nanoseconds(side->series.first));
  json_end(json);
}

static void write_side(json_writer *json, const report_row *row,
                       const report_side *side) {
  bool is_ours = side == row->sides;
  json_begin_object(json, NULL);
  json_write_string(json, "name", side->title);
  json_write_bool(json, "ours", is_ours);
  json_write_string(json, "skipped", *side->reason ? side->reason : NULL);
  if (report_side_measured(side)) {
    json_write_double(json, "rate", side->rate * 1e-9);
    json_write_double(json, "fraction_of_limit", side->fraction);
    json_write_double(json, "max_abs_error", side->verdict.error);
    json_write_double(json, "error_over_tolerance", side->verdict.relative);
    json_write_bool(json, "passed", side->verdict.passed);
    if (!is_ours)
      json_write_double(json, "time_over_ours", report_ratio(row, side));
    write_summary(json, side);
    write_times(json, "seconds", side->series.seconds, side->series.count);
    write_times(json, "waited_seconds", side->series.waited,
                side->series.count);
  }
  json_end(json);
}

static void write_row(json_writer *json, const report_row *row,
                      int side_count) {
  const bench_workload *w = row->workload;
  char title[BENCH_TITLE_SIZE];
  json_begin_object(json, NULL);
  json_write_string(json, "title", bench_workload_title(w, title));
  json_write_string(json, "op", bench_op_name(w->op));
  json_write_string(json, "dtype", pfl_dtype_name(w->dtype));
  json_write_string(json, "cache_dtype", pfl_dtype_name(w->cache_dtype));
  json_write_int64(json, "batch", 1);
  json_write_int64(json, "q_heads", w->q_heads);
  json_write_int64(json, "kv_heads", w->kv_heads);
  json_write_int64(json, "q_length", w->q_length);
  json_write_int64(json, "kv_length", w->kv_length);
  json_write_int64(json, "head_dim", w->head_dim);
  json_write_bool(json, "causal", w->causal);
  json_write_int64(json, "threads", row->threads);
  json_write_double(json, "work", row->work);
  json_write_string(json, "unit", report_limit_unit(row->limit));
  json_write_string(json, "checked", row->sample);
  json_begin_object(json, "limit");
  json_write_string(json, "name", report_limit_name(row->limit));
  json_write_double(json, "rate", row->limit_rate * 1e-9);
  json_write_double(json, "work", row->limit_work);
  write_times(json, "seconds", row->limit_series.seconds,
              row->limit_series.count);
  write_times(json, "waited_seconds", row->limit_series.waited,
              row->limit_series.count);
  json_end(json);
  json_begin_array(json, "sides");
  for (int i = 0; i < side_count; i++) write_side(json, row, &row->sides[i]);
  json_end(json);
  json_end(json);
}

pfl_status report_json(const bench_report *report, base_text *out_text,
                       pfl_error *error) {
  json_writer json = {.text = out_text};
  json_begin_object(&json, NULL);
  json_begin_object(&json, "schema");
  json_write_string(&json, "name", "pallas-flash/bench");
  json_write_int64(&json, "version", SCHEMA_VERSION);
  json_end(&json);
  write_manifest(&json, report);
  PFL_TRY(write_limits(&json, report, error));
  json_begin_array(&json, "rows");
  for (int64_t i = 0; i < report->row_count; i++)
    write_row(&json, &report->rows[i], report->side_count);
  json_end(&json);
  json_end(&json);
  base_text_add_string(out_text, "\n");
  return base_text_check(out_text, error);
}
