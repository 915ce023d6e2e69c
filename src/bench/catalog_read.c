/* The catalogue, read from its files. Each table is a list of columns, an enum
 * of their places and a function that reads a row. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/catalog.h"
#include "bench/shipped.h"
#include "bench/statistics.h"

#define COLUMN_NAME(id, text) text,
#define COLUMN_ENUM(id, text) id,

typedef pfl_status row_reader(const csv_table *table, int64_t row,
                              void *out_item, pfl_error *error);

/* ---- Cells that several tables have ------------------------------------ */

/* YYYY-MM-DD, YYYY-MM, YYYY, or if `optional` nothing. */
static pfl_status read_date(const csv_table *table, int64_t row, int64_t column,
                            bool optional, catalog_date *out_date,
                            pfl_error *error) {
  const char *text = csv_cell(table, row, column);
  char whole[16] = "";
  size_t length = strlen(text);
  *out_date = (catalog_date){text, INT64_MIN};
  if (!length && optional) return PFL_STATUS_OK;
  if (length == 4 || length == 7 || length == 10)
    snprintf(whole, sizeof whole, "%s%s", text,
             length == 4   ? "-01-01"
             : length == 7 ? "-01"
                           : "");
  out_date->day = catalog_day(whole);
  if (out_date->day != INT64_MIN) return PFL_STATUS_OK;
  return csv_refuse(table, row, column, "a date: 2026-07-30, 2026-07 or 2026",
                    error);
}

/* A number that must be there. */
static pfl_status read_number(const csv_table *table, int64_t row,
                              int64_t column, double *out_number,
                              pfl_error *error) {
  PFL_TRY(csv_number(table, row, column, 0, out_number, error));
  if (!isnan(*out_number)) return PFL_STATUS_OK;
  return csv_refuse(table, row, column, "a number above 0", error);
}

/* One of `words`, a list that ends in NULL. */
static pfl_status read_word(const csv_table *table, int64_t row, int64_t column,
                            const char *const *words, const char **out_word,
                            pfl_error *error) {
  char must_be[128] = "one of";
  const char *cell = csv_cell(table, row, column);
  for (int i = 0; words[i]; i++) {
    *out_word = cell;
    if (!strcmp(cell, words[i])) return PFL_STATUS_OK;
    size_t used = strlen(must_be);
    snprintf(must_be + used, sizeof must_be - used, "%s %s", i ? "," : "",
             words[i]);
  }
  return csv_refuse(table, row, column, must_be, error);
}

/* ---- hardware.csv ------------------------------------------------------ */

#define CHIP_COLUMNS(X)               \
  X(CHIP_KEY, "chip")                 \
  X(CHIP_NAME, "name")                \
  X(CHIP_FLOAT16, "float16")          \
  X(CHIP_TFLOPS16, "tflops16")        \
  X(CHIP_INT8, "int8_tops")           \
  X(CHIP_FP8, "fp8_tflops")           \
  X(CHIP_MEMORY, "memory_gb")         \
  X(CHIP_BANDWIDTH, "bandwidth_gb_s") \
  X(CHIP_LINK, "link_gb_s")           \
  X(CHIP_TDP, "tdp_w")                \
  X(CHIP_RETRIEVED, "retrieved") X(CHIP_SOURCE, "source") X(CHIP_NOTE, "note")
enum { CHIP_COLUMNS(COLUMN_ENUM) };
static const char *const chip_columns[] = {CHIP_COLUMNS(COLUMN_NAME) NULL};

