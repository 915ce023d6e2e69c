/* The economic part of a report as JSON. */
#include "bench/economy_json.h"

#include <math.h>
#include <string.h>

#include "bench/report.h"

/* ---- Parts ------------------------------------------------------------- */

static void write_evidence(json_writer *json, const char *key,
                           bench_evidence evidence) {
  json_write_string(json, key, (char[]){evidence_letter(evidence), 0});
}

static void write_price(json_writer *json, const char *key,
                        const catalog_price *price, int64_t today) {
  if (!price) {
    json_write_null(json, key);
    return;
  }
  json_begin_object(json, key);
  json_write_double(json, "usd_per_hour", price->usd_per_hour);
  json_write_string(json, "kind", catalog_kind_name(price->kind));
  json_write_string(json, "provider", price->provider);
  json_write_string(json, "sku", price->sku);
  json_write_string(json, "region", price->region);
  json_write_string(json, "zone", *price->zone ? price->zone : NULL);
  json_write_string(json, "as_of", price->as_of.text);
  json_write_bool(json, "stale", economics_is_stale(price, today));
  json_end(json);
}

void economy_write_estimate(json_writer *json, const char *key,
                            const char *device,
                            const bench_estimate *estimate) {
  const bench_estimate *e = estimate;
  json_begin_object(json, key);
  json_write_string(json, "device", device);
  json_write_string(json, "skipped", *e->reason ? e->reason : NULL);
  if (economy_estimated(e)) {
    write_evidence(json, "evidence", e->evidence);
    json_write_string(json, "how", e->how);
    json_write_string(json, "weakness", *e->weakness ? e->weakness : NULL);
    json_write_string(json, "bound", catalog_bound_name(e->bound));
    json_write_double(json, "bound_seconds", e->bound_seconds);
    report_json_quantity(json, "seconds", e->seconds);
  }
  json_end(json);
}

static void write_comparison(json_writer *json, const economics_comparison *c,
                             int64_t chips, bench_evidence a,
                             bench_evidence b) {
  json_write_string(json, "evidence",
                    (char[]){evidence_letter(a), '/', evidence_letter(b), 0});
  report_json_quantity(json, "throughput_ratio", c->ratio);
  json_write_double(json, "price_ratio", c->price_ratio);
  report_json_quantity(json, "advantage", c->advantage);
  report_json_quantity(json, "parity_usd_per_hour", c->parity);
  report_json_quantity(json, "parity_usd_per_chip_hour",
                       quantity_scale(c->parity, 1 / (double)chips));
  json_write_double(json, "bearable_loss", c->bearable_loss);
  json_write_string(json, "verdict", verdict_word(c->verdict));
  json_write_string(json, "because", c->because);
  json_write_string(json, "standing", verdict_standing(a, b));
}

/* ---- Cells ------------------------------------------------------------- */

static const double utilisations[] = {1, 0.5, 0.2};

static void write_cost(json_writer *json, const bench_economy *economy,
                       const economy_cell *cell, int device) {
  const catalog_price *price = economy_price(economy, device);
  bench_quantity rate = economy_tokens_per_second(cell, device);
  json_begin_object(json, NULL);
  json_write_string(json, "device", economy->devices[device].name);
  report_json_quantity(json, "attention_tokens_per_second", rate);
  if (price) {
    bench_quantity usd = economics_usd_per_million(rate, price->usd_per_hour);
    report_json_quantity(
        json, "attention_tokens_per_usd",
        economics_tokens_per_dollar(rate, price->usd_per_hour));
    json_begin_array(json, "usd_per_million_attention_tokens");
    for (size_t i = 0; i < sizeof utilisations / sizeof *utilisations; i++) {
      json_begin_object(json, NULL);
      json_write_double(json, "utilisation", utilisations[i]);
      report_json_quantity(json, "usd",
                           economics_at_utilisation(usd, utilisations[i]));
      json_end(json);
    }
    json_end(json);
  }
  json_end(json);
}

