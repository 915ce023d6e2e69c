/* Calibrating on this machine's TPU: calls of a loaded program, timed. */
#include <stdlib.h>
#include <string.h>

#include "bench/asked.h"
#include "bench/calibrate.h"
#include "bench/statistics.h"
#include "device/device.h"
#include "sim/plugin_parts.h"

static const pfl_allocator heap;

enum { WARM = 3, RUNS = 31, TENSORS = 3 };

/* ---- Tensors ------------------------------------------------------------- */

/* Zeros: what a kernel takes does not depend on what it multiplies. */
static pfl_status make_tensor(const char *name, const bench_workload *w,
                              int64_t heads, int64_t rows, device_tensor *out,
                              pfl_error *error) {
  int64_t count = w->batch * heads * rows * w->head_dim;
  *out = (device_tensor){
      name, w->dtype, 4, {w->batch, heads, rows, w->head_dim}, NULL};
  out->data = calloc((size_t)count, pfl_dtype_size(w->dtype));
  if (!out->data)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for %s", name);
  return PFL_STATUS_OK;
}

typedef struct probe_tensors {
  device_tensor inputs[TENSORS], output;
} probe_tensors;

static pfl_status make_tensors(const bench_workload *w, probe_tensors *t,
                               pfl_error *error) {
  PFL_TRY(make_tensor("q", w, w->q_heads, w->q_length, &t->inputs[0], error));
  PFL_TRY(make_tensor("k", w, w->kv_heads, w->kv_length, &t->inputs[1], error));
  PFL_TRY(make_tensor("v", w, w->kv_heads, w->kv_length, &t->inputs[2], error));
  return make_tensor("o", w, w->q_heads, w->q_length, &t->output, error);
}

static void free_tensors(probe_tensors *t) {
  for (int i = 0; i < TENSORS; i++) free(t->inputs[i].data);
  free(t->output.data);
}

/* ---- Times --------------------------------------------------------------- */

static pfl_status time_runs(const device_slice *slice,
                            const device_program *program,
                            const probe_tensors *tensors, double *out_us,
                            pfl_error *error) {
  double us[RUNS];
  for (int i = -WARM; i < RUNS; i++) {
    device_times times;
    PFL_TRY(device_run(slice, program, tensors->inputs, TENSORS,
                       &tensors->output, 1, &times, error));
    if (i >= 0) us[i] = 1000 * times.run_ms;
  }
  *out_us = statistics_summarize(us, RUNS).median;
  return PFL_STATUS_OK;
}

pfl_status calibrate_measure(void *self, const calibrate_case *probe,
                             const predict_loaded *listing, double *out_us,
                             pfl_error *error) {
  const device_slice *slice = self;
  (void)listing;
  asked_kernel asked;
  device_program program;
  probe_tensors tensors = {0};
  PFL_TRY(asked_kernel_init(&probe->workload, probe->chips, &asked, error));
  PFL_TRY(device_prepare(slice, &asked.request, &program, error));
  pfl_status status = make_tensors(&probe->workload, &tensors, error);
  if (status == PFL_STATUS_OK)
    status = time_runs(slice, &program, &tensors, out_us, error);
  free_tensors(&tensors);
  device_program_release(slice, &program);
  return status;
}

/* ---- The device ---------------------------------------------------------- */

static pfl_status check_slice(const device_slice *slice, pfl_error *error) {
  if (!strcmp(base_text_get(&slice->client.platform), sim_platform_name))
    PFL_RAISE(
        error, FAILED_PRECONDITION,
        "%.300s simulates its chips: what a simulation takes says nothing "
        "of a chip; a calibration needs a v5e",
        base_text_get(&slice->plugin));
  if (strncmp(slice->target, "v5e:", 4))
    PFL_RAISE(error, FAILED_PRECONDITION,
              "the device is %s: must be a v5e, which the model is of",
              slice->target);
  return PFL_STATUS_OK;
}

static pfl_status calibrate_slice(device_slice *slice, const char *path,
                                  FILE *results, pfl_error *error) {
  char name[256];
  const char *folder = getenv("TMPDIR");
  PFL_TRY(check_slice(slice, error));
  snprintf(name, sizeof name, "%.20s, %.200s", slice->target,
           base_text_get(&slice->client.version));
  name[strcspn(name, "\n")] = 0;
  const calibrate_device device = {
      .name = name,
      .chips = slice->client.device_count >= 4 ? 4 : 1,
      .self = slice,
      .measure = calibrate_measure};
  return calibrate_with(&device, path, folder && *folder ? folder : "/tmp",
                        results, error);
}

pfl_status bench_calibrate(const char *path, FILE *results, pfl_error *error) {
  const device_options options = {.kind = DEVICE_TPU};
  device_slice slice;
  PFL_TRY(device_open(&options, &heap, &slice, error));
  pfl_status status = calibrate_slice(&slice, path, results, error);
  device_close(&slice);
  return status;
}
