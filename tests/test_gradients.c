/* The reference's gradients: against finite differences, against an example
 * worked by hand, and where they must vanish. */
#include <float.h>

#include "attention_case.h"

/* One head and one query q = 1 with scale 1: scores 0, ln 2, ln 5. */
static void test_by_hand(void) {
  const double ln2 = 0.69314718055994531, ln5 = 1.6094379124341003,
               ln8 = 2.0794415416798357;
  const double k[] = {0, ln2, ln5}, v[] = {8, 16, 24}, one = 1;
  attention_problem p = {.B = 1,
                         .Hq = 1,
                         .Hkv = 1,
                         .Sq = 1,
                         .Sk = 3,
                         .D = 1,
                         .Dv = 1,
                         .group = 1,
                         .offset = 2,
                         .scale = 1,
                         .window = {ATTENTION_OPEN, ATTENTION_OPEN}};
  double dq, dk[3], dv[3], dsink;
  reference_backward_args args = {.q = &one,
                                  .k = k,
                                  .v = v,
                                  .d_o = &one,
                                  .out_dq = &dq,
                                  .out_dk = dk,
                                  .out_dv = dv};
  /* P = 1/8, 2/8, 5/8; o = 20; dS = P * (v - 20) */
  double tolerance = 64 * DBL_EPSILON * 24; /* a few operations of that size */
  CHECK_NEED(reference_backward(&p, &args));
  case_compare("dv", dv, (double[]){0.125, 0.25, 0.625}, 3, tolerance);
  case_compare("dk", dk, (double[]){-1.5, -1, 2.5}, 3, tolerance);
  case_compare("dq", &dq, (double[]){2.5 * ln5 - ln2}, 1, tolerance);
  /* a sink of 8 halves P; o = 10; the sink's P is 1/2 */
  args.sinks = &ln8;
  args.out_dsinks = &dsink;
  CHECK_NEED(reference_backward(&p, &args));
  case_compare("dv", dv, (double[]){0.0625, 0.125, 0.3125}, 3, tolerance);
  case_compare("dk", dk, (double[]){-0.125, 0.75, 4.375}, 3, tolerance);
  case_compare("dsinks", &dsink, (double[]){-5}, 1, tolerance);
}

/* sum(O * dO) + sum(LSE * dLSE), over rows that see a key */
static double loss(const attention_case *c) {
  const attention_problem *p = &c->problem;
  double sum = 0;
  case_forward(c);
  for (int64_t i = 0; i < p->B * p->Hq * p->Sq * p->Dv; i++)
    sum += c->o[i] * c->d_o[i];
  for (int64_t i = 0; c->d_lse && i < p->B * p->Hq * p->Sq; i++)
    if (c->lse[i] != -INFINITY) sum += c->lse[i] * c->d_lse[i];
  return sum;
}

#define STEP 0x1p-10 /* inputs are multiples of 2^-20: x + STEP is exact */

/* (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12 h */
static double difference(const attention_case *c, double *x) {
  static const double weights[] = {1, -8, 0, 8, -1};
  double kept = *x, sum = 0;
  for (int i = 0; i < 5; i++) {
    if (i == 2) continue;
    *x = kept + (i - 2) * STEP;
    sum += weights[i] * loss(c);
  }
  *x = kept;
  return sum / (12 * STEP);
}

/* The five-point difference is off by h^4 / 30 max|f'''''| and by 18 / 12 of
 * the error of one f over h.
 *
 * In one coordinate x a row of f is E_p[dO v] with p ~ exp(s(x)), whose n-th
 * derivative along straight scores of slope a is the joint cumulant of dO v and
 * n times a, at most |dO v| a^n sum_k (k - 1)! S(n + 1, k) with the Stirling
 * numbers of the second kind: 2, 6, 26, 150, 1082 for n = 1..5. softcap bends
 * the scores; with |tanh^(n)| <= 1, 0.77, 2, 4.1, 16 and softcap >= 1, Faa di
 * Bruno over the partitions of 5 gives
 *   1082 + 10*.77*150 + (10*2 + 15*.6)*26 + (5*4.1 + 10*1.54)*6 + 16*2 < 3250.
 * Slopes are |scale| times an input, or 1 for a sink: at most 1, and 1 + 2h
 * while an input is moved; |v| likewise. LSE's n-th derivative is the cumulant
 * of n times a alone, which is less: the terms S(n, k). So with F = sum|dO| +
 * sum|dLSE|
 *   |f'''''| <= 3250 F (1 + 2h)^6 < 3290 F.
 * One f is off by F times case_tolerance and a rounding a term. */
static double difference_tolerance(const attention_case *c) {
  const attention_problem *p = &c->problem;
  int64_t terms = p->B * p->Hq * p->Sq * p->Dv;
  double F = 0, h = STEP;
  for (int64_t i = 0; i < terms; i++) F += fabs(c->d_o[i]);
  for (int64_t i = 0; c->d_lse && i < p->B * p->Hq * p->Sq; i++, terms++)
    F += fabs(c->d_lse[i]);
  double one =
      case_tolerance(p, (double)p->D) + (double)(terms + 2) * DBL_EPSILON;
  return F * (3290 * h * h * h * h / 30 + 1.5 * one / h);
}

static void check_gradient(const attention_case *c, const char *name, double *x,
                           const double *gradient, int64_t count) {
  double tolerance = difference_tolerance(c);
  for (int64_t i = 0; i < count; i++) {
    double want = difference(c, x + i);
    case_compare(name, gradient + i, &want, 1, tolerance);
  }
}

