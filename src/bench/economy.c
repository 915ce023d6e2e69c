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
  free(economy->given);
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

/* What is known of the devices from `first` on. */
static void forget(economy_cell *cell, int first) {
  for (int i = first; i < ECONOMY_DEVICES_MAX; i++) {
    cell->estimates[i] = (bench_estimate){0};
    snprintf(cell->estimates[i].reason, sizeof cell->estimates[i].reason,
             "not estimated");
  }
}

void economy_drop_devices(bench_economy *economy, int first) {
  for (int64_t i = 0; i < economy->cell_count; i++)
    forget(&economy->cells[i], first);
  economy->device_count = first;
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
  forget(cell, 0);
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
  for (int i = 0; i < economy->given_count; i++)
    if (!strcmp(economy->given[i].device, d->name))
      return &economy->given[i].price;
  return price_of(economy, d->chip, d->chips);
}

static economy_given *find_given(bench_economy *economy, const char *device) {
  for (int i = 0; i < economy->given_count; i++)
    if (!strcmp(economy->given[i].device, device)) return &economy->given[i];
  if (economy->given_count == ECONOMY_GIVEN_MAX) return NULL;
  return &economy->given[economy->given_count++];
}

pfl_status economy_set_price(bench_economy *economy, const char *device,
                             double usd, const char *as_of, const char *source,
                             pfl_error *error) {
  if (!(usd > 0 && usd < 1e9))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the price of %.40s is %g: must be above 0", device, usd);
  if (catalog_day(as_of) == INT64_MIN || strlen(as_of) != 10)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the price of %.40s is of %.40s: must be a day, YYYY-MM-DD",
              device, as_of);
  if (!*device || strlen(device) >= PROVIDER_NAME_SIZE || !*source ||
      strlen(source) >= ECONOMY_SOURCE_SIZE)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a price needs a device, of less than %d bytes, and a source, of "
              "less than %d",
              PROVIDER_NAME_SIZE, ECONOMY_SOURCE_SIZE);
  if (!economy->given)
    economy->given = calloc(ECONOMY_GIVEN_MAX, sizeof *economy->given);
  economy_given *g = economy->given ? find_given(economy, device) : NULL;
  if (!g)
    PFL_RAISE(error, INVALID_ARGUMENT, "more than %d prices are given",
              ECONOMY_GIVEN_MAX);
  snprintf(g->device, sizeof g->device, "%s", device);
  snprintf(g->as_of, sizeof g->as_of, "%s", as_of);
  snprintf(g->source, sizeof g->source, "%s", source);
  g->price = (catalog_price){.provider = "given",
                             .sku = "as the user says",
                             .chip = g->device,
                             .chips = 1,
                             .usd_per_hour = usd,
                             .kind = economy->plan.kind,
                             .region = economy->plan.region,
                             .area = "",
                             .zone = "",
                             .as_of = {g->as_of, catalog_day(as_of)},
                             .retrieved = {g->as_of, catalog_day(as_of)},
                             .source = g->source,
                             .note = ""};
  return PFL_STATUS_OK;
}

pfl_status economy_give_price(bench_economy *economy, const char *text,
                              pfl_error *error) {
  char device[PROVIDER_NAME_SIZE], as_of[16];
  int device_bytes = (int)strcspn(text, "="), day_bytes = 0;
  char *end = NULL;
  double usd = 0;
  if (text[device_bytes] && device_bytes < PROVIDER_NAME_SIZE)
    usd = strtod(text + device_bytes + 1, &end);
  if (end && *end == ',') day_bytes = (int)strcspn(++end, ",");
  if (!day_bytes || day_bytes > 15 || !end[day_bytes])
    PFL_RAISE(error, INVALID_ARGUMENT,
              "a price is '%.80s': must be DEVICE=USD,DAY,SOURCE", text);
  snprintf(device, sizeof device, "%.*s", device_bytes, text);
  snprintf(as_of, sizeof as_of, "%.*s", day_bytes, end);
  return economy_set_price(economy, device, usd, as_of, end + day_bytes + 1,
                           error);
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

const char *economy_weakness(const bench_estimate *a, const bench_estimate *b) {
  if (*a->weakness) return a->weakness;
  return *b->weakness ? b->weakness : NULL;
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
  out_comparison->because = economy_weakness(a_side, b_side);
  if (out_comparison->because) out_comparison->verdict = VERDICT_INCONCLUSIVE;
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
