/* Flash attention backward on one chip, in one pass over blocks of keys.
 *
 *   grid (B, Hq, blocks of keys), the last fastest
 *
 *                        windows, brought by the pipeline a step ahead:
 *     k, v               the step's block_k keys
 *     q, do, lse, dlse   all rows of the head: brought once a head
 *     o                  likewise; causal: the rows at the keys' positions
 *     dk, dv             the step's keys, written by the last query head of the
 *                        group
 *     dq                 all rows of the head, written at its last step
 *                        scratch, kept from step to step:
 *     dq_sum             f32, all rows of the head
 *     dk_sum, dv_sum     f32, the step's keys; all keys where heads share them
 *     row_lse, row_delta of the head, made at its first step
 *
 * Every sum is taken in one order: the result is the same each time.
 * docs/kernels.md has the cycle account. */
#include <stdio.h>

#include "kernels/backward_kernel.h"
#include "kernels/columns.h"
#include "kernels/writers.h"

static mo_value *kv_head_of(mo_builder *b, const attention_problem *p,
                            mo_value *head) {
  return mo_div(b, head, mo_i32(b, (double)p->group));
}

/* The block of keys of a head's step: see backward_walk.c. */
static mo_value *block_of(mo_builder *b, const backward_plan *plan,
                          mo_value *step) {
  if (plan->walk != BACKWARD_CAUSAL) return step;
  return mo_sub(b, mo_i32(b, (double)plan->k_blocks - 1), step);
}

static void map_kv(mo_builder *b, const mo_map_arguments *arguments,
                   const void *user, mo_value **out_block) {
  const backward *f = user;
  out_block[0] = arguments->grid[0];
  out_block[1] = kv_head_of(b, f->problem, arguments->grid[1]);
  out_block[2] = block_of(b, f->plan, arguments->grid[2]);
  out_block[3] = mo_i32(b, 0);
}

/* The same of swapped windows. */
static void exchange(mo_value **block) {
  mo_value *position = block[2];
  block[2] = block[3];
  block[3] = position;
}

static void map_kv_swapped(mo_builder *b, const mo_map_arguments *arguments,
                           const void *user, mo_value **out_block) {
  map_kv(b, arguments, user, out_block);
  exchange(out_block);
}

static void map_key_ids(mo_builder *b, const mo_map_arguments *arguments,
                        const void *user, mo_value **out_block) {
  const backward *f = user;
  out_block[0] = arguments->grid[0];
  out_block[1] = mo_i32(b, 0);
  out_block[2] = block_of(b, f->plan, arguments->grid[2]);
}

static void map_o(mo_builder *b, const mo_map_arguments *arguments,
                  const void *user, mo_value **out_block) {
  const backward *f = user;
  bool whole = f->plan->o_rows == f->plan->rows;
  mo_value *zero = mo_i32(b, 0);
  out_block[0] = arguments->grid[0];
  out_block[1] = arguments->grid[1];
  out_block[2] = whole ? zero : block_of(b, f->plan, arguments->grid[2]);
  out_block[3] = zero;
  if (sequence_swaps(f->problem->Dv)) exchange(out_block);
}

/* dK and dV stay at their first block until the group's last query head. */
static void map_kv_sum(mo_builder *b, const mo_map_arguments *arguments,
                       const void *user, mo_value **out_block) {
  const backward *f = user;
  double group = (double)f->problem->group;
  map_kv(b, arguments, user, out_block);
  if (group == 1) return;
  mo_value *member = mo_rem(b, arguments->grid[1], mo_i32(b, group));
  mo_value *last = mo_eq(b, member, mo_i32(b, group - 1));
  mo_value *first = block_of(b, f->plan, mo_i32(b, 0));
  out_block[2] = mo_select(b, last, out_block[2], first);
}

static void map_kv_sum_swapped(mo_builder *b, const mo_map_arguments *arguments,
                               const void *user, mo_value **out_block) {
  map_kv_sum(b, arguments, user, out_block);
  exchange(out_block);
}

