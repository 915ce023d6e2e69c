/* Prices, where they lead, and what others published. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report_html.h"

/* ---- The prices that were used ----------------------------------------- */

static void add_price_row(base_text *html, const bench_economy *e, int device,
                          int64_t today) {
  const economy_device *d = &e->devices[device];
  const catalog_price *price = economy_price(e, device);
  base_text_add_string(html, "<tr><td>");
  html_add_text(html, d->name);
  if (!price) {
    base_text_format(html,
                     "</td><td class=\"reason\" colspan=\"6\">no %s price on "
                     "the continent of ",
                     catalog_kind_name(e->plan.kind));
    html_add_text(html, e->plan.region);
    base_text_add_string(html, "</td></tr>\n");
    return;
  }
  base_text_format(html, "</td><td>%.4g</td><td>%.4g</td><td>",
                   price->usd_per_hour, price->usd_per_hour / (double)d->chips);
  html_add_text(html, price->sku);
  base_text_add_string(html, "</td><td>");
  html_add_text(html, price->region);
  base_text_format(html, "</td><td%s>%s</td><td class=\"what\">",
                   economics_is_stale(price, today) ? " class=\"bad\"" : "",
                   price->as_of.text);
  html_add_text(html, price->source);
  base_text_add_string(html, "</td></tr>\n");
}

static void add_prices(base_text *html, const bench_economy *e, int64_t today) {
  base_text_format(
      html,
      "<h3>Prices</h3><p class=\"soft\">%s, the plan's region or "
      "else the lowest of its continent; host and disk included. "
      "Capital, egress, staff and porting are not.</p><div "
      "class=\"wide\"><table><thead><tr><th>device</th><th>$ an "
      "hour</th><th>$ a chip</th><th>what is rented</th><th>region"
      "</th><th>as of</th><th class=\"what\">source</th></tr></thead><tbody>\n",
      catalog_kind_name(e->plan.kind));
  for (int i = 0; i < e->device_count; i++) add_price_row(html, e, i, today);
  base_text_add_string(html, "</tbody></table></div>\n");
}

/* ---- Every region and kind --------------------------------------------- */

static void add_place(base_text *html, const economics_place *place) {
  base_text_format(html, "<tr><td>%s</td><td>",
                   catalog_kind_name(place->a->kind));
  html_add_text(html, place->a->region);
  base_text_format(html, "</td><td>%.4g</td><td>", place->a->usd_per_hour);
  html_add_text(html, place->b->region);
  base_text_format(html, "</td><td>%.4g</td><td class=\"%s\"><b>%.2f</b>",
                   place->b->usd_per_hour,
                   verdict_word(place->comparison.verdict),
                   place->comparison.advantage.value);
  if (quantity_has_interval(place->comparison.advantage))
    base_text_format(html, " [%.2f, %.2f]", place->comparison.advantage.low,
                     place->comparison.advantage.high);
  base_text_add_string(html, "</td></tr>\n");
}

static pfl_status add_matrix(base_text *html, const bench_economy *e, int b,
                             const economics_comparison *c, pfl_error *error) {
  const economy_device *d = e->devices;
  economics_matrix m;
  PFL_TRY(economics_matrix_create(
      &e->catalog, (economics_unit){d[0].chip, d[0].chips},
      (economics_unit){d[b].chip, d[b].chips}, economics_decisive(c),
      e->plan.delta, &m, error));
  base_text_add_string(html,
                       "<h3>Every region and kind of price</h3><p "
                       "class=\"soft\">The plan's cell, ");
  html_add_text(html, d[0].name);
  base_text_add_string(html, " over ");
  html_add_text(html, d[b].name);
  if (m.count)
    base_text_format(html,
                     ": least %.2f, median %.2f, most %.2f; more than %g in "
                     "%lld of %lld places.",
                     m.least, m.median, m.most, 1 + e->plan.delta,
                     (long long)m.better, (long long)m.count);
  base_text_add_string(
      html,
      " Where one is not in the region of the other, the lowest price of "
      "the continent is taken.</p><div class=\"wide\"><table><thead><tr>"
      "<th>kind</th><th>region</th><th>$ an hour</th><th>the other's "
      "region</th><th>$ an hour</th><th>advantage</th></tr></thead>"
      "<tbody>\n");
  for (int64_t i = 0; i < m.count; i++) add_place(html, &m.places[i]);
  base_text_add_string(html, "</tbody></table></div>\n");
  economics_matrix_release(&m);
  return PFL_STATUS_OK;
}

