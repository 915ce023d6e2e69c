/* A number with its interval and its evidence class. No number of an economic
 * report goes without (rule 1). */
#ifndef PFL_BENCH_QUANTITY_H
#define PFL_BENCH_QUANTITY_H

#include <stdbool.h>

/* Rule 1. X(NAME, letter, word). A better class comes first. */
#define BENCH_EVIDENCE_LIST(X)   \
  X(MEASURED, 'A', "measured")   \
  X(PREDICTED, 'B', "predicted") \
  X(ROOFLINE, 'C', "roofline")   \
  X(PUBLISHED, 'D', "third party")

typedef enum bench_evidence {
#define BENCH_EVIDENCE_ENUM(name, letter, word) BENCH_EVIDENCE_##name,
  BENCH_EVIDENCE_LIST(BENCH_EVIDENCE_ENUM)
#undef BENCH_EVIDENCE_ENUM
      BENCH_EVIDENCE_COUNT
} bench_evidence;

char evidence_letter(bench_evidence evidence);
const char *evidence_word(bench_evidence evidence);
/* BENCH_EVIDENCE_COUNT if no class has that letter. */
bench_evidence evidence_find(char letter);

/* A positive number. The bounds are of a 95 % and a 90 % interval where it was
 * measured, and the least and most it may be (the same twice) where it was not;
 * NAN: no interval is known. */
typedef struct bench_quantity {
  double value, low, high, low90, high90;
} bench_quantity;

bench_quantity quantity_point(double value);
/* Somewhere between the two; the value is their geometric mean. */
bench_quantity quantity_range(double low, double high);
bool quantity_has_interval(bench_quantity q);

bench_quantity quantity_scale(bench_quantity q, double factor);
bench_quantity quantity_invert(bench_quantity q);

/* a / b where nothing is known of how the two go together: the bounds are the
 * extremes. */
bench_quantity quantity_divide(bench_quantity a, bench_quantity b);

/* Bounds moved outwards by a relative error, as rule 3 asks: by 1 + error. */
bench_quantity quantity_widen(bench_quantity q, double error);

#endif
