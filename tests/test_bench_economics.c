/* Ratios, prices and verdicts: the worked example of docs/method.md from the
 * shipped data, and the algebra by properties. */
#include "bench/economics.h"

#include "check.h"

#define DATA PFLASH_TESTS_DIR "/../bench/data"

static bool close_to(double a, double b) {
  return fabs(a - b) <= 1e-12 * fabs(b);
}

static bench_quantity random_quantity(void) {
  double value = exp(3 * check_normal());
  double low = value / (1 + check_uniform());
  double high = value * (1 + check_uniform());
  return (bench_quantity){value, low, high, low + (value - low) / 3,
                          high - (high - value) / 3};
}

static double random_price(void) { return exp(2 * check_normal()); }

/* ---- The worked example ------------------------------------------------ */

/* MLPerf v3.1, GPT-J 6B Offline: a v5e-4 against an L4. */
static void find_anchor(const bench_catalog *c, const catalog_result **out_a,
                        const catalog_result **out_b) {
  for (int64_t n = 0; economics_pair_get(c, n, out_a, out_b); n++)
    if (strstr((*out_a)->model, "GPT-J") && !strcmp((*out_b)->chip, "L4"))
      return;
  CHECK_NEED(!"the anchor");
}

static void test_anchor(void) {
  bench_catalog c;
  const catalog_result *a, *b;
  CHECK_NEED(catalog_open(DATA, NULL, &c, NULL) == PFL_STATUS_OK);
  find_anchor(&c, &a, &b);
  CHECK(!strcmp(a->chip, "v5e") && a->chips == 4 && b->chips == 1, "%s %s",
        a->chip, b->chip);
  bench_quantity slice =
      quantity_divide(quantity_point(a->value), quantity_point(b->value));
  CHECK(fabs(slice.value - 7.542) < 5e-4, "slice %g", slice.value);
  bench_quantity chip = quantity_scale(slice, 1 / (double)a->chips);
  CHECK(fabs(chip.value - 1.886) < 5e-4, "chip %g", chip.value);
  double usd_b = catalog_price_find(&c, "L4", 1, BENCH_PRICE_ON_DEMAND,
                                    "us-central1", NULL)
                     ->usd_per_hour;
  const catalog_price *price_a = catalog_price_find(
      &c, "v5e", 4, BENCH_PRICE_ON_DEMAND, "us-central1", NULL);
  economics_comparison whole =
      economics_compare(slice, price_a->usd_per_hour, usd_b, VERDICT_DELTA);
  CHECK(fabs(whole.parity.value / 4 - 1.333) < 5e-4, "parity %g a chip",
        whole.parity.value / 4);
  CHECK(fabs(whole.advantage.value - 1.11) < 5e-3, "rho %g",
        whole.advantage.value);
  CHECK(fabs(whole.price_ratio / 4 - 1.698) < 5e-4, "pi %g",
        whole.price_ratio / 4);
  /* one run each: no interval, so no verdict, and nothing of it measured here
   */
  CHECK(whole.verdict == VERDICT_INCONCLUSIVE, "%s",
        verdict_word(whole.verdict));
  CHECK(!strcmp(verdict_standing(BENCH_EVIDENCE_PUBLISHED,
                                 BENCH_EVIDENCE_PUBLISHED),
                "projected"),
        "standing");
  catalog_close(&c);
}

/* The table of the worked example, a chip each. */
static void test_anchor_prices(void) {
  static const struct {
    bench_price_kind kind;
    const char *region_a, *region_b;
    double rho;
  } cases[] = {
      {BENCH_PRICE_ON_DEMAND, "us-central1", "us-central1", 1.11},
      {BENCH_PRICE_ON_DEMAND, "us-central1", "us-east-1", 1.26},
      {BENCH_PRICE_SPOT, "us-central1", "us-central1", 2.52},
      {BENCH_PRICE_SPOT, "us-west4", "us-west4", 1.66},
      {BENCH_PRICE_SPOT, "europe-west4", "europe-west4", 1.44},
      {BENCH_PRICE_SPOT, "us-east5", "us-east5", 0.25},
  };
  bench_catalog c;
  const catalog_result *a, *b;
  CHECK_NEED(catalog_open(DATA, NULL, &c, NULL) == PFL_STATUS_OK);
  find_anchor(&c, &a, &b);
  bench_quantity ratio = quantity_point(a->value / 4 / b->value);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const catalog_price *price_a = catalog_price_find(
        &c, "v5e", 1, cases[i].kind, cases[i].region_a, NULL);
    const catalog_price *price_b =
        catalog_price_find(&c, "L4", 1, cases[i].kind, cases[i].region_b, NULL);
    CHECK_NEED(price_a && price_b);
    economics_comparison compared = economics_compare(
        ratio, price_a->usd_per_hour, price_b->usd_per_hour, VERDICT_DELTA);
    CHECK(fabs(compared.advantage.value - cases[i].rho) < 5e-3,
          "case %zu: rho %g", i, compared.advantage.value);
    if (i == 2) /* 60 % of paid time may be lost */
      CHECK(fabs(compared.bearable_loss - 0.603) < 5e-4, "loss %g",
            compared.bearable_loss);
  }
  catalog_close(&c);
}

