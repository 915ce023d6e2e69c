/* The table of rows, and the limits they are held against. */
#include "bench/workloads.h"
#include "check.h"

static int64_t row_count(bench_suite suite) {
  int64_t count = 0;
  while (bench_workload_get(suite, count)) count++;
  return count;
}

static bool has(bench_suite suite, const bench_workload *wanted) {
  for (int64_t i = 0; bench_workload_get(suite, i); i++)
    if (bench_workload_get(suite, i) == wanted) return true;
  return false;
}

static void test_suites(void) {
  for (int i = 0; i < BENCH_SUITE_COUNT; i++) {
    bench_suite suite = (bench_suite)i;
    CHECK(bench_suite_find(bench_suite_name(suite)) == suite, "%s",
          bench_suite_name(suite));
    CHECK(row_count(suite) > 0, "%s is empty", bench_suite_name(suite));
    CHECK(bench_suite_effort(suite).min_runs >= 6,
          "%s: too few runs for an interval", bench_suite_name(suite));
  }
  CHECK(bench_suite_find("quickly") == BENCH_SUITE_COUNT, "a stranger");
  CHECK(bench_suite_find("") == BENCH_SUITE_COUNT, "the empty name");
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_QUICK, i); i++)
    CHECK(has(BENCH_SUITE_CPU, bench_workload_get(BENCH_SUITE_QUICK, i)),
          "quick row %lld is not in cpu", (long long)i);
}

/* Every row of the plan: forward in three dtypes, backward in two, each full
 * and causal; decode at two lengths in three. */
static void test_cpu_is_complete(void) {
  const char *wanted[] = {
      "forward full 2048 f32",    "forward full 2048 bf16",
      "forward full 2048 f16",    "forward causal 2048 f32",
      "forward causal 2048 bf16", "forward causal 2048 f16",
      "backward full 2048 f32",   "backward full 2048 bf16",
      "backward causal 2048 f32", "backward causal 2048 bf16",
      "decode 8192 f32",          "decode 8192 bf16",
      "decode 8192 int8",         "decode 32768 f32",
      "decode 32768 bf16",        "decode 32768 int8"};
  int64_t count = (int64_t)(sizeof wanted / sizeof *wanted);
  CHECK(row_count(BENCH_SUITE_CPU) == count, "%lld rows",
        (long long)row_count(BENCH_SUITE_CPU));
  for (int64_t n = 0; n < count; n++) {
    int found = 0;
    for (int64_t i = 0; bench_workload_get(BENCH_SUITE_CPU, i); i++) {
      const bench_workload *w = bench_workload_get(BENCH_SUITE_CPU, i);
      char title[BENCH_TITLE_SIZE], name[2 * BENCH_TITLE_SIZE];
      snprintf(name, sizeof name, "%s %s", bench_workload_title(w, title),
               bench_workload_dtype(w));
      found += !strcmp(name, wanted[n]);
    }
    CHECK(found == 1, "%s: %d times", wanted[n], found);
  }
}

static const bench_workload *find(bench_op op, bool causal, pfl_dtype cache,
                                  int64_t length) {
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_CPU, i); i++) {
    const bench_workload *w = bench_workload_get(BENCH_SUITE_CPU, i);
    if (w->op == op && w->causal == causal && w->cache_dtype == cache &&
        w->kv_length == length)
      return w;
  }
  CHECK_NEED(!"a row of the suite");
  return NULL;
}

static void test_work(void) {
  double forward = 4.0 * 8 * 2048 * 2048 * 128;
  CHECK(bench_workload_work(
            find(BENCH_OP_FORWARD, false, PFL_DTYPE_F32, 2048)) == forward,
        "forward");
  CHECK(bench_workload_work(
            find(BENCH_OP_FORWARD, true, PFL_DTYPE_F16, 2048)) == forward / 2,
        "causal");
  CHECK(bench_workload_work(find(BENCH_OP_BACKWARD, true, PFL_DTYPE_BF16,
                                 2048)) == forward / 2 * 2.5,
        "backward");
  CHECK(bench_workload_work(find(BENCH_OP_DECODE, false, PFL_DTYPE_BF16,
                                 8192)) == 2.0 * 8 * 8192 * 128 * 2,
        "decode");
  CHECK(bench_workload_work(find(BENCH_OP_DECODE, false, PFL_DTYPE_I8,
                                 32768)) == 2.0 * 8 * 32768 * (128 + 4),
        "decode of an int8 cache with its scales");
}

static void test_limits_of_rows(void) {
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_CPU, i); i++) {
    const bench_workload *w = bench_workload_get(BENCH_SUITE_CPU, i);
    bench_limit with = bench_workload_limit(w, true);
    bench_limit without = bench_workload_limit(w, false);
    bool decode = w->op == BENCH_OP_DECODE, bf16 = w->dtype == PFL_DTYPE_BF16;
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
  return CHECK_RUN(test_suites, test_cpu_is_complete, test_work,
                   test_limits_of_rows, test_limit_loops);
}
