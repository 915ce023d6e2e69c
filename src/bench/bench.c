/* Runs a suite and tells what it found. */
#include "bench/bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/compare.h"
#include "bench/estimate.h"
#include "bench/report_write.h"
#include "bench/suite.h"

enum { LANES_MAX = 2, PATH_SIZE = 160 };

typedef struct bench {
  const bench_options *options;
  bench_report report;
  bench_lane lanes[LANES_MAX];
  suite_run run;
  base_text identity;           /* for the journal */
  char directory[PATH_SIZE];    /* for the peers' files; "": none was made */
  char journal[PATH_SIZE + 16]; /* of our own, in it; "": none */
} bench;

/* ---- Before ------------------------------------------------------------ */

static report_paths paths_of(const bench_options *o) {
  return (report_paths){o->json_path, o->html_path, o->csv_path};
}

static report_sources sources_of(const bench_options *o) {
  return (report_sources){o->data, o->prices, o->plan, o->given,
                          o->given_count};
}

static pfl_status check_processes(const bench_options *o, pfl_error *error) {
  if (o->processes < 0 || o->processes > REPORT_PROCESSES_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "processes is %d, must be 0 to %d",
              o->processes, REPORT_PROCESSES_MAX);
  if (o->process < 0 || o->process > base_max(1, o->processes))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "process is %d, must be one of the %d processes", o->process,
              o->processes);
  if (o->process && !o->journal_path)
    PFL_RAISE(error, INVALID_ARGUMENT, "process %d needs a journal",
              o->process);
  if (o->processes > 1 && !o->process && !o->self)
    PFL_RAISE(error, INVALID_ARGUMENT, "%d processes need a command to run",
              o->processes);
  return PFL_STATUS_OK;
}

static pfl_status check_options(const bench_options *options,
                                pfl_error *error) {
  const char *suite = options->suite;
  if (suite && bench_suite_find(suite) == BENCH_SUITE_COUNT)
    PFL_RAISE(error, INVALID_ARGUMENT, "no suite is called %s", suite);
  forecast_cell cell;
  bench_suite found = bench_suite_find(suite ? suite : "quick");
  if (options->part == BENCH_PART_PREDICTED &&
      !forecast_cell_get(found, 0, &cell))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "the suite %s predicts no kernels alone: training, decode and "
              "full do",
              bench_suite_name(found));
  if (options->threads < 0 || options->threads > BASE_THREADS_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT, "threads is %d, must be 0 to %d",
              options->threads, BASE_THREADS_MAX);
  for (int i = 0; i < options->peer_count; i++)
    if (!peer_is_known(options->peers[i]))
      PFL_RAISE(error, INVALID_ARGUMENT,
                "no peer is called %s, and it is no path (with a '/')",
                options->peers[i]);
  PFL_TRY(check_processes(options, error));
  const report_paths paths = paths_of(options);
  return report_try_paths(&paths, error);
}

static pfl_status make_directory(bench *b, pfl_error *error) {
  const char *parent = getenv("TMPDIR");
  int length = snprintf(b->directory, sizeof b->directory, "%s/pflash-XXXXXX",
                        parent && *parent ? parent : "/tmp");
  if (length < PATH_SIZE && mkdtemp(b->directory)) return PFL_STATUS_OK;
  b->directory[0] = 0;
  PFL_RAISE(error, UNAVAILABLE, "no temporary directory in %s: %s",
            parent ? parent : "/tmp", strerror(errno));
}

#define COPY(field, text) snprintf(field, sizeof field, "%s", text)

static pfl_status fill_manifest(bench *b, pfl_error *error) {
  const bench_options *o = b->options;
  report_manifest *m = &b->report.manifest;
  COPY(m->version, pfl_version());
  COPY(m->commit, machine_commit());
  COPY(m->compiler, machine_compiler());
  COPY(m->compiler_flags, machine_compiler_flags());
  COPY(m->suite, bench_suite_name(b->run.suite));
  m->seed = o->seed ? o->seed : 1;
  m->processes = o->processes ? o->processes : 1;
  machine_describe(&m->machine);
  machine_utc(m->start);
  m->effort = bench_suite_effort(b->run.suite);
  m->effort.least_seconds = RESOLUTIONS_LEAST * m->machine.clock_resolution;
  if (o->command && !(m->command = strdup(o->command)))
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the command line");
  return PFL_STATUS_OK;
}

