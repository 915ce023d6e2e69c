/* The pictures of a schedule, as SVG that scales with the page. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "schedule/report_schedule_html.h"

#define WIDTH 1000 /* of every picture, in its own units */

static double share(double part, double whole) {
  return whole > 0 ? part / whole : 0;
}

static void begin_svg(base_text *html, int height, const char *label) {
  base_text_format(html,
                   "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" "
                   "role=\"img\" aria-label=\"%s\" style=\"height:%dpx\">",
                   WIDTH, height, label, height);
}

static void add_rect(base_text *html, double x, double y, double width,
                     double height, const char *class, const char *tip) {
  base_text_format(html,
                   "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
                   "height=\"%.2f\"><title>%s</title></rect>",
                   class, x, y, width, height, tip);
}

/* ---- Causes -------------------------------------------------------------- */

void schedule_chart_causes(const schedule_summary *summary, base_text *html) {
  double x = 0, cycles = (double)summary->cycles;
  begin_svg(html, 34, "cycles by cause");
  for (int i = 0; i < SCHEDULE_CAUSES; i++) {
    char tip[96];
    const char *name = schedule_cause_name((schedule_cause)i);
    double part = share((double)summary->profile->causes[i], cycles);
    snprintf(tip, sizeof tip, "%s: %.1f%%", name, 100 * part);
    if (part > 0) add_rect(html, x, 0, WIDTH * part, 34, name, tip);
    x += WIDTH * part;
  }
  double called = share((double)schedule_called_cycles(summary), cycles);
  if (called > 0)
    add_rect(html, x, 0, WIDTH * called, 34, "track",
             "in the programs that it calls");
  base_text_add_string(html, "</svg>\n<ul class=\"legend\">");
  for (int i = 0; i < SCHEDULE_CAUSES; i++) {
    schedule_cause cause = (schedule_cause)i;
    double part = share((double)summary->profile->causes[i], cycles);
    if (part < 0.0005) continue;
    base_text_format(html, "<li><i class=\"%s\"></i><b>%.1f%%</b> %s: %s</li>",
                     schedule_cause_name(cause), 100 * part,
                     schedule_cause_name(cause), schedule_cause_meaning(cause));
  }
  if (called > 0)
    base_text_format(html,
                     "<li><i class=\"track\"></i><b>%.1f%%</b> called: in the "
                     "programs that it calls</li>",
                     100 * called);
  base_text_add_string(html, "</ul>\n");
}

/* ---- Units --------------------------------------------------------------- */

static void add_meter(base_text *html, const char *name, double part,
                      const char *of) {
  char tip[96];
  double shown = fmin(part, 1);
  snprintf(tip, sizeof tip, "%s: %.1f%% of %s", name, 100 * part, of);
  base_text_format(html, "<div class=\"meter\"><span>%s</span>", name);
  begin_svg(html, 14, name);
  add_rect(html, 0, 0, WIDTH, 14, "track", tip);
  add_rect(html, 0, 0, WIDTH * shown, 14, part > 0.8 ? "full" : "fill", tip);
  base_text_format(html, "</svg><span>%.1f%%</span></div>\n", 100 * part);
}

void schedule_chart_units(const schedule_summary *summary, base_text *html) {
  double cycles = (double)summary->cycles;
  add_meter(html, "MXU busy", summary->mxu_busy, "the cycles");
  if (summary->work.flops > 0)
    add_meter(html, "useful FLOPs", summary->flop_fraction, "the peak");
  if (summary->work.bytes > 0)
    add_meter(html, "cache read", summary->byte_fraction, "HBM's rate");
  add_meter(html, "HBM", summary->hbm_fraction, "what it can move");
  if (!summary->profile->program->slots) return;
  static const schedule_unit units[] = {
      SCHEDULE_UNIT_VALU,  SCHEDULE_UNIT_XLU,    SCHEDULE_UNIT_EUP,
      SCHEDULE_UNIT_VLOAD, SCHEDULE_UNIT_VSTORE, SCHEDULE_UNIT_VPOP,
      SCHEDULE_UNIT_SALU};
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    add_meter(html, schedule_unit_name(units[i]),
              share((double)summary->units[units[i]],
                    cycles * schedule_unit_slots(units[i])),
              "its slots");
}

/* ---- Along the code ------------------------------------------------------ */

#define BINS 250
#define CODE_HEIGHT 180

typedef struct code_bins {
  double cycles[BINS][SCHEDULE_CAUSES];
  double total[BINS], most;
  int64_t first[BINS + 1]; /* bundles */
  int count;
} code_bins;

