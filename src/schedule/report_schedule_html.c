/* A schedule as one HTML page that needs nothing but itself. */
#include "schedule/report_schedule_html.h"

#include <inttypes.h>
#include <string.h>

void schedule_html_text(base_text *html, const char *string) {
  for (; *string; string++) switch (*string) {
      case '&': base_text_add_string(html, "&amp;"); break;
      case '<': base_text_add_string(html, "&lt;"); break;
      case '>': base_text_add_string(html, "&gt;"); break;
      case '"': base_text_add_string(html, "&quot;"); break;
      default: base_text_add(html, string, 1);
    }
}

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1c2329;--soft:#5d6972;"
    "--line:#d9dfe4;--track:#eff2f5;--issue:#0b6f9c;--mxu:#d9822b;"
    "--xlu:#8f6fb0;--eup:#3a9a8c;--vector:#7fb2cc;--scalar:#98a4ae;"
    "--dma:#c0392b;--semaphore:#6d4c41}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14191d;--ink:#e5e9ec;"
    "--soft:#9aa6af;--line:#333c44;--track:#222a30;--issue:#46aedb;"
    "--mxu:#f0a050;--xlu:#a98bc9;--eup:#5cc0b0;--vector:#35637c;"
    "--scalar:#78858f;--dma:#ff7a6b;--semaphore:#b08d80}}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 "
    "system-ui,sans-serif;font-variant-numeric:tabular-nums}\n"
    "main{max-width:70rem;margin:0 auto;padding:2rem 1.25rem 4rem}\n"
    "h1{font-size:1.6rem;line-height:1.2;margin:0 0 .3rem;"
    "overflow-wrap:anywhere}\n"
    "h2{font-size:1.3rem;margin:2.4rem 0 .2rem;overflow-wrap:anywhere}"
    "h3{font-size:1rem;margin:1.4rem 0 .3rem}\n"
    "p{margin:.2rem 0 .8rem;max-width:48rem}.soft{color:var(--soft)}\n"
    ".verdict{font-size:1.15rem}\n"
    "svg{display:block;width:100%}\n"
    "rect.issue{fill:var(--issue)}rect.mxu{fill:var(--mxu)}"
    "rect.xlu{fill:var(--xlu)}rect.eup{fill:var(--eup)}"
    "rect.vector{fill:var(--vector)}rect.scalar{fill:var(--scalar)}"
    "rect.dma{fill:var(--dma)}rect.semaphore{fill:var(--semaphore)}"
    "rect.track{fill:var(--track)}rect.fill{fill:var(--issue)}"
    "rect.full{fill:var(--mxu)}\n"
    "i.issue{background:var(--issue)}i.mxu{background:var(--mxu)}"
    "i.xlu{background:var(--xlu)}i.eup{background:var(--eup)}"
    "i.vector{background:var(--vector)}i.scalar{background:var(--scalar)}"
    "i.dma{background:var(--dma)}i.semaphore{background:var(--semaphore)}"
    "i.track{background:var(--track)}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;margin:.5rem 0;"
    "padding:0;list-style:none;font-size:.9rem}"
    ".legend i{display:inline-block;width:.8rem;height:.8rem;"
    "margin-right:.4rem}\n"
    ".meter{display:grid;grid-template-columns:7.5rem 1fr 4.5rem;gap:.8rem;"
    "align-items:center;font-size:.9rem;margin:.15rem 0}"
    ".meter span:last-child{text-align:right}\n"
    ".ends{display:flex;justify-content:space-between;max-width:none;"
    "color:var(--soft);font-size:.85rem}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;"
    "width:100%}th,td{padding:.25rem .6rem .25rem 0;text-align:right;"
    "white-space:nowrap;border-bottom:1px solid var(--line)}"
    "th:last-child,td:last-child{text-align:left}th{color:var(--soft)}\n";

/* ---- In a sentence ------------------------------------------------------- */

static double part_of(const schedule_summary *summary, schedule_cause cause) {
  return summary->cycles > 0
             ? (double)summary->profile->causes[cause] / (double)summary->cycles
             : 0;
}

