/* The hierarchical bootstrap of a ratio of throughputs. */
#include "bench/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "bench/statistics.h"

/* ---- Drawing ----------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* 0 .. count - 1; the bias is below count / 2^32 (Lemire's product). */
static int64_t draw_below(uint64_t *state, int64_t count) {
  return (int64_t)((draw(state) >> 32) * (uint64_t)count >> 32);
}

typedef struct side_sum {
  double seconds;
  int64_t runs;
} side_sum;

static void add_drawn(side_sum *sum, const double *seconds, int64_t count,
                      uint64_t *state) {
  for (int64_t i = 0; i < count; i++)
    sum->seconds += seconds[draw_below(state, count)];
  sum->runs += count;
}

static double log_ratio(side_sum a, side_sum b) {
  return log(b.seconds / (double)b.runs) - log(a.seconds / (double)a.runs);
}

static double resample(const bootstrap_block *blocks, int64_t count,
                       uint64_t *state) {
  side_sum a = {0}, b = {0};
  for (int64_t i = 0; i < count; i++) {
    const bootstrap_block *block = &blocks[draw_below(state, count)];
    add_drawn(&a, block->a, block->a_count, state);
    add_drawn(&b, block->b, block->b_count, state);
  }
  return log_ratio(a, b);
}

/* One side by itself: its processes, then their runs. */
static side_sum resample_side(const bootstrap_runs *runs, int64_t count,
                              uint64_t *state) {
  side_sum sum = {0};
  for (int64_t i = 0; i < count; i++) {
    const bootstrap_runs *drawn = &runs[draw_below(state, count)];
    add_drawn(&sum, drawn->seconds, drawn->count, state);
  }
  return sum;
}

static bench_quantity from_logs(double value, double low, double high,
                                double low90, double high90) {
  return (bench_quantity){exp(value), exp(low), exp(high), exp(low90),
                          exp(high90)};
}

/* The percentiles of logarithms, which it sorts, as an interval. */
static bench_quantity from_percentiles(double value, double *logs,
                                       int64_t count) {
  statistics_sort(logs, count);
  return from_logs(value, statistics_quantile(logs, count, 0.025),
                   statistics_quantile(logs, count, 0.975),
                   statistics_quantile(logs, count, 0.05),
                   statistics_quantile(logs, count, 0.95));
}

static pfl_status find_resampled(const bootstrap_block *blocks, int64_t count,
                                 int64_t resamples, uint64_t seed, double value,
                                 bench_quantity *out_ratio, pfl_error *error) {
  double *logs = malloc((size_t)resamples * sizeof *logs);
  if (!logs) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for resamples");
  for (int64_t i = 0; i < resamples; i++)
    logs[i] = resample(blocks, count, &seed);
  *out_ratio = from_percentiles(value, logs, resamples);
  free(logs);
  return PFL_STATUS_OK;
}

/* ---- Asymptotics ------------------------------------------------------- */

static side_sum sum_up(const double *seconds, int64_t count) {
  side_sum sum = {0, count};
  for (int64_t i = 0; i < count; i++) sum.seconds += seconds[i];
  return sum;
}

static double block_log(const bootstrap_block *block) {
  return log_ratio(sum_up(block->a, block->a_count),
                   sum_up(block->b, block->b_count));
}

/* The variance of the logarithm of a mean: (deviation / mean)^2 / n. */
static double log_variance(const double *seconds, int64_t count) {
  double mean = sum_up(seconds, count).seconds / (double)count, squares = 0;
  for (int64_t i = 0; i < count; i++)
    squares += (seconds[i] - mean) * (seconds[i] - mean);
  double n = (double)count;
  return squares / (n - 1) / (mean * mean) / n;
}