static pfl_status read_chip(const csv_table *t, int64_t row, void *out_item,
                            pfl_error *error) {
  static const char *const floats[] = {"bf16", "fp16", NULL};
  catalog_chip *c = out_item;
  PFL_TRY(csv_text(t, row, CHIP_KEY, &c->key, error));
  PFL_TRY(csv_text(t, row, CHIP_NAME, &c->name, error));
  PFL_TRY(read_word(t, row, CHIP_FLOAT16, floats, &c->float16, error));
  PFL_TRY(csv_number(t, row, CHIP_TFLOPS16, 0, &c->tflops16, error));
  PFL_TRY(csv_number(t, row, CHIP_INT8, 0, &c->int8_tops, error));
  PFL_TRY(csv_number(t, row, CHIP_FP8, 0, &c->fp8_tflops, error));
  PFL_TRY(read_number(t, row, CHIP_MEMORY, &c->memory_gb, error));
  PFL_TRY(read_number(t, row, CHIP_BANDWIDTH, &c->bandwidth_gb_s, error));
  PFL_TRY(csv_number(t, row, CHIP_LINK, 0, &c->link_gb_s, error));
  PFL_TRY(csv_number(t, row, CHIP_TDP, 0, &c->tdp_w, error));
  PFL_TRY(read_date(t, row, CHIP_RETRIEVED, false, &c->retrieved, error));
  PFL_TRY(csv_text(t, row, CHIP_SOURCE, &c->source, error));
  c->note = csv_cell(t, row, CHIP_NOTE);
  for (int64_t i = 0; i < row; i++)
    if (!strcmp(csv_cell(t, i, CHIP_KEY), c->key))
      return csv_refuse(t, row, CHIP_KEY, "there once", error);
  return PFL_STATUS_OK;
}

/* ---- prices.csv -------------------------------------------------------- */

#define PRICE_COLUMNS(X)          \
  X(PRICE_PROVIDER, "provider")   \
  X(PRICE_SKU, "sku")             \
  X(PRICE_CHIP, "chip")           \
  X(PRICE_CHIPS, "chips")         \
  X(PRICE_USD, "usd_per_hour")    \
  X(PRICE_KIND, "kind")           \
  X(PRICE_REGION, "region")       \
  X(PRICE_AREA, "area")           \
  X(PRICE_ZONE, "zone")           \
  X(PRICE_AS_OF, "as_of")         \
  X(PRICE_RETRIEVED, "retrieved") \
  X(PRICE_SOURCE, "source") X(PRICE_NOTE, "note")
enum { PRICE_COLUMNS(COLUMN_ENUM) };
static const char *const price_columns[] = {PRICE_COLUMNS(COLUMN_NAME) NULL};

static pfl_status read_price(const csv_table *t, int64_t row, void *out_item,
                             pfl_error *error) {
#define KIND_WORD(name, text) text,
  static const char *const kinds[] = {BENCH_PRICE_KIND_LIST(KIND_WORD) NULL};
#undef KIND_WORD
  static const char *const zones[] = {"", "lowest", "highest", NULL};
  const char *kind;
  catalog_price *p = out_item;
  PFL_TRY(csv_text(t, row, PRICE_PROVIDER, &p->provider, error));
  PFL_TRY(csv_text(t, row, PRICE_SKU, &p->sku, error));
  PFL_TRY(csv_text(t, row, PRICE_CHIP, &p->chip, error));
  PFL_TRY(csv_count(t, row, PRICE_CHIPS, &p->chips, error));
  PFL_TRY(read_number(t, row, PRICE_USD, &p->usd_per_hour, error));
  PFL_TRY(read_word(t, row, PRICE_KIND, kinds, &kind, error));
  p->kind = catalog_kind_find(kind);
  PFL_TRY(csv_text(t, row, PRICE_REGION, &p->region, error));
  PFL_TRY(csv_text(t, row, PRICE_AREA, &p->area, error));
  PFL_TRY(read_word(t, row, PRICE_ZONE, zones, &p->zone, error));
  PFL_TRY(read_date(t, row, PRICE_AS_OF, false, &p->as_of, error));
  PFL_TRY(read_date(t, row, PRICE_RETRIEVED, false, &p->retrieved, error));
  PFL_TRY(csv_text(t, row, PRICE_SOURCE, &p->source, error));
  p->note = csv_cell(t, row, PRICE_NOTE);
  return PFL_STATUS_OK;
}

/* ---- published.csv ----------------------------------------------------- */

#define RESULT_COLUMNS(X)                                     \
  X(RESULT_MODEL, "model")                                    \
  X(RESULT_CHIP, "chip")                                      \
  X(RESULT_CHIPS, "chips")                                    \
  X(RESULT_PRECISION, "precision")                            \
  X(RESULT_SCENARIO, "scenario")                              \
  X(RESULT_METRIC, "metric")                                  \
  X(RESULT_VALUE, "value")                                    \
  X(RESULT_UNIT, "unit")                                      \
  X(RESULT_SOFTWARE, "software")                              \
  X(RESULT_AS_OF, "as_of")                                    \
  X(RESULT_KIND, "kind")                                      \
  X(RESULT_RETRIEVED, "retrieved") X(RESULT_SOURCE, "source") \
      X(RESULT_NOTE, "note")