static void write_cell_comparisons(json_writer *json,
                                   const bench_economy *economy,
                                   const economy_cell *cell) {
  json_begin_array(json, "comparisons");
  for (int b = 1; b < economy->device_count; b++) {
    economics_comparison c;
    if (!economy_compare(economy, cell, b, &c)) continue;
    json_begin_object(json, NULL);
    json_write_string(json, "a", economy->devices[0].name);
    json_write_string(json, "b", economy->devices[b].name);
    json_write_bool(json, "primary", economy_is_primary(economy, cell, b));
    write_comparison(json, &c, economy->devices[0].chips,
                     cell->estimates[0].evidence, cell->estimates[b].evidence);
    json_end(json);
  }
  json_end(json);
}

static void write_cell(json_writer *json, const bench_economy *economy,
                       const economy_cell *cell) {
  json_begin_object(json, NULL);
  report_json_workload(json, &cell->workload);
  json_begin_array(json, "estimates");
  for (int i = 0; i < economy->device_count; i++)
    economy_write_estimate(json, NULL, economy->devices[i].name,
                           &cell->estimates[i]);
  json_end(json);
  json_begin_array(json, "costs");
  for (int i = 0; i < economy->device_count; i++)
    if (economy_estimated(&cell->estimates[i]))
      write_cost(json, economy, cell, i);
  json_end(json);
  write_cell_comparisons(json, economy, cell);
  json_end(json);
}

/* ---- The primary comparison, everywhere -------------------------------- */

static void write_place(json_writer *json, const economics_place *place,
                        int64_t today) {
  json_begin_object(json, NULL);
  json_write_string(json, "kind", catalog_kind_name(place->a->kind));
  json_write_bool(json, "same_region", place->same_region);
  write_price(json, "price_a", place->a, today);
  write_price(json, "price_b", place->b, today);
  report_json_quantity(json, "advantage", place->comparison.advantage);
  json_write_string(json, "verdict", verdict_word(place->comparison.verdict));
  json_end(json);
}

static pfl_status write_matrix(json_writer *json, const bench_economy *economy,
                               bench_quantity ratio, int b, int64_t today,
                               pfl_error *error) {
  const economy_device *d = economy->devices;
  economics_matrix m;
  PFL_TRY(economics_matrix_create(&economy->catalog,
                                  (economics_unit){d[0].chip, d[0].chips},
                                  (economics_unit){d[b].chip, d[b].chips},
                                  ratio, economy->plan.delta, &m, error));
  json_begin_object(json, "matrix");
  json_write_string(json, "a", d[0].name);
  json_write_string(json, "b", d[b].name);
  json_write_int64(json, "places", m.count);
  json_write_int64(json, "better", m.better);
  json_write_double(json, "least", m.least);
  json_write_double(json, "median", m.median);
  json_write_double(json, "most", m.most);
  json_begin_array(json, "each");
  for (int64_t i = 0; i < m.count; i++) write_place(json, &m.places[i], today);
  json_end(json);
  json_end(json);
  economics_matrix_release(&m);
  return PFL_STATUS_OK;
}

static void write_sensitivity(json_writer *json,
                              const economics_comparison *c) {
  json_begin_array(json, "sensitivity");
  for (int a = 0; a < ECONOMICS_STEPS; a++)
    for (int b = 0; b < ECONOMICS_STEPS; b++) {
      json_begin_object(json, NULL);
      json_write_double(json, "price_a_times", economics_steps[a]);
      json_write_double(json, "price_b_times", economics_steps[b]);
      report_json_quantity(
          json, "advantage",
          economics_sensitivity(c, economics_steps[a], economics_steps[b]));
      json_end(json);
    }
  json_end(json);
}

static pfl_status write_primary(json_writer *json, const bench_economy *economy,
                                int64_t today, pfl_error *error) {
  const economy_cell *cell = economy_primary_cell(economy);
  int b = economy_primary_device(economy);
  economics_comparison c;
  if (!cell || !b || !economy_compare(economy, cell, b, &c)) {
    json_write_null(json, "primary");
    return PFL_STATUS_OK;
  }
  json_begin_object(json, "primary");
  PFL_TRY(write_matrix(json, economy, economics_decisive(&c), b, today, error));
  write_sensitivity(json, &c);
  json_end(json);
  return PFL_STATUS_OK;
}

