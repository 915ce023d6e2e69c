/* The table of rows, and the limits they are held against. */
#include "bench/workloads.h"
#include "check.h"

static bool has(bench_suite suite, const bench_workload *wanted) {
  bench_workload w;
  for (int64_t i = 0; bench_workload_get(suite, i, &w); i++)
    if (bench_workload_equal(&w, wanted)) return true;
  return false;
}

static void test_suites(void) {
  bench_workload w, other;
  char name[BENCH_NAME_SIZE], other_name[BENCH_NAME_SIZE];
  for (int s = 0; s < BENCH_SUITE_COUNT; s++) {
    bench_suite suite = (bench_suite)s;
    CHECK(bench_suite_find(bench_suite_name(suite)) == suite, "%s",
          bench_suite_name(suite));
    CHECK(bench_workload_count(suite) > 0, "%s is empty",
          bench_suite_name(suite));
    CHECK(bench_suite_effort(suite).min_runs >= 6,
          "%s: too few runs for an interval", bench_suite_name(suite));
    for (int64_t i = 0; bench_workload_get(suite, i, &w); i++) {
      CHECK(bench_model_find(w.model) &&
                !strcmp(bench_model_find(w.model), w.model),
            "model %s", w.model);
      if (suite != BENCH_SUITE_SMOKE && *w.model && suite != BENCH_SUITE_QUICK)
        CHECK(has(BENCH_SUITE_FULL, &w), "%s is not in full",
              bench_workload_name(&w, name));
      for (int64_t k = 0; k < i; k++) {
        CHECK_NEED(bench_workload_get(suite, k, &other));
        CHECK(strcmp(bench_workload_name(&w, name),
                     bench_workload_name(&other, other_name)),
              "%s twice in %s", name, bench_suite_name(suite));
      }
    }
  }
  CHECK(bench_suite_find("quickly") == BENCH_SUITE_COUNT, "a stranger");
  CHECK(bench_suite_find("") == BENCH_SUITE_COUNT, "the empty name");
  CHECK(!bench_model_find("gpt-5"), "a stranger");
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_QUICK, i, &w); i++)
    CHECK(*w.model || has(BENCH_SUITE_CPU, &w), "quick row %lld is not in cpu",
          (long long)i);
}

static bool find_named(bench_suite suite, const char *wanted,
                       bench_workload *out) {
  char name[BENCH_NAME_SIZE];
  for (int64_t i = 0; bench_workload_get(suite, i, out); i++)
    if (!strcmp(bench_workload_name(out, name), wanted)) return true;
  return false;
}

/* Every row of the plan: forward in three dtypes, backward in two, each full
 * and causal; decode at two lengths in three. */
static void test_cpu_is_complete(void) {
  static const char *const wanted[] = {
      "forward full 2048 f32",    "forward full 2048 bf16",
      "forward full 2048 f16",    "forward causal 2048 f32",
      "forward causal 2048 bf16", "forward causal 2048 f16",
      "backward full 2048 f32",   "backward full 2048 bf16",
      "backward causal 2048 f32", "backward causal 2048 bf16",
      "decode 8192 f32",          "decode 8192 bf16",
      "decode 8192 int8",         "decode 32768 f32",
      "decode 32768 bf16",        "decode 32768 int8"};
  int64_t count = (int64_t)(sizeof wanted / sizeof *wanted);
  bench_workload w;
  CHECK(bench_workload_count(BENCH_SUITE_CPU) == count, "%lld rows",
        (long long)bench_workload_count(BENCH_SUITE_CPU));
  for (int64_t n = 0; n < count; n++)
    CHECK(find_named(BENCH_SUITE_CPU, wanted[n], &w), "%s", wanted[n]);
}

