#include "device/chip_cache_parts.h"

#include <string.h>

#include "base/memory.h"

/* ---- Programs ------------------------------------------------------------ */

pfl_status cache_describe(const device_cache *cache, pfl_decode decode,
                          const device_cache_rows *rows,
                          attention_decode_problem *out, pfl_error *error) {
  const device_cache_options *o = &cache->options;
  decode.struct_size = sizeof decode;
  decode.batch = rows->batch;
  decode.kv_heads = o->kv_heads;
  decode.head_dim = o->head_dim;
  decode.v_head_dim = o->v_head_dim;
  decode.dtype = o->dtype;
  decode.cache_dtype = o->cache_dtype;
  decode.page_length = o->page_length;
  decode.page_count = o->page_count;
  decode.pages_per_sequence = o->page_length ? rows->columns : 0;
  decode.cache_length = o->page_length ? 0 : o->sequence_length;
  return attention_decode_problem_init(&decode, out, error);
}

static bool same_problem(const attention_decode_problem *a,
                         const attention_decode_problem *b) {
  return a->B == b->B && a->Hq == b->Hq && a->T == b->T &&
         a->pages_per_sequence == b->pages_per_sequence &&
         a->scale == b->scale && a->softcap == b->softcap &&
         a->window.left == b->window.left;
}

static void drop_program(device_cache *cache, int i) {
  device_program_release(cache->slice, &cache->programs[i]->program);
  base_release(&cache->slice->allocator, cache->programs[i]);
  cache->programs[i] = cache->programs[--cache->program_count];
}

static void drop_oldest(device_cache *cache) {
  int oldest = 0;
  for (int i = 1; i < cache->program_count; i++)
    if (cache->programs[i]->used < cache->programs[oldest]->used) oldest = i;
  drop_program(cache, oldest);
}

static kernels_request request_of(const device_cache *cache,
                                  const cache_program_key *key,
                                  const kernels_tile *by_tokens) {
  bool choose = cache->options.by_tokens && cache->chips > 1;
  return (kernels_request){.op = key->op,
                           .decode = &key->problem,
                           .lse = key->lse,
                           .sinks = key->sinks,
                           .chips = cache->chips,
                           .target = cache->slice->target,
                           .tiles = by_tokens,
                           .tile_count = choose};
}

static const kernels_tile by_tokens = {"head_chips", 1};

/* The program for it, made if there is none. */
static pfl_status find_program(device_cache *cache,
                               const cache_program_key *key,
                               const device_program **out, pfl_error *error) {
  for (int i = 0; i < cache->program_count; i++) {
    cache_program *kept = cache->programs[i];
    if (kept->key.op != key->op || kept->key.lse != key->lse ||
        kept->key.sinks != key->sinks ||
        !same_problem(&kept->key.problem, &key->problem))
      continue;
    kept->used = ++cache->uses;
    *out = &kept->program;
    return PFL_STATUS_OK;
  }
  cache_program *made = base_allocate(&cache->slice->allocator, sizeof *made);
  if (!made) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a program");
  made->key = *key;
  made->used = ++cache->uses;
  kernels_request request = request_of(cache, &made->key, &by_tokens);
  pfl_status status =
      device_prepare(cache->slice, &request, &made->program, error);
  if (status) {
    base_release(&cache->slice->allocator, made);
    return status;
  }
  if (cache->program_count == CACHE_PROGRAMS_MAX) drop_oldest(cache);
  cache->programs[cache->program_count++] = made;
  *out = &made->program;
  return PFL_STATUS_OK;
}

/* ---- Creation ------------------------------------------------------------ */

/* The cache's tensors, as every program for it has them. */
static pfl_status create_tensors(device_cache *cache,
                                 const kernels_kernel *kernel,
                                 pfl_error *error) {
  static const char *const names[] = {"k", "v", "k_scale", "v_scale"};
  for (int n = 0; n < CACHE_TENSORS_MAX; n++)
    for (int i = 0; i < kernel->input_count; i++) {
      if (strcmp(kernel->inputs[i].name, names[n])) continue;
      PFL_TRY(device_resident_create(cache->slice, &kernel->inputs[i],
                                     cache->chips, &cache->tensors[n], error));
      cache->tensor_count = n + 1;
    }
  return PFL_STATUS_OK;
}