/* Standard error of the log ratio, and its degrees of freedom. */
static double standard_error(const bootstrap_block *blocks, int64_t count,
                             int64_t *out_freedom) {
  if (count == 1) {
    *out_freedom = (blocks->a_count < blocks->b_count ? blocks->a_count
                                                      : blocks->b_count) -
                   1;
    return sqrt(log_variance(blocks->a, blocks->a_count) +
                log_variance(blocks->b, blocks->b_count));
  }
  double mean = 0, squares = 0, n = (double)count;
  for (int64_t i = 0; i < count; i++) mean += block_log(&blocks[i]) / n;
  for (int64_t i = 0; i < count; i++) {
    double step = block_log(&blocks[i]) - mean;
    squares += step * step;
  }
  *out_freedom = count - 1;
  return sqrt(squares / (n - 1) / n);
}

static bench_quantity from_error(double value, double error, int64_t freedom) {
  double wide = statistics_student(freedom, 0.95) * error;
  double narrow = statistics_student(freedom, 0.90) * error;
  return from_logs(value, value - wide, value + wide, value - narrow,
                   value + narrow);
}

static bench_quantity find_asymptotic(const bootstrap_block *blocks,
                                      int64_t count, double value) {
  int64_t freedom;
  double error = standard_error(blocks, count, &freedom);
  return from_error(value, error, freedom);
}

/* ---- Both -------------------------------------------------------------- */

double bootstrap_half_width(bench_quantity ratio) {
  return (log(ratio.high) - log(ratio.low)) / 2;
}

static double pooled_log(const bootstrap_block *blocks, int64_t count,
                         int64_t *out_least_runs) {
  side_sum a = {0}, b = {0};
  for (int64_t i = 0; i < count; i++) {
    side_sum more_a = sum_up(blocks[i].a, blocks[i].a_count);
    side_sum more_b = sum_up(blocks[i].b, blocks[i].b_count);
    a = (side_sum){a.seconds + more_a.seconds, a.runs + more_a.runs};
    b = (side_sum){b.seconds + more_b.seconds, b.runs + more_b.runs};
  }
  *out_least_runs = a.runs < b.runs ? a.runs : b.runs;
  return log_ratio(a, b);
}

static bench_quantity outer(bench_quantity a, bench_quantity b) {
  return (bench_quantity){a.value, fmin(a.low, b.low), fmax(a.high, b.high),
                          fmin(a.low90, b.low90), fmax(a.high90, b.high90)};
}

static void conclude(bench_quantity resampled, bench_quantity asymptotic,
                     bootstrap_ratio *out_ratio) {
  double one = bootstrap_half_width(resampled);
  double other = bootstrap_half_width(asymptotic);
  out_ratio->resampled = resampled;
  out_ratio->asymptotic = asymptotic;
  out_ratio->ratio = outer(resampled, asymptotic);
  out_ratio->differ = fmax(one, other) > 1.2 * fmin(one, other);
}

pfl_status bootstrap_compare(const bootstrap_block *blocks, int64_t count,
                             int64_t resamples, uint64_t seed,
                             bootstrap_ratio *out_ratio, pfl_error *error) {
  int64_t least_runs;
  double value = pooled_log(blocks, count, &least_runs);
  bench_quantity point = quantity_point(exp(value)), resampled;
  *out_ratio = (bootstrap_ratio){point, point, point, false, count};
  if (least_runs < BOOTSTRAP_RUNS_MIN) return PFL_STATUS_OK;
  PFL_TRY(
      find_resampled(blocks, count, resamples, seed, value, &resampled, error));
  conclude(resampled, find_asymptotic(blocks, count, value), out_ratio);
  return PFL_STATUS_OK;
}

/* ---- Apart ------------------------------------------------------------- */

static side_sum pool(const bootstrap_runs *runs, int64_t count) {
  side_sum all = {0};
  for (int64_t i = 0; i < count; i++) {
    side_sum some = sum_up(runs[i].seconds, runs[i].count);
    all = (side_sum){all.seconds + some.seconds, all.runs + some.runs};
  }
  return all;
}

