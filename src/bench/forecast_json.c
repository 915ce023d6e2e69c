/* The forecast as JSON, written and read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fields.h"
#include "bench/report.h"

/* ---- Writing ------------------------------------------------------------- */

static void write_numbers(json_writer *json, const bench_forecast *f,
                          const forecast_cell *cell,
                          const forecast_side *side) {
  double seconds = predict_seconds(side->cycles);
  json_write_double(json, "cycles", side->cycles);
  json_write_double(json, "kernel_cycles", side->kernel_cycles);
  json_write_int64(json, "warnings", side->warnings);
  report_json_quantity(json, "seconds",
                       quantity_widen(quantity_point(seconds), f->model_error));
  json_write_double(json, "kernel_seconds",
                    predict_seconds(side->kernel_cycles));
  json_write_double(json, "useful_fraction",
                    forecast_utilisation(cell, side->cycles));
  json_write_double(json, "kernel_useful_fraction",
                    forecast_utilisation(cell, side->kernel_cycles));
  json_write_double(json, "bound_fraction", cell->bound_seconds / seconds);
}

static void write_side(json_writer *json, const bench_forecast *f,
                       const forecast_cell *cell, const forecast_side *side) {
  json_begin_object(json, NULL);
  json_write_string(json, "name", side->title);
  json_write_bool(json, "ours", side == cell->sides);
  json_write_string(json, "evidence",
                    (char[]){evidence_letter(BENCH_EVIDENCE_PREDICTED), 0});
  json_write_string(json, "skipped", *side->reason ? side->reason : NULL);
  if (forecast_side_there(side)) write_numbers(json, f, cell, side);
  json_end(json);
}

static void write_cell(json_writer *json, const bench_forecast *f,
                       const forecast_cell *cell) {
  json_begin_object(json, NULL);
  report_json_workload(json, &cell->workload);
  json_write_int64(json, "page", cell->workload.page);
  json_write_int64(json, "chips", cell->chips);
  json_write_string(json, "bound", catalog_bound_name(cell->bound));
  json_write_double(json, "bound_seconds", cell->bound_seconds);
  json_begin_array(json, "sides");
  for (int i = 0; i < cell->side_count; i++)
    write_side(json, f, cell, &cell->sides[i]);
  json_end(json);
  json_end(json);
}

void forecast_write(json_writer *json, const bench_forecast *f) {
  if (!f->cell_count) {
    json_write_null(json, "forecast");
    return;
  }
  json_begin_object(json, "forecast");
  json_write_string(json, "compiler", *f->compiler ? f->compiler : NULL);
  json_write_string(json, "peers", *f->peers ? f->peers : NULL);
  json_write_string(json, "peers_skipped",
                    *f->peers_reason ? f->peers_reason : NULL);
  json_write_double(json, "model_error", f->model_error);
  json_begin_array(json, "cells");
  for (int64_t i = 0; i < f->cell_count; i++) write_cell(json, f, &f->cells[i]);
  json_end(json);
  json_end(json);
}

/* ---- Reading ------------------------------------------------------------- */

enum { CHIPS_MOST = 4, PAGE_MOST = 1 << 20 };
#define CYCLES_MOST 1e15

static pfl_status read_side(const json_value *value, forecast_side *side,
                            pfl_error *error) {
  json_fields f = fields_of(value, "sides of a forecast", error);
  *side = (forecast_side){.cycles = 0};
  fields_string(&f, "name", side->title, sizeof side->title);
  fields_string(&f, "skipped", side->reason, sizeof side->reason);
  if (!forecast_side_there(side)) return f.status;
  side->cycles = fields_number(&f, "cycles", 1, CYCLES_MOST);
  side->kernel_cycles = fields_number(&f, "kernel_cycles", 1, CYCLES_MOST);
  side->warnings = fields_int64(&f, "warnings", 0, INT64_MAX);
  return f.status;
}

static pfl_status read_cell(const json_value *value, forecast_cell *cell,
                            pfl_error *error) {
  json_fields f = fields_of(value, "cells of the forecast", error);
  PFL_TRY(f.status);
  PFL_TRY(report_read_workload(json_object_get(value, "cell"), &cell->workload,
                               error));
  cell->workload.page = fields_int64(&f, "page", 0, PAGE_MOST);
  cell->chips = (int)fields_int64(&f, "chips", 1, CHIPS_MOST);
  const char *bound = fields_word(&f, "bound");
  cell->bound = BENCH_BOUND_COMPUTE;
  if (!f.status && !strcmp(bound, catalog_bound_name(BENCH_BOUND_MEMORY)))
    cell->bound = BENCH_BOUND_MEMORY;
  cell->bound_seconds = fields_number(&f, "bound_seconds", 0, CYCLES_MOST);
  const json_value *sides = fields_array(&f, "sides");
  PFL_TRY(f.status);
  for (const json_value *item = json_first(sides); item; item = item->next) {
    if (cell->side_count == FORECAST_SIDES_MAX) {
      fields_refuse(&f, "sides", "four at most");
      return f.status;
    }
    PFL_TRY(read_side(item, &cell->sides[cell->side_count++], error));
  }
  if (!cell->side_count) fields_refuse(&f, "sides", "one at least");
  return f.status;
}

static pfl_status read_all(const json_value *value, bench_forecast *out,
                           pfl_error *error) {
  json_fields f = fields_of(value, "forecast", error);
  fields_string(&f, "compiler", out->compiler, sizeof out->compiler);
  fields_string(&f, "peers", out->peers, sizeof out->peers);
  fields_string(&f, "peers_skipped", out->peers_reason,
                sizeof out->peers_reason);
  out->model_error = fields_number(&f, "model_error", 0, 1e6);
  const json_value *cells = fields_array(&f, "cells");
  PFL_TRY(f.status);
  for (const json_value *item = json_first(cells); item; item = item->next) {
    forecast_cell *cell = forecast_add_cell(out);
    if (!cell) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cell");
    PFL_TRY(read_cell(item, cell, error));
  }
  return PFL_STATUS_OK;
}

pfl_status forecast_read(const json_value *value, bench_forecast *out_forecast,
                         pfl_error *error) {
  *out_forecast = (bench_forecast){0};
  if (!value || value->type == JSON_NULL) return PFL_STATUS_OK;
  pfl_status status = read_all(value, out_forecast, error);
  if (status) forecast_release(out_forecast);
  return status;
}