/* The unit whose slots are fullest, of those that a bundle shares. */
static schedule_unit tightest(const schedule_summary *summary, double *out) {
  schedule_unit best = SCHEDULE_UNIT_VALU;
  double issue = (double)summary->profile->causes[SCHEDULE_CAUSE_ISSUE];
  *out = 0;
  for (int i = SCHEDULE_UNIT_VALU; i < SCHEDULE_UNITS; i++) {
    if (i == SCHEDULE_UNIT_VLOAD_FILL || i == SCHEDULE_UNIT_VSTORE_SPILL)
      continue;
    double full = (double)summary->units[i] /
                  (issue * schedule_unit_slots((schedule_unit)i));
    if (issue > 0 && full > *out) {
      *out = full;
      best = (schedule_unit)i;
    }
  }
  return best;
}

static void add_verdict(const schedule_summary *summary, base_text *html) {
  schedule_cause worst = SCHEDULE_CAUSE_ISSUE;
  double full;
  for (int i = 1; i < SCHEDULE_CAUSES; i++)
    if (part_of(summary, (schedule_cause)i) > part_of(summary, worst))
      worst = (schedule_cause)i;
  double called = (double)schedule_called_cycles(summary);
  base_text_add_string(html, "<p class=\"verdict\">");
  if (called > 0.5 * (double)summary->cycles)
    base_text_format(html,
                     "Most of the time it is in the programs that it calls: "
                     "%.0f%%.",
                     100 * called / (double)summary->cycles);
  else if (summary->mxu_busy > 0.8)
    base_text_format(html,
                     "The matrix units are busy %.0f%% of the time: "
                     "they are the limit.",
                     100 * summary->mxu_busy);
  else if (summary->hbm_fraction > 0.8)
    base_text_format(html, "HBM moves %.0f%% of what it can: it is the limit.",
                     100 * summary->hbm_fraction);
  else if (worst != SCHEDULE_CAUSE_ISSUE)
    base_text_format(html, "Most of the time the core %s: %.0f%%.",
                     schedule_cause_meaning(worst),
                     100 * part_of(summary, worst));
  else
    base_text_format(html, "Most of the time bundles issue: %.0f%%.",
                     100 * part_of(summary, worst));
  schedule_unit unit = tightest(summary, &full);
  if (full > 0)
    base_text_format(html,
                     " Of the slots of a bundle %s is the fullest, with "
                     "%.0f%%.",
                     schedule_unit_name(unit), 100 * full);
  base_text_add_string(html, "</p>\n");
}

/* ---- Tables -------------------------------------------------------------- */

static void add_place(const schedule_report *report,
                      const schedule_summary *summary,
                      const schedule_line_cost *line, base_text *html) {
  char place[128];
  schedule_html_text(html, schedule_place_name(report, summary, line, place));
}

static void add_regions(const schedule_report *report,
                        const schedule_summary *summary, base_text *html) {
  base_text_add_string(html,
                       "<h3>The costliest bundles</h3>\n<div class=\"wide\">"
                       "<table><tr><th>cycles</th><th>share</th><th>from</th>"
                       "<th>to</th><th>times</th><th>issue</th><th>mxu</th>"
                       "<th>xlu</th><th>dma</th><th>other</th>"
                       "<th>lines</th></tr>\n");
  for (int i = 0; i < summary->region_count; i++) {
    const schedule_region *r = &summary->regions[i];
    int64_t issue = r->causes[SCHEDULE_CAUSE_ISSUE];
    int64_t mxu = r->causes[SCHEDULE_CAUSE_MXU];
    int64_t xlu = r->causes[SCHEDULE_CAUSE_XLU];
    int64_t dma = r->causes[SCHEDULE_CAUSE_DMA];
    base_text_format(html,
                     "<tr><td>%" PRId64 "</td><td>%.1f%%</td><td>0x%" PRIx64
                     "</td><td>0x%" PRIx64 "</td><td>%" PRId64
                     "</td><td>%" PRId64 "</td><td>%" PRId64 "</td><td>%" PRId64
                     "</td><td>%" PRId64 "</td><td>%" PRId64 "</td><td>",
                     r->cycles,
                     100 * (double)r->cycles / (double)summary->cycles,
                     r->first, r->last, r->times, issue, mxu, xlu, dma,
                     r->cycles - issue - mxu - xlu - dma);
    for (int l = 0; l < SCHEDULE_REGION_LINES && r->lines[l].file; l++) {
      if (l) base_text_add_string(html, "; ");
      add_place(report, summary, &r->lines[l], html);
    }
    base_text_add_string(html, "</td></tr>\n");
  }
  base_text_add_string(html, "</table></div>\n");
}

