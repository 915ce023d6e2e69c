#include "bench/simulate.h"

#include <stdlib.h>
#include <string.h>

#include "bench/asked.h"
#include "bench/forecast.h"
#include "bench/gate.h"
#include "bench/paged_cache.h"
#include "device/device.h"

static const pfl_allocator heap;

enum { TENSORS = 12, REASON_SIZE = 160 };

/* What came of one row on some chips. */
typedef enum simulated { DONE, NO_KERNEL, HAZARD, UNSHARED } simulated;

typedef struct simulation {
  const bench_options *options;
  device_slice slice;
  base_threads *pool;
  uint64_t seed;
  int64_t rows, failed, without;
} simulation;

/* What is run on some chips after one another: tensors of the workload with its
 * cache contiguous, and the pages if it has any. */
typedef struct simulated_row {
  const bench_workload *workload;
  bench_tensors tensors;
  paged_cache pages;
  bench_gate gate;
} simulated_row;

/* ---- Tensors ----------------------------------------------------------- */

static device_tensor tensor(const char *name, pfl_dtype dtype, int64_t batch,
                            int64_t heads, int64_t rows, int64_t width,
                            void *data) {
  return (device_tensor){
      name, dtype, width ? 4 : 3, {batch, heads, rows, width}, data};
}

static int list_cache(const bench_tensors *t, device_tensor *out) {
  const bench_workload *w = &t->workload;
  int64_t B = w->batch, Hkv = w->kv_heads, Sk = w->kv_length, D = w->head_dim;
  char *cache = t->memory;
  int n = 0;
  out[n++] = tensor("k", w->cache_dtype, B, Hkv, Sk, D, cache);
  out[n++] = tensor("v", w->cache_dtype, B, Hkv, Sk, D, cache + t->v_offset);
  out[n++] = tensor("k_scale", PFL_DTYPE_F32, B, Hkv, Sk, 0,
                    cache + t->k_scale_offset);
  out[n++] = tensor("v_scale", PFL_DTYPE_F32, B, Hkv, Sk, 0,
                    cache + t->v_scale_offset);
  return n;
}

static int list_pages(const bench_workload *w, const paged_cache *c,
                      device_tensor *out) {
  int64_t N = c->pages, Hkv = w->kv_heads, D = w->head_dim;
  int n = 0;
  out[n++] = tensor("k", w->cache_dtype, N, Hkv, c->page, D, c->k);
  out[n++] = tensor("v", w->cache_dtype, N, Hkv, c->page, D, c->v);
  out[n++] = tensor("k_scale", PFL_DTYPE_F32, N, Hkv, c->page, 0, c->k_scale);
  out[n++] = tensor("v_scale", PFL_DTYPE_F32, N, Hkv, c->page, 0, c->v_scale);
  out[n++] = (device_tensor){
      "block_table", PFL_DTYPE_I32, 2, {w->batch, c->per_sequence}, c->table};
  return n;
}

static int list_inputs(const simulated_row *row, device_tensor *out) {
  const bench_tensors *t = &row->tensors;
  const bench_workload *w = row->workload;
  int64_t B = w->batch, Hq = w->q_heads, Sq = w->q_length, D = w->head_dim;
  int n = w->page ? list_pages(w, &row->pages, out) : list_cache(t, out);
  out[n++] = tensor("q", w->dtype, B, Hq, Sq, D, t->q);
  out[n++] = tensor("o", w->dtype, B, Hq, Sq, D, t->o);
  out[n++] = tensor("lse", PFL_DTYPE_F32, B, Hq, Sq, 0, t->lse);
  out[n++] = tensor("do", w->dtype, B, Hq, Sq, D, t->d_o);
  out[n++] = (device_tensor){"sinks", PFL_DTYPE_F32, 1, {Hq}, t->sinks};
  return n;
}

static int list_outputs(const bench_tensors *t, device_tensor *out) {
  const bench_workload *w = &t->workload;
  for (int i = 0; i < t->output_count; i++)
    out[i] = tensor(t->outputs[i].name, w->dtype, w->batch, t->outputs[i].heads,
                    t->outputs[i].length, w->head_dim, t->outputs[i].data);
  return t->output_count;
}

/* ---- Rows -------------------------------------------------------------- */

/* Whether the chips share the work, or each would do all of it. */
static bool is_shared(const kernels_program *program) {
  for (int i = 0; i < program->kernel_count; i++) {
    const kernels_kernel *kernel = &program->kernels[i];
    if (kernel->communicates) return true;
    for (int k = 0; k < kernel->input_count; k++)
      if (kernel->inputs[k].split.split) return true;
  }
  return false;
}

static bool is_refusal(pfl_status status) {
  return status == PFL_STATUS_INVALID_ARGUMENT ||
         status == PFL_STATUS_UNIMPLEMENTED;
}

/* Runs a row; a kernel that is not there, or that a chip trips up, is an
 * outcome with its reason in *error. */
static pfl_status run_row(simulation *s, simulated_row *row, int chips,
                          simulated *out_outcome, pfl_error *error) {
  bench_tensors *tensors = &row->tensors;
  device_tensor inputs[TENSORS], outputs[BENCH_OUTPUTS_MAX];
  asked_kernel asked;
  device_program program;
  device_times times;
  *out_outcome = NO_KERNEL;
  PFL_TRY(asked_kernel_init(row->workload, chips, &asked, error));
  pfl_status status =
      device_prepare(&s->slice, &asked.request, &program, error);
  if (status) return is_refusal(status) ? PFL_STATUS_OK : status;
  if (chips > 1 && !is_shared(&program.kernels)) {
    *out_outcome = UNSHARED;
    device_program_release(&s->slice, &program);
    return PFL_STATUS_OK;
  }
  tensors_spoil_outputs(tensors);
  status = device_run(&s->slice, &program, inputs, list_inputs(row, inputs),
                      outputs, list_outputs(tensors, outputs), &times, error);
  device_program_release(&s->slice, &program);
  *out_outcome = status ? HAZARD : DONE;
  return status == PFL_STATUS_FAILED_PRECONDITION ? PFL_STATUS_OK : status;
}

