/* Tokens per second per dollar: the algebra of docs/method.md, rules D1 to D5
 * and 46 to 51. A side is a unit that can be rented: some chips at a price. */
#ifndef PFL_BENCH_ECONOMICS_H
#define PFL_BENCH_ECONOMICS_H

#include <stddef.h>

#include "bench/catalog.h"
#include "bench/verdict.h"

/* ---- One side (D3) ----------------------------------------------------- */

/* Tokens for a dollar: 3600 R / P. */
bench_quantity economics_tokens_per_dollar(bench_quantity tokens_per_second,
                                           double usd_per_hour);

/* Dollars for a million tokens: 1e6 P / (3600 R). */
bench_quantity economics_usd_per_million(bench_quantity tokens_per_second,
                                         double usd_per_hour);

/* What a million tokens costs at a utilisation 0 < u <= 1: idle time is paid
 * (rule 19). */
bench_quantity economics_at_utilisation(bench_quantity usd_per_million,
                                        double utilisation);

/* What an hour that is used costs if a share 0 <= f < 1 of the paid time is
 * lost to preemption (rule 49). */
double economics_spot_effective(double usd_per_hour, double lost);

/* The utilisation above which a commitment is cheaper than paying on demand
 * (rule 50). */
double economics_commit_break_even(double committed, double on_demand);

/* ---- Two sides (D4, D5) ------------------------------------------------ */

typedef struct economics_comparison {
  bench_quantity ratio;     /* r = R_A / R_B */
  double price_ratio;       /* pi = P_A / P_B */
  bench_quantity advantage; /* rho = r / pi */
  bench_quantity parity;    /* P_A* = r P_B: A is cheaper below it */
  bench_verdict verdict;    /* of the advantage */
  const char *because;      /* why it is inconclusive whatever the numbers say;
                               the estimate's; NULL: they decide */
  /* The share of its paid time that A may lose, B losing none, before the
   * advantage is gone: 1 - 1 / rho; negative where there is none. */
  double bearable_loss;
} economics_comparison;

/* The ratio with such bounds as a verdict may rest on: none where it may not.
 */
bench_quantity economics_decisive(const economics_comparison *comparison);

economics_comparison economics_compare(bench_quantity ratio, double usd_a,
                                       double usd_b, double delta);

/* ---- Everywhere (rules 47, 48) ----------------------------------------- */

typedef struct economics_unit {
  const char *chip;
  int64_t chips;
} economics_unit;

/* "L4", "v5e-4". False if it does not fit. */
bool economics_unit_name(economics_unit unit, char *out_name, size_t size);

/* One kind of price in one region: A and B there, or one of them there and the
 * other where it is cheapest on the same continent. */
typedef struct economics_place {
  const catalog_price *a, *b;
  bool same_region;
  economics_comparison comparison;
} economics_place;

typedef struct economics_matrix {
  economics_place *places;
  int64_t count;
  /* of the advantage over the places; NAN where there is none */
  double least, median, most;
  int64_t better; /* places where the value is above 1 + delta */
} economics_matrix;

/* Every place and kind in which both units have a price. RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status
economics_matrix_create(const bench_catalog *catalog, economics_unit a,
                        economics_unit b, bench_quantity ratio, double delta,
                        economics_matrix *out_matrix, pfl_error *error);
void economics_matrix_release(economics_matrix *matrix);

/* ---- Prices that move (rule 51) ---------------------------------------- */

/* The grid's factors on a price. d ln rho / d ln P is -1 for A, +1 for B. */
#define ECONOMICS_STEPS 5
extern const double economics_steps[ECONOMICS_STEPS]; /* 0.5 to 1.5 */

/* rho with A's price times `factor_a` and B's times `factor_b`. */
bench_quantity economics_sensitivity(const economics_comparison *comparison,
                                     double factor_a, double factor_b);

/* ---- What others published (class D) ----------------------------------- */

/* The n-th pair of results, counted from 0, that are of the same model,
 * scenario and metric on different chips; false after the last. A result that
 * its source calls an estimate is in none. */
bool economics_pair_get(const bench_catalog *catalog, int64_t n,
                        const catalog_result **out_a,
                        const catalog_result **out_b);

/* Rule 46: the oldest of the prices that a report used, and whether that is too
 * old on `today` (catalog_day). */
bool economics_is_stale(const catalog_price *price, int64_t today);

#endif
