/* Statistics of a sample of times, with no distribution assumed. */
#ifndef PFL_BENCH_STATISTICS_H
#define PFL_BENCH_STATISTICS_H

#include <stdint.h>

typedef struct statistics_summary {
  int64_t count;
  double min, max, mean;
  double deviation; /* of the sample (n - 1); 0 for one value */
  double median, quartile1, quartile3, p90, p95, p99;
  double low, high; /* 95 % interval of the median; NAN below 6 values */
  int64_t mild,
      severe; /* outside Tukey's fences of 1.5, of 3 quartile ranges;
                 the severe are among the mild. Flagged, not removed */
} statistics_summary;

/* Sorts `values` in place and sums them up; count >= 1. */
statistics_summary statistics_summarize(double *values, int64_t count);

void statistics_sort(double *values, int64_t count);

/* Half the width, in standard errors, of the interval that holds the mean with
 * `confidence` (0.95) where there are `freedom` >= 1 degrees of freedom: the
 * two-sided quantile of Student's t. */
double statistics_student(int64_t freedom, double confidence);

/* The value below which a share `p` of sorted values lies, linear between
 * neighbours (Hyndman and Fan 1996, type 7). */
double statistics_quantile(const double *sorted, int64_t count, double p);

/* Ranks, counted from 1, of the values that bound the median with 95 %
 * confidence: floor((n - z sqrt n) / 2) and ceil(1 + (n + z sqrt n) / 2) with
 * z = 1.96, within 1 and n (Le Boudec, Performance Evaluation of Computer and
 * Communication Systems, 2010). Below 6 values no two of them do; then 0. */
void statistics_median_ranks(int64_t count, int64_t *out_low,
                             int64_t *out_high);

#endif
