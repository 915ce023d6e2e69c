/* The economic part of a report as a table of 80 columns. */
#include <math.h>
#include <string.h>

#include "bench/report.h"

/* Devices for which there is room. */
enum { OTHERS_MAX = 5 };

/* A verdict in one sign. */
static char sign_of(bench_verdict verdict) {
  static const char signs[] = {'?', '>', '<', '='};
  return signs[verdict];
}

static void print_head(const bench_economy *e, FILE *out) {
  const catalog_price *price = economy_price(e, 0);
  fprintf(out, "\n%s against others: tokens per dollar, attention alone",
          e->devices[0].name);
  if (price)
    fprintf(out, "\n%s %s, $%g an hour in %s\n", catalog_kind_name(price->kind),
            price->sku, price->usd_per_hour, price->region);
  else
    fprintf(out, "; it has no price\n");
  fprintf(out, "\n%-37s%9s", "cell", "tok/s ");
  for (int b = 1; b < e->device_count && b <= OTHERS_MAX; b++)
    if (!e->devices[b].measured) fprintf(out, "%6.5s", e->devices[b].name);
  fputc('\n', out);
}

static void print_cell(const bench_economy *e, const economy_cell *cell,
                       FILE *out) {
  char name[BENCH_NAME_SIZE];
  const bench_estimate *a = &cell->estimates[0];
  bench_workload_name(&cell->workload, name);
  if (!economy_estimated(a)) {
    fprintf(out, "%-37s %.42s\n", name, a->reason);
    return;
  }
  fprintf(out, "%-37s%8.1e%c", name, economy_tokens_per_second(cell, 0).value,
          evidence_letter(a->evidence));
  for (int b = 1; b < e->device_count && b <= OTHERS_MAX; b++) {
    economics_comparison c;
    if (e->devices[b].measured) continue;
    if (economy_compare(e, cell, b, &c))
      fprintf(out, c.advantage.value < 9.995 ? " %4.2f%c" : " %4.0f%c",
              c.advantage.value, sign_of(c.verdict));
    else
      fprintf(out, " %4s ", "-");
  }
  fputc('\n', out);
}

static void print_quantity(const char *name, bench_quantity q, FILE *out) {
  fprintf(out, "%s%.3f", name, q.value);
  if (quantity_has_interval(q)) fprintf(out, " [%.3f, %.3f]", q.low, q.high);
}

/* The line of rule 60. */
static void print_line(const economics_comparison *c, int64_t chips,
                       bench_evidence a, bench_evidence b, FILE *out) {
  fputs("  ", out);
  print_quantity("r = ", c->ratio, out);
  fprintf(out, ", pi = %.3f, ", c->price_ratio);
  print_quantity("rho = ", c->advantage, out);
  fprintf(out, "\n  ");
  print_quantity("P* = $", quantity_scale(c->parity, 1 / (double)chips), out);
  fprintf(out, " a chip-hour, class %c/%c: %s, %s%s%s\n", evidence_letter(a),
          evidence_letter(b), verdict_standing(a, b), verdict_word(c->verdict),
          c->because ? ": " : "", c->because ? c->because : "");
}

static void print_primary(const bench_economy *e, FILE *out) {
  const economy_cell *cell = economy_primary_cell(e);
  int b = economy_primary_device(e);
  economics_comparison c;
  if (!cell || !b || !economy_compare(e, cell, b, &c)) return;
  fprintf(out, "\nthe plan (%s): %s\n  %s, %s against %s\n", e->plan.registered,
          e->plan.question, e->plan.cell, e->devices[0].name,
          e->devices[b].name);
  print_line(&c, e->devices[0].chips, cell->estimates[0].evidence,
             cell->estimates[b].evidence, out);
}