/* Variance of the logarithm of a side's mean, and its degrees of freedom: over
 * its processes, or over the runs of the only one. */
static double side_variance(const bootstrap_runs *runs, int64_t count,
                            int64_t *out_freedom) {
  if (count == 1) {
    *out_freedom = runs->count - 1;
    return log_variance(runs->seconds, runs->count);
  }
  double mean = 0, squares = 0, n = (double)count;
  for (int pass = 0; pass < 2; pass++)
    for (int64_t i = 0; i < count; i++) {
      side_sum sum = sum_up(runs[i].seconds, runs[i].count);
      double value = log(sum.seconds / (double)sum.runs);
      if (pass)
        squares += (value - mean) * (value - mean);
      else
        mean += value / n;
    }
  *out_freedom = count - 1;
  return squares / (n - 1) / n;
}

/* Welch's t: variances that need not be equal (Satterthwaite 1946). */
static bench_quantity find_welch(const bootstrap_runs *a, int64_t a_count,
                                 const bootstrap_runs *b, int64_t b_count,
                                 double value) {
  int64_t a_freedom, b_freedom;
  double va = side_variance(a, a_count, &a_freedom);
  double vb = side_variance(b, b_count, &b_freedom);
  double freedom = (va + vb) * (va + vb) /
                   (va * va / (double)a_freedom + vb * vb / (double)b_freedom);
  int64_t whole = freedom >= 1 ? (int64_t)fmin(freedom, 1e6) : 1;
  return from_error(value, sqrt(va + vb), whole);
}

pfl_status bootstrap_compare_apart(const bootstrap_runs *a, int64_t a_count,
                                   const bootstrap_runs *b, int64_t b_count,
                                   int64_t resamples, uint64_t seed,
                                   bootstrap_ratio *out_ratio,
                                   pfl_error *error) {
  side_sum all_a = pool(a, a_count), all_b = pool(b, b_count);
  double value = log_ratio(all_a, all_b);
  int64_t least = all_a.runs < all_b.runs ? all_a.runs : all_b.runs;
  bench_quantity point = quantity_point(exp(value));
  *out_ratio = (bootstrap_ratio){point, point, point, false,
                                 a_count < b_count ? a_count : b_count};
  if (least < BOOTSTRAP_RUNS_MIN) return PFL_STATUS_OK;
  double *logs = malloc((size_t)resamples * sizeof *logs);
  if (!logs) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for resamples");
  for (int64_t i = 0; i < resamples; i++) {
    side_sum drawn = resample_side(a, a_count, &seed);
    logs[i] = log_ratio(drawn, resample_side(b, b_count, &seed));
  }
  conclude(from_percentiles(value, logs, resamples),
           find_welch(a, a_count, b, b_count, value), out_ratio);
  free(logs);
  return PFL_STATUS_OK;
}

/* ---- One side ------------------------------------------------------------ */

static double log_mean(side_sum sum) {
  return log(sum.seconds / (double)sum.runs);
}

pfl_status bootstrap_mean(const bootstrap_runs *runs, int64_t count,
                          int64_t resamples, uint64_t seed,
                          bench_quantity *out_seconds, pfl_error *error) {
  side_sum all = pool(runs, count);
  double value = log_mean(all);
  int64_t freedom;
  *out_seconds = quantity_point(exp(value));
  if (all.runs < BOOTSTRAP_RUNS_MIN) return PFL_STATUS_OK;
  double *logs = malloc((size_t)resamples * sizeof *logs);
  if (!logs) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for resamples");
  for (int64_t i = 0; i < resamples; i++)
    logs[i] = log_mean(resample_side(runs, count, &seed));
  double variance = side_variance(runs, count, &freedom);
  *out_seconds = outer(from_percentiles(value, logs, resamples),
                       from_error(value, sqrt(variance), freedom));
  free(logs);
  return PFL_STATUS_OK;
}
