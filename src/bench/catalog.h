/* What is known of hardware, prices and others' results, from CSV files:
 *
 *   hardware.csv    a row a chip: dense peaks, memory, bandwidth (rule D6)
 *   prices.csv      a row a price: what is billed, kind, region, date (rule 46)
 *   published.csv   a row a result of others: evidence class D
 *   efficiency.csv  what share of a peak others were seen to reach (rule 43)
 *   anchors.csv     what others measured on a TPU, beside what the cycle model
 *                   predicts of the same program (rule 3)
 *
 * They are shipped in bench/data and may be replaced; they are read as
 * strangers' files. The rules are those of docs/method.md. */
#ifndef PFL_BENCH_CATALOG_H
#define PFL_BENCH_CATALOG_H

#include <stdbool.h>

#include "bench/csv.h"

/* X(NAME, name in prices.csv). */
#define BENCH_PRICE_KIND_LIST(X) \
  X(ON_DEMAND, "on-demand")      \
  X(SPOT, "spot")                \
  X(COMMIT_1Y, "commit-1y")      \
  X(COMMIT_3Y, "commit-3y")      \
  X(CAPACITY_BLOCK, "capacity-block")

typedef enum bench_price_kind {
#define BENCH_PRICE_KIND_ENUM(name, text) BENCH_PRICE_##name,
  BENCH_PRICE_KIND_LIST(BENCH_PRICE_KIND_ENUM)
#undef BENCH_PRICE_KIND_ENUM
      BENCH_PRICE_KIND_COUNT
} bench_price_kind;

const char *catalog_kind_name(bench_price_kind kind);
/* BENCH_PRICE_KIND_COUNT if there is none of that name. */
bench_price_kind catalog_kind_find(const char *name);

/* How others came by a result. X(NAME, name in published.csv). */
#define BENCH_SOURCE_LIST(X) \
  X(AUDITED, "audited")      \
  X(VENDOR, "vendor")        \
  X(COMMUNITY, "community")  \
  X(ESTIMATE, "estimate")

/* A day, or the first of a month or year when no more is known, so that an
 * age is never too small. Days since 1970-01-01. */
typedef struct catalog_date {
  const char *text; /* "2026-07-30", "2026-07" or "2026" */
  int64_t day;
} catalog_date;

/* Numbers that nobody published are NAN. Rates are dense, per chip. */
typedef struct catalog_chip {
  const char *key, *name;
  const char *float16; /* the 16-bit float of tflops16: "bf16" or "fp16" */
  double tflops16, int8_tops, fp8_tflops;
  double memory_gb, bandwidth_gb_s, link_gb_s, tdp_w;
  catalog_date retrieved;
  const char *source, *note;
} catalog_chip;

typedef struct catalog_price {
  const char *provider, *sku, *chip;
  int64_t chips;       /* that are billed as one */
  double usd_per_hour; /* of all of them, host and disk included */
  bench_price_kind kind;
  const char *region, *area; /* area: the continent, "us" for instance */
  const char *zone; /* "lowest" or "highest" of the region's zones, or "" */
  catalog_date as_of, retrieved;
  const char *source, *note;
} catalog_price;

typedef struct catalog_result {
  const char *model, *chip;
  int64_t chips;
  const char *precision, *scenario, *metric;
  double value;
  const char *unit, *software;
  catalog_date as_of; /* day INT64_MIN, text "": not dated */
  const char *kind;   /* of BENCH_SOURCE_LIST */
  catalog_date retrieved;
  const char *source, *note;
} catalog_result;

/* What a program may be bound by. X(NAME, name in efficiency.csv). */
#define BENCH_BOUND_LIST(X) \
  X(COMPUTE, "compute")     \
  X(MEMORY, "memory")

typedef enum bench_bound {
#define BENCH_BOUND_ENUM(name, text) BENCH_BOUND_##name,
  BENCH_BOUND_LIST(BENCH_BOUND_ENUM)
#undef BENCH_BOUND_ENUM
      BENCH_BOUND_COUNT
} bench_bound;

const char *catalog_bound_name(bench_bound bound);

/* Shares of the peak, 0 < low <= high <= 1. */
typedef struct catalog_efficiency {
  double low, high;
  const char *source, *note;
} catalog_efficiency;

/* A program that others measured, and our prediction of it. */
typedef struct catalog_anchor {
  const char *chip, *program;
  double measured_ms, predicted_ms;
  const char *compiler;
  catalog_date retrieved;
  const char *source, *note;
} catalog_anchor;

/* |predicted / measured - 1| over the anchors. */
typedef struct catalog_model_error {
  int64_t anchors;
  double median, worst;
} catalog_model_error;

/* X(NAME, file). */
#define CATALOG_FILE_LIST(X)      \
  X(HARDWARE, "hardware.csv")     \
  X(PRICES, "prices.csv")         \
  X(PUBLISHED, "published.csv")   \
  X(EFFICIENCY, "efficiency.csv") \
  X(ANCHORS, "anchors.csv")

enum {
#define CATALOG_FILE_ENUM(name, file) CATALOG_##name,
  CATALOG_FILE_LIST(CATALOG_FILE_ENUM)
#undef CATALOG_FILE_ENUM
      CATALOG_FILES,
  CATALOG_PATH_SIZE = 512
};

typedef struct bench_catalog {
  catalog_chip *chips;
  catalog_price *prices;
  catalog_result *results;
  catalog_anchor *anchors;
  int64_t chip_count, price_count, result_count, anchor_count;
  catalog_efficiency efficiency[BENCH_BOUND_COUNT];
  catalog_model_error model_error;
  /* Where it is from, by CATALOG_FILE_LIST. */
  csv_table tables[CATALOG_FILES];
  char paths[CATALOG_FILES][CATALOG_PATH_SIZE];
} bench_catalog;

/* "prices.csv", of CATALOG_FILE_LIST. */
const char *catalog_file_name(int which);

/* Reads the files of `directory` (NULL: $PFLASH_DATA, or bench/data or
 * share/pallas_flash/data above the running program), the prices from
 * `prices_path` if it is not NULL. NOT_FOUND; INVALID_ARGUMENT says the file,
 * the line and why. On failure *out_catalog is empty. */
PFL_NODISCARD pfl_status catalog_open(const char *directory,
                                      const char *prices_path,
                                      bench_catalog *out_catalog,
                                      pfl_error *error);
void catalog_close(bench_catalog *catalog);

/* NULL if there is none of that key. */
const catalog_chip *catalog_chip_find(const bench_catalog *catalog,
                                      const char *key);

/* The price of `chips` chips as one unit, the newest of its place and kind,
 * and among several zones or machines the lowest; `region` or `area` may be
 * NULL for any. NULL if there is none. */
const catalog_price *catalog_price_find(const bench_catalog *catalog,
                                        const char *chip, int64_t chips,
                                        bench_price_kind kind,
                                        const char *region, const char *area);

/* The n-th region, counted from 0 in the order of the file, in which the unit
 * has a price of the kind; NULL after the last. */
const char *catalog_region_get(const bench_catalog *catalog, const char *chip,
                               int64_t chips, bench_price_kind kind, int64_t n);

/* Prices older than this are stale (rule 46). */
#define CATALOG_DAYS_FRESH 30

/* Days from 1970-01-01 to a date that starts with YYYY-MM-DD, as
 * machine_utc's do; INT64_MIN if it is none. */
int64_t catalog_day(const char *text);

#endif