/* ---- If prices change -------------------------------------------------- */

static void add_grid(base_text *html, const economics_comparison *c,
                     double delta) {
  base_text_add_string(
      html,
      "<h3>If prices change</h3><p class=\"soft\">The advantage with the "
      "first device's price (rows) and the other's (columns) times these "
      "factors.</p><div class=\"wide\"><table class=\"grid\"><thead><tr>"
      "<th></th>");
  for (int b = 0; b < ECONOMICS_STEPS; b++)
    base_text_format(html, "<th>&times; %g</th>", economics_steps[b]);
  base_text_add_string(html, "</tr></thead><tbody>\n");
  for (int a = 0; a < ECONOMICS_STEPS; a++) {
    base_text_format(html, "<tr><td>&times; %g</td>", economics_steps[a]);
    for (int b = 0; b < ECONOMICS_STEPS; b++) {
      bench_quantity q =
          economics_sensitivity(c, economics_steps[a], economics_steps[b]);
      base_text_format(html, "<td class=\"%s\">%.2f</td>",
                       verdict_word(c->because ? VERDICT_INCONCLUSIVE
                                               : verdict_decide(q, delta)),
                       q.value);
    }
    base_text_add_string(html, "</tr>\n");
  }
  base_text_add_string(html, "</tbody></table></div>\n");
}

/* Commitments that are published: from which use on they pay. */
static void add_commitments(base_text *html, const bench_economy *e) {
  bool any = false;
  for (int i = 0; i < e->device_count; i++)
    for (int kind = BENCH_PRICE_COMMIT_1Y; kind <= BENCH_PRICE_COMMIT_3Y;
         kind++) {
      const economy_device *d = &e->devices[i];
      const catalog_price *committed =
          catalog_price_find(&e->catalog, d->chip, d->chips,
                             (bench_price_kind)kind, e->plan.region, NULL);
      const catalog_price *list =
          catalog_price_find(&e->catalog, d->chip, d->chips,
                             BENCH_PRICE_ON_DEMAND, e->plan.region, NULL);
      if (!committed || !list) continue;
      base_text_add_string(
          html, any ? "; " : "<p class=\"soft\">A commitment pays above: ");
      html_add_text(html, d->name);
      base_text_format(html, " %s %.0f %% of use",
                       catalog_kind_name((bench_price_kind)kind),
                       100 * economics_commit_break_even(
                                 committed->usd_per_hour, list->usd_per_hour));
      any = true;
    }
  if (any)
    base_text_add_string(html,
                         ". Others' commitment prices are not "
                         "published.</p>\n");
}

/* ---- What others published --------------------------------------------- */

static void add_result(base_text *html, const bench_economy *e,
                       const catalog_result *r) {
  const catalog_price *price = catalog_price_find(
      &e->catalog, r->chip, r->chips, e->plan.kind, e->plan.region, NULL);
  const char *area = economy_area(e);
  if (!price && area)
    price = catalog_price_find(&e->catalog, r->chip, r->chips, e->plan.kind,
                               NULL, area);
  base_text_add_string(html, "<tr><td>");
  html_add_text(html, r->model);
  base_text_format(html, "</td><td>%lld x ", (long long)r->chips);
  html_add_text(html, r->chip);
  base_text_add_string(html, "</td><td>");
  html_add_text(html, r->precision);
  base_text_add_string(html, "</td><td class=\"what\">");
  html_add_text(html, r->scenario);
  base_text_format(html, "</td><td>%g ", r->value);
  html_add_text(html, r->unit);
  if (price)
    base_text_format(html, "</td><td>%.3f",
                     1e6 / 3600 * price->usd_per_hour / r->value);
  else
    base_text_add_string(html, "</td><td>-");
  base_text_format(html, "</td><td>%s</td><td class=\"what\">", r->as_of.text);
  html_add_text(html, r->source);
  base_text_format(html, " (%s)</td></tr>\n", r->kind);
}

