/* Cost curves: what a million tokens costs as a device is used less, and how
 * the advantage of the first device hangs on its price. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/html_plot.h"
#include "bench/report_html.h"

/* The plan's cell; or else the first that the first device has. */
static const economy_cell *shown_cell(const bench_economy *e) {
  const economy_cell *primary = economy_primary_cell(e);
  if (primary && economy_estimated(&primary->estimates[0])) return primary;
  for (int64_t i = 0; i < e->cell_count; i++)
    if (economy_estimated(&e->cells[i].estimates[0])) return &e->cells[i];
  return NULL;
}

/* Dollars for a million tokens; false without an estimate or a price. */
static bool find_cost(const bench_economy *e, const economy_cell *cell,
                      int device, bench_quantity *out) {
  const catalog_price *price = economy_price(e, device);
  if (!economy_estimated(&cell->estimates[device]) || !price) return false;
  *out = economics_usd_per_million(economy_tokens_per_second(cell, device),
                                   price->usd_per_hour);
  return true;
}

/* ---- Labels at the right end of lines ---------------------------------- */

typedef struct line_label {
  double y; /* pixels */
  int device;
} line_label;

/* Moves labels apart, 14 pixels at least, from the top. */
static void place_labels(line_label *labels, int count, double height) {
  enum { APART = 14 };
  for (int i = 1; i < count; i++)
    for (int k = i; k && labels[k].y < labels[k - 1].y; k--) {
      line_label kept = labels[k];
      labels[k] = labels[k - 1];
      labels[k - 1] = kept;
    }
  for (int i = 1; i < count; i++)
    labels[i].y = fmax(labels[i].y, labels[i - 1].y + APART);
  double most = height;
  for (int i = count - 1; i >= 0; i--, most -= APART)
    labels[i].y = fmin(labels[i].y, most);
}

static void add_labels(const html_plot *p, const bench_economy *e,
                       line_label *labels, int count) {
  place_labels(labels, count, p->height);
  for (int i = 0; i < count; i++) {
    base_text_format(p->html,
                     "<text class=\"tag d%d\" x=\"100%%\" y=\"%.1f\" dx=\"7\">",
                     labels[i].device, labels[i].y + 4);
    html_add_text(p->html, e->devices[labels[i].device].name);
    base_text_add_string(p->html, "</text>");
  }
}

/* ---- Cost and utilisation ---------------------------------------------- */

static const double utilisations[] = {0.2, 0.5, 1};
enum { UTILISATIONS = 3 };

static void add_cost_line(const html_plot *p, bench_quantity usd, int device) {
  char classes[32];
  snprintf(classes, sizeof classes, "curve d%d", device);
  plot_line(p, 10, usd.value / 0.1, 100, usd.value, classes);
  for (int i = 0; i < UTILISATIONS; i++) {
    bench_quantity at = economics_at_utilisation(usd, utilisations[i]);
    double x = 100 * utilisations[i];
    char title[64], number[PLOT_NUMBER_SIZE];
    snprintf(title, sizeof title, "$%s at %.0f %%",
             plot_number(at.value, number), x);
    snprintf(classes, sizeof classes, "bound d%d", device);
    if (quantity_has_interval(at)) plot_line(p, x, at.low, x, at.high, classes);
    snprintf(classes, sizeof classes, "mark A d%d", device);
    plot_dot(p, x, at.value, 3.5, classes, title);
  }
}

static void add_utilisation(base_text *html, const bench_economy *e,
                            const economy_cell *cell) {
  html_plot p = {html,
                 10,
                 100,
                 INFINITY,
                 0,
                 true,
                 true,
                 300,
                 "utilisation, %: idle time is paid",
                 "$ per million tokens, attention of all layers"};
  line_label labels[ECONOMY_DEVICES_MAX];
  bench_quantity usd;
  int count = 0;
  for (int i = 0; i < e->device_count; i++) {
    if (!find_cost(e, cell, i, &usd)) continue;
    bench_quantity bounds = quantity_widen(usd, 0);
    p.y_low = fmin(p.y_low, bounds.low / 1.2);
    p.y_high = fmax(p.y_high, bounds.high / 0.1 * 1.1);
  }
  if (p.y_high <= 0) return;
  plot_begin(&p, "Dollars for a million tokens against utilisation");
  plot_clip(&p);
  for (int i = 0; i < e->device_count; i++)
    if (find_cost(e, cell, i, &usd)) add_cost_line(&p, usd, i);
  plot_unclip(&p);
  for (int i = 0; i < e->device_count; i++)
    if (find_cost(e, cell, i, &usd))
      labels[count++] = (line_label){plot_y(&p, usd.value), i};
  add_labels(&p, e, labels, count);
  plot_end(&p);
}

