/* What other devices are said to take: rooflines from the tables, estimates
 * through the report and back, plans. Predictions need the TPU's compiler and
 * have a test of their own (bench_predict.py). */
#include "bench/economy_json.h"
#include "bench/estimate.h"
#include "bench/report.h"
#include "directory.h"

#define DATA PFLASH_TESTS_DIR "/../bench/data"

static bench_workload llama(bench_op op, pfl_dtype dtype) {
  bool decode = op == BENCH_OP_DECODE;
  return (bench_workload){.model = bench_model_find("llama-3-8b"),
                          .layers = 32,
                          .op = op,
                          .batch = 1,
                          .q_heads = 32,
                          .kv_heads = 8,
                          .q_length = decode ? 1 : 4096,
                          .kv_length = 4096,
                          .head_dim = 128,
                          .causal = !decode,
                          .dtype = dtype,
                          .cache_dtype = dtype};
}

static bench_catalog catalog;

static bench_estimate ask(const char *chip, int64_t chips,
                          const bench_workload *w) {
  bench_provider provider;
  bench_estimate e;
  CHECK_NEED(!provider_roofline(&catalog, (economics_unit){chip, chips},
                                &provider, NULL));
  CHECK_NEED(!provider.estimate(&provider, w, &e, NULL));
  provider_close(&provider);
  return e;
}

static bool close_to(double a, double b) { return fabs(a / b - 1) < 1e-12; }

/* By hand: 137.4 GFLOP on an L4 at 39 to 75 % of 121 TFLOP/s. */
static void test_roofline(void) {
  bench_workload w = llama(BENCH_OP_FORWARD, PFL_DTYPE_BF16);
  double flops = 4.0 * 32 * 4096 * 4096 * 128 / 2;
  bench_estimate e = ask("L4", 1, &w);
  CHECK(economy_estimated(&e) && e.evidence == BENCH_EVIDENCE_ROOFLINE, "%s",
        e.reason);
  CHECK(e.bound == BENCH_BOUND_COMPUTE &&
            close_to(e.bound_seconds, flops / 121e12),
        "%g s", e.bound_seconds);
  CHECK(close_to(e.seconds.low, flops / 121e12 / 0.75) &&
            close_to(e.seconds.high, flops / 121e12 / 0.39),
        "%g to %g s", e.seconds.low, e.seconds.high);
  /* decode reads 16.8 MB and a row each of q and o */
  w = llama(BENCH_OP_DECODE, PFL_DTYPE_BF16);
  double bytes = 2.0 * 8 * 4096 * 128 * 2 + 2.0 * 32 * 128 * 2;
  e = ask("L4", 1, &w);
  CHECK(
      e.bound == BENCH_BOUND_MEMORY && close_to(e.bound_seconds, bytes / 300e9),
      "%g s", e.bound_seconds);
  /* four chips take a quarter */
  double one = ask("v5e", 1, &w).bound_seconds;
  CHECK(close_to(ask("v5e", 4, &w).bound_seconds * 4, one), "a slice");
}

/* No rate, another float, no room: said, not guessed (rules 11, 14). */
static void test_what_cannot_be(void) {
  bench_workload w = llama(BENCH_OP_FORWARD, PFL_DTYPE_F32);
  CHECK(
      strstr(ask("L4", 1, &w).reason, "no rate of NVIDIA L4 is known for f32"),
      "%s", ask("L4", 1, &w).reason);
  w = llama(BENCH_OP_FORWARD, PFL_DTYPE_F16);
  CHECK(economy_estimated(&(bench_estimate[]){ask("L4", 1, &w)}[0]), "f16");
  CHECK(strstr(ask("v5e", 4, &w).reason, "f16"), "a v5e has no f16");
  w = llama(BENCH_OP_FORWARD, PFL_DTYPE_BF16);
  CHECK(strstr(ask("T4", 1, &w).how, "it has no bf16"), "%s",
        ask("T4", 1, &w).how);
  w = llama(BENCH_OP_DECODE, PFL_DTYPE_BF16);
  w.batch = 2048; /* 34 GB */
  CHECK(strstr(ask("L4", 1, &w).reason, "infeasible"), "%s",
        ask("L4", 1, &w).reason);
  CHECK(!*ask("L40S", 1, &w).reason, "%s", ask("L40S", 1, &w).reason);
  bench_provider provider;
  pfl_error error;
  CHECK(provider_roofline(&catalog, (economics_unit){"L5", 1}, &provider,
                          &error) == PFL_STATUS_INVALID_ARGUMENT &&
            strstr(error.message, "L5"),
        "a stranger");
}

