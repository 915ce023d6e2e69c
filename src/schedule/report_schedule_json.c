/* A schedule as JSON, and its spans as a trace that Perfetto and Chrome open.
 */
#include <stdio.h>

#include "base/json.h"
#include "schedule/schedule_summary.h"

/* ---- The report ---------------------------------------------------------- */

static void write_causes(json_writer *json, const int64_t *causes) {
  json_begin_object(json, "cycles_by_cause");
  for (int i = 0; i < SCHEDULE_CAUSES; i++)
    json_write_int64(json, schedule_cause_name((schedule_cause)i), causes[i]);
  json_end(json);
}

static void write_line(json_writer *json, const schedule_line_cost *line) {
  json_begin_object(json, NULL);
  json_write_string(json, "file", line->file);
  json_write_int64(json, "line", line->line);
  json_write_double(json, "cycles", line->cycles);
  json_end(json);
}

static void write_region(json_writer *json, const schedule_region *region) {
  json_begin_object(json, NULL);
  json_write_int64(json, "first_bundle", region->first);
  json_write_int64(json, "last_bundle", region->last);
  json_write_int64(json, "times", region->times);
  json_write_int64(json, "cycles", region->cycles);
  write_causes(json, region->causes);
  json_begin_array(json, "lines");
  for (int i = 0; i < SCHEDULE_REGION_LINES && region->lines[i].file; i++)
    write_line(json, &region->lines[i]);
  json_end(json);
  json_end(json);
}

static void write_units(json_writer *json, const schedule_summary *summary) {
  json_begin_object(json, "slots");
  for (int i = 0; i < SCHEDULE_UNITS; i++)
    json_write_int64(json, schedule_unit_name((schedule_unit)i),
                     summary->units[i]);
  json_end(json);
}

static void write_unknown(json_writer *json, const schedule_program *program) {
  json_begin_array(json, "unknown_instructions");
  for (int64_t i = 0; i < program->unknown_count; i++) {
    json_begin_object(json, NULL);
    json_write_string(json, "name", program->unknown[i].name);
    json_write_int64(json, "bundles", program->unknown[i].count);
    json_end(json);
  }
  json_end(json);
}

static void write_numbers(json_writer *json, const schedule_summary *summary) {
  const schedule_profile *profile = summary->profile;
  json_write_int64(json, "chips", summary->chips);
  json_write_int64(json, "calls", profile->calls);
  json_write_int64(json, "cycles", summary->cycles);
  json_write_double(json, "time_us", summary->us);
  write_causes(json, profile->causes);
  json_write_int64(json, "called_cycles", schedule_called_cycles(summary));
  json_write_double(json, "mxu_busy", summary->mxu_busy);
  if (summary->work.flops > 0) {
    json_write_double(json, "flops", summary->work.flops);
    json_write_double(json, "flop_fraction", summary->flop_fraction);
  }
  if (summary->work.bytes > 0) {
    json_write_double(json, "cache_bytes", summary->work.bytes);
    json_write_double(json, "cache_fraction", summary->byte_fraction);
  }
  if (summary->work.how)
    json_write_string(json, "work_counted", summary->work.how);
  json_write_int64(json, "hbm_read_bytes", summary->hbm_read_bytes);
  json_write_int64(json, "hbm_write_bytes", summary->hbm_write_bytes);
  json_write_double(json, "hbm_fraction", summary->hbm_fraction);
  json_write_int64(json, "remote_bytes", profile->remote.bytes);
  json_write_int64(json, "remote_transfers", profile->remote.count);
}

static void write_program(json_writer *json, const schedule_model *model,
                          const schedule_summary *summary) {
  const schedule_program *program = summary->profile->program;
  json_begin_object(json, NULL);
  json_write_string(json, "name", program->name);
  write_numbers(json, summary);
  json_write_double(json, "time_with_dispatch_us",
                    summary->us + model->dispatch_us);
  if (program->slots) {
    json_write_int64(json, "spill_stores", summary->spill_stores);
    json_write_int64(json, "spill_loads", summary->spill_loads);
    write_units(json, summary);
  }
  if (program->vmem_bytes)
    json_write_int64(json, "vmem_bytes", program->vmem_bytes);
  json_write_int64(json, "bundles", program->bundle_count);
  json_begin_array(json, "regions");
  for (int i = 0; i < summary->region_count; i++)
    write_region(json, &summary->regions[i]);
  json_end(json);
  json_begin_array(json, "lines");
  for (int i = 0; i < summary->line_count; i++)
    write_line(json, &summary->lines[i]);
  json_end(json);
  write_unknown(json, program);
  json_end(json);
}

static void write_warnings(json_writer *json, const schedule_result *result) {
  for (int64_t i = 0; i < result->warning_count; i++) {
    const schedule_warning *warning = &result->warnings[i];
    json_begin_object(json, NULL);
    json_write_string(json, "program", warning->program->name);
    json_write_int64(json, "bundle", warning->bundle);
    json_write_string(json, "what", schedule_warning_text(warning->kind));
    json_write_int64(json, "times", warning->count);
    json_end(json);
  }
}