/* ---- What others published --------------------------------------------- */

static void write_pair(json_writer *json, const bench_economy *economy,
                       const catalog_result *a, const catalog_result *b) {
  economics_comparison c;
  if (!economy_compare_published(economy, a, b, &c)) return;
  const catalog_result *sides[] = {a, b};
  json_begin_object(json, NULL);
  json_write_string(json, "model", a->model);
  json_write_string(json, "scenario", a->scenario);
  json_write_string(json, "metric", a->metric);
  for (int i = 0; i < 2; i++) {
    json_begin_object(json, i ? "b" : "a");
    json_write_string(json, "chip", sides[i]->chip);
    json_write_int64(json, "chips", sides[i]->chips);
    json_write_double(json, "value", sides[i]->value);
    json_write_string(json, "software", sides[i]->software);
    json_write_string(json, "source", sides[i]->source);
    json_end(json);
  }
  write_comparison(json, &c, a->chips, BENCH_EVIDENCE_PUBLISHED,
                   BENCH_EVIDENCE_PUBLISHED);
  json_end(json);
}

static void write_published(json_writer *json, const bench_economy *economy) {
  const catalog_result *a, *b;
  json_begin_array(json, "published");
  for (int64_t n = 0; economics_pair_get(&economy->catalog, n, &a, &b); n++)
    write_pair(json, economy, a, b);
  json_end(json);
}

/* ---- The whole --------------------------------------------------------- */

static void write_devices(json_writer *json, const bench_economy *economy,
                          int64_t today) {
  json_begin_array(json, "devices");
  for (int i = 0; i < economy->device_count; i++) {
    const economy_device *d = &economy->devices[i];
    json_begin_object(json, NULL);
    json_write_string(json, "name", d->name);
    json_write_string(json, "chip", d->chip);
    json_write_int64(json, "chips", d->chips);
    json_write_bool(json, "measured", d->measured);
    write_price(json, "price", economy_price(economy, i), today);
    json_end(json);
  }
  json_end(json);
}

static void write_given(json_writer *json, const bench_economy *economy) {
  json_begin_array(json, "given_prices");
  for (int i = 0; i < economy->given_count; i++) {
    const economy_given *g = &economy->given[i];
    json_begin_object(json, NULL);
    json_write_string(json, "device", g->device);
    json_write_double(json, "usd_per_hour", g->price.usd_per_hour);
    json_write_string(json, "as_of", g->as_of);
    json_write_string(json, "source", g->source);
    json_end(json);
  }
  json_end(json);
}

static void write_sources(json_writer *json, const bench_economy *economy) {
  const catalog_model_error *e = &economy->catalog.model_error;
  json_begin_array(json, "tables");
  for (int i = 0; i < CATALOG_FILES; i++) {
    json_begin_object(json, NULL);
    json_write_string(json, "file", catalog_file_name(i));
    json_write_string(json, "sha256", economy->catalog.tables[i].hash);
    json_end(json);
  }
  json_end(json);
  json_begin_object(json, "plan");
  plan_write(&economy->plan, json);
  json_end(json);
  json_begin_object(json, "model_error");
  json_write_int64(json, "anchors", e->anchors);
  json_write_double(json, "median", e->median);
  json_write_double(json, "worst", e->worst);
  json_end(json);
}

pfl_status economy_write(json_writer *json, const bench_economy *economy,
                         int64_t today, pfl_error *error) {
  if (!economy->device_count) {
    json_write_null(json, "economics");
    return PFL_STATUS_OK;
  }
  json_begin_object(json, "economics");
  json_write_string(json, "compiler",
                    *economy->compiler ? economy->compiler : NULL);
  write_given(json, economy);
  write_devices(json, economy, today);
  json_begin_array(json, "cells");
  for (int64_t i = 0; i < economy->cell_count; i++)
    write_cell(json, economy, &economy->cells[i]);
  json_end(json);
  PFL_TRY(write_primary(json, economy, today, error));
  write_published(json, economy);
  write_sources(json, economy);
  json_end(json);
  return PFL_STATUS_OK;
}
