/* Runs a suite: workload by workload, on each number of threads. */
#include "bench/bench.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "bench/lane.h"

typedef struct bench {
  const bench_options *options;
  bench_report report;
  base_threads *pool; /* every CPU, for what is not timed */
  bench_lane lanes[2];
  int64_t ring_bytes;
  char directory[128]; /* for the peers' files; "": none was made */
  double started;
} bench;

/* ---- The suite --------------------------------------------------------- */

static double seconds_left(const bench *b, int64_t done, int64_t all) {
  const bench_report *r = &b->report;
  double each = (machine_now() - b->started) / (double)base_max(1, done);
  if (!done) /* a guess: what is asked for, and as much for preparations */
    each = 2 * r->side_count * (r->effort.warm_seconds + r->effort.min_seconds);
  return each * (double)(all - done);
}

static void tell_start(const bench *b, int64_t all) {
  FILE *talk = b->options->talk;
  if (!talk) return;
  fprintf(talk, "bench: %lld rows, about %.0f s\n", (long long)all,
          seconds_left(b, 0, all));
  fflush(talk);
}

static void tell_row(const bench *b, const report_row *row, int64_t all) {
  FILE *talk = b->options->talk;
  char title[BENCH_TITLE_SIZE];
  int64_t done = b->report.row_count;
  if (!talk) return;
  fprintf(talk, "bench: %lld of %lld: %s %s on %d thread%s", (long long)done,
          (long long)all, bench_workload_title(row->workload, title),
          bench_workload_dtype(row->workload), row->threads,
          row->threads == 1 ? "" : "s");
  for (int i = 0; i < b->report.side_count; i++) {
    const report_side *side = &row->sides[i];
    if (report_side_measured(side))
      fprintf(talk, ", %s %.2f ms", i ? side->title : "ours",
              side->summary.median * 1e3);
    else
      fprintf(talk, ", %s skipped: %s", side->title, side->reason);
  }
  fprintf(talk, "; about %.0f s left\n", seconds_left(b, done, all));
  fflush(talk);
}

static pfl_status add_row(bench *b, bench_lane *lane, bench_tensors *tensors,
                          const bench_gate *gate, int64_t all,
                          pfl_error *error) {
  bench_report *r = &b->report;
  report_row *row = &r->rows[r->row_count++];
  *row = (report_row){
      .workload = tensors->workload,
      .threads = lane->threads,
      .work = bench_workload_work(tensors->workload),
      .limit =
          bench_workload_limit(tensors->workload, lane->kernels.dot != NULL),
      .sides = calloc((size_t)r->side_count, sizeof *row->sides),
  };
  if (!row->sides) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a row");
  memcpy(row->sample, gate->sample, sizeof row->sample);
  PFL_TRY(lane_measure(lane, tensors, gate, &r->effort, row, error));
  tell_row(b, row, all);
  return PFL_STATUS_OK;
}

static pfl_status run_workload(bench *b, const bench_workload *workload,
                               int64_t all, pfl_error *error) {
  bench_tensors tensors;
  bench_gate gate;
  PFL_TRY(tensors_create(workload, b->report.seed, b->ring_bytes, b->pool,
                         &tensors, error));
  pfl_status status = gate_create(&tensors, b->pool, &gate, error);
  if (status == PFL_STATUS_OK) {
    for (int i = 0; i < b->report.thread_count && status == PFL_STATUS_OK; i++)
      status = add_row(b, &b->lanes[i], &tensors, &gate, all, error);
    gate_release(&gate);
  }
  tensors_release(&tensors);
  return status;
}

static pfl_status run_suite(bench *b, pfl_error *error) {
  bench_report *r = &b->report;
  int64_t workloads = 0;
  while (bench_workload_get(r->suite, workloads)) workloads++;
  int64_t all = workloads * r->thread_count;
  r->rows = calloc((size_t)all, sizeof *r->rows);
  if (!r->rows) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the rows");
  b->started = machine_now();
  double stolen = machine_stolen();
  machine_utc(r->start);
  tell_start(b, all);
  for (int64_t i = 0; i < workloads; i++)
    PFL_TRY(run_workload(b, bench_workload_get(r->suite, i), all, error));
  machine_utc(r->end);
  r->seconds = machine_now() - b->started;
  r->stolen = machine_stolen() - stolen;
  return PFL_STATUS_OK;
}

/* ---- Before and after -------------------------------------------------- */

/* Finds out whether a report can be written before anything is measured. */
static pfl_status try_path(const char *path, pfl_error *error) {
  if (!path) return PFL_STATUS_OK;
  base_output output;
  PFL_TRY(base_output_begin(path, &output, error));
  pfl_status status = base_output_end(&output, PFL_STATUS_CANCELLED, NULL);
  (void)status; /* CANCELLED: it leaves no trace */
  return PFL_STATUS_OK;
}

static pfl_status check_options(const bench_options *options,
                                pfl_error *error) {
  const char *suite = options->suite;
  if (suite && bench_suite_find(suite) == BENCH_SUITE_COUNT)
    PFL_RAISE(error, INVALID_ARGUMENT, "no suite is called %s", suite);
  if (options->threads < 0 || options->threads > BASE_THREADS_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "threads is %d, must be 0 to %d",
              options->threads, BASE_THREADS_MAX);
  for (int i = 0; i < options->peer_count; i++)
    if (!peer_is_known(options->peers[i]))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "no peer is called %s, and it is no path (with a '/')",
                options->peers[i]);
  PFL_TRY(try_path(options->json_path, error));
  return try_path(options->html_path, error);
}

