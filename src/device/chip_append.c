#include <string.h>

#include "base/memory.h"
#include "device/chip_cache_parts.h"

enum { EXACT_MOST = 8, CHUNK_LEAST = 16, CHUNK_MOST = 1024 };

/* Tokens of a program that takes `left` tokens, or some of them: few programs
 * for any number. */
static int64_t chunk_of(int64_t left, int64_t batch) {
  int64_t chunk = CHUNK_LEAST;
  if (left <= EXACT_MOST) return left;
  while (chunk < left && chunk < CHUNK_MOST && 2 * chunk * batch <= 1 << 17)
    chunk *= 2;
  return chunk;
}

/* A part of an append: tokens `first` on, of which there are `tokens`. */
typedef struct append_part {
  const device_cache_append_args *args;
  int64_t first, tokens;
  int32_t *lengths, *counts, *sources; /* [B] of it */
  void *news[CACHE_TENSORS_MAX];       /* [B Hkv, tokens, row] */
} append_part;

static int32_t count_of(const device_cache_append_args *args, int64_t b) {
  return args->counts ? args->counts[b] : (int32_t)args->tokens;
}

/* Two sequences must not write to one page. */
static pfl_status check_written(const device_cache *cache,
                                const device_cache_append_args *args,
                                const int32_t *ends, pfl_error *error) {
  const device_cache_rows *rows = &args->rows;
  int64_t page = cache->options.page_length;
  const pfl_allocator *allocator = &cache->slice->allocator;
  size_t size = (size_t)cache->options.page_count * sizeof(int32_t);
  int32_t *writers = base_allocate(allocator, size);
  pfl_status status = PFL_STATUS_OK;
  if (!writers) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for an append");
  memset(writers, 0xff, size);
  for (int64_t b = 0; b < rows->batch && !status; b++)
    for (int64_t i = rows->lengths[b] / page;
         i * page < ends[b] && ends[b] > rows->lengths[b] && !status; i++) {
      int32_t *writer = &writers[rows->table[b * rows->columns + i]];
      if (*writer >= 0)
        status = base_error_set(
            error, PFL_STATUS_OUT_OF_RANGE,
            "block_table[%lld, %lld] is %d: sequence %d writes to it too",
            (long long)b, (long long)i, rows->table[b * rows->columns + i],
            *writer);
      *writer = (int32_t)b;
    }
  base_release(allocator, writers);
  return status;
}

static pfl_status check_sources(const device_cache *cache,
                                const device_cache_append_args *args,
                                pfl_error *error) {
  const device_cache_rows *rows = &args->rows;
  for (int64_t b = 0; args->sources && b < rows->batch; b++) {
    int64_t page = rows->lengths[b] / cache->options.page_length;
    int32_t source = args->sources[b];
    if (source < -1 || source >= cache->options.page_count ||
        (source >= 0 && source % cache->turn != page % cache->turn))
      PFL_RAISE(error, OUT_OF_RANGE,
                "sources[%lld] is %d: must be -1, or one of %lld pages that is "
                "%lld modulo %lld",
                (long long)b, source, (long long)cache->options.page_count,
                (long long)(page % cache->turn), (long long)cache->turn);
  }
  return PFL_STATUS_OK;
}

/* All that can be wrong with the numbers; `ends` is room for [B]. */
static pfl_status check_append(const device_cache *cache,
                               const device_cache_append_args *args,
                               int32_t *ends, pfl_error *error) {
  const device_cache_rows *rows = &args->rows;
  int64_t room = cache_room(cache, rows);
  PFL_TRY(device_lengths_check(rows->lengths, rows->batch, room, error));
  for (int64_t b = 0; b < rows->batch; b++) {
    int32_t count = count_of(args, b);
    if (count < 0 || count > args->tokens || rows->lengths[b] + count > room)
      PFL_RAISE(
          error, OUT_OF_RANGE,
          "sequence %lld has %d tokens and gets %d of %lld: there is room "
          "for %lld",
          (long long)b, rows->lengths[b], count, (long long)args->tokens,
          (long long)room);
    ends[b] = rows->lengths[b] + count;
  }
  if (!cache->options.page_length) return PFL_STATUS_OK;
  const device_table table = cache_table(cache, rows);
  PFL_TRY(device_table_check(&table, rows->lengths, ends, error));
  PFL_TRY(check_sources(cache, args, error));
  return check_written(cache, args, ends, error);
}

/* Rows of a part, [B Hkv, tokens], of those given; zeros beyond. */
static void take_rows(const device_cache *cache, const append_part *part,
                      const void *from, size_t row, void *to) {
  int64_t all = part->args->tokens;
  int64_t count = base_min(part->tokens, all - part->first);
  int64_t lists = part->args->rows.batch * cache->options.kv_heads;
  memset(to, 0, (size_t)(lists * part->tokens) * row);
  for (int64_t i = 0; i < lists; i++)
    memcpy((char *)to + (size_t)(i * part->tokens) * row,
           (const char *)from + (size_t)(i * all + part->first) * row,
           (size_t)count * row);
}