/* Writes, and does not compile, the smallest program: it says how the cache
 * lies. */
static pfl_status lay_out(device_cache *cache, pfl_error *error) {
  const device_cache_options *o = &cache->options;
  cache_program_key key = {.op = KERNELS_APPEND};
  const device_cache_rows rows = {.batch = o->page_length ? 1 : o->batch,
                                  .columns = 1};
  const pfl_decode one = {.q_heads = o->kv_heads, .q_length = 1};
  kernels_program program;
  PFL_TRY(cache_describe(cache, one, &rows, &key.problem, error));
  kernels_request request = request_of(cache, &key, &by_tokens);
  PFL_TRY(kernels_write(&request, &cache->slice->allocator, &program, error));
  const kernels_kernel *kernel = &program.kernels[0];
  for (int i = 0; i < kernel->input_count; i++)
    if (!strcmp(kernel->inputs[i].name, "block_table") &&
        kernel->inputs[i].split.split)
      cache->turn = cache->chips;
  pfl_status status = create_tensors(cache, kernel, error);
  kernels_program_release(&program);
  return status;
}

pfl_status device_cache_create(const device_slice *slice,
                               const device_cache_options *options,
                               device_cache **out_cache, pfl_error *error) {
  device_cache *cache = base_allocate(&slice->allocator, sizeof *cache);
  if (!cache) PFL_RAISE(error, RESOURCE_EXHAUSTED, "no memory for a cache");
  *cache = (device_cache){.slice = slice,
                          .options = *options,
                          .chips = options->chips ? options->chips : 1,
                          .turn = 1};
  pfl_status status = lay_out(cache, error);
  if (status)
    device_cache_destroy(cache);
  else
    *out_cache = cache;
  return status;
}

void device_cache_destroy(device_cache *cache) {
  if (!cache) return;
  while (cache->program_count) drop_program(cache, 0);
  for (int i = 0; i < CACHE_TENSORS_MAX; i++)
    device_resident_release(cache->slice, &cache->tensors[i]);
  base_release(&cache->slice->allocator, cache);
}

int64_t device_cache_page_turn(const device_cache *cache) {
  return cache->turn;
}

/* ---- Checks -------------------------------------------------------------- */

pfl_status cache_check_rows(const device_cache *cache,
                            const device_cache_rows *rows, pfl_error *error) {
  const device_cache_options *o = &cache->options;
  if (rows->batch < 1 || !rows->lengths ||
      (o->page_length && (!rows->table || rows->columns < 1)))
    PFL_RAISE(error, INVALID_ARGUMENT,
              "batch is %lld: must be 1 or more, with lengths and, of pages, a "
              "table",
              (long long)rows->batch);
  if (!o->page_length && rows->batch != o->batch)
    PFL_RAISE(error, INVALID_ARGUMENT,
              "batch is %lld: must be %lld, as the cache has",
              (long long)rows->batch, (long long)o->batch);
  for (int i = 0; i < cache->tensor_count; i++)
    PFL_TRY(device_resident_check(&cache->tensors[i], error));
  return PFL_STATUS_OK;
}

int64_t cache_room(const device_cache *cache, const device_cache_rows *rows) {
  const device_cache_options *o = &cache->options;
  return o->page_length ? rows->columns * o->page_length : o->sequence_length;
}

device_table cache_table(const device_cache *cache,
                         const device_cache_rows *rows) {
  return (device_table){.entries = rows->table,
                        .batch = rows->batch,
                        .columns = rows->columns,
                        .page_length = cache->options.page_length,
                        .page_count = cache->options.page_count,
                        .turn = cache->turn};
}

/* ---- Running ------------------------------------------------------------- */

