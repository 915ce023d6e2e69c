/* Taking turns: order, effort, failures; with subjects whose times are made
 * up, so that nothing depends on the machine. */
#include "bench/measure.h"

#include <unistd.h>

#include "bench/machine.h"
#include "check.h"

static char order[4096]; /* who ran, as letters */
static size_t ran;

typedef struct actor {
  char letter;
  double seconds; /* that each run claims to have taken */
  int fail_at;    /* the run, from 1, that fails; 0: none */
  int runs;
} actor;

static pfl_status act(void *self, double *out_seconds, pfl_error *error) {
  actor *who = self;
  if (ran + 1 < sizeof order) order[ran++] = who->letter;
  if (++who->runs == who->fail_at)
    PFL_RAISE(error, ABORTED, "%c had enough", who->letter);
  *out_seconds = who->seconds;
  return PFL_STATUS_OK;
}

static measure_series series_of(actor *who, bool companion) {
  return (measure_series){.subject = {who, act, getpid(), companion}};
}

static void measure(measure_series *const *series, int count,
                    const bench_effort *effort) {
  pfl_error error;
  memset(order, 0, sizeof order);
  ran = 0;
  CHECK_NEED(measure_in_turns(series, count, effort, &error) == PFL_STATUS_OK);
}

/* One warm-up each, then a b L, L b a, a b L, ... */
static void test_turns(void) {
  actor a = {'a', 0.2}, b = {'b', 0.3}, limit = {'L', 0.02};
  measure_series sa = series_of(&a, false), sb = series_of(&b, false),
                 sl = series_of(&limit, true);
  measure_series *all[] = {&sa, &sb, &sl};
  bench_effort effort = {.min_runs = 4, .max_seconds = 60};
  measure(all, 3, &effort);
  CHECK(!strcmp(order,
                "abL"
                "abLLbaabLLba"),
        "%s", order);
  CHECK(sa.count == 4 && sb.count == 4 && sl.count == 4, "%lld runs",
        (long long)sa.count);
  CHECK(fabs(sb.total - 1.2) < 1e-12 && sb.first == 0.3, "%g s", sb.total);
  for (int i = 0; i < 3; i++) measure_release(all[i]);
}

/* Blocks of runs until 50 ms are full; the first of a block of short runs is
 * not counted, and a limit runs once a block. */
static void test_blocks(void) {
  actor a = {'a', 0.02}, b = {'b', 0.004}, limit = {'L', 0.001};
  measure_series sa = series_of(&a, false), sb = series_of(&b, false),
                 sl = series_of(&limit, true);
  measure_series *all[] = {&sa, &sb, &sl};
  bench_effort effort = {
      .min_runs = 3, .max_seconds = 60, .block_seconds = 0.05};
  measure(all, 3, &effort);
  CHECK(!strcmp(order,
                "abL"
                "aaa"
                "bbbbbbbbbbbbbb"
                "L"),
        "%s", order);
  CHECK(sa.count == 3 && sb.count == 13 && sl.count == 1, "%lld %lld %lld",
        (long long)sa.count, (long long)sb.count, (long long)sl.count);
  for (int i = 0; i < 3; i++) measure_release(all[i]);
}

static int64_t runs_with(double seconds, bench_effort effort, int *out_warm) {
  actor a = {'a', seconds};
  measure_series series = series_of(&a, false), *all[] = {&series};
  measure(all, 1, &effort);
  int64_t count = series.count;
  *out_warm = a.runs - (int)count;
  for (int64_t i = 0; i < count; i++)
    CHECK(series.seconds[i] == seconds, "run %lld: %g", (long long)i,
          series.seconds[i]);
  measure_release(&series);
  return count;
}

static void test_effort(void) {
  int warm;
  /* 10 runs are more than 1 s of them, and the other way round */
  CHECK(runs_with(0.5, (bench_effort){10, 1, 100}, &warm) == 10, "min_runs");
  CHECK(runs_with(0.0625, (bench_effort){10, 1, 100}, &warm) == 16,
        "min_seconds");
  CHECK(warm == 1, "%d warm runs", warm);
  /* a warm-up of 1 s; nothing beyond 5 s, though min_runs is not reached */
  CHECK(runs_with(0.25, (bench_effort){3, 0, 100, 1}, &warm) == 3, "warm");
  CHECK(warm == 4, "%d warm runs", warm);
  CHECK(runs_with(2, (bench_effort){10, 1, 5}, &warm) == 3, "max_seconds");
}

/* Who fails is left out; the others are measured to the end. */
static void test_failure(void) {
  for (int at = 1; at <= 4; at++) {
    actor a = {'a', 0.2}, b = {'b', 0.2, at};
    measure_series sa = series_of(&a, false), sb = series_of(&b, false);
    measure_series *all[] = {&sb, &sa};
    bench_effort effort = {.min_runs = 5, .max_seconds = 60};
    measure(all, 2, &effort);
    CHECK(sa.count == 5 && sa.status == PFL_STATUS_OK, "%lld runs",
          (long long)sa.count);
    CHECK(sb.status == PFL_STATUS_ABORTED && b.runs == at, "%d runs", b.runs);
    CHECK(sb.count == (at > 1 ? at - 2 : 0), "%lld counted",
          (long long)sb.count);
    CHECK(!strcmp(sb.error.message, "b had enough"), "%s", sb.error.message);
    measure_release(&sa);
    measure_release(&sb);
  }
}

static void test_clean_runs(void) {
  double seconds[] = {1, 1, 1, 1e-3, 1e-3};
  double waited[] = {0, 0.0199, 0.0202, 6e-5, 8e-5};
  measure_series series = {.count = 5, .seconds = seconds, .waited = waited};
  CHECK(measure_clean_runs(&series) == 3, "%lld clean",
        (long long)measure_clean_runs(&series));
  waited[3] = -1;
  CHECK(measure_clean_runs(&series) == -1, "unknown");
}

/* A process that has been kept from its CPU knows. */
static void test_waiting(void) {
  double waited = machine_waited(getpid()), start = machine_now();
  if (waited < 0) return; /* the system does not say */
  while (machine_now() - start < 0.05) continue;
  double later = machine_waited(getpid());
  CHECK(later >= waited && later < 60, "%g then %g", waited, later);
  CHECK(machine_waited(999999999) == -1, "no such process");
}

static void test_machine(void) {
  bench_machine machine;
  machine_describe(&machine);
  CHECK(*machine.cpu && *machine.kernel, "%s, %s", machine.cpu, machine.kernel);
  CHECK(machine.cpus >= 1 && machine.page_bytes >= 4096 &&
            machine.memory_bytes > 1 << 20 && machine.cache_bytes >= 0,
        "%lld CPUs", (long long)machine.cpus);
  CHECK(machine.clock_resolution > 0 && machine.clock_resolution < 1e-3, "%g s",
        machine.clock_resolution);
  char utc[MACHINE_UTC_SIZE];
  machine_utc(utc);
  CHECK(strlen(utc) == 20 && utc[4] == '-' && utc[10] == 'T' && utc[19] == 'Z',
        "%s", utc);
  double start = machine_now();
  machine_sleep(0.01);
  CHECK(machine_now() - start >= 0.01, "slept %g s", machine_now() - start);
}

int main(void) {
  return CHECK_RUN(test_turns, test_blocks, test_effort, test_failure,
                   test_clean_runs, test_waiting, test_machine);
}
