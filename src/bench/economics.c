/* Tokens per second per dollar. */
#include "bench/economics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/statistics.h"

bench_quantity economics_tokens_per_dollar(bench_quantity tokens_per_second,
                                           double usd_per_hour) {
  return quantity_scale(tokens_per_second, 3600 / usd_per_hour);
}

bench_quantity economics_usd_per_million(bench_quantity tokens_per_second,
                                         double usd_per_hour) {
  return quantity_scale(quantity_invert(tokens_per_second),
                        1e6 * usd_per_hour / 3600);
}

bench_quantity economics_at_utilisation(bench_quantity usd_per_million,
                                        double utilisation) {
  return quantity_scale(usd_per_million, 1 / utilisation);
}

double economics_spot_effective(double usd_per_hour, double lost) {
  return usd_per_hour / (1 - lost);
}

double economics_commit_break_even(double committed, double on_demand) {
  return committed / on_demand;
}

economics_comparison economics_compare(bench_quantity ratio, double usd_a,
                                       double usd_b, double delta) {
  bench_quantity advantage = quantity_scale(ratio, usd_b / usd_a);
  return (economics_comparison){
      .ratio = ratio,
      .price_ratio = usd_a / usd_b,
      .advantage = advantage,
      .parity = quantity_scale(ratio, usd_b),
      .verdict = verdict_decide(advantage, delta),
      .bearable_loss = 1 - 1 / advantage.value,
  };
}

bench_quantity economics_decisive(const economics_comparison *comparison) {
  return comparison->because ? quantity_point(comparison->ratio.value)
                             : comparison->ratio;
}

/* ---- Everywhere -------------------------------------------------------- */

bool economics_unit_name(economics_unit unit, char *out_name, size_t size) {
  int length = snprintf(out_name, size, unit.chips > 1 ? "%s-%lld" : "%s",
                        unit.chip, (long long)unit.chips);
  return length >= 0 && (size_t)length < size;
}

/* The price of a unit in a region, or else the lowest of the continent. */
static const catalog_price *price_near(const bench_catalog *catalog,
                                       economics_unit unit,
                                       const catalog_price *place) {
  const catalog_price *price = catalog_price_find(
      catalog, unit.chip, unit.chips, place->kind, place->region, NULL);
  if (price) return price;
  return catalog_price_find(catalog, unit.chip, unit.chips, place->kind, NULL,
                            place->area);
}

typedef struct matrix_work {
  const bench_catalog *catalog;
  economics_unit a, b;
  bench_quantity ratio;
  double delta;
  economics_matrix *matrix;
} matrix_work;

static pfl_status add_place(matrix_work *work, const catalog_price *a,
                            const catalog_price *b, pfl_error *error) {
  economics_matrix *m = work->matrix;
  economics_place *places =
      realloc(m->places, (size_t)(m->count + 1) * sizeof *places);
  if (!places) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for prices");
  m->places = places;
  places[m->count++] =
      (economics_place){a, b, !strcmp(a->region, b->region),
                        economics_compare(work->ratio, a->usd_per_hour,
                                          b->usd_per_hour, work->delta)};
  return PFL_STATUS_OK;
}

/* The places of one unit, the other being there or near. `first` is A; then
 * those of B where A is not, so that no place is there twice. */
static pfl_status add_places(matrix_work *work, bench_price_kind kind,
                             bool of_a, pfl_error *error) {
  economics_unit here = of_a ? work->a : work->b;
  economics_unit there = of_a ? work->b : work->a;
  const char *region;
  for (int64_t n = 0; (region = catalog_region_get(work->catalog, here.chip,
                                                   here.chips, kind, n));
       n++) {
    const catalog_price *price = catalog_price_find(
        work->catalog, here.chip, here.chips, kind, region, NULL);
    const catalog_price *other = price_near(work->catalog, there, price);
    if (!other || (!of_a && !strcmp(other->region, region))) continue;
    PFL_TRY(of_a ? add_place(work, price, other, error)
                 : add_place(work, other, price, error));
  }
  return PFL_STATUS_OK;
}

static pfl_status sum_up(economics_matrix *m, double delta, pfl_error *error) {
  m->least = m->median = m->most = NAN;
  if (!m->count) return PFL_STATUS_OK;
  double *values = malloc((size_t)m->count * sizeof *values);
  if (!values) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for prices");
  for (int64_t i = 0; i < m->count; i++) {
    values[i] = m->places[i].comparison.advantage.value;
    m->better += values[i] > 1 + delta;
  }
  statistics_summary summary = statistics_summarize(values, m->count);
  m->least = summary.min;
  m->median = summary.median;
  m->most = summary.max;
  free(values);
  return PFL_STATUS_OK;
}

pfl_status economics_matrix_create(const bench_catalog *catalog,
                                   economics_unit a, economics_unit b,
                                   bench_quantity ratio, double delta,
                                   economics_matrix *out_matrix,
                                   pfl_error *error) {
  *out_matrix = (economics_matrix){0};
  matrix_work work = {catalog, a, b, ratio, delta, out_matrix};
  pfl_status status = PFL_STATUS_OK;
  for (int kind = 0; kind < BENCH_PRICE_KIND_COUNT; kind++)
    for (int side = 0; side < 2 && status == PFL_STATUS_OK; side++)
      status = add_places(&work, (bench_price_kind)kind, side == 0, error);
  if (status == PFL_STATUS_OK) status = sum_up(out_matrix, delta, error);
  if (status != PFL_STATUS_OK) economics_matrix_release(out_matrix);
  return status;
}

void economics_matrix_release(economics_matrix *matrix) {
  free(matrix->places);
  *matrix = (economics_matrix){0};
}

/* ---- Prices that move -------------------------------------------------- */

const double economics_steps[ECONOMICS_STEPS] = {0.5, 0.75, 1, 1.25, 1.5};

bench_quantity economics_sensitivity(const economics_comparison *comparison,
                                     double factor_a, double factor_b) {
  return quantity_scale(comparison->advantage, factor_b / factor_a);
}

/* ---- What others published --------------------------------------------- */

static bool are_comparable(const catalog_result *a, const catalog_result *b) {
  return strcmp(a->chip, b->chip) && !strcmp(a->model, b->model) &&
         !strcmp(a->scenario, b->scenario) && !strcmp(a->metric, b->metric) &&
         !strcmp(a->unit, b->unit) && !strcmp(a->precision, b->precision) &&
         strcmp(a->kind, "estimate") && strcmp(b->kind, "estimate");
}

bool economics_pair_get(const bench_catalog *catalog, int64_t n,
                        const catalog_result **out_a,
                        const catalog_result **out_b) {
  for (int64_t i = 0; i < catalog->result_count; i++)
    for (int64_t j = i + 1; j < catalog->result_count; j++) {
      const catalog_result *a = &catalog->results[i], *b = &catalog->results[j];
      if (!are_comparable(a, b) || n-- > 0) continue;
      *out_a = a;
      *out_b = b;
      return true;
    }
  return false;
}

bool economics_is_stale(const catalog_price *price, int64_t today) {
  return today - price->as_of.day > CATALOG_DAYS_FRESH;
}
