/* The cells, and predicting them. */
#include "bench/forecast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/forecast_peers.h"
#include "bench/provider.h"

/* ---- Cells ------------------------------------------------------------- */

enum {
  TRAINING = 1u << BENCH_SUITE_TRAINING | 1u << BENCH_SUITE_FULL,
  DECODE = 1u << BENCH_SUITE_DECODE | 1u << BENCH_SUITE_FULL
};

#define CELL(op, q_heads, kv_heads, length, dim, causal, window) \
  {                                                              \
    {"",                                                         \
     1,                                                          \
     BENCH_OP_##op,                                              \
     1,                                                          \
     q_heads,                                                    \
     kv_heads,                                                   \
     length,                                                     \
     length,                                                     \
     dim,                                                        \
     causal,                                                     \
     window,                                                     \
     0,                                                          \
     false,                                                      \
     PFL_DTYPE_BF16,                                             \
     PFL_DTYPE_BF16,                                             \
     TRAINING,                                                   \
     0},                                                         \
        1                                                        \
  }
#define CACHE(length, dtype, page, chips) \
  {                                       \
    {"",                                  \
     1,                                   \
     BENCH_OP_DECODE,                     \
     1,                                   \
     32,                                  \
     8,                                   \
     1,                                   \
     length,                              \
     128,                                 \
     false,                               \
     0,                                   \
     0,                                   \
     false,                               \
     PFL_DTYPE_BF16,                      \
     PFL_DTYPE_##dtype,                   \
     DECODE,                              \
     page},                               \
        chips                             \
  }
#define CACHES(length, dtype, page) \
  CACHE(length, dtype, page, 1), CACHE(length, dtype, page, 4)

static const struct {
  bench_workload workload;
  int chips;
} cells[] = {
    CELL(FORWARD, 8, 8, 4096, 128, false, 0),
    CELL(FORWARD, 8, 8, 8192, 128, false, 0),
    CELL(FORWARD, 8, 8, 4096, 128, true, 0),
    CELL(FORWARD, 8, 8, 8192, 128, true, 0),
    CELL(FORWARD, 32, 8, 4096, 128, true, 0),
    CELL(FORWARD, 32, 8, 8192, 128, true, 0),
    CELL(BACKWARD, 8, 8, 4096, 128, true, 0),
    CELL(BACKWARD, 8, 8, 8192, 128, true, 0),
    CELL(BACKWARD, 8, 8, 4096, 128, false, 0),
    CELL(FORWARD, 8, 8, 4096, 64, false, 0),
    CELL(FORWARD, 8, 8, 4096, 64, true, 0),
    CELL(BACKWARD, 8, 8, 4096, 64, false, 0),
    CELL(BACKWARD, 8, 8, 4096, 64, true, 0),
    CELL(FORWARD, 8, 8, 8192, 128, true, 1024),
    CELL(FORWARD, 8, 8, 32768, 128, false, 0),
    CELL(FORWARD, 8, 8, 32768, 128, true, 0),
    CACHES(8192, BF16, 0),
    CACHES(32768, BF16, 0),
    CACHES(131072, BF16, 0),
    CACHES(8192, I8, 0),
    CACHES(32768, I8, 0),
    CACHES(8192, BF16, 64),
    CACHES(8192, BF16, 16),
};
enum { CELLS = sizeof cells / sizeof *cells };

bool forecast_cell_get(bench_suite suite, int64_t n, forecast_cell *out_cell) {
  for (int i = 0; i < CELLS; i++) {
    if (!(cells[i].workload.suites >> suite & 1) || n-- > 0) continue;
    *out_cell =
        (forecast_cell){.workload = cells[i].workload, .chips = cells[i].chips};
    return true;
  }
  return false;
}

forecast_cell *forecast_add_cell(bench_forecast *forecast) {
  size_t count = (size_t)forecast->cell_count + 1;
  forecast_cell *grown =
      realloc(forecast->cells, count * sizeof *forecast->cells);
  if (!grown) return NULL;
  forecast->cells = grown;
  forecast_cell *cell = &grown[forecast->cell_count++];
  *cell = (forecast_cell){.chips = 1};
  return cell;
}

void forecast_release(bench_forecast *forecast) {
  free(forecast->cells);
  *forecast = (bench_forecast){0};
}

/* ---- What follows from it ---------------------------------------------- */

bool forecast_side_there(const forecast_side *side) { return !*side->reason; }

int forecast_side_kind(const forecast_side *side) {
  return (int)strcspn(side->title, " ");
}

const forecast_side *forecast_best_peer(const forecast_cell *cell) {
  const forecast_side *best = NULL;
  for (int i = 1; i < cell->side_count; i++) {
    const forecast_side *side = &cell->sides[i];
    if (forecast_side_there(side) && (!best || side->cycles < best->cycles))
      best = side;
  }
  return best;
}

double forecast_utilisation(const forecast_cell *cell, double cycles) {
  return bench_workload_flops(&cell->workload) /
         (cycles * PREDICT_FLOPS_PER_CYCLE * cell->chips);
}

