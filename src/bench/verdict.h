/* What may be said of a ratio: rules 2, 4 and 5 of docs/method.md. */
#ifndef PFL_BENCH_VERDICT_H
#define PFL_BENCH_VERDICT_H

#include "bench/quantity.h"

/* How much better counts as better (rule 4). */
#define VERDICT_DELTA 0.05

/* X(NAME, word). Of an advantage rho with bounds at 95 and 90 % (rule 5):
 *   superior      low95 > 1 + delta
 *   inferior      high95 < 1 / (1 + delta)
 *   equivalent    1 / (1 + delta) <= low90 and high90 <= 1 + delta
 *   inconclusive  otherwise, and where there is no interval */
#define BENCH_VERDICT_LIST(X)     \
  X(INCONCLUSIVE, "inconclusive") \
  X(SUPERIOR, "superior")         \
  X(INFERIOR, "inferior")         \
  X(EQUIVALENT, "equivalent")

typedef enum bench_verdict {
#define BENCH_VERDICT_ENUM(name, word) VERDICT_##name,
  BENCH_VERDICT_LIST(BENCH_VERDICT_ENUM)
#undef BENCH_VERDICT_ENUM
      VERDICT_COUNT
} bench_verdict;

const char *verdict_word(bench_verdict verdict);

/* delta > 0. */
bench_verdict verdict_decide(bench_quantity advantage, double delta);

/* The same question the other way round. */
bench_verdict verdict_reverse(bench_verdict verdict);

/* Rule 2: "validated" only if both sides are measured, else "projected". */
const char *verdict_standing(bench_evidence a, bench_evidence b);

#endif