static void tell(simulation *s, const simulated_row *row, int chips,
                 simulated outcome, const pfl_error *error) {
  const bench_tensors *tensors = &row->tensors;
  FILE *out = s->options->results;
  char name[BENCH_NAME_SIZE];
  const void *outputs[BENCH_OUTPUTS_MAX];
  for (int i = 0; i < tensors->output_count; i++)
    outputs[i] = tensors->outputs[i].data;
  gate_verdict verdict = {0};
  if (outcome == DONE)
    verdict = gate_check(&row->gate, outputs, tensors->workload.dtype);
  s->rows++;
  s->without += outcome == NO_KERNEL;
  s->failed += outcome == HAZARD || (outcome == DONE && !verdict.passed);
  if (!out) return;
  fprintf(out, "%-44s %5d  ", bench_workload_name(row->workload, name), chips);
  if (outcome == DONE)
    fprintf(out, "%9.1e %9.2f  %s\n", verdict.error, verdict.relative,
            verdict.passed ? "right" : "WRONG");
  else
    fprintf(out, "%9s %9s  %s: %.160s\n", "-", "-",
            outcome == HAZARD ? "HAZARD" : "no kernel", error->message);
  fflush(out); /* a suite takes its time */
}

static pfl_status simulate_row(simulation *s, simulated_row *row,
                               pfl_error *error) {
  for (int chips = 1; chips <= 4; chips += 3) {
    simulated outcome;
    PFL_TRY(run_row(s, row, chips, &outcome, error));
    if (outcome != UNSHARED) tell(s, row, chips, outcome, error);
    if (outcome == NO_KERNEL) break;
  }
  return PFL_STATUS_OK;
}

/* Backward reads what forward on the CPU gives it. */
static pfl_status prepare_backward(bench_tensors *tensors, pfl_error *error) {
  pfl_context *context;
  if (tensors->workload.op != BENCH_OP_BACKWARD) return PFL_STATUS_OK;
  PFL_TRY(pfl_context_create(NULL, &context, error));
  pfl_status status = tensors_run_forward(tensors, context, error);
  pfl_context_destroy(context);
  return status;
}

static pfl_status simulate_tensors(simulation *s, simulated_row *row,
                                   pfl_error *error) {
  PFL_TRY(prepare_backward(&row->tensors, error));
  if (row->workload->page)
    PFL_TRY(paged_cache_create(&row->tensors, row->workload->page, s->seed,
                               &row->pages, error));
  PFL_TRY(gate_create(&row->tensors, s->pool, &row->gate, error));
  pfl_status status = simulate_row(s, row, error);
  gate_release(&row->gate);
  return status;
}

static pfl_status simulate_workload(simulation *s, const bench_workload *w,
                                    pfl_error *error) {
  simulated_row row = {.workload = w};
  bench_workload contiguous = *w;
  contiguous.page = 0;
  PFL_TRY(
      tensors_create(&contiguous, s->seed, 0, s->pool, &row.tensors, error));
  pfl_status status = simulate_tensors(s, &row, error);
  paged_cache_release(&row.pages);
  tensors_release(&row.tensors);
  return status;
}

/* The cells of a forecast too, each of them once: a row tries every number of
 * chips. */
static pfl_status simulate_cells(simulation *s, bench_suite suite,
                                 pfl_error *error) {
  forecast_cell cell;
  for (int64_t i = 0; forecast_cell_get(suite, i, &cell); i++)
    if (cell.chips == 1) PFL_TRY(simulate_workload(s, &cell.workload, error));
  return PFL_STATUS_OK;
}

static pfl_status simulate_suite(simulation *s, bench_suite suite,
                                 pfl_error *error) {
  bench_workload workload;
  FILE *out = s->options->results;
  if (out)
    fprintf(out, "%-44s %5s  %9s %9s\n", "simulated, and nothing of it timed",
            "chips", "error", "allowed=1");
  PFL_TRY(simulate_cells(s, suite, error));
  for (int64_t i = 0; bench_workload_get(suite, i, &workload); i++)
    PFL_TRY(simulate_workload(s, &workload, error));
  if (out)
    fprintf(out, "%lld rows, %lld without a kernel, %lld wrong\n",
            (long long)s->rows, (long long)s->without, (long long)s->failed);
  if (s->failed)
    PFL_RAISE(error, INTERNAL, "%lld of %lld simulated rows are wrong",
              (long long)s->failed, (long long)s->rows);
  return PFL_STATUS_OK;
}

pfl_status bench_simulate(const bench_options *options, pfl_error *error) {
  simulation s = {.options = options,
                  .seed = options->seed ? options->seed : 1};
  const char *name = options->suite ? options->suite : "quick";
  bench_suite suite = bench_suite_find(name);
  if (suite == BENCH_SUITE_COUNT)
    PFL_RAISE(error, INVALID_ARGUMENT, "no suite is called %s", name);
  const device_options device = {.kind = DEVICE_SIM,
                                 .seed = (int64_t)options->seed,
                                 .threads = options->threads};
  PFL_TRY(base_threads_create(&heap, base_cpu_count(), &s.pool, error));
  pfl_status status = device_open(&device, &heap, &s.slice, error);
  if (!status) {
    status = simulate_suite(&s, suite, error);
    device_close(&s.slice);
  }
  base_threads_destroy(s.pool);
  return status;
}
