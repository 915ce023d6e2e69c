/* Plain attention by XLA on the first device of a plugin. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "bench/machine.h"
#include "bench/serve.h"
#include "pjrt/execute.h"
#include "xla/baseline.h"
#include "xla/program.h"

static const pfl_allocator heap;

/* A plain program holds the scores, what softmax makes of them, and one more
 * such matrix at the same time, at worst. */
enum { SCORES_HELD = 3 };

typedef struct xla_server {
  pjrt_client client;
  pjrt_program program;
  xla_baseline_names names;
  PJRT_Buffer **arguments; /* [copies][argument_count] */
  int64_t copies, next;    /* the copy of the next run */
  PJRT_Buffer *results[SERVE_OUTPUTS];
  bool on_cpu; /* this machine's */
} xla_server;

static void drop_results(xla_server *s) {
  pjrt_buffers_destroy(&s->client, s->results, SERVE_OUTPUTS);
  memset(s->results, 0, sizeof s->results);
}

static void unload(xla_server *s) {
  drop_results(s);
  if (s->arguments)
    pjrt_buffers_destroy(&s->client, s->arguments,
                         s->copies * s->names.argument_count);
  free(s->arguments);
  s->arguments = NULL;
  s->copies = s->next = 0;
  pjrt_program_unload(&s->client, &s->program);
  s->program = (pjrt_program){0};
}

/* ---- From a cell to a program -------------------------------------------- */

static xla_baseline baseline_of(const bench_workload *w) {
  return (xla_baseline){.backward = w->op == BENCH_OP_BACKWARD,
                        .batch = w->batch,
                        .q_heads = w->q_heads,
                        .kv_heads = w->kv_heads,
                        .q_length = w->q_length,
                        .kv_length = w->kv_length,
                        .head_dim = w->head_dim,
                        .causal = w->causal,
                        .window = w->window,
                        .scale = 1 / sqrt((double)w->head_dim),
                        .softcap = w->softcap,
                        .sinks = w->sinks,
                        .dtype = w->dtype,
                        .cache_dtype = w->cache_dtype};
}

/* Bytes of the device, or of half this machine; 0: it does not say. */
static double room_of(const xla_server *s) {
  pjrt_device_memory memory;
  bench_machine machine;
  if (!pjrt_device_memory_get(&s->client, 0, &memory, NULL) &&
      memory.bytes_limit > 0)
    return (double)memory.bytes_limit;
  machine_describe(&machine);
  return s->on_cpu ? 0.5 * (double)machine.memory_bytes : 0;
}

static pfl_status check_room(const xla_server *s, const xla_baseline *baseline,
                             const bench_workload *w, pfl_error *error) {
  double need = bench_workload_footprint(w) +
                SCORES_HELD * xla_baseline_score_bytes(baseline);
  double room = room_of(s);
  if (room > 0 && need > room)
    PFL_RAISE(error, RESOURCE_EXHAUSTED,
              "infeasible: plain attention takes %.1f GB of %.1f GB",
              need * 1e-9, room * 1e-9);
  return PFL_STATUS_OK;
}

static pfl_status compile(xla_server *s, const xla_baseline *baseline,
                          pfl_error *error) {
  base_text module = {0}, options = {0};
  pfl_status status = xla_baseline_write(baseline, &module, error);
  if (!status) status = xla_options_write(1, NULL, 0, &options, error);
  if (!status)
    status =
        pjrt_program_compile(&s->client, module.bytes, module.length,
                             options.bytes, options.length, &s->program, error);
  if (!status && s->program.output_count != s->names.result_count)
    status = base_error_set(
        error, PFL_STATUS_INTERNAL, "the program has %d outputs and not %d",
        (int)s->program.output_count, s->names.result_count);
  base_text_release(&module);
  base_text_release(&options);
  return status;
}

/* ---- Tensors ------------------------------------------------------------- */

