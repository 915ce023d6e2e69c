/* What a v5e-4 would take, by the compiler's own listing and the cycle model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/predict.h"
#include "bench/provider.h"

enum { CHIPS = 4, PATH_SIZE = 320 };

typedef struct scheduler {
  bench_provider roofline; /* for what it cannot do */
  char path[PATH_SIZE];    /* where listings go */
  char compiler[128];
  pfl_error unavailable; /* status not OK: the compiler is not to be had */
} scheduler;

static void set_estimate(const bench_provider *provider,
                         const bench_prediction *prediction,
                         bench_estimate *e) {
  const catalog_model_error *model_error = &provider->catalog->model_error;
  double seconds = predict_seconds(prediction->cycles);
  e->evidence = BENCH_EVIDENCE_PREDICTED;
  e->seconds = quantity_widen(quantity_point(seconds), model_error->worst);
  snprintf(e->how, sizeof e->how,
           "%.0f cycles at %g GHz, without dispatch; give or take %.0f %%%s",
           prediction->cycles, prediction->cycles / seconds * 1e-9,
           100 * model_error->worst,
           prediction->warnings ? "; the listing is not fully understood" : "");
  if (seconds < e->bound_seconds)
    snprintf(e->reason, sizeof e->reason,
             "void: %.0f cycles are faster than the chips' peaks",
             prediction->cycles);
}

/* A chip's share of forward or backward: key-value heads, with the queries that
 * go with them, then sequences are divided among the chips while they divide.
 * The chips exchange nothing, so that the slice takes what one of them does. */
static bench_workload share(const bench_workload *whole) {
  bench_workload w = *whole;
  int chips = CHIPS;
  for (; chips > 1 && w.kv_heads % 2 == 0; chips /= 2) {
    w.kv_heads /= 2;
    w.q_heads /= 2;
  }
  for (; chips > 1 && w.batch % 2 == 0; chips /= 2) w.batch /= 2;
  return w;
}

static pfl_status predict(const bench_provider *provider,
                          const bench_workload *w, bench_estimate *e,
                          pfl_error *error) {
  scheduler *s = provider->self;
  bench_prediction prediction;
  bool together = w->op == BENCH_OP_DECODE; /* one program for all chips */
  bench_workload one = together ? *w : share(w);
  PFL_TRY(predict_workload(&one, together ? CHIPS : 1, s->path, &prediction,
                           error));
  memcpy(s->compiler, prediction.by, sizeof s->compiler);
  set_estimate(provider, &prediction, e);
  return PFL_STATUS_OK;
}

/* ---- The provider ------------------------------------------------------ */

/* The roofline in place of a prediction, and why. */
static pfl_status fall_back(const bench_provider *provider,
                            const bench_workload *workload,
                            const pfl_error *why, bench_estimate *e,
                            pfl_error *error) {
  const scheduler *s = provider->self;
  char how[PROVIDER_HOW_SIZE];
  PFL_TRY(s->roofline.estimate(&s->roofline, workload, e, error));
  memcpy(how, e->how, sizeof how);
  snprintf(e->how, sizeof e->how, "%.60s; not predicted: %.110s", how,
           why->message);
  return PFL_STATUS_OK;
}

static pfl_status estimate(const bench_provider *provider,
                           const bench_workload *workload,
                           bench_estimate *out_estimate, pfl_error *error) {
  scheduler *s = provider->self;
  pfl_error why = {0};
  *out_estimate = (bench_estimate){.evidence = BENCH_EVIDENCE_PREDICTED};
  if (!provider_set_bound(provider, workload, out_estimate))
    return PFL_STATUS_OK;
  if (s->unavailable.status != PFL_STATUS_OK)
    return fall_back(provider, workload, &s->unavailable, out_estimate, error);
  pfl_status status = predict(provider, workload, out_estimate, &why);
  if (status == PFL_STATUS_OK) return PFL_STATUS_OK;
  if (status == PFL_STATUS_NOT_FOUND) s->unavailable = why; /* for all others */
  return fall_back(provider, workload, &why, out_estimate, error);
}

static void close_scheduler(bench_provider *provider) { free(provider->self); }

const char *provider_schedule_compiler(const bench_provider *provider) {
  const scheduler *s = provider->self;
  return s->compiler;
}

pfl_status provider_schedule(const bench_catalog *catalog,
                             const char *directory,
                             bench_provider *out_provider, pfl_error *error) {
  economics_unit unit = {"v5e", CHIPS};
  scheduler *s = calloc(1, sizeof *s);
  if (!s) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a provider");
  pfl_status status = provider_roofline(catalog, unit, &s->roofline, error);
  if (status == PFL_STATUS_OK &&
      snprintf(s->path, PATH_SIZE, "%s", directory) >= PATH_SIZE)
    status = base_error_set(error, PFL_STATUS_INVALID_ARGUMENT,
                            "the path of %s is too long", directory);
  if (status != PFL_STATUS_OK) {
    free(s);
    return status;
  }
  *out_provider = s->roofline;
  out_provider->self = s;
  out_provider->estimate = estimate;
  out_provider->close = close_scheduler;
  return PFL_STATUS_OK;
}
