/* The roofline: what cells reach, under what the machine, and a v5e-4, allow.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/html_plot.h"
#include "bench/report_html.h"

/* One mark: a measured row, or an estimate. */
typedef struct mark {
  double intensity, rate; /* FLOP a byte, FLOP/s */
  bench_op op;
  bench_evidence evidence;
  const char *where; /* "here", or the device */
  char name[BENCH_NAME_SIZE];
} mark;

typedef struct roof {
  double peak, bandwidth; /* FLOP/s, bytes/s */
  char name[64];
  const char *classes;
} roof;

enum { ROOFS_MAX = 4 };

static double intensity_of(const bench_workload *w) {
  return bench_workload_flops(w) / bench_workload_bytes(w);
}

/* Rows on the most threads. */
static bool is_shown(const bench_report *report, const report_row *row) {
  int32_t most = 0;
  for (int i = 0; report_threads_get(report, i); i++)
    most = report_threads_get(report, i);
  return row->threads == most && report_side_counts(&row->sides[0]);
}

static bool get_row_mark(const bench_report *report, int64_t i, mark *out) {
  const report_row *row = &report->rows[i];
  if (!is_shown(report, row)) return false;
  *out = (mark){
      .intensity = intensity_of(&row->workload),
      .rate =
          bench_workload_flops(&row->workload) / row->sides[0].summary.median,
      .op = row->workload.op,
      .evidence = BENCH_EVIDENCE_MEASURED,
      .where = "here",
  };
  bench_workload_name(&row->workload, out->name);
  return true;
}

static bool get_cell_mark(const bench_report *report, int64_t i, mark *out) {
  const bench_economy *e = &report->economy;
  const economy_cell *cell = &e->cells[i];
  if (!e->device_count || !economy_estimated(&cell->estimates[0])) return false;
  *out = (mark){
      .intensity = intensity_of(&cell->workload),
      .rate = bench_workload_flops(&cell->workload) /
              cell->estimates[0].seconds.value,
      .op = cell->workload.op,
      .evidence = cell->estimates[0].evidence,
      .where = e->devices[0].name,
  };
  bench_workload_name(&cell->workload, out->name);
  return true;
}

/* The n-th mark, counted from 0; false after the last. */
static bool get_mark(const bench_report *report, int64_t n, mark *out) {
  for (int64_t i = 0; i < report->row_count; i++)
    if (get_row_mark(report, i, out) && n-- == 0) return true;
  for (int64_t i = 0; i < report->economy.cell_count; i++)
    if (get_cell_mark(report, i, out) && n-- == 0) return true;
  return false;
}

/* ---- Roofs ------------------------------------------------------------- */

static pfl_status find_machine_roof(const bench_report *report,
                                    bench_limit limit, const char *classes,
                                    roof *out, int *count, pfl_error *error) {
  report_limit peak, read;
  int32_t most = 0;
  for (int i = 0; report_threads_get(report, i); i++)
    most = report_threads_get(report, i);
  if (!most) return PFL_STATUS_OK;
  PFL_TRY(report_limit_find(report, limit, most, &peak, error));
  PFL_TRY(report_limit_find(report, BENCH_LIMIT_READ, most, &read, error));
  if (!peak.runs || !read.runs) return PFL_STATUS_OK;
  out[*count] = (roof){peak.median, read.median, "", classes};
  snprintf(out[*count].name, sizeof out->name, "here, %s, measured",
           report_limit_name(limit));
  (*count)++;
  return PFL_STATUS_OK;
}

static void find_device_roof(const bench_report *report, roof *out,
                             int *count) {
  const bench_economy *e = &report->economy;
  if (!e->device_count) return;
  const catalog_chip *chip = catalog_chip_find(&e->catalog, e->devices[0].chip);
  double chips = (double)e->devices[0].chips;
  out[*count] = (roof){chips * chip->tflops16 * 1e12,
                       chips * chip->bandwidth_gb_s * 1e9, "", "roof away"};
  snprintf(out[*count].name, sizeof out->name, "%s, data sheet",
           e->devices[0].name);
  (*count)++;
}

static void add_roof(const html_plot *p, const roof *r) {
  double ridge = r->peak / r->bandwidth;
  plot_line(p, p->x_low, r->bandwidth * p->x_low, ridge, r->peak, r->classes);
  plot_line(p, ridge, r->peak, p->x_high, r->peak, r->classes);
}

/* ---- The figure -------------------------------------------------------- */

