/* The tables of what was measured, and of the rules. */
#include <math.h>

#include <stdio.h>

#include "bench/report_html.h"
#include "bench/rules.h"

static void add_interval(base_text *html, const statistics_summary *summary) {
  if (isnan(summary->low))
    base_text_add_string(html, "<td>-</td>");
  else
    base_text_format(html, "<td>%.3f\xe2\x80\x93%.3f</td>", summary->low * 1e3,
                     summary->high * 1e3);
}

/* Our throughput over the peer's, with its interval. */
static void add_ratio(base_text *html, const report_side *side) {
  bench_quantity q = side->ratio.ratio;
  if (!side->ratio.blocks)
    base_text_add_string(html, "<td></td>");
  else if (quantity_has_interval(q))
    base_text_format(html, "<td>%.2f [%.2f, %.2f]</td>", q.value, q.low,
                     q.high);
  else
    base_text_format(html, "<td>%.2f</td>", q.value);
}

static void add_numbers(base_text *html, const report_row *row,
                        const report_side *side) {
  const statistics_summary *s = &side->summary;
  char share[32];
  snprintf(share, sizeof share, "%.1f", 100 * side->fraction);
  base_text_format(html, "<td>%.3f</td>", s->median * 1e3);
  add_interval(html, s);
  base_text_format(html,
                   "<td>%.3f</td><td>%.1f %s</td><td>%s</td><td>%.1e</td>"
                   "<td%s>%.2f</td><td>",
                   s->p99 * 1e3, side->rate * 1e-9, report_rate_unit(row),
                   *side->device ? "-" : share, side->verdict.error,
                   side->verdict.passed ? "" : " class=\"bad\"",
                   side->verdict.relative);
  if (side->clean >= 0)
    base_text_format(html, "%lld / ", (long long)side->clean);
  base_text_format(
      html, "%lld</td><td>%s</td><td>%lld / %lld%s%s</td>", (long long)s->count,
      !side->steady.known   ? "-"
      : side->steady.steady ? "yes"
                            : "no",
      (long long)s->mild, (long long)s->severe, s->mild ? ", " : "",
      s->mild ? steady_effect_word(side->outlier_effect) : "");
}

static void add_side(base_text *html, const report_row *row,
                     const report_side *side, bool peers) {
  char name[BENCH_NAME_SIZE];
  bool is_ours = side == row->sides;
  base_text_format(html, "<tr%s><td>", is_ours ? "" : " class=\"theirs\"");
  html_add_text(html, bench_workload_name(&row->workload, name));
  base_text_format(html, "</td><td>%d</td>", row->threads);
  if (peers) {
    base_text_add_string(html, "<td>");
    html_add_text(html, is_ours ? "ours" : side->title);
    base_text_add_string(html, "</td>");
  }
  if (report_side_measured(side)) {
    add_numbers(html, row, side);
    if (peers) add_ratio(html, side);
  } else {
    base_text_format(
        html, "<td class=\"reason\" colspan=\"%d\">skipped: ", peers ? 11 : 10);
    html_add_text(html, side->reason);
    base_text_add_string(html, "</td>");
  }
  base_text_add_string(html, "</tr>\n");
}

void html_add_table(base_text *html, const bench_report *report) {
  bool peers = report->side_count > 1;
  base_text_format(
      html,
      "<section id=\"numbers\"><h2>Every number</h2><div class=\"wide\"><table>"
      "<thead><tr><th>cell</th><th>thr.</th>%s<th>median ms</th><th>95 %% "
      "interval</th><th>p99 ms</th><th>rate</th><th>%% limit</th><th>max error"
      "</th><th>/ tolerance</th><th>clean / runs</th><th>steady</th>"
      "<th>outliers: mild / severe, effect</th>%s</tr></thead><tbody>\n",
      peers ? "<th>by</th>" : "",
      peers ? "<th>our throughput over it</th>" : "");
  for (int64_t i = 0; i < report->row_count; i++)
    for (int side = 0; side < report->side_count; side++)
      add_side(html, &report->rows[i], &report->rows[i].sides[side], peers);
  base_text_add_string(html, "</tbody></table></div></section>\n");
}