static void fill_bins(const schedule_summary *summary, code_bins *bins) {
  const schedule_profile *profile = summary->profile;
  int64_t count = profile->program->bundle_count;
  *bins = (code_bins){.count = (int)base_min(count, BINS)};
  for (int i = 0; i <= bins->count; i++)
    bins->first[i] = count * i / bins->count;
  for (int i = 0; i < bins->count; i++) {
    for (int64_t b = bins->first[i]; b < bins->first[i + 1]; b++) {
      bins->cycles[i][SCHEDULE_CAUSE_ISSUE] +=
          (double)profile->counts[b] * (1 + profile->program->bundles[b].delay);
      for (int cause = 1; cause < SCHEDULE_CAUSES; cause++)
        bins->cycles[i][cause] += (double)profile->stalls[b][cause];
    }
    for (int cause = 0; cause < SCHEDULE_CAUSES; cause++)
      bins->total[i] += bins->cycles[i][cause];
    bins->most = fmax(bins->most, bins->total[i]);
  }
}

void schedule_chart_code(const schedule_summary *summary, base_text *html) {
  code_bins bins;
  fill_bins(summary, &bins);
  begin_svg(html, CODE_HEIGHT, "cycles along the code");
  for (int i = 0; i < bins.count; i++) {
    double y = CODE_HEIGHT, width = (double)WIDTH / bins.count;
    for (int cause = 0; cause < SCHEDULE_CAUSES; cause++) {
      const char *name = schedule_cause_name((schedule_cause)cause);
      double height = CODE_HEIGHT * share(bins.cycles[i][cause], bins.most);
      char tip[128];
      if (height < 0.05) continue;
      snprintf(tip, sizeof tip,
               "0x%" PRIx64 " to 0x%" PRIx64 ": %.1f%% of all cycles %s",
               bins.first[i], bins.first[i + 1] - 1,
               100 * share(bins.cycles[i][cause], (double)summary->cycles),
               name);
      y -= height;
      add_rect(html, i * width, y, width * 0.94, height, name, tip);
    }
  }
  base_text_format(html,
                   "</svg>\n<p class=\"ends\"><span>bundle 0x0</span>"
                   "<span>bundle 0x%" PRIx64 "</span></p>\n",
                   summary->profile->program->bundle_count - 1);
}

/* ---- Along the time ------------------------------------------------------ */

#define TIME_HEIGHT 60

typedef struct time_bins {
  double busy[BINS]; /* cycles of the bin that the thing was busy */
  double width;      /* cycles */
} time_bins;

static void add_time(time_bins *bins, double start, double end) {
  for (int i = (int)fmax(0, start / bins->width); i < BINS; i++) {
    double from = fmax(start, i * bins->width);
    double to = fmin(end, (i + 1) * bins->width);
    if (to <= from) break;
    bins->busy[i] += to - from;
  }
}

static void add_area(base_text *html, const time_bins *bins, const char *label,
                     const char *class, bool inverse) {
  base_text_format(html, "<div class=\"meter\"><span>%s</span>", label);
  begin_svg(html, TIME_HEIGHT, label);
  add_rect(html, 0, 0, WIDTH, TIME_HEIGHT, "track", label);
  for (int i = 0; i < BINS; i++) {
    double part = fmin(1, share(bins->busy[i], bins->width));
    if (inverse) part = 1 - part;
    char tip[64];
    snprintf(tip, sizeof tip, "%s: %.0f%%", label, 100 * part);
    if (part > 0)
      add_rect(html, i * (double)WIDTH / BINS, TIME_HEIGHT * (1 - part),
               (double)WIDTH / BINS, TIME_HEIGHT * part, class, tip);
  }
  base_text_add_string(html, "</svg><span></span></div>\n");
}

void schedule_chart_time(const schedule_summary *summary,
                         const schedule_result *result, base_text *html) {
  if (!result->span_count || result->spans_dropped || result->cycles < BINS)
    return;
  time_bins waits = {.width = (double)result->cycles / BINS}, hbm = waits,
            links = waits;
  bool linked = false;
  for (int64_t i = 0; i < result->span_count; i++) {
    const schedule_span *span = &result->spans[i];
    if (span->chip != summary->profile->chip) continue;
    time_bins *bins = span->kind == SCHEDULE_SPAN_WAIT   ? &waits
                      : span->kind == SCHEDULE_SPAN_HBM  ? &hbm
                      : span->kind == SCHEDULE_SPAN_LINK ? &links
                                                         : NULL;
    if (bins) add_time(bins, (double)span->start, (double)span->end);
    linked |= bins == &links;
  }
  base_text_format(html, "<h3>Along the time, 0 to %.1f us</h3>\n",
                   (double)result->cycles / summary->clock_ghz / 1000);
  add_area(html, &waits, "core runs", "issue", true);
  add_area(html, &hbm, "HBM moves", "dma", false);
  if (linked) add_area(html, &links, "links carry", "semaphore", false);
}
