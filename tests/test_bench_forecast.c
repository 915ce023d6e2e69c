/* Forecasts: cells, what follows from them, and what is read back of what was
 * written. What is predicted is not tested here: bench_predict does that. */
#include "bench/fields.h"
#include "bench/report.h"
#include "check.h"

static const pfl_allocator heap;

static void test_cells(void) {
  forecast_cell a, b;
  char name[BENCH_NAME_SIZE], other[BENCH_NAME_SIZE];
  int64_t training = 0, decode = 0, full = 0;
  while (forecast_cell_get(BENCH_SUITE_TRAINING, training, &a)) training++;
  while (forecast_cell_get(BENCH_SUITE_DECODE, decode, &a)) decode++;
  while (forecast_cell_get(BENCH_SUITE_FULL, full, &a)) full++;
  CHECK(training && decode && training + decode == full, "%lld, %lld, %lld",
        (long long)training, (long long)decode, (long long)full);
  CHECK(!forecast_cell_get(BENCH_SUITE_SMOKE, 0, &a), "cells of smoke");
  for (int64_t i = 0; forecast_cell_get(BENCH_SUITE_FULL, i, &a); i++) {
    bench_workload *w = &a.workload;
    CHECK(bench_workload_flops(w) > 0 && bench_workload_bytes(w) > 0, "%s",
          forecast_cell_name(&a, name));
    for (int64_t k = 0; k < i && forecast_cell_get(BENCH_SUITE_FULL, k, &b);
         k++)
      CHECK(a.chips != b.chips ||
                strcmp(forecast_cell_name(&a, name),
                       forecast_cell_name(&b, other)) ||
                w->cache_dtype != b.workload.cache_dtype,
            "two are called %s", name);
  }
}

/* ---- There and back ------------------------------------------------------ */

static void make_side(forecast_side *side, const char *title) {
  *side = (forecast_side){.cycles = (double)check_between(1, 1 << 30),
                          .kernel_cycles = (double)check_between(1, 1 << 30),
                          .warnings = check_between(0, 3)};
  snprintf(side->title, sizeof side->title, "%s", title);
  if (check_between(0, 3) == 0) {
    *side = (forecast_side){.reason = "it is \"not\" there"};
    snprintf(side->title, sizeof side->title, "%s", title);
  }
}

static bench_forecast make_forecast(void) {
  static const char *const titles[] = {"ours 1", "flash 1-2", "splash 3-4",
                                       "paged 5"};
  bench_forecast f = {.model_error = 0.25, .compiler = "a compiler"};
  forecast_cell asked;
  if (check_between(0, 1))
    snprintf(f.peers, sizeof f.peers, "jax 1");
  else
    snprintf(f.peers_reason, sizeof f.peers_reason, "no jax");
  for (int64_t i = 0; forecast_cell_get(BENCH_SUITE_FULL, i, &asked); i++) {
    forecast_cell *cell = forecast_add_cell(&f);
    CHECK_NEED(cell);
    *cell = asked;
    cell->bound_seconds = 1e-6 * check_uniform();
    cell->bound =
        check_between(0, 1) ? BENCH_BOUND_MEMORY : BENCH_BOUND_COMPUTE;
    cell->side_count = (int)check_between(1, FORECAST_SIDES_MAX);
    for (int k = 0; k < cell->side_count; k++)
      make_side(&cell->sides[k], titles[k]);
  }
  return f;
}

static base_text written(const bench_forecast *f) {
  base_text text = {0};
  json_writer json = {.text = &text};
  json_begin_object(&json, NULL);
  forecast_write(&json, f);
  json_end(&json);
  CHECK_NEED(!base_text_check(&text, NULL));
  return text;
}

static bool is_same_side(const forecast_side *a, const forecast_side *b) {
  return !strcmp(a->title, b->title) && !strcmp(a->reason, b->reason) &&
         a->cycles == b->cycles && a->kernel_cycles == b->kernel_cycles &&
         a->warnings == b->warnings;
}

