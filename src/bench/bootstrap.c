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

static bench_quantity from_logs(double value, double low, double high,
                                double low90, double high90) {
  return (bench_quantity){exp(value), exp(low), exp(high), exp(low90),
                          exp(high90)};
}

static pfl_status find_resampled(const bootstrap_block *blocks, int64_t count,
                                 int64_t resamples, uint64_t seed, double value,
                                 bench_quantity *out_ratio, pfl_error *error) {
  double *logs = malloc((size_t)resamples * sizeof *logs);
  if (!logs) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for resamples");
  for (int64_t i = 0; i < resamples; i++)
    logs[i] = resample(blocks, count, &seed);
  statistics_sort(logs, resamples);
  *out_ratio = from_logs(value, statistics_quantile(logs, resamples, 0.025),
                         statistics_quantile(logs, resamples, 0.975),
                         statistics_quantile(logs, resamples, 0.05),
                         statistics_quantile(logs, resamples, 0.95));
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

static bench_quantity find_asymptotic(const bootstrap_block *blocks,
                                      int64_t count, double value) {
  int64_t freedom;
  double error = standard_error(blocks, count, &freedom);
  double wide = statistics_student(freedom, 0.95) * error;
  double narrow = statistics_student(freedom, 0.90) * error;
  return from_logs(value, value - wide, value + wide, value - narrow,
                   value + narrow);
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

pfl_status bootstrap_compare(const bootstrap_block *blocks, int64_t count,
                             int64_t resamples, uint64_t seed,
                             bootstrap_ratio *out_ratio, pfl_error *error) {
  int64_t least_runs;
  double value = pooled_log(blocks, count, &least_runs);
  bench_quantity point = quantity_point(exp(value));
  *out_ratio = (bootstrap_ratio){point, point, point, false, count};
  if (least_runs < BOOTSTRAP_RUNS_MIN) return PFL_STATUS_OK;
  PFL_TRY(find_resampled(blocks, count, resamples, seed, value,
                         &out_ratio->resampled, error));
  out_ratio->asymptotic = find_asymptotic(blocks, count, value);
  double one = bootstrap_half_width(out_ratio->resampled);
  double other = bootstrap_half_width(out_ratio->asymptotic);
  out_ratio->ratio = outer(out_ratio->resampled, out_ratio->asymptotic);
  out_ratio->differ = fmax(one, other) > 1.2 * fmin(one, other);
  return PFL_STATUS_OK;
}