static pfl_status upload(xla_server *s, const serve_cell *cell,
                         const char *name, PJRT_Buffer **out_buffer,
                         pfl_error *error) {
  for (int i = 0; i < cell->input_count; i++) {
    const device_tensor *t = &cell->inputs[i];
    if (strcmp(t->name, name)) continue;
    pjrt_upload upload = {.shape = {.dtype = t->dtype, .rank = t->rank},
                          .data = t->data};
    for (int k = 0; k < t->rank; k++) upload.shape.sizes[k] = t->shape[k];
    return pjrt_buffer_upload(&s->client, &upload, NULL, out_buffer, error);
  }
  PFL_RAISE(error, INVALID_ARGUMENT, "the cell has no tensor %s", name);
}

static pfl_status upload_all(xla_server *s, const serve_cell *cell,
                             pfl_error *error) {
  int count = s->names.argument_count;
  s->copies = base_max(1, cell->copies);
  s->arguments = calloc((size_t)(s->copies * count), sizeof *s->arguments);
  if (!s->arguments)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cell");
  for (int64_t copy = 0; copy < s->copies; copy++)
    for (int i = 0; i < count; i++)
      PFL_TRY(upload(s, cell, s->names.arguments[i],
                     &s->arguments[copy * count + i], error));
  return PFL_STATUS_OK;
}

static pfl_status run(void *self, const serve_cell *cell, double *out_seconds,
                      pfl_error *error) {
  xla_server *s = self;
  (void)cell;
  int count = s->names.argument_count;
  const pjrt_run run = {.arguments = s->arguments + s->next * count,
                        .argument_count = count};
  drop_results(s);
  s->next = (s->next + 1) % s->copies;
  double start = machine_now();
  pfl_status status =
      pjrt_program_run(&s->client, &s->program, &run, NULL, s->results, error);
  *out_seconds = machine_now() - start;
  return status;
}

static pfl_status load(void *self, const serve_cell *cell, pfl_error *error) {
  xla_server *s = self;
  const xla_baseline baseline = baseline_of(&cell->workload);
  unload(s);
  xla_baseline_name(&baseline, &s->names);
  PFL_TRY(check_room(s, &baseline, &cell->workload, error));
  pfl_status status = compile(s, &baseline, error);
  if (!status) status = upload_all(s, cell, error);
  double seconds; /* a failure is then a refusal */
  if (!status) status = run(s, cell, &seconds, error);
  if (status) unload(s);
  return status;
}

static int64_t bytes_of(const device_tensor *t) {
  int64_t bytes = (int64_t)pfl_dtype_size(t->dtype);
  for (int i = 0; i < t->rank; i++) bytes *= t->shape[i];
  return bytes;
}

static pfl_status fetch(void *self, const serve_cell *cell, pfl_error *error) {
  xla_server *s = self;
  for (int i = 0; i < cell->output_count; i++) {
    const device_tensor *t = &cell->outputs[i];
    const pjrt_download download = {.data = t->data,
                                    .size = (size_t)bytes_of(t)};
    PFL_TRY(pjrt_buffer_download(&s->client, s->results[i], &download, NULL,
                                 error));
  }
  return PFL_STATUS_OK;
}

/* ---- The server ---------------------------------------------------------- */

static void close_server(void *self) {
  xla_server *s = self;
  unload(s);
  pjrt_client_destroy(&s->client);
  free(s);
}

pfl_status serve_baseline_open(const char *plugin, serve_backend *out_backend,
                               pfl_error *error) {
  pjrt_plugin loaded;
  PFL_TRY(pjrt_plugin_load(plugin, &loaded, error));
  xla_server *s = calloc(1, sizeof *s);
  if (!s) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a device");
  pfl_status status =
      pjrt_client_create(&loaded, NULL, 0, &heap, &s->client, error);
  if (status) {
    free(s);
    return status;
  }
  const char *platform = base_text_get(&s->client.platform);
  s->on_cpu = !strcmp(platform, "cpu") || !strcmp(platform, "Host");
  *out_backend = (serve_backend){.self = s,
                                 .load = load,
                                 .run = run,
                                 .fetch = fetch,
                                 .close = close_server,
                                 .chips = 1};
  snprintf(out_backend->title, SERVE_TITLE_SIZE, "xla %.40s", platform);
  if (!s->on_cpu)
    snprintf(out_backend->device, SERVE_TITLE_SIZE, "%.60s",
             s->client.devices[0].info.kind);
  return PFL_STATUS_OK;
}
