/* Flash attention forward on one chip.
 *
 *   grid (B, Hq, blocks of queries), the last fastest
 *
 *                    windows, brought by the pipeline a step ahead:
 *     q, o, lse      the step's block_q rows
 *     k, v           all keys of the head: brought once a head; or, if there
 *                    are too many, in segments: forward_stream.c
 *                    scratch, kept from step to step:
 *     m, l, acc      the state of the block's rows
 *
 * docs/kernels.md has the cycle account. */
#include <stdio.h>

#include "kernels/columns.h"
#include "kernels/forward_kernel.h"
#include "kernels/writers.h"

/* K or V of the key-value head that a query head reads, from its block `block`
 * on. */
typedef struct head_map {
  int64_t group, block;
  bool swapped;
} head_map;

static void map_head(mo_builder *b, const mo_map_arguments *arguments,
                     const void *user, mo_value **out_block) {
  const head_map *map = user;
  out_block[0] = arguments->grid[0];
  out_block[1] = mo_div(b, arguments->grid[1], mo_i32(b, (double)map->group));
  out_block[2 + map->swapped] = mo_i32(b, (double)map->block);
  out_block[3 - map->swapped] = mo_i32(b, 0);
}

/* Room for what maps go by, until the kernel is written. */
typedef struct head_maps {
  head_map k, v;
} head_maps;

/* All of K and V as one operand each, and the keys after the last segment. */
static void add_streamed(forward *f, head_maps *maps) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const forward_plan *plan = f->plan;
  mo_element element = kernels_element(p->dtype);
  int64_t sizes[4] = {p->B, p->Hkv};
  const mo_shape all = {4, sizes};
  sequence_shape(&(sequence){NULL, p->D, maps->k.swapped}, p->Sk, sizes + 2);
  f->k_hbm = mo_operand(b, MO_HBM, element, all);
  sequence_shape(&(sequence){NULL, p->Dv, maps->v.swapped}, p->Sk, sizes + 2);
  f->v_hbm = mo_operand(b, MO_HBM, element, all);
  if (plan->streamed == p->Sk) return;
  maps->k.block = maps->v.block = plan->streamed / plan->block_k;
  f->k_tail = sequence_window(b, element, plan->block_k, p->D,
                              MO_MAP_BY(map_head, &maps->k));
  f->v_tail = sequence_window(b, element, plan->block_k, p->Dv,
                              MO_MAP_BY(map_head, &maps->v));
}

/* Slots of two segments, and what says that a slot is full. */
static void add_slots(forward *f) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_element element = kernels_element(p->dtype);
  int64_t keys = 2 * f->plan->segment;
  f->k = sequence_scratch(b, element, keys, p->D, sequence_swaps(p->D));
  f->v = sequence_scratch(b, element, keys, p->Dv, sequence_swaps(p->Dv));
  f->k_came = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_SHAPE(2));
  f->v_came = mo_scratch(b, MO_SEMAPHORE_MEM, MO_DMA_SEMAPHORE, MO_SHAPE(2));
  f->jobs = mo_scratch(b, MO_SMEM, MO_I32, MO_SHAPE(1));
}

static void add_operands(forward *f, const kernels_request *request,
                         head_maps *maps) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const forward_plan *plan = f->plan;
  mo_element element = kernels_element(p->dtype);
  mo_map block = MO_MAP(0, 1, 2, -1);
  maps->k = (head_map){.group = p->group, .swapped = sequence_swaps(p->D)};
  maps->v = (head_map){.group = p->group, .swapped = sequence_swaps(p->Dv)};
  if (request->sinks) f->sinks = mo_prefetch(b, MO_F32, MO_SHAPE(p->Hq));
  f->q = sequence_window(b, element, plan->block_q, p->D, block);
  if (plan->segment) {
    add_streamed(f, maps);
  } else {
    f->k = sequence_window(b, element, plan->keys, p->D,
                           MO_MAP_BY(map_head, &maps->k));
    f->v = sequence_window(b, element, plan->keys, p->Dv,
                           MO_MAP_BY(map_head, &maps->v));
  }
  if (request->segment_ids) {
    f->q_ids =
        mo_window(b, MO_I32, MO_SHAPE(1, 1, plan->block_q), MO_MAP(0, -1, 2));
    f->kv_ids =
        mo_window(b, MO_I32, MO_SHAPE(1, 1, plan->keys), MO_MAP(0, -1, -1));
  }
  f->o = sequence_window(b, element, plan->block_q, p->Dv, block);
  if (request->lse)
    f->lse = mo_window(b, MO_F32, MO_SHAPE(1, 1, 1, plan->block_q),
                       MO_MAP(0, 1, -1, 2));
}

