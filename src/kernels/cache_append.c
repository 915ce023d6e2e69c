/* Appends tokens to a KV cache in place: the program's outputs are its inputs'
 * memory, and only blocks that get new tokens are touched.
 *
 *   new k, v ──copies──> VMEM ──> laid out, a row a token ─┐
 *                                                          v
 *   cache ──the block──> VMEM ───────────────────────> the block with them
 *     ^                                                    │
 *     └────────────────────────────────────────────────────┘
 *
 * A block is what memory can be written by: a tile of rows (16 tokens in bf16)
 * of all heads, or 128 scales. One that gets nothing but new tokens is not
 * read. No two items of a call are one block, and the kernel talks to no other
 * chip: each has the new tokens and takes its own, which decode's plan says.
 *
 *   step i   block i is asked for; block i - slots / 2, which has come, is
 *            merged and sent back; block i - slots has arrived there */
#include <string.h>

#include "base/memory.h"
#include "kernels/append_kernel.h"
#include "kernels/writers.h"

mo_value *append_position(const append_kernel *k, mo_value *local) {
  mo_builder *b = k->b;
  const decode_kernel *cache = &k->cache;
  const decode_plan *plan = cache->plan;
  if (plan->chips == 1) return local;
  mo_value *turn = decode_over(cache, local, plan->unit);
  mo_value *rest = mo_and(b, local, decode_number(cache, plan->unit - 1));
  turn = mo_add(b, decode_times(cache, turn, plan->chips), k->cache.chip);
  return mo_add(b, decode_times(cache, turn, plan->unit), rest);
}

/* ---- What is to be done ---------------------------------------------------
 */

append_span append_span_of(const append_kernel *k, mo_value *sequence) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->cache.plan;
  mo_value *zero = mo_i32(b, 0), *room = decode_number(&k->cache, plan->Smax);
  mo_value *length = mo_get(b, k->cache.lengths_smem, MO_VALUES(sequence));
  length = mo_max(b, mo_min(b, length, room), zero);
  mo_value *count = mo_get(b, k->counts_smem, MO_VALUES(sequence));
  count = mo_min(b, count, decode_number(&k->cache, plan->T));
  count = mo_max(b, count, zero);
  return (append_span){length, mo_min(b, mo_add(b, length, count), room)};
}

static mo_value *list_part(const append_kernel *k, int row, mo_value *i) {
  return mo_get(k->b, k->list, MO_VALUES(mo_i32(k->b, row), i));
}

/* Lists this chip's blocks with new tokens; their number. */
static mo_value *list_blocks(const append_kernel *k, append_kind kind) {
  mo_builder *b = k->b;
  const decode_kernel *cache = &k->cache;
  int64_t tokens = k->plan->block[kind];
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  mo_value **in = mo_for(b, zero, decode_number(cache, k->plan->cache.B), one,
                         MO_VALUES(zero));
  mo_value *sequence = in[0], *count = in[1];
  append_span new = append_span_of(k, sequence);
  mo_value *begin = decode_local_count(cache, new.length);
  mo_value *end = decode_local_count(cache, new.end);
  mo_value *first = decode_over(cache, begin, tokens);
  mo_value *last =
      decode_over(cache, decode_plus(cache, end, tokens - 1), tokens);
  last = mo_select(b, mo_gt(b, end, begin), last, first);
  in = mo_for(b, first, last, one, MO_VALUES(count));
  mo_value *at = in[1];
  mo_set(b, sequence, k->list, MO_VALUES(zero, at));
  mo_set(b, in[0], k->list, MO_VALUES(one, at));
  count = mo_end(b, MO_VALUES(mo_add(b, at, one)))[0];
  return mo_end(b, MO_VALUES(count))[0];
}

