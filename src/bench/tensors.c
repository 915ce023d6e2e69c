/* The tensors of a workload. */
#include "bench/tensors.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "base/safetensors.h"

/* ---- Numbers ----------------------------------------------------------- */

/* Number `index` of a stream: splitmix64 (Steele, Lea, Flood 2014) gives four
 * 16-bit uniform numbers, whose sum has mean 131070 and deviation 37837.2.
 * No libm: the same on every machine. */
static float near_normal(uint64_t stream, int64_t index) {
  uint64_t z = stream + ((uint64_t)index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  int32_t sum = (int32_t)(z & 0xffff) + (int32_t)(z >> 16 & 0xffff) +
                (int32_t)(z >> 32 & 0xffff) + (int32_t)(z >> 48);
  return (float)(sum - 131070) * (1 / 37837.2f);
}

typedef struct fill {
  uint64_t stream;
  pfl_dtype dtype;
  int64_t rows, width;
  void *data;
  float *scales; /* I8: one a row */
} fill;

enum { ROWS_PER_TASK = 512 };

static void fill_row(const fill *f, int64_t row) {
  int64_t first = row * f->width;
  float largest = 0;
  if (f->dtype == PFL_DTYPE_I8) {
    for (int64_t i = 0; i < f->width; i++)
      largest = fmaxf(largest, fabsf(near_normal(f->stream, first + i)));
    f->scales[row] = largest / 127;
  }
  for (int64_t i = first; i < first + f->width; i++) {
    float x = near_normal(f->stream, i);
    switch (f->dtype) {
      case PFL_DTYPE_BF16:
        ((uint16_t *)f->data)[i] = base_f32_to_bf16(x);
        break;
      case PFL_DTYPE_F16: ((uint16_t *)f->data)[i] = base_f32_to_f16(x); break;
      case PFL_DTYPE_I8:
        ((int8_t *)f->data)[i] = (int8_t)lrintf(x * (127 / largest));
        break;
      default: ((float *)f->data)[i] = x;
    }
  }
}

static void fill_task(void *argument, int64_t task, int32_t worker) {
  const fill *f = argument;
  (void)worker;
  int64_t end = base_min(f->rows, (task + 1) * ROWS_PER_TASK);
  for (int64_t row = task * ROWS_PER_TASK; row < end; row++) fill_row(f, row);
}

static void fill_tensor(base_threads *threads, fill f) {
  base_threads_run(threads, base_ceil_div(f.rows, ROWS_PER_TASK), fill_task,
                   &f);
}

/* ---- Memory ------------------------------------------------------------ */

static size_t pad(size_t bytes) {
  return (bytes + LIMITS_READ_STEP - 1) / LIMITS_READ_STEP * LIMITS_READ_STEP;
}

static bool is_decode(const bench_workload *w) {
  return w->op == BENCH_OP_DECODE;
}
static bool is_backward(const bench_workload *w) {
  return w->op == BENCH_OP_BACKWARD;
}

static int64_t q_rows(const bench_workload *w) {
  return w->batch * w->q_heads * w->q_length;
}
static int64_t kv_rows(const bench_workload *w) {
  return w->batch * w->kv_heads * w->kv_length;
}

static void lay_out_copy(bench_tensors *t, int64_t ring_bytes) {
  const bench_workload *w = &t->workload;
  size_t rows = (size_t)kv_rows(w);
  size_t array =
      pad(rows * (size_t)w->head_dim * pfl_dtype_size(w->cache_dtype));
  size_t scales =
      w->cache_dtype == PFL_DTYPE_I8 ? pad(rows * sizeof(float)) : 0;
  t->v_offset = array;
  t->k_scale_offset = 2 * array;
  t->v_scale_offset = 2 * array + scales;
  t->copy_bytes = 2 * (array + scales);
  t->copies = 1;
  if (is_decode(w))
    t->copies = base_max(2, base_ceil_div(ring_bytes, (int64_t)t->copy_bytes));
}

/* Each array by its own malloc; false if one failed. */
static bool allocate(bench_tensors *t) {
  const bench_workload *w = &t->workload;
  size_t row = (size_t)w->head_dim * pfl_dtype_size(w->dtype);
  size_t q_bytes = (size_t)q_rows(w) * row, kv_bytes = (size_t)kv_rows(w) * row;
  t->memory = malloc((size_t)t->copies * t->copy_bytes);
  t->q = malloc(q_bytes);
  t->o = malloc(q_bytes);
  if (w->sinks) t->sinks = malloc((size_t)w->q_heads * sizeof *t->sinks);
  if (!t->memory || !t->q || !t->o || (w->sinks && !t->sinks)) return false;
  if (!is_backward(w)) return true;
  t->lse = malloc((size_t)q_rows(w) * sizeof *t->lse);
  t->d_o = malloc(q_bytes);
  t->dq = malloc(q_bytes);
  t->dk = malloc(kv_bytes);
  t->dv = malloc(kv_bytes);
  return t->lse && t->d_o && t->dq && t->dk && t->dv;
}

void tensors_release(bench_tensors *tensors) {
  bench_tensors *t = tensors;
  void *const arrays[] = {t->memory, t->q,  t->o,  t->lse,  t->d_o,
                          t->dq,     t->dk, t->dv, t->sinks};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
  *t = (bench_tensors){0};
}

static void list_outputs(bench_tensors *t) {
  const bench_workload *w = &t->workload;
  if (!is_backward(w)) {
    t->output_count = 1;
    t->outputs[0] = (bench_output){"o", t->o, w->q_heads, w->q_length};
    return;
  }
  t->output_count = 3;
  t->outputs[0] = (bench_output){"dq", t->dq, w->q_heads, w->q_length};
  t->outputs[1] = (bench_output){"dk", t->dk, w->kv_heads, w->kv_length};
  t->outputs[2] = (bench_output){"dv", t->dv, w->kv_heads, w->kv_length};
}

static void copy_task(void *argument, int64_t task, int32_t worker) {
  bench_tensors *t = argument;
  (void)worker;
  memcpy(t->memory + (size_t)(task + 1) * t->copy_bytes, t->memory,
         t->copy_bytes);
}

static void fill_all(bench_tensors *t, uint64_t seed, base_threads *threads) {
  const bench_workload *w = &t->workload;
  uint64_t stream = seed << 8; /* one stream a tensor */
  int64_t D = w->head_dim;
  fill_tensor(threads, (fill){stream, w->dtype, q_rows(w), D, t->q, NULL});
  fill_tensor(threads,
              (fill){stream + 1, w->cache_dtype, kv_rows(w), D, t->memory,
                     (float *)(t->memory + t->k_scale_offset)});
  fill_tensor(threads, (fill){stream + 2, w->cache_dtype, kv_rows(w), D,
                              t->memory + t->v_offset,
                              (float *)(t->memory + t->v_scale_offset)});
  if (t->d_o)
    fill_tensor(threads,
                (fill){stream + 3, w->dtype, q_rows(w), D, t->d_o, NULL});
  if (t->sinks)
    fill_tensor(threads, (fill){stream + 4, PFL_DTYPE_F32, 1, w->q_heads,
                                t->sinks, NULL});
  base_threads_run(threads, t->copies - 1, copy_task, t);
}

pfl_status tensors_create(const bench_workload *workload, uint64_t seed,
                          int64_t ring_bytes, base_threads *threads,
                          bench_tensors *out_tensors, pfl_error *error) {
  bench_tensors *t = out_tensors;
  *t = (bench_tensors){.workload = *workload};
  lay_out_copy(t, ring_bytes);
  if (!allocate(t)) {
    char name[BENCH_NAME_SIZE];
    tensors_release(t);
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for the tensors of %s",
              bench_workload_name(workload, name));
  }
  list_outputs(t);
  fill_all(t, seed, threads);
  return PFL_STATUS_OK;
}