static void add_lines(const schedule_report *report,
                      const schedule_summary *summary, base_text *html) {
  if (!summary->line_count) return;
  base_text_add_string(html,
                       "<h3>The kernel's costliest lines</h3>\n<div "
                       "class=\"wide\"><table><tr><th>cycles</th>"
                       "<th>share</th><th>line</th></tr>\n");
  for (int i = 0; i < summary->line_count; i++) {
    base_text_format(html, "<tr><td>%.0f</td><td>%.1f%%</td><td>",
                     summary->lines[i].cycles,
                     100 * summary->lines[i].cycles / (double)summary->cycles);
    add_place(report, summary, &summary->lines[i], html);
    base_text_add_string(html, "</td></tr>\n");
  }
  base_text_add_string(html, "</table></div>\n");
}

/* ---- The page ------------------------------------------------------------ */

static const schedule_result *result_of(const schedule_report *report,
                                        const schedule_summary *summary) {
  for (int64_t i = 0; i < report->result_count; i++) {
    const schedule_result *result = &report->results[i];
    if (summary->profile >= result->profiles &&
        summary->profile < result->profiles + result->profile_count)
      return result;
  }
  return NULL;
}

static void add_program(const schedule_report *report,
                        const schedule_summary *summary, base_text *html) {
  base_text_add_string(html, "<h2>");
  schedule_html_text(html, summary->profile->program->name);
  base_text_format(html, ": %.1f us</h2>\n<p class=\"soft\">%" PRId64 " cycles",
                   summary->us, summary->cycles);
  if (summary->chips > 1)
    base_text_format(html, " on the slowest of %d chips", summary->chips);
  base_text_format(html,
                   "; %" PRId64
                   " bundles of code; HBM %.2f MB read, "
                   "%.2f MB written; spills: %" PRId64 " stores, %" PRId64
                   " loads; %.2f MiB of VMEM</p>\n",
                   summary->profile->program->bundle_count,
                   (double)summary->hbm_read_bytes / 1e6,
                   (double)summary->hbm_write_bytes / 1e6,
                   summary->spill_stores, summary->spill_loads,
                   (double)summary->profile->program->vmem_bytes / (1 << 20));
  add_verdict(summary, html);
  base_text_add_string(html, "<h3>Where the cycles go</h3>\n");
  schedule_chart_causes(summary, html);
  base_text_add_string(html, "<h3>How full the units are</h3>\n");
  schedule_chart_units(summary, html);
  if (summary->work.how) {
    base_text_add_string(html, "<p class=\"soft\">Useful is: ");
    schedule_html_text(html, summary->work.how);
    base_text_add_string(html, ".</p>\n");
  }
  base_text_add_string(html, "<h3>Along the code</h3>\n");
  schedule_chart_code(summary, html);
  const schedule_result *result = result_of(report, summary);
  if (result) schedule_chart_time(summary, result, html);
  add_regions(report, summary, html);
  add_lines(report, summary, html);
}

static void add_notes(const schedule_report *report, base_text *html) {
  for (int64_t i = 0; i < report->result_count; i++)
    for (int64_t w = 0; w < report->results[i].warning_count; w++) {
      const schedule_warning *warning = &report->results[i].warnings[w];
      base_text_add_string(html, "<p class=\"soft\">Note: ");
      schedule_html_text(html, warning->program->name);
      base_text_format(html,
                       ": bundle 0x%" PRIx64 " %s (%" PRId64 " times)</p>\n",
                       warning->bundle, schedule_warning_text(warning->kind),
                       warning->count);
    }
}

void schedule_report_html(const schedule_report *report, base_text *html) {
  base_text_add_string(
      html,
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<title>Schedule of ");
  schedule_html_text(html, report->title);
  base_text_format(html,
                   "</title>\n<style>\n%s</style></head>\n<body><main>\n"
                   "<h1>",
                   style);
  schedule_html_text(html, report->title);
  base_text_format(html,
                   "</h1>\n<p class=\"soft\">Predicted by the cycle model from "
                   "the compiler's listing, at %.2g GHz and %.0f GB/s of HBM; "
                   "not measured.</p>\n",
                   report->model->clock_ghz, report->model->hbm_gbs);
  for (int64_t i = 0; i < report->summary_count; i++)
    add_program(report, &report->summaries[i], html);
  add_notes(report, html);
  base_text_add_string(html, "</main></body></html>\n");
}