static void take_counts(const append_part *part) {
  const device_cache_append_args *args = part->args;
  for (int64_t b = 0; b < args->rows.batch; b++) {
    int64_t left = count_of(args, b) - part->first;
    int64_t done = base_min(part->first, count_of(args, b));
    part->lengths[b] = args->rows.lengths[b] + (int32_t)done;
    part->counts[b] = (int32_t)base_max(0, base_min(left, part->tokens));
    part->sources[b] =
        args->sources && !part->first ? args->sources[b] : (int32_t)-1;
  }
}

static pfl_status run_part(device_cache *cache, const append_part *part,
                           pfl_error *error) {
  static const char *const names[] = {"new_k", "new_v", "new_k_scale",
                                      "new_v_scale"};
  const device_cache_append_args *args = part->args;
  const void *const given[] = {args->k, args->v, args->k_scale, args->v_scale};
  cache_program_key key = {.op = KERNELS_APPEND};
  const pfl_decode one = {.q_heads = cache->options.kv_heads,
                          .q_length = part->tokens};
  PFL_TRY(cache_describe(cache, one, &args->rows, &key.problem, error));
  const attention_decode_problem *p = &key.problem;
  const int64_t widths[] = {p->D, p->Dv, 1, 1};
  device_tensor inputs[8];
  take_counts(part);
  int n = cache_add_rows(&args->rows, part->lengths, inputs);
  inputs[n++] =
      (device_tensor){"counts", PFL_DTYPE_I32, 1, {p->B}, part->counts};
  inputs[n++] =
      (device_tensor){"sources", PFL_DTYPE_I32, 1, {p->B}, part->sources};
  for (int i = 0; i < cache->tensor_count; i++) {
    pfl_dtype dtype = cache->tensors[i].tensor.dtype;
    size_t row = (size_t)widths[i] * pfl_dtype_size(dtype);
    take_rows(cache, part, given[i], row, part->news[i]);
    inputs[n++] = (device_tensor){names[i],
                                  dtype,
                                  i < 2 ? 4 : 3,
                                  {p->B, p->Hkv, part->tokens, widths[i]},
                                  part->news[i]};
  }
  return cache_run(cache, &key, inputs, n, NULL, 0, error);
}

/* Part after part. */
static pfl_status run_parts(device_cache *cache, append_part *part,
                            pfl_error *error) {
  int64_t all = part->args->tokens;
  for (part->first = 0; part->first < all; part->first += part->tokens) {
    part->tokens = chunk_of(all - part->first, part->args->rows.batch);
    PFL_TRY(run_part(cache, part, error));
  }
  return PFL_STATUS_OK;
}

/* Room for the largest part. */
static pfl_status make_room(const device_cache *cache,
                            const device_cache_append_args *args,
                            append_part *out, pfl_error *error) {
  const pfl_allocator *allocator = &cache->slice->allocator;
  int64_t batch = args->rows.batch;
  int64_t tokens = chunk_of(args->tokens, batch), items;
  *out = (append_part){.args = args};
  out->lengths =
      base_allocate(allocator, (size_t)batch * 3 * sizeof *out->lengths);
  bool full = out->lengths != NULL;
  out->counts = out->lengths + (full ? batch : 0);
  out->sources = out->counts + (full ? batch : 0);
  for (int i = 0; i < cache->tensor_count; i++) {
    const device_cache_options *o = &cache->options;
    int64_t dim = i == 1 && o->v_head_dim ? o->v_head_dim : o->head_dim;
    const int64_t sizes[] = {batch, o->kv_heads, tokens, i < 2 ? dim : 1, 4};
    if (base_product(sizes, 5, &items))
      out->news[i] = base_allocate(allocator, (size_t)items);
    full &= out->news[i] != NULL;
  }
  if (!full) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for an append");
  return PFL_STATUS_OK;
}

pfl_status device_cache_append(device_cache *cache,
                               const device_cache_append_args *args,
                               pfl_error *error) {
  const pfl_allocator *allocator = &cache->slice->allocator;
  append_part part;
  PFL_TRY(cache_check_rows(cache, &args->rows, error));
  if (args->tokens < 1 || !args->k || !args->v ||
      (cache->tensor_count > 2 && (!args->k_scale || !args->v_scale)))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "tokens is %lld: must be 1 or more, with k, v and the scales of "
              "int8",
              (long long)args->tokens);
  pfl_status status = make_room(cache, args, &part, error);
  if (!status) status = check_append(cache, args, part.lengths, error);
  if (!status) status = run_parts(cache, &part, error);
  for (int i = 0; i < CACHE_TENSORS_MAX; i++)
    base_release(allocator, part.news[i]);
  base_release(allocator, part.lengths);
  return status;
}
