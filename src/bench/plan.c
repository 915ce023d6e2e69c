/* What is asked, written down before it is measured. */
#include "bench/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "bench/fields.h"
#include "bench/shipped.h"

#define PLAN_SCHEMA "pallas-flash/plan"
enum { PLAN_VERSION = 1, PLAN_BYTES_MAX = 1 << 16, PATH_SIZE = 512 };

static const char *const members[] = {
    "schema", "registered", "question",  "cell",          "a",
    "b",      "kind",       "region",    "delta",         "half_width",
    "seed",   "min_runs",   "resamples", "min_processes", NULL};

static void read_schema(json_fields *f) {
  json_fields schema =
      fields_of(json_object_get(f->object, "schema"), "schema", f->error);
  if (strcmp(fields_word(&schema, "name"), PLAN_SCHEMA))
    fields_refuse(&schema, "name", PLAN_SCHEMA);
  fields_int64(&schema, "version", PLAN_VERSION, PLAN_VERSION);
  if (f->status == PFL_STATUS_OK) f->status = schema.status;
}

static double above_zero(json_fields *f, const char *key, double most) {
  double number = fields_number(f, key, 0, most);
  if (!(number > 0)) fields_refuse(f, key, "a number above 0");
  return number;
}

static pfl_status read_members(const json_value *root, bench_plan *p,
                               pfl_error *error) {
  json_fields f = fields_of(root, "the plan", error);
  fields_only(&f, members);
  PFL_TRY(f.status);
  read_schema(&f);
  fields_string(&f, "registered", p->registered, sizeof p->registered);
  fields_string(&f, "question", p->question, sizeof p->question);
  fields_string(&f, "cell", p->cell, sizeof p->cell);
  fields_string(&f, "a", p->a, sizeof p->a);
  fields_string(&f, "b", p->b, sizeof p->b);
  fields_string(&f, "region", p->region, sizeof p->region);
  p->kind = catalog_kind_find(fields_word(&f, "kind"));
  p->delta = above_zero(&f, "delta", 1);
  p->half_width = above_zero(&f, "half_width", 1);
  p->min_processes = fields_int64(&f, "min_processes", 1, 64);
  p->min_runs = fields_int64(&f, "min_runs", 1, 1000000);
  p->resamples = fields_int64(&f, "resamples", 1000, 1000000);
  p->seed = (uint64_t)fields_int64(&f, "seed", 1, INT64_MAX);
  PFL_TRY(f.status);
  if (p->kind == BENCH_PRICE_KIND_COUNT)
    fields_refuse(&f, "kind", "a kind of price: on-demand, spot, ...");
  if (catalog_day(p->registered) == INT64_MIN)
    fields_refuse(&f, "registered", "a day, YYYY-MM-DD");
  if (!strcmp(p->a, p->b)) fields_refuse(&f, "b", "another device than a");
  return f.status;
}

static pfl_status read_text(const char *path, base_text *out_text,
                            pfl_error *error) {
  base_file file;
  PFL_TRY(base_file_open(path, &file, error));
  pfl_status status = PFL_STATUS_OK;
  char bytes[PLAN_BYTES_MAX];
  if (file.size > PLAN_BYTES_MAX)
    status = base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                            "it has %lld bytes: must be at most %d",
                            (long long)file.size, PLAN_BYTES_MAX);
  else
    status = base_file_read(&file, bytes, file.size, 0, error);
  if (status == PFL_STATUS_OK)
    base_text_add(out_text, bytes, (size_t)file.size);
  base_file_close(&file);
  return status == PFL_STATUS_OK ? base_text_check(out_text, error) : status;
}

static pfl_status read_file(const char *path, bench_plan *plan,
                            pfl_error *error) {
  static const pfl_allocator allocator = {0};
  base_text text = {0};
  json_document document = {0};
  pfl_status status = read_text(path, &text, error);
  if (status == PFL_STATUS_OK)
    status = json_parse(base_text_get(&text), text.length, &allocator,
                        &document, error);
  if (status == PFL_STATUS_OK)
    status = read_members(document.root, plan, error);
  uint8_t digest[SHA256_SIZE];
  sha256(base_text_get(&text), text.length, digest);
  sha256_hex(digest, plan->hash);
  json_release(&document);
  base_text_release(&text);
  return status;
}

pfl_status plan_read(const char *path, bench_plan *out_plan, pfl_error *error) {
  char shipped[PATH_SIZE], words[PFL_MESSAGE_SIZE];
  pfl_error inner;
  *out_plan = (bench_plan){0};
  if (!path) {
    if (!shipped_find("data", "plan.json", shipped, sizeof shipped))
      PFL_RAISE(error, NOT_FOUND, "no plan.json in $%s, or above the program",
                shipped_variable("data"));
    path = shipped;
  }
  pfl_status status = read_file(path, out_plan, &inner);
  if (status == PFL_STATUS_OK) return PFL_STATUS_OK;
  *out_plan = (bench_plan){0};
  snprintf(words, sizeof words, "%s", inner.message);
  if (strstr(words, path)) return base_error_set(error, status, "%s", words);
  return base_error_set(error, status, "%.200s: %s", path, words);
}

void plan_write(const bench_plan *plan, json_writer *json) {
  json_write_string(json, "sha256", plan->hash);
  json_write_string(json, "registered", plan->registered);
  json_write_string(json, "question", plan->question);
  json_write_string(json, "cell", plan->cell);
  json_write_string(json, "a", plan->a);
  json_write_string(json, "b", plan->b);
  json_write_string(json, "kind", catalog_kind_name(plan->kind));
  json_write_string(json, "region", plan->region);
  json_write_double(json, "delta", plan->delta);
  json_write_double(json, "half_width", plan->half_width);
  json_write_int64(json, "min_processes", plan->min_processes);
  json_write_int64(json, "min_runs", plan->min_runs);
  json_write_int64(json, "resamples", plan->resamples);
  json_write_int64(json, "seed", (int64_t)plan->seed);
}