static void add_scratch(forward *f) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  int64_t rows = f->plan->block_q;
  if (f->plan->segment) add_slots(f);
  if (f->q.swapped)
    f->q_rows =
        sequence_scratch(b, kernels_element(p->dtype), rows, p->D, false);
  f->m = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(rows, LANES));
  f->l = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(rows, LANES));
  f->acc = sequence_scratch(b, MO_F32, rows, p->Dv, f->o.swapped);
  if (!f->kv_ids) return;
  int64_t chunks = f->plan->keys / f->plan->block_k;
  f->row_ids = mo_scratch(b, MO_VMEM, MO_I32, MO_SHAPE(rows, LANES));
  f->id_ranges = mo_scratch(b, MO_SMEM, MO_F32, MO_SHAPE(2 * chunks));
}

/* The state is reset by the step before; before the first step, here. */
static void reset_first(const forward *f) {
  mo_builder *b = f->b;
  mo_value *step = mo_add(b, mo_grid_index(b, 0), mo_grid_index(b, 1));
  step = mo_add(b, step, mo_grid_index(b, 2));
  mo_if(b, mo_eq(b, step, f->zero));
  forward_reset(f, 0, f->plan->block_q);
  forward_stream_begin(f);
  mo_end(b, MO_NONE);
}

static void write_kernel(forward *f, const kernels_request *request) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const forward_plan *plan = f->plan;
  mo_kernel(b, "flash_forward",
            &(mo_grid){3, {p->B, p->Hq, plan->q_blocks}, {false}});
  head_maps maps;
  add_operands(f, request, &maps);
  add_scratch(f);
  f->zero = mo_i32(b, 0);
  f->one = mo_i32(b, 1);
  mo_value *row = mo_i32(b, (double)plan->block_q);
  row = mo_mul(b, mo_grid_index(b, 2), row);
  f->position = mo_add(b, row, mo_i32(b, (double)p->offset));
  if (plan->walk == FORWARD_CAUSAL || plan->walk == FORWARD_BAND)
    f->position = mo_multiple(b, f->position, plan->align);
  reset_first(f);
  forward_begin(f);
  if (f->kv_ids) forward_segments_begin(f);
  forward_walk(f);
  mo_kernel_end(b);
}

/* ---- The program ----------------------------------------------------------
 */

static void add_tensors(const kernels_request *request,
                        const forward_plan *plan, kernels_kernel *kernel) {
  const attention_problem *p = request->problem;
  sequence_inputs(kernel, request);
  if (plan->segment && plan->streamed != p->Sk) {
    /* once more, for the windows */
    sequence_tensor(kernel, kernels_input_add, "k", p->dtype, p->B, p->Hkv,
                    p->Sk, p->D);
    sequence_tensor(kernel, kernels_input_add, "v", p->dtype, p->B, p->Hkv,
                    p->Sk, p->Dv);
  }
  if (request->segment_ids) {
    kernels_input_add(kernel, "q_segment_ids", PFL_DTYPE_I32,
                      MO_SHAPE(p->B, 1, p->Sq));
    kernels_input_add(kernel, "kv_segment_ids", PFL_DTYPE_I32,
                      MO_SHAPE(p->B, 1, p->Sk));
  }
  /* XLA would bring small tensors to VMEM itself, before the kernel begins. */
  for (int i = request->sinks; i < kernel->input_count; i++)
    kernel->inputs[i].pinned = true;
  sequence_tensor(kernel, kernels_output_add, "o", p->dtype, p->B, p->Hq, p->Sq,
                  p->Dv);
  if (request->lse)
    kernels_output_add(kernel, "lse", PFL_DTYPE_F32,
                       MO_SHAPE(p->B, p->Hq, 1, p->Sq));
}

static void add_kernel(const kernels_request *request, const forward_plan *plan,
                       mo_module *module, kernels_program *program) {
  const attention_problem *p = request->problem;
  kernels_kernel *kernel = &program->kernels[program->kernel_count++];
  double pairs = attention_visible_pairs(p) * (double)(p->B * p->Hq);
  int64_t size = (int64_t)pfl_dtype_size(p->dtype), width = p->D + p->Dv;
  kernel->name = program->name = "flash_forward";
  kernel->module = module;
  kernel->flops = (int64_t)(2 * pairs * (double)width);
  kernel->transcendentals = (int64_t)pairs;
  kernel->bytes_accessed =
      p->B * (p->Hq * p->Sq + p->Hkv * p->Sk) * width * size;
  kernel->vmem_limit_bytes = plan->vmem_bytes;
  add_tensors(request, plan, kernel);
  forward_plan_tell(plan, program);
}

pfl_status kernels_forward_write(const kernels_request *request,
                                 const kernels_chip *chip,
                                 const pfl_allocator *allocator,
                                 kernels_program *program, pfl_error *error) {
  forward_plan plan;
  PFL_TRY(forward_plan_make(request, chip, &plan, error));
  mo_builder b;
  mo_module *module;
  mo_begin(&b, allocator);
  forward f = {.b = &b, .problem = request->problem, .plan = &plan};
  write_kernel(&f, request);
  PFL_TRY(mo_finish(&b, &module, error));
  add_kernel(request, &plan, module, program);
  return PFL_STATUS_OK;
}
