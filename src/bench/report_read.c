/* The report read back from JSON: what is raw. It is a stranger's file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/economy_json.h"
#include "bench/fields.h"
#include "bench/report.h"
#include "bench/workload_json.h"

enum {
  FILE_MAX = 512 << 20,
  SIDES_MAX = 64,
  SIDE_CHIPS_MAX = 4096,
  SIZE_MAX_READ = 1 << 30,
  BATCH_MAX = 1 << 30
};
static const double SECONDS_MAX = 1e9;

/* ---- Workloads --------------------------------------------------------- */

/* That the library would take it, so that its work can be counted. */
static pfl_status check_workload(const bench_workload *w, pfl_error *error) {
  pfl_attention attention = bench_workload_attention(w);
  pfl_decode decode = bench_workload_decode(w);
  attention_problem problem;
  attention_decode_problem decode_problem;
  if (w->cache_dtype == PFL_DTYPE_I8 && w->op != BENCH_OP_DECODE)
    PFL_RAISE(error, INVALID_ARGUMENT, "cell: only decode has an int8 cache");
  PFL_TRY(attention_problem_init(&attention, &problem, error));
  return attention_decode_problem_init(&decode, &decode_problem, error);
}

pfl_status report_read_workload(const json_value *value,
                                bench_workload *out_workload,
                                pfl_error *error) {
  json_fields f = fields_of(value, "cell", error);
  bench_workload *w = out_workload;
  const char *model = bench_model_find(fields_word(&f, "model"));
  int64_t layers = fields_int64(&f, "layers", 1, SIZE_MAX_READ);
  *w = workload_json_read(&f);
  w->model = model;
  w->layers = layers;
  if (!w->model) fields_refuse(&f, "model", "one of `pflash bench --list`");
  PFL_TRY(f.status);
  return check_workload(w, error);
}

/* ---- Samples ----------------------------------------------------------- */

static pfl_status read_energy(const json_value *value, bench_samples *out,
                              pfl_error *error) {
  json_fields f = fields_of(value, "energy", error);
  energy_source source = energy_find(fields_word(&f, "meter"));
  double joules = fields_number(&f, "joules", 0, 1e12);
  int64_t runs = fields_int64(&f, "runs", 1, INT64_MAX / 2);
  if (source == ENERGY_SOURCES || !(joules > 0))
    fields_refuse(&f, "meter", "a meter, and its joules above 0");
  PFL_TRY(f.status);
  out->joules[source] = joules;
  out->metered[source] = runs;
  return PFL_STATUS_OK;
}

static pfl_status read_samples(const json_value *value, bench_samples *out,
                               pfl_error *error) {
  json_fields f = fields_of(value, "processes", error);
  out->first = fields_number(&f, "first_seconds", 0, SECONDS_MAX);
  out->batch = fields_int64(&f, "batch", 0, BATCH_MAX);
  const json_value *seconds = json_first(fields_array(&f, "seconds"));
  const json_value *waited = json_first(fields_array(&f, "waited_seconds"));
  const json_value *meter = json_first(fields_array(&f, "energy"));
  PFL_TRY(f.status);
  for (; meter; meter = meter->next) PFL_TRY(read_energy(meter, out, error));
  for (; seconds; seconds = seconds->next) {
    double taken = NAN, wait = -1;
    if (!json_double(seconds, &taken) || !(taken > 0 && taken < SECONDS_MAX) ||
        !waited ||
        (waited->type != JSON_NULL &&
         (!json_double(waited, &wait) || wait < 0)))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "processes: seconds must be numbers above 0, and "
                "waited_seconds as many, or null");
    if (!samples_add(out, taken, wait))
      PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for samples");
    waited = waited->next;
  }
  if (waited)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "processes: more waited_seconds than seconds");
  return PFL_STATUS_OK;
}

/* As many as the row has processes. */
static pfl_status read_processes(json_fields *f, bench_samples *processes,
                                 int64_t count) {
  const json_value *array = fields_array(f, "processes");
  if (array && (int64_t)array->length != count)
    fields_refuse(f, "processes", "as many as the row has");
  PFL_TRY(f->status);
  const json_value *item = json_first(array);
  for (int64_t i = 0; i < count; i++, item = item->next)
    PFL_TRY(read_samples(item, &processes[i], f->error));
  return PFL_STATUS_OK;
}

