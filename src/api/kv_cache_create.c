/* Caches made, from options or from a file. */
#include <inttypes.h>
#include <string.h>

#include "api/kv_cache.h"
#include "cache/snapshot.h"

enum { PAGE_LENGTH = 64 };

static pfl_status check_count(const char *name, int64_t count,
                              pfl_error *error) {
  if (count < 1 || count > INT32_MAX)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s is %" PRId64 ": must be 1 to %" PRId32, name, count,
              INT32_MAX);
  return PFL_STATUS_OK;
}

static pfl_status resolve_limits(const pfl_cache_options *options,
                                 cache_limits *out, pfl_error *error) {
  cache_limits limits = {
      .page_length = options->page_length ? options->page_length : PAGE_LENGTH,
      .page_count = options->page_count,
      .sequence_count = options->sequence_count,
      .sequence_length = options->sequence_length,
      .chips = 1};
  PFL_TRY(check_count("page_length", limits.page_length, error));
  PFL_TRY(check_count("page_count", limits.page_count, error));
  PFL_TRY(check_count("sequence_count", limits.sequence_count, error));
  if (!limits.sequence_length)
    limits.sequence_length =
        base_min(limits.page_count * limits.page_length, INT32_MAX);
  PFL_TRY(check_count("sequence_length", limits.sequence_length, error));
  *out = limits;
  return PFL_STATUS_OK;
}

/* Decode from all of the cache must be a problem that there can be. */
static pfl_status resolve_shape(const pfl_cache_options *options,
                                cache_shape *out, pfl_error *error) {
  cache_limits limits;
  attention_decode_problem problem;
  PFL_TRY(attention_check_struct(options, sizeof *options, "pfl_cache_options",
                                 error));
  PFL_TRY(resolve_limits(options, &limits, error));
  PFL_TRY(check_count("kv_heads", options->kv_heads, error));
  const pfl_decode decode = {.struct_size = sizeof decode,
                             .batch = limits.sequence_count,
                             .q_heads = options->kv_heads,
                             .kv_heads = options->kv_heads,
                             .q_length = 1,
                             .head_dim = options->head_dim,
                             .v_head_dim = options->v_head_dim,
                             .page_count = limits.page_count,
                             .page_length = limits.page_length,
                             .pages_per_sequence = base_ceil_div(
                                 limits.sequence_length, limits.page_length),
                             .dtype = options->dtype,
                             .cache_dtype = options->cache_dtype};
  PFL_TRY(attention_decode_problem_init(&decode, &problem, error));
  *out = (cache_shape){.Hkv = problem.Hkv,
                       .D = problem.D,
                       .Dv = problem.Dv,
                       .dtype = problem.dtype,
                       .cache_dtype = problem.cache_dtype,
                       .limits = limits};
  const int64_t sizes[] = {limits.page_count, problem.Hkv, limits.page_length,
                           host_token_bytes(out)};
  int64_t bytes;
  if (!base_product(sizes, 4, &bytes))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%" PRId64 " pages of %" PRId64
              " tokens are too large: their "
              "bytes must fit 63 bits",
              limits.page_count, limits.page_length);
  return PFL_STATUS_OK;
}

/* The pages first: what there is no memory for costs no time. */
static pfl_status allocate(pfl_cache *cache, pfl_error *error) {
  const pfl_allocator *allocator = &cache->context->allocator;
  size_t slots = (size_t)cache->shape.limits.sequence_count;
  if (cache->context->chips)
    PFL_TRY(kv_chips_create(cache, error));
  else
    PFL_TRY(host_pages_init(&cache->shape, cache->shape.limits.page_count,
                            allocator, &cache->pages, error));
  PFL_TRY(cache_ledger_init(&cache->shape.limits, allocator, &cache->ledger,
                            error));
  size_t places = slots * (size_t)cache->ledger.columns;
  cache->lengths = base_allocate(allocator, 2 * slots * sizeof *cache->lengths);
  cache->table = base_allocate(allocator, places * sizeof *cache->table);
  if (!cache->lengths || !cache->table)
    PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cache's tables");
  cache->sources = cache->lengths + slots;
  memset(cache->table, 0, places * sizeof *cache->table);
  return PFL_STATUS_OK;
}

