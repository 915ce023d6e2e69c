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

static pfl_status act(void *self, int64_t times, double *out_seconds,
                      pfl_error *error) {
  actor *who = self;
  for (int64_t i = 0; i < times; i++) {
    if (ran + 1 < sizeof order) order[ran++] = who->letter;
    if (++who->runs == who->fail_at)
      PFL_RAISE(error, ABORTED, "%c had enough", who->letter);
  }
  *out_seconds = who->seconds * (double)times;
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
  CHECK(sa.samples.count == 4 && sb.samples.count == 4 && sl.samples.count == 4,
        "%lld runs", (long long)sa.samples.count);
  CHECK(fabs(sb.samples.total - 1.2) < 1e-12 && sb.samples.first == 0.3, "%g s",
        sb.samples.total);
  for (int i = 0; i < 3; i++) samples_release(&all[i]->samples);
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
  CHECK(
      sa.samples.count == 3 && sb.samples.count == 13 && sl.samples.count == 1,
      "%lld %lld %lld", (long long)sa.samples.count,
      (long long)sb.samples.count, (long long)sl.samples.count);
  for (int i = 0; i < 3; i++) samples_release(&all[i]->samples);
}

static int64_t runs_with(double seconds, bench_effort effort, int *out_warm) {
  actor a = {'a', seconds};
  measure_series series = series_of(&a, false), *all[] = {&series};
  measure(all, 1, &effort);
  int64_t count = series.samples.count;
  *out_warm = a.runs - (int)count;
  for (int64_t i = 0; i < count; i++)
    CHECK(series.samples.seconds[i] == seconds, "run %lld: %g", (long long)i,
          series.samples.seconds[i]);
  samples_release(&series.samples);
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
    CHECK(sa.samples.count == 5 && sa.status == PFL_STATUS_OK, "%lld runs",
          (long long)sa.samples.count);
    CHECK(sb.status == PFL_STATUS_ABORTED && b.runs == at, "%d runs", b.runs);
    CHECK(sb.samples.count == (at > 1 ? at - 2 : 0), "%lld counted",
          (long long)sb.samples.count);
    CHECK(!strcmp(sb.error.message, "b had enough"), "%s", sb.error.message);
    samples_release(&sa.samples);
    samples_release(&sb.samples);
  }
}

/* Rule 23: runs shorter than a region may be are timed some at a time, and a
 * sample is the mean of one. */
static void test_batches(void) {
  actor a = {'a', 0.002}, limit = {'L', 0.0001};
  measure_series sa = series_of(&a, false), sl = series_of(&limit, true);
  measure_series *all[] = {&sa, &sl};
  bench_effort effort = {
      .min_runs = 6, .max_seconds = 60, .least_seconds = 0.0101};
  measure(all, 2, &effort);
  CHECK(sa.samples.batch == 6 && sl.samples.batch == 1, "%lld at a time",
        (long long)sa.samples.batch);
  CHECK(sa.samples.count == 6 && fabs(sa.samples.total - 0.072) < 1e-12,
        "%lld samples, %g s", (long long)sa.samples.count, sa.samples.total);
  for (int i = 0; i < 6; i++)
    CHECK(sa.samples.seconds[i] == 0.002, "%g s", sa.samples.seconds[i]);
  for (int i = 0; i < 2; i++) samples_release(&all[i]->samples);
}

/* Rule 40: runs go on until the mean is known as well as is asked, or the time
 * is up. */
static pfl_status act_by_turns(void *self, int64_t times, double *out_seconds,
                               pfl_error *error) {
  actor *who = self;
  (void)error;
  *out_seconds = who->seconds * (double)times * (who->runs++ % 2 ? 1.1 : 0.9);
  return PFL_STATUS_OK;
}

static void test_half_width(void) {
  static const struct {
    double half_width, max_seconds;
    int64_t least, most;
  } cases[] = {
      {0, 100, 5, 5},        /* not asked */
      {0.5, 100, 5, 5},      /* reached at once */
      {0.05, 100, 19, 21},   /* 0.1 t / sqrt n: 20 runs give 0.048 */
      {0.001, 0.99, 10, 11}, /* never: the time is up */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    actor a = {'a', 0.1};
    measure_series series = {.subject = {&a, act_by_turns, getpid(), false}};
    measure_series *all[] = {&series};
    bench_effort effort = {.min_runs = 5,
                           .max_seconds = cases[i].max_seconds,
                           .half_width = cases[i].half_width};
    measure(all, 1, &effort);
    CHECK(series.samples.count >= cases[i].least &&
              series.samples.count <= cases[i].most,
          "case %zu: %lld runs", i, (long long)series.samples.count);
    samples_release(&series.samples);
  }
}

static void test_clean_runs(void) {
  double seconds[] = {1, 1, 1, 1e-3, 1e-3};
  double waited[] = {0, 0.0199, 0.0202, 6e-5, 8e-5};
  bench_samples samples = {.count = 5, .seconds = seconds, .waited = waited};
  CHECK(samples_clean(&samples) == 3, "%lld clean",
        (long long)samples_clean(&samples));
  waited[3] = -1;
  CHECK(samples_clean(&samples) == -1, "unknown");
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
                   test_batches, test_half_width, test_clean_runs, test_waiting,
                   test_machine);
}
