/* The protocol, line by line. */
#include "bench/serve.h"

#include <stdlib.h>
#include <string.h>

#include "base/safetensors.h"
#include "bench/child.h"
#include "bench/fields.h"
#include "bench/workload_json.h"
#include "pallas_flash/pallas_flash.h"

static const pfl_allocator heap;

enum { COPIES_MOST = 1 << 30 };

/* A cell with what its tensors lie in. */
typedef struct held_cell {
  serve_cell cell;
  safetensors_file file;
  void *o, *results[SERVE_OUTPUTS]; /* o, lse: of forward, for backward */
  float *lse;
} held_cell;

typedef struct server {
  serve_backend backend;
  pfl_error missing; /* status not OK: why there is no device */
  held_cell held;
  bool ready; /* a cell is loaded */
  FILE *out;
} server;

/* ---- A cell -------------------------------------------------------------- */

static pfl_status read_cell(const json_value *value, serve_cell *cell,
                            const char **out_inputs, pfl_error *error) {
  json_fields f = fields_of(value, "cell", error);
  cell->workload = workload_json_read(&f);
  cell->copies = fields_int64(&f, "copies", 1, COPIES_MOST);
  *out_inputs = fields_word(&f, "inputs");
  return f.status;
}

static void add_input(serve_cell *cell, const char *name, pfl_dtype dtype,
                      int rank, const int64_t *shape, void *data) {
  device_tensor *t = &cell->inputs[cell->input_count++];
  *t =
      (device_tensor){.name = name, .dtype = dtype, .rank = rank, .data = data};
  for (int i = 0; i < rank; i++) t->shape[i] = shape[i];
}

static pfl_status take_inputs(held_cell *held, pfl_error *error) {
  const safetensors_file *file = &held->file;
  for (int64_t i = 0; i < file->count; i++) {
    const safetensors_tensor *t = &file->tensors[i];
    if (held->cell.input_count == SERVE_TENSORS - 2 ||
        t->rank > KERNELS_RANK_MAX || t->dtype == PFL_DTYPE_DEFAULT)
      PFL_RAISE(error, INVALID_ARGUMENT, "a tensor of no cell: %.60s", t->name);
    add_input(&held->cell, t->name, t->dtype, t->rank, t->shape, t->data);
  }
  return PFL_STATUS_OK;
}

static void *data_of(const held_cell *held, const char *name) {
  const safetensors_tensor *t = safetensors_find(&held->file, name);
  return t ? t->data : NULL;
}

/* o and lse, by our own kernels on the CPU: exact, and not timed. */
static pfl_status add_forward(held_cell *held, pfl_error *error) {
  const bench_workload *w = &held->cell.workload;
  const int64_t shape[] = {w->batch, w->q_heads, w->q_length, w->head_dim};
  size_t rows = (size_t)(shape[0] * shape[1] * shape[2]);
  pfl_attention attention = bench_workload_attention(w);
  pfl_context *context;
  held->o = malloc(rows * (size_t)w->head_dim * pfl_dtype_size(w->dtype));
  held->lse = malloc(rows * sizeof *held->lse);
  if (!held->o || !held->lse)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cell");
  const pfl_forward_args args = {.struct_size = sizeof args,
                                 .q = data_of(held, "q"),
                                 .k = data_of(held, "k"),
                                 .v = data_of(held, "v"),
                                 .sinks = data_of(held, "sinks"),
                                 .out_o = held->o,
                                 .out_lse = held->lse};
  PFL_TRY(pfl_context_create(NULL, &context, error));
  pfl_status status = pfl_attention_forward(context, &attention, &args, error);
  pfl_context_destroy(context);
  add_input(&held->cell, "o", w->dtype, 4, shape, held->o);
  add_input(&held->cell, "lse", PFL_DTYPE_F32, 3, shape, held->lse);
  return status;
}

static pfl_status make_outputs(held_cell *held, pfl_error *error) {
  serve_cell *cell = &held->cell;
  const bench_workload *w = &cell->workload;
  static const char *const gradients[] = {"dq", "dk", "dv"};
  bool backward = w->op == BENCH_OP_BACKWARD;
  cell->output_count = backward ? 3 : 1;
  for (int i = 0; i < cell->output_count; i++) {
    device_tensor t = {.name = backward ? gradients[i] : "o",
                       .dtype = w->dtype,
                       .rank = 4,
                       .shape = {w->batch, i ? w->kv_heads : w->q_heads,
                                 i ? w->kv_length : w->q_length, w->head_dim}};
    int64_t count = t.shape[0] * t.shape[1] * t.shape[2] * t.shape[3];
    t.data = held->results[i] = calloc((size_t)count, pfl_dtype_size(t.dtype));
    if (!t.data) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cell");
    cell->outputs[i] = t;
  }
  return PFL_STATUS_OK;
}