/* ---- The advantage and the price --------------------------------------- */

/* Every price of the first device, as vertical lines. */
static void add_price_lines(const html_plot *p, const bench_economy *e) {
  const economy_device *a = &e->devices[0];
  for (int kind = 0; kind < BENCH_PRICE_KIND_COUNT; kind++) {
    const char *region;
    for (int64_t n = 0;
         (region = catalog_region_get(&e->catalog, a->chip, a->chips,
                                      (bench_price_kind)kind, n)) != NULL;
         n++) {
      double usd = catalog_price_find(&e->catalog, a->chip, a->chips,
                                      (bench_price_kind)kind, region, NULL)
                       ->usd_per_hour /
                   (double)a->chips;
      plot_line(p, usd, p->y_low, usd, p->y_high,
                kind == BENCH_PRICE_ON_DEMAND ? "price list" : "price");
    }
  }
}

static void add_advantage_line(const html_plot *p,
                               const economics_comparison *c, double usd,
                               int device) {
  char classes[32];
  bench_quantity low = quantity_scale(c->advantage, usd / p->x_low);
  bench_quantity high = quantity_scale(c->advantage, usd / p->x_high);
  snprintf(classes, sizeof classes, "curve d%d", device);
  plot_line(p, p->x_low, low.value, p->x_high, high.value, classes);
  if (!quantity_has_interval(low)) return;
  snprintf(classes, sizeof classes, "edge d%d", device);
  plot_line(p, p->x_low, low.low, p->x_high, high.low, classes);
  plot_line(p, p->x_low, low.high, p->x_high, high.high, classes);
}

static void add_break_even(base_text *html, const bench_economy *e,
                           const economy_cell *cell) {
  html_plot p = {html,
                 0.1,
                 3,
                 0.05,
                 20,
                 true,
                 true,
                 340,
                 "$ per chip-hour of the first device",
                 "advantage: tokens per dollar over the other's"};
  const catalog_price *price = economy_price(e, 0);
  line_label labels[ECONOMY_DEVICES_MAX];
  economics_comparison c;
  int count = 0;
  if (!price) return;
  double usd = price->usd_per_hour / (double)e->devices[0].chips;
  p.x_low = fmin(p.x_low, usd / 3);
  p.x_high = fmax(p.x_high, usd * 2);
  plot_begin(&p, "Advantage of the first device against its price");
  plot_clip(&p);
  add_price_lines(&p, e);
  plot_line(&p, p.x_low, 1, p.x_high, 1, "even");
  for (int b = 1; b < e->device_count; b++) {
    if (e->devices[b].measured || !economy_compare(e, cell, b, &c)) continue;
    add_advantage_line(&p, &c, usd, b);
    labels[count++] =
        (line_label){plot_y(&p, c.advantage.value * usd / p.x_high), b};
  }
  plot_unclip(&p);
  plot_text(&p, p.x_low, 1, 5, -5, "start", "tag", "parity");
  add_labels(&p, e, labels, count);
  plot_end(&p);
}

void html_add_costs(base_text *html, const bench_report *report) {
  const bench_economy *e = &report->economy;
  const economy_cell *cell = e->device_count ? shown_cell(e) : NULL;
  char name[BENCH_NAME_SIZE];
  if (!cell) return;
  base_text_add_string(html,
                       "<section id=\"cost\"><h2>What it costs</h2><p "
                       "class=\"soft\">");
  html_add_text(html, bench_workload_name(&cell->workload, name));
  base_text_format(html, ", attention alone of %lld layer%s; ",
                   (long long)cell->workload.layers,
                   cell->workload.layers == 1 ? "" : "s");
  base_text_format(
      html,
      "%s prices as in the table below. Vertical bars are the bounds of what "
      "is "
      "known. It is not the price of a whole model's tokens.</p>\n",
      catalog_kind_name(e->plan.kind));
  add_utilisation(html, e, cell);
  base_text_add_string(
      html, "<h3>At which price</h3><p class=\"soft\">Above parity ");
  html_add_text(html, e->devices[0].name);
  base_text_add_string(
      html,
      " is cheaper a token than the device of that line; thin lines are the "
      "bounds. Dashed: its list prices; dotted: its spot prices, each region's."
      "</p>\n");
  add_break_even(html, e, cell);
  base_text_add_string(html, "</section>\n");
}
