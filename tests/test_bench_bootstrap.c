/* Intervals of ratios and the test of steadiness, on samples from known
 * distributions: what is claimed to hold in 95 of 100 cases is counted.
 * PFLASH_TEST_SHOW=1 prints the counts, which docs/method.md states. */
#include "bench/bootstrap.h"

#include "bench/statistics.h"
#include "bench/steady.h"
#include "check.h"

enum { BLOCKS_MAX = 16, RUNS_MAX = 64 };

/* Both sides in `blocks` processes. A process deviates by `between`, a run
 * within it by `within`, both log-normal; sides of a block share the machine's
 * mood `shared`. A's throughput is `ratio` times B's. */
typedef struct experiment {
  int blocks, runs;
  double ratio, between, within, shared;
} experiment;

static double samples[2][BLOCKS_MAX][RUNS_MAX];
static bootstrap_block drawn[BLOCKS_MAX];

static const bootstrap_block *draw_blocks(const experiment *e) {
  for (int i = 0; i < e->blocks; i++) {
    double mood = e->shared * check_normal();
    for (int side = 0; side < 2; side++) {
      double process = mood + e->between * check_normal();
      for (int n = 0; n < e->runs; n++)
        samples[side][i][n] =
            exp(process + e->within * check_normal()) / (side ? 1 : e->ratio);
    }
    drawn[i] =
        (bootstrap_block){samples[0][i], samples[1][i], e->runs, e->runs};
  }
  return drawn;
}

static bootstrap_ratio compare(const experiment *e, int64_t resamples,
                               uint64_t seed) {
  bootstrap_ratio result;
  CHECK_NEED(bootstrap_compare(draw_blocks(e), e->blocks, resamples, seed,
                               &result, NULL) == PFL_STATUS_OK);
  return result;
}

/* ---- Coverage ---------------------------------------------------------- */

/* In how many of `draws` experiments the intervals hold the truth. */
typedef struct coverage {
  int draws, resampled, asymptotic, wider, wider90;
} coverage;

static bool holds(double low, double high, double truth) {
  return low <= truth && truth <= high;
}

static coverage count_coverage(const experiment *e) {
  coverage c = {.draws = check_cases(1000)};
  for (int i = 0; i < c.draws; i++) {
    bootstrap_ratio r = compare(e, 600, check_random());
    c.resampled += holds(r.resampled.low, r.resampled.high, e->ratio);
    c.asymptotic += holds(r.asymptotic.low, r.asymptotic.high, e->ratio);
    c.wider += holds(r.ratio.low, r.ratio.high, e->ratio);
    c.wider90 += holds(r.ratio.low90, r.ratio.high90, e->ratio);
  }
  if (getenv("PFLASH_TEST_SHOW"))
    printf(
        "%2d processes of %2d runs, between %.0f %%, within %.0f %%: "
        "resampled %.1f %%, asymptotic %.1f %%, outer %.1f %%, its 90 %% "
        "%.1f %% of %d\n",
        e->blocks, e->runs, 100 * e->between, 100 * e->within,
        100.0 * c.resampled / c.draws, 100.0 * c.asymptotic / c.draws,
        100.0 * c.wider / c.draws, 100.0 * c.wider90 / c.draws, c.draws);
  return c;
}

/* Five standard deviations of a count of draws with probability p. */
static double five_sigma(double p, int draws) {
  return 5 * sqrt(p * (1 - p) * draws);
}

/* The interval that is published holds the truth in at least 95 % of cases, up
 * to chance, whether processes differ much or not; and it is no wider than it
 * must be where there are enough of them. */