/* The six models, with their windows, caps and sinks where they have them. */
static void test_models(void) {
  static const struct {
    bench_suite suite;
    const char *name;
    int64_t layers, q_heads, kv_heads, head_dim, window;
    double softcap;
    bool sinks;
  } cases[] = {
      {BENCH_SUITE_KERNEL, "llama-2-7b forward 4096 bf16", 32, 32, 32, 128},
      {BENCH_SUITE_KERNEL, "llama-3-8b decode 8192 bf16", 32, 32, 8, 128},
      {BENCH_SUITE_KERNEL, "qwen3-8b backward 4096 bf16", 36, 32, 8, 128},
      /* a window of the length is none: all 42 layers are alike */
      {BENCH_SUITE_KERNEL, "gemma-2-9b forward 4096 bf16", 42, 16, 8, 256, 0,
       50},
      {BENCH_SUITE_TRAINING, "gemma-2-9b forward 8192 bf16", 21, 16, 8, 256, 0,
       50},
      {BENCH_SUITE_TRAINING, "gemma-2-9b backward w4096 8192 bf16", 21, 16, 8,
       256, 4096, 50},
      {BENCH_SUITE_DECODE, "gemma-2-9b decode w4096 32768 bf16", 21, 16, 8, 256,
       4096, 50},
      {BENCH_SUITE_KERNEL, "mistral-7b forward 4096 bf16", 32, 32, 8, 128},
      {BENCH_SUITE_DECODE, "mistral-7b decode w4096 8192 x16 int8", 32, 32, 8,
       128, 4096},
      {BENCH_SUITE_KERNEL, "gpt-oss-20b forward w128 4096 bf16", 12, 64, 8, 64,
       128, 0, true},
      {BENCH_SUITE_DECODE, "gpt-oss-20b decode 2048 x16 bf16", 12, 64, 8, 64, 0,
       0, true},
      {BENCH_SUITE_QUICK, "llama-3-8b decode 8192 x8 bf16", 32, 32, 8, 128},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench_workload w;
    CHECK(find_named(cases[i].suite, cases[i].name, &w), "no %s",
          cases[i].name);
    CHECK(w.layers == cases[i].layers && w.q_heads == cases[i].q_heads &&
              w.kv_heads == cases[i].kv_heads &&
              w.head_dim == cases[i].head_dim && w.window == cases[i].window &&
              w.softcap == cases[i].softcap && w.sinks == cases[i].sinks,
          "%s: %lld layers, window %lld", cases[i].name, (long long)w.layers,
          (long long)w.window);
  }
}

static bench_workload find(bench_op op, bool causal, pfl_dtype cache,
                           int64_t length) {
  bench_workload w;
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_CPU, i, &w); i++)
    if (w.op == op && w.causal == causal && w.cache_dtype == cache &&
        w.kv_length == length)
      return w;
  CHECK_NEED(!"a row of the suite");
  return w;
}

static double work_of(bench_op op, bool causal, pfl_dtype cache,
                      int64_t length) {
  bench_workload w = find(op, causal, cache, length);
  return bench_workload_work(&w);
}

static void test_work(void) {
  double forward = 4.0 * 8 * 2048 * 2048 * 128;
  CHECK(work_of(BENCH_OP_FORWARD, false, PFL_DTYPE_F32, 2048) == forward,
        "forward");
  CHECK(work_of(BENCH_OP_FORWARD, true, PFL_DTYPE_F16, 2048) == forward / 2,
        "causal");
  CHECK(work_of(BENCH_OP_BACKWARD, true, PFL_DTYPE_BF16, 2048) ==
            forward / 2 * 2.5,
        "backward");
  CHECK(work_of(BENCH_OP_DECODE, false, PFL_DTYPE_BF16, 8192) ==
            2.0 * 8 * 8192 * 128 * 2,
        "decode");
  CHECK(work_of(BENCH_OP_DECODE, false, PFL_DTYPE_I8, 32768) ==
            2.0 * 8 * 32768 * (128 + 4),
        "decode of an int8 cache with its scales");
}