/* An estimate never is faster than the bound, whatever the workload. */
static void test_bounds(void) {
  for (int s = 0; s < BENCH_SUITE_COUNT; s++) {
    bench_workload w;
    for (int64_t n = 0; bench_workload_get((bench_suite)s, n, &w); n++)
      for (int64_t i = 0; i < catalog.chip_count; i++) {
        bench_estimate e = ask(catalog.chips[i].key, 1, &w);
        if (!economy_estimated(&e)) continue;
        CHECK(e.bound_seconds > 0 && e.bound_seconds <= e.seconds.low &&
                  e.seconds.low < e.seconds.high,
              "%g, %g, %g s", e.bound_seconds, e.seconds.low, e.seconds.high);
      }
  }
}

/* ---- Through JSON ------------------------------------------------------ */

static void test_estimate_round_trip(void) {
  bench_workload w = llama(BENCH_OP_FORWARD, PFL_DTYPE_BF16);
  bench_estimate estimates[] = {ask("L4", 1, &w), ask("L4", 1, &w),
                                ask("L4", 1, &w)};
  estimates[1].evidence = BENCH_EVIDENCE_PREDICTED;
  estimates[1].seconds = quantity_point(0.125);
  snprintf(estimates[2].reason, sizeof estimates[2].reason, "no \"compiler\"");
  for (int i = 0; i < 3; i++) {
    static const pfl_allocator heap;
    base_text text = {0};
    json_writer json = {.text = &text};
    json_document document;
    economy_write_estimate(&json, NULL, "device", &estimates[i]);
    CHECK_NEED(
        !json_parse(base_text_get(&text), text.length, &heap, &document, NULL));
    const char *device;
    bench_estimate e;
    pfl_error error = {0};
    CHECK(!economy_read_estimate(document.root, &device, &e, &error), "%s",
          error.message);
    CHECK(!strcmp(device, "device") && !strcmp(e.reason, estimates[i].reason),
          "%s", e.reason);
    if (economy_estimated(&e))
      CHECK(e.evidence == estimates[i].evidence &&
                e.seconds.value == estimates[i].seconds.value &&
                quantity_has_interval(e.seconds) ==
                    quantity_has_interval(estimates[i].seconds) &&
                e.bound == estimates[i].bound &&
                !strcmp(e.how, estimates[i].how),
            "case %d", i);
    json_release(&document);
    base_text_release(&text);
  }
}

static void test_wrong_estimates(void) {
  static const char *const cases[] = {
      "[]",
      "{\"device\":1,\"skipped\":null}",
      "{\"device\":\"x\",\"skipped\":null,\"evidence\":\"E\",\"how\":\"\","
      "\"bound\":\"compute\",\"bound_seconds\":1,\"seconds\":{\"value\":1,"
      "\"low\":null,\"high\":null,\"low90\":null,\"high90\":null}}",
      "{\"device\":\"x\",\"skipped\":null,\"evidence\":\"B\",\"how\":\"\","
      "\"bound\":\"luck\",\"bound_seconds\":1,\"seconds\":{\"value\":1,"
      "\"low\":null,\"high\":null,\"low90\":null,\"high90\":null}}",
      "{\"device\":\"x\",\"skipped\":null,\"evidence\":\"B\",\"how\":\"\","
      "\"bound\":\"memory\",\"bound_seconds\":1,\"seconds\":{\"value\":3,"
      "\"low\":1,\"high\":2,\"low90\":1,\"high90\":2}}",
      "{\"device\":\"x\",\"skipped\":null,\"evidence\":\"B\",\"how\":\"\","
      "\"bound\":\"memory\",\"bound_seconds\":1,\"seconds\":{\"value\":0,"
      "\"low\":null,\"high\":null,\"low90\":null,\"high90\":null}}",
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    static const pfl_allocator heap;
    json_document document;
    const char *device;
    bench_estimate e;
    CHECK_NEED(!json_parse(cases[i], strlen(cases[i]), &heap, &document, NULL));
    CHECK(economy_read_estimate(document.root, &device, &e, NULL) ==
              PFL_STATUS_INVALID_ARGUMENT,
          "case %zu", i);
    json_release(&document);
  }
}

/* ---- The economic part of a report ------------------------------------- */

