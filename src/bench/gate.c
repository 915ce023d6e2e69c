/* The gate before a time counts. */
#include "bench/gate.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "attention/reference.h"
#include "base/dtype.h"

enum { CHUNKS_MAX = 16 };

/* Heads are counted through the batch: as the tensors lie, query head h of all
 * reads key-value head h / (q_heads / kv_heads) of all. */
static int64_t q_heads_all(const bench_workload *w) {
  return w->batch * w->q_heads;
}
static int64_t kv_heads_all(const bench_workload *w) {
  return w->batch * w->kv_heads;
}

/* The head whose gradients are checked: any would do. */
static int64_t backward_head(const bench_workload *w) {
  return q_heads_all(w) - 1;
}

static double unit_roundoff(pfl_dtype dtype) {
  if (dtype == PFL_DTYPE_BF16) return 0x1p-9;
  if (dtype == PFL_DTYPE_F16) return 0x1p-11;
  return 0x1p-24;
}

static double mean_square(const double *row, int64_t width) {
  double sum = 0;
  for (int64_t i = 0; i < width; i++) sum += row[i] * row[i];
  return sum / (double)width;
}

/* The tolerance of gate.h for the row `expected`, a sum over `length` terms
 * whose yardstick is the row `like`. */
static double allowed_error(const bench_workload *w, const double *expected,
                            const double *like, int64_t length) {
  double u = unit_roundoff(w->dtype), largest = 0;
  double roundings = w->op == BENCH_OP_BACKWARD ? 3 : 1;
  for (int64_t i = 0; i < w->head_dim; i++)
    largest = fmax(largest, fabs(expected[i]));
  double sums = sqrt((double)w->head_dim) + sqrt((double)length) + 16;
  return u * largest + 6 * sqrt(mean_square(like, w->head_dim)) *
                           (roundings * u + 0x1p-24 * sums);
}

static bool output_allocate(gate_output *output, int64_t count, int64_t width) {
  size_t rows = (size_t)count;
  output->count = count;
  output->rows = malloc(rows * sizeof *output->rows);
  output->expected = calloc(rows * (size_t)width, sizeof *output->expected);
  output->allowed = malloc(rows * sizeof *output->allowed);
  return output->rows && output->expected && output->allowed;
}

void gate_release(bench_gate *gate) {
  for (int i = 0; i < gate->output_count; i++) {
    free(gate->outputs[i].rows);
    free(gate->outputs[i].expected);
    free(gate->outputs[i].allowed);
  }
  *gate = (bench_gate){0};
}

/* ---- What is common to the tasks below --------------------------------- */

typedef struct gate_work {
  const bench_tensors *tensors;
  bench_gate *gate;
  atomic_bool failed; /* no memory */
  int64_t chunks;     /* backward: the rows are shared out into these */
  double *partial;    /* [chunks][2][kv_length][head_dim]: dk and dv */
  double *o;          /* [q_length][head_dim] */
} gate_work;

/* `count` rows from `first` of a tensor as double, int8 ones times their
 * scales; to be freed. */
static double *widen_rows(const void *tensor, pfl_dtype dtype,
                          const float *scales, int64_t width, int64_t first,
                          int64_t count) {
  const char *start =
      (const char *)tensor + (size_t)(first * width) * pfl_dtype_size(dtype);
  double *wide = reference_widen(start, dtype, count * width);
  for (int64_t i = 0; wide && dtype == PFL_DTYPE_I8 && i < count * width; i++)
    wide[i] *= scales[first + i / width];
  return wide;
}

/* K and V of the head that query head `head` reads, whole. */
static bool widen_head(const bench_tensors *t, int64_t head, double **out_k,
                       double **out_v) {
  const bench_workload *w = &t->workload;
  const char *memory = t->memory;
  int64_t first = head / (w->q_heads / w->kv_heads) * w->kv_length;
  *out_k = widen_rows(memory, w->cache_dtype,
                      (const float *)(memory + t->k_scale_offset), w->head_dim,
                      first, w->kv_length);
  *out_v = widen_rows(memory + t->v_offset, w->cache_dtype,
                      (const float *)(memory + t->v_scale_offset), w->head_dim,
                      first, w->kv_length);
  return *out_k && *out_v;
}

/* `rows` queries, the last of which sees `keys` keys. */
static attention_problem sub_problem(const bench_workload *w, int64_t rows,
                                     int64_t keys) {
  pfl_attention attention = bench_workload_attention(w);
  attention.batch = attention.q_heads = attention.kv_heads = 1;
  attention.q_length = rows;
  attention.kv_length = keys;
  attention_problem problem = {0};
  pfl_status status = attention_problem_init(&attention, &problem, NULL);
  (void)status; /* a part of a problem that was checked */
  return problem;
}

/* Keys up to the last one that query `row` sees. */
static int64_t keys_before(const bench_workload *w, int64_t row) {
  return w->causal ? row + 1 + w->kv_length - w->q_length : w->kv_length;
}

