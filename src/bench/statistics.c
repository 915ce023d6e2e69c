/* Statistics of a sample of times. */
#include "bench/statistics.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void statistics_sort(double *values, int64_t count) {
  qsort(values, (size_t)count, sizeof *values, compare);
}

/* P(|T| < t) of Student's t: a finite sum for whole degrees of freedom
 * (Abramowitz and Stegun 26.7.3, 26.7.4). */
static double student_within(double t, int64_t freedom) {
  double theta = atan(t / sqrt((double)freedom)), c = cos(theta) * cos(theta);
  double term = freedom % 2 ? cos(theta) : 1, sum = freedom == 1 ? 0 : term;
  for (int64_t i = 2 + freedom % 2; i < freedom; i += 2)
    sum += term *= c * (double)(i - 1) / (double)i;
  if (freedom % 2)
    return 2 / 3.14159265358979323846 * (theta + sin(theta) * sum);
  return sin(theta) * sum;
}

double statistics_student(int64_t freedom, double confidence) {
  double low = 0, high = 1;
  if (freedom > 10000) freedom = 10000; /* where it is the normal one's */
  while (student_within(high, freedom) < confidence) high *= 2;
  for (int i = 0; i < 60; i++) {
    double middle = (low + high) / 2;
    if (student_within(middle, freedom) < confidence)
      low = middle;
    else
      high = middle;
  }
  return high;
}

double statistics_quantile(const double *sorted, int64_t count, double p) {
  double place = p * (double)(count - 1);
  int64_t below = (int64_t)place;
  if (below + 1 >= count) return sorted[count - 1];
  double share = place - (double)below;
  return sorted[below] + share * (sorted[below + 1] - sorted[below]);
}

void statistics_median_ranks(int64_t count, int64_t *out_low,
                             int64_t *out_high) {
  *out_low = *out_high = 0;
  if (count < 6) return;
  double n = (double)count, spread = 1.959964 * sqrt(n);
  *out_low = (int64_t)fmax(1, floor((n - spread) / 2));
  *out_high = (int64_t)fmin(n, ceil(1 + (n + spread) / 2));
}

/* Welford's sums: exact enough for times that hardly differ. */
static void set_moments(statistics_summary *summary, const double *values) {
  double mean = 0, squares = 0;
  for (int64_t i = 0; i < summary->count; i++) {
    double step = values[i] - mean;
    mean += step / (double)(i + 1);
    squares += step * (values[i] - mean);
  }
  summary->mean = mean;
  summary->deviation =
      summary->count > 1 ? sqrt(squares / (double)(summary->count - 1)) : 0;
}

statistics_summary statistics_summarize(double *values, int64_t count) {
  statistics_sort(values, count);
  statistics_summary summary = {
      .count = count,
      .min = values[0],
      .max = values[count - 1],
      .median = statistics_quantile(values, count, 0.5),
      .quartile1 = statistics_quantile(values, count, 0.25),
      .quartile3 = statistics_quantile(values, count, 0.75),
      .p90 = statistics_quantile(values, count, 0.90),
      .p95 = statistics_quantile(values, count, 0.95),
      .p99 = statistics_quantile(values, count, 0.99),
      .low = NAN,
      .high = NAN,
  };
  set_moments(&summary, values);
  int64_t low, high;
  statistics_median_ranks(count, &low, &high);
  if (low) {
    summary.low = values[low - 1];
    summary.high = values[high - 1];
  }
  double range = summary.quartile3 - summary.quartile1;
  for (int64_t i = 0; i < count; i++) {
    double beyond =
        fmax(summary.quartile1 - values[i], values[i] - summary.quartile3);
    summary.mild += beyond > 1.5 * range;
    summary.severe += beyond > 3 * range;
  }
  return summary;
}
