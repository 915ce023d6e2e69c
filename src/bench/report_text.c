/* The report as a table of 80 columns. */
#include <math.h>
#include <string.h>

#include "bench/report.h"

#define ROW "%-22s %-5s %2s %9s %5s %10s %5s %8s %6s"

/* Half the width of the interval, in per cent of the median. */
static void print_spread(char *text, size_t size,
                         const statistics_summary *summary) {
  double half = (summary->high - summary->low) / 2;
  if (isnan(half))
    snprintf(text, size, "-");
  else if (half >= 0.9995 * summary->median)
    snprintf(text, size, ">99%%");
  else
    snprintf(text, size, "%.1f%%", 100 * half / summary->median);
}

/* The reason as far as there is room: the other reports have it all. */
static void print_skipped(const char *title, const char *reason, FILE *out) {
  int room = 80 - (int)strlen(title) - (int)strlen(" skipped: ");
  bool fits = strlen(reason) <= (size_t)room;
  fprintf(out, "%s skipped: %.*s%s\n", title, fits ? room : room - 3, reason,
          fits ? "" : "...");
}

/* Of our row a remark, of a peer's how it compares. */
static void print_last(char *text, size_t size, const report_row *row,
                       const report_side *side) {
  double ratio = report_ratio(row, side);
  if (side == row->sides)
    snprintf(text, size, "%s", report_row_remark(row));
  else if (ratio > 0)
    snprintf(text, size, ratio < 100 ? "%.2fx" : "%.0fx", ratio);
  else
    snprintf(text, size, "-");
}

static void print_side(const report_row *row, const report_side *side,
                       FILE *out) {
  char title[REPORT_TITLE_SIZE], threads[16] = "", time[32], spread[32],
                                 rate[32], share[32], error[32], last[32];
  bool is_ours = side == row->sides;
  if (is_ours) {
    bench_workload_title(&row->workload, title);
    snprintf(threads, sizeof threads, "%d", row->threads);
  } else {
    snprintf(title, sizeof title, "  %.18s", side->title);
  }
  if (!report_side_measured(side)) {
    print_skipped(title, side->reason, out);
    return;
  }
  snprintf(time, sizeof time, "%.3f", side->summary.median * 1e3);
  print_spread(spread, sizeof spread, &side->summary);
  snprintf(rate, sizeof rate, side->rate < 1e12 ? "%.1f %s" : "%.0f %s",
           side->rate * 1e-9, report_rate_unit(row));
  snprintf(share, sizeof share, *side->device ? "-" : "%.0f%%",
           100 * side->fraction);
  snprintf(error, sizeof error, "%.1e%s", side->verdict.error,
           side->verdict.passed ? "" : "!");
  print_last(last, sizeof last, row, side);
  bool counts = !is_ours || report_side_counts(side);
  fprintf(out, ROW "\n", title,
          is_ours ? bench_workload_dtype(&row->workload) : "", threads,
          counts ? time : "-", counts ? spread : "-", counts ? rate : "-",
          counts ? share : "-", error, last);
}

static pfl_status print_limits(const bench_report *report, FILE *out,
                               pfl_error *error) {
  for (int kind = 0; kind < BENCH_LIMIT_COUNT; kind++) {
    bench_limit limit = (bench_limit)kind;
    bool named = false;
    for (int i = 0; report_threads_get(report, i); i++) {
      int32_t threads = report_threads_get(report, i);
      report_limit found;
      PFL_TRY(report_limit_find(report, limit, threads, &found, error));
      if (!found.runs) continue;
      if (!named) fprintf(out, "  %-11s", report_limit_name(limit));
      named = true;
      fprintf(out, "  %.1f %s on %d thread%s", found.median * 1e-9,
              report_limit_unit(limit), threads, threads == 1 ? "" : "s");
    }
    if (named) fputc('\n', out);
  }
  return PFL_STATUS_OK;
}

