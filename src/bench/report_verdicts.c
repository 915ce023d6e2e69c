/* The answer in a few lines, and the table of verdicts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report_html.h"

void html_add_evidence(base_text *html, bench_evidence evidence) {
  base_text_format(html, "<abbr class=\"badge %c\" title=\"%s\">%c</abbr>",
                   evidence_letter(evidence), evidence_word(evidence),
                   evidence_letter(evidence));
}

static void add_bounds(base_text *html, bench_quantity q) {
  if (quantity_has_interval(q))
    base_text_format(html, " [%.2f, %.2f]", q.low, q.high);
}

/* ---- The answer -------------------------------------------------------- */

/* A tile: what was compared, the advantage, the parity price, the verdict. */
static void add_tile(base_text *html, const economics_comparison *c,
                     int64_t chips, double usd_a, bench_evidence a,
                     bench_evidence b, const char *what, const char *sides) {
  base_text_add_string(html, "<div class=\"tile\"><span>");
  html_add_text(html, what);
  base_text_add_string(html, " ");
  html_add_evidence(html, a);
  html_add_evidence(html, b);
  base_text_format(html, "</span><b class=\"%s\">%.2f &times;",
                   verdict_word(c->verdict), c->advantage.value);
  base_text_add_string(html, "</b><span>tokens per dollar, ");
  html_add_text(html, sides);
  add_bounds(html, c->advantage);
  base_text_format(html,
                   "</span><span>cheaper below <strong>$%.3f</strong> a "
                   "chip-hour; its price is $%.3f</span><span>%s: "
                   "<strong>%s</strong>",
                   c->parity.value / (double)chips, usd_a / (double)chips,
                   verdict_standing(a, b), verdict_word(c->verdict));
  if (c->because) {
    base_text_add_string(html, ", ");
    html_add_text(html, c->because);
  }
  base_text_add_string(html, "</span></div>\n");
}

static void add_plan_tile(base_text *html, const bench_economy *e) {
  const economy_cell *cell = economy_primary_cell(e);
  int b = economy_primary_device(e);
  economics_comparison c;
  char sides[96];
  if (!cell || !b || !economy_compare(e, cell, b, &c)) return;
  snprintf(sides, sizeof sides, "%s over %s", e->devices[0].name,
           e->devices[b].name);
  add_tile(html, &c, e->devices[0].chips, economy_price(e, 0)->usd_per_hour,
           cell->estimates[0].evidence, cell->estimates[b].evidence,
           e->plan.cell, sides);
}

/* The audited pair that has the first device in it. */
static void add_published_tile(base_text *html, const bench_economy *e) {
  const catalog_result *a, *b;
  economics_comparison c;
  for (int64_t n = 0; economics_pair_get(&e->catalog, n, &a, &b); n++) {
    char what[160], sides[96];
    const economy_device *d = &e->devices[0];
    if (strcmp(a->chip, d->chip) || a->chips != d->chips ||
        strcmp(a->kind, "audited") || !economy_compare_published(e, a, b, &c))
      continue;
    snprintf(what, sizeof what, "whole model: %s, %s", a->model, a->scenario);
    snprintf(sides, sizeof sides, "%s over %s", d->name, b->chip);
    add_tile(html, &c, a->chips, economy_price(e, 0)->usd_per_hour,
             BENCH_EVIDENCE_PUBLISHED, BENCH_EVIDENCE_PUBLISHED, what, sides);
    return;
  }
}

static void add_warnings(base_text *html, const bench_report *report) {
  const bench_economy *e = &report->economy;
  const catalog_price *price;
  int64_t today = report_day(report), oldest = 0;
  int count = 0;
  for (; (price = economy_stale_get(e, today, count)) != NULL; count++)
    oldest = base_max(oldest, today - price->as_of.day);
  if (count)
    base_text_format(html,
                     "<p class=\"bad\">%d of the %d prices are older than %d "
                     "days, the oldest %lld: look them up before deciding.</p>",
                     count, e->device_count, CATALOG_DAYS_FRESH,
                     (long long)oldest);
  if (!*e->compiler)
    base_text_add_string(html,
                         "<p class=\"bad\">There was no prediction for the TPU "
                         "here: its numbers are rooflines.</p>");
}