pfl_status pfl_cache_create(pfl_context *context,
                            const pfl_cache_options *options,
                            pfl_cache **out_cache, pfl_error *out_error) {
  cache_shape shape;
  if (!context) PFL_RAISE(out_error, INVALID_ARGUMENT, "context is NULL");
  if (!out_cache) PFL_RAISE(out_error, INVALID_ARGUMENT, "out_cache is NULL");
  PFL_TRY(resolve_shape(options, &shape, out_error));
  pthread_mutex_lock(&context->mutex);
  pfl_cache *cache = base_allocate(&context->allocator, sizeof *cache);
  pfl_status status =
      cache ? PFL_STATUS_OK
            : base_error_set(out_error, PFL_STATUS_RESOURCE_EXHAUSTED,
                             "no memory for a cache");
  if (cache) {
    *cache = (pfl_cache){.context = context, .shape = shape};
    status = allocate(cache, out_error);
  }
  pthread_mutex_unlock(&context->mutex);
  if (status)
    pfl_cache_destroy(cache);
  else
    *out_cache = cache;
  return status;
}

void pfl_cache_destroy(pfl_cache *cache) {
  if (!cache) return;
  pfl_context *context = cache->context;
  pthread_mutex_lock(&context->mutex);
  cache_ledger_release(&cache->ledger);
  host_pages_release(&cache->pages);
  device_cache_destroy(cache->chips);
  base_release(&context->allocator, cache->lengths);
  base_release(&context->allocator, cache->table);
  base_release(&context->allocator, cache);
  pthread_mutex_unlock(&context->mutex);
}

static pfl_status save(const pfl_cache *cache, const char *path,
                       pfl_error *error) {
  if (!cache->chips)
    return cache_snapshot_write(path, &cache->ledger, &cache->pages, error);
  host_pages pages;
  PFL_TRY(kv_chips_fetch(cache, &pages, error));
  pfl_status status = cache_snapshot_write(path, &cache->ledger, &pages, error);
  host_pages_release(&pages);
  return status;
}

pfl_status pfl_cache_save(pfl_cache *cache, const char *path,
                          pfl_error *out_error) {
  if (!cache) PFL_RAISE(out_error, INVALID_ARGUMENT, "cache is NULL");
  if (!path) PFL_RAISE(out_error, INVALID_ARGUMENT, "path is NULL");
  pthread_mutex_lock(&cache->context->mutex);
  pfl_status status = save(cache, path, out_error);
  pthread_mutex_unlock(&cache->context->mutex);
  return status;
}

static pfl_status apply(pfl_cache *cache, const char *path,
                        const safetensors_file *file, pfl_error *error) {
  if (!cache->chips)
    return cache_snapshot_apply(path, file, &cache->ledger, &cache->pages,
                                error);
  host_pages pages;
  PFL_TRY(host_pages_init(&cache->shape, cache->shape.limits.page_count,
                          &cache->context->allocator, &pages, error));
  host_pages_clear(&pages);
  pfl_status status =
      cache_snapshot_apply(path, file, &cache->ledger, &pages, error);
  if (!status) status = kv_chips_store(cache, &pages, error);
  host_pages_release(&pages);
  return status;
}

static pfl_status load(pfl_cache *cache, const char *path, pfl_error *error) {
  safetensors_file file;
  PFL_TRY(safetensors_read(path, &cache->context->allocator, &file, error));
  pfl_status status = apply(cache, path, &file, error);
  safetensors_release(&file);
  return status;
}

pfl_status pfl_cache_load(pfl_context *context,
                          const pfl_cache_options *options, const char *path,
                          pfl_cache **out_cache, pfl_error *out_error) {
  pfl_cache *cache = NULL;
  if (!path) PFL_RAISE(out_error, INVALID_ARGUMENT, "path is NULL");
  if (!out_cache) PFL_RAISE(out_error, INVALID_ARGUMENT, "out_cache is NULL");
  PFL_TRY(pfl_cache_create(context, options, &cache, out_error));
  pthread_mutex_lock(&context->mutex);
  pfl_status status = load(cache, path, out_error);
  pthread_mutex_unlock(&context->mutex);
  if (status)
    pfl_cache_destroy(cache);
  else
    *out_cache = cache;
  return status;
}
