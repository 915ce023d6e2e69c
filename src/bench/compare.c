/* Two reports held against each other. */
#include "bench/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/replicas.h"

/* ---- Cells ------------------------------------------------------------- */

static pfl_status check_same_cells(const bench_report *a, const bench_report *b,
                                   const char *name_a, const char *name_b,
                                   pfl_error *error) {
  char cell[BENCH_NAME_SIZE];
  for (int64_t i = 0; i < a->row_count; i++) {
    const report_row *row = &a->rows[i];
    if (report_find_row(b, &row->workload, row->threads)) continue;
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the workloads differ: %.160s has %s on %d threads, and %.160s "
              "has not",
              name_a, bench_workload_name(&row->workload, cell), row->threads,
              name_b);
  }
  return PFL_STATUS_OK;
}

/* Why a difference between the rows says nothing: a rule that was not kept. */
static const char *find_caution(const bench_comparison *c,
                                const report_row *row) {
  if (c->a.manifest.effort.smoke || c->b.manifest.effort.smoke)
    return "smoke";                          /* rule 27 */
  if (report_row_noisy(row)) return "noisy"; /* rule 31 */
  const steady_state *steady = &row->sides[0].steady;
  if (!steady->known) return "few runs"; /* rule 26 */
  return steady->steady ? "" : "unsteady";
}

/* What the plan asks of each report (rules 4, 28). */
static void find_shortage(const bench_comparison *c, const report_row *row,
                          char *out_text, size_t size) {
  const bench_plan *plan = &c->plan;
  int64_t least = INT64_MAX;
  for (int64_t i = 0; i < row->process_count; i++)
    least = base_min(least, row->sides[0].processes[i].count);
  if (row->process_count < plan->min_processes)
    snprintf(out_text, size, "%lld of %lld processes",
             (long long)row->process_count, (long long)plan->min_processes);
  else if (least < plan->min_runs)
    snprintf(out_text, size, "%lld of %lld runs", (long long)least,
             (long long)plan->min_runs);
}

static void withhold(const bench_comparison *c, const report_row *row,
                     char *out_text, size_t size) {
  if (!*out_text) snprintf(out_text, size, "%s", find_caution(c, row));
  if (!*out_text) find_shortage(c, row, out_text, size);
}

static pfl_status find_ratio(compare_row *row, pfl_error *error) {
  bench_replicas a = {0}, b = {0};
  pfl_status status =
      replicas_create(row->a, row->a->sides[0].processes, &a, error);
  if (!status)
    status = replicas_create(row->b, row->b->sides[0].processes, &b, error);
  replicas_pack(&a);
  replicas_pack(&b);
  /* the first of the two is the one whose throughput is above */
  if (!status)
    status = bootstrap_compare_apart(b.runs, b.count, a.runs, a.count,
                                     BOOTSTRAP_RESAMPLES, BOOTSTRAP_SEED,
                                     &row->ratio, error);
  replicas_release(&a);
  replicas_release(&b);
  return status;
}

static pfl_status compare_rows(const bench_comparison *c, compare_row *row,
                               pfl_error *error) {
  if (!report_side_counts(&row->a->sides[0]) ||
      !report_side_counts(&row->b->sides[0]))
    return PFL_STATUS_OK;
  PFL_TRY(find_ratio(row, error));
  row->compared = true;
  withhold(c, row->a, row->caution, sizeof row->caution);
  withhold(c, row->b, row->caution, sizeof row->caution);
  row->verdict = *row->caution ? VERDICT_INCONCLUSIVE
                               : verdict_decide(row->ratio.ratio, c->delta);
  return PFL_STATUS_OK;
}

static pfl_status compare(bench_comparison *c, const char *a, const char *b,
                          pfl_error *error) {
  PFL_TRY(check_same_cells(&c->a, &c->b, a, b, error));
  PFL_TRY(check_same_cells(&c->b, &c->a, b, a, error));
  c->delta = c->plan.delta;
  c->rows = calloc((size_t)c->a.row_count + 1, sizeof *c->rows);
  if (!c->rows) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for rows");
  c->row_count = c->a.row_count;
  for (int64_t i = 0; i < c->row_count; i++) {
    compare_row *row = &c->rows[i];
    row->a = &c->a.rows[i];
    row->b = report_find_row(&c->b, &row->a->workload, row->a->threads);
    PFL_TRY(compare_rows(c, row, error));
  }
  return PFL_STATUS_OK;
}

pfl_status compare_open(const char *a, const char *b,
                        const report_sources *sources,
                        bench_comparison *out_comparison, pfl_error *error) {
  *out_comparison = (bench_comparison){0};
  bench_comparison *c = out_comparison;
  PFL_TRY(plan_read(sources->plan, &c->plan, error));
  pfl_status status = report_read(a, sources, &c->a, error);
  if (status == PFL_STATUS_OK) status = report_read(b, sources, &c->b, error);
  if (status == PFL_STATUS_OK) status = compare(c, a, b, error);
  if (status != PFL_STATUS_OK) compare_close(c);
  return status;
}

void compare_close(bench_comparison *comparison) {
  report_release(&comparison->a);
  report_release(&comparison->b);
  free(comparison->rows);
  *comparison = (bench_comparison){0};
}