void schedule_report_json(const schedule_report *report, base_text *out) {
  json_writer json = {.text = out};
  json_begin_object(&json, NULL);
  json_write_string(&json, "schedule", report->title);
  json_write_string(&json, "evidence", "predicted by the cycle model");
  json_begin_object(&json, "model");
  schedule_model_write(report->model, &json);
  json_end(&json);
  json_begin_array(&json, "programs");
  for (int64_t i = 0; i < report->summary_count; i++)
    write_program(&json, report->model, &report->summaries[i]);
  json_end(&json);
  json_begin_array(&json, "notes");
  for (int64_t i = 0; i < report->result_count; i++)
    write_warnings(&json, &report->results[i]);
  json_end(&json);
  json_end(&json);
  base_text_add_string(out, "\n");
}

/* ---- The trace ----------------------------------------------------------- */

/* A chip is a process; its program, core, waits, HBM queue, local DMAs and each
 * link are threads. */
static int thread_of(const schedule_span *span) {
  return span->kind == SCHEDULE_SPAN_LINK ? 10 + span->to_chip
                                          : (int)span->kind;
}

static void write_name(json_writer *json, const char *what, int chip,
                       int thread, const char *name) {
  json_begin_object(json, NULL);
  json_write_string(json, "name", what);
  json_write_string(json, "ph", "M");
  json_write_int64(json, "pid", chip);
  json_write_int64(json, "tid", thread);
  json_begin_object(json, "args");
  json_write_string(json, "name", name);
  json_end(json);
  json_end(json);
}

static void write_names(json_writer *json, int chips) {
  static const char *const kinds[] = {
#define KIND_NAME(name, word) word,
      SCHEDULE_SPAN_LIST(KIND_NAME)
#undef KIND_NAME
  };
  for (int chip = 0; chip < chips; chip++) {
    char name[32];
    snprintf(name, sizeof name, "chip %d", chip);
    write_name(json, "process_name", chip, 0, name);
    for (int kind = 0; kind < SCHEDULE_SPAN_LINK; kind++)
      write_name(json, "thread_name", chip, kind, kinds[kind]);
    for (int to = 0; to < chips && chips > 1; to++) {
      snprintf(name, sizeof name, "link to chip %d", to);
      if (to != chip) write_name(json, "thread_name", chip, 10 + to, name);
    }
  }
}

static const char *space_name(schedule_space space) {
  static const char *const names[] = {"?", "HBM", "VMEM", "SMEM", "SFLAG"};
  return names[space];
}

static void title(const schedule_span *span, char *out, size_t size) {
  switch (span->kind) {
    case SCHEDULE_SPAN_PROGRAM:
      snprintf(out, size, "%.60s", span->program->name);
      break;
    case SCHEDULE_SPAN_CORE: snprintf(out, size, "bundles"); break;
    case SCHEDULE_SPAN_WAIT:
      snprintf(out, size, "wait 0x%llx", (unsigned long long)span->bundle);
      break;
    default:
      snprintf(out, size, "%s to %s, %lld B", space_name(span->from),
               space_name(span->to), (long long)span->bytes);
  }
}

/* Chrome's time unit is a microsecond. */
static void write_span(json_writer *json, const schedule_span *span,
                       double cycles_per_us) {
  char name[96];
  title(span, name, sizeof name);
  json_begin_object(json, NULL);
  json_write_string(json, "name", name);
  json_write_string(json, "ph", "X");
  json_write_int64(json, "pid", span->chip);
  json_write_int64(json, "tid", thread_of(span));
  json_write_double(json, "ts", (double)span->start / cycles_per_us);
  json_write_double(json, "dur",
                    (double)(span->end - span->start) / cycles_per_us);
  json_begin_object(json, "args");
  json_write_string(json, "program", span->program->name);
  json_write_int64(json, "bundle", span->bundle);
  json_write_int64(json, "cycles", span->end - span->start);
  json_end(json);
  json_end(json);
}

void schedule_report_trace(const schedule_result *result,
                           const schedule_model *model, base_text *out) {
  json_writer json = {.text = out};
  json_begin_object(&json, NULL);
  json_write_string(&json, "displayTimeUnit", "ns");
  json_begin_object(&json, "otherData");
  json_write_string(&json, "evidence", "predicted by the cycle model");
  json_write_int64(&json, "spans_left_out", result->spans_dropped);
  json_end(&json);
  json_begin_array(&json, "traceEvents");
  write_names(&json, result->chips);
  for (int64_t i = 0; i < result->span_count; i++)
    write_span(&json, &result->spans[i], 1000 * model->clock_ghz);
  json_end(&json);
  json_end(&json);
  base_text_add_string(out, "\n");
}