static void test_read_back(void) {
  for (int i = 0; i < 20; i++) {
    bench_forecast f = make_forecast(), back;
    base_text text = written(&f);
    json_document document;
    CHECK_NEED(!json_parse(text.bytes, text.length, &heap, &document, NULL));
    const json_value *value = json_object_get(document.root, "forecast");
    CHECK_NEED(!forecast_read(value, &back, NULL));
    CHECK(back.cell_count == f.cell_count && back.model_error == 0.25 &&
              !strcmp(back.peers, f.peers) &&
              !strcmp(back.peers_reason, f.peers_reason),
          "%lld of %lld cells", (long long)back.cell_count,
          (long long)f.cell_count);
    for (int64_t n = 0; n < f.cell_count; n++) {
      const forecast_cell *a = &f.cells[n], *b = &back.cells[n];
      CHECK(bench_workload_equal(&a->workload, &b->workload) &&
                a->chips == b->chips && a->bound == b->bound &&
                a->bound_seconds == b->bound_seconds &&
                a->side_count == b->side_count,
            "cell %lld", (long long)n);
      for (int k = 0; k < a->side_count && k < b->side_count; k++)
        CHECK(is_same_side(&a->sides[k], &b->sides[k]), "cell %lld, side %d",
              (long long)n, k);
    }
    json_release(&document);
    base_text_release(&text);
    forecast_release(&f);
    forecast_release(&back);
  }
}

static void test_none(void) {
  bench_forecast none = {0}, back;
  base_text text = written(&none);
  CHECK(!strcmp(text.bytes, "{\"forecast\":null}"), "%s", text.bytes);
  CHECK(!forecast_read(NULL, &back, NULL) && !back.cell_count, "of nothing");
  base_text_release(&text);
}

static void test_refused(void) {
  static const char *const bad[] = {
      "[]", "{}", "{\"model_error\":0.1}",
      "{\"model_error\":0.1,\"compiler\":null,\"peers\":null,"
      "\"peers_skipped\":null,\"cells\":[{}]}",
      "{\"model_error\":-1,\"compiler\":null,\"peers\":null,"
      "\"peers_skipped\":null,\"cells\":[]}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    json_document document;
    bench_forecast back;
    pfl_error error = {0};
    CHECK_NEED(!json_parse(bad[i], strlen(bad[i]), &heap, &document, NULL));
    CHECK(forecast_read(document.root, &back, &error) ==
                  PFL_STATUS_INVALID_ARGUMENT &&
              *error.message,
          "%s was read", bad[i]);
    json_release(&document);
  }
}

/* ---- What follows -------------------------------------------------------- */

/* 4 x 8 x 4096^2 x 128 FLOPs at 131072 a cycle are 524,288 cycles. */
static void test_useful(void) {
  forecast_cell cell;
  CHECK_NEED(forecast_cell_get(BENCH_SUITE_TRAINING, 0, &cell));
  CHECK(forecast_utilisation(&cell, 524288) == 1, "%g of all",
        forecast_utilisation(&cell, 524288));
  cell.workload.causal = true;
  CHECK(forecast_utilisation(&cell, 524288) == 0.5, "causal is half");
  cell.chips = 4;
  CHECK(forecast_utilisation(&cell, 524288) == 0.125, "four chips have more");
  CHECK(fabs(predict_seconds(1500) - 1e-6) < 1e-15, "%g s for 1500 cycles",
        predict_seconds(1500));
}

static void test_best(void) {
  forecast_cell cell = {.side_count = 4};
  cell.sides[0].cycles = 1;
  cell.sides[1] = (forecast_side){.reason = "no", .cycles = 2};
  cell.sides[2].cycles = 4;
  cell.sides[3].cycles = 3;
  CHECK(forecast_best_peer(&cell) == &cell.sides[3], "the fastest that is");
  cell.side_count = 2;
  CHECK(!forecast_best_peer(&cell), "there is none");
}

int main(void) {
  return CHECK_RUN(test_cells, test_read_back, test_none, test_refused,
                   test_useful, test_best);
}