static append_item item_at(const append_kernel *k, append_kind kind,
                           mo_value *i) {
  mo_builder *b = k->b;
  const decode_kernel *cache = &k->cache;
  int64_t tokens = k->plan->block[kind];
  append_item item = {.kind = kind,
                      .sequence = list_part(k, 0, i),
                      .number = list_part(k, 1, i)};
  append_span new = append_span_of(k, item.sequence);
  mo_value *base = decode_times(cache, item.number, tokens);
  item.length = new.length;
  item.low = mo_sub(b, decode_local_count(cache, new.length), base);
  item.high = mo_sub(b, decode_local_count(cache, new.end), base);
  mo_value *from_begin = mo_le(b, item.low, mo_i32(b, 0));
  mo_value *to_end = mo_ge(b, item.high, decode_number(cache, tokens));
  item.whole = mo_and(b, from_begin, to_end);
  item.slot = mo_and(b, i, decode_number(cache, k->plan->slots - 1));
  return item;
}

/* ---- Steps ----------------------------------------------------------------
 */

static void await_store(const append_kernel *k, append_kind kind, mo_value *i) {
  append_item item = item_at(k, kind, i);
  append_store(k, &item, true);
}

static void begin_block(const append_kernel *k, append_kind kind, mo_value *i,
                        mo_value *count) {
  mo_builder *b = k->b;
  mo_value *last = decode_plus(&k->cache, i, -k->plan->slots);
  mo_if(b, mo_lt(b, i, count));
  mo_if(b, mo_ge(b, last, mo_i32(b, 0)));
  await_store(k, kind, last);
  mo_end(b, MO_NONE);
  append_item item = item_at(k, kind, i);
  append_fetch(k, &item, false);
  mo_end(b, MO_NONE);
}

static void finish_block(const append_kernel *k, append_kind kind,
                         mo_value *i) {
  mo_builder *b = k->b;
  mo_if(b, mo_ge(b, i, mo_i32(b, 0)));
  append_item item = item_at(k, kind, i);
  append_fetch(k, &item, true);
  append_merge(k, &item);
  append_store(k, &item, false);
  mo_end(b, MO_NONE);
}

static void run_blocks(const append_kernel *k, append_kind kind) {
  mo_builder *b = k->b;
  const decode_kernel *cache = &k->cache;
  int64_t lag = k->plan->slots / 2;
  mo_value *zero = mo_i32(b, 0), *one = mo_i32(b, 1);
  mo_value *count = list_blocks(k, kind);
  mo_value *i =
      mo_for(b, zero, decode_plus(cache, count, lag), one, MO_NONE)[0];
  begin_block(k, kind, i, count);
  finish_block(k, kind, decode_plus(cache, i, -lag));
  mo_end(b, MO_NONE);
  mo_value *first = mo_max(b, decode_plus(cache, count, -k->plan->slots), zero);
  i = mo_for(b, first, count, one, MO_NONE)[0];
  await_store(k, kind, i);
  mo_end(b, MO_NONE);
}

/* ---- Tensors --------------------------------------------------------------
 */

static const char *const cache_names[] = {"k", "v", "k_scale", "v_scale"};

/* The cache's tensors once more, as what is written. */
static void declare_outputs(append_kernel *k, kernels_kernel *kernel) {
  decode_kernel *cache = &k->cache;
  mo_value **refs[] = {&cache->k, &cache->v, &cache->scales[0],
                       &cache->scales[1]};
  for (int i = 0; i < (cache->plan->scaled ? 4 : 2); i++) {
    const kernels_tensor *input = kernel->inputs;
    while (strcmp(input->name, cache_names[i])) input++;
    *refs[i] =
        decode_output(cache, kernel, input->name, input->dtype,
                      (mo_shape){input->rank, input->shape}, input->split);
    kernels_tensor *output = &kernel->outputs[kernel->output_count - 1];
    output->row = input->row;
    output->repeats = input->repeats;
    output->in_place = true;
  }
}

