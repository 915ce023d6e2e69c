/* How the times of single runs are spread: a strip for each measured row.
 *
 *   name       |   . [==|===]..  .'.    |     median, p90, p99
 *
 * The axis is time over the row's median, the same for all rows: box from the
 * first to the third quartile, a line at p90 and p99, a dot a run. */
#include <math.h>

#include "bench/report_html.h"

enum { DOTS_MAX = 80 };
static const double axis_low = 0.75, axis_high = 2;

/* Per cent of the strip, within it. */
static double place(double seconds, double median) {
  double share = log(seconds / median / axis_low) / log(axis_high / axis_low);
  return fmin(100, fmax(0, 100 * share));
}

static void add_dots(base_text *html, const report_row *row,
                     const report_side *side) {
  int64_t each = base_max(1, DOTS_MAX / row->process_count), shown = 0;
  for (int64_t p = 0; p < row->process_count; p++) {
    const bench_samples *samples = &side->processes[p];
    int64_t dots = base_min(each, samples->count);
    for (int64_t i = 0; i < dots; i++, shown++)
      base_text_format(
          html, "<circle class=\"run\" cx=\"%.2f%%\" cy=\"%lld\" r=\"1.6\"/>",
          place(samples->seconds[i * samples->count / dots],
                side->summary.median),
          (long long)(5 + shown * 7 % 19));
  }
}

static void add_tick(base_text *html, double where) {
  base_text_format(html,
                   "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" "
                   "y1=\"6\" y2=\"22\"/>",
                   where, where);
}

static void add_strip(base_text *html, const report_row *row,
                      const report_side *side) {
  const statistics_summary *s = &side->summary;
  double low = place(s->quartile1, s->median);
  double high = place(s->quartile3, s->median);
  base_text_format(html,
                   "<svg class=\"bar strip\" role=\"img\" aria-label=\"median "
                   "%.3f ms, p90 %.3f ms, p99 %.3f ms\"><rect class=\"track\" "
                   "width=\"100%%\" height=\"28\"/><rect class=\"box\" "
                   "x=\"%.2f%%\" width=\"%.2f%%\" y=\"5\" height=\"18\"/>",
                   s->median * 1e3, s->p90 * 1e3, s->p99 * 1e3, low,
                   fmax(0.2, high - low));
  add_dots(html, row, side);
  base_text_format(html,
                   "<line class=\"median\" x1=\"%.2f%%\" x2=\"%.2f%%\" "
                   "y1=\"3\" y2=\"25\"/>",
                   place(s->median, s->median), place(s->median, s->median));
  add_tick(html, place(s->p90, s->median));
  add_tick(html, place(s->p99, s->median));
  base_text_add_string(html, "</svg>");
}

static void add_row(base_text *html, const report_row *row, int side_count) {
  char name[BENCH_NAME_SIZE];
  for (int i = 0; i < side_count; i++) {
    const report_side *side = &row->sides[i];
    const statistics_summary *s = &side->summary;
    if (!report_side_measured(side)) continue;
    base_text_add_string(html, "<div class=\"cell\"><div class=\"name\">");
    html_add_text(html, bench_workload_name(&row->workload, name));
    base_text_format(html, "<small>%d thread%s, ", row->threads,
                     row->threads == 1 ? "" : "s");
    if (i) {
      html_add_text(html, side->title);
      base_text_add_string(html, ", ");
    }
    base_text_format(html, "%lld runs</small></div>", (long long)s->count);
    add_strip(html, row, side);
    base_text_format(
        html,
        "<div class=\"value\"><b>%.4g ms</b><small class=\"under\">"
        "p90 %.4g, p99 %.4g</small></div></div>\n",
        s->median * 1e3, s->p90 * 1e3, s->p99 * 1e3);
  }
}

static void add_axis(base_text *html) {
  static const double ticks[] = {0.8, 1, 1.25, 1.6, 2};
  base_text_add_string(html, "<div class=\"axis\"><svg aria-hidden=\"true\">");
  for (int i = 0; i < 5; i++)
    base_text_format(html,
                     "<text x=\"%.2f%%\" y=\"13\" text-anchor=\"%s\">%g%s"
                     "</text>",
                     place(ticks[i], 1), i == 4 ? "end" : "middle", ticks[i],
                     i == 1 ? " x median" : "");
  base_text_add_string(html, "</svg></div>\n");
}

void html_add_latency(base_text *html, const bench_report *report) {
  if (!report->row_count) return;
  base_text_add_string(
      html,
      "<section id=\"latency\"><h2>Latency of single runs</h2><p "
      "class=\"soft\">Each dot is a run, over the median of its row; the box "
      "holds the middle half, the two lines are p90 and p99. What is beyond "
      "the axis lies at its end: nothing is left out.</p>\n");
  add_axis(html);
  for (int64_t i = 0; i < report->row_count; i++)
    add_row(html, &report->rows[i], report->side_count);
  base_text_add_string(html, "</section>\n");
}
