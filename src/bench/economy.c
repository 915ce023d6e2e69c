/* What other devices would take, and what that costs. */
#include "bench/economy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

pfl_status economy_open(const char *data, const char *prices, const char *plan,
                        bench_economy *out_economy, pfl_error *error) {
  *out_economy = (bench_economy){0};
  PFL_TRY(catalog_open(data, prices, &out_economy->catalog, error));
  pfl_status status = plan_read(plan, &out_economy->plan, error);
  if (status != PFL_STATUS_OK) economy_close(out_economy);
  return status;
}

void economy_close(bench_economy *economy) {
  for (int64_t i = 0; i < economy->cell_count; i++)
    free(economy->cells[i].estimates);
  free(economy->cells);
  catalog_close(&economy->catalog);
  *economy = (bench_economy){0};
}

/* ---- Cells ------------------------------------------------------------- */

economy_cell *economy_find_cell(const bench_economy *economy,
                                const bench_workload *workload) {
  for (int64_t i = 0; i < economy->cell_count; i++)
    if (bench_workload_equal(&economy->cells[i].workload, workload))
      return &economy->cells[i];
  return NULL;
}

pfl_status economy_add_cell(bench_economy *economy,
                            const bench_workload *workload,
                            economy_cell **out_cell, pfl_error *error) {
  *out_cell = economy_find_cell(economy, workload);
  if (*out_cell) return PFL_STATUS_OK;
  economy_cell *cells =
      realloc(economy->cells,
              (size_t)(economy->cell_count + 1) * sizeof *economy->cells);
  if (!cells) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cell");
  economy->cells = cells;
  economy_cell *cell = &cells[economy->cell_count];
  *cell = (economy_cell){*workload,
                         calloc(ECONOMY_DEVICES_MAX, sizeof *cell->estimates)};
  if (!cell->estimates)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cell");
  for (int i = 0; i < ECONOMY_DEVICES_MAX; i++)
    snprintf(cell->estimates[i].reason, sizeof cell->estimates[i].reason,
             "not estimated");
  economy->cell_count++;
  *out_cell = cell;
  return PFL_STATUS_OK;
}

bool economy_estimated(const bench_estimate *estimate) {
  return !*estimate->reason;
}

/* ---- Prices ------------------------------------------------------------ */

const char *economy_area(const bench_economy *economy) {
  for (int64_t i = 0; i < economy->catalog.price_count; i++)
    if (!strcmp(economy->catalog.prices[i].region, economy->plan.region))
      return economy->catalog.prices[i].area;
  return NULL;
}

static const catalog_price *price_of(const bench_economy *economy,
                                     const char *chip, int64_t chips) {
  const bench_plan *plan = &economy->plan;
  const catalog_price *price = catalog_price_find(
      &economy->catalog, chip, chips, plan->kind, plan->region, NULL);
  const char *area = economy_area(economy);
  if (price || !area) return price;
  return catalog_price_find(&economy->catalog, chip, chips, plan->kind, NULL,
                            area);
}

const catalog_price *economy_price(const bench_economy *economy, int device) {
  const economy_device *d = &economy->devices[device];
  return price_of(economy, d->chip, d->chips);
}

const catalog_price *economy_stale_get(const bench_economy *economy,
                                       int64_t today, int n) {
  for (int i = 0; i < economy->device_count; i++) {
    const catalog_price *price = economy_price(economy, i);
    if (price && economics_is_stale(price, today) && n-- == 0) return price;
  }
  return NULL;
}

/* ---- Comparisons ------------------------------------------------------- */

bench_quantity economy_tokens_per_second(const economy_cell *cell, int device) {
  double tokens =
      bench_workload_tokens(&cell->workload) / (double)cell->workload.layers;
  return quantity_scale(quantity_invert(cell->estimates[device].seconds),
                        tokens);
}

bool economy_compare(const bench_economy *economy, const economy_cell *cell,
                     int b, economics_comparison *out_comparison) {
  const bench_estimate *a_side = &cell->estimates[0];
  const bench_estimate *b_side = &cell->estimates[b];
  const catalog_price *price_a = economy_price(economy, 0);
  const catalog_price *price_b = economy_price(economy, b);
  if (!economy_estimated(a_side) || !economy_estimated(b_side) || !price_a ||
      !price_b)
    return false;
  *out_comparison = economics_compare(
      quantity_divide(b_side->seconds, a_side->seconds), price_a->usd_per_hour,
      price_b->usd_per_hour, economy->plan.delta);
  return true;
}

const economy_cell *economy_primary_cell(const bench_economy *economy) {
  char name[BENCH_NAME_SIZE];
  for (int64_t i = 0; i < economy->cell_count; i++)
    if (!strcmp(bench_workload_name(&economy->cells[i].workload, name),
                economy->plan.cell))
      return &economy->cells[i];
  return NULL;
}

int economy_primary_device(const bench_economy *economy) {
  if (!economy->device_count ||
      strcmp(economy->devices[0].name, economy->plan.a))
    return 0;
  for (int i = 1; i < economy->device_count; i++)
    if (!strcmp(economy->devices[i].name, economy->plan.b)) return i;
  return 0;
}

bool economy_is_primary(const bench_economy *economy, const economy_cell *cell,
                        int b) {
  return b && b == economy_primary_device(economy) &&
         cell == economy_primary_cell(economy);
}

bool economy_compare_published(const bench_economy *economy,
                               const catalog_result *a, const catalog_result *b,
                               economics_comparison *out_comparison) {
  const catalog_price *price_a = price_of(economy, a->chip, a->chips);
  const catalog_price *price_b = price_of(economy, b->chip, b->chips);
  if (!price_a || !price_b) return false;
  *out_comparison = economics_compare(
      quantity_divide(quantity_point(a->value), quantity_point(b->value)),
      price_a->usd_per_hour, price_b->usd_per_hour, economy->plan.delta);
  return true;
}