const forecast_cell *forecast_unwindowed(const bench_forecast *forecast,
                                         const forecast_cell *cell) {
  bench_workload whole = cell->workload;
  whole.window = 0;
  for (int64_t i = 0; cell->workload.window && i < forecast->cell_count; i++)
    if (forecast->cells[i].chips == cell->chips &&
        bench_workload_equal(&forecast->cells[i].workload, &whole))
      return &forecast->cells[i];
  return NULL;
}

const char *forecast_cell_name(const forecast_cell *cell,
                               char buffer[BENCH_NAME_SIZE]) {
  const bench_workload *w = &cell->workload;
  char title[BENCH_TITLE_SIZE], heads[32] = "";
  bench_workload_title(w, title);
  if (w->q_heads != w->kv_heads)
    snprintf(heads, sizeof heads, "/%lld", (long long)w->kv_heads);
  snprintf(buffer, BENCH_NAME_SIZE, "%s %lld%sx%lld", title,
           (long long)w->q_heads, heads, (long long)w->head_dim);
  return buffer;
}

/* ---- Predicting -------------------------------------------------------- */

typedef struct forecast_run {
  const bench_catalog *catalog;
  const char *directory;
  FILE *talk;
  bench_forecast *forecast;
  forecast_peers *peers; /* NULL: none */
} forecast_run;

/* Rule 42. */
static pfl_status set_bound(const forecast_run *run, forecast_cell *cell,
                            pfl_error *error) {
  bench_provider provider;
  bench_estimate estimate = {.reason = ""};
  const economics_unit unit = {"v5e", cell->chips};
  PFL_TRY(provider_roofline(run->catalog, unit, &provider, error));
  if (provider_set_bound(&provider, &cell->workload, &estimate)) {
    cell->bound = estimate.bound;
    cell->bound_seconds = estimate.bound_seconds;
  }
  provider_close(&provider);
  return PFL_STATUS_OK;
}

static void void_if_too_fast(const forecast_cell *cell, forecast_side *side) {
  if (forecast_side_there(side) &&
      predict_seconds(side->cycles) < cell->bound_seconds)
    snprintf(side->reason, sizeof side->reason,
             "void: %.0f cycles are faster than the chips' peaks",
             side->cycles);
}

static void predict_ours(const forecast_run *run, forecast_cell *cell) {
  forecast_side *ours = &cell->sides[0];
  bench_prediction p;
  pfl_error why = {0};
  cell->side_count = 1;
  snprintf(ours->title, sizeof ours->title, "pallas-flash %s", pfl_version());
  if (predict_workload(&cell->workload, cell->chips, run->directory, &p,
                       &why)) {
    snprintf(ours->reason, sizeof ours->reason, "%s", why.message);
    return;
  }
  ours->cycles = p.cycles;
  ours->kernel_cycles = p.kernel_cycles;
  ours->warnings = p.warnings;
  memcpy(run->forecast->compiler, p.by, sizeof p.by);
}

static void tell(const forecast_run *run, const forecast_cell *cell) {
  char name[BENCH_NAME_SIZE];
  if (!run->talk) return;
  fprintf(run->talk, "bench: v5e x%d: %s", cell->chips,
          forecast_cell_name(cell, name));
  for (int i = 0; i < cell->side_count; i++) {
    const forecast_side *side = &cell->sides[i];
    if (forecast_side_there(side))
      fprintf(run->talk, ", %s %.1f us", i ? side->title : "ours",
              predict_seconds(side->cycles) * 1e6);
    else
      fprintf(run->talk, ", %s: %.100s", i ? side->title : "ours",
              side->reason);
  }
  fputc('\n', run->talk);
  fflush(run->talk);
}

static pfl_status predict_cell(forecast_run *run, const forecast_cell *asked,
                               pfl_error *error) {
  forecast_cell *cell = forecast_add_cell(run->forecast);
  if (!cell) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cell");
  *cell = *asked;
  PFL_TRY(set_bound(run, cell, error));
  predict_ours(run, cell);
  if (run->peers) forecast_peers_predict(run->peers, cell);
  for (int i = 0; i < cell->side_count; i++)
    void_if_too_fast(cell, &cell->sides[i]);
  tell(run, cell);
  return PFL_STATUS_OK;
}

/* Peers that cannot be had are no error. */
static void open_peers(forecast_run *run) {
  bench_forecast *f = run->forecast;
  pfl_error why = {0};
  if (forecast_peers_open(run->directory, &run->peers, f->peers,
                          sizeof f->peers, &why)) {
    snprintf(f->peers_reason, sizeof f->peers_reason, "%s", why.message);
    if (run->talk)
      fprintf(run->talk, "bench: JAX's kernels skipped: %s\n", why.message);
  }
}

pfl_status forecast_all(bench_suite suite, const bench_catalog *catalog,
                        const char *directory, FILE *talk,
                        bench_forecast *out_forecast, pfl_error *error) {
  forecast_run run = {catalog, directory, talk, out_forecast, NULL};
  forecast_cell cell;
  *out_forecast = (bench_forecast){.model_error = catalog->model_error.worst};
  if (!forecast_cell_get(suite, 0, &cell)) return PFL_STATUS_OK;
  open_peers(&run);
  pfl_status status = PFL_STATUS_OK;
  for (int64_t n = 0; !status && forecast_cell_get(suite, n, &cell); n++)
    status = predict_cell(&run, &cell, error);
  forecast_peers_close(run.peers);
  return status;
}