/* Every kind of mask with every other, GQA, Sq != Sk, Dv != D. */
static void test_finite_differences(void) {
  for (unsigned round = 0; round < 3 * (CASE_ALL + 1); round++) {
    attention_case c =
        case_random(round % (CASE_ALL + 1) | (round % 3 ? CASE_D_LSE : 0));
    const attention_problem *p = &c.problem;
    int64_t keys = p->B * p->Hkv * p->Sk;
    case_backward(&c);
    check_gradient(&c, "dq", c.q, c.dq, p->B * p->Hq * p->Sq * p->D);
    check_gradient(&c, "dk", c.k, c.dk, keys * p->D);
    check_gradient(&c, "dv", c.v, c.dv, keys * p->Dv);
    if (c.sinks) check_gradient(&c, "dsinks", c.sinks, c.dsinks, p->Hq);
    case_free(&c);
  }
}

static bool all_zero(const double *array, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (array[i] != 0) return false;
  return true;
}

static bool row_is_empty(const attention_case *c, int64_t b, int64_t i) {
  for (int64_t j = 0; j < c->problem.Sk; j++)
    if (case_row_sees(c, b, i, j)) return false;
  return true;
}

static bool key_is_unseen(const attention_case *c, int64_t b, int64_t j) {
  for (int64_t i = 0; i < c->problem.Sq; i++)
    if (case_row_sees(c, b, i, j)) return false;
  return true;
}

/* A row that sees nothing and a key that nothing sees have zero gradients. */
static void test_unseen_is_zero(void) {
  for (unsigned round = 0; round < 320; round++) {
    unsigned kinds = round % (CASE_ALL + 1);
    pfl_attention a = case_attention(kinds);
    if (round % 3 == 0) a.kv_length = 0;
    attention_case c = case_of(a, kinds);
    const attention_problem *p = &c.problem;
    case_backward(&c);
    for (int64_t row = 0; row < p->B * p->Hq * p->Sq; row++)
      if (row_is_empty(&c, row / p->Sq / p->Hq, row % p->Sq))
        CHECK(all_zero(c.dq + row * p->D, p->D), "dq of row %d", (int)row);
    for (int64_t key = 0; key < p->B * p->Hkv * p->Sk; key++)
      if (key_is_unseen(&c, key / p->Sk / p->Hkv, key % p->Sk))
        CHECK(all_zero(c.dk + key * p->D, p->D) &&
                  all_zero(c.dv + key * p->Dv, p->Dv),
              "dk, dv of key %d", (int)key);
    if (!p->Sk) CHECK(all_zero(c.dsinks, p->Hq), "dsinks without keys");
    case_free(&c);
  }
}

/* A NaN in one dO reaches the gradients of that row and of the keys it sees,
 * and no others. */
static void check_nan_in_row(attention_case *c, int64_t row) {
  const attention_problem *p = &c->problem;
  int64_t bh = row / p->Sq, i = row % p->Sq, b = bh / p->Hq;
  int64_t d = check_between(0, p->Dv - 1);
  c->d_o[row * p->Dv + d] = NAN;
  case_backward(c);
  for (int64_t other = 0; other < p->B * p->Hq * p->Sq; other++)
    CHECK(
        isnan(c->dq[other * p->D]) == (other == row && !row_is_empty(c, b, i)),
        "row %d, NaN in %d: dq is %g", (int)other, (int)row,
        c->dq[other * p->D]);
  for (int64_t key = 0; key < p->B * p->Hkv * p->Sk; key++) {
    bool seen =
        key / p->Sk == bh / p->group && case_row_sees(c, b, i, key % p->Sk);
    CHECK(isnan(c->dk[key * p->D]) == seen, "key %d: dk is %g", (int)key,
          c->dk[key * p->D]);
    CHECK(isnan(c->dv[key * p->Dv + d]) == seen, "key %d: dv is %g", (int)key,
          c->dv[key * p->Dv + d]);
  }
}

static void test_nan_in_d_o(void) {
  for (unsigned round = 0; round < 320; round++) {
    attention_case c = case_random(round % (CASE_ALL + 1));
    const attention_problem *p = &c.problem;
    check_nan_in_row(&c, check_between(0, p->B * p->Hq * p->Sq - 1));
    case_free(&c);
  }
}

/* Each output alone is what it is among the others. */
static void test_unwanted_outputs(void) {
  attention_case c = case_random(CASE_ALL);
  const attention_problem *p = &c.problem;
  int64_t keys = p->B * p->Hkv * p->Sk;
  int64_t counts[] = {p->B * p->Hq * p->Sq * p->D, keys * p->D, keys * p->Dv,
                      p->Hq};
  case_backward(&c);
  double *all[] = {c.dq, c.dk, c.dv, c.dsinks};
  double **outputs[] = {&c.dq, &c.dk, &c.dv, &c.dsinks};
  for (int wanted = 0; wanted < 4; wanted++) {
    for (int i = 0; i < 4; i++) *outputs[i] = NULL;
    double *alone = *outputs[wanted] = case_output(counts[wanted]);
    case_backward(&c);
    case_compare("alone", alone, all[wanted], counts[wanted], 0);
    free(alone);
  }
  for (int i = 0; i < 4; i++) *outputs[i] = all[i];
  case_free(&c);
}

int main(void) {
  return CHECK_RUN(test_by_hand, test_finite_differences, test_unseen_is_zero,
                   test_nan_in_d_o, test_unwanted_outputs);
}
