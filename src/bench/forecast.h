/* What the kernels take on a v5e: fixed cells of one chip, or of the four of a
 * slice, predicted for this build and, where JAX is there, for the kernels that
 * JAX has, compiled by the same compiler and held against the same clock. All
 * of it is class B. */
#ifndef PFL_BENCH_FORECAST_H
#define PFL_BENCH_FORECAST_H

#include "base/json.h"
#include "bench/catalog.h"
#include "bench/economics.h"
#include "bench/predict.h"

enum { FORECAST_SIDES_MAX = 4, FORECAST_TITLE_SIZE = 64 };

/* We, or one of JAX's kernels in the best of the ways that were tried. */
typedef struct forecast_side {
  char title[FORECAST_TITLE_SIZE]; /* "splash 1024-1024-512": kernel, blocks */
  char reason[PFL_MESSAGE_SIZE];   /* why there is none; "": there is */
  double cycles, kernel_cycles;    /* bench_prediction */
  int64_t warnings;
} forecast_side;

typedef struct forecast_cell {
  bench_workload workload;
  int chips;
  bench_bound bound;
  double bound_seconds; /* at the peaks of the chips (rule 42) */
  int side_count;
  forecast_side sides[FORECAST_SIDES_MAX]; /* ours is the first */
} forecast_cell;

typedef struct bench_forecast {
  int64_t cell_count; /* 0: the report has no such part */
  forecast_cell *cells;
  double model_error; /* the worst on what others measured (rule 3) */
  char compiler[128]; /* its version */
  char peers[64];     /* "jax 0.10.2"; "": there are none */
  char peers_reason[PFL_MESSAGE_SIZE]; /* why not */
} bench_forecast;

/* The n-th cell of a suite, counted from 0, without its sides; false after the
 * last. */
bool forecast_cell_get(bench_suite suite, int64_t n, forecast_cell *out_cell);

/* Predicts all cells of a suite. What cannot be had is a side with its reason.
 * Listings go to directories of their own in `directory`; progress to `talk`
 * (NULL: none). RESOURCE_EXHAUSTED. */
PFL_NODISCARD pfl_status forecast_all(bench_suite suite,
                                      const bench_catalog *catalog,
                                      const char *directory, FILE *talk,
                                      bench_forecast *out_forecast,
                                      pfl_error *error);
void forecast_release(bench_forecast *forecast);

/* A cell without sides, at the end; NULL without memory. */
forecast_cell *forecast_add_cell(bench_forecast *forecast);

/* ---- What follows from it ---------------------------------------------- */

bool forecast_side_there(const forecast_side *side);

/* Of a kind "splash", "paged": the first word of a side's title. */
int forecast_side_kind(const forecast_side *side);

/* The peer with the fewest cycles; NULL: there is none. */
const forecast_side *forecast_best_peer(const forecast_cell *cell);

/* Useful FLOPs as a part of what the chips could do in those cycles. */
double forecast_utilisation(const forecast_cell *cell, double cycles);

/* The cell that is the same but for its window, which it has not; NULL. */
const forecast_cell *forecast_unwindowed(const bench_forecast *forecast,
                                         const forecast_cell *cell);

/* "forward causal 4096 32/8x128": the title, heads and their dimension. */
const char *forecast_cell_name(const forecast_cell *cell,
                               char buffer[BENCH_NAME_SIZE]);

/* ---- Its forms ----------------------------------------------------------- */

/* Tables of 80 columns. */
void forecast_text(const bench_forecast *forecast, FILE *out);
/* A member "forecast"; null where there is none. */
void forecast_write(json_writer *json, const bench_forecast *forecast);
/* The opposite; NULL and null are none. INVALID_ARGUMENT, RESOURCE_EXHAUSTED.
 */
PFL_NODISCARD pfl_status forecast_read(const json_value *value,
                                       bench_forecast *out_forecast,
                                       pfl_error *error);

#endif