static sequence key_window(backward *f, int64_t width, mo_map_fn *map,
                           mo_map_fn *map_swapped) {
  mo_element element = kernels_element(f->problem->dtype);
  mo_map_fn *fn = sequence_swaps(width) ? map_swapped : map;
  return sequence_window(f->b, element, f->plan->block_k, width,
                         MO_MAP_BY(fn, f));
}

static void add_inputs(backward *f, const kernels_request *request) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const backward_plan *plan = f->plan;
  mo_element element = kernels_element(p->dtype);
  mo_map head = MO_MAP(0, 1, -1, -1);
  if (request->sinks) f->sinks = mo_prefetch(b, MO_F32, MO_SHAPE(p->Hq));
  f->q = sequence_window(b, element, plan->rows, p->D, head);
  f->k = key_window(f, p->D, map_kv, map_kv_swapped);
  f->v = key_window(f, p->Dv, map_kv, map_kv_swapped);
  f->o = sequence_window(b, element, plan->o_rows, p->Dv, MO_MAP_BY(map_o, f));
  f->lse = mo_window(b, MO_F32, MO_SHAPE(1, 1, 1, plan->rows), head);
  f->d_o = sequence_window(b, element, plan->rows, p->Dv, head);
  if (request->d_lse)
    f->d_lse = mo_window(b, MO_F32, MO_SHAPE(1, 1, 1, plan->rows), head);
  if (!request->segment_ids) return;
  f->q_ids =
      mo_window(b, MO_I32, MO_SHAPE(1, 1, plan->rows), MO_MAP(0, -1, -1));
  f->kv_ids = mo_window(b, MO_I32, MO_SHAPE(1, 1, plan->block_k),
                        MO_MAP_BY(map_key_ids, f));
}

static void add_outputs(backward *f) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_element element = kernels_element(p->dtype);
  f->dq =
      sequence_window(b, element, f->plan->rows, p->D, MO_MAP(0, 1, -1, -1));
  f->dk = key_window(f, p->D, map_kv_sum, map_kv_sum_swapped);
  f->dv = key_window(f, p->Dv, map_kv_sum, map_kv_sum_swapped);
  if (f->sinks)
    f->dsinks = mo_window(b, MO_F32, MO_SHAPE(1, p->Hq), MO_MAP(-1, -1));
}

/* Keys as rows: what goes through the MXU to make scores. */
static sequence key_rows(backward *f, const sequence *like) {
  if (!like->swapped) return *like;
  mo_element element = kernels_element(f->problem->dtype);
  return sequence_scratch(f->b, element, f->plan->block_k, like->width, false);
}

static void add_scratch(backward *f) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const backward_plan *plan = f->plan;
  int64_t keys = plan->block_k * (p->group > 1 ? plan->k_blocks : 1);
  f->dq_sum = sequence_scratch(b, MO_F32, plan->rows, p->D, f->dq.swapped);
  f->dk_sum = sequence_scratch(b, MO_F32, keys, p->D, f->dk.swapped);
  f->dv_sum = sequence_scratch(b, MO_F32, keys, p->Dv, f->dv.swapped);
  f->k_rows = key_rows(f, &f->k);
  f->v_rows = key_rows(f, &f->v);
  f->row_lse = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(1, plan->rows));
  f->row_delta = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(1, plan->rows));
  if (f->kv_ids)
    f->key_ids = mo_scratch(b, MO_VMEM, MO_I32, MO_SHAPE(plan->block_k, LANES));
}

static void write_kernel(backward *f, const kernels_request *request) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const backward_plan *plan = f->plan;
  mo_kernel(b, "flash_backward",
            &(mo_grid){3, {p->B, p->Hq, plan->k_blocks}, {false}});
  add_inputs(f, request);
  add_outputs(f);
  add_scratch(f);
  f->zero = mo_i32(b, 0);
  f->one = mo_i32(b, 1);
  f->step = mo_grid_index(b, 2);
  f->key =
      mo_mul(b, block_of(b, plan, f->step), mo_i32(b, (double)plan->block_k));
  f->key = mo_multiple(b, f->key, (int)plan->block_k);
  f->sum_key = p->group > 1 ? f->key : f->zero;
  backward_begin(f);
  if (f->kv_ids) {
    mo_value *ids = mo_load(b, f->kv_ids, MO_VALUES(f->zero, f->zero, f->zero),
                            MO_SHAPE(1, plan->block_k));
    if (p->Sk % plan->block_k)
      ids =
          columns_clip(b, ids, mo_sub(b, mo_i32(b, (double)p->Sk), f->key), 0);
    mo_store_all(b, columns_from_row(b, ids), f->key_ids);
  }
  backward_walk(f);
  backward_finish_keys(f);
  mo_kernel_end(b);
}

