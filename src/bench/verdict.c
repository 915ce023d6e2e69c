/* What may be said of a ratio. */
#include "bench/verdict.h"

const char *verdict_word(bench_verdict verdict) {
  static const char *const words[] = {
#define VERDICT_WORD(name, word) word,
      BENCH_VERDICT_LIST(VERDICT_WORD)
#undef VERDICT_WORD
  };
  return words[verdict];
}

bench_verdict verdict_decide(bench_quantity advantage, double delta) {
  double most = 1 + delta, least = 1 / most;
  if (!quantity_has_interval(advantage)) return VERDICT_INCONCLUSIVE;
  if (advantage.low > most) return VERDICT_SUPERIOR;
  if (advantage.high < least) return VERDICT_INFERIOR;
  if (advantage.low90 >= least && advantage.high90 <= most)
    return VERDICT_EQUIVALENT;
  return VERDICT_INCONCLUSIVE;
}

bench_verdict verdict_reverse(bench_verdict verdict) {
  if (verdict == VERDICT_SUPERIOR) return VERDICT_INFERIOR;
  if (verdict == VERDICT_INFERIOR) return VERDICT_SUPERIOR;
  return verdict;
}

const char *verdict_standing(bench_evidence a, bench_evidence b) {
  return a == BENCH_EVIDENCE_MEASURED && b == BENCH_EVIDENCE_MEASURED
             ? "validated"
             : "projected";
}
