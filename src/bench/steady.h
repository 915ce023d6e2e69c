/* Whether a series of runs has settled (rule 26), and what its outliers do to
 * it (rule 38). */
#ifndef PFL_BENCH_STEADY_H
#define PFL_BENCH_STEADY_H

#include <stdbool.h>
#include <stdint.h>

#define STEADY_WINDOWS 10
#define STEADY_VARIATION 0.02

/* The runs are cut into STEADY_WINDOWS windows of equal numbers of runs (what
 * is left over is of the first). The series is steady if the rates of the
 * windows vary by less than STEADY_VARIATION (deviation over mean) and the 95 %
 * interval of the slope of a line through them holds 0. */
typedef struct steady_state {
  bool known;  /* false: fewer runs than windows */
  bool steady; /* false where it is not known */
  double variation;
  double slope_low, slope_high; /* change of the rate from window to window, in
                                   parts of the mean rate */
} steady_state;

steady_state steady_find(const double *seconds, int64_t count);

/* The share of the variance that is due to outliers, 0 to 1, as the criterion
 * libraries estimate it (O'Sullivan 2009): the variance that clean runs, which
 * deviate little, cannot account for, whether one run or as many as can be are
 * to blame. */
double steady_outlier_effect(double mean, double deviation, int64_t count);

/* "unaffected" below 1 %, "slight" to 10 %, "moderate" to 50 %, "severe". */
const char *steady_effect_word(double effect);

#endif
