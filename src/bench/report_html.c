/* The report as one HTML page that needs nothing but itself: no script, no
 * font, no network. */
#include "bench/report_html.h"

#include <math.h>

void html_add_text(base_text *html, const char *string) {
  for (; *string; string++) switch (*string) {
      case '&': base_text_add_string(html, "&amp;"); break;
      case '<': base_text_add_string(html, "&lt;"); break;
      case '>': base_text_add_string(html, "&gt;"); break;
      case '"': base_text_add_string(html, "&quot;"); break;
      default: base_text_add(html, string, 1);
    }
}

/* ---- The top of the page ----------------------------------------------- */

static void add_head(base_text *html, const bench_report *report) {
  const bench_machine *m = &report->manifest.machine;
  base_text_add_string(
      html,
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n<title>Attention on ");
  html_add_text(html, m->cpu);
  base_text_format(html, "</title>\n<style>\n%s</style></head>\n<body><main>\n",
                   report_style);
  base_text_format(html, "<p class=\"soft\">pallas-flash %s, suite %s</p>\n",
                   report->manifest.version, report->manifest.suite);
  base_text_add_string(html, "<h1>Attention on ");
  html_add_text(html, m->cpu);
  base_text_format(html,
                   "</h1>\n<p class=\"soft\">%lld CPUs, %s kernels; %lld rows "
                   "measured here in %.0f s, %s",
                   (long long)m->cpus, report->manifest.isa,
                   (long long)report->row_count, report->manifest.seconds,
                   report->manifest.start);
  if (report->economy.device_count)
    base_text_format(html, "; %lld cells on %d other devices, from data",
                     (long long)report->economy.cell_count,
                     report->economy.device_count);
  base_text_add_string(html, ".</p>\n");
}

typedef struct span {
  double low, high;
  int64_t count;
} span;

static void widen(span *s, double value) {
  s->low = s->count ? fmin(s->low, value) : value;
  s->high = s->count ? fmax(s->high, value) : value;
  s->count++;
}

/* The shares of the limit that the rows of an op reach. */
static span shares(const bench_report *report, bench_op op) {
  span s = {0};
  for (int64_t i = 0; i < report->row_count; i++) {
    const report_row *row = &report->rows[i];
    if (row->workload.op == op && report_side_counts(&row->sides[0]))
      widen(&s, row->sides[0].fraction);
  }
  return s;
}

static span ratios(const bench_report *report, bench_op op, int side) {
  span s = {0};
  for (int64_t i = 0; i < report->row_count; i++) {
    const report_row *row = &report->rows[i];
    double ratio = report_ratio(row, &row->sides[side]);
    if (row->workload.op == op && ratio > 0) widen(&s, ratio);
  }
  return s;
}

/* What a peer calls itself: in the first row that it measured. */
static const char *side_title(const bench_report *report, int side) {
  for (int64_t i = 0; i < report->row_count; i++)
    if (report_side_measured(&report->rows[i].sides[side]))
      return report->rows[i].sides[side].title;
  return report->rows[0].sides[side].title;
}

static void add_tile(base_text *html, const bench_report *report, bench_op op,
                     const char *what) {
  span share = shares(report, op);
  if (!share.count) return;
  base_text_format(html, "<div class=\"tile\"><span>%s</span><b>",
                   bench_op_name(op));
  if (round(100 * share.low) < round(100 * share.high))
    base_text_format(html, "%.0f\xe2\x80\x93", 100 * share.low);
  base_text_format(html, "%.0f%%</b><span class=\"soft\">of %s</span>",
                   100 * share.high, what);
  for (int side = 1; side < report->side_count; side++) {
    span ratio = ratios(report, op, side);
    if (!ratio.count) continue;
    base_text_add_string(html, "<span>");
    html_add_text(html, side_title(report, side));
    if (ratio.count > 1)
      base_text_format(html, " takes %.2f\xe2\x80\x93%.2f x the time</span>",
                       ratio.low, ratio.high);
    else
      base_text_format(html, " takes %.2f x the time</span>", ratio.low);
  }
  base_text_add_string(html, "</div>\n");
}

static void add_failures(base_text *html, const bench_report *report) {
  int64_t wrong = 0, noisy = 0;
  for (int64_t i = 0; i < report->row_count; i++) {
    const report_side *ours = &report->rows[i].sides[0];
    wrong += report_side_measured(ours) && !ours->verdict.passed;
    noisy += report_row_noisy(&report->rows[i]);
  }
  if (wrong)
    base_text_format(html,
                     "<p class=\"bad\">%lld of %lld rows are wrong: their "
                     "error is beyond the tolerance.</p>\n",
                     (long long)wrong, (long long)report->row_count);
  if (noisy)
    base_text_format(html,
                     "<p class=\"bad\">%lld of %lld rows are noisy: more than "
                     "a fifth of their runs waited for a CPU. Measure again on "
                     "a quiet machine.</p>\n",
                     (long long)noisy, (long long)report->row_count);
}

static void add_legend(base_text *html, const bench_report *report) {
  static const char *const classes[] = {"ours", "peer0", "peer1", "peer2"};
  base_text_add_string(html, "<ul class=\"legend\">");
  for (int side = 0; side < report->side_count; side++) {
    base_text_format(html,
                     "<li><svg><rect class=\"%s\" width=\"100%%\" "
                     "height=\"100%%\"/></svg>",
                     classes[side ? 1 + (side - 1) % 3 : 0]);
    html_add_text(html, side_title(report, side));
    base_text_add_string(html, "</li>");
  }
  base_text_add_string(
      html,
      "<li><svg><line class=\"whisker\" x1=\"0\" x2=\"100%\" y1=\"50%\" "
      "y2=\"50%\"/></svg>95 % interval of the median</li>"
      "<li><svg><circle class=\"run\" cx=\"50%\" cy=\"50%\" r=\"2\"/></svg>"
      "single runs</li></ul>\n<p class=\"soft\">A bar is the share of what "
      "this machine did at most, on the same threads, in turns with the "
      "row.</p>\n");
}

/* ---- Words ------------------------------------------------------------- */

static void add_method(base_text *html, const bench_report *report) {
  const bench_effort *effort = &report->manifest.effort;
  base_text_format(
      html,
      "<section><h2>How it was measured</h2>\n<p>Each row is warmed up for at "
      "least one run and %g s, then measured until there are %lld runs and %g "
      "s "
      "of them (or %g s have passed). Ours, the peers and the limit take turns "
      "in short blocks, forwards and backwards, so that whatever the machine "
      "does meanwhile it does to all. The time is wall time by a monotonic "
      "clock (least step seen %.0f ns).</p>\n",
      effort->warm_seconds, (long long)effort->min_runs, effort->min_seconds,
      effort->max_seconds, report->manifest.machine.clock_resolution * 1e9);
  base_text_format(
      html,
      "<p>The median is shown with the interval of the ranks that hold it with "
      "95 %% confidence; no distribution is assumed and below 6 runs none is "
      "given. No run is left out: those outside Tukey's fences (1.5 and 3 "
      "quartile ranges) are counted in the table as mild / severe outliers, "
      "and "
      "a run is clean if "
      "its threads waited for a CPU less than 2 %% of its time (and 50 us for "
      "being woken). The host kept "
      "%.2f CPU seconds from this machine in all.</p>\n",
      report->manifest.stolen);
  base_text_add_string(
      html,
      "<p>Limits: f32 and f16 rows are held against f32 multiply-adds, bf16 "
      "rows against bf16 pair products where the CPU has them, decode against "
      "reading the very memory that its caches lie in (256 MiB and at least "
      "four times the CPU's caches).</p>\n"
      "<p>A time counts only if the outputs it belongs to are right: they are "
      "held against fp64, and an element may differ by u max|row| + 6 rms (n u "
      "+ 2<sup>-24</sup> (&radic;D + &radic;S + 16)), where u is the unit "
      "roundoff of the dtype, n is 1 forward and 3 backward, S the length "
      "summed over and rms the root mean square of the row of O (of dV for dK "
      "and dV). docs/benchmark.md derives it. Checked were:</p>\n<ul>\n");
  for (int op = BENCH_OP_FORWARD; op <= BENCH_OP_DECODE; op++)
    for (int64_t i = 0; i < report->row_count; i++) {
      if ((int)report->rows[i].workload.op != op) continue;
      base_text_format(html, "<li>%s: %s</li>\n", bench_op_name((bench_op)op),
                       report->rows[i].sample);
      break;
    }
  base_text_add_string(html, "</ul></section>\n");
}

static void add_fact(base_text *html, const char *name, const char *value) {
  if (!value || !*value) return;
  base_text_format(html, "<dt>%s</dt><dd>", name);
  html_add_text(html, value);
  base_text_add_string(html, "</dd>\n");
}

static void add_economic_facts(base_text *html, const bench_report *report) {
  const bench_economy *e = &report->economy;
  if (!e->device_count) return;
  add_fact(html, "TPU compiler", e->compiler);
  add_fact(html, "plan, SHA-256", e->plan.hash);
  for (int i = 0; i < CATALOG_FILES; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s, SHA-256", catalog_file_name(i));
    add_fact(html, name, e->catalog.tables[i].hash);
  }
}

static void add_manifest(base_text *html, const bench_report *report) {
  const bench_machine *m = &report->manifest.machine;
  char number[MACHINE_TEXT_SIZE + 64];
  base_text_add_string(html, "<section><h2>What was run</h2><dl>\n");
  add_fact(html, "command", report->manifest.command);
  add_fact(html, "version", report->manifest.version);
  add_fact(html, "commit", report->manifest.commit);
  add_fact(html, "compiler", report->manifest.compiler);
  add_fact(html, "flags", report->manifest.compiler_flags);
  snprintf(number, sizeof number, "%llu",
           (unsigned long long)report->manifest.seed);
  add_fact(html, "seed", number);
  snprintf(number, sizeof number, "%d; resumed %lld times",
           report->manifest.processes, (long long)report->manifest.resumed);
  add_fact(html, "processes", number);
  snprintf(number, sizeof number, "%.1f us, an empty call on every thread",
           report->manifest.dispatch_seconds * 1e6);
  add_fact(html, "dispatch", number);
  add_fact(html, "from", report->manifest.start);
  add_fact(html, "to", report->manifest.end);
  add_fact(html, "CPU", m->cpu);
  add_fact(html, "newest instruction set", m->isa);
  add_fact(html, "frequency governor", m->governor);
  add_fact(html, "system", m->kernel);
  snprintf(number, sizeof number, "%.1f GiB",
           (double)m->memory_bytes / (double)(1 << 30));
  add_fact(html, "memory", number);
  snprintf(number, sizeof number, "%.1f MiB",
           (double)m->cache_bytes / (double)(1 << 20));
  add_fact(html, "last-level caches", number);
  snprintf(number, sizeof number, "%lld bytes; huge pages: %s",
           (long long)m->page_bytes, *m->huge_pages ? m->huge_pages : "none");
  add_fact(html, "pages", number);
  add_economic_facts(html, report);
  base_text_add_string(html, "</dl></section>\n");
}

static pfl_status add_measured(base_text *html, const bench_report *report,
                               pfl_error *error) {
  if (!report->row_count) return PFL_STATUS_OK;
  base_text_add_string(html, "<section id=\"measured\"><h2>Measured here ");
  html_add_evidence(html, BENCH_EVIDENCE_MEASURED);
  base_text_add_string(html, "</h2>\n");
  add_failures(html, report);
  base_text_add_string(html, "<div class=\"tiles\">\n");
  add_tile(html, report, BENCH_OP_FORWARD, "the arithmetic peak");
  add_tile(html, report, BENCH_OP_BACKWARD, "the arithmetic peak");
  add_tile(html, report, BENCH_OP_DECODE, "the read bandwidth");
  base_text_add_string(html, "</div>\n");
  add_legend(html, report);
  base_text_add_string(html, "</section>\n");
  html_add_charts(html, report);
  html_add_latency(html, report);
  html_add_table(html, report);
  html_add_energy(html, report);
  return html_add_limits(html, report, error);
}

pfl_status report_html(const bench_report *report, base_text *out_text,
                       pfl_error *error) {
  base_text *html = out_text;
  add_head(html, report);
  html_add_answer(html, report);
  html_add_verdicts(html, report);
  html_add_costs(html, report);
  html_add_forecast(html, report);
  PFL_TRY(html_add_roofline(html, report, error));
  PFL_TRY(add_measured(html, report, error));
  PFL_TRY(html_add_prices(html, report, error));
  if (report->row_count) add_method(html, report);
  html_add_rules(html, report);
  add_manifest(html, report);
  base_text_add_string(html, "</main></body></html>\n");
  return base_text_check(html, error);
}
