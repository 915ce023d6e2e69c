/* The decode kernel's tensors, how they are spread over the chips, and its
 * memory. */
#include "base/memory.h"
#include "kernels/decode_kernel.h"

/* ---- Tensors --------------------------------------------------------------
 */

static const kernels_split whole;

kernels_split decode_by_heads(const decode_plan *plan, int dimension,
                              int64_t heads) {
  return plan->by_heads ? (kernels_split){.split = true,
                                          .dimension = dimension,
                                          .unit = heads}
                        : whole;
}

mo_value *decode_input(const decode_kernel *k, kernels_kernel *kernel,
                       const char *name, pfl_dtype dtype, mo_shape shape,
                       kernels_split split) {
  kernels_tensor *tensor = kernels_input_add(kernel, name, dtype, shape);
  /* else XLA brings it to VMEM first, and the kernel waits for that */
  tensor->pinned = true;
  tensor->split = split;
  return mo_operand(k->b, MO_HBM, kernels_element(dtype), shape);
}

mo_value *decode_output(const decode_kernel *k, kernels_kernel *kernel,
                        const char *name, pfl_dtype dtype, mo_shape shape,
                        kernels_split split) {
  kernels_tensor *tensor = kernels_output_add(kernel, name, dtype, shape);
  tensor->pinned = true;
  tensor->split = split;
  return mo_operand(k->b, MO_HBM, kernels_element(dtype), shape);
}

void decode_pad(kernels_tensor *tensor, int64_t row) {
  if (tensor->shape[tensor->rank - 1] > row) tensor->row = row;
}

/* Those of K and V, where tokens do not share rows. */
static void pad_cache(const decode_plan *plan, kernels_kernel *kernel) {
  kernels_tensor *k = &kernel->inputs[kernel->input_count - 2];
  if (plan->pack > 1) return;
  decode_pad(k, plan->head_dim);
  decode_pad(k + 1, plan->v_head_dim);
}

/* Files have [N, Hkv, page]. A page of few tokens does not fill the lanes: its
 * scales stand there again and again, so that whichever lanes its tokens are to
 * have, theirs are there. */
static void declare_page_scales(decode_kernel *k, kernels_kernel *kernel,
                                kernels_split pages) {
  static const char *const names[] = {"k_scale", "v_scale"};
  const decode_plan *plan = k->plan;
  mo_shape shape =
      MO_SHAPE(plan->page_count, plan->Hkv, 1, base_round_up(plan->page, 128));
  for (int values = 0; values < 2; values++) {
    k->scales[values] =
        decode_input(k, kernel, names[values], PFL_DTYPE_F32, shape, pages);
    kernels_tensor *tensor = &kernel->inputs[kernel->input_count - 1];
    decode_pad(tensor, plan->page);
    tensor->repeats = tensor->row > 0;
  }
}

/* Files have [N, Hkv, page, D]. */
static void declare_pages(decode_kernel *k, kernels_kernel *kernel) {
  const decode_plan *plan = k->plan;
  bool spread = plan->chips > 1;
  int64_t rows = plan->page / plan->pack;
  kernels_split pages = decode_by_heads(plan, 1, plan->Hkv), table = whole;
  if (spread) pages = (kernels_split){.split = true, .unit = 1};
  if (spread) table = (kernels_split){.split = true, .dimension = 1, .unit = 1};
  k->k = decode_input(k, kernel, "k", plan->cache_dtype,
                      MO_SHAPE(plan->page_count, plan->Hkv, rows, plan->width),
                      pages);
  k->v = decode_input(
      k, kernel, "v", plan->cache_dtype,
      MO_SHAPE(plan->page_count, plan->Hkv, rows, plan->v_width), pages);
  pad_cache(plan, kernel);
  if (plan->scaled) declare_page_scales(k, kernel, pages);
  k->table = decode_input(k, kernel, "block_table", PFL_DTYPE_I32,
                          MO_SHAPE(base_max(2, plan->B * plan->pages)), table);
}

