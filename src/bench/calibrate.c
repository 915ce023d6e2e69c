/* Probes, and what becomes of their times. */
#include "bench/calibrate.h"

#include <stdlib.h>

#include "bench/report_write.h"
#include "schedule/schedule_calibrate.h"

static const pfl_allocator heap;

/* ---- Probes -------------------------------------------------------------- */

/* X(what it tells of, chips, op, batch, query heads, key-value heads, queries,
 * keys, head dimension). */
#define CASE_LIST(X)                                              \
  X("handing a program over", 1, FORWARD, 1, 1, 1, 128, 128, 128) \
  X("the clock", 1, FORWARD, 1, 8, 8, 4096, 4096, 128)            \
  X("latency of HBM", 1, DECODE, 32, 32, 8, 1, 128, 128)          \
  X("latency of HBM", 1, DECODE, 1, 32, 8, 1, 2048, 128)          \
  X("rate of HBM", 1, DECODE, 1, 32, 8, 1, 8192, 128)             \
  X("rate of HBM", 1, DECODE, 2, 32, 8, 1, 32768, 128)            \
  X("launch on four chips", 4, DECODE, 1, 32, 8, 1, 512, 128)     \
  X("hops, with an exchange", 4, DECODE, 1, 32, 1, 1, 2048, 128)  \
  X("rate of links, with an exchange", 4, DECODE, 64, 64, 1, 1, 512, 256)

static const calibrate_case cases[] = {
#define CASE_ROW(what, n, kind, B, Hq, Hkv, Sq, Sk, D)        \
  {.tells = what,                                             \
   .chips = n,                                                \
   .workload = {.model = "",                                  \
                .layers = 1,                                  \
                .op = BENCH_OP_##kind,                        \
                .batch = B,                                   \
                .q_heads = Hq,                                \
                .kv_heads = Hkv,                              \
                .q_length = Sq,                               \
                .kv_length = Sk,                              \
                .head_dim = D,                                \
                .causal = BENCH_OP_##kind == BENCH_OP_DECODE, \
                .dtype = PFL_DTYPE_BF16,                      \
                .cache_dtype = PFL_DTYPE_BF16}},
    CASE_LIST(CASE_ROW)
#undef CASE_ROW
};
enum { CASES = sizeof cases / sizeof *cases };

bool calibrate_case_get(int64_t n, calibrate_case *out_case) {
  if (n < 0 || n >= CASES) return false;
  *out_case = cases[n];
  return true;
}

/* ---- Rows ---------------------------------------------------------------- */

typedef struct calibration {
  predict_loaded loaded[CASES];
  char names[CASES][BENCH_TITLE_SIZE + 16];
  schedule_probe probes[CASES];
  int64_t count;
} calibration;

static void name_probe(calibration *c, const calibrate_case *probe) {
  char title[BENCH_TITLE_SIZE];
  snprintf(c->names[c->count], sizeof c->names[0], "%s on %d",
           bench_workload_title(&probe->workload, title), probe->chips);
}

static pfl_status add_probe(calibration *c, const calibrate_device *device,
                            const calibrate_case *probe, const char *directory,
                            pfl_error *error) {
  double us;
  name_probe(c, probe);
  predict_loaded *loaded = &c->loaded[c->count];
  PFL_TRY(
      predict_load(&probe->workload, probe->chips, directory, loaded, error));
  pfl_status status = device->measure(device->self, probe, loaded, &us, error);
  if (status != PFL_STATUS_OK) {
    predict_loaded_release(loaded);
    return status;
  }
  c->probes[c->count] =
      (schedule_probe){.name = c->names[c->count],
                       .request = predict_loaded_request(loaded),
                       .measured_us = us};
  c->count++;
  return PFL_STATUS_OK;
}

static pfl_status add_probes(calibration *c, const calibrate_device *device,
                             const char *directory, FILE *results,
                             pfl_error *error) {
  for (int i = 0; i < CASES; i++) {
    if (cases[i].chips > device->chips) continue;
    PFL_TRY(add_probe(c, device, &cases[i], directory, error));
    if (!results) continue;
    fprintf(results, "%-28s %10.1f us measured   %s\n",
            c->probes[c->count - 1].name, c->probes[c->count - 1].measured_us,
            cases[i].tells);
    fflush(results);
  }
  return PFL_STATUS_OK;
}

/* ---- What is told -------------------------------------------------------- */

static void tell(const calibration *c, const schedule_calibration *found,
                 FILE *out) {
  if (!out) return;
  fprintf(out, "\n%-28s %10s %10s %7s %10s %7s\n", "us, with dispatch",
          "measured", "before", "off", "after", "off");
  for (int64_t i = 0; i < c->count; i++) {
    const schedule_probe *p = &c->probes[i];
    fprintf(out, "%-28s %10.1f %10.1f %+6.1f%% %10.1f %+6.1f%%\n", p->name,
            p->measured_us, p->before_us,
            100 * (p->before_us / p->measured_us - 1), p->after_us,
            100 * (p->after_us / p->measured_us - 1));
  }
  const schedule_model before = schedule_model_default();
  fprintf(out, "\n%-28s %10s %10s\n", "", "before", "found");
#define TELL_NUMBER(name)                                     \
  if (found->found[SCHEDULE_CALIBRATED_##name])               \
    fprintf(out, "%-28s %10.4g %10.4g\n", #name, before.name, \
            found->model.name);                               \
  else                                                        \
    fprintf(out, "%-28s %10.4g %10s\n", #name, before.name, "not told of");
  SCHEDULE_CALIBRATED_LIST(TELL_NUMBER)
#undef TELL_NUMBER
}

static pfl_status write_file(const calibration *c,
                             const schedule_calibration *found,
                             const calibrate_device *device, const char *path,
                             pfl_error *error) {
  base_text text = {0};
  schedule_calibration_write(found, c->probes, c->count, device->name, &text);
  pfl_status status = base_text_check(&text, error);
  if (status == PFL_STATUS_OK) status = report_write_text(&text, path, error);
  base_text_release(&text);
  return status;
}

static pfl_status calibrate(calibration *c, const calibrate_device *device,
                            const char *path, const char *directory,
                            FILE *results, pfl_error *error) {
  const schedule_model start = schedule_model_default();
  schedule_calibration found;
  PFL_TRY(add_probes(c, device, directory, results, error));
  PFL_TRY(
      schedule_calibrate(c->probes, c->count, &start, &heap, &found, error));
  tell(c, &found, results);
  return write_file(c, &found, device, path, error);
}

pfl_status calibrate_with(const calibrate_device *device, const char *path,
                          const char *directory, FILE *results,
                          pfl_error *error) {
  PFL_TRY(report_try_paths(&(report_paths){.json = path}, error));
  calibration *c = calloc(1, sizeof *c);
  if (!c) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory to calibrate");
  pfl_status status = calibrate(c, device, path, directory, results, error);
  for (int64_t i = 0; i < c->count; i++) predict_loaded_release(&c->loaded[i]);
  free(c);
  return status;
}