/* Windows, batches, bytes and tokens, by hand. */
static void test_costs(void) {
  bench_workload w = {.model = "",
                      .layers = 1,
                      .op = BENCH_OP_FORWARD,
                      .batch = 2,
                      .q_heads = 4,
                      .kv_heads = 2,
                      .q_length = 10,
                      .kv_length = 10,
                      .head_dim = 16,
                      .causal = true,
                      .window = 3,
                      .dtype = PFL_DTYPE_BF16,
                      .cache_dtype = PFL_DTYPE_BF16};
  /* rows see 1, 2, 3, 3, ... keys: 27 pairs a head */
  CHECK(bench_workload_flops(&w) == 4.0 * 2 * 4 * 27 * 16, "%g",
        bench_workload_flops(&w));
  CHECK(bench_workload_bytes(&w) == 2.0 * (2 * 80 + 2 * 40) * 16, "%g",
        bench_workload_bytes(&w));
  CHECK(bench_workload_tokens(&w) == 20, "%g", bench_workload_tokens(&w));
  w.op = BENCH_OP_BACKWARD;
  CHECK(bench_workload_flops(&w) == 2.5 * 4.0 * 2 * 4 * 27 * 16, "backward");
  CHECK(bench_workload_bytes(&w) == 2 * 2.0 * (2 * 80 + 2 * 40) * 16,
        "backward");
  w.op = BENCH_OP_DECODE;
  w.q_length = 1;
  w.causal = false;
  /* three keys of ten are read; all ten are kept */
  CHECK(bench_workload_work(&w) == 2.0 * 2 * 2 * 3 * 16 * 2, "%g",
        bench_workload_work(&w));
  CHECK(bench_workload_flops(&w) == 4.0 * 2 * 4 * 3 * 16, "%g",
        bench_workload_flops(&w));
  CHECK(bench_workload_footprint(&w) == 2.0 * (2 * 8 + 2 * 40) * 16, "%g",
        bench_workload_footprint(&w));
  CHECK(bench_workload_tokens(&w) == 2, "%g", bench_workload_tokens(&w));
}

static void test_limits_of_rows(void) {
  bench_workload w;
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_FULL, i, &w); i++) {
    bench_limit with = bench_workload_limit(&w, true);
    bench_limit without = bench_workload_limit(&w, false);
    bool decode = w.op == BENCH_OP_DECODE, bf16 = w.dtype == PFL_DTYPE_BF16;
    CHECK(with == (decode ? BENCH_LIMIT_READ
                   : bf16 ? BENCH_LIMIT_DOT
                          : BENCH_LIMIT_FMA),
          "row %lld", (long long)i);
    CHECK(without == (decode ? BENCH_LIMIT_READ : BENCH_LIMIT_FMA), "row %lld",
          (long long)i);
  }
}

/* A ring whose end is next to nothing that may be read; the sanitizers see
 * when a loop leaves it. Work is counted for the whole ring, from any start. */
static void test_limit_loops(void) {
  static const pfl_allocator allocator = {0};
  limits_kernels kernels = limits_kernels_best();
  base_threads *threads;
  CHECK_NEED(base_threads_create(&allocator, 2, &threads, NULL) ==
             PFL_STATUS_OK);
  for (size_t steps = 1; steps < 3000; steps = 3 * steps + 1) {
    size_t bytes = steps * LIMITS_READ_STEP;
    char *memory = malloc(bytes);
    CHECK_NEED(memory);
    memset(memory, 1, bytes);
    for (size_t start = 0; start < bytes;
         start +=
         bytes / 3 / LIMITS_READ_STEP * LIMITS_READ_STEP + LIMITS_READ_STEP) {
      limits_ring ring = {memory, bytes, start};
      CHECK(limits_run(BENCH_LIMIT_READ, &kernels, threads, &ring) ==
                (double)bytes,
            "%zu bytes from %zu", bytes, start);
    }
    free(memory);
  }
  limits_read_portable(NULL, 0);
  CHECK(limits_fma_portable(10) == 640, "portable multiply-adds");
  CHECK(limits_run(BENCH_LIMIT_FMA, &kernels, threads, NULL) > 0, "FMA");
  if (kernels.dot)
    CHECK(limits_run(BENCH_LIMIT_DOT, &kernels, threads, NULL) > 0, "dot");
  base_threads_destroy(threads);
}

int main(void) {
  return CHECK_RUN(test_suites, test_cpu_is_complete, test_models, test_work,
                   test_costs, test_limits_of_rows, test_limit_loops);
}