enum { RESULT_COLUMNS(COLUMN_ENUM) };
static const char *const result_columns[] = {RESULT_COLUMNS(COLUMN_NAME) NULL};

static pfl_status read_result(const csv_table *t, int64_t row, void *out_item,
                              pfl_error *error) {
#define SOURCE_WORD(name, text) text,
  static const char *const kinds[] = {BENCH_SOURCE_LIST(SOURCE_WORD) NULL};
#undef SOURCE_WORD
  catalog_result *r = out_item;
  PFL_TRY(csv_text(t, row, RESULT_MODEL, &r->model, error));
  PFL_TRY(csv_text(t, row, RESULT_CHIP, &r->chip, error));
  PFL_TRY(csv_count(t, row, RESULT_CHIPS, &r->chips, error));
  PFL_TRY(csv_text(t, row, RESULT_PRECISION, &r->precision, error));
  PFL_TRY(csv_text(t, row, RESULT_SCENARIO, &r->scenario, error));
  PFL_TRY(csv_text(t, row, RESULT_METRIC, &r->metric, error));
  PFL_TRY(read_number(t, row, RESULT_VALUE, &r->value, error));
  PFL_TRY(csv_text(t, row, RESULT_UNIT, &r->unit, error));
  PFL_TRY(csv_text(t, row, RESULT_SOFTWARE, &r->software, error));
  PFL_TRY(read_date(t, row, RESULT_AS_OF, true, &r->as_of, error));
  PFL_TRY(read_word(t, row, RESULT_KIND, kinds, &r->kind, error));
  PFL_TRY(read_date(t, row, RESULT_RETRIEVED, false, &r->retrieved, error));
  PFL_TRY(csv_text(t, row, RESULT_SOURCE, &r->source, error));
  r->note = csv_cell(t, row, RESULT_NOTE);
  return PFL_STATUS_OK;
}

/* ---- efficiency.csv ---------------------------------------------------- */

#define SHARE_COLUMNS(X)          \
  X(SHARE_BOUND, "bound")         \
  X(SHARE_LOW, "low")             \
  X(SHARE_HIGH, "high")           \
  X(SHARE_RETRIEVED, "retrieved") \
  X(SHARE_SOURCE, "source") X(SHARE_NOTE, "note")
enum { SHARE_COLUMNS(COLUMN_ENUM) };
static const char *const share_columns[] = {SHARE_COLUMNS(COLUMN_NAME) NULL};

static pfl_status read_share(const csv_table *t, int64_t row, void *out_item,
                             pfl_error *error) {
#define BOUND_WORD(name, text) text,
  static const char *const bounds[] = {BENCH_BOUND_LIST(BOUND_WORD) NULL};
#undef BOUND_WORD
  const char *bound;
  catalog_date retrieved;
  catalog_efficiency e;
  PFL_TRY(read_word(t, row, SHARE_BOUND, bounds, &bound, error));
  PFL_TRY(read_number(t, row, SHARE_LOW, &e.low, error));
  PFL_TRY(read_number(t, row, SHARE_HIGH, &e.high, error));
  PFL_TRY(read_date(t, row, SHARE_RETRIEVED, false, &retrieved, error));
  PFL_TRY(csv_text(t, row, SHARE_SOURCE, &e.source, error));
  e.note = csv_cell(t, row, SHARE_NOTE);
  if (e.low > e.high)
    return csv_refuse(t, row, SHARE_LOW, "at most the value of high", error);
  if (e.high > 1) return csv_refuse(t, row, SHARE_HIGH, "at most 1", error);
  int which = 0;
  while (strcmp(bound, bounds[which])) which++;
  catalog_efficiency *all = out_item;
  if (all[which].low > 0)
    return csv_refuse(t, row, SHARE_BOUND, "there once", error);
  all[which] = e;
  return PFL_STATUS_OK;
}

/* ---- anchors.csv ------------------------------------------------------- */