static void test_matrix(void) {
  bench_catalog c;
  CHECK_NEED(catalog_open(DATA, NULL, &c, NULL) == PFL_STATUS_OK);
  bench_quantity ratio = quantity_range(7, 8);
  economics_unit a = {"v5e", 4}, b = {"L4", 1};
  economics_matrix m;
  CHECK_NEED(economics_matrix_create(&c, a, b, ratio, VERDICT_DELTA, &m,
                                     NULL) == PFL_STATUS_OK);
  int64_t better = 0, same = 0;
  for (int64_t i = 0; i < m.count; i++) {
    const economics_place *p = &m.places[i];
    CHECK(p->a->kind == p->b->kind, "kinds are mixed (rule 47)");
    CHECK(!strcmp(p->a->area, p->b->area), "continents are mixed (rule 47)");
    CHECK(p->same_region == !strcmp(p->a->region, p->b->region), "%s %s",
          p->a->region, p->b->region);
    better += p->comparison.advantage.value > 1.05;
    same += p->same_region;
    for (int64_t j = 0; j < i; j++)
      CHECK(m.places[j].a->kind != p->a->kind ||
                strcmp(m.places[j].a->region, p->a->region) ||
                strcmp(m.places[j].b->region, p->b->region),
            "%s and %s twice", p->a->region, p->b->region);
  }
  CHECK(m.count >= 12 && same >= 8, "%lld places, %lld same",
        (long long)m.count, (long long)same);
  CHECK(m.better == better, "%lld better", (long long)m.better);
  CHECK(m.least <= m.median && m.median <= m.most, "%g %g %g", m.least,
        m.median, m.most);
  economics_matrix_release(&m);
  /* nothing to compare: no place, no number */
  CHECK_NEED(economics_matrix_create(&c, a, (economics_unit){"L4", 7}, ratio,
                                     VERDICT_DELTA, &m, NULL) == PFL_STATUS_OK);
  CHECK(m.count == 0 && isnan(m.median), "%lld places", (long long)m.count);
  economics_matrix_release(&m);
  catalog_close(&c);
}

/* Pairs are of one workload, on two chips, and none is an estimate. */
static void test_pairs(void) {
  bench_catalog c;
  const catalog_result *a, *b;
  int64_t count = 0;
  CHECK_NEED(catalog_open(DATA, NULL, &c, NULL) == PFL_STATUS_OK);
  for (; economics_pair_get(&c, count, &a, &b); count++) {
    CHECK(strcmp(a->chip, b->chip), "%s twice", a->chip);
    CHECK(!strcmp(a->model, b->model) && !strcmp(a->scenario, b->scenario) &&
              !strcmp(a->precision, b->precision) &&
              !strcmp(a->metric, b->metric),
          "%s, %s: %s, %s", a->model, a->scenario, b->model, b->scenario);
    CHECK(strcmp(a->kind, "estimate") && strcmp(b->kind, "estimate"),
          "an estimate");
  }
  CHECK(count >= 1 && count < 100, "%lld pairs", (long long)count);
  catalog_close(&c);
}

/* ---- Algebra ----------------------------------------------------------- */

