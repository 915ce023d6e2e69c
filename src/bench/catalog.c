/* The catalogue, asked. */
#include "bench/catalog.h"

#include <stddef.h>
#include <string.h>

const char *catalog_kind_name(bench_price_kind kind) {
  static const char *const names[] = {
#define KIND_NAME(name, text) text,
      BENCH_PRICE_KIND_LIST(KIND_NAME)
#undef KIND_NAME
  };
  return names[kind];
}

bench_price_kind catalog_kind_find(const char *name) {
  int kind = 0;
  while (kind < BENCH_PRICE_KIND_COUNT &&
         strcmp(catalog_kind_name((bench_price_kind)kind), name))
    kind++;
  return (bench_price_kind)kind;
}

const char *catalog_bound_name(bench_bound bound) {
  static const char *const names[] = {
#define BOUND_NAME(name, text) text,
      BENCH_BOUND_LIST(BOUND_NAME)
#undef BOUND_NAME
  };
  return names[bound];
}

const catalog_chip *catalog_chip_find(const bench_catalog *catalog,
                                      const char *key) {
  for (int64_t i = 0; i < catalog->chip_count; i++)
    if (!strcmp(catalog->chips[i].key, key)) return &catalog->chips[i];
  return NULL;
}

/* ---- Prices ------------------------------------------------------------ */

static bool is_of(const catalog_price *price, const char *chip, int64_t chips,
                  bench_price_kind kind) {
  return price->kind == kind && price->chips == chips &&
         !strcmp(price->chip, chip);
}

/* Whether a later row of the same thing says what it costs now. */
static bool is_superseded(const bench_catalog *catalog,
                          const catalog_price *price) {
  for (int64_t i = 0; i < catalog->price_count; i++) {
    const catalog_price *other = &catalog->prices[i];
    if (other->as_of.day > price->as_of.day && other->kind == price->kind &&
        !strcmp(other->sku, price->sku) &&
        !strcmp(other->region, price->region) &&
        !strcmp(other->zone, price->zone))
      return true;
  }
  return false;
}

const catalog_price *catalog_price_find(const bench_catalog *catalog,
                                        const char *chip, int64_t chips,
                                        bench_price_kind kind,
                                        const char *region, const char *area) {
  const catalog_price *best = NULL;
  for (int64_t i = 0; i < catalog->price_count; i++) {
    const catalog_price *price = &catalog->prices[i];
    if (!is_of(price, chip, chips, kind)) continue;
    if (region && strcmp(price->region, region)) continue;
    if (area && strcmp(price->area, area)) continue;
    if (best && price->usd_per_hour >= best->usd_per_hour) continue;
    if (!is_superseded(catalog, price)) best = price;
  }
  return best;
}

/* The first row of its region among those of the unit and kind. */
static bool is_first_of_region(const bench_catalog *catalog, int64_t row,
                               const char *chip, int64_t chips,
                               bench_price_kind kind) {
  for (int64_t i = 0; i < row; i++)
    if (is_of(&catalog->prices[i], chip, chips, kind) &&
        !strcmp(catalog->prices[i].region, catalog->prices[row].region))
      return false;
  return true;
}

const char *catalog_region_get(const bench_catalog *catalog, const char *chip,
                               int64_t chips, bench_price_kind kind,
                               int64_t n) {
  for (int64_t i = 0; i < catalog->price_count; i++)
    if (is_of(&catalog->prices[i], chip, chips, kind) &&
        is_first_of_region(catalog, i, chip, chips, kind) && n-- == 0)
      return catalog->prices[i].region;
  return NULL;
}

/* ---- Dates ------------------------------------------------------------- */

/* Days before March 1 of a year and of a month counted from March, by the
 * proleptic Gregorian calendar (years from 1). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month < 3;
  int64_t from_march = (month + 9) % 12;
  return 365 * year + year / 4 - year / 100 + year / 400 +
         (153 * from_march + 2) / 5 + day - 1 - 719468;
}

/* Digits exactly; -1 if there are others. */
static int64_t read_digits(const char *text, int count) {
  int64_t number = 0;
  for (int i = 0; i < count; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    number = 10 * number + (text[i] - '0');
  }
  return number;
}

int64_t catalog_day(const char *text) {
  static const int lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t year = read_digits(text, 4);
  if (year < 1 || text[4] != '-') return INT64_MIN;
  int64_t month = read_digits(text + 5, 2);
  if (month < 1 || month > 12 || text[7] != '-') return INT64_MIN;
  int64_t day = read_digits(text + 8, 2);
  if (day < 1 || day > lengths[month - 1]) return INT64_MIN;
  bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
  if (month == 2 && day == 29 && !leap) return INT64_MIN;
  return days_from_civil(year, month, day);
}
