/* The statistics of the benchmark, on samples whose answers are known. */
#include <stdbool.h>

#include "bench/statistics.h"
#include "check.h"

static statistics_summary summary_of(const double *values, int64_t count) {
  double *copy = malloc((size_t)count * sizeof *copy);
  CHECK_NEED(copy);
  memcpy(copy, values, (size_t)count * sizeof *copy);
  statistics_summary summary = statistics_summarize(copy, count);
  free(copy);
  return summary;
}

static bool close_to(double a, double b) {
  return fabs(a - b) <= 1e-12 * fmax(1, fabs(b));
}

static void test_quantiles(void) {
  /* R: quantile(c(1, 2, 4, 8), p), type 7 */
  const double values[] = {1, 2, 4, 8};
  const struct {
    double p, expected;
  } cases[] = {{0, 1}, {0.25, 1.75}, {0.5, 3}, {0.75, 5}, {1, 8}, {0.1, 1.3}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double got = statistics_quantile(values, 4, cases[i].p);
    CHECK(close_to(got, cases[i].expected), "p %g: %g", cases[i].p, got);
  }
  const double one[] = {7};
  CHECK(statistics_quantile(one, 1, 0.3) == 7, "of one value");
}

static void test_summary(void) {
  const double values[] = {5, 1, 4, 2, 3};
  statistics_summary s = summary_of(values, 5);
  CHECK(s.count == 5 && s.min == 1 && s.max == 5, "%g %g", s.min, s.max);
  CHECK(s.median == 3 && s.quartile1 == 2 && s.quartile3 == 4, "median %g",
        s.median);
  CHECK(close_to(s.mean, 3), "mean %g", s.mean);
  CHECK(close_to(s.deviation, sqrt(2.5)), "deviation %g", s.deviation);
  CHECK(isnan(s.low) && isnan(s.high), "an interval of 5 values: %g", s.low);
  CHECK(s.mild == 0 && s.severe == 0, "%lld outliers", (long long)s.mild);
}

static void test_one_value(void) {
  const double value = 2;
  statistics_summary s = summary_of(&value, 1);
  CHECK(s.median == 2 && s.min == 2 && s.max == 2 && s.mean == 2, "%g",
        s.median);
  CHECK(s.deviation == 0 && s.mild == 0, "deviation %g", s.deviation);
}

/* Deviations far below the mean, as of times that hardly differ. */
static void test_moments_of_close_values(void) {
  double values[100];
  for (int i = 0; i < 100; i++) values[i] = 1e6 + (i % 2 ? 1e-3 : -1e-3);
  statistics_summary s = summary_of(values, 100);
  CHECK(fabs(s.deviation - 1e-3 * sqrt(100.0 / 99)) < 1e-8, "deviation %g",
        s.deviation);
}

static void test_median_ranks(void) {
  /* floor((n - z sqrt n) / 2) and ceil(1 + (n + z sqrt n) / 2) by hand */
  const int64_t cases[][3] = {{1, 0, 0},   {5, 0, 0},    {6, 1, 6},
                              {7, 1, 7},   {10, 1, 10},  {20, 5, 16},
                              {30, 9, 22}, {100, 40, 61}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int64_t low, high;
    statistics_median_ranks(cases[i][0], &low, &high);
    CHECK(low == cases[i][1] && high == cases[i][2], "n %lld: %lld to %lld",
          (long long)cases[i][0], (long long)low, (long long)high);
  }
}

/* Exactly: the ranks cover the median of n values with a probability that the
 * binomial distribution gives, whatever the values' distribution. */
static void test_rank_coverage(void) {
  for (int64_t n = 6; n <= 200; n++) {
    int64_t low, high;
    statistics_median_ranks(n, &low, &high);
    double covered = 0;
    for (int64_t below = low; below < high; below++)
      covered += exp(lgamma((double)n + 1) - lgamma((double)below + 1) -
                     lgamma((double)(n - below) + 1) - (double)n * log(2));
    CHECK(covered >= 0.95, "n %lld covers %g", (long long)n, covered);
    CHECK(n < 20 || covered < 0.99, "n %lld covers %g: too wide", (long long)n,
          covered);
  }
}

/* The same by drawing: skewed values, whose median is log 2. */
static void test_interval_by_simulation(void) {
  enum { DRAWS = 2000, RUNS = 25 };
  int covered = 0;
  for (int draw = 0; draw < DRAWS; draw++) {
    double values[RUNS];
    for (int i = 0; i < RUNS; i++) values[i] = -log(1 - check_uniform());
    statistics_summary s = statistics_summarize(values, RUNS);
    CHECK(s.low <= s.median && s.median <= s.high, "%g %g %g", s.low, s.median,
          s.high);
    covered += s.low <= log(2) && log(2) <= s.high;
  }
  /* ranks 7 and 19 of 25 cover 98.54 %, give or take five deviations */
  CHECK(covered > 0.972 * DRAWS && covered < 0.999 * DRAWS, "%d of %d", covered,
        DRAWS);
}

static void test_fences(void) {
  /* quartiles 2 and 4, so fences at -1 and 7, -4 and 10 */
  const double values[] = {2, 2, 3, 4, 4, 3, 3, 3, 8, 10.5, -2, -5, 3};
  double sorted[13];
  memcpy(sorted, values, sizeof values);
  statistics_summary s = statistics_summarize(sorted, 13);
  CHECK(s.quartile1 == 2 && s.quartile3 == 4, "quartiles %g %g", s.quartile1,
        s.quartile3);
  CHECK(s.mild == 4, "%lld mild", (long long)s.mild);
  CHECK(s.severe == 2, "%lld severe", (long long)s.severe);
  CHECK(s.min == -5 && s.max == 10.5, "outliers are kept: %g %g", s.min, s.max);
}

static void test_equal_values(void) {
  const double values[] = {3, 3, 3, 3, 3, 3, 3};
  statistics_summary s = summary_of(values, 7);
  CHECK(s.low == 3 && s.high == 3 && s.deviation == 0, "%g %g", s.low, s.high);
  CHECK(s.mild == 0 && s.severe == 0, "%lld outliers", (long long)s.mild);
}

int main(void) {
  return CHECK_RUN(test_quantiles, test_summary, test_one_value,
                   test_moments_of_close_values, test_median_ranks,
                   test_rank_coverage, test_interval_by_simulation, test_fences,
                   test_equal_values);
}