static void test_one_side(void) {
  bench_quantity rate = quantity_point(1000);
  CHECK(close_to(economics_tokens_per_dollar(rate, 1.2).value, 3e6), "tokens");
  CHECK(close_to(economics_usd_per_million(rate, 1.2).value, 1 / 3.0),
        "dollars");
  CHECK(close_to(economics_spot_effective(0.3, 0.5), 0.6), "spot");
  CHECK(close_to(economics_commit_break_even(0.63, 1.26), 0.5), "commitment");
  for (int i = 0; i < check_cases(2000); i++) {
    bench_quantity q = random_quantity();
    double usd = random_price();
    bench_quantity per_dollar = economics_tokens_per_dollar(q, usd);
    bench_quantity per_million = economics_usd_per_million(q, usd);
    CHECK(close_to(per_dollar.value * per_million.value, 1e6), "reciprocal");
    CHECK(close_to(per_dollar.low * per_million.high, 1e6), "bounds cross");
    CHECK(per_million.low <= per_million.value &&
              per_million.value <= per_million.high,
          "%g %g %g", per_million.low, per_million.value, per_million.high);
    bench_quantity half = economics_at_utilisation(per_million, 0.5);
    CHECK(close_to(half.value, 2 * per_million.value), "idle time is paid");
  }
}

/* A is cheaper if and only if its price is below parity, whichever price. */
static void test_parity(void) {
  for (int i = 0; i < check_cases(5000); i++) {
    bench_quantity r = random_quantity();
    double usd_a = random_price(), usd_b = random_price();
    economics_comparison c = economics_compare(r, usd_a, usd_b, VERDICT_DELTA);
    CHECK((c.advantage.value > 1) == (usd_a < c.parity.value), "%g %g %g",
          c.advantage.value, usd_a, c.parity.value);
    economics_comparison at =
        economics_compare(r, c.parity.value, usd_b, VERDICT_DELTA);
    CHECK(close_to(at.advantage.value, 1), "at parity rho is %g",
          at.advantage.value);
    /* the interval of r maps onto parity linearly (D5) */
    CHECK(close_to(c.parity.low, r.low * usd_b) &&
              close_to(c.parity.high, r.high * usd_b),
          "bounds");
    double rest = c.advantage.value * (1 - c.bearable_loss);
    CHECK(fabs(rest - 1) <= 0x1p-50 * (1 + c.advantage.value), /* 1 - 1/rho */
          "%g is left of %g", rest, c.advantage.value);
  }
}

/* Elasticities of -1 and +1: only the ratio of the two factors matters. */
static void test_sensitivity(void) {
  for (int i = 0; i < check_cases(1000); i++) {
    double usd_a = random_price(), usd_b = random_price();
    bench_quantity r = random_quantity();
    economics_comparison c = economics_compare(r, usd_a, usd_b, VERDICT_DELTA);
    for (int a = 0; a < ECONOMICS_STEPS; a++)
      for (int b = 0; b < ECONOMICS_STEPS; b++) {
        double expected =
            economics_compare(r, usd_a * economics_steps[a],
                              usd_b * economics_steps[b], VERDICT_DELTA)
                .advantage.value;
        double got =
            economics_sensitivity(&c, economics_steps[a], economics_steps[b])
                .value;
        CHECK(close_to(got, expected), "%g, not %g", got, expected);
      }
  }
}

/* Intervals keep their order, and what an extreme of the parts gives lies
 * within. */
static void test_quantities(void) {
  for (int i = 0; i < check_cases(5000); i++) {
    bench_quantity a = random_quantity(), b = random_quantity();
    bench_quantity q = quantity_divide(a, b);
    CHECK(q.low <= q.low90 && q.low90 <= q.value && q.value <= q.high90 &&
              q.high90 <= q.high,
          "%g %g %g %g %g", q.low, q.low90, q.value, q.high90, q.high);
    CHECK(close_to(q.low, a.low / b.high) && close_to(q.high, a.high / b.low),
          "extremes");
    bench_quantity back = quantity_invert(quantity_invert(q));
    CHECK(close_to(back.low, q.low) && close_to(back.high90, q.high90), "back");
    bench_quantity wide = quantity_widen(q, 0.2);
    CHECK(wide.low < q.low && q.high < wide.high && wide.value == q.value,
          "wider");
  }
  bench_quantity point = quantity_point(3);
  CHECK(!quantity_has_interval(point) &&
            !quantity_has_interval(quantity_divide(point, point)),
        "a point has none");
  CHECK(quantity_has_interval(quantity_divide(point, random_quantity())),
        "one that has is enough");
  CHECK(close_to(quantity_range(2, 8).value, 4), "the middle of a range");
}

