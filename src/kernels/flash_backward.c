/* Flash attention backward on one chip, in one pass over blocks of keys.
 *
 *   grid (B, Hq, panels of queries, blocks of keys), the last fastest
 *
 * A panel is all queries of a head, or as many as VMEM has room for.
 *
 *                        windows, brought by the pipeline a step ahead:
 *     k, v               the step's block_k keys
 *     q, do, lse, dlse   the panel's rows: brought once a panel
 *     o                  likewise; causal: the rows at the keys' positions
 *     dk, dv             the step's keys, written by a block's last visit
 *     dq                 the panel's rows, written at its last step
 *                        scratch, kept from step to step:
 *     dq_sum             f32, the panel's rows
 *     dk_sum, dv_sum     f32, the step's keys; all keys where heads share them
 *                        and VMEM has room; else see backward_sums.c
 *     row_lse, row_delta of the panel's rows
 *
 * Every sum is taken in one order: the result is the same each time.
 * docs/kernels.md has the cycle account. */
#include <stdio.h>

#include "kernels/backward_kernel.h"
#include "kernels/columns.h"
#include "kernels/writers.h"

static void add_inputs(backward *f, const kernels_request *request) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const backward_plan *plan = f->plan;
  mo_element element = kernels_element(p->dtype);
  int axis = backward_panel_axis(plan);
  mo_map panel = MO_MAP(0, 1, axis, -1), row = MO_MAP(0, 1, -1, axis);
  if (request->sinks) f->sinks = mo_prefetch(b, MO_F32, MO_SHAPE(p->Hq));
  f->q = sequence_window(b, element, plan->panel, p->D, panel);
  f->k = backward_key_window(f, p->D);
  f->v = backward_key_window(f, p->Dv);
  f->o = backward_o_window(f);
  f->lse = mo_window(b, MO_F32, MO_SHAPE(1, 1, 1, plan->panel), row);
  f->d_o = sequence_window(b, element, plan->panel, p->Dv, panel);
  if (request->d_lse)
    f->d_lse = mo_window(b, MO_F32, MO_SHAPE(1, 1, 1, plan->panel), row);
  if (!request->segment_ids) return;
  f->q_ids =
      mo_window(b, MO_I32, MO_SHAPE(1, 1, plan->panel), MO_MAP(0, -1, axis));
  f->kv_ids = backward_key_ids_window(f);
}

static void add_outputs(backward *f) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  mo_element element = kernels_element(p->dtype);
  int axis = backward_panel_axis(f->plan);
  f->dq =
      sequence_window(b, element, f->plan->panel, p->D, MO_MAP(0, 1, axis, -1));
  f->dk = backward_sum_window(f, p->D);
  f->dv = backward_sum_window(f, p->Dv);
  if (f->sinks)
    f->dsinks = mo_window(b, MO_F32, MO_SHAPE(1, p->Hq), MO_MAP(-1, -1));
  backward_sums_declare(f);
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
  int64_t keys = plan->block_k;
  if (plan->sums == BACKWARD_SUMS_VMEM) keys *= plan->k_blocks;
  f->dq_sum = sequence_scratch(b, MO_F32, plan->panel, p->D, f->dq.swapped);
  f->dk_sum = sequence_scratch(b, MO_F32, keys, p->D, f->dk.swapped);
  f->dv_sum = sequence_scratch(b, MO_F32, keys, p->Dv, f->dv.swapped);
  f->k_rows = key_rows(f, &f->k);
  f->v_rows = key_rows(f, &f->v);
  f->row_lse = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(1, plan->panel));
  f->row_delta = mo_scratch(b, MO_VMEM, MO_F32, MO_SHAPE(1, plan->panel));
  backward_sums_scratch(f);
  if (!f->kv_ids) return;
  int64_t chunks = plan->panel / plan->block_q;
  f->key_ids = mo_scratch(b, MO_VMEM, MO_I32, MO_SHAPE(plan->block_k, LANES));
  f->id_ranges = mo_scratch(b, MO_SMEM, MO_F32, MO_SHAPE(2 * chunks));
}

/* Steps of the grid before this one. */
static mo_value *count_steps(const backward *f) {
  mo_builder *b = f->b;
  const int64_t bounds[] = {f->problem->Hq, f->plan->panels, f->plan->steps};
  mo_value *const at[] = {mo_grid_index(b, 1), f->panel, f->step};
  mo_value *count = mo_grid_index(b, 0);
  for (int i = 0; i < 3; i++) {
    count = mo_mul(b, count, mo_i32(b, (double)bounds[i]));
    count = mo_add(b, count, at[i]);
  }
  return count;
}

/* Where the step is. */
static void find_step(backward *f) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const backward_plan *plan = f->plan;
  int64_t rows = base_round_up(p->Sq, plan->block_q);
  f->zero = mo_i32(b, 0);
  f->one = mo_i32(b, 1);
  int axis = backward_panel_axis(plan);
  f->panel = axis < 0 ? f->zero : mo_grid_index(b, axis);
  f->step = mo_grid_index(b, backward_step_axis(plan));
  if (plan->sums == BACKWARD_SUMS_HBM) f->turn = count_steps(f);
  backward_blocks_begin(f);
  f->key = mo_mul(b, f->block, mo_i32(b, (double)plan->block_k));
  f->key = mo_multiple(b, f->key, (int)plan->block_k);
  f->sum_key = plan->sums == BACKWARD_SUMS_VMEM ? f->key : f->zero;
  f->first_row = f->zero;
  f->rows_end = mo_i32(b, (double)base_min(plan->panel, rows));
  if (plan->panels == 1) return;
  f->first_row = mo_mul(b, f->panel, mo_i32(b, (double)plan->panel));
  mo_value *left = mo_sub(b, mo_i32(b, (double)rows), f->first_row);
  f->rows_end = mo_min(b, left, f->rows_end);
}

static void write_step(backward *f) {
  backward_turn_keys(f);
  backward_segments_begin_keys(f);
  backward_sums_fetch(f);
  backward_walk(f);
  backward_sums_finish(f);
}

static void write_kernel(backward *f, const kernels_request *request) {
  mo_builder *b = f->b;
  const attention_problem *p = f->problem;
  const backward_plan *plan = f->plan;
  mo_grid grid = {4, {p->B, p->Hq, plan->panels, plan->steps}, {false}};
  if (plan->panels == 1) grid = (mo_grid){3, {p->B, p->Hq, plan->steps}, {0}};
  mo_kernel(b, "flash_backward", &grid);
  add_inputs(f, request);
  add_outputs(f);
  add_scratch(f);
  find_step(f);
  backward_begin(f);
  backward_clear_tails(f);
  backward_begin_panel(f);
  if (f->active) mo_if(b, f->active);
  write_step(f);
  if (f->active) mo_end(b, MO_NONE);
  backward_finish_panel(f);
  if (plan->sums == BACKWARD_SUMS_HBM) {
    int64_t steps = p->B * p->Hq * plan->panels * plan->steps;
    mo_if(b, mo_eq(b, f->turn, mo_i32(b, (double)steps - 1)));
    backward_sums_settle(f);
    mo_end(b, MO_NONE);
  }
  mo_kernel_end(b);
}

/* ---- The program ----------------------------------------------------------
 */

static void add_tensors(const kernels_request *request,
                        const backward_plan *plan, kernels_kernel *kernel) {
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
  backward_sums_tensors(p, plan, kernel);
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
  add_tensors(request, plan, kernel);
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
