/* A cache whose pages lie in the memory of chips. */
#include <string.h>

#include "api/chip_calls.h"
#include "api/kv_cache.h"
#include "cpu/carve.h"

pfl_status kv_chips_create(pfl_cache *cache, pfl_error *error) {
  const cache_shape *shape = &cache->shape;
  const api_chips *chips = cache->context->chips;
  const device_slice *slice = api_chips_slice(chips);
  device_cache_options options = {.kv_heads = shape->Hkv,
                                  .head_dim = shape->D,
                                  .v_head_dim = shape->Dv,
                                  .dtype = shape->dtype,
                                  .cache_dtype = shape->cache_dtype,
                                  .page_length = shape->limits.page_length,
                                  .page_count = shape->limits.page_count,
                                  .chips = api_chips_count(chips)};
  pfl_status status =
      device_cache_create(slice, &options, &cache->chips, error);
  bool refused = status == PFL_STATUS_INVALID_ARGUMENT ||
                 status == PFL_STATUS_UNIMPLEMENTED;
  if (refused && options.chips > 1 && !api_chips_asked(chips)) {
    options.chips = 1;
    status = device_cache_create(slice, &options, &cache->chips, error);
  }
  if (!status)
    cache->shape.limits.chips = (int)device_cache_page_turn(cache->chips);
  return status;
}

static device_cache_rows rows_of(const pfl_cache *cache) {
  return (device_cache_rows){.batch = cache->ledger.change_count,
                             .lengths = cache->lengths,
                             .table = cache->table,
                             .columns = cache->ledger.columns};
}

/* Tokens as an int8 cache keeps them, in the workspace. */
typedef struct quantised {
  int8_t *k, *v;
  float *k_scale, *v_scale;
} quantised;

static quantised carve(const cache_shape *shape, int64_t rows,
                       cpu_carver *carver) {
  quantised q;
  q.k = cpu_carve(carver, rows, (size_t)shape->D);
  q.v = cpu_carve(carver, rows, (size_t)shape->Dv);
  q.k_scale = cpu_carve_floats(carver, rows);
  q.v_scale = cpu_carve_floats(carver, rows);
  return q;
}

static pfl_status quantise(pfl_cache *cache, device_cache_append_args *args,
                           pfl_error *error) {
  const cache_shape *shape = &cache->shape;
  pfl_context *context = cache->context;
  int64_t rows = args->rows.batch * shape->Hkv * args->tokens;
  cpu_carver carver = {NULL, 0};
  carve(shape, rows, &carver);
  PFL_TRY(api_context_reserve(context, carver.used, error));
  carver = (cpu_carver){context->workspace, 0};
  quantised q = carve(shape, rows, &carver);
  const cpu_kernels *kernels = &context->engine.kernels;
  host_quantise(kernels, shape->dtype, args->k, shape->D, rows, q.k, q.k_scale);
  host_quantise(kernels, shape->dtype, args->v, shape->Dv, rows, q.v,
                q.v_scale);
  args->k = q.k;
  args->v = q.v;
  args->k_scale = q.k_scale;
  args->v_scale = q.v_scale;
  return PFL_STATUS_OK;
}

pfl_status kv_chips_append(pfl_cache *cache, const void *k, const void *v,
                           pfl_error *error) {
  const cache_ledger *ledger = &cache->ledger;
  /* the table with the step's pages, the lengths without its tokens */
  kv_cache_gather(cache, ledger->step_tokens);
  for (int64_t b = 0; b < ledger->change_count; b++) {
    cache->lengths[b] = ledger->lengths[ledger->changes[b].slot];
    cache->sources[b] = ledger->changes[b].copied_from;
  }
  device_cache_append_args args = {.rows = rows_of(cache),
                                   .tokens = ledger->step_tokens,
                                   .k = k,
                                   .v = v,
                                   .sources = cache->sources};
  if (cache->shape.cache_dtype == PFL_DTYPE_I8)
    PFL_TRY(quantise(cache, &args, error));
  return device_cache_append(cache->chips, &args, error);
}

/* Results go through the workspace: the caller's memory is not touched before
 * all of them have come. */
pfl_status kv_chips_decode(pfl_cache *cache, const pfl_cache_decode_args *args,
                           pfl_error *error) {
  pfl_context *context = cache->context;
  int64_t rows = args->batch * args->q_heads * args->q_length;
  size_t size = (size_t)cache->shape.Dv * pfl_dtype_size(cache->shape.dtype);
  cpu_carver carver = {NULL, 0};
  cpu_carve(&carver, rows, size);
  cpu_carve_floats(&carver, rows);
  PFL_TRY(api_context_reserve(context, carver.used, error));
  carver = (cpu_carver){context->workspace, 0};
  void *o = cpu_carve(&carver, rows, size);
  float *lse = cpu_carve_floats(&carver, rows);
  const device_cache_decode_args decode = {
      .rows = rows_of(cache),
      .q_heads = args->q_heads,
      .q_length = args->q_length,
      .scoring = args->scoring,
      .q = args->q,
      .sinks = args->sinks,
      .out_o = o,
      .out_lse = args->out_lse ? lse : NULL};
  PFL_TRY(device_cache_decode(cache->chips, &decode, error));
  memcpy(args->out_o, o, (size_t)rows * size);
  if (args->out_lse) memcpy(args->out_lse, lse, (size_t)rows * sizeof *lse);
  return PFL_STATUS_OK;
}

static device_cache_content content_of(const host_pages *pages) {
  return (device_cache_content){pages->k, pages->v, pages->k_scale,
                                pages->v_scale};
}

pfl_status kv_chips_fetch(const pfl_cache *cache, host_pages *out_pages,
                          pfl_error *error) {
  PFL_TRY(host_pages_init(&cache->shape, cache->shape.limits.page_count,
                          &cache->context->allocator, out_pages, error));
  const device_cache_content content = content_of(out_pages);
  pfl_status status = device_cache_read(cache->chips, &content, error);
  if (status) host_pages_release(out_pages);
  return status;
}

pfl_status kv_chips_store(pfl_cache *cache, const host_pages *pages,
                          pfl_error *error) {
  const device_cache_content content = content_of(pages);
  return device_cache_write(cache->chips, &content, error);
}