static void print_remarks(const bench_report *report, FILE *out) {
  static const struct {
    const char *remark, *meaning;
  } remarks[] = {
      {"WRONG", "the error is beyond the tolerance; the time does not count"},
      {"noisy",
       "more than a fifth of the runs, or of the limit's, waited for "
       "a CPU"},
      {"beyond",
       "faster than the limit; one of the two is not what it should "
       "be"},
      {"unsteady", "it had not settled: the time supports no verdict"},
  };
  for (size_t n = 0; n < sizeof remarks / sizeof *remarks; n++)
    for (int64_t i = 0; i < report->row_count; i++) {
      if (strcmp(report_row_remark(&report->rows[i]), remarks[n].remark))
        continue;
      fprintf(out, "%s: %s\n", remarks[n].remark, remarks[n].meaning);
      break;
    }
}

static bool is_metered(const bench_report *report, int source) {
  for (int64_t i = 0; i < report->row_count; i++)
    for (int k = 0; k < report->side_count; k++) {
      const report_side *side = &report->rows[i].sides[k];
      if (report_side_measured(side) && side->joules[source] > 0) return true;
    }
  return false;
}

/* Joules a run, of every row and side that a meter counted. */
static void print_energy(const bench_report *report, int source, FILE *out) {
  char name[BENCH_NAME_SIZE];
  if (!is_metered(report, source)) return;
  fprintf(out, "\nenergy of a run, %s (%s):\n",
          energy_name((energy_source)source),
          energy_what((energy_source)source));
  for (int64_t i = 0; i < report->row_count; i++)
    for (int k = 0; k < report->side_count; k++) {
      const report_row *row = &report->rows[i];
      const report_side *side = &row->sides[k];
      if (!report_side_measured(side) || !(side->joules[source] > 0)) continue;
      fprintf(out, "  %-37.37s %2d %-16.16s %10.4g J\n",
              bench_workload_name(&row->workload, name), row->threads,
              k ? side->title : "ours", side->joules[source]);
    }
}

/* A line before the first row of a model. */
static void print_model(const bench_report *report, int64_t i, FILE *out) {
  const bench_workload *w = &report->rows[i].workload;
  if (!*w->model ||
      (i && !strcmp(report->rows[i - 1].workload.model, w->model)))
    return;
  fprintf(out, "%s\n", w->model);
}

static pfl_status print_rows(const bench_report *report, FILE *out,
                             pfl_error *error) {
  fprintf(out, ROW "\n", "workload", "dtype", "T", "ms", "95%", "rate", "limit",
          "error", report->side_count > 1 ? "peer" : "");
  for (int64_t i = 0; i < report->row_count; i++) {
    print_model(report, i, out);
    for (int side = 0; side < report->side_count; side++)
      print_side(&report->rows[i], &report->rows[i].sides[side], out);
  }
  fputs(
      "\nT threads; ms median, 95% half of its interval; rate by the median, "
      "FLOPs of\ncausal rows counted half, of windows the pairs in them, of "
      "backward 2.5 times\nforward; error the largest from fp64; limit the "
      "share of what this machine did,\nin turns with the row:\n",
      out);
  PFL_TRY(print_limits(report, out, error));
  if (report->side_count > 1)
    fputs(
        "peer: the peer's time divided by ours, above 1 we are faster; an "
        "error with !\nis beyond the tolerance, and the time shown all the "
        "same\n",
        out);
  print_remarks(report, out);
  for (int i = 0; i < ENERGY_SOURCES; i++) print_energy(report, i, out);
  return PFL_STATUS_OK;
}

pfl_status report_text(const bench_report *report, FILE *out,
                       pfl_error *error) {
  const report_manifest *r = &report->manifest;
  const bench_machine *m = &r->machine;
  fprintf(out, "pallas-flash %s, suite %s, %s kernels, seed %llu\n", r->version,
          r->suite, r->isa, (unsigned long long)r->seed);
  fprintf(out, "%s, %lld CPUs, %s\n", m->cpu, (long long)m->cpus, r->start);
  if (report->row_count) {
    fputc('\n', out);
    PFL_TRY(print_rows(report, out, error));
  }
  forecast_text(&report->forecast, out);
  report_text_economy(report, out);
  return PFL_STATUS_OK;
}
