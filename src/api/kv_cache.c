/* Calls on a cache: check, plan, reserve, run. Everything that can fail does so
 * before a token or an output is touched, and takes its plan back. */
#include "api/kv_cache.h"

#include <inttypes.h>
#include <string.h>

static pfl_status enter(pfl_cache *cache, pfl_error *error) {
  if (!cache) PFL_RAISE(error, INVALID_ARGUMENT, "cache is NULL");
  pthread_mutex_lock(&cache->context->mutex);
  return PFL_STATUS_OK;
}

static pfl_status leave(pfl_cache *cache, pfl_status status) {
  pthread_mutex_unlock(&cache->context->mutex);
  return status;
}

static pfl_status check_output(const char *name, const void *output,
                               pfl_error *error) {
  if (!output) PFL_RAISE(error, INVALID_ARGUMENT, "%s is NULL", name);
  return PFL_STATUS_OK;
}

/* ---- Sequences ----------------------------------------------------------- */

pfl_status pfl_sequence_create(pfl_cache *cache, pfl_sequence *out_sequence,
                               pfl_error *out_error) {
  int64_t slot = 0;
  PFL_TRY(check_output("out_sequence", out_sequence, out_error));
  PFL_TRY(enter(cache, out_error));
  pfl_status status = cache_ledger_open(&cache->ledger, &slot, out_error);
  if (!status) *out_sequence = cache_ledger_name(&cache->ledger, slot);
  return leave(cache, status);
}

pfl_status pfl_sequence_fork(pfl_cache *cache, pfl_sequence sequence,
                             int64_t length, pfl_sequence *out_sequence,
                             pfl_error *out_error) {
  int64_t slot = 0, fork = 0;
  PFL_TRY(check_output("out_sequence", out_sequence, out_error));
  PFL_TRY(enter(cache, out_error));
  pfl_status status =
      cache_ledger_find(&cache->ledger, sequence, &slot, out_error);
  if (!status)
    status = cache_ledger_fork(&cache->ledger, slot, length, &fork, out_error);
  if (!status) *out_sequence = cache_ledger_name(&cache->ledger, fork);
  return leave(cache, status);
}

pfl_status pfl_sequence_truncate(pfl_cache *cache, pfl_sequence sequence,
                                 int64_t length, pfl_error *out_error) {
  int64_t slot = 0;
  PFL_TRY(enter(cache, out_error));
  pfl_status status =
      cache_ledger_find(&cache->ledger, sequence, &slot, out_error);
  if (!status)
    status = cache_ledger_truncate(&cache->ledger, slot, length, out_error);
  return leave(cache, status);
}

pfl_status pfl_sequence_destroy(pfl_cache *cache, pfl_sequence sequence,
                                pfl_error *out_error) {
  int64_t slot = 0;
  PFL_TRY(enter(cache, out_error));
  pfl_status status =
      cache_ledger_find(&cache->ledger, sequence, &slot, out_error);
  if (!status) cache_ledger_close(&cache->ledger, slot);
  return leave(cache, status);
}

pfl_status pfl_sequence_length(pfl_cache *cache, pfl_sequence sequence,
                               int64_t *out_length, pfl_error *out_error) {
  int64_t slot = 0;
  PFL_TRY(check_output("out_length", out_length, out_error));
  PFL_TRY(enter(cache, out_error));
  pfl_status status =
      cache_ledger_find(&cache->ledger, sequence, &slot, out_error);
  if (!status) *out_length = cache->ledger.lengths[slot];
  return leave(cache, status);
}

pfl_status pfl_cache_clear(pfl_cache *cache, pfl_error *out_error) {
  PFL_TRY(enter(cache, out_error));
  for (int64_t slot = 0; slot < cache->shape.limits.sequence_count; slot++)
    if (cache->ledger.serials[slot]) cache_ledger_close(&cache->ledger, slot);
  return leave(cache, PFL_STATUS_OK);
}

/* ---- Questions ----------------------------------------------------------- */

pfl_status pfl_cache_measure(pfl_cache *cache, pfl_cache_usage *out_usage,
                             pfl_error *out_error) {
  PFL_TRY(attention_check_struct(out_usage, sizeof *out_usage,
                                 "pfl_cache_usage", out_error));
  PFL_TRY(enter(cache, out_error));
  const cache_limits *limits = &cache->shape.limits;
  *out_usage = (pfl_cache_usage){
      .struct_size = out_usage->struct_size,
      .sequence_count = limits->sequence_count - cache->ledger.free_slot_count,
      .sequence_room = limits->sequence_count,
      .page_count =
          limits->page_count - cache_ledger_free_pages(&cache->ledger),
      .page_room = limits->page_count,
      .page_length = limits->page_length,
      .sequence_length = limits->sequence_length,
      .bytes = host_pages_bytes(&cache->shape, limits->page_count)};
  return leave(cache, PFL_STATUS_OK);
}