/* What rows of one run have in common. */
static pfl_status make_identity(bench *b, pfl_error *error) {
  const report_manifest *m = &b->report.manifest;
  json_writer json = {.text = &b->identity};
  json_begin_object(&json, NULL);
  json_write_int64(&json, "schema", REPORT_SCHEMA_VERSION);
  json_write_string(&json, "version", m->version);
  json_write_string(&json, "commit", m->commit);
  json_write_string(&json, "compiler", m->compiler);
  json_write_string(&json, "compiler_flags", m->compiler_flags);
  json_write_string(&json, "suite", m->suite);
  json_write_int64(&json, "seed", (int64_t)m->seed);
  json_write_string(&json, "isa", m->isa);
  json_write_int64(&json, "threads", b->options->threads);
  json_write_int64(&json, "processes", m->processes);
  json_write_string(&json, "cpu", m->machine.cpu);
  json_write_int64(&json, "cpus", m->machine.cpus);
  json_write_string(&json, "anchors",
                    b->report.economy.catalog.tables[CATALOG_ANCHORS].hash);
  json_begin_array(&json, "peers");
  for (int i = 0; i < b->options->peer_count; i++)
    json_write_string(&json, NULL, b->options->peers[i]);
  json_end(&json);
  json_end(&json);
  return base_text_check(&b->identity, error);
}

static pfl_status open_lanes(bench *b, pfl_error *error) {
  static const pfl_allocator allocator = {0};
  const bench_options *o = b->options;
  report_manifest *m = &b->report.manifest;
  int32_t cpus = base_cpu_count();
  int32_t threads[LANES_MAX] = {o->threads ? o->threads : 1, cpus};
  int count = !o->threads && cpus > 1 ? 2 : 1;
  PFL_TRY(base_threads_create(&allocator, cpus, &b->run.pool, error));
  PFL_TRY(make_directory(b, error));
  for (int i = 0; i < count; i++) {
    b->run.lane_count = 1 + i; /* what is to be closed */
    PFL_TRY(lane_open(&b->lanes[i], o, threads[i], b->directory, error));
    m->dispatch_seconds =
        fmax(m->dispatch_seconds, b->lanes[i].dispatch_seconds);
  }
  COPY(m->isa, pfl_isa_name(pfl_context_isa(b->lanes[0].context)));
  return PFL_STATUS_OK;
}

static pfl_status prepare(bench *b, pfl_error *error) {
  const bench_options *o = b->options;
  PFL_TRY(check_options(o, error));
  b->run = (suite_run){.options = o,
                       .suite = bench_suite_find(o->suite ? o->suite : "quick"),
                       .report = &b->report,
                       .lanes = b->lanes};
  b->report.side_count = 1 + o->peer_count;
  PFL_TRY(fill_manifest(b, error));
  const report_manifest *m = &b->report.manifest;
  /* four times the caches, but no more than a quarter of the memory */
  if (m->effort.ring_bytes)
    b->run.ring_bytes = base_max(
        m->effort.ring_bytes,
        base_min(4 * m->machine.cache_bytes, m->machine.memory_bytes / 4));
  PFL_TRY(open_lanes(b, error));
  if (o->part != BENCH_PART_MEASURED) {
    bench_economy *economy = &b->report.economy;
    const report_sources sources = sources_of(o);
    PFL_TRY(report_open_economy(&sources, &b->report, error));
    if (o->part != BENCH_PART_PREDICTED) estimate_name_devices(economy);
  }
  return make_identity(b, error);
}

static void clean_up(bench *b) {
  for (int i = 0; i < b->run.lane_count; i++) lane_close(&b->lanes[i]);
  base_threads_destroy(b->run.pool);
  report_release(&b->report);
  base_text_release(&b->identity);
  if (*b->journal) unlink(b->journal);
  if (*b->directory) rmdir(b->directory);
}

/* ---- Measuring --------------------------------------------------------- */

/* The journal, ours if the caller has none but one is needed; NULL: none. */
static const char *journal_of(bench *b) {
  if (b->options->journal_path) return b->options->journal_path;
  if (b->report.manifest.processes == 1) return NULL;
  snprintf(b->journal, sizeof b->journal, "%s/journal", b->directory);
  return b->journal;
}

/* Opens the journal, if there is one, in place of what the report has so far.
 */
static pfl_status load_journal(bench *b, const char *path,
                               bench_journal *journal, pfl_error *error) {
  bench_report *r = &b->report;
  b->run.journal = NULL;
  if (!path) return PFL_STATUS_OK;
  for (int64_t i = 0; i < r->row_count; i++)
    report_row_release(&r->rows[i], r->side_count);
  r->row_count = r->manifest.resumed = 0;
  PFL_TRY(journal_open(path, base_text_get(&b->identity), r, journal, error));
  b->run.journal = journal;
  return PFL_STATUS_OK;
}

static void unload_journal(bench *b) {
  if (b->run.journal) journal_close(b->run.journal);
  b->run.journal = NULL;
}

static bool is_unfinished(const bench *b) {
  for (int32_t p = 0; p < b->report.manifest.processes; p++)
    if (suite_missing(&b->run, p)) return true;
  return false;
}