/* Files have [B, Hkv, Smax, D], and scales without D. */
static void declare_cache(decode_kernel *k, kernels_kernel *kernel) {
  const decode_plan *plan = k->plan;
  int64_t rows = plan->local / plan->pack;
  kernels_split split = decode_by_heads(plan, 1, plan->Hkv);
  if (!plan->by_heads)
    split = (kernels_split){.split = true, .dimension = 2, .unit = plan->unit};
  k->k = decode_input(k, kernel, "k", plan->cache_dtype,
                      MO_SHAPE(plan->B, plan->Hkv, rows, plan->width), split);
  k->v = decode_input(k, kernel, "v", plan->cache_dtype,
                      MO_SHAPE(plan->B, plan->Hkv, rows, plan->v_width), split);
  pad_cache(plan, kernel);
  if (!plan->scaled) return;
  mo_shape scales = MO_SHAPE(plan->B, plan->Hkv, 1, plan->local);
  k->scales[false] =
      decode_input(k, kernel, "k_scale", PFL_DTYPE_F32, scales, split);
  k->scales[true] =
      decode_input(k, kernel, "v_scale", PFL_DTYPE_F32, scales, split);
}

void decode_declare_cache(decode_kernel *k, kernels_kernel *kernel) {
  if (k->plan->page)
    declare_pages(k, kernel);
  else
    declare_cache(k, kernel);
}

static void declare_tensors(decode_kernel *k, kernels_kernel *kernel) {
  const decode_plan *plan = k->plan;
  int64_t heads = plan->Hkv * plan->G;
  kernels_split split = decode_by_heads(plan, 1, heads);
  /* a single number XLA would take for a scalar, and fetch it beforehand */
  k->lengths = decode_input(k, kernel, "lengths", PFL_DTYPE_I32,
                            MO_SHAPE(base_max(2, plan->B)), whole);
  k->q = decode_input(k, kernel, "q", plan->dtype,
                      MO_SHAPE(plan->B, plan->Hkv, plan->rows, plan->D), split);
  decode_pad(&kernel->inputs[kernel->input_count - 1], plan->head_dim);
  decode_declare_cache(k, kernel);
  if (plan->sinks)
    k->sinks = decode_input(k, kernel, "sinks", PFL_DTYPE_F32,
                            MO_SHAPE(base_max(2, heads)),
                            decode_by_heads(plan, 0, heads));
  k->out_o =
      decode_output(k, kernel, "o", plan->dtype,
                    MO_SHAPE(plan->B, plan->Hkv, plan->rows, plan->Dv), split);
  decode_pad(&kernel->outputs[kernel->output_count - 1], plan->v_head_dim);
  if (plan->lse)
    k->out_lse =
        decode_output(k, kernel, "lse", PFL_DTYPE_F32,
                      MO_SHAPE(plan->B * plan->Hkv, plan->rows), split);
}

/* ---- Memory ---------------------------------------------------------------
 */

static mo_value *semaphores(const decode_kernel *k, mo_shape shape) {
  return mo_scratch(k->b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, shape);
}

static void declare_exchange(decode_kernel *k) {
  const decode_plan *plan = k->plan;
  mo_shape slots =
      MO_SHAPE(plan->slots, plan->heads, plan->rows, 256 + plan->Dv);
  for (int axis = 0; axis < 2; axis++) {
    k->part[axis] = mo_scratch(k->b, MO_VMEM, MO_F32, slots);
    k->other[axis] = mo_scratch(k->b, MO_VMEM, MO_F32, slots);
    k->sent[axis] = semaphores(k, MO_SHAPE(plan->slots));
    k->received[axis] = semaphores(k, MO_SHAPE(plan->slots));
  }
}

static void declare_queries(decode_kernel *k) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  int64_t some = plan->q_ready ? plan->B * plan->Hkv : plan->heads;
  int64_t integers = 2 * plan->q_low;
  k->q_all = mo_scratch(b, MO_VMEM, kernels_element(plan->dtype),
                        MO_SHAPE(plan->B, plan->Hkv, plan->rows, plan->D));
  if (plan->pack > 1)
    k->q_now = mo_scratch(b, MO_VMEM, kernels_element(plan->dtype),
                          MO_SHAPE(some, plan->rows_all, plan->width));
  if (!plan->integer) return;
  k->q_now = mo_scratch(b, MO_VMEM, MO_I8, MO_SHAPE(some, integers, plan->D));
  k->q_wide = mo_scratch(b, MO_VMEM, MO_I32, MO_SHAPE(some, integers, plan->D));
  k->q_units = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(some, plan->rows, 128));
}