static html_plot frame_of(base_text *html, const bench_report *report,
                          const roof *roofs, int roof_count) {
  html_plot p = {html,     INFINITY, 0,
                 INFINITY, 0,        true,
                 true,     380,      "FLOP a byte of memory",
                 "FLOP/s"};
  mark m;
  for (int64_t n = 0; get_mark(report, n, &m); n++) {
    p.x_low = fmin(p.x_low, m.intensity);
    p.x_high = fmax(p.x_high, m.intensity);
    p.y_low = fmin(p.y_low, m.rate);
    p.y_high = fmax(p.y_high, m.rate);
  }
  for (int i = 0; i < roof_count; i++) {
    p.x_high = fmax(p.x_high, roofs[i].peak / roofs[i].bandwidth);
    p.y_high = fmax(p.y_high, roofs[i].peak);
  }
  p.x_low = pow(10, floor(log10(p.x_low / 1.5)));
  p.x_high *= 2;
  p.y_low = pow(10, floor(log10(p.y_low / 1.5)));
  p.y_high *= 2;
  return p;
}

static void add_marks(const html_plot *p, const bench_report *report) {
  static const char *const ops[] = {"forward", "backward", "decode"};
  mark m;
  for (int64_t n = 0; get_mark(report, n, &m); n++) {
    char classes[48], title[192], number[24], rate[PLOT_NUMBER_SIZE];
    snprintf(classes, sizeof classes, "mark %s %c", ops[m.op],
             evidence_letter(m.evidence));
    snprintf(title, sizeof title, "%s, %s: %sFLOP/s, %s", m.name, m.where,
             plot_number(m.rate, rate), evidence_word(m.evidence));
    snprintf(number, sizeof number, "%lld", (long long)(n + 1));
    plot_dot(p, m.intensity, m.rate, 5, classes, title);
    plot_text(p, m.intensity, m.rate, 0, n % 2 ? -9 : 17, "middle", "tag",
              number);
  }
}

static void add_key(base_text *html, const bench_report *report) {
  mark m;
  base_text_add_string(html, "<ol class=\"key\">");
  for (int64_t n = 0; get_mark(report, n, &m); n++) {
    char rate[PLOT_NUMBER_SIZE];
    base_text_add_string(html, "<li>");
    html_add_text(html, m.name);
    base_text_format(html, ", %s: %sFLOP/s ", m.where,
                     plot_number(m.rate, rate));
    html_add_evidence(html, m.evidence);
    base_text_add_string(html, "</li>");
  }
  base_text_add_string(html, "</ol>\n");
}

pfl_status html_add_roofline(base_text *html, const bench_report *report,
                             pfl_error *error) {
  roof roofs[ROOFS_MAX];
  int count = 0;
  mark m;
  if (!get_mark(report, 0, &m)) return PFL_STATUS_OK;
  PFL_TRY(find_machine_roof(report, BENCH_LIMIT_FMA, "roof here", roofs, &count,
                            error));
  PFL_TRY(find_machine_roof(report, BENCH_LIMIT_DOT, "roof here", roofs, &count,
                            error));
  find_device_roof(report, roofs, &count);
  html_plot p = frame_of(html, report, roofs, count);
  base_text_add_string(
      html,
      "<section id=\"roofline\"><h2>Roofline</h2><p class=\"soft\">Every cell "
      "under what its machine allows: the slope is memory, the flat part "
      "arithmetic. Filled marks are measured, rings are not. Bytes are those "
      "that a cell must move at least.</p>\n<ul class=\"legend\">"
      "<li><svg><circle class=\"mark forward A\" cx=\"50%\" cy=\"50%\" "
      "r=\"5\"/></svg>forward</li><li><svg><circle class=\"mark backward A\" "
      "cx=\"50%\" cy=\"50%\" r=\"5\"/></svg>backward</li><li><svg><circle "
      "class=\"mark decode A\" cx=\"50%\" cy=\"50%\" r=\"5\"/></svg>decode"
      "</li></ul>\n");
  plot_begin(&p, "Roofline: FLOP/s against FLOP a byte, a mark for each cell");
  plot_clip(&p);
  for (int i = 0; i < count; i++) add_roof(&p, &roofs[i]);
  plot_unclip(&p);
  for (int i = 0; i < count; i++)
    plot_text(&p, p.x_high, roofs[i].peak, -4, -5, "end", "tag roofname",
              roofs[i].name);
  add_marks(&p, report);
  plot_end(&p);
  add_key(html, report);
  base_text_add_string(html, "</section>\n");
  return PFL_STATUS_OK;
}
