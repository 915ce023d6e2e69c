/* The economic part of a report read back: devices and estimates. */
#include <math.h>
#include <string.h>

#include "bench/economy_json.h"
#include "bench/fields.h"
#include "bench/report.h"

static const double SECONDS_MAX = 1e9;

static bench_quantity read_quantity(json_fields *f, const char *key) {
  json_fields q = fields_of(json_object_get(f->object, key), key, f->error);
  bench_quantity quantity = {
      .value = fields_number(&q, "value", 0, SECONDS_MAX),
      .low = fields_number(&q, "low", 0, SECONDS_MAX),
      .high = fields_number(&q, "high", 0, SECONDS_MAX),
      .low90 = fields_number(&q, "low90", 0, SECONDS_MAX),
      .high90 = fields_number(&q, "high90", 0, SECONDS_MAX),
  };
  bool none = isnan(quantity.low) && isnan(quantity.high) &&
              isnan(quantity.low90) && isnan(quantity.high90);
  bool ordered = quantity.low > 0 && quantity.low <= quantity.low90 &&
                 quantity.low90 <= quantity.value &&
                 quantity.value <= quantity.high90 &&
                 quantity.high90 <= quantity.high;
  if (!(quantity.value > 0) || !(none || ordered))
    fields_refuse(&q, "value", "above 0 and within its bounds");
  if (f->status == PFL_STATUS_OK) f->status = q.status;
  return quantity;
}

static bench_bound read_bound(json_fields *f) {
  const char *name = fields_word(f, "bound");
  for (int i = 0; i < BENCH_BOUND_COUNT; i++)
    if (!strcmp(catalog_bound_name((bench_bound)i), name))
      return (bench_bound)i;
  fields_refuse(f, "bound", "compute or memory");
  return BENCH_BOUND_COMPUTE;
}

pfl_status economy_read_estimate(const json_value *value,
                                 const char **out_device,
                                 bench_estimate *out_estimate,
                                 pfl_error *error) {
  json_fields f = fields_of(value, "estimates", error);
  bench_estimate *e = out_estimate;
  *e = (bench_estimate){.evidence = BENCH_EVIDENCE_ROOFLINE};
  *out_device = fields_word(&f, "device");
  fields_string(&f, "skipped", e->reason, sizeof e->reason);
  PFL_TRY(f.status);
  if (*e->reason) return PFL_STATUS_OK;
  const char *letter = fields_word(&f, "evidence");
  fields_string(&f, "how", e->how, sizeof e->how);
  fields_string(&f, "weakness", e->weakness, sizeof e->weakness);
  e->evidence = evidence_find(*letter);
  if (!*letter || letter[1] || e->evidence == BENCH_EVIDENCE_COUNT) {
    e->evidence = BENCH_EVIDENCE_ROOFLINE;
    fields_refuse(&f, "evidence", "A, B, C or D");
  }
  e->bound = read_bound(&f);
  e->bound_seconds = fields_number(&f, "bound_seconds", 0, SECONDS_MAX);
  e->seconds = read_quantity(&f, "seconds");
  return f.status;
}

static int find_device(const bench_economy *economy, const char *name) {
  for (int i = 0; i < economy->device_count; i++)
    if (!strcmp(economy->devices[i].name, name)) return i;
  return -1;
}

static pfl_status read_device(const json_value *value, bench_economy *economy,
                              pfl_error *error) {
  json_fields f = fields_of(value, "devices", error);
  if (f.status == PFL_STATUS_OK && economy->device_count == ECONOMY_DEVICES_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "economics: more than %d devices",
              ECONOMY_DEVICES_MAX);
  economy_device *d = &economy->devices[economy->device_count];
  fields_string(&f, "name", d->name, sizeof d->name);
  fields_string(&f, "chip", d->chip, sizeof d->chip);
  d->chips = fields_int64(&f, "chips", 1, 1000000);
  d->measured = fields_bool(&f, "measured");
  PFL_TRY(f.status);
  if (find_device(economy, d->name) >= 0 ||
      (!d->measured && !catalog_chip_find(&economy->catalog, d->chip)))
    fields_refuse(&f, "chip", "in hardware.csv, and its name there once");
  economy->device_count++;
  return f.status;
}

static pfl_status take_estimate(const json_value *value,
                                const bench_economy *economy,
                                economy_cell *cell, pfl_error *error) {
  const char *device;
  bench_estimate estimate;
  PFL_TRY(economy_read_estimate(value, &device, &estimate, error));
  int which = find_device(economy, device);
  if (which < 0)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "estimates: device is none of the devices");
  cell->estimates[which] = estimate;
  return PFL_STATUS_OK;
}

pfl_status economy_read_line(const json_value *value, bench_economy *economy,
                             pfl_error *error) {
  bench_workload workload;
  economy_cell *cell;
  PFL_TRY(
      report_read_workload(json_object_get(value, "cell"), &workload, error));
  PFL_TRY(economy_add_cell(economy, &workload, &cell, error));
  return take_estimate(json_object_get(value, "estimate"), economy, cell,
                       error);
}

/* A price that was given then; what is given now stays. */
static pfl_status read_given(const json_value *value, bench_economy *economy,
                             pfl_error *error) {
  json_fields f = fields_of(value, "given_prices", error);
  const char *device = fields_word(&f, "device");
  double usd = fields_number(&f, "usd_per_hour", 0, 1e9);
  const char *as_of = fields_word(&f, "as_of");
  const char *source = fields_word(&f, "source");
  PFL_TRY(f.status);
  for (int i = 0; i < economy->given_count; i++)
    if (!strcmp(economy->given[i].device, device)) return PFL_STATUS_OK;
  return economy_set_price(economy, device, usd, as_of, source, error);
}

static pfl_status read_cell(const json_value *value, bench_economy *economy,
                            pfl_error *error) {
  json_fields f = fields_of(value, "cells", error);
  const json_value *estimates = fields_array(&f, "estimates");
  bench_workload workload;
  economy_cell *cell;
  PFL_TRY(f.status);
  PFL_TRY(
      report_read_workload(json_object_get(value, "cell"), &workload, error));
  PFL_TRY(economy_add_cell(economy, &workload, &cell, error));
  for (const json_value *item = json_first(estimates); item; item = item->next)
    PFL_TRY(take_estimate(item, economy, cell, error));
  return PFL_STATUS_OK;
}

pfl_status economy_read(const json_value *value, bench_economy *economy,
                        pfl_error *error) {
  if (value && value->type == JSON_NULL) return PFL_STATUS_OK;
  json_fields f = fields_of(value, "economics", error);
  fields_string(&f, "compiler", economy->compiler, sizeof economy->compiler);
  const json_value *devices = fields_array(&f, "devices");
  const json_value *cells = fields_array(&f, "cells");
  const json_value *given = fields_array(&f, "given_prices");
  PFL_TRY(f.status);
  for (const json_value *item = json_first(given); item; item = item->next)
    PFL_TRY(read_given(item, economy, error));
  for (const json_value *item = json_first(devices); item; item = item->next)
    PFL_TRY(read_device(item, economy, error));
  for (const json_value *item = json_first(cells); item; item = item->next)
    PFL_TRY(read_cell(item, economy, error));
  return PFL_STATUS_OK;
}
