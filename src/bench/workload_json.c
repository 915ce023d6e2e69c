#include "bench/workload_json.h"

#include <string.h>

enum { SIZE_MOST = 1 << 30 };

void workload_json_write(json_writer *json, const bench_workload *workload) {
  const bench_workload *w = workload;
  json_write_string(json, "op", bench_op_name(w->op));
  json_write_string(json, "dtype", pfl_dtype_name(w->dtype));
  json_write_string(json, "cache_dtype", pfl_dtype_name(w->cache_dtype));
  json_write_int64(json, "batch", w->batch);
  json_write_int64(json, "q_heads", w->q_heads);
  json_write_int64(json, "kv_heads", w->kv_heads);
  json_write_int64(json, "q_length", w->q_length);
  json_write_int64(json, "kv_length", w->kv_length);
  json_write_int64(json, "head_dim", w->head_dim);
  json_write_bool(json, "causal", w->causal);
  json_write_int64(json, "window", w->window);
  json_write_double(json, "softcap", w->softcap);
  json_write_bool(json, "sinks", w->sinks);
}

static pfl_dtype read_dtype(json_fields *f, const char *key) {
  const char *name = fields_word(f, key);
  for (int dtype = PFL_DTYPE_F32; dtype <= PFL_DTYPE_I8; dtype++)
    if (!strcmp(pfl_dtype_name((pfl_dtype)dtype), name))
      return (pfl_dtype)dtype;
  fields_refuse(f, key, "a dtype");
  return PFL_DTYPE_F32;
}

bench_workload workload_json_read(json_fields *fields) {
  json_fields *f = fields;
  bench_workload w = {
      .model = "",
      .layers = 1,
      .batch = fields_int64(f, "batch", 1, SIZE_MOST),
      .q_heads = fields_int64(f, "q_heads", 1, SIZE_MOST),
      .kv_heads = fields_int64(f, "kv_heads", 1, SIZE_MOST),
      .q_length = fields_int64(f, "q_length", 1, SIZE_MOST),
      .kv_length = fields_int64(f, "kv_length", 1, SIZE_MOST),
      .head_dim = fields_int64(f, "head_dim", 1, PFL_HEAD_DIM_MAX),
      .causal = fields_bool(f, "causal"),
      .window = fields_int64(f, "window", 0, SIZE_MOST),
      .softcap = fields_number(f, "softcap", 0, 1e30),
      .sinks = fields_bool(f, "sinks"),
      .dtype = read_dtype(f, "dtype"),
      .cache_dtype = read_dtype(f, "cache_dtype"),
  };
  if (!bench_op_find(fields_word(f, "op"), &w.op))
    fields_refuse(f, "op", "forward, backward or decode");
  return w;
}