pfl_status cache_run(device_cache *cache, const cache_program_key *key,
                     const device_tensor *inputs, int input_count,
                     const device_tensor *outputs, int output_count,
                     pfl_error *error) {
  const device_program *program = NULL;
  device_resident *residents[CACHE_TENSORS_MAX];
  device_times times;
  for (int i = 0; i < cache->tensor_count; i++)
    residents[i] = &cache->tensors[i];
  PFL_TRY(find_program(cache, key, &program, error));
  return device_run_resident(cache->slice, program, inputs, input_count,
                             outputs, output_count, residents,
                             cache->tensor_count, &times, error);
}

int cache_add_rows(const device_cache_rows *rows, const int32_t *lengths,
                   device_tensor *out) {
  int n = 0;
  out[n++] = (device_tensor){
      "lengths", PFL_DTYPE_I32, 1, {rows->batch}, (void *)(uintptr_t)lengths};
  if (rows->table)
    out[n++] = (device_tensor){"block_table",
                               PFL_DTYPE_I32,
                               2,
                               {rows->batch, rows->columns},
                               (void *)(uintptr_t)rows->table};
  return n;
}

pfl_status device_cache_decode(device_cache *cache,
                               const device_cache_decode_args *args,
                               pfl_error *error) {
  const device_cache_rows *rows = &args->rows;
  cache_program_key key = {.op = KERNELS_DECODE,
                           .lse = args->out_lse != NULL,
                           .sinks = args->sinks != NULL};
  const pfl_decode decode = {.q_heads = args->q_heads,
                             .q_length = args->q_length,
                             .scoring = args->scoring};
  PFL_TRY(cache_check_rows(cache, rows, error));
  PFL_TRY(device_lengths_check(rows->lengths, rows->batch,
                               cache_room(cache, rows), error));
  const device_table table = cache_table(cache, rows);
  if (cache->options.page_length)
    PFL_TRY(device_table_check(&table, NULL, rows->lengths, error));
  PFL_TRY(cache_describe(cache, decode, rows, &key.problem, error));
  const attention_decode_problem *p = &key.problem;
  device_tensor inputs[4];
  int n = cache_add_rows(rows, rows->lengths, inputs);
  inputs[n++] = (device_tensor){
      "q", p->dtype, 4, {p->B, p->Hq, p->T, p->D}, (void *)(uintptr_t)args->q};
  inputs[n++] = (device_tensor){
      "sinks", PFL_DTYPE_F32, 1, {p->Hq}, (void *)(uintptr_t)args->sinks};
  const device_tensor outputs[] = {
      {"o", p->dtype, 4, {p->B, p->Hq, p->T, p->Dv}, args->out_o},
      {"lse", PFL_DTYPE_F32, 3, {p->B, p->Hq, p->T}, args->out_lse}};
  return cache_run(cache, &key, inputs, n, outputs, args->out_lse ? 2 : 1,
                   error);
}

/* ---- All of it ----------------------------------------------------------- */

static device_tensor content_of(const device_cache *cache,
                                const device_cache_content *content, int i) {
  const device_cache_options *o = &cache->options;
  void *const data[] = {content->k, content->v, content->k_scale,
                        content->v_scale};
  int64_t dim = i == 1 && o->v_head_dim ? o->v_head_dim : o->head_dim;
  return (device_tensor){
      cache->tensors[i].tensor.name,
      cache->tensors[i].tensor.dtype,
      i < 2 ? 4 : 3,
      {o->page_length ? o->page_count : o->batch, o->kv_heads,
       o->page_length ? o->page_length : o->sequence_length, dim},
      data[i]};
}

pfl_status device_cache_read(const device_cache *cache,
                             const device_cache_content *content,
                             pfl_error *error) {
  for (int i = 0; i < cache->tensor_count; i++) {
    const device_tensor whole = content_of(cache, content, i);
    PFL_TRY(
        device_resident_read(cache->slice, &cache->tensors[i], &whole, error));
  }
  return PFL_STATUS_OK;
}

pfl_status device_cache_write(device_cache *cache,
                              const device_cache_content *content,
                              pfl_error *error) {
  for (int i = 0; i < cache->tensor_count; i++) {
    const device_tensor whole = content_of(cache, content, i);
    PFL_TRY(
        device_resident_write(cache->slice, &cache->tensors[i], &whole, error));
  }
  return PFL_STATUS_OK;
}