/* ---- Rows -------------------------------------------------------------- */

static pfl_status read_side(const json_value *value, int64_t process_count,
                            report_side *side, pfl_error *error) {
  json_fields f = fields_of(value, "sides", error);
  fields_string(&f, "name", side->title, sizeof side->title);
  fields_string(&f, "skipped", side->reason, sizeof side->reason);
  fields_string(&f, "device", side->device, sizeof side->device);
  if (*side->device) side->chips = fields_int64(&f, "chips", 1, SIDE_CHIPS_MAX);
  PFL_TRY(f.status);
  if (*side->reason) return PFL_STATUS_OK;
  side->verdict = (gate_verdict){
      .error = fields_number(&f, "max_abs_error", 0, INFINITY),
      .relative = fields_number(&f, "error_over_tolerance", 0, INFINITY),
      .passed = fields_bool(&f, "passed"),
  };
  PFL_TRY(read_processes(&f, side->processes, process_count));
  for (int64_t i = 0; i < process_count; i++)
    if (!side->processes[i].count)
      PFL_RAISE(error, INVALID_ARGUMENT, "sides: a process without runs");
  return PFL_STATUS_OK;
}

static pfl_status read_ids(json_fields *f, report_row *row) {
  const json_value *ids = fields_array(f, "processes");
  if (ids && (!ids->length || ids->length > REPORT_PROCESSES_MAX))
    fields_refuse(f, "processes", "1 to 64 numbers");
  PFL_TRY(f->status);
  row->process_count = 0;
  for (const json_value *id = json_first(ids); id; id = id->next) {
    int64_t number = -1;
    if (!json_int64(id, &number) || number < 0 ||
        number >= REPORT_PROCESSES_MAX || report_row_has(row, (int32_t)number))
      PFL_RAISE(f->error, INVALID_ARGUMENT,
                "rows: processes must be different numbers, 0 to %d",
                REPORT_PROCESSES_MAX - 1);
    row->process_ids[row->process_count++] = (int32_t)number;
  }
  return PFL_STATUS_OK;
}

static pfl_status read_starts(json_fields *f, report_row *row) {
  const json_value *starts = fields_array(f, "starts");
  if (starts && (int64_t)starts->length != row->process_count)
    fields_refuse(f, "starts", "as many as the row has processes");
  PFL_TRY(f->status);
  const json_value *start = json_first(starts);
  for (int64_t i = 0; i < row->process_count; i++, start = start->next) {
    const char *word = json_string(start);
    if (!word || strlen(word) >= MACHINE_START_SIZE)
      PFL_RAISE(f->error, INVALID_ARGUMENT,
                "rows: starts must be strings of less than %d bytes",
                MACHINE_START_SIZE);
    strcpy(row->starts[i], word);
  }
  return PFL_STATUS_OK;
}

static bool make_room(report_row *row, int side_count) {
  size_t count = (size_t)row->process_count;
  row->limit_processes = calloc(count, sizeof(bench_samples));
  row->sides = calloc((size_t)side_count, sizeof *row->sides);
  if (!row->limit_processes || !row->sides) return false;
  for (int i = 0; i < side_count; i++)
    if (!(row->sides[i].processes = calloc(count, sizeof(bench_samples))))
      return false;
  return true;
}

static pfl_status read_limit(json_fields *row_fields, report_row *row,
                             pfl_error *error) {
  json_fields f =
      fields_of(json_object_get(row_fields->object, "limit"), "limit", error);
  row->limit = report_limit_named(fields_word(&f, "name"));
  if (row->limit == BENCH_LIMIT_COUNT) {
    row->limit = BENCH_LIMIT_FMA;
    fields_refuse(&f, "name", "f32_fma, bf16_dot or memory_read");
  }
  row->limit_work = fields_number(&f, "work", 0, 1e30);
  PFL_TRY(f.status);
  return read_processes(&f, row->limit_processes, row->process_count);
}