void html_add_answer(base_text *html, const bench_report *report) {
  const bench_economy *e = &report->economy;
  if (!e->device_count) return;
  base_text_add_string(html, "<section id=\"answer\"><h2>");
  html_add_text(html, e->plan.question);
  base_text_add_string(html, "</h2>\n");
  add_warnings(html, report);
  base_text_add_string(html, "<div class=\"tiles\">\n");
  add_plan_tile(html, e);
  add_published_tile(html, e);
  base_text_add_string(html,
                       "</div><ul class=\"legend\"><li><abbr class=\"badge "
                       "A\">A</abbr>measured on that device</li><li><abbr "
                       "class=\"badge B\">B</abbr>predicted from the "
                       "compiler's code</li><li><abbr class=\"badge "
                       "C\">C</abbr>roofline at an efficiency that others "
                       "reached</li><li><abbr class=\"badge D\">D</abbr>"
                       "published by a third party</li></ul><p "
                       "class=\"soft\">Only A on both sides is called "
                       "validated; everything else is projected.</p>"
                       "</section>\n");
}

/* ---- The table --------------------------------------------------------- */

static void add_head(base_text *html, const bench_economy *e) {
  base_text_add_string(html,
                       "<div class=\"wide\"><table class=\"verdicts\">"
                       "<thead><tr><th>cell</th><th>");
  html_add_text(html, e->devices[0].name);
  base_text_add_string(html, "<br>tokens/s</th><th>of bound</th>");
  for (int b = 1; b < e->device_count; b++) {
    base_text_add_string(html, "<th>over ");
    html_add_text(html, e->devices[b].name);
    base_text_add_string(html, "</th>");
  }
  base_text_add_string(html, "</tr></thead><tbody>\n");
}

static void add_first_device(base_text *html, const economy_cell *cell) {
  const bench_estimate *a = &cell->estimates[0];
  if (!economy_estimated(a)) {
    base_text_add_string(html, "<td class=\"reason\" colspan=\"2\">");
    html_add_text(html, a->reason);
    base_text_add_string(html, "</td>");
    return;
  }
  bench_quantity rate = economy_tokens_per_second(cell, 0);
  base_text_add_string(html, "<td title=\"");
  html_add_text(html, a->how);
  base_text_format(html, "\">%.3g ", rate.value);
  html_add_evidence(html, a->evidence);
  base_text_format(html, "</td><td>%.0f%% %s</td>",
                   100 * a->bound_seconds / a->seconds.value,
                   catalog_bound_name(a->bound));
}

static void add_verdict(base_text *html, const bench_economy *e,
                        const economy_cell *cell, int b) {
  economics_comparison c;
  if (!economy_compare(e, cell, b, &c)) {
    const char *reason = cell->estimates[b].reason;
    base_text_add_string(html, "<td class=\"soft\" title=\"");
    html_add_text(html, *reason ? reason : "no price");
    base_text_add_string(html, "\">-</td>");
    return;
  }
  base_text_format(html, "<td class=\"%s%s\"", verdict_word(c.verdict),
                   economy_is_primary(e, cell, b) ? " primary" : "");
  if (c.because) {
    base_text_add_string(html, " title=\"");
    html_add_text(html, c.because);
    base_text_add_string(html, "\"");
  }
  base_text_format(html, "><b>%.2f</b><small>", c.advantage.value);
  add_bounds(html, c.advantage);
  base_text_format(html, "<br>%s", verdict_word(c.verdict));
  if (c.because) {
    base_text_add_string(html, ":<br>");
    html_add_text(html, c.because);
  }
  base_text_add_string(html, " ");
  html_add_evidence(html, cell->estimates[0].evidence);
  html_add_evidence(html, cell->estimates[b].evidence);
  base_text_add_string(html, "</small></td>");
}

void html_add_verdicts(base_text *html, const bench_report *report) {
  const bench_economy *e = &report->economy;
  char name[BENCH_NAME_SIZE];
  if (!e->device_count || !e->cell_count) return;
  base_text_format(
      html,
      "<section id=\"verdicts\"><h2>Tokens per dollar, cell by cell</h2><p "
      "class=\"soft\">How many times the tokens that a dollar buys on the "
      "other device, attention alone. Superior: above %g with the whole "
      "interval; inferior: below %.3f; equivalent: between; all else is "
      "inconclusive. The framed cell is the plan's; the others are "
      "exploratory. All are projected unless both badges are A.</p>\n",
      1 + e->plan.delta, 1 / (1 + e->plan.delta));
  add_head(html, e);
  for (int64_t i = 0; i < e->cell_count; i++) {
    base_text_add_string(html, "<tr><td>");
    html_add_text(html, bench_workload_name(&e->cells[i].workload, name));
    base_text_add_string(html, "</td>");
    add_first_device(html, &e->cells[i]);
    for (int b = 1; b < e->device_count; b++)
      add_verdict(html, e, &e->cells[i], b);
    base_text_add_string(html, "</tr>\n");
  }
  base_text_add_string(html, "</tbody></table></div></section>\n");
}