pfl_status pfl_cache_list(pfl_cache *cache, int64_t capacity,
                          pfl_sequence *out_sequences, int64_t *out_count,
                          pfl_error *out_error) {
  PFL_TRY(check_output("out_count", out_count, out_error));
  if (capacity > 0)
    PFL_TRY(check_output("out_sequences", out_sequences, out_error));
  PFL_TRY(enter(cache, out_error));
  int64_t count = 0;
  for (int64_t slot = 0; slot < cache->shape.limits.sequence_count; slot++) {
    pfl_sequence sequence = cache_ledger_name(&cache->ledger, slot);
    if (!sequence) continue;
    if (count < capacity) out_sequences[count] = sequence;
    count++;
  }
  *out_count = count;
  return leave(cache, PFL_STATUS_OK);
}

static pfl_status check_read(const pfl_cache *cache,
                             const pfl_cache_read_args *args,
                             pfl_error *error) {
  size_t element = pfl_dtype_size(cache->shape.cache_dtype);
  PFL_TRY(attention_check_tensor("out_k", args->out_k, element, false, error));
  PFL_TRY(attention_check_tensor("out_v", args->out_v, element, false, error));
  PFL_TRY(attention_check_tensor("out_k_scale", args->out_k_scale,
                                 sizeof(float), false, error));
  PFL_TRY(attention_check_tensor("out_v_scale", args->out_v_scale,
                                 sizeof(float), false, error));
  if (cache->shape.cache_dtype != PFL_DTYPE_I8 &&
      (args->out_k_scale || args->out_v_scale))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "out_k_scale or out_v_scale is given: both must be NULL unless "
              "the cache is int8");
  return PFL_STATUS_OK;
}

static pfl_status read_tokens(const pfl_cache *cache,
                              const pfl_cache_read_args *args,
                              pfl_error *error) {
  int64_t slot = 0;
  PFL_TRY(check_read(cache, args, error));
  PFL_TRY(cache_ledger_find(&cache->ledger, args->sequence, &slot, error));
  int64_t length = cache->ledger.lengths[slot];
  if (args->begin < 0 || args->length < 0 ||
      args->begin > length - args->length)
    PFL_RAISE(error, OUT_OF_RANGE,
              "begin is %" PRId64 " and length %" PRId64
              ": must be within the %" PRId64 " tokens of the sequence",
              args->begin, args->length, length);
  if (!cache->chips) {
    host_pages_read(&cache->pages, &cache->ledger, slot, args);
    return PFL_STATUS_OK;
  }
  host_pages pages;
  PFL_TRY(kv_chips_fetch(cache, &pages, error));
  host_pages_read(&pages, &cache->ledger, slot, args);
  host_pages_release(&pages);
  return PFL_STATUS_OK;
}

pfl_status pfl_cache_read(pfl_cache *cache, const pfl_cache_read_args *args,
                          pfl_error *out_error) {
  PFL_TRY(attention_check_struct(args, sizeof *args, "pfl_cache_read_args",
                                 out_error));
  PFL_TRY(enter(cache, out_error));
  return leave(cache, read_tokens(cache, args, out_error));
}

/* ---- Tokens -------------------------------------------------------------- */

static pfl_status check_batch(int64_t batch, const pfl_sequence *sequences,
                              pfl_error *error) {
  if (batch < 0)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "batch is %" PRId64 ": must be at least 0", batch);
  return attention_check_tensor("sequences", sequences, sizeof *sequences,
                                batch > 0, error);
}

static pfl_status check_tokens(const pfl_cache *cache, const void *k,
                               const void *v, bool needed, pfl_error *error) {
  size_t element = pfl_dtype_size(cache->shape.dtype);
  PFL_TRY(attention_check_tensor("k", k, element, needed, error));
  return attention_check_tensor("v", v, element, needed, error);
}

/* The step was begun. */
static pfl_status write_tokens(pfl_cache *cache, const void *k, const void *v,
                               pfl_error *error) {
  const cache_ledger *ledger = &cache->ledger;
  if (!ledger->change_count || !ledger->step_tokens) return PFL_STATUS_OK;
  if (cache->chips) return kv_chips_append(cache, k, v, error);
  host_pages_append(&cache->pages, ledger, &cache->context->engine, k, v);
  return PFL_STATUS_OK;
}

static pfl_status append(pfl_cache *cache, const pfl_cache_append_args *args,
                         pfl_error *error) {
  PFL_TRY(check_batch(args->batch, args->sequences, error));
  if (args->length < 0)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "length is %" PRId64 ": must be at least 0", args->length);
  PFL_TRY(check_tokens(cache, args->k, args->v, args->batch && args->length,
                       error));
  PFL_TRY(cache_ledger_begin(&cache->ledger, args->sequences, args->batch,
                             args->length, error));
  pfl_status status = write_tokens(cache, args->k, args->v, error);
  cache_ledger_end(&cache->ledger, !status);
  return status;
}