static pfl_status fill_row(const json_value *value, int side_count,
                           report_row *row, pfl_error *error) {
  json_fields f = fields_of(value, "rows", error);
  PFL_TRY(f.status);
  PFL_TRY(report_read_workload(json_object_get(value, "cell"), &row->workload,
                               error));
  row->threads = (int32_t)fields_int64(&f, "threads", 1, BASE_THREADS_MAX);
  fields_string(&f, "checked", row->sample, sizeof row->sample);
  row->seconds = fields_number(&f, "seconds", 0, SECONDS_MAX);
  row->stolen = fields_number(&f, "stolen_seconds", 0, SECONDS_MAX);
  row->work = bench_workload_work(&row->workload);
  PFL_TRY(read_ids(&f, row));
  PFL_TRY(read_starts(&f, row));
  if (!make_room(row, side_count))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a row");
  PFL_TRY(read_limit(&f, row, error));
  const json_value *sides = fields_array(&f, "sides");
  if (sides && (int)sides->length != side_count)
    fields_refuse(&f, "sides", "as many in each row");
  PFL_TRY(f.status);
  const json_value *side = json_first(sides);
  for (int i = 0; i < side_count; i++, side = side->next)
    PFL_TRY(read_side(side, row->process_count, &row->sides[i], error));
  return PFL_STATUS_OK;
}

pfl_status report_read_row(const json_value *value, int side_count,
                           report_row *out_row, pfl_error *error) {
  *out_row = (report_row){0};
  pfl_status status = fill_row(value, side_count, out_row, error);
  if (status != PFL_STATUS_OK) report_row_release(out_row, side_count);
  return status;
}

/* ---- The whole --------------------------------------------------------- */

static pfl_status read_machine(const json_value *value, bench_machine *m,
                               pfl_error *error) {
  json_fields f = fields_of(value, "machine", error);
  fields_string(&f, "cpu", m->cpu, sizeof m->cpu);
  fields_string(&f, "isa", m->isa, sizeof m->isa);
  fields_string(&f, "kernel", m->kernel, sizeof m->kernel);
  fields_string(&f, "governor", m->governor, sizeof m->governor);
  fields_string(&f, "huge_pages", m->huge_pages, sizeof m->huge_pages);
  m->cpus = fields_int64(&f, "cpus", 1, SIZE_MAX_READ);
  m->page_bytes = fields_int64(&f, "page_bytes", 1, INT64_MAX);
  m->memory_bytes = fields_int64(&f, "memory_bytes", 0, INT64_MAX);
  m->cache_bytes = fields_int64(&f, "cache_bytes", 0, INT64_MAX);
  m->clock_resolution = fields_number(&f, "clock_resolution_seconds", 0, 1);
  return f.status;
}

static pfl_status read_effort(const json_value *value, bench_effort *e,
                              pfl_error *error) {
  json_fields f = fields_of(value, "effort", error);
  e->min_runs = fields_int64(&f, "min_runs", 0, SIZE_MAX_READ);
  e->min_seconds = fields_number(&f, "min_seconds", 0, SECONDS_MAX);
  e->max_seconds = fields_number(&f, "max_seconds", 0, SECONDS_MAX);
  e->warm_seconds = fields_number(&f, "warm_seconds", 0, SECONDS_MAX);
  e->block_seconds = fields_number(&f, "block_seconds", 0, SECONDS_MAX);
  e->half_width = fields_number(&f, "half_width", 0, 1);
  e->ring_bytes = fields_int64(&f, "ring_bytes", 0, INT64_MAX);
  e->smoke = fields_bool(&f, "smoke");
  e->least_seconds = fields_number(&f, "least_seconds", 0, SECONDS_MAX);
  return f.status;
}

static pfl_status read_manifest(const json_value *value, report_manifest *m,
                                pfl_error *error) {
  json_fields f = fields_of(value, "manifest", error);
  fields_string(&f, "version", m->version, sizeof m->version);
  fields_string(&f, "commit", m->commit, sizeof m->commit);
  fields_string(&f, "compiler", m->compiler, sizeof m->compiler);
  fields_string(&f, "compiler_flags", m->compiler_flags,
                sizeof m->compiler_flags);
  fields_string(&f, "suite", m->suite, sizeof m->suite);
  fields_string(&f, "isa", m->isa, sizeof m->isa);
  fields_string(&f, "start", m->start, sizeof m->start);
  fields_string(&f, "end", m->end, sizeof m->end);
  m->seed = (uint64_t)fields_int64(&f, "seed", 0, INT64_MAX);
  m->processes =
      (int32_t)fields_int64(&f, "processes", 1, REPORT_PROCESSES_MAX);
  m->resumed = fields_int64(&f, "resumed", 0, SIZE_MAX_READ);
  m->dispatch_seconds = fields_number(&f, "dispatch_seconds", 0, SECONDS_MAX);
  const char *command = fields_word(&f, "command");
  PFL_TRY(f.status);
  if (*command && !(m->command = strdup(command)))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a report");
  PFL_TRY(read_effort(json_object_get(value, "effort"), &m->effort, error));
  return read_machine(json_object_get(value, "machine"), &m->machine, error);
}