/* Of those, the ones that it sees. */
static int64_t keys_seen(const bench_workload *w, int64_t row) {
  int64_t keys = keys_before(w, row);
  return w->window ? base_min(keys, w->window) : keys;
}

/* The sink of a head as double; NULL without sinks. */
static const double *sink_of(const bench_tensors *t, int64_t head,
                             double *out_sink) {
  if (!t->sinks) return NULL;
  *out_sink = t->sinks[head % t->workload.q_heads];
  return out_sink;
}

/* ---- Forward and decode: some rows of a head a task -------------------- */

/* The n-th of `count` rows of a head: the first, the last, and between them
 * others for each head. */
static int64_t sampled_row(const bench_workload *w, int64_t count, int64_t head,
                           int64_t n) {
  if (n == 0) return 0;
  if (n == count - 1) return w->q_length - 1;
  int64_t gap = (w->q_length - 1) / (count - 1);
  return n * gap + head % base_max(1, gap);
}

static bool forward_rows(gate_work *work, int64_t task, const double *k,
                         const double *v) {
  const bench_tensors *t = work->tensors;
  const bench_workload *w = &t->workload;
  gate_output *output = &work->gate->outputs[0];
  int64_t D = w->head_dim;
  int64_t tasks = w->op == BENCH_OP_DECODE ? kv_heads_all(w) : q_heads_all(w);
  int64_t rows = output->count / tasks;
  double sink;
  for (int64_t n = task * rows; n < (task + 1) * rows; n++) {
    double *q = widen_rows(t->q, w->dtype, NULL, D, output->rows[n], 1);
    double *expected = output->expected + n * D;
    int64_t row = output->rows[n] % w->q_length;
    attention_problem problem = sub_problem(w, 1, keys_before(w, row));
    reference_forward_args args = {
        .q = q,
        .k = k,
        .v = v,
        .sinks = sink_of(t, output->rows[n] / w->q_length, &sink),
        .out_o = expected};
    bool done = q && reference_forward(&problem, &args);
    free(q);
    if (!done) return false;
    output->allowed[n] =
        allowed_error(w, expected, expected, keys_seen(w, row));
  }
  return true;
}

/* The query head of a task: of decode one of the group that shares the
 * key-value head, another for each. */
static int64_t task_head(const bench_workload *w, int64_t task) {
  if (w->op != BENCH_OP_DECODE) return task;
  int64_t group = w->q_heads / w->kv_heads;
  return task * group + task % group;
}

static void forward_task(void *argument, int64_t task, int32_t worker) {
  gate_work *work = argument;
  double *k = NULL, *v = NULL;
  (void)worker;
  if (!widen_head(work->tensors, task_head(&work->tensors->workload, task), &k,
                  &v) ||
      !forward_rows(work, task, k, v))
    atomic_store(&work->failed, true);
  free(k);
  free(v);
}

static void create_forward(gate_work *work, base_threads *threads) {
  const bench_workload *w = &work->tensors->workload;
  bench_gate *gate = work->gate;
  bool decode = w->op == BENCH_OP_DECODE;
  int64_t heads = decode ? kv_heads_all(w) : q_heads_all(w);
  int64_t rows = base_min(GATE_ROWS, w->q_length);
  if (decode)
    snprintf(gate->sample, sizeof gate->sample,
             "one query head of each of %lld key-value heads",
             (long long)heads);
  else
    snprintf(gate->sample, sizeof gate->sample,
             "%lld of %lld rows of each of %lld heads", (long long)rows,
             (long long)w->q_length, (long long)heads);
  gate->output_count = 1;
  if (!output_allocate(&gate->outputs[0], heads * rows, w->head_dim)) {
    atomic_store(&work->failed, true);
    return;
  }
  for (int64_t n = 0; n < heads * rows; n++)
    gate->outputs[0].rows[n] = task_head(w, n / rows) * w->q_length +
                               sampled_row(w, rows, n / rows, n % rows);
  base_threads_run(threads, heads, forward_task, work);
}

/* ---- Backward: a range of one head's rows a task ----------------------- */

/* dQ of its rows is exact; dK and dV are what its rows add to them. */
static bool backward_rows(gate_work *work, int64_t task, const double *k,
                          const double *v, const double *q, const double *d_o) {
  const bench_workload *w = &work->tensors->workload;
  int64_t D = w->head_dim, S = w->q_length, part = w->kv_length * D;
  int64_t begin = task * S / work->chunks, end = (task + 1) * S / work->chunks;
  if (begin == end) return true;
  double *partial = work->partial + task * 2 * part;
  attention_problem problem =
      sub_problem(w, end - begin, keys_before(w, end - 1));
  double sink_value;
  const double *sink = sink_of(work->tensors, backward_head(w), &sink_value);
  reference_forward_args forward = {.q = q + begin * D,
                                    .k = k,
                                    .v = v,
                                    .sinks = sink,
                                    .out_o = work->o + begin * D};
  reference_backward_args backward = {
      .q = q + begin * D,
      .k = k,
      .v = v,
      .d_o = d_o + begin * D,
      .sinks = sink,
      .out_dq = work->gate->outputs[0].expected + begin * D,
      .out_dk = partial,
      .out_dv = partial + part,
  };
  return reference_forward(&problem, &forward) &&
         reference_backward(&problem, &backward);
}