pfl_status pfl_cache_append(pfl_cache *cache, const pfl_cache_append_args *args,
                            pfl_error *out_error) {
  PFL_TRY(attention_check_struct(args, sizeof *args, "pfl_cache_append_args",
                                 out_error));
  PFL_TRY(enter(cache, out_error));
  return leave(cache, append(cache, args, out_error));
}

static pfl_status make_problem(const pfl_cache *cache,
                               const pfl_cache_decode_args *args,
                               attention_decode_problem *out_problem,
                               pfl_error *error) {
  const cache_shape *shape = &cache->shape;
  return attention_decode_problem_init(
      &(pfl_decode){.struct_size = sizeof(pfl_decode),
                    .batch = args->batch,
                    .q_heads = args->q_heads,
                    .kv_heads = shape->Hkv,
                    .q_length = args->q_length,
                    .head_dim = shape->D,
                    .v_head_dim = shape->Dv,
                    .page_count = shape->limits.page_count,
                    .page_length = shape->limits.page_length,
                    .pages_per_sequence = cache->ledger.columns,
                    .dtype = shape->dtype,
                    .cache_dtype = shape->cache_dtype,
                    .scoring = args->scoring},
      out_problem, error);
}

void kv_cache_gather(pfl_cache *cache, int64_t tokens) {
  const cache_ledger *ledger = &cache->ledger;
  for (int64_t b = 0; b < ledger->change_count; b++) {
    int64_t slot = ledger->changes[b].slot;
    int64_t length = ledger->lengths[slot] + tokens;
    cache->lengths[b] = (int32_t)length;
    memcpy(cache->table + b * ledger->columns, cache_row_of(ledger, slot),
           (size_t)cache_pages_of(ledger, length) * sizeof *cache->table);
  }
}

/* Pages on chips have no address: the tables stand for them, for the checks. */
static pfl_decode_args decode_args(const pfl_cache *cache,
                                   const pfl_cache_decode_args *args) {
  const host_pages *pages = &cache->pages;
  bool scaled = cache->shape.cache_dtype == PFL_DTYPE_I8, chips = cache->chips;
  float *scales = scaled ? (float *)(void *)cache->table : NULL;
  return (pfl_decode_args){.struct_size = sizeof(pfl_decode_args),
                           .q = args->q,
                           .k = chips ? cache->table : pages->k,
                           .v = chips ? cache->table : pages->v,
                           .k_scale = chips ? scales : pages->k_scale,
                           .v_scale = chips ? scales : pages->v_scale,
                           .lengths = cache->lengths,
                           .block_table = cache->table,
                           .sinks = args->sinks,
                           .out_o = args->out_o,
                           .out_lse = args->out_lse};
}

static pfl_status run_on_chips(pfl_cache *cache,
                               const pfl_cache_decode_args *args,
                               pfl_error *error) {
  if (!args->batch) return PFL_STATUS_OK;
  if (args->k) PFL_TRY(write_tokens(cache, args->k, args->v, error));
  kv_cache_gather(cache, cache->ledger.step_tokens);
  return kv_chips_decode(cache, args, error);
}

/* The step was begun. */
static pfl_status run_step(pfl_cache *cache, const pfl_cache_decode_args *args,
                           const attention_decode_problem *problem,
                           pfl_error *error) {
  pfl_context *context = cache->context;
  kv_cache_gather(cache, cache->ledger.step_tokens);
  const pfl_decode_args on_pages = decode_args(cache, args);
  PFL_TRY(attention_check_decode(problem, &on_pages, error));
  if (cache->chips) return run_on_chips(cache, args, error);
  PFL_TRY(api_context_reserve(
      context, cpu_decode_workspace(&context->engine, problem), error));
  if (args->k) PFL_TRY(write_tokens(cache, args->k, args->v, error));
  cpu_decode(&context->engine, problem, &on_pages, context->workspace);
  return PFL_STATUS_OK;
}

static pfl_status decode(pfl_cache *cache, const pfl_cache_decode_args *args,
                         pfl_error *error) {
  attention_decode_problem problem;
  PFL_TRY(check_batch(args->batch, args->sequences, error));
  PFL_TRY(make_problem(cache, args, &problem, error));
  PFL_TRY(check_tokens(cache, args->k, args->v, false, error));
  if (!args->k != !args->v)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "%s is NULL and %s is not: give both or neither",
              args->k ? "v" : "k", args->k ? "k" : "v");
  PFL_TRY(cache_ledger_begin(&cache->ledger, args->sequences, args->batch,
                             args->k ? args->q_length : 0, error));
  pfl_status status = run_step(cache, args, &problem, error);
  cache_ledger_end(&cache->ledger, !status);
  return status;
}

pfl_status pfl_cache_decode(pfl_cache *cache, const pfl_cache_decode_args *args,
                            pfl_error *out_error) {
  PFL_TRY(attention_check_struct(args, sizeof *args, "pfl_cache_decode_args",
                                 out_error));
  PFL_TRY(enter(cache, out_error));
  return leave(cache, decode(cache, args, out_error));
}