/* Each process has the journal to itself while it measures. */
static pfl_status measure_apart(bench *b, const char *path,
                                bench_journal *journal, pfl_error *error) {
  for (int32_t p = 0; p < b->report.manifest.processes; p++) {
    if (!suite_missing(&b->run, p)) continue;
    unload_journal(b);
    PFL_TRY(suite_spawn(&b->run, p, path, error));
    PFL_TRY(load_journal(b, path, journal, error));
  }
  return PFL_STATUS_OK;
}

static pfl_status measure_all(bench *b, const char *path,
                              bench_journal *journal, pfl_error *error) {
  bench_report *r = &b->report;
  if (b->options->process)
    return suite_measure(&b->run, b->options->process - 1, error);
  if (b->run.journal && r->row_count && is_unfinished(b))
    PFL_TRY(journal_resume(journal, r, error));
  return r->manifest.processes > 1 ? measure_apart(b, path, journal, error)
                                   : suite_measure(&b->run, 0, error);
}

static pfl_status estimate(bench *b, pfl_error *error) {
  estimate_run run = {b->run.suite, &b->report, b->run.journal, b->directory,
                      b->options->talk};
  if (b->options->part != BENCH_PART_PREDICTED)
    PFL_TRY(estimate_all(&run, error));
  return forecast_all(run.suite, &b->report.economy.catalog, run.directory,
                      run.talk, &b->report.forecast, error);
}

static pfl_status measure(bench *b, pfl_error *error) {
  const bench_options *o = b->options;
  bench_journal journal;
  const char *path = journal_of(b);
  pfl_status status = load_journal(b, path, &journal, error);
  if (status == PFL_STATUS_OK && o->part <= BENCH_PART_MEASURED)
    status = measure_all(b, path, &journal, error);
  if (status == PFL_STATUS_OK && o->part != BENCH_PART_MEASURED && !o->process)
    status = estimate(b, error);
  unload_journal(b);
  PFL_TRY(status);
  machine_utc(b->report.manifest.end);
  return report_finish(&b->report, error);
}

/* ---- After ------------------------------------------------------------- */

static pfl_status tell_results(const bench *b, pfl_error *error) {
  const bench_report *r = &b->report;
  if (b->options->results) PFL_TRY(report_text(r, b->options->results, error));
  const report_paths paths = paths_of(b->options);
  PFL_TRY(report_write(r, &paths, error));
  int64_t failed = 0;
  for (int64_t i = 0; i < r->row_count; i++)
    failed += report_side_measured(&r->rows[i].sides[0]) &&
              !r->rows[i].sides[0].verdict.passed;
  if (failed)
    PFL_RAISE(error, INTERNAL,
              "the error of %lld of %lld rows is beyond the tolerance",
              (long long)failed, (long long)r->row_count);
  return PFL_STATUS_OK;
}

pfl_status bench_run(const bench_options *options, pfl_error *error) {
  bench b = {.options = options};
  pfl_status status = prepare(&b, error);
  if (status == PFL_STATUS_OK) status = measure(&b, error);
  if (status == PFL_STATUS_OK && !options->process)
    status = tell_results(&b, error);
  clean_up(&b);
  return status;
}

/* ---- Earlier reports --------------------------------------------------- */

pfl_status bench_report_again(const char *json_path,
                              const bench_options *options, pfl_error *error) {
  const report_sources sources = sources_of(options);
  const report_paths paths = paths_of(options);
  bench_report report;
  PFL_TRY(report_read(json_path, &sources, &report, error));
  pfl_status status = PFL_STATUS_OK;
  if (options->results) status = report_text(&report, options->results, error);
  if (status == PFL_STATUS_OK) status = report_write(&report, &paths, error);
  report_release(&report);
  return status;
}

pfl_status bench_compare(const char *a, const char *b,
                         const bench_options *options, pfl_error *error) {
  const report_sources sources = sources_of(options);
  bench_comparison comparison;
  base_text text = {0};
  PFL_TRY(compare_open(a, b, &sources, &comparison, error));
  if (options->results) compare_text(&comparison, options->results);
  pfl_status status = compare_json(&comparison, &text, error);
  if (status == PFL_STATUS_OK)
    status = report_write_text(&text, options->json_path, error);
  base_text_release(&text);
  compare_close(&comparison);
  return status;
}

void bench_list(FILE *out) {
  bench_workload w;
  char name[BENCH_NAME_SIZE];
#define SUITE_LINES(id, text, what)                                     \
  fprintf(out, "suite %-8s %s\n", text, what);                          \
  for (int64_t i = 0; bench_workload_get(BENCH_SUITE_##id, i, &w); i++) \
    fprintf(out, "  %s\n", bench_workload_name(&w, name));
  BENCH_SUITE_LIST(SUITE_LINES)
#undef SUITE_LINES
#define PEER_LINE(id, text, script, what) \
  fprintf(out, "peer %-7s %s\n", text, what);
  BENCH_PEER_LIST(PEER_LINE)
#undef PEER_LINE
}