/* ---- Verdicts ---------------------------------------------------------- */

static void test_verdict_cases(void) {
  static const struct {
    double low, low90, high90, high;
    bench_verdict verdict;
  } cases[] = {
      {1.06, 1.07, 1.2, 1.3, VERDICT_SUPERIOR},
      {1.04, 1.06, 1.2, 1.3, VERDICT_INCONCLUSIVE}, /* 95 % decides */
      {1.05, 1.06, 1.2, 1.3, VERDICT_INCONCLUSIVE}, /* above, not at */
      {0.5, 0.6, 0.9, 0.94, VERDICT_INFERIOR},
      {0.5, 0.6, 0.9, 0.96, VERDICT_INCONCLUSIVE},
      {0.94, 0.96, 1.04, 1.06, VERDICT_EQUIVALENT}, /* 90 % decides */
      {0.97, 0.98, 1.051, 1.06, VERDICT_INCONCLUSIVE},
      {0.2, 0.3, 3, 4, VERDICT_INCONCLUSIVE}, /* no difference seen is not
                                                 equivalence */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench_quantity rho = {1, cases[i].low, cases[i].high, cases[i].low90,
                          cases[i].high90};
    bench_verdict got = verdict_decide(rho, VERDICT_DELTA);
    CHECK(got == cases[i].verdict, "case %zu: %s", i, verdict_word(got));
  }
  CHECK(verdict_decide(quantity_point(100), VERDICT_DELTA) ==
            VERDICT_INCONCLUSIVE,
        "without an interval");
}

/* Swapping the sides swaps the verdict; a better interval is never a worse
 * verdict; a narrower one never undoes a decision. */
static void test_verdict_algebra(void) {
  for (int i = 0; i < check_cases(20000); i++) {
    bench_quantity rho = random_quantity();
    rho = quantity_scale(rho, exp(0.2 * check_normal()) / rho.value);
    double delta = 0.001 + 0.3 * check_uniform();
    bench_verdict v = verdict_decide(rho, delta);
    CHECK(verdict_decide(quantity_invert(rho), delta) == verdict_reverse(v),
          "%s the other way", verdict_word(v));
    bench_quantity better = quantity_scale(rho, 1 + check_uniform());
    bench_verdict w = verdict_decide(better, delta);
    CHECK(v != VERDICT_SUPERIOR || w == VERDICT_SUPERIOR, "better is worse");
    CHECK(w != VERDICT_INFERIOR || v == VERDICT_INFERIOR, "better is inferior");
    double share = check_uniform();
    bench_quantity narrow = {rho.value, rho.low + share * (rho.low90 - rho.low),
                             rho.high - share * (rho.high - rho.high90),
                             rho.low90, rho.high90};
    bench_verdict n = verdict_decide(narrow, delta);
    CHECK(v == VERDICT_INCONCLUSIVE || v == VERDICT_EQUIVALENT || n == v,
          "%s became %s", verdict_word(v), verdict_word(n));
  }
}

static void test_standing(void) {
  for (int a = 0; a < BENCH_EVIDENCE_COUNT; a++)
    for (int b = 0; b < BENCH_EVIDENCE_COUNT; b++) {
      bool measured = !a && !b;
      CHECK(!strcmp(verdict_standing((bench_evidence)a, (bench_evidence)b),
                    measured ? "validated" : "projected"),
            "%c %c", evidence_letter((bench_evidence)a),
            evidence_letter((bench_evidence)b));
      CHECK(evidence_find(evidence_letter((bench_evidence)a)) ==
                (bench_evidence)a,
            "letter");
    }
  CHECK(evidence_find('E') == BENCH_EVIDENCE_COUNT, "a stranger");
}

static void test_stale(void) {
  catalog_price price = {.as_of.day = catalog_day("2026-07-30")};
  CHECK(!economics_is_stale(&price, catalog_day("2026-08-29")), "30 days");
  CHECK(economics_is_stale(&price, catalog_day("2026-08-30")), "31 days");
}

int main(void) {
  return CHECK_RUN(test_anchor, test_anchor_prices, test_matrix, test_pairs,
                   test_one_side, test_parity, test_sensitivity,
                   test_quantities, test_verdict_cases, test_verdict_algebra,
                   test_standing, test_stale);
}