pfl_status report_open_economy(const report_sources *sources,
                               bench_report *report, pfl_error *error) {
  bench_economy *economy = &report->economy;
  PFL_TRY(economy_open(sources->data, sources->prices, sources->plan, economy,
                       error));
  pfl_status status = PFL_STATUS_OK;
  for (int i = 0; i < sources->given_count && !status; i++)
    status = economy_give_price(economy, sources->given[i], error);
  if (status) economy_close(economy);
  return status;
}

static pfl_status read_economics(const json_value *value,
                                 const report_sources *sources,
                                 bench_report *report, pfl_error *error) {
  if (value && value->type == JSON_NULL) return PFL_STATUS_OK;
  PFL_TRY(report_open_economy(sources, report, error));
  return economy_read(value, &report->economy, error);
}

static pfl_status read_root(const json_value *root,
                            const report_sources *sources, bench_report *report,
                            pfl_error *error) {
  json_fields f = fields_of(root, "the report", error);
  PFL_TRY(f.status);
  json_fields schema =
      fields_of(json_object_get(root, "schema"), "schema", error);
  if (strcmp(fields_word(&schema, "name"), REPORT_SCHEMA))
    fields_refuse(&schema, "name", REPORT_SCHEMA);
  fields_int64(&schema, "version", REPORT_SCHEMA_VERSION,
               REPORT_SCHEMA_VERSION);
  PFL_TRY(schema.status);
  PFL_TRY(read_manifest(json_object_get(root, "manifest"), &report->manifest,
                        error));
  report->side_count = (int)fields_int64(&f, "side_count", 1, SIDES_MAX);
  const json_value *rows = fields_array(&f, "rows");
  PFL_TRY(f.status);
  for (const json_value *item = json_first(rows); item; item = item->next) {
    report_row row;
    PFL_TRY(report_read_row(item, report->side_count, &row, error));
    pfl_status status = report_add_row(report, &row, error);
    report_row_release(&row, report->side_count);
    PFL_TRY(status);
  }
  PFL_TRY(read_economics(json_object_get(root, "economics"), sources, report,
                         error));
  PFL_TRY(forecast_read(json_object_get(root, "forecast"), &report->forecast,
                        error));
  return report_finish(report, error);
}

pfl_status report_read_file(const char *path, json_document *out_document,
                            pfl_error *error) {
  static const pfl_allocator allocator = {0};
  base_file file;
  *out_document = (json_document){0};
  PFL_TRY(base_file_open(path, &file, error));
  pfl_status status = PFL_STATUS_OK;
  char *text = file.size <= FILE_MAX ? malloc((size_t)file.size + 1) : NULL;
  if (!text)
    status = base_error_set(error, PFL_STATUS_RESOURCE_EXHAUSTED,
                            "%s is too large: %lld bytes", path,
                            (long long)file.size);
  else
    status = base_file_read(&file, text, file.size, 0, error);
  if (status == PFL_STATUS_OK)
    status =
        json_parse(text, (size_t)file.size, &allocator, out_document, error);
  free(text);
  base_file_close(&file);
  return status;
}

/* Says of which file a message is. */
static pfl_status name_file(pfl_status status, const char *path,
                            pfl_error *error) {
  if (status == PFL_STATUS_OK || !error || strstr(error->message, path))
    return status;
  char words[PFL_MESSAGE_SIZE];
  snprintf(words, sizeof words, "%s", error->message);
  return base_error_set(error, status, "%.200s: %s", path, words);
}

pfl_status report_read(const char *path, const report_sources *sources,
                       bench_report *out_report, pfl_error *error) {
  json_document document;
  *out_report = (bench_report){0};
  pfl_status status = report_read_file(path, &document, error);
  if (status == PFL_STATUS_OK)
    status = read_root(document.root, sources, out_report, error);
  json_release(&document);
  if (status != PFL_STATUS_OK) report_release(out_report);
  return name_file(status, path, error);
}