static bool is_rate(const catalog_result *r) {
  return !strcmp(r->unit, "tokens/s") || !strcmp(r->unit, "samples/s");
}

static bool is_device(const bench_economy *e, const char *chip) {
  for (int i = 0; i < e->device_count; i++)
    if (!strcmp(e->devices[i].chip, chip)) return true;
  return false;
}

static void add_published(base_text *html, const bench_economy *e) {
  base_text_add_string(
      html,
      "<h3>Whole models, published by others <abbr class=\"badge D\">D</abbr>"
      "</h3><p class=\"soft\">Rows of different models, precisions or "
      "scenarios are not comparable with each other.</p><div class=\"wide\">"
      "<table><thead><tr><th>model</th><th>on</th><th>precision</th>"
      "<th class=\"what\">scenario</th><th>rate</th><th>$ a million of "
      "them</th><th>dated</th>"
      "<th class=\"what\">source</th></tr></thead><tbody>\n");
  for (int64_t i = 0; i < e->catalog.result_count; i++) {
    const catalog_result *r = &e->catalog.results[i];
    if (is_rate(r) && is_device(e, r->chip)) add_result(html, e, r);
  }
  base_text_add_string(html, "</tbody></table></div>\n");
}

/* What the cycle model is trusted to (rule 3). */
static void add_anchors(base_text *html, const bench_economy *e) {
  const catalog_model_error *error = &e->catalog.model_error;
  base_text_format(
      html,
      "<h3>How far predictions are off</h3><p class=\"soft\">Programs that "
      "others measured on a v5e, predicted the same way: median error %.1f %%, "
      "worst %.1f %%. Every prediction's bounds are moved out by the worst.</p>"
      "<div class=\"wide\"><table><thead><tr><th>program</th><th>measured ms"
      "</th><th>predicted ms</th><th>error</th><th "
      "class=\"what\">source</th></tr></thead>"
      "<tbody>\n",
      100 * error->median, 100 * error->worst);
  for (int64_t i = 0; i < e->catalog.anchor_count; i++) {
    const catalog_anchor *a = &e->catalog.anchors[i];
    base_text_add_string(html, "<tr><td class=\"what\">");
    html_add_text(html, a->program);
    base_text_format(html,
                     "</td><td>%g</td><td>%g</td><td>%+.1f%%</td><td "
                     "class=\"what\">",
                     a->measured_ms, a->predicted_ms,
                     100 * (a->predicted_ms / a->measured_ms - 1));
    html_add_text(html, a->source);
    base_text_add_string(html, "</td></tr>\n");
  }
  base_text_add_string(html, "</tbody></table></div>\n");
}

pfl_status html_add_prices(base_text *html, const bench_report *report,
                           pfl_error *error) {
  const bench_economy *e = &report->economy;
  const economy_cell *cell = economy_primary_cell(e);
  int b = economy_primary_device(e);
  economics_comparison c;
  if (!e->device_count) return PFL_STATUS_OK;
  base_text_add_string(html,
                       "<section id=\"prices\"><h2>Prices and sources</h2>\n");
  add_prices(html, e, report_day(report));
  if (cell && b && economy_compare(e, cell, b, &c)) {
    PFL_TRY(add_matrix(html, e, b, &c, error));
    add_grid(html, &c, e->plan.delta);
  }
  add_commitments(html, e);
  add_published(html, e);
  add_anchors(html, e);
  base_text_add_string(html, "</section>\n");
  return PFL_STATUS_OK;
}
