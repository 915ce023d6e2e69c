/* The forecast on the page. */
#include <string.h>

#include "bench/report_html.h"

static void add_part(base_text *html, double part) {
  base_text_format(html, "<td>%.1f</td>", 100 * part);
}

static void add_numbers(base_text *html, const forecast_cell *cell,
                        const forecast_side *side) {
  double whole = predict_seconds(side->cycles);
  double kernel = predict_seconds(side->kernel_cycles);
  bool memory = cell->bound == BENCH_BOUND_MEMORY;
  base_text_format(html, "<td>%.1f</td><td>%.1f</td>", whole * 1e6,
                   kernel * 1e6);
  add_part(html, memory ? cell->bound_seconds / whole
                        : forecast_utilisation(cell, side->cycles));
  add_part(html, memory ? cell->bound_seconds / kernel
                        : forecast_utilisation(cell, side->kernel_cycles));
}

static void add_side(base_text *html, const forecast_cell *cell,
                     const forecast_side *side) {
  char name[BENCH_NAME_SIZE];
  bool ours = side == cell->sides;
  base_text_format(html, "<tr%s><td>", ours ? "" : " class=\"theirs\"");
  html_add_text(html, forecast_cell_name(cell, name));
  base_text_format(html, " %s</td><td>%d</td><td>",
                   bench_workload_dtype(&cell->workload), cell->chips);
  html_add_text(html, ours ? "ours" : side->title);
  base_text_format(html, "</td><td>%.1f</td>", cell->bound_seconds * 1e6);
  if (forecast_side_there(side)) {
    add_numbers(html, cell, side);
  } else {
    base_text_add_string(html, "<td class=\"reason\" colspan=\"4\">skipped: ");
    html_add_text(html, side->reason);
    base_text_add_string(html, "</td>");
  }
  base_text_add_string(html, "</tr>\n");
}

static void add_words(base_text *html, const bench_forecast *f) {
  base_text_format(
      html,
      "<p>Of one TPU v5e chip, or of the four of a v5e-4: compiled programs, "
      "executed by the cycle model (docs/cycle-model.md) and <b>never "
      "measured</b>; its worst error on what others measured is %.0f %%. "
      "Whole is the compiled program with XLA's operations around the "
      "kernels, without dispatch. Forward and backward: useful FLOPs as a "
      "part of what the matrix units do in that time. Decode: the least time "
      "to read the cache's bytes, as a part of it.",
      100 * f->model_error);
  if (*f->peers_reason) {
    base_text_add_string(html, " JAX's kernels are skipped: ");
    html_add_text(html, f->peers_reason);
    base_text_add_string(html, ".");
  }
  base_text_add_string(html, "</p>\n");
}

void html_add_forecast(base_text *html, const bench_report *report) {
  const bench_forecast *f = &report->forecast;
  if (!f->cell_count) return;
  base_text_add_string(
      html, "<section id=\"forecast\"><h2>The kernels on a TPU v5e ");
  html_add_evidence(html, BENCH_EVIDENCE_PREDICTED);
  base_text_add_string(html, "</h2>\n");
  add_words(html, f);
  base_text_add_string(
      html,
      "<div class=\"wide\"><table><thead><tr><th>cell</th><th>chips</th>"
      "<th>by</th><th>bound &micro;s</th><th>whole &micro;s</th>"
      "<th>kernel &micro;s</th><th>whole %</th><th>kernel %</th></tr></thead>"
      "<tbody>\n");
  for (int64_t i = 0; i < f->cell_count; i++)
    for (int k = 0; k < f->cells[i].side_count; k++)
      add_side(html, &f->cells[i], &f->cells[i].sides[k]);
  base_text_add_string(html, "</tbody></table></div></section>\n");
}
