/* Numbers with intervals. */
#include "bench/quantity.h"

#include <math.h>

static const struct {
  char letter;
  const char *word;
} classes[] = {
#define EVIDENCE_ROW(name, letter, word) {letter, word},
    BENCH_EVIDENCE_LIST(EVIDENCE_ROW)
#undef EVIDENCE_ROW
};

char evidence_letter(bench_evidence evidence) {
  return classes[evidence].letter;
}
const char *evidence_word(bench_evidence evidence) {
  return classes[evidence].word;
}

bench_evidence evidence_find(char letter) {
  int i = 0;
  while (i < BENCH_EVIDENCE_COUNT && classes[i].letter != letter) i++;
  return (bench_evidence)i;
}

bench_quantity quantity_point(double value) {
  return (bench_quantity){value, NAN, NAN, NAN, NAN};
}

bench_quantity quantity_range(double low, double high) {
  return (bench_quantity){sqrt(low) * sqrt(high), low, high, low, high};
}

bool quantity_has_interval(bench_quantity q) { return !isnan(q.low); }

bench_quantity quantity_scale(bench_quantity q, double factor) {
  return (bench_quantity){q.value * factor, q.low * factor, q.high * factor,
                          q.low90 * factor, q.high90 * factor};
}

bench_quantity quantity_invert(bench_quantity q) {
  return (bench_quantity){1 / q.value, 1 / q.high, 1 / q.low, 1 / q.high90,
                          1 / q.low90};
}

/* A quantity without an interval is exactly its value beside one that has. */
static bench_quantity with_bounds(bench_quantity q) {
  if (quantity_has_interval(q)) return q;
  return (bench_quantity){q.value, q.value, q.value, q.value, q.value};
}

bench_quantity quantity_divide(bench_quantity a, bench_quantity b) {
  if (!quantity_has_interval(a) && !quantity_has_interval(b))
    return quantity_point(a.value / b.value);
  bench_quantity x = with_bounds(a), y = with_bounds(b);
  return (bench_quantity){x.value / y.value, x.low / y.high, x.high / y.low,
                          x.low90 / y.high90, x.high90 / y.low90};
}

bench_quantity quantity_widen(bench_quantity q, double error) {
  bench_quantity x = with_bounds(q);
  double wider = 1 + error;
  return (bench_quantity){x.value, x.low / wider, x.high * wider,
                          x.low90 / wider, x.high90 * wider};
}
