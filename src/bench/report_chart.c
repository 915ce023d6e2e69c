/* The charts of the HTML report: for each row a bar of the share of its limit,
 * the peers' bars under it.
 *
 *   name        |=========|-|                       | value
 *               |  the bar ends at the median, the whisker is its 95 %
 *               |  interval, the dots below are single runs
 *
 * All lengths in a bar are per cent of its width, so that the page's layout
 * decides how wide it is and the labels, which are no part of it, keep their
 * size on a phone. */
#include <math.h>
#include <string.h>

#include "bench/report_html.h"

enum { DOTS_MAX = 40 };

/* Per cent of the limit that a run of `seconds` reached, within the bar. */
static double place(const report_row *row, double seconds) {
  return fmin(100, 100 * row->work / (seconds * row->limit_rate));
}

static void add_whisker(base_text *html, const report_row *row,
                        const statistics_summary *summary) {
  if (isnan(summary->low)) return;
  double left = place(row, summary->high), right = place(row, summary->low);
  base_text_format(html,
                   "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" "
                   "y1=\"7\" y2=\"7\"/>",
                   left, right);
  const double ends[] = {left, right};
  for (int i = 0; i < 2; i++)
    base_text_format(html,
                     "<line class=\"whisker\" x1=\"%.2f%%\" x2=\"%.2f%%\" "
                     "y1=\"3\" y2=\"11\"/>",
                     ends[i], ends[i]);
}

/* Runs spread evenly over the order in which they were made, process by
 * process. */
static void add_dots(base_text *html, const report_row *row,
                     const report_side *side) {
  int64_t each = base_max(1, DOTS_MAX / row->process_count);
  for (int64_t p = 0; p < row->process_count; p++) {
    const bench_samples *samples = &side->processes[p];
    int64_t dots = base_min(each, samples->count);
    for (int64_t i = 0; i < dots; i++)
      base_text_format(
          html, "<circle class=\"run\" cx=\"%.2f%%\" cy=\"17\" r=\"1.5\"/>",
          place(row, samples->seconds[i * samples->count / dots]));
  }
}

static const char *side_class(const report_row *row, const report_side *side) {
  static const char *const peers[] = {"peer0", "peer1", "peer2"};
  int64_t n = side - row->sides;
  return n == 0 ? "ours" : peers[(n - 1) % 3];
}

static void add_bar(base_text *html, const report_row *row,
                    const report_side *side) {
  base_text_add_string(html, "<svg class=\"bar\" role=\"img\" aria-label=\"");
  html_add_text(html, side->title);
  base_text_format(html,
                   ": %.0f%% of the limit\"><rect class=\"track\" "
                   "width=\"100%%\" height=\"14\"/>",
                   100 * side->fraction);
  for (int percent = 25; percent <= 100; percent += 25)
    base_text_format(html,
                     "<line class=\"grid\" x1=\"%d%%\" x2=\"%d%%\" y1=\"0\" "
                     "y2=\"14\"/>",
                     percent, percent);
  base_text_format(
      html, "<rect class=\"%s\" width=\"%.2f%%\" y=\"1\" height=\"12\"/>",
      side_class(row, side), place(row, side->summary.median));
  add_whisker(html, row, &side->summary);
  add_dots(html, row, side);
  base_text_add_string(html, "</svg>");
}

static void add_our_value(base_text *html, const report_row *row,
                          const report_side *side) {
  base_text_format(
      html, "<div class=\"value\"><b>%.0f%%</b> <small>%.1f %s</small></div>",
      100 * side->fraction, side->rate * 1e-9, report_limit_unit(row->limit));
}

static void add_peer_value(base_text *html, const report_row *row,
                           const report_side *side) {
  double ratio = report_ratio(row, side);
  base_text_format(html, "<div class=\"value peer\">%.0f%%",
                   100 * side->fraction);
  if (ratio > 0) base_text_format(html, ", %.2f x our time", ratio);
  base_text_add_string(html, "</div>");
}