static void release_cell(held_cell *held) {
  safetensors_release(&held->file);
  free(held->o);
  free(held->lse);
  for (int i = 0; i < SERVE_OUTPUTS; i++) free(held->results[i]);
  *held = (held_cell){0};
}

static pfl_status load_cell(server *s, const json_value *value,
                            pfl_error *error) {
  held_cell *held = &s->held;
  const char *inputs;
  release_cell(held);
  PFL_TRY(read_cell(value, &held->cell, &inputs, error));
  PFL_TRY(safetensors_read(inputs, &heap, &held->file, error));
  PFL_TRY(take_inputs(held, error));
  if (held->cell.workload.op == BENCH_OP_BACKWARD)
    PFL_TRY(add_forward(held, error));
  PFL_TRY(make_outputs(held, error));
  return s->backend.load(s->backend.self, &held->cell, error);
}

/* ---- Answers ------------------------------------------------------------- */

static pfl_status say(const server *s, base_text *line, pfl_error *error) {
  base_text_add_string(line, "\n");
  pfl_status status = base_text_check(line, error);
  if (!status && (fputs(base_text_get(line), s->out) < 0 || fflush(s->out)))
    status = base_error_set(error, PFL_STATUS_UNAVAILABLE,
                            "nobody reads the answers");
  base_text_release(line);
  return status;
}

static pfl_status answer_cell(server *s, const json_value *cell,
                              pfl_error *error) {
  base_text line = {0};
  json_writer json = {.text = &line};
  pfl_error why = s->missing;
  s->ready = !why.status && !load_cell(s, cell, &why);
  json_begin_object(&json, NULL);
  json_write_string(&json, s->ready ? "ready" : "skip",
                    s->ready ? s->backend.title : why.message);
  if (s->ready && *s->backend.device) {
    json_write_string(&json, "device", s->backend.device);
    json_write_int64(&json, "chips", s->backend.chips);
  }
  json_end(&json);
  return say(s, &line, error);
}

static pfl_status answer_run(server *s, pfl_error *error) {
  base_text line = {0};
  json_writer json = {.text = &line};
  double seconds;
  PFL_TRY(s->backend.run(s->backend.self, &s->held.cell, &seconds, error));
  json_begin_object(&json, NULL);
  json_write_double(&json, "seconds", seconds);
  json_end(&json);
  return say(s, &line, error);
}

static pfl_status answer_write(server *s, const char *path, pfl_error *error) {
  const serve_cell *cell = &s->held.cell;
  safetensors_tensor tensors[SERVE_OUTPUTS];
  base_text line = {0};
  PFL_TRY(s->backend.fetch(s->backend.self, cell, error));
  for (int i = 0; i < cell->output_count; i++) {
    const device_tensor *t = &cell->outputs[i];
    tensors[i] = (safetensors_tensor){
        .name = t->name, .dtype = t->dtype, .rank = t->rank, .data = t->data};
    for (int k = 0; k < t->rank; k++) tensors[i].shape[k] = t->shape[k];
  }
  PFL_TRY(safetensors_write(path, tensors, cell->output_count, &heap, error));
  base_text_add_string(&line, "{\"written\":true}");
  return say(s, &line, error);
}

static pfl_status answer(server *s, const char *text, pfl_error *error) {
  json_document question;
  PFL_TRY(json_parse(text, strlen(text), &heap, &question, error));
  const json_value *cell = json_object_get(question.root, "cell");
  const char *path = json_string(json_object_get(question.root, "write"));
  pfl_status status;
  if (cell)
    status = answer_cell(s, cell, error);
  else if (!s->ready)
    status = base_error_set(error, PFL_STATUS_FAILED_PRECONDITION,
                            "no cell is loaded");
  else
    status = path ? answer_write(s, path, error) : answer_run(s, error);
  json_release(&question);
  return status;
}

/* ---- The server ---------------------------------------------------------- */

pfl_status serve(const char *name, FILE *in, FILE *out, pfl_error *error) {
  static char text[CHILD_LINE_MAX];
  server s = {.out = out};
  pfl_status status = PFL_STATUS_OK;
  if (!strcmp(name, SERVE_TPU))
    status = serve_kernels_open(&s.backend, &s.missing);
  else
    status = serve_baseline_open(name, &s.backend, &s.missing);
  bool open = !status;
  if (open) s.missing.status = PFL_STATUS_OK;
  status = PFL_STATUS_OK;
  while (!status && fgets(text, sizeof text, in))
    status = answer(&s, text, error);
  if (open) s.backend.close(s.backend.self);
  release_cell(&s.held);
  return status;
}