static void declare_memory(decode_kernel *k) {
  mo_builder *b = k->b;
  const decode_plan *plan = k->plan;
  mo_element element = kernels_element(plan->dtype);
  mo_element cached = kernels_element(plan->cache_dtype);
  int64_t depth = plan->tile / plan->pack;
  declare_queries(k);
  k->k_ring = mo_scratch(b, MO_VMEM, cached,
                         MO_SHAPE(plan->ring, plan->heads, depth, plan->width));
  k->v_ring =
      mo_scratch(b, MO_VMEM, cached,
                 MO_SHAPE(plan->ring, plan->heads, depth, plan->v_width));
  k->scores =
      mo_scratch(b, MO_VMEM, MO_F32,
                 MO_SHAPE(2, plan->heads, plan->rows_all, plan->tiles * depth));
  k->o_slots = mo_scratch(b, MO_VMEM, element,
                          MO_SHAPE(2, plan->heads, plan->rows, plan->Dv));
  k->lengths_smem =
      mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(base_max(2, plan->B)));
  k->entries = mo_scratch(b, MO_SMEM, MO_I32,
                          MO_SHAPE(plan->segment ? 6 : 5, plan->entries));
  k->cursors = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(2, 4));
  k->places = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(plan->slots));
  if (plan->segment) {
    k->marks = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(2, plan->slots));
    k->results = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(2));
    k->held = mo_scratch(b, MO_VMEM, MO_F32,
                         MO_SHAPE(plan->Hkv, 1, plan->rows, 256 + plan->Dv));
  }
  k->k_arrived = semaphores(k, MO_SHAPE(plan->ring));
  k->v_arrived = semaphores(k, MO_SHAPE(plan->ring));
  k->o_stored = semaphores(k, MO_SHAPE(2));
  k->q_arrived = semaphores(k, MO_RANK_0);
  k->lengths_arrived = semaphores(k, MO_RANK_0);
  if (plan->lse) {
    k->lse_all = mo_scratch(b, MO_VMEM, MO_F32,
                            MO_SHAPE(plan->B * plan->Hkv, plan->rows));
    k->lse_stored = semaphores(k, MO_RANK_0);
  }
  if (plan->page) {
    k->table_smem = mo_scratch(b, MO_SMEM, MO_I32,
                               MO_SHAPE(base_max(2, plan->B * plan->pages)));
    k->table_arrived = semaphores(k, MO_RANK_0);
  }
  if (plan->sinks) {
    k->sinks_smem = mo_scratch(b, MO_SMEM, MO_F32,
                               MO_SHAPE(base_max(2, plan->Hkv * plan->G)));
    k->sinks_arrived = semaphores(k, MO_RANK_0);
  }
  if (plan->B > 1) {
    k->zeros = mo_scratch(b, MO_VMEM, element,
                          MO_SHAPE(plan->Hkv, plan->rows, plan->Dv));
    k->zeros_stored = semaphores(k, MO_RANK_0);
  }
  if (plan->scaled) {
    mo_shape slots = MO_SHAPE(plan->page ? plan->ring : DECODE_SCALE_SLOTS,
                              plan->heads, 1, decode_scale_lanes(plan));
    k->scale_slots[false] = mo_scratch(b, MO_VMEM, MO_F32, slots);
    k->scale_slots[true] = mo_scratch(b, MO_VMEM, MO_F32, slots);
    k->scales_arrived = semaphores(k, MO_SHAPE(DECODE_SCALE_SLOTS));
    k->scale_cursor = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(2));
  }
  if (plan->chips > 1) declare_exchange(k);
}

void decode_declare(decode_kernel *k, kernels_kernel *kernel) {
  declare_tensors(k, kernel);
  declare_memory(k);
}
