/* The report as JSON: every fact and every raw sample. docs/bench.schema.json
 * has the schema; a change that a reader could trip over raises its version. */
#include <math.h>

#include "bench/economy_json.h"
#include "bench/report.h"

static void write_machine(json_writer *json, const bench_machine *m) {
  json_begin_object(json, "machine");
  json_write_string(json, "cpu", m->cpu);
  json_write_int64(json, "cpus", m->cpus);
  json_write_string(json, "isa", m->isa);
  json_write_string(json, "kernel", m->kernel);
  json_write_string(json, "governor", *m->governor ? m->governor : NULL);
  json_write_int64(json, "page_bytes", m->page_bytes);
  json_write_string(json, "huge_pages", *m->huge_pages ? m->huge_pages : NULL);
  json_write_int64(json, "memory_bytes", m->memory_bytes);
  json_write_int64(json, "cache_bytes", m->cache_bytes);
  json_write_double(json, "clock_resolution_seconds", m->clock_resolution);
  json_end(json);
}

static void write_effort(json_writer *json, const bench_effort *effort) {
  json_begin_object(json, "effort");
  json_write_int64(json, "min_runs", effort->min_runs);
  json_write_double(json, "min_seconds", effort->min_seconds);
  json_write_double(json, "max_seconds", effort->max_seconds);
  json_write_double(json, "warm_seconds", effort->warm_seconds);
  json_write_double(json, "block_seconds", effort->block_seconds);
  json_write_double(json, "half_width", effort->half_width);
  json_write_int64(json, "ring_bytes", effort->ring_bytes);
  json_write_bool(json, "smoke", effort->smoke);
  json_write_double(json, "least_seconds", effort->least_seconds);
  json_end(json);
}

static void write_manifest(json_writer *json, const report_manifest *m) {
  json_begin_object(json, "manifest");
  json_write_string(json, "program", "pallas-flash");
  json_write_string(json, "version", m->version);
  json_write_string(json, "commit", *m->commit ? m->commit : NULL);
  json_write_string(json, "compiler", m->compiler);
  json_write_string(json, "compiler_flags", m->compiler_flags);
  json_write_string(json, "command", m->command);
  json_write_string(json, "suite", m->suite);
  json_write_string(json, "isa", m->isa);
  json_write_int64(json, "seed", (int64_t)m->seed);
  json_write_int64(json, "processes", m->processes);
  json_write_int64(json, "resumed", m->resumed);
  json_write_string(json, "start", m->start);
  json_write_string(json, "end", m->end);
  json_write_double(json, "seconds", m->seconds);
  json_write_double(json, "stolen_seconds", m->stolen);
  json_write_double(json, "dispatch_seconds", m->dispatch_seconds);
  write_effort(json, &m->effort);
  write_machine(json, &m->machine);
  json_end(json);
}

static pfl_status write_limits(json_writer *json, const bench_report *report,
                               pfl_error *error) {
  json_begin_array(json, "limits");
  for (int kind = 0; kind < BENCH_LIMIT_COUNT; kind++)
    for (int i = 0; report_threads_get(report, i); i++) {
      report_limit found;
      int32_t threads = report_threads_get(report, i);
      PFL_TRY(
          report_limit_find(report, (bench_limit)kind, threads, &found, error));
      if (!found.runs) continue;
      json_begin_object(json, NULL);
      json_write_string(json, "name", report_limit_name((bench_limit)kind));
      json_write_int64(json, "threads", threads);
      json_write_string(json, "unit", report_limit_unit((bench_limit)kind));
      json_write_double(json, "median", found.median * 1e-9);
      json_write_double(json, "best", found.best * 1e-9);
      json_write_int64(json, "runs", found.runs);
      json_end(json);
    }
  json_end(json);
  return PFL_STATUS_OK;
}

pfl_status report_json(const bench_report *report, base_text *out_text,
                       pfl_error *error) {
  json_writer json = {.text = out_text};
  json_begin_object(&json, NULL);
  json_begin_object(&json, "schema");
  json_write_string(&json, "name", REPORT_SCHEMA);
  json_write_int64(&json, "version", REPORT_SCHEMA_VERSION);
  json_end(&json);
  write_manifest(&json, &report->manifest);
  PFL_TRY(write_limits(&json, report, error));
  json_write_int64(&json, "side_count", report->side_count);
  json_begin_array(&json, "rows");
  for (int64_t i = 0; i < report->row_count; i++)
    report_json_row(&json, &report->rows[i], report->side_count);
  json_end(&json);
  PFL_TRY(economy_write(&json, &report->economy, report_day(report), error));
  forecast_write(&json, &report->forecast);
  json_end(&json);
  base_text_add_string(out_text, "\n");
  return base_text_check(out_text, error);
}
