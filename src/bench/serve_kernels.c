/* Our kernels on a TPU's chips. */
#include <stdlib.h>
#include <string.h>

#include "bench/asked.h"
#include "bench/serve.h"
#include "device/resident.h"

static const pfl_allocator heap;

/* The inputs lie on the chips; what a program is not given, as the lengths of
 * full caches, goes with each run. */
typedef struct tpu_server {
  device_slice slice;
  asked_kernel asked;
  device_program program;
  device_resident residents[SERVE_TENSORS];
  device_resident *kept[SERVE_TENSORS];
  int kept_count, chips;
  bool loaded;
} tpu_server;

static void unload(tpu_server *s) {
  if (!s->loaded) return;
  for (int i = 0; i < s->kept_count; i++)
    device_resident_release(&s->slice, &s->residents[i]);
  s->kept_count = 0;
  device_program_release(&s->slice, &s->program);
  s->loaded = false;
}

static const device_tensor *find_input(const serve_cell *cell,
                                       const char *name) {
  for (int i = 0; i < cell->input_count; i++)
    if (!strcmp(cell->inputs[i].name, name)) return &cell->inputs[i];
  return NULL;
}

static pfl_status keep_inputs(tpu_server *s, const serve_cell *cell,
                              pfl_error *error) {
  const xla_signature *signature = &s->program.signature;
  int chips = (int)s->program.loaded.device_count;
  for (int i = 0; i < signature->argument_count; i++) {
    const kernels_tensor *tensor = signature->arguments[i];
    const device_tensor *given = find_input(cell, tensor->name);
    device_resident *resident = &s->residents[s->kept_count];
    if (!given || s->kept_count == SERVE_TENSORS) continue;
    PFL_TRY(device_resident_create(&s->slice, tensor, chips, resident, error));
    s->kept[s->kept_count++] = resident;
    PFL_TRY(device_resident_write(&s->slice, resident, given, error));
  }
  return PFL_STATUS_OK;
}

static pfl_status load(void *self, const serve_cell *cell, pfl_error *error) {
  tpu_server *s = self;
  unload(s);
  PFL_TRY(asked_kernel_init(&cell->workload, s->chips, &s->asked, error));
  PFL_TRY(device_prepare(&s->slice, &s->asked.request, &s->program, error));
  s->loaded = true;
  pfl_status status = keep_inputs(s, cell, error);
  if (status) unload(s);
  return status;
}

static pfl_status run_for(tpu_server *s, const serve_cell *cell,
                          int output_count, double *out_seconds,
                          pfl_error *error) {
  device_times times;
  PFL_TRY(device_run_resident(&s->slice, &s->program, NULL, 0, cell->outputs,
                              output_count, s->kept, s->kept_count, &times,
                              error));
  *out_seconds = times.run_ms * 1e-3;
  return PFL_STATUS_OK;
}

static pfl_status run(void *self, const serve_cell *cell, double *out_seconds,
                      pfl_error *error) {
  return run_for(self, cell, 0, out_seconds, error);
}

static pfl_status fetch(void *self, const serve_cell *cell, pfl_error *error) {
  double seconds;
  return run_for(self, cell, cell->output_count, &seconds, error);
}

static void close_server(void *self) {
  tpu_server *s = self;
  unload(s);
  device_close(&s->slice);
  free(s);
}

static bool simulation_is_asked_for(void) {
  const char *asked = getenv("PFLASH_PEER_SIMULATED");
  return asked && !strcmp(asked, "1");
}

static pfl_status look_at(const tpu_server *s, serve_backend *out_backend,
                          pfl_error *error) {
  bool simulated = strcmp(base_text_get(&s->slice.client.platform), "tpu") != 0;
  if (simulated && !simulation_is_asked_for())
    PFL_RAISE(error, UNAVAILABLE,
              "the plugin's platform is '%.60s', no TPU: its times would say "
              "nothing",
              base_text_get(&s->slice.client.platform));
  *out_backend = (serve_backend){.load = load,
                                 .run = run,
                                 .fetch = fetch,
                                 .close = close_server,
                                 .chips = s->chips};
  snprintf(out_backend->title, SERVE_TITLE_SIZE, "pallas-flash %s%s",
           simulated ? "simulated " : "", s->slice.target);
  snprintf(out_backend->device, SERVE_TITLE_SIZE, "%s%.48s",
           simulated ? "simulated " : "", s->slice.client.devices[0].info.kind);
  return PFL_STATUS_OK;
}

pfl_status serve_kernels_open(serve_backend *out_backend, pfl_error *error) {
  const device_options options = {.kind = DEVICE_TPU};
  tpu_server *s = calloc(1, sizeof *s);
  if (!s) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a device");
  pfl_status status = device_open(&options, &heap, &s->slice, error);
  if (status) {
    free(s);
    return status;
  }
  s->chips = s->slice.client.device_count >= 4 ? 4 : 1;
  status = look_at(s, out_backend, error);
  out_backend->self = s;
  if (status) close_server(s);
  return status;
}