/* ---- The program ----------------------------------------------------------
 */

static void add_tensors(const kernels_request *request,
                        kernels_kernel *kernel) {
  const attention_problem *p = request->problem;
  sequence_inputs(kernel, request);
  sequence_tensor(kernel, kernels_input_add, "o", p->dtype, p->B, p->Hq, p->Sq,
                  p->Dv);
  kernels_input_add(kernel, "lse", PFL_DTYPE_F32,
                    MO_SHAPE(p->B, p->Hq, 1, p->Sq));
  sequence_tensor(kernel, kernels_input_add, "do", p->dtype, p->B, p->Hq, p->Sq,
                  p->Dv);
  if (request->d_lse)
    kernels_input_add(kernel, "dlse", PFL_DTYPE_F32,
                      MO_SHAPE(p->B, p->Hq, 1, p->Sq));
  if (request->segment_ids) {
    kernels_input_add(kernel, "q_segment_ids", PFL_DTYPE_I32,
                      MO_SHAPE(p->B, 1, p->Sq));
    kernels_input_add(kernel, "kv_segment_ids", PFL_DTYPE_I32,
                      MO_SHAPE(p->B, 1, p->Sk));
  }
  /* XLA would bring small tensors to VMEM itself, before the kernel begins. */
  for (int i = request->sinks; i < kernel->input_count; i++)
    kernel->inputs[i].pinned = true;
  sequence_tensor(kernel, kernels_output_add, "dq", p->dtype, p->B, p->Hq,
                  p->Sq, p->D);
  sequence_tensor(kernel, kernels_output_add, "dk", p->dtype, p->B, p->Hkv,
                  p->Sk, p->D);
  sequence_tensor(kernel, kernels_output_add, "dv", p->dtype, p->B, p->Hkv,
                  p->Sk, p->Dv);
  if (request->sinks)
    kernels_output_add(kernel, "dsinks", PFL_DTYPE_F32, MO_SHAPE(1, p->Hq));
}

static void add_kernel(const kernels_request *request,
                       const backward_plan *plan, mo_module *module,
                       kernels_program *program) {
  const attention_problem *p = request->problem;
  kernels_kernel *kernel = &program->kernels[program->kernel_count++];
  double pairs = attention_visible_pairs(p) * (double)(p->B * p->Hq);
  int64_t size = (int64_t)pfl_dtype_size(p->dtype), width = p->D + p->Dv;
  kernel->name = program->name = "flash_backward";
  kernel->module = module;
  kernel->flops = (int64_t)(5 * pairs * (double)width);
  kernel->transcendentals = (int64_t)pairs;
  kernel->bytes_accessed =
      2 * p->B * (p->Hq * p->Sq + p->Hkv * p->Sk) * width * size;
  kernel->vmem_limit_bytes = plan->vmem_bytes;
  add_tensors(request, kernel);
  backward_plan_tell(plan, program);
}

pfl_status kernels_backward_write(const kernels_request *request,
                                  const kernels_chip *chip,
                                  const pfl_allocator *allocator,
                                  kernels_program *program, pfl_error *error) {
  backward_plan plan;
  PFL_TRY(backward_plan_make(request, chip, &plan, error));
  mo_builder b;
  mo_module *module;
  mo_begin(&b, allocator);
  backward f = {.b = &b, .problem = request->problem, .plan = &plan};
  write_kernel(&f, request);
  PFL_TRY(mo_finish(&b, &module, error));
  add_kernel(request, &plan, module, program);
  return PFL_STATUS_OK;
}