static void add_elsewhere(base_text *html, const report_row *row,
                          const report_side *side) {
  double ratio = report_ratio(row, side);
  base_text_add_string(html, "<div class=\"words peer\">");
  html_add_text(html, side->title);
  base_text_add_string(html, " on ");
  html_add_text(html, side->device);
  base_text_format(html, ": %.3f ms, %.1f %s", side->summary.median * 1e3,
                   side->rate * 1e-9, report_limit_unit(row->limit));
  if (ratio > 0) base_text_format(html, ", %.3g x our time", ratio);
  base_text_add_string(html, "</div>");
}

static void add_side(base_text *html, const report_row *row,
                     const report_side *side) {
  bool is_ours = side == row->sides;
  if (is_ours && report_side_measured(side) && !report_side_counts(side)) {
    base_text_add_string(html,
                         "<div class=\"words bad\">wrong: the error is beyond "
                         "the tolerance, the time does not count</div>");
    return;
  }
  if (!report_side_measured(side)) {
    base_text_add_string(html, "<div class=\"words peer\">");
    html_add_text(html, side->title);
    base_text_add_string(html, " skipped: ");
    html_add_text(html, side->reason);
    base_text_add_string(html, "</div>");
    return;
  }
  if (*side->device) { /* this machine's limit is none of its */
    add_elsewhere(html, row, side);
    return;
  }
  add_bar(html, row, side);
  if (is_ours)
    add_our_value(html, row, side);
  else
    add_peer_value(html, row, side);
}

static void add_row(base_text *html, const report_row *row, int side_count) {
  char title[BENCH_TITLE_SIZE];
  const bench_workload *w = &row->workload;
  const char *remark = report_row_remark(row);
  const char *words = bench_workload_title(w, title);
  base_text_format(html,
                   "<div class=\"cell\"><div class=\"name\" style=\"grid-row:"
                   "span %d\">%s <b>%s</b><small>%s%s%d thread%s, %s%s"
                   "<span class=\"bad\">%s</span></small></div>",
                   side_count, words + strcspn(words, " ") + 1,
                   bench_workload_dtype(w), w->model, *w->model ? ", " : "",
                   row->threads, row->threads == 1 ? "" : "s",
                   report_limit_name(row->limit), *remark ? ", " : "", remark);
  for (int i = 0; i < side_count; i++) add_side(html, row, &row->sides[i]);
  base_text_add_string(html, "</div>\n");
}

static void add_axis(base_text *html) {
  base_text_add_string(html, "<div class=\"axis\"><svg aria-hidden=\"true\">");
  for (int percent = 0; percent <= 100; percent += 25)
    base_text_format(html,
                     "<text x=\"%d%%\" y=\"13\" text-anchor=\"%s\">%d%%</text>",
                     percent,
                     percent == 0     ? "start"
                     : percent == 100 ? "end"
                                      : "middle",
                     percent);
  base_text_add_string(html, "</svg></div>\n");
}

void html_add_charts(base_text *html, const bench_report *report) {
  static const struct {
    bench_op op;
    const char *heading, *note;
  } sections[] = {
      {BENCH_OP_FORWARD, "Forward",
       "The number is the length; without a model: batch 1, 8 heads, head "
       "dimension 128. Causal FLOPs count half, of a window the pairs in it."},
      {BENCH_OP_BACKWARD, "Backward",
       "The gradients of q, k and v alone; FLOPs count 2.5 times forward."},
      {BENCH_OP_DECODE, "Decode",
       "One new token; the number is the length of the cache; without a model: "
       "32 query heads on 8 key-value heads. The cache is read from memory, "
       "never found in the CPU's."},
  };
  for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
    int64_t rows = 0;
    for (int64_t i = 0; i < report->row_count; i++)
      rows += report->rows[i].workload.op == sections[s].op;
    if (!rows) continue;
    base_text_format(html, "<section><h2>%s</h2><p class=\"soft\">%s</p>\n",
                     sections[s].heading, sections[s].note);
    add_axis(html);
    for (int64_t i = 0; i < report->row_count; i++)
      if (report->rows[i].workload.op == sections[s].op)
        add_row(html, &report->rows[i], report->side_count);
    base_text_add_string(html, "</section>\n");
  }
}
