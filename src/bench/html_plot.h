/* Plots in the HTML report, as plain SVG. Lengths along x are per cent of the
 * width and lengths along y are pixels: the page decides how wide a plot is,
 * and its letters keep their size on a phone. */
#ifndef PFL_BENCH_HTML_PLOT_H
#define PFL_BENCH_HTML_PLOT_H

#include <stdbool.h>

#include "base/text.h"

typedef struct html_plot {
  base_text *html;
  double x_low, x_high, y_low, y_high; /* above 0 on a logarithmic axis */
  bool log_x, log_y;
  double height;                 /* pixels */
  const char *x_title, *y_title; /* plain text */
} html_plot;

/* Begins the figure: frame, grid, ticks, titles. `label` says what it is to
 * those who cannot see it. */
void plot_begin(const html_plot *plot, const char *label);

/* What follows is cut off at the frame, until plot_unclip. */
void plot_clip(const html_plot *plot);
void plot_unclip(const html_plot *plot);
void plot_end(const html_plot *plot);

/* Per cent of the width, and pixels from the top. */
double plot_x(const html_plot *plot, double x);
double plot_y(const html_plot *plot, double y);

/* `classes` is what the style sheet knows the mark by. */
void plot_line(const html_plot *plot, double x1, double y1, double x2,
               double y2, const char *classes);

/* A disc; `title` is what is told when one points at it, or NULL. */
void plot_dot(const html_plot *plot, double x, double y, double radius,
              const char *classes, const char *title);

/* Text beside a point, moved by pixels; anchor "start", "middle" or "end". */
void plot_text(const html_plot *plot, double x, double y, double dx, double dy,
               const char *anchor, const char *classes, const char *text);

/* "0.5", "20k", "1.5M": three digits at most. */
#define PLOT_NUMBER_SIZE 24
const char *plot_number(double number, char buffer[PLOT_NUMBER_SIZE]);

#endif