static pfl_status make_directory(bench *b, pfl_error *error) {
  const char *parent = getenv("TMPDIR");
  int length = snprintf(b->directory, sizeof b->directory, "%s/pflash-XXXXXX",
                        parent && *parent ? parent : "/tmp");
  if (length < (int)sizeof b->directory && mkdtemp(b->directory))
    return PFL_STATUS_OK;
  b->directory[0] = 0;
  PFL_RAISE(error, UNAVAILABLE, "no temporary directory in %s: %s",
            parent ? parent : "/tmp", strerror(errno));
}

static pfl_status prepare(bench *b, pfl_error *error) {
  static const pfl_allocator allocator = {0};
  const bench_options *o = b->options;
  bench_report *r = &b->report;
  PFL_TRY(check_options(o, error));
  r->suite = bench_suite_find(o->suite ? o->suite : "quick");
  r->effort = bench_suite_effort(r->suite);
  r->seed = o->seed ? o->seed : 1;
  r->side_count = 1 + o->peer_count;
  machine_describe(&r->machine);
  int32_t cpus = base_cpu_count();
  r->threads[r->thread_count++] = o->threads ? o->threads : 1;
  if (!o->threads && cpus > 1) r->threads[r->thread_count++] = cpus;
  /* four times the caches, but no more than a quarter of the memory */
  b->ring_bytes = r->effort.ring_bytes
                      ? base_max(r->effort.ring_bytes,
                                 base_min(4 * r->machine.cache_bytes,
                                          r->machine.memory_bytes / 4))
                      : 0;
  PFL_TRY(base_threads_create(&allocator, cpus, &b->pool, error));
  if (o->peer_count) PFL_TRY(make_directory(b, error));
  for (int i = 0; i < r->thread_count; i++)
    PFL_TRY(lane_open(&b->lanes[i], o, r->threads[i], b->directory, error));
  r->isa = pfl_context_isa(b->lanes[0].context);
  return PFL_STATUS_OK;
}

static void clean_up(bench *b) {
  for (int i = 0; i < 2; i++) lane_close(&b->lanes[i]);
  base_threads_destroy(b->pool);
  for (int64_t i = 0; i < b->report.row_count; i++)
    report_row_release(&b->report.rows[i], b->report.side_count);
  free(b->report.rows);
  if (*b->directory) rmdir(b->directory);
}

typedef pfl_status report_form(const bench_report *report, base_text *out_text,
                               pfl_error *error);

static pfl_status write_report(const bench_report *report, report_form *form,
                               const char *path, pfl_error *error) {
  if (!path) return PFL_STATUS_OK;
  base_text text = {0};
  base_output output;
  pfl_status status = form(report, &text, error);
  if (status == PFL_STATUS_OK) status = base_output_begin(path, &output, error);
  if (status == PFL_STATUS_OK) {
    status = base_output_write(&output, base_text_get(&text),
                               (int64_t)text.length, error);
    status = base_output_end(&output, status, error);
  }
  base_text_release(&text);
  return status;
}

static pfl_status tell_results(const bench *b, pfl_error *error) {
  const bench_report *r = &b->report;
  if (b->options->results) PFL_TRY(report_text(r, b->options->results, error));
  PFL_TRY(write_report(r, report_json, b->options->json_path, error));
  PFL_TRY(write_report(r, report_html, b->options->html_path, error));
  int64_t failed = 0;
  for (int64_t i = 0; i < r->row_count; i++)
    failed += !r->rows[i].sides[0].verdict.passed;
  if (failed)
    PFL_RAISE(error, INTERNAL,
              "the error of %lld of %lld rows is beyond the tolerance",
              (long long)failed, (long long)r->row_count);
  return PFL_STATUS_OK;
}

pfl_status bench_run(const bench_options *options, pfl_error *error) {
  bench b = {.options = options, .report.options = options};
  pfl_status status = prepare(&b, error);
  if (status == PFL_STATUS_OK) status = run_suite(&b, error);
  if (status == PFL_STATUS_OK) status = tell_results(&b, error);
  clean_up(&b);
  return status;
}

void bench_list(FILE *out) {
#define SUITE_LINES(id, text, what)                                    \
  fprintf(out, "suite %-6s %s\n", text, what);                         \
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_##id, i); i++) {  \
    const bench_workload *w = bench_workload_get(BENCH_SUITE_##id, i); \
    char title[BENCH_TITLE_SIZE];                                      \
    fprintf(out, "  %-24s %s\n", bench_workload_title(w, title),       \
            bench_workload_dtype(w));                                  \
  }
  BENCH_SUITE_LIST(SUITE_LINES)
#undef SUITE_LINES
#define PEER_LINE(id, text, script, what) \
  fprintf(out, "peer %-7s %s\n", text, what);
  BENCH_PEER_LIST(PEER_LINE)
#undef PEER_LINE
}
