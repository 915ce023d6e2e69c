/* Whether a series of runs has settled. */
#include "bench/steady.h"

#include <math.h>

#include "bench/statistics.h"

/* Rates of the windows, in runs a second. */
static void find_rates(const double *seconds, int64_t count,
                       double rates[STEADY_WINDOWS]) {
  int64_t each = count / STEADY_WINDOWS, from = 0;
  for (int i = 0; i < STEADY_WINDOWS; i++) {
    int64_t end = count - each * (STEADY_WINDOWS - 1 - i);
    double sum = 0;
    for (int64_t n = from; n < end; n++) sum += seconds[n];
    rates[i] = (double)(end - from) / sum;
    from = end;
  }
}

steady_state steady_find(const double *seconds, int64_t count) {
  double rates[STEADY_WINDOWS], mean = 0, squares = 0, slope = 0, spread = 0;
  const double n = STEADY_WINDOWS, middle = (n - 1) / 2;
  if (count < STEADY_WINDOWS)
    return (steady_state){false, false, NAN, NAN, NAN};
  find_rates(seconds, count, rates);
  for (int i = 0; i < STEADY_WINDOWS; i++) mean += rates[i] / n;
  for (int i = 0; i < STEADY_WINDOWS; i++) {
    squares += (rates[i] - mean) * (rates[i] - mean);
    slope += (i - middle) * (rates[i] - mean);
    spread += (i - middle) * (i - middle);
  }
  slope /= spread;
  /* what the line does not explain, for the error of its slope */
  double rest = fmax(0, squares - slope * slope * spread) / (n - 2);
  double error =
      statistics_student(STEADY_WINDOWS - 2, 0.95) * sqrt(rest / spread);
  steady_state state = {
      .known = true,
      .variation = sqrt(squares / (n - 1)) / mean,
      .slope_low = (slope - error) / mean,
      .slope_high = (slope + error) / mean,
  };
  state.steady = state.variation < STEADY_VARIATION && state.slope_low <= 0 &&
                 state.slope_high >= 0;
  return state;
}

/* The variance that is left over if `outliers` runs are such and the others
 * have the variance `clean_variance`. */
static double variance_of_outliers(double outliers, double count,
                                   double variance, double clean_variance) {
  double rest = count - outliers;
  return rest / count * (variance - rest * clean_variance);
}

/* The most outliers that there can be if clean runs are at least `least`. */
static double most_outliers(double least, double mean_each, double count,
                            double variance, double clean_variance) {
  double k = mean_each - least, d = k * k;
  double k0 = -count * count * d;
  double k1 = variance - count * clean_variance + count * d;
  double root = sqrt(fmax(0, k1 * k1 - 4 * clean_variance * k0));
  return floor(-2 * k0 / (k1 + root));
}

double steady_outlier_effect(double mean, double deviation, int64_t count) {
  double n = (double)count, variance = deviation * deviation;
  if (!(variance > 0)) return 0;
  /* a clean run has a share of the mean, and deviates by at most an eighth of
   * it */
  double each = mean / n, least = each / 2;
  double clean = fmin(least / 4, sqrt(variance / n));
  double clean_variance = clean * clean;
  double most = fmin(most_outliers(0, each, n, variance, clean_variance),
                     most_outliers(least, each, n, variance, clean_variance));
  double effect =
      fmin(variance_of_outliers(1, n, variance, clean_variance),
           variance_of_outliers(most, n, variance, clean_variance)) /
      variance;
  return fmin(1, fmax(0, effect));
}

const char *steady_effect_word(double effect) {
  return effect < 0.01  ? "unaffected"
         : effect < 0.1 ? "slight"
         : effect < 0.5 ? "moderate"
                        : "severe";
}
