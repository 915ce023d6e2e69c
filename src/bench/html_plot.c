/* Plots as plain SVG. */
#include "bench/html_plot.h"

#include <math.h>
#include <stdio.h>

#include "bench/report_html.h"

const char *plot_number(double number, char buffer[PLOT_NUMBER_SIZE]) {
  static const struct {
    double unit;
    const char *letter;
  } units[] = {{1e15, "P"}, {1e12, "T"}, {1e9, "G"},
               {1e6, "M"},  {1e3, "k"},  {1, ""}};
  for (int i = 0; i < 6; i++)
    if (fabs(number) >= units[i].unit * 0.9995) {
      double scaled = number / units[i].unit;
      int digits = scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
      if (scaled == floor(scaled)) digits = 0;
      snprintf(buffer, PLOT_NUMBER_SIZE, "%.*f%s", digits, scaled,
               units[i].letter);
      return buffer;
    }
  snprintf(buffer, PLOT_NUMBER_SIZE, "%.3g", number);
  return buffer;
}

static double share(double value, double low, double high, bool is_log) {
  if (is_log) return log(value / low) / log(high / low);
  return (value - low) / (high - low);
}

double plot_x(const html_plot *plot, double x) {
  return 100 * share(x, plot->x_low, plot->x_high, plot->log_x);
}

double plot_y(const html_plot *plot, double y) {
  return plot->height * (1 - share(y, plot->y_low, plot->y_high, plot->log_y));
}

void plot_line(const html_plot *plot, double x1, double y1, double x2,
               double y2, const char *classes) {
  base_text_format(plot->html,
                   "<line class=\"%s\" x1=\"%.3f%%\" y1=\"%.2f\" x2=\"%.3f%%\" "
                   "y2=\"%.2f\"/>",
                   classes, plot_x(plot, x1), plot_y(plot, y1),
                   plot_x(plot, x2), plot_y(plot, y2));
}

void plot_dot(const html_plot *plot, double x, double y, double radius,
              const char *classes, const char *title) {
  base_text_format(plot->html,
                   "<circle class=\"%s\" cx=\"%.3f%%\" cy=\"%.2f\" r=\"%g\">",
                   classes, plot_x(plot, x), plot_y(plot, y), radius);
  if (title) {
    base_text_add_string(plot->html, "<title>");
    html_add_text(plot->html, title);
    base_text_add_string(plot->html, "</title>");
  }
  base_text_add_string(plot->html, "</circle>");
}

void plot_text(const html_plot *plot, double x, double y, double dx, double dy,
               const char *anchor, const char *classes, const char *text) {
  base_text_format(plot->html,
                   "<text class=\"%s\" x=\"%.3f%%\" y=\"%.2f\" dx=\"%g\" "
                   "text-anchor=\"%s\">",
                   classes, plot_x(plot, x), plot_y(plot, y) + dy, dx, anchor);
  html_add_text(plot->html, text);
  base_text_add_string(plot->html, "</text>");
}

/* ---- Axes -------------------------------------------------------------- */

static void add_x_tick(const html_plot *p, double x) {
  char number[PLOT_NUMBER_SIZE];
  double place = plot_x(p, x);
  plot_line(p, x, p->y_low, x, p->y_high, "grid");
  base_text_format(p->html,
                   "<text x=\"%.3f%%\" y=\"%.1f\" text-anchor=\"%s\">%s</text>",
                   place, p->height + 15,
                   place < 3    ? "start"
                   : place > 97 ? "end"
                                : "middle",
                   plot_number(x, number));
}

static void add_y_tick(const html_plot *p, double y) {
  char number[PLOT_NUMBER_SIZE];
  plot_line(p, p->x_low, y, p->x_high, y, "grid");
  base_text_format(p->html,
                   "<text x=\"-6\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                   plot_y(p, y) + 4, plot_number(y, number));
}

typedef void tick_fn(const html_plot *plot, double value);

/* 1, 2 and 5 of each decade where there are few of them. */
static void add_log_ticks(const html_plot *p, double low, double high,
                          tick_fn *add) {
  static const double steps[] = {1, 2, 5};
  double decades = log10(high / low);
  int each = decades < 2.3 ? 3 : 1;
  int first = (int)floor(log10(low)), last = (int)ceil(log10(high));
  for (int decade = first; decade <= last; decade++) {
    if (each == 1 && decades > 7 && decade % 2) continue;
    for (int i = 0; i < each; i++) {
      double value = steps[i] * pow(10, decade);
      if (value >= low * 0.9999 && value <= high * 1.0001) add(p, value);
    }
  }
}

/* Four to eight round steps. */
static void add_linear_ticks(const html_plot *p, double low, double high,
                             tick_fn *add) {
  double step = pow(10, floor(log10((high - low) / 4)));
  if ((high - low) / step > 20) step *= 5;
  if ((high - low) / step > 8) step *= 2;
  for (double value = ceil(low / step) * step; value <= high * 1.0001;
       value += step)
    add(p, value);
}

void plot_begin(const html_plot *plot, const char *label) {
  base_text *html = plot->html;
  base_text_add_string(html, "<figure><p class=\"y soft\">");
  html_add_text(html, plot->y_title);
  base_text_format(html,
                   "</p><svg class=\"plot\" role=\"img\" height=\"%.0f\" "
                   "aria-label=\"",
                   plot->height + 20);
  html_add_text(html, label);
  base_text_format(html,
                   "\"><rect class=\"frame\" width=\"100%%\" height=\"%.0f\"/>",
                   plot->height);
  if (plot->log_x)
    add_log_ticks(plot, plot->x_low, plot->x_high, add_x_tick);
  else
    add_linear_ticks(plot, plot->x_low, plot->x_high, add_x_tick);
  if (plot->log_y)
    add_log_ticks(plot, plot->y_low, plot->y_high, add_y_tick);
  else
    add_linear_ticks(plot, plot->y_low, plot->y_high, add_y_tick);
}

void plot_clip(const html_plot *plot) {
  base_text_format(plot->html,
                   "<svg class=\"clip\" width=\"100%%\" height=\"%g\">",
                   plot->height);
}

void plot_unclip(const html_plot *plot) {
  base_text_add_string(plot->html, "</svg>");
}

void plot_end(const html_plot *plot) {
  base_text_add_string(plot->html, "</svg><p class=\"x soft\">");
  html_add_text(plot->html, plot->x_title);
  base_text_add_string(plot->html, "</p></figure>\n");
}