#define ANCHOR_COLUMNS(X)             \
  X(ANCHOR_CHIP, "chip")              \
  X(ANCHOR_PROGRAM, "program")        \
  X(ANCHOR_MEASURED, "measured_ms")   \
  X(ANCHOR_PREDICTED, "predicted_ms") \
  X(ANCHOR_COMPILER, "compiler")      \
  X(ANCHOR_RETRIEVED, "retrieved")    \
  X(ANCHOR_SOURCE, "source") X(ANCHOR_NOTE, "note")
enum { ANCHOR_COLUMNS(COLUMN_ENUM) };
static const char *const anchor_columns[] = {ANCHOR_COLUMNS(COLUMN_NAME) NULL};

static pfl_status read_anchor(const csv_table *t, int64_t row, void *out_item,
                              pfl_error *error) {
  catalog_anchor *a = out_item;
  PFL_TRY(csv_text(t, row, ANCHOR_CHIP, &a->chip, error));
  PFL_TRY(csv_text(t, row, ANCHOR_PROGRAM, &a->program, error));
  PFL_TRY(read_number(t, row, ANCHOR_MEASURED, &a->measured_ms, error));
  PFL_TRY(read_number(t, row, ANCHOR_PREDICTED, &a->predicted_ms, error));
  PFL_TRY(csv_text(t, row, ANCHOR_COMPILER, &a->compiler, error));
  PFL_TRY(read_date(t, row, ANCHOR_RETRIEVED, false, &a->retrieved, error));
  PFL_TRY(csv_text(t, row, ANCHOR_SOURCE, &a->source, error));
  a->note = csv_cell(t, row, ANCHOR_NOTE);
  return PFL_STATUS_OK;
}

/* Rule 3: of three anchors at least. */
static pfl_status sum_anchors(bench_catalog *c, pfl_error *error) {
  enum { ANCHORS_MIN = 3 };
  if (c->anchor_count < ANCHORS_MIN)
    PFL_RAISE(error, INVALID_ARGUMENT, "%s has %lld rows: must be at least %d",
              c->tables[CATALOG_ANCHORS].name, (long long)c->anchor_count,
              ANCHORS_MIN);
  double *errors = malloc((size_t)c->anchor_count * sizeof *errors);
  if (!errors) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a table");
  for (int64_t i = 0; i < c->anchor_count; i++)
    errors[i] =
        fabs(c->anchors[i].predicted_ms / c->anchors[i].measured_ms - 1);
  statistics_summary summary = statistics_summarize(errors, c->anchor_count);
  c->model_error =
      (catalog_model_error){c->anchor_count, summary.median, summary.max};
  free(errors);
  return PFL_STATUS_OK;
}

/* ---- All of them ------------------------------------------------------- */

/* Where a table's items are kept; NULL: all of its rows fill c->efficiency. */
static void **items_of(bench_catalog *c, int which, int64_t **out_count) {
  switch (which) {
    case CATALOG_HARDWARE:
      *out_count = &c->chip_count;
      return (void **)&c->chips;
    case CATALOG_PRICES:
      *out_count = &c->price_count;
      return (void **)&c->prices;
    case CATALOG_PUBLISHED:
      *out_count = &c->result_count;
      return (void **)&c->results;
    case CATALOG_ANCHORS:
      *out_count = &c->anchor_count;
      return (void **)&c->anchors;
    default: return NULL;
  }
}

static const struct {
  const char *const *columns;
  size_t item_bytes;
  row_reader *read;
} files[CATALOG_FILES] = {
    [CATALOG_HARDWARE] = {chip_columns, sizeof(catalog_chip), read_chip},
    [CATALOG_PRICES] = {price_columns, sizeof(catalog_price), read_price},
    [CATALOG_PUBLISHED] = {result_columns, sizeof(catalog_result), read_result},
    [CATALOG_EFFICIENCY] = {share_columns, 0, read_share},
    [CATALOG_ANCHORS] = {anchor_columns, sizeof(catalog_anchor), read_anchor},
};

const char *catalog_file_name(int which) {
  static const char *const names[] = {
#define FILE_NAME(id, text) text,
      CATALOG_FILE_LIST(FILE_NAME)
#undef FILE_NAME
  };
  return names[which];
}