/* Rows of one meter; *named: the table's head is there. */
static void add_meter(base_text *html, const bench_report *report, int source,
                      bool *named) {
  char name[BENCH_NAME_SIZE];
  for (int64_t i = 0; i < report->row_count; i++)
    for (int k = 0; k < report->side_count; k++) {
      const report_row *row = &report->rows[i];
      const report_side *side = &row->sides[k];
      if (!report_side_measured(side) || !(side->joules[source] > 0)) continue;
      if (!*named)
        base_text_add_string(
            html,
            "<section id=\"energy\"><h2>Energy</h2><p class=\"soft\">By the "
            "counters of devices, with whatever else ran there: best effort, "
            "not the power at the wall.</p><div class=\"wide\"><table><thead>"
            "<tr><th>cell</th><th>thr.</th><th>by</th><th class=\"what\">meter"
            "</th><th>J a run</th></tr></thead><tbody>\n");
      *named = true;
      base_text_add_string(html, "<tr><td>");
      html_add_text(html, bench_workload_name(&row->workload, name));
      base_text_format(html, "</td><td>%d</td><td>", row->threads);
      html_add_text(html, k ? side->title : "ours");
      base_text_format(
          html, "</td><td class=\"what\">%s</td><td>%.4g</td></tr>\n",
          energy_what((energy_source)source), side->joules[source]);
    }
}

void html_add_energy(base_text *html, const bench_report *report) {
  bool named = false;
  for (int i = 0; i < ENERGY_SOURCES; i++) add_meter(html, report, i, &named);
  if (named) base_text_add_string(html, "</tbody></table></div></section>\n");
}

pfl_status html_add_limits(base_text *html, const bench_report *report,
                           pfl_error *error) {
  base_text_add_string(
      html,
      "<section><h2>Limits of this machine</h2><div class=\"wide\"><table>"
      "<thead><tr><th>limit</th><th>threads</th><th>median</th><th>best</th>"
      "<th>runs</th></tr></thead><tbody>\n");
  for (int kind = 0; kind < BENCH_LIMIT_COUNT; kind++)
    for (int i = 0; report_threads_get(report, i); i++) {
      int32_t threads = report_threads_get(report, i);
      bench_limit limit = (bench_limit)kind;
      report_limit found;
      PFL_TRY(report_limit_find(report, limit, threads, &found, error));
      if (!found.runs) continue;
      base_text_format(
          html,
          "<tr><td class=\"what\">%s: %s</td><td>%d</td><td>%.1f %s</td>"
          "<td>%.1f</td><td>%lld</td></tr>\n",
          report_limit_name(limit), report_limit_what(limit), threads,
          found.median * 1e-9, report_limit_unit(limit), found.best * 1e-9,
          (long long)found.runs);
    }
  base_text_add_string(html, "</tbody></table></div></section>\n");
  return PFL_STATUS_OK;
}

void html_add_rules(base_text *html, const bench_report *report) {
  rule_answer answer;
  base_text_add_string(
      html,
      "<section id=\"rules\"><h2>The rules, and whether they were kept"
      "</h2><p class=\"soft\">By the numbers of docs/method.md.</p><div "
      "class=\"wide\"><table><thead><tr><th>rule</th><th class=\"what\">"
      "what it asks</th><th>kept</th><th class=\"what\">how, or why not"
      "</th></tr></thead><tbody>\n");
  for (int n = 0; rules_get(report, n, &answer); n++) {
    base_text_format(html, "<tr><td>%s</td><td class=\"what\">", answer.number);
    html_add_text(html, answer.what);
    base_text_format(html, "</td><td%s>%s</td><td class=\"what\">",
                     answer.state == RULE_NOT_KEPT ? " class=\"bad\"" : "",
                     rule_word(answer.state));
    html_add_text(html, answer.because);
    base_text_add_string(html, "</td></tr>\n");
  }
  base_text_add_string(html, "</tbody></table></div></section>\n");
}