static void declare_news(append_kernel *k, kernels_kernel *kernel) {
  static const char *const names[] = {"new_k", "new_v"};
  static const char *const scale_names[] = {"new_k_scale", "new_v_scale"};
  const append_plan *plan = k->plan;
  const decode_plan *cache = &plan->cache;
  const int64_t dims[] = {cache->head_dim, cache->v_head_dim};
  kernels_split split = decode_by_heads(cache, 1, cache->Hkv);
  for (int v = 0; v < 2; v++) {
    k->news[v] =
        decode_input(&k->cache, kernel, names[v], cache->cache_dtype,
                     MO_SHAPE(cache->B, append_heads(plan),
                              append_rows(plan, cache->T), plan->lanes[v]),
                     split);
    decode_pad(&kernel->inputs[kernel->input_count - 1], dims[v]);
  }
  for (int v = 0; cache->scaled && v < 2; v++) {
    k->new_scales[v] = decode_input(
        &k->cache, kernel, scale_names[v], PFL_DTYPE_F32,
        MO_SHAPE(cache->B, cache->Hkv, 1, plan->all_scales), split);
    decode_pad(&kernel->inputs[kernel->input_count - 1], cache->T);
  }
}

static void declare_tensors(append_kernel *k, kernels_kernel *kernel) {
  static const kernels_split whole;
  mo_shape numbers = MO_SHAPE(base_max(2, k->plan->cache.B));
  k->cache.lengths =
      decode_input(&k->cache, kernel, "lengths", PFL_DTYPE_I32, numbers, whole);
  k->counts =
      decode_input(&k->cache, kernel, "counts", PFL_DTYPE_I32, numbers, whole);
  if (k->plan->cache.page)
    k->sources = decode_input(&k->cache, kernel, "sources", PFL_DTYPE_I32,
                              numbers, whole);
  declare_news(k, kernel);
  decode_declare_cache(&k->cache, kernel);
  declare_outputs(k, kernel);
}

static mo_value *semaphores(const append_kernel *k, mo_shape shape) {
  return mo_scratch(k->b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, shape);
}

static void declare_blocks(append_kernel *k) {
  mo_builder *b = k->b;
  const append_plan *plan = k->plan;
  const decode_plan *cache = &plan->cache;
  mo_element element = kernels_element(cache->cache_dtype);
  int64_t granule = cache->granule, rows = granule / cache->pack;
  const int64_t widths[] = {cache->width, cache->v_width};
  for (int v = 0; v < 2; v++) {
    k->blocks[v] =
        mo_scratch(b, MO_VMEM, element,
                   MO_SHAPE(plan->slots, cache->Hkv, rows, widths[v]));
    k->come[v] =
        mo_scratch(b, MO_VMEM, element,
                   MO_SHAPE(plan->slots, append_heads(plan),
                            append_rows(plan, plan->window), plan->lanes[v]));
    k->staged[v] = mo_scratch(
        b, MO_VMEM, MO_I32,
        MO_SHAPE(plan->lanes[v] / 128,
                 append_rows(plan, plan->window) + 2 * granule, 128));
    if (!cache->scaled) continue;
    k->scale_blocks[v] = mo_scratch(b, MO_VMEM, MO_F32,
                                    MO_SHAPE(plan->slots, cache->Hkv, 1, 128));
    k->scales_come[v] =
        mo_scratch(b, MO_VMEM, MO_F32,
                   MO_SHAPE(plan->slots, cache->Hkv, 1, plan->all_scales));
  }
}