static void test_economy(void) {
  char path[512];
  snprintf(path, sizeof path, "%s", in_directory("r.json"));
  bench_options options = {.suite = "quick",
                           .part = BENCH_PART_ESTIMATED,
                           .json_path = path,
                           .threads = 1};
  report_sources shipped = {0};
  bench_report report;
  pfl_error error = {0};
  CHECK_NEED(!setenv("PFLASH_LIBTPU", "/nowhere/libtpu.so", 1));
  CHECK(!bench_run(&options, &error), "%s", error.message);
  CHECK_NEED(!report_read(path, &shipped, &report, &error));
  const bench_economy *e = &report.economy;
  CHECK(e->device_count == 6 && e->cell_count > 3, "%d devices",
        e->device_count);
  const economy_cell *cell = economy_primary_cell(e);
  int b = economy_primary_device(e);
  CHECK_NEED(cell && b);
  CHECK(!strcmp(e->devices[b].name, "L4"), "%s", e->devices[b].name);
  /* without the compiler A has a roofline, which says so */
  CHECK(cell->estimates[0].evidence == BENCH_EVIDENCE_ROOFLINE &&
            strstr(cell->estimates[0].how, "not predicted"),
        "%s", cell->estimates[0].how);
  for (int64_t i = 0; i < e->cell_count; i++)
    for (int d = 1; d < e->device_count; d++) {
      economics_comparison c;
      CHECK_NEED(economy_compare(e, &e->cells[i], d, &c));
      bench_quantity a = economy_tokens_per_second(&e->cells[i], 0);
      bench_quantity other = economy_tokens_per_second(&e->cells[i], d);
      CHECK(close_to(c.ratio.value, a.value / other.value), "ratio %g",
            c.ratio.value);
      CHECK(close_to(c.ratio.low, a.low / other.high), "bound %g", c.ratio.low);
      CHECK(close_to(c.advantage.value * economy_price(e, 0)->usd_per_hour,
                     c.ratio.value * economy_price(e, d)->usd_per_hour),
            "rho");
      CHECK(economy_is_primary(e, &e->cells[i], d) ==
                (&e->cells[i] == cell && d == b),
            "one is primary");
    }
  /* in December these prices are old */
  CHECK(economy_stale_get(e, catalog_day("2026-12-01"), 0) &&
            !economy_stale_get(e, catalog_day("2026-07-30"), 0),
        "stale");
  report_release(&report);
  CHECK_NEED(!unlink(path));
  CHECK_NEED(!unsetenv("PFLASH_LIBTPU"));
}

/* ---- Plans ------------------------------------------------------------- */

static void test_plan(void) {
  bench_plan plan;
  pfl_error error = {0};
  CHECK(!plan_read(NULL, &plan, &error), "%s", error.message);
  CHECK(plan.delta == 0.05 && plan.half_width == 0.025 &&
            plan.kind == BENCH_PRICE_ON_DEMAND && strlen(plan.hash) == 64,
        "delta %g", plan.delta);
  size_t size;
  char *bytes = get_file(DATA "/plan.json", &size), path[512];
  char *text = realloc(bytes, size + 1);
  CHECK_NEED(text);
  text[size] = 0;
  snprintf(path, sizeof path, "%s", in_directory("plan.json"));
  static const struct {
    const char *from, *to, *words;
  } cases[] = {
      {"0.05", "-1", "delta must be"},
      {"0.05", "0", "delta must be"},
      {"on-demand", "monthly", "kind must be"},
      {"\"L4\"", "\"v5e-4\"", "b must be"},
      {"2026-11-25", "yesterday", "registered must be"},
      {"\"question\"", "\"answer\"", "no member \"answer\""},
      {"pallas-flash/plan", "pallas-flash/bench", "name must be"},
      {"10000", "10", "resamples must be"},
      {"{", "[", "byte"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char changed[4096];
    const char *at = strstr(text, cases[i].from);
    CHECK_NEED(at && size < 2048);
    int length = snprintf(
        changed, sizeof changed, "%.*s%s%.*s", (int)(at - text), text,
        cases[i].to, (int)(size - (size_t)(at - text) - strlen(cases[i].from)),
        at + strlen(cases[i].from));
    put_file(path, changed, (size_t)length);
    CHECK(plan_read(path, &plan, &error) == PFL_STATUS_INVALID_ARGUMENT &&
              strstr(error.message, cases[i].words) &&
              strstr(error.message, path),
          "case %zu: %s", i, error.message);
    CHECK_NEED(!unlink(path));
  }
  CHECK(plan_read(path, &plan, &error) == PFL_STATUS_NOT_FOUND, "no file");
  free(text);
}

int main(void) {
  directory_make();
  CHECK_NEED(!catalog_open(DATA, NULL, &catalog, NULL));
  int failed = CHECK_RUN(test_roofline, test_what_cannot_be, test_bounds,
                         test_estimate_round_trip, test_wrong_estimates,
                         test_economy, test_plan);
  catalog_close(&catalog);
  directory_remove();
  return failed;
}