static pfl_status find_path(int which, const char *directory,
                            const char *prices_path, char *out_path,
                            pfl_error *error) {
  const char *file = catalog_file_name(which);
  int length = 0;
  if (which == CATALOG_PRICES && prices_path) {
    length = snprintf(out_path, CATALOG_PATH_SIZE, "%s", prices_path);
  } else if (directory) {
    length = snprintf(out_path, CATALOG_PATH_SIZE, "%s/%s", directory, file);
  } else if (!shipped_find("data", file, out_path, CATALOG_PATH_SIZE)) {
    PFL_RAISE(error, NOT_FOUND, "no %s in $%s, or above the program", file,
              shipped_variable("data"));
  }
  if (length >= CATALOG_PATH_SIZE)
    PFL_RAISE(error, INVALID_ARGUMENT, "the path of %s is too long", file);
  return PFL_STATUS_OK;
}

/* Reads a table's rows into `items`, room for all of them. */
static pfl_status read_rows(int which, const csv_table *table, void *items,
                            pfl_error *error) {
  for (int64_t row = 0; row < table->rows; row++) {
    char *item = (char *)items + (size_t)row * files[which].item_bytes;
    PFL_TRY(files[which].read(table, row, item, error));
  }
  return PFL_STATUS_OK;
}

static pfl_status read_items(bench_catalog *c, int which, pfl_error *error) {
  const csv_table *table = &c->tables[which];
  int64_t *count;
  void **items = items_of(c, which, &count);
  if (!items) return read_rows(which, table, c->efficiency, error);
  *items = calloc((size_t)table->rows + 1, files[which].item_bytes);
  if (!*items) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a table");
  *count = table->rows;
  return read_rows(which, table, *items, error);
}

/* That every chip spoken of is one of hardware.csv. */
static pfl_status check_chips(const bench_catalog *c, pfl_error *error) {
  for (int64_t i = 0; i < c->price_count; i++)
    if (!catalog_chip_find(c, c->prices[i].chip))
      return csv_refuse(&c->tables[CATALOG_PRICES], i, PRICE_CHIP,
                        "a chip of hardware.csv", error);
  for (int64_t i = 0; i < c->result_count; i++)
    if (!catalog_chip_find(c, c->results[i].chip))
      return csv_refuse(&c->tables[CATALOG_PUBLISHED], i, RESULT_CHIP,
                        "a chip of hardware.csv", error);
  for (int64_t i = 0; i < c->anchor_count; i++)
    if (!catalog_chip_find(c, c->anchors[i].chip))
      return csv_refuse(&c->tables[CATALOG_ANCHORS], i, ANCHOR_CHIP,
                        "a chip of hardware.csv", error);
  for (int i = 0; i < BENCH_BOUND_COUNT; i++)
    if (!(c->efficiency[i].low > 0))
      PFL_RAISE(error, INVALID_ARGUMENT, "%s: no row is for the bound %s",
                c->tables[CATALOG_EFFICIENCY].name,
                catalog_bound_name((bench_bound)i));
  return PFL_STATUS_OK;
}

static pfl_status read_all(bench_catalog *c, const char *directory,
                           const char *prices_path, pfl_error *error) {
  for (int which = 0; which < CATALOG_FILES; which++) {
    char *path = c->paths[which];
    PFL_TRY(find_path(which, directory, prices_path, path, error));
    PFL_TRY(csv_read(path, files[which].columns, &c->tables[which], error));
    PFL_TRY(read_items(c, which, error));
  }
  PFL_TRY(check_chips(c, error));
  return sum_anchors(c, error);
}

pfl_status catalog_open(const char *directory, const char *prices_path,
                        bench_catalog *out_catalog, pfl_error *error) {
  *out_catalog = (bench_catalog){0};
  pfl_status status = read_all(out_catalog, directory, prices_path, error);
  if (status != PFL_STATUS_OK) catalog_close(out_catalog);
  return status;
}

void catalog_close(bench_catalog *catalog) {
  free(catalog->chips);
  free(catalog->prices);
  free(catalog->results);
  free(catalog->anchors);
  for (int i = 0; i < CATALOG_FILES; i++) csv_release(&catalog->tables[i]);
  *catalog = (bench_catalog){0};
}