static void declare_memory(append_kernel *k) {
  mo_builder *b = k->b;
  const decode_plan *cache = &k->plan->cache;
  mo_shape numbers = MO_SHAPE(base_max(2, cache->B));
  declare_blocks(k);
  k->cache.lengths_smem = mo_scratch(b, MO_SMEM, MO_I32, numbers);
  k->counts_smem = mo_scratch(b, MO_SMEM, MO_I32, numbers);
  k->list = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(2, k->plan->listed));
  k->cache.lengths_arrived = semaphores(k, MO_RANK_0);
  k->counts_arrived = semaphores(k, MO_RANK_0);
  k->fetched = semaphores(k, MO_SHAPE(k->plan->slots));
  k->stored = semaphores(k, MO_SHAPE(k->plan->slots));
  if (!cache->page) return;
  k->sources_smem = mo_scratch(b, MO_SMEM, MO_I32, numbers);
  k->sources_arrived = semaphores(k, MO_RANK_0);
  k->cache.table_smem = mo_scratch(
      b, MO_SMEM, MO_I32, MO_SHAPE(base_max(2, cache->B * cache->pages)));
  k->cache.table_arrived = semaphores(k, MO_RANK_0);
}

/* ---- The kernel -----------------------------------------------------------
 */

static void write_body(append_kernel *k) {
  mo_builder *b = k->b;
  decode_kernel *cache = &k->cache;
  if (cache->plan->chips > 1) cache->chip = mo_device_id(b);
  mo_copy(b, cache->lengths, cache->lengths_smem, cache->lengths_arrived);
  mo_copy(b, k->counts, k->counts_smem, k->counts_arrived);
  if (k->sources) mo_copy(b, k->sources, k->sources_smem, k->sources_arrived);
  if (cache->table)
    mo_copy(b, cache->table, cache->table_smem, cache->table_arrived);
  for (int v = 0; v < 2; v++) {
    const mo_type *type = k->staged[v] ? k->staged[v]->type : NULL;
    if (!type) return;
    mo_store_all(b,
                 mo_full(b, MO_I32, ((mo_shape){type->rank, type->shape}), 0),
                 k->staged[v]);
  }
  mo_wait_copy(b, cache->lengths, cache->lengths_smem, cache->lengths_arrived);
  mo_wait_copy(b, k->counts, k->counts_smem, k->counts_arrived);
  if (cache->table)
    mo_wait_copy(b, cache->table, cache->table_smem, cache->table_arrived);
  if (k->sources) {
    mo_wait_copy(b, k->sources, k->sources_smem, k->sources_arrived);
    append_copy_pages(k);
  }
  run_blocks(k, APPEND_ROWS);
  if (cache->plan->scaled) run_blocks(k, APPEND_SCALES);
}

static void count_costs(const append_plan *plan, kernels_kernel *kernel) {
  const decode_plan *cache = &plan->cache;
  int64_t blocks = base_ceil_div(cache->T, cache->granule) + 1;
  int64_t size = (int64_t)pfl_dtype_size(cache->cache_dtype);
  kernel->bytes_accessed = 2 * cache->B * cache->Hkv * blocks *
                           (cache->granule / cache->pack) *
                           (cache->width + cache->v_width) * size;
}

pfl_status kernels_append_write(const kernels_request *request,
                                const kernels_chip *chip,
                                const pfl_allocator *allocator,
                                kernels_program *program, pfl_error *error) {
  append_plan plan;
  PFL_TRY(append_plan_make(request, chip, &plan, error));
  program->name = "append";
  program->chips = plan.cache.over;
  append_plan_describe(&plan, program);
  kernels_kernel *kernel = &program->kernels[0];
  *kernel = (kernels_kernel){
      .name = "append",
      .bounds_unchecked = true,
      .semaphores_unchecked = true,
      .vmem_limit_bytes = chip->vmem_bytes - chip->vmem_bytes / 16};
  mo_builder b;
  mo_begin(&b, allocator);
  mo_kernel(&b, kernel->name, NULL);
  append_kernel k = {
      .b = &b, .plan = &plan, .cache = {.b = &b, .plan = &plan.cache}};
  declare_tensors(&k, kernel);
  declare_memory(&k);
  write_body(&k);
  mo_kernel_end(&b);
  PFL_TRY(mo_finish(&b, &kernel->module, error));
  program->kernel_count = 1;
  count_costs(&plan, kernel);
  return PFL_STATUS_OK;
}