void tensors_spoil_outputs(bench_tensors *tensors) {
  const bench_workload *w = &tensors->workload;
  for (int i = 0; i < tensors->output_count; i++) {
    const bench_output *output = &tensors->outputs[i];
    memset(output->data, 0xff,
           (size_t)(w->batch * output->heads * output->length * w->head_dim) *
               pfl_dtype_size(w->dtype));
  }
}

/* ---- Calls ------------------------------------------------------------- */

pfl_status tensors_run_forward(bench_tensors *tensors, pfl_context *context,
                               pfl_error *error) {
  bench_tensors *t = tensors;
  pfl_attention attention = bench_workload_attention(&t->workload);
  pfl_forward_args args = {
      .struct_size = sizeof args,
      .q = t->q,
      .k = t->memory,
      .v = t->memory + t->v_offset,
      .sinks = t->sinks,
      .out_o = t->o,
      .out_lse = t->lse,
  };
  return pfl_attention_forward(context, &attention, &args, error);
}

static pfl_status run_backward(bench_tensors *t, pfl_context *context,
                               pfl_error *error) {
  pfl_attention attention = bench_workload_attention(&t->workload);
  pfl_backward_args args = {
      .struct_size = sizeof args,
      .q = t->q,
      .k = t->memory,
      .v = t->memory + t->v_offset,
      .o = t->o,
      .lse = t->lse,
      .d_o = t->d_o,
      .sinks = t->sinks,
      .out_dq = t->dq,
      .out_dk = t->dk,
      .out_dv = t->dv,
  };
  return pfl_attention_backward(context, &attention, &args, error);
}

