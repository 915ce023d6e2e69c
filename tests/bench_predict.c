/* bench_predict: what the benchmark predicts of a v5e-4, through the real
 * compiler and the cycle model. Exit code 77 where there is no compiler. */
#include "bench/provider.h"
#include "directory.h"

#define DATA PFLASH_TESTS_DIR "/../bench/data"

static bench_catalog catalog;
static bench_provider provider;
static bool missing;

static bench_workload workload(bench_op op, int64_t length, pfl_dtype cache) {
  bool decode = op == BENCH_OP_DECODE;
  return (bench_workload){.model = "",
                          .layers = 1,
                          .op = op,
                          .batch = 1,
                          .q_heads = 8,
                          .kv_heads = 8,
                          .q_length = decode ? 1 : length,
                          .kv_length = length,
                          .head_dim = 128,
                          .causal = !decode,
                          .dtype = PFL_DTYPE_BF16,
                          .cache_dtype = cache};
}

static bench_estimate ask(const bench_workload *w) {
  bench_estimate e;
  CHECK_NEED(!provider.estimate(&provider, w, &e, NULL));
  return e;
}

/* Predicted, above what the peaks allow, widened by the model's error; and
 * nothing is left in the directory. */
static bench_estimate check_prediction(const bench_workload *w) {
  bench_estimate e = ask(w);
  double error = catalog.model_error.worst;
  CHECK(!*e.reason && e.evidence == BENCH_EVIDENCE_PREDICTED, "%s; %s",
        e.reason, e.how);
  CHECK(e.seconds.value >= e.bound_seconds && e.seconds.value < 1, "%g s, %g s",
        e.seconds.value, e.bound_seconds);
  CHECK(fabs(e.seconds.high / e.seconds.value - 1 - error) < 1e-9, "%g to %g s",
        e.seconds.low, e.seconds.high);
  CHECK(files_in_directory() == 0, "%d files are left", files_in_directory());
  return e;
}

static void test_forward(void) {
  bench_workload w = workload(BENCH_OP_FORWARD, 256, PFL_DTYPE_BF16);
  bench_estimate first = ask(&w);
  missing = strstr(first.how, "no TPU compiler") != NULL;
  if (missing) return;
  CHECK(*provider_schedule_compiler(&provider), "who compiled");
  double again = check_prediction(&w).seconds.value;
  CHECK(again == first.seconds.value, "%g s, then %g s", first.seconds.value,
        again);
  /* sixteen times the pairs take longer */
  w = workload(BENCH_OP_FORWARD, 1024, PFL_DTYPE_BF16);
  double longer = check_prediction(&w).seconds.value;
  CHECK(longer > 1.5 * again, "%g and %g s", again, longer);
}

/* Lengths, which decode reads into its scalar side, are those of full caches;
 * the four chips run jointly. */
static void test_decode(void) {
  if (missing) return;
  bench_workload w = workload(BENCH_OP_DECODE, 4096, PFL_DTYPE_BF16);
  double some = check_prediction(&w).seconds.value;
  w = workload(BENCH_OP_DECODE, 8192, PFL_DTYPE_BF16);
  double more = check_prediction(&w).seconds.value;
  CHECK(more > some, "%g and %g s", some, more);
}

/* What was predicted once is not compiled again: nothing could be, here. */
static void test_kept(void) {
  if (missing) return;
  char cache[300];
  const char *compiler = getenv("PFLASH_COMPILER");
  char *known = compiler ? strdup(compiler) : NULL;
  bench_workload w = workload(BENCH_OP_FORWARD, 256, PFL_DTYPE_BF16);
  snprintf(cache, sizeof cache, "%s/cache", directory);
  CHECK_NEED(!setenv("PFLASH_CACHE", cache, 1));
  double first = ask(&w).seconds.value;
  CHECK_NEED(!setenv("PFLASH_COMPILER", "/no/compiler", 1));
  bench_estimate again = ask(&w);
  CHECK(again.evidence == BENCH_EVIDENCE_PREDICTED &&
            again.seconds.value == first,
        "%g s, then %g s: %s", first, again.seconds.value, again.how);
  CHECK(*provider_schedule_compiler(&provider), "who compiled");
  w.kv_heads = 4;
  CHECK(ask(&w).evidence == BENCH_EVIDENCE_ROOFLINE, "another was kept");
  if (known) CHECK_NEED(!setenv("PFLASH_COMPILER", known, 1));
  if (!known) CHECK_NEED(!unsetenv("PFLASH_COMPILER"));
  free(known);
  CHECK_NEED(!setenv("PFLASH_CACHE", "", 1));
  folder_remove(in_directory("cache/predictions"));
  folder_remove(cache);
}

/* What there is no kernel for has a roofline, which says why. */
static void test_no_kernel(void) {
  if (missing) return;
  bench_workload w = workload(BENCH_OP_FORWARD, 512, PFL_DTYPE_BF16);
  w.head_dim = 100;
  w.q_heads = w.kv_heads = 1;
  bench_estimate e = ask(&w);
  CHECK(!*e.reason, "%s", e.reason);
  CHECK(e.evidence == BENCH_EVIDENCE_PREDICTED ||
            (e.evidence == BENCH_EVIDENCE_ROOFLINE &&
             strstr(e.how, "not predicted: ")),
        "%s", e.how);
  w.dtype = w.cache_dtype = PFL_DTYPE_F16;
  CHECK(*ask(&w).reason, "a v5e has no f16");
}

int main(void) {
  directory_make();
  CHECK_NEED(!setenv("PFLASH_CACHE", "", 1));
  CHECK_NEED(!catalog_open(DATA, NULL, &catalog, NULL));
  CHECK_NEED(!provider_schedule(&catalog, directory, &provider, NULL));
  int failed = CHECK_RUN(test_forward, test_decode, test_no_kernel, test_kept);
  provider_close(&provider);
  catalog_close(&catalog);
  directory_remove();
  return failed ? failed : missing ? 77 : 0;
}