/* Pairs that have the first device on one side. */
static void print_published(const bench_economy *e, FILE *out) {
  const catalog_result *a, *b;
  economics_comparison c;
  for (int64_t n = 0; economics_pair_get(&e->catalog, n, &a, &b); n++) {
    if (strcmp(a->chip, e->devices[0].chip) ||
        !economy_compare_published(e, a, b, &c))
      continue;
    fprintf(out, "\npublished: %s, %s\n  %lld x %s against %lld x %s\n",
            a->model, a->scenario, (long long)a->chips, a->chip,
            (long long)b->chips, b->chip);
    print_line(&c, a->chips, BENCH_EVIDENCE_PUBLISHED, BENCH_EVIDENCE_PUBLISHED,
               out);
  }
}

static void print_stale(const bench_report *report, FILE *out) {
  const catalog_price *price;
  int64_t today = report_day(report), oldest = 0;
  int count = 0;
  for (; (price = economy_stale_get(&report->economy, today, count)) != NULL;
       count++)
    oldest = base_max(oldest, today - price->as_of.day);
  if (count)
    fprintf(
        out,
        "\nwarning: %d of %d prices are older than %d days, the oldest %lld "
        "days\n",
        count, report->economy.device_count, CATALOG_DAYS_FRESH,
        (long long)oldest);
}

static bool any_measured(const bench_economy *e) {
  for (int i = 0; i < e->device_count; i++)
    if (e->devices[i].measured) return true;
  return false;
}

/* What a measured device, which has a price, buys with it. */
static void print_measured(const bench_economy *e, FILE *out) {
  char name[BENCH_NAME_SIZE];
  if (!any_measured(e)) return;
  fprintf(out, "\n%-16s %-37s%9s%9s%7s\n", "measured", "cell", "tok/s ",
          "tok/$ ", "rho");
  for (int i = 0; i < e->device_count; i++)
    for (int64_t n = 0; e->devices[i].measured && n < e->cell_count; n++) {
      const economy_cell *cell = &e->cells[n];
      economics_comparison c;
      if (!economy_estimated(&cell->estimates[i])) continue;
      bench_quantity rate = economy_tokens_per_second(cell, i);
      double usd = economy_price(e, i)->usd_per_hour;
      fprintf(out, "%-16.16s %-37.37s%8.1eA%8.1eA", e->devices[i].name,
              bench_workload_name(&cell->workload, name), rate.value,
              economics_tokens_per_dollar(rate, usd).value);
      if (economy_compare(e, cell, i, &c))
        fprintf(out, c.advantage.value < 99.95 ? " %4.1f%c" : " %4.0f%c",
                c.advantage.value, sign_of(c.verdict));
      fputc('\n', out);
    }
  fprintf(out, "rho: the tokens that a dollar buys on %s, over those on it\n",
          e->devices[0].name);
}

static bool measured_first(const bench_economy *e) {
  for (int64_t i = 0; i < e->cell_count; i++)
    if (economy_estimated(&e->cells[i].estimates[0]) &&
        e->cells[i].estimates[0].evidence == BENCH_EVIDENCE_MEASURED)
      return true;
  return false;
}

void report_text_economy(const bench_report *report, FILE *out) {
  const bench_economy *e = &report->economy;
  if (!e->device_count) return;
  print_head(e, out);
  for (int64_t i = 0; i < e->cell_count; i++) print_cell(e, &e->cells[i], out);
  fprintf(
      out,
      "\ntok/s of all the model's layers of that kind, with its evidence: B "
      "predicted, C\na roofline at the efficiency that such programs reach, "
      "as of all the others;\nthen rho: above 1 %s is cheaper a token. "
      "Verdicts with delta %g: >\nsuperior, < inferior, = equivalent, ? "
      "inconclusive. %s\n",
      e->devices[0].name, e->plan.delta,
      measured_first(e)
          ? "What is not\nmeasured (A) on both sides is projected."
          : "All of it is projected:\nnothing here was measured on a TPU.");
  print_measured(e, out);
  print_primary(e, out);
  print_published(e, out);
  print_stale(report, out);
}