static pfl_status run_decode(bench_tensors *t, pfl_context *context,
                             pfl_error *error) {
  pfl_decode decode = bench_workload_decode(&t->workload);
  char *copy = t->memory + (size_t)t->next * t->copy_bytes;
  bool scaled = t->workload.cache_dtype == PFL_DTYPE_I8;
  t->next = (t->next + 1) % t->copies;
  pfl_decode_args args = {
      .struct_size = sizeof args,
      .q = t->q,
      .k = copy,
      .v = copy + t->v_offset,
      .k_scale = scaled ? (const float *)(copy + t->k_scale_offset) : NULL,
      .v_scale = scaled ? (const float *)(copy + t->v_scale_offset) : NULL,
      .sinks = t->sinks,
      .out_o = t->o,
  };
  return pfl_attention_decode(context, &decode, &args, error);
}

pfl_status tensors_run(bench_tensors *tensors, pfl_context *context,
                       pfl_error *error) {
  switch (tensors->workload.op) {
    case BENCH_OP_FORWARD: return tensors_run_forward(tensors, context, error);
    case BENCH_OP_BACKWARD: return run_backward(tensors, context, error);
    case BENCH_OP_DECODE: return run_decode(tensors, context, error);
  }
  assert(!"an op");
  return PFL_STATUS_INTERNAL;
}

limits_ring tensors_ring(const bench_tensors *tensors) {
  const bench_tensors *t = tensors;
  return (limits_ring){t->memory, (size_t)t->copies * t->copy_bytes,
                       (size_t)t->next * t->copy_bytes};
}

/* ---- Files ------------------------------------------------------------- */

static safetensors_tensor file_tensor(const char *name, pfl_dtype dtype,
                                      int64_t batch, int64_t heads,
                                      int64_t length, int64_t width,
                                      void *data) {
  return (safetensors_tensor){
      .name = name,
      .dtype = dtype,
      .rank = width ? 4 : 3, /* scales have no width */
      .shape = {batch, heads, length, width},
      .data = data,
  };
}

pfl_status tensors_write(const bench_tensors *tensors, const char *path,
                         pfl_error *error) {
  const bench_tensors *t = tensors;
  const bench_workload *w = &t->workload;
  char *m = t->memory;
  int64_t B = w->batch, D = w->head_dim, Hq = w->q_heads, Hkv = w->kv_heads;
  int64_t Sq = w->q_length, Sk = w->kv_length, count = 3;
  pfl_dtype cache = w->cache_dtype;
  safetensors_tensor list[6] = {
      file_tensor("q", w->dtype, B, Hq, Sq, D, t->q),
      file_tensor("k", cache, B, Hkv, Sk, D, m),
      file_tensor("v", cache, B, Hkv, Sk, D, m + t->v_offset),
  };
  if (t->d_o) list[count++] = file_tensor("do", w->dtype, B, Hq, Sq, D, t->d_o);
  if (cache == PFL_DTYPE_I8) {
    list[count++] = file_tensor("k_scale", PFL_DTYPE_F32, B, Hkv, Sk, 0,
                                m + t->k_scale_offset);
    list[count++] = file_tensor("v_scale", PFL_DTYPE_F32, B, Hkv, Sk, 0,
                                m + t->v_scale_offset);
  }
  if (t->sinks)
    list[count++] = (safetensors_tensor){.name = "sinks",
                                         .dtype = PFL_DTYPE_F32,
                                         .rank = 1,
                                         .shape = {Hq},
                                         .data = t->sinks};
  return safetensors_write(path, list, count, NULL, error);
}