static void test_coverage(void) {
  static const experiment cases[] = {
      {3, 10, 1, 0.02, 0.05, 0.05},  {6, 20, 1.5, 0.02, 0.05, 0.05},
      {6, 20, 1, 0.05, 0.01, 0.1},   {10, 30, 0.7, 0.02, 0.02, 0},
      {16, 10, 1.03, 0.01, 0.05, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    coverage c = count_coverage(&cases[i]);
    CHECK(c.wider > 0.95 * c.draws - five_sigma(0.95, c.draws),
          "case %zu: %d of %d", i, c.wider, c.draws);
    CHECK(c.wider90 > 0.90 * c.draws - five_sigma(0.90, c.draws),
          "case %zu: %d of %d at 90 %%", i, c.wider90, c.draws);
    CHECK(c.wider90 <= c.wider, "case %zu", i);
    CHECK(c.wider >= c.asymptotic && c.wider >= c.resampled, "case %zu", i);
  }
}

/* One process: runs alone are resampled, and the interval speaks of it alone:
 * with no difference between processes it is right. */
static void test_coverage_within(void) {
  const experiment e = {1, 40, 1.2, 0, 0.05, 0.1};
  coverage c = count_coverage(&e);
  CHECK(fabs(c.wider - 0.95 * c.draws) <
            0.02 * c.draws + five_sigma(0.95, c.draws),
        "%d of %d", c.wider, c.draws);
}

/* Sides that were measured apart, in different numbers of processes. */
static void test_coverage_apart(void) {
  enum { A = 5, B = 8 };
  const experiment e = {B, 15, 1.1, 0.03, 0.03, 0};
  int draws = check_cases(600), held = 0;
  for (int i = 0; i < draws; i++) {
    bootstrap_runs a[A], b[B];
    bootstrap_ratio r;
    draw_blocks(&e);
    for (int n = 0; n < A; n++)
      a[n] = (bootstrap_runs){drawn[n].a, drawn[n].a_count};
    for (int n = 0; n < B; n++)
      b[n] = (bootstrap_runs){drawn[n].b, drawn[n].b_count};
    CHECK_NEED(
        !bootstrap_compare_apart(a, A, b, B, 600, check_random(), &r, NULL));
    held += holds(r.ratio.low, r.ratio.high, e.ratio);
    CHECK(r.blocks == A, "%lld", (long long)r.blocks);
  }
  CHECK(held > 0.95 * draws - five_sigma(0.95, draws), "%d of %d", held, draws);
  CHECK(held < 0.999 * draws, "%d of %d: too wide", held, draws);
  if (getenv("PFLASH_TEST_SHOW"))
    printf("apart, %d and %d processes: outer %.1f %% of %d\n", A, B,
           100.0 * held / draws, draws);
}

/* Percentiles of resamples alone are too narrow for few processes, which is why
 * the wider interval is taken (rule 36). */
static void test_few_processes(void) {
  const experiment e = {3, 20, 1, 0.03, 0.01, 0};
  coverage c = count_coverage(&e);
  CHECK(c.resampled < 0.92 * c.draws, "%d of %d", c.resampled, c.draws);
  CHECK(c.wider > 0.95 * c.draws - five_sigma(0.95, c.draws), "%d of %d",
        c.wider, c.draws);
}

/* Rule 41: A against A is found different in 5 % of cases; a slowdown of 3 % is
 * found with 10 processes that differ by 1 %. */
static void test_known_answers(void) {
  const experiment same = {10, 20, 1, 0.01, 0.02, 0.05};
  const experiment slower = {10, 20, 0.97, 0.01, 0.02, 0.05};
  int draws = check_cases(600), held = 0, found = 0;
  for (int i = 0; i < draws; i++) {
    bootstrap_ratio r = compare(&same, 600, check_random());
    held += holds(r.ratio.low, r.ratio.high, 1);
    found += compare(&slower, 600, check_random()).ratio.high < 1;
  }
  CHECK(held > 0.95 * draws - five_sigma(0.95, draws), "1 in %d of %d", held,
        draws);
  CHECK(found > 0.98 * draws, "found in %d of %d", found, draws);
  if (getenv("PFLASH_TEST_SHOW"))
    printf("A against A: 1 in %.1f %%; 3 %% slower: found in %.1f %% of %d\n",
           100.0 * held / draws, 100.0 * found / draws, draws);
}

/* ---- Algebra ----------------------------------------------------------- */

/* The value is the ratio of sums; swapping the sides turns all over; the same
 * seed gives the same bounds; more runs of the same kind narrow them. */
static void test_symmetry(void) {
  for (int i = 0; i < check_cases(50); i++) {
    experiment e = {(int)check_between(1, 8),
                    (int)check_between(6, 30),
                    exp(check_normal()),
                    0.02,
                    0.05,
                    0.1};
    bootstrap_ratio r = compare(&e, 500, 7), again, swapped;
    double a = 0, b = 0;
    bootstrap_block turned[BLOCKS_MAX];
    for (int n = 0; n < e.blocks; n++) {
      for (int run = 0; run < e.runs; run++) {
        a += drawn[n].a[run];
        b += drawn[n].b[run];
      }
      turned[n] = (bootstrap_block){drawn[n].b, drawn[n].a, e.runs, e.runs};
    }
    CHECK(fabs(r.ratio.value * a / b - 1) < 1e-12, "%g, not %g", r.ratio.value,
          b / a);
    CHECK_NEED(!bootstrap_compare(drawn, e.blocks, 500, 7, &again, NULL));
    CHECK(!memcmp(&again.ratio, &r.ratio, sizeof r.ratio), "again");
    CHECK_NEED(!bootstrap_compare(turned, e.blocks, 500, 7, &swapped, NULL));
    CHECK(fabs(swapped.ratio.value * r.ratio.value - 1) < 1e-12, "swapped");
    CHECK(fabs(swapped.asymptotic.low * r.asymptotic.high - 1) < 1e-12,
          "swapped bounds");
    CHECK(r.ratio.low < r.ratio.low90 && r.ratio.low90 < r.ratio.value &&
              r.ratio.value < r.ratio.high90 && r.ratio.high90 < r.ratio.high,
          "%g %g %g %g %g", r.ratio.low, r.ratio.low90, r.ratio.value,
          r.ratio.high90, r.ratio.high);
  }
}

static void test_too_few_runs(void) {
  const experiment e = {1, 5, 1, 0, 0.05, 0};
  bootstrap_ratio r = compare(&e, 100, 1);
  CHECK(!quantity_has_interval(r.ratio) && r.ratio.value > 0,
        "an interval of 5 runs");
  const experiment more = {2, 3, 1, 0.01, 0.05, 0};
  CHECK(quantity_has_interval(compare(&more, 100, 1).ratio), "of 6");
}

/* Equal runs: no width, and nothing that is no number. */
static void test_no_spread(void) {
  const experiment e = {3, 10, 2, 0, 0, 0};
  bootstrap_ratio r = compare(&e, 100, 1);
  CHECK(fabs(r.ratio.value - 2) < 1e-12 && fabs(r.ratio.low - 2) < 1e-12 &&
            fabs(r.ratio.high - 2) < 1e-12,
        "%g %g %g", r.ratio.low, r.ratio.value, r.ratio.high);
}

/* ---- Student ----------------------------------------------------------- */

static void test_student(void) {
  /* tables of Student's t, two-sided */
  static const struct {
    int64_t freedom;
    double confidence, quantile;
  } cases[] = {
      {1, 0.95, 12.7062},   {2, 0.95, 4.30265},      {3, 0.95, 3.18245},
      {4, 0.90, 2.13185},   {5, 0.95, 2.57058},      {8, 0.95, 2.30600},
      {9, 0.90, 1.83311},   {30, 0.95, 2.04227},     {30, 0.90, 1.69726},
      {100, 0.95, 1.98397}, {1 << 30, 0.95, 1.96020}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double got = statistics_student(cases[i].freedom, cases[i].confidence);
    CHECK(fabs(got / cases[i].quantile - 1) < 1e-4, "case %zu: %g", i, got);
  }
}

/* ---- Steadiness -------------------------------------------------------- */

static double series[2000];

static steady_state steady_of(int count, double noise, double drift,
                              double step) {
  for (int i = 0; i < count; i++)
    series[i] = exp(noise * check_normal()) * (1 + drift * i / count) *
                (i > count / 2 ? 1 + step : 1);
  return steady_find(series, count);
}

static void test_steady(void) {
  int steady = 0, draws = check_cases(1000);
  for (int i = 0; i < draws; i++) steady += steady_of(200, 0.02, 0, 0).steady;
  /* the slope's interval holds 0 in 95 % of cases */
  CHECK(steady > 0.95 * draws - five_sigma(0.95, draws), "%d of %d", steady,
        draws);
  CHECK(steady < 0.95 * draws + five_sigma(0.95, draws), "%d of %d", steady,
        draws);
  for (int i = 0; i < check_cases(100); i++) {
    CHECK(!steady_of(200, 0.005, 0.05, 0).steady, "a drift of 5 %%");
    CHECK(!steady_of(200, 0.005, 0, 0.05).steady, "a step of 5 %%");
    CHECK(!steady_of(100, 0.3, 0, 0).steady, "noise of 30 %%");
  }
  steady_state few = steady_of(9, 0, 0, 0);
  CHECK(!few.known && !few.steady, "9 runs say nothing");
  steady_state still = steady_of(25, 0, 0, 0);
  CHECK(still.steady && still.variation < 1e-12, "equal runs: %g",
        still.variation);
}

static void test_outlier_effect(void) {
  /* clean runs: none; a few of ten times the time: nearly all */
  CHECK(steady_outlier_effect(1, 0, 100) == 0, "no variance");
  double clean = steady_outlier_effect(1, 0.001, 1000);
  CHECK(clean < 0.01, "clean runs: %g", clean);
  double bad = steady_outlier_effect(1.1, 1.5, 100);
  CHECK(bad > 0.5, "outliers: %g", bad);
  double before = 0;
  for (double deviation = 0.001; deviation < 4; deviation *= 1.5) {
    double effect = steady_outlier_effect(1, deviation, 100);
    CHECK(effect >= before - 1e-12 && effect <= 1, "%g after %g", effect,
          before);
    before = effect;
  }
  CHECK(!strcmp(steady_effect_word(0.005), "unaffected") &&
            !strcmp(steady_effect_word(0.05), "slight") &&
            !strcmp(steady_effect_word(0.2), "moderate") &&
            !strcmp(steady_effect_word(0.9), "severe"),
        "words");
}

int main(void) {
  return CHECK_RUN(test_coverage, test_coverage_within, test_coverage_apart,
                   test_few_processes, test_known_answers, test_symmetry,
                   test_too_few_runs, test_no_spread, test_student, test_steady,
                   test_outlier_effect);
}