static void backward_task(void *argument, int64_t task, int32_t worker) {
  gate_work *work = argument;
  const bench_tensors *t = work->tensors;
  const bench_workload *w = &t->workload;
  int64_t head = backward_head(w), first = head * w->q_length;
  (void)worker;
  double *k = NULL, *v = NULL;
  double *q = widen_rows(t->q, w->dtype, NULL, w->head_dim, first, w->q_length);
  double *d_o =
      widen_rows(t->d_o, w->dtype, NULL, w->head_dim, first, w->q_length);
  if (!q || !d_o || !widen_head(t, head, &k, &v) ||
      !backward_rows(work, task, k, v, q, d_o))
    atomic_store(&work->failed, true);
  free(q);
  free(d_o);
  free(k);
  free(v);
}

static void add_partials(gate_work *work) {
  const bench_workload *w = &work->tensors->workload;
  int64_t part = w->kv_length * w->head_dim;
  for (int64_t chunk = 0; chunk < work->chunks; chunk++)
    for (int64_t i = 0; i < part; i++) {
      const double *partial = work->partial + chunk * 2 * part;
      work->gate->outputs[1].expected[i] += partial[i];
      work->gate->outputs[2].expected[i] += partial[part + i];
    }
}

/* dQ is judged by O, dK and dV by dV. */
static void set_backward_rows(gate_work *work) {
  const bench_workload *w = &work->tensors->workload;
  gate_output *outputs = work->gate->outputs;
  int64_t head = backward_head(w), D = w->head_dim;
  const double *like[] = {work->o, outputs[2].expected, outputs[2].expected};
  for (int i = 0; i < 3; i++)
    for (int64_t n = 0; n < outputs[i].count; n++) {
      outputs[i].rows[n] = head * outputs[i].count + n;
      outputs[i].allowed[n] =
          allowed_error(w, outputs[i].expected + n * D, like[i] + n * D,
                        i == 0 ? keys_seen(w, n) : w->q_length);
    }
}

static void create_backward(gate_work *work, base_threads *threads) {
  const bench_workload *w = &work->tensors->workload;
  bench_gate *gate = work->gate;
  size_t D = (size_t)w->head_dim, kv = (size_t)w->kv_length;
  snprintf(gate->sample, sizeof gate->sample,
           "all gradients of one of %lld heads", (long long)q_heads_all(w));
  gate->output_count = 3;
  work->chunks = base_min(CHUNKS_MAX, 4 * (int64_t)base_threads_count(threads));
  work->partial =
      calloc((size_t)work->chunks * 2 * kv * D, sizeof *work->partial);
  work->o = malloc((size_t)w->q_length * D * sizeof *work->o);
  bool room = work->partial && work->o;
  for (int i = 0; i < 3; i++)
    room &= output_allocate(&gate->outputs[i],
                            i == 0 ? w->q_length : w->kv_length, w->head_dim);
  if (room) {
    base_threads_run(threads, work->chunks, backward_task, work);
    add_partials(work);
    set_backward_rows(work);
  } else {
    atomic_store(&work->failed, true);
  }
  free(work->partial);
  free(work->o);
}

pfl_status gate_create(const bench_tensors *tensors, base_threads *threads,
                       bench_gate *out_gate, pfl_error *error) {
  const bench_workload *w = &tensors->workload;
  *out_gate = (bench_gate){.width = w->head_dim};
  gate_work work = {.tensors = tensors, .gate = out_gate};
  atomic_init(&work.failed, false);
  if (w->op == BENCH_OP_BACKWARD)
    create_backward(&work, threads);
  else
    create_forward(&work, threads);
  if (!atomic_load(&work.failed)) return PFL_STATUS_OK;
  gate_release(out_gate);
  PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the fp64 reference");
}

gate_verdict gate_check(const bench_gate *gate, const void *const *outputs,
                        pfl_dtype dtype) {
  gate_verdict verdict = {0, 0, true};
  for (int i = 0; i < gate->output_count; i++) {
    const gate_output *output = &gate->outputs[i];
    for (int64_t n = 0; n < output->count * gate->width; n++) {
      int64_t row = n / gate->width, column = n % gate->width;
      double value = base_element_get(outputs[i], dtype,
                                      output->rows[row] * gate->width + column);
      double error = fabs(value - output->expected[n]);
      if (isnan(error)) return (gate_verdict){NAN, NAN, false};
      verdict.error = fmax(verdict.error, error);
      if (error > 0)
        verdict.relative = fmax(verdict.relative, error / output->allowed[row]);
    }
  }
  verdict.passed = verdict.relative <= 1;
  return verdict;
}