/* ---- Text -------------------------------------------------------------- */

static void print_row(const compare_row *row, FILE *out) {
  char name[BENCH_NAME_SIZE];
  const bench_quantity q = row->ratio.ratio;
  fprintf(out, "%-37s %2d", bench_workload_name(&row->a->workload, name),
          row->a->threads);
  if (!row->compared) {
    fprintf(out, "  not measured, or wrong, in one of them\n");
    return;
  }
  fprintf(out, " %6.3f", q.value);
  if (quantity_has_interval(q))
    fprintf(out, " [%.3f, %.3f]", q.low, q.high);
  else
    fprintf(out, " %16s", "");
  fprintf(out, " %s%s%s\n", verdict_word(row->verdict),
          *row->caution ? ": " : "", row->caution);
}

static void print_difference(const char *what, const char *a, const char *b,
                             FILE *out) {
  if (strcmp(a, b)) fprintf(out, "%s: %.50s, then %.50s\n", what, a, b);
}

static void print_differences(const bench_comparison *c, FILE *out) {
  const report_manifest *a = &c->a.manifest, *b = &c->b.manifest;
  print_difference("version", a->version, b->version, out);
  print_difference("commit", a->commit, b->commit, out);
  print_difference("compiler", a->compiler, b->compiler, out);
  print_difference("flags", a->compiler_flags, b->compiler_flags, out);
  print_difference("CPU", a->machine.cpu, b->machine.cpu, out);
  print_difference("instruction set", a->isa, b->isa, out);
  print_difference("kernel", a->machine.kernel, b->machine.kernel, out);
  if (a->seed != b->seed)
    fprintf(out, "seed: %llu, then %llu\n", (unsigned long long)a->seed,
            (unsigned long long)b->seed);
  if (a->processes != b->processes)
    fprintf(out, "processes: %d, then %d\n", a->processes, b->processes);
}

void compare_text(const bench_comparison *comparison, FILE *out) {
  const bench_comparison *c = comparison;
  fprintf(out, "A of %s, suite %s; B of %s, suite %s\n", c->a.manifest.start,
          c->a.manifest.suite, c->b.manifest.start, c->b.manifest.suite);
  print_differences(c, out);
  fprintf(out, "\n%-37s %2s %6s %16s\n", "cell", "T", "B / A", "95 %");
  for (int64_t i = 0; i < c->row_count; i++) print_row(&c->rows[i], out);
  fprintf(out,
          "\nB / A: B's throughput over A's; above 1, B is faster. Verdicts of "
          "B with delta\n%g, each for itself: of 20 cells that are alike one "
          "seems to differ by chance.\n",
          c->delta);
  if (c->a.manifest.processes == 1 || c->b.manifest.processes == 1)
    fputs(
        "One process: what varies between processes is in no interval "
        "(--processes).\n",
        out);
}

/* ---- JSON -------------------------------------------------------------- */

static void write_side(json_writer *json, const char *key,
                       const report_manifest *m) {
  json_begin_object(json, key);
  json_write_string(json, "start", m->start);
  json_write_string(json, "suite", m->suite);
  json_write_string(json, "version", m->version);
  json_write_string(json, "commit", *m->commit ? m->commit : NULL);
  json_write_string(json, "cpu", m->machine.cpu);
  json_write_string(json, "isa", m->isa);
  json_write_int64(json, "seed", (int64_t)m->seed);
  json_write_int64(json, "processes", m->processes);
  json_end(json);
}

static void write_row(json_writer *json, const compare_row *row) {
  json_begin_object(json, NULL);
  report_json_workload(json, &row->a->workload);
  json_write_int64(json, "threads", row->a->threads);
  json_write_bool(json, "compared", row->compared);
  if (row->compared) {
    json_write_double(json, "median_seconds_a",
                      row->a->sides[0].summary.median);
    json_write_double(json, "median_seconds_b",
                      row->b->sides[0].summary.median);
    report_json_quantity(json, "throughput_ratio", row->ratio.ratio);
    json_write_bool(json, "intervals_differ", row->ratio.differ);
    json_write_string(json, "verdict", verdict_word(row->verdict));
    json_write_string(json, "caution", *row->caution ? row->caution : NULL);
  }
  json_end(json);
}

pfl_status compare_json(const bench_comparison *comparison, base_text *out_text,
                        pfl_error *error) {
  const bench_comparison *c = comparison;
  json_writer json = {.text = out_text};
  json_begin_object(&json, NULL);
  json_begin_object(&json, "schema");
  json_write_string(&json, "name", COMPARE_SCHEMA);
  json_write_int64(&json, "version", COMPARE_SCHEMA_VERSION);
  json_end(&json);
  write_side(&json, "a", &c->a.manifest);
  write_side(&json, "b", &c->b.manifest);
  json_write_double(&json, "delta", c->delta);
  json_begin_array(&json, "rows");
  for (int64_t i = 0; i < c->row_count; i++) write_row(&json, &c->rows[i]);
  json_end(&json);
  json_end(&json);
  base_text_add_string(out_text, "\n");
  return base_text_check(out_text, error);
}
